//! How a mutation runs. A [`Plan`] says what is to be different afterwards; locks, journal, order and recovery are here.
//!
//! Every mutation gives a branch another state: a tree, or none. What the branch had goes into the operation's slot (see
//! [`super::history`]). So there are three moves, whatever the mutation: a tree comes, a tree goes, or two change places.
//! The order of what is made durable, and why, is in `docs/crash-recovery.md`.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::history::{self, Entry, History, Operation};
use super::journal::{Ending, Found, Intent};
use super::staged::Staged;
use super::{MutationError, Recovered, Report, keep};
use crate::branch::{self, Branch, BranchError};
use crate::database::DatabaseError;
use crate::disk::{self, DiskError};
use crate::file::{self, Replacement};
use crate::lock::{self, GATE_HOLD, LockError, Mutation, Patience, Publish};
use crate::name::BranchName;
use crate::progress::Progress;
use crate::record::BranchRecord;
use crate::site::Site;

/// What is to be done to which branch.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: BranchName,
    pub(super) change: Change,
}

/// What is to be done to a branch.
#[derive(Debug)]
pub(super) enum Change {
    /// It gets a tree, where there was none.
    Create {
        /// The branch to take from.
        from: BranchName,
    },
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

impl Plan {
    /// What others that wait are told.
    fn words(&self) -> String {
        let name = &self.name;
        match &self.change {
            Change::Create { from } => format!("branch create {name} from {from}"),
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
    begun: Begun,
}

/// The right to change something, and a site that no dead process has left anything in.
#[derive(Debug)]
pub(super) struct Begun {
    since: Instant,
    recovered: Option<Recovered>,
    mutation: Mutation<'static>,
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
    plan: Plan,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, MutationError> {
    let begun = Begun::begin(site, &plan.words(), patience, progress)?;
    let Plan { name, change } = plan;
    let (operation, from, purge) = match change {
        Change::Create { from } => (Operation::Create, Some(from), false),
        Change::Reset { from } => (Operation::Reset, Some(from), false),
        Change::Delete { purge } => (Operation::Delete, None, purge),
    };
    let intent = Intent { purge, ..draft(site, operation, name, from)? };
    let Some(from) = &intent.entry.from else {
        return Ok(Prepared { site, intent, tree: None, staged: None, begun });
    };
    let source = branch::show(site, from).map_err(|source| MutationError::Source { name: from.clone(), source })?;
    keep::keep_disk_free(site)?;
    let staged = with_room(site, || {
        let path = site.layout.cow().staged_tree(&intent.entry.name);
        Staged::prepare(site.config.file_view, &source, path, patience.deadline(), progress)
    })?;
    let record = Some(BranchRecord::now(Some(from.clone()), 0));
    let tree = Some(staged.path().to_owned());
    Ok(Prepared { site, intent: Intent { record, staged: true, ..intent }, tree, staged: Some(staged), begun })
}

/// Prepares to give a branch the state back that it had before an operation.
pub(super) fn prepare_undo<'site>(
    site: &'site Site,
    id: Option<u64>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, MutationError> {
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
    let mut intent = draft(site, Operation::Undo, undone.name.clone(), None)?;
    if intent.old.is_none() && undone.before.is_none() {
        return Err(BranchError::Missing { name: undone.name.clone() }.into());
    }
    intent.entry.undoes = Some(undone.id);
    intent.entry.slot = undone.slot;
    intent.record = undone.before.clone();
    let tree = undone.before.is_some().then(|| cow.kept_tree(undone.slot));
    Ok(Prepared { site, intent, tree, staged: None, begun })
}

/// Prepares a tree that is ready, and in nobody's use, to become `main`.
pub(super) fn adopt<'site>(
    site: &'site Site,
    tree: &Path,
    patience: &mut Patience<'_>,
) -> Result<Prepared<'site>, MutationError> {
    let since = Instant::now();
    let mut mutation = Mutation::lock(site.layout.cow(), "init", patience)?;
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
    let id = history::next_id(site.layout.cow())?;
    let (user, program) = history::who();
    let entry = Entry {
        id,
        operation,
        from,
        undoes: None,
        slot: id,
        at: history::now(),
        user,
        pid: std::process::id(),
        program,
        took_ms: None,
        held_us: None,
        before: before.map(|branch| branch.record),
        name,
    };
    let old = disk::identity(&site.layout.branch(&entry.name))?;
    Ok(Intent { old, new: None, staged: false, purge: false, entry, record: None })
}

/// The branch as it is, where an operation may change it.
fn current(site: &Site, operation: Operation, name: &BranchName) -> Result<Option<Branch>, MutationError> {
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
fn with_room<T>(site: &Site, mut action: impl FnMut() -> Result<T, MutationError>) -> Result<T, MutationError> {
    loop {
        match action() {
            Err(error) if error.is_disk_full() && keep::make_room(site).unwrap_or(false) => {}
            done => return done,
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
        let Self { mut begun, site, mut intent, tree, mut staged } = self;
        let cow = site.layout.cow();
        let generation = lock::generation(cow)? + 1;
        let mut record = with_room(site, || Ok(prepare_record(site, &mut intent, generation)?))?;
        intent.new = tree.as_deref().map(disk::identity).transpose()?.flatten();
        if tree.is_none() || intent.new.is_some() {
            with_room(site, || Ok(intent.write(&cow.intent())?))?;
        }

        let mut held = Duration::ZERO;
        let published = loop {
            let publish = match begun.mutation.publish(patience) {
                Ok(publish) => publish,
                Err(error) => break Err(error.into()),
            };
            let published =
                publish_now(site, &mut intent, tree.as_deref(), staged.as_mut(), &mut record, &publish, patience)
                    .map(|retaken| (publish.generation(), retaken));
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
        if let (Ok(_) | Err(MutationError::Unfinished { .. }), Some(staged)) = (&published, &mut staged) {
            staged.keep();
        }
        let entries = staged.as_ref().map_or(0, Staged::entries);
        match published {
            Err(MutationError::Unfinished { .. }) => {}
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

fn unfinished(intent: &Intent, source: DiskError) -> MutationError {
    MutationError::Unfinished { name: intent.entry.name.clone(), source }
}

/// The steps that no request may see one by one. Says how many entries were taken again.
fn publish_now(
    site: &Site,
    intent: &mut Intent,
    tree: Option<&Path>,
    staged: Option<&mut Staged>,
    record: &mut Option<Replacement>,
    publish: &Publish<'_>,
    patience: &Patience<'_>,
) -> Result<u64, MutationError> {
    current(site, intent.entry.operation, &intent.entry.name)?;
    if disk::identity(&site.layout.branch(&intent.entry.name))? != intent.old {
        return Err(MutationError::Replaced { name: intent.entry.name.clone() });
    }
    let timeout = patience.deadline().remaining().min(GATE_HOLD);
    let retaken = staged.map_or(Ok(0), |staged| staged.refresh(timeout))?;
    if let (Some(tree), None) = (tree, intent.new) {
        intent.new = disk::identity(tree)?;
        intent.write(&site.layout.cow().intent())?;
    }
    if intent.record.as_ref().is_some_and(|record| record.generation != publish.generation()) {
        *record = prepare_record(site, intent, publish.generation())?;
    }
    move_trees(site, intent, tree).map_err(|source| {
        let lost = intent.old.is_some() && tree.is_some() && branch::show(site, &intent.entry.name).is_err();
        if lost { unfinished(intent, source) } else { source.into() }
    })?;
    settle(site, intent, record.take()).map_err(|source| unfinished(intent, source))?;
    Ok(retaken)
}

/// Writes the record that is to be, of the publish `generation`, but does not put it in place.
fn prepare_record(site: &Site, intent: &mut Intent, generation: u64) -> Result<Option<Replacement>, DiskError> {
    let Some(record) = &mut intent.record else { return Ok(None) };
    record.generation = generation;
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

/// Makes the move of the trees durable and puts the record in place, or drops it where there is to be none.
fn settle(site: &Site, intent: &Intent, record: Option<Replacement>) -> Result<(), DiskError> {
    let cow = site.layout.cow();
    if intent.old.is_some() {
        // First where the old tree went: no cut may leave it in neither place.
        disk::sync(&cow.kept_dir())?;
        disk::sync(&cow.staging_dir())?;
    }
    disk::sync(site.layout.public_root())?;
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

fn drop_intent(site: &Site) -> Result<(), DiskError> {
    let cow = site.layout.cow();
    disk::remove(&cow.intent())?;
    disk::sync(&cow.journal_dir())
}

/// Brings what a dead process left to its end, unless a living one is at work: that one does it.
pub(super) fn recover(site: &Site, patience: &mut Patience<'_>) -> Result<Option<Recovered>, MutationError> {
    let lock = Mutation::lock(site.layout.cow(), "recovery", &mut Patience::silent(crate::deadline::Deadline::NOW));
    match lock {
        Ok(mut mutation) => recover_under_lock(site, &mut mutation, patience),
        Err(LockError::Timeout(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Brings what a dead process left to its end: under `mutation.lock` nothing in the journal or in staging is in use.
///
/// Safe to interrupt: each step leaves what the same decision is made of again.
fn recover_under_lock(
    site: &Site,
    mutation: &mut Mutation<'static>,
    patience: &mut Patience<'_>,
) -> Result<Option<Recovered>, MutationError> {
    let cow = site.layout.cow();
    // Sites of an earlier version lack these.
    disk::create_folder(&cow.kept_dir())?;
    disk::create_folder(&cow.log_dir())?;
    let finished = finish_what_died(site, mutation, patience)?;
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
    mutation: &mut Mutation<'static>,
    patience: &mut Patience<'_>,
) -> Result<Option<(Entry, bool)>, MutationError> {
    let cow = site.layout.cow();
    let Some(mut intent) = Intent::read(&cow.intent())? else { return Ok(None) };
    let name = &intent.entry.name;
    let branch = site.layout.branch(name);
    let waiting = if intent.staged { cow.staged_tree(name) } else { cow.kept_tree(intent.entry.slot) };
    let found = Found { branch: disk::identity(&branch)?, waiting: disk::identity(&waiting)? };
    let ending = intent.ending(found);
    if ending == Ending::Before {
        restore_record(site, &intent)?;
        drop_intent(site)?;
    } else {
        let publish = mutation.publish(patience)?;
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

/// Gives a branch whose trees were not moved the record back that it had: a power cut may have kept a later one and
/// lost the move.
fn restore_record(site: &Site, intent: &Intent) -> Result<(), MutationError> {
    let path = site.layout.cow().record(&intent.entry.name);
    let before = &intent.entry.before;
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
