//! A rename across file systems: copies beside the new place, renames once, and then removes the old one.

use std::fs::File;
use std::io::{self, Write};

use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::location::{Location, is};

/// Renames what is at `source` to `target`, by copying it. Until the copy is whole, nothing is seen at `target` but what was
/// there, and nothing at `source` goes.
///
/// Modes and times are kept, owners where the process may set them. A crash may leave the copy, as a dot file of its own
/// beside the target.
pub(super) fn over(source: &Location<'_>, target: &Location<'_>) -> Result<(), Errno> {
    let what = source.stat()?;
    let copy = [b".".as_slice(), &target.name, format!(".branchfs-{}", std::process::id()).as_bytes()].concat();
    let done = copy_entry(source.folder(), &source.name, &what, target.folder(), &copy)
        .and_then(|()| rustix::fs::renameat(target.folder(), copy.as_slice(), target.folder(), target.name.as_slice()));
    if done.is_err() {
        let _ = remove(target.folder(), &copy);
        return done;
    }
    remove(source.folder(), &source.name)
}

fn copy_entry(from: BorrowedFd<'_>, name: &[u8], what: &Stat, to: BorrowedFd<'_>, copy: &[u8]) -> Result<(), Errno> {
    let reading = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match FileType::from_raw_mode(what.st_mode) {
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(from, name, Vec::new())?;
            rustix::fs::symlinkat(target, to, copy)?;
        }
        FileType::Directory => {
            let from = rustix::fs::openat(from, name, reading | OFlags::DIRECTORY, Mode::empty())?;
            rustix::fs::mkdirat(to, copy, Mode::RWXU)?;
            let folder = rustix::fs::openat(to, copy, reading | OFlags::DIRECTORY, Mode::empty())?;
            for name in names(from.as_fd())? {
                let what = rustix::fs::statat(&from, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?;
                copy_entry(from.as_fd(), &name, &what, folder.as_fd(), &name)?;
            }
            rustix::fs::fchmod(&folder, Mode::from_raw_mode(what.st_mode))?;
        }
        FileType::RegularFile => {
            let mut from = File::from(rustix::fs::openat(from, name, reading, Mode::empty())?);
            let making = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mut file = File::from(rustix::fs::openat(to, copy, making, Mode::RUSR | Mode::WUSR)?);
            io::copy(&mut from, &mut file).and_then(|_| file.flush()).map_err(|error| errno(&error))?;
            rustix::fs::fchmod(&file, Mode::from_raw_mode(what.st_mode))?;
        }
        // Sockets, FIFOs and devices belong to where they are.
        _ => return Err(Errno::XDEV),
    }
    let owner = (Some(Uid::from_raw(what.st_uid)), Some(Gid::from_raw(what.st_gid)));
    match rustix::fs::chownat(to, copy, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::PERM) => {}
        set => set?,
    }
    let times = Timestamps {
        last_access: Timespec { tv_sec: what.st_atime, tv_nsec: what.st_atime_nsec as _ },
        last_modification: Timespec { tv_sec: what.st_mtime, tv_nsec: what.st_mtime_nsec as _ },
    };
    rustix::fs::utimensat(to, copy, &times, AtFlags::SYMLINK_NOFOLLOW)
}

fn remove(folder: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    let what = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if !is(&what, FileType::Directory) {
        return rustix::fs::unlinkat(folder, name, AtFlags::empty());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let inner = rustix::fs::openat(folder, name, flags, Mode::empty())?;
    for name in names(inner.as_fd())? {
        remove(inner.as_fd(), &name)?;
    }
    rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR)
}

fn names(folder: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
