//! Answers of the page, with the headers that keep it apart from everything else.

use forkpress_server::answer::{AnswerBody, FilePart, refusal};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName,
    HeaderValue, LOCATION, REFERRER_POLICY, SET_COOKIE, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};
use maud::Markup;

use crate::address::Address;

/// An answer.
pub type Reply = Response<AnswerBody>;

/// A page of HTML.
pub fn html(status: StatusCode, page: Markup, at: &Address) -> Reply {
    whole(status, "text/html; charset=utf-8", page.into_string().into(), at)
}

/// Anything of which all is there.
pub fn whole(status: StatusCode, kind: &'static str, body: bytes::Bytes, at: &Address) -> Reply {
    let mut reply = refusal(status, "");
    *reply.body_mut() = AnswerBody::whole(body);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    guarded(reply, at)
}

/// A refusal in a line of text.
pub fn refused(status: StatusCode, why: &str, at: &Address) -> Reply {
    guarded(refusal(status, why), at)
}

/// A refusal of a method.
pub fn not_allowed(allowed: &'static str, at: &Address) -> Reply {
    let mut reply = refused(StatusCode::METHOD_NOT_ALLOWED, "This place takes no such request", at);
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    reply
}

/// Leads on after a form, so that a reload does not send it once more.
pub fn see_other(place: &str, at: &Address) -> Reply {
    let mut reply = refused(StatusCode::SEE_OTHER, "Look there", at);
    if let Ok(place) = HeaderValue::from_str(place) {
        reply.headers_mut().insert(LOCATION, place);
    }
    reply
}

/// Has the browser keep the session's cookie; empty: forget it.
pub fn set_cookie(reply: &mut Reply, name: &str, value: &str, is_https: bool) {
    let life = if value.is_empty() { 0 } else { crate::session::LIFE.as_secs() };
    let secure = if is_https { "; Secure" } else { "" };
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={life}{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        reply.headers_mut().append(SET_COOKIE, cookie);
    }
}

/// A file to be kept, never shown.
///
/// # Errors
/// What the system says where it does not tell how long the file is.
pub fn download(file: std::fs::File, name: &str, at: &Address) -> std::io::Result<Reply> {
    let length = file.metadata()?.len();
    let mut reply = refusal(StatusCode::OK, "");
    *reply.body_mut() = AnswerBody::File(FilePart::new(file, 0, length));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    let disposition =
        HeaderValue::try_from(format!("attachment; filename=\"{name}\"")).map_err(std::io::Error::other)?;
    headers.insert(CONTENT_DISPOSITION, disposition);
    Ok(guarded(reply, at))
}

/// Nothing but the page's own is loaded, and nobody shows it in a frame. Scripts and styles stand in files, never in the HTML.
pub fn guarded(mut reply: Reply, at: &Address) -> Reply {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; \
         frame-src {}; base-uri 'none'; frame-ancestors 'none'",
        at.frames()
    );
    let headers = reply.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (X_FRAME_OPTIONS, "DENY"),
        // With no-referrer, a browser would say that a form comes from nowhere: Origin: null.
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    reply
}
