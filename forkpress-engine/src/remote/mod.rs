//! A WordPress on another machine: looked at and copied by the user's own `ssh`, read only.
//!
//! [`Remote::open`] connects and asks what is there; [`Remote::copy`] brings its files, as a tar archive, and its database, as a
//! dump, into a folder that [`crate::source`] takes like any other source. Scripts run there in a POSIX shell, from its input:
//! neither a file nor a list of processes has what is in them, such as the password of the database. All that comes back is
//! hostile.

mod address;
mod connection;
mod error;
mod incoming;
mod leave_out;
mod probe;
mod script;
mod settings;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use address::Address;
pub use error::{AddressFault, Fetched, RemoteError};
pub use incoming::Incoming;
pub(crate) use incoming::sweep;

use connection::{Connection, stream_error};
use leave_out::LeftOut;
use probe::{Fault, Probe};
use script::{Mark, Script};
use settings::Settings;

use crate::disk::step;
use crate::progress::Progress;
use crate::source::{Aside, Why, aside_at, config, patterns_not_needed};

const PROBE: &str = include_str!("probe.sh");
const FILES: &str = include_str!("files.sh");
const DATABASE: &str = include_str!("database.sh");
const CONFIG: &str = include_str!("config.sh");
const CONFIG_PHP: &str = include_str!("config.php");
const DUMP_PHP: &str = include_str!("dump.php");

/// What the copies are called.
const FILES_NAME: &str = "files.tar";
const DATABASE_NAME: &str = "database.sql";

/// What opens a PHP script.
const OPENING: &str = "<?php\n";

/// What of a site is not copied.
#[derive(Clone, Copy, Debug, Default)]
pub struct Without<'a> {
    /// Patterns as [`crate::source::Excluded`] takes them.
    pub patterns: &'a [String],
    /// The media library.
    pub uploads: bool,
}

/// What was copied.
#[derive(Debug, Default)]
pub struct Copied {
    /// What in the folder is meant, where it is known: the site may have other sites and dumps in it.
    pub inside: Vec<PathBuf>,
    /// What did not travel, unless it was asked for.
    pub aside: Vec<Aside>,
    /// The prefix of the tables, where its configuration says it only by running.
    pub prefix: Option<String>,
    /// What whoever asked should know.
    pub notes: Vec<String>,
}

/// What is on the other machine, for whoever wants to know before it is copied.
#[derive(Debug, Serialize)]
pub struct Overview {
    /// Where it is.
    pub source: String,
    /// All files, as `du` counts them.
    pub bytes: Option<u64>,
    /// The media library among them.
    pub uploads_bytes: Option<u64>,
    /// The prefix of the tables, if it is said.
    pub prefix: Option<String>,
    /// What makes the dump there; none where the database is SQLite's.
    pub dump: Option<&'static str>,
    /// The database's name and host; none where it is SQLite's.
    pub database: Option<String>,
    /// What the files are packed with on their way.
    pub packed: &'static str,
    /// What need not come.
    pub aside: Vec<Aside>,
}

/// A WordPress on another machine.
pub struct Remote<'a> {
    connection: Connection<'a>,
    probe: Probe,
    /// None where its database is SQLite's.
    settings: Option<Settings>,
    notes: Vec<String>,
}

impl<'a> Remote<'a> {
    /// Connects, and looks at what is there. `folder` is a private one, for ssh's socket. `sizes`: counts bytes, too.
    ///
    /// # Errors
    /// [`RemoteError`] where that can't be, there is no WordPress, or it can't be copied.
    pub fn open(
        address: &'a Address,
        folder: &Path,
        sizes: bool,
        progress: &'a dyn Progress,
    ) -> Result<Self, RemoteError> {
        let mark = new_mark()?;
        let script = Script::new(&mark)
            .set("path", &address.path)
            .set("sizes", if sizes { b"yes" } else { b"no" })
            .arguments(patterns_not_needed().map(str::as_bytes))
            .code(PROBE);
        progress.note(&format!("connecting to {}", address.host));
        let (connection, answer) = Connection::open(address, folder, progress, (&script, &mark))?;
        let probe = Probe::parse(&answer);
        check(&probe, address)?;
        let mut remote = Self { connection, probe, settings: None, notes: Vec::new() };
        if !remote.probe.has_sqlite {
            remote.settings = Some(remote.settings()?);
            if remote.probe.dump().is_none() {
                return Err(RemoteError::Program { login: address.login(), program: "mysqldump, or PHP with mysqli" });
            }
        }
        Ok(remote)
    }

    /// What is there.
    #[must_use]
    pub fn overview(&self) -> Overview {
        let settings = self.settings.as_ref();
        Overview {
            source: self.connection.address.to_string(),
            bytes: self.probe.bytes,
            uploads_bytes: self.probe.uploads_bytes,
            prefix: settings.and_then(|settings| settings.prefix.clone()),
            dump: settings.and_then(|_| self.probe.dump()),
            database: settings.map(|settings| format!("{} at {}", settings.name, settings.host.name)),
            packed: self.probe.pack(),
            aside: self.aside(),
        }
    }

    /// Copies files and database into a folder, which is empty.
    ///
    /// # Errors
    /// [`RemoteError`]; a part of it is in the folder then.
    pub fn copy(&self, into: &Path, without: Without<'_>, progress: &dyn Progress) -> Result<Copied, RemoteError> {
        let mut copied = Copied { aside: self.aside(), notes: self.notes.clone(), ..Copied::default() };
        if self.probe.is_config_above
            && let Some(text) = &self.probe.config
        {
            let path = into.join("wp-config.php");
            step("write", &path, || std::fs::write(&path, text))?;
        }
        let mut paths: Vec<_> = copied.aside.iter().map(|aside| aside.path.clone()).collect();
        if without.uploads && !self.probe.has("exclude") {
            copied.notes.push("tar there can leave nothing out: the uploads came, and were left out here".to_owned());
        }
        if without.uploads {
            paths.push(config::uploads_folder(self.probe.config.as_deref()));
            paths.extend(self.probe.content.iter().map(|content| content.join("uploads")));
        }
        let left_out = LeftOut { paths, patterns: without.patterns, content: self.probe.content.clone() };
        if self.probe.has_core {
            copied.inside.push(FILES_NAME.into());
        }
        if self.copy_files(&into.join(FILES_NAME), &left_out, progress)? {
            copied.notes.push("files changed while they were read: such a file may be of two moments".to_owned());
        }
        if let Some(settings) = &self.settings {
            self.copy_database(&into.join(DATABASE_NAME), settings, progress)?;
            copied.inside.push(DATABASE_NAME.into());
            copied.prefix.clone_from(&settings.prefix);
        }
        Ok(copied)
    }

    /// Says whether files changed meanwhile.
    fn copy_files(&self, to: &Path, left_out: &LeftOut<'_>, progress: &dyn Progress) -> Result<bool, RemoteError> {
        let is_gnu = self.probe.has("gnu-tar");
        let arguments = if self.probe.has("exclude") { left_out.arguments(is_gnu) } else { Vec::new() };
        let script = |mark: &Mark| {
            Script::new(mark)
                .set("path", &self.connection.address.path)
                .set("pack", self.probe.pack().as_bytes())
                .arguments(arguments.iter().map(Vec::as_slice))
                .code(FILES)
        };
        progress.begin_bytes("fetch the files", None);
        // GNU's tar says so where all is well but for that.
        let said =
            self.receive(&script, b"", to, Fetched::Files, &|status| status == 0 || is_gnu && status == 1, progress)?;
        progress.end();
        Ok(said.contains("file changed as we read it") || said.contains("File removed before we read it"))
    }

    fn copy_database(&self, to: &Path, settings: &Settings, progress: &dyn Progress) -> Result<(), RemoteError> {
        let dump = self.probe.dump().unwrap_or_default();
        let input = match dump {
            "php" => [OPENING.as_bytes(), &settings.php(), without_opening(DUMP_PHP)].concat(),
            _ => settings.option_file(),
        };
        let script = |mark: &Mark| {
            Script::new(mark)
                .set("dump", dump.as_bytes())
                .set("name", settings.name.as_bytes())
                .set("pack", self.probe.pack().as_bytes())
                .code(DATABASE)
        };
        progress.begin_bytes("fetch the database", None);
        self.receive(&script, &input, to, Fetched::Database, &|status| status == 0, progress)?;
        progress.end();
        Ok(())
    }

    /// Runs a script and writes what it prints to a file. Gives what it complained of.
    fn receive(
        &self,
        script: &dyn Fn(&Mark) -> Script,
        input: &[u8],
        to: &Path,
        what: Fetched,
        is_good: &dyn Fn(i32) -> bool,
        progress: &dyn Progress,
    ) -> Result<String, RemoteError> {
        let mark = new_mark()?;
        let mut running = self.connection.run(&script(&mark), &mark, input)?;
        let mut file = step("write", to, || File::create_new(to))?;
        let mut buffer = vec![0; 1 << 17];
        loop {
            let count = running.read(&mut buffer).map_err(stream_error)?;
            if count == 0 {
                break;
            }
            step("write", to, || file.write_all(&buffer[..count]))?;
            progress.advance(count as u64);
        }
        running.finish(self.connection.address, what, is_good)
    }

    /// How the site reaches its database: by reading its configuration, or else by running it there.
    fn settings(&mut self) -> Result<Settings, RemoteError> {
        let address = self.connection.address;
        let unknown = |why: String| RemoteError::Settings { address: address.to_string(), why };
        let Some(text) = &self.probe.config else {
            return Err(unknown("there is none".to_owned()));
        };
        if let Some(settings) = Settings::of_text(text) {
            return Ok(settings);
        }
        if !self.probe.has("php") {
            return Err(unknown("it takes it from code, and there is no PHP to run that".to_owned()));
        }
        let mark = new_mark()?;
        let script = Script::new(&mark).set("path", &address.path).code(CONFIG);
        let mut running = self.connection.run(&script, &mark, CONFIG_PHP.as_bytes())?;
        let mut answer = Vec::new();
        running.by_ref().take(MOST_ANSWER_BYTES).read_to_end(&mut answer).map_err(stream_error)?;
        let end = running.end()?;
        let settings = Settings::of_answer(&answer).ok_or_else(|| {
            let said = end.said.lines().last().unwrap_or("it defines no DB_NAME, DB_USER and DB_PASSWORD");
            unknown(format!("PHP ran it there, and {said}"))
        })?;
        self.notes.push("its wp-config.php takes the database from code: PHP ran that file there".to_owned());
        Ok(settings)
    }

    /// What does not travel whatever is asked for.
    fn aside(&self) -> Vec<Aside> {
        let not_needed = self.probe.aside.iter().filter_map(|path| aside_at(path));
        let links = self.probe.links.iter().map(|path| Aside {
            path: path.clone(),
            name: "a symbolic link",
            why: Why::Special,
        });
        not_needed.chain(links).collect()
    }
}

const MOST_ANSWER_BYTES: u64 = 64 << 10;

fn new_mark() -> Result<Mark, RemoteError> {
    Mark::new().map_err(|error| RemoteError::Stream { source: io::Error::other(error.to_string()) })
}

fn without_opening(script: &str) -> &[u8] {
    script.strip_prefix(OPENING).unwrap_or(script).as_bytes()
}

fn check(probe: &Probe, address: &Address) -> Result<(), RemoteError> {
    let path = |why| Err(RemoteError::Path { address: address.to_string(), why });
    match probe.fault {
        Some(Fault::Missing) => return path("there is no such folder"),
        Some(Fault::File) => return path("it is no folder; an archive has to be copied here first"),
        Some(Fault::Denied) => return path("the user that ssh signs in as may not enter it"),
        Some(Fault::Config) => return Err(RemoteError::Config { address: address.to_string() }),
        None => {}
    }
    if !probe.has_core && probe.config.is_none() {
        let others = probe.others.iter().map(|path| address.at(path).to_string()).collect();
        return Err(RemoteError::NoWordPress { address: address.to_string(), others });
    }
    if !probe.has("tar") {
        return Err(RemoteError::Program { login: address.login(), program: "tar" });
    }
    Ok(())
}
