//! Which branch a `Host` header names. Any host but the site's own is refused. So a hostile page that rebinds its name
//! to this server's address gets nothing.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::refusal::RouteRefusal;
use crate::name::BranchName;

/// The most bytes a DNS label may have (RFC 1035, section 2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// The branch that `host`, a host name with or without a port, names, and the port.
pub(super) fn parse<'a>(host: &'a [u8], root_host: &str) -> Result<(BranchName, Option<&'a str>), RouteRefusal> {
    let foreign = || RouteRefusal::new(421, "This server does not serve this host");
    let (name, port) = host_name(host).ok_or_else(foreign)?;
    let root = root_host.strip_suffix('.').unwrap_or(root_host).to_ascii_lowercase();
    if name == root || is_loopback(&name) {
        return Ok((BranchName::main(), port));
    }
    let label = name.strip_suffix(root.as_str()).and_then(|name| name.strip_suffix('.')).ok_or_else(foreign)?;
    if !is_label(label) {
        return Err(foreign());
    }
    BranchName::parse(label).map(|branch| (branch, port)).map_err(|_| branch_not_found(label))
}

/// The answer to a request for a branch that there is not.
pub(super) fn branch_not_found(name: &str) -> RouteRefusal {
    RouteRefusal::new(404, format!("Branch not found: {name}"))
}

/// The name or address literal in lower case, without a trailing dot, and the port.
fn host_name(host: &[u8]) -> Option<(String, Option<&str>)> {
    let host = std::str::from_utf8(host).ok()?;
    let port_at = match host.rfind(']') {
        Some(end) => host[end..].find(':').map(|at| end + at),
        None => host.find(':'),
    };
    let (name, port) = match port_at {
        Some(at) => {
            let port = &host[at + 1..];
            let valid = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
            valid.then_some((&host[..at], Some(port)))?
        }
        None => (host, None),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    (!name.is_empty()).then(|| (name.to_ascii_lowercase(), port))
}

fn is_loopback(name: &str) -> bool {
    if let Some(literal) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return literal.parse() == Ok(Ipv6Addr::LOCALHOST);
    }
    name == "localhost" || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn is_label(label: &str) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&label.len())
        && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(host: &[u8], root_host: &str) -> Result<BranchName, RouteRefusal> {
        parse(host, root_host).map(|(branch, _)| branch)
    }

    fn status(host: &[u8]) -> u16 {
        branch(host, "wp.localhost").unwrap_err().status
    }

    #[test]
    fn the_root_host_and_the_loopback_address_are_main() {
        let hosts = [
            "wp.localhost",
            "wp.localhost:18080",
            "WP.LocalHost",
            "wp.localhost.",
            "wp.localhost.:80",
            "localhost",
            "localhost:8080",
            "127.0.0.1",
            "127.0.0.1:8080",
            "127.255.3.4",
            "[::1]",
            "[::1]:8080",
            "[0:0:0:0:0:0:0:1]",
            "main.wp.localhost",
        ];
        for host in hosts {
            assert_eq!(branch(host.as_bytes(), "wp.localhost"), Ok(BranchName::main()), "{host}");
        }
        assert_eq!(branch(b"wp.localhost", "WP.localhost."), Ok(BranchName::main()));
    }

    #[test]
    fn one_label_below_the_root_host_is_a_branch() {
        for host in ["marketing.wp.localhost", "Marketing.WP.localhost.:18080"] {
            assert_eq!(branch(host.as_bytes(), "wp.localhost").unwrap().as_str(), "marketing", "{host}");
        }
        assert_eq!(branch(b"agent_1.localhost", "localhost").unwrap().as_str(), "agent_1");
    }

    #[test]
    fn the_port_is_what_follows_the_name() {
        for (host, port) in [
            ("wp.localhost", None),
            ("marketing.wp.localhost.:080", Some("080")),
            ("[::1]", None),
            ("[::1]:8080", Some("8080")),
        ] {
            assert_eq!(parse(host.as_bytes(), "wp.localhost").unwrap().1, port, "{host}");
        }
    }

    #[test]
    fn a_label_that_no_branch_can_have_is_not_found() {
        for label in ["www", "admin", "-a", "a-"] {
            let refusal = branch(format!("{label}.wp.localhost").as_bytes(), "wp.localhost").unwrap_err();
            assert_eq!(refusal, RouteRefusal::new(404, format!("Branch not found: {label}")));
        }
    }

    #[test]
    fn a_host_that_is_not_the_sites_is_misdirected() {
        let long_label = format!("{}.wp.localhost", "a".repeat(300));
        let label_of_64 = format!("{}.wp.localhost", "a".repeat(64));
        let hosts: [&[u8]; 43] = [
            b"",
            b".",
            b"..",
            b":80",
            b"evil.example",
            b"wp.localhost.evil.example",
            b"evilwp.localhost",
            b".wp.localhost",
            b"..wp.localhost",
            b"a.b.wp.localhost",
            b"a..wp.localhost",
            b"wp.localhost..",
            b"user@wp.localhost",
            b"user:password@wp.localhost",
            b"wp.localhost@evil.example",
            b"wp.localhost/",
            b"wp.localhost\\",
            b"wp.localhost#",
            b"wp.localhost?",
            b"wp.localhost, wp.localhost",
            b" wp.localhost",
            b"wp.localhost ",
            b"wp localhost",
            b"wp.localhost\0",
            b"a\0b.wp.localhost",
            b"wp.localhost\n",
            b"wp.localhost:",
            b"wp.localhost:80:80",
            b"wp.localhost:x",
            b"wp.localhost:+80",
            b"wp.localhost:65536",
            b"[::1",
            b"[::1]x",
            b"[::2]",
            b"[::ffff:127.0.0.1]",
            b"[fe80::1%25lo]",
            b"::1",
            b"128.0.0.1",
            b"127.1",
            b"0.0.0.0",
            b"2130706433",
            b"\xff.wp.localhost",
            b"%6dain.wp.localhost",
        ];
        for host in hosts.into_iter().chain([long_label.as_bytes(), label_of_64.as_bytes()]) {
            assert_eq!(status(host), 421, "{:?}", String::from_utf8_lossy(host));
        }
        assert_eq!(status("é.wp.localhost".as_bytes()), 421);
        assert_eq!(branch(b"", "").unwrap_err().status, 421);
    }
}
