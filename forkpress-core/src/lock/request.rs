//! The locks of a request: the site's, and those of the branches in which it is at work.
//!
//! Most requests find no writer, so they ask at no gate. They take the site's lock and their branch's as they are, and then
//! look at the first line of `operations.lock`, which they read for its generation anyway. Where it says that a writer waits,
//! they let both go and come again through the gates, once. So no request that has taken its locks after that was written
//! runs before the writer is done: at worst the writer finds a lock taken for the instant in which a request reads that line.
//! A writer that died leaves the line as it is: until the next publish requests then go through the gates.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    BranchFiles, GateProbe, Generation, LockError, LoopbackToken, OperationsFiles, SharedBranch, SharedOperations,
};
use crate::deadline::Deadline;
use crate::layout::CowLayout;
use crate::name::BranchName;

/// The lock files of how many branches are kept open.
const MOST_BRANCHES: usize = 16;

/// The open lock files of a site and of the branches that were used last. A process keeps them from request to request.
#[derive(Debug)]
pub struct KeptFiles {
    site: Arc<OperationsFiles>,
    branches: Vec<Arc<BranchFiles>>,
}

impl KeptFiles {
    /// Opens the lock files of a site; those of a branch are opened when they are needed.
    ///
    /// # Errors
    /// [`LockError::Open`] where `operations.lock` or its gate can't be opened or made.
    pub fn open(cow: &CowLayout) -> Result<Self, LockError> {
        Ok(Self { site: Arc::new(OperationsFiles::open(cow)?), branches: Vec::new() })
    }

    /// Those of the site.
    #[must_use]
    pub fn site(&self) -> &OperationsFiles {
        &self.site
    }

    fn of(&self, name: &BranchName) -> Option<&Arc<BranchFiles>> {
        self.branches.iter().find(|files| files.name() == name)
    }

    /// Keeps these in place of older ones of the branch.
    fn keep(&mut self, files: &Arc<BranchFiles>) {
        self.branches.retain(|kept| kept.name() != files.name());
        if self.branches.len() >= MOST_BRANCHES {
            self.branches.clear();
        }
        self.branches.push(Arc::clone(files));
    }
}

/// The locks of a request. Let go when dropped or by [`Self::release`], with the rules of [`SharedOperations`].
#[derive(Debug)]
pub struct RequestLocks {
    // In the order in which they are let go.
    branches: Mutex<Vec<SharedBranch>>,
    site: SharedOperations,
    /// Whether the request may pass a gate that a writer holds.
    passes: bool,
}

impl RequestLocks {
    /// Takes the site's lock, and that of `branch` where there is such a branch, waiting until the deadline. Also says how often
    /// the site was published before it had them.
    ///
    /// `pass` lets a request of the site's own pass a gate that a writer holds.
    ///
    /// # Errors
    /// [`LockError::Timeout`] names who holds the lock that was busy last; [`LockError::OutOfOrder`] where this thread
    /// holds the lock already.
    pub fn lock(
        kept: &mut KeptFiles,
        branch: Option<&BranchName>,
        deadline: Deadline,
        pass: Option<&LoopbackToken>,
    ) -> Result<(Self, Generation), LockError> {
        if let Some(taken) = Self::try_lock(kept, branch, pass.is_some())? {
            return Ok(taken);
        }
        let site = SharedOperations::lock(&kept.site, deadline, pass)?;
        kept.site = Arc::clone(site.files());
        let locks = Self { branches: Mutex::default(), site, passes: pass.is_some() };
        if let Some(name) = branch {
            locks.lock_branch(kept, name, deadline)?;
        }
        // After the branch's lock: what was published to it while that was waited for counts.
        let generation = locks.site.generation()?;
        Ok((locks, generation))
    }

    /// Takes the locks if they are free, no writer waits, and the branch's files are open already. Never blocks.
    ///
    /// # Errors
    /// [`LockError`], but no timeout.
    pub fn try_lock(
        kept: &KeptFiles,
        branch: Option<&BranchName>,
        passes: bool,
    ) -> Result<Option<(Self, Generation)>, LockError> {
        let files = branch.map(|name| kept.of(name));
        if files.is_some_and(|files| files.is_none()) {
            return Ok(None);
        }
        let Some(site) = SharedOperations::try_lock(&kept.site)? else { return Ok(None) };
        let own = match files.flatten() {
            Some(files) => match SharedBranch::try_lock(&site, files)? {
                Some(own) => Some(own),
                None => return Ok(None),
            },
            None => None,
        };
        // Only now: a writer that says later that it waits finds the locks taken.
        let header = site.header()?;
        let branches = Mutex::new(own.into_iter().collect());
        let locks = Self { branches, site, passes };
        Ok((!header.writer_waits).then_some((locks, header.generation)))
    }

    /// Takes the lock of one more branch, where there is such a branch and its lock is not held. Says how often the site was
    /// published before, if it did.
    ///
    /// A request that has the lock of another branch passes the gate: the writer that keeps it closed may be waiting for it.
    ///
    /// # Errors
    /// [`LockError::Timeout`], as [`Self::lock`].
    pub fn lock_branch(
        &self,
        kept: &mut KeptFiles,
        name: &BranchName,
        deadline: Deadline,
    ) -> Result<Option<Generation>, LockError> {
        let mut held = self.held();
        if held.iter().any(|branch| branch.files().name() == name) {
            return Ok(None);
        }
        let files = match kept.of(name) {
            Some(files) => Arc::clone(files),
            None => match BranchFiles::find(self.site.files().cow(), name)? {
                Some(files) => Arc::new(files),
                None => return Ok(None),
            },
        };
        let branch = SharedBranch::lock(&self.site, &files, deadline, held.is_empty() && !self.passes)?;
        kept.keep(branch.files());
        held.push(branch);
        self.site.generation().map(Some)
    }

    /// The site's lock.
    #[must_use]
    pub fn site(&self) -> &SharedOperations {
        &self.site
    }

    /// The branches whose locks are held.
    #[must_use]
    pub fn branches(&self) -> Vec<BranchName> {
        self.held().iter().map(|branch| branch.files().name().clone()).collect()
    }

    /// Whether the lock of this branch is held.
    #[must_use]
    pub fn has(&self, name: &BranchName) -> bool {
        self.held().iter().any(|branch| branch.files().name() == name)
    }

    /// Whether the locks are still held, by this process and not by the one that forked it.
    #[must_use]
    pub fn are_held(&self) -> bool {
        self.site.is_held()
    }

    /// Looks at the gates through which others come to these locks.
    ///
    /// # Errors
    /// [`LockError::Open`] where one of the gates can't be opened a second time.
    pub fn probe(&self) -> Result<GateProbe, LockError> {
        let probe = GateProbe::open(self.site.files().cow())?;
        self.held().iter().try_fold(probe, |probe, branch| probe.and_of(branch.files()))
    }

    /// Lets all locks go, and says whether they were held until now. In a forked child it does nothing.
    pub fn release(&self) -> bool {
        if !self.site.is_held() {
            return false;
        }
        self.held().drain(..).for_each(|branch| branch.let_go());
        self.site.let_go()
    }

    fn held(&self) -> MutexGuard<'_, Vec<SharedBranch>> {
        self.branches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
