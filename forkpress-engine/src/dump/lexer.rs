//! Cuts a dump into tokens, as the client and the server of MySQL would. It knows no lines and no statements but their ends.
//!
//! Code in `/*!40101 ... */` is code, unless a version is asked for that the driver's MySQL is not. `/*M! ... */` is MariaDB's
//! alone, and a comment here; so is the line that starts its sandbox.

use std::io;

use memchr::{memchr, memchr2};

use super::charset::Charset;
use super::input::Input;

/// The version of MySQL that the driver says that it is: code for a newer one is a comment.
const VERSION: u64 = 80038;

/// More than this SQLite keeps in no row.
pub(super) const LONGEST_VALUE: usize = 1_000_000_000;

/// What a token is. Its text is put where [`Lexer::next`] is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword, or a name without quotes.
    Word,
    /// A name in backticks.
    Name,
    /// A text, and its quote.
    Text(u8),
    Number,
    /// `0x41` or `x'41'`, as bytes.
    Hex,
    /// `b'101'` or `0b101`, as bytes, the lowest last.
    Bits,
    /// Any other character.
    Sign(u8),
    /// The end of a statement.
    End,
    /// The end of the dump.
    Over,
}

/// Why there is no next token.
#[derive(Debug)]
pub(super) enum Trouble {
    Read(io::Error),
    /// The dump ends in the midst of this.
    CutOff(&'static str),
    Wrong(&'static str),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// What a comment says of the whole dump.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    /// `mysqldump` or `mariadb-dump` made it.
    pub(super) is_by_dump: bool,
    /// It says that it was completed.
    pub(super) is_completed: bool,
}

/// The tokens of a dump.
pub(super) struct Lexer<'a> {
    pub(super) input: Input<'a>,
    /// What ends a statement.
    pub(super) delimiter: Vec<u8>,
    /// The character set that the dump's texts are in.
    pub(super) charset: Charset,
    /// Whether a backslash is an ordinary character.
    pub(super) has_no_escapes: bool,
    /// Whether names are in double quotes.
    pub(super) has_ansi_quotes: bool,
    pub(super) marks: Marks,
    /// Within `/*! ... */`.
    is_conditional: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: Input<'a>) -> Self {
        Self {
            input,
            delimiter: b";".to_vec(),
            charset: Charset::Utf8,
            has_no_escapes: false,
            has_ansi_quotes: false,
            marks: Marks::default(),
            is_conditional: false,
        }
    }

    /// The next token. Its text is added to `out`: of a quoted one what is meant, of others what is written.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Result<Kind, Trouble> {
        loop {
            let ahead = self.input.ahead(2)?;
            let Some(&byte) = ahead.first() else {
                return if self.is_conditional { Err(Trouble::CutOff("in a comment")) } else { Ok(Kind::Over) };
            };
            let after = ahead.get(1).copied();
            if self.delimiter.first() == Some(&byte) && self.input.is_at(&self.delimiter)? {
                self.input.skip(self.delimiter.len());
                return Ok(Kind::End);
            }
            match (byte, after) {
                (b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, _) => self.input.skip(1),
                (b'/', Some(b'*')) => self.comment()?,
                (b'*', Some(b'/')) if self.is_conditional => {
                    self.is_conditional = false;
                    self.input.skip(2);
                }
                (b'-', Some(b'-')) if self.input.ahead(3)?.get(2).is_none_or(|c| *c <= b' ') => self.line_comment()?,
                (b'#', _) => self.line_comment()?,
                (b'\'' | b'"' | b'`', _) => {
                    self.quoted(byte, out)?;
                    return Ok(if byte == b'`' { Kind::Name } else { Kind::Text(byte) });
                }
                (b'x' | b'X', Some(b'\'')) => {
                    self.input.skip(1);
                    return self.digits_in_quotes(16, out);
                }
                (b'b' | b'B', Some(b'\'')) => {
                    self.input.skip(1);
                    return self.digits_in_quotes(2, out);
                }
                (b'n' | b'N', Some(b'\'')) => {
                    self.input.skip(1);
                    self.quoted(b'\'', out)?;
                    return Ok(Kind::Text(b'\''));
                }
                (b'0'..=b'9', _) => return self.number(out),
                (b'.', Some(b'0'..=b'9')) => return self.number(out),
                (byte, _) if is_of_word(byte) => {
                    self.word(out)?;
                    return Ok(Kind::Word);
                }
                (byte, _) => {
                    self.input.skip(1);
                    return Ok(Kind::Sign(byte));
                }
            }
        }
    }

    /// The rest of the line, without the line's end.
    pub(super) fn rest_of_line(&mut self) -> Result<Vec<u8>, Trouble> {
        let mut line = Vec::new();
        loop {
            let ahead = self.input.some()?;
            if ahead.is_empty() {
                return Ok(line);
            }
            let end = memchr(b'\n', ahead).unwrap_or(ahead.len());
            let is_over = end < ahead.len();
            // Longer ones tell nobody anything.
            let room = 4096_usize.saturating_sub(line.len());
            line.extend_from_slice(&ahead[..end.min(room)]);
            self.input.skip(end + usize::from(is_over));
            if is_over {
                return Ok(line);
            }
        }
    }

    fn line_comment(&mut self) -> Result<(), Trouble> {
        let line = self.rest_of_line()?;
        self.marks.is_completed |= line.starts_with(b"-- Dump completed");
        self.marks.is_by_dump |= line.starts_with(b"-- MySQL dump") || line.starts_with(b"-- MariaDB dump");
        Ok(())
    }

    /// Goes into code in a comment, or over a comment.
    fn comment(&mut self) -> Result<(), Trouble> {
        let ahead = self.input.ahead(10)?;
        let mut is_nested = false;
        if ahead.get(2) == Some(&b'!') {
            let digits = ahead[3..].iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
            // A version has five digits or six.
            let digits = if digits < 5 { 0 } else { digits };
            let version = ahead[3..3 + digits].iter().fold(0, |number, byte| number * 10 + u64::from(byte - b'0'));
            if version <= VERSION {
                // Within another one, as triggers have it, it is code as well. Both end with the first end.
                self.is_conditional = true;
                self.input.skip(3 + digits);
                return Ok(());
            }
            is_nested = true;
        }
        is_nested |= ahead.starts_with(b"/*M!");
        self.input.skip(2);
        let mut depth = 1;
        loop {
            let ahead = self.input.ahead(2)?;
            if ahead.len() < 2 {
                return Err(Trouble::CutOff("in a comment"));
            }
            let Some(at) = memchr2(b'*', b'/', &ahead[..ahead.len() - 1]) else {
                let skipped = ahead.len() - 1;
                self.input.skip(skipped);
                continue;
            };
            let (is_end, is_begin) = (&ahead[at..at + 2] == b"*/", &ahead[at..at + 2] == b"/*" && is_nested);
            self.input.skip(at + if is_end || is_begin { 2 } else { 1 });
            depth = if is_begin { depth + 1 } else { depth - usize::from(is_end) };
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn word(&mut self, out: &mut Vec<u8>) -> Result<(), Trouble> {
        loop {
            let ahead = self.input.ahead(self.delimiter.len() + 1)?;
            let mut length = ahead.iter().take_while(|byte| is_of_word(**byte)).count();
            let mut is_over = length < ahead.len() || ahead.len() <= self.delimiter.len();
            // `END$$` is a word and a delimiter.
            if is_of_word(self.delimiter[0]) {
                let at = ahead[..length].windows(self.delimiter.len()).position(|bytes| bytes == self.delimiter);
                is_over |= at.is_some();
                // The delimiter may begin with the last bytes that are there.
                let rest = if is_over { 0 } else { self.delimiter.len() - 1 };
                length = at.unwrap_or(length - rest);
            }
            out.extend_from_slice(&ahead[..length]);
            self.input.skip(length);
            if is_over {
                return Ok(());
            }
            if out.len() > LONGEST_VALUE {
                return Err(Trouble::Wrong("a word that never ends"));
            }
        }
    }

    /// A number, or a word that begins with a digit.
    fn number(&mut self, out: &mut Vec<u8>) -> Result<Kind, Trouble> {
        let start = out.len();
        self.word(out)?;
        let kind = match &out[start..] {
            [b'0', b'x', digits @ ..] => unhex(digits).map(|bytes| (Kind::Hex, bytes)),
            [b'0', b'b', digits @ ..] => unbits(digits).map(|bytes| (Kind::Bits, bytes)),
            _ => None,
        };
        if let Some((kind, bytes)) = kind {
            out.truncate(start);
            out.extend_from_slice(&bytes);
            return Ok(kind);
        }
        if out[start..].iter().all(u8::is_ascii_digit) && self.input.is_at(b".")? {
            out.push(b'.');
            self.input.skip(1);
            self.word(out)?;
        }
        if matches!(out[start..].last(), Some(b'e' | b'E')) && matches!(self.input.some()?, [b'+' | b'-', ..]) {
            out.push(self.input.some()?[0]);
            self.input.skip(1);
            self.word(out)?;
        }
        let is_number = std::str::from_utf8(&out[start..]).is_ok_and(|text| text.parse::<f64>().is_ok());
        Ok(if is_number { Kind::Number } else { Kind::Word })
    }

    fn digits_in_quotes(&mut self, base: u8, out: &mut Vec<u8>) -> Result<Kind, Trouble> {
        let start = out.len();
        self.quoted(b'\'', out)?;
        let (kind, bytes) = match base {
            16 => (Kind::Hex, unhex(&out[start..])),
            _ => (Kind::Bits, unbits(&out[start..])),
        };
        let bytes = bytes.ok_or(Trouble::Wrong("a number that is none"))?;
        out.truncate(start);
        out.extend_from_slice(&bytes);
        Ok(kind)
    }

    fn quoted(&mut self, quote: u8, out: &mut Vec<u8>) -> Result<(), Trouble> {
        const CUT_OFF: Trouble = Trouble::CutOff("in a text in quotes");
        let start = out.len();
        // In a name a backslash is itself.
        let escape = if quote == b'`' || self.has_no_escapes { quote } else { b'\\' };
        let is_wide = quote != b'`' && self.charset.hides_quotes();
        self.input.skip(1);
        loop {
            let ahead = self.input.ahead(2)?;
            if ahead.is_empty() {
                return Err(CUT_OFF);
            }
            let plain = if is_wide {
                ahead.iter().position(|byte| *byte == quote || *byte == escape || *byte >= 0x80)
            } else {
                memchr2(quote, escape, ahead)
            };
            let length = plain.unwrap_or(ahead.len());
            out.extend_from_slice(&ahead[..length]);
            self.input.skip(length);
            if out.len() - start > LONGEST_VALUE {
                return Err(Trouble::Wrong("a value of more than 1 GB, which SQLite can't keep"));
            }
            if plain.is_none() {
                continue;
            }
            match *self.input.ahead(2)? {
                [byte, next, ..] if byte == quote && next == quote => {
                    out.push(quote);
                    self.input.skip(2);
                }
                [byte, ..] if byte == quote => {
                    self.input.skip(1);
                    return Ok(());
                }
                [byte, next, ..] if byte == escape => {
                    match next {
                        b'0' => out.push(0),
                        b'b' => out.push(8),
                        b'n' => out.push(b'\n'),
                        b'r' => out.push(b'\r'),
                        b't' => out.push(b'\t'),
                        b'Z' => out.push(0x1a),
                        b'%' | b'_' => out.extend_from_slice(&[b'\\', next]),
                        other => out.push(other),
                    }
                    self.input.skip(2);
                }
                // A character of several bytes.
                [first, second, ..] => {
                    out.push(first);
                    let has_second = second >= 0x30;
                    if has_second {
                        out.push(second);
                    }
                    self.input.skip(1 + usize::from(has_second));
                }
                _ => return Err(CUT_OFF),
            }
        }
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// The bytes that hex digits are for, which may lack their first one.
pub(super) fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let mut bytes = Vec::with_capacity(digits.len().div_ceil(2));
    let (first, pairs) = digits.split_at(digits.len() % 2);
    for byte in first {
        bytes.push(digit(*byte)?);
    }
    for pair in pairs.chunks_exact(2) {
        bytes.push(digit(pair[0])? << 4 | digit(pair[1])?);
    }
    Some(bytes)
}

fn unbits(digits: &[u8]) -> Option<Vec<u8>> {
    let (first, rest) = digits.split_at(digits.len() % 8);
    let byte = |digits: &[u8]| {
        digits.iter().try_fold(0, |byte: u8, digit| match digit {
            b'0' => Some(byte << 1),
            b'1' => Some(byte << 1 | 1),
            _ => None,
        })
    };
    let first = (!first.is_empty()).then_some(first);
    first.into_iter().chain(rest.chunks_exact(8)).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn tokens_in(dump: &[u8], window: usize, change: impl FnOnce(&mut Lexer<'_>)) -> Vec<(Kind, Vec<u8>)> {
        let mut bytes = dump;
        let mut lexer = Lexer::new(Input::with_window(&mut bytes, &Silent, window));
        change(&mut lexer);
        let mut found = Vec::new();
        loop {
            let mut text = Vec::new();
            match lexer.next(&mut text).unwrap() {
                Kind::Over => return found,
                kind => found.push((kind, text)),
            }
        }
    }

    fn tokens(dump: &[u8]) -> Vec<(Kind, Vec<u8>)> {
        let whole = tokens_in(dump, 1000, |_| {});
        for window in 10..30 {
            assert_eq!(tokens_in(dump, window, |_| {}), whole, "with a window of {window} bytes");
        }
        whole
    }

    fn texts(dump: &[u8]) -> Vec<String> {
        tokens(dump).into_iter().map(|(_, text)| String::from_utf8_lossy(&text).into_owned()).collect()
    }

    #[test]
    fn a_text_may_hold_quotes_escapes_and_what_looks_like_code() {
        let dump = br#"'it''s \'x\' \\' "say ""x"" '" 'a;-- b' '/* c */' '\0\b\n\r\t\Z\%\_\q' '' '\\' ;"#;
        let expected: [&[u8]; 8] =
            [b"it's 'x' \\", b"say \"x\" '", b"a;-- b", b"/* c */", b"\0\x08\n\r\t\x1a\\%\\_q", b"", b"\\", b""];
        assert_eq!(tokens(dump).into_iter().map(|(_, text)| text).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn bytes_are_read_from_hex_and_bits_and_a_bare_0x_is_empty() {
        let found = tokens(b"0x 0x4142 x'4' X'' b'100000001' 0b101 b'' 0x4G 2fa_table 1e5 1.5E-3 .5 -1 12");
        let expected: [(Kind, &[u8]); 15] = [
            (Kind::Hex, b""),
            (Kind::Hex, b"AB"),
            (Kind::Hex, b"\x04"),
            (Kind::Hex, b""),
            (Kind::Bits, b"\x01\x01"),
            (Kind::Bits, b"\x05"),
            (Kind::Bits, b""),
            (Kind::Word, b"0x4G"),
            (Kind::Word, b"2fa_table"),
            (Kind::Number, b"1e5"),
            (Kind::Number, b"1.5E-3"),
            (Kind::Number, b".5"),
            (Kind::Sign(b'-'), b""),
            (Kind::Number, b"1"),
            (Kind::Number, b"12"),
        ];
        assert_eq!(found, expected.map(|(kind, text)| (kind, text.to_vec())));
    }

    #[test]
    fn comments_are_passed_over_and_code_for_this_version_is_not() {
        let dump = b"/*M!999999\\- enable the sandbox mode */\n/*!999999\\- enable the sandbox mode */ -- a\n--\n# b\n\
            /*!40101 SET a */ /*!50001 b*//*! c */ /*M!100401 d */ /*!80016 e */ /*!100301 f /* g */ h */ /* i */ j--k /**/";
        assert_eq!(texts(dump), ["SET", "a", "b", "c", "e", "j", "", "", "k"]);
    }

    #[test]
    fn a_statement_ends_with_the_delimiter_that_was_set() {
        let found = tokens_in(b"a; b ;; c;", 1000, |lexer| lexer.delimiter = b";;".to_vec());
        let kinds: Vec<_> = found.iter().map(|(kind, _)| *kind).collect();
        let semicolon = Kind::Sign(b';');
        assert_eq!(kinds, [Kind::Word, semicolon, Kind::Word, Kind::End, Kind::Word, semicolon]);
        for window in 10..30 {
            let found = tokens_in(b"BEGIN a$; END$$ x", window, |lexer| lexer.delimiter = b"$$".to_vec());
            let kinds: Vec<_> = found.iter().map(|(kind, _)| *kind).collect();
            assert_eq!(kinds, [Kind::Word, Kind::Word, semicolon, Kind::Word, Kind::End, Kind::Word]);
        }
    }

    #[test]
    fn without_escapes_a_backslash_is_itself() {
        let found = tokens_in(br"'a\' 'b''c' `d\``e`", 1000, |lexer| lexer.has_no_escapes = true);
        let found: Vec<_> = found.iter().map(|(_, text)| text.as_slice()).collect();
        assert_eq!(found, [br"a\".as_slice(), b"b'c", br"d\`e"]);
    }

    #[test]
    fn a_character_may_hold_the_byte_of_a_backslash() {
        let found = tokens_in(b"'\x95\x5c' 'a\\'b'", 1000, |lexer| lexer.charset = Charset::of("sjis").unwrap());
        let found: Vec<_> = found.iter().map(|(_, text)| text.as_slice()).collect();
        assert_eq!(found, [b"\x95\x5c".as_slice(), b"a'b"]);
    }

    #[test]
    fn what_ends_too_early_is_cut_off() {
        for dump in ["'abc", "'abc\\", "`abc", "/* abc", "/*!40101 abc", "x'41"] {
            let mut bytes = dump.as_bytes();
            let mut lexer = Lexer::new(Input::new(&mut bytes, &Silent));
            let found = loop {
                match lexer.next(&mut Vec::new()) {
                    Ok(Kind::Over) => panic!("{dump} was taken"),
                    Ok(_) => {}
                    Err(trouble) => break trouble,
                }
            };
            assert!(matches!(found, Trouble::CutOff(_)), "{dump}: {found:?}");
        }
    }
}
