//! Snapshots of a branch's database. A live database is never copied as a file.
//!
//! **On a file view that clones**, the database and its write-ahead log are cloned while a SQLite write transaction
//! keeps every other writer out. That is enough: only a writer adds frames to the log or restarts it. A checkpoint may
//! run meanwhile and move pages from the log into the database. So the database is cloned first: if its clone has only
//! a part of such a page, the clone of the log has it whole, and SQLite reads it from there. `-shm` is not cloned;
//! SQLite rebuilds it.
//!
//! **Where the whole tree is snapshot in one instant**, the database comes with it. The same transaction makes sure
//! that no commit is half in it.
//!
//! **On other views** SQLite's backup copies the database while requests go on, from one read transaction. The publish
//! then only asks SQLite whether anybody has written since, and copies again if so.
//!
//! POSIX locks, which SQLite uses, belong to the process: closing *any* descriptor of the database file drops those
//! that the process has through other descriptors. So the descriptor that a clone needs is closed after the connection.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use thiserror::Error;

use crate::bands::starts::Starts;
use crate::config::FileView;
use crate::disk::{self, Attributes, DiskError};
use crate::merge::pages::DatabaseFiles;
use crate::progress::Progress;
use crate::tree;
use forkpress_core::advice::{self, Advice};
use forkpress_core::deadline::Deadline;
use forkpress_core::layout::{database_of, wal_of};

/// How many pages a backup copies between two words on its progress.
const PAGES_PER_STEP: i32 = 4096;

/// SQLite takes its timeout as milliseconds in 31 bits.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 3600);

/// How long to wait between two attempts to become the writer. SQLite's own pauses grow to 100 milliseconds: beside a
/// program that writes one transaction after the other, its turn may never come.
const PAUSE: Duration = Duration::from_micros(200);

/// How long a mere look at a database waits where another program keeps it locked.
const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// Why a database can't be snapshot.
#[derive(Debug, Error)]
pub enum DatabaseError {
    /// The database is not a regular file in the tree: a clone of the tree would share it instead of having its own.
    #[error("{path} is not a plain file or folder, so the database cannot be snapshot")]
    NotInTree {
        /// What is a symlink or something else.
        path: PathBuf,
    },
    /// The database fails SQLite's quick check.
    #[error("the database {path} is damaged: {finding}")]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What SQLite found first.
        finding: String,
    },
    /// Somebody else kept the database locked until the deadline.
    #[error("the database {path} is locked by another program")]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// SQLite failed.
    #[error("cannot snapshot the database {path}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A step on the disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Advice for DatabaseError {
    fn hint(&self) -> Option<String> {
        self.is_passing().then(|| advice::try_again(None))
    }

    fn is_passing(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }
}

/// Copies the database of the tree `source`, which may be in use, into the tree `staged`, which has none: checked, in WAL
/// mode and durable. A tree without a database gives none.
///
/// # Errors
/// [`DatabaseError::NotInTree`], [`DatabaseError::Busy`] when somebody keeps it locked until the deadline,
/// [`DatabaseError::Sqlite`] and [`DatabaseError::Disk`] when a step fails; what was copied until then is left behind.
pub fn copy(source: &Path, staged: &Path, deadline: Deadline, progress: &dyn Progress) -> Result<(), DatabaseError> {
    Snapshot::prepare(FileView::FileCopy, source, staged, Starts::default(), deadline, progress).map(drop)
}

/// Checks the database of a tree, which may be in use. A tree without a database passes.
///
/// # Errors
/// [`DatabaseError::Damaged`] when SQLite finds something; [`DatabaseError::NotInTree`]; [`DatabaseError::Sqlite`] when
/// it can't be opened.
pub fn check(tree: &Path) -> Result<(), DatabaseError> {
    SourceDatabase::open(tree)?.map_or(Ok(()), |source| source.check())
}

/// The same of a database that is no tree's, and in nobody's use.
pub(crate) fn check_file(path: &Path) -> Result<(), DatabaseError> {
    let failed = |source| sqlite_error(path, source);
    let connection = Connection::open(path).map_err(failed)?;
    let finding: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if finding == "ok" { Ok(()) } else { Err(DatabaseError::Damaged { path: path.to_owned(), finding }) }
}

/// Writes what is in the log of a database, which is in nobody's use, into the database, and does away with the log. Does not
/// make that durable.
pub(crate) fn fold(path: &Path) -> Result<(), DatabaseError> {
    disk::step_of_library("write the log into the database", path)?;
    let failed = |source| sqlite_error(path, source);
    let connection = Connection::open(path).map_err(failed)?;
    connection.execute_batch("PRAGMA synchronous = OFF").map_err(failed)?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(failed)?;
    connection.close().map_err(|(_, error)| failed(error))
}

/// Tells a state of a database that somebody reads from the states before, and nothing of another database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Versions {
    /// Another one when a table was made, altered or dropped.
    pub(crate) schema: i64,
    /// Another one when anything was written.
    pub(crate) data: i64,
}

/// A read transaction that sees the database of a tree as it was when the transaction began. It stops nobody.
#[derive(Debug)]
pub(crate) struct DatabaseReader {
    source: SourceDatabase,
    /// The log that the transaction sees; none where the database has none.
    log: Option<File>,
}

impl DatabaseReader {
    /// Begins it; none where the tree has no database.
    pub(crate) fn begin(tree: &Path, deadline: Deadline) -> Result<Option<Self>, DatabaseError> {
        let Some(source) = SourceDatabase::open(tree)? else { return Ok(None) };
        source.wait_until(deadline);
        source.run("PRAGMA query_only = 1; BEGIN; SELECT count(*) FROM sqlite_schema")?;
        let log = disk::open_file(&wal_of(&source.path))?;
        Ok(Some(Self { source, log }))
    }

    /// What it reads with.
    pub(crate) fn connection(&self) -> &Connection {
        &self.source.connection
    }

    /// What it reads from.
    pub(crate) fn files(&self) -> DatabaseFiles<'_> {
        DatabaseFiles { database: &self.source.file, log: self.log.as_ref() }
    }

    /// Tells what it sees from what it sees later.
    pub(crate) fn versions(&self) -> rusqlite::Result<Versions> {
        let ask = |version: &str| self.source.connection.query_row(version, [], |row| row.get(0));
        Ok(Versions { schema: ask("PRAGMA schema_version")?, data: ask("PRAGMA data_version")? })
    }

    /// Sees the database as it is now, from now on.
    pub(crate) fn see_anew(&self) -> rusqlite::Result<()> {
        self.source.connection.execute_batch("COMMIT; BEGIN; SELECT count(*) FROM sqlite_schema")
    }

    /// Copies what it sees to `to`, where nothing is, in WAL mode and durably.
    pub(crate) fn copy_to(&self, to: &Path, progress: &dyn Progress) -> Result<(), DatabaseError> {
        self.source.copy_in_transaction(to, progress)?;
        into_wal_mode(to)?;
        self.source.finish(to)
    }

    /// What failed as it read.
    pub(crate) fn error(&self, source: rusqlite::Error) -> DatabaseError {
        self.source.error(source)
    }
}

/// What the database of a tree was when it was looked at; none where it may yet change without a trace. A tree without one
/// has "".
pub(crate) fn stamp(tree: &Path) -> Result<Option<String>, DiskError> {
    let looked = tree::now();
    let database = database_of(tree);
    let mut stamp = String::new();
    for path in [wal_of(&database), database.clone()] {
        let Some(found) = disk::step("look at", &path, || metadata_of(&path))? else { continue };
        // Whoever reads a database makes an empty log.
        if path != database && found.len() == 0 {
            continue;
        }
        let (modified, changed) = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
        // As root, SQLite sets the owner of the log each time it opens one.
        let changed = if path == database { changed } else { modified };
        if tree::is_racy(changed, looked) {
            return Ok(None);
        }
        stamp += &format!("{} {} {} {modified:?} {changed:?};", found.dev(), found.ino(), found.len());
    }
    Ok(Some(stamp))
}

/// Reads from the database of a tree, which may be in use, in one moment; none where the tree has no database. `stamp` is what
/// [`stamp`] said before.
///
/// Leaves no trace where all is in the database file: that is read without locks, and the answer is good if the file is
/// afterwards what it was before. Otherwise SQLite makes a `-shm`, and takes locks that stop no writer.
pub(crate) fn read<T>(
    tree: &Path,
    stamp_before: Option<&str>,
    action: impl Fn(&Connection) -> rusqlite::Result<T>,
) -> Result<Option<T>, DatabaseError> {
    let Some(path) = find(tree)? else { return Ok(None) };
    let log = wal_of(&path);
    let log_bytes = disk::step("look at", &log, || metadata_of(&log))?.map_or(0, |metadata| metadata.len());
    if stamp_before.is_some()
        && log_bytes == 0
        && let Ok(read) = connect_at_rest(&path).and_then(|connection| action(&connection))
        && stamp(tree)?.as_deref() == stamp_before
    {
        return Ok(Some(read));
    }
    let connection = connect(&path)?;
    let read = || {
        connection.busy_timeout(READ_TIMEOUT)?;
        connection.execute_batch("PRAGMA query_only = 1; BEGIN")?;
        action(&connection)
    };
    read().map(Some).map_err(|error| sqlite_error(&path, error))
}

/// Writes into the database of a tree, which may be in use, in one transaction; none where the tree has no database. Waits for
/// another writer until the deadline. A power cut may take back what was written.
pub(crate) fn write<T>(
    tree: &Path,
    deadline: Deadline,
    action: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<Option<T>, DatabaseError> {
    let Some(path) = find(tree)? else { return Ok(None) };
    let connection = connect(&path)?;
    let write = || {
        // To fold the log in is for those who have the time.
        connection.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0")?;
        become_writer(&connection, deadline)?;
        let written = action(&connection)?;
        connection.execute_batch("COMMIT")?;
        Ok(written)
    };
    write().map(Some).map_err(|error| sqlite_error(&path, error))
}

/// Gives each of the trees the database of the tree `source`, which is in nobody's use. Does not make them durable.
pub(crate) fn clone_at_rest(view: FileView, source: &Path, trees: &[PathBuf]) -> Result<(), DiskError> {
    let database = database_of(source);
    for path in [database.clone(), wal_of(&database)] {
        let Some(file) = disk::open_file(&path)? else { continue };
        let attributes = disk::step("look at", &path, || Ok(Attributes::of(&file.metadata()?)))?;
        for tree in trees {
            let to = if path == database { database_of(tree) } else { wal_of(&database_of(tree)) };
            disk::clone_file(view, &file, &to)?;
            disk::set_attributes(&to, &attributes)?;
        }
    }
    Ok(())
}

/// The database of a tree, open, and what of it the staged tree has.
#[derive(Debug)]
pub(crate) struct Snapshot {
    view: FileView,
    source_tree: PathBuf,
    staged_tree: PathBuf,
    /// None where the tree has no database.
    source: Option<SourceDatabase>,
    /// The bands that the staged tree's database begins, as far as it has one.
    starts: Starts,
}

#[derive(Debug)]
struct SourceDatabase {
    // Closed in this order.
    connection: Connection,
    file: File,
    path: PathBuf,
    /// What `PRAGMA data_version` said of the state that the staged tree has; none where it has nothing.
    copied: Option<i64>,
}

impl Snapshot {
    /// Checks the database of `source_tree` and does what can be done before the publish. `starts`: the bands that the copy
    /// begins, as far as is known yet.
    pub(crate) fn prepare(
        view: FileView,
        source_tree: &Path,
        staged_tree: &Path,
        starts: Starts,
        deadline: Deadline,
        progress: &dyn Progress,
    ) -> Result<Self, DatabaseError> {
        let mut source = SourceDatabase::open(source_tree)?;
        if let Some(source) = &mut source {
            source.wait_until(deadline);
            progress.begin("check database", None);
            source.check()?;
            progress.end();
            if view.shares_blocks() {
                source.wait_for_turn(deadline)?;
            } else {
                source.copy(&database_of(staged_tree), &starts, progress)?;
            }
        }
        Ok(Self { view, source_tree: source_tree.to_owned(), staged_tree: staged_tree.to_owned(), source, starts })
    }

    /// Gives the staged tree, whose copy may have gone since, the database as it is now, as [`Self::take`] does.
    pub(crate) fn take_anew(&mut self, timeout: Duration) -> Result<(), DatabaseError> {
        if let Some(source) = &mut self.source {
            source.copied = None;
        }
        let starts = self.starts.clone();
        self.take(&starts, timeout)
    }

    /// Whether the database is what it was when the staged tree got it.
    pub(crate) fn is_taken(&self) -> Result<bool, DatabaseError> {
        Ok(self.is_current()? && self.source.as_ref().map_or(Ok(true), SourceDatabase::is_copied)?)
    }

    /// Gives the staged tree the database as it is now, but that it begins bands of its own, in WAL mode and durable. Waits for
    /// a writer for no longer than `timeout`.
    pub(crate) fn take(&mut self, starts: &Starts, timeout: Duration) -> Result<(), DatabaseError> {
        let deadline = Deadline::after(timeout);
        self.follow(deadline)?;
        let Some(source) = &mut self.source else { return Ok(()) };
        source.wait_until(deadline);
        let staged = database_of(&self.staged_tree);
        if self.view.shares_blocks() {
            source.clone_to(self.view, &staged, starts, deadline)?;
        } else if !source.is_copied()? {
            source.copy(&staged, starts, &crate::progress::Silent)?;
        } else if self.starts != *starts {
            begin_bands(&staged, starts)?;
            source.finish(&staged)?;
        }
        self.starts = starts.clone();
        Ok(())
    }

    /// Has `take_tree` make the staged tree with all that is in the source, database and log, in one instant, and sees to
    /// it that nobody writes into the database then. Waits for a writer for no longer than `timeout`.
    pub(crate) fn take_with_tree(
        &mut self,
        starts: &Starts,
        timeout: Duration,
        take_tree: impl FnOnce() -> Result<(), DiskError>,
    ) -> Result<(), DatabaseError> {
        let deadline = Deadline::after(timeout);
        self.follow(deadline)?;
        let Some(source) = &self.source else {
            take_tree()?;
            // A log without its database would be taken for that of the next one.
            return Ok(disk::remove(&wal_of(&database_of(&self.staged_tree)))?);
        };
        let is_wal = source.is_wal()?;
        source.while_nobody_writes(deadline, || Ok(take_tree()?))?;
        // `-shm` came along, and is rebuilt: SQLite trusts it only while somebody has the database open.
        if is_wal && starts.is_empty() {
            return Ok(());
        }
        let to = database_of(&self.staged_tree);
        if !is_wal {
            into_wal_mode(&to)?;
        }
        begin_bands(&to, starts)?;
        source.finish(&to)
    }

    /// Opens the tree's database anew where the one that is open isn't that any more.
    fn follow(&mut self, deadline: Deadline) -> Result<(), DatabaseError> {
        if !self.is_current()? {
            // The folder may have come only now, or gone, with the database.
            let path = database_of(&self.staged_tree);
            disk::remove(&path)?;
            disk::remove(&wal_of(&path))?;
            let (starts, progress) = (std::mem::take(&mut self.starts), &crate::progress::Silent);
            *self = Self::prepare(self.view, &self.source_tree, &self.staged_tree, starts, deadline, progress)?;
        }
        Ok(())
    }

    /// Waits until nobody else writes into the database.
    pub(crate) fn wait_for_turn(&self, deadline: Deadline) -> Result<(), DatabaseError> {
        self.source.as_ref().map_or(Ok(()), |source| source.wait_for_turn(deadline))
    }

    /// Keeps everybody else from writing into the database, until [`Self::release`]. Waits for a writer for no longer than
    /// `timeout`.
    pub(crate) fn hold(&self, timeout: Duration) -> Result<(), DatabaseError> {
        self.source.as_ref().map_or(Ok(()), |source| source.become_writer(Deadline::after(timeout)))
    }

    /// Lets others write again.
    pub(crate) fn release(&self) {
        if let Some(source) = &self.source
            && let Err(error) = source.run("ROLLBACK")
        {
            // What was held is let go with the connection at the latest.
            tracing::debug!("{error}");
        }
    }

    /// Gives the staged tree the database as it is now, while others are kept from writing into it.
    pub(crate) fn take_held(&mut self) -> Result<(), DatabaseError> {
        let Some(source) = &mut self.source else { return Ok(()) };
        source.clone_held(self.view, &database_of(&self.staged_tree), &self.starts)
    }

    /// What keeps others from writing, while it does; none where the tree has no database.
    pub(crate) fn holder(&self) -> Option<&Connection> {
        self.source.as_ref().map(|source| &source.connection)
    }

    /// What failed as it was read.
    pub(crate) fn error(&self, source: rusqlite::Error) -> DatabaseError {
        sqlite_error(&database_of(&self.source_tree), source)
    }

    /// Says that what was taken is not what the database has, or, after that, that it has been brought up to it.
    pub(crate) fn set_taken(&mut self, is_taken: bool) -> Result<(), DatabaseError> {
        if let Some(source) = &mut self.source {
            source.copied = is_taken.then(|| source.version()).transpose()?;
        }
        Ok(())
    }

    /// Whether the file that is open is still the tree's database.
    pub(crate) fn is_current(&self) -> Result<bool, DatabaseError> {
        let path = database_of(&self.source_tree);
        let found = disk::inode(&path)?;
        let open = self.source.as_ref().map(|source| disk::step("look at", &path, || source.file.metadata()));
        Ok(found == open.transpose()?.map(|metadata| metadata.ino()))
    }
}

impl SourceDatabase {
    fn open(tree: &Path) -> Result<Option<Self>, DatabaseError> {
        let Some(path) = find(tree)? else { return Ok(None) };
        let Some(file) = disk::open_file(&path)? else { return Ok(None) };
        let connection = connect(&path)?;
        Ok(Some(Self { connection, file, path, copied: None }))
    }

    /// Lets every wait for other programs end at the deadline.
    fn wait_until(&self, deadline: Deadline) {
        let timeout = deadline.remaining().min(LONGEST_TIMEOUT);
        self.connection.busy_timeout(timeout).expect("a busy timeout of at most a day is taken");
    }

    fn check(&self) -> Result<(), DatabaseError> {
        let finding: String =
            self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|e| self.error(e))?;
        if finding == "ok" { Ok(()) } else { Err(DatabaseError::Damaged { path: self.path.clone(), finding }) }
    }

    fn wait_for_turn(&self, deadline: Deadline) -> Result<(), DatabaseError> {
        self.become_writer(deadline)?;
        self.run("ROLLBACK")
    }

    /// Begins a transaction that keeps every other writer out.
    fn become_writer(&self, deadline: Deadline) -> Result<(), DatabaseError> {
        become_writer(&self.connection, deadline).map_err(|error| self.error(error))?;
        self.wait_until(deadline);
        Ok(())
    }

    /// Does something while nobody can write into the database.
    fn while_nobody_writes<T>(
        &self,
        deadline: Deadline,
        action: impl FnOnce() -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        self.become_writer(deadline)?;
        let done = action();
        let rolled_back = self.run("ROLLBACK");
        let done = done?;
        rolled_back.map(|()| done)
    }

    /// Clones the database and its log to `to` while nobody can write.
    fn clone_to(
        &mut self,
        view: FileView,
        to: &Path,
        starts: &Starts,
        deadline: Deadline,
    ) -> Result<(), DatabaseError> {
        let is_wal = self.is_wal()?;
        let version = self.while_nobody_writes(deadline, || {
            self.clone_files(view, to, is_wal)?;
            self.version()
        })?;
        self.finish_clone(to, starts, is_wal, version)
    }

    /// The same while this connection is the writer already.
    fn clone_held(&mut self, view: FileView, to: &Path, starts: &Starts) -> Result<(), DatabaseError> {
        let is_wal = self.is_wal()?;
        self.clone_files(view, to, is_wal)?;
        self.finish_clone(to, starts, is_wal, self.version()?)
    }

    fn finish_clone(&mut self, to: &Path, starts: &Starts, is_wal: bool, version: i64) -> Result<(), DatabaseError> {
        self.copied = Some(version);
        if !is_wal {
            into_wal_mode(to)?;
        }
        begin_bands(to, starts)?;
        self.finish(to)
    }

    fn clone_files(&self, view: FileView, to: &Path, is_wal: bool) -> Result<(), DatabaseError> {
        let to_wal = wal_of(to);
        disk::remove(to)?;
        disk::remove(&to_wal)?;
        disk::clone_file(view, &self.file, to)?;
        if is_wal && let Some(wal) = disk::open_file(&wal_of(&self.path))? {
            disk::clone_file(view, &wal, &to_wal)?;
        }
        Ok(())
    }

    /// Copies the database to `to` as it is in one moment.
    fn copy(&mut self, to: &Path, starts: &Starts, progress: &dyn Progress) -> Result<(), DatabaseError> {
        self.copied = None;
        disk::remove(to)?;
        disk::remove(&wal_of(to))?;
        self.run("BEGIN")?;
        let copied = self.copy_in_transaction(to, progress);
        let rolled_back = self.run("ROLLBACK");
        let version = copied?;
        rolled_back?;
        into_wal_mode(to)?;
        begin_bands(to, starts)?;
        self.finish(to)?;
        self.copied = Some(version);
        Ok(())
    }

    /// Copies within the read transaction that the first read begins, and gives the version of the state that it sees.
    fn copy_in_transaction(&self, to: &Path, progress: &dyn Progress) -> Result<i64, DatabaseError> {
        self.connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
            .map_err(|error| self.error(error))?;
        let version = self.version()?;
        disk::step_of_library("begin the copy of the database to", to)?;
        let failed = |source| sqlite_error(to, source);
        let mut target = Connection::open(to).map_err(failed)?;
        // What a crash leaves of the copy is thrown away, and what is published is synced before.
        target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(failed)?;
        let backup = Backup::new(&self.connection, &mut target).map_err(failed)?;
        let mut begun = false;
        loop {
            let result = backup.step(PAGES_PER_STEP).map_err(failed)?;
            let state = backup.progress();
            if !begun {
                begun = true;
                progress.begin("copy database", u64::try_from(state.pagecount).ok());
            }
            match result {
                StepResult::Done => {
                    progress.end();
                    disk::step_of_library("end the copy of the database to", to)?;
                    return Ok(version);
                }
                StepResult::More => {
                    progress.advance(PAGES_PER_STEP as u64);
                    disk::step_of_library("go on with the copy of the database to", to)?;
                }
                _ => return Err(DatabaseError::Busy { path: self.path.clone() }),
            }
        }
    }

    /// Gives a snapshot the mode and the owner of the original, and makes it durable.
    fn finish(&self, snapshot: &Path) -> Result<(), DatabaseError> {
        let metadata = disk::step("look at", &self.path, || self.file.metadata())?;
        let attributes = Attributes::of(&metadata);
        for path in [snapshot.to_owned(), wal_of(snapshot)] {
            if disk::inode(&path)?.is_some() {
                disk::set_attributes(&path, &attributes)?;
                disk::sync(&path)?;
            }
        }
        Ok(())
    }

    fn is_copied(&self) -> Result<bool, DatabaseError> {
        Ok(self.copied == Some(self.version()?))
    }

    /// A number that another one takes the place of when somebody else commits.
    fn version(&self) -> Result<i64, DatabaseError> {
        self.connection.query_row("PRAGMA data_version", [], |row| row.get(0)).map_err(|error| self.error(error))
    }

    fn is_wal(&self) -> Result<bool, DatabaseError> {
        let mode: String =
            self.connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(|e| self.error(e))?;
        Ok(mode == "wal")
    }

    fn run(&self, statements: &str) -> Result<(), DatabaseError> {
        self.connection.execute_batch(statements).map_err(|error| self.error(error))
    }

    fn error(&self, source: rusqlite::Error) -> DatabaseError {
        sqlite_error(&self.path, source)
    }
}

/// The database of a tree; none where it has none.
fn find(tree: &Path) -> Result<Option<PathBuf>, DatabaseError> {
    let path = database_of(tree);
    let inside = path.ancestors().take_while(|ancestor| *ancestor != tree);
    for place in inside.collect::<Vec<_>>().into_iter().rev() {
        match disk::step("look at", place, || metadata_of(place))? {
            None => return Ok(None),
            Some(metadata) if metadata.is_dir() != (place == path) && !metadata.is_symlink() => {}
            Some(_) => return Err(DatabaseError::NotInTree { path: place.to_owned() }),
        }
    }
    Ok(Some(path))
}

/// Opens a database that may be in use.
fn connect(path: &Path) -> Result<Connection, DatabaseError> {
    let failed = |source| sqlite_error(path, source);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    // To be the last to close the database must not change it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
    Ok(connection)
}

/// Opens a database for reading in which nobody writes.
fn connect_at_rest(path: &Path) -> rusqlite::Result<Connection> {
    let name = percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)
}

/// Begins a transaction that keeps every other writer out.
fn become_writer(connection: &Connection, deadline: Deadline) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::ZERO)?;
    loop {
        match connection.execute_batch("BEGIN IMMEDIATE") {
            Err(error) if is_busy(&error) && !deadline.has_passed() => thread::sleep(PAUSE.min(deadline.remaining())),
            begun => return begun,
        }
    }
}

fn metadata_of(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        metadata => metadata.map(Some),
    }
}

/// Marks a closed database, which is nobody else's yet, as one in WAL mode.
fn into_wal_mode(path: &Path) -> Result<(), DatabaseError> {
    disk::step_of_library("mark as one with a log the database", path)?;
    let failed = |source| sqlite_error(path, source);
    let connection = Connection::open(path).map_err(failed)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).map_err(failed)?;
    disk::step_of_library("close the database", path)?;
    connection.close().map_err(|(_, error)| failed(error))
}

/// Has a closed database, which is nobody else's yet, begin bands of ids. Does not make that durable.
fn begin_bands(path: &Path, starts: &Starts) -> Result<(), DatabaseError> {
    if starts.is_empty() { Ok(()) } else { write_at_rest(path, |connection| starts.write(connection)) }
}

/// Writes into a closed database, which is nobody else's yet, in one transaction: into its log, so that the file stays as it is
/// for whoever has copied it. Does not make that durable.
pub(crate) fn write_at_rest<T>(
    path: &Path,
    action: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, DatabaseError> {
    disk::step_of_library("write into the database", path)?;
    let connection = connect(path)?;
    let write = || {
        // Who has a database for itself needs no `-shm`. What a crash leaves of this one is thrown away.
        connection.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 0; BEGIN",
        )?;
        let written = action(&connection)?;
        connection.execute_batch("COMMIT")?;
        Ok(written)
    };
    let written = write().map_err(|error| sqlite_error(path, error))?;
    disk::step_of_library("close the database", path)?;
    connection.close().map_err(|(_, error)| sqlite_error(path, error))?;
    Ok(written)
}

fn sqlite_error(path: &Path, source: rusqlite::Error) -> DatabaseError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        _ if is_busy(&source) => DatabaseError::Busy { path },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            DatabaseError::Damaged { path, finding: source.to_string() }
        }
        _ => DatabaseError::Sqlite { path, source },
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}
