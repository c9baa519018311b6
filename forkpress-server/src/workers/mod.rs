//! Processes of PHP's that are a server of their own each, where there is no php-fpm: php-cgi, or PHP's built-in server.
//!
//! Each has one connection at a time, from here. A process that dies is replaced. One whose request takes too long is
//! killed. One whose client has hung up has no other request before it is done with that. All end with this process:
//! whoever says how they are started sees to that.
//!
//! php-cgi listens at a socket in a folder that only the user can enter. The built-in server can only listen at a port,
//! of `127.0.0.1`, which other accounts and the site's own code reach as well. So who connects to it is told over its
//! standard input, for each connection, and the extension answers no other (`ext-branchfs/src/front.rs`).

mod http;
mod process;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use hyper::http::request::Parts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

pub(crate) use http::Exchange as HttpExchange;
use process::Process;

use crate::fastcgi::{Exchange as FastCgiExchange, FastCgiError, Output};
use crate::spool::SpoolReader;

/// How often it looks whether a process that was started listens.
const LOOK: Duration = Duration::from_millis(5);

/// A process that dies sooner than that is not replaced at once.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);

/// What the processes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// php-cgi, which speaks FastCGI.
    Cgi,
    /// PHP's built-in server, which speaks HTTP.
    Builtin,
}

/// How processes are started, and how many.
pub struct Recipe {
    /// What they are.
    pub kind: Kind,
    /// The name of these, and how their sockets' names begin.
    pub name: &'static str,
    /// How many.
    pub workers: u16,
    /// For how long a request may run; none: for as long as it takes.
    pub longest: Option<Duration>,
    /// The folder of the sockets.
    pub folder: PathBuf,
    /// The script that answers all requests of the built-in server.
    pub script: PathBuf,
    /// A command that runs PHP with its settings and its environment, and ends with this process. It is called from threads that
    /// live as long as the process that it starts.
    pub command: Box<dyn Fn() -> io::Result<Command> + Send + Sync>,
}

impl std::fmt::Debug for Recipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recipe").field("kind", &self.kind).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Where a process listens.
#[derive(Clone, Debug)]
enum Endpoint {
    Socket(PathBuf),
    /// And the file that it reads a body from.
    Port(u16, PathBuf),
}

/// A process that listens.
#[derive(Clone, Debug)]
struct Worker {
    place: Endpoint,
    process: Arc<Process>,
}

#[derive(Debug, Default)]
struct State {
    /// Those that have nothing to do. Who was last busy is first asked: it has the most in its OPcache, which is its own.
    idle: Vec<Worker>,
    waiting: VecDeque<oneshot::Sender<Turn>>,
    /// All that run.
    running: Vec<Arc<Process>>,
    /// Whether one has ever listened.
    has_listened: bool,
    /// What became of one that never listened.
    problem: Option<String>,
}

#[derive(Debug)]
struct Pool {
    recipe: Recipe,
    state: Mutex<State>,
    is_ending: AtomicBool,
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    /// Has a worker do what waits, or wait itself.
    fn offer(self: &Arc<Self>, worker: Worker) {
        let mut turn = Turn::new(Arc::clone(self), worker);
        loop {
            let mut state = self.state();
            let Some(waiting) = state.waiting.pop_front() else {
                if let Some(worker) = turn.worker.take() {
                    state.idle.push(worker);
                }
                return;
            };
            drop(state);
            turn.begin();
            match waiting.send(turn) {
                Ok(()) => return,
                Err(back) => turn = back,
            }
        }
    }

    /// Keeps one process running.
    fn keep(self: &Arc<Self>, number: u16) {
        while !self.is_ending() {
            let began = std::time::Instant::now();
            let ended = self.run(number).map_or_else(|error| error.to_string(), |status| status.to_string());
            if self.is_ending() {
                return;
            }
            let mut state = self.state();
            if !state.has_listened {
                state.problem = Some(ended.clone());
            }
            drop(state);
            tracing::warn!(pool = self.recipe.name, "a process of PHP's ended: {ended}");
            if began.elapsed() < SHORTEST_LIFE {
                thread::park_timeout(SHORTEST_LIFE);
            }
        }
    }

    fn run(self: &Arc<Self>, number: u16) -> io::Result<std::process::ExitStatus> {
        let mut command = (self.recipe.command)()?;
        let socket = self.recipe.folder.join(format!("{}-{number}.sock", self.recipe.name));
        let body = socket.with_extension("body");
        match self.recipe.kind {
            Kind::Cgi => {
                // One that a killed process has left.
                match std::fs::remove_file(&socket) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                command.arg("-b").arg(&socket).stdin(Stdio::null());
                // It would end after some requests, and fork where it is told to.
                command.env("PHP_FCGI_MAX_REQUESTS", "0").env_remove("PHP_FCGI_CHILDREN");
            }
            Kind::Builtin => {
                command.args(["-q", "-S", "127.0.0.1:0"]).arg(&self.recipe.script).stdin(Stdio::piped());
                command.env("FORKPRESS_FRONT", &body).env_remove("PHP_CLI_SERVER_WORKERS");
            }
        }
        let process = {
            // So that nobody finds a process that is not in the list.
            let mut state = self.state();
            let process = Arc::new(Process::start(&mut command)?);
            state.running.push(Arc::clone(&process));
            process
        };
        if self.is_ending() {
            process.kill();
        }
        if let Some(place) = listening(&process, self.recipe.kind, &socket, &body) {
            self.state().has_listened = true;
            self.offer(Worker { place, process: Arc::clone(&process) });
        }
        let status = process.wait();
        let mut state = self.state();
        state.running.retain(|other| other.id() != process.id());
        state.idle.retain(|worker| worker.process.id() != process.id());
        status
    }
}

/// Waits until a process listens; none where it ends before.
fn listening(process: &Process, kind: Kind, socket: &Path, body: &Path) -> Option<Endpoint> {
    while !process.is_ending() {
        let place = match kind {
            Kind::Cgi => {
                std::os::unix::net::UnixStream::connect(socket).is_ok().then(|| Endpoint::Socket(socket.to_owned()))
            }
            Kind::Builtin => process.port().map(|port| Endpoint::Port(port, body.to_owned())),
        };
        if place.is_some() {
            return place;
        }
        thread::sleep(LOOK);
    }
    None
}

/// Processes that answer. Dropped, they are killed.
#[derive(Debug)]
pub struct Workers {
    pool: Arc<Pool>,
    threads: Vec<JoinHandle<()>>,
}

/// Those processes, for who asks them.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Pool>);

impl Handle {
    /// How many they are.
    #[must_use]
    pub fn number(&self) -> usize {
        self.0.recipe.workers.into()
    }
}

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    /// What the system says where it gives no threads.
    pub fn start(recipe: Recipe) -> io::Result<Self> {
        let workers = recipe.workers;
        let pool = Arc::new(Pool { recipe, state: Mutex::default(), is_ending: AtomicBool::new(false) });
        let mut all = Self { pool, threads: Vec::new() };
        for number in 0..workers {
            let pool = Arc::clone(&all.pool);
            let keeping = thread::Builder::new().name("worker".to_owned()).spawn(move || pool.keep(number))?;
            all.threads.push(keeping);
        }
        Ok(all)
    }

    /// For who asks them.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.pool))
    }

    /// The script that answers.
    #[must_use]
    pub fn script(&self) -> &Path {
        &self.pool.recipe.script
    }

    /// For how long a request may run.
    #[must_use]
    pub fn longest(&self) -> Option<Duration> {
        self.pool.recipe.longest
    }

    /// The ids of the processes, each of which leads a group.
    #[must_use]
    pub fn ids(&self) -> Vec<u32> {
        self.pool.state().running.iter().map(|process| process.id()).collect()
    }

    /// What became of a process, where none has ever listened.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let state = self.pool.state();
        if state.has_listened { None } else { state.problem.clone() }
    }

    /// Whether none has anything to do.
    #[must_use]
    pub fn are_idle(&self) -> bool {
        let state = self.pool.state();
        state.idle.len() >= state.running.len()
    }

    /// Kills them.
    pub fn kill(&mut self) {
        self.pool.is_ending.store(true, Ordering::Relaxed);
        for process in self.pool.state().running.clone() {
            process.kill();
        }
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Handle {
    /// A process that has nothing to do, once it is one's turn.
    pub(crate) async fn turn(&self) -> Turn {
        loop {
            let waiting = {
                let mut state = self.0.state();
                if let Some(worker) = state.idle.pop() {
                    drop(state);
                    let mut turn = Turn::new(Arc::clone(&self.0), worker);
                    turn.begin();
                    return turn;
                }
                let (give, waiting) = oneshot::channel();
                state.waiting.push_back(give);
                waiting
            };
            if let Ok(turn) = waiting.await {
                return turn;
            }
        }
    }
}

/// A process that is one's own until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    pool: Arc<Pool>,
    worker: Option<Worker>,
    /// When the request has run for too long.
    end: Option<Instant>,
    /// Whether it may be in the middle of a request.
    is_busy: bool,
}

/// What a process answers by.
#[derive(Debug)]
pub(crate) enum Exchange {
    FastCgi(FastCgiExchange),
    Http(HttpExchange),
}

impl Turn {
    fn new(pool: Arc<Pool>, worker: Worker) -> Self {
        Self { pool, worker: Some(worker), end: None, is_busy: false }
    }

    fn begin(&mut self) {
        self.end = self.pool.recipe.longest.map(|longest| Instant::now() + longest);
    }

    /// When it began. A request that was ended has run from then on.
    pub(crate) fn since(&self) -> Instant {
        let began = self.end.zip(self.pool.recipe.longest).and_then(|(end, longest)| end.checked_sub(longest));
        began.unwrap_or_else(Instant::now)
    }

    /// Makes a request. The body is taken once somebody listens.
    pub(crate) async fn ask(
        &mut self,
        request: &Parts,
        variables: &[(Bytes, Bytes)],
        body: &mut Option<SpoolReader>,
    ) -> Result<Exchange, FastCgiError> {
        let Some(worker) = &self.worker else { return Err(FastCgiError::CutShort) };
        self.is_busy = true;
        match &worker.place {
            Endpoint::Socket(socket) => FastCgiExchange::begin(socket, variables, body).await.map(Exchange::FastCgi),
            Endpoint::Port(port, file) => {
                let stream = HttpExchange::connect(*port, &worker.process).await?;
                if let Some(body) = body.take() {
                    http::keep(body, file).await?;
                }
                HttpExchange::begin(stream, &worker.process, request, variables).await.map(Exchange::Http)
            }
        }
    }

    /// The next part of the answer. Where it takes too long, the process is killed.
    pub(crate) async fn next(&mut self, exchange: &mut Exchange) -> Result<Option<Output>, FastCgiError> {
        let next = async {
            match exchange {
                Exchange::FastCgi(exchange) => exchange.next().await,
                Exchange::Http(exchange) => exchange.next().await,
            }
        };
        let next = match self.end {
            None => next.await,
            Some(end) => timeout_at(end, next).await.unwrap_or_else(|_| {
                if let Some(worker) = &self.worker {
                    tracing::warn!("a request takes too long: PHP's process {} is ended", worker.process.id());
                    worker.process.kill();
                }
                Err(FastCgiError::CutShort)
            }),
        };
        if matches!(next, Ok(None)) {
            self.is_busy = false;
        }
        next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(worker) = self.worker.take() else { return };
        if let Endpoint::Port(_, body) = &worker.place {
            // Where there is one, a process that reads it still has it open.
            let _ = std::fs::remove_file(body);
        }
        if worker.process.is_ending() || self.pool.is_ending() {
            return;
        }
        if !self.is_busy {
            self.pool.offer(worker);
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(given_back(Arc::clone(&self.pool), worker, self.end));
            }
            // Nobody waits for it any more.
            Err(_) => worker.process.kill(),
        }
    }
}

/// Gives back a process whose request was broken off, once it is done with that.
async fn given_back(pool: Arc<Pool>, worker: Worker, end: Option<Instant>) {
    let is_free = is_free(&worker);
    let is_free = match end {
        None => is_free.await,
        Some(end) => timeout_at(end, is_free).await.unwrap_or(false),
    };
    if is_free && !worker.process.is_ending() {
        pool.offer(worker);
    } else {
        worker.process.kill();
    }
}

/// Waits until a process takes the next connection: it is done with the one before. The connection says nothing, so the process
/// closes it.
async fn is_free(worker: &Worker) -> bool {
    async fn closed(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) -> io::Result<()> {
        stream.shutdown().await?;
        stream.read_to_end(&mut Vec::new()).await.map(|_| ())
    }
    let closed = match &worker.place {
        Endpoint::Socket(socket) => match UnixStream::connect(socket).await {
            Ok(stream) => closed(stream).await,
            Err(error) => Err(error),
        },
        Endpoint::Port(port, _) => match TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, *port)).await {
            Ok(stream) => closed(stream).await,
            Err(error) => Err(error),
        },
    };
    // What was told of a connection that was broken off is not to count for another.
    closed.is_ok() && (matches!(worker.place, Endpoint::Socket(_)) || worker.process.say(b"0\n").is_ok())
}
