//! Single rows of a database, by an indexed column.

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, params_from_iter};

use super::super::schema::{Schema, Table, quoted};
use super::super::{Cell, Row, Value};

/// One of the databases, to be asked for single rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lookup<'a> {
    pub(super) connection: &'a Connection,
    pub(super) schema: &'a Schema,
}

impl<'a> Lookup<'a> {
    /// A table by its name in lower case.
    pub(super) fn table(&self, name: &str) -> Option<&'a Table> {
        self.schema.tables.get(name)
    }

    /// The rows of a table that have these values in these columns, by the table's own comparisons: in these columns of
    /// them, of which one that the table has not is none. In the order of the key.
    pub(super) fn rows(&self, table: &str, columns: &[&str], by: &[(&str, &Value)]) -> rusqlite::Result<Vec<Row>> {
        let Some(table) = self.table(table) else { return Ok(Vec::new()) };
        let has = |name: &str| table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
        if !by.iter().all(|(column, _)| has(column)) {
            return Ok(Vec::new());
        }
        let present: Vec<_> = columns.iter().map(|column| has(column)).collect();
        let list: Vec<_> = columns
            .iter()
            .zip(&present)
            .map(|(column, present)| if *present { quoted(column) } else { "NULL".to_owned() })
            .collect();
        let condition: Vec<_> = by.iter().map(|(column, _)| format!("{} = ?", quoted(column))).collect();
        let key: Vec<_> = table.key.columns().iter().map(|column| quoted(column)).collect();
        let order = if key.is_empty() { String::new() } else { format!(" ORDER BY {}", key.join(",")) };
        let sql =
            format!("SELECT {} FROM {} WHERE {}{order}", list.join(","), quoted(&table.name), condition.join(" AND "));
        let mut statement = self.connection.prepare_cached(&sql)?;
        let values = by.iter().map(|(_, value)| ToSqlOutput::Borrowed(value.as_ref()));
        let mut found = statement.query(params_from_iter(values))?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let cell = |(number, present): (usize, &bool)| -> rusqlite::Result<Cell> {
                Ok(if *present { Some(row.get(number)?) } else { None })
            };
            rows.push(present.iter().enumerate().map(cell).collect::<Result<_, _>>()?);
        }
        Ok(rows)
    }

    /// The first of these rows.
    pub(super) fn row(&self, table: &str, columns: &[&str], by: &[(&str, &Value)]) -> rusqlite::Result<Option<Row>> {
        Ok(self.rows(table, columns, by)?.into_iter().next())
    }

    /// How many rows have these values in these columns, as bytes.
    pub(super) fn count(&self, table: &str, by: &[(&str, &Value)]) -> rusqlite::Result<usize> {
        let columns: Vec<_> = by.iter().map(|(column, _)| *column).collect();
        let is_it = |row: &Row| row.iter().zip(by).all(|(cell, (_, value))| cell.as_ref() == Some(*value));
        Ok(self.rows(table, &columns, by)?.iter().filter(|row| is_it(row)).count())
    }
}
