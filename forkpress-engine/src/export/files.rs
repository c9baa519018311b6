//! Which files of a branch go into an export: WordPress's and the site's own, without ForkPress's and the database.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use forkpress_core::driver;
use forkpress_core::layout::{DATABASE_DIR, DATABASE_FILE};
use forkpress_core::reserved;
use serde::Serialize;

use crate::disk::DiskError;
use crate::tree::{Entry, Kind, Tree};

/// How many links in links are followed.
const MOST_LINKS: usize = 8;

/// What is in an export.
#[derive(Debug, Default)]
pub(super) struct Picked {
    /// A folder before what is in it.
    pub(super) entries: Vec<PickedEntry>,
    pub(super) left_out: Vec<LeftOut>,
}

/// A folder or a file of an export.
#[derive(Debug)]
pub(super) struct PickedEntry {
    /// Where it is in the export.
    pub(super) path: PathBuf,
    /// Where it is on the disk.
    pub(super) source: PathBuf,
    pub(super) is_folder: bool,
    pub(super) mode: u32,
    /// Seconds since the epoch.
    pub(super) modified: i64,
    pub(super) size_bytes: u64,
}

/// What of a branch is not in its export.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LeftOut {
    /// Its path in the branch.
    #[serde(serialize_with = "super::lossy")]
    pub path: PathBuf,
    /// Why.
    pub why: &'static str,
}

/// Picks what of the tree at `root` goes into an export. A link is followed where it leads to something in the tree, or in a
/// folder of `links`; what is there goes in as an ordinary file.
pub(super) fn pick(root: &Path, links: &[PathBuf]) -> Result<Picked, DiskError> {
    let root = crate::disk::step("find", root, || root.canonicalize())?;
    let links: Vec<_> = links.iter().filter_map(|link| link.canonicalize().ok()).collect();
    let mut picker = Picker {
        driver: driver::parts(&root),
        root: &root,
        links: &links,
        left_out: BTreeSet::new(),
        entries: Vec::new(),
    };
    picker.add(&root, Path::new(""), 0)?;
    Ok(Picked { entries: picker.entries, left_out: picker.left_out.into_iter().collect() })
}

struct Picker<'r> {
    root: &'r Path,
    links: &'r [PathBuf],
    /// Parts of the driver, by their paths in the tree.
    driver: Vec<PathBuf>,
    entries: Vec<PickedEntry>,
    left_out: BTreeSet<LeftOut>,
}

impl Picker<'_> {
    /// Why a path in the tree is left out, and which part of it; none where it goes in.
    fn refusal(&self, path: &Path) -> Option<LeftOut> {
        let left_out = |part: &Path, why| Some(LeftOut { path: part.to_owned(), why });
        if path.starts_with(DATABASE_DIR) {
            return left_out(Path::new(DATABASE_DIR), "the SQLite database");
        }
        if let Some(part) = self.driver.iter().find(|part| path.starts_with(part)) {
            return left_out(part, "the SQLite driver");
        }
        let mut part = PathBuf::new();
        for component in path.components() {
            part.push(component);
            let Component::Normal(name) = component else { continue };
            let name = name.as_encoded_bytes();
            if reserved::is_forkpress(name) || name.starts_with(b".forkpress") {
                return left_out(&part, "ForkPress's own");
            }
            if name.starts_with(DATABASE_FILE.as_bytes()) {
                return left_out(&part, "an SQLite database");
            }
        }
        None
    }

    /// Adds what is in a folder, which may be in the export more than once: by links.
    fn add(&mut self, folder: &Path, at: &Path, links: usize) -> Result<(), DiskError> {
        for entry in Tree::walk(folder)?.entries {
            let (path, source) = (at.join(&entry.path), folder.join(&entry.path));
            if path.as_os_str().is_empty() {
                continue;
            }
            let inside = source.strip_prefix(self.root).ok().map(Path::to_owned);
            if let Some(left_out) = self.refusal(&path).or_else(|| self.refusal(&inside?)) {
                self.left_out.insert(left_out);
                continue;
            }
            match entry.kind {
                Kind::Folder => self.push(path, source, &entry, true),
                Kind::File => self.push(path, source, &entry, false),
                Kind::Symlink(_) => self.follow(path, &source, links)?,
            }
        }
        Ok(())
    }

    fn push(&mut self, path: PathBuf, source: PathBuf, entry: &Entry, is_folder: bool) {
        let (mode, modified) = (entry.attributes.mode & 0o777, entry.attributes.modified.0);
        self.entries.push(PickedEntry { path, source, is_folder, mode, modified, size_bytes: entry.size_bytes });
    }

    fn follow(&mut self, path: PathBuf, source: &Path, links: usize) -> Result<(), DiskError> {
        let target = source.canonicalize();
        let is_linked = |target: &Path| self.links.iter().any(|link| target.starts_with(link));
        let why = match &target {
            Err(_) => Some("a link that leads nowhere"),
            Ok(target) if !target.starts_with(self.root) && !is_linked(target) => {
                Some("a link that leads out of the branch")
            }
            Ok(target) if source.starts_with(target) || links >= MOST_LINKS => {
                Some("a link that leads around in a circle")
            }
            Ok(target) => {
                target.strip_prefix(self.root).ok().and_then(|inside| self.refusal(inside)).map(|left| left.why)
            }
        };
        let (Ok(target), None) = (target, why) else {
            self.left_out.extend(why.map(|why| LeftOut { path, why }));
            return Ok(());
        };
        if target.is_dir() {
            return self.add(&target, &path, links + 1);
        }
        if let Some(file) = crate::disk::open_file(&target)? {
            let metadata = crate::disk::step("look at", &target, || file.metadata())?;
            let attributes = crate::disk::Attributes::of(&metadata);
            let (mode, modified) = (attributes.mode & 0o777, attributes.modified.0);
            self.entries.push(PickedEntry {
                path,
                source: target,
                is_folder: false,
                mode,
                modified,
                size_bytes: metadata.len(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }

    fn picked(root: &Path, links: &[PathBuf]) -> (Vec<String>, Vec<String>) {
        let picked = pick(root, links).unwrap();
        let files = picked.entries.iter().filter(|entry| !entry.is_folder);
        let mut files: Vec<_> = files.map(|entry| entry.path.display().to_string()).collect();
        files.sort();
        let left_out = picked.left_out.iter().map(|left_out| format!("{}: {}", left_out.path.display(), left_out.why));
        (files, left_out.collect())
    }

    #[test]
    fn the_sites_own_files_go_in_and_forkpresss_and_the_database_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let driver = "wp-content/mu-plugins/sqlite-database-integration";
        for path in [
            "index.php",
            ".htaccess",
            "wp-content/mu-plugins/mine.php",
            "wp-content/database/.ht.sqlite",
            "wp-content/database/.ht.0123/x",
            "wp-content/database/index.php",
            "wp-content/uploads/.ht.sqlite-wal",
            "wp-content/.forkpress-driver.lock",
            ".forkpress/site.toml",
        ] {
            write(&dir.path().join(path));
        }
        for path in ["wp-includes/sqlite/db.php", "load.php"] {
            write(&dir.path().join(driver).join(path));
        }
        fs::write(dir.path().join("wp-content/db.php"), "<?php // sqlite-database-integration").unwrap();
        let (files, left_out) = picked(dir.path(), &[]);
        assert_eq!(files, [".htaccess", "index.php", "wp-content/mu-plugins/mine.php"]);
        assert_eq!(
            left_out,
            [
                ".forkpress: ForkPress's own",
                "wp-content/.forkpress-driver.lock: ForkPress's own",
                "wp-content/database: the SQLite database",
                "wp-content/db.php: the SQLite driver",
                "wp-content/mu-plugins/sqlite-database-integration: the SQLite driver",
                "wp-content/uploads/.ht.sqlite-wal: an SQLite database",
            ]
        );
    }

    #[test]
    fn a_link_becomes_what_is_there_unless_that_is_elsewhere_or_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let (root, elsewhere, shared) = (dir.path().join("tree"), dir.path().join("secret"), dir.path().join("shared"));
        for path in [
            root.join("real/a.txt"),
            root.join("wp-content/database/.ht.sqlite"),
            elsewhere.clone(),
            shared.join("b.txt"),
        ] {
            write(&path);
        }
        for (target, link) in [
            ("real", "folder"),
            ("real/a.txt", "file"),
            ("../secret", "out"),
            ("/nowhere", "dead"),
            (".", "circle"),
            ("wp-content/database/.ht.sqlite", "db"),
            ("wp-content/database", "dbs"),
            ("../shared", "shared"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        symlink("../folder", root.join("real/around")).unwrap();
        let (files, left_out) = picked(&root, &[shared]);
        assert_eq!(files, ["file", "folder/a.txt", "real/a.txt", "shared/b.txt"]);
        let leads = |name: &str, where_to: &str| format!("{name}: a link that leads {where_to}");
        assert_eq!(
            left_out,
            [
                leads("circle", "around in a circle"),
                "db: the SQLite database".to_owned(),
                "dbs: the SQLite database".to_owned(),
                leads("dead", "nowhere"),
                leads("folder/around", "around in a circle"),
                leads("out", "out of the branch"),
                leads("real/around", "around in a circle"),
                "wp-content/database: the SQLite database".to_owned(),
            ]
        );
    }
}
