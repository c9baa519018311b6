//! What goes on in a site: requests, locks, who waits for whom, and the newest operations.
//!
//! It takes no lock and changes nothing. It is known from the notes of requests and of waiting commands
//! (`forkpress_core::lock::note`), from the kernel's table of locks, and from the log of operations. Which requests wait in the
//! server, only that knows.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use forkpress_core::layout::{CowLayout, LOCKS};
use forkpress_core::lock::note::{Note, State};
use forkpress_core::lock::{self, Holder};
use forkpress_core::name::BranchName;
use forkpress_core::record::rfc3339;
use serde::Serialize;

use crate::branch;
use crate::mutation::StepError;
use crate::mutation::history::History;
use crate::site::Site;

/// How many of the newest operations are told.
const OPERATIONS: usize = 5;

/// What is the case at a moment. It is what `forkpress top --json` prints.
#[derive(Debug, Serialize)]
pub struct Sample {
    /// The moment.
    pub at: String,
    /// Where the site is served; none where it is not.
    pub url: Option<String>,
    /// How often a publish was made.
    pub generation: u64,
    /// How full OPcache was some seconds ago, from 0 to 1; none where that is not known.
    pub opcache_fullness: Option<f64>,
    /// The branches, `main` first.
    pub branches: Vec<BranchRow>,
    /// The requests.
    pub requests: Vec<RequestRow>,
    /// The locks of the site, and of the branches in which something goes on.
    pub locks: Vec<LockRow>,
    /// The newest operations, newest first.
    pub operations: Vec<OperationRow>,
}

/// A branch.
#[derive(Debug, Serialize)]
pub struct BranchRow {
    /// Its name.
    pub name: String,
    /// Its address.
    pub url: String,
    /// The publish that made it.
    pub generation: u64,
    /// How many requests it has.
    pub requests: usize,
}

/// A request. Nothing of it is trusted.
#[derive(Debug, PartialEq, Serialize)]
pub struct RequestRow {
    /// The process that serves it; none while it waits in the server.
    pub pid: Option<u32>,
    /// The branch that it names.
    pub branch: String,
    /// Its method.
    pub method: String,
    /// What it asks for.
    pub path: String,
    /// `serving`, `sending` or `waiting`; `queued` for one that waits for a process of PHP's.
    pub state: String,
    /// For how long.
    pub age_seconds: f64,
}

/// A lock.
#[derive(Debug, Serialize)]
pub struct LockRow {
    /// The name of its file.
    pub name: String,
    /// Who has it.
    pub holders: Vec<LockUser>,
    /// Who waits for it.
    pub waiters: Vec<LockUser>,
}

/// Who has a lock, or waits for it.
#[derive(Debug, PartialEq, Serialize)]
pub struct LockUser {
    /// The process.
    pub pid: u32,
    /// What for.
    pub doing: Option<String>,
    /// For how long it holds the lock, or serves its request, or waits; none where that is not known.
    pub seconds: Option<f64>,
}

/// An operation of the log.
#[derive(Debug, Serialize)]
pub struct OperationRow {
    /// Its number.
    pub id: u64,
    /// What was done, in the words of the log.
    pub operation: String,
    /// When it began.
    pub at: String,
    /// The process that ran it.
    pub pid: u32,
    /// How long it took.
    pub took_seconds: Option<f64>,
    /// For how long it kept requests out.
    pub held_seconds: Option<f64>,
}

/// What only the server of a site, or who runs it, knows.
pub struct Served<'a> {
    /// Where the site is served; none where it is not.
    pub url: Option<String>,
    /// The address of a branch.
    pub address: &'a dyn Fn(&BranchName) -> String,
    /// How full OPcache is, from 0 to 1.
    pub opcache_fullness: Option<f64>,
    /// The requests that PHP does not know of yet.
    pub waiting: Vec<RequestRow>,
}

impl std::fmt::Debug for Served<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Sample {
    /// Looks at a site.
    ///
    /// # Errors
    /// [`StepError`] where the branches, their log or a lock can't be read.
    pub fn take(site: &Site, served: Served<'_>) -> Result<Self, StepError> {
        let cow = site.layout.cow();
        let notes = Note::all(cow).into_iter().filter(|note| !note.is_of_files());
        let (requests, mut waiting): (Vec<_>, Vec<_>) = notes.map(sort).unzip();
        let requests: Vec<_> = requests.into_iter().flatten().chain(served.waiting).collect();
        let own = own_locks(cow, requests.iter().map(|request| &*request.branch), waiting.iter().flatten());
        let locks = cow
            .locks()
            .map(|(name, path)| (name.to_owned(), path))
            .into_iter()
            .chain(own)
            .map(|(name, path)| LockRow {
                holders: lock::holders(cow, &path).into_iter().map(LockUser::of).collect(),
                waiters: waiting
                    .iter_mut()
                    .filter_map(|wait| wait.take_if(|(lock, _)| *lock == name))
                    .map(|(_, user)| user)
                    .collect(),
                name,
            })
            .collect::<Vec<_>>();
        let branches = branch::list(site)?
            .into_iter()
            .map(|branch| BranchRow {
                url: (served.address)(&branch.name),
                generation: branch.record.generation,
                requests: requests.iter().filter(|request| request.branch == branch.name.as_str()).count(),
                name: branch.name.as_str().to_owned(),
            })
            .collect();
        let history = History::read(cow)?;
        let operations = history.entries.iter().rev().take(OPERATIONS).map(|entry| OperationRow {
            id: entry.id,
            operation: entry.to_string(),
            at: entry.began(),
            pid: entry.pid,
            took_seconds: entry.took_ms.map(|ms| Duration::from_millis(ms).as_secs_f64()),
            held_seconds: entry.held_us.map(|us| Duration::from_micros(us).as_secs_f64()),
        });
        Ok(Self {
            at: rfc3339(SystemTime::now()),
            url: served.url,
            generation: lock::generation(cow)?,
            opcache_fullness: served.opcache_fullness,
            branches,
            requests,
            locks,
            operations: operations.collect(),
        })
    }
}

impl LockUser {
    fn of(holder: Holder) -> Self {
        let held = holder.since.and_then(|since| since.elapsed().ok());
        Self { pid: holder.pid, doing: holder.activity, seconds: held.map(|held| held.as_secs_f64()) }
    }
}

/// What a note says: a request, and whoever waits for a lock, with the name of the lock.
fn sort(note: Note) -> (Option<RequestRow>, Option<(String, LockUser)>) {
    let (pid, age_seconds, is_waiting) = (note.process.pid, note.age().as_secs_f64(), note.state == State::Waiting);
    let user = |doing: &str| LockUser { pid, doing: Some(doing.to_owned()), seconds: Some(age_seconds) };
    if let Some((lock, operation)) = note.text.split_once(' ').filter(|(lock, _)| is_lock(lock)) {
        return (None, is_waiting.then(|| (lock.to_owned(), user(operation))));
    }
    let mut words = note.text.splitn(3, ' ').map(str::to_owned);
    let mut word = || words.next().unwrap_or_default();
    let (method, branch, path) = (word(), word(), word());
    let state = note.state.word().to_owned();
    let request = RequestRow { pid: Some(pid), branch, method, path, state, age_seconds };
    // It passes two gates and takes two locks, and does not say at which of them it is.
    (Some(request), is_waiting.then(|| ("operations.lock".to_owned(), user(&note.text))))
}

/// Whether a note's first word names a lock, rather than the method of a request.
fn is_lock(word: &str) -> bool {
    LOCKS.contains(&word) || own_lock(word).is_some()
}

/// The branch of which a file name is the gate or the lock.
fn own_lock(name: &str) -> Option<BranchName> {
    let (name, kind) = name.rsplit_once('.')?;
    if matches!(kind, "gate" | "lock" | "mutation") { BranchName::parse(name).ok() } else { None }
}

/// The locks of the branches that requests or mutations are in, or that somebody waits for.
fn own_locks<'a>(
    cow: &CowLayout,
    used: impl Iterator<Item = &'a str>,
    waiting: impl Iterator<Item = &'a (String, LockUser)>,
) -> Vec<(String, PathBuf)> {
    let used = used.filter_map(|name| BranchName::parse(name).ok());
    let waited_for = waiting.filter(|(lock, _)| !LOCKS.contains(&&**lock)).filter_map(|(lock, _)| own_lock(lock));
    let names: BTreeSet<_> = used.chain(waited_for).chain(prepared(cow)).collect();
    let all = |name| {
        [
            (format!("{name}.mutation"), cow.branch_mutation_lock(&name)),
            (format!("{name}.gate"), cow.branch_gate(&name)),
            (format!("{name}.lock"), cow.branch_lock(&name)),
        ]
    };
    names.into_iter().flat_map(all).collect()
}

/// The branches of which a mutation is being prepared or published: in their lock file it says so.
fn prepared(cow: &CowLayout) -> Vec<BranchName> {
    let files = std::fs::read_dir(cow.branch_locks_dir()).into_iter().flatten().flatten();
    let is_held = |file: &std::fs::DirEntry| file.metadata().is_ok_and(|metadata| metadata.len() > 0);
    let name = |file: std::fs::DirEntry| BranchName::parse(file.file_name().to_str()?.strip_suffix(".mutation")?).ok();
    files.filter(is_held).filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use forkpress_core::process::ProcessIdentity;

    fn note(state: State, text: &str) -> Note {
        Note { process: ProcessIdentity::current(), state, since: SystemTime::now(), text: text.to_owned() }
    }

    #[test]
    fn a_note_is_a_request_or_a_command_that_waits() {
        let (request, wait) = sort(note(State::Serving, "GET x /a b"));
        let request = request.unwrap();
        assert_eq!((request.method.as_str(), request.branch.as_str(), request.path.as_str()), ("GET", "x", "/a b"));
        assert_eq!((request.state.as_str(), wait), ("serving", None));
        let (request, wait) = sort(note(State::Waiting, "GET x /"));
        assert_eq!(request.unwrap().state, "waiting");
        assert_eq!(wait.unwrap().0, "operations.lock");
        let (request, wait) = sort(note(State::Waiting, "mutation.lock create x from main"));
        let (lock, user) = wait.unwrap();
        assert_eq!(
            (request, lock.as_str(), user.doing.as_deref()),
            (None, "mutation.lock", Some("create x from main"))
        );
        let (request, wait) = sort(note(State::Waiting, "x.lock branch delete x"));
        assert_eq!((request, wait.unwrap().0.as_str()), (None, "x.lock"));
    }
}
