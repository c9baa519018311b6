//! Writes what a dump says into a database.
//!
//! **Tables** are made by the driver in a database without rows, the *schema*, and by what it made there in SQLite, here. A
//! table's indexes are made when all rows are there, since that is faster. Only where a statement wants rows with a key
//! that is there already to be ignored or replaced, its unique ones are made at once.
//!
//! **Rows of a table that has no key yet** go into another file first. phpMyAdmin defines keys after the rows, and SQLite can't add
//! a primary key to a table: its rows are copied to where they belong when the dump is over.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;
use rusqlite::ffi::ErrorCode;

use super::batch::{Alteration, Batch, Cell, CellKind, Event, LeftOut, Mode};
use super::cursor::Cursor;
use super::define;
use super::driver::RunningDriver;
use super::error::{DumpError, DumpLine};
use super::options::Options;
use super::schema::{self, MadeTable};
use super::table::{KeyKind, Table, quote_name};
use super::value::{Fidelity, Value};

/// Values of a key are shown no longer than this.
const MOST_CHARACTERS: usize = 60;

/// A table that is being loaded.
pub(super) struct LoadingTable {
    pub(super) table: Table,
    pub(super) made: MadeTable,
    pub(super) place: DumpLine,
    /// Whether its rows wait in the other file.
    pub(super) is_waiting: bool,
    /// Whether it was defined further since it was made.
    pub(super) is_altered: bool,
    /// Whether a statement wants rows with a key that is there already to be ignored or replaced. Then its unique indexes are
    /// there, unless its rows wait.
    pub(super) repeats: Option<Mode>,
    pub(super) rows: u64,
    /// How many texts were not what their character set allows, and where the first is.
    wrong_texts: Option<(u64, DumpLine)>,
    /// The same of numbers that have more digits than SQLite keeps.
    rounded: Option<(u64, DumpLine)>,
    /// Whether rows came without the values of computed columns.
    lacks_computed: bool,
}

/// A database that is being written.
pub(super) struct Writer<'c> {
    pub(super) connection: &'c Connection,
    pub(super) schema: &'c Connection,
    pub(super) driver: RunningDriver,
    options: &'c Options,
    /// By their names in lower case.
    pub(super) tables: BTreeMap<String, LoadingTable>,
    /// Which table has the constraint of a name.
    constraints: HashMap<String, String>,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) notes: Vec<String>,
    /// Tables that were dropped, by their names in lower case.
    pub(super) dropped: BTreeMap<String, String>,
    /// Tables that were made without being dropped before.
    pub(super) not_dropped: Vec<String>,
}

impl<'c> Writer<'c> {
    pub(super) fn new(
        connection: &'c Connection,
        schema: &'c Connection,
        driver: RunningDriver,
        options: &'c Options,
    ) -> Self {
        Self {
            connection,
            schema,
            driver,
            options,
            tables: BTreeMap::new(),
            constraints: HashMap::new(),
            left_out: Vec::new(),
            notes: Vec::new(),
            dropped: BTreeMap::new(),
            not_dropped: Vec::new(),
        }
    }

    /// Does what the dump says next.
    pub(super) fn take(&mut self, event: Event) -> Result<(), DumpError> {
        match event {
            Event::Rows(batch) => self.insert(&batch),
            Event::Create { table, is_if_missing, place } => {
                if !self.dropped.contains_key(&table.name.to_lowercase()) {
                    self.not_dropped.push(table.name.clone());
                }
                self.create(*table, is_if_missing, place)
            }
            Event::Drop { table } => {
                self.drop_table(&table)?;
                self.dropped.insert(table.to_lowercase(), table);
                Ok(())
            }
            Event::View { name } => match self.tables.get(&name.to_lowercase()) {
                Some(stand_in) if stand_in.rows == 0 => self.drop_table(&name),
                _ => Ok(()),
            },
            Event::Alter { table, change, place } => self.alter(&table, &change, &place),
            Event::Truncate { table, place } => self.truncate(&table, &place),
            Event::LeftOut(left_out) => {
                self.left_out.push(left_out);
                Ok(())
            }
            Event::Note(note) => {
                self.notes.push(note);
                Ok(())
            }
        }
    }

    fn create(&mut self, table: Table, is_if_missing: bool, place: DumpLine) -> Result<(), DumpError> {
        let key = table.name.to_lowercase();
        if let Some(other) = self.tables.get(&key) {
            if other.table.name != table.name {
                let what = format!(
                    "the tables {} and {} differ by case alone, which SQLite does not tell apart",
                    other.table.name, table.name
                );
                return Err(DumpError::Wrong { place, what });
            }
            if is_if_missing {
                return Ok(());
            }
            if other.rows > 0 {
                self.notes.push(format!("{} comes twice: the later one was taken", table.name));
            }
            self.drop_table(&key)?;
        }
        let (table, made) = self.define(table, &place)?;
        let is_waiting = !table.has_keys();
        let into = if is_waiting { "waiting" } else { "main" };
        self.make(into, &made.sql)?;
        let loading = LoadingTable {
            table,
            made,
            place,
            is_waiting,
            is_altered: false,
            repeats: None,
            rows: 0,
            wrong_texts: None,
            rounded: None,
            lacks_computed: false,
        };
        self.tables.insert(key, loading);
        Ok(())
    }

    /// Has the driver make a table in the schema.
    pub(super) fn define(&mut self, table: Table, place: &DumpLine) -> Result<(Table, MadeTable), DumpError> {
        let key = table.name.to_lowercase();
        let taken =
            table.constraint_names().filter(|name| self.constraints.get(name).is_some_and(|owner| *owner != key));
        let taken = taken.collect();
        let mut defined = table;
        if let Some(said) = self.driver.run(&defined.sql(&taken))? {
            defined = defined.plainer();
            if self.driver.run(&defined.sql(&taken))?.is_some() {
                return Err(DumpError::Table { place: place.clone(), table: defined.name, said });
            }
        }
        for what in std::mem::take(&mut defined.left_out) {
            self.notes.push(format!("{}: without {what}", defined.name));
        }
        if let Some(collation) = defined.collation() {
            schema::set_collation(self.schema, &defined.name, &collation)?;
        }
        for name in defined.constraint_names() {
            self.constraints.entry(name).or_insert_with(|| key.clone());
        }
        let made = schema::table(self.schema, &defined)?;
        Ok((defined, made))
    }

    /// Makes a table as the driver made it.
    pub(super) fn make(&self, into: &str, sql: &str) -> Result<(), DumpError> {
        let rest = sql.strip_prefix("CREATE TABLE ").unwrap_or(sql);
        self.run(&format!("CREATE TABLE {into}.{rest}"))
    }

    /// Runs what the driver wrote, which may name functions that only its connections have.
    pub(super) fn run(&self, sql: &str) -> Result<(), DumpError> {
        Ok(schema::run(self.connection, sql)?)
    }

    fn drop_table(&mut self, name: &str) -> Result<(), DumpError> {
        let key = name.to_lowercase();
        let Some(loading) = self.tables.remove(&key) else { return Ok(()) };
        self.constraints.retain(|_, owner| *owner != key);
        self.undefine(&loading.table)?;
        self.run(&format!("DROP TABLE {}", loading.name()))
    }

    /// Has the driver forget a table.
    pub(super) fn undefine(&mut self, table: &Table) -> Result<(), DumpError> {
        match self.driver.run(&format!("DROP TABLE {}", quote_name(&table.name)))? {
            None => Ok(()),
            Some(said) => Err(DumpError::Php { said }),
        }
    }

    fn known(&mut self, name: &str, place: &DumpLine) -> Result<&mut LoadingTable, DumpError> {
        let what = || format!("the table {name} is not made before; the part of the dump that makes it comes first");
        self.tables.get_mut(&name.to_lowercase()).ok_or_else(|| DumpError::Wrong { place: place.clone(), what: what() })
    }

    fn alter(&mut self, name: &str, change: &Alteration, place: &DumpLine) -> Result<(), DumpError> {
        let wrong = |what| DumpError::Wrong { place: place.clone(), what };
        let loading = self.known(name, place)?;
        let mut table = loading.table.clone();
        define::alter(&mut table, &Cursor::new(&change.0)).map_err(wrong)?;
        if table == loading.table {
            return Ok(());
        }
        if loading.rows > 0 {
            let names = |table: &Table| table.columns.iter().map(|c| c.name.to_lowercase()).collect::<Vec<_>>();
            if names(&table) != names(&loading.table) {
                return Err(wrong(format!(
                    "the columns of {name} change when it has rows already, which no dump does"
                )));
            }
            (loading.table, loading.is_altered) = (table, true);
            return Ok(());
        }
        let place = loading.place.clone();
        self.drop_table(name)?;
        self.create(table, false, place)
    }

    fn truncate(&mut self, name: &str, place: &DumpLine) -> Result<(), DumpError> {
        let loading = self.known(name, place)?;
        loading.rows = 0;
        let name = loading.name();
        self.run(&format!("DELETE FROM {name}"))
    }

    fn insert(&mut self, batch: &Batch) -> Result<(), DumpError> {
        let first = DumpLine { file: batch.header.file.clone(), line: batch.rows.first().map_or(0, |row| row.line) };
        let connection = self.connection;
        self.known(&batch.header.table, &first)?;
        if batch.header.mode != Mode::Refuse {
            self.make_unique(&batch.header.table, batch.header.mode)?;
        }
        let placeholder = self.options.placeholder.as_ref();
        let loading = self.known(&batch.header.table, &first)?;
        let columns = loading.columns_of(batch).map_err(|what| DumpError::Wrong { place: first.clone(), what })?;
        let lacks = |at: usize, name: &str| {
            !columns.contains(&at) && loading.table.column(name).is_some_and(|c| c.is_generated)
        };
        let lacks_computed = loading.made.columns.iter().enumerate().any(|(at, column)| lacks(at, &column.name));
        loading.lacks_computed |= lacks_computed;
        let mode = if loading.may_replace() { batch.header.mode } else { Mode::Refuse };
        let marked = placeholder.and_then(|_| loading.marked_column());
        let usual = loading.insert_sql(mode, &columns);
        for (line, cells) in batch.rows() {
            let place = || DumpLine { file: batch.header.file.clone(), line };
            if cells.len() != columns.len() && !cells.is_empty() {
                let what = format!(
                    "a row of {} values for the {} columns of {}",
                    cells.len(),
                    columns.len(),
                    loading.table.name
                );
                return Err(DumpError::Wrong { place: place(), what });
            }
            let is_given = |at: usize, cell: &Cell| match cell.kind {
                CellKind::Default => false,
                CellKind::Null if batch.header.mode == Mode::Ignore => !loading.made.columns[columns[at]].is_not_null,
                _ => true,
            };
            let is_usual =
                cells.len() == columns.len() && cells.iter().enumerate().all(|(at, cell)| is_given(at, cell));
            let mut statement = if is_usual {
                connection.prepare_cached(&usual)?
            } else {
                let given: Vec<_> = cells
                    .iter()
                    .enumerate()
                    .filter(|(at, cell)| is_given(*at, cell))
                    .map(|(at, _)| columns[at])
                    .collect();
                connection.prepare_cached(&loading.insert_sql(mode, &given))?
            };
            let mut at = 0;
            for (cell_at, cell) in cells.iter().enumerate() {
                if !is_usual && !is_given(cell_at, cell) {
                    continue;
                }
                at += 1;
                let column = &loading.made.columns[columns[cell_at]];
                let converted = column.kind.convert(cell.kind, batch.bytes_of(*cell));
                let (mut value, fidelity) = converted.map_err(|what| {
                    let what = format!("{what}, for the column {} of {}", column.name, loading.table.name);
                    DumpError::Wrong { place: place(), what }
                })?;
                let count = match fidelity {
                    Fidelity::Exact => None,
                    Fidelity::WrongText => Some(&mut loading.wrong_texts),
                    Fidelity::Rounded => Some(&mut loading.rounded),
                };
                if let Some(count) = count {
                    count.get_or_insert_with(|| (0, place())).0 += 1;
                }
                if let (Value::Text(text), Some(placeholder)) =
                    (&value, placeholder.filter(|_| marked == Some(columns[cell_at])))
                    && let Some(name) = std::str::from_utf8(text).ok().and_then(|name| placeholder.replaced(name))
                {
                    value = Value::Text(name.into_bytes().into());
                }
                statement.raw_bind_parameter(at, value)?;
            }
            match statement.raw_execute() {
                Ok(count) => loading.rows += count as u64,
                Err(error) => return Err(loading.refusal(error, place(), &columns, cells, batch)),
            }
        }
        Ok(())
    }

    /// Makes a table's unique indexes, and notes that rows of it may be there already.
    fn make_unique(&mut self, name: &str, mode: Mode) -> Result<(), DumpError> {
        let Some(loading) = self.tables.get_mut(&name.to_lowercase()) else { return Ok(()) };
        if loading.repeats.replace(mode).is_some() || loading.is_waiting {
            return Ok(());
        }
        self.tables.get(&name.to_lowercase()).map_or(Ok(()), |loading| self.make_unique_now(loading))
    }

    /// Makes a table's unique indexes, which here tell apart what MySQL tells apart: no row is to be taken for another one.
    pub(super) fn make_unique_now(&self, loading: &LoadingTable) -> Result<(), DumpError> {
        for object in
            schema::objects(self.schema, Some(&loading.table.name))?.into_iter().filter(|object| object.is_unique)
        {
            match loading.key_of(&object).filter(|key| key.tells_case_apart(&loading.table)) {
                Some(key) => self.run(&key.sql_with_case(&loading.table, &object.name))?,
                None => self.run(&object.sql)?,
            }
        }
        Ok(())
    }

    /// What is to be said of values that are not what they were.
    pub(super) fn note_values(&mut self) {
        for loading in self.tables.values() {
            let name = &loading.table.name;
            if let Some((count, place)) = &loading.wrong_texts {
                self.notes.push(format!(
                    "{name}: {count} texts are not in the character set that the dump says, the first at {place}; what does \
                     not fit was read as Windows-1252"
                ));
            }
            if let Some((count, place)) = &loading.rounded {
                let digits = f64::DIGITS;
                self.notes.push(format!(
                    "{name}: {count} numbers have more than the {digits} digits that SQLite keeps, the first at {place}"
                ));
            }
            if loading.lacks_computed {
                self.notes
                    .push(format!("{name}: the dump has no values of its computed columns, so they have none here"));
            }
        }
    }
}

impl LoadingTable {
    /// Where its rows are.
    pub(super) fn name(&self) -> String {
        format!("{}.{}", if self.is_waiting { "waiting" } else { "main" }, quote_name(&self.table.name))
    }

    /// Whether a row may be replaced by another one with the same key. Where that is a text whose case counts in MySQL,
    /// SQLite would take other rows for the same.
    pub(super) fn may_replace(&self) -> bool {
        !self.table.keys.iter().any(|key| key.kind == KeyKind::Primary && key.tells_case_apart(&self.table))
    }

    /// Which columns the values of a batch's rows are for.
    fn columns_of(&self, batch: &Batch) -> Result<Vec<usize>, String> {
        let all = &self.made.columns;
        let Some(names) = &batch.header.columns else { return Ok((0..all.len()).collect()) };
        let find = |name: &String| {
            let at = all.iter().position(|column| column.name.eq_ignore_ascii_case(name));
            at.ok_or_else(|| format!("{} has no column {name}", self.table.name))
        };
        names.iter().map(find).collect()
    }

    /// The column in which names have the prefix.
    fn marked_column(&self) -> Option<usize> {
        let name = match self.table.name.to_lowercase() {
            name if name.ends_with("options") => "option_name",
            name if name.ends_with("usermeta") => "meta_key",
            _ => return None,
        };
        self.made.columns.iter().position(|column| column.name == name)
    }

    fn insert_sql(&self, mode: Mode, given: &[usize]) -> String {
        let or = mode.sql();
        let mut names: Vec<_> = given.iter().map(|at| quote_name(&self.made.columns[*at].name)).collect();
        let mut values = vec!["?"; given.len()];
        for (at, column) in self.made.columns.iter().enumerate() {
            if let Some(implicit) = column.implicit.filter(|_| !given.contains(&at)) {
                names.push(quote_name(&column.name));
                values.push(implicit);
            }
        }
        if names.is_empty() {
            return format!("INSERT{or} INTO {} DEFAULT VALUES", self.name());
        }
        format!("INSERT{or} INTO {} ({}) VALUES ({})", self.name(), names.join(", "), values.join(", "))
    }

    /// Why SQLite did not take a row.
    fn refusal(
        &self,
        error: rusqlite::Error,
        place: DumpLine,
        columns: &[usize],
        cells: &[Cell],
        batch: &Batch,
    ) -> DumpError {
        let rusqlite::Error::SqliteFailure(failure, Some(text)) = &error else { return error.into() };
        let named: Vec<_> = text
            .split_once("failed: ")
            .map_or("", |(_, columns)| columns)
            .split(", ")
            .filter_map(|name| name.rsplit('.').next())
            .collect();
        if failure.code != ErrorCode::ConstraintViolation {
            return error.into();
        }
        if text.starts_with("UNIQUE") {
            let value = |name: &&str| {
                let at = columns.iter().position(|at| self.made.columns[*at].name.eq_ignore_ascii_case(name))?;
                Some(shown(&String::from_utf8_lossy(batch.bytes_of(*cells.get(at)?))))
            };
            let values: Vec<_> = named.iter().filter_map(value).collect();
            return DumpError::Duplicate {
                table: format!("{place}: {}", self.table.name),
                key: named.join(", "),
                values: values.join(", "),
            };
        }
        let what = match text.strip_prefix("NOT NULL") {
            Some(_) => format!("no value for {} of {}, which takes none without", named.join(", "), self.table.name),
            None => format!("{} does not take the row: {text}", self.table.name),
        };
        DumpError::Wrong { place, what }
    }
}

/// A value, no longer than it helps.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}...", text[..end].escape_debug()),
        None => text.escape_debug().to_string(),
    }
}
