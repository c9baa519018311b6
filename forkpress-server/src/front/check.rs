//! What a request must be before anybody looks what it asks for.
//!
//! Requests are smuggled where two programs read one request in two ways. So what can be is refused: what the bytes alone tell by
//! [`super::framing`] and hyper, the rest here.

use hyper::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use hyper::http::HeaderValue;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, Version};

use super::Limits;

/// The longest method. The longest that is registered has 17.
const MOST_METHOD_BYTES: usize = 32;

/// The longest target. It reaches PHP more than once.
const MOST_TARGET_BYTES: usize = 32_000;

/// A status, and a sentence without its full stop.
pub(super) type Refused = (StatusCode, &'static str);

/// Says what is wrong with a request.
pub(super) fn refused(request: &Parts, limits: &Limits) -> Option<Refused> {
    let target_bytes = request.uri.to_string().len();
    if target_bytes > MOST_TARGET_BYTES {
        return Some((StatusCode::URI_TOO_LONG, "The address is too long"));
    }
    let headers = request.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    if target_bytes + headers.sum::<usize>() > limits.head_bytes {
        return Some((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "The head of the request is too long"));
    }
    let bad = |message| Some((StatusCode::BAD_REQUEST, message));
    let mut hosts = request.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return bad("A request names one host"),
        (None, None) if request.version == Version::HTTP_11 => return bad("A request names its host"),
        _ => {}
    }
    let mut codings = request.headers.get_all(TRANSFER_ENCODING).iter();
    let are_chunks = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some_and(|coding| !are_chunks(coding)) || codings.next().is_some() {
        return Some((StatusCode::NOT_IMPLEMENTED, "Bodies come as they are, or in chunks"));
    }
    // The one asks for a proxy, the other for what scripts of a page must not see.
    if matches!(request.method, Method::CONNECT | Method::TRACE) || request.method.as_str().len() > MOST_METHOD_BYTES {
        return Some((StatusCode::NOT_IMPLEMENTED, "This server does not know the method"));
    }
    if request.headers.get(EXPECT).is_some_and(|what| !what.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Some((StatusCode::EXPECTATION_FAILED, "Nothing can be expected but 100-continue"));
    }
    let length = request.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.filter(|length| *length > limits.body_bytes).map(|_| too_large())
}

pub(super) fn too_large() -> Refused {
    (StatusCode::PAYLOAD_TOO_LARGE, "The body of the request is too large")
}
