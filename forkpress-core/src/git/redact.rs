//! Which values are secrets, and what a checkout has in their place. Pure: nothing here looks at a disk.
//!
//! A secret is told by its name (`DB_PASSWORD`, `mailserver_pass`, `apiKey`), or by what it looks like (a password hash, a
//! private key). Names say too much rather than too little: that a harmless value is not in a checkout harms nobody, since
//! no push brings the database back, and `wp-config.php` gets its own values back from [`restore`].

use std::ops::Range;

/// What stands for a secret of the database.
pub const PLACEHOLDER: &str = "[redacted]";

/// How what stands for a secret of `wp-config.php` begins. Its name follows.
const CONFIG_PLACEHOLDER: &str = "[redacted by ForkPress: ";

/// A word that makes a name the name of a secret, wherever it stands.
const SECRET_WORDS: [&str; 15] = [
    "pass",
    "pwd",
    "passphrase",
    "passwords",
    "secrets",
    "tokens",
    "salt",
    "salts",
    "credential",
    "credentials",
    "license",
    "licence",
    "jwt",
    "bearer",
    "totp",
];

/// An ending that makes a word one of those: `accesstoken`, `clientsecret`.
const SECRET_ENDINGS: [&str; 6] = ["password", "passwd", "secret", "token", "apikey", "licensekey"];

/// A key is a secret, unless it is one of these: `meta_key`, `public_key`.
const HARMLESS_KEYS: [&str; 31] = [
    "meta",
    "sort",
    "cache",
    "group",
    "primary",
    "foreign",
    "public",
    "publishable",
    "menu",
    "field",
    "form",
    "row",
    "array",
    "option",
    "object",
    "taxonomy",
    "term",
    "layout",
    "order",
    "orderby",
    "unique",
    "index",
    "parent",
    "post",
    "comment",
    "block",
    "widget",
    "section",
    "setting",
    "column",
    "data",
];

/// Keys in the plural are mostly lists of words; these are secrets.
const SECRET_KEYS: [&str; 6] = ["recovery", "api", "secret", "private", "access", "auth"];

/// How password hashes begin: phpass, bcrypt, argon2, crypt, and what WordPress makes of them.
const HASHES: [&[u8]; 10] =
    [b"$P$", b"$H$", b"$2y$", b"$2a$", b"$2b$", b"$wp$", b"$argon2", b"$5$", b"$6$", b"$generic$"];

/// Values that give nothing away, whatever their name is.
const FLAGS: [&[u8]; 9] = [b"", b"0", b"1", b"yes", b"no", b"true", b"false", b"on", b"off"];

/// Deeper nesting is left as it is: nobody writes it.
const MAX_DEPTH: usize = 64;

/// Whether a value of this name (an option, a field, a column, a constant) is a secret.
#[must_use]
pub fn is_secret_name(name: &[u8]) -> bool {
    let words = words(name);
    let is_secret_word =
        |word: &String| SECRET_WORDS.contains(&word.as_str()) || SECRET_ENDINGS.iter().any(|end| word.ends_with(end));
    match words.as_slice() {
        words if words.iter().any(is_secret_word) => true,
        [.., of, last] if last == "key" => !HARMLESS_KEYS.contains(&of.as_str()),
        [.., of, last] if last == "keys" => SECRET_KEYS.contains(&of.as_str()),
        _ => false,
    }
}

/// The words of `a_name`, `a-name` and `aName`, in lower case.
fn words(name: &[u8]) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = b'_';
    for &byte in name {
        if !byte.is_ascii_alphanumeric() || byte.is_ascii_uppercase() && before.is_ascii_lowercase() {
            words.push(String::new());
        }
        if byte.is_ascii_alphanumeric() {
            words.last_mut().expect("there is a word").push(byte.to_ascii_lowercase().into());
        }
        before = byte;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What a checkout has in place of a value; none where it may have the value itself.
///
/// Serialized PHP and JSON are looked into, and stay valid.
#[must_use]
pub fn value(is_secret: bool, value: &[u8]) -> Option<Vec<u8>> {
    within(is_secret, value, 0)
}

fn within(is_secret: bool, value: &[u8], depth: usize) -> Option<Vec<u8>> {
    if depth < MAX_DEPTH {
        let found = match value.first() {
            Some(b'a' | b'O' | b's' | b'C') => Serialized::redact(is_secret, value, depth),
            Some(b'{' | b'[') => Json::redact(is_secret, value, depth),
            _ => None,
        };
        match found {
            Some(Redacted::No) => return None,
            Some(Redacted::Yes(bytes)) => return Some(bytes),
            None => {}
        }
    }
    let hides = if is_secret { !FLAGS.contains(&value) } else { looks_secret(value) };
    hides.then(|| PLACEHOLDER.into())
}

fn looks_secret(value: &[u8]) -> bool {
    const SHORTEST_HASH: usize = 20;
    let is_hash = value.len() >= SHORTEST_HASH
        && HASHES.iter().any(|start| value.starts_with(start))
        && !value.iter().any(u8::is_ascii_whitespace);
    is_hash || find(value, b"PRIVATE KEY-----").is_some()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    // Few values have the first byte, and memchr is what this becomes.
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == what[0]) {
        if bytes[from + at..].starts_with(what) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

enum Redacted {
    No,
    Yes(Vec<u8>),
}

/// Walks through a structure and writes it anew.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How much of the bytes is in `out`.
    copied: usize,
    out: Vec<u8>,
    depth: usize,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8], depth: usize) -> Self {
        Self { bytes, at: 0, copied: 0, out: Vec::new(), depth }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn expect(&mut self, what: &[u8]) -> Option<()> {
        self.bytes[self.at..].starts_with(what).then(|| self.at += what.len())
    }

    fn until(&mut self, end: u8) -> Option<&'a [u8]> {
        let length = self.bytes[self.at..].iter().position(|byte| *byte == end)?;
        let found = &self.bytes[self.at..self.at + length];
        self.at += length + 1;
        Some(found)
    }

    fn replace(&mut self, range: Range<usize>, with: &[u8]) {
        self.out.extend_from_slice(&self.bytes[self.copied..range.start]);
        self.out.extend_from_slice(with);
        self.copied = range.end;
    }

    fn finish(mut self) -> Redacted {
        if self.copied == 0 {
            return Redacted::No;
        }
        self.out.extend_from_slice(&self.bytes[self.copied..]);
        Redacted::Yes(self.out)
    }
}

/// What PHP's `serialize()` writes.
struct Serialized<'a>(Walk<'a>);

impl<'a> Serialized<'a> {
    /// None where it is not that.
    fn redact(is_secret: bool, bytes: &'a [u8], depth: usize) -> Option<Redacted> {
        let mut serialized = Self(Walk::new(bytes, depth));
        serialized.item(is_secret)?;
        (serialized.0.at == bytes.len()).then(|| serialized.0.finish())
    }

    fn item(&mut self, is_secret: bool) -> Option<()> {
        let start = self.0.at;
        match self.0.peek()? {
            b'N' => self.0.expect(b"N;"),
            b'b' | b'i' | b'd' | b'r' | b'R' => self.0.until(b';').map(drop),
            b's' => {
                let text = self.string(b"s:")?;
                self.0.expect(b";")?;
                if let Some(text) = within(is_secret, text, self.0.depth + 1) {
                    let mut written = format!("s:{}:\"", text.len()).into_bytes();
                    written.extend_from_slice(&text);
                    written.extend_from_slice(b"\";");
                    self.0.replace(start..self.0.at, &written);
                }
                Some(())
            }
            b'E' => self.string(b"E:").and_then(|_| self.0.expect(b";")),
            b'a' => {
                self.0.expect(b"a:")?;
                self.members(is_secret)
            }
            b'O' => {
                self.string(b"O:")?;
                self.0.expect(b":")?;
                self.members(is_secret)
            }
            b'C' => {
                self.string(b"C:")?;
                self.0.expect(b":")?;
                let length = self.number(b':')?;
                self.0.expect(b"{")?;
                self.0.at = self.0.at.checked_add(length).filter(|end| *end <= self.0.bytes.len())?;
                self.0.expect(b"}")
            }
            _ => None,
        }
    }

    fn members(&mut self, is_secret: bool) -> Option<()> {
        let count = self.number(b':')?;
        self.0.expect(b"{")?;
        self.0.depth += 1;
        if self.0.depth > MAX_DEPTH {
            return None;
        }
        for _ in 0..count {
            let name = match self.0.peek()? {
                b's' => {
                    let name = self.string(b"s:")?;
                    self.0.expect(b";")?;
                    // A private property is named NUL class NUL name.
                    name.rsplit(|byte| *byte == 0).next().unwrap_or_default()
                }
                b'i' => self.0.until(b';')?,
                _ => return None,
            };
            self.item(is_secret || is_secret_name(name))?;
        }
        self.0.depth -= 1;
        self.0.expect(b"}")
    }

    fn number(&mut self, end: u8) -> Option<usize> {
        std::str::from_utf8(self.0.until(end)?).ok()?.parse().ok()
    }

    fn string(&mut self, tag: &[u8]) -> Option<&'a [u8]> {
        self.0.expect(tag)?;
        let length = self.number(b':')?;
        self.0.expect(b"\"")?;
        let end = self.0.at.checked_add(length)?;
        let text = self.0.bytes.get(self.0.at..end)?;
        self.0.at = end;
        self.0.expect(b"\"")?;
        Some(text)
    }
}

struct Json<'a>(Walk<'a>);

impl<'a> Json<'a> {
    /// None where it is not that.
    fn redact(is_secret: bool, bytes: &'a [u8], depth: usize) -> Option<Redacted> {
        let mut json = Self(Walk::new(bytes, depth));
        json.item(is_secret)?;
        json.space();
        (json.0.at == bytes.len()).then(|| json.0.finish())
    }

    fn item(&mut self, is_secret: bool) -> Option<()> {
        self.space();
        match self.0.peek()? {
            b'"' => {
                let range = self.string()?;
                let text: String = serde_json::from_slice(&self.0.bytes[range.clone()]).ok()?;
                if let Some(text) = within(is_secret, text.as_bytes(), self.0.depth + 1) {
                    let text = serde_json::to_vec(&String::from_utf8_lossy(&text)).ok()?;
                    self.0.replace(range, &text);
                }
                Some(())
            }
            b'{' => self.members(b'}', is_secret),
            b'[' => self.members(b']', is_secret),
            _ => {
                let start = self.0.at;
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
                while self.0.peek().is_some_and(is_plain) {
                    self.0.at += 1;
                }
                (self.0.at > start).then_some(())
            }
        }
    }

    fn members(&mut self, end: u8, is_secret: bool) -> Option<()> {
        self.0.at += 1;
        self.0.depth += 1;
        if self.0.depth > MAX_DEPTH {
            return None;
        }
        self.space();
        if self.0.peek()? == end {
            self.0.at += 1;
            self.0.depth -= 1;
            return Some(());
        }
        loop {
            self.space();
            let mut is_secret = is_secret;
            if end == b'}' {
                let name = self.string()?;
                is_secret |= is_secret_name(&self.0.bytes[name]);
                self.space();
                self.0.expect(b":")?;
            }
            self.item(is_secret)?;
            self.space();
            match self.0.peek()? {
                b',' => self.0.at += 1,
                byte if byte == end => {
                    self.0.at += 1;
                    self.0.depth -= 1;
                    return Some(());
                }
                _ => return None,
            }
        }
    }

    /// Where the string is, with its quotes.
    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.0.at;
        self.0.expect(b"\"")?;
        loop {
            match self.0.peek()? {
                b'"' => {
                    self.0.at += 1;
                    return Some(start..self.0.at);
                }
                b'\\' => self.0.at += 2,
                _ => self.0.at += 1,
            }
        }
    }

    fn space(&mut self) {
        while self.0.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.0.at += 1;
        }
    }
}

/// `wp-config.php` as a checkout has it: each secret is a placeholder that says whose place it takes.
#[must_use]
pub fn config(text: &[u8]) -> Vec<u8> {
    replace(text, |secret| Some(secret.placeholder().into_bytes()))
}

/// What a pushed `wp-config.php` is to be in a branch: each placeholder becomes what the branch has there now, or an empty
/// string, for which WordPress makes keys of its own, where it has nothing.
#[must_use]
pub fn restore(pushed: &[u8], current: &[u8]) -> Vec<u8> {
    let own = secrets(current);
    replace(pushed, |secret| {
        let text = &pushed[secret.range.clone()];
        let is_placeholder = text.starts_with(CONFIG_PLACEHOLDER.as_bytes());
        is_placeholder.then(|| {
            let named = own.iter().find(|own| text == own.placeholder().as_bytes());
            named.map(|own| current[own.range.clone()].to_vec()).unwrap_or_default()
        })
    })
}

fn replace(text: &[u8], with: impl Fn(&Secret) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut copied = 0;
    for secret in secrets(text) {
        if let Some(value) = with(&secret) {
            replaced.extend_from_slice(&text[copied..secret.range.start]);
            replaced.extend_from_slice(&value);
            copied = secret.range.end;
        }
    }
    replaced.extend_from_slice(&text[copied..]);
    replaced
}

/// A secret in PHP source: what is between the quotes of a literal.
#[derive(Debug, PartialEq, Eq)]
struct Secret {
    name: String,
    /// How many with this name stand before it.
    number: usize,
    range: Range<usize>,
}

impl Secret {
    fn placeholder(&self) -> String {
        match self.number {
            0 => format!("{CONFIG_PLACEHOLDER}{}]", self.name),
            number => format!("{CONFIG_PLACEHOLDER}{} {}]", self.name, number + 1),
        }
    }
}

/// The secrets in PHP source, in order: `define('NAME', ...)`, `const NAME = ...`, `$name = ...`, `'name' => ...`,
/// `putenv('NAME=...')`. Comments count, too: what is commented out was a secret once.
fn secrets(text: &[u8]) -> Vec<Secret> {
    let mut found: Vec<Secret> = Vec::new();
    let mut at = 0;
    while let Some(name) = next_name(text, at) {
        at = name.end;
        if !is_secret_name(&text[name.clone()]) {
            continue;
        }
        let Some((start, is_putenv)) = value_after(text, &name) else { continue };
        let literals = if is_putenv { rest_of_literal(text, &name, start) } else { literals(text, start) };
        let name = String::from_utf8_lossy(&text[name]).into_owned();
        for range in literals {
            at = range.end;
            if !range.is_empty() {
                let number = found.iter().filter(|secret| secret.name == name).count();
                found.push(Secret { name: name.clone(), number, range });
            }
        }
    }
    found
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn next_name(text: &[u8], from: usize) -> Option<Range<usize>> {
    let start = from + text[from..].iter().position(|byte| is_name_byte(*byte))?;
    let length = text[start..].iter().position(|byte| !is_name_byte(*byte)).unwrap_or(text.len() - start);
    Some(start..start + length)
}

/// Where the value that goes with a name begins, and whether it is in the same literal.
fn value_after(text: &[u8], name: &Range<usize>) -> Option<(usize, bool)> {
    let before = name.start.checked_sub(1).map(|at| text[at]);
    let quoted = matches!(before, Some(b'\'' | b'"')).then(|| before.expect("there is a quote"));
    let is_closed = quoted.is_some() && text.get(name.end).copied() == quoted;
    if quoted.is_some() && !is_closed {
        return (text.get(name.end) == Some(&b'=')).then_some((name.end + 1, true));
    }
    let at = skip_space(text, name.end + usize::from(is_closed));
    match text.get(at..).unwrap_or_default() {
        [b'=', b'>', ..] => Some((at + 2, false)),
        [b'=', b'=', ..] => None,
        [b',', ..] if is_closed => Some((at + 1, false)),
        [b'=', ..] => Some((at + 1, false)),
        // `$config['secret'] = ...`
        [b']', ..] if is_closed => {
            let at = skip_space(text, at + 1);
            (text.get(at) == Some(&b'=') && text.get(at + 1) != Some(&b'=')).then_some((at + 1, false))
        }
        _ => None,
    }
}

fn skip_space(text: &[u8], at: usize) -> usize {
    at + text[at.min(text.len())..].iter().take_while(|byte| byte.is_ascii_whitespace()).count()
}

fn rest_of_literal(text: &[u8], name: &Range<usize>, start: usize) -> Vec<Range<usize>> {
    let quote = text[name.start - 1];
    end_of_literal(text, start, quote).map(|end| start..end).into_iter().collect()
}

/// The literals in an expression, but for those that name what is looked up: `getenv('NAME')`, `$_ENV['NAME']`.
fn literals(text: &[u8], start: usize) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let (mut at, mut depth) = (start, 0_usize);
    // The last byte that was no space, and the one before.
    let (mut last, mut last_but_one) = (b' ', b' ');
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\'' | b'"' => {
                let Some(end) = end_of_literal(text, at + 1, byte) else { break };
                let is_looked_up = matches!(last, b'(' | b'[') && (is_name_byte(last_but_one) || last_but_one == b']');
                if !is_looked_up {
                    found.push(at + 1..end);
                }
                at = end;
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' if depth == 0 => break,
            b')' | b']' | b'}' => depth -= 1,
            b';' => break,
            b',' if depth == 0 => break,
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            (last_but_one, last) = (last, byte);
        }
        at += 1;
    }
    found
}

/// Where the quote is that ends a literal.
fn end_of_literal(text: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut at = start;
    loop {
        match *text.get(at)? {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at),
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        value(false, text.as_bytes()).map_or(text.to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_secret_is_told_by_its_name() {
        for name in [
            "user_pass",
            "mailserver_pass",
            "user_activation_key",
            "post_password",
            "DB_PASSWORD",
            "AUTH_KEY",
            "NONCE_SALT",
            "LOGGED_IN_KEY",
            "session_tokens",
            "_application_passwords",
            "recovery_keys",
            "apiKey",
            "api-key",
            "clientSecret",
            "access_token",
            "acf_pro_license",
            "smtpPassword",
            "stripe_secret_key",
            "woocommerce_consumer_secret",
            "accesstoken",
        ] {
            assert!(is_secret_name(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "blogname",
            "meta_key",
            "key",
            "keys",
            "moderation_keys",
            "disallowed_keys",
            "public_key",
            "COLUMN_KEY",
            "compass",
            "author",
            "post_title",
            "passenger_count",
            "monkey",
            "secretary",
            "tokenizer",
            "_edit_lock",
        ] {
            assert!(!is_secret_name(name.as_bytes()), "{name}");
        }
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
            (r#"a:1:{s:5:"token";C:1:"X":3:{abc}}"#, r#"a:1:{s:5:"token";C:1:"X":3:{abc}}"#),
            (r#"a:1:{s:5:"token";E:3:"A:B";}"#, r#"a:1:{s:5:"token";E:3:"A:B";}"#),
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
            (r#"[{"secret":{"a":"x","n":7}},{"a":"x"}]"#, r#"[{"secret":{"a":"[redacted]","n":7}},{"a":"x"}]"#),
            (r#"{"a":"{\"token\":\"x\"}"}"#, r#"{"a":"{\"token\":\"[redacted]\"}"}"#),
            (r#"{"a":{},"b":[],"token":"yes"}"#, r#"{"a":{},"b":[],"token":"yes"}"#),
        ] {
            assert_eq!(redacted(before), after);
        }
    }

    #[test]
    fn what_is_broken_or_endless_is_survived() {
        for text in
            [r#"a:1:{s:99:"token";s:3:"abc";}"#, r#"a:9999999999:{}"#, r#"{"token":"#, r#"{"token" "x"}"#, r#"{"a":"\"#]
        {
            assert_eq!(redacted(text), text);
        }
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert_eq!(redacted(&deep), deep);
        let deep = "a:1:{i:0;".repeat(100_000) + "N;" + &"}".repeat(100_000);
        assert_eq!(redacted(&deep), deep);
    }

    const CONFIG: &str = r#"<?php
// It's a comment, and don't mind the quotes.
define( 'DB_NAME', 'wordpress' );
define( 'DB_PASSWORD', 'hunter\'2' ); # define('DB_PASSWORD', "old");
defined( 'AUTH_KEY' ) || define( "AUTH_KEY",
    'one' . "two" );
define( 'NONCE_SALT', getenv( 'NONCE_SALT' ) ?: 'fallback' );
const SECRET_KEY = 'k'; $smtp_pass = 'p'; $c['api_key'] = 'q';
$mail = array( 'user' => 'u', 'password' => 'v', 'host' => 'h' );
putenv( 'API_TOKEN=w' );
define( 'EMPTY_SALT', '' );
$table_prefix = 'wp_';
"#;

    #[test]
    fn secrets_of_the_configuration_become_placeholders() {
        let text = String::from_utf8(config(CONFIG.as_bytes())).unwrap();
        for line in [
            "define( 'DB_NAME', 'wordpress' );",
            "'[redacted by ForkPress: DB_PASSWORD]' ); # define('DB_PASSWORD', \"[redacted by ForkPress: DB_PASSWORD 2]\");",
            "    '[redacted by ForkPress: AUTH_KEY]' . \"[redacted by ForkPress: AUTH_KEY 2]\" );",
            "getenv( 'NONCE_SALT' ) ?: '[redacted by ForkPress: NONCE_SALT]' );",
            "const SECRET_KEY = '[redacted by ForkPress: SECRET_KEY]'; $smtp_pass = '[redacted by ForkPress: smtp_pass]'; \
             $c['api_key'] = '[redacted by ForkPress: api_key]';",
            "array( 'user' => 'u', 'password' => '[redacted by ForkPress: password]', 'host' => 'h' );",
            "putenv( 'API_TOKEN=[redacted by ForkPress: API_TOKEN]' );",
            "define( 'EMPTY_SALT', '' );",
            "$table_prefix = 'wp_';",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert_eq!(config(text.as_bytes()), text.as_bytes(), "twice is once");
    }

    #[test]
    fn placeholders_become_the_branchs_own_secrets_again() {
        let current = CONFIG.as_bytes();
        assert_eq!(restore(&config(current), current), current);
        let edited = String::from_utf8(config(current)).unwrap();
        let edited =
            edited.replace("'wordpress'", "'other'").replace("[redacted by ForkPress: smtp_pass]", "new") + "// end\n";
        let expected = CONFIG.replace("'wordpress'", "'other'").replace("'p'", "'new'") + "// end\n";
        assert_eq!(String::from_utf8(restore(edited.as_bytes(), current)).unwrap(), expected);
        let emptied = restore(&config(current), b"<?php\n");
        assert!(!String::from_utf8(emptied).unwrap().contains("redacted"), "a salt that everybody knows is none");
    }
}
