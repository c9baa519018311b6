//! What changed between two walks of one tree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::walk::{Entry, Kind, Tree, bytes};

/// What must be done to a clone of the tree of one walk to make it one of the next.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes<'a> {
    /// What to remove, folders before what is in them.
    pub(super) removed: Vec<&'a Path>,
    /// What to take again, or for the first time, folders before what is in them.
    pub(super) taken: Vec<&'a Entry>,
    /// The folders to take, and those in which something is removed or taken: their attributes have to be set again.
    pub(super) touched: BTreeSet<PathBuf>,
}

impl<'a> Changes<'a> {
    /// Compares two walks. A file of the first that was racy counts as changed.
    pub(super) fn between(before: &'a Tree, after: &'a Tree) -> Self {
        let mut changes = Self::default();
        let (mut old, mut new) = (before.entries.iter().peekable(), after.entries.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return changes,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(old), Some(new)) => bytes(&old.path).cmp(bytes(&new.path)),
            };
            let old = if order.is_le() { old.next() } else { None };
            let new = if order.is_ge() { new.next() } else { None };
            changes.compare(before, old, new);
        }
    }

    fn compare(&mut self, before: &Tree, old: Option<&'a Entry>, new: Option<&'a Entry>) {
        let same_kind = matches!(
            (old.map(|entry| &entry.kind), new.map(|entry| &entry.kind)),
            (Some(Kind::Folder), Some(Kind::Folder))
                | (Some(Kind::File), Some(Kind::File))
                | (Some(Kind::Symlink(_)), Some(Kind::Symlink(_)))
        );
        if let Some(old) = old
            && !same_kind
        {
            self.removed.push(&old.path);
            self.touch(&old.path);
        }
        if let Some(new) = new
            && !old.is_some_and(|old| same_kind && is_same(before, old, new))
        {
            self.taken.push(new);
            self.touch(&new.path);
            if new.kind == Kind::Folder {
                self.touched.insert(new.path.clone());
            }
        }
    }

    fn touch(&mut self, path: &Path) {
        if let Some(folder) = path.parent() {
            self.touched.insert(folder.to_owned());
        }
    }
}

/// The paths that are to be removed from, or taken into, a clone of the tree of one walk to make it one of the next. What is
/// below a folder that goes is among them.
pub(crate) fn changed_paths(before: &Tree, after: &Tree) -> Vec<PathBuf> {
    let changes = Changes::between(before, after);
    let taken = changes.taken.iter().map(|entry| &*entry.path);
    changes.removed.iter().copied().chain(taken).map(Path::to_owned).collect()
}

/// How many entries must be removed from, or taken into, a clone of the tree of one walk to make it one of the next.
pub(crate) fn count_changes(before: &Tree, after: &Tree) -> usize {
    let changes = Changes::between(before, after);
    changes.removed.len() + changes.taken.len()
}

/// Whether a clone of `old` is one of `new`. A folder is no more than its attributes: what is in it is compared by itself.
fn is_same(before: &Tree, old: &Entry, new: &Entry) -> bool {
    match new.kind {
        Kind::Folder => old.attributes == new.attributes,
        Kind::File | Kind::Symlink(_) => old == new && !before.is_racy(old),
    }
}

#[cfg(test)]
mod tests {
    use super::super::walk::tests::settled;
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::{Duration, SystemTime};

    /// What a change to a small tree shows as: paths removed, paths taken.
    fn changes(act: impl FnOnce(&Path)) -> (Vec<String>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("folder/inner")).unwrap();
        for file in ["folder/file", "folder/other", "folder-file", "first", "twin"] {
            fs::write(root.join(file), "bytes").unwrap();
        }
        fs::hard_link(root.join("twin"), root.join("twin2")).unwrap();
        symlink("first", root.join("link")).unwrap();
        let before = settled(root);
        act(root);
        let after = Tree::walk(root).unwrap();
        let changes = Changes::between(&before, &after);
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let removed = changes.removed.iter().map(|path| text(path)).collect();
        (removed, changes.taken.iter().map(|entry| text(&entry.path)).collect())
    }

    #[test]
    fn a_tree_at_rest_has_no_changes() {
        assert_eq!(changes(|_| ()), (vec![], vec![]));
    }

    #[test]
    fn each_kind_of_change_is_seen_and_nothing_else() {
        let one_taken = |path: &str| (vec![], vec![path.to_owned()]);
        assert_eq!(changes(|root| fs::write(root.join("first"), "longer bytes").unwrap()), one_taken("first"));
        let same_size_and_time = |root: &Path| {
            let path = root.join("first");
            let modified = fs::metadata(&path).unwrap().modified().unwrap();
            fs::write(&path, "BYTES").unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
        };
        assert_eq!(changes(same_size_and_time), one_taken("first"));
        let mode = |root: &Path| fs::set_permissions(root.join("first"), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(changes(mode), one_taken("first"));
        let folder_mode =
            |root: &Path| fs::set_permissions(root.join("folder"), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(changes(folder_mode), one_taken("folder"));
        let names = |removed: &[&str], taken: &[&str]| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            (owned(removed), owned(taken))
        };
        let retarget = |root: &Path| {
            fs::remove_file(root.join("folder/other")).unwrap();
            symlink("file", root.join("folder/other")).unwrap();
        };
        assert_eq!(changes(retarget), names(&["folder/other"], &["folder", "folder/other"]));
        let vanish = |root: &Path| fs::remove_dir(root.join("folder/inner")).unwrap();
        assert_eq!(changes(vanish), names(&["folder/inner"], &["folder"]));
        let appear = |root: &Path| fs::write(root.join("folder/new"), "").unwrap();
        assert_eq!(changes(appear), names(&[], &["folder", "folder/new"]));
        let through_hard_link = |root: &Path| fs::write(root.join("twin"), "new bytes").unwrap();
        assert_eq!(changes(through_hard_link), names(&[], &["twin", "twin2"]));
    }

    #[test]
    fn a_replaced_file_of_equal_size_and_time_is_taken() {
        let (removed, taken) = changes(|root| {
            let modified = fs::metadata(root.join("folder/file")).unwrap().modified().unwrap();
            fs::write(root.join("folder/new"), "BYTES").unwrap();
            let new = fs::File::options().write(true).open(root.join("folder/new")).unwrap();
            new.set_modified(modified).unwrap();
            fs::rename(root.join("folder/new"), root.join("folder/file")).unwrap();
            let folder = fs::File::open(root.join("folder")).unwrap();
            folder.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        });
        assert_eq!((removed.len(), taken), (0, vec!["folder".to_owned(), "folder/file".to_owned()]));
    }
}
