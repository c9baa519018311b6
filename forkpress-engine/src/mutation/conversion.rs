//! A conversion that has begun: what `convert.toml` says of it, and its way to the end, or back.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{ConvertError, StepError};
use super::toml_file;
use crate::config::FileView;
use crate::database;
use crate::disk::{self, DiskError, step};
use crate::site::{Site, create_folders};
use crate::storage::{self, StorageError};
use forkpress_core::layout::{CowLayout, SiteLayout};
use forkpress_core::lock::{Mutation, Patience, generation};
use forkpress_core::name::BranchName;
use forkpress_core::record::BranchRecord;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Phase {
    /// Nothing but copies were made.
    Copying,
    /// All trees are in the new storage, whole, and branches change places.
    Switching,
    /// The site uses the new storage.
    Switched,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Conversion {
    pub(super) from: FileView,
    pub(super) to: FileView,
    pub(super) phase: Phase,
}

impl Conversion {
    pub(super) fn read(layout: &SiteLayout) -> Result<Option<Self>, StepError> {
        toml_file::read(&layout.conversion())
    }

    pub(super) fn write(self, layout: &SiteLayout) -> Result<(), DiskError> {
        let text = toml::to_string(&self).expect("a conversion is plain values");
        disk::replace(&layout.conversion(), text.as_bytes())
    }

    fn before(self, layout: &SiteLayout) -> SiteLayout {
        layout.with_image(self.from.image())
    }

    pub(super) fn after(self, layout: &SiteLayout) -> SiteLayout {
        layout.with_image(self.to.image())
    }
}

/// Where a conversion puts what comes, until it is in its place.
pub(super) struct IncomingFolders {
    pub(super) branches: PathBuf,
    pub(super) kept: PathBuf,
    pub(super) partings: PathBuf,
}

impl IncomingFolders {
    pub(super) fn of(new: &SiteLayout) -> Self {
        match new.image() {
            Some(_) => {
                Self { branches: new.branches_dir(), kept: new.cow().kept_dir(), partings: new.cow().partings_dir() }
            }
            None => Self {
                branches: new.conversion_trees("branches"),
                kept: new.conversion_trees("kept"),
                partings: new.conversion_trees("partings"),
            },
        }
    }

    /// What comes that no branch has, and where it is to be.
    pub(super) fn at_rest(&self, new: &CowLayout) -> [(&PathBuf, PathBuf); 2] {
        [(&self.kept, new.kept_dir()), (&self.partings, new.partings_dir())]
    }
}

/// The branches that are aside.
pub(super) fn aside(cow: &CowLayout) -> Result<Vec<BranchName>, DiskError> {
    let name = |path: &PathBuf| {
        let is_aside = path.extension().is_some_and(|extension| extension == "aside");
        path.file_stem().filter(|_| is_aside)?.to_str()?.parse().ok()
    };
    Ok(disk::list(&cow.records_dir())?.iter().filter_map(name).collect())
}

/// Puts everything in its place. The branches are aside; no request runs. Safe to repeat: what is in its place stays.
pub(super) fn switch(site: &Site, conversion: Conversion, generation: u64) -> Result<(), ConvertError> {
    let (old, new) = (conversion.before(&site.layout), conversion.after(&site.layout));
    let (cow, incoming) = (site.layout.cow(), IncomingFolders::of(&new));
    let names = aside(cow)?;
    let former = site.layout.conversion_trees("former");
    step("make the folder", &former, || fs::create_dir_all(&former))?;
    for name in &names {
        let public = site.layout.public_branch(name);
        if old.image().is_some() {
            storage::link(&old, name, false)?;
        } else if is_folder(&public)? {
            disk::rename(&public, &former.join(name.as_str()))?;
        }
        if new.image().is_some() {
            storage::link(&new, name, true)?;
        } else if disk::inode(&incoming.branches.join(name.as_str()))?.is_some() {
            disk::rename(&incoming.branches.join(name.as_str()), &public)?;
        }
    }
    if new.image().is_none() {
        create_folders(&new).map_err(StorageError::Site)?;
        for (folder, place) in incoming.at_rest(new.cow()) {
            for tree in disk::list(folder)? {
                disk::rename(&tree, &place.join(name_of(&tree)))?;
            }
            disk::sync(&place)?;
        }
    }
    disk::sync(site.layout.public_root())?;
    write_view(site, &new, conversion.to)?;
    Conversion { phase: Phase::Switched, ..conversion }.write(&site.layout)?;
    put_back(cow, Some(generation))
}

pub(super) fn is_folder(path: &Path) -> Result<bool, DiskError> {
    step("look at", path, || match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => Ok(found?.is_dir()),
    })
}

/// Gives the branches that are aside their records back, of this publish where there was one.
pub(super) fn put_back(cow: &CowLayout, generation: Option<u64>) -> Result<(), ConvertError> {
    for name in aside(cow)? {
        let record = BranchRecord::read(&cow.record_aside(&name))?;
        if let Some(mut record) = record {
            record.generation = generation.unwrap_or(record.generation);
            disk::replace(&cow.record(&name), record.to_toml().as_bytes())?;
        }
        disk::remove(&cow.record_aside(&name))?;
    }
    Ok(disk::sync(&cow.records_dir())?)
}

pub(super) fn write_view(site: &Site, layout: &SiteLayout, view: FileView) -> Result<(), ConvertError> {
    let mut config = site.config.clone();
    config.file_view = view;
    step("write", &layout.config(), || config.write(&layout.config()).map_err(io::Error::other))?;
    Ok(())
}

/// Throws away what was copied.
pub(super) fn take_back(layout: &SiteLayout, conversion: Conversion) -> Result<(), ConvertError> {
    put_back(layout.cow(), None)?;
    // Before any of the trees, so that no note is left of a tree that is half gone.
    let copied = layout.conversion_trees("copied");
    disk::remove(&copied)?;
    if let Some(folder) = copied.parent().filter(|folder| folder.exists()) {
        disk::sync(folder)?;
    }
    if let Some(image) = conversion.after(layout).image() {
        storage::remove(image)?;
    }
    finish(layout)
}

/// Removes the old storage, if the new one is whole.
pub(super) fn clean_up(layout: &SiteLayout, conversion: Conversion) -> Result<(), ConvertError> {
    let (old, new) = (conversion.before(layout), conversion.after(layout));
    if let Some(image) = new.image() {
        storage::mount(&new, image)?;
    }
    for entry in disk::list(&layout.cow().records_dir())? {
        let Some(name) = entry.file_stem().and_then(|name| name.to_str()?.parse().ok()) else { continue };
        database::check(&new.branch(&name))?;
    }
    if let Some(image) = old.image() {
        storage::remove(image)?;
    } else {
        for folder in [old.cow().kept_dir(), old.cow().partings_dir(), old.cow().spares_dir()] {
            disk::list(&folder)?.iter().try_for_each(|tree| disk::remove(tree))?;
        }
    }
    finish(layout)
}

pub(super) fn finish(layout: &SiteLayout) -> Result<(), ConvertError> {
    let former = layout.conversion_trees("former");
    disk::remove(former.parent().unwrap_or(&former))?;
    disk::remove(&layout.conversion())?;
    Ok(disk::sync(layout.work_dir())?)
}

/// The same under `mutation.lock`: whoever wrote the conversion down is dead.
pub(super) fn heal_under_lock(
    site: &Site,
    mutation: &mut Mutation<'_>,
    patience: &mut Patience<'_>,
) -> Result<(), ConvertError> {
    let Some(conversion) = Conversion::read(&site.layout)? else { return Ok(()) };
    match conversion.phase {
        Phase::Copying => return take_back(&site.layout, conversion),
        Phase::Switching => {
            let new = conversion.after(&site.layout);
            if let Some(image) = new.image() {
                storage::mount(&new, image)?;
            }
            let publish = mutation.publish_widely(patience)?;
            switch(site, conversion, publish.generation())?;
        }
        Phase::Switched => put_back(site.layout.cow(), Some(generation(site.layout.cow())?))?,
    }
    clean_up(&site.layout, conversion).map_err(|error| match error {
        ConvertError::Storage(error) => ConvertError::OldStays(error),
        error => error,
    })
}

/// Whether a conversion has begun and not ended.
///
/// # Errors
/// [`DiskError`] where it can't be told: that is not that there is none.
pub(super) fn is_begun(layout: &SiteLayout) -> Result<bool, DiskError> {
    Ok(disk::inode(&layout.conversion())?.is_some())
}

pub(super) fn name_of(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}
