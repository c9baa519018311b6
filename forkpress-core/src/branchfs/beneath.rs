//! Finds a path beneath a branch's folder, without ever leaving it.
//!
//! The kernel does it in one step where it can (`openat2`). It refuses to go up from the root, and here also to follow
//! any symlink. Then the path is what it says, and its words tell whether it is private.
//!
//! Where there is a symlink, a `.` or a `..`, or no `openat2`, the path is walked folder by folder. Each is opened
//! relative to the one before, and never through a symlink. A symlink is read, and its target walked from where it
//! stands. A folder that is swapped meanwhile changes where a walk ends, and never leads it out: the walk stands in
//! folders that it has open, and goes up only to those that it came through.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::{self, Errno};

use super::location::{Location, is};
use super::policy::is_private;
use super::{BranchPath, FsError};

/// As many symlinks as the kernel follows in one path.
const MOST_LINKS: usize = 40;

/// As many as PHP follows.
const MOST_LINKS_OF_PHP: usize = 32;

/// How a path is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolver {
    /// By the kernel where it can, else by a walk.
    Kernel,
    /// By a walk.
    Walk,
}

/// The open folder of a branch.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
    resolver: Resolver,
}

/// What to do where the last name of a path is a symlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Follow,
    Keep,
}

/// To look at a folder, or to go through it.
const FOLDER: OFlags = if cfg!(target_os = "linux") {
    OFlags::from_bits_retain(PATH.bits() | OFlags::DIRECTORY.bits() | OFlags::CLOEXEC.bits())
} else {
    OFlags::from_bits_retain(OFlags::DIRECTORY.bits() | OFlags::CLOEXEC.bits())
};

#[cfg(target_os = "linux")]
pub(super) const PATH: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
pub(super) const PATH: OFlags = OFlags::empty();

impl Root {
    /// Opens the real folder of a branch.
    ///
    /// # Errors
    /// [`FsError::System`] when it is missing, no folder or a symlink, or may not be opened.
    pub fn new(dir: &std::path::Path, resolver: Resolver) -> Result<Self, FsError> {
        Ok(Self { dir: rustix::fs::open(dir, FOLDER | OFlags::NOFOLLOW, Mode::empty())?, resolver })
    }

    /// Opens a file or a folder, or makes a file; `flags` and `mode` are those of `open(2)`, and so are the errors.
    ///
    /// # Errors
    /// [`FsError::Outside`] and [`FsError::Private`] when the path leads there; [`FsError::System`] as `open(2)`.
    pub fn open(&self, path: &BranchPath<'_>, flags: OFlags, mode: Mode) -> Result<OwnedFd, FsError> {
        if !path.names_folder
            && let Some(opened) = self.quick_open(path, flags, mode)?
        {
            return Ok(opened?);
        }
        if path.slash && flags.contains(OFlags::CREATE) {
            // A slash after the name of what may be made is wrong, whatever is there.
            may_search(self.walk(path, Last::Keep)?.folder())?;
            return Err(Errno::ISDIR.into());
        }
        // With both, a symlink at the end is never followed, wherever it leads.
        let exclusive = flags.contains(OFlags::CREATE | OFlags::EXCL);
        // What was no symlink when it was looked at may be one now; nobody wins that for long.
        for _ in 0..MOST_LINKS {
            let place = self.walk(path, if exclusive { Last::Keep } else { Last::Follow })?;
            if path.names_folder && place.stat().is_ok_and(|found| !is(&found, FileType::Directory)) {
                return Err(Errno::NOTDIR.into());
            }
            match rustix::fs::openat(place.folder(), place.name.as_slice(), flags | OFlags::NOFOLLOW, mode) {
                Err(Errno::LOOP) => {}
                opened => return Ok(opened?),
            }
        }
        Err(Errno::LOOP.into())
    }

    /// Opens a file or a folder, or makes a file, as PHP opens a plain path: see [`Self::expand_as_php`].
    ///
    /// # Errors
    /// [`FsError::Outside`] and [`FsError::Private`] when the path leads there; [`FsError::System`] as PHP has it for a
    /// plain path.
    pub fn open_as_php(&self, path: &BranchPath<'_>, flags: OFlags, mode: Mode) -> Result<OwnedFd, FsError> {
        if !path.names_folder {
            match self.quick_open(path, flags, mode)? {
                // It may be a symlink to what is not there yet.
                None | Some(Err(Errno::EXIST)) => {}
                Some(Err(Errno::NOTDIR)) => return Err(Errno::NOENT.into()),
                Some(opened) => return Ok(opened?),
            }
        }
        let segments = self.expand_as_php(path)?;
        let segments: Vec<&[u8]> = segments.iter().map(Vec::as_slice).collect();
        let names_folder = path.slash || segments.is_empty();
        self.open(&BranchPath { segments, names_folder, slash: path.slash }, flags, mode)
    }

    /// The names that PHP makes of a path before it hands that to the system: without dots, and each symlink followed.
    ///
    /// What is missing may be named, and a `..` takes it back. For a path through a file, or a loop of symlinks, PHP does not
    /// ask the system: there is no such file.
    ///
    /// # Errors
    /// [`FsError::Outside`] and [`FsError::Private`] when the path leads there; [`FsError::System`] when a name on the
    /// way is no folder, or there are too many symlinks.
    pub fn expand_as_php(&self, path: &BranchPath<'_>) -> Result<Vec<Vec<u8>>, FsError> {
        let mut path_left: Vec<Vec<u8>> = path.segments.iter().map(|segment| segment.to_vec()).collect();
        // From the last name to the first, as PHP does it. What is left of a name must be a folder.
        let mut names = Vec::new();
        let mut is_folder = path.slash;
        let mut ups = 0_usize;
        let mut links = 0;
        while let Some(name) = path_left.last() {
            if name == b"." || name == b".." {
                ups += usize::from(name == b"..");
                is_folder = true;
                path_left.pop();
                continue;
            }
            let place = self.place(&BranchPath::of(&path_left), Last::Keep);
            match place.and_then(|place| Ok((place.stat()?, place))) {
                Ok((found, place)) if is(&found, FileType::Symlink) => {
                    links += 1;
                    let target = read_link(place.folder(), &place.name)?.filter(|_| links <= MOST_LINKS_OF_PHP);
                    let target = target.ok_or(FsError::System(Errno::NOENT))?;
                    if target.starts_with(b"/") {
                        return Err(FsError::Outside);
                    }
                    path_left.pop();
                    path_left.extend(target.split(|&b| b == b'/').filter(|part| !part.is_empty()).map(<[u8]>::to_vec));
                    continue;
                }
                Ok((found, _)) if is_folder && !is(&found, FileType::Directory) => return Err(Errno::NOENT.into()),
                Ok(_) | Err(FsError::System(_)) => {}
                Err(refused) => return Err(refused),
            }
            let name = path_left.pop();
            if ups > 0 {
                ups -= 1;
            } else {
                names.extend(name);
            }
            is_folder = true;
        }
        if ups > 0 {
            return Err(FsError::Outside);
        }
        names.reverse();
        Ok(names)
    }

    /// Opens a path that is what its words say; `None` where that takes a walk to find out.
    fn quick_open(
        &self,
        path: &BranchPath<'_>,
        flags: OFlags,
        mode: Mode,
    ) -> Result<Option<io::Result<OwnedFd>>, FsError> {
        if self.resolver == Resolver::Walk || !path.is_clean() || path.segments.is_empty() {
            return Ok(None);
        }
        if is_private(&path.segments) {
            return Err(FsError::Private);
        }
        Ok(without_symlinks(self.dir.as_fd(), &path.segments, flags, mode))
    }

    /// Finds the place that a path names.
    pub(super) fn place(&self, path: &BranchPath<'_>, last: Last) -> Result<Location<'_>, FsError> {
        match self.quick_place(path)? {
            Some(place) if last == Last::Keep || !is_symlink(&place)? => Ok(place),
            _ => self.walk(path, last),
        }
    }

    /// The place that a path names, its last symlink kept; `None` where it takes a walk to find it.
    pub(super) fn quick_place(&self, path: &BranchPath<'_>) -> Result<Option<Location<'_>>, FsError> {
        if self.resolver == Resolver::Walk || !path.is_clean() {
            return Ok(None);
        }
        let Some((name, parents)) = path.segments.split_last() else { return Ok(None) };
        if is_private(&path.segments) {
            return Err(FsError::Private);
        }
        let folder = if parents.is_empty() {
            None
        } else {
            match without_symlinks(self.dir.as_fd(), parents, FOLDER, Mode::empty()) {
                Some(folder) => Some(folder?),
                None => return Ok(None),
            }
        };
        let inside = path.segments.iter().map(|segment| segment.to_vec()).collect();
        Ok(Some(Location { parent: folder, root: self.dir.as_fd(), name: name.to_vec(), inside }))
    }

    /// Walks a path.
    pub(super) fn walk(&self, path: &BranchPath<'_>, last: Last) -> Result<Location<'_>, FsError> {
        let mut to_do: Vec<Vec<u8>> = path.segments.iter().rev().map(|segment| segment.to_vec()).collect();
        let mut folders: Vec<OwnedFd> = Vec::new();
        let mut inside: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(name) = to_do.pop() {
            if name == b"." || name == b".." {
                may_search(folders.last().map_or(self.dir.as_fd(), AsFd::as_fd))?;
                if name == b".." {
                    folders.pop().ok_or(FsError::Outside)?;
                    inside.pop();
                }
                continue;
            }
            inside.push(name);
            if is_private(&inside) {
                return Err(FsError::Private);
            }
            let name = inside.last().expect("it was just put there");
            let here = folders.last().map_or(self.dir.as_fd(), AsFd::as_fd);
            let is_last = to_do.is_empty();
            let target = if is_last && last == Last::Keep {
                None
            } else if is_last {
                read_link(here, name)?
            } else {
                match rustix::fs::openat(here, name.as_slice(), FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
                    Ok(folder) => {
                        folders.push(folder);
                        continue;
                    }
                    Err(error @ (Errno::NOTDIR | Errno::LOOP | Errno::MLINK)) => {
                        Some(read_link(here, name)?.ok_or(FsError::System(error))?)
                    }
                    Err(error) => return Err(error.into()),
                }
            };
            let Some(target) = target else {
                let name = name.clone();
                return Ok(Location { parent: folders.pop(), root: self.dir.as_fd(), name, inside });
            };
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::LOOP.into());
            }
            if target.starts_with(b"/") {
                return Err(FsError::Outside);
            }
            inside.pop();
            if target.ends_with(b"/") {
                to_do.push(b".".to_vec());
            }
            to_do.extend(target.rsplit(|&b| b == b'/').filter(|part| !part.is_empty()).map(<[u8]>::to_vec));
        }
        Ok(Location { parent: folders.pop(), root: self.dir.as_fd(), name: b".".to_vec(), inside })
    }
}

/// Fails where the process may not look names up in a folder; dots are such names.
pub(super) fn may_search(folder: BorrowedFd<'_>) -> io::Result<()> {
    rustix::fs::statat(folder, ".", AtFlags::empty()).map(drop)
}

fn is_symlink(place: &Location<'_>) -> Result<bool, FsError> {
    read_link(place.folder(), &place.name).map(|target| target.is_some())
}

/// The target of a symlink; `None` for what is none, or is not there.
fn read_link(folder: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Vec<u8>>, FsError> {
    match rustix::fs::readlinkat(folder, name, Vec::new()) {
        Ok(target) => Ok(Some(target.into_bytes())),
        Err(Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens a path that has no symlink in it; `None` where it has one, or the kernel can't tell.
#[cfg(target_os = "linux")]
fn without_symlinks(
    root: BorrowedFd<'_>,
    segments: &[&[u8]],
    flags: OFlags,
    mode: Mode,
) -> Option<io::Result<OwnedFd>> {
    use rustix::fs::ResolveFlags;

    /// Whether the kernel has no `openat2`, or a sandbox forbids it.
    static MISSING: AtomicBool = AtomicBool::new(false);
    /// A rename somewhere on the system while a path is resolved makes the kernel give up.
    const ATTEMPTS: usize = 16;

    if MISSING.load(Ordering::Relaxed) {
        return None;
    }
    let path = segments.join(&b'/');
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
    for _ in 0..ATTEMPTS {
        // The kernel takes a mode only with what makes a file.
        let mode = if flags.contains(OFlags::CREATE) { mode } else { Mode::empty() };
        match rustix::fs::openat2(root, path.as_slice(), flags, mode, resolve) {
            Err(Errno::AGAIN) => {}
            Err(Errno::LOOP | Errno::XDEV) => return None,
            Err(Errno::NOSYS | Errno::PERM) => {
                // A file may forbid it too: only what a walk says counts, and it says so again.
                let probe = rustix::fs::openat2(root, ".", FOLDER, Mode::empty(), resolve);
                MISSING.fetch_or(matches!(probe, Err(Errno::NOSYS | Errno::PERM)), Ordering::Relaxed);
                return None;
            }
            opened => return Some(opened),
        }
    }
    None
}

#[cfg(not(target_os = "linux"))]
fn without_symlinks(_: BorrowedFd<'_>, _: &[&[u8]], _: OFlags, _: Mode) -> Option<io::Result<OwnedFd>> {
    None
}
