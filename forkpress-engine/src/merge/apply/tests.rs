use rusqlite::types::ValueRef;

use super::super::conflict_id::{Conflict, ConflictKind, TablePlace};
use super::super::plan::{CellEdit, Recounts, RowEdit, SchemaEdit};
use super::super::{Cell, Sides, schema as schemas};
use super::*;

/// What the driver makes in an empty database, without its comments.
const DRIVER: &str = "
    CREATE TABLE _wp_sqlite_mysql_information_schema_schemata (SCHEMA_NAME TEXT NOT NULL COLLATE NOCASE, PRIMARY KEY (SCHEMA_NAME)) STRICT;
    CREATE TABLE _wp_sqlite_mysql_information_schema_tables (
        TABLE_CATALOG TEXT NOT NULL DEFAULT 'def' COLLATE NOCASE, TABLE_SCHEMA TEXT NOT NULL COLLATE NOCASE, TABLE_NAME TEXT NOT NULL COLLATE NOCASE,
        ENGINE TEXT NOT NULL COLLATE NOCASE, CREATE_TIME TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP, UPDATE_TIME TEXT, CHECK_TIME TEXT,
        PRIMARY KEY (TABLE_SCHEMA, TABLE_NAME)) STRICT;
    CREATE TABLE _wp_sqlite_mysql_information_schema_columns (
        TABLE_SCHEMA TEXT NOT NULL COLLATE NOCASE, TABLE_NAME TEXT NOT NULL COLLATE NOCASE, COLUMN_NAME TEXT NOT NULL COLLATE NOCASE,
        ORDINAL_POSITION INTEGER NOT NULL, COLUMN_DEFAULT TEXT COLLATE BINARY, IS_NULLABLE TEXT NOT NULL COLLATE NOCASE, DATA_TYPE TEXT NOT NULL COLLATE BINARY,
        PRIMARY KEY (TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME)) STRICT;
    CREATE TABLE _wp_sqlite_mysql_information_schema_statistics (
        TABLE_SCHEMA TEXT NOT NULL COLLATE NOCASE, TABLE_NAME TEXT NOT NULL COLLATE NOCASE, NON_UNIQUE INTEGER NOT NULL, INDEX_SCHEMA TEXT NOT NULL COLLATE NOCASE,
        INDEX_NAME TEXT NOT NULL COLLATE NOCASE, SEQ_IN_INDEX INTEGER NOT NULL, COLUMN_NAME TEXT COLLATE NOCASE,
        PRIMARY KEY (TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX), UNIQUE (INDEX_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX)) STRICT;
    CREATE TABLE _wp_sqlite_mysql_information_schema_table_constraints (
        CONSTRAINT_SCHEMA TEXT NOT NULL COLLATE NOCASE, CONSTRAINT_NAME TEXT NOT NULL COLLATE NOCASE, TABLE_SCHEMA TEXT NOT NULL COLLATE NOCASE,
        TABLE_NAME TEXT NOT NULL COLLATE NOCASE, CONSTRAINT_TYPE TEXT NOT NULL COLLATE BINARY,
        PRIMARY KEY (TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_TYPE, CONSTRAINT_NAME)) STRICT;
    CREATE TABLE _wp_sqlite_mysql_information_schema_check_constraints (
        CONSTRAINT_SCHEMA TEXT NOT NULL COLLATE NOCASE, CONSTRAINT_NAME TEXT NOT NULL COLLATE NOCASE, CHECK_CLAUSE TEXT NOT NULL COLLATE BINARY,
        PRIMARY KEY (CONSTRAINT_SCHEMA, CONSTRAINT_NAME)) STRICT;
    CREATE TABLE _wp_sqlite_mysql_information_schema_key_column_usage (
        CONSTRAINT_SCHEMA TEXT NOT NULL COLLATE NOCASE, CONSTRAINT_NAME TEXT NOT NULL COLLATE NOCASE, TABLE_NAME TEXT NOT NULL COLLATE NOCASE,
        COLUMN_NAME TEXT NOT NULL COLLATE NOCASE, REFERENCED_TABLE_NAME TEXT COLLATE NOCASE,
        UNIQUE (CONSTRAINT_SCHEMA, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_NAME)) STRICT;
";

/// A plugin's table as the driver makes it from CREATE TABLE, with two rows, and one that refers to it.
const STOCK: &str = "
    CREATE TABLE `wp_stock` (\n  `id` INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,\n  `name` TEXT COLLATE NOCASE NOT NULL DEFAULT '',\n  `old` INTEGER\n) STRICT;
    CREATE INDEX `wp_stock__name` ON `wp_stock` (`name`);
    INSERT INTO wp_stock VALUES (1, 'nut', 7), (2, 'bolt', 8);
    UPDATE sqlite_sequence SET seq = 40;
    CREATE TABLE `wp_order` (\n  `id` INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,\n  `stock` INTEGER,\n  CONSTRAINT `fk` FOREIGN KEY (`stock`) REFERENCES `wp_stock` (`id`) ON DELETE CASCADE ON UPDATE RESTRICT\n) STRICT;
    INSERT INTO wp_order VALUES (1, 2);
    INSERT INTO _wp_sqlite_mysql_information_schema_tables VALUES ('def', 'sqlite_database', 'wp_stock', 'InnoDB', '2026-01-01 00:00:00', NULL, NULL);
    INSERT INTO _wp_sqlite_mysql_information_schema_columns VALUES
        ('sqlite_database', 'wp_stock', 'id', 1, NULL, 'NO', 'bigint'), ('sqlite_database', 'wp_stock', 'name', 2, '', 'NO', 'varchar'),
        ('sqlite_database', 'wp_stock', 'old', 3, NULL, 'YES', 'int');
    INSERT INTO _wp_sqlite_mysql_information_schema_statistics VALUES
        ('sqlite_database', 'wp_stock', 0, 'sqlite_database', 'PRIMARY', 1, 'id'), ('sqlite_database', 'wp_stock', 1, 'sqlite_database', 'name', 1, 'name');
    INSERT INTO _wp_sqlite_mysql_information_schema_table_constraints VALUES ('sqlite_database', 'PRIMARY', 'sqlite_database', 'wp_stock', 'PRIMARY KEY');
";

/// The same table as the driver makes it from ALTER TABLE: without the column `old`, with `code` and `made` and two indexes.
const ALTERED: &str = "
    DROP TABLE wp_stock;
    CREATE TABLE \"wp_stock\" (\n  `id` INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,\n  `name` TEXT COLLATE NOCASE NOT NULL DEFAULT '',\n  `code` TEXT COLLATE NOCASE NOT NULL DEFAULT 'none',\n  `made` TEXT COLLATE NOCASE NOT NULL\n) STRICT;
    CREATE UNIQUE INDEX `wp_stock__zcode` ON `wp_stock` (`code`);
    CREATE INDEX `wp_stock__name` ON `wp_stock` (`name`);
    CREATE TRIGGER `_wp_sqlite_wp_stock_made_on_update` AFTER UPDATE ON `wp_stock` FOR EACH ROW BEGIN UPDATE `wp_stock` SET `made` = CURRENT_TIMESTAMP WHERE rowid = NEW.rowid; END;
    UPDATE _wp_sqlite_mysql_information_schema_tables SET CREATE_TIME = '2026-12-31 00:00:00';
    DELETE FROM _wp_sqlite_mysql_information_schema_columns WHERE COLUMN_NAME = 'old';
    INSERT INTO _wp_sqlite_mysql_information_schema_columns VALUES
        ('sqlite_database', 'wp_stock', 'code', 3, 'none', 'NO', 'varchar'), ('sqlite_database', 'wp_stock', 'made', 4, NULL, 'NO', 'datetime');
    INSERT INTO _wp_sqlite_mysql_information_schema_statistics VALUES ('sqlite_database', 'wp_stock', 0, 'sqlite_database', 'zcode', 1, 'code');
    UPDATE _wp_sqlite_mysql_information_schema_statistics SET rowid = -1 WHERE INDEX_NAME = 'zcode';
    INSERT INTO _wp_sqlite_mysql_information_schema_table_constraints VALUES
        ('sqlite_database', 'zcode', 'sqlite_database', 'wp_stock', 'UNIQUE'), ('sqlite_database', 'wp_stock_chk_1', 'sqlite_database', 'wp_stock', 'CHECK');
    INSERT INTO _wp_sqlite_mysql_information_schema_check_constraints VALUES ('sqlite_database', 'wp_stock_chk_1', 'id > 0');
    INSERT INTO _wp_sqlite_mysql_information_schema_key_column_usage VALUES ('sqlite_database', 'zcode', 'wp_stock', 'code', NULL);
";

fn database(statements: &[&str]) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("PRAGMA foreign_keys = 0").unwrap();
    connection.execute_batch(&statements.concat()).unwrap();
    connection
}

fn applied(target: &mut Connection, plan: &Plan) -> Result<Applied, ApplyError> {
    apply(target, &database(&[]), plan, "wp_")
}

/// What a query gives: `column,column;column,column`.
fn rows(connection: &Connection, sql: &str) -> String {
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let text = |value: ValueRef<'_>| match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => format!("{bytes:?}"),
    };
    let rows = statement
        .query_map([], |row| {
            let values = (0..columns).map(|number| row.get_ref(number).map(text));
            Ok(values.collect::<Result<Vec<_>, _>>()?.join(","))
        })
        .unwrap();
    rows.collect::<Result<Vec<_>, _>>().unwrap().join(";")
}

fn plan_of(tables: Vec<TableEdits>) -> Plan {
    Plan { tables, ..Plan::default() }
}

fn edits(table: &str, columns: &[&str], key_columns: usize, rows: Vec<RowEdit>) -> TableEdits {
    let columns = columns.iter().map(|&name| name.to_owned()).collect();
    TableEdits { table: table.to_owned(), columns, key_columns, rows }
}

fn int(number: i64) -> Cell {
    Some(Value::Integer(number))
}

fn text(text: &str) -> Cell {
    Some(Value::text(text))
}

fn update(key: Cell, column: usize, before: Cell, after: Cell) -> RowEdit {
    RowEdit::Update { key: vec![key.unwrap()], cells: vec![CellEdit { column, before, after }] }
}

fn take(table: &str) -> SchemaEdit {
    SchemaEdit::Take { table: table.to_owned() }
}

const NAMES: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT COLLATE NOCASE NOT NULL);
    CREATE UNIQUE INDEX name ON t (name); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');";

fn names(rows: Vec<RowEdit>) -> Plan {
    plan_of(vec![edits("t", &["id", "name"], 1, rows)])
}

#[test]
fn rows_come_change_and_go() {
    let mut target = database(&[NAMES]);
    let plan = names(vec![
        RowEdit::Insert(vec![int(200_000), text("new")]),
        update(int(1), 1, text("a"), text("A")),
        RowEdit::Remove { before: vec![int(2), text("b")] },
    ]);
    assert_eq!(applied(&mut target, &plan).unwrap(), Applied { inserted: 1, updated: 1, removed: 1 });
    assert_eq!(rows(&target, "SELECT * FROM t"), "1,A;3,c;200000,new");
}

#[test]
fn an_empty_plan_writes_nothing() {
    let mut target = database(&[NAMES]);
    let (plan, before) = (Plan::default(), target.total_changes());
    assert!(plan.is_empty());
    assert_eq!(applied(&mut target, &plan).unwrap(), Applied::default());
    assert_eq!(target.total_changes(), before);
}

#[test]
fn a_plan_with_conflicts_is_refused() {
    let place = TablePlace { table: "t".to_owned(), key: Vec::new(), column: None };
    let sides = Sides { base: None, source: None, target: None };
    let plan = Plan { conflicts: vec![Conflict::new(ConflictKind::Schema, place, sides)], ..names(vec![]) };
    let refused = applied(&mut database(&[NAMES]), &plan).unwrap_err();
    assert!(matches!(refused, ApplyError::Undecided { conflicts: 1 }));
}

#[test]
fn what_is_not_as_planned_stops_all_of_it() {
    let stale = [
        update(int(1), 1, text("A"), text("x")),
        update(int(9), 1, text("a"), text("x")),
        update(int(1), 1, None, text("x")),
        RowEdit::Remove { before: vec![int(1), text("A")] },
        RowEdit::Remove { before: vec![int(9), text("a")] },
        RowEdit::Insert(vec![int(1), text("x")]),
    ];
    for edit in stale {
        let mut target = database(&[NAMES]);
        let plan = names(vec![RowEdit::Insert(vec![int(8), text("new")]), edit]);
        let refused = applied(&mut target, &plan).unwrap_err();
        let key =
            if plan.tables[0].rows[1..].iter().any(|edit| format!("{edit:?}").contains("Integer(9)")) { 9 } else { 1 };
        assert!(
            matches!(&refused, ApplyError::Stale { table, key: found } if table == "t" && *found == [Value::Integer(key)]),
            "{refused}"
        );
        assert_eq!(rows(&target, "SELECT * FROM t"), "1,a;2,b;3,c");
    }
    let refused = applied(&mut database(&[]), &names(vec![update(int(1), 1, text("a"), text("x"))])).unwrap_err();
    assert!(matches!(refused, ApplyError::Stale { .. }), "a table that is gone: {refused}");
}

#[test]
fn rows_can_exchange_what_no_two_may_have() {
    let mut target = database(&[NAMES]);
    let plan = names(vec![
        update(int(1), 1, text("a"), text("B")),
        update(int(2), 1, text("b"), text("c")),
        RowEdit::Insert(vec![int(4), text("A")]),
        update(int(3), 1, text("c"), text("d")),
    ]);
    assert_eq!(applied(&mut target, &plan).unwrap(), Applied { inserted: 1, updated: 3, removed: 0 });
    assert_eq!(rows(&target, "SELECT * FROM t"), "1,B;2,c;3,d;4,A");
    let plan = plan_of(vec![edits(
        "t",
        &["name", "id"],
        1,
        vec![update(text("B"), 1, int(1), int(2)), update(text("c"), 1, int(2), int(1))],
    )]);
    applied(&mut target, &plan).unwrap();
    assert_eq!(rows(&target, "SELECT * FROM t"), "1,c;2,B;3,d;4,A");
}

#[test]
fn rows_can_exchange_what_only_an_expression_or_a_condition_makes_unique() {
    for index in ["CREATE UNIQUE INDEX x ON t (lower(name));", "CREATE UNIQUE INDEX x ON t (id) WHERE name = 'a';"] {
        let mut target = database(&[
            "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b');",
            index,
        ]);
        let plan = names(vec![update(int(1), 1, text("a"), text("b")), update(int(2), 1, text("b"), text("a"))]);
        applied(&mut target, &plan).unwrap();
        assert_eq!(rows(&target, "SELECT * FROM t"), "1,b;2,a");
    }
}

#[test]
fn what_no_two_rows_may_have_is_told_with_its_key() {
    for edit in [RowEdit::Insert(vec![int(4), text("B")]), update(int(1), 1, text("a"), text("B"))] {
        let mut target = database(&[NAMES]);
        let key = if matches!(edit, RowEdit::Insert(_)) { 4 } else { 1 };
        let refused = applied(&mut target, &names(vec![edit])).unwrap_err();
        assert!(
            matches!(&refused, ApplyError::Duplicate { table, key: found, .. } if table == "t" && *found == [Value::Integer(key)]),
            "{refused}"
        );
        assert_eq!(rows(&target, "SELECT * FROM t"), "1,a;2,b;3,c");
    }
}

#[test]
fn a_text_key_is_found_by_its_index_and_compared_by_its_bytes() {
    let by_name =
        |key: &str| plan_of(vec![edits("t", &["name", "id"], 1, vec![update(text(key), 0, text(key), text("x"))])]);
    let mut target = database(&[NAMES]);
    assert!(matches!(applied(&mut target, &by_name("A")), Err(ApplyError::Stale { .. })), "another case");
    applied(&mut target, &by_name("a")).unwrap();
    assert_eq!(rows(&target, "SELECT name FROM t ORDER BY id"), "x;b;c");
    let condition = has_key(&by_name("a").tables[0]).replace("?1", "'a'");
    let plan = rows(&target, &format!("EXPLAIN QUERY PLAN SELECT * FROM t WHERE {condition}"));
    assert!(plan.contains("INDEX name (name=?)"), "{plan}");
}

#[test]
fn a_text_that_is_no_utf_8_and_a_blob_arrive_byte_for_byte() {
    let mut target = database(&["CREATE TABLE t (id INTEGER PRIMARY KEY, v)"]);
    let values = [
        Value::Text(vec![b'a', 0xff, 0, b'b']),
        Value::Blob(vec![0xff]),
        Value::Real(0.1),
        Value::Null,
        Value::Text(vec![]),
    ];
    let inserted = (1..).zip(&values).map(|(id, value)| RowEdit::Insert(vec![int(id), Some(value.clone())])).collect();
    applied(&mut target, &plan_of(vec![edits("t", &["id", "v"], 1, inserted)])).unwrap();
    let mut statement = target.prepare("SELECT v FROM t ORDER BY id").unwrap();
    let found: Vec<Value> = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(found, values);
}

#[test]
fn a_row_without_an_id_gets_the_next_of_the_target_that_nobody_comes_with() {
    let mut target = database(&[NAMES, "UPDATE sqlite_sequence SET seq = 9;"]);
    let plan = names(vec![
        RowEdit::Insert(vec![int(500_000), text("planned")]),
        RowEdit::Insert(vec![int(11), text("in the way")]),
        RowEdit::Insert(vec![None, text("one")]),
        RowEdit::Insert(vec![None, text("two")]),
    ]);
    applied(&mut target, &plan).unwrap();
    assert_eq!(rows(&target, "SELECT * FROM t WHERE id > 3"), "10,one;11,in the way;12,two;500000,planned");
}

#[test]
fn a_cell_that_is_left_out_gets_the_default_or_what_is_nothing_for_its_type() {
    let mut target = database(&[
        DRIVER,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT DEFAULT 'default', n INTEGER NOT NULL, s TEXT NOT NULL, d TEXT NOT NULL, b BLOB NOT NULL, z TEXT) STRICT;
        INSERT INTO _wp_sqlite_mysql_information_schema_columns VALUES ('sqlite_database', 'T', 'D', 5, NULL, 'NO', 'datetime');",
    ]);
    let row = RowEdit::Insert(vec![int(1), None, None, text("of a column that only the source has")]);
    applied(&mut target, &plan_of(vec![edits("t", &["id", "a", "n", "gone"], 1, vec![row])])).unwrap();
    assert_eq!(rows(&target, "SELECT * FROM t"), "1,default,0,,0000-00-00 00:00:00,[],NULL");
}

#[test]
fn a_value_for_a_column_that_the_target_has_not_is_an_error() {
    let mut target = database(&[NAMES]);
    let plan = plan_of(vec![edits("t", &["id", "other"], 1, vec![update(int(1), 1, None, text("x"))])]);
    let refused = applied(&mut target, &plan).unwrap_err();
    assert!(matches!(&refused, ApplyError::Misfit { column, .. } if column == "other"), "{refused}");
    let plan = plan_of(vec![edits("t", &["id", "other"], 1, vec![update(int(1), 1, None, None)])]);
    assert_eq!(applied(&mut target, &plan).unwrap(), Applied::default(), "it goes with its column");
}

#[test]
fn copies_of_a_row_without_a_key_are_counted() {
    let log = "CREATE TABLE log (line TEXT COLLATE NOCASE, rowid INTEGER); INSERT INTO log VALUES ('a', 1), ('A', 1), ('b', 1), ('a', 1), ('a', 1);";
    let copies = |line: &str, before, after| RowEdit::Copies { row: vec![text(line), int(1)], before, after };
    let plan = |rows| plan_of(vec![edits("log", &["line", "rowid"], 0, rows)]);
    let mut target = database(&[log]);
    let done =
        applied(&mut target, &plan(vec![copies("a", 3, 1), copies("b", 1, 0), copies("c", 0, 2), copies("A", 1, 2)]))
            .unwrap();
    assert_eq!(done, Applied { inserted: 3, updated: 0, removed: 3 });
    assert_eq!(rows(&target, "SELECT line FROM log"), "a;A;c;c;A");
    let refused = applied(&mut database(&[log]), &plan(vec![copies("a", 4, 1)])).unwrap_err();
    assert!(matches!(&refused, ApplyError::Stale { key, .. } if key[0] == Value::text("a")), "{refused}");
}

#[test]
fn no_trigger_fires_no_foreign_key_cascades_and_both_are_on_again() {
    let mut target = database(&[
        NAMES,
        "CREATE TRIGGER stamp AFTER UPDATE ON t BEGIN UPDATE t SET name = 'stamped' WHERE rowid = NEW.rowid; END;
        CREATE TABLE child (id INTEGER PRIMARY KEY, t INTEGER REFERENCES t (id) ON DELETE CASCADE); INSERT INTO child VALUES (1, 2);
        PRAGMA foreign_keys = 1;",
    ]);
    let plan = names(vec![update(int(1), 1, text("a"), text("x")), update(int(2), 1, text("b"), text("y"))]);
    applied(&mut target, &plan).unwrap();
    assert_eq!(rows(&target, "SELECT * FROM t"), "1,x;2,y;3,c");
    assert_eq!(rows(&target, "SELECT * FROM child"), "1,2");
    target.execute_batch("UPDATE t SET name = 'z' WHERE id = 1; DELETE FROM t WHERE id = 2").unwrap();
    assert_eq!(rows(&target, "SELECT name FROM t WHERE id = 1"), "stamped");
    assert_eq!(rows(&target, "SELECT count(*) FROM child"), "0");
}

#[test]
fn a_foreign_key_that_leads_nowhere_now_is_an_error_and_one_that_did_before_is_none() {
    let statements = "CREATE TABLE child (id INTEGER PRIMARY KEY, t INTEGER REFERENCES t (id)); INSERT INTO child VALUES (1, 2), (2, 77);
        CREATE TABLE odd (id INTEGER PRIMARY KEY, x REFERENCES plain (x)); CREATE TABLE plain (x); INSERT INTO odd VALUES (1, 1);";
    let mut target = database(&[NAMES, statements]);
    applied(&mut target, &names(vec![RowEdit::Remove { before: vec![int(1), text("a")] }])).unwrap();
    let refused = applied(&mut target, &names(vec![RowEdit::Remove { before: vec![int(2), text("b")] }])).unwrap_err();
    let broken = BrokenReference { table: "child".to_owned(), rowid: Some(1), parent: "t".to_owned() };
    assert_eq!(refused.to_string(), "foreign keys lead nowhere: child 1 to t");
    assert!(matches!(&refused, ApplyError::ForeignKeys { rows } if *rows == [broken]));
    assert_eq!(rows(&target, "SELECT id FROM t"), "2;3");
}

#[test]
fn a_table_comes_as_the_source_has_it_with_the_rows_of_the_target() {
    let source = database(&[DRIVER, STOCK, ALTERED]);
    let mut target = database(&[
        DRIVER,
        STOCK,
        "INSERT INTO wp_stock VALUES (3, 'cog', 9); CREATE VIEW seen AS SELECT name FROM wp_stock;",
    ]);
    let columns = ["id", "name", "old", "code", "made"];
    let made = "2026-05-05 05:05:05";
    let of_source = |id, code: &str| RowEdit::Update {
        key: vec![Value::Integer(id)],
        cells: vec![
            CellEdit { column: 2, before: int(id + 6), after: None },
            CellEdit { column: 3, before: None, after: text(code) },
            CellEdit { column: 4, before: None, after: text(made) },
        ],
    };
    let rows_of_source = vec![
        of_source(1, "c1"),
        of_source(2, "c2"),
        RowEdit::Insert(vec![int(100_000), text("pin"), None, text("c3"), text(made)]),
    ];
    let plan = Plan { schema: vec![take("WP_stock")], ..plan_of(vec![edits("wp_stock", &columns, 1, rows_of_source)]) };
    apply(&mut target, &source, &plan, "wp_").unwrap();
    assert_eq!(
        rows(&target, "SELECT * FROM wp_stock"),
        format!("1,nut,c1,{made};2,bolt,c2,{made};3,cog,none,0000-00-00 00:00:00;100000,pin,c3,{made}")
    );
    let read = |connection: &Connection| schemas::read(connection).unwrap();
    assert_eq!(read(&target).tables["wp_stock"], read(&source).tables["wp_stock"]);
    assert_eq!(
        read(&target).tables["wp_order"],
        read(&database(&[DRIVER, STOCK])).tables["wp_order"],
        "what refers to it"
    );
    assert_eq!(rows(&target, "SELECT * FROM wp_order"), "1,2");
    assert_eq!(rows(&target, "SELECT count(*) FROM seen"), "4");
    assert_eq!(rows(&target, "SELECT seq FROM sqlite_sequence WHERE name = 'wp_stock'"), "100000");
    assert_eq!(
        rows(&target, "SELECT CREATE_TIME FROM _wp_sqlite_mysql_information_schema_tables"),
        "2026-01-01 00:00:00"
    );
    let indexes = "SELECT INDEX_NAME FROM _wp_sqlite_mysql_information_schema_statistics ORDER BY rowid";
    assert_eq!(rows(&target, indexes), rows(&source, indexes));
    let attached = "SELECT name FROM sqlite_schema WHERE tbl_name = 'wp_stock' ORDER BY rowid";
    assert_eq!(rows(&target, attached), rows(&source, attached));
    assert_eq!(rows(&target, "PRAGMA integrity_check"), "ok");
}

#[test]
fn the_counter_of_a_table_that_comes_stays_where_it_was() {
    let source = database(&[DRIVER, STOCK, ALTERED]);
    for (statement, expected) in [("", "40"), ("DELETE FROM wp_stock", "40"), ("DELETE FROM sqlite_sequence", "2")] {
        let mut target = database(&[DRIVER, STOCK, "DELETE FROM wp_stock WHERE id = 1;", statement]);
        let plan = Plan { schema: vec![take("wp_stock")], ..Plan::default() };
        apply(&mut target, &source, &plan, "wp_").unwrap();
        assert_eq!(rows(&target, "SELECT seq FROM sqlite_sequence WHERE name = 'wp_stock'"), expected, "{statement}");
    }
}

#[test]
fn a_new_table_comes_with_the_notes_of_it_into_a_database_without_the_drivers_tables() {
    let source = database(&[DRIVER, STOCK, ALTERED]);
    let mut target = database(&["CREATE TABLE other (id INTEGER PRIMARY KEY);"]);
    let plan = Plan { schema: vec![take("wp_stock")], ..Plan::default() };
    apply(&mut target, &source, &plan, "wp_").unwrap();
    let read = |connection: &Connection| schemas::read(connection).unwrap();
    assert_eq!(read(&target).tables["wp_stock"], read(&source).tables["wp_stock"]);
    assert_eq!(
        rows(&target, "SELECT CREATE_TIME FROM _wp_sqlite_mysql_information_schema_tables"),
        "2026-12-31 00:00:00"
    );
}

#[test]
fn rows_of_the_target_that_an_index_of_the_source_does_not_take_are_an_error() {
    let source = database(&[DRIVER, STOCK, ALTERED]);
    let mut target = database(&[DRIVER, STOCK]);
    let plan = Plan { schema: vec![take("wp_stock")], ..Plan::default() };
    applied(&mut target, &Plan::default()).unwrap();
    let refused = apply(&mut target, &source, &plan, "wp_").unwrap_err();
    assert!(matches!(&refused, ApplyError::Duplicate { table, .. } if table == "wp_stock"), "{refused}");
    assert_eq!(rows(&target, "SELECT name FROM sqlite_schema WHERE tbl_name = 'wp_stock'"), "wp_stock;wp_stock__name");
}

#[test]
fn a_table_goes_with_all_notes_of_it_and_of_those_that_the_driver_dropped() {
    let mut target = database(&[
        DRIVER,
        STOCK,
        ALTERED,
        "INSERT INTO _wp_sqlite_mysql_information_schema_check_constraints VALUES ('sqlite_database', 'of_nobody', '1');
            INSERT INTO _wp_sqlite_mysql_information_schema_key_column_usage VALUES ('sqlite_database', 'fk', 'wp_lost', 'id', 'wp_stock');
            DELETE FROM wp_order;",
    ]);
    let plan = Plan { schema: vec![SchemaEdit::Drop { table: "wp_stock".to_owned() }], ..Plan::default() };
    applied(&mut target, &plan).unwrap();
    assert!(!schemas::read(&target).unwrap().tables.contains_key("wp_stock"));
    for name in ["tables", "columns", "statistics", "table_constraints", "check_constraints", "key_column_usage"] {
        let sql = format!("SELECT count(*) FROM _wp_sqlite_mysql_information_schema_{name}");
        assert_eq!(rows(&target, &sql), "0", "{name}");
    }
    assert_eq!(rows(&target, "SELECT count(*) FROM sqlite_sequence WHERE name = 'wp_stock'"), "0");
}

#[test]
fn a_table_that_comes_whole_has_only_the_rows_of_the_source() {
    let source =
        database(&["CREATE TABLE t (name TEXT NOT NULL PRIMARY KEY, id INTEGER); INSERT INTO t VALUES ('a', 5);"]);
    let mut target = database(&[NAMES]);
    let plan = Plan {
        schema: vec![SchemaEdit::Drop { table: "t".to_owned() }, take("t")],
        ..plan_of(vec![edits("t", &["name", "id"], 1, vec![RowEdit::Insert(vec![text("a"), int(5)])])])
    };
    apply(&mut target, &source, &plan, "wp_").unwrap();
    assert_eq!(rows(&target, "SELECT * FROM t"), "a,5");
    assert_eq!(rows(&target, "SELECT count(*) FROM sqlite_schema WHERE name = 'name'"), "0");
}

#[test]
fn counts_are_made_anew_as_wordpress_makes_them() {
    let mut target = database(&["
        CREATE TABLE wp_posts (ID INTEGER PRIMARY KEY, post_type TEXT, post_status TEXT, post_parent INTEGER, comment_count INTEGER);
        INSERT INTO wp_posts VALUES (1, 'post', 'publish', 0, 9), (2, 'post', 'draft', 0, 9), (3, 'attachment', 'inherit', 1, 0),
            (4, 'attachment', 'inherit', 2, 0), (5, 'attachment', 'inherit', 0, 0), (6, 'revision', 'inherit', 1, 0), (7, 'nav_menu_item', 'publish', 0, 0);
        CREATE TABLE wp_comments (comment_post_ID INTEGER, comment_approved TEXT, comment_type TEXT);
        INSERT INTO wp_comments VALUES (1, '1', 'comment'), (1, '0', 'comment'), (1, 'spam', 'comment'), (1, '1', 'pingback'), (1, '1', 'note'), (3, '1', 'comment');
        CREATE TABLE wp_term_taxonomy (term_taxonomy_id INTEGER PRIMARY KEY, taxonomy TEXT, count INTEGER);
        INSERT INTO wp_term_taxonomy VALUES (1, 'category', 9), (2, 'link_category', 9), (3, 'nav_menu', 9), (4, 'category', 9);
        CREATE TABLE wp_term_relationships (object_id INTEGER, term_taxonomy_id INTEGER);
        INSERT INTO wp_term_relationships SELECT ID, 1 FROM wp_posts WHERE ID < 7;
        INSERT INTO wp_term_relationships VALUES (77, 1), (88, 2), (2, 2), (7, 3), (1, 4);
        CREATE TABLE wp_users (ID INTEGER PRIMARY KEY); INSERT INTO wp_users VALUES (1), (2), (3);
        CREATE TABLE wp_options (option_name TEXT, option_value TEXT); INSERT INTO wp_options VALUES ('user_count', '2');
    "]);
    let recounts = Recounts { comments_of: vec![1, 77], terms: vec![1, 2, 3], users: true };
    applied(&mut target, &Plan { recounts, ..Plan::default() }).unwrap();
    assert_eq!(rows(&target, "SELECT ID, comment_count FROM wp_posts WHERE ID < 3"), "1,2;2,9");
    assert_eq!(rows(&target, "SELECT term_taxonomy_id, count FROM wp_term_taxonomy"), "1,2;2,2;3,1;4,9");
    assert_eq!(rows(&target, "SELECT option_value, typeof(option_value) FROM wp_options"), "3,text");
}

#[test]
fn a_folded_database_is_all_in_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let mut target = Connection::open(&path).unwrap();
    target.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    target.execute_batch(NAMES).unwrap();
    applied(&mut target, &names(vec![update(int(1), 1, text("a"), text("x"))])).unwrap();
    fold(target).unwrap();
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["x"]);
    assert_eq!(rows(&Connection::open(&path).unwrap(), "SELECT name FROM t WHERE id = 1"), "x");
}
