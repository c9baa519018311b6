//! What a request asks for. Pure.

use forkpress_core::name::BranchName;
use forkpress_engine::jobs::JobId;

use crate::action::Action;

/// A place of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `/`: all branches.
    Overview,
    /// `/branch/NAME`.
    Branch(BranchName),
    /// `/branch/NAME/changes`: what it changed.
    Changes(BranchName),
    /// `/branch/NAME/mail/ID`.
    Mail(BranchName, u64),
    /// `/log`: the operations.
    Log,
    /// `/jobs`.
    Jobs,
    /// `/jobs/ID`.
    Job(JobId),
    /// `/jobs/ID/file`: what it made.
    JobFile(JobId),
    /// `/now`: requests and locks.
    Now,
    /// `/merge`: what a merge would do, and what is to be decided before.
    Merge,
    /// `/do/ACTION`: a form.
    Do(Action),
    /// `/sign-in`.
    SignIn,
    /// `/sign-out`.
    SignOut,
    /// `/live`: news, as they come.
    Live,
    /// `/assets/NAME`.
    Asset(String),
}

impl Place {
    /// The place of a path; none where there is nothing.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        Some(match parts.as_slice() {
            [""] => Self::Overview,
            ["branch", name] => Self::Branch(name.parse().ok()?),
            ["branch", name, "changes"] => Self::Changes(name.parse().ok()?),
            ["branch", name, "mail", id] => Self::Mail(name.parse().ok()?, id.parse().ok()?),
            ["log"] => Self::Log,
            ["jobs"] => Self::Jobs,
            ["jobs", id] => Self::Job(id.parse().ok()?),
            ["jobs", id, "file"] => Self::JobFile(id.parse().ok()?),
            ["now"] => Self::Now,
            ["merge"] => Self::Merge,
            ["do", action] => Self::Do(Action::of(action)?),
            ["sign-in"] => Self::SignIn,
            ["sign-out"] => Self::SignOut,
            ["live"] => Self::Live,
            ["assets", name] => Self::Asset((*name).to_owned()),
            _ => return None,
        })
    }

    /// Whether a form is sent there.
    #[must_use]
    pub fn takes_forms(&self) -> bool {
        matches!(self, Self::Do(_) | Self::Merge | Self::SignIn | Self::SignOut | Self::Job(_))
    }

    /// Whether something is shown there.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        !matches!(self, Self::SignOut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_place_or_nothing() {
        let name: BranchName = "sale".parse().unwrap();
        assert_eq!(Place::of("/"), Some(Place::Overview));
        assert_eq!(Place::of("/branch/sale"), Some(Place::Branch(name.clone())));
        assert_eq!(Place::of("/branch/sale/changes"), Some(Place::Changes(name.clone())));
        assert_eq!(Place::of("/branch/sale/mail/7"), Some(Place::Mail(name, 7)));
        assert_eq!(Place::of("/jobs/7"), Some(Place::Job("7".parse().unwrap())));
        assert_eq!(Place::of("/do/create"), Some(Place::Do(Action::Create)));
        for path in [
            "",
            "*",
            "/branch",
            "/branch/",
            "/branch/../log",
            "/branch/Sale",
            "/do/",
            "/do/rm",
            "//",
            "/jobs/x",
            "/jobs/07",
            "/jobs/-1",
            "/log/",
        ] {
            assert_eq!(Place::of(path), None, "{path}");
        }
    }
}
