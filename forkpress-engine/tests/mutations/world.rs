//! A small site to mutate, and processes that write into it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use forkpress_core::deadline::Deadline;
use forkpress_core::layout::{SiteLayout, database_of};
use forkpress_core::lock::Patience;
use forkpress_core::name::BranchName;
use forkpress_engine::config::{AccessLog, FileView, Keep, SLOW_MS, Serve, SiteConfig, Strategy, VERSION};
use forkpress_engine::mutation::EditError;
use forkpress_engine::mutation::files::{After, Overlay, PathChange};
use forkpress_engine::mutation::new_database::TreeEdit;
use forkpress_engine::mutation::{
    self, ChangeError, CreateError, DeleteError, Prepared, Report, ResetError, UndoError,
};
use forkpress_engine::progress::Silent;
use forkpress_engine::site::{self, Site};
use forkpress_engine::{storage, view};
use rusqlite::Connection;

use crate::place::Place;

pub struct World {
    pub site: Site,
    _place: Option<Place>,
}

/// Little more than the least that an XFS file system may have.
const IMAGE_BYTES: u64 = 512 << 20;

pub fn name(name: &str) -> BranchName {
    name.parse().unwrap()
}

/// More patience than any test needs.
pub fn patience() -> Patience<'static> {
    Patience::silent(Deadline::after(Duration::from_secs(60)))
}

impl World {
    /// A site whose `main` has a database with one post and what `fill` puts into its tree.
    pub fn new(place: Place, view: FileView, fill: impl FnOnce(&Path)) -> Self {
        let site = Self::at(&place.root, view, fill).site;
        Self { site, _place: Some(place) }
    }

    /// The same in a folder that is somebody else's to remove.
    pub fn at(root: &Path, view: FileView, fill: impl FnOnce(&Path)) -> Self {
        let layout = SiteLayout::at(root).with_image(view.image());
        if layout.image().is_some() {
            storage::make(&layout, IMAGE_BYTES).unwrap();
        }
        site::create_folders(&layout).unwrap();
        let config = SiteConfig {
            version: VERSION,
            strategy: Strategy::Cow,
            file_view: view,
            root_host: "wp.localhost".to_owned(),
            port: 21000,
            spares: 1,
            links: Vec::new(),
            id_bands: true,
            access_log: AccessLog::default(),
            slow_ms: SLOW_MS,
            keep: Keep { free_bytes: 0, ..Keep::default() },
            serve: Serve::default(),
        };
        config.write(&layout.config()).unwrap();
        let staged = layout.cow().staged_tree(&BranchName::main());
        view::create_tree_root(view, &staged).unwrap();
        fs::create_dir_all(database_of(&staged).parent().unwrap()).unwrap();
        fs::write(staged.join("index.php"), "<?php").unwrap();
        make_database(&staged, "WAL");
        fill(&staged);
        let site = Site { layout, config };
        mutation::adopt_main(&site, &staged, None, &mut patience()).unwrap();
        Self { site, _place: None }
    }

    pub fn path(&self, branch: &str) -> PathBuf {
        self.site.layout.branch(&name(branch))
    }

    pub fn create(&self, branch: &str) -> Result<Report, ChangeError> {
        mutation::create(&self.site, &name(branch), &BranchName::main(), &mut patience(), &Silent)
    }

    pub fn create_all(&self, branches: &[&str]) -> Result<Report, CreateError> {
        let names: Vec<_> = branches.iter().map(|branch| name(branch)).collect();
        mutation::create_all(&self.site, &names, &BranchName::main(), &mut patience(), &Silent)
    }

    /// Makes spares, and says how many were made and how many went.
    pub fn keep_spares(&self) -> (usize, usize) {
        settle(&self.path("main"));
        let kept = mutation::spare::keep(&self.site, &Silent).unwrap();
        (kept.made, kept.dropped)
    }

    /// How many spares there are.
    pub fn spares(&self) -> usize {
        mutation::spare::list(&self.site).unwrap().len()
    }

    pub fn prepare_create(&self, branch: &str) -> Prepared<'_> {
        mutation::prepare_create(&self.site, &name(branch), &BranchName::main(), &mut patience(), &Silent).unwrap()
    }

    pub fn reset(&self, branch: &str, from: &str, force: bool) -> Result<Report, ResetError> {
        mutation::reset(&self.site, &name(branch), &name(from), force, &mut patience(), &Silent)
    }

    pub fn delete(&self, branch: &str) -> Result<Report, DeleteError> {
        mutation::delete(&self.site, &name(branch), false, &mut patience(), &Silent)
    }

    pub fn undo(&self, id: Option<u64>) -> Result<Report, UndoError> {
        mutation::undo(&self.site, id, &mut patience(), &Silent)
    }

    pub fn apply(&self, branch: &str, edits: &mut Edits) -> Result<Report, ChangeError> {
        mutation::apply(&self.site, &name(branch), edits, "1a2b3c4", &mut patience(), &Silent)
    }

    pub fn prepare_apply(&self, branch: &str, edits: &mut Edits) -> Prepared<'_> {
        mutation::prepare_apply(&self.site, &name(branch), edits, "1a2b3c4", &mut patience(), &Silent).unwrap()
    }

    pub fn create_with(&self, branch: &str, edits: &mut Edits) -> Result<Report, ChangeError> {
        let (name, main) = (name(branch), BranchName::main());
        mutation::create_with(&self.site, &name, &main, edits, "1a2b3c4", &mut patience(), &Silent)
    }

    pub fn create_edited(&self, branch: &str, edit: &mut TreeWork) -> Result<Report, ChangeError> {
        let (name, main) = (name(branch), BranchName::main());
        mutation::create_edited(&self.site, &name, &main, edit, "blueprint", &mut patience(), &Silent)
    }

    pub fn branches(&self) -> Vec<String> {
        forkpress_engine::branch::list(&self.site).unwrap().iter().map(|branch| branch.name.to_string()).collect()
    }

    /// Everything that may only be there while a mutation runs, or until the trash is emptied.
    pub fn leftovers(&self) -> Vec<PathBuf> {
        mutation::keep::empty_trash(&self.site).unwrap();
        let cow = self.site.layout.cow();
        [cow.staging_dir(), cow.trash_dir(), cow.journal_dir()]
            .iter()
            .flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
            .collect()
    }

    pub fn add_post(&self, branch: &str, title: &str) {
        add_post(&self.path(branch), title);
    }

    pub fn posts(&self, branch: &str) -> Vec<String> {
        let connection = open(&self.path(branch));
        let mut statement = connection.prepare("SELECT title FROM posts ORDER BY id").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }
}

/// What is done to the tree of a new branch: a file and a post, or a failure after them.
pub struct TreeWork {
    pub fails: bool,
}

impl TreeEdit for TreeWork {
    fn edit(&mut self, path: &Path) -> Result<(), EditError> {
        fs::write(path.join("made"), "by an edit").unwrap();
        add_post(path, "edited");
        if self.fails { Err(EditError::Failed("no such plugin".into())) } else { Ok(()) }
    }
}

pub fn add_post(tree: &Path, title: &str) {
    open(tree).execute("INSERT INTO posts (title) VALUES (?1)", [title]).unwrap();
}

/// Waits until no file of a tree has changed so shortly before that it counts as changed for ever.
pub fn settle(tree: &Path) {
    let metadata = |entry: walkdir::Result<walkdir::DirEntry>| entry.unwrap().metadata().unwrap();
    let changed = walkdir::WalkDir::new(tree).into_iter().map(metadata).map(|metadata| {
        let (seconds, nanoseconds) = (metadata.ctime(), metadata.ctime_nsec());
        Duration::new(u64::try_from(seconds).unwrap(), u32::try_from(nanoseconds).unwrap())
    });
    let settled = std::time::UNIX_EPOCH + changed.max().unwrap() + Duration::from_millis(30);
    while std::time::SystemTime::now() < settled {
        std::thread::yield_now();
    }
}

/// A database with one post, left with a log where it keeps one.
pub fn make_database(tree: &Path, journal_mode: &str) {
    let connection = open(tree);
    connection.pragma_update(None, "journal_mode", journal_mode).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE posts (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT);
             CREATE TABLE counts (posts INTEGER);
             INSERT INTO posts (title) VALUES ('hello');
             INSERT INTO counts VALUES (1);",
        )
        .unwrap();
}

pub fn open(tree: &Path) -> Connection {
    let connection = Connection::open(database_of(tree)).unwrap();
    connection.busy_timeout(Duration::from_secs(60)).unwrap();
    connection
}

pub fn ask<T: rusqlite::types::FromSql>(tree: &Path, question: &str) -> T {
    open(tree).query_row(question, [], |row| row.get(0)).unwrap()
}

/// What to apply, in text: a path, what is thought to be there, what is to be there.
#[derive(Default)]
pub struct Edits {
    pub edits: Vec<Edit>,
    /// Whether anything is as thought.
    pub is_trusting: bool,
}

pub struct Edit {
    path: PathBuf,
    before: Option<String>,
    after: Option<String>,
    is_executable: bool,
    is_symlink: bool,
}

impl Edits {
    /// `None` is nothing. A text that begins with `#!` is that of a program, one that begins with `->` is a symlink.
    pub fn of(edits: &[(&str, Option<&str>, Option<&str>)]) -> Self {
        let edit = |(path, before, after): &(&str, Option<&str>, Option<&str>)| Edit {
            path: path.into(),
            before: before.map(str::to_owned),
            after: after.map(|after| after.trim_start_matches("->").to_owned()),
            is_executable: after.is_some_and(|after| after.starts_with("#!")),
            is_symlink: after.is_some_and(|after| after.starts_with("->")),
        };
        Self { edits: edits.iter().map(edit).collect(), is_trusting: false }
    }
}

impl Overlay for Edits {
    fn changes(&mut self) -> io::Result<Vec<PathChange>> {
        let change = |edit: &Edit| {
            let after = match &edit.after {
                None => After::Gone,
                Some(target) if edit.is_symlink => After::Symlink(target.into()),
                Some(_) => After::File { executable: edit.is_executable },
            };
            PathChange { path: edit.path.clone(), after }
        };
        Ok(self.edits.iter().map(change).collect())
    }

    fn is_expected(&mut self, number: usize, before: Option<&Path>) -> io::Result<bool> {
        let text = |path: &Path| match fs::read_link(path) {
            Ok(target) => Ok(format!("->{}", target.display())),
            Err(_) => fs::read_to_string(path),
        };
        Ok(self.is_trusting || before.map(text).transpose()? == self.edits[number].before)
    }

    fn write(&mut self, number: usize, file: &mut File) -> io::Result<()> {
        file.write_all(self.edits[number].after.as_deref().unwrap().as_bytes())
    }
}

/// Every file of a tree and what is in it, a symlink as `->` and what it says; the database left out.
pub fn files(tree: &Path) -> BTreeMap<String, String> {
    let entries = walkdir::WalkDir::new(tree).into_iter().map(Result::unwrap);
    let leaves = entries.filter(|entry| {
        !entry.file_type().is_dir() && !entry.path().parent().unwrap().ends_with(forkpress_core::layout::DATABASE_DIR)
    });
    leaves
        .map(|entry| {
            let text = match fs::read_link(entry.path()) {
                Ok(target) => format!("->{}", target.display()),
                Err(_) => text_of(entry.path()),
            };
            (entry.path().strip_prefix(tree).unwrap().to_str().unwrap().to_owned(), text)
        })
        .collect()
}

/// The text of a file; of a database at rest, which posts it has.
fn text_of(file: &Path) -> String {
    let bytes = fs::read(file).unwrap();
    if !bytes.starts_with(b"SQLite format 3\0") {
        return String::from_utf8(bytes).unwrap();
    }
    let database = Connection::open(format!("file:{}?immutable=1", file.display())).unwrap();
    let posts = "SELECT coalesce(group_concat(title), '') FROM (SELECT title FROM posts ORDER BY id)";
    database.query_row(posts, [], |row| row.get(0)).unwrap()
}

/// A process of its own that runs one of the ignored tests of this file, and shakes hands in lines.
///
/// Killed when dropped, so that none outlives a test that fails.
pub struct Other {
    child: Child,
    lines: BufReader<ChildStdout>,
    input: ChildStdin,
}

const WHERE: &str = "FORKPRESS_TEST_PLACE";

impl Other {
    /// Starts `role`, a test of this binary, at `place`.
    pub fn start(role: &str, place: &Path) -> Self {
        Self::start_as(rustix::process::getuid().as_raw(), role, place)
    }

    /// The same as another user.
    pub fn start_as(user: u32, role: &str, place: &Path) -> Self {
        Self::start_by(Command::new("env").uid(user), role, place)
    }

    /// The same by a program that becomes the one that its last arguments name.
    pub fn start_by(program: &mut Command, role: &str, place: &Path) -> Self {
        let mut child = program
            .arg(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", role])
            .env(WHERE, place)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, input) = (BufReader::new(child.stdout.take().unwrap()), child.stdin.take().unwrap());
        Self { child, lines, input }
    }

    /// Waits until the other process has said this.
    pub fn hears(&mut self, word: &str) {
        let mut line = String::new();
        while !line.trim_end().ends_with(word) {
            line.clear();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "the other process ended before '{word}'");
        }
    }

    pub fn say(&mut self, word: &str) {
        writeln!(self.input, "{word}").unwrap();
    }

    /// Waits until the other process has played its role.
    pub fn wait(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where this process is to play its role.
pub fn my_place() -> PathBuf {
    std::env::var_os(WHERE).expect("this test is a role that another test starts").into()
}

/// Says a word to the process that started this one.
pub fn tell(word: &str) {
    println!("{word}");
}

/// Waits for a word from the process that started this one; false where it is done.
pub fn listen() -> bool {
    std::io::stdin().lines().next().is_some()
}
