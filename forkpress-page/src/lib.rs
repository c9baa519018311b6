//! The branch page: a site's branches in the browser.
#![forbid(unsafe_code)]
