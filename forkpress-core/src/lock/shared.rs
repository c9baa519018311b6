//! A request's side of the protocol.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::file::{Generation, Header, LockFile};
use super::gated::{Gated, Taken};
use super::holder::Busy;
use super::order::{Held, Rank};
use super::{BranchFiles, LockError, LoopbackToken};
use crate::deadline::Deadline;
use crate::flock::Mode;
use crate::layout::CowLayout;

/// The open lock files of a site. A process opens them once and keeps them for all its requests.
#[derive(Debug)]
pub struct OperationsFiles {
    pub(super) gated: Gated,
    cow: CowLayout,
}

impl OperationsFiles {
    /// Opens `operations.lock` and `operations.gate` of a site.
    ///
    /// # Errors
    /// [`LockError::Open`] where one of them can't be opened or made.
    pub fn open(cow: &CowLayout) -> Result<Self, LockError> {
        let lock = LockFile::open(cow.operations_lock())?;
        Ok(Self { gated: Gated { gate: LockFile::open(cow.operations_gate())?, lock }, cow: cow.clone() })
    }

    /// The site's `cow` folder.
    #[must_use]
    pub fn cow(&self) -> &CowLayout {
        &self.cow
    }

    /// The path of `operations.lock`.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.gated.lock.path()
    }

    pub(super) fn busy(&self, lock: &LockFile) -> Busy {
        Busy::now(&self.cow, lock.path().to_owned())
    }
}

/// Tells whether a writer waits, through open files of its own: it may be asked beside a thread that takes the lock.
#[derive(Debug)]
pub struct GateProbe(Vec<LockFile>);

impl GateProbe {
    /// Opens `operations.gate` of a site.
    ///
    /// # Errors
    /// [`LockError::Open`] where the gate can't be opened or made.
    pub fn open(cow: &CowLayout) -> Result<Self, LockError> {
        LockFile::open(cow.operations_gate()).map(|gate| Self(vec![gate]))
    }

    /// Opens `prepare.gate` of a site, which a writer that works on the whole site holds.
    ///
    /// # Errors
    /// [`LockError::Open`] where the gate can't be opened or made.
    pub fn of_preparations(cow: &CowLayout) -> Result<Self, LockError> {
        LockFile::open(cow.prepare_gate()).map(|gate| Self(vec![gate]))
    }

    /// Asks at the gate of a branch as well.
    ///
    /// # Errors
    /// [`LockError::Open`] where the branch's gate can't be opened a second time.
    pub fn and_of(mut self, branch: &BranchFiles) -> Result<Self, LockError> {
        self.0.push(LockFile::open(branch.gated.gate.path().to_owned())?);
        Ok(self)
    }

    /// Whether a ForkPress writer holds a gate: it waits for the running requests to end, or publishes.
    ///
    /// A writer that has let the gate go for a while, and one that is no ForkPress program, is not seen.
    ///
    /// # Errors
    /// [`LockError::Lock`] where the system can't say whether a gate is held.
    pub fn writer_waits(&self) -> Result<bool, LockError> {
        for gate in &self.0 {
            if !gate.try_lock(Mode::Shared)? {
                return Ok(true);
            }
            gate.unlock();
        }
        Ok(false)
    }
}

/// The operations lock, held shared. Let go when dropped or by [`Self::release`], from any thread of the process that took
/// it; a forked child neither keeps it nor lets go of its parent's, provided that it closes its copy of the files.
#[derive(Debug)]
pub struct SharedOperations {
    files: Arc<OperationsFiles>,
    pub(super) pid: u32,
    released: AtomicBool,
    held: Held,
}

impl SharedOperations {
    /// Takes the lock if it is free, past the gate. Never blocks.
    pub(super) fn try_lock(files: &Arc<OperationsFiles>) -> Result<Option<Self>, LockError> {
        let held = Held::enter(Rank::Operations, files.path())?;
        Ok(files.gated.try_share()?.then(|| Self::new(Arc::clone(files), held)))
    }

    fn new(files: Arc<OperationsFiles>, held: Held) -> Self {
        Self { files, pid: std::process::id(), released: AtomicBool::new(false), held }
    }

    /// Takes the lock, waiting until the deadline: gate, operations, gate let go.
    ///
    /// `pass` lets a request of the site's own pass a gate that a writer holds. Lock files that were replaced on disk
    /// since they were opened are opened again.
    ///
    /// # Errors
    /// [`LockError::Timeout`] names who holds the lock that was busy last; [`LockError::OutOfOrder`] where this thread
    /// holds the lock already.
    pub fn lock(
        files: &Arc<OperationsFiles>,
        deadline: Deadline,
        pass: Option<&LoopbackToken>,
    ) -> Result<Self, LockError> {
        let held = Held::enter(Rank::Operations, files.path())?;
        let mut files = Arc::clone(files);
        loop {
            match files.gated.share(deadline, pass.is_none())? {
                Taken::Held => break,
                Taken::Busy(lock) => return Err(LockError::Timeout(files.busy(lock))),
                Taken::Replaced => {}
            }
            files = Arc::new(OperationsFiles::open(&files.cow)?);
        }
        Ok(Self::new(files, held))
    }

    /// The lock files in use, to be kept for the next request.
    #[must_use]
    pub fn files(&self) -> &Arc<OperationsFiles> {
        &self.files
    }

    /// How often the site has been published. While the lock is held that grows only by what is published to branches whose
    /// locks are not held.
    ///
    /// # Errors
    /// [`LockError::Lock`] where `operations.lock` can't be read.
    pub fn generation(&self) -> Result<Generation, LockError> {
        self.header().map(|header| header.generation)
    }

    /// What `operations.lock` says.
    pub(super) fn header(&self) -> Result<Header, LockError> {
        self.files.gated.lock.header().map(Option::unwrap_or_default)
    }

    /// Whether the lock is still held, by this process and not by the one that forked it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.released.load(Ordering::Acquire) && self.pid == std::process::id()
    }

    /// Lets the lock go, and says whether it was held until now. In a forked child it does nothing.
    pub fn release(&self) -> bool {
        !self.released.load(Ordering::Acquire) && self.pid == std::process::id() && self.let_go()
    }

    /// The same, in the process that took the lock.
    pub(super) fn let_go(&self) -> bool {
        if self.released.swap(true, Ordering::AcqRel) {
            return false;
        }
        self.files.gated.lock.unlock();
        self.held.leave();
        true
    }
}

impl Drop for SharedOperations {
    fn drop(&mut self) {
        self.release();
    }
}
