//! What changes in the target, of all that was decided.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Row, Value};
use super::tables::MergedTable;
use super::{After, CellEdit, Merge, MergedRow, PlanError, Recounts, RowEdit, TableEdits};

/// What is to be counted anew, by the prefix of the site.
#[derive(Default)]
struct Counted {
    comments_of: BTreeSet<i64>,
    terms: BTreeSet<i64>,
    users: bool,
}

impl Merge<'_> {
    /// Whether anything changes that does not merely follow from other changes.
    pub(super) fn has_changes(&self) -> Result<bool, PlanError> {
        let counted = self.counted()?;
        Ok(self.tables.list.iter().any(|table| {
            !self.copies(table).is_empty()
                || table.rows.iter().any(|row| !row.follows && self.is_edited(table, row, &counted))
        }))
    }

    /// All that changes.
    pub(super) fn edits(&self) -> Result<(Vec<TableEdits>, Recounts), PlanError> {
        let mut counted = self.counted()?;
        let mut tables = Vec::new();
        for table in &self.tables.list {
            let mut rows: Vec<_> = table.rows.iter().filter_map(|row| self.edit(table, row, &counted)).collect();
            rows.extend(self.copies(table));
            // A row whose number SQLite gives must not take one that another row brings.
            rows.sort_by_key(|row| match row {
                RowEdit::Remove { .. } => 0,
                RowEdit::Update { .. } | RowEdit::Copies { .. } => 1,
                RowEdit::Insert(row) if row[..table.layout.key_columns].iter().all(Option::is_some) => 2,
                RowEdit::Insert(_) => 3,
            });
            if !rows.is_empty() {
                tables.push(TableEdits {
                    table: table.layout.table.clone(),
                    columns: table.layout.columns.clone(),
                    key_columns: table.layout.key_columns,
                    rows,
                });
            }
        }
        let Counted { comments_of, terms, users } = counted.remove(self.tables.prefixes.main()).unwrap_or_default();
        let recounts =
            Recounts { comments_of: comments_of.into_iter().collect(), terms: terms.into_iter().collect(), users };
        Ok((tables, recounts))
    }

    /// The columns of a row that the target has and that get another value.
    fn changing<'r>(
        &self,
        table: &'r MergedTable<'_>,
        row: &'r MergedRow,
        counted: &'r BTreeMap<String, Counted>,
    ) -> impl Iterator<Item = usize> + use<'r> {
        let rows = if let (After::Row(after), Some(before)) = (&row.after, &row.stored) {
            Some((after, before))
        } else {
            None
        };
        let columns = table.layout.key_columns..table.layout.columns.len();
        columns.filter(move |column| {
            rows.is_some_and(|(after, before)| {
                after[*column].is_some()
                    && after[*column] != before[*column]
                    && table.keeps(*column)
                    && (!row.counted.contains(column) || is_counted(table, before, counted))
            })
        })
    }

    fn is_edited(&self, table: &MergedTable<'_>, row: &MergedRow, counted: &BTreeMap<String, Counted>) -> bool {
        table.becomes.is_some()
            && match (&row.after, &row.stored) {
                (After::Stored, _) | (After::Gone, None) => false,
                (After::Gone, Some(_)) | (After::Row(_), None) => true,
                (After::Row(_), Some(_)) => self.changing(table, row, counted).next().is_some(),
            }
    }

    /// What becomes of a row; none where nothing does.
    fn edit(
        &self,
        table: &MergedTable<'_>,
        row: &MergedRow,
        all_counted: &BTreeMap<String, Counted>,
    ) -> Option<RowEdit> {
        if !self.is_edited(table, row, all_counted) {
            return None;
        }
        Some(match (&row.after, &row.stored) {
            (After::Row(after), None) => {
                let cell = |column: usize| after[column].clone().filter(|_| table.keeps(column));
                RowEdit::Insert((0..after.len()).map(cell).collect())
            }
            (After::Row(after), Some(before)) => {
                let cell =
                    |column: usize| CellEdit { column, before: before[column].clone(), after: after[column].clone() };
                let main = self.tables.prefixes.main();
                let counted = all_counted.get(main).filter(|_| table.prefix == main);
                // What a count was before does not matter: whoever writes into the target changes it all the time.
                let stays =
                    |column: &usize| counted.is_none_or(|counted| !is_recounted(table, *column, after, counted));
                let cells: Vec<_> = self.changing(table, row, all_counted).filter(stays).map(cell).collect();
                if cells.is_empty() {
                    return None;
                }
                RowEdit::Update { key: table.key(before), cells }
            }
            (_, before) => RowEdit::Remove { before: before.clone()? },
        })
    }

    fn copies(&self, table: &MergedTable<'_>) -> Vec<RowEdit> {
        let changed = table.copies.iter().filter(|(_, copies)| copies.source != copies.target);
        let edit = |(row, copies): &(Row, super::super::Sides<u64>)| RowEdit::Copies {
            row: row.clone(),
            before: copies.target,
            after: copies.source,
        };
        changed.map(edit).collect()
    }

    /// What has to be counted, by the rows that come, go or change.
    fn counted(&self) -> Result<BTreeMap<String, Counted>, PlanError> {
        let mut counted: BTreeMap<String, Counted> = BTreeMap::new();
        for table in &self.tables.list {
            let numbers = |row: &MergedRow, column: &str| -> Vec<i64> {
                let after = if let After::Row(after) = &row.after { Some(after) } else { None };
                let column = table.column(column);
                let cell = |row: &Row| match column.and_then(|column| row[column].clone()) {
                    Some(Value::Integer(number)) => Some(number),
                    _ => None,
                };
                row.stored.iter().chain(after).filter_map(cell).collect()
            };
            let none = BTreeMap::new();
            let rows = table.rows.iter().filter(|row| self.is_edited(table, row, &none));
            for row in rows {
                let counted = counted.entry(table.prefix.clone()).or_default();
                // What is counted may be left out of the merge.
                match &*table.local {
                    "posts" if changes(table, row, "comment_count") => counted.comments_of.extend(numbers(row, "id")),
                    "term_taxonomy" if changes(table, row, "count") => {
                        counted.terms.extend(numbers(row, "term_taxonomy_id"));
                    }
                    _ => {}
                }
                match &*table.local {
                    "comments" => counted.comments_of.extend(numbers(row, "comment_post_id")),
                    "term_relationships" => counted.terms.extend(numbers(row, "term_taxonomy_id")),
                    "users" => counted.users = counted.users || row.stored.is_none() || row.after == After::Gone,
                    // A category counts what is published in it.
                    "posts" if changes(table, row, "post_status") => {
                        for post in numbers(row, "id") {
                            let terms = format!("{}term_relationships", table.prefix);
                            let by = Value::Integer(post);
                            let found =
                                self.lookups.target.rows(&terms, &["term_taxonomy_id"], &[("object_id", &by)])?;
                            counted.terms.extend(found.into_iter().flatten().filter_map(|cell| match cell {
                                Some(Value::Integer(number)) => Some(number),
                                _ => None,
                            }));
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(counted)
    }
}

/// Whether a row that stays gets another value in a column.
fn changes(table: &MergedTable<'_>, row: &MergedRow, column: &str) -> bool {
    match (table.column(column), &row.stored, &row.after) {
        (Some(column), Some(stored), After::Row(after)) => stored[column] != after[column],
        _ => false,
    }
}

/// Whether a column of a row has a count that is made anew in the target ([`Recounts`]).
fn is_recounted(table: &MergedTable<'_>, column: usize, after: &Row, counted: &Counted) -> bool {
    let is = |name: &str| table.column(name) == Some(column);
    match &*table.local {
        // In the trash, a post keeps the number that it had.
        "posts" => {
            let status = table.column("post_status").and_then(|column| after[column].as_ref());
            is("comment_count")
                && is_one_of(&counted.comments_of, after)
                && status != Some(&Value::Text(b"trash".to_vec()))
        }
        "term_taxonomy" => is("count") && is_one_of(&counted.terms, after),
        _ => false,
    }
}

/// Whether what a row counts is counted anew.
fn is_counted(table: &MergedTable<'_>, row: &Row, counted: &BTreeMap<String, Counted>) -> bool {
    let Some(counted) = counted.get(&table.prefix) else { return false };
    match &*table.local {
        "posts" => is_one_of(&counted.comments_of, row),
        "term_taxonomy" => is_one_of(&counted.terms, row),
        _ => counted.users,
    }
}

/// Whether the key of a row is one of these numbers.
fn is_one_of(numbers: &BTreeSet<i64>, row: &Row) -> bool {
    matches!(row[0], Some(Value::Integer(number)) if numbers.contains(&number))
}
