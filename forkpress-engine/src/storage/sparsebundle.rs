//! A sparse bundle with APFS, as macOS's `hdiutil` makes it. The code is the same on every system: elsewhere a program
//! of that name in `PATH` has to do what `hdiutil` does.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use super::mounted::is_same;
use super::program::run;
use crate::disk::{self, DiskError, step};
use forkpress_core::layout::ImageLayout;

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
        let points = values_in(&said, &["mount-point"]);
        let Some((_, elsewhere)) = points.iter().find(|(_, point)| !is_same(Path::new(point), &mount)) else {
            let is_mounted = !points.is_empty();
            return if is_mounted { Ok(()) } else { Err(io::Error::other("hdiutil mounted no volume")) };
        };
        hdiutil(&["detach".as_ref(), elsewhere.as_ref()])?;
        Err(io::Error::other(format!("hdiutil would mount it at {elsewhere}")))
    })
}

/// Whether what is mounted where the image is to be is the image.
pub(super) fn is_own(image: &ImageLayout) -> Result<bool, DiskError> {
    let (bundle, mount) = (image.image(), image.mount());
    let said = step("look at", &mount, || hdiutil(&["info".as_ref(), "-plist".as_ref()]))?;
    let mut is_of_bundle = false;
    // An image's path comes before where its volumes are mounted: keys are in order.
    Ok(values_in(&said, &["image-path", "mount-point"]).iter().any(|(key, path)| {
        let path = Path::new(path);
        if *key == "image-path" {
            is_of_bundle = is_same(path, &bundle);
            return false;
        }
        is_of_bundle && is_same(path, &mount)
    }))
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

/// The strings that follow these keys in a property list, in the order in which they stand there.
fn values_in<'key>(plist: &str, keys: &[&'key str]) -> Vec<(&'key str, String)> {
    let value = |after_key: &str| {
        let (key, rest) = after_key.split_once("</key>")?;
        let key = keys.iter().find(|known| **known == key)?;
        let (text, _) = rest.trim_start().strip_prefix("<string>")?.split_once("</string>")?;
        let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
        Some((*key, entities.iter().fold(text.to_owned(), |text, (entity, sign)| text.replace(entity, sign))))
    };
    plist.split("<key>").skip(1).filter_map(value).collect()
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

    #[test]
    fn where_an_image_is_mounted_is_read_from_what_hdiutil_says() {
        let said = "<key>image-path</key><string>/a&amp;b/&lt;c&gt;</string><key>system-entities</key><array><dict>
            <key>dev-entry</key><string>/dev/disk4</string></dict><dict><key>mount-point</key>
            \t<string>/Volumes/ForkPress</string></dict></array>";
        let values = values_in(said, &["image-path", "mount-point"]);
        let expected = [("image-path", "/a&b/<c>"), ("mount-point", "/Volumes/ForkPress")];
        assert_eq!(values, expected.map(|(key, value)| (key, value.to_owned())));
        assert_eq!(values_in("<key>mount-point</key><true/>", &["mount-point"]), []);
    }
}
