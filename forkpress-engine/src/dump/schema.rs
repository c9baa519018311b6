//! The database without rows that the SQLite driver makes tables in, and what it says of them.

use rusqlite::functions::FunctionFlags;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::charset::Charset;
use super::table::Table;
use super::value::ColumnKind;

/// The driver's own tables begin so.
pub(super) const OWN: &str = "substr(name, 1, 11) = '_wp_sqlite_'";

/// A column, as the driver made it.
#[derive(Clone, Debug)]
pub(super) struct MadeColumn {
    pub(super) name: String,
    pub(super) kind: ColumnKind,
    /// What a row without a value has, where the column takes no NULL and has no default.
    pub(super) implicit: Option<&'static str>,
    pub(super) is_not_null: bool,
}

/// A table, as the driver made it.
#[derive(Clone, Debug)]
pub(super) struct MadeTable {
    /// What makes it in SQLite.
    pub(super) sql: String,
    pub(super) columns: Vec<MadeColumn>,
}

/// An index or a trigger that the driver made.
#[derive(Clone, Debug)]
pub(super) struct MadeObject {
    pub(super) name: String,
    pub(super) table: String,
    pub(super) sql: String,
    pub(super) is_unique: bool,
}

/// Runs what the driver wrote, which may name functions that only its connections have.
pub(super) fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    loop {
        let Err(error) = connection.execute_batch(sql) else { return Ok(()) };
        let text = error.to_string();
        let Some(name) = text.split("no such function: ").nth(1).and_then(|rest| rest.split_whitespace().next()) else {
            return Err(error);
        };
        connection.create_scalar_function(name, -1, FunctionFlags::SQLITE_UTF8, |_| {
            Err::<Option<i64>, _>(rusqlite::Error::InvalidQuery)
        })?;
    }
}

/// Says what the driver made of a table.
pub(super) fn table(schema: &Connection, table: &Table) -> rusqlite::Result<MadeTable> {
    let sql = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE";
    let sql = schema.query_row(sql, [&table.name], |row| row.get(0))?;
    let columns = "SELECT COLUMN_NAME, DATA_TYPE, IS_NULLABLE, COLUMN_DEFAULT, EXTRA \
        FROM _wp_sqlite_mysql_information_schema_columns WHERE TABLE_NAME = ?1 ORDER BY ORDINAL_POSITION";
    let mut columns = schema.prepare(columns)?;
    let column = |row: &Row<'_>| {
        let (name, data_type): (String, String) = (row.get(0)?, row.get(1)?);
        // JSON and the like are in no character set of the table's.
        let column = table.column(&name).filter(|column| column.is_text());
        let charset = column.and_then(|column| Charset::of(&column.charset_in(table)?));
        let kind = ColumnKind::of(&data_type, charset.unwrap_or(Charset::Utf8));
        let (is_nullable, default, extra): (String, Option<String>, String) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let is_not_null = is_nullable == "NO";
        let needs_value = is_not_null && default.is_none() && !extra.contains("auto_increment");
        Ok(MadeColumn { name, kind, implicit: needs_value.then(|| kind.implicit(&data_type)), is_not_null })
    };
    let columns = columns.query_map([&table.name], column)?.collect::<Result<_, _>>()?;
    Ok(MadeTable { sql, columns })
}

/// Sets what the driver takes from a column, if any has one.
pub(super) fn set_collation(schema: &Connection, table: &str, collation: &str) -> rusqlite::Result<()> {
    let set = "UPDATE _wp_sqlite_mysql_information_schema_tables SET TABLE_COLLATION = ?2 WHERE TABLE_NAME = ?1";
    schema.execute(set, [table, collation]).map(drop)
}

/// The indexes that the driver made, and then its triggers; of one table or of all.
pub(super) fn objects(schema: &Connection, of: Option<&str>) -> rusqlite::Result<Vec<MadeObject>> {
    let sql = format!(
        "SELECT name, tbl_name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND sql IS NOT NULL \
         AND tbl_name NOT IN (SELECT name FROM sqlite_schema WHERE type = 'table' AND {OWN}) \
         AND (?1 IS NULL OR tbl_name = ?1 COLLATE NOCASE) ORDER BY type, rowid"
    );
    let object = |row: &Row<'_>| {
        let sql: String = row.get(2)?;
        Ok(MadeObject { name: row.get(0)?, table: row.get(1)?, is_unique: sql.starts_with("CREATE UNIQUE"), sql })
    };
    schema.prepare(&sql)?.query_map([of], object)?.collect()
}

/// Gives a database what the driver has noted about its tables.
pub(super) fn copy_notes(schema: &Connection, to: &Connection) -> rusqlite::Result<()> {
    let tables = format!("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND {OWN}");
    let tables: Vec<(String, String)> =
        schema.prepare(&tables)?.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    for (name, sql) in tables {
        let is_there = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        if to.query_row(is_there, [&name], |_| Ok(())).optional()?.is_none() {
            to.execute_batch(&sql)?;
        }
        to.execute(&format!("DELETE FROM \"{name}\""), [])?;
        // The driver goes by the order in which they were made.
        let mut select = schema.prepare(&format!("SELECT * FROM \"{name}\" ORDER BY rowid"))?;
        let places = vec!["?"; select.column_count()].join(", ");
        let mut insert = to.prepare(&format!("INSERT INTO \"{name}\" VALUES ({places})"))?;
        let count = select.column_count();
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let values: Vec<Value> = (0..count).map(|at| row.get(at)).collect::<Result<_, _>>()?;
            insert.execute(params_from_iter(values))?;
        }
    }
    Ok(())
}

/// Has the tables go on counting where the dump says.
pub(super) fn copy_sequences(schema: &Connection, to: &Connection) -> rusqlite::Result<()> {
    let Ok(mut sequences) = schema.prepare("SELECT name, seq FROM sqlite_sequence") else { return Ok(()) };
    let mut rows = sequences.query([])?;
    while let Some(row) = rows.next()? {
        let (name, last): (String, i64) = (row.get(0)?, row.get(1)?);
        let set = "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1";
        if to.execute(set, params![name, last])? == 0 {
            to.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)", params![name, last])?;
        }
    }
    Ok(())
}
