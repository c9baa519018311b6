//! Notes: small files in which a process says what it is serving or waiting for. They are for people; nothing depends on them.
//!
//! A note is `requests/PID`, text of at most [`NOTE_BYTES`] up to its first NUL byte: `STATE since=MILLISECONDS
//! started=START TEXT`. `STATE` is `serving`, `sending` for one that only sends bytes, or `waiting` for one that waits
//! for a lock. `START` tells the process from a later one with its id: a note of a process that is gone is no note.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::layout::CowLayout;
use crate::name::BranchName;
use crate::own;
use crate::process::ProcessIdentity;

/// The size of a note's file; what is said beyond that is cut.
pub const NOTE_BYTES: usize = 512;

/// How often a note is read until it does not change meanwhile.
const READS: u32 = 5;

/// How the note of a process begins that sends files of all branches.
const FILES: &str = "files ";

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It serves a request, or runs a program in a branch.
    Serving,
    /// All that is left of its request is to send bytes, and it lets its locks go as soon as a writer waits.
    Sending,
    /// It waits for a lock.
    Waiting,
}

impl State {
    /// The first word of a note. All have one length, so that one can be written over the other.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Sending => "sending",
            Self::Waiting => "waiting",
        }
    }
}

/// What a living process says that it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The process.
    pub process: ProcessIdentity,
    /// Whether it waits.
    pub state: State,
    /// Since when it does what the text says: for a request, since it began, however long it waited.
    pub since: SystemTime,
    /// `METHOD BRANCH PATH` of a request, `exec BRANCH PROGRAM` of a program, `files main` of a server that sends
    /// files; for a command that waits, `LOCK OPERATION`: the file that it waits for and what for.
    pub text: String,
}

impl Note {
    /// The note of a process; none where it says nothing or is gone.
    #[must_use]
    pub fn of(cow: &CowLayout, pid: u32) -> Option<Self> {
        let path = cow.request_note(pid);
        let note = parse(pid, &settled(&path)?)?;
        note.process.is_alive().then_some(note)
    }

    /// The notes of all living processes of a site, by their ids.
    #[must_use]
    pub fn all(cow: &CowLayout) -> Vec<Self> {
        let mut pids: Vec<u32> = pids(cow).collect();
        pids.sort_unstable();
        pids.into_iter().filter_map(|pid| Self::of(cow, pid)).collect()
    }

    /// The branch that a request or a program is in, or will be once it has the locks; none of a command that waits.
    #[must_use]
    pub fn branch(&self) -> Option<BranchName> {
        let mut words = self.text.split(' ');
        let is_lock = words.next().is_some_and(|word| word.ends_with(".lock") || word.ends_with(".gate"));
        BranchName::parse(words.next()?).ok().filter(|_| !is_lock)
    }

    /// The method, the branch and the path of a request; none of a program, and of a command that waits for a lock.
    #[must_use]
    pub fn request(&self) -> Option<(&str, &str, &str)> {
        let mut words = self.text.splitn(3, ' ');
        let request = (words.next()?, words.next()?, words.next()?);
        // A method is in capitals, neither `exec` nor the name of a lock is.
        request.0.bytes().all(|byte| byte.is_ascii_uppercase()).then_some(request)
    }

    /// Whether it is a server that sends files: of any branch, and for instants.
    #[must_use]
    pub fn is_of_files(&self) -> bool {
        self.text.starts_with(FILES)
    }

    /// For how long.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.since.elapsed().unwrap_or_default()
    }
}

/// Removes the notes that killed processes have left, and gives those of them that say something. Of several processes that
/// sweep, one gets it.
pub fn sweep(cow: &CowLayout) -> Vec<Note> {
    let dead = pids(cow).filter(|pid| ProcessIdentity::of(*pid).is_none());
    let left = dead.filter_map(|pid| {
        let path = cow.request_note(pid);
        let note = fs::read(&path).ok().and_then(|bytes| parse(pid, &bytes));
        fs::remove_file(&path).ok().and(note)
    });
    left.collect()
}

/// What a note reads.
#[must_use]
pub fn line(state: State, since: SystemTime, started: &str, text: &str) -> String {
    let since = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("{} since={since} started={started} {text}", state.word())
}

/// The note of a command; gone when dropped.
#[derive(Debug)]
pub struct CommandNote(PathBuf);

impl CommandNote {
    /// Says that this process waits for the lock file at `lock` since `since`. A note that can't be written is none.
    #[must_use]
    pub fn waiting(cow: &CowLayout, lock: &Path, operation: &str, since: SystemTime) -> Option<Self> {
        let lock = lock.file_name()?.to_string_lossy();
        Self::write(cow, State::Waiting, since, &format!("{lock} {operation}"))
    }

    /// Says that this process waits to run `program` in a branch. A note that can't be written is none.
    #[must_use]
    pub fn program(cow: &CowLayout, branch: &BranchName, program: &str) -> Option<Self> {
        Self::write(cow, State::Waiting, SystemTime::now(), &format!("exec {branch} {program}"))
    }

    /// Says that this process sends files, of whichever branch is asked for. It has the locks for the instants in which it looks
    /// for one, so a writer takes it for a request like others.
    #[must_use]
    pub fn files(cow: &CowLayout) -> Option<Self> {
        // A killed process that had this id may have left one.
        let _ = fs::remove_file(cow.request_note(std::process::id()));
        Self::write(cow, State::Sending, SystemTime::now(), &format!("{FILES}{}", BranchName::main()))
    }

    /// Says that it does so now.
    pub fn serve(&self) {
        // Both words have one length.
        if let Ok(mut file) = own::options().write(true).open(&self.0) {
            let _ = file.write_all(State::Serving.word().as_bytes());
        }
    }

    fn write(cow: &CowLayout, state: State, since: SystemTime, text: &str) -> Option<Self> {
        let process = ProcessIdentity::current();
        let path = cow.request_note(process.pid);
        let text = line(state, since, &process.started, text);
        let _ = fs::create_dir(cow.requests_dir());
        // A process that serves requests has a note of its own, which it has mapped.
        let mut file = own::options().write(true).create_new(true).open(&path).ok()?;
        let note = Self(path);
        file.write_all(text.as_bytes()).ok()?;
        Some(note)
    }
}

impl Drop for CommandNote {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn pids(cow: &CowLayout) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(cow.requests_dir()).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// What two reads in a row agree on: a process may be writing just now.
fn settled(path: &Path) -> Option<Vec<u8>> {
    let mut last = own::read(path).ok()?;
    for _ in 0..READS {
        let next = own::read(path).ok()?;
        if next == last {
            return Some(next);
        }
        last = next;
    }
    None
}

fn parse(pid: u32, bytes: &[u8]) -> Option<Note> {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    let text: String = String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let (state, rest) = text.split_once(" since=")?;
    let state = [State::Serving, State::Sending, State::Waiting].into_iter().find(|known| known.word() == state)?;
    let (since, rest) = rest.split_once(" started=")?;
    let (started, text) = rest.split_once(' ')?;
    Some(Note {
        process: ProcessIdentity { pid, started: started.to_owned() },
        state,
        since: UNIX_EPOCH.checked_add(Duration::from_millis(since.parse().ok()?))?,
        text: text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_for_as_long_as_its_process_lives() {
        let dir = tempfile::tempdir().unwrap();
        let cow = CowLayout::new(dir.path());
        fs::create_dir(cow.requests_dir()).unwrap();
        let (own, since) = (ProcessIdentity::current(), UNIX_EPOCH + Duration::from_millis(1234));
        let write = |started: &str| {
            let mut bytes = line(State::Waiting, since, started, "GET x /a b").into_bytes();
            bytes.resize(NOTE_BYTES, 0);
            fs::write(cow.request_note(own.pid), bytes).unwrap();
        };
        write(&own.started);
        let note = Note { process: own.clone(), state: State::Waiting, since, text: "GET x /a b".to_owned() };
        assert_eq!(Note::all(&cow), [note]);
        write("another-start");
        assert_eq!(Note::all(&cow), [], "the process that wrote this is gone");
        fs::write(cow.request_note(own.pid), [0; NOTE_BYTES]).unwrap();
        assert_eq!(Note::all(&cow), [], "nothing is being served");
    }

    #[test]
    fn a_request_and_a_program_are_in_a_branch_and_a_command_that_waits_is_not() {
        let note = |text: &str| parse(1, format!("waiting since=1 started=1 {text}").as_bytes()).unwrap();
        assert_eq!(note("GET x /").branch().unwrap().as_str(), "x");
        assert_eq!(note("exec x sleep").branch().unwrap().as_str(), "x");
        for text in ["operations.lock x", "mutation.lock undo 7", "x.lock branch delete x", "GET", ""] {
            assert_eq!(note(text).branch(), None, "{text}");
        }
        let dir = tempfile::tempdir().unwrap();
        let cow = CowLayout::new(dir.path());
        let program = CommandNote::program(&cow, &"x".parse().unwrap(), "sleep").unwrap();
        let states = || Note::of(&cow, std::process::id()).map(|note| (note.state, note.text));
        assert_eq!(states(), Some((State::Waiting, "exec x sleep".to_owned())));
        program.serve();
        assert_eq!(states(), Some((State::Serving, "exec x sleep".to_owned())));
    }

    #[test]
    fn a_server_that_sends_files_is_in_a_branch_and_no_request() {
        let dir = tempfile::tempdir().unwrap();
        let cow = CowLayout::new(dir.path());
        fs::create_dir(cow.requests_dir()).unwrap();
        fs::write(cow.request_note(std::process::id()), "of a process that is gone").unwrap();
        let written = CommandNote::files(&cow).unwrap();
        let note = Note::of(&cow, std::process::id()).unwrap();
        assert!(note.is_of_files() && note.branch().is_some() && note.request().is_none());
        assert_eq!(note.state, State::Sending, "it is never what a writer waits for long");
        drop(written);
        assert_eq!(Note::all(&cow), []);
    }

    #[test]
    fn what_is_left_of_the_dead_is_swept_away() {
        let dir = tempfile::tempdir().unwrap();
        let cow = CowLayout::new(dir.path());
        fs::create_dir(cow.requests_dir()).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = child.id();
        child.wait().unwrap();
        fs::write(cow.request_note(std::process::id()), "").unwrap();
        let text = line(State::Serving, UNIX_EPOCH, "1", "GET x /a");
        fs::write(cow.request_note(dead), text).unwrap();
        assert_eq!(sweep(&cow).iter().map(|note| note.text.as_str()).collect::<Vec<_>>(), ["GET x /a"]);
        assert_eq!(sweep(&cow), []);
        assert_eq!(pids(&cow).collect::<Vec<_>>(), [std::process::id()]);
    }
}
