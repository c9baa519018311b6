use std::fs;

use rusqlite::Connection;

use super::dump::{self, Addressing, Head};
use super::*;
use crate::addresses::Rewriter;
use crate::progress::Silent;

/// A database with what the driver writes down of its tables.
fn database(sql: &str) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(include_str!("driver.sql")).unwrap();
    connection.execute_batch(sql).unwrap();
    connection
}

/// Has the driver know a table: its columns, each with its type, what is said of it, and its default.
fn known(connection: &Connection, table: &str, collation: &str, columns: &[(&str, &str, &str, Option<&str>)]) {
    let insert = "INSERT INTO _wp_sqlite_mysql_information_schema_tables (TABLE_NAME, TABLE_COLLATION) VALUES (?, ?)";
    connection.execute(insert, [table, collation]).unwrap();
    for (number, (name, full_type, said, default)) in columns.iter().enumerate() {
        let type_name = full_type.split(['(', ' ']).next().unwrap();
        let length: Option<i64> = match type_name {
            "text" => Some(65_535),
            "longtext" => Some(4_294_967_295),
            "char" | "varchar" | "varbinary" => full_type[type_name.len() + 1..full_type.len() - 1].parse().ok(),
            _ => None,
        };
        let is_nullable = if said.contains("null") { "YES" } else { "NO" };
        connection
            .execute(
                "INSERT INTO _wp_sqlite_mysql_information_schema_columns (TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, COLUMN_DEFAULT, \
                 IS_NULLABLE, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, COLUMN_TYPE, EXTRA) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rusqlite::params![table, name, number, default, is_nullable, type_name, length, full_type, said],
            )
            .unwrap();
    }
}

/// Has the driver know a key: of each column how much, where not all.
fn key(connection: &Connection, table: &str, name: &str, kind: &str, columns: &[(&str, Option<i64>)]) {
    for (number, (column, length)) in columns.iter().enumerate() {
        let is_unique = name == "PRIMARY" || kind == "UNIQUE";
        let kind = if kind == "FULLTEXT" { kind } else { "BTREE" };
        connection
            .execute(
                "INSERT INTO _wp_sqlite_mysql_information_schema_statistics (TABLE_NAME, NON_UNIQUE, INDEX_NAME, SEQ_IN_INDEX, \
                 COLUMN_NAME, SUB_PART, INDEX_TYPE) VALUES (?, ?, ?, ?, ?, ?, ?)",
                rusqlite::params![table, !is_unique, name, number + 1, column, length, kind],
            )
            .unwrap();
    }
}

fn dumped_with(connection: &Connection, addressing: &Addressing) -> (String, Dumped) {
    let head = Head {
        program: "ForkPress".into(),
        branch: "main".into(),
        prefix: "wp_".into(),
        home: "http://x\n; DROP".into(),
        date: "now".into(),
    };
    let mut out = Vec::new();
    let dumped = dump::write(connection, &mut out, &head, addressing, &|| false, &Silent).unwrap();
    assert_eq!(dumped.bytes, out.len() as u64);
    (String::from_utf8_lossy(&out).into_owned(), dumped)
}

fn dumped(connection: &Connection) -> (String, Dumped) {
    dumped_with(connection, &Addressing::Count(Rewriter::new([]).unwrap()))
}

/// The statement that makes a table.
fn create(text: &str, table: &str) -> String {
    let start = text.find(&format!("CREATE TABLE `{table}`")).unwrap();
    text[start..start + text[start..].find(";\n").unwrap()].to_owned()
}

#[test]
fn a_database_without_what_the_driver_writes_down_is_refused() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE wp_posts (a TEXT)").unwrap();
    let head = Head { program: "".into(), branch: "".into(), prefix: "".into(), home: "".into(), date: "".into() };
    let counting = Addressing::Count(Rewriter::new([]).unwrap());
    let error = dump::write(&connection, Vec::new(), &head, &counting, &|| false, &Silent).unwrap_err();
    assert!(matches!(error, DumpError::NoMetadata));
}

#[test]
fn who_wants_it_no_more_gets_no_dump() {
    let head = Head { program: "".into(), branch: "".into(), prefix: "".into(), home: "".into(), date: "".into() };
    let counting = Addressing::Count(Rewriter::new([]).unwrap());
    let error = dump::write(&database(""), Vec::new(), &head, &counting, &|| true, &Silent).unwrap_err();
    assert!(matches!(error, DumpError::Interrupted));
}

#[test]
fn what_is_said_at_the_head_ends_no_comment() {
    let (text, _) = dumped(&database(""));
    assert!(text.contains("-- Home URL: http://x; DROP\n") && text.ends_with("-- Dump completed\n"), "{text}");
    assert!(text.contains("SQL_MODE='NO_AUTO_VALUE_ON_ZERO'") && text.contains("SET NAMES utf8mb4"));
}

#[test]
fn a_statement_stays_below_a_megabyte_unless_a_row_does_not() {
    let connection = database("CREATE TABLE t (a INTEGER, b TEXT) STRICT");
    known(&connection, "t", "utf8mb4_bin", &[("a", "int", "", None), ("b", "longtext", "", None)]);
    for (number, length) in [400_000, 400_000, 400_000, 3_000_000, 10].iter().enumerate() {
        connection.execute("INSERT INTO t VALUES (?, ?)", (number, "x".repeat(*length))).unwrap();
    }
    let (text, _) = dumped(&connection);
    let lengths: Vec<_> =
        text.split(";\n").filter(|part| part.contains("INSERT")).map(|part| part.len() / 100_000).collect();
    assert_eq!(lengths, [8, 4, 30, 0]);
    assert_eq!(text.matches("VALUES").count(), 4);
}

#[test]
fn keys_that_mysql_would_refuse_are_made_so_that_it_takes_them() {
    let connection = database("CREATE TABLE t (id INTEGER, a TEXT, b TEXT, c TEXT, d TEXT) STRICT");
    let columns = [
        ("id", "int", "auto_increment", None),
        ("a", "varchar(50)", "", None),
        ("b", "text", "", None),
        ("c", "varchar(1000)", "", None),
        ("d", "varchar(300)", "", None),
    ];
    known(&connection, "t", "utf8mb4_bin", &columns);
    for (name, kind, parts) in [
        ("longer", "", vec![("a", Some(191))]),
        ("of_text", "", vec![("b", None)]),
        ("of_number", "", vec![("id", Some(3)), ("a", None)]),
        ("too_long", "", vec![("c", None)]),
        ("all_too_long", "UNIQUE", vec![("d", None), ("c", Some(500)), ("a", None)]),
        ("words", "FULLTEXT", vec![("b", Some(5))]),
    ] {
        key(&connection, "t", name, kind, &parts);
    }
    let (text, dumped) = dumped(&connection);
    let create = create(&text, "t");
    for line in [
        "KEY `longer` (`a`)",
        "KEY `of_text` (`b`(191))",
        "KEY `of_number` (`id`, `a`)",
        "KEY `too_long` (`c`(191))",
        "UNIQUE KEY `all_too_long` (`d`(191), `c`(191), `a`)",
        "FULLTEXT KEY `words` (`b`)",
    ] {
        assert!(create.contains(line), "{line} is not in {create}");
    }
    assert!(dumped.notes.iter().any(|note| note.starts_with("t.all_too_long: only the first")), "{:?}", dumped.notes);
}

#[test]
fn a_counted_column_without_a_key_of_its_own_gets_one() {
    let connection = database("CREATE TABLE t (kind TEXT, n INTEGER) STRICT");
    known(&connection, "t", "utf8mb4_bin", &[("kind", "char(5)", "", None), ("n", "int", "auto_increment", None)]);
    key(&connection, "t", "PRIMARY", "", &[("kind", None), ("n", None)]);
    let create = create(&dumped(&connection).0, "t");
    assert!(create.contains("PRIMARY KEY (`kind`, `n`),\n  KEY `n` (`n`)"), "{create}");
}

#[test]
fn defaults_are_what_mysql_takes() {
    let connection = database("CREATE TABLE t (a, b, c, d, e, f, g, h, i)");
    let columns = [
        ("a", "varchar(9)", "", Some("CURRENT_TIMESTAMP")),
        ("b", "timestamp(6)", "DEFAULT_GENERATED on update CURRENT_TIMESTAMP", Some("CURRENT_TIMESTAMP")),
        ("c", "text", "null", Some("x")),
        ("d", "json", "null DEFAULT_GENERATED", Some("json_array()")),
        ("e", "bit(3)", "", Some("b'101'")),
        ("f", "bit(3)", "", Some("b'1'; DROP")),
        ("g", "timestamp", "null", None),
        ("h", "int", "STORED GENERATED null", None),
        ("i", "char(1)", "", Some("'")),
    ];
    known(&connection, "t", "utf8mb4_bin", &columns);
    let (text, dumped) = dumped(&connection);
    let create = create(&text, "t");
    for line in [
        "`a` varchar(9) NOT NULL DEFAULT 'CURRENT_TIMESTAMP'",
        "`b` timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)",
        "`c` text,",
        "`d` json DEFAULT (json_array())",
        "`e` bit(3) NOT NULL DEFAULT b'101'",
        "`f` bit(3) NOT NULL DEFAULT 'b\\'1\\'; DROP'",
        "`g` timestamp NULL DEFAULT NULL",
        "`h` int DEFAULT NULL",
        "`i` char(1) NOT NULL DEFAULT '\\''",
    ] {
        assert!(create.contains(line), "{line} is not in {create}");
    }
    assert_eq!(
        dumped.notes,
        ["t.c: MySQL has no default for such a column", "t.h: was generated; it is an ordinary column now"]
    );
}

#[test]
fn a_charset_stays_where_it_holds_what_is_stored() {
    let connection = database("CREATE TABLE t (a TEXT, b TEXT) STRICT; INSERT INTO t VALUES ('é', 'e'), ('e', '漢')");
    known(&connection, "t", "latin1_german1_ci", &[("a", "char(5)", "", None), ("b", "char(5)", "", None)]);
    let (text, dumped) = dumped(&connection);
    let create = create(&text, "t");
    assert!(
        create.contains(
            "`a` char(5) NOT NULL,\n  `b` char(5) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_520_ci NOT NULL\n"
        ),
        "{create}"
    );
    assert!(create.ends_with("DEFAULT CHARSET=latin1 COLLATE=latin1_german1_ci"), "{create}");
    assert_eq!(dumped.notes, ["t.b: has characters that latin1 lacks, so it is utf8mb4 now"]);
}

#[test]
fn values_that_mysql_would_cut_are_told() {
    let connection = database(
        "CREATE TABLE t (a TEXT, b TEXT) STRICT; INSERT INTO t VALUES ('ééé', CAST(x'ff' AS TEXT)), ('éééé', 'b')",
    );
    known(&connection, "t", "utf8mb4_bin", &[("a", "varchar(3)", "", None), ("b", "text", "", None)]);
    let notes = [
        "t.a: 1 value is longer than varchar(3) takes; MySQL cuts what is beyond",
        "t.b: 1 value is no valid UTF-8; MySQL cuts it there",
    ];
    assert_eq!(dumped(&connection).1.notes, notes);
}

#[test]
fn values_are_written_by_what_they_are_whatever_the_column_says() {
    let connection = database("CREATE TABLE t (a, b, c, d)");
    known(
        &connection,
        "t",
        "utf8mb4_bin",
        &[("a", "int", "", None), ("b", "blob", "", None), ("c", "decimal(9,2)", "", None), ("d", "bit(64)", "", None)],
    );
    connection
        .execute_batch("INSERT INTO t VALUES ('x', 'text', 1e20, -1), (1.5, x'', '1.50', 3), (x'00', NULL, 7, 0)")
        .unwrap();
    let (text, _) = dumped(&connection);
    let rows =
        "VALUES\n('x',0x74657874,100000000000000000000,18446744073709551615),\n(1.5,'','1.50',3),\n(0x00,NULL,7,0);\n";
    assert!(text.contains(rows), "{text}");
}

#[test]
fn addresses_are_rewritten_or_counted() {
    let connection = database(
        "CREATE TABLE wp_posts (ID INTEGER, guid TEXT, post_content TEXT) STRICT;
         INSERT INTO wp_posts VALUES (7, 'http://old.example/?p=7', 'http://old.example'), (8, '', 's:1:\"http://old.example\";')",
    );
    known(
        &connection,
        "wp_posts",
        "utf8mb4_bin",
        &[("ID", "int", "", None), ("guid", "varchar(255)", "", None), ("post_content", "longtext", "", None)],
    );
    let rewriter = || Rewriter::new([("http://old.example", "https://new.example")]).unwrap();
    let (text, dumped) = dumped_with(&connection, &Addressing::Rewrite(rewriter()));
    assert!(
        text.contains("(7,'http://old.example/?p=7','https://new.example'),\n(8,'','s:1:\"http://old.example\";')"),
        "{text}"
    );
    assert_eq!((dumped.addresses.addresses, dumped.addresses.broken, dumped.local_addresses), (1, 1, 0));
    assert_eq!((dumped.broken_values[0].column.as_str(), dumped.broken_values[0].row.as_str()), ("post_content", "8"));
    let (text, dumped) = dumped_with(&connection, &Addressing::Count(rewriter()));
    assert!(text.contains("'http://old.example')") && dumped.addresses.addresses == 0 && dumped.local_addresses == 1);
}

#[test]
fn foreign_keys_and_checks_are_kept() {
    let connection = database(
        "CREATE TABLE t (a INTEGER, b INTEGER) STRICT;
         INSERT INTO _wp_sqlite_mysql_information_schema_referential_constraints (CONSTRAINT_NAME, UPDATE_RULE, DELETE_RULE, TABLE_NAME, REFERENCED_TABLE_NAME)
            VALUES ('f', 'NO ACTION', 'SET NULL', 't', 'u');
         INSERT INTO _wp_sqlite_mysql_information_schema_key_column_usage (CONSTRAINT_NAME, TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, REFERENCED_COLUMN_NAME)
            VALUES ('f', 't', 'b', 2, 'y'), ('f', 't', 'a', 1, 'x');
         INSERT INTO _wp_sqlite_mysql_information_schema_table_constraints (CONSTRAINT_NAME, TABLE_NAME, CONSTRAINT_TYPE, ENFORCED)
            VALUES ('c', 't', 'CHECK', 'YES'), ('d', 't', 'CHECK', 'NO');
         INSERT INTO _wp_sqlite_mysql_information_schema_check_constraints (CONSTRAINT_NAME, CHECK_CLAUSE) VALUES ('c', '`a` > 0'), ('d', '`b` > 0');",
    );
    known(&connection, "t", "utf8mb4_bin", &[("a", "int", "", None), ("b", "int", "", None)]);
    let create = create(&dumped(&connection).0, "t");
    for line in [
        "CONSTRAINT `f` FOREIGN KEY (`a`, `b`) REFERENCES `u` (`x`, `y`) ON DELETE SET NULL,",
        "CONSTRAINT `c` CHECK (`a` > 0),",
        "CONSTRAINT `d` CHECK (`b` > 0) /*!80016 NOT ENFORCED */",
    ] {
        assert!(create.contains(line), "{line} is not in {create}");
    }
}

/// A site whose main has a page, a configuration and a database.
fn site(dir: &Path) -> Site {
    let site = crate::site::testing::site(dir);
    let tree = site.layout.branch(&crate::site::testing::branch(&site, "main", None));
    fs::create_dir_all(tree.join("wp-content/database")).unwrap();
    fs::write(tree.join("index.php"), "<?php").unwrap();
    fs::write(tree.join("wp-config.php"), "<?php\n$table_prefix = 'my_';\n").unwrap();
    let connection = Connection::open(forkpress_core::layout::database_of(&tree)).unwrap();
    connection.execute_batch(include_str!("driver.sql")).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE my_options (option_name TEXT, option_value TEXT);
             INSERT INTO my_options VALUES ('home', 'http://wp.localhost:1'), ('siteurl', 'http://wp.localhost:1')",
        )
        .unwrap();
    known(
        &connection,
        "my_options",
        "utf8mb4_bin",
        &[("option_name", "varchar(191)", "", None), ("option_value", "longtext", "", None)],
    );
    site
}

fn exported(site: &Site, target: Target, is_interrupted: &dyn Fn() -> bool) -> Result<Exported, ExportError> {
    let mut options = Options {
        content: Content::Site,
        wxr: None,
        target,
        url: Some("https://example.com"),
        is_forced: false,
        served: &[],
        program: "ForkPress",
        deadline: Deadline::NOW,
        is_interrupted,
    };
    export(site, &BranchName::main(), &mut options, &Silent)
}

#[test]
fn a_folder_has_the_files_the_dump_and_what_is_said_of_them() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let folder = out.path().join("export");
    let exported = exported(&site(dir.path()), Target::Folder(folder.clone()), &|| false).unwrap();
    assert_eq!(
        (exported.files, exported.home.as_str(), exported.table_prefix.as_str()),
        (2, "https://example.com", "my_")
    );
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(folder.join(MANIFEST)).unwrap()).unwrap();
    assert_eq!((&manifest["siteurl"], &manifest["table_prefix"]), (&"https://example.com".into(), &"my_".into()));
    let dump = fs::read_to_string(folder.join(DATABASE)).unwrap();
    assert!(dump.contains("('home','https://example.com')") && !dump.contains("wp.localhost"), "{dump}");
    let names: Vec<_> = fs::read_dir(folder.join(FILES)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(fs::read_to_string(folder.join("wordpress/wp-config.php")).unwrap().contains("'database_name_here'"));
}

#[test]
fn an_export_that_is_interrupted_at_any_moment_leaves_nothing() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let site = site(dir.path());
    for target in [Target::Folder(out.path().join("x")), Target::File(out.path().join("x.zip"))] {
        let mut interrupted = 0;
        for last in 0.. {
            let asked = std::cell::Cell::new(0);
            let is_interrupted = || {
                asked.set(asked.get() + 1);
                asked.get() > last
            };
            match exported(&site, target.clone(), &is_interrupted) {
                Err(error) => assert!(matches!(error, ExportError::Dump(DumpError::Interrupted)), "{error}"),
                Ok(_) => break,
            }
            assert_eq!(fs::read_dir(out.path()).unwrap().count(), exports_before(&target), "after {last} steps");
            interrupted += 1;
        }
        assert!(interrupted > 5, "{interrupted}");
    }
}

/// What is there of the export before.
fn exports_before(target: &Target) -> usize {
    usize::from(matches!(target, Target::File(_)))
}
