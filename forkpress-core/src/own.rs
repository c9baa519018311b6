//! What is ForkPress's own on disk: real files and folders, which nobody but the site's owner reaches.
//!
//! A site may have been copied from somebody who put symlinks, pipes or devices where ForkPress expects files of its own.
//! What is ForkPress's own is therefore looked through when a site is opened ([`check`]), and opened without following a
//! symlink ([`options`], [`open`], [`read`]). Only its owner can put another one there: [`close`] keeps all others out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
#[cfg(feature = "mutations")]
use std::path::PathBuf;

use rustix::fs::OFlags;

use crate::layout::CowLayout;
#[cfg(feature = "mutations")]
use crate::layout::{ImageKind, ImageLayout, SiteLayout};

/// The mode of a folder that only its owner may use.
pub const CLOSED_FOLDER: u32 = 0o700;

/// The mode of a file that only its owner may use.
pub const CLOSED_FILE: u32 = 0o600;

/// Options to open a file of ForkPress's own: a symlink in its place is an error, a pipe blocks nobody, and a new file is
/// closed to others.
#[must_use]
pub fn options() -> OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.custom_flags(flags.bits().cast_signed()).mode(CLOSED_FILE);
    options
}

/// Opens a file of ForkPress's own for reading.
///
/// # Errors
/// What the system said; `ELOOP` where a symlink is in its place.
pub fn open(path: &Path) -> io::Result<File> {
    options().read(true).open(path)
}

/// All bytes of a file of ForkPress's own.
///
/// # Errors
/// What the system said.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file of ForkPress's own.
///
/// # Errors
/// What the system said, or `InvalidData` where it is not UTF-8.
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Closes a file or a folder to others, where it is not and is this account's. Whoever may not do that leaves it as it is.
pub fn close_file(file: &File, metadata: &fs::Metadata) {
    let closed = if metadata.is_dir() { CLOSED_FOLDER } else { CLOSED_FILE };
    if metadata.mode() & 0o077 != 0 && metadata.uid() == rustix::process::geteuid().as_raw() {
        let _ = file.set_permissions(fs::Permissions::from_mode(closed));
    }
}

/// Closes the work folder around a `cow` folder to others, as versions before this one did not. Costs one look where it is
/// closed already. In a work folder that can't be closed, everything stays as it is.
pub fn close(cow: &CowLayout) {
    let Some(site) = cow.site() else { return };
    let close_at = |path: &Path| {
        let folder = options().read(true).open(path)?;
        let metadata = folder.metadata()?;
        close_file(&folder, &metadata);
        io::Result::Ok(metadata.mode() & 0o077 != 0)
    };
    if close_at(site.work_dir()).is_ok_and(|was_open| was_open) {
        let logs = [site.wp_debug_log(), site.php_errors_log(), site.php_server_log(), site.server_log()];
        for path in [cow.dir().to_owned(), site.logs_dir()].into_iter().chain(logs) {
            let _ = close_at(&path);
        }
    }
}

/// The first thing in a site's work folder that is neither a file nor a folder, if there is one.
///
/// What is in a tree, which is a user's, is not looked at, nor what is in Git's folders of objects.
///
/// # Errors
/// The folder that can't be read, and what the system said.
#[cfg(feature = "mutations")]
pub fn check(layout: &SiteLayout) -> Result<Option<PathBuf>, (PathBuf, io::Error)> {
    let cow = layout.cow();
    let mut folders = vec![layout.work_dir().to_owned()];
    if let Some(image) = layout.image() {
        // What is mounted is not in the work folder's own file system.
        folders.extend([cow.staging_dir(), cow.spares_dir(), cow.kept_dir(), cow.trash_dir(), image.branches_dir()]);
    }
    // In each of these is one folder for each tree, or for each beginning of an object's name.
    let trees =
        [cow.staging_dir(), cow.spares_dir(), cow.kept_dir(), layout.branches_dir(), cow.git_dir().join("objects")];
    let mounts = ImageKind::ALL.map(|kind| ImageLayout::new(layout.work_dir(), kind).mount());
    let of_others = [cow.trash_dir(), layout.conversion_trees("")];
    while let Some(folder) = folders.pop() {
        match fs::symlink_metadata(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err((folder, error)),
            Ok(metadata) if !metadata.is_dir() => return Ok(Some(folder)),
            Ok(_) => {}
        }
        // What waits for its removal may be anything.
        if of_others.contains(&folder) {
            continue;
        }
        let holds_trees = trees.contains(&folder);
        let read = |error| (folder.clone(), error);
        for entry in fs::read_dir(&folder).map_err(read)? {
            let entry = entry.map_err(read)?;
            let kind = entry.file_type().map_err(read)?;
            let is_mount = mounts.contains(&entry.path());
            let is_bundle = entry.path().extension().is_some_and(|extension| extension == "sparsebundle");
            if kind.is_dir() && !holds_trees && !is_mount && !is_bundle {
                folders.push(entry.path());
            } else if !kind.is_dir() && !kind.is_file() {
                return Ok(Some(entry.path()));
            }
        }
    }
    Ok(None)
}

#[cfg(all(test, feature = "mutations"))]
mod tests {
    use super::*;
    use crate::name::BranchName;
    use crate::site::create_folders;
    use std::os::unix::fs::symlink;

    fn site() -> (tempfile::TempDir, SiteLayout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = SiteLayout::at(&dir.path().canonicalize().unwrap());
        create_folders(&layout).unwrap();
        (dir, layout)
    }

    #[test]
    fn whatever_is_forkpresss_own_may_be_no_link() {
        let (_dir, layout) = site();
        let cow = layout.cow();
        fs::create_dir_all(cow.git_snapshots_dir()).unwrap();
        fs::create_dir_all(cow.git_dir().join("objects/pack")).unwrap();
        fs::create_dir_all(layout.runtime_dir().join("platform")).unwrap();
        assert_eq!(check(&layout).unwrap(), None);
        let main = BranchName::main();
        let outside = tempfile::tempdir().unwrap();
        for path in [
            cow.trash_dir(),
            cow.staging_dir(),
            cow.staged_tree(&main),
            cow.staged_files(&main),
            cow.kept_dir(),
            cow.kept_tree(1),
            cow.spares_dir(),
            cow.spare(1),
            cow.log_dir(),
            cow.log_entry(1),
            cow.kept_bytes(1),
            cow.records_dir(),
            cow.record(&main),
            cow.journal_dir(),
            cow.intent(),
            cow.requests_dir(),
            cow.request_note(1),
            cow.operations_lock(),
            cow.git_token(),
            cow.git_dir(),
            cow.git_dir().join("config"),
            cow.git_dir().join("objects"),
            cow.git_dir().join("objects/pack"),
            cow.git_snapshot_lock(&main),
            layout.runtime_dir(),
            layout.runtime_dir().join("platform"),
            layout.router(),
            layout.logs_dir(),
            layout.wp_debug_log(),
            layout.config(),
            layout.conversion(),
            layout.work_dir().join("linux-cow"),
            layout.work_dir().join("something-new"),
        ] {
            let aside = outside.path().join("aside");
            let was_there = fs::rename(&path, &aside).is_ok();
            symlink(outside.path(), &path).unwrap();
            assert_eq!(check(&layout).unwrap(), Some(path.clone()));
            fs::remove_file(&path).unwrap();
            if was_there {
                fs::rename(&aside, &path).unwrap();
            }
        }
        fs::create_dir(cow.kept_tree(1)).unwrap();
        symlink(outside.path(), cow.kept_tree(1).join("link-of-a-user")).unwrap();
        symlink(outside.path(), cow.trash_dir().join("1")).unwrap();
        assert_eq!(check(&layout).unwrap(), None);
    }

    #[test]
    fn a_link_is_not_followed_when_a_file_is_opened() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "text").unwrap();
        symlink(&file, &link).unwrap();
        assert_eq!(read_to_string(&file).unwrap(), "text");
        assert!(read(&link).is_err());
        assert!(options().append(true).create(true).open(&link).is_err());
    }

    #[test]
    fn what_an_older_version_left_open_is_closed() {
        let (_dir, layout) = site();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(layout.work_dir()), 0o700);
        let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        fs::write(layout.server_log(), "").unwrap();
        open(layout.work_dir(), 0o755);
        open(layout.cow().dir(), 0o755);
        open(&layout.server_log(), 0o644);
        close(layout.cow());
        assert_eq!([layout.work_dir(), layout.cow().dir(), &layout.server_log()].map(mode), [0o700, 0o700, 0o600]);
    }
}
