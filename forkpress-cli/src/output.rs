//! Standard output and standard error.
//!
//! Results go to standard output, messages on the way to standard error. A reader that goes away
//! (`forkpress logs | head`) ends the command without a complaint.
//!
//! All output passes here and is made [harmless] first, also when it goes to a file: somebody will show that file.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use console::Style;
use rustix::event::{PollFd, PollFlags, Timespec};
use serde::Serialize;

use crate::failure::Failure;
use crate::harmless;

/// Writes a line to standard output.
pub fn line(line: impl Display) -> io::Result<()> {
    write_line(&harmless::line(&line.to_string()))
}

/// Writes a line to standard output, its beginning in colour where that is a terminal.
pub fn marked(style: &Style, mark: &str, rest: impl Display) -> io::Result<()> {
    write_line(&format!("{}{}", style.apply_to(harmless::line(mark)), harmless::line(&rest.to_string())))
}

/// Writes text of several lines to standard output.
pub fn text(text: impl Display) -> io::Result<()> {
    write_line(&harmless::lines(&text.to_string()))
}

/// Writes a value to standard output, as JSON of several lines.
pub fn json(value: &impl Serialize) -> io::Result<()> {
    write_line(&harmless::json(&serde_json::to_string_pretty(value)?))
}

/// Writes a value to standard output, as JSON of one line.
pub fn json_line(value: &impl Serialize) -> io::Result<()> {
    write_line(&harmless::json(&serde_json::to_string(value)?))
}

fn write_line(clean: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{clean}")?;
    out.flush()
}

/// Writes a line to standard error, or some. Nothing depends on whether anybody reads it.
pub fn note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{}", harmless::lines(&text.to_string()));
}

/// Tells of a failure and gives the exit status: text on standard error, or with `--json` an object on standard output.
pub fn fail(failure: &Failure, as_json: bool) -> ExitCode {
    if failure.unread {
        return ExitCode::SUCCESS;
    }
    if failure.told {
        return failure.exit_code();
    }
    if as_json {
        // With nobody to read it, the exit status has to do.
        let _ = json(failure);
    } else {
        note(failure);
    }
    failure.exit_code()
}

/// Whether standard output is a pipe whose reader has gone.
pub fn reader_is_gone() -> bool {
    let stdout = io::stdout();
    let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
    rustix::event::poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok()
        && polled[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}
