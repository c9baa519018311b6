//! What a watch was not told, found by comparing a clone with its source.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::walk::{Entry, Kind, Tree, is_racy};
use crate::disk::DiskError;
use crate::priority;

/// The files of the tree at `source` that had other bytes at a moment, since the epoch, than its clone of that moment got.
/// Lets requests go first.
///
/// Finds none that has changed in either tree since, nor one that changed within a tick of the clock before the moment.
pub(crate) fn missed(source: &Path, clone: &Path, moment: Duration) -> Result<Vec<PathBuf>, DiskError> {
    priority::at_low(|| {
        let (source, clone) = (Tree::walk(source)?, Tree::walk(clone)?);
        let missed = source
            .entries
            .iter()
            .filter(|entry| clone.get(&entry.path).is_some_and(|clone| is_missed(entry, clone, moment)));
        Ok(missed.map(|entry| entry.path.clone()).collect())
    })
}

/// Whether two files that were alike at a moment, and have not changed since, differ.
fn is_missed(original: &Entry, clone: &Entry, moment: Duration) -> bool {
    let is_old_file = |entry: &Entry| entry.kind == Kind::File && !is_racy(entry.changed, moment);
    let differs = (original.size_bytes, original.attributes.modified) != (clone.size_bytes, clone.attributes.modified);
    differs && is_old_file(original) && is_old_file(clone)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_differs_and_has_not_changed_since_was_missed() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "bytes").unwrap();
        let tree = Tree::walk(dir.path()).unwrap();
        let entry = |changed, modified| {
            let mut entry = tree.entries[1].clone();
            (entry.changed, entry.attributes.modified) = ((changed, 1), (modified, 1));
            entry
        };
        let moment = Duration::from_secs(100);
        let is_missed = |original: &Entry, clone: &Entry| is_missed(original, clone, moment);
        assert!(is_missed(&entry(90, 90), &entry(80, 70)));
        assert!(!is_missed(&entry(90, 70), &entry(80, 70)), "they are alike");
        assert!(!is_missed(&entry(101, 101), &entry(80, 70)), "the source has changed since");
        assert!(!is_missed(&entry(90, 90), &entry(101, 101)), "the clone has changed since");
        let folder = Entry { kind: Kind::Folder, ..entry(90, 90) };
        assert!(!is_missed(&folder, &folder.clone()), "a folder has no bytes");
    }
}
