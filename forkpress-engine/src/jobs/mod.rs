//! Jobs: long actions that somebody started and need not wait for.
//!
//! A job is a process of the same `forkpress` program with the arguments that a person would type. It outlives whoever
//! started it. [`start()`] makes its folder and a *runner*, which [`run()`]s the command to its end and writes that down.
//!
//! Whether a job runs is told by a lock, not by a process id: the runner holds it from before the job can be seen until its
//! end is on the disk. A job without a lock and without an end has *died*.
//!
//! Nothing is run because of what is in a job's folder: the runner is given the command by whoever starts it. The folder
//! says what was run, and what came of it.

mod error;
mod folder;
mod measure;
mod run;
mod start;
mod sweep;

use std::fmt;
use std::fs;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use forkpress_core::layout::SiteLayout;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{command, disk};
use folder::{Folder, Holder};

pub use error::JobError;
pub use measure::Measure;
pub use run::run;
pub use start::{NewJob, start};
pub use sweep::sweep;

/// A longer answer is not read to its end, and then it is no JSON.
const MOST_ANSWER_BYTES: u64 = 16 << 20;

/// So much of the progress is read at a time.
const MOST_LINES_BYTES: u64 = 1 << 20;

/// The number of a job. A later job has a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(u64);

impl JobId {
    /// More digits than any number of jobs has.
    const MOST_DIGITS: usize = 15;

    fn after(last: Option<Self>) -> Self {
        Self(last.map_or(1, |last| last.0 + 1))
    }

    fn folder(self, layout: &SiteLayout) -> Folder {
        Folder::new(layout.job(self.0))
    }
}

/// Text that is no number of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the number of a job, such as 7")]
pub struct NoJobId;

impl FromStr for JobId {
    type Err = NoJobId;

    /// Takes a number in the one way in which it is written: without a sign and without zeros before it.
    fn from_str(text: &str) -> Result<Self, NoJobId> {
        let is_number =
            text.len() <= Self::MOST_DIGITS && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { text.parse().map(Self).map_err(|_| NoJobId) } else { Err(NoJobId) }
    }
}

impl TryFrom<String> for JobId {
    type Error = NoJobId;

    fn try_from(text: String) -> Result<Self, NoJobId> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A job, as it is or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// The words that a person would type after `forkpress`.
    pub command: Vec<String>,
    /// What it is about, in a few words.
    pub title: String,
    /// When it was started.
    pub began: SystemTime,
    /// Who started it: `page`, or a user.
    pub by: String,
    /// Whether it runs, and how it ended.
    pub state: JobState,
    operation: Option<u64>,
}

/// Whether a job runs, and how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It runs.
    Running {
        /// Its runner's process id.
        pid: u32,
    },
    /// The command ended.
    Ended {
        /// Its exit status; 128 and the signal's number where a signal ended it.
        exit: i32,
        /// How long the job took.
        took: Duration,
    },
    /// The runner ended without a word: it was killed, or the machine went down.
    Died,
}

impl Job {
    /// Whether it runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.state, JobState::Running { .. })
    }

    /// What a person would type into a shell.
    #[must_use]
    pub fn typed(&self) -> String {
        command::typed(std::iter::once("forkpress").chain(self.command.iter().map(String::as_str)))
    }

    /// The operation that the command's answer names, which can be undone; none while it runs, and where it names none.
    #[must_use]
    pub fn operation(&self) -> Option<u64> {
        self.operation
    }
}

/// The jobs of a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The jobs, newest first.
    pub jobs: Vec<Job>,
    /// What lies among them and is none, or can't be read.
    pub odd: Vec<PathBuf>,
}

/// The jobs of a site, newest first.
///
/// # Errors
/// [`JobError::Disk`] when their folder can't be read.
pub fn list(layout: &SiteLayout) -> Result<Listing, JobError> {
    let mut listing = Listing::default();
    for (name, path) in entries(layout)? {
        // One that comes or goes.
        if name.starts_with('.') {
            continue;
        }
        match name.parse().map_err(|_| JobError::Odd { path: path.clone() }).and_then(|id| get(layout, id)) {
            Ok(job) => listing.jobs.push(job),
            Err(JobError::Missing { .. }) => {}
            Err(_) => listing.odd.push(path),
        }
    }
    listing.jobs.sort_by_key(|job| std::cmp::Reverse(job.id));
    listing.odd.sort();
    Ok(listing)
}

/// The names and paths of all that lies in the folder of the jobs.
fn entries(layout: &SiteLayout) -> Result<Vec<(String, PathBuf)>, JobError> {
    let dir = layout.jobs_dir();
    let found = disk::step("read", &dir, || match fs::read_dir(&dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.collect(),
    })?;
    Ok(found.into_iter().map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect())
}

/// One job.
///
/// # Errors
/// [`JobError::Missing`] when there is none with this number; [`JobError::Odd`] when its folder does not hold what that of a
/// job does; [`JobError::Disk`] when it can't be read.
pub fn get(layout: &SiteLayout, id: JobId) -> Result<Job, JobError> {
    let folder = id.folder(layout);
    let missing = || JobError::Missing { id };
    let begun = folder.begun()?.ok_or_else(missing)?;
    let began = UNIX_EPOCH + Duration::from_millis(begun.began_ms);
    let end = match folder.end()? {
        Some(end) => Some(end),
        None => match folder.holder()? {
            Holder::Starter => return Err(missing()),
            Holder::Runner(process) => {
                let state = JobState::Running { pid: process.pid };
                return Ok(Job::new(id, begun, began, state, None));
            }
            // It may have ended since the first look.
            Holder::Nobody => folder.end()?,
        },
    };
    let Some(end) = end else {
        // One that went meanwhile has not died.
        folder.begun()?.ok_or_else(missing)?;
        return Ok(Job::new(id, begun, began, JobState::Died, None));
    };
    let took = Duration::from_millis(end.ended_ms.saturating_sub(begun.began_ms));
    Ok(Job::new(id, begun, began, JobState::Ended { exit: end.exit, took }, end.operation))
}

impl Job {
    fn new(id: JobId, begun: folder::Begun, began: SystemTime, state: JobState, operation: Option<u64>) -> Self {
        Self { id, command: begun.command, title: begun.title, began, by: begun.by, state, operation }
    }
}

/// What the command says of its progress: whole lines from a byte on, and the byte to go on from.
///
/// There may be more than one call gives. Whoever follows a job looks at its state first, then asks for lines until there are
/// none, and is done if it did not run.
///
/// # Errors
/// As [`get`].
pub fn lines(layout: &SiteLayout, id: JobId, from: u64) -> Result<(Vec<String>, u64), JobError> {
    let is_running = get(layout, id)?.is_running();
    let folder = id.folder(layout);
    let path = folder.progress();
    let mut text = Vec::new();
    let file = folder.open(&path, id)?;
    disk::step("read", &path, || {
        (&file).seek(SeekFrom::Start(from))?;
        (&file).take(MOST_LINES_BYTES).read_to_end(&mut text)
    })?;
    // A line that nobody ends any more, or that is longer than one is, ends here.
    let is_whole = !is_running && (text.len() as u64) < MOST_LINES_BYTES;
    let end = match text.iter().rposition(|byte| *byte == b'\n') {
        _ if is_whole => text.len(),
        Some(end) => end + 1,
        None if text.len() as u64 == MOST_LINES_BYTES => text.len(),
        None => 0,
    };
    let told = String::from_utf8_lossy(&text[..end]).lines().map(str::to_owned).collect();
    Ok((told, from + end as u64))
}

/// What the command has written to standard output.
///
/// # Errors
/// As [`get`].
pub fn output(layout: &SiteLayout, id: JobId) -> Result<String, JobError> {
    get(layout, id)?;
    id.folder(layout).output_text(id)
}

/// The file of what the command has written to standard output, such as an export.
///
/// # Errors
/// As [`get`].
pub fn open_output(layout: &SiteLayout, id: JobId) -> Result<fs::File, JobError> {
    get(layout, id)?;
    let folder = id.folder(layout);
    folder.open(&folder.output(), id)
}

/// The same as the JSON that it is once the command has ended; none before, and where it is no JSON.
///
/// # Errors
/// As [`get`].
pub fn answer(layout: &SiteLayout, id: JobId) -> Result<Option<Value>, JobError> {
    Ok(serde_json::from_str(&output(layout, id)?).ok())
}

/// Has a job end as Ctrl-C does. It runs until the command has cleaned up.
///
/// No signal is sent to a process that is not surely the job's runner, which passes it on to the command's process group.
///
/// # Errors
/// [`JobError::NotRunning`] when it has ended; else as [`get`].
pub fn cancel(layout: &SiteLayout, id: JobId) -> Result<(), JobError> {
    get(layout, id)?;
    let folder = id.folder(layout);
    match folder.holder()? {
        Holder::Runner(process) if process.is_alive() => {
            let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
            let sent = pid.is_some_and(|pid| kill_process(pid, Signal::INT).is_ok());
            if sent { Ok(()) } else { Err(JobError::NotRunning { id }) }
        }
        _ => Err(JobError::NotRunning { id }),
    }
}

#[cfg(test)]
mod tests;
