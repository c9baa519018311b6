//! A table in all three databases at once, in the order of its key: which rows are not the same, and what each side has.
//!
//! Each database is read once, from the first row to the last, over the connection's read transaction. Of each, one row
//! is in memory; a row is copied only where it differs. Where the key is not stored in the order of its bytes (a
//! `NOCASE` key), SQLite sorts the rows first, in a temporary file where they are many.
//!
//! The order is SQLite's `BINARY`: NULL, then numbers, then texts, then blobs, the last two by their bytes. [`order`] is
//! the same in Rust; the two must agree, or rows are missed. `1` and `1.0` have the same place in it. So a key that only
//! changed its type is a changed row, and not two.

use std::cmp::Ordering;
use std::ops::RangeInclusive;

use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Rows, Statement};
use thiserror::Error;

use super::schema::{Key, Table, quoted};
use super::{Change, Row, Sides, Value, is_same};

/// Why a table is not compared to its end.
#[derive(Debug, Error)]
pub(crate) enum ScanError {
    /// A database can't be read.
    #[error("cannot read the table {table}")]
    Read {
        /// The table.
        table: String,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The sides tell the rows of the table apart by other columns, so no row of one is a row of the other.
    #[error("the rows of the table {table} cannot be matched: its key is not the same on all sides")]
    OtherKey {
        /// The table.
        table: String,
    },
    /// The table has no key, and not the same columns on all sides.
    #[error("the rows of the table {table} cannot be matched: it has no key, and not the same columns on all sides")]
    OtherColumns {
        /// The table.
        table: String,
    },
}

/// How the rows of a table are read, the same for all sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) table: String,
    /// The columns of all sides, those of the key first.
    pub(crate) columns: Vec<String>,
    /// How many columns the key has; 0 of a table without one.
    pub(crate) key_columns: usize,
}

/// A row that is not the same on all sides.
#[derive(Debug)]
pub(crate) struct RowChange<'layout> {
    pub(crate) layout: &'layout Layout,
    pub(crate) found: Found,
}

/// What each side has of a row.
#[derive(Debug, PartialEq)]
pub(crate) enum Found {
    /// The row of one key; none where a side has no such row.
    Keyed(Sides<Option<Row>>),
    /// How many copies of one row each side has in a table without a key.
    Copies {
        /// The row.
        row: Row,
        /// How many of it each side has, not the same number on all.
        copies: Sides<u64>,
    },
}

impl RowChange<'_> {
    /// The values of the key; of a table without one, those of the whole row.
    pub(crate) fn key(&self) -> Vec<Value> {
        let (row, length) = match &self.found {
            Found::Keyed(rows) => (rows.as_ref().array().into_iter().flatten().next(), self.layout.key_columns),
            Found::Copies { row, .. } => (Some(row), row.len()),
        };
        row.into_iter().flatten().take(length).flatten().cloned().collect()
    }

    /// Who changed which cell: none unless all three have the row. Cells that nobody changed are not in it.
    pub(crate) fn cells(&self) -> Vec<(usize, Change)> {
        let Found::Keyed(Sides { base: Some(base), source: Some(source), target: Some(target) }) = &self.found else {
            return Vec::new();
        };
        let change =
            |number: usize| Sides { base: &base[number], source: &source[number], target: &target[number] }.change();
        (0..base.len()).map(|number| (number, change(number))).filter(|(_, change)| *change != Change::None).collect()
    }
}

/// A database that is compared, and what it has under the name of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SideTable<'a> {
    /// In a read transaction.
    pub(crate) connection: &'a Connection,
    /// None where it has no such table: then all its rows are missing.
    pub(crate) table: Option<&'a Table>,
}

/// Gives `found` each row of a table that is not the same in all databases, in the order of the key. Without a target,
/// the target counts as being as the base is: what is found is what the source has changed.
///
/// `numbers`: where the key is the row's number on all sides, those of the rows that may differ ([`super::pages`]). No others are
/// read.
///
/// # Errors
/// [`ScanError::OtherKey`] and [`ScanError::OtherColumns`] before any row is read; [`ScanError::Read`]; what `found` gives.
///
/// # Panics
/// If a connection is in no transaction.
pub(crate) fn scan<E: From<ScanError>>(
    base: SideTable<'_>,
    source: SideTable<'_>,
    target: Option<SideTable<'_>>,
    numbers: Option<&[RangeInclusive<i64>]>,
    mut found: impl FnMut(RowChange<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let sides: Vec<_> = [Some(base), Some(source), target].into_iter().flatten().collect();
    assert!(sides.iter().all(|side| !side.connection.is_autocommit()), "a database is read in one transaction");
    let tables: Vec<_> = sides.iter().filter_map(|side| side.table).collect();
    let Some(first) = tables.first() else { return Ok(()) };
    let failed = |source| ScanError::Read { table: first.name.clone(), source };
    let layout =
        Layout::of(&sides).map_err(failed)?.ok_or_else(|| ScanError::OtherKey { table: first.name.clone() })?;
    let has = |table: &Table| -> Vec<bool> {
        layout
            .columns
            .iter()
            .map(|name| table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name)))
            .collect()
    };
    let present: Vec<_> = sides.iter().map(|side| side.table.map(has)).collect();
    let is_alike = present.iter().flatten().all(|columns| columns.iter().all(|present| *present));
    if layout.key_columns == 0 && !is_alike {
        return Err(ScanError::OtherColumns { table: layout.table }.into());
    }
    // Where copies are counted, none may be passed over.
    let may_skip = is_alike && layout.key_columns > 0;
    let numbers = numbers.filter(|_| tables.iter().all(|table| matches!(table.key, Key::Rowid { .. })));
    let mut statements = Vec::new();
    for (side, present) in sides.iter().zip(&present) {
        statements.push(match (side.table, present) {
            (Some(table), Some(present)) => {
                let select = layout.select(table, present, numbers.is_some());
                Some(side.connection.prepare(&select).map_err(failed)?)
            }
            _ => None,
        });
    }
    let ranges = numbers.map_or(vec![None], |numbers| numbers.iter().map(Some).collect());
    for range in ranges {
        let mut cursors = Vec::new();
        for (statement, present) in statements.iter_mut().zip(&present) {
            let present = present.as_deref().unwrap_or_default();
            let mut cursor = Cursor::open(statement.as_mut(), present, range).map_err(failed)?;
            cursor.advance().map_err(failed)?;
            cursors.push(cursor);
        }
        while let Some(change) = next_change(&layout, &mut cursors, may_skip).map_err(failed)? {
            found(RowChange { layout: &layout, found: change })?;
        }
    }
    Ok(())
}

impl Layout {
    /// None where the key is not the same on all sides that have the table.
    fn of(sides: &[SideTable<'_>]) -> rusqlite::Result<Option<Self>> {
        let tables: Vec<_> = sides.iter().filter_map(|side| side.table).collect();
        let key = tables[0].key.columns();
        let is_same = |other: &[String]| {
            key.len() == other.len() && key.iter().zip(other).all(|(one, other)| one.eq_ignore_ascii_case(other))
        };
        if !tables.iter().all(|table| is_same(table.key.columns())) {
            return Ok(None);
        }
        let mut has_null = false;
        for side in sides {
            has_null = has_null || side.has_null_in_key()?;
        }
        let key = if has_null { &[] } else { key };
        let mut columns = key.to_vec();
        for column in tables.iter().flat_map(|table| &table.columns) {
            if !columns.iter().any(|name| name.eq_ignore_ascii_case(&column.name)) {
                columns.push(column.name.clone());
            }
        }
        Ok(Some(Self { table: tables[0].name.clone(), columns, key_columns: key.len() }))
    }

    /// `has_range`: whether only rows are read whose numbers are in a range.
    fn select(&self, table: &Table, present: &[bool], has_range: bool) -> String {
        let list: Vec<_> = self
            .columns
            .iter()
            .zip(present)
            .map(|(name, present)| if *present { quoted(name) } else { "NULL".to_owned() })
            .collect();
        // By name, as a number would lose the collation.
        let mut order: Vec<_> = list[..self.sorted()].iter().map(|name| format!("{name} COLLATE BINARY")).collect();
        if self.key_columns == 0 {
            order.extend(list.iter().map(|name| format!("typeof({name})")));
        }
        let range = if has_range { format!("WHERE {} BETWEEN ? AND ?", list[0]) } else { String::new() };
        format!("SELECT {} FROM {} {range} ORDER BY {}", list.join(","), quoted(&table.name), order.join(","))
    }

    /// By how many columns rows are sorted.
    fn sorted(&self) -> usize {
        if self.key_columns == 0 { self.columns.len() } else { self.key_columns }
    }
}

impl SideTable<'_> {
    /// Whether a row's key has NULL in it. SQLite allows that, for history's sake, and several such rows.
    fn has_null_in_key(&self) -> rusqlite::Result<bool> {
        let Some(Table { name, key: Key::Columns { columns, is_nullable: true }, .. }) = self.table else {
            return Ok(false);
        };
        let any: Vec<_> = columns.iter().map(|column| format!("{} IS NULL", quoted(column))).collect();
        let sql = format!("SELECT EXISTS (SELECT 1 FROM {} WHERE {})", quoted(name), any.join(" OR "));
        self.connection.query_row(&sql, [], |row| row.get(0))
    }
}

/// Where the reading of one database is.
struct Cursor<'statement> {
    /// None where the database has no such table.
    rows: Option<Rows<'statement>>,
    /// Which of the columns its table has.
    present: &'statement [bool],
}

impl<'statement> Cursor<'statement> {
    fn open(
        statement: Option<&'statement mut Statement<'_>>,
        present: &'statement [bool],
        range: Option<&RangeInclusive<i64>>,
    ) -> rusqlite::Result<Self> {
        let query = |statement: &'statement mut Statement<'_>| match range {
            Some(range) => statement.query((range.start(), range.end())),
            None => statement.query([]),
        };
        Ok(Self { rows: statement.map(query).transpose()?, present })
    }

    fn advance(&mut self) -> rusqlite::Result<()> {
        self.rows.as_mut().map_or(Ok(()), FallibleStreamingIterator::advance)
    }

    fn row(&self) -> Option<&rusqlite::Row<'statement>> {
        self.rows.as_ref().and_then(FallibleStreamingIterator::get)
    }

    fn copied(&self) -> rusqlite::Result<Option<Row>> {
        let Some(row) = self.row() else { return Ok(None) };
        let cell = |(number, present): (usize, &bool)| Ok(if *present { Some(row.get(number)?) } else { None });
        self.present.iter().enumerate().map(cell).collect::<Result<_, _>>().map(Some)
    }
}

/// Reads on to the next row that is not the same everywhere, and past it; none at the end.
fn next_change(layout: &Layout, cursors: &mut [Cursor<'_>], may_skip: bool) -> rusqlite::Result<Option<Found>> {
    loop {
        if may_skip && all_same(layout, cursors)? {
            if cursors[0].row().is_none() {
                return Ok(None);
            }
            cursors.iter_mut().try_for_each(Cursor::advance)?;
            continue;
        }
        let Some(least) = least(layout, cursors)? else { return Ok(None) };
        if layout.key_columns == 0 {
            let row = cursors[least].copied()?.expect("the least row is one");
            let mut copies = Vec::new();
            for cursor in &mut *cursors {
                copies.push(cursor.count_copies(&row)?);
            }
            let copies = sides_of(copies);
            if copies.change() != Change::None {
                return Ok(Some(Found::Copies { row, copies }));
            }
            continue;
        }
        let mut is_at = [false; 3];
        for (number, cursor) in cursors.iter().enumerate() {
            is_at[number] = is_at_key(layout, &cursors[least], cursor)?;
        }
        let mut rows = Vec::new();
        for (cursor, is_at) in cursors.iter_mut().zip(is_at) {
            rows.push(if is_at { cursor.copied()? } else { None });
            if is_at {
                cursor.advance()?;
            }
        }
        let rows = sides_of(rows);
        if rows.change() != Change::None {
            return Ok(Some(Found::Keyed(rows)));
        }
    }
}

impl Cursor<'_> {
    /// Reads past all copies of a row that come next, and counts them.
    fn count_copies(&mut self, row: &Row) -> rusqlite::Result<u64> {
        let mut copies = 0;
        while let Some(next) = self.row() {
            for (number, cell) in row.iter().enumerate() {
                let value = next.get_ref(number)?;
                if !cell.as_ref().is_some_and(|cell| is_same(value, cell.as_ref())) {
                    return Ok(copies);
                }
            }
            copies += 1;
            self.advance()?;
        }
        Ok(copies)
    }
}

/// What was found of two or three databases. Without a target, it is as the base is.
fn sides_of<T: Clone>(found: Vec<T>) -> Sides<T> {
    let mut found = found.into_iter();
    let mut next = || found.next();
    let (base, source) = (next().expect("there is a base"), next().expect("there is a source"));
    let target = next().unwrap_or_else(|| base.clone());
    Sides { base, source, target }
}

/// Whether all are at rows of the same content, or all at the end. What nearly every row goes through: it copies nothing.
fn all_same(layout: &Layout, cursors: &[Cursor<'_>]) -> rusqlite::Result<bool> {
    let (first, others) = cursors.split_first().expect("there is a base");
    let Some(first) = first.row() else { return Ok(others.iter().all(|other| other.row().is_none())) };
    if others.iter().any(|other| other.row().is_none()) {
        return Ok(false);
    }
    for number in 0..layout.columns.len() {
        let value = first.get_ref(number)?;
        for other in others.iter().filter_map(Cursor::row) {
            if !is_same(value, other.get_ref(number)?) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Which is at the row that comes first of all; none at the end of all.
fn least(layout: &Layout, cursors: &[Cursor<'_>]) -> rusqlite::Result<Option<usize>> {
    let mut least: Option<(usize, &rusqlite::Row<'_>)> = None;
    for (number, cursor) in cursors.iter().enumerate() {
        let Some(row) = cursor.row() else { continue };
        let is_less = match least {
            Some((_, least)) => order_of_rows(layout, row, least)? == Ordering::Less,
            None => true,
        };
        if is_less {
            least = Some((number, row));
        }
    }
    Ok(least.map(|(number, _)| number))
}

fn is_at_key(layout: &Layout, least: &Cursor<'_>, other: &Cursor<'_>) -> rusqlite::Result<bool> {
    match (least.row(), other.row()) {
        (Some(least), Some(other)) => Ok(order_of_rows(layout, least, other)? == Ordering::Equal),
        _ => Ok(false),
    }
}

fn order_of_rows(layout: &Layout, one: &rusqlite::Row<'_>, other: &rusqlite::Row<'_>) -> rusqlite::Result<Ordering> {
    for number in 0..layout.sorted() {
        let found = order(one.get_ref(number)?, other.get_ref(number)?);
        if found != Ordering::Equal {
            return Ok(found);
        }
    }
    if layout.key_columns == 0 {
        for number in 0..layout.columns.len() {
            // Of two values at one place, only the types of numbers can differ, and `typeof()` says "integer" and "real".
            let is_real = |value| matches!(value, ValueRef::Real(_));
            let found = is_real(one.get_ref(number)?).cmp(&is_real(other.get_ref(number)?));
            if found != Ordering::Equal {
                return Ok(found);
            }
        }
    }
    Ok(Ordering::Equal)
}

/// SQLite's order of two values under the collation `BINARY`.
fn order(one: ValueRef<'_>, other: ValueRef<'_>) -> Ordering {
    let rank = |value: ValueRef<'_>| match value {
        ValueRef::Null => 0,
        ValueRef::Integer(_) | ValueRef::Real(_) => 1,
        ValueRef::Text(_) => 2,
        ValueRef::Blob(_) => 3,
    };
    match (one, other) {
        (ValueRef::Integer(one), ValueRef::Integer(other)) => one.cmp(&other),
        (ValueRef::Real(one), ValueRef::Real(other)) => one.partial_cmp(&other).unwrap_or(Ordering::Equal),
        (ValueRef::Integer(one), ValueRef::Real(other)) => order_of_numbers(one, other),
        (ValueRef::Real(one), ValueRef::Integer(other)) => order_of_numbers(other, one).reverse(),
        (ValueRef::Text(one), ValueRef::Text(other)) | (ValueRef::Blob(one), ValueRef::Blob(other)) => one.cmp(other),
        (one, other) => rank(one).cmp(&rank(other)),
    }
}

/// Exact, where a conversion of the integer would round.
fn order_of_numbers(integer: i64, real: f64) -> Ordering {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if real < -BEYOND {
        return Ordering::Greater;
    }
    if real >= BEYOND {
        return Ordering::Less;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is in range, and what is after the point is compared next")]
    let whole = real as i64;
    integer.cmp(&whole).then_with(|| 0.0_f64.partial_cmp(&real.fract()).unwrap_or(Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::schema::{self, Schema};
    use super::super::testing::{make, read};
    use super::super::{Cell, Value};
    use super::*;

    fn cell(cell: &Cell) -> String {
        match cell {
            None => "-".to_owned(),
            Some(Value::Null) => "NULL".to_owned(),
            Some(Value::Integer(number)) => number.to_string(),
            Some(Value::Real(number)) => format!("{number:?}"),
            Some(Value::Text(text)) => format!("'{}'", text.escape_ascii()),
            Some(Value::Blob(bytes)) => format!("x'{}'", bytes.escape_ascii()),
        }
    }

    fn row(row: &Row) -> String {
        row.iter().map(cell).collect::<Vec<_>>().join(" ")
    }

    fn told(change: &RowChange<'_>) -> String {
        match &change.found {
            Found::Keyed(rows) => {
                rows.as_ref().map(|found| found.as_ref().map_or("none".to_owned(), row)).array().join(" | ")
            }
            Found::Copies { row: found, copies } => {
                format!("{} * {}", row(found), copies.map(|count| count.to_string()).array().join(" "))
            }
        }
    }

    /// What differs between the tables `t` of two or three files of a folder.
    fn changes_of(folder: &Path, names: &[&str]) -> Result<Vec<String>, ScanError> {
        let connections: Vec<_> = names.iter().map(|name| read(folder, name)).collect();
        let schemas: Vec<Schema> = connections.iter().map(|connection| schema::read(connection).unwrap()).collect();
        let side =
            |number: usize| SideTable { connection: &connections[number], table: schemas[number].tables.get("t") };
        let mut changes = Vec::new();
        scan(side(0), side(1), (names.len() > 2).then(|| side(2)), None, |change| {
            changes.push(told(&change));
            Ok::<_, ScanError>(())
        })?;
        Ok(changes)
    }

    /// The same of databases that begin with `first` and go on with a statement each.
    fn try_changes(first: &str, then: &[&str]) -> Result<Vec<String>, ScanError> {
        let folder = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..then.len()).map(|number| number.to_string()).collect();
        for (name, then) in names.iter().zip(then) {
            make(folder.path(), name, &format!("{first};{then}"));
        }
        changes_of(folder.path(), &names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn changes(first: &str, then: &[&str]) -> Vec<String> {
        try_changes(first, then).unwrap()
    }

    const POSTS: &str =
        "CREATE TABLE t (ID INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, title TEXT COLLATE NOCASE) STRICT;
        INSERT INTO t VALUES (3, 'three'), (5, 'five'), (7, 'seven')";

    #[test]
    fn what_is_the_same_everywhere_is_not_found() {
        assert!(changes(POSTS, &["", "", ""]).is_empty());
        assert!(changes(POSTS, &["", "DELETE FROM t WHERE ID = 5", "DELETE FROM t WHERE ID = 5"]).len() == 1);
        assert!(changes("CREATE TABLE t (a INTEGER PRIMARY KEY)", &["", "", ""]).is_empty());
    }

    #[test]
    fn a_change_of_case_is_a_change() {
        assert_eq!(
            changes(POSTS, &["", "UPDATE t SET title = 'Five' WHERE ID = 5", ""]),
            ["5 'five' | 5 'Five' | 5 'five'"]
        );
    }

    #[test]
    fn rows_at_both_ends_and_between_are_found_in_the_order_of_the_key() {
        assert_eq!(
            changes(
                POSTS,
                &[
                    "",
                    "INSERT INTO t VALUES (-1, 'a'), (9, 'z'), (4, 'm'); DELETE FROM t WHERE ID = 3",
                    "INSERT INTO t VALUES (10, 'end'), (1, 'start'); DELETE FROM t WHERE ID = 7"
                ]
            ),
            [
                "none | -1 'a' | none",
                "none | none | 1 'start'",
                "3 'three' | none | 3 'three'",
                "none | 4 'm' | none",
                "7 'seven' | 7 'seven' | none",
                "none | 9 'z' | none",
                "none | none | 10 'end'",
            ]
        );
    }

    #[test]
    fn without_a_target_it_is_as_the_base_is() {
        assert_eq!(
            changes(POSTS, &["", "DELETE FROM t WHERE ID = 3; INSERT INTO t VALUES (8, '')"]),
            ["3 'three' | none | 3 'three'", "none | 8 '' | none"]
        );
    }

    #[test]
    fn values_that_look_the_same_are_told_apart_by_type_and_bytes() {
        let any = "CREATE TABLE t (a INTEGER PRIMARY KEY, b)";
        for (one, other) in [
            ("NULL", "''"),
            ("NULL", "0"),
            ("1", "'1'"),
            ("1", "1.0"),
            ("'x'", "x'78'"),
            ("x''", "''"),
            ("x'00'", "x'0000'"),
            ("x'610062'", "x'610063'"),
            ("CAST(x'6100' AS TEXT)", "'a'"),
            ("CAST(x'ff' AS TEXT)", "CAST(x'fe' AS TEXT)"),
            ("'a'", "'a '"),
            ("9007199254740993", "9007199254740992.0"),
        ] {
            let insert = |value: &str| format!("INSERT INTO t VALUES (1, {value})");
            assert_eq!(changes(any, &[&insert(one), &insert(other), &insert(one)]).len(), 1, "{one} and {other}");
            assert!(changes(any, &[&insert(one), &insert(one), &insert(one)]).is_empty(), "{one}");
        }
        let bytes =
            changes(any, &["INSERT INTO t VALUES (1, x'610062')", "INSERT INTO t VALUES (1, CAST(x'ff00' AS TEXT))"]);
        assert_eq!(bytes, [r"1 x'a\x00b' | 1 '\xff\x00' | 1 x'a\x00b'"], "what is given has all its bytes");
    }

    #[test]
    fn keys_without_case_are_matched_by_their_bytes() {
        let names =
            "CREATE TABLE t (name TEXT COLLATE NOCASE NOT NULL PRIMARY KEY, v) STRICT".replace("v)", "v INTEGER)");
        // NOCASE has a before B before c; their bytes are in another order.
        let first = format!("{names}; INSERT INTO t VALUES ('a', 1), ('B', 2), ('c', 3), ('D', 4), ('é', 5), ('_', 6)");
        assert!(changes(&first, &["", "", ""]).is_empty());
        assert_eq!(
            changes(&first, &["", "UPDATE t SET name = 'b' WHERE v = 2", "UPDATE t SET v = 7 WHERE name = 'c'"]),
            ["'B' 2 | none | 'B' 2", "none | 'b' 2 | none", "'c' 3 | 'c' 3 | 'c' 7"]
        );
        // In the order without case, the source would be at B while the base is at a, which comes after B.
        assert_eq!(changes(&first, &["", "DELETE FROM t WHERE v = 1", ""]), ["'a' 1 | none | 'a' 1"]);
    }

    #[test]
    fn keys_of_several_columns_are_compared_in_their_order() {
        let first = "CREATE TABLE t (v TEXT, a INTEGER NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (b, a)) STRICT;
            INSERT INTO t VALUES ('x', 1, 9), ('y', 2, 3), ('z', 10, 3)";
        assert!(changes(first, &["", "", ""]).is_empty());
        assert_eq!(
            changes(
                first,
                &[
                    "",
                    "UPDATE t SET v = 'Y' WHERE a = 2",
                    "INSERT INTO t VALUES ('w', 9, 1); DELETE FROM t WHERE b = 9"
                ]
            ),
            ["none | none | 1 9 'w'", "3 2 'y' | 3 2 'Y' | 3 2 'y'", "9 1 'x' | 9 1 'x' | none"]
        );
    }

    #[test]
    fn keys_of_mixed_types_are_in_one_order_here_and_there() {
        let values = "(1), (1.5), (-9e999), (9e999), (9223372036854775807), (9.3e18), (-9.3e18), ('1'), (''), ('Z'), ('a'), (x''), (x'00'), (x'ff'),
            (9007199254740993), (9007199254740992.5), (-0.5), (0), (CAST(x'ff00' AS TEXT))";
        let first = format!("CREATE TABLE t (k NOT NULL PRIMARY KEY); INSERT INTO t VALUES {values}");
        assert!(changes(&first, &["", "", ""]).is_empty());
        // Each row is missing once: a place that the two orders don't agree on would give more than one change.
        for number in 1..=19 {
            let one = changes(&first, &["", &format!("DELETE FROM t WHERE rowid = {number}"), ""]);
            assert_eq!(one.len(), 1, "{one:?}");
        }
        let typed = changes(&first, &["", "UPDATE t SET k = 1.0 WHERE k = 1 AND typeof(k) = 'integer'", ""]);
        assert_eq!(typed, ["1 | 1.0 | 1"], "one row whose key is of another type");
    }

    #[test]
    fn rows_of_a_table_without_a_key_are_counted() {
        let first = "CREATE TABLE t (a TEXT COLLATE NOCASE, b); INSERT INTO t VALUES ('x', 1), ('X', 1), ('x', 1), (NULL, 2), (NULL, 2), ('k', '1')";
        assert!(changes(first, &["", "DELETE FROM t WHERE rowid = 1; INSERT INTO t VALUES ('x', 1)", ""]).is_empty());
        assert_eq!(
            changes(
                first,
                &[
                    "",
                    "INSERT INTO t VALUES ('x', 1), (NULL, 2), (NULL, 2), ('x', 1.0)",
                    "DELETE FROM t WHERE a IS NULL; UPDATE t SET b = 1 WHERE a = 'k'"
                ]
            ),
            ["NULL 2 * 2 4 0", "'k' 1 * 0 0 1", "'k' '1' * 1 1 0", "'x' 1 * 2 3 2", "'x' 1.0 * 0 1 0"]
        );
        let numbers = ["1), (1.0), ('1'", "'1'), (1.0), (1"]
            .map(|list| format!("CREATE TABLE t (a); INSERT INTO t VALUES ({list})"));
        assert!(changes("", &[&numbers[0], &numbers[1]]).is_empty(), "in whatever order they were written");
        let more =
            ["CREATE TABLE t (a); INSERT INTO t VALUES (1.0)", "CREATE TABLE t (a); INSERT INTO t VALUES (1.0), (1)"];
        assert_eq!(changes("", &more), ["1 * 0 1 0"]);
    }

    #[test]
    fn a_key_with_null_in_it_is_none() {
        let first = "CREATE TABLE t (name TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('a', 1)";
        assert_eq!(changes(first, &["", "UPDATE t SET v = 2", ""]), ["'a' 1 | 'a' 2 | 'a' 1"]);
        assert_eq!(
            changes(first, &["", "UPDATE t SET v = 2", "INSERT INTO t VALUES (NULL, 1), (NULL, 1)"]),
            ["NULL 1 * 0 0 2", "'a' 1 * 1 0 1", "'a' 2 * 0 1 0"]
        );
    }

    #[test]
    fn a_table_that_one_side_has_is_all_its_rows() {
        assert_eq!(changes("", &["", POSTS, ""]).len(), 3);
        assert_eq!(changes("", &["", "", POSTS])[0], "none | none | 3 'three'");
        assert_eq!(changes("", &[POSTS, "", POSTS])[2], "7 'seven' | none | 7 'seven'");
        assert!(changes("", &["", "", ""]).is_empty());
        assert_eq!(changes("", &["", "CREATE TABLE t (a); INSERT INTO t VALUES (1), (1)", ""]), ["1 * 0 2 0"]);
    }

    #[test]
    fn a_column_that_a_side_lacks_is_something_else_than_null() {
        assert_eq!(
            changes(POSTS, &["", "ALTER TABLE t ADD COLUMN extra TEXT", "DELETE FROM t WHERE ID < 7"]),
            [
                "3 'three' - | 3 'three' NULL | none",
                "5 'five' - | 5 'five' NULL | none",
                "7 'seven' - | 7 'seven' NULL | 7 'seven' -"
            ]
        );
        let without_key = "CREATE TABLE t (a); INSERT INTO t VALUES (1)";
        let refused = try_changes(without_key, &["", "ALTER TABLE t ADD COLUMN b", ""]).unwrap_err();
        assert!(matches!(refused, ScanError::OtherColumns { .. }));
        let refused =
            try_changes("", &["CREATE TABLE t (a INT PRIMARY KEY, b)", "CREATE TABLE t (a, b INT PRIMARY KEY)"]);
        assert!(matches!(refused, Err(ScanError::OtherKey { .. })));
    }

    #[test]
    fn columns_in_another_order_are_the_same_columns() {
        let tables = [
            "CREATE TABLE t (a INTEGER PRIMARY KEY, b, C); INSERT INTO t VALUES (1, 2, 3)",
            "CREATE TABLE t (c, B, A INTEGER PRIMARY KEY); INSERT INTO t VALUES (3, 2, 1)",
        ];
        assert!(changes("", &tables).is_empty());
        let changed = format!("{}; UPDATE t SET b = 5", tables[1]);
        assert_eq!(changes("", &[tables[0], &changed]), ["1 2 3 | 1 5 3 | 1 2 3"]);
    }

    #[test]
    fn rows_may_be_matched_by_other_columns_than_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let options = "CREATE TABLE t (option_id INTEGER PRIMARY KEY, option_name TEXT COLLATE NOCASE NOT NULL, option_value TEXT);
            CREATE UNIQUE INDEX by_name ON t (option_name)";
        make(folder.path(), "base", &format!("{options}; INSERT INTO t VALUES (1, 'b', 'x'), (2, 'a', 'y')"));
        make(
            folder.path(),
            "source",
            &format!("{options}; INSERT INTO t VALUES (1, 'c', 'z'), (7, 'b', 'x'), (2, 'a', 'y')"),
        );
        let (base, source) = (read(folder.path(), "base"), read(folder.path(), "source"));
        let mut table = schema::read(&base).unwrap().tables.remove("t").unwrap();
        table.key = Key::Columns { columns: vec!["option_name".to_owned()], is_nullable: false };
        let side = |connection| SideTable { connection, table: Some(&table) };
        let mut found = Vec::new();
        scan(side(&base), side(&source), None, None, |change| {
            found.push((change.key(), told(&change), change.cells()));
            Ok::<_, ScanError>(())
        })
        .unwrap();
        assert_eq!(
            found,
            [
                (vec![Value::text("b")], "'b' 1 'x' | 'b' 7 'x' | 'b' 1 'x'".to_owned(), vec![(1, Change::Source)]),
                (vec![Value::text("c")], "none | 'c' 1 'z' | none".to_owned(), Vec::new()),
            ]
        );
    }

    #[test]
    fn what_is_only_in_the_log_is_read_and_what_is_written_later_is_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["base", "source"] {
            make(folder.path(), name, &format!("PRAGMA journal_mode = WAL; {POSTS}"));
        }
        let writer = Connection::open(folder.path().join("source")).unwrap();
        writer.execute_batch("PRAGMA wal_autocheckpoint = 0; UPDATE t SET title = 'log' WHERE ID = 5").unwrap();
        assert!(std::fs::metadata(folder.path().join("source-wal")).unwrap().len() > 0);
        let (base, source) = (read(folder.path(), "base"), read(folder.path(), "source"));
        writer.execute_batch("UPDATE t SET title = 'later' WHERE ID IN (5, 7)").unwrap();
        let schema = schema::read(&base).unwrap();
        let side = |connection| SideTable { connection, table: schema.tables.get("t") };
        let mut found = Vec::new();
        scan(side(&base), side(&source), None, None, |change| {
            // Even what is written while rows are read.
            writer.execute_batch("INSERT INTO t VALUES (8, 'now')").unwrap();
            found.push(told(&change));
            Ok::<_, ScanError>(())
        })
        .unwrap();
        assert_eq!(found, ["5 'five' | 5 'log' | 5 'five'"]);
    }

    #[test]
    fn who_finds_may_stop_the_scan() {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), "base", "CREATE TABLE t (a INTEGER PRIMARY KEY)");
        make(folder.path(), "source", POSTS);
        let (base, source) = (read(folder.path(), "base"), read(folder.path(), "source"));
        let schema = schema::read(&source).unwrap();
        let mut count = 0;
        let stopped = scan(
            SideTable { connection: &base, table: None },
            SideTable { connection: &source, table: schema.tables.get("t") },
            None,
            None,
            |_| {
                count += 1;
                Err(ScanError::OtherKey { table: "enough".to_owned() })
            },
        );
        assert!(matches!(stopped, Err(ScanError::OtherKey { table }) if table == "enough"));
        assert_eq!(count, 1);
    }

    #[test]
    fn tables_of_wordpress_are_read_in_their_order_without_sorting() {
        let folder = tempfile::tempdir().unwrap();
        make(
            folder.path(),
            "x",
            "CREATE TABLE wp_posts (ID INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, title TEXT COLLATE NOCASE) STRICT;
             CREATE TABLE wp_term_relationships (object_id INTEGER NOT NULL, term_taxonomy_id INTEGER NOT NULL,
                term_order INTEGER NOT NULL, PRIMARY KEY (object_id, term_taxonomy_id)) STRICT;
             CREATE TABLE wp_names (name TEXT COLLATE NOCASE NOT NULL PRIMARY KEY) STRICT;",
        );
        let connection = read(folder.path(), "x");
        let schema = schema::read(&connection).unwrap();
        let sorts = |name: &str, has_range: bool| {
            let table = &schema.tables[name];
            let layout = Layout::of(&[SideTable { connection: &connection, table: Some(table) }]).unwrap().unwrap();
            let select = layout.select(table, &vec![true; layout.columns.len()], has_range);
            let select = select.replace('?', "1");
            let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {select}")).unwrap();
            let steps: Vec<String> = plan.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
            steps.iter().any(|step| step.contains("TEMP B-TREE"))
        };
        assert!(!sorts("wp_posts", false));
        assert!(!sorts("wp_posts", true));
        assert!(!sorts("wp_term_relationships", false));
        assert!(sorts("wp_names", false), "the plan says so where it sorts");
    }
}
