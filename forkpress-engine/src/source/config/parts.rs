//! The statements of a `wp-config.php`, as far as they say what it configures.

use std::ops::Range;

use crate::php::{PhpToken, TokenKind, tokens};

/// A statement at the top.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// With its semicolon.
    pub(super) range: Range<usize>,
    pub(super) kind: PartKind,
    /// Its tokens, without comments.
    pub(super) tokens: Vec<PhpToken>,
}

/// What a statement does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PartKind {
    /// Defines one constant, perhaps only where that is not defined.
    Define { name: String, value: Range<usize> },
    /// Sets a variable.
    Variable { name: String, value: Range<usize> },
    /// Calls a function.
    Call { name: String },
    /// Loads another file.
    Include,
    /// Does something else.
    Other,
}

/// All statements, in order.
pub(super) fn parts(text: &[u8]) -> Vec<Part> {
    let tokens: Vec<_> = tokens(text).into_iter().filter(|token| token.kind != TokenKind::Comment).collect();
    let mut parts = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].kind == TokenKind::Outside || is(text, &tokens[at], ";") {
            at += 1;
            continue;
        }
        let (end, is_whole) = end(text, &tokens, at);
        let of_part = &tokens[at..end];
        let start = of_part[0].range.start;
        // A variable's token comes without its sign.
        let start = if start > 0 && text[start - 1] == b'$' { start - 1 } else { start };
        let range = start..of_part[of_part.len() - 1].range.end;
        // What the file ends in the midst of is nothing to keep.
        let kind = if is_whole { kind(text, of_part) } else { PartKind::Other };
        parts.push(Part { range, kind, tokens: of_part.to_vec() });
        at = end;
    }
    parts
}

pub(super) fn word<'t>(text: &'t [u8], token: &PhpToken) -> &'t str {
    std::str::from_utf8(&text[token.range.clone()]).unwrap_or_default()
}

fn is(text: &[u8], token: &PhpToken, what: &str) -> bool {
    matches!(token.kind, TokenKind::Mark | TokenKind::Word) && word(text, token).eq_ignore_ascii_case(what)
}

pub(super) fn is_variable(text: &[u8], token: &PhpToken) -> bool {
    token.kind == TokenKind::Word && token.range.start > 0 && text[token.range.start - 1] == b'$'
}

/// The number of the token after the statement that begins at a token, and whether the statement is whole.
fn end(text: &[u8], tokens: &[PhpToken], start: usize) -> (usize, bool) {
    let mut depth = 0usize;
    let mut has_long_form = false;
    for at in start..tokens.len() {
        let token = &tokens[at];
        if token.kind == TokenKind::Outside && depth == 0 && !has_long_form {
            return (at, true);
        }
        let next_is = |what: &str| tokens.get(at + 1).is_some_and(|next| is(text, next, what));
        match word(text, token) {
            _ if !matches!(token.kind, TokenKind::Mark | TokenKind::Word) => {}
            "(" | "[" | "{" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" => {
                depth = depth.saturating_sub(1);
                let goes_on =
                    ["else", "elseif", "catch", "finally", ")", ";", ",", "while"].iter().any(|word| next_is(word));
                if depth == 0 && !goes_on && !has_long_form {
                    return (at + 1, true);
                }
            }
            // The form with a colon goes on to its own end.
            ":" if depth == 0 && is(text, &tokens[start], "if") => has_long_form = true,
            ";" if depth == 0 && has_long_form && is(text, &tokens[at - 1], "endif") => return (at + 1, true),
            ";" if depth == 0 && !has_long_form && !next_is("else") && !next_is("elseif") => return (at + 1, true),
            _ => {}
        }
    }
    (tokens.len(), false)
}

fn kind(text: &[u8], tokens: &[PhpToken]) -> PartKind {
    let is_at = |at: usize, what: &str| tokens.get(at).is_some_and(|token| is(text, token, what));
    let first = usize::from(is_at(0, "@"));
    if is_variable(text, &tokens[0]) {
        let equals = tokens.iter().position(|token| is(text, token, "="));
        return match equals {
            Some(equals) if is_target(text, &tokens[1..equals]) => PartKind::Variable {
                name: word(text, &tokens[0]).to_owned(),
                value: between(tokens, equals + 1, tokens.len() - 1),
            },
            _ => PartKind::Other,
        };
    }
    if is_at(0, "const") && is_at(2, "=") {
        return PartKind::Define {
            name: word(text, &tokens[1]).to_owned(),
            value: between(tokens, 3, tokens.len() - 1),
        };
    }
    if let Some(define) = define(text, tokens) {
        return define;
    }
    if ["require", "require_once", "include", "include_once"].iter().any(|name| is_at(first, name)) {
        return PartKind::Include;
    }
    let is_call = tokens.get(first).is_some_and(|token| token.kind == TokenKind::Word) && is_at(first + 1, "(");
    match word(text, &tokens[first.min(tokens.len() - 1)]) {
        "if" | "switch" | "foreach" | "for" | "while" | "function" | "exit" | "die" | "defined" => PartKind::Other,
        name if is_call => PartKind::Call { name: name.to_ascii_lowercase() },
        _ => PartKind::Other,
    }
}

/// Whether between a variable and `=` there are only keys.
fn is_target(text: &[u8], tokens: &[PhpToken]) -> bool {
    tokens.iter().all(|token| {
        matches!(token.kind, TokenKind::Quoted | TokenKind::Number) || is(text, token, "[") || is(text, token, "]")
    })
}

/// The place of some tokens; an empty one where there are none.
fn between(tokens: &[PhpToken], from: usize, to: usize) -> Range<usize> {
    match tokens.get(from..to) {
        Some([first, .., last]) => first.range.start..last.range.end,
        Some([only]) => only.range.clone(),
        _ => 0..0,
    }
}

/// What a statement defines that does nothing but that, or does it where it is not defined.
fn define(text: &[u8], tokens: &[PhpToken]) -> Option<PartKind> {
    let defines: Vec<_> = (0..tokens.len()).filter(|at| is(text, &tokens[*at], "define")).collect();
    let [define] = defines.as_slice() else { return None };
    let guard = &tokens[..*define];
    let is_guard = |token: &PhpToken| {
        token.kind == TokenKind::Quoted
            || ["defined", "if", "or", "and", "(", ")", "!", "||", "&&", "{", "@", "false", "===", "=="]
                .iter()
                .any(|what| is(text, token, what))
    };
    let name_token = tokens.get(define + 2)?;
    let name = quoted(text, name_token)?;
    let guards_itself = guard.iter().filter_map(|token| quoted(text, token)).all(|guarded| guarded == name);
    let is_negated = guard.iter().any(|token| ["!", "||", "or", "false"].iter().any(|what| is(text, token, what)));
    let has_guard = guard.iter().any(|token| is(text, token, "defined"));
    if !guard.iter().all(is_guard)
        || !guards_itself
        || (has_guard && !is_negated)
        || (!has_guard && guard.iter().any(|token| is(text, token, "if")))
    {
        return None;
    }
    if !is(text, tokens.get(define + 1)?, "(") || !is(text, tokens.get(define + 3)?, ",") {
        return None;
    }
    let start = define + 4;
    let mut depth = 1usize;
    let mut value_end = None;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match word(text, token) {
            _ if token.kind != TokenKind::Mark => {}
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            "," if depth == 1 => value_end = value_end.or(Some(at)),
            _ => {}
        }
        if depth == 0 {
            let rest_is_end = tokens[at + 1..].iter().all(|token| is(text, token, ";") || is(text, token, "}"));
            let value = between(tokens, start, value_end.unwrap_or(at));
            return rest_is_end.then_some(PartKind::Define { name, value });
        }
    }
    None
}

/// What is in a quoted text without anything to escape.
fn quoted(text: &[u8], token: &PhpToken) -> Option<String> {
    let bytes = &text[token.range.clone()];
    let is_quoted =
        token.kind == TokenKind::Quoted && bytes.len() >= 2 && !bytes.contains(&b'\\') && !bytes.contains(&b'$');
    is_quoted.then(|| String::from_utf8_lossy(&bytes[1..bytes.len() - 1]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let text = format!("<?php\n{text}");
        let shown = |part: Part| match part.kind {
            PartKind::Define { name, value } => format!("{name}={}", &text[value]),
            PartKind::Variable { name, value } => format!("${name}={}", &text[value]),
            PartKind::Call { name } => format!("{name}()"),
            PartKind::Include => "include".to_owned(),
            PartKind::Other => format!("other {}", &text[part.range]),
        };
        parts(text.as_bytes()).into_iter().map(shown).collect()
    }

    #[test]
    fn each_statement_is_one_part() {
        assert_eq!(
            found(
                "define('A', array( 'x' => 1, 'y' ) ); @define( 'B', \"b;\" );\nif ( ! defined( 'C' ) )\n\tdefine( 'C', 1 );\n\
                 if (!defined('D')) { define('D', __DIR__ . '/d'); }\n$e = 'e'; $f['g'] = [ 1 ];\n@ini_set( 'a', 1 );\n\
                 require_once ABSPATH . 'wp-settings.php';"
            ),
            [
                "A=array( 'x' => 1, 'y' )",
                "B=\"b;\"",
                "C=1",
                "D=__DIR__ . '/d'",
                "$e='e'",
                "$f=[ 1 ]",
                "ini_set()",
                "include"
            ]
        );
    }

    #[test]
    fn what_depends_on_something_is_another_thing() {
        for text in [
            "if ( isset( $_SERVER['X'] ) ) { define( 'A', 1 ); }",
            "if ( defined( 'X' ) ) { define( 'A', 1 ); }",
            "if ( $a ) { define( 'A', 1 ); } else { define( 'A', 2 ); }",
            "if ( $a ) : define( 'A', 1 ); define( 'B', 2 ); endif;",
            "if ( getenv( 'A' ) ) define( 'A', 1 ); else define( 'A', 2 );",
            "defined( 'A' ) && define( 'A', 1 );",
            "foreach ( $a as $b ) { define( $b, 1 ); }",
            "( function () { define( 'A', 1 ); } )();",
            "function f() { return 1; }",
        ] {
            assert_eq!(found(text), [format!("other {text}")]);
        }
        assert_eq!(found("define( $name, 1 );"), ["define()"]);
        assert_eq!(found("define( 'A', 1 ) ?>x<?php $b = ( 1;"), ["A=1", "other $b = ( 1;"]);
        assert_eq!(found("define( 'A', 'b );"), ["other define( 'A', 'b );"]);
    }
}
