//! Ports: whether one is free, and otherwise who has it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use crate::failure::{During, Failure};
use crate::site;

/// Stands for a port that nobody has: the system chooses it.
pub(super) const ANY: u16 = 0;

/// Listens at a port, and says which one that is. One that somebody listens at is refused, and it is said who.
pub(super) fn listen(host: IpAddr, port: u16) -> Result<(TcpListener, u16), Failure> {
    let bound = TcpListener::bind((host, port));
    match bound.and_then(|listener| listener.local_addr().map(|address| (listener, address.port()))) {
        Ok(bound) => Ok(bound),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let by = holder(port).map(|holder| format!(" by {holder}")).unwrap_or_default();
            Err(Failure::new(format!("port {port} is in use{by}"))
                .hint(format!("choose another one: --port {}", next(port))))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Failure::from(error).during(format!("cannot listen at {}", SocketAddr::new(host, port))).hint(
                "a port below 1024 is root's, or a socket's from systemd (docs/serving.md); any other: --port 18080",
            ))
        }
        Err(error) => Err(Failure::from(error)
            .during(format!("cannot listen at {}", SocketAddr::new(host, port)))
            .hint("choose another address or port with --host and --port")),
    }
}

fn next(port: u16) -> u16 {
    port.checked_add(1).unwrap_or(18080)
}

/// Listens at a port of the loopback address that nobody knows yet.
pub(super) fn listen_on_loopback() -> Result<(TcpListener, SocketAddr), Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, ANY))
        .and_then(|listener| listener.local_addr().map(|address| (listener, address)))
        .during(|| "cannot find a free port".to_owned())
}

/// Who listens at a port, as far as can be told: another site's server, or a process of this user's.
fn holder(port: u16) -> Option<String> {
    let servers = site::registry().ok()?.list().ok()?.servers;
    if let Some(server) = servers.iter().find(|server| server.port == port) {
        return Some(format!("the server of {}", server.work_dir.parent().unwrap_or(&server.work_dir).display()));
    }
    imp::listener(port)
}

#[cfg(target_os = "linux")]
mod imp {
    use std::fs;

    use forkpress_core::process::command_line;
    use forkpress_core::tcp;

    pub(super) fn listener(port: u16) -> Option<String> {
        let listens = |socket: &tcp::TcpSocket| socket.is_listening && socket.local.port() == port;
        let sockets: Vec<_> = tcp::sockets("self").into_iter().filter(listens).map(|socket| socket.inode).collect();
        let pid = fs::read_dir("/proc")
            .ok()?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
            .find(|pid| {
                let open = tcp::open_in(pid);
                sockets.iter().any(|socket| open.contains(socket))
            })?;
        Some(match command_line(pid) {
            Some(line) => format!("process {pid} ({line})"),
            None => format!("process {pid}"),
        })
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::process::Command;

    pub(super) fn listener(port: u16) -> Option<String> {
        let output =
            Command::new("lsof").args(["-nP", &format!("-iTCP:{port}"), "-sTCP:LISTEN", "-Fpc"]).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let field = |letter: char| text.lines().find_map(|line| line.strip_prefix(letter));
        Some(format!("process {} ({})", field('p')?, field('c')?))
    }
}

#[cfg(test)]
mod tests {
    use super::imp;

    #[cfg(target_os = "linux")]
    #[test]
    fn who_listens_at_a_port_is_known() {
        let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(imp::listener(port).unwrap().starts_with(&format!("process {} (", std::process::id())));
        drop(listener);
        assert_eq!(imp::listener(port), None);
    }
}
