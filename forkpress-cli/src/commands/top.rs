//! `forkpress top`: shows what goes on in a site.
//!
//! It takes no lock and changes nothing. It knows what it shows from the notes of requests and of waiting commands
//! (`forkpress_core::lock::note`), from the kernel's table of locks, and from the log of operations. Which requests wait in the
//! server, that says itself.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, SystemTime};

use console::{Key, Term};
use forkpress_core::layout::{CowLayout, LOCKS};
use forkpress_core::lock::note::{Note, State};
use forkpress_core::lock::{self, Holder};
use forkpress_core::name::BranchName;
use forkpress_core::record::rfc3339;
use forkpress_engine::branch;
use forkpress_engine::mutation::history::History;
use forkpress_engine::site::Site;
use serde::Serialize;

use crate::failure::Failure;
use crate::server::{Held, Warmed};
use crate::site::Address;
use crate::{harmless, output, server, site};

const REFRESH: Duration = Duration::from_secs(1);

/// How many of the newest operations are shown.
const OPERATIONS: usize = 5;

/// Shows samples until the user has enough, or one where nobody looks on.
pub fn run(work_dir: Option<&Path>, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    if as_json {
        return output::json(&Sample::take(&site)?).map_err(Failure::from);
    }
    let terminal = Term::stdout();
    if !terminal.is_term() {
        return output::text(Sample::take(&site)?.in_words().trim_end()).map_err(Failure::from);
    }
    // Ctrl-C ends the process; without a keyboard nothing else does.
    let (sender, enough) = mpsc::channel();
    let keyboard = std::io::stdin().is_terminal().then(|| {
        let terminal = terminal.clone();
        thread::spawn(move || {
            while !matches!(terminal.read_key(), Ok(Key::Char('q')) | Err(_)) {}
            let _ = sender.send(());
        })
    });
    loop {
        let words = Sample::take(&site)?.in_words();
        let (rows, columns) = terminal.size();
        // In one piece: what is written over is not seen.
        let mut screen = String::from("\x1b[H");
        for line in words.lines().take(usize::from(rows).saturating_sub(1)) {
            let line = harmless::line(line);
            let line = console::truncate_str(&line, usize::from(columns), "…");
            let _ = write!(screen, "{line}\x1b[K\r\n");
        }
        screen.push_str("\x1b[J");
        terminal.write_str(&screen)?;
        terminal.flush()?;
        match enough.recv_timeout(REFRESH) {
            Ok(()) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) if keyboard.is_none() => thread::sleep(REFRESH),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// What is the case at a moment. It is what `--json` prints.
#[derive(Debug, Serialize)]
struct Sample {
    at: String,
    /// Where the site is served; null where it is not.
    url: Option<String>,
    generation: u64,
    /// How full OPcache was some seconds ago, from 0 to 1; null where that is not known.
    opcache_fullness: Option<f64>,
    branches: Vec<BranchRow>,
    requests: Vec<RequestRow>,
    locks: Vec<LockRow>,
    operations: Vec<OperationRow>,
}

#[derive(Debug, Serialize)]
struct BranchRow {
    name: String,
    url: String,
    generation: u64,
    requests: usize,
}

#[derive(Debug, PartialEq, Serialize)]
struct RequestRow {
    /// The process that serves it; null while it waits in the server.
    pid: Option<u32>,
    branch: String,
    method: String,
    path: String,
    /// `serving`, `sending` or `waiting`; `queued` for one that waits for a process of PHP's.
    state: String,
    age_seconds: f64,
}

#[derive(Debug, Serialize)]
struct LockRow {
    name: String,
    holders: Vec<LockUser>,
    waiters: Vec<LockUser>,
}

#[derive(Debug, PartialEq, Serialize)]
struct LockUser {
    pid: u32,
    doing: Option<String>,
    /// For how long it holds the lock, or serves its request, or waits; null where that is not known.
    seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
struct OperationRow {
    id: u64,
    operation: String,
    at: String,
    pid: u32,
    took_seconds: Option<f64>,
    held_seconds: Option<f64>,
}

impl Sample {
    fn take(site: &Site) -> Result<Self, Failure> {
        let cow = site.layout.cow();
        let address = Address::of(site);
        let notes = Note::all(cow).into_iter().filter(|note| !note.is_of_files());
        let (requests, mut waiting): (Vec<_>, Vec<_>) = notes.map(sort).unzip();
        let held = server::waiting_requests(&site.layout).into_iter().map(RequestRow::from);
        let requests: Vec<_> = requests.into_iter().flatten().chain(held).collect();
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
                url: address.url(&branch.name),
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
            url: site::server_of(site)?.map(|server| server::url(&server)),
            generation: lock::generation(cow)?,
            opcache_fullness: Warmed::read(site).and_then(|warmed| warmed.opcache).map(|opcache| opcache.fullness()),
            branches,
            requests,
            locks,
            operations: operations.collect(),
        })
    }

    fn in_words(&self) -> String {
        let mut text = String::new();
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, to: &mut String) -> std::fmt::Result {
        let served = self.url.as_deref().unwrap_or("not served");
        writeln!(to, "ForkPress top  {}  {served}  generation {}", self.at, self.generation)?;
        if let Some(fullness) = self.opcache_fullness {
            writeln!(to, "OPcache {:.0} % full", fullness * 100.0)?;
        }
        writeln!(to, "\nREQUESTS")?;
        if self.requests.is_empty() {
            writeln!(to, "  none")?;
        }
        for RequestRow { pid, branch, method, path, state, age_seconds } in &self.requests {
            let pid = pid.map_or("-".to_owned(), |pid| pid.to_string());
            writeln!(to, "  {pid:>8}  {age_seconds:>7.1} s  {state:7}  {branch:16}  {method} {path}")?;
        }
        writeln!(to, "\nLOCKS")?;
        for lock in &self.locks {
            if lock.holders.is_empty() && lock.waiters.is_empty() {
                writeln!(to, "  {:16} free", lock.name)?;
            }
            for (what, users) in [("held by", &lock.holders), ("waits", &lock.waiters)] {
                for LockUser { pid, doing, seconds } in users {
                    let seconds = seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.1}"));
                    let doing = harmless::line(doing.as_deref().unwrap_or_default());
                    writeln!(to, "  {:16} {what:7}  {pid:>8}  {seconds:>7} s  {doing}", lock.name)?;
                }
            }
        }
        writeln!(to, "\nOPERATIONS")?;
        for OperationRow { id, operation, at, held_seconds, .. } in &self.operations {
            let held = held_seconds.map_or("-".to_owned(), |seconds| format!("{:.1}", seconds * 1000.0));
            let operation = harmless::line(operation);
            writeln!(to, "  {id:>8}  {at}  exclusive {held:>7} ms  {operation}")?;
        }
        writeln!(to, "\nBRANCHES")?;
        // Those that are busy first: the list may be cut where the screen ends.
        let mut branches: Vec<_> = self.branches.iter().collect();
        branches.sort_by_key(|branch| std::cmp::Reverse(branch.requests));
        for BranchRow { name, url, generation, requests } in branches {
            writeln!(to, "  {name:16}  {requests:>3} requests  generation {generation:>6}  {url}")?;
        }
        Ok(())
    }
}

impl From<Held> for RequestRow {
    fn from(held: Held) -> Self {
        let Held { method, branch, path, state, age_seconds } = held;
        let branch = branch.map_or("-".to_owned(), |branch| branch.to_string());
        Self { pid: None, branch, method, path, state, age_seconds }
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

    #[test]
    fn a_sample_in_words_has_who_waits_for_whom() {
        let user = |doing: &str| LockUser { pid: 7, doing: Some(doing.to_owned()), seconds: Some(1.25) };
        let sample = Sample {
            at: "2026-11-22T17:25:46Z".to_owned(),
            url: None,
            generation: 3,
            opcache_fullness: Some(0.416),
            branches: vec![],
            requests: vec![],
            locks: vec![LockRow {
                name: "mutation.lock".to_owned(),
                holders: vec![user("reset a")],
                waiters: vec![user("create b")],
            }],
            operations: vec![],
        };
        let words = sample.in_words();
        assert!(words.contains("\nOPcache 42 % full\n"), "{words}");
        assert!(words.contains("mutation.lock    held by         7      1.2 s  reset a\n"), "{words}");
        assert!(words.contains("mutation.lock    waits           7      1.2 s  create b\n"), "{words}");
    }
}
