//! Lets PHP bring back a branch's SQLite driver.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ext_php_rs::binary_slice::BinarySlice;
use ext_php_rs::prelude::*;
use forkpress_core::driver;

use crate::exception;

/// Brings back what the WordPress in the folder `$root` needs to reach its database, out of the driver in `$spare`. With
/// `$thorough`, each file of the driver is looked at. Call it while the request has the lock, before WordPress loads.
///
/// Returns whether anything was brought back. Throws `Branchfs\Exception` where that is not possible.
#[php_function]
pub fn branchfs_heal_driver(root: BinarySlice<u8>, spare: BinarySlice<u8>, thorough: Option<bool>) -> PhpResult<bool> {
    let path = |bytes| Path::new(OsStr::from_bytes(bytes));
    driver::heal(path(&root), path(&spare), thorough.unwrap_or(false))
        .map_err(|error| exception::plain(format!("the SQLite driver of this branch can not be brought back: {error}")))
}

/// Adds the function to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module.function(wrap_function!(branchfs_heal_driver))
}
