//! Dumps as tools write them, by hand.

use forkpress_engine::dump::{Options, Placeholder};

use crate::world::World;

const PHPMYADMIN: &str = r#"-- phpMyAdmin SQL Dump
SET SQL_MODE = "NO_AUTO_VALUE_ON_ZERO";
START TRANSACTION;
SET time_zone = "+00:00";
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET NAMES utf8mb4 */;
CREATE DATABASE IF NOT EXISTS `site` DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
USE `site`;
CREATE TABLE `wp_options` (
  `option_id` bigint(20) UNSIGNED NOT NULL,
  `option_name` varchar(191) NOT NULL DEFAULT '',
  `option_value` longtext NOT NULL,
  `autoload` varchar(20) NOT NULL DEFAULT 'yes'
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci;

INSERT INTO `wp_options` (`option_id`, `option_name`, `option_value`, `autoload`) VALUES
(1, 'siteurl', 'https://example.com', 'yes'),
(2, 'text', 'a\r\n''b''; -- \\c', 'yes');
INSERT INTO `wp_options` (`option_id`, `option_name`, `option_value`, `autoload`) VALUES
(7, 'grin', '😀', 'no');
CREATE TABLE `wp_users` (`ID` bigint(20) UNSIGNED NOT NULL, `boss` bigint(20) UNSIGNED DEFAULT NULL) ENGINE=InnoDB;
INSERT INTO `wp_users` VALUES (3, NULL), (4, 3);
--
-- Stand-in structure for view `v`
--
CREATE TABLE IF NOT EXISTS `v` (`a` int);
DELIMITER $$
CREATE DEFINER=`root`@`localhost` PROCEDURE `p` () BEGIN SELECT 1; SELECT ';'; END$$
DELIMITER ;
DROP TABLE IF EXISTS `v`;
CREATE ALGORITHM=UNDEFINED DEFINER=`root`@`localhost` SQL SECURITY DEFINER VIEW `v` AS SELECT 1 AS `a`  ;
ALTER TABLE `wp_options`
  ADD PRIMARY KEY (`option_id`),
  ADD UNIQUE KEY `option_name` (`option_name`),
  ADD KEY `autoload` (`autoload`);
ALTER TABLE `wp_users`
  ADD PRIMARY KEY (`ID`), ADD KEY `boss` (`boss`);
ALTER TABLE `wp_options`
  MODIFY `option_id` bigint(20) UNSIGNED NOT NULL AUTO_INCREMENT, AUTO_INCREMENT=12;
ALTER TABLE `wp_users`
  ADD CONSTRAINT `boss_of` FOREIGN KEY (`boss`) REFERENCES `wp_users` (`ID`) ON DELETE SET NULL;
COMMIT;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
"#;

/// The beginning of a dump that Adminer 4.8.1 made of MariaDB 10.11.
const ADMINER: &[u8] = b"-- Adminer 4.8.1 MySQL 10.11.19-MariaDB-0+deb12u1 dump

SET NAMES utf8;
SET time_zone = '+00:00';
SET foreign_key_checks = 0;
SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO';

DROP VIEW IF EXISTS `v`;
CREATE TABLE `v` (`ID` bigint(20) unsigned);


DROP TABLE IF EXISTS `wp_bin`;
CREATE TABLE `wp_bin` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `b` blob DEFAULT NULL,
  `n` varchar(5) DEFAULT NULL,
  `d` datetime DEFAULT '0000-00-00 00:00:00',
  `bi` bit(5) DEFAULT NULL,
  `k` int(11) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `k` (`k`)
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci;

INSERT INTO `wp_bin` (`id`, `b`, `n`, `d`, `bi`, `k`) VALUES
(1,\t'\\0\xff\\'\\\"\\\\\\n\\Z',\tNULL,\t'0000-00-00 00:00:00',\tCONV('10101', 2, 10) + 0,\t3),
(2,\t'',\t'',\t'0000-00-00 00:00:00',\tCONV('0', 2, 10) + 0,\tNULL);

DELIMITER ;;

CREATE TRIGGER `tr` BEFORE INSERT ON `wp_bin` FOR EACH ROW
SET NEW.k = 1;;

DELIMITER ;

SET NAMES utf8mb4;

DROP TABLE IF EXISTS `v`;
CREATE ALGORITHM=UNDEFINED SQL SECURITY DEFINER VIEW `v` AS select `wp_bin`.`id` AS `ID` from `wp_bin`;

-- 2026-11-28 05:35:34
";

#[test]
fn bits_are_the_numbers_that_adminer_writes_them_as() {
    let world = World::new();
    let loaded = world.load(ADMINER).unwrap();
    let rows = "1|x00ff27225c0a1a|NULL|0000-00-00 00:00:00|21|3;2|x||0000-00-00 00:00:00|0|NULL";
    assert_eq!(world.said("SELECT * FROM wp_bin"), rows);
    let left_out: Vec<_> = loaded.left_out.iter().map(|left| (left.kind.as_str(), left.name.as_str())).collect();
    assert_eq!(left_out, [("trigger", "tr"), ("view", "v")]);
    for wrong in ["CONV('2', 2, 10)", "CONV('1', 2)", "CONV('1', 37, 10)", "1 + 1", "1 + x", "CONV('1', 2, 10) + '0'"] {
        let dump = format!("CREATE TABLE t (a bit(9));\nINSERT INTO t VALUES ({wrong});\n");
        assert!(World::new().refused(&dump).starts_with("line 2: "), "{wrong}");
    }
}

#[test]
fn keys_that_phpmyadmin_adds_after_the_rows_are_there() {
    let world = World::new();
    let loaded = world.load(PHPMYADMIN).unwrap();
    let left_out: Vec<_> =
        loaded.left_out.iter().map(|left| (left.kind.as_str(), left.name.as_str(), left.place.line)).collect();
    assert_eq!(left_out, [("procedure", "p", 28), ("view", "v", 31)]);
    assert_eq!(loaded.prefix.as_deref(), Some("wp_"));
    assert_eq!(loaded.rows(), 5);
    assert_eq!(loaded.notes, [""; 0]);
    assert_eq!(
        world.show_create("wp_options"),
        "CREATE TABLE `wp_options` (\n  `option_id` bigint(20) unsigned NOT NULL AUTO_INCREMENT,\n  \
         `option_name` varchar(191) NOT NULL DEFAULT '',\n  `option_value` longtext NOT NULL,\n  \
         `autoload` varchar(20) NOT NULL DEFAULT 'yes',\n  PRIMARY KEY (`option_id`),\n  \
         UNIQUE KEY `option_name` (`option_name`),\n  KEY `autoload` (`autoload`)\n) ENGINE=InnoDB AUTO_INCREMENT=12 \
         DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci"
    );
    assert_eq!(world.said("SELECT * FROM wp_options WHERE option_id = 2"), "2|text|a\r\n'b'; -- \\c|yes");
    assert_eq!(world.said("SELECT option_value FROM wp_options WHERE option_name = 'GRIN'"), "\u{1f600}");
    assert_eq!(world.said("SELECT * FROM wp_users"), "3|NULL;4|3");
    assert!(world.show_create("wp_users").contains("CONSTRAINT `boss_of` FOREIGN KEY (`boss`)"));
    drop(world.open());
    let files = std::fs::read_dir(world.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(files.collect::<Vec<_>>(), [".ht.sqlite"]);
    assert_eq!(world.said("PRAGMA journal_mode"), "wal");
    assert_eq!(world.said("PRAGMA integrity_check"), "ok");
    let parts = "SELECT name FROM sqlite_schema WHERE name LIKE '%forkpress%' OR name = 'v'";
    assert_eq!(world.said(parts), "");
}

#[test]
fn dumps_of_adminer_heidisql_wp_cli_and_mysql_8_are_taken() {
    let adminer = "-- Adminer 4.8.1 MySQL 8.0.30 dump\n\nSET NAMES utf8;\nSET time_zone = '+00:00';\nSET foreign_key_checks = 0;\n\
        SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO';\nUSE `x`;\nSET NAMES utf8mb4;\nDROP TABLE IF EXISTS `t`;\n\
        CREATE TABLE `t` (\n  `a` int NOT NULL AUTO_INCREMENT,\n  `b` varchar(9) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci DEFAULT NULL,\n  \
        PRIMARY KEY (`a`)\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;\n\
        DELIMITER ;;\nCREATE TRIGGER `t_bi` BEFORE INSERT ON `t` FOR EACH ROW SET NEW.b = 'x;y';;\nDELIMITER ;\n\
        INSERT INTO `t` (`a`, `b`) VALUES\n(1,\t'x'),\n(2,\tNULL);\n-- 2026-01-01 00:00:00\n";
    let heidi = "/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;\n/*!50503 SET NAMES utf8mb4 */;\n\
        CREATE DATABASE IF NOT EXISTS `x` /*!40100 DEFAULT CHARACTER SET latin1 */;\nUSE `x`;\n\
        CREATE TABLE IF NOT EXISTS `t` (\n  `a` int(11) NOT NULL AUTO_INCREMENT,\n  `b` varchar(9) DEFAULT NULL,\n  PRIMARY KEY (`a`)\n) \
        ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;\n\
        /*!40000 ALTER TABLE `t` DISABLE KEYS */;\nINSERT INTO `t` (`a`, `b`) VALUES\n\t(1, 'x'),\n\t(2, NULL);\n\
        /*!40000 ALTER TABLE `t` ENABLE KEYS */;\n/*!40101 SET CHARACTER_SET_CLIENT=IFNULL(@OLD_CHARACTER_SET_CLIENT, 'utf8') */;\n";
    let mysql_8 = "mysqldump: [Warning] Using a password on the command line interface can be insecure.\n\
        -- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)\n\
        /*!50503 SET NAMES utf8mb4 */;\nSET @@SESSION.SQL_LOG_BIN= 0;\nSET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'a-b:1-2';\n\
        DROP TABLE IF EXISTS `t`;\n/*!40101 SET @saved_cs_client     = @@character_set_client */;\n\
        /*!50503 SET character_set_client = utf8mb4 */;\nCREATE TABLE `t` (\n  `a` int NOT NULL AUTO_INCREMENT,\n  \
        `b` varchar(9) DEFAULT NULL /*!80023 INVISIBLE */,\n  PRIMARY KEY (`a`)\n) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 \
        COLLATE=utf8mb4_0900_ai_ci\n/*!50100 PARTITION BY HASH (`a`)\nPARTITIONS 4 */;\n\
        /*!40101 SET character_set_client = @saved_cs_client */;\nLOCK TABLES `t` WRITE;\n\
        INSERT INTO `t` (`a`, `b`) VALUES (1,_binary 'x'),(2,NULL);\nUNLOCK TABLES;\n\
        /*!50001 DROP VIEW IF EXISTS `v`*/;\n/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`a`@`%` SQL SECURITY DEFINER */\n\
        /*!50001 VIEW `v` AS select 1 AS `1` */;\n-- Dump completed on 2026-01-01\n";
    let wp_cli = "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19\n/*!40101 SET NAMES utf8 */;\n\
        DROP TABLE IF EXISTS `t`;\nCREATE TABLE `t` (\n  `a` int(11) NOT NULL AUTO_INCREMENT,\n  `b` varchar(9) DEFAULT NULL,\n  \
        PRIMARY KEY (`a`)\n) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;\n\
        INSERT INTO `t` VALUES (1,'x'),\n(2,NULL);\n-- Dump completed\n";
    for (tool, dump) in [("Adminer", adminer), ("HeidiSQL", heidi), ("MySQL 8", mysql_8), ("WP-CLI", wp_cli)] {
        let world = World::new();
        world.load(dump).unwrap_or_else(|error| panic!("{tool}: {error}"));
        assert_eq!(world.said("SELECT * FROM t"), "1|x;2|NULL", "{tool}");
        let shown = world.show_create("t").replace("int(11)", "int");
        assert_eq!(
            shown,
            "CREATE TABLE `t` (\n  `a` int NOT NULL AUTO_INCREMENT,\n  `b` varchar(9) DEFAULT NULL,\n  PRIMARY KEY (`a`)\n) \
             ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci",
            "{tool}"
        );
    }
}

#[test]
fn the_placeholder_of_a_backup_is_replaced_in_names_and_nowhere_else() {
    let dump = "CREATE TABLE `SERVMASK_PREFIX_options` (option_id int primary key auto_increment, option_name varchar(191), \
        option_value longtext, blob_value blob);\nINSERT INTO `SERVMASK_PREFIX_options` VALUES (1,'SERVMASK_PREFIX_user_roles',\
        'SERVMASK_PREFIX_x',0x);\nCREATE TABLE SERVMASK_PREFIX_usermeta (umeta_id int primary key, meta_key varchar(9), meta_value text);\n\
        INSERT INTO SERVMASK_PREFIX_usermeta VALUES (1,'SERVMASK_PREFIX_capabilities','SERVMASK_PREFIX_'),(2,'a','b');\n\
        CREATE TABLE `left` (a int);\nINSERT INTO `left` VALUES (1);\nALTER TABLE `left` ADD KEY (a);\n";
    let world = World::new();
    let placeholder = Placeholder { mark: "SERVMASK_PREFIX_".to_owned(), prefix: "wp9_".to_owned() };
    let options =
        Options { placeholder: Some(placeholder), left_out_tables: vec!["left".to_owned()], ..Options::default() };
    let loaded = world.load_files(&[("a.sql", dump.as_bytes())], &options).unwrap();
    assert_eq!(loaded.prefix.as_deref(), Some("wp9_"));
    assert_eq!(loaded.tables.len(), 2);
    assert_eq!(world.said("SELECT * FROM wp9_options"), "1|wp9_user_roles|SERVMASK_PREFIX_x|x");
    assert_eq!(world.said("SELECT * FROM wp9_usermeta"), "1|wp9_capabilities|SERVMASK_PREFIX_;2|a|b");
}

#[test]
fn a_dump_may_be_in_several_files_and_a_table_in_it_twice() {
    let world = World::new();
    let files: [(&str, &[u8]); 3] = [
        (
            "structure.sql",
            b"SET NAMES latin1; CREATE TABLE t (a int primary key, b varchar(9));\nCREATE TABLE u (a int);",
        ),
        ("rows.sql", b"INSERT INTO t (b, a) VALUES ('\xc3\xa9', 1);\nINSERT INTO u VALUES (1);"),
        ("again.sql", b"CREATE TABLE u (b text);\nINSERT INTO u VALUES ('z');\nCREATE TABLE IF NOT EXISTS t (c int);"),
    ];
    let loaded = world.load_files(&files, &Options::default()).unwrap();
    assert_eq!(world.said("SELECT * FROM t"), "1|\u{e9}", "a file begins with no charset of the one before");
    assert_eq!(world.said("SELECT * FROM u"), "z");
    assert_eq!(loaded.notes, ["u comes twice: the later one was taken"]);
    let world = World::new();
    let error = world.load_files(&files[1..], &Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rows.sql, line 1: the table t is not made before; the part of the dump that makes it comes first"
    );
}

#[test]
fn texts_become_utf_8_whatever_the_dump_says_that_they_are() {
    let world = World::new();
    let dump = b"SET NAMES latin1;\nCREATE TABLE t (a int, b text, c varchar(5) character set cp1251, d blob) default charset=latin1;\n\
        INSERT INTO t VALUES (1, '\xe9\x80', '\xe9', '\xe9'), (2, _utf8mb4'\xc3\xa9', _cp1251'\xe9', _binary'\xe9'), (3, 0xe9, 0xe9, 0xe9);\n\
        SET NAMES binary;\nINSERT INTO t VALUES (4, '\xe9', '\xe9', '\xe9');\nSET NAMES utf8mb4;\nINSERT INTO t VALUES (5, 'a\xe9b', 'x', 'y');\n\
        SET NAMES sjis; INSERT INTO t VALUES (6, '\x95\x5c', '', '');\n";
    let loaded = world.load(dump).unwrap();
    let rows = "1|\u{e9}\u{20ac}|\u{e9}|xe9;2|\u{e9}|\u{439}|xe9;3|\u{e9}|\u{439}|xe9;4|\u{e9}|\u{439}|xe9;5|a\u{e9}b|x|x79;6|\u{8868}||x";
    assert_eq!(world.said("SELECT * FROM t ORDER BY a"), rows);
    assert_eq!(loaded.charsets, ["latin1", "binary", "utf8mb4", "sjis"]);
    assert_eq!(loaded.notes.len(), 1);
    assert!(loaded.notes[0].contains("the first at line 7"), "{}", loaded.notes[0]);
}

#[test]
fn what_is_not_taken_over_as_it_is_is_told() {
    let world = World::new();
    let dump = "CREATE TABLE t (a int primary key, b int GENERATED ALWAYS AS (a + 1) VIRTUAL NOT NULL, c decimal(30,3), \
        KEY f ((a + 1)), v vector(3)) PARTITION BY HASH (a);\nINSERT INTO t (a, c) VALUES (1, 1.5), (2, 12345678901234567.125);\n\
        CREATE TABLE s (a int, b text default (uuid()), c int default (nextval(`x`.`y`)), foreign key (a) references gone (id));\n\
        CREATE VIEW t AS SELECT 1;\n";
    let loaded = world.load(dump).unwrap();
    assert_eq!(world.said("SELECT a, b, v FROM t"), "1|NULL|NULL;2|NULL|NULL");
    for part in [
        "without its partitions",
        "without the key f on an expression",
        "more than the 15 digits",
        "first at line 2",
        "computed",
    ] {
        assert!(
            loaded.notes.iter().any(|note| note.starts_with("t: ") && note.contains(part)),
            "{part}: {:?}",
            loaded.notes
        );
    }
    assert_eq!(loaded.left_out.len(), 1);
}

#[test]
fn no_row_is_taken_for_another_one_whose_key_differs_by_case() {
    let table = "CREATE TABLE t (a int primary key, b varchar(9) COLLATE utf8mb4_bin, unique key b (b));\n";
    for rows in [
        "REPLACE INTO t VALUES (1,'x'),(2,'X');",
        "INSERT IGNORE INTO t VALUES (1,'x'),(2,'X');",
        "INSERT INTO t VALUES (1,'x'),(2,'X');",
    ] {
        let world = World::new();
        let loaded = world.load(format!("{table}{rows}")).unwrap();
        assert_eq!(world.said("SELECT * FROM t"), "1|x;2|X");
        assert_eq!(loaded.notes, ["t: the key b has texts that differ by case alone, so its index tells these apart"]);
    }
    let world = World::new();
    let text_key = "CREATE TABLE t (b varchar(9) COLLATE utf8mb4_bin PRIMARY KEY);\nREPLACE INTO t VALUES ('x'),('X');";
    assert_eq!(world.refused(text_key), "line 2: t has two rows with the same b: X");
    world.load(format!("{table}REPLACE INTO t VALUES (1,'x'),(2,'y');")).unwrap();
    assert_eq!(
        world.said("SELECT sql FROM sqlite_schema WHERE name = 't__b'"),
        "CREATE UNIQUE INDEX `t__b` ON `t` (`b`)"
    );
}

#[test]
fn rows_may_be_ignored_replaced_or_have_defaults() {
    let world = World::new();
    let dump = "CREATE TABLE t (a int primary key auto_increment, b varchar(9) not null default 'd', c int not null, unique key (b));\n\
        INSERT INTO t VALUES (0, DEFAULT, 1), (DEFAULT, 'x', -1);\nINSERT IGNORE INTO t VALUES (9, 'X', 2), (10, 'y', NULL);\n\
        REPLACE INTO t (a, b) VALUES (20, 'd');\nINSERT INTO t SET a = 30, b = 'q' 'r';\nINSERT INTO t () VALUES ();\n\
        CREATE TABLE u (a int, b int);\nINSERT IGNORE INTO u VALUES (1, 1), (1, 2);\nALTER TABLE u ADD PRIMARY KEY (a);\n";
    let error = world.refused(dump);
    assert!(error.starts_with("line 6: t has two rows with the same b"), "{error}");
    let dump = dump.replace("INSERT INTO t () VALUES ();\n", "");
    let loaded = world.load(dump).unwrap();
    assert_eq!(world.said("SELECT * FROM t ORDER BY a"), "1|x|-1;10|y|0;20|d|0;30|qr|0");
    assert_eq!(world.said("SELECT * FROM u"), "1|1");
    assert_eq!(loaded.tables.iter().map(|table| table.rows).collect::<Vec<_>>(), [4, 1]);
}
