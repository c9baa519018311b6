//! What the `forkpress` command and the `branchfs` PHP extension must agree on.
//!
//! Core knows no PHP and no command line, and prints nothing: it parses, decides and acts, and hands back values.
//! Everything that both programs touch on disk is named in [`layout`], every lock they share is taken in [`lock`], and
//! a request's host and path become a file in [`route`], and a `branchfs://` URL one in [`branchfs`].
#![deny(unsafe_code)]

pub mod address;
#[cfg(feature = "mutations")]
pub mod bounds;
#[cfg(feature = "mutations")]
pub mod branch;
pub mod branchfs;
pub mod client;
#[cfg(feature = "mutations")]
pub mod config;
#[cfg(feature = "mutations")]
pub mod database;
pub mod deadline;
#[cfg(feature = "mutations")]
pub mod disk;
pub mod driver;
#[cfg(feature = "mutations")]
pub mod file;
#[cfg(feature = "mutations")]
pub mod git;
#[cfg(all(feature = "mutations", target_os = "linux"))]
mod ioctl;
pub mod layout;
pub mod lock;
#[cfg(feature = "mutations")]
pub mod mutation;
pub mod name;
pub mod network;
pub mod own;
pub mod pace;
pub mod panic;
#[cfg(feature = "mutations")]
pub mod priority;
pub mod process;
#[cfg(feature = "mutations")]
pub mod progress;
#[cfg(feature = "mutations")]
pub mod record;
#[cfg(feature = "mutations")]
pub mod registry;
pub mod reserved;
pub mod route;
#[cfg(feature = "mutations")]
pub mod site;
#[cfg(feature = "mutations")]
pub mod storage;
#[cfg(feature = "mutations")]
mod subvolume;
pub mod token;
#[cfg(feature = "mutations")]
mod tree;
#[cfg(feature = "mutations")]
pub mod trust;
#[cfg(feature = "mutations")]
pub mod usage;
#[cfg(feature = "mutations")]
pub mod view;
#[cfg(feature = "mutations")]
pub mod wordpress;
