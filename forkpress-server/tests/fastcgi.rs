//! The FastCGI client, against real php-fpm and against applications that do what they should not.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use common::site;
use forkpress_server::fastcgi::{Exchange, FastCgiError, Output};
use forkpress_server::spool::{Room, spool};

fn variables(pairs: &[(&str, &str)]) -> Vec<(Bytes, Bytes)> {
    pairs.iter().map(|(name, value)| (Bytes::from((*name).to_owned()), Bytes::from((*value).to_owned()))).collect()
}

/// All that an application answers and complains about.
async fn all(exchange: &mut Exchange) -> Result<(Vec<u8>, Vec<u8>), FastCgiError> {
    let (mut answer, mut complaint) = (Vec::new(), Vec::new());
    while let Some(output) = exchange.next().await? {
        match output {
            Output::Answer(bytes) => answer.extend_from_slice(&bytes),
            Output::Complaint(bytes) => complaint.extend_from_slice(&bytes),
        }
    }
    Ok((answer, complaint))
}

#[tokio::test]
async fn php_answers_with_what_it_was_given_and_says_what_it_complains_about() {
    let echo = "<?php error_log( 'a complaint' ); echo $_SERVER['LONG'] === str_repeat( 'v', 60000 ) ? 'long ' : 'short ', strlen( file_get_contents( 'php://input' ) );";
    let Some(site) = site(1, &[("echo.php", echo)]) else { return };
    let script = site.dir.join("main/echo.php");
    let given = variables(&[
        ("SCRIPT_FILENAME", script.to_str().unwrap()),
        ("REQUEST_METHOD", "POST"),
        ("CONTENT_LENGTH", "5000000"),
        ("LONG", &"v".repeat(60_000)),
        ("EMPTY", ""),
    ]);
    let (mut writer, reader) = spool(Room { memory_bytes: 1 << 20, folder: site.dir.clone() });
    writer.write(&vec![b'b'; 5_000_000].into()).await.unwrap();
    let _ = writer.end();
    let mut exchange = Exchange::begin(&site.socket("pages"), &given, &mut Some(reader)).await.unwrap();
    let (answer, complaint) = all(&mut exchange).await.unwrap();
    assert!(answer.ends_with(b"\r\n\r\nlong 5000000"), "{}", String::from_utf8_lossy(&answer));
    assert!(String::from_utf8_lossy(&complaint).contains("a complaint"), "{complaint:?}");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_is_read_keeps_nobody_waiting() {
    // It gives more than sockets take, and never reads.
    let deaf = "<?php for ( $i = 0; $i < 100; $i++ ) { echo str_repeat( 'x', 100000 ); }";
    let Some(site) = site(1, &[("deaf.php", deaf)]) else { return };
    let script = site.dir.join("main/deaf.php");
    let given = variables(&[
        ("SCRIPT_FILENAME", script.to_str().unwrap()),
        ("REQUEST_METHOD", "PUT"),
        ("CONTENT_LENGTH", "8000000"),
    ]);
    let (mut writer, reader) = spool(Room { memory_bytes: 1 << 30, folder: site.dir.clone() });
    writer.write(&vec![b'b'; 8_000_000].into()).await.unwrap();
    let _ = writer.end();
    let mut exchange = Exchange::begin(&site.socket("pages"), &given, &mut Some(reader)).await.unwrap();
    let (answer, _) = all(&mut exchange).await.unwrap();
    assert!(answer.len() > 10_000_000);
}

/// What the client makes of an application that reads a request's beginning, says this, and closes the connection.
async fn told(socket: &Path, says: Vec<u8>) -> Result<(Vec<u8>, Vec<u8>), FastCgiError> {
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket).unwrap();
    let application = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 16]).unwrap();
        stream.write_all(&says).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        // Until the client has gone.
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let mut exchange = Exchange::begin(socket, &variables(&[("A", "b")]), &mut None).await.unwrap();
    let said = all(&mut exchange).await;
    drop(exchange);
    application.join().unwrap();
    said
}

#[tokio::test]
async fn what_is_no_answer_or_not_all_of_one_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let answer = [&[1, 6, 0, 1, 0, 3, 5, 0][..], b"abc", &[0; 5]].concat();
    let end = [1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let whole = told(&socket, [&answer[..], &answer, &end].concat()).await.unwrap();
    assert_eq!(whole, (b"abcabc".to_vec(), Vec::new()));
    for (what, says, error) in [
        ("nothing", Vec::new(), "PHP ended before its answer did"),
        ("half a header", vec![1, 6, 0], "PHP ended before its answer did"),
        ("an answer without its end", answer.clone(), "PHP ended before its answer did"),
        ("an answer in the middle of a record", answer[..10].to_vec(), "PHP ended before its answer did"),
        ("a record in the middle of its padding", answer[..13].to_vec(), "PHP ended before its answer did"),
        ("an end that is cut short", end[..15].to_vec(), "PHP ended before its answer did"),
        ("another protocol", b"SSH-2.0-OpenSSH\r\n".to_vec(), "PHP answers with version 83 of FastCGI"),
        (
            "another request's end",
            vec![1, 3, 0, 9, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            "PHP answers request 9, which was not made",
        ),
        ("too much for it", [&end[..12], &[2, 0, 0, 0]].concat(), "PHP refused the request (protocol status 2)"),
        (
            "a kind that nobody knows",
            [&answer[..], &[1, 77, 0, 1, 0, 0, 0, 0]].concat(),
            "PHP sent a record of kind 77",
        ),
    ] {
        assert_eq!(told(&socket, says).await.unwrap_err().to_string(), error, "{what}");
    }
    fs::remove_file(&socket).unwrap();
    let nobody = Exchange::begin(&socket, &[], &mut None).await.unwrap_err();
    assert_eq!(nobody.to_string(), "the connection to PHP broke");
}

#[tokio::test]
async fn random_bytes_are_never_more_than_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    // A generator of one line, so that a failure can be had again.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..300 {
        let mut says = Vec::new();
        for _ in 0..next() % 8 {
            // Headers that are nearly right, so that what follows them is looked at.
            let length = next() % 300;
            says.extend([
                1,
                [6, 7, 3, 6][(next() % 4) as usize],
                0,
                1,
                (length >> 8) as u8,
                length as u8,
                (next() % 9) as u8,
                0,
            ]);
            says.extend((0..length + next() % 9).map(|_| next() as u8));
        }
        // An answer, or an error: whichever, it ends.
        let _ = told(&socket, says).await;
    }
}
