//! Says at which address a request is answered, and turns off what does not go with that.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ext_php_rs::binary_slice::BinarySlice;
use ext_php_rs::prelude::*;
use forkpress_core::address::Own;
use forkpress_core::layout::CowLayout;

use crate::{answer, apcu, overridden, php, shim};

/// Says at which address the branch of this request is served, such as `http://marketing.wp.localhost:18080`. From now on
/// `branchfs_own_addresses()` puts it in place of every other address that the site ever had.
///
/// Those are the ones in the record in `$cow_dir`; the root host and every branch below it; and `$homes`, such as what a database
/// calls `siteurl`. With `$answer`, the request's answer is mapped, too: its headers, and its body where that is text. What PHP
/// would do that does not go with that, or keep for all branches together, is off then: compressing, APCu.
///
/// Returns whether that was an address. To say it again, with more homes say, is good for what has not been sent.
#[php_function]
#[php(defaults(homes = Vec::new(), answer = true))]
pub fn branchfs_serve_as(
    address: String,
    root_host: String,
    cow_dir: BinarySlice<u8>,
    homes: Vec<String>,
    answer: bool,
) -> bool {
    shim::leave(serve_as(&address, root_host, &cow_dir, homes, answer))
}

fn serve_as(address: &str, root_host: String, cow_dir: &[u8], homes: Vec<String>, answer: bool) -> bool {
    let Some(own) = Own::parse(address) else { return false };
    overridden::install_late();
    if answer {
        // What is compressed can't be mapped, and there is no network to save.
        // SAFETY: a C string.
        unsafe { php::branchfs_unset_server(c"HTTP_ACCEPT_ENCODING".as_ptr()) };
        apcu::switch_off();
    }
    let record = CowLayout::new(Path::new(OsStr::from_bytes(cow_dir))).addresses();
    answer::serve_as(own, record, root_host, homes, answer);
    true
}

/// Adds the function to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module.function(wrap_function!(branchfs_serve_as))
}
