//! Removes jobs that ended long ago.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, SystemTime};

use forkpress_core::layout::SiteLayout;

use super::folder::NEW;
use super::{Job, JobError, JobId, JobState, entries, list};
use crate::disk;

/// So many of the newest that do not run are kept,
const MOST_JOBS: usize = 100;

/// and none that began longer ago.
const MOST_AGE: Duration = Duration::from_secs(30 * 24 * 3600);

/// The file that an export made goes so long after the job began.
const MOST_FILE_AGE: Duration = Duration::from_secs(24 * 3600);

/// What the name of a folder begins with that was a job.
const GONE: &str = ".gone-";

/// A folder that is not a job yet is one of a killed process when it is that old.
const STALE: Duration = Duration::from_secs(3600);

/// Removes the jobs that are too many or too old, and says how many that was. The newest of all stays, so that no number is
/// given twice. Of exports among the others, the file goes after a day.
///
/// # Errors
/// [`JobError::Disk`] when one can't be removed.
pub fn sweep(layout: &SiteLayout) -> Result<usize, JobError> {
    let (jobs, now) = (list(layout)?.jobs, SystemTime::now());
    let surplus = surplus(&jobs, now);
    for id in jobs.iter().filter(|job| has_old_file(job, now)).map(|job| job.id) {
        remove(&id.folder(layout).output(), |path| fs::remove_file(path))?;
    }
    for id in &surplus {
        let gone = layout.jobs_dir().join(format!("{GONE}{id}"));
        let path = id.folder(layout);
        // From one moment to the next it is none. Another process may be faster.
        disk::step("remove", path.path(), || match fs::rename(path.path(), &gone) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            renamed => renamed,
        })?;
    }
    for (name, path) in entries(layout)? {
        let is_old = || {
            let age = fs::symlink_metadata(&path).and_then(|found| found.modified()).ok()?.elapsed().ok()?;
            Some(age > STALE)
        };
        if name.starts_with(GONE) || name.starts_with(NEW) && is_old() == Some(true) {
            remove(&path, |path| fs::remove_dir_all(path))?;
        }
    }
    Ok(surplus.len())
}

/// Removes something that may be gone already.
fn remove(path: &Path, remove: impl Fn(&Path) -> io::Result<()>) -> Result<(), JobError> {
    Ok(disk::step("remove", path, || match remove(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    })?)
}

/// Whether a job made a file that is no longer kept.
fn has_old_file(job: &Job, now: SystemTime) -> bool {
    let is_export = job.command.first().is_some_and(|word| word == "export");
    is_export
        && matches!(job.state, JobState::Ended { exit: 0, .. })
        && now.duration_since(job.began).is_ok_and(|age| age > MOST_FILE_AGE)
}

/// Those of the jobs, which are newest first, that go.
fn surplus(jobs: &[Job], now: SystemTime) -> Vec<JobId> {
    let mut kept = 0;
    let goes = |(place, job): &(usize, &Job)| {
        if job.is_running() {
            return false;
        }
        let is_old = now.duration_since(job.began).is_ok_and(|age| age > MOST_AGE);
        let goes = *place > 0 && (is_old || kept >= MOST_JOBS);
        kept += usize::from(!goes);
        goes
    };
    jobs.iter().enumerate().filter(goes).map(|(_, job)| job.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: u64, days: u32, state: JobState) -> Job {
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(3600) * 24 * (1000 - days);
        Job {
            id: JobId(id),
            command: Vec::new(),
            title: String::new(),
            began,
            by: String::new(),
            state,
            operation: None,
        }
    }

    fn surplus_now(jobs: &[Job]) -> Vec<u64> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(3600) * 24 * 1000;
        surplus(jobs, now).into_iter().map(|JobId(id)| id).collect()
    }

    #[test]
    fn what_is_old_or_beyond_the_bound_goes_but_what_runs_stays() {
        let running = JobState::Running { pid: 1 };
        assert_eq!(surplus_now(&[]), [0; 0]);
        let old = [job(4, 29, JobState::Died), job(3, 31, running), job(2, 31, JobState::Died)];
        assert_eq!(surplus_now(&old), [2]);
        let many: Vec<_> =
            (1..=105).rev().map(|id| job(id, 0, if id > 102 { running } else { JobState::Died })).collect();
        assert_eq!(surplus_now(&many), [2, 1]);
    }

    #[test]
    fn the_newest_of_all_stays_however_old_so_that_no_number_is_given_twice() {
        assert_eq!(surplus_now(&[job(9, 90, JobState::Died), job(8, 91, JobState::Died)]), [8]);
    }

    #[test]
    fn a_file_is_kept_for_a_day() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(3600) * 24 * 1000;
        let ended = |exit| JobState::Ended { exit, took: Duration::ZERO };
        let has = |command: &str, days, state| {
            let job = Job { command: vec![command.to_owned()], ..job(1, days, state) };
            has_old_file(&job, now)
        };
        assert!(has("export", 2, ended(0)) && !has("export", 1, ended(0)));
        // What others wrote is their answer.
        assert!(!has("import", 2, ended(0)) && !has("export", 2, ended(1)));
        assert!(!has("export", 2, JobState::Running { pid: 1 }));
    }
}
