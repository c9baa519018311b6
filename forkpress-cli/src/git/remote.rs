//! The address of a site's Git repository, and what follows from it.

use std::fmt;

use forkpress_core::name::BranchName;

use crate::site::Address;

/// What the path of a site's repository is.
const PATH: &str = "/site.git";

/// The address of a site's Git repository, such as `http://wp.localhost:18080/site.git`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// As it was given.
    url: String,
    /// Where the site is served.
    address: Address,
}

impl Remote {
    /// Takes an address; none where it is not one of a ForkPress site.
    pub fn parse(url: &str) -> Option<Self> {
        let authority = url.strip_prefix("http://")?.trim_end_matches('/').strip_suffix(PATH)?;
        let host = authority.rsplit_once('@').map_or(authority, |(_user, host)| host);
        let (root_host, port) = match host.rsplit_once(':') {
            Some((root_host, port)) => (root_host, port.parse().ok()?),
            None => (host, 80),
        };
        let is_host = !root_host.is_empty() && !root_host.contains(['/', ':', '@', '?', '#']);
        let address = Address { root_host: root_host.to_owned(), port };
        is_host.then(|| Self { url: url.to_owned(), address })
    }

    /// The repository of a site that is served at `address`.
    pub fn at(address: Address) -> Self {
        let root = address.host(&BranchName::main());
        Self { url: format!("http://{root}{PATH}"), address }
    }

    /// The address as git takes it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where the site is served.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

/// The address without a name and a token, which belong into no message.
impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{PATH}", self.address.host(&BranchName::main()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_is_previewed_at_the_host_of_its_remote() {
        let url = |remote: &str| Remote::parse(remote).unwrap().address().url(&"sale".parse().unwrap());
        assert_eq!(url("http://wp.localhost:18080/site.git"), "http://sale.wp.localhost:18080/");
        assert_eq!(url("http://wp.example.test/site.git/"), "http://sale.wp.example.test/");
        assert_eq!(url("http://forkpress:t0ken@wp.localhost:18080/site.git"), "http://sale.wp.localhost:18080/");
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
            "http://wp.localhost:x/site.git",
            "http://wp.localhost:18080/other.git",
            "http://wp.localhost:18080/deep/site.git",
            "https://github.example/site.git",
            "git@host:site.git",
        ] {
            assert_eq!(Remote::parse(url), None, "{url}");
        }
    }

    #[test]
    fn the_repository_of_an_address_is_its_remote() {
        let address = Address { root_host: "wp.localhost".to_owned(), port: 80 };
        let remote = Remote::at(address);
        assert_eq!(Remote::parse(remote.url()), Some(remote.clone()));
        assert_eq!(remote.url(), "http://wp.localhost/site.git");
    }
}
