//! What the server knows of its requests: which ones there are, how far they are, and how those went that have ended.

mod metrics;
mod watched;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use forkpress_core::name::BranchName;
use hyper::http::HeaderMap;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, header};

pub use hyper::Version;
pub use metrics::line;
pub use watched::Watched;

use crate::counted::Counted;

use metrics::Totals;

/// How a line begins in which PHP says how much a page asked of its database; and what php-fpm puts before it.
const QUERIES: &str = "forkpress-queries ";
const OF_FPM: &str = "PHP message: ";

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is read, or answered by the server itself.
    Here,
    /// It waits for a lock that a branch command has.
    Waiting,
    /// It waits for a process of PHP's.
    Queued,
    /// PHP has it.
    Php,
    /// The head of its answer is there.
    Sending,
}

impl Stage {
    /// All, in their order.
    pub const ALL: [Self; 5] = [Self::Here, Self::Waiting, Self::Queued, Self::Php, Self::Sending];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Here => "reading",
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Php => "serving",
            Self::Sending => "sending",
        }
    }
}

/// What a page asked of its database.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Queries {
    /// How often.
    pub number: u64,
    /// For how long altogether, where WordPress was told to measure that.
    pub took: Option<Duration>,
}

/// Why an answer ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It ran for too long.
    Time,
    /// PHP ended, or there was no room for what it gave.
    Php,
}

impl Cut {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Time => "request_timeout",
            Self::Php => "php",
        }
    }
}

/// What a request asked for, and how far it is.
#[derive(Debug)]
pub struct Seen {
    client: SocketAddr,
    method: Method,
    host: String,
    path: String,
    version: Version,
    referer: Option<String>,
    agent: Option<String>,
    branch: Option<BranchName>,
    began: Instant,
    at: SystemTime,
    stage: AtomicU8,
    /// How long it took until it was answered, in microseconds.
    took: AtomicU64,
    bytes: AtomicU64,
    queries: Mutex<Option<Queries>>,
    answer: Mutex<Option<(StatusCode, bool)>>,
    cut: Mutex<Option<Cut>>,
}

/// A request that is being answered.
#[derive(Clone, Debug)]
pub struct Running {
    /// The client.
    pub client: SocketAddr,
    /// The method.
    pub method: Method,
    /// The branch that its host names, whether or not there is one; none where it names none.
    pub branch: Option<BranchName>,
    /// What it asks for. Nothing of it is trusted.
    pub path: String,
    /// How far it is.
    pub stage: Stage,
    /// For how long.
    pub age: Duration,
}

/// What there is to say of a request that has ended. Nothing of what the client sent is trusted.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The client.
    pub client: SocketAddr,
    /// When it came.
    pub at: SystemTime,
    /// The method.
    pub method: Method,
    /// The host that it names.
    pub host: String,
    /// The branch of that, whether or not there is one; none where it names none.
    pub branch: Option<BranchName>,
    /// What it asks for there.
    pub path: String,
    /// The version of HTTP.
    pub version: Version,
    /// The page that it says it comes from.
    pub referer: Option<String>,
    /// What the client calls itself.
    pub agent: Option<String>,
    /// The status; none where the client hung up before there was one.
    pub status: Option<StatusCode>,
    /// How long it took until PHP, or the server, was done with it.
    pub took: Duration,
    /// How many bytes of the body the client took.
    pub bytes: u64,
    /// Why the answer was cut short; none where it was not, or has a status that says so.
    pub cut: Option<Cut>,
    /// What its page asked of the database, where it said so.
    pub queries: Option<Queries>,
}

/// The requests of a server.
pub struct Traffic {
    running: Mutex<BTreeMap<u64, Arc<Seen>>>,
    next: AtomicU64,
    connections: Arc<AtomicUsize>,
    totals: Mutex<Totals>,
    log: Option<SyncSender<Answered>>,
    /// Writes what else there is to measure.
    more: Box<dyn Fn(&mut String) + Send + Sync>,
}

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traffic").field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl Traffic {
    /// Of no request yet. `log` hears of each that has ended, `more` adds to the metrics.
    #[must_use]
    pub fn new(log: Option<SyncSender<Answered>>, more: impl Fn(&mut String) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            running: Mutex::default(),
            next: AtomicU64::new(0),
            connections: Arc::default(),
            totals: Mutex::default(),
            log,
            more: Box::new(more),
        })
    }

    /// The requests that are being answered, the oldest first.
    #[must_use]
    pub fn running(&self) -> Vec<Running> {
        lock(&self.running).values().map(|seen| seen.running()).collect()
    }

    /// All that is measured, as Prometheus reads it.
    #[must_use]
    pub fn metrics(&self) -> String {
        let stages: Vec<Stage> = lock(&self.running).values().map(|seen| seen.stage()).collect();
        let mut text = lock(&self.totals).text(&stages, self.connections.load(Ordering::Relaxed));
        (self.more)(&mut text);
        text
    }

    /// A request has come.
    pub(crate) fn begin(self: &Arc<Self>, client: SocketAddr, head: &Parts, branch: Option<BranchName>) -> Tracked {
        let seen = Arc::new(Seen::new(client, head, branch));
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.running).insert(id, Arc::clone(&seen));
        Tracked { traffic: Arc::clone(self), id, seen }
    }

    /// There is a connection, for as long as what this returns is there.
    pub(crate) fn connected(&self) -> Counted {
        Counted::new(&self.connections)
    }
}

/// A request, until it has ended: when this is dropped.
#[derive(Debug)]
pub(crate) struct Tracked {
    traffic: Arc<Traffic>,
    id: u64,
    pub(crate) seen: Arc<Seen>,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        lock(&self.traffic.running).remove(&self.id);
        let (answered, is_of_branch) = self.seen.answered();
        lock(&self.traffic.totals).add(&answered, is_of_branch);
        if let Some(log) = &self.traffic.log {
            // Nobody waits for a log: what it has no room for is not in it.
            let _ = log.try_send(answered);
        }
    }
}

impl Seen {
    fn new(client: SocketAddr, head: &Parts, branch: Option<BranchName>) -> Self {
        let value = |name| head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Self {
            client,
            method: head.method.clone(),
            host: value(header::HOST).unwrap_or_default(),
            path: head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string),
            version: head.version,
            referer: value(header::REFERER),
            agent: value(header::USER_AGENT),
            branch,
            began: Instant::now(),
            at: SystemTime::now(),
            stage: AtomicU8::new(Stage::Here as u8),
            took: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            queries: Mutex::default(),
            answer: Mutex::default(),
            cut: Mutex::default(),
        }
    }

    /// Says how far it is.
    pub(crate) fn is(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    fn stage(&self) -> Stage {
        Stage::ALL[usize::from(self.stage.load(Ordering::Relaxed))]
    }

    /// Says that there is a head of an answer.
    pub(crate) fn has_head(&self, status: StatusCode, headers: &HeaderMap) {
        self.is(Stage::Sending);
        self.done();
        // Whoever names another branch, or one that there is not, is counted under none.
        let named = headers.get("x-forkpress-branch").map(|name| name.as_bytes());
        let is_of_branch = self.branch.as_ref().is_some_and(|branch| named == Some(branch.as_str().as_bytes()));
        *lock(&self.answer) = Some((status, is_of_branch));
    }

    /// Says that whoever answers has done so by now.
    pub(crate) fn done(&self) {
        let took = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.took.store(took, Ordering::Relaxed);
    }

    /// Says that its answer ended before its end. Whoever sends it must not know yet: the request ends when they do.
    pub(crate) fn is_cut(&self, cut: Cut) {
        self.done();
        *lock(&self.cut) = Some(cut);
    }

    /// Takes what PHP says if it is about queries, and says whether it was.
    pub(crate) fn hears(&self, line: &str) -> bool {
        let line = line.trim();
        let Some(said) = line.strip_prefix(OF_FPM).unwrap_or(line).strip_prefix(QUERIES) else { return false };
        *lock(&self.queries) = queries(said);
        true
    }

    fn takes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn running(&self) -> Running {
        Running {
            client: self.client,
            method: self.method.clone(),
            branch: self.branch.clone(),
            path: self.path.clone(),
            stage: self.stage(),
            age: self.began.elapsed(),
        }
    }

    fn answered(&self) -> (Answered, bool) {
        let answer = *lock(&self.answer);
        if answer.is_none() {
            self.done();
        }
        let answered = Answered {
            client: self.client,
            at: self.at,
            method: self.method.clone(),
            host: self.host.clone(),
            branch: self.branch.clone(),
            path: self.path.clone(),
            version: self.version,
            referer: self.referer.clone(),
            agent: self.agent.clone(),
            status: answer.map(|(status, _)| status),
            took: Duration::from_micros(self.took.load(Ordering::Relaxed)),
            bytes: self.bytes.load(Ordering::Relaxed),
            cut: *lock(&self.cut),
            queries: *lock(&self.queries),
        };
        (answered, answer.is_some_and(|(_, is_of_branch)| is_of_branch))
    }
}

/// `NUMBER` or `NUMBER SECONDS`.
fn queries(said: &str) -> Option<Queries> {
    let mut words = said.split(' ');
    let number = words.next()?.parse().ok()?;
    let took = words.next().and_then(|seconds| Duration::try_from_secs_f64(seconds.parse().ok()?).ok());
    Some(Queries { number, took })
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;
    use std::sync::mpsc::sync_channel;

    fn head() -> Parts {
        let request = Request::builder().method("GET").uri("/a?b=c").header("Host", "x.wp.localhost:1");
        request.header("User-Agent", "me").body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_request_is_there_until_its_answer_is_and_then_it_is_told() {
        let (log, told) = sync_channel(1);
        let traffic = Traffic::new(Some(log), |text| text.push_str("more 1\n"));
        let tracked = traffic.begin("127.0.0.1:5".parse().unwrap(), &head(), Some("x".parse().unwrap()));
        tracked.seen.is(Stage::Queued);
        let running = traffic.running();
        assert_eq!((running[0].stage, running[0].path.as_str()), (Stage::Queued, "/a?b=c"));
        assert!(
            tracked.seen.hears("PHP message: forkpress-queries 45 0.25\n") && !tracked.seen.hears("PHP Warning: x")
        );
        tracked.seen.has_head(StatusCode::OK, &HeaderMap::new());
        tracked.seen.takes(7);
        drop(tracked);
        assert!(traffic.running().is_empty());
        let told = told.recv().unwrap();
        assert_eq!((told.status, told.bytes, told.agent.as_deref()), (Some(StatusCode::OK), 7, Some("me")));
        assert_eq!(told.queries, Some(Queries { number: 45, took: Some(Duration::from_millis(250)) }));
        assert!(traffic.metrics().ends_with("more 1\n"));
    }

    #[test]
    fn what_php_says_of_queries_may_be_anything() {
        for (said, expected) in
            [("45", Some((45, None))), ("3 -1", Some((3, None))), ("3 inf", Some((3, None))), ("x", None), ("", None)]
        {
            assert_eq!(queries(said).map(|queries| (queries.number, queries.took)), expected, "{said}");
        }
    }
}
