//! Tar archives, plain or packed as a whole.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use tar::EntryType;

use super::{ArchiveEntry, Content, EntryKind, Visit, Watch, bad_name, malformed};
use crate::bounds::{MOST_ENTRIES, TooMuch};
use crate::source::error::SourceError;
use crate::source::path::clean;
use crate::source::stream::Packing;

/// A tar archive.
#[derive(Debug)]
pub(in crate::source) struct Tar {
    path: PathBuf,
    packing: Packing,
}

impl Tar {
    pub(in crate::source) fn new(path: &Path, packing: Packing) -> Self {
        Self { path: path.to_owned(), packing }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn walk(&self, watch: Watch<'_>, visit: &mut Visit<'_>) -> Result<(), SourceError> {
        let broken = |error| SourceError::broken(&self.path, None)(error);
        let file = watch.open(&self.path)?;
        let stream = self.packing.unpack(BufReader::with_capacity(1 << 17, file)).map_err(broken)?;
        let has_ended = Rc::new(Cell::new(false));
        let mut archive = tar::Archive::new(Watched { inner: stream, has_ended: Rc::clone(&has_ended) });
        let mut count = 0;
        for found in archive.entries().map_err(broken)? {
            let mut found = found.map_err(broken)?;
            // Of the whole archive, as Git's has it.
            if found.header().entry_type() == EntryType::XGlobalHeader {
                continue;
            }
            count += 1;
            if count > MOST_ENTRIES {
                return Err(SourceError::TooMuch { path: self.path.clone(), why: TooMuch::Entries });
            }
            let entry = self.entry(&found)?;
            if visit(&entry, &mut TarContent(&mut found))?.is_break() {
                return Ok(());
            }
        }
        // The end is two blocks of zeros: without them, the file ends too early.
        if has_ended.get() {
            return Err(broken(malformed("the end of the archive is missing")));
        }
        // What packs it checks all of it at its own end.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(broken)?;
        Ok(())
    }

    fn entry(&self, found: &tar::Entry<'_, impl Read>) -> Result<ArchiveEntry, SourceError> {
        let name = found.path_bytes();
        let path = clean(&name).map_err(bad_name(&self.path, &name))?;
        let target = || {
            let target = found.link_name_bytes().unwrap_or_default();
            PathBuf::from(std::ffi::OsStr::new(&*String::from_utf8_lossy(&target)))
        };
        let kind = match found.header().entry_type() {
            _ if name.ends_with(b"/") => EntryKind::Folder,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => EntryKind::File,
            EntryType::Directory => EntryKind::Folder,
            EntryType::Symlink => EntryKind::Symlink(target()),
            EntryType::Link => EntryKind::HardLink(target()),
            _ => EntryKind::Special,
        };
        let header = found.header();
        let modified = header.mtime().ok().and_then(|seconds| i64::try_from(seconds).ok());
        Ok(ArchiveEntry { path, kind, bytes: found.size(), mode: header.mode().ok(), modified })
    }
}

struct TarContent<'c, C>(&'c mut C);

impl<C: Read> Content for TarContent<'_, C> {
    fn open(&mut self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(&mut self.0))
    }
}

/// Notes whether the end of a stream was met.
struct Watched<R> {
    inner: R,
    has_ended: Rc<Cell<bool>>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            self.has_ended.set(true);
        }
        Ok(count)
    }
}
