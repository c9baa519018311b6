//! Frames of HTTP/2, by the sections of RFC 9113 and of RFC 7541: what breaks a connection or a stream, what is let
//! pass, and what the server keeps to itself. Requests are in `https.rs`.
//!
//! Where the RFC wants FRAME_SIZE_ERROR, STREAM_CLOSED or COMPRESSION_ERROR, the library that reads the frames mostly says
//! PROTOCOL_ERROR. The connection ends all the same.

mod common;

use std::fs;
use std::io::Write;
use std::time::Duration;

use common::http2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, Http2, Outcome, PADDED, PING, PREFACE,
    PRIORITIZED, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame,
};
use common::{NO_HURRY, Site, eventually, site, site_with_pause};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

const HEADER_TABLE_SIZE: u16 = 1;
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MAX_FRAME_SIZE: u16 = 5;

/// The largest window.
const MOST_WINDOW: u32 = 0x7fff_ffff;

fn started() -> Option<Site> {
    site_with_pause(2, &[("index.php", "<?php echo strlen( file_get_contents( 'php://input' ) );")], NO_HURRY)
}

fn list(method: &str) -> Vec<u8> {
    block(&[(":method", method), (":scheme", "https"), (":authority", "wp.localhost"), (":path", "/")])
}

/// A whole request.
fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &list("GET"))
}

/// A request for a file.
fn file(path: &str) -> Vec<u8> {
    coded(&block(&[(":method", "GET"), (":scheme", "https"), (":authority", "wp.localhost"), (":path", path)]))
}

/// A request whose body is to come.
fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &list("POST"))
}

/// A request whose headers go on.
fn begun(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM, stream, &list("GET"))
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

fn setting(number: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&number.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

/// A request whose list of headers is these bytes.
fn coded(bytes: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, 1, bytes)
}

#[test]
fn a_connection_that_breaks_the_rules_of_frames_ends() {
    let Some(site) = started() else { return };
    let data = |bytes: &[u8]| frame(DATA, END_STREAM, 1, bytes);
    let go_on = |stream| frame(CONTINUATION, END_HEADERS, stream, b"");
    let depends_on_itself = [0, 0, 0, 1, 16];
    for (what, frames, reason) in [
        // 4.2 and 4.3: sizes, and lists of headers.
        ("a frame that is too large", vec![post(1), frame(DATA, 0, 1, &[0; 16_385])], FRAME_SIZE_ERROR),
        ("headers that are too large", vec![coded(&[0; 16_385])], FRAME_SIZE_ERROR),
        ("headers that are no code", vec![coded(&[0xff; 40])], PROTOCOL_ERROR),
        ("headers that are cut off", vec![coded(&list("GET")[..20])], PROTOCOL_ERROR),
        ("a header of the number 0", vec![coded(&[0x80])], PROTOCOL_ERROR),
        ("a header that no table has", vec![coded(&[0xff, 0x7f])], PROTOCOL_ERROR),
        ("a number without an end", vec![coded(&[[0xff; 9].as_slice(), &[0x7f]].concat())], PROTOCOL_ERROR),
        (
            "a larger table than is allowed",
            vec![coded(&[&[0x3f, 0xe1, 0xff, 0x03], &list("GET")[..]].concat())],
            PROTOCOL_ERROR,
        ),
        ("a table that changes after a header", vec![coded(&[&list("GET")[..], &[0x20]].concat())], PROTOCOL_ERROR),
        (
            "the end of Huffman's code in a name",
            vec![coded(&[0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x87, 0xff, 0x83, 0xff, 0xff, 0xff])],
            PROTOCOL_ERROR,
        ),
        // 5.1: what a stream is at.
        ("a body without a request", vec![data(b"a")], PROTOCOL_ERROR),
        ("a request taken back that was none", vec![reset(1)], PROTOCOL_ERROR),
        ("room for an answer to none", vec![window(1, 1)], PROTOCOL_ERROR),
        ("headers that go on from nothing", vec![go_on(1)], PROTOCOL_ERROR),
        ("a body after the end", vec![get(1), data(b"a")], PROTOCOL_ERROR),
        ("a request after the end", vec![get(1), get(1)], PROTOCOL_ERROR),
        ("headers that go on after the end", vec![get(1), go_on(1)], PROTOCOL_ERROR),
        ("a request after it was taken back", vec![post(1), reset(1), get(1)], PROTOCOL_ERROR),
        ("a stream of the server's", vec![get(2)], PROTOCOL_ERROR),
        ("a stream before the last", vec![get(3), get(1)], PROTOCOL_ERROR),
        // 6.1 to 6.4: bodies, headers, priorities, resets.
        ("a body of no stream", vec![frame(DATA, END_STREAM, 0, b"a")], PROTOCOL_ERROR),
        (
            "more padding than body",
            vec![post(1), frame(DATA, END_STREAM | PADDED, 1, &[5, b'a', 0, 0])],
            PROTOCOL_ERROR,
        ),
        ("padding of no length", vec![post(1), frame(DATA, END_STREAM | PADDED, 1, b"")], PROTOCOL_ERROR),
        ("headers of no stream", vec![get(0)], PROTOCOL_ERROR),
        (
            "more padding than headers",
            vec![frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, &[&[200], &list("GET")[..]].concat())],
            PROTOCOL_ERROR,
        ),
        ("headers of another stream between", vec![begun(1), get(3)], PROTOCOL_ERROR),
        ("something else between headers", vec![begun(1), frame(PING, 0, 0, &[0; 8])], PROTOCOL_ERROR),
        ("an unknown frame between headers", vec![begun(1), frame(0x16, 0, 1, b""), go_on(1)], PROTOCOL_ERROR),
        ("a priority of no stream", vec![frame(PRIORITY, 0, 0, &[0; 5])], PROTOCOL_ERROR),
        ("a priority that is too short", vec![frame(PRIORITY, 0, 1, &[0; 4])], PROTOCOL_ERROR),
        ("a reset of no stream", vec![reset(0)], PROTOCOL_ERROR),
        ("a reset that is too short", vec![post(1), frame(RST_STREAM, 0, 1, &[0; 3])], PROTOCOL_ERROR),
        // 6.5: settings.
        ("settings that are cut off", vec![frame(SETTINGS, 0, 0, &[0; 5])], PROTOCOL_ERROR),
        ("settings of a stream", vec![frame(SETTINGS, 0, 1, b"")], PROTOCOL_ERROR),
        ("settings that confirm and set", vec![frame(SETTINGS, ACK, 0, &[0; 6])], PROTOCOL_ERROR),
        ("settings confirmed that nobody sent", vec![frame(SETTINGS, ACK, 0, b"").repeat(2)], PROTOCOL_ERROR),
        ("pushes of 2", vec![setting(ENABLE_PUSH, 2)], PROTOCOL_ERROR),
        ("a window beyond the largest", vec![setting(INITIAL_WINDOW_SIZE, MOST_WINDOW + 1)], PROTOCOL_ERROR),
        ("frames smaller than the smallest", vec![setting(MAX_FRAME_SIZE, 16_383)], PROTOCOL_ERROR),
        ("frames larger than the largest", vec![setting(MAX_FRAME_SIZE, 1 << 24)], PROTOCOL_ERROR),
        // 6.6 to 6.8: promises, pings, ends.
        ("a promise by a client", vec![frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])], PROTOCOL_ERROR),
        ("a ping of a stream", vec![frame(PING, 0, 1, &[0; 8])], PROTOCOL_ERROR),
        ("a ping that is too short", vec![frame(PING, 0, 0, &[0; 7])], PROTOCOL_ERROR),
        ("a ping that is too long", vec![frame(PING, 0, 0, &[0; 9])], PROTOCOL_ERROR),
        ("an end of a stream's", vec![frame(GOAWAY, 0, 1, &[0; 8])], PROTOCOL_ERROR),
        ("an end that is too short", vec![frame(GOAWAY, 0, 0, &[0; 7])], PROTOCOL_ERROR),
        // 6.9: windows.
        ("a window of nothing more", vec![window(0, 0)], PROTOCOL_ERROR),
        ("a stream's window of nothing more", vec![post(1), window(1, 0)], PROTOCOL_ERROR),
        ("a window that is too short", vec![frame(WINDOW_UPDATE, 0, 0, &[0; 3])], PROTOCOL_ERROR),
        ("a window that grows too large", vec![window(0, MOST_WINDOW).repeat(2)], FLOW_CONTROL_ERROR),
        (
            "a window that settings make too large",
            vec![post(1), window(1, MOST_WINDOW - 65_535), setting(INITIAL_WINDOW_SIZE, MOST_WINDOW)],
            FLOW_CONTROL_ERROR,
        ),
        // 6.10: headers that go on.
        ("headers that go on in no stream", vec![begun(1), go_on(0)], PROTOCOL_ERROR),
        ("headers that go on in another stream", vec![begun(1), go_on(3)], PROTOCOL_ERROR),
        ("headers that go on after their end", vec![post(1), go_on(1)], PROTOCOL_ERROR),
        ("headers that go on after a body", vec![post(1), frame(DATA, 0, 1, b"a"), go_on(1)], PROTOCOL_ERROR),
    ] {
        assert_eq!(site.http2(&frames).outcome(), Outcome::GoAway(reason), "{what}");
    }
    for (what, frames, reason) in [
        ("a stream's window that grows too large", vec![post(1), window(1, MOST_WINDOW).repeat(2)], FLOW_CONTROL_ERROR),
        ("a priority behind itself", vec![frame(PRIORITY, 0, 1, &depends_on_itself)], PROTOCOL_ERROR),
        (
            "a request behind itself",
            vec![frame(
                HEADERS,
                END_STREAM | END_HEADERS | PRIORITIZED,
                1,
                &[&depends_on_itself[..], &list("GET")].concat(),
            )],
            PROTOCOL_ERROR,
        ),
    ] {
        assert_eq!(site.http2(&frames).outcome(), Outcome::Reset(reason), "{what}");
    }
    let wrong: Vec<u8> = PREFACE.iter().map(|byte| byte.to_ascii_lowercase()).collect();
    for (what, bytes) in [
        ("a request of HTTP/1", &b"GET / HTTP/1.1\r\nHost: wp.localhost\r\n\r\n"[..]),
        ("another preface", &[&wrong, &frame(SETTINGS, 0, 0, b"")[..], &get(1)].concat()),
        ("no preface", &[frame(SETTINGS, 0, 0, b""), get(1)].concat()),
    ] {
        assert_eq!(site.http2_of(bytes).outcome(), Outcome::Closed, "{what}");
    }
}

#[test]
fn what_is_odd_and_allowed_is_let_pass() {
    let Some(site) = started() else { return };
    let get_with_a_reserved_bit = {
        let mut frame = get(1);
        frame[5] |= 0x80;
        frame
    };
    let (list, end) = (list("GET"), frame(DATA, END_STREAM, 1, b"a"));
    for (what, frames, body) in [
        (
            "a frame of an unknown kind",
            vec![post(1), frame(0x16, 0xff, 1, b"abc"), frame(0x17, 0, 0, b""), end.clone()],
            "1",
        ),
        ("unknown flags", vec![frame(PING, 0xfe, 0, &[0; 8]), get(1)], "0"),
        ("a reserved bit", vec![get_with_a_reserved_bit], "0"),
        ("an unknown setting", vec![setting(0xff, 1), get(1)], "0"),
        (
            "no table of headers, and then a large one",
            vec![setting(HEADER_TABLE_SIZE, 0), setting(HEADER_TABLE_SIZE, u32::MAX), get(1)],
            "0",
        ),
        ("a ping confirmed that nobody sent", vec![frame(PING, ACK, 0, &[0; 8]), get(1)], "0"),
        ("padding", vec![post(1), frame(DATA, END_STREAM | PADDED, 1, &[3, b'a', 0, 0, 0])], "1"),
        ("an empty piece of a body", vec![post(1), frame(DATA, 0, 1, b""), end], "1"),
        (
            "a priority",
            vec![
                frame(PRIORITY, 0, 5, &[0, 0, 0, 1, 16]),
                frame(HEADERS, END_STREAM | END_HEADERS | PRIORITIZED, 1, &[&[0, 0, 0, 0, 16], &list[..]].concat()),
            ],
            "0",
        ),
        (
            "headers in many pieces",
            vec![
                frame(HEADERS, END_STREAM, 1, &list[..3]),
                frame(CONTINUATION, 0, 1, b""),
                frame(CONTINUATION, 0, 1, &list[3..4]),
                frame(CONTINUATION, END_HEADERS, 1, &list[4..]),
            ],
            "0",
        ),
        ("a client that will ask no more", vec![get(1), frame(GOAWAY, 0, 0, &[0; 8])], "0"),
    ] {
        let mut client = site.http2(&frames);
        assert_eq!(client.outcome(), Outcome::Status(200), "{what}");
        assert_eq!(client.body(), body, "{what}");
    }
    // What still comes for a request that was taken back is thrown away, and others are answered.
    let late = [frame(DATA, 0, 1, b"a"), window(1, 5), reset(1)].concat();
    assert_eq!(site.http2(&[post(1), reset(1), late, get(3)]).outcome_of(3), Outcome::Status(200));
}

/// The next frame of a kind.
fn next(client: &mut Http2, kind: u8) -> Frame {
    std::iter::from_fn(|| client.next()).find(|frame| frame.kind == kind).expect("it comes")
}

#[test]
fn a_client_says_how_much_of_an_answer_it_takes() {
    let Some(site) = started() else { return };
    let bytes: Vec<u8> = (0..100_000_u32).map(|at| at as u8).collect();
    fs::write(site.dir.join("main/a.bin"), &bytes).unwrap();
    let mut client = site.http2(&[setting(INITIAL_WINDOW_SIZE, 0), file("/a.bin")]);
    assert_eq!(client.outcome(), Outcome::Status(200));
    // The server reads this after the request, and has nothing to send before its confirmation.
    client.send(&frame(PING, 0, 0, &[8; 8]));
    loop {
        let frame = client.next().unwrap();
        assert_ne!(frame.kind, DATA, "there is no room for it");
        if frame.kind == PING && frame.payload == [8; 8] {
            break;
        }
    }
    let mut taken = Vec::new();
    for more in [1, 10_000, 20_000] {
        client.send(&window(1, more));
        let want = taken.len() + more as usize;
        while taken.len() < want {
            let frame = next(&mut client, DATA);
            assert!(frame.payload.len() <= 16_384, "no frame is larger than the client takes");
            taken.extend(frame.payload);
        }
        assert_eq!(taken.len(), want, "no more than there is room for");
    }
    client.send(&[window(0, 1 << 20), setting(INITIAL_WINDOW_SIZE, 1 << 20)].concat());
    while taken.len() < bytes.len() {
        taken.extend(next(&mut client, DATA).payload);
    }
    assert!(taken == bytes, "all of it, in its order");
}

#[test]
fn a_client_that_sends_more_than_there_is_room_for_is_refused() {
    let Some(site) = started() else { return };
    fs::write(site.dir.join("main/a.css"), "a").unwrap();
    assert_eq!(site.http2(&[file("/a.css")]).outcome(), Outcome::Status(200));
    // While it waits for the lock, nobody takes the body. There is room for a megabyte.
    let lock = fs::File::open(site.dir.join(".forkpress/cow/operations.lock")).unwrap();
    lock.lock().unwrap();
    let mut asked = file("/a.css");
    asked[4] &= !END_STREAM;
    let outcome = site.http2(&[asked, frame(DATA, 0, 1, &[0; 16_384]).repeat(65)]).outcome();
    // Both windows are full. A connection that is closed while more comes may be reset before its client hears why.
    let (of_stream, of_all) = (Outcome::Reset(FLOW_CONTROL_ERROR), Outcome::GoAway(FLOW_CONTROL_ERROR));
    assert!([of_stream, of_all, Outcome::Closed].contains(&outcome), "{outcome:?}");
    lock.unlock().unwrap();
}

#[test]
fn a_request_beyond_those_that_may_run_at_once_is_refused_and_the_others_go_on() {
    let Some(site) = started() else { return };
    let all: Vec<_> = (0..=100).map(|number| post(number * 2 + 1)).collect();
    let mut client = site.http2(&all);
    assert_eq!(client.outcome_of(201), Outcome::Reset(REFUSED_STREAM));
    client.send(&frame(DATA, END_STREAM, 199, b"a"));
    assert_eq!(client.outcome_of(199), Outcome::Status(200));
}

#[test]
fn settings_and_pings_are_confirmed() {
    let Some(site) = started() else { return };
    let mut client = site.http2(&[frame(PING, 0, 0, b"whatever")]);
    let confirmed: Vec<_> =
        std::iter::from_fn(|| client.next()).filter(|frame| frame.flags & ACK != 0).take(2).collect();
    let of = |kind: u8| confirmed.iter().find(|frame| frame.kind == kind).map(|frame| &frame.payload[..]);
    assert_eq!((of(SETTINGS), of(PING)), (Some(&b""[..]), Some(&b"whatever"[..])));
}

#[test]
fn a_client_that_asks_and_takes_it_back_all_the_time_is_hung_up_on() {
    let Some(site) = started() else { return };
    let mut client = site.http2(&[]);
    for number in 0..5_000_u32 {
        let stream = number * 2 + 1;
        client.send(&[get(stream), reset(stream)].concat());
    }
    let reason = std::iter::from_fn(|| client.next()).find(|frame| frame.kind == GOAWAY);
    let reason = reason.map(|Frame { payload, .. }| u32::from_be_bytes(payload[4..8].try_into().unwrap()));
    assert!(reason.is_none_or(|reason| reason == ENHANCE_YOUR_CALM), "{reason:?}");
    assert_eq!(site.http2(&[get(1)]).outcome(), Outcome::Status(200), "others are served");
}

#[test]
fn a_client_that_makes_the_server_take_back_all_the_time_is_hung_up_on() {
    let Some(site) = started() else { return };
    let mut client = site.http2(&[]);
    for number in 0..5_000_u32 {
        let stream = number * 2 + 1;
        client.send(&[post(stream), window(stream, MOST_WINDOW)].concat());
    }
    let reason = std::iter::from_fn(|| client.next()).find(|frame| frame.kind == GOAWAY);
    let reason = reason.map(|Frame { payload, .. }| u32::from_be_bytes(payload[4..8].try_into().unwrap()));
    assert!(reason.is_none_or(|reason| reason == ENHANCE_YOUR_CALM), "{reason:?}");
    assert_eq!(site.http2(&[get(1)]).outcome(), Outcome::Status(200), "others are served");
}

#[test]
fn headers_that_never_end_end_the_connection() {
    let Some(site) = started() else { return };
    let long = frame(CONTINUATION, 0, 1, &block(&[("x-a", &"x".repeat(15_000))]));
    for (more, times) in [(long, 2_000), (frame(CONTINUATION, 0, 1, b""), 100_000)] {
        let mut client = site.http2(&[begun(1)]);
        (0..times / 100).for_each(|_| client.send(&more.repeat(100)));
        assert!(matches!(client.outcome(), Outcome::GoAway(_) | Outcome::Closed));
    }
}

/// How much memory this process has, in kilobytes.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn whoever_sends_frames_without_end_and_reads_nothing_takes_no_memory_and_no_turn_of_others() {
    let Some(site) = started() else { return };
    let before = memory();
    for (what, begin, again) in [
        ("pings", Vec::new(), frame(PING, 0, 0, &[0; 8])),
        ("settings", Vec::new(), setting(INITIAL_WINDOW_SIZE, 1)),
        ("priorities", Vec::new(), frame(PRIORITY, 0, 1, &[0; 5])),
        ("windows", Vec::new(), window(0, 1)),
        ("empty pieces of a body", post(1), frame(DATA, 0, 1, b"")),
        ("pieces of padding", post(1), frame(DATA, PADDED, 1, &[&[255], &[0; 255][..]].concat())),
    ] {
        let mut client = site.http2(&[begin]);
        // A server that reads no more until its answers are read is right, too.
        client.stream.sock.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let many = again.repeat(1_000);
        for _ in 0..100 {
            if client.stream.write_all(&many).is_err() {
                break;
            }
        }
        assert_eq!(site.http2(&[get(1)]).outcome(), Outcome::Status(200), "others are served beside {what}");
        println!("{what}: {} kB more", memory().saturating_sub(before));
    }
    assert!(memory() < before + (16 << 10), "{} and then {} kB", before, memory());
}

#[test]
fn the_limits_are_told() {
    let Some(site) = started() else { return };
    let mut client = site.http2(&[]);
    let settings = loop {
        let frame = client.next().unwrap();
        if frame.kind == SETTINGS && !frame.payload.is_empty() {
            break frame.payload;
        }
    };
    let told = |number: u16| {
        let value = settings.chunks(6).find(|setting| setting[..2] == number.to_be_bytes())?;
        Some(u32::from_be_bytes(value[2..].try_into().unwrap()))
    };
    assert_eq!((told(3), told(6)), (Some(100), Some(60_000)), "requests at once, and the bytes of a head");
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_hung_up_on() {
    let Some(site) = site(1, &[("index.php", "")]) else { return };
    fs::write(site.dir.join("main/large.bin"), vec![b'x'; 4 << 20]).unwrap();
    // It never says that there is room for more than the first 65535 bytes.
    let mut client = site.http2(&[file("/large.bin")]);
    assert_eq!(client.outcome(), Outcome::Status(200));
    let frames: Vec<_> = std::iter::from_fn(|| client.next()).collect();
    let body: usize = frames.iter().filter(|frame| frame.kind == DATA).map(|frame| frame.payload.len()).sum();
    assert_eq!(body, 65_535);
    eventually("the connection is gone", || site.front.connections() == 0);
}
