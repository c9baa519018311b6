//! The address of a site's Git repository, and what follows from it.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use forkpress_core::name::BranchName;

use crate::output;
use crate::page;
use crate::site::Address;

/// What the path of a site's repository is.
const PATH: &str = "/site.git";

/// The address of a site's Git repository, such as `http://wp.localhost:18080/site.git`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// As it was given.
    url: String,
    /// The host, in lower case; an IPv6 address in brackets.
    host: String,
    port: u16,
    https: bool,
}

impl Remote {
    /// Takes an address; none where it is not one of a ForkPress site.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme))?;
        let https = scheme == "https";
        let authority = rest.trim_end_matches('/').strip_suffix(PATH)?;
        let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !host.starts_with('[') || host.ends_with(']') => (host, port.parse().ok()?),
            _ => (host, if https { 443 } else { 80 }),
        };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let is_literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_host = match is_literal {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && !host.contains(['/', ':', '@', '?', '#']),
        };
        is_host.then(|| Self { url: url.to_owned(), host, port, https })
    }

    /// The repository of a site that is served at `address`: by plain HTTP, since Git knows nothing of the authority.
    pub fn at(address: &Address) -> Self {
        let root = address.plain().host(&BranchName::main());
        Self { url: format!("http://{root}{PATH}"), host: address.root_host.clone(), port: address.port, https: false }
    }

    /// The address as git takes it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether its host is this very machine, by its name.
    pub fn is_on_this_machine(&self) -> bool {
        self.host == "localhost" || self.host.ends_with(".localhost") || self.is_loopback_address()
    }

    fn is_loopback_address(&self) -> bool {
        match self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback()),
            None => self.host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback()),
        }
    }

    /// The host name of `main`, where it can be told from the address alone: a site answers at no other one, but for
    /// loopback addresses and the name that `main` has among the branches.
    pub fn root_host(&self) -> Option<&str> {
        let is_address = self.host.starts_with('[') || self.host.parse::<Ipv4Addr>().is_ok();
        let is_other = is_address || self.host == "localhost" || self.host.starts_with("main.");
        (!is_other).then_some(&self.host)
    }

    /// Where the site is served, under the name that branches are below: as the address says, or as the site itself does.
    /// Nothing, and a word about that, where neither does.
    pub fn address(&self) -> Option<Address> {
        let told = self.root_host().map(str::to_owned).or_else(|| page::root_host_of(&self.host, self.port));
        if told.is_none() {
            output::note(format_args!(
                "forkpress: the site at {self} does not say under which host name its branches are, so no address is shown"
            ));
        }
        told.map(|root_host| Address { root_host, port: self.port, https: self.https })
    }
}

/// The address without a name and a token, which belong into no message.
impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = Address { root_host: self.host.clone(), port: self.port, https: self.https };
        write!(f, "{}{PATH}", address.url(&BranchName::main()).trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_previewed_at_the_host_of_its_remote() {
        let url = |remote: &str| Remote::parse(remote).unwrap().address().unwrap().url(&"sale".parse().unwrap());
        assert_eq!(url("http://wp.localhost:18080/site.git"), "http://sale.wp.localhost:18080/");
        assert_eq!(url("http://wp.example.test/site.git/"), "http://sale.wp.example.test/");
        assert_eq!(url("http://forkpress:t0ken@wp.localhost:18080/site.git"), "http://sale.wp.localhost:18080/");
        assert_eq!(url("https://wp.localhost:18080/site.git"), "https://sale.wp.localhost:18080/");
        assert_eq!(url("https://wp.example.test/site.git"), "https://sale.wp.example.test/");
    }

    #[test]
    fn only_a_root_host_is_taken_for_one() {
        let root_host = |host: &str| {
            let remote = Remote::parse(&format!("http://{host}:18080/site.git")).unwrap();
            remote.root_host().map(str::to_owned)
        };
        assert_eq!(root_host("WP.localhost.").as_deref(), Some("wp.localhost"));
        assert_eq!(root_host("wp.example.test").as_deref(), Some("wp.example.test"));
        for host in ["localhost", "127.0.0.1", "127.3.4.5", "192.0.2.7", "[::1]", "main.wp.localhost"] {
            assert_eq!(root_host(host), None, "{host}");
        }
        let is_here = |url: &str| Remote::parse(url).unwrap().is_on_this_machine();
        assert!(
            ["http://[::1]/site.git", "http://127.0.0.9:1/site.git", "http://x.localhost/site.git"]
                .map(is_here)
                .iter()
                .all(|is| *is)
        );
        assert!(!is_here("http://192.0.2.7/site.git") && !is_here("http://localhost.example/site.git"));
    }

    #[test]
    fn a_token_is_not_shown() {
        let remote = Remote::parse("http://forkpress:t0ken@wp.localhost:18080/site.git").unwrap();
        assert_eq!(remote.url(), "http://forkpress:t0ken@wp.localhost:18080/site.git");
        assert_eq!(remote.to_string(), "http://wp.localhost:18080/site.git");
    }

    #[test]
    fn what_is_no_site_is_none() {
        for url in [
            "",
            "site.git",
            "/srv/site.git",
            "http:///site.git",
            "http://[::1/site.git",
            "http://::1/site.git",
            "http://wp.localhost:x/site.git",
            "http://wp.localhost:18080/other.git",
            "http://wp.localhost:18080/deep/site.git",
            "ssh://wp.localhost/site.git",
            "git@host:site.git",
        ] {
            assert_eq!(Remote::parse(url), None, "{url}");
        }
    }

    #[test]
    fn the_repository_of_an_address_is_its_remote() {
        let address = Address { root_host: "wp.localhost".to_owned(), port: 80, https: false };
        let remote = Remote::at(&address);
        assert_eq!(Remote::parse(remote.url()), Some(remote.clone()));
        assert_eq!(remote.url(), "http://wp.localhost/site.git");
    }
}
