//! Whether a WordPress is a network of sites ("multisite"), and of which kind, as its `wp-config.php` says.

use std::fs;
use std::path::Path;

/// How the sites of a network are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// By the first folder of the path.
    Subfolders,
    /// By the host name. A branch's host has no room for that: it is one label below the root host.
    Subdomains,
}

impl Network {
    /// Looks into the `wp-config.php` of the WordPress at `tree`; none where it is one site, or cannot be read.
    #[must_use]
    pub fn of(tree: &Path) -> Option<Self> {
        Self::in_config(&String::from_utf8_lossy(&fs::read(tree.join("wp-config.php")).ok()?))
    }

    /// Reads the configuration as text: each constant stands in a `define()` on a line of its own, as WordPress tells users
    /// to write it.
    fn in_config(text: &str) -> Option<Self> {
        let is_on = |name: &str| {
            text.lines().any(|line| {
                let line: String = line.chars().filter(|c| !c.is_whitespace()).collect::<String>().replace('"', "'");
                let comment = ["//", "#", "/*", "*"].iter().any(|sign| line.starts_with(sign));
                let value = line.split_once(&format!("define('{name}',")).map(|(_, value)| value.to_ascii_lowercase());
                !comment && value.is_some_and(|value| value.starts_with("true") || value.starts_with('1'))
            })
        };
        match (is_on("SUBDOMAIN_INSTALL"), is_on("MULTISITE")) {
            (true, _) => Some(Self::Subdomains),
            (false, true) => Some(Self::Subfolders),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_what_the_configuration_defines() {
        let cases = [
            ("<?php\ndefine( 'MULTISITE', true );\ndefine( 'SUBDOMAIN_INSTALL', false );", Some(Network::Subfolders)),
            ("define(\"MULTISITE\",TRUE);", Some(Network::Subfolders)),
            (
                "define( 'MULTISITE', true );\n  $base = '/';\ndefine('SUBDOMAIN_INSTALL', true);",
                Some(Network::Subdomains),
            ),
            ("// define( 'MULTISITE', true );\n * define( 'SUBDOMAIN_INSTALL', true );", None),
            ("define( 'WP_ALLOW_MULTISITE', true );\ndefine( 'MULTISITE', false );", None),
            ("", None),
        ];
        for (text, kind) in cases {
            assert_eq!(Network::in_config(text), kind, "{text}");
        }
    }
}
