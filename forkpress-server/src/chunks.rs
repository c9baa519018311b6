//! The chunks that a body comes in, read as strictly as they can be written (RFC 9112, section 7.1).

use bytes::{Buf, Bytes, BytesMut};

/// No chunk is longer.
const MOST_BYTES: u64 = i64::MAX as u64;

/// The digits of the longest chunk.
const MOST_SIZE_DIGITS: u8 = 16;

/// A reader of chunks that keeps nothing but where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chunks(At);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size { digits: u8, bytes: u64 },
    Extension(u64),
    SizeEnd(u64),
    Data(u64),
    DataReturn,
    DataEnd,
    LastReturn,
    LastEnd,
    Over,
}

impl Default for At {
    fn default() -> Self {
        Self::Size { digits: 0, bytes: 0 }
    }
}

/// A byte that can't be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Chunks {
    /// How many bytes of the body come next.
    pub(crate) fn data_bytes(&self) -> u64 {
        if let At::Data(left) = self.0 { left } else { 0 }
    }

    /// So many of them, and no more than there are, are past.
    pub(crate) fn pass(&mut self, bytes: u64) {
        let left = self.data_bytes() - bytes;
        self.0 = if left == 0 { At::DataReturn } else { At::Data(left) };
    }

    /// Reads a byte that is none of the body; false where it can't be there.
    pub(crate) fn step(&mut self, byte: u8) -> bool {
        self.0 = match (self.0, byte) {
            (At::Size { digits, bytes }, byte) => match (byte as char).to_digit(16) {
                Some(_) if digits == MOST_SIZE_DIGITS => return false,
                Some(digit) => At::Size { digits: digits + 1, bytes: bytes << 4 | u64::from(digit) },
                None if digits == 0 => return false,
                None if byte == b'\r' => At::SizeEnd(bytes),
                None if byte == b';' => At::Extension(bytes),
                None => return false,
            },
            (At::Extension(bytes), b'\r') => At::SizeEnd(bytes),
            (At::Extension(bytes), byte) if byte != b'\n' => At::Extension(bytes),
            (At::SizeEnd(0), b'\n') => At::LastReturn,
            (At::SizeEnd(bytes), b'\n') if bytes <= MOST_BYTES => At::Data(bytes),
            (At::DataReturn, b'\r') => At::DataEnd,
            (At::DataEnd, b'\n') => At::default(),
            (At::LastReturn, b'\r') => At::LastEnd,
            (At::LastEnd, b'\n') => At::Over,
            _ => return false,
        };
        true
    }

    /// Whether it is where anything may stand but the end of a line.
    pub(crate) fn is_in_extension(&self) -> bool {
        matches!(self.0, At::Extension(_))
    }

    /// Whether the last chunk is past, and what may follow it.
    pub(crate) fn is_over(&self) -> bool {
        self.0 == At::Over
    }

    /// Whether all of the body is past. Headers may still follow.
    pub(crate) fn has_all(&self) -> bool {
        matches!(self.0, At::LastReturn | At::LastEnd | At::Over)
    }

    /// Takes a piece of the body from the front of what was read; none where more has to come first. What follows the body goes.
    pub(crate) fn take(&mut self, read: &mut BytesMut) -> Result<Option<Bytes>, Malformed> {
        while !read.is_empty() {
            let left = self.data_bytes();
            if self.has_all() {
                read.clear();
            } else if left > 0 {
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(read.len());
                self.pass(length as u64);
                return Ok(Some(read.split_to(length).freeze()));
            } else if self.step(read[0]) {
                read.advance(1);
            } else {
                return Err(Malformed);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is taken of a text that comes in pieces of `step` bytes, and whether that is all.
    fn taken(text: &[u8], step: usize) -> Result<(Vec<u8>, bool), Malformed> {
        let (mut chunks, mut read, mut all) = (Chunks::default(), BytesMut::new(), Vec::new());
        for piece in text.chunks(step) {
            read.extend_from_slice(piece);
            while let Some(bytes) = chunks.take(&mut read)? {
                all.extend_from_slice(&bytes);
            }
        }
        Ok((all, chunks.has_all()))
    }

    #[test]
    fn the_body_is_taken_out_of_its_chunks_however_they_are_cut() {
        for (text, body, is_all) in [
            ("0\r\n\r\n", "", true),
            ("3\r\nabc\r\n0\r\n\r\n", "abc", true),
            ("3;a=\"b\"\r\n\r\n0\r\n00A\r\n0123456789\r\n0\r\n\r\n", "\r\n00123456789", true),
            ("1\r\na\r\n0\r\nX-Trailer: b\r\n\r\nmore", "a", true),
            ("1\r\na\r\n0\r\n", "a", true),
            ("1\r\na\r\n0", "a", false),
            ("1\r\na\r\n", "a", false),
            ("5\r\nab", "ab", false),
            ("", "", false),
        ] {
            for step in 1..=text.len().max(1) {
                let expected = Ok((body.as_bytes().to_vec(), is_all));
                assert_eq!(taken(text.as_bytes(), step), expected, "{text:?} in pieces of {step}");
            }
        }
    }

    #[test]
    fn what_are_no_chunks_is_malformed_however_it_is_cut() {
        for text in [
            "a page\r\n",
            "\r\n",
            "-1\r\na\r\n",
            "0x1\r\na\r\n",
            "1 \r\na\r\n",
            "1\na\r\n",
            "1\r\nab\r\n",
            "1\r\na\n0\r\n\r\n",
            "8000000000000000\r\n",
            "00000000000000001\r\na\r\n",
        ] {
            for step in 1..=text.len() {
                assert_eq!(taken(text.as_bytes(), step), Err(Malformed), "{text:?} in pieces of {step}");
            }
        }
    }
}
