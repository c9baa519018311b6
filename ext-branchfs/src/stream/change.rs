//! Changes names, folders and metadata. A URL gets the same messages from PHP's functions as a plain path.

use std::ffi::{CStr, c_char, c_int, c_long, c_void};

use ext_php_rs::ffi::{php_error_docref, php_stream_context, php_stream_wrapper};
use forkpress_core::branchfs::{self, FsError};
use rustix::fs::{Mode, OFlags};

use super::report::{Failed, WARNING};
use super::{act, allowed, bytes, in_branch};
use crate::{php, site};

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
    match change(unsafe { bytes(url) }, |root, path| root.remove_file(path)) {
        Ok(()) => forget_paths(),
        Err(failed) => {
            if options.cast_unsigned() & php::REPORT_ERRORS != 0 {
                failed.warn_of(url);
            }
            NOT_DONE
        }
    }
}

pub unsafe extern "C" fn remove_folder(
    _wrapper: *mut php_stream_wrapper,
    url: *const c_char,
    _options: c_int,
    _context: *mut php_stream_context,
) -> c_int {
    // SAFETY: PHP passes a C string.
    match change(unsafe { bytes(url) }, |root, path| root.remove_folder(path)) {
        Ok(()) => forget_paths(),
        Err(failed) => {
            failed.warn_of(url);
            NOT_DONE
        }
    }
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
}

pub unsafe extern "C" fn rename(
    _wrapper: *mut php_stream_wrapper,
    from: *const c_char,
    to: *const c_char,
    _options: c_int,
    _context: *mut php_stream_context,
) -> c_int {
    let outcome = act(|| {
        // SAFETY: PHP passes C strings.
        let (from, to) = unsafe { (in_branch(bytes(from))?, in_branch(bytes(to))?) };
        let (source, target) = (site::open_to_change(&from.0)?, site::open_to_change(&to.0)?);
        allowed(&source, &from.1)?;
        allowed(&target, &to.1)?;
        branchfs::rename((&source.root, &from.1), (&target.root, &to.1))
    });
    match outcome {
        Ok(()) => forget_paths(),
        Err(failed) => {
            failed.warn_of_both(from, to);
            NOT_DONE
        }
    }
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
    // SAFETY: PHP passes the value that belongs to the option.
    let Some(metadata) = (unsafe { metadata(option.cast_unsigned(), value) }) else { return NOT_DONE };
    // SAFETY: PHP passes a C string.
    let url_bytes = unsafe { bytes(url) };
    let outcome = match metadata {
        Metadata::Times(times) => match change(url_bytes, |root, path| touch(root, path, times)) {
            Err(failed) if !exists(url_bytes) => {
                // SAFETY: the format takes two C strings.
                unsafe {
                    let format = c"Unable to create file %s because %s";
                    php_error_docref(std::ptr::null(), WARNING, format.as_ptr(), url, failed.message());
                }
                return NOT_DONE;
            }
            outcome => outcome,
        },
        Metadata::Mode(mode) => change(url_bytes, |root, path| root.set_mode(path, Mode::from_raw_mode(mode as _))),
        Metadata::User(user) => change(url_bytes, |root, path| root.set_owner(path, Some(user), None)),
        Metadata::Group(group) => change(url_bytes, |root, path| root.set_owner(path, None, Some(group))),
    };
    if let Err(failed) = outcome {
        if matches!(metadata, Metadata::Times(_)) {
            // SAFETY: the format takes one C string.
            unsafe { php_error_docref(std::ptr::null(), WARNING, c"Utime failed: %s".as_ptr(), failed.message()) };
        } else {
            failed.warn();
        }
        return NOT_DONE;
    }
    // SAFETY: with no file name, the function drops the stat cache of this process, which nothing of ours refers to.
    unsafe { php::php_clear_stat_cache(false, std::ptr::null(), 0) };
    DONE
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
                user.or_else(|| unknown(c"Unable to find uid for %s", value))
            }
            php::PHP_STREAM_META_GROUP_NAME => {
                let group = libc::getgrnam(value.cast()).as_ref().map(|group| Metadata::Group(group.gr_gid));
                group.or_else(|| unknown(c"Unable to find gid for %s", value))
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

unsafe fn unknown(format: &CStr, name: *mut c_void) -> Option<Metadata> {
    // SAFETY: the format takes one C string, which the name is.
    unsafe { php_error_docref(std::ptr::null(), WARNING, format.as_ptr(), name.cast::<c_char>()) };
    None
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
#[expect(clippy::result_large_err, reason = "a box would have to be dropped")]
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

/// What PHP has cached of paths may not be so any more.
fn forget_paths() -> c_int {
    // SAFETY: with no file name, the function clears the caches of this process, which nothing of ours refers to.
    unsafe { php::php_clear_stat_cache(true, std::ptr::null(), 0) };
    DONE
}
