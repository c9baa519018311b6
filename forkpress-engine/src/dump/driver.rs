//! The SQLite driver, at work in a PHP of its own on a database that has no rows.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::Deserialize;

use super::error::DumpError;
use crate::disk::step;

/// Where the driver is and what runs it.
#[derive(Clone, Debug)]
pub struct Driver {
    /// PHP's program and its arguments, up to what it is to do.
    pub php: Vec<OsString>,
    /// ForkPress's `tables.php`.
    pub script: PathBuf,
    /// The driver's folder, which has its `wp-includes`.
    pub folder: PathBuf,
}

/// The driver at work.
#[derive(Debug)]
pub(super) struct RunningDriver {
    child: Child,
    /// None once it is to end.
    statements: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    errors: PathBuf,
}

#[derive(Deserialize)]
struct Answer {
    error: Option<String>,
}

impl RunningDriver {
    /// Starts it on the database, which it makes. What PHP complains of goes to the file `errors`.
    pub(super) fn start(driver: &Driver, database: &Path, errors: &Path) -> Result<Self, DumpError> {
        let failed = |said: String| DumpError::Php { said };
        let log = step("write", errors, || File::create(errors))?;
        let (program, arguments) = driver.php.split_first().ok_or_else(|| failed("none is named".to_owned()))?;
        let mut child = Command::new(program)
            .args(arguments)
            .arg(&driver.script)
            .arg(&driver.folder)
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| failed(format!("{}: {error}", program.to_string_lossy())))?;
        let statements = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("the answers are piped"));
        let mut running = Self { child, statements, answers, errors: errors.to_owned() };
        running.answer()?.map_or(Ok(running), |said| Err(failed(said)))
    }

    /// Runs a statement; says why the driver refused it, if it did.
    pub(super) fn run(&mut self, statement: &str) -> Result<Option<String>, DumpError> {
        let write = |to: &mut ChildStdin| {
            writeln!(to, "{}", statement.len())?;
            to.write_all(statement.as_bytes())?;
            to.flush()
        };
        match self.statements.as_mut().map(write) {
            Some(Ok(())) => self.answer(),
            _ => Err(self.death()),
        }
    }

    fn answer(&mut self) -> Result<Option<String>, DumpError> {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(read) if read > 0 => {
                let answer: Result<Answer, _> = serde_json::from_str(&line);
                answer.map(|answer| answer.error).map_err(|_| DumpError::Php { said: line.trim().to_owned() })
            }
            _ => Err(self.death()),
        }
    }

    fn death(&self) -> DumpError {
        let said = fs::read_to_string(&self.errors).unwrap_or_default();
        let said = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it ended without a message");
        DumpError::Php { said: said.to_owned() }
    }
}

impl Drop for RunningDriver {
    fn drop(&mut self) {
        // It ends when there are no more statements.
        self.statements = None;
        let _ = self.child.wait();
    }
}
