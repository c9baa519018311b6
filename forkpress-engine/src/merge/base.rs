//! What a branch is compared with: the state that it had in common with another one.

use forkpress_core::advice::Advice;
use forkpress_core::name::BranchName;
use thiserror::Error;

use crate::database::DatabaseReader;
use crate::git::repository::{Repository, RepositoryError};
use crate::git::snapshot::{self, SnapshotError};
use crate::site::Site;

/// Files and a database that belong together.
#[derive(Debug)]
pub struct Base {
    /// The Git tree of the files, as `wordpress/` of the view has them.
    pub(crate) tree: String,
    /// Reads the database; none where there is none.
    pub(crate) database: Option<DatabaseReader>,
}

/// Why there is no base.
#[derive(Debug, Error)]
pub enum BaseError {
    /// Nothing is kept of what the two had in common.
    #[error("nothing is kept of what '{source_branch}' and '{target}' had in common")]
    NoParting {
        /// The branch that changed.
        source_branch: BranchName,
        /// The one that it is compared with.
        target: BranchName,
    },
    /// The repository can't be used.
    #[error("cannot use the repository of the site")]
    Repository(#[from] RepositoryError),
    /// A branch can't be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl Advice for BaseError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoParting { source_branch, target } => Some(format!(
                "forkpress branch reset {source_branch} --from {target} makes them part anew; --base {target} compares with '{target}' as it is now"
            )),
            Self::Repository(_) | Self::Snapshot(_) => None,
        }
    }
}

impl Base {
    /// What two branches had in common last.
    ///
    /// # Errors
    /// [`BaseError::NoParting`]: no version keeps that yet.
    pub fn of_pair(_site: &Site, source: &BranchName, target: &BranchName) -> Result<Self, BaseError> {
        Err(BaseError::NoParting { source_branch: source.clone(), target: target.clone() })
    }

    /// A branch as it is now.
    ///
    /// # Errors
    /// [`BaseError::Snapshot`] when there is no such branch, or it can't be read; [`BaseError::Repository`].
    pub fn of_branch(site: &Site, name: &BranchName) -> Result<Self, BaseError> {
        let state = snapshot::look_at(site, &Repository::open(site)?, name)?;
        Ok(Self { tree: state.files, database: state.database })
    }
}
