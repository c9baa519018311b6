//! Rows whose foreign keys lead nowhere.

use std::collections::HashMap;

use rusqlite::Connection;

/// A row that refers to another one that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct BrokenReference {
    pub(crate) table: String,
    /// None of a table without row numbers, and where SQLite can't check the table's foreign keys.
    pub(crate) rowid: Option<i64>,
    /// The table that it refers to. Empty where SQLite can't check the table's foreign keys: what they refer to has no
    /// unique index, say.
    pub(crate) parent: String,
}

/// All rows of a database whose foreign keys lead nowhere.
pub(super) fn broken(connection: &Connection) -> rusqlite::Result<Vec<BrokenReference>> {
    let mut statement = connection.prepare(
        "SELECT DISTINCT s.name FROM sqlite_schema AS s JOIN pragma_foreign_key_list(s.name) WHERE s.type = 'table'",
    )?;
    let tables: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for table in tables {
        match broken_of(connection, &table) {
            Ok(broken) => found.extend(broken),
            Err(error) if is_mismatch(&error) => {
                found.push(BrokenReference { table, rowid: None, parent: String::new() });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn broken_of(connection: &Connection, table: &str) -> rusqlite::Result<Vec<BrokenReference>> {
    let mut statement = connection.prepare("SELECT \"table\", rowid, parent FROM pragma_foreign_key_check(?)")?;
    let rows = statement.query_map([table], |row| {
        Ok(BrokenReference { table: row.get(0)?, rowid: row.get(1)?, parent: row.get(2)? })
    })?;
    rows.collect()
}

/// Whether a foreign key can't be checked. SQLite has no code of its own for that.
fn is_mismatch(error: &rusqlite::Error) -> bool {
    error.to_string().contains("foreign key mismatch")
}

/// Those of `after` that were not there before.
pub(super) fn new(before: &[BrokenReference], after: Vec<BrokenReference>) -> Vec<BrokenReference> {
    let mut known: HashMap<&BrokenReference, usize> = HashMap::new();
    for row in before {
        *known.entry(row).or_default() += 1;
    }
    let is_new = |row: &BrokenReference| match known.get_mut(row) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    };
    let mut is_new = is_new;
    after.into_iter().filter(|row| is_new(row)).collect()
}

/// In a message.
pub(super) fn shown(rows: &[BrokenReference]) -> String {
    let text = |row: &BrokenReference| match (row.rowid, row.parent.as_str()) {
        (_, "") => format!("those of {} cannot be checked", row.table),
        (Some(rowid), parent) => format!("{} {rowid} to {parent}", row.table),
        (None, parent) => format!("{} to {parent}", row.table),
    };
    let first: Vec<_> = rows.iter().take(5).map(text).collect();
    let more =
        if rows.len() > first.len() { format!(", and {} more", rows.len() - first.len()) } else { String::new() };
    first.join(", ") + &more
}
