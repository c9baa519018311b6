//! Branches that come together, or go together: all of them or none.
//!
//! A create makes the first tree as any create does, brings it up to date while no request runs, and clones the others
//! from that one, which nobody uses, while requests go on: however many there are, they are of one moment, and requests
//! wait for one of them. A second, short, exclusive step moves them all into place.
//!
//! The trees only ever come or go, so one that is moved tells that the mutation had begun to publish: it is finished then,
//! never taken back. They go into one slot, a tree for each, and come back from there.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::engine::{self, Begun, with_room};
use super::history::{Entry, Operation, Sibling, some_of};
use super::journal::read_toml;
use super::staged::{Folder, Staged};
use super::{MutationError, Report, keep};
use crate::branch::{self, BranchError};
use crate::disk::{self, DiskError};
use crate::file::Replacement;
use crate::progress::Progress;
use crate::site::Site;
use crate::storage;
use forkpress_core::lock::{self, Mutation, Patience, Publish};
use forkpress_core::name::BranchName;
use forkpress_core::record::BranchRecord;

/// What is about to be published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Intent {
    /// What the log will say.
    entry: Entry,
    /// The trees, in the order of the entry's names.
    trees: Vec<Tree>,
}

/// A tree that comes or goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tree {
    name: BranchName,
    /// What tells it from others, wherever it is.
    identity: u64,
    /// Its record while it is a branch.
    record: BranchRecord,
}

impl Intent {
    /// Whether the trees go; else they come.
    fn goes(&self) -> bool {
        self.entry.before.is_some()
    }

    /// Where a tree is while it is no branch.
    fn away(&self, site: &Site, tree: &Tree) -> PathBuf {
        let cow = site.layout.cow();
        match self.entry.operation {
            Operation::Create => cow.staged_tree(&tree.name),
            _ => cow.kept_tree_of(self.entry.slot, &tree.name),
        }
    }

    /// Where a tree is moved from and to.
    fn way(&self, site: &Site, tree: &Tree) -> (PathBuf, PathBuf) {
        let (branch, away) = (site.layout.branch(&tree.name), self.away(site, tree));
        if self.goes() { (branch, away) } else { (away, branch) }
    }

    fn write(&self, site: &Site) -> Result<(), DiskError> {
        let text = toml::to_string(self).expect("an intent is plain values");
        disk::replace(&site.layout.cow().batch_intent(), text.as_bytes())
    }
}

/// Creates several branches.
pub(super) fn create(
    site: &Site,
    names: &[BranchName],
    from: &BranchName,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, MutationError> {
    let Some((first, others)) = names.split_first() else { return Err(MutationError::NoNames) };
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(MutationError::NamedTwice { name: twice.clone() });
    }
    let words = format!("branch create {} from {from}", some_of(first, others.len()));
    let mut begun = Begun::begin(site, &words, patience, progress)?;
    are_free(site, names)?;
    let also = others.iter().map(|name| Sibling { name: name.clone(), before: None }).collect();
    let entry = Entry { also, ..Entry::begin(site, Operation::Create, first.clone(), Some(from.clone()))? };
    let source = branch::show(site, from).map_err(|source| MutationError::Source { name: from.clone(), source })?;
    keep::keep_disk_free(site)?;

    let cow = site.layout.cow();
    let mut staged =
        with_room(site, || Staged::prepare(site, &source, cow.staged_tree(first), patience.deadline(), progress))?;
    let (held, retaken) = engine::refresh(&mut begun.mutation, &mut staged, from, patience)?;
    let paths: Vec<_> = others.iter().map(|name| cow.staged_tree(name)).collect();
    let mut folders = with_room(site, || {
        let folders: Vec<_> = paths.iter().cloned().map(Folder::new).collect();
        staged.clone_to(&paths, progress)?;
        Ok(folders)
    })?;

    let record = BranchRecord::now(Some(from.clone()), 0);
    let trees = names.iter().map(|name| tree(name, &cow.staged_tree(name), record.clone()));
    let intent = Intent { entry, trees: trees.collect::<Result<_, _>>()? };
    let entries = staged.entries();
    // Once the first is in its place, recovery needs the others, whatever becomes of this process. The lock is held until all
    // that goes is gone: afterwards another command may have a tree there.
    staged.keep();
    folders.iter_mut().for_each(Folder::keep);
    let report = publish(site, intent, &mut begun, patience).inspect_err(|error| {
        if !matches!(error, MutationError::Unfinished { .. }) {
            staged.let_go();
            folders.iter_mut().for_each(Folder::let_go);
        }
    })?;
    Ok(Report { held: report.held + held, entries, retaken, ..report })
}

/// Takes back what made several branches, or took them away, in one.
pub(super) fn undo(
    site: &Site,
    undone: &Entry,
    mut begun: Begun,
    patience: &mut Patience<'_>,
) -> Result<Report, MutationError> {
    let cow = site.layout.cow();
    let mut trees = Vec::new();
    let comes = undone.before.is_some();
    if comes {
        let names: Vec<_> = undone.names().cloned().collect();
        are_free(site, &names)?;
        let records = std::iter::once(&undone.before).chain(undone.also.iter().map(|sibling| &sibling.before));
        for (name, record) in names.iter().zip(records) {
            let record = record.clone().unwrap_or_else(|| BranchRecord::now(None, 0));
            trees.push(tree(name, &cow.kept_tree_of(undone.slot, name), record)?);
        }
    } else {
        for name in undone.names() {
            match branch::show(site, name) {
                Ok(branch) => trees.push(tree(name, &branch.path, branch.record)?),
                // It has been deleted since.
                Err(BranchError::Missing { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let Some((first, others)) = trees.split_first() else {
        return Err(BranchError::Missing { name: undone.name.clone() }.into());
    };
    let before = |tree: &Tree| (!comes).then(|| tree.record.clone());
    let entry = Entry {
        undoes: Some(undone.id),
        slot: undone.slot,
        before: before(first),
        also: others.iter().map(|tree| Sibling { name: tree.name.clone(), before: before(tree) }).collect(),
        ..Entry::begin(site, Operation::Undo, first.name.clone(), None)?
    };
    publish(site, Intent { entry, trees }, &mut begun, patience)
}

/// Refuses names that branches or other things have.
fn are_free(site: &Site, names: &[BranchName]) -> Result<(), MutationError> {
    names.iter().try_for_each(|name| engine::current(site, Operation::Create, name).map(drop))
}

/// The tree at `path` as it is.
fn tree(name: &BranchName, path: &std::path::Path, record: BranchRecord) -> Result<Tree, MutationError> {
    let missing = || BranchError::Missing { name: name.clone() };
    Ok(Tree { name: name.clone(), identity: disk::identity(path)?.ok_or_else(missing)?, record })
}

/// Moves the trees of an intent, all of them or none. Whoever begun keeps the lock.
fn publish(
    site: &Site,
    mut intent: Intent,
    begun: &mut Begun,
    patience: &mut Patience<'_>,
) -> Result<Report, MutationError> {
    let cow = site.layout.cow();
    let generation = lock::generation(cow)? + 1;
    let mut records = with_room(site, || Ok(prepare_records(site, &mut intent, generation)?))?;
    with_room(site, || Ok(intent.write(site)?))?;
    let published = publish_now(site, &mut intent, &mut records, &mut begun.mutation, patience);
    if !matches!(published, Ok(_) | Err(MutationError::Unfinished { .. })) {
        // An intent that stays is harmless: it ends the way that it ended now.
        let _ = forget(site, &intent);
    }
    let (generation, held) = published?;
    intent.entry.took_ms = u64::try_from(begun.since.elapsed().as_millis()).ok();
    intent.entry.held_us = u64::try_from(held.as_micros()).ok();
    conclude(site, &intent).map_err(|source| unfinished(&intent, source))?;
    Ok(Report { operation: intent.entry, generation, held, entries: 0, retaken: 0, recovered: begun.recovered.take() })
}

/// The steps that no request may see one by one.
fn publish_now(
    site: &Site,
    intent: &mut Intent,
    records: &mut Vec<Replacement>,
    mutation: &mut Mutation<'_>,
    patience: &mut Patience<'_>,
) -> Result<(u64, Duration), MutationError> {
    let publish = mutation.publish(&changed(intent), patience)?;
    check(site, intent)?;
    renew_records(site, intent, records, &publish)?;
    move_trees(site, intent)?;
    settle(site, intent, std::mem::take(records)).map_err(|source| unfinished(intent, source))?;
    Ok((publish.generation(), publish.held_for()))
}

/// The branches that come or go. The one that they are clones of is let be by then.
fn changed(intent: &Intent) -> Vec<BranchName> {
    intent.entry.names().cloned().collect()
}

fn unfinished(intent: &Intent, source: DiskError) -> MutationError {
    MutationError::Unfinished { name: intent.entry.name.clone(), source }
}

/// Refuses what can't be done by now: an editor, or a user, may have been at the folders.
fn check(site: &Site, intent: &Intent) -> Result<(), MutationError> {
    for tree in &intent.trees {
        let (from, _) = intent.way(site, tree);
        if disk::identity(&from)? != Some(tree.identity) {
            return Err(MutationError::Replaced { name: tree.name.clone() });
        }
        if !intent.goes() {
            engine::current(site, Operation::Create, &tree.name)?;
        }
    }
    Ok(())
}

/// Writes the records that are to be, of the publish `generation`, but does not put them in place.
fn prepare_records(site: &Site, intent: &mut Intent, generation: u64) -> Result<Vec<Replacement>, DiskError> {
    if intent.goes() {
        return Ok(Vec::new());
    }
    let cow = site.layout.cow();
    let operation = Some(intent.entry.id);
    let prepare = |tree: &mut Tree| {
        tree.record.generation = generation;
        tree.record.operation = operation;
        disk::prepare_replacement_unsynced(&cow.record(&tree.name), tree.record.to_toml().as_bytes())
    };
    let records = intent.trees.iter_mut().map(prepare).collect::<Result<_, _>>()?;
    disk::sync_file_system(&cow.records_dir())?;
    Ok(records)
}

/// Prepares the records anew where they were prepared for another publish.
fn renew_records(
    site: &Site,
    intent: &mut Intent,
    records: &mut Vec<Replacement>,
    publish: &Publish<'_>,
) -> Result<(), DiskError> {
    if intent.trees.iter().any(|tree| tree.record.generation != publish.generation()) {
        *records = prepare_records(site, intent, publish.generation())?;
    }
    Ok(())
}

/// Moves every tree. Where one can't be moved, those that were are moved back.
fn move_trees(site: &Site, intent: &Intent) -> Result<(), MutationError> {
    if intent.goes() {
        disk::create_folder(&site.layout.cow().kept_tree(intent.entry.slot))?;
    }
    let mut moved = Vec::new();
    for tree in &intent.trees {
        let (from, to) = intent.way(site, tree);
        match disk::rename(&from, &to) {
            Ok(()) => moved.push((from, to)),
            Err(source) => {
                let moved_back = moved.iter().rev().try_for_each(|(from, to)| disk::rename(to, from));
                return Err(if moved_back.is_ok() { source.into() } else { unfinished(intent, source) });
            }
        }
    }
    Ok(())
}

/// Makes the moves durable and puts links and records in place, or drops them.
fn settle(site: &Site, intent: &Intent, records: Vec<Replacement>) -> Result<(), DiskError> {
    let cow = site.layout.cow();
    if intent.goes() {
        // First where the trees went: no cut may leave one in neither place.
        disk::sync(&cow.kept_tree(intent.entry.slot))?;
        disk::sync(&cow.kept_dir())?;
    }
    disk::sync(&site.layout.branches_dir())?;
    intent.trees.iter().try_for_each(|tree| storage::link(&site.layout, &tree.name, !intent.goes()))?;
    if intent.goes() {
        return intent.trees.iter().try_for_each(|tree| disk::remove(&cow.record(&tree.name)));
    }
    records.into_iter().zip(&intent.trees).try_for_each(|(record, tree)| disk::place(record, &cow.record(&tree.name)))
}

/// Does what follows a publish, while requests go on.
fn conclude(site: &Site, intent: &Intent) -> Result<(), DiskError> {
    let cow = site.layout.cow();
    disk::sync(&cow.records_dir())?;
    let slot = cow.kept_tree(intent.entry.slot);
    if !intent.goes() && disk::inode(&slot)?.is_some() {
        disk::remove_empty_folders(&slot)?;
    }
    intent.entry.write(cow)?;
    drop_intent(site)
}

/// Leaves nothing of an intent whose trees are where they were.
fn forget(site: &Site, intent: &Intent) -> Result<(), DiskError> {
    let slot = site.layout.cow().kept_tree(intent.entry.slot);
    if intent.goes() && disk::inode(&slot)?.is_some() {
        disk::remove_empty_folders(&slot)?;
    }
    drop_intent(site)
}

fn drop_intent(site: &Site) -> Result<(), DiskError> {
    let cow = site.layout.cow();
    disk::remove(&cow.batch_intent())?;
    disk::sync(&cow.journal_dir())
}

/// What a process that died was about to publish.
pub(super) fn intended(site: &Site) -> Result<Option<Entry>, MutationError> {
    Ok(read_toml::<Intent>(&site.layout.cow().batch_intent())?.map(|intent| intent.entry))
}

/// Brings such a mutation whose process died while it published to its end: where a tree was moved, all the others are,
/// too. Gives what it was and whether it is the state after. Safe to interrupt.
pub(super) fn finish(
    site: &Site,
    mutation: &mut Mutation<'_>,
    patience: &mut Patience<'_>,
) -> Result<Option<(Entry, bool)>, MutationError> {
    let cow = site.layout.cow();
    let Some(mut intent) = read_toml::<Intent>(&cow.batch_intent())? else { return Ok(None) };
    let is_at = |path: PathBuf, tree: &Tree| Ok::<_, DiskError>(disk::identity(&path)? == Some(tree.identity));
    let mut is_begun = false;
    for tree in &intent.trees {
        is_begun |= is_at(intent.way(site, tree).1, tree)?;
    }
    if !is_begun {
        restore_records(site, &intent)?;
        forget(site, &intent)?;
        return Ok(Some((intent.entry, false)));
    }
    let publish = mutation.publish(&changed(&intent), patience)?;
    for tree in &intent.trees {
        let (from, to) = intent.way(site, tree);
        if is_at(from.clone(), tree)? && disk::inode(&to)?.is_none() {
            disk::rename(&from, &to)?;
        }
    }
    if !intent.goes() {
        // A user may have removed one since, or put something in its way.
        let trees = std::mem::take(&mut intent.trees);
        for tree in trees {
            if is_at(site.layout.branch(&tree.name), &tree)? {
                intent.trees.push(tree);
            }
        }
    }
    let records = prepare_records(site, &mut intent, publish.generation())?;
    settle(site, &intent, records)?;
    drop(publish);
    conclude(site, &intent)?;
    Ok(Some((intent.entry, true)))
}

/// Gives branches whose trees were not moved the records that they had: a power cut may have kept later ones and lost the
/// moves.
fn restore_records(site: &Site, intent: &Intent) -> Result<(), MutationError> {
    let cow = site.layout.cow();
    for tree in &intent.trees {
        let path = cow.record(&tree.name);
        storage::link(&site.layout, &tree.name, intent.goes())?;
        match BranchRecord::read(&path)? {
            None if intent.goes() => disk::replace(&path, tree.record.to_toml().as_bytes())?,
            Some(_) if !intent.goes() => disk::remove(&path)?,
            _ => {}
        }
    }
    Ok(disk::sync(&cow.records_dir())?)
}
