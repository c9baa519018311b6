//! How much of the disk is free.

use crate::disk::{self, DiskError};
use crate::site::Site;

/// How much of the disk is free, and how much should be.
#[derive(Clone, Copy, Debug)]
pub(super) struct DiskRoom {
    pub(super) free_bytes: u64,
    pub(super) wanted_bytes: u64,
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
