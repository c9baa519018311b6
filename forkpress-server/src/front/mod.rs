//! What clients connect to.

mod check;
mod framing;
mod http2;
mod metrics;
mod owner;
pub mod page;
mod request;
mod strict;
mod target;
mod thread;
mod turns;
mod unhurried;
mod waiting;

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use page::Page;
use strict::Strict;
use thread::ServingThread;
use unhurried::Unhurried;

use crate::cgi::Connection;
use crate::files::Files;
use crate::php::Php;
use crate::scheme::Scheme;
use crate::spool::Room;
use crate::tls::{HTTP2, Tls};
use crate::traffic::Traffic;

/// How long it rests where no connection can be accepted: too many files are open.
const REST: Duration = Duration::from_millis(20);

/// What the server takes of a client.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest body. Longer ones are answered 413.
    pub body_bytes: u64,
    /// The longest head, 8192 at least. Longer ones are answered 431. PHP takes no variable that is longer than a record of
    /// FastCGI.
    pub head_bytes: usize,
    /// How long a client may take for a head, send nothing of a body that it owes, take nothing of its answer, or ask for
    /// nothing.
    pub pause: Duration,
}

/// What answers at an address.
#[derive(Clone, Debug)]
pub struct Entrance {
    /// What answers pages, and all that nobody else does.
    pub pages: Arc<Php>,
    /// What answers for the site's Git repository.
    pub repository: Arc<Php>,
    /// Files that need no PHP; none: PHP sends them.
    pub files: Option<Arc<Files>>,
    /// The host name of the branch main.
    pub root_host: String,
    /// Where bodies wait.
    pub room: Room,
    /// What it takes of a client.
    pub limits: Limits,
    /// What it speaks TLS with, to clients that do; none: it does not.
    pub tls: Option<Tls>,
    /// What answers at the host of the branch page; none: there is no such page.
    pub page: Option<Arc<dyn Page>>,
    /// Whether the person who runs the server is known without a password.
    pub knows_owner: bool,
    /// Who knows of its requests; none: nobody does.
    pub log: Option<Arc<Traffic>>,
}

/// A running server. Dropped, it ends at once.
#[derive(Debug)]
pub struct Front {
    ending: watch::Sender<bool>,
    /// Each ends once it is dropped.
    threads: Arc<[ServingThread]>,
}

impl Front {
    /// Begins to serve at these addresses, in so many threads of its own, one at least.
    ///
    /// A connection stays in its thread, which has a runtime of its own: two threads that share one wake each other for nearly every
    /// request.
    ///
    /// # Errors
    /// What the system says where it gives no threads, or takes the sockets not for what they should be.
    pub fn start(entrances: Vec<(TcpListener, Entrance)>, threads: usize) -> io::Result<Self> {
        let (ending, end) = watch::channel(false);
        let (listeners, entrances): (Vec<_>, Vec<_>) = entrances.into_iter().unzip();
        let threads: Arc<[_]> =
            (0..threads.max(1)).map(|_| ServingThread::start(&entrances, &end)).collect::<io::Result<_>>()?;
        let front = Self { ending, threads };
        for (at, listener) in listeners.into_iter().enumerate() {
            listener.set_nonblocking(true)?;
            let accepting = &front.threads[0];
            let _guard = accepting.enter();
            let listener = tokio::net::TcpListener::from_std(listener)?;
            accepting.spawn(accept(listener, at, Arc::clone(&front.threads), end.clone()));
        }
        Ok(front)
    }

    /// Accepts no more, and ends each connection after the request that it is at.
    pub fn end(&self) {
        self.ending.send_replace(true);
    }

    /// How many connections there are.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.threads.iter().map(ServingThread::connections).sum()
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.threads.iter().for_each(ServingThread::end);
    }
}

/// Accepts the connections of an entrance. The thread that has the fewest gets the next one.
async fn accept(
    listener: tokio::net::TcpListener,
    entrance: usize,
    threads: Arc<[ServingThread]>,
    mut end: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ended(&mut end) => return,
        };
        // It leaves this runtime for another one, or the same.
        let Ok(stream) = accepted.and_then(|(stream, _)| stream.into_std()) else {
            sleep(REST).await;
            continue;
        };
        if let Some(thread) = threads.iter().min_by_key(|thread| thread.connections()) {
            thread.give(stream, entrance);
        }
    }
}

async fn ended(end: &mut watch::Receiver<bool>) {
    // It fails where nobody can say any more that the server ends: then it has.
    let _ = end.wait_for(|ends| *ends).await;
}

async fn serve(stream: std::net::TcpStream, entrance: Arc<Entrance>, mut end: watch::Receiver<bool>) {
    let Ok((stream, connection)) = connected(stream) else { return };
    let _connected = entrance.log.as_ref().map(|log| log.connected());
    let opened = tokio::select! {
        opened = timeout(entrance.limits.pause, open(stream, &entrance)) => opened,
        () = ended(&mut end) => return,
    };
    let served = match opened {
        Err(_) => return,
        Ok(Err(error)) => return tracing::debug!("a connection does not begin: {error}"),
        Ok(Ok(Opened::Plain(stream))) => http1(stream, entrance, connection, Scheme::Http, end).await,
        Ok(Ok(Opened::Tls(stream))) if stream.get_ref().1.alpn_protocol() == Some(HTTP2) => {
            http2::serve(stream, entrance, connection, end).await
        }
        Ok(Ok(Opened::Tls(stream))) => http1(stream, entrance, connection, Scheme::Https, end).await,
    };
    if let Err(error) = served {
        tracing::debug!("a connection ended: {error}");
    }
}

/// A connection whose first bytes have said what it is.
enum Opened {
    Plain(Unhurried),
    Tls(Box<TlsStream<Unhurried>>),
}

/// Finds out whether a client speaks TLS, where the server does, and agrees with it on the keys.
async fn open(stream: TcpStream, entrance: &Entrance) -> io::Result<Opened> {
    /// What every connection of TLS begins with, and no request.
    const HANDSHAKE: [u8; 1] = [0x16];
    let mut first = [0];
    let tls = match &entrance.tls {
        Some(tls) if stream.peek(&mut first).await? == 1 && first == HANDSHAKE => Some(tls),
        _ => None,
    };
    let stream = Unhurried::new(stream, entrance.limits.pause);
    Ok(match tls {
        None => Opened::Plain(stream),
        Some(tls) => Opened::Tls(Box::new(TlsAcceptor::from(Arc::clone(&tls.config)).accept(stream).await?)),
    })
}

async fn http1(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    entrance: Arc<Entrance>,
    connection: Connection,
    scheme: Scheme,
    mut end: watch::Receiver<bool>,
) -> Result<(), hyper::Error> {
    let limits = entrance.limits;
    let service = service_fn(move |request| request::answer(Arc::clone(&entrance), connection, scheme, request));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.pause)
        .max_buf_size(limits.head_bytes)
        .serve_connection(TokioIo::new(Strict::new(stream)), service);
    tokio::pin!(serving);
    tokio::select! {
        served = serving.as_mut() => served,
        () = ended(&mut end) => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    }
}

/// A connection that was accepted, for the runtime of this thread.
fn connected(stream: std::net::TcpStream) -> io::Result<(TcpStream, Connection)> {
    stream.set_nodelay(true)?;
    let connection = Connection {
        client: stream.peer_addr()?,
        server: stream.local_addr()?,
        inode: rustix::fs::fstat(stream.as_fd())?.st_ino,
    };
    Ok((TcpStream::from_std(stream)?, connection))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::thread::yield_now;

    use super::*;

    #[test]
    fn connections_are_spread_over_the_threads_and_end_with_them() {
        let dir = std::env::temp_dir();
        let room = Room { memory_bytes: 1, folder: dir.clone() };
        let php = Arc::new(Php::new(dir.join("nobody"), 1, dir.join("script.php"), room.clone()));
        let entrance = Entrance {
            pages: Arc::clone(&php),
            repository: php,
            files: None,
            root_host: "wp.localhost".to_owned(),
            room,
            limits: Limits { body_bytes: 0, head_bytes: 8192, pause: Duration::from_secs(600) },
            tls: None,
            page: None,
            knows_owner: false,
            log: None,
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let front = Front::start(vec![(listener, entrance)], 3).unwrap();
        let mut clients: Vec<_> = (0..6).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        while front.connections() < clients.len() {
            yield_now();
        }
        let each: Vec<_> = front.threads.iter().map(ServingThread::connections).collect();
        assert_eq!(each, [2, 2, 2]);
        drop(front);
        for client in &mut clients {
            assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "it is closed");
        }
        assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens");
    }
}
