//! What a request asks for, where it says so by a whole address or by HTTP/2.

use hyper::header::{CONTENT_LENGTH, HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, StatusCode, Uri, Version};

use super::check::Refused;
use crate::scheme::Scheme;

const NO_ADDRESS: Refused = (StatusCode::BAD_REQUEST, "A request asks for a path of this server");

/// Has a request that asks for `http://host/path` ask for `/path` there, as others do. It must name no other host as well.
pub(super) fn settle(head: &mut Parts) -> Result<(), Refused> {
    let Some(authority) = head.uri.authority() else { return Ok(()) };
    if !matches!(head.uri.scheme_str(), Some("http" | "https")) {
        return Err(NO_ADDRESS);
    }
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| NO_ADDRESS)?;
    let named = head.headers.entry(HOST).or_insert(host.clone());
    if !named.as_bytes().eq_ignore_ascii_case(host.as_bytes()) {
        return Err((StatusCode::BAD_REQUEST, "A request names one host"));
    }
    let path = head.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    head.uri = path.parse::<Uri>().map_err(|_| NO_ADDRESS)?;
    Ok(())
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

    #[test]
    fn a_whole_address_is_one_of_the_host_that_the_request_names() {
        for (address, host, path) in [
            ("/a?b", Some("wp.localhost"), Some("/a?b")),
            ("*", Some("wp.localhost"), Some("*")),
            ("http://wp.localhost:8080/a?b", Some("WP.localhost:8080"), Some("/a?b")),
            ("http://wp.localhost", Some("wp.localhost"), Some("/")),
            ("http://wp.localhost?b", Some("wp.localhost"), Some("/?b")),
            ("http://wp.localhost/a", None, Some("/a")),
            ("http://wp.localhost//a", Some("wp.localhost"), Some("//a")),
            ("http://other.wp.localhost/", Some("wp.localhost"), None),
            ("http://wp.localhost:80/", Some("wp.localhost"), None),
            ("http://me@wp.localhost/", Some("wp.localhost"), None),
            ("ftp://wp.localhost/", Some("wp.localhost"), None),
        ] {
            let mut request = Request::builder().uri(address);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            let mut head = request.body(()).unwrap().into_parts().0;
            let settled = settle(&mut head).ok().map(|()| head.uri.to_string());
            assert_eq!(settled.as_deref(), path, "{address}");
            assert_eq!(head.headers.contains_key(HOST), host.is_some() || path.is_some(), "{address}");
        }
    }

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
