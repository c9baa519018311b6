//! Lets a request's locks go as soon as a writer waits for them.
//!
//! A thread does it, because the request's own may be blocked for as long as a slow client likes. The thread touches
//! nothing of PHP's. It knows the locks and their gates.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use forkpress_core::lock::{GateProbe, LockError, RequestLocks};

/// How long a writer waits at most before it is noticed.
const INTERVAL: Duration = Duration::from_millis(5);

/// A running watcher. Dropping it ends it, and waits for its end.
pub struct Watcher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts watching for writers on behalf of a request's locks.
    ///
    /// # Errors
    /// Where the gate can't be opened; the request then keeps its lock to the end.
    pub fn start(locks: Arc<RequestLocks>) -> Result<Self, LockError> {
        let probe = locks.probe()?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = without_signals(|| {
            let stop = Arc::clone(&stop);
            thread::Builder::new().name("branchfs-watcher".to_owned()).spawn(move || watch(&locks, &probe, &stop)).ok()
        });
        Ok(Self { stop, thread })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

fn watch(locks: &RequestLocks, probe: &GateProbe, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) && locks.are_held() {
        match probe.writer_waits() {
            Ok(false) => thread::park_timeout(INTERVAL),
            Ok(true) => {
                locks.release();
            }
            // The gates can't be asked: keep the locks, which is always right.
            Err(_) => return,
        }
    }
}

/// Runs `spawn` with every signal blocked, so that the thread it starts inherits that: PHP's handlers, such as that of the
/// time limit, act on the interrupted thread and must only ever run in PHP's own.
fn without_signals<T>(spawn: impl FnOnce() -> T) -> T {
    // SAFETY: both sets are plain data that the calls fill in, and the mask of this thread is put back below.
    let before = unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        let mut before = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
        before
    };
    let result = spawn();
    // SAFETY: `before` was filled in above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    result
}
