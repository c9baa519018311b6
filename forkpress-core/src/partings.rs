//! The partings that a branch has: numbers of the operations at which it and another branch were the same.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Numbers of partings, in order. Written as ranges, `3,7-9`: mostly many follow each other, and every request reads the
/// record that they are in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Partings(Vec<(u64, u64)>);

/// The text is no list of ranges in their order.
#[derive(Debug, Error)]
#[error("'{0}' is no list of numbers like 3,7-9")]
pub struct NoPartings(String);

impl Partings {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is one of them.
    #[must_use]
    pub fn contains(&self, id: u64) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&id))
    }

    /// The numbers, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = u64> {
        self.0.iter().rev().flat_map(|(first, last)| (*first..=*last).rev())
    }

    /// Those that both have, newest first.
    pub fn common<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = u64> + 'a {
        self.newest_first().filter(|id| other.contains(*id))
    }
}

impl FromIterator<u64> for Partings {
    fn from_iter<I: IntoIterator<Item = u64>>(ids: I) -> Self {
        let mut ids: Vec<u64> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for id in ids {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == id => *last = id,
                _ => ranges.push((id, id)),
            }
        }
        Self(ranges)
    }
}

impl fmt::Display for Partings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (first, last)) in self.0.iter().enumerate() {
            f.write_str(if number > 0 { "," } else { "" })?;
            if first == last { write!(f, "{first}")? } else { write!(f, "{first}-{last}")? }
        }
        Ok(())
    }
}

impl FromStr for Partings {
    type Err = NoPartings;

    fn from_str(text: &str) -> Result<Self, NoPartings> {
        let range = |range: &str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
            (first <= last && last < u64::MAX).then_some((first, last))
        };
        let invalid = || NoPartings(text.to_owned());
        let ranges: Vec<_> =
            text.split(',').filter(|part| !part.is_empty()).map(range).collect::<Option<_>>().ok_or_else(invalid)?;
        if ranges.windows(2).all(|two| two[0].1 < two[1].0) { Ok(Self(ranges)) } else { Err(invalid()) }
    }
}

impl TryFrom<String> for Partings {
    type Error = NoPartings;

    fn try_from(text: String) -> Result<Self, NoPartings> {
        text.parse()
    }
}

impl From<Partings> for String {
    fn from(partings: Partings) -> Self {
        partings.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_ranges_and_read_back() {
        for (ids, text) in [
            (vec![], ""),
            (vec![7], "7"),
            (vec![9, 3, 8, 7, 7], "3,7-9"),
            ((1..=1000).filter(|id| *id != 500).collect(), "1-499,501-1000"),
        ] {
            let partings: Partings = ids.iter().copied().collect();
            assert_eq!(partings.to_string(), text);
            assert_eq!(text.parse::<Partings>().unwrap(), partings);
            let mut sorted = ids;
            sorted.sort_unstable_by(|one, other| other.cmp(one));
            sorted.dedup();
            assert_eq!(partings.newest_first().collect::<Vec<_>>(), sorted);
        }
        for text in ["x", "3-", "9-3", "7,3", "3,3", "1-5,5-6", "18446744073709551615"] {
            assert!(text.parse::<Partings>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_two_branches_share_is_found_newest_first() {
        let (one, other): (Partings, Partings) = ("1-3,7,9".parse().unwrap(), "2-8".parse().unwrap());
        assert_eq!(one.common(&other).collect::<Vec<_>>(), [7, 3, 2]);
        assert!(one.contains(9) && !one.contains(8));
    }
}
