//! Takes a branch out: its files and its database, as any WordPress on MySQL takes them in.
//!
//! The branch is read as it is used. Its database is read in one transaction, begun between two publishes. While its files
//! are read, no publish replaces them: the export has the branch's shared lock, as a request has.

mod archive;
mod charset;
mod config;
mod create;
mod dump;
mod files;
mod literal;
mod place;
mod plugins;
mod schema;
mod site_facts;
mod wxr;

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use forkpress_core::advice::Advice;
use forkpress_core::deadline::Deadline;
use forkpress_core::lock::note::CommandNote;
use forkpress_core::lock::{BranchFiles, LockError, OperationsFiles, SharedBranch, SharedOperations};
use forkpress_core::name::BranchName;
use forkpress_core::record::rfc3339;
use serde::{Serialize, Serializer};
use thiserror::Error;
use zip::ZipWriter;

use crate::addresses::AddressError;
use crate::branch::{self, BranchError};
use crate::database::{DatabaseError, DatabaseReader};
use crate::disk::{self, DiskError};
use crate::progress::Progress;
use crate::site::Site;
use crate::wordpress::WordPressError;
use archive::{Archive, ExportFolder, Facts, Zip};
use dump::Head;
pub use dump::{DumpError, Dumped, DumpedTable};
pub use files::LeftOut;
use files::Picked;
use place::{ExportPlace, Making};
pub use place::{PlaceError, Target};
use site_facts::Facts as SiteFacts;

/// The file that tells an export from other folders.
pub const MANIFEST: &str = "forkpress-export.json";

/// The dump in an export.
pub const DATABASE: &str = "database.sql";

/// The folder of WordPress in an export.
pub const FILES: &str = "wordpress";

/// The version of what [`MANIFEST`] has.
const VERSION: u32 = 1;

/// How much of a file is read at once.
const PIECE_BYTES: usize = 1 << 16;

/// What goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Files and database.
    Site,
    /// The database alone.
    Sql,
    /// What people wrote, as WordPress's own importer reads it.
    Wxr,
}

/// What is asked for.
pub struct Options<'o> {
    /// What goes out.
    pub content: Content,
    /// What prints WXR, where that is to go out.
    pub wxr: Option<Command>,
    /// Where to.
    pub target: Target,
    /// The address that it is to have there.
    pub url: Option<&'o str>,
    /// Whether an export that is there is replaced.
    pub is_forced: bool,
    /// Root hosts and ports that the site is served at, beyond those that are recorded.
    pub served: &'o [(&'o str, u16)],
    /// Name and version of the program.
    pub program: &'o str,
    /// How long to wait for a publish.
    pub deadline: Deadline,
    /// Whether whoever asked for it wants it no more.
    pub is_interrupted: &'o dyn Fn() -> bool,
}

/// Why a branch was not taken out.
#[derive(Debug, Error)]
pub enum ExportError {
    /// There is no such branch.
    #[error(transparent)]
    Branch(#[from] BranchError),
    /// A publish took too long.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It can't be put there.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The database can't be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// What the branch says of itself can't be read.
    #[error(transparent)]
    WordPress(#[from] WordPressError),
    /// The branch has no database.
    #[error("the branch '{name}' has no database")]
    NoDatabase {
        /// The branch.
        name: BranchName,
    },
    /// There is no dump.
    #[error("cannot export the database")]
    Dump(#[from] DumpError),
    /// A file of the branch can't be read.
    #[error(transparent)]
    Read(#[from] DiskError),
    /// WordPress did not export.
    #[error("WordPress's export failed: {said}")]
    Wxr {
        /// What it said.
        said: String,
    },
    /// The export can't be written.
    #[error("cannot write the export")]
    Write(#[source] io::Error),
}

impl Advice for ExportError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Branch(error) => error.hint(),
            Self::Lock(error) => error.hint(),
            Self::Place(error) => error.hint(),
            Self::Address(error) => error.hint(),
            Self::Database(error) => error.hint(),
            Self::Dump(DumpError::NoMetadata) => {
                Some("a newer SQLite driver describes them: forkpress update driver".to_owned())
            }
            _ => None,
        }
    }

    fn is_passing(&self) -> bool {
        match self {
            Self::Lock(error) => error.is_passing(),
            Self::Database(error) => error.is_passing(),
            _ => false,
        }
    }
}

/// What went out.
#[derive(Debug, Serialize)]
pub struct Exported {
    /// The branch.
    pub branch: BranchName,
    /// What of it.
    pub content: Content,
    /// Where it is; none on standard output.
    #[serde(serialize_with = "lossy_if_any")]
    pub path: Option<PathBuf>,
    /// How many bytes were read of files and written of the dump.
    pub bytes: u64,
    /// How many files.
    pub files: u64,
    /// What of the files is not in it.
    pub left_out: Vec<LeftOut>,
    /// The address that the site has in it.
    pub home: String,
    /// The table prefix.
    pub table_prefix: String,
    /// The database; none where it is not in it as such.
    pub database: Option<Dumped>,
}

/// A path as a text; what of it is none is shown as such.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

fn lossy_if_any<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.display().to_string()).serialize(serializer)
}

/// Takes a branch out.
///
/// # Errors
/// [`ExportError`]; what was written so far is gone then, but for what went to standard output.
pub fn export(
    site: &Site,
    name: &BranchName,
    options: &mut Options<'_>,
    progress: &dyn Progress,
) -> Result<Exported, ExportError> {
    let wxr = options.wxr.take();
    let options = &*options;
    let place = match &options.target {
        Target::Output => None,
        Target::File(path) => Some(ExportPlace::prepare(site, path, false, options.is_forced)?),
        Target::Folder(path) => Some(ExportPlace::prepare(site, path, true, options.is_forced)?),
    };
    branch::show(site, name)?;
    let locks = lock(site, name, options.deadline)?;
    let branch = branch::show(site, name)?;
    let reader = DatabaseReader::begin(&branch.path, options.deadline)?;
    let reader = reader.ok_or_else(|| ExportError::NoDatabase { name: name.clone() })?;
    let facts = SiteFacts::read(site, &branch.path, &reader, options)?;
    let exporter = Exporter { name, tree: &branch.path, reader: &reader, facts: &facts, options, progress };
    let links = &site.config.links;
    let mut exported = match (&place, wxr) {
        (None, Some(command)) => exporter.wxr(command, io::stdout().lock())?,
        (None, None) if options.content == Content::Sql => exporter.sql(io::stdout().lock())?,
        (None, None) => {
            let out = BufWriter::new(io::stdout().lock());
            exporter.site(&mut Zip::new(ZipWriter::new_stream(out)), links)?
        }
        (Some(ExportPlace { making: Making::File(file), .. }), Some(command)) => {
            exporter.wxr(command, file.as_file())?
        }
        (Some(ExportPlace { making: Making::File(file), .. }), None) if options.content == Content::Sql => {
            drop(locks);
            exporter.sql(file.as_file())?
        }
        (Some(ExportPlace { making: Making::File(file), .. }), None) => {
            let out = BufWriter::new(file.as_file());
            exporter.site(&mut Zip::new(ZipWriter::new(out)), links)?
        }
        (Some(ExportPlace { making: Making::Folder(folder), .. }), _) => {
            exporter.site(&mut ExportFolder::new(folder.path()), links)?
        }
    };
    if (options.is_interrupted)() {
        return Err(DumpError::Interrupted.into());
    }
    exported.path = place.map(ExportPlace::commit).transpose()?;
    Ok(exported)
}

/// Keeps publishes from replacing the branch. Let go in this order.
pub type Locks = (Option<CommandNote>, SharedBranch, SharedOperations);

/// Takes part in the branch's traffic, as a request of it does.
///
/// # Errors
/// [`LockError`] when a publish takes longer than the deadline.
pub fn lock(site: &Site, name: &BranchName, deadline: Deadline) -> Result<Locks, LockError> {
    let cow = site.layout.cow();
    let files = Arc::new(OperationsFiles::open(cow)?);
    let own = Arc::new(BranchFiles::open(cow, name)?);
    let note = CommandNote::program(cow, name, "forkpress export");
    let shared = SharedOperations::lock(&files, deadline, None)?;
    let own = SharedBranch::lock(&shared, &own, deadline, true)?;
    if let Some(note) = &note {
        note.serve();
    }
    Ok((note, own, shared))
}

/// A random secret, of characters that need no escape anywhere.
fn secret() -> String {
    let mut bytes = [0; 48];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    STANDARD_NO_PAD.encode(bytes).replace(['+', '/'], "-")
}

struct Exporter<'e> {
    name: &'e BranchName,
    tree: &'e Path,
    reader: &'e DatabaseReader,
    facts: &'e SiteFacts,
    options: &'e Options<'e>,
    progress: &'e dyn Progress,
}

impl Exporter<'_> {
    fn exported(&self, bytes: u64) -> Exported {
        Exported {
            branch: self.name.clone(),
            content: self.options.content,
            path: None,
            bytes,
            files: 0,
            left_out: Vec::new(),
            home: self.facts.home.clone(),
            table_prefix: self.facts.prefix.clone(),
            database: None,
        }
    }

    fn sql(&self, to: impl Write) -> Result<Exported, ExportError> {
        self.progress.begin_bytes("write the database", Some(self.facts.database_bytes));
        let head = Head {
            program: self.options.program.to_owned(),
            branch: self.name.to_string(),
            prefix: self.facts.prefix.clone(),
            home: self.facts.home.clone(),
            date: rfc3339(SystemTime::now()),
        };
        let is_interrupted = self.options.is_interrupted;
        let connection = self.reader.connection();
        let dumped = dump::write(connection, to, &head, &self.facts.addressing, is_interrupted, self.progress)?;
        self.progress.end();
        Ok(Exported { database: Some(dumped.clone()), ..self.exported(dumped.bytes) })
    }

    fn wxr(&self, command: Command, to: impl Write) -> Result<Exported, ExportError> {
        self.progress.begin_bytes("write what WordPress exports", None);
        let rewriter = self.facts.addressing.rewriter();
        let bytes = wxr::write(command, to, rewriter, self.options.is_interrupted, self.progress)?;
        self.progress.end();
        Ok(self.exported(bytes))
    }

    fn site(&self, archive: &mut dyn Archive, links: &[PathBuf]) -> Result<Exported, ExportError> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let modified = i64::try_from(now).unwrap_or(i64::MAX);
        // A dump has two digits for a byte, and names of tables and columns.
        let private = Facts { mode: 0o600, modified, size_bytes: 3 * self.facts.database_bytes };
        archive.begin(Path::new(MANIFEST), private).map_err(ExportError::Write)?;
        archive.write_all(&self.manifest()).map_err(ExportError::Write)?;
        archive.begin(Path::new(DATABASE), private).map_err(ExportError::Write)?;
        let mut exported = self.sql(&mut *archive)?;
        let Picked { entries, left_out } = files::pick(self.tree, links)?;
        let total = entries.iter().filter(|entry| !entry.is_folder).map(|entry| entry.size_bytes).sum();
        self.progress.begin_bytes("write the files", Some(total));
        archive.folder(Path::new(FILES), 0o755).map_err(ExportError::Write)?;
        for entry in &entries {
            if (self.options.is_interrupted)() {
                return Err(DumpError::Interrupted.into());
            }
            let path = Path::new(FILES).join(&entry.path);
            if entry.is_folder {
                archive.folder(&path, entry.mode).map_err(ExportError::Write)?;
                continue;
            }
            // It may have gone since.
            let Some(file) = disk::open_file(&entry.source)? else { continue };
            let facts = Facts { mode: entry.mode, modified: entry.modified, size_bytes: entry.size_bytes };
            archive.begin(&path, facts).map_err(ExportError::Write)?;
            exported.bytes += if entry.path == Path::new("wp-config.php") {
                let config = config::config(&self.facts.config, secret, self.facts.addressing.rewriter());
                archive.write_all(&config).map_err(ExportError::Write)?;
                u64::try_from(config.len()).unwrap_or(u64::MAX)
            } else {
                self.copy(file, &entry.source, entry.size_bytes, archive)?
            };
            exported.files += 1;
        }
        archive.finish().map_err(ExportError::Write)?;
        self.progress.end();
        exported.left_out = left_out;
        Ok(exported)
    }

    /// Copies a file, as much of it as it had when it was looked at: one that grows has no end.
    fn copy(&self, file: File, source: &Path, bytes: u64, archive: &mut dyn Archive) -> Result<u64, ExportError> {
        let (mut file, mut piece, mut copied) = (file.take(bytes), vec![0; PIECE_BYTES], 0);
        loop {
            let length = disk::step("read", source, || file.read(&mut piece))?;
            if length == 0 {
                return Ok(copied);
            }
            archive.write_all(&piece[..length]).map_err(ExportError::Write)?;
            copied += u64::try_from(length).unwrap_or(u64::MAX);
            self.progress.advance(u64::try_from(length).unwrap_or(u64::MAX));
        }
    }

    fn manifest(&self) -> Vec<u8> {
        let facts = self.facts;
        let manifest = serde_json::json!({
            "version": VERSION,
            "program": self.options.program,
            "branch": self.name,
            "date": rfc3339(SystemTime::now()),
            "files": FILES,
            "database": DATABASE,
            "table_prefix": facts.prefix,
            "home": facts.home,
            "siteurl": facts.siteurl,
            "network": facts.is_network,
            "wordpress_version": facts.wordpress_version,
            "sqlite_driver_version": facts.driver_version,
        });
        let mut text = serde_json::to_vec_pretty(&manifest).expect("plain values are JSON");
        text.push(b'\n');
        text
    }
}

#[cfg(test)]
mod tests;
