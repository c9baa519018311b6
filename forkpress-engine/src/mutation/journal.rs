//! What a mutation that is about to publish intends, and what becomes of one that died.
//!
//! The intent names the identities of the branch's tree before and after, so that which of the two is at the branch's
//! place tells how far the mutation got, however it died.

use std::io::ErrorKind;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::MutationError;
use super::history::Entry;
use crate::disk::{self, DiskError};
use forkpress_core::record::BranchRecord;

/// What a mutation is about to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Intent {
    /// The identity of the branch's tree before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) old: Option<u64>,
    /// The identity of the branch's tree afterwards; none where there will be no branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) new: Option<u64>,
    /// Whether that tree waits in staging; else it is in the operation's slot.
    pub(super) staged: bool,
    /// Whether nothing is kept of the branch.
    pub(super) purge: bool,
    /// What the log will say.
    pub(super) entry: Entry,
    /// The branch's record afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) record: Option<BranchRecord>,
}

/// The identities of what is found where trees are moved from and to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// At the branch's place.
    pub(super) branch: Option<u64>,
    /// Where the new tree waits for the publish.
    pub(super) waiting: Option<u64>,
}

/// How a mutation that died is brought to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// No tree was moved: the branch has what it had.
    Before,
    /// The old tree is away and the new one not in place yet: it is put there.
    Between,
    /// The trees are in place.
    After,
}

impl Intent {
    /// Decides how the mutation ends.
    pub(super) fn ending(&self, found: Found) -> Ending {
        if found.branch == self.new {
            Ending::After
        } else if found.branch.is_none() && self.old.is_some() && found.waiting == self.new {
            Ending::Between
        } else {
            Ending::Before
        }
    }

    /// Whether files that the mutation puts into a branch are all in place: the branch's record, as it is now, is that of
    /// the mutation. The record says which operation made it; the number of the publish alone would not do, since a power
    /// cut may take that counter back, and the record before have the same.
    pub(super) fn has_published(&self, now: Option<&BranchRecord>) -> bool {
        let Some(now) = now else { return false };
        match self.record.as_ref().and_then(|record| record.operation) {
            Some(operation) => now.operation == Some(operation),
            // An earlier version wrote this, and its records tell no more.
            None => self.entry.before.as_ref() != Some(now),
        }
    }

    /// Writes the intent durably.
    pub(super) fn write(&self, path: &Path) -> Result<(), DiskError> {
        let text = toml::to_string(self).expect("an intent is plain values");
        disk::replace(path, text.as_bytes())
    }

    /// Reads the intent of a mutation that died, if one did.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, MutationError> {
        read_toml(path)
    }
}

/// Reads a file of the journal or the log; none where there is no such file.
pub(super) fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, MutationError> {
    let text = disk::step("read", path, || match forkpress_core::own::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        text => text.map(Some),
    })?;
    text.map(|text| toml::from_str(&text))
        .transpose()
        .map_err(|source| MutationError::Journal { path: path.to_owned(), source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use super::super::history::Operation;
    use super::*;
    use forkpress_core::name::BranchName;
    use std::fs;

    fn intent(old: Option<u64>, new: Option<u64>) -> Intent {
        let record = BranchRecord::now(Some(BranchName::main()), 3);
        let entry = Entry {
            id: 7,
            operation: Operation::Reset,
            name: "a".parse().unwrap(),
            from: Some(BranchName::main()),
            undoes: None,
            with: None,
            files: false,
            slot: 7,
            at: 1,
            user: "root".to_owned(),
            pid: 1,
            program: "forkpress".to_owned(),
            took_ms: None,
            held_us: None,
            before: Some(record.clone()),
            also: Vec::new(),
        };
        Intent { old, new, staged: true, purge: false, entry, record: Some(record) }
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
            assert_eq!(intent(old, new).ending(found), ending, "{old:?} -> {new:?}, {found:?}");
        }
    }

    #[test]
    fn the_operation_in_the_record_tells_before_from_after_whatever_generation_it_has() {
        let record = |operation, generation| BranchRecord { generation, operation, ..BranchRecord::now(None, 0) };
        let of = |before: BranchRecord, after: BranchRecord| {
            let intent = intent(Some(1), None);
            let entry = Entry { files: true, before: Some(before), ..intent.entry };
            Intent { entry, record: Some(after), ..intent }
        };
        for (old, new) in [(3, 4), (4, 4), (4, 1)] {
            let (before, after) = (record(Some(6), old), record(Some(7), new));
            let intent = of(before.clone(), after.clone());
            assert!(!intent.has_published(Some(&before)), "{old} {new}");
            assert!(intent.has_published(Some(&after)), "{old} {new}");
            assert!(!intent.has_published(None));
        }
        // Of an earlier version, or of one that was updated between two pushes.
        let (before, after) = (record(None, 3), record(None, 4));
        let intent = of(before.clone(), after.clone());
        assert!(intent.has_published(Some(&after)) && !intent.has_published(Some(&before)));
        let (before, after) = (record(None, 3), record(Some(7), 3));
        let intent = of(before.clone(), after.clone());
        assert!(intent.has_published(Some(&after)) && !intent.has_published(Some(&before)));
    }

    #[test]
    fn an_intent_is_read_as_it_was_written_and_garbage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("intent.toml");
        assert_eq!(Intent::read(&path).unwrap(), None);
        for (old, new) in [(None, Some(2)), (Some(1), Some(2)), (Some(1), None)] {
            intent(old, new).write(&path).unwrap();
            assert_eq!(Intent::read(&path).unwrap(), Some(intent(old, new)));
        }
        fs::write(&path, "operation = 'bake'").unwrap();
        assert!(matches!(Intent::read(&path), Err(MutationError::Journal { .. })));
    }
}
