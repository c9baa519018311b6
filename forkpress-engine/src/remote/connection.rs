//! One connection by the user's own `ssh`, and what runs through it.
//!
//! The first program that runs there holds the connection; those that follow share it, where ssh can do that, and else make
//! their own. All of them end with this process: their input ends, and what they write has nobody who reads it.

use std::io::{self, PipeReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::address::Address;
use super::error::{Fetched, RemoteError};
use super::script::{Mark, Script};
use crate::progress::Progress;

/// How often whoever asked is asked whether to go on.
const PAUSE: Duration = Duration::from_millis(100);

/// So much of what a user's shell prints before a script is read over.
const MOST_GREETING_BYTES: usize = 64 << 10;

/// So much is kept of what a program complains of.
const MOST_SAID_BYTES: usize = 16 << 10;

/// So many lines of it are told.
const MOST_LINES: usize = 5;

/// ssh's own exit status.
const OF_SSH: i32 = 255;

/// Where ssh puts the socket by which a connection is shared, in the folder that it runs in: its path may be too long for one.
const SOCKET: &str = "ControlPath=./ssh";

/// Settings that this use of ssh needs, whatever the user's own are. Keys, hosts and who is trusted stay as they are there.
const SETTINGS: [&str; 10] = [
    "RemoteCommand=none",
    "RequestTTY=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "Tunnel=no",
    "ControlPersist=no",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=4",
];

/// A connection to another machine.
pub(super) struct Connection<'a> {
    pub(super) address: &'a Address,
    folder: PathBuf,
    pub(super) progress: &'a dyn Progress,
    master: Option<Running<'a>>,
}

impl<'a> Connection<'a> {
    /// Connects, and runs a script that prints the mark at its end, too, and then waits for the end of its input. Gives what it
    /// printed. `folder` is a private one, for ssh's socket.
    pub(super) fn open(
        address: &'a Address,
        folder: &Path,
        progress: &'a dyn Progress,
        (script, mark): (&Script, &Mark),
    ) -> Result<(Self, Vec<u8>), RemoteError> {
        let mut connection = Self { address, folder: folder.to_owned(), progress, master: None };
        let mut running = connection.start(script, mark, b"", "ControlMaster=yes")?;
        let (mut answer, mut buffer) = (Vec::new(), [0; 8192]);
        let end = [b"\n".to_vec(), mark.line()].concat();
        while !answer.ends_with(&end) {
            match running.read(&mut buffer) {
                Ok(0) => return Err(running.death()),
                Ok(count) => answer.extend_from_slice(&buffer[..count]),
                Err(error) => return Err(stream_error(error)),
            }
        }
        answer.truncate(answer.len() - end.len());
        connection.master = Some(running);
        Ok((connection, answer))
    }

    /// Runs a script that reads `input`.
    pub(super) fn run(&self, script: &Script, mark: &Mark, input: &[u8]) -> Result<Running<'a>, RemoteError> {
        let mut running = self.start(script, mark, input, "ControlMaster=no")?;
        running.input = None;
        Ok(running)
    }

    fn start(&self, script: &Script, mark: &Mark, input: &[u8], sharing: &str) -> Result<Running<'a>, RemoteError> {
        let failed = |source| RemoteError::Ssh { source };
        let (output, writer) = io::pipe().map_err(failed)?;
        let mut command = Command::new("ssh");
        command.arg("-T").args(["-o", sharing, "-o", SOCKET]);
        command.args(SETTINGS.iter().flat_map(|setting| ["-o", setting]));
        if !can_ask() {
            command.args(["-o", "BatchMode=yes"]);
        }
        if let Some(port) = self.address.port {
            command.args(["-p", &port.to_string()]);
        }
        if let Some(user) = &self.address.user {
            command.args(["-l", user]);
        }
        command.arg("--").arg(&self.address.host).arg(script.command());
        command.current_dir(&self.folder).stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        // It holds the end of the pipe that is written to.
        drop(command);
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let said = thread::spawn(move || stderr.map(last_of).unwrap_or_default());
        let mut running = Running {
            child,
            input: stdin,
            output,
            left: Vec::new(),
            said: Some(said),
            progress: self.progress,
            login: self.address.login(),
        };
        if let Some(stdin) = &mut running.input {
            // Where ssh ends before it reads, what it says counts.
            let _ = stdin.write_all(&[script.bytes(), input].concat()).and_then(|()| stdin.flush());
        }
        running.skip_greeting(mark)?;
        Ok(running)
    }
}

/// Whether ssh can ask somebody for a password, or whether a host's key is right.
fn can_ask() -> bool {
    std::fs::File::options().read(true).write(true).open("/dev/tty").is_ok()
        || std::env::var_os("SSH_ASKPASS").is_some_and(|program| !program.is_empty())
}

/// The last of what a program complains of.
fn last_of(mut stream: impl Read) -> Vec<u8> {
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            break;
        }
        said.extend_from_slice(&buffer[..count]);
        said.drain(..said.len().saturating_sub(MOST_SAID_BYTES));
    }
    said
}

/// A script that runs on the other machine. Reading it reads what it prints. Dropped, it is ended.
pub(super) struct Running<'a> {
    child: Child,
    /// None once the script is to find its end.
    input: Option<ChildStdin>,
    output: PipeReader,
    /// What was read already.
    left: Vec<u8>,
    said: Option<JoinHandle<Vec<u8>>>,
    progress: &'a dyn Progress,
    login: String,
}

/// How a script ended.
pub(super) struct End {
    /// Its exit status; none where ssh, or the script, was ended.
    pub(super) status: Option<i32>,
    /// What it complained of.
    pub(super) said: String,
}

impl End {
    /// What it complained of first, in a line.
    fn first(&self) -> String {
        in_a_line(self.lines().take(MOST_LINES).collect())
    }

    /// What it complained of last, in a line: a host may greet before.
    fn last(&self) -> String {
        in_a_line(self.lines().skip(self.lines().count().saturating_sub(MOST_LINES)).collect())
    }

    fn lines(&self) -> impl Iterator<Item = &str> {
        self.said.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("WARNING: option '"))
    }

    /// Whether it was the connection that ended.
    pub(super) fn is_lost(&self) -> bool {
        self.status.is_none_or(|status| status == OF_SSH)
    }
}

impl Running<'_> {
    fn skip_greeting(&mut self, mark: &Mark) -> Result<(), RemoteError> {
        let (line, mut seen, mut buffer) = ([b"\n".to_vec(), mark.line()].concat(), Vec::new(), [0; 8192]);
        loop {
            if let Some(at) = seen.windows(line.len()).position(|window| window == line) {
                self.left = seen.split_off(at + line.len());
                return Ok(());
            }
            let count = self.read(&mut buffer).map_err(stream_error)?;
            if count == 0 || seen.len() > MOST_GREETING_BYTES {
                return Err(self.death());
            }
            seen.extend_from_slice(&buffer[..count]);
        }
    }

    /// Why it ended before it had begun.
    fn death(&mut self) -> RemoteError {
        let login = self.login.clone();
        match self.end() {
            Ok(end) if end.is_lost() => RemoteError::Connect { login, said: end.last() },
            Ok(end) => RemoteError::Shell { login, said: end.last() },
            Err(error) => error,
        }
    }

    /// Waits for its end.
    pub(super) fn end(&mut self) -> Result<End, RemoteError> {
        self.input = None;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) => self.progress.go_on().map_err(|source| RemoteError::Interrupted { source })?,
                Err(source) => return Err(RemoteError::Ssh { source }),
            }
            thread::sleep(PAUSE / 20);
        };
        let said = self.said.take().and_then(|said| said.join().ok()).unwrap_or_default();
        Ok(End { status: status.code(), said: String::from_utf8_lossy(&said).trim().to_owned() })
    }

    /// Waits for its end, which has to be a good one.
    pub(super) fn finish(
        mut self,
        address: &Address,
        what: Fetched,
        is_good: &dyn Fn(i32) -> bool,
    ) -> Result<String, RemoteError> {
        let end = self.end()?;
        match end.status {
            Some(status) if is_good(status) => Ok(end.said),
            _ if end.is_lost() => Err(RemoteError::Lost { login: address.login(), what }),
            _ => Err(RemoteError::Refused { address: address.to_string(), what, said: end.first() }),
        }
    }
}

impl Read for Running<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.left.is_empty() {
            let count = self.left.len().min(buffer.len());
            buffer[..count].copy_from_slice(&self.left[..count]);
            self.left.drain(..count);
            return Ok(count);
        }
        let pause = Timespec { tv_sec: 0, tv_nsec: PAUSE.subsec_nanos().into() };
        loop {
            // Not the kind that readers try again after.
            self.progress.go_on().map_err(|error| io::Error::new(io::ErrorKind::ConnectionAborted, error))?;
            let mut waiting = [PollFd::new(&self.output, PollFlags::IN)];
            match poll(&mut waiting, Some(&pause)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return self.output.read(buffer),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Why a stream could not be read.
pub(super) fn stream_error(source: io::Error) -> RemoteError {
    if source.kind() == io::ErrorKind::ConnectionAborted {
        RemoteError::Interrupted { source }
    } else {
        RemoteError::Stream { source }
    }
}

fn in_a_line(lines: Vec<&str>) -> String {
    if lines.is_empty() { "it says nothing".to_owned() } else { lines.join("; ") }
}
