//! The steps that change the disk for a mutation. All of them go through `step`. It knows which step failed at which
//! path, and tests make one fail there.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;
use thiserror::Error;

use crate::config::FileView;
use crate::file::Replacement;
use crate::subvolume;
use forkpress_core::flock;
use forkpress_core::own;

/// A step that failed.
#[derive(Debug, Error)]
#[error("cannot {step} {path}")]
pub struct DiskError {
    /// What was tried, as a verb.
    pub step: &'static str,
    /// At which path.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl DiskError {
    /// The same as it is seen by whoever knows the folder `from` as `to`.
    pub(crate) fn seen(mut self, from: &Path, to: &Path) -> Self {
        if let Ok(inside) = self.path.strip_prefix(from) {
            self.path = to.join(inside);
        }
        self
    }
}

/// What a clone has in common with its original besides its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub(crate) mode: u32,
    pub(crate) owner: u32,
    pub(crate) group: u32,
    /// Seconds and nanoseconds.
    pub(crate) modified: (i64, i64),
}

impl Attributes {
    pub(crate) fn of(metadata: &fs::Metadata) -> Self {
        Self {
            mode: metadata.mode() & 0o7777,
            owner: metadata.uid(),
            group: metadata.gid(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    fn owner_and_group(&self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.owner)), Some(Gid::from_raw(self.group)))
    }

    fn times(&self) -> Timestamps {
        let (seconds, nanoseconds) = self.modified;
        Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds },
        }
    }
}

/// Does one step.
pub(crate) fn step<T>(step: &'static str, path: &Path, action: impl FnOnce() -> io::Result<T>) -> Result<T, DiskError> {
    #[cfg(feature = "faults")]
    let action = || fault::before(step, path).and_then(|()| action());
    action().map_err(|source| DiskError { step, path: path.to_owned(), source })
}

/// Stands for a step that a library does.
pub(crate) fn step_of_library(name: &'static str, path: &Path) -> Result<(), DiskError> {
    step(name, path, || Ok(()))
}

/// Lets steps fail, for tests. No release has this.
#[cfg(feature = "faults")]
pub mod fault {
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
    use std::sync::{Mutex, PoisonError};

    use rustix::io::Errno;
    use rustix::process::{Signal, getpid, kill_process};

    #[cfg(not(debug_assertions))]
    compile_error!("the feature `faults` is for tests: build without --release");

    /// What happens instead of a step.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Fault {
        /// The process is killed.
        Death,
        /// The step fails: a defect of the disk.
        Eio,
        /// The step fails: the disk is full.
        Enospc,
        /// The step fails: a signal interrupted it.
        Eintr,
    }

    /// How long a fault stays.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Lasting {
        /// It comes at one step.
        Once,
        /// It comes at each step from that one on.
        FromThen,
        /// It comes at that step, and at each later one that does the same at the same path.
        There,
        /// It comes at that step, and at each later one at the same path, whatever that does.
        AtPath,
    }

    struct Armed {
        /// The number of the step; zero: none.
        at: u64,
        fault: Fault,
        lasting: Lasting,
        /// What else fails, and where; an empty name is that of every step.
        there: Option<(String, PathBuf)>,
    }

    static STEPS: AtomicU64 = AtomicU64::new(0);
    static ARMED: Mutex<Armed> = Mutex::new(Armed { at: 0, fault: Fault::Death, lasting: Lasting::Once, there: None });

    /// Counts steps anew and lets the step `at`, from one on, fail; none where it is zero.
    pub fn arm(at: u64, fault: Fault, lasting: Lasting) {
        set(Armed { at, fault, lasting, there: None });
    }

    /// Counts steps anew and lets each fail that does this at this path, or each at this path where `step` is empty.
    pub fn arm_there(step: &str, path: &Path, fault: Fault) {
        set(Armed { at: 0, fault, lasting: Lasting::There, there: Some((step.to_owned(), path.to_owned())) });
    }

    fn set(armed: Armed) {
        *ARMED.lock().unwrap_or_else(PoisonError::into_inner) = armed;
        STEPS.store(0, SeqCst);
    }

    static NO_EXCHANGE: AtomicBool = AtomicBool::new(false);

    /// Makes every file system one that can't exchange two folders.
    pub fn refuse_exchange() {
        NO_EXCHANGE.store(true, SeqCst);
    }

    pub(super) fn refuses_exchange() -> bool {
        NO_EXCHANGE.load(SeqCst)
    }

    /// How many steps were begun since.
    #[must_use]
    pub fn steps() -> u64 {
        STEPS.load(SeqCst)
    }

    pub(super) fn before(step: &str, path: &Path) -> io::Result<()> {
        let number = STEPS.fetch_add(1, SeqCst) + 1;
        let mut armed = ARMED.lock().unwrap_or_else(PoisonError::into_inner);
        let is_there = armed.there.as_ref().is_some_and(|(name, place)| place == path && [step, ""].contains(&&**name));
        let is_past = armed.lasting == Lasting::FromThen && armed.at > 0 && number > armed.at;
        if number == armed.at {
            armed.there = match armed.lasting {
                Lasting::There => Some((step.to_owned(), path.to_owned())),
                Lasting::AtPath => Some((String::new(), path.to_owned())),
                Lasting::Once | Lasting::FromThen => None,
            };
        }
        if number != armed.at && !is_past && !is_there {
            return Ok(());
        }
        let fault = armed.fault;
        drop(armed);
        eprintln!("{fault:?} instead of step {number}: {step}\t{}", path.display());
        let errno = match fault {
            Fault::Death => {
                kill_process(getpid(), Signal::KILL)?;
                loop {
                    std::thread::park();
                }
            }
            Fault::Eio => Errno::IO,
            Fault::Enospc => Errno::NOSPC,
            Fault::Eintr => Errno::INTR,
        };
        Err(errno.into())
    }
}

/// Makes a folder that only its owner may use for now. One that exists will do, if its owner may use it.
pub(crate) fn create_folder(path: &Path) -> Result<(), DiskError> {
    step("make the folder", path, || match rustix::fs::mkdir(path, Mode::RWXU) {
        Err(Errno::EXIST) if fs::symlink_metadata(path)?.is_dir() => Ok(()),
        made => Ok(made?),
    })
}

/// An open folder, in which things are found by their names: the system need not look up the way there for each.
#[derive(Debug)]
pub(crate) struct OpenFolder {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl OpenFolder {
    /// Opens a folder.
    pub(crate) fn open(path: PathBuf) -> Result<Self, DiskError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = step("read the folder", &path, || Ok(rustix::fs::open(&path, flags, Mode::empty())?))?;
        Ok(Self { descriptor, path })
    }

    /// Opens a folder that may go meanwhile; none where it is gone or something else by now.
    pub(crate) fn open_if_there(path: PathBuf) -> Result<Option<Self>, DiskError> {
        match Self::open(path) {
            Err(error) if is_gone(&error.source) => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// What tells it from every other file and folder, by whatever name it is found.
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, reason = "the types differ between platforms")]
    pub(crate) fn device_and_inode(&self) -> Result<(u64, u64), DiskError> {
        let stat = step("look at", &self.path, || Ok(rustix::fs::fstat(&self.descriptor)?))?;
        Ok((stat.st_dev as u64, stat.st_ino as u64))
    }

    /// Does what [`open_file`] does with the file of this name.
    pub(crate) fn open_file(&self, name: &OsStr) -> Result<Option<File>, DiskError> {
        step("read", &self.path.join(name), || open_at(&self.descriptor, name.as_ref()))
    }

    /// Does what [`clone_file`] does under this name, and gives the clone its attributes.
    pub(crate) fn clone_file(
        &self,
        view: FileView,
        file: &File,
        name: &OsStr,
        attributes: &Attributes,
    ) -> Result<(), DiskError> {
        let path = self.path.join(name);
        // With that, most need no further change of their mode. It lets nobody in whom the original keeps out.
        let mode = Mode::from_bits_truncate((attributes.mode & 0o777) as rustix::fs::RawMode);
        let clone = step("clone to", &path, || clone_at(view, file, &self.descriptor, name.as_ref(), mode))?;
        step("set the attributes of", &path, || set_attributes_of(&clone, attributes))
    }

    /// Makes a symlink that says what another says, wherever that leads, and has its times and, where they may be given
    /// away, its owner and group.
    pub(crate) fn symlink(&self, target: &Path, name: &OsStr, attributes: &Attributes) -> Result<(), DiskError> {
        let path = self.path.join(name);
        step("make the symlink", &path, || Ok(rustix::fs::symlinkat(target, &self.descriptor, name)?))?;
        step("set the attributes of", &path, || set_symlink_attributes_at(&self.descriptor, name.as_ref(), attributes))
    }
}

/// Opens a regular file that may change or go meanwhile; none where it is gone or something else by now.
pub(crate) fn open_file(path: &Path) -> Result<Option<File>, DiskError> {
    step("read", path, || open_at(CWD, path))
}

/// Whether an error says that there is nothing, or not what was looked for, at a path.
fn is_gone(error: &io::Error) -> bool {
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn open_at(folder: impl AsFd, path: &Path) -> io::Result<Option<File>> {
    // NONBLOCK: a FIFO that took the file's place would block until somebody writes into it.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(folder, path, flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO) => Ok(None),
        Err(errno) => Err(errno.into()),
        Ok(file) => {
            let file = File::from(file);
            Ok(file.metadata()?.is_file().then_some(file))
        }
    }
}

/// Makes a file at `to`, where there is none, that has the bytes of `file` as they are now.
///
/// What can't share its blocks, because it lies on another file system or is set to be overwritten in place, is copied.
/// A clone that fails may leave a part of a file.
pub(crate) fn clone_file(view: FileView, file: &File, to: &Path) -> Result<(), DiskError> {
    step("clone to", to, || clone_at(view, file, CWD, to, Mode::RUSR | Mode::WUSR).map(drop))
}

fn clone_at(view: FileView, file: &File, folder: impl AsFd, path: &Path, mode: Mode) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let to = File::from(rustix::fs::openat(folder, path, flags, mode)?);
    if view.shares_blocks() {
        match share_blocks(file, &to) {
            Err(error) if cannot_share(&error) => copy_file(file, &to)?,
            shared => shared?,
        }
    } else {
        copy_file(file, &to)?;
    }
    Ok(to)
}

#[cfg(target_os = "linux")]
fn share_blocks(from: &File, to: &File) -> io::Result<()> {
    Ok(rustix::fs::ioctl_ficlone(to, from)?)
}

#[cfg(not(target_os = "linux"))]
fn share_blocks(from: &File, to: &File) -> io::Result<()> {
    reflink_copy::reflink_file(from, to)
}

fn cannot_share(error: &io::Error) -> bool {
    [Errno::XDEV, Errno::OPNOTSUPP, Errno::INVAL, Errno::NOTTY, Errno::NOSYS]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Copies a file as long as it is when the copy begins: one that grows faster than it is copied would never end.
fn copy_file(from: &File, to: &File) -> io::Result<()> {
    let metadata = from.metadata()?;
    const BLOCK_BYTES: u64 = 512;
    if metadata.blocks() * BLOCK_BYTES >= metadata.len() {
        return copy_range(from, to, 0, metadata.len());
    }
    copy_sparse(from, to, metadata.len())
}

fn copy_range(mut from: &File, mut to: &File, start: u64, bytes: u64) -> io::Result<()> {
    use io::{Read, Seek, SeekFrom};
    from.seek(SeekFrom::Start(start))?;
    to.seek(SeekFrom::Start(start))?;
    // std copies in the kernel where the kernel can (copy_file_range, sendfile).
    io::copy(&mut from.take(bytes), &mut to).map(drop)
}

/// Copies what a file has of data and leaves its holes holes.
#[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd"))]
fn copy_sparse(from: &File, to: &File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{SeekFrom, seek};
    let mut position = 0;
    while position < bytes {
        let start = match seek(from, SeekFrom::Data(position)) {
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => position,
            start => start?.min(bytes),
        };
        let end = match seek(from, SeekFrom::Hole(start)) {
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => bytes,
            end => end?.min(bytes),
        };
        copy_range(from, to, start, end - start)?;
        position = end;
    }
    to.set_len(bytes)
}

#[cfg(not(any(target_os = "linux", target_os = "macos", target_os = "freebsd")))]
fn copy_sparse(from: &File, to: &File, bytes: u64) -> io::Result<()> {
    copy_range(from, to, 0, bytes)
}

/// Whether two files have the same bytes.
pub(crate) fn have_same_bytes(one: &Path, other: &Path) -> io::Result<bool> {
    const BLOCK_BYTES: usize = 1 << 16;
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut here, mut there) = (Vec::new(), Vec::new());
    loop {
        here.clear();
        there.clear();
        one.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut here)?;
        other.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut there)?;
        if here != there {
            return Ok(false);
        }
        if here.len() < BLOCK_BYTES {
            return Ok(true);
        }
    }
}

/// Makes a symlink that says what another says, wherever that leads.
pub(crate) fn symlink(target: &Path, path: &Path) -> Result<(), DiskError> {
    step("make the symlink", path, || Ok(rustix::fs::symlink(target, path)?))
}

/// Gives a symlink what it has of attributes. Who may not give files away keeps it.
pub(crate) fn set_symlink_attributes(path: &Path, attributes: &Attributes) -> Result<(), DiskError> {
    step("set the attributes of", path, || set_symlink_attributes_at(CWD, path, attributes))
}

fn set_symlink_attributes_at(folder: impl AsFd, path: &Path, attributes: &Attributes) -> io::Result<()> {
    let now = rustix::fs::statat(&folder, path, AtFlags::SYMLINK_NOFOLLOW)?;
    if (now.st_uid, now.st_gid) != (attributes.owner, attributes.group) {
        let (owner, group) = attributes.owner_and_group();
        given_away(rustix::fs::chownat(&folder, path, owner, group, AtFlags::SYMLINK_NOFOLLOW))?;
    }
    Ok(rustix::fs::utimensat(&folder, path, &attributes.times(), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Gives the file at `original` a second name.
pub(crate) fn hard_link(original: &Path, path: &Path) -> Result<(), DiskError> {
    step("make the hard link", path, || fs::hard_link(original, path))
}

/// Gives a file or a folder, which its owner may read, its attributes. Who may not give files away keeps them.
pub(crate) fn set_attributes(path: &Path, attributes: &Attributes) -> Result<(), DiskError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    step("set the attributes of", path, || {
        set_attributes_of(&File::from(rustix::fs::open(path, flags, Mode::empty())?), attributes)
    })
}

fn set_attributes_of(file: &File, attributes: &Attributes) -> io::Result<()> {
    // To look is cheaper than to set what is set already, which is a transaction of the file system.
    let now = file.metadata()?;
    let mut mode = now.mode() & 0o7777;
    if (now.uid(), now.gid()) != (attributes.owner, attributes.group) {
        let (owner, group) = attributes.owner_and_group();
        given_away(rustix::fs::fchown(file, owner, group))?;
        // A change of owner clears the set-id bits.
        mode = file.metadata()?.mode() & 0o7777;
    }
    if mode != attributes.mode {
        file.set_permissions(fs::Permissions::from_mode(attributes.mode))?;
    }
    Ok(rustix::fs::futimens(file, &attributes.times())?)
}

/// What came of giving a file away, which not everybody may do.
fn given_away(result: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match result {
        Err(Errno::PERM | Errno::INVAL) => Ok(()),
        changed => changed,
    }
}

/// Lets nobody but its owner use a folder for a while.
pub(crate) fn close_to_others(path: &Path) -> Result<(), DiskError> {
    step("close the folder", path, || fs::set_permissions(path, fs::Permissions::from_mode(0o700)))
}

/// Lets the owner of a folder change what is in it, for a while.
pub(crate) fn open_up(path: &Path) -> Result<(), DiskError> {
    step("open up the folder", path, || {
        let mode = fs::symlink_metadata(path)?.mode();
        if mode & 0o700 == 0o700 {
            return Ok(());
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777 | 0o700))
    })
}

/// Removes whatever is at `path`, with all that is in it; nothing there is fine, and so is another process at the same.
pub(crate) fn remove(path: &Path) -> Result<(), DiskError> {
    step("remove", path, || match remove_all(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(()),
        removed => removed,
    })
}

fn remove_all(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return fs::remove_file(path);
    }
    // Where it can't be destroyed as a whole, it is removed like any folder, and that tells why it can't be.
    if subvolume::id(path, &metadata).is_ok_and(|id| id.is_some()) && subvolume::destroy(path).is_ok() {
        return Ok(());
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            for entry in walkdir::WalkDir::new(path) {
                let entry = entry?;
                if entry.file_type().is_dir() {
                    // The walk opens a folder after it was handed out.
                    fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o700))?;
                }
            }
            fs::remove_dir_all(path)
        }
        removed => removed,
    }
}

/// Locks a folder exclusively until the file is dropped; waits while another process has it. No child may be started meanwhile:
/// it would share the file.
pub(crate) fn lock_folder(path: &Path) -> Result<File, DiskError> {
    let folder = step("open", path, || own::open(path))?;
    step("lock", path, || flock::lock(&folder, flock::Mode::Exclusive))?;
    Ok(folder)
}

/// The same without a wait: none where another process has it.
pub(crate) fn try_lock_folder(path: &Path) -> Result<Option<File>, DiskError> {
    let folder = step("open", path, || own::open(path))?;
    let is_locked = step("lock", path, || flock::try_lock(&folder, flock::Mode::Exclusive))?;
    Ok(is_locked.then_some(folder))
}

/// All that is in a folder, which is no symlink. A folder that is not there is empty.
pub(crate) fn list(path: &Path) -> Result<Vec<PathBuf>, DiskError> {
    step("read the folder", path, || match own::open(path).and_then(|_| fs::read_dir(path)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    })
}

/// Moves what is at `path`, if anything is, into the folder `trash`, under a name that is free there.
pub(crate) fn discard(path: &Path, trash: &Path) -> Result<(), DiskError> {
    if inode(path)?.is_none() {
        return Ok(());
    }
    // As many names and one more can't all be taken; some may be taken just now.
    const RACES: usize = 100;
    let count = list(trash)?.len();
    let mut discarded = Ok(());
    for number in count..=2 * count + RACES {
        discarded = rename(path, &trash.join(number.to_string()));
        match &discarded {
            Err(error) if error.source.kind() == ErrorKind::AlreadyExists => {}
            _ => break,
        }
    }
    discarded
}

/// The bytes of the file system of `path` that whoever asks may still use, and all that it has.
pub(crate) fn free_and_total_bytes(path: &Path) -> Result<(u64, u64), DiskError> {
    step("look at the file system of", path, || {
        let found = rustix::fs::statvfs(path)?;
        Ok((found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize)))
    })
}

/// Renames to a path where nothing is.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), DiskError> {
    step("rename to", to, || match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // The file system does not know the flag. What is renamed is always a folder, which replaces no file and, at
        // worst, an empty folder.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match fs::symlink_metadata(to) {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        renamed => Ok(renamed?),
    })
}

/// Renames a file or a symlink to a path, in place of a file or a symlink there; false where that is on another file system
/// or in another subvolume.
pub(crate) fn rename_over(from: &Path, to: &Path) -> Result<bool, DiskError> {
    step("rename to", to, || match rustix::fs::rename(from, to) {
        Err(Errno::XDEV) => Ok(false),
        renamed => Ok(renamed.map(|()| true)?),
    })
}

/// Removes a file or a symlink; nothing there is fine.
pub(crate) fn unlink(path: &Path) -> Result<(), DiskError> {
    step("remove", path, || match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    })
}

/// Removes a folder and the folders in it, unless there is a file in one of them.
pub(crate) fn remove_empty_folders(path: &Path) -> Result<(), DiskError> {
    for inner in list(path)? {
        remove_empty_folders(&inner)?;
    }
    step("remove the folder", path, || fs::remove_dir(path))
}

/// Exchanges what is at two paths in one step; false where the file system can't, or there are two, or nothing is at one.
pub(crate) fn exchange(one: &Path, other: &Path) -> Result<bool, DiskError> {
    #[cfg(feature = "faults")]
    if fault::refuses_exchange() {
        return Ok(false);
    }
    step("exchange", other, || match rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::XDEV | Errno::NOENT) => Ok(false),
        exchanged => Ok(exchanged.map(|()| true)?),
    })
}

/// Makes a file's bytes and attributes, or a folder's entries, durable.
pub(crate) fn sync(path: &Path) -> Result<(), DiskError> {
    match step("sync", path, || File::open(path)?.sync_all()) {
        // Who may not read it can't sync it alone: a sync of the folder around it has its attributes, not its entries.
        Err(error) if error.source.kind() == ErrorKind::PermissionDenied => sync_around(path, error),
        synced => synced,
    }
}

/// Makes all of the file system durable that something lies on which can't be opened; `error` says why it can't.
fn sync_around(path: &Path, error: DiskError) -> Result<(), DiskError> {
    let device = |path: &Path| step("look at", path, || Ok(fs::symlink_metadata(path)?.dev()));
    let own = device(path)?;
    for folder in path.ancestors().skip(1) {
        if device(folder)? != own {
            break;
        }
        match sync_file_system(folder) {
            Err(error) if error.source.kind() == ErrorKind::PermissionDenied => {}
            synced => return synced,
        }
    }
    Err(error)
}

/// Makes all that was written to the file system of `path` durable.
#[cfg(target_os = "linux")]
pub(crate) fn sync_file_system(path: &Path) -> Result<(), DiskError> {
    step("sync the file system of", path, || Ok(rustix::fs::syncfs(File::open(path)?)?))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn sync_file_system(_path: &Path) -> Result<(), DiskError> {
    rustix::fs::sync();
    Ok(())
}

/// Replaces a small file whole and durably.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    place(prepare_replacement(path, bytes)?, path)?;
    path.parent().map_or(Ok(()), sync)
}

/// Does all of [`replace`] that needs space on the disk.
pub(crate) fn prepare_replacement(path: &Path, bytes: &[u8]) -> Result<Replacement, DiskError> {
    step("write", path, || Replacement::prepare(path, bytes))
}

/// Does the same, but leaves it to the caller to sync the file before it is put in its place.
pub(crate) fn prepare_replacement_unsynced(path: &Path, bytes: &[u8]) -> Result<Replacement, DiskError> {
    step("write", path, || Replacement::prepare_unsynced(path, bytes))
}

/// Puts a prepared file in its place at `path`. A power cut may take that back until the folder is synced.
pub(crate) fn place(replacement: Replacement, path: &Path) -> Result<(), DiskError> {
    step("replace", path, || replacement.place())
}

/// The inode of what is at `path`, a symlink not followed; none where nothing is.
pub(crate) fn inode(path: &Path) -> Result<Option<u64>, DiskError> {
    step("look at", path, || Ok(metadata(path)?.map(|metadata| metadata.ino())))
}

/// What tells the folder at `path` from every other folder of its file system, wherever it is moved and whatever is
/// mounted when; none where there is nothing. It is its inode, but of a subvolume, all of which have one and the same, a
/// number made of its id that is no inode's.
pub(crate) fn identity(path: &Path) -> Result<Option<u64>, DiskError> {
    /// Higher than inodes get, and still a positive number where numbers have a sign.
    const SUBVOLUME: u64 = 1 << 62;
    step("look at", path, || match metadata(path)? {
        None => Ok(None),
        Some(metadata) => {
            let subvolume = subvolume::id(path, &metadata)?;
            Ok(Some(subvolume.map_or(metadata.ino(), |id| SUBVOLUME | id)))
        }
    })
}

fn metadata(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        metadata => metadata.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_copy_keeps_holes() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let file = File::create_new(&from).unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(b"head", 0).unwrap();
        file.write_all_at(b"middle", 32 << 20).unwrap();
        copy_file(&File::open(&from).unwrap(), &File::create_new(&to).unwrap()).unwrap();
        assert!(fs::read(&from).unwrap() == fs::read(&to).unwrap());
        assert!(fs::metadata(&to).unwrap().blocks() * 512 < 1 << 20);
    }

    #[test]
    fn a_rename_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir(&from).unwrap();
        fs::create_dir(&to).unwrap();
        assert_eq!(rename(&from, &to).unwrap_err().source.kind(), ErrorKind::AlreadyExists);
        assert!(from.exists());
    }

    /// The file system around is synced instead, but not one on which nothing can be opened.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_folder_that_can_t_be_read_is_not_taken_for_one_that_is_durable() {
        use rustix::thread::set_thread_res_uid;
        let dir = tempfile::tempdir().unwrap();
        let mount = |arguments: &[&str]| {
            std::process::Command::new(arguments[0]).args(&arguments[1..]).arg(dir.path()).status()
        };
        if !mount(&["mount", "-t", "tmpfs", "-o", "mode=0711", "tmpfs"]).is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: this test may not mount");
            return;
        }
        let closed = dir.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o311)).unwrap();
        let sync_as_another = || {
            std::thread::scope(|scope| {
                let other = scope.spawn(|| {
                    set_thread_res_uid(None, Uid::from_raw(65534), None).unwrap();
                    sync(&closed)
                });
                other.join().unwrap()
            })
        };
        let refused = sync_as_another();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let synced = sync_as_another();
        assert!(mount(&["umount", "-l"]).unwrap().success());
        assert_eq!(refused.unwrap_err().source.kind(), ErrorKind::PermissionDenied);
        synced.unwrap();
    }

    #[test]
    fn a_tree_with_closed_folders_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("closed/inner")).unwrap();
        fs::write(tree.join("closed/inner/file"), "").unwrap();
        fs::set_permissions(tree.join("closed/inner"), fs::Permissions::from_mode(0o555)).unwrap();
        fs::set_permissions(tree.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
        remove(&tree).unwrap();
        remove(&tree).unwrap();
        assert!(!tree.exists());
    }
}
