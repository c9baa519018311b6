//! What memory and disk a server takes, at most, for bodies, answers and connections.
//!
//! FORKPRESS_TEST_BODY_MB and FORKPRESS_TEST_CONNECTIONS make the tests larger: see `make soak`.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::application::{letter, served};
use common::{NO_HURRY, PATIENCE, eventually, rest, site_with_pause};

/// The memory of this process is measured, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn given(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

/// A line of what the system knows of this process's memory, in bytes.
fn memory(line: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let value = status.lines().find_map(|known| known.strip_prefix(line)).unwrap();
    value.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// How much more memory this process had, at its most, than it has now.
fn grown(work: impl FnOnce()) -> usize {
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS");
    work();
    memory("VmHWM").saturating_sub(before)
}

#[test]
fn a_body_and_an_answer_of_any_length_take_the_same_memory() {
    let _alone = alone();
    let upload = "<?php $input = fopen( 'php://input', 'r' ); $bytes = 0; while ( ! feof( $input ) ) { $bytes += strlen( fread( $input, 1 << 20 ) ); } echo $bytes;";
    let download = "<?php for ( $i = 0; $i < $_GET['mb']; $i++ ) { echo str_repeat( chr( 65 + $i % 26 ), 1 << 20 ); }";
    let Some(site) = site_with_pause(1, &[("up.php", upload), ("down.php", download)], NO_HURRY) else { return };
    let up = |megabytes: usize| {
        let head = format!(
            "PUT /up.php HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            megabytes << 20
        );
        let mut client = site.send(head.as_bytes());
        let piece = vec![b'x'; 1 << 20];
        (0..megabytes).for_each(|_| client.write_all(&piece).unwrap());
        assert!(rest(&mut client).ends_with(&format!("\r\n\r\n{}", megabytes << 20)));
    };
    let down = |megabytes: usize| {
        let mut client =
            site.send(format!("GET /down.php?mb={megabytes} HTTP/1.0\r\nHost: wp.localhost\r\n\r\n").as_bytes());
        // PHP is done before the client reads anything: the one process answers another.
        assert_eq!(site.get("/down.php?mb=0"), "");
        let (mut taken, mut piece) = (0, vec![0; 1 << 20]);
        loop {
            match client.read(&mut piece).unwrap() {
                0 => break,
                length => taken += length,
            }
        }
        assert!(taken > megabytes << 20 && taken < (megabytes << 20) + 1000, "{taken}");
    };
    up(8);
    down(8);
    let megabytes = given("FORKPRESS_TEST_BODY_MB", 96);
    let (above, below) = (grown(|| up(megabytes)), grown(|| down(megabytes)));
    println!("{megabytes} MB up took {} kB more, and down {} kB", above >> 10, below >> 10);
    assert!(above < 24 << 20 && below < 24 << 20, "{above} and {below} bytes more");
    let files = fs::read_dir(&site.dir).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(
        files
            .filter(|name| !["main", ".forkpress", "fpm.log", "authorities"].iter().any(|known| name == known))
            .count(),
        0
    );
}

/// A small disk, for as long as this is there.
struct Disk(tempfile::TempDir);

impl Disk {
    /// None where this machine may not mount, which is said.
    fn of(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .output();
        if mount.is_ok_and(|mount| mount.status.success()) {
            return Some(Self(dir));
        }
        eprintln!("SKIPPED: this machine may not mount");
        None
    }

    fn free_bytes(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.0.path()).unwrap();
        disk.f_bavail * disk.f_frsize
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_a_body_in_words_and_has_an_answer_wait_for_its_client() {
    let _alone = alone();
    let Some(disk) = Disk::of("16m") else { return };
    let dir = tempfile::tempdir().unwrap();
    let (front, address) = served(dir.path(), disk.path());
    let before = disk.free_bytes();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(client, "POST / HTTP/1.1\r\nHost: wp.localhost\r\nContent-Length: {}\r\n\r\n", 64 << 20).unwrap();
    let piece = vec![b'x'; 1 << 20];
    (0..64).for_each(|_| client.write_all(&piece).unwrap());
    client.shutdown(Shutdown::Write).unwrap();
    let said = rest(&mut client);
    assert!(said.starts_with("HTTP/1.1 507 ") && said.contains("no room for the body of the request\n"), "{said}");
    eventually("all of it is free again", || disk.free_bytes() == before);

    let pieces = 64 << 4;
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(client, "GET /?large={pieces} HTTP/1.0\r\nHost: wp.localhost\r\n\r\n").unwrap();
    eventually("the disk has what it may have", || disk.free_bytes() < 2 << 20);
    fs::write(disk.path().join("of-another"), vec![b'x'; 400 << 10]).expect("others have room");
    fs::remove_file(disk.path().join("of-another")).unwrap();
    let mut said = Vec::new();
    client.read_to_end(&mut said).unwrap();
    let body = &said[said.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4..];
    assert_eq!(body.len(), pieces << 16);
    let is_its = |(piece, bytes): (usize, &[u8])| bytes == [letter(piece as u32); 1 << 16];
    assert!(body.chunks(1 << 16).enumerate().all(is_its), "in its order");
    eventually("all of it is free again", || disk.free_bytes() == before);
    drop(front);
}

#[test]
fn an_answer_that_comes_at_once_waits_in_no_more_memory_than_there_is_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_front, address) = served(dir.path(), dir.path());
    // What has come whole has its length. There is room for 4 KiB.
    for (letters, is_whole) in [(1000, true), (60_000, false)] {
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(client, "GET /?at-once={letters} HTTP/1.0\r\nHost: wp.localhost\r\n\r\n").unwrap();
        let said = rest(&mut client);
        let (head, body) = said.split_once("\r\n\r\n").unwrap();
        assert_eq!((body.len(), head.contains("content-length")), (letters, is_whole), "{head}");
    }
}

#[test]
fn a_connection_that_is_idle_takes_little_memory() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let (front, address) = served(dir.path(), dir.path());
    let wanted = given("FORKPRESS_TEST_CONNECTIONS", 1000);
    let get = |stream: &mut TcpStream| {
        stream.write_all(b"GET /?a HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n\r\n").unwrap();
        assert!(rest(stream).ends_with("GET /?a 0\n"));
    };
    get(&mut TcpStream::connect(address).unwrap());
    let before = memory("VmRSS");
    // The clients are another process: what they take is not the server's.
    let mut clients = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "connections_of_another_process", "--ignored", "--nocapture"])
        .env("FORKPRESS_TEST_ADDRESS", address.to_string())
        .env("FORKPRESS_TEST_CONNECTIONS", wanted.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(clients.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("all are idle")));
    assert_eq!(front.connections(), wanted);
    let each = memory("VmRSS").saturating_sub(before) / wanted;
    println!("{wanted} idle connections take {each} bytes each");
    assert!(each < 64 << 10, "{each} bytes each");
    get(&mut TcpStream::connect(address).unwrap());
    drop(clients.stdin.take());
    assert!(clients.wait().unwrap().success());
    eventually("no connection is left", || front.connections() == 0);
}

#[test]
#[ignore = "another test runs it in a process of its own"]
fn connections_of_another_process() {
    let Ok(address) = std::env::var("FORKPRESS_TEST_ADDRESS") else { return };
    let connections: Vec<_> = (0..given("FORKPRESS_TEST_CONNECTIONS", 1))
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"GET /?a HTTP/1.1\r\nHost: wp.localhost\r\n\r\n").unwrap();
            let mut said = Vec::new();
            while !said.ends_with(b"GET /?a 0\n") {
                let mut piece = [0; 1024];
                let length = stream.read(&mut piece).unwrap();
                assert!(length > 0);
                said.extend_from_slice(&piece[..length]);
            }
            stream
        })
        .collect();
    println!("all are idle");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    drop(connections);
}
