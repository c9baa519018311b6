//! Asks a server for a front page.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use forkpress_core::deadline::Deadline;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long one look at an answer on its way may take.
const LOOK: Duration = Duration::from_millis(10);

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The HTTP status.
    Status(u16),
    /// Nothing, or nothing that is HTTP.
    None,
}

/// Where to connect to for a server that listens at `host`.
pub(super) fn target(host: IpAddr, port: u16) -> SocketAddr {
    let host = match host {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(host, port)
}

/// A request for a front page, whose answer may take its time.
#[derive(Debug)]
pub(super) struct Question {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Question {
    /// Asks for `/` of `host`. Each further header ends its line.
    pub(super) fn ask(target: SocketAddr, host: &str, headers: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&target, CONNECT_TIMEOUT)?;
        stream.set_read_timeout(Some(LOOK))?;
        // In one piece: PHP's server takes a request line that comes in several for malformed.
        let request =
            format!("GET / HTTP/1.0\r\nHost: {host}\r\nUser-Agent: forkpress\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes())?;
        Ok(Self { stream, answer: Vec::new() })
    }

    /// What has come by now; nothing until the answer is whole: a page that is hung up on is a failed request of the site.
    pub(super) fn look(&mut self) -> Option<Answer> {
        match self.stream.read_to_end(&mut self.answer) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => None,
            _ => Some(parse(&self.answer).map_or(Answer::None, Answer::Status)),
        }
    }

    /// Waits for the answer: its status and its body. Nothing where it does not come in time or is not HTTP.
    pub(super) fn answer(mut self, deadline: Deadline) -> Option<(u16, String)> {
        loop {
            match self.look() {
                Some(Answer::Status(status)) => {
                    let text = String::from_utf8_lossy(&self.answer);
                    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
                    return Some((status, body.to_owned()));
                }
                Some(Answer::None) => return None,
                None if deadline.has_passed() => return None,
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

    #[test]
    fn the_status_is_read() {
        assert_eq!(parse(b"HTTP/1.0 200 OK\r\nHost: x\r\n\r\n"), Some(200));
        assert_eq!(parse(b"HTTP/1.1 503 Service Unavailable\r\n"), Some(503));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"SSH-2.0-OpenSSH\r\n"), None);
    }

    #[test]
    fn a_server_at_every_address_is_asked_at_the_loopback_address() {
        assert_eq!(target("0.0.0.0".parse().unwrap(), 80), "127.0.0.1:80".parse().unwrap());
        assert_eq!(target("::".parse().unwrap(), 80), "[::1]:80".parse().unwrap());
        assert_eq!(target("192.0.2.7".parse().unwrap(), 80), "192.0.2.7:80".parse().unwrap());
    }
}
