//! What two branches had in common when they last did.

use std::path::PathBuf;

use thiserror::Error;

use crate::branch::{self, BranchError};
use crate::git::parting::{self, PartingError};
use crate::git::repository::Repository;
use crate::mutation::parting::tree_in;
use crate::site::Site;
use forkpress_core::advice::Advice;
use forkpress_core::name::BranchName;

/// What two branches had in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// The number of the operation at which they had it.
    pub parting: u64,
    /// The Git tree of their files, as `wordpress/` of the view had them.
    pub files: String,
    /// The folder in which their database lies as in a branch, at rest. It may have none.
    pub tree: PathBuf,
}

/// Why it is not known what two branches had in common.
#[derive(Debug, Error)]
pub enum BaseError {
    /// One of the branches can't be used.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// Nothing is kept that both had.
    #[error("nothing is kept of what '{source_branch}' and '{target}' had in common")]
    NoParting {
        /// The branch whose changes are asked for.
        source_branch: BranchName,
        /// The other one.
        target: BranchName,
    },
    /// What is kept can't be read.
    #[error(transparent)]
    Parting(#[from] PartingError),
}

impl Advice for BaseError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoParting { source_branch, target } => Some(format!(
                "name a branch that is as both were: --base BRANCH; or begin anew: \
                 forkpress branch reset {source_branch} --from {target}"
            )),
            Self::Branch(error) => error.hint(),
            Self::Parting(PartingError::Lost { .. }) => Some(
                "name a branch that is as both were: --base BRANCH; or begin anew: forkpress branch reset".to_owned(),
            ),
            Self::Parting(_) => None,
        }
    }

    fn is_passing(&self) -> bool {
        false
    }
}

/// Finds the newest parting that two branches share.
///
/// # Errors
/// [`BaseError::NoParting`] where they share none, as branches of a version do that kept none; [`BaseError::Branch`] where one of
/// them can't be read; [`BaseError::Parting`] where the parting's files can't be.
pub fn of(site: &Site, repository: &Repository, source: &BranchName, target: &BranchName) -> Result<Base, BaseError> {
    let cow = site.layout.cow();
    let (one, other) = (branch::show(site, source)?.record.partings, branch::show(site, target)?.record.partings);
    let missing = || BaseError::NoParting { source_branch: source.clone(), target: target.clone() };
    let id = one.common(&other).find(|id| cow.parting(*id).exists()).ok_or_else(missing)?;
    Ok(Base { parting: id, files: parting::files_of(repository, id)?, tree: tree_in(&cow.parting(id)) })
}
