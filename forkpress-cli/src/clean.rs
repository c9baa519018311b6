//! Removes what a command left to be removed, looks at what it left to be looked at once more, and has Git read what was new to
//! it, in a process of its own: nobody waits for that.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use forkpress_core::deadline::Deadline;
use forkpress_core::lock::{GateProbe, Patience};
use forkpress_engine::git;
use forkpress_engine::mutation::{self, RecoverError, StepError};
use forkpress_engine::priority;
use forkpress_engine::site::Site;
use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group};

use crate::failure::Failure;
use crate::{deaths, mail, site, trace};

/// How long the removal waits for a command that is at work. What it leaves then is left to that command's.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often a process that reads looks whether somebody waits for it.
const LOOK: Duration = Duration::from_millis(100);

/// Starts the removal. Where it can't be started, the next command's does it.
pub fn in_background(site: &Site) {
    start(site, "__clean");
}

/// Has Git read a new site, so that no branch waits for that.
pub fn read_in_background(site: &Site) {
    start(site, "__read");
}

fn start(site: &Site, command: &str) {
    let Ok(own) = std::env::current_exe() else { return };
    let _ = Command::new(own)
        .arg(command)
        .arg(site.layout.work_dir())
        .envs(trace::for_child())
        // Neither a terminal nor a folder, which could not be unmounted, is held on to.
        .process_group(0)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}

/// In that process: has Git read what is new.
pub fn read(work_dir: &Path) -> Result<(), Failure> {
    priority::lower();
    let site = Site::open(work_dir)?;
    trace::begin_in_log(&site)?;
    read_new(&site)
}

fn read_new(site: &Site) -> Result<(), Failure> {
    let gate = GateProbe::of_preparations(site.layout.cow())?;
    thread::spawn(move || end_when_in_the_way(&gate));
    Ok(git::parting::tidy(site)?)
}

/// Ends this process, and the Git that it waits for, as soon as somebody wants to work on the whole site, such as to detach its
/// storage. The next one reads on.
fn end_when_in_the_way(gate: &GateProbe) {
    // A process that somebody else has in his group leaves that alone.
    if getpgrp() != getpid() {
        return;
    }
    while !gate.writer_waits().unwrap_or(false) {
        thread::sleep(LOOK);
    }
    tracing::debug!("somebody works on the whole site: what Git has not read, it reads later");
    // Git removes what is half done.
    let _ = kill_current_process_group(Signal::TERM);
}

/// In that process: removes.
pub fn run(work_dir: &Path) -> Result<(), Failure> {
    priority::lower();
    let site = Site::open(work_dir)?;
    trace::begin_in_log(&site)?;
    // Where a server runs it does that, and knows its log.
    if site::server_of(&site)?.is_none() {
        deaths::report(&site);
    }
    // The sooner it looks, the less has changed since for other reasons. What it can't see, it can't tell.
    let _ = mutation::late::look(&site);
    // A box that can't be read is looked at the next time.
    let _ = mail::expire(&site.layout, Duration::from_secs(site.config.keep.days * 24 * 3600));
    match mutation::gc::clean(&site, &mut Patience::silent(Deadline::after(TIMEOUT))) {
        Err(RecoverError::Step(StepError::Lock(_))) | Ok(()) => {}
        Err(error) => return Err(error.into()),
    }
    read_new(&site)
}
