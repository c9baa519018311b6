//! PHP source as tokens, as far as needed to find its literals. It reads any bytes to their end.

use std::ops::Range;

/// A piece of PHP source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PhpToken {
    pub(crate) kind: TokenKind,
    /// Where it is: a variable without its `$`, a quoted text with its quotes, a comment with what begins and ends it.
    pub(crate) range: Range<usize>,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A variable, a constant, a function, a keyword.
    Word,
    /// What is between `'` or `"`.
    Quoted,
    /// What is between backquotes, a heredoc, a nowdoc.
    Document,
    Number,
    /// An operator, a bracket, a separator.
    Mark,
    /// Comments that follow each other are one.
    Comment,
    /// What is outside of PHP's tags.
    Outside,
}

/// Operators of more than one byte, the longest first.
const MARKS: [&[u8]; 23] = [
    b"<=>", b"===", b"!==", b"??=", b"?->", b"**=", b"<<=", b">>=", b"=>", b"==", b"!=", b"<>", b"??", b"?:", b"->",
    b"::", b".=", b"+=", b"-=", b"*=", b"||", b"&&", b"|=",
];

/// The tokens of a PHP file, in order.
pub(crate) fn tokens(text: &[u8]) -> Vec<PhpToken> {
    let mut tokens: Vec<PhpToken> = Vec::new();
    let mut at = outside(text, 0);
    if at > 0 {
        tokens.push(PhpToken { kind: TokenKind::Outside, range: 0..at });
    }
    while at < text.len() {
        let rest = &text[at..];
        if rest[0].is_ascii_whitespace() || rest[0] == b'$' {
            at += 1;
            continue;
        }
        let (kind, end) = match rest {
            [b'?', b'>', ..] => (TokenKind::Outside, outside(text, at + 2)),
            [b'/', b'*', ..] => (TokenKind::Comment, end(text, at + 2, b"*/")),
            [b'/', b'/', ..] => (TokenKind::Comment, end_of_line(text, at)),
            [b'#', next, ..] if *next != b'[' => (TokenKind::Comment, end_of_line(text, at)),
            [quote @ (b'\'' | b'"'), ..] => (TokenKind::Quoted, end_of_quoted(text, at + 1, *quote)),
            [b'`', ..] => (TokenKind::Document, end_of_quoted(text, at + 1, b'`')),
            [b'<', b'<', b'<', ..] => match end_of_document(text, at) {
                Some(end) => (TokenKind::Document, end),
                None => (TokenKind::Mark, at + 3),
            },
            [byte, ..] if byte.is_ascii_digit() => {
                (TokenKind::Number, after(text, at, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')))
            }
            [byte, ..] if is_of_word(*byte) => (TokenKind::Word, after(text, at, is_of_word)),
            _ => (TokenKind::Mark, at + MARKS.iter().find(|mark| rest.starts_with(mark)).map_or(1, |mark| mark.len())),
        };
        match tokens.last_mut() {
            Some(last)
                if kind == TokenKind::Comment
                    && last.kind == kind
                    && text[last.range.end..at].trim_ascii().is_empty() =>
            {
                last.range.end = end;
            }
            _ => tokens.push(PhpToken { kind, range: at..end }),
        }
        at = end;
    }
    tokens
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii()
}

fn after(text: &[u8], from: usize, is_of_it: impl Fn(u8) -> bool) -> usize {
    text[from..].iter().position(|byte| !is_of_it(*byte)).map_or(text.len(), |length| from + length)
}

/// Where `what` ends, or the text.
fn end(text: &[u8], from: usize, what: &[u8]) -> usize {
    let found = text.get(from..).and_then(|rest| rest.windows(what.len()).position(|part| part == what));
    found.map_or(text.len(), |length| from + length + what.len())
}

/// Where PHP begins, after its tag.
fn outside(text: &[u8], from: usize) -> usize {
    let start = end(text, from, b"<?");
    start + [&b"php"[..], b"="].iter().find(|tag| text[start..].starts_with(tag)).map_or(0, |tag| tag.len())
}

/// Where a comment of one line ends: there, or where PHP does.
fn end_of_line(text: &[u8], from: usize) -> usize {
    let line = from + text[from..].iter().position(|byte| *byte == b'\n').unwrap_or(text.len() - from);
    text[from..line].windows(2).position(|part| part == b"?>").map_or(line, |length| from + length)
}

/// Where a quoted text ends, after its quote; the end of the text where there is none.
fn end_of_quoted(text: &[u8], start: usize, quote: u8) -> usize {
    let mut at = start;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// Where a heredoc or nowdoc ends; none where it is none.
fn end_of_document(text: &[u8], start: usize) -> Option<usize> {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t');
    let at = after(text, start + 3, is_space);
    let at = at + usize::from(matches!(text.get(at), Some(b'\'' | b'"')));
    let label = &text[at..after(text, at, is_of_word)];
    if label.is_empty() {
        return None;
    }
    let mut line = at;
    while let Some(length) = text[line..].iter().position(|byte| *byte == b'\n') {
        line += length + 1;
        let first = after(text, line, is_space);
        let is_end =
            text[first..].starts_with(label) && !text.get(first + label.len()).is_some_and(|byte| is_of_word(*byte));
        if is_end {
            return Some(first + label.len());
        }
    }
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_read_as_php_reads_it() {
        let text = "<b><?php // a\n# b 'c\n$x['y'] .= <<<'E'\n'z\n  E . 0x1f ?? `s`; #[A]\n/* d ?>*/ 'e ?>\\'' ?><i>";
        let found: Vec<_> = tokens(text.as_bytes()).into_iter().map(|token| (token.kind, &text[token.range])).collect();
        assert_eq!(
            found,
            [
                (TokenKind::Outside, "<b><?php"),
                (TokenKind::Comment, "// a\n# b 'c"),
                (TokenKind::Word, "x"),
                (TokenKind::Mark, "["),
                (TokenKind::Quoted, "'y'"),
                (TokenKind::Mark, "]"),
                (TokenKind::Mark, ".="),
                (TokenKind::Document, "<<<'E'\n'z\n  E"),
                (TokenKind::Mark, "."),
                (TokenKind::Number, "0x1f"),
                (TokenKind::Mark, "??"),
                (TokenKind::Document, "`s`"),
                (TokenKind::Mark, ";"),
                (TokenKind::Mark, "#"),
                (TokenKind::Mark, "["),
                (TokenKind::Word, "A"),
                (TokenKind::Mark, "]"),
                (TokenKind::Comment, "/* d ?>*/"),
                (TokenKind::Quoted, "'e ?>\\''"),
                (TokenKind::Outside, "?><i>"),
            ]
        );
    }

    #[test]
    fn any_bytes_are_read_to_their_end() {
        for text in [
            "",
            "<?",
            "<?php",
            "<?php '",
            "<?php <<<",
            "<?php <<<A",
            "<?php <<<A\nx",
            "<?php /*",
            "<?php \\",
            "<?php '\\",
            "<?php #",
            "x",
            "<?php 1",
        ] {
            assert!(tokens(text.as_bytes()).last().is_none_or(|token| token.range.end == text.len()), "{text}");
        }
    }
}
