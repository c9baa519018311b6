//! The rules of a merge on small databases with WordPress's tables, as the SQLite driver makes them.

mod model;
mod rules;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, params_from_iter};
use tempfile::TempDir;

use super::super::schema::quoted;
use super::super::testing::{make as write, read};
use super::*;
use crate::merge::Side;

const WORDPRESS: &str = include_str!("../wordpress.sql");

/// What a small site begins with.
const CONTENT: &str = "
    INSERT INTO wp_users (ID, user_login, user_email) VALUES (1, 'admin', 'admin@example.org');
    INSERT INTO wp_usermeta VALUES (1, 1, 'wp_capabilities', 'a:1:{s:13:\"administrator\";b:1;}');
    INSERT INTO wp_terms VALUES (1, 'Uncategorized', 'uncategorized', 0);
    INSERT INTO wp_term_taxonomy VALUES (1, 1, 'category', '', 0, 1);
    INSERT INTO wp_term_relationships VALUES (1, 1, 0);
    INSERT INTO wp_options VALUES (1, 'siteurl', 'http://wp.localhost:8080', 'on'), (2, 'blogname', 'Site', 'on'),
        (3, 'active_plugins', 'a:0:{}', 'on'), (4, 'user_count', '1', 'off'),
        (5, 'cron', 'a:2:{i:100;a:1:{s:6:\"update\";a:1:{s:1:\"x\";a:1:{s:8:\"schedule\";s:5:\"daily\";}}}s:7:\"version\";i:2;}', 'on'),
        (6, 'rewrite_rules', 'a:1:{s:1:\"a\";s:1:\"b\";}', 'on'), (7, 'category_children', 'a:0:{}', 'auto'),
        (8, 'theme_mods_t', 'a:2:{s:1:\"a\";s:1:\"1\";s:1:\"b\";s:1:\"1\";}', 'on'), (9, '_transient_x', '1', 'off');
    INSERT INTO wp_posts (ID, post_title, post_content, post_excerpt, to_ping, pinged, post_content_filtered, post_name, post_type, post_modified, comment_count) VALUES
        (1, 'Hello', 'Hello there', '', '', '', '', 'hello-world', 'post', '2026-01-01 00:00:00', 1),
        (5, 'Five', 'Five there', '', '', '', '', 'five', 'post', '2026-01-01 00:00:00', 0);
    INSERT INTO wp_postmeta VALUES (1, 1, '_edit_lock', '1:1'), (2, 1, '_thumbnail_id', '5'), (3, 5, 'colour', 'red');
    INSERT INTO wp_comments (comment_ID, comment_post_ID, comment_author, comment_content) VALUES (1, 1, 'A', 'First');
    INSERT INTO wp_commentmeta VALUES (1, 1, 'stars', '5');
";

/// Three databases, and what was decided about a merge of them.
pub(super) struct Case {
    folder: TempDir,
    pub(super) rules: Rules,
    pub(super) hosts: Hosts,
    pub(super) answers: Answers,
}

impl Case {
    /// A site in which each side went on with statements.
    pub(super) fn new(source: &str, target: &str) -> Self {
        Self::from("", source, target)
    }

    /// The same, where the base has more than a site begins with.
    pub(super) fn from(base: &str, source: &str, target: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let quick = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;";
        write(folder.path(), "base", &format!("{quick}{WORDPRESS}{CONTENT}{base}"));
        for (name, more) in [("source", source), ("target", target)] {
            std::fs::copy(folder.path().join("base"), folder.path().join(name)).unwrap();
            write(folder.path(), name, &format!("{quick}{more}"));
        }
        Self { folder, rules: Rules::wordpress(), hosts: Hosts::default(), answers: Answers::default() }
    }

    pub(super) fn otherwise(mut self, side: Side) -> Self {
        self.answers.otherwise = Some(side);
        self
    }

    pub(super) fn resolve(mut self, conflict: &Conflict, take: Take) -> Self {
        self.answers.resolved.insert(conflict.id, take);
        self
    }

    pub(super) fn try_plan(&self) -> Result<Plan, PlanError> {
        let [base, source, target] = ["base", "source", "target"].map(|name| read(self.folder.path(), name));
        let databases = Sides { base: &base, source: &source, target: &target };
        // Of closed files the locks would go: these are open to the end.
        let files =
            ["base", "source", "target"].map(|name| std::fs::File::open(self.folder.path().join(name)).unwrap());
        let [base, source, target] = files.each_ref().map(|database| DatabaseFiles { database, log: None });
        let whole = make(databases, None, &self.rules, &self.hosts, &self.answers);
        let of_parts = make(databases, Some(Sides { base, source, target }), &self.rules, &self.hosts, &self.answers);
        assert_eq!(format!("{of_parts:?}"), format!("{whole:?}"), "what is not read is the same");
        of_parts
    }

    pub(super) fn plan(&self) -> Plan {
        self.try_plan().unwrap()
    }

    /// The target once a plan without conflicts is applied.
    pub(super) fn merged(&self) -> Connection {
        let plan = self.plan();
        assert_eq!(plan.conflicts, [], "nothing is in the way");
        assert_eq!(self.plan(), plan, "the same gives the same");
        std::fs::copy(self.folder.path().join("target"), self.folder.path().join("merged")).unwrap();
        let connection = Connection::open(self.folder.path().join("merged")).unwrap();
        connection.execute_batch("PRAGMA synchronous = OFF; BEGIN").unwrap();
        apply(&connection, &read(self.folder.path(), "source"), &plan);
        connection
    }

    /// What the merged database says to a query.
    pub(super) fn told(&self, query: &str) -> String {
        told(&self.merged(), query)
    }

    /// The only conflict.
    pub(super) fn conflict(&self) -> Conflict {
        let [conflict] = self.plan().conflicts.try_into().unwrap();
        conflict
    }
}

/// Rows, one a line, with `|` between their cells.
pub(super) fn told(connection: &Connection, query: &str) -> String {
    let mut statement = connection.prepare(query).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let cell = |number| row.get::<_, Value>(number);
        let cells: Vec<String> = (0..columns)
            .map(|number| match cell(number).unwrap() {
                Value::Null => "NULL".to_owned(),
                Value::Integer(number) => number.to_string(),
                Value::Real(number) => number.to_string(),
                Value::Text(text) | Value::Blob(text) => String::from_utf8(text).unwrap(),
            })
            .collect();
        Ok(cells.join("|"))
    });
    rows.unwrap().map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

/// Applies a plan as plainly as can be, and holds it to what it says was there before.
fn apply(target: &Connection, source: &Connection, plan: &Plan) {
    for edit in &plan.schema {
        let (SchemaEdit::Take { table } | SchemaEdit::Drop { table }) = edit;
        let had = schema::read(target).unwrap().tables.remove(&table.to_ascii_lowercase());
        let old = quoted("old");
        if had.is_some() {
            target.execute_batch(&format!("ALTER TABLE {} RENAME TO {old}", quoted(table))).unwrap();
        }
        if let SchemaEdit::Take { .. } = edit {
            let taken = schema::read(source).unwrap().tables.remove(&table.to_ascii_lowercase()).unwrap();
            target.execute_batch(&taken.sql).unwrap();
            if let Some(had) = &had {
                let shared =
                    had.columns.iter().filter(|column| taken.columns.iter().any(|own| own.name == column.name));
                let list: Vec<_> = shared.map(|column| quoted(&column.name)).collect();
                let list = list.join(",");
                target
                    .execute_batch(&format!("INSERT INTO {} ({list}) SELECT {list} FROM {old}", quoted(table)))
                    .unwrap();
            }
        }
        if had.is_some() {
            target.execute_batch(&format!("DROP TABLE {old}")).unwrap();
        }
    }
    for table in &plan.tables {
        let run = |sql: String, cells: &[&Cell]| {
            let values = cells.iter().map(|cell| ToSqlOutput::Borrowed(cell.as_ref().unwrap().as_ref()));
            target.execute(&sql, params_from_iter(values)).unwrap()
        };
        let name = quoted(&table.table);
        let key: Vec<_> =
            table.columns[..table.key_columns].iter().map(|column| format!("{} = ?", quoted(column))).collect();
        let key = key.join(" AND ");
        for edit in &table.rows {
            match edit {
                RowEdit::Remove { before } => {
                    let cells: Vec<_> = before[..table.key_columns].iter().collect();
                    assert_eq!(run(format!("DELETE FROM {name} WHERE {key}"), &cells), 1, "{edit:?}");
                }
                RowEdit::Update { key: values, cells } => {
                    for cell in cells {
                        let keys: Vec<_> = values.iter().cloned().map(Some).collect();
                        let mut bound = vec![&cell.after];
                        bound.extend(&keys);
                        let column = quoted(&table.columns[cell.column]);
                        let mut condition = key.clone();
                        if cell.before.is_some() {
                            bound.push(&cell.before);
                            condition += &format!(" AND {column} IS ?");
                        }
                        let sql = format!("UPDATE {name} SET {column} = ? WHERE {condition}");
                        assert_eq!(run(sql, &bound), 1, "{edit:?}");
                    }
                }
                RowEdit::Insert(row) => {
                    let given: Vec<_> = table.columns.iter().zip(row).filter(|(_, cell)| cell.is_some()).collect();
                    let columns: Vec<_> = given.iter().map(|(column, _)| quoted(column)).collect();
                    let cells: Vec<_> = given.iter().map(|(_, cell)| *cell).collect();
                    let holes = vec!["?"; cells.len()].join(",");
                    run(format!("INSERT INTO {name} ({}) VALUES ({holes})", columns.join(",")), &cells);
                }
                RowEdit::Copies { .. } => panic!("no test has these"),
            }
        }
    }
}
