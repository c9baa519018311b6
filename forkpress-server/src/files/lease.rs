//! Locks that several requests share.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use forkpress_core::lock::{KeptFiles, LockError, RequestLocks};
use forkpress_core::name::BranchName;
use forkpress_core::route::{Branches, RouteRefusal};

/// For how long requests come to share locks. A writer that begins to wait then waits so much longer at most.
const SHARED_FOR: Duration = Duration::from_millis(1);

/// The locks of the site and of a branch, which requests that follow each other closely share. Nothing makes it last longer.
#[derive(Debug)]
pub(super) struct Lease {
    branch: BranchName,
    began: Instant,
    /// The branch's folder, which stays where it is for as long as the locks are held.
    root: Result<PathBuf, RouteRefusal>,
    // Let go before their files are anybody else's.
    locks: RequestLocks,
    kept: KeptFiles,
}

impl Lease {
    /// Takes the locks through these files, if they are free and no writer waits. Else gives the files back, with what went wrong
    /// if something did.
    pub(super) fn take(
        kept: KeptFiles,
        branch: &BranchName,
        branches: &Branches<'_>,
    ) -> Result<Self, (KeptFiles, Option<LockError>)> {
        match RequestLocks::try_lock(&kept, Some(branch), false) {
            Ok(Some((locks, _))) => {
                let (branch, root) = (branch.clone(), branches.root(branch));
                Ok(Self { branch, began: Instant::now(), root, locks, kept })
            }
            Ok(None) => Err((kept, None)),
            Err(error) => Err((kept, Some(error))),
        }
    }

    /// Whether one more request may share it, for this branch.
    pub(super) fn holds_for(&self, branch: &BranchName) -> bool {
        self.branch == *branch && self.began.elapsed() < SHARED_FOR
    }

    /// The branch's folder; or why there is none, with what a request is answered then.
    pub(super) fn root(&self) -> Result<PathBuf, RouteRefusal> {
        self.root.clone()
    }

    /// Lets the locks go, and gives the files back.
    pub(super) fn end(self) -> KeptFiles {
        self.locks.release();
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use forkpress_core::deadline::Deadline;
    use forkpress_core::flock::{self, Mode};
    use forkpress_core::layout::CowLayout;

    use super::*;

    /// Open lock files of a site that has the branches `main` and `sale`.
    fn site() -> (tempfile::TempDir, CowLayout, KeptFiles) {
        let dir = tempfile::tempdir().unwrap();
        let cow = CowLayout::new(dir.path());
        fs::create_dir(cow.records_dir()).unwrap();
        let mut kept = KeptFiles::open(&cow).unwrap();
        for name in ["main", "sale"] {
            let name = name.parse().unwrap();
            fs::write(cow.record(&name), "").unwrap();
            RequestLocks::lock(&mut kept, Some(&name), Deadline::after(Duration::ZERO), None).unwrap();
        }
        (dir, cow, kept)
    }

    fn take(cow: &CowLayout, kept: KeptFiles) -> Result<Lease, (KeptFiles, Option<LockError>)> {
        Lease::take(kept, &main(), &Branches { dir: cow.dir(), is_real: false, cow })
    }

    fn main() -> BranchName {
        BranchName::main()
    }

    /// Whether a writer would get the locks of main.
    fn are_free(cow: &CowLayout) -> bool {
        [cow.operations_lock(), cow.branch_lock(&main())]
            .iter()
            .all(|path| flock::try_lock(&fs::File::open(path).unwrap(), Mode::Exclusive).unwrap())
    }

    #[test]
    fn a_lease_is_for_requests_of_its_branch_that_come_in_its_time_and_holds_the_locks_until_it_ends() {
        let (_dir, cow, kept) = site();
        let mut lease = take(&cow, kept).unwrap();
        lease.began = Instant::now() + Duration::from_secs(60);
        assert!(lease.holds_for(&main()));
        assert!(!lease.holds_for(&"sale".parse().unwrap()));
        lease.began = Instant::now().checked_sub(SHARED_FOR).unwrap();
        assert!(!lease.holds_for(&main()), "its time is over");
        assert!(!are_free(&cow));
        let kept = lease.end();
        assert!(are_free(&cow));
        take(&cow, kept).unwrap();
        assert!(are_free(&cow), "one that is dropped ends, too");
    }

    #[test]
    fn no_lease_is_taken_while_a_writer_has_a_lock_or_waits() {
        let (_dir, cow, mut kept) = site();
        for path in [cow.operations_lock(), cow.branch_lock(&main())] {
            let file = fs::File::open(path).unwrap();
            assert!(flock::try_lock(&file, Mode::Exclusive).unwrap());
            let (given_back, failed) = take(&cow, kept).unwrap_err();
            assert!(failed.is_none());
            kept = given_back;
        }
        fs::write(cow.operations_lock(), "generation!00000000000000000007\n").unwrap();
        let (kept, failed) = take(&cow, kept).unwrap_err();
        assert!(failed.is_none() && are_free(&cow));
        fs::write(cow.operations_lock(), "generation 00000000000000000008\n").unwrap();
        take(&cow, kept).unwrap();
    }
}
