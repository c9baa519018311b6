//! Requests as raw bytes, and what exactly comes back.

mod common;

use std::io::{Read, Write};
use std::net::Shutdown;

use common::requests::{NEXT, refused};
use common::{Site, eventually, rest, site};

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
    for (what, request, status) in refused() {
        let said = site.said(&[request.as_bytes(), NEXT.as_bytes()].concat());
        assert_eq!(statuses(&said), [status], "{what}: {said}");
        assert!(!said.contains("smuggled"), "{what}: {said}");
        let after_another = format!("HEAD /a.txt HTTP/1.1\r\nHost: wp.localhost\r\n\r\n{request}{NEXT}");
        let said = site.said(after_another.as_bytes());
        assert_eq!(statuses(&said), [200, status], "{what}, after another: {said}");
        assert!(!said.contains("smuggled"), "{what}, after another: {said}");
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
