//! Texts in other texts: base64, and what a URL has.

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// What is encoded in a value: base64, or what a URL has.
pub(super) fn encoded(value: &[u8]) -> Option<Vec<u8>> {
    if value.first() == Some(&b'%') || value.get(1..4).is_some_and(|start| start.eq_ignore_ascii_case(b"%3a")) {
        return Some(percent_encoding::percent_decode(value).collect());
    }
    from_base64(value)
}

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::RequireNone);

/// What this is the base64 of; none where it is not that, or too short to tell.
pub(super) fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    const SHORTEST: usize = 12;
    let is_of_it = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=\r\n".contains(byte);
    if text.len() < SHORTEST || !text.iter().all(is_of_it) {
        return None;
    }
    let mut text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    while text.last() == Some(&b'=') || text.len() % 4 == 1 {
        text.pop();
    }
    let is_of_url = text.iter().any(|byte| matches!(byte, b'-' | b'_'));
    GeneralPurpose::new(if is_of_url { &URL_SAFE } else { &STANDARD }, LENIENT).decode(text).ok()
}
