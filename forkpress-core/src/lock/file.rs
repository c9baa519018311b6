//! One lock file: its descriptor, its mode, and what an exclusive holder writes into it.
//!
//! A lock file is text, for `cat`: a line `generation N` of fixed length in `operations.lock`, then, while somebody
//! holds the lock exclusively, a line `holder pid=P since=MILLISECONDS operation=WORDS`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::LockError;
use crate::deadline::Deadline;
use crate::layout::CowLayout;

/// `generation `, 20 digits (the most a `u64` has) and a line feed.
const GENERATION_BYTES: u64 = 32;

const FIRST_PAUSE: Duration = Duration::from_micros(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(2);

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Shared,
    Exclusive,
}

/// An open lock file. Closing it releases what it holds, unless a forked child has it open as well: call [`Self::unlock`].
#[derive(Debug)]
pub(super) struct LockFile {
    file: File,
    path: PathBuf,
    device_and_inode: (u64, u64),
}

impl LockFile {
    /// Opens the lock file, making it if need be; for reading only where it may not be written, which is enough to share.
    pub(super) fn open(path: PathBuf) -> Result<Self, LockError> {
        // std opens every file close-on-exec.
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o666).open(&path);
        let file = match opened {
            Err(error)
                if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) =>
            {
                File::open(&path)
            }
            opened => opened,
        };
        match file.and_then(|file| file.metadata().map(|metadata| (file, metadata))) {
            Ok((_, metadata)) if !metadata.is_file() => {
                Err(LockError::Open { path, source: io::Error::other("it is not a regular file") })
            }
            Ok((file, metadata)) => Ok(Self { file, path, device_and_inode: (metadata.dev(), metadata.ino()) }),
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
        loop {
            let taken = match mode {
                Mode::Shared => fs2::FileExt::try_lock_shared(&self.file),
                Mode::Exclusive => fs2::FileExt::try_lock_exclusive(&self.file),
            };
            match taken {
                Ok(()) => return Ok(true),
                Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.error(source)),
            }
        }
    }

    /// Lets the lock go. Nothing can be done about a failure but to close the file, which the caller does in time.
    pub(super) fn unlock(&self) {
        let _ = fs2::FileExt::unlock(&self.file);
    }

    /// The counter of publishes; zero in a new file.
    pub(super) fn generation(&self) -> Result<u64, LockError> {
        let mut line = [0; GENERATION_BYTES as usize];
        match self.file.read_exact_at(&mut line, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
            Err(source) => return Err(self.error(source)),
        }
        std::str::from_utf8(&line)
            .ok()
            .and_then(|line| line.strip_prefix("generation ")?.strip_suffix('\n')?.parse().ok())
            .ok_or_else(|| self.error(io::Error::new(io::ErrorKind::InvalidData, "its first line is no generation")))
    }

    pub(super) fn write_generation(&self, generation: u64) -> Result<(), LockError> {
        let line = format!("generation {generation:020}\n");
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
        Ok(if self.generation().is_ok_and(|generation| generation > 0) { GENERATION_BYTES } else { 0 })
    }

    fn error(&self, source: io::Error) -> LockError {
        LockError::Lock { path: self.path.clone(), source }
    }
}

/// The counter of publishes of a site; zero before the first.
///
/// # Errors
/// [`LockError`] where `operations.lock` exists and can't be read.
pub fn generation(cow: &CowLayout) -> Result<u64, LockError> {
    LockFile::open(cow.operations_lock())?.generation()
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
