//! Child processes that end when this process ends, however it ends.
//!
//! On Linux a process can ask for a signal on its parent's death, but it has to ask for itself, after `fork`. So
//! `forkpress` starts itself as `forkpress __child`, which asks and then becomes the program. The kernel ties the
//! signal to the *thread* that started the child. So only the main thread, which lives as long as the process, may
//! start one. On other systems the program is started without the signal, and outlives a parent that is killed
//! outright.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Output};
use std::thread;
use std::time::{Duration, Instant};

use forkpress_engine::command::{ending, words};

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

/// Runs a command to its end, as it is, and traces it.
pub fn ran(command: &mut Command) -> io::Result<Output> {
    let began = Instant::now();
    let output = command.output();
    tracing::debug!(command = words(command), took_ms = began.elapsed().as_millis(), "{}", ending(&output));
    output
}

/// Runs a program to its end, and gives its exit status and what it said. It is ended where `go_on` fails.
pub fn captured(
    command: &mut Command,
    go_on: impl Fn() -> Result<(), Failure>,
) -> Result<(ExitStatus, String), Failure> {
    let said = tempfile::tempfile().during(|| "cannot make a temporary file".to_owned())?;
    command.stdout(said.try_clone()?);
    run(command, said, go_on)
}

/// Runs a program to its end, and gives its exit status and what is in the file then, which has its standard error.
fn run(
    command: &mut Command,
    mut said: File,
    go_on: impl Fn() -> Result<(), Failure>,
) -> Result<(ExitStatus, String), Failure> {
    command.stderr(said.try_clone()?);
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

/// Runs a program to its end, tells each line that it says on standard output as it comes, and gives its exit status
/// and what it said on standard error. It is ended where `go_on` fails.
pub fn followed(
    command: &mut Command,
    go_on: impl Fn() -> Result<(), Failure>,
    mut line: impl FnMut(&str) + Send,
) -> Result<(ExitStatus, String), Failure> {
    let (reader, writer) = std::io::pipe()?;
    thread::scope(|scope| {
        let lines = scope.spawn(move || {
            for text in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
                line(&String::from_utf8_lossy(&text));
            }
        });
        command.stdout(writer);
        let ran = tempfile::tempfile()
            .during(|| "cannot make a temporary file".to_owned())
            .and_then(|said| run(command, said, go_on));
        // The lines end when nobody has the other end any more.
        command.stdout(std::process::Stdio::null());
        lines.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ran
    })
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
