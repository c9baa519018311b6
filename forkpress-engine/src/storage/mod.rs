//! The storage that ForkPress manages: images of branches, which it makes, mounts, unmounts, trims and grows.
//!
//! A site whose own volume can't clone files keeps its trees in an image of a file system that can. The image is
//! mounted once for all processes: when a server starts or somebody asks for it, until somebody detaches it. While it
//! is detached no branch can be looked at, changed or served.
//!
//! Attaching, detaching, compacting, growing and converting need a [`Lifecycle`], so only one of them happens at a
//! time, and none while a server starts. What takes the image away also takes `mutation.lock` and keeps requests out.
//! Every step is safe to repeat: after a crash the next attempt finds what is done and does the rest.

mod mounted;
mod program;
mod sparsebundle;
mod users;
mod xfs_loop;

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::disk::{self, DiskError, step};
use crate::site::{Site, SiteError, create_folders};
use forkpress_core::advice::Advice;
use forkpress_core::deadline::Deadline;
use forkpress_core::layout::{ImageKind, ImageLayout, SiteLayout};
use forkpress_core::lock::{Lifecycle, LockError, Mutation, Patience};
use forkpress_core::name::BranchName;

pub use mounted::is_attached;
pub use users::{User, users};

use program::run;

/// How long to wait between two attempts to unmount what is in use.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a process of our own in the background is waited for, where nobody waits for us.
const PASSING: Duration = Duration::from_secs(15);

/// How long anybody else is waited for: a program that was killed needs a moment to end.
const ENDING: Duration = Duration::from_secs(2);

/// How often an image is unmounted that is in use by nobody.
const ATTEMPTS: u32 = 20;

/// Why the storage can't be had, or not be taken away.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The branches are in folders of the site.
    #[error("the branches of this site are in no image")]
    NoImage,
    /// The image is not there.
    #[error("the image {} is gone", path.display())]
    ImageGone {
        /// Where it should be.
        path: std::path::PathBuf,
    },
    /// Something else is mounted where the image is to be.
    #[error("what is mounted at {} is not the image of this site", mount.display())]
    Foreign {
        /// Where.
        mount: std::path::PathBuf,
    },
    /// Programs have files in it open.
    #[error("the storage is in use{}", list_of(users))]
    Busy {
        /// Who, as far as the system tells.
        users: Vec<User>,
    },
    /// The image is larger already.
    #[error("the image has {bytes} bytes already")]
    NotSmaller {
        /// How large it is.
        bytes: u64,
    },
    /// This kind of image can't do that.
    #[error("an image of this kind cannot be {what}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },
    /// A lock was not had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A step failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The site can't be opened again.
    #[error("cannot open the site again")]
    Open(#[source] SiteError),
    /// A folder of the site can't be made.
    #[error(transparent)]
    Site(#[from] SiteError),
}

impl Advice for StorageError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoImage => Some("forkpress storage status".to_owned()),
            Self::Foreign { mount } => Some(format!("umount {}", mount.display())),
            Self::Busy { .. } => Some("end these programs, or add --force to storage detach".to_owned()),
            Self::NotSmaller { .. } => {
                Some("an image can't be made smaller; forkpress storage compact gives unused space back".to_owned())
            }
            Self::Lock(error) => error.hint(),
            _ => None,
        }
    }

    fn is_passing(&self) -> bool {
        matches!(self, Self::Lock(error) if error.is_passing())
    }
}

impl StorageError {
    /// Whether to try once more, so long after the first attempt was refused: until the deadline where only processes of our own,
    /// in the background, have anything open, which will soon have ended; for a moment where anybody else has, who may be ending.
    fn may_pass(&self, deadline: Deadline, waited: Duration) -> bool {
        match self {
            Self::Busy { users } if !users.is_empty() => {
                !deadline.has_passed() && (waited < ENDING || users.iter().all(User::is_passing))
            }
            _ => false,
        }
    }
}

fn list_of(users: &[User]) -> String {
    let words: Vec<_> = users.iter().map(ToString::to_string).collect();
    if words.is_empty() { String::new() } else { format!(" by {}", words.join("; ")) }
}

/// What compacting did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// What the image took of the disk before.
    pub before_bytes: u64,
    /// What it takes now.
    pub after_bytes: u64,
}

/// How much an image holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageUsage {
    /// The most that it can hold; none where that can't be told while it is detached.
    pub size_bytes: Option<u64>,
    /// What it takes of the disk that it lies on.
    pub allocated_bytes: u64,
    /// What its file system has in use, its own bookkeeping included; none while it is detached.
    pub used_bytes: Option<u64>,
}

impl ImageUsage {
    /// What compacting would give back to the disk, or a little more; none while the image is detached.
    #[must_use]
    pub fn reclaimable_bytes(&self) -> Option<u64> {
        self.used_bytes.map(|used| self.allocated_bytes.saturating_sub(used))
    }

    /// Measures an image.
    ///
    /// # Errors
    /// [`DiskError`] when the image can't be looked at.
    pub fn of(image: &ImageLayout) -> Result<Self, DiskError> {
        let allocated_bytes = allocated_bytes(&image.image())?;
        let is_attached = is_attached(image)?;
        let size_bytes = match image.kind() {
            ImageKind::XfsLoop => Some(xfs_loop::size_bytes(image)?),
            ImageKind::Sparsebundle => sparsebundle::size_bytes(image)?,
        };
        let used_bytes = if is_attached { Some(used_bytes(&image.mount())?) } else { None };
        Ok(Self { size_bytes, allocated_bytes, used_bytes })
    }
}

fn used_bytes(mount: &Path) -> Result<u64, DiskError> {
    step("look at the file system of", mount, || {
        let found = rustix::fs::statvfs(mount)?;
        Ok(found.f_blocks.saturating_sub(found.f_bfree).saturating_mul(found.f_frsize))
    })
}

/// What a file, or a folder with all that is in it, takes of the disk.
fn allocated_bytes(path: &Path) -> Result<u64, DiskError> {
    const BLOCK_BYTES: u64 = 512;
    step("measure", path, || {
        walkdir::WalkDir::new(path)
            .into_iter()
            .try_fold(0, |sum, entry| Ok(sum + entry?.metadata()?.blocks() * BLOCK_BYTES))
    })
}

/// How large an image is made where nobody says: nine tenths of what is free on the disk, of which it takes only what it
/// needs.
///
/// # Errors
/// [`DiskError`] when the disk does not tell what is free.
pub fn default_size_bytes(layout: &SiteLayout) -> Result<u64, DiskError> {
    const LEAST: u64 = 512 << 20;
    const MOST: u64 = 1 << 40;
    const UNIT: u64 = 1 << 20;
    let (free_bytes, _) = disk::free_and_total_bytes(layout.public_root())?;
    Ok((free_bytes / 10 * 9 / UNIT * UNIT).clamp(LEAST, MOST))
}

/// Makes the image of a site that has none, and mounts it. One that is there stays.
///
/// # Errors
/// [`StorageError::NoImage`] when the site has none by its settings; [`StorageError::Disk`] when a program of the
/// system fails. What was made is then made use of, or removed, by the next attempt.
pub fn make(layout: &SiteLayout, size_bytes: u64) -> Result<(), StorageError> {
    let image = layout.image().ok_or(StorageError::NoImage)?;
    step("make the folder", image.dir(), || fs::create_dir_all(image.dir()))?;
    disk::remove(&image.new_image())?;
    if disk::inode(&image.image())?.is_none() {
        match image.kind() {
            ImageKind::Sparsebundle => sparsebundle::make(&image.new_image(), size_bytes)?,
            ImageKind::XfsLoop => xfs_loop::make(&image.new_image(), size_bytes)?,
        }
        disk::rename(&image.new_image(), &image.image())?;
        disk::sync(image.dir())?;
    }
    mount(layout, image).map(drop)
}

/// Mounts the image of a site, if it has one that is not mounted, and says whether it did.
///
/// # Errors
/// [`StorageError::ImageGone`] when it is not there; [`StorageError::Foreign`] when something else is mounted in its
/// place; [`StorageError::Disk`] when a program of the system fails.
pub fn attach(site: &Site, _lifecycle: &Lifecycle) -> Result<bool, StorageError> {
    match site.layout.image() {
        None => Ok(false),
        Some(image) => mount(&site.layout, image),
    }
}

/// Whether what is mounted where an image is to be is the image, and not what somebody else mounted there.
fn is_own(image: &ImageLayout) -> Result<bool, DiskError> {
    match image.kind() {
        ImageKind::Sparsebundle => sparsebundle::is_own(image),
        ImageKind::XfsLoop => xfs_loop::is_own(image),
    }
}

/// Mounts an image and makes the folders in it that a site needs.
pub(crate) fn mount(layout: &SiteLayout, image: &ImageLayout) -> Result<bool, StorageError> {
    let is_new = !is_attached(image)?;
    if is_new {
        if disk::inode(&image.image())?.is_none() {
            return Err(StorageError::ImageGone { path: image.image() });
        }
        step("make the folder", &image.mount(), || fs::create_dir_all(image.mount()))?;
        match image.kind() {
            ImageKind::Sparsebundle => sparsebundle::attach(image)?,
            ImageKind::XfsLoop => xfs_loop::attach(image)?,
        }
    } else if !is_own(image)? {
        return Err(StorageError::Foreign { mount: image.mount() });
    }
    step("make the folder", &image.branches_dir(), || fs::create_dir_all(image.branches_dir()))?;
    create_folders(layout)?;
    Ok(is_new)
}

/// Unmounts the image of a site, once no mutation and no request runs, and says whether it was mounted.
///
/// With `force` it goes even where programs have files in it open: those files stay readable for them, or fail.
///
/// # Errors
/// [`StorageError::NoImage`] when the site has none; [`StorageError::Lock`] when requests or another mutation go on;
/// [`StorageError::Busy`] when programs have files open: it names them; [`StorageError::Disk`] when a program of the
/// system fails.
pub fn detach(
    site: &Site,
    lifecycle: &Lifecycle,
    force: bool,
    patience: &mut Patience<'_>,
) -> Result<bool, StorageError> {
    let image = site.layout.image().ok_or(StorageError::NoImage)?;
    if !is_attached(image)? {
        return Ok(false);
    }
    let mut mutation = lifecycle.mutation(site.layout.cow(), "storage detach", patience)?;
    unmount_in_peace(image, force, &mut mutation, patience)?;
    Ok(true)
}

/// Unmounts while no request runs.
fn unmount_in_peace(
    image: &ImageLayout,
    force: bool,
    mutation: &mut Mutation<'_>,
    patience: &mut Patience<'_>,
) -> Result<(), StorageError> {
    let mut refused = None;
    loop {
        let publish = mutation.publish_widely(patience)?;
        let unmounted = unmount(image, force);
        drop(publish);
        match unmounted {
            Err(error) if error.may_pass(patience.deadline(), since(&mut refused)) => thread::sleep(PAUSE),
            unmounted => return unmounted,
        }
    }
}

/// How long ago something happened for the first time; it happens now if it never did.
fn since(first: &mut Option<Instant>) -> Duration {
    first.get_or_insert_with(Instant::now).elapsed()
}

/// Unmounts an image, if it is mounted.
pub(crate) fn unmount(image: &ImageLayout, force: bool) -> Result<(), StorageError> {
    if !is_attached(image)? {
        return Ok(());
    }
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let unmounted = match image.kind() {
            ImageKind::Sparsebundle => sparsebundle::detach(image, force),
            ImageKind::XfsLoop => xfs_loop::detach(image, force),
        };
        match unmounted {
            Err(error) if error.source.kind() == ErrorKind::ResourceBusy => {
                let users = users(&image.mount());
                // Where nobody has anything open, somebody had it a moment ago: a process that ended just now, or one that
                // was forked and has not become its program yet.
                if !users.is_empty() || attempts.next().is_none() {
                    return Err(StorageError::Busy { users });
                }
                thread::sleep(PAUSE);
            }
            unmounted => return Ok(unmounted?),
        }
    }
}

/// Unmounts an image that its site does not use.
///
/// # Errors
/// [`StorageError::Busy`] when programs have files in it open; [`StorageError::Disk`] when a program of the system
/// fails.
pub fn unmount_unused(image: &ImageLayout) -> Result<(), StorageError> {
    unmount(image, false)
}

/// The loop devices of an image, mounted or not; none where the system does not tell.
#[must_use]
pub fn loop_devices(image: &ImageLayout) -> Vec<String> {
    let file = image.image();
    let said = run("losetup", &["-n".as_ref(), "-O".as_ref(), "NAME".as_ref(), "-j".as_ref(), file.as_ref()]);
    said.unwrap_or_default().lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// Frees a loop device that nothing uses.
///
/// # Errors
/// [`DiskError`] when `losetup` fails.
pub fn free_loop_device(device: &str) -> Result<(), DiskError> {
    step("free", Path::new(device), || run("losetup", &["-d".as_ref(), device.as_ref()]).map(drop))
}

/// Unmounts and removes the image of a site that is not to be, if there is one.
///
/// # Errors
/// [`StorageError::Busy`] when programs have files in it open; [`StorageError::Disk`] when a program of the system
/// fails, or a file can't be removed.
pub fn remove(image: &ImageLayout) -> Result<(), StorageError> {
    let (deadline, mut refused) = (Deadline::after(PASSING), None);
    loop {
        match unmount(image, false) {
            Err(error) if error.may_pass(deadline, since(&mut refused)) => thread::sleep(PAUSE),
            unmounted => break unmounted?,
        }
    }
    Ok(disk::remove(image.dir())?)
}

/// Gives back to the disk what the image of a site does not need, and leaves it detached.
///
/// # Errors
/// As [`detach`].
pub fn compact(site: &Site, lifecycle: &Lifecycle, patience: &mut Patience<'_>) -> Result<Compacted, StorageError> {
    let image = site.layout.image().ok_or(StorageError::NoImage)?;
    let mut mutation = lifecycle.mutation(site.layout.cow(), "storage compact", patience)?;
    let before_bytes = allocated_bytes(&image.image())?;
    // What was deleted shortly before is free for sure after an unmount.
    unmount_in_peace(image, false, &mut mutation, patience)?;
    match image.kind() {
        ImageKind::Sparsebundle => sparsebundle::compact(image)?,
        ImageKind::XfsLoop => {
            let _publish = mutation.publish_widely(patience)?;
            mount(&site.layout, image)?;
            let trimmed = xfs_loop::trim(image);
            unmount(image, false)?;
            trimmed?;
        }
    }
    Ok(Compacted { before_bytes, after_bytes: allocated_bytes(&image.image())? })
}

/// Makes the image of a site larger, while it is in use.
///
/// # Errors
/// [`StorageError::NoImage`] when the site has none; [`StorageError::Unsupported`] when it is of a kind that can't
/// grow; [`StorageError::NotSmaller`] when it is larger already; [`StorageError::Disk`] when a program of the system
/// fails.
pub fn grow(site: &Site, _lifecycle: &Lifecycle, size_bytes: u64) -> Result<(), StorageError> {
    let image = site.layout.image().ok_or(StorageError::NoImage)?;
    match image.kind() {
        ImageKind::Sparsebundle => Err(StorageError::Unsupported { what: "grown" }),
        ImageKind::XfsLoop => {
            let bytes = xfs_loop::size_bytes(image)?;
            if size_bytes < bytes {
                return Err(StorageError::NotSmaller { bytes });
            }
            Ok(xfs_loop::grow(image, size_bytes)?)
        }
    }
}

/// What stands where a branch's link is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The link.
    Right,
    /// Nothing.
    Missing,
    /// Something else.
    Foreign,
}

/// Looks at the link to a branch; none where branches have none.
///
/// # Errors
/// [`DiskError`] when the system does not tell.
pub fn look_at_link(layout: &SiteLayout, name: &BranchName) -> Result<Option<Link>, DiskError> {
    let Some(target) = layout.link_target(name) else { return Ok(None) };
    let link = layout.public_branch(name);
    step("look at", &link, || match fs::read_link(&link) {
        Ok(found) if found == target => Ok(Some(Link::Right)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(Link::Missing)),
        Err(error) if error.kind() != ErrorKind::InvalidInput => Err(error),
        _ => Ok(Some(Link::Foreign)),
    })
}

/// Makes the link to a branch or, where it is to be none, takes it away, durably. What is no link of ours stays.
pub(crate) fn link(layout: &SiteLayout, name: &BranchName, is_branch: bool) -> Result<(), DiskError> {
    let link = layout.public_branch(name);
    match (is_branch, look_at_link(layout, name)?, layout.link_target(name)) {
        (true, Some(Link::Missing), Some(target)) => disk::symlink(&target, &link)?,
        (false, Some(Link::Right), _) => disk::unlink(&link)?,
        _ => return Ok(()),
    }
    disk::sync(layout.public_root())
}

/// Makes the link to a branch anew where it is missing, and says whether it was.
///
/// # Errors
/// [`DiskError`] when the link can't be looked at or made.
pub fn mend_link(layout: &SiteLayout, name: &BranchName) -> Result<bool, DiskError> {
    let is_missing = look_at_link(layout, name)? == Some(Link::Missing);
    link(layout, name, true)?;
    Ok(is_missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_are_waited_for_as_long_as_asked_others_for_a_moment_and_nobody_not_at_all() {
        let is_waited_for = |commands: &[&str], deadline, waited| {
            let user = |command: &&str| User { pid: 1, command: (*command).to_owned(), files: Vec::new() };
            StorageError::Busy { users: commands.iter().map(user).collect() }.may_pass(deadline, waited)
        };
        const OURS: &str = "/usr/bin/forkpress __clean /site/.forkpress";
        assert!(is_waited_for(&[OURS], Deadline::NEVER, ENDING));
        assert!(!is_waited_for(&[OURS], Deadline::NOW, Duration::ZERO));
        assert!(is_waited_for(&["php-fpm", OURS], Deadline::NEVER, Duration::ZERO));
        assert!(!is_waited_for(&["php-fpm", OURS], Deadline::NEVER, ENDING));
        assert!(!is_waited_for(&["php-fpm"], Deadline::NOW, Duration::ZERO));
        assert!(!is_waited_for(&[], Deadline::NEVER, Duration::ZERO), "that was tried for long enough");
        assert!(!StorageError::NoImage.may_pass(Deadline::NEVER, Duration::ZERO));
    }
}
