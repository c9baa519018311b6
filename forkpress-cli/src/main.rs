//! `forkpress`: makes and serves WordPress sites whose every branch is a whole site of its own.
//!
//! [`cli`] has what can be typed. [`commands`] has what it does, one file a command. A command returns what failed as a
//! [`failure::Failure`], which is printed once, by [`output::fail`].
#![forbid(unsafe_code)]

mod blueprint;
mod bring_in;
mod bundle;
mod child;
mod clean;
mod cli;
mod commands;
mod contents;
mod deaths;
mod extension;
mod failure;
mod git;
mod harmless;
mod init;
mod interrupt;
mod mail;
mod number;
mod output;
mod page;
mod php;
mod progress;
mod ready;
mod remote;
mod secret;
mod server;
mod site;
mod trace;
mod tree;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run(&cli::parse())
}
