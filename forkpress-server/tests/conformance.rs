//! Requests as raw bytes, and what exactly comes back.

mod common;

use std::io::{Read, Write};
use std::net::Shutdown;

use common::{Site, eventually, rest, site};

/// A head that names no length, so that whatever follows it is another request.
const NEXT: &str = "GET /?smuggled HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n";

/// The statuses of all answers in what came back. Bodies here have no such line.
fn statuses(said: &str) -> Vec<u16> {
    said.lines()
        .filter_map(|line| line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 ")))
        .filter_map(|line| line.get(..3)?.parse().ok())
        .collect()
}

fn started() -> Option<Site> {
    site(
        2,
        &[
            (
                "index.php",
                "<?php echo 'page ', $_SERVER['QUERY_STRING'], ' ', strlen( file_get_contents( 'php://input' ) );",
            ),
            ("a.txt", "file"),
        ],
    )
}

#[test]
fn what_can_be_read_in_two_ways_is_refused_and_nothing_after_it_is_a_request() {
    let Some(site) = started() else { return };
    for (what, request, status) in [
        (
            "two lengths",
            "POST / HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
            400,
        ),
        ("a list of lengths", "POST / HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: 4, 4\r\n\r\nabcd", 400),
        ("a signed length", "POST / HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: +4\r\n\r\nabcd", 400),
        ("a negative length", "POST / HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: -1\r\n\r\n", 400),
        ("a length in hexadecimal", "POST / HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: 0x4\r\n\r\nabcd", 400),
        ("an empty length", "POST / HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length:\r\n\r\n", 400),
        (
            "an absurd length",
            "POST / HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
            400,
        ),
        (
            "a length of all there is",
            "POST / HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: 18446744073709551615\r\n\r\n",
            431,
        ),
        ("a large length", "POST / HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: 1073741825\r\n\r\n", 413),
        (
            "another coding",
            "POST / HTTP/1.1\r\nHost: wp.localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            501,
        ),
        (
            "a coding in two lines",
            "POST / HTTP/1.1\r\nHost: wp.localhost\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            501,
        ),
        (
            "chunks twice",
            "POST / HTTP/1.1\r\nHost: wp.localhost\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            501,
        ),
        (
            "a coding that is none",
            "POST / HTTP/1.1\r\nHost: wp.localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "chunks that are not last",
            "POST / HTTP/1.1\r\nHost: wp.localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "chunks of an old client",
            "POST / HTTP/1.0\r\nHost: wp.localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (
            "a blank before the colon",
            "POST / HTTP/1.1\r\nHost: wp.localhost\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        ("a folded line", "GET / HTTP/1.1\r\nHost: wp.localhost\r\nX-A: b\r\n c\r\n\r\n", 400),
        ("a first line that is folded", "GET / HTTP/1.1\r\n Host: wp.localhost\r\n\r\n", 400),
        ("a NUL", "GET / HTTP/1.1\r\nHost: wp.localhost\r\nX-A: a\0b\r\n\r\n", 400),
        ("a carriage return in a value", "GET / HTTP/1.1\r\nHost: wp.localhost\r\nX-A: a\rb\r\n\r\n", 400),
        ("a header without a name", "GET / HTTP/1.1\r\nHost: wp.localhost\r\n: x\r\n\r\n", 400),
        ("two hosts", "GET / HTTP/1.1\r\nHost: wp.localhost\r\nHost: other.wp.localhost\r\n\r\n", 400),
        ("one host twice", "GET / HTTP/1.1\r\nHost: wp.localhost\r\nHost: wp.localhost\r\n\r\n", 400),
        ("no host", "GET / HTTP/1.1\r\n\r\n", 400),
        (
            "a chunk that is no number",
            "POST / HTTP/1.1\r\nHost: wp.localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
        ),
        (
            "a chunk of an absurd length",
            "POST / HTTP/1.1\r\nHost: wp.localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            400,
        ),
        (
            "a chunk that is longer than it says",
            "POST / HTTP/1.1\r\nHost: wp.localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
            400,
        ),
        (
            "something after the body",
            "POST / HTTP/1.1\r\nHost: wp.localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Trailer: x\r\n\r\n",
            400,
        ),
        ("two blanks", "GET  / HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
        ("no path", "GET HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
        ("a control character in the path", "GET /a\x01b HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
        ("another version", "GET / HTTP/3.0\r\nHost: wp.localhost\r\n\r\n", 400),
        ("TLS", "\x16\x03\x01\x02\0\x01\0\x01", 400),
        ("a proxy's request", "CONNECT wp.localhost:443 HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 405),
        (
            "something else that is expected",
            "POST / HTTP/1.1\r\nHost: wp.localhost\r\nExpect: a-miracle\r\nContent-Length: 1\r\n\r\na",
            417,
        ),
    ] {
        let said = site.said(&[request.as_bytes(), NEXT.as_bytes()].concat());
        assert_eq!(statuses(&said), [status], "{what}: {said}");
        assert!(!said.contains("smuggled"), "{what}: {said}");
    }
}

#[test]
fn a_client_that_begins_with_http_2_is_told_nothing() {
    let Some(site) = started() else { return };
    assert_eq!(site.said(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "");
}

#[test]
fn what_is_asked_of_nobody_here_is_refused_and_the_connection_stays() {
    let Some(site) = started() else { return };
    for (what, request, status) in [
        ("another host", "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        ("no branch", "GET / HTTP/1.1\r\nHost: nothing.wp.localhost\r\n\r\n", 404),
        ("a whole address", "GET http://wp.localhost/ HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
        ("the server itself", "OPTIONS * HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
        ("a way out", "GET /../a.txt HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
        ("an encoded way out", "GET /%2e%2e/a.txt HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
        ("a NUL in a path", "GET /a.txt%00.php HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 400),
        ("a hidden file", "GET /.git/config.txt HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 404),
    ] {
        let said = site.said(&[request.as_bytes(), NEXT.as_bytes()].concat());
        assert_eq!(statuses(&said), [status, 200], "{what}: {said}");
        assert!(said.ends_with("page smuggled 0"), "{what}: {said}");
    }
    let said = site.said(b"GET / HTTP/1.0\r\n\r\n");
    assert!(said.starts_with("HTTP/1.0 421 Misdirected Request\r\n"), "an old client that names no host: {said}");
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let Some(site) = started() else { return };
    let long = "x".repeat(70_000);
    for (what, request, status) in [
        ("a long value", format!("GET / HTTP/1.1\r\nHost: wp.localhost\r\nX-A: {long}\r\n\r\n"), 431),
        ("a long name", format!("GET / HTTP/1.1\r\nHost: wp.localhost\r\n{long}: a\r\n\r\n"), 431),
        ("a long path", format!("GET /{long} HTTP/1.1\r\nHost: wp.localhost\r\n\r\n"), 414),
        ("many headers", format!("GET / HTTP/1.1\r\nHost: wp.localhost\r\n{}\r\n", "A: b\r\n".repeat(1000)), 431),
    ] {
        assert_eq!(statuses(&site.said(request.as_bytes())), [status], "{what}");
    }
    let fits = format!(
        "GET /?fits HTTP/1.1\r\nHost: wp.localhost\r\nX-A: {}\r\nConnection: close\r\n\r\n",
        "x".repeat(16_000)
    );
    assert!(site.said(fits.as_bytes()).ends_with("page fits 0"));
    let cookies = format!(
        "GET /?cookies HTTP/1.1\r\nHost: wp.localhost\r\n{}Connection: close\r\n\r\n",
        format!("Cookie: {}\r\n", "c".repeat(900)).repeat(60)
    );
    assert!(site.said(cookies.as_bytes()).ends_with("page cookies 0"));
}

#[test]
fn a_body_in_chunks_is_the_last_of_its_connection() {
    let Some(site) = started() else { return };
    // Read by its length, the rest of it is another request. Nobody here reads it so.
    for lengths in
        ["Transfer-Encoding: chunked\r\nContent-Length: 4", "Content-Length: 4\r\nTransfer-Encoding: chunked"]
    {
        let both = format!("POST / HTTP/1.1\r\nHost: wp.localhost\r\n{lengths}\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        let said = site.said(&[both.as_bytes(), NEXT.as_bytes()].concat());
        assert_eq!(statuses(&said), [200], "{said}");
        assert!(said.contains("\r\nconnection: close\r\n") && said.ends_with("page  3"), "{said}");
    }
}

#[test]
fn a_client_that_goes_away_or_is_slow_with_its_body_is_let_go() {
    let Some(site) = started() else { return };
    for half in [
        "",
        "GET",
        "GET / HTTP/1.1\r\nHost: wp.local",
        "POST / HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: 10\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: wp.localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ] {
        drop(site.send(half.as_bytes()));
        let closed = site.send(half.as_bytes());
        closed.shutdown(Shutdown::Write).unwrap();
    }
    eventually("no connection is left", || site.front.connections() == 0);
    let mut slow = site.send(b"POST / HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: 10\r\n\r\n");
    slow.write_all(b"abc").unwrap();
    assert_eq!(statuses(&rest(&mut slow)), [408]);
    assert!(site.get("/?next").ends_with("page next 0"));
}

#[test]
fn a_client_that_takes_nothing_for_long_is_let_go_and_one_that_takes_a_little_is_not() {
    let Some(site) = site(1, &[("a.txt", "file")]) else { return };
    std::fs::write(site.dir.join("main/big.bin"), vec![b'x'; 32 << 20]).unwrap();
    let request = b"GET /big.bin HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n";
    let deaf = site.send(request);
    let mut slow = site.send(request);
    let mut taken = 0;
    // A step takes the server a moment; the one that takes nothing has its whole time from its last byte on.
    while site.front.connections() == 2 {
        taken += slow.read(&mut vec![0; 256 << 10]).unwrap();
        assert!(taken < 31 << 20, "the other is not let go");
        std::thread::sleep(std::time::Duration::from_millis(80));
    }
    assert_eq!(taken + rest(&mut slow).len(), (32 << 20) + head_bytes(&site), "it gets all");
    drop(deaf);
}

/// How long the head of the answer for that file is.
fn head_bytes(site: &Site) -> usize {
    site.said(b"HEAD /big.bin HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n").len()
}
