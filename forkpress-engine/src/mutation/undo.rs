//! To take an operation back: its branches change places, or files, with what its slot keeps.

use super::error::{ChangeError, UndoError};
use super::files::Reverse;
use super::history::{History, LogEntry, Operation, Sibling};
use super::journal::{Move, Way};
use super::transaction::{Begun, Prepared, draft, files};
use super::work::{Incoming, NewTree, Work, current, identity};
use crate::branch::{self, BranchError};
use crate::progress::Progress;
use crate::site::Site;
use forkpress_core::lock::Patience;
use forkpress_core::name::BranchName;
use forkpress_core::record::BranchRecord;

/// Prepares to give a branch, or those that were made together, the state back that they had before an operation.
pub(super) fn undo<'site>(
    site: &'site Site,
    id: Option<u64>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, UndoError> {
    let cow = site.layout.cow();
    let words = id.map_or("undo".to_owned(), |id| format!("undo {id}"));
    let names_of = |entry: &LogEntry| entry.names().cloned().collect::<Vec<_>>();
    loop {
        // Which branches these are, the log tells, and they have to be locked before it counts.
        let names = History::read(cow)?.to_undo(id).map(names_of).unwrap_or_default();
        let begun = Begun::begin(site, &names, &words, patience, progress)?;
        let history = History::read(cow)?;
        let undone = history.to_undo(id)?;
        if names_of(undone) != names {
            continue;
        }
        if undone.before.is_none() && undone.name.is_main() {
            return Err(UndoError::MadeMain);
        }
        if let Some(by) = history.since_merge(undone) {
            return Err(UndoError::Followed { id: undone.id, by });
        }
        if !history.is_kept(cow, undone) {
            return Err(ChangeError::NotKept { id: undone.id, newest_undoable: history.newest_undoable(cow) }.into());
        }
        return Ok(prepare(site, undone, begun, patience, progress)?);
    }
}

fn prepare<'site>(
    site: &'site Site,
    undone: &LogEntry,
    begun: Begun,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, ChangeError> {
    if undone.files {
        let mut reverse = Reverse::of(site.layout.cow().kept_tree(undone.slot))?;
        let entry = backward(site, undone, &undone.name, Vec::new())?;
        let database = reverse.database(site.config.file_view);
        return files(site, begun, entry, &mut reverse, database, patience, progress);
    }
    let mut moves = Vec::new();
    for (name, before) in undone.befores() {
        moves.extend(way_back(site, undone, name, before)?.map(|way| Move { name: name.clone(), way }));
    }
    let Some((first, others)) = moves.split_first() else {
        return Err(BranchError::Missing { name: undone.name.clone() }.into());
    };
    let entry = backward(site, undone, &first.name, others.iter().map(|other| other.name.clone()).collect())?;
    Ok(Prepared { site, entry, work: Work::Moves(moves), parting: None, begun })
}

/// What is to become of a branch; none where an operation made it, with others, and it has been deleted since.
fn way_back(
    site: &Site,
    undone: &LogEntry,
    name: &BranchName,
    before: Option<&BranchRecord>,
) -> Result<Option<Way<Incoming>>, ChangeError> {
    let kept = || before.cloned().map(|record| Incoming { record, tree: NewTree::Kept });
    // Branches that come together are new ones: where somebody made one of them since, none comes.
    let together = if undone.also.is_empty() || before.is_none() { Operation::Undo } else { Operation::Create };
    Ok(match (current(site, together, name)?.is_some(), kept()) {
        (false, Some(arrival)) => Some(Way::Come(arrival)),
        (true, Some(arrival)) => Some(Way::Exchange { old: identity(site, name)?, arrival }),
        (true, None) => Some(Way::Go { old: identity(site, name)?, purge: false }),
        (false, None) => None,
    })
}

/// What the log will have of it.
fn backward(
    site: &Site,
    undone: &LogEntry,
    name: &BranchName,
    others: Vec<BranchName>,
) -> Result<LogEntry, ChangeError> {
    let also = others.into_iter().map(|name| Ok(Sibling { before: branch_record(site, &name)?, name }));
    Ok(LogEntry {
        undoes: Some(undone.id),
        slot: undone.slot,
        also: also.collect::<Result<_, BranchError>>()?,
        ..draft(site, Operation::Undo, name, None)?
    })
}

fn branch_record(site: &Site, name: &BranchName) -> Result<Option<BranchRecord>, BranchError> {
    match branch::show(site, name) {
        Ok(branch) => Ok(Some(branch.record)),
        Err(BranchError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
