//! The stream wrapper `branchfs://`.
//!
//! Each of PHP's calls comes in two halves, both inside [`shim::enter`]. The first finds the path beneath its branch and acts,
//! inside [`act`], where a panic is caught. The second tells PHP, which may end the request while it is told.
//!
//! An open file is handed to PHP as a stream of its own plain kind. So reading, locking, truncating, mapping and
//! selecting are PHP's own code.

mod change;
mod folder;
mod open;
mod report;

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::ffi::{
    _php_stream_wrapper, _php_stream_wrapper_ops, php_register_url_stream_wrapper, php_stream_context,
    php_stream_statbuf, php_stream_wrapper, php_unregister_url_stream_wrapper,
};
use forkpress_core::branchfs::{BranchPath, BranchUrl, FsError, Owner};

use crate::{FAILURE, SUCCESS, php, shim, site};

pub use folder::names;
pub use open::lock_next_open;
pub use report::act;

const SCHEME: &CStr = c"branchfs";

static OPERATIONS: Table<_php_stream_wrapper_ops> = Table(_php_stream_wrapper_ops {
    stream_opener: Some(open::open),
    stream_closer: None,
    stream_stat: None,
    url_stat: Some(url_stat),
    dir_opener: Some(folder::open),
    label: SCHEME.as_ptr(),
    unlink: Some(change::unlink),
    rename: Some(change::rename),
    stream_mkdir: Some(change::make_folder),
    stream_rmdir: Some(change::remove_folder),
    stream_metadata: Some(change::set_metadata),
});

static WRAPPER: Table<_php_stream_wrapper> =
    Table(_php_stream_wrapper { wops: &raw const OPERATIONS.0, abstract_: std::ptr::null_mut(), is_url: 0 });

/// A table that PHP reads.
#[repr(transparent)]
struct Table<T>(T);

// SAFETY: each pointer in a table is null or leads to what is static, and nobody writes to either.
unsafe impl<T> Sync for Table<T> {}

/// The wrapper that was registered, to be taken away again; null where none was.
static REGISTERED: AtomicPtr<php_stream_wrapper> = AtomicPtr::new(std::ptr::null_mut());

/// Registers the wrapper.
pub fn install() -> i32 {
    let wrapper = (&raw const WRAPPER.0).cast_mut();
    // SAFETY: the wrapper and what it points to live as long as this library, and PHP only reads them.
    let outcome = unsafe { php_register_url_stream_wrapper(SCHEME.as_ptr(), wrapper) };
    if outcome != SUCCESS {
        return FAILURE;
    }
    REGISTERED.store(wrapper, Ordering::Relaxed);
    SUCCESS
}

/// Takes the wrapper away.
pub fn remove() {
    if !REGISTERED.swap(std::ptr::null_mut(), Ordering::Relaxed).is_null() {
        // SAFETY: the scheme is a C string; the wrapper is ours.
        unsafe { php_unregister_url_stream_wrapper(SCHEME.as_ptr()) };
    }
}

/// Drops what a request that was cut short left behind.
pub fn end_of_request() {
    lock_next_open(false);
    folder::end_of_request();
}

/// The bytes of a URL that PHP passed.
///
/// # Safety
/// `url` is a C string that lives for `'a`.
unsafe fn bytes<'a>(url: *const c_char) -> &'a [u8] {
    // SAFETY: the caller's.
    unsafe { CStr::from_ptr(url) }.to_bytes()
}

/// A URL that must name something in a branch.
fn in_branch(url: &[u8]) -> Result<(Owner, BranchPath<'_>), FsError> {
    match BranchUrl::parse(url)? {
        BranchUrl::InBranch(owner, path) => Ok((owner, path)),
        BranchUrl::Branches => Err(FsError::BranchItself),
    }
}

/// What is at a URL.
pub fn stat(url: &[u8], follow: bool) -> Result<rustix::fs::Stat, FsError> {
    match BranchUrl::parse(url)? {
        BranchUrl::InBranch(owner, path) => {
            let branch = site::open(&owner)?;
            allowed(&branch, &path)?;
            branch.root.stat(&path, follow)
        }
        BranchUrl::Branches => Ok(rustix::fs::stat(site::branches_dir()?)?),
    }
}

/// Sees to it that `open_basedir`, where it is set, allows a path.
pub fn allowed(branch: &site::OpenBranch, path: &BranchPath<'_>) -> Result<(), FsError> {
    use std::os::unix::ffi::OsStrExt;

    // SAFETY: the function only looks.
    if !unsafe { php::branchfs_is_confined() } {
        return Ok(());
    }
    let mut real = branch.path.as_os_str().as_bytes().to_vec();
    real.extend(path.joined());
    real.push(0);
    // SAFETY: a C string, which the function only reads.
    if unsafe { php::branchfs_is_allowed(real.as_ptr().cast()) } {
        Ok(())
    } else {
        Err(FsError::System(rustix::io::Errno::PERM))
    }
}

unsafe extern "C" fn url_stat(
    _wrapper: *mut php_stream_wrapper,
    url: *const c_char,
    flags: c_int,
    answer: *mut php_stream_statbuf,
    _context: *mut php_stream_context,
) -> c_int {
    let has = |flag: u32| flags.cast_unsigned() & flag != 0;
    shim::enter(|| {
        // SAFETY: PHP passes a C string.
        match act(|| stat(unsafe { bytes(url) }, !has(php::PHP_STREAM_URL_STAT_LINK))) {
            Ok(stat) => {
                // SAFETY: PHP passes a buffer, whose only field is a `struct stat`.
                unsafe { fill(&mut *answer.cast::<libc::stat>(), &stat) };
                SUCCESS
            }
            Err(failed) => {
                if failed.is_refusal && !has(php::PHP_STREAM_URL_STAT_QUIET) {
                    failed.warn();
                }
                failed.set_errno();
                FAILURE
            }
        }
    })
    .unwrap_or(FAILURE)
}

/// Copies what the system said field by field: the two types need not have the same layout.
#[allow(
    clippy::useless_conversion,
    clippy::unnecessary_cast,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "what the types of the fields are depends on the system"
)]
fn fill(answer: &mut libc::stat, stat: &rustix::fs::Stat) {
    answer.st_dev = stat.st_dev as _;
    answer.st_ino = stat.st_ino as _;
    answer.st_mode = stat.st_mode as _;
    answer.st_nlink = stat.st_nlink as _;
    answer.st_uid = stat.st_uid;
    answer.st_gid = stat.st_gid;
    answer.st_rdev = stat.st_rdev as _;
    answer.st_size = stat.st_size as _;
    answer.st_blksize = stat.st_blksize as _;
    answer.st_blocks = stat.st_blocks as _;
    answer.st_atime = stat.st_atime as _;
    answer.st_atime_nsec = stat.st_atime_nsec as _;
    answer.st_mtime = stat.st_mtime as _;
    answer.st_mtime_nsec = stat.st_mtime_nsec as _;
    answer.st_ctime = stat.st_ctime as _;
    answer.st_ctime_nsec = stat.st_ctime_nsec as _;
}
