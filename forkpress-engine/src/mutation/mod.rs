//! What changes the set of branches or the files of one.
//!
//! Every mutation runs in three steps, under the mutation locks of its branches from first to last:
//!
//! 1. **Prepare**, while requests and other mutations go on: the tree that is to be published is built in the staging folder
//!    and synced.
//! 2. **Publish**, under `mutation.lock` and while no request of the branches runs: what changed since is taken again, and
//!    renames put the tree and its record in place.
//! 3. **Clean up**, while requests go on.
//!
//! Before it publishes, a mutation writes what it intends into the journal, and removes that last of
//! all. Whoever changes something next, or starts a server, brings one that died to its end: [`recover`]. Until then a
//! crash can leave: a tree in staging, which nothing serves; a branch folder without a record, which nothing serves; a
//! record without a folder, which nothing lists.
//!
//! What a mutation takes away is kept for a while, and [`undo`] brings it back: see [`history`] and [`keep`].

pub mod convert;
pub mod files;
pub mod history;
mod journal;
pub mod keep;
pub mod late;
mod publish;
mod recover;
pub mod refusal;
mod scratch;
pub mod spare;
mod staged;
mod toml_file;
mod transaction;
mod undo;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::branch::BranchError;
use crate::config::ConfigError;
use crate::database::DatabaseError;
use crate::disk::{self, DiskError};
use crate::progress::Progress;
use crate::site::Site;
use forkpress_core::lock::{self, LockError, Patience};
use forkpress_core::name::BranchName;
use forkpress_core::record::RecordError;

use files::Overlay;
use history::Entry;
use journal::Intent;
use refusal::Refusal;
use transaction::Put;

pub use transaction::Prepared;

/// What a mutation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the log has of it.
    pub operation: Entry,
    /// The number of the publish.
    pub generation: u64,
    /// For how long requests were kept out.
    pub held: Duration,
    /// The files and folders of the tree that was cloned; zero where none was.
    pub entries: u64,
    /// What changed in the source while the tree was prepared, and was taken again.
    pub retaken: u64,
    /// What was done first, because another process had died.
    pub recovered: Option<Recovered>,
}

/// What was done about a process that died in a mutation. [Displayed](fmt::Display), it is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The operation that had been about to publish, and whether it was finished rather than taken back; none where only
    /// a tree in staging was left.
    pub finished: Option<(Entry, bool)>,
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((entry, after)) = &self.finished else {
            return f.write_str("removed what a command that died had prepared");
        };
        let end = if *after { "finished" } else { "took back" };
        write!(f, "{end} '{entry}', in which process {} died", entry.pid)
    }
}

/// Why a mutation did not happen. The site is then as it was, but for [`MutationError::Unfinished`],
/// [`MutationError::Halfway`], and as another operation left it for [`MutationError::NotPutBack`] and
/// [`MutationError::CopiesGone`].
#[derive(Debug, Error)]
pub enum MutationError {
    /// `main` always exists.
    #[error("cannot delete the main branch")]
    DeleteMain,
    /// Resetting `main` has to be asked for twice.
    #[error("refusing to reset main without --force")]
    ResetMain,
    /// There is nothing to take from itself.
    #[error("cannot reset a branch from itself")]
    ResetFromItself,
    /// The branch to create exists.
    #[error("branch '{name}' already exists")]
    Exists {
        /// Its name.
        name: BranchName,
    },
    /// No branch is named.
    #[error("no branch to create")]
    NoNames,
    /// A branch is named more than once.
    #[error("branch '{name}' is named twice")]
    NamedTwice {
        /// Its name.
        name: BranchName,
    },
    /// Something that is no branch stands where the new branch's folder would be.
    #[error("{path} is in the way of the new branch '{name}'")]
    InTheWay {
        /// The name of the branch to create.
        name: BranchName,
        /// What stands there.
        path: PathBuf,
    },
    /// The branch to take from can't be used.
    #[error("cannot take the branch '{name}' as the source")]
    Source {
        /// Its name.
        name: BranchName,
        /// Why not.
        source: BranchError,
    },
    /// The branch to reset or to delete can't be used.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// A lock was not had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The source's database can't be snapshot.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A step on the disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A record can't be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An intent or an entry of the log can't be understood, so what a mutation left can't be told from what is whole.
    #[error("{path} is not valid")]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: Box<toml::de::Error>,
    },
    /// The branch to take from was reset, deleted or brought back while it was cloned.
    #[error("branch '{name}' got other files while it was copied")]
    SourceReplaced {
        /// Its name.
        name: BranchName,
    },
    /// Somebody else replaced the branch's folder while the mutation was prepared.
    #[error("the folder of branch '{name}' was replaced meanwhile")]
    Replaced {
        /// The branch.
        name: BranchName,
    },
    /// Files that are to be changed are not what they are thought to be, or have changed meanwhile.
    #[error("changed meanwhile: {}", list_of(paths))]
    Stale {
        /// Their paths inside the branch.
        paths: Vec<PathBuf>,
    },
    /// No such path can be changed in a branch, or not together with the others.
    #[error("no file can be put at {}", path.display())]
    UnfitPath {
        /// The path inside the branch.
        path: PathBuf,
    },
    /// What a branch had before an operation that died is not where that operation put it, so it can't be had back.
    #[error("branch '{name}' is not served: what it had before an operation that died is gone from {path}")]
    CopiesGone {
        /// The branch.
        name: BranchName,
        /// Where it should be.
        path: PathBuf,
    },
    /// The file system would refuse to change this path, so nothing was changed.
    #[error("cannot change {}", path.display())]
    Refused {
        /// The path inside the branch.
        path: PathBuf,
        /// Why.
        source: Refusal,
    },
    /// The site's settings can't be read, so it can't be told where its branches are.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What is to be put into a branch can't be had.
    #[error("cannot read what is to be applied")]
    Overlay {
        /// What the system said.
        source: io::Error,
    },
    /// Some files of a branch were changed, the next one failed, and they could not be changed back. Nobody is served
    /// the branch until the next mutation does that.
    #[error(
        "{cause} ({}); branch '{name}' is half changed, and not served until the next command that changes a branch mends it",
        cause.source
    )]
    Halfway {
        /// The branch.
        name: BranchName,
        /// The step that failed.
        cause: DiskError,
        /// Why what had been done could not be taken back.
        #[source]
        way_back: Box<MutationError>,
    },
    /// Files of a branch could not be given back what they had before an operation that failed or died; all others were.
    /// What they had is still kept, nobody is served the branch, and the next mutation tries again.
    #[error("branch '{name}' is not served: what it had cannot be put back at {}", list_of(paths))]
    NotPutBack {
        /// The branch.
        name: BranchName,
        /// Their paths inside the branch.
        paths: Vec<PathBuf>,
        /// The first step that failed.
        source: DiskError,
    },
    /// While this command waited, the site was given another file view, so what it knows of the site is old.
    #[error("this site was given another file view meanwhile")]
    Converted,
    /// A process died while it gave the site another file view, and that can't be brought to an end.
    #[error("a conversion of the storage is not finished")]
    Conversion(#[source] Box<convert::ConvertError>),
    /// Every operation has been taken back, or there was none.
    #[error("there is nothing to undo")]
    NothingToUndo,
    /// The log has no such operation.
    #[error("there is no operation {id} in the log")]
    NoOperation {
        /// The number that was asked for.
        id: u64,
    },
    /// The operation has been taken back.
    #[error("operation {id} is undone already, by operation {by}")]
    Undone {
        /// The operation that was to be undone.
        id: u64,
        /// The one that undid it.
        by: u64,
    },
    /// What the operation took away has gone.
    #[error("operation {id} cannot be undone: what it took away is not kept")]
    NotKept {
        /// The operation that was to be undone.
        id: u64,
        /// The newest operation that can be.
        newest_undoable: Option<u64>,
    },
    /// The mutation happened, but its last step failed. The next mutation does it.
    #[error("branch '{name}' is changed but not finished; the next command that changes a branch finishes it")]
    Unfinished {
        /// The branch.
        name: BranchName,
        /// The step that failed.
        source: DiskError,
    },
}

/// Some of the paths, for a reader.
fn list_of(paths: &[PathBuf]) -> String {
    const MOST: usize = 10;
    let mut words: Vec<_> = paths.iter().take(MOST).map(|path| path.display().to_string()).collect();
    if paths.len() > MOST {
        words.push(format!("and {} more", paths.len() - MOST));
    }
    words.join(", ")
}

impl MutationError {
    /// Whether the mutation may succeed when it is tried again later: a lock stayed busy until the deadline.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Lock(LockError::Timeout(_)) | Self::Database(DatabaseError::Busy { .. }))
    }

    /// Whether the mutation needed more space than there was.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        match self {
            Self::Disk(DiskError { source, .. })
            | Self::NotPutBack { source: DiskError { source, .. }, .. }
            | Self::Refused { source: Refusal::Step(DiskError { source, .. }), .. }
            | Self::Database(DatabaseError::Disk(DiskError { source, .. }))
            | Self::Overlay { source } => matches!(source.kind(), StorageFull | QuotaExceeded),
            Self::Database(DatabaseError::Sqlite { source, .. }) => {
                source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            }
            _ => false,
        }
    }
}

/// A branch to take files and a database from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its name.
    pub branch: &'a BranchName,
    /// Whether its running requests are not waited for: what one of them is half done with is taken half done. The database
    /// is whole all the same.
    pub beside: bool,
}

impl<'a> From<&'a BranchName> for Source<'a> {
    fn from(branch: &'a BranchName) -> Self {
        Self { branch, beside: false }
    }
}

/// Creates the branch `name` with the files and the database that the branch `from` has when this publishes.
///
/// # Errors
/// [`MutationError`].
pub fn create<'a>(
    site: &Site,
    name: &BranchName,
    from: impl Into<Source<'a>>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, MutationError> {
    prepare_create(site, name, from, patience, progress)?.publish(patience)
}

/// Creates several branches, all of them or none. They have the files and the database that the branch `from` has at one
/// moment while this runs, and the log has one operation for them all.
///
/// # Errors
/// [`MutationError`]; [`MutationError::Exists`] and [`MutationError::InTheWay`] name the first that can't be created.
pub fn create_all<'a>(
    site: &Site,
    names: &[BranchName],
    from: impl Into<Source<'a>>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, MutationError> {
    match names {
        [name] => create(site, name, from, patience, progress),
        names => {
            let (prepared, cloned) = transaction::create_all(site, names, from.into(), patience, progress)?;
            let report = prepared.publish(patience)?;
            Ok(Report { held: report.held + cloned.held, entries: cloned.entries, retaken: cloned.retaken, ..report })
        }
    }
}

/// Does the first step of [`create`]. Dropped, the result leaves nothing behind.
///
/// # Errors
/// [`MutationError`].
pub fn prepare_create<'site, 'a>(
    site: &'site Site,
    name: &BranchName,
    from: impl Into<Source<'a>>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, MutationError> {
    transaction::create(site, name, from.into(), None, patience, progress)
}

/// Does the same and puts files into the new branch, which nobody sees without them. `word` is what the log calls them.
///
/// # Errors
/// [`MutationError`].
pub fn create_with<'a>(
    site: &Site,
    name: &BranchName,
    from: impl Into<Source<'a>>,
    overlay: &mut dyn Overlay,
    word: &str,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, MutationError> {
    let put = Put { overlay, word: word.to_owned() };
    transaction::create(site, name, from.into(), Some(put), patience, progress)?.publish(patience)
}

/// Puts files into the branch `name`, all of them or none. All else in it stays as it is. `word` is what the log calls
/// them.
///
/// # Errors
/// [`MutationError`]; [`MutationError::Stale`] where a file is not what it is thought to be.
pub fn apply(
    site: &Site,
    name: &BranchName,
    overlay: &mut dyn Overlay,
    word: &str,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, MutationError> {
    prepare_apply(site, name, overlay, word, patience, progress)?.publish(patience)
}

/// Does the first step of [`apply()`]. Dropped, the result leaves nothing behind.
///
/// # Errors
/// [`MutationError`].
pub fn prepare_apply<'site>(
    site: &'site Site,
    name: &BranchName,
    overlay: &mut dyn Overlay,
    word: &str,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, MutationError> {
    transaction::apply(site, name, Put { overlay, word: word.to_owned() }, patience, progress)
}

/// Gives the branch `name` the files and the database that the branch `from` has when this publishes.
///
/// `main` is reset only with `force`.
///
/// # Errors
/// [`MutationError`].
pub fn reset<'a>(
    site: &Site,
    name: &BranchName,
    from: impl Into<Source<'a>>,
    force: bool,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, MutationError> {
    prepare_reset(site, name, from, force, patience, progress)?.publish(patience)
}

/// Does the first step of [`reset`]. Dropped, the result leaves nothing behind.
///
/// # Errors
/// [`MutationError`].
pub fn prepare_reset<'site, 'a>(
    site: &'site Site,
    name: &BranchName,
    from: impl Into<Source<'a>>,
    force: bool,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, MutationError> {
    let from = from.into();
    if name == from.branch {
        return Err(MutationError::ResetFromItself);
    }
    if name.is_main() && !force {
        return Err(MutationError::ResetMain);
    }
    transaction::reset(site, name, from, patience, progress)
}

/// Deletes the branch `name`, its files and its database. With `purge` nothing is kept of it.
///
/// # Errors
/// [`MutationError`].
pub fn delete(
    site: &Site,
    name: &BranchName,
    purge: bool,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, MutationError> {
    prepare_delete(site, name, purge, patience, progress)?.publish(patience)
}

/// Does the first step of [`delete`]. Dropped, the result leaves nothing behind.
///
/// # Errors
/// [`MutationError`].
pub fn prepare_delete<'site>(
    site: &'site Site,
    name: &BranchName,
    purge: bool,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Prepared<'site>, MutationError> {
    if name.is_main() {
        return Err(MutationError::DeleteMain);
    }
    transaction::delete(site, name, purge, patience, progress)
}

/// Gives a branch the state back that it had before the operation `id`, or before the newest operation that is in force.
/// A branch that was deleted returns, one that was created goes. What the branch has now is kept in turn.
///
/// # Errors
/// [`MutationError`]; [`MutationError::DeleteMain`] where the operation created `main`.
pub fn undo(
    site: &Site,
    id: Option<u64>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Report, MutationError> {
    undo::undo(site, id, patience, progress)?.publish(patience)
}

/// Brings what a process that died left to its end: every mutation does this first, and a server as it starts. Does
/// nothing while another process is at a mutation, since that one did it. Safe to interrupt.
///
/// # Errors
/// [`MutationError`].
pub fn recover(site: &Site, patience: &mut Patience<'_>) -> Result<Option<Recovered>, MutationError> {
    recover::recover(site, patience)
}

/// Whether an operation runs, or has left something for [`recover`].
///
/// # Errors
/// [`MutationError`] where the site can't be looked at.
pub fn is_unfinished(site: &Site) -> Result<bool, MutationError> {
    let cow = site.layout.cow();
    for note in [cow.intent(), cow.batch_intent()] {
        if disk::inode(&note)?.is_some() {
            return Ok(true);
        }
    }
    Ok(convert::is_begun(&site.layout)? || scratch::count_left(site)? > 0)
}

/// What interrupted operations have left, in words. Changes nothing, and takes no lock: what is said of an operation that
/// runs just now is no leftover.
///
/// # Errors
/// [`MutationError`].
pub fn leftovers(site: &Site) -> Result<Vec<String>, MutationError> {
    let cow = site.layout.cow();
    if !lock::holders(cow, &cow.mutation_lock()).is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    if let Some(Intent { entry, .. }) = Intent::read(cow)? {
        found.push(format!("'{entry}', in which process {} died", entry.pid));
    }
    if convert::is_begun(&site.layout)? {
        found.push("a conversion of the storage".to_owned());
    }
    // What is in the trash is no operation's any more: it is removed in the background.
    match scratch::count_left(site)? {
        0 => {}
        1 => found.push("1 tree that was staged".to_owned()),
        count => found.push(format!("{count} trees that were staged")),
    }
    Ok(found)
}

/// Makes the tree at `staged`, a folder in the site's staging folder, the first `main` of a site, durably.
///
/// # Errors
/// [`MutationError`]; the tree is then still where it was, but for [`MutationError::Unfinished`].
pub fn adopt_main(site: &Site, staged: &Path, patience: &mut Patience<'_>) -> Result<Report, MutationError> {
    transaction::adopt(site, staged, patience)?.publish(patience)
}
