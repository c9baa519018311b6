//! The TCP sockets of this network namespace, as Linux lists them: `/proc/net/tcp` and `tcp6` (proc(5)).

use std::collections::HashSet;
use std::fmt::Display;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A socket that listens, or one end of a connection that is open, if only one way.
///
/// An IPv4 address that is written as one of IPv6 is one of IPv4 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpSocket {
    /// Its own address.
    pub local: SocketAddr,
    /// The other end's.
    pub remote: SocketAddr,
    /// Whether it listens.
    pub is_listening: bool,
    /// The account that it belongs to: root, where no program has it open any more.
    pub user: u32,
    /// Its inode: zero where no program has it open any more, or none has accepted it yet.
    pub inode: u64,
}

/// All that a process, by its id or `self`, can see. A line may be missed while others come and go.
#[must_use]
pub fn sockets(process: impl Display) -> Vec<TcpSocket> {
    let table = |name| fs::read_to_string(format!("/proc/{process}/net/{name}")).unwrap_or_default();
    ["tcp", "tcp6"].map(table).iter().flat_map(|table| parse(table)).collect()
}

/// The inodes of the sockets that a process, by its id or `self`, has open; none where it can't be looked at.
#[must_use]
pub fn open_in(process: impl Display) -> HashSet<u64> {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let inode = |target: &str| target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    descriptors.filter_map(|descriptor| inode(fs::read_link(descriptor.path()).ok()?.to_str()?)).collect()
}

/// Reads the text of a table.
pub fn parse(table: &str) -> impl Iterator<Item = TcpSocket> {
    table.lines().filter_map(socket)
}

fn socket(line: &str) -> Option<TcpSocket> {
    const LISTENING: &str = "0A";
    /// Open, or closed by one side for writing.
    const OPEN: [&str; 4] = ["01", "04", "05", "08"];
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let state = fields.get(3)?;
    let is_listening = *state == LISTENING;
    (is_listening || OPEN.contains(state)).then_some(())?;
    Some(TcpSocket {
        local: address(fields.get(1)?)?,
        remote: address(fields.get(2)?)?,
        is_listening,
        user: fields.get(7)?.parse().ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// An address is one or four words in hexadecimal, each in the machine's order of bytes.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    let address: IpAddr = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let bytes: Vec<u8> = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address.to_canonical(), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_line_is_a_socket_where_it_listens_or_is_open() {
        let word = |number: u32| format!("{:08X}", u32::from_ne_bytes(number.to_be_bytes()));
        let four = word(0x7f00_0001);
        let six = [0, 0, 0xffff, 0x7f00_0001].map(word).concat();
        let table = format!(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: {four}:46A0 00000000:0000 0A 0:0 00:0 0 1000 0 4711 1 0 100 0 0 10 0\n\
             1: {four}:46A0 {four}:C350 01 0:0 00:0 0 1001 0 4712 1 0 20 4 30 10 -1\n\
             2: {four}:46A0 {four}:C351 06 0:0 00:0 0 0 0 0 1\n\
             3: {six}:46A0 {six}:C352 08 0:0 00:0 0 1001 0 4713 1\n\
             4: {four}:46A0 00 01\n\
             5: 7F:46A0 {four}:C350 01 0:0 00:0 0 1001 0 4714 1\n"
        );
        let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let open =
            |port, inode| TcpSocket { local: at(18080), remote: at(port), is_listening: false, user: 1001, inode };
        let listens = TcpSocket {
            local: at(18080),
            remote: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            is_listening: true,
            user: 1000,
            inode: 4711,
        };
        assert_eq!(parse(&table).collect::<Vec<_>>(), [listens, open(50000, 4712), open(50002, 4713)]);
    }

    #[test]
    fn the_sockets_of_this_process_are_seen_and_known_for_its_own() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let of = |found: fn(&TcpSocket, SocketAddr) -> bool| {
            let all = sockets("self");
            let found = all.into_iter().find(|socket| found(socket, address)).unwrap();
            (found.is_listening, open_in(std::process::id()).contains(&found.inode))
        };
        assert_eq!(of(|socket, address| socket.local == address && socket.is_listening), (true, true));
        assert_eq!(of(|socket, address| socket.remote == address), (false, true));
        drop(client);
        assert!(open_in(u32::MAX).is_empty());
    }
}
