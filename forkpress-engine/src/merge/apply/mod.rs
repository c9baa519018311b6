//! Does what a [`Plan`] says to a copy of the target's database: all of it in one transaction, or nothing.
//!
//! 1. [`check`]: is each row as the plan says it is? Nothing is written before all are looked at.
//! 2. [`schema`]: tables that the target gets, or loses.
//! 3. [`rows`]: all removals, then all updates, then all insertions. So what goes makes room for what comes. Before the
//!    insertions, the indexes and triggers of the tables that came.
//! 4. [`recount`]: what WordPress counts.
//! 5. [`references`]: does a foreign key lead nowhere that led somewhere before?
//!
//! Triggers are off meanwhile: the driver's would stamp rows with the time of the merge, and the plan has what the triggers
//! did in the source. Foreign keys are off, too: to drop a table, or to write its rows in our order, would cascade.
//!
//! Values are compared by their bytes. A key is looked up by its column's collation, so that the index serves, and by its
//! bytes.
//!
//! # What whoever calls has to know
//!
//! - The plan does not say what a table was like before. Where SQLite's `schema_version` of the target has changed since
//!   the plan was made, make another plan: a table of the source's might replace one that somebody has just altered.
//! - Nor does it list the rows of a table that goes, or that comes whole in place of another. Where there is such a table
//!   and anything at all has been written to the target since, make another plan.
//! - Afterwards `AUTOINCREMENT` goes on above the highest id of the table, which may be in the source's band.
//! - `quick_check`, [`fold`] and the syncing of the files are left to the caller.

mod check;
mod recount;
mod references;
mod rows;
mod schema;

use std::fmt::Write as _;

use rusqlite::config::DbConfig;
use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID, SQLITE_CONSTRAINT_UNIQUE};
use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, ToSql, TransactionBehavior};
use thiserror::Error;

pub(crate) use references::BrokenReference;

use super::Value;
use super::plan::{Plan, TableEdits};
use super::schema::quoted;

/// How many rows a merge has changed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) inserted: usize,
    pub(crate) updated: usize,
    pub(crate) removed: usize,
}

/// Why a plan is not applied. The target is as it was.
#[derive(Debug, Error)]
pub(crate) enum ApplyError {
    /// Something is still to be decided by people.
    #[error("{conflicts} conflicts are not decided")]
    Undecided {
        /// How many.
        conflicts: usize,
    },
    /// A row is not as it was when the plan was made.
    #[error("the table {table} has changed since the merge was planned, at {}", shown(key))]
    Stale {
        /// The table.
        table: String,
        /// The row's key; of a table without one, the whole row.
        key: Vec<Value>,
    },
    /// What the merge writes has another row's value, where no two rows may have the same.
    #[error("a unique index of the table {table} does not take {}", shown(key))]
    Duplicate {
        /// The table.
        table: String,
        /// The key of the row that was to be written, as far as it has one. Empty where an index of the source's does not
        /// take rows of the target's.
        key: Vec<Value>,
        /// What SQLite said: it names the columns.
        source: rusqlite::Error,
    },
    /// Rows refer to others that are not there, and did not before.
    #[error("foreign keys lead nowhere: {}", references::shown(rows))]
    ForeignKeys {
        /// The rows that refer to nothing.
        rows: Vec<BrokenReference>,
    },
    /// The plan has a value for a column that the table has not, or none for one that it has.
    #[error("the plan does not fit the column {column} of the table {table}")]
    Misfit {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A table can't be made, altered or dropped.
    #[error("cannot write the table {table}")]
    Table {
        /// The table.
        table: String,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A row can't be written.
    #[error("cannot write the row {} of the table {table}", shown(key))]
    Row {
        /// The table.
        table: String,
        /// The row's key.
        key: Vec<Value>,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The database can't be read or written.
    #[error("cannot merge into the database")]
    Database(#[from] rusqlite::Error),
}

impl ApplyError {
    /// What SQLite says of a row that it does not write.
    fn of_row(table: &str, key: Vec<Value>, source: rusqlite::Error) -> Self {
        let table = table.to_owned();
        let code = source.sqlite_error().map(|error| error.extended_code);
        let twice = [SQLITE_CONSTRAINT_UNIQUE, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID];
        if code.is_some_and(|code| twice.contains(&code)) {
            Self::Duplicate { table, key, source }
        } else {
            Self::Row { table, key, source }
        }
    }
}

/// How the target is open while a plan is applied.
const MODES: [(DbConfig, bool); 4] = [
    (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
    (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false),
    // Renames a table without rewriting what refers to it.
    (DbConfig::SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, true),
    // The quoted name of a column that is not there is an error, and no text.
    (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
];

/// Applies a plan to a copy of the target's database. The source is in the read transaction that the plan was made in.
/// `prefix` is what the names of WordPress's tables begin with.
///
/// # Errors
/// [`ApplyError`]. The target is then as it was.
pub(crate) fn apply(
    target: &mut Connection,
    source: &Connection,
    plan: &Plan,
    prefix: &str,
) -> Result<Applied, ApplyError> {
    if !plan.conflicts.is_empty() {
        return Err(ApplyError::Undecided { conflicts: plan.conflicts.len() });
    }
    let mut before = Vec::new();
    for (mode, value) in MODES {
        before.push((mode, target.db_config(mode)?));
        target.set_db_config(mode, value)?;
    }
    let applied = in_transaction(target, source, plan, prefix);
    for (mode, value) in before {
        target.set_db_config(mode, value)?;
    }
    applied
}

fn in_transaction(
    target: &mut Connection,
    source: &Connection,
    plan: &Plan,
    prefix: &str,
) -> Result<Applied, ApplyError> {
    let transaction = target.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let broken_before = references::broken(&transaction)?;
    check::check(&transaction, plan)?;
    let attached = schema::edit(&transaction, source, &plan.schema)?;
    let mut rows = rows::Rows::of(&transaction, &plan.tables)?;
    rows.remove()?;
    rows.update()?;
    schema::attach(&transaction, &attached)?;
    let applied = rows.insert()?;
    recount::recount(&transaction, prefix, &plan.recounts)?;
    let rows = references::new(&broken_before, references::broken(&transaction)?);
    if !rows.is_empty() {
        return Err(ApplyError::ForeignKeys { rows });
    }
    transaction.commit()?;
    Ok(applied)
}

/// Moves what is in the write-ahead log into the database, so that the file alone is all of it, and closes it.
///
/// # Errors
/// What SQLite says, and [`rusqlite::ffi::ErrorCode::DatabaseBusy`] where somebody else has the database open.
pub(crate) fn fold(connection: Connection) -> rusqlite::Result<()> {
    let is_busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, None));
    }
    connection.close().map_err(|(_, error)| error)
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.as_ref()))
    }
}

/// A condition for the row of a key, whose columns are the first parameters.
fn has_key(edits: &TableEdits) -> String {
    let columns = edits.columns[..edits.key_columns].iter().enumerate();
    let same = |(number, column): (usize, &String)| {
        let (column, number) = (quoted(column), number + 1);
        format!("{column} = ?{number} AND {column} = ?{number} COLLATE BINARY")
    };
    columns.map(same).collect::<Vec<_>>().join(" AND ")
}

/// Where a column is among others. Names of columns have no case.
fn place(columns: &[String], name: &str) -> Option<usize> {
    columns.iter().position(|column| column.eq_ignore_ascii_case(name))
}

/// A name of the row's number in a table without a key. A column may have taken one.
fn row_number(edits: &TableEdits) -> Result<&'static str, ApplyError> {
    let names = ["rowid", "_rowid_", "oid"];
    let free = names.into_iter().find(|name| place(&edits.columns, name).is_none());
    free.ok_or_else(|| ApplyError::Misfit { table: edits.table.clone(), column: names[0].to_owned() })
}

/// How far `AUTOINCREMENT` has counted in a table.
fn sequence(connection: &Connection, table: &str) -> rusqlite::Result<Option<i64>> {
    let is_there: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence')",
        [],
        |row| row.get(0),
    )?;
    if !is_there {
        return Ok(None);
    }
    let sql = "SELECT max(seq) FROM sqlite_sequence WHERE name = ? COLLATE NOCASE";
    connection.query_row(sql, [table], |row| row.get(0))
}

/// A key or a row in a message.
fn shown(key: &[Value]) -> String {
    let mut text = String::from("(");
    for (number, value) in key.iter().enumerate() {
        let comma = if number > 0 { ", " } else { "" };
        let _ = match value {
            Value::Null => write!(text, "{comma}NULL"),
            Value::Integer(value) => write!(text, "{comma}{value}"),
            Value::Real(value) => write!(text, "{comma}{value}"),
            Value::Text(value) => write!(text, "{comma}{:?}", String::from_utf8_lossy(value)),
            Value::Blob(value) => write!(text, "{comma}a blob of {} bytes", value.len()),
        };
    }
    text + ")"
}

#[cfg(test)]
mod tests;
