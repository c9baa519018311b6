//! The files that may be why a branch is broken: those that changed last.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forkpress_core::name::BranchName;
use forkpress_engine::merge::diff::Window;
use forkpress_engine::site::Site;
use forkpress_page::backstage::Suspect;
use walkdir::{DirEntry, WalkDir};

use super::merge;

/// So many are named.
const MOST: usize = 8;

/// What a site writes all the time, below `wp-content`.
const WRITTEN: [&str; 4] = ["cache", "database", "upgrade", "uploads"];

/// The files that a branch changed, those that were written last before the others. `since`: only those that changed later.
pub(super) fn suspects(site: &Site, name: &BranchName, since: Option<SystemTime>) -> Vec<Suspect> {
    let folder = site.layout.branch(name);
    // Of one that came from no other, and of one whose database can't be read, nobody knows what it changed.
    let changes = merge::changes(site, name, None, Window::default()).ok().flatten();
    let paths = match (changes, since) {
        (Some((diff, _)), _) => diff.files.into_iter().map(|file| file.path).collect(),
        (None, Some(_)) => programs(&folder),
        (None, None) => Vec::new(),
    };
    newest(&folder, paths, since)
}

/// The newest of these files. One that is gone has no time.
fn newest(folder: &Path, paths: Vec<String>, since: Option<SystemTime>) -> Vec<Suspect> {
    let dated = paths.into_iter().filter_map(|path| Some(Suspect { at: changed(&folder.join(&path))?, path }));
    let mut files: Vec<_> = dated.filter(|file| since.is_none_or(|since| file.at >= since)).collect();
    files.sort_by(|one, other| (other.at, &one.path).cmp(&(one.at, &other.path)));
    files.truncate(MOST);
    files
}

/// When a file was written or put in its place: one that is unpacked or moved here may say that it is old.
fn changed(path: &Path) -> Option<SystemTime> {
    let metadata = path.symlink_metadata().ok()?;
    let placed = UNIX_EPOCH + Duration::new(metadata.ctime().try_into().ok()?, metadata.ctime_nsec().try_into().ok()?);
    Some(metadata.modified().map_or(placed, |written| written.max(placed)))
}

/// The files of a branch but those that a site writes all the time.
fn programs(folder: &Path) -> Vec<String> {
    let content = folder.join("wp-content");
    let written: Vec<PathBuf> = WRITTEN.iter().map(|name| content.join(name)).collect();
    let is_told = |entry: &DirEntry| !written.iter().any(|folder| folder == entry.path());
    let files = WalkDir::new(folder).into_iter().filter_entry(is_told).filter_map(Result::ok);
    let is_program = |entry: &DirEntry| entry.file_type().is_file() && entry.path().extension() != Some("log".as_ref());
    let files = files.filter(is_program);
    files.filter_map(|entry| Some(entry.path().strip_prefix(folder).ok()?.to_str()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_that_changed_since_a_moment_are_named_and_the_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        ["index.php", "wp-content/uploads/a.php", "wp-content/cache/b.php", "wp-content/debug.log"]
            .into_iter()
            .for_each(write);
        let since = changed(&dir.path().join("wp-content/debug.log")).unwrap() + Duration::from_nanos(1);
        for path in ["wp-content/plugins/x/x.php", "wp-content/themes/y.php"] {
            // The clock of files goes in steps.
            write(path);
            while changed(&dir.path().join(path)).unwrap() < since {
                write(path);
            }
        }
        // It says that it is old, as what an archive has does.
        let old = fs::File::open(dir.path().join("wp-content/themes/y.php")).unwrap();
        old.set_modified(UNIX_EPOCH).unwrap();
        let names = |since| {
            let found = newest(dir.path(), programs(dir.path()), since);
            let mut names: Vec<_> = found.into_iter().map(|file| file.path).collect();
            names.sort();
            names
        };
        assert_eq!(names(Some(since)), ["wp-content/plugins/x/x.php", "wp-content/themes/y.php"]);
        assert_eq!(names(None), ["index.php", "wp-content/plugins/x/x.php", "wp-content/themes/y.php"]);
    }
}
