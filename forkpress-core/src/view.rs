//! Which file view a folder can have: found by doing it there.

use std::io::Write;
use std::path::Path;

use crate::config::FileView;

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
        FileView::Reflink => clones(storage_root).is_ok(),
        FileView::FileCopy => true,
    }
}

fn clones(folder: &Path) -> std::io::Result<()> {
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
