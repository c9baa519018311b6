//! A client of PHP's built-in server: one request for each connection, and one connection at a time.
//!
//! It ends an answer by closing the connection, as a process that dies does. So an answer is whole only where the process lives
//! on.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::http::HeaderMap;
use hyper::http::request::Parts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::cgi;
use crate::fastcgi::{FastCgiError, Feeding, Output, READ_BYTES};
use crate::spool::SpoolReader;

use super::process::Process;

/// Headers that are told otherwise, or are about a connection.
const OF_THE_FRONT: [&str; 9] =
    ["connection", "content-length", "expect", "keep-alive", "proxy", "te", "trailer", "transfer-encoding", "upgrade"];

/// Variables that PHP makes of the request itself.
const OF_THE_REQUEST: [&[u8]; 6] =
    [b"REQUEST_URI", b"QUERY_STRING", b"CONTENT_TYPE", b"CONTENT_LENGTH", b"SCRIPT_FILENAME", b"SCRIPT_NAME"];

/// A request that it answers. Dropped before its end, it is broken off.
#[derive(Debug)]
pub(crate) struct Exchange {
    answer: OwnedReadHalf,
    read: BytesMut,
    head: Head,
    process: Arc<Process>,
    _feeding: Feeding,
}

/// How far the answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    /// Its first line has not come whole.
    First,
    Begun,
}

impl Exchange {
    /// Connects to the process, which is surely the one that listens at this port.
    pub(super) async fn connect(port: u16, process: &Process) -> Result<TcpStream, FastCgiError> {
        let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        // While it lives, nobody else listens there.
        if process.is_ending() {
            return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
        }
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Makes a request over a connection.
    pub(super) async fn begin(
        stream: TcpStream,
        process: &Arc<Process>,
        head: Bytes,
        variables: &[(Bytes, Bytes)],
        body: Option<SpoolReader>,
    ) -> Result<Self, FastCgiError> {
        process.say(&facts(stream.local_addr()?.port(), variables))?;
        let (answer, mut input) = stream.into_split();
        let feeding = match body {
            None => {
                input.write_all(&head).await?;
                // Closed for writing, the connection would look broken off.
                input.forget();
                None
            }
            Some(body) => Some(tokio::spawn(async move {
                let _ = feed(input, head, body).await;
            })),
        };
        let read = BytesMut::with_capacity(READ_BYTES);
        Ok(Self { answer, read, head: Head::First, process: Arc::clone(process), _feeding: Feeding(feeding) })
    }

    /// The next part of the answer, whose head is as CGI has it; none where it has ended.
    pub(crate) async fn next(&mut self) -> Result<Option<Output>, FastCgiError> {
        loop {
            if self.head == Head::First
                && let Some(length) = self.read.iter().position(|byte| *byte == b'\n')
            {
                let line = self.read.split_to(length + 1);
                let status = line[..].split(|byte| *byte == b' ').nth(1).unwrap_or_default();
                self.head = Head::Begun;
                return Ok(Some(Output::Answer([b"Status: ", status.trim_ascii_end(), b"\r\n"].concat().into())));
            }
            if self.head == Head::Begun && !self.read.is_empty() {
                return Ok(Some(Output::Answer(self.read.split().freeze())));
            }
            if self.read.len() > READ_BYTES {
                return Err(FastCgiError::Length(self.read.len()));
            }
            self.read.reserve(READ_BYTES);
            if self.answer.read_buf(&mut self.read).await? == 0 {
                let is_whole = self.head == Head::Begun && !self.process.is_ending();
                return if is_whole { Ok(None) } else { Err(FastCgiError::CutShort) };
            }
        }
    }
}

async fn feed(mut input: OwnedWriteHalf, head: Bytes, mut body: SpoolReader) -> io::Result<()> {
    input.write_all(&head).await?;
    while let Some(bytes) = body.next().await? {
        input.write_all(&bytes).await?;
    }
    input.forget();
    Ok(())
}

/// What the process is told beside the request: the connection that it comes by, and the variables that are not the request's own.
/// `front.rs` of the extension reads it.
fn facts(port: u16, variables: &[(Bytes, Bytes)]) -> Vec<u8> {
    let mut line = port.to_string().into_bytes();
    for (name, value) in variables {
        let is_told = !name.starts_with(b"HTTP_") && !OF_THE_REQUEST.contains(&&name[..]);
        if is_told && !value.iter().any(u8::is_ascii_control) {
            line.extend([b"\t", &name[..], b"=", value].concat());
        }
    }
    line.push(b'\n');
    line
}

/// The request's head. A header is there once, and has one spelling, as in [`cgi::variables`].
pub(super) fn head(request: &Parts, body_bytes: Option<u64>) -> Bytes {
    let mut head = BytesMut::new();
    head.put_slice(format!("{} {} HTTP/1.1\r\nConnection: close\r\n", request.method, request.uri).as_bytes());
    if let Some(bytes) = body_bytes {
        head.put_slice(format!("Content-Length: {bytes}\r\n").as_bytes());
    }
    for name in request.headers.keys() {
        if OF_THE_FRONT.contains(&name.as_str()) || is_shadowed(&request.headers, name.as_str()) {
            continue;
        }
        head.put_slice(name.as_str().as_bytes());
        head.put_slice(b": ");
        head.put_slice(&cgi::joined(&request.headers, name));
        head.put_slice(b"\r\n");
    }
    head.put_slice(b"\r\n");
    head.freeze()
}

/// Whether another header becomes the same variable, and counts.
fn is_shadowed(headers: &HeaderMap, name: &str) -> bool {
    let hyphened = name.replace('_', "-");
    name.contains('_')
        && (OF_THE_FRONT.contains(&&hyphened[..])
            || headers.keys().any(|other| {
                let other = other.as_str();
                other != name && other.replace('_', "-") == hyphened && (!other.contains('_') || other < name)
            }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    #[test]
    fn a_head_has_each_header_once_and_none_of_the_connections() {
        let request = Request::builder()
            .method("POST")
            .uri("/a%20b?c=1")
            .header("Host", "wp.localhost")
            .header("X_A", "forged")
            .header("X-A", "one")
            .header("X-A", "two")
            .header("Cookie", "a=1")
            .header("Cookie", "b=2")
            .header("Only_This", "u")
            .header("Content_Length", "9")
            .header("Content-Length", "99999999999999999999")
            .header("Transfer-Encoding", "chunked")
            .header("Proxy", "evil:1")
            .header("Connection", "keep-alive")
            .body(())
            .unwrap();
        let text = String::from_utf8(head(&request.into_parts().0, Some(3)).to_vec()).unwrap();
        let (first, headers) = text.split_once("\r\n").unwrap();
        assert_eq!(first, "POST /a%20b?c=1 HTTP/1.1");
        let mut lines: Vec<_> = headers.trim_end().split("\r\n").collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "Connection: close",
                "Content-Length: 3",
                "cookie: a=1; b=2",
                "host: wp.localhost",
                "only_this: u",
                "x-a: one, two"
            ]
        );
    }

    #[test]
    fn what_is_told_beside_the_request_is_one_line_of_what_the_request_does_not_say() {
        let variables: Vec<(Bytes, Bytes)> = [
            ("HTTP_HOST", "a"),
            ("REMOTE_ADDR", "::1"),
            ("REQUEST_URI", "/"),
            ("EVIL", "a\n1\tREMOTE_ADDR=::2"),
            ("HTTPS", "on"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        assert_eq!(facts(50000, &variables), b"50000\tREMOTE_ADDR=::1\tHTTPS=on\n");
    }
}
