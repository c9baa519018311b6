//! How a failure is told to PHP.

use std::ffi::{CStr, CString, c_char, c_int};

use ext_php_rs::ffi::php_stream_wrapper;
use forkpress_core::branchfs::FsError;
use forkpress_core::panic::caught;

use crate::{php, shim};

/// What went wrong.
pub struct Failed {
    /// What `errno` is to be.
    pub errno: c_int,
    /// Whether it was not the system that said no.
    pub is_refusal: bool,
    message: CString,
}

/// Does the Rust half of a call. A panic is logged by Rust's panic hook, and is a failure like others.
pub fn act<T>(action: impl FnOnce() -> Result<T, FsError>) -> Result<T, Failed> {
    match caught(action) {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(Failed::of(&error)),
        None => Err(Failed {
            errno: libc::EIO,
            is_refusal: true,
            message: c"branchfs failed; PHP's error log says how".to_owned(),
        }),
    }
}

impl Failed {
    fn of(error: &FsError) -> Self {
        match error {
            FsError::System(errno) => {
                let errno = errno.raw_os_error();
                // SAFETY: the function returns a C string, which lives until the next call on this thread.
                Self { errno, is_refusal: false, message: unsafe { CStr::from_ptr(libc::strerror(errno)) }.to_owned() }
            }
            refusal => Self {
                errno: refusal.errno(),
                // To code that only looks, a branch that does not exist is a folder that does not.
                is_refusal: !matches!(refusal, FsError::NoBranch(_)),
                message: shim::c_string(refusal.to_string().as_bytes()),
            },
        }
    }

    /// The message.
    pub fn message(&self) -> &CStr {
        &self.message
    }

    /// Leaves the number for PHP to see.
    pub fn set_errno(&self) {
        // SAFETY: the location is this thread's own.
        unsafe { *errno_location() = self.errno };
    }

    /// Has PHP warn: `unlink(): No such file or directory`.
    pub fn warn(&self) {
        shim::warn(&self.message);
    }

    /// Has PHP warn of a URL of PHP's: `unlink(branchfs://main/x): No such file or directory`.
    pub fn warn_of(&self, url: *const c_char) {
        self.warn_of_both(url, std::ptr::null());
    }

    /// Has PHP warn of two URLs.
    pub fn warn_of_both(&self, from: *const c_char, to: *const c_char) {
        // SAFETY: the URLs are C strings of PHP's.
        unsafe { shim::warn_of(from, to, &self.message) };
    }

    /// Notes the failure for PHP, which warns once it knows that nothing was opened: `Failed to open stream: ...`.
    pub fn log(&self, wrapper: *mut php_stream_wrapper, options: c_int) {
        // SAFETY: the wrapper is the one that PHP passed; the message is a C string.
        unsafe { php::branchfs_log_error(wrapper, options, self.message.as_ptr()) };
        self.set_errno();
    }
}

#[cfg(target_os = "linux")]
unsafe fn errno_location() -> *mut c_int {
    // SAFETY: no conditions.
    unsafe { libc::__errno_location() }
}

#[cfg(not(target_os = "linux"))]
unsafe fn errno_location() -> *mut c_int {
    // SAFETY: no conditions.
    unsafe { libc::__error() }
}
