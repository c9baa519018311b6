//! Rows of metadata are what they say: an owner, a name, a value. Their numbers mean nothing.
//!
//! WordPress changes metadata in place, or removes and adds it. Two branches without bands of their own give the same
//! numbers to metadata of different things. So rows are put together here which the scan found apart, and the other way
//! round. What is left is a row that one side has, or one that is the same thing on several.

use std::collections::{HashMap, VecDeque};

use super::super::{Row, Value};
use super::tables::{MergedTable, Role};
use super::{Lookup, Merge, MergedRow, PlanError};

/// The owner and the name of a value.
type Identity = (Option<Value>, Option<Value>);

/// The side that a row is looked for on.
#[derive(Clone, Copy)]
enum Of {
    Source,
    Target,
}

impl MergedRow {
    fn side(&mut self, of: Of) -> &mut Option<Row> {
        match of {
            Of::Source => &mut self.rows.source,
            Of::Target => &mut self.rows.target,
        }
    }

    fn is_nothing(&self) -> bool {
        self.rows.as_ref().array().into_iter().all(Option::is_none)
    }
}

impl Merge<'_> {
    /// Pairs the rows of all tables of metadata.
    pub(super) fn pair_metadata(&mut self) -> Result<(), PlanError> {
        let lookups = self.lookups;
        for table in &mut self.tables.list {
            if let Role::Meta { owner, name, value } = table.role {
                let owner_column = table.layout.columns[owner].clone();
                let pairing = Pairing { owner, name, value, owner_column, folded: table.folded() };
                pairing.split(table);
                for (of, lookup) in [(Of::Source, &lookups.source), (Of::Target, &lookups.target)] {
                    pairing.written_anew(table, of, [&lookups.base, lookup])?;
                }
                pairing.both_inserted(table, [&lookups.source, &lookups.target])?;
                table.rows.retain(|row| !row.is_nothing());
            }
        }
        Ok(())
    }
}

struct Pairing {
    owner: usize,
    name: usize,
    value: usize,
    owner_column: String,
    /// The name of the table in lower case.
    folded: String,
}

impl Pairing {
    fn identity(&self, row: &Row) -> Identity {
        (row[self.owner].clone(), row[self.name].clone())
    }

    /// One number that the sides gave to values of different things.
    fn split(&self, table: &mut MergedTable<'_>) {
        let mut apart = Vec::new();
        for row in &mut table.rows {
            let of = |row: &Option<Row>| row.as_ref().map(|row| self.identity(row));
            let first = of(&row.rows.base).or_else(|| of(&row.stored)).or_else(|| of(&row.rows.source));
            if row.rows.source.is_some() && of(&row.rows.source) != first {
                let mut other = MergedRow::default();
                other.rows.source = row.rows.source.take();
                apart.push(other);
            }
            if row.stored.is_some() && of(&row.stored) != first {
                let mut other = MergedRow { stored: row.stored.take(), ..MergedRow::default() };
                other.rows.target = row.rows.target.take();
                apart.push(other);
            }
        }
        table.rows.append(&mut apart);
    }

    /// What a side removed and inserted again is what it changed.
    fn written_anew(&self, table: &mut MergedTable<'_>, of: Of, lookups: [&Lookup<'_>; 2]) -> Result<(), PlanError> {
        let (mut removed, mut inserted): (Vec<usize>, HashMap<Identity, VecDeque<usize>>) = Default::default();
        for (number, row) in table.rows.iter_mut().enumerate() {
            let has_base = row.rows.base.is_some();
            match row.side(of) {
                None if has_base => removed.push(number),
                Some(own) if !has_base => {
                    let identity = self.identity(own);
                    inserted.entry(identity).or_default().push_back(number);
                }
                _ => {}
            }
        }
        for is_same_value in [true, false] {
            for &number in &removed {
                let Some(base) = table.rows[number].rows.base.clone() else { continue };
                if table.rows[number].side(of).is_some() {
                    continue;
                }
                let identity = self.identity(&base);
                let Some(candidates) = inserted.get_mut(&identity) else { continue };
                let found = if is_same_value {
                    let value = base[self.value].clone();
                    candidates.iter().position(|other| {
                        table.rows[*other].side(of).as_ref().is_some_and(|row| row[self.value] == value)
                    })
                } else {
                    (!candidates.is_empty() && self.is_single(&identity, lookups)?).then_some(0)
                };
                let Some(other) = found.and_then(|found| candidates.remove(found)) else { continue };
                self.join(table, number, other, of);
            }
        }
        Ok(())
    }

    /// What both inserted alike is one; and a value of which there can be one, too.
    fn both_inserted(&self, table: &mut MergedTable<'_>, lookups: [&Lookup<'_>; 2]) -> Result<(), PlanError> {
        let mut in_target: HashMap<Identity, VecDeque<usize>> = HashMap::new();
        for (number, row) in table.rows.iter().enumerate() {
            if let (None, None, Some(target)) = (&row.rows.base, &row.rows.source, &row.rows.target) {
                in_target.entry(self.identity(target)).or_default().push_back(number);
            }
        }
        for is_same_value in [true, false] {
            for number in 0..table.rows.len() {
                let row = &table.rows[number];
                let (None, Some(source), None) = (&row.rows.base, &row.rows.source, &row.rows.target) else { continue };
                let identity = self.identity(source);
                let Some(candidates) = in_target.get_mut(&identity) else { continue };
                let found = if is_same_value {
                    let value = source[self.value].clone();
                    candidates.iter().position(|other| {
                        table.rows[*other].rows.target.as_ref().is_some_and(|row| row[self.value] == value)
                    })
                } else {
                    (!candidates.is_empty() && self.is_single(&identity, lookups)?).then_some(0)
                };
                let Some(other) = found.and_then(|found| candidates.remove(found)) else { continue };
                self.join(table, other, number, Of::Source);
            }
        }
        Ok(())
    }

    /// Whether each of the databases has one value of a name and an owner.
    fn is_single(&self, (owner, name): &Identity, lookups: [&Lookup<'_>; 2]) -> Result<bool, PlanError> {
        let (Some(owner), Some(name)) = (owner, name) else { return Ok(false) };
        for lookup in lookups {
            let by = [(self.owner_column.as_str(), owner), ("meta_key", name)];
            if lookup.count(&self.folded, &by)? != 1 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes a side's row out of one and into another. Its number is the other's from then on.
    fn join(&self, table: &mut MergedTable<'_>, into: usize, from: usize, of: Of) {
        let mut own = table.rows[from].side(of).take();
        if let Of::Target = of {
            table.rows[into].stored = table.rows[from].stored.take();
        }
        let row = &mut table.rows[into];
        let number = row.rows.base.as_ref().or(row.rows.target.as_ref()).and_then(|row| row[0].clone());
        if let Some(own) = &mut own {
            own[0] = number;
        }
        *row.side(of) = own;
    }
}
