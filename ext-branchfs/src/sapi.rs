//! What kind of PHP this is.

use std::ffi::CStr;

use ext_php_rs::zend::SapiModule;

/// Whether PHP's built-in server runs.
pub fn is_builtin_server() -> bool {
    is(c"cli-server")
}

/// Whether a web server hands requests to PHP.
pub fn is_fastcgi() -> bool {
    is_process_manager() || is(c"cgi-fcgi")
}

/// Whether php-fpm runs.
pub fn is_process_manager() -> bool {
    is(c"fpm-fcgi")
}

/// Whether PHP runs a script from the command line.
pub fn is_command_line() -> bool {
    is(c"cli")
}

fn is(sapi: &CStr) -> bool {
    let name = SapiModule::get().name;
    // SAFETY: a SAPI's name is null or a C string that lives as long as the process.
    !name.is_null() && unsafe { CStr::from_ptr(name) } == sapi
}
