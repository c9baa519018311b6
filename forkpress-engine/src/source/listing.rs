//! All that a source has, by path, and the first bytes of what tells what the source is.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::archive::{Archive, ArchiveEntry, Content, EntryKind, Watch};
use super::by_path::{is_code, is_dump_name};
use super::error::SourceError;
use super::magic::{Form, HEAD_BYTES};
use super::stream;
use crate::bounds::{MOST_ENTRIES, TooMuch};
use crate::progress::Progress;

/// An archive, and where in the source its files are.
#[derive(Debug)]
pub(super) struct Volume {
    pub(super) archive: Archive,
    /// The folder that they are in.
    pub(super) mount: PathBuf,
    /// What begins their names in the archive, and not in the source.
    pub(super) strip: PathBuf,
}

impl Volume {
    pub(super) fn new(archive: Archive) -> Self {
        Self { archive, mount: PathBuf::new(), strip: PathBuf::new() }
    }

    /// Where in the source an entry is.
    fn place(&self, path: &Path) -> PathBuf {
        self.mount.join(path.strip_prefix(&self.strip).unwrap_or(path))
    }
}

/// One entry of the source.
#[derive(Debug)]
pub(super) struct Item {
    /// Where it is in the source.
    pub(super) path: PathBuf,
    pub(super) entry: ArchiveEntry,
    /// Which volume it is in, and which of its entries it is.
    pub(super) at: (usize, usize),
}

/// What a file begins with, unpacked, and what that makes of it.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) form: Form,
    pub(super) bytes: Vec<u8>,
}

impl Head {
    pub(super) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

/// Everything in a source.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) volumes: Vec<Volume>,
    /// By path; of a path that comes several times, the last.
    pub(super) items: Vec<Item>,
    pub(super) heads: BTreeMap<PathBuf, Head>,
}

/// All heads together. What comes beyond is not looked at.
const MOST_HEAD_BYTES: usize = 64 << 20;

impl Listing {
    /// Goes through all volumes once.
    pub(super) fn read(volumes: Vec<Volume>, progress: &dyn Progress) -> Result<Self, SourceError> {
        let mut listing = Self { volumes, ..Self::default() };
        let (mut items, mut heads, mut head_bytes) = (Vec::new(), BTreeMap::new(), 0);
        progress.begin_bytes(
            "look at the source",
            listing.volumes.iter().map(|volume| volume.archive.stream_bytes()).sum(),
        );
        for (number, volume) in listing.volumes.iter().enumerate() {
            let mut index = 0;
            volume.archive.walk(Watch::counted(progress), &mut |entry, content| {
                progress.go_on().map_err(SourceError::read(volume.archive.path()))?;
                let path = volume.place(&entry.path);
                if entry.kind == EntryKind::File
                    && head_bytes < MOST_HEAD_BYTES
                    && let Some(head) = read_head(&path, entry, content)
                {
                    head_bytes += head.bytes.len();
                    heads.insert(path.clone(), head);
                }
                items.push(Item { path, entry: entry.clone(), at: (number, index) });
                index += 1;
                if items.len() as u64 > MOST_ENTRIES {
                    return Err(SourceError::TooMuch { path: volume.archive.path().to_owned(), why: TooMuch::Entries });
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        progress.end();
        items.sort_by(|one, other| one.path.cmp(&other.path).then(one.at.cmp(&other.at)));
        // Of the same path, the last counts: it overwrote the others as the archive was made.
        items.reverse();
        items.dedup_by(|one, other| one.path == other.path);
        items.reverse();
        (listing.items, listing.heads) = (items, heads);
        Ok(listing)
    }

    /// The entry at a path.
    pub(super) fn get(&self, path: &Path) -> Option<&Item> {
        self.items.binary_search_by(|item| item.path.as_path().cmp(path)).ok().map(|at| &self.items[at])
    }

    /// Whether there is a file at a path.
    pub(super) fn has_file(&self, path: &Path) -> bool {
        self.get(path).is_some_and(|item| item.entry.kind == EntryKind::File)
    }

    /// Everything in a folder, at any depth, with the folder's own entry.
    pub(super) fn below(&self, folder: &Path) -> &[Item] {
        let start = self.items.partition_point(|item| item.path.as_path() < folder);
        let count = self.items[start..].partition_point(|item| item.path.starts_with(folder));
        &self.items[start..start + count]
    }

    /// Whether there is anything in a folder.
    pub(super) fn has_folder(&self, folder: &Path) -> bool {
        self.below(folder).iter().any(|item| item.path != folder || item.entry.kind == EntryKind::Folder)
    }

    /// The files with this name.
    pub(super) fn named<'l>(&'l self, name: &'l str) -> impl Iterator<Item = &'l Path> {
        let files = self.items.iter().filter(|item| item.entry.kind == EntryKind::File);
        files.map(|item| item.path.as_path()).filter(move |path| path.file_name().is_some_and(|found| found == name))
    }

    /// What a file begins with, if that was looked at.
    pub(super) fn text(&self, path: &Path) -> Option<std::borrow::Cow<'_, str>> {
        self.heads.get(path).map(Head::text)
    }

    /// What a small file says in JSON.
    pub(super) fn json(&self, path: &Path) -> Option<serde_json::Value> {
        self.heads.get(path).and_then(|head| serde_json::from_slice(&head.bytes).ok())
    }

    /// Goes through the entries that are wanted, in the order of the volumes, and says where each is in the source.
    pub(super) fn walk(
        &self,
        wanted: &[&Item],
        progress: &dyn Progress,
        visit: &mut dyn FnMut(&Item, &mut dyn Content) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        for (number, volume) in self.volumes.iter().enumerate() {
            let mut of_volume: Vec<_> = wanted.iter().filter(|item| item.at.0 == number).collect();
            of_volume.sort_by_key(|item| item.at.1);
            let mut of_volume = of_volume.into_iter().peekable();
            let Some(mut index) = of_volume.peek().map(|item| item.at.1) else { continue };
            volume.archive.walk_from(index, Watch::quiet(progress), &mut |entry, content| {
                if let Some(item) = of_volume.next_if(|item| item.at.1 == index) {
                    if item.entry != *entry {
                        let source = io::Error::other("it has changed since it was looked at");
                        return Err(SourceError::broken(volume.archive.path(), Some(&entry.path))(source));
                    }
                    visit(item, content)?;
                }
                index += 1;
                Ok(if of_volume.peek().is_some() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
            if let Some(item) = of_volume.next() {
                return Err(SourceError::broken(volume.archive.path(), Some(&item.entry.path))(
                    io::ErrorKind::UnexpectedEof.into(),
                ));
            }
        }
        Ok(())
    }

    /// The archive that an entry is in.
    pub(super) fn archive_of(&self, item: &Item) -> &Archive {
        &self.volumes[item.at.0].archive
    }
}

/// Files that say something of the source, with as much as is read of each.
const TELLING: [(&str, u64); 13] = [
    ("wp-config.php", 256 << 10),
    ("version.php", 16 << 10),
    ("db.php", 16 << 10),
    ("db-path.php", 16 << 10),
    ("wp-settings.php", 64 << 10),
    ("local-site.json", 64 << 10),
    ("playground-export.json", 64 << 10),
    ("studio.json", 1 << 20),
    ("meta.json", 1 << 20),
    ("wpmigrate-export.json", 1 << 20),
    ("manifest.json", 1 << 20),
    ("package.json", 1 << 20),
    ("multisite.json", 1 << 20),
];

/// Endings of what makes up a site, and is no dump.
const OF_A_SITE: [&str; 52] = [
    "php", "js", "mjs", "cjs", "css", "scss", "sass", "less", "map", "json", "html", "htm", "svg", "png", "jpg",
    "jpeg", "gif", "webp", "avif", "ico", "bmp", "woff", "woff2", "ttf", "eot", "otf", "mo", "po", "pot", "pdf", "mp3",
    "mp4", "m4a", "mov", "webm", "ogg", "wav", "md", "yml", "yaml", "lock", "ts", "tsx", "jsx", "twig", "phar", "swf",
    "docx", "xlsx", "pptx", "heic", "sh",
];

/// So much of another file is looked at.
const GLANCE_BYTES: u64 = 8 << 10;

/// What a file begins with, where that may tell something.
fn read_head(path: &Path, entry: &ArchiveEntry, content: &mut dyn Content) -> Option<Head> {
    let most = interest(path)?;
    if entry.bytes == 0 {
        return None;
    }
    // What can't be read now is told when it is wanted.
    let (packing, bytes) = content.open().and_then(|content| stream::head(content, most)).ok()?;
    let form = Form::of_head(packing, &bytes);
    let is_kept = most != GLANCE_BYTES || !matches!(form, Form::Unknown(_));
    is_kept.then_some(Head { form, bytes })
}

/// How much of a file is looked at.
fn interest(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str().unwrap_or_default().to_ascii_lowercase();
    let depth = path.components().count();
    if let Some((_, bytes)) = TELLING.iter().find(|(telling, _)| *telling == name) {
        // Every package of JavaScript has such files.
        let is_of_source = !matches!(name.as_str(), "package.json" | "manifest.json" | "meta.json") || depth <= 3;
        return is_of_source.then_some(*bytes);
    }
    if name.starts_with("dup-archive__") || name.starts_with("dup-wp-config-arc__") {
        return Some(4 << 20);
    }
    if is_dump_name(path) || (name.ends_with(".xml") && depth <= 2) {
        return Some(HEAD_BYTES);
    }
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    let is_of_a_site = ending.is_some_and(|ending| OF_A_SITE.contains(&ending)) || is_code(path);
    (!is_of_a_site).then_some(GLANCE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_looked_at_where_it_may_tell_something() {
        for path in [
            "a/b/wp-config.php",
            "package.json",
            "x.sql",
            "backup/site.SQL.GZ",
            "dump",
            "a/backup.bak",
            "wp-content/database/.ht.sqlite",
        ] {
            assert!(interest(Path::new(path)).is_some(), "{path}");
        }
        for path in ["a.php", "wp-content/uploads/a.jpg", "a/b/node_modules/x/package.json", "wp-includes/x/LICENSE"] {
            assert!(interest(Path::new(path)).is_none(), "{path}");
        }
    }
}
