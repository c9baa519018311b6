//! The order of locks, checked as they are taken: what the types can't rule out fails at once instead of deadlocking.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::LockError;

/// The place of a lock in the order; a later one has a higher bit. The gate is only ever taken together with operations.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Rank {
    Lifecycle = 1,
    Preparation = 2,
    Mutation = 4,
    Visit = 8,
    Operations = 16,
}

thread_local! {
    static HELD: Arc<AtomicU8> = Arc::new(AtomicU8::new(0));
}

/// A thread's note that it holds a lock, until [`Self::leave`] or the drop, which another thread may do.
#[derive(Debug)]
pub(super) struct Held {
    thread: Arc<AtomicU8>,
    rank: Rank,
    left: AtomicBool,
}

impl Held {
    /// Notes that this thread is about to take a lock of this rank.
    pub(super) fn enter(rank: Rank, path: &Path) -> Result<Self, LockError> {
        HELD.with(|held| {
            if held.load(Ordering::Relaxed) >= rank as u8 {
                return Err(LockError::OutOfOrder { path: path.to_owned() });
            }
            held.fetch_or(rank as u8, Ordering::Relaxed);
            Ok(Self { thread: Arc::clone(held), rank, left: AtomicBool::new(false) })
        })
    }

    /// Notes that the lock is let go.
    pub(super) fn leave(&self) {
        if !self.left.swap(true, Ordering::Relaxed) {
            self.thread.fetch_and(!(self.rank as u8), Ordering::Relaxed);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.leave();
    }
}
