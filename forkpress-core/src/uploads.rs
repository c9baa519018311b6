//! Where the media library is of a branch that came without it.

use serde::{Deserialize, Serialize};

/// A media library that is elsewhere. What of it a branch lacks, a request is sent there for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uploads {
    /// The folder in a branch, such as `wp-content/uploads`.
    pub folder: String,
    /// The same folder's address elsewhere, without a slash at the end.
    pub url: String,
}

impl Uploads {
    /// Whether the address is one of the site whose `main` is at `root_host`: nothing may be sent from there to there.
    #[must_use]
    pub fn is_at(&self, root_host: &str) -> bool {
        let host = host_of(&self.url).to_ascii_lowercase();
        host.strip_suffix(root_host).is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }

    /// Whether a text is an address that a browser can be sent to.
    #[must_use]
    pub fn is_address(url: &str) -> bool {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
            && url
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'?' | b'#'))
    }
}

/// The host of an address, without user and port.
fn host_of(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.rsplit_once(':')
        .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(host, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_the_site_itself_is_known_by_its_host() {
        for (url, is_own) in [
            ("http://wp.localhost:18080/wp-content/uploads", true),
            ("http://a.WP.localhost/x", true),
            ("https://me@wp.localhost/x", true),
            ("https://shop.example.com/x", false),
            ("https://notwp.localhost/x", false),
            ("https://wp.localhost.example/x", false),
        ] {
            let uploads = Uploads { folder: "wp-content/uploads".to_owned(), url: url.to_owned() };
            assert_eq!(uploads.is_at("wp.localhost"), is_own, "{url}");
        }
    }

    #[test]
    fn what_a_header_must_not_have_is_no_address() {
        for url in ["https://a.example/b", "http://[::1]:80/ü".replace('ü', "%C3%BC").as_str()] {
            assert!(Uploads::is_address(url), "{url}");
        }
        for url in
            ["", "https://", "https:///x", "ftp://a/b", "javascript:x", "https://a/\r\nX: y", "https://a/ b", "//a/b"]
        {
            assert!(!Uploads::is_address(url), "{url}");
        }
    }
}
