//! An application behind the server that is no PHP.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use forkpress_server::front::{Entrance, Front, Limits};
use forkpress_server::php::Php;
use forkpress_server::spool::Room;

use super::NO_HURRY;

/// Answers each request with its method, its target, and how long its body is; `/?large=N` with N times 64 KiB of letters, and
/// `/?at-once=N` with N of them in one go.
fn application(listener: &UnixListener) {
    for stream in listener.incoming() {
        let stream = stream.unwrap();
        thread::spawn(move || echo(stream));
    }
}

fn echo(mut stream: UnixStream) {
    let (mut params, mut body_bytes) = (Vec::new(), 0);
    loop {
        let mut header = [0; 8];
        if stream.read_exact(&mut header).is_err() {
            return;
        }
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let mut content = vec![0; length + usize::from(header[6])];
        if stream.read_exact(&mut content).is_err() {
            return;
        }
        match (header[1], length) {
            (4, _) => params.extend_from_slice(&content[..length]),
            (5, 0) => break,
            (5, _) => body_bytes += length,
            _ => {}
        }
    }
    let value = |name: &[u8]| {
        let mut left = &params[..];
        while !left.is_empty() {
            let (name_length, value_length) = (length_of(&mut left), length_of(&mut left));
            let (known, later) = left.split_at(name_length);
            let (value, later) = later.split_at(value_length);
            if known == name {
                return String::from_utf8_lossy(value).into_owned();
            }
            left = later;
        }
        String::new()
    };
    let uri = value(b"REQUEST_URI");
    if let Some(pieces) = uri.strip_prefix("/?large=").and_then(|pieces| pieces.parse::<u32>().ok()) {
        let _ = large(&mut stream, pieces);
        return;
    }
    if let Some(letters) = uri.strip_prefix("/?at-once=").and_then(|letters| letters.parse::<u16>().ok()) {
        let said = [b"Status: 200 OK\r\n\r\n", &vec![letter(0); letters.into()][..]].concat();
        let records = said.chunks(32 << 10).flat_map(|content| {
            let length = u16::try_from(content.len()).unwrap().to_be_bytes();
            [&[1, 6, 0, 1, length[0], length[1], 0, 0], content].concat()
        });
        let _ = stream.write_all(&records.chain([1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).collect::<Vec<_>>());
        return;
    }
    let said = format!("Status: 200 OK\r\n\r\n{} {uri} {body_bytes}\n", value(b"REQUEST_METHOD"));
    let length = u16::try_from(said.len()).unwrap().to_be_bytes();
    let answer =
        [&[1, 6, 0, 1, length[0], length[1], 0, 0], said.as_bytes(), &[1, 3, 0, 1, 0, 8, 0, 0], &[0; 8]].concat();
    let _ = stream.write_all(&answer);
}

/// The letter that all of a piece of a large answer has.
pub fn letter(piece: u32) -> u8 {
    b'A' + (piece % 26) as u8
}

fn large(stream: &mut UnixStream, pieces: u32) -> io::Result<()> {
    let mut said = |content: &[u8]| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        stream.write_all(&[&[1, 6, 0, 1, length[0], length[1], 0, 0], content].concat())
    };
    said(b"Status: 200 OK\r\n\r\n")?;
    for piece in 0..pieces {
        let half = [letter(piece); 32 << 10];
        said(&half)?;
        said(&half)?;
    }
    stream.write_all(&[1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
}

fn length_of(params: &mut &[u8]) -> usize {
    let bytes = if params[0] < 128 { 1 } else { 4 };
    let (length, later) = params.split_at(bytes);
    *params = later;
    length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) & 0x7fff_ffff
}

/// A server with that application behind a socket in `dir`, whose bodies and answers wait in `folder`.
pub fn served(dir: &Path, folder: &Path) -> (Front, SocketAddr) {
    let socket = dir.join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || application(&listener));
    let room = Room { memory_bytes: 4 << 10, folder: folder.to_owned() };
    let php = Arc::new(Php::new(socket, 4, "/script.php".into(), room.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let entrance = Entrance {
        pages: Arc::clone(&php),
        repository: php,
        files: None,
        root_host: "wp.localhost".to_owned(),
        room,
        limits: Limits { body_bytes: 1 << 40, head_bytes: 60_000, pause: NO_HURRY },
        tls: None,
        page: None,
        knows_owner: true,
        log: None,
    };
    (Front::start(vec![(listener, entrance)], 2).unwrap(), address)
}
