//! Conflicts as people read them: what it is about, what it was, and what each side made of it. Secrets are not told.

use std::path::Path;

use serde::Serialize;

use super::conflict_id::{Conflict, ConflictKind};
use super::label::{self, Kind, Names, ObjectKey};
use super::lookup::{find, row_of, table_names};
use super::rules::Rules;
use super::seen::Seen;
use super::{Cell, Row, Sides, Value, schema, value};
use crate::database::DatabaseReader;
use crate::git::merge::{FileConflict, FileConflictKind, Placed};
use crate::git::redact::{PLACEHOLDER, TableSecrets};
use crate::git::repository::{Repository, RepositoryError, run};
use rusqlite::Connection;

/// The most characters of a value that are told.
const LONGEST: usize = 2000;

/// Texts of no more lines are told whole.
const WHOLE_LINES: usize = 6;

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
    /// All of each text, where an answer may be another text; none where it may only be one of these: it is more than a cell, a
    /// secret, no text, or a structure of PHP, which says how long it is.
    #[serde(skip)]
    pub whole: Option<Whole>,
    /// What visitors see of it; none where they see nothing.
    #[serde(skip)]
    pub seen: Option<Seen>,
}

/// The texts of a conflict, whole. None where there is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// What both had.
    pub base: Option<String>,
    /// What the target has.
    pub ours: Option<String>,
    /// What the source has.
    pub theirs: Option<String>,
}

impl From<Sides<Option<String>>> for Whole {
    fn from(Sides { base, source, target }: Sides<Option<String>>) -> Self {
        Self { base, ours: target, theirs: source }
    }
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
        let mut is_secret = false;
        for connection in connections.array() {
            is_secret = is_secret || is_secret_cell(conflict, connection)?;
        }
        let told = |row: &Option<Row>| {
            let row = row.as_ref()?;
            Some(if is_secret { PLACEHOLDER.to_owned() } else { told(conflict, row) })
        };
        let Sides { base, source, target } = shortened(conflict.sides.as_ref().map(told));
        let is_cell = conflict.kind == ConflictKind::Cell && !is_secret;
        Ok(Self {
            id: conflict.id.to_string(),
            kind: conflict.kind.name(),
            what,
            place: ConflictPlace::Row {
                table: place.table.clone(),
                key: place.key.iter().map(|value| label::told(&label::text(value.as_ref()))).collect(),
                column: place.column.clone(),
            },
            base,
            ours: target,
            theirs: source,
            whole: is_cell.then(|| cells(conflict)).flatten(),
            seen: Seen::of_rows(conflict, connections, rules)?,
        })
    }

    /// A conflict of files. `attachments`: the uploads that the file belongs to, in words.
    pub(crate) fn of_file(
        conflict: &FileConflict,
        repository: &Repository,
        attachments: &[String],
    ) -> Result<Self, RepositoryError> {
        let read = |placed: &Option<Placed>| placed.as_ref().map(|placed| text_of(repository, placed)).transpose();
        let Sides { base, source, target } = conflict.sides.as_ref();
        let read = Sides { base: read(base)?, source: read(source)?, target: read(target)? };
        let may_be_written =
            matches!(conflict.kind, FileConflictKind::Text | FileConflictKind::Added | FileConflictKind::Removed);
        let is_text = read.as_ref().array().into_iter().flatten().all(Result::is_ok);
        let told = |text: Option<Result<String, usize>>| {
            text.map(|text| text.unwrap_or_else(|length| format!("{length} bytes")))
        };
        let sides = read.map(told);
        let whole = (may_be_written && is_text).then(|| sides.clone().into());
        let Sides { base, source, target } = shortened(sides);
        let path = conflict.path.display().to_string();
        Ok(Self {
            id: conflict.id.to_string(),
            kind: conflict.kind.name(),
            what: match attachments {
                [] => path.clone(),
                attachments => format!("{path} ({})", attachments.join(", ")),
            },
            place: ConflictPlace::File { path },
            base,
            ours: target,
            theirs: source,
            whole,
            seen: Seen::of_file(conflict),
        })
    }
}

/// The texts of a single cell; none where one is no text, or can't be written by hand.
fn cells(conflict: &Conflict) -> Option<Whole> {
    let text = |row: &Option<Row>| match row.as_ref().and_then(|row| row[0].as_ref()) {
        None => Ok(None),
        Some(Value::Blob(_)) => Err(()),
        Some(Value::Text(text)) if value::is_php_structure(text) || text.contains(&0) => Err(()),
        Some(Value::Text(text)) => String::from_utf8(text.clone()).map(Some).map_err(|_| ()),
        Some(value @ (Value::Null | Value::Integer(_) | Value::Real(_))) => Ok(Some(label::text(value.as_ref()))),
    };
    let Sides { base, source, target } = conflict.sides.as_ref().map(text);
    Some(Sides { base: base.ok()?, source: source.ok()?, target: target.ok()? }.into())
}

/// Texts of which each shows where it is not as the others: of longer ones the lines are left out with which all of them
/// begin or end.
fn shortened(sides: Sides<Option<String>>) -> Sides<Option<String>> {
    let texts: Vec<Vec<&str>> =
        sides.as_ref().array().into_iter().flatten().map(|text| text.lines().collect()).collect();
    let shortest = texts.iter().map(Vec::len).min().unwrap_or_default();
    let is_long = texts.len() > 1 && texts.iter().any(|lines| lines.len() > WHOLE_LINES);
    let all_have =
        |at: &dyn Fn(&[&str]) -> usize| texts.iter().all(|lines| lines[at(lines)] == texts[0][at(&texts[0])]);
    let (mut before, mut after) = (0, 0);
    if is_long {
        before = (0..shortest).take_while(|number| all_have(&|_| *number)).count();
        after = (1..=shortest - before).take_while(|number| all_have(&|lines| lines.len() - number)).count();
    }
    let cut = |text: String| {
        let lines: Vec<_> = text.lines().collect();
        let left_out = |count: usize| (count > 0).then_some("…");
        let shown = &lines[before.min(lines.len())..lines.len() - after.min(lines.len())];
        let shown: Vec<_> = left_out(before).into_iter().chain(shown.iter().copied()).chain(left_out(after)).collect();
        label::shortened_lines(&if before + after > 0 { shown.join("\n") } else { text }, LONGEST)
    };
    sides.map(|text| text.map(cut))
}

/// Where WordPress keeps what was uploaded.
const UPLOADS: &str = "wp-content/uploads";

/// The attachments that a file, or a smaller picture made of one, belongs to, each in words.
pub(crate) fn attachments_of(path: &Path, connection: &Connection, rules: &Rules) -> rusqlite::Result<Vec<String>> {
    let Some(file) = path.strip_prefix(UPLOADS).ok().and_then(Path::to_str) else { return Ok(Vec::new()) };
    let tables = table_names(connection)?;
    let names = Names::of(tables.iter().map(String::as_str), rules);
    let mut attachments = Vec::new();
    for table in tables.iter().filter(|table| table.ends_with("postmeta")) {
        let (prefix, _) = names.split(table);
        let sql = format!(
            "SELECT post_id FROM {} WHERE meta_key = '_wp_attached_file' AND meta_value IN (?1, ?2, ?3) ORDER BY 1",
            schema::quoted(table)
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let ids = statement.query_map(originals(file), |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
        for id in ids {
            attachments.push(names.of_object(connection, prefix, Kind::Post, &ObjectKey::Number(id))?.to_string());
        }
    }
    Ok(attachments)
}

/// What a picture may be made of: itself, the one without its size in its name, and that as WordPress scales large ones.
fn originals(file: &str) -> [String; 3] {
    let (stem, suffix) = file.rsplit_once('.').map_or((file, String::new()), |(stem, end)| (stem, format!(".{end}")));
    let is_size = |size: &str| {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        size.split_once('x').is_some_and(|(width, height)| is_number(width) && is_number(height))
    };
    let stem = stem.rsplit_once('-').filter(|(_, size)| is_size(size)).map_or(stem, |(stem, _)| stem);
    [file.to_owned(), format!("{stem}{suffix}"), format!("{stem}-scaled{suffix}")]
}

/// What a conflict is about: `post 1 "Hello world!": post_title`.
fn words(conflict: &Conflict, connections: Sides<&Connection>, rules: &Rules) -> rusqlite::Result<String> {
    let place = &conflict.place;
    if conflict.kind == ConflictKind::Schema {
        return Ok(format!("table {}", place.table));
    }
    // The side that has the object names it.
    let Sides { base, source, target } = connections;
    let sides = [(target, &conflict.sides.target), (source, &conflict.sides.source), (base, &conflict.sides.base)];
    let first = sides.into_iter().find(|(_, row)| row.is_some() || conflict.kind == ConflictKind::Cell);
    let label = match first {
        Some((connection, row)) => row_label(conflict, row.as_ref(), connection, rules)?,
        None => place.table.clone(),
    };
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
    let names = table_names(connection)?;
    let names = Names::of(names.iter().map(String::as_str), rules);
    let (columns, row) = row_of(conflict, row, connection)?;
    names.of_row(connection, &conflict.place.table, &columns, &row)
}

/// Whether the single cell that a conflict is about has a secret, as far as a database tells what the cell is called.
fn is_secret_cell(conflict: &Conflict, connection: &Connection) -> rusqlite::Result<bool> {
    let Some(column) = conflict.place.column.as_ref().filter(|_| conflict.columns.is_empty()) else { return Ok(false) };
    let (columns, mut row) = find(connection, &conflict.place.table, &conflict.place.key)?;
    // Of a row that is not there, the key is known.
    row.resize(columns.len(), None);
    let number = columns.iter().position(|name| name.eq_ignore_ascii_case(column));
    Ok(number.is_some_and(|number| is_secret(&columns, &row, number)))
}

/// Whether a cell has a secret, by what its column is called, or by what the row says that it is.
fn is_secret(columns: &[String], row: &[Cell], number: usize) -> bool {
    let secrets = TableSecrets::of(columns.iter().map(String::as_str));
    let text = |column: usize| match &row[column] {
        Some(Value::Text(text)) => Some(&**text),
        _ => None,
    };
    let is_number = matches!(row[number], Some(Value::Integer(_) | Value::Real(_)));
    let is_hidden = if is_number { secrets.hides_numbers(number) } else { secrets.hides_texts(number) };
    is_hidden || secrets.is_named(number) && secrets.names_a_secret(text)
}

/// What a side has, in words.
fn told(conflict: &Conflict, row: &Row) -> String {
    let text = |value: &Value| label::told(&label::text(value.as_ref()));
    if conflict.columns.is_empty() {
        return row.iter().flatten().map(text).collect::<Vec<_>>().join("\n");
    }
    let other = [&conflict.sides.base, &conflict.sides.source, &conflict.sides.target];
    let differs = |number: usize| {
        let mut cells = other.iter().filter_map(|row| row.as_ref()).map(|row| &row[number]);
        let first = cells.next();
        cells.any(|cell| Some(cell) != first)
    };
    let alone = other.iter().filter(|row| row.is_some()).count() == 1;
    let lines = conflict.columns.iter().zip(row).enumerate().filter_map(|(number, (column, cell))| {
        let value = cell.as_ref().filter(|_| alone || differs(number))?;
        let value = match is_secret(&conflict.columns, row, number) {
            true => PLACEHOLDER.to_owned(),
            false => label::shortened_lines(&text(value), LONGEST),
        };
        (!value.is_empty()).then(|| format!("{column}: {value}"))
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The text of a file; of another one how many bytes it has.
fn text_of(repository: &Repository, placed: &Placed) -> Result<Result<String, usize>, RepositoryError> {
    let bytes = run(repository.command().args(["cat-file", "blob", placed.blob.id.as_str()]))?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        Ok(text) => Err(text.len()),
        Err(error) => Err(error.into_bytes().len()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::conflict_id::TablePlace;
    use super::*;

    fn sides(base: Option<&str>, source: &str, target: &str) -> Sides<Option<String>> {
        Sides { base: base.map(str::to_owned), source: Some(source.to_owned()), target: Some(target.to_owned()) }
    }

    #[test]
    fn of_a_long_text_that_is_told_which_is_not_the_same() {
        let text = |line: &str| format!("1\n2\n3\n4\n{line}6\n7\n8\n");
        let told = shortened(sides(Some(&text("old\n")), &text("one\ntwo\n"), &text("")));
        assert_eq!(told, sides(Some("…\nold\n…"), "…\none\ntwo\n…", "…\n…"));
        let told = shortened(sides(None, &text("x\n"), &format!("{}more\n", text("x\n"))));
        assert_eq!(told, sides(None, "…", "…\nmore"));
    }

    #[test]
    fn another_text_may_be_written_in_place_of_texts_and_numbers_only() {
        let conflict = |base: Option<Value>, source: Value, target: Value| {
            let row = |value: Value| Some(vec![Some(value)]);
            let place =
                TablePlace { table: "t".to_owned(), key: vec![Value::Integer(1)], column: Some("c".to_owned()) };
            let sides = Sides { base: base.and_then(row), source: row(source), target: row(target) };
            cells(&Conflict::new(ConflictKind::Cell, place, sides))
        };
        let text = Value::text;
        let some = |text: &str| Some(text.to_owned());
        let whole = conflict(Some(text("a\r\nb")), text("<p>"), text("")).unwrap();
        assert_eq!(whole, Whole { base: some("a\r\nb"), ours: some(""), theirs: some("<p>") });
        let whole = conflict(None, Value::Integer(7), text("{\"a\":1}")).unwrap();
        assert_eq!(whole, Whole { base: None, ours: some("{\"a\":1}"), theirs: some("7") });
        for other in [
            Value::Blob(b"x".to_vec()),
            Value::Text(b"\xff".to_vec()),
            Value::Text(b"a\0b".to_vec()),
            text("a:1:{i:0;i:1;}"),
            text("O:8:\"stdClass\":0:{}"),
            text("s:1:\"x\";"),
        ] {
            assert_eq!(conflict(None, text("x"), other.clone()), None, "{other:?}");
        }
    }

    #[test]
    fn a_smaller_picture_is_made_of_an_upload() {
        assert_eq!(
            originals("2026/11/pic-150x150.png"),
            ["2026/11/pic-150x150.png", "2026/11/pic.png", "2026/11/pic-scaled.png"]
        );
        assert_eq!(originals("a-b.tar.gz")[1], "a-b.tar.gz");
        assert_eq!(originals("noend"), ["noend", "noend", "noend-scaled"]);
    }

    #[test]
    fn a_database_tells_whether_a_cell_has_the_name_of_a_secret() {
        let connection = Connection::open_in_memory().unwrap();
        let tables = "CREATE TABLE wp_options (option_id INTEGER PRIMARY KEY, option_name TEXT, option_value TEXT);
            INSERT INTO wp_options VALUES (1, 'my_api_key', 'k'), (2, 'blogname', 'b');
            CREATE TABLE wp_usermeta (umeta_id INTEGER PRIMARY KEY, user_id INTEGER, meta_key TEXT, meta_value TEXT);
            INSERT INTO wp_usermeta VALUES (7, 1, 'shop_token', 't'), (8, 1, 'nickname', 'n');
            CREATE TABLE wp_users (ID INTEGER PRIMARY KEY, user_pass TEXT, user_login TEXT);";
        connection.execute_batch(tables).unwrap();
        let is_secret = |table: &str, key: Value, column: &str| {
            let place = TablePlace { table: table.to_owned(), key: vec![key], column: Some(column.to_owned()) };
            let conflict = Conflict::new(ConflictKind::Cell, place, Sides::default());
            is_secret_cell(&conflict, &connection).unwrap()
        };
        assert!(is_secret("wp_options", Value::text("my_api_key"), "option_value"));
        assert!(!is_secret("wp_options", Value::text("blogname"), "option_value"));
        assert!(is_secret("wp_usermeta", Value::Integer(7), "meta_value"));
        assert!(!is_secret("wp_usermeta", Value::Integer(8), "meta_value"));
        assert!(is_secret("wp_users", Value::Integer(1), "user_pass"));
        assert!(!is_secret("wp_users", Value::Integer(1), "user_login"));
    }

    #[test]
    fn what_a_column_or_the_name_beside_it_says_is_secret_is_not_told() {
        let names = |columns: &[&str]| columns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let row = |cells: &[&str]| cells.iter().map(|text| Some(Value::text(text))).collect::<Row>();
        let options = names(&["option_name", "option_value"]);
        assert!(is_secret(&options, &row(&["mailserver_pass", "x"]), 1));
        assert!(!is_secret(&options, &row(&["blogname", "x"]), 1));
        assert!(is_secret(&names(&["ID", "user_pass"]), &row(&["1", "x"]), 1));
    }

    #[test]
    fn a_short_text_and_one_that_only_one_side_has_are_told_whole() {
        let short = sides(Some("a\nb"), "a\nc", "a\nd\n");
        assert_eq!(shortened(short.clone()), short);
        let alone = Sides { base: None, source: Some("line\n".repeat(20)), target: None };
        assert_eq!(shortened(alone.clone()), alone);
    }
}
