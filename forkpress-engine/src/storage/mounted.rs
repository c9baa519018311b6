//! What is mounted where.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::disk::{DiskError, step};
use forkpress_core::layout::ImageLayout;

/// Whether something is mounted where the image is to be.
///
/// # Errors
/// [`DiskError`] when the folder can't be looked at.
pub fn is_attached(image: &ImageLayout) -> Result<bool, DiskError> {
    let device = |path: &Path| match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        metadata => metadata.map(|metadata| Some(metadata.dev())),
    };
    let mount = image.mount();
    step("look at", &mount, || match (device(&mount)?, device(image.dir())?) {
        (Some(mounted), around) => Ok(around != Some(mounted)),
        (None, _) => Ok(false),
    })
}

/// Whether two paths lead to one file or folder.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino())).ok();
    place(one).is_some_and(|found| Some(found) == place(other))
}
