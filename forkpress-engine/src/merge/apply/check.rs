//! Whether the rows of the target are what the plan was made for.

use std::collections::HashMap;

use rusqlite::{Connection, Statement, params_from_iter};

use super::super::plan::{Plan, RowEdit, SchemaEdit, TableEdits};
use super::super::schema::{columns_and_key, quoted};
use super::super::{Cell, Row, Value};
use super::{ApplyError, has_key, place, row_number};

/// Fails with [`ApplyError::Stale`] unless all that the plan says of the target is so.
pub(super) fn check(target: &Connection, plan: &Plan) -> Result<(), ApplyError> {
    for edits in &plan.tables {
        let goes =
            |edit: &SchemaEdit| matches!(edit, SchemaEdit::Drop { table } if table.eq_ignore_ascii_case(&edits.table));
        if plan.schema.iter().any(goes) {
            // These are rows of the table that comes in its place.
            continue;
        }
        if edits.key_columns == 0 { check_copies(target, edits)? } else { check_keyed(target, edits)? }
    }
    Ok(())
}

fn check_keyed(target: &Connection, edits: &TableEdits) -> Result<(), ApplyError> {
    let stale = |key: Vec<Value>| Err(ApplyError::Stale { table: edits.table.clone(), key });
    let mut found = RowsOfKey::open(target, edits)?;
    for edit in &edits.rows {
        match edit {
            RowEdit::Insert(row) => {
                // A row whose key is not complete gets a key of its own.
                let key = key_of(edits, row);
                if key.len() == edits.key_columns && !found.of(&key)?.is_empty() {
                    return stale(key);
                }
            }
            RowEdit::Remove { before } => {
                let key = key_of(edits, before);
                if found.of(&key)? != [before.as_slice()] {
                    return stale(key);
                }
            }
            RowEdit::Update { key, cells } => {
                let rows = found.of(key)?;
                let is_same = |row: &Row| cells.iter().all(|cell| row[cell.column] == cell.before);
                if !matches!(rows.as_slice(), [row] if is_same(row)) {
                    return stale(key.clone());
                }
            }
            RowEdit::Copies { row, .. } => return stale(row.iter().flatten().cloned().collect()),
        }
    }
    Ok(())
}

/// The values in the columns of the key, as far as the row has them.
pub(super) fn key_of(edits: &TableEdits, row: &[Cell]) -> Vec<Value> {
    row[..edits.key_columns].iter().flatten().cloned().collect()
}

/// The rows of a table by their keys.
struct RowsOfKey<'connection> {
    /// None where the target has no such table.
    statement: Option<Statement<'connection>>,
    /// Which of the plan's columns the table has.
    present: Vec<bool>,
}

impl<'connection> RowsOfKey<'connection> {
    fn open(target: &'connection Connection, edits: &TableEdits) -> rusqlite::Result<Self> {
        let (columns, _) = columns_and_key(target, &edits.table)?;
        if columns.is_empty() {
            return Ok(Self { statement: None, present: Vec::new() });
        }
        let columns: Vec<_> = columns.into_iter().map(|column| column.name).collect();
        let present: Vec<_> = edits.columns.iter().map(|name| place(&columns, name).is_some()).collect();
        let list: Vec<_> = edits
            .columns
            .iter()
            .zip(&present)
            .map(|(name, present)| if *present { quoted(name) } else { "NULL".to_owned() })
            .collect();
        let sql = format!("SELECT {} FROM {} WHERE {}", list.join(","), quoted(&edits.table), has_key(edits));
        Ok(Self { statement: Some(target.prepare(&sql)?), present })
    }

    fn of(&mut self, key: &[Value]) -> rusqlite::Result<Vec<Row>> {
        let Some(statement) = &mut self.statement else { return Ok(Vec::new()) };
        let present = &self.present;
        let rows = statement.query_map(params_from_iter(key), |row| {
            let cell = |(number, present): (usize, &bool)| Ok(if *present { Some(row.get(number)?) } else { None });
            present.iter().enumerate().map(cell).collect()
        })?;
        rows.collect()
    }
}

fn check_copies(target: &Connection, edits: &TableEdits) -> Result<(), ApplyError> {
    for (edit, rowids) in edits.rows.iter().zip(copies(target, edits)?) {
        let is_same = matches!(edit, RowEdit::Copies { before, .. } if *before == rowids.len() as u64);
        if !is_same {
            let (RowEdit::Copies { row, .. } | RowEdit::Insert(row) | RowEdit::Remove { before: row }) = edit else {
                return Err(ApplyError::Stale { table: edits.table.clone(), key: Vec::new() });
            };
            let key = row.iter().flatten().cloned().collect();
            return Err(ApplyError::Stale { table: edits.table.clone(), key });
        }
    }
    Ok(())
}

/// The numbers of the rows, in their order, that are copies of each edit's row, of a table without a key. The table is
/// read once.
pub(super) fn copies(target: &Connection, edits: &TableEdits) -> Result<Vec<Vec<i64>>, ApplyError> {
    let mut found = vec![Vec::new(); edits.rows.len()];
    let (columns, _) = columns_and_key(target, &edits.table)?;
    if columns.is_empty() {
        return Ok(found);
    }
    let mut wanted: HashMap<Vec<&Value>, usize> = HashMap::new();
    for (number, edit) in edits.rows.iter().enumerate() {
        if let RowEdit::Copies { row, .. } = edit {
            wanted.insert(row.iter().flatten().collect(), number);
        }
    }
    let rowid = row_number(edits)?;
    let list: Vec<_> = edits.columns.iter().map(|name| quoted(name)).collect();
    let sql = format!("SELECT {rowid}, {} FROM {} ORDER BY {rowid}", list.join(","), quoted(&edits.table));
    let mut statement = target.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let values: Vec<Value> = (1..=list.len()).map(|number| row.get(number)).collect::<Result<_, _>>()?;
        if let Some(number) = wanted.get(&values.iter().collect::<Vec<_>>()) {
            found[*number].push(row.get(0)?);
        }
    }
    Ok(found)
}
