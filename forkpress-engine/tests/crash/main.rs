//! What a mutation leaves when any one of its steps fails, or when its process is killed there.
//!
//! A child process plays a script of operations on a copy of one small site; a step of it fails. What the site is after
//! recovery must be what it is, in a run without a fault, before or after the operation that was hit. Each script is
//! played once for each of its steps.

#[allow(dead_code, reason = "the suite of mutations needs more of it")]
#[path = "../mutations/place.rs"]
mod place;
#[allow(dead_code, reason = "the suite of mutations needs more of it")]
#[path = "../mutations/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use forkpress_core::deadline::Deadline;
use forkpress_core::layout::{ImageKind, ImageLayout};
use forkpress_core::lock::note::CommandNote;
use forkpress_core::lock::{BranchFiles, Lifecycle, OperationsFiles, SharedBranch, SharedOperations};
use forkpress_core::name::BranchName;
use forkpress_engine::branch;
use forkpress_engine::config::FileView;
use forkpress_engine::disk::fault::{self, Fault, Lasting};
use forkpress_engine::git::repository::Repository;
use forkpress_engine::merge::Side;
use forkpress_engine::merge::answers::Answers;
use forkpress_engine::merge::branches::{self, Request};
use forkpress_engine::mutation::convert;
use forkpress_engine::mutation::history::{History, LogEntry, Operation};
use forkpress_engine::mutation::{
    self, ChangeError, DeleteError, RecoverError, ResetError, StepError, UndoError, gc, keep,
};
use forkpress_engine::progress::{Progress, Silent};
use forkpress_engine::site::Site;
use forkpress_engine::storage::{self, Link};
use rusqlite::Connection;
use tempfile::TempDir;

use place::{Kind, Place};
use world::{Edits, TreeWork, World, files, name, patience};

const OPERATIONS: [&str; 6] = ["create", "reset", "delete", "purge", "undo", "gc"];

/// Those that put files into a tree.
const FILES: [&str; 3] = ["apply", "create-with", "create-edited"];

/// Pairs with one of those.
const PAIRS_WITH_FILES: [[&str; 2]; 9] = [
    ["apply", "apply"],
    ["apply", "undo"],
    ["apply", "reset"],
    ["apply", "gc"],
    ["apply", "delete"],
    ["undo", "apply"],
    ["reset", "apply"],
    ["create-with", "undo"],
    ["create-with", "apply"],
];

/// Scripts that make, or take away, several branches in one, and what follows.
const BATCHES: [&[&str]; 6] = [
    &["create-all"],
    &["create-all", "undo"],
    &["create-all", "undo", "redo"],
    &["create-all", "gc"],
    &["create-all", "undo", "gc"],
    &["delete", "create-all"],
];

/// Scripts in which a spare is made, or taken.
const SPARES: [&[&str]; 5] = [
    &["spare"],
    &["spare", "create-main"],
    &["spare", "reset"],
    &["spare", "create-all-main"],
    &["spare", "reset-main", "spare"],
];

/// Operations, and what comes before them, of which only the last is hit.
const RENAMES: [&[&str]; 2] = [&["rename-reset"], &["reset", "rename-undo"]];

/// Scripts with a merge, of `y` into `x` or of one of these into `main`, of which only the last operation is hit.
const MERGES: [&[&str]; 23] = [
    &["merge"],
    &["rename-merge"],
    &["merge", "undo"],
    &["merge", "undo", "redo"],
    &["merge", "undo", "merge"],
    &["merge", "post", "merge"],
    &["merge", "merge-home"],
    &["create", "merge"],
    &["apply", "merge"],
    &["undo", "merge"],
    &["reset", "merge"],
    &["gc", "merge"],
    &["create-all", "merge"],
    &["delete", "merge-main"],
    &["purge", "merge-home"],
    &["merge", "create"],
    &["merge", "create-all"],
    &["merge", "apply"],
    &["merge", "reset"],
    &["merge", "gc"],
    &["merge", "delete"],
    &["merge", "purge"],
    CARRIED,
];

/// While it is prepared, somebody writes into the target.
const CARRIED: &[&str] = &["carried-merge"];

/// Does one operation of a script.
fn act(site: &Site, operation: &str) -> Result<(), Box<dyn Error>> {
    let (patience, progress) = (&mut patience(), &Silent);
    match operation {
        "create" => {
            // Its own name for each, so that a script may create twice.
            let taken = branch::list(site)?.len();
            let new = name(&format!("new{taken}"));
            mutation::create(site, &new, &name("x"), patience, progress).map(drop)?
        }
        "create-all" => {
            let names = ["one", "two"].map(name);
            mutation::create_all(site, &names, &name("x"), patience, progress).map(drop)?
        }
        "create-all-main" => {
            let names = ["one", "two"].map(name);
            mutation::create_all(site, &names, &BranchName::main(), patience, progress).map(drop)?
        }
        "spare" => {
            world::settle(&site.layout.branch(&BranchName::main()));
            mutation::spare::keep(site, progress).map(drop)?
        }
        "create-main" => mutation::create(site, &name("new"), &BranchName::main(), patience, progress).map(drop)?,
        "reset-main" => mutation::reset(site, &BranchName::main(), &name("x"), true, patience, progress).map(drop)?,
        "redo" => {
            let undone = History::read(site.layout.cow())?.entries.last().unwrap().id;
            mutation::undo(site, Some(undone), patience, progress).map(drop)?
        }
        "create-with" => {
            let edits = &mut edits_of(&site.layout.branch(&name("x")));
            mutation::create_with(site, &name("new"), &name("x"), edits, "word", patience, progress).map(drop)?
        }
        "create-edited" => {
            let edit = &mut TreeWork { fails: false };
            mutation::create_edited(site, &name("new"), &name("x"), edit, "word", patience, progress).map(drop)?
        }
        "apply" => {
            let edits = &mut edits_of(&site.layout.branch(&name("x")));
            mutation::apply(site, &name("x"), edits, "word", patience, progress).map(drop)?
        }
        // After a power cut that took back the counter of publishes, so that the record before has the number of this one.
        "rolled-back-apply" => {
            let record = branch::show(site, &name("x"))?.record;
            let lock = fs::File::options().write(true).open(site.layout.cow().operations_lock()).unwrap();
            lock.write_all_at(format!("generation {:020}\n", record.generation - 1).as_bytes(), 0).unwrap();
            act(site, "apply")?;
        }
        // Where a file system can't exchange two folders.
        "rename-reset" | "rename-undo" | "rename-merge" => {
            fault::refuse_exchange();
            act(site, &operation["rename-".len()..])?;
        }
        "merge" => merge(site, "y", "x", progress)?,
        "carried-merge" => merge(site, "y", "x", &Writes(site.layout.branch(&name("x"))))?,
        "merge-home" => merge(site, "x", "main", progress)?,
        "merge-main" => merge(site, "y", "main", progress)?,
        "post" => world::add_post(&site.layout.branch(&name("y")), "another"),
        "reset" => mutation::reset(site, &name("x"), &BranchName::main(), false, patience, progress).map(drop)?,
        "delete" => mutation::delete(site, &name("x"), false, patience, progress).map(drop)?,
        "purge" => mutation::delete(site, &name("y"), true, patience, progress).map(drop)?,
        "undo" => mutation::undo(site, None, patience, progress).map(drop)?,
        "make" | "attach" | "detach" | "compact" | "grow" | "convert-to-files" | "convert-to-image" => {
            let lifecycle = Lifecycle::lock(site.layout.cow(), operation, patience).unwrap();
            match operation {
                "make" => storage::make(&site.layout, IMAGE_BYTES).unwrap(),
                "attach" => storage::attach(site, &lifecycle).map(drop).unwrap(),
                "detach" => storage::detach(site, &lifecycle, false, patience).map(drop).unwrap(),
                "compact" => storage::compact(site, &lifecycle, patience).map(drop).unwrap(),
                "grow" => storage::grow(site, &lifecycle, 2 * IMAGE_BYTES).unwrap(),
                "convert-to-files" => {
                    convert::convert(site, FileView::FileCopy, &lifecycle, patience, progress).map(drop).unwrap();
                }
                _ => {
                    convert::convert(site, FileView::LinuxXfsLoop, &lifecycle, patience, progress).map(drop).unwrap();
                }
            }
        }
        "gc" => {
            let mut site = site.clone();
            site.config.keep.trees = 0;
            gc::drop_surplus(&site, patience, &Silent)?;
            keep::empty_trash(&site)?;
        }
        _ => panic!("unknown operation {operation}"),
    }
    Ok(())
}

/// Writes into the database of a branch, without changing a row, after a merge has copied it.
struct Writes(PathBuf);

impl Progress for Writes {
    fn begin(&self, step: &str, _: Option<u64>) {
        if step == "check the merged database" {
            world::open(&self.0).execute("UPDATE posts SET title = title", []).unwrap();
        }
    }
    fn advance(&self, _: u64) {}
    fn end(&self) {}
}

/// Merges a branch into another; what both have changed is taken from the first.
fn merge(site: &Site, source: &str, target: &str, progress: &dyn Progress) -> Result<(), Box<dyn Error>> {
    let (source, target) = (&name(source), &name(target));
    let answers = Answers::new(Some(Side::Theirs), Vec::new());
    let request = Request { source, target, base: None, answers, dry_run: false };
    match branches::merge(site, &request, &mut patience(), progress)? {
        branches::Outcome::Merged(..) => Ok(()),
        other => panic!("{source} into {target}: {other:?}"),
    }
}

/// Files of every kind to put into a tree; they go again where they are there.
fn edits_of(tree: &Path) -> Edits {
    let edits = [
        ("mark", Some("x"), Some("#!applied")),
        ("folder/deep/file", Some("deep"), None),
        ("folder/deep", None, Some("flat")),
        ("link", Some("->folder"), Some("->nowhere")),
        ("made/inner/file", None, Some("made")),
    ];
    let is_there = tree.join("made").exists();
    let edits = edits.map(|(path, before, after)| if is_there { (path, after, before) } else { (path, before, after) });
    // A branch that was reset says something else.
    Edits { is_trusting: true, ..Edits::of(&edits) }
}

/// A tree, or the slot of an apply: its files and its posts.
type TreeState = (BTreeMap<String, String>, Vec<String>);

/// All of a site that a user can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    branches: BTreeMap<String, (TreeState, Option<BranchName>)>,
    /// What each two of them had in common.
    partings: BTreeMap<(String, String), Option<TreeState>>,
    kept: Vec<TreeState>,
    log: Vec<(Operation, String)>,
}

impl State {
    fn of(site: &Site) -> Self {
        let list = branch::list(site).unwrap();
        let mut partings = BTreeMap::new();
        for (number, one) in list.iter().enumerate() {
            for other in &list[number + 1..] {
                let common = one.record.partings.common(&other.record.partings).next();
                let parting = common.map(|id| parting_state(site, id));
                partings.insert((one.name.to_string(), other.name.to_string()), parting);
            }
        }
        let branches = list.into_iter().map(|branch| {
            let state = tree_state(&branch.path);
            (branch.name.to_string(), (state, branch.record.from))
        });
        let history = History::read(site.layout.cow()).unwrap();
        let mut kept: Vec<_> = fs::read_dir(site.layout.cow().kept_dir())
            .unwrap()
            .flat_map(|slot| trees_in(&slot.unwrap().path()))
            .map(|tree| tree_state(&tree))
            .collect();
        kept.sort();
        Self {
            branches: branches.collect(),
            partings,
            kept,
            log: history.entries.iter().map(|entry| (entry.operation, entry.name.to_string())).collect(),
        }
    }
}

/// The trees in a slot: one or, of branches that were made together, one for each.
fn trees_in(slot: &Path) -> Vec<PathBuf> {
    let inner: Vec<_> = fs::read_dir(slot).unwrap().map(|entry| entry.unwrap().path()).collect();
    let is_tree = |path: &PathBuf| forkpress_core::layout::database_of(path).exists();
    if !inner.is_empty() && inner.iter().all(is_tree) { inner } else { vec![slot.to_owned()] }
}

/// Looks at a parting, which has to be whole, whether Git has read it or not.
fn parting_state(site: &Site, id: u64) -> TreeState {
    let parting = site.layout.cow().parting(id);
    let (_, posts) = tree_state(&parting.join("tree"));
    let list = match git(site, &["ls-tree", "-r", "-z", &format!("refs/forkpress/partings/{id}")]) {
        Some(tree) => tree.replace(" blob ", " "),
        None => fs::read_to_string(parting.join("files")).unwrap_or_else(|_| list_of(&parting.join("tree"))),
    };
    let mut files = BTreeMap::new();
    for line in list.split('\0').filter(|line| !line.is_empty()) {
        let (what, path) = line.split_once('\t').unwrap();
        if what == "gone" {
            assert!(files.remove(path).is_some(), "{line}");
            continue;
        }
        let (mode, object) = what.split_once(' ').unwrap();
        let text = match (object.strip_prefix("new:"), object.strip_prefix("text:")) {
            (Some(number), _) => fs::read_to_string(parting.join("news").join(number)).unwrap(),
            (_, Some(text)) => text.to_owned(),
            _ => object_text(site, object),
        };
        files.insert(path.to_owned(), format!("{mode} {text}"));
    }
    assert!(files.contains_key("index.php"), "{list:?}");
    (files, posts)
}

/// The files of a snapshot of a whole tree, as a parting lists files.
fn list_of(tree: &Path) -> String {
    let line = |(path, text): (String, String)| match text.strip_prefix("->") {
        Some(target) => format!("120000 text:{target}\t{path}\0"),
        None => {
            let is_program = fs::metadata(tree.join(&path)).unwrap().mode() & 0o100 != 0;
            format!("{} text:{text}\t{path}\0", if is_program { 100_755 } else { 100_644 })
        }
    };
    files(tree).into_iter().map(line).collect()
}

/// The text of an object, which is the same in each copy of a site.
fn object_text(site: &Site, object: &str) -> String {
    static KNOWN: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());
    if let Some(text) = KNOWN.lock().unwrap().get(object) {
        // That it can be had is not only believed.
        assert!(git(site, &["cat-file", "-e", object]).is_some(), "{object} is not there");
        return text.clone();
    }
    let text = git(site, &["cat-file", "blob", object]).unwrap();
    KNOWN.lock().unwrap().insert(object.to_owned(), text.clone());
    text
}

/// What Git says; none where it refuses.
fn git(site: &Site, arguments: &[&str]) -> Option<String> {
    if !site.layout.cow().git_dir().exists() {
        return None;
    }
    let output = Repository::open(site).unwrap().command().args(arguments).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// Looks at a tree, which has to be whole.
fn tree_state(tree: &Path) -> TreeState {
    let files = files(tree);
    if !forkpress_core::layout::database_of(tree).exists() {
        assert!(files.contains_key("list"), "{} is neither a branch nor the slot of an apply", tree.display());
        return (files, Vec::new());
    }
    let connection = Connection::open(forkpress_core::layout::database_of(tree)).unwrap();
    let check: String = connection.query_row("PRAGMA quick_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok", "{}", tree.display());
    let mut statement = connection.prepare("SELECT title FROM posts ORDER BY id").unwrap();
    let posts = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    (files, posts)
}

/// A site to copy, with `main`, `x`, `y` and a branch that was deleted.
struct Template {
    world: World,
    view: FileView,
}

impl Template {
    fn new(place: Place, view: FileView) -> Self {
        let world = World::new(place, view, |main| {
            fs::write(main.join("mark"), "main").unwrap();
            fs::create_dir_all(main.join("folder/deep")).unwrap();
            fs::write(main.join("folder/deep/file"), "deep").unwrap();
            std::os::unix::fs::symlink("folder", main.join("link")).unwrap();
        });
        for branch in ["x", "y", "z"] {
            world.create(branch).unwrap();
            fs::write(world.path(branch).join("mark"), branch).unwrap();
            world.add_post(branch, branch);
        }
        world.delete("z").unwrap();
        assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
        if let Some(image) = world.site.layout.image() {
            // What is copied is an image that nobody uses.
            storage::unmount_unused(image).unwrap();
        }
        Self { world, view }
    }

    /// A template on a file system that clones images.
    fn in_image(view: FileView) -> Option<Self> {
        Place::xfs_in_memory().map(|place| Self::new(place, view))
    }

    /// A copy beside the original, so that it is on the same file system.
    fn copy(&self) -> Copy {
        let root = self.world.site.layout.public_root();
        let dir = tempfile::tempdir_in(root).unwrap();
        let done = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
        done(Command::new("cp").arg("-a").arg(root.join(".forkpress")).arg(dir.path()));
        let site = Site::open(&dir.path().join(".forkpress")).unwrap();
        if site.layout.image().is_some() {
            for branch in ["main", "x", "y"] {
                done(Command::new("cp").arg("-a").arg(root.join(branch)).arg(dir.path()));
            }
            attach(&site);
            return Copy { site, _dir: dir };
        }
        let cow = self.world.site.layout.cow();
        let in_folder = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|tree| tree.unwrap().path());
        let kept = in_folder(cow.kept_dir()).chain(in_folder(cow.partings_dir()).map(|parting| parting.join("tree")));
        for tree in ["main", "x", "y"].map(|branch| root.join(branch)).into_iter().chain(kept) {
            let copy = dir.path().join(tree.strip_prefix(root).unwrap());
            if self.view == FileView::BtrfsSnapshot {
                if copy.exists() {
                    fs::remove_dir_all(&copy).unwrap();
                }
                done(Command::new("btrfs").args(["-q", "subvolume", "snapshot"]).arg(&tree).arg(&copy));
            } else if !copy.exists() {
                done(Command::new("cp").arg("-a").arg(&tree).arg(&copy));
            }
        }
        assert_eq!(site.config.file_view, self.view);
        Copy { site, _dir: dir }
    }
}

struct Copy {
    site: Site,
    _dir: TempDir,
}

impl Drop for Copy {
    fn drop(&mut self) {
        place::unmount_images(self.site.layout.public_root());
    }
}

/// Large enough for XFS, and for two branches.
const IMAGE_BYTES: u64 = 512 << 20;

fn attach(site: &Site) {
    let lifecycle = Lifecycle::lock(site.layout.cow(), "test", &mut patience()).unwrap();
    storage::attach(site, &lifecycle).unwrap();
}

/// How a script went.
#[derive(Debug, Default)]
struct Outcome {
    /// How many steps were done up to the end of each operation that ended.
    steps: Vec<u64>,
    /// How many steps were done in all; `None` where the process was killed.
    total: Option<u64>,
    /// Why the operation after those that ended failed; `None` where none did or the process was killed.
    error: Option<String>,
    /// What the first step that failed was to do, and at which path.
    failed: Option<(String, PathBuf)>,
}

const SCRIPT: &str = "FORKPRESS_TEST_SCRIPT";
const PLACE: &str = "FORKPRESS_TEST_PLACE";
/// What fails each time, and where.
const THERE: [&str; 2] = ["FORKPRESS_TEST_FAILING_STEP", "FORKPRESS_TEST_FAILING_PATH"];

const FAULTS: [(&str, Fault); 4] =
    [("Death", Fault::Death), ("Eio", Fault::Eio), ("Enospc", Fault::Enospc), ("Eintr", Fault::Eintr)];
const LASTING: [(&str, Lasting); 4] =
    [("Once", Lasting::Once), ("FromThen", Lasting::FromThen), ("There", Lasting::There), ("AtPath", Lasting::AtPath)];

fn play(site: &Site, script: &[&str], at: u64, fault: Fault) -> Outcome {
    play_lasting(site, script, at, fault, Lasting::Once)
}

fn play_lasting(site: &Site, script: &[&str], at: u64, fault: Fault, lasting: Lasting) -> Outcome {
    play_with(site, script, &format!("{at} {fault:?} {lasting:?}"), None)
}

/// Plays a script in which each step fails that does this at this path, or each at this path.
fn play_there(site: &Site, script: &[&str], fault: Fault, there: &(String, PathBuf)) -> Outcome {
    play_with(site, script, &format!("0 {fault:?} There"), Some(there))
}

fn play_with(site: &Site, script: &[&str], fault: &str, there: Option<&(String, PathBuf)>) -> Outcome {
    let mut command = Command::new(std::env::current_exe().unwrap());
    if let Some((step, path)) = there {
        command.env(THERE[0], step).env(THERE[1], path);
    }
    let output = command
        .args(["--ignored", "--exact", "--nocapture", "plays"])
        .env(PLACE, site.layout.work_dir())
        .env(SCRIPT, format!("{fault} {}", script.join(" ")))
        // One thread takes the steps in one order.
        .env("RAYON_NUM_THREADS", "1")
        .output()
        .unwrap();
    let mut outcome = Outcome::default();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        if let Some(steps) = line.strip_prefix("ended after ") {
            outcome.steps.push(steps.parse().unwrap());
        } else if let Some(error) = line.strip_prefix("failed: ") {
            outcome.error = Some(error.to_owned());
        } else if let Some(steps) = line.strip_prefix("over after ") {
            outcome.total = Some(steps.parse().unwrap());
        }
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let failed = words.lines().find_map(|line| line.split_once(" instead of step ")?.1.split_once(": "));
    outcome.failed = failed.and_then(|(_, what)| what.split_once('\t')).map(|(step, path)| (step.into(), path.into()));
    assert!(outcome.total.is_some() || words.contains("Death instead"), "{script:?} with {fault}: {words}");
    outcome
}

#[test]
#[ignore = "a role that another test starts"]
fn plays() {
    let site = Site::open(Path::new(&std::env::var_os(PLACE).unwrap())).unwrap();
    let script = std::env::var(SCRIPT).unwrap();
    let words: Vec<&str> = script.split(' ').collect();
    let (_, fault) = FAULTS.into_iter().find(|(name, _)| *name == words[1]).expect("a fault");
    let (_, lasting) = LASTING.into_iter().find(|(name, _)| *name == words[2]).expect("how long it lasts");
    println!();
    match THERE.map(std::env::var_os) {
        [Some(step), Some(path)] => fault::arm_there(step.to_str().unwrap(), Path::new(&path), fault),
        _ => fault::arm(words[0].parse().unwrap(), fault, lasting),
    }
    for operation in &words[3..] {
        let done = match *operation {
            "recover" => mutation::recover(&site, &mut patience()).map(drop).map_err(Into::into),
            operation => act(&site, operation),
        };
        if let Err(error) = done {
            assert!(*operation != "recover" || fault != Fault::Death, "{error:?}");
            let error = format!("{error:?}");
            // What kind it is, whichever operation's.
            let kind =
                ["Change(", "Recover("].iter().fold(&*error, |kind, whose| kind.strip_prefix(whose).unwrap_or(kind));
            println!("failed: {kind}");
            break;
        }
        println!("ended after {}", fault::steps());
    }
    println!("over after {}", fault::steps());
}

/// Plays the script without a fault: the states before the first operation and after each, and the steps up to there.
fn reference(template: &Template, script: &[&str]) -> (Vec<State>, Vec<u64>) {
    let mut states = vec![State::of(&template.copy().site)];
    let mut steps = vec![0];
    for end in 1..=script.len() {
        let copy = template.copy();
        let outcome = play(&copy.site, &script[..end], 0, Fault::Death);
        states.push(State::of(&copy.site));
        // What is refused has no effect.
        steps.push(outcome.total.unwrap());
    }
    (states, steps)
}

/// Plays the script once for each step from the end of `script[..from]` on, with a fault there. Says how many that were.
///
/// How many steps an operation has differs a little from run to run: what changed shortly before is taken again.
fn hit_every_step(template: &Template, script: &[&str], from: usize, fault: Fault) -> u64 {
    hit_steps(template, script, from, 1, fault)
}

/// Set, has the tests hit each step, as `make soak` does. It takes an hour.
const EVERY_STEP: &str = "FORKPRESS_TEST_EVERY_STEP";

/// One step in so many is hit, or each.
fn one_in(many: usize) -> usize {
    if std::env::var_os(EVERY_STEP).is_some() { 1 } else { many }
}

/// Hits one step in three, or each.
fn hit_some_steps(template: &Template, script: &[&str], from: usize, fault: Fault) {
    hit_steps(template, script, from, one_in(3), fault);
}

/// The same of one step in so many.
fn hit_steps(template: &Template, script: &[&str], from: usize, one_in: usize, fault: Fault) -> u64 {
    hit_steps_while(template, script, from, one_in, fault, |_| ())
}

/// The same while something goes on at the site, from before the script until all has been recovered and checked.
fn hit_steps_while<T>(
    template: &Template,
    script: &[&str],
    from: usize,
    one_in: usize,
    fault: Fault,
    meanwhile: impl Fn(&Site) -> T,
) -> u64 {
    let (states, steps) = reference(template, script);
    let first = steps[from] + 1;
    // Others for each script.
    let begin = first + script.concat().len() as u64 % one_in as u64;
    for at in (begin..).step_by(one_in) {
        let copy = template.copy();
        let _meanwhile = meanwhile(&copy.site);
        let outcome = play(&copy.site, script, at, fault);
        if outcome.total.is_some_and(|total| total < at) {
            return at - first;
        }
        let hit = outcome.steps.len().min(script.len() - 1);
        let what = format!("{script:?} with {fault:?} at step {at}, in {}: {:?}", script[hit], outcome.error);
        recover_and_check(&copy, &states[hit..], script[hit], fault, &outcome, &what);
    }
    unreachable!("a script has an end")
}

fn recover_and_check(copy: &Copy, states: &[State], operation: &str, fault: Fault, outcome: &Outcome, what: &str) {
    let site = &copy.site;
    check_what_is_served(site, states, what);
    mutation::recover(site, &mut patience()).unwrap();
    assert_eq!(mutation::recover(site, &mut patience()).unwrap(), None, "{what}: recovery is over");
    keep::empty_trash(site).unwrap();
    let cow = site.layout.cow();
    for folder in [cow.staging_dir(), cow.trash_dir(), cow.journal_dir()] {
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{what}: {}", folder.display());
    }
    assert!(!cow.spare_in_making().exists(), "{what}");
    for folder in [cow.records_dir(), cow.log_dir()] {
        for file in fs::read_dir(folder).unwrap() {
            assert!(!file.unwrap().file_name().to_str().unwrap().ends_with(".tmp"), "{what}");
        }
    }
    let now = State::of(site);
    let is = |expected: &State| {
        // To make room is what a full disk asks for, and a gc may have dropped some.
        let may_keep_less = fault == Fault::Enospc || operation == "gc";
        let kept =
            now.kept == expected.kept || may_keep_less && now.kept.iter().all(|tree| expected.kept.contains(tree));
        // Where there is no room for one, a branch goes without.
        let partings = now.partings == expected.partings || fault == Fault::Enospc;
        now.branches == expected.branches && partings && now.log == expected.log && kept
    };
    let (before, after) = (&states[0], states.last().filter(|_| states.len() > 1));
    match &outcome.error {
        None if fault == Fault::Death => {
            assert!(states.iter().take(2).any(is), "{what}: {now:#?} is neither\n{states:#?}");
        }
        // The fault did no harm.
        None => assert!(after.is_some_and(is), "{what}: {now:#?} is not\n{after:#?}"),
        Some(error)
            if ["gc", "spare"].contains(&operation)
                || ["Unfinished", "Halfway", "NotPutBack"].iter().any(|word| error.starts_with(word)) =>
        {
            assert!(states.iter().take(2).any(is), "{what}: {now:#?} is neither\n{states:#?}");
        }
        Some(_) => assert!(is(before), "{what}: {now:#?} is not\n{before:#?}"),
    }
    check_links(site, what);
    if ["merge", "carried-merge"].contains(&operation) && after.is_some_and(is) {
        mutation::undo(site, None, &mut patience(), &Silent).unwrap();
        let State { branches, partings, .. } = State::of(site);
        assert_eq!((&branches, &partings), (&before.branches, &before.partings), "{what}, and undone");
    }
    // From a spare, where one was made.
    mutation::create(site, &name("another"), &BranchName::main(), &mut patience(), &Silent).unwrap();
    assert_eq!(tree_state(&site.layout.branch(&name("another"))), tree_state(&site.layout.branch(&BranchName::main())));
}

/// Every branch of an image has its link, and no link leads elsewhere.
fn check_links(site: &Site, what: &str) {
    if site.layout.image().is_none() {
        return;
    }
    let names: Vec<_> = branch::list(site).unwrap().into_iter().map(|branch| branch.name).collect();
    for name in &names {
        assert_eq!(storage::look_at_link(&site.layout, name).unwrap(), Some(Link::Right), "{what}: {name}");
    }
    let entries = fs::read_dir(site.layout.public_root()).unwrap().map(Result::unwrap);
    assert_eq!(entries.filter(|entry| entry.path().is_symlink()).count(), names.len(), "{what}");
}

/// What is served until recovery is a tree of before or after, too.
fn check_what_is_served(site: &Site, states: &[State], what: &str) {
    for branch in branch::list(site).unwrap() {
        if site.layout.cow().record(&branch.name).exists() {
            let (now, name) = (tree_state(&branch.path), branch.name.to_string());
            let mut known = states.iter().take(2).filter_map(|state| state.branches.get(&name));
            assert!(known.any(|(tree, _)| *tree == now), "{what}: '{name}' is served as {now:#?}");
        }
    }
}

/// Where steps cost least: the crash of a process, unlike a power cut, loses nothing that was not synced.
fn in_memory() -> Template {
    Template::new(Place::in_memory(), FileView::FileCopy)
}

#[test]
fn a_process_killed_at_any_step_leaves_the_state_before_or_after() {
    let template = in_memory();
    for operation in OPERATIONS.into_iter().chain(FILES) {
        let steps = hit_every_step(&template, &[operation], 0, Fault::Death);
        eprintln!("{operation}: {steps} steps");
        assert!(steps > 5, "{operation}");
    }
    for script in RENAMES.into_iter().chain(BATCHES).chain(SPARES) {
        hit_every_step(&template, script, script.len() - 1, Fault::Death);
    }
}

#[test]
fn a_counter_of_publishes_that_a_power_cut_took_back_does_not_hide_that_an_apply_has_happened() {
    hit_every_step(&in_memory(), &["rolled-back-apply"], 0, Fault::Death);
}

/// Killed when some files have changed places, and then one of them can't be changed any more, whoever asks.
#[test]
fn a_file_that_cannot_be_put_back_stops_no_other_and_is_put_back_once_it_can_be() {
    let Some(place) = Place::of(Kind::Ext4) else { return };
    let template = Template::new(place, FileView::FileCopy);
    let (states, steps) = reference(&template, &["apply"]);
    let (mut copies, mut refused) = (0, 0);
    for at in 1..=steps[1] {
        let copy = template.copy();
        let outcome = play(&copy.site, &["apply"], at, Fault::Death);
        let (site, cow) = (&copy.site, copy.site.layout.cow());
        let tree = site.layout.branch(&name("x"));
        if outcome.total.is_some() || cow.record(&name("x")).exists() || !tree.join("made/inner/file").exists() {
            continue;
        }
        copies += 1;
        let flag = |flag: &str| Command::new("chattr").arg(flag).arg(tree.join("mark")).status().unwrap().success();
        if !flag("+i") {
            eprintln!("SKIPPED: no chattr on this file system");
            return;
        }
        let is_new = fs::read_to_string(tree.join("mark")).unwrap() == "#!applied";
        for _ in 0..2 {
            match mutation::recover(site, &mut patience()) {
                Err(RecoverError::NotPutBack { name, paths, .. }) => {
                    refused += 1;
                    assert!(is_new && name.as_str() == "x", "{name} at step {at}");
                    assert_eq!(paths, [Path::new("mark")], "at step {at}");
                    assert!(!cow.record(&name).exists(), "nobody is served it");
                    assert_eq!(fs::read_to_string(tree.join("folder/deep/file")).unwrap(), "deep", "at step {at}");
                    assert!(!tree.join("made").exists(), "at step {at}");
                }
                recovered => assert!(!is_new, "at step {at}: {recovered:?}"),
            }
        }
        assert!(flag("-i"));
        recover_and_check(&copy, &states, "apply", Fault::Death, &outcome, &format!("killed at step {at}"));
    }
    assert!(copies > 2 && refused > 2, "{copies} {refused}");
}

#[test]
#[ignore = "a role that another test starts"]
fn is_a_request_of_y_until_nobody_listens() {
    let site = Site::open(&world::my_place()).unwrap();
    let (cow, branch) = (site.layout.cow(), name("y"));
    let note = CommandNote::program(cow, &branch, "slow").unwrap();
    note.serve();
    let operations =
        SharedOperations::lock(&Arc::new(OperationsFiles::open(cow).unwrap()), Deadline::NEVER, None).unwrap();
    let files = Arc::new(BranchFiles::open(cow, &branch).unwrap());
    let _lock = SharedBranch::lock(&operations, &files, Deadline::NEVER, true).unwrap();
    world::tell("holds");
    world::listen();
}

/// A request of the branch `y`, in a process of its own. Dropped, it must have been running until then, and ends.
struct Neighbour(Option<world::Other>);

impl Neighbour {
    fn begin(site: &Site) -> Self {
        let mut request = world::Other::start("is_a_request_of_y_until_nobody_listens", site.layout.work_dir());
        request.hears("holds");
        Self(Some(request))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        if let Some(mut request) = self.0.take().filter(|_| !std::thread::panicking()) {
            request.say("end");
            request.wait();
        }
    }
}

/// Recovery is beside it, too: had it to wait for that request, it would give up.
#[test]
fn beside_a_request_of_another_branch_any_step_that_kills_or_fails_leaves_the_state_before_or_after() {
    let template = in_memory();
    let hit = |operation: &str, one_in: usize, fault: Fault| {
        let steps = hit_steps_while(&template, &[operation], 0, one_in, fault, Neighbour::begin);
        assert!(steps > 3, "{operation}");
    };
    for operation in ["create", "reset", "delete", "undo", "apply", "create-with", "create-all"] {
        hit(operation, one_in(4), Fault::Death);
        hit(operation, one_in(12), Fault::Eio);
    }
    hit("merge", one_in(24), Fault::Death);
    hit("merge", one_in(48), Fault::Eio);
}

#[test]
fn a_process_killed_at_any_step_of_a_second_operation_leaves_the_state_before_or_after() {
    let template = in_memory();
    for first in OPERATIONS {
        for second in OPERATIONS {
            hit_some_steps(&template, &[first, second], 1, Fault::Death);
        }
    }
    for script in PAIRS_WITH_FILES {
        hit_some_steps(&template, &script, 1, Fault::Death);
    }
}

/// A merge has many steps, and most of them read: of what comes in pairs, so many are left out where nobody has hours.
const ONE_IN: usize = 6;

/// Hits each script's last operation: each of its steps, or one in [`ONE_IN`].
fn hit_merges(template: &Template, scripts: &[&[&str]], one_in: usize, fault: Fault) {
    for script in scripts {
        let begun = Instant::now();
        let steps = hit_steps(template, script, script.len() - 1, one_in, fault);
        eprintln!("{script:?} with {fault:?}: {steps} steps, one in {one_in}, {:?}", begun.elapsed());
        assert!(steps > 3, "{script:?}");
    }
}

#[test]
fn a_process_killed_at_any_step_of_a_merge_leaves_the_state_before_or_after() {
    let template = in_memory();
    hit_merges(&template, &MERGES[..1], 1, Fault::Death);
    hit_merges(&template, &MERGES[1..], ONE_IN, Fault::Death);
}

#[test]
fn any_step_of_a_merge_that_fails_leaves_the_state_before_or_one_that_is_finished_later() {
    let template = in_memory();
    for fault in [Fault::Eio, Fault::Enospc, Fault::Eintr] {
        hit_merges(&template, &MERGES[..1], ONE_IN, fault);
    }
    hit_merges(&template, &[MERGES[1], MERGES[2], CARRIED], ONE_IN, Fault::Eio);
}

#[test]
fn steps_of_a_merge_that_fail_from_one_on_or_each_time_leave_what_recovery_needs() {
    let template = in_memory();
    for script in [MERGES[0], MERGES[2]] {
        fail_from_every_step_on(&template, script, ONE_IN, Fault::Eio);
        fail_at_every_place(&template, script, 2 * ONE_IN, Fault::Eio, Lasting::There);
    }
    fail_from_every_step_on(&template, MERGES[0], 2 * ONE_IN, Fault::Enospc);
    fail_at_every_place(&template, MERGES[0], 4 * ONE_IN, Fault::Eio, Lasting::AtPath);
}

#[test]
fn a_process_killed_at_a_step_of_a_merge_on_other_file_systems_leaves_the_state_before_or_after() {
    for (kind, view) in [(Kind::Xfs, FileView::Reflink), (Kind::Btrfs, FileView::BtrfsSnapshot)] {
        let Some(place) = Place::of(kind) else { continue };
        let template = Template::new(place, view);
        hit_merges(&template, &[MERGES[0], MERGES[2]], ONE_IN, Fault::Death);
    }
    if let Some(template) = Template::in_image(FileView::LinuxXfsLoop) {
        hit_merges(&template, &MERGES[..1], 4 * ONE_IN, Fault::Death);
    }
}

/// What `make soak` has the time for.
#[test]
#[ignore = "takes an hour"]
fn a_merge_hit_at_each_of_its_steps_leaves_the_state_before_or_after() {
    let template = in_memory();
    for fault in [Fault::Death, Fault::Eio, Fault::Enospc] {
        hit_merges(&template, &MERGES, 1, fault);
    }
    for script in [MERGES[0], MERGES[2]] {
        fail_from_every_step_on(&template, script, 1, Fault::Eio);
        fail_at_every_place(&template, script, 1, Fault::Eio, Lasting::There);
    }
    for (kind, view) in [(Kind::Xfs, FileView::Reflink), (Kind::Btrfs, FileView::BtrfsSnapshot)] {
        let Some(place) = Place::of(kind) else { continue };
        hit_merges(&Template::new(place, view), &MERGES, 1, Fault::Death);
    }
}

#[test]
fn any_step_that_fails_leaves_the_state_before_or_one_that_is_finished_later() {
    let template = in_memory();
    for operation in OPERATIONS.into_iter().chain(FILES) {
        for fault in [Fault::Eio, Fault::Enospc, Fault::Eintr] {
            hit_some_steps(&template, &[operation], 0, fault);
        }
    }
    for script in RENAMES {
        hit_some_steps(&template, script, script.len() - 1, Fault::Eio);
    }
}

/// Plays the script once for each step of its last operation, from which on all fail: of the disk, nothing is left that
/// works. Once it works again, recovery must find all that it needs.
fn fail_from_every_step_on(template: &Template, script: &[&str], one_in: usize, fault: Fault) {
    let from = script.len() - 1;
    let (states, steps) = reference(template, script);
    for at in (steps[from] + 1..).step_by(one_in) {
        let copy = template.copy();
        let outcome = play_lasting(&copy.site, script, at, fault, Lasting::FromThen);
        if outcome.total.is_some_and(|total| total < at) {
            return;
        }
        // The operation before may have had a step more than in the run without a fault.
        let hit = outcome.steps.len().min(from);
        let what = format!("{script:?} with {fault:?} from step {at} on: {:?}", outcome.error);
        recover_and_check(&copy, &states[hit..], script[hit], fault, &outcome, &what);
    }
}

/// Plays the script once for each step of its last operation, which fails, as does each later step at the same path or, with
/// [`Lasting::There`], that does the same there; and so do two recoveries. Once that can be done, the next must find all that
/// it needs.
fn fail_at_every_place(template: &Template, script: &[&str], one_in: usize, fault: Fault, lasting: Lasting) {
    let from = script.len() - 1;
    let (states, steps) = reference(template, script);
    for at in (steps[from] + 1..).step_by(one_in) {
        let copy = template.copy();
        let outcome = play_lasting(&copy.site, script, at, fault, lasting);
        if outcome.total.is_some_and(|total| total < at) {
            return;
        }
        // The operation before may have had a step more than in the run without a fault.
        let hit = outcome.steps.len().min(from);
        let what = format!("{script:?} with {fault:?} each time at {:?}: {:?}", outcome.failed, outcome.error);
        let (step, path) = outcome.failed.clone().expect("a step that failed");
        let there = (if lasting == Lasting::There { step } else { String::new() }, path);
        for _ in 0..2 {
            play_there(&copy.site, &["recover"], fault, &there);
            check_what_is_served(&copy.site, &states[hit..], &what);
        }
        recover_and_check(&copy, &states[hit..], script[hit], fault, &outcome, &what);
    }
}

/// Scripts of which the last operation is hit by faults that stay.
const LASTING_SCRIPTS: [&[&str]; 10] = [
    &["apply"],
    &["apply", "undo"],
    &["create-with"],
    &["create"],
    &["reset"],
    &["delete"],
    &["purge"],
    &["undo"],
    &["create-all"],
    &["create-all", "undo"],
];

#[test]
fn all_steps_that_fail_from_one_on_leave_what_recovery_needs() {
    let template = in_memory();
    for script in LASTING_SCRIPTS {
        fail_from_every_step_on(&template, script, one_in(3), Fault::Eio);
    }
    for script in &LASTING_SCRIPTS[..2] {
        fail_from_every_step_on(&template, script, one_in(3), Fault::Enospc);
    }
}

#[test]
fn a_step_that_fails_each_time_and_in_recovery_leaves_what_the_next_recovery_needs() {
    let template = in_memory();
    for script in LASTING_SCRIPTS {
        fail_at_every_place(&template, script, one_in(3), Fault::Eio, Lasting::There);
    }
    for script in &LASTING_SCRIPTS[..2] {
        fail_at_every_place(&template, script, one_in(3), Fault::Enospc, Lasting::There);
        fail_at_every_place(&template, script, one_in(3), Fault::Eio, Lasting::AtPath);
    }
}

#[test]
fn any_step_that_fails_of_a_batch_or_with_a_spare_leaves_the_state_before_or_one_that_is_finished_later() {
    let template = in_memory();
    for script in BATCHES.into_iter().take(2).chain([&["spare", "create-main"][..]]) {
        hit_some_steps(&template, script, script.len() - 1, Fault::Eio);
    }
    for operation in ["create-all", "spare"] {
        hit_some_steps(&template, &[operation], 0, Fault::Enospc);
    }
}

#[test]
fn a_process_killed_at_any_step_where_files_share_blocks_leaves_the_state_before_or_after() {
    let Some(place) = Place::of(Kind::Xfs) else { return };
    let template = Template::new(place, FileView::Reflink);
    for operation in ["create", "reset", "apply", "create-all"] {
        hit_some_steps(&template, &[operation], 0, Fault::Death);
    }
    hit_some_steps(&template, &["spare", "create-main"], 0, Fault::Death);
}

#[test]
fn a_process_killed_at_any_step_where_branches_are_subvolumes_leaves_the_state_before_or_after() {
    let Some(place) = Place::of(Kind::Btrfs) else { return };
    let template = Template::new(place, FileView::BtrfsSnapshot);
    for operation in OPERATIONS.into_iter().chain(FILES).chain(["create-all"]) {
        hit_some_steps(&template, &[operation], 0, Fault::Death);
    }
    hit_some_steps(&template, &["create-all", "undo"], 1, Fault::Death);
    for operation in ["reset", "apply"] {
        hit_some_steps(&template, &[operation], 0, Fault::Eio);
    }
}

/// Only the last operation of each script is hit.
fn hit_every_step_in_an_image(view: FileView, scripts: &[&[&str]]) {
    let Some(template) = Template::in_image(view) else { return };
    for script in scripts {
        hit_every_step(&template, script, script.len() - 1, Fault::Death);
    }
}

#[test]
fn a_process_killed_at_any_step_where_branches_are_in_an_xfs_image_leaves_the_state_before_or_after() {
    hit_every_step_in_an_image(FileView::LinuxXfsLoop, &[&["create"], &["reset"], &["delete"], &["undo"]]);
}

#[test]
fn a_process_killed_at_any_step_where_branches_are_in_a_sparse_bundle_leaves_the_state_before_or_after() {
    let test = "a_process_killed_at_any_step_where_branches_are_in_a_sparse_bundle_leaves_the_state_before_or_after";
    if !place::again_with_hdiutil(test) {
        hit_every_step_in_an_image(FileView::MacosApfsSparsebundle, &[&["create"], &["reset"]]);
    }
}

#[test]
fn a_process_killed_at_any_step_of_a_batch_or_with_a_spare_in_an_xfs_image_leaves_the_state_before_or_after() {
    let scripts: [&[&str]; 4] = [&["create-all"], &["create-all", "undo"], &["spare"], &["spare", "create-all-main"]];
    hit_every_step_in_an_image(FileView::LinuxXfsLoop, &scripts);
}

#[test]
fn a_process_killed_at_any_step_of_a_batch_or_with_a_spare_in_a_sparse_bundle_leaves_the_state_before_or_after() {
    let test =
        "a_process_killed_at_any_step_of_a_batch_or_with_a_spare_in_a_sparse_bundle_leaves_the_state_before_or_after";
    if !place::again_with_hdiutil(test) {
        hit_every_step_in_an_image(FileView::MacosApfsSparsebundle, &[&["create-all"], &["spare", "create-main"]]);
    }
}

/// Kills a process at each step of something that is done to the storage, and has the next server start heal that.
fn kill_at_every_step_of_storage(template: &Template, operation: &str) {
    let expected = State::of(&template.copy().site);
    for at in 1.. {
        let copy = template.copy();
        let site = &copy.site;
        if let (Some(image), "attach" | "make") = (site.layout.image(), operation) {
            storage::unmount_unused(image).unwrap();
            if operation == "make" {
                storage::remove(image).unwrap();
            }
        }
        let outcome = play(site, &[operation], at, Fault::Death);
        let what = format!("{operation} killed at step {at}");
        if operation == "make" {
            storage::make(&site.layout, IMAGE_BYTES).unwrap();
            assert!(site.layout.branches_dir().is_dir() && site.layout.cow().staging_dir().is_dir(), "{what}");
        } else {
            if site.layout.conversion().exists() {
                assert!(mutation::is_unfinished(site).unwrap(), "{what}: a server has something to end");
            }
            let site = start(site);
            assert_eq!(State::of(&site), expected, "{what}");
            check_links(&site, &what);
            mutation::create(&site, &name("another"), &name("x"), &mut patience(), &Silent).unwrap();
        }
        let site = Site::open(site.layout.work_dir()).unwrap();
        check_nothing_is_left(&site, &what);
        if outcome.total.is_some_and(|total| total < at) {
            eprintln!("{operation}: {} steps", at - 1);
            assert!(at > 3, "{operation}");
            return;
        }
    }
}

/// What a server does as it starts.
fn start(site: &Site) -> Site {
    let lifecycle = Lifecycle::lock(site.layout.cow(), "test", &mut patience()).unwrap();
    convert::heal(site, &lifecycle, &mut patience()).unwrap();
    let site = Site::open(site.layout.work_dir()).unwrap();
    storage::attach(&site, &lifecycle).unwrap();
    mutation::recover(&site, &mut patience()).unwrap();
    keep::empty_trash(&site).unwrap();
    site
}

/// Detaches, and looks for mounts, loop devices, half images and notes.
fn check_nothing_is_left(site: &Site, what: &str) {
    if let Some(image) = site.layout.image() {
        storage::unmount_unused(image).unwrap();
        assert!(!image.new_image().exists(), "{what}");
    }
    let root = site.layout.public_root().to_str().unwrap();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&format!("{root}/")), "{what}: something is mounted");
    let devices = Command::new("losetup").args(["-n", "-O", "BACK-FILE"]).output().unwrap().stdout;
    assert!(!String::from_utf8_lossy(&devices).contains(&format!("{root}/")), "{what}: a loop device is there");
    let images = ImageKind::ALL.map(|kind| ImageLayout::new(site.layout.work_dir(), kind));
    let unused = images.iter().filter(|image| site.layout.image() != Some(image));
    assert_eq!(unused.filter(|image| image.dir().exists()).count(), 0, "{what}: an image is left");
    assert!(!site.layout.conversion().exists(), "{what}");
    assert!(!site.layout.work_dir().join("convert").exists(), "{what}");
    let aside = fs::read_dir(site.layout.cow().records_dir()).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(aside.filter(|path| path.extension().is_some_and(|e| e == "aside")).count(), 0, "{what}");
}

#[test]
fn killed_at_any_step_an_xfs_image_is_made_attached_detached_compacted_and_grown_by_the_next_start() {
    let Some(template) = Template::in_image(FileView::LinuxXfsLoop) else { return };
    for operation in ["make", "attach", "detach", "compact", "grow"] {
        kill_at_every_step_of_storage(&template, operation);
    }
}

#[test]
fn killed_at_any_step_a_sparse_bundle_is_made_attached_detached_and_compacted_by_the_next_start() {
    let test = "killed_at_any_step_a_sparse_bundle_is_made_attached_detached_and_compacted_by_the_next_start";
    if place::again_with_hdiutil(test) {
        return;
    }
    let Some(template) = Template::in_image(FileView::MacosApfsSparsebundle) else { return };
    for operation in ["make", "attach", "detach", "compact"] {
        kill_at_every_step_of_storage(&template, operation);
    }
}

#[test]
fn a_conversion_killed_at_any_step_loses_nothing_and_is_ended_by_the_next_start() {
    if let Some(template) = Template::in_image(FileView::LinuxXfsLoop) {
        kill_at_every_step_of_storage(&template, "convert-to-files");
    }
    if let Some(place) = Place::xfs_in_memory() {
        kill_at_every_step_of_storage(&Template::new(place, FileView::FileCopy), "convert-to-image");
    }
}

#[test]
fn a_conversion_that_was_killed_goes_on_with_what_it_has_copied() {
    let Some(place) = Place::xfs_in_memory() else { return };
    let template = Template::new(place, FileView::FileCopy);
    let convert = |site: &Site| {
        let lifecycle = Lifecycle::lock(site.layout.cow(), "test", &mut patience()).unwrap();
        convert::convert(site, FileView::LinuxXfsLoop, &lifecycle, &mut patience(), &Silent).unwrap();
        Site::open(site.layout.work_dir()).unwrap()
    };
    // Until it has copied a branch whole, and not the next one.
    for at in (10..).step_by(10) {
        let copy = template.copy();
        let outcome = play(&copy.site, &["convert-to-image"], at, Fault::Death);
        assert!(outcome.total.is_none(), "it ended before it was killed in the middle");
        let image = ImageLayout::new(copy.site.layout.work_dir(), ImageKind::XfsLoop);
        let notes = copy.site.layout.conversion_trees("copied");
        if !notes.join("branches-main").exists() {
            start(&copy.site);
            check_nothing_is_left(&copy.site, &format!("killed at step {at}"));
            continue;
        }
        let inode = |branch: &str| fs::metadata(image.branches_dir().join(branch).join("mark")).ok().map(|m| m.ino());
        let before = inode("main");
        // What changed while nothing was copied is copied now.
        fs::write(copy.site.layout.branch(&name("main")).join("later"), "later").unwrap();
        let expected = State::of(&copy.site);
        let site = convert(&copy.site);
        assert!(before.is_some() && inode("main") == before, "main is copied once");
        assert_eq!(State::of(&site), expected);
        check_links(&site, "goes on");
        check_nothing_is_left(&site, "goes on");
        return;
    }
}

#[test]
fn a_recovery_killed_at_any_step_is_finished_by_the_next() {
    let template = in_memory();
    for script in [MERGES[0], MERGES[2]] {
        kill_recoveries(&template, script, 2 * ONE_IN);
    }
    let scripts = OPERATIONS.iter().chain(&FILES).map(std::slice::from_ref).chain(RENAMES);
    let scripts = scripts
        .chain([&["apply", "undo"][..]])
        .chain(BATCHES.into_iter().take(3))
        .chain([&["spare", "create-main"][..]]);
    for script in scripts {
        kill_recoveries(&template, script, 1);
    }
}

/// Kills a process at one in so many steps of a script's last operation, and then each recovery.
fn kill_recoveries(template: &Template, script: &[&str], one_in: usize) {
    let (states, steps) = reference(template, script);
    for at in (steps[script.len() - 1] + 1..).step_by(one_in) {
        let copy = template.copy();
        let outcome = play(&copy.site, script, at, Fault::Death);
        if outcome.total.is_some() {
            break;
        }
        let cow = copy.site.layout.cow();
        if !cow.intent().exists() && !cow.batch_intent().exists() {
            continue;
        }
        let mut killed = 1;
        // Each recovery goes on from where the last one was killed, a step further each time.
        while play(&copy.site, &["recover"], killed, Fault::Death).steps.is_empty() {
            killed += 1;
        }
        let what = format!("{script:?} killed at step {at}, and recoveries at up to {killed}");
        let hit = outcome.steps.len();
        recover_and_check(&copy, &states[hit..], script[hit], Fault::Death, &outcome, &what);
    }
}

/// How often a process at mutations is killed under traffic.
const KILLS: u64 = 200;

/// Where a tree of the traffic test says its version, besides its database.
const VERSION_FILE: &str = "version";

#[test]
#[ignore = "a role that another test starts"]
fn mutates_until_it_is_killed() {
    let site = Site::open(Path::new(&std::env::var_os(PLACE).unwrap())).unwrap();
    let seed: u64 = std::env::var(SCRIPT).unwrap().parse().unwrap();
    println!("\nbegun");
    // Not for ever: a test that fails may leave this one alone with the disk.
    for step in seed..seed + 1000 {
        let (branch, from) =
            (name(["a", "b"][(step % 2) as usize]), name(["main", "lasting"][(step / 2 % 2) as usize]));
        let (patience, progress) = (&mut patience(), &Silent);
        // Refused is what the state at the kill does not allow.
        let failed = match step / 4 % 4 {
            0 => mutation::create(&site, &branch, &from, patience, progress).err(),
            1 => match mutation::reset(&site, &branch, &from, false, patience, progress) {
                Err(ResetError::Change(error)) => Some(error),
                _ => None,
            },
            2 => match mutation::delete(&site, &branch, step % 3 == 0, patience, progress) {
                Err(DeleteError::Change(error)) => Some(error),
                _ => None,
            },
            _ => {
                // Not whatever is newest: where kills left little in force, that is the branch that is to last.
                let history = History::read(site.layout.cow()).unwrap();
                let in_force = |entry: &&LogEntry| entry.name == branch && history.undone_by(entry.id).is_none();
                let Some(newest) = history.entries.iter().rev().find(in_force) else { continue };
                match mutation::undo(&site, Some(newest.id), patience, progress) {
                    Err(UndoError::Change(error)) => Some(error),
                    _ => None,
                }
            }
        };
        let is_broken = |error: &ChangeError| match error {
            ChangeError::Unfinished { .. } => true,
            error => matches!(error.step(), Some(StepError::Disk(_) | StepError::Database(_))),
        };
        if let Some(error) = failed.filter(is_broken) {
            println!("broken: {error:?}");
            return;
        }
        gc::clean(&site, patience).unwrap();
    }
}

/// What a tree says its version is, in its file and in its database, which every request changes together.
fn versions(tree: &Path) -> (u64, u64) {
    let in_file = fs::read_to_string(tree.join(VERSION_FILE)).unwrap().parse().unwrap();
    let connection = world::open(tree);
    (in_file, connection.query_row("SELECT posts FROM counts", [], |row| row.get(0)).unwrap())
}

#[test]
fn mutations_two_at_once_killed_200_times_under_traffic_tear_and_lose_nothing() {
    let place = Place::in_memory();
    let world = World::new(place, FileView::FileCopy, |main| fs::write(main.join(VERSION_FILE), "1").unwrap());
    world.create("lasting").unwrap();
    let site = &world.site;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| {
            let files = Arc::new(OperationsFiles::open(site.layout.cow()).unwrap());
            let mut written = [1; 2];
            while !over.load(SeqCst) {
                let request = SharedOperations::lock(&files, Deadline::after(Duration::from_secs(60)), None);
                let request = request.unwrap();
                for (branch, written) in ["main", "lasting"].into_iter().zip(&mut written) {
                    let tree = site.layout.branch(&name(branch));
                    assert_eq!(versions(&tree), (*written, *written), "{branch} lost a write");
                    *written += 1;
                    let connection = world::open(&tree);
                    connection.execute("UPDATE counts SET posts = ?1", [*written]).unwrap();
                    fs::write(tree.join(VERSION_FILE), written.to_string()).unwrap();
                }
                for branch in branch::list(site).unwrap() {
                    let (in_file, in_database) = versions(&branch.path);
                    assert_eq!(in_file, in_database, "{} is torn", branch.name);
                }
                drop(request);
            }
            written
        });
        // Two at once: while one dies, the other is at work.
        let mut before: Option<(Child, _)> = None;
        for kill in 0..KILLS {
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--ignored", "--exact", "--nocapture", "mutates_until_it_is_killed"])
                .env(PLACE, site.layout.work_dir())
                .env(SCRIPT, (kill * 5).to_string())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
            assert!(said.any(|line| line == "begun"));
            // Any moment will do: multiples of a number that has nothing in common with what a step takes.
            std::thread::sleep(Duration::from_micros(kill * 7_919 % 60_000));
            let Some((mut child, mut said)) = before.replace((child, said)) else { continue };
            child.kill().unwrap();
            child.wait().unwrap();
            assert_eq!(said.find(|line| line.starts_with("broken")), None);
            assert!(!traffic.is_finished(), "the traffic found something broken");
        }
        if let Some((mut child, _)) = before {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        over.store(true, SeqCst);
        assert!(traffic.join().unwrap().iter().all(|written| *written > 1));
    });
    mutation::recover(site, &mut patience()).unwrap();
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    for branch in branch::list(site).unwrap() {
        assert_eq!(world::ask::<String>(&branch.path, "PRAGMA quick_check"), "ok");
    }
    let history = History::read(site.layout.cow()).unwrap();
    assert!(history.entries.len() > 10, "the mutations got something done");
    for kept in fs::read_dir(site.layout.cow().kept_dir()).unwrap() {
        let (in_file, in_database) = versions(&kept.unwrap().path());
        assert_eq!(in_file, in_database);
    }
}
