//! A client of PHP's built-in server: one request for each connection, and one connection at a time.
//!
//! It ends an answer by closing the connection, as a process that dies does. So an answer is whole only where the process lives
//! on.
//!
//! It sends a page as the script has written it. So a script that says `Transfer-Encoding: chunked` and writes chunks
//! has them sent as the framing of its answer, and their content alone is the page.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::Method;
use hyper::http::HeaderMap;
use hyper::http::request::Parts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cgi::{self, MOST_HEADER_BYTES};
use crate::chunks::{Chunks, Malformed};
use crate::fastcgi::{FastCgiError, Output, READ_BYTES};
use crate::spool::{SpoolReader, on_disk};

use super::process::Process;

/// Headers that are told otherwise, or are about a connection.
const OF_THE_FRONT: [&str; 9] =
    ["connection", "content-length", "expect", "keep-alive", "proxy", "te", "trailer", "transfer-encoding", "upgrade"];

/// Variables that PHP makes of the request itself.
const OF_THE_REQUEST: [&[u8]; 5] =
    [b"REQUEST_URI", b"QUERY_STRING", b"CONTENT_TYPE", b"SCRIPT_FILENAME", b"SCRIPT_NAME"];

/// A request that it answers. Dropped before its end, it is broken off.
#[derive(Debug)]
pub(crate) struct Exchange {
    stream: TcpStream,
    read: BytesMut,
    method: Method,
    at: At,
    process: Arc<Process>,
}

/// How far the answer has come.
#[derive(Clone, Copy, Debug)]
enum At {
    /// Its head has not come whole.
    Head,
    Body,
    /// Within chunks of the script's own.
    Chunks(Chunks),
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

    /// Makes a request over a connection. Its body, where it has one, is in the file that the process reads it from.
    pub(super) async fn begin(
        mut stream: TcpStream,
        process: &Arc<Process>,
        request: &Parts,
        variables: &[(Bytes, Bytes)],
    ) -> Result<Self, FastCgiError> {
        process.say(&facts(stream.local_addr()?.port(), variables))?;
        stream.write_all(&head(request)).await?;
        let read = BytesMut::with_capacity(READ_BYTES);
        Ok(Self { stream, read, method: request.method.clone(), at: At::Head, process: Arc::clone(process) })
    }

    /// The next part of the answer, whose head is as CGI has it; none where it has ended.
    pub(crate) async fn next(&mut self) -> Result<Option<Output>, FastCgiError> {
        loop {
            if let Some(bytes) = self.take()? {
                return Ok(Some(Output::Answer(bytes)));
            }
            if self.read.len() > MOST_HEADER_BYTES {
                return Err(FastCgiError::Length(self.read.len()));
            }
            self.read.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.read).await? == 0 {
                let is_whole = match self.at {
                    At::Head => false,
                    At::Body => true,
                    At::Chunks(chunks) => chunks.has_all(),
                };
                return if is_whole && !self.process.is_ending() { Ok(None) } else { Err(FastCgiError::CutShort) };
            }
        }
    }

    /// Takes a part of the answer from what was read; none where more has to come first.
    fn take(&mut self) -> Result<Option<Bytes>, FastCgiError> {
        match &mut self.at {
            At::Head => Ok(take_head(&mut self.read, &self.method).map(|(head, chunks)| {
                self.at = chunks.map_or(At::Body, At::Chunks);
                head
            })),
            At::Body if self.read.is_empty() => Ok(None),
            At::Body => Ok(Some(self.read.split().freeze())),
            At::Chunks(chunks) => chunks.take(&mut self.read).map_err(|Malformed| FastCgiError::Chunks),
        }
    }
}

/// Takes an answer's head, as CGI has it, and says whether chunks follow; none where it has not come whole.
fn take_head(read: &mut BytesMut, method: &Method) -> Option<(Bytes, Option<Chunks>)> {
    const END: &[u8] = b"\r\n\r\n";
    let end = read.windows(END.len()).position(|bytes| bytes == END)? + END.len();
    let head = read.split_to(end);
    let mut lines = head.split_inclusive(|byte| *byte == b'\n');
    let status =
        lines.next().and_then(|line| line.split(|byte| *byte == b' ').nth(1)).unwrap_or_default().trim_ascii_end();
    let has_body = method != Method::HEAD && !matches!(status, b"204" | b"304");
    let is_chunked = has_body
        && lines
            .clone()
            .filter_map(|line| value(line, b"transfer-encoding"))
            .any(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    // A length beside chunks counts for nothing (RFC 9112, section 6.3).
    let lines = lines.filter(|line| !is_chunked || value(line, b"content-length").is_none());
    let head = [b"Status: ", status, b"\r\n"].into_iter().chain(lines).collect::<Vec<_>>().concat();
    Some((head.into(), is_chunked.then(Chunks::default)))
}

/// The value of a header that a line has, if it has that one.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    line[..colon].eq_ignore_ascii_case(name).then(|| line[colon + 1..].trim_ascii())
}

/// Puts a body into a file.
pub(super) async fn keep(mut body: SpoolReader, path: &Path) -> io::Result<()> {
    let path = path.to_owned();
    let mut file =
        on_disk(move || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)).await?;
    while let Some(bytes) = body.next().await? {
        file = on_disk(move || {
            file.write_all(&bytes)?;
            Ok(file)
        })
        .await?;
    }
    Ok(())
}

/// What the process is told beside the request: the connection that it comes by, and the variables that are not the
/// request's own. `front.rs` of the extension reads it.
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
fn head(request: &Parts) -> Bytes {
    let mut head = BytesMut::new();
    head.put_slice(format!("{} {} HTTP/1.1\r\nConnection: close\r\n", request.method, request.uri).as_bytes());
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
        let text = String::from_utf8(head(&request.into_parts().0).to_vec()).unwrap();
        let (first, headers) = text.split_once("\r\n").unwrap();
        assert_eq!(first, "POST /a%20b?c=1 HTTP/1.1");
        let mut lines: Vec<_> = headers.trim_end().split("\r\n").collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            ["Connection: close", "cookie: a=1; b=2", "host: wp.localhost", "only_this: u", "x-a: one, two"]
        );
    }

    #[test]
    fn an_answers_head_says_whether_chunks_follow_and_no_length_beside_them() {
        let taken = |text: &str, method: Method| {
            let mut read = BytesMut::from(text.as_bytes());
            let head = take_head(&mut read, &method);
            head.map(|(head, chunks)| (String::from_utf8(head.to_vec()).unwrap(), chunks.is_some(), read))
        };
        for (text, head, is_chunked) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "Status: 200\r\nContent-Length: 9\r\n\r\n", false),
            ("HTTP/1.1 404\r\n\r\n", "Status: 404\r\n\r\n", false),
            (
                "HTTP/1.1 200 OK\r\nX-A: b\r\ncontent-length: 9\r\ntransfer-encoding:Chunked \r\n\r\n",
                "Status: 200\r\nX-A: b\r\ntransfer-encoding:Chunked \r\n\r\n",
                true,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nX: Transfer-Encoding: chunked\r\n\r\n",
                "Status: 200\r\nTransfer-Encoding: gzip\r\nX: Transfer-Encoding: chunked\r\n\r\n",
                false,
            ),
        ] {
            assert_eq!(taken(&text[..text.len() - 1], Method::GET), None, "{text:?}");
            let got = taken(&format!("{text}body"), Method::GET).unwrap();
            assert_eq!(got, (head.to_owned(), is_chunked, BytesMut::from("body")), "{text:?}");
            assert!(!taken(text, Method::HEAD).unwrap().1, "{text:?}: the answer to HEAD has no body");
        }
    }

    #[test]
    fn what_is_told_beside_the_request_is_one_line_of_what_the_request_does_not_say() {
        let variables: Vec<(Bytes, Bytes)> = [
            ("HTTP_HOST", "a"),
            ("REMOTE_ADDR", "::1"),
            ("REQUEST_URI", "/"),
            ("EVIL", "a\n1\tREMOTE_ADDR=::2"),
            ("HTTPS", "on"),
            ("CONTENT_LENGTH", "3"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into();
        assert_eq!(facts(50000, &variables), b"50000\tREMOTE_ADDR=::1\tHTTPS=on\tCONTENT_LENGTH=3\n");
    }
}
