//! Which file view a folder can have: found by doing it there.

use std::io::{self, Write};
use std::path::Path;

use crate::config::FileView;
use crate::disk::{DiskError, step};
use crate::subvolume;

/// The best view that works in `storage_root`.
#[must_use]
pub fn probe(storage_root: &Path) -> FileView {
    FileView::ALL.into_iter().find(|view| supports(*view, storage_root)).unwrap_or(FileView::FileCopy)
}

/// Whether a view works in `storage_root`. Nothing stays there of the attempt, unless the process dies in it: then a
/// folder `.forkpress-probe-*`, which may be removed.
#[must_use]
pub fn supports(view: FileView, storage_root: &Path) -> bool {
    match view {
        FileView::BtrfsSnapshot => snapshots(storage_root).is_ok(),
        FileView::Reflink => clones(storage_root).is_ok(),
        FileView::FileCopy => true,
    }
}

/// Makes the folder, which must not exist, that a branch's tree is to be built in.
///
/// # Errors
/// [`DiskError`] where it exists, or its file system is not one for the view.
pub fn create_tree_root(view: FileView, path: &Path) -> Result<(), DiskError> {
    step("make the folder", path, || match view {
        FileView::BtrfsSnapshot => subvolume::create(path),
        FileView::Reflink | FileView::FileCopy => std::fs::create_dir(path),
    })
}

/// Whether a view takes the tree at `source` as a whole. It takes a tree's files one by one otherwise: because it always
/// does, or because there are subvolumes in the tree, which would not come along, or the tree is not one itself.
pub(crate) fn takes_whole_trees(view: FileView, source: &Path) -> Result<bool, DiskError> {
    match view {
        FileView::BtrfsSnapshot => {
            step("look at", source, || Ok(subvolume::is_one(source)? && !subvolume::has_nested(source)?))
        }
        FileView::Reflink | FileView::FileCopy => Ok(false),
    }
}

/// Makes `path` what the tree at `source`, of which the view takes the whole, is now. It is durable.
pub(crate) fn snapshot(source: &Path, path: &Path) -> Result<(), DiskError> {
    step("snapshot to", path, || subvolume::snapshot(source, path))
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
    fn a_probe_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let view = probe(dir.path());
        assert!(supports(view, dir.path()));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
