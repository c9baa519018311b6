//! The answer to a request for a file that is sent as it is.

use super::coding;
use super::conditional::{Conditions, Selection};
use super::encoded::Encoded;
use super::media;
use super::path::TargetPath;
use super::version::FileVersion;

/// The bytes of a file that an answer sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    /// Where they start, in bytes.
    pub offset: u64,
    /// How many they are.
    pub length: u64,
    /// The version of the file that the answer's headers describe.
    pub version: FileVersion,
}

/// A status, headers and what of a file follows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// What is sent of the file; `None` where nothing is.
    pub body: Option<Body>,
    /// How it is sent; `None`: as it is. How long it is then is not in the headers, and for `HEAD` there is a body, too, which is
    /// not sent: who compresses it knows its length.
    pub encoded: Option<Encoded>,
}

impl Response {
    /// The answer to a request for the file at `path`, whose last segment is `name` on disk.
    pub(super) fn of_file(
        path: &TargetPath,
        name: &[u8],
        version: FileVersion,
        encoded: Option<Encoded>,
        conditions: &Conditions<'_>,
    ) -> Self {
        let nosniff = ("X-Content-Type-Options", "nosniff".to_owned());
        let bare = |status, headers| Self { status, headers, body: None, encoded: None };
        if !matches!(conditions.method, b"GET" | b"HEAD") {
            return bare(405, vec![("Allow", "GET, HEAD".to_owned()), nosniff]);
        }
        let media_type = media::media_type(name);
        let etag = encoded.as_ref().map_or_else(|| version.etag(), |encoded| encoded.etag(&version));
        let selection = conditions.select(&version, &etag);
        let mut headers = vec![
            ("ETag", etag),
            ("Last-Modified", httpdate::fmt_http_date(version.last_modified())),
            ("Cache-Control", cache_control(path).to_owned()),
            nosniff,
        ];
        if conditions.codings.is_some() && coding::is_compressible(media_type) {
            headers.push(("Vary", "Accept-Encoding".to_owned()));
        }
        let (status, offset, length) = match selection {
            Selection::Full => (200, 0, version.size),
            Selection::Part { first, last } => {
                headers.push(("Content-Range", format!("bytes {first}-{last}/{}", version.size)));
                (206, first, last - first + 1)
            }
            Selection::NotModified => return bare(304, headers),
            Selection::PreconditionFailed => return bare(412, headers),
            Selection::RangeNotSatisfiable => {
                headers.push(("Content-Range", format!("bytes */{}", version.size)));
                return bare(416, headers);
            }
        };
        headers.push(("Content-Type", media_type.to_owned()));
        match &encoded {
            Some(encoded) => headers.push(("Content-Encoding", encoded.coding.name().to_owned())),
            None => {
                headers.push(("Content-Length", length.to_string()));
                headers.push(("Accept-Ranges", "bytes".to_owned()));
            }
        }
        let has_body = conditions.method == b"GET" || encoded.is_some();
        Self { status, headers, body: has_body.then_some(Body { offset, length, version }), encoded }
    }
}

/// WordPress's own assets carry its version in their URL. All else is asked for anew each time, so an edit shows at once.
fn cache_control(path: &TargetPath) -> &'static str {
    let of_core = path.segments.first().is_some_and(|first| matches!(&first[..], b"wp-includes" | b"wp-admin"));
    let versioned = path.query.as_ref().is_some_and(|query| {
        query.split(|&b| b == b'&').any(|pair| pair.strip_prefix(b"ver=").is_some_and(|ver| !ver.is_empty()))
    });
    if of_core && versioned { "public, max-age=86400" } else { "no-cache" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: FileVersion =
        FileVersion { size: 1000, modified: 784_111_777, modified_nanos: 1, inode: 7, device: 1, changed: (0, 0) };

    fn response(uri: &str, conditions: &Conditions<'_>) -> Response {
        let path = TargetPath::parse(uri.as_bytes()).unwrap();
        let name = path.segments.last().unwrap().clone();
        Response::of_file(&path, &name, VERSION, None, conditions)
    }

    fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
        response.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    fn get() -> Conditions<'static> {
        Conditions { method: b"GET", ..Conditions::default() }
    }

    #[test]
    fn a_file_is_sent_with_its_type_length_and_validators() {
        let whole = response("/a/Style.CSS", &get());
        assert_eq!(whole.status, 200);
        assert_eq!(whole.body, Some(Body { offset: 0, length: 1000, version: VERSION }));
        assert_eq!(header(&whole, "Content-Type"), Some("text/css; charset=utf-8"));
        assert_eq!(header(&whole, "Content-Length"), Some("1000"));
        assert_eq!(header(&whole, "Last-Modified"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(header(&whole, "ETag"), Some(VERSION.etag().as_str()));
        assert_eq!(header(&whole, "Accept-Ranges"), Some("bytes"));
        assert_eq!(header(&whole, "X-Content-Type-Options"), Some("nosniff"));
    }

    #[test]
    fn a_time_that_no_date_can_hold_is_the_last_one() {
        let version = FileVersion { modified: u64::MAX, ..VERSION };
        let path = TargetPath::parse(b"/a.css").unwrap();
        let response = Response::of_file(&path, b"a.css", version, None, &get());
        assert_eq!(header(&response, "Last-Modified"), Some("Fri, 31 Dec 9999 23:59:59 GMT"));
    }

    #[test]
    fn head_sends_the_headers_of_get_and_no_body() {
        let head = response("/a.css", &Conditions { method: b"HEAD", ..get() });
        assert_eq!(head, Response { body: None, ..response("/a.css", &get()) });
    }

    #[test]
    fn any_other_method_is_not_allowed() {
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get", ""] {
            let refused = response("/a.css", &Conditions { method: method.as_bytes(), ..get() });
            assert_eq!((refused.status, header(&refused, "Allow"), refused.body), (405, Some("GET, HEAD"), None));
        }
    }

    #[test]
    fn a_part_is_sent_with_its_place() {
        let part = response("/a.css", &Conditions { range: Some(b"bytes=-10"), ..get() });
        assert_eq!(part.status, 206);
        assert_eq!(part.body, Some(Body { offset: 990, length: 10, version: VERSION }));
        assert_eq!(header(&part, "Content-Range"), Some("bytes 990-999/1000"));
        assert_eq!(header(&part, "Content-Length"), Some("10"));
        let beyond = response("/a.css", &Conditions { range: Some(b"bytes=1000-"), ..get() });
        assert_eq!((beyond.status, header(&beyond, "Content-Range"), beyond.body), (416, Some("bytes */1000"), None));
    }

    #[test]
    fn what_the_client_has_is_answered_with_validators_alone() {
        let etag = VERSION.etag();
        let known = response("/a.css", &Conditions { if_none_match: Some(etag.as_bytes()), ..get() });
        assert_eq!((known.status, header(&known, "ETag"), known.body), (304, Some(etag.as_str()), None));
        assert_eq!(header(&known, "Content-Length"), None);
    }

    #[test]
    fn only_versioned_assets_of_wordpress_itself_are_kept() {
        for uri in ["/wp-includes/a.js?ver=6.8", "/wp-admin/css/a.css?a=b&ver=6.8"] {
            assert_eq!(header(&response(uri, &get()), "Cache-Control"), Some("public, max-age=86400"), "{uri}");
        }
        for uri in [
            "/wp-includes/a.js",
            "/wp-includes/a.js?ver=",
            "/wp-includes/a.js?nover=1",
            "/wp-includes.js?ver=1",
            "/wp-content/a.js?ver=1",
            "/x/wp-admin/a.js?ver=1",
        ] {
            assert_eq!(header(&response(uri, &get()), "Cache-Control"), Some("no-cache"), "{uri}");
        }
    }

    #[test]
    fn a_script_a_font_a_picture_and_a_model_have_their_types() {
        for (uri, media) in [
            ("/a.cjs", "text/javascript; charset=utf-8"),
            ("/a.mjs", "text/javascript; charset=utf-8"),
            ("/a.wasm", "application/wasm"),
            ("/a.avif", "image/avif"),
            ("/a.woff2", "font/woff2"),
            ("/a.webmanifest", "application/manifest+json"),
            ("/a.js.map", "application/json"),
            ("/a.heif", "image/heif"),
            ("/a.glb", "model/gltf-binary"),
            ("/a.m4b", "audio/mp4"),
            ("/a.3gp", "video/3gpp"),
        ] {
            assert_eq!(header(&response(uri, &get()), "Content-Type"), Some(media), "{uri}");
        }
    }

    #[test]
    fn what_has_no_known_ending_is_bytes() {
        for uri in ["/a", "/a.exe", "/css", "/a."] {
            assert_eq!(header(&response(uri, &get()), "Content-Type"), Some("application/octet-stream"), "{uri}");
        }
    }
}
