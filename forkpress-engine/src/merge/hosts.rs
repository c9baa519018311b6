//! The addresses that branches of one site have, as one: for comparing texts, never for what is stored.
//!
//! A branch is served at a host of its own, and WordPress writes whole addresses into content. So the same picture in the
//! same post has another text in each branch. Here each address that the site ever had is taken for that of `main`, by the same
//! rules as in what is served ([`forkpress_core::address`]).

use std::fs;

use forkpress_core::address::{Addresses, Known, Own};

use crate::site::Site;

/// All addresses of a site.
#[derive(Debug, Default)]
pub(crate) struct Hosts(Option<(Known, Own)>);

impl Hosts {
    /// Those that a site has and had.
    pub(crate) fn of(site: &Site) -> Self {
        let recorded = fs::read_to_string(site.layout.cow().addresses()).unwrap_or_default();
        Self::new(Addresses::parse(&recorded), &site.config.root_host, site.config.port)
    }

    /// The recorded ones, and those at a root host and a port.
    pub(crate) fn new(mut addresses: Addresses, root_host: &str, port: u16) -> Self {
        addresses.add_root(root_host);
        addresses.add_port(port);
        Self(Own::parse(&format!("http://{root_host}:{port}")).map(|own| (Known::new(&addresses), own)))
    }

    /// Whether two texts are the same but for the site's addresses in them, and for the lengths that PHP's `serialize()`
    /// writes before texts.
    pub(crate) fn is_same(&self, one: &[u8], other: &[u8]) -> bool {
        if one == other {
            return true;
        }
        let Self(Some((known, own))) = self else { return false };
        let [one_mapped, other_mapped] = [one, other].map(|text| known.map(own, text, b""));
        if one_mapped.is_none() && other_mapped.is_none() {
            return false;
        }
        one_mapped.as_deref().unwrap_or(one) == other_mapped.as_deref().unwrap_or(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        let mut addresses = Addresses::default();
        addresses.add_home("http://example.org");
        Hosts::new(addresses, "wp.localhost", 8080)
    }

    #[test]
    fn addresses_of_branches_are_one() {
        for (one, other) in [
            ("<a href=\"http://wp.localhost:8080/a\">", "<a href=\"http://x.wp.localhost:8080/a\">"),
            ("http://wp.localhost:8080/", "http://Example.ORG/"),
            (r"http:\/\/wp.localhost:8080\/a", r"http:\/\/example.org\/a"),
            ("u=http%3A%2F%2Fwp.localhost%3A8080%2Fa", "u=http%3A%2F%2Fx.wp.localhost%3A8080%2Fa"),
        ] {
            assert!(hosts().is_same(one.as_bytes(), other.as_bytes()), "{one} {other}");
        }
    }

    #[test]
    fn other_hosts_and_mailboxes_are_not() {
        for (one, other) in [
            ("http://x.wp.localhost:8080/a", "http://y.wp.localhost:8080/b"),
            ("http://example.org.uk/", "http://wp.localhost:8080.uk/"),
            ("a@wp.localhost", "a@x.wp.localhost"),
            ("http://other.org", "http://example.org"),
            ("a", "b"),
        ] {
            assert!(!hosts().is_same(one.as_bytes(), other.as_bytes()), "{one} {other}");
        }
        assert!(!Hosts::default().is_same(b"http://wp.localhost:8080", b"http://x.wp.localhost:8080"));
    }

    #[test]
    fn lengths_before_texts_follow_the_addresses() {
        let one = r#"a:1:{s:1:"u";s:25:"http://wp.localhost:8080/";}"#;
        let other = r#"a:1:{s:1:"u";s:27:"http://x.wp.localhost:8080/";}"#;
        assert!(hosts().is_same(one.as_bytes(), other.as_bytes()));
        assert!(!hosts().is_same(one.as_bytes(), other.replace("\"u\"", "\"v\"").as_bytes()));
    }
}
