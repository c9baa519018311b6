//! Makes text from elsewhere harmless before it is shown: a record, a log, a path, the name of a program, a server's
//! answer.
//!
//! A control character can move the cursor, rename the window, or paste or hide text. A change of the writing direction
//! can make a line read as another one. Each is made visible, such as `\u{1b}`.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character does something to a terminal, or to how text on it reads, besides being shown.
fn is_harmful(c: char) -> bool {
    // Controls (C0, DEL, C1), line and paragraph separators, and what embeds, overrides or isolates a writing direction.
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text of one line. A line feed in it would begin a line that nobody wrote.
pub fn line(text: &str) -> Cow<'_, str> {
    cleaned(text, |c| c != '\t' && is_harmful(c), |c, to| write!(to, "{}", c.escape_unicode()))
}

/// Text of several lines, which may end as Windows ends them.
pub fn lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(|text| line(text.strip_suffix('\r').unwrap_or(text))).collect();
    lines.join("\n")
}

/// JSON, in which such characters can only be part of strings: they are escaped as JSON does.
pub fn json(text: &str) -> Cow<'_, str> {
    cleaned(text, |c| c != '\n' && is_harmful(c), |c, to| write!(to, "\\u{:04x}", u32::from(c)))
}

fn cleaned(
    text: &str,
    is_harmful: impl Fn(char) -> bool,
    show: impl Fn(char, &mut String) -> std::fmt::Result,
) -> Cow<'_, str> {
    if !text.contains(&is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmful(c) {
            // A text never refuses what is written to it.
            let _ = show(c, &mut clean);
        } else {
            clean.push(c);
        }
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_or_turns_a_line_around_is_shown_as_what_it_is() {
        assert_eq!(line("a\tb \u{e4}\u{5d0}\u{1f600}"), "a\tb \u{e4}\u{5d0}\u{1f600}");
        assert_eq!(line("\x1b[2J\x07\r\n\u{9b}0m\x7f"), "\\u{1b}[2J\\u{7}\\u{d}\\u{a}\\u{9b}0m\\u{7f}");
        assert_eq!(line("php.\u{202e}gpj\u{2069}"), "php.\\u{202e}gpj\\u{2069}");
        assert_eq!(lines("a\r\nb\rc\n"), "a\nb\\u{d}c\n");
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({ "a\u{9b}": ["\x1b\u{202e}", "\n\x7f"] });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let clean = json(&text);
        assert!(!clean.contains(|c| c != '\n' && is_harmful(c)), "{clean}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&clean).unwrap(), value);
    }
}
