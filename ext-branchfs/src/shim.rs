//! Calls from which PHP may leave for good, through `shim.c`: see `shim.h`.
//!
//! What PHP calls runs its Rust in [`enter`]. What that calls of PHP's goes through the functions here, which return
//! whatever happens; a bailout is noted, and `enter` goes on with it once the Rust has returned. So everything is
//! dropped in its turn, and no `RefCell` stays borrowed.

use std::ffi::{CStr, CString, c_char, c_void};

use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::{ZendStr, Zval};
use forkpress_core::panic::caught;

use crate::{exception, php};

/// Runs the Rust of what PHP calls, then goes on with a bailout that was noted. None where it panics.
pub fn enter<T>(body: impl FnOnce() -> T) -> Option<T> {
    leave(caught(body))
}

/// Goes on with a bailout that was noted, and else returns the value: the last thing in what PHP calls, when nothing but the
/// value is left to be dropped.
pub fn leave<T>(value: T) -> T {
    // SAFETY: the function only looks.
    if unsafe { php::branchfs_has_bailed() } {
        drop(value);
        // SAFETY: the caller's frames hold nothing that has to be dropped.
        unsafe { php::branchfs_resume() };
        unreachable!("PHP came back from a bailout");
    }
    value
}

/// Makes a value of PHP's, for which its memory may not be enough. What `make` itself has is not dropped then: it borrows
/// what must be.
///
/// # Errors
/// Where it was not made. After a bailout nobody sees that, since [`leave`] goes on with it.
pub fn build<T>(make: impl FnOnce() -> PhpResult<T>) -> PhpResult<T> {
    struct Call<F, T> {
        make: Option<F>,
        made: Option<T>,
    }
    unsafe extern "C" fn run<F: FnOnce() -> T, T>(call: *mut c_void) {
        // SAFETY: it is the call below, which nobody else uses meanwhile.
        let call = unsafe { &mut *call.cast::<Call<F, T>>() };
        call.made = call.make.take().and_then(caught);
    }
    fn runner<F: FnOnce() -> T, T>(_: &Call<F, T>) -> unsafe extern "C" fn(*mut c_void) {
        run::<F, T>
    }
    let mut call = Call { make: Some(make), made: None };
    let run = runner(&call);
    // SAFETY: the function is that of the call, which outlives it.
    unsafe { php::branchfs_try(Some(run), (&raw mut call).cast()) };
    call.made.unwrap_or_else(|| Err(exception::plain("branchfs failed; PHP's error log says how".to_owned())))
}

/// A string of PHP's, inside [`build`].
pub fn string(bytes: &[u8]) -> Zval {
    let mut value = Zval::new();
    value.set_zend_string(ZendStr::new(bytes, false));
    value
}

/// Has PHP warn: `unlink(): No such file or directory`.
pub fn warn(message: &CStr) {
    // SAFETY: a C string.
    unsafe { php::branchfs_warn(std::ptr::null(), std::ptr::null(), message.as_ptr()) };
}

/// Has PHP warn of a URL: `unlink(branchfs://main/x): No such file or directory`; or of two, where the second is not null.
pub unsafe fn warn_of(first: *const c_char, second: *const c_char, message: &CStr) {
    // SAFETY: C strings; the caller's, of PHP.
    unsafe { php::branchfs_warn(first, second, message.as_ptr()) };
}

/// Bytes as a C string, which ends at the first zero.
pub fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes.split(|&byte| byte == 0).next().unwrap_or_default()).unwrap_or_default()
}
