//! What `build.rs` found in PHP's headers and in `shim.h`.
#![allow(
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    unused_imports,
    dead_code,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    reason = "bindgen writes it"
)]

include!(concat!(env!("OUT_DIR"), "/php.rs"));
