//! What a mutation that is about to publish intends, and what becomes of one that died.
//!
//! The intent names the identities of each branch's tree before and after, so that which of the two is at the branch's
//! place tells how far the mutation got, however it died.

mod former;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::StepError;
use super::history::LogEntry;
use super::toml_file;
use crate::disk::{self, DiskError};
use forkpress_core::layout::CowLayout;
use forkpress_core::name::BranchName;
use forkpress_core::record::BranchRecord;

/// What a mutation is about to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Intent {
    /// What the log will say.
    pub(super) entry: LogEntry,
    /// What it does.
    pub(super) change: Change,
}

/// What is done to branches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Change {
    /// Trees are moved, one for each of the entry's names, in their order: all of them or none.
    Moves(Vec<Move>),
    /// Files are put into the tree that the branch has.
    Files(FilesChange),
}

/// A change of a branch's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilesChange {
    /// The identity of the branch's tree, which stays.
    pub(super) tree: u64,
    /// The branch's record afterwards.
    pub(super) record: BranchRecord,
}

/// What becomes of a branch's tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Move<A = Arrival> {
    /// The branch.
    pub(super) name: BranchName,
    /// What becomes of its tree.
    pub(super) way: Way<A>,
}

/// The three ways of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Way<A = Arrival> {
    /// There was no branch.
    Come(A),
    /// There will be no branch.
    Go {
        /// The identity of its tree.
        old: u64,
        /// Whether nothing is kept of it.
        purge: bool,
    },
    /// The branch gets another tree.
    Exchange {
        /// The identity of its tree before.
        old: u64,
        /// The other tree.
        arrival: A,
    },
}

/// A tree that becomes a branch's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Arrival {
    /// Its identity.
    pub(super) new: u64,
    /// Where it waits.
    pub(super) from: Waiting,
    /// The branch's record afterwards.
    pub(super) record: BranchRecord,
}

/// Where a tree waits to become that of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Waiting {
    /// Where trees of the branch are staged.
    Staging,
    /// In the operation's slot: it is one that was kept.
    Slot,
}

impl Waiting {
    /// The path of such a tree.
    pub(super) fn place(self, cow: &CowLayout, entry: &LogEntry, name: &BranchName) -> PathBuf {
        match self {
            Self::Staging => cow.staged_tree(name),
            Self::Slot => entry.kept_place(cow, name),
        }
    }
}

/// The identities of what is found where trees are moved from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// At the branch's place.
    pub(super) branch: Option<u64>,
    /// Where the new tree waits for the publish; none where no tree is to come.
    pub(super) waiting: Option<u64>,
}

/// How far a move came whose process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The tree was not moved: the branch has what it had.
    Before,
    /// The old tree is away and the new one not in place yet.
    Between,
    /// The trees are in place.
    After,
}

impl<A> Move<A> {
    /// The same with something else about the tree that comes.
    pub(super) fn try_map<B, E>(&self, map: impl FnOnce(&A) -> Result<B, E>) -> Result<Move<B>, E> {
        let way = match &self.way {
            Way::Come(arrival) => Way::Come(map(arrival)?),
            Way::Go { old, purge } => Way::Go { old: *old, purge: *purge },
            Way::Exchange { old, arrival } => Way::Exchange { old: *old, arrival: map(arrival)? },
        };
        Ok(Move { name: self.name.clone(), way })
    }

    /// The identity of the branch's tree before.
    pub(super) fn old(&self) -> Option<u64> {
        match &self.way {
            Way::Come(_) => None,
            Way::Go { old, .. } | Way::Exchange { old, .. } => Some(*old),
        }
    }

    /// The tree that comes.
    pub(super) fn arrival(&self) -> Option<&A> {
        match &self.way {
            Way::Come(arrival) | Way::Exchange { arrival, .. } => Some(arrival),
            Way::Go { .. } => None,
        }
    }

    /// The tree that comes, to be changed.
    pub(super) fn arrival_mut(&mut self) -> Option<&mut A> {
        match &mut self.way {
            Way::Come(arrival) | Way::Exchange { arrival, .. } => Some(arrival),
            Way::Go { .. } => None,
        }
    }

    /// Whether nothing is kept of what the branch had.
    pub(super) fn purges(&self) -> bool {
        matches!(self.way, Way::Go { purge: true, .. })
    }
}

impl Move {
    /// Decides how far the move came.
    pub(super) fn ending(&self, found: Found) -> Ending {
        let (old, new) = (self.old(), self.arrival().map(|arrival| arrival.new));
        if found.branch == new {
            Ending::After
        } else if found.branch.is_none() && old.is_some() && found.waiting == new {
            Ending::Between
        } else {
            Ending::Before
        }
    }
}

impl FilesChange {
    /// Whether the files are all in place: the branch's record, as it is now, is that of the mutation, and not that of
    /// `before`. The record says which operation made it; the number of the publish alone would not do, since a power cut
    /// may take that counter back, and the record before have the same.
    pub(super) fn has_published(&self, before: Option<&BranchRecord>, now: Option<&BranchRecord>) -> bool {
        let Some(now) = now else { return false };
        match self.record.operation {
            Some(operation) => now.operation == Some(operation),
            // An earlier version wrote this, and its records tell no more.
            None => before != Some(now),
        }
    }
}

impl Intent {
    /// The records that are to be, each with its branch.
    pub(super) fn records_mut(&mut self) -> Vec<(BranchName, &mut BranchRecord)> {
        match &mut self.change {
            Change::Files(files) => vec![(self.entry.name.clone(), &mut files.record)],
            Change::Moves(moves) => {
                moves.iter_mut().filter_map(|one| Some((one.name.clone(), &mut one.arrival_mut()?.record))).collect()
            }
        }
    }

    /// The same, to be read.
    pub(super) fn records(&self) -> Vec<&BranchRecord> {
        match &self.change {
            Change::Files(files) => vec![&files.record],
            Change::Moves(moves) => moves.iter().filter_map(|one| Some(&one.arrival()?.record)).collect(),
        }
    }

    /// Writes the intent durably.
    pub(super) fn write(&self, cow: &CowLayout) -> Result<(), DiskError> {
        let text = toml::to_string(self).expect("an intent is plain values");
        disk::replace(&cow.intent(), text.as_bytes())
    }

    /// Reads the intent of a mutation that died, if one did, also as earlier versions wrote it.
    pub(super) fn read(cow: &CowLayout) -> Result<Option<Self>, StepError> {
        if let Some(several) = toml_file::read::<former::Several>(&cow.batch_intent())? {
            return Ok(Some(several.into()));
        }
        let path = cow.intent();
        match toml_file::read::<Self>(&path) {
            // What is wrong with it is what is wrong with it as it is written today.
            Err(error) => toml_file::read::<former::One>(&path).map_or(Err(error), |one| Ok(one.map(Self::from))),
            read => read,
        }
    }

    /// Removes the intent, durably.
    pub(super) fn remove(cow: &CowLayout) -> Result<(), DiskError> {
        disk::remove(&cow.intent())?;
        disk::remove(&cow.batch_intent())?;
        disk::sync(&cow.journal_dir())
    }
}

#[cfg(test)]
mod tests {
    use super::super::history::Operation;
    use super::*;
    use std::fs;
    use std::path::Path;

    fn record(operation: Option<u64>, generation: u64) -> BranchRecord {
        BranchRecord { generation, operation, ..BranchRecord::now(Some(BranchName::main()), 0) }
    }

    fn one(old: Option<u64>, new: Option<u64>) -> Move {
        let arrival = |new| Arrival { new, from: Waiting::Staging, record: record(Some(7), 3) };
        let way = match (old, new) {
            (None, Some(new)) => Way::Come(arrival(new)),
            (Some(old), None) => Way::Go { old, purge: false },
            (Some(old), Some(new)) => Way::Exchange { old, arrival: arrival(new) },
            (None, None) => unreachable!("nothing comes and nothing goes"),
        };
        Move { name: "x".parse().unwrap(), way }
    }

    #[test]
    fn where_the_trees_are_tells_how_a_mutation_ends() {
        const NONE: Option<u64> = None;
        const OLD: Option<u64> = Some(1);
        const NEW: Option<u64> = Some(2);
        const OTHER: Option<u64> = Some(3);
        for (old, new, branch, waiting, ending) in [
            // Create.
            (NONE, NEW, NONE, NEW, Ending::Before),
            (NONE, NEW, NEW, NONE, Ending::After),
            (NONE, NEW, OTHER, NEW, Ending::Before),
            (NONE, NEW, NONE, NONE, Ending::Before),
            // Reset.
            (OLD, NEW, OLD, NEW, Ending::Before),
            (OLD, NEW, NEW, OLD, Ending::After),
            (OLD, NEW, NONE, NEW, Ending::Between),
            (OLD, NEW, NEW, NONE, Ending::After),
            (OLD, NEW, NONE, NONE, Ending::Before),
            (OLD, NEW, OTHER, NEW, Ending::Before),
            // Delete.
            (OLD, NONE, OLD, NONE, Ending::Before),
            (OLD, NONE, NONE, OLD, Ending::After),
            (OLD, NONE, OTHER, NONE, Ending::Before),
        ] {
            let found = Found { branch, waiting };
            assert_eq!(one(old, new).ending(found), ending, "{old:?} -> {new:?}, {found:?}");
        }
    }

    #[test]
    fn the_operation_in_the_record_tells_before_from_after_whatever_generation_it_has() {
        let is_published = |before: &BranchRecord, after: &BranchRecord, now: Option<&BranchRecord>| {
            FilesChange { tree: 1, record: after.clone() }.has_published(Some(before), now)
        };
        for (old, new) in [(3, 4), (4, 4), (4, 1)] {
            let (before, after) = (record(Some(6), old), record(Some(7), new));
            assert!(!is_published(&before, &after, Some(&before)), "{old} {new}");
            assert!(is_published(&before, &after, Some(&after)), "{old} {new}");
            assert!(!is_published(&before, &after, None));
        }
        // Of an earlier version, or of one that was updated between two pushes.
        for after in [record(None, 4), record(Some(7), 3)] {
            let before = record(None, 3);
            assert!(is_published(&before, &after, Some(&after)) && !is_published(&before, &after, Some(&before)));
        }
    }

    fn journal() -> (tempfile::TempDir, CowLayout) {
        let dir = tempfile::tempdir().unwrap();
        let cow = CowLayout::new(dir.path());
        fs::create_dir(cow.journal_dir()).unwrap();
        (dir, cow)
    }

    #[test]
    fn an_intent_is_read_as_it_was_written_and_garbage_is_an_error() {
        let (_dir, cow) = journal();
        assert_eq!(Intent::read(&cow).unwrap(), None);
        let ways = vec![one(None, Some(2)), one(Some(1), Some(2)), one(Some(1), None)];
        let files = FilesChange { tree: 1 << 62, record: record(Some(7), 3) };
        for change in [Change::Moves(ways), Change::Files(files)] {
            let intent = Intent { entry: LogEntry::sample(7, Operation::Reset), change };
            intent.write(&cow).unwrap();
            assert_eq!(Intent::read(&cow).unwrap(), Some(intent));
        }
        fs::write(cow.intent(), "operation = 'bake'").unwrap();
        assert!(matches!(Intent::read(&cow), Err(StepError::Journal { .. })));
        Intent::remove(&cow).unwrap();
        assert_eq!(Intent::read(&cow).unwrap(), None);
    }

    #[test]
    fn what_an_earlier_version_intended_is_understood() {
        let (_dir, cow) = journal();
        let entry = "id = 7\nname = 'x'\nslot = 7\nat = 1\nuser = 'root'\npid = 1\nprogram = 'forkpress'\n";
        let record = "created_at = '2026-11-22T17:25:46Z'\nfrom = 'main'\ngeneration = 3\noperation = 7\n";
        let record_value = record_of(record);
        let before = record.replace("operation = 7", "operation = 2");
        let read = |text: &str, path: &Path| {
            fs::write(path, text).unwrap();
            let intent = Intent::read(&cow).unwrap().unwrap();
            fs::remove_file(path).unwrap();
            intent.change
        };
        let arrival = |from| Arrival { new: 12, from, record: record_value.clone() };
        let moved = |way| Change::Moves(vec![Move { name: "x".parse().unwrap(), way }]);
        let one = |text: String| read(&text, &cow.intent());
        assert_eq!(
            one(format!(
                "new = 12\nstaged = true\npurge = false\n[entry]\noperation = 'create'\n{entry}[record]\n{record}"
            )),
            moved(Way::Come(arrival(Waiting::Staging)))
        );
        assert_eq!(
            one(format!(
                "old = 11\nnew = 12\nstaged = false\npurge = false\n[entry]\noperation = 'undo'\nundoes = 3\n\
                 {entry}[entry.before]\n{before}[record]\n{record}"
            )),
            moved(Way::Exchange { old: 11, arrival: arrival(Waiting::Slot) })
        );
        assert_eq!(
            one(format!("old = 11\nstaged = false\npurge = true\n[entry]\noperation = 'delete'\n{entry}")),
            moved(Way::Go { old: 11, purge: true })
        );
        assert_eq!(
            one(format!(
                "old = 11\nstaged = false\npurge = false\n[entry]\noperation = 'apply'\nfiles = true\n{entry}\
                 [record]\n{record}"
            )),
            Change::Files(FilesChange { tree: 11, record: record_value.clone() })
        );
        let trees = format!("[[trees]]\nname = 'x'\nidentity = 12\n[trees.record]\n{record}");
        assert_eq!(
            read(&format!("[entry]\noperation = 'create'\n{entry}{trees}"), &cow.batch_intent()),
            moved(Way::Come(arrival(Waiting::Staging)))
        );
        assert_eq!(
            read(
                &format!("[entry]\noperation = 'undo'\nundoes = 3\n{entry}[entry.before]\n{before}{trees}"),
                &cow.batch_intent()
            ),
            moved(Way::Go { old: 12, purge: false })
        );
        fs::write(cow.intent(), format!("staged = false\npurge = false\n[entry]\noperation = 'create'\n{entry}"))
            .unwrap();
        assert!(Intent::read(&cow).is_err(), "nothing comes and nothing goes");
    }

    fn record_of(text: &str) -> BranchRecord {
        toml::from_str(text).unwrap()
    }
}
