//! The rows of a plan, written into the target.
//!
//! An update of a cell in which no two rows may have the same is a removal and an insertion: so two rows can exchange
//! what they have.
//!
//! A row that comes without an id gets the next one of the *target's*, before rows with ids of the source's make
//! `AUTOINCREMENT` count in the source's band. What comes with an id keeps it, and nobody else gets it.

use std::collections::HashSet;

use rusqlite::{Connection, params_from_iter};

use super::super::Value;
use super::super::plan::{CellEdit, RowEdit, TableEdits};
use super::super::schema::{Key, columns_and_key, quoted};
use super::check::{copies, key_of};
use super::schema::nothing_in;
use super::{Applied, ApplyError, has_key, place, row_number, sequence};

/// What is written into tables, whose schemas are in place.
pub(super) struct Rows<'a> {
    tables: Vec<TargetTable<'a>>,
    applied: Applied,
}

impl<'a> Rows<'a> {
    pub(super) fn of(target: &'a Connection, tables: &'a [TableEdits]) -> Result<Self, ApplyError> {
        let tables = tables.iter().map(|edits| TargetTable::open(target, edits)).collect::<Result<_, _>>()?;
        Ok(Self { tables, applied: Applied::default() })
    }

    /// First of all.
    pub(super) fn remove(&mut self) -> Result<(), ApplyError> {
        self.tables.iter_mut().try_for_each(|table| table.remove(&mut self.applied))
    }

    /// After all removals.
    pub(super) fn update(&mut self) -> Result<(), ApplyError> {
        self.tables.iter().try_for_each(|table| table.update(&mut self.applied))
    }

    /// Last. Says how many rows were changed in all.
    pub(super) fn insert(mut self) -> Result<Applied, ApplyError> {
        self.tables.iter().try_for_each(|table| table.insert(&mut self.applied))?;
        Ok(self.applied)
    }
}

/// A table of the target, and what becomes of its rows.
struct TargetTable<'a> {
    target: &'a Connection,
    edits: &'a TableEdits,
    /// Those that values can be written to.
    columns: Vec<String>,
    /// The column that is another name of the row's number.
    id: Option<String>,
    /// The columns in which no two rows may have the same.
    unique: Vec<String>,
    /// Rows that are out, and come in again with other values: the key, and what is in the columns.
    moved: Vec<(&'a [Value], Vec<Value>)>,
}

impl<'a> TargetTable<'a> {
    fn open(target: &'a Connection, edits: &'a TableEdits) -> Result<Self, ApplyError> {
        let failed = |source| ApplyError::Table { table: edits.table.clone(), source };
        let (columns, key) = columns_and_key(target, &edits.table).map_err(failed)?;
        let columns: Vec<_> = columns.into_iter().map(|column| column.name).collect();
        let id = if let Key::Rowid { column } = key { Some(column) } else { None };
        let mut unique = unique_columns(target, &edits.table, &columns).map_err(failed)?;
        unique.extend(id.clone());
        Ok(Self { target, edits, columns, id, unique, moved: Vec::new() })
    }

    fn remove(&mut self, applied: &mut Applied) -> Result<(), ApplyError> {
        let table = quoted(&self.edits.table);
        for edit in &self.edits.rows {
            match edit {
                RowEdit::Remove { before } => {
                    self.delete(&key_of(self.edits, before))?;
                    applied.removed += 1;
                }
                RowEdit::Update { key, cells } if cells.iter().any(|cell| self.is_unique(cell)) => {
                    self.take_out(key, cells)?;
                }
                RowEdit::Insert(_) | RowEdit::Update { .. } | RowEdit::Copies { .. } => {}
            }
        }
        if self.edits.key_columns == 0 {
            for (edit, rowids) in self.edits.rows.iter().zip(copies(self.target, self.edits)?) {
                let RowEdit::Copies { after, .. } = edit else { continue };
                for rowid in rowids.iter().skip(usize::try_from(*after).unwrap_or(usize::MAX)) {
                    let sql = format!("DELETE FROM {table} WHERE {} = ?", row_number(self.edits)?);
                    self.target.prepare_cached(&sql)?.execute([rowid])?;
                    applied.removed += 1;
                }
            }
        }
        Ok(())
    }

    fn update(&self, applied: &mut Applied) -> Result<(), ApplyError> {
        applied.updated += self.moved.len();
        for edit in &self.edits.rows {
            let RowEdit::Update { key, cells } = edit else { continue };
            if cells.iter().any(|cell| self.is_unique(cell)) {
                continue;
            }
            let (mut set, mut values) = (Vec::new(), Vec::new());
            for cell in cells {
                let Some((column, value)) = self.written(cell)? else { continue };
                set.push(format!("{} = ?{}", quoted(&self.columns[column]), key.len() + set.len() + 1));
                values.push(value);
            }
            if set.is_empty() {
                continue;
            }
            let sql =
                format!("UPDATE {} SET {} WHERE {}", quoted(&self.edits.table), set.join(","), has_key(self.edits));
            self.run_on_one(&sql, key, key.iter().chain(values))?;
            applied.updated += 1;
        }
        Ok(())
    }

    fn insert(&self, applied: &mut Applied) -> Result<(), ApplyError> {
        for (key, values) in &self.moved {
            self.insert_row(self.columns.iter().zip(values), key)?;
        }
        let places: Vec<_> = self.columns.iter().map(|name| place(&self.edits.columns, name)).collect();
        let nothing = nothing_in(self.target, &self.edits.table)?;
        let id = self.id.as_ref().and_then(|id| place(&self.columns, id));
        let mut fresh_ids = self.id.as_deref().map(|id| self.fresh_ids(id)).transpose()?;
        for edit in &self.edits.rows {
            let RowEdit::Insert(row) = edit else { continue };
            let mut given: Vec<_> = places.iter().map(|place| place.and_then(|place| row[place].as_ref())).collect();
            let fresh = match id {
                Some(id) if given[id].is_none() => fresh_ids.as_mut().and_then(Iterator::next).map(Value::Integer),
                _ => None,
            };
            if let Some(id) = id {
                given[id] = given[id].or(fresh.as_ref());
            }
            let values = self.columns.iter().zip(given).filter_map(|(name, given)| {
                let empty = || nothing.iter().find(|(column, _)| column == name).map(|(_, value)| value);
                Some((name, given.or_else(empty)?))
            });
            self.insert_row(values, &key_of(self.edits, row))?;
            applied.inserted += 1;
        }
        for edit in &self.edits.rows {
            let RowEdit::Copies { row, before, after } = edit else { continue };
            for _ in *before..*after {
                let values = self.edits.columns.iter().zip(row).filter_map(|(name, cell)| Some((name, cell.as_ref()?)));
                self.insert_row(values, &[])?;
                applied.inserted += 1;
            }
        }
        Ok(())
    }

    /// Ids that no row has, nor gets from the plan.
    fn fresh_ids(&self, id: &str) -> rusqlite::Result<impl Iterator<Item = i64>> {
        let place = place(&self.edits.columns, id);
        let planned = self.edits.rows.iter().filter_map(|edit| match edit {
            RowEdit::Insert(row) => row[place?].as_ref(),
            _ => None,
        });
        let planned: HashSet<_> =
            planned.filter_map(|value| if let Value::Integer(id) = value { Some(*id) } else { None }).collect();
        let sql = format!("SELECT max({}) FROM {}", quoted(id), quoted(&self.edits.table));
        let highest: Option<i64> = self.target.query_row(&sql, [], |row| row.get(0))?;
        let last = highest.max(sequence(self.target, &self.edits.table)?).unwrap_or_default();
        Ok((last.saturating_add(1)..).filter(move |id| !planned.contains(id)))
    }

    fn is_unique(&self, cell: &CellEdit) -> bool {
        place(&self.unique, &self.edits.columns[cell.column]).is_some()
    }

    /// The number of the column and the value that a cell gets. None where it goes with its column.
    fn written(&self, cell: &'a CellEdit) -> Result<Option<(usize, &'a Value)>, ApplyError> {
        let column = &self.edits.columns[cell.column];
        match (place(&self.columns, column), &cell.after) {
            (Some(place), Some(value)) => Ok(Some((place, value))),
            (None, None) => Ok(None),
            _ => Err(ApplyError::Misfit { table: self.edits.table.clone(), column: column.clone() }),
        }
    }

    /// Removes a row, and keeps it as it shall be.
    fn take_out(&mut self, key: &'a [Value], cells: &'a [CellEdit]) -> Result<(), ApplyError> {
        let list: Vec<_> = self.columns.iter().map(|name| quoted(name)).collect();
        let table = quoted(&self.edits.table);
        let sql = format!("SELECT {} FROM {table} WHERE {}", list.join(","), has_key(self.edits));
        let mut values: Vec<Value> = self
            .target
            .prepare_cached(&sql)?
            .query_row(params_from_iter(key), |row| (0..list.len()).map(|number| row.get(number)).collect())?;
        for cell in cells {
            if let Some((column, value)) = self.written(cell)? {
                values[column] = value.clone();
            }
        }
        self.delete(key)?;
        self.moved.push((key, values));
        Ok(())
    }

    fn delete(&self, key: &[Value]) -> Result<(), ApplyError> {
        let sql = format!("DELETE FROM {} WHERE {}", quoted(&self.edits.table), has_key(self.edits));
        self.run_on_one(&sql, key, key)
    }

    fn insert_row<'v>(
        &self,
        values: impl Iterator<Item = (&'v String, &'v Value)>,
        key: &[Value],
    ) -> Result<(), ApplyError> {
        let (names, values): (Vec<_>, Vec<_>) = values.map(|(name, value)| (quoted(name), value)).unzip();
        let (table, marks) = (quoted(&self.edits.table), vec!["?"; names.len()].join(","));
        let sql = format!("INSERT INTO {table} ({}) VALUES ({marks})", names.join(","));
        self.run_on_one(&sql, key, values)
    }

    /// Runs a statement that must write one row.
    fn run_on_one<'v>(
        &self,
        sql: &str,
        key: &[Value],
        values: impl IntoIterator<Item = &'v Value>,
    ) -> Result<(), ApplyError> {
        let table = &self.edits.table;
        let mut statement = self.target.prepare_cached(sql)?;
        let written = statement
            .execute(params_from_iter(values))
            .map_err(|source| ApplyError::of_row(table, key.to_vec(), source))?;
        if written == 1 { Ok(()) } else { Err(ApplyError::Stale { table: table.clone(), key: key.to_vec() }) }
    }
}

/// The columns of a table in which no two rows may have the same; all of them where only an expression or a condition
/// tells.
fn unique_columns(target: &Connection, table: &str, columns: &[String]) -> rusqlite::Result<Vec<String>> {
    let mut statement = target.prepare(
        "SELECT x.name, l.partial FROM pragma_index_list(?) AS l JOIN pragma_index_info(l.name) AS x WHERE l.\"unique\"",
    )?;
    let mut rows = statement.query([table])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        match (row.get(0)?, row.get(1)?) {
            (Some(name), false) => found.push(name),
            (_, true) | (None, _) => return Ok(columns.to_vec()),
        }
    }
    Ok(found)
}
