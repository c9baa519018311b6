//! Limits for what one push, or one archive, may put on the disk: a few bytes can unpack to any number of them.

use std::path::Path;

use thiserror::Error;

use crate::disk::{DiskError, step};

/// The most files and folders. A WordPress with ten years of uploads has a tenth of that.
pub const MOST_ENTRIES: u64 = 500_000;

/// Up to here, a disk has room for what is packed however well.
const HARMLESS_BYTES: u64 = 256 << 20;

/// How many times as much what is packed may become beyond that. Text becomes ten times as much, and zeros a thousand times.
const MOST_TIMES: u64 = 200;

/// The least that is left of the disk.
const RESERVE_BYTES: u64 = 64 << 20;

/// What is to be unpacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Files and folders.
    pub entries: u64,
    /// The bytes of the files.
    pub bytes: u64,
    /// What these are packed in.
    pub packed_bytes: u64,
}

/// What a disk has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    bytes: u64,
    /// Of files and folders; none where the file system makes as many as are wanted.
    entries: Option<u64>,
}

/// Why something is not unpacked.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TooMuch {
    /// More files than any site has.
    #[error("more than {MOST_ENTRIES} files and folders")]
    Entries,
    /// Hardly anything that is of use can be packed so well.
    #[error("{} MB that are packed in {} KB", bytes >> 20, packed_bytes >> 10)]
    Ratio {
        /// What it would become.
        bytes: u64,
        /// What it is.
        packed_bytes: u64,
    },
    /// The disk has not so much left.
    #[error("{} MB in {entries} files and folders, for which the disk has no room ({} MB)", bytes >> 20, free_bytes >> 20)]
    Room {
        /// What it would become.
        bytes: u64,
        /// In so many files and folders.
        entries: u64,
        /// What of the disk can be used.
        free_bytes: u64,
    },
}

impl TooMuch {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Entries => "leave out what the site does not need, such as caches and backups",
            Self::Ratio { .. } => {
                "leave these files out; if they are right, put them into the branch's folder afterwards, by hand"
            }
            Self::Room { .. } => "make room on the disk, as with forkpress gc, or leave the largest files out",
        }
    }
}

impl Load {
    /// Refuses what no site has.
    ///
    /// # Errors
    /// [`TooMuch::Entries`] when there are too many; [`TooMuch::Ratio`] when they are packed too well.
    pub fn check(self) -> Result<(), TooMuch> {
        let Self { entries, bytes, packed_bytes } = self;
        if entries > MOST_ENTRIES {
            return Err(TooMuch::Entries);
        }
        if bytes > HARMLESS_BYTES && bytes / MOST_TIMES > packed_bytes {
            return Err(TooMuch::Ratio { bytes, packed_bytes });
        }
        Ok(())
    }

    /// Refuses what does not fit.
    ///
    /// # Errors
    /// [`TooMuch::Room`] when the disk has not so much left.
    pub fn check_room(self, room: Room) -> Result<(), TooMuch> {
        let Self { entries, bytes, .. } = self;
        if bytes > room.bytes || room.entries.is_some_and(|free| entries > free) {
            return Err(TooMuch::Room { bytes, entries, free_bytes: room.bytes });
        }
        Ok(())
    }
}

impl Room {
    /// What can be used of the file system that a folder is on.
    ///
    /// # Errors
    /// [`DiskError`] when the file system does not tell.
    pub fn at(folder: &Path) -> Result<Self, DiskError> {
        step("look at the file system of", folder, || {
            let found = rustix::fs::statvfs(folder)?;
            let (free, total) =
                (found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize));
            Ok(Self {
                bytes: free.saturating_sub(RESERVE_BYTES.min(total / 20)),
                // btrfs counts none.
                entries: (found.f_files > 0).then_some(found.f_favail),
            })
        })
    }

    /// What can be used of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { bytes: self.bytes.min(other.bytes), ..self }
    }

    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.bytes
    }
}

/// How many files and folders paths are that come one after the other, in their order: that of a path is counted with those of
/// its folders that are not the former one's, too.
#[derive(Debug, Default)]
pub struct Counter {
    last: Vec<u8>,
    /// So many.
    pub entries: u64,
}

impl Counter {
    /// Counts one path more.
    ///
    /// # Errors
    /// [`TooMuch::Entries`] when this is one too many.
    pub fn add(&mut self, path: &[u8]) -> Result<(), TooMuch> {
        let same = self.last.iter().zip(path).take_while(|(one, other)| one == other).count();
        // The last of the bytes that are the same may be in the middle of a name.
        let begins = path[..same].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let folders = path[begins..].iter().filter(|byte| **byte == b'/').count();
        self.entries += 1 + folders as u64;
        self.last.clear();
        self.last.extend_from_slice(path);
        if self.entries > MOST_ENTRIES { Err(TooMuch::Entries) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_too_well_is_refused_beyond_what_is_harmless() {
        let load = |bytes, packed_bytes| Load { entries: 1, bytes, packed_bytes }.check();
        assert_eq!(load(HARMLESS_BYTES, 0), Ok(()));
        assert_eq!(
            load(HARMLESS_BYTES + 1, 1 << 20),
            Err(TooMuch::Ratio { bytes: HARMLESS_BYTES + 1, packed_bytes: 1 << 20 })
        );
        assert_eq!(load(HARMLESS_BYTES + 1, 2 << 20), Ok(()));
        assert_eq!(load(10 << 30, 1 << 30), Ok(()));
        let many = Load { entries: MOST_ENTRIES + 1, ..Load::default() };
        assert_eq!(many.check(), Err(TooMuch::Entries));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let load = Load { entries: 10, bytes: 1000, packed_bytes: 1000 };
        for (bytes, entries, fits) in
            [(1000, None, true), (999, None, false), (1000, Some(10), true), (1000, Some(9), false)]
        {
            assert_eq!(load.check_room(Room { bytes, entries }).is_ok(), fits, "{bytes} {entries:?}");
        }
        assert!(Room::at(Path::new("/")).unwrap().bytes() > 0);
    }

    #[test]
    fn a_folder_is_counted_once_with_what_is_in_it() {
        let count = |paths: &[&str]| {
            let mut counter = Counter::default();
            paths.iter().for_each(|path| counter.add(path.as_bytes()).unwrap());
            counter.entries
        };
        assert_eq!(count(&["a", "b"]), 2);
        assert_eq!(count(&["a/b/c", "a/b/d", "a/be/d", "ab"]), 7);
        let mut counter = Counter { entries: MOST_ENTRIES, ..Counter::default() };
        assert_eq!(counter.add(b"x"), Err(TooMuch::Entries));
    }
}
