//! `gc.log`, which says what was removed to make room, and what a branch was found to lack.

use std::io::Write as _;
use std::time::SystemTime;

use crate::site::Site;
use forkpress_core::own;
use forkpress_core::record::rfc3339;

/// Appends lines to `gc.log`. Nothing is kept from being freed by a log that can't be written.
pub(super) fn append(site: &Site, lines: impl IntoIterator<Item = String>) {
    let (at, pid) = (rfc3339(SystemTime::now()), std::process::id());
    let text: String = lines.into_iter().map(|line| format!("{at}  process {pid}  {line}\n")).collect();
    if text.is_empty() {
        return;
    }
    let mut options = own::options();
    let _ =
        options.append(true).create(true).open(site.layout.gc_log()).and_then(|mut log| log.write_all(text.as_bytes()));
}
