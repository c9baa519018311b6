//! Writes a database as SQL that MySQL 8 and MariaDB 10.11 take, table by table and row by row: no table is in memory.

use std::borrow::Cow;
use std::io::{self, Write};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde::Serialize;
use thiserror::Error;

use super::create::{self, Collations};
use super::literal;
use super::plugins::without_driver;
use super::schema::{Class, Column, Schema, Table};
use crate::addresses::{BrokenValue, Columns, Counts, Rewriter};
use crate::progress::Progress;

/// A statement gets no further row that would make it longer: a server takes a megabyte at the least.
const LONGEST_STATEMENT_BYTES: usize = 1_000_000;

/// How long a statement may be that every server of today takes as it is set up at first.
const PACKET_BYTES: u64 = 16 << 20;

/// More broken values than these are only counted.
const MOST_BROKEN: usize = 100;

/// Why there is no dump.
#[derive(Debug, Error)]
pub enum DumpError {
    /// The database can't be read.
    #[error("cannot read the database")]
    Read(#[from] rusqlite::Error),
    /// The dump can't be written.
    #[error("cannot write the dump")]
    Write(#[source] io::Error),
    /// Whoever asked for it wants it no more.
    #[error("the export was interrupted")]
    Interrupted,
    /// The driver wrote down no types.
    #[error("the database has no description of its tables for MySQL")]
    NoMetadata,
}

/// What is said at the head of a dump.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// Name and version of the program.
    pub(super) program: String,
    pub(super) branch: String,
    pub(super) prefix: String,
    pub(super) home: String,
    pub(super) date: String,
}

/// What a dump has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dumped {
    /// Its tables.
    pub tables: Vec<DumpedTable>,
    /// Its length.
    pub bytes: u64,
    /// Tables that are not in it: they were made past the driver, and nobody knows their types.
    pub tables_left_out: Vec<String>,
    /// What is other than in the branch.
    pub notes: Vec<String>,
    /// What was done about addresses.
    pub addresses: Counts,
    /// How many addresses of branches are in it.
    pub local_addresses: u64,
    /// The first of the values that have a broken value of PHP's, with an address, in them.
    pub broken_values: Vec<BrokenValue>,
}

/// A table of a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DumpedTable {
    /// Its name.
    pub name: String,
    /// How many rows it has.
    pub rows: u64,
}

/// What is done about addresses.
#[derive(Debug)]
pub(super) enum Addressing {
    /// They are rewritten.
    Rewrite(Rewriter),
    /// They stay. Those that this would rewrite are counted.
    Count(Rewriter),
}

impl Addressing {
    /// What rewrites, if anything does.
    pub(super) fn rewriter(&self) -> Option<&Rewriter> {
        match self {
            Self::Rewrite(rewriter) => Some(rewriter),
            Self::Count(_) => None,
        }
    }
}

/// Writes the database that a connection, which is in a read transaction, is open to.
pub(super) fn write(
    connection: &Connection,
    to: impl Write,
    head: &Head,
    addressing: &Addressing,
    is_interrupted: &dyn Fn() -> bool,
    progress: &dyn Progress,
) -> Result<Dumped, DumpError> {
    let schema = Schema::read(connection)?;
    if !schema.has_metadata {
        return Err(DumpError::NoMetadata);
    }
    let mut writer = DumpWriter {
        out: Counted { to, bytes: 0, progress },
        longest_statement: 0,
        addressing,
        is_interrupted,
        dumped: Dumped { tables_left_out: schema.unknown.clone(), ..Dumped::default() },
    };
    writer.put(head.text().as_bytes())?;
    for table in &schema.tables {
        writer.table(connection, table)?;
    }
    writer.put(FOOT.as_bytes())?;
    writer.out.to.flush().map_err(DumpError::Write)?;
    let DumpWriter { out, longest_statement, mut dumped, .. } = writer;
    dumped.bytes = out.bytes;
    if longest_statement > PACKET_BYTES {
        let megabytes = longest_statement.div_ceil(1 << 20);
        dumped.notes.push(format!("a row is so long that the server needs max_allowed_packet={megabytes}M or more"));
    }
    Ok(dumped)
}

impl Head {
    /// Comments, one a line, and how the server is to read what follows.
    fn text(&self) -> String {
        let line = |name: &str, value: &str| {
            let value: String = value.chars().filter(|c| !c.is_control()).collect();
            format!("-- {name}: {value}\n")
        };
        let said =
            [("Branch", &self.branch), ("Date", &self.date), ("Home URL", &self.home), ("Table prefix", &self.prefix)];
        let said: String = said.iter().map(|(name, value)| line(name, value)).collect();
        format!("-- {} database export for MySQL and MariaDB\n{said}\n{HEAD}", self.program)
    }
}

const HEAD: &str = "\
/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!40101 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
";

const FOOT: &str = "
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;
/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
-- Dump completed
";

/// Counts what is written.
struct Counted<'p, W> {
    to: W,
    bytes: u64,
    progress: &'p dyn Progress,
}

struct DumpWriter<'a, W> {
    out: Counted<'a, W>,
    longest_statement: u64,
    addressing: &'a Addressing,
    is_interrupted: &'a dyn Fn() -> bool,
    dumped: Dumped,
}

impl<W: Write> DumpWriter<'_, W> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), DumpError> {
        if (self.is_interrupted)() {
            return Err(DumpError::Interrupted);
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.longest_statement = self.longest_statement.max(length);
        self.out.to.write_all(bytes).map_err(DumpError::Write)?;
        self.out.bytes += length;
        self.out.progress.advance(length);
        Ok(())
    }

    fn table(&mut self, connection: &Connection, table: &Table) -> Result<(), DumpError> {
        let name = literal::name(&table.name);
        let collations = holding(connection, table, &mut self.dumped.notes)?;
        for column in &table.unknown_columns {
            let note =
                format!("{}.{column}: added past the driver, so its type is not known; it is left out", table.name);
            self.dumped.notes.push(note);
        }
        let create = create::create(table, &collations, &mut self.dumped.notes);
        self.put(format!("\nDROP TABLE IF EXISTS {name};\n{create};\n").as_bytes())?;
        let rows = self.rows(connection, table)?;
        self.dumped.tables.push(DumpedTable { name: table.name.clone(), rows });
        Ok(())
    }

    fn rows(&mut self, connection: &Connection, table: &Table) -> Result<u64, DumpError> {
        let columns: Vec<_> = table.columns.iter().map(WrittenColumn::of).collect();
        if columns.is_empty() {
            return Ok(0);
        }
        let names = || table.columns.iter().map(|column| column.name.as_str());
        let insert = format!("INSERT INTO {} {} VALUES\n", literal::name(&table.name), literal::names(names()));
        let addresses = Columns::of(&table.name, names());
        let options = OptionsTable::of(table);
        let mut statement = connection.prepare(&select(table, names()))?;
        let mut rows = statement.query([])?;
        let mut text = insert.clone().into_bytes();
        let mut tuple = Vec::new();
        let mut number = 0;
        let mut misfits = Misfits::new(columns.len());
        while let Some(row) = rows.next()? {
            tuple.clear();
            for (at, column) in columns.iter().enumerate() {
                tuple.extend_from_slice(if at == 0 { b"(" } else { b"," });
                match row.get_ref(at)? {
                    ValueRef::Text(value) if column.class != Class::Bytes => {
                        let value =
                            options.as_ref().and_then(|options| options.text(row, at)).unwrap_or(Cow::Borrowed(value));
                        let value = match value {
                            Cow::Borrowed(value) => self.addressed(&addresses, row, table, at, value),
                            Cow::Owned(_) => value,
                        };
                        misfits.look(at, column, &value);
                        literal::text(&mut tuple, &value);
                    }
                    value => column.write(&mut tuple, value),
                }
            }
            tuple.push(b')');
            if number > 0 && text.len() + tuple.len() + 3 > LONGEST_STATEMENT_BYTES && text.len() > insert.len() {
                text.extend_from_slice(b";\n");
                self.put(&text)?;
                text.truncate(insert.len());
            }
            text.extend_from_slice(if text.len() > insert.len() { b",\n" } else { b"" });
            text.extend_from_slice(&tuple);
            number += 1;
        }
        if number > 0 {
            text.extend_from_slice(b";\n");
            self.put(&text)?;
        }
        misfits.tell(table, &mut self.dumped.notes);
        Ok(number)
    }

    /// A text with addresses as they are to be.
    fn addressed<'r>(
        &mut self,
        columns: &Columns,
        row: &'r Row<'_>,
        table: &Table,
        at: usize,
        text: &'r [u8],
    ) -> Cow<'r, [u8]> {
        let text_of = |at| match row.get_ref(at) {
            Ok(ValueRef::Text(text)) => Some(text),
            _ => None,
        };
        let rewriter = match self.addressing {
            Addressing::Rewrite(rewriter) => rewriter,
            Addressing::Count(rewriter) => {
                let mut counts = Counts::default();
                columns.rewrite(rewriter, at, text_of, &mut counts);
                self.dumped.local_addresses += counts.addresses;
                return Cow::Borrowed(text);
            }
        };
        let broken = self.dumped.addresses.broken;
        let rewritten = columns.rewrite(rewriter, at, text_of, &mut self.dumped.addresses);
        if self.dumped.addresses.broken > broken && self.dumped.broken_values.len() < MOST_BROKEN {
            let key = match row.get_ref(0) {
                Ok(ValueRef::Integer(key)) => key.to_string(),
                Ok(ValueRef::Text(key)) => String::from_utf8_lossy(key).into_owned(),
                _ => String::new(),
            };
            let (table, column) = (table.name.clone(), table.columns[at].name.clone());
            self.dumped.broken_values.push(BrokenValue { table, column, row: key });
        }
        rewritten.unwrap_or(Cow::Borrowed(text))
    }
}

fn select<'n>(table: &Table, columns: impl Iterator<Item = &'n str>) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let columns: Vec<_> = columns.map(quoted).collect();
    let order = table.order.map(|order| format!(" ORDER BY {order}")).unwrap_or_default();
    format!("SELECT {} FROM {}{order}", columns.join(", "), quoted(&table.name))
}

/// The declared collations, but of `utf8mb4` where a charset has not all characters of what is stored.
fn holding(connection: &Connection, table: &Table, notes: &mut Vec<String>) -> rusqlite::Result<Collations> {
    let mut collations = create::declared(table);
    let narrow = |collation: &super::charset::Collation| collation.charset.widest_bytes() < 4;
    let mut open: Vec<usize> =
        (0..collations.len()).filter(|at| collations[*at].as_ref().is_some_and(narrow)).collect();
    if open.is_empty() {
        return Ok(collations);
    }
    let mut statement = connection.prepare(&select(table, open.iter().map(|at| table.columns[*at].name.as_str())))?;
    let looked_at = open.clone();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        for (place, at) in looked_at.iter().enumerate() {
            let ValueRef::Text(text) = row.get_ref(place)? else { continue };
            let Some(collation) = collations[*at].as_mut().filter(|collation| !collation.charset.holds(text)) else {
                continue;
            };
            let note = format!(
                "{}.{}: has characters that {} lacks, so it is utf8mb4 now",
                table.name,
                table.columns[*at].name,
                collation.charset_name()
            );
            notes.push(note);
            *collation = collation.widened();
            open.retain(|still| still != at);
        }
        if open.is_empty() {
            break;
        }
    }
    Ok(collations)
}

/// How a column's values are written.
struct WrittenColumn {
    class: Class,
    max_length: Option<u64>,
    counts_characters: bool,
}

impl WrittenColumn {
    fn of(column: &Column) -> Self {
        let max_length = column
            .max_length
            .filter(|_| matches!(column.class(), Class::Text) && (column.counts_characters() || column.is_long_text()));
        Self { class: column.class(), max_length, counts_characters: column.counts_characters() }
    }

    fn write(&self, out: &mut Vec<u8>, value: ValueRef<'_>) {
        match (value, self.class) {
            (ValueRef::Null, _) => out.extend_from_slice(b"NULL"),
            // 64 bits are a number without a sign.
            (ValueRef::Integer(bits), Class::Bits) => {
                out.extend_from_slice(bits.cast_unsigned().to_string().as_bytes())
            }
            (ValueRef::Integer(number), _) => literal::integer(out, number),
            (ValueRef::Real(number), Class::Decimal) => literal::decimal(out, number),
            (ValueRef::Real(number), _) => literal::real(out, number),
            (ValueRef::Text(text), Class::Bytes) => literal::bytes(out, text),
            (ValueRef::Text(text), _) => literal::text(out, text),
            (ValueRef::Blob(bytes), _) => literal::bytes(out, bytes),
        }
    }
}

/// Counts values that MySQL will not take as they are, by column.
struct Misfits {
    too_long: Vec<u64>,
    no_text: Vec<u64>,
}

impl Misfits {
    fn new(columns: usize) -> Self {
        Self { too_long: vec![0; columns], no_text: vec![0; columns] }
    }

    fn look(&mut self, at: usize, column: &WrittenColumn, value: &[u8]) {
        let text = std::str::from_utf8(value);
        self.no_text[at] += u64::from(text.is_err());
        let Some(max) = column.max_length.and_then(|max| usize::try_from(max).ok()) else { return };
        let is_too_long = value.len() > max
            && (!column.counts_characters || text.map_or(value.len(), |text| text.chars().count()) > max);
        self.too_long[at] += u64::from(is_too_long);
    }

    fn tell(&self, table: &Table, notes: &mut Vec<String>) {
        for (at, column) in table.columns.iter().enumerate() {
            let mut tell = |count: u64, what: &str| {
                if count > 0 {
                    let values = if count == 1 { "1 value is".to_owned() } else { format!("{count} values are") };
                    notes.push(format!("{}.{}: {values} {what}", table.name, column.name));
                }
            };
            tell(self.too_long[at], &format!("longer than {} takes; MySQL cuts what is beyond", column.full_type));
            tell(self.no_text[at], "no valid UTF-8; MySQL cuts it there");
        }
    }
}

/// A table of options, in which the list of active plugins is.
struct OptionsTable {
    name: usize,
    value: usize,
}

impl OptionsTable {
    fn of(table: &Table) -> Option<Self> {
        let find = |name: &str| table.columns.iter().position(|column| column.name == name);
        let (name, value) = [("option_name", "option_value"), ("meta_key", "meta_value")]
            .into_iter()
            .find_map(|(name, value)| find(name).zip(find(value)))?;
        ["options", "sitemeta"].iter().any(|end| table.name.ends_with(end)).then_some(Self { name, value })
    }

    /// What stands for the text of a column; none where that stays.
    fn text<'r>(&self, row: &'r Row<'_>, at: usize) -> Option<Cow<'r, [u8]>> {
        let text = |at| row.get_ref(at).ok().and_then(|value| value.as_bytes().ok());
        let is_list = at == self.value && matches!(text(self.name)?, b"active_plugins" | b"active_sitewide_plugins");
        is_list.then(|| without_driver(text(at)?)).flatten().map(Cow::Owned)
    }
}
