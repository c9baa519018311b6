//! Two versions of a text, word by word. Pure.
//!
//! Tags of HTML, and the comments in which the block editor keeps its settings, are one token each: a text can be read when they
//! are shown in a quiet way, and a changed setting is a changed comment, not some changed letters.

use std::ops::Range;
use std::time::{Duration, Instant};

use memchr::memmem;
use similar::{Algorithm, DiffOp, capture_diff_slices_deadline};

/// How long to look for what is the same. After that less of it is found, and all is still right.
const TIMEOUT: Duration = Duration::from_millis(150);

/// A longer tag, or comment, is not taken for one.
const LONGEST_MARKUP: usize = 16 << 10;

/// How much of what is the same is shown before and after a change, in bytes.
const AROUND: usize = 240;

/// What is left out is longer than this, in bytes.
const LEAST_GAP: usize = 200;

/// What became of a piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Both have it.
    Same,
    /// It came.
    Added,
    /// It went.
    Removed,
    /// Both have it, and it need not be shown: nothing near it changed.
    Gap,
}

/// A piece of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'t> {
    /// What became of it.
    pub fate: Fate,
    /// Whether it is a tag or a comment of HTML.
    pub is_markup: bool,
    /// The text.
    pub text: &'t str,
}

/// What became of a text, from its begin to its end. Without the pieces that were removed it is `after`, and without those that
/// were added it is `before`.
#[must_use]
pub fn pieces<'t>(before: &'t str, after: &'t str) -> Vec<Piece<'t>> {
    let (old, new) = (tokens(before), tokens(after));
    let words =
        |text: &'t str, tokens: &[Token]| tokens.iter().map(|token| &text[token.at.clone()]).collect::<Vec<_>>();
    let (old_words, new_words) = (words(before, &old), words(after, &new));
    let deadline = Some(Instant::now() + TIMEOUT);
    let ops = capture_diff_slices_deadline(Algorithm::Myers, &old_words, &new_words, deadline);
    let is_space =
        |op: &DiffOp| new_words[op.new_range()].iter().all(|word| word.trim().is_empty() && !word.contains('\n'));
    let is_equal = |op: &DiffOp| matches!(op, DiffOp::Equal { .. });
    let last = ops.len().saturating_sub(1);
    // Nobody reads changed words one by one: what is nothing but spaces between two changes is a part of one change.
    let is_same = |number: usize| is_equal(&ops[number]) && (number == 0 || number == last || !is_space(&ops[number]));
    let mut pieces = Pieces(Vec::new());
    let mut from = 0;
    while from < ops.len() {
        let to = if is_same(from) { from + 1 } else { (from..ops.len()).find(|at| is_same(*at)).unwrap_or(ops.len()) };
        let (first, end) = (&ops[from], &ops[to - 1]);
        let new_range = first.new_range().start..end.new_range().end;
        if is_same(from) {
            pieces.add(Fate::Same, after, &new[new_range]);
        } else {
            pieces.add(Fate::Removed, before, &old[first.old_range().start..end.old_range().end]);
            pieces.add(Fate::Added, after, &new[new_range]);
        }
        from = to;
    }
    pieces.0
}

/// The same with gaps for what is the same and far from every change. A text without changes is one gap.
#[must_use]
pub fn shortened(pieces: Vec<Piece<'_>>) -> Vec<Piece<'_>> {
    // What is the same is one stretch, be it of words or of markup.
    let mut short = Vec::new();
    let runs: Vec<&[Piece<'_>]> =
        pieces.chunk_by(|one, next| one.fate == Fate::Same && next.fate == Fate::Same).collect();
    for (number, run) in runs.iter().enumerate() {
        let length: usize = run.iter().map(|piece| piece.text.len()).sum();
        let before = if number == 0 { 0 } else { AROUND };
        let after = if number + 1 == runs.len() { 0 } else { AROUND };
        if run[0].fate != Fate::Same || length < before + after + LEAST_GAP {
            short.extend_from_slice(run);
            continue;
        }
        let gap = before..length - after;
        let mut at = 0;
        for piece in *run {
            let end = at + piece.text.len();
            // Of a tag, all is shown, or nothing.
            let cut = |byte: usize| {
                let inside = byte.clamp(at, end) - at;
                if piece.is_markup && inside < piece.text.len() { 0 } else { word_end(piece.text, inside) }
            };
            let (from, to) = (cut(gap.start), cut(gap.end).max(cut(gap.start)));
            for (fate, part) in [(Fate::Same, 0..from), (Fate::Gap, from..to), (Fate::Same, to..piece.text.len())] {
                let text = &piece.text[part];
                if !text.is_empty() {
                    short.push(Piece { fate, text, is_markup: piece.is_markup });
                }
            }
            at = end;
        }
    }
    short
}

/// The end of the word at a byte.
fn word_end(text: &str, byte: usize) -> usize {
    let end = text.char_indices().map(|(at, _)| at).find(|at| *at >= byte && !is_in_word(text, *at));
    end.unwrap_or(text.len())
}

/// Whether a word goes on at a byte.
fn is_in_word(text: &str, at: usize) -> bool {
    let is_part = |letter: Option<char>| letter.is_some_and(|letter| class(letter) == Class::Word);
    is_part(text[..at].chars().next_back()) && is_part(text[at..].chars().next())
}

/// Pieces as they are put together.
struct Pieces<'t>(Vec<Piece<'t>>);

impl<'t> Pieces<'t> {
    /// Adds tokens of a text, which follow each other.
    fn add(&mut self, fate: Fate, text: &'t str, tokens: &[Token]) {
        for run in tokens.chunk_by(|one, next| one.is_markup == next.is_markup) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            self.0.push(Piece { fate, is_markup: first.is_markup, text: &text[first.at.start..last.at.end] });
        }
    }
}

/// A part of a text that changes as a whole.
struct Token {
    at: Range<usize>,
    is_markup: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
    Space,
    /// A sign, or a letter of a script that has no spaces between words: alone.
    Alone,
}

fn class(letter: char) -> Class {
    match letter {
        letter if letter.is_whitespace() => Class::Space,
        '\u{2e80}'..='\u{a4cf}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}' => {
            Class::Alone
        }
        letter if letter.is_alphanumeric() || letter == '_' => Class::Word,
        // Marks that belong to the letter before them are no signs of their own.
        letter if letter.is_ascii() || matches!(letter, '\u{a0}'..='\u{bf}' | '\u{2000}'..='\u{206f}') => Class::Alone,
        _ => Class::Word,
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        let (length, is_markup) = match markup(rest) {
            Some(length) => (length, true),
            None => {
                let kind = class(letter);
                let first = letter.len_utf8();
                let more = match kind {
                    Class::Alone => 0,
                    kind => rest[first..].find(|next| class(next) != kind || next == '<').unwrap_or(rest.len() - first),
                };
                // Each line is its own, so that one that came is not the end of another.
                let more = match rest[..first + more].find('\n') {
                    Some(end) if kind == Class::Space => end + 1 - first,
                    _ => more,
                };
                (first + more, false)
            }
        };
        tokens.push(Token { at: at..at + length, is_markup });
        at += length;
    }
    tokens
}

/// How long the tag or comment is that a text begins with; none where it begins with none.
fn markup(text: &str) -> Option<usize> {
    let within = &text.as_bytes()[..text.len().min(LONGEST_MARKUP)];
    let find = |end: &[u8]| memmem::find(within, end).map(|at| at + end.len());
    match within {
        [b'<', b'!', b'-', b'-', ..] => find(b"-->"),
        [b'<', b'/' | b'!' | b'a'..=b'z' | b'A'..=b'Z', ..] => find(b">"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{+came+}`, `{-went-}`, `{…}`; markup in `‹›`.
    fn told(pieces: &[Piece<'_>]) -> String {
        let told = |piece: &Piece<'_>| {
            let text = if piece.is_markup { format!("‹{}›", piece.text) } else { piece.text.to_owned() };
            match piece.fate {
                Fate::Same => text,
                Fate::Added => format!("{{+{text}+}}"),
                Fate::Removed => format!("{{-{text}-}}"),
                Fate::Gap => "{…}".to_owned(),
            }
        };
        pieces.iter().map(told).collect()
    }

    fn diff(before: &str, after: &str) -> String {
        let pieces = pieces(before, after);
        let without =
            |fate: Fate| pieces.iter().filter(|piece| piece.fate != fate).map(|piece| piece.text).collect::<String>();
        assert_eq!(
            (without(Fate::Added), without(Fate::Removed)),
            (before.to_owned(), after.to_owned()),
            "nothing is lost"
        );
        told(&pieces)
    }

    #[test]
    fn words_come_and_go_as_a_whole() {
        assert_eq!(diff("Our new shop", "Our old shop"), "Our {-new-}{+old+} shop");
        assert_eq!(
            diff("This is your first post", "This is our new shop"),
            "This is {-your first post-}{+our new shop+}"
        );
        assert_eq!(diff("a b\nc d", "x b\ny d"), "{-a-}{+x+} b\n{-c-}{+y+} d");
        assert_eq!(diff("", "a b"), "{+a b+}");
        assert_eq!(diff("a b", ""), "{-a b-}");
        assert_eq!(diff("", ""), "");
        assert_eq!(diff("It is, we know", "It is: we know"), "It is{-,-}{+:+} we know");
        assert_eq!(diff("one\ntwo\n", "one\nnew\ntwo\n"), "one\n{+new\n+}two\n");
    }

    #[test]
    fn letters_of_any_script_stay_whole() {
        assert_eq!(diff("Grüße aus Köln", "Grüße aus Bonn"), "Grüße aus {-Köln-}{+Bonn+}");
        assert_eq!(diff("cafe\u{301} x", "cafe x"), "{-cafe\u{301}-}{+cafe+} x");
        assert_eq!(diff("我们的店", "我的店"), "我{-们-}的店");
        assert_eq!(diff("متجر جديد", "متجر قديم"), "متجر {-جديد-}{+قديم+}");
    }

    #[test]
    fn blocks_and_tags_are_markup_and_change_as_a_whole() {
        assert_eq!(
            diff("<!-- wp:paragraph --><p>Old</p>", "<!-- wp:paragraph {\"a\":1} --><p>New</p>"),
            "{-‹<!-- wp:paragraph -->›-}{+‹<!-- wp:paragraph {\"a\":1} -->›+}‹<p>›{-Old-}{+New+}‹</p>›"
        );
        for text in ["a < b", "1<2", "<", "<!-- never ends", "<a", "x<y>", "<>", "</"] {
            assert_eq!(diff(text, text).replace(['‹', '›'], ""), text);
        }
        assert_eq!(diff("a < b", "a < c"), "a < {-b-}{+c+}");
        assert_eq!(
            diff("<!-- wp:x {\"a\":\"<b>\"} -->y", "y"),
            "{-‹<!-- wp:x {\"a\":\"<b>\"} -->›-}y",
            "up to its end"
        );
        assert_eq!(diff(&format!("<{}>", "a".repeat(LONGEST_MARKUP)), "").matches('‹').count(), 0, "that is no tag");
    }

    #[test]
    fn what_is_far_from_a_change_is_a_gap() {
        let long = "word ".repeat(400);
        let (before, after) = (format!("{long}old {long}"), format!("{long}new {long}"));
        let short = shortened(pieces(&before, &after));
        let fates: Vec<_> = short.iter().map(|piece| piece.fate).collect();
        use Fate::{Added, Gap, Removed, Same};
        assert_eq!(fates, [Gap, Same, Removed, Added, Same, Gap]);
        assert!(short[1].text.len() < 2 * AROUND && short[1].text.ends_with(' '), "{:?}", short[1].text);
        assert_eq!(
            short.iter().filter(|piece| piece.fate != Removed).map(|piece| piece.text).collect::<String>(),
            after
        );
        assert!(short.iter().all(|piece| piece.text.split(' ').all(|word| ["word", "old", "new", ""].contains(&word))));
        assert_eq!(told(&shortened(pieces("a b c", "a x c"))), "a {-b-}{+x+} c", "what is short is whole");
        let umlauts = "ü".repeat(2000);
        let (before, after) = (format!("{umlauts} a"), format!("{umlauts} b"));
        assert!(!shortened(pieces(&before, &after)).is_empty(), "no letter is cut in two");
    }

    #[test]
    fn large_texts_are_compared_in_bounded_time_and_right() {
        let text = |seed: usize| (0..40_000).map(|n| format!("w{} ", (n * seed) % 1009)).collect::<String>();
        diff(&text(7), &text(11));
        diff(&"<a".repeat(20_000), &"<b".repeat(20_000));
    }
}
