//! Finds secrets in a text by their looks, or by a name that stands before them.

use std::ops::Range;
use std::sync::{LazyLock, OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::bytes::Regex;

use super::rules::{SHAPES, is_flag, is_secret_identifier, is_secret_name, stems};

/// A secret in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FoundSecret {
    /// What it is, or its name.
    pub(super) label: String,
    /// Where it is.
    pub(super) range: Range<usize>,
}

/// The words that hint at secrets, which one look at a text finds: most texts have few, and each pattern takes its time.
struct Hints {
    words: AhoCorasick,
    /// The shape that each word hints at; none where it may be of a name.
    shapes: Vec<Option<usize>>,
    /// Those that have no word.
    always: u64,
}

static HINTS: LazyLock<Hints> = LazyLock::new(|| {
    let of_shapes =
        SHAPES.iter().enumerate().flat_map(|(number, shape)| shape.has.iter().map(move |word| (Some(number), *word)));
    let (shapes, words): (Vec<_>, Vec<&str>) = of_shapes.chain(stems().map(|stem| (None, stem))).unzip();
    let kind = Some(AhoCorasickKind::DFA);
    let words =
        AhoCorasick::builder().ascii_case_insensitive(true).kind(kind).build(words).expect("the table is small");
    let always =
        SHAPES.iter().enumerate().filter(|(_, shape)| shape.has.is_empty()).map(|(number, _)| 1 << number).sum();
    Hints { words, shapes, always }
});

static PATTERNS: [OnceLock<Regex>; SHAPES.len()] = [const { OnceLock::new() }; SHAPES.len()];

/// How many bytes the quote after a name has at most, with its backslashes.
const QUOTE: usize = 64;

/// After a name, what parts it from its value, and how that begins: `"name":"`, `'name' => '`, `name="`, `s:4:"name";s:5:"`,
/// `\"name\":\"`, `&quot;name&quot;:&quot;`.
static MEMBER: LazyLock<Regex> = LazyLock::new(|| {
    let quote = r#"(?:\\*["']|&quot;|&\#0?3[49];)"#;
    let pattern = format!(
        r#"(?-u)\A(?P<end>{quote}?)\s*(?:=>|[:=;])\s*(?:s:[0-9]+:|[id]:|[aO]:[0-9]+:(?:{quote}[^\"']*{quote}:[0-9]+:)?)?(?:(?P<quote>{quote})|(?P<group>[\[{{])|[0-9])"#
    );
    Regex::new(&pattern).expect("it is a pattern")
});

/// A name and what parts it from its value where people write: `password: `, `PASSWORD=`, `'PASSWORD', `, `the password is `.
static PROSE: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r#"(?-u)(?P<name>[0-9A-Za-z_][0-9A-Za-z_.-]{1,63})(?P<end>\\*["']?)[\s\])]*(?:=>|:=|[:=]|(?P<comma>,)|\b(?:is|was)\b)"#;
    Regex::new(pattern).expect("it is a pattern")
});

/// The secrets in a text that are told by what they look like.
pub(super) fn shapes(text: &[u8]) -> Vec<FoundSecret> {
    let mut found = Vec::new();
    let hinted = HINTS.words.find_overlapping_iter(text).filter_map(|word| HINTS.shapes[word.pattern().as_usize()]);
    add_shapes(text, hinted.fold(HINTS.always, |all, number| all | 1 << number), &mut found);
    found
}

/// The same, and those that follow their names, as in a piece of JSON, of source or of markup, or in the query of a URL; never in
/// plain prose, where nothing is between quotes.
pub(super) fn shapes_and_members(text: &[u8]) -> Vec<FoundSecret> {
    let (mut found, mut hinted, mut at) = (Vec::new(), HINTS.always, 0);
    for word in HINTS.words.find_overlapping_iter(text) {
        if let Some(number) = HINTS.shapes[word.pattern().as_usize()] {
            hinted |= 1 << number;
            continue;
        }
        if word.start() < at {
            continue;
        }
        let before = text[at..word.start()].iter().rev().take_while(|byte| is_of_name(byte)).count();
        let after = text[word.end()..].iter().take_while(|byte| is_of_name(byte)).count();
        let name = word.start() - before..word.end() + after;
        at = name.end;
        let Some(range) = member_value(text, &name).filter(|_| is_secret_identifier(&text[name.clone()])) else {
            continue;
        };
        at = at.max(range.end);
        if !is_flag(&text[range.clone()]) {
            found.push(FoundSecret { label: String::from_utf8_lossy(&text[name]).into_owned(), range });
        }
    }
    add_shapes(text, hinted, &mut found);
    found
}

fn add_shapes(text: &[u8], hinted: u64, found: &mut Vec<FoundSecret>) {
    for (number, shape) in SHAPES.iter().enumerate().filter(|(number, _)| hinted & (1 << number) != 0) {
        let compile = || Regex::new(&format!("(?-u){}", shape.pattern)).expect("the table has patterns");
        for captures in PATTERNS[number].get_or_init(compile).captures_iter(text) {
            let secret = captures.name("secret").or_else(|| captures.get(0)).expect("a match has a whole");
            if (shape.check)(secret.as_bytes()) && !secret.as_bytes().starts_with(b"[redacted") {
                found.push(FoundSecret { label: shape.label.to_owned(), range: secret.range() });
            }
        }
    }
}

/// Where the value is that goes with a name; none where there is none.
fn member_value(text: &[u8], name: &Range<usize>) -> Option<Range<usize>> {
    let rest = &text[name.end..];
    // Most words are in prose: that is seen faster than by the pattern.
    let quote = rest.iter().take(QUOTE).take_while(|byte| !b" \t\r\n=:;".contains(byte)).count();
    let gap = rest[quote..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    if !rest[quote + gap..].first().is_some_and(|byte| b"=:;".contains(byte)) {
        return None;
    }
    let Some(captures) = MEMBER.captures(rest) else {
        let is_of_query = name.start > 0 && b"?&;".contains(&text[name.start - 1]) && rest.starts_with(b"=");
        let length = || {
            rest[1..].iter().take_while(|byte| !byte.is_ascii_whitespace() && !b"&\"'<>#\\;)".contains(byte)).count()
        };
        return is_of_query.then(|| name.end + 1..name.end + 1 + length());
    };
    let start = name.end + captures.get(0).expect("a match has a whole").end();
    match captures.name("quote") {
        Some(quote) => Some(start..end_of_quoted(text, start, quote.as_bytes())),
        None if captures["end"].is_empty() => None,
        None if captures.name("group").is_some() => Some(start - 1..end_of_group(text, start - 1)),
        None => Some(start - 1..end_of_number(text, start)),
    }
}

fn is_of_name(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(byte)
}

/// The secrets in a comment or another text that people write, which follow their names: what is between quotes, else the rest
/// of the line, and of the text where a bracket or a document goes on.
pub(super) fn prose(text: &[u8]) -> Vec<FoundSecret> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(captures) = PROSE.captures_at(text, at) {
        let (name, start) = (&captures["name"], captures.get(0).expect("a match has a whole").end());
        at = captures.name("name").expect("there is a name").end();
        if !is_secret_name(name) || captures.name("comma").is_some() && captures["end"].is_empty() {
            continue;
        }
        let mut add = |range: Range<usize>| {
            at = at.max(range.end);
            if !is_flag(&text[range.clone()]) {
                found.push(FoundSecret { label: String::from_utf8_lossy(name).into_owned(), range });
            }
        };
        let mut quote = quote_after(text, start);
        if quote.is_none() {
            add(rest_of_line(text, start));
        }
        while let Some(opened) = quote {
            let end = end_of_quoted(text, opened.end, &text[opened.clone()]);
            add(opened.end..end);
            let next = end + opened.len();
            let is_joined = text.get(next..).is_some_and(|rest| rest.trim_ascii_start().starts_with(b"."));
            quote = if is_joined { quote_after(text, next) } else { None };
        }
    }
    found
}

/// Where the quote is that the next value begins with.
fn quote_after(text: &[u8], from: usize) -> Option<Range<usize>> {
    let is_before = |byte: &u8| byte.is_ascii_whitespace() || b".*/#".contains(byte);
    let start = from + text[from..].iter().take_while(|byte| is_before(byte)).count();
    let escapes = text[start..].iter().take_while(|byte| **byte == b'\\').count();
    matches!(text.get(start + escapes), Some(b'\'' | b'"')).then_some(start..start + escapes + 1)
}

fn rest_of_line(text: &[u8], from: usize) -> Range<usize> {
    let rest = &text[from..];
    let line = &rest[..rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())];
    let count = |brackets: &[u8]| line.iter().filter(|byte| brackets.contains(byte)).count();
    let goes_on = count(b"([{") > count(b")]}") || line.windows(3).any(|part| part == b"<<<");
    let value = if goes_on { rest } else { line };
    let start = from + value.len() - value.trim_ascii_start().len();
    let value = value.trim_ascii();
    start..start + value.strip_suffix(b"*/").map_or(value, <[u8]>::trim_ascii_end).len()
}

/// The same, in order, and what overlaps made one.
pub(super) fn in_order(mut found: Vec<FoundSecret>) -> Vec<FoundSecret> {
    found.sort_by_key(|found| (found.range.start, usize::MAX - found.range.end));
    let mut joined: Vec<FoundSecret> = Vec::with_capacity(found.len());
    for next in found {
        match joined.last_mut() {
            Some(last) if next.range.start < last.range.end => last.range.end = last.range.end.max(next.range.end),
            _ => joined.push(next),
        }
    }
    joined
}

/// Whether a text has a word anywhere that is the name of a secret.
pub(super) fn has_secret_word(text: &[u8]) -> bool {
    text.split(|byte| !is_of_name(byte)).any(|word| !word.is_empty() && is_secret_name(word))
}

/// Where ends what is quoted: at the same quote with as many backslashes, else where the line does.
fn end_of_quoted(text: &[u8], from: usize, quote: &[u8]) -> usize {
    let mut at = from;
    while at < text.len() {
        if text[at..].starts_with(quote) {
            return at;
        }
        let escapes = text[at..].iter().take_while(|byte| **byte == b'\\').count();
        at += escapes + 1;
    }
    from + text[from..].iter().position(|byte| *byte == b'\n').unwrap_or(text.len() - from)
}

/// Where the bracket is closed that opens there; the end of the text where it is not.
fn end_of_group(text: &[u8], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0_usize);
    while at < text.len() {
        match text[at] {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b'"' => at = end_of_quoted(text, at + 1, b"\""),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn end_of_number(text: &[u8], from: usize) -> usize {
    from + text[from..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'.').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(text: &str) -> Vec<&str> {
        in_order(shapes_and_members(text.as_bytes())).into_iter().map(|found| &text[found.range]).collect()
    }

    #[test]
    fn a_secret_is_told_by_its_shape_wherever_it_stands() {
        let hex = "0123456789abcdef0123456789abcdef";
        let letters = "Ab3dEf6hIjKlMn0pQrStUv2xYz4";
        for secret in [
            format!("sk_live_{letters}"),
            format!("rk_live_{letters}"),
            format!("whsec_{letters}"),
            format!("ghp_{letters}"),
            format!("github_pat_{letters}_{letters}"),
            format!("glpat-{letters}"),
            "xoxb-123456789012-abcdefABCDEF".to_owned(),
            "AKIAIOSFODNN7EXAMPLE".to_owned(),
            format!("AIza{letters}12345678"),
            format!("ya29.{letters}"),
            format!("SG.{letters}.{letters}"),
            format!("key-{hex}"),
            format!("SK{hex}"),
            format!("AC{hex}"),
            format!("{hex}-us12"),
            format!("npm_{letters}123456789"),
            format!("pypi-{letters}"),
            format!("sk-proj-{letters}"),
            format!("eyJhbGciOiJI.eyJzdWIiOiIx.{letters}"),
            "$P$Babcdefghijklmnopqrstuvwxyz01234".to_owned(),
            "$2y$10$abcdefghijklmnopqrstuvwxyz".to_owned(),
            "$argon2id$v=19$m=65536,t=4,p=1$abcdef".to_owned(),
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn\n-----END OPENSSH PRIVATE KEY-----".to_owned(),
            "abCD 12eF gH3i Jk4L mN5o 6pQr".to_owned(),
        ] {
            for (before, after) in [("", ""), ("say ", " and more"), ("(\"", "\")"), ("=", "\n")] {
                assert_eq!(secrets(&format!("{before}{secret}{after}")), [secret.as_str()]);
            }
        }
        for (text, secret) in [
            ("mysql://root:hunter2@db/wp", "hunter2"),
            (r"https:\/\/u:p@ss@host\/x", "p@ss"),
            ("redis://:hunter2@db:6379", "hunter2"),
            ("https://x.test/?a=1&api_key=hunter2#x", "hunter2"),
            ("https://hooks.slack.com/services/T000/B000/xyzxyz", "T000/B000/xyzxyz"),
            ("Authorization: Basic aHVudGVyMg==", "aHVudGVyMg=="),
            ("say Bearer abcdefgh12345678 here", "abcdefgh12345678"),
            ("Basic dXNlcjpodW50ZXIy", "dXNlcjpodW50ZXIy"),
        ] {
            assert_eq!(secrets(text), [secret], "{text}");
        }
    }

    #[test]
    fn a_secret_follows_its_name_in_pieces_of_json_source_and_markup() {
        for text in [
            r#"<!-- wp:x {"apiKey":"hunter2","a":"b"} /-->"#,
            r#"x {\"token\":\"hunter2\"} y"#,
            "<div data-x='{&quot;secret&quot;:&quot;hunter2&quot;}'>",
            r#"x a:1:{s:4:"pass";s:7:"hunter2";}"#,
            "$a = array( 'password' => 'hunter2', 'host' => 'h' );",
            r#"[login password="hunter2" user="u"]"#,
            "var c = {clientSecret: 'hunter2'};",
            r#"{"a":1, "token" : "hunter2"#,
        ] {
            assert_eq!(secrets(text), ["hunter2"], "{text}");
        }
        assert_eq!(secrets(r#"x {"otp": 123456}"#), ["123456"]);
        assert_eq!(secrets(r#""token":"a\"b""#), [r#"a\"b"#]);
    }

    #[test]
    fn what_people_and_programs_write_every_day_is_no_secret() {
        for text in [
            "Forgot your password? Reset it: click here. The secret is to keep tokens short; basic internationalization.",
            r#"<script src="a.js?ver=6.8.1&t=5" integrity="sha384-oqVuAfXRKap7fdgcCY5uykM6+R9GqQ8K/uxy9rx7HNQlGYl1kPzQho1wx4JwY8wC" crossorigin="anonymous"></script>"#,
            ".a-3f2b8c9d0e1f{background:url(data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAUA)} .sk-fading-circle{}",
            "550e8400-e29b-41d4-a716-446655440000 d41d8cd98f00b204e9800998ecf8427e",
            r#"<!-- wp:image {"id":7,"sizeSlug":"large","className":"is-style-rounded","metadata":{"name":"Hero"}} -->"#,
            "https://example.test:8080/path?author=1&page_id=2&s=key mailto:a@b.test https://medium.test/@name",
            r#"<input type="password" name="pwd" id="user_pass" autocomplete="current-password" />"#,
            "From 2012 2013 2014 2015 2016 on. This that with some more like them.",
            "asset: sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=, main.3f2b8c9d.js",
            "It costs $5 or $6, $2 off.",
        ] {
            assert_eq!(secrets(text), Vec::<&str>::new(), "{text}");
        }
    }
}
