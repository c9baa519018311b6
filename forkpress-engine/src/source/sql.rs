//! The dump of a source as one stream of SQL. It is unpacked beside whoever reads it.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::Found;
use super::error::SourceError;
use super::listing::Listing;
use super::stream;

/// So many bytes are handed over at a time, and so many pieces wait at most.
const PIECE_BYTES: usize = 256 << 10;
const MOST_PIECES: usize = 8;

/// Reads the dump of a source. What goes wrong with the source comes as an [`io::Error`] that holds a [`SourceError`].
#[derive(Debug)]
pub struct DumpReader {
    pieces: Receiver<Result<Vec<u8>, SourceError>>,
    piece: Vec<u8>,
    at: usize,
}

impl Found {
    /// Reads the dump: its parts one after the other, unpacked. Nothing comes where there is none.
    #[must_use]
    pub fn dump(&self) -> DumpReader {
        let (sender, pieces) = sync_channel(MOST_PIECES);
        let listing = Arc::clone(&self.listing);
        let paths: Vec<_> = self.dumps.iter().map(|dump| dump.path.clone()).collect();
        // Whoever reads no further takes the other end away, and the thread ends.
        thread::spawn(move || {
            let wanted: Vec<_> = paths.iter().filter_map(|path| listing.get(path)).collect();
            if let Err(error) = send(&listing, &wanted, &sender) {
                let _ = sender.send(Err(error));
            }
        });
        DumpReader { pieces, piece: Vec::new(), at: 0 }
    }

    /// How many bytes the dump has; none where it is packed, and that is not said.
    #[must_use]
    pub fn dump_bytes(&self) -> Option<u64> {
        let is_plain = self.dumps.iter().all(|dump| dump.packing == stream::Packing::Plain);
        is_plain.then(|| self.dumps.iter().map(|dump| dump.bytes).sum())
    }
}

fn send(
    listing: &Listing,
    wanted: &[&super::listing::Item],
    sender: &SyncSender<Result<Vec<u8>, SourceError>>,
) -> Result<(), SourceError> {
    let mut is_read = true;
    listing.walk(wanted, &mut |item, content| {
        if !is_read {
            return Ok(());
        }
        let broken = |error| SourceError::broken(listing.archive_of(item).path(), Some(&item.entry.path))(error);
        let mut reader = content.open().and_then(|content| stream::unpacked(content)).map_err(broken)?;
        let mut is_first = true;
        loop {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            reader.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece).map_err(broken)?;
            if piece.is_empty() {
                break;
            }
            if is_first && piece.starts_with(BYTE_ORDER_MARK) {
                piece.drain(..BYTE_ORDER_MARK.len());
            }
            is_first = false;
            is_read = sender.send(Ok(piece)).is_ok();
            if !is_read {
                return Ok(());
            }
        }
        // The last line of a file may have no end.
        is_read = sender.send(Ok(b"\n".to_vec())).is_ok();
        Ok(())
    })
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Read for DumpReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.piece, self.at) = (piece.map_err(io::Error::other)?, 0),
                // Nothing more is sent.
                Err(_) => return Ok(0),
            }
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
