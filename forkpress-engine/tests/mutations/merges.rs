//! Merges: files and rows come together or not at all, whatever happens to the branches meanwhile.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use forkpress_core::advice::Advice;
use forkpress_core::deadline::Deadline;
use forkpress_core::layout::{database_of, wal_of};
use forkpress_core::lock::{Lifecycle, OperationsFiles, Patience, SharedOperations};
use forkpress_core::name::BranchName;
use forkpress_engine::config::FileView;
use forkpress_engine::git::repository::Repository;
use forkpress_engine::merge::Side;
use forkpress_engine::merge::answers::Answers;
use forkpress_engine::merge::base;
use forkpress_engine::merge::branches::{self, MergeError, Outcome, Request};
use forkpress_engine::merge::diff::{self, RowCounts, Since};
use forkpress_engine::mutation::convert;
use forkpress_engine::mutation::history::History;
use forkpress_engine::mutation::{Report, UndoError};
use forkpress_engine::progress::{Progress, Silent};
use forkpress_engine::site::Site;
use rusqlite::config::DbConfig;

use super::beside;
use super::place::{Kind, Place};
use super::plain_world;
use super::world::{Other, World, ask, files, my_place, name, open, patience, tell};

/// What both have changed is taken from `otherwise`.
fn merge_with(
    site: &Site,
    [source, target]: [&str; 2],
    otherwise: Option<Side>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Outcome, MergeError> {
    let (source, target) = (&name(source), &name(target));
    let answers = Answers::new(otherwise, Vec::new());
    branches::merge(site, &Request { source, target, base: None, answers, dry_run: false }, patience, progress)
}

pub fn merge(world: &World, source: &str, target: &str) -> Report {
    merge_beside(world, source, target, &Silent)
}

fn merge_beside(world: &World, source: &str, target: &str, progress: &dyn Progress) -> Report {
    match merge_with(&world.site, [source, target], None, &mut patience(), progress).unwrap() {
        Outcome::Merged(report, _) => *report,
        outcome => panic!("{source} into {target}: {outcome:?}"),
    }
}

/// Which parting two branches have.
fn base(world: &World, one: &str, other: &str) -> u64 {
    let repository = Repository::open(&world.site).unwrap();
    base::of(&world.site, &repository, &name(one), &name(other)).unwrap().parting
}

fn write(world: &World, branch: &str, file: &str, text: &str) {
    fs::write(world.path(branch).join(file), text).unwrap();
}

fn retitle(world: &World, branch: &str, title: &str) {
    open(&world.path(branch)).execute("UPDATE posts SET title = ?1 WHERE id = 1", [title]).unwrap();
}

/// Has something happen when a merge begins, or ends, a phase.
struct At<F> {
    phase: &'static str,
    ends: bool,
    left: AtomicUsize,
    phases: std::sync::Mutex<Vec<String>>,
    act: F,
}

/// Before anything of the target is copied.
const COMPARED: (&str, bool) = ("compare", true);
/// After it was copied.
const CHECKED: (&str, bool) = ("check the merged database", false);

fn at<F: Fn() + Sync>((phase, ends): (&'static str, bool), times: usize, act: F) -> At<F> {
    At { phase, ends, left: AtomicUsize::new(times), phases: Default::default(), act }
}

impl<F: Fn() + Sync> At<F> {
    fn may_act(&self) {
        if self.left.load(SeqCst) > 0 {
            self.left.fetch_sub(1, SeqCst);
            // The locks of this thread are those of the merge.
            std::thread::scope(|scope| scope.spawn(|| (self.act)()).join().unwrap());
        }
    }
}

impl<F: Fn() + Sync> Progress for At<F> {
    fn begin(&self, phase: &str, _: Option<u64>) {
        self.phases.lock().unwrap().push(phase.to_owned());
        if phase == self.phase && !self.ends {
            self.may_act();
        }
    }
    fn advance(&self, _: u64) {}
    fn end(&self) {
        let ended = self.phases.lock().unwrap().pop();
        if ended.as_deref() == Some(self.phase) && self.ends {
            self.may_act();
        }
    }
    fn note(&self, _: &str) {}
}

/// Writes a post into `main` that stays in the log.
fn leave_a_log(world: &World, title: &str) {
    let connection = open(&world.path("main"));
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    connection.execute("INSERT INTO posts (title) VALUES (?1)", [title]).unwrap();
    drop(connection);
    assert!(wal_of(&database_of(&world.path("main"))).metadata().unwrap().len() > 0);
}

pub fn a_merge_brings_files_and_rows_together_and_its_undo_takes_both_back(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |main| fs::write(main.join("theirs"), "old").unwrap());
    let main = world.path("main");
    let created = world.create("x").unwrap().operation.id;
    let database = database_of(&main);
    fs::set_permissions(&database, fs::Permissions::from_mode(0o660)).unwrap();
    let is_root = rustix::process::getuid().is_root();
    if is_root {
        std::os::unix::fs::chown(&database, Some(1234), Some(4321)).unwrap();
    }
    let owner = |path: &Path| fs::metadata(path).map(|m| (m.mode() & 0o777, m.uid(), m.gid())).unwrap();
    let before = owner(&database);
    write(&world, "x", "theirs", "new");
    write(&world, "x", "added", "a");
    world.add_post("x", "on x");
    write(&world, "main", "ours", "o");
    leave_a_log(&world, "on main");
    let had = (files(&main), world.posts("main"));

    leave_a_log(&world, "in the log");
    let merged = merge(&world, "x", "main").operation;
    assert_eq!(merged.to_string(), "merge x into main");
    for suffix in ["-wal", "-shm"] {
        let mut beside = database.clone().into_os_string();
        beside.push(suffix);
        assert!(!Path::new(&beside).exists(), "{suffix} of the old database");
    }
    assert_eq!(owner(&database), before);
    let has = (files(&main), world.posts("main"));
    assert_eq!((&*has.0["theirs"], &*has.0["added"], &*has.0["ours"]), ("new", "a", "o"));
    assert_eq!(has.1, ["hello", "on main", "in the log", "on x"]);
    assert_eq!(ask::<String>(&main, "PRAGMA journal_mode"), "wal");
    assert_eq!(ask::<String>(&main, "PRAGMA integrity_check"), "ok");
    assert_eq!(base(&world, "x", "main"), merged.id);
    assert!(matches!(
        merge_with(&world.site, ["x", "main"], None, &mut patience(), &Silent).unwrap(),
        Outcome::Nothing
    ));

    // As requests see it.
    let mut reader = Other::start("merges::sees_all_or_nothing", world.site.layout.work_dir());
    reader.hears("looked");
    world.add_post("main", "since");
    let undone = world.undo(None).unwrap().operation;
    assert_eq!(undone.to_string(), format!("undo {} of main", merged.id));
    reader.hears("looked");
    assert_eq!(files(&main), had.0);
    assert_eq!(world.posts("main"), ["hello", "on main", "in the log"]);
    assert_eq!(owner(&database), before);
    assert_eq!(base(&world, "x", "main"), created, "as before");
    world.undo(Some(undone.id)).unwrap();
    reader.hears("looked");
    assert_eq!(files(&main), has.0);
    assert_eq!(
        world.posts("main"),
        ["hello", "on main", "in the log", "on x", "since"],
        "what was written since is back"
    );
    assert_eq!(base(&world, "x", "main"), merged.id, "and what both have had since");
    drop(reader);
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

#[test]
#[ignore = "a role that another test starts"]
fn sees_all_or_nothing() {
    let site = Site::open(&my_place()).unwrap();
    let main = site.layout.branch(&BranchName::main());
    let locks = Arc::new(OperationsFiles::open(site.layout.cow()).unwrap());
    // Not for ever: a test that fails may leave this one alone with the disk.
    for round in 0..100_000 {
        let request = SharedOperations::lock(&locks, Deadline::NEVER, None).unwrap();
        let in_files = (main.join("added").exists(), fs::read_to_string(main.join("theirs")).unwrap() == "new");
        let in_rows: bool = ask(&main, "SELECT EXISTS (SELECT 1 FROM posts WHERE title = 'on x')");
        assert_eq!(in_files, (in_rows, in_rows));
        request.release();
        if round % 5 == 0 {
            tell("looked");
        }
    }
}

#[test]
fn a_diff_shows_what_is_published_meanwhile_whole_or_not_at_all() {
    // To look at many files takes a while.
    let world = World::new(Place::in_memory(), FileView::FileCopy, |main| {
        for folder in 0..30 {
            fs::create_dir(main.join(format!("{folder}"))).unwrap();
            (0..50).for_each(|file| fs::write(main.join(format!("{folder}/{file}")), "").unwrap());
        }
    });
    for branch in ["x", "y"] {
        world.create(branch).unwrap();
    }
    write(&world, "y", "added", "a");
    world.add_post("y", "on y");
    let mut reader = Other::start("merges::diffs_all_or_nothing", world.site.layout.work_dir());
    reader.hears("looked");
    merge(&world, "y", "x");
    for _ in 0..20 {
        reader.hears("looked");
        world.undo(None).unwrap();
        let undo = History::read(world.site.layout.cow()).unwrap().entries.last().unwrap().id;
        reader.hears("looked");
        world.undo(Some(undo)).unwrap();
    }
    fs::write(world.site.layout.work_dir().join("stop"), "").unwrap();
    reader.wait();
}

#[test]
#[ignore = "a role that another test starts"]
fn diffs_all_or_nothing() {
    let site = Site::open(&my_place()).unwrap();
    let (x, since) = (name("x"), Since::Parting(BranchName::main()));
    let stop = site.layout.work_dir().join("stop");
    let mut seen = [0; 2];
    // Not for ever: a test that fails may leave this one alone with the disk.
    for _ in 0..10_000 {
        if stop.exists() {
            break;
        }
        let diff = diff::diff(&site, &x, &since, &diff::Options::default()).unwrap();
        let files: Vec<_> = diff.files.iter().map(|file| &*file.path).collect();
        let rows: u64 = diff.content.tables.iter().filter_map(|table| table.rows).map(RowCounts::sum).sum();
        assert!(matches!((&*files, rows), ([], 0) | (["added"], 1)), "{diff:?}");
        seen[files.len()] += 1;
        tell("looked");
    }
    assert!(seen.iter().all(|count| *count > 2), "{seen:?}");
}

pub fn what_is_written_into_the_target_during_a_merge_is_there_afterwards(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |_| ());
    for (number, when) in [COMPARED, CHECKED].into_iter().enumerate() {
        let branch = format!("x{number}");
        world.create(&branch).unwrap();
        world.add_post(&branch, &branch);
        // Oftener than it is made anew beside requests.
        for times in [1, 5] {
            let title = format!("{} {times}", when.0);
            retitle(&world, &branch, &format!("{branch} {times}"));
            merge_beside(&world, &branch, "main", &at(when, times, || world.add_post("main", &title)));
            assert!(world.posts("main").contains(&title), "{title}");
            assert!(world.posts("main").contains(&format!("{branch} {times}")), "{title}");
        }
    }
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

pub fn rows_of_many_pages_that_changed_in_place_come_home(place: Place, _: Kind, view: FileView) {
    const ROWS: i64 = 300;
    let world = World::new(place, view, |_| ());
    // Longer and shorter than a page, and much longer.
    let text =
        |id: i64, end: &str| format!("{}{end}", "x".repeat([100, 5_000, 30_000][usize::try_from(id % 3).unwrap()]));
    let write = |branch: &str, rows: &mut dyn Iterator<Item = (i64, String)>| {
        let connection = open(&world.path(branch));
        connection.execute_batch("BEGIN").unwrap();
        for (id, title) in rows {
            connection.execute("INSERT OR REPLACE INTO posts VALUES (?1, ?2)", (id, title)).unwrap();
        }
        connection.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    };
    write("main", &mut (2..ROWS).map(|id| (id, text(id, "a"))));
    world.create("x").unwrap();
    let connection = open(&world.path("x"));
    for (step, id) in (2..ROWS).filter(|id| id % 17 == 0).enumerate() {
        connection.execute("UPDATE posts SET title = ?2 WHERE id = ?1", (id, text(id, "b"))).unwrap();
        // What is in the log, and what is in the file.
        if step % 5 == 0 {
            connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)").unwrap();
        }
    }
    drop(connection);
    write("main", &mut (2..ROWS).filter(|id| id % 17 == 1).map(|id| (id, text(id, "c"))));
    merge(&world, "x", "main");
    let right = (2..ROWS).map(|id| text(id, ["b", "c"].get(usize::try_from(id % 17).unwrap()).unwrap_or(&"a")));
    assert!(
        world.posts("main")[1..].iter().map(String::as_str).eq(right.collect::<Vec<_>>().iter().map(String::as_str))
    );
}

#[test]
fn a_merged_database_is_not_made_anew_when_the_target_is_written_into() {
    let world = plain_world();
    world.create("x").unwrap();
    world.add_post("x", "on x");
    let staged = std::sync::Mutex::new(None);
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let progress = at(CHECKED, 1, || {
        let files =
            walkdir::WalkDir::new(world.site.layout.cow().staging_dir()).into_iter().map(|entry| entry.unwrap());
        let new = files.filter(|entry| entry.path().parent().is_some_and(|parent| parent.ends_with("new")));
        let new: Vec<_> = new.map(|entry| inode(entry.path())).collect();
        assert_eq!(new.len(), 1);
        *staged.lock().unwrap() = new.first().copied();
        world.add_post("main", "meanwhile");
    });
    merge_beside(&world, "x", "main", &progress);
    assert_eq!(Some(inode(&database_of(&world.path("main")))), *staged.lock().unwrap());
    assert_eq!(world.posts("main"), ["hello", "meanwhile", "on x"]);
    world.undo(None).unwrap();
    assert_eq!(world.posts("main"), ["hello", "meanwhile"]);
}

#[test]
fn a_row_that_the_target_changes_as_well_during_a_merge_is_merged_again_and_a_conflict() {
    for when in [COMPARED, CHECKED] {
        let world = plain_world();
        world.create("x").unwrap();
        retitle(&world, "x", "theirs");
        write(&world, "x", "file", "theirs");
        let progress = at(when, 1, || retitle(&world, "main", "ours"));
        let outcome = merge_with(&world.site, ["x", "main"], None, &mut patience(), &progress).unwrap();
        let Outcome::Conflicts(conflicts) = outcome else { panic!("{outcome:?}") };
        assert_eq!(conflicts.len(), 1);
        assert_eq!(world.posts("main"), ["ours"]);
        assert!(!world.path("main").join("file").exists());
        // With what people decided beforehand, it is merged.
        let progress = at(when, 1, || retitle(&world, "main", "ours again"));
        let outcome = merge_with(&world.site, ["x", "main"], Some(Side::Theirs), &mut patience(), &progress).unwrap();
        assert!(matches!(outcome, Outcome::Merged(..)), "{outcome:?}");
        assert_eq!(world.posts("main"), ["theirs"]);
        world.undo(None).unwrap();
        assert_eq!(world.posts("main"), ["ours again"]);
        // As often as it changes, it is tried; then whoever asked is told.
        let turn = AtomicUsize::new(0);
        let progress = at(when, usize::MAX, || retitle(&world, "main", &turn.fetch_add(1, SeqCst).to_string()));
        let outcome = merge_with(&world.site, ["x", "main"], Some(Side::Theirs), &mut patience(), &progress);
        assert!(matches!(&outcome, Err(error @ MergeError::Restless { .. }) if error.is_passing()), "{outcome:?}");
        assert_eq!(world.posts("main"), ["9"]);
        assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_row_that_comes_into_a_table_that_is_altered_by_a_merge_is_there_afterwards() {
    for when in [COMPARED, CHECKED] {
        let world = plain_world();
        world.create("x").unwrap();
        open(&world.path("x"))
            .execute_batch("ALTER TABLE posts ADD COLUMN author TEXT; UPDATE posts SET author = 'me'")
            .unwrap();
        let progress = at(when, 1, || world.add_post("main", "meanwhile"));
        merge_beside(&world, "x", "main", &progress);
        assert_eq!(world.posts("main"), ["hello", "meanwhile"]);
        assert_eq!(ask::<String>(&world.path("main"), "SELECT author FROM posts WHERE id = 1"), "me");
        assert_eq!(
            ask::<Option<String>>(&world.path("main"), "SELECT author FROM posts WHERE title = 'meanwhile'"),
            None
        );
    }
}

#[test]
fn a_table_that_the_target_alters_during_a_merge_stays_altered() {
    for when in [COMPARED, CHECKED] {
        let world = plain_world();
        world.create("x").unwrap();
        retitle(&world, "x", "theirs");
        let alter = "ALTER TABLE posts ADD COLUMN author TEXT DEFAULT 'me'; DROP TABLE counts";
        merge_beside(&world, "x", "main", &at(when, 1, || open(&world.path("main")).execute_batch(alter).unwrap()));
        assert_eq!(ask::<String>(&world.path("main"), "SELECT title || author FROM posts"), "theirsme");
        assert_eq!(ask::<i64>(&world.path("main"), "SELECT count(*) FROM sqlite_schema WHERE name = 'counts'"), 0);
    }
}

pub fn a_foreign_writer_that_does_not_end_keeps_a_merge_from_changing_anything(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |_| ());
    world.create("x").unwrap();
    world.add_post("x", "on x");
    write(&world, "x", "file", "theirs");
    let main = world.path("main");
    let begins = |writer: &std::sync::Mutex<Option<Other>>| {
        let mut other = Other::start("roles::writes_half", &main);
        other.hears("half written");
        *writer.lock().unwrap() = Some(other);
    };
    for when in [COMPARED, CHECKED] {
        let writer = std::sync::Mutex::new(None);
        let mut short = Patience::silent(Deadline::after(Duration::from_millis(1500)));
        let progress = at(when, 1, || begins(&writer));
        let error = merge_with(&world.site, ["x", "main"], None, &mut short, &progress).unwrap_err();
        assert!(error.is_passing(), "{error:?}");
        assert!(!main.join("file").exists());
        assert_eq!(
            History::read(world.site.layout.cow()).unwrap().entries.last().unwrap().to_string(),
            "create x from main"
        );
        let mut writer = writer.into_inner().unwrap().unwrap();
        writer.say("go on");
        writer.wait();
        assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    }
    // One that ends is waited for, and what it wrote is there.
    let writer = std::sync::Mutex::new(None);
    let progress = at(CHECKED, 1, || {
        begins(&writer);
        writer.lock().unwrap().as_mut().unwrap().say("go on");
    });
    merge_beside(&world, "x", "main", &progress);
    writer.into_inner().unwrap().unwrap().wait();
    let mut posts = world.posts("main");
    posts.sort();
    assert_eq!(posts, ["half", "half", "half", "hello", "on x"]);
    assert_eq!(ask::<i64>(&main, "SELECT posts FROM counts"), 4);
    assert_eq!(files(&main)["file"], "theirs");
}

/// How many processes write at once.
const WRITERS: usize = 4;

#[test]
fn of_four_writing_processes_no_write_is_lost_or_doubled_by_merges() {
    let world = plain_world();
    let work_dir = world.site.layout.work_dir();
    world.create("x").unwrap();
    let mut writers: Vec<_> = (0..WRITERS).map(|_| Other::start("merges::writes_until_told", work_dir)).collect();
    writers.iter_mut().for_each(|writer| writer.hears("wrote"));
    for round in 0..6 {
        let title = format!("on x {round}");
        world.add_post("x", &title);
        write(&world, "x", "round", &title);
        merge(&world, "x", "main");
        assert!(world.posts("main").contains(&title));
        writers.iter_mut().for_each(|writer| writer.hears("wrote"));
    }
    fs::write(work_dir.join("stop"), "").unwrap();
    writers.into_iter().for_each(Other::wait);
    let mut expected: Vec<String> = (0..6).map(|round| format!("on x {round}")).chain(["hello".to_owned()]).collect();
    let written = fs::read_dir(work_dir.join("written")).unwrap().map(|entry| entry.unwrap().path());
    for writer in written {
        let count: u64 = fs::read_to_string(&writer).unwrap().parse().unwrap();
        let process = writer.file_name().unwrap().to_str().unwrap().to_owned();
        expected.extend((0..count).map(|number| format!("{process} {number}")));
    }
    let mut posts = world.posts("main");
    expected.sort();
    posts.sort();
    assert!(posts.len() > 7 + 7 * WRITERS, "they wrote between the merges");
    assert_eq!(posts, expected);
    assert_eq!(ask::<i64>(&world.path("main"), "SELECT posts FROM counts"), i64::try_from(posts.len()).unwrap() - 6);
    assert_eq!(ask::<String>(&world.path("main"), "PRAGMA integrity_check"), "ok");
}

#[test]
#[ignore = "a role that another test starts"]
fn writes_until_told() {
    let site = Site::open(&my_place()).unwrap();
    let main = site.layout.branch(&BranchName::main());
    let locks = Arc::new(OperationsFiles::open(site.layout.cow()).unwrap());
    let (process, stop) = (std::process::id(), site.layout.work_dir().join("stop"));
    let mut written = 0;
    // Not for ever: a test that fails may leave this one alone with the disk.
    while !stop.exists() && written < 100_000 {
        let request = SharedOperations::lock(&locks, Deadline::NEVER, None).unwrap();
        let connection = open(&main);
        connection
            .execute_batch(&format!(
                "BEGIN IMMEDIATE; INSERT INTO posts (title) VALUES ('{process} {written}');
                 UPDATE counts SET posts = posts + 1; COMMIT"
            ))
            .unwrap();
        drop(connection);
        written += 1;
        request.release();
        if written % 5 == 1 {
            tell("wrote");
        }
    }
    let folder = site.layout.work_dir().join("written");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(process.to_string()), written.to_string()).unwrap();
}

#[test]
fn a_full_disk_leaves_a_merge_s_target_as_it_was() {
    let Some(place) = Place::of(Kind::Tiny) else { return };
    let filler = place.root.join("filler");
    let world = World::new(place, FileView::FileCopy, |_| ());
    world.create("x").unwrap();
    world.add_post("x", &"long ".repeat(20_000));
    write(&world, "x", "file", &"theirs ".repeat(20_000));
    let before = (files(&world.path("main")), world.posts("main"));
    let mut fill = fs::File::create(&filler).unwrap();
    let mut filled = 0;
    while std::io::Write::write_all(&mut fill, &[1; 4096]).is_ok() {
        filled += 4096;
    }
    let mut refused = 0;
    let report = loop {
        match merge_with(&world.site, ["x", "main"], None, &mut patience(), &Silent) {
            Ok(Outcome::Merged(report, _)) => break report,
            Ok(outcome) => panic!("{outcome:?}"),
            Err(_) => {
                refused += 1;
                filled -= 16 * 4096;
                fill.set_len(filled).unwrap();
                assert_eq!((files(&world.path("main")), world.posts("main")), before);
                assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
            }
        }
    };
    assert!(refused > 5, "{refused}");
    assert_eq!(report.operation.to_string(), "merge x into main");
    assert_eq!(world.posts("main"), world.posts("x"));
    assert_eq!(files(&world.path("main")), files(&world.path("x")));
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn what_came_by_a_merge_comes_again_after_its_undo_and_goes_back_and_into_a_third_branch() {
    let world = plain_world();
    world.create("x").unwrap();
    world.create("y").unwrap();
    world.add_post("x", "one");
    let first = merge(&world, "x", "main").operation.id;
    world.undo(None).unwrap();
    assert_eq!(world.posts("main"), ["hello"]);
    let again = merge(&world, "x", "main").operation.id;
    assert_eq!(world.posts("main"), ["hello", "one"]);
    assert!(again > first && base(&world, "x", "main") == again);
    world.add_post("main", "on main");
    world.add_post("x", "two");
    merge(&world, "x", "main");
    assert_eq!(world.posts("main").len(), 4);
    let back = merge(&world, "main", "x").operation.id;
    assert_eq!(base(&world, "x", "main"), back);
    assert_eq!(world.posts("x").len(), 4);
    // Of x, `y` gets all; what `main` had of it, it has then.
    merge(&world, "x", "y");
    assert_eq!(world.posts("y"), world.posts("x"));
    retitle(&world, "y", "by y");
    open(&world.path("x")).execute("DELETE FROM posts WHERE title = 'one'", []).unwrap();
    merge(&world, "x", "y");
    merge(&world, "y", "main");
    assert_eq!(world.posts("main"), world.posts("y"));
    assert_eq!(world.posts("main").len(), 3);
    assert!(!world.posts("main").contains(&"one".to_owned()) && world.posts("main").contains(&"by y".to_owned()));
}

#[test]
fn after_an_undo_and_a_redo_the_next_merge_brings_only_what_is_new() {
    let world = plain_world();
    world.create("x").unwrap();
    retitle(&world, "x", "one");
    merge(&world, "x", "main");
    let undone = world.undo(None).unwrap().operation.id;
    world.undo(Some(undone)).unwrap();
    retitle(&world, "x", "two");
    merge(&world, "x", "main");
    assert_eq!(world.posts("main"), ["two"]);
}

#[test]
fn a_merge_is_undone_only_after_what_changed_the_database_since() {
    let world = plain_world();
    world.create("x").unwrap();
    world.create("y").unwrap();
    world.add_post("x", "on x");
    world.add_post("y", "on y");
    let first = merge(&world, "x", "main").operation.id;
    let second = merge(&world, "y", "main").operation.id;
    let refused = world.undo(Some(first)).unwrap_err();
    assert!(matches!(&refused, UndoError::Followed { id, by } if (*id, *by) == (first, second)), "{refused:?}");
    assert!(refused.hint().unwrap().ends_with(&format!("forkpress undo {second}")));
    world.undo(None).unwrap();
    assert_eq!(world.posts("main"), ["hello", "on x"]);
    world.undo(None).unwrap();
    assert_eq!(world.posts("main"), ["hello"]);
    merge(&world, "y", "main");
    assert_eq!(world.posts("main"), ["hello", "on y"]);
}

#[test]
fn a_source_that_becomes_another_during_a_merge_is_merged_as_it_is_then() {
    for when in [COMPARED, CHECKED] {
        let world = plain_world();
        for branch in ["x", "y"] {
            world.create(branch).unwrap();
            world.add_post(branch, branch);
        }
        // What x gets of y meanwhile, main does not take for had.
        merge_beside(&world, "x", "main", &at(when, 1, || drop(merge(&world, "y", "x"))));
        let has = |title: &str| world.posts("main").contains(&title.to_owned());
        assert!(has("x") && has("y"), "{:?}", world.posts("main"));

        world.add_post("x", "later");
        let reset = || drop(world.reset("x", "y", false).unwrap());
        let outcome = merge_with(&world.site, ["x", "main"], None, &mut patience(), &at(when, 1, reset)).unwrap();
        assert!(matches!(outcome, Outcome::Nothing), "{outcome:?}");
        assert!(!has("later"));
        let nothing = merge_with(&world.site, ["x", "main"], None, &mut patience(), &Silent).unwrap();
        assert!(matches!(nothing, Outcome::Nothing), "{nothing:?}");
        assert!(has("x") && has("y"), "to be reset takes nothing from the other branch");

        world.add_post("x", "gone");
        let delete = || drop(world.delete("x").unwrap());
        let outcome = merge_with(&world.site, ["x", "main"], None, &mut patience(), &at(when, 1, delete));
        assert!(outcome.is_err(), "{outcome:?}");
        assert!(!has("gone"));
        assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    }
}

#[test]
fn branches_without_databases_are_merged_by_their_files() {
    let world = plain_world();
    world.create("y").unwrap();
    fs::remove_dir_all(world.path("main").join("wp-content")).unwrap();
    world.create("x").unwrap();
    write(&world, "x", "file", "theirs");
    merge(&world, "x", "main");
    assert_eq!(files(&world.path("main"))["file"], "theirs");
    assert!(!database_of(&world.path("main")).exists());
    // Into one that has one, which it keeps.
    merge(&world, "x", "y");
    assert_eq!((world.posts("y"), &*files(&world.path("y"))["file"]), (vec!["hello".to_owned()], "theirs"));
    world.undo(None).unwrap();
    world.undo(None).unwrap();
    assert!(["main", "y"].iter().all(|branch| !world.path(branch).join("file").exists()));
}

#[test]
fn a_row_that_would_refer_to_one_that_the_target_removed_is_named_and_can_be_left_out() {
    let world = plain_world();
    open(&world.path("main"))
        .execute_batch(
            "CREATE TABLE customers (id INTEGER PRIMARY KEY);
             CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customers (id));
             INSERT INTO customers VALUES (5)",
        )
        .unwrap();
    world.create("x").unwrap();
    world.add_post("x", "on x");
    write(&world, "x", "file", "theirs");
    open(&world.path("x")).execute("INSERT INTO orders VALUES (7, 5)", []).unwrap();
    open(&world.path("main")).execute("DELETE FROM customers", []).unwrap();

    let error = merge_with(&world.site, ["x", "main"], None, &mut patience(), &Silent).unwrap_err();
    assert!(error.to_string().contains("orders 7 to customers"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("--exclude TABLE")), "{error:?}");
    assert!(!error.is_passing());
    assert_eq!(world.posts("main"), ["hello"]);
    assert!(!world.path("main").join("file").exists());
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());

    let (source, target) = (&name("x"), &BranchName::main());
    let answers = Answers::new(None, vec!["orders".to_owned()]);
    let request = Request { source, target, base: None, answers, dry_run: false };
    let outcome = branches::merge(&world.site, &request, &mut patience(), &Silent).unwrap();
    assert!(matches!(outcome, Outcome::Merged(..)), "{outcome:?}");
    assert_eq!(world.posts("main"), ["hello", "on x"]);
    assert_eq!(ask::<i64>(&world.path("main"), "SELECT count(*) FROM orders"), 0);
}

#[test]
fn two_targets_that_are_merged_into_at_once_number_apart() {
    let world = plain_world();
    for branch in ["a", "b", "x", "y"] {
        world.create(branch).unwrap();
        world.add_post(branch, branch);
    }
    merge_beside(&world, "x", "a", &at(CHECKED, 1, || drop(merge(&world, "y", "b"))));
    for branch in ["a", "b", "x", "y"] {
        world.add_post(branch, &format!("{branch} again"));
    }
    let last = |branch: &str| ask::<i64>(&world.path(branch), "SELECT id FROM posts WHERE title LIKE '% again'");
    let mut ids = ["a", "b", "x", "y"].map(last);
    ids.sort_unstable();
    assert!(ids.windows(2).all(|pair| pair[0] / 100_000 < pair[1] / 100_000), "{ids:?}");
}

#[test]
fn a_merge_waits_for_requests_of_its_target_and_for_no_others() {
    let world = plain_world();
    for branch in ["x", "y"] {
        world.create(branch).unwrap();
        world.add_post(branch, branch);
    }
    for elsewhere in ["x", "y"] {
        let mut request = beside::other(&world);
        request.does(&format!("be in {elsewhere}"));
        merge(&world, "x", "main");
        world.undo(None).unwrap();
        request.say("end");
    }
    let mut request = beside::other(&world);
    request.does("be in main");
    let mut short = Patience::silent(Deadline::after(Duration::from_secs(2)));
    let error = merge_with(&world.site, ["x", "main"], None, &mut short, &Silent).unwrap_err();
    assert!(error.is_passing(), "{error:?}");
    assert_eq!(world.posts("main"), ["hello"]);
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    request.say("end");
    merge(&world, "x", "main");
    assert_eq!(world.posts("main"), ["hello", "x"]);
}

#[test]
fn a_conversion_of_the_storage_keeps_what_branches_have_in_common_and_what_merges_took_away() {
    let Some(place) = Place::xfs_in_memory() else { return };
    let mut world = World::new(place, FileView::FileCopy, |_| ());
    for branch in ["x", "y"] {
        world.create(branch).unwrap();
        world.add_post(branch, branch);
        write(&world, branch, branch, "theirs");
    }
    let created = base(&world, "y", "main");
    for view in [FileView::LinuxXfsLoop, FileView::FileCopy] {
        // One parting that Git has read, and one that it has not.
        let merged = merge(&world, "x", "main").operation.id;
        let lifecycle = Lifecycle::lock(world.site.layout.cow(), "test", &mut patience()).unwrap();
        convert::convert(&world.site, view, &lifecycle, &mut patience(), &Silent).unwrap();
        drop(lifecycle);
        world.site = Site::open(world.site.layout.work_dir()).unwrap();
        assert_eq!(base(&world, "x", "main"), merged);
        assert_eq!(base(&world, "y", "main"), created);
        merge(&world, "y", "main");
        assert_eq!(world.posts("main"), ["hello", "x", "y"]);
        assert!(["x", "y"].iter().all(|file| files(&world.path("main"))[*file] == "theirs"));
        world.undo(None).unwrap();
        world.undo(None).unwrap();
        assert_eq!(world.posts("main"), ["hello"]);
        assert!(!world.path("main").join("x").exists());
    }
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}
