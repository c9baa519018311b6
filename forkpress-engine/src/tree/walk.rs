//! What a tree looks like: every folder, regular file and symlink in it, the database left out.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rayon::prelude::*;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::watch::Watch;
use crate::disk::{Attributes, DiskError, step};
use crate::priority;
use forkpress_core::layout::{DATABASE_DIR, DATABASE_FILE};

/// The most that a time stamp may lag behind the clock: kernels stamp files with the time of their last tick.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// The same on file systems that keep whole seconds.
const WHOLE_SECONDS: Duration = Duration::from_secs(2);

/// A tree as it was when it was walked.
///
/// Sockets, FIFOs and devices are not part of it: they belong to the process or the machine that made them. Nor is the
/// database, which is snapshot as a database.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    /// By path, so that a folder comes before what is in it.
    pub(crate) entries: Vec<Entry>,
    /// When the walk began, since the epoch.
    pub(super) began: Duration,
}

/// Some of a tree: as it was, and as it is now.
#[derive(Debug)]
pub(crate) struct Glimpse {
    pub(crate) before: Tree,
    pub(crate) after: Tree,
}

/// One thing in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Relative to the tree; empty for the tree's own folder.
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) attributes: Attributes,
    pub(crate) size_bytes: u64,
    /// The names that the file has; more than one where there are hard links.
    pub(crate) links: u64,
    pub(crate) device_and_inode: (u64, u64),
    /// Seconds and nanoseconds.
    pub(crate) changed: (i64, i64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    File,
    /// With what it says.
    Symlink(PathBuf),
}

impl Tree {
    /// Walks the tree at `root`. What goes while it is walked may be missing or not.
    ///
    /// Every byte that an entry's file gets after its entry was noted shows as a change of the entry, unless the entry
    /// [was racy](Self::is_racy).
    pub(crate) fn walk(root: &Path) -> Result<Self, DiskError> {
        Self::walk_with(root, None)
    }

    /// Does the same, and has each folder watched before it is looked at.
    pub(crate) fn walk_with(root: &Path, watch: Option<&Watch>) -> Result<Self, DiskError> {
        let mut tree = Self { entries: Vec::new(), began: now() };
        let folder = open_top(root)?;
        tree.add(walk_folder(root, PathBuf::new(), &folder, &tree, watch)?);
        Ok(tree)
    }

    /// Walks the tree at `root`, which this walk is an earlier one of, once more, and comes to what [`Self::walk`] does.
    ///
    /// Takes about three quarters of its time where little has changed: what was seen then is looked at by its name,
    /// and the names in a folder are read again only where the folder has changed since, or may have changed without a
    /// trace.
    pub(crate) fn walk_again(&self, root: &Path) -> Result<Self, DiskError> {
        self.walk_again_with(root, None)
    }

    /// Does the same, and has each folder watched before it is looked at.
    pub(crate) fn walk_again_with(&self, root: &Path, watch: Option<&Watch>) -> Result<Self, DiskError> {
        let began = now();
        let top = open_top(root)?;
        if let Some(watch) = watch {
            // One after the other: what happens to a folder on its way here, the watch of the folder around it tells.
            for entry in self.entries.iter().filter(|entry| entry.kind == Kind::Folder) {
                if let Some(folder) = open_folder(root, &top, &entry.path)? {
                    watch.add(&folder, &entry.path);
                }
            }
        }
        let looks: Vec<Vec<Option<Entry>>> = self
            .entries
            .par_chunks(ENTRIES_PER_LOOK)
            .map(|part| look_again(root, &top, part.iter().map(|entry| entry.path.as_path())))
            .collect::<Result<_, _>>()?;

        let is_folder = |entry: &Option<Entry>| entry.as_ref().is_some_and(|entry| entry.kind == Kind::Folder);
        // A symlink may be where a folder was, and what was looked at behind it is none of this tree's.
        let lost: HashSet<&Path> = looks
            .iter()
            .flatten()
            .zip(&self.entries)
            .filter(|(now, before)| before.kind == Kind::Folder && !is_folder(now))
            .map(|(_, before)| before.path.as_path())
            .collect();
        let is_behind_one =
            |path: &Path| !lost.is_empty() && path.ancestors().skip(1).any(|folder| lost.contains(folder));
        // FAT keeps no times of its topmost folder.
        let has_same_names = |before: &Entry, now: &Entry| {
            before.kind == Kind::Folder
                && before.changed.0 > 0
                && (before.device_and_inode, before.changed) == (now.device_and_inode, now.changed)
                && !self.is_racy(before)
        };
        // What is not there may be away with a folder around it, which says nothing in the times of its own folder.
        let gone_from: HashSet<PathBuf> = looks
            .iter()
            .flatten()
            .zip(&self.entries)
            .filter(|(now, _)| now.is_none())
            .filter_map(|(_, before)| before.path.parent().map(Path::to_owned))
            .collect();
        let mut tree = Self { entries: Vec::with_capacity(self.entries.len()), began };
        let mut folders = Vec::new();
        for (now, before) in looks.into_iter().flatten().zip(&self.entries) {
            let Some(now) = now.filter(|now| !is_behind_one(&now.path)) else { continue };
            if now.kind == Kind::Folder && (!has_same_names(before, &now) || gone_from.contains(&now.path)) {
                folders.push(now.path.clone());
            }
            tree.entries.push(now);
        }
        let found: Vec<(PathBuf, Option<Vec<Entry>>)> = folders
            .into_par_iter()
            .map(|path| {
                let folder = open_folder(root, &top, &path)?;
                let found = folder.map(|folder| walk_folder(root, path.clone(), &folder, &tree, watch)).transpose()?;
                Ok((path, found))
            })
            .collect::<Result<_, DiskError>>()?;
        // A folder whose names could not be read is not there: the folder around it has other times by now.
        let is_unread = |(path, found): &(PathBuf, Option<_>)| found.is_none().then(|| path.clone());
        let away: HashSet<PathBuf> = found.iter().filter_map(is_unread).collect();
        let is_there = |entry: &Entry| away.is_empty() || !entry.path.ancestors().any(|path| away.contains(path));
        tree.entries.retain(is_there);
        tree.add(found.into_iter().filter_map(|(_, found)| found).flatten().filter(is_there).collect());
        Ok(tree)
    }

    /// Looks again at some paths of the tree at `root`, and at all that is below those `through` which it is to look. Those are
    /// among the paths, and no other is below one of them. None where another tree is there.
    ///
    /// What may have changed with them is looked at, too: the other names of a file that has got one, and what is in a
    /// folder that has come.
    pub(super) fn look(
        &self,
        root: &Path,
        paths: &BTreeSet<PathBuf>,
        through: &BTreeSet<PathBuf>,
    ) -> Result<Option<Glimpse>, DiskError> {
        let partial = |began| Self { entries: Vec::new(), began };
        let mut glimpse = Glimpse { before: partial(self.began), after: partial(now()) };
        let top = open_top(root)?;
        self.look_at(root, &top, &paths.iter().map(PathBuf::as_path).collect::<Vec<_>>(), through, &mut glimpse)?;
        let of_root = |tree: &Self| tree.get(Path::new("")).map(|entry| entry.device_and_inode);
        if of_root(self) != of_root(&glimpse.after) {
            return Ok(None);
        }
        let has_other_names =
            |entry: &&Entry| entry.is_hard_link() && self.get(&entry.path).is_none_or(|old| old.links != entry.links);
        let files: HashSet<_> =
            glimpse.after.entries.iter().filter(has_other_names).map(|entry| entry.device_and_inode).collect();
        if !files.is_empty() {
            let names = self.entries.par_iter().filter(|entry| files.contains(&entry.device_and_inode));
            let names = names.flat_map_iter(|entry| [Some(entry.path.as_path()), entry.path.parent()]);
            let is_below_one = |path: &Path| path.ancestors().any(|folder| through.contains(folder));
            let names: Vec<&Path> = names.flatten().filter(|path| !is_below_one(path)).collect();
            self.look_at(root, &top, &names, &BTreeSet::new(), &mut glimpse)?;
        }
        Ok(Some(glimpse))
    }

    fn look_at(
        &self,
        root: &Path,
        top: &File,
        paths: &[&Path],
        through: &BTreeSet<PathBuf>,
        glimpse: &mut Glimpse,
    ) -> Result<(), DiskError> {
        let looks: Vec<Vec<Option<Entry>>> = paths
            .par_chunks(ENTRIES_PER_LOOK)
            .map(|part| look_again(root, top, part.iter().copied()))
            .collect::<Result<_, _>>()?;
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for (path, now) in paths.iter().zip(looks.into_iter().flatten()) {
            let old = self.get(path);
            before.extend(old.cloned());
            if through.contains(*path) {
                before.extend_from_slice(self.below(path));
            }
            let Some(now) = now else { continue };
            let has_come = old.is_none_or(|old| old.kind != Kind::Folder);
            if now.kind == Kind::Folder
                && (has_come || through.contains(*path))
                && let Some(folder) = open_folder(root, top, path)?
            {
                after.append(&mut walk_folder(root, now.path, &folder, &glimpse.after, None)?);
            } else {
                after.push(now);
            }
        }
        glimpse.before.add(before);
        glimpse.after.add(after);
        Ok(())
    }

    /// All that is below a folder.
    fn below(&self, folder: &Path) -> &[Entry] {
        let prefix = [bytes(folder), b"/"].concat();
        let first = self.entries.partition_point(|entry| bytes(&entry.path) < &prefix[..]);
        let count = self.entries[first..].partition_point(|entry| bytes(&entry.path).starts_with(&prefix));
        &self.entries[first..first + count]
    }

    /// Makes this what a part of it was seen to be.
    pub(crate) fn update(&mut self, part: Glimpse) {
        let mut old = part.before.entries.iter().peekable();
        // Both have the same order.
        self.entries.retain(|entry| old.next_if(|old| old.path == entry.path).is_none());
        self.add(part.after.entries);
    }

    /// The paths of what can't be told unchanged by what is told of its folder: a file may be written by another of its
    /// names, and what was [forgotten](Self::forget) is to be taken again.
    pub(super) fn untold(&self) -> impl Iterator<Item = &Path> {
        let is_untold = |entry: &&Entry| entry.is_hard_link() || entry.changed == NEVER;
        self.entries.iter().filter(is_untold).map(|entry| entry.path.as_path())
    }

    /// Adds what was found below folders that are there.
    fn add(&mut self, found: Vec<Entry>) {
        if !found.is_empty() {
            self.entries.extend(found);
            self.entries.par_sort_unstable_by(|a, b| bytes(&a.path).cmp(bytes(&b.path)));
            // What goes and comes while it is looked at may be seen twice.
            self.entries.dedup_by(|a, b| a.path == b.path);
        }
    }

    /// Makes what was seen in some folders, though not in folders in them, differ from whatever is seen there later.
    pub(crate) fn forget(&mut self, folders: &BTreeSet<PathBuf>) {
        if folders.is_empty() {
            return;
        }
        let is_in_one = |entry: &&mut Entry| entry.path.parent().is_some_and(|folder| folders.contains(folder));
        let seen = self.entries.iter_mut().filter(|entry| entry.kind != Kind::Folder);
        seen.filter(is_in_one).for_each(|entry| entry.changed = NEVER);
    }

    /// The bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.size_bytes).sum()
    }

    /// Writes the walk down, for [`Self::from_bytes`] of the same version of this program on the same machine.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = HEADER.to_vec();
        let mut put = |numbers: &[u64]| numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        put(&[self.began.as_secs(), self.began.subsec_nanos().into(), self.entries.len() as u64]);
        for entry in &self.entries {
            let Entry { path, kind, attributes, size_bytes, links, device_and_inode: (device, inode), changed } = entry;
            let (kind, says) = match kind {
                Kind::Folder => (0, None),
                Kind::File => (1, None),
                Kind::Symlink(says) => (2, Some(says)),
            };
            let times = [attributes.modified.0, attributes.modified.1, changed.0, changed.1].map(i64::cast_unsigned);
            let mut put = |numbers: &[u64]| numbers.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
            put(&[kind, *size_bytes, *links, *device, *inode]);
            put(&[attributes.mode.into(), attributes.owner.into(), attributes.group.into()]);
            put(&times);
            for text in [Some(path), says].into_iter().flatten() {
                let text = text.as_os_str().as_bytes();
                bytes.extend((text.len() as u64).to_le_bytes());
                bytes.extend(text);
            }
        }
        bytes
    }

    /// Reads a file of what [`Self::to_bytes`] wrote, of a walk of the tree that is at `root`; none where there is none, or
    /// it is something else.
    pub(crate) fn read(file: &Path, root: &Path) -> Result<Option<Self>, DiskError> {
        let device = step("look at", root, || Ok(fs::metadata(root)?.dev()))?;
        step("read", file, || match fs::read(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => Ok(Self::from_bytes(&bytes?, device)),
        })
    }

    /// Reads what [`Self::to_bytes`] wrote; none where it is something else. `device`: that of the tree's folder by now. An
    /// image that was detached and attached may be another one, and what is in it is the same.
    pub(super) fn from_bytes(bytes: &[u8], device: u64) -> Option<Self> {
        let mut rest = bytes.strip_prefix(HEADER)?;
        let began = Duration::new(number(&mut rest)?, u32::try_from(number(&mut rest)?).ok()?);
        let mut entries = Vec::<Entry>::new();
        for _ in 0..number(&mut rest)? {
            let [kind, size_bytes, links, device, inode] = numbers(&mut rest)?;
            let [mode, owner, group] = numbers(&mut rest)?.map(u32::try_from);
            let [modified_s, modified_ns, changed_s, changed_ns] = numbers(&mut rest)?.map(u64::cast_signed);
            let path = path(&mut rest)?;
            let kind = match kind {
                0 => Kind::Folder,
                1 => Kind::File,
                2 => Kind::Symlink(self::path(&mut rest)?),
                _ => return None,
            };
            entries.push(Entry {
                path,
                kind,
                attributes: Attributes {
                    mode: mode.ok()?,
                    owner: owner.ok()?,
                    group: group.ok()?,
                    modified: (modified_s, modified_ns),
                },
                size_bytes,
                links,
                device_and_inode: (device, inode),
                changed: (changed_s, changed_ns),
            });
        }
        let (then, now) = (entries.first()?.device_and_inode.0, device);
        for entry in &mut entries {
            let (device, _) = &mut entry.device_and_inode;
            if *device == then {
                *device = now;
            }
        }
        rest.is_empty().then_some(Self { entries, began })
    }

    /// Whether the file of an entry may have changed after its entry was noted without a trace: it had last changed so
    /// shortly before that another change would have got the same time stamp.
    pub(crate) fn is_racy(&self, entry: &Entry) -> bool {
        is_racy(entry.changed, self.began)
    }

    /// The entry at a path.
    pub(crate) fn get(&self, path: &Path) -> Option<&Entry> {
        let index = self.entries.binary_search_by(|entry| bytes(&entry.path).cmp(bytes(path))).ok()?;
        Some(&self.entries[index])
    }
}

/// A time at which nothing changes.
const NEVER: (i64, i64) = (i64::MIN, 0);

/// How a walk that is written down begins. Another layout gets another header.
const HEADER: &[u8] = b"forkpress walk 1\n";

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(u64::from_le_bytes(*number))
}

fn numbers<const N: usize>(rest: &mut &[u8]) -> Option<[u64; N]> {
    let mut numbers = [0; N];
    for place in &mut numbers {
        *place = number(rest)?;
    }
    Some(numbers)
}

fn path(rest: &mut &[u8]) -> Option<PathBuf> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (path, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(std::ffi::OsString::from_vec(path.to_vec()).into())
}

/// Whether a file that was looked at, at the moment `seen` since the epoch, may have changed afterwards without a trace.
pub(crate) fn is_racy((seconds, nanoseconds): (i64, i64), seen: Duration) -> bool {
    let changed = Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0));
    let lag = if nanoseconds == 0 { WHOLE_SECONDS } else { TICK };
    changed + lag >= seen
}

/// How many entries a thread looks at again at a time: those of some folders.
const ENTRIES_PER_LOOK: usize = 512;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// `/` sorts before what is usual in names but after `-` and `.`: bytes order parents before children all the same,
/// and are compared faster than components.
pub(super) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

pub(crate) fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn open_top(root: &Path) -> Result<File, DiskError> {
    step("look at", root, || Ok(File::from(rustix::fs::open(root, FOLDER, Mode::empty())?)))
}

/// A folder and all that is below it, but for what is `known`.
fn walk_folder(
    root: &Path,
    path: PathBuf,
    folder: &File,
    known: &Tree,
    watch: Option<&Watch>,
) -> Result<Vec<Entry>, DiskError> {
    priority::rest();
    // First of all: whatever is done to the folder later, is told.
    if let Some(watch) = watch {
        watch.add(folder, &path);
    }
    let own = step("look at", &root.join(&path), || Ok(rustix::fs::fstat(folder)?))?;
    let is_database_folder = path == Path::new(DATABASE_DIR);
    let (mut entries, mut folders) = (vec![Entry::new(path.clone(), Kind::Folder, &own)], Vec::new());
    let read = || -> io::Result<()> {
        for found in Dir::read_from(folder)? {
            let found = found?;
            let name = OsStr::from_bytes(found.file_name().to_bytes());
            if name == "." || name == ".." || is_database_folder && is_database(name) {
                continue;
            }
            let below = path.join(name);
            if known.get(&below).is_some() {
                continue;
            }
            match look_at(folder, name, below)? {
                Some(entry) if entry.kind == Kind::Folder => folders.push(entry.path),
                entry => entries.extend(entry),
            }
        }
        Ok(())
    };
    step("read the folder", &root.join(&path), read)?;
    let below: Vec<Vec<Entry>> = folders
        .into_par_iter()
        .map(|below| {
            let name = below.file_name().unwrap_or_default();
            match open_folder(&root.join(&path), folder, Path::new(name))? {
                Some(folder) => walk_folder(root, below, &folder, known, watch),
                None => Ok(Vec::new()),
            }
        })
        .collect::<Result<_, _>>()?;
    entries.extend(below.into_iter().flatten());
    Ok(entries)
}

/// Looks again at what was seen in an earlier walk, in its order; none for what has gone.
fn look_again<'a>(
    root: &Path,
    top: &File,
    paths: impl ExactSizeIterator<Item = &'a Path>,
) -> Result<Vec<Option<Entry>>, DiskError> {
    // What is in a folder mostly follows on itself.
    let mut open: Option<(&Path, Option<File>)> = None;
    let mut looks = Vec::with_capacity(paths.len());
    for path in paths {
        // Only the tree's own folder has neither.
        let parent = path.parent().unwrap_or(Path::new(""));
        let name = path.file_name().unwrap_or(OsStr::new("."));
        let folder = match &mut open {
            Some((path, folder)) if *path == parent => folder,
            other => &other.insert((parent, open_folder(root, top, parent)?)).1,
        };
        let look = folder.as_ref().map_or(Ok(None), |folder| look_at(folder, name, path.to_owned()));
        looks.push(look.or_else(|error| step("look at", &root.join(path), || Err(error)))?);
    }
    Ok(looks)
}

/// Opens a folder below an open one, or that one itself by an empty path; none where no folder is there.
fn open_folder(root: &Path, top: &File, path: &Path) -> Result<Option<File>, DiskError> {
    let below = if path == Path::new("") { Path::new(".") } else { path };
    match rustix::fs::openat(top, below, FOLDER, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        opened => step("read the folder", &root.join(path), || Ok(Some(File::from(opened?)))),
    }
}

/// What is in a folder by a name; none where that is nothing that belongs to a tree. `path`: the entry's.
fn look_at(folder: &File, name: &OsStr, path: PathBuf) -> io::Result<Option<Entry>> {
    let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        stat => stat?,
    };
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Folder,
        FileType::RegularFile => Kind::File,
        FileType::Symlink => match rustix::fs::readlinkat(folder, name, Vec::new()) {
            Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
            says => Kind::Symlink(std::ffi::OsString::from_vec(says?.into_bytes()).into()),
        },
        _ => return Ok(None),
    };
    Ok(Some(Entry::new(path, kind, &stat)))
}

/// Whether a file in the database folder is the database or one of the files that SQLite keeps beside it.
fn is_database(name: &OsStr) -> bool {
    name.as_bytes()
        .strip_prefix(DATABASE_FILE.as_bytes())
        .is_some_and(|rest| matches!(rest, b"" | b"-wal" | b"-shm" | b"-journal"))
}

impl Entry {
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap,
        reason = "the types differ between platforms"
    )]
    fn new(path: PathBuf, kind: Kind, stat: &rustix::fs::Stat) -> Self {
        Self {
            path,
            kind,
            attributes: Attributes {
                mode: stat.st_mode as u32 & 0o7777,
                owner: stat.st_uid,
                group: stat.st_gid,
                modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            },
            size_bytes: stat.st_size as u64,
            links: stat.st_nlink as u64,
            device_and_inode: (stat.st_dev as u64, stat.st_ino as u64),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
        }
    }

    /// Whether this is one of several names of a file.
    pub(crate) fn is_hard_link(&self) -> bool {
        self.kind == Kind::File && self.links > 1
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

    use super::*;
    use std::ffi::OsString;
    use std::fs;

    /// A walk that began when everything in the tree was at rest.
    pub(in super::super) fn settled(root: &Path) -> Tree {
        loop {
            let tree = Tree::walk(root).unwrap();
            if !tree.entries.iter().any(|entry| tree.is_racy(entry)) {
                return tree;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn paths(tree: &Tree) -> Vec<&str> {
        tree.entries.iter().map(|entry| entry.path.to_str().unwrap()).collect()
    }

    #[test]
    fn a_walk_has_everything_but_the_database() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join(DATABASE_DIR);
        fs::create_dir_all(&database).unwrap();
        for name in [".ht.sqlite", ".ht.sqlite-wal", ".ht.sqlite-shm", ".ht.sqlite.bak", "index.php"] {
            fs::write(database.join(name), "").unwrap();
        }
        fs::write(dir.path().join("wp-content/.ht.sqlite"), "").unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, dir.path().join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let tree = Tree::walk(dir.path()).unwrap();
        assert_eq!(
            paths(&tree),
            [
                "",
                "wp-content",
                "wp-content/.ht.sqlite",
                "wp-content/database",
                "wp-content/database/.ht.sqlite.bak",
                "wp-content/database/index.php",
            ]
        );
        assert_eq!(tree.get(Path::new("wp-content/database")).unwrap().kind, Kind::Folder);
        assert_eq!(tree.get(Path::new("wp-content/none")), None);
    }

    /// Does something to a small tree, among few names; what can't be done is not.
    fn disturb(root: &Path, mut chance: impl FnMut(usize) -> usize) {
        let mut place = || {
            let depth = 1 + chance(3);
            (0..depth).fold(root.to_owned(), |path, _| path.join(["a", "a-b", "a.c", "b"][chance(4)]))
        };
        let (one, other) = (place(), place());
        let _ = match chance(10) {
            0 | 1 => fs::create_dir_all(&one),
            2 | 3 => fs::write(&one, "bytes"),
            4 => std::os::unix::fs::symlink(&other, &one),
            5 => fs::rename(&other, &one),
            6 => fs::hard_link(&other, &one),
            7 => fs::remove_file(&one),
            8 => fs::remove_dir_all(&one),
            _ => fs::metadata(&one).and_then(|found| {
                let mut permissions = found.permissions();
                std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755 ^ 0o50);
                fs::set_permissions(&one, permissions)
            }),
        };
    }

    #[test]
    fn a_walk_again_comes_to_what_a_walk_does() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let mut state = 88_172_645_463_325_252_u64;
        let mut chance = move |below: usize| {
            // Xorshift, Marsaglia 2003.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        for round in 0..150 {
            let before = settled(root);
            assert_eq!(before.walk_again(root).unwrap().entries, before.entries, "round {round}, nothing done");
            for _ in 0..chance(6) {
                disturb(root, &mut chance);
            }
            assert_eq!(before.walk_again(root).unwrap().entries, Tree::walk(root).unwrap().entries, "round {round}");
        }
    }

    #[test]
    fn what_is_behind_a_symlink_in_the_place_of_a_folder_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        let (root, elsewhere) = (dir.path().join("tree"), dir.path().join("elsewhere"));
        fs::create_dir_all(root.join("folder/inner")).unwrap();
        fs::write(root.join("folder/inner/file"), "").unwrap();
        fs::write(root.join("folder-file"), "").unwrap();
        let before = settled(&root);
        fs::rename(root.join("folder"), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, root.join("folder")).unwrap();
        assert_eq!(paths(&before.walk_again(&root).unwrap()), ["", "folder", "folder-file"]);
    }

    #[test]
    fn what_was_away_while_it_was_looked_at_again_is_found_by_the_next_walk() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join("here/inner")).unwrap();
        (0..2000).for_each(|number| fs::write(root.join(format!("here/inner/{number}")), "").unwrap());
        let whole = settled(root);
        for _ in 0..100 {
            let (is_over, moves, mut seen) = (AtomicBool::new(false), AtomicUsize::new(0), settled(root));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !is_over.load(SeqCst) {
                        fs::rename(root.join("here"), root.join("away")).unwrap();
                        fs::rename(root.join("away"), root.join("here")).unwrap();
                        moves.fetch_add(1, SeqCst);
                    }
                });
                while moves.load(SeqCst) == 0 {
                    std::thread::yield_now();
                }
                seen = seen.walk_again(root).unwrap();
                is_over.store(true, SeqCst);
            });
            assert_eq!(paths(&seen.walk_again(root).unwrap()), paths(&whole));
        }
    }

    #[test]
    fn names_are_read_again_only_where_a_folder_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("a")).unwrap();
        fs::write(root.join("a/old"), "").unwrap();
        let mut before = settled(root);
        // As if it had not been there: its folder has not changed since.
        before.entries.retain(|entry| entry.path != Path::new("a/old"));
        assert_eq!(paths(&before.walk_again(root).unwrap()), ["", "a"]);
        fs::write(root.join("a/new"), "").unwrap();
        assert_eq!(paths(&before.walk_again(root).unwrap()), ["", "a", "a/new", "a/old"]);
        // The time stamps might be those of a moment before the walk.
        before.entries.retain(|entry| entry.path != Path::new("a/old"));
        before.began = Duration::ZERO;
        assert_eq!(paths(&before.walk_again(root).unwrap()), ["", "a", "a/new", "a/old"]);
    }

    #[test]
    fn a_walk_is_read_as_it_was_written_and_anything_else_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let strange = OsString::from_vec(b"a\n\xff".to_vec());
        fs::create_dir(dir.path().join(&strange)).unwrap();
        fs::write(dir.path().join(&strange).join("file"), "bytes").unwrap();
        std::os::unix::fs::symlink(&strange, dir.path().join("link")).unwrap();
        let tree = Tree::walk(dir.path()).unwrap();
        let bytes = tree.to_bytes();
        let device = tree.entries[0].device_and_inode.0;
        let read = Tree::from_bytes(&bytes, device).unwrap();
        assert_eq!((&read.entries, read.began), (&tree.entries, tree.began));
        for end in 0..bytes.len() {
            assert!(Tree::from_bytes(&bytes[..end], device).is_none(), "{end}");
        }
        assert!(Tree::from_bytes(&[&bytes[..], b"x"].concat(), device).is_none());
    }

    #[test]
    fn a_walk_is_read_as_one_of_the_device_that_the_file_system_is_now() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "bytes").unwrap();
        fs::write(dir.path().join("mounted"), "bytes").unwrap();
        let mut then = Tree::walk(dir.path()).unwrap();
        let now = then.entries[0].device_and_inode.0;
        let devices = |tree: &Tree| tree.entries.iter().map(|entry| entry.device_and_inode.0).collect::<Vec<_>>();
        for (entry, device) in then.entries.iter_mut().zip([now + 1, now + 1, now + 2]) {
            entry.device_and_inode.0 = device;
        }
        assert_eq!(devices(&Tree::from_bytes(&then.to_bytes(), now).unwrap()), [now, now, now + 2]);
    }

    #[test]
    fn what_changed_shortly_before_the_walk_is_racy() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let mut tree = Tree::walk(dir.path()).unwrap();
        let entry = tree.entries[1].clone();
        tree.began = Duration::new(1000, 500_000_000);
        for (changed, racy) in [
            ((1000, 500_000_001), true),
            ((1000, 490_000_000), true),
            ((1000, 400_000_000), false),
            ((999, 0), true),
            ((998, 0), false),
            ((-1, 0), false),
        ] {
            assert_eq!(tree.is_racy(&Entry { changed, ..entry.clone() }), racy, "{changed:?}");
        }
    }
}
