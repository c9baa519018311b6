//! Rewrites addresses in all tables of a site's database.

use std::borrow::Cow;

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Row, params_from_iter};
use serde::Serialize;

use super::{Counts, Rewriter};
use crate::progress::Progress;
use crate::tables::{self, NamedTable, quoted};

/// More broken values than these are only counted.
const MOST_BROKEN: usize = 100;

/// What was rewritten in a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rewritten {
    /// How much.
    #[serde(flatten)]
    pub counts: Counts,
    /// How many rows changed.
    pub rows: u64,
    /// Rows that stay as they are: another one has, in a column in which no two may be the same, what they would get.
    pub rows_left: u64,
    /// Bytes of text that were looked at.
    pub bytes: u64,
    /// The first of the values that have a broken value of PHP's, with an address, in them.
    pub broken_values: Vec<BrokenValue>,
}

/// Where a value is that could not be rewritten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokenValue {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// What the row is called, or its key.
    pub row: String,
}

/// Which columns of a table have addresses, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// What names a post for ever, whatever address the site has.
    guid: Option<usize>,
    /// The host and the path of a site of a network.
    domain: Option<(usize, usize)>,
}

impl Columns {
    /// Tells by the names of a table and of its columns.
    pub fn of<'c>(table: &str, columns: impl Iterator<Item = &'c str> + Clone) -> Self {
        let table = table.to_ascii_lowercase();
        let find = |wanted: &str| columns.clone().position(|column| column.eq_ignore_ascii_case(wanted));
        let is_of_network = ["blogs", "site", "signups"].iter().any(|end| table.ends_with(end));
        Self {
            guid: find("guid").filter(|_| table.ends_with("posts")),
            domain: find("domain").zip(find("path")).filter(|_| is_of_network),
        }
    }

    /// Rewrites a text of a row. `text` gives the row's other texts.
    pub fn rewrite<'r>(
        &self,
        rewriter: &Rewriter,
        column: usize,
        text: impl Fn(usize) -> Option<&'r [u8]>,
        counts: &mut Counts,
    ) -> Option<Cow<'r, [u8]>> {
        if self.guid == Some(column) {
            return text(column).map(Cow::Borrowed);
        }
        if let Some((domain, path)) = self.domain.filter(|(domain, path)| [domain, path].contains(&&column)) {
            let rewritten = text(domain).zip(text(path)).and_then(|(host, path)| rewriter.rewrite_domain(host, path));
            if let Some((host, path)) = rewritten {
                counts.values += 1;
                counts.addresses += u64::from(column == domain);
                return Some(Cow::Owned(if column == domain { host } else { path }));
            }
        }
        text(column).map(|text| rewriter.rewrite(text, counts))
    }
}

/// Rewrites all texts of the database that a connection is open to, which nobody else uses, in one transaction. Rows that stay
/// the same are not written. Triggers do not run.
///
/// Left alone: the driver's own tables, and the `guid` of posts.
///
/// # Errors
/// What SQLite said; nothing has changed then.
pub fn rewrite(connection: &Connection, rewriter: &Rewriter, progress: &dyn Progress) -> rusqlite::Result<Rewritten> {
    connection.execute_batch("PRAGMA foreign_keys = OFF")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    let transaction = connection.unchecked_transaction()?;
    let mut rewritten = Rewritten::default();
    for table in tables(connection)? {
        table.rewrite(connection, rewriter, progress, &mut rewritten)?;
    }
    transaction.commit()?;
    Ok(rewritten)
}

/// A table with texts.
struct TextTable {
    name: String,
    /// What tells its rows apart.
    key: Vec<String>,
    texts: Vec<String>,
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<TextTable>> {
    let mut tables = Vec::new();
    for NamedTable { name, is_without_rowid, columns } in tables::all(connection)? {
        let is_name = |name: &&str| columns.iter().any(|(column, ..)| column.eq_ignore_ascii_case(name));
        let rowid = ["rowid", "_rowid_", "oid"].into_iter().find(|name| !is_name(name));
        let key = match rowid {
            Some(rowid) if !is_without_rowid => vec![rowid.to_owned()],
            _ => columns.iter().filter(|(_, _, place)| *place > 0).map(|(name, ..)| quoted(name)).collect(),
        };
        let is_text =
            |kind: &str| !["INT", "INTEGER", "REAL", "BLOB"].iter().any(|other| kind.eq_ignore_ascii_case(other));
        let texts: Vec<_> = columns.into_iter().filter(|(_, kind, _)| is_text(kind)).map(|(name, ..)| name).collect();
        if !texts.is_empty() && !key.is_empty() {
            tables.push(TextTable { name, key, texts });
        }
    }
    Ok(tables)
}

fn text_at<'r>(row: &'r Row<'_>, column: usize) -> Option<&'r [u8]> {
    match row.get_ref(column) {
        Ok(ValueRef::Text(text)) => Some(text),
        _ => None,
    }
}

impl TextTable {
    fn rewrite(
        &self,
        connection: &Connection,
        rewriter: &Rewriter,
        progress: &dyn Progress,
        rewritten: &mut Rewritten,
    ) -> rusqlite::Result<()> {
        let columns = Columns::of(&self.name, self.texts.iter().map(String::as_str));
        let list: Vec<_> = self.texts.iter().map(|name| quoted(name)).chain(self.key.iter().cloned()).collect();
        let table = quoted(&self.name);
        // Rows stay where they are while they are written: nothing that orders them changes.
        let order = if self.key.len() == 1 { format!(" ORDER BY {}", self.key[0]) } else { String::new() };
        let mut select = connection.prepare(&format!("SELECT {} FROM {table}{order}", list.join(", ")))?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let mut changed: Vec<(usize, Vec<u8>)> = Vec::new();
            let mut counts = Counts::default();
            let mut bytes = 0;
            for column in 0..self.texts.len() {
                bytes += text_at(row, column).map_or(0, <[u8]>::len);
                let broken = counts.broken;
                if let Some(Cow::Owned(text)) = columns.rewrite(rewriter, column, |at| text_at(row, at), &mut counts) {
                    changed.push((column, text));
                }
                if counts.broken > broken && rewritten.broken_values.len() < MOST_BROKEN {
                    rewritten.broken_values.push(self.broken(row, column)?);
                }
            }
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            rewritten.bytes += bytes;
            progress.advance(bytes);
            if changed.is_empty() || self.update(connection, row, &changed)? {
                rewritten.rows += u64::from(!changed.is_empty());
            } else {
                rewritten.rows_left += 1;
                (counts.addresses, counts.values) = (0, 0);
            }
            rewritten.counts += counts;
        }
        Ok(())
    }

    /// Writes what changed of a row; whether that could be.
    fn update(&self, connection: &Connection, row: &Row<'_>, changed: &[(usize, Vec<u8>)]) -> rusqlite::Result<bool> {
        let set: Vec<_> = changed.iter().map(|(column, _)| format!("{} = ?", quoted(&self.texts[*column]))).collect();
        let is_row: Vec<_> = self.key.iter().map(|name| format!("{name} IS ?")).collect();
        let sql =
            format!("UPDATE OR IGNORE {} SET {} WHERE {}", quoted(&self.name), set.join(", "), is_row.join(" AND "));
        let texts = changed.iter().map(|(_, text)| Ok(ToSqlOutput::Borrowed(ValueRef::Text(text))));
        let keys = (0..self.key.len()).map(|at| row.get::<_, Value>(self.texts.len() + at).map(ToSqlOutput::Owned));
        let values: Vec<_> = texts.chain(keys).collect::<rusqlite::Result<_>>()?;
        Ok(connection.prepare_cached(&sql)?.execute(params_from_iter(values))? > 0)
    }

    fn broken(&self, row: &Row<'_>, column: usize) -> rusqlite::Result<BrokenValue> {
        let named = ["option_name", "meta_key"];
        let name =
            self.texts.iter().position(|column| named.contains(&column.as_str())).and_then(|at| text_at(row, at));
        let key = match row.get::<_, Value>(self.texts.len())? {
            Value::Integer(number) => number.to_string(),
            Value::Text(text) => text,
            _ => String::new(),
        };
        let row = name.map_or(key.clone(), |name| format!("{key} ({})", String::from_utf8_lossy(name)));
        Ok(BrokenValue { table: self.name.clone(), column: self.texts[column].clone(), row })
    }
}
