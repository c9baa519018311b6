//! What is told of a page's regions while they are looked at: server-sent events, as the HTML standard has them.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use forkpress_server::answer::AnswerBody;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use maud::{Markup, PreEscaped, html};
use serde::Serialize;
use tokio::sync::mpsc::Receiver;

use crate::address::Address;
use crate::reply::{self, Reply};

/// What a region of a page has in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fragment {
    /// The region.
    pub region: &'static str,
    /// What tells this content from another.
    pub mark: String,
    /// The content.
    pub html: String,
}

impl Fragment {
    /// Of a region, with what was rendered for it.
    #[must_use]
    pub fn new(region: &'static str, content: Markup) -> Self {
        let html = content.into_string();
        let mut hasher = DefaultHasher::new();
        html.hash(&mut hasher);
        Self { region, mark: format!("{:x}", hasher.finish()), html }
    }

    /// The region with its content, as it stands in a page. What a page shows twice is told twice.
    #[must_use]
    pub fn in_page(self) -> Markup {
        html! { div data-live=(self.region) data-mark=(self.mark) { (PreEscaped(self.html)) } }
    }

    /// The event that has a page show it.
    #[must_use]
    pub fn event(&self) -> Bytes {
        let text = serde_json::to_string(self).expect("a fragment is plain text");
        format!("event: fragment\ndata: {text}\n\n").into()
    }
}

/// The answer that tells, until nobody tells more.
pub fn reply(told: Receiver<Bytes>, at: &Address) -> Reply {
    let mut reply = reply::refused(StatusCode::OK, "", at);
    *reply.body_mut() = AnswerBody::Told(told);
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let fragment = Fragment::new("branches", html! { p { "a\nb\n\nevent: evil\r\n\u{2028}" } });
        let event = String::from_utf8(fragment.event().to_vec()).unwrap();
        let lines: Vec<&str> = event.split('\n').collect();
        assert_eq!((lines.len(), lines[0], lines[2], lines[3]), (4, "event: fragment", "", ""), "{event}");
        let told: serde_json::Value = serde_json::from_str(lines[1].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!((&told["region"], &told["html"]), (&"branches".into(), &fragment.html.clone().into()));
        assert!(!event.contains('\r'));
        let page = fragment.clone().in_page().into_string();
        assert!(
            page.starts_with(&format!("<div data-live=\"branches\" data-mark=\"{}\"><p>", fragment.mark)),
            "{page}"
        );
        assert_ne!(Fragment::new("branches", html! { p {} }).mark, fragment.mark);
    }
}
