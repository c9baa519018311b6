//! Where an export is put: it is made beside that place, and renamed when it is whole. One that fails leaves nothing.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use forkpress_core::advice::Advice;
use tempfile::{NamedTempFile, TempDir};
use thiserror::Error;

use super::MANIFEST;
use crate::branch::{self, BranchError};
use crate::site::Site;

/// Where an export is to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To standard output.
    Output,
    /// Into a file.
    File(PathBuf),
    /// Into a folder.
    Folder(PathBuf),
}

/// Why an export can't be put there.
#[derive(Debug, Error)]
pub enum PlaceError {
    /// Something is there.
    #[error("{path} exists")]
    Exists {
        /// What.
        path: PathBuf,
    },
    /// A folder is there that no export made.
    #[error("{path} is a folder with other files in it")]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// It is a place in a branch, or ForkPress's own.
    #[error("{path} is in the branch or the work folder at {folder}")]
    InSite {
        /// The place.
        path: PathBuf,
        /// What it is in.
        folder: PathBuf,
    },
    /// A step on the disk failed.
    #[error("cannot write {path}")]
    Write {
        /// The place.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Which branches there are can't be told.
    #[error(transparent)]
    Branches(#[from] BranchError),
}

impl Advice for PlaceError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { .. } => Some("name another place with --to, or give --force to replace it".to_owned()),
            Self::Foreign { .. } => Some("name a new folder with --to".to_owned()),
            Self::InSite { .. } => Some("name a place outside of the branches with --to".to_owned()),
            Self::Branches(error) => error.hint(),
            Self::Write { .. } => None,
        }
    }
}

/// A place in which an export is being made.
pub(super) struct ExportPlace {
    pub(super) making: Making,
    path: PathBuf,
    is_forced: bool,
}

/// What is being made beside the place. Dropped, it goes.
pub(super) enum Making {
    File(NamedTempFile),
    Folder(TempDir),
}

impl ExportPlace {
    /// Begins an export into a file or a folder.
    pub(super) fn prepare(site: &Site, path: &Path, is_folder: bool, is_forced: bool) -> Result<Self, PlaceError> {
        let failed = |source| PlaceError::Write { path: path.to_owned(), source };
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename).map_err(|kind| failed(kind.into()))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let parent = parent.canonicalize().map_err(failed)?;
        let place = parent.join(name);
        refuse_in_site(site, &place)?;
        match fs::symlink_metadata(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
            Ok(found) if is_folder && found.is_dir() => {
                let is_empty = fs::read_dir(&place).map_err(failed)?.next().is_none();
                let is_export = place.join(MANIFEST).is_file();
                match (is_empty, is_export, is_forced) {
                    (true, ..) | (_, true, true) => {}
                    (_, true, false) => return Err(PlaceError::Exists { path: path.to_owned() }),
                    (_, false, _) => return Err(PlaceError::Foreign { path: path.to_owned() }),
                }
            }
            Ok(found) if is_forced && !is_folder && found.is_file() => {}
            Ok(_) => return Err(PlaceError::Exists { path: path.to_owned() }),
        }
        let prefix = format!(".{}.", name.to_string_lossy());
        let mut beside = tempfile::Builder::new();
        let beside = beside.prefix(&prefix).suffix(".tmp");
        let making = if is_folder {
            beside.tempdir_in(&parent).map(Making::Folder)
        } else {
            beside.tempfile_in(&parent).map(Making::File)
        };
        Ok(Self { making: making.map_err(failed)?, path: place, is_forced })
    }

    /// Puts the export in its place, durably.
    pub(super) fn commit(self) -> Result<PathBuf, PlaceError> {
        let Self { making, path, is_forced } = self;
        let put = || -> io::Result<()> {
            match making {
                Making::File(file) => {
                    file.as_file().sync_all()?;
                    if is_forced { file.persist(&path) } else { file.persist_noclobber(&path) }
                        .map_err(|error| error.error)?;
                }
                Making::Folder(folder) => {
                    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
                    let parent = path.parent().unwrap_or(Path::new("/"));
                    // What is there goes aside only now, and only if it is not empty: then it is an export.
                    let aside =
                        tempfile::Builder::new().prefix(".forkpress-export.").suffix(".tmp").tempdir_in(parent)?;
                    if is_forced && path.join(MANIFEST).is_file() {
                        fs::rename(&path, aside.path().join("before"))?;
                    }
                    fs::rename(folder.path(), &path)?;
                    // It has another name now: nothing is to be removed.
                    let _ = folder.keep();
                }
            }
            crate::file::sync_dir(path.parent().unwrap_or(Path::new("/")))
        };
        put().map_err(|source| PlaceError::Write { path: path.clone(), source })?;
        Ok(path)
    }
}

/// What is in a branch would be in the next export, and in Git.
fn refuse_in_site(site: &Site, place: &Path) -> Result<(), PlaceError> {
    let branches = branch::list(site)?;
    let folders = branches.iter().flat_map(|branch| [branch.path.clone(), site.layout.public_branch(&branch.name)]);
    for folder in folders.chain([site.layout.work_dir().to_owned()]) {
        let real = folder.canonicalize();
        if place.starts_with(&folder) || real.is_ok_and(|real| place.starts_with(real)) {
            return Err(PlaceError::InSite { path: place.to_owned(), folder });
        }
    }
    Ok(())
}
