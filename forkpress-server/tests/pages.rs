//! Pages, files and bodies, with real PHP behind.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use common::{PATIENCE, eventually, read_until, rest, site, site_with_pause, unchunked};

const SEEN: &str = "<?php echo json_encode( array( 'server' => $_SERVER, 'lock' => branchfs_lock_status(), 'stranger' => branchfs_stranger( $_SERVER, 'wp.localhost' ) ) );";
const BODY: &str =
    "<?php echo $_SERVER['CONTENT_LENGTH'] ?? 'none', ' ', hash( 'sha256', file_get_contents( 'php://input' ) );";
const SLOW: &str = "<?php touch( __DIR__ . '/runs' ); while ( ! file_exists( __DIR__ . '/go' ) ) { usleep( 2000 ); clearstatcache(); } echo 'done';";

#[test]
fn a_page_sees_its_request_and_its_client_as_behind_any_server() {
    let Some(site) = site(2, &[("index.php", SEEN), ("a/x.php", SEEN)]) else { return };
    let seen = site.get("/a/x.php/more/?q=%2F..");
    let port = site.address.port();
    for expected in [
        r#""SCRIPT_NAME":"\/a\/x.php""#.to_owned(),
        r#""PHP_SELF":"\/a\/x.php\/more\/""#.to_owned(),
        r#""PATH_INFO":"\/more\/""#.to_owned(),
        r#""REQUEST_URI":"\/a\/x.php\/more\/?q=%2F..""#.to_owned(),
        r#""QUERY_STRING":"q=%2F..""#.to_owned(),
        r#""SERVER_NAME":"wp.localhost""#.to_owned(),
        format!(r#""SERVER_PORT":"{port}""#),
        r#""REMOTE_ADDR":"127.0.0.1""#.to_owned(),
        r#""held":true"#.to_owned(),
        r#""branches":[]"#.to_owned(),
    ] {
        assert!(seen.contains(&expected), "{expected} in {seen}");
    }
    assert!(!seen.contains("HTTP_PROXY"), "{seen}");
    assert!(seen.contains(r#""stranger":null"#), "the person who runs the server: {seen}");
    let forwarded =
        site.said(b"GET / HTTP/1.1\r\nHost: wp.localhost\r\nX-Forwarded-For: 1.2.3.4\r\nConnection: close\r\n\r\n");
    assert!(forwarded.contains("a proxy passed the request on"), "{forwarded}");
}

#[test]
fn a_body_reaches_php_whole_however_it_is_sent() {
    let Some(site) = site(1, &[("index.php", BODY)]) else { return };
    let body: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let expected = hash(&body);
    let head =
        "POST / HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\nContent-Type: application/octet-stream\r\n";
    let plain = [format!("{head}Content-Length: {}\r\n\r\n", body.len()).into_bytes(), body.clone()].concat();
    assert!(site.said(&plain).ends_with(&format!("\r\n3000000 {expected}")));
    let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for piece in body.chunks(70_001) {
        chunked.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        chunked.extend(piece);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    assert!(site.said(&chunked).ends_with(&format!("\r\n3000000 {expected}")));

    let mut client = site.send(format!("{head}Expect: 100-continue\r\nContent-Length: 3\r\n\r\n").as_bytes());
    let mut go_on = [0; 25];
    client.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"abc").unwrap();
    assert!(rest(&mut client).ends_with(&format!("\r\n3 {}", hash(b"abc"))));
    assert!(site.get("/").starts_with("none "));
}

fn hash(bytes: &[u8]) -> String {
    let mut program = std::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = program.stdin.take().unwrap();
    let bytes = bytes.to_vec();
    let feeding = thread::spawn(move || input.write_all(&bytes).unwrap());
    let said = program.wait_with_output().unwrap().stdout;
    feeding.join().unwrap();
    String::from_utf8(said).unwrap()[..64].to_owned()
}

#[test]
fn no_fast_request_waits_for_a_slow_page_on_any_of_a_browsers_sockets() {
    let fast = "<?php echo 'fast';";
    let Some(site) = site(4, &[("slow.php", SLOW), ("fast.php", fast)]) else { return };
    let mut slow = site.send(b"GET /slow.php HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n");
    eventually("the page runs", || site.dir.join("main/runs").exists());
    let mut sockets: Vec<_> = (0..6).map(|_| site.send(b"")).collect();
    let mut longest = Duration::ZERO;
    for _ in 0..40 {
        for socket in &mut sockets {
            let began = Instant::now();
            socket.write_all(b"GET /fast.php HTTP/1.1\r\nHost: wp.localhost\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"fast") {
                let mut byte = [0; 1024];
                let length = socket.read(&mut byte).unwrap();
                assert!(length > 0, "the connection stays");
                answer.extend_from_slice(&byte[..length]);
            }
            longest = longest.max(began.elapsed());
        }
    }
    println!("the slowest of 240 fast requests: {longest:?}");
    fs::write(site.dir.join("main/go"), "").unwrap();
    assert!(rest(&mut slow).ends_with("done"), "it was slow all the time");
}

#[test]
fn six_clients_that_do_not_read_keep_no_process_and_no_lock() {
    // Eight times what the socket takes, and beyond what waits in memory.
    let large = "<?php for ( $i = 0; $i < 256; $i++ ) { echo str_repeat( chr( 65 + $i % 26 ), 65536 ); }";
    let files = [("large.php", large), ("index.php", "<?php echo 'next';"), ("big.bin", "")];
    let Some(site) = site_with_pause(1, &files, PATIENCE) else { return };
    fs::write(site.dir.join("main/big.bin"), vec![b'x'; 32 << 20]).unwrap();
    let request = b"GET /large.php HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n";
    let mut pages: Vec<_> = (0..6).map(|_| site.send(request)).collect();
    let mut file = site.send(b"GET /big.bin HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n");
    file.read_exact(&mut [0; 100]).unwrap();
    assert_eq!(site.get("/"), "next", "the one process is free");
    let lock = fs::File::open(site.dir.join(".forkpress/cow/operations.lock")).unwrap();
    eventually("the lock is free", || lock.try_lock().is_ok());
    lock.unlock().unwrap();
    for page in &mut pages {
        let said = rest(page);
        let body = unchunked(said.split_once("\r\n\r\n").unwrap().1);
        assert_eq!(body.len(), 256 * 65536);
        assert!(body.bytes().enumerate().all(|(at, byte)| byte == 65 + (at / 65536 % 26) as u8), "in its order");
    }
    assert_eq!(rest(&mut file).split_once("\r\n\r\n").map(|(_, body)| body.len()), Some(32 << 20));
}

#[test]
fn what_is_flushed_reaches_the_client_at_once_and_who_hangs_up_ends_the_page() {
    let events = "<?php header( 'Content-Type: text/event-stream' ); ignore_user_abort( false );
        register_shutdown_function( static fn () => file_put_contents( __DIR__ . '/ended', connection_aborted() ) );
        for ( $i = 0; ; $i++ ) { echo \"data: $i\\n\\n\"; flush(); usleep( 2000 ); }";
    let Some(site) = site(1, &[("events.php", events), ("index.php", "<?php echo 'next';")]) else { return };
    let mut client = site.send(b"GET /events.php HTTP/1.1\r\nHost: wp.localhost\r\n\r\n");
    read_until(&mut client, "data: 3\n");
    drop(client);
    eventually("the page ends", || fs::read(site.dir.join("main/ended")).is_ok_and(|aborted| aborted == b"1"));
    assert_eq!(site.get("/"), "next");
}

#[test]
fn what_streams_on_purpose_reaches_the_client_before_more_is_written() {
    let steps =
        "<?php header( $_SERVER['QUERY_STRING'] ? 'X-Accel-Buffering: no' : 'Content-Type: text/event-stream' );
        foreach ( array( 'one', 'two', 'three' ) as $step ) {
            echo \"data: $step\n\n\"; while ( ob_get_level() ) { ob_end_flush(); } flush();
            while ( ! file_exists( __DIR__ . \"/$step\" ) ) { usleep( 2000 ); clearstatcache(); }
            unlink( __DIR__ . \"/$step\" );
        }";
    let Some(site) = site(1, &[("steps.php", steps)]) else { return };
    for query in ["", "?unbuffered"] {
        let mut client = site.send(format!("GET /steps.php{query} HTTP/1.1\r\nHost: wp.localhost\r\n\r\n").as_bytes());
        let mut said = String::new();
        for step in ["one", "two", "three"] {
            while !said.contains(&format!("data: {step}\n\n")) {
                let mut piece = [0; 4096];
                let length = client.read(&mut piece).unwrap();
                assert!(length > 0, "it goes on: {said}");
                said += std::str::from_utf8(&piece[..length]).unwrap();
            }
            fs::write(site.dir.join("main").join(step), "").unwrap();
        }
        drop(client);
    }
}

#[test]
fn a_page_that_ignores_that_its_client_has_gone_runs_to_its_end() {
    let page = "<?php ignore_user_abort( true );
        for ( $i = 0; ! connection_aborted(); $i++ ) { echo str_repeat( 'x', 8192 ); flush(); usleep( 2000 ); }
        file_put_contents( __DIR__ . '/finished', 'all' );";
    let Some(site) = site(1, &[("index.php", page), ("next.php", "<?php echo 'next';")]) else { return };
    let mut client = site.send(b"GET / HTTP/1.1\r\nHost: wp.localhost\r\n\r\n");
    client.read_exact(&mut [0; 9000]).unwrap();
    drop(client);
    eventually("the page ends", || fs::read(site.dir.join("main/finished")).is_ok_and(|content| content == b"all"));
    assert_eq!(site.get("/next.php"), "next");
}

#[test]
fn a_header_that_php_would_take_for_another_reaches_no_page() {
    let Some(site) = site(1, &[("index.php", SEEN)]) else { return };
    let seen = site.said(
        b"GET / HTTP/1.1\r\nHost: wp.localhost\r\nX_Forwarded_For: forged\r\nX.Forwarded.Host: forged\r\nX~Forwarded~Proto: forged\r\n\
          Content_Length: forged\r\nContent.Type: forged\r\nHTTP_HOST: forged\r\nProxy: forged\r\nRemote_Addr: forged\r\nHTTPS: forged-not\r\n\
          Script_Filename: forged\r\nForkPress_Connection: forged\r\nPHP_VALUE: forged\r\nHost_: forged\r\nConnection: close\r\n\r\n",
    );
    assert!(!seen.contains("forged\""), "{seen}");
    assert!(seen.contains(r#""HTTP_HTTPS":"forged-not""#) && !seen.contains(r#""HTTPS":"#), "{seen}");
}

#[test]
fn a_page_that_php_dies_of_is_no_whole_page() {
    let crash = "<?php if ( isset( $_GET['late'] ) ) { echo str_repeat( 'x', 100000 ); flush(); } exec( 'kill -9 ' . getmypid() ); sleep( 60 );";
    let Some(site) = site(1, &[("crash.php", crash), ("index.php", "<?php echo 'next';")]) else { return };
    let early = site.said(b"GET /crash.php HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n");
    assert!(early.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{early}");
    let late = site.said(b"GET /crash.php?late HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n");
    assert!(late.starts_with("HTTP/1.1 200 OK\r\n") && !late.ends_with("0\r\n\r\n"), "it is cut short");
    assert_eq!(site.get("/"), "next", "another process has its place");
}

#[test]
fn a_connection_stays_and_requests_may_follow_each_other_at_once() {
    let Some(site) = site(1, &[("index.php", "<?php echo $_SERVER['QUERY_STRING'];"), ("a.txt", "file")]) else {
        return;
    };
    let answers = site.said(
        b"GET /?one HTTP/1.1\r\nHost: wp.localhost\r\n\r\nGET /a.txt HTTP/1.1\r\nHost: wp.localhost\r\n\r\n\
          HEAD /a.txt HTTP/1.1\r\nHost: wp.localhost\r\n\r\nGET /?two HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 4, "{answers}");
    let places: Vec<_> = ["\r\n\r\none", "\r\n\r\nfile", "\r\n\r\ntwo"].map(|body| answers.find(body).unwrap()).into();
    assert!(places.is_sorted(), "{answers}");
    let old = site.said(b"GET /?old HTTP/1.0\r\nHost: wp.localhost\r\n\r\n");
    assert!(old.starts_with("HTTP/1.0 200 OK\r\n") && old.ends_with("\r\n\r\nold"), "{old}");
}
