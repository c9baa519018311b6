//! What only the `forkpress` command does to a site: [mutations](mutation), [storage] images, [Git](git), databases.
//!
//! It prints nothing and knows no command line, but for the words of its advice on errors. The extension, which is loaded
//! into every PHP process, does without it.
#![deny(unsafe_code)]

pub mod activity;
pub mod addresses;
pub mod bands;
pub mod bounds;
pub mod branch;
mod check;
pub mod command;
pub mod config;
pub mod database;
pub mod disk;
pub mod driver;
pub mod dump;
pub mod export;
pub mod file;
pub mod git;
pub mod import;
#[cfg(target_os = "linux")]
mod ioctl;
pub mod jobs;
pub mod merge;
pub mod mutation;
mod noise;
mod php;
pub mod priority;
pub mod progress;
pub mod registry;
pub mod remote;
pub mod scrub;
pub mod site;
pub mod source;
pub mod storage;
mod structure;
mod subvolume;
mod tables;
#[cfg(test)]
mod testing;
mod tree;
pub mod trust;
pub mod usage;
pub mod view;
pub mod wordpress;
