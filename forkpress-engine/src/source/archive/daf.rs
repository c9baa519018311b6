//! DAF, Duplicator's own archive: a header, then folders and files, each written like XML and followed by its bytes in
//! pieces.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::{ArchiveEntry, Content, EntryKind, Visit, Watch, bad_name, malformed};
use crate::bounds::{Load, MOST_ENTRIES, TooMuch};
use crate::progress::WatchedFile;
use crate::source::error::SourceError;
use crate::source::path::clean;

/// The longest value between two tags, but for a path.
const LONGEST_VALUE: u64 = 128;

/// The longest path.
const LONGEST_PATH: u64 = 4096;

/// Duplicator's pieces have a megabyte or so.
const MOST_PIECE_BYTES: u64 = 32 << 20;

/// A DAF archive.
#[derive(Debug)]
pub(in crate::source) struct Daf {
    path: PathBuf,
}

impl Daf {
    pub(in crate::source) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn walk(&self, watch: Watch<'_>, visit: &mut Visit<'_>) -> Result<(), SourceError> {
        let broken = |error| SourceError::broken(&self.path, None)(error);
        let file = watch.open(&self.path)?;
        let packed_bytes = file.file.metadata().map_err(SourceError::read(&self.path))?.len();
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let header = Record::read(&mut reader, "A").map_err(broken)?.ok_or_else(|| broken(malformed("it is empty")))?;
        let is_packed = header.value("C") == Some(b"true");
        let mut all = Load { packed_bytes, ..Load::default() };
        let too_much = |why: TooMuch| SourceError::TooMuch { path: self.path.clone(), why };
        loop {
            let Some(name) = next_name(&mut reader).map_err(broken)? else { return Ok(()) };
            let kind = match name.as_str() {
                "D" => EntryKind::Folder,
                "F" => EntryKind::File,
                _ => return Err(broken(malformed("it has neither a file nor a folder where one should be"))),
            };
            let record = Record::rest(&mut reader, &name).map_err(broken)?;
            let path = record.value("RP").ok_or_else(|| broken(malformed("an entry has no path")))?;
            let path = clean(path).map_err(bad_name(&self.path, path))?;
            let bytes = if kind == EntryKind::File { record.number("FS").map_err(broken)? } else { 0 };
            all.entries += 1;
            all.bytes = all.bytes.saturating_add(bytes);
            if all.entries > MOST_ENTRIES {
                return Err(too_much(TooMuch::Entries));
            }
            all.check().map_err(too_much)?;
            let mode = record.value("P").and_then(|mode| u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok());
            let modified = record.number("MT").ok().and_then(|seconds| i64::try_from(seconds).ok());
            let entry = ArchiveEntry { path, kind, bytes, mode, modified };
            let mut pieces = DafPieces { reader: &mut reader, is_packed, left: bytes, piece: Vec::new(), at: 0 };
            let flow = visit(&entry, &mut DafContent(&mut pieces))?;
            if flow.is_break() {
                return Ok(());
            }
            pieces.skip().map_err(SourceError::broken(&self.path, Some(&entry.path)))?;
        }
    }
}

/// Values between tags.
struct Record(Vec<(String, Vec<u8>)>);

impl Record {
    /// Reads one with this name; none at the end of the file.
    fn read(reader: &mut impl BufRead, name: &str) -> io::Result<Option<Self>> {
        match next_name(reader)? {
            None => Ok(None),
            Some(found) if found == name => Self::rest(reader, name).map(Some),
            Some(_) => Err(malformed("it has something else where a record should be")),
        }
    }

    /// Reads one whose first tag was read.
    fn rest(reader: &mut impl BufRead, name: &str) -> io::Result<Self> {
        let mut record = Self(Vec::new());
        loop {
            let tag = tag(reader)?;
            if tag.strip_prefix('/') == Some(name) {
                return Ok(record);
            }
            // A path may have any bytes in it: its length is said before.
            let value = if tag == "RP" && record.value("RPL").is_some() {
                let length = record.number("RPL")?;
                if length > LONGEST_PATH {
                    return Err(malformed("a path is too long"));
                }
                let mut path = Vec::new();
                reader.by_ref().take(length).read_to_end(&mut path)?;
                expect(reader, b"<")?;
                path
            } else {
                let mut value = Vec::new();
                reader.by_ref().take(LONGEST_VALUE).read_until(b'<', &mut value)?;
                if value.pop() != Some(b'<') {
                    return Err(malformed("a value has no end"));
                }
                value
            };
            expect(reader, format!("/{tag}>").as_bytes())?;
            record.0.push((tag, value));
        }
    }

    fn value(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_slice())
    }

    fn number(&self, name: &str) -> io::Result<u64> {
        let value = self.value(name).and_then(|value| std::str::from_utf8(value).ok()?.trim().parse().ok());
        value.ok_or_else(|| malformed("a number is missing"))
    }
}

/// The name of the next tag; none at the end of the file.
fn next_name(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    if reader.fill_buf()?.is_empty() { Ok(None) } else { tag(reader).map(Some) }
}

fn tag(reader: &mut impl BufRead) -> io::Result<String> {
    expect(reader, b"<")?;
    let mut name = Vec::new();
    reader.by_ref().take(8).read_until(b'>', &mut name)?;
    if name.pop() != Some(b'>') {
        return Err(malformed("a tag has no end"));
    }
    Ok(String::from_utf8_lossy(&name).into_owned())
}

fn expect(reader: &mut impl BufRead, bytes: &[u8]) -> io::Result<()> {
    let mut found = vec![0; bytes.len()];
    reader.read_exact(&mut found)?;
    if found == bytes { Ok(()) } else { Err(malformed("it has something else where a tag should be")) }
}

/// The bytes of a file, piece by piece.
struct DafPieces<'a, 'f> {
    reader: &'a mut BufReader<WatchedFile<'f>>,
    is_packed: bool,
    /// What of the file is in pieces that were not read yet.
    left: u64,
    piece: Vec<u8>,
    at: usize,
}

impl DafPieces<'_, '_> {
    /// Reads what is said before the next piece: how large it is plain, and stored.
    fn header(&mut self) -> io::Result<(u64, u64, Option<u32>)> {
        let record = Record::read(self.reader, "G")?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let (plain, stored) = (record.number("OS")?, record.number("SS")?);
        if plain == 0 || plain > self.left || plain.max(stored) > MOST_PIECE_BYTES {
            return Err(malformed("a piece is longer than it can be"));
        }
        self.left -= plain;
        let hash = record.value("HA").and_then(|hash| u32::from_str_radix(std::str::from_utf8(hash).ok()?, 16).ok());
        Ok((plain, stored, hash.filter(|hash| *hash != 0)))
    }

    fn next(&mut self) -> io::Result<()> {
        let (plain, stored_bytes, hash) = self.header()?;
        let mut stored = Vec::new();
        self.reader.by_ref().take(stored_bytes).read_to_end(&mut stored)?;
        self.at = 0;
        self.piece.clear();
        if self.is_packed {
            flate2::read::DeflateDecoder::new(stored.as_slice()).take(plain + 1).read_to_end(&mut self.piece)?;
        } else {
            self.piece.clone_from(&stored);
        }
        if self.piece.len() as u64 != plain {
            return Err(malformed("a piece is not as long as it says"));
        }
        let is_other = |hash| crc32fast::hash(&self.piece) != hash && crc32fast::hash(&stored) != hash;
        if hash.is_some_and(is_other) { Err(malformed("the checksum of a piece is another one")) } else { Ok(()) }
    }

    /// Goes to where the file ends.
    fn skip(mut self) -> io::Result<()> {
        while self.left > 0 {
            let (_, stored, _) = self.header()?;
            let mut skipped = self.reader.by_ref().take(stored);
            if io::copy(&mut skipped, &mut io::sink())? != stored {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }
}

impl Read for DafPieces<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            if self.left == 0 {
                return Ok(0);
            }
            self.next()?;
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

struct DafContent<'c, 'a, 'f>(&'c mut DafPieces<'a, 'f>);

impl Content for DafContent<'_, '_, '_> {
    fn open(&mut self) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(&mut *self.0))
    }
}
