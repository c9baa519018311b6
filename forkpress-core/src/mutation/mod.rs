//! What changes the set of branches or the files of one.
//!
//! Every mutation runs in three steps: it prepares while requests go on, publishes in one short exclusive step, and
//! cleans up afterwards.

use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::branch::BranchError;
use crate::lock::{LockError, Patience};
use crate::name::BranchName;
use crate::progress::Progress;
use crate::site::Site;

/// What a mutation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The number of the publish.
    pub generation: u64,
    /// For how long requests were kept out.
    pub held: Duration,
    /// The files and folders of the tree that was put in place; zero for a delete.
    pub entries: u64,
    /// Those of them that changed while the tree was prepared, and were taken again.
    pub retaken: u64,
}

/// Why a mutation did not happen. The site is then as it was, but for what the variant says.
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
    #[error("{path} is in the way of the branch '{name}'")]
    InTheWay {
        /// The name of the branch to create.
        name: BranchName,
        /// What stands there.
        path: PathBuf,
    },
    /// The branch to take from can't be used.
    #[error("cannot take from '{name}'")]
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
}

/// Creates the branch `name` from the branch `from`.
///
/// # Errors
/// [`MutationError`].
pub fn create(
    _site: &Site,
    _name: &BranchName,
    _from: &BranchName,
    _patience: &mut Patience<'_>,
    _progress: &dyn Progress,
) -> Result<Report, MutationError> {
    todo!()
}

/// Gives the branch `name` the files and the database of the branch `from`.
///
/// # Errors
/// [`MutationError`].
pub fn reset(
    _site: &Site,
    _name: &BranchName,
    _from: &BranchName,
    _force: bool,
    _patience: &mut Patience<'_>,
    _progress: &dyn Progress,
) -> Result<Report, MutationError> {
    todo!()
}

/// Deletes the branch `name`.
///
/// # Errors
/// [`MutationError`].
pub fn delete(
    _site: &Site,
    _name: &BranchName,
    _patience: &mut Patience<'_>,
    _progress: &dyn Progress,
) -> Result<Report, MutationError> {
    todo!()
}

/// Makes the tree at `staged` the first `main` of a site.
///
/// # Errors
/// [`MutationError`].
pub fn adopt_main(_site: &Site, _staged: &Path, _patience: &mut Patience<'_>) -> Result<Report, MutationError> {
    todo!()
}
