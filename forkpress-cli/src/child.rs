//! Child processes that end when this process ends, however it ends.
//!
//! On Linux a process can ask for a signal on its parent's death, but it has to ask for itself, after `fork`. So
//! `forkpress` starts itself as `forkpress __child`, which asks and then becomes the program. The kernel ties the
//! signal to the *thread* that started the child. So only the main thread, which lives as long as the process, may
//! start one. On other systems the program is started without the signal, and outlives a parent that is killed
//! outright.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::thread;
use std::time::Duration;

use crate::failure::{During, Failure};

/// How often a program that runs is looked at.
const PAUSE: Duration = Duration::from_millis(5);

/// A program that could not be started, as shells say it.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// A command that runs `program`, found in `PATH`, as a child that ends with this process.
pub fn command(program: &OsStr) -> Result<Command, Failure> {
    let own = std::env::current_exe().during(|| "cannot find the forkpress program".to_owned())?;
    let mut command = Command::new(own);
    command.arg("__child").arg(std::process::id().to_string()).arg("--").arg(program);
    Ok(command)
}

/// Runs a program to its end, and gives its exit status and what it said. It is ended where `go_on` fails.
pub fn captured(
    command: &mut Command,
    go_on: impl Fn() -> Result<(), Failure>,
) -> Result<(ExitStatus, String), Failure> {
    let mut said = tempfile::tempfile().during(|| "cannot make a temporary file".to_owned())?;
    command.stdout(said.try_clone()?).stderr(said.try_clone()?);
    let mut child = command.spawn().during(|| "cannot start a program".to_owned())?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if let Err(failure) = go_on() {
            child.kill()?;
            child.wait()?;
            return Err(failure);
        }
        thread::sleep(PAUSE);
    };
    let mut text = Vec::new();
    said.rewind()?;
    said.read_to_end(&mut text)?;
    Ok((status, String::from_utf8_lossy(&text).into_owned()))
}

/// In the child: asks for the signal and becomes the program. Returns only if that fails.
pub fn become_program(parent: u32, program: &[OsString]) -> Failure {
    if let Err(failure) = die_with(parent) {
        return failure;
    }
    let (name, arguments) = program.split_first().expect("the command line requires a program");
    let error = Command::new(name).args(arguments).exec();
    let exit = if error.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    Failure::from(error).during(format!("cannot run {}", name.display())).exit(exit)
}

#[cfg(target_os = "linux")]
fn die_with(parent: u32) -> Result<(), Failure> {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};

    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A parent that died before the call sends no signal; this process then has another parent by now.
    let has_parent = getppid().is_some_and(|pid| u32::try_from(pid.as_raw_nonzero().get()) == Ok(parent));
    if has_parent { Ok(()) } else { Err(Failure::new("the forkpress process that started this one is gone")) }
}

#[cfg(not(target_os = "linux"))]
fn die_with(_parent: u32) -> Result<(), Failure> {
    Ok(())
}
