//! Which part of a file a request gets: RFC 9110, sections 13 (conditions) and 14 (ranges).

use std::time::SystemTime;

use super::coding::AcceptedCodings;
use super::version::FileVersion;

/// The method and the header values of a request that decide what of a file is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Conditions<'a> {
    /// The method, as it was sent.
    pub method: &'a [u8],
    /// `If-Match`.
    pub if_match: Option<&'a [u8]>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<&'a [u8]>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a [u8]>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<&'a [u8]>,
    /// `If-Range`.
    pub if_range: Option<&'a [u8]>,
    /// `Range`.
    pub range: Option<&'a [u8]>,
    /// What `Accept-Encoding` says; none where nothing is ever compressed.
    pub codings: Option<&'a AcceptedCodings>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// The whole file.
    Full,
    /// The bytes from the first to the last, both included.
    Part { first: u64, last: u64 },
    /// Nothing: the client has it.
    NotModified,
    /// Nothing: the file is not the one that the client means.
    PreconditionFailed,
    /// Nothing: the file has no such bytes.
    RangeNotSatisfiable,
}

impl Conditions<'_> {
    /// What the client takes of a whole file. A part is one of the file as it is.
    pub(super) fn codings_of_whole(&self) -> Option<&AcceptedCodings> {
        self.codings.filter(|_| self.range.is_none() || self.method == b"HEAD")
    }

    /// Decides in the order of RFC 9110, section 13.2.2, about what has this tag.
    pub(super) fn select(&self, version: &FileVersion, etag: &str) -> Selection {
        match (self.if_match, self.if_unmodified_since.and_then(date)) {
            (Some(tags), _) if !lists(tags, etag, Comparison::Strong) => return Selection::PreconditionFailed,
            (None, Some(since)) if version.last_modified() > since => return Selection::PreconditionFailed,
            _ => {}
        }
        let unchanged = match (self.if_none_match, self.if_modified_since.and_then(date)) {
            (Some(tags), _) => lists(tags, etag, Comparison::Weak),
            (None, Some(since)) => version.last_modified() <= since,
            (None, None) => false,
        };
        if unchanged {
            return Selection::NotModified;
        }
        // A date never stands for one version of a file: two edits in a second share it.
        let range_applies =
            self.method == b"GET" && self.if_range.is_none_or(|tag| tag.trim_ascii() == etag.as_bytes());
        match self.range {
            Some(range) if range_applies => select_range(range, version.size),
            _ => Selection::Full,
        }
    }
}

#[derive(PartialEq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of entity tags, or `*`, holds `etag`. No tag of ours has a comma in it.
fn lists(tags: &[u8], etag: &str, comparison: Comparison) -> bool {
    tags.trim_ascii() == b"*"
        || tags.split(|&b| b == b',').map(<[u8]>::trim_ascii).any(|tag| {
            let tag = match tag.strip_prefix(b"W/") {
                Some(opaque) if comparison == Comparison::Weak => opaque,
                _ => tag,
            };
            tag == etag.as_bytes()
        })
}

fn date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?.trim()).ok()
}

/// A `Range` value that is malformed, of another unit or of several ranges is ignored, which the RFC allows.
fn select_range(range: &[u8], size: u64) -> Selection {
    let Some((first, last)) = parse_range(range) else {
        return Selection::Full;
    };
    match (first, last) {
        (Some(first), last) if first < size => Selection::Part { first, last: last.unwrap_or(u64::MAX).min(size - 1) },
        (None, Some(suffix)) if suffix > 0 && size > 0 => {
            Selection::Part { first: size.saturating_sub(suffix), last: size - 1 }
        }
        _ => Selection::RangeNotSatisfiable,
    }
}

/// The two numbers of the one range; a suffix length is the second alone. `None` where there is no one valid range.
fn parse_range(range: &[u8]) -> Option<(Option<u64>, Option<u64>)> {
    let range = std::str::from_utf8(range).ok()?.trim();
    let (unit, range) = range.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    let number = |digits: &str| match digits {
        "" => Some(None),
        _ if digits.bytes().all(|b| b.is_ascii_digit()) => Some(Some(digits.parse().unwrap_or(u64::MAX))),
        _ => None,
    };
    let bounds = (number(first)?, number(last)?);
    let valid = match bounds {
        (Some(first), Some(last)) => first <= last,
        (None, None) => false,
        _ => true,
    };
    (unit.eq_ignore_ascii_case("bytes") && valid).then_some(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT and half a second.
    const VERSION: FileVersion = FileVersion {
        size: 1000,
        modified: 784_111_777,
        modified_nanos: 500_000_000,
        inode: 7,
        device: 1,
        changed: (0, 0),
    };
    const ETAG: &str = "\"7-3e8-2ebc98a11dcd6500\"";
    const AT: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &[u8] = b"Sun, 06 Nov 1994 08:49:36 GMT";

    fn get() -> Conditions<'static> {
        Conditions { method: b"GET", ..Conditions::default() }
    }

    fn range(value: &str, size: u64) -> Selection {
        Conditions { range: Some(value.as_bytes()), ..get() }.select(&FileVersion { size, ..VERSION }, ETAG)
    }

    #[test]
    fn a_request_without_conditions_gets_the_whole_file() {
        assert_eq!(get().select(&VERSION, ETAG), Selection::Full);
    }

    #[test]
    fn the_tag_that_was_sent_is_not_modified() {
        assert_eq!(VERSION.etag(), ETAG);
        let weak = format!("W/{ETAG}");
        let listed = format!("\"a\" , {ETAG},\"b\"");
        for tags in [ETAG, &weak, &listed, "*", " * "] {
            let conditions = Conditions { if_none_match: Some(tags.as_bytes()), ..get() };
            assert_eq!(conditions.select(&VERSION, ETAG), Selection::NotModified, "{tags}");
        }
        for tags in ["\"a\"", "", "7-3e8", "W/\"a\""] {
            let conditions = Conditions { if_none_match: Some(tags.as_bytes()), ..get() };
            assert_eq!(conditions.select(&VERSION, ETAG), Selection::Full, "{tags}");
        }
    }

    #[test]
    fn an_edit_of_the_same_size_in_the_same_second_has_another_tag() {
        assert_ne!(FileVersion { modified_nanos: 1, ..VERSION }.etag(), ETAG);
        assert_ne!(FileVersion { inode: 8, ..VERSION }.etag(), ETAG);
    }

    #[test]
    fn the_date_that_was_sent_is_not_modified_unless_a_tag_says_otherwise() {
        for (since, selection) in [
            (AT, Selection::NotModified),
            (b"Mon, 07 Nov 1994 08:49:37 GMT", Selection::NotModified),
            (b"Sunday, 06-Nov-94 08:49:37 GMT", Selection::NotModified),
            (b"Sun Nov  6 08:49:37 1994", Selection::NotModified),
            (BEFORE, Selection::Full),
            (b"yesterday", Selection::Full),
        ] as [(&[u8], Selection); 6]
        {
            let conditions = Conditions { if_modified_since: Some(since), ..get() };
            assert_eq!(conditions.select(&VERSION, ETAG), selection);
            let tagged = Conditions { if_none_match: Some(b"\"a\""), ..conditions };
            assert_eq!(tagged.select(&VERSION, ETAG), Selection::Full);
        }
    }

    #[test]
    fn a_file_that_is_not_the_one_meant_fails_the_precondition() {
        let weak = format!("W/{ETAG}");
        let select = |if_match: Option<&[u8]>, if_unmodified_since: Option<&[u8]>| {
            Conditions { if_match, if_unmodified_since, ..get() }.select(&VERSION, ETAG)
        };
        assert_eq!(select(Some(ETAG.as_bytes()), None), Selection::Full);
        assert_eq!(select(Some(b"*"), None), Selection::Full);
        assert_eq!(select(Some(b"\"a\""), None), Selection::PreconditionFailed);
        assert_eq!(select(Some(weak.as_bytes()), None), Selection::PreconditionFailed);
        assert_eq!(select(Some(ETAG.as_bytes()), Some(BEFORE)), Selection::Full, "the tag decides");
        assert_eq!(select(None, Some(AT)), Selection::Full);
        assert_eq!(select(None, Some(BEFORE)), Selection::PreconditionFailed);
    }

    #[test]
    fn one_range_selects_its_bytes() {
        for (value, first, last) in [
            ("bytes=0-0", 0, 0),
            ("bytes=0-499", 0, 499),
            ("BYTES=500-", 500, 999),
            ("bytes=990-5000", 990, 999),
            ("bytes=-1", 999, 999),
            ("bytes=-1000", 0, 999),
            ("bytes=-99999999999999999999", 0, 999),
            ("bytes=0-99999999999999999999", 0, 999),
            (" bytes=1-2 ", 1, 2),
        ] {
            assert_eq!(range(value, 1000), Selection::Part { first, last }, "{value}");
        }
    }

    #[test]
    fn a_range_beyond_the_end_is_not_satisfiable() {
        for value in ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(range(value, 1000), Selection::RangeNotSatisfiable, "{value}");
        }
        assert_eq!(range("bytes=0-", 0), Selection::RangeNotSatisfiable);
        assert_eq!(range("bytes=-5", 0), Selection::RangeNotSatisfiable);
    }

    #[test]
    fn a_range_that_means_nothing_and_several_ranges_get_the_whole_file() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=2-1",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=+1-2",
            "0-1",
        ] {
            assert_eq!(range(value, 1000), Selection::Full, "{value}");
        }
    }

    #[test]
    fn a_range_counts_only_for_get_and_for_the_version_it_was_asked_of() {
        let part = Selection::Part { first: 0, last: 9 };
        let ranged = Conditions { range: Some(b"bytes=0-9"), ..get() };
        assert_eq!(Conditions { method: b"HEAD", ..ranged }.select(&VERSION, ETAG), Selection::Full);
        assert_eq!(Conditions { if_range: Some(ETAG.as_bytes()), ..ranged }.select(&VERSION, ETAG), part);
        let weak = format!("W/{ETAG}");
        for stale in [b"\"a\"".as_slice(), weak.as_bytes(), AT] {
            assert_eq!(Conditions { if_range: Some(stale), ..ranged }.select(&VERSION, ETAG), Selection::Full);
        }
    }
}
