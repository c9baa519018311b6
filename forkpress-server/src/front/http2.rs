//! HTTP/2: many requests at once on one connection, each of which is then answered like one of HTTP/1.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Method, StatusCode, Uri, Version};
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

/// Makes a request of HTTP/2 name its host and its path as one of HTTP/1 does. Says what is wrong with one that can't be.
pub(super) fn place(request: &mut Parts) -> Option<(StatusCode, &'static str)> {
    if request.version != Version::HTTP_2 || request.method == Method::CONNECT {
        return None;
    }
    let bad = |message| Some((StatusCode::BAD_REQUEST, message));
    if request.uri.scheme_str().is_some_and(|scheme| scheme != Scheme::of(request).as_str()) {
        return bad("A request names the scheme that it comes by");
    }
    match (request.uri.authority(), request.headers.get(HOST)) {
        (None, None) => return bad("A request names its host"),
        (None, Some(_)) => {}
        (Some(authority), Some(host)) => {
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) {
                return bad("A request names one host");
            }
        }
        (Some(authority), None) => match HeaderValue::from_str(authority.as_str()) {
            Ok(host) => drop(request.headers.insert(HOST, host)),
            Err(_) => return bad("A request names its host"),
        },
    }
    // HTTP/1 takes blanks around a value away, so two programs may read them in two ways.
    if request.headers.values().any(|value| is_blank(value.as_bytes().first()) || is_blank(value.as_bytes().last())) {
        return bad("No blank begins or ends a value");
    }
    if request.headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return bad("A request names one length");
    }
    let path = request.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    if path.as_str().starts_with('?') {
        return bad("A path begins with a slash");
    }
    request.uri = Uri::from(path);
    None
}

fn is_blank(byte: Option<&u8>) -> bool {
    matches!(byte, Some(b' ' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn placed(uri: &str, host: Option<&str>) -> Result<(String, String), &'static str> {
        let mut request = Request::builder().version(Version::HTTP_2).uri(uri).extension(Scheme::Https);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        let mut head = request.body(()).unwrap().into_parts().0;
        match place(&mut head) {
            Some((_, message)) => Err(message),
            None => Ok((head.headers[HOST].to_str().unwrap().to_owned(), head.uri.to_string())),
        }
    }

    #[test]
    fn a_request_names_its_host_and_its_path_as_one_of_http_1_does() {
        let of = |host: &str, path: &str| Ok((host.to_owned(), path.to_owned()));
        assert_eq!(placed("https://wp.localhost:1/a%20b?c=%2F", None), of("wp.localhost:1", "/a%20b?c=%2F"));
        assert_eq!(placed("https://wp.localhost", Some("WP.localhost")), of("WP.localhost", "/"));
        assert_eq!(placed("/x", Some("wp.localhost")), of("wp.localhost", "/x"));
    }

    #[test]
    fn a_request_of_two_hosts_of_none_or_of_another_scheme_is_refused() {
        assert_eq!(placed("https://wp.localhost/", Some("sale.wp.localhost")), Err("A request names one host"));
        assert_eq!(placed("/", None), Err("A request names its host"));
        assert_eq!(placed("http://wp.localhost/", None), Err("A request names the scheme that it comes by"));
    }
}
