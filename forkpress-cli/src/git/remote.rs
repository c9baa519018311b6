//! The address of a site's Git repository, and what follows from it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use forkpress_core::name::BranchName;
use forkpress_engine::registry::Server;

use crate::failure::Failure;
use crate::output;
use crate::page;
use crate::site::{self, Address};

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

    /// The repository of a site that is served at `address`.
    pub fn at(address: &Address) -> Self {
        let Address { root_host, port, https } = address.clone();
        Self { url: url(address), host: root_host, port, https }
    }

    /// One that a hint may name: of a site that is served, if there is one.
    pub fn example() -> Self {
        let running = site::running().unwrap_or_default();
        let usual = || Address { root_host: "wp.localhost".to_owned(), port: 18080, https: false };
        Self::at(&running.first().map_or_else(usual, Address::from))
    }

    /// The address as git takes it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it is reached by HTTPS.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Whether another one is of the same site: a server answers by HTTP and by HTTPS at one port.
    pub fn is_of_site_of(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }

    /// The server of this user that answers there, if one does.
    pub fn server(&self) -> Result<Option<Server>, Failure> {
        Ok(site::running()?.into_iter().find(|server| self.is_at(server)))
    }

    fn is_at(&self, server: &Server) -> bool {
        let is_local = |host: IpAddr| host.is_loopback() || host.is_unspecified();
        server.port == self.port
            && match self.root_host() {
                Some(host) => host == server.root_host,
                // A loopback address, or main's name among the branches.
                None => self.is_on_this_machine() && server.host.parse().is_ok_and(is_local),
            }
    }

    /// The setting by which git accepts what signs for a server of this user that is reached by HTTPS.
    pub fn trust(&self) -> Option<(String, String)> {
        let server = self.server().ok()?.filter(|server| self.https && server.https)?;
        let certificate = site::authority(&server.root_host).ok()?.public.certificate;
        Some((format!("http.{self}.sslCAInfo"), certificate.to_str()?.to_owned()))
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

    /// Where the site is served, under the name that branches are below: as this user's server has it, as the address says, or
    /// as the site itself does. Nothing, and a word about that, where none does.
    pub fn address(&self) -> Option<Address> {
        // A checkout stays, however the site is served next.
        if let Ok(Some(server)) = self.server() {
            return Some(Address::from(&server));
        }
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
        f.write_str(&url(&address))
    }
}

fn url(address: &Address) -> String {
    format!("{}{PATH}", address.url(&BranchName::main()).trim_end_matches('/'))
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
        let remote = Remote::at(&Address { port: 18080, https: true, ..address });
        assert_eq!(Remote::parse(remote.url()), Some(remote.clone()));
        assert_eq!(remote.url(), "https://wp.localhost:18080/site.git");
    }
}
