//! A client that speaks TLS, and frames of HTTP/2 as bytes: also such as no client would send.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{PATIENCE, Site};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const PRIORITIZED: u8 = 0x20;
pub const ACK: u8 = 1;

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that speaks TLS.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

impl Site {
    /// Connects by TLS to a host, which the certificate has to be for, and speaks one of these protocols.
    pub fn secure(&self, host: &str, protocols: &[&str]) -> std::io::Result<Secure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.authority).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let client = ClientConnection::new(Arc::new(config), host.to_owned().try_into().unwrap()).unwrap();
        let socket = TcpStream::connect(self.tls_address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = StreamOwned::new(client, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    /// Connects, says that it speaks HTTP/2, and sends these frames.
    pub fn http2(&self, frames: &[Vec<u8>]) -> Http2 {
        self.http2_of(&[PREFACE, &frame(SETTINGS, 0, 0, b""), &frames.concat()].concat())
    }

    /// Connects, and sends these bytes where HTTP/2 was agreed on.
    pub fn http2_of(&self, bytes: &[u8]) -> Http2 {
        let mut client = Http2 { stream: self.secure("wp.localhost", &["h2"]).unwrap() };
        client.send(bytes);
        client
    }
}

/// A connection that speaks HTTP/2.
pub struct Http2 {
    pub stream: Secure,
}

/// A frame that came.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// How the first request of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has an answer.
    Status(u16),
    /// The request was broken off, for this reason.
    Reset(u32),
    /// The connection was.
    GoAway(u32),
    /// It was, and nobody said why.
    Closed,
}

impl Http2 {
    /// Sends bytes. A server that listens no more has said so.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// The next frame; none once the connection is closed. What has to be confirmed is.
    pub fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.read(&mut head)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        let mut payload = vec![0; number(&head[..3]) as usize];
        self.read(&mut payload)?;
        let frame = Frame { kind: head[3], flags: head[4], stream: number(&head[5..]), payload };
        if matches!(frame.kind, SETTINGS | PING) && frame.flags & ACK == 0 {
            let payload = if frame.kind == PING { &frame.payload[..] } else { b"" };
            self.send(&self::frame(frame.kind, ACK, 0, payload));
        }
        Some(frame)
    }

    fn read(&mut self, into: &mut [u8]) -> Option<()> {
        match self.stream.read_exact(into) {
            Ok(()) => Some(()),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                ) =>
            {
                None
            }
            Err(error) => panic!("nothing more comes: {error}"),
        }
    }

    /// How the request on the stream 1 ends.
    pub fn outcome(&mut self) -> Outcome {
        self.outcome_of(1)
    }

    /// How the request on a stream ends.
    pub fn outcome_of(&mut self, stream: u32) -> Outcome {
        while let Some(frame) = self.next() {
            let reason = |at| u32::from_be_bytes(frame.payload[at..at + 4].try_into().unwrap());
            match frame.kind {
                HEADERS if frame.stream == stream => return Outcome::Status(status(&frame.payload)),
                RST_STREAM if frame.stream == stream => return Outcome::Reset(reason(0)),
                GOAWAY => return Outcome::GoAway(reason(4)),
                _ => {}
            }
        }
        Outcome::Closed
    }

    /// The body of the answer on the stream 1, whose head has come.
    pub fn body(&mut self) -> String {
        let mut body = Vec::new();
        loop {
            let frame = self.next().expect("the answer has an end");
            if frame.kind == DATA && frame.stream == 1 {
                body.extend_from_slice(&frame.payload);
                if frame.flags & END_STREAM != 0 {
                    return String::from_utf8(body).unwrap();
                }
            }
        }
    }
}

/// A frame as bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Headers as bytes: none is known before, and none is abbreviated.
pub fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| {
        let mut bytes = Vec::new();
        match text.len() {
            length @ 0..127 => bytes.push(length as u8),
            length => {
                bytes.push(127);
                let mut left = length - 127;
                while left >= 128 {
                    bytes.push((left % 128 + 128) as u8);
                    left /= 128;
                }
                bytes.push(left as u8);
            }
        }
        bytes.extend_from_slice(text.as_bytes());
        bytes
    };
    headers.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// The status at the front of an answer's headers: one of the few that have a byte of their own, or three digits in
/// Huffman's code.
fn status(mut block: &[u8]) -> u16 {
    // Before it, the size of the table of headers may change.
    while block[0] & 0xe0 == 0x20 {
        let mut more = block[0] == 0x3f;
        block = &block[1..];
        while more {
            more = block[0] & 0x80 != 0;
            block = &block[1..];
        }
    }
    match block[0] {
        known @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(known - 0x88)],
        0x48 => {
            assert!(block[1] & 0x80 != 0, "{block:?}");
            let bits: String = block[2..].iter().take(3).map(|byte| format!("{byte:08b}")).collect();
            let mut at = 0;
            (0..3).fold(0, |number, _| {
                let is_short = bits[at..].starts_with("000");
                let code = u16::from_str_radix(&bits[at..at + if is_short { 5 } else { 6 }], 2).unwrap();
                at += if is_short { 5 } else { 6 };
                number * 10 + if is_short { code } else { code - 0b011001 + 3 }
            })
        }
        other => panic!("no status: {other:x}"),
    }
}
