//! The SQLite database in a source.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::Found;
use super::error::SourceError;
use super::listing::{Item, Listing};
use super::magic::Form;
use super::roots::Root;
use crate::bounds::{Load, Room};
use crate::database::{DatabaseError, check_file};
use crate::disk::{self, step};
use crate::progress::Progress;
use forkpress_core::deadline::Deadline;
use forkpress_core::layout::{DATABASE_DIR, DATABASE_FILE, wal_of};

/// So many pages are copied between two words on the progress.
const PAGES_PER_STEP: i32 = 4096;

/// How long another program may keep the database locked.
const TIMEOUT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

/// Where a driver from 3.1 on says where its database is.
const PATH_FILE: &str = "db-path.php";

/// The SQLite database of the WordPress in a source, or the source that is one.
pub(super) fn find(
    listing: &Listing,
    source: &Path,
    root: Option<&Root>,
    inside: &[PathBuf],
) -> Result<Option<PathBuf>, SourceError> {
    let folder = root.map(|root| root.at(DATABASE_DIR));
    let is_candidate = |path: &Path| match &folder {
        Some(folder) => path.starts_with(folder),
        None => listing.items.len() == 1,
    };
    let is_sqlite = |path: &&PathBuf| matches!(listing.heads.get(*path).map(|head| &head.form), Some(Form::Sqlite));
    let mut found: Vec<_> = listing.heads.keys().filter(is_sqlite).filter(|path| is_candidate(path)).cloned().collect();
    if found.len() > 1 {
        let said = folder.as_ref().and_then(|folder| listing.text(&folder.join(PATH_FILE)));
        let is_said = |path: &PathBuf| {
            let name = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
            said.as_ref().is_some_and(|text| text.contains(name)) && path.parent() != folder.as_deref()
        };
        let standard = folder.as_ref().map(|folder| folder.join(DATABASE_FILE));
        let pick = found
            .iter()
            .find(|path| inside.contains(path))
            .or_else(|| found.iter().find(|path| is_said(path)))
            .or_else(|| found.iter().find(|path| Some(*path) == standard.as_ref()))
            .cloned();
        match pick {
            Some(path) => found = vec![path],
            None => {
                return Err(SourceError::Several { path: source.to_owned(), what: "SQLite databases", choices: found });
            }
        }
    }
    // Whoever names a dump wants that.
    let is_dump = |inside: &PathBuf| matches!(listing.heads.get(inside).map(|head| &head.form), Some(Form::Dump(_)));
    Ok(found.pop().filter(|_| !inside.iter().any(is_dump)))
}

impl Found {
    /// Copies the SQLite database to `to`, where nothing is: with all that was committed, checked, in WAL mode and
    /// durable. It may be in use meanwhile.
    ///
    /// # Errors
    /// [`SourceError`] where the source has none, it is damaged or locked, the disk has no room, or a step fails. What
    /// was written until then is gone.
    pub fn copy_database(&self, to: &Path, progress: &dyn Progress) -> Result<(), SourceError> {
        step("write", to, || File::create_new(to))?;
        let copied = self.copy_database_to(to, progress);
        if copied.is_err() {
            for path in [to.to_owned(), wal_of(to)] {
                let _ = disk::remove(&path);
            }
        }
        copied
    }

    fn copy_database_to(&self, to: &Path, progress: &dyn Progress) -> Result<(), SourceError> {
        let item = self.database.as_ref().and_then(|path| self.listing.get(path));
        let item = item.ok_or_else(|| SourceError::Unknown {
            path: self.path.clone(),
            seen: "it has no SQLite database".to_owned(),
        })?;
        let folder = to.parent().unwrap_or(Path::new(""));
        let load = Load { entries: 1, bytes: item.entry.bytes, packed_bytes: item.entry.bytes };
        load.check_room(Room::at(folder)?).map_err(|why| SourceError::TooMuch { path: self.path.clone(), why })?;
        if let Some(place) = self.place(&item.path) {
            return copy(&place, to, progress);
        }
        let scratch = step("make a folder in", folder, || tempfile::tempdir_in(folder))?;
        let database = scratch.path().join(DATABASE_FILE);
        // Without its log it may lack what was committed last. The index of the log is made anew.
        let log = self.listing.get(&wal_of(&item.path));
        let parts: Vec<_> =
            [Some((item, database.clone())), log.map(|log| (log, wal_of(&database)))].into_iter().flatten().collect();
        self.extract(&parts, progress)?;
        copy(&database, to, progress)
    }

    fn extract(&self, parts: &[(&Item, PathBuf)], progress: &dyn Progress) -> Result<(), SourceError> {
        let wanted: Vec<_> = parts.iter().map(|(item, _)| *item).collect();
        self.listing.walk(&wanted, progress, &mut |item, content| {
            let Some((_, to)) = parts.iter().find(|(part, _)| part.at == item.at) else { return Ok(()) };
            let mut file = step("write", to, || File::create_new(to))?;
            let broken = SourceError::broken(self.listing.archive_of(item).path(), Some(&item.entry.path));
            content.open().and_then(|mut content| io::copy(&mut content, &mut file)).map_err(broken).map(drop)
        })
    }
}

/// Copies a database in one read transaction.
fn copy(from: &Path, to: &Path, progress: &dyn Progress) -> Result<(), SourceError> {
    let failed = |source| DatabaseError::Sqlite { path: from.to_owned(), source };
    let source = open(from).map_err(failed)?;
    let mut target = Connection::open(to).map_err(failed)?;
    {
        let backup = Backup::new(&source, &mut target).map_err(failed)?;
        let deadline = Deadline::after(TIMEOUT);
        let mut done = 0;
        progress.begin("copy the database", None);
        loop {
            progress.go_on().map_err(SourceError::read(from))?;
            match backup.step(PAGES_PER_STEP).map_err(failed)? {
                StepResult::Done => break,
                StepResult::Busy | StepResult::Locked if deadline.has_passed() => {
                    return Err(DatabaseError::Busy { path: from.to_owned() }.into());
                }
                StepResult::Busy | StepResult::Locked => std::thread::sleep(PAUSE),
                _ => {}
            }
            let progressed = backup.progress();
            let now = u64::try_from(progressed.pagecount - progressed.remaining).unwrap_or_default();
            progress.advance(now.saturating_sub(done));
            done = now;
        }
        progress.end();
    }
    target.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).map_err(failed)?;
    target.close().map_err(|(_, error)| failed(error))?;
    check_file(to)?;
    Ok(disk::sync(to)?)
}

/// Opens a database that may be in use, or that may lie where nothing can be written.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // To be the last to close the database must not change it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    let is_read = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    let has_log = fs::metadata(wal_of(path)).is_ok_and(|log| log.len() > 0);
    if is_read.is_err() && !has_log {
        let name =
            percent_encoding::percent_encode(path.as_os_str().as_encoded_bytes(), percent_encoding::NON_ALPHANUMERIC);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        return Connection::open_with_flags(format!("file:{name}?immutable=1"), flags);
    }
    is_read.map(|()| connection)
}
