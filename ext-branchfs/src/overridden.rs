//! Functions of PHP's that would not ask a stream wrapper, put right for `branchfs://` URLs; all else goes to PHP's own.
//!
//! `file_put_contents()` refuses `LOCK_EX` for every URL. `is_readable()` and its like ask the system about a plain
//! path, but go by the mode bits of a URL: wrong for root, on read-only mounts, and where `branchfs.write` forbids a
//! change.
//!
//! `fastcgi_finish_request()` ends an answer of which a part may still wait for its rest.

use ext_php_rs::ffi::{_zend_execute_data, zend_execute_data, zval};
use ext_php_rs::types::Zval;
use forkpress_core::branchfs::{Access, BranchUrl, FsError};

use crate::function::Overridden;
use crate::stream::{act, allowed, lock_next_open};
use crate::{FAILURE, SUCCESS, answer, apcu, php, shim, site};

static PUT_CONTENTS: Overridden = Overridden::new(c"file_put_contents", put_contents);
static IS_READABLE: Overridden = Overridden::new(c"is_readable", is_readable);
static IS_WRITABLE: Overridden = Overridden::new(c"is_writable", is_writable);
static IS_WRITEABLE: Overridden = Overridden::new(c"is_writeable", is_writable);
static IS_EXECUTABLE: Overridden = Overridden::new(c"is_executable", is_executable);

static FINISH_REQUEST: Overridden = Overridden::new(c"fastcgi_finish_request", finish_request);

fn all() -> [&'static Overridden; 6] {
    [&PUT_CONTENTS, &IS_READABLE, &IS_WRITABLE, &IS_WRITEABLE, &IS_EXECUTABLE, &FINISH_REQUEST]
}

/// Puts our functions in place. Those that `disable_functions` took away stay away.
pub fn install() -> i32 {
    if all().into_iter().all(Overridden::put) { SUCCESS } else { FAILURE }
}

/// The same for what php-fpm adds, and other extensions may add, after this one has started.
pub fn install_late() {
    FINISH_REQUEST.put();
    for function in apcu::functions() {
        function.put();
    }
}

/// Puts PHP's own back.
pub fn restore() {
    all().into_iter().chain(apcu::functions()).for_each(Overridden::restore);
}

/// The first argument, where it is a `branchfs://` URL.
unsafe fn url<'a>(call: *mut zend_execute_data) -> Option<&'a [u8]> {
    // SAFETY: PHP passes the call, whose arguments live as long as it does.
    let argument = unsafe {
        let call: &_zend_execute_data = &*call;
        if call.This.u2.num_args < 1 {
            return None;
        }
        call.zend_call_arg(0)?
    };
    let argument: &'a Zval = argument;
    let url = argument.binary_slice::<u8>()?;
    (BranchUrl::after_scheme(url).is_some() && !url.contains(&0)).then_some(url)
}

unsafe extern "C" fn put_contents(call: *mut zend_execute_data, result: *mut zval) {
    shim::enter(|| {
        // SAFETY: PHP's call.
        let flags = unsafe {
            match url(call) {
                Some(_) if (*call).This.u2.num_args >= 3 => (*call).zend_call_arg(2),
                _ => None,
            }
        };
        let locked = flags.and_then(|flags| {
            let value = flags.long()?;
            let (lock, append) = (i64::from(php::PHP_LOCK_EX), i64::from(php::PHP_FILE_APPEND));
            // PHP takes the lock with a file that it appends to. Ours is locked and emptied as it is opened.
            (value & (lock | append) == lock).then(|| flags.set_long(value | append))
        });
        lock_next_open(locked.is_some());
        // SAFETY: PHP's call.
        unsafe { PUT_CONTENTS.call(call, result) };
        lock_next_open(false);
    });
}

unsafe extern "C" fn finish_request(call: *mut zend_execute_data, result: *mut zval) {
    // SAFETY: PHP's call, and what it does first anyway.
    shim::enter(|| unsafe {
        php::branchfs_end_output();
        answer::send_rest();
        FINISH_REQUEST.call(call, result);
    });
}

unsafe extern "C" fn is_readable(call: *mut zend_execute_data, result: *mut zval) {
    // SAFETY: PHP's call.
    unsafe { ask(call, result, Access::READ_OK, &IS_READABLE) };
}

unsafe extern "C" fn is_writable(call: *mut zend_execute_data, result: *mut zval) {
    // SAFETY: PHP's call. Both names of the function have the same original.
    unsafe { ask(call, result, Access::WRITE_OK, &IS_WRITABLE) };
}

unsafe extern "C" fn is_executable(call: *mut zend_execute_data, result: *mut zval) {
    // SAFETY: PHP's call.
    unsafe { ask(call, result, Access::EXEC_OK, &IS_EXECUTABLE) };
}

unsafe fn ask(call: *mut zend_execute_data, result: *mut zval, access: Access, original: &Overridden) {
    // SAFETY: PHP's call and a place for its result.
    shim::enter(|| unsafe {
        match url(call) {
            Some(url) if (*call).This.u2.num_args == 1 => (*result).set_bool(act(|| can(url, access)).is_ok()),
            _ => original.call(call, result),
        }
    });
}

fn can(url: &[u8], access: Access) -> Result<(), FsError> {
    match BranchUrl::parse(url)? {
        BranchUrl::InBranch(owner, path) => {
            let writes = access.contains(Access::WRITE_OK);
            let branch = if writes { site::open_to_change(&owner)? } else { site::open(&owner)? };
            allowed(&branch, &path)?;
            branch.root.access(&path, access)
        }
        BranchUrl::Branches if access.contains(Access::WRITE_OK) => Err(FsError::BranchItself),
        BranchUrl::Branches => Ok(rustix::fs::access(site::branches_dir()?, access)?),
    }
}
