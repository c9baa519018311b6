//! Starts a job: its folder, and the runner.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use forkpress_core::flock::{self, Mode};
use forkpress_core::layout::SiteLayout;
use forkpress_core::own;

use super::folder::{Begun, Folder, NEW};
use super::{JobError, JobId, entries, sweep};
use crate::file::sync_dir;
use crate::{disk, site};

/// A job to be started.
#[derive(Debug)]
pub struct NewJob<'a> {
    /// What a person would type after `forkpress`. They can be seen by others on the machine: secrets go by `stdin`.
    pub arguments: &'a [OsString],
    /// What it is about, in a few words.
    pub title: &'a str,
    /// Who starts it: `page`, or a user.
    pub by: &'a str,
    /// What the command reads from standard input; nothing, if there is none.
    pub stdin: Option<File>,
}

/// Starts a job, and gives its number. It runs then, and does so whatever becomes of this process.
///
/// `program` is this `forkpress`, by a path that holds in any folder. The command runs in the project folder.
///
/// # Errors
/// [`JobError::Spawn`] and [`JobError::NotStarted`] when the program can't be run, or is none that runs jobs;
/// [`JobError::Disk`] when a step failed. Then there is no job.
pub fn start(layout: &SiteLayout, program: &Path, new: NewJob<'_>) -> Result<JobId, JobError> {
    // What can't be removed is in nobody's way.
    let _ = sweep(layout);
    let (id, lock) = make(layout, &new)?;
    let started = spawn(layout, program, id, lock, new);
    if started.is_err() {
        let _ = fs::remove_dir_all(id.folder(layout).path());
    }
    started.map(|()| id)
}

/// Makes the folder of a job, whose lock this process holds then.
fn make(layout: &SiteLayout, new: &NewJob<'_>) -> Result<(JobId, File), JobError> {
    let jobs = layout.jobs_dir();
    disk::step("make", &jobs, || {
        site::create_folder(&jobs)?;
        let folder = own::options().read(true).open(&jobs)?;
        own::close_file(&folder, &folder.metadata()?);
        Ok(())
    })?;
    // It gets its name when all is in it. Until then it is nothing that anybody sees.
    let made = disk::step("make", &jobs, || {
        let closed = fs::Permissions::from_mode(own::CLOSED_FOLDER);
        tempfile::Builder::new().prefix(NEW).permissions(closed).tempdir_in(&jobs)
    })?;
    let folder = Folder::new(made.path().to_owned());
    let lock = Folder::create(&folder.lock())?;
    disk::step("lock", &folder.lock(), || {
        if flock::try_lock(&lock, Mode::Exclusive)? { Ok(()) } else { Err(ErrorKind::WouldBlock.into()) }
    })?;
    let words = new.arguments.iter().map(|word| word.to_string_lossy().into_owned());
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let began_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let (title, by) = (new.title.to_owned(), new.by.to_owned());
    folder.write_begun(&Begun { command: words.collect(), title, by, began_ms })?;
    for path in [folder.output(), folder.progress()] {
        Folder::create(&path)?;
    }
    let numbers = entries(layout)?.into_iter().filter_map(|(name, _)| name.parse().ok());
    let id = number(layout, made.path(), JobId::after(numbers.max()))?;
    let _ = made.keep();
    disk::step("sync", &jobs, || sync_dir(&jobs))?;
    Ok((id, lock))
}

/// Gives a folder the first number from `id` on that is free: of several jobs that start at once, each gets one.
fn number(layout: &SiteLayout, made: &Path, mut id: JobId) -> Result<JobId, JobError> {
    disk::step("make", &layout.jobs_dir(), || {
        loop {
            match fs::rename(made, id.folder(layout).path()) {
                Err(error) if is_taken(&error) => id = JobId::after(Some(id)),
                renamed => break renamed,
            }
        }
    })?;
    Ok(id)
}

/// Whether a folder could not have a name because something else has it. A folder that is empty would be replaced: none of a
/// job's is.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory)
}

/// Starts the runner, and returns when it has begun.
fn spawn(layout: &SiteLayout, program: &Path, id: JobId, lock: File, new: NewJob<'_>) -> Result<(), JobError> {
    let failed = |source| JobError::Spawn { program: program.to_owned(), source };
    let (mut said, stderr) = io::pipe().map_err(failed)?;
    let mut runner = {
        let mut command = Command::new(program);
        command
            .arg("__job")
            .arg(layout.work_dir())
            .arg(id.to_string())
            .arg("--")
            .args(new.arguments)
            // A folder that could not be unmounted is not held on to.
            .current_dir("/")
            .stdin(new.stdin.map_or_else(Stdio::null, Stdio::from))
            // The lock belongs to the open file: this is how the runner gets it, with no moment in which nobody has it.
            .stdout(lock)
            .stderr(stderr);
        command.spawn().map_err(failed)?
        // This process lets go of the lock, and of its end of the pipe.
    };
    // The runner gives up the pipe once it has named itself. If it does not come to that, it says why.
    let mut text = Vec::new();
    said.read_to_end(&mut text).map_err(failed)?;
    if !id.folder(layout).names_runner(runner.id())? {
        let _ = runner.wait();
        let text = String::from_utf8_lossy(&text);
        let said = text.trim();
        return Err(JobError::NotStarted { said: said.strip_prefix("forkpress: ").unwrap_or(said).to_owned() });
    }
    // Somebody has to be told of its end, or its process stays in the table until this one ends.
    let _ = thread::Builder::new().name(format!("job {id}")).spawn(move || runner.wait());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_another_took_meanwhile_is_left_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let layout = SiteLayout::at(dir.path());
        let [new, taken] = [".new-x", "1"].map(|name| layout.jobs_dir().join(name));
        for folder in [&new, &taken] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("lock"), folder.to_str().unwrap()).unwrap();
        }
        fs::write(layout.job(2), "a file").unwrap();
        assert_eq!(number(&layout, &new, JobId::after(None)).unwrap(), "3".parse().unwrap());
        assert_eq!(fs::read_to_string(layout.job(1).join("lock")).unwrap(), taken.to_str().unwrap());
        assert_eq!(fs::read_to_string(layout.job(3).join("lock")).unwrap(), new.to_str().unwrap());
    }
}
