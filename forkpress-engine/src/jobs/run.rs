//! What the runner of a job does: it runs the command to its end, and writes that down.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{SystemTime, UNIX_EPOCH};

use forkpress_core::flock::{self, Mode};
use forkpress_core::layout::SiteLayout;
use forkpress_core::own;
use forkpress_core::process::ProcessIdentity;
use serde_json::Value;

use super::folder::{End, Folder, are_same};
use super::{JobError, JobId};
use crate::disk;

/// The exit status of a command that could not be run, as shells have it.
const NOT_EXECUTABLE: i32 = 126;

/// Runs the command of a job, in a process that [`start`](super::start()) made for that, and gives its exit status.
///
/// The process leaves the session of whoever started it. Standard output, which is the lock of the job, goes to nowhere from
/// now on, and standard error to the job's progress. `began` is told the process group of the command: signals are to be
/// caught by now, and passed on to it.
///
/// # Errors
/// [`JobError::NotTheRunner`] in any other process; [`JobError::Spawn`] when the command can't be run; [`JobError::Disk`] when a
/// step failed.
pub fn run(layout: &SiteLayout, id: JobId, mut command: Command, began: impl FnOnce(u32)) -> Result<i32, JobError> {
    let folder = id.folder(layout);
    let lock = take_over(&folder)?;
    let (output, progress) = (append(&folder.output())?, append(&folder.progress())?);
    folder.name_runner(&lock, &ProcessIdentity::current())?;
    disk::step("write", &folder.progress(), || Ok(rustix::stdio::dup2_stderr(&progress)?))?;
    let program = command.get_program().into();
    let stdout = disk::step("open", &folder.output(), || output.try_clone())?;
    command.current_dir(layout.public_root()).process_group(0).stdout(stdout).stderr(progress);
    let ran = command.spawn().and_then(|mut child| {
        began(child.id());
        child.wait()
    });
    let exit = ran.as_ref().map_or(NOT_EXECUTABLE, |status| exit_of(*status));
    disk::step("sync", &folder.output(), || output.sync_all())?;
    let ended = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let operation = serde_json::from_str(&folder.output_text(id)?).ok().as_ref().and_then(operation_of);
    folder.write_end(&End { exit, ended_ms: u64::try_from(ended).unwrap_or(u64::MAX), operation })?;
    drop(lock);
    ran.map(|_| exit).map_err(|source| JobError::Spawn { program, source })
}

/// Makes this process the runner: alone in a session, with the job's lock in its hands.
fn take_over(folder: &Folder) -> Result<File, JobError> {
    rustix::process::setsid().map_err(|_| JobError::NotTheRunner)?;
    let path = folder.lock();
    let lock = disk::step("lock", &path, || {
        let held = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let is_lock = are_same(&held, &own::open(&path)?)? && flock::try_lock(&held, Mode::Exclusive)?;
        Ok(is_lock.then_some(held))
    })?;
    let lock = lock.ok_or(JobError::NotTheRunner)?;
    disk::step("write", &path, || {
        let nowhere = File::options().write(true).open("/dev/null")?;
        Ok(rustix::stdio::dup2_stdout(nowhere)?)
    })?;
    Ok(lock)
}

fn append(path: &Path) -> Result<File, JobError> {
    Ok(disk::step("open", path, || own::options().append(true).open(path))?)
}

fn exit_of(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

fn operation_of(answer: &Value) -> Option<u64> {
    answer.get("operation")?.as_u64()
}
