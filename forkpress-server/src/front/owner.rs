//! Whether the person who runs the server makes a request.

use forkpress_core::client::{self, Client};
use hyper::http::request::Parts;

use crate::cgi::Connection;

/// Says why a request is not made by the person who runs the server; none where it is. It waits for the system.
///
/// `host` is the one that it names; `knows_owner`: whether this server knows that person without a password.
pub(super) fn stranger(
    knows_owner: bool,
    connection: &Connection,
    head: &Parts,
    host: &[u8],
    root_host: &str,
) -> Option<String> {
    if !knows_owner {
        return Some("this server asks everybody (FORKPRESS_AUTO_LOGIN=0)".to_owned());
    }
    let variable = |name: &str| format!("HTTP_{}", name.to_ascii_uppercase().replace('-', "_"));
    let names: Vec<String> = head.headers.keys().map(|name| variable(name.as_str())).collect();
    let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    let address = connection.client.ip().to_string();
    let [port, server_port] = [connection.client.port(), connection.server.port()].map(|port| port.to_string());
    let inode = connection.inode.to_string();
    let client = Client {
        address: address.as_bytes(),
        port: port.as_bytes(),
        server_port: server_port.as_bytes(),
        host,
        root_host,
        variables: &names,
        connection: inode.as_bytes(),
    };
    client::stranger(&client).map(|stranger| stranger.to_string())
}
