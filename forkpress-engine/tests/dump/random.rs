//! Random tables with random rows, dumped by a real MariaDB in a random style. `FORKPRESS_TEST_SEED` sets another seed.

use std::fmt::Write;

use crate::real::compare_rows;
use crate::server::Server;
use crate::world::World;

const TABLES: usize = 36;

/// A generator of numbers, for the same ones each time.
struct Random(u64);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let count = self.below(most + 1);
        // What has a meaning in a dump comes more often.
        (0..count)
            .map(|_| {
                if self.below(3) == 0 { self.pick(b"'\"\\\0\n\r\t\x1a\x08;`%_/*-#(),") } else { self.below(256) as u8 }
            })
            .collect()
    }

    fn text(&mut self, most: u64, of: &[char]) -> Vec<u8> {
        let count = self.below(most + 1);
        (0..count).map(|_| self.pick(of)).collect::<String>().into_bytes()
    }
}

const ASCII: [char; 26] = [
    'a', 'B', 'z', '0', ' ', '\'', '"', '\\', '\0', '\n', '\r', '\t', '\u{1a}', '\u{8}', ';', '`', '%', '_', '/', '*',
    '-', '#', '(', ')', ',', '$',
];
const LATIN: [char; 6] = ['a', '\'', '\\', '\u{e9}', '\u{20ac}', '\u{ff}'];
const WIDE: [char; 8] = ['a', '\'', '\\', '\u{e9}', '\u{65e5}', '\u{1f600}', '\u{2028}', '\u{5c5c}'];

const TYPES: [&str; 41] = [
    "tinyint(4)",
    "smallint(6)",
    "mediumint(9)",
    "int(11)",
    "bigint(20)",
    "tinyint(3) unsigned",
    "int(10) unsigned",
    "bigint(20) unsigned",
    "int(7) unsigned zerofill",
    "bit(1)",
    "bit(9)",
    "bit(63)",
    "float",
    "double",
    "decimal(10,3)",
    "decimal(5,0) unsigned",
    "date",
    "datetime",
    "datetime(4)",
    "timestamp NULL",
    "time",
    "time(2)",
    "year(4)",
    "char(9)",
    "varchar(40)",
    "varchar(40) CHARACTER SET latin1",
    "varchar(40) CHARACTER SET utf8mb3",
    "tinytext",
    "text",
    "mediumtext",
    "longtext COLLATE utf8mb4_bin",
    "binary(7)",
    "varbinary(40)",
    "tinyblob",
    "blob",
    "longblob",
    "enum('a','it''s','b,c')",
    "set('x','y','z')",
    "json",
    "uuid",
    "inet6",
];

/// A value for a column, as SQL.
fn value(random: &mut Random, kind: &str) -> String {
    let hex = |bytes: Vec<u8>| format!("x'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let text = |bytes| format!("CONVERT({} USING utf8mb4)", hex(bytes));
    if random.below(6) == 0 {
        return "NULL".to_owned();
    }
    let name = kind.split(['(', ' ']).next().unwrap();
    match name {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => {
            // SQLite keeps none beyond 63 bits.
            random
                .pick(&[
                    "0",
                    "1",
                    "-1",
                    "127",
                    "-32768",
                    "65535",
                    "4294967295",
                    "9223372036854775807",
                    "-9223372036854775808",
                ])
                .to_owned()
        }
        "bit" => random.below(1 << 30).to_string(),
        "float" | "double" => format!("{}e0", random.below(2000) as f64 / 8.0 - 100.0),
        "decimal" => format!("{}.{:03}", random.below(99999), random.below(1000)),
        "date" => format!("'{:04}-{:02}-{:02}'", random.below(9999), random.below(13), random.below(29)),
        "datetime" | "timestamp" => format!(
            "'{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}'",
            1990 + random.below(40),
            1 + random.below(12),
            1 + random.below(28),
            random.below(24),
            random.below(60),
            random.below(60),
            random.below(1_000_000)
        ),
        "time" => format!(
            "'{}{}:{:02}:{:02}.{}'",
            random.pick(&["", "-"]),
            random.below(838),
            random.below(60),
            random.below(60),
            random.below(99)
        ),
        "year" => random.pick(&["0000", "1901", "2155", "2024"]).to_owned(),
        "enum" => random.pick(&["'a'", "'it''s'", "'b,c'"]).to_owned(),
        "set" => random.pick(&["''", "'x'", "'x,z'", "'y'"]).to_owned(),
        "json" => random.pick(&["'{}'", "'[1, \"\\\\\"\\u{e9}\"]'", "'null'"]).to_owned(),
        "uuid" => format!("'{:08x}-0000-4000-8000-{:012x}'", random.below(1 << 30), random.below(1 << 30)),
        "inet6" => format!("'::{:x}'", random.below(65536)),
        "binary" | "varbinary" | "tinyblob" | "blob" | "longblob" => hex(random.bytes(40)),
        _ if kind.contains("latin1") => text(random.text(40, &LATIN)),
        _ if random.below(2) == 0 => text(random.text(40, &WIDE)),
        _ => text(random.text(40, &ASCII)),
    }
}

/// A table and its rows.
fn table(random: &mut Random, number: usize) -> String {
    let names = ["a", "select", "a b", "x`y", "order-1", "Key", "it's", "_2"];
    let columns: Vec<_> = (0..1 + random.below(8)).map(|at| (names[at as usize], random.pick(&TYPES))).collect();
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let mut lines = vec![match random.below(3) {
        0 => "`id` bigint(20) unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY".to_owned(),
        1 => "`id` int(11) NOT NULL, PRIMARY KEY (`id`)".to_owned(),
        _ => "`id` int(11) DEFAULT NULL".to_owned(),
    }];
    lines.extend(columns.iter().map(|(name, kind)| format!("{} {kind}", quoted(name))));
    for (at, (name, kind)) in columns.iter().enumerate().filter(|_| random.below(3) == 0).collect::<Vec<_>>() {
        let is_long = ["text", "blob", "char", "binary", "json"].iter().any(|long| kind.contains(long));
        let length = if is_long && !kind.starts_with("binary(7)") { "(5)" } else { "" };
        let order = random.pick(&["", " DESC"]);
        lines.push(format!("KEY `k{at}` ({}{length}{order}, `id`) COMMENT 'it''s {at}'", quoted(name)));
    }
    if random.below(3) == 0 {
        lines.push("UNIQUE KEY `once` (`id`)".to_owned());
    }
    let engine = random.pick(&["InnoDB", "MyISAM", "Aria"]);
    let charset =
        random.pick(&["utf8mb4 COLLATE=utf8mb4_unicode_520_ci", "latin1", "utf8mb3", "utf8mb4 COLLATE=utf8mb4_bin"]);
    let mut sql = format!("CREATE TABLE t{number} ({}) ENGINE={engine} DEFAULT CHARSET={charset};\n", lines.join(", "));
    for id in 1..=random.below(40) {
        let values: Vec<_> = columns.iter().map(|(_, kind)| value(random, kind)).collect();
        writeln!(sql, "INSERT INTO t{number} VALUES ({}, {});", id * 3, values.join(", ")).unwrap();
    }
    sql
}

#[test]
fn random_tables_are_loaded_as_mariadb_has_them() {
    let seed = std::env::var("FORKPRESS_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let mut random = Random(seed);
    let server = Server::start();
    let sql: String = (0..TABLES).map(|number| table(&mut random, number)).collect();
    server.fill("site", sql.as_bytes());
    for charset in ["utf8mb4", "binary"] {
        let mut arguments = vec![format!("--default-character-set={charset}")];
        let mut options = vec!["--hex-blob", "--complete-insert", "--skip-extended-insert", "--replace"];
        if charset == "utf8mb4" {
            // With these a dump does not say which character set it is in.
            options.extend(["--compact", "--skip-opt"]);
        }
        arguments.extend(options.iter().filter(|_| random.below(2) == 0).map(|option| (*option).to_owned()));
        arguments.push("site".to_owned());
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let dump = server.dump(&arguments);
        let world = World::new();
        let loaded = world.load(&dump).unwrap_or_else(|error| panic!("seed {seed}, {arguments:?}: {error}"));
        compare_rows(&server, "site", &world, &format!("seed {seed}, {arguments:?}"));
        assert_eq!(loaded.tables.len(), TABLES);
        assert_eq!(loaded.notes.iter().filter(|note| note.contains("Windows-1252")).count(), 0, "{:?}", loaded.notes);
    }
}
