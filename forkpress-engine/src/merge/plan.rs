//! What a merge is going to do to the target's database: all of it, decided before anything is written.
//!
//! A plan is made from three databases at rest, and applied to a copy of the target. What it changes, it names with what
//! was there before: where that is not so any more, nothing is applied.

use super::decide::Conflict;
use super::{Cell, Row, Value};

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
