//! ZIP files. Names that Windows wrote are read as such; names that are no UTF-8 keep their bytes.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::{ArchiveEntry, Content, EntryKind, Visit, Watch, bad_name};
use crate::bounds::{Load, MOST_ENTRIES, TooMuch};
use crate::progress::{Silent, WatchedFile};
use crate::source::error::SourceError;
use crate::source::path::clean_windows;

/// A ZIP file.
#[derive(Debug)]
pub(in crate::source) struct Zip {
    path: PathBuf,
}

/// What entries may be packed by.
const METHODS: [CompressionMethod; 5] = [
    CompressionMethod::Stored,
    CompressionMethod::Deflated,
    CompressionMethod::Deflate64,
    CompressionMethod::Bzip2,
    CompressionMethod::Zstd,
];

type Reader<'a> = ZipArchive<BufReader<WatchedFile<'a>>>;

impl Zip {
    /// Looks whether it is whole, and does not become more than any site is. Entries may share what they are packed in,
    /// so all of them together are compared with the whole file.
    pub(in crate::source) fn open(path: &Path) -> Result<Self, SourceError> {
        let zip = Self { path: path.to_owned() };
        let mut reader = zip.reader(Watch::quiet(&Silent))?;
        let mut all = Load {
            packed_bytes: File::open(path).and_then(|file| file.metadata()).map_err(SourceError::read(path))?.len(),
            ..Load::default()
        };
        let too_much = |why: TooMuch| SourceError::TooMuch { path: path.to_owned(), why };
        if reader.len() as u64 > MOST_ENTRIES {
            return Err(too_much(TooMuch::Entries));
        }
        for index in 0..reader.len() {
            let entry = reader.by_index_raw(index).map_err(|error| zip.broken(None, error))?;
            let load = Load { entries: 1, bytes: entry.size(), packed_bytes: entry.compressed_size() };
            load.check().map_err(too_much)?;
            let refused = |what: &str, hint: &str| SourceError::Refused {
                path: path.to_owned(),
                what: what.to_owned(),
                hint: hint.to_owned(),
            };
            if entry.encrypted() {
                return Err(refused(
                    "a ZIP file with a password",
                    "unpack it with unzip, which asks for the password, and import the folder",
                ));
            }
            if !METHODS.contains(&entry.compression()) {
                return Err(refused(
                    "a ZIP file that is packed in a rare way",
                    "unpack it with '7z x FILE', and import the folder",
                ));
            }
            all.entries += 1;
            all.bytes = all.bytes.saturating_add(load.bytes);
        }
        all.check().map_err(too_much)?;
        Ok(zip)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn reader<'a>(&self, watch: Watch<'a>) -> Result<Reader<'a>, SourceError> {
        let file = watch.open(&self.path)?;
        // Entries that are not wanted are jumped over: what is read ahead would be for nothing.
        ZipArchive::new(BufReader::with_capacity(READ_AHEAD_BYTES, file)).map_err(|error| self.broken(None, error))
    }

    fn broken(&self, entry: Option<&Path>, error: ZipError) -> SourceError {
        let error = match error {
            ZipError::Io(error) => error,
            error => io::Error::other(error),
        };
        SourceError::broken(&self.path, entry)(error)
    }

    pub(super) fn walk_from(&self, first: usize, watch: Watch<'_>, visit: &mut Visit<'_>) -> Result<(), SourceError> {
        let mut reader = self.reader(watch)?;
        for index in first..reader.len() {
            let entry = self.entry(&mut reader, index)?;
            if visit(&entry, &mut ZipContent { reader: &mut reader, index })?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn entry(&self, reader: &mut Reader<'_>, index: usize) -> Result<ArchiveEntry, SourceError> {
        let mut found = reader.by_index_raw(index).map_err(|error| self.broken(None, error))?;
        let name = found.name_raw().to_vec();
        let path = clean_windows(&name).map_err(bad_name(&self.path, &name))?;
        let mode = found.unix_mode();
        let file_type = mode.unwrap_or_default() & 0o170_000;
        let kind = match file_type {
            _ if name.ends_with(b"/") || name.ends_with(b"\\") => EntryKind::Folder,
            0 | 0o100_000 => EntryKind::File,
            0o040_000 => EntryKind::Folder,
            0o120_000 => {
                let mut target = String::new();
                // It is refused: what it says is for the message alone.
                let _ = found.by_ref().take(255).read_to_string(&mut target);
                EntryKind::Symlink(target.into())
            }
            _ => EntryKind::Special,
        };
        let modified = found.last_modified().and_then(seconds);
        Ok(ArchiveEntry { path, kind, bytes: found.size(), mode, modified })
    }
}

const READ_AHEAD_BYTES: usize = 16 << 10;

struct ZipContent<'z, 'a> {
    reader: &'z mut Reader<'a>,
    index: usize,
}

impl Content for ZipContent<'_, '_> {
    fn open(&mut self) -> io::Result<Box<dyn Read + '_>> {
        let entry = self.reader.by_index(self.index).map_err(io::Error::from)?;
        let says = entry.size();
        Ok(Box::new(Declared { inner: entry, left: says }))
    }
}

/// Reads as many bytes as an entry says it has: fewer or more are an error.
struct Declared<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Declared<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| super::malformed("it is larger than the ZIP file says"))?;
        if count == 0 && !buffer.is_empty() && self.left > 0 {
            return Err(super::malformed("it is smaller than the ZIP file says"));
        }
        Ok(count)
    }
}

/// MS-DOS has no time zones: taken as UTC, so that the same archive gives the same everywhere.
fn seconds(time: zip::DateTime) -> Option<i64> {
    let (year, month, day) = (i64::from(time.year()), i64::from(time.month()), i64::from(time.day()));
    // Days since the epoch, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_ms_dos_is_taken_as_utc() {
        let time = |y, m, d| seconds(zip::DateTime::from_date_and_time(y, m, d, 1, 2, 4).unwrap());
        assert_eq!(time(2026, 11, 27), Some(1_795_741_324));
        assert_eq!(time(2000, 2, 29), Some(951_786_124));
        assert_eq!(time(1980, 1, 1), Some(315_536_524));
    }
}
