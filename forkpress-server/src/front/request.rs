//! One request: checked, decided, its body taken, and answered.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use forkpress_core::route;
use http_body::Body;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::time::timeout;

use super::{Answered, Entrance, Limits, check, http2};
use crate::answer::{AnswerBody, refusal};
use crate::cgi::Connection;
use crate::files::refused_with;
use crate::scheme::Scheme;
use crate::spool::{Room, SpoolReader, spool};

/// Answers a request. What can't be is answered, too, so there is no error.
pub(super) async fn answer(
    entrance: Arc<Entrance>,
    connection: Connection,
    scheme: Scheme,
    request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let began = Instant::now();
    let (mut head, body) = request.into_parts();
    head.extensions.insert(scheme);
    let unplaced = http2::place(&mut head);
    let head = Arc::new(head);
    let answer = match unplaced.or_else(|| check::refused(&head, &entrance.limits)) {
        Some(refused) => Err(refused),
        None => answered(&entrance, connection, &head, body).await,
    };
    let answer = match answer {
        // Its requests do not follow each other in one stream of bytes.
        Err((status, message)) if head.version == Version::HTTP_2 => refusal(status, message),
        Ok(answer) if !head.headers.contains_key(TRANSFER_ENCODING) => answer,
        // Where a length is told as well, what was read by its chunks alone is followed by who knows what.
        Ok(answer) => last(answer),
        Err((status, message)) => last(refusal(status, message)),
    };
    if let Some(log) = &entrance.log {
        // Nobody waits for a log: what it has no room for is not in it.
        let _ = log.try_send(Answered {
            client: connection.client,
            method: head.method.clone(),
            target: format!("{}{}", String::from_utf8_lossy(host(&head)), head.uri),
            status: answer.status(),
            took: began.elapsed(),
        });
    }
    Ok(answer)
}

fn host(head: &Parts) -> &[u8] {
    head.headers.get(HOST).map_or(b"", HeaderValue::as_bytes)
}

/// Has the connection end after this answer.
fn last(mut answer: Response<AnswerBody>) -> Response<AnswerBody> {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

type Refused = (StatusCode, &'static str);

async fn answered(
    entrance: &Entrance,
    connection: Connection,
    head: &Arc<Parts>,
    body: Incoming,
) -> Result<Response<AnswerBody>, Refused> {
    let target = match route::parse(host(head), head.uri.to_string().as_bytes(), &entrance.root_host) {
        Ok(target) => target,
        Err(refused) => return Ok(refused_with(refused.status, &refused.message)),
    };
    let is_of_repository = target.is_of_repository();
    if let Some(files) = &entrance.files
        && matches!(head.method, Method::GET | Method::HEAD)
        && target.may_be_file()
        && let Some(answer) = files.answer(target, head).await
    {
        return Ok(answer);
    }
    let body = match body.is_end_stream() {
        true => None,
        false => Some(taken(body, &entrance.room, &entrance.limits).await?),
    };
    let php = if is_of_repository { &entrance.repository } else { &entrance.pages };
    Ok(php.answer(head, &connection, body).await.unwrap_or_else(|error| {
        let host = String::from_utf8_lossy(host(head));
        tracing::warn!("{} {host}{} has no answer: {error}", head.method, head.uri.path());
        refused_with(error.status().as_u16(), &error.message())
    }))
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
