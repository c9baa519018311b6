//! The addresses that a site ever had, and the one that a branch is served at.
//!
//! What is stored in a branch names the address that it was written at: that of another branch, perhaps of a deleted
//! one, at a former port or root host, or the one that an imported site had elsewhere. It stays as it is. What a branch
//! *serves* names the branch's own address in their place. That is decided here:
//!
//! - [`Addresses`] is the record of them.
//! - [`Known`] finds them in a text and puts the [`Own`] address there.
//! - [`Stream`] does so in a text that comes in pieces.
//! - [`answer`] decides which answers are looked at.

pub mod answer;
mod escape;
mod rewrite;
mod serialized;
mod splice;
mod stream;

use std::collections::BTreeSet;
use std::fmt;

pub use rewrite::{Known, Mapped, Source};
pub use stream::Stream;

use crate::name::BranchName;

/// The root host as it is written in an address of another branch that is meant to be one, as in the admin bar's menu: the last
/// letter is a capital one. Every program takes it for the same host, and nobody writes it so; it is sent in small letters.
#[must_use]
pub fn kept(root_host: &str) -> String {
    let mut kept = root_host.to_ascii_lowercase();
    if let Some(last) = kept.rfind(|c: char| c.is_ascii_lowercase()) {
        kept[last..=last].make_ascii_uppercase();
    }
    kept
}

/// An address that the site had and that is no branch's of a known root host: a host, a port where it is not the scheme's own,
/// and the folder that the site was in, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FormerHome {
    host: String,
    port: Option<u16>,
    path: String,
}

impl FormerHome {
    /// Takes a URL such as `https://example.com/blog/`, or the same without its scheme.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let url = url.trim();
        let rest = match url.split_once("://") {
            Some((scheme, rest)) => {
                ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()).then_some(rest)?
            }
            None => url,
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse::<u16>().ok()?)),
            None => (authority, None),
        };
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let is_host = !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c));
        let path = path.trim_end_matches('/');
        let is_path = path.bytes().all(|b| b.is_ascii_graphic() && !b"?#\"'<>\\&".contains(&b));
        let port = port.filter(|port| !is_default(*port));
        (is_host && is_path).then(|| Self { host, port, path: path.to_owned() })
    }

    /// The host, in small letters.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for FormerHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))?;
        f.write_str(&self.path)
    }
}

/// Whether a port is HTTP's or HTTPS's own, which no address names.
fn is_default(port: u16) -> bool {
    matches!(port, 80 | 443)
}

/// Every address that a site ever had. Each root host is meant with each branch below it, whether there is one still or not, and
/// at each port; each address with both schemes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    roots: BTreeSet<String>,
    ports: BTreeSet<u16>,
    homes: BTreeSet<FormerHome>,
}

/// What the record begins with.
const HEADER: &str = "# Every address that this site had. What a branch serves names the branch's own in their place: docs/addresses.md.\n";

impl Addresses {
    /// Reads a record. A line that says nothing known is passed over: a newer version may have written it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut addresses = Self::default();
        for (kind, value) in text.lines().filter_map(|line| line.trim().split_once(' ')) {
            match kind {
                "root" => drop(addresses.add_root(value)),
                "port" => drop(value.parse().map(|port| addresses.ports.insert(port))),
                "home" => drop(FormerHome::parse(value).map(|home| addresses.homes.insert(home))),
                _ => {}
            }
        }
        addresses
    }

    /// Adds a root host; says whether it is new.
    pub fn add_root(&mut self, host: &str) -> bool {
        let host = host.trim().trim_end_matches('.').to_ascii_lowercase();
        !host.is_empty() && self.roots.insert(host)
    }

    /// Adds a port; says whether it is new.
    pub fn add_port(&mut self, port: u16) -> bool {
        self.ports.insert(port)
    }

    /// Adds what a database calls the site's address, `siteurl` or `home`; says whether that is news. What is no URL is none.
    pub fn add_home(&mut self, url: &str) -> bool {
        let Some(home) = FormerHome::parse(url) else { return false };
        if !self.roots.iter().any(|root| is_below(&home.host, root)) {
            return self.homes.insert(home);
        }
        home.port.is_some_and(|port| self.add_port(port))
    }

    /// Only those that branches are served at.
    #[must_use]
    pub fn served(&self) -> Self {
        Self { homes: BTreeSet::new(), ..self.clone() }
    }

    /// The root hosts, and the hosts of other places.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.roots.iter().map(String::as_str).chain(self.homes.iter().map(FormerHome::host))
    }

    /// Whether an address of the site has, or had, this host name.
    #[must_use]
    pub fn has_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.homes.iter().any(|home| home.host == host) || self.roots.iter().any(|root| is_below(&host, root))
    }
}

/// Whether a host is that of `main` or of a branch.
fn is_below(host: &str, root: &str) -> bool {
    host.strip_suffix(root).is_some_and(|rest| {
        rest.is_empty() || rest.strip_suffix('.').is_some_and(|label| BranchName::parse(label).is_ok())
    })
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        self.roots.iter().try_for_each(|root| writeln!(f, "root {root}"))?;
        self.ports.iter().try_for_each(|port| writeln!(f, "port {port}"))?;
        self.homes.iter().try_for_each(|home| writeln!(f, "home {home}"))
    }
}

/// The address that the branch is served at now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    scheme: &'static str,
    host: String,
    port: Option<u16>,
    /// The folder that it is in, without a slash at its end.
    path: String,
}

impl Own {
    /// Takes an address such as `http://marketing.wp.localhost:18080`.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let scheme = ["http", "https"].into_iter().find(|known| scheme == *known)?;
        let port_at = authority.rfind(':').filter(|at| authority.rfind(']').is_none_or(|end| end < *at));
        let (host, port) = match port_at {
            Some(at) => (&authority[..at], Some(authority[at + 1..].parse().ok()?)),
            None => (authority, None),
        };
        Some(Self { scheme, host: host.to_ascii_lowercase(), port, path: path.trim_end_matches('/').to_owned() })
    }

    /// The host, and the port where the address names one: what WordPress calls a domain.
    #[must_use]
    pub fn domain(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }

    /// The folder that it is in, without a slash at its end; mostly "".
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The port; none where the address names none.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.domain(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_is_read() {
        let mut addresses = Addresses::default();
        assert!(addresses.add_root("WP.localhost."));
        assert!(addresses.add_port(18080) && !addresses.add_port(18080));
        assert!(addresses.add_home("https://Example.com:443/blog/"));
        assert!(addresses.add_home("http://localhost:8888"));
        let text = addresses.to_string();
        assert!(
            text.ends_with("root wp.localhost\nport 18080\nhome example.com/blog\nhome localhost:8888\n"),
            "{text}"
        );
        assert_eq!(Addresses::parse(&text), addresses);
        assert_eq!(Addresses::parse("a newer line\nport x\nhome :\n"), Addresses::default());
    }

    #[test]
    fn the_address_of_a_branch_is_a_port_and_no_home() {
        let mut addresses = Addresses::default();
        addresses.add_root("wp.localhost");
        assert!(addresses.add_home("http://marketing.wp.localhost:81/"));
        assert!(!addresses.add_home("http://wp.localhost"));
        assert!(
            addresses.has_host("wp.localhost")
                && addresses.has_host("A.wp.localhost")
                && !addresses.has_host("awp.localhost")
        );
        assert!(addresses.to_string().ends_with("root wp.localhost\nport 81\n"));
    }

    #[test]
    fn what_is_no_address_is_none() {
        for url in [
            "",
            "/",
            "ftp://example.com",
            "http://me@example.com",
            "http://a b/",
            "https://example.com/?x",
            "http://x:y/",
        ] {
            assert_eq!(FormerHome::parse(url), None, "{url}");
        }
        assert_eq!(Own::parse("ftp://x"), None);
        assert_eq!(Own::parse("https://[::1]:81").unwrap().to_string(), "https://[::1]:81");
        assert_eq!(Own::parse("https://[::1]").unwrap().port(), None);
        let own = Own::parse("https://Example.com:444/Blog/").unwrap();
        assert_eq!((own.to_string().as_str(), own.path()), ("https://example.com:444/Blog", "/Blog"));
    }
}
