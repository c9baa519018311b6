//! What changes the set of branches or the files of one.
//!
//! Every mutation runs in three steps, under `mutation.lock` from first to last:
//!
//! 1. **Prepare**, while requests go on: the tree that is to be published is built in the staging folder and synced.
//! 2. **Publish**, while no request runs: what changed since is taken again, and renames put the tree and its record in place.
//! 3. **Clean up**, while requests go on.
//!
//! Before it publishes, a mutation writes what it [intends](journal::Intent) into the journal, and removes that when it
//! has published. The next mutation brings one that died to its end, first thing, and empties staging and trash. Until
//! then a crash can leave: a tree in staging or trash, which nothing serves; a branch folder without a record, which
//! nothing serves; a record without a folder, which nothing lists.

mod engine;
mod journal;
mod staged;

use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::branch::BranchError;
use crate::database::DatabaseError;
use crate::disk::DiskError;
use crate::lock::{LockError, Patience};
use crate::name::BranchName;
use crate::progress::Progress;
use crate::record::RecordError;
use crate::site::Site;

pub use engine::Prepared;
use engine::{Plan, prepare};
use journal::Operation;

/// What a mutation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The number of the publish.
    pub generation: u64,
    /// For how long requests were kept out.
    pub held: Duration,
    /// The files and folders of the tree that was cloned; zero where none was.
    pub entries: u64,
    /// What changed in the source while the tree was prepared, and was taken again.
    pub retaken: u64,
}

/// Why a mutation did not happen. The site is then as it was, but for [`MutationError::Unfinished`].
#[derive(Debug, Error)]
pub enum MutationError {
    /// `main` always exists.
    #[error("cannot delete the main branch")]
    DeleteMain,
    /// Resetting `main` has to be asked for twice.
    #[error("refusing to reset main without --force")]
    ResetMain,
    /// There is nothing to take from itself.
    #[error("cannot reset a branch from itself")]
    ResetFromItself,
    /// The branch to create exists.
    #[error("branch '{name}' already exists")]
    Exists {
        /// Its name.
        name: BranchName,
    },
    /// Something that is no branch stands where the new branch's folder would be.
    #[error("{path} is in the way of the new branch '{name}'")]
    InTheWay {
        /// The name of the branch to create.
        name: BranchName,
        /// What stands there.
        path: PathBuf,
    },
    /// The branch to take from can't be used.
    #[error("cannot take the branch '{name}' as the source")]
    Source {
        /// Its name.
        name: BranchName,
        /// Why not.
        source: BranchError,
    },
    /// The branch to reset or to delete can't be used.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// A lock was not had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The source's database can't be snapshot.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A step on the disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A record can't be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The intent of a mutation that died can't be understood, so what it left can't be told from what is whole.
    #[error("the journal {path} is not valid")]
    Journal {
        /// The journal's file.
        path: PathBuf,
        /// What is wrong and where.
        source: Box<toml::de::Error>,
    },
    /// The mutation happened, but its last step failed. The next mutation does it.
    #[error("branch '{name}' is changed but not finished; the next command that changes a branch finishes it")]
    Unfinished {
        /// The branch.
        name: BranchName,
        /// The step that failed.
        source: DiskError,
    },
}

impl MutationError {
    /// Whether the mutation may succeed when it is tried again later: a lock stayed busy until the deadline.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Lock(LockError::Timeout(_)) | Self::Database(DatabaseError::Busy { .. }))
    }
}

/// Creates the branch `name` with the files and the database that the branch `from` has when this publishes.
///
/// # Errors
/// [`MutationError`].
pub fn create(
    site: &Site,
    name: &BranchName,
    from: &BranchName,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, MutationError> {
    prepare_create(site, name, from, patience, progress)?.publish(patience)
}

/// Does the first step of [`create`]. Dropped, the result leaves nothing behind.
///
/// # Errors
/// [`MutationError`].
pub fn prepare_create<'site>(
    site: &'site Site,
    name: &BranchName,
    from: &BranchName,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, MutationError> {
    let plan = Plan { operation: Operation::Create, name: name.clone(), from: Some(from.clone()) };
    prepare(site, plan, patience, progress)
}

/// Gives the branch `name` the files and the database that the branch `from` has when this publishes.
///
/// `main` is reset only with `force`.
///
/// # Errors
/// [`MutationError`].
pub fn reset(
    site: &Site,
    name: &BranchName,
    from: &BranchName,
    force: bool,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, MutationError> {
    prepare_reset(site, name, from, force, patience, progress)?.publish(patience)
}

/// Does the first step of [`reset`]. Dropped, the result leaves nothing behind.
///
/// # Errors
/// [`MutationError`].
pub fn prepare_reset<'site>(
    site: &'site Site,
    name: &BranchName,
    from: &BranchName,
    force: bool,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, MutationError> {
    if name == from {
        return Err(MutationError::ResetFromItself);
    }
    if name.is_main() && !force {
        return Err(MutationError::ResetMain);
    }
    let plan = Plan { operation: Operation::Reset, name: name.clone(), from: Some(from.clone()) };
    prepare(site, plan, patience, progress)
}

/// Deletes the branch `name`, its files and its database.
///
/// # Errors
/// [`MutationError`].
pub fn delete(
    site: &Site,
    name: &BranchName,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, MutationError> {
    if name.is_main() {
        return Err(MutationError::DeleteMain);
    }
    let plan = Plan { operation: Operation::Delete, name: name.clone(), from: None };
    prepare(site, plan, patience, progress)?.publish(patience)
}

/// Makes the tree at `staged`, a folder in the site's staging folder, the first `main` of a site, durably.
///
/// # Errors
/// [`MutationError`]; the tree is then still where it was, but for [`MutationError::Unfinished`].
pub fn adopt_main(site: &Site, staged: &Path, patience: &mut Patience<'_>) -> Result<Report, MutationError> {
    engine::adopt(site, staged, patience)?.publish(patience)
}
