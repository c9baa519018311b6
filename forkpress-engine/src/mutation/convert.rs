//! Moves all trees of a site from one file view to another: into an image, out of it, or from one into another.
//!
//! It runs like a mutation of all branches at once. While requests go on, every tree is copied to where the new view has
//! it; in one publish, what changed since is copied again, every branch is put aside (`CowLayout::record_aside`), so that
//! nobody is served while some are here and some there, and links or folders change places. Trees of former branches,
//! which `undo` brings back, move along. The old storage goes last, when every database in the new one has passed a check.
//!
//! `convert.toml` says how far it is. A process that dies before the branches are aside has changed nothing: what it
//! copied is thrown away, unless the next command is the same conversion, which goes on with the trees that have a note.
//! One that dies later is brought to its end by whoever takes `mutation.lock` next.

use std::fs;
use std::path::{Path, PathBuf};

use super::conversion::{
    Conversion, IncomingFolders, Phase, clean_up, heal_under_lock, name_of, switch, take_back, write_view,
};
pub use super::error::ConvertError;
use super::error::StepError;
use super::moves::put_aside;
use super::recover;
use super::spare;
use super::staged::Staged;
use crate::bands::Starts;
use crate::branch::{self, Branch};
use crate::config::FileView;
use crate::database::DatabaseError;
use crate::disk::{self, DiskError, step};
use crate::progress::Progress;
use crate::site::Site;
use crate::storage::{self, StorageError};
use crate::tree::Tree;
use crate::view;
use forkpress_core::lock::{GATE_HOLD, Lifecycle, Mutation, Patience};

/// What was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Converted {
    /// How many branches.
    pub branches: usize,
    /// How many trees that are kept for `undo`.
    pub kept: usize,
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
    for folder in [&incoming.branches, &incoming.kept, &incoming.partings, &copied.0] {
        step("make the folder", folder, || fs::create_dir_all(folder))?;
    }
    let mut staged = Vec::new();
    let kept = disk::list(&site.layout.cow().kept_dir())?;
    let partings = disk::list(&site.layout.cow().partings_dir())?;
    let to_kept = kept.iter().map(|tree| (tree, &incoming.kept));
    for (tree, folder) in to_kept.chain(partings.iter().map(|parting| (parting, &incoming.partings))) {
        let target = folder.join(name_of(tree));
        // Nobody writes into these: copied once, they are copied.
        if copied.walk_of(tree, &target)?.is_none() {
            let mut copy = stage(conversion.to, tree, target, &copied, patience, progress)?;
            copy.refresh(&Starts::default(), patience.deadline().remaining())?;
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
        match staged.iter_mut().try_for_each(|copy| copy.refresh(&Starts::default(), timeout).map(drop)) {
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
    let seen = copied.walk_of(source, &target)?;
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
    /// What the tree at `source` looked like that was copied to `target`; none where it is not there, or not whole.
    fn walk_of(&self, source: &Path, target: &Path) -> Result<Option<Tree>, DiskError> {
        if disk::inode(target)?.is_none() {
            return Ok(None);
        }
        Tree::read(&self.note_of(target), source)
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
