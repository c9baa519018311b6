//! Records: what FastCGI's streams are cut into.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::FastCgiError;

/// The one version of the protocol.
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 8;
const END_REQUEST_BYTES: usize = 8;

/// One request goes over a connection, so there is one id. Zero is for the management of an application.
const REQUEST_ID: u16 = 1;

/// As many bytes as a record can have and still end at a multiple of eight. A variable and its name must not be longer.
const MOST_BYTES: usize = 65_528;

const BEGIN_REQUEST: u8 = 1;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

const ROLE_RESPONDER: u16 = 1;

/// What an application says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A part of its answer.
    Stdout(Bytes),
    /// A part of what it complains about.
    Stderr(Bytes),
    /// It has said all.
    End,
}

/// Takes the next record from the front of what was read; none where more has to be read first.
///
/// # Errors
/// [`FastCgiError`] where that is no record that an application may send.
pub fn decode(read: &mut BytesMut) -> Result<Option<Record>, FastCgiError> {
    let Some(mut header) = read.get(..HEADER_BYTES) else { return Ok(None) };
    let (version, kind, id) = (header.get_u8(), header.get_u8(), header.get_u16());
    let (length, padding) = (usize::from(header.get_u16()), usize::from(header.get_u8()));
    // Before the rest is waited for: it may never come.
    if version != VERSION {
        return Err(FastCgiError::Version(version));
    }
    if id != REQUEST_ID {
        return Err(FastCgiError::Id(id));
    }
    match kind {
        STDOUT | STDERR => {}
        END_REQUEST if length == END_REQUEST_BYTES => {}
        END_REQUEST => return Err(FastCgiError::Length(length)),
        kind => return Err(FastCgiError::Kind(kind)),
    }
    let end = HEADER_BYTES + length + padding;
    if read.len() < end {
        read.reserve(end - read.len());
        return Ok(None);
    }
    let mut content = read.split_to(end).freeze().slice(HEADER_BYTES..HEADER_BYTES + length);
    Ok(Some(match kind {
        STDOUT => Record::Stdout(content),
        STDERR => Record::Stderr(content),
        _ => {
            // What the script's exit status was is of no use to a client.
            content.advance(4);
            match content.get_u8() {
                0 => Record::End,
                status => return Err(FastCgiError::Refused(status)),
            }
        }
    }))
}

/// Begins a request that is the only one of its connection, with these variables.
///
/// PHP reads a variable from one record, whatever the protocol allows.
pub fn begin(variables: &[(Bytes, Bytes)]) -> BytesMut {
    let mut out = BytesMut::new();
    header(&mut out, BEGIN_REQUEST, 8);
    out.put_u16(ROLE_RESPONDER);
    // No flags: the application closes the connection after its answer.
    out.put_bytes(0, 6);
    let mut pairs = BytesMut::new();
    for (name, value) in variables {
        if pairs.len() + 8 + name.len() + value.len() > MOST_BYTES {
            put(&mut out, PARAMS, &pairs.split());
        }
        put_length(&mut pairs, name.len());
        put_length(&mut pairs, value.len());
        pairs.put_slice(name);
        pairs.put_slice(value);
    }
    put(&mut out, PARAMS, &pairs);
    put(&mut out, PARAMS, b"");
    out
}

/// Adds bytes to a request's body; none end it.
pub fn put_body(out: &mut BytesMut, bytes: &[u8]) {
    for part in bytes.chunks(MOST_BYTES) {
        put(out, STDIN, part);
    }
    if bytes.is_empty() {
        put(out, STDIN, b"");
    }
}

fn put(out: &mut BytesMut, kind: u8, content: &[u8]) {
    header(out, kind, content.len());
    out.put_slice(content);
}

fn header(out: &mut BytesMut, kind: u8, length: usize) {
    out.put_u8(VERSION);
    out.put_u8(kind);
    out.put_u16(REQUEST_ID);
    // Callers cut what they have into parts that fit.
    out.put_u16(u16::try_from(length).unwrap_or(u16::MAX));
    // No padding.
    out.put_u16(0);
}

fn put_length(out: &mut BytesMut, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short < 128 => out.put_u8(short),
        // The front takes no header of so many bytes.
        _ => out.put_u32(u32::try_from(length).unwrap_or(u32::MAX) | 1 << 31),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, content: &[u8], padding: u8) -> Vec<u8> {
        let mut out = vec![1, kind, 0, 1];
        out.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
        out.extend([padding, 0]);
        out.extend(content);
        out.extend(vec![0; usize::from(padding)]);
        out
    }

    fn all(bytes: &[u8]) -> Result<Vec<Record>, FastCgiError> {
        let mut read = BytesMut::from(bytes);
        let mut records = Vec::new();
        while let Some(record) = decode(&mut read)? {
            records.push(record);
        }
        Ok(records)
    }

    #[test]
    fn an_answer_is_the_same_wherever_it_is_cut() {
        let whole = [
            record(STDERR, b"warning", 1),
            record(STDOUT, b"", 0),
            record(STDOUT, &[b'x'; 65_535], 255),
            record(END_REQUEST, &[0, 0, 0, 7, 0, 0, 0, 0], 0),
        ]
        .concat();
        let expected = all(&whole).unwrap();
        assert_eq!(expected.len(), 4);
        assert_eq!(expected[0], Record::Stderr(Bytes::from_static(b"warning")));
        assert_eq!(expected[3], Record::End);
        for step in [1, 7, 8, 4096] {
            let (mut read, mut records) = (BytesMut::new(), Vec::new());
            for piece in whole.chunks(step) {
                read.extend_from_slice(piece);
                while let Some(record) = decode(&mut read).unwrap() {
                    records.push(record);
                }
            }
            assert!(read.is_empty());
            assert_eq!(records, expected, "in pieces of {step}");
        }
    }

    #[test]
    fn what_no_application_may_send_is_refused_before_more_is_waited_for() {
        for (what, bytes, error) in [
            ("another version", vec![2, STDOUT, 0, 1, 0, 0, 0, 0], FastCgiError::Version(2)),
            ("HTTP", b"HTTP/1.1 200 OK\r\n".to_vec(), FastCgiError::Version(b'H')),
            ("the request of another", vec![1, STDOUT, 0, 2, 0xff, 0xff, 0, 0], FastCgiError::Id(2)),
            ("the management of one", vec![1, 11, 0, 0, 0, 8, 0, 0], FastCgiError::Id(0)),
            ("a request", vec![1, BEGIN_REQUEST, 0, 1, 0, 8, 0, 0], FastCgiError::Kind(BEGIN_REQUEST)),
            ("our own input", vec![1, STDIN, 0, 1, 0xff, 0xff, 0, 0], FastCgiError::Kind(STDIN)),
            ("an unknown kind", vec![1, 200, 0, 1, 0, 0, 0, 0], FastCgiError::Kind(200)),
            ("an end that is too short", vec![1, END_REQUEST, 0, 1, 0, 7, 0, 0], FastCgiError::Length(7)),
            ("an end that is too long", vec![1, END_REQUEST, 0, 1, 0xff, 0xff, 0, 0], FastCgiError::Length(65_535)),
            ("no room", record(END_REQUEST, &[0, 0, 0, 0, 2, 0, 0, 0], 0), FastCgiError::Refused(2)),
        ] {
            assert_eq!(all(&bytes), Err(error), "{what}");
        }
    }

    #[test]
    fn lengths_of_variables_take_one_byte_or_four() {
        for (length, expected) in
            [(0, vec![0]), (127, vec![127]), (128, vec![0x80, 0, 0, 128]), (70_000, vec![0x80, 1, 0x11, 0x70])]
        {
            let mut out = BytesMut::new();
            put_length(&mut out, length);
            assert_eq!(&out[..], expected, "{length}");
        }
    }

    #[test]
    fn many_variables_and_a_long_body_are_cut_into_records_and_no_variable_is() {
        let variable = |length| (Bytes::from_static(b"NAME"), Bytes::from(vec![b'v'; length]));
        let begun = begin(&[variable(10), variable(65_000), variable(600), variable(1)]);
        let mut body = BytesMut::new();
        put_body(&mut body, &[b'b'; 65_529]);
        put_body(&mut body, b"");
        let mut rest = &[&begun[..], &body[..]].concat()[..];
        let mut seen = Vec::new();
        while !rest.is_empty() {
            let length = usize::from(u16::from_be_bytes([rest[4], rest[5]]));
            seen.push((rest[1], length));
            rest = &rest[8 + length..];
        }
        let params = [1 + 1 + 4 + 10 + 1 + 4 + 4 + 65_000, 1 + 4 + 4 + 600 + 1 + 1 + 4 + 1];
        assert_eq!(seen, [(1, 8), (4, params[0]), (4, params[1]), (4, 0), (5, MOST_BYTES), (5, 1), (5, 0)]);
    }

    #[test]
    fn whatever_an_application_sends_is_read_alike_however_it_is_cut_and_is_no_more_than_it_sent() {
        let seeds = [
            [record(STDOUT, b"Status: 200\r\n\r\nabc", 3), record(END_REQUEST, &[0; 8], 0)].concat(),
            [record(STDERR, b"", 0), record(STDOUT, &[b'x'; 300], 255), record(END_REQUEST, &[0; 8], 9)].concat(),
            record(END_REQUEST, &[0, 0, 0, 0, 2, 0, 0, 0], 0),
        ];
        let words: [&[u8]; 5] =
            [&[1, STDOUT, 0, 1, 0xff, 0xff, 0xff, 0], &[1, STDERR, 0, 1, 0, 0, 0, 0], &[1, END_REQUEST], &[0; 8], &[1]];
        crate::mutation::fuzz(&seeds, &words, |random, bytes| {
            let (mut whole, mut cut, mut rest) = (BytesMut::from(bytes), BytesMut::new(), bytes);
            let mut sent = 0;
            loop {
                let expected = decode(&mut whole);
                let mut got = decode(&mut cut);
                while got == Ok(None) && !rest.is_empty() {
                    let (piece, later) = rest.split_at(random.usize(1..=rest.len().min(70_000)));
                    cut.extend_from_slice(piece);
                    rest = later;
                    got = decode(&mut cut);
                }
                assert_eq!(got, expected);
                match expected {
                    Ok(Some(Record::Stdout(bytes) | Record::Stderr(bytes))) => sent += bytes.len(),
                    Ok(Some(Record::End)) => {}
                    Ok(None) | Err(_) => break,
                }
            }
            assert!(sent <= bytes.len());
            assert!(
                whole.capacity() <= bytes.len() + HEADER_BYTES + (64 << 10) + 256,
                "more is kept free than can come"
            );
        });
    }
}
