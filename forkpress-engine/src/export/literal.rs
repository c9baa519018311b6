//! Values and names as MySQL's SQL writes them.

use std::io::Write;

/// A name between backquotes.
pub(super) fn name(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Names in brackets.
pub(super) fn names<'n>(names: impl Iterator<Item = &'n str>) -> String {
    format!("({})", names.map(name).collect::<Vec<_>>().join(", "))
}

/// A text between quotes, as a text.
pub(super) fn quoted(value: &str) -> String {
    let mut out = Vec::with_capacity(value.len() + 2);
    text(&mut out, value.as_bytes());
    String::from_utf8(out).expect("escapes are ASCII")
}

/// What stands for a byte after a backslash; 0 for a byte that is written as it is.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    escapes[0] = b'0';
    escapes[b'\n' as usize] = b'n';
    escapes[b'\r' as usize] = b'r';
    escapes[0x1a] = b'Z';
    escapes[b'\'' as usize] = b'\'';
    escapes[b'\\' as usize] = b'\\';
    escapes
};

/// Writes a text between quotes.
pub(super) fn text(out: &mut Vec<u8>, value: &[u8]) {
    out.reserve(value.len() + 2);
    out.push(b'\'');
    let mut rest = value;
    while let Some(at) = rest.iter().position(|byte| ESCAPES[usize::from(*byte)] != 0) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(&[b'\\', ESCAPES[usize::from(rest[at])]]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'\'');
}

/// Writes bytes as hexadecimal digits. No bytes at all are an empty text: a bare `0x` is refused.
pub(super) fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    if value.is_empty() {
        return out.extend_from_slice(b"''");
    }
    out.reserve(2 * value.len() + 2);
    out.extend_from_slice(b"0x");
    out.extend(value.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]));
}

/// Writes a whole number.
pub(super) fn integer(out: &mut Vec<u8>, value: i64) {
    write!(out, "{value}").expect("memory takes it");
}

/// Writes a number so that it is read as the same one. MySQL knows none beyond the largest: that stands for them.
pub(super) fn real(out: &mut Vec<u8>, value: f64) {
    write!(out, "{:?}", value.clamp(f64::MIN, f64::MAX)).expect("memory takes it");
}

/// Writes a number without an exponent: what has one would be no decimal number to MySQL, and lose digits.
pub(super) fn decimal(out: &mut Vec<u8>, value: f64) {
    write!(out, "{}", value.clamp(f64::MIN, f64::MAX)).expect("memory takes it");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_would_end_a_text_or_be_lost_in_it_is_escaped() {
        assert_eq!(quoted("a'b\\c\"d%_é🎉"), r#"'a\'b\\c"d%_é🎉'"#);
        assert_eq!(quoted("\0\n\r\t\x1a"), "'\\0\\n\\r\t\\Z'");
        assert_eq!(name("a`b"), "`a``b`");
        assert_eq!(names(["a", "b"].into_iter()), "(`a`, `b`)");
    }

    #[test]
    fn bytes_are_digits_and_none_are_an_empty_text() {
        assert_eq!(written(|out| bytes(out, b"\0\xff'")), "0x00FF27");
        assert_eq!(written(|out| bytes(out, b"")), "''");
    }

    #[test]
    fn numbers_are_the_same_when_they_are_read() {
        for value in [0.1, -0.0, 1e300, 5e-324, f64::MAX, 1.0 / 3.0, 123_456_789.123_456] {
            assert_eq!(written(|out| real(out, value)).parse::<f64>().unwrap().to_bits(), value.to_bits());
            assert_eq!(written(|out| decimal(out, value)).parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
        assert_eq!(written(|out| decimal(out, 1e20)), "100000000000000000000");
        assert_eq!(written(|out| real(out, f64::INFINITY)), written(|out| real(out, f64::MAX)));
        assert_eq!(written(|out| integer(out, i64::MIN)), "-9223372036854775808");
    }
}
