//! The path of a request target, decoded once. A path that the file system could read in another way than a person
//! reads the URL is refused here, before anything looks at a disk.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode};

use super::refusal::RouteRefusal;

/// All but the unreserved characters (RFC 3986, section 2.3).
const ENCODED_IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What parts folders from files, here or elsewhere.
const SEPARATORS: &AsciiSet = &AsciiSet::EMPTY.add(b'/').add(b'\\');

/// A path below a branch's folder. No segment is empty or holds NUL, and no part of one between `/` and `\` is `.` or `..`. A
/// segment that holds an encoded separator leads to no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetPath {
    pub(super) segments: Vec<Vec<u8>>,
    pub(super) trailing_slash: bool,
    pub(super) query: Option<Vec<u8>>,
}

impl TargetPath {
    /// Takes a request target in origin form (RFC 9112, section 3.2.1). Runs of slashes count as one.
    ///
    /// # Errors
    /// [`RouteRefusal`] 400 for any other form, a malformed encoding, raw control bytes, spaces, backslashes and `#`,
    /// and for NUL, `.` and `..` between slashes or backslashes in whatever encoding.
    pub fn parse(uri: &[u8]) -> Result<Self, RouteRefusal> {
        let malformed = || RouteRefusal::new(400, "Malformed request path");
        if uri.iter().any(|&b| b <= b' ' || b == 0x7f || b == b'#') {
            return Err(malformed());
        }
        let (path, query) = match uri.iter().position(|&b| b == b'?') {
            Some(at) => (&uri[..at], Some(uri[at + 1..].to_vec())),
            None => (uri, None),
        };
        let (b'/', rest) = path.split_first().ok_or_else(malformed)? else {
            return Err(malformed());
        };
        let mut segments = Vec::new();
        for encoded in rest.split(|&b| b == b'/').filter(|segment| !segment.is_empty()) {
            let segment = decode(encoded).ok_or_else(malformed)?;
            let is_dots = |part: &[u8]| part == b"." || part == b"..";
            if encoded.contains(&b'\\') || segment.contains(&0) || segment.split(is_separator).any(is_dots) {
                return Err(malformed());
            }
            segments.push(segment);
        }
        Ok(Self { segments, trailing_slash: path.ends_with(b"/"), query })
    }

    /// Whether a segment holds a slash or a backslash, which were encoded.
    pub(super) fn has_encoded_separator(&self) -> bool {
        self.segments.iter().flatten().any(is_separator)
    }

    /// What is between slashes and backslashes, encoded or not.
    pub(super) fn parts(&self) -> Vec<&[u8]> {
        self.segments.iter().flat_map(|segment| segment.split(is_separator)).filter(|part| !part.is_empty()).collect()
    }

    /// The decoded path. Starts with one `/`, and ends with one where the target's does. Slashes and backslashes that were
    /// encoded stay so.
    #[must_use]
    pub fn decoded(&self) -> Vec<u8> {
        let mut path = match self.has_encoded_separator() {
            false => joined(&self.segments),
            true => joined(
                &self
                    .segments
                    .iter()
                    .map(|segment| percent_encode(segment, SEPARATORS).to_string().into())
                    .collect::<Vec<_>>(),
            ),
        };
        if self.trailing_slash && !self.segments.is_empty() {
            path.push(b'/');
        }
        path
    }

    /// The request target of the folder that this path names without its slash.
    ///
    /// It starts with exactly one slash, so no browser takes it for another host's URL.
    pub(super) fn with_slash(&self) -> String {
        self.target(self.segments.iter().map(Vec::as_slice).chain([&b""[..]]))
    }

    /// The request target of what the segments name below a folder, with this one's query; none where they lead elsewhere.
    pub(super) fn below(&self, segments: &[Vec<u8>], folder: &str) -> Option<String> {
        let folders = folder.split('/').filter(|name| !name.is_empty());
        let rest = folders.map(str::as_bytes).try_fold(segments, |rest, name| {
            rest.split_first().filter(|(first, _)| first.as_slice() == name).map(|(_, rest)| rest)
        })?;
        (!rest.is_empty()).then(|| self.target(rest.iter().map(Vec::as_slice)))
    }

    /// The request target of the path's last name in a folder beside it.
    pub(super) fn in_folder(&self, folder: &str) -> String {
        let (last, others) = self.segments.split_last().map_or((&b""[..], &[][..]), |(last, others)| (last, others));
        self.target(others.iter().map(Vec::as_slice).chain([folder.as_bytes(), last]))
    }

    /// A request target of these segments, none of which but the last is empty, with this one's query.
    fn target<'a>(&self, segments: impl Iterator<Item = &'a [u8]>) -> String {
        let mut target = String::new();
        for segment in segments {
            target.push('/');
            target.extend(percent_encode(segment, ENCODED_IN_SEGMENT));
        }
        if let Some(query) = &self.query {
            target.push('?');
            target.extend(percent_encode(query, CONTROLS));
        }
        target
    }
}

/// The segments as one absolute path; `/` where there are none.
pub(super) fn joined(segments: &[Vec<u8>]) -> Vec<u8> {
    if segments.is_empty() {
        return b"/".to_vec();
    }
    segments.iter().flat_map(|segment| std::iter::once(b'/').chain(segment.iter().copied())).collect()
}

fn is_separator(byte: &u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// Decodes each `%XX`; `None` where a `%` is not followed by two hexadecimal digits.
fn decode(encoded: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: Option<&u8>| byte.and_then(|&byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.iter();
    while let Some(&byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?,
            _ => byte,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_once() {
        let cases: [(&str, &str); 9] = [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("//a///b//", "/a/b/"),
            ("/%61%2Db/caf%C3%A9?x=%2e%2e/..", "/a-b/café"),
            ("/café", "/café"),
            ("/a+b", "/a+b"),
            ("/%252e%252e/%2525", "/%2e%2e/%25"),
            ("/%252fetc", "/%2fetc"),
        ];
        for (uri, path) in cases {
            assert_eq!(TargetPath::parse(uri.as_bytes()).unwrap().decoded(), path.as_bytes(), "{uri}");
        }
    }

    #[test]
    fn a_path_that_no_honest_client_sends_is_refused() {
        let uris: [&[u8]; 35] = [
            b"",
            b"a",
            b"*",
            b"?a",
            b"http://evil.example/",
            b"//..//",
            b"/..",
            b"/../a",
            b"/a/..",
            b"/a/../b",
            b"/.",
            b"/./a",
            b"/%2e%2e/a",
            b"/%2E./a",
            b"/.%2e",
            b"/%2e",
            b"/a%2f..%2fb",
            b"/a%2F.%2fb",
            b"/..%2f",
            b"/a%5c.",
            b"/a%5C..%5cb",
            b"/..\\a",
            b"/a\\b",
            b"/a%00.php",
            b"/%00",
            b"/a\0b",
            b"/%",
            b"/%2",
            b"/%zz",
            b"/%+1",
            b"/%u002e",
            b"/a b",
            b"/a#b",
            b"/a\r\nb",
            b"/a\x7f",
        ];
        for uri in uris {
            let refusal = TargetPath::parse(uri).unwrap_err();
            assert_eq!(refusal.status, 400, "{:?}", String::from_utf8_lossy(uri));
        }
    }

    #[test]
    fn an_encoded_separator_is_part_of_its_segment_and_stays_encoded() {
        for (uri, decoded) in
            [("/site.git%2fx/", "/site.git%2Fx/"), ("/search/a%5Cb%20c/", "/search/a%5Cb c/"), ("/%2f%2f", "/%2F%2F")]
        {
            let path = TargetPath::parse(uri.as_bytes()).unwrap();
            assert!(path.has_encoded_separator());
            assert_eq!(path.decoded(), decoded.as_bytes());
        }
        assert_eq!(TargetPath::parse(b"/a%2f.git%5C/b").unwrap().parts(), [&b"a"[..], b".git", b"b"]);
    }

    #[test]
    fn an_overlong_encoding_of_a_dot_is_no_dot() {
        assert_eq!(TargetPath::parse(b"/%c0%ae%c0%ae/a").unwrap().decoded(), b"/\xc0\xae\xc0\xae/a");
    }

    #[test]
    fn a_redirect_to_the_folder_stays_on_the_host_and_keeps_the_query() {
        let cases = [
            ("/wp-admin?a=1&b=/", "/wp-admin/?a=1&b=/"),
            ("//evil.example", "/evil.example/"),
            ("/%0d%0aX:y?%0d%0a", "/%0D%0AX%3Ay/?%0d%0a"),
        ];
        for (uri, location) in cases {
            assert_eq!(TargetPath::parse(uri.as_bytes()).unwrap().with_slash(), location, "{uri}");
        }
    }
}
