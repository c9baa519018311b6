//! Requests that are refused, as raw bytes. The fuzz loop begins with them, too.

/// How a request with a body begins.
pub const POST: &str = "POST / HTTP/1.1\r\nHost: wp.localhost\r\n";

/// The head of a request whose body comes in chunks.
pub const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: wp.localhost\r\nTransfer-Encoding: chunked\r\n\r\n";

/// A request that names no length. Where it is a part of another one it must not be answered.
pub const NEXT: &str = "GET /?smuggled HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n";

/// What it is, the bytes after [`POST`], and the status of the answer.
pub const LENGTHS: &[(&str, &str, u16)] = &[
    ("two lengths", "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
    ("one length twice", "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd", 400),
    ("a list of lengths", "Content-Length: 4, 4\r\n\r\nabcd", 400),
    ("a signed length", "Content-Length: +4\r\n\r\nabcd", 400),
    ("a negative length", "Content-Length: -1\r\n\r\n", 400),
    ("a length in hexadecimal", "Content-Length: 0x4\r\n\r\nabcd", 400),
    ("a length with a fraction", "Content-Length: 4.0\r\n\r\nabcd", 400),
    ("a length in quotes", "Content-Length: \"4\"\r\n\r\nabcd", 400),
    ("a length of two numbers", "Content-Length: 4 4\r\n\r\nabcd", 400),
    ("a length of other digits", "Content-Length: \u{664}\r\n\r\nabcd", 400),
    ("an empty length", "Content-Length:\r\n\r\n", 400),
    ("a length with a vertical tab", "Content-Length: \x0b4\r\n\r\nabcd", 400),
    ("a blank after the name of the length", "Content-Length : 4\r\n\r\nabcd", 400),
    ("a length that is folded", "Content-Length:\r\n 4\r\n\r\nabcd", 400),
    ("an absurd length", "Content-Length: 99999999999999999999\r\n\r\n", 400),
    ("a length of all there is", "Content-Length: 18446744073709551615\r\n\r\n", 400),
    ("the longest length that there can be", "Content-Length: 9223372036854775807\r\n\r\n", 413),
    ("a length above the limit", "Content-Length: 4294967297\r\n\r\n", 413),
    ("such a length that is expected", "Expect: 100-continue\r\nContent-Length: 4294967297\r\n\r\n", 413),
    ("a length and chunks", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("chunks and a length", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400),
    ("chunks and no length", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", 400),
    ("a length and another coding", "Content-Length: 4\r\nTransfer-Encoding: gzip, chunked\r\n\r\nabcd", 400),
    ("another coding", "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    ("a coding and its parameter", "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n", 400),
    ("two codings", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
    (
        "two codings in the other order",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("chunks twice", "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 501),
    ("chunks in two lines", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
    ("chunks after nothing", "Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n", 501),
    ("a coding that is none", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    ("a coding in quotes", "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 400),
    ("an empty coding", "Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400),
    ("chunks that are not last", "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    ("a coding with a vertical tab", "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    ("a coding with a NUL", "Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", 400),
    ("a coding that is folded", "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
    ("a blank after the name of the coding", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    ("a tab after the name of the coding", "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n", 400),
    ("a blank before the name of the coding", " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("a coding after a line feed alone", "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("a coding after a carriage return alone", "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("something else that is expected", "Expect: a-miracle\r\nContent-Length: 1\r\n\r\na", 417),
];

/// What it is, the bytes after [`CHUNKED`], and the status of the answer.
pub const CHUNKS: &[(&str, &str, u16)] = &[
    ("a chunk that is no number", "zz\r\n", 400),
    ("a chunk without a size", "\r\nabc\r\n0\r\n\r\n", 400),
    ("a signed chunk", "+1\r\na\r\n0\r\n\r\n", 400),
    ("a negative chunk", "-1\r\na\r\n0\r\n\r\n", 400),
    ("a chunk in C's way", "0x1\r\na\r\n0\r\n\r\n", 400),
    ("a blank before a size", " 1\r\na\r\n0\r\n\r\n", 400),
    ("a blank after a size", "1 \r\na\r\n0\r\n\r\n", 400),
    ("a NUL after a size", "1\0\r\na\r\n0\r\n\r\n", 400),
    ("a chunk of an absurd size", "fffffffffffffffff\r\n", 400),
    ("a chunk of all there is", "ffffffffffffffff\r\n", 400),
    ("a size with many zeros", "00000000000000000001\r\na\r\n0\r\n\r\n", 400),
    ("a chunk that is longer than it says", "1\r\nab\r\n0\r\n\r\n", 400),
    ("a chunk that is shorter than it says", "3\r\nab\r\n0\r\n\r\n", 400),
    ("a line feed alone after a size", "1\na\r\n0\r\n\r\n", 400),
    ("a carriage return alone after a size", "1\ra\r\n0\r\n\r\n", 400),
    ("a line feed alone after a chunk", "1\r\na\n0\r\n\r\n", 400),
    ("a line feed alone in an extension", "1;x\na\r\n0\r\n\r\n", 400),
    ("a carriage return alone in an extension", "1;x\ry\r\na\r\n0\r\n\r\n", 400),
    ("line feeds alone at the end", "1\r\na\r\n0\n\n", 400),
    ("a line feed alone at the very end", "1\r\na\r\n0\r\n\n", 400),
    ("something after the body", "1\r\na\r\n0\r\nX-Trailer: x\r\n\r\n", 400),
    ("a length after the body", "1\r\na\r\n0\r\nContent-Length: 5\r\n\r\n", 400),
];

/// What it is, all of its bytes, and the status of the answer.
pub const HEADS: &[(&str, &str, u16)] = &[
    (
        "chunks of an old client",
        "POST / HTTP/1.0\r\nHost: wp.localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    ("lines that end with a line feed alone", "GET / HTTP/1.1\nHost: wp.localhost\n\n", 400),
    ("one that does", "GET / HTTP/1.1\r\nHost: wp.localhost\nX-A: b\r\n\r\n", 400),
    ("an end that does", "GET / HTTP/1.1\r\nHost: wp.localhost\r\n\n", 400),
    ("a line feed alone before it", "\nGET / HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
    ("lines that end with a carriage return alone", "GET / HTTP/1.1\rHost: wp.localhost\r\r", 400),
    ("two carriage returns", "GET / HTTP/1.1\r\r\nHost: wp.localhost\r\r\n\r\r\n", 400),
    ("a blank before it", " GET / HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
    ("a folded line", "GET / HTTP/1.1\r\nHost: wp.localhost\r\nX-A: b\r\n c\r\n\r\n", 400),
    ("a line folded with a tab", "GET / HTTP/1.1\r\nHost: wp.localhost\r\nX-A: b\r\n\tc\r\n\r\n", 400),
    ("a first line that is folded", "GET / HTTP/1.1\r\n Host: wp.localhost\r\n\r\n", 400),
    ("a NUL in a value", "GET / HTTP/1.1\r\nHost: wp.localhost\r\nX-A: a\0b\r\n\r\n", 400),
    ("a NUL in a name", "GET / HTTP/1.1\r\nHost: wp.localhost\r\nX-\0A: b\r\n\r\n", 400),
    ("a carriage return in a value", "GET / HTTP/1.1\r\nHost: wp.localhost\r\nX-A: a\rb\r\n\r\n", 400),
    ("a header without a name", "GET / HTTP/1.1\r\nHost: wp.localhost\r\n: x\r\n\r\n", 400),
    ("a header without a colon", "GET / HTTP/1.1\r\nHost: wp.localhost\r\nX-A\r\n\r\n", 400),
    ("a blank in a name", "GET / HTTP/1.1\r\nHost: wp.localhost\r\nX A: b\r\n\r\n", 400),
    ("a blank before a colon", "GET / HTTP/1.1\r\nHost : wp.localhost\r\n\r\n", 400),
    ("a name in other letters", "GET / HTTP/1.1\r\nHost: wp.localhost\r\nX-\u{c4}: b\r\n\r\n", 400),
    ("two hosts", "GET / HTTP/1.1\r\nHost: wp.localhost\r\nHost: other.wp.localhost\r\n\r\n", 400),
    ("one host twice", "GET / HTTP/1.1\r\nHost: wp.localhost\r\nHost: wp.localhost\r\n\r\n", 400),
    ("no host", "GET / HTTP/1.1\r\n\r\n", 400),
    ("a whole address of another host", "GET http://other.wp.localhost/ HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
    ("a whole address with a user", "GET http://me@wp.localhost/ HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
    ("an address of something else", "GET ftp://wp.localhost/ HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
    ("two blanks", "GET  / HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
    ("a tab for a blank", "GET\t/ HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
    ("a blank in the path", "GET /a b HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
    ("a blank after the version", "GET / HTTP/1.1 \r\nHost: wp.localhost\r\n\r\n", 400),
    ("a fragment", "GET /a.txt#/../b HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
    ("no path", "GET HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
    ("no version", "GET /\r\n\r\n", 400),
    ("a control character in the path", "GET /a\x01b HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
    ("another version", "GET / HTTP/3.0\r\nHost: wp.localhost\r\n\r\n", 400),
    ("a version in small letters", "GET / http/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
    ("a version of two digits", "GET / HTTP/1.10\r\nHost: wp.localhost\r\n\r\n", 400),
    ("a method that is none", "G@T / HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
    ("TLS", "\x16\x03\x01\x02\0\x01\0\x01", 400),
    ("a proxy's request", "CONNECT wp.localhost:443 HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 501),
    ("an echo", "TRACE / HTTP/1.1\r\nHost: wp.localhost\r\nCookie: secret\r\n\r\n", 501),
    ("a long method", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 501),
];

/// All of them as whole requests.
pub fn refused() -> impl Iterator<Item = (&'static str, String, u16)> {
    let heads = HEADS.iter().map(|&(what, request, status)| (what, request.to_owned(), status));
    let after = |begin: &'static str, table: &'static [(&'static str, &'static str, u16)]| {
        table.iter().map(move |&(what, rest, status)| (what, format!("{begin}{rest}"), status))
    };
    heads.chain(after(POST, LENGTHS)).chain(after(CHUNKED, CHUNKS))
}
