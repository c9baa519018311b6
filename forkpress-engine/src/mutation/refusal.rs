//! What a file system would refuse, found out before anything is changed.
//!
//! A file that can't be put in its place in the middle of an apply is taken back, but who asked for it waits the longer for
//! a worse answer. So the file system is asked first: what can be tried out beside the branch is tried out there, names and
//! new folders; and of what can't, the folders and files of the branch itself, it tells whether it lets us.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;
use thiserror::Error;

use crate::disk::{self, DiskError, step};
use forkpress_core::advice::Advice;
use forkpress_core::layout::SiteLayout;

/// The most bytes that a path may have for a system call, its end included: `PATH_MAX`.
const MOST_PATH_BYTES: usize = 4096;

/// Up to this length, a name of letters, digits and a few signs can be had on any file system.
const PLAIN_NAME_BYTES: usize = 100;

/// Why a file system would refuse to change a path.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The path is too long where a tree of the site may be, or what a symlink is to say is.
    #[error("a path in a branch of this site may have {most} bytes, and this one has {bytes}")]
    LongPath {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// The file system makes no difference between two names.
    #[error("this file system takes it for {}", other.display())]
    SameAs {
        /// The other path.
        other: PathBuf,
    },
    /// The file system would give it another name.
    #[error("this file system changes its name")]
    OtherName,
    /// It may not be changed, or only be added to, whoever asks: `chattr +i`, `chattr +a`.
    #[error("{} is set to be unchangeable", path.display())]
    Fixed {
        /// What is.
        path: PathBuf,
    },
    /// It belongs to another user, in a folder in which everybody may change their own things only.
    #[error("only its owner may change {}", path.display())]
    Foreign {
        /// What does.
        path: PathBuf,
    },
    /// A file system is mounted there.
    #[error("{} is mounted from elsewhere", path.display())]
    Mounted {
        /// Where.
        path: PathBuf,
    },
    /// It lies on another file system, which has no room for it.
    #[error("{} is on another file system, with too little room", path.display())]
    NoRoom {
        /// The folder that is.
        path: PathBuf,
    },
    /// The file system refused to do it beside the branch, or says that it would refuse to do it there.
    #[error(transparent)]
    Step(#[from] DiskError),
}

impl Advice for Refusal {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::LongPath { .. } => "choose a shorter path".to_owned(),
            Self::SameAs { .. } | Self::OtherName => "choose a name that differs by more than its case".to_owned(),
            Self::Fixed { path } => format!("lsattr -d {} shows the flag; chattr takes it away", path.display()),
            Self::Foreign { .. } => "ask its owner to move it".to_owned(),
            Self::Mounted { path } => format!("umount {}, or leave it as it is", path.display()),
            Self::NoRoom { path } => format!("make room where {} is", path.display()),
            Self::Step(error) => match error.source.kind() {
                io::ErrorKind::InvalidFilename => "choose shorter names".to_owned(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk".to_owned(),
                _ => format!("give the user who serves the site the right to change {}", error.path.display()),
            },
        })
    }
}

/// A path and why it can't be changed.
pub(super) type Refused = (PathBuf, Refusal);

/// The first path that is too long for a tree of the site, wherever that may be.
pub(super) fn too_long<'p>(layout: &SiteLayout, paths: impl IntoIterator<Item = &'p Path>) -> Option<Refused> {
    let most = MOST_PATH_BYTES.saturating_sub(longest_root_bytes(layout) + 1);
    let bytes = |path: &Path| path.as_os_str().len();
    let path = paths.into_iter().find(|path| bytes(path) > most)?;
    Some((path.to_owned(), Refusal::LongPath { bytes: bytes(path), most }))
}

/// How long the path of a tree, with a slash, can get: a branch of any name, a tree that is staged or kept, and where
/// names are tried out.
fn longest_root_bytes(layout: &SiteLayout) -> usize {
    const MOST_NAME_BYTES: usize = 63;
    const MOST_DIGITS: usize = 20;
    let cow = layout.cow();
    let bytes = |folder: PathBuf| folder.as_os_str().len() + 1;
    let in_folders = [layout.branches_dir(), layout.public_root().to_owned(), cow.staging_dir()].into_iter();
    let roots = in_folders.map(|folder| bytes(folder) + MOST_NAME_BYTES + ".files/names".len());
    roots.chain([bytes(cow.kept_dir()) + MOST_DIGITS + 1 + MOST_NAME_BYTES]).max().unwrap_or_default() + 1
}

/// A path that is to be changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathToChange<'a> {
    /// The path inside the branch.
    pub(super) path: &'a Path,
    /// The nearest folder around it that there is, inside the branch.
    pub(super) folder: &'a Path,
    /// What is there now.
    pub(super) there: There,
}

/// What is at such a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum There {
    Nothing,
    Leaf,
    Folder,
}

/// The tree that is to be changed, and what is known of it by now.
pub(super) struct Ground<'a> {
    root: &'a Path,
    /// Whether its file system takes some names for one another.
    folds: bool,
    /// The names in folders that do.
    names: HashMap<PathBuf, Option<HashSet<OsString>>>,
    /// The folders that may be changed.
    open: HashSet<PathBuf>,
}

impl<'a> Ground<'a> {
    /// `beside` is a folder on the same file system, whose name has letters, and of which the rest is to be tried out.
    pub(super) fn new(root: &'a Path, beside: &Path) -> Result<Self, DiskError> {
        let folds = folds_case(beside)? || folds_accents(beside)?;
        Ok(Self { root, folds, names: HashMap::new(), open: HashSet::new() })
    }

    /// Refuses a path where the file system finds what has another name.
    pub(super) fn check_name(&mut self, path: &Path) -> Result<(), Refusal> {
        let root = self.root;
        let mut folders: Vec<_> = path.ancestors().filter(|path| !path.as_os_str().is_empty()).collect();
        folders.reverse();
        for part in folders {
            let (Some(folder), Some(name)) = (part.parent(), part.file_name()) else { return Ok(()) };
            let Some(names) = self.names_in(folder)? else { continue };
            if names.contains(name) {
                continue;
            }
            let Some(inode) = disk::inode(&root.join(part))? else { return Ok(()) };
            let is_other =
                |name: &&OsString| disk::inode(&root.join(folder).join(name)).is_ok_and(|found| found == Some(inode));
            let other = names.iter().find(is_other).map_or_else(|| part.to_owned(), |name| folder.join(name));
            return Err(Refusal::SameAs { other });
        }
        Ok(())
    }

    /// The names in a folder that takes some for one another; none where it does not, or is not there.
    fn names_in(&mut self, folder: &Path) -> Result<Option<&HashSet<OsString>>, DiskError> {
        if !self.names.contains_key(folder) {
            let full = self.root.join(folder);
            let names = if self.folds || has_folding_names(&full) {
                Some(disk::list(&full)?.iter().filter_map(|path| Some(path.file_name()?.to_owned())).collect())
            } else {
                None
            };
            self.names.insert(folder.to_owned(), names);
        }
        Ok(self.names[folder].as_ref())
    }

    /// Refuses what may not be changed: the folder that it is in, or it itself.
    pub(super) fn check_access(&mut self, target: PathToChange<'_>) -> Result<(), Refusal> {
        self.check_folder(target.folder)?;
        match target.there {
            There::Nothing => Ok(()),
            There::Leaf => self.check_entry(target.path),
            There::Folder => self.check_inside(target.path),
        }
    }

    fn check_folder(&mut self, folder: &Path) -> Result<(), Refusal> {
        if self.open.contains(folder) {
            return Ok(());
        }
        let full = self.root.join(folder);
        if is_fixed(&full) {
            return Err(Refusal::Fixed { path: full });
        }
        step("write to the folder", &full, || {
            match rustix::fs::accessat(CWD, &full, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
                Err(errno @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) => Err(errno.into()),
                // What can't be told is tried.
                _ => Ok(()),
            }
        })?;
        self.open.insert(folder.to_owned());
        Ok(())
    }

    /// A file or a folder that is to go from where it is.
    fn check_entry(&self, path: &Path) -> Result<(), Refusal> {
        let full = self.root.join(path);
        if is_fixed(&full) {
            return Err(Refusal::Fixed { path: full });
        }
        if is_mounted(&full) {
            return Err(Refusal::Mounted { path: full });
        }
        let owners = step("look at", &full, || {
            let folder = fs::symlink_metadata(full.parent().unwrap_or(&full))?;
            let is_sticky = folder.mode() & 0o1000 != 0;
            Ok(is_sticky.then_some([folder.uid(), fs::symlink_metadata(&full)?.uid()]))
        })?;
        let user = rustix::process::geteuid();
        let is_foreign = |owners: [u32; 2]| !user.is_root() && !owners.contains(&user.as_raw());
        if owners.is_some_and(is_foreign) { Err(Refusal::Foreign { path: full }) } else { Ok(()) }
    }

    /// A folder in whose place a file is to be, with all folders in it.
    fn check_inside(&mut self, folder: &Path) -> Result<(), Refusal> {
        self.check_entry(folder)?;
        self.check_folder(folder)?;
        for inner in disk::list(&self.root.join(folder))? {
            let metadata = step("look at", &inner, || fs::symlink_metadata(&inner))?;
            if metadata.is_dir() {
                self.check_inside(&folder.join(inner.file_name().unwrap_or_default()))?;
            }
        }
        Ok(())
    }
}

/// Makes the folders that are to be made, and files with names that not every file system takes, in the folder `scratch`,
/// which is empty: whether they can be had, and be told apart, and whether there is room for so many folders.
///
/// `folders` has each after the one that it is in. What is made is removed again.
pub(super) fn try_out(scratch: &Path, folders: &[PathBuf], files: &[&Path]) -> Result<(), Refused> {
    let all = || folders.iter().map(PathBuf::as_path).chain(files.iter().copied());
    let mut times: HashMap<String, u32> = HashMap::new();
    all().for_each(|path| *times.entry(folded(path)).or_default() += 1);
    let mut parents = BTreeSet::new();
    for (number, path) in all().enumerate() {
        let is_folder = number < folders.len();
        let is_plain = path.file_name().is_some_and(is_plain);
        if !is_folder && is_plain && times[&folded(path)] == 1 {
            continue;
        }
        let refused = |error: DiskError| (path.to_owned(), Refusal::Step(error));
        let full = scratch.join(path);
        if let Some(parent) = full.parent() {
            step("make the folder", parent, || fs::create_dir_all(parent)).map_err(refused)?;
            if !is_plain {
                parents.insert(parent.to_owned());
            }
        }
        let made =
            step("make", path, || if is_folder { fs::create_dir(&full) } else { File::create_new(&full).map(drop) });
        match made {
            Err(error) if error.source.kind() == io::ErrorKind::AlreadyExists => {
                let other = all().find(|other| *other != path && folded(other) == folded(path));
                let other = other.unwrap_or(path).to_owned();
                return Err((path.to_owned(), Refusal::SameAs { other }));
            }
            made => made.map_err(refused)?,
        }
    }
    for parent in parents {
        let inside = parent.strip_prefix(scratch).unwrap_or(&parent);
        let found = disk::list(&parent).map_err(|error| (inside.to_owned(), error.into()))?;
        let found: HashSet<_> = found.iter().filter_map(|path| path.file_name()).collect();
        let mut own = all().filter(|path| path.parent() == Some(inside) && !path.file_name().is_some_and(is_plain));
        if let Some(path) = own.find(|path| !path.file_name().is_some_and(|name| found.contains(name))) {
            return Err((path.to_owned(), Refusal::OtherName));
        }
    }
    disk::remove(scratch).map_err(|error| (PathBuf::new(), error.into()))
}

/// What two paths may have in common that a file system takes for one another.
fn folded(path: &Path) -> String {
    path.to_string_lossy().to_lowercase()
}

/// Whether any file system takes the name.
fn is_plain(name: &OsStr) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+@~ ".contains(byte);
    let bytes = name.as_bytes();
    bytes.len() <= PLAIN_NAME_BYTES && bytes.iter().all(is_plain) && !bytes.ends_with(b".") && !bytes.ends_with(b" ")
}

/// Whether a folder is found by its name in other letters.
fn folds_case(folder: &Path) -> Result<bool, DiskError> {
    let Some(name) = folder.file_name() else { return Ok(false) };
    let other: Vec<u8> = name.as_bytes().iter().map(|byte| byte.to_ascii_uppercase()).collect();
    let inode = disk::inode(&folder.with_file_name(OsStr::from_bytes(&other)))?;
    Ok(other != name.as_bytes() && inode.is_some() && inode == disk::inode(folder)?)
}

/// Whether a letter with an accent is found as a letter and an accent.
fn folds_accents(folder: &Path) -> Result<bool, DiskError> {
    let [one, two] = ["\u{e9}", "e\u{301}"].map(|name| folder.join(name));
    // What can't be made there is no such file system.
    if step("make", &one, || File::create_new(&one).map(drop)).is_err() {
        return Ok(false);
    }
    let is_found = disk::inode(&two)?.is_some();
    disk::unlink(&one)?;
    Ok(is_found)
}

/// Whether a folder is set to take names for one another: `chattr +F`.
#[cfg(target_os = "linux")]
fn has_folding_names(folder: &Path) -> bool {
    /// `FS_CASEFOLD_FL`.
    const CASEFOLD: u32 = 0x4000_0000;
    File::open(folder)
        .is_ok_and(|folder| rustix::fs::ioctl_getflags(&folder).is_ok_and(|flags| flags.bits() & CASEFOLD != 0))
}

#[cfg(not(target_os = "linux"))]
fn has_folding_names(_folder: &Path) -> bool {
    false
}

/// Whether nobody, not even root, may rename or remove what is at a path or, where that is a folder, in it.
#[cfg(target_os = "linux")]
fn is_fixed(path: &Path) -> bool {
    use rustix::fs::StatxAttributes;
    attributes(path).intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND)
}

/// The same, with the flags that `chflags` sets for the owner and for root.
#[cfg(target_os = "macos")]
fn is_fixed(path: &Path) -> bool {
    use std::os::macos::fs::MetadataExt;
    /// `UF_IMMUTABLE | UF_APPEND | SF_IMMUTABLE | SF_APPEND`.
    const FIXED: u32 = 0x2 | 0x4 | 0x2_0000 | 0x4_0000;
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.st_flags() & FIXED != 0)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn is_fixed(_path: &Path) -> bool {
    false
}

/// Whether something is mounted at a path.
#[cfg(target_os = "linux")]
fn is_mounted(path: &Path) -> bool {
    attributes(path).contains(rustix::fs::StatxAttributes::MOUNT_ROOT)
}

#[cfg(not(target_os = "linux"))]
fn is_mounted(_path: &Path) -> bool {
    false
}

/// What a file system tells of a file besides its mode; nothing where it does not tell.
#[cfg(target_os = "linux")]
fn attributes(path: &Path) -> rustix::fs::StatxAttributes {
    use rustix::fs::{StatxAttributes, StatxFlags, statx};
    statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())
        .map_or(StatxAttributes::empty(), |found| found.stx_attributes & found.stx_attributes_mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_too_long_where_the_longest_place_of_a_tree_would_make_it_so() {
        let layout = SiteLayout::at(Path::new("/site"));
        let longest = MOST_PATH_BYTES - longest_root_bytes(&layout) - 1;
        let (fits, does_not) = ("x".repeat(longest), "x".repeat(longest + 1));
        assert!(too_long(&layout, [Path::new(&fits)]).is_none());
        let (path, refusal) = too_long(&layout, [Path::new("a"), Path::new(&does_not)]).unwrap();
        assert_eq!(path, Path::new(&does_not));
        assert!(matches!(refusal, Refusal::LongPath { most, .. } if most == longest));
        let kept = layout.cow().kept_tree_of(u64::MAX, &"x".repeat(63).parse().unwrap());
        assert!(kept.join(&fits).as_os_str().len() < MOST_PATH_BYTES);
    }

    #[test]
    fn names_that_a_file_system_refuses_are_found_by_trying_and_nothing_of_that_stays() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = dir.path().join("names");
        let try_out = |folders: &[&str], files: &[&str]| {
            fs::create_dir(&scratch).unwrap();
            let folders: Vec<_> = folders.iter().map(PathBuf::from).collect();
            let files: Vec<_> = files.iter().map(Path::new).collect();
            let tried = super::try_out(&scratch, &folders, &files);
            assert!(tried.is_err() || !scratch.exists());
            disk::remove(&scratch).unwrap();
            tried
        };
        let long = "n".repeat(256);
        assert!(try_out(&["a", "a/b"], &["a/b/c", "d", "\u{e9}", "x\ny", "Readme", "rea%dme"]).is_ok());
        for (folders, files) in [(vec!["a", &long], vec![]), (vec!["a"], vec![&*long])] {
            let (path, refusal) = try_out(&folders, &files).unwrap_err();
            assert_eq!(path, Path::new(&long));
            assert!(matches!(refusal, Refusal::Step(_)));
        }
    }

    #[test]
    fn a_plain_name_is_one_that_every_file_system_takes() {
        for name in ["index.php", "Intro to PHP.pdf", "a_b-c+d@2x~1"] {
            assert!(is_plain(name.as_ref()), "{name}");
        }
        for name in ["a:b", "\u{e9}", "a\n", "ends.", "ends ", "a*", "a?", &"n".repeat(101)] {
            assert!(!is_plain(name.as_ref()), "{name}");
        }
    }
}
