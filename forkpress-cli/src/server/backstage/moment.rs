//! Moments as they stand in records and logs, in seconds since 1970.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// A moment as RFC 3339 has it: `2026-11-28T15:45:11Z`.
pub(super) fn of_record(text: &str) -> Option<u64> {
    seconds(OffsetDateTime::parse(text, &Rfc3339).ok()?)
}

/// The moment before a line of a log: `28-Nov-2026 15:45:11 UTC` of PHP's, as RFC 3339 has it of ForkPress's own.
pub(super) fn of_log(text: &str) -> Option<u64> {
    let of_php = format_description!("[day]-[month repr:short]-[year] [hour]:[minute]:[second]");
    match text.strip_suffix(" UTC") {
        Some(text) => seconds(PrimitiveDateTime::parse(text, of_php).ok()?.assume_utc()),
        None => of_record(text),
    }
}

fn seconds(moment: OffsetDateTime) -> Option<u64> {
    moment.unix_timestamp().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use forkpress_core::record::rfc3339;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_moment_is_read_as_it_was_written() {
        for at in [0, 951_782_399, 951_782_400, 1_709_164_800, 1_795_880_711, 4_102_444_799] {
            assert_eq!(of_record(&rfc3339(UNIX_EPOCH + Duration::from_secs(at))), Some(at));
        }
        assert_eq!((of_record(""), of_record("yesterday"), of_record("1969-12-31T23:59:59Z")), (None, None, None));
    }

    #[test]
    fn moments_are_read_as_php_and_forkpress_log_them() {
        assert_eq!(of_log("28-Nov-2026 15:45:11 UTC"), Some(1_795_880_711));
        assert_eq!(of_log("2026-11-28T15:45:11Z"), Some(1_795_880_711));
        assert_eq!(of_log("Sat Nov 28 15:45:11.1 2026"), None);
    }
}
