//! What is kept of trees that mutations took away, and until when.
//!
//! A kept tree goes in two steps: a rename into the trash, under `mutation.lock`, after which nobody can have it back;
//! and its removal from there, which may take long and holds nobody up.

use std::fmt;
use std::path::Path;

use super::disk_room::DiskRoom;
use super::error::{NeedsRoom, StepError};
use super::history::{self, History, LogEntry};
use super::{gc_log, parting, spare};
use crate::config::Keep;
use crate::disk::{self, DiskError};
use crate::site::Site;
use crate::usage;

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

/// What exceeds the bounds in the site's settings, oldest first. Changes nothing and takes no lock.
///
/// # Errors
/// [`StepError`] where the log or what is kept can't be read.
pub fn surplus(site: &Site) -> Result<Vec<Surplus>, StepError> {
    find_surplus(site, |_, tree| Ok(usage::measure(tree)?.exclusive_bytes))
}

/// What exceeds the bounds, with the bytes of the tree in a slot as `bytes_of` gives them.
pub(super) fn find_surplus(
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
    if spare::drop_all(site)? || !parting::drop_needless(site)?.is_empty() {
        return Ok(true);
    }
    let history = History::read(cow)?;
    let Some(oldest) = history.owners().find(|entry| cow.kept_tree(entry.slot).exists()) else { return Ok(false) };
    disk::discard(&cow.kept_tree(oldest.slot), &cow.trash_dir())?;
    gc_log::append(site, [format!("removed what operation {} ({oldest}) kept, as {}", oldest.id, Why::NoRoom)]);
    Ok(true)
}

/// Drops what is kept, oldest first, until enough of the disk is free or nothing is kept.
pub(super) fn keep_disk_free(site: &Site, mut drop: impl FnMut() -> Result<bool, StepError>) -> Result<(), StepError> {
    while DiskRoom::of(site)?.is_low() && make_room(site, &mut drop)? {}
    Ok(())
}

/// Does something that needs space, under `mutation.lock`; where there is too little, drops what is kept, and tries again.
pub(super) fn with_room_under_lock<T, E: NeedsRoom>(site: &Site, action: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    with_room(site, action, || drop_something(site))
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
