//! Branch names. A [`BranchName`] is always a valid DNS label that no service of the site's host needs for itself.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most bytes a DNS label may have (RFC 1035, section 2.3.4).
const MAX_BYTES: usize = 63;

/// Labels that hosts give to other things than branches.
pub const RESERVED: [&str; 6] = ["admin", "api", "localhost", "mail", "wp", "www"];

/// The name of a branch: lower-case letters, digits, `-` and `_`, 1 to 63 of them, neither first nor last a `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BranchName(String);

/// Why a string is no branch name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InvalidName {
    /// The label is empty, too long or holds something other than a DNS label may.
    #[error(
        "invalid branch name {0:?}: use 1 to 63 lower-case letters, digits, '-' or '_', without a '-' at either end"
    )]
    NotALabel(String),
    /// The label is one that hosts keep for other things.
    #[error("invalid branch name '{0}': this name is reserved")]
    Reserved(String),
}

impl BranchName {
    /// The branch that always exists and that the root host serves.
    pub const MAIN: &'static str = "main";

    /// Takes a string as a branch name.
    ///
    /// # Errors
    /// [`InvalidName`] when the string breaks a rule: it says which.
    pub fn parse(name: &str) -> Result<Self, InvalidName> {
        let well_formed = (1..=MAX_BYTES).contains(&name.len())
            && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
            && !name.starts_with('-')
            && !name.ends_with('-');
        if !well_formed {
            return Err(InvalidName::NotALabel(name.to_owned()));
        }
        if RESERVED.contains(&name) {
            return Err(InvalidName::Reserved(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }

    /// The branch `main`.
    #[must_use]
    pub fn main() -> Self {
        Self(Self::MAIN.to_owned())
    }

    /// Whether this is the branch `main`.
    #[must_use]
    pub fn is_main(&self) -> bool {
        self.0 == Self::MAIN
    }

    /// The name as it is typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<BranchName> for String {
    fn from(name: BranchName) -> Self {
        name.0
    }
}

impl TryFrom<String> for BranchName {
    type Error = InvalidName;

    fn try_from(name: String) -> Result<Self, InvalidName> {
        Self::parse(&name)
    }
}

impl std::str::FromStr for BranchName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        Self::parse(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_label_is_a_name() {
        for name in ["main", "a", "7", "summer-sale", "agent_12", &"x".repeat(63)] {
            assert_eq!(BranchName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_is_no_label_is_refused() {
        let long = "x".repeat(64);
        for name in ["", "Main", "a.b", "a b", "-a", "a-", "é", "a/b", "..", ".", "a\0", "a\n", &long] {
            assert_eq!(BranchName::parse(name), Err(InvalidName::NotALabel(name.to_owned())));
        }
    }

    #[test]
    fn a_reserved_label_is_refused() {
        for name in ["www", "admin", "api", "mail", "localhost", "wp"] {
            assert_eq!(BranchName::parse(name), Err(InvalidName::Reserved(name.to_owned())));
        }
    }
}
