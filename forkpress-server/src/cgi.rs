//! CGI's words for a request and for an answer, which FastCGI has, too.

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use hyper::http::request::Parts;
use hyper::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use thiserror::Error;

use crate::scheme::Scheme;

/// Headers of an answer may be so long altogether.
pub(crate) const MOST_HEADER_BYTES: usize = 256 << 10;

/// Headers that are about a connection, which is the server's business and not PHP's.
const OF_THE_CONNECTION: [&str; 7] =
    ["connection", "host", "keep-alive", "transfer-encoding", "upgrade", "trailer", "te"];

/// A connection that a request came by.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    /// The client's end.
    pub client: SocketAddr,
    /// The server's.
    pub server: SocketAddr,
    /// The inode of the server's socket. It tells whose the other end is: see `forkpress_core::client`.
    pub inode: u64,
}

/// A request's variables for a script that answers all of them.
///
/// Only a header of letters, digits and hyphens becomes one, as with other servers: PHP writes an underscore for a hyphen, a dot
/// and more, so a client could forge a header that a proxy before us sets or takes away. `Proxy` becomes none, since programs
/// take `HTTP_PROXY` for their own proxy.
#[must_use]
pub fn variables(
    request: &Parts,
    connection: &Connection,
    script: &Path,
    body_bytes: Option<u64>,
) -> Vec<(Bytes, Bytes)> {
    let mut all: Vec<(Bytes, Bytes)> = Vec::new();
    for name in request.headers.keys().filter(|name| is_plain(name)) {
        if !matches!(name.as_str(), "content-length" | "content-type" | "transfer-encoding" | "proxy") {
            all.push((variable(name), joined(&request.headers, name)));
        }
    }
    let mut add = |name: &'static str, value: Bytes| all.push((Bytes::from_static(name.as_bytes()), value));
    add("GATEWAY_INTERFACE", "CGI/1.1".into());
    add("SERVER_SOFTWARE", "ForkPress".into());
    add("SERVER_PROTOCOL", format!("{:?}", request.version).into());
    add("SERVER_ADDR", connection.server.ip().to_string().into());
    add("SERVER_PORT", connection.server.port().to_string().into());
    add("REMOTE_ADDR", connection.client.ip().to_string().into());
    add("REMOTE_PORT", connection.client.port().to_string().into());
    add("FORKPRESS_CONNECTION", connection.inode.to_string().into());
    let scheme = Scheme::of(request);
    add("REQUEST_SCHEME", scheme.as_str().into());
    if scheme == Scheme::Https {
        add("HTTPS", "on".into());
    }
    add("REQUEST_METHOD", request.method.to_string().into());
    add("REQUEST_URI", request.uri.to_string().into());
    add("QUERY_STRING", request.uri.query().unwrap_or_default().to_owned().into());
    add("SCRIPT_FILENAME", Bytes::copy_from_slice(script.as_os_str().as_bytes()));
    add("SCRIPT_NAME", "/".into());
    if let Some(bytes) = body_bytes {
        add("CONTENT_LENGTH", bytes.to_string().into());
    }
    if let Some(value) = request.headers.get("content-type") {
        add("CONTENT_TYPE", Bytes::copy_from_slice(value.as_bytes()));
    }
    all
}

fn is_plain(name: &HeaderName) -> bool {
    name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn variable(name: &HeaderName) -> Bytes {
    let name = name.as_str().bytes().map(|byte| if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() });
    b"HTTP_".iter().copied().chain(name).collect()
}

/// All values of a header as one.
pub(crate) fn joined(headers: &HeaderMap, name: &HeaderName) -> Bytes {
    let separator: &[u8] = if name == "cookie" { b"; " } else { b", " };
    let mut all = BytesMut::new();
    for (at, value) in headers.get_all(name).iter().enumerate() {
        if at > 0 {
            all.put_slice(separator);
        }
        all.put_slice(value.as_bytes());
    }
    all.freeze()
}

/// The beginning of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its status.
    pub status: StatusCode,
    /// Its headers, without those that are about a connection.
    pub headers: HeaderMap,
}

/// Headers that never end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("PHP's answer has headers of more than {MOST_HEADER_BYTES} bytes")]
pub struct EndlessHead;

/// Takes the head from the front of an answer, and leaves the beginning of its body; none where more of it has to come first.
///
/// # Errors
/// [`EndlessHead`] where so many bytes have come that it is too long, and no end of it.
pub fn take_head(answer: &mut BytesMut) -> Result<Option<Head>, EndlessHead> {
    let mut head = Head { status: StatusCode::OK, headers: HeaderMap::new() };
    let mut at = 0;
    while let Some(length) = answer[at..].iter().position(|byte| *byte == b'\n') {
        let line = answer[at..at + length].trim_ascii_end();
        at += length + 1;
        if line.is_empty() {
            let _ = answer.split_to(at);
            return Ok(Some(head));
        }
        head.add(line);
    }
    if answer.len() > MOST_HEADER_BYTES { Err(EndlessHead) } else { Ok(None) }
}

impl Head {
    /// Adds a line. One that HTTP has no room for is left out.
    fn add(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"status") {
            let status = value.get(..3).and_then(|digits| StatusCode::from_bytes(digits).ok());
            // A number below 200 would be no answer yet.
            self.status =
                status.filter(|status| !status.is_informational()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            return;
        }
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else { return };
        if !OF_THE_CONNECTION.contains(&name.as_str()) {
            self.headers.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn seen(request: Request<()>, name: &str) -> Option<String> {
        let connection = Connection {
            client: "127.0.0.1:50000".parse().unwrap(),
            server: "127.0.0.1:18080".parse().unwrap(),
            inode: 7,
        };
        let all = variables(&request.into_parts().0, &connection, Path::new("/r/router.php"), Some(3));
        let mut of_name = all.iter().filter(|(known, _)| known == name);
        let found = of_name.next().map(|(_, value)| String::from_utf8_lossy(value).into_owned());
        assert!(of_name.next().is_none(), "{name} once");
        found
    }

    fn request() -> hyper::http::request::Builder {
        Request::builder().method("POST").uri("/a%20b/x.php?c=%2F..").header("Host", "wp.localhost:18080")
    }

    #[test]
    fn a_script_sees_the_request_as_it_was_sent_and_who_sent_it() {
        for (name, value) in [
            ("REQUEST_URI", "/a%20b/x.php?c=%2F.."),
            ("QUERY_STRING", "c=%2F.."),
            ("REQUEST_METHOD", "POST"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("REMOTE_ADDR", "127.0.0.1"),
            ("REMOTE_PORT", "50000"),
            ("SERVER_PORT", "18080"),
            ("REQUEST_SCHEME", "http"),
            ("FORKPRESS_CONNECTION", "7"),
            ("HTTP_HOST", "wp.localhost:18080"),
            ("CONTENT_LENGTH", "3"),
            ("SCRIPT_FILENAME", "/r/router.php"),
        ] {
            assert_eq!(seen(request().body(()).unwrap(), name).as_deref(), Some(value), "{name}");
        }
        for absent in ["CONTENT_TYPE", "HTTPS"] {
            assert_eq!(seen(request().body(()).unwrap(), absent), None, "{absent}");
        }
        let secure = || request().extension(Scheme::Https).body(()).unwrap();
        assert_eq!(seen(secure(), "HTTPS").as_deref(), Some("on"));
        assert_eq!(seen(secure(), "REQUEST_SCHEME").as_deref(), Some("https"));
    }

    #[test]
    fn a_header_is_one_variable_whatever_is_sent() {
        let sent = || {
            request()
                .header("X_Forkpress_Loopback", "forged")
                .header("X-ForkPress-Loopback", "one")
                .header("Forkpress-Connection", "9")
                .header("Cookie", "a=1")
                .header("Cookie", "b=2")
                .header("Accept", "x/*")
                .header("Accept", "y/*")
                .header("Proxy", "evil:1")
                .header("Content-Length", "99")
                .header("Transfer-Encoding", "chunked")
                .header("Underscored_Only", "u")
                .header("X.Forwarded.For", "1.2.3.4")
                .header("X-Forwarded~Proto", "https")
                .body(())
                .unwrap()
        };
        for (name, value) in [
            ("HTTP_X_FORKPRESS_LOOPBACK", Some("one")),
            ("FORKPRESS_CONNECTION", Some("7")),
            ("HTTP_COOKIE", Some("a=1; b=2")),
            ("HTTP_ACCEPT", Some("x/*, y/*")),
            ("HTTP_PROXY", None),
            ("HTTP_CONTENT_LENGTH", None),
            ("HTTP_TRANSFER_ENCODING", None),
            ("CONTENT_LENGTH", Some("3")),
            ("HTTP_UNDERSCORED_ONLY", None),
            ("HTTP_X.FORWARDED.FOR", None),
            ("HTTP_X_FORWARDED_FOR", None),
            ("HTTP_X_FORWARDED~PROTO", None),
        ] {
            assert_eq!(seen(sent(), name).as_deref(), value, "{name}");
        }
    }

    #[test]
    fn a_head_is_taken_once_it_is_whole_and_the_body_stays() {
        let whole = b"Status: 404 Not Found\r\nX-A: b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nbody\n\n";
        let end = whole.len() - 6;
        for length in 0..end {
            assert_eq!(take_head(&mut BytesMut::from(&whole[..length])), Ok(None), "{length} bytes");
        }
        let mut answer = BytesMut::from(&whole[..]);
        let head = take_head(&mut answer).unwrap().unwrap();
        assert_eq!(head.status, 404);
        assert_eq!(head.headers.get_all("set-cookie").iter().count(), 2);
        assert_eq!(&answer[..], b"body\n\n");
    }

    #[test]
    fn what_http_has_no_room_for_is_left_out_of_a_head() {
        let mut answer = BytesMut::from(
            &b"Status: 199\nConnection: close\nTransfer-Encoding: chunked\nno colon\nBad Name: x\nX-Ctl: a\x01b\nX-Ok:  y \n\n"[..],
        );
        let head = take_head(&mut answer).unwrap().unwrap();
        assert_eq!(head.status, 500);
        assert_eq!(head.headers.len(), 1);
        assert_eq!(head.headers["x-ok"], "y");
        assert_eq!(take_head(&mut BytesMut::zeroed(MOST_HEADER_BYTES + 1)), Err(EndlessHead));
    }

    #[test]
    fn whatever_a_script_says_is_taken_alike_however_it_is_cut_and_has_no_line_ends_in_its_headers() {
        let seeds = [
            b"Status: 404 Not Found\r\nX-A: b\r\nSet-Cookie: a=1\r\n\r\nbody\n\n".to_vec(),
            b"Content-Type: text/html\nLocation: /x\n\n".to_vec(),
            b"Status: 101\r\nTransfer-Encoding: chunked\r\n folded\r\n: x\r\n\r\n".to_vec(),
            Vec::new(),
        ];
        let words: [&[u8]; 8] = [b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"Status:", b"Connection: close", b":", b"\0"];
        crate::mutation::fuzz(&seeds, &words, |random, bytes| {
            let mut whole = BytesMut::from(bytes);
            let expected = take_head(&mut whole);
            let (mut cut, mut rest) = (BytesMut::new(), bytes);
            let mut got = Ok(None);
            while got == Ok(None) && !rest.is_empty() {
                let (piece, later) = rest.split_at(random.usize(1..=rest.len()));
                cut.extend_from_slice(piece);
                rest = later;
                got = take_head(&mut cut);
            }
            cut.extend_from_slice(rest);
            assert_eq!((&got, &cut), (&expected, &whole));
            let Ok(Some(head)) = got else { return };
            assert!(head.status.as_u16() >= 200);
            for (name, value) in &head.headers {
                assert!(!OF_THE_CONNECTION.contains(&name.as_str()), "{name}");
                assert!(!value.as_bytes().iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "{value:?}");
            }
        });
    }
}
