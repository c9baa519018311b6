//! Puts a function of ours in the place of one of PHP's.

use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::ffi::{ext_php_rs_compiler_globals, zend_execute_data, zend_hash_str_find, zval};

use crate::php;

type Handler = unsafe extern "C" fn(*mut zend_execute_data, *mut zval);

/// A function of PHP's, and what stands in its place.
pub struct Overridden {
    name: &'static CStr,
    ours: Handler,
    /// PHP's own; null while it is in its place.
    original: AtomicPtr<()>,
}

impl Overridden {
    /// PHP's function of that name, in whose place ours is to stand.
    pub const fn new(name: &'static CStr, ours: Handler) -> Self {
        Self { name, ours, original: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// Where PHP has the function's address; none where there is no such function.
    fn slot(&self) -> Option<*mut Option<Handler>> {
        // SAFETY: at startup and shutdown, in which this runs, no other thread uses the table; what it holds are functions.
        unsafe {
            let table = (*ext_php_rs_compiler_globals()).function_table;
            let entry = zend_hash_str_find(table, self.name.as_ptr(), self.name.count_bytes());
            let function = entry.as_ref()?.value.func;
            (!function.is_null()).then(|| (&raw mut (*function).internal_function.handler).cast())
        }
    }

    /// Puts ours in its place, unless it is there. False where PHP has the function and nothing that it does.
    pub fn put(&self) -> bool {
        let Some(slot) = self.slot().filter(|_| self.original.load(Ordering::Relaxed).is_null()) else { return true };
        // SAFETY: the slot is that of an internal function.
        let Some(original) = (unsafe { slot.replace(Some(self.ours)) }) else { return false };
        self.original.store(original as *mut (), Ordering::Relaxed);
        true
    }

    /// Puts PHP's own back, if ours is in its place.
    pub fn restore(&self) {
        let original = self.original.swap(std::ptr::null_mut(), Ordering::Relaxed);
        if original.is_null() {
            return;
        }
        if let Some(slot) = self.slot() {
            // SAFETY: as above; it was PHP's handler of this function.
            unsafe { slot.write(Some(std::mem::transmute::<*mut (), Handler>(original))) };
        }
    }

    /// Calls PHP's own, inside [`crate::shim::enter`].
    pub unsafe fn call(&self, call: *mut zend_execute_data, result: *mut zval) {
        let original = self.original.load(Ordering::Relaxed);
        // SAFETY: it was PHP's handler of this function, which is called as PHP called us.
        unsafe { php::branchfs_call(Some(std::mem::transmute::<*mut (), Handler>(original)), call, result) };
    }
}
