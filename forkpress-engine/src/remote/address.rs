//! The address of a folder on another machine, as it is typed. Pure.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use percent_encoding::percent_decode;

use super::error::{AddressFault, RemoteError};

/// How such an address begins.
const SCHEME: &str = "ssh://";

/// A folder on another machine: `ssh://[user@]host[:port]/path`, or `[user@]host:path` as scp has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The user; none: as ssh's own settings have it.
    pub(super) user: Option<String>,
    /// A name, an address, or what ssh's own settings call a host.
    pub(super) host: String,
    /// The port; none: as ssh's own settings have it.
    pub(super) port: Option<u16>,
    /// Begins with `/`, or with `./` where it begins at the user's own folder there.
    pub(super) path: Vec<u8>,
}

impl Address {
    /// Reads what is called a source; none where that is a path on this machine. What is there counts as a path, whatever
    /// it is called, unless it begins with `ssh://`.
    ///
    /// # Errors
    /// [`RemoteError::Address`] where it is an address, and one that is not to be handed to ssh.
    pub fn of(source: &Path) -> Result<Option<Self>, RemoteError> {
        let text = source.as_os_str().as_bytes();
        let fault =
            |fault| RemoteError::Address { given: String::from_utf8_lossy(hide_password(text)).into_owned(), fault };
        if text.len() >= SCHEME.len() && text[..SCHEME.len()].eq_ignore_ascii_case(SCHEME.as_bytes()) {
            return parse_url(&text[SCHEME.len()..]).map(Some).map_err(fault);
        }
        if source.symlink_metadata().is_ok() {
            return Ok(None);
        }
        parse_scp(text).transpose().map_err(fault)
    }

    /// The host with the user, as one types it after `ssh`.
    pub(super) fn login(&self) -> String {
        let user = self.user.as_ref().map_or_else(String::new, |user| format!("{user}@"));
        let port = self.port.map_or_else(String::new, |port| format!("-p {port} "));
        format!("{port}{user}{}", self.host)
    }

    /// The same machine and user, with another path, which may be none that can be typed.
    pub(super) fn at(&self, path: &[u8]) -> Self {
        let joined = [self.path.strip_suffix(b"/").unwrap_or(&self.path), b"/", path].concat();
        Self { path: joined, ..self.clone() }
    }

    /// The last name of the path, or the host.
    #[must_use]
    pub fn word(&self) -> String {
        let name = self.path.split(|byte| *byte == b'/').rfind(|name| !matches!(*name, b"" | b"."));
        let name = name.map(String::from_utf8_lossy);
        format!("{}{}", self.host, name.map_or_else(String::new, |name| format!(":{name}")))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map_or_else(String::new, |user| format!("{user}@"));
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let port = self.port.map_or_else(String::new, |port| format!(":{port}"));
        let path = String::from_utf8_lossy(&self.path);
        let path = path.strip_prefix('.').map_or_else(|| path.to_string(), |own| format!("/~{own}"));
        write!(f, "{SCHEME}{user}{host}{port}{path}")
    }
}

/// What of an address may be shown: all after a password.
fn hide_password(text: &[u8]) -> &[u8] {
    let end = text.iter().skip(SCHEME.len()).position(|byte| *byte == b'/').map_or(text.len(), |at| at + SCHEME.len());
    let has_password = |at: &usize| text.get(SCHEME.len()..*at).is_some_and(|user| user.contains(&b':'));
    text[..end].iter().rposition(|byte| *byte == b'@').filter(has_password).map_or(text, |at| &text[at + 1..])
}

fn parse_url(rest: &[u8]) -> Result<Address, AddressFault> {
    let (authority, path) = match rest.iter().position(|byte| *byte == b'/') {
        Some(at) => (&rest[..at], &rest[at..]),
        None => return Err(AddressFault::NoPath),
    };
    let authority = std::str::from_utf8(authority).map_err(|_| AddressFault::Host)?;
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    if user.is_some_and(|user| user.contains(':')) {
        return Err(AddressFault::Password);
    }
    let user = user.map(|user| percent_decode(user.as_bytes()).decode_utf8().map_err(|_| AddressFault::User));
    let user = user.transpose()?.map(|user| user.into_owned());
    let (host, port) = match place.strip_prefix('[') {
        Some(bracketed) => {
            let (host, after) = bracketed.split_once(']').ok_or(AddressFault::Host)?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or(AddressFault::Host)?) })
        }
        None => place.rsplit_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map(|port| port.parse().ok().filter(|port| *port > 0).ok_or(AddressFault::Port)).transpose()?;
    let path: Vec<u8> = percent_decode(path).collect();
    // As Git has it.
    let path = match path.strip_prefix(b"/~") {
        Some(own) if own.is_empty() || own.starts_with(b"/") => [b".", own].concat(),
        Some(_) => return Err(AddressFault::Tilde),
        None => path,
    };
    checked(user, host, port, path)
}

/// Reads `[user@]host:path`: a colon before any slash, as scp tells it from a path.
fn parse_scp(text: &[u8]) -> Option<Result<Address, AddressFault>> {
    let colon = text.iter().position(|byte| *byte == b':')?;
    let (before, path) = (std::str::from_utf8(&text[..colon]).ok()?, &text[colon + 1..]);
    let (user, host) = before.rsplit_once('@').map_or((None, before), |(user, host)| (Some(user), host));
    if before.contains('/') || host.is_empty() || path.is_empty() {
        return None;
    }
    let path = match path {
        [b'/', ..] => path.to_owned(),
        b"~" => b".".to_vec(),
        [b'~', b'/', own @ ..] => [b"./", own].concat(),
        [b'~', ..] => return Some(Err(AddressFault::Tilde)),
        own => [b"./", own].concat(),
    };
    Some(checked(user.map(str::to_owned), host, None, path))
}

/// Refuses what ssh, or a command that its settings make of it, could take for something else.
fn checked(user: Option<String>, host: &str, port: Option<u16>, path: Vec<u8>) -> Result<Address, AddressFault> {
    let is_plain = |text: &str, others: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
    };
    if !is_plain(host, "._-:%") {
        return Err(AddressFault::Host);
    }
    if !user.as_deref().is_none_or(|user| is_plain(user, "._-+@~")) {
        return Err(AddressFault::User);
    }
    if path.contains(&0) {
        return Err(AddressFault::Nul);
    }
    Ok(Address { user, host: host.to_owned(), port, path })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn parsed(text: &str) -> Result<Option<Address>, AddressFault> {
        Address::of(Path::new(OsStr::new(text))).map_err(|error| match error {
            RemoteError::Address { fault, .. } => fault,
            other => panic!("{other}"),
        })
    }

    fn parts(text: &str) -> (Option<String>, String, Option<u16>, String) {
        let address = parsed(text).unwrap().unwrap();
        (address.user, address.host, address.port, String::from_utf8(address.path).unwrap())
    }

    #[test]
    fn urls_and_scps_form_are_read() {
        let own = |text: &str| Some(text.to_owned());
        for (text, user, host, port, path) in [
            ("ssh://me@a.example:2222/srv/www", own("me"), "a.example", Some(2222), "/srv/www"),
            ("SSH://a.example/", None, "a.example", None, "/"),
            ("ssh://[::1]:22/x", None, "::1", Some(22), "/x"),
            ("ssh://[fe80::1%25eth0]/x", None, "fe80::1%25eth0", None, "/x"),
            ("ssh://site+me%40x@alias_1/~/public%20html", own("site+me@x"), "alias_1", None, "./public html"),
            ("ssh://a/~", None, "a", None, "."),
            ("ssh://a/it's \"-x\"\n$(y)", None, "a", None, "/it's \"-x\"\n$(y)"),
            ("me@a.example:/srv/www", own("me"), "a.example", None, "/srv/www"),
            ("alias:www", None, "alias", None, "./www"),
            ("alias:~/www", None, "alias", None, "./www"),
            ("alias:-x", None, "alias", None, "./-x"),
        ] {
            assert_eq!(parts(text), (user, host.to_owned(), port, path.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_path_on_this_machine_is_no_address() {
        let dir = tempfile::tempdir().unwrap();
        let odd = dir.path().join("a:b");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(Address::of(&odd).unwrap(), None);
        for text in ["backup.zip", "./a:b", "/a:b", "a/b:c", ":x", "a:", "https//x"] {
            assert_eq!(parsed(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn what_ssh_could_take_for_an_option_or_a_shell_for_a_command_is_refused() {
        for (text, fault) in [
            ("ssh://-oProxyCommand=x/y", AddressFault::Host),
            ("ssh:///x", AddressFault::Host),
            ("ssh://a b/x", AddressFault::Host),
            ("ssh://a;b/x", AddressFault::Host),
            ("ssh://a`b`/x", AddressFault::Host),
            ("ssh://$(b)/x", AddressFault::Host),
            ("ssh://[::1/x", AddressFault::Host),
            ("-oProxyCommand=x:/y", AddressFault::Host),
            ("ssh://-l@a/x", AddressFault::User),
            ("ssh://a%27b@a/x", AddressFault::User),
            ("ssh://a%0ab@a/x", AddressFault::User),
            ("-x@a:/x", AddressFault::User),
            ("ssh://me:secret@a/x", AddressFault::Password),
            ("ssh://a:0/x", AddressFault::Port),
            ("ssh://a:70000/x", AddressFault::Port),
            ("ssh://a:-1/x", AddressFault::Port),
            ("ssh://a", AddressFault::NoPath),
            ("ssh://a/~other/x", AddressFault::Tilde),
            ("a:~other/x", AddressFault::Tilde),
            ("ssh://a/x%00y", AddressFault::Nul),
        ] {
            assert_eq!(parsed(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let error = Address::of(Path::new("ssh://me:secret@a/x")).unwrap_err().to_string();
        assert!(!error.contains("secret") && error.contains("a/x"), "{error}");
    }

    #[test]
    fn an_address_is_shown_as_it_is_typed() {
        for text in ["ssh://me@a:22/b c", "ssh://a/~/b", "ssh://[::1]/x"] {
            assert_eq!(parsed(text).unwrap().unwrap().to_string(), text);
        }
        let address = parsed("ssh://me@a:22/b/").unwrap().unwrap();
        assert_eq!((address.login(), address.word()), ("-p 22 me@a".to_owned(), "a:b".to_owned()));
        assert_eq!(address.at(b"www").to_string(), "ssh://me@a:22/b/www");
    }
}
