//! What `branchfs://` can't reach, and in which branches it may change files.

use std::fmt;

use crate::layout::{DATABASE_DIR, WORK_DIR};
use crate::name::BranchName;

/// Whether names, from the branch's folder on and with every symlink followed, lead to what is out of reach: a work folder of
/// ForkPress, or the folder of the branch's database, in any case.
///
/// A database is one thing with its log: code that reads or writes a part of it as a file destroys it.
#[must_use]
pub fn is_private<S: AsRef<[u8]>>(names: &[S]) -> bool {
    let mut database = DATABASE_DIR.split('/');
    let in_database = names.len() >= database.clone().count()
        && names.iter().zip(database.by_ref()).all(|(name, part)| is(name, part));
    in_database || names.iter().any(|name| is(name, WORK_DIR))
}

/// Whether these names lead to a folder that holds what is private, so that to rename it would bring that into reach.
pub(super) fn holds_private<S: AsRef<[u8]>>(names: &[S]) -> bool {
    names.len() < DATABASE_DIR.split('/').count()
        && names.iter().zip(DATABASE_DIR.split('/')).all(|(name, part)| is(name, part))
}

fn is(name: &impl AsRef<[u8]>, part: &str) -> bool {
    name.as_ref().eq_ignore_ascii_case(part.as_bytes())
}

/// In which branches files may be changed through `branchfs://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WritePolicy {
    /// In the branch that the code runs in.
    Own,
    /// In every branch.
    Any,
    /// In none.
    None,
}

impl WritePolicy {
    /// Takes the value of `branchfs.write`. What is not one of the three is `none`.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        match value {
            b"own" => Self::Own,
            b"any" => Self::Any,
            _ => Self::None,
        }
    }

    /// Whether code that runs in the branch `own` may change files of `branch`.
    #[must_use]
    pub fn allows(self, branch: &BranchName, own: Option<&BranchName>) -> bool {
        match self {
            Self::Own => own == Some(branch),
            Self::Any => true,
            Self::None => false,
        }
    }
}

impl fmt::Display for WritePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own => "own",
            Self::Any => "any",
            Self::None => "none",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Vec<&str> {
        path.split('/').collect()
    }

    #[test]
    fn the_database_and_work_folders_are_private() {
        for path in [
            "wp-content/database",
            "wp-content/database/.ht.sqlite",
            "WP-Content/Database/x",
            ".forkpress",
            "a/.ForkPress/b",
        ] {
            assert!(is_private(&names(path)), "{path}");
        }
        for path in ["wp-content", "wp-content/databases", "database", "a/wp-content/database", ".forkpress.txt"] {
            assert!(!is_private(&names(path)), "{path}");
        }
        assert!(!is_private::<&str>(&[]));
        assert!(holds_private(&names("wp-content")) && !holds_private(&names("wp-includes")));
    }

    #[test]
    fn a_branch_is_changed_by_itself_by_all_or_by_none() {
        let (main, other) = (BranchName::main(), BranchName::parse("other").unwrap());
        let allowed = |value: &[u8]| {
            let policy = WritePolicy::parse(value);
            [policy.allows(&main, Some(&main)), policy.allows(&other, Some(&main)), policy.allows(&main, None)]
        };
        assert_eq!(allowed(b"own"), [true, false, false]);
        assert_eq!(allowed(b"any"), [true; 3]);
        assert_eq!(allowed(b"none"), [false; 3]);
        assert_eq!(allowed(b"On"), [false; 3]);
    }
}
