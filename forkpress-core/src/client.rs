//! Who makes a request: the person who runs the server, or somebody who has to sign in.
//!
//! [`stranger`] alone decides it: for the dashboard, for Git and for everything else that is allowed without a
//! password. The owner is a program of the server's own account on this machine:
//!
//! - It connects over the loopback address.
//! - The system says that its socket is that account's.
//! - Nobody forwards the request.
//! - Its host is the site's.
//!
//! A client is a stranger if any of that can't be determined.
//!
//! Root is a stranger, too, unless it runs the server. It could read every secret anyway. But programs of root forward
//! the connections of others, such as the port forwarders of containers and of virtual machines.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::route;

/// What there is to know of a request, as the server's variables have it.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// `REMOTE_ADDR`.
    pub address: &'a [u8],
    /// `REMOTE_PORT`.
    pub port: &'a [u8],
    /// `SERVER_PORT`.
    pub server_port: &'a [u8],
    /// `HTTP_HOST`.
    pub host: &'a [u8],
    /// The host name of the branch main.
    pub root_host: &'a str,
    /// The names of all variables. Those of headers begin with `HTTP_`.
    pub variables: &'a [&'a [u8]],
    /// The inode of the connection's socket, as the server says that accepted it in this process's place; empty: this process
    /// accepted it itself.
    pub connection: &'a [u8],
}

/// Why a client is not taken for the person who runs the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// It connects from another machine.
    Elsewhere,
    /// A proxy passes it on: it has this header.
    Forwarded(String),
    /// It asks for a host that is not the site's.
    Host,
    /// The site itself makes it.
    Site,
    /// Another account of this machine makes it.
    Account(u32),
    /// The system does not say whose connection it is.
    Unknown,
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elsewhere => f.write_str("the request comes from another machine"),
            Self::Forwarded(header) => write!(f, "a proxy passed the request on: it has the header {header}"),
            Self::Host => f.write_str("the request is for a host that is not this site's"),
            Self::Site => f.write_str("the site itself made the request"),
            Self::Account(user) => {
                write!(f, "the request comes from another account of this machine (user id {user})")
            }
            Self::Unknown => f.write_str("the system does not say which account the request comes from"),
        }
    }
}

/// Says why a request's client is not the person who runs the server; none where it is.
///
/// Asks the system for the connection. It must be one that this very process has accepted, or that a server of the same account
/// names, which nobody else can have talked to this process.
#[must_use]
pub fn stranger(client: &Client<'_>) -> Option<Stranger> {
    let account = |address, port| peer::account(address, port, named(client.connection));
    decide(client, rustix::process::geteuid().as_raw(), account)
}

/// The account of this machine that has the other end of a connection over the loopback address; none where the client is on
/// another machine, or the system does not say. `connection`: as in a [`Client`].
#[must_use]
pub fn account(client: SocketAddr, server_port: u16, connection: &[u8]) -> Option<u32> {
    client.ip().to_canonical().is_loopback().then(|| peer::account(client, server_port, named(connection)))?
}

/// Whether a process that this one has started, or one that such a process has started, has the other end of a connection: PHP that
/// answers a request is one, and so is whatever that runs. `server` is this end.
///
/// A process that outlives its parents counts only where this one inherits it (`PR_SET_CHILD_SUBREAPER`).
#[must_use]
pub fn is_of_descendant(client: SocketAddr, server: SocketAddr) -> bool {
    peer::is_of_descendant(client, server)
}

/// Decides, given this process's account, and what tells a client's by its address and the server's port.
fn decide(client: &Client<'_>, own: u32, account: impl FnOnce(SocketAddr, u16) -> Option<u32>) -> Option<Stranger> {
    let headers = || client.variables.iter().filter_map(|name| name.strip_prefix(b"HTTP_"));
    if headers().any(|name| name.starts_with(b"X_FORKPRESS_")) {
        return Some(Stranger::Site);
    }
    if let Some(header) = headers().find(|name| is_of_a_proxy(name)) {
        return Some(Stranger::Forwarded(String::from_utf8_lossy(header).replace('_', "-")));
    }
    if route::parse(client.host, b"/", client.root_host).is_err() {
        return Some(Stranger::Host);
    }
    let Some(address) = number::<IpAddr>(client.address) else { return Some(Stranger::Unknown) };
    if !address.to_canonical().is_loopback() {
        return Some(Stranger::Elsewhere);
    }
    let (Some(port), Some(server_port)) = (number(client.port), number(client.server_port)) else {
        return Some(Stranger::Unknown);
    };
    match account(SocketAddr::new(address, port), server_port) {
        Some(user) if user == own => None,
        Some(user) => Some(Stranger::Account(user)),
        None => Some(Stranger::Unknown),
    }
}

/// The socket that a server names; none where this process has it itself.
fn named(connection: &[u8]) -> Option<Option<u64>> {
    (!connection.is_empty()).then(|| number(connection))
}

fn number<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Words, between underscores, of the names of headers with which a proxy says for whom it asks, and no browser or Git anything.
const PROXY_WORDS: [&[u8]; 21] = [
    b"FORWARDED",
    b"FORWARDER",
    b"FORWARD",
    b"FORWARDS",
    b"VIA",
    b"PROXY",
    b"PROXIED",
    b"PROXYUSER",
    b"IP",
    b"IPADDRESS",
    b"CLIENTIP",
    b"REALIP",
    b"REMOTEIP",
    b"ADDR",
    b"ADDRESS",
    b"ORIGINAL",
    b"ORIGINATING",
    b"CLUSTER",
    b"CDN",
    b"ENVOY",
    b"GATEWAY",
];

/// How the names of such headers begin, of servers that have some of their own: each of them, whatever it says, was there.
const PROXY_PREFIXES: [&[u8]; 33] = [
    b"CF_",
    b"CLOUDFRONT_",
    b"FASTLY_",
    b"FLY_",
    b"AKAMAI_",
    b"X_AKAMAI_",
    b"INCAP_",
    b"X_SUCURI_",
    b"TAILSCALE_",
    b"NGROK_",
    b"X_NGROK_",
    b"X_AZURE_",
    b"X_ARR_",
    b"DISGUISED_",
    b"X_AMZ",
    b"X_VERCEL_",
    b"X_NF_",
    b"X_APPENGINE_",
    b"X_CLOUD_",
    b"X_HEROKU_",
    b"X_RAILWAY_",
    b"X_RENDER_",
    b"X_VARNISH",
    b"X_NGINX_",
    b"X_TRAEFIK_",
    b"X_SCHEME",
    b"X_URL_SCHEME",
    b"X_HOST",
    b"X_REWRITE_URL",
    b"X_SSL",
    b"FRONT_END_HTTPS",
    b"COMING_FROM",
    b"X_COMING_FROM",
];

/// Whether a header, named as CGI does without its `HTTP_`, is one that a proxy adds.
fn is_of_a_proxy(header: &[u8]) -> bool {
    PROXY_PREFIXES.iter().any(|prefix| header.starts_with(prefix))
        || header.split(|byte| *byte == b'_').any(|word| PROXY_WORDS.contains(&word))
        // One word of theirs: Client-IP as CLIENTIP, RemoteAddr, X-Forwardedfor.
        || header.split(|byte| *byte == b'_').any(|word| word.starts_with(b"FORWARDED") || word.ends_with(b"IP") && word.len() > 5)
}

/// Whose the other end of a connection is, on Linux: a connection of this network namespace is listed twice, once from each end.
#[cfg(target_os = "linux")]
mod peer {
    use std::collections::HashMap;
    use std::fs;
    use std::net::SocketAddr;

    use crate::process;
    use crate::tcp::{self, TcpSocket};

    /// How often the tables are read until they have the connection.
    const READS: u32 = 3;

    /// The account of the client at an address, of a connection that this process has at `server_port`, or where an inode is
    /// named, of the one with that.
    pub(super) fn account(client: SocketAddr, server_port: u16, named: Option<Option<u64>>) -> Option<u32> {
        let is_served = |inode| {
            let is_own = || tcp::open_in("self").contains(&inode);
            named.map_or_else(is_own, |named| named == Some(inode))
        };
        let user = (0..READS).find_map(|_| account_in(&tcp::sockets("self"), client, server_port, is_served))?;
        (!may_stand_for_others(user)).then_some(user)
    }

    pub(super) fn is_of_descendant(client: SocketAddr, server: SocketAddr) -> bool {
        let [client, server] = [client, server].map(|end| SocketAddr::new(end.ip().to_canonical(), end.port()));
        let is_other_end =
            |socket: &TcpSocket| !socket.is_listening && socket.local == client && socket.remote == server;
        let ends: Vec<u64> = tcp::sockets("self")
            .into_iter()
            .filter(is_other_end)
            .map(|end| end.inode)
            .filter(|inode| *inode != 0)
            .collect();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let parents: HashMap<u32, u32> = entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, process::parent(pid)?)))
            .collect();
        let own = std::process::id();
        let descends = |pid: u32| {
            let mut ancestors = std::iter::successors(parents.get(&pid), |parent| parents.get(parent));
            ancestors.by_ref().take(parents.len()).any(|ancestor| *ancestor == own)
        };
        parents.keys().any(|pid| descends(*pid) && !tcp::open_in(*pid).is_disjoint(&ends.iter().copied().collect()))
    }

    /// Whether the system may name this user in the place of one whom this user namespace does not know.
    fn may_stand_for_others(user: u32) -> bool {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let knows_all = read("/proc/self/uid_map").split_ascii_whitespace().eq(["0", "0", "4294967295"]);
        !knows_all && read("/proc/sys/kernel/overflowuid").trim().parse().ok().is_none_or(|other: u32| other == user)
    }

    /// Finds the account among the sockets.
    ///
    /// First the server's own end, which `is_own` knows by its socket: so a connection from the same address that came after
    /// this one is not mistaken for it. Then the client's, which a program must have open still: the system calls root the owner
    /// of one that nobody has.
    pub(super) fn account_in(
        sockets: &[TcpSocket],
        client: SocketAddr,
        server_port: u16,
        is_own: impl Fn(u64) -> bool,
    ) -> Option<u32> {
        let client = SocketAddr::new(client.ip().to_canonical(), client.port());
        let ends = || sockets.iter().filter(|socket| !socket.is_listening);
        let served = only(ends().filter(|end| {
            end.remote == client && end.local.port() == server_port && end.inode != 0 && is_own(end.inode)
        }))?;
        let other = only(ends().filter(|end| end.local == client && end.remote == served.local))?;
        (other.inode != 0).then_some(other.user)
    }

    fn only<'a>(mut ends: impl Iterator<Item = &'a TcpSocket>) -> Option<&'a TcpSocket> {
        ends.next().filter(|_| ends.next().is_none())
    }
}

#[cfg(not(target_os = "linux"))]
mod peer {
    /// Not asked for: everybody signs in.
    pub(super) fn account(
        _client: std::net::SocketAddr,
        _server_port: u16,
        _named: Option<Option<u64>>,
    ) -> Option<u32> {
        None
    }

    /// Not asked for: who has signed in is who acts.
    pub(super) fn is_of_descendant(_client: std::net::SocketAddr, _server: std::net::SocketAddr) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 1000;

    fn client<'a>(variables: &'a [&'a [u8]]) -> Client<'a> {
        Client {
            address: b"127.0.0.1",
            port: b"50000",
            server_port: b"18080",
            host: b"wp.localhost:18080",
            root_host: "wp.localhost",
            variables,
            connection: b"",
        }
    }

    fn decided(client: &Client<'_>) -> Option<Stranger> {
        decide(client, OWN, |_, _| Some(OWN))
    }

    #[test]
    fn the_owner_is_a_program_of_the_servers_account_on_this_machine() {
        let plain = client(&[b"HTTP_HOST", b"REMOTE_ADDR", b"SERVER_ADDR"]);
        assert_eq!(decided(&plain), None);
        for address in ["::1", "::ffff:127.0.0.1", "127.8.9.1"] {
            assert_eq!(decided(&Client { address: address.as_bytes(), ..plain }), None, "{address}");
        }
        for user in [0, 1001, 65534] {
            assert_eq!(decide(&plain, OWN, |_, _| Some(user)), Some(Stranger::Account(user)));
        }
        assert_eq!(decide(&plain, OWN, |_, _| None), Some(Stranger::Unknown));
        for address in ["192.0.2.1", "::2", "::ffff:192.0.2.1", "10.0.2.2", "0.0.0.0", "::"] {
            assert_eq!(decided(&Client { address: address.as_bytes(), ..plain }), Some(Stranger::Elsewhere));
        }
        for address in ["", "localhost", "127.1", "127.0.0.1 ", "unix:"] {
            assert_eq!(decided(&Client { address: address.as_bytes(), ..plain }), Some(Stranger::Unknown), "{address}");
        }
        assert_eq!(decided(&Client { port: b"", ..plain }), Some(Stranger::Unknown));
        assert_eq!(decided(&Client { host: b"evil.example", ..plain }), Some(Stranger::Host));
        assert_eq!(decided(&Client { host: b"", ..plain }), Some(Stranger::Host));
    }

    #[test]
    fn a_header_of_a_proxy_makes_a_stranger() {
        for header in [
            "Forwarded",
            "Via",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Forwarded-Proto",
            "X-Forwarded",
            "X-Forwarded-Anything",
            "Forwarded-For",
            "X-Forward-For",
            "X-Real-IP",
            "X-RealIP",
            "True-Client-IP",
            "Cf-Connecting-Ip",
            "CF-Ray",
            "CF-Visitor",
            "Cdn-Loop",
            "X-Client-IP",
            "Client-IP",
            "ClientIP",
            "X-Cluster-Client-IP",
            "Fastly-Client-IP",
            "Fly-Client-IP",
            "X-Original-For",
            "X-Original-URL",
            "X-Original-Host",
            "X-Originating-IP",
            "X-Envoy-External-Address",
            "X-ProxyUser-Ip",
            "Proxy-Connection",
            "X-Remote-IP",
            "X-Remote-Addr",
            "WL-Proxy-Client-IP",
            "X-Azure-ClientIP",
            "X-Appengine-User-Ip",
            "X-Amzn-Trace-Id",
            "X-Amz-Cf-Id",
            "Tailscale-User-Login",
            "X-Vercel-Forwarded-For",
            "X-NF-Client-Connection-IP",
            "Max-Forwards",
            "Front-End-Https",
            "X-Scheme",
            "Akamai-Origin-Hop",
            "X-ARR-SSL",
            "DISGUISED-HOST",
            "Incap-Client-Ip",
            "X-BlueCoat-Via",
            "Ali-CDN-Real-IP",
            "X-Coming-From",
        ] {
            let variable = format!("HTTP_{}", header.to_ascii_uppercase().replace('-', "_"));
            let shown = header.to_ascii_uppercase();
            assert_eq!(decided(&client(&[variable.as_bytes()])), Some(Stranger::Forwarded(shown)), "{header}");
        }
        assert_eq!(decided(&client(&[b"HTTP_X_FORKPRESS_LOOPBACK"])), Some(Stranger::Site));
    }

    #[test]
    fn what_browsers_and_git_send_is_of_no_proxy() {
        for header in [
            "Host",
            "User-Agent",
            "Accept",
            "Accept-Language",
            "Accept-Encoding",
            "Connection",
            "Cookie",
            "Referer",
            "Origin",
            "DNT",
            "TE",
            "Range",
            "Upgrade-Insecure-Requests",
            "Sec-Fetch-Site",
            "Sec-Fetch-Mode",
            "Sec-CH-UA-Platform",
            "Sec-GPC",
            "Priority",
            "Cache-Control",
            "Pragma",
            "If-None-Match",
            "If-Modified-Since",
            "Authorization",
            "Git-Protocol",
            "Content-Type",
            "Content-Encoding",
            "Expect",
            "X-Requested-With",
            "X-WP-Nonce",
            "X-HTTP-Method-Override",
            "Keep-Alive",
            "Purpose",
            "Save-Data",
            "Traceparent",
            "X-Script",
        ] {
            let variable = format!("HTTP_{}", header.to_ascii_uppercase().replace('-', "_"));
            assert_eq!(decided(&client(&[variable.as_bytes()])), None, "{header}");
        }
    }

    #[cfg(target_os = "linux")]
    mod linux {
        use super::super::peer::{account, account_in};
        use std::net::{SocketAddr, TcpListener, TcpStream};

        fn at(text: &str) -> SocketAddr {
            text.parse().unwrap()
        }

        fn word(number: u32) -> String {
            format!("{:08X}", u32::from_ne_bytes(number.to_be_bytes()))
        }

        fn line(local: u16, remote: u16, state: &str, user: u32, inode: u64) -> String {
            let here = word(0x7f00_0001);
            format!(" 1: {here}:{local:04X} {here}:{remote:04X} {state} 0:0 00:0 0 {user} 0 {inode} 1 0\n")
        }

        fn mapped(local: u16, remote: u16, state: &str, user: u32, inode: u64) -> String {
            let here = format!("{}{}{}{}", word(0), word(0), word(0xffff), word(0x7f00_0001));
            format!(" 1: {here}:{local:04X} {here}:{remote:04X} {state} 0:0 00:0 0 {user} 0 {inode} 1 0\n")
        }

        #[test]
        fn the_client_is_who_has_the_other_end_of_this_very_connection() {
            let served = line(18080, 50000, "01", 1000, 7);
            let find = |table: String| {
                let sockets: Vec<_> = crate::tcp::parse(&table).collect();
                account_in(&sockets, at("127.0.0.1:50000"), 18080, |inode| inode == 7)
            };
            assert_eq!(find(format!("{served}{}", line(50000, 18080, "01", 1234, 8))), Some(1234));
            assert_eq!(
                find(format!("{}{}", mapped(18080, 50000, "08", 0, 7), line(50000, 18080, "05", 1234, 8))),
                Some(1234)
            );
            for (why, table) in [
                ("it has closed its end", format!("{served}{}", line(50000, 18080, "05", 0, 0))),
                ("what is left of it waits", format!("{served}{}", line(50000, 18080, "06", 0, 0))),
                ("it waits, whatever it says", format!("{served}{}", line(50000, 18080, "06", 1000, 8))),
                ("its end is not listed", served.clone()),
                ("it is connected to another port", format!("{served}{}", line(50000, 18081, "01", 1000, 8))),
                ("two are listed", format!("{served}{0}{0}", line(50000, 18080, "01", 1000, 8))),
                (
                    "another process has this connection, or none yet: it came later, from the same port",
                    format!("{}{}", line(18080, 50000, "01", 1000, 9), line(50000, 18080, "01", 1000, 8)),
                ),
                ("the server's end is gone", line(50000, 18080, "01", 1000, 8)),
                (
                    "the server only listens",
                    format!("{}{}", line(18080, 0, "0A", 1000, 7), line(50000, 18080, "01", 1000, 8)),
                ),
            ] {
                assert_eq!(find(table), None, "{why}");
            }
        }

        #[test]
        fn a_real_connection_is_found_while_it_is_open_at_both_ends() {
            let own = rustix::process::geteuid().as_raw();
            for listen in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
                let Ok(listener) = TcpListener::bind(listen) else {
                    eprintln!("SKIPPED: this machine has no IPv6");
                    continue;
                };
                let port = listener.local_addr().unwrap().port();
                let target = if listen == "[::1]:0" { format!("[::1]:{port}") } else { format!("127.0.0.1:{port}") };
                let client = TcpStream::connect(target).unwrap();
                let local = client.local_addr().unwrap();
                assert_eq!(account(local, port, None), None, "nobody has accepted it yet");
                let (served, from) = listener.accept().unwrap();
                assert_eq!(account(from, port, None), Some(own), "{listen}");
                let inode = rustix::fs::fstat(&served).unwrap().st_ino;
                assert_eq!(account(from, port, Some(Some(inode))), Some(own), "{listen}: the server names it");
                for other in [Some(inode + 1), Some(0), None] {
                    assert_eq!(account(from, port, Some(other)), None, "{listen}: the server names another: {other:?}");
                }
                client.shutdown(std::net::Shutdown::Write).unwrap();
                assert_eq!(account(from, port, None), Some(own), "{listen}: it has sent all");
                drop(client);
                assert_eq!(account(from, port, None), None, "{listen}: it has gone");
                drop(served);
            }
        }
    }
}
