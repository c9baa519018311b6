//! `.wpress`, the archive of All-in-One WP Migration: a header of fixed width before each file, and an empty one at the
//! end.
//!
//! What is below `wp-content` in a WordPress is at the top here, beside a few files of the plugin's own. Files may be
//! packed and encrypted in pieces; `package.json`, which says so, never is.

use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use aes::Aes256;
use aes::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7};
use base64::Engine;
use serde_json::Value;
use sha1::{Digest, Sha1};

use super::{ArchiveEntry, Content, EntryKind, Visit, Watch, bad_name, malformed};
use crate::bounds::{MOST_ENTRIES, TooMuch};
use crate::progress::{Silent, WatchedFile};
use crate::source::error::SourceError;
use crate::source::path::clean_windows;

/// The header of a file: name, size, time, folder. A newer version has the checksum in the last eight bytes.
pub(in crate::source) const HEADER_BYTES: usize = 4377;

const NAME: std::ops::Range<usize> = 0..255;
const SIZE: std::ops::Range<usize> = 255..269;
const TIME: std::ops::Range<usize> = 269..281;
const FOLDER: std::ops::Range<usize> = 281..HEADER_BYTES;
const CHECKSUM: std::ops::Range<usize> = HEADER_BYTES - 8..HEADER_BYTES;

/// The plugin's own files, beside which are those of `wp-content`.
const OWN_FILES: [&str; 4] = ["package.json", "database.sql", "multisite.json", "blogs.json"];

/// So many bytes are packed or encrypted at a time.
const PIECE_BYTES: u64 = 512_000;

/// The initialization vector of a piece.
const VECTOR_BYTES: usize = 16;

/// A `.wpress`.
#[derive(Debug)]
pub(in crate::source) struct Wpress {
    path: PathBuf,
    coding: Coding,
}

/// How the files in it are written.
#[derive(Clone, Default)]
struct Coding {
    is_packed: bool,
    key: Option<[u8; 32]>,
}

impl std::fmt::Debug for Coding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Coding {{ is_packed: {}, is_encrypted: {} }}", self.is_packed, self.key.is_some())
    }
}

impl Wpress {
    /// Reads how its files are written.
    pub(in crate::source) fn open(path: &Path, password: Option<&str>) -> Result<Self, SourceError> {
        let mut wpress = Self { path: path.to_owned(), coding: Coding::default() };
        let mut package = None;
        wpress.walk(Watch::quiet(&Silent), &mut |entry, content| {
            if entry.path == Path::new("package.json") {
                let mut text = Vec::new();
                let read = content.open().and_then(|content| content.take(PIECE_BYTES).read_to_end(&mut text));
                read.map_err(SourceError::broken(path, Some(&entry.path)))?;
                package = serde_json::from_slice::<Value>(&text).ok();
                return Ok(std::ops::ControlFlow::Break(()));
            }
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
        let package = package.unwrap_or_default();
        wpress.coding.is_packed = is_on(&package["Compression"]["Enabled"]);
        if is_on(&package["Encrypted"]) {
            let password = password.ok_or_else(|| SourceError::Password { path: path.to_owned(), is_wrong: false })?;
            let key = key_of(password);
            let signature = package["EncryptedSignature"]
                .as_str()
                .and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
            // By chance, another password may seem to fit; what it gives is no text then.
            let is_text = |text: Vec<u8>| std::str::from_utf8(&text).is_ok_and(|text| !text.contains(char::is_control));
            if signature.is_some_and(|signature| !decrypt(&key, &signature).is_ok_and(is_text)) {
                return Err(SourceError::Password { path: path.to_owned(), is_wrong: true });
            }
            wpress.coding.key = Some(key);
        }
        Ok(wpress)
    }

    /// Whether the files in it are packed or encrypted.
    pub(in crate::source) fn is_coded(&self) -> bool {
        self.coding.is_packed || self.coding.key.is_some()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn walk(&self, watch: Watch<'_>, visit: &mut Visit<'_>) -> Result<(), SourceError> {
        let broken = |error| SourceError::broken(&self.path, None)(error);
        let file = watch.open(&self.path)?;
        let whole_bytes = file.file.metadata().map_err(SourceError::read(&self.path))?.len();
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let (mut at, mut count) = (0, 0);
        loop {
            let mut header = vec![0; HEADER_BYTES];
            let now = i64::try_from(reader.stream_position().map_err(broken)?).unwrap_or_default();
            reader.seek_relative(at - now).map_err(broken)?;
            reader.read_exact(&mut header).map_err(broken)?;
            let name = field(&header, NAME);
            if name.is_empty() {
                return Ok(());
            }
            count += 1;
            if count > MOST_ENTRIES {
                return Err(SourceError::TooMuch { path: self.path.clone(), why: TooMuch::Entries });
            }
            let number = |range| {
                std::str::from_utf8(field(&header, range)).ok().and_then(|text| text.trim().parse::<u64>().ok())
            };
            let bytes = number(SIZE).ok_or_else(|| broken(malformed("a size is no number")))?;
            let start = at.unsigned_abs() + HEADER_BYTES as u64;
            let end = start
                .checked_add(bytes)
                .filter(|end| *end <= whole_bytes)
                .ok_or_else(|| broken(io::ErrorKind::UnexpectedEof.into()))?;
            let path = self.place(&header)?;
            let modified = number(TIME).and_then(|seconds| i64::try_from(seconds).ok());
            let entry = ArchiveEntry { path, kind: EntryKind::File, bytes, mode: None, modified };
            let is_plain = entry.path == Path::new("package.json");
            let coding = if is_plain { Coding::default() } else { self.coding.clone() };
            let mut content = WpressContent { reader: &mut reader, bytes, coding, checksum: checksum(&header) };
            if visit(&entry, &mut content)?.is_break() {
                return Ok(());
            }
            at = i64::try_from(end).map_err(|_| broken(malformed("a size is no number")))?;
        }
    }

    /// Where in a WordPress a file is.
    fn place(&self, header: &[u8]) -> Result<PathBuf, SourceError> {
        let (name, folder) = (field(header, NAME), field(header, FOLDER));
        let full = [folder, b"/", name].concat();
        // A path of the root may come with a separator before it.
        let trimmed = full.strip_prefix(b"./").unwrap_or(&full);
        let path = clean_windows(trimmed).map_err(bad_name(&self.path, &full))?;
        let is_own = path.to_str().is_some_and(|path| OWN_FILES.contains(&path));
        Ok(if is_own { path } else { Path::new("wp-content").join(path) })
    }
}

fn is_on(value: &Value) -> bool {
    matches!(value, Value::Bool(true)) || matches!(value.as_str(), Some("true" | "1"))
}

/// A field up to its first NUL.
fn field(header: &[u8], range: std::ops::Range<usize>) -> &[u8] {
    header[range].split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The CRC32 of the plain file, if the header has one.
fn checksum(header: &[u8]) -> Option<u32> {
    let digits = &header[CHECKSUM];
    let is_one = header[CHECKSUM.start - 1] == 0 && digits.iter().all(u8::is_ascii_hexdigit);
    is_one.then(|| u32::from_str_radix(&String::from_utf8_lossy(digits), 16).ok()).flatten()
}

fn key_of(password: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key[..VECTOR_BYTES].copy_from_slice(&Sha1::digest(password)[..VECTOR_BYTES]);
    key
}

fn decrypt(key: &[u8; 32], piece: &[u8]) -> io::Result<Vec<u8>> {
    let (vector, encrypted) =
        piece.split_at_checked(VECTOR_BYTES).ok_or_else(|| malformed("an encrypted piece is too short"))?;
    let cipher =
        cbc::Decryptor::<Aes256>::new_from_slices(key, vector).map_err(|_| malformed("no initialization vector"))?;
    cipher
        .decrypt_padded_vec::<Pkcs7>(encrypted)
        .map_err(|_| malformed("it does not decrypt: the password may be another one"))
}

struct WpressContent<'a, 'f> {
    reader: &'a mut BufReader<WatchedFile<'f>>,
    bytes: u64,
    coding: Coding,
    checksum: Option<u32>,
}

impl Content for WpressContent<'_, '_> {
    fn open(&mut self) -> io::Result<Box<dyn Read + '_>> {
        let stored = self.reader.by_ref().take(self.bytes);
        let pieces = Pieces { stored, coding: self.coding.clone(), piece: Vec::new(), at: 0 };
        Ok(Box::new(Checked { inner: pieces, hasher: crc32fast::Hasher::new(), says: self.checksum }))
    }
}

/// Reads a file piece by piece.
struct Pieces<R> {
    stored: io::Take<R>,
    coding: Coding,
    piece: Vec<u8>,
    at: usize,
}

impl<R: Read> Pieces<R> {
    /// Reads the next one; an empty one at the end.
    fn next(&mut self) -> io::Result<()> {
        self.at = 0;
        self.piece.clear();
        if self.stored.limit() == 0 {
            return Ok(());
        }
        let overhead = if self.coding.key.is_some() { 2 * VECTOR_BYTES as u64 } else { 0 };
        let bytes = if self.coding.is_packed {
            let mut length = [0; 4];
            self.stored.read_exact(&mut length)?;
            u64::from(u32::from_be_bytes(length))
        } else {
            (PIECE_BYTES + overhead).min(self.stored.limit())
        };
        // What can't be packed becomes a little larger.
        if bytes > 2 * PIECE_BYTES || bytes > self.stored.limit() {
            return Err(malformed("a piece is longer than it can be"));
        }
        self.stored.by_ref().take(bytes).read_to_end(&mut self.piece)?;
        if (self.piece.len() as u64) < bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(key) = &self.coding.key {
            self.piece = decrypt(key, &self.piece)?;
        }
        if self.coding.is_packed {
            self.piece = inflate(&self.piece)?;
        }
        Ok(())
    }
}

fn inflate(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut piece = Vec::new();
    let most = PIECE_BYTES + 1;
    match packed {
        [b'B', b'Z', b'h', ..] => bzip2::read::BzDecoder::new(packed).take(most).read_to_end(&mut piece)?,
        [0x1f, 0x8b, ..] => flate2::read::GzDecoder::new(packed).take(most).read_to_end(&mut piece)?,
        _ => flate2::read::ZlibDecoder::new(packed).take(most).read_to_end(&mut piece)?,
    };
    if piece.len() as u64 == most {
        return Err(malformed("a piece is longer than it can be"));
    }
    Ok(piece)
}

impl<R: Read> Read for Pieces<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            self.next()?;
            if self.piece.is_empty() && self.stored.limit() == 0 {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// Compares a file with its checksum at its end.
struct Checked<R> {
    inner: R,
    hasher: crc32fast::Hasher,
    says: Option<u32>,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && self.says.is_some_and(|says| says != self.hasher.clone().finalize()) {
            return Err(malformed("its checksum is another one"));
        }
        Ok(count)
    }
}
