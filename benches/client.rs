//! Clients of an HTTP server, for the benchmarks that compare servers.
//!
//!     client load ADDRESS HOST PATH CLIENTS MILLISECONDS keep|close    asks over and over
//!     client idle ADDRESS HOST PATH CONNECTIONS                        asks once by each, and keeps them until its input ends
//!
//! `load` prints how many requests a second were answered, and the milliseconds of the median, of the 99th of a hundred and
//! of the slowest. A connection is one that is kept, or one for each request; then connecting counts.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["load", address, host, path, clients, milliseconds, connections] => {
            let asked = Asked::new(address, host, path, connections == "keep")?;
            load(&asked, clients.parse()?, Duration::from_millis(milliseconds.parse()?))
        }
        ["idle", address, host, path, connections] => {
            idle(&Asked::new(address, host, path, true)?, connections.parse()?)
        }
        _ => {
            Err("client load ADDRESS HOST PATH CLIENTS MILLISECONDS keep|close, or idle ADDRESS HOST PATH CONNECTIONS"
                .into())
        }
    }
}

/// What is asked for.
struct Asked {
    address: SocketAddr,
    request: String,
    keeps: bool,
}

impl Asked {
    fn new(address: &str, host: &str, path: &str, keeps: bool) -> Result<Self, Failure> {
        let connection = if keeps { "keep-alive" } else { "close" };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: {connection}\r\n\r\n");
        Ok(Self { address: address.parse()?, request, keeps })
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(BufReader::with_capacity(64 << 10, stream))
    }

    /// Asks once, and takes the whole answer.
    fn ask(&self, connection: &mut BufReader<TcpStream>) -> Result<(), Failure> {
        connection.get_mut().write_all(self.request.as_bytes())?;
        let mut line = String::new();
        connection.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200 ") && !line.starts_with("HTTP/1.0 200 ") {
            return Err(format!("the answer is: {line}").into());
        }
        let (mut length, mut has_chunks) = (None, false);
        loop {
            line.clear();
            connection.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Some(value.trim().parse()?),
                "transfer-encoding" => has_chunks = true,
                _ => {}
            }
        }
        match length {
            Some(length) => drain(connection, length),
            None if has_chunks => loop {
                line.clear();
                connection.read_line(&mut line)?;
                let length = u64::from_str_radix(line.trim_end(), 16)?;
                drain(connection, length + 2)?;
                if length == 0 {
                    return Ok(());
                }
            },
            None => io::copy(connection, &mut io::sink()).map(drop).map_err(Into::into),
        }
    }
}

fn drain(connection: &mut impl Read, length: u64) -> Result<(), Failure> {
    let got = io::copy(&mut connection.take(length), &mut io::sink())?;
    if got == length { Ok(()) } else { Err("the answer is cut short".into()) }
}

fn load(asked: &Asked, clients: usize, time: Duration) -> Result<(), Failure> {
    let began = Instant::now();
    let client = || -> Result<Vec<Duration>, Failure> {
        let mut times = Vec::new();
        let mut kept = None;
        // Each asks once at least.
        while times.is_empty() || began.elapsed() < time {
            let asking = Instant::now();
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => asked.connect()?,
            };
            asked.ask(&mut connection)?;
            times.push(asking.elapsed());
            kept = asked.keeps.then_some(connection);
        }
        Ok(times)
    };
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        let times: Result<Vec<_>, Failure> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        times.map(|times| times.concat())
    })?;
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    println!("{rate:.1} {:.3} {:.3} {:.3}", at(0.5), at(0.99), at(1.0));
    Ok(())
}

fn idle(asked: &Asked, number: usize) -> Result<(), Failure> {
    let mut kept = Vec::new();
    for _ in 0..number {
        let mut connection = asked.connect()?;
        asked.ask(&mut connection)?;
        kept.push(connection.into_inner());
    }
    println!("ready");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
