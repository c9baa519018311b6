//! One request: checked, decided, its body taken, and answered.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use forkpress_core::route;
use http_body::Body;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::time::timeout;

use super::check::{self, Refused};
use super::page::{self, Asked, Asker, Broken};
use super::{Entrance, Limits, metrics, target, waiting};
use crate::answer::{AnswerBody, measured, refusal};
use crate::cgi::Connection;
use crate::files::refused_with;
use crate::scheme::Scheme;
use crate::spool::{Room, SpoolReader, spool};
use crate::traffic::{Seen, Stage, Watched};

/// Answers a request. What can't be is answered, too, so there is no error.
pub(super) async fn answer(
    entrance: Arc<Entrance>,
    connection: Connection,
    scheme: Scheme,
    request: Request<Incoming>,
) -> Result<Response<Watched>, Infallible> {
    let (mut head, body) = request.into_parts();
    head.extensions.insert(scheme);
    let settled = match target::place(&mut head).or_else(|| check::refused(&head, &entrance.limits)) {
        Some(refused) => Err(refused),
        None => target::settle(&mut head),
    };
    let tracked = entrance.log.as_ref().map(|traffic| {
        let target = route::parse(host(&head), b"/", &entrance.root_host);
        let tracked = traffic.begin(connection.client, &head, target.ok().map(|target| target.branch));
        head.extensions.insert(Arc::clone(&tracked.seen));
        tracked
    });
    let head = Arc::new(head);
    let answer = match settled {
        Err(refused) => Err(refused),
        Ok(()) => answered(&entrance, connection, &head, body).await,
    };
    let answer = match answer {
        Ok(answer) => answer,
        // Its requests do not follow each other in one stream of bytes.
        Err((status, message)) if head.version == Version::HTTP_2 => refusal(status, message),
        Err((status, message)) => last(refusal(status, message)),
    };
    if let Some(tracked) = &tracked {
        tracked.seen.has_head(answer.status(), answer.headers());
    }
    Ok(answer.map(|body| Watched::new(body, tracked)))
}

fn host(head: &Parts) -> &[u8] {
    head.headers.get(HOST).map_or(b"", HeaderValue::as_bytes)
}

/// Says how far a request is.
fn is(head: &Parts, stage: Stage) {
    if let Some(seen) = head.extensions.get::<Arc<Seen>>() {
        seen.is(stage);
    }
}

/// Has the connection end after this answer.
fn last(mut answer: Response<AnswerBody>) -> Response<AnswerBody> {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// What a page that failed is answered with: PHP says so, died, or took too long.
const BROKEN: [StatusCode; 3] =
    [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT];

async fn answered(
    entrance: &Entrance,
    connection: Connection,
    head: &Arc<Parts>,
    body: Incoming,
) -> Result<Response<AnswerBody>, Refused> {
    if let Some(page) = &entrance.page
        && page::is_its_host(host(head), &entrance.root_host)
    {
        let body = body_of(body, entrance).await?;
        let asker = asker(entrance, connection, head);
        return Ok(page.answer(Asked { asker, body }).await);
    }
    let target = match route::parse(host(head), head.uri.to_string().as_bytes(), &entrance.root_host) {
        Ok(target) => target,
        Err(refused) => return Ok(refused_with(refused.status, &refused.message)),
    };
    if let Some(traffic) = entrance.log.as_ref().filter(|_| head.uri.path() == metrics::PATH) {
        return Ok(metrics::answer(traffic, entrance, &connection, head).await);
    }
    if entrance.page.is_some()
        && let Some(leading) = page::led_on(head, &entrance.root_host)
    {
        return Ok(leading);
    }
    let (branch, is_of_repository) = (target.branch.clone(), target.is_of_repository());
    if let Some(files) = &entrance.files
        && !is_of_repository
        && waiting::is_navigation(head)
    {
        is(head, Stage::Waiting);
        if let Some(page) = waiting::page(files, &target.branch).await {
            return Ok(page);
        }
        is(head, Stage::Here);
    }
    if let Some(files) = &entrance.files
        && matches!(head.method, Method::GET | Method::HEAD)
        && target.may_be_file()
        && let Some(answer) = files.answer(target, head).await
    {
        return Ok(answer);
    }
    let body = body_of(body, entrance).await?;
    let php = if is_of_repository { &entrance.repository } else { &entrance.pages };
    let began = SystemTime::now();
    let answer = php.answer(head, &connection, body).await.map(|answer| measured(answer, &head.method));
    let answer = answer.unwrap_or_else(|error| {
        let host = String::from_utf8_lossy(host(head));
        tracing::warn!("{} {host}{} has no answer: {error}", head.method, head.uri.path());
        refused_with(error.status().as_u16(), &error.message())
    });
    if let Some(page) = &entrance.page
        && !is_of_repository
        && waiting::is_navigation(head)
    {
        if !answer.status().is_server_error() {
            page.worked(&branch, head.uri.path(), began);
        }
        if !BROKEN.contains(&answer.status()) {
            return Ok(answer);
        }
        let (asker, status) = (asker(entrance, connection, head), answer.status());
        if let Some(page) = page.broken(Broken { asker, branch, status }).await {
            return Ok(page);
        }
    }
    Ok(answer)
}

fn asker(entrance: &Entrance, connection: Connection, head: &Arc<Parts>) -> Asker {
    Asker { head: Arc::clone(head), connection, knows_owner: entrance.knows_owner }
}

/// The body of a request, once all of it is there; none where it has none.
async fn body_of(body: Incoming, entrance: &Entrance) -> Result<Option<(SpoolReader, u64)>, Refused> {
    match body.is_end_stream() {
        true => Ok(None),
        false => Ok(Some(taken(body, &entrance.room, &entrance.limits).await?)),
    }
}

/// Takes a body from its client, all of it, and says how long it is.
async fn taken(mut body: Incoming, room: &Room, limits: &Limits) -> Result<(SpoolReader, u64), Refused> {
    let (mut writer, reader) = spool(room.clone());
    let mut length = 0;
    loop {
        let next = timeout(limits.pause, poll_fn(|context| Pin::new(&mut body).poll_frame(context)));
        let frame = match next.await {
            Err(_) => return Err((StatusCode::REQUEST_TIMEOUT, "The body of the request did not come")),
            Ok(None) => return Ok((reader, writer.end())),
            Ok(Some(frame)) => frame.map_err(|_| (StatusCode::BAD_REQUEST, "The body of the request is malformed"))?,
        };
        let bytes = frame.into_data().map_err(|_| (StatusCode::BAD_REQUEST, "Nothing may follow the body"))?;
        length += bytes.len() as u64;
        if length > limits.body_bytes {
            return Err(check::too_large());
        }
        writer.write(&bytes).await.map_err(|error| {
            tracing::error!("the body of a request can not be kept: {error}");
            (StatusCode::INSUFFICIENT_STORAGE, "This server has no room for the body of the request")
        })?;
    }
}
