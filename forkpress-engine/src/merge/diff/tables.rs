//! Tables as a whole: how they are made, and how many rows changed in those that hold no objects of WordPress.

use super::super::rows::Found;
use super::super::schema::Table;
use super::super::{Row, label};
use super::cells::{Compared, TableCells};
use super::{Change, Detail, Patch, RowCounts, TableChange};

/// What became of a table, of which the base and the source have these definitions. Its rows are not counted yet.
pub(super) fn of_definition(sides: [Option<&Table>; 2]) -> TableChange {
    let [before, after] = sides;
    let name = sides.into_iter().flatten().last().map(|table| table.name.clone()).unwrap_or_default();
    let change = (before != after).then(|| Change::of(before.is_some(), after.is_some()));
    let definition = match (before, after) {
        (Some(before), Some(after)) if before != after => altered(before, after),
        _ => Vec::new(),
    };
    TableChange { change, table: name, definition, rows: Some(RowCounts::default()), patches: Vec::new() }
}

/// What is not the same in two definitions of a table.
fn altered(before: &Table, after: &Table) -> Vec<Detail> {
    let columns = named("column", before, after, |table| {
        let columns = table.columns.iter();
        columns.map(|column| (column.name.clone(), format!("{column:?}"))).collect()
    });
    let attached = |kind: &'static str| {
        named(kind, before, after, move |table| {
            let attached = table.attached.iter().filter(|((found, _), _)| found == kind);
            attached.map(|((_, name), sql)| (name.clone(), sql.clone())).collect()
        })
    };
    let mut details = [columns, attached("index"), attached("trigger")].into_iter().flatten().collect::<Vec<_>>();
    if details.is_empty() {
        // A key, a default value, or what the driver says of the table to MySQL.
        details.push(Detail::named("definition"));
    }
    details
}

/// What is called by a name in both, and how it is made.
fn named(what: &str, before: &Table, after: &Table, of: impl Fn(&Table) -> Vec<(String, String)>) -> Option<Detail> {
    let (before, after) = (of(before), of(after));
    let find = |among: &[(String, String)], name: &str| {
        among.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, made)| made.clone())
    };
    let names = |of: &[(String, String)], is_told: &dyn Fn(&str, &str) -> bool| {
        of.iter().filter(|(name, made)| is_told(name, made)).map(|(name, _)| name.clone()).collect()
    };
    let detail = Detail {
        name: what.to_owned(),
        added: names(&after, &|name, _| find(&before, name).is_none()),
        changed: names(&after, &|name, made| find(&before, name).is_some_and(|before| before != made)),
        removed: names(&before, &|name, _| find(&after, name).is_none()),
        ..Detail::default()
    };
    (!detail.is_plain()).then_some(detail)
}

/// The rows of a table that differ.
#[derive(Default)]
pub(super) struct TableRows {
    pub(super) counts: RowCounts,
    /// How many page views write, or differ in nothing but what they do.
    pub(super) left_out: u64,
    pub(super) patches: Vec<Patch>,
    /// How many cells have a patch at most.
    most_patches: usize,
}

impl TableRows {
    pub(super) fn new(most_patches: usize) -> Self {
        Self { most_patches, ..Self::default() }
    }

    pub(super) fn add(&mut self, cells: &TableCells<'_>, found: &Found) {
        let sides = match found {
            Found::Copies { row, .. } if cells.is_noise(row) => {
                self.left_out += 1;
                return;
            }
            Found::Copies { row, copies } => {
                let came = copies.source > copies.base;
                *(if came { &mut self.counts.added } else { &mut self.counts.removed }) +=
                    copies.source.abs_diff(copies.base);
                self.patch(cells, (!came).then_some(row), came.then_some(row), cells.written(row));
                return;
            }
            Found::Keyed(sides) => sides,
        };
        let is_told = |row: &&Row| !cells.is_noise(row);
        match (sides.base.as_ref().filter(is_told), sides.source.as_ref().filter(is_told)) {
            (None, None) => self.left_out += 1,
            (None, Some(after)) => {
                self.counts.added += 1;
                self.patch(cells, None, Some(after), cells.written(after));
            }
            (Some(before), None) => {
                self.counts.removed += 1;
                self.patch(cells, Some(before), None, cells.written(before));
            }
            (Some(before), Some(after)) => match cells.compare(before, after) {
                Compared::Same => {}
                Compared::LeftOut => self.left_out += 1,
                Compared::In(columns) => {
                    self.counts.changed += 1;
                    self.patch(cells, Some(before), Some(after), columns);
                }
            },
        }
    }

    fn patch(&mut self, cells: &TableCells<'_>, before: Option<&Row>, after: Option<&Row>, columns: Vec<usize>) {
        let Some(row) = after.or(before).filter(|_| self.patches.len() < self.most_patches) else { return };
        let key: Vec<_> = (0..cells.key_columns).map(|column| label::shortened(&cells.told(row, column), 40)).collect();
        for column in columns {
            if self.patches.len() == self.most_patches {
                break;
            }
            let of = [&key[..], &[cells.columns[column].clone()]].concat().join(" ");
            self.patches.extend(cells.patch(of, before.map(Vec::as_slice), after.map(Vec::as_slice), column));
        }
    }
}
