//! ForkPress's own files on disk: real files and folders, which nobody but the site's owner reaches.
//!
//! A site may be a copy from somebody who put symlinks, pipes or devices where ForkPress expects its own files. So
//! these are checked when a site is opened (`forkpress_engine::check`), and opened without following a symlink
//! ([`options`], [`open`], [`read`]). Only the owner can put another one there: [`close`] keeps all others out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::layout::CowLayout;

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
/// `ELOOP` when a symlink is in its place; else what the system said when it is missing or may not be opened.
pub fn open(path: &Path) -> io::Result<File> {
    options().read(true).open(path)
}

/// All bytes of a file of ForkPress's own.
///
/// # Errors
/// As [`open`], and what the system said when it can't be read.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file of ForkPress's own.
///
/// # Errors
/// As [`read`], and `InvalidData` when it is not UTF-8.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::SiteLayout;
    use std::os::unix::fs::symlink;

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
        let dir = tempfile::tempdir().unwrap();
        let layout = SiteLayout::at(&dir.path().canonicalize().unwrap());
        fs::create_dir_all(layout.logs_dir()).unwrap();
        fs::create_dir_all(layout.cow().dir()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        fs::write(layout.server_log(), "").unwrap();
        open(layout.work_dir(), 0o755);
        open(layout.cow().dir(), 0o755);
        open(&layout.server_log(), 0o644);
        close(layout.cow());
        assert_eq!([layout.work_dir(), layout.cow().dir(), &layout.server_log()].map(mode), [0o700, 0o700, 0o600]);
    }
}
