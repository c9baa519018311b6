//! Variables that a dump sets.

use super::charset::Charset;
use super::cursor::{Cursor, Token};
use super::error::DumpError;
use super::lexer::Kind;
use super::reader::Reader;

/// Modes in which double quotes are around names.
const ANSI: [&str; 7] = ["ansi_quotes", "ansi", "db2", "maxdb", "mssql", "oracle", "postgresql"];

impl Reader<'_, '_> {
    /// Reads `SET`: the character set and the mode decide how to read on.
    pub(super) fn set(&mut self) -> Result<(), DumpError> {
        let (tokens, _) = self.rest()?;
        for item in Cursor::new(&tokens).items() {
            self.set_variable(item.tokens())?;
        }
        Ok(())
    }

    fn set_variable(&mut self, item: &[Token]) -> Result<(), DumpError> {
        let words: Vec<_> = item
            .iter()
            .filter(|t| !matches!(t.kind, Kind::Sign(_)))
            .map(|token| token.text.to_ascii_lowercase())
            .collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let is_saving = item.first().is_some_and(|token| token.kind == Kind::Sign(b'@'))
            && item.get(1).is_some_and(|token| token.kind != Kind::Sign(b'@'));
        let words = match words.as_slice() {
            ["session" | "local" | "global", rest @ ..] => rest,
            all => all,
        };
        match words {
            [saved, variable, ..] if is_saving && variable.starts_with("character_set") => {
                self.saved_charsets.insert((*saved).to_owned(), self.lexer.charset);
            }
            _ if is_saving => {}
            ["names", "default", ..] => self.set_charset("utf8mb4", true)?,
            ["names", name, ..] | ["character", "set", name, ..] | ["charset", name, ..] => {
                self.set_charset(name, true)?
            }
            ["character_set_client", name, ..] => match self.saved_charsets.get(*name).copied() {
                Some(charset) => self.lexer.charset = charset,
                None if item.iter().filter(|token| token.kind == Kind::Sign(b'@')).count() > 0 => {
                    self.lexer.charset = self.names;
                }
                None => self.set_charset(name, false)?,
            },
            ["sql_mode", modes @ ..] => {
                let has = |wanted: &[&str]| {
                    let mut modes = modes.iter().flat_map(|modes| modes.split(','));
                    modes.any(|mode| wanted.contains(&mode.trim()))
                };
                self.lexer.has_no_escapes = has(&["no_backslash_escapes"]);
                self.lexer.has_ansi_quotes = has(&ANSI);
            }
            _ => {}
        }
        Ok(())
    }

    fn set_charset(&mut self, name: &str, is_names: bool) -> Result<(), DumpError> {
        let charset = Charset::of(name).ok_or_else(|| self.wrong(&format!("the character set {name} is not known")))?;
        self.lexer.charset = charset;
        if is_names {
            self.names = charset;
            if !self.charsets.iter().any(|known| known == name) {
                self.charsets.push(name.to_owned());
            }
        }
        Ok(())
    }
}
