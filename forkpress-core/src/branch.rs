//! The branches of a site: folders that have a record. Looking at them takes no lock.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::name::BranchName;
use crate::record::{BranchRecord, RecordError};
use crate::site::Site;

/// A branch: its folder and its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its name.
    pub name: BranchName,
    /// Its folder.
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
    /// There is a record, but a symlink or a file stands where the folder should be.
    #[error("{path} is not a folder, so branch '{name}' cannot be used")]
    NotAFolder {
        /// The branch that was asked for.
        name: BranchName,
        /// What stands there.
        path: PathBuf,
    },
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

/// Every branch of a site: `main` first, then by name.
///
/// A record without a folder is left out: a delete may be between its two steps, or a user may have removed the folder.
///
/// # Errors
/// [`BranchError`]; one record that can't be read fails the whole list.
pub fn list(site: &Site) -> Result<Vec<Branch>, BranchError> {
    let records = site.layout.cow().records_dir();
    let look = |source| BranchError::Look { path: records.clone(), source };
    let mut branches = Vec::new();
    for entry in fs::read_dir(&records).map_err(look)? {
        let file_name = entry.map_err(look)?.file_name();
        // The record of a branch in which files change places just now is aside.
        let name = Path::new(&file_name).file_stem().and_then(OsStr::to_str).and_then(|name| name.parse().ok());
        let Some(name) = name else { continue };
        match show(site, &name) {
            Ok(branch) => branches.push(branch),
            // The record may have been dropped since it was listed.
            Err(BranchError::Missing { .. } | BranchError::NoRecord { .. } | BranchError::NotAFolder { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    branches.sort_by(|a, b| (!a.name.is_main(), &a.name).cmp(&(!b.name.is_main(), &b.name)));
    branches.dedup_by(|a, b| a.name == b.name);
    Ok(branches)
}

/// The branch `name`.
///
/// # Errors
/// [`BranchError`].
pub fn show(site: &Site, name: &BranchName) -> Result<Branch, BranchError> {
    let path = site.layout.branch(name);
    let folder = match fs::symlink_metadata(&path) {
        Ok(metadata) => Some(metadata.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(BranchError::Look { path, source }),
    };
    let record = read_record(site, name)?;
    match (folder, record) {
        (None, _) => Err(BranchError::Missing { name: name.clone() }),
        (Some(_), None) => Err(BranchError::NoRecord { path }),
        (Some(false), Some(_)) => Err(BranchError::NotAFolder { name: name.clone(), path }),
        (Some(true), Some(record)) => Ok(Branch { name: name.clone(), path, record }),
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
