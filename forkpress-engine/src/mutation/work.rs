//! What a mutation is to do, once it is prepared: the trees and the files that wait for the publish.

use std::time::Duration;

use super::error::{ChangeError, StepError};
use super::files::StagedFiles;
use super::history::Operation;
use super::journal::{FilesChange, Move, Waiting};
use super::parting::StagedParting;
use super::scratch::Scratch;
use super::staged::Staged;
use crate::bands::Starts;
use crate::branch::{self, Branch, BranchError};
use crate::database::DatabaseError;
use crate::disk;
use crate::site::Site;
use forkpress_core::lock::Patience;
use forkpress_core::name::BranchName;
use forkpress_core::record::BranchRecord;
use forkpress_core::uploads::Uploads;

/// What is to be done.
#[derive(Debug)]
pub(super) enum Work {
    /// Trees are moved, one for each of the entry's names, in their order: all of them or none.
    Moves(Vec<Move<Incoming>>),
    /// Files are put into the tree that a branch has.
    Files(FilesChange, Box<StagedFiles>),
}

/// A tree that is to become a branch's.
#[derive(Debug)]
pub(super) struct Incoming {
    /// The branch's record afterwards.
    pub(super) record: BranchRecord,
    pub(super) tree: NewTree,
}

/// What such a tree is.
#[derive(Debug)]
pub(super) enum NewTree {
    /// A clone of a branch, made what that is when it is published.
    Cloned(Box<Cloned>),
    /// One that is staged, and as it is to be.
    Ready(Scratch),
    /// The same, and not this mutation's to remove.
    Adopted,
    /// One that an operation took away, in its slot.
    Kept,
}

/// A tree that is taken from a branch.
#[derive(Debug)]
pub(super) struct Cloned {
    pub(super) staged: Staged,
    /// What it has otherwise than that branch.
    pub(super) files: Option<StagedFiles>,
    pub(super) source: Origin,
    /// The bands of ids that it begins.
    pub(super) starts: Starts,
}

/// A branch that is taken from: as the tree that it had then.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) name: BranchName,
    pub(super) identity: Option<u64>,
    /// Where its media library is, if it came without: its clones lack that, too.
    pub(super) uploads: Option<Uploads>,
}

impl Incoming {
    /// Where the tree waits, or will.
    pub(super) fn waits(&self) -> Waiting {
        match self.tree {
            NewTree::Cloned(_) | NewTree::Ready(_) | NewTree::Adopted => Waiting::Staging,
            NewTree::Kept => Waiting::Slot,
        }
    }

    /// What removes the tree unless it is published.
    pub(super) fn scratch_mut(&mut self) -> Option<&mut Scratch> {
        match &mut self.tree {
            NewTree::Cloned(cloned) => Some(cloned.staged.scratch_mut()),
            NewTree::Ready(scratch) => Some(scratch),
            NewTree::Adopted | NewTree::Kept => None,
        }
    }
}

impl Work {
    /// The files and folders of the trees that are clones of a branch.
    pub(super) fn entries(&self) -> u64 {
        let Self::Moves(moves) = self else { return 0 };
        let entries = |one: &Move<Incoming>| match one.arrival() {
            Some(Incoming { tree: NewTree::Cloned(cloned), .. }) => cloned.staged.entries(),
            _ => 0,
        };
        moves.iter().map(entries).sum()
    }

    /// Makes a database that is to be put in place anew, since the branch's own has changed.
    pub(super) fn renew_database(&mut self, patience: &Patience<'_>) -> Result<(), ChangeError> {
        match self {
            Self::Files(_, files) => files.renew_database(patience.deadline()),
            Self::Moves(_) => Ok(()),
        }
    }

    /// Whether nothing is kept of a branch that goes.
    pub(super) fn purges(&self) -> bool {
        matches!(self, Self::Moves(moves) if moves.iter().any(Move::purges))
    }

    /// Waits until no foreign program writes into the databases that are taken.
    pub(super) fn wait_for_database(&self, patience: &Patience<'_>) -> Result<(), DatabaseError> {
        let moves = match self {
            Self::Moves(moves) => moves,
            Self::Files(_, files) => return files.wait_for_database(patience.deadline()),
        };
        for one in moves {
            if let Some(Incoming { tree: NewTree::Cloned(clone), .. }) = one.arrival() {
                clone.staged.wait_for_database(patience.deadline())?;
            }
        }
        Ok(())
    }
}

impl Cloned {
    /// The record of a branch that gets the tree.
    pub(super) fn record(&self) -> BranchRecord {
        let uploads = self.source.uploads.clone();
        BranchRecord { uploads, ..BranchRecord::now(Some(self.source.name.clone()), 0) }
    }

    pub(super) fn incoming(self) -> Incoming {
        Incoming { record: self.record(), tree: NewTree::Cloned(Box::new(self)) }
    }

    /// Makes the tree what its source is now, if that still is what it was taken from, and says how many entries it took
    /// again.
    pub(super) fn refresh(
        &mut self,
        site: &Site,
        parting: Option<&mut StagedParting>,
        timeout: Duration,
    ) -> Result<u64, ChangeError> {
        let name = &self.source.name;
        branch::show(site, name).map_err(|source| ChangeError::Source { name: name.clone(), source })?;
        if disk::identity(&site.layout.branch(name))? != self.source.identity {
            return Err(ChangeError::SourceReplaced { name: name.clone() });
        }
        let retaken = self.staged.refresh(&self.starts, timeout)?;
        parting.map_or(Ok(()), |parting| parting.complete(site.layout.cow(), &mut self.staged))?;
        Ok(retaken)
    }
}

/// The branch as it is, where an operation may change it.
pub(super) fn current(site: &Site, operation: Operation, name: &BranchName) -> Result<Option<Branch>, ChangeError> {
    match (operation, branch::show(site, name)) {
        (Operation::Create, Ok(_)) => Err(ChangeError::Exists { name: name.clone() }),
        (_, Ok(branch)) => Ok(Some(branch)),
        (Operation::Create | Operation::Undo, Err(BranchError::Missing { .. })) => Ok(None),
        (
            Operation::Create | Operation::Undo,
            Err(BranchError::NoRecord { path } | BranchError::NotAFolder { path, .. }),
        ) => Err(ChangeError::InTheWay { name: name.clone(), path }),
        (_, Err(error)) => Err(error.into()),
    }
}

/// What tells the tree of a branch from others.
pub(super) fn identity(site: &Site, name: &BranchName) -> Result<u64, StepError> {
    let missing = || BranchError::Missing { name: name.clone() };
    Ok(disk::identity(&site.layout.branch(name))?.ok_or_else(missing)?)
}
