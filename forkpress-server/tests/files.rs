//! Files that are sent without PHP are what the router in PHP sends.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;

use common::{Site, rest, site};
use forkpress_core::layout::SiteLayout;
use forkpress_core::name::BranchName;

/// A status, headers and a body.
type Answer = (String, BTreeMap<String, String>, String);

/// The answer to a request, without what differs each time or is of the connection.
fn answer(site: &Site, of_php: bool, request: &str) -> Answer {
    let said = rest(&mut site.send_to(of_php, request.as_bytes()));
    let (head, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request}: {said}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().to_owned();
    let mut headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    headers.remove("date");
    headers.remove("connection");
    // PHP compresses nothing.
    headers.remove("vary");
    let body = match headers.remove("transfer-encoding") {
        Some(_) => common::unchunked(body),
        None => body.to_owned(),
    };
    (status, headers, body)
}

fn request(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: WP.localhost.:18080\r\nConnection: close\r\n{headers}\r\n")
}

#[test]
fn whoever_sends_it_a_file_is_sent_in_the_same_way() {
    let Some(site) = site(
        2,
        &[
            ("index.php", "<?php echo 'page ', $_SERVER['REQUEST_URI'];"),
            ("style.css", "a { background: url(http://wp.localhost/a.png) }"),
            ("foreign.css", "a { background: url(http://shop.wp.localhost:18080/a.png) }"),
            ("wp-includes/a.js", "http://shop.wp.localhost:18080/"),
            ("a.bin", "0123456789"),
            ("empty.txt", ""),
            ("folder.d/index.html", "index"),
            (".env.txt", "secret"),
            ("wp-content/plugins/a.php.bak", "secret"),
        ],
    ) else {
        return;
    };
    symlink("/etc/hostname", site.dir.join("main/link.txt")).unwrap();
    fs::write(site.dir.join("main/large.bin"), vec![b'x'; 1_000_000]).unwrap();
    let whole = answer(&site, false, &request("GET", "/a.bin", ""));
    let (etag, modified) = (&whole.1["etag"], &whole.1["last-modified"]);
    assert_eq!(whole.2, "0123456789");
    let mut mapped = 0;
    for path in [
        "/a.bin",
        "/style.css",
        "/foreign.css",
        "/wp-includes/a.js",
        "/wp-includes/a.js?ver=1",
        "/empty.txt",
        "/large.bin",
        "/folder.d",
        "/missing.png",
        "/.env.txt",
        "/wp-content/plugins/a.php.bak",
        "/link.txt",
        "/%61.bin",
        "//a.bin",
        "/a.bin/",
        "/a.bin/b.txt",
        "/a%2Fb.txt",
    ] {
        for headers in [
            String::new(),
            "Range: bytes=2-4\r\n".to_owned(),
            "Range: bytes=-3\r\n".to_owned(),
            "Range: bytes=2000000-\r\n".to_owned(),
            "Range: bytes=0-1,3-4\r\n".to_owned(),
            format!("If-None-Match: {etag}\r\n"),
            format!("If-Modified-Since: {modified}\r\n"),
            format!("If-Match: {etag}\r\n"),
            "If-Match: \"other\"\r\n".to_owned(),
            "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT\r\n".to_owned(),
            format!("If-Range: {etag}\r\nRange: bytes=1-2\r\n"),
            "If-Range: \"other\"\r\nRange: bytes=1-2\r\n".to_owned(),
        ] {
            for method in ["GET", "HEAD"] {
                let request = request(method, path, &headers);
                let (mut ours, mut theirs) = (answer(&site, false, &request), answer(&site, true, &request));
                // Only one of both says how long it would be that a refusal does not have, or has not.
                if ours.2.is_empty() && theirs.2.is_empty() && ours.1.len() != theirs.1.len() {
                    ours.1.remove("content-length");
                    theirs.1.remove("content-length");
                }
                assert_eq!(ours, theirs, "{request}");
                mapped += u32::from(ours.2.contains("url(http://wp.localhost.:18080/"));
            }
        }
    }
    assert!(mapped > 0, "addresses of other branches become the own one");
}

#[test]
fn while_a_writer_has_the_site_a_file_waits_and_says_so_in_the_end() {
    let Some(site) = site(1, &[("a.txt", "file")]) else { return };
    assert_eq!(site.get("/a.txt"), "file");
    let lock = fs::File::open(site.dir.join(".forkpress/cow/operations.lock")).unwrap();
    lock.lock().unwrap();
    let mut waits = site.send(b"GET /a.txt HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n");
    let said = site.said(b"GET /a.txt HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n");
    assert!(said.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{said}");
    assert!(
        said.contains("\r\nretry-after: 5\r\n") && said.contains("This site is busy: operations.lock is held by"),
        "{said}"
    );
    assert!(rest(&mut waits).starts_with("HTTP/1.1 503 "), "it waited as long");
    lock.unlock().unwrap();
    assert_eq!(site.get("/a.txt"), "file");
}

#[test]
fn a_thread_that_has_nothing_more_to_do_keeps_no_lock_of_a_file_that_it_sent() {
    let Some(site) = site(1, &[("a.txt", "file")]) else { return };
    let (layout, main) = (SiteLayout::at(&site.dir), BranchName::main());
    let cow = layout.cow();
    fs::create_dir_all(cow.records_dir()).unwrap();
    fs::write(cow.record(&main), "").unwrap();
    assert_eq!(site.get("/a.txt"), "file");
    for path in [cow.operations_lock(), cow.branch_lock(&main)] {
        for _ in 0..3 {
            assert_eq!(site.get("/a.txt"), "file");
            let lock = fs::File::open(&path).unwrap();
            common::eventually("the lock is let go", || lock.try_lock().is_ok());
        }
    }
}
