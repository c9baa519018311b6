//! A writer's side of the protocol.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::LockError;
use super::file::{LockFile, Mode, poll};
use super::holder::Busy;
use super::note::CommandNote;
use super::order::{Held, Rank};
use crate::deadline::Deadline;
use crate::layout::CowLayout;

/// The longest time for which a waiting writer keeps new requests out.
pub const GATE_HOLD: Duration = Duration::from_secs(2);

/// After how long a wait is worth a word.
const QUIET_WAIT: Duration = Duration::from_secs(1);

/// After how long a wait is worth a note.
const SHORT_WAIT: Duration = Duration::from_millis(5);

/// A wait for locks, from its first try.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    operation: &'a str,
    since: Instant,
    told: bool,
    noted_as: Option<(PathBuf, Option<CommandNote>)>,
}

impl<'a> Wait<'a> {
    pub(super) fn new(operation: &'a str) -> Self {
        Self { operation, since: Instant::now(), told: false, noted_as: None }
    }

    /// Says in a note which lock is being waited for.
    fn note(&mut self, cow: &CowLayout, lock: &Path) {
        if self.since.elapsed() < SHORT_WAIT || self.noted_as.as_ref().is_some_and(|(noted, _)| noted == lock) {
            return;
        }
        // The old note goes first: both are one file.
        self.noted_as = None;
        let since = SystemTime::now() - self.since.elapsed();
        self.noted_as = Some((lock.to_owned(), CommandNote::waiting(cow, lock, self.operation, since)));
    }
}

/// How long a writer is ready to wait, and whom it tells when a wait exceeds a second.
pub struct Patience<'a> {
    pub(super) deadline: Deadline,
    pub(super) gate_hold: Duration,
    tell: Box<dyn FnMut(&Busy) + 'a>,
}

impl<'a> Patience<'a> {
    /// Waits until `deadline`; `tell` is called once for each lock that keeps the writer waiting for over a second.
    pub fn new(deadline: Deadline, tell: impl FnMut(&Busy) + 'a) -> Self {
        Self { deadline, gate_hold: GATE_HOLD, tell: Box::new(tell) }
    }

    /// Waits until `deadline` and tells nobody.
    #[must_use]
    pub fn silent(deadline: Deadline) -> Self {
        Self::new(deadline, |_| {})
    }

    /// Keeps new requests out for `gate_hold` at a time instead of [`GATE_HOLD`].
    #[must_use]
    pub fn with_gate_hold(mut self, gate_hold: Duration) -> Self {
        self.gate_hold = gate_hold;
        self
    }

    /// Until when the writer waits.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Polls for locks until `deadline`, telling once of a long wait. `attempt` takes all of them or none, and then gives one
    /// that was busy.
    pub(super) fn poll<'lock>(
        &mut self,
        cow: &CowLayout,
        deadline: Deadline,
        wait: &mut Wait<'_>,
        mut attempt: impl FnMut() -> Result<Option<&'lock LockFile>, LockError>,
    ) -> Result<bool, LockError> {
        let taken = poll(deadline, || {
            let Some(busy) = attempt()? else { return Ok(Some(())) };
            wait.note(cow, busy.path());
            if !wait.told && wait.since.elapsed() >= QUIET_WAIT {
                wait.told = true;
                (self.tell)(&Busy::now(cow, busy.path().to_owned()));
            }
            Ok(None)
        })?;
        Ok(taken.is_some())
    }

    /// Polls for one lock.
    pub(super) fn poll_for(
        &mut self,
        lock: &LockFile,
        cow: &CowLayout,
        deadline: Deadline,
        wait: &mut Wait<'_>,
    ) -> Result<bool, LockError> {
        self.poll(cow, deadline, wait, || Ok((!lock.try_lock(Mode::Exclusive)?).then_some(lock)))
    }
}

/// A lock file held exclusively, with its holder's record in it.
#[derive(Debug)]
struct Exclusive {
    lock: LockFile,
    pid: u32,
    _held: Held,
}

impl Exclusive {
    fn lock(
        cow: &CowLayout,
        path: PathBuf,
        rank: Rank,
        operation: &str,
        patience: &mut Patience<'_>,
    ) -> Result<Self, LockError> {
        let held = Held::enter(rank, &path)?;
        // Whoever changes a site, or serves it, comes by here.
        crate::own::close(cow);
        let mut wait = Wait::new(operation);
        let lock = loop {
            let lock = LockFile::open(path.clone())?;
            if !patience.poll_for(&lock, cow, patience.deadline, &mut wait)? {
                return Err(LockError::Timeout(Busy::now(cow, path)));
            }
            if lock.is_current()? {
                break lock;
            }
        };
        lock.write_holder(operation)?;
        Ok(Self { lock, pid: std::process::id(), _held: held })
    }
}

impl Drop for Exclusive {
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            self.lock.clear_holder();
            self.lock.unlock();
        }
    }
}

/// `lifecycle.lock`, held exclusively: a server starts, or the storage is detached, compacted or converted.
#[derive(Debug)]
pub struct Lifecycle {
    _exclusive: Exclusive,
}

impl Lifecycle {
    /// Takes the lock. `operation` says to others what for.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn lock(cow: &CowLayout, operation: &str, patience: &mut Patience<'_>) -> Result<Self, LockError> {
        Exclusive::lock(cow, cow.lifecycle_lock(), Rank::Lifecycle, operation, patience)
            .map(|exclusive| Self { _exclusive: exclusive })
    }

    /// Takes `mutation.lock` as well, for as long as this lock is held.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn mutation<'a>(
        &'a self,
        cow: &CowLayout,
        operation: &str,
        patience: &mut Patience<'_>,
    ) -> Result<Mutation<'a>, LockError> {
        Mutation::lock_within(cow, operation, patience)
    }
}

/// `mutation.lock`, held exclusively for a mutation's whole length. Requests go on meanwhile.
#[derive(Debug)]
pub struct Mutation<'lifecycle> {
    _exclusive: Exclusive,
    pub(super) cow: CowLayout,
    pub(super) operation: String,
    lifecycle: PhantomData<&'lifecycle Lifecycle>,
}

impl Mutation<'static> {
    /// Takes the lock. `operation` says to others what for.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn lock(cow: &CowLayout, operation: &str, patience: &mut Patience<'_>) -> Result<Self, LockError> {
        Self::lock_within(cow, operation, patience)
    }
}

impl Mutation<'_> {
    fn lock_within(cow: &CowLayout, operation: &str, patience: &mut Patience<'_>) -> Result<Self, LockError> {
        Exclusive::lock(cow, cow.mutation_lock(), Rank::Mutation, operation, patience).map(|exclusive| Self {
            _exclusive: exclusive,
            cow: cow.clone(),
            operation: operation.to_owned(),
            lifecycle: PhantomData,
        })
    }
}

/// `visit.lock`, held exclusively: the server makes a branch ready by a request of its own, or a mutation publishes.
#[derive(Debug)]
pub struct Visit {
    _exclusive: Exclusive,
}

impl Visit {
    /// Takes the lock. `operation` says to others what for.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn lock(cow: &CowLayout, operation: &str, patience: &mut Patience<'_>) -> Result<Self, LockError> {
        Exclusive::lock(cow, cow.visit_lock(), Rank::Visit, operation, patience)
            .map(|exclusive| Self { _exclusive: exclusive })
    }
}
