//! Files that are sent as they are, without PHP.
//!
//! The router in PHP would send the same: both ask `forkpress_core::route`. The order is the one of every request: decide what
//! is asked for, lock, look it up. The locks are let go as soon as the file is open: a publish never changes a file in place, so
//! the bytes stay right, and no client keeps a writer waiting.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use forkpress_core::address::{Addresses, Known, Own, answer};
use forkpress_core::deadline::Deadline;
use forkpress_core::layout::CowLayout;
use forkpress_core::lock::{KeptFiles, LockError, LoopbackToken, RequestLocks};
use forkpress_core::route::{self, Body, Branches, Conditions, Decision, RequestTarget};
use hyper::header::{self, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use tokio::task::spawn_blocking;

use crate::answer::{AnswerBody, FilePart, refusal};
use crate::scheme::Scheme;
use crate::spool::read_at;

/// What is no longer is read at once, and sent in one piece.
const SHORT_BYTES: u64 = 256 << 10;

/// A text of more bytes is sent as it is, whatever addresses are in it.
const MOST_TEXT_BYTES: u64 = 8 << 20;

/// How often a file is looked up that is another one by the time it is open.
const ATTEMPTS: u32 = 3;

/// The files of a site's branches.
#[derive(Debug)]
pub struct Files {
    branches_dir: PathBuf,
    cow: CowLayout,
    root_host: String,
    lock_timeout: Duration,
    /// Open lock files: each request that runs has some of its own, since a lock belongs to an open file.
    kept: Mutex<Vec<KeptFiles>>,
    known: Mutex<Option<(AddressSource, Arc<Known>)>>,
}

/// What addresses were gathered from: the version of the record, and the port.
type AddressSource = (Option<(u64, u64, i64, i64)>, Option<u16>);

impl Files {
    /// Those of the branches in a folder. A request waits so long for its locks.
    #[must_use]
    pub fn new(branches_dir: &Path, cow: &CowLayout, root_host: &str, lock_timeout: Duration) -> Self {
        Self {
            branches_dir: branches_dir.to_owned(),
            cow: cow.clone(),
            root_host: root_host.to_owned(),
            lock_timeout,
            kept: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// The answer to a request; none where PHP has to give it.
    pub async fn answer(self: &Arc<Self>, target: RequestTarget, request: &Arc<Parts>) -> Option<Response<AnswerBody>> {
        let (files, request) = (Arc::clone(self), Arc::clone(request));
        let answered = spawn_blocking(move || files.look(&target, &request)).await;
        answered.unwrap_or_else(|_| Some(refusal(StatusCode::INTERNAL_SERVER_ERROR, "This site can not be served")))
    }

    fn look(&self, target: &RequestTarget, request: &Parts) -> Option<Response<AnswerBody>> {
        for _ in 0..ATTEMPTS {
            match self.decide(target, request) {
                Ok(Found::Php) => return None,
                Ok(Found::Answer(answer)) => return Some(answer),
                Ok(Found::Changed) => {}
                Err(error) => return Some(locked_out(&error)),
            }
        }
        let mut answer =
            refusal(StatusCode::SERVICE_UNAVAILABLE, "This file is being written, or the server can not read it");
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        Some(answer)
    }

    fn decide(&self, target: &RequestTarget, request: &Parts) -> Result<Found, LockError> {
        let mut kept = match self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            Some(kept) => kept,
            None => KeptFiles::open(&self.cow)?,
        };
        let found = self.locked(&mut kept, target, request);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
        found.map(|found| self.ready(found, target, request))
    }

    /// Looks the target up, under the locks of the site and of the branch.
    fn locked(&self, kept: &mut KeptFiles, target: &RequestTarget, request: &Parts) -> Result<Opened, LockError> {
        let deadline = Deadline::after(self.lock_timeout);
        let token = request.headers.get("x-forkpress-loopback").and_then(|token| {
            LoopbackToken::load_or_create(&self.cow).ok().filter(|expected| expected.matches(token.as_bytes()))
        });
        loop {
            let (locks, _) = RequestLocks::lock(kept, Some(&target.branch), deadline, token.as_ref())?;
            let branches = Branches { dir: &self.branches_dir, cow: &self.cow };
            let decision = route::resolve(target, &branches, &conditions(request));
            // The branch has come since the locks were taken.
            if !locks.has(&target.branch) && self.cow.record(&target.branch).exists() {
                continue;
            }
            let file = match &decision {
                Decision::Send { file, response: route::Response { body: Some(body), .. } } => Some(open(file, body)),
                _ => None,
            };
            return Ok(Opened { decision, file });
        }
    }

    fn ready(&self, opened: Opened, target: &RequestTarget, request: &Parts) -> Found {
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
                match self.mapped(&file, body, &response, request) {
                    Ok(Some(text)) => with_mapped(&response, text),
                    Ok(None) if body.length <= SHORT_BYTES => match read_at(&file, body.offset, body.length) {
                        Ok(bytes) => headed(&response, AnswerBody::whole(bytes)),
                        Err(_) => return Found::Changed,
                    },
                    Ok(None) => headed(&response, AnswerBody::File(FilePart::new(file, body.offset, body.length))),
                    Err(_) => return Found::Changed,
                }
            }
        };
        // A name of a branch is one that a header may have.
        if let Ok(branch) = HeaderValue::from_str(target.branch.as_str()) {
            answer.headers_mut().insert("x-forkpress-branch", branch);
        }
        Found::Answer(answer)
    }

    /// A text file with the branch's own address in place of every other that the site had; none where it names none: builders of
    /// pages write style sheets that do.
    fn mapped(
        &self,
        file: &File,
        body: &Body,
        response: &route::Response,
        request: &Parts,
    ) -> io::Result<Option<Bytes>> {
        let kind = response.headers.iter().find(|(name, _)| *name == "Content-Type").map_or("", |(_, value)| value);
        // WordPress's own name none.
        let is_core = ["/wp-admin/", "/wp-includes/"].iter().any(|folder| request.uri.path().starts_with(folder));
        if is_core || body.version.size > MOST_TEXT_BYTES || !answer::is_text(kind.as_bytes()) {
            return Ok(None);
        }
        let host = request.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let Some(own) = Own::parse(&format!("{}://{}", Scheme::of(request).as_str(), host.to_ascii_lowercase())) else {
            return Ok(None);
        };
        let text = read_at(file, 0, body.version.size)?;
        Ok(self.known(own.port()).map(&own, &text, b"").map(Bytes::from))
    }

    /// The site's addresses. A record that can't be read is none.
    fn known(&self, port: Option<u16>) -> Arc<Known> {
        let record = self.cow.addresses();
        let version =
            std::fs::metadata(&record).ok().map(|found| (found.ino(), found.len(), found.mtime(), found.mtime_nsec()));
        let source = (version, port);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = known.as_ref().filter(|(of, _)| *of == source) {
            return Arc::clone(known);
        }
        let mut addresses = Addresses::parse(&std::fs::read_to_string(&record).unwrap_or_default());
        addresses.add_root(&self.root_host);
        port.map(|port| addresses.add_port(port));
        let made = Arc::new(Known::new(&addresses));
        *known = Some((source, Arc::clone(&made)));
        made
    }
}

/// What was decided under the locks, and the file that was opened.
struct Opened {
    decision: Decision,
    file: Option<io::Result<File>>,
}

enum Found {
    Php,
    Answer(Response<AnswerBody>),
    /// The file is not the one that was looked up.
    Changed,
}

/// Opens a file, if it is still the one that the answer's headers describe.
fn open(path: &Path, body: &Body) -> io::Result<File> {
    let file = File::open(path)?;
    let found = file.metadata()?;
    let modified = u64::try_from(found.mtime()).unwrap_or(0);
    let is_same =
        found.ino() == body.version.inode && found.len() == body.version.size && modified == body.version.modified;
    if is_same { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn conditions(request: &Parts) -> Conditions<'_> {
    let value = |name: HeaderName| request.headers.get(name).map(HeaderValue::as_bytes);
    Conditions {
        method: request.method.as_str().as_bytes(),
        if_match: value(header::IF_MATCH),
        if_unmodified_since: value(header::IF_UNMODIFIED_SINCE),
        if_none_match: value(header::IF_NONE_MATCH),
        if_modified_since: value(header::IF_MODIFIED_SINCE),
        if_range: value(header::IF_RANGE),
        range: value(header::RANGE),
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

/// A part of the file is none of this text: it is sent whole.
fn with_mapped(response: &route::Response, text: Bytes) -> Response<AnswerBody> {
    let length = text.len();
    let mut answer = headed(response, AnswerBody::whole(text));
    *answer.status_mut() = StatusCode::OK;
    answer.headers_mut().remove(header::ACCEPT_RANGES);
    answer.headers_mut().remove(header::CONTENT_RANGE);
    answer.headers_mut().insert(header::CONTENT_LENGTH, length.into());
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
