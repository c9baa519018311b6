//! Tables that the target gets from the source, or loses, with what the SQLite driver notes of them.
//!
//! # How the driver (3.0.2) changes tables
//!
//! - It notes MySQL's view of a table in `_wp_sqlite_mysql_information_schema_*`: one row in `tables`, one a column in
//!   `columns`, one a column of an index in `statistics`, one a key or constraint in `table_constraints`, one a column of
//!   these in `key_column_usage`; `referential_constraints` and `check_constraints` as their names say. The rows are told
//!   apart by names. There are no ids in them, and nothing is kept between two requests.
//! - It makes SQLite's statements from these rows. Indexes are made, and shown by `SHOW CREATE TABLE`, in the order of the
//!   rows in `statistics`. So rows are copied in their order.
//! - `CREATE TABLE` writes the name in backquotes. `ALTER TABLE` makes another table, copies the rows, drops the old one and
//!   renames: the name is then in double quotes. The statement comes to the target byte for byte, or the next comparison
//!   would find another schema.
//! - `ALTER TABLE` lets the counter of `AUTOINCREMENT` fall to the highest id. Here it stays where it was.
//! - `ADD COLUMN` of a column that is `NOT NULL` without a default fails where the table has rows; MySQL fills in what is
//!   nothing for the type. So does a merge, as only the source's table needs to be empty.
//! - `DROP TABLE` leaves the rows in `key_column_usage`, `referential_constraints` and `check_constraints`. A table of the
//!   same name with a check or a foreign key can't be made anew after that. Here they go with the table.
//! - `ALTER TABLE` and `DROP TABLE` of a table that others refer to act on these as `ON DELETE` says: rows go with
//!   `CASCADE`, lose their reference with `SET NULL`, and with `RESTRICT` the statement fails. The driver turns foreign keys
//!   off, but in a transaction, where SQLite does not do that.
//! - `RENAME COLUMN` fails, and `RENAME TO` does nothing. `FIRST` and `AFTER` do nothing either.
//! - A trigger for `ON UPDATE CURRENT_TIMESTAMP` is made only where the column has no `DEFAULT CURRENT_TIMESTAMP` as well.
//!
//! # How a table comes
//!
//! Either whole, after a `Drop`: without the rows of the target's. Or in place of the target's, of which the rows stay:
//! the target's table gets another name, the source's is made under its own, the rows are copied, the old one is dropped.
//! Indexes are made once the rows that it has are as the merge has them: a new column may get its values only then, and no
//! two rows may share one. What is inserted meets the indexes, so an error can tell its key. Whether the rows are as the
//! plan says is looked at before, in the table as it was.

use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::super::Value;
use super::super::plan::SchemaEdit;
use super::super::schema::{INFORMATION_PREFIX, InformationTable, TIMES, columns_and_key, information_tables, quoted};
use super::{ApplyError, place, sequence};

/// What the target's table is called until its rows are copied.
const ASIDE: &str = "_forkpress_merge_aside";

/// An index or a trigger that is still to be made.
pub(super) struct Attached {
    table: String,
    sql: String,
}

/// Makes and drops tables, and gives the indexes and triggers of those that were made.
pub(super) fn edit(
    target: &Connection,
    source: &Connection,
    edits: &[SchemaEdit],
) -> Result<Vec<Attached>, ApplyError> {
    let mut attached = Vec::new();
    for edit in edits {
        let (SchemaEdit::Take { table } | SchemaEdit::Drop { table }) = edit;
        let failed = |source| ApplyError::Table { table: table.clone(), source };
        match edit {
            SchemaEdit::Take { table } => {
                take(target, source, table).map_err(failed)?;
                let statements = attached_to(source, table).map_err(failed)?;
                attached.extend(statements.into_iter().map(|sql| Attached { table: table.clone(), sql }));
            }
            SchemaEdit::Drop { table } => {
                target.execute_batch(&format!("DROP TABLE {}", quoted(table))).map_err(failed)?;
                forget(target, table).map_err(failed)?;
            }
        }
    }
    Ok(attached)
}

/// Makes the indexes and triggers.
pub(super) fn attach(target: &Connection, attached: &[Attached]) -> Result<(), ApplyError> {
    for Attached { table, sql } in attached {
        target.execute_batch(sql).map_err(|source| ApplyError::of_row(table, Vec::new(), source))?;
    }
    Ok(())
}

fn take(target: &Connection, source: &Connection, table: &str) -> rusqlite::Result<()> {
    let (name, sql): (String, String) = source.query_row(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE",
        [table],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let (old, _) = columns_and_key(target, table)?;
    let old: Vec<_> = old.into_iter().map(|column| column.name).collect();
    let counted = sequence(target, table)?;
    if !old.is_empty() {
        target.execute_batch(&format!("ALTER TABLE {} RENAME TO {}", quoted(table), quoted(ASIDE)))?;
    }
    target.execute_batch(&sql)?;
    note(target, source, table)?;
    if !old.is_empty() {
        copy_rows(target, &name, &old)?;
        target.execute_batch(&format!("DROP TABLE {}", quoted(ASIDE)))?;
        if let Some(counted) = counted {
            count_on(target, &name, counted)?;
        }
    }
    Ok(())
}

/// Copies what is in the columns that both tables have.
fn copy_rows(target: &Connection, table: &str, old: &[String]) -> rusqlite::Result<()> {
    let (columns, _) = columns_and_key(target, table)?;
    let (mut names, mut from) = (Vec::new(), Vec::new());
    for column in columns.iter().map(|column| &column.name).filter(|name| place(old, name).is_some()) {
        names.push(quoted(column));
        from.push(quoted(column));
    }
    let mut filled = Vec::new();
    for (column, value) in nothing_in(target, table)? {
        if place(old, &column).is_none() {
            names.push(quoted(&column));
            from.push("?".to_owned());
            filled.push(value);
        }
    }
    let (names, from) = (names.join(","), from.join(","));
    let sql = format!("INSERT INTO {} ({names}) SELECT {from} FROM {}", quoted(table), quoted(ASIDE));
    target.execute(&sql, params_from_iter(filled))?;
    Ok(())
}

/// The columns that are not to be NULL and have no default, and what MySQL writes there where nothing is given.
pub(super) fn nothing_in(target: &Connection, table: &str) -> rusqlite::Result<Vec<(String, Value)>> {
    let mut statement = target.prepare(
        "SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden = 0 AND \"notnull\" AND dflt_value IS NULL AND pk = 0",
    )?;
    let columns: Vec<(String, String)> =
        statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let noted = format!("{INFORMATION_PREFIX}columns");
    let is_noted = !columns.is_empty() && !columns_and_key(target, &noted)?.0.is_empty();
    let mut found = Vec::new();
    for (column, declared) in columns {
        let sql = format!("SELECT DATA_TYPE FROM {noted} WHERE TABLE_NAME = ? AND COLUMN_NAME = ?");
        let of_mysql: Option<String> = match is_noted {
            true => target.query_row(&sql, [table, &column], |row| row.get(0)).optional()?,
            false => None,
        };
        let value = match (of_mysql.as_deref(), declared.as_str()) {
            (Some("date"), _) => Value::text("0000-00-00"),
            (Some("time"), _) => Value::text("00:00:00"),
            (Some("datetime" | "timestamp"), _) => Value::text("0000-00-00 00:00:00"),
            (Some("year"), _) => Value::text("0000"),
            (Some("json"), _) => Value::text("null"),
            (_, "INTEGER" | "INT" | "REAL") => Value::Integer(0),
            (_, "BLOB") => Value::Blob(Vec::new()),
            _ => Value::text(""),
        };
        found.push((column, value));
    }
    Ok(found)
}

/// Lets `AUTOINCREMENT` go on above what it had counted, and above all ids.
fn count_on(target: &Connection, table: &str, counted: i64) -> rusqlite::Result<()> {
    let (_, key) = columns_and_key(target, table)?;
    let Some(column) = key.columns().first() else { return Ok(()) };
    let (.., is_autoincrement) = target.column_metadata(Some("main"), table, column)?;
    if is_autoincrement {
        let counted = counted.max(sequence(target, table)?.unwrap_or_default());
        target.execute("DELETE FROM sqlite_sequence WHERE name = ?", [table])?;
        target.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", params![table, counted])?;
    }
    Ok(())
}

/// The statements of a table's indexes and triggers, in the order in which they were made.
fn attached_to(source: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = source.prepare(
        "SELECT sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND tbl_name = ? COLLATE NOCASE \
         AND sql IS NOT NULL ORDER BY rowid",
    )?;
    let rows = statement.query_map([table], |row| row.get(0))?;
    rows.collect()
}

/// Deletes the driver's notes of a table, and those of tables that are not there any more: names in these may be in the way.
fn forget(target: &Connection, table: &str) -> rusqlite::Result<()> {
    for InformationTable { name, owner, .. } in information_tables(target)? {
        let sql = format!(
            "DELETE FROM {} AS t WHERE {owner} = ? COLLATE NOCASE OR NOT EXISTS \
             (SELECT 1 FROM sqlite_schema AS s WHERE s.type IN ('table', 'view') AND s.name = {owner} COLLATE NOCASE)",
            quoted(&name)
        );
        target.execute(&sql, [table])?;
    }
    Ok(())
}

/// Gives the target the source's notes of a table. When the table was made stays as the target has it.
fn note(target: &Connection, source: &Connection, table: &str) -> rusqlite::Result<()> {
    let times = times(target, table)?;
    forget(target, table)?;
    for InformationTable { name, mut columns, owner } in information_tables(source)? {
        let (present, _) = columns_and_key(target, &name)?;
        if present.is_empty() {
            let sql: String = source.query_row(
                "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?",
                [&name],
                |row| row.get(0),
            )?;
            target.execute_batch(&sql)?;
        } else {
            // Another version of the driver may have others.
            columns.retain(|column| present.iter().any(|present| present.name == *column));
        }
        let list = columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(",");
        let mut statement = source.prepare(&format!(
            "SELECT {list} FROM {} AS t WHERE {owner} = ? COLLATE NOCASE ORDER BY rowid",
            quoted(&name)
        ))?;
        let marks = vec!["?"; columns.len()].join(",");
        let mut insertion = target.prepare(&format!("INSERT INTO {} ({list}) VALUES ({marks})", quoted(&name)))?;
        let mut rows = statement.query([table])?;
        while let Some(row) = rows.next()? {
            let values: Vec<Value> = (0..columns.len()).map(|number| row.get(number)).collect::<Result<_, _>>()?;
            insertion.execute(params_from_iter(values))?;
        }
    }
    for Time { noted_in, column, value } in times {
        let sql =
            format!("UPDATE {} SET {} = ? WHERE TABLE_NAME = ? COLLATE NOCASE", quoted(&noted_in), quoted(&column));
        target.execute(&sql, params![value, table])?;
    }
    Ok(())
}

/// When something happened to a table, as the driver notes it.
struct Time {
    noted_in: String,
    column: String,
    value: Value,
}

fn times(target: &Connection, table: &str) -> rusqlite::Result<Vec<Time>> {
    let mut found = Vec::new();
    for InformationTable { name, columns, owner } in information_tables(target)? {
        for column in columns.into_iter().filter(|column| TIMES.contains(&column.as_str())) {
            let sql =
                format!("SELECT {} FROM {} AS t WHERE {owner} = ? COLLATE NOCASE", quoted(&column), quoted(&name));
            let value = target.query_row(&sql, [table], |row| row.get(0)).optional()?;
            found.extend(value.map(|value| Time { noted_in: name.clone(), column, value }));
        }
    }
    Ok(found)
}
