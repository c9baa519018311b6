//! How a mutation runs: what it is to change, and the locks it holds meanwhile.
//!
//! A mutation gives branches other trees, or none, or puts files into the tree that a branch has. What a branch had goes into
//! the operation's slot (see [`super::history`]). It holds the mutation locks of its branches from first to last, so that it
//! prepares beside mutations of others; `mutation.lock` it holds only while it publishes.

use std::path::Path;
use std::time::{Duration, Instant};

use super::error::{ChangeError, NeedsRoom, PutError, RecoverError, StepError};
use super::files::{Overlay, Purpose, StagedFiles};
use super::history::{LogEntry, Operation, Sibling, some_of};
use super::journal::{FilesChange, Move, Way};
use super::new_database::{DatabaseEdit, TreeEdit};
use super::parting::StagedParting;
use super::publish::{self, Publication, Published};
use super::report::{Recovered, Report, Source};
use super::scratch::Scratch;
use super::staged::Staged;
use super::work::{Cloned, Incoming, NewTree, Origin, Work, current, identity};
use super::{keep, late, recover};
use crate::bands::{self, Surroundings};
use crate::branch::{self, BranchError};
use crate::database;
use crate::disk;
use crate::progress::Progress;
use crate::site::Site;
use forkpress_core::deadline::Deadline;
use forkpress_core::layout::database_of;
use forkpress_core::lock::{GATE_HOLD, Patience, Preparation, Tries};
use forkpress_core::name::BranchName;
use forkpress_core::record::BranchRecord;
use forkpress_core::uploads::Uploads;

/// How long other programs at a database may keep a mutation waiting that begins.
const IDS_TIMEOUT: Duration = Duration::from_millis(200);

/// A mutation that is ready to be published. It holds the mutation locks of its branches; dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Prepared<'site> {
    pub(super) site: &'site Site,
    pub(super) entry: LogEntry,
    pub(super) work: Work,
    /// What the branches that come will have in common with the one that they are from; none where that is nothing new.
    pub(super) parting: Option<StagedParting>,
    pub(super) begun: Begun,
}

/// Files to put into a tree.
pub(super) struct Put<'a> {
    pub(super) overlay: &'a mut dyn Overlay,
    /// What is to become of the branch's database.
    pub(super) database: Option<Box<dyn DatabaseEdit>>,
    /// What the log calls them.
    pub(super) word: String,
}

/// The right to prepare something, and a site that no dead process has left anything in.
#[derive(Debug)]
pub(super) struct Begun {
    since: Instant,
    pub(super) recovered: Option<Recovered>,
    pub(super) preparation: Preparation,
    words: String,
}

impl Begun {
    /// Takes the mutation locks of the branches and brings what died to its end.
    pub(super) fn begin(
        site: &Site,
        names: &[BranchName],
        words: &str,
        patience: &mut Patience<'_>,
        progress: &dyn Progress,
    ) -> Result<Self, RecoverError> {
        let since = Instant::now();
        let preparation = Preparation::lock(site.layout.cow(), names, words, patience)?;
        let mut mutation = preparation.mutation(patience)?;
        recover::heal_conversion(site, &mut mutation, patience)?;
        let recovered = recover::under_lock(site, &mut mutation, Some(&preparation), patience)?;
        drop(mutation);
        if let Some(recovered) = &recovered {
            progress.note(&recovered.to_string());
        }
        // What cleans up does so at the lowest priority, and with the settings of a while ago.
        if !names.is_empty() {
            bands::heal(site, &preparation, Deadline::after(IDS_TIMEOUT));
        }
        tracing::debug!(operation = words, after_ms = since.elapsed().as_millis(), "begun");
        Ok(Self { since, recovered, preparation, words: words.to_owned() })
    }

    /// Does something that needs space; where there is too little, drops what is kept, oldest first, and tries again.
    fn with_room<T, E: NeedsRoom>(
        &self,
        site: &Site,
        patience: &mut Patience<'_>,
        action: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        keep::with_room(site, action, || {
            let _mutation = self.preparation.mutation(patience)?;
            keep::drop_something(site)
        })
    }

    /// Sees to it that as much of the disk is free as the site's settings ask for, as far as that can be had.
    fn keep_disk_free(&self, site: &Site, patience: &mut Patience<'_>) -> Result<(), StepError> {
        keep::keep_disk_free(site, || {
            let _mutation = self.preparation.mutation(patience)?;
            keep::drop_something(site)
        })
    }
}

/// Prepares a new branch.
pub(super) fn create<'site>(
    site: &'site Site,
    name: &BranchName,
    source: Source<'_>,
    put: Option<Put<'_>>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, ChangeError> {
    let words = format!("branch create {name} from {}", source.branch);
    let begun = Begun::begin(site, std::slice::from_ref(name), &words, patience, progress)?;
    let mut entry = draft(site, Operation::Create, name, Some(source))?;
    let put = put.map(|put| {
        entry.with = Some(put.word);
        put.overlay
    });
    let (cloned, parting) = clone(site, &begun, &entry, put, patience, progress)?;
    let moves = vec![Move { name: name.clone(), way: Way::Come(cloned.incoming()) }];
    Ok(Prepared { site, entry, work: Work::Moves(moves), parting, begun })
}

/// Prepares a new branch whose tree is edited before it is published. What the edit takes, nobody waits for.
pub(super) fn create_edited<'site>(
    site: &'site Site,
    name: &BranchName,
    source: Source<'_>,
    (edit, word): (&mut dyn TreeEdit, &str),
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<(Prepared<'site>, Published), ChangeError> {
    let words = format!("branch create {name} from {} with {word}", source.branch);
    let begun = Begun::begin(site, std::slice::from_ref(name), &words, patience, progress)?;
    let mut entry = draft(site, Operation::Create, name, Some(source))?;
    entry.with = Some(word.to_owned());
    let (mut cloned, mut parting) = clone(site, &begun, &entry, None, patience, progress)?;
    let refreshed = refresh(site, &begun, &mut cloned, &mut parting, entry.beside, patience)?;
    let mut record = cloned.record();
    let tree = cloned.staged.into_scratch();
    // From here on it differs from its source by intent.
    late::forget(&site.layout, tree.path());
    edit.edit(tree.path()).map_err(PutError::Edit)?;
    record.uploads = edit.uploads(record.uploads);
    let database = database_of(tree.path());
    if disk::inode(&database)?.is_some() {
        database::fold(&database)?;
        database::check_file(&database)?;
    }
    disk::sync_file_system(tree.path())?;
    let incoming = Incoming { record, tree: NewTree::Ready(tree) };
    let moves = vec![Move { name: name.clone(), way: Way::Come(incoming) }];
    Ok((Prepared { site, entry, work: Work::Moves(moves), parting, begun }, refreshed))
}

/// Prepares several new branches: one as [`create`] does, and the others as clones of that one, which nobody uses. So,
/// however many there are, they are of one moment, and requests wait for one of them.
pub(super) fn create_all<'site>(
    site: &'site Site,
    first: &BranchName,
    others: &[BranchName],
    source: Source<'_>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<(Prepared<'site>, Published), ChangeError> {
    let words = format!("branch create {} from {}", some_of(first, others.len()), source.branch);
    let names: Vec<_> = std::iter::once(first).chain(others).cloned().collect();
    let begun = Begun::begin(site, &names, &words, patience, progress)?;
    let mut entry = draft(site, Operation::Create, first, Some(source))?;
    for name in others {
        current(site, Operation::Create, name)?;
    }
    entry.also = others.iter().map(|name| Sibling { name: name.clone(), before: None }).collect();
    let (mut cloned, mut parting) = clone(site, &begun, &entry, None, patience, progress)?;
    let refreshed = refresh(site, &begun, &mut cloned, &mut parting, entry.beside, patience)?;
    let record = cloned.record();
    let cow = site.layout.cow();
    let paths: Vec<_> = others.iter().map(|name| cow.staged_tree(name)).collect();
    let staged = &mut cloned.staged;
    let copies = begun.with_room(site, patience, || {
        let copies: Vec<_> = paths.iter().cloned().map(Scratch::new).collect();
        staged.clone_to(&paths, progress)?;
        Ok::<_, StepError>(copies)
    })?;
    let trees = std::iter::once(cloned.staged.into_scratch()).chain(copies).map(NewTree::Ready);
    let incoming = |tree| Way::Come(Incoming { record: record.clone(), tree });
    let moves = names.into_iter().zip(trees).map(|(name, tree)| Move { name, way: incoming(tree) }).collect();
    Ok((Prepared { site, entry, work: Work::Moves(moves), parting, begun }, refreshed))
}

/// Prepares another tree for a branch.
pub(super) fn reset<'site>(
    site: &'site Site,
    name: &BranchName,
    source: Source<'_>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, ChangeError> {
    let words = format!("branch reset {name} from {}", source.branch);
    let begun = Begun::begin(site, std::slice::from_ref(name), &words, patience, progress)?;
    let entry = draft(site, Operation::Reset, name, Some(source))?;
    let old = identity(site, name)?;
    let (cloned, parting) = clone(site, &begun, &entry, None, patience, progress)?;
    let moves = vec![Move { name: name.clone(), way: Way::Exchange { old, arrival: cloned.incoming() } }];
    Ok(Prepared { site, entry, work: Work::Moves(moves), parting, begun })
}

/// Prepares to take a branch away. With `purge` nothing is kept of it.
pub(super) fn delete<'site>(
    site: &'site Site,
    name: &BranchName,
    purge: bool,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, ChangeError> {
    let words = format!("branch delete {name}");
    let begun = Begun::begin(site, std::slice::from_ref(name), &words, patience, progress)?;
    let entry = draft(site, Operation::Delete, name, None)?;
    let moves = vec![Move { name: name.clone(), way: Way::Go { old: identity(site, name)?, purge } }];
    Ok(Prepared { site, entry, work: Work::Moves(moves), parting: None, begun })
}

/// Prepares to put files into the tree that a branch has.
pub(super) fn apply<'site>(
    site: &'site Site,
    name: &BranchName,
    put: Put<'_>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, ChangeError> {
    let words = format!("apply {} to {name}", put.word);
    let begun = Begun::begin(site, std::slice::from_ref(name), &words, patience, progress)?;
    let mut entry = draft(site, Operation::Apply, name, None)?;
    entry.with = Some(put.word);
    files(site, begun, entry, put.overlay, put.database, patience, progress)
}

/// Prepares files that are put into the tree that the entry's branch has.
pub(super) fn files<'site>(
    site: &'site Site,
    begun: Begun,
    mut entry: LogEntry,
    overlay: &mut dyn Overlay,
    database: Option<Box<dyn DatabaseEdit>>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, ChangeError> {
    let (branch, folder) = (site.layout.branch(&entry.name), site.layout.cow().staged_files(&entry.name));
    let missing = || BranchError::Missing { name: entry.name.clone() };
    let change = FilesChange { tree: identity(site, &entry.name)?, record: entry.before.clone().ok_or_else(missing)? };
    begun.keep_disk_free(site, patience)?;
    let mut files = begun.with_room(site, patience, || {
        StagedFiles::prepare(site, &branch, folder.clone(), &mut *overlay, Purpose::Apply)
    })?;
    if let Some(edit) = database {
        files.add_database(&branch, edit, patience.deadline(), progress)?;
    }
    entry.files = true;
    Ok(Prepared { site, entry, work: Work::Files(change, Box::new(files)), parting: None, begun })
}

/// Prepares a tree that is ready, and in nobody's use, to become the first `main`.
pub(super) fn adopt<'site>(
    site: &'site Site,
    (tree, uploads): (&Path, Option<Uploads>),
    patience: &mut Patience<'_>,
) -> Result<Prepared<'site>, ChangeError> {
    let (since, main) = (Instant::now(), BranchName::main());
    let preparation = Preparation::lock(site.layout.cow(), std::slice::from_ref(&main), "init", patience)?;
    branch::check_storage(site)?;
    let mut mutation = preparation.mutation(patience)?;
    // What else is in staging stays: it may be what is to be adopted.
    recover::finish_what_died(site, &mut mutation, patience)?;
    drop(mutation);
    let entry = draft(site, Operation::Create, &main, None)?;
    disk::sync_file_system(tree)?;
    let incoming = Incoming { record: BranchRecord { uploads, ..BranchRecord::now(None, 0) }, tree: NewTree::Adopted };
    let begun = Begun { since, recovered: None, preparation, words: "init".to_owned() };
    let moves = vec![Move { name: main, way: Way::Come(incoming) }];
    Ok(Prepared { site, entry, work: Work::Moves(moves), parting: None, begun })
}

/// Takes the tree of the branch that an operation is from, while requests go on, and what both will have had in common.
fn clone(
    site: &Site,
    begun: &Begun,
    entry: &LogEntry,
    put: Option<&mut dyn Overlay>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<(Cloned, Option<StagedParting>), ChangeError> {
    let (name, from) = (&entry.name, entry.from.clone().unwrap_or_else(BranchName::main));
    let source = branch::show(site, &from).map_err(|source| ChangeError::Source { name: from.clone(), source })?;
    let identity = disk::identity(&source.path)?;
    begun.keep_disk_free(site, patience)?;
    let deadline = patience.deadline();
    let starts = Surroundings::look(site).map(|mut around| around.copy(&from, name)).unwrap_or_default();
    let staged = begun.with_room(site, patience, || {
        Staged::prepare(site, &source, name, entry.beside, starts.clone(), deadline, progress)
    })?;
    let folder = site.layout.cow().staged_files(name);
    let files = put.map(|overlay| {
        begun.with_room(site, patience, || {
            StagedFiles::prepare(site, &source.path, folder.clone(), &mut *overlay, Purpose::Create)
        })
    });
    let parting = match StagedParting::prepare(site, name, &from, &staged) {
        // A branch without is better than none, and than one for which others are given up.
        Err(error) if error.is_disk_full() => {
            progress
                .note(&format!("no room to keep what '{name}' and '{from}' have in common: a merge will not know it"));
            None
        }
        prepared => Some(prepared?),
    };
    let origin = Origin { name: from, identity, uploads: source.record.uploads };
    Ok((Cloned { staged, files: files.transpose()?, source: origin, starts }, parting))
}

/// What an operation is as far as it is known at once. Refuses what can't be done to the branch as it is.
pub(super) fn draft(
    site: &Site,
    operation: Operation,
    name: &BranchName,
    source: Option<Source<'_>>,
) -> Result<LogEntry, ChangeError> {
    let before = current(site, operation, name)?;
    Ok(LogEntry {
        before: before.map(|branch| branch.record),
        beside: source.is_some_and(|source| source.beside),
        ..LogEntry::begin(operation, name.clone(), source.map(|source| source.branch.clone()))
    })
}

/// Makes a clone what its source is now, while no request of that runs, unless it is taken beside them. Nobody is kept out
/// while a foreign program is waited for.
fn refresh(
    site: &Site,
    begun: &Begun,
    clone: &mut Cloned,
    parting: &mut Option<StagedParting>,
    beside: bool,
    patience: &mut Patience<'_>,
) -> Result<Published, ChangeError> {
    let mut tries = Tries::new(&begun.words);
    let mut done = Published { entries: clone.staged.entries(), ..Published::default() };
    loop {
        let timeout = patience.deadline().remaining().min(GATE_HOLD);
        let refreshed = if beside {
            clone.refresh(site, parting.as_mut(), timeout)
        } else {
            let mut mutation = begun.preparation.mutation(patience)?;
            let from = std::slice::from_ref(&clone.source.name);
            let Some(publish) = mutation.try_publish(from, patience, &mut tries)? else {
                drop(mutation);
                tries.rest(patience)?;
                continue;
            };
            let refreshed = clone.refresh(site, parting.as_mut(), timeout);
            done.held += publish.held_for();
            refreshed
        };
        match refreshed {
            Err(error) if error.is_foreign_writer() && !patience.deadline().has_passed() => {
                clone.staged.wait_for_database(patience.deadline())?;
            }
            refreshed => {
                done.retaken = refreshed?;
                return Ok(done);
            }
        }
    }
}

impl Prepared<'_> {
    /// Publishes. While requests of its branches are waited for, other mutations have their turn.
    ///
    /// # Errors
    /// [`ChangeError`], of what has become otherwise since it was prepared, and of steps. Locks and the database are waited for
    /// until the end of the patience.
    pub fn publish(self, patience: &mut Patience<'_>) -> Result<Report, ChangeError> {
        // Dropped last to first: what the drop of a staged tree removes is removed under the locks.
        let Self { mut begun, site, mut entry, mut work, mut parting } = self;
        let words = begun.words.clone();
        publish::trace("prepared", &entry, begun.since);
        let mut tries = Tries::new(&words);
        let mut done = Published::default();
        loop {
            let mut mutation = begun.preparation.mutation(patience)?;
            // Another process may have died since.
            if let Some(finished) = recover::finish_what_died(site, &mut mutation, patience)? {
                begun.recovered = Some(Recovered { finished: Some(finished) });
            }
            entry.number(site.layout.cow())?;
            let (work, since) = (&mut work, begun.since);
            let tried = Publication { site, entry: &mut entry, work, parting: &mut parting, done: &mut done, since }
                .publish(&mut mutation, patience, &mut tries);
            drop(mutation);
            match tried {
                Ok(true) => {
                    let Published { generation, held, retaken, entries } = done;
                    return Ok(Report {
                        operation: entry,
                        generation,
                        held,
                        entries,
                        retaken,
                        recovered: begun.recovered,
                    });
                }
                Ok(false) => tries.rest(patience)?,
                Err(error) if error.is_foreign_writer() && !patience.deadline().has_passed() => {
                    work.wait_for_database(patience)?;
                }
                Err(ChangeError::Put(PutError::DatabaseChanged)) => work.renew_database(patience)?,
                Err(error) => return Err(error),
            }
        }
    }
}
