//! What is kept goes here, once it exceeds its bounds: in a command that asks for that, and in the background.

use std::fs;
use std::path::Path;

use super::error::RecoverError;
use super::history::History;
use super::keep::{Surplus, empty_trash, find_surplus, surplus};
use super::transaction::Begun;
use super::{gc_log, parting};
use crate::disk::{self, DiskError};
use crate::progress::{Progress, Silent};
use crate::site::Site;
use crate::usage;
use forkpress_core::lock::Patience;

/// Drops what exceeds the bounds in the site's settings, and says what that was. [`empty_trash`] then frees its space.
///
/// Requests and mutations go on while it looks, and requests go on while it drops.
///
/// # Errors
/// [`RecoverError`] where what a process that died left can't be ended, or a step failed.
pub fn drop_surplus(
    site: &Site,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Surplus>, RecoverError> {
    drop_trees(site, surplus(site)?, patience, progress)
}

fn drop_trees(
    site: &Site,
    mut surplus: Vec<Surplus>,
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Surplus>, RecoverError> {
    let cow = site.layout.cow();
    // What a dead mutation was about to keep, or to bring back, is in its place before anything goes.
    let begun = Begun::begin(site, &[], "gc", patience, progress)?;
    let _mutation = begun.preparation.mutation(patience)?;
    let history = History::read(cow)?;
    // Some of it may have been brought back meanwhile, or dropped by another process.
    surplus.retain(|surplus| {
        let operation = &surplus.operation;
        history.undone_by(operation.id).is_none() && cow.kept_tree(operation.slot).exists()
    });
    for Surplus { operation, bytes, why } in &surplus {
        disk::discard(&cow.kept_tree(operation.slot), &cow.trash_dir())?;
        let id = operation.id;
        gc_log::append(site, [format!("removed what operation {id} ({operation}) kept, {bytes} bytes, as {why}")]);
    }
    for entry in history.surplus(cow) {
        disk::remove(&cow.kept_bytes(entry.slot))?;
        disk::remove(&cow.log_entry(entry.id))?;
    }
    parting::drop_needless(site)?;
    Ok(surplus)
}

/// Drops what exceeds the bounds and empties the trash, for a process that nobody waits for. One does so at a time, and one
/// waits for its turn, which will find whatever is there by then: more have nothing to do.
///
/// # Errors
/// As [`drop_surplus`].
pub fn clean(site: &Site, patience: &mut Patience<'_>) -> Result<(), RecoverError> {
    crate::branch::check_storage(site)?;
    // Not folders of the storage: that could not be detached while this waits for a mutation.
    let Some(waiting) = disk::try_lock_folder(site.layout.cow().dir())? else { return Ok(()) };
    let _at_work = disk::lock_folder(&site.layout.cow().log_dir())?;
    drop(waiting);
    // What can't be removed now is tried again below, and said then.
    let _: Result<(), DiskError> = empty_trash(site);
    let surplus = find_surplus(site, |slot, tree| bytes_as_noted(site, slot, tree))?;
    drop_trees(site, surplus, patience, &Silent)?;
    Ok(empty_trash(site)?)
}

/// The bytes that the tree in a slot held alone when it was first asked for: to measure every tree after every mutation
/// would read all of the disk's metadata each time. What they hold alone may have grown since, as others went; a full
/// measurement is [`surplus`].
fn bytes_as_noted(site: &Site, slot: u64, tree: &Path) -> Result<u64, DiskError> {
    let note = site.layout.cow().kept_bytes(slot);
    let identity = disk::identity(tree)?.unwrap_or_default();
    let noted = fs::read_to_string(&note).ok().and_then(|text| {
        let (of, bytes) = text.split_once(' ')?;
        (of.parse() == Ok(identity)).then(|| bytes.parse().ok())?
    });
    if let Some(bytes) = noted {
        return Ok(bytes);
    }
    let bytes = usage::measure(tree)?.exclusive_bytes;
    // A note that could not be written is one measurement more.
    let _ = fs::write(&note, format!("{identity} {bytes}"));
    Ok(bytes)
}
