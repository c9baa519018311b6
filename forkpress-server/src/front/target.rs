//! What a request asks for, where it says so by a whole address.

use hyper::header::{HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::{StatusCode, Uri};

use super::request::Refused;

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
}
