//! Turns APCu off in requests of a branch. Its memory is the server's: one branch would get what another one stored
//! under the same name.
//!
//! Setting `apc.enabled` is not enough, because APCu looks at it only as it starts. So its functions are ours as well.
//! In such a request they store and find nothing, as if APCu had started disabled. Code that checks before it uses APCu
//! finds it off.

use ext_php_rs::ffi::{zend_execute_data, zval};
use ext_php_rs::types::ZendStr;

use crate::overridden::Overridden;
use crate::{answer, php};

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
    let mut name = ZendStr::new("apc.enabled", false);
    let stage = i32::try_from(php::PHP_INI_STAGE_ACTIVATE).unwrap_or_default();
    let system = i32::try_from(php::PHP_INI_SYSTEM).unwrap_or_default();
    // SAFETY: the name is PHP's own kind of string and lives through the call; the value is so long. Where there is no such
    // setting, nothing happens.
    unsafe { php::zend_alter_ini_entry_chars(name.as_mut_ptr(), c"0".as_ptr(), 1, system, stage) };
}

unsafe extern "C" fn off<const AT: usize>(call: *mut zend_execute_data, result: *mut zval) {
    // SAFETY: PHP's call and a place for its result.
    unsafe {
        if answer::is_served() {
            (*result).set_bool(false);
        } else {
            FUNCTIONS[AT].call(call, result);
        }
    }
}
