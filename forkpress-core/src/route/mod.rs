//! From a request's host and path to what answers it.
//!
//! [`parse`] is pure: it turns the host and the request target into a [`Target`], or refuses them. [`resolve`] looks the
//! target up on disk, under the shared lock, and decides what is sent; it opens, sends and runs nothing. A path that
//! either of them hands on lies in the branch's folder, or in one that `site.toml` names as linked.

mod conditional;
mod file;
mod host;
mod links;
mod lookup;
mod path;
mod policy;
mod rewrite;

use crate::name::BranchName;

pub use conditional::Conditions;
pub use file::{Body, FileVersion, Response};
pub use links::is_linkable;
pub use lookup::{Branches, Decision, Script, resolve};
pub use path::TargetPath;

/// What a request asks for: a branch that may or may not exist, and a path in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The branch.
    pub branch: BranchName,
    /// The path in the branch.
    pub path: TargetPath,
    /// The port that the request names with the host.
    pub port: Option<String>,
}

/// An answer that consists of a status and one line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What is wrong, as a sentence without its full stop. Holds nothing of the request but a branch's name.
    pub message: String,
}

impl Refusal {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

/// Takes the `Host` header and the request target of a request to the site whose `main` is at `root_host`.
///
/// # Errors
/// 421 for a host that is not this site's, 404 for a branch that can't exist, 400 for a path that no honest client sends.
pub fn parse(host: &[u8], uri: &[u8], root_host: &str) -> Result<Target, Refusal> {
    let (branch, port) = host::parse(host, root_host)?;
    Ok(Target { branch, path: TargetPath::parse(uri)?, port: port.map(str::to_owned) })
}
