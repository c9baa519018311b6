//! PHP's serialized strings in a text. Each says how many bytes it has, and that number stays true.

use super::escape::char_at;
use super::splice::Splice;

/// How the quotes of a serialized value stand in a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    Plain,
    /// As in a string of JSON or SQL.
    Backslash,
    /// As in HTML.
    Entity,
}

/// How often all of a text is walked through at most.
const MOST_WALKS: usize = 16;

/// Adds an edit for the length of each serialized string that other edits make longer or shorter. `edits` are in the text's order
/// and stay so.
pub(super) fn mend(text: &[u8], edits: &mut Vec<Splice>) {
    // Strings in strings are walked through once for each that they are in: in an honest text a few times.
    let mut walked_bytes = text.len().saturating_mul(MOST_WALKS);
    // The strings inside of a string come first: they may change its length. So these come from the last to the first.
    let mut lengths: Vec<Splice> = Vec::new();
    let mut at = text.len();
    while let Some(begin) = text[..at].windows(2).rposition(|pair| pair == b"s:") {
        at = begin + 1;
        if begin > 0 && text[begin - 1].is_ascii_alphanumeric() {
            continue;
        }
        let digits = begin + 2;
        let Some(found) = string_at(text, digits, &mut walked_bytes) else { continue };
        let first = edits.partition_point(|edit| edit.start < found.content);
        let others = edits[first..].iter().take_while(|edit| edit.start < found.end);
        let inner = lengths.iter().rev().take_while(|edit| edit.start < found.end);
        let inside = others.chain(inner).filter(|edit| edit.end <= found.end);
        let bytes = |text: &[u8]| bytes_of(text, found.quoting).cast_signed();
        let longer: isize = inside.map(|edit| bytes(&edit.with) - bytes(&text[edit.start..edit.end])).sum();
        if longer == 0 {
            continue;
        }
        let new = found.length.saturating_add_signed(longer).to_string();
        let end = digits + found.length.to_string().len();
        lengths.push(Splice { start: digits, end, with: new.into_bytes() });
    }
    edits.extend(lengths);
    edits.sort_by_key(|edit| edit.start);
}

/// A serialized string in a text.
struct FoundString {
    /// What it says that its length is.
    length: usize,
    quoting: Quoting,
    /// Where its content begins, and ends.
    content: usize,
    end: usize,
}

/// The string of which the length stands at `at`. None unless it is whole.
fn string_at(text: &[u8], at: usize, walked_bytes: &mut usize) -> Option<FoundString> {
    let digits = text[at..].iter().take(10).take_while(|b| b.is_ascii_digit()).count();
    let written = std::str::from_utf8(&text[at..at + digits]).ok()?;
    let length: usize = written.parse().ok()?;
    if length.to_string() != written || text.get(at + digits) != Some(&b':') {
        return None;
    }
    let quote = at + digits + 1;
    let (c, width) = char_at(text, quote)?;
    let quoting = match (c, width, text[quote]) {
        ('"', 1, _) => Quoting::Plain,
        ('"', 2, b'\\') => Quoting::Backslash,
        ('"', _, b'&') => Quoting::Entity,
        _ => return None,
    };
    let content = quote + width;
    if quoting != Quoting::Plain {
        *walked_bytes = walked_bytes.checked_sub(length)?;
    }
    let end = advance(text, content, length, quoting)?;
    let closes = text[end..].starts_with(&text[quote..content]) && text.get(end + width) == Some(&b';');
    closes.then_some(FoundString { length, quoting, content, end })
}

/// Where so many bytes end, once escapes are undone.
fn advance(text: &[u8], mut at: usize, bytes: usize, quoting: Quoting) -> Option<usize> {
    if quoting == Quoting::Plain {
        return at.checked_add(bytes).filter(|end| *end <= text.len());
    }
    let mut left = bytes;
    while left > 0 {
        let (is, spelt) = width_at(text, at, quoting)?;
        left = left.checked_sub(is)?;
        at += spelt;
    }
    (at <= text.len()).then_some(at)
}

/// How many bytes a piece of a text is, once escapes are undone.
fn bytes_of(piece: &[u8], quoting: Quoting) -> usize {
    let mut at = 0;
    std::iter::from_fn(|| {
        let (is, spelt) = width_at(piece, at, quoting)?;
        at += spelt;
        Some(is)
    })
    .sum()
}

/// How many bytes the character at a place is, and how many its spelling takes; none at the end.
fn width_at(text: &[u8], at: usize, quoting: Quoting) -> Option<(usize, usize)> {
    Some(match (quoting, *text.get(at)?) {
        (Quoting::Backslash, b'\\') if text.get(at + 1) == Some(&b'u') => {
            let (c, width) = char_at(text, at)?;
            // Half of a pair is two bytes of the four.
            (if c == char::REPLACEMENT_CHARACTER { 2 } else { c.len_utf8() }, width)
        }
        (Quoting::Backslash, b'\\') => (1, 2),
        (Quoting::Entity, b'&') => char_at(text, at).map(|(c, width)| (c.len_utf8(), width))?,
        _ => (1, 1),
    })
}

#[cfg(test)]
mod tests {
    use crate::address::{Addresses, Known, Own};

    fn map(text: &str) -> String {
        let mut addresses = Addresses::default();
        addresses.add_root("wp.localhost");
        let own = Own::parse("http://marketing.wp.localhost:18080").unwrap();
        let mapped = Known::new(&addresses).map(&own, text.as_bytes(), b"");
        String::from_utf8(mapped.unwrap_or_else(|| text.into())).unwrap()
    }

    #[test]
    fn the_length_of_a_serialized_string_stays_true() {
        // 19 bytes become 35.
        let cases = [
            (r#"a:1:{i:0;s:20:"http://wp.localhost/";}"#, r#"a:1:{i:0;s:36:"http://marketing.wp.localhost:18080/";}"#),
            (
                r#""v":"s:20:\"http:\/\/wp.localhost\/\";""#,
                r#""v":"s:36:\"http:\/\/marketing.wp.localhost:18080\/\";""#,
            ),
            (
                r#""s:22:\"\u00e9http:\/\/wp.localhost\/\";""#,
                r#""s:38:\"\u00e9http:\/\/marketing.wp.localhost:18080\/\";""#,
            ),
            (
                "s:21:&quot;&amp;http://wp.localhost/&quot;;",
                "s:37:&quot;&amp;http://marketing.wp.localhost:18080/&quot;;",
            ),
            (r#"s:28:"http%3A%2F%2Fwp.localhost%2F";"#, r#"s:46:"http%3A%2F%2Fmarketing.wp.localhost%3A18080%2F";"#),
            (
                r#""s:26:\"http%3A%2F%2Fwp.localhost\/\";""#,
                r#""s:44:\"http%3A%2F%2Fmarketing.wp.localhost%3A18080\/\";""#,
            ),
            (r#"s:3:"abc";s:19:"http://wp.localhost";"#, r#"s:3:"abc";s:35:"http://marketing.wp.localhost:18080";"#),
        ];
        for (there, here) in cases {
            assert_eq!(map(there), here);
        }
    }

    #[test]
    fn so_does_that_of_a_string_around_it() {
        let value = |url: &str| {
            let inner = format!("s:{}:\"{}{url}\";", url.len() + 70, "x".repeat(70));
            format!("s:{}:\"{inner}\";", inner.len())
        };
        assert_eq!(map(&value("http://wp.localhost/")), value("http://marketing.wp.localhost:18080/"));
    }

    #[test]
    fn what_only_looks_like_one_stays_as_it_is() {
        for text in [
            "s:99:\"http://wp.localhost/\";",
            "s:3:\"http://wp.localhost/\";",
            "ss:20:\"http://wp.localhost/\";",
            "s:020:\"http://wp.localhost/\";",
        ] {
            assert_eq!(map(text), text.replace("wp.localhost", "marketing.wp.localhost:18080"));
        }
    }
}
