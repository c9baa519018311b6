//! Moves all trees of a site from one file view to another: into an image, out of it, or from one into another.
//!
//! It runs like a mutation of all branches at once. While requests go on, every tree is copied to where the new view has
//! it; in one publish, what changed since is copied again, every branch is [put aside](CowLayout::record_aside), so that
//! nobody is served while some are here and some there, and links or folders change places. Trees of former branches,
//! which `undo` brings back, move along. The old storage goes last, when every database in the new one has passed a check.
//!
//! `convert.toml` says how far it is. A process that dies before the branches are aside has changed nothing: what it
//! copied is thrown away, unless the next command is the same conversion, which goes on with the trees that have a note.
//! One that dies later is brought to its end by whoever takes `mutation.lock` next.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::error::{RecoverError, StepError};
use super::publish::put_aside;
use super::recover;
use super::spare;
use super::staged::Staged;
use super::toml_file;
use crate::branch::{self, Branch};
use crate::config::FileView;
use crate::database::{self, DatabaseError};
use crate::disk::{self, DiskError, step};
use crate::progress::Progress;
use crate::site::{Site, create_folders};
use crate::storage::{self, StorageError};
use crate::tree::Tree;
use crate::view;
use forkpress_core::advice::Advice;
use forkpress_core::layout::{CowLayout, SiteLayout};
use forkpress_core::lock::{GATE_HOLD, Lifecycle, Mutation, Patience, generation};
use forkpress_core::name::BranchName;
use forkpress_core::record::BranchRecord;

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

/// What was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Converted {
    /// How many branches.
    pub branches: usize,
    /// How many trees that are kept for `undo`.
    pub kept: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Phase {
    /// Nothing but copies were made.
    Copying,
    /// All trees are in the new storage, whole, and branches change places.
    Switching,
    /// The site uses the new storage.
    Switched,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Conversion {
    from: FileView,
    to: FileView,
    phase: Phase,
}

impl Conversion {
    fn read(layout: &SiteLayout) -> Result<Option<Self>, StepError> {
        toml_file::read(&layout.conversion())
    }

    fn write(self, layout: &SiteLayout) -> Result<(), DiskError> {
        let text = toml::to_string(&self).expect("a conversion is plain values");
        disk::replace(&layout.conversion(), text.as_bytes())
    }

    fn before(self, layout: &SiteLayout) -> SiteLayout {
        layout.with_image(self.from.image())
    }

    fn after(self, layout: &SiteLayout) -> SiteLayout {
        layout.with_image(self.to.image())
    }
}

/// Where a conversion puts what comes, until it is in its place.
struct IncomingFolders {
    branches: PathBuf,
    kept: PathBuf,
}

impl IncomingFolders {
    fn of(new: &SiteLayout) -> Self {
        match new.image() {
            Some(_) => Self { branches: new.branches_dir(), kept: new.cow().kept_dir() },
            None => Self { branches: new.conversion_trees("branches"), kept: new.conversion_trees("kept") },
        }
    }
}

/// Gives a site another file view. Branches are served all the while, but for one publish.
///
/// # Errors
/// [`ConvertError::Same`] and [`ConvertError::Unsupported`] where that makes no sense here; [`ConvertError::Differs`] where a
/// copy is not like its tree; [`ConvertError::Storage`] where an image can't be had; [`ConvertError::Recover`] where what a
/// process that died left can't be ended, or a step fails. The site is then as it was, or is brought to the end by the next
/// command where a step of the publish itself failed. [`ConvertError::OldStays`] where all is done but for the end.
pub fn convert(
    site: &Site,
    to: FileView,
    lifecycle: &Lifecycle,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Converted, ConvertError> {
    let interrupted = Conversion { from: site.config.file_view, to, phase: Phase::Copying };
    if Conversion::read(&site.layout)? != Some(interrupted) {
        heal(site, lifecycle, patience)?;
    }
    let site = &Site::open(site.layout.work_dir()).map_err(StorageError::Open)?;
    let mut mutation = lifecycle.mutation(site.layout.cow(), "storage convert", patience)?;
    let from = site.config.file_view;
    if from == to {
        return Err(ConvertError::Same(to));
    }
    if to.image().is_none() && !view::supports(to, site.layout.public_root()) {
        return Err(ConvertError::Unsupported(to));
    }
    branch::check_storage(site)?;
    recover::under_lock(site, &mut mutation, None, patience)?;
    // They would be of no use in the new storage.
    spare::drop_all(site)?;
    let branches = branch::list(site)?;
    if from.image().is_none() && to.image().is_none() {
        // The trees stay where they are; what is made from now on is made in the new way.
        write_view(site, &site.layout, to)?;
        return Ok(Converted { branches: branches.len(), kept: 0 });
    }
    let conversion = Conversion { from, to, phase: Phase::Copying };
    conversion.write(&site.layout)?;
    let moved = move_all(site, conversion, &branches, &mut mutation, patience, progress);
    let kept = match moved {
        Ok(kept) => kept,
        Err(error) => {
            // Where it came further than that, the next command goes on.
            if Conversion::read(&site.layout)?.is_some_and(|now| now.phase == Phase::Copying) {
                take_back(&site.layout, conversion)?;
            }
            return Err(error);
        }
    };
    clean_up(&site.layout, conversion).map_err(|error| match error {
        ConvertError::Storage(error) => ConvertError::OldStays(error),
        error => error,
    })?;
    Ok(Converted { branches: branches.len(), kept })
}

/// Copies everything, and switches.
fn move_all(
    site: &Site,
    conversion: Conversion,
    branches: &[Branch],
    mutation: &mut Mutation<'_>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<usize, ConvertError> {
    let new = conversion.after(&site.layout);
    if new.image().is_some() {
        storage::make(&new, storage::default_size_bytes(&new)?)?;
    }
    let incoming = IncomingFolders::of(&new);
    let copied = Copied(site.layout.conversion_trees("copied"));
    for folder in [&incoming.branches, &incoming.kept, &copied.0] {
        step("make the folder", folder, || fs::create_dir_all(folder))?;
    }
    let mut staged = Vec::new();
    let kept = disk::list(&site.layout.cow().kept_dir())?;
    for tree in &kept {
        let target = incoming.kept.join(name_of(tree));
        // Nobody writes into these: copied once, they are copied.
        if copied.walk_of(&target)?.is_none() {
            let mut copy = stage(conversion.to, tree, target, &copied, patience, progress)?;
            copy.refresh(patience.deadline().remaining())?;
            copied.note(&copy)?;
            copy.scratch_mut().keep();
        }
    }
    for branch in branches {
        let target = incoming.branches.join(branch.name.as_str());
        staged.push(stage(conversion.to, &branch.path, target, &copied, patience, progress)?);
    }
    loop {
        let publish = mutation.publish_widely(patience)?;
        let timeout = patience.deadline().remaining().min(GATE_HOLD);
        match staged.iter_mut().try_for_each(|copy| copy.refresh(timeout).map(drop)) {
            Err(StepError::Database(DatabaseError::Busy { .. })) if !patience.deadline().has_passed() => {
                drop(publish);
                for copy in &staged {
                    copy.wait_for_database(patience.deadline())?;
                }
                continue;
            }
            refreshed => refreshed?,
        }
        disk::sync_file_system(&incoming.branches)?;
        // From here on nobody is served, whoever dies, until all are in their places.
        for branch in branches {
            put_aside(site.layout.cow(), &branch.name)?;
        }
        disk::sync(&site.layout.cow().records_dir())?;
        // Where this fails it may be written all the same, and then whoever comes next needs the copies.
        staged.iter_mut().for_each(|copy| copy.scratch_mut().keep());
        Conversion { phase: Phase::Switching, ..conversion }.write(&site.layout)?;
        switch(site, conversion, publish.generation())?;
        return Ok(kept.len());
    }
}

/// Copies a tree to `target`, and compares, unless an interrupted conversion did.
fn stage(
    view: FileView,
    source: &Path,
    target: PathBuf,
    copied: &Copied,
    patience: &Patience<'_>,
    progress: &dyn Progress,
) -> Result<Staged, ConvertError> {
    let seen = copied.walk_of(&target)?;
    let is_new = seen.is_none();
    if is_new {
        disk::remove(&target)?;
    }
    let copy = Staged::prepare_elsewhere(view, source, target, seen, patience.deadline(), progress)?;
    if is_new {
        check(source, copy.path())?;
        copied.note(&copy)?;
    }
    Ok(copy)
}

/// Notes, a file each, of the trees that are copied whole, durably: what each looked like.
struct Copied(PathBuf);

impl Copied {
    /// What the tree that was copied to `target` looked like; none where it is not there, or not whole.
    fn walk_of(&self, target: &Path) -> Result<Option<Tree>, DiskError> {
        let note = self.note_of(target);
        let bytes = step("read", &note, || match fs::read(&note) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => bytes.map(Some),
        })?;
        let is_there = disk::inode(target)?.is_some();
        Ok(bytes.filter(|_| is_there).and_then(|bytes| Tree::from_bytes(&bytes)))
    }

    fn note(&self, copy: &Staged) -> Result<(), DiskError> {
        copy.seen().map_or(Ok(()), |seen| disk::replace(&self.note_of(copy.path()), &seen.to_bytes()))
    }

    /// With the name of the folder that the tree is in: a branch may be named by a number, like a kept tree.
    fn note_of(&self, target: &Path) -> PathBuf {
        let mut name = target.parent().map(name_of).unwrap_or_default().to_owned();
        name.push("-");
        name.push(name_of(target));
        self.0.join(name)
    }
}

fn name_of(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

/// Reads every file of a copy again, and what it is a copy of. What has changed since is for the refresh to copy again.
fn check(source: &Path, copy: &Path) -> Result<(), ConvertError> {
    let differs = step("compare", copy, || {
        for entry in walkdir::WalkDir::new(copy) {
            let entry = entry?;
            let Ok(inside) = entry.path().strip_prefix(copy) else { continue };
            if !entry.file_type().is_file() || inside.starts_with(forkpress_core::layout::DATABASE_DIR) {
                continue;
            }
            let (original, mine) = (source.join(inside), entry.metadata()?);
            let is_same_age =
                |found: &fs::Metadata| found.len() == mine.len() && found.modified().ok() == mine.modified().ok();
            let Ok(before) = fs::symlink_metadata(&original) else { continue };
            if is_same_age(&before) && !disk::have_same_bytes(&original, entry.path())? {
                let is_still = fs::symlink_metadata(&original).is_ok_and(|after| is_same_age(&after));
                if is_still {
                    return Ok(Some(entry.path().to_owned()));
                }
            }
        }
        Ok(None)
    })?;
    differs.map_or(Ok(()), |path| Err(ConvertError::Differs { path }))
}

/// The branches that are aside.
fn aside(cow: &CowLayout) -> Result<Vec<BranchName>, DiskError> {
    let name = |path: &PathBuf| {
        let is_aside = path.extension().is_some_and(|extension| extension == "aside");
        path.file_stem().filter(|_| is_aside)?.to_str()?.parse().ok()
    };
    Ok(disk::list(&cow.records_dir())?.iter().filter_map(name).collect())
}

/// Puts everything in its place. The branches are aside; no request runs. Safe to repeat: what is in its place stays.
fn switch(site: &Site, conversion: Conversion, generation: u64) -> Result<(), ConvertError> {
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
        for tree in disk::list(&incoming.kept)? {
            disk::rename(&tree, &new.cow().kept_dir().join(name_of(&tree)))?;
        }
        disk::sync(&new.cow().kept_dir())?;
    }
    disk::sync(site.layout.public_root())?;
    write_view(site, &new, conversion.to)?;
    Conversion { phase: Phase::Switched, ..conversion }.write(&site.layout)?;
    put_back(cow, Some(generation))
}

fn is_folder(path: &Path) -> Result<bool, DiskError> {
    step("look at", path, || match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => Ok(found?.is_dir()),
    })
}

/// Gives the branches that are aside their records back, of this publish where there was one.
fn put_back(cow: &CowLayout, generation: Option<u64>) -> Result<(), ConvertError> {
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

fn write_view(site: &Site, layout: &SiteLayout, view: FileView) -> Result<(), ConvertError> {
    let mut config = site.config.clone();
    config.file_view = view;
    step("write", &layout.config(), || config.write(&layout.config()).map_err(io::Error::other))?;
    Ok(())
}

/// Throws away what was copied.
fn take_back(layout: &SiteLayout, conversion: Conversion) -> Result<(), ConvertError> {
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
fn clean_up(layout: &SiteLayout, conversion: Conversion) -> Result<(), ConvertError> {
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
        for folder in [old.cow().kept_dir(), old.cow().spares_dir()] {
            disk::list(&folder)?.iter().try_for_each(|tree| disk::remove(tree))?;
        }
    }
    finish(layout)
}

fn finish(layout: &SiteLayout) -> Result<(), ConvertError> {
    let former = layout.conversion_trees("former");
    disk::remove(former.parent().unwrap_or(&former))?;
    disk::remove(&layout.conversion())?;
    Ok(disk::sync(layout.work_dir())?)
}

/// Brings a conversion whose process died to its end, if there is one. The site's settings may be others afterwards.
///
/// # Errors
/// [`ConvertError::Storage`] where an image can't be had; [`ConvertError::Recover`] where a step fails. That the old storage
/// can't be removed yet is no error.
pub fn heal(site: &Site, lifecycle: &Lifecycle, patience: &mut Patience<'_>) -> Result<(), ConvertError> {
    if Conversion::read(&site.layout)?.is_none() {
        return Ok(());
    }
    let mut mutation = lifecycle.mutation(site.layout.cow(), "recovery", patience)?;
    match heal_under_lock(site, &mut mutation, patience) {
        Err(ConvertError::OldStays(_)) => Ok(()),
        healed => healed,
    }
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
