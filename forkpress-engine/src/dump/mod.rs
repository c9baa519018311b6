//! Loads dumps of MySQL and MariaDB into a new SQLite database, in the layout of WordPress's SQLite driver.
//!
//! A dump is read as a stream: one thread cuts it into statements and rows, another one writes them. Neither keeps more
//! than a few batches of rows, or one row where that is larger. Tables are made by the driver itself, in a PHP of its
//! own and a database without rows, so their layout and its notes on them are the driver's. Rows go past it.
//!
//! **All or nothing.** The database is written without a journal and is removed where anything fails. A dump that ends in the midst of
//! something is refused.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use rusqlite::Connection;

mod batch;
mod charset;
mod column;
mod constraint;
mod cursor;
mod define;
mod definitions;
mod driver;
mod error;
mod finish;
mod input;
mod lexer;
mod options;
mod prefix;
mod reader;
mod replace;
mod rows;
mod schema;
mod table;
mod value;
mod variables;
mod writer;

pub use batch::LeftOut;
pub use driver::Driver;
pub use error::{DumpError, DumpLine};
pub use options::{Loaded, LoadedTable, Options, Placeholder};
pub use replace::{Replaced, replace};

use batch::Event;
use driver::RunningDriver;
use reader::{Reader, Stop};
use writer::Writer;

use crate::disk::{self, step};
use crate::progress::{Progress, interruptible};

/// How many batches may wait for the writer.
const MOST_BATCHES: usize = 8;

/// A file of a dump.
pub struct DumpFile<'a> {
    /// How it is called in messages, where there are several.
    pub name: String,
    /// How many bytes will be read, if that is known.
    pub bytes: Option<u64>,
    /// What is in it.
    pub read: Box<dyn Read + Send + 'a>,
}

/// Loads a dump, which may be in several files that belong after each other, into a new database: in WAL mode, durable, and
/// closed.
///
/// # Errors
/// [`DumpError`]; there is no database then.
pub fn load(
    files: Vec<DumpFile<'_>>,
    database: &Path,
    driver: &Driver,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Loaded, DumpError> {
    if step("look at", database, || database.try_exists())? {
        return Err(DumpError::Exists { path: database.to_owned() });
    }
    let mut unfinished = Unfinished { path: database, is_finished: false };
    let loaded = load_into(files, database, driver, options, progress)?;
    disk::sync(database)?;
    unfinished.is_finished = true;
    Ok(loaded)
}

/// A database that is removed unless it is finished.
struct Unfinished<'p> {
    path: &'p Path,
    is_finished: bool,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            for ending in ["", "-wal", "-shm", "-journal"] {
                let mut path = self.path.to_owned().into_os_string();
                path.push(ending);
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn load_into(
    files: Vec<DumpFile<'_>>,
    database: &Path,
    driver: &Driver,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Loaded, DumpError> {
    let parent = database.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder =
        step("make a folder in", parent, || tempfile::Builder::new().prefix(".forkpress-dump-").tempdir_in(parent))?;
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let running = RunningDriver::start(driver, &path("schema"), &path("errors"))?;
    let schema = Connection::open(path("schema"))?;
    schema.execute_batch("PRAGMA busy_timeout = 10000; PRAGMA synchronous = OFF")?;
    schema.execute("VACUUM INTO ?1", [text(database)])?;
    let connection = open(database, &path("waiting"))?;
    let mut writer = Writer::new(&connection, &schema, running, options);

    let total = files.iter().map(|file| file.bytes).sum();
    progress.begin_bytes("load the database", total);
    let charsets = thread::scope(|scope| {
        let (events, received) = mpsc::sync_channel(MOST_BATCHES);
        let reader = scope.spawn(move || read(files, options, &events, progress));
        let written = received.iter().try_for_each(|event| writer.take(event));
        // The reader ends when nobody listens to it.
        drop(received);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (written, read) {
            (Err(error), _) | (Ok(()), Err(Stop::Error(error))) => Err(error),
            (Ok(()), read) => Ok(read.unwrap_or_default()),
        }
    })?;
    progress.end();
    if writer.tables.is_empty() {
        return Err(DumpError::Empty);
    }
    let interrupt = connection.get_interrupt_handle();
    interruptible(&interrupt, progress, || writer.finish(progress))?;

    let loaded = report(&mut writer, charsets, options)?;
    drop(writer);
    close(connection)?;
    Ok(loaded)
}

/// Reads one file after the other; says which character sets they name.
fn read(
    files: Vec<DumpFile<'_>>,
    options: &Options,
    events: &SyncSender<Event>,
    progress: &dyn Progress,
) -> Result<Vec<String>, Stop> {
    let are_several = files.len() > 1;
    let mut charsets = Vec::new();
    for mut file in files {
        let name = are_several.then_some(file.name);
        for charset in Reader::read(&mut file.read, name, options, events, progress)? {
            if !charsets.contains(&charset) {
                charsets.push(charset);
            }
        }
    }
    Ok(charsets)
}

fn open(database: &Path, waiting: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(database)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.execute("ATTACH ?1 AS waiting", [text(waiting)])?;
    // What is not finished is thrown away, so there is nothing to be taken back. What MySQL has let in is not asked again.
    connection.execute_batch(
        "PRAGMA main.journal_mode = OFF; PRAGMA waiting.journal_mode = OFF; PRAGMA synchronous = OFF; \
         PRAGMA locking_mode = EXCLUSIVE; PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; \
         PRAGMA legacy_alter_table = ON; PRAGMA main.cache_size = -32768; PRAGMA waiting.cache_size = -8192; \
         PRAGMA threads = 2; BEGIN EXCLUSIVE",
    )?;
    Ok(connection)
}

fn close(connection: Connection) -> Result<(), DumpError> {
    connection.flush_prepared_statement_cache();
    connection.execute_batch("COMMIT; DETACH waiting; PRAGMA locking_mode = NORMAL")?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| error.into())
}

fn report(writer: &mut Writer<'_>, charsets: Vec<String>, options: &Options) -> Result<Loaded, DumpError> {
    let mut tables = Vec::new();
    for loading in writer.tables.values() {
        let count = format!("SELECT count(*) FROM {}", loading.name());
        let rows = if loading.repeats.is_some() {
            writer.connection.query_row(&count, [], |row| row.get(0))?
        } else {
            loading.rows
        };
        tables.push(LoadedTable { name: loading.table.name.clone(), rows });
    }
    let names: Vec<_> = tables.iter().map(|table| table.name.as_str()).collect();
    let (prefixes, prefix) = prefix::find(&names, options.prefix.as_deref());
    let left_out = std::mem::take(&mut writer.left_out);
    Ok(Loaded {
        tables,
        prefix,
        prefixes,
        charsets,
        left_out,
        notes: std::mem::take(&mut writer.notes),
        dropped: std::mem::take(&mut writer.dropped).into_values().collect(),
        not_dropped: std::mem::take(&mut writer.not_dropped),
    })
}

/// A path, as SQLite takes it.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
