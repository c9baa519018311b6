//! What mutations put down while they prepare, in the staging folder, and what of it is nobody's any more.
//!
//! Every place in staging is named by a branch, and belongs to whoever holds that branch's mutation lock. Where nobody does,
//! what is there was left by a process that died.

use std::path::{Path, PathBuf};

use super::error::StepError;
use crate::disk::{self, DiskError};
use crate::remote;
use crate::site::Site;
use forkpress_core::lock::{Preparation, Unprepared};
use forkpress_core::name::BranchName;

/// A folder that goes when it is dropped. Where it can't, the next mutation removes it.
///
/// It must never go with the only copy of anything: before it may get one it is kept, and let go again only when that copy
/// is elsewhere, too.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    is_kept: bool,
}

impl Scratch {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, is_kept: false }
    }

    /// One that a dead process left. It stays.
    pub(super) fn left(path: PathBuf) -> Self {
        Self { path, is_kept: true }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Follows the folder to where it was moved.
    pub(super) fn moved(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Leaves the folder alone from now on.
    pub(super) fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Lets it go when it is dropped, after all.
    pub(super) fn let_go(&mut self) {
        self.is_kept = false;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.is_kept {
            let _: Result<(), DiskError> = disk::remove(&self.path);
        }
    }
}

/// Throws away what is in staging and nobody's, and says whether that was anything. What is staged for the branches of
/// `preparation`, which has not begun, is nobody's either.
pub(super) fn sweep(site: &Site, preparation: Option<&Preparation>) -> Result<bool, StepError> {
    let cow = site.layout.cow();
    let mut is_any = remote::sweep(cow)?;
    for path in disk::list(&cow.staging_dir())? {
        let _unprepared = match owner(&path) {
            Some(name) if !preparation.is_some_and(|preparation| preparation.is_of(&name)) => {
                match Unprepared::try_lock(cow, &name)? {
                    Some(lock) => Some(lock),
                    None => continue,
                }
            }
            _ => None,
        };
        disk::discard(&path, &cow.trash_dir())?;
        is_any = true;
    }
    Ok(is_any)
}

/// How many things in staging are nobody's. It is a snapshot: a mutation may begin, or end, meanwhile.
pub(super) fn count_left(site: &Site) -> Result<usize, StepError> {
    let cow = site.layout.cow();
    let mut count = 0;
    // What a tree has in common with another is no tree.
    let is_tree = |path: &PathBuf| path.extension().is_none_or(|kind| kind != "parting");
    for path in disk::list(&cow.staging_dir())?.into_iter().filter(is_tree) {
        let is_left = match owner(&path) {
            Some(name) => Unprepared::try_lock(cow, &name)?.is_some(),
            None => true,
        };
        count += usize::from(is_left);
    }
    Ok(count)
}

/// The branch that something in staging is for. No branch's name has a dot.
fn owner(path: &Path) -> Option<BranchName> {
    path.file_name()?.to_str()?.split('.').next()?.parse().ok()
}
