//! `forkpress __job`: the runner of a job, which `forkpress_engine::jobs` starts.

use std::process::ExitCode;
use std::thread;

use forkpress_engine::jobs;
use forkpress_engine::site::Site;
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cli::JobArgs;
use crate::failure::{During, Failure};
use crate::{child, progress};

/// Runs the command, which ends with this process, and gives its exit status. Signals that would end this process end the
/// command: this process stays to write down how that ended.
pub fn run(args: &JobArgs) -> Result<ExitCode, Failure> {
    let site = Site::open(&args.work_dir)?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).during(|| "cannot catch signals".to_owned())?;
    let own = std::env::current_exe().during(|| "cannot find the forkpress program".to_owned())?;
    let (variable, lines) = progress::FOR_JOB;
    let mut command = child::command(own.as_os_str())?;
    command.arg("--work-dir").arg(site.layout.work_dir()).arg("--json").args(&args.arguments).env(variable, lines);
    let pass_on = move |group| {
        let group = i32::try_from(group).ok().and_then(Pid::from_raw);
        thread::spawn(move || {
            for signal in signals.forever() {
                if let (Some(group), Some(signal)) = (group, Signal::from_named_raw(signal)) {
                    let _ = kill_process_group(group, signal);
                }
            }
        });
    };
    let exit = jobs::run(&site.layout, args.id, command, pass_on)?;
    Ok(ExitCode::from(u8::try_from(exit).unwrap_or(u8::MAX)))
}
