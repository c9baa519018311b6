//! Tells PHP of a failure, in a value that needs no dropping: PHP may jump away while it is told.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};

use ext_php_rs::ffi::{php_error_docref, php_stream_wrapper};
use forkpress_core::branchfs::FsError;
use forkpress_core::panic::caught;

use crate::php;

/// The longest message, with the NUL at its end.
const LONGEST: usize = 512;

/// PHP's `E_WARNING`.
pub const WARNING: c_int = 2;

/// What went wrong.
#[derive(Clone, Copy)]
pub struct Failed {
    /// What `errno` is to be.
    pub errno: c_int,
    /// Whether it was not the system that said no.
    pub is_refusal: bool,
    message: [u8; LONGEST],
}

/// Does the Rust half of a call. A panic is logged by Rust's panic hook, and is a failure like others.
#[expect(clippy::result_large_err, reason = "a box would have to be dropped")]
pub fn act<T: Copy>(action: impl FnOnce() -> Result<T, FsError>) -> Result<T, Failed> {
    match caught(action) {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(Failed::of(&error)),
        None => Err(Failed::new(libc::EIO, true, b"branchfs failed; PHP's error log says how")),
    }
}

impl Failed {
    fn of(error: &FsError) -> Self {
        match error {
            FsError::System(errno) => {
                let errno = errno.raw_os_error();
                // SAFETY: the function returns a C string, which lives until the next call on this thread.
                Self::new(errno, false, unsafe { CStr::from_ptr(libc::strerror(errno)) }.to_bytes())
            }
            refusal => {
                // To code that only looks, a branch that does not exist is a folder that does not.
                let is_refusal = !matches!(refusal, FsError::NoBranch(_));
                Self::new(refusal.errno(), is_refusal, refusal.to_string().as_bytes())
            }
        }
    }

    fn new(errno: c_int, is_refusal: bool, text: &[u8]) -> Self {
        let mut message = [0; LONGEST];
        let length = text.len().min(LONGEST - 1);
        message[..length].copy_from_slice(&text[..length]);
        Self { errno, is_refusal, message }
    }

    /// The message as a C string.
    pub fn message(&self) -> *const c_char {
        self.message.as_ptr().cast()
    }

    /// Leaves the number for PHP to see.
    pub fn set_errno(&self) {
        // SAFETY: the location is this thread's own.
        unsafe { *errno_location() = self.errno };
    }

    /// Has PHP warn: `unlink(): No such file or directory`.
    pub fn warn(&self) {
        // SAFETY: a format that takes one C string, and one.
        unsafe { php_error_docref(std::ptr::null(), WARNING, c"%s".as_ptr(), self.message()) };
    }

    /// Has PHP warn of a URL: `unlink(branchfs://main/x): No such file or directory`.
    pub fn warn_of(&self, url: *const c_char) {
        // SAFETY: as above; the URL is a C string of PHP's.
        unsafe { php::php_error_docref1(std::ptr::null(), url, WARNING, c"%s".as_ptr(), self.message()) };
    }

    /// Has PHP warn of two URLs.
    pub fn warn_of_both(&self, from: *const c_char, to: *const c_char) {
        // SAFETY: as above.
        unsafe { php::php_error_docref2(std::ptr::null(), from, to, WARNING, c"%s".as_ptr(), self.message()) };
    }

    /// Notes the failure for PHP, which warns once it knows that nothing was opened: `Failed to open stream: ...`.
    pub fn log(&self, wrapper: *mut php_stream_wrapper, options: c_int) {
        // SAFETY: the wrapper is the one that PHP passed; a format that takes one C string, and one.
        unsafe { php::php_stream_wrapper_log_error(wrapper, options, c"%s".as_ptr(), self.message()) };
        self.set_errno();
    }
}

/// Has PHP warn of something that is known beforehand.
pub fn warn(message: &'static CStr) {
    // SAFETY: a format that takes one C string, and one.
    unsafe { php_error_docref(std::ptr::null(), WARNING, c"%s".as_ptr(), message.as_ptr()) };
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

/// Holds what is on its way from Rust to PHP. Where PHP jumps away before it has taken it, the end of the request drops it.
pub struct InTransit<T>(Cell<Option<T>>);

impl<T> InTransit<T> {
    pub const fn new() -> Self {
        Self(Cell::new(None))
    }

    /// Puts something on its way.
    pub fn put(&self, value: T) {
        self.0.set(Some(value));
    }

    /// Takes it off.
    pub fn take(&self) -> Option<T> {
        self.0.take()
    }
}
