//! Parses `branchfs://BRANCH/path`. Nothing in it is encoded: as in a plain path, every byte but `/` and NUL stands for
//! itself.

use rustix::io::Errno;

use super::FsError;
use crate::name::BranchName;

/// What each URL begins with, in any case.
pub const SCHEME: &str = "branchfs://";

/// No system takes a longer path (Linux's `PATH_MAX`), so no work is done for one.
const LONGEST: usize = 4096;

/// Whose files a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// `branchfs://./`: the branch that the code which asks runs in.
    Own,
    /// `branchfs://NAME/`.
    Named(BranchName),
}

/// What a URL names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BranchUrl<'a> {
    /// `branchfs://`: the folder in which each branch has a name.
    Branches,
    /// A path in a branch.
    InBranch(Owner, BranchPath<'a>),
}

impl<'a> BranchUrl<'a> {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// [`FsError::InvalidUrl`] when there is no branch in it; [`FsError::NoBranch`] when no branch can have that name;
    /// [`Errno::NAMETOOLONG`] for 4096 bytes and more.
    pub fn parse(url: &'a [u8]) -> Result<Self, FsError> {
        let rest = Self::after_scheme(url).ok_or(FsError::InvalidUrl)?;
        if rest.len() >= LONGEST {
            return Err(Errno::NAMETOOLONG.into());
        }
        if rest.iter().all(|&b| b == b'/') {
            return Ok(Self::Branches);
        }
        let at = rest.iter().position(|&b| b == b'/').unwrap_or(rest.len());
        let (branch, path) = rest.split_at(at);
        let owner = match branch {
            b"" => return Err(FsError::InvalidUrl),
            b"." => Owner::Own,
            name => {
                let known = std::str::from_utf8(name).ok().and_then(|name| BranchName::parse(name).ok());
                // Names end up in messages: no control bytes, and not kilobytes of them.
                let shown = || name.iter().take(80).copied().collect::<Vec<_>>().escape_ascii().to_string();
                Owner::Named(known.ok_or_else(|| FsError::NoBranch(shown()))?)
            }
        };
        Ok(Self::InBranch(owner, BranchPath::new(path)))
    }

    /// What follows the scheme; `None` where the string is no `branchfs://` URL.
    #[must_use]
    pub fn after_scheme(url: &'a [u8]) -> Option<&'a [u8]> {
        let (scheme, rest) = url.split_at_checked(SCHEME.len())?;
        scheme.eq_ignore_ascii_case(SCHEME.as_bytes()).then_some(rest)
    }
}

/// A path below a branch's folder. Runs of slashes count as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchPath<'a> {
    pub(super) segments: Vec<&'a [u8]>,
    pub(super) names_folder: bool,
    /// Whether the path ends with a slash.
    pub(super) slash: bool,
}

impl<'a> BranchPath<'a> {
    /// Takes any bytes as a path; the empty one is the branch's folder.
    #[must_use]
    pub fn new(path: &'a [u8]) -> Self {
        let segments: Vec<_> = path.split(|&b| b == b'/').filter(|segment| !segment.is_empty()).collect();
        let names_folder = path.ends_with(b"/") || segments.last().is_none_or(|&last| last == b"." || last == b"..");
        Self { segments, names_folder, slash: path.ends_with(b"/") }
    }

    /// The path of these names.
    pub(super) fn of(names: &'a [Vec<u8>]) -> Self {
        let segments: Vec<_> = names.iter().map(Vec::as_slice).collect();
        let names_folder = segments.last().is_none_or(|&last| last == b"." || last == b"..");
        Self { segments, names_folder, slash: false }
    }

    /// Whether the path says by itself what it names, without a `.` or `..`.
    pub(super) fn is_clean(&self) -> bool {
        !self.segments.iter().any(|&segment| segment == b"." || segment == b"..")
    }

    /// The path without `.`, `..` and a slash at its end, each `..` taking away the segment before it, whatever is on disk.
    ///
    /// # Errors
    /// [`FsError::Outside`] when it goes up from the branch's folder.
    pub fn without_dots(&self) -> Result<Self, FsError> {
        let mut segments = Vec::with_capacity(self.segments.len());
        for &segment in &self.segments {
            match segment {
                b"." => {}
                b".." => drop(segments.pop().ok_or(FsError::Outside)?),
                _ => segments.push(segment),
            }
        }
        Ok(Self { names_folder: segments.is_empty(), segments, slash: false })
    }

    /// The segments, each after a slash; empty where there are none.
    #[must_use]
    pub fn joined(&self) -> Vec<u8> {
        self.segments.iter().flat_map(|segment| std::iter::once(b'/').chain(segment.iter().copied())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_branch(url: &str) -> (Owner, String, bool) {
        match BranchUrl::parse(url.as_bytes()).unwrap() {
            BranchUrl::InBranch(owner, path) => (owner, String::from_utf8(path.joined()).unwrap(), path.names_folder),
            BranchUrl::Branches => panic!("{url} names a branch"),
        }
    }

    #[test]
    fn a_url_names_a_branch_and_a_path_in_it() {
        let main = Owner::Named(BranchName::main());
        assert_eq!(in_branch("branchfs://main"), (main.clone(), String::new(), true));
        assert_eq!(in_branch("BranchFS://main/"), (main.clone(), String::new(), true));
        assert_eq!(in_branch("branchfs://main/a//b"), (main.clone(), "/a/b".to_owned(), false));
        assert_eq!(in_branch("branchfs://main/a/b/"), (main.clone(), "/a/b".to_owned(), true));
        assert_eq!(in_branch("branchfs://main/%2e?x#y"), (main, "/%2e?x#y".to_owned(), false));
        assert_eq!(in_branch("branchfs://./a"), (Owner::Own, "/a".to_owned(), false));
    }

    #[test]
    fn the_bare_scheme_is_the_folder_of_all_branches() {
        for url in ["branchfs://", "branchfs:///", "branchfs:////"] {
            assert_eq!(BranchUrl::parse(url.as_bytes()), Ok(BranchUrl::Branches));
        }
    }

    #[test]
    fn what_can_be_no_branch_is_refused() {
        for url in [
            "branchfs://../main",
            "branchfs://Main/x",
            "branchfs://.forkpress/site.toml",
            "branchfs://www/",
            "branchfs://a%2fb",
        ] {
            assert!(matches!(BranchUrl::parse(url.as_bytes()), Err(FsError::NoBranch(_))), "{url}");
        }
        for url in ["branchfs:/main", "file:///main", "branchfs:///main", ""] {
            assert_eq!(BranchUrl::parse(url.as_bytes()), Err(FsError::InvalidUrl), "{url}");
        }
        assert!(matches!(BranchUrl::parse(b"branchfs://\xff\n/x"), Err(FsError::NoBranch(name)) if name == "\\xff\\n"));
    }

    #[test]
    fn dots_are_taken_away_and_never_lead_out() {
        let clean = |path: &str| {
            BranchPath::new(path.as_bytes()).without_dots().map(|p| String::from_utf8(p.joined()).unwrap())
        };
        assert_eq!(clean("/a/./b/../c/").unwrap(), "/a/c");
        assert_eq!(clean("/a/..").unwrap(), "");
        assert_eq!(clean("/.."), Err(FsError::Outside));
        assert_eq!(clean("/a/../../b"), Err(FsError::Outside));
    }
}
