//! Conflicts as people read them: what it is about, what it was, and what each side made of it. Secrets are not told.

use serde::Serialize;

use super::decide::{Conflict, ConflictKind};
use super::label::{self, Names};
use super::rules::Rules;
use super::{Row, Sides, Value, schema};
use crate::database::DatabaseReader;
use crate::git::merge::{FileConflict, Placed};
use crate::git::redact::TableSecrets;
use crate::git::repository::{Repository, RepositoryError, run};
use rusqlite::Connection;

/// The most characters of a value that are told.
const LONGEST: usize = 2000;

/// What is to be decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpenConflict {
    /// Tells it from every other one, and from itself once anything of it has changed.
    pub id: String,
    /// `cell`, `object`, `id`, `name`, `removed`, `copies` or `schema`; of files `text`, `binary`, `added`, `removed`, `renamed`
    /// or `folder`.
    pub kind: &'static str,
    /// What it is about, in words.
    pub what: String,
    /// Where it is.
    pub place: ConflictPlace,
    /// What both had; none where that is nothing.
    pub base: Option<String>,
    /// What the target has.
    pub ours: Option<String>,
    /// What the source has.
    pub theirs: Option<String>,
}

/// Where a conflict is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ConflictPlace {
    /// At a file.
    File {
        /// Its path in the branch.
        path: String,
    },
    /// In a table.
    Row {
        /// The table.
        table: String,
        /// The key of the row; empty where it is the table's schema.
        key: Vec<String>,
        /// None where it is more than a cell.
        #[serde(skip_serializing_if = "Option::is_none")]
        column: Option<String>,
    },
}

impl OpenConflict {
    /// A conflict of rows or of a schema.
    pub(crate) fn of_rows(
        conflict: &Conflict,
        readers: Sides<&DatabaseReader>,
        rules: &Rules,
    ) -> rusqlite::Result<Self> {
        let connections = readers.map(DatabaseReader::connection);
        let place = &conflict.place;
        let what = words(conflict, connections, rules)?;
        let told = |row: &Option<Row>| row.as_ref().map(|row| told(conflict, row));
        let Sides { base, source, target } = conflict.sides.as_ref().map(told);
        Ok(Self {
            id: conflict.id.to_string(),
            kind: conflict.kind.name(),
            what,
            place: ConflictPlace::Row {
                table: place.table.clone(),
                key: place.key.iter().map(|value| label::text(value.as_ref())).collect(),
                column: place.column.clone(),
            },
            base,
            ours: target,
            theirs: source,
        })
    }

    /// A conflict of files.
    pub(crate) fn of_file(conflict: &FileConflict, repository: &Repository) -> Result<Self, RepositoryError> {
        let told = |placed: &Option<Placed>| placed.as_ref().map(|placed| text_of(repository, placed)).transpose();
        let Sides { base, source, target } = conflict.sides.as_ref();
        let path = conflict.path.display().to_string();
        Ok(Self {
            id: conflict.id.to_string(),
            kind: conflict.kind.name(),
            what: path.clone(),
            place: ConflictPlace::File { path },
            base: told(base)?,
            ours: told(target)?,
            theirs: told(source)?,
        })
    }
}

/// What a conflict is about: `post 1 "Hello world!": post_title`.
fn words(conflict: &Conflict, connections: Sides<&Connection>, rules: &Rules) -> rusqlite::Result<String> {
    let place = &conflict.place;
    if conflict.kind == ConflictKind::Schema {
        return Ok(format!("table {}", place.table));
    }
    // The side that has the object names it.
    let Sides { base, source, target } = connections;
    let mut best = None;
    for (connection, row) in
        [(target, &conflict.sides.target), (source, &conflict.sides.source), (base, &conflict.sides.base)]
    {
        if row.is_none() && conflict.kind != ConflictKind::Cell {
            continue;
        }
        let label = row_label(conflict, row.as_ref(), connection, rules)?;
        if best.is_none() {
            best = Some(label);
        }
    }
    let label = best.unwrap_or_else(|| place.table.clone());
    let field = |column: &String| {
        // The value of an option, or of metadata, is the thing itself.
        if column.ends_with("_value") { String::new() } else { format!(": {}", column.trim_start_matches("post_")) }
    };
    Ok(format!("{label}{}", place.column.as_ref().map(field).unwrap_or_default()))
}

fn row_label(
    conflict: &Conflict,
    row: Option<&Row>,
    connection: &Connection,
    rules: &Rules,
) -> rusqlite::Result<String> {
    let place = &conflict.place;
    let names = schema_names(connection)?;
    let names = Names::of(names.iter().map(String::as_str), rules);
    if let Some(row) = row.filter(|_| !conflict.columns.is_empty()) {
        return names.of_row(connection, &place.table, &conflict.columns, row);
    }
    let (columns, row) = find(connection, &place.table, &place.key)?;
    names.of_row(connection, &place.table, &columns, &row)
}

fn schema_names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT lower(name) FROM sqlite_schema WHERE type = 'table'")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// The row with a key, as far as the database has it, and what its columns are called.
fn find(connection: &Connection, table: &str, key: &[Value]) -> rusqlite::Result<(Vec<String>, Row)> {
    let mut columns: Vec<String> = Vec::new();
    {
        let mut statement = connection.prepare("SELECT name, pk FROM pragma_table_info(?1) ORDER BY pk = 0, pk")?;
        let mut rows = statement.query([table])?;
        let mut keyed = 0;
        while let Some(row) = rows.next()? {
            keyed += usize::from(row.get::<_, i64>(1)? > 0);
            columns.push(row.get(0)?);
        }
        let is_named = matches!(key, [Value::Text(_)]) && columns.iter().any(|column| column == "option_name");
        if is_named {
            columns.retain(|column| column != "option_name");
            columns.insert(0, "option_name".to_owned());
        } else if keyed != key.len() {
            return Ok((columns, key.iter().cloned().map(Some).collect()));
        }
    }
    let list: Vec<_> = columns.iter().map(|column| schema::quoted(column)).collect();
    let condition: Vec<_> = list[..key.len()].iter().map(|column| format!("{column} = ?")).collect();
    let sql = format!("SELECT {} FROM {} WHERE {}", list.join(","), schema::quoted(table), condition.join(" AND "));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(key.iter().map(Value::as_ref).map(ToSql)))?;
    match rows.next()? {
        Some(row) => {
            let cells = (0..columns.len()).map(|number| Ok(Some(row.get::<_, Value>(number)?)));
            let cells = cells.collect::<rusqlite::Result<Row>>()?;
            drop(rows);
            Ok((columns, cells))
        }
        None => Ok((columns, key.iter().cloned().map(Some).collect())),
    }
}

/// A borrowed value as a parameter.
struct ToSql<'a>(rusqlite::types::ValueRef<'a>);

impl rusqlite::ToSql for ToSql<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(rusqlite::types::ToSqlOutput::Borrowed(self.0))
    }
}

/// What a side has, in words.
fn told(conflict: &Conflict, row: &Row) -> String {
    let text = |value: &Value| label::shortened_lines(&label::told(&label::text(value.as_ref())), LONGEST);
    if conflict.columns.is_empty() {
        if let Some(column) = &conflict.place.column
            && TableSecrets::of([column.as_str()].into_iter()).hides_texts(0)
        {
            return crate::git::redact::PLACEHOLDER.to_owned();
        }
        return row.iter().flatten().map(text).collect::<Vec<_>>().join("\n");
    }
    let secrets = TableSecrets::of(conflict.columns.iter().map(String::as_str));
    let other = [&conflict.sides.base, &conflict.sides.source, &conflict.sides.target];
    let differs = |number: usize| {
        let mut cells = other.iter().filter_map(|row| row.as_ref()).map(|row| &row[number]);
        let first = cells.next();
        cells.any(|cell| Some(cell) != first)
    };
    let alone = other.iter().filter(|row| row.is_some()).count() == 1;
    let lines = conflict.columns.iter().zip(row).enumerate().filter_map(|(number, (column, cell))| {
        let value = cell.as_ref().filter(|_| alone || differs(number))?;
        let value = if secrets.hides_texts(number) { crate::git::redact::PLACEHOLDER.to_owned() } else { text(value) };
        (!value.is_empty()).then(|| format!("{column}: {value}"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The text of a file; of another one what it is.
fn text_of(repository: &Repository, placed: &Placed) -> Result<String, RepositoryError> {
    let bytes = run(repository.command().args(["cat-file", "blob", placed.blob.id.as_str()]))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => label::shortened_lines(&text, LONGEST),
        Ok(text) => format!("{} bytes", text.len()),
        Err(error) => format!("{} bytes", error.into_bytes().len()),
    })
}
