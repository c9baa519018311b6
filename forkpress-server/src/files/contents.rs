//! What is sent of a file: its bytes, or those of a text in which addresses were replaced, compressed or not.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use forkpress_core::address::{Addresses, Known, Own, answer};
use forkpress_core::layout::CowLayout;
use forkpress_core::route::{self, Body, Encoded, FileVersion, Stored};
use hyper::header;
use hyper::http::request::Parts;

use crate::answer::{AnswerBody, FilePart};
use crate::scheme::Scheme;
use crate::spool::read_at;

use super::bodies::{Bodies, Key, Naming};
use super::compress::compress;

/// What is no longer is read at once, and sent in one piece. A whole file is kept in memory then.
const SHORT_BYTES: u64 = 256 << 10;

/// A text of more bytes is sent as it is, whatever addresses are in it.
const MOST_TEXT_BYTES: u64 = 8 << 20;

/// What files of a site's branches hold, as it is sent.
#[derive(Debug)]
pub(super) struct Contents {
    cow: CowLayout,
    root_host: String,
    known: Mutex<Option<(AddressSource, Arc<Known>)>>,
    bodies: Bodies<AddressSource>,
}

/// What addresses were gathered from: the version of the record, and the port.
type AddressSource = (Option<(u64, u64, i64, i64)>, Option<u16>);

impl Contents {
    pub(super) fn new(cow: &CowLayout, root_host: &str) -> Self {
        Self { cow: cow.clone(), root_host: root_host.to_owned(), known: Mutex::default(), bodies: Bodies::new() }
    }

    /// What is sent of a file, where it is kept. The file need not be opened then.
    pub(super) fn kept(&self, body: &Body, response: &route::Response, request: &Parts) -> Option<Made> {
        let naming = self.naming(body, response, request).map(|names| names.naming);
        let key = |naming, coding| Key { file: body.version, naming, coding };
        let text = match &naming {
            Some(naming) => self.bodies.kept(&key(Some(naming.clone()), None))?,
            None => None,
        };
        match (&response.encoded, text) {
            (Some(Encoded { stored: Some(_), .. }), None) => None,
            (Some(encoded), text) => {
                let naming = naming.filter(|_| text.is_some());
                self.bodies.kept(&key(naming, Some(encoded.coding)))?.map(Made::of)
            }
            (None, Some(text)) => Some(Made { is_text: true, ..Made::of(text) }),
            (None, None) => self.bodies.kept(&key(None, None))?.map(|whole| Made::of(slice(&whole, body))),
        }
    }

    /// What is sent of a file.
    pub(super) fn made(
        &self,
        open: OpenFile,
        body: &Body,
        response: &route::Response,
        request: &Parts,
        may_take_time: bool,
    ) -> Result<Made, NotMade> {
        let OpenFile { file, stored } = open;
        let names = self.naming(body, response, request);
        let naming = names.as_ref().map(|names| names.naming.clone());
        let key = |naming, coding| Key { file: body.version, naming, coding };
        let whole = || read_at(&file, 0, body.version.size);
        let text = match &names {
            Some(names) => self.worked_out(&key(naming.clone(), None), &file, may_take_time, || {
                Ok(names.known.map(&names.own, &whole()?, b"").map(Bytes::from))
            })?,
            None => None,
        };
        match (&response.encoded, stored, text) {
            (Some(_), Some((stored, length)), None) => Ok(Made::part(stored, 0, length)?),
            (Some(encoded), _, text) => {
                let key = key(naming.filter(|_| text.is_some()), Some(encoded.coding));
                let compressed = self.worked_out(&key, &file, may_take_time, || {
                    let text = text.map_or_else(whole, Ok)?;
                    compress(encoded.coding, &text).map(Some)
                })?;
                Ok(Made::of(compressed.unwrap_or_default()))
            }
            (None, _, Some(text)) => Ok(Made { is_text: true, ..Made::of(text) }),
            (None, _, None) if body.version.size <= SHORT_BYTES => {
                let whole = self.bodies.get(&key(None, None), &file, || whole().map(Some))?;
                Ok(Made::of(slice(&whole.unwrap_or_default(), body)))
            }
            (None, _, None) => Ok(Made::part(file, body.offset, body.length)?),
        }
    }

    /// What is kept, or is made if that may take time.
    fn worked_out(
        &self,
        key: &Key<AddressSource>,
        file: &File,
        may_take_time: bool,
        make: impl FnOnce() -> io::Result<Option<Bytes>>,
    ) -> Result<Option<Bytes>, NotMade> {
        match self.bodies.kept(key) {
            Some(body) => Ok(body),
            None if may_take_time => Ok(self.bodies.get(key, file, make)?),
            None => Err(NotMade::Later),
        }
    }

    /// What addresses in a text file are replaced by; none where they are left alone. Builders of pages write style sheets that
    /// name addresses.
    fn naming(&self, body: &Body, response: &route::Response, request: &Parts) -> Option<Names> {
        let kind = response.headers.iter().find(|(name, _)| *name == "Content-Type").map_or("", |(_, value)| value);
        // WordPress's own name none.
        let is_core = ["/wp-admin/", "/wp-includes/"].iter().any(|folder| request.uri.path().starts_with(folder));
        if is_core || body.version.size > MOST_TEXT_BYTES || !answer::is_text(kind.as_bytes()) {
            return None;
        }
        let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let url = format!("{}://{}", Scheme::of(request).as_str(), host.to_ascii_lowercase());
        let own = Own::parse(&url)?;
        let (source, known) = self.known(own.port());
        Some(Names { naming: Naming { own: url, source }, own, known })
    }

    /// The site's addresses. A record that can't be read is none.
    fn known(&self, port: Option<u16>) -> (AddressSource, Arc<Known>) {
        let record = self.cow.addresses();
        let version =
            std::fs::metadata(&record).ok().map(|found| (found.ino(), found.len(), found.mtime(), found.mtime_nsec()));
        let source = (version, port);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = known.as_ref().filter(|(of, _)| *of == source) {
            return (source, Arc::clone(known));
        }
        let mut addresses = Addresses::parse(&std::fs::read_to_string(&record).unwrap_or_default());
        addresses.add_root(&self.root_host);
        port.map(|port| addresses.add_port(port));
        let made = Arc::new(Known::new(&addresses));
        *known = Some((source, Arc::clone(&made)));
        (source, made)
    }
}

/// The addresses that a text may name, and the one that it is to name.
struct Names {
    naming: Naming<AddressSource>,
    own: Own,
    known: Arc<Known>,
}

/// A file that is sent.
pub(super) struct OpenFile {
    file: File,
    /// What holds it compressed, and how long that is.
    stored: Option<(File, u64)>,
}

impl OpenFile {
    /// Opens a file, and what is stored of it, if they are still those that the answer's headers describe.
    pub(super) fn open(path: &Path, body: &Body, stored: Option<&Stored>) -> io::Result<Self> {
        let stored = stored.map(|stored| open(&stored.file, &stored.version).map(|file| (file, stored.version.size)));
        Ok(Self { file: open(path, &body.version)?, stored: stored.transpose()? })
    }
}

/// What is sent after the headers.
pub(super) struct Made {
    pub(super) body: AnswerBody,
    pub(super) length: u64,
    /// Whether addresses in it were replaced: then it is whole, whatever was asked for.
    pub(super) is_text: bool,
}

impl Made {
    fn of(bytes: Bytes) -> Self {
        Self { length: bytes.len() as u64, body: AnswerBody::whole(bytes), is_text: false }
    }

    /// A part of a file.
    fn part(file: File, offset: u64, length: u64) -> io::Result<Self> {
        match length <= SHORT_BYTES {
            true => read_at(&file, offset, length).map(Self::of),
            false => Ok(Self { body: AnswerBody::File(FilePart::new(file, offset, length)), length, is_text: false }),
        }
    }
}

/// Why there is nothing to send.
pub(super) enum NotMade {
    /// It has to be made, which takes time.
    Later,
    /// The file can't be read, or changed meanwhile.
    Unreadable,
}

impl From<io::Error> for NotMade {
    fn from(_: io::Error) -> Self {
        Self::Unreadable
    }
}

/// A part of what is there whole.
fn slice(whole: &Bytes, part: &Body) -> Bytes {
    let at = |offset: u64| usize::try_from(offset).map_or(whole.len(), |at| at.min(whole.len()));
    whole.slice(at(part.offset)..at(part.offset + part.length))
}

fn open(path: &Path, version: &FileVersion) -> io::Result<File> {
    let file = File::open(path)?;
    let is_same = FileVersion::of(&file.metadata()?) == *version;
    if is_same { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
}
