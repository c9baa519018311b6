//! What is measured, for the person who runs the server.

use std::sync::Arc;

use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use tokio::task::spawn_blocking;

use super::{Entrance, owner};
use crate::answer::{AnswerBody, refusal};
use crate::cgi::Connection;
use crate::traffic::Traffic;

/// Where it is, at every host of the site's.
pub(super) const PATH: &str = "/_forkpress/metrics";

/// Answers who runs the server, and refuses everybody else.
pub(super) async fn answer(
    traffic: &Arc<Traffic>,
    entrance: &Entrance,
    connection: &Connection,
    head: &Arc<Parts>,
) -> Response<AnswerBody> {
    let method = head.method.clone();
    // It asks the system.
    let stranger = spawn_blocking(asking_who(entrance, connection, head)).await;
    match stranger {
        Ok(None) if matches!(method, Method::GET | Method::HEAD) => {}
        Ok(None) => return refusal(StatusCode::METHOD_NOT_ALLOWED, "Metrics are read"),
        Ok(Some(why)) => {
            return refusal(StatusCode::FORBIDDEN, &format!("This is for the person who runs the server, and {why}"));
        }
        Err(_) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, "The system does not say who asks"),
    }
    let traffic = Arc::clone(traffic);
    // What is of the site is read from its files.
    let text = spawn_blocking(move || traffic.metrics()).await.unwrap_or_default();
    let mut answer = refusal(StatusCode::OK, "");
    *answer.body_mut() = AnswerBody::whole(text.into());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    answer
}

/// Says why a request is not made by the person who runs the server. It waits for the system.
fn asking_who(
    entrance: &Entrance,
    connection: &Connection,
    head: &Arc<Parts>,
) -> impl FnOnce() -> Option<String> + Send + use<> {
    let (connection, head, root_host) = (*connection, Arc::clone(head), entrance.root_host.clone());
    let knows_owner = entrance.knows_owner;
    move || {
        let host = head.headers.get(HOST).map_or(&b""[..], HeaderValue::as_bytes);
        owner::stranger(knows_owner, &connection, &head, host, &root_host)
    }
}
