//! A lock with a gate before it, as a request takes it and as a writer does.
//!
//! Who shares a lock comes to it through the gate ([`Gated::share`]), or takes it as it is ([`Gated::try_share`]) and then looks
//! whether a writer waits. `operations.lock` says so from the time when the writer has closed the gates: who finds nothing there
//! after it has the lock had the lock before, and is one of those for whom the writer waits anyway.

use super::LockError;
use super::file::{LockFile, poll};
use crate::deadline::Deadline;
use crate::flock::Mode;

/// A lock that requests share, and the gate through which they come to it.
#[derive(Debug)]
pub(super) struct Gated {
    pub(super) gate: LockFile,
    pub(super) lock: LockFile,
}

/// What came of taking a lock.
#[derive(Debug)]
pub(super) enum Taken<'a> {
    /// It is held.
    Held,
    /// It is not held: the path names another file by now.
    Replaced,
    /// It is not held: others kept this file until the deadline.
    Busy(&'a LockFile),
}

impl Gated {
    /// Takes the lock shared if it is free, past the gate. Never blocks.
    ///
    /// A file that the path no longer names counts as busy: [`Self::share`] says so.
    pub(super) fn try_share(&self) -> Result<bool, LockError> {
        if !self.lock.try_lock(Mode::Shared)? {
            return Ok(false);
        }
        let outcome = self.lock.was_current_lately();
        if !matches!(outcome, Ok(true)) {
            self.lock.unlock();
        }
        outcome
    }

    /// Takes the lock shared, waiting until the deadline: gate, lock, gate let go. Who need not wait behind a writer does not
    /// ask the gate.
    pub(super) fn share(&self, deadline: Deadline, through_gate: bool) -> Result<Taken<'_>, LockError> {
        let mut busy_at_gate = false;
        let taken = poll(deadline, || {
            busy_at_gate = through_gate && !self.gate.try_lock(Mode::Shared)?;
            if busy_at_gate {
                return Ok(None);
            }
            let taken = self.lock.try_lock(Mode::Shared);
            if through_gate {
                self.gate.unlock();
            }
            Ok(taken?.then_some(()))
        })?;
        if taken.is_none() {
            return Ok(Taken::Busy(if busy_at_gate { &self.gate } else { &self.lock }));
        }
        match self.lock.is_current() {
            Ok(true) => Ok(Taken::Held),
            outcome => {
                self.lock.unlock();
                outcome.map(|_| Taken::Replaced)
            }
        }
    }
}
