//! The user's own `git`: started so that it never asks a question, and read.
//!
//! Its output is read in English, so `LC_ALL=C`. [`settings`] decides, for every command, which of the user's settings
//! reach it.

mod checkout;
mod exchange;
mod remote;
mod settings;
mod worktree;

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use forkpress_engine::command::{ending, words};

pub use checkout::{Checkout, Head, listed};
pub use exchange::{fetch, list_branches, not_reached, pull, push, tracking};
pub use remote::Remote;
pub use worktree::worktrees;

use crate::failure::{During, Failure};

/// A git command that is run in `dir`, and speaks with no other repository.
pub fn command<I>(dir: &Path, arguments: I) -> Command
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    let mut command = settings::command(dir, None);
    command.arg("-C").arg(dir).args(arguments);
    command
}

/// A git command that is run in `dir` and speaks with the repository at `url`; none where it is not known.
pub fn remote_command<I>(dir: &Path, url: Option<&str>, arguments: I) -> Command
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    // Of an unknown one nothing can be said: it is reached as the user says.
    let mut command = settings::command(dir, Some(url.unwrap_or_default()));
    command.arg("-C").arg(dir).args(arguments);
    command
}

/// The user's git with all of the user's settings. Only proxies are not asked for sites of this machine.
pub fn of_user() -> Command {
    let mut command = Command::new("git");
    settings::bypass_proxies(&mut command);
    command
}

/// Runs git to its end. A status that is not 0 is an outcome.
pub fn outcome(command: &mut Command) -> Result<Output, Failure> {
    let began = Instant::now();
    let output = command.output();
    tracing::debug!(command = words(command), took_ms = began.elapsed().as_millis(), "{}", ending(&output));
    output.map_err(no_program)
}

/// Why git could not be started.
pub fn no_program(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::new("there is no git program").hint("install git, as in: sudo apt-get install git")
        }
        _ => Failure::from(error).during("cannot run git"),
    }
}

/// Runs git, which must succeed, and gives its standard output.
pub fn run<I>(dir: &Path, arguments: I) -> Result<String, Failure>
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    succeed(&mut command(dir, arguments))
}

/// Runs a git command, which must succeed, and gives its standard output.
pub fn succeed(command: &mut Command) -> Result<String, Failure> {
    let output = outcome(command)?;
    if output.status.success() { text(output.stdout) } else { Err(failed(command, &output)) }
}

/// What a git command that failed has said, as a failure.
pub fn failed(command: &Command, output: &Output) -> Failure {
    let words: Vec<_> =
        command.get_args().skip(2).map(OsStr::to_string_lossy).filter(|word| !word.starts_with('-')).collect();
    let what = format!("git {} failed", words.first().map_or("", |word| word));
    said(&output.stderr).into_iter().fold(Failure::new(what), Failure::because)
}

/// The lines of standard error that tell something.
pub fn said(stderr: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(stderr);
    let lines = text.split(['\n', '\r']).map(str::trim_end).filter(|line| !line.is_empty());
    // Advice about commands of git's own would stand beside the hint, which says what to do here.
    lines.filter(|line| !line.starts_with("hint:")).map(ToOwned::to_owned).collect()
}

/// The lines that the server said, without the word that git puts before each.
pub fn said_by_server(stderr: &[u8]) -> Vec<String> {
    let lines = said(stderr).into_iter();
    lines.filter_map(|line| line.strip_prefix("remote:").map(|words| words.trim().to_owned())).collect()
}

fn text(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).during(|| "git's answer is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_said_is_told_apart() {
        let stderr = b"remote: forkpress: no        \nremote: \nTo http://x\n ! [remote rejected] a (b)\nhint: x\n";
        assert_eq!(said_by_server(stderr), ["forkpress: no", ""]);
        assert_eq!(said(stderr), ["remote: forkpress: no", "remote:", "To http://x", " ! [remote rejected] a (b)"]);
    }

    #[test]
    fn git_never_asks_and_reads_nobody_s_settings() {
        let command = command(Path::new("/x"), ["status"]);
        let variables: Vec<_> = command.get_envs().collect();
        for (name, value) in [("GIT_TERMINAL_PROMPT", "0"), ("GIT_ASKPASS", ""), ("GIT_CONFIG_GLOBAL", "/dev/null")] {
            assert!(variables.contains(&(OsStr::new(name), Some(OsStr::new(value)))), "{name}");
        }
    }
}
