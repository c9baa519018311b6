//! Whether a structure is serialized PHP or JSON: reads and writes either.

use super::tree::Value;
use super::{json, php};

/// How a structure is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Php,
    Json,
}

impl Format {
    /// A map of members: how each one's key and its value are written.
    pub(super) fn map<'a>(self, members: impl ExactSizeIterator<Item = (&'a [u8], Vec<u8>)>) -> Vec<u8> {
        match self {
            Self::Php => php::map(members),
            Self::Json => json::map(members),
        }
    }

    pub(super) fn list(self, values: impl ExactSizeIterator<Item = Vec<u8>>) -> Vec<u8> {
        match self {
            Self::Php => php::list(values),
            Self::Json => json::list(values),
        }
    }

    pub(super) fn text(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Php => php::text(text),
            Self::Json => json::text(text),
        }
    }
}

/// The tree that a value of the database is; none where it is a plain text.
pub(super) fn read(bytes: &[u8]) -> Option<(Format, Value<'_>)> {
    match bytes {
        [b'a' | b's', b':', ..] => Some((Format::Php, php::read(bytes)?)),
        [b'{' | b'[' | b'"' | b' ' | b'\n' | b'\t' | b'\r', ..] => Some((Format::Json, json::read(bytes)?)),
        _ => None,
    }
}
