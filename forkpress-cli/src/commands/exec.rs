//! `forkpress exec`: a program takes part in the branch's traffic, as a request would.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::SystemTime;

use forkpress_core::branch;
use forkpress_core::deadline::Deadline;
use forkpress_core::lock::note::WaitingNote;
use forkpress_core::lock::{OperationsFiles, SharedOperations};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::ExecArgs;
use crate::failure::{During, Failure};
use crate::site::Address;
use crate::{child, site};

/// Runs a program in a branch under the shared lock, and gives its exit status.
pub fn run(work_dir: Option<&Path>, args: &ExecArgs) -> Result<ExitCode, Failure> {
    let site = site::open(work_dir)?;
    let files = Arc::new(OperationsFiles::open(site.layout.cow())?);
    let operation = format!("exec {}", args.branch);
    let waiting = WaitingNote::write(site.layout.cow(), files.path(), &operation, SystemTime::now());
    let lock = SharedOperations::lock(&files, Deadline::after(args.wait.timeout), None)?;
    drop(waiting);
    let branch = branch::show(&site, &args.branch)?;
    // Where users find it, also where that is a link.
    let folder = site.layout.public_branch(&branch.name);

    let catch = || "cannot catch signals".to_owned();
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGCHLD]).during(catch)?;
    // The terminal sends these to the program as well: it decides what they mean, and this process waits for it.
    for signal in [SIGINT, SIGQUIT] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).during(catch)?;
    }
    let (program, arguments) = args.program.split_first().expect("the command line requires a program");
    let mut child = child::command(program)?
        .args(arguments)
        .current_dir(&folder)
        .env("PWD", &folder)
        .env("HTTP_HOST", Address::of(&site).host(&branch.name))
        .env("FORKPRESS_BRANCH", branch.name.as_str())
        .spawn()
        .during(|| "cannot start the program".to_owned())?;
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
    drop(lock);
    Ok(ExitCode::from(exit_code(status)))
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
