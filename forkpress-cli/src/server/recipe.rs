//! How PHP is started, whatever kind it is.

use std::ffi::{OsStr, OsString};
use std::io::PipeWriter;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use forkpress_server::fpm::{Folder, Pool};

use crate::failure::Failure;
use crate::trace;

/// How PHP is started.
pub(super) struct Recipe {
    /// Makes a command that runs a program, which ends with the thread that starts it.
    pub(super) child: fn(&OsStr) -> Result<Command, Failure>,
    pub(super) program: PathBuf,
    pub(super) directory: PathBuf,
    /// What answers each request.
    pub(super) script: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(&'static str, Option<OsString>)>,
    pub(super) folder: Folder,
    pub(super) pools: Vec<Pool>,
    pub(super) output: PipeWriter,
}

impl Recipe {
    /// A command that runs the program with its settings, and ends with the thread that starts it.
    pub(super) fn command(&self) -> Result<Command, Failure> {
        let mut command = (self.child)(self.program.as_os_str())?;
        command
            .args(&self.arguments)
            .current_dir(&self.directory)
            .envs(trace::for_child())
            .stdin(Stdio::null())
            .stdout(self.output.try_clone()?)
            .stderr(self.output.try_clone()?);
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Ok(command)
    }
}
