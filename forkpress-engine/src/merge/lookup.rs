//! The rows that conflicts are about, as a database has them.

use std::borrow::Cow;

use rusqlite::Connection;

use super::conflict_id::Conflict;
use super::{Row, Value, schema};

/// The row that a conflict is about: what a side has of it, or where that is one cell, all of it that a database has.
pub(super) fn row_of<'c>(
    conflict: &'c Conflict,
    row: Option<&'c Row>,
    connection: &Connection,
) -> rusqlite::Result<(Cow<'c, [String]>, Cow<'c, Row>)> {
    if let Some(row) = row.filter(|_| !conflict.columns.is_empty()) {
        return Ok((Cow::Borrowed(&conflict.columns), Cow::Borrowed(row)));
    }
    let (columns, row) = find(connection, &conflict.place.table, &conflict.place.key)?;
    Ok((Cow::Owned(columns), Cow::Owned(row)))
}

/// The names of a database's tables, in lower case.
pub(super) fn table_names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT lower(name) FROM sqlite_schema WHERE type = 'table'")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// The row with a key, as far as the database has it, and what its columns are called.
pub(super) fn find(connection: &Connection, table: &str, key: &[Value]) -> rusqlite::Result<(Vec<String>, Row)> {
    let mut columns: Vec<String> = Vec::new();
    {
        let mut statement = connection.prepare("SELECT name, pk FROM pragma_table_info(?1) ORDER BY pk = 0, pk")?;
        let mut rows = statement.query([table])?;
        let mut keyed = 0;
        while let Some(row) = rows.next()? {
            keyed += usize::from(row.get::<_, i64>(1)? > 0);
            columns.push(row.get(0)?);
        }
        let is_named = matches!(key, [Value::Text(_)]) && columns.iter().any(|column| column == "option_name");
        if is_named {
            columns.retain(|column| column != "option_name");
            columns.insert(0, "option_name".to_owned());
        } else if keyed != key.len() {
            return Ok((columns, key.iter().cloned().map(Some).collect()));
        }
    }
    let list: Vec<_> = columns.iter().map(|column| schema::quoted(column)).collect();
    let condition: Vec<_> = list[..key.len()].iter().map(|column| format!("{column} = ?")).collect();
    let sql = format!("SELECT {} FROM {} WHERE {}", list.join(","), schema::quoted(table), condition.join(" AND "));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(key.iter().map(Value::as_ref).map(ToSql)))?;
    match rows.next()? {
        Some(row) => {
            let cells = (0..columns.len()).map(|number| Ok(Some(row.get::<_, Value>(number)?)));
            let cells = cells.collect::<rusqlite::Result<Row>>()?;
            drop(rows);
            Ok((columns, cells))
        }
        None => Ok((columns, key.iter().cloned().map(Some).collect())),
    }
}

/// A borrowed value as a parameter.
struct ToSql<'a>(rusqlite::types::ValueRef<'a>);

impl rusqlite::ToSql for ToSql<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(rusqlite::types::ToSqlOutput::Borrowed(self.0))
    }
}
