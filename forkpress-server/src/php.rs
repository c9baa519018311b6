//! Requests that PHP answers.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use crate::answer::AnswerBody;
use crate::cgi::{self, Connection, EndlessHead};
use crate::counted::Counted;
use crate::fastcgi::{Exchange, FastCgiError, Output};
use crate::spool::{Room, SpoolReader, SpoolWriter, spool};
use crate::traffic::{Cut, Seen, Stage};
use crate::workers::{self, Handle};

/// How long a request waits for a PHP that nobody listens for: one that died is being started again.
const REACH_TIMEOUT: Duration = Duration::from_secs(10);
const REACH_PAUSE: Duration = Duration::from_millis(20);

/// What PHP says on its standard error, in one line of the log at most.
const MOST_COMPLAINT_BYTES: usize = 2048;

/// Processes of PHP that answer requests with one script.
#[derive(Debug)]
pub struct Php {
    behind: Behind,
    script: PathBuf,
    room: Room,
    /// How many there are, and how many of them are at work.
    workers: usize,
    at_work: Arc<AtomicUsize>,
    /// After which time they are ended.
    longest: Option<Duration>,
}

/// What processes they are.
#[derive(Debug)]
enum Behind {
    /// php-fpm's, at one socket, which each of its requests keeps. A request waits for its turn here, and not at the socket.
    Fpm { socket: Mutex<Arc<PathBuf>>, free: Arc<Semaphore> },
    /// Servers of their own.
    Workers(Handle),
}

/// The requests that are at a socket which others do not go to any more.
#[derive(Debug)]
pub struct Leaving(Weak<PathBuf>);

impl Leaving {
    /// Whether all of them have ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.0.strong_count() == 0
    }
}

/// Why PHP gave no answer.
#[derive(Debug, Error)]
pub enum NoAnswer {
    /// It can't be reached, or broke off.
    #[error(transparent)]
    FastCgi(#[from] FastCgiError),
    /// It gave no head of an answer that can be used.
    #[error(transparent)]
    Head(#[from] EndlessHead),
    /// It ended without an answer.
    #[error("PHP gave no answer")]
    Empty,
    /// It was ended before its answer began.
    #[error("it ran for longer than {} s", .0.as_secs())]
    TooLong(Duration),
}

impl NoAnswer {
    /// The status that tells the client.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::FastCgi(FastCgiError::Connection(error)) if is_not_there(error) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLong(_) => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// What the client is told, without its full stop.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::TooLong(longest) => {
                let seconds = longest.as_secs();
                format!(
                    "This request ran for longer than {seconds} s and was ended: request_timeout under [serve] in site.toml"
                )
            }
            _ if self.status() == StatusCode::SERVICE_UNAVAILABLE => "PHP does not run".to_owned(),
            _ => "PHP ended before it answered, or its answer was none".to_owned(),
        }
    }
}

fn is_not_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// A request that PHP is answering.
#[derive(Debug)]
enum Answering {
    Fpm { exchange: Exchange, _turn: Option<OwnedSemaphorePermit>, _socket: Arc<PathBuf> },
    Worker(workers::Exchange, workers::Turn),
}

impl Answering {
    async fn next(&mut self) -> Result<Option<Output>, FastCgiError> {
        match self {
            Self::Fpm { exchange, .. } => exchange.next().await,
            Self::Worker(exchange, turn) => turn.next(exchange).await,
        }
    }
}

/// An answer of PHP's whose head has come.
struct Begun {
    exchange: Answering,
    head: cgi::Head,
    body: BytesMut,
}

impl Php {
    /// Those of php-fpm that listen at `socket`, so many, which answer with `script`. What waits for a client waits in `room`.
    #[must_use]
    pub fn new(socket: PathBuf, workers: usize, script: PathBuf, room: Room) -> Self {
        let behind = Behind::Fpm { socket: Mutex::new(Arc::new(socket)), free: Arc::new(Semaphore::new(workers)) };
        Self { behind, script, room, workers, at_work: Arc::default(), longest: None }
    }

    /// The same, of processes that are a server of their own each.
    #[must_use]
    pub fn of(workers: Handle, script: PathBuf, room: Room) -> Self {
        let number = workers.number();
        let behind = Behind::Workers(workers);
        Self { behind, script, room, workers: number, at_work: Arc::default(), longest: None }
    }

    /// How many there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// How many of them are at work.
    #[must_use]
    pub fn busy(&self) -> usize {
        self.at_work.load(Ordering::Relaxed)
    }

    /// Says that whoever runs them ends a request after so long. This does not.
    #[must_use]
    pub fn ended_after(self, longest: Option<Duration>) -> Self {
        Self { longest, ..self }
    }

    /// Has requests from now on answered at another socket of php-fpm's. Those that are at the former one end there.
    pub fn move_to(&self, socket: PathBuf) -> Leaving {
        match &self.behind {
            Behind::Fpm { socket: current, .. } => {
                let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
                let former = std::mem::replace(&mut *current, Arc::new(socket));
                Leaving(Arc::downgrade(&former))
            }
            Behind::Workers(_) => Leaving(Weak::new()),
        }
    }

    /// Has a request answered. The answer is taken from PHP as fast as it gives it, and is the client's as it comes.
    ///
    /// Dropped, it is broken off, as is the answer's body: PHP sees that the client has hung up when it writes.
    ///
    /// # Errors
    /// [`NoAnswer`] where there is no head.
    pub async fn answer(
        &self,
        request: &Parts,
        connection: &Connection,
        body: Option<(SpoolReader, u64)>,
    ) -> Result<Response<AnswerBody>, NoAnswer> {
        let body_bytes = body.as_ref().map(|(_, bytes)| *bytes);
        let variables = cgi::variables(request, connection, &self.script, body_bytes);
        let seen = request.extensions.get::<Arc<Seen>>().cloned();
        let is = |stage| seen.iter().for_each(|seen| seen.is(stage));
        is(Stage::Queued);
        let (exchange, since) = self.reached(request, &variables, body.map(|(body, _)| body)).await?;
        is(Stage::Php);
        let at_work = Counted::new(&self.at_work);
        let longest = self.longest;
        let why = move |error| longest.filter(|longest| since.elapsed() >= *longest).map_or(error, NoAnswer::TooLong);
        let Begun { mut exchange, head, mut body } = begun(exchange, seen.as_deref()).await.map_err(why)?;
        let mut answer = Response::new(AnswerBody::Empty);
        *answer.status_mut() = head.status;
        *answer.headers_mut() = head.headers;
        // Most of what is short has come whole. However fast the rest comes, there is no more memory for it.
        while body.len() <= self.room.memory_bytes {
            tokio::select! {
                biased;
                next = exchange.next() => match next.map_err(|error| why(error.into()))? {
                    Some(Output::Answer(bytes)) => body.extend_from_slice(&bytes),
                    Some(Output::Complaint(bytes)) => complain(seen.as_deref(), &bytes),
                    None => {
                        *answer.body_mut() = AnswerBody::whole(body.freeze());
                        return Ok(answer);
                    }
                },
                () = std::future::ready(()) => break,
            }
        }
        let (mut writer, reader) = spool(self.room.clone());
        *answer.body_mut() = AnswerBody::Spooled(reader);
        let asked = format!("{} {}", request.method, request.uri.path());
        tokio::spawn(async move {
            match pump(exchange, body.freeze(), &mut writer, seen.as_deref()).await {
                Ok(()) => {
                    let _ = writer.end();
                }
                Err(error) => {
                    let error = why(error.into());
                    tracing::warn!("the answer to {asked} is cut short: {error}");
                    let cut = if matches!(error, NoAnswer::TooLong(_)) { Cut::Time } else { Cut::Php };
                    seen.iter().for_each(|seen| seen.is_cut(cut));
                    drop(writer);
                }
            }
            drop(at_work);
        });
        Ok(answer)
    }

    /// Begins a request as soon as it is its turn and somebody listens, and says when that was.
    async fn reached(
        &self,
        request: &Parts,
        variables: &[(Bytes, Bytes)],
        mut body: Option<SpoolReader>,
    ) -> Result<(Answering, Instant), FastCgiError> {
        let mut permit = match &self.behind {
            // It is never closed.
            Behind::Fpm { free, .. } => Arc::clone(free).acquire_owned().await.ok(),
            Behind::Workers(_) => None,
        };
        let deadline = Instant::now() + REACH_TIMEOUT;
        loop {
            let mut since = Instant::now();
            let begun = match &self.behind {
                Behind::Fpm { socket, .. } => {
                    let socket = Arc::clone(&socket.lock().unwrap_or_else(PoisonError::into_inner));
                    let begun = Exchange::begin(&socket, variables, &mut body).await;
                    begun.map(|exchange| Answering::Fpm { exchange, _turn: permit.take(), _socket: socket })
                }
                Behind::Workers(handle) => {
                    let mut turn = handle.turn().await;
                    since = turn.since();
                    let asked = turn.ask(request, variables, &mut body).await;
                    asked.map(|exchange| Answering::Worker(exchange, turn))
                }
            };
            match begun {
                Err(FastCgiError::Connection(error)) if is_not_there(&error) && Instant::now() < deadline => {
                    sleep(REACH_PAUSE).await;
                }
                begun => return begun.map(|answering| (answering, since)),
            }
        }
    }
}

async fn begun(mut exchange: Answering, seen: Option<&Seen>) -> Result<Begun, NoAnswer> {
    let mut answer = BytesMut::new();
    loop {
        match exchange.next().await? {
            None => return Err(NoAnswer::Empty),
            Some(Output::Complaint(bytes)) => complain(seen, &bytes),
            Some(Output::Answer(bytes)) => {
                answer.extend_from_slice(&bytes);
                if let Some(head) = cgi::take_head(&mut answer)? {
                    return Ok(Begun { exchange, head, body: answer });
                }
            }
        }
    }
}

/// Takes the rest of an answer, until its client has gone.
async fn pump(
    mut exchange: Answering,
    first: Bytes,
    writer: &mut SpoolWriter,
    seen: Option<&Seen>,
) -> Result<(), FastCgiError> {
    let mut bytes = first;
    loop {
        if !bytes.is_empty() && writer.write(&bytes).await.is_err() {
            // The disk is full: from here on the client has to keep up.
            writer.drained().await;
            writer.write(&bytes).await?;
        }
        let next = tokio::select! {
            next = exchange.next() => next?,
            () = writer.unwanted() => return Ok(()),
        };
        bytes = match next {
            Some(Output::Answer(bytes)) => bytes,
            Some(Output::Complaint(bytes)) => {
                complain(seen, &bytes);
                Bytes::new()
            }
            None => {
                seen.iter().for_each(|seen| seen.done());
                return Ok(());
            }
        };
    }
}

fn complain(seen: Option<&Seen>, bytes: &[u8]) {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_COMPLAINT_BYTES)]);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if !seen.is_some_and(|seen| seen.hears(line)) {
            tracing::warn!("PHP says: {}", line.trim().escape_debug());
        }
    }
}
