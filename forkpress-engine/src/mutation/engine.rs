//! How a mutation runs. A [`Plan`] says what is to be different afterwards; locks, journal, order and recovery are here.
//!
//! A mutation gives a branch another tree, or none, or puts files into the tree that it has. What the branch had goes into
//! the operation's slot (see [`super::history`]). A tree has three moves, whatever the mutation: it comes, it goes, or two
//! change places. Files move one by one: meanwhile the branch's record is aside, so that what is half changed is no branch.
//! The order of what is made durable, and why, is in `docs/crash-recovery.md`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::apply::{self, Files, Overlay, Purpose, Reverse};
use super::convert::{self, ConvertError};
use super::history::{Entry, History, Operation};
use super::journal::{Ending, Found, Intent};
use super::staged::Staged;
use super::{MutationError, Recovered, Report, batch, keep, spare};
use crate::branch::{self, Branch, BranchError};
use crate::config::SiteConfig;
use crate::database::DatabaseError;
use crate::disk::{self, DiskError};
use crate::file::{self, Replacement};
use crate::progress::Progress;
use crate::site::Site;
use crate::storage;
use forkpress_core::layout::CowLayout;
use forkpress_core::lock::{self, GATE_HOLD, LockError, Mutation, Patience, Publish};
use forkpress_core::name::BranchName;
use forkpress_core::record::BranchRecord;

/// What is to be done to which branch.
pub(super) struct Plan<'a> {
    pub(super) name: BranchName,
    pub(super) change: Change<'a>,
}

/// What is to be done to a branch.
pub(super) enum Change<'a> {
    /// It gets a tree, where there was none.
    Create {
        /// The branch to take from.
        from: BranchName,
        /// What the tree has otherwise than that branch.
        with: Option<Put<'a>>,
    },
    /// Files are put into its tree.
    Apply(Put<'a>),
    /// It gets another tree.
    Reset {
        /// The branch to take from.
        from: BranchName,
    },
    /// It goes.
    Delete {
        /// Whether nothing is kept.
        purge: bool,
    },
}

/// Files to put into a tree.
pub(super) struct Put<'a> {
    pub(super) overlay: &'a mut dyn Overlay,
    /// What the log calls it.
    pub(super) word: String,
}

impl Plan<'_> {
    /// What others that wait are told.
    fn words(&self) -> String {
        let name = &self.name;
        match &self.change {
            Change::Create { from, .. } => format!("branch create {name} from {from}"),
            Change::Apply(put) => format!("apply {} to {name}", put.word),
            Change::Reset { from } => format!("branch reset {name} from {from}"),
            Change::Delete { .. } => format!("branch delete {name}"),
        }
    }
}

/// A mutation that is ready to be published. It holds `mutation.lock`; dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Prepared<'site> {
    site: &'site Site,
    intent: Intent,
    /// Where the new tree waits, or will; none where there is to be no branch.
    tree: Option<PathBuf>,
    /// What makes that tree and keeps it like its source; none where it has no source.
    staged: Option<Staged>,
    /// The files that are put into that tree or, where there is none, into that of the branch.
    files: Option<Files>,
    begun: Begun,
}

/// The right to change something, and a site that no dead process has left anything in.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) since: Instant,
    pub(super) recovered: Option<Recovered>,
    pub(super) mutation: Mutation<'static>,
}

impl Begun {
    /// Takes `mutation.lock` and brings what died to its end.
    pub(super) fn begin(
        site: &Site,
        words: &str,
        patience: &mut Patience<'_>,
        progress: &dyn Progress,
    ) -> Result<Self, MutationError> {
        let since = Instant::now();
        let mut mutation = Mutation::lock(site.layout.cow(), words, patience)?;
        heal_conversion(site, &mut mutation, patience)?;
        let recovered = recover_under_lock(site, &mut mutation, patience)?;
        if let Some(recovered) = &recovered {
            progress.note(&recovered.to_string());
        }
        Ok(Self { since, recovered, mutation })
    }
}

/// Does all of a mutation that can be done while requests go on.
pub(super) fn prepare<'site>(
    site: &'site Site,
    plan: Plan<'_>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, MutationError> {
    let begun = Begun::begin(site, &plan.words(), patience, progress)?;
    let Plan { name, change } = plan;
    let (operation, from, put, purge) = match change {
        Change::Create { from, with } => (Operation::Create, Some(from), with, false),
        Change::Apply(put) => (Operation::Apply, None, Some(put), false),
        Change::Reset { from } => (Operation::Reset, Some(from), None, false),
        Change::Delete { purge } => (Operation::Delete, None, None, purge),
    };
    let mut intent = Intent { purge, ..draft(site, operation, name, from)? };
    let put = put.map(|put| {
        intent.entry.with = Some(put.word);
        put.overlay
    });
    let Some(from) = &intent.entry.from else {
        return match put {
            Some(overlay) => prepare_files(site, intent, overlay, begun),
            None => Ok(Prepared { site, intent, tree: None, staged: None, files: None, begun }),
        };
    };
    let source = branch::show(site, from).map_err(|source| MutationError::Source { name: from.clone(), source })?;
    keep::keep_disk_free(site)?;
    let staged = with_room(site, || {
        let path = site.layout.cow().staged_tree(&intent.entry.name);
        Staged::prepare(site, &source, path, patience.deadline(), progress)
    })?;
    let files = put.map(|overlay| {
        let folder = site.layout.cow().staged_files(&intent.entry.name);
        with_room(site, || Files::prepare(site, &source.path, folder.clone(), &mut *overlay, Purpose::Create))
    });
    let files = files.transpose()?;
    let record = Some(BranchRecord::now(Some(from.clone()), 0));
    let tree = Some(staged.path().to_owned());
    Ok(Prepared { site, intent: Intent { record, staged: true, ..intent }, tree, staged: Some(staged), files, begun })
}

/// Prepares to put files into the tree that a branch has.
fn prepare_files<'site>(
    site: &'site Site,
    mut intent: Intent,
    overlay: &mut dyn Overlay,
    begun: Begun,
) -> Result<Prepared<'site>, MutationError> {
    let name = &intent.entry.name;
    let (branch, folder) = (site.layout.branch(name), site.layout.cow().staged_files(name));
    keep::keep_disk_free(site)?;
    let files = with_room(site, || Files::prepare(site, &branch, folder.clone(), &mut *overlay, Purpose::Apply))?;
    intent.entry.files = true;
    intent.record.clone_from(&intent.entry.before);
    Ok(Prepared { site, intent, tree: None, staged: None, files: Some(files), begun })
}

/// Gives a branch, or those that were made together, the state back that they had before an operation.
pub(super) fn undo(
    site: &Site,
    id: Option<u64>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, MutationError> {
    let words = id.map_or("undo".to_owned(), |id| format!("undo {id}"));
    let begun = Begun::begin(site, &words, patience, progress)?;
    let cow = site.layout.cow();
    let history = History::read(cow)?;
    let undone = history.to_undo(id)?;
    if undone.before.is_none() && undone.name.is_main() {
        return Err(MutationError::DeleteMain);
    }
    if !history.is_kept(cow, undone) {
        return Err(MutationError::NotKept { id: undone.id, newest_undoable: history.newest_undoable(cow) });
    }
    if !undone.also.is_empty() {
        return batch::undo(site, undone, begun, patience);
    }
    prepare_undo(site, undone, begun)?.publish(patience)
}

/// Prepares to take back an operation that changed one branch.
fn prepare_undo<'site>(site: &'site Site, undone: &Entry, begun: Begun) -> Result<Prepared<'site>, MutationError> {
    let cow = site.layout.cow();
    let mut intent = draft(site, Operation::Undo, undone.name.clone(), None)?;
    if intent.old.is_none() && (undone.before.is_none() || undone.files) {
        return Err(BranchError::Missing { name: undone.name.clone() }.into());
    }
    intent.entry.undoes = Some(undone.id);
    intent.entry.slot = undone.slot;
    if undone.files {
        let mut reverse = Reverse::of(cow.kept_tree(undone.slot))?;
        return prepare_files(site, intent, &mut reverse, begun);
    }
    intent.record = undone.before.clone();
    let tree = undone.before.is_some().then(|| cow.kept_tree(undone.slot));
    Ok(Prepared { site, intent, tree, staged: None, files: None, begun })
}

/// Prepares a tree that is ready, and in nobody's use, to become `main`.
pub(super) fn adopt<'site>(
    site: &'site Site,
    tree: &Path,
    patience: &mut Patience<'_>,
) -> Result<Prepared<'site>, MutationError> {
    let since = Instant::now();
    let mut mutation = Mutation::lock(site.layout.cow(), "init", patience)?;
    branch::check_storage(site)?;
    // What else is in staging stays: it may be what is to be adopted.
    finish_what_died(site, &mut mutation, patience)?;
    let intent = draft(site, Operation::Create, BranchName::main(), None)?;
    disk::sync_file_system(tree)?;
    let record = Some(BranchRecord::now(None, 0));
    let begun = Begun { since, recovered: None, mutation };
    Ok(Prepared {
        site,
        intent: Intent { record, staged: true, ..intent },
        tree: Some(tree.to_owned()),
        staged: None,
        files: None,
        begun,
    })
}

/// What an operation intends as far as it is known at once. Refuses what can't be done to the branch as it is.
fn draft(
    site: &Site,
    operation: Operation,
    name: BranchName,
    from: Option<BranchName>,
) -> Result<Intent, MutationError> {
    let before = current(site, operation, &name)?;
    let entry = Entry { before: before.map(|branch| branch.record), ..Entry::begin(site, operation, name, from)? };
    let old = disk::identity(&site.layout.branch(&entry.name))?;
    Ok(Intent { old, new: None, staged: false, purge: false, entry, record: None })
}

/// The branch as it is, where an operation may change it.
pub(super) fn current(site: &Site, operation: Operation, name: &BranchName) -> Result<Option<Branch>, MutationError> {
    match (operation, branch::show(site, name)) {
        (Operation::Create, Ok(_)) => Err(MutationError::Exists { name: name.clone() }),
        (_, Ok(branch)) => Ok(Some(branch)),
        (Operation::Create | Operation::Undo, Err(BranchError::Missing { .. })) => Ok(None),
        (
            Operation::Create | Operation::Undo,
            Err(BranchError::NoRecord { path } | BranchError::NotAFolder { path, .. }),
        ) => Err(MutationError::InTheWay { name: name.clone(), path }),
        (_, Err(error)) => Err(error.into()),
    }
}

/// Does something that needs space; where there is too little, drops what is kept, oldest first, and tries again.
pub(super) fn with_room<T>(
    site: &Site,
    mut action: impl FnMut() -> Result<T, MutationError>,
) -> Result<T, MutationError> {
    loop {
        match action() {
            Err(error) if error.is_disk_full() && keep::make_room(site).unwrap_or(false) => {}
            done => return done,
        }
    }
}

/// Makes a staged tree what its source is now, while no request of that runs, and says for how long that was and how many
/// entries were taken again. Nobody is kept out while a foreign program is waited for.
pub(super) fn refresh(
    mutation: &mut Mutation<'static>,
    staged: &mut Staged,
    from: &BranchName,
    patience: &mut Patience<'_>,
) -> Result<(Duration, u64), MutationError> {
    let mut held = Duration::ZERO;
    loop {
        let publish = mutation.publish(std::slice::from_ref(from), patience)?;
        let refreshed = staged.refresh(patience.deadline().remaining().min(GATE_HOLD));
        held += publish.held_for();
        drop(publish);
        match refreshed {
            Err(MutationError::Database(DatabaseError::Busy { .. })) if !patience.deadline().has_passed() => {
                staged.wait_for_database(patience.deadline())?;
            }
            refreshed => return Ok((held, refreshed?)),
        }
    }
}

impl Prepared<'_> {
    /// Publishes.
    ///
    /// # Errors
    /// [`MutationError`]; the lock and the database are waited for until the end of the patience.
    pub fn publish(self, patience: &mut Patience<'_>) -> Result<Report, MutationError> {
        // Dropped last to first: what the drop of a staged tree removes is removed under the lock.
        let Self { mut begun, site, mut intent, tree, mut staged, mut files } = self;
        let cow = site.layout.cow();
        let generation = lock::generation(cow)? + 1;
        let mut record = with_room(site, || Ok(prepare_record(site, &mut intent, generation)?))?;
        intent.new = tree.as_deref().map(disk::identity).transpose()?.flatten();
        if tree.is_none() || intent.new.is_some() {
            with_room(site, || Ok(intent.write(&cow.intent())?))?;
        }

        let mut held = Duration::ZERO;
        let published = loop {
            let publish = match begun.mutation.publish(&owned(&intent.entry), patience) {
                Ok(publish) => publish,
                Err(error) => break Err(error.into()),
            };
            let published = if intent.entry.files {
                publish_files(site, &mut intent, files.as_mut(), &mut record, &publish).map(|()| 0)
            } else {
                let staged = staged.as_mut().map(|staged| (staged, files.as_ref()));
                publish_now(site, &mut intent, tree.as_deref(), staged, &mut record, &publish, patience)
            };
            let published = published.map(|retaken| (publish.generation(), retaken));
            held += publish.held_for();
            drop(publish);
            // Nobody is kept out while a foreign program is waited for.
            match (&published, &mut staged) {
                (Err(MutationError::Database(DatabaseError::Busy { .. })), Some(staged)) => {
                    if let Err(error) = staged.wait_for_database(patience.deadline()) {
                        break Err(error.into());
                    }
                    if patience.deadline().has_passed() {
                        break published;
                    }
                }
                _ => break published,
            }
        };
        let entries = staged.as_ref().map_or(0, Staged::entries);
        match published {
            Err(MutationError::Unfinished { .. } | MutationError::Halfway { .. }) => {}
            Err(_) => {
                // An intent that stays is harmless: it ends the way that it ended now.
                let _ = drop_intent(site);
            }
            Ok(_) => {
                intent.entry.took_ms = u64::try_from(begun.since.elapsed().as_millis()).ok();
                intent.entry.held_us = u64::try_from(held.as_micros()).ok();
                conclude(site, &intent).map_err(|source| unfinished(&intent, source))?;
            }
        }
        let (generation, retaken) = published?;
        Ok(Report { operation: intent.entry, generation, held, entries, retaken, recovered: begun.recovered })
    }
}

/// The branches of which no request may run while an operation is published: those that it changes, and the one that it takes
/// from, which is cloned at a moment at which nobody is half done with something in it.
pub(super) fn owned(entry: &Entry) -> Vec<BranchName> {
    entry.names().chain(&entry.from).cloned().collect()
}

fn unfinished(intent: &Intent, source: DiskError) -> MutationError {
    MutationError::Unfinished { name: intent.entry.name.clone(), source }
}

/// The steps that no request may see one by one. Says how many entries were taken again.
fn publish_now(
    site: &Site,
    intent: &mut Intent,
    tree: Option<&Path>,
    staged: Option<(&mut Staged, Option<&Files>)>,
    record: &mut Option<Replacement>,
    publish: &Publish<'_>,
    patience: &Patience<'_>,
) -> Result<u64, MutationError> {
    check_branch(site, intent)?;
    let timeout = patience.deadline().remaining().min(GATE_HOLD);
    let (mut retaken, mut waiting) = (0, None);
    if let Some((staged, files)) = staged {
        retaken = staged.refresh(timeout)?;
        let refused = |error: DiskError| refused_in(staged.path(), &site.layout.branch(&intent.entry.name), error);
        files.map_or(Ok(()), |files| files.put_in_place(staged.path())).map_err(refused)?;
        waiting = Some(staged);
    }
    if let (Some(tree), None) = (tree, intent.new) {
        intent.new = disk::identity(tree)?;
        intent.write(&site.layout.cow().intent())?;
    }
    renew_record(site, intent, record, publish)?;
    // From here on what is staged may be the tree that the branch had.
    waiting.iter_mut().for_each(|staged| staged.keep());
    move_trees(site, intent, tree).map_err(|source| {
        let lost = intent.old.is_some() && tree.is_some() && branch::show(site, &intent.entry.name).is_err();
        if lost {
            return unfinished(intent, source);
        }
        if let Some(staged) = &mut waiting
            && disk::identity(staged.path()).is_ok_and(|found| found == intent.new)
        {
            staged.let_go();
        }
        source.into()
    })?;
    settle(site, intent, record.take()).map_err(|source| unfinished(intent, source))?;
    Ok(retaken)
}

/// An error of a step in a staged tree, of which nothing stays, as it is told to who knows the branch.
fn refused_in(tree: &Path, branch: &Path, error: DiskError) -> MutationError {
    match error.path.strip_prefix(tree).map(Path::to_owned) {
        Ok(path) => MutationError::Refused { path, source: error.seen(tree, branch).into() },
        Err(_) => error.into(),
    }
}

/// Puts files into the tree of a branch. The branch's record is aside until they are all in place.
fn publish_files(
    site: &Site,
    intent: &mut Intent,
    files: Option<&mut Files>,
    record: &mut Option<Replacement>,
    publish: &Publish<'_>,
) -> Result<(), MutationError> {
    check_branch(site, intent)?;
    let (Some(files), branch) = (files, site.layout.branch(&intent.entry.name)) else { return Ok(()) };
    let stale = files.stale(&branch)?;
    if !stale.is_empty() {
        return Err(MutationError::Stale { paths: stale });
    }
    renew_record(site, intent, record, publish)?;
    let name = &intent.entry.name;
    // From here on they are the only way back.
    files.keep();
    let mut put = || {
        put_aside(site.layout.cow(), name)?;
        disk::sync(&site.layout.cow().records_dir())?;
        files.put_in_place(&branch)?;
        record.take().map_or(Ok(()), |record| disk::place(record, &site.layout.cow().record(name)))
    };
    put().map_err(|source| match take_back(site, intent, files) {
        Ok(()) => {
            files.let_go();
            source.into()
        }
        Err(way_back) => MutationError::Halfway { name: name.clone(), cause: source, way_back: Box::new(way_back) },
    })
}

/// Makes a branch one that nobody serves, for as long as its record is aside. The caller syncs.
pub(super) fn put_aside(cow: &CowLayout, name: &BranchName) -> Result<(), DiskError> {
    let (record, aside) = (cow.record(name), cow.record_aside(name));
    if disk::inode(&record)?.is_none() {
        return Ok(());
    }
    // A power cut may have brought one back that was removed when the record was there again.
    disk::unlink(&aside)?;
    disk::rename(&record, &aside)
}

/// Gives a branch back, durably, the files that it had, and then the record. Safe to interrupt.
fn take_back(site: &Site, intent: &Intent, files: &Files) -> Result<(), MutationError> {
    let (cow, name) = (site.layout.cow(), &intent.entry.name);
    files.take_back(name, &site.layout.branch(name))?;
    let (record, aside) = (cow.record(name), cow.record_aside(name));
    if disk::inode(&record)?.is_none() && disk::inode(&aside)?.is_some() {
        // That needs no room, and the disk may be full.
        disk::rename(&aside, &record)?;
        disk::sync(&cow.records_dir())?;
    }
    restore_record(site, intent)?;
    Ok(disk::remove(&aside)?)
}

/// Refuses what can't be done, or not as it was prepared, to the branch as it is by now.
fn check_branch(site: &Site, intent: &Intent) -> Result<(), MutationError> {
    current(site, intent.entry.operation, &intent.entry.name)?;
    if disk::identity(&site.layout.branch(&intent.entry.name))? != intent.old {
        return Err(MutationError::Replaced { name: intent.entry.name.clone() });
    }
    Ok(())
}

/// Prepares the record anew where it was prepared for another publish.
fn renew_record(
    site: &Site,
    intent: &mut Intent,
    record: &mut Option<Replacement>,
    publish: &Publish<'_>,
) -> Result<(), DiskError> {
    if intent.record.as_ref().is_some_and(|record| record.generation != publish.generation()) {
        *record = prepare_record(site, intent, publish.generation())?;
    }
    Ok(())
}

/// Writes the record that is to be, of the publish `generation`, but does not put it in place.
fn prepare_record(site: &Site, intent: &mut Intent, generation: u64) -> Result<Option<Replacement>, DiskError> {
    let Some(record) = &mut intent.record else { return Ok(None) };
    record.generation = generation;
    record.operation = Some(intent.entry.id);
    let path = site.layout.cow().record(&intent.entry.name);
    disk::prepare_replacement(&path, record.to_toml().as_bytes()).map(Some)
}

/// Puts the new tree, which waits at `tree`, in place, and the old one away: into the operation's slot, or to where a
/// tree of the branch is staged, from where [`conclude`] takes it.
///
/// Where this fails, the branch is as it was or, if not even that could be had back, its place is empty.
fn move_trees(site: &Site, intent: &Intent, tree: Option<&Path>) -> Result<(), DiskError> {
    let cow = site.layout.cow();
    let branch = site.layout.branch(&intent.entry.name);
    let (slot, staging) = (cow.kept_tree(intent.entry.slot), cow.staged_tree(&intent.entry.name));
    match (intent.old, tree) {
        (None, Some(tree)) => disk::rename(tree, &branch),
        (_, None) => disk::rename(&branch, if intent.purge { &staging } else { &slot }),
        (Some(_), Some(tree)) if disk::exchange(tree, &branch)? => Ok(()),
        (Some(_), Some(tree)) => {
            let away = if intent.staged { &slot } else { &staging };
            disk::rename(&branch, away)?;
            disk::rename(tree, &branch).inspect_err(|_| {
                let _ = disk::rename(away, &branch);
            })
        }
    }
}

/// Makes the move of the trees durable and puts link and record in place, or drops them where there is to be no branch.
fn settle(site: &Site, intent: &Intent, record: Option<Replacement>) -> Result<(), DiskError> {
    let cow = site.layout.cow();
    if intent.old.is_some() {
        // First where the old tree went: no cut may leave it in neither place.
        disk::sync(&cow.kept_dir())?;
        disk::sync(&cow.staging_dir())?;
    }
    disk::sync(&site.layout.branches_dir())?;
    storage::link(&site.layout, &intent.entry.name, record.is_some())?;
    let path = cow.record(&intent.entry.name);
    match record {
        Some(record) => disk::place(record, &path),
        None => disk::remove(&path),
    }
}

/// Does what follows a publish, while requests go on: makes the record durable, puts the old tree into its slot, and
/// writes the log. The intent goes last, so that all of it is done again by whoever finds the intent.
fn conclude(site: &Site, intent: &Intent) -> Result<(), DiskError> {
    let cow = site.layout.cow();
    disk::sync(&cow.records_dir())?;
    if intent.entry.files {
        disk::remove(&cow.record_aside(&intent.entry.name))?;
        keep_files(site, &intent.entry)?;
    }
    let staging = cow.staged_tree(&intent.entry.name);
    if intent.old.is_some() && disk::identity(&staging)? == intent.old {
        if intent.purge {
            disk::discard(&staging, &cow.trash_dir())?;
        } else {
            disk::rename(&staging, &cow.kept_tree(intent.entry.slot))?;
            disk::sync(&cow.kept_dir())?;
        }
    }
    intent.entry.write(cow)?;
    drop_intent(site)
}

/// Puts the files that an operation took away into its slot, in place of what an operation that it undid has there.
fn keep_files(site: &Site, entry: &Entry) -> Result<(), DiskError> {
    let cow = site.layout.cow();
    let (staged, slot) = (cow.staged_files(&entry.name), cow.kept_tree(entry.slot));
    if disk::inode(&staged)?.is_none() {
        return Ok(());
    }
    disk::discard(&apply::new_dir(&staged), &cow.trash_dir())?;
    disk::discard(&slot, &cow.trash_dir())?;
    disk::rename(&staged, &slot)?;
    disk::sync(&cow.kept_dir())
}

fn drop_intent(site: &Site) -> Result<(), DiskError> {
    let cow = site.layout.cow();
    disk::remove(&cow.intent())?;
    disk::sync(&cow.journal_dir())
}

/// Sees to it that the site is still where it was when it was opened, and that nobody has died while they moved it.
fn heal_conversion(site: &Site, mutation: &mut Mutation<'_>, patience: &mut Patience<'_>) -> Result<(), MutationError> {
    if convert::is_begun(&site.layout)? {
        match convert::heal_under_lock(site, mutation, patience) {
            Ok(()) | Err(ConvertError::OldStays(_)) => {}
            Err(ConvertError::Mutation(error)) => return Err(error),
            Err(source) => return Err(MutationError::Conversion(Box::new(source))),
        }
    }
    // Where it can't be told where the branches are by now, nothing is changed.
    if SiteConfig::read(&site.layout.config())?.file_view != site.config.file_view {
        return Err(MutationError::Converted);
    }
    Ok(branch::check_storage(site)?)
}

/// Brings what a dead process left to its end, unless a living one is at work: that one does it.
pub(super) fn recover(site: &Site, patience: &mut Patience<'_>) -> Result<Option<Recovered>, MutationError> {
    let lock =
        Mutation::lock(site.layout.cow(), "recovery", &mut Patience::silent(forkpress_core::deadline::Deadline::NOW));
    match lock {
        Ok(mut mutation) => {
            heal_conversion(site, &mut mutation, patience)?;
            recover_under_lock(site, &mut mutation, patience)
        }
        Err(LockError::Timeout(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Brings what a dead process left to its end: under `mutation.lock` nothing in the journal or in staging is in use.
///
/// Safe to interrupt: each step leaves what the same decision is made of again.
pub(super) fn recover_under_lock(
    site: &Site,
    mutation: &mut Mutation<'_>,
    patience: &mut Patience<'_>,
) -> Result<Option<Recovered>, MutationError> {
    let cow = site.layout.cow();
    // Sites of an earlier version lack these.
    disk::create_folder(&cow.kept_dir())?;
    disk::create_folder(&cow.log_dir())?;
    let finished = finish_what_died(site, mutation, patience)?;
    spare::recover(site)?;
    let staged = disk::list(&cow.staging_dir())?;
    staged.iter().try_for_each(|path| disk::discard(path, &cow.trash_dir()))?;
    for folder in [cow.records_dir(), cow.journal_dir(), cow.log_dir()] {
        for path in disk::list(&folder)?.iter().filter(|path| file::is_temporary(path)) {
            disk::remove(path)?;
        }
    }
    Ok((finished.is_some() || !staged.is_empty()).then_some(Recovered { finished }))
}

/// Brings a mutation whose process died while it published to the state before it or the state after it. Gives what it
/// was and whether it is the state after.
fn finish_what_died(
    site: &Site,
    mutation: &mut Mutation<'_>,
    patience: &mut Patience<'_>,
) -> Result<Option<(Entry, bool)>, MutationError> {
    let cow = site.layout.cow();
    if let Some(finished) = batch::finish(site, mutation, patience)? {
        return Ok(Some(finished));
    }
    let Some(mut intent) = Intent::read(&cow.intent())? else { return Ok(None) };
    if intent.entry.files {
        return finish_files(site, intent, mutation, patience).map(Some);
    }
    let name = &intent.entry.name;
    let branch = site.layout.branch(name);
    let waiting = if intent.staged { cow.staged_tree(name) } else { cow.kept_tree(intent.entry.slot) };
    let found = Found { branch: disk::identity(&branch)?, waiting: disk::identity(&waiting)? };
    let ending = intent.ending(found);
    if ending == Ending::Before {
        restore_record(site, &intent)?;
        drop_intent(site)?;
    } else {
        let publish = mutation.publish(&owned(&intent.entry), patience)?;
        let record = prepare_record(site, &mut intent, publish.generation())?;
        if ending == Ending::Between {
            disk::rename(&waiting, &branch)?;
        }
        settle(site, &intent, record)?;
        drop(publish);
        conclude(site, &intent)?;
    }
    Ok(Some((intent.entry, ending != Ending::Before)))
}

/// The same for files: where the branch's record is aside, they are taken back.
fn finish_files(
    site: &Site,
    intent: Intent,
    mutation: &mut Mutation<'_>,
    patience: &mut Patience<'_>,
) -> Result<(Entry, bool), MutationError> {
    let cow = site.layout.cow();
    let name = &intent.entry.name;
    let record = BranchRecord::read(&cow.record(name))?;
    let is_after = intent.has_published(record.as_ref());
    if is_after {
        conclude(site, &intent)?;
    } else {
        if record.is_none() {
            let folder = cow.staged_files(name);
            if disk::inode(&folder)?.is_none() {
                return Err(MutationError::CopiesGone { name: name.clone(), path: folder });
            }
            let files = Files::open(site.config.file_view, folder)?;
            // What is kept goes after this publish, in which nobody waits for that.
            with_room(site, || {
                let _publish = mutation.publish(&owned(&intent.entry), patience)?;
                take_back(site, &intent, &files)
            })?;
        }
        // It is still there where somebody died between the record's return and this.
        disk::remove(&cow.record_aside(name))?;
        drop_intent(site)?;
    }
    Ok((intent.entry, is_after))
}

/// Gives a branch whose trees were not moved the record back that it had: a power cut may have kept a later one and
/// lost the move.
fn restore_record(site: &Site, intent: &Intent) -> Result<(), MutationError> {
    let path = site.layout.cow().record(&intent.entry.name);
    let before = &intent.entry.before;
    storage::link(&site.layout, &intent.entry.name, before.is_some())?;
    if BranchRecord::read(&path)? != *before {
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
