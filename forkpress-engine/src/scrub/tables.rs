//! The tables of a site's database, and what is known of each by its name and by those of its columns.

use rusqlite::Connection;

use super::kind::Kind;
use super::naming::{self, Named};
use super::rules::{self, About};
use crate::tables::{self, NamedTable, quoted};

/// Pairs of columns of which the second one has what the first one names.
const METAS: [(&str, &str); 6] = [
    ("meta_key", "meta_value"),
    ("option_name", "option_value"),
    ("field_key", "field_value"),
    ("field_name", "field_value"),
    ("key", "value"),
    ("name", "value"),
];

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    /// The name without the prefix, in small letters.
    pub(super) base: String,
    /// What comes before that: each site of a network has its own.
    pub(super) scope: String,
    pub(super) about: About,
    pub(super) columns: Vec<Column>,
    /// What tells its rows apart, as SQL.
    pub(super) key: Vec<String>,
    /// The columns of what is named, and of its name.
    pub(super) meta: Option<(usize, usize)>,
    /// The column that names a row of another table, and that table without its prefix.
    pub(super) parent: Option<(usize, String)>,
    /// The column with the number of a user.
    pub(super) user: Option<usize>,
    /// The column with the row's own number.
    pub(super) id: Option<usize>,
    /// Whether a column has what only people have.
    pub(super) is_of_people: bool,
}

/// A column of a table.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) named: Option<Named>,
    is_text: bool,
}

impl Table {
    /// The place of a column.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The columns of a kind.
    pub(super) fn columns_of(&self, kind: Kind) -> impl Iterator<Item = usize> {
        let is_of_it = move |column: &Column| column.named.is_some_and(|named| named.kind == kind);
        self.columns.iter().enumerate().filter(move |(_, column)| is_of_it(column)).map(|(at, _)| at)
    }

    pub(super) fn has_texts(&self) -> bool {
        self.columns.iter().any(|column| column.is_text)
    }

    fn new(name: String, prefixes: &[String], columns: Vec<(String, String, i64)>, is_without_rowid: bool) -> Self {
        let (scope, base) = parted(&name, prefixes);
        let about = rules::about(&base);
        let is_name = |name: &&str| columns.iter().any(|(column, ..)| column.eq_ignore_ascii_case(name));
        let rowid = ["rowid", "_rowid_", "oid"].into_iter().find(|name| !is_name(name));
        let key = match rowid {
            Some(rowid) if !is_without_rowid => vec![rowid.to_owned()],
            _ => columns.iter().filter(|(.., place)| *place > 0).map(|(name, ..)| quoted(name)).collect(),
        };
        let is_one_of = |kind: &str, kinds: &[&str]| kinds.iter().any(|other| kind.eq_ignore_ascii_case(other));
        let is_number = |kind: &str| is_one_of(kind, &["INT", "INTEGER"]);
        let is_text = |kind: &str| !is_number(kind) && !is_one_of(kind, &["REAL"]);
        let id = columns.iter().position(|(_, kind, place)| *place == 1 && is_number(kind));
        let columns: Vec<_> = columns
            .into_iter()
            .map(|(name, kind, _)| {
                let by_rule = rules::column(&base, &name).map(|kind| Named { kind, is_sure: true });
                let by_name = || naming::named(&name).filter(|_| about == About::People);
                Column { named: by_rule.or_else(by_name), is_text: is_text(&kind), name }
            })
            .collect();
        let find = |name: &str| columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
        let meta = METAS.iter().find_map(|(key, value)| find(value).zip(find(key)));
        let by_rule = rules::PARENTS.iter().find(|(table, ..)| *table == base);
        let parent = match by_rule {
            Some((_, column, of)) => find(column).map(|column| (column, (*of).to_owned())),
            None => meta.and_then(|_| {
                let is_other = |(at, column): &(usize, &Column)| Some(*at) != id && column.name.ends_with("_id");
                columns.iter().enumerate().find(is_other).map(|(at, _)| (at, base.clone()))
            }),
        };
        let user = ["user_id", "customer_user", "wp_user_id"].iter().find_map(|name| find(name));
        let is_of_people = columns.iter().any(|column| column.named.is_some_and(|named| named.is_sure));
        Self { name, base, scope, about, columns, key, meta, parent, user, id, is_of_people }
    }
}

/// All tables but those of SQLite and of the driver.
pub(super) fn all(connection: &Connection, prefix: &str) -> rusqlite::Result<Vec<Table>> {
    let named = tables::all(connection)?;
    let prefixes = prefixes(&named, prefix);
    let table = |table: NamedTable| Table::new(table.name, &prefixes, table.columns, table.is_without_rowid);
    Ok(named.into_iter().map(table).collect())
}

/// The prefixes of all WordPresses and of the sites of networks, the longest first.
fn prefixes(tables: &[NamedTable], own: &str) -> Vec<String> {
    let has = |name: &str| tables.iter().any(|table| table.name.eq_ignore_ascii_case(name));
    let found = tables.iter().filter_map(|table| table.name.strip_suffix("options"));
    let mut prefixes: Vec<_> = found.filter(|prefix| has(&format!("{prefix}posts"))).map(str::to_owned).collect();
    prefixes.push(own.to_owned());
    prefixes.sort_by_key(|prefix| usize::MAX - prefix.len());
    prefixes
}

/// The prefix of a table, and its name without it.
fn parted(table: &str, prefixes: &[String]) -> (String, String) {
    let has = |prefix: &&String| table.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    let length = prefixes.iter().find(has).map_or(0, String::len);
    (table[..length].to_owned(), table[length..].to_ascii_lowercase())
}
