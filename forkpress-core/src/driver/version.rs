//! The version of a driver, as its main file says it.

use std::cmp::Ordering;
use std::fmt;
use std::fs;
use std::path::Path;

/// The main file of the driver, which has its version in its first lines.
const MAIN_FILE: &str = "load.php";

/// A version such as `3.0.2`, or `3.0.0-rc.7`, which comes before `3.0.0`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    numbers: Vec<u64>,
    /// What stands behind the numbers; empty for a release.
    rest: String,
}

impl Version {
    /// Reads a version; none where the text does not begin with a number.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let numbers = numbers.trim_end_matches('.').split('.').map(|number| number.parse().ok());
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-+_".contains(c);
        let version = Self { numbers: numbers.collect::<Option<_>>()?, rest: rest.to_owned() };
        rest.chars().all(is_plain).then_some(version)
    }

    /// The version of the driver in a folder; none where there is no driver, or where it does not say.
    #[must_use]
    pub fn of(folder: &Path) -> Option<Self> {
        let bytes = fs::read(folder.join(MAIN_FILE)).ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let said = text.lines().take(40).find_map(|line| {
            line.trim_start_matches([' ', '*', '\t']).strip_prefix("Version:").map(|said| said.trim().to_owned())
        });
        Self::parse(&said?)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.numbers.iter().map(u64::to_string).collect();
        write!(f, "{}{}", numbers.join("."), self.rest)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let is_release = |version: &Self| version.rest.is_empty();
        let length = self.numbers.len().max(other.numbers.len());
        let padded = |version: &Self| {
            version.numbers.iter().copied().chain(std::iter::repeat(0)).take(length).collect::<Vec<_>>()
        };
        // Two before the same release have their numbers, if any, last.
        let last = |version: &Self| version.rest.rsplit('.').next().and_then(|last| last.parse::<u64>().ok());
        padded(self)
            .cmp(&padded(other))
            .then_with(|| is_release(self).cmp(&is_release(other)))
            .then_with(|| last(self).cmp(&last(other)))
            .then_with(|| self.rest.cmp(&other.rest))
            .then_with(|| self.numbers.len().cmp(&other.numbers.len()))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_the_order_in_which_they_came() {
        let order = ["2.2.23", "2.10.0", "3.0.0-rc.7", "3.0.0-rc.10", "3.0.0", "3.0.2", "3.1"];
        for pair in order.windows(2) {
            assert!(Version::parse(pair[0]).unwrap() < Version::parse(pair[1]).unwrap(), "{pair:?}");
        }
        assert_eq!(Version::parse("3.0.0-rc.7").unwrap().to_string(), "3.0.0-rc.7");
        for text in ["", "x", "3.0\u{1b}[1m", "v3"] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_driver_says_its_version_in_its_main_file() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Version::of(dir.path()), None);
        fs::write(dir.path().join(MAIN_FILE), "<?php\n/**\n * Plugin Name: SQLite\n * Version: 3.0.2\n */\n").unwrap();
        assert_eq!(Version::of(dir.path()).unwrap().to_string(), "3.0.2");
    }
}
