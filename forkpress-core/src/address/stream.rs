//! A text that comes in pieces. Any piece may end in the middle of an address.

use std::borrow::Cow;
use std::rc::Rc;

use super::{Known, Own};

/// No address is longer, in any spelling that is worth a thought.
const LONGEST_BYTES: usize = 512;

/// How much of what has gone is looked back at.
const BEFORE_BYTES: usize = 16;

/// Maps a text in pieces. What could be the beginning of an address waits for the next piece; nothing else does.
#[derive(Debug)]
pub struct Stream {
    known: Rc<Known>,
    own: Own,
    waiting: Vec<u8>,
    before: Vec<u8>,
}

impl Stream {
    /// Begins a text.
    #[must_use]
    pub fn new(known: Rc<Known>, own: Own) -> Self {
        Self { known, own, waiting: Vec::new(), before: Vec::new() }
    }

    /// Takes the next piece, and returns what can go.
    pub fn push<'a>(&mut self, piece: &'a [u8]) -> Cow<'a, [u8]> {
        let text = if self.waiting.is_empty() {
            Cow::Borrowed(piece)
        } else {
            let mut text = std::mem::take(&mut self.waiting);
            text.extend_from_slice(piece);
            Cow::Owned(text)
        };
        let end = end_of_certain(&text);
        self.waiting.extend_from_slice(&text[end..]);
        let mapped = self.known.map(&self.own, &text[..end], &self.before);
        if end > 0 {
            self.before.clear();
            self.before.extend_from_slice(&text[end.saturating_sub(BEFORE_BYTES)..end]);
        }
        match (mapped, text) {
            (Some(mapped), _) => Cow::Owned(mapped),
            (None, Cow::Borrowed(text)) => Cow::Borrowed(&text[..end]),
            (None, Cow::Owned(mut text)) => {
                text.truncate(end);
                Cow::Owned(text)
            }
        }
    }

    /// Ends the text, and returns what waited.
    pub fn finish(&mut self) -> Vec<u8> {
        let text = std::mem::take(&mut self.waiting);
        self.known.map(&self.own, &text, &self.before).unwrap_or(text)
    }
}

/// Up to where no address has begun that may go on beyond the end.
fn end_of_certain(text: &[u8]) -> usize {
    let is_of_address = |b: &u8| b.is_ascii_alphanumeric() || b":/\\%&#;.-_".contains(b);
    let run = text.iter().rev().take(LONGEST_BYTES).take_while(|b| is_of_address(b)).count();
    let begins = |rest: &[u8]| {
        let length = rest.len().min(4);
        b"/\\%&".contains(&rest[0]) || rest[..length].eq_ignore_ascii_case(&b"http"[..length])
    };
    (text.len() - run..text.len()).find(|&at| begins(&text[at..])).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Addresses;

    fn stream() -> Stream {
        let mut addresses = Addresses::default();
        addresses.add_root("wp.localhost");
        addresses.add_port(18080);
        addresses.add_home("https://example.com/blog");
        Stream::new(Rc::new(Known::new(&addresses)), Own::parse("http://sale.wp.localhost:81").unwrap())
    }

    const TEXT: &str = concat!(
        "<a href=\"http://wp.localhost:18080/x\"> x//wp.localhost/ \"//wp.localhost/\" https%3A%2F%2Fa.wp.localhost%3A18080 ",
        r#""https:\/\/example.com\/blog\/" http://wp.localhost:18080@evil.example http://wp.localhost:18080"#
    );

    #[test]
    fn where_a_text_is_cut_makes_no_difference() {
        let whole = {
            let mut stream = stream();
            let mut whole = stream.push(TEXT.as_bytes()).into_owned();
            whole.extend(stream.finish());
            whole
        };
        assert!(whole.ends_with(b"http://wp.localhost:18080@evil.example http://sale.wp.localhost:81"));
        for size in 1..TEXT.len() {
            let mut stream = stream();
            let mut mapped = Vec::new();
            TEXT.as_bytes().chunks(size).for_each(|piece| mapped.extend_from_slice(&stream.push(piece)));
            mapped.extend(stream.finish());
            assert_eq!(String::from_utf8_lossy(&mapped), String::from_utf8_lossy(&whole), "in pieces of {size}");
        }
    }

    #[test]
    fn what_can_be_no_address_goes_at_once() {
        for piece in ["....", "data: 1\n\n", "<p>working</p>", "{\"a\":1}", "50", "http://wp.localhost:18080/ ", ""] {
            let mut stream = stream();
            stream.push(piece.as_bytes());
            assert_eq!(stream.finish(), b"", "{piece}");
        }
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut stream = stream();
        let text = "/".repeat(100_000);
        let went = stream.push(text.as_bytes()).len();
        assert_eq!(went, text.len() - LONGEST_BYTES);
    }
}
