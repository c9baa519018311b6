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
        ("a host that begins alike", "GET / HTTP/1.1\r\nHost: wp.localhost.evil.example\r\n\r\n", 421),
        ("an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 421),
        ("a host with a blank", "GET / HTTP/1.1\r\nHost: wp.localhost evil\r\n\r\n", 421),
        ("a host with a path", "GET / HTTP/1.1\r\nHost: wp.localhost/evil\r\n\r\n", 421),
        ("a host with a user", "GET / HTTP/1.1\r\nHost: me@wp.localhost\r\n\r\n", 421),
        ("a port that is none", "GET / HTTP/1.1\r\nHost: wp.localhost:x\r\n\r\n", 421),
        ("a list of hosts", "GET / HTTP/1.1\r\nHost: wp.localhost, evil.example\r\n\r\n", 421),
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
        ("a path of half that", format!("GET /{} HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", &long[..32_000]), 414),
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

/// A page that does what its query says.
const PAGE: &str = r"<?php
    $what = $_GET['do'] ?? '';
    if ( isset( $_GET['length'] ) ) { header( 'Content-Type: application/octet-stream' ); header( 'Content-Length: ' . $_GET['length'] ); }
    if ( isset( $_GET['status'] ) ) { http_response_code( (int) $_GET['status'] ); }
    if ( 'large' === $what ) { echo str_repeat( 'x', 300000 ); flush(); }
    if ( 'flushed' === $what ) { echo 'ab'; @ob_end_flush(); flush(); while ( ! file_exists( __DIR__ . '/go' ) ) { usleep( 2000 ); clearstatcache(); } }
    if ( 'none' !== $what ) { echo 'page ', $_SERVER['REQUEST_METHOD'], ' ', $_SERVER['REQUEST_URI']; }";

/// The answers to what is asked on one connection: statuses, heads and bodies, read as a client reads them.
fn answers(site: &Site, requests: &str, methods: &[&str]) -> Vec<(u16, String, String)> {
    let said = site.said(requests.as_bytes());
    let (mut rest, mut all) = (said.as_str(), Vec::new());
    for method in methods {
        let (head, after) = rest.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method}: no answer in {said:?}"));
        let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let status: u16 = head[9..12].parse().unwrap();
        let has_body = *method != "HEAD" && status != 204 && status != 304;
        let end = match (has_body, value("content-length:"), value("transfer-encoding:")) {
            (false, ..) => 0,
            (true, Some(length), None) => length.parse().unwrap(),
            (true, None, Some("chunked")) => after.find("0\r\n\r\n").unwrap() + 5,
            (true, ..) => after.len(),
        };
        assert!(end <= after.len(), "{method}: the answer is cut short: {said:?}");
        all.push((status, head.to_owned(), after[..end].to_owned()));
        rest = &after[end..];
    }
    assert_eq!(rest, "", "nothing follows: {said:?}");
    all
}

#[test]
fn what_is_written_as_it_should_be_is_answered_and_the_connection_stays_in_step() {
    let Some(site) = site(2, &[("index.php", PAGE), ("a.txt", "file")]) else { return };
    let many = (0..90).map(|at| format!("X-{at}: {at}\r\n")).collect::<String>();
    for (what, method, request, status, body) in [
        ("a page", "GET", "GET /?a HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 200, "page GET /?a"),
        ("empty lines before it", "GET", "\r\n\r\nGET /?a HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 200, "page GET /?a"),
        ("a header of no value", "GET", "GET /?a HTTP/1.1\r\nHost:wp.localhost\r\nX-A:\r\n\r\n", 200, "page GET /?a"),
        (
            "a whole address",
            "GET",
            "GET http://wp.localhost/?a HTTP/1.1\r\nHost: WP.localhost\r\n\r\n",
            200,
            "page GET /?a",
        ),
        (
            "a body that nobody asked for",
            "GET",
            "GET /?a HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: 4\r\n\r\nGET ",
            200,
            "page GET /?a",
        ),
        (
            "a body in chunks",
            "POST",
            "POST /?a HTTP/1.1\r\nHost: wp.localhost\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=\"y\"\r\nabc\r\n00\r\n\r\n",
            200,
            "page POST /?a",
        ),
        (
            "a file asked for with a body",
            "GET",
            "GET /a.txt HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: 4\r\n\r\nGET ",
            200,
            "file",
        ),
        ("a head alone", "HEAD", "HEAD /?a HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 200, ""),
        (
            "a head alone, of a length",
            "HEAD",
            "HEAD /?length=7&do=none HTTP/1.1\r\nHost: wp.localhost\r\n\r\n",
            200,
            "",
        ),
        ("no content", "GET", "GET /?status=204 HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 204, ""),
        ("nothing new", "GET", "GET /?status=304 HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 304, ""),
        ("nothing new, at length", "GET", "GET /?status=304&do=large HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 304, ""),
        ("no content, at length", "GET", "GET /?status=204&do=large HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 204, ""),
        (
            "an interim status",
            "GET",
            "GET /?status=101&do=a HTTP/1.1\r\nHost: wp.localhost\r\n\r\n",
            500,
            "page GET /?status=101&do=a",
        ),
        (
            "a page that says it is longer",
            "GET",
            "GET /?length=99 HTTP/1.1\r\nHost: wp.localhost\r\n\r\n",
            200,
            "page GET /?length=99",
        ),
        (
            "a page that says it is shorter",
            "GET",
            "GET /?length=1 HTTP/1.1\r\nHost: wp.localhost\r\n\r\n",
            200,
            "page GET /?length=1",
        ),
        (
            "a page that says nonsense",
            "GET",
            "GET /?length=1,1 HTTP/1.1\r\nHost: wp.localhost\r\n\r\n",
            200,
            "page GET /?length=1,1",
        ),
        (
            "an empty page that says it is longer",
            "GET",
            "GET /?length=9&do=none HTTP/1.1\r\nHost: wp.localhost\r\n\r\n",
            200,
            "",
        ),
        (
            "an upgrade",
            "GET",
            "GET /?a HTTP/1.1\r\nHost: wp.localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
            200,
            "page GET /?a",
        ),
        (
            "a socket",
            "GET",
            "GET /?a HTTP/1.1\r\nHost: wp.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
            200,
            "page GET /?a",
        ),
        (
            "a target with other letters",
            "GET",
            "GET /?\u{e4} HTTP/1.1\r\nHost: wp.localhost\r\n\r\n",
            200,
            "page GET /?\u{e4}",
        ),
        (
            "a method of others",
            "PROPFIND",
            "PROPFIND /?a HTTP/1.1\r\nHost: wp.localhost\r\n\r\n",
            200,
            "page PROPFIND /?a",
        ),
        ("a method of nobody", "BREW", "BREW /?a HTTP/1.1\r\nHost: wp.localhost\r\n\r\n", 200, "page BREW /?a"),
        (
            "an old client that stays",
            "GET",
            "GET /?a HTTP/1.0\r\nHost: wp.localhost\r\nConnection: keep-alive\r\n\r\n",
            200,
            "page GET /?a",
        ),
        ("many headers", "GET", &format!("GET /?a HTTP/1.1\r\nHost: wp.localhost\r\n{many}\r\n"), 200, "page GET /?a"),
    ] {
        let next = "GET /?next HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n";
        let [(got, head, said), (last, _, page)] = &answers(&site, &format!("{request}{next}"), &[method, "GET"])[..]
        else {
            panic!()
        };
        assert_eq!((*got, said.as_str()), (status, body), "{what}: {head}");
        assert_eq!((*last, page.as_str()), (200, "page GET /?next"), "{what}: what follows it");
        assert!(!head.to_ascii_lowercase().contains("\r\nupgrade:"), "{what}: {head}");
    }
}

#[test]
fn a_page_that_tells_a_wrong_length_after_its_client_has_a_part_ends_the_connection_or_is_cut() {
    let Some(site) = site(1, &[("index.php", PAGE)]) else { return };
    let next = "GET /?smuggled HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n";
    for (length, statuses) in [("99", 1), ("4", 2)] {
        let _ = std::fs::remove_file(site.dir.join("main/go"));
        let request = format!("GET /?do=flushed&length={length} HTTP/1.1\r\nHost: wp.localhost\r\n\r\n{next}");
        let mut client = site.send(request.as_bytes());
        let mut said = String::new();
        while !said.ends_with("\r\n\r\nab") {
            let mut piece = [0; 4096];
            let length = client.read(&mut piece).unwrap_or_else(|error| panic!("{error}: {said:?}"));
            assert!(length > 0, "{said}");
            said += std::str::from_utf8(&piece[..length]).unwrap();
        }
        std::fs::write(site.dir.join("main/go"), "").unwrap();
        said += &rest(&mut client);
        assert_eq!(said.matches("HTTP/1.1 200 OK").count(), statuses, "{length}: {said}");
        assert!(length == "99" || said.contains("\r\n\r\nabpaHTTP/1.1 200 OK"), "{said}");
    }
}

#[test]
fn an_old_client_keeps_its_connection_only_where_it_asks_for_that_and_never_gets_chunks() {
    let Some(site) = site(1, &[("index.php", PAGE)]) else { return };
    let old = |head: &str| site.said(format!("GET /?do=large HTTP/1.0\r\n{head}\r\n").as_bytes());
    let said = old("Host: wp.localhost\r\n");
    assert!(said.starts_with("HTTP/1.0 200 OK\r\n"), "{}", &said[..300]);
    assert!(!said.to_ascii_lowercase().contains("transfer-encoding") && said.ends_with("xpage GET /?do=large"));
    let said = old("Host: wp.localhost\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n");
    assert!(said.starts_with("HTTP/1.0 200 OK\r\n") && said.ends_with("xpage GET /?do=large"), "its end is the page's");
    let whole = "GET /?a HTTP/1.0\r\nHost: wp.localhost\r\n\r\n";
    assert_eq!(answers(&site, &format!("{whole}{NEXT}"), &["GET"]).len(), 1, "the second is not read");
}

#[test]
fn what_is_too_long_is_answered_before_it_is_sent_and_a_client_that_sends_it_hears_so() {
    let Some(site) = site(1, &[("index.php", PAGE)]) else { return };
    let head = "POST / HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: 4294967297\r\n";
    let said = site.said(format!("{head}Expect: 100-continue\r\n\r\n").as_bytes());
    assert!(said.starts_with("HTTP/1.1 413 ") && said.ends_with("The body of the request is too large\n"), "{said}");
    // It looks for an answer only after so much that no socket holds it.
    let mut client = site.send(format!("{head}\r\n").as_bytes());
    for _ in 0..256 {
        client.write_all(&[b'x'; 65536]).expect("it is taken, though nobody wants it");
    }
    client.shutdown(Shutdown::Write).unwrap();
    let said = rest(&mut client);
    assert!(said.starts_with("HTTP/1.1 413 ") && said.ends_with("The body of the request is too large\n"), "{said}");
    eventually("the connection ends", || site.front.connections() == 0);
}

#[test]
fn half_a_head_is_waited_for_as_long_as_anything_is() {
    let Some(site) = started() else { return };
    let halves = ["GET / HT", "GET / HTTP/1.1\r\nHost: wp.localhost\r\n", "\r\n"];
    for mut client in halves.map(|half| site.send(half.as_bytes())) {
        assert_eq!(rest(&mut client), "");
    }
}
