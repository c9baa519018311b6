//! A person whose request waits for a lock is told for whom; nobody else is.

mod common;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{Site, eventually, rest, site};

const PAGE: &str = "<?php echo $_SERVER['REQUEST_METHOD'], ' answered';";

/// A process that holds the site's lock as a publish does. It ends when it is dropped.
struct Writer(Child);

impl Writer {
    fn start(dir: &Path) -> Self {
        let lock = dir.join(".forkpress/cow/operations.lock");
        let mut child = Command::new("flock")
            .args(["--exclusive", "--no-fork"])
            .arg(lock)
            .args(["sh", "-c", "echo held; read -r line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "held\n");
        Self(child)
    }

    /// Has it let the lock go.
    fn end(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn request(method: &str, path: &str, headers: &str) -> Vec<u8> {
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    format!("{method} {path} HTTP/1.1\r\nHost: wp.localhost\r\nConnection: close\r\n{length}{headers}\r\n").into_bytes()
}

const NAVIGATES: &str = "Sec-Fetch-Mode: navigate\r\nAccept: text/html,*/*\r\n";

fn waits(site: &Site, request: &[u8]) -> std::net::TcpStream {
    let mut stream = site.send(request);
    stream.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
    assert!(stream.read(&mut [0; 1]).is_err(), "no answer comes: {}", String::from_utf8_lossy(request));
    stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
    stream
}

#[test]
fn a_navigation_that_waits_says_for_whom_and_takes_no_process_of_phps() {
    let Some(site) = site(1, &[("index.php", PAGE), ("a.html", "file")]) else { return };
    assert!(site.said(&request("GET", "/", NAVIGATES)).ends_with("GET answered"));
    let writer = Writer::start(&site.dir);
    let pid = format!("process {}", writer.0.id());
    // More than there are processes.
    for path in ["/", "/a.html", "/", "/nothing.html"] {
        let said = site.said(&request("GET", path, NAVIGATES));
        assert!(said.starts_with("HTTP/1.1 503 ") && said.contains(&pid), "{said}");
        for header in
            ["retry-after: 1\r\n", "cache-control: no-store\r\n", "content-security-policy: default-src 'none';"]
        {
            assert!(said.contains(header), "{header} in {said}");
        }
    }
    let mut asked = waits(&site, &request("GET", "/", "Accept: */*\r\n"));
    let mut posted = waits(&site, &request("POST", "/", NAVIGATES));
    writer.end();
    assert!(rest(&mut asked).ends_with("GET answered"), "who is no person has waited");
    assert!(rest(&mut posted).ends_with("POST answered"));
    assert!(site.said(&request("GET", "/", NAVIGATES)).ends_with("GET answered"));
}

#[test]
fn a_page_that_is_merely_slow_is_never_broken_off() {
    let slow = "<?php touch( __DIR__ . '/runs' ); sleep( 2 ); echo 'slow, and whole';";
    let Some(site) = site(1, &[("index.php", slow)]) else { return };
    let mut answer = site.send(&request("GET", "/", NAVIGATES));
    eventually("it runs", || site.dir.join("main/runs").exists());
    assert!(rest(&mut answer).ends_with("slow, and whole"));
}
