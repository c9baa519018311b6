//! Another version of a branch's SQLite driver, as files that are put into the branch.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use forkpress_core::driver::{self, Version};
use walkdir::WalkDir;

use crate::mutation::files::{After, Overlay, PathChange};

/// Replaces the driver of a branch, where it is, and has the drop-in load it. All that the driver had before goes.
///
/// The driver brings the tables in which it describes others up to date when WordPress is next visited.
#[derive(Debug)]
pub struct DriverUpdate {
    changes: Vec<PathChange>,
    /// What each change writes.
    contents: Vec<Content>,
}

#[derive(Debug)]
enum Content {
    Nothing,
    Of(PathBuf),
    Text(String),
}

impl DriverUpdate {
    /// What puts the driver in the folder `from` in the place of the one of the WordPress at `tree`; none where that has none.
    ///
    /// # Errors
    /// What the system said when one of the drivers can't be read.
    pub fn new(tree: &Path, from: &Path) -> io::Result<Option<Self>> {
        let Some(place) = driver::find(tree) else { return Ok(None) };
        let (new, old) = (files_of(from)?, files_of(&tree.join(&place))?);
        let mut update = Self { changes: Vec::new(), contents: Vec::new() };
        for path in &new {
            update.push(place.join(path), After::File { executable: false }, Content::Of(from.join(path)));
        }
        for path in old.difference(&new) {
            update.push(place.join(path), After::Gone, Content::Nothing);
        }
        if let Some((path, text)) = driver::drop_in_for(tree, from, &place)? {
            update.push(path, After::File { executable: false }, Content::Text(text));
        }
        Ok(Some(update))
    }

    fn push(&mut self, path: PathBuf, after: After, content: Content) {
        self.changes.push(PathChange { path, after });
        self.contents.push(content);
    }
}

impl Overlay for DriverUpdate {
    fn changes(&mut self) -> io::Result<Vec<PathChange>> {
        Ok(self.changes.clone())
    }

    /// Whatever the driver was, an undo brings it back.
    fn is_expected(&mut self, _number: usize, _before: Option<&Path>) -> io::Result<bool> {
        Ok(true)
    }

    fn write(&mut self, number: usize, file: &mut File) -> io::Result<()> {
        match &self.contents[number] {
            Content::Nothing => Ok(()),
            Content::Of(path) => io::copy(&mut File::open(path)?, file).map(drop),
            Content::Text(text) => file.write_all(text.as_bytes()),
        }
    }
}

/// Whether the driver in a folder is newer than that of the WordPress at `tree`, and which versions they are; none where one of
/// them does not say.
#[must_use]
pub fn compare(tree: &Path, with: &Path) -> Option<(Version, Version)> {
    Some((Version::of(&tree.join(driver::find(tree)?))?, Version::of(with)?))
}

/// The files in a folder, relative to it. What a symlink leads to is none of them, but the link is one.
fn files_of(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    fs::read_dir(folder)?;
    for entry in WalkDir::new(folder) {
        let entry = entry?;
        if !entry.file_type().is_dir() {
            files.insert(entry.path().strip_prefix(folder).expect("it was found there").to_owned());
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn driver_at(folder: &Path, version: &str, others: &[&str]) {
        write(&folder.join("load.php"), &format!("<?php\n/**\n * Version: {version}\n */"));
        write(&folder.join("db.copy"), "<?php // sqlite-database-integration '{SQLITE_IMPLEMENTATION_FOLDER_PATH}'");
        write(&folder.join("wp-includes/sqlite/db.php"), version);
        others.iter().for_each(|name| write(&folder.join(name), version));
    }

    #[test]
    fn an_update_replaces_removes_and_adds_and_keeps_the_place() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, from) = (dir.path().join("tree"), dir.path().join("new"));
        let place = Path::new("wp-content/plugins/my-driver");
        driver_at(&tree.join(place), "2.2.1", &["gone.php"]);
        driver_at(&from, "3.0.2", &["inner/added.php"]);
        let versions = compare(&tree, &from).unwrap();
        assert!(versions.0 < versions.1);
        let update = DriverUpdate::new(&tree, &from).unwrap().unwrap();
        let after = |path: &str| {
            update.changes.iter().find(|change| change.path == Path::new(path)).map(|change| change.after.clone())
        };
        let file = Some(After::File { executable: false });
        assert_eq!(after("wp-content/plugins/my-driver/load.php"), file);
        assert_eq!(after("wp-content/plugins/my-driver/inner/added.php"), file);
        assert_eq!(after("wp-content/plugins/my-driver/gone.php"), Some(After::Gone));
        assert_eq!(after("wp-content/db.php"), file);
        let Some(Content::Text(text)) = update.contents.last() else { panic!("the drop-in comes last") };
        assert!(text.contains("__DIR__ . '/plugins/my-driver'"), "{text}");
    }

    #[test]
    fn another_drop_in_stays_and_a_tree_without_a_driver_gets_none() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, from) = (dir.path().join("tree"), dir.path().join("new"));
        driver_at(&from, "3.0.2", &[]);
        fs::create_dir_all(&tree).unwrap();
        assert!(DriverUpdate::new(&tree, &from).unwrap().is_none());
        driver_at(&tree.join("wp-content/mu-plugins").join(driver::NAME), "3.0.1", &[]);
        write(&tree.join("wp-content/db.php"), "<?php // HyperDB");
        let update = DriverUpdate::new(&tree, &from).unwrap().unwrap();
        assert!(update.changes.iter().all(|change| change.path != Path::new("wp-content/db.php")));
    }
}
