//! HTTPS, and requests of HTTP/2: what is the same as by plain HTTP, and what is refused. Frames are in `http2.rs`.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::sync::Arc;

use common::http2::{CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Outcome, PING, block, frame};
use common::{Site, eventually, rest, site};
use forkpress_server::tls::{Authority, PublicAuthority};
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

/// Says how it was asked.
const INDEX: &str = "<?php
    $body = file_get_contents( 'php://input' );
    echo $_SERVER['REQUEST_SCHEME'], ' ', $_SERVER['HTTPS'] ?? 'off', ' ', $_SERVER['SERVER_PROTOCOL'], ' ',
        $_SERVER['HTTP_HOST'], ' ', $_SERVER['REQUEST_URI'], ' ', $_SERVER['HTTP_COOKIE'] ?? '', ' ', strlen( $body );";

const PROTOCOL_ERROR: u32 = 1;

fn started() -> Option<Site> {
    site(2, &[("index.php", INDEX), ("a.css", "a { background: url(http://gone.wp.localhost/x.png) }")])
}

/// The headers of a request, with others in the place of some, and more. One with an empty name goes.
fn headers<'a>(method: &'a str, changed: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let usual = [(":method", method), (":scheme", "https"), (":authority", "wp.localhost"), (":path", "/")];
    let is_changed = |name: &str| changed.iter().any(|(other, _)| other.trim_start_matches('-') == name);
    let kept = usual.into_iter().filter(|(name, _)| !is_changed(name));
    let (pseudo, regular): (Vec<_>, Vec<_>) =
        changed.iter().copied().filter(|(name, _)| !name.starts_with('-')).partition(|(name, _)| name.starts_with(':'));
    kept.chain(pseudo).chain(regular).collect()
}

fn get(changed: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&headers("GET", changed)))
}

fn post(changed: &[(&str, &str)], rest: &[Vec<u8>]) -> Vec<u8> {
    [frame(HEADERS, END_HEADERS, 1, &block(&headers("POST", changed))), rest.concat()].concat()
}

fn said(site: &Site, host: &str, protocols: &[&str], request: &str) -> String {
    let mut stream = site.secure(host, protocols).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut said = String::new();
    // A server may close a connection without a word of TLS's.
    let _ = stream.read_to_string(&mut said);
    said
}

#[test]
fn a_port_answers_by_the_scheme_that_it_is_asked_by() {
    let Some(site) = started() else { return };
    let request = "GET /a?b HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n";
    let plain = {
        let mut stream = std::net::TcpStream::connect(site.tls_address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        rest(&mut stream)
    };
    assert!(plain.contains("http off HTTP/1.1 wp.localhost /a?b"), "{plain}");
    for protocols in [&["http/1.1"][..], &[]] {
        let said = said(&site, "wp.localhost", protocols, request);
        assert!(said.contains("https on HTTP/1.1 wp.localhost /a?b"), "{said}");
    }
    let mut client = site.http2(&[get(&[(":path", "/a?b"), ("cookie", "a=1"), ("cookie", "b=2")])]);
    assert_eq!(client.outcome(), Outcome::Status(200));
    assert_eq!(client.body(), "https on HTTP/2.0 wp.localhost /a?b a=1; b=2 0");
}

#[test]
fn a_text_file_names_the_address_that_it_is_asked_at() {
    let Some(site) = started() else { return };
    let mut client = site.http2(&[get(&[(":path", "/a.css")])]);
    assert_eq!(client.outcome(), Outcome::Status(200));
    assert_eq!(client.body(), "a { background: url(https://wp.localhost/x.png) }");
    assert_eq!(site.get("/a.css"), "a { background: url(http://wp.localhost/x.png) }");
}

#[test]
fn the_certificate_is_for_the_root_host_its_branches_and_the_loopback_addresses() {
    let Some(site) = started() else { return };
    for host in ["wp.localhost", "sale.wp.localhost", "127.0.0.1", "::1"] {
        assert!(site.secure(host, &[]).is_ok(), "{host}");
    }
    for host in ["a.sale.wp.localhost", "localhost", "other.localhost", "wp.example.test", "192.0.2.7"] {
        assert!(site.secure(host, &[]).is_err(), "{host}");
    }
}

#[test]
fn an_authority_stays_and_signs_for_no_host_but_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("state/authorities");
    let first = Authority::open_or_make(&folder, "wp.localhost").unwrap();
    let again = Authority::open_or_make(&folder, "other.localhost").unwrap();
    assert_eq!(again.public, first.public);
    let other = Authority::open_or_make(&folder, "wp.example.test").unwrap();
    assert_ne!(other.public, first.public);
    assert_eq!(PublicAuthority::all(&folder).unwrap(), [first.public.clone(), other.public]);
    assert!(Authority::open_or_make(&folder, "localhost").is_err(), "no browser takes *.localhost");

    let key = fs::read_to_string(folder.join("localhost.key")).unwrap();
    let certificate = CertificateDer::from_pem_file(&first.public.certificate).unwrap();
    let issuer = Issuer::from_ca_cert_der(&certificate, KeyPair::from_pem(&key).unwrap()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    for (host, is_good) in [("a.b.localhost", true), ("127.9.9.9", true), ("example.com", false), ("192.0.2.7", false)]
    {
        let pair = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.use_authority_key_identifier_extension = true;
        let signed = params.signed_by(&pair, &issuer).unwrap();
        let name = ServerName::try_from(host).unwrap();
        let verified = verifier.verify_server_cert(signed.der(), &[], &name, &[], UnixTime::now());
        assert_eq!(verified.is_ok(), is_good, "{host}: {verified:?}");
    }
}

#[test]
fn a_damaged_authority_is_not_replaced_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_make(dir.path(), "wp.localhost").unwrap().public;
    let key = dir.path().join("localhost.key");
    let whole = fs::read_to_string(&key).unwrap();
    let other = tempfile::tempdir().unwrap();
    Authority::open_or_make(other.path(), "wp.localhost").unwrap();
    let of_another = fs::read_to_string(other.path().join("localhost.crt")).unwrap();
    let only_key = &whole[..whole.find("-----BEGIN CERTIFICATE").unwrap()];
    for damaged in ["", &whole[..whole.len() / 2], only_key, &format!("{only_key}{of_another}")] {
        fs::write(&key, damaged).unwrap();
        let error = Authority::open_or_make(dir.path(), "wp.localhost").unwrap_err();
        assert!(error.to_string().ends_with("localhost.key is damaged"), "{error}");
    }
    fs::write(&key, &whole).unwrap();
    fs::remove_file(&authority.certificate).unwrap();
    assert_eq!(Authority::open_or_make(dir.path(), "wp.localhost").unwrap().public, authority);
    assert!(authority.certificate.is_file(), "what was lost of it is there again");
}

#[test]
fn the_key_of_an_authority_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("authorities");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    Authority::open_or_make(&folder, "wp.localhost").unwrap();
    let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!([mode("."), mode("localhost.key"), mode("localhost.crt")], [0o700, 0o600, 0o644]);
}

#[test]
fn a_request_of_http_2_that_is_none_is_refused() {
    let Some(site) = started() else { return };
    let long = "x".repeat(70_000);
    let data = |flags, bytes: &[u8]| frame(DATA, flags, 1, bytes);
    let trailers = |headers| frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(headers));
    let (reset, broken) = (Outcome::Reset(PROTOCOL_ERROR), Outcome::GoAway(PROTOCOL_ERROR));
    let bad = Outcome::Status(400);
    for (what, request, outcome) in [
        ("connection", get(&[("connection", "close")]), reset),
        ("keep-alive", get(&[("keep-alive", "timeout=5")]), reset),
        ("proxy-connection", get(&[("proxy-connection", "close")]), reset),
        ("upgrade", get(&[("upgrade", "websocket")]), reset),
        ("chunks", post(&[("transfer-encoding", "chunked")], &[data(END_STREAM, b"0\r\n\r\n")]), reset),
        ("te", get(&[("te", "gzip")]), reset),
        ("te with more", get(&[("te", "trailers, gzip")]), reset),
        ("te twice", get(&[("te", "trailers"), ("te", "gzip")]), reset),
        ("a name with a capital letter", get(&[("X-A", "b")]), broken),
        ("a name with a blank", get(&[("x a", "b")]), broken),
        ("an empty name", get(&[("", "b")]), broken),
        ("a colon in a name", get(&[("x:a", "b")]), broken),
        ("a letter beyond ASCII in a name", get(&[("x-\u{e4}", "b")]), broken),
        ("a blank before a value", get(&[("x-a", " b")]), bad),
        ("a tab after a value", get(&[("x-a", "b\t")]), bad),
        ("a value of a blank", get(&[("x-a", " ")]), bad),
        ("lines in a value", get(&[("x-a", "b\r\nx-c: d")]), broken),
        ("a NUL in a value", get(&[("x-a", "b\0c")]), broken),
        ("a control character in a value", get(&[("x-a", "b\x01c")]), broken),
        ("a DEL in a value", get(&[("x-a", "b\x7f")]), broken),
        ("no method", get(&[("-:method", "")]), reset),
        ("no scheme", get(&[("-:scheme", "")]), reset),
        ("no path", get(&[("-:path", "")]), reset),
        ("an empty path", get(&[(":path", "")]), reset),
        ("a path twice", get(&[(":path", "/a"), (":path", "/b")]), reset),
        ("a method twice", get(&[(":method", "GET"), (":method", "POST")]), reset),
        ("a scheme twice", get(&[(":scheme", "https"), (":scheme", "https")]), reset),
        ("a host twice", get(&[(":authority", "wp.localhost"), (":authority", "wp.localhost")]), reset),
        ("an empty method", get(&[(":method", "")]), broken),
        ("a method with a blank", get(&[(":method", "GET /")]), broken),
        ("no header at all", frame(HEADERS, END_STREAM | END_HEADERS, 1, b""), reset),
        ("a path without a slash", get(&[(":path", "a")]), reset),
        ("a path with an address", get(&[(":path", "https://wp.localhost/")]), reset),
        ("a path with a blank", get(&[(":path", "/ HTTP/1.1")]), reset),
        ("a path with lines", get(&[(":path", "/ HTTP/1.1\r\nHost: sale.wp.localhost")]), reset),
        ("a query without a path", get(&[(":path", "?a")]), bad),
        ("all of the server", get(&[(":path", "*")]), bad),
        ("another protocol", get(&[(":protocol", "websocket")]), reset),
        ("another protocol by a tunnel", get(&[(":method", "CONNECT"), (":protocol", "websocket")]), reset),
        ("a tunnel with a path", get(&[(":method", "CONNECT")]), reset),
        ("an empty scheme", get(&[(":scheme", "")]), bad),
        ("a scheme that is none", get(&[(":scheme", "https://a/?")]), reset),
        ("an empty host", get(&[(":authority", "")]), reset),
        ("a host with a path", get(&[(":authority", "wp.localhost/a")]), reset),
        ("a host with a blank", get(&[(":authority", "wp.localhost ")]), reset),
        ("an unknown pseudo-header", get(&[(":forged", "x")]), broken),
        ("an answer's pseudo-header", get(&[(":status", "200")]), reset),
        (
            "a pseudo-header after the others",
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &{
                let mut list = headers("GET", &[("-:path", ""), ("x-a", "b")]);
                list.push((":path", "/"));
                block(&list)
            }),
            reset,
        ),
        ("a body that is shorter than it says", post(&[("content-length", "5")], &[data(END_STREAM, b"a")]), reset),
        ("a body that is longer than it says", post(&[("content-length", "1")], &[data(END_STREAM, b"abc")]), reset),
        ("no body where one is told", get(&[("content-length", "5")]), reset),
        (
            "a body that is shorter, and something after it",
            post(&[("content-length", "2")], &[data(0, b"a"), trailers(&[("x-trailer", "x")])]),
            reset,
        ),
        ("a length twice", get(&[("content-length", "0"), ("content-length", "0")]), bad),
        ("two lengths", post(&[("content-length", "1"), ("content-length", "2")], &[data(END_STREAM, b"a")]), reset),
        ("a list of lengths", post(&[("content-length", "1, 1")], &[data(END_STREAM, b"a")]), reset),
        ("a length with a sign", post(&[("content-length", "+1")], &[data(END_STREAM, b"a")]), reset),
        ("a length with a blank", post(&[("content-length", " 1")], &[data(END_STREAM, b"a")]), reset),
        ("a length in hexadecimal", post(&[("content-length", "0x1")], &[data(END_STREAM, b"a")]), reset),
        ("an empty length", post(&[("content-length", "")], &[data(END_STREAM, b"a")]), reset),
        (
            "headers in the middle of a body",
            post(
                &[],
                &[data(0, b"a"), frame(HEADERS, END_HEADERS, 1, &block(&[("x-a", "b")])), data(END_STREAM, b"c")],
            ),
            reset,
        ),
        ("empty trailers", post(&[], &[data(0, b"a"), trailers(&[])]), bad),
        (
            "something after the body",
            post(&[], &[data(0, b"a"), trailers(&[("x-trailer", "x")])]),
            Outcome::Status(400),
        ),
        (
            "a pseudo-header after the body",
            post(&[], &[data(0, b"a"), trailers(&[(":path", "/")])]),
            Outcome::Status(400),
        ),
        ("no host", get(&[("-:authority", "")]), Outcome::Status(400)),
        ("another host beside", get(&[("host", "sale.wp.localhost")]), Outcome::Status(400)),
        ("two hosts beside", get(&[("host", "wp.localhost"), ("host", "wp.localhost")]), Outcome::Status(400)),
        ("another scheme", get(&[(":scheme", "http")]), Outcome::Status(400)),
        ("another site", get(&[(":authority", "evil.example")]), Outcome::Status(421)),
        ("a name before the host", get(&[(":authority", "me@wp.localhost")]), Outcome::Status(421)),
        (
            "a proxy's request",
            frame(
                HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &block(&[(":method", "CONNECT"), (":authority", "wp.localhost:443")]),
            ),
            Outcome::Status(501),
        ),
        ("an absurd length", post(&[("content-length", "99999999999999999999")], &[data(END_STREAM, b"a")]), reset),
        ("a large length", post(&[("content-length", "4294967297")], &[data(0, b"a")]), Outcome::Status(413)),
        (
            "a long head",
            [frame(HEADERS, END_STREAM, 1, &block(&headers("GET", &[]))), {
                let all = block(&[("x-a", &long)]);
                let pieces: Vec<_> = all.chunks(16_000).collect();
                let last = pieces.len() - 1;
                let flags = |at| if at == last { END_HEADERS } else { 0 };
                pieces.iter().enumerate().flat_map(|(at, piece)| frame(CONTINUATION, flags(at), 1, piece)).collect()
            }]
            .concat(),
            Outcome::Status(431),
        ),
    ] {
        assert_eq!(site.http2(&[request]).outcome(), outcome, "{what}");
    }
    for (what, request) in [
        ("a fragment in a path", get(&[(":path", "/#a")])),
        ("te that is allowed", get(&[("te", "trailers")])),
        ("the same host beside", get(&[("host", "wp.localhost")])),
        ("a host in the old place", get(&[("-:authority", ""), ("host", "wp.localhost")])),
        ("a body", post(&[("content-length", "3")], &[data(0, b"a"), data(END_STREAM, b"bc")])),
    ] {
        assert_eq!(site.http2(&[request]).outcome(), Outcome::Status(200), "{what}");
    }
}

#[test]
fn a_server_that_ends_finishes_what_was_asked_by_http_2() {
    let Some(site) = site(1, &[("index.php", "<?php usleep( 300000 ); echo 'done';")]) else { return };
    let mut idle = site.http2(&[]);
    // It reads nothing, and so confirms nothing.
    let _silent = site.http2(&[]);
    let mut client = site.http2(&[get(&[])]);
    eventually("all are there", || site.front.connections() == 3);
    // The server has read the request once it has confirmed the frame behind it.
    client.send(&frame(PING, 0, 0, &[7; 8]));
    while client.next().unwrap().kind != PING {}
    site.front.end();
    let mut statuses = Vec::new();
    let mut body = Vec::new();
    while let Some(frame) = client.next() {
        match frame.kind {
            HEADERS => statuses.push(frame.stream),
            DATA => body.extend(frame.payload),
            _ => {}
        }
    }
    assert_eq!((statuses, String::from_utf8(body).unwrap()), (vec![1], "done".to_owned()));
    while idle.next().is_some() {}
    eventually("all is closed", || site.front.connections() == 0);
}
