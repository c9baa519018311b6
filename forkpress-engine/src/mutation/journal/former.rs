//! Intents as earlier versions wrote them: one file for a branch that changed alone, and another one for several together.

use serde::Deserialize;

use super::{Arrival, Change, FilesChange, Intent, Move, Waiting, Way};
use crate::mutation::history::{LogEntry, Operation};
use forkpress_core::name::BranchName;
use forkpress_core::record::BranchRecord;

/// A branch that changes alone.
#[derive(Deserialize)]
#[serde(try_from = "Written")]
pub(super) struct One {
    entry: LogEntry,
    change: Change,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    old: Option<u64>,
    new: Option<u64>,
    staged: bool,
    purge: bool,
    entry: LogEntry,
    record: Option<BranchRecord>,
}

impl TryFrom<Written> for One {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let Written { old, new, staged, purge, entry, record } = written;
        let from = if staged { Waiting::Staging } else { Waiting::Slot };
        let way = match (old, new, record) {
            (Some(tree), _, Some(record)) if entry.files => {
                return Ok(Self { entry, change: Change::Files(FilesChange { tree, record }) });
            }
            (None, Some(new), Some(record)) => Way::Come(Arrival { new, from, record }),
            (Some(old), Some(new), Some(record)) => Way::Exchange { old, arrival: Arrival { new, from, record } },
            (Some(old), None, None) => Way::Go { old, purge },
            _ => return Err("no tree comes and none goes"),
        };
        let name = entry.name.clone();
        Ok(Self { entry, change: Change::Moves(vec![Move { name, way }]) })
    }
}

impl From<One> for Intent {
    fn from(One { entry, change }: One) -> Self {
        Self { entry, change }
    }
}

/// Branches that come or go together.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Several {
    entry: LogEntry,
    trees: Vec<TreeOfSeveral>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TreeOfSeveral {
    name: BranchName,
    identity: u64,
    record: BranchRecord,
}

impl From<Several> for Intent {
    fn from(Several { entry, trees }: Several) -> Self {
        let goes = entry.before.is_some();
        let from = if entry.operation == Operation::Create { Waiting::Staging } else { Waiting::Slot };
        let way = |identity, record| match goes {
            true => Way::Go { old: identity, purge: false },
            false => Way::Come(Arrival { new: identity, from, record }),
        };
        let moves = trees.into_iter().map(|tree| Move { name: tree.name, way: way(tree.identity, tree.record) });
        let change = Change::Moves(moves.collect());
        Self { entry, change }
    }
}
