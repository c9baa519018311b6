//! What loading a dump takes: `cargo bench -p forkpress-engine --bench load`.
//!
//! A dump as `mysqldump` writes it, of a made-up WordPress: posts with metadata, terms, comments and options, with
//! WordPress's keys. It is loaded whole, and a small one of the same kind once more through the driver, statement by
//! statement, as WordPress's tools for SQLite do. Then the large one takes the place of the tables in the database of
//! the small one, as `wp db import` has it. `FORKPRESS_BENCH_MEGABYTES` sets how large the dump is (146). Needs PHP and
//! `target/wordpress`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use forkpress_engine::dump::{self, Driver, DumpFile, Options};
use forkpress_engine::progress::Progress;

/// How large the dump is that the driver loads itself.
const SMALL_BYTES: usize = 3_000_000;

/// How large a statement is, as `mysqldump` has it.
const STATEMENT_BYTES: usize = 1_000_000;

const TABLES: &str = "SET NAMES utf8mb4;
DROP TABLE IF EXISTS `wp_posts`, `wp_postmeta`, `wp_term_relationships`, `wp_options`;
CREATE TABLE `wp_posts` (`ID` bigint(20) unsigned NOT NULL AUTO_INCREMENT, `post_author` bigint(20) unsigned NOT NULL DEFAULT 0, `post_date` datetime NOT NULL DEFAULT '0000-00-00 00:00:00', `post_content` longtext NOT NULL, `post_title` text NOT NULL, `post_status` varchar(20) NOT NULL DEFAULT 'publish', `post_name` varchar(200) NOT NULL DEFAULT '', `post_parent` bigint(20) unsigned NOT NULL DEFAULT 0, `post_type` varchar(20) NOT NULL DEFAULT 'post', PRIMARY KEY (`ID`), KEY `post_name` (`post_name`(191)), KEY `type_status_date` (`post_type`,`post_status`,`post_date`,`ID`), KEY `post_parent` (`post_parent`), KEY `post_author` (`post_author`)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci;
CREATE TABLE `wp_postmeta` (`meta_id` bigint(20) unsigned NOT NULL AUTO_INCREMENT, `post_id` bigint(20) unsigned NOT NULL DEFAULT 0, `meta_key` varchar(255) DEFAULT NULL, `meta_value` longtext DEFAULT NULL, PRIMARY KEY (`meta_id`), KEY `post_id` (`post_id`), KEY `meta_key` (`meta_key`(191))) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci;
CREATE TABLE `wp_term_relationships` (`object_id` bigint(20) unsigned NOT NULL DEFAULT 0, `term_taxonomy_id` bigint(20) unsigned NOT NULL DEFAULT 0, `term_order` int(11) NOT NULL DEFAULT 0, PRIMARY KEY (`object_id`,`term_taxonomy_id`), KEY `term_taxonomy_id` (`term_taxonomy_id`)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci;
CREATE TABLE `wp_options` (`option_id` bigint(20) unsigned NOT NULL AUTO_INCREMENT, `option_name` varchar(191) NOT NULL DEFAULT '', `option_value` longtext NOT NULL, `autoload` varchar(20) NOT NULL DEFAULT 'yes', PRIMARY KEY (`option_id`), UNIQUE KEY `option_name` (`option_name`), KEY `autoload` (`autoload`)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_520_ci;
";

/// Shows what step takes how long.
struct Steps(std::sync::Mutex<Option<(String, Instant)>>);

impl Progress for Steps {
    fn begin(&self, step: &str, _total: Option<u64>) {
        *self.0.lock().unwrap() = Some((step.to_owned(), Instant::now()));
    }
    fn advance(&self, _by: u64) {}
    fn end(&self) {
        if let Some((step, began)) = self.0.lock().unwrap().take() {
            println!("    {step}: {:.2} s", began.elapsed().as_secs_f64());
        }
    }
}

fn main() {
    let megabytes =
        std::env::var("FORKPRESS_BENCH_MEGABYTES").ok().and_then(|number| number.parse().ok()).unwrap_or(146);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = root.join("target/wordpress/wp-content/mu-plugins/sqlite-database-integration");
    let driver = Driver { php: vec!["php".into()], script: root.join("runtime/tables.php"), folder };
    let dir = tempfile::tempdir_in(root.join("target")).unwrap();

    let path = dir.path().join("dump.sql");
    let bytes = write(&path, megabytes * 1_000_000);
    for round in 0..3 {
        let database = dir.path().join(format!("{round}.sqlite"));
        let began = Instant::now();
        let file = DumpFile { name: String::new(), bytes: Some(bytes), read: Box::new(File::open(&path).unwrap()) };
        let loaded = dump::load(vec![file], &database, &driver, &Options::default(), &Steps(None.into())).unwrap();
        let seconds = began.elapsed().as_secs_f64();
        println!(
            "load: {:.1} MB, {} rows, {seconds:.2} s, {:.0} MB/s, load average {}",
            bytes as f64 / 1e6,
            loaded.rows(),
            bytes as f64 / 1e6 / seconds,
            fs::read_to_string("/proc/loadavg").unwrap().split(' ').next().unwrap()
        );
        fs::remove_file(database).unwrap();
    }
    let peak = fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", peak.lines().find(|line| line.starts_with("VmHWM")).unwrap());

    let (small, database) = (dir.path().join("small.sql"), dir.path().join("driver.sqlite"));
    let small_bytes = write(&small, SMALL_BYTES);
    let seconds = by_driver(&driver, &small, &database);
    let of_driver = seconds * bytes as f64 / small_bytes as f64;
    println!(
        "the driver itself: {:.1} MB, {seconds:.2} s; {of_driver:.0} s for {megabytes} MB at that speed",
        small_bytes as f64 / 1e6
    );

    let began = Instant::now();
    let file = DumpFile { name: String::new(), bytes: Some(bytes), read: Box::new(File::open(&path).unwrap()) };
    let replaced = dump::replace(vec![file], &database, dir.path(), &driver, &Steps(None.into())).unwrap();
    assert!(matches!(replaced, dump::Replaced::Done(_)), "{replaced:?}");
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "in the place of tables: {:.1} MB, {seconds:.2} s; the driver takes {:.0} times as long",
        bytes as f64 / 1e6,
        of_driver / seconds
    );
}

/// Writes a dump of about so many bytes.
fn write(path: &PathBuf, bytes: usize) -> u64 {
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(TABLES.as_bytes()).unwrap();
    // A post with what belongs to it has some 4700 bytes.
    let posts = bytes / 4700;
    let words =
        ["lorem", "ipsum", "dolor", "caf\u{e9}", "\\\"quoted\\\"", "\u{65e5}\u{672c}", "<!-- wp:p -->\\n", "it\\'s"];
    let mut state = 1_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut content = |bytes: usize| {
        let mut text = String::with_capacity(bytes + 20);
        while text.len() < bytes {
            text.push_str(words[random(words.len())]);
            text.push(' ');
        }
        text
    };
    insert(&mut file, "wp_posts", posts, |at| {
        let title = content(30);
        let body = content(3000);
        format!("({at},1,'2024-01-{:02} 10:00:00','{body}','{title}','publish','post-{at}',0,'post')", at % 28 + 1)
    });
    insert(&mut file, "wp_postmeta", posts * 10, |at| {
        format!("({at},{},'_key_{}','a:1:{{s:5:\\\"value\\\";s:60:\\\"{}\\\";}}')", at / 10 + 1, at % 40, content(60))
    });
    insert(&mut file, "wp_term_relationships", posts * 2, |at| format!("({},{},0)", at / 2 + 1, at % 2 * 7 + 1));
    insert(&mut file, "wp_options", posts / 10, |at| format!("({at},'option_{at}','{}','no')", content(400)));
    file.flush().unwrap();
    fs::metadata(path).unwrap().len()
}

fn insert(file: &mut impl Write, table: &str, rows: usize, mut row: impl FnMut(usize) -> String) {
    let mut bytes = 0;
    for at in 1..=rows {
        let row = row(at);
        let before = if bytes == 0 { format!("INSERT INTO `{table}` VALUES ") } else { ",".to_owned() };
        write!(file, "{before}{row}").unwrap();
        bytes += row.len();
        if bytes > STATEMENT_BYTES || at == rows {
            file.write_all(b";\n").unwrap();
            bytes = 0;
        }
    }
}

/// Runs the statements of a dump, a line each, through the driver.
fn by_driver(driver: &Driver, path: &Path, database: &Path) -> f64 {
    let mut text = String::new();
    File::open(path).unwrap().read_to_string(&mut text).unwrap();
    let began = Instant::now();
    let mut child = Command::new(&driver.php[0])
        .arg(&driver.script)
        .arg(&driver.folder)
        .arg(database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut statements = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(answers.next().unwrap().unwrap(), r#"{"error":null}"#);
    for statement in text.lines() {
        write!(statements, "{}\n{statement}", statement.len()).unwrap();
        statements.flush().unwrap();
        let answer = answers.next().unwrap().unwrap();
        assert_eq!(answer, r#"{"error":null}"#);
    }
    drop(statements);
    child.wait().unwrap();
    began.elapsed().as_secs_f64()
}
