//! Tokens of a definition, read one after the other.

use super::lexer::Kind;
use super::table::{quote_name, quote_text};

/// A token with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
}

/// What is wrong with a definition.
pub(super) type Wrong = String;

/// Tokens that are read one after the other.
#[derive(Clone)]
pub(super) struct Cursor<'t> {
    tokens: &'t [Token],
}

impl Token {
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.text.eq_ignore_ascii_case(word)
    }

    pub(super) fn is_sign(&self, sign: u8) -> bool {
        self.kind == Kind::Sign(sign)
    }

    /// As MySQL writes it.
    pub(super) fn sql(&self) -> String {
        match self.kind {
            Kind::Name => quote_name(&self.text),
            Kind::Text(_) => quote_text(&self.text),
            Kind::Hex if self.text.is_empty() => "''".to_owned(),
            Kind::Hex => format!("0x{}", self.text),
            Kind::Bits => format!("b'{}'", self.text),
            Kind::Sign(sign) => char::from(sign).to_string(),
            _ => self.text.clone(),
        }
    }
}

impl<'t> Cursor<'t> {
    pub(super) fn new(tokens: &'t [Token]) -> Self {
        Self { tokens }
    }

    /// The tokens that are left.
    pub(super) fn tokens(&self) -> &'t [Token] {
        self.tokens
    }

    pub(super) fn is_over(&self) -> bool {
        self.tokens.is_empty()
    }

    pub(super) fn peek(&self) -> Option<&'t Token> {
        self.tokens.first()
    }

    pub(super) fn next(&mut self) -> Option<&'t Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first)
    }

    pub(super) fn is(&self, word: &str) -> bool {
        self.peek().is_some_and(|token| token.is_word(word))
    }

    pub(super) fn is_any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }

    /// Goes over these words, if they are next.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        let are_next =
            self.tokens.len() >= words.len() && words.iter().zip(self.tokens).all(|(word, t)| t.is_word(word));
        if are_next {
            self.tokens = &self.tokens[words.len()..];
        }
        are_next
    }

    pub(super) fn take_sign(&mut self, sign: u8) -> bool {
        let is_next = self.peek().is_some_and(|token| token.is_sign(sign));
        if is_next {
            self.next();
        }
        is_next
    }

    /// A name; of `a.b` the last one.
    pub(super) fn name(&mut self) -> Result<String, Wrong> {
        let name = match self.next() {
            Some(token) if matches!(token.kind, Kind::Name | Kind::Word | Kind::Text(_)) => token.text.clone(),
            other => return Err(format!("a name is missing {}", before(other))),
        };
        if self.take_sign(b'.') { self.name() } else { Ok(name) }
    }

    pub(super) fn text(&mut self) -> Result<String, Wrong> {
        match self.next() {
            Some(token) if matches!(token.kind, Kind::Text(_)) => Ok(token.text.clone()),
            other => Err(format!("a text is missing {}", before(other))),
        }
    }

    /// What is between parentheses.
    pub(super) fn within(&mut self) -> Result<Cursor<'t>, Wrong> {
        if !self.take_sign(b'(') {
            return Err(format!("a ( is missing {}", before(self.peek())));
        }
        let mut depth = 1;
        for (at, token) in self.tokens.iter().enumerate() {
            depth += usize::from(token.is_sign(b'('));
            depth -= usize::from(token.is_sign(b')'));
            if depth == 0 {
                let inside = Self { tokens: &self.tokens[..at] };
                self.tokens = &self.tokens[at + 1..];
                return Ok(inside);
            }
        }
        Err("a ) is missing".to_owned())
    }

    /// What is between commas.
    pub(super) fn items(&self) -> Vec<Cursor<'t>> {
        let mut depth = 0_usize;
        let mut items = Vec::new();
        for item in self.tokens.split(|token| {
            depth += usize::from(token.is_sign(b'('));
            depth = depth.saturating_sub(usize::from(token.is_sign(b')')));
            depth == 0 && token.is_sign(b',')
        }) {
            items.push(Self { tokens: item });
        }
        items
    }

    /// All of it, as MySQL writes it.
    pub(super) fn sql(&self) -> String {
        let mut sql = String::new();
        let mut last: Option<&Token> = None;
        for (at, token) in self.tokens.iter().enumerate() {
            let is_introducer = token.kind == Kind::Word
                && token.text.starts_with('_')
                && self.tokens.get(at + 1).is_some_and(|next| matches!(next.kind, Kind::Text(_)));
            if is_introducer {
                continue;
            }
            let is_close = match (last.map(|last| last.kind), token.kind) {
                (None, _) | (Some(Kind::Word), Kind::Sign(b'(')) | (_, Kind::Sign(b')')) => true,
                (Some(Kind::Sign(last)), Kind::Sign(sign)) => last != b'-' || sign != b'-',
                (Some(Kind::Sign(b'(' | b'-')), _) => true,
                _ => false,
            };
            if !is_close {
                sql.push(' ');
            }
            sql.push_str(&token.sql());
            last = Some(token);
        }
        sql
    }
}

/// Where something is missing.
pub(super) fn before(token: Option<&Token>) -> String {
    token.map_or("at the end".to_owned(), |token| format!("before {}", token.sql()))
}
