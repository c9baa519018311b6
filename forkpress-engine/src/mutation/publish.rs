//! The steps of a publish. Trees have three ways, whatever the mutation: one comes, one goes, or two change places. Files move
//! one by one: meanwhile the branch's record is aside, so that what is half changed is no branch.
//!
//! The order of what is made durable, and why, is in `docs/crash-recovery.md`. Whatever dies here, [`super::recover()`] ends.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::{ChangeError, NeedsRoom, PutError, StepError};
use super::files::{self, Files};
use super::history::{History, LogEntry};
use super::journal::{Arrival, Change, FilesChange, Intent, Move, Waiting, Way};
use super::keep;
use super::recover::take_back;
use super::scratch::Scratch;
use super::transaction::{Incoming, NewTree, Work, current};
use crate::disk::{self, DiskError};
use crate::file::Replacement;
use crate::site::Site;
use crate::storage;
use forkpress_core::layout::CowLayout;
use forkpress_core::lock::{self, GATE_HOLD, Mutation, Patience, Publish, Tries};
use forkpress_core::name::BranchName;
use forkpress_core::record::BranchRecord;

/// The identity of a tree that is not there yet.
const NONE_YET: u64 = 0;

/// What a publish did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Published {
    /// Its number.
    pub(super) generation: u64,
    /// For how long requests were kept out, tries that failed among it.
    pub(super) held: Duration,
    /// What changed in a source while its clone was prepared, and was taken again.
    pub(super) retaken: u64,
    /// The files and folders of the trees that were cloned.
    pub(super) entries: u64,
}

/// A mutation that is to be published, and what came of it.
pub(super) struct Publication<'a> {
    pub(super) site: &'a Site,
    pub(super) entry: &'a mut LogEntry,
    pub(super) work: &'a mut Work,
    pub(super) done: &'a mut Published,
    pub(super) since: Instant,
}

impl Publication<'_> {
    /// Publishes; false where requests would have had to be waited for for too long.
    pub(super) fn publish(
        self,
        mutation: &mut Mutation<'_>,
        patience: &mut Patience<'_>,
        tries: &mut Tries<'_>,
    ) -> Result<bool, ChangeError> {
        let Self { site, entry, work, done, since } = self;
        let cow = site.layout.cow();
        let mut intent = intend(site, entry, work)?;
        let generation = lock::generation(cow)? + 1;
        let mut records = with_room(site, || prepare_records(cow, &mut intent, generation).map_err(StepError::from))?;
        if is_complete(&intent) {
            with_room(site, || intent.write(cow).map_err(StepError::from))?;
        }
        let published = match mutation.try_publish(&owned(entry, work), patience, tries) {
            Ok(Some(publish)) => {
                let timeout = patience.deadline().remaining().min(GATE_HOLD);
                let retaken = publish_now(site, &mut intent, work, &mut records, &publish, timeout);
                done.held += publish.held_for();
                done.generation = publish.generation();
                retaken.map(Some)
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error.into()),
        };
        trace(if matches!(published, Ok(Some(_))) { "published" } else { "not published" }, entry, since);
        match published {
            Ok(Some(retaken)) => {
                done.retaken += retaken;
                done.entries += work.entries();
                intent.entry.took_ms = u64::try_from(since.elapsed().as_millis()).ok();
                intent.entry.held_us = u64::try_from(done.held.as_micros()).ok();
                conclude(site, &intent).map_err(|source| unfinished(&intent, source))?;
                *entry = intent.entry;
                trace("concluded", entry, since);
                Ok(true)
            }
            Err(error @ (ChangeError::Unfinished { .. } | ChangeError::Halfway { .. })) => Err(error),
            failed => {
                // An intent that stays is harmless: it ends the way that it ended now.
                let _ = forget(cow, &intent);
                failed.map(|_| false)
            }
        }
    }
}

/// Says in the log how far a mutation got that began at `since`.
pub(super) fn trace(step: &str, entry: &LogEntry, since: Instant) {
    let after_ms = since.elapsed().as_millis();
    tracing::debug!(operation = ?entry.operation, branch = entry.name.as_str(), after_ms, "{step}");
}

/// Does something that needs space, under `mutation.lock`; where there is too little, drops what is kept, and tries again.
pub(super) fn with_room<T, E: NeedsRoom>(site: &Site, action: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    keep::with_room(site, action, || keep::drop_something(site))
}

/// The branches of which no request may run meanwhile: those that change, and those that are taken from, which are cloned at
/// a moment at which nobody is half done with something in them.
fn owned(entry: &LogEntry, work: &Work) -> Vec<BranchName> {
    let sources = match work {
        Work::Moves(moves) if !entry.beside => moves.iter().filter_map(Move::arrival).collect(),
        _ => Vec::new(),
    };
    let sources = sources.into_iter().filter_map(|incoming| match &incoming.tree {
        NewTree::Cloned(cloned) => Some(&cloned.source.name),
        NewTree::Ready(_) | NewTree::Adopted | NewTree::Kept => None,
    });
    entry.names().chain(sources).cloned().collect()
}

/// What is about to be published, as far as it is there already.
fn intend(site: &Site, entry: &LogEntry, work: &Work) -> Result<Intent, ChangeError> {
    let change = match work {
        Work::Files(change, _) => Change::Files(change.clone()),
        Work::Moves(moves) => {
            let intend = |one: &Move<Incoming>| one.try_map(|incoming| arrival(site, entry, &one.name, incoming));
            Change::Moves(moves.iter().map(intend).collect::<Result<_, _>>()?)
        }
    };
    Ok(Intent { entry: entry.clone(), change })
}

fn arrival(site: &Site, entry: &LogEntry, name: &BranchName, incoming: &Incoming) -> Result<Arrival, ChangeError> {
    let cow = site.layout.cow();
    let from = incoming.waits();
    let new = disk::identity(&from.place(cow, entry, name))?;
    if new.is_none() && from == Waiting::Slot {
        let (id, history) = (entry.undoes.unwrap_or_default(), History::read(cow)?);
        return Err(ChangeError::NotKept { id, newest_undoable: history.newest_undoable(cow) });
    }
    Ok(Arrival { new: new.unwrap_or(NONE_YET), from, record: incoming.record.clone() })
}

/// Whether all trees are there. Before, the intent could not tell one state from the other.
fn is_complete(intent: &Intent) -> bool {
    let Change::Moves(moves) = &intent.change else { return true };
    moves.iter().filter_map(Move::arrival).all(|arrival| arrival.new != NONE_YET)
}

/// The steps that no request may see one by one. Says how many entries were taken again. Waits for a foreign writer of a
/// database for no longer than `timeout`.
fn publish_now(
    site: &Site,
    intent: &mut Intent,
    work: &mut Work,
    records: &mut Vec<Replacement>,
    publish: &Publish<'_>,
    timeout: Duration,
) -> Result<u64, ChangeError> {
    match work {
        Work::Moves(moves) => publish_moves(site, intent, moves, records, publish, timeout),
        Work::Files(change, files) => publish_files(site, intent, change.tree, files, records, publish).map(|()| 0),
    }
}

/// Moves trees, all of them or none.
fn publish_moves(
    site: &Site,
    intent: &mut Intent,
    moves: &mut [Move<Incoming>],
    records: &mut Vec<Replacement>,
    publish: &Publish<'_>,
    timeout: Duration,
) -> Result<u64, ChangeError> {
    let mut retaken = 0;
    for one in &mut *moves {
        check_branch(site, &intent.entry, &one.name, one.old())?;
        let branch = site.layout.branch(&one.name);
        if let Some(Incoming { tree: NewTree::Cloned(cloned), .. }) = one.arrival_mut() {
            retaken += cloned.refresh(site, timeout)?;
            let tree = cloned.staged.path();
            let refused = |error| refused_in(tree, &branch, error);
            cloned.files.as_ref().map_or(Ok(()), |files| files.put_in_place(tree)).map_err(refused)?;
        }
    }
    if !is_complete(intent) {
        find_trees(site, intent)?;
        intent.write(site.layout.cow())?;
    }
    renew_records(site, intent, records, publish)?;
    let staged = |moves: &mut [Move<Incoming>], act: fn(&mut Scratch)| {
        moves.iter_mut().filter_map(Move::arrival_mut).filter_map(Incoming::scratch_mut).for_each(act);
    };
    // From here on what is staged may be the tree that a branch had, or one that recovery needs.
    staged(moves, Scratch::keep);
    let Change::Moves(intended) = &intent.change else { unreachable!("trees are moved") };
    if let Err((source, is_as_before)) = move_trees(site, &intent.entry, intended) {
        if !is_as_before {
            return Err(unfinished(intent, source));
        }
        staged(moves, Scratch::let_go);
        return Err(source.into());
    }
    settle(site, intent, std::mem::take(records)).map_err(|source| unfinished(intent, source))?;
    Ok(retaken)
}

/// Notes which trees those are that came to be within the publish.
fn find_trees(site: &Site, intent: &mut Intent) -> Result<(), DiskError> {
    let Change::Moves(moves) = &mut intent.change else { return Ok(()) };
    for one in moves {
        let name = one.name.clone();
        if let Some(arrival) = one.arrival_mut() {
            let place = arrival.from.place(site.layout.cow(), &intent.entry, &name);
            arrival.new = disk::identity(&place)?.unwrap_or(NONE_YET);
        }
    }
    Ok(())
}

/// An error of a step in a staged tree, of which nothing stays, as it is told to who knows the branch.
fn refused_in(tree: &Path, branch: &Path, error: DiskError) -> ChangeError {
    match error.path.strip_prefix(tree).map(Path::to_owned) {
        Ok(path) => PutError::Refused { path, source: error.seen(tree, branch).into() }.into(),
        Err(_) => error.into(),
    }
}

/// Puts files into the tree of a branch. The branch's record is aside until they are all in place.
fn publish_files(
    site: &Site,
    intent: &mut Intent,
    tree: u64,
    files: &mut Files,
    records: &mut Vec<Replacement>,
    publish: &Publish<'_>,
) -> Result<(), ChangeError> {
    let (cow, name) = (site.layout.cow(), intent.entry.name.clone());
    let branch = site.layout.branch(&name);
    check_branch(site, &intent.entry, &name, Some(tree))?;
    let stale = files.stale(&branch)?;
    if !stale.is_empty() {
        return Err(PutError::Stale { paths: stale }.into());
    }
    renew_records(site, intent, records, publish)?;
    // From here on they are the only way back.
    files.keep();
    let mut put = || {
        put_aside(cow, &name)?;
        disk::sync(&cow.records_dir())?;
        files.put_in_place(&branch)?;
        place_records(cow, intent, std::mem::take(records))
    };
    put().map_err(|source| match take_back(site, &intent.entry, files) {
        Ok(()) => {
            files.let_go();
            source.into()
        }
        Err(way_back) => ChangeError::Halfway { name: name.clone(), cause: source, way_back: Box::new(way_back) },
    })
}

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

/// Refuses what can't be done, or not as it was prepared, to a branch as it is by now: an editor, or a user, may have been at
/// its folder.
fn check_branch(site: &Site, entry: &LogEntry, name: &BranchName, old: Option<u64>) -> Result<(), ChangeError> {
    current(site, entry.operation, name)?;
    if disk::identity(&site.layout.branch(name))? != old {
        return Err(ChangeError::Replaced { name: name.clone() });
    }
    Ok(())
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

/// Prepares the records anew where they were prepared for another publish.
fn renew_records(
    site: &Site,
    intent: &mut Intent,
    records: &mut Vec<Replacement>,
    publish: &Publish<'_>,
) -> Result<(), DiskError> {
    if intent.records_mut().iter().any(|(_, record)| record.generation != publish.generation()) {
        *records = prepare_records(site.layout.cow(), intent, publish.generation())?;
    }
    Ok(())
}

/// Puts records in place that were prepared in the order of the intent.
fn place_records(cow: &CowLayout, intent: &mut Intent, records: Vec<Replacement>) -> Result<(), DiskError> {
    let names = intent.records_mut().into_iter().map(|(name, _)| name);
    records.into_iter().zip(names).try_for_each(|(record, name)| disk::place(record, &cow.record(&name)))
}

/// Moves trees. Where one can't be moved, those that were are moved back; says whether that was had.
fn move_trees(site: &Site, entry: &LogEntry, moves: &[Move]) -> Result<(), (DiskError, bool)> {
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

/// Makes the folder that a slot for several trees is.
pub(super) fn make_slot(cow: &CowLayout, entry: &LogEntry, moves: &[Move]) -> Result<(), DiskError> {
    let is_needed = !entry.also.is_empty() && moves.iter().any(|one| one.old().is_some());
    if is_needed { disk::create_folder(&cow.kept_tree(entry.slot)) } else { Ok(()) }
}

/// Where the tree goes that a branch had: where a move puts it at first.
fn away(cow: &CowLayout, entry: &LogEntry, one: &Move) -> PathBuf {
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
fn move_back(site: &Site, entry: &LogEntry, one: &Move) -> Result<(), DiskError> {
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

/// Does what follows a publish, while requests go on: makes records durable, puts what was taken away into the slot, and
/// writes the log. The intent goes last, so that all of it is done again by whoever finds the intent.
pub(super) fn conclude(site: &Site, intent: &Intent) -> Result<(), DiskError> {
    let (cow, entry) = (site.layout.cow(), &intent.entry);
    disk::sync(&cow.records_dir())?;
    match &intent.change {
        Change::Files(FilesChange { .. }) => {
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
fn keep_tree(cow: &CowLayout, entry: &LogEntry, one: &Move) -> Result<(), DiskError> {
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
fn drop_empty_slot(cow: &CowLayout, entry: &LogEntry, moves: &[Move]) -> Result<(), DiskError> {
    let slot = cow.kept_tree(entry.slot);
    let is_empty = !entry.also.is_empty()
        && disk::inode(&slot)?.is_some()
        && moves.iter().all(|one| !entry.kept_place(cow, &one.name).exists());
    if is_empty { disk::remove_empty_folders(&slot) } else { Ok(()) }
}

/// Puts the files that an operation took away into its slot, in place of what an operation that it undid has there.
fn keep_files(site: &Site, entry: &LogEntry) -> Result<(), DiskError> {
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

fn unfinished(intent: &Intent, source: DiskError) -> ChangeError {
    ChangeError::Unfinished { name: intent.entry.name.clone(), source }
}
