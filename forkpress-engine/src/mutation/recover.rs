//! What a process left that died in a mutation is brought to its end: the state before it or the state after it, never
//! something between.
//!
//! Every step here leaves what the same decision is made of again, so that recovery itself may die anywhere.

use super::conversion;
use super::error::{ConvertError, RecoverError};
use super::files::StagedFiles;
use super::history::LogEntry;
use super::journal::{Change, Ending, FilesChange, Found, Intent, Move, Way};
use super::keep::with_room_under_lock;
use super::moves::{conclude, forget, make_slot, move_tree, prepare_records, restore_records, settle, take_back};
use super::report::Recovered;
use super::{scratch, spare};
use crate::branch;
use crate::config::SiteConfig;
use crate::disk::{self, DiskError};
use crate::file;
use crate::site::Site;
use forkpress_core::deadline::Deadline;
use forkpress_core::lock::{LockError, Mutation, Patience, Preparation};
use forkpress_core::record::BranchRecord;

/// Sees to it that the site is still where it was when it was opened, and that nobody has died while they moved it.
pub(super) fn heal_conversion(
    site: &Site,
    mutation: &mut Mutation<'_>,
    patience: &mut Patience<'_>,
) -> Result<(), RecoverError> {
    if conversion::is_begun(&site.layout)? {
        match conversion::heal_under_lock(site, mutation, patience) {
            Ok(()) | Err(ConvertError::OldStays(_)) => {}
            Err(ConvertError::Recover(error)) => return Err(error),
            Err(source) => return Err(RecoverError::Conversion(Box::new(source))),
        }
    }
    // Where it can't be told where the branches are by now, nothing is changed.
    if SiteConfig::read(&site.layout.config())?.file_view != site.config.file_view {
        return Err(RecoverError::Converted);
    }
    Ok(branch::check_storage(site)?)
}

/// Brings what a dead process left to its end, unless a living one is about to publish: that one does it.
pub(super) fn recover(site: &Site, patience: &mut Patience<'_>) -> Result<Option<Recovered>, RecoverError> {
    match Mutation::lock(site.layout.cow(), "recovery", &mut Patience::silent(Deadline::NOW)) {
        Ok(mut mutation) => {
            heal_conversion(site, &mut mutation, patience)?;
            under_lock(site, &mut mutation, None, patience)
        }
        Err(LockError::Timeout(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Brings what a dead process left to its end: under `mutation.lock` nothing in the journal is in use, and in staging only
/// what belongs to a branch whose mutation lock is held. That of the branches of `preparation` has only just been taken.
pub(crate) fn under_lock(
    site: &Site,
    mutation: &mut Mutation<'_>,
    preparation: Option<&Preparation>,
    patience: &mut Patience<'_>,
) -> Result<Option<Recovered>, RecoverError> {
    let cow = site.layout.cow();
    // Sites of an earlier version lack these.
    disk::create_folder(&cow.kept_dir())?;
    disk::create_folder(&cow.log_dir())?;
    let finished = finish_what_died(site, mutation, patience)?;
    spare::recover(site)?;
    let is_swept = scratch::sweep(site, preparation)?;
    for folder in [cow.records_dir(), cow.journal_dir(), cow.log_dir()] {
        for path in disk::list(&folder)?.iter().filter(|path| file::is_temporary(path)) {
            disk::remove(path)?;
        }
    }
    Ok((finished.is_some() || is_swept).then_some(Recovered { finished }))
}

/// Brings a mutation whose process died while it published to the state before it or the state after it. Gives what it
/// was and whether it is the state after.
pub(super) fn finish_what_died(
    site: &Site,
    mutation: &mut Mutation<'_>,
    patience: &mut Patience<'_>,
) -> Result<Option<(LogEntry, bool)>, RecoverError> {
    let Some(Intent { entry, change }) = Intent::read(site.layout.cow())? else { return Ok(None) };
    match change {
        Change::Moves(moves) => finish_moves(site, entry, moves, mutation, patience),
        Change::Files(change) => finish_files(site, entry, change, mutation, patience),
    }
    .map(Some)
}

/// Where a tree was moved, all are.
fn finish_moves(
    site: &Site,
    entry: LogEntry,
    moves: Vec<Move>,
    mutation: &mut Mutation<'_>,
    patience: &mut Patience<'_>,
) -> Result<(LogEntry, bool), RecoverError> {
    let cow = site.layout.cow();
    let find = |one: &Move| {
        let waiting = one.arrival().map(|arrival| arrival.from.place(cow, &entry, &one.name));
        let waiting = waiting.map(|path| disk::identity(&path)).transpose()?.flatten();
        Ok::<_, DiskError>(Found { branch: disk::identity(&site.layout.branch(&one.name))?, waiting })
    };
    let found: Vec<_> = moves.iter().map(find).collect::<Result<_, _>>()?;
    let endings: Vec<_> = moves.iter().zip(&found).map(|(one, found)| one.ending(*found)).collect();
    if endings.iter().all(|ending| *ending == Ending::Before) {
        restore_records(site, &entry)?;
        let intent = Intent { entry, change: Change::Moves(moves) };
        forget(cow, &intent)?;
        return Ok((intent.entry, false));
    }
    let names: Vec<_> = entry.names().cloned().collect();
    let publish = mutation.publish(&names, patience)?;
    make_slot(cow, &entry, &moves)?;
    let mut there = Vec::new();
    for ((one, found), ending) in moves.into_iter().zip(found).zip(endings) {
        match (ending, &one.way) {
            (Ending::Between, Way::Exchange { arrival, .. }) => {
                disk::rename(&arrival.from.place(cow, &entry, &one.name), &site.layout.branch(&one.name))?;
            }
            (Ending::Before, _) if can_move(&one, found) => move_tree(site, &entry, &one)?,
            _ => {}
        }
        // A user may have removed one since, or put something in its way.
        let is_there =
            |arrival: u64| Ok::<_, DiskError>(disk::identity(&site.layout.branch(&one.name))? == Some(arrival));
        if one.arrival().map_or(Ok(true), |arrival| is_there(arrival.new))? {
            there.push(one);
        }
    }
    let mut intent = Intent { entry, change: Change::Moves(there) };
    let records = prepare_records(cow, &mut intent, publish.generation())?;
    settle(site, &mut intent, records)?;
    drop(publish);
    conclude(site, &intent)?;
    Ok((intent.entry, true))
}

/// Whether all that a move needs is where it was.
fn can_move(one: &Move, found: Found) -> bool {
    found.branch == one.old() && found.waiting == one.arrival().map(|arrival| arrival.new)
}

/// The same for files: where the branch's record is aside, they are taken back.
fn finish_files(
    site: &Site,
    entry: LogEntry,
    change: FilesChange,
    mutation: &mut Mutation<'_>,
    patience: &mut Patience<'_>,
) -> Result<(LogEntry, bool), RecoverError> {
    let (cow, name) = (site.layout.cow(), entry.name.clone());
    let record = BranchRecord::read(&cow.record(&name))?;
    let is_after = change.has_published(entry.before.as_ref(), record.as_ref());
    let intent = Intent { entry, change: Change::Files(change) };
    if is_after {
        conclude(site, &intent)?;
    } else {
        if record.is_none() {
            let folder = cow.staged_files(&name);
            if disk::inode(&folder)?.is_none() {
                return Err(RecoverError::CopiesGone { name, path: folder });
            }
            let files = StagedFiles::open(site.config.file_view, folder)?;
            // What is kept goes after this publish, in which nobody waits for that.
            with_room_under_lock(site, || {
                let _publish = mutation.publish(std::slice::from_ref(&name), patience)?;
                take_back(site, &intent.entry, &files)
            })?;
        }
        // It is still there where somebody died between the record's return and this.
        disk::remove(&cow.record_aside(&name))?;
        Intent::remove(cow)?;
    }
    Ok((intent.entry, is_after))
}
