//! What a merge makes of a row that is not the same on all sides, by rules that hold for any table.
//!
//! - What one side changed, the merge has. What both changed alike, too.
//! - Cells are merged one by one. A cell that both changed to something else is a conflict `cell`.
//! - A row that one side removed and the other changed is a conflict `removed`.
//! - A row that both inserted with one key and other content is a conflict `id`: these are two things.
//! - Of a table without a key, copies are counted. Two other numbers are a conflict `copies`.
//!
//! A row may have cells in conflict and others that are merged: the decision has both, so that rules which know what a
//! cell means can still settle it. **Nothing of a merge may be applied while a conflict is left.**

use super::conflict_id::{Conflict, ConflictKind, TablePlace};
use super::rows::{Found, RowChange};
use super::{Cell, Change, Row, Sides, Value};

/// What the target gets of a row.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Nothing: it has what the merge has.
    Nothing,
    /// A row that it has not.
    Insert(Row),
    /// Other values in cells of a row that it has: the number of the column, and the value.
    Update(Vec<(usize, Cell)>),
    /// The row goes.
    Remove,
    /// Another number of copies of a row of a table without a key.
    Copies(u64),
}

/// What a merge makes of a row.
#[derive(Debug, PartialEq)]
pub(crate) struct RowDecision {
    /// What the target gets; of a row with conflicts, what is certain of it.
    pub(crate) action: Action,
    /// What the rules do not decide.
    pub(crate) conflicts: Vec<Conflict>,
}

/// Decides by the rules that hold for any table.
pub(crate) fn decide(change: &RowChange<'_>) -> RowDecision {
    let place = |column: Option<&String>| TablePlace {
        table: change.layout.table.clone(),
        key: change.key(),
        column: column.cloned(),
    };
    match &change.found {
        Found::Copies { copies, .. } => match copies.change() {
            Change::Source => Action::Copies(copies.source).into(),
            Change::Both => {
                let count = |copies: u64| Some(vec![Some(Value::Integer(copies.cast_signed()))]);
                Conflict::new(ConflictKind::Copies, place(None), copies.map(count)).into()
            }
            Change::None | Change::Target | Change::Alike => Action::Nothing.into(),
        },
        Found::Keyed(rows) => match (rows.change(), rows) {
            (Change::None | Change::Target | Change::Alike, _) => Action::Nothing.into(),
            (Change::Source, Sides { source: None, .. }) => Action::Remove.into(),
            (Change::Source, Sides { base: None, source: Some(row), .. }) => Action::Insert(row.clone()).into(),
            (_, Sides { base: Some(base), source: Some(source), target: Some(target) }) => {
                let (mut updated, mut conflicts) = (Vec::new(), Vec::new());
                for (number, by) in change.cells() {
                    match by {
                        Change::Source => updated.push((number, source[number].clone())),
                        Change::Both => conflicts.push(Conflict::new(
                            ConflictKind::Cell,
                            place(Some(&change.layout.columns[number])),
                            Sides { base, source, target }.map(|row| Some(vec![row[number].clone()])),
                        )),
                        Change::None | Change::Target | Change::Alike => {}
                    }
                }
                let action = if updated.is_empty() { Action::Nothing } else { Action::Update(updated) };
                RowDecision { action, conflicts }
            }
            (_, Sides { base: None, .. }) => {
                Conflict::new(ConflictKind::Id, place(None), rows.clone()).of_rows(&change.layout.columns).into()
            }
            (_, _) => {
                Conflict::new(ConflictKind::Removed, place(None), rows.clone()).of_rows(&change.layout.columns).into()
            }
        },
    }
}

impl From<Action> for RowDecision {
    fn from(action: Action) -> Self {
        Self { action, conflicts: Vec::new() }
    }
}

impl From<Conflict> for RowDecision {
    fn from(conflict: Conflict) -> Self {
        Self { action: Action::Nothing, conflicts: vec![conflict] }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::rows::Layout;
    use super::*;

    fn row(id: i64, title: &str, status: &str) -> Option<Row> {
        Some(vec![Some(Value::Integer(id)), Some(Value::text(title)), Some(Value::text(status))])
    }

    fn layout(key_columns: usize) -> Layout {
        let columns = ["ID", "title", "status"].map(str::to_owned).to_vec();
        Layout { table: "wp_posts".to_owned(), columns, key_columns }
    }

    fn decided(base: Option<Row>, source: Option<Row>, target: Option<Row>) -> RowDecision {
        decide(&RowChange { layout: &layout(1), found: Found::Keyed(Sides { base, source, target }) })
    }

    fn copies(base: u64, source: u64, target: u64) -> RowDecision {
        let row = row(1, "a", "b").unwrap();
        decide(&RowChange { layout: &layout(0), found: Found::Copies { row, copies: Sides { base, source, target } } })
    }

    /// The kind of the only conflict, of a decision that does nothing.
    fn conflict(decision: RowDecision) -> Conflict {
        assert_eq!(decision.action, Action::Nothing);
        let [conflict] = decision.conflicts.try_into().unwrap();
        conflict
    }

    #[test]
    fn what_only_the_source_changed_comes_home() {
        let old = row(1, "a", "draft");
        assert_eq!(decided(None, old.clone(), None), Action::Insert(old.clone().unwrap()).into());
        assert_eq!(decided(old.clone(), None, old.clone()), Action::Remove.into());
        assert_eq!(
            decided(old.clone(), row(1, "A", "draft"), old),
            Action::Update(vec![(1, Some(Value::text("A")))]).into()
        );
        assert_eq!(copies(1, 3, 1), Action::Copies(3).into());
    }

    #[test]
    fn what_the_target_changed_or_both_alike_stays() {
        let (old, new) = (row(1, "a", "draft"), row(1, "b", "draft"));
        for (base, source, target) in [
            (old.clone(), old.clone(), new.clone()),
            (old.clone(), old.clone(), None),
            (None, None, new.clone()),
            (old.clone(), new.clone(), new.clone()),
            (old.clone(), None, None),
            (None, new.clone(), new.clone()),
        ] {
            assert_eq!(decided(base, source, target), Action::Nothing.into());
        }
        assert_eq!(copies(1, 1, 0), Action::Nothing.into());
        assert_eq!(copies(1, 2, 2), Action::Nothing.into());
    }

    #[test]
    fn changes_of_other_cells_are_both_kept() {
        let decision = decided(row(1, "a", "draft"), row(1, "b", "draft"), row(1, "a", "publish"));
        assert_eq!(decision, Action::Update(vec![(1, Some(Value::text("b")))]).into());
    }

    #[test]
    fn a_cell_that_both_changed_is_a_conflict_and_the_rest_of_the_row_is_merged() {
        let decision = decided(row(1, "a", "draft"), row(1, "b", "publish"), row(1, "c", "draft"));
        assert_eq!(decision.action, Action::Update(vec![(2, Some(Value::text("publish")))]));
        let [conflict] = decision.conflicts.try_into().unwrap();
        assert_eq!(conflict.kind, ConflictKind::Cell);
        let (table, key, column) = ("wp_posts".to_owned(), vec![Value::Integer(1)], Some("title".to_owned()));
        assert_eq!(conflict.place, TablePlace { table, key, column });
        let title = |title| Some(vec![Some(Value::text(title))]);
        assert_eq!(conflict.sides, Sides { base: title("a"), source: title("b"), target: title("c") });
    }

    #[test]
    fn a_cell_in_a_column_that_only_the_source_has_is_its_change() {
        let without = |title: &str| Some(vec![Some(Value::Integer(1)), Some(Value::text(title)), None]);
        let decision = decided(without("a"), row(1, "a", "new"), without("b"));
        assert_eq!(decision, Action::Update(vec![(2, Some(Value::text("new")))]).into());
    }

    #[test]
    fn removed_here_and_changed_there_is_a_conflict_both_ways() {
        let (old, new) = (row(1, "a", "draft"), row(1, "b", "draft"));
        let one = conflict(decided(old.clone(), None, new.clone()));
        let other = conflict(decided(old, new, None));
        assert_eq!((one.kind, other.kind), (ConflictKind::Removed, ConflictKind::Removed));
        assert_eq!(one.place.column, None);
        assert_ne!(one.id, other.id);
    }

    #[test]
    fn two_things_of_one_key_are_a_conflict_of_the_id() {
        let found = conflict(decided(None, row(1, "a", "draft"), row(1, "a", "publish")));
        assert_eq!((found.kind, found.place.key), (ConflictKind::Id, vec![Value::Integer(1)]));
    }

    #[test]
    fn two_other_numbers_of_copies_are_a_conflict() {
        let found = conflict(copies(1, 2, 0));
        assert_eq!((found.kind, found.place.key.len()), (ConflictKind::Copies, 3));
    }

    #[test]
    fn an_id_is_of_one_conflict_only_and_the_same_each_time() {
        let conflict = |table: &str, key: Value, column: Option<&str>, kind, cells: [Cell; 3]| {
            let [base, source, target] = cells.map(|cell| Some(vec![cell]));
            let place = TablePlace { table: table.to_owned(), key: vec![key], column: column.map(str::to_owned) };
            Conflict::new(kind, place, Sides { base, source, target }).id.to_string()
        };
        let text = |text| Some(Value::text(text));
        let one = || conflict("t", Value::Integer(1), Some("c"), ConflictKind::Cell, [text("a"), text("b"), text("c")]);
        let key = Value::Integer(1);
        let ids = [
            one(),
            conflict("u", key.clone(), Some("c"), ConflictKind::Cell, [text("a"), text("b"), text("c")]),
            conflict("t", Value::text("1"), Some("c"), ConflictKind::Cell, [text("a"), text("b"), text("c")]),
            conflict("t", key.clone(), Some("d"), ConflictKind::Cell, [text("a"), text("b"), text("c")]),
            conflict("t", key.clone(), None, ConflictKind::Cell, [text("a"), text("b"), text("c")]),
            conflict("t", key.clone(), Some("c"), ConflictKind::Id, [text("a"), text("b"), text("c")]),
            conflict("t", key.clone(), Some("c"), ConflictKind::Cell, [text("b"), text("a"), text("c")]),
            conflict("t", key.clone(), Some("c"), ConflictKind::Cell, [text("a"), text("c"), text("b")]),
            conflict("t", key.clone(), Some("c"), ConflictKind::Cell, [text("ab"), text(""), text("c")]),
            conflict("t", key.clone(), Some("c"), ConflictKind::Cell, [None, text("b"), text("c")]),
            conflict("t", key.clone(), Some("c"), ConflictKind::Cell, [Some(Value::Null), text("b"), text("c")]),
            conflict("t", key, Some("c"), ConflictKind::Cell, [Some(Value::Blob(b"a".to_vec())), text("b"), text("c")]),
        ];
        assert_eq!(one(), ids[0]);
        assert_eq!(ids[0].len(), 32);
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        let row = |texts: [&str; 2]| {
            let place = TablePlace { table: "t".to_owned(), key: Vec::new(), column: None };
            let row = Some(texts.map(|text| Some(Value::text(text))).to_vec());
            Conflict::new(ConflictKind::Removed, place, Sides { base: row, source: None, target: None }).id
        };
        assert_ne!(row(["a\u{4}b", "c"]), row(["a", "b\u{4}c"]), "no text looks like two");
    }

    #[test]
    fn an_id_is_the_same_in_every_version_of_the_program() {
        let found = conflict(decided(None, row(1, "a", "draft"), row(1, "a", "publish")));
        assert_eq!(found.id.to_string(), "6cd07a383038ef9ecc71bd641f135420");
    }
}
