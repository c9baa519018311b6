//! How many requests of visitors a server runs.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::shared_number::SharedNumber;

/// Over all processes of the server. One that was killed in a request counts on: see [`running`].
static RUNNING: SharedNumber = SharedNumber::new();

/// Whether the request that is running was counted, by this process.
static IS_COUNTED: AtomicBool = AtomicBool::new(false);

/// Makes the number, before the server forks.
pub fn startup() -> i32 {
    RUNNING.make()
}

/// A request of a visitor begins.
pub fn begin() {
    if let Some(running) = RUNNING.get().filter(|_| !IS_COUNTED.swap(true, Ordering::Relaxed)) {
        running.fetch_add(1, Ordering::Relaxed);
    }
}

/// A request has ended, if it is one that was counted.
pub fn end() {
    if let Some(running) = RUNNING.get().filter(|_| IS_COUNTED.swap(false, Ordering::Relaxed)) {
        running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// In a forked child: the request is its parent's.
pub fn leave_to_parent() {
    IS_COUNTED.store(false, Ordering::Relaxed);
}

/// How many run. Good for being polite, not for deciding anything: it is too many where a process was killed in a request.
pub fn running() -> u64 {
    RUNNING.get().map_or(0, |running| running.load(Ordering::Relaxed))
}
