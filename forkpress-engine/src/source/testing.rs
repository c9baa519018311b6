//! Sources for tests.

use std::path::{Path, PathBuf};

use super::archive::{ArchiveEntry, EntryKind};
use super::listing::{Item, Listing};

/// A listing of files without contents.
pub(super) fn listing(paths: &[&str]) -> Listing {
    let mut items: Vec<_> = paths
        .iter()
        .enumerate()
        .map(|(index, path)| {
            let entry =
                ArchiveEntry { path: PathBuf::from(path), kind: EntryKind::File, bytes: 1, mode: None, modified: None };
            Item { path: entry.path.clone(), entry, at: (0, index) }
        })
        .collect();
    items.sort_by(|one, other| one.path.cmp(&other.path));
    Listing { items, ..Listing::default() }
}

/// Writes files below a folder.
pub(super) fn write(folder: &Path, files: &[(&str, &[u8])]) {
    for (path, bytes) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}
