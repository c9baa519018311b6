//! Files that are sent as they are, without PHP.
//!
//! The router in PHP would send the same: both ask `forkpress_core::route`. The order is the one of every request: decide what
//! is asked for, lock, look it up. The locks are not needed any more once the file is open: a publish never changes a file in place,
//! so the bytes stay right, and no client keeps a writer waiting. Requests that a thread finds there at once share one hold of
//! them: see `lease.rs`.

mod bodies;
mod compress;
mod contents;
mod lease;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use forkpress_core::deadline::Deadline;
use forkpress_core::layout::CowLayout;
use forkpress_core::lock::{Busy, Holder, KeptFiles, LockError, LoopbackToken, RequestLocks, holders};
use forkpress_core::name::BranchName;
use forkpress_core::route::{self, AcceptedCodings, Branches, Conditions, Decision, RequestTarget, RouteRefusal};
use hyper::header::{self, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::answer::{AnswerBody, refusal};

use contents::{Contents, Made, NotMade, OpenFile};
use lease::Lease;

/// How many requests wait for a branch at once, each in a thread.
const MOST_WAITING: usize = 64;

/// How often a file is looked up that is another one by the time it is open.
const ATTEMPTS: u32 = 3;

/// The files of a site's branches.
#[derive(Debug)]
pub struct Files {
    branches_dir: PathBuf,
    /// Whether that is its real path.
    is_real: bool,
    cow: CowLayout,
    lock_timeout: Duration,
    /// Open lock files: each request that runs has some of its own, since a lock belongs to an open file.
    kept: Arc<Mutex<Vec<KeptFiles>>>,
    /// The locks that requests of this thread share.
    lease: Mutex<Option<Lease>>,
    /// A turn for each request that may wait for a branch at once, before it is known what answers it.
    waiting: Arc<Semaphore>,
    contents: Arc<Contents>,
}

impl Files {
    /// Those of the branches in a folder. A request waits so long for its locks.
    #[must_use]
    pub fn new(branches_dir: &Path, cow: &CowLayout, root_host: &str, lock_timeout: Duration) -> Self {
        let real = branches_dir.canonicalize();
        Self {
            is_real: real.is_ok(),
            branches_dir: real.unwrap_or_else(|_| branches_dir.to_owned()),
            cow: cow.clone(),
            lock_timeout,
            kept: Arc::default(),
            lease: Mutex::default(),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            contents: Arc::new(Contents::new(cow, root_host)),
        }
    }

    /// The same files, for the requests of one more thread.
    pub(crate) fn of_thread(&self) -> Self {
        Self {
            branches_dir: self.branches_dir.clone(),
            is_real: self.is_real,
            cow: self.cow.clone(),
            lock_timeout: self.lock_timeout,
            kept: Arc::clone(&self.kept),
            lease: Mutex::default(),
            waiting: Arc::clone(&self.waiting),
            contents: Arc::clone(&self.contents),
        }
    }

    fn end(&self, lease: Option<Lease>) {
        if let Some(lease) = lease {
            self.keep(lease.end());
        }
    }

    /// The answer to a request; none where PHP has to give it.
    ///
    /// What need not wait for a lock, and of which nothing has to be made, is done at once: it takes less time than to
    /// have another thread do it.
    pub async fn answer(self: &Arc<Self>, target: RequestTarget, request: &Arc<Parts>) -> Option<Response<AnswerBody>> {
        match self.decide_at_once(&target, request) {
            Ok(Found::Php) => return None,
            Ok(Found::Answer(answer)) => return Some(answer),
            Ok(Found::Changed | Found::Later) | Err(_) => {}
        }
        let (files, request) = (Arc::clone(self), Arc::clone(request));
        let answered = spawn_blocking(move || files.look(&target, &request)).await;
        answered.unwrap_or_else(|_| Some(refusal(StatusCode::INTERNAL_SERVER_ERROR, "This site can not be served")))
    }

    /// Waits until a branch is free, and says who keeps it busy if that takes longer; and for whom that one waits itself.
    pub async fn busy(self: &Arc<Self>, branch: &BranchName, patience: Duration) -> Option<(Busy, Vec<Holder>)> {
        let (files, branch) = (Arc::clone(self), branch.clone());
        let began = Instant::now();
        // Each that waits takes a thread, which files need as well. Who gets none looks once.
        let turn = timeout(patience, self.waiting.acquire()).await;
        let patience = patience.saturating_sub(began.elapsed());
        let found = spawn_blocking(move || files.wait(&branch, patience)).await;
        drop(turn);
        found.ok().flatten()
    }

    fn wait(&self, branch: &BranchName, patience: Duration) -> Option<(Busy, Vec<Holder>)> {
        // What else is wrong with the locks, the request finds out.
        let mut kept = self.take_kept().ok()?;
        let locked = RequestLocks::lock(&mut kept, Some(branch), Deadline::after(patience), None);
        let busy = match locked {
            Err(LockError::Timeout(busy)) => Some(busy),
            Ok(_) | Err(_) => None,
        };
        self.keep(kept);
        let busy = busy?;
        // Who keeps a gate closed waits for those that have the lock behind it.
        let mut before_it = match busy.path.extension().is_some_and(|kind| kind == "gate") {
            true => holders(&self.cow, &busy.path.with_extension("lock")),
            false => Vec::new(),
        };
        before_it.retain(|holder| busy.holders.iter().all(|other| other.pid != holder.pid));
        Some((busy, before_it))
    }

    fn take_kept(&self) -> Result<KeptFiles, LockError> {
        // The files are opened without the others' waiting.
        let kept = lock(&self.kept).pop();
        kept.map_or_else(|| KeptFiles::open(&self.cow), Ok)
    }

    fn keep(&self, kept: KeptFiles) {
        lock(&self.kept).push(kept);
    }

    fn look(&self, target: &RequestTarget, request: &Parts) -> Option<Response<AnswerBody>> {
        for _ in 0..ATTEMPTS {
            match self.decide(target, request) {
                Ok(Found::Php) => return None,
                Ok(Found::Answer(answer)) => return Some(answer),
                Ok(Found::Changed | Found::Later) => {}
                Err(error) => return Some(locked_out(&error)),
            }
        }
        let mut answer =
            refusal(StatusCode::SERVICE_UNAVAILABLE, "This file is being written, or the server can not read it");
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        Some(answer)
    }

    fn decide(&self, target: &RequestTarget, request: &Parts) -> Result<Found, LockError> {
        let mut kept = self.take_kept()?;
        let found = self.locked(&mut kept, target, request);
        self.keep(kept);
        Ok(self.ready(found?, target, request, true))
    }

    /// The same, where nothing has to wait and nothing has to be made.
    fn decide_at_once(self: &Arc<Self>, target: &RequestTarget, request: &Parts) -> Result<Found, LockError> {
        let opened = {
            let mut lease = lock(&self.lease);
            if !lease.as_ref().is_some_and(|lease| lease.holds_for(&target.branch)) {
                self.end(lease.take());
                let Some(kept) = lock(&self.kept).pop() else { return Ok(Found::Later) };
                match Lease::take(kept, &target.branch, &self.branches()) {
                    Ok(taken) => *lease = Some(taken),
                    Err((kept, failed)) => {
                        self.keep(kept);
                        return failed.map_or(Ok(Found::Later), Err);
                    }
                }
                let files = Arc::clone(self);
                // It has its turn after all that this thread has to do by now, and before it waits for more.
                tokio::spawn(async move { files.end(lock(&files.lease).take()) });
            }
            let root = lease.as_ref().map(Lease::root);
            self.look_up(root.unwrap_or_else(|| self.branches().root(&target.branch)), target, request)
        };
        Ok(self.ready(opened, target, request, false))
    }

    /// Looks the target up, once the locks of the site and of the branch are held.
    fn locked(&self, kept: &mut KeptFiles, target: &RequestTarget, request: &Parts) -> Result<Opened, LockError> {
        let deadline = Deadline::after(self.lock_timeout);
        loop {
            let token = self.token(request);
            let (locks, _) = RequestLocks::lock(kept, Some(&target.branch), deadline, token.as_ref())?;
            let opened = self.look_up(self.branches().root(&target.branch), target, request);
            // The branch has come since the locks were taken.
            if !locks.has(&target.branch) && self.cow.record(&target.branch).exists() {
                continue;
            }
            return Ok(opened);
        }
    }

    fn branches(&self) -> Branches<'_> {
        Branches { dir: &self.branches_dir, is_real: self.is_real, cow: &self.cow }
    }

    /// Looks the target up in the folder of its branch, under the locks of the site and of the branch.
    fn look_up(&self, root: Result<PathBuf, RouteRefusal>, target: &RequestTarget, request: &Parts) -> Opened {
        let codings = request.headers.get_all(header::ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes);
        let codings = AcceptedCodings::parse(&codings.collect::<Vec<_>>().join(&b','));
        let decision = match root {
            Ok(root) => route::resolve_in(root, target, &self.branches(), &conditions(request, &codings)),
            Err(refusal) => Decision::Refuse(refusal),
        };
        let file = match &decision {
            Decision::Send { file, response: response @ route::Response { body: Some(body), encoded, .. } } => {
                let stored = encoded.as_ref().and_then(|encoded| encoded.stored.as_ref());
                Some(match self.contents.kept(body, response, request) {
                    Some(kept) => Ok(Source::Kept(kept)),
                    None => OpenFile::open(file, body, stored).map(Source::Open),
                })
            }
            _ => None,
        };
        Opened { decision, file }
    }

    /// The token of a request of the site's own.
    fn token(&self, request: &Parts) -> Option<LoopbackToken> {
        let token = request.headers.get("x-forkpress-loopback")?;
        LoopbackToken::load_or_create(&self.cow).ok().filter(|expected| expected.matches(token.as_bytes()))
    }

    fn ready(&self, opened: Opened, target: &RequestTarget, request: &Parts, may_take_time: bool) -> Found {
        let mut answer = match (opened.decision, opened.file) {
            (Decision::Run(_), _) => return Found::Php,
            (Decision::Refuse(refused), _) => return Found::Answer(refused_with(refused.status, &refused.message)),
            (Decision::Redirect(location), _) => match redirect(StatusCode::MOVED_PERMANENTLY, location) {
                Some(answer) => answer,
                None => return Found::Changed,
            },
            (Decision::Elsewhere(url), _) => match redirect(StatusCode::FOUND, url) {
                Some(mut answer) => {
                    // The file may come to the branch any time.
                    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                    answer
                }
                None => return Found::Changed,
            },
            (Decision::Send { response, .. }, None) => headed(&response, AnswerBody::Empty),
            (Decision::Send { response, .. }, Some(file)) => {
                let (Ok(file), Some(body)) = (file, &response.body) else { return Found::Changed };
                let made = match file {
                    Source::Kept(made) => Ok(made),
                    Source::Open(file) => self.contents.made(file, body, &response, request, may_take_time),
                };
                match made {
                    Ok(made) => with_made(&response, made, &request.method),
                    Err(NotMade::Later) => return Found::Later,
                    Err(NotMade::Unreadable) => return Found::Changed,
                }
            }
        };
        // A name of a branch is one that a header may have.
        if let Ok(branch) = HeaderValue::from_str(target.branch.as_str()) {
            answer.headers_mut().insert("x-forkpress-branch", branch);
        }
        Found::Answer(answer)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was decided under the locks, and the file that was opened.
struct Opened {
    decision: Decision,
    file: Option<io::Result<Source>>,
}

enum Found {
    Php,
    Answer(Response<AnswerBody>),
    /// The file is not the one that was looked up.
    Changed,
    /// It takes time to find.
    Later,
}

/// What a file is sent from.
enum Source {
    Kept(Made),
    Open(OpenFile),
}

fn conditions<'a>(request: &'a Parts, codings: &'a AcceptedCodings) -> Conditions<'a> {
    let value = |name: HeaderName| request.headers.get(name).map(HeaderValue::as_bytes);
    Conditions {
        method: request.method.as_str().as_bytes(),
        if_match: value(header::IF_MATCH),
        if_unmodified_since: value(header::IF_UNMODIFIED_SINCE),
        if_none_match: value(header::IF_NONE_MATCH),
        if_modified_since: value(header::IF_MODIFIED_SINCE),
        if_range: value(header::IF_RANGE),
        range: value(header::RANGE),
        codings: Some(codings),
    }
}

/// An answer that sends a client elsewhere; none where no header can say that: the bytes of a location are encoded.
fn redirect(status: StatusCode, location: String) -> Option<Response<AnswerBody>> {
    let mut answer = Response::new(AnswerBody::Empty);
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::LOCATION, HeaderValue::try_from(location).ok()?);
    Some(answer)
}

fn headed(response: &route::Response, body: AnswerBody) -> Response<AnswerBody> {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(response.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &response.headers {
        // The routing makes no value that a header can't have.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// An answer of what was made of a file. A part of the file is none of a text in which addresses were replaced: it is sent whole.
fn with_made(response: &route::Response, made: Made, method: &Method) -> Response<AnswerBody> {
    let body = if method == Method::HEAD { AnswerBody::Empty } else { made.body };
    let mut answer = headed(response, body);
    answer.headers_mut().insert(header::CONTENT_LENGTH, made.length.into());
    if made.is_text {
        *answer.status_mut() = StatusCode::OK;
        answer.headers_mut().remove(header::ACCEPT_RANGES);
        answer.headers_mut().remove(header::CONTENT_RANGE);
    }
    answer
}

/// The answer to a request that is refused. What is busy may be free soon.
#[must_use]
pub fn refused_with(status: u16, message: &str) -> Response<AnswerBody> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = refusal(status, message);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    answer
}

fn locked_out(error: &LockError) -> Response<AnswerBody> {
    match error {
        LockError::Timeout(_) => refused_with(503, &format!("This site is busy: {error}")),
        _ => {
            tracing::error!("{error}");
            refused_with(500, &format!("This site can not be served: {error}"))
        }
    }
}
