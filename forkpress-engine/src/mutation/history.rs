//! The log of operations: what changed the branches of a site, and what each of them took away.
//!
//! An operation has a *slot*, the place of the tree that it took away. It is the operation's own, but for an undo, which
//! uses that of what it undoes: the two trees change places there, so that an undo can be undone. The tree in a slot is
//! therefore that of the last operation that used it. Whether a tree is still kept, the slot itself tells: a tree that
//! is dropped changes nothing in the log. Where an operation put files into a branch, its slot has the files that it took
//! away, instead of a tree.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::unistd::{Uid, User};
use serde::{Deserialize, Serialize};

use super::error::{StepError, UndoError};
use super::toml_file;
use crate::disk::{self, DiskError};
use forkpress_core::layout::CowLayout;
use forkpress_core::name::BranchName;
use forkpress_core::record::BranchRecord;

/// How many operations the log has at most, whatever is kept of them.
pub(super) const LONGEST_LOG: usize = 200;

/// What happened to a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// There was none, and now there is.
    Create,
    /// It has another tree.
    Reset,
    /// It is gone.
    Delete,
    /// It has other files at some of its paths.
    Apply,
    /// It has what another branch changed, in its files and its database.
    Merge,
    /// It is what it was before another operation.
    Undo,
}

/// An operation, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogEntry {
    /// Its number; a later operation has a greater one.
    pub id: u64,
    /// What was done.
    pub operation: Operation,
    /// To which branch.
    pub name: BranchName,
    /// The branch whose tree it got; none for a delete, an undo and the first `main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<BranchName>,
    /// Whether requests of that branch ran meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub beside: bool,
    /// The operation that an undo took back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<u64>,
    /// What files were put into the branch, in a word of whoever asked for that: the short id of a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// Whether it changed files of the branch, and kept those, rather than its tree.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub files: bool,
    /// Where the tree, or the files, that it took away are kept.
    pub slot: u64,
    /// When it began: seconds since 1970-01-01T00:00:00Z.
    pub at: u64,
    /// The user who ran it, by name where the environment tells, else by number.
    pub user: String,
    /// The process that ran it.
    pub pid: u32,
    /// The program that ran it.
    pub program: String,
    /// How long it took, in milliseconds; none where it died and was finished by another process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// For how long it kept requests out, in microseconds; none where it died and was finished by another process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_us: Option<u64>,
    /// The record of the tree that it took away; none where there was no branch before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<BranchRecord>,
    /// The other branches that it made, or took away, together with that one. Its slot then has a tree for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Sibling>,
}

/// A branch that was made, or taken away, together with others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sibling {
    /// Its name.
    pub name: BranchName,
    /// The record of its tree that was taken away; none where there was no branch before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<BranchRecord>,
}

impl LogEntry {
    /// An operation for tests.
    #[cfg(test)]
    pub(super) fn sample(id: u64, operation: Operation) -> Self {
        Self {
            id,
            operation,
            name: "x".parse().expect("a branch name"),
            from: None,
            beside: false,
            undoes: None,
            with: None,
            files: false,
            slot: id,
            at: 0,
            user: String::new(),
            pid: 1,
            program: String::new(),
            took_ms: None,
            held_us: None,
            before: None,
            also: Vec::new(),
        }
    }

    /// What is known of an operation as it begins. It has no number yet: others may be published before it.
    pub(super) fn begin(operation: Operation, name: BranchName, from: Option<BranchName>) -> Self {
        let (user, program) = who();
        Self {
            id: 0,
            operation,
            name,
            from,
            beside: false,
            undoes: None,
            with: None,
            files: false,
            slot: 0,
            at: now(),
            user,
            pid: std::process::id(),
            program,
            took_ms: None,
            held_us: None,
            before: None,
            also: Vec::new(),
        }
    }

    /// Gives an operation that is about to be published its number and, unless it has that of what it undoes, a slot.
    pub(super) fn number(&mut self, cow: &CowLayout) -> Result<(), DiskError> {
        self.id = ids(cow)?.last().map_or(1, |last| last + 1);
        if self.undoes.is_none() {
            self.slot = self.id;
        }
        Ok(())
    }

    /// Where the tree of a branch that it took away is kept.
    pub(super) fn kept_place(&self, cow: &CowLayout, name: &BranchName) -> PathBuf {
        if self.also.is_empty() { cow.kept_tree(self.slot) } else { cow.kept_tree_of(self.slot, name) }
    }

    /// The branches that it made or changed, each with the record of the tree that it took away.
    pub(super) fn befores(&self) -> impl Iterator<Item = (&BranchName, Option<&BranchRecord>)> {
        let siblings = self.also.iter().map(|sibling| (&sibling.name, sibling.before.as_ref()));
        std::iter::once((&self.name, self.before.as_ref())).chain(siblings)
    }

    /// The same, to be changed.
    pub(super) fn befores_mut(&mut self) -> impl Iterator<Item = (&BranchName, Option<&mut BranchRecord>)> {
        let siblings = self.also.iter_mut().map(|sibling| (&sibling.name, sibling.before.as_mut()));
        std::iter::once((&self.name, self.before.as_mut())).chain(siblings)
    }

    /// When it began, in UTC, as RFC 3339 has it.
    #[must_use]
    pub fn began(&self) -> String {
        forkpress_core::record::rfc3339(UNIX_EPOCH + std::time::Duration::from_secs(self.at))
    }

    /// Every branch that it made or changed.
    pub fn names(&self) -> impl Iterator<Item = &BranchName> {
        std::iter::once(&self.name).chain(self.also.iter().map(|sibling| &sibling.name))
    }

    /// Writes the entry durably.
    pub(super) fn write(&self, cow: &CowLayout) -> Result<(), DiskError> {
        let text = toml::to_string(self).expect("an entry is plain values");
        disk::replace(&cow.log_entry(self.id), text.as_bytes())
    }
}

/// What was done, in the words of the command line: `reset x from main`, `undo 7 of x`, `create x and 9 more from main`.
impl fmt::Display for LogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, from) = (some_of(&self.name, self.also.len()), self.from.as_ref());
        match (self.operation, self.undoes) {
            (Operation::Create, _) => write!(f, "create {name}")?,
            (Operation::Reset, _) => write!(f, "reset {name}")?,
            (Operation::Delete, _) => write!(f, "delete {name}")?,
            (Operation::Apply, _) => write!(f, "apply to {name}")?,
            (Operation::Merge, _) => {
                let from = from.map(BranchName::as_str).unwrap_or_default();
                return write!(f, "merge {from} into {name}");
            }
            (Operation::Undo, undone) => write!(f, "undo {} of {name}", undone.unwrap_or_default())?,
        }
        from.map_or(Ok(()), |from| write!(f, " from {from}"))?;
        f.write_str(if self.beside { " beside its requests" } else { "" })?;
        self.with.as_ref().map_or(Ok(()), |with| write!(f, " with {with}"))
    }
}

/// A branch, and how many others.
pub(super) fn some_of(name: &BranchName, others: usize) -> String {
    match others {
        0 => name.to_string(),
        others => format!("{name} and {others} more"),
    }
}

/// The operations of a site, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The operations.
    pub entries: Vec<LogEntry>,
}

impl History {
    /// Reads the log. Takes no lock: an operation that is just being done may be in it or not.
    ///
    /// # Errors
    /// [`StepError::Disk`] where an entry can't be read, and [`StepError::Journal`] where it can't be understood.
    pub fn read(cow: &CowLayout) -> Result<Self, StepError> {
        let mut entries = Vec::new();
        for id in ids(cow)? {
            entries.extend(toml_file::read::<LogEntry>(&cow.log_entry(id))?);
        }
        Ok(Self { entries })
    }

    /// The operation with this number.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&LogEntry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// The operation that took this one back.
    #[must_use]
    pub fn undone_by(&self, id: u64) -> Option<u64> {
        self.entries.iter().find(|entry| entry.undoes == Some(id)).map(|entry| entry.id)
    }

    /// Whether what the operation took away can be had back.
    #[must_use]
    pub fn is_kept(&self, cow: &CowLayout, entry: &LogEntry) -> bool {
        entry.before.is_none() || cow.kept_tree(entry.slot).is_dir()
    }

    /// What to take back: `id`, or the newest operation that is in force, undos themselves left out, so that to undo
    /// again and again goes further and further back.
    pub(super) fn to_undo(&self, id: Option<u64>) -> Result<&LogEntry, UndoError> {
        let entry = match id {
            Some(id) => self.get(id).ok_or(UndoError::NoOperation { id })?,
            None => self.candidates().next().ok_or(UndoError::NothingToUndo)?,
        };
        match self.undone_by(entry.id) {
            Some(by) => Err(UndoError::Undone { id: entry.id, by }),
            None => Ok(entry),
        }
    }

    /// The newest operation that can be undone now: what it took away is kept or, where it made a branch, that exists.
    pub(super) fn newest_undoable(&self, cow: &CowLayout) -> Option<u64> {
        self.candidates().find(|entry| self.is_undoable(cow, entry)).map(|entry| entry.id)
    }

    /// Whether what an operation took away is kept or, where it made a branch, that exists: so it can be taken back, unless it was
    /// already.
    #[must_use]
    pub fn is_undoable(&self, cow: &CowLayout, entry: &LogEntry) -> bool {
        match entry.before {
            Some(_) => self.is_kept(cow, entry),
            None => !entry.name.is_main() && entry.names().any(|name| cow.record(name).exists()),
        }
    }

    /// The operations that are in force, undos themselves left out, newest first.
    fn candidates(&self) -> impl Iterator<Item = &LogEntry> {
        self.entries.iter().rev().filter(|entry| self.undone_by(entry.id).is_none() && !self.is_backward(entry))
    }

    /// Whether an operation took another one back. An undo of an undo does that operation again.
    fn is_backward(&self, entry: &LogEntry) -> bool {
        entry.undoes.is_some_and(|undone| self.get(undone).is_none_or(|undone| !self.is_backward(undone)))
    }

    /// What an operation is in the end: an undo is a way back from an operation, or again to it.
    fn root<'a>(&'a self, entry: &'a LogEntry) -> &'a LogEntry {
        entry.undoes.and_then(|undone| self.get(undone)).map_or(entry, |undone| self.root(undone))
    }

    /// Whether the operation is a merge, or takes one back, or makes one again.
    pub(super) fn is_of_merge(&self, entry: &LogEntry) -> bool {
        self.root(entry).operation == Operation::Merge
    }

    /// The newest operation since a merge that has given its branch another database, and is in force. As long as it is, the
    /// merge can't be taken back: that would take back what the later one did as well.
    pub(super) fn since_merge(&self, merge: &LogEntry) -> Option<u64> {
        let is_net = |entry: &LogEntry| !(self.is_backward(entry) && self.root(entry).id > merge.id);
        let later = self.owners().filter(|entry| entry.id > merge.id && entry.names().any(|name| *name == merge.name));
        let later = later.filter(|entry| (!entry.files || self.is_of_merge(entry)) && is_net(entry));
        later.last().filter(|_| self.is_of_merge(merge)).map(|entry| entry.id)
    }

    /// The last operation to use each slot, oldest first: those whose trees are in the slots.
    pub(super) fn owners(&self) -> impl Iterator<Item = &LogEntry> {
        self.entries.iter().filter(|entry| self.undone_by(entry.id).is_none())
    }

    /// What the log need not have any longer, oldest first. What still has a tree stays.
    pub(super) fn surplus(&self, cow: &CowLayout) -> impl Iterator<Item = &LogEntry> {
        let surplus = self.entries.len().saturating_sub(LONGEST_LOG);
        self.entries.iter().take(surplus).take_while(|entry| !cow.kept_tree(entry.slot).is_dir())
    }
}

fn ids(cow: &CowLayout) -> Result<Vec<u64>, DiskError> {
    let id = |path: &Path| path.file_name()?.to_str()?.strip_suffix(".toml")?.parse().ok();
    let mut ids: Vec<u64> = disk::list(&cow.log_dir())?.iter().filter_map(|path| id(path)).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// Who runs this process: the user and the program.
fn who() -> (String, String) {
    let id = Uid::current();
    // An account that is deleted has no name.
    let user = User::from_uid(id).ok().flatten().map_or_else(|| id.to_string(), |user| user.name);
    let program = std::env::current_exe()
        .ok()
        .and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .unwrap_or_default();
    (user, program)
}

/// Seconds since 1970-01-01T00:00:00Z.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(operations: &[(u64, Option<u64>)]) -> History {
        let entry = |&(id, undoes): &(u64, Option<u64>)| LogEntry {
            undoes,
            slot: undoes.unwrap_or(id),
            ..LogEntry::sample(id, if undoes.is_some() { Operation::Undo } else { Operation::Create })
        };
        History { entries: operations.iter().map(entry).collect() }
    }

    #[test]
    fn to_undo_again_goes_further_back_and_an_undo_is_undone_by_its_number() {
        let undone = |operations: &[(u64, Option<u64>)], id| match history(operations).to_undo(id) {
            Ok(entry) => Ok(entry.id),
            Err(error) => Err(error.to_string()),
        };
        assert!(undone(&[], None).is_err());
        assert_eq!(undone(&[(1, None), (2, None)], None), Ok(2));
        assert_eq!(undone(&[(1, None), (2, None), (3, Some(2))], None), Ok(1));
        assert_eq!(undone(&[(1, None), (2, None), (3, Some(2))], Some(3)), Ok(3));
        // 4 did 2 again.
        assert_eq!(undone(&[(1, None), (2, None), (3, Some(2)), (4, Some(3))], None), Ok(4));
        assert_eq!(undone(&[(1, None), (2, None), (3, Some(2)), (4, Some(3)), (5, Some(4))], None), Ok(1));
        assert!(undone(&[(1, None), (2, Some(1))], None).is_err());
        assert!(undone(&[(1, None), (2, Some(1))], Some(1)).is_err());
        assert!(undone(&[(1, None)], Some(2)).is_err());
    }

    #[test]
    fn a_merge_is_not_taken_back_from_under_what_came_after_it() {
        // The second and the third word of each: what it undoes, and whether it puts files.
        let since = |operations: &[(u64, Operation, u64)], merge| {
            let entry = |&(id, operation, undoes): &(u64, Operation, u64)| LogEntry {
                undoes: (undoes > 0).then_some(undoes),
                files: matches!(operation, Operation::Merge | Operation::Apply)
                    || operations.iter().any(|other| other.0 == undoes && other.1 != Operation::Reset),
                ..LogEntry::sample(id, operation)
            };
            let history = History { entries: operations.iter().map(entry).collect() };
            history.since_merge(history.get(merge).unwrap())
        };
        use Operation::{Apply, Merge, Reset, Undo};
        assert_eq!(since(&[(1, Merge, 0), (2, Apply, 0)], 1), None);
        assert_eq!(since(&[(1, Merge, 0), (2, Merge, 0)], 1), Some(2));
        assert_eq!(since(&[(1, Merge, 0), (2, Merge, 0)], 2), None);
        assert_eq!(since(&[(1, Merge, 0), (2, Merge, 0), (3, Undo, 2)], 1), None, "as if it had never been");
        assert_eq!(since(&[(1, Merge, 0), (2, Reset, 0)], 1), Some(2));
        assert_eq!(since(&[(1, Merge, 0), (2, Reset, 0), (3, Undo, 2)], 1), None);
        assert_eq!(since(&[(1, Merge, 0), (2, Undo, 1)], 2), None);
        assert_eq!(since(&[(1, Merge, 0), (2, Undo, 1), (3, Merge, 0)], 2), Some(3), "to make it again is one as well");
        assert_eq!(since(&[(1, Merge, 0), (2, Merge, 0), (3, Undo, 2), (4, Undo, 3)], 1), Some(4), "made again");
        assert_eq!(since(&[(1, Reset, 0), (2, Merge, 0), (3, Undo, 1)], 2), Some(3), "the tree before is back");
        assert_eq!(since(&[(1, Apply, 0), (2, Merge, 0)], 1), None);
    }

    #[test]
    fn a_slot_is_the_last_one_s_who_used_it() {
        let history = history(&[(1, None), (2, None), (3, Some(2)), (4, Some(3))]);
        assert_eq!(history.owners().map(|entry| entry.id).collect::<Vec<_>>(), [1, 4]);
    }

    #[test]
    fn who_runs_this_process_has_the_name_of_the_account() {
        let named = std::process::Command::new("id").arg("-un").output().unwrap();
        assert_eq!(who().0, String::from_utf8(named.stdout).unwrap().trim());
    }
}
