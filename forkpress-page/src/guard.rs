//! Who may look, and who may act. Pure.

use forkpress_core::token::Token;
use forkpress_server::front::page::Who;
use hyper::Method;
use hyper::header::HeaderMap;

use crate::session::{Kind, Session};

/// What a request may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum May {
    /// See the page, or act where it is a form of the page's own.
    All,
    /// Only sign in, and why.
    SignIn(String),
    /// Nothing, and why.
    Nothing(&'static str),
}

/// Decides by who asks and by the session that the cookie proves.
#[must_use]
pub fn may(who: &Who, session: Option<&Session>) -> May {
    match who {
        // Its code came with a theme or a plugin. It runs as the owner, but it is not the owner.
        Who::OfTheSite => May::Nothing("A program that a branch runs can not use the branch page"),
        Who::Owner => May::All,
        Who::Stranger(_) if session.is_some_and(|session| session.kind == Kind::SignedIn) => May::All,
        Who::Stranger(why) => May::SignIn(why.clone()),
    }
}

/// Why a request is none that the page itself has sent; none where it is.
///
/// A browser says where a request comes from, by `Sec-Fetch-Site` and by `Origin`, and no script can say anything else there. A
/// request that changes something must have come from the page. One that only reads may be a link from elsewhere, but nothing
/// that another page embeds or fetches.
#[must_use]
pub fn foreign(method: &Method, headers: &HeaderMap, origin: &str) -> Option<&'static str> {
    let value = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let first = values.next()?;
        // Said twice, it says nothing.
        Some(if values.next().is_some() { &b""[..] } else { first.as_bytes() })
    };
    let site = value("sec-fetch-site");
    let is_reading = matches!(*method, Method::GET | Method::HEAD);
    if is_reading {
        let is_link = value("sec-fetch-mode") == Some(b"navigate") && value("sec-fetch-dest") == Some(b"document");
        return match site {
            None | Some(b"same-origin" | b"none") => None,
            Some(_) if is_link => None,
            Some(_) => Some("Another page asks for this: the branch page is shown in a tab of its own"),
        };
    }
    if !matches!(site, None | Some(b"same-origin")) {
        return Some("This form was sent from another page");
    }
    match value("origin") {
        Some(from) if from == origin.as_bytes() => None,
        Some(_) => Some("This form was sent from another page"),
        None => Some("This request does not say which page it comes from (Origin)"),
    }
}

/// Why a form is not of this session; none where it is.
#[must_use]
pub fn unproven(session: Option<&Session>, token: Option<&str>, secret: &Token) -> Option<&'static str> {
    match (session, token) {
        (Some(session), Some(token)) if session.is_token(secret, token) => None,
        _ => Some("This form is too old. Load the page again, and send it once more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::{HeaderName, HeaderValue};
    use std::time::SystemTime;

    const ORIGIN: &str = "http://admin.wp.localhost:18080";

    fn is_foreign(method: &Method, said: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        foreign(method, &headers, ORIGIN).is_some()
    }

    #[test]
    fn a_form_comes_from_the_page_alone() {
        let post = |said: &[(&'static str, &str)]| is_foreign(&Method::POST, said);
        assert!(!post(&[("origin", ORIGIN), ("sec-fetch-site", "same-origin")]));
        assert!(!post(&[("origin", ORIGIN)]), "an old browser");
        for said in [
            &[][..],
            &[("sec-fetch-site", "same-origin")],
            &[("origin", "null"), ("sec-fetch-site", "same-origin")],
            &[("origin", "http://wp.localhost:18080"), ("sec-fetch-site", "same-site")],
            &[("origin", "http://x.wp.localhost:18080")],
            &[("origin", "http://admin.wp.localhost:18081")],
            &[("origin", "https://admin.wp.localhost:18080")],
            &[("origin", "http://admin.wp.localhost:18080.evil.example")],
            &[("origin", ORIGIN), ("origin", ORIGIN)],
            &[("origin", ORIGIN), ("sec-fetch-site", "same-site")],
            &[("origin", ORIGIN), ("sec-fetch-site", "cross-site")],
            &[("origin", ORIGIN), ("sec-fetch-site", "none")],
            &[("origin", ORIGIN), ("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
        ] {
            assert!(post(said), "{said:?}");
            assert!(is_foreign(&Method::PUT, said) && is_foreign(&Method::DELETE, said), "{said:?}");
        }
    }

    #[test]
    fn a_page_is_linked_to_but_neither_framed_nor_fetched_by_others() {
        let get = |said: &[(&'static str, &str)]| is_foreign(&Method::GET, said);
        assert!(!get(&[]), "curl");
        assert!(!get(&[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]));
        assert!(!get(&[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")]));
        assert!(!get(&[
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document")
        ]));
        for site in ["same-site", "cross-site", "what-comes-next"] {
            for (mode, dest) in [
                ("navigate", "iframe"),
                ("navigate", "object"),
                ("cors", "empty"),
                ("no-cors", "image"),
                ("no-cors", "script"),
            ] {
                assert!(
                    get(&[("sec-fetch-site", site), ("sec-fetch-mode", mode), ("sec-fetch-dest", dest)]),
                    "{site} {mode}"
                );
            }
        }
    }

    #[test]
    fn who_is_a_stranger_signs_in_and_what_a_branch_runs_may_nothing() {
        let session = |kind| Session::begin(kind, SystemTime::now()).unwrap();
        let (visit, signed_in) = (session(Kind::Visit), session(Kind::SignedIn));
        let stranger = Who::Stranger("the request comes from another machine".to_owned());
        assert_eq!(may(&Who::Owner, None), May::All);
        assert!(matches!(may(&stranger, None), May::SignIn(_)));
        assert!(matches!(may(&stranger, Some(&visit)), May::SignIn(_)));
        assert_eq!(may(&stranger, Some(&signed_in)), May::All);
        for session in [None, Some(&visit), Some(&signed_in)] {
            assert!(matches!(may(&Who::OfTheSite, session), May::Nothing(_)));
        }
    }

    #[test]
    fn a_form_is_of_the_session_that_it_was_given_to() {
        let dir = tempfile::tempdir().unwrap();
        let secret = Token::load_or_create(&dir.path().join("page.token")).unwrap();
        let [own, other] = [(); 2].map(|()| Session::begin(Kind::Visit, SystemTime::now()).unwrap());
        let token = own.token(&secret);
        assert_eq!(unproven(Some(&own), Some(&token), &secret), None);
        assert!(unproven(Some(&other), Some(&token), &secret).is_some());
        assert!(unproven(Some(&own), None, &secret).is_some() && unproven(None, Some(&token), &secret).is_some());
    }
}
