//! A writer's side of the protocol.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::LockError;
use super::branch::make_folder_of_branches;
use super::file::{LockFile, poll};
use super::holder::Busy;
use super::note::CommandNote;
use super::order::{Held, Rank};
use crate::deadline::Deadline;
use crate::flock::Mode;
use crate::layout::CowLayout;
use crate::name::BranchName;

/// The longest time for which a waiting writer keeps new requests out.
pub const GATE_HOLD: Duration = Duration::from_secs(2);

/// After how long a wait is worth a word.
const QUIET_WAIT: Duration = Duration::from_secs(1);

/// After how long a wait is worth a note.
const SHORT_WAIT: Duration = Duration::from_millis(5);

/// A wait for locks, from its first try.
#[derive(Debug)]
pub(super) struct Wait<'a> {
    pub(super) operation: &'a str,
    pub(super) since: Instant,
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
        tracing::debug!(operation = self.operation, "waiting: {}", Busy::now(cow, lock.to_owned()));
    }
}

/// How long a writer is ready to wait, and whom it tells when a wait exceeds a second.
pub struct Patience<'a> {
    pub(super) deadline: Deadline,
    pub(super) gate_hold: Duration,
    gives_up: Box<dyn Fn() -> bool + 'a>,
    tell: Box<dyn FnMut(&Busy) + 'a>,
}

impl<'a> Patience<'a> {
    /// Waits until `deadline`; `tell` is called once for each lock that keeps the writer waiting for over a second.
    pub fn new(deadline: Deadline, tell: impl FnMut(&Busy) + 'a) -> Self {
        Self { deadline, gate_hold: GATE_HOLD, gives_up: Box::new(|| false), tell: Box::new(tell) }
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

    /// Takes no further lock once `gives_up` says so, as if time were up.
    #[must_use]
    pub fn unless(mut self, gives_up: impl Fn() -> bool + 'a) -> Self {
        self.gives_up = Box::new(gives_up);
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
            if (self.gives_up)() {
                return Ok(Some(false));
            }
            let Some(busy) = attempt()? else { return Ok(Some(true)) };
            wait.note(cow, busy.path());
            if !wait.told && wait.since.elapsed() >= QUIET_WAIT {
                wait.told = true;
                (self.tell)(&Busy::now(cow, busy.path().to_owned()));
            }
            Ok(None)
        })?;
        Ok(taken == Some(true))
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
}

impl Exclusive {
    fn lock(cow: &CowLayout, path: PathBuf, operation: &str, patience: &mut Patience<'_>) -> Result<Self, LockError> {
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
        tracing::debug!(lock = ?lock.path(), operation, waited_ms = wait.since.elapsed().as_millis(), "lock taken");
        Ok(Self { lock, pid: std::process::id() })
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
    _held: Held,
}

impl Lifecycle {
    /// Takes the lock. `operation` says to others what for.
    ///
    /// # Errors
    /// [`LockError::Timeout`] where others keep it until the end of the patience, and says who; [`LockError::Open`] or
    /// [`LockError::Lock`] where the file can't be used; [`LockError::OutOfOrder`] where this thread holds a lock that
    /// comes after it.
    pub fn lock(cow: &CowLayout, operation: &str, patience: &mut Patience<'_>) -> Result<Self, LockError> {
        let held = Held::enter(Rank::Lifecycle, &cow.lifecycle_lock())?;
        // Whoever changes a site, or serves it, comes by here, or by `mutation.lock`.
        crate::own::close(cow);
        let exclusive = Exclusive::lock(cow, cow.lifecycle_lock(), operation, patience)?;
        Ok(Self { _exclusive: exclusive, _held: held })
    }

    /// Takes `mutation.lock` as well, for as long as this lock is held, and waits until no mutation is being prepared: what
    /// follows is of the whole site.
    ///
    /// # Errors
    /// [`LockError::Timeout`] where somebody changes a branch, or prepares to, until the end of the patience;
    /// [`LockError::Open`] or [`LockError::Lock`] where a file can't be used; [`LockError::OutOfOrder`] where this
    /// thread holds a lock that comes after these.
    pub fn mutation<'a>(
        &'a self,
        cow: &CowLayout,
        operation: &str,
        patience: &mut Patience<'_>,
    ) -> Result<Mutation<'a>, LockError> {
        let held = Held::enter(Rank::Preparation, &cow.prepare_lock())?;
        let gate = Exclusive::lock(cow, cow.prepare_gate(), operation, patience)?;
        let lock = Exclusive::lock(cow, cow.prepare_lock(), operation, patience)?;
        let mutation = Mutation::lock(cow, operation, patience)?;
        Ok(Mutation { _nothing_prepares: Some((lock, gate, held)), ..mutation })
    }
}

/// The right to prepare a mutation of some branches: their mutation locks, and `prepare.lock`, shared. Other branches may be
/// prepared meanwhile, and published.
#[derive(Debug)]
pub struct Preparation {
    _locks: Vec<Exclusive>,
    shared: SharedPrepare,
    _held: Held,
    branches: Vec<BranchName>,
    cow: CowLayout,
    operation: String,
}

impl Preparation {
    /// Takes the locks, waiting first until nothing of the whole site goes on, then for other mutations of these branches, in
    /// the order of their names. `operation` says to others what for.
    ///
    /// # Errors
    /// [`LockError`]; [`LockError::Timeout`] names who holds the lock that was busy at the end of the patience.
    pub fn lock(
        cow: &CowLayout,
        branches: &[BranchName],
        operation: &str,
        patience: &mut Patience<'_>,
    ) -> Result<Self, LockError> {
        let held = Held::enter(Rank::Preparation, &cow.prepare_lock())?;
        crate::own::close(cow);
        make_folder_of_branches(cow)?;
        let shared = SharedPrepare::lock(cow, operation, patience)?;
        let mut branches = branches.to_vec();
        branches.sort_unstable();
        branches.dedup();
        let lock = |name| Exclusive::lock(cow, cow.branch_mutation_lock(name), operation, patience);
        let locks = branches.iter().map(lock).collect::<Result<_, _>>()?;
        let operation = operation.to_owned();
        Ok(Self { _locks: locks, shared, _held: held, branches, cow: cow.clone(), operation })
    }

    /// Has the programs that this process starts from now on hold `prepare.lock` as well. Where this process is killed, the
    /// lock is free only once they have ended: until then they may have files of the storage open.
    pub fn share_with_programs(&self) {
        self.shared.lock.keep_across_exec();
    }

    /// Whether it is one of the branches.
    #[must_use]
    pub fn is_of(&self, name: &BranchName) -> bool {
        self.branches.contains(name)
    }

    /// Takes `mutation.lock` for what only one mutation does at a time: to end what died, and to publish.
    ///
    /// # Errors
    /// [`LockError::Timeout`] where others keep it until the end of the patience, and says who; [`LockError::Open`] or
    /// [`LockError::Lock`] where the file can't be used; [`LockError::OutOfOrder`] where this thread holds a lock that
    /// comes after it.
    pub fn mutation(&self, patience: &mut Patience<'_>) -> Result<Mutation<'_>, LockError> {
        Mutation::lock(&self.cow, &self.operation, patience)
    }
}

/// `prepare.lock`, held shared: nothing of the whole site goes on.
#[derive(Debug)]
struct SharedPrepare {
    lock: LockFile,
    pid: u32,
}

impl SharedPrepare {
    fn lock(cow: &CowLayout, operation: &str, patience: &mut Patience<'_>) -> Result<Self, LockError> {
        let (gate, lock) = (LockFile::open(cow.prepare_gate())?, LockFile::open(cow.prepare_lock())?);
        let (mut wait, mut busy, deadline) = (Wait::new(operation), &gate, patience.deadline);
        let is_taken = patience.poll(cow, deadline, &mut wait, || {
            busy = &gate;
            if !gate.try_lock(Mode::Shared)? {
                return Ok(Some(busy));
            }
            let taken = lock.try_lock(Mode::Shared);
            gate.unlock();
            busy = &lock;
            Ok((!taken?).then_some(busy))
        })?;
        if !is_taken {
            return Err(LockError::Timeout(Busy::now(cow, busy.path().to_owned())));
        }
        Ok(Self { lock, pid: std::process::id() })
    }
}

impl Drop for SharedPrepare {
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            self.lock.unlock();
        }
    }
}

/// The mutation lock of one branch, had without waiting: what is staged for that branch is nobody's.
#[derive(Debug)]
pub struct Unprepared {
    lock: LockFile,
    pid: u32,
}

impl Unprepared {
    /// Takes the lock; none where a mutation of the branch is being prepared or published.
    ///
    /// # Errors
    /// [`LockError::Open`] and [`LockError::Lock`] where the lock file can't be used.
    pub fn try_lock(cow: &CowLayout, name: &BranchName) -> Result<Option<Self>, LockError> {
        make_folder_of_branches(cow)?;
        let lock = LockFile::open(cow.branch_mutation_lock(name))?;
        let is_taken = lock.try_lock(Mode::Exclusive)?;
        Ok(is_taken.then_some(Self { lock, pid: std::process::id() }))
    }
}

impl Drop for Unprepared {
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            self.lock.unlock();
        }
    }
}

/// `mutation.lock`, held exclusively, while something is published or what died is brought to its end. Requests go on
/// meanwhile.
#[derive(Debug)]
pub struct Mutation<'a> {
    _exclusive: Exclusive,
    _held: Held,
    _nothing_prepares: Option<(Exclusive, Exclusive, Held)>,
    pub(super) cow: CowLayout,
    pub(super) operation: String,
    within: PhantomData<&'a ()>,
}

impl Mutation<'_> {
    /// Takes the lock. `operation` says to others what for.
    ///
    /// # Errors
    /// [`LockError::Timeout`] where others keep it until the end of the patience, and says who; [`LockError::Open`] or
    /// [`LockError::Lock`] where the file can't be used; [`LockError::OutOfOrder`] where this thread holds a lock that
    /// comes after it.
    pub fn lock(cow: &CowLayout, operation: &str, patience: &mut Patience<'_>) -> Result<Self, LockError> {
        let held = Held::enter(Rank::Mutation, &cow.mutation_lock())?;
        crate::own::close(cow);
        let exclusive = Exclusive::lock(cow, cow.mutation_lock(), operation, patience)?;
        Ok(Self {
            _exclusive: exclusive,
            _held: held,
            _nothing_prepares: None,
            cow: cow.clone(),
            operation: operation.to_owned(),
            within: PhantomData,
        })
    }
}

/// `visit.lock`, held exclusively: the server makes a branch ready by a request of its own, or a mutation publishes.
#[derive(Debug)]
pub struct Visit {
    _exclusive: Exclusive,
    _held: Held,
}

impl Visit {
    /// Takes the lock. `operation` says to others what for.
    ///
    /// # Errors
    /// [`LockError::Timeout`] where others keep it until the end of the patience, and says who; [`LockError::Open`] or
    /// [`LockError::Lock`] where the file can't be used; [`LockError::OutOfOrder`] where this thread holds a lock that
    /// comes after it.
    pub fn lock(cow: &CowLayout, operation: &str, patience: &mut Patience<'_>) -> Result<Self, LockError> {
        let held = Held::enter(Rank::Visit, &cow.visit_lock())?;
        let exclusive = Exclusive::lock(cow, cow.visit_lock(), operation, patience)?;
        Ok(Self { _exclusive: exclusive, _held: held })
    }
}
