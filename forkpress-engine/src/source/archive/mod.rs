//! Folders and archives of each format, read one entry after the other. None is held in memory, but for the names.

mod daf;
mod folder;
mod tar;
mod wpress;
mod zip;

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::error::SourceError;
use super::path::BadName;
use crate::progress::{Progress, WatchedFile};

pub(super) use daf::Daf;
pub(super) use folder::SourceFolder;
pub(super) use tar::Tar;
pub(super) use wpress::{HEADER_BYTES as WPRESS_HEADER_BYTES, Wpress};
pub(super) use zip::Zip;

/// One entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ArchiveEntry {
    /// Below the archive's own folder.
    pub(super) path: PathBuf,
    pub(super) kind: EntryKind,
    /// Of a file, as the archive says; packed ones where it doesn't say more.
    pub(super) bytes: u64,
    /// Permission bits, if they are told.
    pub(super) mode: Option<u32>,
    /// When it was modified, in seconds since the epoch, if that is told.
    pub(super) modified: Option<i64>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Folder,
    /// With what it says.
    Symlink(PathBuf),
    /// Another name of the file that it says.
    HardLink(PathBuf),
    /// A device, a socket, a FIFO.
    Special,
}

impl EntryKind {
    /// In words.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Symlink(_) => "a symbolic link",
            Self::HardLink(_) => "a hard link",
            Self::Special => "neither a file nor a folder",
        }
    }
}

/// The bytes of an entry, for whoever wants them.
pub(super) trait Content {
    /// Begins to read them.
    fn open(&mut self) -> io::Result<Box<dyn Read + '_>>;
}

/// Is told of an entry, and may read it. A break ends the walk.
pub(super) type Visit<'v> = dyn FnMut(&ArchiveEntry, &mut dyn Content) -> Result<ControlFlow<()>, SourceError> + 'v;

/// Who says whether a walk goes on, and whether what is read of the archive is its progress.
#[derive(Clone, Copy)]
pub(super) struct Watch<'a> {
    pub(super) progress: &'a dyn Progress,
    pub(super) counts: bool,
}

impl<'a> Watch<'a> {
    /// Of a walk whose progress is what is read.
    pub(super) fn counted(progress: &'a dyn Progress) -> Self {
        Self { progress, counts: true }
    }

    /// Of a walk whose progress somebody else tells.
    pub(super) fn quiet(progress: &'a dyn Progress) -> Self {
        Self { progress, counts: false }
    }

    fn open(self, path: &Path) -> Result<WatchedFile<'a>, SourceError> {
        let file = File::open(path).map_err(SourceError::read(path))?;
        Ok(WatchedFile { file, progress: self.progress, counts: self.counts })
    }
}

/// What can be walked entry by entry, in an order that is the same each time.
#[derive(Debug)]
pub(super) enum Archive {
    Folder(SourceFolder),
    Zip(Zip),
    Tar(Tar),
    Wpress(Wpress),
    Daf(Daf),
    /// A file that is no archive: its only entry.
    Single(SourceFolder),
}

impl Archive {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Folder(folder) | Self::Single(folder) => folder.path(),
            Self::Zip(zip) => zip.path(),
            Self::Tar(tar) => tar.path(),
            Self::Wpress(wpress) => wpress.path(),
            Self::Daf(daf) => daf.path(),
        }
    }

    /// How many bytes are read to go through it, where it is one stream.
    pub(super) fn stream_bytes(&self) -> Option<u64> {
        match self {
            Self::Tar(_) | Self::Daf(_) => Some(self.path().metadata().ok()?.len()),
            Self::Folder(_) | Self::Single(_) | Self::Zip(_) | Self::Wpress(_) => None,
        }
    }

    /// Goes through its entries. To the end only where `visit` never breaks: then it is certain that the archive is
    /// whole, as far as its format can tell.
    pub(super) fn walk(&self, watch: Watch<'_>, visit: &mut Visit<'_>) -> Result<(), SourceError> {
        match self {
            Self::Folder(folder) | Self::Single(folder) => folder.walk(watch, visit),
            Self::Zip(zip) => zip.walk_from(0, watch, visit),
            Self::Tar(tar) => tar.walk(watch, visit),
            Self::Wpress(wpress) => wpress.walk(watch, visit),
            Self::Daf(daf) => daf.walk(watch, visit),
        }
    }

    /// Does the same from the entry `first` on, without looking at those before where the format allows that.
    pub(super) fn walk_from(&self, first: usize, watch: Watch<'_>, visit: &mut Visit<'_>) -> Result<(), SourceError> {
        if let Self::Zip(zip) = self {
            return zip.walk_from(first, watch, visit);
        }
        let mut index = 0;
        self.walk(watch, &mut |entry, content| {
            index += 1;
            if index > first { visit(entry, content) } else { Ok(ControlFlow::Continue(())) }
        })
    }
}

/// Refuses a name of an archive.
fn bad_name(path: &Path, name: &[u8]) -> impl FnOnce(BadName) -> SourceError {
    let (path, entry) = (path.to_owned(), String::from_utf8_lossy(name).into_owned());
    move |why| SourceError::Name { path, entry, why }
}

/// An end that comes too early, or something that is not what it has to be.
fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}
