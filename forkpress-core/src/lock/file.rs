//! One lock file: its descriptor, its mode, and what an exclusive holder writes into it.
//!
//! A lock file is text, for `cat`: a line `generation N` of fixed length in `operations.lock`, then, while somebody
//! holds the lock exclusively, a line `holder pid=P since=MILLISECONDS operation=WORDS`. While publish number N goes on beside
//! requests of other branches, the first line is `publishing N`.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::LockError;
use crate::deadline::Deadline;
use crate::flock;
use crate::layout::CowLayout;
use crate::own;

pub(super) use crate::flock::Mode;

/// `generation ` or `publishing `, 20 digits (the most a `u64` has) and a line feed.
const GENERATION_BYTES: u64 = 32;

const SETTLED: &str = "generation ";
const PUBLISHING: &str = "publishing ";

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

    fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
        let (number, is_publishing) = match line.strip_prefix(SETTLED) {
            Some(number) => (number, false),
            None => (line.strip_prefix(PUBLISHING)?, true),
        };
        let number = number.parse().ok()?;
        (number > 0 || !is_publishing).then_some(Self { number, is_publishing })
    }
}

/// An open lock file. Closing it releases what it holds, unless a forked child has it open as well: call [`Self::unlock`].
#[derive(Debug)]
pub(super) struct LockFile {
    file: File,
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl LockFile {
    /// Opens the lock file, making it if need be, and closes it to others; for reading only where it may not be written, which is enough to share.
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
                Ok(Self { file, path, device_and_inode: (metadata.dev(), metadata.ino()) })
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

    /// Takes the lock if it is free. Never blocks.
    pub(super) fn try_lock(&self, mode: Mode) -> Result<bool, LockError> {
        flock::try_lock(&self.file, mode).map_err(|source| self.error(source))
    }

    /// Lets the lock go. Nothing can be done about a failure but to close the file, which the caller does in time.
    pub(super) fn unlock(&self) {
        let _ = flock::unlock(&self.file);
    }

    /// The counter of publishes; zero in a new file.
    pub(super) fn generation(&self) -> Result<Generation, LockError> {
        let mut line = [0; GENERATION_BYTES as usize];
        match self.file.read_exact_at(&mut line, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Generation::default()),
            Err(source) => return Err(self.error(source)),
        }
        Generation::parse(&line)
            .ok_or_else(|| self.error(io::Error::new(io::ErrorKind::InvalidData, "its first line is no generation")))
    }

    /// Writes the counter, in one piece.
    pub(super) fn write_generation(&self, generation: Generation) -> Result<(), LockError> {
        let word = if generation.is_publishing { PUBLISHING } else { SETTLED };
        let line = format!("{word}{:020}\n", generation.number);
        self.file.write_all_at(line.as_bytes(), 0).map_err(|source| self.error(source))
    }

    /// Writes who holds the lock and since when. Only the exclusive holder calls this.
    pub(super) fn write_holder(&self, operation: &str) -> Result<(), LockError> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let operation = operation.replace(char::is_control, " ");
        let line = format!("holder pid={} since={since} operation={operation}\n", std::process::id());
        let start = self.holder_offset()?;
        let end = start + line.len() as u64;
        self.file
            .write_all_at(line.as_bytes(), start)
            .and_then(|()| self.file.set_len(end))
            .map_err(|source| self.error(source))
    }

    /// Takes the holder's line away. A line that stays is harmless: a reader believes it only of the process that has the lock.
    pub(super) fn clear_holder(&self) {
        if let Ok(start) = self.holder_offset() {
            let _ = self.file.set_len(start);
        }
    }

    fn holder_offset(&self) -> Result<u64, LockError> {
        Ok(if self.generation().is_ok_and(|generation| generation.number > 0) { GENERATION_BYTES } else { 0 })
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
        for garbage in ["publishing 00000000000000000000\n", "generation 0000000000000000000x\n", "x"] {
            assert_eq!(Generation::parse(garbage.as_bytes()), None, "{garbage}");
        }
    }
}
