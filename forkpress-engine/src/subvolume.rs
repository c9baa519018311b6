//! Btrfs subvolumes: trees that are made, snapshot and destroyed as a whole, whatever is in them.
//!
//! Everybody else sees a folder: it is renamed and exchanged like one, and an empty one is removed like one. Two things
//! differ: the inode of every subvolume's own folder is 256, and a snapshot has empty folders where the original has
//! subvolumes inside of it. Making and snapshotting needs no privilege but ownership. Destroying needs root or the
//! mount option `user_subvol_rm_allowed`. Without either, the files in the subvolume are removed, and then the empty
//! folder.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The inode of every subvolume's own folder. On other file systems a folder may have it, too.
const ROOT_INODE: u64 = 256;

/// Whether the folder at `path`, a symlink not followed, is a subvolume.
pub(crate) fn is_one(path: &Path) -> io::Result<bool> {
    Ok(id(path, &fs::symlink_metadata(path)?)?.is_some())
}

/// The id of the subvolume at `path`, which no other has or will have; none where it is something else.
pub(crate) fn id(path: &Path, metadata: &fs::Metadata) -> io::Result<Option<u64>> {
    if !metadata.is_dir() || metadata.ino() != ROOT_INODE {
        return Ok(None);
    }
    imp::id(&File::open(path)?)
}

/// Makes an empty subvolume.
pub(crate) fn create(path: &Path) -> io::Result<()> {
    let (folder, name) = place(path)?;
    imp::create(&folder, name)
}

/// Makes `path` a writable snapshot of the subvolume at `source`: what was written before is in it, and it is durable.
/// Subvolumes inside of the source are empty folders in it.
pub(crate) fn snapshot(source: &Path, path: &Path) -> io::Result<()> {
    let (folder, name) = place(path)?;
    imp::snapshot(&File::open(source)?, &folder, name)
}

/// Whether there are subvolumes inside of the one at `path`.
pub(crate) fn has_nested(path: &Path) -> io::Result<bool> {
    imp::has_nested(&File::open(path)?)
}

/// Destroys the subvolume at `path` with all that is in it. A power cut soon after may bring it back whole.
///
/// # Errors
/// `PermissionDenied` when only root may, `DirectoryNotEmpty` when subvolumes are inside of it; nothing is then
/// changed.
pub(crate) fn destroy(path: &Path) -> io::Result<()> {
    let (folder, name) = place(path)?;
    imp::destroy(&folder, name)
}

fn place(path: &Path) -> io::Result<(File, &std::ffi::OsStr)> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok((File::open(folder)?, name))
}

#[cfg(target_os = "linux")]
mod imp {
    use std::fs::File;
    use std::io;

    use rustix::io::Errno;

    use crate::ioctl;

    pub(super) use ioctl::{create_subvolume as create, destroy_subvolume as destroy, snapshot_subvolume as snapshot};

    pub(super) fn id(folder: &File) -> io::Result<Option<u64>> {
        match ioctl::subvolume_of(folder) {
            // Another file system.
            Err(error) if error.raw_os_error() == Some(Errno::NOTTY.raw_os_error()) => Ok(None),
            id => id.map(Some),
        }
    }

    pub(super) fn has_nested(subvolume: &File) -> io::Result<bool> {
        Ok(ioctl::nested_subvolumes(subvolume)? > 0)
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::ffi::OsStr;
    use std::fs::File;
    use std::io::{self, ErrorKind};

    pub(super) fn id(_: &File) -> io::Result<Option<u64>> {
        Ok(None)
    }

    pub(super) fn has_nested(_: &File) -> io::Result<bool> {
        Ok(false)
    }

    pub(super) fn create(_: &File, _: &OsStr) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(super) fn snapshot(_: &File, _: &File, _: &OsStr) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    pub(super) fn destroy(_: &File, _: &OsStr) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }
}
