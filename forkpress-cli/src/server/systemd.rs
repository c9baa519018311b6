//! What a service manager gives to a server, and is told by it: sockets that listen already, and how far the server has come.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use sd_notify::NotifyState;

use crate::failure::{During, Failure};

/// Variables that are for this process, and for nothing that it starts: php-fpm would take them for its own.
pub(super) const VARIABLES: [&str; 6] =
    ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// Sockets that were passed to this process.
pub(super) struct Passed {
    pub(super) listeners: Vec<TcpListener>,
    /// The address of the one that others can reach, if one is, and of any otherwise.
    pub(super) address: SocketAddr,
}

/// The sockets that were passed to this process; none where none were.
pub(super) fn passed() -> Result<Option<Passed>, Failure> {
    const HINT: &str = "ListenStream=127.0.0.1:80 in the socket's unit; docs/serving.md has one";
    let mut descriptors = ListenFd::from_env();
    let taken = (0..descriptors.len()).map(|at| descriptors.take_tcp_listener(at)).collect::<io::Result<Vec<_>>>();
    let taken =
        taken.during(|| "cannot use a socket that was passed".to_owned()).map_err(|failure| failure.hint(HINT))?;
    let listeners: Vec<_> = taken.into_iter().flatten().collect();
    let listening = |listener: &TcpListener| Ok((socket_acceptconn(listener)?, listener.local_addr()?));
    let found = listeners.iter().map(listening).collect::<io::Result<Vec<_>>>();
    let found = found.during(|| "cannot use a socket that was passed".to_owned())?;
    if found.iter().any(|(listens, _)| !listens) {
        return Err(Failure::new("a socket that was passed does not listen").hint(HINT));
    }
    let addresses: Vec<_> = found.into_iter().map(|(_, address)| address).collect();
    let address = common(&addresses).map_err(|problem| Failure::new(problem).hint(HINT))?;
    Ok(address.map(|address| Passed { listeners, address }))
}

/// The address by which a site at all of these is known.
fn common(addresses: &[SocketAddr]) -> Result<Option<SocketAddr>, String> {
    let known = addresses.iter().max_by_key(|address| !address.ip().is_loopback());
    match addresses.iter().find(|address| Some(address.port()) != known.map(SocketAddr::port)) {
        Some(_) => Err(format!("a site has one port, and the sockets that were passed have several: {addresses:?}")),
        None => Ok(known.copied()),
    }
}

/// Says that the site is served.
pub(super) fn ready(url: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("serving {url}"))]);
}

/// Says that the server ends.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("letting requests end")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager can not be told: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_one_port_are_known_by_the_address_that_others_reach() {
        let common = |addresses: &[&str]| common(&addresses.iter().map(|a| a.parse().unwrap()).collect::<Vec<_>>());
        assert_eq!(common(&[]), Ok(None));
        assert_eq!(common(&["127.0.0.1:80"]).unwrap().unwrap().to_string(), "127.0.0.1:80");
        assert_eq!(common(&["192.0.2.7:80", "[::1]:80"]).unwrap().unwrap().to_string(), "192.0.2.7:80");
        assert!(common(&["127.0.0.1:80", "[::1]:81"]).unwrap_err().contains("one port"));
    }
}
