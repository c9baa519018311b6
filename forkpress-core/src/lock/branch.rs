//! A request's side of the protocol, as far as it is about its branch.
//!
//! A branch has a gate and a lock of its own, so that what is published to one branch need not wait for the requests of
//! another. Whoever shares a branch's lock shares `operations.lock` already. The files are made by the first mutation or
//! request of a branch of that name and stay: a name that never was one has none.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::file::LockFile;
use super::gated::{Gated, Taken};
use super::holder::Busy;
use super::{LockError, SharedOperations};
use crate::deadline::Deadline;
use crate::layout::CowLayout;
use crate::name::BranchName;

/// The open lock files of a branch. A process keeps them from request to request.
#[derive(Debug)]
pub struct BranchFiles {
    pub(super) gated: Gated,
    name: BranchName,
}

impl BranchFiles {
    /// Opens gate and lock of the branch `name`, making them if need be.
    ///
    /// # Errors
    /// [`LockError::Open`] where a file, or the folder of them, can't be opened or made.
    pub fn open(cow: &CowLayout, name: &BranchName) -> Result<Self, LockError> {
        make_folder_of_branches(cow)?;
        let gate = LockFile::open(cow.branch_gate(name))?;
        Ok(Self { gated: Gated { gate, lock: LockFile::open(cow.branch_lock(name))? }, name: name.clone() })
    }

    /// Does the same where there is such a branch, or was; for any other name, and there are many, it makes no files.
    ///
    /// A mutation makes the files before it publishes. So where there are none and no record either, a branch that is found
    /// all the same is a new one: then this has to be asked again.
    ///
    /// # Errors
    /// [`LockError::Open`] where a file of a branch that is known can't be opened or made.
    pub fn find(cow: &CowLayout, name: &BranchName) -> Result<Option<Self>, LockError> {
        let is_known = [cow.branch_lock(name), cow.record(name)].iter().any(|path| path.exists());
        is_known.then(|| Self::open(cow, name)).transpose()
    }

    /// The branch.
    #[must_use]
    pub fn name(&self) -> &BranchName {
        &self.name
    }
}

/// Makes the folder that the lock files of branches are in, if need be.
pub(super) fn make_folder_of_branches(cow: &CowLayout) -> Result<(), LockError> {
    match fs::create_dir(cow.branch_locks_dir()) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(LockError::Open { path: cow.branch_locks_dir(), source })
        }
        _ => Ok(()),
    }
}

/// A branch's lock, held shared. Let go when dropped or by [`Self::release`], with the rules of [`SharedOperations`].
#[derive(Debug)]
pub struct SharedBranch {
    files: Arc<BranchFiles>,
    pid: u32,
    released: AtomicBool,
}

impl SharedBranch {
    /// Takes the lock if it is free, past the gate. Never blocks.
    pub(super) fn try_lock(operations: &SharedOperations, files: &Arc<BranchFiles>) -> Result<Option<Self>, LockError> {
        Ok(files.gated.try_share()?.then(|| Self::new(operations, Arc::clone(files))))
    }

    fn new(operations: &SharedOperations, files: Arc<BranchFiles>) -> Self {
        Self { files, pid: operations.pid, released: AtomicBool::new(false) }
    }

    /// Takes the lock, waiting until the deadline.
    ///
    /// Who calls the site from inside a request, or holds another branch's lock, does not go `through_gate`: a writer that
    /// waits with the gate closed may be waiting for that very request.
    ///
    /// # Errors
    /// [`LockError::Timeout`] names who holds the lock that was busy last.
    pub fn lock(
        operations: &SharedOperations,
        files: &Arc<BranchFiles>,
        deadline: Deadline,
        through_gate: bool,
    ) -> Result<Self, LockError> {
        let cow = operations.files().cow();
        let mut files = Arc::clone(files);
        loop {
            match files.gated.share(deadline, through_gate)? {
                Taken::Held => break,
                Taken::Busy(lock) => return Err(LockError::Timeout(Busy::now(cow, lock.path().to_owned()))),
                Taken::Replaced => {}
            }
            files = Arc::new(BranchFiles::open(cow, &files.name)?);
        }
        Ok(Self::new(operations, files))
    }

    /// The lock files in use, to be kept for the next request.
    #[must_use]
    pub fn files(&self) -> &Arc<BranchFiles> {
        &self.files
    }

    /// Lets the lock go. In a forked child it does nothing.
    pub fn release(&self) {
        if !self.released.load(Ordering::Acquire) && self.pid == std::process::id() {
            self.let_go();
        }
    }

    /// The same, in the process that took the lock.
    pub(super) fn let_go(&self) {
        if !self.released.swap(true, Ordering::AcqRel) {
            self.files.gated.lock.unlock();
        }
    }
}

impl Drop for SharedBranch {
    fn drop(&mut self) {
        self.release();
    }
}
