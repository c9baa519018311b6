//! A folder of the user's: what was in it as it was looked at.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{ArchiveEntry, Content, EntryKind, Visit, Watch};
use crate::bounds::{MOST_ENTRIES, TooMuch};
use crate::progress::WatchedFile;
use crate::source::error::SourceError;
use forkpress_core::reserved;

/// A folder, or one file, which is then its only entry.
#[derive(Debug)]
pub(in crate::source) struct SourceFolder {
    path: PathBuf,
    root: PathBuf,
    entries: Vec<ArchiveEntry>,
}

impl SourceFolder {
    /// Looks at all that is in it, but for a site's own folder. Follows no link.
    pub(in crate::source) fn open(path: &Path) -> Result<Self, SourceError> {
        let mut entries = Vec::new();
        let walk = walkdir::WalkDir::new(path).min_depth(1).sort_by_file_name().into_iter();
        for found in walk.filter_entry(|entry| !reserved::is_forkpress(entry.file_name().as_encoded_bytes())) {
            let found = found.map_err(|error| {
                let at = error.path().unwrap_or(path).to_owned();
                SourceError::read(&at)(error.into())
            })?;
            let metadata = found.metadata().map_err(|error| SourceError::read(found.path())(error.into()))?;
            let relative = found.path().strip_prefix(path).unwrap_or(found.path()).to_owned();
            entries.push(entry(found.path(), relative, &metadata)?);
            if entries.len() as u64 > MOST_ENTRIES {
                return Err(SourceError::TooMuch { path: path.to_owned(), why: TooMuch::Entries });
            }
        }
        Ok(Self { path: path.to_owned(), root: path.to_owned(), entries })
    }

    /// Looks at one file.
    pub(in crate::source) fn of_file(path: &Path) -> Result<Self, SourceError> {
        let metadata = fs::metadata(path).map_err(SourceError::read(path))?;
        let name = PathBuf::from(path.file_name().unwrap_or_default());
        let entry = entry(path, name, &metadata)?;
        Ok(Self {
            path: path.to_owned(),
            root: path.parent().unwrap_or(Path::new("")).to_owned(),
            entries: vec![entry],
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where an entry is.
    pub(in crate::source) fn place(&self, entry: &Path) -> PathBuf {
        self.root.join(entry)
    }

    pub(super) fn walk(&self, watch: Watch<'_>, visit: &mut Visit<'_>) -> Result<(), SourceError> {
        for entry in &self.entries {
            if visit(entry, &mut FileContent(self.place(&entry.path), watch))?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

struct FileContent<'a>(PathBuf, Watch<'a>);

impl Content for FileContent<'_> {
    fn open(&mut self) -> io::Result<Box<dyn Read + '_>> {
        let Watch { progress, counts } = self.1;
        Ok(Box::new(WatchedFile { file: File::open(&self.0)?, progress, counts }))
    }
}

fn entry(path: &Path, relative: PathBuf, metadata: &fs::Metadata) -> Result<ArchiveEntry, SourceError> {
    let kind = match metadata.file_type() {
        kind if kind.is_file() => EntryKind::File,
        kind if kind.is_dir() => EntryKind::Folder,
        kind if kind.is_symlink() => EntryKind::Symlink(fs::read_link(path).map_err(SourceError::read(path))?),
        _ => EntryKind::Special,
    };
    let bytes = if metadata.is_file() { metadata.len() } else { 0 };
    Ok(ArchiveEntry { path: relative, kind, bytes, mode: Some(metadata.mode()), modified: Some(metadata.mtime()) })
}
