//! The bands that a database begins.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension};

/// Which tables begin a band, by their names in lower case, and the number below its first id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Starts(pub(super) BTreeMap<String, i64>);

impl Starts {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes the counters, within a transaction of the caller's, if it has begun one. None is set back. A table that has gone
    /// meanwhile is left out.
    pub(crate) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        // There is none before the first table of its kind is made.
        let is_there = connection
            .query_row("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'", [], |_| Ok(()))
            .optional()?
            .is_some();
        if !is_there {
            return Ok(());
        }
        let mut set = connection.prepare(
            "UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1 COLLATE NOCASE AND CAST(seq AS INTEGER) < ?2",
        )?;
        // An empty table has no counter.
        let mut add = connection.prepare(
            "INSERT INTO sqlite_sequence (name, seq) SELECT s.name, ?2 FROM sqlite_schema AS s \
             WHERE s.type = 'table' AND s.name = ?1 COLLATE NOCASE AND s.sql LIKE '%autoincrement%' \
             AND NOT EXISTS (SELECT 1 FROM sqlite_sequence AS q WHERE q.name = s.name)",
        )?;
        for (table, start) in &self.0 {
            set.execute((table, start))?;
            add.execute((table, start))?;
        }
        Ok(())
    }
}
