//! Where there is no php-fpm: php-cgi, and PHP's built-in server, behind the server.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use common::{PATIENCE, Site, eventually, read_until, rest, site_of, unchunked};
use forkpress_core::tcp;
use forkpress_server::traffic::Cut;
use forkpress_server::workers::Kind;

const KINDS: [Kind; 2] = [Kind::Cgi, Kind::Builtin];

const SEEN: &str = "<?php echo json_encode( array( 'server' => $_SERVER, 'headers' => function_exists( 'getallheaders' ) ? getallheaders() : array(), 'env' => getenv(), 'lock' => branchfs_lock_status(), 'stranger' => branchfs_stranger( $_SERVER, 'wp.localhost' ) ) );";
const BODY: &str = "<?php echo $_SERVER['CONTENT_LENGTH'] ?? 'none', ' ', md5( file_get_contents( 'php://input' ) ), ' ', md5( $_POST['a'] ?? '' );";
const SLOW: &str = "<?php touch( __DIR__ . '/runs' ); while ( ! file_exists( __DIR__ . '/go' ) ) { usleep( 2000 ); clearstatcache(); } echo 'done';";
const NEXT: (&str, &str) = ("index.php", "<?php echo 'next ', getmypid();");

fn each(workers: u16, longest: Duration, files: &[(&str, &str)], test: impl Fn(Kind, Site)) {
    for kind in KINDS {
        if let Some(site) = site_of(kind, workers, longest, files) {
            test(kind, site);
        }
    }
}

#[test]
fn a_page_sees_its_request_and_its_client_as_behind_php_fpm() {
    each(2, PATIENCE, &[("a/x.php", SEEN)], |kind, site| {
        let seen = site.get("/a/x.php/more/?q=%2F..");
        for expected in [
            r#""SCRIPT_NAME":"\/a\/x.php""#.to_owned(),
            r#""PHP_SELF":"\/a\/x.php\/more\/""#.to_owned(),
            r#""PATH_INFO":"\/more\/""#.to_owned(),
            r#""REQUEST_URI":"\/a\/x.php\/more\/?q=%2F..""#.to_owned(),
            r#""QUERY_STRING":"q=%2F..""#.to_owned(),
            r#""SERVER_NAME":"wp.localhost""#.to_owned(),
            r#""SERVER_SOFTWARE":"ForkPress""#.to_owned(),
            r#""REQUEST_SCHEME":"http""#.to_owned(),
            format!(r#""SERVER_PORT":"{}""#, site.address.port()),
            r#""REMOTE_ADDR":"127.0.0.1""#.to_owned(),
            r#""held":true"#.to_owned(),
            r#""stranger":null"#.to_owned(),
        ] {
            assert!(seen.contains(&expected), "{kind:?}: {expected} in {seen}");
        }
        assert!(!seen.contains("FORKPRESS_FRONT") && !seen.contains("HTTP_X_FORKPRESS"), "{kind:?}: {seen}");
        let forged = site.said(
            b"GET /a/x.php HTTP/1.1\r\nHost: wp.localhost\r\nForkpress-Connection: 1\r\nRemote-Addr: 9.9.9.9\r\n\
              Remote_Addr: 8.8.8.8\r\nProxy: evil\r\nConnection: close\r\n\r\n",
        );
        assert!(
            forged.contains(r#""REMOTE_ADDR":"127.0.0.1""#) && !forged.contains(r#""HTTP_PROXY""#),
            "{kind:?}: {forged}"
        );
        assert!(forged.contains(r#""HTTP_REMOTE_ADDR":"9.9.9.9""#), "{kind:?}: {forged}");
    });
}

#[test]
fn bodies_are_whole_both_ways_however_they_are_sent() {
    let large = "<?php for ( $i = 0; $i < 256; $i++ ) { echo str_repeat( chr( 65 + $i % 26 ), 65536 ); }";
    each(1, PATIENCE, &[("index.php", BODY), ("large.php", large)], |kind, site| {
        let value = "v".repeat(3_000_000);
        let body = format!("a={value}");
        let sum = |text: &str| {
            let mut program = std::process::Command::new("md5sum")
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            program.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
            String::from_utf8(program.wait_with_output().unwrap().stdout).unwrap()[..32].to_owned()
        };
        let expected = format!("{} {} {}", body.len(), sum(&body), sum(&value));
        let head = "POST / HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n";
        let plain = site.said(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        assert!(plain.contains(&expected), "{kind:?}: {plain}");
        let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
        for piece in body.as_bytes().chunks(70_001) {
            chunked += &format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap());
        }
        assert!(site.said(format!("{chunked}0\r\n\r\n").as_bytes()).contains(&expected), "{kind:?}: in chunks");
        assert!(site.get("/").starts_with("none "), "{kind:?}");
        let large = site.get("/large.php");
        assert_eq!(large.len(), 256 * 65536, "{kind:?}");
        assert!(
            large.bytes().enumerate().all(|(at, byte)| byte == 65 + (at / 65536 % 26) as u8),
            "{kind:?}: in its order"
        );
    });
}

#[test]
fn an_upload_comes_as_a_file_and_a_large_body_takes_no_memory() {
    let upload =
        "<?php echo $_POST['a'], ' ', $_FILES['f']['size'] ?? 'none', ' ', md5_file( $_FILES['f']['tmp_name'] );";
    let put = "<?php $in = fopen( 'php://input', 'rb' ); for ( $n = 0; ! feof( $in ); $n += strlen( fread( $in, 65536 ) ) ) {}
        preg_match( '/VmHWM:\\s+(\\d+)/', file_get_contents( '/proc/self/status' ), $most ); echo \"$n \", $most[1] < 80000 ? 'flat' : $most[1];";
    each(1, PATIENCE, &[("upload.php", upload), ("put.php", put)], |kind, site| {
        let body = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nword\r\n--B\r\nContent-Disposition: form-data; \
                    name=\"f\"; filename=\"x.txt\"\r\n\r\nhello\r\n--B--\r\n";
        let said = site.said(
            format!(
                "POST /upload.php HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\nContent-Length: {}\r\n\
                 Content-Type: multipart/form-data; boundary=B\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
        assert!(said.contains("word 5 5d41402abc4b2a76b9719d911017c592"), "{kind:?}: {said}");
        let mut large =
            b"PUT /put.php HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\nContent-Length: 120000000\r\n\r\n"
                .to_vec();
        large.resize(large.len() + 120_000_000, b'x');
        let said = site.said(&large);
        assert!(said.contains("120000000 flat"), "{kind:?}: {said}");
        let left: Vec<_> =
            fs::read_dir(site.dir.join(".forkpress/run")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".body")), "{kind:?}: {left:?}");
    });
}

#[test]
fn a_page_that_writes_chunks_of_its_own_is_what_they_hold() {
    let chunks = "<?php header( 'Transfer-Encoding: chunked' ); header( 'Content-Length: 3' );
        foreach ( explode( ',', $_SERVER['QUERY_STRING'] ) as $line ) { echo $line, \"\\r\\n\"; flush(); }";
    let Some(site) = site_of(Kind::Builtin, 1, PATIENCE, &[("chunks.php", chunks), NEXT]) else { return };
    assert_eq!(site.get("/chunks.php?5,hello,07,-world!,0,"), "hello-world!");
    let large = "x".repeat(20_000);
    assert_eq!(site.get(&format!("/chunks.php?4E20,{large},1;a=b,y,0,X-Trailer:%20z,")), format!("{large}y"));
    let said = |method: &str, lines: &str| {
        site.said(
            format!("{method} /chunks.php?{lines} HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n")
                .as_bytes(),
        )
    };
    assert!(said("HEAD", "5,hello,0,").starts_with("HTTP/1.1 200 OK\r\n"));
    for (what, lines) in
        [("cut", "5,hello"), ("cut in a chunk", "50,hello"), ("none", "hello"), ("too long", "4,hello,0,")]
    {
        let said = said("GET", lines);
        let is_refused = said.starts_with("HTTP/1.1 502 Bad Gateway\r\n");
        let is_cut = said.contains("transfer-encoding: chunked") && !said.ends_with("0\r\n\r\n");
        assert!(is_refused || is_cut, "{what}: {said}");
    }
    assert!(site.get("/").starts_with("next "));
}

#[test]
fn a_page_that_php_dies_of_is_no_whole_page_and_the_next_one_is() {
    let crash = "<?php if ( isset( $_GET['late'] ) ) { echo str_repeat( 'x', 100000 ); flush(); } exec( 'kill -9 ' . getmypid() ); sleep( 60 );";
    each(1, PATIENCE, &[("crash.php", crash), NEXT], |kind, site| {
        let first = site.get("/");
        let early = site.said(b"GET /crash.php HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n");
        assert!(early.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{kind:?}: {early}");
        let second = site.get("/");
        assert!(second.starts_with("next ") && second != first, "{kind:?}: {second}");
        let late = site.said(b"GET /crash.php?late HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n");
        assert!(late.starts_with("HTTP/1.1 200 OK\r\n") && !late.ends_with("0\r\n\r\n"), "{kind:?}: it is cut short");
        assert_eq!(site.told_of("/crash.php").cut, None, "{kind:?}: its status tells");
        assert_eq!(site.told_of("/crash.php?late").cut, Some(Cut::Php), "{kind:?}: the log knows");
        assert!(site.get("/").starts_with("next "), "{kind:?}");
    });
}

#[test]
fn a_request_that_takes_too_long_ends_with_its_process_also_if_nobody_waits_for_it() {
    let endless = "<?php file_put_contents( __DIR__ . '/runs', getmypid() ); for ( ;; ) { usleep( 1000 ); }";
    each(1, Duration::from_secs(2), &[("endless.php", endless), NEXT], |kind, site| {
        let request = b"GET /endless.php HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n";
        let said = site.said(request);
        assert!(said.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{kind:?}: {said}");
        assert!(site.get("/").starts_with("next "), "{kind:?}");
        let runs = site.dir.join("main/runs");
        fs::remove_file(&runs).unwrap();
        let client = site.send(request);
        eventually("it runs", || fs::read(&runs).is_ok_and(|id| !id.is_empty()));
        drop(client);
        let id = fs::read_to_string(&runs).unwrap();
        assert!(site.get("/").starts_with("next "), "{kind:?}: after one that nobody waited for");
        assert!(!fs::exists(format!("/proc/{id}")).unwrap(), "{kind:?}");
    });
}

#[test]
fn a_client_that_hangs_up_ends_its_page_and_its_process_has_no_other_request_before() {
    let events = "<?php header( 'Content-Type: text/event-stream' ); ignore_user_abort( false );
        register_shutdown_function( static function () {
            touch( __DIR__ . '/ending' );
            while ( ! file_exists( __DIR__ . '/go' ) ) { usleep( 2000 ); clearstatcache(); }
            file_put_contents( __DIR__ . '/ended', connection_aborted() );
        } );
        for ( $i = 0; ; $i++ ) { echo \"data: $i\\n\\n\"; flush(); usleep( 2000 ); }";
    each(2, PATIENCE, &[("events.php", events), NEXT], |kind, site| {
        let mut client = site.send(b"GET /events.php HTTP/1.1\r\nHost: wp.localhost\r\n\r\n");
        read_until(&mut client, "data: 3\n");
        drop(client);
        eventually("the page hears of it", || site.dir.join("main/ending").exists());
        // One that went to the same process would never be answered.
        for _ in 0..20 {
            assert!(site.get("/").starts_with("next "), "{kind:?}");
        }
        fs::write(site.dir.join("main/go"), "").unwrap();
        let ended = site.dir.join("main/ended");
        eventually("the page ends", || fs::read(&ended).is_ok_and(|aborted| aborted == b"1"));
        // Both are there again.
        let mut slow: Vec<_> = (0..2).map(|_| site.send(b"GET / HTTP/1.0\r\nHost: wp.localhost\r\n\r\n")).collect();
        assert!(slow.iter_mut().all(|client| rest(client).contains("next ")), "{kind:?}");
    });
}

#[test]
fn no_fast_request_waits_for_a_slow_page_on_any_of_a_browsers_sockets() {
    each(4, PATIENCE, &[("slow.php", SLOW), ("fast.php", "<?php echo 'fast';")], |kind, site| {
        let mut slow = site.send(b"GET /slow.php HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n");
        eventually("the page runs", || site.dir.join("main/runs").exists());
        let mut sockets: Vec<_> = (0..6).map(|_| site.send(b"")).collect();
        for _ in 0..10 {
            for socket in &mut sockets {
                socket.write_all(b"GET /fast.php HTTP/1.1\r\nHost: wp.localhost\r\n\r\n").unwrap();
            }
            for socket in &mut sockets {
                let mut answer = Vec::new();
                // The last chunk, where the end came after the head.
                while !answer.ends_with(b"fast") && !answer.ends_with(b"fast\r\n0\r\n\r\n") {
                    let mut byte = [0; 1];
                    assert!(socket.read(&mut byte).unwrap() > 0, "{kind:?}: the connection stays");
                    answer.push(byte[0]);
                }
                let text = String::from_utf8(answer).unwrap();
                if text.to_ascii_lowercase().contains("transfer-encoding") && !text.ends_with("0\r\n\r\n") {
                    socket.read_exact(&mut [0; 7]).unwrap();
                }
            }
        }
        fs::write(site.dir.join("main/go"), "").unwrap();
        let said = rest(&mut slow);
        let body = said.split_once("\r\n\r\n").unwrap().1;
        assert!(body == "done" || unchunked(body) == "done", "{kind:?}: it was slow all the time: {said}");
    });
}

#[test]
fn an_absurd_length_does_not_hurt() {
    each(1, PATIENCE, &[NEXT], |kind, site| {
        let before = site.get("/");
        for length in ["99999999999999999999", "-1", "18446744073709551615"] {
            let said = site.said(
                format!(
                    "POST / HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                )
                .as_bytes(),
            );
            assert!(said.starts_with("HTTP/1.1 4"), "{kind:?}: {length}: {said}");
        }
        assert_eq!(site.get("/"), before, "{kind:?}: the same process");
    });
}

/// The port that a process listens at.
fn port_of(id: u32) -> u16 {
    let own = tcp::open_in(id);
    let mut sockets = tcp::sockets(id).into_iter();
    sockets.find(|socket| socket.is_listening && own.contains(&socket.inode)).unwrap().local.port()
}

#[test]
fn the_port_of_a_process_answers_nobody_but_the_server() {
    let files = [("seen.php", SEEN), ("slow.php", SLOW), ("file.txt", "a file")];
    let Some(mut site) = site_of(Kind::Builtin, 1, PATIENCE, &files) else { return };
    assert!(site.get("/seen.php").contains("\"held\":true"));
    let port = port_of(site.workers().ids()[0]);
    let straight = |request: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        rest(&mut stream)
    };
    for request in [
        "GET /seen.php HTTP/1.1\r\nHost: wp.localhost\r\n\r\n",
        "GET /file.txt HTTP/1.1\r\nHost: wp.localhost\r\n\r\n",
        "GET /seen.php HTTP/1.1\r\nHost: wp.localhost\r\nX-ForkPress-Connection: 1\r\nX-ForkPress-Front: 1\r\nFORKPRESS_FRONT: 1\r\n\r\n",
        "POST /site.git/git-receive-pack HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: 0\r\n\r\n",
    ] {
        let said = straight(request);
        assert!(said.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{said}");
        assert!(said.ends_with("\r\n\r\nOnly the server of ForkPress asks here\n"), "{said}");
    }
    // Also while the server asks: what it says of its connection counts for that one.
    let mut slow = site.send(b"GET /slow.php HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n");
    eventually("the page runs", || site.dir.join("main/runs").exists());
    let mut stray = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stray.write_all(b"GET /seen.php HTTP/1.1\r\nHost: wp.localhost\r\n\r\n").unwrap();
    let mut queued = site.send(b"GET /seen.php HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n");
    fs::write(site.dir.join("main/go"), "").unwrap();
    assert!(rest(&mut slow).contains("done"));
    assert!(rest(&mut stray).starts_with("HTTP/1.1 403 Forbidden\r\n"));
    assert!(rest(&mut queued).contains("\"stranger\":null"));
}

#[test]
fn no_process_is_left_of_workers_that_are_dropped() {
    each(
        3,
        PATIENCE,
        &[NEXT, ("child.php", "<?php exec( 'sleep 600 >/dev/null 2>&1 & echo $!', $said ); echo $said[0];")],
        |kind, mut site| {
            let child = site.get("/child.php");
            let mut ids = site.workers().ids();
            assert_eq!(ids.len(), 3, "{kind:?}");
            ids.push(child.trim().parse().unwrap());
            drop(site);
            eventually("all have ended", || {
                let ends = |id: &u32| {
                    fs::read_to_string(format!("/proc/{id}/stat")).map_or(true, |stat| stat.contains(") Z "))
                };
                ids.iter().all(ends)
            });
        },
    );
}
