//! Brings copies of a database up to what it has become, by the pages that have changed since they were made.
//!
//! A read transaction from before the copies keeps the log as it is. SQLite moves no page from the log into the database
//! that is newer than what a reader sees, and begins the log anew only where no reader needs it (`walCheckpoint` and
//! `walRestartLog` in SQLite's `wal.c`). So each page that has changed since has a frame in the log, with the salt of the
//! log's header. Some that have not changed have one, too: they are copied for nothing. What a page has now, SQLite says.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rusqlite::Connection;

use crate::database::{DatabaseError, DatabaseReader};
use crate::disk::{DiskError, step};
use crate::merge::pages::{self, Changed};
use forkpress_core::deadline::Deadline;

/// How many pages are carried at most: more are copied beside requests.
const MOST: usize = 4096;

/// How many bytes of two files are compared at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Numbers of pages, from 1.
pub(super) type Numbers = BTreeSet<u32>;

/// Keeps in the log of a branch's database what is written from now on. It stops nobody, but the log grows meanwhile.
#[derive(Debug)]
pub(super) struct Pin {
    reader: DatabaseReader,
}

impl Pin {
    /// None where the branch has no database, or one without a log: there, a reader would stop writers.
    pub(super) fn begin(branch: &Path, deadline: Deadline) -> Result<Option<Self>, DatabaseError> {
        let Some(reader) = DatabaseReader::begin(branch, deadline)? else { return Ok(None) };
        let mode = reader.connection().query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
        let mode = mode.map_err(|error| reader.error(error))?;
        Ok((mode == "wal").then_some(Self { reader }))
    }

    /// Which pages have changed since; none where they can't be told, or are many. Nobody may write meanwhile.
    pub(super) fn changed(&self) -> io::Result<Option<Changed>> {
        let changed = pages::changed(self.reader.files())?;
        Ok(changed.filter(|changed| changed.pages.len() <= MOST))
    }
}

/// What a database has in some pages.
pub(super) struct Pages {
    page_bytes: u64,
    /// How many pages the database has.
    count: u32,
    pages: Vec<(u32, Vec<u8>)>,
}

impl Pages {
    /// Reads them through a connection that keeps others from writing. None where this SQLite can't.
    pub(super) fn read(connection: &Connection, changed: &Changed) -> rusqlite::Result<Option<Self>> {
        let count: u32 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        let Ok(mut statement) = connection.prepare("SELECT data FROM sqlite_dbpage WHERE pgno = ?") else {
            return Ok(None);
        };
        let numbers = changed.pages.iter().copied().filter(|number| (1..=count).contains(number));
        let page = |number| statement.query_row([number], |row| Ok((number, row.get(0)?)));
        let pages = numbers.map(page).collect::<Result<_, _>>()?;
        Ok(Some(Self { page_bytes: changed.page_bytes, count, pages }))
    }

    /// Writes them into `old`, a copy from before that has no log, and `new` to the same as `old`: `touched` are the pages in
    /// which they differed. Makes nothing durable.
    pub(super) fn write(&self, old: &Path, new: &Path, touched: &Numbers) -> Result<(), DiskError> {
        let open = |path: &Path| step("write", path, || OpenOptions::new().read(true).write(true).open(path));
        let (old_file, new_file) = (open(old)?, open(new)?);
        let at = |number: u32| u64::from(number - 1) * self.page_bytes;
        let bytes = u64::from(self.count) * self.page_bytes;
        for (path, file) in [(old, &old_file), (new, &new_file)] {
            step("carry pages into", path, || {
                self.pages.iter().try_for_each(|(number, page)| file.write_all_at(page, at(*number)))?;
                file.set_len(bytes)
            })?;
        }
        step("take pages back in", new, || {
            let mut page = vec![0; usize::try_from(self.page_bytes).unwrap_or_default()];
            for number in touched.iter().copied().filter(|number| *number <= self.count) {
                old_file.read_exact_at(&mut page, at(number))?;
                new_file.write_all_at(&page, at(number))?;
            }
            Ok(())
        })
    }
}

/// The pages in which two databases without logs differ, those among them that only one has.
pub(super) fn differing(paths: [&Path; 2]) -> Result<Numbers, DiskError> {
    let [old, new] = paths;
    let mut files = [step("read", old, || File::open(old))?, step("read", new, || File::open(new))?];
    step("compare with its copy", new, || {
        let mut header = [0; 18];
        files[0].read_exact_at(&mut header, 0)?;
        let page_bytes = pages::page_bytes(&header);
        let mut differing = Numbers::new();
        let mut chunks = [vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]];
        let mut first = 1;
        loop {
            let mut read = [0; 2];
            for ((file, chunk), read) in files.iter_mut().zip(&mut chunks).zip(&mut read) {
                chunk.clear();
                *read = file.take(CHUNK_BYTES as u64).read_to_end(chunk)?;
            }
            let most = read[0].max(read[1]).div_ceil(page_bytes);
            if most == 0 {
                return Ok(differing);
            }
            for (number, at) in (0..most).map(|page| page * page_bytes).enumerate() {
                let [a, b] = [&chunks[0], &chunks[1]].map(|chunk| chunk.get(at..at + page_bytes));
                if a.is_none() || a != b {
                    differing.insert(first + u32::try_from(number).unwrap_or(u32::MAX));
                }
            }
            first += u32::try_from(most).unwrap_or(u32::MAX);
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use rusqlite::config::DbConfig;
    use tempfile::TempDir;

    use super::*;
    use crate::database;
    use forkpress_core::layout::{database_of, wal_of};

    /// Random numbers from a seed (SplitMix64, https://prng.di.unimi.it/splitmix64.c).
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) % end
        }
    }

    /// A branch with a database, and copies of that.
    struct Branch {
        dir: TempDir,
        connection: Connection,
    }

    impl Branch {
        fn new(page_bytes: u32) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = database_of(&dir.path().join("x"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let connection = Connection::open(path).unwrap();
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
            let begin = format!(
                "PRAGMA page_size = {page_bytes}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
                 CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b); CREATE INDEX by_a ON t (a);"
            );
            connection.query_row("SELECT 1", [], |_| Ok(())).unwrap();
            connection.execute_batch(&begin).unwrap();
            Self { dir, connection }
        }

        fn tree(&self) -> PathBuf {
            self.dir.path().join("x")
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn pin(&self) -> Pin {
            Pin::begin(&self.tree(), Deadline::NEVER).unwrap().unwrap()
        }

        /// What the database is, as one file.
        fn copy(&self, name: &str) -> PathBuf {
            let (from, to) = (database_of(&self.tree()), self.path(name));
            for (from, to) in [(from.clone(), to.clone()), (wal_of(&from), wal_of(&to))] {
                fs::copy(from, to).unwrap();
            }
            database::fold(&to).unwrap();
            to
        }

        /// Writes something that another request might.
        fn change(&self, random: &mut Random) {
            let (count, bytes) = (1 + random.below(60), random.below(9000));
            let from = random.below(2000);
            let statement = match random.below(8) {
                0..=3 => format!(
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
                     INSERT INTO t (a, b) SELECT hex(randomblob(20)), randomblob({bytes}) FROM n"
                ),
                4 => format!("UPDATE t SET a = hex(randomblob(9)) WHERE id BETWEEN {from} AND {from} + {count}"),
                5 => {
                    format!("DELETE FROM t WHERE id BETWEEN {from} AND {from} + {count}; PRAGMA incremental_vacuum(50)")
                }
                6 => "PRAGMA wal_checkpoint(PASSIVE)".to_owned(),
                _ => "PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(TRUNCATE)".to_owned(),
            };
            self.connection.execute_batch(&statement).unwrap();
        }

        /// Brings `old` and `new` up to date; false where that can't be done.
        fn carry(&self, pin: &Pin, touched: &Numbers) -> bool {
            self.connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            let changed = pin.changed().unwrap();
            let pages = changed.map(|changed| Pages::read(&self.connection, &changed).unwrap().expect("sqlite_dbpage"));
            let carried = pages.map(|pages| pages.write(&self.path("old"), &self.path("new"), touched).unwrap());
            self.connection.execute_batch("ROLLBACK").unwrap();
            carried.is_some()
        }
    }

    #[test]
    fn copies_are_what_the_database_has_become_whatever_was_written_since() {
        for seed in 0..60 {
            let mut random = Random(seed);
            let branch = Branch::new([512, 4096, 65_536][usize::try_from(seed % 3).unwrap()]);
            (0..random.below(12)).for_each(|_| branch.change(&mut random));
            let pin = branch.pin();
            let old = branch.copy("old");
            let new = branch.path("new");
            fs::copy(&old, &new).unwrap();
            let edit = Connection::open(&new).unwrap();
            edit.execute_batch(
                "UPDATE t SET b = randomblob(3000) WHERE id % 7 = 0; INSERT INTO t (b) VALUES (randomblob(99999))",
            )
            .unwrap();
            edit.close().unwrap();
            let touched = differing([&old, &new]).unwrap();
            assert!(!touched.is_empty());
            (0..random.below(12)).for_each(|_| branch.change(&mut random));
            assert!(branch.carry(&pin, &touched), "seed {seed}");
            let right = fs::read(branch.copy("right")).unwrap();
            assert!(fs::read(&old).unwrap() == right, "seed {seed}: what the branch has");
            assert!(fs::read(&new).unwrap() == right, "seed {seed}: what is to be changed");
            assert_eq!(differing([&old, &new]).unwrap(), Numbers::new());
        }
    }

    #[test]
    fn what_is_much_is_not_carried() {
        let branch = Branch::new(512);
        let pin = branch.pin();
        let many = 2 * MOST;
        branch
            .connection
            .execute_batch(&format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many})
                 INSERT INTO t (b) SELECT randomblob(400) FROM n"
            ))
            .unwrap();
        assert_eq!(pin.changed().unwrap(), None);
        drop(pin);
        // What was written before does not count.
        branch.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let pin = branch.pin();
        branch.connection.execute_batch("UPDATE t SET a = 'a' WHERE id = 1").unwrap();
        assert!(pin.changed().unwrap().unwrap().pages.len() < 10);
    }

    #[test]
    fn a_database_without_a_log_is_not_kept_from_being_written() {
        let branch = Branch::new(4096);
        branch.connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).unwrap();
        assert!(Pin::begin(&branch.tree(), Deadline::NEVER).unwrap().is_none());
        branch.connection.execute_batch("INSERT INTO t (b) VALUES (1)").unwrap();
    }
}
