//! Asks a server for a page.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use forkpress_core::deadline::Deadline;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long one look at an answer on its way may take.
const LOOK: Duration = Duration::from_millis(10);

/// The most that is read of an answer.
const MOST_BYTES: u64 = 16 << 20;

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageAnswer {
    /// The HTTP status.
    Status(u16),
    /// Nothing, or nothing that is HTTP.
    None,
}

/// Where to connect to for a server that listens at `host`.
pub fn target(host: IpAddr, port: u16) -> SocketAddr {
    let host = match host {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(host, port)
}

/// How long a site may take to say under which name it is served.
const ROOT_HOST_TIMEOUT: Duration = Duration::from_secs(5);

/// The header in which the answers of a site's repository name the host of `main`.
const ROOT_HOST: &str = "x-forkpress-root-host:";

/// The host name of `main`, as the site says that answers at `host`, an IPv6 address in brackets; nothing where none says so.
pub fn root_host_of(host: &str, port: u16) -> Option<String> {
    // Not every resolver knows that this is everybody's own machine (RFC 6761).
    let name = if host.ends_with(".localhost") { "localhost" } else { host };
    let authority = format!("{name}:{port}");
    let deadline = Deadline::after(ROOT_HOST_TIMEOUT);
    authority.to_socket_addrs().ok()?.find_map(|target| {
        let question = Question::ask(target, &format!("{host}:{port}"), "/site.git", "").ok()?;
        root_host_in(&question.whole(deadline, &|| true)?)
    })
}

/// The host name in an answer.
fn root_host_in(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let (head, _) = text.split_once("\r\n\r\n")?;
    let host = head.lines().find_map(|line| {
        let value = line.get(..ROOT_HOST.len()).filter(|name| name.eq_ignore_ascii_case(ROOT_HOST));
        value.map(|_| line[ROOT_HOST.len()..].trim())
    })?;
    // It is printed, and followed.
    let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    is_host.then(|| host.to_ascii_lowercase())
}

/// A request for a page, whose answer may take its time.
#[derive(Debug)]
pub struct Question {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Question {
    /// Asks for a path of `host`. Each further header ends its line.
    pub fn ask(target: SocketAddr, host: &str, path: &str, headers: &str) -> io::Result<Self> {
        Self::send(target, &format!("GET {path}"), host, headers, "")
    }

    /// Sends a body to the front page of `host`.
    pub fn post(target: SocketAddr, host: &str, headers: &str, body: &str) -> io::Result<Self> {
        let headers = format!("Content-Type: text/plain\r\nContent-Length: {}\r\n{headers}", body.len());
        Self::send(target, "POST /", host, &headers, body)
    }

    fn send(target: SocketAddr, asked: &str, host: &str, headers: &str, body: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&target, CONNECT_TIMEOUT)?;
        stream.set_read_timeout(Some(LOOK))?;
        // In one piece: PHP's server takes a request line that comes in several for malformed.
        let request = format!(
            "{asked} HTTP/1.0\r\nHost: {host}\r\nUser-Agent: forkpress\r\nConnection: close\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes())?;
        Ok(Self { stream, answer: Vec::new() })
    }

    /// What has come by now; nothing until the answer is whole: a page that is hung up on is a failed request of the site.
    pub fn look(&mut self) -> Option<PageAnswer> {
        let room = MOST_BYTES.saturating_sub(self.answer.len() as u64);
        match Read::by_ref(&mut self.stream).take(room).read_to_end(&mut self.answer) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => None,
            _ => Some(parse(&self.answer).map_or(PageAnswer::None, PageAnswer::Status)),
        }
    }

    /// Waits for the answer, as long as somebody `may` give it: its status and its body. Nothing where it does not come
    /// in time or is not HTTP.
    pub fn answer(self, deadline: Deadline, may: &dyn Fn() -> bool) -> Option<(u16, String)> {
        let answer = self.whole(deadline, may)?;
        let text = String::from_utf8_lossy(&answer);
        let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Some((parse(&answer)?, body.to_owned()))
    }

    /// Waits for the answer and gives all of it, as [`Self::answer`] does.
    fn whole(mut self, deadline: Deadline, may: &dyn Fn() -> bool) -> Option<Vec<u8>> {
        loop {
            match self.look() {
                Some(PageAnswer::Status(_)) => return Some(self.answer),
                Some(PageAnswer::None) => return None,
                None if deadline.has_passed() || !may() => return None,
                None => {}
            }
        }
    }
}

fn parse(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next()?.strip_prefix("HTTP/1.")?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn nobody_waits_for_an_answer_that_nobody_gives() {
        let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
        let question = Question::ask(deaf.local_addr().unwrap(), "x", "/", "").unwrap();
        assert_eq!(question.answer(Deadline::after(Duration::from_secs(600)), &|| false), None);
    }

    #[test]
    fn the_status_is_read() {
        assert_eq!(parse(b"HTTP/1.0 200 OK\r\nHost: x\r\n\r\n"), Some(200));
        assert_eq!(parse(b"HTTP/1.1 503 Service Unavailable\r\n"), Some(503));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"SSH-2.0-OpenSSH\r\n"), None);
    }

    #[test]
    fn a_root_host_is_read_where_it_is_one() {
        let of = |value: &str| {
            root_host_in(
                format!("HTTP/1.0 404 Not Found\r\nHost: x\r\nx-ForkPress-Root-Host: {value}\r\n\r\nx").as_bytes(),
            )
        };
        assert_eq!(of("wp.Localhost").as_deref(), Some("wp.localhost"));
        assert_eq!(of("wp.localhost\x1b[2J"), None);
        assert_eq!(of(""), None);
        assert_eq!(root_host_in(b"HTTP/1.0 200 OK\r\n\r\nX-ForkPress-Root-Host: x"), None);
    }

    #[test]
    fn a_server_at_every_address_is_asked_at_the_loopback_address() {
        assert_eq!(target("0.0.0.0".parse().unwrap(), 80), "127.0.0.1:80".parse().unwrap());
        assert_eq!(target("::".parse().unwrap(), 80), "[::1]:80".parse().unwrap());
        assert_eq!(target("192.0.2.7".parse().unwrap(), 80), "192.0.2.7:80".parse().unwrap());
    }
}
