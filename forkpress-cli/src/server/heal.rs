//! Cleans up after a killed command, so that nobody waits for the next one. A branch whose files were just being
//! changed would answer 503 until then. Also reports requests in which PHP died, and gives branches the ids that they lack.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use forkpress_core::advice::Advice;
use forkpress_core::deadline::Deadline;
use forkpress_core::lock::{Patience, Preparation};
use forkpress_engine::bands;
use forkpress_engine::branch::BranchError;
use forkpress_engine::mutation::{self, RecoverError, StepError, keep};
use forkpress_engine::site::Site;

use crate::failure::{During, Failure};
use crate::{deaths, output};

/// How often it looks. What is found is a command that runs, nearly always.
const LOOK: Duration = Duration::from_secs(1);

/// How long it rests at most where something can't be ended: that may need a person, and each attempt takes the locks.
const LONGEST: Duration = Duration::from_secs(30);

/// How long requests that run may keep it waiting, before it looks again.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often it looks whether each branch numbers what it makes by itself.
const IDS: Duration = Duration::from_secs(2);

/// How long a branch's requests, and other programs at its database, may keep it waiting then.
const IDS_TIMEOUT: Duration = Duration::from_millis(200);

/// Begins to look.
pub(super) fn begin(work_dir: PathBuf) -> Result<(), Failure> {
    thread::Builder::new()
        .name("heal".to_owned())
        .spawn(move || run(&work_dir))
        .during(|| "cannot start a thread".to_owned())?;
    Ok(())
}

/// Never returns: the thread ends with the server.
fn run(work_dir: &Path) {
    let (mut said, mut pause, mut ids_at) = (None, LOOK, Instant::now());
    loop {
        thread::sleep(pause);
        let healed = heal(work_dir);
        pause = if matches!(healed, Ok(true)) { LOOK } else { (pause * 2).min(LONGEST) };
        let failed = healed.err().map(|failure| failure.to_string());
        if let Some(failure) = failed.as_ref().filter(|_| failed != said) {
            output::note(format_args!("forkpress: warning: cannot clean up after a command that died: {failure}"));
        }
        said = failed;
        if ids_at.elapsed() >= IDS
            && let Ok(site) = Site::open(work_dir)
        {
            ids_at = Instant::now();
            give_ids(&site);
        }
    }
}

/// Gives branches the ids that they lack, unless somebody works on the whole site.
fn give_ids(site: &Site) {
    let deadline = Deadline::after(IDS_TIMEOUT);
    let operation = "giving branches ids of their own";
    let Ok(preparation) = Preparation::lock(site.layout.cow(), &[], operation, &mut Patience::silent(deadline)) else {
        return;
    };
    for name in bands::heal(site, &preparation, deadline) {
        tracing::info!(branch = name.as_str(), "gave it ids of its own");
    }
}

/// Ends what a dead command left, and says whether nothing of that stays.
fn heal(work_dir: &Path) -> Result<bool, Failure> {
    let site = Site::open(work_dir)?;
    deaths::report(&site);
    if !mutation::is_unfinished(&site)? {
        return Ok(true);
    }
    tracing::debug!("something is unfinished");
    // Does nothing while a living command is at it.
    match mutation::recover(&site, &mut Patience::silent(Deadline::after(TIMEOUT))) {
        Ok(Some(recovered)) => {
            output::note(format_args!("forkpress: {recovered}"));
            keep::empty_trash(&site)?;
            Ok(true)
        }
        // The old storage may be in use still.
        Ok(None) => Ok(mutation::leftovers(&site)?.is_empty()),
        Err(RecoverError::Converted) => {
            output::note(format_args!("forkpress: finished a conversion of the storage, in which a process died"));
            Ok(true)
        }
        Err(RecoverError::Step(StepError::Branch(BranchError::Detached))) => Ok(true),
        // A living one is at it, after all.
        Err(RecoverError::Step(error)) if error.is_passing() => Ok(true),
        Err(error) => Err(error.into()),
    }
}
