//! Which object a file of a branch is, for whoever has a walk of the branch's folder: Git's own index says it.
//!
//! The index has what a file looked like when it was read. What looks the same still has the same bytes: times are compared
//! to the nanosecond, which Git does not do, and what may have changed without a trace the index of a branch
//! [does not vouch for](super::view::Index::update).

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::paths::CONFIG_FILE;
use super::push::{Blob, EntryMode, ObjectId};
use crate::tree::Entry;
use forkpress_core::layout::CowLayout;
use forkpress_core::name::BranchName;

/// What a file looks like, as the index has it: when it changed, when its bytes did, its device, its inode and its size.
/// Of each number there are 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stat([u32; 7]);

impl Stat {
    /// What the index has of a file that is to be read in any case.
    pub(super) const UNKNOWN: Self = Self([0; 7]);

    fn without_device(self) -> Self {
        let Self([changed, changed_nanoseconds, modified, modified_nanoseconds, _, inode, size]) = self;
        Self([changed, changed_nanoseconds, modified, modified_nanoseconds, 0, inode, size])
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "Git takes as many bits of them")]
    pub(super) fn of(entry: &Entry) -> Self {
        let (changed, modified) = (entry.changed, entry.attributes.modified);
        let (device, inode) = entry.device_and_inode;
        Self([
            changed.0 as u32,
            changed.1 as u32,
            modified.0 as u32,
            modified.1 as u32,
            device as u32,
            inode as u32,
            entry.size_bytes as u32,
        ])
    }
}

/// What is in the index of a branch (gitformat-index, version 2).
#[derive(Debug, Default)]
pub(super) struct IndexFile {
    bytes: Vec<u8>,
    /// Where each entry begins, and how long its path is. In Git's order.
    entries: Vec<(usize, usize)>,
}

/// One path of it.
#[derive(Clone, Copy)]
pub(super) struct IndexEntry<'a> {
    bytes: &'a [u8],
    path: &'a [u8],
}

/// How many bytes the fixed parts of the file and of an entry have. The numbers are big-endian.
const HEADER_BYTES: usize = 12;
const ENTRY_BYTES: usize = 62;

impl IndexFile {
    /// Reads the index of a branch: an empty one where there is none, none where it is no such index.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(Self::default())),
            bytes => Ok(Self::parse(bytes?)),
        }
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        let count = number(bytes.strip_prefix(b"DIRC\0\0\0\x02")?, 0)?;
        let mut entries = Vec::new();
        let mut at = HEADER_BYTES;
        for _ in 0..count {
            let path = bytes.get(at + ENTRY_BYTES..)?;
            let length = path.iter().position(|byte| *byte == 0)?;
            entries.push((at, length));
            // One to eight NULs make the length a multiple of eight.
            at += (ENTRY_BYTES + length) / 8 * 8 + 8;
        }
        Some(Self { bytes, entries })
    }

    /// What is in it, in Git's order.
    pub(super) fn iter(&self) -> impl Iterator<Item = IndexEntry<'_>> {
        self.entries.iter().map(|place| self.entry(place))
    }

    fn get(&self, path: &Path) -> Option<IndexEntry<'_>> {
        let path = path.as_os_str().as_bytes();
        let found = self.entries.binary_search_by(|place| self.entry(place).path.cmp(path)).ok()?;
        Some(self.entry(&self.entries[found]))
    }

    fn entry(&self, &(at, length): &(usize, usize)) -> IndexEntry<'_> {
        let (bytes, rest) = self.bytes[at..].split_at(ENTRY_BYTES);
        IndexEntry { bytes, path: &rest[..length] }
    }
}

impl<'a> IndexEntry<'a> {
    pub(super) fn path(self) -> &'a [u8] {
        self.path
    }

    /// What the file looked like as Git read it.
    pub(super) fn stat(self) -> Stat {
        Stat([0, 4, 8, 12, 16, 20, 36].map(|at| number(self.bytes, at).unwrap_or_default()))
    }

    /// What `git update-index -z --index-info` takes to keep the entry and forget what its file looked like.
    pub(super) fn without_stat(self) -> Vec<u8> {
        let mode = number(self.bytes, 24).unwrap_or_default();
        [format!("{mode:o} {} 0\t", self.object()).as_bytes(), self.path, b"\0"].concat()
    }

    fn object(self) -> String {
        self.bytes[40..60].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn blob(self) -> Option<Blob> {
        let mode = EntryMode::parse(number(self.bytes, 24)?)?;
        Some(Blob { mode, id: ObjectId::parse(&self.object())? })
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Of `wp-config.php` the object is not the file: it is made from it. So Git can't tell.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigObject {
    version: u32,
    is_executable: bool,
    object: String,
    /// What the file looked like.
    stat: Stat,
}

/// How `wp-config.php` is made fit to be seen. Another number makes it be read anew.
const CONFIG_VERSION: u32 = 1;

impl ConfigObject {
    pub(super) fn new(is_executable: bool, object: String, stat: Stat) -> Self {
        Self { version: CONFIG_VERSION, is_executable, object, stat }
    }

    /// Writes it down. It is not durable.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let temporary = path.with_extension("config.tmp");
        fs::write(&temporary, toml::to_string(self).expect("it is plain values"))?;
        fs::rename(&temporary, path)
    }

    fn read(path: PathBuf) -> Option<Self> {
        let config: Self = toml::from_str(&fs::read_to_string(path).ok()?).ok()?;
        (config.version == CONFIG_VERSION).then_some(config)
    }
}

/// The objects of files that Git has read, or that a branch got with its tree.
#[derive(Debug, Default)]
pub(crate) struct Known {
    index: IndexFile,
    config: Option<ConfigObject>,
    inherited: HashMap<PathBuf, (Stat, Blob)>,
}

/// What a branch got with its tree, until Git has read that: written down as what it was in the branch that was taken from.
#[derive(Debug)]
pub(super) struct Inherited {
    /// The operation that gave the branch its tree.
    operation: u64,
    lines: Vec<u8>,
}

impl Inherited {
    pub(super) fn of(operation: u64) -> Self {
        Self { operation, lines: Vec::new() }
    }

    /// Whether what is written down for a branch is of this operation.
    pub(super) fn is_there(cow: &CowLayout, name: &BranchName, operation: u64) -> bool {
        fs::read(cow.git_known(name)).is_ok_and(|bytes| bytes.starts_with(&head(operation)))
    }

    pub(super) fn add(&mut self, entry: &Entry, mode: &str, object: &str) {
        let Stat(numbers) = Stat::of(entry);
        let numbers: Vec<_> = numbers.iter().map(u32::to_string).collect();
        self.lines.extend_from_slice(format!("{mode} {object} {}\t", numbers.join(" ")).as_bytes());
        self.lines.extend_from_slice(entry.path.as_os_str().as_bytes());
        self.lines.push(0);
    }

    /// Writes it down. It is not durable.
    pub(super) fn write(&self, cow: &CowLayout, name: &BranchName) -> io::Result<()> {
        let path = cow.git_known(name);
        let temporary = path.with_extension("known.tmp");
        fs::write(&temporary, [&head(self.operation)[..], &self.lines].concat())?;
        fs::rename(&temporary, path)
    }

    /// What was written down; nothing, where that can't be understood.
    fn read(path: &Path) -> HashMap<PathBuf, (Stat, Blob)> {
        let bytes = fs::read(path).unwrap_or_default();
        bytes.split(|byte| *byte == 0).skip(1).filter_map(inherited).collect()
    }
}

fn head(operation: u64) -> Vec<u8> {
    format!("1 {operation}\0").into_bytes()
}

fn inherited(line: &[u8]) -> Option<(PathBuf, (Stat, Blob))> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let mut words = std::str::from_utf8(&line[..tab]).ok()?.split(' ');
    let mode = EntryMode::parse(u32::from_str_radix(words.next()?, 8).ok()?)?;
    let id = ObjectId::parse(words.next()?)?;
    let numbers: Vec<u32> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let path = OsStr::from_bytes(&line[tab + 1..]).into();
    Some((path, (Stat(numbers.try_into().ok()?), Blob { mode, id })))
}

impl Known {
    /// What is known of a branch: nothing, where what is known can't be read.
    pub(crate) fn read(cow: &CowLayout, name: &BranchName) -> Self {
        let index = IndexFile::read(&cow.git_index(name)).ok().flatten().unwrap_or_default();
        let inherited = Inherited::read(&cow.git_known(name));
        Self { index, config: ConfigObject::read(cow.git_config(name)), inherited }
    }

    /// What the view of the branch has at an entry of a walk; none where Git has not read it as it is. Of `wp-config.php` that
    /// is the object without the secrets.
    pub(crate) fn object(&self, entry: &Entry) -> Option<Blob> {
        let stat = Stat::of(entry);
        if entry.path == Path::new(CONFIG_FILE)
            && let Some(config) = self.config.as_ref().filter(|config| config.stat == stat)
        {
            let mode = if config.is_executable { EntryMode::Program } else { EntryMode::File };
            return Some(Blob { mode, id: ObjectId::parse(&config.object)? });
        }
        let read = self.index.get(&entry.path).filter(|found| found.stat() == stat);
        read.and_then(IndexEntry::blob).or_else(|| {
            let (known, blob) = self.inherited.get(&entry.path)?;
            (*known == stat).then(|| blob.clone())
        })
    }

    /// The same for a walk of a snapshot of the branch's folder, which has another device.
    pub(crate) fn object_elsewhere(&self, entry: &Entry) -> Option<Blob> {
        let stat = Stat::of(entry).without_device();
        let read = self.index.get(&entry.path).filter(|found| found.stat().without_device() == stat);
        let read = read.filter(|_| entry.path != Path::new(CONFIG_FILE));
        read.and_then(IndexEntry::blob).or_else(|| {
            let (known, blob) = self.inherited.get(&entry.path)?;
            (known.without_device() == stat).then(|| blob.clone())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, FileTimes, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, SystemTime};

    use super::super::repository::run;
    use super::super::testing::add;
    use super::super::view::Index;
    use super::*;
    use crate::git::repository::Repository;
    use crate::site::testing::site;
    use crate::tree::{self, Tree};

    struct Branch {
        dir: tempfile::TempDir,
        repository: Repository,
        name: BranchName,
    }

    impl Branch {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let repository = Repository::open(&site(dir.path())).unwrap();
            let branch = Self { dir, repository, name: "x".parse().unwrap() };
            fs::create_dir_all(branch.path("folder")).unwrap();
            branch
        }

        fn path(&self, path: impl AsRef<Path>) -> PathBuf {
            self.dir.path().join("files").join(path)
        }

        fn index<T>(&self, act: impl FnOnce(&Index<'_>) -> T) -> T {
            act(&Index { repository: &self.repository, name: &self.name, branch: &self.path("") })
        }

        fn update(&self) {
            self.index(|index| index.update(&index.look(None).unwrap()).unwrap());
        }

        /// What is known of a path as it is now.
        fn known(&self, path: &str) -> Option<Blob> {
            let tree = Tree::walk(&self.path("")).unwrap();
            Known::read(self.repository.cow(), &self.name).object(tree.get(Path::new(path)).unwrap())
        }

        /// What is in the index.
        fn indexed(&self, path: &str) -> Vec<u8> {
            let index = self.repository.cow().git_index(&self.name);
            let shown = format!(":{path}");
            run(self.repository.command().env("GIT_INDEX_FILE", index).args(["cat-file", "blob", &shown])).unwrap()
        }
    }

    fn at_rest() {
        let written = tree::now();
        while tree::now() < written + 2 * tree::TICK {
            std::thread::sleep(tree::TICK);
        }
    }

    #[test]
    fn the_object_of_a_file_is_known_until_it_changes() {
        let branch = Branch::new();
        let strange = OsStr::from_bytes(b"folder/a\nb \xff");
        for path in [OsStr::new("plain"), OsStr::new("program"), OsStr::new("zero"), OsStr::new("folder/b"), strange] {
            fs::write(branch.path(path), path.as_bytes()).unwrap();
        }
        fs::write(branch.path("zero"), "").unwrap();
        fs::set_permissions(branch.path("program"), Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("plain", branch.path("link")).unwrap();
        at_rest();
        branch.update();
        let id = |bytes: &[u8]| add(&branch.repository, bytes);
        let blob = |mode, bytes: &[u8]| Some(Blob { mode, id: id(bytes) });
        assert_eq!(branch.known("plain"), blob(EntryMode::File, b"plain"));
        assert_eq!(branch.known("program"), blob(EntryMode::Program, b"program"));
        assert_eq!(branch.known("zero"), blob(EntryMode::File, b""));
        assert_eq!(branch.known("link"), blob(EntryMode::Symlink, b"plain"));
        let tree = Tree::walk(&branch.path("")).unwrap();
        let known = Known::read(branch.repository.cow(), &branch.name);
        let entry = tree.get(Path::new(strange)).unwrap();
        assert_eq!(known.object(entry), blob(EntryMode::File, strange.as_bytes()));
        assert_eq!(branch.known("folder"), None);
        fs::write(branch.path("plain"), "other").unwrap();
        fs::set_permissions(branch.path("program"), Permissions::from_mode(0o644)).unwrap();
        fs::rename(branch.path("folder/b"), branch.path("folder/c")).unwrap();
        assert_eq!(["plain", "program", "folder/c"].map(|path| branch.known(path)), [None, None, None]);
        fs::remove_file(branch.repository.cow().git_index(&branch.name)).unwrap();
        assert_eq!(branch.known("link"), None);
    }

    #[test]
    fn what_a_branch_got_with_its_tree_is_known_until_it_changes() {
        let branch = Branch::new();
        let strange = OsStr::from_bytes(b"folder/a\nb \xff");
        for path in [OsStr::new("plain"), strange] {
            fs::write(branch.path(path), path.as_bytes()).unwrap();
        }
        let id = add(&branch.repository, b"plain");
        let tree = Tree::walk(&branch.path("")).unwrap();
        let mut inherited = Inherited::of(7);
        for path in [Path::new("plain"), Path::new(strange)] {
            inherited.add(tree.get(path).unwrap(), "100644", id.as_str());
        }
        fs::create_dir_all(branch.repository.cow().git_snapshots_dir()).unwrap();
        inherited.write(branch.repository.cow(), &branch.name).unwrap();
        assert!(Inherited::is_there(branch.repository.cow(), &branch.name, 7));
        assert!(!Inherited::is_there(branch.repository.cow(), &branch.name, 8));
        let blob = Blob { mode: EntryMode::File, id };
        assert_eq!(branch.known("plain"), Some(blob.clone()));
        let known = Known::read(branch.repository.cow(), &branch.name);
        assert_eq!(known.object(tree.get(Path::new(strange)).unwrap()), Some(blob));
        fs::write(branch.path("plain"), "other").unwrap();
        assert_eq!(branch.known("plain"), None);
    }

    #[test]
    fn the_object_of_the_configuration_is_the_one_without_secrets() {
        let branch = Branch::new();
        let text = b"<?php define( 'AUTH_KEY', 'secret' );";
        fs::write(branch.path(CONFIG_FILE), text).unwrap();
        at_rest();
        branch.update();
        let known = branch.known(CONFIG_FILE).unwrap();
        assert_eq!(known.id, add(&branch.repository, &super::super::redact::config(text)));
        assert_ne!(known.id, add(&branch.repository, text));
        fs::write(branch.path(CONFIG_FILE), "<?php").unwrap();
        assert_eq!(branch.known(CONFIG_FILE), None);
    }

    #[test]
    fn a_file_that_was_just_written_is_not_known_and_is_read_again() {
        let branch = Branch::new();
        let path = branch.path("file");
        // On a busy machine the tick may be over before anybody looks.
        for attempt in 0_u32.. {
            fs::write(&path, format!("{attempt:04}")).unwrap();
            let (seen, is_racy) = branch.index(|index| {
                let look = index.look(None).unwrap();
                index.update(&look).unwrap();
                let file = index.repository.cow().git_index(&branch.name);
                let file = IndexFile::read(&file).unwrap().unwrap();
                (file.iter().next().unwrap().stat(), look.fingerprint.is_none())
            });
            if is_racy {
                assert_eq!(seen, Stat::UNKNOWN);
                break;
            }
        }
        assert_eq!(branch.known("file"), None);
        at_rest();
        branch.update();
        assert!(branch.known("file").is_some());
    }

    #[test]
    fn a_file_of_which_only_the_nanoseconds_changed_is_read_again() {
        let branch = Branch::new();
        let path = branch.path("file");
        // Git takes no file for unchanged that is as new as the index.
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let write = |text: &str, nanoseconds: u64| {
            fs::write(&path, text).unwrap();
            let modified = FileTimes::new().set_modified(modified + Duration::from_nanos(nanoseconds));
            File::options().write(true).open(&path).unwrap().set_times(modified).unwrap();
            tree::now().as_secs()
        };
        loop {
            let before = write("one", 1);
            at_rest();
            branch.update();
            let after = write("two", 2);
            branch.update();
            assert_eq!(branch.indexed("file"), b"two");
            // Else the seconds of the change told it.
            if before == after {
                return;
            }
        }
    }

    #[test]
    fn an_index_that_is_none_is_made_anew_and_what_has_gone_is_not_in_it() {
        let branch = Branch::new();
        for path in ["gone", "folder/gone", "stays"] {
            fs::write(branch.path(path), path).unwrap();
        }
        branch.update();
        fs::remove_file(branch.path("gone")).unwrap();
        fs::remove_dir_all(branch.path("folder")).unwrap();
        fs::write(branch.path("folder"), "a file now").unwrap();
        let paths = || {
            let file = IndexFile::read(&branch.repository.cow().git_index(&branch.name)).unwrap().unwrap();
            file.iter().map(|entry| String::from_utf8(entry.path().to_vec()).unwrap()).collect::<Vec<_>>()
        };
        branch.update();
        assert_eq!(paths(), ["folder", "stays"]);
        for garbage in [&b"garbage"[..], b"DIRC\0\0\0\x02\0\0\0\x01", b"DIRC\0\0\0\x04\0\0\0\0"] {
            fs::write(branch.repository.cow().git_index(&branch.name), garbage).unwrap();
            assert_eq!(branch.known("stays"), None);
            branch.update();
            assert_eq!(paths(), ["folder", "stays"]);
        }
    }
}
