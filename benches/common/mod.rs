//! What the benchmarks of mutations share.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use forkpress_core::deadline::Deadline;
use forkpress_core::layout::{SiteLayout, database_of};
use forkpress_core::lock::Patience;
use forkpress_core::name::BranchName;
use forkpress_engine::config::{AccessLog, Keep, SLOW_MS, Serve, SiteConfig, Strategy, VERSION};
use forkpress_engine::mutation;
use forkpress_engine::site::{self, Site};
use forkpress_engine::view;

/// A site whose `main` has so many files of so many bytes, every hundredth a hundred times as large, and a database.
#[allow(dead_code, reason = "not every benchmark needs it")]
pub fn make_site(root: &Path, files: usize, bytes: usize) -> Site {
    let layout = SiteLayout::at(root);
    site::create_folders(&layout).unwrap();
    let config = SiteConfig {
        version: VERSION,
        strategy: Strategy::Cow,
        file_view: view::probe(root),
        root_host: "wp.localhost".to_owned(),
        port: 18080,
        spares: 1,
        links: Vec::new(),
        id_bands: true,
        access_log: AccessLog::default(),
        slow_ms: SLOW_MS,
        keep: Keep::default(),
        serve: Serve::default(),
    };
    config.write(&layout.config()).unwrap();
    let staged = layout.cow().staged_tree(&BranchName::main());
    view::create_tree_root(config.file_view, &staged).unwrap();
    for file in 0..files {
        let folder = staged.join(format!("wp-content/uploads/{}/{}", file % 7, file / 100));
        fs::create_dir_all(&folder).unwrap();
        let bytes = if file % 100 == 0 { bytes * 100 } else { bytes };
        fs::write(folder.join(format!("file-{file}.jpg")), vec![u8::try_from(file % 251).unwrap(); bytes]).unwrap();
    }
    let database = database_of(&staged);
    fs::create_dir_all(database.parent().unwrap()).unwrap();
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO posts (title) SELECT hex(randomblob(2000)) FROM n;",
        )
        .unwrap();
    drop(connection);
    let site = Site { layout, config };
    mutation::adopt_main(&site, &staged, None, &mut Patience::silent(Deadline::NEVER)).unwrap();
    site
}

/// Gives a database so many posts of 2 KB, with nine rows of metadata each, as WordPress's tables have them: those are made where
/// they are not there. 10,000 are 47 MB.
#[allow(dead_code, reason = "not every benchmark needs it")]
pub fn add_posts(database: &Path, posts: usize) {
    let connection = rusqlite::Connection::open(database).unwrap();
    let has_tables: bool = connection
        .query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'wp_posts')", [], |row| row.get(0))
        .unwrap();
    if !has_tables {
        connection.execute_batch(include_str!("../../forkpress-engine/src/merge/plan/wordpress.sql")).unwrap();
    }
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = OFF; BEGIN;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {posts})
             INSERT INTO wp_posts (post_author, post_date, post_date_gmt, post_modified, post_modified_gmt, post_content,
                 post_title, post_excerpt, post_name, to_ping, pinged, post_content_filtered, guid)
             SELECT 1, '2026-01-01 12:00:00', '2026-01-01 12:00:00', '2026-01-01 12:00:00', '2026-01-01 12:00:00',
                 hex(randomblob(800)), 'A post with the number ' || i, '', 'a-post-' || i, '', '', '',
                 'http://wp.localhost/?p=' || i FROM n;
             WITH k(k) AS (VALUES ('_thumbnail_id'), ('_wp_page_template'), ('a'), ('b'), ('c'), ('d'), ('e'), ('f'), ('g'))
             INSERT INTO wp_postmeta (post_id, meta_key, meta_value)
             SELECT ID, k, hex(randomblob(80)) FROM wp_posts, k WHERE post_name LIKE 'a-post-%' ORDER BY ID, k;
             COMMIT; PRAGMA wal_checkpoint(TRUNCATE);"
        ))
        .unwrap();
}

/// Changes so many rows of such a database here and there, half of them posts. Another `turn` changes others.
#[allow(dead_code, reason = "not every benchmark needs it")]
pub fn change_posts(database: &Path, rows: usize, turn: usize) {
    let connection = rusqlite::Connection::open(database).unwrap();
    for (table, id, column, rows) in
        [("wp_posts", "ID", "post_title", rows / 2), ("wp_postmeta", "meta_id", "meta_value", rows - rows / 2)]
    {
        let count: usize =
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        let step = count / rows;
        let changed = connection
            .execute(
                &format!(
                    "UPDATE {table} SET {column} = {column} || '.' WHERE {id} IN
                     (SELECT {id} FROM {table} WHERE {id} % {step} = {} LIMIT {rows})",
                    turn % step
                ),
                [],
            )
            .unwrap();
        assert!(changed + 2 > rows, "{changed} rows of {table} changed");
    }
}

/// Has the file system write down all that was done before, so that no row pays for the row before it: XFS writes for
/// long after a `sync` what that has only put into its log.
#[allow(dead_code, reason = "not every benchmark needs it")]
pub fn settle(root: &Path) {
    for what in ["--freeze", "--unfreeze"] {
        run(Command::new("fsfreeze").arg(what).arg(root));
    }
}

/// Takes a file system away, once what cleans up after a command has left it.
#[allow(dead_code, reason = "not every benchmark needs it")]
pub fn unmount(mount: &Path) {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        if Command::new("umount").arg(mount).stderr(Stdio::null()).status().unwrap().success() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    run(Command::new("umount").arg(mount));
}

/// How long something takes.
pub fn timed(action: impl FnOnce()) -> Duration {
    let since = Instant::now();
    action();
    since.elapsed()
}

/// Runs a tool, which has to succeed.
pub fn run(command: &mut Command) {
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}

/// The one in the middle; the higher one of two.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
