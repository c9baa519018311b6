//! The bare repository of a site, and the `git` program that works in it.
//!
//! Nothing of the user's Git reaches it: no settings, no attributes, no `GIT_*` variables. [`Repository::open`] writes
//! its own settings, HEAD, attributes and hooks, and puts right what somebody changed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use thiserror::Error;

use crate::command;
use crate::site::Site;
use forkpress_core::layout::CowLayout;

/// The settings of the repository.
///
/// - `core.compression`: the other side is this machine, mostly.
/// - `core.fsync`, `core.fsyncMethod`: a power cut must not leave a ref without its commit; one flush for many objects.
/// - `core.bigFileThreshold`, `pack.*`, `core.delta*`, `core.packed*`: bounds of memory, whatever lies in an upload folder.
/// - `gc.auto`: nobody waits for that, see [`Repository::tidy`]. `gc.packRefs`: the ref of a branch is a file.
/// - `receive.fsckObjects`: what is broken never gets into the history. `zeroPaddedFilemode`: a fault of old programs that harms
///   nobody, and that a history can't be rid of.
/// - `receive.procReceiveRefs`: the hook moves the refs.
/// - `transfer.hideRefs`: partings are nobody's branches.
/// - `uploadpack.*`: partial clones, which ask for single objects later.
const CONFIG: &str = "\
[core]
\trepositoryformatversion = 0
\tbare = true
\tfileMode = true
\tsymlinks = true
\tignoreCase = false
\tautocrlf = false
\tattributesFile = /dev/null
\tlogAllRefUpdates = false
\tcompression = 1
\tfsync = committed,loose-object
\tfsyncMethod = batch
\tbigFileThreshold = 8m
\tdeltaBaseCacheLimit = 16m
\tpackedGitWindowSize = 1m
\tpackedGitLimit = 16m
[pack]
\tthreads = 2
\twindowMemory = 8m
\tdeltaCacheSize = 8m
[gc]
\tauto = 0
\tautoDetach = false
\tpackRefs = false
[receive]
\tfsckObjects = true
\tprocReceiveRefs = refs
\tautoGC = false
\tdenyDeletes = false
[receive \"fsck\"]
\tzeroPaddedFilemode = ignore
[transfer]
\thideRefs = refs/forkpress
[http]
\treceivepack = true
[uploadpack]
\tallowFilter = true
\tallowAnySHA1InWant = true
";

/// What the attributes that lie in a site would have Git do to its files is not done: this has the last word.
const ATTRIBUTES: &str = "* -text -ident -filter -working-tree-encoding -eol\n";

/// Run by Git in the repository, which is in `.forkpress/cow/`: by what it is called.
const HOOK: &str = "\
#!/bin/sh
exec \"${FORKPRESS_BIN:-forkpress}\" --work-dir ../.. __git-hook \"${0##*/}\"
";

/// How many loose objects make [`Repository::tidy`] pack them, and how many packs make it join them.
const TIDY: [&str; 5] = ["-c", "gc.auto=3000", "-c", "gc.autoPackLimit=30", "gc"];

/// Who makes snapshots.
const NAME: &str = "ForkPress";
const EMAIL: &str = "forkpress@localhost";

/// The bare repository of a site.
#[derive(Clone, Debug)]
pub struct Repository {
    cow: CowLayout,
    dir: PathBuf,
    /// Variables that name where further objects are.
    objects: Vec<(&'static str, OsString)>,
}

/// What Git was asked failed.
#[derive(Debug, Error)]
pub enum RepositoryError {
    /// There is no `git`.
    #[error("there is no git program in PATH")]
    NoGit,
    /// The system failed.
    #[error("cannot use the repository {path}")]
    Disk {
        /// What was to be read or written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Git ran, and said why not.
    #[error("git {command}: {said}")]
    Git {
        /// The first word of what was asked.
        command: String,
        /// What it said.
        said: String,
    },
}

impl Repository {
    /// Opens the repository of a site, making it, or what of it is missing.
    ///
    /// # Errors
    /// [`RepositoryError::Disk`] when its folder or a file of it can't be made or read.
    pub fn open(site: &Site) -> Result<Self, RepositoryError> {
        let cow = site.layout.cow().clone();
        let repository = Self { dir: cow.git_dir(), cow, objects: Vec::new() };
        let dir = &repository.dir;
        let folders = [
            repository.cow.git_refs_dir(),
            repository.cow.git_snapshots_dir(),
            dir.join("objects/pack"),
            dir.join("objects/info"),
            dir.join("info"),
            dir.join("hooks"),
        ];
        for path in folders {
            fs::create_dir_all(&path).map_err(|source| RepositoryError::Disk { path, source })?;
        }
        let files = [
            ("info/attributes", ATTRIBUTES, 0o644),
            ("hooks/pre-receive", HOOK, 0o755),
            ("hooks/proc-receive", HOOK, 0o755),
            ("config", CONFIG, 0o644),
            ("HEAD", "ref: refs/heads/main\n", 0o644),
        ];
        for (name, text, mode) in files {
            let path = dir.join(name);
            put(&path, text, mode).map_err(|source| RepositoryError::Disk { path, source })?;
        }
        Ok(repository)
    }

    /// The same with the objects of a push that are not in it yet, for a hook that Git runs before they are. Git removes them
    /// if the hook says so.
    #[must_use]
    pub fn in_quarantine(self) -> Self {
        let names = ["GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"];
        let objects = names.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))).collect();
        Self { objects, ..self }
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The layout that it is part of.
    pub(super) fn cow(&self) -> &CowLayout {
        &self.cow
    }

    /// A `git` command in this repository, with nothing of the caller's own Git.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new("git");
        isolate(&mut command);
        let identity = [
            ("GIT_AUTHOR_NAME", NAME),
            ("GIT_AUTHOR_EMAIL", EMAIL),
            ("GIT_COMMITTER_NAME", NAME),
            ("GIT_COMMITTER_EMAIL", EMAIL),
        ];
        command.envs(identity).envs(self.objects.iter().map(|(name, value)| (name, value))).env("GIT_DIR", &self.dir);
        command
    }

    /// Packs loose objects where there are many, and drops what nothing has referred to for two weeks. Nobody waits for it.
    pub fn tidy(&self) {
        let null = Stdio::null;
        // Where it can't be started, the next one is.
        let _ = self
            .command()
            .args(TIDY)
            .args(["--auto", "--quiet"])
            .current_dir("/")
            .stdin(null())
            .stdout(null())
            .stderr(null())
            .spawn();
    }
}

/// Keeps all that is the user's or the system's own from a `git` command: settings, and with them hooks, attributes, filters and
/// protocols; `GIT_*` variables; the language of what it says. This is the one place where that is said for what serves a site.
pub fn isolate(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GIT_") {
            command.env_remove(name);
        }
    }
    // These come last, so no setting that lies in a repository has its way either.
    let settings = [
        // Whoever may run this may read the site: to whom the folder belongs says nothing.
        ("safe.directory", "*"),
        // Nothing runs on the quiet as Git looks at a folder.
        ("core.fsmonitor", "false"),
    ];
    command.env("GIT_CONFIG_COUNT", settings.len().to_string());
    for (number, (name, value)) in settings.into_iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{number}"), name).env(format!("GIT_CONFIG_VALUE_{number}"), value);
    }
    command.envs([
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("LC_ALL", "C"),
    ]);
}

/// Runs a command of [`Repository::command`] that must succeed, and gives what it wrote to standard output.
pub(crate) fn run(command: &mut Command) -> Result<Vec<u8>, RepositoryError> {
    succeeded(command, command_output)
}

/// The same for a command that may end with a number of conflicts: none then.
pub(super) fn run_merging(command: &mut Command) -> Result<Option<Vec<u8>>, RepositoryError> {
    const MOST_CONFLICTS: i32 = 127;
    let output = finished(command, command_output)?;
    match output.status.code() {
        Some(1..=MOST_CONFLICTS) => Ok(None),
        _ => checked(command, output).map(Some),
    }
}

fn command_output(command: &mut Command) -> io::Result<Output> {
    command.stdin(Stdio::null()).output()
}

/// The same for a command that reads and writes nothing, which holds these files, one or two, for as long as it runs.
pub(super) fn run_holding(command: &mut Command, held: Vec<File>) -> Result<(), RepositoryError> {
    let mut held = held.into_iter().map(Stdio::from);
    command.stdin(held.next().unwrap_or_else(Stdio::null)).stdout(held.next().unwrap_or_else(Stdio::null));
    let outcome = succeeded(command, |command| command.stderr(Stdio::piped()).spawn()?.wait_with_output());
    // What the command holds is held here, too.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    outcome.map(drop)
}

/// The same for a command that is told something on standard input.
pub(super) fn run_with(command: &mut Command, input: &[u8]) -> Result<Vec<u8>, RepositoryError> {
    succeeded(command, |command| {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut stdin = child.stdin.take().expect("standard input is a pipe");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // One that ends before it has read everything says why.
                let _ = io::Write::write_all(&mut stdin, input);
            });
            child.wait_with_output()
        })
    })
}

fn succeeded(
    command: &mut Command,
    output: impl FnOnce(&mut Command) -> io::Result<Output>,
) -> Result<Vec<u8>, RepositoryError> {
    let output = finished(command, output)?;
    checked(command, output)
}

fn finished(
    command: &mut Command,
    output: impl FnOnce(&mut Command) -> io::Result<Output>,
) -> Result<Output, RepositoryError> {
    let began = Instant::now();
    let output = output(command);
    tracing::debug!(
        command = command::words(command),
        took_ms = began.elapsed().as_millis(),
        "{}",
        command::ending(&output)
    );
    output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => RepositoryError::NoGit,
        _ => RepositoryError::Disk { path: "git".into(), source: error },
    })
}

/// What a command wrote that succeeded.
fn checked(command: &Command, output: Output) -> Result<Vec<u8>, RepositoryError> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let name = command.get_args().next().unwrap_or_default().to_string_lossy().into_owned();
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(RepositoryError::Git { command: name, said: if said.is_empty() { output.status.to_string() } else { said } })
}

/// Writes a small file unless it is there as it should be.
fn put(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    if fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes())
        && fs::metadata(path)?.permissions().mode() & 0o777 == mode
    {
        return Ok(());
    }
    let replacement = crate::file::Replacement::prepare(path, text.as_bytes())?;
    replacement.set_mode(mode)?;
    replacement.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_users_git_reaches_a_command() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("git")).unwrap();
        for path in [".gitconfig", "git/config"] {
            fs::write(dir.path().join(path), "[core]\n\thooksPath = /hostile\n[protocol]\n\tversion = 0\n").unwrap();
        }
        let list = |is_isolated: bool| {
            let mut command = Command::new("git");
            if is_isolated {
                isolate(&mut command);
            }
            command.env("HOME", dir.path()).env("XDG_CONFIG_HOME", dir.path()).current_dir(dir.path());
            String::from_utf8(run(command.args(["config", "--list"])).unwrap()).unwrap()
        };
        assert!(list(false).contains("/hostile"));
        assert_eq!(list(true), "safe.directory=*\ncore.fsmonitor=false\n");
    }
}
