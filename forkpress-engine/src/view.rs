//! Which file views work in a folder, found by trying them there.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use crate::config::FileView;
use crate::disk::{DiskError, step};
use crate::subvolume;

/// The best view that works in `storage_root` as it is: none with an image, which has to be made and mounted first.
#[must_use]
pub fn probe(storage_root: &Path) -> FileView {
    FileView::ALL
        .into_iter()
        .filter(|view| view.image().is_none())
        .find(|view| supports(*view, storage_root))
        .unwrap_or(FileView::FileCopy)
}

/// Whether a view works in `storage_root`, which is the mounted image where the view has one. Nothing stays there of
/// the attempt, unless the process dies in it: then a folder `.forkpress-probe-*`, which may be removed.
#[must_use]
pub fn supports(view: FileView, storage_root: &Path) -> bool {
    match view {
        FileView::BtrfsSnapshot => snapshots(storage_root).is_ok(),
        FileView::Reflink | FileView::MacosApfsSparsebundle | FileView::LinuxXfsLoop => clones(storage_root).is_ok(),
        FileView::FileCopy => true,
    }
}

/// Makes the folder, which must not exist, that a branch's tree is to be built in.
///
/// # Errors
/// [`DiskError`] when it exists, or its file system is not one for the view.
pub fn create_tree_root(view: FileView, path: &Path) -> Result<(), DiskError> {
    step("make the folder", path, || match view {
        FileView::BtrfsSnapshot => subvolume::create(path),
        _ => std::fs::create_dir(path),
    })
}

/// Whether a view takes the tree at `source` as a whole. It takes a tree's files one by one otherwise: because it always
/// does, or because the tree is no subvolume, or has in it what would not come along: subvolumes and mounted file systems.
pub(crate) fn takes_whole_trees(view: FileView, source: &Path) -> Result<bool, DiskError> {
    match view {
        FileView::BtrfsSnapshot => step("look at", source, || Ok(subvolume::is_one(source)? && is_all(source)?)),
        _ => Ok(false),
    }
}

/// Makes `path` what the tree at `source`, of which the view takes the whole, is now. It is durable.
///
/// # Errors
/// [`DiskError`] with `InvalidInput` when a subvolume or a mounted file system has come into the source since; any
/// other when the system refuses.
pub(crate) fn snapshot(source: &Path, path: &Path) -> Result<(), DiskError> {
    step("snapshot to", path, || match is_all(source)? {
        true => subvolume::snapshot(source, path),
        false => {
            let reason = "a subvolume or a mounted file system has come into the source";
            Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
        }
    })
}

/// Whether the subvolume at `source` is all that is to be seen there.
fn is_all(source: &Path) -> io::Result<bool> {
    if subvolume::has_nested(source)? {
        return Ok(false);
    }
    // A container may hide it.
    Ok(!has_mounts_inside(source).unwrap_or(false))
}

/// Whether file systems are mounted in the tree at `source`, as far as this can be told.
pub(crate) fn has_mounts_inside(source: &Path) -> io::Result<bool> {
    let mounts = std::fs::read("/proc/self/mountinfo")?;
    Ok(mount_points(&mounts).any(|mount| mount != source && mount.starts_with(source)))
}

/// Where file systems are mounted, of `/proc/self/mountinfo`.
fn mount_points(mounts: &[u8]) -> impl Iterator<Item = PathBuf> {
    const MOUNT_POINT: usize = 4;
    mounts.split(|byte| *byte == b'\n').filter_map(|line| {
        let escaped = line.split(|byte| *byte == b' ').nth(MOUNT_POINT)?;
        let mut bytes = Vec::with_capacity(escaped.len());
        let mut rest = escaped;
        // A space, a tab, a line's end and a backslash are written as a backslash and three octal digits.
        while let [first, after @ ..] = rest {
            let octal = after.get(..3).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
            match octal {
                Some(byte) if *first == b'\\' => {
                    bytes.push(byte);
                    rest = &after[3..];
                }
                _ => {
                    bytes.push(*first);
                    rest = after;
                }
            }
        }
        Some(PathBuf::from(OsString::from_vec(bytes)))
    })
}

/// Tries all that a branch needs: making, snapshotting and renaming subvolumes. Destroying them is not needed.
fn snapshots(folder: &Path) -> io::Result<()> {
    let probe = tempfile::Builder::new().prefix(".forkpress-probe-").tempdir_in(folder)?;
    let (original, branch) = (probe.path().join("original"), probe.path().join("branch"));
    subvolume::create(&original)?;
    std::fs::write(original.join("file"), "bytes")?;
    subvolume::snapshot(&original, &probe.path().join("snapshot"))?;
    std::fs::rename(probe.path().join("snapshot"), &branch)?;
    std::fs::read(branch.join("file")).map(drop)
}

fn clones(folder: &Path) -> io::Result<()> {
    let probe = tempfile::Builder::new().prefix(".forkpress-probe-").tempdir_in(folder)?;
    let original = probe.path().join("original");
    let mut file = std::fs::File::create(&original)?;
    // Larger than what btrfs keeps inside its metadata, which clones by other rules.
    file.write_all(&[b'x'; 64 * 1024])?;
    reflink_copy::reflink(&original, probe.path().join("clone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_as_they_are() {
        let mounts =
            b"22 1 0:20 / / rw - ext4 /dev/a rw\n36 22 98:0 /root /mnt/a\\040b\\134040/c rw master:1 - btrfs /d rw\n";
        let found: Vec<_> = mount_points(mounts).collect();
        assert_eq!(found, [PathBuf::from("/"), PathBuf::from("/mnt/a b\\040/c")]);
    }

    #[test]
    fn a_probe_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let view = probe(dir.path());
        assert!(supports(view, dir.path()));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
