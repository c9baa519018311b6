//! What a mutation that is about to publish intends, and what becomes of one that died.
//!
//! The intent names the inode of the tree that the mutation moves, so that where the tree is tells how far it got.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::MutationError;
use crate::disk::{self, DiskError};
use crate::name::BranchName;

/// What is to happen to a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Operation {
    /// The staged tree becomes the branch, where there was none.
    Create,
    /// The staged tree becomes the branch, and the branch's old tree goes.
    Reset,
    /// The branch's tree goes.
    Delete,
}

/// What a mutation is about to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Intent {
    pub(super) operation: Operation,
    /// The branch.
    pub(super) name: BranchName,
    /// The branch it takes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<BranchName>,
    /// The inode of the tree that is moved: the staged one, or for a delete the branch's.
    pub(super) inode: u64,
}

/// Where a tree that is moved, or what took its place, is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The inode of what is at the branch's place.
    pub(super) branch: Option<u64>,
    /// The inode of what is at the staged tree's place.
    pub(super) staged: Option<u64>,
}

/// How a mutation that died is brought to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Nothing of it happened.
    Before,
    /// The tree is in place and needs its record.
    WriteRecord,
    /// The old tree is gone and the new one not in place yet.
    MoveStagedAndWriteRecord,
    /// The tree is gone and its record is to follow.
    DropRecord,
}

impl Intent {
    /// Decides how the mutation ends.
    pub(super) fn ending(&self, found: Found) -> Ending {
        let in_place = found.branch == Some(self.inode);
        match self.operation {
            Operation::Create | Operation::Reset if in_place => Ending::WriteRecord,
            Operation::Reset if found == (Found { branch: None, staged: Some(self.inode) }) => {
                Ending::MoveStagedAndWriteRecord
            }
            Operation::Create | Operation::Reset => Ending::Before,
            Operation::Delete if in_place => Ending::Before,
            Operation::Delete => Ending::DropRecord,
        }
    }

    /// Writes the intent durably.
    pub(super) fn write(&self, path: &Path) -> Result<(), DiskError> {
        let text = toml::to_string(self).expect("an intent is plain values");
        disk::replace(path, text.as_bytes())
    }

    /// Reads the intent of a mutation that died, if one did.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, MutationError> {
        let text = disk::step("read", path, || match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            text => text.map(Some),
        })?;
        text.map(|text| toml::from_str(&text))
            .transpose()
            .map_err(|source| MutationError::Journal { path: path.to_owned(), source: Box::new(source) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_tree_is_tells_how_a_mutation_ends() {
        const OLD: Option<u64> = Some(1);
        const NEW: Option<u64> = Some(2);
        for (operation, inode, branch, staged, ending) in [
            (Operation::Create, 2, None, NEW, Ending::Before),
            (Operation::Create, 2, NEW, None, Ending::WriteRecord),
            (Operation::Create, 2, None, None, Ending::Before),
            (Operation::Create, 2, Some(3), NEW, Ending::Before),
            (Operation::Reset, 2, OLD, NEW, Ending::Before),
            (Operation::Reset, 2, NEW, OLD, Ending::WriteRecord),
            (Operation::Reset, 2, None, NEW, Ending::MoveStagedAndWriteRecord),
            (Operation::Reset, 2, NEW, None, Ending::WriteRecord),
            (Operation::Delete, 1, OLD, None, Ending::Before),
            (Operation::Delete, 1, None, None, Ending::DropRecord),
        ] {
            let intent = Intent { operation, name: BranchName::main(), from: None, inode };
            assert_eq!(intent.ending(Found { branch, staged }), ending, "{operation:?} {branch:?} {staged:?}");
        }
    }

    #[test]
    fn an_intent_is_read_as_it_was_written_and_garbage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("intent.toml");
        assert_eq!(Intent::read(&path).unwrap(), None);
        let intent = Intent {
            operation: Operation::Reset,
            name: "a".parse().unwrap(),
            from: Some(BranchName::main()),
            inode: 7,
        };
        intent.write(&path).unwrap();
        assert_eq!(Intent::read(&path).unwrap(), Some(intent));
        fs::write(&path, "operation = 'bake'").unwrap();
        assert!(matches!(Intent::read(&path), Err(MutationError::Journal { .. })));
    }
}
