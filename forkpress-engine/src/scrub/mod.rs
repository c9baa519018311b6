//! Replaces people's data in a site's database by that of people who do not exist.
//!
//! Ids and what rows say of each other stay. One person becomes the same one everywhere: whoever has the same e-mail address.
//! What somebody becomes follows from a keyed hash, so that the same database gives the same result each time. The key is
//! the password's hash of the first user: it comes with each dump of the site, and is not in the result. So nobody can find out
//! who became whom by trying e-mail addresses.
//!
//! `rules` knows tables and keys of WordPress and of plugins, `naming` what a column or a key of others has by what it is
//! called, `kind` what stands in the place of each kind of data, `text` takes values apart.

mod emails;
mod kind;
mod naming;
mod people;
mod person;
mod rows;
mod rules;
mod tables;
mod text;
mod words;

use std::io;
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;
use thiserror::Error;

use crate::progress::{Progress, interruptible};
use crate::tables::quoted;
use people::People;
use person::Key;
use rows::{Outcome, Owners, Scrubber};
use tables::Table;
use text::Counts;

/// Why people's data is not replaced. The database is of no use then.
#[derive(Debug, Error)]
pub enum ScrubError {
    /// The database can't be read or written.
    #[error(transparent)]
    Database(#[from] rusqlite::Error),
    /// It was to end.
    #[error(transparent)]
    Ended(#[from] io::Error),
}

/// What was replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scrubbed {
    /// How many values, by their kind.
    pub replaced: Counts,
    /// How many rows changed.
    pub rows: u64,
    /// How many rows are gone: sessions, copies, and what would not have been unique. Not those of emptied tables.
    pub removed_rows: u64,
    /// The tables that had rows and have none now: logs, sessions, keys.
    pub emptied: Vec<String>,
    /// The tables with texts that no rule knows. Their columns were judged by their names alone.
    pub by_names_only: Vec<String>,
    /// Whether it is of no use to try who became whom. Not so where no user has a password.
    pub has_key: bool,
}

/// Replaces people's data in a database that nobody else uses. Nothing that was replaced is in the file afterwards.
///
/// `prefix`: that of the tables.
///
/// # Errors
/// [`ScrubError`]; the file is to be thrown away then.
pub fn scrub(database: &Path, prefix: &str, progress: &dyn Progress) -> Result<Scrubbed, ScrubError> {
    let connection = Connection::open(database)?;
    connection.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA foreign_keys = OFF; PRAGMA secure_delete = ON")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    let scrubbed = replace(&connection, prefix, progress)?;
    progress.begin("pack the database", None);
    // What is gone may be in what was not full before.
    interruptible(&connection.get_interrupt_handle(), progress, || connection.execute_batch("VACUUM"))?;
    progress.end();
    connection.close().map_err(|(_, error)| error)?;
    Ok(scrubbed)
}

fn replace(connection: &Connection, prefix: &str, progress: &dyn Progress) -> Result<Scrubbed, ScrubError> {
    let transaction = connection.unchecked_transaction()?;
    let (gone, tables): (Vec<_>, Vec<_>) =
        tables::all(connection, prefix)?.into_iter().partition(|table| rules::is_emptied(&table.base));
    let secret = secret(connection, &tables)?;
    let mut scrubbed = Scrubbed { has_key: secret.is_some(), ..Scrubbed::default() };
    for table in gone {
        if connection.execute(&format!("DELETE FROM {}", quoted(&table.name)), [])? > 0 {
            scrubbed.emptied.push(table.name);
        }
    }
    // What helps to plan queries are copies of values.
    let has_samples = "SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat4'";
    if connection.query_row(has_samples, [], |_| Ok(())).optional()?.is_some() {
        connection.execute("DELETE FROM sqlite_stat4", [])?;
    }
    let (people, owners) = learn(connection, &tables, secret.as_deref().unwrap_or_default())?;
    progress.go_on()?;
    progress.begin("replace people's data", Some(rows_of(connection, &tables)?));
    for table in tables.iter().filter(|table| table.has_texts() && !table.key.is_empty()) {
        let mut counts = Counts::new();
        let mut scrubber = Scrubber { people: &people, owners: &owners, counts: &mut counts };
        let (mut changed, mut removed) = (0, 0);
        scrubber.table(connection, table, |outcome| {
            progress.advance(1);
            match outcome {
                Outcome::Same => {}
                Outcome::Changed => changed += 1,
                Outcome::Removed => removed += 1,
            }
            progress.go_on().map_err(ScrubError::from)
        })?;
        for (what, count) in counts {
            *scrubbed.replaced.entry(what).or_default() += count;
        }
        scrubbed.rows += changed;
        scrubbed.removed_rows += removed;
        if !rules::is_known(&table.base) {
            scrubbed.by_names_only.push(table.name.clone());
        }
    }
    transaction.commit()?;
    progress.end();
    Ok(scrubbed)
}

/// What only whoever has the original knows, and is the same in each dump of it.
fn secret(connection: &Connection, tables: &[Table]) -> rusqlite::Result<Option<Vec<u8>>> {
    let users = tables.iter().filter(|table| table.base == "users" && table.column("user_pass").is_some());
    for table in users {
        let query = format!(
            "SELECT CAST(user_pass AS BLOB) FROM {} WHERE user_pass NOT IN ('', '{}') ORDER BY ID LIMIT 1",
            quoted(&table.name),
            kind::NO_PASSWORD
        );
        if let Some(secret) = connection.query_row(&query, [], |row| row.get(0)).optional()? {
            return Ok(Some(secret));
        }
    }
    Ok(None)
}

fn learn(connection: &Connection, tables: &[Table], secret: &[u8]) -> rusqlite::Result<(People, Owners)> {
    let (mut people, mut owners) = (People::new(Key::of(secret)), Owners::new());
    for table in tables.iter().filter(|table| table.base == "users") {
        rows::learn_users(connection, table, &mut people)?;
    }
    for table in tables {
        rows::learn(connection, table, &mut people, &mut owners)?;
    }
    Ok((people, owners))
}

fn rows_of(connection: &Connection, tables: &[Table]) -> rusqlite::Result<u64> {
    let count = |table: &Table| {
        connection.query_row(&format!("SELECT COUNT(*) FROM {}", quoted(&table.name)), [], |row| row.get::<_, u64>(0))
    };
    tables.iter().map(count).sum()
}

#[cfg(test)]
mod tests;
