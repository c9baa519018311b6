//! Rows that belong to no object in conflict: what becomes of each, cell by cell.

use super::super::conflict_id::{Conflict, ConflictId, ConflictKind};
use super::super::decide;
use super::super::rows::{Found, RowChange};
use super::super::value::{self, How, Outcome, Ways};
use super::super::{Cell, Change, Row, Side, Sides, Value};
use super::objects::{At, is_revision};
use super::tables::{MergedTable, Role, text};
use super::{After, Asking, Merge, PlanError, Take};

impl Merge<'_> {
    /// Decides all rows that no object's conflict has decided.
    pub(super) fn decide_rows(&mut self, asking: &mut Asking<'_>) -> Result<(), PlanError> {
        for number in 0..self.tables.list.len() {
            for row_number in 0..self.tables.list[number].rows.len() {
                let at = (number, row_number);
                if !self.tables.list[number].rows[row_number].is_decided {
                    self.decide_row(at, asking)?;
                }
            }
            self.decide_copies(number, asking)?;
        }
        Ok(())
    }

    fn decide_row(&mut self, at: At, asking: &mut Asking<'_>) -> Result<(), PlanError> {
        let table = &self.tables.list[at.0];
        let row = &table.rows[at.1];
        if let Role::Options { value } | Role::Meta { value, .. } = table.role {
            let any = row.rows.as_ref().array().into_iter().flatten().next();
            let how = any.map(|any| self.how(table, any, value));
            if let Some(How::Remade | How::Cron | How::Target) = how {
                self.tables.list[at.0].rows[at.1].follows = true;
            }
            if how == Some(How::Remade) {
                let row = &mut self.tables.list[at.0].rows[at.1];
                let Sides { base, source, target } = row.rows.as_ref();
                // WordPress makes it again where it is missing.
                if source != base && source != target {
                    row.after = After::Gone;
                }
                return Ok(());
            }
        }
        let table = &self.tables.list[at.0];
        let row = &table.rows[at.1];
        let Sides { base, source, target } = &row.rows;
        let is_one = table.role != Role::Plain;
        let is_changed = |one: &Row, other: &Row| {
            self.is_material(table, one, other) && !is_revision(table, row) && !self.is_trashed(table, other)
        };
        let after = match (base, source, target) {
            (Some(_), Some(_), Some(_)) => return self.decide_cells(at, asking),
            (None, Some(_), Some(_)) if is_one => return self.decide_cells(at, asking),
            (None, Some(_), _) if self.is_two(table, row) => {
                // Of a post as it once was, nothing but its own metadata knows the number.
                if is_revision(table, row) {
                    After::Stored
                } else {
                    let sides = Sides { target: row.stored.clone(), ..row.rows.clone() };
                    let conflict = Conflict::new(ConflictKind::Id, table.place(row, None), sides);
                    let conflict = conflict.of_rows(&table.layout.columns);
                    return self.ask_row(at, vec![conflict], asking);
                }
            }
            (None, Some(own), None) => self.put(at, own.clone())?,
            (Some(_), _, _) if row.follows => After::Stored,
            (Some(base), None, Some(other)) | (Some(base), Some(other), None) if is_changed(base, other) => {
                let found = Found::Keyed(row.rows.clone());
                let decision = decide::decide(&RowChange { layout: &table.layout, found });
                return self.ask_row(at, decision.conflicts, asking);
            }
            (Some(_), None, Some(_)) => After::Gone,
            _ => After::Stored,
        };
        self.tables.list[at.0].rows[at.1].after = after;
        Ok(())
    }

    fn ask_row(&mut self, at: At, conflicts: Vec<Conflict>, asking: &mut Asking<'_>) -> Result<(), PlanError> {
        for conflict in conflicts {
            let take = asking.ask(conflict)?;
            self.take(at, take.as_ref())?;
        }
        Ok(())
    }

    fn is_trashed(&self, table: &MergedTable<'_>, row: &Row) -> bool {
        let trash = |column: &str, value: &str| text(row, table.column(column)) == value.as_bytes();
        let objects = self.rules.objects.iter().filter(|object| object.table == table.local);
        objects.filter_map(|object| object.trash.as_ref()).any(|(column, value)| trash(column, value))
    }

    /// How the value in a place is merged, as this site has it.
    fn how(&self, table: &MergedTable<'_>, row: &Row, column: usize) -> How {
        if table.stamped.contains(&column) {
            return How::Later;
        }
        match self.rules.how(&table.rule_place(row, column)) {
            How::Remade if !self.is_remade(table, table.name(row)) => How::ByKey { levels: usize::MAX },
            how => how,
        }
    }

    /// Whether an option that looks like the hierarchy of a taxonomy is one.
    fn is_remade(&self, table: &MergedTable<'_>, name: &[u8]) -> bool {
        let Some(taxonomy) = name.strip_suffix(b"_children") else { return true };
        let taxonomy = Value::Text(taxonomy.to_vec());
        let terms = format!("{}term_taxonomy", table.prefix);
        self.lookups.array().iter().any(|lookup| {
            // Where that can't be read, neither could the rows.
            lookup.row(&terms, &["taxonomy"], &[("taxonomy", &taxonomy)]).is_ok_and(|row| row.is_some())
        })
    }

    /// A row that both have: the base may have none.
    fn decide_cells(&mut self, at: At, asking: &mut Asking<'_>) -> Result<(), PlanError> {
        let table = &self.tables.list[at.0];
        let row = &table.rows[at.1];
        let Sides { base, source: Some(source), target: Some(target) } = &row.rows else { return Ok(()) };
        let mut after = target.clone();
        let mut counted = Vec::new();
        let base_cell = |column: usize| base.as_ref().and_then(|base| base[column].clone());
        for column in 0..source.len() {
            let cells =
                Sides { base: base_cell(column), source: source[column].clone(), target: target[column].clone() };
            let change = cells.change();
            if matches!(change, Change::None | Change::Target) || cells.source.is_none() {
                continue;
            }
            let how = if base.is_none() && !is_value(table, column) {
                // Of options that both made: whether they are loaded early.
                How::Target
            } else {
                self.how(table, source, column)
            };
            if matches!(how, How::Counter) && change != Change::Source {
                counted.push(column);
            }
            after[column] = match self.merged(how, &cells, None) {
                Ok(cell) => cell,
                Err(()) if is_revision(table, row) => cells.target.clone(),
                Err(()) => {
                    let one = |cell: &Cell| Some(vec![cell.clone()]);
                    let place = table.place(row, Some(column));
                    let base = base.as_ref().map(|base| vec![base[column].clone()]);
                    let sides = Sides { base, source: one(&cells.source), target: one(&cells.target) };
                    let conflict = Conflict::new(ConflictKind::Cell, place, sides);
                    let id = conflict.id;
                    if row.follows {
                        asking.following.insert(id);
                    }
                    match asking.ask(conflict)? {
                        None => cells.target.clone(),
                        Some(Take::Ours) => self.preferred(how, &cells, Side::Ours),
                        Some(Take::Theirs) => self.preferred(how, &cells, Side::Theirs),
                        Some(Take::Base) if base_cell(column).is_none() => return self.take(at, Some(&Take::Base)),
                        Some(Take::Base) => base_cell(column),
                        Some(Take::Value(value)) => Some(typed(&value, &cells, id)?),
                    }
                }
            };
        }
        let row = &mut self.tables.list[at.0].rows[at.1];
        row.counted = counted;
        if row.rows.target.as_ref() != Some(&after) {
            row.after = After::Row(after);
        }
        Ok(())
    }

    fn preferred(&self, how: How, cells: &Sides<Cell>, side: Side) -> Cell {
        let whole = || match side {
            Side::Ours => cells.target.clone(),
            Side::Theirs => cells.source.clone(),
        };
        self.merged(how, cells, Some(side)).unwrap_or_else(|()| whole())
    }

    /// What comes of a cell that the source changed; an error where both did, each to something else.
    fn merged(&self, how: How, cells: &Sides<Cell>, prefer: Option<Side>) -> Result<Cell, ()> {
        let text = |cell: &Cell| match cell {
            Some(Value::Text(text)) => Some(text.clone()),
            Some(Value::Integer(number)) => Some(number.to_string().into_bytes()),
            _ => None,
        };
        let [base, source, target] = cells.as_ref().array().map(text);
        let whole = || match (cells.change(), prefer) {
            (Change::Both, None) => Err(()),
            (Change::Both, Some(Side::Ours)) => Ok(cells.target.clone()),
            _ => Ok(cells.source.clone()),
        };
        let has_text = base.is_some() || cells.base.is_none();
        let (Some(source), Some(target), true) = (source, target, has_text) else {
            return match how {
                How::Target => Ok(cells.target.clone()),
                How::Derived | How::Later if cells.change() == Change::Both => Ok(cells.target.clone()),
                _ => whole(),
            };
        };
        let sides = value::Sides { base: base.as_deref(), source: &source[..], target: &target[..] };
        let is_same = |one: &[u8], other: &[u8]| self.hosts.is_same(one, other);
        match value::merge(how, sides, Ways { prefer, is_same: &is_same }) {
            Outcome::Merged(merged) if merged == target => Ok(cells.target.clone()),
            Outcome::Merged(merged) if merged == source => Ok(cells.source.clone()),
            Outcome::Merged(merged) => Ok(Some(match (&cells.target, number(&merged)) {
                (Some(Value::Integer(_)), Some(number)) => Value::Integer(number),
                _ => Value::Text(merged),
            })),
            Outcome::Remade | Outcome::Conflict(_) => whole(),
        }
    }

    /// What the target gets of a row that it is to have. Metadata whose number the target has given to other metadata gets
    /// another one.
    pub(super) fn put(&self, at: At, mut own: Row) -> Result<After, PlanError> {
        let table = &self.tables.list[at.0];
        let row = &table.rows[at.1];
        if let (Role::Meta { .. }, None, Some(id)) = (table.role, &row.stored, &own[0])
            && !table.is_replaced
        {
            let key = &table.layout.columns[0];
            if self.lookups.target.row(&table.folded(), &[key], &[(key, id)])?.is_some() {
                own[0] = None;
            }
        }
        Ok(After::Row(own))
    }

    fn decide_copies(&mut self, number: usize, asking: &mut Asking<'_>) -> Result<(), PlanError> {
        let table = &self.tables.list[number];
        let mut decided = Vec::new();
        for (row, copies) in &table.copies {
            let found = Found::Copies { row: row.clone(), copies: *copies };
            let decision = decide::decide(&RowChange { layout: &table.layout, found });
            let mut after = match decision.action {
                decide::Action::Copies(copies) => copies,
                _ => copies.target,
            };
            for conflict in decision.conflicts {
                after = match asking.ask(conflict)? {
                    Some(Take::Theirs) => copies.source,
                    Some(Take::Base) => copies.base,
                    _ => copies.target,
                };
            }
            decided.push(after);
        }
        let table = &mut self.tables.list[number];
        for ((_, copies), after) in table.copies.iter_mut().zip(decided) {
            // From here on, the source stands for what the target gets.
            copies.source = after;
        }
        Ok(())
    }
}

/// Whether a column has the value of an option or of metadata.
fn is_value(table: &MergedTable<'_>, column: usize) -> bool {
    matches!(table.role, Role::Options { value } | Role::Meta { value, .. } if value == column)
}

fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A value that was given for a cell, of the type that its column has.
fn typed(value: &serde_json::Value, cells: &Sides<Cell>, id: ConflictId) -> Result<Value, PlanError> {
    use serde_json::Value as Json;
    let known = cells.target.as_ref().or(cells.source.as_ref());
    let value = match (value, known) {
        (Json::Null, _) => Some(Value::Null),
        (Json::String(text), Some(Value::Integer(_))) => number(text.as_bytes()).map(Value::Integer),
        (Json::String(text), Some(Value::Blob(_))) => Some(Value::Blob(text.as_bytes().to_vec())),
        (Json::String(text), Some(Value::Real(_))) => text.parse().ok().map(Value::Real),
        (Json::String(text), _) => Some(Value::text(text)),
        (Json::Number(number), Some(Value::Text(_))) => Some(Value::text(&number.to_string())),
        (Json::Number(number), Some(Value::Real(_))) => number.as_f64().map(Value::Real),
        (Json::Number(number), _) => number.as_i64().map(Value::Integer),
        _ => None,
    };
    value.ok_or(PlanError::OtherType { id })
}
