//! Characters as JSON, HTML and the query of a URL write them, escaped once or more often.

/// The character at a place, and how many bytes its spelling takes. A byte that is no valid text counts as U+FFFD.
pub(super) fn char_at(text: &[u8], at: usize) -> Option<(char, usize)> {
    let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
    let escaped = match rest[0] {
        b'%' => percent_at(rest),
        b'&' => entity_at(rest),
        b'\\' => backslash_at(rest),
        byte if byte.is_ascii() => Some((char::from(byte), 1)),
        _ => None,
    };
    escaped.or_else(|| {
        let length = rest.len().min(4);
        let valid = match std::str::from_utf8(&rest[..length]) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&rest[..error.valid_up_to()]).unwrap_or_default(),
        };
        Some(valid.chars().next().map_or((char::REPLACEMENT_CHARACTER, 1), |c| (c, c.len_utf8())))
    })
}

/// `%2F`, and `%252F`, which is that in a URL inside of a URL.
fn percent_at(rest: &[u8]) -> Option<(char, usize)> {
    let mut at = 1;
    while rest.get(at..at + 2) == Some(b"25") {
        at += 2;
    }
    let byte = hex(rest.get(at..at + 2)?)?;
    let c = u8::try_from(byte).ok().filter(u8::is_ascii).map_or(char::REPLACEMENT_CHARACTER, char::from);
    Some((c, at + 2))
}

/// Entities with a name that can be part of an address or end one.
const ENTITIES: [(&[u8], char); 10] = [
    (b"&amp;", '&'),
    (b"&apos;", '\''),
    (b"&colon;", ':'),
    (b"&commat;", '@'),
    (b"&gt;", '>'),
    (b"&lt;", '<'),
    (b"&num;", '#'),
    (b"&period;", '.'),
    (b"&quot;", '"'),
    (b"&sol;", '/'),
];

fn entity_at(rest: &[u8]) -> Option<(char, usize)> {
    if let Some((name, c)) = ENTITIES.iter().find(|(name, _)| rest.starts_with(name)) {
        return Some((*c, name.len()));
    }
    let end = rest.iter().take(10).position(|&b| b == b';')?;
    let code = match rest.get(1..end)? {
        [b'#', b'x' | b'X', digits @ ..] => hex(digits)?,
        [b'#', digits @ ..] => std::str::from_utf8(digits).ok()?.parse().ok()?,
        _ => return None,
    };
    Some((char::from_u32(code)?, end + 1))
}

/// `\/` and `\u002f`, and both with more backslashes, as in JSON inside of JSON.
fn backslash_at(rest: &[u8]) -> Option<(char, usize)> {
    let backslashes = rest.iter().take_while(|&&b| b == b'\\').count();
    match rest.get(backslashes)? {
        b'u' => {
            let code = hex(rest.get(backslashes + 1..backslashes + 5)?)?;
            Some((char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), backslashes + 5))
        }
        c @ (b'/' | b'"' | b'\'') => Some((char::from(*c), backslashes + 1)),
        _ => None,
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    all.then(|| std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok())).flatten()
}

/// Where the spelling of `wanted`, a `/` or a `:`, begins that ends at `end`.
pub(super) fn begin_of(text: &[u8], end: usize, wanted: char) -> Option<usize> {
    let last = *text.get(end.checked_sub(1)?)?;
    if last == wanted as u8 {
        let backslashes = text[..end - 1].iter().rev().take_while(|&&b| b == b'\\').count();
        return Some(end - 1 - if wanted == '/' { backslashes } else { 0 });
    }
    // The longest is that of an entity such as `&colon;`, but for backslashes and percent signs that were escaped again.
    if last == b';' || last.is_ascii_hexdigit() {
        let earliest = end.saturating_sub(16);
        let starts = (earliest..end).filter(|&at| matches!(text[at], b'%' | b'&' | b'\\'));
        for start in starts {
            if char_at(text, start) == Some((wanted, end - start)) {
                return Some(start);
            }
        }
    }
    None
}

/// The character that ends at `end`.
pub(super) fn char_before(text: &[u8], end: usize) -> Option<char> {
    let last = *text.get(end.checked_sub(1)?)?;
    if last.is_ascii_hexdigit() {
        let starts = (end.saturating_sub(16)..end).filter(|&at| matches!(text[at], b'%' | b'\\'));
        let escaped = starts.filter_map(|at| char_at(text, at).filter(|(_, length)| at + length == end)).next();
        if let Some((c, _)) = escaped {
            return Some(c);
        }
    }
    // What is not ASCII is a letter of some kind as often as not.
    Some(if last.is_ascii() { char::from(last) } else { char::REPLACEMENT_CHARACTER })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_is_known_in_each_of_its_spellings() {
        for spelling in [
            "/",
            "\\/",
            "\\\\\\/",
            "%2F",
            "%2f",
            "%25252F",
            "&#47;",
            "&#047;",
            "&#x2F;",
            "&sol;",
            "\\u002f",
            "\\\\u002F",
        ] {
            let text = format!("x{spelling}y");
            assert_eq!(char_at(text.as_bytes(), 1), Some(('/', spelling.len())), "{spelling}");
            assert_eq!(begin_of(text.as_bytes(), 1 + spelling.len(), '/'), Some(1), "{spelling}");
        }
        assert_eq!(begin_of(b"2F", 2, '/'), None);
        assert_eq!(begin_of(b"%3A", 3, '/'), None);
    }

    #[test]
    fn what_is_no_escape_is_itself() {
        for (text, c) in [("%", '%'), ("%zz", '%'), ("&x;", '&'), ("\\n", '\\'), ("é", 'é'), ("&#xffffffff;", '&')] {
            assert_eq!(char_at(text.as_bytes(), 0), Some((c, c.len_utf8())), "{text}");
        }
        assert_eq!(char_at(b"\xff", 0), Some((char::REPLACEMENT_CHARACTER, 1)));
        assert_eq!(char_at(b"", 0), None);
        assert_eq!(char_before(b"%22", 3), Some('"'));
        assert_eq!(char_before(b"\\u0022", 6), Some('"'));
        assert_eq!(char_before(b"a2", 2), Some('2'));
    }
}
