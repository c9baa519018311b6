//! A pipe that keeps what its reader has not taken yet: in memory, and beyond that in a file that has no name.
//!
//! So whoever writes never waits for a slow reader, and a large body costs no memory. What is read at once costs no file either.

use std::collections::VecDeque;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

/// How much is read from a file at once.
const READ_BYTES: u64 = 128 << 10;

/// What waits in all spools of this process.
static WAITING: AtomicU64 = AtomicU64::new(0);

/// How many bytes wait in all spools.
#[must_use]
pub fn waiting_bytes() -> u64 {
    WAITING.load(Ordering::Relaxed)
}

/// Room that is left on a disk for others: a twentieth, but no more than this.
const MOST_LEFT_BYTES: u64 = 64 << 20;

/// Where a spool keeps what waits.
#[derive(Clone, Debug)]
pub struct Room {
    /// How much of it in memory.
    pub memory_bytes: usize,
    /// The folder of the file that takes the rest.
    pub folder: PathBuf,
}

/// Makes a spool.
#[must_use]
pub fn spool(room: Room) -> (SpoolWriter, SpoolReader) {
    let state = Arc::new(Mutex::new(State::default()));
    (SpoolWriter { state: Arc::clone(&state), room, file: None }, SpoolReader { state, reading: None })
}

/// What waits: first what is in memory, then what is in the file. While the file has any, more goes there.
#[derive(Debug, Default)]
struct State {
    memory: VecDeque<Bytes>,
    memory_bytes: usize,
    file: Option<Arc<File>>,
    /// The part of the file that waits.
    taken: u64,
    written: u64,
    total_bytes: u64,
    end: Option<End>,
    is_unwanted: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    CutShort,
}

impl State {
    fn file_is_drained(&self) -> bool {
        self.taken == self.written
    }

    fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // What nobody will take.
        WAITING.fetch_sub(self.memory_bytes as u64 + (self.written - self.taken), Ordering::Relaxed);
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The end that is written to. Dropped before [`Self::end`], it leaves what its reader sees is cut short.
#[derive(Debug)]
pub struct SpoolWriter {
    state: Arc<Mutex<State>>,
    room: Room,
    file: Option<Arc<File>>,
}

impl SpoolWriter {
    /// Adds bytes. What was not added may be written again.
    ///
    /// # Errors
    /// What the system said where the file can't take them; `StorageFull` where others would have too little room on the disk.
    /// [`Self::drained`] waits until there is memory.
    pub async fn write(&mut self, bytes: &Bytes) -> io::Result<()> {
        let at = {
            let mut state = lock(&self.state);
            let fits = state.memory.is_empty() || state.memory_bytes + bytes.len() <= self.room.memory_bytes;
            if state.file_is_drained() && fits {
                state.memory_bytes += bytes.len();
                state.total_bytes += bytes.len() as u64;
                WAITING.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                state.memory.push_back(bytes.clone());
                state.wake_reader();
                return Ok(());
            }
            if state.file_is_drained() {
                (state.taken, state.written) = (0, 0);
            }
            state.written
        };
        let (folder, file, written) = (self.room.folder.clone(), self.file.clone(), bytes.clone());
        let file = on_disk(move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(tempfile::tempfile_in(folder)?),
            };
            leave_room(&file, at + written.len() as u64)?;
            file.write_all_at(&written, at)?;
            Ok(file)
        })
        .await?;
        let mut state = lock(&self.state);
        state.written = at + bytes.len() as u64;
        state.total_bytes += bytes.len() as u64;
        WAITING.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        state.file = Some(Arc::clone(&file));
        state.wake_reader();
        self.file = Some(file);
        Ok(())
    }

    /// Says that this was all, and how many bytes it was.
    #[must_use]
    pub fn end(self) -> u64 {
        let mut state = lock(&self.state);
        state.end = Some(End::Whole);
        state.wake_reader();
        state.total_bytes
    }

    /// Waits until the reader has taken all, or has gone.
    pub async fn drained(&mut self) {
        self.wait(|state| state.is_unwanted || state.memory.is_empty() && state.file_is_drained()).await;
    }

    /// Waits until the reader has gone.
    pub async fn unwanted(&mut self) {
        self.wait(|state| state.is_unwanted).await;
    }

    async fn wait(&mut self, until: impl Fn(&State) -> bool) {
        poll_fn(|context| {
            let mut state = lock(&self.state);
            if until(&state) {
                return Poll::Ready(());
            }
            state.writer = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        if state.end.is_none() {
            state.end = Some(End::CutShort);
            state.wake_reader();
        }
    }
}

/// The end that is read.
#[derive(Debug)]
pub struct SpoolReader {
    state: Arc<Mutex<State>>,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl SpoolReader {
    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// `UnexpectedEof` where the writer was dropped before its end; what the system says where the file can't be read.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// [`Self::next`], for who polls.
    ///
    /// # Errors
    /// As there.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let bytes = ready!(std::pin::Pin::new(reading).poll(context)).map_err(io::Error::other).flatten();
                self.reading = None;
                let mut state = lock(&self.state);
                if let Ok(bytes) = &bytes {
                    state.taken += bytes.len() as u64;
                    WAITING.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
                }
                state.wake_writer();
                return Poll::Ready(bytes.map(Some));
            }
            let mut state = lock(&self.state);
            if let Some(bytes) = state.memory.pop_front() {
                state.memory_bytes -= bytes.len();
                WAITING.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
                state.wake_writer();
                return Poll::Ready(Ok(Some(bytes)));
            }
            let waiting = state.written - state.taken;
            if let Some(file) = state.file.clone().filter(|_| waiting > 0) {
                let (at, length) = (state.taken, waiting.min(READ_BYTES));
                self.reading = Some(spawn_blocking(move || read_at(&file, at, length)));
                continue;
            }
            return match state.end {
                Some(End::Whole) => Poll::Ready(Ok(None)),
                Some(End::CutShort) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                None => {
                    state.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            };
        }
    }
}

impl Drop for SpoolReader {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.is_unwanted = true;
        state.wake_writer();
    }
}

/// Reads so many bytes of a file, which has them.
pub(crate) fn read_at(file: &File, at: u64, length: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes.into())
}

/// Says whether a file may be so long. What it has already it may write anew.
fn leave_room(file: &File, length: u64) -> io::Result<()> {
    let more = length.saturating_sub(file.metadata()?.len());
    if more == 0 {
        return Ok(());
    }
    let disk = rustix::fs::fstatvfs(file)?;
    let left = (disk.f_blocks * disk.f_frsize / 20).min(MOST_LEFT_BYTES);
    // Some file systems do not say how large they are.
    let is_known = disk.f_blocks > 0;
    if is_known && disk.f_bavail * disk.f_frsize < left + more {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

pub(crate) async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(byte: u8, length: usize) -> Bytes {
        vec![byte; length].into()
    }

    fn room(folder: impl Into<PathBuf>) -> Room {
        Room { memory_bytes: 100, folder: folder.into() }
    }

    async fn rest(reader: &mut SpoolReader) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(bytes) = reader.next().await.unwrap() {
            all.extend_from_slice(&bytes);
        }
        all
    }

    #[tokio::test]
    async fn what_waits_comes_in_its_order_from_memory_and_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, mut reader) = spool(room(dir.path()));
        let mut expected = Vec::new();
        for round in 0..20_u8 {
            for part in 0..u8::from(round % 3 > 0) * 5 + 1 {
                let piece = bytes(round * 10 + part, 60);
                writer.write(&piece).await.unwrap();
                expected.extend_from_slice(&piece);
            }
            // Sometimes the reader takes all, so that the file is used from its beginning again.
            while expected.len() > usize::from(round % 4) * 100 {
                let Some(got) = reader.next().await.unwrap() else { panic!("it ended") };
                assert_eq!(&expected[..got.len()], &got[..]);
                expected.drain(..got.len());
            }
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the file has no name");
        assert!(writer.end() > 1000);
        assert_eq!(rest(&mut reader).await, expected);
        assert!(reader.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_writer_that_is_dropped_before_its_end_cuts_it_short() {
        let (mut writer, mut reader) = spool(room("/nowhere"));
        writer.write(&bytes(1, 10)).await.unwrap();
        drop(writer);
        assert_eq!(reader.next().await.unwrap(), Some(bytes(1, 10)));
        assert_eq!(reader.next().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn where_the_disk_takes_nothing_the_writer_can_wait_for_the_reader() {
        let (mut writer, mut reader) = spool(room("/nowhere"));
        writer.write(&bytes(1, 90)).await.unwrap();
        writer.write(&bytes(2, 90)).await.unwrap_err();
        let writing = tokio::spawn(async move {
            writer.drained().await;
            writer.write(&bytes(2, 90)).await.unwrap();
            writer.end()
        });
        assert_eq!(rest(&mut reader).await, [bytes(1, 90), bytes(2, 90)].concat());
        assert_eq!(writing.await.unwrap(), 180);
    }

    #[test]
    fn a_file_does_not_take_the_last_room_on_a_disk() {
        let file = tempfile::tempfile().unwrap();
        leave_room(&file, 0).unwrap();
        let disk = rustix::fs::fstatvfs(&file).unwrap();
        let nearly_all = disk.f_bavail * disk.f_frsize - (1 << 20);
        assert_eq!(leave_room(&file, nearly_all).unwrap_err().kind(), io::ErrorKind::StorageFull);
        file.set_len(nearly_all).unwrap();
        leave_room(&file, nearly_all).expect("that is no more than it has");
    }

    #[tokio::test]
    async fn the_writer_hears_that_the_reader_has_gone() {
        let (mut writer, reader) = spool(room("/nowhere"));
        let hears = tokio::spawn(async move {
            writer.unwanted().await;
            writer.drained().await;
        });
        drop(reader);
        hears.await.unwrap();
    }
}
