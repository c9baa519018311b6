//! Changes and looks at the files of a branch, apart from opening them. The system reports the errors, so they are
//! those of a plain path.

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW, Uid};
use rustix::io::Errno;

use super::beneath::{Last, PATH, Root, may_search};
use super::location::{Location, is};
use super::policy::holds_private;
use super::{BranchPath, FsError, carry};

pub use rustix::fs::Access;

impl Root {
    /// What is at a path; the symlink itself if `follow` is not set.
    ///
    /// # Errors
    /// [`FsError::Outside`] and [`FsError::Private`] when the path leads there; [`FsError::System`] when nothing is
    /// there, or the process may not look.
    pub fn stat(&self, path: &BranchPath<'_>, follow: bool) -> Result<Stat, FsError> {
        let follow = follow || path.names_folder;
        if let Some(place) = self.quick_place(path)? {
            let stat = place.stat()?;
            if !follow || !is(&stat, FileType::Symlink) {
                return as_named(path, stat);
            }
        }
        let place = self.walk(path, if follow { Last::Follow } else { Last::Keep })?;
        as_named(path, place.stat()?)
    }

    /// Whether the process may do something with the file at a path, as `access(2)` has it.
    ///
    /// # Errors
    /// [`FsError::Outside`] and [`FsError::Private`] when the path leads there; [`FsError::System`] when nothing is
    /// there, or the process may not do it.
    pub fn access(&self, path: &BranchPath<'_>, access: Access) -> Result<(), FsError> {
        let place = self.place(path, Last::Follow)?;
        if path.names_folder {
            as_named(path, place.stat()?)?;
        }
        Ok(rustix::fs::access(itself(&place)?.path(), access)?)
    }

    /// Makes a folder; with `parents`, also those that it lies in, as PHP does: without a look at dots.
    ///
    /// # Errors
    /// [`FsError::Outside`] and [`FsError::Private`] when the path leads there; [`FsError::System`] as `mkdir(2)`:
    /// something is there, or the folder that it is to be in is not.
    pub fn make_folder(&self, path: &BranchPath<'_>, mode: Mode, parents: bool) -> Result<(), FsError> {
        if !parents {
            let place = self.place(path, Last::Keep)?;
            return Ok(rustix::fs::mkdirat(place.folder(), place.name.as_slice(), mode)?);
        }
        let path = path.without_dots()?;
        match self.make_folder(&path, mode, false) {
            Err(FsError::System(Errno::NOENT)) if path.segments.len() > 1 => {
                let parent = BranchPath {
                    segments: path.segments[..path.segments.len() - 1].to_vec(),
                    names_folder: false,
                    slash: false,
                };
                match self.make_folder(&parent, mode, true) {
                    Ok(()) | Err(FsError::System(Errno::EXIST)) => self.make_folder(&path, mode, false),
                    failed => failed,
                }
            }
            outcome => outcome,
        }
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// [`FsError::BranchItself`] when the path is the branch's folder; [`FsError::Outside`] and [`FsError::Private`]
    /// when the path leads there; [`FsError::System`] as `rmdir(2)`: it is no folder, or not empty.
    pub fn remove_folder(&self, path: &BranchPath<'_>) -> Result<(), FsError> {
        let place = self.changeable(path)?;
        if path.segments.last().is_some_and(|&last| last == b"..") {
            // It holds at least what the path came through.
            return Err(Errno::NOTEMPTY.into());
        }
        Ok(rustix::fs::unlinkat(place.folder(), place.name.as_slice(), AtFlags::REMOVEDIR)?)
    }

    /// Removes a file or a symlink.
    ///
    /// # Errors
    /// [`FsError::BranchItself`] when the path is the branch's folder; [`FsError::Outside`] and [`FsError::Private`]
    /// when the path leads there; [`FsError::System`] as `unlink(2)`: nothing is there, or a folder.
    pub fn remove_file(&self, path: &BranchPath<'_>) -> Result<(), FsError> {
        let place = self.changeable(path)?;
        if path.names_folder {
            let is_folder = is(&place.stat()?, FileType::Directory);
            return Err(if is_folder { Errno::ISDIR } else { Errno::NOTDIR }.into());
        }
        Ok(rustix::fs::unlinkat(place.folder(), place.name.as_slice(), AtFlags::empty())?)
    }

    /// Sets the times of what is at a path, in seconds: last access, last change; `None`: now.
    ///
    /// # Errors
    /// [`FsError::Outside`] and [`FsError::Private`] when the path leads there; [`FsError::System`] when nothing is
    /// there, or the process may not change it.
    pub fn set_times(&self, path: &BranchPath<'_>, times: Option<(i64, i64)>) -> Result<(), FsError> {
        let place = self.existing(path)?;
        let moment = |seconds| match seconds {
            Some(tv_sec) => Timespec { tv_sec, tv_nsec: 0 },
            None => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        };
        let times =
            Timestamps { last_access: moment(times.map(|t| t.0)), last_modification: moment(times.map(|t| t.1)) };
        Ok(rustix::fs::utimensat(place.folder(), place.name.as_slice(), &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Sets the mode of what is at a path.
    ///
    /// # Errors
    /// [`FsError::Outside`] and [`FsError::Private`] when the path leads there; [`FsError::System`] when nothing is
    /// there, or the process may not change it.
    pub fn set_mode(&self, path: &BranchPath<'_>, mode: Mode) -> Result<(), FsError> {
        let place = self.existing(path)?;
        Ok(rustix::fs::chmod(itself(&place)?.path(), mode)?)
    }

    /// Sets the owner or the group of what is at a path, or both.
    ///
    /// # Errors
    /// [`FsError::Outside`] and [`FsError::Private`] when the path leads there; [`FsError::System`] when nothing is
    /// there, or the process may not change it.
    pub fn set_owner(&self, path: &BranchPath<'_>, user: Option<u32>, group: Option<u32>) -> Result<(), FsError> {
        let place = self.existing(path)?;
        let (user, group) = (user.map(Uid::from_raw), group.map(Gid::from_raw));
        Ok(rustix::fs::chownat(place.folder(), place.name.as_slice(), user, group, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Where a path leads, below the branch's folder and with every symlink but the last followed. The last name need not
    /// exist.
    ///
    /// # Errors
    /// [`FsError::Outside`] and [`FsError::Private`] when the path leads there; [`FsError::System`] when a folder on
    /// the way is missing, or may not be looked into.
    pub fn real_path(&self, path: &BranchPath<'_>) -> Result<Vec<u8>, FsError> {
        let place = self.walk(path, Last::Follow)?;
        Ok(place.inside.iter().flat_map(|name| std::iter::once(b'/').chain(name.iter().copied())).collect())
    }

    /// A place below the root whose name is to be taken away.
    fn changeable(&self, path: &BranchPath<'_>) -> Result<Location<'_>, FsError> {
        let place = self.place(path, Last::Keep)?;
        if place.is_root() { Err(FsError::BranchItself) } else { Ok(place) }
    }

    /// What a path leads to; with a slash at its end, only a folder.
    fn existing(&self, path: &BranchPath<'_>) -> Result<Location<'_>, FsError> {
        let place = self.place(path, Last::Follow)?;
        if path.names_folder {
            as_named(path, place.stat()?)?;
        }
        Ok(place)
    }
}

/// Renames a file, a symlink or a folder, in a branch or from one into another. Where the two lie on file systems, or btrfs
/// subvolumes, that can't exchange names, it is copied beside its new place first, and put there by one rename.
///
/// # Errors
/// [`FsError::BranchItself`] when either path is a branch's folder; [`FsError::Private`] when what would move holds
/// something private; [`FsError::Outside`] when a path leads out; [`FsError::System`] as `rename(2)`.
pub fn rename(from: (&Root, &BranchPath<'_>), to: (&Root, &BranchPath<'_>)) -> Result<(), FsError> {
    let source = from.0.changeable(from.1)?;
    let target = match to.0.changeable(to.1) {
        // The system looks into the one folder before it looks for the other.
        Err(error) => return Err(may_search(source.folder()).map_or_else(Into::into, |()| error)),
        Ok(target) => target,
    };
    let is_dot = source.name == b"." || target.name == b".";
    let wants_folder = from.1.names_folder || to.1.names_folder;
    if is_dot || wants_folder {
        may_search(source.folder())?;
        may_search(target.folder())?;
        if is_dot {
            return Err(Errno::BUSY.into());
        }
        if !is(&source.stat()?, FileType::Directory) {
            return Err(Errno::NOTDIR.into());
        }
    }
    if holds_private(&source.inside) {
        return Err(FsError::Private);
    }
    match rustix::fs::renameat(source.folder(), source.name.as_slice(), target.folder(), target.name.as_slice()) {
        Err(Errno::XDEV) => Ok(carry::over(&source, &target)?),
        renamed => Ok(renamed?),
    }
}

/// A path with a slash at its end names a folder or nothing.
fn as_named(path: &BranchPath<'_>, stat: Stat) -> Result<Stat, FsError> {
    if path.names_folder && !is(&stat, FileType::Directory) { Err(Errno::NOTDIR.into()) } else { Ok(stat) }
}

/// What is at a place, held open without a look at what is in it, so that it can't be swapped for a symlink.
struct Itself(OwnedFd);

impl Itself {
    /// A path that leads to it, whatever its name is by now.
    fn path(&self) -> String {
        let folder = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
        format!("{folder}/{}", self.0.as_raw_fd())
    }
}

fn itself(place: &Location<'_>) -> Result<Itself, FsError> {
    let flags = PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(place.folder(), place.name.as_slice(), flags, Mode::empty())?;
    if is(&rustix::fs::fstat(&file)?, FileType::Symlink) {
        return Err(Errno::LOOP.into());
    }
    Ok(Itself(file))
}
