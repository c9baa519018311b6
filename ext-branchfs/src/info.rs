//! The section in `phpinfo()`.

use ext_php_rs::zend::ModuleEntry;
use ext_php_rs::{info_table_end, info_table_row, info_table_start};

unsafe extern "C" {
    fn display_ini_entries(module: *mut ModuleEntry);
}

/// Prints what the extension is and does, then its settings.
pub extern "C" fn print(module: *mut ModuleEntry) {
    info_table_start!();
    info_table_row!("branchfs support", "enabled");
    info_table_row!("Version", env!("CARGO_PKG_VERSION"));
    info_table_row!("Lock", "shared from before the branch lookup until post-deactivate");
    info_table_end!();
    // SAFETY: PHP passes its own entry of this module, which is what the function takes.
    unsafe { display_ini_entries(module) };
}
