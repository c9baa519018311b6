//! Why a mutation did not happen: an enum for each operation that can be refused for reasons of its own, around those that
//! all operations share.
//!
//! Each holds the next: an operation's own ([`CreateError`], [`ResetError`], [`DeleteError`], [`UndoError`]), then what may
//! keep any branch from being changed ([`ChangeError`]), what a process that died may have left ([`RecoverError`]), and a
//! step that failed ([`StepError`]). So what goes wrong has one place, whoever meets it, and `?` takes it there.
//!
//! After an error the site is as it was, but for [`ChangeError::Unfinished`] and [`ChangeError::Halfway`], and as another
//! operation left it for [`RecoverError::NotPutBack`] and [`RecoverError::CopiesGone`].

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use thiserror::Error;

use super::refusal::{Refusal, Refused};
use crate::branch::BranchError;
use crate::config::{ConfigError, FileView};
use crate::database::DatabaseError;
use crate::disk::DiskError;
use crate::storage::StorageError;
use forkpress_core::advice::Advice;
use forkpress_core::lock::LockError;
use forkpress_core::name::BranchName;
use forkpress_core::record::RecordError;

/// Why several branches were not created.
#[derive(Debug, Error)]
pub enum CreateError {
    /// No branch is named.
    #[error("no branch to create")]
    NoNames,
    /// A branch is named more than once.
    #[error("branch '{name}' is named twice")]
    NamedTwice {
        /// Its name.
        name: BranchName,
    },
    /// What may keep any branch from being changed.
    #[error(transparent)]
    Change(ChangeError),
}

/// Why a branch was not reset.
#[derive(Debug, Error)]
pub enum ResetError {
    /// Resetting `main` has to be asked for twice.
    #[error("refusing to reset main without --force")]
    Main,
    /// There is nothing to take from itself.
    #[error("cannot reset a branch from itself")]
    FromItself,
    /// What may keep any branch from being changed.
    #[error(transparent)]
    Change(ChangeError),
}

/// Why a branch was not deleted.
#[derive(Debug, Error)]
pub enum DeleteError {
    /// `main` always exists.
    #[error("cannot delete the main branch")]
    Main,
    /// What may keep any branch from being changed.
    #[error(transparent)]
    Change(ChangeError),
}

/// Why an operation was not taken back.
#[derive(Debug, Error)]
pub enum UndoError {
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
    /// The operation created `main`, which always exists.
    #[error("cannot delete the main branch")]
    MadeMain,
    /// The operation is a merge, and the branch has had another database since.
    #[error("operation {id} is a merge, and operation {by} has changed the branch's database after it")]
    Followed {
        /// The operation that was to be undone.
        id: u64,
        /// The one that is to be undone first.
        by: u64,
    },
    /// What may keep any branch from being changed.
    #[error(transparent)]
    Change(ChangeError),
}

/// Why a branch was not changed. This shows as the mutation is prepared and, of what may have become otherwise since, as it
/// is published.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// The branch to create exists.
    #[error("branch '{name}' already exists")]
    Exists {
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
    /// Files can't be put into the branch.
    #[error(transparent)]
    Put(#[from] PutError),
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
        way_back: Box<RecoverError>,
    },
    /// What a process that died left is in the way, or a step failed.
    #[error(transparent)]
    Recover(RecoverError),
}

/// Why files were not put into a branch.
#[derive(Debug, Error)]
pub enum PutError {
    /// What is to be put into the branch can't be had.
    #[error("cannot read what is to be applied")]
    Overlay {
        /// What the system said.
        source: io::Error,
    },
    /// No such path can be changed in a branch, or not together with the others.
    #[error("no file can be put at {}", path.display())]
    UnfitPath {
        /// The path inside the branch.
        path: PathBuf,
    },
    /// Files that are to be changed are not what they are thought to be, or have changed meanwhile.
    #[error("changed meanwhile: {}", list_of(paths))]
    Stale {
        /// Their paths inside the branch.
        paths: Vec<PathBuf>,
    },
    /// Somebody has written into the database since what it is to be was made from it. That is then made anew.
    #[error("the database has changed meanwhile")]
    DatabaseChanged,
    /// Somebody wrote into the database each time before what it is to be was made from it, and it is too large to be copied
    /// while requests wait.
    #[error(
        "the database changed each time before its new state was ready, and is too large to be copied while requests wait"
    )]
    DatabaseRestless,
    /// The database can't be what it is to be.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The file system would refuse to change this path, so nothing was changed.
    #[error("cannot change {}", path.display())]
    Refused {
        /// The path inside the branch.
        path: PathBuf,
        /// Why.
        source: Refusal,
    },
}

/// Why a database, or a tree, can't be what it is to be.
#[derive(Debug, Error)]
pub enum EditError {
    /// What was to be changed is not what it was any more.
    #[error("changed in the database meanwhile: {0}")]
    Stale(String),
    /// It can't be changed so.
    #[error(transparent)]
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// Why what a process that died left was not brought to its end.
#[derive(Debug, Error)]
pub enum RecoverError {
    /// What a branch had before an operation that died is not where that operation put it, so it can't be had back.
    #[error("branch '{name}' is not served: what it had before an operation that died is gone from {path}")]
    CopiesGone {
        /// The branch.
        name: BranchName,
        /// Where it should be.
        path: PathBuf,
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
    Conversion(#[source] Box<ConvertError>),
    /// A step failed.
    #[error(transparent)]
    Step(StepError),
}

/// A step that failed, as any mutation takes it.
#[derive(Debug, Error)]
pub enum StepError {
    /// A branch can't be used.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// A lock was not had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A database can't be snapshot.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A step on the disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A record can't be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The site's settings can't be read, so it can't be told where its branches are.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An intent or an entry of the log can't be understood, so what a mutation left can't be told from what is whole.
    #[error("{path} is not valid")]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        source: Box<toml::de::Error>,
    },
}

impl<E: Into<StepError>> From<E> for RecoverError {
    fn from(error: E) -> Self {
        Self::Step(error.into())
    }
}

impl<E: Into<RecoverError>> From<E> for ChangeError {
    fn from(error: E) -> Self {
        Self::Recover(error.into())
    }
}

impl<E: Into<ChangeError>> From<E> for CreateError {
    fn from(error: E) -> Self {
        Self::Change(error.into())
    }
}

impl<E: Into<ChangeError>> From<E> for ResetError {
    fn from(error: E) -> Self {
        Self::Change(error.into())
    }
}

impl<E: Into<ChangeError>> From<E> for DeleteError {
    fn from(error: E) -> Self {
        Self::Change(error.into())
    }
}

impl<E: Into<ChangeError>> From<E> for UndoError {
    fn from(error: E) -> Self {
        Self::Change(error.into())
    }
}

impl From<Refused> for PutError {
    fn from((path, source): Refused) -> Self {
        Self::Refused { path, source }
    }
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

impl ChangeError {
    /// The step that failed, where it is one that any mutation takes.
    #[must_use]
    pub fn step(&self) -> Option<&StepError> {
        match self {
            Self::Recover(RecoverError::Step(error)) => Some(error),
            _ => None,
        }
    }

    /// Whether a program that is none of ForkPress's writes into a database just now.
    pub(super) fn is_foreign_writer(&self) -> bool {
        matches!(self.step(), Some(StepError::Database(DatabaseError::Busy { .. })))
    }
}

/// An error that may come of a disk that is full.
pub(super) trait NeedsRoom {
    /// Whether more space was needed than there was.
    fn is_disk_full(&self) -> bool;
}

impl NeedsRoom for io::Error {
    fn is_disk_full(&self) -> bool {
        matches!(self.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
    }
}

impl NeedsRoom for StepError {
    fn is_disk_full(&self) -> bool {
        match self {
            Self::Disk(error) | Self::Database(DatabaseError::Disk(error)) => error.source.is_disk_full(),
            Self::Database(DatabaseError::Sqlite { source, .. }) => {
                source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            }
            _ => false,
        }
    }
}

impl NeedsRoom for RecoverError {
    fn is_disk_full(&self) -> bool {
        match self {
            Self::NotPutBack { source, .. } => source.source.is_disk_full(),
            Self::Step(error) => error.is_disk_full(),
            Self::CopiesGone { .. } | Self::Converted | Self::Conversion(_) => false,
        }
    }
}

impl NeedsRoom for ChangeError {
    fn is_disk_full(&self) -> bool {
        match self {
            Self::Put(PutError::Refused { source: Refusal::Step(error), .. }) => error.source.is_disk_full(),
            Self::Put(PutError::Overlay { source }) => source.is_disk_full(),
            Self::Recover(error) => error.is_disk_full(),
            _ => false,
        }
    }
}

/// What to type instead of a command that would leave a site without `main`.
const RESET_MAIN: &str = "forkpress branch reset main --from BRANCH --force";

impl Advice for CreateError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Change(error) => error.hint(),
            Self::NoNames | Self::NamedTwice { .. } => None,
        }
    }

    fn is_passing(&self) -> bool {
        matches!(self, Self::Change(error) if error.is_passing())
    }
}

impl Advice for ResetError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Main => Some("add --force if main's files and database may be replaced".to_owned()),
            Self::FromItself => Some("name the branch to clone: --from BRANCH".to_owned()),
            Self::Change(error) => error.hint(),
        }
    }

    fn is_passing(&self) -> bool {
        matches!(self, Self::Change(error) if error.is_passing())
    }
}

impl Advice for DeleteError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Main => Some(RESET_MAIN.to_owned()),
            Self::Change(error) => error.hint(),
        }
    }

    fn is_passing(&self) -> bool {
        matches!(self, Self::Change(error) if error.is_passing())
    }
}

impl Advice for UndoError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NothingToUndo | Self::NoOperation { .. } => Some("forkpress log".to_owned()),
            Self::Undone { by, .. } => Some(format!("forkpress undo {by} redoes it")),
            Self::Followed { by, .. } => Some(format!("undo that one first: forkpress undo {by}")),
            Self::MadeMain => Some(RESET_MAIN.to_owned()),
            Self::Change(error) => error.hint(),
        }
    }

    fn is_passing(&self) -> bool {
        matches!(self, Self::Change(error) if error.is_passing())
    }
}

impl Advice for ChangeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { name } => {
                Some(format!("forkpress branch reset {name} --from BRANCH, or choose another name"))
            }
            Self::InTheWay { path, .. } => Some(format!("move {} away, or choose another name", path.display())),
            Self::Source { source, .. } => source.hint(),
            Self::Put(PutError::Refused { source, .. }) => source.hint(),
            Self::NotKept { newest_undoable: Some(id), .. } => {
                Some(format!("the newest that can be undone is operation {id}: forkpress undo {id}"))
            }
            Self::NotKept { newest_undoable: None, .. } => Some("forkpress log".to_owned()),
            Self::Halfway { way_back, .. } => way_back.hint(),
            Self::Recover(error) => error.hint(),
            Self::SourceReplaced { .. } | Self::Put(PutError::DatabaseRestless) => {
                Some("type the command again".to_owned())
            }
            Self::Replaced { .. } | Self::Put(_) | Self::Unfinished { .. } => None,
        }
    }

    fn is_passing(&self) -> bool {
        match self {
            Self::Halfway { way_back, .. } => way_back.is_passing(),
            Self::Recover(error) => error.is_passing(),
            Self::SourceReplaced { .. } | Self::Put(PutError::DatabaseRestless) => true,
            _ => false,
        }
    }
}

impl Advice for EditError {
    fn hint(&self) -> Option<String> {
        None
    }

    fn is_passing(&self) -> bool {
        matches!(self, Self::Stale(_))
    }
}

impl Advice for RecoverError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::CopiesGone { name, path } => Some(format!(
                "bring {} back if you can; or, to serve '{name}' as it is now, rename .forkpress/cow/branches/{name}.aside \
                 to {name}.toml and remove .forkpress/cow/journal/intent.toml",
                path.display()
            )),
            Self::NotPutBack { source, .. } => Some(format!(
                "what it had is kept: make {} changeable again; then the next command, or the server, puts it back",
                source.path.display()
            )),
            Self::Converted => Some("type the command again".to_owned()),
            Self::Conversion(error) => error.hint(),
            Self::Step(error) => error.hint(),
        }
    }

    fn is_passing(&self) -> bool {
        match self {
            Self::Converted => true,
            Self::Conversion(error) => error.is_passing(),
            Self::Step(error) => error.is_passing(),
            Self::CopiesGone { .. } | Self::NotPutBack { .. } => false,
        }
    }
}

impl Advice for StepError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Branch(error) => error.hint(),
            Self::Lock(error) => error.hint(),
            Self::Database(error) => error.hint(),
            Self::Config(error) => error.hint(),
            Self::Disk(_) | Self::Record(_) | Self::Journal { .. } => None,
        }
    }

    fn is_passing(&self) -> bool {
        match self {
            Self::Lock(error) => error.is_passing(),
            Self::Database(error) => error.is_passing(),
            _ => false,
        }
    }
}

/// Why a site was not moved, or not to the end.
#[derive(Debug, Error)]
pub enum ConvertError {
    /// There is nothing to do.
    #[error("this site has the file view {0} already")]
    Same(FileView),
    /// The view does not work here.
    #[error("the file view {0} does not work here")]
    Unsupported(FileView),
    /// A copy is not what it is a copy of.
    #[error("{} is not what it was copied from", path.display())]
    Differs {
        /// The copy.
        path: PathBuf,
    },
    /// The site uses the new storage, but the old one could not be removed yet. The next conversion or server does that.
    #[error("the site is converted, but the old storage is still there")]
    OldStays(#[source] StorageError),
    /// The image can't be had.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// What a process that died left is in the way, or a step failed.
    #[error(transparent)]
    Recover(RecoverError),
}

impl<E: Into<RecoverError>> From<E> for ConvertError {
    fn from(error: E) -> Self {
        Self::Recover(error.into())
    }
}

impl Advice for ConvertError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Same(_) | Self::Unsupported(_) => Some("forkpress doctor storage says what works here".to_owned()),
            Self::OldStays(_) => Some("end the programs that use it; then forkpress serve removes it".to_owned()),
            Self::Storage(error) => error.hint(),
            Self::Recover(error) => error.hint(),
            Self::Differs { .. } => None,
        }
    }

    fn is_passing(&self) -> bool {
        match self {
            Self::Storage(error) => error.is_passing(),
            Self::Recover(error) => error.is_passing(),
            _ => false,
        }
    }
}
