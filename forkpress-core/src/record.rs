//! A branch's record: what makes a folder a branch.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::name::BranchName;
use crate::own;
use crate::partings::Partings;
use crate::uploads::Uploads;

/// When and from what a branch was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BranchRecord {
    /// When the branch got the tree it has, in UTC, as RFC 3339 has it: `2026-11-22T17:25:46Z`.
    pub created_at: String,
    /// The branch whose tree it was; none for the first `main`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<BranchName>,
    /// The publish that made it. A power cut may take the counter back, so two may have the same number.
    pub generation: u64,
    /// The operation that made it, by its number in the log, which no power cut takes back; none in a record of a version
    /// that did not write it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<u64>,
    /// The partings of which it is one side. None in a record of a version that kept none.
    #[serde(default, skip_serializing_if = "Partings::is_empty")]
    pub partings: Partings,
    /// Where its media library is, if it came without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploads: Option<Uploads>,
}

/// Why a record can't be used.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The record can't be read.
    #[error("cannot read the record {path}")]
    Read {
        /// The record.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The record is not valid.
    #[error("the record {path} is not valid")]
    Invalid {
        /// The record.
        path: PathBuf,
        /// What is wrong and where.
        source: Box<toml::de::Error>,
    },
}

impl BranchRecord {
    /// A record of a tree that is published now.
    #[must_use]
    pub fn now(from: Option<BranchName>, generation: u64) -> Self {
        Self {
            created_at: rfc3339(SystemTime::now()),
            from,
            generation,
            operation: None,
            partings: Partings::default(),
            uploads: None,
        }
    }

    /// Reads the record at `path`; none where there is no such file.
    ///
    /// # Errors
    /// [`RecordError::Read`] when the record is there and can't be read; [`RecordError::Invalid`] when it is no record.
    pub fn read(path: &Path) -> Result<Option<Self>, RecordError> {
        let text = match own::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(RecordError::Read { path: path.to_owned(), source }),
        };
        toml::from_str(&text)
            .map(Some)
            .map_err(|source| RecordError::Invalid { path: path.to_owned(), source: Box::new(source) })
    }

    /// The text of its file.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a record is plain values")
    }
}

/// A moment in UTC to the second, as RFC 3339 has it.
#[must_use]
pub fn rfc3339(moment: SystemTime) -> String {
    let seconds = moment.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The Gregorian date of a number of days after 1970-01-01.
///
/// Counted in years that begin in March, so that a leap day is the last of its year, and in eras of 400 years, which all
/// have the same number of days (Howard Hinnant, `civil_from_days`).
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_1970: u64 = 719_468;
    const DAYS_IN_ERA: u64 = 146_097;
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days / DAYS_IN_ERA, days % DAYS_IN_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.toml");
        assert_eq!(BranchRecord::read(&path).unwrap(), None);
        for from in [None, Some(BranchName::main())] {
            let record = BranchRecord::now(from, 7);
            fs::write(&path, record.to_toml()).unwrap();
            assert_eq!(BranchRecord::read(&path).unwrap(), Some(record));
        }
        let uploads = Uploads { folder: "wp-content/uploads".to_owned(), url: "https://a.example/u".to_owned() };
        let written = BranchRecord {
            operation: Some(9),
            partings: "3,5-9".parse().unwrap(),
            uploads: Some(uploads),
            ..BranchRecord::now(None, 7)
        };
        fs::write(&path, written.to_toml()).unwrap();
        assert_eq!(BranchRecord::read(&path).unwrap(), Some(written));
        fs::write(&path, "created_at = 'x'\ngeneration = 1\n").unwrap();
        assert_eq!(BranchRecord::read(&path).unwrap().unwrap().operation, None, "an earlier version wrote none");
        fs::write(&path, "created_at = 'x'\ngeneration = 1\nfrom = '../main'\n").unwrap();
        assert!(matches!(BranchRecord::read(&path), Err(RecordError::Invalid { .. })));
    }

    #[test]
    fn moments_are_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }
}
