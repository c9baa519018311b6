//! The SQLite driver of a branch: where it is in the tree, and how missing parts of it come back.
//!
//! WordPress uses SQLite because of a drop-in, `wp-content/db.php`, that loads the plugin
//! `sqlite-database-integration`. Without either of them each page of the branch is an error, and no page is left from
//! which to repair that. A deactivated plugin, a program that tidies up, and a killed update can take them away.

mod version;

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

pub use version::Version;

/// The driver's folder, as its makers name it.
pub const NAME: &str = "sqlite-database-integration";

/// Where a tree has plugins, and what belongs to them.
const CONTENT: &str = "wp-content";

/// The drop-in.
const DROP_IN: &str = "db.php";

/// A must-use plugin, which nobody can deactivate. The drop-in loads it; WordPress itself looks into no folder there.
const MUST_USE: &str = "mu-plugins";

/// Other plugins. Trees that other tools made have the driver among these.
const PLUGINS: &str = "plugins";

/// Where WordPress keeps the old version while it puts the new one of a plugin in its place.
const BACKUP: &str = "upgrade-temp-backup/plugins/sqlite-database-integration";

/// What the drop-in loads of the driver. It is written last: a driver that has it was whole once.
const ENTRY: &str = "wp-includes/sqlite/db.php";

/// The drop-in's text, which the driver brings along.
const TEMPLATE: &str = "db.copy";

/// In the template: the driver's folder, and its main file as WordPress names plugins.
const PLACEHOLDERS: [&str; 2] = ["'{SQLITE_IMPLEMENTATION_FOLDER_PATH}'", "{SQLITE_PLUGIN}"];

/// Brings back what the WordPress at `tree` needs to reach its database: the files of its driver, from the driver at
/// `spare`, and the drop-in. Whether anything was brought back.
///
/// Where nothing is missing, as nearly always, it looks at two or three files. With `thorough`, each file of the driver is
/// compared with the spare one's, and replaced where it differs: for a driver that was seen to be broken. A tree that is no
/// WordPress, and one with another drop-in than the driver's, stay as they are.
///
/// Several may do this at once. A crash may leave a `.NAME.PID.tmp` beside a file; the next call does the rest.
///
/// # Errors
/// `NotFound` when the driver is gone and there is no spare one either; else what the system said when a file can't be
/// read or written.
pub fn heal(tree: &Path, spare: &Path, thorough: bool) -> io::Result<bool> {
    let content = tree.join(CONTENT);
    let drop_in = content.join(DROP_IN);
    let has_drop_in = drop_in.exists();
    if has_drop_in && !thorough && standard_place(&content).is_some() {
        return Ok(false);
    }
    // What is behind a link is not the branch's.
    let is_wordpress =
        tree.join("wp-load.php").exists() && fs::symlink_metadata(&content).is_ok_and(|found| found.is_dir());
    if !is_wordpress || has_drop_in && !String::from_utf8_lossy(&fs::read(&drop_in)?).contains(NAME) {
        return Ok(false);
    }
    let found = place(&content);
    let is_whole = found.as_ref().is_some_and(|place| !(thorough && place.ends_with(NAME)));
    let place = found.unwrap_or_else(|| {
        let is_begun = content.join(PLUGINS).join(NAME).exists() || content.join(BACKUP).exists();
        Path::new(if is_begun { PLUGINS } else { MUST_USE }).join(NAME)
    });
    if !is_whole {
        let backup = content.join(BACKUP);
        restore(if backup.join(ENTRY).exists() { &backup } else { spare }, &content, &place)?;
    }
    if !is_whole || !has_drop_in {
        write_drop_in(&content, &place)?;
    }
    Ok(!is_whole || !has_drop_in)
}

/// Has the drop-in of the WordPress at `tree` load the driver that is in this very tree: the driver, as it is activated,
/// writes the path of the tree it is in into the drop-in. Writes the drop-in where it is missing.
///
/// A tree without a driver, and another drop-in than the driver's, stay as they are.
///
/// # Errors
/// What the system said when a file of the driver can't be read or replaced.
pub fn localize(tree: &Path) -> io::Result<()> {
    let content = tree.join(CONTENT);
    let Some(place) = place(&content) else { return Ok(()) };
    let is_drivers = match fs::read(content.join(DROP_IN)) {
        Ok(text) => String::from_utf8_lossy(&text).contains(NAME),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(error),
    };
    if is_drivers && content.join(&place).join(TEMPLATE).exists() { write_drop_in(&content, &place) } else { Ok(()) }
}

/// Where the WordPress at `tree` has its driver: relative to the tree, whatever its folder's name. None where it has none.
#[must_use]
pub fn find(tree: &Path) -> Option<PathBuf> {
    place(&tree.join(CONTENT)).map(|place| Path::new(CONTENT).join(place))
}

/// The drop-in, relative to a tree, and what it is to say where the driver in the folder `from` is put at `place`, which
/// [`find`] gave. None where the drop-in of the WordPress at `tree` is another one than the driver's.
///
/// # Errors
/// What the system said when one of the files can't be read.
pub fn drop_in_for(tree: &Path, from: &Path, place: &Path) -> io::Result<Option<(PathBuf, String)>> {
    let path = Path::new(CONTENT).join(DROP_IN);
    match fs::read(tree.join(&path)) {
        Ok(text) if !String::from_utf8_lossy(&text).contains(NAME) => return Ok(None),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let place = place.strip_prefix(CONTENT).unwrap_or(place);
    Ok(Some((path, drop_in_text(&from.join(TEMPLATE), place)?)))
}

/// What of the WordPress at `tree` is the driver: its folder, the drop-in, and an old version that WordPress put aside; paths
/// in the tree. Another drop-in than the driver's is not.
#[must_use]
pub fn parts(tree: &Path) -> Vec<PathBuf> {
    let content = tree.join("wp-content");
    let is_drivers = || fs::read(content.join(DROP_IN)).is_ok_and(|text| String::from_utf8_lossy(&text).contains(NAME));
    let drop_in = is_drivers().then(|| PathBuf::from(DROP_IN));
    let named = [MUST_USE, PLUGINS].into_iter().map(|dir| Path::new(dir).join(NAME));
    let parts = place(&content).into_iter().chain(named).chain([PathBuf::from(BACKUP)]).chain(drop_in);
    let mut parts: Vec<_> =
        parts.filter(|part| content.join(part).exists()).map(|part| Path::new("wp-content").join(part)).collect();
    parts.sort();
    parts.dedup();
    parts
}

/// Where the driver is, in `wp-content`, if it is there under its makers' name.
fn standard_place(content: &Path) -> Option<PathBuf> {
    let mut places = [MUST_USE, PLUGINS].into_iter().map(|dir| Path::new(dir).join(NAME));
    places.find(|place| content.join(place).join(ENTRY).exists())
}

/// Where the driver is, in `wp-content`, whatever its folder's name.
fn place(content: &Path) -> Option<PathBuf> {
    standard_place(content).or_else(|| {
        [MUST_USE, PLUGINS].into_iter().find_map(|dir| {
            let mut names = fs::read_dir(content.join(dir)).ok()?.filter_map(|entry| Some(entry.ok()?.file_name()));
            // Whatever is no plain name has no place in a PHP file.
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            let name = names.find(|name| {
                name.to_str().is_some_and(|name| name.chars().all(is_plain))
                    && content.join(dir).join(name).join(ENTRY).exists()
            })?;
            Some(Path::new(dir).join(name))
        })
    })
}

/// Puts each file of the driver `from` that `place` has not, or has differently, there.
fn restore(from: &Path, content: &Path, place: &Path) -> io::Result<()> {
    let entry = fs::read(from.join(ENTRY))?;
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        make_folder(content, &place.join(&folder))?;
        for found in fs::read_dir(from.join(&folder))? {
            let found = found?;
            let path = folder.join(found.file_name());
            if found.file_type()?.is_dir() {
                folders.push(path);
            } else if path != Path::new(ENTRY) {
                put(&content.join(place).join(&path), &fs::read(found.path())?)?;
            }
        }
    }
    put(&content.join(place).join(ENTRY), &entry)
}

/// Makes a folder in `content`, unless that leads out of it.
fn make_folder(content: &Path, folder: &Path) -> io::Result<()> {
    let path = content.join(folder);
    fs::create_dir_all(&path)?;
    if !path.canonicalize()?.starts_with(content.canonicalize()?) {
        return Err(io::Error::other(format!("{} leads out of the branch", path.display())));
    }
    Ok(())
}

/// Writes the drop-in for the driver at `place`. No path of this machine is in it.
fn write_drop_in(content: &Path, place: &Path) -> io::Result<()> {
    put(&content.join(DROP_IN), drop_in_text(&content.join(place).join(TEMPLATE), place)?.as_bytes())
}

/// What the drop-in says, by its template, for a driver at `place` in `wp-content`.
fn drop_in_text(template: &Path, place: &Path) -> io::Result<String> {
    let template = String::from_utf8_lossy(&fs::read(template)?).into_owned();
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let values = [format!("__DIR__ . '/{}'", place.display()), format!("{name}/load.php")];
    Ok(PLACEHOLDERS.iter().zip(&values).fold(template, |text, (from, to)| text.replace(from, to)))
}

/// Replaces a file, unless it has these bytes. Others see the old one or the new one.
fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let written = path.with_file_name(format!(".{name}.{}.tmp", process::id()));
    let write = || -> io::Result<()> {
        // A process that was killed here had this process's id.
        let _ = fs::remove_file(&written);
        OpenOptions::new().write(true).create_new(true).open(&written)?.write_all(bytes)?;
        fs::rename(&written, path)
    };
    write().inspect_err(|_| drop(fs::remove_file(&written)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const FILES: [&str; 3] = ["load.php", "wp-includes/database/load.php", ENTRY];

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn driver(at: &Path) {
        FILES.iter().for_each(|file| write(&at.join(file), file));
        write(
            &at.join(TEMPLATE),
            "<?php $folder = '{SQLITE_IMPLEMENTATION_FOLDER_PATH}'; // sqlite-database-integration",
        );
    }

    /// A tree with the driver at `place` in `wp-content` and its drop-in, and a spare driver beside it.
    fn tree(place: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (tree, spare) = (dir.path().join("tree"), dir.path().join("spare"));
        write(&tree.join("wp-load.php"), "");
        driver(&spare);
        driver(&tree.join("wp-content").join(place));
        localize(&tree).unwrap();
        (dir, tree, spare)
    }

    fn drop_in(tree: &Path) -> String {
        fs::read_to_string(tree.join("wp-content/db.php")).unwrap()
    }

    #[test]
    fn a_whole_tree_stays_as_it_is() {
        for place in
            ["mu-plugins/sqlite-database-integration", "plugins/sqlite-database-integration", "plugins/other-name"]
        {
            let (_dir, tree, spare) = tree(place);
            assert!(!heal(&tree, &spare, false).unwrap(), "{place}");
            assert!(drop_in(&tree).contains(&format!("__DIR__ . '/{place}'")), "{place}: {}", drop_in(&tree));
        }
    }

    #[test]
    fn a_drop_in_that_is_gone_comes_back_and_finds_the_driver_where_it_is() {
        for place in
            ["mu-plugins/sqlite-database-integration", "plugins/sqlite-database-integration", "plugins/other-name"]
        {
            let (_dir, tree, spare) = tree(place);
            let before = drop_in(&tree);
            let path = tree.join("wp-content/db.php");
            fs::remove_file(&path).unwrap();
            assert!(heal(&tree, Path::new("/nowhere"), false).unwrap(), "{place}");
            assert_eq!(drop_in(&tree), before, "{place}");
            fs::remove_file(&path).unwrap();
            symlink("/nowhere/db.php", &path).unwrap();
            assert!(heal(&tree, &spare, false).unwrap() && !path.is_symlink(), "{place}");
        }
    }

    #[test]
    fn a_driver_that_is_gone_comes_back_as_a_must_use_plugin() {
        let (_dir, tree, spare) = tree("plugins/sqlite-database-integration");
        fs::remove_dir_all(tree.join("wp-content/plugins/sqlite-database-integration")).unwrap();
        assert!(heal(&tree, &spare, false).unwrap());
        for file in FILES {
            assert!(tree.join("wp-content/mu-plugins/sqlite-database-integration").join(file).is_file(), "{file}");
        }
        assert!(drop_in(&tree).contains("__DIR__ . '/mu-plugins/sqlite-database-integration'"));
        assert!(!heal(&tree, &spare, false).unwrap());
    }

    #[test]
    fn a_driver_whose_update_was_killed_is_the_one_that_was_there_before() {
        let (_dir, tree, spare) = tree("plugins/sqlite-database-integration");
        let content = tree.join("wp-content");
        fs::create_dir_all(content.join(BACKUP).parent().unwrap()).unwrap();
        fs::rename(content.join("plugins/sqlite-database-integration"), content.join(BACKUP)).unwrap();
        fs::write(content.join(BACKUP).join("load.php"), "another version").unwrap();
        assert!(heal(&tree, &spare, false).unwrap());
        let load = content.join("plugins/sqlite-database-integration/load.php");
        assert_eq!(fs::read_to_string(load).unwrap(), "another version");
    }

    #[test]
    fn a_broken_driver_gets_what_it_lacks_where_it_is() {
        let (_dir, tree, spare) = tree("plugins/sqlite-database-integration");
        let place = tree.join("wp-content/plugins/sqlite-database-integration");
        fs::remove_file(place.join("wp-includes/database/load.php")).unwrap();
        fs::write(place.join("load.php"), "").unwrap();
        assert!(!heal(&tree, &spare, false).unwrap());
        assert!(heal(&tree, &spare, true).unwrap());
        FILES.iter().for_each(|file| assert_eq!(fs::read_to_string(place.join(file)).unwrap(), *file));
        assert!(heal(&tree, Path::new("/nowhere"), true).is_err());
    }

    #[test]
    fn another_drop_in_and_what_is_no_wordpress_stay() {
        let (_dir, tree, spare) = tree("plugins/sqlite-database-integration");
        fs::write(tree.join("wp-content/db.php"), "<?php // HyperDB").unwrap();
        fs::remove_dir_all(tree.join("wp-content/plugins")).unwrap();
        assert!(!heal(&tree, &spare, false).unwrap());
        localize(&tree).unwrap();
        assert_eq!(drop_in(&tree), "<?php // HyperDB");
        fs::remove_file(tree.join("wp-load.php")).unwrap();
        fs::remove_file(tree.join("wp-content/db.php")).unwrap();
        assert!(!heal(&tree, &spare, false).unwrap());
    }

    #[test]
    fn the_parts_of_the_driver_are_told_from_all_else() {
        for place in
            ["mu-plugins/sqlite-database-integration", "plugins/sqlite-database-integration", "plugins/other-name"]
        {
            let (_dir, tree, _spare) = tree(place);
            write(&tree.join("wp-content/plugins/mine/mine.php"), "");
            assert_eq!(parts(&tree), [Path::new("wp-content/db.php").to_owned(), Path::new("wp-content").join(place)]);
            fs::write(tree.join("wp-content/db.php"), "<?php // HyperDB").unwrap();
            assert_eq!(parts(&tree), [Path::new("wp-content").join(place)]);
        }
    }

    #[test]
    fn nothing_is_written_through_a_link_out_of_the_branch() {
        let (dir, tree, spare) = tree("plugins/sqlite-database-integration");
        fs::remove_dir_all(tree.join("wp-content/plugins")).unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        symlink(&outside, tree.join("wp-content/mu-plugins")).unwrap();
        assert!(heal(&tree, &spare, false).is_err());
        assert!(!outside.join(NAME).join("load.php").exists());
    }
}
