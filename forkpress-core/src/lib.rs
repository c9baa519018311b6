//! What the `forkpress` command and the `branchfs` PHP extension must agree on.
//!
//! Core knows no PHP and no command line, and prints nothing: it parses, decides and acts, and returns values.
//!
//! - [`layout`] names everything that both programs touch on disk.
//! - [`lock`] takes every lock that they share.
//! - [`route`] makes a file of a request's host and path.
//! - [`branchfs`] makes one of a `branchfs://` URL.
#![deny(unsafe_code)]

pub mod address;
pub mod advice;
pub mod branchfs;
pub mod client;
pub mod deadline;
pub mod driver;
pub mod flock;
pub mod layout;
pub mod lock;
pub mod name;
pub mod network;
pub mod own;
pub mod pace;
pub mod panic;
pub mod partings;
pub mod process;
pub mod record;
pub mod reserved;
pub mod route;
#[cfg(target_os = "linux")]
pub mod tcp;
pub mod token;
pub mod uploads;
