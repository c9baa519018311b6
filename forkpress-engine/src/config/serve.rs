//! `[serve]` in `site.toml`: what a server takes of a client, and for how long.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A day. php-fpm counts in fewer bits than the settings could have.
const LONGEST_SECONDS: u64 = 86_400;

/// PHP takes no variable that is longer than a record of FastCGI, and no server gets by with less than this.
const HEAD_BYTES: RangeInclusive<u64> = 8192..=60_000;

/// What OPcache needs for its table and for WordPress.
pub const LEAST_OPCACHE_BYTES: u64 = 64 << 20;

/// The limits of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Serve {
    /// The most bytes of a request's body. PHP's own limits follow it.
    pub body_bytes: u64,
    /// The most bytes of a request's head.
    pub head_bytes: u64,
    /// For how many seconds a client may keep the server waiting.
    pub client_timeout: u64,
    /// For how many seconds a request may run; 0: for as long as it takes.
    pub request_timeout: u64,
    /// OPcache's memory; none: a quarter of the machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opcache_bytes: Option<u64>,
}

impl Default for Serve {
    /// For people who build sites: a backup of a large one can be uploaded, and no page holds a lock for long.
    fn default() -> Self {
        Self { body_bytes: 4 << 30, head_bytes: 60_000, client_timeout: 60, request_timeout: 120, opcache_bytes: None }
    }
}

/// A number that a setting can't have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name} = {value}, which has to be from {least} to {most}")]
pub struct OutOfRange {
    /// The setting.
    pub name: &'static str,
    /// What it is.
    pub value: u64,
    /// The least that it can be.
    pub least: u64,
    /// The most.
    pub most: u64,
}

impl OutOfRange {
    pub(super) fn check(name: &'static str, value: u64, range: RangeInclusive<u64>) -> Result<(), Self> {
        let wrong = || Self { name, value, least: *range.start(), most: *range.end() };
        if range.contains(&value) { Ok(()) } else { Err(wrong()) }
    }
}

impl Serve {
    /// Whether these are limits that can be kept.
    ///
    /// # Errors
    /// [`OutOfRange`] for the first that can't.
    pub fn check(&self) -> Result<(), OutOfRange> {
        OutOfRange::check("serve.body_bytes", self.body_bytes, 1..=u64::MAX / 2)?;
        OutOfRange::check("serve.head_bytes", self.head_bytes, HEAD_BYTES)?;
        OutOfRange::check("serve.client_timeout", self.client_timeout, 1..=LONGEST_SECONDS)?;
        OutOfRange::check("serve.request_timeout", self.request_timeout, 0..=LONGEST_SECONDS)?;
        let opcache_bytes = self.opcache_bytes.unwrap_or(LEAST_OPCACHE_BYTES);
        OutOfRange::check("serve.opcache_bytes", opcache_bytes, LEAST_OPCACHE_BYTES..=1 << 40)
    }

    /// For how long a request may run; none: for as long as it takes.
    #[must_use]
    pub fn longest_request(&self) -> Option<Duration> {
        (self.request_timeout > 0).then(|| Duration::from_secs(self.request_timeout))
    }

    /// The largest file that can be uploaded: a body has to hold it and the form around it.
    #[must_use]
    pub fn upload_bytes(&self) -> u64 {
        self.body_bytes - (self.body_bytes / 16).min(8 << 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_can_not_be_kept_are_named() {
        let default = Serve::default();
        assert_eq!(default.check(), Ok(()));
        for (name, limits) in [
            ("body_bytes", Serve { body_bytes: 0, ..default.clone() }),
            ("head_bytes", Serve { head_bytes: 8191, ..default.clone() }),
            ("head_bytes", Serve { head_bytes: 60_001, ..default.clone() }),
            ("client_timeout", Serve { client_timeout: 0, ..default.clone() }),
            ("client_timeout", Serve { client_timeout: 86_401, ..default.clone() }),
            ("request_timeout", Serve { request_timeout: 86_401, ..default.clone() }),
            ("opcache_bytes", Serve { opcache_bytes: Some(8 << 20), ..default.clone() }),
        ] {
            assert_eq!(limits.check().unwrap_err().name, format!("serve.{name}"));
        }
        let error = Serve { head_bytes: 1, ..default }.check().unwrap_err();
        assert_eq!(error.to_string(), "serve.head_bytes = 1, which has to be from 8192 to 60000");
    }

    #[test]
    fn no_time_for_requests_is_any_time() {
        assert_eq!(Serve::default().longest_request(), Some(Duration::from_secs(120)));
        assert_eq!(Serve { request_timeout: 0, ..Serve::default() }.longest_request(), None);
    }

    #[test]
    fn a_form_fits_around_the_largest_file() {
        let upload = |body_bytes| Serve { body_bytes, ..Serve::default() }.upload_bytes();
        assert_eq!([136 << 20, 16, 1].map(upload), [128 << 20, 15, 1]);
    }
}
