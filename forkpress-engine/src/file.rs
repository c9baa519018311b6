//! Small files that are replaced whole and durably.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Replaces the file at `path` by one with these bytes: written beside it, synced, renamed, and its folder synced.
///
/// A reader and a crash see the old file or the new one. A crash may leave a `.NAME.*.tmp` beside it, which nothing reads.
///
/// # Errors
/// What the system said when a step failed; the old file is then still there.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Replacement::prepare(path, bytes)?.commit()
}

/// A file that is written and synced, but not in its place yet. Dropped, it goes.
///
/// A crash leaves a file [`is_temporary`] knows.
#[derive(Debug)]
pub struct Replacement {
    file: NamedTempFile,
    path: PathBuf,
}

impl Replacement {
    /// Does all of [`replace`] that needs space on the disk.
    ///
    /// # Errors
    /// What the system said when the new file can't be made or written.
    pub fn prepare(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        let prepared = Self::prepare_unsynced(path, bytes)?;
        prepared.file.as_file().sync_all()?;
        Ok(prepared)
    }

    /// The same, but leaves it to the caller to sync the file, with many others, before it is put in its place.
    ///
    /// # Errors
    /// What the system said when the new file can't be made or written.
    pub fn prepare_unsynced(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        let dir = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
        let mut file = tempfile::Builder::new().prefix(&format!(".{name}.")).suffix(".tmp").tempfile_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Gives it other permissions than `0644`.
    ///
    /// # Errors
    /// What the system said when the mode can't be set.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        self.file.as_file().set_permissions(fs::Permissions::from_mode(mode))
    }

    /// Puts the file in its place, durably.
    ///
    /// # Errors
    /// What the system said when the file can't be put in its place; the old file is then still there.
    pub fn commit(self) -> io::Result<()> {
        let path = self.path.clone();
        self.place()?;
        path.parent().map_or(Ok(()), sync_dir)
    }

    /// Puts the file in its place. A power cut may take that back until the folder is synced.
    ///
    /// # Errors
    /// What the system said when the file can't be put in its place; the old file is then still there.
    pub fn place(self) -> io::Result<()> {
        self.file.persist(&self.path).map(drop).map_err(|error| error.error)
    }
}

/// Whether a file is named like one that a crash leaves of a [`Replacement`].
#[must_use]
pub fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
        && path.extension().is_some_and(|extension| extension == "tmp")
}

/// Makes the entries of a folder durable.
///
/// # Errors
/// What the system said when the folder can't be opened, or the disk fails.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
