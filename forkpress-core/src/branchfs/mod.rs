//! The files of branches, as `branchfs://BRANCH/path` names them.
//!
//! A [`BranchUrl`] is parsed without a look at the disk. A [`Root`] is the open folder of a branch. Each of its
//! operations resolves a path beneath that folder. No `..`, symlink or swapped folder leads out of it, and none leads
//! to what [`policy`](is_private) keeps out of reach. The caller holds the operations lock, shared, for as long as it
//! has a root: only for so long the folder is the branch's.

mod actions;
mod beneath;
mod carry;
mod folder;
mod glob;
mod listing;
mod location;
mod policy;
mod url;

use rustix::io::Errno;
use thiserror::Error;

pub use actions::{Access, rename};
pub use beneath::{Resolver, Root};
pub use folder::BranchFolder;
pub use glob::{GlobFlags, GlobTree, glob};
pub use listing::{Listed, SiteAddress, list};
pub use policy::{WritePolicy, is_private};
pub use url::{BranchPath, BranchUrl, Owner, SCHEME};

/// Why an operation on a `branchfs://` URL was refused or failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum FsError {
    /// The URL has no branch in it.
    #[error("a URL has the form branchfs://BRANCH/path")]
    InvalidUrl,
    /// There is no such branch, or there can't be one.
    #[error("branch not found: {0}")]
    NoBranch(String),
    /// The URL begins with `branchfs://./`, and the code that asked runs in no branch.
    #[error("this code runs in no branch: name one, as in branchfs://main/path")]
    NoOwnBranch,
    /// The path, or a symlink in it, leads out of the branch. An absolute symlink always does.
    #[error("the path leads out of the branch")]
    Outside,
    /// The database of a branch, and ForkPress's own files.
    #[error("the database and ForkPress's own files are out of reach of branchfs://")]
    Private,
    /// `branchfs.write` does not allow it.
    #[error("branchfs.write = {0} does not allow changes in this branch")]
    ReadOnly(WritePolicy),
    /// The folder of a branch, or that of all branches, was to be made, renamed or removed.
    #[error("branches are made and removed with the command forkpress")]
    BranchItself,
    /// The system said no.
    #[error("{0}")]
    System(#[from] Errno),
    /// The lock could not be taken, or there is no site.
    #[error("{0}")]
    Site(String),
}

impl FsError {
    /// The number that a C library function would have left in `errno`.
    #[must_use]
    pub fn errno(&self) -> i32 {
        let errno = match self {
            Self::System(errno) => *errno,
            Self::InvalidUrl => Errno::INVAL,
            Self::NoBranch(_) | Self::NoOwnBranch => Errno::NOENT,
            Self::Outside => Errno::XDEV,
            Self::Private | Self::BranchItself => Errno::ACCESS,
            Self::ReadOnly(_) => Errno::ROFS,
            Self::Site(_) => Errno::AGAIN,
        };
        errno.raw_os_error()
    }
}
