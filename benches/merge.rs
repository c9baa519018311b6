//! What diff and merge take: `cargo bench -p forkpress-engine --bench merge`.
//!
//! 1. `diff` and a merge that changes nothing, beside a plain `SELECT` of the same databases and `sqlite3session_diff`: a
//!    database of 48 MB, and one of 500 MB with 1.2 million rows, in which 823 rows differ, and 10.
//! 2. For how long a merge keeps requests out, beside a create, on XFS, btrfs and ext4 in images: a WordPress site of some
//!    3,100 files with a database of 47 MB, quiet and beside four clients that write all the time; and what a diff of such a
//!    branch takes, the first and once more. Needs root and `target/release/forkpress`.
//!
//! `FORKPRESS_BENCH_POSTS` sets how many posts the larger database of the first has.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use forkpress_core::deadline::Deadline;
use forkpress_core::layout::database_of;
use forkpress_core::lock::{BranchFiles, OperationsFiles, Patience, SharedBranch, SharedOperations};
use forkpress_core::name::BranchName;
use forkpress_engine::merge::answers::Answers;
use forkpress_engine::merge::branches::{Outcome, Request, merge};
use forkpress_engine::merge::diff::{self, Diff, Since};
use forkpress_engine::mutation::{self, keep};
use forkpress_engine::progress::Silent;
use forkpress_engine::site::Site;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

mod common;

use common::{add_posts, change_posts, make_site, median, run, settle, timed, unmount};

/// Of the smaller database. Each has nine rows of metadata.
const POSTS: usize = 10_000;

/// Of the larger one.
const MORE_POSTS: usize = 121_000;

/// Of the WordPress site, whose tables have fewer indexes.
const POSTS_OF_SITE: usize = 11_600;

/// How many rows a branch changes.
const CHANGED: usize = 823;

/// How many it changes where that is little.
const FEW: usize = 10;

/// How many rows `main` changes.
const CHANGED_IN_MAIN: usize = 100;

const CLIENTS: usize = 4;

fn main() {
    let more = std::env::var("FORKPRESS_BENCH_POSTS").ok().and_then(|number| number.parse().ok()).unwrap_or(MORE_POSTS);
    println!(
        "{:40} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "milliseconds", "SELECT", "session", "diff", "ratio", "SELECT 3", "dry run", "ratio"
    );
    for (posts, rounds) in [(POSTS, 9), (more, 3)] {
        for changed in [CHANGED, FEW] {
            measure_reading(posts, changed, rounds);
        }
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: mounting needs root");
        return;
    }
    println!(
        "\n{:28} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "milliseconds",
        "create",
        "hold",
        "merge",
        "hold",
        "longest",
        "beside 4",
        "hold",
        "longest",
        "a client",
        "diff",
        "again"
    );
    for (mkfs, force) in [("mkfs.xfs", "-qf"), ("mkfs.btrfs", "-qf"), ("mkfs.ext4", "-qF")] {
        let dir = tempfile::tempdir().unwrap();
        let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
        fs::create_dir(&mount).unwrap();
        fs::File::create(&image).unwrap().set_len(12 << 30).unwrap();
        run(Command::new(mkfs).arg(force).arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount));
        measure_holds(&mount, &mkfs[5..]);
        unmount(&mount);
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn patience<'a>() -> Patience<'a> {
    Patience::silent(Deadline::after(Duration::from_secs(600)))
}

fn create(site: &Site, name: &BranchName) -> Duration {
    mutation::create(site, name, &BranchName::main(), &mut patience(), &Silent).unwrap().held
}

fn merge_into_main(site: &Site, source: &BranchName, dry_run: bool) -> Outcome {
    let (target, answers) = (&BranchName::main(), Answers::default());
    let request = Request { source, target, base: None, answers, dry_run };
    merge(site, &request, &mut patience(), &Silent).unwrap()
}

fn diff_from_main(site: &Site, name: &BranchName) -> Diff {
    diff::diff(site, name, &Since::Parting(BranchName::main()), &diff::Options::default()).unwrap()
}

/// Prints what it takes to read what two branches made of a database of so many posts, where one changed so many rows.
fn measure_reading(posts: usize, changed: usize, rounds: usize) {
    let dir = tempfile::tempdir().unwrap();
    // What Git does with files is none of this.
    let site = make_site(dir.path(), 1, 1);
    let (main, name) = (BranchName::main(), "x".parse::<BranchName>().unwrap());
    let databases = [&main, &name].map(|name| database_of(&site.layout.branch(name)));
    add_posts(&databases[0], posts);
    create(&site, &name);
    change_posts(&databases[1], changed, 0);
    change_posts(&databases[0], CHANGED_IN_MAIN, 1);
    let [target, source] = databases;
    let parting = site.layout.cow().partings_dir();
    let parting = fs::read_dir(parting).unwrap().next().unwrap().unwrap().path();
    let base = database_of(&parting.join("tree"));
    let copies = ["base", "source"].map(|name| dir.path().join(name));
    for (from, copy) in [&base, &source].into_iter().zip(&copies) {
        run(Command::new("sqlite3").arg(from).arg(format!("VACUUM INTO '{}'", copy.display())));
    }
    let megabytes = fs::metadata(&base).unwrap().len() / 1_000_000;
    let mut times: [Vec<Duration>; 5] = Default::default();
    for round in 0..=rounds {
        let mut took = [Duration::ZERO; 5];
        took[0] = timed(|| [&base, &source].into_iter().for_each(|path| select_all(path)));
        took[1] = session_diff(&copies).unwrap_or_default();
        took[2] = timed(|| {
            assert!(diff_from_main(&site, &name).content.objects.len() > changed / 2);
        });
        took[3] = timed(|| [&base, &source, &target].into_iter().for_each(|path| select_all(path)));
        took[4] = timed(|| match merge_into_main(&site, &name, true) {
            Outcome::WouldMerge(summary) => assert!(summary.rows + 2 > changed),
            outcome => panic!("{outcome:?}"),
        });
        // The first reads from the disk, and has Git read the files.
        if round > 0 {
            times.iter_mut().zip(took).for_each(|(times, took)| times.push(took));
        }
    }
    let [select, session, diff, select_three, dry_run] = times.map(median);
    println!(
        "{:40} {:9.1} {:9.1} {:9.1} {:9.2} {:9.1} {:9.1} {:9.2}",
        format!("{megabytes} MB, {} rows, {changed} changed", posts * 10),
        milliseconds(select),
        milliseconds(session),
        milliseconds(diff),
        diff.as_secs_f64() / select.as_secs_f64(),
        milliseconds(select_three),
        milliseconds(dry_run),
        dry_run.as_secs_f64() / select_three.as_secs_f64()
    );
}

/// Reads every cell of a database once, in the order of the keys.
fn select_all(database: &Path) {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut tables = connection.prepare(tables).unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut bytes = 0;
    for table in tables {
        let mut statement = connection.prepare(&format!("SELECT * FROM \"{table}\" ORDER BY rowid")).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                bytes += match row.get_ref(column).unwrap() {
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
                    _ => 8,
                };
            }
        }
    }
    assert!(bytes > 0);
}

/// What `sqlite3session_diff` takes; none where this system's PHP or SQLite can't do that.
fn session_diff(databases: &[std::path::PathBuf; 2]) -> Option<Duration> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/session_diff.php");
    let php = std::env::var_os("PHP").unwrap_or_else(|| "php".into());
    let output = Command::new(php).arg(script).args(databases).stderr(Stdio::inherit()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let milliseconds: f64 = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_secs_f64(milliseconds / 1000.0))
}

/// Prints for how long merges and creates keep requests out.
fn measure_holds(mount: &Path, file_system: &str) {
    const ROUNDS: usize = 7;
    let root = mount.join("wordpress");
    fs::create_dir(&root).unwrap();
    let state = tempfile::tempdir().unwrap();
    let mut init = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/forkpress"));
    run(init.current_dir(&root).env("FORKPRESS_STATE_DIR", state.path()).arg("init").stderr(Stdio::null()));
    let site = Site::find(&root).unwrap();
    let (main, name) = (BranchName::main(), "x".parse::<BranchName>().unwrap());
    let database = database_of(&site.layout.branch(&main));
    add_posts(&database, POSTS_OF_SITE);
    let megabytes = fs::metadata(&database).unwrap().len() / 1_000_000;
    // Of a create, and of a merge quiet and beside clients, what it took and held.
    let mut times: [Vec<Duration>; 6] = Default::default();
    let mut longest_wait = Duration::ZERO;
    for round in 0..ROUNDS {
        for are_clients in [false, true] {
            settle(mount);
            let mut held = Duration::ZERO;
            let took = timed(|| held = create(&site, &name));
            if !are_clients {
                times[0].push(took);
                times[1].push(held);
            }
            change(&site.layout.branch(&name), 2 * round + usize::from(are_clients));
            settle(mount);
            let clients = are_clients.then(|| Clients::begin(&site));
            let mut outcome = Outcome::Nothing;
            let took = timed(|| outcome = merge_into_main(&site, &name, false));
            if let Some(clients) = clients {
                longest_wait = longest_wait.max(clients.end());
            }
            let Outcome::Merged(report, _) = outcome else { panic!("{outcome:?}") };
            let first = if are_clients { 4 } else { 2 };
            times[first].push(took);
            times[first + 1].push(report.held);
            purge(&site, &name);
        }
    }
    // Apart from the merges, which would find all files read.
    let mut diffs: [Vec<Duration>; 2] = Default::default();
    for round in 0..ROUNDS {
        create(&site, &name);
        change(&site.layout.branch(&name), 2 * ROUNDS + round);
        settle(mount);
        for times in &mut diffs {
            times.push(timed(|| assert!(diff_from_main(&site, &name).files.len() >= FILES)));
        }
        purge(&site, &name);
    }
    let [diff, again] = diffs.map(median);
    let longest = [3, 5].map(|number| times[number].iter().copied().max().unwrap());
    let [create, create_hold, quiet, quiet_hold, busy, busy_hold] = times.map(median);
    print!("{:28}", format!("{file_system}, {}, {megabytes} MB", site.config.file_view));
    let merges = [quiet, quiet_hold, longest[0], busy, busy_hold, longest[1], longest_wait];
    let row = [create, create_hold].into_iter().chain(merges).chain([diff, again]);
    for time in row {
        print!(" {:9.1}", milliseconds(time));
    }
    println!();
}

/// How many files a branch changes.
const FILES: usize = 10;

/// Changes rows and files of a branch. Another `turn` changes others, and files to something else.
fn change(branch: &Path, turn: usize) {
    change_posts(&database_of(branch), CHANGED, turn);
    for number in 0..FILES {
        fs::write(branch.join(format!("wp-content/changed-{number}.php")), format!("<?php // {turn}")).unwrap();
    }
}

fn purge(site: &Site, name: &BranchName) {
    mutation::delete(site, name, true, &mut patience(), &Silent).unwrap();
    keep::empty_trash(site).unwrap();
}

/// Clients that write into the database of `main` over and over, each in a request of its own.
struct Clients {
    over: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<Duration>>,
}

impl Clients {
    fn begin(site: &Site) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let client = |_| {
            let (site, over) = (site.clone(), Arc::clone(&over));
            thread::spawn(move || write_until(&site, &over))
        };
        Self { threads: (0..CLIENTS).map(client).collect(), over }
    }

    /// The longest that a request took.
    fn end(self) -> Duration {
        self.over.store(true, Ordering::Relaxed);
        self.threads.into_iter().map(|thread| thread.join().unwrap()).max().unwrap_or_default()
    }
}

fn write_until(site: &Site, over: &AtomicBool) -> Duration {
    let (cow, main) = (site.layout.cow(), BranchName::main());
    let (files, own) =
        (Arc::new(OperationsFiles::open(cow).unwrap()), Arc::new(BranchFiles::open(cow, &main).unwrap()));
    let mut longest = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        let since = Instant::now();
        let lock = SharedOperations::lock(&files, Deadline::NEVER, None).unwrap();
        let branch = SharedBranch::lock(&lock, &own, Deadline::NEVER, true).unwrap();
        let database = Connection::open(database_of(&site.layout.branch(&main))).unwrap();
        database.busy_timeout(Duration::from_secs(60)).unwrap();
        database
            .execute_batch(
                "PRAGMA synchronous = NORMAL;
                 INSERT INTO wp_comments (comment_post_ID, comment_author, comment_content)
                 VALUES (1, 'A client', hex(randomblob(100)))",
            )
            .unwrap();
        drop(database);
        branch.release();
        lock.release();
        longest = longest.max(since.elapsed());
        thread::sleep(Duration::from_millis(1));
    }
    longest
}
