//! Puts the tables of a dump into a database that is in use, in one transaction.
//!
//! The dump is loaded into a database of its own first, and its tables are moved from there. What a dump does to tables that it
//! does not make itself, this can't do: then nothing is changed, and whoever asked for it takes another way.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::error::DumpError;
use super::options::{Loaded, Options};
use super::schema::{OWN, run};
use super::table::quote_name;
use super::{Driver, DumpFile, load, text};
use crate::disk::step;
use crate::progress::Progress;

/// How long somebody else may be writing.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The driver's notes on checks do not name the table.
const CHECKS: &str = "_wp_sqlite_mysql_information_schema_check_constraints";
const OF_CHECKS: &str = "CONSTRAINT_NAME IN (SELECT CONSTRAINT_NAME FROM \
    DATABASE._wp_sqlite_mysql_information_schema_table_constraints WHERE TABLE_NAME = ?1 AND CONSTRAINT_TYPE = 'CHECK')";

/// What came of a dump.
#[derive(Debug)]
pub enum Replaced {
    /// All of it is in the database.
    Done(Loaded),
    /// It does what this can't do, and nothing was changed.
    Unfit(String),
}

/// Puts a dump's tables into a database that the driver has made: each takes the place of the one of its name, tables
/// that the dump drops go, and all others stay. `scratch` is a folder with room for the dump, which is removed again.
///
/// # Errors
/// [`DumpError`]; nothing was changed then.
pub fn replace(
    files: Vec<DumpFile<'_>>,
    database: &Path,
    scratch: &Path,
    driver: &Driver,
    progress: &dyn Progress,
) -> Result<Replaced, DumpError> {
    let folder =
        step("make a folder in", scratch, || tempfile::Builder::new().prefix(".forkpress-load-").tempdir_in(scratch))?;
    let beside = folder.path().join("loaded");
    let loaded = match load(files, &beside, driver, &Options::default(), progress) {
        Ok(loaded) => loaded,
        // An older driver is none that it can be loaded by.
        Err(error @ (DumpError::Wrong { .. } | DumpError::Table { .. } | DumpError::Php { .. } | DumpError::Empty)) => {
            return Ok(Replaced::Unfit(error.to_string()));
        }
        Err(error) => return Err(error),
    };
    progress.begin("move the tables", Some(loaded.tables.len() as u64));
    // What SQLite refuses here was all taken back.
    let moved = move_tables(&beside, database, &loaded, progress).unwrap_or_else(|error| Some(error.to_string()));
    progress.end();
    Ok(moved.map_or(Replaced::Done(loaded), Replaced::Unfit))
}

/// Says why it can't, where that is so.
fn move_tables(from: &Path, to: &Path, loaded: &Loaded, progress: &dyn Progress) -> rusqlite::Result<Option<String>> {
    let connection = Connection::open(to)?;
    connection.busy_timeout(TIMEOUT)?;
    // What MySQL has let in is not asked again.
    connection.execute_batch(
        "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; PRAGMA legacy_alter_table = ON",
    )?;
    connection.execute("ATTACH ?1 AS loaded", [text(from)])?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let (there, made) = (tables(&connection, "main")?, tables(&connection, "loaded")?);
    let find = |name: &str| there.iter().find(|table| table.eq_ignore_ascii_case(name));
    if let Some(name) = loaded.not_dropped.iter().find_map(|name| find(name)) {
        return Ok(Some(format!("it makes the table {name}, which is there, and does not drop it")));
    }
    let notes = notes(&connection, "main")?;
    if notes != self::notes(&connection, "loaded")? {
        return Ok(Some("the database is of another version of the SQLite driver".to_owned()));
    }
    for name in loaded.dropped.iter().chain(&made).filter_map(|name| find(name)).collect::<BTreeSet<_>>() {
        forget(&connection, &notes, name)?;
    }
    for name in &made {
        take(&connection, &notes, name)?;
        progress.advance(1);
    }
    connection.execute_batch("COMMIT; DETACH loaded")?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(None)
}

/// The tables of a database, without the driver's and SQLite's own.
fn tables(connection: &Connection, database: &str) -> rusqlite::Result<Vec<String>> {
    let sql = format!(
        "SELECT name FROM {database}.sqlite_schema WHERE type = 'table' AND NOT {OWN} AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    );
    connection.prepare(&sql)?.query_map([], |row| row.get(0))?.collect()
}

/// A table of the driver's notes, and which of its rows are about the table `?1`.
#[derive(Debug, PartialEq, Eq)]
struct Notes {
    name: String,
    columns: String,
    about: &'static str,
}

/// The driver's notes about tables, those that others are found by last.
fn notes(connection: &Connection, database: &str) -> rusqlite::Result<Vec<Notes>> {
    let sql = format!(
        "SELECT m.name, (SELECT group_concat(quote(name)) FROM pragma_table_info(m.name, '{database}')) \
         FROM {database}.sqlite_schema m WHERE m.type = 'table' AND {OWN} ORDER BY m.name"
    );
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut notes = Vec::new();
    for row in rows {
        let (name, columns) = row?;
        let about = if columns.contains("'TABLE_NAME'") {
            "TABLE_NAME = ?1"
        } else if name == CHECKS {
            OF_CHECKS
        } else {
            continue;
        };
        notes.push(Notes { name, columns: columns.replace('\'', "\""), about });
    }
    Ok(notes)
}

/// Removes a table, with what the driver has noted about it.
fn forget(connection: &Connection, notes: &[Notes], table: &str) -> rusqlite::Result<()> {
    for Notes { name, about, .. } in notes {
        let about = about.replace("DATABASE", "main");
        connection.execute(&format!("DELETE FROM main.\"{name}\" WHERE {about}"), [table])?;
    }
    connection.execute_batch(&format!("DROP TABLE main.{}", quote_name(table)))
}

/// Moves a table of the dump to where it belongs, with what the driver has noted about it.
fn take(connection: &Connection, notes: &[Notes], table: &str) -> rusqlite::Result<()> {
    let sql = "SELECT sql, type = 'trigger' FROM loaded.sqlite_schema WHERE tbl_name = ?1 AND sql IS NOT NULL ORDER BY type <> 'table', rowid";
    let mut statement = connection.prepare(sql)?;
    let objects = statement.query_map([table], |row| Ok((row.get::<_, String>(0)?, row.get::<_, bool>(1)?)))?;
    let objects = objects.collect::<rusqlite::Result<Vec<_>>>()?;
    let make = |triggers: bool| objects.iter().filter(move |(_, is_trigger)| *is_trigger == triggers);
    // Tables of the dump have the same names as here, so SQLite takes them for those of the database that is in use.
    make(false).try_for_each(|(sql, _)| run(connection, sql))?;
    // With the keys made before, and no order asked for, SQLite copies pages of rows and keys as they are.
    let name = quote_name(table);
    connection.execute_batch(&format!("INSERT INTO main.{name} SELECT * FROM loaded.{name}"))?;
    make(true).try_for_each(|(sql, _)| run(connection, sql))?;
    copy_sequence(connection, table)?;
    for Notes { name, columns, about } in notes {
        let about = about.replace("DATABASE", "loaded");
        // The driver goes by the order in which they were made.
        let copy = format!(
            "INSERT INTO main.\"{name}\" ({columns}) SELECT {columns} FROM loaded.\"{name}\" WHERE {about} ORDER BY rowid"
        );
        connection.execute(&copy, [table])?;
    }
    Ok(())
}

/// Has a table go on counting where the dump says.
fn copy_sequence(connection: &Connection, table: &str) -> rusqlite::Result<()> {
    let sql = "SELECT 1 FROM loaded.sqlite_schema WHERE name = 'sqlite_sequence'";
    if connection.query_row(sql, [], |_| Ok(())).optional()?.is_none() {
        return Ok(());
    }
    let last = "SELECT seq FROM loaded.sqlite_sequence WHERE name = ?1";
    if let Some(last) = connection.query_row(last, [table], |row| row.get::<_, i64>(0)).optional()? {
        connection.execute("DELETE FROM main.sqlite_sequence WHERE name = ?1", [table])?;
        connection.execute("INSERT INTO main.sqlite_sequence (name, seq) VALUES (?1, ?2)", params![table, last])?;
    }
    Ok(())
}
