//! `forkpress exec`: runs a program that counts as a request of a branch.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use forkpress_core::deadline::Deadline;
use forkpress_core::driver;
use forkpress_core::lock::note::CommandNote;
use forkpress_core::lock::{BranchFiles, OperationsFiles, SharedBranch, SharedOperations};
use forkpress_core::name::BranchName;
use forkpress_engine::branch;
use forkpress_engine::command::words;
use forkpress_engine::site::Site;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::{ExecArgs, LockingArgs};
use crate::failure::{During, Failure};
use crate::site::Address;
use crate::{child, mail, output, site};

/// Runs a program in a branch under the shared lock, and gives its exit status.
pub fn run(work_dir: Option<&Path>, args: &ExecArgs) -> Result<ExitCode, Failure> {
    let site = site::open(work_dir)?;
    let (program, arguments) = args.program.split_first().expect("the command line requires a program");
    let place = Place { branch: &args.branch, locking: &args.locking, called: &program.to_string_lossy() };
    in_branch(&site, &place, || {
        let mut command = child::command(program)?;
        command.args(arguments).current_dir(site.layout.public_branch(&args.branch));
        Ok(command)
    })
}

/// Where, and under which locks, a program runs.
pub struct Place<'a> {
    /// The branch.
    pub branch: &'a BranchName,
    /// Whether to take locks, and how long to wait for them.
    pub locking: &'a LockingArgs,
    /// What those who wait for it are told that it is.
    pub called: &'a str,
}

/// Runs a program that counts as a request of a branch, and gives its exit status. `command` is made under the locks; its folder
/// becomes its `PWD`.
pub fn in_branch(
    site: &Site,
    place: &Place<'_>,
    command: impl FnOnce() -> Result<Command, Failure>,
) -> Result<ExitCode, Failure> {
    let locks = if place.locking.no_lock { None } else { Some(lock(site, place)?) };
    let branch = branch::show(site, place.branch)?;
    let mut command = command()?;
    if let Some(folder) = command.get_current_dir().map(Path::to_owned) {
        command.env("PWD", folder);
    }
    let address = Address::of(site);
    command.env("HTTP_HOST", address.host(&branch.name)).env("FORKPRESS_BRANCH", branch.name.as_str());
    command.env_remove("FORKPRESS_AUTHORITY");
    if address.https {
        command.env("HTTPS", "on").env("FORKPRESS_AUTHORITY", site::authority(&address.root_host)?.public.certificate);
    }
    command.envs(mail::environment(&site.layout, Some(&branch.name)));
    let code = run_to_end(command)?;
    // WP-CLI deactivates the driver without asking any of ForkPress's PHP. Where users find it, also where that is a link.
    let folder = site.layout.public_branch(&branch.name);
    if let Err(error) = driver::heal(&folder, &site.layout.runtime_dir().join(driver::NAME), false) {
        output::note(format_args!("forkpress: warning: the branch lost its SQLite driver: {error}"));
    }
    drop(locks);
    Ok(code)
}

/// Runs a program to its end, hands on the signals that this process gets, and gives its exit status.
pub fn run_to_end(mut command: Command) -> Result<ExitCode, Failure> {
    let catch = || "cannot catch signals".to_owned();
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGCHLD]).during(catch)?;
    // The terminal sends these to the program as well: it decides what they mean, and this process waits for it.
    for signal in [SIGINT, SIGQUIT] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).during(catch)?;
    }
    let began = Instant::now();
    let mut child = command.spawn().during(|| "cannot start the program".to_owned())?;
    let pid = Pid::from_child(&child);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        for signal in signals.wait() {
            let forwarded = match signal {
                SIGTERM => Signal::TERM,
                SIGHUP => Signal::HUP,
                _ => continue,
            };
            // It may have ended just now; then there is nothing to forward.
            let _ = kill_process(pid, forwarded);
        }
    };
    tracing::debug!(command = words(&command), took_ms = began.elapsed().as_millis(), "{status}");
    Ok(ExitCode::from(exit_code(status)))
}

/// The locks of a program that runs in a branch, and the note that says so. Let go in this order.
type HeldLocks = (Option<CommandNote>, SharedBranch, SharedOperations);

/// Takes part in the branch's traffic.
fn lock(site: &Site, place: &Place<'_>) -> Result<HeldLocks, Failure> {
    // No lock files are made for what is no branch.
    branch::show(site, place.branch)?;
    let (cow, deadline) = (site.layout.cow(), Deadline::after(place.locking.wait.timeout));
    let files = Arc::new(OperationsFiles::open(cow)?);
    let own = Arc::new(BranchFiles::open(cow, place.branch)?);
    let note = CommandNote::program(cow, place.branch, place.called);
    let shared = SharedOperations::lock(&files, deadline, None)?;
    let own = SharedBranch::lock(&shared, &own, deadline, true)?;
    if let Some(note) = &note {
        note.serve();
    }
    Ok((note, own, shared))
}

/// The exit status as a shell gives it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_status_is_that_of_a_shell() {
        assert_eq!(exit_code(ExitStatus::from_raw(0)), 0);
        assert_eq!(exit_code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
    }
}
