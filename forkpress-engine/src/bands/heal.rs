//! Gives live branches bands of their own, as a foreign program would write into their databases: beside their requests.

use std::sync::Arc;

use thiserror::Error;

use super::{Starts, Surroundings, Survey, decide};
use crate::database::{self, DatabaseError};
use crate::site::Site;
use forkpress_core::deadline::Deadline;
use forkpress_core::lock::{BranchFiles, LockError, Mutation, OperationsFiles, Patience, SharedBranch, SharedOperations};
use forkpress_core::name::BranchName;

/// Why a branch goes without for now.
#[derive(Debug, Error)]
enum HealError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Gives every branch the bands that it lacks, and says which did. What is not to be had until the deadline, locks and the turn
/// to write, is left for the next time. Where no branch lacks any, this looks at two files a database, and takes no lock.
#[must_use]
pub fn heal(site: &Site, deadline: Deadline) -> Vec<BranchName> {
    if !site.config.id_bands {
        return Vec::new();
    }
    let needy = Surroundings::look(site).needy();
    if needy.is_empty() {
        return Vec::new();
    }
    let cow = site.layout.cow();
    let mutation = match Mutation::lock(cow, "giving branches ids of their own", &mut Patience::silent(deadline)) {
        Ok(mutation) => mutation,
        Err(error) => {
            tracing::debug!("no ids are given: {error}");
            return Vec::new();
        }
    };
    let healed = heal_under_lock(site, deadline);
    drop(mutation);
    healed
}

/// Does that where nobody else gives out bands.
fn heal_under_lock(site: &Site, deadline: Deadline) -> Vec<BranchName> {
    let mut around = Surroundings::look(site);
    let mut healed = Vec::new();
    for name in around.needy() {
        match heal_branch(site, &name, &around, deadline) {
            Ok(Some((own, starts))) => {
                around.reserve(&name, &own, &starts);
                if !starts.is_empty() {
                    tracing::debug!(branch = name.as_str(), ?starts, "gave ids");
                    healed.push(name);
                }
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(branch = name.as_str(), "no ids are given: {error}"),
        }
    }
    healed
}

impl Surroundings {
    /// The branches that lack a band, in their order.
    fn needy(&self) -> Vec<BranchName> {
        let lacks = |(name, own): &&(BranchName, Survey)| !decide(own, name, self).is_empty();
        self.live.iter().filter(lacks).map(|(name, _)| name.clone()).collect()
    }
}

/// Takes part in the branch's traffic and writes what it lacks by then; none where it has no database.
fn heal_branch(
    site: &Site,
    name: &BranchName,
    around: &Surroundings,
    deadline: Deadline,
) -> Result<Option<(Survey, Starts)>, HealError> {
    let cow = site.layout.cow();
    let operations = SharedOperations::lock(&Arc::new(OperationsFiles::open(cow)?), deadline, None)?;
    let _branch = SharedBranch::lock(&operations, &Arc::new(BranchFiles::open(cow, name)?), deadline, true)?;
    let give = |connection: &rusqlite::Connection| {
        let own = Survey::of(connection)?;
        let starts = decide(&own, name, around);
        starts.write(connection)?;
        Ok((own, starts))
    };
    Ok(database::write(&site.layout.branch(name), deadline, give)?)
}
