//! How a mutation runs. A [`Plan`] says what is to be different afterwards; locks, journal, order and recovery are here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::journal::{Ending, Found, Intent, Operation};
use super::staged::Staged;
use super::{MutationError, Report};
use crate::branch::{self, BranchError};
use crate::database::DatabaseError;
use crate::disk::{self, DiskError};
use crate::file::Replacement;
use crate::layout::SiteLayout;
use crate::lock::{GATE_HOLD, Mutation, Patience, Publish};
use crate::name::BranchName;
use crate::progress::Progress;
use crate::record::BranchRecord;
use crate::site::Site;

/// The identity of a tree that is only made within the publish.
const NOT_YET: u64 = 0;

/// What is to be done to which branch.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) operation: Operation,
    pub(super) name: BranchName,
    /// The branch to take from; none for a delete and for a tree that came from elsewhere.
    pub(super) from: Option<BranchName>,
}

impl Plan {
    /// What others that wait are told.
    fn words(&self) -> String {
        let from = self.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
        match self.operation {
            Operation::Create => format!("branch create {}{from}", self.name),
            Operation::Reset => format!("branch reset {}{from}", self.name),
            Operation::Delete => format!("branch delete {}", self.name),
        }
    }

    /// Refuses what can't be done to the branch as it is.
    fn check(&self, site: &Site) -> Result<(), MutationError> {
        match (self.operation, branch::show(site, &self.name)) {
            (Operation::Create, Err(BranchError::Missing { .. })) => Ok(()),
            (Operation::Create, Ok(_)) => Err(MutationError::Exists { name: self.name.clone() }),
            (Operation::Create, Err(BranchError::NoRecord { path } | BranchError::NotAFolder { path, .. })) => {
                Err(MutationError::InTheWay { name: self.name.clone(), path })
            }
            (_, found) => Ok(found.map(drop)?),
        }
    }

    /// Puts the tree where it belongs. The old tree of a reset is afterwards where the new one was, or in the trash.
    ///
    /// Where this fails, the branch is as it was or, if not even that could be had back, its place is empty.
    fn move_tree(&self, layout: &SiteLayout, tree: &Path) -> Result<(), DiskError> {
        let branch = layout.branch(&self.name);
        let trashed = layout.cow().trashed_tree(&self.name);
        match self.operation {
            Operation::Create => disk::rename(tree, &branch),
            Operation::Delete => disk::rename(&branch, &trashed),
            Operation::Reset if disk::exchange(tree, &branch)? => Ok(()),
            Operation::Reset => {
                disk::rename(&branch, &trashed)?;
                disk::rename(tree, &branch).inspect_err(|_| {
                    let _ = disk::rename(&trashed, &branch);
                })
            }
        }
    }

    /// Writes the record that is to be, but does not put it in place.
    fn prepare_record(&self, layout: &SiteLayout, generation: u64) -> Result<Option<Replacement>, DiskError> {
        let record = BranchRecord::now(self.from.clone(), generation);
        match self.operation {
            Operation::Delete => Ok(None),
            Operation::Create | Operation::Reset => {
                disk::prepare_replacement(&layout.cow().record(&self.name), record.to_toml().as_bytes()).map(Some)
            }
        }
    }

    /// Makes the move durable and then puts the record in place, or drops it where there is to be none.
    fn settle(&self, layout: &SiteLayout, record: Option<Replacement>) -> Result<(), DiskError> {
        disk::sync(layout.public_root())?;
        let path = layout.cow().record(&self.name);
        match record {
            Some(record) => disk::commit(record, &path),
            None => {
                disk::remove(&path)?;
                disk::sync(&layout.cow().records_dir())
            }
        }
    }
}

/// A mutation that is ready to be published. It holds `mutation.lock`; dropped, it leaves nothing behind.
#[derive(Debug)]
pub struct Prepared<'site> {
    site: &'site Site,
    plan: Plan,
    /// The tree that is to be moved.
    tree: PathBuf,
    /// What keeps that tree like its source; none where it has no source.
    staged: Option<Staged>,
    // Last, so that whatever is cleaned up by a drop is cleaned up under the lock.
    mutation: Mutation<'static>,
}

/// Takes `mutation.lock`, brings what died to its end, and does all of a mutation that can be done while requests go on.
pub(super) fn prepare<'site>(
    site: &'site Site,
    plan: Plan,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, MutationError> {
    let mut mutation = Mutation::lock(site.layout.cow(), &plan.words(), patience)?;
    finish_what_died(site, &mut mutation, patience)?;
    sweep(site)?;
    plan.check(site)?;
    let staged = match &plan.from {
        None => None,
        Some(from) => {
            let source =
                branch::show(site, from).map_err(|source| MutationError::Source { name: from.clone(), source })?;
            let path = site.layout.cow().staged_tree(&plan.name);
            Some(Staged::prepare(site.config.file_view, &source, path, patience.deadline(), progress)?)
        }
    };
    let tree = match &staged {
        Some(staged) => staged.path().to_owned(),
        None => site.layout.branch(&plan.name),
    };
    Ok(Prepared { site, plan, tree, staged, mutation })
}

/// Prepares a tree that is ready, and in nobody's use, to become `main`.
pub(super) fn adopt<'site>(
    site: &'site Site,
    tree: &Path,
    patience: &mut Patience<'_>,
) -> Result<Prepared<'site>, MutationError> {
    let plan = Plan { operation: Operation::Create, name: BranchName::main(), from: None };
    let mut mutation = Mutation::lock(site.layout.cow(), &plan.words(), patience)?;
    finish_what_died(site, &mut mutation, patience)?;
    plan.check(site)?;
    disk::sync_file_system(tree)?;
    Ok(Prepared { site, plan, tree: tree.to_owned(), staged: None, mutation })
}

impl Prepared<'_> {
    /// Publishes, and cleans up.
    ///
    /// # Errors
    /// [`MutationError`]; the lock and the database are waited for until the end of the patience.
    pub fn publish(self, patience: &mut Patience<'_>) -> Result<Report, MutationError> {
        // Dropped last to first: what the drop of a staged tree removes is removed under the lock.
        let Self { mut mutation, site, plan, tree, mut staged } = self;
        let intent_path = site.layout.cow().intent();
        let moved = disk::identity(&tree)?.unwrap_or(NOT_YET);
        let mut intent =
            Intent { operation: plan.operation, name: plan.name.clone(), from: plan.from.clone(), inode: moved };
        intent.write(&intent_path)?;

        let mut held = Duration::ZERO;
        let published = loop {
            let publish = match mutation.publish(patience) {
                Ok(publish) => publish,
                Err(error) => break Err(error.into()),
            };
            let published = publish_now(site, &plan, &tree, staged.as_mut(), &mut intent, &publish, patience);
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
        if !matches!(published, Err(MutationError::Unfinished { .. })) {
            // An intent that stays is harmless: it ends the way that it ended now.
            let _ = disk::remove(&intent_path).and_then(|()| disk::sync(&site.layout.cow().journal_dir()));
        }
        let entries = staged.as_ref().map_or(0, Staged::entries);
        if !matches!(published, Ok(_) | Err(MutationError::Unfinished { .. })) {
            drop(staged);
        } else if let Some(staged) = &mut staged {
            staged.keep();
        }
        let (generation, retaken) = published?;
        // What can't be removed now is removed by the next mutation.
        let _ = sweep(site);
        Ok(Report { generation, held, entries, retaken })
    }
}

/// The steps that no request may see one by one. Gives the generation and how many entries were taken again.
fn publish_now(
    site: &Site,
    plan: &Plan,
    tree: &Path,
    staged: Option<&mut Staged>,
    intent: &mut Intent,
    publish: &Publish<'_>,
    patience: &Patience<'_>,
) -> Result<(u64, u64), MutationError> {
    plan.check(site)?;
    let timeout = patience.deadline().remaining().min(GATE_HOLD);
    let retaken = staged.map_or(Ok(0), |staged| staged.refresh(timeout))?;
    if intent.inode == NOT_YET {
        intent.inode = disk::identity(tree)?.unwrap_or(NOT_YET);
        intent.write(&site.layout.cow().intent())?;
    }
    let record = plan.prepare_record(&site.layout, publish.generation())?;
    let unfinished = |source| MutationError::Unfinished { name: plan.name.clone(), source };
    plan.move_tree(&site.layout, tree).map_err(|source| {
        let lost = plan.operation == Operation::Reset && branch::show(site, &plan.name).is_err();
        if lost { unfinished(source) } else { source.into() }
    })?;
    plan.settle(&site.layout, record).map_err(unfinished)?;
    Ok((publish.generation(), retaken))
}

/// Brings a mutation whose process died while it published to the state before it or the state after it.
///
/// Safe to interrupt: each step leaves what the same decision is made of again.
fn finish_what_died(
    site: &Site,
    mutation: &mut Mutation<'static>,
    patience: &mut Patience<'_>,
) -> Result<(), MutationError> {
    let cow = site.layout.cow();
    let Some(intent) = Intent::read(&cow.intent())? else { return Ok(()) };
    let (branch, staged) = (site.layout.branch(&intent.name), cow.staged_tree(&intent.name));
    let ending = intent.ending(Found { branch: disk::identity(&branch)?, staged: disk::identity(&staged)? });
    if ending != Ending::Before {
        let publish = mutation.publish(patience)?;
        let plan = Plan { operation: intent.operation, name: intent.name, from: intent.from };
        let record = plan.prepare_record(&site.layout, publish.generation())?;
        if ending == Ending::MoveStagedAndWriteRecord {
            disk::rename(&staged, &branch)?;
        }
        plan.settle(&site.layout, record)?;
    }
    disk::remove(&cow.intent())?;
    disk::sync(&cow.journal_dir())?;
    Ok(())
}

/// Removes what mutations have left: under `mutation.lock` nothing in staging or trash is in use.
fn sweep(site: &Site) -> Result<(), DiskError> {
    let cow = site.layout.cow();
    disk::empty_folder(&cow.staging_dir())?;
    disk::empty_folder(&cow.trash_dir())
}
