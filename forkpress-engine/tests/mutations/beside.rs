//! Mutations beside each other, each in a process of its own.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};

use forkpress_core::deadline::Deadline;
use forkpress_core::lock::note::CommandNote;
use forkpress_core::lock::{
    BranchFiles, Lifecycle, LockError, OperationsFiles, Patience, SharedBranch, SharedOperations,
};
use forkpress_core::name::BranchName;
use forkpress_engine::branch;
use forkpress_engine::config::FileView;
use forkpress_engine::mutation::history::History;
use forkpress_engine::mutation::{
    self, ChangeError, CreateError, DeleteError, ResetError, Source, StepError, UndoError, gc,
};
use forkpress_engine::progress::{Progress, Silent};
use forkpress_engine::site::Site;
use rusqlite::TransactionBehavior;

use crate::place::{Kind, Place};
use crate::world::{Edits, Other, World, ask, files, listen, my_place, name, open, patience, tell};

/// What another process does in the order of the lines it is told. It answers each with `done` or with what failed.
const ROLE: &str = "beside::does_as_it_is_told";

fn world() -> World {
    World::new(Place::in_memory(), FileView::FileCopy, |main| {
        for number in 0..20 {
            fs::write(main.join(format!("file-{number}")), vec![number; 1000]).unwrap();
        }
    })
}

pub fn other(world: &World) -> Other {
    let mut other = Other::start(ROLE, world.site.layout.work_dir());
    other.hears("ready");
    other
}

impl Other {
    pub fn does(&mut self, line: &str) {
        self.say(line);
        self.hears("done");
    }

    fn fails(&mut self, line: &str, why: &str) {
        self.say(line);
        self.hears(why);
    }
}

#[test]
#[ignore = "a role that another test starts"]
fn does_as_it_is_told() {
    let site = Site::open(&my_place()).unwrap();
    let mut prepared = None;
    tell("ready");
    // A line at a time: what a line asks for may read the next one.
    let next = || std::io::stdin().lines().next()?.ok();
    while let Some(line) = next() {
        let words: Vec<_> = line.split(' ').collect();
        let mut waits = Patience::new(Deadline::NEVER, |_| tell("waits"));
        let done: Result<(), DeleteError> = match words[..] {
            ["prepare", "create", branch, from] => {
                mutation::prepare_create(&site, &name(branch), &name(from), &mut waits, &Silent)
                    .map(|it| prepared = Some(it))
                    .map_err(DeleteError::from)
            }
            ["prepare", "apply", branch, file] => {
                let edits = &mut Edits::of(&[(file, None, Some("new"))]);
                mutation::prepare_apply(&site, &name(branch), edits, "word", &mut waits, &Silent)
                    .map(|it| prepared = Some(it))
                    .map_err(DeleteError::from)
            }
            ["publish"] => prepared.take().unwrap().publish(&mut waits).map(drop).map_err(DeleteError::from),
            ["reset", branch, from] => mutation::reset(&site, &name(branch), &name(from), false, &mut waits, &Silent)
                .map(drop)
                .map_err(|error| {
                    let ResetError::Change(error) = error else { panic!("{error:?}") };
                    error.into()
                }),
            ["delete", branch] => mutation::delete(&site, &name(branch), false, &mut waits, &Silent).map(drop),
            // A request of a branch, until the next line.
            ["be", "in", branch] => {
                let (cow, branch) = (site.layout.cow(), name(branch));
                let _note = CommandNote::program(cow, &branch, "slow").inspect(CommandNote::serve);
                let operations = Arc::new(OperationsFiles::open(cow).unwrap());
                let shared = SharedOperations::lock(&operations, Deadline::NEVER, None).unwrap();
                let lock = Arc::new(BranchFiles::open(cow, &branch).unwrap());
                let _lock = SharedBranch::lock(&shared, &lock, Deadline::NEVER, true).unwrap();
                tell("done");
                assert!(listen());
                Ok(())
            }
            _ => panic!("{line}"),
        };
        match done {
            Ok(()) => tell("done"),
            Err(error) => tell(&format!("failed: {error}")),
        }
    }
}

#[test]
fn mutations_of_other_branches_go_on_while_one_is_prepared() {
    let world = world();
    world.create("reset").unwrap();
    world.create("gone").unwrap();
    let mut other = other(&world);
    other.does("prepare create x main");
    world.create("y").unwrap();
    world.create_all(&["p", "q"]).unwrap();
    world.reset("reset", "main", false).unwrap();
    world.apply("y", &mut Edits::of(&[("new", None, Some("new"))])).unwrap();
    world.delete("gone").unwrap();
    world.undo(None).unwrap();
    gc::drop_surplus(&world.site, &mut patience(), &Silent).unwrap();
    assert_eq!(world.branches(), ["main", "gone", "p", "q", "reset", "y"]);
    other.does("publish");
    assert_eq!(files(&world.path("x")), files(&world.path("main")));
    let entries = History::read(world.site.layout.cow()).unwrap().entries;
    let ids: Vec<_> = entries.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>(), "each publish has a number of its own");
    assert_eq!(entries.last().unwrap().to_string(), "create x from main");
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn two_mutations_of_one_branch_follow_each_other() {
    let world = world();
    let mut other = other(&world);
    other.does("prepare create x main");
    let mut now = Patience::silent(Deadline::NOW);
    let created = mutation::create(&world.site, &name("x"), &BranchName::main(), &mut now, &Silent);
    let error = created.unwrap_err();
    let Some(StepError::Lock(LockError::Timeout(busy))) = error.step() else { panic!("{error:?}") };
    assert!(busy.to_string().contains("x.mutation is held by process"), "{busy}");
    assert!(busy.to_string().contains("branch create x from main"), "{busy}");
    let created = mutation::create_all(&world.site, &[name("w"), name("x")], &BranchName::main(), &mut now, &Silent);
    let Err(CreateError::Change(error)) = created else { panic!("{created:?}") };
    assert!(matches!(error.step(), Some(StepError::Lock(LockError::Timeout(_)))), "{error:?}");
    assert_eq!(world.branches(), ["main"]);
    other.does("publish");
    assert!(matches!(world.create("x"), Err(ChangeError::Exists { .. })));
}

#[test]
fn what_became_of_the_source_meanwhile_is_seen() {
    let world = world();
    world.create("source").unwrap();
    let mut other = other(&world);
    other.does("prepare create x source");
    world.reset("source", "main", false).unwrap();
    other.fails("publish", "failed: branch 'source' got other files while it was copied");
    other.does("prepare create x source");
    world.apply("source", &mut Edits::of(&[("new", None, Some("new"))])).unwrap();
    other.does("publish");
    assert_eq!(files(&world.path("x"))["new"], "new", "other files are taken again");
    other.does("prepare create y source");
    world.delete("source").unwrap();
    other.fails("publish", "failed: cannot take the branch 'source' as the source");
    other.does("prepare create y main");
    fs::create_dir(world.path("y")).unwrap();
    other.fails("publish", "is in the way of the new branch 'y'");
}

/// Has the other process reset the branch `source` each time that its files are cloned, so many times.
struct ResetsSource {
    other: Mutex<Other>,
    left: AtomicUsize,
    notes: Mutex<Vec<String>>,
}

impl Progress for ResetsSource {
    fn begin(&self, phase: &str, _: Option<u64>) {
        if phase == "clone files" && self.left.load(SeqCst) > 0 {
            self.left.fetch_sub(1, SeqCst);
            self.other.lock().unwrap().does("reset source main");
        }
    }
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn note(&self, words: &str) {
        self.notes.lock().unwrap().push(words.to_owned());
    }
}

#[test]
fn a_source_that_is_reset_while_it_is_cloned_is_cloned_again() {
    let world = world();
    world.create("source").unwrap();
    world.create("y").unwrap();
    let resets = |times| ResetsSource {
        other: Mutex::new(other(&world)),
        left: AtomicUsize::new(times),
        notes: Mutex::new(Vec::new()),
    };
    let said = "branch 'source' got other files while it was copied; copying it again";
    let progress = resets(2);
    mutation::create(&world.site, &name("x"), &name("source"), &mut patience(), &progress).unwrap();
    assert_eq!(*progress.notes.lock().unwrap(), [said, said]);
    let progress = resets(1);
    let names = [name("p"), name("q")];
    mutation::create_all(&world.site, &names, &name("source"), &mut patience(), &progress).unwrap();
    let progress = resets(1);
    mutation::reset(&world.site, &name("y"), &name("source"), false, &mut patience(), &progress).unwrap();
    assert_eq!(*progress.notes.lock().unwrap(), [said]);
    for branch in ["p", "q", "x", "y"] {
        assert_eq!(files(&world.path(branch)), files(&world.path("main")), "{branch}");
    }
    let progress = resets(usize::MAX);
    let failed = mutation::create(&world.site, &name("z"), &name("source"), &mut patience(), &progress);
    assert!(matches!(failed, Err(ChangeError::SourceReplaced { .. })), "{failed:?}");
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn only_what_a_dead_process_prepared_is_thrown_away() {
    let world = world();
    let (mut living, mut dead) = (other(&world), other(&world));
    living.does("prepare create living main");
    dead.does("prepare create dead main");
    let staged = |branch: &str| world.site.layout.cow().staged_tree(&name(branch));
    assert!(!mutation::is_unfinished(&world.site).unwrap(), "a server has nothing to end");
    drop(dead);
    assert!(mutation::is_unfinished(&world.site).unwrap());
    assert_eq!(mutation::leftovers(&world.site).unwrap(), ["1 tree that was staged"]);
    let recovered = mutation::recover(&world.site, &mut patience()).unwrap();
    assert!(recovered.is_some());
    assert!(!staged("dead").exists() && staged("living").exists());
    assert!(!mutation::is_unfinished(&world.site).unwrap());
    world.create("another").unwrap();
    assert!(staged("living").exists());
    living.does("publish");
    assert_eq!(world.branches(), ["main", "another", "living"]);
}

#[test]
fn what_is_of_the_whole_site_waits_for_what_is_prepared_and_keeps_new_ones_out() {
    let world = world();
    let cow = world.site.layout.cow();
    let mut now = Patience::silent(Deadline::NOW);
    let mut other = other(&world);
    other.does("prepare create x main");
    {
        let lifecycle = Lifecycle::lock(cow, "test", &mut now).unwrap();
        let taken = lifecycle.mutation(cow, "test", &mut now);
        let Err(LockError::Timeout(busy)) = taken else { panic!("{taken:?}") };
        assert!(busy.to_string().starts_with("prepare.lock is held by process"), "{busy}");
    }
    other.does("publish");
    {
        let lifecycle = Lifecycle::lock(cow, "test", &mut now).unwrap();
        let _whole = lifecycle.mutation(cow, "test", &mut now).unwrap();
        other.say("prepare create y main");
        other.hears("waits");
    }
    other.hears("done");
    other.does("publish");
    assert_eq!(world.branches(), ["main", "x", "y"]);
}

#[test]
fn a_mutation_that_waits_for_requests_of_its_branch_holds_up_no_other() {
    let world = world();
    world.create("a").unwrap();
    world.create("b").unwrap();
    let (mut request, mut waiting) = (other(&world), other(&world));
    request.does("be in a");
    waiting.say("delete a");
    waiting.hears("waits");
    for round in 0..3 {
        world.create(&format!("c{round}")).unwrap();
    }
    world.delete("b").unwrap();
    world.undo(None).unwrap();
    assert!(world.branches().contains(&"a".to_owned()), "its request still runs");
    request.say("end");
    waiting.hears("done");
    assert!(!world.branches().contains(&"a".to_owned()));
}

/// Whether a mutation gave up because others kept this lock.
fn is_kept_by<T: std::fmt::Debug>(done: Result<T, ChangeError>, lock: &str) -> bool {
    let error = done.unwrap_err();
    let Some(StepError::Lock(LockError::Timeout(busy))) = error.step() else { panic!("{error:?}") };
    busy.path.file_name().is_some_and(|name| name == lock)
}

#[test]
fn an_apply_an_undo_and_a_batch_wait_for_the_requests_of_the_branches_that_they_own_and_for_no_others() {
    let world = world();
    world.create("a").unwrap();
    world.create("b").unwrap();
    let edits = |name: &str| Edits::of(&[(name, None, Some("new"))]);
    let of_a = world.apply("a", &mut edits("first")).unwrap().operation.id;
    let mut request = other(&world);
    request.does("be in a");
    let (site, silent) = (&world.site, &Silent);
    let mut now = Patience::silent(Deadline::NOW);
    let applied = mutation::apply(site, &name("a"), &mut edits("second"), "word", &mut now, silent);
    assert!(is_kept_by(applied, "a.lock"));
    let undone = mutation::undo(site, Some(of_a), &mut now, silent).map_err(|error| match error {
        UndoError::Change(error) => error,
        error => panic!("{error:?}"),
    });
    assert!(is_kept_by(undone, "a.lock"));
    let batch = [name("p"), name("q")];
    let created = mutation::create_all(site, &batch, &name("a"), &mut now, silent).map_err(|error| match error {
        CreateError::Change(error) => error,
        error => panic!("{error:?}"),
    });
    assert!(is_kept_by(created, "a.lock"));
    assert_eq!(world.branches(), ["main", "a", "b"]);
    assert!(!world.path("a").join("second").exists() && world.path("a").join("first").exists());
    // Beside that request, what is of other branches is done.
    world.apply("b", &mut edits("second")).unwrap();
    assert!(world.path("b").join("second").exists());
    world.undo(None).unwrap();
    assert!(!world.path("b").join("second").exists());
    mutation::create_all(site, &batch, &name("b"), &mut patience(), silent).unwrap();
    world.undo(None).unwrap();
    assert_eq!(world.branches(), ["main", "a", "b"]);
    request.say("end");
    request.hears("done");
    world.undo(Some(of_a)).unwrap();
    assert!(!world.path("a").join("first").exists());
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn beside_a_request_of_its_source_that_writes_the_database_of_a_branch_is_whole() {
    let world = world();
    let mut request = other(&world);
    request.does("be in main");
    let names = ["p", "q", "r", "s"];
    let main = world.path("main");
    let ((over, is_over), (tell, written)) = (mpsc::channel::<()>(), mpsc::channel());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut connection = open(&main);
            while is_over.try_recv() == Err(mpsc::TryRecvError::Empty) {
                let both = connection.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
                for title in ["one", "other"] {
                    both.execute("INSERT INTO posts (title) VALUES (?1)", [title]).unwrap();
                }
                both.commit().unwrap();
                let _ = tell.send(());
            }
        });
        // Dropped at the end, however that comes.
        let _over = over;
        let source = Source { branch: &BranchName::main(), beside: true };
        for branch in names {
            written.recv().unwrap();
            mutation::create(&world.site, &name(branch), source, &mut patience(), &Silent).unwrap();
            written.try_iter().for_each(drop);
        }
    });
    for branch in names {
        let tree = world.path(branch);
        assert_eq!(ask::<String>(&tree, "PRAGMA quick_check"), "ok", "{branch}");
        let (ones, others): (i64, i64) = (
            ask(&tree, "SELECT count(*) FROM posts WHERE title = 'one'"),
            ask(&tree, "SELECT count(*) FROM posts WHERE title = 'other'"),
        );
        assert!(ones > 0 && ones == others, "{branch} has {ones} and {others}");
    }
    request.say("end");
}

#[test]
fn beside_the_requests_of_its_source_a_branch_is_made_and_the_log_says_so() {
    let world = world();
    world.create("x").unwrap();
    let mut request = other(&world);
    request.does("be in main");
    let main = BranchName::main();
    let source = Source { branch: &main, beside: true };
    let mut now = Patience::silent(Deadline::NOW);
    let waits = mutation::create(&world.site, &name("y"), &main, &mut now, &Silent);
    assert!(waits.is_err_and(|error| matches!(error.step(), Some(StepError::Lock(LockError::Timeout(_))))));
    mutation::create(&world.site, &name("y"), source, &mut patience(), &Silent).unwrap();
    mutation::create_all(&world.site, &[name("p"), name("q")], source, &mut patience(), &Silent).unwrap();
    mutation::reset(&world.site, &name("x"), source, false, &mut patience(), &Silent).unwrap();
    for branch in ["p", "q", "x", "y"] {
        assert_eq!(files(&world.path(branch)), files(&world.path("main")), "{branch}");
        assert_eq!(world.posts(branch), ["hello"], "{branch}");
    }
    let log: Vec<_> = History::read(world.site.layout.cow()).unwrap().entries.iter().map(ToString::to_string).collect();
    assert_eq!(
        log[2..],
        [
            "create y from main beside its requests",
            "create p and 1 more from main beside its requests",
            "reset x from main beside its requests"
        ]
    );
    request.say("end");
}

#[test]
fn beside_requests_that_move_a_folder_away_and_back_again_and_again_its_files_are_whole() {
    const COUNT: usize = 200;
    // Fewer than a create puts up with, so that it ends.
    const MOVES: usize = 40;
    let world = World::new(Place::in_memory(), FileView::FileCopy, |main| {
        fs::create_dir_all(main.join("here/inner")).unwrap();
        (0..COUNT).for_each(|number| fs::write(main.join(format!("here/inner/{number}")), "whole").unwrap());
    });
    let main = world.path("main");
    for round in 0..10 {
        let branch = format!("x{round}");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..MOVES {
                    fs::rename(main.join("here"), main.join("away")).unwrap();
                    std::thread::yield_now();
                    fs::rename(main.join("away"), main.join("here")).unwrap();
                    std::thread::yield_now();
                }
            });
            let source = Source { branch: &BranchName::main(), beside: true };
            mutation::create(&world.site, &name(&branch), source, &mut patience(), &Silent).unwrap();
        });
        let is_whole = |file: PathBuf| fs::read(file).is_ok_and(|bytes| bytes == b"whole");
        let count = |folder: &str| {
            (0..COUNT).filter(|number| is_whole(world.path(&branch).join(format!("{folder}/inner/{number}")))).count()
        };
        assert_eq!(count("here") + count("away"), COUNT, "in {branch}");
    }
}

#[test]
fn what_another_process_left_half_published_is_finished_before_the_own_publish() {
    let world = world();
    world.create("a").unwrap();
    let mut other = other(&world);
    other.does("prepare create x main");
    // As one leaves it that died once the trees were moved.
    let cow = world.site.layout.cow();
    let record = branch::show(&world.site, &name("a")).unwrap().record;
    let deleted = world.delete("a").unwrap();
    let log = fs::read_to_string(cow.log_entry(deleted.operation.id)).unwrap();
    fs::remove_file(cow.log_entry(deleted.operation.id)).unwrap();
    let entry: String = log.lines().take_while(|line| !line.starts_with('[')).map(|line| format!("{line}\n")).collect();
    let before: String = record.to_toml();
    fs::write(
        cow.intent(),
        format!(
            "[entry]\n{entry}[entry.before]\n{before}[[change.moves]]\nname = 'a'\n[change.moves.way.go]\nold = 1\n\
             purge = false\n"
        ),
    )
    .unwrap();
    other.does("publish");
    assert_eq!(world.branches(), ["main", "x"]);
    let log: Vec<_> = History::read(cow).unwrap().entries.iter().map(ToString::to_string).collect();
    assert_eq!(log[log.len() - 2..], ["delete a", "create x from main"]);
    assert!(!cow.intent().exists());
}

#[test]
fn a_push_is_prepared_beside_a_create_of_another_branch_on_each_file_system() {
    for (kind, view) in [(Kind::Xfs, FileView::Reflink), (Kind::Btrfs, FileView::BtrfsSnapshot)] {
        let Some(place) = Place::of(kind) else { continue };
        let world = World::new(place, view, |_| ());
        world.create("a").unwrap();
        let mut other = other(&world);
        other.does("prepare apply a pushed");
        world.create("b").unwrap();
        world.reset("b", "a", false).unwrap();
        other.does("publish");
        assert_eq!(files(&world.path("a"))["pushed"], "new");
        assert!(!world.path("b").join("pushed").exists());
    }
}

#[test]
fn ten_creates_at_once_are_ten_branches() {
    let world = world();
    let mut others: Vec<_> = (0..10).map(|_| Other::start("creates_when_told", world.site.layout.work_dir())).collect();
    others.iter_mut().for_each(|other| other.hears("ready"));
    others.iter_mut().for_each(|other| other.say("go"));
    others.into_iter().for_each(Other::wait);
    let branches = world.branches();
    assert_eq!(branches.len(), 11);
    for branch in &branches {
        assert_eq!(files(&world.path(branch)), files(&world.path("main")));
    }
    let ids: Vec<_> = History::read(world.site.layout.cow()).unwrap().entries.iter().map(|entry| entry.id).collect();
    assert_eq!(ids, (1..=11).collect::<Vec<_>>());
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}
