//! Where a path leads, and what is there.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

/// A name in an open folder. There may be nothing of that name.
#[derive(Debug)]
pub(super) struct Location<'r> {
    /// None where it is [`Self::root`].
    pub(super) parent: Option<OwnedFd>,
    pub(super) root: BorrowedFd<'r>,
    /// `.` for the folder itself, where the path ended with dots.
    pub(super) name: Vec<u8>,
    /// The names from the root to this place, with every symlink followed; none for the root itself.
    pub(super) inside: Vec<Vec<u8>>,
}

impl Location<'_> {
    /// The folder that the name is in.
    pub(super) fn folder(&self) -> BorrowedFd<'_> {
        self.parent.as_ref().map_or(self.root, AsFd::as_fd)
    }

    /// Whether this is the folder of the branch.
    pub(super) fn is_root(&self) -> bool {
        self.inside.is_empty()
    }

    /// What is there; the symlink itself where it is one.
    pub(super) fn stat(&self) -> Result<Stat, Errno> {
        rustix::fs::statat(self.folder(), self.name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)
    }
}

pub(super) fn is(stat: &Stat, kind: FileType) -> bool {
    FileType::from_raw_mode(stat.st_mode) == kind
}
