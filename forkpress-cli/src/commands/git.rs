//! `forkpress git`: branches from a checkout, and the token of the site's Git repository.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;

use forkpress_core::token::Token;
use serde_json::json;

use super::checkout;
use crate::cli::GitCommand;
use crate::failure::{During, Failure};
use crate::{git, output, site};

/// Does what is asked of the repository.
pub fn run(work_dir: Option<&Path>, command: &GitCommand, as_json: bool) -> Result<(), Failure> {
    match command {
        GitCommand::Branch(command) => checkout::branch(command, as_json),
        GitCommand::Token => token(work_dir, as_json),
    }
}

/// Becomes the user's own git, in the current folder and with the user's settings. Returns only where that fails.
pub fn of_user(arguments: &[OsString]) -> Failure {
    git::no_program(git::of_user().args(arguments).exec())
}

fn token(work_dir: Option<&Path>, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    let token = Token::load_or_create(&site.layout.cow().git_token()).during(|| "cannot read the token".to_owned())?;
    if as_json {
        output::json(&json!({ "token": token.as_str() }))?;
    } else {
        output::line(token.as_str())?;
    }
    Ok(())
}
