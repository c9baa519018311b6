//! The dump of a source as streams of SQL. They are unpacked beside whoever reads them.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::Found;
use super::archive::Archive;
use super::error::SourceError;
use super::listing::{Item, Listing};
use super::stream::{self, Packing};
use crate::progress::Silent;

/// So many bytes are handed over at a time, and so many pieces wait at most.
const PIECE_BYTES: usize = 256 << 10;
const MOST_PIECES: usize = 8;

/// So long is waited for a piece before whoever reads is asked whether to go on.
const PAUSE: Duration = Duration::from_millis(50);

/// One file of a dump, to be read.
#[derive(Debug)]
pub struct DumpPart {
    /// Where in the source it is.
    pub name: String,
    /// How many bytes will be read, if that is known.
    pub bytes: Option<u64>,
    /// What is in it.
    pub read: DumpReader,
}

/// Reads one file of a dump, unpacked. What goes wrong with the source comes as an [`io::Error`] that holds a
/// [`SourceError`]. Where that takes a while, reading is interrupted now and then, and is to be tried again.
///
/// The files of a dump are read one after the other: to read one gives up what was not read of those before it.
#[derive(Debug)]
pub struct DumpReader {
    /// Which file.
    number: usize,
    pieces: Arc<Mutex<Receiver<Piece>>>,
    bytes: Vec<u8>,
    at: usize,
    has_ended: bool,
}

/// What is handed over: bytes of a file, or its end where there are none.
type Piece = Result<(usize, Vec<u8>), SourceError>;

impl Found {
    /// The files of the dump, in the order in which they are to be read. None where there is no dump.
    #[must_use]
    pub fn dump(&self) -> Vec<DumpPart> {
        let (sender, pieces) = sync_channel(MOST_PIECES);
        let pieces = Arc::new(Mutex::new(pieces));
        let part = |(number, dump): (usize, &super::Dump)| {
            let is_plain = self.listing.get(&dump.path).is_some_and(|item| match self.listing.archive_of(item) {
                Archive::Wpress(wpress) => !wpress.is_coded(),
                _ => dump.packing == Packing::Plain,
            });
            DumpPart {
                name: dump.path.display().to_string(),
                bytes: is_plain.then_some(dump.bytes),
                read: DumpReader { number, pieces: Arc::clone(&pieces), bytes: Vec::new(), at: 0, has_ended: false },
            }
        };
        let parts: Vec<_> = self.dumps.iter().enumerate().map(part).collect();
        let listing = Arc::clone(&self.listing);
        let paths: Vec<_> = self.dumps.iter().map(|dump| dump.path.clone()).collect();
        // Whoever reads no further takes the other end away, and the thread ends.
        thread::spawn(move || {
            let wanted: Vec<_> = paths.iter().filter_map(|path| listing.get(path)).collect();
            if let Err(error) = send(&listing, &wanted, &sender) {
                let _ = sender.send(Err(error));
            }
        });
        parts
    }
}

fn send(listing: &Listing, wanted: &[&Item], sender: &SyncSender<Piece>) -> Result<(), SourceError> {
    let mut is_read = true;
    let mut number = 0;
    listing.walk(wanted, &Silent, &mut |item, content| {
        if !is_read {
            return Ok(());
        }
        let broken = |error| SourceError::broken(listing.archive_of(item).path(), Some(&item.entry.path))(error);
        let mut reader = content.open().and_then(stream::unpacked).map_err(broken)?;
        loop {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            reader.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece).map_err(broken)?;
            let is_end = piece.is_empty();
            is_read = sender.send(Ok((number, piece))).is_ok();
            if is_end || !is_read {
                break;
            }
        }
        number += 1;
        Ok(())
    })
}

impl Read for DumpReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.bytes.len() && !self.has_ended {
            let piece = self.pieces.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(PAUSE);
            match piece {
                // The dump may be far from the begin of an archive. Who reads it tries again, or ends.
                Err(RecvTimeoutError::Timeout) => return Err(io::ErrorKind::Interrupted.into()),
                Ok(Ok((number, _))) if number < self.number => {}
                Ok(Ok((_, bytes))) => {
                    self.has_ended = bytes.is_empty();
                    (self.bytes, self.at) = (bytes, 0);
                }
                Ok(Err(error)) => return Err(io::Error::other(error)),
                Err(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = buffer.len().min(self.bytes.len() - self.at);
        buffer[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
