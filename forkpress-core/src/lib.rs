//! What the `forkpress` command and the `branchfs` PHP extension must agree on.
//!
//! Core knows no PHP and no command line, and prints nothing: it parses, decides and acts, and hands back values.
//! Everything that both programs touch on disk is named in [`layout`], every lock they share is taken in [`lock`], and
//! a request's host and path become a file in [`route`], and a `branchfs://` URL one in [`branchfs`].
#![deny(unsafe_code)]

pub mod address;
pub mod branchfs;
pub mod client;
pub mod deadline;
pub mod driver;
pub mod layout;
pub mod lock;
pub mod name;
pub mod network;
pub mod own;
pub mod pace;
pub mod panic;
pub mod process;
pub mod record;
pub mod reserved;
pub mod route;
pub mod token;
