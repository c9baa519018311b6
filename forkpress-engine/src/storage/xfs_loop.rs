//! An XFS file system in a sparse file, mounted over a loop device.
//!
//! `mount -o loop` removes the device with the mount (autoclear), so no crash leaves one. Where the image is still in
//! use after a forced unmount, it reuses the existing device: two devices of one image would be two file systems in it.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use super::mounted::{is_attached, is_same};
use super::program::run;
use crate::disk::{self, DiskError, step};
use forkpress_core::layout::ImageLayout;

/// Devices and set-user-id programs have no business in a WordPress tree. Two images may have one UUID: a site was copied.
/// That one image is mounted twice, `loop` rules out.
const OPTIONS: &str = "loop,nouuid,nodev,nosuid,noatime";

pub(super) fn make(path: &Path, size_bytes: u64) -> Result<(), DiskError> {
    step("make the image", path, || OpenOptions::new().write(true).create_new(true).open(path)?.set_len(size_bytes))?;
    step("make a file system in", path, || {
        run("mkfs.xfs", &["-q".as_ref(), "-m".as_ref(), "reflink=1".as_ref(), path.as_ref()]).map(drop)
    })?;
    disk::sync(path)
}

pub(super) fn attach(image: &ImageLayout) -> Result<(), DiskError> {
    let (file, mount) = (image.image(), image.mount());
    step("mount", &file, || {
        let arguments: [&OsStr; 6] =
            ["-t".as_ref(), "xfs".as_ref(), "-o".as_ref(), OPTIONS.as_ref(), file.as_ref(), mount.as_ref()];
        run("mount", &arguments).map(drop)
    })?;
    // Somebody may have died while it grew.
    fill(image)
}

pub(super) fn detach(image: &ImageLayout, force: bool) -> Result<(), DiskError> {
    let mount = image.mount();
    step("unmount", &mount, || {
        let arguments: &[&OsStr] = if force { &["-l".as_ref(), mount.as_ref()] } else { &[mount.as_ref()] };
        run("umount", arguments).map(drop)
    })
}

/// Gives the blocks that nothing uses back to the disk. The image is mounted.
pub(super) fn trim(image: &ImageLayout) -> Result<(), DiskError> {
    let mount = image.mount();
    step("trim", &mount, || run("fstrim", &[mount.as_ref()]).map(drop))
}

pub(super) fn size_bytes(image: &ImageLayout) -> Result<u64, DiskError> {
    let path = image.image();
    step("look at", &path, || Ok(fs::metadata(&path)?.len()))
}

pub(super) fn grow(image: &ImageLayout, size_bytes: u64) -> Result<(), DiskError> {
    let path = image.image();
    step("grow", &path, || {
        let file = OpenOptions::new().write(true).open(&path)?;
        file.set_len(size_bytes)?;
        file.sync_all()
    })?;
    if is_attached(image)? { fill(image) } else { Ok(()) }
}

/// Whether what is mounted where the image is to be is the image.
pub(super) fn is_own(image: &ImageLayout) -> Result<bool, DiskError> {
    let (file, mount) = (image.image(), image.mount());
    step("look at", &mount, || {
        let device = device_at(&mount)?;
        // Whatever is no loop device has no file.
        let said = run("losetup", &["-n".as_ref(), "-O".as_ref(), "BACK-FILE".as_ref(), device.as_ref()]);
        Ok(said.is_ok_and(|said| is_same(Path::new(said.trim()), &file)))
    })
}

/// What is mounted at a path: the last that was.
fn device_at(mount: &Path) -> io::Result<String> {
    let arguments: [&OsStr; 5] =
        ["-n".as_ref(), "-o".as_ref(), "SOURCE".as_ref(), "--mountpoint".as_ref(), mount.as_ref()];
    let said = run("findmnt", &arguments)?;
    Ok(said.lines().last().unwrap_or_default().trim().to_owned())
}

/// Has the mounted file system use all of its image.
fn fill(image: &ImageLayout) -> Result<(), DiskError> {
    let mount = image.mount();
    step("grow the loop device of", &mount, || {
        run("losetup", &["-c".as_ref(), device_at(&mount)?.as_ref()]).map(drop)
    })?;
    step("grow the file system of", &mount, || run("xfs_growfs", &["-d".as_ref(), mount.as_ref()]).map(drop))
}
