//! What is kept of trees that mutations took away, and until when.
//!
//! A kept tree goes in two steps: a rename into the trash, under `mutation.lock`, after which nobody can have it back;
//! and its removal from there, which may take long and holds nobody up.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use super::error::{NeedsRoom, RecoverError, StepError};
use super::history::{self, History, LogEntry};
use super::spare;
use super::transaction::Begun;
use crate::config::Keep;
use crate::disk::{self, DiskError};
use crate::progress::{Progress, Silent};
use crate::site::Site;
use crate::usage;
use forkpress_core::lock::Patience;
use forkpress_core::own;

const SECONDS_A_DAY: u64 = 24 * 3600;

/// A tree that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeptTree {
    /// The operation that took it away.
    operation: LogEntry,
    /// What its removal would free.
    bytes: u64,
}

/// Why a tree is not kept any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// More trees are kept than there may be.
    TooMany,
    /// It is older than a tree may be.
    TooOld,
    /// All that are kept have more bytes than they may.
    TooLarge,
    /// Too little of the disk is free.
    NoRoom,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "more are kept than [keep] allows",
            Self::TooOld => "it is older than [keep] allows",
            Self::TooLarge => "what is kept is larger than [keep] allows",
            Self::NoRoom => "too little of the disk is free",
        })
    }
}

/// A tree that is not kept any longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surplus {
    /// The operation that took it away.
    pub operation: LogEntry,
    /// What its removal would free.
    pub bytes: u64,
    /// Why it goes.
    pub why: Why,
}

/// How much of the disk is free, and how much should be.
#[derive(Clone, Copy, Debug)]
pub(super) struct DiskRoom {
    free_bytes: u64,
    wanted_bytes: u64,
}

impl DiskRoom {
    pub(super) fn of(site: &Site) -> Result<Self, DiskError> {
        let (mut free_bytes, total_bytes) = disk::free_and_total_bytes(&site.layout.storage_root())?;
        if let Some(image) = site.layout.image() {
            // An image can't grow beyond the disk that it lies on, whatever it says of itself.
            free_bytes = free_bytes.min(disk::free_and_total_bytes(image.dir())?.0);
        }
        // On a small disk, what is little on a large one may be all there is.
        let wanted_bytes = site.config.keep.free_bytes.min(total_bytes / 20);
        Ok(Self { free_bytes, wanted_bytes })
    }

    /// The same with so many bytes more in use.
    pub(super) fn without(self, bytes: u64) -> Self {
        Self { free_bytes: self.free_bytes.saturating_sub(bytes), ..self }
    }

    pub(super) fn is_low(self) -> bool {
        self.free_bytes < self.wanted_bytes
    }
}

/// What exceeds the bounds in the site's settings, oldest first. Changes nothing and takes no lock.
///
/// # Errors
/// [`StepError`] where the log or what is kept can't be read.
pub fn surplus(site: &Site) -> Result<Vec<Surplus>, StepError> {
    find_surplus(site, |_, tree| Ok(usage::measure(tree)?.exclusive_bytes))
}

/// What exceeds the bounds, with the bytes of the tree in a slot as `bytes_of` gives them.
fn find_surplus(
    site: &Site,
    bytes_of: impl Fn(u64, &Path) -> Result<u64, DiskError>,
) -> Result<Vec<Surplus>, StepError> {
    let cow = site.layout.cow();
    let history = History::read(cow)?;
    let mut kept = Vec::new();
    for operation in history.owners() {
        let tree = cow.kept_tree(operation.slot);
        if disk::identity(&tree)?.is_some() {
            kept.push(KeptTree { operation: operation.clone(), bytes: bytes_of(operation.slot, &tree)? });
        }
    }
    let whys = whys(&kept, &site.config.keep, history::now(), DiskRoom::of(site)?);
    let surplus = |(KeptTree { operation, bytes }, why)| Surplus { operation, bytes, why };
    Ok(kept.into_iter().zip(whys).map(surplus).collect())
}

/// Why each of the oldest trees goes; as many as go.
fn whys(kept: &[KeptTree], keep: &Keep, now: u64, room: DiskRoom) -> Vec<Why> {
    let bytes = |kept: &[KeptTree]| kept.iter().map(|kept| kept.bytes).sum::<u64>();
    let is_old = |kept: &KeptTree| now.saturating_sub(kept.operation.at) > keep.days.saturating_mul(SECONDS_A_DAY);
    let why = |count: usize| {
        let (goes, stays) = kept.split_at(count);
        // A push keeps a few files: many of them must not cost the way back from one delete.
        let trees = stays.iter().filter(|kept| !kept.operation.files).count();
        if stays.iter().any(is_old) {
            Some(Why::TooOld)
        } else if trees > keep.trees || stays.len() > history::LONGEST_LOG {
            Some(Why::TooMany)
        } else if bytes(stays) > keep.bytes {
            Some(Why::TooLarge)
        } else if room.free_bytes.saturating_add(bytes(goes)) < room.wanted_bytes {
            Some(Why::NoRoom)
        } else {
            None
        }
    };
    (0..kept.len()).map_while(why).collect()
}

/// Appends lines to `gc.log`. Nothing is kept from being freed by a log that can't be written.
pub(super) fn log(site: &Site, lines: impl IntoIterator<Item = String>) {
    let (at, pid) = (forkpress_core::record::rfc3339(SystemTime::now()), std::process::id());
    let text: String = lines.into_iter().map(|line| format!("{at}  process {pid}  {line}\n")).collect();
    if text.is_empty() {
        return;
    }
    let mut options = own::options();
    let _ =
        options.append(true).create(true).open(site.layout.gc_log()).and_then(|mut log| log.write_all(text.as_bytes()));
}

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
        log(site, [format!("removed what operation {id} ({operation}) kept, {bytes} bytes, as {why}")]);
    }
    for entry in history.surplus(cow) {
        disk::remove(&cow.kept_bytes(entry.slot))?;
        disk::remove(&cow.log_entry(entry.id))?;
    }
    Ok(surplus)
}

/// Removes all that is in the trash; waits while another process does. Safe to interrupt.
///
/// # Errors
/// [`DiskError`] of the first that can't be removed; all else is.
pub fn empty_trash(site: &Site) -> Result<(), DiskError> {
    let trash = site.layout.cow().trash_dir();
    let _lock = disk::lock_folder(&trash)?;
    remove_all_in(&trash)?.1.map_or(Ok(()), Err)
}

/// Removes what is in a folder and says whether that was anything, and why the first stays that can't be removed: it keeps
/// nothing else from going.
fn remove_all_in(folder: &Path) -> Result<(bool, Option<DiskError>), DiskError> {
    let (mut is_any, mut first) = (false, None);
    for path in disk::list(folder)? {
        match disk::remove(&path) {
            Ok(()) => is_any = true,
            Err(error) => first = first.or(Some(error)),
        }
    }
    Ok((is_any, first))
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

/// Does something that needs space; where there is too little, makes room and tries again. `drop` is [`drop_something`], under
/// `mutation.lock`.
pub(super) fn with_room<T, E: NeedsRoom>(
    site: &Site,
    mut action: impl FnMut() -> Result<T, E>,
    mut drop: impl FnMut() -> Result<bool, StepError>,
) -> Result<T, E> {
    loop {
        match action() {
            Err(error) if error.is_disk_full() && make_room(site, &mut drop).unwrap_or(false) => {}
            done => return done,
        }
    }
}

/// Frees some space: that of the trash or, where there is none, of the spares or, where there is none of them either, of the
/// oldest tree that is kept. False where there is nothing left to free.
fn make_room(site: &Site, drop: &mut dyn FnMut() -> Result<bool, StepError>) -> Result<bool, StepError> {
    let cow = site.layout.cow();
    // Whether or not another process is at it, too.
    if remove_all_in(&cow.trash_dir())?.0 {
        return Ok(true);
    }
    while drop()? {
        if remove_all_in(&cow.trash_dir())?.0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Moves the spares or, where there is none, the oldest tree that is kept into the trash, under `mutation.lock`; false where
/// there is nothing left.
pub(super) fn drop_something(site: &Site) -> Result<bool, StepError> {
    let cow = site.layout.cow();
    if spare::drop_all(site)? {
        return Ok(true);
    }
    let history = History::read(cow)?;
    let Some(oldest) = history.owners().find(|entry| cow.kept_tree(entry.slot).exists()) else { return Ok(false) };
    disk::discard(&cow.kept_tree(oldest.slot), &cow.trash_dir())?;
    log(site, [format!("removed what operation {} ({oldest}) kept, as {}", oldest.id, Why::NoRoom)]);
    Ok(true)
}

/// Drops what is kept, oldest first, until enough of the disk is free or nothing is kept.
pub(super) fn keep_disk_free(site: &Site, mut drop: impl FnMut() -> Result<bool, StepError>) -> Result<(), StepError> {
    while DiskRoom::of(site)?.is_low() && make_room(site, &mut drop)? {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::history::Operation;
    use super::*;

    const DAY: u64 = SECONDS_A_DAY;

    /// Trees of 10 bytes, kept since these days.
    fn kept(days: &[u64]) -> Vec<KeptTree> {
        let entry = |day: u64| LogEntry { at: day * DAY, ..LogEntry::sample(day, Operation::Delete) };
        days.iter().map(|day| KeptTree { operation: entry(*day), bytes: 10 }).collect()
    }

    #[test]
    fn what_is_too_old_too_many_too_large_or_in_the_way_goes_oldest_first() {
        let generous = Keep { days: 100, trees: 100, bytes: 1000, free_bytes: 0 };
        let empty = DiskRoom { free_bytes: 100, wanted_bytes: 100 };
        let whys = |keep: Keep, room: DiskRoom| whys(&kept(&[1, 2, 3, 4, 5]), &keep, 6 * DAY, room);
        let surplus = |keep: Keep, room: DiskRoom| whys(keep, room).len();
        assert_eq!(surplus(generous.clone(), empty), 0);
        assert_eq!(surplus(Keep { days: 3, ..generous.clone() }, empty), 2);
        assert_eq!(surplus(Keep { trees: 2, ..generous.clone() }, empty), 3);
        assert_eq!(surplus(Keep { trees: 0, ..generous.clone() }, empty), 5);
        assert_eq!(surplus(Keep { bytes: 40, ..generous.clone() }, empty), 1);
        assert_eq!(surplus(Keep { bytes: 9, ..generous.clone() }, empty), 5);
        assert_eq!(surplus(generous.clone(), DiskRoom { free_bytes: 75, wanted_bytes: 100 }), 3);
        assert_eq!(surplus(generous.clone(), DiskRoom { free_bytes: 0, wanted_bytes: 100 }), 5, "as much as there is");
        let old_and_large = Keep { days: 3, bytes: 20, ..generous };
        assert_eq!(whys(old_and_large, empty), [Why::TooOld, Why::TooOld, Why::TooLarge]);
    }

    #[test]
    fn files_that_pushes_took_away_are_no_trees_but_not_kept_without_end() {
        let keep = Keep { days: 1000, trees: 1, bytes: 1_000_000, free_bytes: 0 };
        let empty = DiskRoom { free_bytes: 100, wanted_bytes: 100 };
        let mut kept = kept(&(1..=200).collect::<Vec<_>>());
        kept[1..].iter_mut().for_each(|kept| kept.operation.files = true);
        assert_eq!(whys(&kept, &keep, 200 * DAY, empty), []);
        kept.push(kept[199].clone());
        assert_eq!(whys(&kept, &keep, 200 * DAY, empty), [Why::TooMany]);
    }
}
