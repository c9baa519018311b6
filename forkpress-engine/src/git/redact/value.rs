//! A value of the database. Serialized PHP and JSON are walked through and stay valid; in any other text, secrets are
//! replaced.

use std::ops::Range;

use super::encoding::encoded;
use super::rules::{is_flag, is_named, is_naming, is_secret_identifier, is_secret_name};
use super::shape::{has_secret_word, in_order, shapes, shapes_and_members};
use crate::structure::{Item, Key, MAX_DEPTH, Node, children, json, serialized};

/// What stands for a secret of the database.
pub const PLACEHOLDER: &str = "[redacted]";

/// From which length on a key that has digits in it is no name, but may be a secret itself.
const LONG_KEY: usize = 16;

/// How structures are written.
struct Format {
    parse: fn(&[u8]) -> Option<Vec<Node<'_>>>,
    text: fn(&[u8]) -> Vec<u8>,
    key: fn(&[u8]) -> Vec<u8>,
}

const SERIALIZED: Format = Format { parse: serialized::parse, text: serialized::text, key: serialized::text };
const JSON: Format = Format { parse: json::parse, text: json::text, key: json::text };

/// What a checkout has in place of a value; none where it may have the value itself.
///
/// Serialized PHP and JSON are looked into, and stay valid. What only looks like them, and has the word of a secret in it, goes
/// as a whole.
#[must_use]
pub fn value(is_secret: bool, value: &[u8]) -> Option<Vec<u8>> {
    within(is_secret, value, 0)
}

fn within(is_secret: bool, value: &[u8], depth: usize) -> Option<Vec<u8>> {
    let whole = || Some(PLACEHOLDER.into());
    let inner = trimmed(value);
    match structure(&value[inner.clone()]) {
        Structure::None => {}
        _ if depth >= MAX_DEPTH => {
            if is_secret || has_secret_word(value) {
                return whole();
            }
        }
        Structure::Some(format, is_certain) => match walked(&format, is_secret, &value[inner.clone()], depth) {
            Some(Walked::Same) => return None,
            Some(Walked::Other(text)) => return Some([&value[..inner.start], &text, &value[inner.end..]].concat()),
            None if is_secret => return whole(),
            // `[1]` and `{` may begin what is no structure at all.
            None if is_certain && has_secret_word(value) => return whole(),
            None => {}
        },
    }
    if is_secret {
        return if is_flag(&value[inner]) { None } else { whole() };
    }
    if depth < MAX_DEPTH && encoded(&value[inner]).is_some_and(|text| within(false, &text, depth + 1).is_some()) {
        return whole();
    }
    let found = shapes_and_members(value);
    if found.is_empty() {
        return None;
    }
    let edits = in_order(found).into_iter().map(|found| (found.range, PLACEHOLDER.into()));
    Some(edited(value, edits))
}

/// Where the value is without byte order marks and spaces around it.
fn trimmed(value: &[u8]) -> Range<usize> {
    let mut rest = value.trim_ascii_start();
    while let Some(after) = rest.strip_prefix(b"\xef\xbb\xbf") {
        rest = after.trim_ascii_start();
    }
    let start = value.len() - rest.len();
    start..start + rest.trim_ascii_end().len()
}

enum Structure {
    None,
    /// How it is written, and whether nothing else begins so.
    Some(Format, bool),
}

/// What a value is by how it begins.
fn structure(value: &[u8]) -> Structure {
    match value {
        [b'a' | b'O' | b'C' | b's' | b'E' | b'S', b':', digit, ..] if digit.is_ascii_digit() || *digit == b'+' => {
            Structure::Some(SERIALIZED, true)
        }
        [b'{' | b'[', rest @ ..] => {
            let rest = rest.trim_ascii_start();
            let name = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
            let is_certain = match (value[0], rest.first()) {
                (_, Some(b'"' | b'{')) | (b'[', Some(b'[')) | (b'{', Some(b'\'')) => true,
                // What JavaScript writes.
                (b'{', _) => name > 0 && rest[name..].trim_ascii_start().first() == Some(&b':'),
                _ => is_scalar(&rest[..name]) && rest[name..].trim_ascii_start().first() == Some(&b','),
            };
            Structure::Some(JSON, is_certain)
        }
        // A text in JSON.
        [b'"', .., b'"'] => Structure::Some(JSON, false),
        _ => Structure::None,
    }
}

fn is_scalar(text: &[u8]) -> bool {
    matches!(text, b"true" | b"false" | b"null") || !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

enum Walked {
    Same,
    Other(Vec<u8>),
}

/// None where the structure can't be walked through.
fn walked(format: &Format, is_secret: bool, bytes: &[u8], depth: usize) -> Option<Walked> {
    let nodes = (format.parse)(bytes)?;
    let mut walk = Walk { nodes: &nodes, format, edits: Vec::new() };
    walk.node(0, is_secret, depth + 1)?;
    Some(if walk.edits.is_empty() { Walked::Same } else { Walked::Other(edited(bytes, walk.edits)) })
}

fn edited(bytes: &[u8], edits: impl IntoIterator<Item = (Range<usize>, Vec<u8>)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut copied = 0;
    for (range, with) in edits {
        out.extend_from_slice(&bytes[copied..range.start]);
        out.extend_from_slice(&with);
        copied = range.end;
    }
    out.extend_from_slice(&bytes[copied..]);
    out
}

/// Says of each node of a structure what stands for it.
struct Walk<'a> {
    nodes: &'a [Node<'a>],
    format: &'a Format,
    edits: Vec<(Range<usize>, Vec<u8>)>,
}

impl Walk<'_> {
    /// None where a secret may be somewhere else in the structure: then none of it can be told.
    fn node(&mut self, number: usize, is_secret: bool, depth: usize) -> Option<()> {
        let node = &self.nodes[number];
        match &node.item {
            Item::Text(text) => {
                if let Some(text) = within(is_secret, text, depth) {
                    self.edits.push((node.range.clone(), (self.format.text)(&text)));
                }
            }
            Item::Scalar(text) if is_secret && !is_flag(text) => self.hide(&node.range),
            Item::Scalar(_) => {}
            Item::Opaque(text) => {
                let shows = !is_secret && !has_secret_word(text) && within(false, text, depth).is_none();
                if !shows {
                    self.hide(&node.range);
                }
            }
            Item::Reference if is_secret => return None,
            Item::Reference => {}
            Item::Group => {
                let names_a_secret = !is_secret && self.names_a_secret(number);
                let nodes = self.nodes;
                for child in children(nodes, number) {
                    let key = nodes[child].key.as_ref();
                    if let Some(key) = key {
                        self.key(key, is_secret);
                    }
                    // A private property is named NUL class NUL name.
                    let name = key.map(|key| key.name.rsplit(|byte| *byte == 0).next().unwrap_or_default());
                    let is_secret =
                        is_secret || name.is_some_and(|name| is_secret_name(name) || names_a_secret && is_named(name));
                    self.node(child, is_secret, depth + 1)?;
                }
            }
        }
        Some(())
    }

    fn hide(&mut self, range: &Range<usize>) {
        self.edits.push((range.clone(), (self.format.text)(PLACEHOLDER.as_bytes())));
    }

    /// A key may be a secret itself: by its looks, or where secrets are listed by it.
    fn key(&mut self, key: &Key<'_>, is_secret: bool) {
        let is_listed = is_secret && key.name.len() >= LONG_KEY && key.name.iter().any(u8::is_ascii_digit);
        if is_listed || !shapes(&key.name).is_empty() {
            self.edits.push((key.range.clone(), (self.format.key)(PLACEHOLDER.as_bytes())));
        }
    }

    /// Whether one member has the name of a secret for its value, as in `{"name":"api_key","value":"..."}`.
    fn names_a_secret(&self, number: usize) -> bool {
        children(self.nodes, number).any(|child| {
            let node = &self.nodes[child];
            let is_naming = node.key.as_ref().is_some_and(|key| is_naming(&key.name));
            is_naming && matches!(&node.item, Item::Text(text) if is_secret_identifier(text))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        value(false, text.as_bytes()).map_or(text.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_secret_is_told_by_its_looks() {
        assert_eq!(redacted("$wp$2y$10$abcdefghijklmnopqrstuv"), PLACEHOLDER);
        assert_eq!(redacted("-----BEGIN RSA PRIVATE KEY-----\nMII"), PLACEHOLDER);
        for text in
            ["$5 a piece", "$P$ is how a phpass hash begins", "", "a", "s", "{", "[", "a:1:{", "text {\"token\":1}"]
        {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn flags_are_no_secrets() {
        assert_eq!(value(true, b"1"), None);
        assert_eq!(value(true, b""), None);
        assert_eq!(value(true, b"hunter2").unwrap(), PLACEHOLDER.as_bytes());
    }

    #[test]
    fn serialized_values_are_looked_into_and_stay_valid() {
        for (before, after) in [
            (r#"a:1:{s:5:"token";s:3:"abc";}"#, r#"a:1:{s:5:"token";s:10:"[redacted]";}"#),
            (r#"a:2:{i:0;s:3:"abc";s:7:"api_key";N;}"#, r#"a:2:{i:0;s:3:"abc";s:7:"api_key";N;}"#),
            (
                r#"a:2:{s:4:"mail";a:2:{s:4:"host";s:1:"h";s:4:"pass";s:2:"é";}s:1:"n";d:0.5;}"#,
                r#"a:2:{s:4:"mail";a:2:{s:4:"host";s:1:"h";s:4:"pass";s:10:"[redacted]";}s:1:"n";d:0.5;}"#,
            ),
            (
                r#"a:1:{s:6:"tokens";a:2:{s:1:"x";s:2:"ab";i:1;b:1;}}"#,
                r#"a:1:{s:6:"tokens";a:2:{s:1:"x";s:10:"[redacted]";i:1;b:1;}}"#,
            ),
            ("O:1:\"C\":1:{s:9:\"\0C\0secret\";s:2:\"ab\";}", "O:1:\"C\":1:{s:9:\"\0C\0secret\";s:10:\"[redacted]\";}"),
            (r#"s:28:"a:1:{s:5:"token";s:3:"abc";}";"#, r#"s:36:"a:1:{s:5:"token";s:10:"[redacted]";}";"#),
            (r#"a:1:{i:0;s:15:"{"token":"abc"}";}"#, r#"a:1:{i:0;s:22:"{"token":"[redacted]"}";}"#),
            (r#"a:1:{s:5:"token";C:1:"X":3:{abc}}"#, r#"a:1:{s:5:"token";s:10:"[redacted]";}"#),
            (r#"a:1:{s:5:"token";E:3:"A:B";}"#, r#"a:1:{s:5:"token";s:10:"[redacted]";}"#),
            (r#"a:2:{s:1:"n";i:7;s:3:"otp";i:123456;}"#, r#"a:2:{s:1:"n";i:7;s:3:"otp";s:10:"[redacted]";}"#),
            (r#"a:1:{s:5:"token";d:0.5;}"#, r#"a:1:{s:5:"token";s:10:"[redacted]";}"#),
            (r#"a:1:{i:0;C:1:"X":23:{a:1:{s:5:"token";i:77;}}}"#, r#"a:1:{i:0;s:10:"[redacted]";}"#),
            (r#"a:1:{i:0;C:1:"X":3:{abc}}"#, r#"a:1:{i:0;C:1:"X":3:{abc}}"#),
            (
                r#"a:2:{s:4:"name";s:7:"api_key";s:5:"value";s:3:"abc";}"#,
                r#"a:2:{s:4:"name";s:7:"api_key";s:5:"value";s:10:"[redacted]";}"#,
            ),
            (
                r#"a:1:{s:6:"tokens";a:1:{s:20:"0123456789abcdef0123";b:1;}}"#,
                r#"a:1:{s:6:"tokens";a:1:{s:10:"[redacted]";b:1;}}"#,
            ),
            ("\u{feff} a:1:{s:5:\"token\";s:3:\"abc\";}\n", "\u{feff} a:1:{s:5:\"token\";s:10:\"[redacted]\";}\n"),
        ] {
            assert_eq!(redacted(before), after);
        }
    }

    #[test]
    fn json_is_looked_into_and_stays_as_it_was_elsewhere() {
        for (before, after) in [
            (
                r#"{ "b": 1.50, "apiKey" : "x\"y", "a": [null] }"#,
                r#"{ "b": 1.50, "apiKey" : "[redacted]", "a": [null] }"#,
            ),
            (
                r#"[{"secret":{"a":"x","n":7}},{"a":"x"}]"#,
                r#"[{"secret":{"a":"[redacted]","n":"[redacted]"}},{"a":"x"}]"#,
            ),
            (r#"{"a":"{\"token\":\"x\"}"}"#, r#"{"a":"{\"token\":\"[redacted]\"}"}"#),
            (r#"{"to\u006ben":"x"}"#, r#"{"to\u006ben":"[redacted]"}"#),
            (r#"{"value":"x","key":"smtp_pass","a":1}"#, r#"{"value":"[redacted]","key":"smtp_pass","a":1}"#),
            (r#" {"token":"x"} "#, r#" {"token":"[redacted]"} "#),
            (r#"{"a":{},"b":[],"token":"yes"}"#, r#"{"a":{},"b":[],"token":"yes"}"#),
        ] {
            assert_eq!(redacted(before), after);
        }
    }

    #[test]
    fn what_looks_like_a_structure_and_is_none_goes_where_it_has_the_word_of_a_secret() {
        for text in [
            r#"a:1:{s:99:"token";s:3:"abc";}"#,
            r#"a:2:{s:5:"token";s:3:"abc";}"#,
            r#"a:1:{s:5:"token";s:3:"abc";}}"#,
            r#"a:2:{s:1:"a";s:3:"abc";s:5:"token";R:2;}"#,
            r#"O:1:"C":1:{s:5:"token";s:3:"abc""#,
            r#"{"token":"abc",}"#,
            r#"{"token":"abc"} {"token":"abc"}"#,
            r#"{token: abc}"#,
            r#"{"token":"#,
            r#"{"token" "x"}"#,
            "YToxOntzOjU6InRva2VuIjtzOjM6ImFiYyI7fQ==",
            "eyJ0b2tlbiI6ImFiYyJ9",
            "%7B%22token%22%3A%22abc%22%7D",
        ] {
            assert_eq!(redacted(text), PLACEHOLDER, "{text}");
        }
        for text in [
            r#"a:9999999999:{}"#,
            r#"{"a":"\"#,
            "[gallery ids=\"1,2\"] Forgot your password?",
            "{username}, your password has changed.",
            "[1] A token of love",
            "hello-world-12-and-more",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn what_is_endless_is_survived_and_told_only_without_the_word_of_a_secret() {
        for (open, middle, close) in [("[", "", "]"), ("a:1:{i:0;", "N;", "}"), ("{\"a\":", "1", "}")] {
            let deep = open.repeat(100_000) + middle + &close.repeat(100_000);
            assert_eq!(redacted(&deep), deep);
        }
        let deep = "[".repeat(70) + r#"{"token":"abc"}"# + &"]".repeat(70);
        assert_eq!(redacted(&deep), PLACEHOLDER);
        let deep = "a:1:{i:0;".repeat(70) + r#"a:1:{s:5:"token";i:77;}"# + &"}".repeat(70);
        assert_eq!(redacted(&deep), PLACEHOLDER);
        let nested = (0..100)
            .fold(r#"a:1:{s:5:"token";i:987654321;}"#.to_owned(), |text, _| format!("s:{}:\"{text}\";", text.len()));
        assert!(!redacted(&nested).contains("987654321"));
    }

    #[test]
    fn in_a_text_only_the_secrets_go() {
        for (before, after) in [
            ("<p>redis://:hunter2@db</p>", "<p>redis://:[redacted]@db</p>"),
            (r#"<!-- wp:x {"apiKey":"hunter2"} -->"#, r#"<!-- wp:x {"apiKey":"[redacted]"} -->"#),
            (
                r#"<!-- wp:x {"secrets":{"a":["b","}"],"c":1},"d":2} -->"#,
                r#"<!-- wp:x {"secrets":[redacted],"d":2} -->"#,
            ),
            ("-----BEGIN RSA PRIVATE KEY-----\nM\n-----END RSA PRIVATE KEY-----\nafter", "[redacted]\nafter"),
        ] {
            assert_eq!(redacted(before), after);
        }
    }
}
