//! Changes names, folders and metadata. A URL gets the same messages from PHP's functions as a plain path.

use std::ffi::{c_char, c_int, c_long, c_void};

use ext_php_rs::ffi::{php_stream_context, php_stream_wrapper};
use forkpress_core::branchfs::{self, FsError};
use rustix::fs::{Mode, OFlags};

use super::report::Failed;
use super::{act, allowed, bytes, in_branch};
use crate::{php, shim, site};

/// What these operations return to PHP.
const DONE: c_int = 1;
const NOT_DONE: c_int = 0;

pub unsafe extern "C" fn unlink(
    _wrapper: *mut php_stream_wrapper,
    url: *const c_char,
    options: c_int,
    _context: *mut php_stream_context,
) -> c_int {
    // SAFETY: PHP passes a C string.
    told(
        || change(unsafe { bytes(url) }, |root, path| root.remove_file(path)),
        |failed| {
            if options.cast_unsigned() & php::REPORT_ERRORS != 0 {
                failed.warn_of(url);
            }
        },
    )
}

pub unsafe extern "C" fn remove_folder(
    _wrapper: *mut php_stream_wrapper,
    url: *const c_char,
    _options: c_int,
    _context: *mut php_stream_context,
) -> c_int {
    // SAFETY: PHP passes a C string.
    told(|| change(unsafe { bytes(url) }, |root, path| root.remove_folder(path)), |failed| failed.warn_of(url))
}

pub unsafe extern "C" fn make_folder(
    _wrapper: *mut php_stream_wrapper,
    url: *const c_char,
    mode: c_int,
    options: c_int,
    _context: *mut php_stream_context,
) -> c_int {
    let has = |flag: u32| options.cast_unsigned() & flag != 0;
    let mode = Mode::from_raw_mode(mode.cast_unsigned() as _);
    let parents = has(php::PHP_STREAM_MKDIR_RECURSIVE);
    shim::enter(|| {
        // SAFETY: PHP passes a C string.
        match change(unsafe { bytes(url) }, |root, path| root.make_folder(path, mode, parents)) {
            Ok(()) => DONE,
            Err(failed) => {
                if has(php::REPORT_ERRORS) {
                    failed.warn();
                }
                NOT_DONE
            }
        }
    })
    .unwrap_or(NOT_DONE)
}

pub unsafe extern "C" fn rename(
    _wrapper: *mut php_stream_wrapper,
    from: *const c_char,
    to: *const c_char,
    _options: c_int,
    _context: *mut php_stream_context,
) -> c_int {
    let rename = || {
        // SAFETY: PHP passes C strings.
        let (from, to) = unsafe { (in_branch(bytes(from))?, in_branch(bytes(to))?) };
        let (source, target) = (site::open_to_change(&from.0)?, site::open_to_change(&to.0)?);
        allowed(&source, &from.1)?;
        allowed(&target, &to.1)?;
        branchfs::rename((&source.root, &from.1), (&target.root, &to.1))
    };
    told(|| act(rename), |failed| failed.warn_of_both(from, to))
}

/// A change of metadata, with what PHP passed for it read.
#[derive(Clone, Copy)]
enum Metadata {
    Times(Option<(i64, i64)>),
    Mode(u32),
    User(u32),
    Group(u32),
}

pub unsafe extern "C" fn set_metadata(
    _wrapper: *mut php_stream_wrapper,
    url: *const c_char,
    option: c_int,
    value: *mut c_void,
    _context: *mut php_stream_context,
) -> c_int {
    shim::enter(|| {
        // SAFETY: PHP passes the value that belongs to the option, and a C string.
        let (Some(metadata), url) = (unsafe { metadata(option.cast_unsigned(), value) }, unsafe { bytes(url) }) else {
            return NOT_DONE;
        };
        let outcome = match metadata {
            Metadata::Times(times) => change(url, |root, path| touch(root, path, times)),
            Metadata::Mode(mode) => change(url, |root, path| root.set_mode(path, Mode::from_raw_mode(mode as _))),
            Metadata::User(user) => change(url, |root, path| root.set_owner(path, Some(user), None)),
            Metadata::Group(group) => change(url, |root, path| root.set_owner(path, None, Some(group))),
        };
        if let Err(failed) = outcome {
            let message = failed.message().to_bytes();
            match metadata {
                Metadata::Times(_) if exists(url) => warn(&[b"Utime failed: ", message]),
                Metadata::Times(_) => warn(&[b"Unable to create file ", url, b" because ", message]),
                _ => failed.warn(),
            }
            return NOT_DONE;
        }
        // SAFETY: with no file name, the function drops the stat cache of this process, which nothing of ours refers to.
        unsafe { php::php_clear_stat_cache(false, std::ptr::null(), 0) };
        DONE
    })
    .unwrap_or(NOT_DONE)
}

/// Reads what PHP passed; `None`, after a warning, for a user or a group that is not known.
unsafe fn metadata(option: u32, value: *mut c_void) -> Option<Metadata> {
    // SAFETY: for each option, the value is what PHP's own wrapper takes it for. This extension is for a PHP without threads, in
    // which nobody else asks for a user meanwhile.
    unsafe {
        match option {
            php::PHP_STREAM_META_TOUCH => {
                let times = value.cast::<libc::utimbuf>().as_ref();
                Some(Metadata::Times(times.map(|times| (times.actime, times.modtime))))
            }
            php::PHP_STREAM_META_ACCESS => Some(Metadata::Mode(low_bits(value))),
            php::PHP_STREAM_META_OWNER => Some(Metadata::User(low_bits(value))),
            php::PHP_STREAM_META_GROUP => Some(Metadata::Group(low_bits(value))),
            php::PHP_STREAM_META_OWNER_NAME => {
                let user = libc::getpwnam(value.cast()).as_ref().map(|user| Metadata::User(user.pw_uid));
                user.or_else(|| unknown(b"Unable to find uid for ", value))
            }
            php::PHP_STREAM_META_GROUP_NAME => {
                let group = libc::getgrnam(value.cast()).as_ref().map(|group| Metadata::Group(group.gr_gid));
                group.or_else(|| unknown(b"Unable to find gid for ", value))
            }
            _ => None,
        }
    }
}

/// A PHP integer, as the system takes it.
#[allow(clippy::cast_possible_truncation, reason = "PHP's own wrapper cuts it as well")]
unsafe fn low_bits(value: *mut c_void) -> u32 {
    // SAFETY: the caller passes a pointer to a `zend_long`.
    unsafe { *value.cast::<c_long>() as u32 }
}

unsafe fn unknown(message: &[u8], name: *mut c_void) -> Option<Metadata> {
    // SAFETY: the caller passes a C string.
    warn(&[message, unsafe { bytes(name.cast()) }]);
    None
}

/// Has PHP warn of what the parts say together.
fn warn(parts: &[&[u8]]) {
    shim::warn(&shim::c_string(&parts.concat()));
}

/// Sets the times of a file, and makes an empty one where there is none.
fn touch(root: &branchfs::Root, path: &branchfs::BranchPath<'_>, times: Option<(i64, i64)>) -> Result<(), FsError> {
    match root.set_times(path, times) {
        Err(FsError::System(_)) if root.access(path, branchfs::Access::EXISTS).is_err() => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
            root.open(path, flags, Mode::from_raw_mode(0o666))?;
            root.set_times(path, times)
        }
        outcome => outcome,
    }
}

/// Whether there is anything at a URL.
fn exists(url: &[u8]) -> bool {
    act(|| super::stat(url, true).map(drop)).is_ok()
}

/// Changes something in a branch in which that is allowed.
fn change(
    url: &[u8],
    action: impl FnOnce(&branchfs::Root, &branchfs::BranchPath<'_>) -> Result<(), FsError>,
) -> Result<(), Failed> {
    act(|| {
        let (owner, path) = in_branch(url)?;
        let branch = site::open_to_change(&owner)?;
        allowed(&branch, &path)?;
        action(&branch.root, &path)
    })
}

/// Changes what a path leads to, and tells PHP of a failure.
fn told(change: impl FnOnce() -> Result<(), Failed>, tell: impl FnOnce(&Failed)) -> c_int {
    shim::enter(|| match change() {
        Ok(()) => forget_paths(),
        Err(failed) => {
            tell(&failed);
            NOT_DONE
        }
    })
    .unwrap_or(NOT_DONE)
}

/// What PHP has cached of paths may not be so any more.
fn forget_paths() -> c_int {
    // SAFETY: with no file name, the function clears the caches of this process, which nothing of ours refers to.
    unsafe { php::php_clear_stat_cache(true, std::ptr::null(), 0) };
    DONE
}
