//! What a request to `/site.git` is, and who may make it. Pure: nothing here looks at a disk.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use forkpress_core::name::BranchName;
use forkpress_core::token::Token;

/// A request as CGI has it in the environment.
pub trait Cgi {
    /// The value of a variable; none where it is not set or empty.
    fn get(&self, name: &str) -> Option<String>;
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpRefusal {
    /// A page in a browser made it.
    Browser,
    /// It comes from elsewhere, and pushing needs the token.
    NoToken,
    /// There is nothing at this path.
    NotFound,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// The refs, for a fetch.
    FetchRefs,
    /// The refs, for a push.
    PushRefs,
    /// What a client that speaks version 2 says to fetch: see [`asks_for_refs`].
    Version2,
    /// Objects.
    Fetch,
    /// A push.
    Push,
    /// What the server can do, for a client that speaks version 2. No ref is in it.
    Refs2,
}

/// Decides what a request asks for, and whether it may.
///
/// `token` is the site's where pushing needs it.
///
/// # Errors
/// [`HttpRefusal::Browser`] when a page in a browser made it; [`HttpRefusal::NoToken`] when it would push and
/// has not the token that it needs; [`HttpRefusal::NotFound`] when there is nothing at its path.
pub fn decide(cgi: &dyn Cgi, token: Option<&Token>) -> Result<Service, HttpRefusal> {
    // No `git` sends these, and every browser does when a page of another site makes it send something.
    let of_another_site = |site: String| !matches!(site.as_str(), "none" | "same-origin");
    if cgi.get("HTTP_ORIGIN").is_some() || cgi.get("HTTP_SEC_FETCH_SITE").is_some_and(of_another_site) {
        return Err(HttpRefusal::Browser);
    }
    let service = service(cgi).ok_or(HttpRefusal::NotFound)?;
    let pushes = matches!(service, Service::PushRefs | Service::Push);
    if pushes && token.is_some_and(|token| !is_in(token, cgi.get("HTTP_AUTHORIZATION"))) {
        return Err(HttpRefusal::NoToken);
    }
    Ok(service)
}

fn service(cgi: &dyn Cgi) -> Option<Service> {
    let is_version_2 = cgi.get("HTTP_GIT_PROTOCOL").is_some_and(|said| said.split(':').any(|part| part == "version=2"));
    let asked = cgi.get("QUERY_STRING").unwrap_or_default();
    let asks_for = |service: &str| asked.split('&').any(|part| part.strip_prefix("service=") == Some(service));
    Some(match (cgi.get("REQUEST_METHOD")?.as_str(), cgi.get("PATH_INFO")?.as_str()) {
        ("GET" | "HEAD", "/info/refs") if asks_for("git-receive-pack") => Service::PushRefs,
        ("GET" | "HEAD", "/info/refs") if asks_for("git-upload-pack") && is_version_2 => Service::Refs2,
        ("GET" | "HEAD", "/info/refs") if asks_for("git-upload-pack") => Service::FetchRefs,
        ("POST", "/git-upload-pack") if is_version_2 => Service::Version2,
        ("POST", "/git-upload-pack") => Service::Fetch,
        ("POST", "/git-receive-pack") => Service::Push,
        // The protocol that serves the repository's files would show refs and objects that no longer are what they were.
        _ => return None,
    })
}

/// Whether the token is in the value of an `Authorization` header: as a bearer token, or as the password of anybody.
fn is_in(token: &Token, authorization: Option<String>) -> bool {
    let authorization = authorization.unwrap_or_default();
    let Some((scheme, value)) = authorization.split_once(' ') else { return false };
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return token.matches(value.as_bytes());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return false;
    }
    let Some(decoded) = decode_base64(value.as_bytes()) else { return false };
    let password = decoded.iter().position(|byte| *byte == b':').map(|colon| &decoded[colon + 1..]);
    password.is_some_and(|password| token.matches(password))
}

/// Clients pad their base64, or don't: what begins with padding is not looked at.
fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone);
    let text = text.split(|byte| *byte == b'=').next()?;
    GeneralPurpose::new(&STANDARD, LENIENT).decode(text).ok()
}

/// What refs a request of version 2 asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// None: it asks for objects.
    None,
    /// Those of all branches.
    All,
    /// Those of the branches whose names begin with one of these.
    Beginning(Vec<String>),
}

impl Asked {
    /// Whether the ref of a branch is among them.
    #[must_use]
    pub fn includes(&self, name: &BranchName) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Beginning(starts) => starts.iter().any(|start| name.as_str().starts_with(start)),
        }
    }

    /// Whether it is this branch that is asked for, and not every one.
    #[must_use]
    pub fn names(&self, name: &BranchName) -> bool {
        match self {
            Self::None | Self::All => false,
            Self::Beginning(starts) => {
                !starts.iter().any(String::is_empty) && starts.iter().any(|start| start == name.as_str())
            }
        }
    }
}

/// Reads what a client that speaks version 2 asks for (gitprotocol-v2). What can't be read, as it is compressed, may ask for
/// every ref.
#[must_use]
pub fn asks_for_refs(body: &[u8]) -> Asked {
    let Some(lines) = lines(body) else { return Asked::All };
    if !lines.contains(&b"command=ls-refs".as_slice()) {
        return Asked::None;
    }
    let prefixes: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix(b"ref-prefix ")).collect();
    if prefixes.is_empty() {
        return Asked::All;
    }
    let starts = prefixes.into_iter().filter_map(|prefix| {
        let prefix = std::str::from_utf8(prefix).ok()?;
        match prefix.strip_prefix(HEADS) {
            _ if prefix == "HEAD" => Some(BranchName::MAIN.to_owned()),
            Some(name) => Some(name.to_owned()),
            None => HEADS.starts_with(prefix).then(String::new),
        }
    });
    Asked::Beginning(starts.collect())
}

const HEADS: &str = "refs/heads/";

/// How many digits say how long a line is, which counts them in.
const LENGTH_BYTES: usize = 4;

/// A line of the protocol: its length and its text, of which a reader takes so much and no more.
#[must_use]
pub fn line(text: &[u8]) -> Vec<u8> {
    const MOST_BYTES: usize = 65_516;
    let text = &text[..text.len().min(MOST_BYTES)];
    [format!("{:04x}", text.len() + LENGTH_BYTES).as_bytes(), text].concat()
}

/// The lines of a request, each of which follows its length in four hexadecimal digits, without their line breaks.
fn lines(mut rest: &[u8]) -> Option<Vec<&[u8]>> {
    let mut lines = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_at_checked(LENGTH_BYTES)?;
        let length = usize::from_str_radix(std::str::from_utf8(length).ok()?, 16).ok()?;
        // Less than the length's own length is the end, or stands between two parts.
        let (line, after) = after.split_at_checked(length.saturating_sub(LENGTH_BYTES))?;
        rest = after;
        lines.push(line.strip_suffix(b"\n").unwrap_or(line));
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    impl Cgi for HashMap<&str, &str> {
        fn get(&self, name: &str) -> Option<String> {
            HashMap::get(self, name).map(|value| (*value).to_owned())
        }
    }

    fn request<'a>(method: &'a str, path: &'a str, query: &'a str) -> HashMap<&'a str, &'a str> {
        HashMap::from([("REQUEST_METHOD", method), ("PATH_INFO", path), ("QUERY_STRING", query)])
    }

    #[test]
    fn only_the_smart_protocol_is_answered() {
        let ask = |method, path, query| decide(&request(method, path, query), None);
        assert_eq!(ask("GET", "/info/refs", "service=git-upload-pack"), Ok(Service::FetchRefs));
        assert_eq!(ask("GET", "/info/refs", "service=git-receive-pack"), Ok(Service::PushRefs));
        assert_eq!(ask("POST", "/git-upload-pack", ""), Ok(Service::Fetch));
        assert_eq!(ask("POST", "/git-receive-pack", ""), Ok(Service::Push));
        for (method, path) in [
            ("GET", "/info/refs"),
            ("GET", "/HEAD"),
            ("GET", "/objects/info/packs"),
            ("GET", "/"),
            ("GET", "/config"),
            ("PUT", "/git-upload-pack"),
            ("GET", "/git-receive-pack"),
            ("POST", "/git-upload-archive"),
        ] {
            assert_eq!(ask(method, path, ""), Err(HttpRefusal::NotFound), "{method} {path}");
        }
        let mut fetch = request("GET", "/info/refs", "service=git-upload-pack");
        fetch.insert("HTTP_GIT_PROTOCOL", "version=2");
        assert_eq!(decide(&fetch, None), Ok(Service::Refs2));
        let mut fetch = request("POST", "/git-upload-pack", "");
        fetch.insert("HTTP_GIT_PROTOCOL", "a=b:version=2");
        assert_eq!(decide(&fetch, None), Ok(Service::Version2));
    }

    #[test]
    fn a_page_in_a_browser_is_refused() {
        for (name, value) in [
            ("HTTP_ORIGIN", "http://evil.example"),
            ("HTTP_ORIGIN", "null"),
            ("HTTP_SEC_FETCH_SITE", "cross-site"),
            ("HTTP_SEC_FETCH_SITE", "same-site"),
        ] {
            let mut push = request("POST", "/git-receive-pack", "");
            push.insert(name, value);
            assert_eq!(decide(&push, None), Err(HttpRefusal::Browser), "{name} {value}");
        }
    }

    #[test]
    fn pushing_needs_the_token_where_there_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let token = Token::load_or_create(&dir.path().join("git.token")).unwrap();
        let ask = |request: &HashMap<&str, &str>| decide(request, Some(&token));
        assert_eq!(ask(&request("POST", "/git-upload-pack", "")), Ok(Service::Fetch));
        let push = |authorization: &str| {
            let mut push = request("POST", "/git-receive-pack", "");
            push.insert("HTTP_AUTHORIZATION", authorization);
            ask(&push)
        };
        assert_eq!(ask(&request("GET", "/info/refs", "service=git-receive-pack")), Err(HttpRefusal::NoToken));
        for wrong in ["", "Bearer", "Bearer x", "Basic x", "Basic !", "Basic YTpi", token.as_str()] {
            assert_eq!(push(wrong), Err(HttpRefusal::NoToken), "{wrong}");
        }
        assert_eq!(push(&format!("Bearer {}", token.as_str())), Ok(Service::Push));
        // Names of all lengths, so that there are two, one and no characters of padding.
        for name in ["any", "an", "a", ""] {
            let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{}", token.as_str()));
            assert_eq!(push(&format!("basic {encoded}")), Ok(Service::Push), "{encoded}");
            let bare = encoded.trim_end_matches('=');
            assert_eq!(push(&format!("Basic {bare}")), Ok(Service::Push), "{bare}");
            assert_eq!(push(&format!("Basic {bare}=")), Ok(Service::Push), "{bare}=");
        }
    }

    #[test]
    fn a_line_is_never_longer_than_a_reader_takes() {
        assert_eq!(line(b"ERR no\n"), b"000bERR no\n");
        assert_eq!((line(&[b'x'; 70_000]).len(), &line(&[b'x'; 70_000])[..4]), (65_520, &b"fff0"[..]));
    }

    #[test]
    fn which_refs_are_asked_for_is_in_the_request() {
        let line = |text: &str| format!("{:04x}{text}\n", text.len() + 5);
        let asked = |lines: &[&str]| {
            let lines: String = lines.iter().map(|text| line(text)).collect();
            asks_for_refs(format!("{}{}0001{lines}0000", line("command=ls-refs"), line("agent=git/2")).as_bytes())
        };
        assert_eq!(asked(&["peel", "symrefs"]), Asked::All);
        assert_eq!(
            asked(&["ref-prefix refs/heads/", "ref-prefix HEAD"]),
            Asked::Beginning(vec![String::new(), "main".into()])
        );
        assert_eq!(asked(&["ref-prefix refs/"]), Asked::Beginning(vec![String::new()]));
        let one = asked(&["ref-prefix x", "ref-prefix refs/x", "ref-prefix refs/tags/x", "ref-prefix refs/heads/x"]);
        assert_eq!(one, Asked::Beginning(vec!["x".into()]));
        assert!(one.includes(&"x2".parse().unwrap()) && !one.includes(&BranchName::main()));
        assert!(one.names(&"x".parse().unwrap()) && !one.names(&"x2".parse().unwrap()));
        assert!(!asked(&["ref-prefix refs/heads/", "ref-prefix HEAD"]).names(&BranchName::main()));
        assert_eq!(asks_for_refs(format!("{}0000", line("command=fetch")).as_bytes()), Asked::None);
        for unreadable in [b"\x1f\x8b\x08\0compressed".as_slice(), b"zzzz", b"00ffshort", b"001"] {
            assert_eq!(asks_for_refs(unreadable), Asked::All);
        }
    }
}
