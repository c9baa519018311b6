//! Folders for what comes from another machine, until it is in a tree.
//!
//! Each is locked by the process that uses it, and goes when it is dropped. One that nobody has locked was left by a process
//! that died: the next mutation removes it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::disk::{self, DiskError, step};
use crate::site::create_folder;
use forkpress_core::flock;
use forkpress_core::layout::CowLayout;

/// A private folder that goes when it is dropped.
#[derive(Debug)]
pub struct Incoming {
    path: PathBuf,
    _lock: File,
}

impl Incoming {
    /// Makes one in a site, which may be one that is being made.
    ///
    /// # Errors
    /// [`DiskError`] where it can't be made.
    pub fn make(cow: &CowLayout) -> Result<Self, DiskError> {
        let dir = cow.incoming_dir();
        step("make the folder", &dir, || create_folder(&dir))?;
        let process = std::process::id();
        for number in 0u32.. {
            let path = dir.join(format!("{process}-{number}"));
            let made = step("make the folder", &path, || match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                made => made.map(|()| true),
            });
            if made? && let Some(lock) = step("lock", &path, || lock(&path))? {
                return Ok(Self { path, _lock: lock });
            }
        }
        unreachable!("no folder has so many folders in it")
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Where it can't, the next mutation removes it.
        let _ = disk::remove(&self.path);
    }
}

/// Removes what dead processes left, and says whether that was anything.
pub(crate) fn sweep(cow: &CowLayout) -> Result<bool, DiskError> {
    let dir = cow.incoming_dir();
    if disk::inode(&dir)?.is_none() {
        return Ok(false);
    }
    let mut is_any = false;
    for path in disk::list(&dir)? {
        if let Some(_lock) = step("lock", &path, || lock(&path))? {
            disk::remove(&path)?;
            is_any = true;
        }
    }
    Ok(is_any)
}

/// Locks a folder; none where somebody has, or where it is gone meanwhile.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let folder = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let is_locked = flock::try_lock(&folder, flock::Mode::Exclusive)?;
    let is_there =
        fs::symlink_metadata(path).is_ok_and(|found| folder.metadata().is_ok_and(|own| own.ino() == found.ino()));
    Ok((is_locked && is_there).then_some(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays_and_what_was_left_goes() {
        let dir = tempfile::tempdir().unwrap();
        let cow = CowLayout::new(dir.path());
        assert!(!sweep(&cow).unwrap());
        let used = Incoming::make(&cow).unwrap();
        let left = Incoming::make(&cow).unwrap();
        fs::write(left.path().join("x"), "").unwrap();
        let path = left.path().to_owned();
        // As of a process that was killed.
        flock::unlock(&left._lock).unwrap();
        std::mem::forget(left);
        assert!(sweep(&cow).unwrap());
        assert!(!path.exists() && used.path().is_dir());
        assert!(!sweep(&cow).unwrap());
        drop(used);
        assert_eq!(disk::list(&cow.incoming_dir()).unwrap().len(), 0);
    }
}
