//! What a merge is going to do to the target's database: all of it, decided before anything is written.
//!
//! A plan is made from three databases at rest, and applied to a copy of the target. What it changes, it names with what
//! was there before: where that is not so any more, nothing is applied.
//!
//! [`make`] goes on in one direction:
//!
//! 1. [`tables`] decides the schemas, and reads the rows that are not the same. What page views write is left out here,
//!    and addresses of branches are made one.
//! 2. [`meta`] pairs rows of metadata by what they say, since two branches may have written them anew.
//! 3. [`objects`] finds things that one side removed and the other changed, and things that have one number.
//! 4. [`cells`] decides all other rows.
//! 5. [`names`] gives the source's things other slugs where the target has taken them, and finds names that can be there
//!    once only.
//! 6. [`edits`] says what changes in the target. What merely follows from other changes, the schedule say, changes only
//!    where there are others: a look at a page is no change.
//!
//! Each conflict is asked for where it is met, and an answer is followed at once. So later steps see what was answered,
//! and may have conflicts of their own.

mod cells;
mod edits;
mod lookup;
mod meta;
mod names;
mod objects;
mod tables;

use std::collections::HashSet;

use rusqlite::Connection;
use thiserror::Error;

use super::answers::{Answers, Take};
use super::conflict_id::{Conflict, ConflictId, ConflictKind};
use super::hosts::Hosts;
use super::pages::{Database, DatabaseFiles, Differing};
use super::rows::ScanError;
use super::rules::Rules;
use super::schema::{self, Schema, SchemaError};
use super::{Cell, Row, Sides, Value};
use lookup::Lookup;
use tables::Tables;

/// A merge of databases, decided.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// Tables whose schema comes from the source, with the driver's notes of them. Done before the rows.
    pub(crate) schema: Vec<SchemaEdit>,
    /// Rows, by table. All removals of a table are done before its insertions.
    pub(crate) tables: Vec<TableEdits>,
    /// What is to be decided by people. Nothing may be applied while there is one.
    pub(crate) conflicts: Vec<Conflict>,
    /// What a person should know of what was decided for them: a slug that got `-2`, say. In words.
    pub(crate) notes: Vec<String>,
    /// Counts that are to be made anew once the rows are in place.
    pub(crate) recounts: Recounts,
}

/// What becomes of a table as a whole.
#[derive(Debug, PartialEq)]
pub(crate) enum SchemaEdit {
    /// The target gets the source's table: new, or in place of its own, of which the rows are kept.
    Take { table: String },
    /// The target loses the table.
    Drop { table: String },
}

/// What becomes of the rows of a table.
#[derive(Debug, PartialEq)]
pub(crate) struct TableEdits {
    pub(crate) table: String,
    /// The columns that rows and cells are given in, those of the key first, as in [`super::rows::Layout`].
    pub(crate) columns: Vec<String>,
    /// How many columns the key has; 0 of a table without one.
    pub(crate) key_columns: usize,
    pub(crate) rows: Vec<RowEdit>,
}

/// What becomes of a row of the target.
#[derive(Debug, PartialEq)]
pub(crate) enum RowEdit {
    /// It has no row of this key, and gets one. A cell that is none gets the column's default.
    Insert(Row),
    /// Cells of the row with this key change.
    Update { key: Vec<Value>, cells: Vec<CellEdit> },
    /// The row goes, as it is here.
    Remove { before: Row },
    /// A table without a key has this many copies of a row, and gets that many.
    Copies { row: Row, before: u64, after: u64 },
}

/// Another value for a cell.
#[derive(Debug, PartialEq)]
pub(crate) struct CellEdit {
    /// The number of the column in [`TableEdits::columns`].
    pub(crate) column: usize,
    /// What the target has there; none where its table has no such column before the merge.
    pub(crate) before: Cell,
    pub(crate) after: Cell,
}

/// What is counted anew in the target, as WordPress would count it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recounts {
    /// Posts whose comments are counted: `wp_posts.comment_count`.
    pub(crate) comments_of: Vec<i64>,
    /// `term_taxonomy_id`s whose posts are counted: `wp_term_taxonomy.count`.
    pub(crate) terms: Vec<i64>,
    /// Whether users are counted: the option `user_count`, where there is one.
    pub(crate) users: bool,
}

impl Plan {
    /// Whether there is nothing to apply, and nothing to decide.
    pub(crate) fn is_empty(&self) -> bool {
        self.schema.is_empty() && self.tables.iter().all(|table| table.rows.is_empty()) && self.conflicts.is_empty()
    }
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub(crate) enum PlanError {
    /// The tables of a database are not known.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A table can't be read to its end.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// A database can't be read.
    #[error("cannot read the database")]
    Read(#[from] rusqlite::Error),
    /// Nothing has these conflicts any more.
    #[error("there is no such conflict: {}", listed(.ids))]
    UnknownAnswer {
        /// Which were answered.
        ids: Vec<ConflictId>,
    },
    /// No side has a table that is to be left out.
    #[error("there is no table {table}")]
    UnknownTable {
        /// As it was given.
        table: String,
    },
    /// A value was given for what is more than a cell.
    #[error("the conflict {id} is not about a single value: take ours, theirs or base")]
    NotACell {
        /// Which.
        id: ConflictId,
    },
    /// The value can't be in that column.
    #[error("the value for the conflict {id} is not of the type of its column")]
    OtherType {
        /// Which.
        id: ConflictId,
    },
    /// What both had can't be brought back here.
    #[error("the conflict {id} cannot take base: take ours or theirs")]
    NoBase {
        /// Which.
        id: ConflictId,
    },
}

fn listed(ids: &[ConflictId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Decides a merge of the source into the target. Each connection is in a read transaction. `files`: where they are known, only
/// what may differ is read.
///
/// The same databases, rules and answers give the same plan.
///
/// # Errors
/// [`PlanError`]; of answers that fit nothing, only once all conflicts are known.
pub(crate) fn make(
    databases: Sides<&Connection>,
    files: Option<Sides<DatabaseFiles<'_>>>,
    rules: &Rules,
    hosts: &Hosts,
    answers: &Answers,
) -> Result<Plan, PlanError> {
    let schemas = Sides {
        base: schema::read(databases.base)?,
        source: schema::read(databases.source)?,
        target: schema::read(databases.target)?,
    };
    let mut asking = Asking { answers, asked: HashSet::new(), open: Vec::new(), following: HashSet::new() };
    let differing = files.map_or_else(Differing::default, |files| {
        let [base, source, target] = databases.array();
        let [own, of_source, of_target] = schemas.as_ref().array();
        let database = |connection, schema, files| Database { connection, schema, files };
        Differing::between(
            database(base, own, files.base),
            &[database(source, of_source, files.source), database(target, of_target, files.target)],
        )
    });
    let mut merge = Merge::new(databases, &schemas, &differing, rules, hosts);
    let mut schema = Vec::new();
    merge.read(&mut asking, &mut schema)?;
    merge.pair_metadata()?;
    merge.decide_objects(&mut asking)?;
    merge.decide_rows(&mut asking)?;
    let notes = merge.settle_names(&mut asking)?;
    merge.sweep();
    let is_leading = |conflict: &Conflict| !asking.following.contains(&conflict.id);
    let has_changes = !schema.is_empty() || asking.open.iter().any(is_leading) || merge.has_changes()?;
    let (tables, recounts) = if has_changes { merge.edits()? } else { Default::default() };
    let conflicts = if has_changes { asking.open } else { Vec::new() };
    let mut ids: Vec<_> = answers.resolved.keys().filter(|id| !asking.asked.contains(id)).copied().collect();
    if !ids.is_empty() {
        ids.sort_unstable();
        return Err(PlanError::UnknownAnswer { ids });
    }
    Ok(Plan { schema, tables, conflicts, notes, recounts })
}

/// Conflicts as they are met, and what was answered to them.
struct Asking<'a> {
    answers: &'a Answers,
    asked: HashSet<ConflictId>,
    /// What nobody has answered.
    open: Vec<Conflict>,
    /// Those that only matter where something else changes.
    following: HashSet<ConflictId>,
}

impl Asking<'_> {
    /// What a conflict gets; none where that is open.
    fn ask(&mut self, conflict: Conflict) -> Result<Option<Take>, PlanError> {
        let id = conflict.id;
        self.asked.insert(id);
        let take = self.answers.resolved.get(&id).cloned().or(self.answers.otherwise.map(Take::from));
        match take {
            Some(Take::Value(_)) if conflict.kind != ConflictKind::Cell => return Err(PlanError::NotACell { id }),
            Some(Take::Base) if conflict.kind == ConflictKind::Schema => return Err(PlanError::NoBase { id }),
            None => self.open.push(conflict),
            Some(_) => {}
        }
        Ok(take)
    }
}

/// All that is known while a merge is decided.
struct Merge<'a> {
    rules: &'a Rules,
    hosts: &'a Hosts,
    schemas: &'a Sides<Schema>,
    differing: &'a Differing,
    lookups: Sides<Lookup<'a>>,
    tables: Tables<'a>,
}

/// A row that is not the same on all sides.
#[derive(Debug, Default)]
struct MergedRow {
    /// What counts of it on each side: without what is noise there, and with the addresses of branches made one.
    rows: Sides<Option<Row>>,
    /// What the target's table has.
    stored: Option<Row>,
    /// Whether the base's table has it.
    was_stored: bool,
    after: After,
    /// Whether an object's conflict has decided it.
    is_decided: bool,
    /// Whether it changes only where something else does.
    follows: bool,
    /// Cells that count what is in other rows, and that both changed.
    counted: Vec<usize>,
}

/// What the target is to have of a row.
#[derive(Debug, Default, PartialEq)]
enum After {
    /// What it has.
    #[default]
    Stored,
    /// This. A cell that is none is left as it is, or gets the column's default.
    Row(Row),
    /// Nothing.
    Gone,
}

#[cfg(test)]
mod tests;
