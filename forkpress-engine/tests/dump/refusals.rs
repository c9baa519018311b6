//! Dumps that are cut off or wrong, which leave nothing.

use crate::world::World;

const TABLE: &str = "CREATE TABLE t (a int NOT NULL, b varchar(9), PRIMARY KEY (a), UNIQUE KEY b (b));\n";

#[test]
fn a_dump_that_is_cut_off_anywhere_is_refused() {
    let dump = "-- MySQL dump 10\nSET NAMES utf8mb4;\n/*!40101 SET @a = 1 */;\nCREATE TABLE t (a int NOT NULL, b text, PRIMARY KEY (a));\n\
        LOCK TABLES t WRITE;\nINSERT INTO t VALUES (1,'it''s'),(2,0x4142);\nUNLOCK TABLES;\n";
    let world = World::new();
    // Each takes a PHP: not all of them.
    let ends: Vec<_> = (0..dump.len()).step_by(3).collect();
    let refused: Vec<_> = ends
        .iter()
        .copied()
        .filter(|end| {
            let world = World::new();
            world.load(&dump[..*end]).is_err()
        })
        .collect();
    let statement_ends = dump.match_indices(';').map(|(at, _)| at + 1);
    // Between statements, and not before the rows are unlocked.
    let lock = dump.find("LOCK").unwrap();
    let taken: Vec<_> = ends.iter().filter(|end| !refused.contains(end)).collect();
    for end in &taken {
        let before = dump[..**end].trim_end();
        let is_comment = **end <= "-- MySQL dump 10\n".len();
        assert!(
            is_comment || statement_ends.clone().any(|at| at == before.len()) || **end > dump.len() - 9,
            "{before}"
        );
        assert!(**end <= lock || **end > dump.len() - 18, "{before}");
    }
    assert!(refused.len() > ends.len() * 3 / 4);
    assert_eq!(
        world.refused(&dump[..dump.find("s'),").unwrap()]),
        "line 6: the dump is cut off: it ends in a text in quotes"
    );
    assert_eq!(
        world.refused(dump.replace("UNLOCK TABLES;\n", "")),
        "line 7: the dump is cut off: it ends before UNLOCK TABLES"
    );
    assert_eq!(
        world.refused("START SLAVE;\nSTART TRANSACTION;\nSET a=1;\n"),
        "line 4: the dump is cut off: it ends before COMMIT"
    );
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let world = World::new();
    let cases: [(&str, &str); 21] = [
        (
            "INSERT INTO t VALUES (1, 'a');\nINSERT INTO t VALUES\n(2,'b'),\n(1,'c');",
            "line 5: t has two rows with the same a: 1",
        ),
        ("INSERT INTO t VALUES (1, 'a'), (2, 'A');", "t (made at line 1) has two rows with the same key b: a"),
        ("INSERT INTO t VALUES (NULL, 'a');", "line 2: no value for a of t, which takes none without"),
        ("INSERT INTO t VALUES (1);", "line 2: a row of 1 values for the 2 columns of t"),
        ("INSERT INTO t (x) VALUES (1);", "line 2: t has no column x"),
        (
            "INSERT INTO x VALUES (1);",
            "line 2: the table x is not made before; the part of the dump that makes it comes first",
        ),
        ("INSERT INTO t VALUES ('x', 'a');", "line 2: no number, for the column a of t"),
        (
            "INSERT INTO t VALUES (9223372036854775808, 'a');",
            "line 2: larger than 9223372036854775807, the largest number that SQLite can keep, for the column a of t",
        ),
        ("INSERT INTO t VALUES (1, version());", "line 2: the value version, which is not known"),
        ("INSERT INTO t SELECT 1;", "line 2: rows from a query, which no dump has"),
        ("INSERT INTO t VALUES (1 'a');", "line 2: a row of t that does not go on"),
        ("UPDATE t SET a = 1;", "line 2: UPDATE is no statement that dumps have"),
        ("\n)", "line 3: what begins no statement"),
        ("CREATE TABLE u (a);", "line 2: the column a has no type"),
        ("CREATE TABLE u (a int foo);", "line 2: the definition of a column cannot be read, at foo of a"),
        ("CREATE TABLE u LIKE t;", "line 2: the table u is defined by another one or by a query, which no dump does"),
        (
            "CREATE TABLE T (a int);",
            "line 2: the tables t and T differ by case alone, which SQLite does not tell apart",
        ),
        ("ALTER TABLE t ADD KEY x;", "line 2: a name is missing at the end"),
        ("DELETE FROM t WHERE a = 1;", "line 2: only some rows of t are deleted, which no dump does"),
        ("SET NAMES klingon;", "line 2: the character set klingon is not known"),
        (
            "mysqldump: Got error: 2013: Lost connection",
            "line 2: the tool that made the dump failed: Got error: 2013: Lost connection",
        ),
    ];
    for (statement, expected) in cases {
        assert_eq!(world.refused(format!("{TABLE}{statement}")), expected, "{statement}");
    }
    for (dump, expected) in [
        (b"\xff\xfeC\0R\0".as_slice(), "this is UTF-16"),
        (b"\x1f\x8b\x08\0", "this is compressed"),
        (b"<!DOCTYPE html>", "this is no SQL"),
        (b"CREATE TABLE a (b polygoon);", "the SQLite driver cannot make the table a"),
        ("CREATE TABLE a (`\u{e9}` int);".as_bytes(), "only supports ASCII characters in identifiers"),
        (
            b"USE a; CREATE TABLE t (a int); USE b; CREATE TABLE u (a int);",
            "the dump has tables of two databases, a and b",
        ),
    ] {
        let said = world.refused(dump);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_database_that_is_there_stays() {
    let world = World::new();
    std::fs::write(world.database(), "mine").unwrap();
    assert!(world.load(TABLE).is_err());
    assert_eq!(std::fs::read(world.database()).unwrap(), b"mine");
}

#[test]
fn a_driver_that_is_none_is_said_to_be() {
    let world = World::new();
    let mut driver = crate::world::driver();
    driver.folder = world.folder.path().to_owned();
    let load = |driver| {
        forkpress_engine::dump::load(
            Vec::new(),
            &world.database(),
            &driver,
            &forkpress_engine::dump::Options::default(),
            &forkpress_engine::progress::Silent,
        )
    };
    let said = load(driver.clone()).unwrap_err().to_string();
    assert!(said.starts_with("PHP cannot run the SQLite driver: no SQLite driver of version 3 or newer"), "{said}");
    driver.php = vec!["/nowhere/php".into()];
    assert!(load(driver).unwrap_err().to_string().contains("/nowhere/php"));
    assert!(!world.database().exists());
}
