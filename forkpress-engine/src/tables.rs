//! The tables of a site's database, as SQLite knows them.

use rusqlite::Connection;

/// A table, but for those of SQLite and of the driver.
pub(crate) struct NamedTable {
    pub(crate) name: String,
    pub(crate) is_without_rowid: bool,
    /// The name, the type, and the place in the primary key of each column; that is 0 where it is not in it.
    pub(crate) columns: Vec<(String, String, i64)>,
}

/// All of them, by their names.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<NamedTable>> {
    let mut statement = connection.prepare(
        "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table' \
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_wp\\_sqlite\\_%' ESCAPE '\\' ORDER BY name",
    )?;
    let names = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let names: Vec<(String, bool)> = names.collect::<Result<_, _>>()?;
    let table = |(name, is_without_rowid): (String, bool)| {
        let mut statement = connection.prepare("SELECT name, type, pk FROM pragma_table_xinfo(?) WHERE hidden = 0")?;
        let columns = statement.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let columns = columns.collect::<Result<_, _>>()?;
        Ok(NamedTable { name, is_without_rowid, columns })
    };
    names.into_iter().map(table).collect()
}

/// A name as SQL has it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
