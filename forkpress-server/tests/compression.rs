//! Texts are sent compressed to clients that take that, and never as what they were before.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Site, site};

/// An answer, with the names of its headers in small letters.
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The body as it was before it was compressed.
    fn text(&self) -> String {
        let mut text = Vec::new();
        match self.header("content-encoding") {
            "" => text.clone_from(&self.body),
            "zstd" => text = zstd::decode_all(&self.body[..]).unwrap(),
            "br" => brotli::BrotliDecompress(&mut &self.body[..], &mut text).unwrap(),
            "gzip" => {
                flate2::read::GzDecoder::new(&self.body[..]).read_to_end(&mut text).unwrap();
            }
            other => panic!("{other}"),
        }
        String::from_utf8(text).unwrap()
    }
}

fn ask(site: &Site, method: &str, path: &str, headers: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: wp.localhost:18080\r\nConnection: close\r\n{headers}\r\n");
    let mut said = Vec::new();
    site.send(request.as_bytes()).read_to_end(&mut said).unwrap();
    let end = said.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| panic!("{request}: {said:?}"));
    let head = String::from_utf8(said[..end].to_vec()).unwrap();
    let status = head[9..12].parse().unwrap();
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: said[end + 4..].to_vec() }
}

fn get(site: &Site, path: &str, accepted: &str) -> Answer {
    ask(site, "GET", path, &format!("Accept-Encoding: {accepted}\r\n"))
}

fn style(number: u32) -> String {
    (0..500).map(|line| format!("a{line} {{ order: {number} }}\n")).collect()
}

#[test]
fn a_text_is_sent_in_the_coding_that_its_client_likes_best() {
    let text = style(1);
    let Some(site) = site(1, &[("style.css", &text), ("short.css", "a {}"), ("a.png", &text), ("empty.css", "")])
    else {
        return;
    };
    for (path, accepted, coding) in [
        ("/style.css", "gzip, deflate, br, zstd", "zstd"),
        ("/style.css", "gzip, deflate, br", "br"),
        ("/style.css", "gzip", "gzip"),
        ("/style.css", "gzip;q=0.9, br;q=0.8", "gzip"),
        ("/style.css", "gzip;q=0", ""),
        ("/style.css", "*", "zstd"),
        ("/style.css", "deflate", ""),
        ("/style.css", "identity, gzip;q=0.5", ""),
        ("/style.css", "gzip\r\nAccept-Encoding: br", "br"),
        ("/style.css", &"x;q=0.1,".repeat(5000), ""),
        ("/style.css", ",;q=;=,gzip;q=9,\t", ""),
        ("/short.css", "gzip", ""),
        ("/short.css", "gzip, identity;q=0", "gzip"),
        ("/empty.css", "gzip", ""),
        ("/a.png", "gzip", ""),
    ] {
        let whole = if path == "/short.css" { "a {}" } else { text.as_str() };
        let whole = if path == "/empty.css" { "" } else { whole };
        // The second one may come from what was kept.
        for _ in 0..2 {
            let sent = get(&site, path, accepted);
            assert_eq!((sent.status, sent.header("content-encoding")), (200, coding), "{path} {accepted}");
            assert_eq!(sent.text(), whole, "{path} {accepted}");
            assert_eq!(sent.header("content-length"), sent.body.len().to_string(), "{path} {accepted}");
            assert_eq!(sent.header("vary"), if path == "/a.png" { "" } else { "Accept-Encoding" }, "{path} {accepted}");
            assert_eq!(sent.header("accept-ranges"), if coding.is_empty() { "bytes" } else { "" }, "{path} {accepted}");
            let mut head = ask(&site, "HEAD", path, &format!("Accept-Encoding: {accepted}\r\n"));
            assert!(head.body.is_empty());
            head.headers.insert("date".into(), sent.header("date").into());
            assert_eq!(head.headers, sent.headers, "HEAD {path} {accepted}");
        }
    }
}

#[test]
fn each_coding_has_a_tag_and_a_part_is_one_of_the_file_as_it_is() {
    let text = style(1);
    let Some(site) = site(1, &[("style.css", &text)]) else { return };
    let tag = |accepted| get(&site, "/style.css", accepted).header("etag").to_owned();
    let (plain, zstd, gzip) = (tag("identity"), tag("zstd"), tag("gzip"));
    assert!(plain != zstd && zstd != gzip && plain != gzip, "{plain} {zstd} {gzip}");
    for (headers, status, coding) in [
        (format!("Accept-Encoding: zstd\r\nIf-None-Match: {zstd}\r\n"), 304, ""),
        (format!("Accept-Encoding: zstd\r\nIf-None-Match: W/{zstd}, \"x\"\r\n"), 304, ""),
        (format!("Accept-Encoding: zstd\r\nIf-None-Match: {gzip}\r\n"), 200, "zstd"),
        (format!("Accept-Encoding: zstd\r\nIf-None-Match: {plain}\r\n"), 200, "zstd"),
        (format!("If-None-Match: {zstd}\r\n"), 200, ""),
        (format!("If-None-Match: {plain}\r\n"), 304, ""),
        (format!("Accept-Encoding: gzip\r\nIf-Match: {gzip}\r\n"), 200, "gzip"),
        (format!("Accept-Encoding: gzip\r\nIf-Match: {zstd}\r\n"), 412, ""),
        ("Accept-Encoding: gzip\r\nRange: bytes=0-1\r\n".to_owned(), 206, ""),
        (format!("Accept-Encoding: gzip\r\nRange: bytes=0-1\r\nIf-Range: {plain}\r\n"), 206, ""),
        (format!("Accept-Encoding: gzip\r\nRange: bytes=0-1\r\nIf-Range: {gzip}\r\n"), 200, ""),
    ] {
        let sent = ask(&site, "GET", "/style.css", &headers);
        assert_eq!((sent.status, sent.header("content-encoding")), (status, coding), "{headers}");
        assert_eq!(sent.header("vary"), "Accept-Encoding", "{headers}");
        match status {
            200 => assert_eq!(sent.text(), text, "{headers}"),
            206 => assert_eq!((sent.text().as_str(), sent.header("etag")), (&text[..2], plain.as_str()), "{headers}"),
            _ => assert_eq!(sent.body, b"", "{headers}"),
        }
    }
}

/// Waits until bodies that are made of this file are kept.
fn settle(path: &std::path::Path) {
    let changed = UNIX_EPOCH + Duration::from_secs(fs::metadata(path).unwrap().ctime().unsigned_abs() + 4);
    while SystemTime::now() < changed {
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_was_published_is_sent_at_once_and_nothing_older() {
    let texts = [style(1), style(2), style(3)];
    let foreign = "url(http://shop.wp.localhost:18080/a.png)";
    let mapped = texts.clone().map(|text| format!("{foreign}\n{text}"));
    let Some(site) = site(1, &[("style.css", &texts[0]), ("mapped.css", &mapped[0])]) else { return };
    fs::create_dir(site.dir.join("next")).unwrap();
    fs::write(site.dir.join("next/style.css"), &texts[1]).unwrap();
    fs::write(site.dir.join("next/mapped.css"), &mapped[1]).unwrap();
    // All that is in a file system's view of both is the same, but the inode.
    for name in ["style.css", "mapped.css"] {
        let modified = fs::metadata(site.dir.join("main").join(name)).unwrap().modified().unwrap();
        let next = fs::File::options().append(true).open(site.dir.join("next").join(name)).unwrap();
        next.set_modified(modified).unwrap();
    }
    settle(&site.dir.join("next/mapped.css"));
    let sent = |number: usize| {
        for coding in ["zstd", "br", "gzip", "identity"] {
            assert_eq!(get(&site, "/style.css", coding).text(), texts[number], "{coding}");
            let own = mapped[number].replace("shop.wp.localhost", "wp.localhost");
            assert_eq!(get(&site, "/mapped.css", coding).text(), own, "{coding}");
        }
    };
    for round in 0..4 {
        sent(round % 2);
        sent(round % 2);
        let (main, aside, next) = (site.dir.join("main"), site.dir.join("aside"), site.dir.join("next"));
        fs::rename(&main, &aside).unwrap();
        fs::rename(&next, &main).unwrap();
        fs::rename(&aside, &next).unwrap();
    }
    // A shell writes into the file itself, and has it look as old as it was.
    for (name, text) in [("style.css", &texts[2]), ("mapped.css", &mapped[2])] {
        let path = site.dir.join("main").join(name);
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, text).unwrap();
        fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
    }
    sent(2);
}

#[test]
fn what_is_stored_compressed_beside_a_file_is_sent_for_it_and_nothing_that_is_hidden() {
    let text = style(1);
    let foreign = format!("url(http://shop.wp.localhost:18080/a.png)\n{text}");
    let Some(site) = site(
        1,
        &[
            ("index.php", "<?php echo 'page';"),
            ("style.css", &text),
            ("foreign.css", &foreign),
            ("old.css", &text),
            ("code.php.txt", &text),
            (".hidden.css", &text),
            ("script.php", "<?php echo 'script';"),
            ("large.css", "a"),
        ],
    ) else {
        return;
    };
    let main = site.dir.join("main");
    let stored = |name: &str, text: &str| {
        let compressed = zstd::encode_all(format!("/* stored */{text}").as_bytes(), 19).unwrap();
        fs::write(main.join(name), &compressed).unwrap();
        compressed
    };
    fs::write(main.join("large.css"), "a".repeat(9 << 20)).unwrap();
    let bytes = stored("style.css.zst", &text);
    for name in ["foreign.css", "old.css", "code.php.txt", ".hidden.css", "script.php", "large.css", "missing.css"] {
        stored(&format!("{name}.zst"), &text);
    }
    let older = SystemTime::now() - Duration::from_secs(3600);
    fs::File::options().append(true).open(main.join("old.css.zst")).unwrap().set_modified(older).unwrap();

    let sent = get(&site, "/style.css", "zstd, br, gzip");
    assert_eq!((sent.status, sent.header("content-encoding")), (200, "zstd"));
    assert_eq!((sent.header("content-type"), &sent.body), ("text/css; charset=utf-8", &bytes));
    let again = ask(
        &site,
        "GET",
        "/style.css",
        &format!("Accept-Encoding: zstd\r\nIf-None-Match: {}\r\n", sent.header("etag")),
    );
    assert_eq!(again.status, 304);
    assert_eq!(get(&site, "/style.css", "gzip").text(), text, "what is stored is in another coding");
    assert_eq!(get(&site, "/old.css", "zstd").text(), text, "what is stored is older");
    let own = foreign.replace("shop.wp.localhost", "wp.localhost");
    assert_eq!(get(&site, "/foreign.css", "zstd").text(), own, "what is stored names another branch");
    assert!(get(&site, "/large.css", "zstd").text().starts_with("/* stored */"), "nothing has to be made of it");
    assert_eq!(get(&site, "/large.css", "gzip").header("content-encoding"), "", "it would take long");
    for path in ["/code.php.txt", "/.hidden.css"] {
        assert_eq!(get(&site, path, "zstd").status, 404, "{path}");
    }
    for (path, body) in [("/script.php", "script"), ("/missing.css", "page")] {
        let sent = get(&site, path, "zstd");
        assert!(String::from_utf8_lossy(&sent.body).contains(body), "{path}");
    }

    fs::remove_file(main.join("style.css.zst")).unwrap();
    let fresh = ask(
        &site,
        "GET",
        "/style.css",
        &format!("Accept-Encoding: zstd\r\nIf-None-Match: {}\r\n", sent.header("etag")),
    );
    assert_eq!((fresh.status, fresh.text()), (200, text), "other bytes have another tag");
}
