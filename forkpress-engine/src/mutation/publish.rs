//! The steps of a publish. Trees have three ways, whatever the mutation: one comes, one goes, or two change places. Files move
//! one by one: meanwhile the branch's record is aside, so that what is half changed is no branch.
//!
//! The order of what is made durable, and why, is in `docs/crash-recovery.md`. Whatever dies here, [`super::recover()`] ends.

use std::path::Path;
use std::time::{Duration, Instant};

use super::error::{ChangeError, PutError, StepError};
use super::files::StagedFiles;
use super::history::{History, LogEntry};
use super::journal::{Arrival, Change, FilesChange, Intent, Move, Waiting};
use super::keep;
use super::moves::{conclude, forget, move_trees, place_records, prepare_records, put_aside, settle, take_back};
use super::parting::{self, StagedParting};
use super::scratch::Scratch;
use super::work::{Incoming, NewTree, Work, current};
use crate::bands::Surroundings;
use crate::disk::{self, DiskError};
use crate::file::Replacement;
use crate::site::Site;
use forkpress_core::lock::{self, GATE_HOLD, Mutation, Patience, Publish, Tries};
use forkpress_core::name::BranchName;

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
    pub(super) parting: &'a mut Option<StagedParting>,
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
        let Self { site, entry, work, parting, done, since } = self;
        let cow = site.layout.cow();
        parting::renew(cow, entry)?;
        keep::with_room_under_lock(site, || begin_bands(site, &entry.name, work))?;
        let mut intent = intend(site, entry, work)?;
        if let Some(parting) = parting.as_ref()
            && parting.is_outdated(cow)?
        {
            return Err(ChangeError::SourceReplaced { name: parting.source().clone() });
        }
        parting::inherit(cow, &mut intent, parting.as_ref())?;
        let generation = lock::generation(cow)? + 1;
        let mut records = keep::with_room_under_lock(site, || {
            prepare_records(cow, &mut intent, generation).map_err(StepError::from)
        })?;
        if is_complete(&intent) {
            keep::with_room_under_lock(site, || intent.write(cow).map_err(StepError::from))?;
        }
        // After all that may have needed room: no record names it yet, and what makes room would take it for one too many.
        let placed = parting.as_mut().map_or(Ok(()), |parting| parting.place(cow, entry.id));
        let begun = placed
            .map_err(ChangeError::from)
            .and_then(|()| Ok(mutation.try_publish(&owned(entry, work), patience, tries)?));
        let published = match begun {
            Ok(Some(publish)) => {
                let timeout = patience.deadline().remaining().min(GATE_HOLD);
                let retaken =
                    publish_now(site, &mut intent, work, Beside { parting, records: &mut records }, &publish, timeout);
                done.held += publish.held_for();
                done.generation = publish.generation();
                retaken.map(Some)
            }
            Ok(None) => Ok(None),
            Err(error) => Err(error),
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
                if work.purges() {
                    // What a branch numbered returns with it. Where this fails, the next clean-up does it.
                    let _ = parting::drop_needless(site);
                }
                trace("concluded", entry, since);
                Ok(true)
            }
            Err(error @ (ChangeError::Unfinished { .. } | ChangeError::Halfway { .. })) => Err(error),
            failed => {
                // An intent that stays is harmless: it ends the way that it ended now.
                let _ = forget(cow, &intent);
                parting.as_mut().map_or(Ok(()), |parting| parting.take_back(cow, &entry.name))?;
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

/// Says which bands of ids the trees begin, and has those begin them that are there. Under `mutation.lock` nobody else gives out
/// any.
fn begin_bands(site: &Site, name: &BranchName, work: &mut Work) -> Result<(), StepError> {
    let Some(mut around) = Surroundings::look(site) else { return Ok(()) };
    let moves = match work {
        Work::Moves(moves) => moves,
        Work::Files(_, files) => return files.begin_bands(name, &mut around),
    };
    let mut begun = None;
    for one in moves {
        let name = one.name.clone();
        match one.arrival_mut().map(|incoming| &mut incoming.tree) {
            Some(NewTree::Cloned(cloned)) => cloned.starts = around.copy(&cloned.source.name, &name),
            Some(NewTree::Ready(scratch)) if around.begin_in(&name, scratch.path())? => begun = Some(scratch.path()),
            Some(NewTree::Ready(_) | NewTree::Adopted | NewTree::Kept) | None => {}
        }
    }
    Ok(begun.map_or(Ok(()), disk::sync_file_system)?)
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

/// What goes to its place with trees or files: records, and a parting where one is made.
struct Beside<'a> {
    parting: &'a mut Option<StagedParting>,
    records: &'a mut Vec<Replacement>,
}

/// The steps that no request may see one by one. Says how many entries were taken again. Waits for a foreign writer of a
/// database for no longer than `timeout`.
fn publish_now(
    site: &Site,
    intent: &mut Intent,
    work: &mut Work,
    beside: Beside<'_>,
    publish: &Publish<'_>,
    timeout: Duration,
) -> Result<u64, ChangeError> {
    match work {
        Work::Moves(moves) => publish_moves(site, intent, moves, beside, publish, timeout),
        Work::Files(_, files) => {
            let published = publish_files(site, intent, files, beside, publish, timeout);
            files.release_database();
            published.map(|()| 0)
        }
    }
}

/// Moves trees, all of them or none.
fn publish_moves(
    site: &Site,
    intent: &mut Intent,
    moves: &mut [Move<Incoming>],
    Beside { parting, records }: Beside<'_>,
    publish: &Publish<'_>,
    timeout: Duration,
) -> Result<u64, ChangeError> {
    let mut retaken = 0;
    for one in &mut *moves {
        check_branch(site, &intent.entry, &one.name, one.old())?;
        let branch = site.layout.branch(&one.name);
        if let Some(Incoming { tree: NewTree::Cloned(cloned), .. }) = one.arrival_mut() {
            retaken += cloned.refresh(site, parting.as_mut(), timeout)?;
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
    parting.iter_mut().for_each(StagedParting::keep);
    let Change::Moves(intended) = &intent.change else { unreachable!("trees are moved") };
    if let Err((source, is_as_before)) = move_trees(site, &intent.entry, intended) {
        if !is_as_before {
            return Err(unfinished(intent, source));
        }
        staged(moves, Scratch::let_go);
        parting.iter_mut().for_each(StagedParting::let_go);
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
    files: &mut StagedFiles,
    Beside { parting, records }: Beside<'_>,
    publish: &Publish<'_>,
    timeout: Duration,
) -> Result<(), ChangeError> {
    let (cow, name) = (site.layout.cow(), intent.entry.name.clone());
    let branch = site.layout.branch(&name);
    let Change::Files(FilesChange { tree, .. }) = &intent.change else { unreachable!("files are put into a tree") };
    check_branch(site, &intent.entry, &name, Some(*tree))?;
    let stale = files.stale(&branch)?;
    if !stale.is_empty() {
        return Err(PutError::Stale { paths: stale }.into());
    }
    if !files.hold_database(timeout)? {
        return Err(PutError::DatabaseChanged.into());
    }
    renew_records(site, intent, records, publish)?;
    // From here on they are the only way back.
    files.keep();
    parting.iter_mut().for_each(StagedParting::keep);
    let mut put = || {
        put_aside(cow, &name)?;
        disk::sync(&cow.records_dir())?;
        files.put_in_place(&branch)?;
        place_records(cow, intent, std::mem::take(records))
    };
    put().map_err(|source| match take_back(site, &intent.entry, files) {
        Ok(()) => {
            files.let_go();
            parting.iter_mut().for_each(StagedParting::let_go);
            source.into()
        }
        Err(way_back) => ChangeError::Halfway { name: name.clone(), cause: source, way_back: Box::new(way_back) },
    })
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

fn unfinished(intent: &Intent, source: DiskError) -> ChangeError {
    ChangeError::Unfinished { name: intent.entry.name.clone(), source }
}
