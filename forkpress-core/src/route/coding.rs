//! Content codings: which of them a client takes, and which files are worth one. RFC 9110, sections 8.4.1 and 12.5.3.

use super::version::FileVersion;
use crate::address::answer;

/// A file of fewer bytes is sent as it is: it fits into one packet either way.
const FEWEST_BYTES: u64 = 1024;

/// A file of more bytes is not compressed while its client waits.
const MOST_BYTES: u64 = 8 << 20;

/// Media types, beside texts, that compress well.
const PLAIN_BYTES: [&str; 7] = [
    "application/rtf",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/x-icon",
];

/// A way to compress a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Zstandard.
    Zstd,
    /// Brotli.
    Brotli,
    /// Gzip.
    Gzip,
}

impl Coding {
    /// All of them. Of those that a client likes as well as each other, the first is taken: the fastest.
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// Its name in `Content-Encoding`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// What the name of a file that is stored so ends in, after a dot.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Zstd => "zst",
            Self::Brotli => "br",
            Self::Gzip => "gz",
        }
    }
}

/// What a client takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AcceptedCodings {
    best: Vec<Coding>,
    refuses_plain: bool,
}

impl AcceptedCodings {
    /// Reads `Accept-Encoding`. A member that is malformed counts as not there.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        let members: Vec<(Vec<u8>, u16)> = value.split(|&b| b == b',').filter_map(member).collect();
        let weight = |names: &[&str]| {
            let of = |name: &str| members.iter().find(|(known, _)| known == name.as_bytes()).map(|(_, weight)| *weight);
            names.iter().find_map(|name| of(name))
        };
        let any = weight(&["*"]);
        let plain = weight(&["identity"]);
        let weighed = Coding::ALL.map(|coding| {
            let named = match coding {
                Coding::Gzip => weight(&["gzip", "x-gzip"]),
                _ => weight(&[coding.name()]),
            };
            (coding, named.or(any).unwrap_or(0))
        });
        let most = weighed.iter().map(|(_, weight)| *weight).max().unwrap_or(0);
        // As it is counts for less than what is named, unless it is named, too.
        let best = weighed.into_iter().filter(|(_, weight)| most > 0 && *weight == most && plain.unwrap_or(0) <= most);
        Self { best: best.map(|(coding, _)| coding).collect(), refuses_plain: plain.or(any) == Some(0) }
    }

    /// Those that the client likes best; none where it would rather have the file as it is.
    #[must_use]
    pub fn best(&self) -> &[Coding] {
        &self.best
    }

    /// How a file of this size is sent that is not stored compressed; none: as it is. Who takes nothing that there is
    /// gets the file as it is.
    pub(super) fn on_the_fly(&self, version: &FileVersion) -> Option<Coding> {
        let is_worth_it = version.size >= FEWEST_BYTES || self.refuses_plain;
        self.best.first().copied().filter(|_| is_worth_it && version.size <= MOST_BYTES)
    }
}

/// A coding in small letters, and its weight in thousandths.
fn member(text: &[u8]) -> Option<(Vec<u8>, u16)> {
    let mut parts = text.split(|&b| b == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().filter(|name| !name.is_empty())?.to_ascii_lowercase();
    let weight = match parts.next() {
        None => 1000,
        Some(parameter) => thousandths(parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?)?,
    };
    parts.next().is_none().then_some((name, weight))
}

/// A weight such as `0.8`: from 0 to 1, with three digits behind the point at most.
fn thousandths(text: &[u8]) -> Option<u16> {
    let (whole, digits) = match text {
        [whole @ (b'0' | b'1')] => (whole, &[][..]),
        [whole @ (b'0' | b'1'), b'.', digits @ ..] if digits.len() <= 3 => (whole, digits),
        _ => return None,
    };
    let mut weight = u16::from(whole - b'0') * 1000;
    for (digit, of) in digits.iter().zip([100, 10, 1]) {
        weight += u16::from(digit.is_ascii_digit().then_some(digit - b'0')?) * of;
    }
    (weight <= 1000).then_some(weight)
}

/// Whether a file of this media type is sent compressed to who takes that.
pub(super) fn is_compressible(media_type: &str) -> bool {
    PLAIN_BYTES.contains(&media_type) || answer::is_text(media_type.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::Coding::{Brotli, Gzip, Zstd};
    use super::*;

    fn best(value: &str) -> Vec<Coding> {
        AcceptedCodings::parse(value.as_bytes()).best
    }

    #[test]
    fn the_codings_that_a_client_likes_best_are_taken() {
        for (value, codings) in [
            ("", &[][..]),
            ("identity", &[]),
            ("deflate, compress", &[]),
            ("gzip", &[Gzip]),
            ("x-gzip", &[Gzip]),
            ("GZip;Q=0.5", &[Gzip]),
            ("gzip, deflate, br, zstd", &[Zstd, Brotli, Gzip]),
            ("gzip;q=1.0, br;q=0.9", &[Gzip]),
            ("gzip;q=0.123,br;q=0.124", &[Brotli]),
            ("br;q=0", &[]),
            ("br;q=0.000, gzip ; q=0.001", &[Gzip]),
            ("*", &[Zstd, Brotli, Gzip]),
            ("*;q=0", &[]),
            ("*;q=0.5, zstd;q=0", &[Brotli, Gzip]),
            ("gzip;q=0.5, *;q=0.1", &[Gzip]),
            ("identity, gzip;q=0.5", &[]),
            ("identity;q=0.5, gzip;q=0.5", &[Gzip]),
            ("identity;q=0.5, gzip;q=0.6", &[Gzip]),
            ("identity;q=0, gzip;q=0.1", &[Gzip]),
            ("identity;q=0", &[]),
        ] {
            assert_eq!(best(value), codings, "{value}");
        }
    }

    #[test]
    fn what_is_malformed_counts_as_not_there() {
        for value in [
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=-1",
            "gzip;q=0.1234",
            "gzip;q=",
            "gzip;q",
            "gzip;level=9",
            "gzip;q=1;x=y",
            "gzip;q=1;q=1",
            "gzip;q=0.x",
            "gzip zstd",
            ";q=1",
            ",;,=,\u{0},\u{ff}",
            "gzipp",
            "\"gzip\"",
        ] {
            assert_eq!(best(value), [], "{value}");
            assert_eq!(best(&format!("{value}, br")), [Brotli], "{value}");
        }
        assert_eq!(best(&format!("{}gzip", "x;q=0.5, ".repeat(6000))), [Gzip]);
    }

    #[test]
    fn a_file_is_compressed_where_that_is_worth_it_or_nothing_else_is_taken() {
        let on_the_fly = |value: &str, size| {
            let version = FileVersion { size, ..FileVersion::default() };
            AcceptedCodings::parse(value.as_bytes()).on_the_fly(&version)
        };
        assert_eq!(on_the_fly("gzip, br", FEWEST_BYTES), Some(Brotli));
        assert_eq!(on_the_fly("gzip", FEWEST_BYTES - 1), None);
        assert_eq!(on_the_fly("gzip, identity;q=0", 1), Some(Gzip));
        assert_eq!(on_the_fly("gzip, *;q=0", 1), Some(Gzip));
        assert_eq!(on_the_fly("gzip, *;q=0, identity;q=0.1", 1), None);
        assert_eq!(on_the_fly("gzip", MOST_BYTES), Some(Gzip));
        assert_eq!(on_the_fly("gzip, identity;q=0", MOST_BYTES + 1), None);
        assert_eq!(on_the_fly("*;q=0", 5000), None, "there is nothing else to send");
    }

    #[test]
    fn texts_and_plain_bytes_are_compressed_and_pictures_are_not() {
        for media in [
            "text/css; charset=utf-8",
            "text/javascript; charset=utf-8",
            "image/svg+xml",
            "application/wasm",
            "font/ttf",
        ] {
            assert!(is_compressible(media), "{media}");
        }
        for media in ["image/png", "font/woff2", "application/zip", "application/octet-stream", "video/mp4"] {
            assert!(!is_compressible(media), "{media}");
        }
    }
}
