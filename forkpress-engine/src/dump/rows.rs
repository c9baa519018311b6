//! Reads the rows of `INSERT` and `REPLACE` into batches.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::batch::{BATCH_BYTES, Batch, Cell, CellKind, Event, Header, Mode, RowEnd};
use super::charset::Charset;
use super::error::DumpError;
use super::lexer::{Kind, LONGEST_VALUE, unhex};
use super::reader::Reader;

/// No table has more columns.
const MOST_VALUES: usize = 4096;

/// Expressions are nested no deeper.
const DEEPEST: usize = 16;

impl Reader<'_, '_> {
    /// Reads the statement from after `INSERT` or `REPLACE` on.
    pub(super) fn insert(&mut self, mode: Mode) -> Result<(), DumpError> {
        let mut mode = mode;
        let mut word = self.next()?;
        while word == Kind::Word {
            match self.lower().as_str() {
                "low_priority" | "delayed" | "high_priority" | "into" => {}
                "ignore" => mode = Mode::Ignore,
                _ => break,
            }
            word = self.next()?;
        }
        let (table, mut next) = self.qualified_name(word)?;
        if !self.is_wanted(&table) {
            return self.skip_to_end();
        }
        let mut columns = None;
        if next == Kind::Word && self.lower() == "partition" {
            self.next()?;
            self.names_within()?;
            next = self.next()?;
        }
        if next == Kind::Sign(b'(') {
            columns = Some(self.names_within()?);
            next = self.next()?;
        }
        let is_set = match (next, self.lower().as_str()) {
            (Kind::Word, "values" | "value") => false,
            (Kind::Word, "set") if columns.is_none() => true,
            (Kind::Word, "select") => return Err(self.wrong("rows from a query, which no dump has")),
            _ => return Err(self.wrong(&format!("VALUES is missing after {table}"))),
        };
        let header = Header { table, columns, mode, file: self.file.clone() };
        if is_set { self.assignments(header) } else { self.rows(header) }
    }

    /// Names between parentheses, of which the first one is open.
    fn names_within(&mut self) -> Result<Vec<String>, DumpError> {
        let mut names = Vec::new();
        let mut token = self.next()?;
        while token != Kind::Sign(b')') {
            let (name, next) = self.qualified_name(token)?;
            names.push(name);
            if names.len() > MOST_VALUES {
                return Err(self.wrong("a list of columns that is too long"));
            }
            token = match next {
                Kind::Sign(b',') => self.next()?,
                Kind::Sign(b')') => next,
                _ => return Err(self.wrong("a list of columns that does not go on")),
            };
        }
        Ok(names)
    }

    fn rows(&mut self, header: Header) -> Result<(), DumpError> {
        self.begin_rows(header)?;
        loop {
            if self.next()? != Kind::Sign(b'(') {
                return Err(self.wrong("a row is missing"));
            }
            self.row()?;
            match self.next()? {
                Kind::Sign(b',') => {}
                Kind::End => return Ok(()),
                // What is to be done with rows that are there already; and in a new database there are none.
                Kind::Word if matches!(self.lower().as_str(), "on" | "as") => return self.skip_to_end(),
                Kind::Over => return Err(self.cut_off("in the rows of a table")),
                _ => return Err(self.wrong("after a row, neither another one nor the statement's end")),
            }
        }
    }

    /// Takes the pending batch on, if its rows are of the same kind.
    fn begin_rows(&mut self, header: Header) -> Result<(), DumpError> {
        if self.pending.as_ref().is_none_or(|pending| pending.header != header) {
            self.flush()?;
            self.pending = Some(Batch::new(header));
        }
        Ok(())
    }

    fn row(&mut self) -> Result<(), DumpError> {
        let line = self.line();
        let mut batch = self.pending.take().expect("rows are read into a batch");
        let (start, first) = (batch.bytes.len(), batch.cells.len());
        let mut token = self.token(&mut batch.bytes)?;
        // `VALUES ()` is a row of defaults.
        while token != Kind::Sign(b')') || batch.cells.len() > first {
            if batch.cells.len() - first >= MOST_VALUES {
                return Err(self.wrong("a row of too many values"));
            }
            token = self.cell(&mut batch, token)?;
            match token {
                Kind::Sign(b',') => token = self.token(&mut batch.bytes)?,
                Kind::Sign(b')') => break,
                Kind::Over => return Err(self.cut_off("in a row")),
                _ => return Err(self.wrong(&format!("a row of {} that does not go on", batch.header.table))),
            }
        }
        self.end_row(batch, start, line)
    }

    fn end_row(&mut self, mut batch: Batch, start: usize, line: u64) -> Result<(), DumpError> {
        if batch.bytes.len() - start > LONGEST_VALUE {
            return Err(self.wrong("a row of more than 1 GB, which SQLite can't keep"));
        }
        batch.rows.push(RowEnd { cells: batch.cells.len(), line });
        let is_full = batch.bytes.len() >= BATCH_BYTES || batch.cells.len() * 8 >= BATCH_BYTES;
        if is_full {
            let next = Batch::new(batch.header.clone());
            self.send(Event::Rows(batch))?;
            batch = next;
        }
        self.pending = Some(batch);
        Ok(())
    }

    /// `SET a = 1, b = 2`.
    fn assignments(&mut self, mut header: Header) -> Result<(), DumpError> {
        let line = self.line();
        let mut batch = Batch::new(header.clone());
        let mut names = Vec::new();
        loop {
            let name = self.next()?;
            let (name, sign) = self.qualified_name(name)?;
            names.push(name);
            if sign != Kind::Sign(b'=') {
                return Err(self.wrong("a value is missing after SET"));
            }
            let token = self.token(&mut batch.bytes)?;
            match self.cell(&mut batch, token)? {
                Kind::Sign(b',') => {}
                Kind::End => break,
                Kind::Word => {
                    self.skip_to_end()?;
                    break;
                }
                Kind::Over => return Err(self.cut_off("in a row")),
                _ => return Err(self.wrong("after a value, neither another one nor the statement's end")),
            }
        }
        header.columns = Some(names);
        self.begin_rows(header.clone())?;
        self.flush()?;
        batch.header = header;
        self.end_row(batch, 0, line)
    }

    /// Reads a value that begins with `token`, whose text is the last of the batch's bytes, and says what follows.
    fn cell(&mut self, batch: &mut Batch, token: Kind) -> Result<Kind, DumpError> {
        let start = self.token_start;
        let kind = self.value(batch, token, start, 0)?;
        let end = batch.bytes.len();
        batch.cells.push(Cell { kind, start, end });
        let next = self.token(&mut batch.bytes)?;
        if next == Kind::Sign(b'+') { self.nothing_added(batch) } else { Ok(next) }
    }

    /// `0`, which Adminer adds to what is to be a number, and what follows.
    fn nothing_added(&mut self, batch: &mut Batch) -> Result<Kind, DumpError> {
        let end = batch.bytes.len();
        let token = self.token(&mut batch.bytes)?;
        let is_nothing = token == Kind::Number && batch.bytes[end..] == *b"0";
        batch.bytes.truncate(end);
        if is_nothing { self.token(&mut batch.bytes) } else { Err(self.wrong("a sum, which no dump has")) }
    }

    fn value(&mut self, batch: &mut Batch, token: Kind, start: usize, depth: usize) -> Result<CellKind, DumpError> {
        match token {
            Kind::Text(_) => {
                self.texts_that_follow(batch)?;
                Ok(CellKind::Text(self.charset()))
            }
            Kind::Number => Ok(CellKind::Number),
            Kind::Hex | Kind::Bits => Ok(CellKind::Bits),
            Kind::Sign(sign @ (b'-' | b'+')) => {
                if sign == b'-' {
                    batch.bytes.push(sign);
                }
                match self.token(&mut batch.bytes)? {
                    Kind::Number => Ok(CellKind::Number),
                    _ => Err(self.wrong("a sign without a number")),
                }
            }
            Kind::Sign(b'(') if depth < DEEPEST => {
                let token = self.token(&mut batch.bytes)?;
                let kind = self.value(batch, token, start, depth + 1)?;
                self.expect(Kind::Sign(b')'))?;
                Ok(kind)
            }
            Kind::Word if depth < DEEPEST => {
                let word = String::from_utf8_lossy(&batch.bytes[self.token_start..]).to_ascii_lowercase();
                batch.bytes.truncate(self.token_start);
                self.word_value(batch, &word, start, depth)
            }
            Kind::Over => Err(self.cut_off("in a row")),
            _ => Err(self.wrong(&format!("a row of {} has what is no value", batch.header.table))),
        }
    }

    /// `'a' 'b'` is one text.
    fn texts_that_follow(&mut self, batch: &mut Batch) -> Result<(), DumpError> {
        while self.is_quote_next()? {
            self.token(&mut batch.bytes)?;
        }
        Ok(())
    }

    fn word_value(&mut self, batch: &mut Batch, word: &str, start: usize, depth: usize) -> Result<CellKind, DumpError> {
        match word {
            "null" => return Ok(CellKind::Null),
            "default" => return Ok(CellKind::Default),
            "true" | "false" => {
                batch.bytes.push(if word == "true" { b'1' } else { b'0' });
                return Ok(CellKind::Number);
            }
            "binary" => {
                let token = self.token(&mut batch.bytes)?;
                return self.value(batch, token, start, depth + 1);
            }
            "now" | "current_timestamp" => {
                return Err(self.wrong("a value that depends on the time, which no dump has"));
            }
            _ => {}
        }
        if let Some(charset) = word.strip_prefix('_').and_then(Charset::of) {
            let token = self.token(&mut batch.bytes)?;
            self.value(batch, token, start, depth + 1)?;
            return Ok(CellKind::Text(charset));
        }
        if !["convert", "cast", "unhex", "from_base64", "conv"].contains(&word) {
            return Err(self.wrong(&format!("the value {word}, which is not known")));
        }
        self.expect(Kind::Sign(b'('))?;
        let token = self.token(&mut batch.bytes)?;
        let mut kind = self.value(batch, token, start, depth + 1)?;
        let decoded = match word {
            "unhex" => unhex(&batch.bytes[start..]),
            "from_base64" => {
                let digits: Vec<_> =
                    batch.bytes[start..].iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
                STANDARD.decode(digits).ok()
            }
            "conv" => {
                let number = self.number_of_base(&batch.bytes[start..])?;
                batch.bytes.truncate(start);
                batch.bytes.extend(number.to_string().into_bytes());
                return Ok(CellKind::Number);
            }
            _ => {
                kind = self.conversion(kind)?;
                return Ok(kind);
            }
        };
        batch.bytes.truncate(start);
        batch.bytes.extend(decoded.ok_or_else(|| self.wrong("digits that are none"))?);
        self.expect(Kind::Sign(b')'))?;
        Ok(CellKind::Text(Charset::Binary))
    }

    /// The number that digits are, of which `, 2, 10)` says that they are of base 2 and are to be of base 10. Adminer writes bits
    /// so.
    fn number_of_base(&mut self, digits: &[u8]) -> Result<u64, DumpError> {
        let mut bases = [0; 2];
        for base in &mut bases {
            self.expect(Kind::Sign(b','))?;
            self.expect(Kind::Number)?;
            *base = self.lower().parse().unwrap_or(0);
        }
        self.expect(Kind::Sign(b')'))?;
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        let number = match bases {
            [base @ 2..=36, 10] => u64::from_str_radix(digits, base).ok(),
            _ => None,
        };
        number.ok_or_else(|| self.wrong("digits that are none"))
    }

    /// `USING utf8mb4)` or `AS JSON)`.
    fn conversion(&mut self, kind: CellKind) -> Result<CellKind, DumpError> {
        let mut depth = 1;
        let mut words = Vec::new();
        while depth > 0 {
            match self.next()? {
                Kind::Sign(b'(') => depth += 1,
                Kind::Sign(b')') => depth -= 1,
                Kind::Over | Kind::End => return Err(self.cut_off("in a value")),
                _ if words.len() < 2 => words.push(self.lower()),
                _ => {}
            }
        }
        let charset = words.first().filter(|word| *word == "using").and_then(|_| Charset::of(words.get(1)?));
        Ok(match (kind, charset) {
            (CellKind::Bits | CellKind::Text(Charset::Binary), Some(charset)) => CellKind::Text(charset),
            _ => kind,
        })
    }
}
