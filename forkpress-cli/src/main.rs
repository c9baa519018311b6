//! `forkpress`: makes and serves WordPress sites whose every branch is a whole site of its own.
//!
//! [`cli`] holds what can be typed, [`commands`] what it means, one file a command. A command returns what failed as a
//! [`failure::Failure`]; it is printed once, here.
#![forbid(unsafe_code)]

mod bundle;
mod child;
mod clean;
mod cli;
mod commands;
mod extension;
mod failure;
mod git;
mod harmless;
mod init;
mod interrupt;
mod number;
mod output;
mod php;
mod progress;
mod ready;
mod server;
mod site;
mod tree;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run(&cli::parse())
}
