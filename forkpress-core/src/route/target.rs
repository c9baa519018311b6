//! What a request asks for, from its words alone.

use super::host;
use super::path::TargetPath;
use super::refusal::RouteRefusal;
use crate::name::BranchName;

/// What a request asks for: a branch that may or may not exist, and a path in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTarget {
    /// The branch.
    pub branch: BranchName,
    /// The path in the branch.
    pub path: TargetPath,
    /// The port that the request names with the host.
    pub port: Option<String>,
    /// The host of `main`.
    pub root_host: String,
}

/// Takes the `Host` header and the request target of a request to the site whose `main` is at `root_host`.
///
/// # Errors
/// [`RouteRefusal`]: 421 for a host that is not this site's, 404 for a branch that can't exist, 400 for a path that no
/// honest client sends.
pub fn parse(host: &[u8], uri: &[u8], root_host: &str) -> Result<RequestTarget, RouteRefusal> {
    let (branch, port) = host::parse(host, root_host)?;
    Ok(RequestTarget {
        branch,
        path: TargetPath::parse(uri)?,
        port: port.map(str::to_owned),
        root_host: root_host.to_owned(),
    })
}
