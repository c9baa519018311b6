//! How a writer comes to publish.
//!
//! *Widely*: alone in the site, by `operations.gate` and `operations.lock`. That is tried first, and it is had at once where
//! nothing runs. *Narrowly*: beside requests of other branches, by `operations.lock`, shared, and the gates and locks of the
//! branches that the publish must own. A writer goes narrowly where all who share `operations.lock` say that they are
//! requests or programs in a branch; whoever else has it may be looking at any branch, and is waited for.
//!
//! The kernel's locks alone make both right. That others say what they are only decides which way a writer tries.
//!
//! Most requests do not ask at a gate: they look, once they have a lock, whether `operations.lock` says that a writer waits. A
//! writer writes that down when it has closed its gates, and takes it away when it gives up or publishes.
//!
//! A writer never waits for one lock while it holds another that a request may want: it closes the gates of its branches, and
//! then takes all of their locks at once or none. A request that holds its own branch's lock and wants another branch's goes
//! past the gates. So neither can wait for the other.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::file::{Generation, LockFile};
use super::gated::Taken;
use super::holder::{Busy, Sharers};
use super::mutation::{Mutation, Patience, Visit, Wait};
use super::order::{Held, Rank};
use super::shared::OperationsFiles;
use super::{BranchFiles, LockError};
use crate::deadline::Deadline;
use crate::flock::Mode;
use crate::layout::CowLayout;
use crate::name::BranchName;

/// How long a writer lets requests pass after [`super::GATE_HOLD`]: at first, doubling, and at most.
const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1);

/// How often a writer that waits for a stranger looks who else there is.
const NEXT_LOOK: Duration = Duration::from_millis(5);

impl Mutation<'_> {
    /// Waits for a visit of the server to end, then for the requests of `branches` that are already running, and for no
    /// others, and keeps new ones out until the guard is dropped. While a stranger has `operations.lock`, it waits for that
    /// and for all requests instead.
    ///
    /// The generation is bumped before this returns, so that whoever gets the lock next sees that something may have
    /// changed, even if this process dies with the guard in its hands.
    ///
    /// # Errors
    /// [`LockError::Timeout`] names who holds the lock that was busy at the end of the patience.
    pub fn publish(&mut self, branches: &[BranchName], patience: &mut Patience<'_>) -> Result<Publish<'_>, LockError> {
        let operation = self.operation.clone();
        let mut tries = Tries::new(&operation);
        loop {
            if let Some((scope, held, visit)) = self.try_scope(branches, patience, &mut tries)? {
                return Publish::begin(scope, held, visit, &tries.wait);
            }
            tries.rest(patience)?;
        }
    }

    /// Does so unless requests would have to be waited for for longer than a gate may be closed. Where it gives none, others
    /// should have their turn: let `mutation.lock` go, and [rest](Tries::rest).
    ///
    /// # Errors
    /// [`LockError`] where a lock file can't be used, and [`LockError::Timeout`] where the visit does not end.
    pub fn try_publish(
        &mut self,
        branches: &[BranchName],
        patience: &mut Patience<'_>,
        tries: &mut Tries<'_>,
    ) -> Result<Option<Publish<'_>>, LockError> {
        let taken = self.try_scope(branches, patience, tries)?;
        taken.map(|(scope, held, visit)| Publish::begin(scope, held, visit, &tries.wait)).transpose()
    }

    fn try_scope(
        &self,
        branches: &[BranchName],
        patience: &mut Patience<'_>,
        tries: &mut Tries<'_>,
    ) -> Result<Option<(Scope, Held, Visit)>, LockError> {
        let mut branches = branches.to_vec();
        branches.sort_unstable();
        branches.dedup();
        loop {
            let visit = Visit::lock(&self.cow, &self.operation, patience)?;
            let held = Held::enter(Rank::Operations, &self.cow.operations_lock())?;
            match self.attempt(&branches, patience, &mut tries.wait)? {
                Attempt::Taken(scope) => return Ok(Some((scope, held, visit))),
                Attempt::Busy(busy) => tries.busy = Some(busy),
                Attempt::Again => continue,
            }
            return Ok(None);
        }
    }

    /// The same for what is of no branch, or of all: it waits for all requests that run.
    ///
    /// # Errors
    /// [`LockError::Timeout`], as [`Self::publish`].
    pub fn publish_widely(&mut self, patience: &mut Patience<'_>) -> Result<Publish<'_>, LockError> {
        self.publish(&[], patience)
    }

    /// Tries once, with gates closed for as long as the patience allows.
    fn attempt(
        &self,
        branches: &[BranchName],
        patience: &mut Patience<'_>,
        wait: &mut Wait<'_>,
    ) -> Result<Attempt, LockError> {
        let scope = Scope::open(&self.cow, &[])?;
        let (gate, lock) = (&scope.site.gated.gate, &scope.site.gated.lock);
        if !patience.poll_for(gate, &self.cow, patience.deadline, wait)? {
            return Ok(Attempt::Busy(scope.site.busy(gate)));
        }
        gate.write_holder(&self.waiting())?;
        let until = patience.deadline.or_after(patience.gate_hold);
        let mut is_taken = lock.try_lock(Mode::Exclusive)?;
        while !is_taken {
            if !branches.is_empty() && Sharers::of(&self.cow, lock.path()).are_in_branches() {
                drop(scope);
                return self.attempt_narrowly(branches, patience, wait);
            }
            scope.announce()?;
            // A stranger that leaves soon, or was none, is not waited for behind a closed gate for longer than that.
            is_taken = patience.poll_for(lock, &self.cow, until.or_after(NEXT_LOOK), wait)?;
            if !is_taken && until.has_passed() {
                return Ok(Attempt::Busy(scope.site.busy(lock)));
            }
        }
        Ok(if lock.is_current()? { Attempt::Taken(scope) } else { Attempt::Again })
    }

    /// The same beside requests of other branches.
    ///
    /// The gates stay open where a request of these branches has been running for longer than they may be closed: its
    /// neighbours are not to wait for it.
    fn attempt_narrowly(
        &self,
        branches: &[BranchName],
        patience: &mut Patience<'_>,
        wait: &mut Wait<'_>,
    ) -> Result<Attempt, LockError> {
        let scope = Scope::open(&self.cow, branches)?;
        match scope.site.gated.share(patience.deadline, true)? {
            Taken::Held => {}
            Taken::Busy(lock) => return Ok(Attempt::Busy(scope.site.busy(lock))),
            Taken::Replaced => return Ok(Attempt::Again),
        }
        let is_long = |branch: &BranchFiles| {
            Sharers::of(&self.cow, branch.gated.lock.path()).run_for_longer_than(patience.gate_hold)
        };
        let mut until = Deadline::NOW;
        if !scope.branches.iter().any(is_long) {
            for BranchFiles { gated, .. } in &scope.branches {
                if !patience.poll_for(&gated.gate, &self.cow, patience.deadline, wait)? {
                    return Ok(Attempt::Busy(scope.site.busy(&gated.gate)));
                }
                gated.gate.write_holder(&self.waiting())?;
            }
            scope.announce()?;
            until = patience.deadline.or_after(patience.gate_hold);
        }
        let mut busy = None;
        let is_taken = patience.poll(&self.cow, until, wait, || {
            busy = scope.lock_branches()?;
            Ok(busy)
        })?;
        if let (false, Some(lock)) = (is_taken, busy) {
            return Ok(Attempt::Busy(scope.site.busy(lock)));
        }
        for BranchFiles { gated, .. } in &scope.branches {
            if !gated.lock.is_current()? {
                return Ok(Attempt::Again);
            }
        }
        // A stranger who came meanwhile is waited for, as one who was there before.
        let has_strangers = Sharers::of(&self.cow, scope.site.path()).has_strangers();
        Ok(if has_strangers { Attempt::Again } else { Attempt::Taken(scope) })
    }

    fn waiting(&self) -> String {
        format!("{}, waiting for requests to end", self.operation)
    }
}

/// A writer's tries to publish. Between two of them others have their turn.
#[derive(Debug)]
pub struct Tries<'a> {
    wait: Wait<'a>,
    back_off: Duration,
    busy: Option<Busy>,
}

impl<'a> Tries<'a> {
    /// Begins to wait. `operation` says to others what for.
    #[must_use]
    pub fn new(operation: &'a str) -> Self {
        Self { wait: Wait::new(operation), back_off: FIRST_BACK_OFF, busy: None }
    }

    /// Rests after a try that failed, from time to time for longer, a second at most.
    ///
    /// # Errors
    /// [`LockError::Timeout`] at the end of the patience names who held the lock that was busy.
    pub fn rest(&mut self, patience: &Patience<'_>) -> Result<(), LockError> {
        if let (true, Some(busy)) = (patience.deadline.has_passed(), self.busy.take()) {
            return Err(LockError::Timeout(busy));
        }
        thread::sleep(self.back_off.min(patience.deadline.remaining()));
        self.back_off = (self.back_off * 2).min(LONGEST_BACK_OFF);
        Ok(())
    }
}

/// What came of one try.
enum Attempt {
    /// All that a publish needs is held.
    Taken(Scope),
    /// Somebody else has a lock that is needed.
    Busy(Busy),
    /// What was found out before is old: a lock file was replaced, or a stranger came.
    Again,
}

/// Lock files of which a writer holds some. Dropped, it holds none.
///
/// Nobody else writes records into them meanwhile: that takes `mutation.lock`.
#[derive(Debug)]
struct Scope {
    site: OperationsFiles,
    /// Those whose gates and locks are held, exclusively, and then the site's lock is shared; none where the site's gate and
    /// lock are held exclusively.
    branches: Vec<BranchFiles>,
    /// Whether `operations.lock` says, for this writer, that one waits.
    announced: AtomicBool,
    pid: u32,
}

impl Scope {
    fn open(cow: &CowLayout, branches: &[BranchName]) -> Result<Self, LockError> {
        let branches = branches.iter().map(|name| BranchFiles::open(cow, name)).collect::<Result<_, _>>()?;
        Ok(Self {
            site: OperationsFiles::open(cow)?,
            branches,
            announced: AtomicBool::new(false),
            pid: std::process::id(),
        })
    }

    /// Says that a writer waits, once its gates are closed.
    fn announce(&self) -> Result<(), LockError> {
        if self.announced.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.site.gated.lock.write_writer_waits()
    }

    /// Takes the locks of all branches or of none, and then gives one that is busy.
    fn lock_branches(&self) -> Result<Option<&LockFile>, LockError> {
        for (number, BranchFiles { gated, .. }) in self.branches.iter().enumerate() {
            if !gated.lock.try_lock(Mode::Exclusive)? {
                self.branches[..number].iter().for_each(|branch| branch.gated.lock.unlock());
                return Ok(Some(&gated.lock));
            }
        }
        Ok(None)
    }

    /// The gates and locks that are held exclusively.
    fn exclusive(&self) -> impl Iterator<Item = &LockFile> {
        let site = self.branches.is_empty().then_some(&self.site.gated);
        site.into_iter()
            .chain(self.branches.iter().map(|branch| &branch.gated))
            .flat_map(|gated| [&gated.lock, &gated.gate])
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            if self.announced.load(Ordering::Relaxed) {
                self.site.gated.lock.clear_writer_waits();
            }
            for lock in self.exclusive() {
                lock.clear_holder();
                lock.unlock();
            }
            self.site.gated.lock.unlock();
        }
    }
}

/// The right to publish: no request of the branches that the publish owns runs. Held for an instant.
#[derive(Debug)]
pub struct Publish<'mutation> {
    scope: Scope,
    generation: u64,
    since: Instant,
    _held: Held,
    _visit: Visit,
    mutation: PhantomData<&'mutation mut ()>,
    /// The last to be dropped.
    _told: Told,
}

/// Says in the log what a publish was, once all locks are let go: nobody waits for whoever reads that.
#[derive(Debug)]
struct Told {
    generation: u64,
    is_narrow: bool,
    waited: Duration,
    since: Instant,
}

impl Drop for Told {
    fn drop(&mut self) {
        let (waited_ms, held_us) = (self.waited.as_millis(), self.since.elapsed().as_micros());
        tracing::debug!(generation = self.generation, is_narrow = self.is_narrow, waited_ms, held_us, "publish locks");
    }
}

impl Publish<'_> {
    fn begin(scope: Scope, held: Held, visit: Visit, wait: &Wait<'_>) -> Result<Self, LockError> {
        let lock = &scope.site.gated.lock;
        let generation =
            Generation { number: lock.generation()?.number + 1, is_publishing: !scope.branches.is_empty() };
        lock.write_generation(generation)?;
        scope.announced.store(false, Ordering::Relaxed);
        for lock in scope.exclusive() {
            lock.write_holder(wait.operation)?;
        }
        let since = Instant::now();
        Ok(Self {
            _told: Told {
                generation: generation.number,
                is_narrow: generation.is_publishing,
                waited: wait.since.elapsed(),
                since,
            },
            scope,
            generation: generation.number,
            since,
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
        if self.scope.pid == std::process::id() && !self.scope.branches.is_empty() {
            // Should this fail, caches are dropped once more than they must be.
            let settled = Generation { number: self.generation, is_publishing: false };
            let _ = self.scope.site.gated.lock.write_generation(settled);
        }
    }
}
