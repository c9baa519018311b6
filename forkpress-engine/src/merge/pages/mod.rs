//! Which rows of a table may differ in databases that were one once, as the pages of their files say: no others need be read.
//!
//! A table whose key is the row's number is a tree of pages (see SQLite's *Database File Format*): inner ones say below which
//! page which numbers are, and a leaf has the rows themselves, the ends of long ones in chains of other pages. A leaf that is a
//! leaf of the table in both databases, at the same place and with the same bytes, chains and all, has the same rows in both.
//! So all that differs is in the ranges of the other leaves. Which pages have the same bytes, [`same`] says.
//!
//! **The files are read past SQLite, and yet what a transaction sees.** Of a page that has no frame in the log, that is what
//! the file has: whoever moves pages from the log into the file moves none that are newer than what some reader sees, and
//! without a log, a reader stops whoever writes. A page with a frame in the log, whatever that says, counts as changed, with
//! all that is below it. The log is looked at after the transaction has begun.
//!
//! Whatever is not as it should be makes a table one that is read whole. A file is never opened here: to close it would drop
//! the locks that SQLite has on it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;

use rayon::prelude::*;
use rusqlite::Connection;

use same::Same;

use super::schema::{Key, Schema};

mod same;

/// Numbers of rows, in ascending ranges that do not touch.
pub(crate) type Numbers = Vec<RangeInclusive<i64>>;

/// The rows that may differ, by the name of the table in lower case. Of a table that is not in it, any may.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Differing(HashMap<String, Numbers>);

/// The files of a database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DatabaseFiles<'a> {
    pub(crate) database: &'a File,
    /// None where it has none.
    pub(crate) log: Option<&'a File>,
}

/// A database, open in a read transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Database<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) schema: &'a Schema,
    pub(crate) files: DatabaseFiles<'a>,
}

impl Differing {
    /// Compares a database with others.
    pub(crate) fn between(base: Database<'_>, others: &[Database<'_>]) -> Self {
        Self::find(base, others).unwrap_or_else(|error| {
            tracing::debug!("the pages of the databases are not compared: {error}");
            Self::default()
        })
    }

    /// Which rows of a table may differ; none where any may.
    pub(crate) fn of(&self, table: &str) -> Option<&[RangeInclusive<i64>]> {
        self.0.get(table).map(Vec::as_slice)
    }

    fn find(base: Database<'_>, others: &[Database<'_>]) -> io::Result<Self> {
        let Some(own) = Pages::read(base.files)? else { return Ok(Self::default()) };
        let mut pages = Vec::new();
        for other in others {
            match Pages::read(other.files)? {
                Some(other) if other.page_bytes == own.page_bytes && other.usable_bytes == own.usable_bytes => {
                    let same = Same::between(&own, &other)?;
                    pages.push((other, same));
                }
                _ => return Ok(Self::default()),
            }
        }
        let mut differing = HashMap::new();
        for (name, table) in &base.schema.tables {
            let is_alike = |other: &Database<'_>| {
                other.schema.tables.get(name).is_some_and(|other| other.sql == table.sql && other.key == table.key)
            };
            if !matches!(table.key, Key::Rowid { .. }) || !others.iter().all(is_alike) {
                continue;
            }
            if let Some(numbers) = own.differing(base, others, &pages, name)? {
                differing.insert(name.clone(), numbers);
            }
        }
        Ok(Self(differing))
    }
}

/// The pages of a database as far as they can be read from its file.
struct Pages<'a> {
    file: &'a File,
    page_bytes: usize,
    /// How many bytes at the beginning of a page SQLite uses.
    usable_bytes: usize,
    /// The pages that have a frame in the log.
    logged: HashSet<u32>,
}

/// A part of a table: the numbers of its rows, and the leaf that has them; none where it is not known what has them.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    numbers: RangeInclusive<i64>,
    leaf: Option<u32>,
}

const MAGIC: &[u8] = b"SQLite format 3\0";
const LOG_HEADER_BYTES: u64 = 32;
const FRAME_HEADER_BYTES: u64 = 24;

/// What the first byte of a page of a table says.
const INNER: u8 = 5;
const LEAF: u8 = 13;

/// Deeper than any tree is.
const DEEPEST: usize = 20;

impl<'a> Pages<'a> {
    /// None where the file is not read so.
    fn read(files: DatabaseFiles<'a>) -> io::Result<Option<Self>> {
        let mut header = [0; 100];
        if !read_at(files.database, &mut header, 0)? || !header.starts_with(MAGIC) {
            return Ok(None);
        }
        let page_bytes = page_bytes(&header);
        let usable_bytes = page_bytes.saturating_sub(header[20].into());
        if usable_bytes < 480 {
            return Ok(None);
        }
        let logged = files.log.map_or(Ok(Some(HashSet::new())), |log| logged(log, page_bytes))?;
        Ok(logged.map(|logged| Self { file: files.database, page_bytes, usable_bytes, logged }))
    }

    /// Which rows of a table that all have may not be the same in all.
    fn differing(
        &self,
        base: Database<'_>,
        others: &[Database<'_>],
        pages: &[(Pages<'_>, Same)],
        table: &str,
    ) -> io::Result<Option<Numbers>> {
        let Some(own) = self.parts(root(base.connection, table)?)? else { return Ok(None) };
        let mut differing = Vec::new();
        for (other, (pages, same)) in others.iter().zip(pages) {
            let Some(parts) = pages.parts(root(other.connection, table)?)? else { return Ok(None) };
            let leaves: HashSet<u32> = parts.iter().filter_map(|part| part.leaf).collect();
            let of_both = own.iter().filter_map(|part| part.leaf).filter(|leaf| leaves.contains(leaf)).collect();
            let same = same_leaves(self, same, of_both)?;
            let is_same = |part: &&Part| part.leaf.is_some_and(|leaf| same.contains(&leaf));
            let changed = own.iter().chain(&parts).filter(|part| !is_same(part));
            differing.extend(changed.map(|part| part.numbers.clone()));
        }
        Ok(Some(joined(differing)))
    }

    /// The parts of the table whose tree begins at a page; none where that is no such tree.
    fn parts(&self, root: u32) -> io::Result<Option<Vec<Part>>> {
        let mut parts = Vec::new();
        let is_tree = self.collect(root, i64::MIN..=i64::MAX, 0, &mut parts)?;
        Ok(is_tree.then_some(parts))
    }

    fn collect(
        &self,
        number: u32,
        numbers: RangeInclusive<i64>,
        depth: usize,
        parts: &mut Vec<Part>,
    ) -> io::Result<bool> {
        if depth > DEEPEST || numbers.is_empty() {
            return Ok(false);
        }
        if self.logged.contains(&number) {
            parts.push(Part { numbers, leaf: None });
            return Ok(true);
        }
        let mut page = vec![0; self.page_bytes];
        // The first page begins with the header of the file, and is no table's of anybody's.
        if number < 2 || !self.page(number, &mut page)? {
            return Ok(false);
        }
        if page[0] == LEAF {
            parts.push(Part { numbers, leaf: Some(number) });
            return Ok(true);
        }
        let Some(children) = children(&page) else { return Ok(false) };
        let are_leaves = self.are_leaves(&children)?;
        let (first, last) = numbers.into_inner();
        let mut first = Some(first);
        for (child, up_to) in children {
            let up_to = up_to.unwrap_or(last);
            // After the highest number of all there is no child.
            let Some(from) = first.filter(|_| up_to <= last) else { return Ok(false) };
            let numbers = from..=up_to;
            if are_leaves && child > 1 && !numbers.is_empty() {
                parts.push(Part { numbers, leaf: (!self.logged.contains(&child)).then_some(child) });
            } else if !self.collect(child, numbers, depth + 1, parts)? {
                return Ok(false);
            }
            first = up_to.checked_add(1);
        }
        Ok(true)
    }

    /// Whether the pages below an inner page are leaves. SQLite keeps all leaves of a tree at one depth: one of the pages tells,
    /// and the leaves, which are nearly all of a table, need not be read.
    fn are_leaves(&self, children: &[(u32, Option<i64>)]) -> io::Result<bool> {
        let Some((child, _)) = children.iter().find(|(child, _)| !self.logged.contains(child)) else {
            return Ok(false);
        };
        let mut page = vec![0; self.page_bytes];
        Ok(self.page(*child, &mut page)? && page[0] == LEAF)
    }

    /// Reads a page from the file; false where that ends before.
    fn page(&self, number: u32, page: &mut [u8]) -> io::Result<bool> {
        let Some(before) = number.checked_sub(1) else { return Ok(false) };
        read_at(self.file, page, u64::from(before) * self.page_bytes as u64)
    }
}

/// Which of the leaves that both have at the same places have the same rows in both.
fn same_leaves(base: &Pages<'_>, same: &Same, leaves: Vec<u32>) -> io::Result<HashSet<u32>> {
    let leaves = leaves.into_iter().filter(|leaf| same.has(*leaf));
    if !same.may_overflow_differ() {
        return Ok(leaves.collect());
    }
    let leaves: Vec<u32> = leaves.collect();
    let check = |leaf: u32| Ok(has_same_chains(base, same, leaf)?.then_some(leaf));
    let checked: io::Result<Vec<Option<u32>>> = leaves.into_par_iter().map(check).collect();
    Ok(checked?.into_iter().flatten().collect())
}

/// Whether the overflow pages of a leaf, which has the same bytes in both, have the same, too.
fn has_same_chains(base: &Pages<'_>, same: &Same, leaf: u32) -> io::Result<bool> {
    let mut page = vec![0; base.page_bytes];
    if !base.page(leaf, &mut page)? {
        return Ok(false);
    }
    let Some(chains) = chains(&page, base.usable_bytes) else { return Ok(false) };
    for Chain { first, bytes } in chains {
        let (mut number, mut left) = (first, bytes);
        while left > 0 {
            if !same.has(number) || !base.page(number, &mut page)? {
                return Ok(false);
            }
            number = be_u32(&page, 0).unwrap_or_default();
            left = left.saturating_sub(base.usable_bytes - 4);
        }
    }
    Ok(true)
}

/// The pages below an inner page, each with the highest number that may be there: none of the last, which has all that
/// are higher. None where it is no inner page.
fn children(page: &[u8]) -> Option<Vec<(u32, Option<i64>)>> {
    if page.first() != Some(&INNER) {
        return None;
    }
    let mut children = Vec::new();
    for cell in 0..usize::from(be_u16(page, 3)?) {
        let at = usize::from(be_u16(page, 12 + 2 * cell)?);
        let (key, _) = varint(page, at + 4)?;
        children.push((be_u32(page, at)?, Some(key)));
    }
    children.push((be_u32(page, 8)?, None));
    Some(children)
}

/// The end of a row that did not fit into its leaf.
struct Chain {
    first: u32,
    bytes: usize,
}

/// The chains of the rows in a leaf; none where it is no leaf.
fn chains(page: &[u8], usable_bytes: usize) -> Option<Vec<Chain>> {
    if page.first() != Some(&LEAF) {
        return None;
    }
    let mut chains = Vec::new();
    for cell in 0..usize::from(be_u16(page, 3)?) {
        let at = usize::from(be_u16(page, 8 + 2 * cell)?);
        let (bytes, at) = varint(page, at)?;
        let (_, at) = varint(page, at)?;
        let bytes = usize::try_from(bytes).ok()?;
        let most = usable_bytes - 35;
        if bytes > most {
            let least = (usable_bytes - 12) * 32 / 255 - 23;
            let fitting = least + (bytes - least) % (usable_bytes - 4);
            let own = if fitting <= most { fitting } else { least };
            chains.push(Chain { first: be_u32(page, at + own)?, bytes: bytes - own });
        }
    }
    Some(chains)
}

/// The ranges in ascending order, those that touch joined.
fn joined(mut ranges: Numbers) -> Numbers {
    ranges.sort_unstable_by_key(|range| *range.start());
    let mut joined: Numbers = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if *range.start() <= last.end().saturating_add(1) => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => joined.push(range),
        }
    }
    joined
}

/// The pages that have a frame in a log, be it one of long ago; none where the log is of other pages.
fn logged(log: &File, page_bytes: usize) -> io::Result<Option<HashSet<u32>>> {
    let length = log.metadata()?.len();
    let mut header = [0; LOG_HEADER_BYTES as usize];
    if length == 0 {
        return Ok(Some(HashSet::new()));
    }
    if !read_at(log, &mut header, 0)? || be_u32(&header, 8).map(|bytes| bytes as usize) != Some(page_bytes) {
        return Ok(None);
    }
    let mut logged = HashSet::new();
    let mut at = LOG_HEADER_BYTES;
    let mut number = [0; 4];
    while read_at(log, &mut number, at)? {
        logged.insert(u32::from_be_bytes(number));
        at += FRAME_HEADER_BYTES + page_bytes as u64;
    }
    Ok(Some(logged))
}

/// How many bytes a page has, as the first 18 bytes of a database say.
pub(crate) fn page_bytes(header: &[u8]) -> usize {
    match be_u16(header, 16).unwrap_or_default() {
        1 => 65_536,
        bytes => usize::from(bytes),
    }
}

/// What was written to a log since it began anew.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    pub(crate) page_bytes: u64,
    /// The numbers of the pages, from 1.
    pub(crate) pages: BTreeSet<u32>,
}

/// The pages that have a frame in the log which is not of before the log last began anew. None where there is no such log.
/// Nobody may write meanwhile.
pub(crate) fn changed(files: DatabaseFiles<'_>) -> io::Result<Option<Changed>> {
    let Some(log) = files.log else { return Ok(None) };
    let (mut header, mut log_header, mut frame) = ([0; 18], [0; LOG_HEADER_BYTES as usize], [0; 16]);
    if !read_at(files.database, &mut header, 0)? || !header.starts_with(MAGIC) {
        return Ok(None);
    }
    let page_bytes = page_bytes(&header) as u64;
    let mut pages = BTreeSet::new();
    if read_at(log, &mut log_header, 0)? {
        if be_u32(&log_header, 8).map(u64::from) != Some(page_bytes) {
            return Ok(None);
        }
        let mut at = LOG_HEADER_BYTES;
        while read_at(log, &mut frame, at)? && frame[8..] == log_header[16..24] {
            pages.extend(be_u32(&frame, 0));
            at += FRAME_HEADER_BYTES + page_bytes;
        }
    }
    Ok(Some(Changed { page_bytes, pages }))
}

/// Where the tree of a table begins.
fn root(connection: &Connection, table: &str) -> io::Result<u32> {
    let question = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND lower(name) = ?";
    connection.query_row(question, [table], |row| row.get(0)).map_err(io::Error::other)
}

/// Fills the buffer; false where the file ends before.
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<bool> {
    match file.read_exact_at(buffer, at) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

fn be_u16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

fn be_u32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// A number as SQLite packs it, and where it ends.
fn varint(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let mut number = 0_u64;
    for length in 0..8 {
        let byte = *bytes.get(at + length)?;
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number.cast_signed(), at + length + 1));
        }
    }
    number = number << 8 | u64::from(*bytes.get(at + 8)?);
    Some((number.cast_signed(), at + 9))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use forkpress_core::layout::wal_of;

    use super::super::rows::{Found, ScanError, SideTable, scan};
    use super::super::schema;
    use super::*;

    /// A database of a test, in a read transaction. Closed in this order.
    struct Open {
        connection: Connection,
        schema: Schema,
        file: File,
        log: Option<File>,
    }

    impl Open {
        fn at(path: &Path) -> Self {
            let file = File::open(path).unwrap();
            let connection = Connection::open(path).unwrap();
            connection.execute_batch("PRAGMA query_only = 1; BEGIN; SELECT count(*) FROM sqlite_schema").unwrap();
            let schema = schema::read(&connection).unwrap();
            Self { connection, schema, file, log: File::open(wal_of(path)).ok() }
        }

        fn database(&self) -> Database<'_> {
            let Self { connection, schema, file, log } = self;
            Database { connection, schema, files: DatabaseFiles { database: file, log: log.as_ref() } }
        }

        fn side(&self) -> SideTable<'_> {
            SideTable { connection: &self.connection, table: self.schema.tables.get("t") }
        }
    }

    /// A folder with databases.
    struct Databases(tempfile::TempDir);

    impl Databases {
        /// Begins with one, `base`.
        fn new(statements: &str) -> Self {
            let databases = Self(tempfile::tempdir().unwrap());
            databases.run("base", statements);
            databases
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn run(&self, name: &str, statements: &str) {
            Connection::open(self.path(name)).unwrap().execute_batch(statements).unwrap();
        }

        fn copy(&self, name: &str, statements: &str) {
            std::fs::copy(self.path("base"), self.path(name)).unwrap();
            self.run(name, statements);
        }

        fn open(&self, name: &str) -> Open {
            Open::at(&self.path(name))
        }

        fn numbers(&self, names: &[&str]) -> Option<Numbers> {
            let (base, others) = (self.open("base"), names.iter().map(|name| self.open(name)).collect::<Vec<_>>());
            let others: Vec<_> = others.iter().map(Open::database).collect();
            Differing::between(base.database(), &others).of("t").map(<[_]>::to_vec)
        }

        /// The keys of the rows of `t` that differ: as a scan of all finds them, and as one of what may differ does.
        fn found(&self, name: &str) -> [Vec<i64>; 2] {
            let (base, other) = (self.open("base"), self.open(name));
            let differing = Differing::between(base.database(), &[other.database()]);
            [None, Some(differing.of("t").expect("the pages can be compared"))].map(|numbers| {
                let mut keys = Vec::new();
                scan(base.side(), other.side(), None, numbers, |change| {
                    assert!(matches!(change.found, Found::Keyed(_)));
                    match &change.key()[..] {
                        [super::super::Value::Integer(key)] => keys.push(*key),
                        key => panic!("{key:?}"),
                    }
                    Ok::<_, ScanError>(())
                })
                .unwrap();
                keys
            })
        }
    }

    /// A table with rows of many lengths: some are longer than a page.
    fn table(page_bytes: usize, rows: usize) -> String {
        format!(
            "PRAGMA page_size = {page_bytes};
             CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE, b);
             CREATE INDEX by_a ON t (a); CREATE TABLE other (a, b);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
             INSERT INTO t SELECT i * 3, printf('%.*c', i * 37 % 1500, 'x'), i FROM n;"
        )
    }

    fn width(numbers: &Numbers) -> i64 {
        numbers
            .iter()
            .map(|range| range.end().saturating_sub(*range.start()).saturating_add(1))
            .fold(0, i64::saturating_add)
    }

    #[test]
    fn copies_differ_in_nothing() {
        let databases = Databases::new(&table(4096, 3000));
        databases.copy("source", "");
        assert_eq!(databases.numbers(&["source"]), Some(vec![]));
        databases.copy("other", "INSERT INTO other VALUES (1, 2); CREATE INDEX by_b ON other (b)");
        assert_eq!(databases.numbers(&["source", "other"]), Some(vec![]), "what changed is no table's");
    }

    #[test]
    fn a_row_that_changed_is_in_a_small_range_and_so_is_one_that_another_side_changed() {
        let databases = Databases::new(&table(4096, 3000));
        databases.copy("source", "UPDATE t SET b = 'new' WHERE id = 3000");
        databases.copy("target", "DELETE FROM t WHERE id = 6000; INSERT INTO t VALUES (20000, 'x', 'y')");
        let numbers = databases.numbers(&["source", "target"]).unwrap();
        for id in [3000, 6000, 20_000] {
            assert!(numbers.iter().any(|range| range.contains(&id)), "{id} is in {numbers:?}");
        }
        // The last leaf has all numbers that are higher.
        assert!(width(&numbers[..numbers.len() - 1].to_vec()) < 300, "{numbers:?}");
    }

    #[test]
    fn the_end_of_a_long_row_that_changed_in_place_is_found() {
        let long = |end: char| format!("UPDATE t SET b = printf('%.*c', 20000, 'x') || '{end}' WHERE id = 30");
        let databases = Databases::new(&format!("{};{}", table(1024, 300), long('a')));
        databases.copy("source", &long('b'));
        assert_eq!(databases.found("source"), [[30], [30]]);
    }

    #[test]
    fn what_is_in_the_log_alone_is_found_before_and_after_others_write_on() {
        let databases = Databases::new(&format!("PRAGMA journal_mode = WAL; {}", table(4096, 3000)));
        databases.copy("source", "");
        let writer = Connection::open(databases.path("source")).unwrap();
        writer.execute_batch("PRAGMA wal_autocheckpoint = 0; UPDATE t SET b = 'new' WHERE id = 3000").unwrap();
        assert_eq!(databases.found("source"), [[3000], [3000]]);
        let (base, source) = (databases.open("base"), databases.open("source"));
        // Beyond what the transaction sees, into the log, and what it sees from the log into the file.
        writer.execute_batch("UPDATE t SET b = 'newer' WHERE id IN (3000, 6000); PRAGMA wal_checkpoint").unwrap();
        let differing = Differing::between(base.database(), &[source.database()]);
        assert!(differing.of("t").unwrap().iter().any(|range| range.contains(&3000)));
        drop((base, source));
        writer.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        assert_eq!(databases.found("source"), [[3000, 6000], [3000, 6000]]);
    }

    #[test]
    fn tables_of_other_definitions_or_without_numbers_are_read_whole() {
        let databases = Databases::new(&table(4096, 30));
        databases.copy("source", "ALTER TABLE t ADD COLUMN c DEFAULT 7");
        assert_eq!(databases.numbers(&["source"]), None);
        databases.copy("vacuumed", "PRAGMA page_size = 8192; VACUUM");
        assert_eq!(databases.numbers(&["vacuumed"]), None);
        let databases = Databases::new("CREATE TABLE t (a TEXT PRIMARY KEY)");
        databases.copy("source", "");
        assert_eq!(databases.numbers(&["source"]), None);
        let empty = Databases::new("");
        empty.copy("source", "CREATE TABLE t (id INTEGER PRIMARY KEY)");
        assert_eq!(empty.numbers(&["source"]), None);
    }

    #[test]
    fn whatever_is_done_to_a_table_the_same_rows_are_found_as_by_reading_all() {
        for page_bytes in [512, 1024, 4096, 65_536] {
            let databases = Databases::new(&table(page_bytes, 2000));
            let steps = [
                "UPDATE t SET a = upper(a) WHERE id % 97 = 0",
                "DELETE FROM t WHERE id BETWEEN 1000 AND 1500",
                "INSERT INTO t (id, a, b) SELECT id * 3 + 1, a, b FROM t WHERE id % 5 = 0",
                "INSERT INTO t VALUES (-9223372036854775808, 'low', 1), (9223372036854775807, 'high', 1)",
                "UPDATE t SET a = a || printf('%.*c', 9000, 'y') WHERE id % 211 = 0",
                "UPDATE t SET id = id + 100000 WHERE id BETWEEN 3000 AND 3100",
                "INSERT INTO other SELECT a, b FROM t",
                "DELETE FROM t WHERE id % 7 <> 0",
                "VACUUM",
                "DELETE FROM t",
                "INSERT INTO t VALUES (3, 'x', 1)",
            ];
            databases.copy("source", "");
            for step in steps {
                databases.run("source", step);
                let [all, of_parts] = databases.found("source");
                assert_eq!(all, of_parts, "{step}, pages of {page_bytes} bytes");
            }
        }
    }

    #[test]
    fn numbers_are_unpacked_as_sqlite_packs_them() {
        assert_eq!(varint(&[0x7f], 0), Some((127, 1)));
        assert_eq!(varint(&[0, 0x81, 0], 1), Some((128, 3)));
        assert_eq!(varint(&[0xff; 9], 0), Some((-1, 9)));
        assert_eq!(varint(&[0xff; 8], 0), None);
    }
}
