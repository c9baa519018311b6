//! The folder of a job and the files in it, which only the site's owner can read.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use forkpress_core::flock::{self, Mode};
use forkpress_core::own;
use forkpress_core::process::ProcessIdentity;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{JobError, JobId, MOST_ANSWER_BYTES};
use crate::disk;
use crate::file::Replacement;

/// What the name of a folder begins with that is not a job yet.
pub(super) const NEW: &str = ".new-";

/// No record of a job is longer.
const MOST_RECORD_BYTES: u64 = 4 << 20;

/// What is known of a job as it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) command: Vec<String>,
    pub(super) title: String,
    pub(super) by: String,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub(super) began_ms: u64,
}

/// How its command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) exit: i32,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub(super) ended_ms: u64,
    /// The operation that the answer names.
    pub(super) operation: Option<u64>,
}

/// Who holds the lock of a job.
pub(super) enum Holder {
    /// Whoever starts it, still.
    Starter,
    /// Its runner.
    Runner(ProcessIdentity),
    /// Nobody: it has ended or died.
    Nobody,
}

/// The folder of a job.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Locked as long as the job runs. In it stands which process the runner is.
    pub(super) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// What is known of the job as it begins.
    fn record(&self) -> PathBuf {
        self.0.join("job.json")
    }

    /// How it ended.
    fn end_record(&self) -> PathBuf {
        self.0.join("end.json")
    }

    /// What the command writes to standard output.
    pub(super) fn output(&self) -> PathBuf {
        self.0.join("output")
    }

    /// What it writes to standard error.
    pub(super) fn progress(&self) -> PathBuf {
        self.0.join("progress")
    }

    pub(super) fn begun(&self) -> Result<Option<Begun>, JobError> {
        match std::fs::symlink_metadata(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Ok(found) if found.is_dir() => {}
            _ => return Err(self.odd(&self.0)),
        }
        match read(&self.record())? {
            // It may have gone since the look at the folder.
            None if self.0.exists() => Err(self.odd(&self.record())),
            begun => Ok(begun),
        }
    }

    pub(super) fn end(&self) -> Result<Option<End>, JobError> {
        read(&self.end_record())
    }

    pub(super) fn write_begun(&self, begun: &Begun) -> Result<(), JobError> {
        write(&self.record(), begun)
    }

    /// Writes down how the command ended. It is on the disk then.
    pub(super) fn write_end(&self, end: &End) -> Result<(), JobError> {
        write(&self.end_record(), end)
    }

    pub(super) fn holder(&self) -> Result<Holder, JobError> {
        let path = self.lock();
        let file = match own::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Holder::Nobody),
            opened => opened.map_err(|_| self.odd(&path))?,
        };
        if disk::step("lock", &path, || flock::try_lock(&file, Mode::Shared))? {
            return Ok(Holder::Nobody);
        }
        Ok(self.runner(&file)?.map_or(Holder::Starter, Holder::Runner))
    }

    /// Says which process the runner is, in its locked file.
    pub(super) fn name_runner(&self, lock: &File, process: &ProcessIdentity) -> Result<(), JobError> {
        let text = serde_json::to_vec(process).expect("an identity is JSON");
        Ok(disk::step("write", &self.lock(), || lock.write_all_at(&text, 0))?)
    }

    /// Whether this process has named itself as the runner.
    pub(super) fn names_runner(&self, pid: u32) -> Result<bool, JobError> {
        let path = self.lock();
        let file = disk::step("open", &path, || own::open(&path))?;
        Ok(self.runner(&file)?.is_some_and(|runner| runner.pid == pid))
    }

    /// The process that the locked file names.
    fn runner(&self, lock: &File) -> Result<Option<ProcessIdentity>, JobError> {
        let mut text = Vec::new();
        disk::step("read", &self.lock(), || lock.take(MOST_RECORD_BYTES).read_to_end(&mut text))?;
        Ok(serde_json::from_slice(&text).ok())
    }

    /// Opens a file of the job for reading.
    pub(super) fn open(&self, path: &Path, id: JobId) -> Result<File, JobError> {
        match own::open(path) {
            Err(_) if !self.0.exists() => Err(JobError::Missing { id }),
            Ok(file) if file.metadata().is_ok_and(|found| found.is_file()) => Ok(file),
            _ => Err(self.odd(path)),
        }
    }

    /// Makes an empty file of the job.
    pub(super) fn create(path: &Path) -> Result<File, JobError> {
        Ok(disk::step("make", path, || own::options().append(true).read(true).create_new(true).open(path))?)
    }

    pub(super) fn output_text(&self, id: JobId) -> Result<String, JobError> {
        let path = self.output();
        let mut text = Vec::new();
        let file = self.open(&path, id)?;
        disk::step("read", &path, || file.take(MOST_ANSWER_BYTES).read_to_end(&mut text))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn odd(&self, path: &Path) -> JobError {
        JobError::Odd { path: path.to_owned() }
    }
}

/// Whether two open files are one.
pub(super) fn are_same(one: &File, other: &File) -> io::Result<bool> {
    let identity = |file: &File| file.metadata().map(|found| (found.dev(), found.ino()));
    Ok(identity(one)? == identity(other)?)
}

/// A record; none where there is no such file.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, JobError> {
    let odd = || JobError::Odd { path: path.to_owned() };
    let file = match own::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|_| odd())?,
    };
    let mut text = Vec::new();
    file.take(MOST_RECORD_BYTES).read_to_end(&mut text).map_err(|_| odd())?;
    serde_json::from_slice(&text).map(Some).map_err(|_| odd())
}

fn write(path: &Path, record: &impl Serialize) -> Result<(), JobError> {
    let text = serde_json::to_vec(record).expect("a record is JSON");
    Ok(disk::step("write", path, || {
        let replacement = Replacement::prepare(path, &text)?;
        replacement.set_mode(own::CLOSED_FILE)?;
        replacement.commit()
    })?)
}
