//! Brings refs up to date: a branch's ref names a commit with the branch's files in `wordpress/` and its database in
//! `database.sql`.
//!
//! Requests and mutations go on meanwhile. The operations lock and the branch's are held, shared, for a walk through
//! the folder and for the beginning of a read transaction of the database. So a commit has the branch between two
//! mutations, never half of one. What has to be read for the first time is read before that, without the lock.
//!
//! A branch in which nothing has changed costs the walk and no process. What is known of the last snapshot is kept
//! beside the index, and used only where a change would have left a trace (as Git does with its index).
//!
//! A commit is made only where its tree differs from that of the ref's commit. A killed process leaves objects that
//! nothing refers to, and a ref that is right or the one before.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::dump::{self, DumpError};
use super::repository::{Repository, RepositoryError, run, run_holding, run_with};
use super::view::{Index, Look};
use crate::branch::{self, Branch, BranchError};
use crate::database::{self, DatabaseError, DatabaseReader};
use crate::disk::DiskError;
use crate::site::Site;
use forkpress_core::deadline::Deadline;
use forkpress_core::lock::{BranchFiles, LockError, OperationsFiles, SharedBranch, SharedOperations};
use forkpress_core::name::BranchName;

/// How long a mutation that publishes may keep a snapshot waiting, and another program the database.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How often a snapshot begins anew where an editor changes the folder or a push the ref under it.
const ATTEMPTS: usize = 4;

/// What the files of a view and `database.sql` are made by. Another number makes every branch be read anew.
const VERSION: u32 = 2;

/// Why a ref was not brought up to date. It is then what it was.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// The branch, or the list of branches, can't be had.
    #[error("cannot look at the branches")]
    Branch(#[from] BranchError),
    /// The operations lock stayed busy.
    #[error("the branches are being changed")]
    Lock(#[from] LockError),
    /// Git failed.
    #[error("cannot make a snapshot of branch '{name}'")]
    Repository {
        /// The branch.
        name: BranchName,
        /// What Git said.
        source: RepositoryError,
    },
    /// The folder can't be looked at.
    #[error("cannot make a snapshot of branch '{name}'")]
    Disk {
        /// The branch.
        name: BranchName,
        /// The step that failed.
        source: DiskError,
    },
    /// The database can't be read.
    #[error("cannot make a snapshot of the database of branch '{name}'")]
    Database {
        /// The branch.
        name: BranchName,
        /// What failed.
        source: DatabaseError,
    },
    /// What a snapshot needs to remember can't be read or written.
    #[error("cannot use {path}")]
    Memory {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl SnapshotError {
    /// Whether the cause is in one branch, so that it says nothing of the others.
    fn is_of_one_branch(&self) -> bool {
        matches!(
            self,
            Self::Disk { .. }
                | Self::Database { .. }
                | Self::Branch(
                    BranchError::NoRecord { .. }
                        | BranchError::NotAFolder { .. }
                        | BranchError::Record(_)
                        | BranchError::Look { .. }
                )
                | Self::Repository { source: RepositoryError::Git { .. } | RepositoryError::Disk { .. }, .. }
        )
    }
}

/// What came of bringing refs up to date.
#[derive(Debug, Default)]
pub struct Refreshed {
    /// Whether any commit was made.
    pub made: bool,
    /// The branches whose refs are what they were, as their folders or databases can't be read.
    pub failed: Vec<(BranchName, SnapshotError)>,
}

/// Brings the refs of all branches whose names are asked for up to date, and drops those of them that have no branch any more.
/// A branch that can't be read keeps its ref as it is, and no other one from being brought up to date.
///
/// # Errors
/// [`SnapshotError`] when it is not of one branch, or no branch could be read.
pub fn refresh_all(
    site: &Site,
    repository: &Repository,
    is_asked_for: impl Fn(&BranchName) -> bool,
) -> Result<Refreshed, SnapshotError> {
    let mut names = names(site)?;
    names.extend(gone(repository, &names)?);
    names.retain(is_asked_for);
    let mut refreshed = refresh_each(site, repository, &names)?;
    if refreshed.failed.len() == names.len()
        && let Some((_, error)) = refreshed.failed.pop()
    {
        return Err(error);
    }
    Ok(refreshed)
}

/// Gives each branch a ref that has none, and drops the refs of branches that are gone; the other refs stay as they are, and so
/// does that of a branch that can't be read.
///
/// # Errors
/// [`SnapshotError`] when it is not of one branch.
pub fn refresh_set(site: &Site, repository: &Repository) -> Result<Refreshed, SnapshotError> {
    let mut names = names(site)?;
    let gone = gone(repository, &names)?;
    names.retain(|name| !repository.cow().git_ref(name).exists());
    names.extend(gone);
    refresh_each(site, repository, &names)
}

/// The branches, whether they can be read or not.
fn names(site: &Site) -> Result<Vec<BranchName>, SnapshotError> {
    Ok(branch::list_each(site)?.into_iter().map(|(name, _)| name).collect())
}

/// The branches that have a ref and are not among `names`.
fn gone(repository: &Repository, names: &[BranchName]) -> Result<Vec<BranchName>, SnapshotError> {
    let path = repository.cow().git_refs_dir();
    let read = || -> io::Result<Vec<BranchName>> {
        let entries = fs::read_dir(&path)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
        let found = entries.iter().filter_map(|name| name.to_str()?.parse().ok());
        Ok(found.filter(|name| !names.contains(name)).collect())
    };
    read().map_err(|source| SnapshotError::Memory { path: path.clone(), source })
}

/// Brings the refs of these branches up to date. One that does not exist loses its ref. Says whether any commit was made.
///
/// # Errors
/// The first [`SnapshotError`] of several, when a branch is missing, busy or can't be read, or Git failed.
pub fn refresh(site: &Site, repository: &Repository, names: &[BranchName]) -> Result<bool, SnapshotError> {
    let refreshed = refresh_each(site, repository, names)?;
    refreshed.failed.into_iter().next().map_or(Ok(refreshed.made), |(_, error)| Err(error))
}

/// Reads a branch as [`refresh`] does, and leaves its ref alone: whether a push can be carried through is known before it
/// changes anything. What was read is not read again then. Takes no lock and waits for nobody: whatever it sees of a mutation
/// that publishes meanwhile is looked at again by the next snapshot, as it has changed since.
///
/// # Errors
/// [`SnapshotError`] when the branch is missing or can't be read, or Git failed.
pub fn check(site: &Site, repository: &Repository, name: &BranchName) -> Result<(), SnapshotError> {
    BranchSnapshot { site, repository, files: None, name }.try_often(BranchSnapshot::read_ahead)
}

/// A branch as it was at one moment, between two mutations.
#[derive(Debug)]
pub(crate) struct BranchState {
    /// The Git tree of its files, as `wordpress/` of the view has them.
    pub(crate) files: String,
    /// Reads the database of the same moment; none where the branch has none.
    pub(crate) database: Option<DatabaseReader>,
}

/// Reads the files of a branch as [`refresh`] does, and begins to read its database, both at one moment under the shared
/// lock. The ref stays where it is, and the database is not written as text. What was read of the files is not read again
/// by the next snapshot.
///
/// # Errors
/// [`SnapshotError`] when the branch is missing, busy or can't be read, or Git failed.
pub(crate) fn look_at(site: &Site, repository: &Repository, name: &BranchName) -> Result<BranchState, SnapshotError> {
    let files = Arc::new(OperationsFiles::open(site.layout.cow())?);
    BranchSnapshot { site, repository, files: Some(&files), name }.try_often(BranchSnapshot::state)
}

/// Reads the files of a branch as [`look_at`] does, but takes no lock and waits for nobody: what a mutation changes meanwhile is
/// read again by who needs it.
///
/// # Errors
/// As [`look_at`].
pub(crate) fn read_files(site: &Site, repository: &Repository, name: &BranchName) -> Result<(), SnapshotError> {
    BranchSnapshot { site, repository, files: None, name }.try_often(BranchSnapshot::state).map(drop)
}

/// Whether the ref of a branch was brought up to date since the last mutation of it. What is written into the branch by
/// others is left out of account.
pub fn has_seen(repository: &Repository, branch: &Branch) -> bool {
    Memory::read(&repository.cow().git_snapshot(&branch.name)).generation == Some(branch.record.generation)
}

fn refresh_each(site: &Site, repository: &Repository, names: &[BranchName]) -> Result<Refreshed, SnapshotError> {
    // Threads of their own: each holds locks, and must not begin with another branch while it waits for its own walk.
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(names.len());
    let files = Arc::new(OperationsFiles::open(site.layout.cow())?);
    let next = Mutex::new(names.iter());
    let work = || -> Result<Refreshed, SnapshotError> {
        let mut refreshed = Refreshed::default();
        loop {
            let Some(name) = next.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next() else {
                return Ok(refreshed);
            };
            match (BranchSnapshot { site, repository, files: Some(&files), name }).take() {
                Ok(made) => refreshed.made |= made,
                Err(error) if error.is_of_one_branch() => refreshed.failed.push((name.clone(), error)),
                Err(error) => return Err(error),
            }
        }
    };
    if threads <= 1 {
        return work();
    }
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let outcomes: Vec<_> = workers.into_iter().map(|worker| worker.join().expect("no snapshot panics")).collect();
        outcomes.into_iter().try_fold(Refreshed::default(), |mut all, outcome| {
            let Refreshed { made, failed } = outcome?;
            all.made |= made;
            all.failed.extend(failed);
            Ok(all)
        })
    })
}

/// What the last snapshot of a branch was made from, and what it became.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    version: u32,
    /// The newest publish of the branch that the ref has followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    /// Of the files; none where they might change without a trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<String>,
    /// The same of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    /// The tree of the files.
    wordpress: String,
    /// The text of the database; none where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    database_sql: Option<String>,
    /// The tree of both.
    tree: String,
    /// Empty where none was made yet.
    commit: String,
}

impl Memory {
    /// What cannot be read is not remembered.
    fn read(path: &Path) -> Self {
        let memory = fs::read_to_string(path).ok().and_then(|text| toml::from_str::<Self>(&text).ok());
        memory.filter(|memory| memory.version == VERSION).unwrap_or_default()
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        // Not durable: after a power cut, everything is looked at once more.
        let temporary = path.with_extension("toml.tmp");
        fs::write(&temporary, toml::to_string(self).expect("it is plain values"))?;
        fs::rename(&temporary, path)
    }
}

struct BranchSnapshot<'a> {
    site: &'a Site,
    repository: &'a Repository,
    /// None where no lock is to be taken.
    files: Option<&'a Arc<OperationsFiles>>,
    name: &'a BranchName,
}

/// What of a branch differs from what is remembered of it.
struct BranchChanges {
    /// The files, and whether the index has them as they are.
    look: Option<Look>,
    database: Database,
    stamp: Option<String>,
    generation: u64,
}

/// What a branch is to Git at one moment.
enum Content {
    /// There is no such branch.
    Gone,
    /// What its ref has.
    Same,
    /// This, for which there is no commit yet.
    New(Memory),
}

enum Database {
    Unchanged,
    Changed(Option<DatabaseReader>),
}

/// When the database is read.
#[derive(Clone, Copy)]
enum Reading {
    /// Where it is not what is remembered.
    WhereChanged,
    Always,
}

impl BranchSnapshot<'_> {
    /// Says whether a commit was made.
    fn take(&self) -> Result<bool, SnapshotError> {
        // A branch without a history begins with that of the branch it came from, which is to have one.
        if self.reference().is_none()
            && let Some(from) = self.origin()?
            && self.repository.cow().git_ref(&from).symlink_metadata().is_err()
        {
            match (BranchSnapshot { name: &from, ..*self }).try_often(|from, lock| from.attempt(lock)) {
                // Then this one has a history of its own.
                Err(error) if error.is_of_one_branch() => {}
                taken => drop(taken?),
            }
        }
        self.try_often(Self::attempt)
    }

    fn try_often<T>(
        &self,
        attempt_to: impl Fn(&Self, &RefLock<'_>) -> Result<T, SnapshotError>,
    ) -> Result<T, SnapshotError> {
        let lock = RefLock::take(self.repository, self.name)?;
        // Nobody else writes the index: that is what a killed process has left.
        remove_file(&self.repository.cow().git_index(self.name).with_extension("index.lock"))
            .map_err(|source| self.memory_error(source))?;
        let mut attempt = 1;
        loop {
            match attempt_to(self, &lock) {
                // The folder changed as Git read it, or a push moved the ref.
                Err(SnapshotError::Repository { source: RepositoryError::Git { .. }, .. }) if attempt < ATTEMPTS => {
                    attempt += 1;
                    // If it fails twice, the index may have objects that are gone.
                    if attempt > 2 {
                        self.forget().map_err(|source| self.memory_error(source))?;
                    }
                }
                done => return done,
            }
        }
    }

    fn attempt(&self, lock: &RefLock<'_>) -> Result<bool, SnapshotError> {
        let reference = self.reference();
        let content = match self.read(reference.as_deref())? {
            Content::Gone => {
                self.drop_reference(lock)?;
                return Ok(false);
            }
            Content::Same => return Ok(false),
            Content::New(content) => content,
        };
        let (commit, is_new) = self.commit(&content.tree, reference.as_deref())?;
        if reference.as_ref() != Some(&commit) {
            self.git(lock.move_reference(&commit, reference.as_deref())?)?;
        }
        self.remember(&Memory { commit, ..content })?;
        Ok(is_new)
    }

    fn read_ahead(&self, _lock: &RefLock<'_>) -> Result<(), SnapshotError> {
        let generation = Memory::read(&self.repository.cow().git_snapshot(self.name)).generation;
        match self.read(self.reference().as_deref())? {
            // The ref has not followed.
            Content::New(content) => self.remember(&Memory { generation, ..content }),
            Content::Gone | Content::Same => Ok(()),
        }
    }

    fn state(&self, _lock: &RefLock<'_>) -> Result<BranchState, SnapshotError> {
        let memory = Memory::read(&self.repository.cow().git_snapshot(self.name));
        let branch = self.site.layout.branch(self.name);
        let Some(BranchChanges { look, database, .. }) = self.look(&branch, &memory, Reading::Always)? else {
            return Err(BranchError::Missing { name: self.name.clone() }.into());
        };
        let database = match database {
            Database::Changed(reader) => reader,
            Database::Unchanged => unreachable!("it is always read"),
        };
        let is_kept = self.reference().is_some_and(|reference| reference == memory.commit);
        if look.is_none() && is_kept {
            return Ok(BranchState { files: memory.wordpress, database });
        }
        // Also where nothing has changed: Git drops objects that no ref leads to, and says here whether it still has them.
        let wordpress = self.git(self.index(&branch).write_tree())?;
        if let Some(look) = look {
            let (version, files, commit) = (VERSION, look.fingerprint, String::new());
            // The ref has not followed, and what is remembered of the database is as true as it was.
            self.remember(&Memory { version, files, wordpress: wordpress.clone(), commit, ..memory })?;
        }
        Ok(BranchState { files: wordpress, database })
    }

    /// Reads what of the branch differs from what is remembered. `reference`: the commit that its ref names.
    fn read(&self, reference: Option<&str>) -> Result<Content, SnapshotError> {
        let memory = Memory::read(&self.repository.cow().git_snapshot(self.name));
        let branch = self.site.layout.branch(self.name);
        let Some(changes) = self.look(&branch, &memory, Reading::WhereChanged)? else { return Ok(Content::Gone) };
        let generation = Some(changes.generation);
        let is_remembered = reference.is_some_and(|reference| *reference == memory.commit);
        if is_remembered && changes.look.is_none() && matches!(changes.database, Database::Unchanged) {
            if memory.generation != generation {
                self.remember(&Memory { generation, ..memory })?;
            }
            return Ok(Content::Same);
        }
        let (files, wordpress) = match &changes.look {
            Some(look) => (look.fingerprint.clone(), self.git(self.index(&branch).write_tree())?),
            None => (memory.files, memory.wordpress),
        };
        let database_sql = match changes.database {
            Database::Unchanged => memory.database_sql,
            Database::Changed(None) => None,
            Database::Changed(Some(reader)) => Some(self.dump(&reader)?),
        };
        let tree = self.git(self.tree(&wordpress, database_sql.as_deref()))?;
        let (database, commit) = (changes.stamp, String::new());
        Ok(Content::New(Memory {
            version: VERSION,
            generation,
            files,
            database,
            wordpress,
            database_sql,
            tree,
            commit,
        }))
    }

    fn remember(&self, memory: &Memory) -> Result<(), SnapshotError> {
        memory.write(&self.repository.cow().git_snapshot(self.name)).map_err(|source| self.memory_error(source))
    }

    /// Keeps mutations of the branch from publishing. The first of the two is let go of first.
    fn lock(
        &self,
        files: &Arc<OperationsFiles>,
        deadline: Deadline,
    ) -> Result<(SharedBranch, SharedOperations), SnapshotError> {
        let lock = SharedOperations::lock(files, deadline, None)?;
        let own = Arc::new(BranchFiles::open(files.cow(), self.name)?);
        let own = SharedBranch::lock(&lock, &own, deadline, true)?;
        Ok((own, lock))
    }

    /// Looks at the branch between two mutations; none where there is no such branch.
    fn look(&self, branch: &Path, memory: &Memory, reading: Reading) -> Result<Option<BranchChanges>, SnapshotError> {
        let disk = |source| SnapshotError::Disk { name: self.name.clone(), source };
        let database_error = |source| SnapshotError::Database { name: self.name.clone(), source };
        let deadline = Deadline::after(TIMEOUT);
        let is_in_git = |from: &BranchName| self.repository.cow().git_ref(from).exists();
        let origin = self.origin()?.filter(is_in_git).map(|from| self.site.layout.branch(&from));
        let mut indexed: Option<String> = None;
        for has_read in [false, true] {
            let locks = self.files.map(|files| self.lock(files, deadline)).transpose()?;
            let generation = match branch::show(self.site, self.name) {
                Err(BranchError::Missing { .. }) => return Ok(None),
                // A folder that has lost its record keeps its ref, which is all that leads to its history.
                shown => shown?.record.generation,
            };
            let look = self.index(branch).look(origin.as_deref()).map_err(disk)?;
            let is_unchanged = look.fingerprint.is_some() && look.fingerprint == memory.files;
            if !is_unchanged && !has_read {
                drop(locks);
                // This may have the whole branch to read. What changes meanwhile is read again, under the lock.
                self.git(self.index(branch).update(&look))?;
                indexed = look.fingerprint;
                continue;
            }
            if !is_unchanged && (look.fingerprint.is_none() || look.fingerprint != indexed) {
                self.git(self.index(branch).update(&look))?;
            }
            // Before the database is read: what is written later shows.
            let stamp = database::stamp(branch).map_err(disk)?;
            let is_same = stamp.is_some() && stamp == memory.database && !memory.tree.is_empty();
            let database = if is_same && matches!(reading, Reading::WhereChanged) {
                Database::Unchanged
            } else {
                Database::Changed(DatabaseReader::begin(branch, deadline).map_err(database_error)?)
            };
            drop(locks);
            return Ok(Some(BranchChanges { look: (!is_unchanged).then_some(look), database, stamp, generation }));
        }
        unreachable!("the second look is the last")
    }

    /// Writes the database as text, and gives its id.
    fn dump(&self, reader: &DatabaseReader) -> Result<String, SnapshotError> {
        let dir = self.repository.cow().git_snapshots_dir();
        let failed = |source| SnapshotError::Memory { path: dir.clone(), source };
        // Git reads a file piece by piece, and a pipe as a whole.
        let file = tempfile::Builder::new().prefix("database.").suffix(".tmp").tempfile_in(&dir).map_err(failed)?;
        dump::write(reader.connection(), file.as_file()).map_err(|error| match error {
            DumpError::Read(source) => {
                SnapshotError::Database { name: self.name.clone(), source: reader.error(source) }
            }
            DumpError::Write(source) => failed(source),
        })?;
        let mut command = self.repository.command();
        command.args(["hash-object", "-w", "--no-filters", "--"]).arg(file.path());
        self.git(run(&mut command)).map(|id| text(&id))
    }

    fn tree(&self, wordpress: &str, database_sql: Option<&str>) -> Result<String, RepositoryError> {
        let mut entries = String::new();
        if let Some(database_sql) = database_sql {
            entries += &format!("100644 blob {database_sql}\tdatabase.sql\0");
        }
        entries += &format!("040000 tree {wordpress}\twordpress\0");
        run_with(self.repository.command().args(["mktree", "-z"]), entries.as_bytes()).map(|id| text(&id))
    }

    /// A commit with this tree, and whether it is a new one.
    fn commit(&self, tree: &str, reference: Option<&str>) -> Result<(String, bool), SnapshotError> {
        let parent = match reference {
            Some(reference) => Some(reference.to_owned()),
            None => match self.origin()? {
                Some(from) => BranchSnapshot { name: &from, ..*self }.reference(),
                None => None,
            },
        };
        if let Some(parent) = &parent {
            let of_parent = format!("{parent}^{{tree}}");
            let found =
                self.git(run(self.repository.command().args(["rev-parse", "--verify", "--quiet", &of_parent])))?;
            if text(&found) == tree {
                return Ok((parent.clone(), false));
            }
        }
        let mut command = self.repository.command();
        command.args(["commit-tree", tree, "-m", &format!("Snapshot of {}", self.name)]);
        if let Some(parent) = &parent {
            command.args(["-p", parent]);
        }
        self.git(run(&mut command)).map(|id| (text(&id), true))
    }

    /// The commit that the ref names.
    fn reference(&self) -> Option<String> {
        let id = fs::read_to_string(self.repository.cow().git_ref(self.name)).ok()?;
        let id = id.trim_end();
        (id.len() >= 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_owned())
    }

    /// The branch that this one was made from, if there is still one of that name, else `main`; none for `main` itself.
    fn origin(&self) -> Result<Option<BranchName>, SnapshotError> {
        if self.name.is_main() {
            return Ok(None);
        }
        let from = match branch::show(self.site, self.name) {
            Ok(branch) => branch.record.from,
            Err(BranchError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let is_there = |from: &BranchName| from != self.name && branch::show(self.site, from).is_ok();
        Ok(Some(from.filter(is_there).unwrap_or_else(BranchName::main)))
    }

    /// Takes the ref of a branch away that is gone, and all that is remembered of it.
    fn drop_reference(&self, lock: &RefLock<'_>) -> Result<(), SnapshotError> {
        if self.repository.cow().git_ref(self.name).exists() {
            self.git(lock.drop_reference()?)?;
        }
        self.forget().map_err(|source| self.memory_error(source))
    }

    fn forget(&self) -> io::Result<()> {
        let cow = self.repository.cow();
        remove_file(&cow.git_snapshot(self.name))?;
        remove_file(&cow.git_config(self.name))?;
        remove_file(&cow.git_known(self.name))?;
        remove_file(&cow.git_index(self.name))
    }

    fn index<'a>(&'a self, branch: &'a Path) -> Index<'a> {
        Index { repository: self.repository, name: self.name, branch }
    }

    fn git<T>(&self, outcome: Result<T, RepositoryError>) -> Result<T, SnapshotError> {
        outcome.map_err(|source| SnapshotError::Repository { name: self.name.clone(), source })
    }

    fn memory_error(&self, source: io::Error) -> SnapshotError {
        SnapshotError::Memory { path: self.repository.cow().git_snapshot(self.name), source }
    }
}

/// The ref of a branch is moved by whoever has this, and by nobody else: a `git` that died, or that a power cut ended, has
/// left whatever lock file of Git's is in its way.
///
/// A `git` that moves the ref has this lock as a file of its own, so that it is held on where the process that began it dies.
pub(super) struct RefLock<'a> {
    repository: &'a Repository,
    name: &'a BranchName,
    file: File,
}

impl<'a> RefLock<'a> {
    /// Takes it, however long that takes.
    pub(super) fn take(repository: &'a Repository, name: &'a BranchName) -> Result<Self, SnapshotError> {
        let file = lock(&repository.cow().git_snapshot_lock(name))?;
        Ok(Self { repository, name, file })
    }

    /// Moves the ref from where it was, none where there was none, unless it is somewhere else.
    pub(super) fn move_reference(
        &self,
        commit: &str,
        before: Option<&str>,
    ) -> Result<Result<(), RepositoryError>, SnapshotError> {
        self.clear()?;
        let none = "0".repeat(commit.len());
        let mut command = self.repository.command();
        command.args(["update-ref", &self.reference(), commit, before.unwrap_or(&none)]);
        Ok(run_holding(&mut command, vec![self.held()?]))
    }

    /// Takes the ref away.
    fn drop_reference(&self) -> Result<Result<(), RepositoryError>, SnapshotError> {
        self.clear()?;
        // Git locks for that what is one for all refs.
        let deletion = lock(&self.repository.cow().git_deletion_lock())?;
        remove_stale(&self.repository.cow().git_packed_refs_lock())?;
        let mut command = self.repository.command();
        command.args(["update-ref", "-d", &self.reference()]);
        Ok(run_holding(&mut command, vec![self.held()?, deletion]))
    }

    fn reference(&self) -> String {
        format!("refs/heads/{}", self.name)
    }

    fn clear(&self) -> Result<(), SnapshotError> {
        remove_stale(&self.repository.cow().git_ref_lock(self.name))
    }

    fn held(&self) -> Result<File, SnapshotError> {
        let path = self.repository.cow().git_snapshot_lock(self.name);
        self.file.try_clone().map_err(|source| SnapshotError::Memory { path, source })
    }
}

fn lock(path: &Path) -> Result<File, SnapshotError> {
    let lock = || -> io::Result<File> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        file.lock()?;
        Ok(file)
    };
    lock().map_err(|source| SnapshotError::Memory { path: path.to_owned(), source })
}

fn remove_stale(path: &Path) -> Result<(), SnapshotError> {
    remove_file(path).map_err(|source| SnapshotError::Memory { path: path.to_owned(), source })
}

/// Removes a file that may be gone already.
fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What a command wrote in one line.
fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::site::testing::{branch, site};
    use forkpress_core::layout::database_of;

    fn git(repository: &Repository, arguments: &[&str]) -> String {
        text(&run(repository.command().args(arguments)).unwrap())
    }

    fn count(state: &BranchState) -> i64 {
        let connection = state.database.as_ref().unwrap().connection();
        connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_branch_is_looked_at_without_its_ref_and_the_next_snapshot_has_what_was_read() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        let main = branch(&site, "main", None);
        let repository = Repository::open(&site).unwrap();
        let missing = look_at(&site, &repository, &"none".parse().unwrap()).unwrap_err();
        assert!(matches!(missing, SnapshotError::Branch(BranchError::Missing { .. })));

        let folder = site.layout.branch(&main);
        fs::write(folder.join("a.php"), "a").unwrap();
        let first = look_at(&site, &repository, &main).unwrap();
        assert!(first.database.is_none());
        assert_eq!(git(&repository, &["ls-tree", "--name-only", &first.files]), "a.php");
        assert!(!repository.cow().git_ref(&main).exists());

        let database = database_of(&folder);
        fs::create_dir_all(database.parent().unwrap()).unwrap();
        let writer = Connection::open(&database).unwrap();
        writer.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
        let second = look_at(&site, &repository, &main).unwrap();
        writer.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        assert_eq!((second.files.as_str(), count(&second)), (first.files.as_str(), 1));

        refresh(&site, &repository, std::slice::from_ref(&main)).unwrap();
        assert_eq!(git(&repository, &["rev-parse", "main:wordpress"]), first.files);
        assert!(git(&repository, &["show", "main:database.sql"]).contains("VALUES(2)"));
        fs::write(folder.join("b.php"), "b").unwrap();
        let third = look_at(&site, &repository, &main).unwrap();
        assert_eq!(count(&third), 2);
        assert_eq!(git(&repository, &["rev-parse", "main:wordpress"]), first.files, "the ref is where it was");
        assert!(refresh(&site, &repository, std::slice::from_ref(&main)).unwrap());
        assert_eq!(git(&repository, &["rev-parse", "main:wordpress"]), third.files);
        assert!(git(&repository, &["show", "main:database.sql"]).contains("VALUES(2)"));
    }

    #[test]
    fn what_is_remembered_of_files_that_git_has_dropped_is_read_anew() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        let main = branch(&site, "main", None);
        let repository = Repository::open(&site).unwrap();
        fs::write(site.layout.branch(&main).join("a.php"), "a").unwrap();
        let files = look_at(&site, &repository, &main).unwrap().files;
        git(&repository, &["prune", "--expire=now"]);
        assert_eq!(look_at(&site, &repository, &main).unwrap().files, files);
        assert_eq!(git(&repository, &["show", &format!("{files}:a.php")]), "a");
    }
}
