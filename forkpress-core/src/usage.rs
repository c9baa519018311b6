//! How many bytes of the disk a tree holds.
use crate::disk::{DiskError, step};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
/// The bytes of a tree's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What only this tree holds.
    pub exclusive_bytes: u64,
    /// What other trees hold as well.
    pub shared_bytes: u64,
}
/// Measures the tree at `root`.
///
/// # Errors
/// [`DiskError`].
pub fn measure(root: &Path) -> Result<Usage, DiskError> {
    step("read the folder", root, || {
        let mut usage = Usage::default();
        for entry in walkdir::WalkDir::new(root).into_iter().filter_map(Result::ok) {
            if let Ok(metadata) = entry.metadata() {
                usage.exclusive_bytes += metadata.blocks() * 512;
            }
        }
        Ok(usage)
    })
}
