//! Text that comes from a site: nothing of it is trusted, and it may be written in any direction.

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use forkpress_core::record::rfc3339;
use maud::{Markup, html};

/// Text of a site, kept apart from what stands around it.
pub fn said(text: &str) -> Markup {
    html! { bdi { (clean(text)) } }
}

/// The same as code.
pub fn code(text: &str) -> Markup {
    html! { code { bdi { (clean(text)) } } }
}

/// Without what would turn around or hide what stands beside it. Line ends and tabs stay.
pub fn clean(text: &str) -> Cow<'_, str> {
    let is_bad = |c: char| match c {
        '\n' | '\t' => false,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => true,
        c => c.is_control(),
    };
    if text.contains(is_bad) { text.replace(is_bad, "\u{fffd}").into() } else { text.into() }
}

/// A moment, as RFC 3339 has it in UTC. The page's script shows it in the time zone of the browser.
pub fn moment(text: &str) -> Markup {
    // Without its seconds, which the title has.
    let short = text.get(..16).unwrap_or(text).replace('T', " ");
    html! { time datetime=(text) title=(text) { (short) " UTC" } }
}

/// The moment so many seconds after 1970, as RFC 3339 has it in UTC.
pub fn at_second(seconds: u64) -> String {
    rfc3339(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// So many of something.
pub fn many(count: u64, what: &str) -> String {
    match what.strip_suffix('y') {
        _ if count == 1 => format!("1 {what}"),
        Some(stem) if !stem.ends_with(['a', 'e', 'o']) => format!("{count} {stem}ies"),
        _ if what.ends_with("ch") => format!("{count} {what}es"),
        _ => format!("{count} {what}s"),
    }
}

/// A size, for people.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = "bytes";
    for next in UNITS {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if unit == "bytes" || value >= 10.0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_a_site_is_no_markup_and_turns_nothing_around() {
        let shown = said("<script>\u{202e}x\u{1b}[2J").into_string();
        assert_eq!(shown, "<bdi>&lt;script&gt;\u{fffd}x\u{fffd}[2J</bdi>");
        assert!(matches!(clean("\u{645}\u{631}\u{62d}\u{628}\u{627}\nx"), Cow::Borrowed(_)));
    }

    #[test]
    fn numbers_are_words() {
        assert_eq!(many(2, "branch"), "2 branches");
        assert_eq!([many(1, "entry"), many(2, "entry"), many(0, "day")], ["1 entry", "2 entries", "0 days"]);
        assert_eq!([size(999), size(1500), size(25_000_000)], ["999 bytes", "1.5 KB", "25 MB"]);
    }

    #[test]
    fn a_moment_is_told_twice() {
        let shown = moment("2023-11-14T22:13:20Z").into_string();
        assert!(
            shown.contains("datetime=\"2023-11-14T22:13:20Z\"") && shown.contains("2023-11-14 22:13 UTC"),
            "{shown}"
        );
    }
}
