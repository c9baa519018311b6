//! A writer's side of the protocol.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::LockError;
use super::file::{LockFile, Mode, poll};
use super::holder::Busy;
use super::note::WaitingNote;
use super::order::{Held, Rank};
use super::shared::OperationsFiles;
use crate::deadline::Deadline;
use crate::layout::CowLayout;

/// The longest time for which a waiting writer keeps new requests out.
pub const GATE_HOLD: Duration = Duration::from_secs(2);

/// How long a writer lets requests pass after [`GATE_HOLD`]: at first, doubling, and at most.
const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1);

/// After how long a wait is worth a word.
const QUIET_WAIT: Duration = Duration::from_secs(1);

/// After how long a wait is worth a note.
const SHORT_WAIT: Duration = Duration::from_millis(5);

/// A wait for locks, from its first try.
#[derive(Debug)]
struct Wait<'a> {
    operation: &'a str,
    since: Instant,
    told: bool,
    noted_as: Option<(PathBuf, Option<WaitingNote>)>,
}

impl<'a> Wait<'a> {
    fn new(operation: &'a str) -> Self {
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
        self.noted_as = Some((lock.to_owned(), WaitingNote::write(cow, lock, self.operation, since)));
    }
}

/// How long a writer is ready to wait, and whom it tells when a wait exceeds a second.
pub struct Patience<'a> {
    deadline: Deadline,
    gate_hold: Duration,
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

    /// Polls for `lock` until `deadline`, telling once of a long wait.
    fn poll(
        &mut self,
        lock: &LockFile,
        cow: &CowLayout,
        deadline: Deadline,
        wait: &mut Wait<'_>,
    ) -> Result<bool, LockError> {
        let taken = poll(deadline, || {
            let taken = lock.try_lock(Mode::Exclusive)?;
            if !taken {
                wait.note(cow, lock.path());
            }
            if !taken && !wait.told && wait.since.elapsed() >= QUIET_WAIT {
                wait.told = true;
                (self.tell)(&Busy::now(cow, lock.path().to_owned()));
            }
            Ok(taken.then_some(()))
        })?;
        Ok(taken.is_some())
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
        let mut wait = Wait::new(operation);
        let lock = loop {
            let lock = LockFile::open(path.clone())?;
            if !patience.poll(&lock, cow, patience.deadline, &mut wait)? {
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
    cow: CowLayout,
    operation: String,
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

    /// Waits for a visit of the server to end, then for the requests already running, and for no others, and keeps new
    /// ones out until the guard is dropped.
    ///
    /// The generation is bumped before this returns, so that whoever gets the lock next sees that something may have
    /// changed, even if this process dies with the guard in its hands.
    ///
    /// # Errors
    /// [`LockError::Timeout`] names who holds `operations.lock`, the gate or `visit.lock` at the end of the patience.
    pub fn publish(&mut self, patience: &mut Patience<'_>) -> Result<Publish<'_>, LockError> {
        let visit = Visit::lock(&self.cow, &self.operation, patience)?;
        let held = Held::enter(Rank::Operations, &self.cow.operations_lock())?;
        let operation = self.operation.clone();
        let mut wait = Wait::new(&operation);
        let mut back_off = FIRST_BACK_OFF;
        loop {
            let files = OperationsFiles::open(&self.cow)?;
            if !patience.poll(&files.gate, &self.cow, patience.deadline, &mut wait)? {
                return Err(LockError::Timeout(files.busy(&files.gate)));
            }
            files.gate.write_holder(&format!("{}, waiting for requests to end", self.operation))?;
            let patient_until = patience.deadline.or_after(patience.gate_hold);
            if patience.poll(&files.operations, &self.cow, patient_until, &mut wait)? {
                if files.operations.is_current()? {
                    return Publish::begin(files, held, visit, &self.operation);
                }
                continue;
            }
            let busy = files.busy(&files.operations);
            files.gate.clear_holder();
            files.gate.unlock();
            if patience.deadline.has_passed() {
                return Err(LockError::Timeout(busy));
            }
            thread::sleep(back_off.min(patience.deadline.remaining()));
            back_off = (back_off * 2).min(LONGEST_BACK_OFF);
        }
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

/// `operations.gate` and `operations.lock`, both held exclusively: no request runs. Held for an instant.
#[derive(Debug)]
pub struct Publish<'mutation> {
    files: OperationsFiles,
    generation: u64,
    pid: u32,
    since: Instant,
    _held: Held,
    _visit: Visit,
    mutation: PhantomData<&'mutation mut ()>,
}

impl Publish<'_> {
    fn begin(files: OperationsFiles, held: Held, visit: Visit, operation: &str) -> Result<Self, LockError> {
        let generation = files.operations.generation()? + 1;
        files.operations.write_generation(generation)?;
        files.operations.write_holder(operation)?;
        files.gate.write_holder(operation)?;
        Ok(Self {
            files,
            generation,
            pid: std::process::id(),
            since: Instant::now(),
            _held: held,
            _visit: visit,
            mutation: PhantomData,
        })
    }

    /// The number of this publish: one more than the last one's.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// For how long requests have been kept out.
    #[must_use]
    pub fn held_for(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for Publish<'_> {
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            self.files.operations.clear_holder();
            self.files.operations.unlock();
            self.files.gate.clear_holder();
            self.files.gate.unlock();
        }
    }
}
