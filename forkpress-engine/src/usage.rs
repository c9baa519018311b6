//! How many bytes of the disk a tree holds, as the file system says: those that would come free with it, and those that
//! it shares.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Mutex;

use rayon::prelude::*;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::disk::{DiskError, step};

/// The bytes of a tree's files, each file counted once, however many names it has in the tree.
///
/// What the file system keeps in its own metadata is in neither number: names, attributes, and on btrfs the content of
/// files up to 2 KiB. Compressed bytes count as what they are uncompressed. A file whose bytes are not on the disk yet is
/// counted as if it were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What only this tree holds.
    pub exclusive_bytes: u64,
    /// What other trees hold as well: branches, or what is kept of those that were deleted. Bytes that two files of
    /// this tree share count, twice, as shared, too: the file system does not say with whom.
    pub shared_bytes: u64,
}

impl std::ops::Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            exclusive_bytes: self.exclusive_bytes + other.exclusive_bytes,
            shared_bytes: self.shared_bytes + other.shared_bytes,
        }
    }
}

/// Measures the tree at `root` while whoever writes into it goes on. What goes meanwhile may be counted or not.
///
/// # Errors
/// [`DiskError`] when a folder can't be read.
pub fn measure(root: &Path) -> Result<Usage, DiskError> {
    let folder = step("read the folder", root, || Ok(rustix::fs::open(root, FOLDER, Mode::empty())?))?;
    measure_folder(root, &File::from(folder), &Mutex::default())
}

/// The device and inode of each file with several names that was counted.
type Seen = Mutex<HashSet<(u64, u64)>>;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// NONBLOCK: a FIFO that took a file's place would block until somebody writes into it.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

fn measure_folder(path: &Path, folder: &File, seen: &Seen) -> Result<Usage, DiskError> {
    let mut names: Vec<OsString> = Vec::new();
    step("read the folder", path, || {
        for found in Dir::read_from(folder)? {
            let name = OsStr::from_bytes(found?.file_name().to_bytes()).to_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(())
    })?;
    names
        .par_iter()
        .map(|name| {
            let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => return Ok(Usage::default()),
                stat => step("look at", &path.join(name), || Ok(stat?))?,
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => match rustix::fs::openat(folder, name, FOLDER, Mode::empty()) {
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(Usage::default()),
                    opened => {
                        let below = path.join(name);
                        let opened = step("read the folder", &below, || Ok(opened?))?;
                        measure_folder(&below, &File::from(opened), seen)
                    }
                },
                FileType::RegularFile if is_first_name(&stat, seen) => {
                    step("measure", &path.join(name), || measure_file(folder, name, &stat))
                }
                _ => Ok(Usage::default()),
            }
        })
        .try_reduce(Usage::default, |one, other| Ok(one + other))
}

fn is_first_name(stat: &Stat, seen: &Seen) -> bool {
    stat.st_nlink < 2 || seen.lock().expect("no holder panics").insert((stat.st_dev, stat.st_ino))
}

fn measure_file(folder: &File, name: &OsStr, stat: &Stat) -> io::Result<Usage> {
    const BLOCK_BYTES: u64 = 512;
    let allocated = Usage { exclusive_bytes: stat.st_blocks.cast_unsigned() * BLOCK_BYTES, shared_bytes: 0 };
    if stat.st_blocks == 0 {
        return Ok(allocated);
    }
    match rustix::fs::openat(folder, name, FILE, Mode::empty()) {
        Ok(file) => Ok(extents(&File::from(file))?.unwrap_or(allocated)),
        // Its owner has closed it even to themselves: the file system tells nothing of where it lies.
        Err(Errno::ACCESS) => Ok(allocated),
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => Ok(Usage::default()),
        Err(errno) => Err(errno.into()),
    }
}

/// Sums up where a file lies; none where the file system does not tell, because it shares nothing.
#[cfg(target_os = "linux")]
fn extents(file: &File) -> io::Result<Option<Usage>> {
    let mut usage = Usage::default();
    let told = crate::ioctl::extents(file, |extent| match extent {
        extent if extent.is_inline() => {}
        extent if extent.is_shared() => usage.shared_bytes += extent.length_bytes,
        extent => usage.exclusive_bytes += extent.length_bytes,
    });
    match told.map_err(|error| (Errno::from_io_error(&error), error)) {
        Ok(()) => Ok(Some(usage)),
        Err((Some(Errno::OPNOTSUPP | Errno::NOTTY), _)) => Ok(None),
        Err((_, error)) => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn extents(_: &File) -> io::Result<Option<Usage>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_counts_once_and_only_with_what_it_has_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("folder/file");
        fs::create_dir(dir.path().join("folder")).unwrap();
        fs::write(&file, vec![1; 1 << 20]).unwrap();
        fs::File::create(dir.path().join("sparse")).unwrap().set_len(1 << 40).unwrap();
        symlink(&file, dir.path().join("link")).unwrap();
        let usage = || {
            let usage = measure(dir.path()).unwrap();
            usage.exclusive_bytes + usage.shared_bytes
        };
        let before = usage();
        assert!((1 << 20..2 << 20).contains(&before), "{before}");
        fs::hard_link(&file, dir.path().join("twin")).unwrap();
        assert_eq!(usage(), before);
        assert!(measure(&dir.path().join("none")).is_err());
    }

    #[test]
    fn a_file_in_more_extents_than_are_asked_for_at_once_counts_whole() {
        use std::os::unix::fs::FileExt;
        const PIECES: u64 = 150;
        let dir = tempfile::tempdir().unwrap();
        let file = fs::File::create(dir.path().join("file")).unwrap();
        for piece in 0..PIECES {
            file.write_all_at(&[1; 65536], piece << 18).unwrap();
        }
        file.sync_all().unwrap();
        let usage = measure(dir.path()).unwrap();
        assert_eq!(usage.exclusive_bytes + usage.shared_bytes, PIECES * 65536);
    }
}
