//! The system's own programs that make and mount images.

use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::command;

/// Runs a program to its end and gives what it says. Where it fails, what it says is why.
pub(super) fn run(program: &str, arguments: &[&OsStr]) -> io::Result<String> {
    let began = Instant::now();
    let mut command = Command::new(program);
    let output = command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).output();
    tracing::debug!(
        command = command::words(&command),
        took_ms = began.elapsed().as_millis(),
        "{}",
        command::ending(&output)
    );
    let output = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => io::Error::new(ErrorKind::NotFound, format!("there is no program {program}")),
        _ => error,
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = format!("{program}: {} ({})", said.trim(), output.status);
    let is_busy = said.to_lowercase().contains("busy");
    Err(if is_busy { io::Error::new(ErrorKind::ResourceBusy, said) } else { io::Error::other(said) })
}
