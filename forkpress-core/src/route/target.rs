//! What a request asks for, from its words alone.

use super::path::TargetPath;
use super::refusal::RouteRefusal;
use super::{host, policy};
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

impl RequestTarget {
    /// Whether it is the site's Git repository, or something in it.
    #[must_use]
    pub fn is_of_repository(&self) -> bool {
        self.branch == BranchName::main() && self.path.segments.first().is_some_and(|first| first == b"site.git")
    }

    /// Whether it may well be a file that is sent as it is, by its ending. What is not may be one, too.
    #[must_use]
    pub fn may_be_file(&self) -> bool {
        let segments = &self.path.segments;
        let has_ending = segments.last().is_some_and(|last| last.contains(&b'.'));
        let has_script = segments.iter().any(|segment| policy::is_script(segment));
        has_ending && !has_script && !self.path.trailing_slash && !self.is_of_repository()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str, uri: &str) -> RequestTarget {
        parse(host.as_bytes(), uri.as_bytes(), "wp.localhost").unwrap()
    }

    #[test]
    fn what_has_an_ending_may_be_a_file_unless_php_answers_it() {
        for uri in
            ["/a.css", "/wp-includes/js/a.min.js?ver=1", "/x.php.jpg", "/.well-known/a.txt", "/a%2Eb", "/.git/x.y"]
        {
            assert!(target("wp.localhost", uri).may_be_file(), "{uri}");
        }
        for uri in ["/", "/a", "/a.b/", "/a.b/c", "/index.php", "/index.php/a.css", "/site.git", "/site.git/a.pack"] {
            assert!(!target("wp.localhost", uri).may_be_file(), "{uri}");
        }
    }

    #[test]
    fn the_repository_is_that_of_main_and_of_no_name_like_it() {
        for (host, uri, is) in [
            ("wp.localhost", "/site.git/info/refs?service=git-upload-pack", true),
            ("wp.localhost", "/site.git", true),
            ("wp.localhost", "//site%2Egit/HEAD", true),
            ("wp.localhost", "/site.gitx", false),
            ("wp.localhost", "/site.git%2Finfo/refs", false),
            ("wp.localhost", "/a/site.git", false),
            ("other.wp.localhost", "/site.git/info/refs", false),
        ] {
            assert_eq!(target(host, uri).is_of_repository(), is, "{host}{uri}");
        }
    }
}
