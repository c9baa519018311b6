//! Gives PHP the question who makes a request.

use ext_php_rs::prelude::*;
use ext_php_rs::types::{ZendHashTable, Zval};
use forkpress_core::client::{self, Client};

use crate::{front, sapi};

/// Says why the client of a request is not the person who runs this server, in a sentence without its full stop; null
/// where it is.
///
/// `$server` is `$_SERVER`, as the server made it. The connection must be one that this process has accepted, or that the server
/// of ForkPress names in `FORKPRESS_CONNECTION`: behind another web server everybody is a stranger. It asks the system, so ask
/// only where it matters.
#[php_function]
pub fn branchfs_stranger(server: &ZendHashTable, root_host: &str) -> Option<String> {
    let text = |name: &str| match server.get(name) {
        Some(value) if value.is_long() => value.long().unwrap_or_default().to_string().into_bytes(),
        value => value.and_then(Zval::binary_slice).unwrap_or_default().to_vec(),
    };
    let (address, port, server_port, host) =
        (text("REMOTE_ADDR"), text("REMOTE_PORT"), text("SERVER_PORT"), text("HTTP_HOST"));
    let is_named = sapi::is_fastcgi() || front::is_before();
    let connection = if is_named { text("FORKPRESS_CONNECTION") } else { Vec::new() };
    let mut names = Vec::new();
    let mut entries = server.iter();
    // Not as an iterator, which panics at a name that is not UTF-8.
    while let Some((name, _)) = entries.next_zval() {
        names.push(name.binary_slice().unwrap_or_default().to_vec());
    }
    let variables: Vec<&[u8]> = names.iter().map(|name: &Vec<u8>| name.as_slice()).collect();
    let client = Client {
        address: &address,
        port: &port,
        server_port: &server_port,
        host: &host,
        root_host,
        variables: &variables,
        connection: &connection,
    };
    client::stranger(&client).map(|stranger| stranger.to_string())
}

/// Adds the function to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module.function(wrap_function!(branchfs_stranger))
}
