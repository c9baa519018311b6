//! What is done when all rows are there: tables that were defined further, indexes, and the driver's notes.

use rusqlite::types::ValueRef;

use super::batch::Mode;
use super::error::{DumpError, DumpLine};
use super::schema::{self, MadeObject};
use super::table::{Key, KeyKind, Table, quote_name};
use super::writer::{LoadingTable, Writer, shown};
use crate::progress::Progress;

/// More rows without what they refer to are not counted.
const MOST_ORPHANS: usize = 1000;

impl Writer<'_> {
    /// Makes the database whole.
    pub(super) fn finish(&mut self, progress: &dyn Progress) -> Result<(), DumpError> {
        for key in self.tables.keys().cloned().collect::<Vec<_>>() {
            self.settle(&key)?;
        }
        self.note_values();
        self.make_objects(progress)?;
        schema::copy_notes(self.schema, self.connection)?;
        schema::copy_sequences(self.schema, self.connection)?;
        self.note_orphans()
    }

    /// Makes a table what it is to be, and puts its rows where they belong.
    fn settle(&mut self, key: &str) -> Result<(), DumpError> {
        let Some(mut loading) = self.tables.remove(key) else { return Ok(()) };
        let before = loading.made.sql.clone();
        if loading.is_altered {
            self.undefine(&loading.table)?;
            (loading.table, loading.made) = self.define(loading.table, &loading.place)?;
        }
        if loading.is_waiting || loading.made.sql != before {
            self.move_rows(&mut loading)?;
        }
        self.tables.insert(key.to_owned(), loading);
        Ok(())
    }

    fn move_rows(&mut self, loading: &mut LoadingTable) -> Result<(), DumpError> {
        let mut from = loading.name();
        if !loading.is_waiting {
            from = "main._forkpress_former".to_owned();
            self.run(&format!("ALTER TABLE {} RENAME TO _forkpress_former", loading.name()))?;
        }
        loading.is_waiting = false;
        self.make("main", &loading.made.sql)?;
        let mode = loading.repeats.filter(|_| loading.may_replace()).unwrap_or_default();
        if mode != Mode::Refuse {
            self.make_unique_now(loading)?;
        }
        let or = mode.sql();
        let columns: Vec<_> = loading.made.columns.iter().map(|column| quote_name(&column.name)).collect();
        let columns = columns.join(", ");
        let copy =
            format!("INSERT{or} INTO {} ({columns}) SELECT {columns} FROM {from} ORDER BY rowid", loading.name());
        if let Err(error) = self.run(&copy) {
            let primary = loading.table.keys.iter().find(|key| key.kind == KeyKind::Primary);
            let duplicate = match primary {
                Some(key) => self.duplicate(&loading.table, key, &from, &loading.place)?,
                None => None,
            };
            return Err(duplicate.unwrap_or_else(|| DumpError::Wrong {
                place: loading.place.clone(),
                what: match error {
                    DumpError::Sqlite(error) => format!("{} does not take its rows: {error}", loading.table.name),
                    other => other.to_string(),
                },
            }));
        }
        self.run(&format!("DROP TABLE {from}"))
    }

    fn make_objects(&mut self, progress: &dyn Progress) -> Result<(), DumpError> {
        let objects = schema::objects(self.schema, None)?;
        // To sort takes several times as much memory as the cache may.
        self.run("PRAGMA main.cache_size = -12288; PRAGMA shrink_memory")?;
        progress.begin("make the keys", Some(objects.len() as u64));
        for object in objects {
            self.make_object(&object)?;
            progress.advance(1);
        }
        progress.end();
        Ok(())
    }

    fn make_object(&mut self, object: &MadeObject) -> Result<(), DumpError> {
        let Some(loading) = self.tables.get(&object.table.to_lowercase()) else { return Ok(()) };
        if !object.is_unique {
            return self.run(&object.sql);
        }
        let key = loading.key_of(object);
        if loading.repeats.is_some() {
            self.run(&format!("DROP INDEX IF EXISTS {}", quote_name(&object.name)))?;
        }
        // A statement that fails can't be taken back, without a journal: rows are looked at before.
        if let Some(key) = key.filter(|key| key.tells_case_apart(&loading.table))
            && self.duplicate(&loading.table, key, &loading.name(), &loading.place)?.is_some()
        {
            self.run(&key.sql_with_case(&loading.table, &object.name))?;
            let note = "has texts that differ by case alone, so its index tells these apart";
            self.notes.push(format!("{}: the key {} {note}", loading.table.name, key.shown_name()));
            return Ok(());
        }
        let Err(error) = self.run(&object.sql) else { return Ok(()) };
        let duplicate = match key {
            Some(key) => self.duplicate(&loading.table, key, &loading.name(), &loading.place)?,
            None => None,
        };
        Err(duplicate.unwrap_or(error))
    }

    /// Two rows that have the same key, if there are.
    fn duplicate(
        &self,
        table: &Table,
        key: &Key,
        from: &str,
        place: &DumpLine,
    ) -> Result<Option<DumpError>, DumpError> {
        let columns: Vec<_> = key.parts.iter().map(|part| quote_name(&part.column)).collect();
        let are_there: Vec<_> = columns.iter().map(|column| format!("{column} IS NOT NULL")).collect();
        let (columns, are_there) = (columns.join(", "), are_there.join(" AND "));
        let sql =
            format!("SELECT {columns} FROM {from} WHERE {are_there} GROUP BY {columns} HAVING count(*) > 1 LIMIT 1");
        let mut statement = self.connection.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let value = |at| {
            Ok(match row.get_ref(at)? {
                ValueRef::Text(text) | ValueRef::Blob(text) => shown(&String::from_utf8_lossy(text)),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Null => "NULL".to_owned(),
            })
        };
        let values = (0..key.parts.len()).map(value).collect::<rusqlite::Result<Vec<_>>>()?.join(", ");
        let table = format!("{} (made at {place})", table.name);
        Ok(Some(DumpError::Duplicate { table, key: format!("key {}", key.shown_name()), values }))
    }

    /// Says which rows refer to rows that are not there: MySQL lets them in while a dump is loaded.
    fn note_orphans(&mut self) -> Result<(), DumpError> {
        for loading in self.tables.values().filter(|loading| !loading.table.foreign_keys.is_empty()) {
            let name = &loading.table.name;
            let check = format!("PRAGMA foreign_key_check({})", quote_name(name));
            let count = self.connection.prepare(&check).and_then(|mut statement| {
                let rows = statement.query_map([], |_| Ok(()))?;
                rows.take(MOST_ORPHANS).try_fold(0, |count, row| row.map(|()| count + 1))
            });
            match count {
                Ok(0) => {}
                Ok(count) => self.notes.push(format!("{name}: {count} rows refer to rows that are not there")),
                Err(error) => self.notes.push(format!("{name}: its foreign keys do not work in SQLite: {error}")),
            }
        }
        Ok(())
    }
}

impl LoadingTable {
    /// The key that an index is for.
    pub(super) fn key_of(&self, object: &MadeObject) -> Option<&Key> {
        let prefix = format!("{}__", self.table.name);
        let primary = format!("_wp_sqlite_{prefix}primary");
        let is_named = |key: &&Key| match object.name.strip_prefix(&prefix) {
            Some(name) => key.shown_name().eq_ignore_ascii_case(name),
            None => object.name == primary && key.kind == KeyKind::Primary,
        };
        self.table.keys.iter().find(is_named)
    }
}

impl Key {
    /// Its name, as MySQL shows it.
    fn shown_name(&self) -> &str {
        match (&self.name, self.kind) {
            (_, KeyKind::Primary) => "PRIMARY",
            (Some(name), _) => name,
            (None, _) => self.parts.first().map_or("", |part| &part.column),
        }
    }

    /// Whether MySQL tells two texts of it apart that differ by case alone.
    pub(super) fn tells_case_apart(&self, table: &Table) -> bool {
        self.parts.iter().any(|part| part.tells_case_apart(table))
    }

    /// What makes its index so that it tells them apart too.
    pub(super) fn sql_with_case(&self, table: &Table, index: &str) -> String {
        let part = |part: &super::table::KeyPart| {
            let collation = if part.tells_case_apart(table) { " COLLATE BINARY" } else { "" };
            format!("{}{collation}{}", quote_name(&part.column), if part.is_descending { " DESC" } else { "" })
        };
        let parts: Vec<_> = self.parts.iter().map(part).collect();
        format!("CREATE UNIQUE INDEX {} ON {} ({})", quote_name(index), quote_name(&table.name), parts.join(", "))
    }
}

impl super::table::KeyPart {
    fn tells_case_apart(&self, table: &Table) -> bool {
        let column = table.column(&self.column).filter(|column| column.is_text());
        let collation = column.and_then(|column| column.collation_in(table)).unwrap_or_default();
        collation.ends_with("_bin") || collation.ends_with("_cs") || collation == "binary"
    }
}
