//! One lock file: its descriptor, its mode, and what an exclusive holder writes into it.
//!
//! A lock file is text, for `cat`: a line `generation N` of fixed length in `operations.lock`, then, while somebody
//! holds the lock exclusively, a line `holder pid=P since=MILLISECONDS operation=WORDS`. While publish number N goes on beside
//! requests of other branches, the first line is `publishing N`. While a writer waits behind a closed gate, there is a `!` in
//! place of the blank: `generation!N`. That is one byte, so it is never seen half written.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::io::{FdFlags, fcntl_setfd};

use super::LockError;
use crate::deadline::Deadline;
use crate::flock::{self, Mode};
use crate::layout::CowLayout;
use crate::own;

/// `generation` or `publishing`, a blank, 20 digits (the most a `u64` has) and a line feed.
const HEADER_BYTES: u64 = 32;

const SETTLED: &str = "generation";
const PUBLISHING: &str = "publishing";

/// Where the blank is, of the first line's bytes, and what is in its place while a writer waits.
const MARK_AT: u64 = 10;
const NOBODY_WAITS: &str = " ";
const WRITER_WAITS: &str = "!";

/// For how long a process that shares a lock again and again takes its file for the one that the path names. Requests that run
/// when a lock file is replaced have a lock that is worth nothing, however often they look: so may those of this time.
const CURRENT_FOR: Duration = Duration::from_secs(1);

const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

/// How often a site was published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation {
    /// The number of the last publish that began.
    pub number: u64,
    /// Whether that publish has not ended: it goes on in another branch, or its process died.
    pub is_publishing: bool,
}

impl Generation {
    /// The number of the last publish that has ended.
    #[must_use]
    pub fn settled(self) -> u64 {
        self.number - u64::from(self.is_publishing)
    }
}

/// The first line of `operations.lock`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) generation: Generation,
    /// Whether a writer waits behind a closed gate, or did so and died.
    pub(super) writer_waits: bool,
}

impl Header {
    fn parse(line: &[u8]) -> Option<Self> {
        let (word, rest) = std::str::from_utf8(line).ok()?.strip_suffix('\n')?.split_at_checked(MARK_AT as usize)?;
        let (mark, number) = rest.split_at_checked(1)?;
        let is_publishing = match word {
            SETTLED => false,
            PUBLISHING => true,
            _ => return None,
        };
        let writer_waits = match mark {
            NOBODY_WAITS => false,
            WRITER_WAITS => true,
            _ => return None,
        };
        let number = number.parse().ok()?;
        let generation = Generation { number, is_publishing };
        (number > 0 || !is_publishing).then_some(Self { generation, writer_waits })
    }

    fn line(self) -> String {
        let word = if self.generation.is_publishing { PUBLISHING } else { SETTLED };
        let mark = if self.writer_waits { WRITER_WAITS } else { NOBODY_WAITS };
        format!("{word}{mark}{:020}\n", self.generation.number)
    }
}

/// An open lock file. Closing it releases what it holds, unless a forked child has it open as well: call [`Self::unlock`].
#[derive(Debug)]
pub(super) struct LockFile {
    file: File,
    path: PathBuf,
    device_and_inode: (u64, u64),
    /// When the path was last seen to name this file.
    current_at: Mutex<Option<Instant>>,
}

impl LockFile {
    /// Opens the lock file, making it if need be, and closes it to others; for reading only where it may not be
    /// written, which is enough to share.
    pub(super) fn open(path: PathBuf) -> Result<Self, LockError> {
        // std opens every file close-on-exec.
        let opened = own::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = match opened {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) =>
            {
                own::open(&path)
            }
            opened => opened,
        };
        match file.and_then(|file| file.metadata().map(|metadata| (file, metadata))) {
            Ok((_, metadata)) if !metadata.is_file() => {
                Err(LockError::Open { path, source: io::Error::other("it is not a regular file") })
            }
            Ok((file, metadata)) => {
                // Whoever can open it can lock it, and keep every page waiting.
                own::close_file(&file, &metadata);
                let device_and_inode = (metadata.dev(), metadata.ino());
                Ok(Self { file, path, device_and_inode, current_at: Mutex::new(None) })
            }
            Err(source) => Err(LockError::Open { path, source }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still names this file, and a lock on it therefore still means something.
    pub(super) fn is_current(&self) -> Result<bool, LockError> {
        match rustix::fs::stat(&self.path) {
            #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "the types differ between platforms")]
            Ok(stat) => Ok((stat.st_dev as u64, stat.st_ino as u64) == self.device_and_inode),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(errno) => Err(self.error(errno.into())),
        }
    }

    /// The same, looked at once in [`CURRENT_FOR`] at most, and the first time that it is asked.
    pub(super) fn was_current_lately(&self) -> Result<bool, LockError> {
        let mut current_at = self.current_at.lock().unwrap_or_else(PoisonError::into_inner);
        if current_at.is_none_or(|seen| seen.elapsed() >= CURRENT_FOR) {
            *current_at = self.is_current()?.then(Instant::now);
        }
        Ok(current_at.is_some())
    }

    /// Takes the lock if it is free. Never blocks.
    pub(super) fn try_lock(&self, mode: Mode) -> Result<bool, LockError> {
        flock::try_lock(&self.file, mode).map_err(|source| self.error(source))
    }

    /// Has the programs that this process starts have the file open as well. Of an open file the system refuses nothing here.
    pub(super) fn keep_across_exec(&self) {
        let _ = fcntl_setfd(&self.file, FdFlags::empty());
    }

    /// Lets the lock go. Nothing can be done about a failure but to close the file, which the caller does in time.
    pub(super) fn unlock(&self) {
        let _ = flock::unlock(&self.file);
    }

    /// The first line of `operations.lock`; none in a new file.
    pub(super) fn header(&self) -> Result<Option<Header>, LockError> {
        let mut line = [0; HEADER_BYTES as usize];
        match self.file.read_exact_at(&mut line, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(source) => return Err(self.error(source)),
        }
        let invalid = || self.error(io::Error::new(io::ErrorKind::InvalidData, "its first line is no generation"));
        Header::parse(&line).map(Some).ok_or_else(invalid)
    }

    /// The counter of publishes; zero in a new file.
    pub(super) fn generation(&self) -> Result<Generation, LockError> {
        Ok(self.header()?.unwrap_or_default().generation)
    }

    /// Writes the counter, in one piece, and that no writer waits.
    pub(super) fn write_generation(&self, generation: Generation) -> Result<(), LockError> {
        self.write(&Header { generation, writer_waits: false }.line(), 0)
    }

    /// Writes that a writer waits behind a closed gate. Only whoever holds `visit.lock` calls this.
    pub(super) fn write_writer_waits(&self) -> Result<(), LockError> {
        match self.header()? {
            None => self.write(&Header { writer_waits: true, ..Header::default() }.line(), 0),
            Some(_) => self.write(WRITER_WAITS, MARK_AT),
        }
    }

    /// Takes that away. Should it stay, requests go through the gates until something is published: right, and slower.
    pub(super) fn clear_writer_waits(&self) {
        if self.header().is_ok_and(|header| header.is_some()) {
            let _ = self.write(NOBODY_WAITS, MARK_AT);
        }
    }

    /// Writes who holds the lock and since when. Only the exclusive holder calls this.
    pub(super) fn write_holder(&self, operation: &str) -> Result<(), LockError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let operation = operation.replace(char::is_control, " ");
        let line = format!("holder pid={} since={since} operation={operation}\n", std::process::id());
        let start = self.holder_offset()?;
        let end = start + line.len() as u64;
        self.write(&line, start)?;
        self.file.set_len(end).map_err(|source| self.error(source))
    }

    /// Takes the holder's line away. A line that stays is harmless: a reader believes it only of the process that has the lock.
    pub(super) fn clear_holder(&self) {
        if let Ok(start) = self.holder_offset() {
            let _ = self.file.set_len(start);
        }
    }

    fn holder_offset(&self) -> Result<u64, LockError> {
        Ok(if self.header().is_ok_and(|header| header.is_some()) { HEADER_BYTES } else { 0 })
    }

    fn write(&self, text: &str, at: u64) -> Result<(), LockError> {
        self.file.write_all_at(text.as_bytes(), at).map_err(|source| self.error(source))
    }

    fn error(&self, source: io::Error) -> LockError {
        LockError::Lock { path: self.path.clone(), source }
    }
}

/// The counter of publishes of a site, the one that goes on among them; zero before the first.
///
/// # Errors
/// [`LockError`] where `operations.lock` exists and can't be read.
pub fn generation(cow: &CowLayout) -> Result<u64, LockError> {
    LockFile::open(cow.operations_lock())?.generation().map(|generation| generation.number)
}

/// Calls `attempt` until it gives something or the deadline has passed; at least once.
pub(super) fn poll<T>(
    deadline: Deadline,
    mut attempt: impl FnMut() -> Result<Option<T>, LockError>,
) -> Result<Option<T>, LockError> {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(value) = attempt()? {
            return Ok(Some(value));
        }
        let remaining = deadline.remaining();
        if remaining.is_zero() {
            return Ok(None);
        }
        thread::sleep(pause.min(remaining));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_read_back_and_one_that_is_being_published_is_not_settled() {
        let dir = tempfile::tempdir().unwrap();
        let lock = LockFile::open(dir.path().join("operations.lock")).unwrap();
        assert_eq!(lock.generation().unwrap(), Generation::default());
        for (generation, settled) in [
            (Generation { number: 7, is_publishing: true }, 6),
            (Generation { number: 7, is_publishing: false }, 7),
            (Generation { number: u64::MAX, is_publishing: false }, u64::MAX),
        ] {
            lock.write_generation(generation).unwrap();
            assert_eq!(lock.generation().unwrap(), generation);
            assert_eq!(generation.settled(), settled);
        }
    }

    #[test]
    fn that_a_writer_waits_is_one_byte_beside_the_generation_which_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("operations.lock");
        let lock = LockFile::open(path.clone()).unwrap();
        let text = || std::fs::read_to_string(&path).unwrap();
        let waits = || lock.header().unwrap().unwrap().writer_waits;
        lock.write_writer_waits().unwrap();
        assert!(waits());
        assert_eq!(text(), "generation!00000000000000000000\n");
        lock.clear_writer_waits();
        assert!(!waits());
        let generation = Generation { number: 7, is_publishing: true };
        lock.write_generation(generation).unwrap();
        lock.write_holder("x").unwrap();
        lock.write_writer_waits().unwrap();
        assert!(waits());
        assert_eq!(lock.generation().unwrap(), generation);
        assert!(text().starts_with("publishing!00000000000000000007\nholder pid="), "{}", text());
        lock.write_generation(generation).unwrap();
        assert!(!waits(), "whoever publishes waits no longer");
    }

    #[test]
    fn what_is_no_header_is_none() {
        let (marked, unmarked) = ("publishing!00000000000000000007\n", "generation 00000000000000000007\n");
        for line in [marked, unmarked] {
            assert_eq!(Header::parse(line.as_bytes()).unwrap().line(), line);
        }
        for garbage in [
            "publishing 00000000000000000000\n",
            "generation 0000000000000000000x\n",
            "generation?00000000000000000001\n",
            "generations00000000000000000001\n",
            "generation",
            "x",
        ] {
            assert_eq!(Header::parse(garbage.as_bytes()), None, "{garbage}");
        }
    }

    #[test]
    fn a_file_is_looked_for_when_it_is_first_asked_and_seldom_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("operations.lock");
        let open = || LockFile::open(path.clone()).unwrap();
        let (asked, unasked) = (open(), open());
        assert!(asked.was_current_lately().unwrap());
        std::fs::remove_file(&path).unwrap();
        open();
        assert!(!unasked.was_current_lately().unwrap());
        assert!(!asked.is_current().unwrap());
        while asked.was_current_lately().unwrap() {
            thread::sleep(LONGEST_PAUSE);
        }
    }
}
