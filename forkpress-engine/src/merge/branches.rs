//! Merges a branch into another: files and rows, published together, or a list of what stands against what and nothing changed.
//!
//! 1. Under the target's mutation lock, so that nobody else changes its files: what both branches have now, and the base.
//! 2. Files are merged by Git, rows and schema by [`super::plan`].
//! 3. Where something is left to decide, that is told, and nothing has changed.
//! 4. Else it is staged and published as an apply of files is, with the database among them. Where the target has changed
//!    meanwhile, what was decided is applied to what it has now; where that does not fit any more, all begins anew.

use std::path::Path;

use rusqlite::Connection;
use serde::Serialize;
use thiserror::Error;

use super::answers::Answers;
use super::apply::{self, ApplyError};
use super::base::{self, Base, BaseError};
use super::conflict::OpenConflict;
use super::declared::DeclaredError;
use super::hosts::Hosts;
use super::plan::{self, Plan, PlanError, RowEdit};
use super::rules::Rules;
use super::Sides;
use crate::branch;
use crate::database::{DatabaseError, DatabaseReader};
use crate::git::merge::merge_files;
use crate::git::overlay::{EditError as FileError, Edits};
use crate::git::repository::{Repository, RepositoryError};
use crate::git::snapshot::{self, BranchState, SnapshotError};
use crate::mutation::merge::{Merge, Merged};
use crate::mutation::new_database::{DatabaseEdit, EditError};
use crate::mutation::{ChangeError, PutError, Report};
use crate::progress::Progress;
use crate::site::Site;
use forkpress_core::advice::Advice;
use forkpress_core::deadline::Deadline;
use forkpress_core::lock::{GATE_HOLD, Patience};
use forkpress_core::name::BranchName;

/// How often a merge begins, where the target changes under it each time.
const MOST_STARTS: usize = 3;

/// What is asked for.
#[derive(Debug)]
pub struct Request<'a> {
    /// The branch that comes home: *theirs*.
    pub source: &'a BranchName,
    /// The branch that it comes home to: *ours*.
    pub target: &'a BranchName,
    /// A branch to take as what both had, instead of what is kept of that.
    pub base: Option<&'a BranchName>,
    /// What people have decided.
    pub answers: Answers,
    /// Whether nothing is to be changed.
    pub dry_run: bool,
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// The source has nothing that the target has not.
    Nothing,
    /// This is to be decided. Nothing has changed.
    Conflicts(Vec<OpenConflict>),
    /// This would be done.
    WouldMerge(Summary),
    /// This was done.
    Merged(Box<Report>, Summary),
}

/// What a merge changes in the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many files.
    pub files: usize,
    /// How many rows.
    pub rows: usize,
    /// How many tables come, go or are altered.
    pub tables: usize,
    /// What was decided that a person should know.
    pub notes: Vec<String>,
}

/// Why a branch was not merged. The target is as it was, but for [`ChangeError::Unfinished`].
#[derive(Debug, Error)]
pub enum MergeError {
    /// A branch is no other branch than itself.
    #[error("a branch cannot be merged into itself")]
    IntoItself,
    /// It is not known what both had.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// A branch can't be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] RepositoryError),
    /// The files can't be merged.
    #[error(transparent)]
    Files(#[from] FileError),
    /// A plugin's rules can't be understood.
    #[error(transparent)]
    Rules(#[from] DeclaredError),
    /// The databases can't be merged.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A database can't be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The target can't be changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The target has changed each time before this was done.
    #[error("'{target}' changed each time before the merge was done")]
    Restless {
        /// The target.
        target: BranchName,
        /// What has changed last.
        source: Box<ChangeError>,
    },
}

impl Advice for MergeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Base(error) => error.hint(),
            Self::Change(error) => error.hint(),
            Self::Database(error) => error.hint(),
            Self::Plan(PlanError::UnknownAnswer { .. }) => {
                Some("the branches have changed since: list the conflicts again with forkpress branch conflicts".to_owned())
            }
            Self::Restless { .. } => Some("type the command again".to_owned()),
            _ => None,
        }
    }

    fn is_passing(&self) -> bool {
        match self {
            Self::Change(error) => error.is_passing(),
            Self::Database(error) => error.is_passing(),
            Self::Restless { .. } => true,
            _ => false,
        }
    }
}

/// Merges a branch into another, or says what is to be decided first.
///
/// # Errors
/// [`MergeError`]; [`MergeError::Restless`] and others that pass are worth another attempt.
pub fn merge(
    site: &Site,
    request: &Request<'_>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Outcome, MergeError> {
    if request.source == request.target {
        return Err(MergeError::IntoItself);
    }
    let repository = Repository::open(site)?;
    for _ in 1..MOST_STARTS {
        match attempt(site, &repository, request, patience, progress) {
            Err(MergeError::Change(error)) if has_moved(&error) && !patience.deadline().has_passed() => {
                progress.note(&format!("{error}; merging again"));
            }
            done => return done,
        }
    }
    attempt(site, &repository, request, patience, progress).map_err(|error| match error {
        MergeError::Change(error) if has_moved(&error) => {
            MergeError::Restless { target: request.target.clone(), source: Box::new(error) }
        }
        error => error,
    })
}

/// Whether what was decided does not fit the target any more.
fn has_moved(error: &ChangeError) -> bool {
    matches!(
        error,
        ChangeError::Put(PutError::Stale { .. } | PutError::Edit(EditError::Stale(_))) | ChangeError::Replaced { .. }
    )
}

fn attempt(
    site: &Site,
    repository: &Repository,
    request: &Request<'_>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Outcome, MergeError> {
    let Request { source, target, answers, .. } = request;
    let mutation = Merge::begin(site, source, target, patience, progress)?;
    progress.begin("compare", None);
    let states = States::look(site, repository, request)?;
    let trees = Sides { base: &*states.base.files, source: &*states.source.files, target: &*states.target.files };
    let files = merge_files(repository, trees, &|conflict| answers.of_file(conflict))?;
    let rules = rules(site, source, target)?;
    let plan = match states.databases() {
        Some(readers) => {
            let connections = readers.map(DatabaseReader::connection);
            plan::make(connections, &rules, &hosts(site)?, &answers.of_rows(&files))?
        }
        None => Plan::default(),
    };
    progress.end();
    if !plan.conflicts.is_empty() || !files.conflicts.is_empty() {
        return Ok(Outcome::Conflicts(OpenConflict::list(repository, &states, &plan.conflicts, &files.conflicts)?));
    }
    if plan.is_empty() && files.differences.is_empty() {
        return Ok(Outcome::Nothing);
    }
    let summary = summary(&plan, files.differences.len());
    if request.dry_run {
        return Ok(Outcome::WouldMerge(summary));
    }
    let (own, other) = (site.layout.branch(target), site.layout.branch(source));
    let mut overlay = Edits::new(site, repository, vec![&own, &other]);
    overlay.put(files.edits(repository)?)?;
    let listed = repository.list_files(&states.source.files)?;
    let merged = Merged { files: &listed, database: states.source.database.as_ref() };
    let edit = states.databases().is_some() && !plan.is_empty();
    let edit = edit.then(|| Edit::new(site, source, target, plan)).transpose()?;
    let edit = edit.map(|edit| Box::new(edit) as Box<dyn DatabaseEdit>);
    let report = mutation.prepare(&mut overlay, edit, &merged, patience, progress)?.publish(patience)?;
    Ok(Outcome::Merged(Box::new(report), summary))
}
