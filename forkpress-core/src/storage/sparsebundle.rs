//! A sparse bundle with APFS, as macOS's `hdiutil` makes it. The code is the same everywhere: elsewhere a program of that
//! name in `PATH` has to do what `hdiutil` does.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use super::run;
use crate::disk::{self, DiskError, step};
use crate::layout::ImageLayout;

/// The name of the volume, as Finder shows it.
const VOLUME: &str = "ForkPress";

fn hdiutil(arguments: &[&OsStr]) -> io::Result<String> {
    run("hdiutil", arguments)
}

pub(super) fn make(path: &Path, size_bytes: u64) -> Result<(), DiskError> {
    let size = format!("{}m", size_bytes >> 20);
    step("make the image", path, || {
        let words = ["create", "-type", "SPARSEBUNDLE", "-fs", "APFS", "-size", &size, "-volname", VOLUME, "-quiet"];
        let arguments: Vec<&OsStr> = words.iter().map(OsStr::new).chain([path.as_ref()]).collect();
        hdiutil(&arguments).map(drop)
    })?;
    disk::sync_file_system(path)
}

pub(super) fn attach(image: &ImageLayout) -> Result<(), DiskError> {
    let (bundle, mount) = (image.image(), image.mount());
    step("mount", &bundle, || {
        let before: [&OsStr; 3] = ["attach".as_ref(), "-plist".as_ref(), "-mountpoint".as_ref()];
        let after: [&OsStr; 5] =
            [mount.as_ref(), "-nobrowse".as_ref(), "-owners".as_ref(), "on".as_ref(), bundle.as_ref()];
        let said = hdiutil(&[&before[..], &after[..]].concat())?;
        // It says where it mounted: a volume may go elsewhere where the folder was taken.
        if said.contains("<key>mount-point</key>") {
            Ok(())
        } else {
            Err(io::Error::other("hdiutil mounted no volume"))
        }
    })
}

pub(super) fn detach(image: &ImageLayout, force: bool) -> Result<(), DiskError> {
    let mount = image.mount();
    step("unmount", &mount, || {
        let mut arguments: Vec<&OsStr> = vec!["detach".as_ref(), mount.as_ref()];
        if force {
            arguments.push("-force".as_ref());
        }
        hdiutil(&arguments).map(drop)
    })
}

/// Gives bands that nothing uses back to the disk. The image is not mounted.
pub(super) fn compact(image: &ImageLayout) -> Result<(), DiskError> {
    let bundle = image.image();
    step("compact", &bundle, || hdiutil(&["compact".as_ref(), bundle.as_ref()]).map(drop))
}

/// The most that the bundle can hold, as its own description has it.
pub(super) fn size_bytes(image: &ImageLayout) -> Result<Option<u64>, DiskError> {
    let path = image.image().join("Info.plist");
    step("read", &path, || Ok(size_in(&fs::read_to_string(&path)?)))
}

fn size_in(plist: &str) -> Option<u64> {
    let (_, rest) = plist.split_once("<key>size</key>")?;
    let (_, rest) = rest.split_once("<integer>")?;
    rest.split_once("</integer>")?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_read_from_the_bundle_s_description() {
        let plist =
            "<dict>\n<key>band-size</key>\n<integer>8</integer>\n<key>size</key>\n\t<integer>1024</integer></dict>";
        assert_eq!(size_in(plist), Some(1024));
        assert_eq!(size_in("<dict></dict>"), None);
    }
}
