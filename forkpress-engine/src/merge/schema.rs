//! The tables of a database as units: what SQLite knows of a table, and what the SQLite driver has noted of it.
//!
//! The driver (3.0.2) keeps MySQL's view of each table in tables of its own, `_wp_sqlite_mysql_information_schema_*`. A
//! table and its rows in those belong together: a merge takes both from one side, or neither.
//!
//! Schemas are compared as they are written. A table that was altered and altered back may be written differently than
//! before, since SQLite quotes anew what it renames: then it counts as changed, which is wrong to the safe side.

use std::collections::BTreeMap;

use rusqlite::Connection;
use thiserror::Error;

use super::conflict_id::{Conflict, ConflictKind, TablePlace};
use super::{Cell, Change, Sides, Value};

/// What the tables begin with that the driver keeps for itself.
const DRIVER_PREFIX: &str = "_wp_sqlite_";

/// What the names of those begin with in which it notes MySQL's view of the others.
pub(super) const INFORMATION_PREFIX: &str = "_wp_sqlite_mysql_information_schema_";

/// When something happened to a table in this database: no part of its schema.
pub(super) const TIMES: [&str; 3] = ["CREATE_TIME", "UPDATE_TIME", "CHECK_TIME"];

/// Why the tables of a database are not known.
#[derive(Debug, Error)]
pub(crate) enum SchemaError {
    /// The database can't be read.
    #[error("cannot read the tables of the database")]
    Read(#[from] rusqlite::Error),
    /// Texts are not UTF-8 in it, so their order would be another one.
    #[error("the texts of the database are {found}, not UTF-8")]
    Encoding {
        /// What they are.
        found: String,
    },
}

/// The tables of one database, without the driver's own and SQLite's own.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Schema {
    /// By the name in lower case: SQLite's names have no case.
    pub(crate) tables: BTreeMap<String, Table>,
    /// Views and virtual tables, which are not compared: their names and statements.
    pub(crate) left_out: BTreeMap<String, String>,
}

/// A table with everything that one side's version of it is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// The columns that hold values, in their order. Generated ones are only in the statement.
    pub(crate) columns: Vec<Column>,
    pub(crate) key: Key,
    /// The statement that makes the table.
    pub(crate) sql: String,
    /// The statements that make its indexes and triggers, by kind and name: an index and a trigger may have one name.
    pub(crate) attached: BTreeMap<(String, String), String>,
    /// Its rows in the driver's tables, in one order.
    pub(crate) noted: Vec<NotedRow>,
}

/// A row in which the driver notes something of a table, without the times in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotedRow {
    /// The driver's table.
    pub(crate) table: String,
    /// What it has in its columns, in their order.
    pub(crate) values: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// As it is declared; empty where nothing is.
    pub(crate) declared: String,
    pub(crate) collation: String,
    pub(crate) is_not_null: bool,
}

/// What the rows of a table are told apart by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// A column that is another name of the row's number.
    Rowid { column: String },
    /// One or several columns, in the order of the key.
    Columns {
        columns: Vec<String>,
        /// Whether there may be NULL in them, and then several rows of the same key.
        is_nullable: bool,
    },
    /// Nothing: two rows may be the same.
    None,
}

impl Key {
    /// Its columns; none of a table without a key.
    pub(crate) fn columns(&self) -> &[String] {
        match self {
            Self::Rowid { column } => std::slice::from_ref(column),
            Self::Columns { columns, .. } => columns,
            Self::None => &[],
        }
    }
}

/// Whose schema of a table a merge has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SchemaDecision {
    /// Nobody changed it.
    Same,
    /// The source's: only it made, changed or dropped the table.
    Source,
    /// The target's, which has it already.
    Target,
    /// Both changed it to the same, which the target has already.
    Alike,
    /// Both changed it, each to something else.
    Conflict(Box<Conflict>),
}

/// Reads the tables of a database. The connection is in a read transaction.
///
/// # Errors
/// [`SchemaError::Read`], and [`SchemaError::Encoding`] of a database in UTF-16.
pub(crate) fn read(connection: &Connection) -> Result<Schema, SchemaError> {
    let found: String = connection.query_row("PRAGMA encoding", [], |row| row.get(0))?;
    if found != "UTF-8" {
        return Err(SchemaError::Encoding { found });
    }
    let mut noted = noted_rows(connection)?;
    let mut schema = Schema::default();
    let mut statement = connection.prepare(
        "SELECT l.name, l.type, s.sql FROM pragma_table_list AS l JOIN sqlite_schema AS s \
         ON s.type IN ('table', 'view') AND s.name = l.name \
         WHERE l.schema = 'main' AND l.type <> 'shadow' AND l.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, kind, sql): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let folded = name.to_ascii_lowercase();
        if folded.starts_with(DRIVER_PREFIX) {
            continue;
        }
        if kind != "table" {
            schema.left_out.insert(name, sql);
            continue;
        }
        let (columns, key) = columns_and_key(connection, &name)?;
        let attached = attached(connection, &name)?;
        let noted = noted.remove(&folded).unwrap_or_default();
        schema.tables.insert(folded, Table { name, columns, key, sql, attached, noted });
    }
    Ok(schema)
}

/// The columns of a table that hold values, and its key; no columns where there is no such table.
pub(super) fn columns_and_key(connection: &Connection, table: &str) -> rusqlite::Result<(Vec<Column>, Key)> {
    let mut statement =
        connection.prepare("SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo(?) WHERE hidden = 0")?;
    let mut rows = statement.query([table])?;
    let (mut columns, mut places) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let column =
            Column { name: row.get(0)?, declared: row.get(1)?, collation: String::new(), is_not_null: row.get(2)? };
        let place: i64 = row.get(3)?;
        if place > 0 {
            places.push((place, column.name.clone(), column.is_not_null));
        }
        columns.push(column);
    }
    for column in &mut columns {
        let (_, collation, ..) = connection.column_metadata(Some("main"), table, &column.name)?;
        column.collation = collation.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    }
    if places.is_empty() {
        return Ok((columns, Key::None));
    }
    // Whatever key is not the row's number has an index of its own.
    let has_index: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk')",
        [table],
        |row| row.get(0),
    )?;
    places.sort_unstable();
    let is_nullable = places.iter().any(|(.., is_not_null)| !is_not_null);
    let mut names: Vec<_> = places.into_iter().map(|(_, name, _)| name).collect();
    if !has_index {
        return Ok((columns, Key::Rowid { column: names.remove(0) }));
    }
    Ok((columns, Key::Columns { columns: names, is_nullable }))
}

fn attached(connection: &Connection, table: &str) -> rusqlite::Result<BTreeMap<(String, String), String>> {
    let mut statement = connection.prepare(
        "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('index', 'trigger') AND tbl_name = ? COLLATE NOCASE \
         AND sql IS NOT NULL",
    )?;
    let rows = statement.query_map([table], |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?)))?;
    rows.collect()
}

/// A table of the driver's in which it notes something of others.
pub(super) struct InformationTable {
    pub(super) name: String,
    pub(super) columns: Vec<String>,
    /// An expression: the name of the table that its row `t` is of. NULL where that one is gone.
    pub(super) owner: String,
}

/// The driver's tables with notes of other tables; what is said of the whole database is in none of these.
pub(super) fn information_tables(connection: &Connection) -> rusqlite::Result<Vec<InformationTable>> {
    let mut found = Vec::new();
    let mut statement = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND substr(name, 1, length(?1)) = ?1 ORDER BY name",
    )?;
    let tables: Vec<String> = statement.query_map([INFORMATION_PREFIX], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut statement = connection.prepare("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0")?;
    for name in tables {
        let columns: Vec<String> = statement.query_map([&name], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let owner = if columns.iter().any(|column| column == "TABLE_NAME") {
            "t.\"TABLE_NAME\"".to_owned()
        } else if columns.iter().any(|column| column == "CHECK_CLAUSE") {
            // A check is named, and the table of the constraints says whose it is.
            format!(
                "(SELECT c.TABLE_NAME FROM \"{INFORMATION_PREFIX}table_constraints\" AS c WHERE c.CONSTRAINT_TYPE = 'CHECK' \
                 AND c.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME = t.CONSTRAINT_NAME)"
            )
        } else {
            continue;
        };
        found.push(InformationTable { name, columns, owner });
    }
    Ok(found)
}

/// The driver's rows by the name in lower case of the table that they are of.
fn noted_rows(connection: &Connection) -> rusqlite::Result<BTreeMap<String, Vec<NotedRow>>> {
    let mut found: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for InformationTable { name: table, columns, owner } in information_tables(connection)? {
        let list: Vec<_> = columns
            .iter()
            .filter(|name| !TIMES.contains(&name.as_str()))
            .map(|name| format!("t.{}", quoted(name)))
            .collect();
        let order: Vec<_> = list.iter().map(|name| format!("{name} COLLATE BINARY")).collect();
        let mut statement = connection.prepare(&format!(
            "SELECT {owner}, {} FROM {} AS t ORDER BY {}",
            list.join(","),
            quoted(&table),
            order.join(",")
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let Some(owner) = row.get::<_, Option<String>>(0)? else { continue };
            let values = (1..=list.len()).map(|number| row.get(number)).collect::<Result<_, _>>()?;
            found.entry(owner.to_ascii_lowercase()).or_default().push(NotedRow { table: table.clone(), values });
        }
    }
    Ok(found)
}

/// Decides whose schema of a table the merge has; none stands for a side that has no such table.
pub(crate) fn decide(tables: Sides<Option<&Table>>) -> SchemaDecision {
    match tables.change() {
        Change::None => SchemaDecision::Same,
        Change::Source => SchemaDecision::Source,
        Change::Target => SchemaDecision::Target,
        Change::Alike => SchemaDecision::Alike,
        Change::Both => {
            let name = tables.array().into_iter().flatten().next().map(|table| table.name.clone()).unwrap_or_default();
            let place = TablePlace { table: name, key: Vec::new(), column: None };
            SchemaDecision::Conflict(Box::new(Conflict::new(
                ConflictKind::Schema,
                place,
                tables.map(|table| table.map(Table::cells)),
            )))
        }
    }
}

impl Table {
    /// The columns that the driver's triggers set at each update.
    pub(super) fn stamped(&self) -> Vec<String> {
        let is_of = |column: &&Column, trigger: &str| {
            trigger.eq_ignore_ascii_case(&format!("{DRIVER_PREFIX}{}_{}_on_update", self.name, column.name))
        };
        let triggers = self.attached.keys().filter(|(kind, _)| kind == "trigger");
        triggers
            .filter_map(|(_, trigger)| self.columns.iter().find(|column| is_of(column, trigger)))
            .map(|column| column.name.clone())
            .collect()
    }

    /// All that is compared of it, one after the other, for the id of a conflict.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let attached =
            self.attached.iter().flat_map(|((kind, name), sql)| [kind, name, sql]).map(|text| Value::text(text));
        let noted = self
            .noted
            .iter()
            .flat_map(|NotedRow { table, values }| std::iter::once(Value::text(table)).chain(values.iter().cloned()));
        std::iter::once(Value::text(&self.sql)).chain(attached).chain(noted).map(Some).collect()
    }
}

/// A name as SQL writes it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{make, read as open};
    use super::*;

    const WORDPRESS: &str = "
        CREATE TABLE `wp_posts` (`ID` INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, `post_title` TEXT COLLATE NOCASE NOT NULL) STRICT;
        CREATE INDEX `wp_posts__title` ON `wp_posts` (`post_title`);
        CREATE TABLE `wp_term_relationships` (`object_id` INTEGER NOT NULL, `term_id` INTEGER NOT NULL, PRIMARY KEY (`term_id`, `object_id`)) STRICT;
        CREATE TABLE `wp_codes` (`code` INT NOT NULL PRIMARY KEY) STRICT;
        CREATE TABLE `wp_log` (`line` TEXT) STRICT;
        CREATE TABLE old (name TEXT PRIMARY KEY, twice AS (name || name));
        CREATE TABLE pairs (a, b, PRIMARY KEY (b, a)) WITHOUT ROWID;
        CREATE TABLE codes (a INTEGER PRIMARY KEY, b) WITHOUT ROWID;
        CREATE TABLE back (a INTEGER PRIMARY KEY DESC, b);
        CREATE VIEW seen AS SELECT * FROM old;
        CREATE INDEX stamp ON wp_posts (ID);
        CREATE TRIGGER stamp AFTER UPDATE ON wp_posts BEGIN SELECT 1; END;
        CREATE TABLE _wp_sqlite_global_variables (name TEXT PRIMARY KEY, value TEXT);
        CREATE TABLE _wp_sqlite_mysql_information_schema_schemata (SCHEMA_NAME TEXT PRIMARY KEY);
        INSERT INTO _wp_sqlite_mysql_information_schema_schemata VALUES ('sqlite_database');
        CREATE TABLE _wp_sqlite_mysql_information_schema_tables (TABLE_NAME TEXT COLLATE NOCASE, ENGINE TEXT, CREATE_TIME TEXT, UPDATE_TIME TEXT);
        INSERT INTO _wp_sqlite_mysql_information_schema_tables VALUES ('WP_Posts', 'InnoDB', '2026-01-01', NULL), ('wp_log', 'InnoDB', '', '');
        CREATE TABLE _wp_sqlite_mysql_information_schema_columns (TABLE_NAME TEXT COLLATE NOCASE, COLUMN_NAME TEXT, COLUMN_TYPE TEXT);
        INSERT INTO _wp_sqlite_mysql_information_schema_columns VALUES ('wp_posts', 'post_title', 'text'), ('wp_posts', 'ID', 'bigint');
        CREATE TABLE _wp_sqlite_mysql_information_schema_table_constraints (CONSTRAINT_SCHEMA TEXT, CONSTRAINT_NAME TEXT, TABLE_NAME TEXT, CONSTRAINT_TYPE TEXT);
        INSERT INTO _wp_sqlite_mysql_information_schema_table_constraints VALUES ('s', 'long', 'wp_log', 'CHECK');
        CREATE TABLE _wp_sqlite_mysql_information_schema_check_constraints (CONSTRAINT_SCHEMA TEXT, CONSTRAINT_NAME TEXT, CHECK_CLAUSE TEXT);
        INSERT INTO _wp_sqlite_mysql_information_schema_check_constraints VALUES ('s', 'long', 'length(line) > 3'), ('s', 'of nobody', '1');
    ";

    fn schema(statements: &str) -> Schema {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), "x", statements);
        read(&open(folder.path(), "x")).unwrap()
    }

    #[test]
    fn a_table_has_its_columns_its_key_and_what_is_attached_to_it() {
        let schema = schema(WORDPRESS);
        let names: Vec<_> = schema.tables.keys().map(String::as_str).collect();
        assert_eq!(names, ["back", "codes", "old", "pairs", "wp_codes", "wp_log", "wp_posts", "wp_term_relationships"]);
        assert_eq!(schema.left_out.keys().collect::<Vec<_>>(), ["seen"]);
        let posts = &schema.tables["wp_posts"];
        let column = |name: &str, declared: &str, collation: &str, is_not_null| Column {
            name: name.to_owned(),
            declared: declared.to_owned(),
            collation: collation.to_owned(),
            is_not_null,
        };
        assert_eq!(
            posts.columns,
            [column("ID", "INTEGER", "BINARY", true), column("post_title", "TEXT", "NOCASE", true)]
        );
        let attached: Vec<_> = posts.attached.keys().map(|(kind, name)| format!("{kind} {name}")).collect();
        assert_eq!(attached, ["index stamp", "index wp_posts__title", "trigger stamp"]);
        assert_eq!(
            schema.tables["old"].columns,
            [column("name", "TEXT", "BINARY", false)],
            "what is generated is none"
        );
        let columns = |names: &[&str], is_nullable| Key::Columns {
            columns: names.iter().map(|&name| name.to_owned()).collect(),
            is_nullable,
        };
        let key = |table: &str| schema.tables[table].key.clone();
        assert_eq!(key("wp_posts"), Key::Rowid { column: "ID".to_owned() });
        assert_eq!(key("wp_term_relationships"), columns(&["term_id", "object_id"], false));
        assert_eq!(key("wp_codes"), columns(&["code"], false), "INT is no name of the row's number");
        assert_eq!(key("wp_log"), Key::None);
        assert_eq!(key("old"), columns(&["name"], true));
        assert_eq!(key("pairs"), columns(&["b", "a"], false));
        assert_eq!(key("codes"), columns(&["a"], false));
        assert_eq!(key("back"), columns(&["a"], true), "nor is a key that descends");
    }

    #[test]
    fn what_the_driver_notes_of_a_table_is_a_part_of_it() {
        let schema = schema(WORDPRESS);
        let noted = |table: &str| -> Vec<String> {
            let rows = schema.tables[table].noted.iter();
            rows.map(|NotedRow { table, values }| {
                let texts = values.iter().map(|value| match value {
                    Value::Text(text) => String::from_utf8(text.clone()).unwrap(),
                    other => format!("{other:?}"),
                });
                format!("{}: {}", table.strip_prefix(INFORMATION_PREFIX).unwrap(), texts.collect::<Vec<_>>().join(" "))
            })
            .collect()
        };
        assert_eq!(
            noted("wp_posts"),
            ["columns: wp_posts ID bigint", "columns: wp_posts post_title text", "tables: WP_Posts InnoDB"]
        );
        assert_eq!(
            noted("wp_log"),
            [
                "check_constraints: s long length(line) > 3",
                "table_constraints: s long wp_log CHECK",
                "tables: wp_log InnoDB"
            ]
        );
        assert!(noted("old").is_empty());
    }

    #[test]
    fn a_table_is_changed_by_its_statement_by_an_index_and_by_what_the_driver_notes_but_by_no_time() {
        let before = schema(WORDPRESS).tables.remove("wp_posts").unwrap();
        let after = |statement: &str| schema(&format!("{WORDPRESS};{statement}")).tables.remove("wp_posts").unwrap();
        for statement in [
            "ALTER TABLE wp_posts ADD COLUMN more TEXT",
            "DROP INDEX wp_posts__title",
            "DROP TRIGGER stamp",
            "UPDATE _wp_sqlite_mysql_information_schema_columns SET COLUMN_TYPE = 'TEXT' WHERE COLUMN_NAME = 'post_title'",
        ] {
            let after = after(statement);
            let decided = decide(Sides { base: Some(&before), source: Some(&after), target: Some(&before) });
            assert_eq!(decided, SchemaDecision::Source, "{statement}");
        }
        let later = after("UPDATE _wp_sqlite_mysql_information_schema_tables SET CREATE_TIME = 'x', UPDATE_TIME = 'y'");
        let decided = decide(Sides { base: Some(&before), source: Some(&later), target: Some(&before) });
        assert_eq!(decided, SchemaDecision::Same);
    }

    #[test]
    fn two_versions_of_a_table_are_a_conflict_and_two_alike_are_none() {
        let table = |statement: &str| schema(statement).tables.remove("t").unwrap();
        let (base, one, two) =
            (table("CREATE TABLE t (a)"), table("CREATE TABLE t (a, b)"), table("CREATE TABLE t (a, c)"));
        let decided = |base, source, target| decide(Sides { base, source, target });
        assert_eq!(decided(Some(&base), Some(&base), Some(&one)), SchemaDecision::Target);
        assert_eq!(decided(Some(&base), Some(&one), Some(&one)), SchemaDecision::Alike);
        assert_eq!(decided(None, Some(&one), None), SchemaDecision::Source);
        assert_eq!(decided(Some(&base), None, Some(&base)), SchemaDecision::Source);
        let id = |decided| match decided {
            SchemaDecision::Conflict(conflict) => {
                assert_eq!(conflict.kind, ConflictKind::Schema);
                assert_eq!(conflict.place, TablePlace { table: "t".to_owned(), key: Vec::new(), column: None });
                conflict.id
            }
            other => panic!("{other:?}"),
        };
        let ids = [
            id(decided(Some(&base), Some(&one), Some(&two))),
            id(decided(Some(&base), Some(&two), Some(&one))),
            id(decided(None, Some(&one), Some(&two))),
            id(decided(Some(&base), None, Some(&two))),
        ];
        assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), ids.len());
    }

    #[test]
    fn a_database_of_another_encoding_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), "x", "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (a)");
        let refused = read(&open(folder.path(), "x")).unwrap_err();
        assert!(matches!(refused, SchemaError::Encoding { found } if found == "UTF-16le"));
    }
}
