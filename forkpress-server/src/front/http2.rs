//! HTTP/2: many requests at once on one connection, each of which is then answered like one of HTTP/1.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::request;
use super::turns::Turns;
use super::{Entrance, ended};
use crate::cgi::Connection;
use crate::scheme::Scheme;

/// Requests of a connection that are answered at once. A browser sends more when some are done.
const MOST_STREAMS: u32 = 100;

/// What waits in memory of each answer. The rest waits where it is.
const SEND_BYTES: usize = 64 << 10;

/// How often a client is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(20);

/// How long a client may take nothing, nor say that it has taken all, once the server ends.
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// Serves a connection, until its client leaves, it is the client's turn for too long, or the server ends.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    entrance: Arc<Entrance>,
    connection: Connection,
    mut end: watch::Receiver<bool>,
) -> Result<(), hyper::Error> {
    let (turns, pause, head_bytes) = (Turns::default(), entrance.limits.pause, entrance.limits.head_bytes);
    let begun = turns.clone();
    let service = service_fn(move |request| {
        let (entrance, turn) = (Arc::clone(&entrance), begun.ours());
        async move {
            let answer = request::answer(entrance, connection, Scheme::Https, request).await;
            answer.map(|answer| answer.map(|body| turn.until_taken(body)))
        }
    });
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .max_header_list_size(u32::try_from(head_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BYTES)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let last_pause = tokio::select! {
        served = serving.as_mut() => return served,
        () = ended(&mut end) => LAST_PAUSE.min(pause),
        () = turns.overdue(pause) => pause,
    };
    serving.as_mut().graceful_shutdown();
    turns.begin_anew();
    tokio::select! {
        served = serving => served,
        // What it has not taken by now is lost.
        () = turns.overdue(last_pause) => Ok(()),
    }
}
