//! The section in `phpinfo()`.

use ext_php_rs::zend::ModuleEntry;

use crate::{php, shim};

/// Prints what the extension is and does, then its settings.
pub extern "C" fn print(module: *mut ModuleEntry) {
    let version = concat!(env!("CARGO_PKG_VERSION"), "\0");
    // SAFETY: PHP passes its own entry of this module; the version is a C string.
    shim::enter(|| unsafe { php::branchfs_print_info(module, version.as_ptr().cast()) });
}
