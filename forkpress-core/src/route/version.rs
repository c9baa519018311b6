//! What tells one version of a file from another.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// The end of the year 9999, in seconds since 1970: an HTTP date can't be later.
const LAST_DATE: u64 = 253_402_300_799;

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FileVersion {
    /// The size in bytes.
    pub size: u64,
    /// When it was modified, in seconds since 1970. A time before that counts as 1970.
    pub modified: u64,
    /// The nanoseconds of [`Self::modified`].
    pub modified_nanos: u32,
    /// The inode number.
    pub inode: u64,
    /// The device that it is on.
    pub device: u64,
    /// When it was changed, in seconds since 1970 and nanoseconds. Nobody can set this time.
    pub changed: (i64, i64),
}

impl FileVersion {
    /// That of a file with this metadata.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: u64::try_from(metadata.mtime()).unwrap_or(0),
            modified_nanos: u32::try_from(metadata.mtime_nsec()).unwrap_or(0),
            inode: metadata.ino(),
            device: metadata.dev(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// A strong entity tag.
    pub(super) fn etag(&self) -> String {
        format!("\"{self}\"")
    }

    /// When it was modified, to be compared.
    pub(super) fn modified_at(&self) -> (u64, u32) {
        (self.modified, self.modified_nanos)
    }

    pub(super) fn last_modified(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.modified.min(LAST_DATE))
    }
}

impl fmt::Display for FileVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}{:08x}", self.inode, self.size, self.modified, self.modified_nanos)
    }
}
