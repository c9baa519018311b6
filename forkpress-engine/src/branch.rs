//! The branches of a site: folders that have a record. Looking at them takes no lock.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::site::Site;
use crate::storage;
use forkpress_core::advice::Advice;
use forkpress_core::name::BranchName;
use forkpress_core::record::{BranchRecord, RecordError};

/// A branch: its folder and its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its name.
    pub name: BranchName,
    /// Its tree, in the image where branches are in one.
    pub path: PathBuf,
    /// When and from what it was made.
    pub record: BranchRecord,
}

/// Why a branch can't be had.
#[derive(Debug, Error)]
pub enum BranchError {
    /// There is neither a folder nor a record.
    #[error("branch '{name}' does not exist")]
    Missing {
        /// The branch that was asked for.
        name: BranchName,
    },
    /// There is something at the branch's place, but no record that makes it a branch.
    #[error("{path} has no record, so it is not a branch")]
    NoRecord {
        /// What stands there.
        path: PathBuf,
    },
    /// There is a record, but something else stands where the folder, or the link to it, should be.
    #[error("{path} is not a folder, so branch '{name}' cannot be used")]
    NotAFolder {
        /// The branch that was asked for.
        name: BranchName,
        /// What stands there.
        path: PathBuf,
    },
    /// The image that the branches are in is not mounted.
    #[error("the storage of this site is detached")]
    Detached,
    /// The record can't be used.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A path can't be looked at.
    #[error("cannot look at {path}")]
    Look {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Advice for BranchError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some("forkpress branch list".to_owned()),
            Self::NoRecord { .. } | Self::NotAFolder { .. } => {
                Some("forkpress did not make it and leaves it alone: move it away by hand".to_owned())
            }
            Self::Detached => Some("forkpress storage mount, or forkpress serve".to_owned()),
            Self::Record(_) | Self::Look { .. } => None,
        }
    }
}

/// The name of a branch, and the branch, or why it can't be had.
pub type Shown = (BranchName, Result<Branch, BranchError>);

/// Every branch of a site: `main` first, then by name.
///
/// A record without a folder is left out: a delete may be between its two steps, or a user may have removed the folder.
///
/// # Errors
/// As [`list_each`]; and one branch that can't be had fails the whole list.
pub fn list(site: &Site) -> Result<Vec<Branch>, BranchError> {
    list_each(site)?.into_iter().map(|(_, shown)| shown).collect()
}

/// The same for those who can do without some: each branch by its name, or why it can't be had.
///
/// # Errors
/// [`BranchError::Detached`] as [`check_storage`]; [`BranchError::Look`] when the folder of records can't be read. What is
/// wrong with one branch stands in its place.
pub fn list_each(site: &Site) -> Result<Vec<Shown>, BranchError> {
    check_storage(site)?;
    let records = site.layout.cow().records_dir();
    let look = |source| BranchError::Look { path: records.clone(), source };
    let mut branches = Vec::new();
    for entry in fs::read_dir(&records).map_err(look)? {
        let file_name = entry.map_err(look)?.file_name();
        // The record of a branch in which files change places just now is aside.
        let name = Path::new(&file_name).file_stem().and_then(OsStr::to_str).and_then(|name| name.parse().ok());
        let Some(name) = name else { continue };
        match show(site, &name) {
            // The record may have been dropped since it was listed.
            Err(BranchError::Missing { .. } | BranchError::NoRecord { .. } | BranchError::NotAFolder { .. }) => {}
            shown => branches.push((name, shown)),
        }
    }
    branches.sort_by(|(a, _), (b, _)| (!a.is_main(), a).cmp(&(!b.is_main(), b)));
    branches.dedup_by(|(a, _), (b, _)| a == b);
    Ok(branches)
}

/// What no new branch can be called, in no order: the names of branches, also of those whose folder or link a user removed,
/// and of all that stands where branches, or the links to them, do.
///
/// # Errors
/// [`BranchError::Detached`] as [`check_storage`]; [`BranchError::Look`] when a folder can't be read.
pub fn names_taken(site: &Site) -> Result<Vec<String>, BranchError> {
    check_storage(site)?;
    let names_in = |folder: &Path| {
        let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<io::Result<Vec<_>>>()
    };
    let mut taken = Vec::new();
    let records = site.layout.cow().records_dir();
    for folder in [site.layout.public_root(), &site.layout.branches_dir(), &records] {
        let names = names_in(folder).map_err(|source| BranchError::Look { path: folder.to_owned(), source })?;
        // A record has an end that its branch has not, and that no branch's name can have.
        let is_record = folder == records;
        let name = |name: String| match name.split_once('.') {
            Some((name, _)) if is_record => name.to_owned(),
            _ => name,
        };
        taken.extend(names.into_iter().map(name));
    }
    Ok(taken)
}

/// The branch `name`.
///
/// # Errors
/// [`BranchError::Missing`], [`BranchError::NoRecord`] and [`BranchError::NotAFolder`] when there is no such branch;
/// [`BranchError::Detached`] as [`check_storage`]; [`BranchError::Record`] and [`BranchError::Look`] when a record or a
/// folder can't be read.
pub fn show(site: &Site, name: &BranchName) -> Result<Branch, BranchError> {
    check_storage(site)?;
    let (path, public) = (site.layout.branch(name), site.layout.public_branch(name));
    let folder = look(&path)?.map(|metadata| metadata.is_dir());
    let record = read_record(site, name)?;
    if let Some(target) = site.layout.link_target(name) {
        let is_foreign = look(&public)?.is_some() && fs::read_link(&public).ok() != Some(target);
        match record {
            Some(_) if is_foreign => return Err(BranchError::NotAFolder { name: name.clone(), path: public }),
            None if is_foreign => return Err(BranchError::NoRecord { path: public }),
            _ => {}
        }
    }
    match (folder, record) {
        (None, _) => Err(BranchError::Missing { name: name.clone() }),
        (Some(_), None) => Err(BranchError::NoRecord { path }),
        (Some(false), Some(_)) => Err(BranchError::NotAFolder { name: name.clone(), path }),
        (Some(true), Some(record)) => Ok(Branch { name: name.clone(), path, record }),
    }
}

/// Whether branches can be looked at.
///
/// # Errors
/// [`BranchError::Detached`] when the image that they are in is not mounted, and [`BranchError::Look`] when that can't be
/// told.
pub fn check_storage(site: &Site) -> Result<(), BranchError> {
    let Some(image) = site.layout.image() else { return Ok(()) };
    match storage::is_attached(image) {
        Ok(true) => Ok(()),
        Ok(false) => Err(BranchError::Detached),
        Err(error) => Err(BranchError::Look { path: error.path, source: error.source }),
    }
}

fn look(path: &Path) -> Result<Option<fs::Metadata>, BranchError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BranchError::Look { path: path.to_owned(), source }),
    }
}

/// The record of a branch, which is aside while files of the branch change places.
fn read_record(site: &Site, name: &BranchName) -> Result<Option<BranchRecord>, RecordError> {
    let cow = site.layout.cow();
    // It may come back between the first two looks.
    for path in [cow.record(name), cow.record_aside(name), cow.record(name)] {
        if let Some(record) = BranchRecord::read(&path)? {
            return Ok(Some(record));
        }
    }
    Ok(None)
}
