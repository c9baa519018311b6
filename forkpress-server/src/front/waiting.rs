//! The page that a person gets whose request waits for a branch command.
//!
//! The front waits for the locks itself, before PHP has the request: so no process of PHP's waits with it, and no
//! request that has begun is ever broken off. It lets them go at once; the request takes its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forkpress_core::lock::{Busy, Holder};
use forkpress_core::name::BranchName;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use crate::answer::{AnswerBody, refusal};
use crate::files::Files;

/// How long a person looks at nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// It loads nothing, and nobody else shows it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'self'";

const STYLE: &str = ":root{color-scheme:light dark}\
    body{font:1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:18vh auto 0;padding:0 1.5rem;overflow-wrap:anywhere}\
    h1{font-size:1.4rem}ul{padding-left:1.2rem}code{font-family:ui-monospace,monospace}p.small{opacity:.7;font-size:.9rem}";

/// Whether a person looks at the answer to a request, and it does no harm to make it again.
pub(super) fn is_navigation(request: &Parts) -> bool {
    let value = |name: &str| request.headers.get(name).map(HeaderValue::as_bytes);
    let names_html = || {
        let accepted = request.headers.get_all(ACCEPT).iter().filter_map(|accepted| accepted.to_str().ok());
        accepted
            .flat_map(|accepted| accepted.split(','))
            .any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html")))
    };
    let of_a_person = match value("sec-fetch-mode") {
        Some(mode) => mode == b"navigate",
        None => names_html() && value("x-requested-with").is_none(),
    };
    request.method == Method::GET && of_a_person && value("x-forkpress-loopback").is_none()
}

/// Waits until a branch is free, and gives the page that says for whom if it is not soon.
pub(super) async fn page(files: &Arc<Files>, branch: &BranchName) -> Option<Response<AnswerBody>> {
    let began = Instant::now();
    let (busy, before_it) = files.busy(branch, PATIENCE).await?;
    // The browser comes back at once, so that it waits when the branch is free for an instant: it has been here for a second.
    let pause = u8::from(began.elapsed() < PATIENCE);
    let mut answer = refusal(StatusCode::SERVICE_UNAVAILABLE, "");
    *answer.body_mut() = AnswerBody::whole(html(branch, &busy, &before_it, pause).into());
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (RETRY_AFTER, "1"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Some(answer)
}

/// The page: who holds the lock, and for whom that one waits itself. It loads itself again after so many seconds.
fn html(branch: &BranchName, busy: &Busy, before_it: &[Holder], pause: u8) -> String {
    let list = |holders: &[Holder]| holders.iter().map(item).collect::<String>();
    let holders = match list(&busy.holders) {
        none if none.is_empty() => "<li>another process</li>".to_owned(),
        some => some,
    };
    let waits = match list(before_it) {
        none if none.is_empty() => none,
        some => format!("<p>That one waits for:</p><ul>{some}</ul>"),
    };
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"{pause}\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Waiting for {branch}</title><style>{STYLE}</style></head>\
         <body><h1>Branch “{branch}” is busy</h1><p>This page waits for:</p><ul>{holders}</ul>{waits}\
         <p class=\"small\">It is loaded as soon as the branch is free. <code>forkpress top</code> shows more.</p></body></html>\n"
    )
}

fn item(holder: &Holder) -> String {
    let process = format!("process {}", holder.pid);
    let since = holder.since.and_then(|since| since.elapsed().ok());
    let since = since.map(|since| format!(", for {} s", since.as_secs())).unwrap_or_default();
    match &holder.activity {
        Some(activity) => format!("<li><bdi><code>{}</code></bdi> ({process}{since})</li>", escaped(activity)),
        None => format!("<li>{process}{since}</li>"),
    }
}

/// Text as HTML has it. What moves a cursor or turns a line around is left out.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;
    use std::time::SystemTime;

    fn is(method: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        is_navigation(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_navigation_is_what_a_person_looks_at_and_what_may_be_asked_for_again() {
        let html = ("Accept", "application/xhtml+xml,text/html;q=0.9,*/*;q=0.8");
        assert!(is("GET", &[("Sec-Fetch-Mode", "navigate"), ("Accept", "*/*")]));
        assert!(is("GET", &[html]));
        for (method, headers) in [
            ("POST", &[("Sec-Fetch-Mode", "navigate"), html][..]),
            ("HEAD", &[html]),
            ("GET", &[]),
            ("GET", &[("Accept", "*/*")]),
            ("GET", &[("Accept", "text/htmlx-not, text/css")]),
            ("GET", &[("Sec-Fetch-Mode", "cors"), html]),
            ("GET", &[("Sec-Fetch-Mode", "no-cors"), html]),
            ("GET", &[html, ("X-Requested-With", "XMLHttpRequest")]),
            ("GET", &[html, ("X-ForkPress-Loopback", "x")]),
        ] {
            assert!(!is(method, headers), "{method} {headers:?}");
        }
    }

    #[test]
    fn the_page_says_who_holds_the_lock_and_nothing_in_it_is_markup() {
        let holder =
            |activity: &str| Holder { pid: 7, activity: Some(activity.to_owned()), since: Some(SystemTime::now()) };
        let busy = Busy { path: "/s/x.gate".into(), holders: vec![holder("branch reset x from main")] };
        let page = html(&"x".parse().unwrap(), &busy, &[holder("serving GET x /\"><script>'\u{1b}\u{202e}&")], 0);
        assert!(page.contains("<code>branch reset x from main</code></bdi> (process 7, for 0 s)"), "{page}");
        assert!(page.contains("serving GET x /&quot;&gt;&lt;script&gt;&#39;&amp;</code>"), "{page}");
        let nobody = html(&"x".parse().unwrap(), &Busy { path: "/s/x.gate".into(), holders: vec![] }, &[], 1);
        assert!(nobody.contains("<li>another process</li>") && !nobody.contains("That one"), "{nobody}");
    }
}
