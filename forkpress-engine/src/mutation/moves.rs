//! The acts on trees, files and records that a publish is made of, and recovery. Each of them may be done again.
//!
//! The order of what is made durable, and why, is in `docs/crash-recovery.md`.

use std::path::PathBuf;

use super::error::RecoverError;
use super::files::{self, StagedFiles};
use super::history::LogEntry;
use super::journal::{Change, Intent, Move, Waiting, Way};
use super::parting;
use crate::disk::{self, DiskError};
use crate::file::Replacement;
use crate::site::Site;
use crate::storage;
use forkpress_core::layout::CowLayout;
use forkpress_core::name::BranchName;
use forkpress_core::record::BranchRecord;

/// Makes a branch one that nobody serves, for as long as its record is aside. The caller syncs.
pub(crate) fn put_aside(cow: &CowLayout, name: &BranchName) -> Result<(), DiskError> {
    let (record, aside) = (cow.record(name), cow.record_aside(name));
    if disk::inode(&record)?.is_none() {
        return Ok(());
    }
    // A power cut may have brought one back that was removed when the record was there again.
    disk::unlink(&aside)?;
    disk::rename(&record, &aside)
}

/// Writes the records that are to be, of the publish `generation`, but does not put them in place.
pub(super) fn prepare_records(
    cow: &CowLayout,
    intent: &mut Intent,
    generation: u64,
) -> Result<Vec<Replacement>, DiskError> {
    let operation = Some(intent.entry.id);
    let records = intent.records_mut();
    let is_one = records.len() == 1;
    let prepare = |(name, record): (BranchName, &mut BranchRecord)| {
        record.generation = generation;
        record.operation = operation;
        let (path, text) = (cow.record(&name), record.to_toml());
        if is_one {
            disk::prepare_replacement(&path, text.as_bytes())
        } else {
            disk::prepare_replacement_unsynced(&path, text.as_bytes())
        }
    };
    let prepared: Vec<_> = records.into_iter().map(prepare).collect::<Result<_, _>>()?;
    if prepared.len() > 1 {
        disk::sync_file_system(&cow.records_dir())?;
    }
    Ok(prepared)
}

/// Puts records in place that were prepared in the order of the intent.
pub(super) fn place_records(cow: &CowLayout, intent: &mut Intent, records: Vec<Replacement>) -> Result<(), DiskError> {
    let names = intent.records_mut().into_iter().map(|(name, _)| name);
    records.into_iter().zip(names).try_for_each(|(record, name)| disk::place(record, &cow.record(&name)))
}

/// Makes the folder that a slot for several trees is.
pub(super) fn make_slot(cow: &CowLayout, entry: &LogEntry, moves: &[Move]) -> Result<(), DiskError> {
    let is_needed = !entry.also.is_empty() && moves.iter().any(|one| one.old().is_some());
    if is_needed { disk::create_folder(&cow.kept_tree(entry.slot)) } else { Ok(()) }
}

/// Moves trees. Where one can't be moved, those that were are moved back; says whether that was had.
pub(super) fn move_trees(site: &Site, entry: &LogEntry, moves: &[Move]) -> Result<(), (DiskError, bool)> {
    make_slot(site.layout.cow(), entry, moves).map_err(|error| (error, true))?;
    for (number, one) in moves.iter().enumerate() {
        if let Err(error) = move_tree(site, entry, one) {
            let is_as_before = disk::identity(&site.layout.branch(&one.name)).is_ok_and(|now| now == one.old())
                && moves[..number].iter().rev().try_for_each(|moved| move_back(site, entry, moved)).is_ok();
            return Err((error, is_as_before));
        }
    }
    Ok(())
}

/// Where the tree goes that a branch had: where a move puts it at first.
pub(super) fn away(cow: &CowLayout, entry: &LogEntry, one: &Move) -> PathBuf {
    // Where the new tree waits there is no room until it is in its place.
    let to_slot = one.arrival().map_or(!one.purges(), |arrival| arrival.from == Waiting::Staging);
    if to_slot { entry.kept_place(cow, &one.name) } else { cow.staged_tree(&one.name) }
}

/// Moves one tree, or two: the new one from where it waits to its place, the old one away, from where [`conclude`] takes it.
///
/// Where this fails, the branch is as it was or, if not even that could be had back, its place is empty.
pub(super) fn move_tree(site: &Site, entry: &LogEntry, one: &Move) -> Result<(), DiskError> {
    let (cow, branch) = (site.layout.cow(), site.layout.branch(&one.name));
    let away = away(cow, entry, one);
    match &one.way {
        Way::Come(arrival) => disk::rename(&arrival.from.place(cow, entry, &one.name), &branch),
        Way::Go { .. } => disk::rename(&branch, &away),
        Way::Exchange { arrival, .. } => {
            let tree = arrival.from.place(cow, entry, &one.name);
            if disk::exchange(&tree, &branch)? {
                return Ok(());
            }
            disk::rename(&branch, &away)?;
            disk::rename(&tree, &branch).inspect_err(|_| {
                let _ = disk::rename(&away, &branch);
            })
        }
    }
}

/// Takes [`move_tree`] back.
pub(super) fn move_back(site: &Site, entry: &LogEntry, one: &Move) -> Result<(), DiskError> {
    let (cow, branch) = (site.layout.cow(), site.layout.branch(&one.name));
    let away = away(cow, entry, one);
    match &one.way {
        Way::Come(arrival) => disk::rename(&branch, &arrival.from.place(cow, entry, &one.name)),
        Way::Go { .. } => disk::rename(&away, &branch),
        Way::Exchange { old, arrival } => {
            let tree = arrival.from.place(cow, entry, &one.name);
            if disk::identity(&tree)? == Some(*old) && disk::exchange(&tree, &branch)? {
                return Ok(());
            }
            disk::rename(&branch, &tree)?;
            disk::rename(&away, &branch)
        }
    }
}

/// Makes the moves of trees durable and puts links and records in place, or drops them where there is to be no branch.
pub(super) fn settle(site: &Site, intent: &mut Intent, records: Vec<Replacement>) -> Result<(), DiskError> {
    let cow = site.layout.cow();
    let Change::Moves(moves) = &intent.change else { return Ok(()) };
    if moves.iter().any(|one| one.old().is_some()) {
        // First where the old trees went: no cut may leave one in neither place.
        if !intent.entry.also.is_empty() {
            disk::sync(&cow.kept_tree(intent.entry.slot))?;
        }
        disk::sync(&cow.kept_dir())?;
        disk::sync(&cow.staging_dir())?;
    }
    disk::sync(&site.layout.branches_dir())?;
    for one in moves {
        storage::link(&site.layout, &one.name, one.arrival().is_some())?;
        if one.arrival().is_none() {
            disk::remove(&cow.record(&one.name))?;
        }
    }
    place_records(cow, intent, records)
}

/// Does what follows a publish, while requests go on: makes records durable, puts what was taken away into the slot,
/// and writes the log, after the branch that was taken from has its parting. The intent goes last, so that all of it is
/// done again by whoever finds the intent.
pub(super) fn conclude(site: &Site, intent: &Intent) -> Result<(), DiskError> {
    let (cow, entry) = (site.layout.cow(), &intent.entry);
    disk::sync(&cow.records_dir())?;
    parting::join_source(cow, intent)?;
    match &intent.change {
        Change::Files(_) => {
            disk::remove(&cow.record_aside(&entry.name))?;
            keep_files(site, entry)?;
        }
        Change::Moves(moves) => {
            moves.iter().try_for_each(|one| keep_tree(cow, entry, one))?;
            drop_empty_slot(cow, entry, moves)?;
        }
    }
    entry.write(cow)?;
    Intent::remove(cow)
}

/// Puts the tree that a branch had into the slot, or throws it away, where that has not been done.
pub(super) fn keep_tree(cow: &CowLayout, entry: &LogEntry, one: &Move) -> Result<(), DiskError> {
    let staging = cow.staged_tree(&one.name);
    if one.old().is_none() || disk::identity(&staging)? != one.old() {
        return Ok(());
    }
    if one.purges() {
        return disk::discard(&staging, &cow.trash_dir());
    }
    disk::rename(&staging, &entry.kept_place(cow, &one.name))?;
    disk::sync(&cow.kept_dir())
}

/// Removes the folder of a slot for several trees that has none.
pub(super) fn drop_empty_slot(cow: &CowLayout, entry: &LogEntry, moves: &[Move]) -> Result<(), DiskError> {
    let slot = cow.kept_tree(entry.slot);
    let is_empty = !entry.also.is_empty()
        && disk::inode(&slot)?.is_some()
        && moves.iter().all(|one| !entry.kept_place(cow, &one.name).exists());
    if is_empty { disk::remove_empty_folders(&slot) } else { Ok(()) }
}

/// Puts the files that an operation took away into its slot, in place of what an operation that it undid has there.
pub(super) fn keep_files(site: &Site, entry: &LogEntry) -> Result<(), DiskError> {
    let cow = site.layout.cow();
    let (staged, slot) = (cow.staged_files(&entry.name), cow.kept_tree(entry.slot));
    if disk::inode(&staged)?.is_none() {
        return Ok(());
    }
    disk::discard(&files::new_dir(&staged), &cow.trash_dir())?;
    disk::discard(&slot, &cow.trash_dir())?;
    disk::rename(&staged, &slot)?;
    disk::sync(&cow.kept_dir())
}

/// Leaves nothing of an intent whose trees are where they were.
pub(super) fn forget(cow: &CowLayout, intent: &Intent) -> Result<(), DiskError> {
    if let Change::Moves(moves) = &intent.change {
        drop_empty_slot(cow, &intent.entry, moves)?;
    }
    Intent::remove(cow)
}

/// Gives a branch back, durably, the files that it had, and then the record. Safe to interrupt.
pub(super) fn take_back(site: &Site, entry: &LogEntry, files: &StagedFiles) -> Result<(), RecoverError> {
    let (cow, name) = (site.layout.cow(), &entry.name);
    files.take_back(name, &site.layout.branch(name))?;
    let (record, aside) = (cow.record(name), cow.record_aside(name));
    if disk::inode(&record)?.is_none() && disk::inode(&aside)?.is_some() {
        // That needs no room, and the disk may be full.
        disk::rename(&aside, &record)?;
        disk::sync(&cow.records_dir())?;
    }
    restore_records(site, entry)?;
    Ok(disk::remove(&aside)?)
}

/// Gives branches whose trees were not moved the records back that they had: a power cut may have kept later ones and lost
/// the moves.
pub(super) fn restore_records(site: &Site, entry: &LogEntry) -> Result<(), RecoverError> {
    entry.befores().try_for_each(|(name, before)| restore_record(site, name, before))
}

pub(super) fn restore_record(
    site: &Site,
    name: &BranchName,
    before: Option<&BranchRecord>,
) -> Result<(), RecoverError> {
    let path = site.layout.cow().record(name);
    storage::link(&site.layout, name, before.is_some())?;
    if BranchRecord::read(&path)?.as_ref() != before {
        match before {
            Some(record) => disk::replace(&path, record.to_toml().as_bytes())?,
            None => {
                disk::remove(&path)?;
                disk::sync(&site.layout.cow().records_dir())?;
            }
        }
    }
    Ok(())
}
