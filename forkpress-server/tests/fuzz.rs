//! The path of a request under random changes: what is sent is answered as one strict reader reads it, or the connection ends.
//!
//! Behind the server is an application that says which request it got, so no PHP is needed.

mod common;
#[path = "common/mutation.rs"]
mod mutation;

use std::io::Write;
use std::net::{Shutdown, TcpStream};

use common::application::served;
use common::requests::{NEXT, refused};
use common::{PATIENCE, eventually, rest};

/// A request as a strict reader reads it: its method, its target, and how long its body is.
#[derive(Debug, PartialEq, Eq)]
struct Seen(String, String, usize);

/// The first request, and what follows it; none where it can be read in two ways, or is not all there.
fn first(bytes: &[u8]) -> Option<(Seen, &[u8])> {
    let mut bytes = bytes;
    while let Some(rest) = bytes.strip_prefix(b"\r\n") {
        bytes = rest;
    }
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, mut rest) = (String::from_utf8_lossy(&bytes[..end]).into_owned(), &bytes[end + 4..]);
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let target = target.strip_prefix("http://wp.localhost").unwrap_or(&target).to_owned();
    let named = |wanted: &str| -> Vec<String> {
        let headers = head.split("\r\n").filter_map(|line| line.split_once(':'));
        headers
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.trim().to_owned())
            .collect()
    };
    let is_split = head.replace("\r\n", "").contains(['\r', '\n']);
    let length = match (&named("content-length")[..], &named("transfer-encoding")[..]) {
        _ if is_split => return None,
        ([], []) => 0,
        ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => length.parse().ok()?,
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => {
            let (length, after) = chunks(rest)?;
            return Some((Seen(method, target, length), after));
        }
        _ => return None,
    };
    rest.split_off(..length)?;
    Some((Seen(method, target, length), rest))
}

fn chunks(mut bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut all = 0;
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let line = std::str::from_utf8(&bytes[..end]).ok()?;
        let size = line.split_once(';').map_or(line, |(size, _)| size);
        let length = usize::from_str_radix(size, 16).ok().filter(|_| !size.starts_with('+'))?;
        bytes = &bytes[end + 2..];
        all += length;
        bytes = bytes.get(length..)?.strip_prefix(b"\r\n")?;
        if length == 0 {
            return Some((all, bytes));
        }
    }
}

/// The statuses and bodies of answers, which must be what HTTP says. What follows the last whole one is left out.
fn answers(mut said: &str) -> Vec<(u16, String)> {
    let mut all = Vec::new();
    while !said.is_empty() {
        let (head, rest) = said.split_once("\r\n\r\n").expect("a head has an end");
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap();
        assert!(first.starts_with("HTTP/1.1 ") || first.starts_with("HTTP/1.0 "), "{first:?}");
        let status: u16 = first[9..12].parse().unwrap();
        let headers: Vec<_> = lines.map(|line| line.split_once(": ").expect("a header has a name")).collect();
        said = rest;
        if status == 100 {
            continue;
        }
        let lengths: Vec<_> = headers.iter().filter(|(name, _)| *name == "content-length").collect();
        assert!(lengths.len() <= 1 && !headers.iter().any(|(name, _)| *name == "transfer-encoding"), "{head}");
        // To HEAD there is a length alone, and the next answer follows at once.
        let length = lengths.first().map_or(0, |(_, length)| length.parse().unwrap());
        let length = if rest.is_empty() || rest.starts_with("HTTP/1.") { 0 } else { length };
        all.push((status, rest[..length].to_owned()));
        said = &rest[length..];
    }
    all
}

#[test]
fn whatever_is_sent_is_answered_as_one_strict_reader_reads_it_and_the_server_serves_on() {
    let dir = tempfile::tempdir().unwrap();
    let (front, address) = served(dir.path(), dir.path());
    let host = "Host: wp.localhost\r\n";
    let mut seeds: Vec<Vec<u8>> = refused().map(|(_, request, _)| format!("{request}{NEXT}").into_bytes()).collect();
    let fine = [
        format!("GET /?a HTTP/1.1\r\n{host}\r\n"),
        format!("HEAD /?b HTTP/1.1\r\n{host}\r\n"),
        format!("POST /?c HTTP/1.1\r\n{host}Content-Length: 40\r\n\r\nGET /?d HTTP/1.1\r\n{host}\r\n"),
        format!(
            "POST /?e HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n28;x=y\r\nGET /?d HTTP/1.1\r\n{host}\r\n\r\n0\r\n\r\n"
        ),
        format!("PUT /?f HTTP/1.1\r\n{host}Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"),
        format!("GET http://wp.localhost/?g HTTP/1.1\r\n{host}\r\n"),
        format!("GET /?h HTTP/1.0\r\n{host}Connection: keep-alive\r\n\r\n"),
    ];
    seeds.extend(fine.iter().map(|request| format!("{request}{request}{NEXT}").into_bytes()));
    seeds.push(fine.concat().into_bytes());
    let words: [&[u8]; 16] = [
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b"0\r\n\r\n",
        b"\r\n\r\n",
        b"Content-Length: 1\r\n",
        b"chunked",
        b"Transfer-Encoding: chunked\r\n",
        b"GET /?x HTTP/1.1\r\nHost: wp.localhost\r\n\r\n",
        b";",
        b"-",
        b"ffffffff",
    ];
    mutation::fuzz(&seeds, &words, |random, bytes| {
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_nodelay(true).unwrap();
        let mut left = bytes;
        while !left.is_empty() {
            let length = if random.u8(0..4) == 0 { random.usize(1..=left.len()) } else { left.len() };
            client.write_all(left.split_off(..length).unwrap()).expect("what nobody wants is taken as well");
        }
        client.shutdown(Shutdown::Write).unwrap();
        let said = rest(&mut client);
        let (mut left, mut echoes) = (bytes, Vec::new());
        for (status, body) in answers(&said) {
            let Some((seen, after)) = first(left) else {
                assert!((400..600).contains(&status), "it is refused, and not: {said}");
                break;
            };
            left = after;
            if status == 200 && seen.0 != "HEAD" {
                echoes.push((body, format!("{} {} {}\n", seen.0, seen.1, seen.2)));
            }
        }
        for (got, expected) in echoes {
            assert_eq!(got, expected, "{said}");
        }
    });
    eventually("no connection is left", || front.connections() == 0);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left but the socket");
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(NEXT.as_bytes()).unwrap();
    assert!(rest(&mut client).ends_with("\r\n\r\nGET /?smuggled 0\n"));
}
