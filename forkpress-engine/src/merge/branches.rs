//! Merges a branch into another: files and rows, published together, or a list of what stands against what and nothing changed.
//!
//! 1. Under the target's mutation lock, so that nobody else changes its files: what both branches have now, and the base.
//! 2. Files are merged by Git, rows and schema by `super::plan`.
//! 3. Where something is left to decide, that is told, and nothing has changed.
//! 4. Else it is staged and published as an apply of files is, with the database among them. Where the target has changed
//!    meanwhile, what was decided is applied to what it has now; where that does not fit any more, all begins anew.

use std::fmt;
use std::path::Path;

use rusqlite::Connection;
use serde::Serialize;
use thiserror::Error;

use super::answers::Answers;
use super::apply::{self, ApplyError};
use super::base::{self, Base, BaseError};
use super::conflict::{OpenConflict, attachments_of};
use super::declared::DeclaredError;
use super::hosts::Hosts;
use super::plan::{self, Plan, PlanError};
use super::rules::Rules;
use super::{Sides, label};
use crate::bands::Surroundings;
use crate::branch;
use crate::database::{DatabaseError, DatabaseReader, Versions};
use crate::git::merge::{FileMerge, merge_files};
use crate::git::overlay::{EditError as FileError, Edits};
use crate::git::repository::{Repository, RepositoryError, run};
use crate::git::snapshot::{self, BranchState, SnapshotError};
use crate::mutation::EditError;
use crate::mutation::merge::Merge;
use crate::mutation::new_database::DatabaseEdit;
use crate::mutation::{ChangeError, PutError, Report};
use crate::progress::Progress;
use crate::site::Site;
use forkpress_core::advice::Advice;
use forkpress_core::deadline::Deadline;
use forkpress_core::lock::{GATE_HOLD, Patience};
use forkpress_core::name::BranchName;

/// How often a merge begins, where the target changes under it each time.
const MOST_STARTS: usize = 10;

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
    Rules(ContentError),
    /// What was answered, no conflict asks any more.
    #[error("{0}")]
    UnknownAnswer(String),
    /// The databases can't be merged.
    #[error(transparent)]
    Content(ContentError),
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

/// Why databases can't be merged. What it is stays in this program.
type ContentError = Box<dyn std::error::Error + Send + Sync>;

impl From<PlanError> for MergeError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::UnknownAnswer { .. } => Self::UnknownAnswer(error.to_string()),
            error => Self::Content(Box::new(error)),
        }
    }
}

impl From<DeclaredError> for MergeError {
    fn from(error: DeclaredError) -> Self {
        Self::Rules(Box::new(error))
    }
}

impl Advice for MergeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Base(error) => error.hint(),
            Self::Change(ChangeError::Put(PutError::Edit(EditError::Failed(error)))) if breaks_references(&**error) => {
                Some(
                    "bring back what these rows refer to, or remove them, in either branch, and merge again; \
                 or leave their table out: --exclude TABLE"
                        .to_owned(),
                )
            }
            Self::Change(error) => error.hint(),
            Self::Database(error) => error.hint(),
            Self::UnknownAnswer(_) => Some(
                "the branches have changed since: list the conflicts again with forkpress branch conflicts".to_owned(),
            ),
            Self::IntoItself => Some("name the branch that it is to come home to: --into BRANCH".to_owned()),
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

/// Whether the merge would leave rows that refer to nothing.
fn breaks_references(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(ApplyError::ForeignKeys { .. }))
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
    for name in [request.source, request.target].into_iter().chain(request.base) {
        branch::show(site, name).map_err(BaseError::from)?;
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
        ChangeError::Put(PutError::Stale { .. } | PutError::Edit(EditError::Stale(_)))
            | ChangeError::Replaced { .. }
            | ChangeError::SourceReplaced { .. }
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
    let answered = answers.of_files();
    let files = merge_files(repository, states.trees(), &|conflict| answered.get(conflict))?;
    let rules = rules(site, [source, target])?;
    let plan = match states.databases() {
        Some(readers) => {
            let pages = Some(readers.map(DatabaseReader::files));
            plan::make(readers.map(DatabaseReader::connection), pages, &rules, &Hosts::of(site), &answered.rest())?
        }
        None => Plan::default(),
    };
    progress.end();
    if !plan.conflicts.is_empty() || !files.conflicts.is_empty() {
        return Ok(Outcome::Conflicts(states.open(repository, &rules, &plan, &files)?));
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
    let listed = run(repository.command().args(["ls-tree", "-r", "-z", &states.source.files]))?;
    let parting = mutation.part(&listed, states.source.database.as_ref(), progress)?;
    let edit = match (states.source.database, states.target.database) {
        (Some(source), Some(seen)) if !plan.is_empty() => {
            let edit = PlanEdit::new(site, target, plan, source, seen)?;
            Some(Box::new(edit) as Box<dyn DatabaseEdit>)
        }
        _ => None,
    };
    let report = mutation.prepare(&mut overlay, edit, parting, patience, progress)?.publish(patience)?;
    Ok(Outcome::Merged(Box::new(report), summary))
}

/// What the three sides are: each at one moment.
struct States {
    base: BranchState,
    source: BranchState,
    target: BranchState,
}

impl States {
    fn look(site: &Site, repository: &Repository, request: &Request<'_>) -> Result<Self, MergeError> {
        let base = match request.base {
            Some(name) => snapshot::look_at(site, repository, name)?,
            None => {
                let Base { files, tree, .. } = base::of(site, repository, request.source, request.target)?;
                BranchState { files, database: DatabaseReader::begin(&tree, Deadline::after(GATE_HOLD))? }
            }
        };
        let source = snapshot::look_at(site, repository, request.source)?;
        let target = snapshot::look_at(site, repository, request.target)?;
        Ok(Self { base, source, target })
    }

    fn trees(&self) -> Sides<&str> {
        Sides { base: &self.base.files, source: &self.source.files, target: &self.target.files }
    }

    /// None where one of them has no database: then only files are merged.
    fn databases(&self) -> Option<Sides<&DatabaseReader>> {
        let Self { base, source, target } = self;
        Some(Sides {
            base: base.database.as_ref()?,
            source: source.database.as_ref()?,
            target: target.database.as_ref()?,
        })
    }

    /// What is to be decided.
    fn open(
        &self,
        repository: &Repository,
        rules: &Rules,
        plan: &Plan,
        files: &FileMerge,
    ) -> Result<Vec<OpenConflict>, MergeError> {
        let mut open = Vec::new();
        for file in &files.conflicts {
            let mut attachments = Vec::new();
            for state in [&self.target, &self.source] {
                let Some(reader) = &state.database else { continue };
                attachments.extend(attachments_of(&file.path, reader.connection(), rules).map_err(PlanError::from)?);
            }
            attachments.dedup();
            open.push(OpenConflict::of_file(file, repository, &attachments)?);
        }
        if let Some(readers) = self.databases() {
            for conflict in &plan.conflicts {
                open.push(OpenConflict::of_rows(conflict, readers, rules).map_err(PlanError::from)?);
            }
        }
        Ok(open)
    }
}

/// WordPress's rules, and those of the plugins of both branches.
fn rules(site: &Site, branches: [&BranchName; 2]) -> Result<Rules, MergeError> {
    let mut rules = Rules::wordpress();
    for name in branches {
        rules.with_plugins(Rules::read_plugins(&site.layout.branch(name))?);
    }
    Ok(rules)
}

fn summary(plan: &Plan, files: usize) -> Summary {
    Summary {
        files,
        rows: plan.tables.iter().map(|table| table.rows.len()).sum(),
        tables: plan.schema.len(),
        notes: plan.notes.clone(),
    }
}

/// Applies a plan to a copy of the target's database, and gives that ids of its own again.
struct PlanEdit {
    site: Site,
    target: BranchName,
    plan: Plan,
    /// Sees the source as it was when the plan was made.
    source: DatabaseReader,
    /// Sees the target.
    seen: DatabaseReader,
    /// What the target was when the plan was made.
    planned: Versions,
}

impl fmt::Debug for PlanEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlanEdit").field("target", &self.target).finish_non_exhaustive()
    }
}

impl PlanEdit {
    fn new(
        site: &Site,
        target: &BranchName,
        plan: Plan,
        source: DatabaseReader,
        seen: DatabaseReader,
    ) -> Result<Self, DatabaseError> {
        let planned = seen.versions().map_err(|error| seen.error(error))?;
        Ok(Self { site: site.clone(), target: target.clone(), plan, source, seen, planned })
    }

    /// Whether the plan says nothing of what the target has become. A copy of that does not tell: SQLite's backup gives it
    /// another number.
    fn is_outdated(&self) -> rusqlite::Result<bool> {
        self.seen.see_anew()?;
        let now = self.seen.versions()?;
        // What a plan says of tables, it says of all rows that were in them.
        let is_of_tables = !self.plan.schema.is_empty();
        Ok(now.schema != self.planned.schema || (is_of_tables && now.data != self.planned.data))
    }

    fn apply(&mut self, path: &Path) -> Result<(), ApplyError> {
        let mut database = Connection::open(path)?;
        // Whoever asks for this makes it durable.
        database.execute_batch("PRAGMA synchronous = OFF")?;
        if self.is_outdated()? {
            return Err(ApplyError::Stale { table: "sqlite_schema".to_owned(), key: Vec::new() });
        }
        let prefix = prefix_of(&database)?;
        apply::apply(&mut database, self.source.connection(), &self.plan, &prefix)?;
        if let Some(mut around) = Surroundings::look(&self.site) {
            around.begin_at(&self.target, &database)?;
        }
        Ok(apply::fold(database)?)
    }
}

impl DatabaseEdit for PlanEdit {
    fn edit(&mut self, path: &Path) -> Result<(), EditError> {
        self.apply(path).map_err(|error| match error {
            ApplyError::Stale { .. } => EditError::Stale(error.to_string()),
            error => EditError::Failed(Box::new(error)),
        })
    }
}

/// What the names of WordPress's tables begin with: of a network, those of its first site.
fn prefix_of(database: &Connection) -> rusqlite::Result<String> {
    let mut statement = database.prepare("SELECT lower(name) FROM sqlite_schema WHERE type = 'table'")?;
    let names: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(label::prefixes(names.iter().map(String::as_str)).pop().unwrap_or_default())
}
