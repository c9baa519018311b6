//! Turns APCu off in requests of a branch. Its memory is the server's: one branch would get what another one stored
//! under the same name.
//!
//! Setting `apc.enabled` is not enough, because APCu looks at it only as it starts. So its functions are ours as well.
//! In such a request they store and find nothing, as if APCu had started disabled. Code that checks before it uses APCu
//! finds it off.

use ext_php_rs::ffi::{zend_execute_data, zval};

use crate::function::Overridden;
use crate::{answer, php, shim};

macro_rules! functions {
    ($count:literal: $($at:literal $name:literal),+) => {
        static FUNCTIONS: [Overridden; $count] = [$(Overridden::new($name, off::<$at>)),+];
    };
}

functions!(14:
    0 c"apcu_add",
    1 c"apcu_cache_info",
    2 c"apcu_cas",
    3 c"apcu_clear_cache",
    4 c"apcu_dec",
    5 c"apcu_delete",
    6 c"apcu_enabled",
    7 c"apcu_entry",
    8 c"apcu_exists",
    9 c"apcu_fetch",
    10 c"apcu_inc",
    11 c"apcu_key_info",
    12 c"apcu_sma_info",
    13 c"apcu_store"
);

/// Its functions.
pub fn functions() -> &'static [Overridden] {
    &FUNCTIONS
}

/// Says so, until the end of the request, to whoever asks for the setting.
pub fn switch_off() {
    // SAFETY: two C strings.
    unsafe { php::branchfs_set_ini(c"apc.enabled".as_ptr(), c"0".as_ptr()) };
}

unsafe extern "C" fn off<const AT: usize>(call: *mut zend_execute_data, result: *mut zval) {
    // SAFETY: PHP's call and a place for its result.
    shim::enter(|| unsafe {
        if answer::is_served() {
            (*result).set_bool(false);
        } else {
            FUNCTIONS[AT].call(call, result);
        }
    });
}
