//! Where each request on a connection begins and ends, read as strictly as it can be written.
//!
//! What reads requests after this, hyper, forgives some: a line that ends without its carriage return, a length beside
//! chunks, the same length twice. Programs before us may read such a request in another way, and that is how requests
//! are smuggled.

use crate::chunks::Chunks;

/// The longest line that says how long a body is. Others may be longer.
const MOST_LINE_BYTES: usize = 128;

/// No body is longer. What is more than a client may send has an answer of its own.
const MOST_BODY_BYTES: u64 = i64::MAX as u64;

/// A reader of requests that keeps nothing but where it is.
#[derive(Debug, Default)]
pub(super) struct Framing {
    at: At,
    /// The beginning of the line of a head.
    line: Vec<u8>,
    /// How long that line is.
    line_bytes: usize,
    body: Option<Body>,
    has_begun: bool,
}

/// What the head has said of its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Length(u64),
    Chunks,
    /// One that nobody here can read. It is refused, and nothing is read after it.
    Unknown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    #[default]
    Head,
    HeadEnd,
    Body(u64),
    Chunks(Chunks),
    Unknown,
}

/// Where requests stop being what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The place of the first byte that can't be.
    pub at: usize,
    /// What stands there instead is refused by whoever reads it.
    pub instead: &'static [u8],
}

impl Framing {
    /// Reads on, and says where the first fault is. Nothing may be read after one.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Option<Fault> {
        let mut at = 0;
        while at < bytes.len() {
            let left = self.body_bytes();
            if left > 0 {
                let length = left.min((bytes.len() - at) as u64);
                self.pass(length);
                // No more than there is.
                at += length as usize;
            } else if self.at == At::Unknown {
                return None;
            } else if self.step(bytes[at]) {
                at += 1;
            } else {
                // In an extension of a chunk anything may stand but this.
                let in_extension = matches!(self.at, At::Chunks(chunks) if chunks.is_in_extension());
                let instead: &[u8] = if in_extension { b"\n" } else { b"\0\r\n\r\n" };
                return Some(Fault { at, instead });
            }
        }
        None
    }

    /// Whether it is between two requests.
    pub(super) fn is_between(&self) -> bool {
        self.at == At::Head && !self.has_begun && self.line_bytes == 0
    }

    /// How many bytes of a body come next.
    fn body_bytes(&self) -> u64 {
        match self.at {
            At::Body(left) => left,
            At::Chunks(chunks) => chunks.data_bytes(),
            _ => 0,
        }
    }

    /// So many of them are past.
    fn pass(&mut self, bytes: u64) {
        match &mut self.at {
            At::Body(left) if *left == bytes => self.at = At::Head,
            At::Body(left) => *left -= bytes,
            At::Chunks(chunks) => chunks.pass(bytes),
            _ => {}
        }
    }

    /// Reads a byte; false where it can't be there.
    fn step(&mut self, byte: u8) -> bool {
        let next = match (self.at, byte) {
            (At::Head, b'\r') => At::HeadEnd,
            (At::Head, b'\n') => return false,
            // What follows it in a target is left out without a word.
            (At::Head, b'#') if !self.has_begun => return false,
            (At::Head, byte) => {
                if self.line.len() < MOST_LINE_BYTES {
                    self.line.push(byte);
                }
                self.line_bytes += 1;
                At::Head
            }
            (At::HeadEnd, b'\n') => return self.end_line(),
            (At::Chunks(mut chunks), byte) => match chunks.step(byte) {
                true if chunks.is_over() => At::Head,
                true => At::Chunks(chunks),
                false => return false,
            },
            _ => return false,
        };
        self.at = next;
        true
    }

    /// Takes the line that has ended; false where it can't be.
    fn end_line(&mut self) -> bool {
        let is_whole = self.line_bytes == self.line.len();
        let line = std::mem::take(&mut self.line);
        self.line_bytes = 0;
        self.at = At::Head;
        let is_header = self.has_begun;
        self.has_begun = !line.is_empty();
        if line.is_empty() {
            // Where no head has begun, such a line counts for nothing.
            self.at = self.body.take().map_or(At::Head, Body::beginning);
            return true;
        }
        if !is_header {
            return true;
        }
        match (self.body, body(&line, is_whole)) {
            (_, Err(())) => return false,
            (_, Ok(None)) => {}
            (None, Ok(body)) => self.body = body,
            (Some(Body::Length(_)), Ok(Some(_))) | (_, Ok(Some(Body::Length(_)))) => return false,
            (Some(Body::Chunks | Body::Unknown), Ok(Some(_))) => self.body = Some(Body::Unknown),
        }
        true
    }
}

impl Body {
    /// Where it is read first.
    fn beginning(self) -> At {
        match self {
            Self::Length(0) => At::Head,
            Self::Length(length) => At::Body(length),
            Self::Chunks => At::Chunks(Chunks::default()),
            Self::Unknown => At::Unknown,
        }
    }
}

/// What a header says of the body; an error where it says it as it can't be said.
fn body(line: &[u8], is_whole: bool) -> Result<Option<Body>, ()> {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Ok(None) };
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    let is_length = name.eq_ignore_ascii_case(b"content-length");
    if !is_length && !name.eq_ignore_ascii_case(b"transfer-encoding") {
        return Ok(None);
    }
    if !is_whole {
        return Err(());
    }
    if !is_length {
        return Ok(Some(if value.eq_ignore_ascii_case(b"chunked") { Body::Chunks } else { Body::Unknown }));
    }
    let digits = std::str::from_utf8(value).ok().filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
    let length = digits.and_then(|digits| digits.parse().ok()).filter(|length| *length <= MOST_BODY_BYTES);
    length.map(|length| Some(Body::Length(length))).ok_or(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\n";

    /// Where the first fault is, which must be the same however the bytes are cut.
    fn fault(request: &str) -> Option<usize> {
        let whole = Framing::default().read(request.as_bytes());
        for step in 1..request.len().min(9) {
            let (mut framing, mut at, mut found) = (Framing::default(), 0, None);
            for piece in request.as_bytes().chunks(step) {
                found = framing.read(piece).map(|fault| Fault { at: at + fault.at, ..fault });
                if found.is_some() {
                    break;
                }
                at += piece.len();
            }
            assert_eq!(found, whole, "{request:?} in pieces of {step}");
        }
        whole.map(|fault| fault.at)
    }

    #[test]
    fn what_is_written_as_it_should_be_has_no_fault_and_ends_where_it_ends() {
        for request in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            "\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_owned(),
            format!("{HEAD}Content-Length: 0\r\n\r\n"),
            format!("{HEAD}content-length:\t3 \r\n\r\n\n\r\n"),
            format!("{HEAD}Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n"),
            format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\n\n\n\n\r\n00a\r\n0123456789\r\n0\r\n\r\n"),
            format!("{HEAD}X-Content-Length: +4\r\nX: {}\r\n\r\n", "x".repeat(300)),
        ] {
            let twice = format!("{request}{request}");
            let mut framing = Framing::default();
            assert_eq!(framing.read(twice.as_bytes()), None, "{request:?}");
            assert!(framing.is_between(), "{request:?}");
            assert_eq!(fault(&twice), None);
            let mut framing = Framing::default();
            framing.read(&twice.as_bytes()[..twice.len() - 1]);
            assert!(!framing.is_between(), "{request:?}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_has_its_fault_where_the_ways_part() {
        for (what, before, rest) in [
            ("a line feed alone in a head", "GET / HTTP/1.1\r\nHost: a", "\n\r\n"),
            ("a line feed alone at its end", "GET / HTTP/1.1\r\nHost: a\r\n", "\n"),
            ("a line feed alone before it", "", "\nGET / HTTP/1.1\r\n\r\n"),
            ("a carriage return alone", "GET / HTTP/1.1\r\nHost: a\r", "b\r\n\r\n"),
            ("a fragment", "GET /a", "#b HTTP/1.1\r\n\r\n"),
            ("two carriage returns", "GET / HTTP/1.1\r\nHost: a\r", "\r\n\r\n"),
            ("two lengths", "P / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 4\r", "\n\r\n"),
            ("a length and chunks", "P / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r", "\n\r\n"),
            ("chunks and a length", "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ncontent-length: 4\r", "\n\r\n"),
            ("a signed length", "P / HTTP/1.1\r\nContent-Length: +4\r", "\n\r\n"),
            ("two numbers", "P / HTTP/1.1\r\nContent-Length: 5 6\r", "\n\r\n"),
            ("no number", "P / HTTP/1.1\r\nContent-Length:\r", "\n\r\n"),
            ("an absurd length", "P / HTTP/1.1\r\nContent-Length: 99999999999999999999\r", "\n\r\n"),
            ("more than there can be", "P / HTTP/1.1\r\nContent-Length: 9223372036854775808\r", "\n\r\n"),
        ] {
            assert_eq!(fault(&format!("{before}{rest}")), Some(before.len()), "{what}");
        }
        for (what, before, rest) in [
            ("a chunk of no number", "", "z\r\n"),
            ("an empty size", "", "\r\n"),
            ("a signed size", "", "+1\r\n"),
            ("a size in C's way", "0", "x1\r\n"),
            ("a blank after it", "1", " \r\n"),
            ("a size that is too long", "0000000000000001", "1\r\n"),
            ("more than there can be", "8000000000000000\r", "\n"),
            ("a line feed alone after it", "1", "\na\r\n"),
            ("a line feed alone in an extension", "1;a", "\na\r\n"),
            ("a carriage return alone in an extension", "1;a\r", "b\r\n"),
            ("more than it says", "1\r\na", "b\r\n"),
            ("a line feed alone after a chunk", "1\r\na", "\n0\r\n\r\n"),
            ("a trailer", "0\r\n", "X: y\r\n\r\n"),
            ("a line feed alone at the end", "0\r\n", "\n"),
        ] {
            let head = format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n");
            assert_eq!(fault(&format!("{head}{before}{rest}")), Some(head.len() + before.len()), "{what}");
        }
    }

    #[test]
    fn after_a_coding_that_nobody_reads_nothing_is_read() {
        for coding in ["gzip, chunked", "identity", "chunked\r\nTransfer-Encoding: chunked", "\"chunked\""] {
            let mut framing = Framing::default();
            let request = format!("{HEAD}Transfer-Encoding: {coding}\r\n\r\n\n\n\n");
            assert_eq!(framing.read(request.as_bytes()), None, "{coding}");
            assert!(!framing.is_between());
        }
    }

    #[test]
    fn whatever_is_sent_has_its_fault_at_one_place_however_it_is_cut() {
        let seeds = [
            format!("{HEAD}Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n").into_bytes(),
            format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n").into_bytes(),
        ];
        let words: [&[u8]; 7] =
            [b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"Content-Length: 1\r\n", b"ffffffffffffffff", b";"];
        crate::mutation::fuzz(&seeds, &words, |random, bytes| {
            let whole = Framing::default().read(bytes);
            let (mut framing, mut at, mut found) = (Framing::default(), 0, None);
            while found.is_none() && at < bytes.len() {
                let end = at + random.usize(1..=bytes.len() - at);
                found = framing.read(&bytes[at..end]).map(|fault| Fault { at: at + fault.at, ..fault });
                at = end;
                assert!(framing.line.len() <= MOST_LINE_BYTES);
            }
            assert_eq!(found, whole);
        });
    }
}
