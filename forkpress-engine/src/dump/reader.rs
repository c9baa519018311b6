//! Reads the statements of a dump, one after the other, and says what they mean for a new database.

use std::collections::HashMap;
use std::sync::mpsc::SyncSender;

use super::batch::{Batch, Event, Mode};
use super::charset::Charset;
use super::cursor::Token;
use super::error::{DumpError, DumpLine};
use super::input::Input;
use super::lexer::{Kind, Lexer, Trouble};
use super::options::Options;
use crate::progress::Progress;

/// A definition is no longer than this.
const LONGEST_DEFINITION: usize = 16 * 1024 * 1024;

/// Databases of the server's own.
const SYSTEM: [&str; 5] = ["mysql", "sys", "information_schema", "performance_schema", "phpmyadmin"];

/// What statements begin with that change nothing here.
const WITHOUT_EFFECT: [&str; 18] = [
    "select",
    "do",
    "show",
    "analyze",
    "optimize",
    "check",
    "repair",
    "flush",
    "change",
    "purge",
    "reset",
    "prepare",
    "execute",
    "deallocate",
    "help",
    "stop",
    "savepoint",
    "release",
];

/// Why the reader ended before the dump did.
pub(super) enum Stop {
    Error(DumpError),
    /// Nobody listens any more.
    Alone,
}

/// A dump that is being read.
pub(super) struct Reader<'r, 'a> {
    pub(super) lexer: Lexer<'r>,
    options: &'a Options,
    events: &'a SyncSender<Event>,
    pub(super) file: Option<String>,
    /// The text of the token that was read last by [`Self::next`].
    text: Vec<u8>,
    /// Where in its buffer the text of the last token begins.
    pub(super) token_start: usize,
    /// The line that the last token ends on.
    token_line: u64,
    pub(super) pending: Option<Batch>,
    /// What `SET NAMES` said.
    pub(super) names: Charset,
    pub(super) saved_charsets: HashMap<String, Charset>,
    /// The database that is in use, and the one that has the tables.
    pub(super) database: Option<String>,
    pub(super) database_with_tables: Option<String>,
    is_locked: bool,
    is_in_transaction: bool,
    is_alone: bool,
    pub(super) charsets: Vec<String>,
}

impl<'r, 'a> Reader<'r, 'a> {
    /// Reads a whole file.
    pub(super) fn read(
        read: &'r mut dyn std::io::Read,
        file: Option<String>,
        options: &'a Options,
        events: &'a SyncSender<Event>,
        progress: &'r dyn Progress,
    ) -> Result<Vec<String>, Stop> {
        let mut reader = Reader {
            lexer: Lexer::new(Input::new(read, progress)),
            options,
            events,
            file,
            text: Vec::new(),
            token_start: 0,
            token_line: 1,
            pending: None,
            names: Charset::Utf8,
            saved_charsets: HashMap::new(),
            database: None,
            database_with_tables: None,
            is_locked: false,
            is_in_transaction: false,
            is_alone: false,
            charsets: Vec::new(),
        };
        match reader.run() {
            _ if reader.is_alone => Err(Stop::Alone),
            Ok(()) => Ok(reader.charsets),
            Err(error) => Err(Stop::Error(error)),
        }
    }

    fn run(&mut self) -> Result<(), DumpError> {
        self.start()?;
        while self.statement()? {}
        self.flush()?;
        if self.is_locked {
            return Err(self.cut_off("before UNLOCK TABLES"));
        }
        if self.is_in_transaction {
            return Err(self.cut_off("before COMMIT"));
        }
        let marks = self.lexer.marks;
        if marks.is_by_dump && !marks.is_completed {
            let of = self.file.as_ref().map(|file| format!(" of {file}")).unwrap_or_default();
            self.send(Event::Note(format!("the last line{of} is not the usual \"-- Dump completed\"")))?;
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), DumpError> {
        let ahead = self.lexer.input.ahead(4).map_err(Trouble::Read);
        let ahead = ahead.map_err(|trouble| trouble_at(DumpLine { file: self.file.clone(), line: 1 }, trouble))?;
        let what = match ahead {
            [0xef, 0xbb, 0xbf, ..] => {
                self.lexer.input.skip(3);
                return Ok(());
            }
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                "this is UTF-16, as PowerShell's > writes it: make the dump with mysqldump --result-file=FILE"
            }
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd] | [b'B', b'Z', b'h', _] | [b'P', b'K', 3, 4] => {
                "this is compressed"
            }
            [b'<', ..] => "this is no SQL",
            _ => return Ok(()),
        };
        Err(self.wrong(what))
    }

    /// Reads one statement; says false where there is none.
    fn statement(&mut self) -> Result<bool, DumpError> {
        let kind = self.next()?;
        let word = match kind {
            Kind::Over => return Ok(false),
            Kind::End => return Ok(true),
            Kind::Word => self.lower(),
            _ => return Err(self.wrong("what begins no statement")),
        };
        if word == "use" {
            let name = self.next()?;
            let (name, end) = self.qualified_name(name)?;
            self.database = Some(name);
            return self.ended(end).map(|()| true);
        }
        let is_system = self.database.as_ref().is_some_and(|name| SYSTEM.contains(&name.to_lowercase().as_str()));
        match word.as_str() {
            "delimiter" => self.delimiter()?,
            "mysqldump" | "mariadb" => self.complaint()?,
            "set" => self.set()?,
            "lock" => self.mark(|reader| reader.is_locked = true)?,
            "unlock" => self.mark(|reader| reader.is_locked = false)?,
            "begin" => self.mark(|reader| reader.is_in_transaction = true)?,
            "start" => {
                // Or a replica is started.
                if self.next()? == Kind::Word && self.lower() == "transaction" {
                    self.is_in_transaction = true;
                }
                self.skip_to_end()?;
            }
            "commit" => self.mark(|reader| reader.is_in_transaction = false)?,
            _ if is_system => self.skip_to_end()?,
            "insert" => self.insert(Mode::Refuse)?,
            "replace" => self.insert(Mode::Replace)?,
            "create" => self.create()?,
            "drop" => self.drop_object()?,
            "alter" => self.alter()?,
            "truncate" | "delete" => self.truncate()?,
            "grant" | "revoke" => {
                self.left_out("right", String::new())?;
                self.skip_to_end()?;
            }
            word if WITHOUT_EFFECT.contains(&word) => self.skip_to_end()?,
            word => return Err(self.wrong(&format!("{} is no statement that dumps have", word.to_uppercase()))),
        }
        Ok(true)
    }

    /// Reads a statement to its end, which may be the dump's, and takes a note of it.
    fn mark(&mut self, note: impl FnOnce(&mut Self)) -> Result<(), DumpError> {
        note(self);
        while !matches!(self.next()?, Kind::End | Kind::Over) {}
        Ok(())
    }

    fn delimiter(&mut self) -> Result<(), DumpError> {
        let line = self.lexer.rest_of_line().map_err(|trouble| self.trouble(trouble))?;
        let delimiter = line.trim_ascii().to_vec();
        if delimiter.is_empty() || delimiter.len() > 16 {
            return Err(self.wrong("DELIMITER without one"));
        }
        self.lexer.delimiter = delimiter;
        Ok(())
    }

    /// What the tool that made the dump wrote into it, since its errors went there too.
    fn complaint(&mut self) -> Result<(), DumpError> {
        let line = self.lexer.rest_of_line().map_err(|trouble| self.trouble(trouble))?;
        let line = String::from_utf8_lossy(&line).trim().to_owned();
        if line.contains("[Warning]") || line.contains("Deprecated program name") {
            return Ok(());
        }
        Err(self.wrong(&format!("the tool that made the dump failed: {}", line.trim_start_matches([':', ' ']))))
    }

    /// The tokens of the statement that are left.
    pub(super) fn rest(&mut self) -> Result<(Vec<Token>, DumpLine), DumpError> {
        let place = self.place();
        let mut tokens = Vec::new();
        let mut bytes = 0;
        loop {
            let kind = self.next()?;
            bytes += self.text.len() + size_of::<Token>();
            if bytes > LONGEST_DEFINITION {
                return Err(self.wrong("a definition of more than 16 MB"));
            }
            let text = match kind {
                Kind::End => return Ok((tokens, place)),
                Kind::Over => return Err(self.cut_off("in a statement")),
                Kind::Hex => self.text.iter().map(|byte| format!("{byte:02x}")).collect(),
                Kind::Bits => {
                    let bits: String = self.text.iter().map(|byte| format!("{byte:08b}")).collect();
                    let bits = bits.trim_start_matches('0');
                    if bits.is_empty() { "0".to_owned() } else { bits.to_owned() }
                }
                _ => self.decoded(),
            };
            // Names in double quotes.
            let kind = if kind == Kind::Text(b'"') && self.lexer.has_ansi_quotes { Kind::Name } else { kind };
            tokens.push(Token { kind, text });
        }
    }

    /// Goes over the rest of the statement.
    pub(super) fn skip_to_end(&mut self) -> Result<(), DumpError> {
        loop {
            match self.next()? {
                Kind::End => return Ok(()),
                Kind::Over => return Err(self.cut_off("in a statement")),
                _ => {}
            }
        }
    }

    fn ended(&mut self, kind: Kind) -> Result<(), DumpError> {
        if matches!(kind, Kind::End | Kind::Over) { Ok(()) } else { self.skip_to_end() }
    }

    /// A name that begins with the last token, and what follows; of `a.b` it is the last one.
    pub(super) fn qualified_name(&mut self, first: Kind) -> Result<(String, Kind), DumpError> {
        let mut kind = first;
        loop {
            if !matches!(kind, Kind::Name | Kind::Word | Kind::Text(_)) {
                return Err(if kind == Kind::Over {
                    self.cut_off("in a statement")
                } else {
                    self.wrong("a name is missing")
                });
            }
            let name = self.decoded();
            kind = self.next()?;
            if kind != Kind::Sign(b'.') {
                return Ok((self.own_name(name), kind));
            }
            kind = self.next()?;
        }
    }

    /// The name that a table has here.
    pub(super) fn own_name(&self, name: String) -> String {
        self.options.placeholder.as_ref().and_then(|placeholder| placeholder.replaced(&name)).unwrap_or(name)
    }

    pub(super) fn is_wanted(&self, table: &str) -> bool {
        !self.options.left_out_tables.iter().any(|name| name.eq_ignore_ascii_case(table))
    }

    /// The next token; its text is kept.
    pub(super) fn next(&mut self) -> Result<Kind, DumpError> {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let kind = self.token(&mut text);
        self.text = text;
        kind
    }

    /// The next token, its text added to a buffer.
    #[inline]
    pub(super) fn token(&mut self, out: &mut Vec<u8>) -> Result<Kind, DumpError> {
        self.token_start = out.len();
        self.lexer.next(out).map_err(|trouble| self.trouble(trouble))
    }

    pub(super) fn expect(&mut self, expected: Kind) -> Result<(), DumpError> {
        match self.next()? {
            kind if kind == expected => Ok(()),
            Kind::Over => Err(self.cut_off("in a row")),
            _ => Err(self.wrong("a value that is not known")),
        }
    }

    /// Whether a text in quotes is next, but for blanks.
    pub(super) fn is_quote_next(&mut self) -> Result<bool, DumpError> {
        let ahead = self.lexer.input.ahead(64).map_err(Trouble::Read);
        let ahead = match ahead {
            Ok(ahead) => ahead,
            Err(trouble) => return Err(self.trouble(trouble)),
        };
        Ok(ahead.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| matches!(byte, b'\'' | b'"')))
    }

    pub(super) fn charset(&self) -> Charset {
        self.lexer.charset
    }

    /// The text of the last token, in lower case.
    pub(super) fn lower(&self) -> String {
        String::from_utf8_lossy(&self.text).to_ascii_lowercase()
    }

    fn decoded(&self) -> String {
        String::from_utf8_lossy(&self.lexer.charset.decode(&self.text).0).into_owned()
    }

    /// Hands over the rows that were read.
    pub(super) fn flush(&mut self) -> Result<(), DumpError> {
        match self.pending.take() {
            Some(batch) if !batch.rows.is_empty() => self.send_now(Event::Rows(batch)),
            _ => Ok(()),
        }
    }

    pub(super) fn send(&mut self, event: Event) -> Result<(), DumpError> {
        self.flush()?;
        self.send_now(event)
    }

    fn send_now(&mut self, event: Event) -> Result<(), DumpError> {
        self.events.send(event).map_err(|_| {
            self.is_alone = true;
            self.wrong("the database is not written on")
        })
    }

    pub(super) fn line(&mut self) -> u64 {
        self.token_line = self.lexer.input.line();
        self.token_line
    }

    pub(super) fn place(&mut self) -> DumpLine {
        DumpLine { file: self.file.clone(), line: self.line() }
    }

    pub(super) fn wrong(&mut self, what: &str) -> DumpError {
        wrong_at(&self.place(), what.to_owned())
    }

    pub(super) fn cut_off(&mut self, within: &str) -> DumpError {
        DumpError::CutOff { place: self.place(), within: within.to_owned() }
    }

    fn trouble(&mut self, trouble: Trouble) -> DumpError {
        trouble_at(self.place(), trouble)
    }
}

fn trouble_at(place: DumpLine, trouble: Trouble) -> DumpError {
    match trouble {
        Trouble::Read(source) => DumpError::Read { place, source },
        Trouble::CutOff(within) => DumpError::CutOff { place, within: within.to_owned() },
        Trouble::Wrong(what) => wrong_at(&place, what.to_owned()),
    }
}

pub(super) fn wrong_at(place: &DumpLine, what: String) -> DumpError {
    DumpError::Wrong { place: place.clone(), what }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::progress::Silent;

    const DUMP: &str = "-- MySQL dump\n/*!40101 SET NAMES utf8mb4 */;\nSET @s = @@character_set_client, sql_mode='ANSI';\n\
        CREATE TABLE `t` (`a` int(11) NOT NULL DEFAULT 0x1F, b text CHECK (json_valid(`b`)), KEY k (b(9)), CONSTRAINT f FOREIGN KEY (a) \
        REFERENCES u (a) ON DELETE CASCADE) ENGINE=InnoDB COMMENT='x';\nDELIMITER $$\nCREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW BEGIN \
        SET a=1; END$$\nDELIMITER ;\nINSERT IGNORE INTO `t` (a, `b`) VALUES (-1,'it''s \\' \\0'),(b'101',_utf8mb4 0x41),(DEFAULT,CONVERT('a' \
        USING latin1)),((1.5e3),NULL);\nREPLACE t SET a = 1, b = 'x' 'y' ON DUPLICATE KEY UPDATE a = 1;\nALTER TABLE t MODIFY a int \
        AUTO_INCREMENT, ADD UNIQUE KEY (a), DROP KEY k;\nDROP TABLE IF EXISTS t, u;\nCREATE UNIQUE INDEX i ON t (a);\nTRUNCATE t;\n";

    /// Reads a dump to its end, or to where it is wrong.
    fn read(mut dump: &[u8]) -> Result<(), Stop> {
        let (events, received) = mpsc::sync_channel(8);
        let listener = std::thread::spawn(move || received.iter().count());
        let result = Reader::read(&mut dump, None, &Options::default(), &events, &Silent);
        drop(events);
        listener.join().unwrap();
        result.map(drop)
    }

    #[test]
    fn whatever_bytes_a_dump_has_it_is_read_or_refused() {
        assert!(read(DUMP.as_bytes()).is_ok());
        let mut state = 7_u64;
        let mut random = move |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let mut refused = 0;
        for _ in 0..3000 {
            let mut dump = DUMP.as_bytes().to_vec();
            for _ in 0..=random(3) {
                let at = random(dump.len());
                match random(4) {
                    0 => dump.truncate(at.max(1)),
                    1 => drop(dump.drain(at..(at + random(20)).min(dump.len()))),
                    2 => dump.insert(at, b"'\"`\\;()*/-#,.@$=0xb\0\xff\n"[random(22)]),
                    _ => {
                        let piece = dump[at..(at + random(40)).min(dump.len())].to_vec();
                        let to = random(dump.len());
                        dump.splice(to..to, piece);
                    }
                }
                dump.push(b'\n');
            }
            refused += usize::from(read(&dump).is_err());
        }
        assert!(refused > 1000, "{refused} are refused");
    }
}
