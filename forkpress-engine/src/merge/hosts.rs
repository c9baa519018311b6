//! The addresses that branches of one site have, as one: for comparing texts, never for what is stored.
//!
//! A branch is served at a host of its own, and WordPress writes whole addresses into content. So the same picture in the
//! same post has another text in each branch. Here each address of a branch stands for the site's own one.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, MatchKind};

/// All addresses that branches of a site are served at.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    /// None where there is none.
    finder: Option<AhoCorasick>,
}

/// What stands for each address while texts are compared.
const CANONICAL: &[u8] = b"//";

impl Hosts {
    /// Addresses are hosts, with or without a port, as they stand in a URL.
    pub(crate) fn new<'a>(authorities: impl IntoIterator<Item = &'a str>) -> Self {
        let mut patterns: Vec<String> = Vec::new();
        for authority in authorities.into_iter().filter(|authority| !authority.is_empty()) {
            patterns.push(authority.to_owned());
            if authority.contains(':') {
                patterns.push(authority.replace(':', "%3A"));
            }
        }
        let build = || {
            AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).ascii_case_insensitive(true).build(&patterns)
        };
        // It fails for more patterns than memory has room for.
        Self { finder: if patterns.is_empty() { None } else { build().ok() } }
    }

    /// Whether two texts are the same but for the addresses of branches in them, and for the lengths that PHP's
    /// `serialize()` writes before texts.
    pub(crate) fn is_same(&self, one: &[u8], other: &[u8]) -> bool {
        one == other
            || match (self.mapped(one), self.mapped(other)) {
                (None, None) => false,
                (one_mapped, other_mapped) => {
                    let one = one_mapped.map_or(Cow::Borrowed(one), Cow::Owned);
                    let other = other_mapped.map_or(Cow::Borrowed(other), Cow::Owned);
                    without_lengths(&one) == without_lengths(&other)
                }
            }
    }

    /// None where no address is in the text.
    fn mapped(&self, text: &[u8]) -> Option<Vec<u8>> {
        let finder = self.finder.as_ref()?;
        let (mut mapped, mut end) = (Vec::new(), 0);
        for found in finder.find_iter(text) {
            if !is_whole(text, found.start(), found.end()) {
                continue;
            }
            mapped.extend(&text[end..found.start()]);
            mapped.extend(CANONICAL);
            end = found.end();
        }
        (end > 0).then(|| [&mapped, &text[end..]].concat())
    }
}

/// Whether an address begins and ends here: it is no part of a longer name, no other port follows, and it is no mailbox.
fn is_whole(text: &[u8], start: usize, end: usize) -> bool {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(byte);
    let (before, after) = (&text[..start], &text[end..]);
    let is_encoded_slash = before.len() >= 3 && before[before.len() - 3..].eq_ignore_ascii_case(b"%2f");
    let begins = is_encoded_slash || !before.last().is_some_and(is_of_name);
    let ends = match after {
        [byte, ..] if byte.is_ascii_alphanumeric() || *byte == b'-' => false,
        [b'.' | b':', next, ..] => !next.is_ascii_alphanumeric(),
        _ => true,
    };
    begins && ends
}

/// A text in which the lengths of PHP's texts are left out: `s:5:"` is `s:"`.
fn without_lengths(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        out.push(*first);
        rest = tail;
        if *first == b's' && rest.first() == Some(&b':') {
            let digits = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits > 0 && rest.get(1 + digits) == Some(&b':') {
                rest = &rest[1 + digits..];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        Hosts::new(["wp.localhost:8080", "x.wp.localhost:8080", "example.org", "x.example.org"])
    }

    #[test]
    fn addresses_of_branches_are_one() {
        for (one, other) in [
            ("<a href=\"http://wp.localhost:8080/a\">", "<a href=\"http://x.wp.localhost:8080/a\">"),
            ("http://wp.localhost:8080", "http://X.example.ORG"),
            (r"http:\/\/wp.localhost:8080\/a", r"http:\/\/example.org\/a"),
            ("u=http%3A%2F%2Fwp.localhost%3A8080%2Fa", "u=http%3A%2F%2Fx.wp.localhost%3A8080%2Fa"),
            ("wp.localhost:8080", "x.wp.localhost:8080"),
            ("at http://example.org.", "at http://x.example.org."),
        ] {
            assert!(hosts().is_same(one.as_bytes(), other.as_bytes()), "{one} {other}");
        }
    }

    #[test]
    fn other_hosts_ports_and_mailboxes_are_not() {
        for (one, other) in [
            ("http://wp.localhost:8080/a", "http://x.wp.localhost:8080/b"),
            ("http://wp.localhost:80801/", "http://x.wp.localhost:80801/"),
            ("http://example.org:81/", "http://x.example.org:81/"),
            ("http://example.org.uk/", "http://x.example.org.uk/"),
            ("http://my-example.org/", "http://my-x.example.org/"),
            ("a@example.org", "a@x.example.org"),
            ("http://other.org", "http://example.org"),
            ("a", "b"),
        ] {
            assert!(!hosts().is_same(one.as_bytes(), other.as_bytes()), "{one} {other}");
        }
        assert!(!Hosts::default().is_same(b"http://example.org", b"http://x.example.org"));
    }

    #[test]
    fn lengths_before_texts_follow_the_addresses() {
        let one = r#"a:1:{s:1:"u";s:19:"http://example.org/";}"#;
        let other = r#"a:1:{s:1:"u";s:21:"http://x.example.org/";}"#;
        assert!(hosts().is_same(one.as_bytes(), other.as_bytes()));
        assert!(!hosts().is_same(one.as_bytes(), other.replace("\"u\"", "\"v\"").as_bytes()));
    }
}
