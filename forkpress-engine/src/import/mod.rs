//! Makes a tree the site that a source has: its files, WordPress itself where that lacks, the SQLite driver, a `wp-config.php` of
//! ForkPress's own with the user's constants, and its database.
//!
//! The tree is in nobody's use, and whoever asked for it throws it away where this fails. What a source is, [`crate::source`]
//! finds out; how a dump becomes a database, [`crate::dump`] knows.

mod error;
mod rewrite;
mod settings;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::{Deserialize, Serialize};

pub use error::ImportError;
pub use rewrite::rewrite;

use crate::disk::{self, DiskError, step};
use crate::dump::{self, Driver, DumpFile, Placeholder};
use crate::mutation::EditError;
use crate::mutation::new_database::TreeEdit;
use crate::progress::Progress;
use crate::scrub::{self, Scrubbed};
use crate::source::config::{self, LeftOut as LeftOutOfConfig};
use crate::source::core::{Core, LayDown};
use crate::source::{Aside, Excluded, Facts, Found, Unpacked, core};
use crate::wordpress;
use forkpress_core::layout::database_of;
use forkpress_core::uploads::Uploads;

/// Where the SQLite driver is in a tree.
const DRIVER: &str = "wp-content/mu-plugins/sqlite-database-integration";

/// WordPress's hook into another database.
const DROP_IN: &str = "wp-content/db.php";

const CONFIG: &str = "wp-config.php";

/// Only its owner reads it.
const CLOSED_FILE: u32 = 0o600;

/// Writes a whole WordPress into a folder.
pub type UnpackWordPress<'a> = dyn Fn(&Path, &dyn Progress) -> io::Result<()> + 'a;

/// What is brought in, and with what.
pub struct Import<'a> {
    /// What was found in the source.
    pub found: &'a Found,
    /// What of it stays out.
    pub excluded: &'a Excluded,
    /// Whether the media library stays out, and what is asked of it is answered by the site's former address.
    pub without_uploads: bool,
    /// Writes a whole WordPress with the driver, and without a `wp-config.php`, into a folder.
    pub unpack_bundled: Box<UnpackWordPress<'a>>,
    /// A `wp-config.php` of ForkPress's own, with new secrets.
    pub config: &'a str,
    /// PHP's program and its arguments, up to what it is to do.
    pub php: Vec<OsString>,
    /// ForkPress's `tables.php`.
    pub tables: PathBuf,
    /// The address that takes the place of the site's own in the database; none where those stay.
    pub rewrite_to: Option<&'a str>,
    /// Whether people's data in the database is replaced by that of people who do not exist.
    pub scrub: bool,
}

/// What was brought in.
#[derive(Debug, Default, Serialize)]
pub struct Imported {
    /// Of the files.
    pub files: Unpacked,
    /// WordPress's version in the tree.
    pub wordpress: Option<String>,
    /// What of WordPress was laid down anew: "all", or how many files; none where nothing was.
    pub laid_down: Option<String>,
    /// How many tables the database has, and rows in them. None where it came as an SQLite database.
    pub tables: Option<usize>,
    /// See `tables`.
    pub rows: Option<u64>,
    /// The prefix of the tables.
    pub prefix: Option<String>,
    /// Whether it is a network of sites.
    pub is_network: bool,
    /// The addresses that the site had.
    pub addresses: Vec<String>,
    /// Where the media library is that stayed out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploads: Option<Uploads>,
    /// What of `wp-config.php` is in the new one.
    pub config_kept: Vec<String>,
    /// What of it is not.
    pub config_left_out: Vec<LeftOutOfConfig>,
    /// What the source says of the site that it is of.
    pub source: Facts,
    /// What of the source's files does not come into the site.
    pub set_aside: Vec<Aside>,
    /// How many addresses were replaced in the database; none where they stay.
    pub rewritten: Option<u64>,
    /// What of people was replaced in the database; none where it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scrubbed: Option<Scrubbed>,
    /// What came of exports of contents; none where the source is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<Contents>,
    /// What else whoever asked for it should know.
    pub notes: Vec<String>,
}

/// What came of exports of contents.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// How many posts, pages and others of the kind, without media.
    pub posts: u64,
    /// How many comments.
    pub comments: u64,
    /// How many terms: categories, tags and others.
    pub terms: u64,
    /// Which users were made for authors that the site did not have.
    pub authors: Vec<String>,
    /// How many media were fetched.
    pub media: u64,
    /// How many were not.
    pub media_left_out: u64,
}

impl Import<'_> {
    /// Fills `tree`. Where the source has no files, those that are in the tree stay; otherwise what is there goes. Meanwhile
    /// there is a folder beside the tree, with `.wordpress` after its name.
    ///
    /// # Errors
    /// [`ImportError`]; a part of it is in the tree then.
    pub fn fill(&self, tree: &Path, progress: &dyn Progress) -> Result<Imported, ImportError> {
        let found = self.found;
        if found.dumps.is_empty() && found.database.is_none() {
            return Err(ImportError::NoDatabase { path: found.path.clone() });
        }
        step("go on with", tree, || progress.go_on())?;
        let beside = Bundled(tree.with_extension("wordpress"));
        disk::remove(&beside.0)?;
        step("lay WordPress down in", &beside.0, || (self.unpack_bundled)(&beside.0, progress))?;
        let bundled = beside.0.as_path();
        let mut imported = Imported {
            is_network: found.facts.network.is_some(),
            source: found.facts.clone(),
            set_aside: found.aside.clone(),
            ..Imported::default()
        };
        if found.root.is_some() {
            empty(tree)?;
            let uploads = self.without_uploads.then(|| config::uploads_folder(found.config()));
            let is_upload = |path: &Path| uploads.as_ref().is_some_and(|uploads| path.starts_with(uploads));
            imported.files = found.unpack(tree, &|path| !self.excluded.has(path) && !is_upload(path), progress)?;
        } else {
            take_if_empty(tree, bundled, progress)?;
            disk::remove(database_of(tree).parent().unwrap_or(tree))?;
        }
        lay_down(tree, bundled, &mut imported, progress)?;
        self.give_driver(tree, bundled, progress)?;
        let folder = database_of(tree);
        let folder = folder.parent().unwrap_or(tree);
        step("make the folder", folder, || fs::create_dir_all(folder))?;
        self.give_database(tree, &mut imported, progress)?;
        self.give_config(tree, &mut imported)?;
        settings::restore(&database_of(tree), &found.facts, imported.prefix.as_deref(), &mut imported.notes)?;
        if self.scrub {
            self.scrub(tree, &mut imported, progress)?;
        }
        imported.addresses = addresses(tree)?;
        if self.without_uploads && found.root.is_some() {
            imported.uploads = Some(self.uploads(tree)?);
        }
        if let Some(to) = self.rewrite_to {
            rewrite(&database_of(tree), to, &mut imported, progress)?;
        }
        Ok(imported)
    }

    /// Gives the tree the SQLite driver, unless it has one of its own.
    fn give_driver(&self, tree: &Path, bundled: &Path, progress: &dyn Progress) -> Result<(), ImportError> {
        if self.found.database.is_some() && tree.join(DRIVER).is_dir() && tree.join(DROP_IN).is_file() {
            return Ok(());
        }
        disk::remove(&tree.join(DRIVER))?;
        copy_folder(&bundled.join(DRIVER), &tree.join(DRIVER), progress)?;
        copy_file(&bundled.join(DROP_IN), &tree.join(DROP_IN))
    }

    fn give_database(&self, tree: &Path, imported: &mut Imported, progress: &dyn Progress) -> Result<(), ImportError> {
        let (found, database) = (self.found, database_of(tree));
        if found.database.is_some() {
            found.copy_database(&database, progress)?;
            imported.prefix = Some(found.facts.prefix.clone().unwrap_or_else(|| "wp_".to_owned()));
            return Ok(());
        }
        let prefix = found.facts.prefix.clone();
        let placeholder = found
            .facts
            .prefix_placeholder
            .clone()
            .map(|mark| Placeholder { mark, prefix: prefix.clone().unwrap_or_else(|| "wp_".to_owned()) });
        let files = found.dump().into_iter();
        let files =
            files.map(|part| DumpFile { name: part.name, bytes: part.bytes, read: Box::new(part.read) as _ }).collect();
        let driver = Driver { php: self.php.clone(), script: self.tables.clone(), folder: tree.join(DRIVER) };
        let options = dump::Options { prefix, placeholder, left_out_tables: Vec::new() };
        let loaded = dump::load(files, &database, &driver, &options, progress)?;
        imported.tables = Some(loaded.tables.len());
        imported.rows = Some(loaded.rows());
        imported.notes.extend(loaded.notes.iter().cloned());
        imported.notes.extend(loaded.left_out.iter().map(|left| format!("left out: the {} {}", left.kind, left.name)));
        let Some(prefix) = loaded.prefix else {
            return Err(ImportError::NoWordPress {
                path: found.path.clone(),
                tables: loaded.tables.into_iter().map(|table| table.name).collect(),
            });
        };
        if loaded.prefixes.len() > 1 {
            imported.notes.push(format!(
                "the dump has tables of several WordPresses ({}): this site is the one of {prefix}",
                loaded.prefixes.join(", ")
            ));
        }
        imported.prefix = Some(prefix);
        Ok(())
    }

    /// Writes `wp-config.php` anew.
    fn give_config(&self, tree: &Path, imported: &mut Imported) -> Result<(), ImportError> {
        let path = tree.join(CONFIG);
        let own;
        let old = match self.found.config() {
            Some(old) => old,
            // A tree that had one keeps its secrets.
            None if path.is_file() => {
                own = step("read", &path, || fs::read(&path))?;
                &own
            }
            None => b"<?php\n",
        };
        let rewritten = config::rewrite(old, self.config);
        let text = match &imported.prefix {
            Some(prefix) => config::with_prefix(&rewritten.text, prefix),
            None => rewritten.text,
        };
        step("write", &path, || {
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(CLOSED_FILE))
        })?;
        imported.config_kept = rewritten.kept;
        imported.config_left_out = rewritten.left_out;
        Ok(())
    }

    /// Replaces people's data. Nothing of it is told.
    fn scrub(&self, tree: &Path, imported: &mut Imported, progress: &dyn Progress) -> Result<(), ImportError> {
        let database = database_of(tree);
        let prefix = imported.prefix.as_deref().unwrap_or("wp_");
        let scrubbed = scrub::scrub(&database, prefix, progress)
            .map_err(|source| ImportError::Scrub { path: database, source })?;
        if !scrubbed.by_names_only.is_empty() {
            imported.notes.push(format!(
                "nobody knows these tables: what is people's data was told by names of columns, and by e-mail addresses: {}",
                scrubbed.by_names_only.join(", ")
            ));
        }
        if !scrubbed.has_key {
            imported
                .notes
                .push("no user has a password: whoever tries e-mail addresses can find out who became whom".to_owned());
        }
        imported.scrubbed = Some(scrubbed);
        Ok(())
    }

    /// Where the media library is that stays out.
    fn uploads(&self, tree: &Path) -> Result<Uploads, ImportError> {
        let (found, folder) = (self.found, config::uploads_folder(self.found.config()));
        let content = found.root.as_ref().and_then(|root| root.content.as_ref()?.file_name());
        let (option, said, path) = match (content, folder.strip_prefix("wp-content")) {
            (Some(content), Ok(inside)) => ("home", &found.facts.home, Path::new(content).join(inside)),
            _ => ("siteurl", &found.facts.siteurl, folder.clone()),
        };
        let base = said.clone().map_or_else(|| wordpress::address(tree, option), |said| Ok(Some(said)))?;
        let url = base.map(|base| format!("{}/{}", base.trim_end_matches('/'), encoded(&path)));
        let url = url.filter(|url| Uploads::is_address(url));
        let url = url.ok_or_else(|| ImportError::NoAddress { path: found.path.clone() })?;
        Ok(Uploads { folder: folder.to_string_lossy().into_owned(), url })
    }
}

/// An import as what becomes of a new branch's tree. What was brought in is told afterwards.
pub struct ImportEdit<'a> {
    /// What is brought in.
    pub import: Import<'a>,
    /// Is told how far it is.
    pub progress: &'a dyn Progress,
    /// What was brought in last.
    pub imported: Imported,
}

impl TreeEdit for ImportEdit<'_> {
    fn edit(&mut self, path: &Path) -> Result<(), EditError> {
        let filled = self.import.fill(path, self.progress);
        self.imported = filled.map_err(|error| EditError::Failed(Box::new(error)))?;
        Ok(())
    }

    fn uploads(&self, before: Option<Uploads>) -> Option<Uploads> {
        if self.import.found.root.is_some() { self.imported.uploads.clone() } else { before }
    }
}

/// Puts a WordPress into a tree that has nothing.
fn take_if_empty(tree: &Path, bundled: &Path, progress: &dyn Progress) -> Result<(), ImportError> {
    if disk::list(tree)?.is_empty() {
        progress.begin("lay down WordPress", None);
        copy_folder(bundled, tree, progress)?;
        progress.end();
    }
    Ok(())
}

/// Lays down WordPress itself where it lacks or is damaged.
fn lay_down(tree: &Path, bundled: &Path, imported: &mut Imported, progress: &dyn Progress) -> Result<(), ImportError> {
    let state = core::check(tree, Some(bundled));
    let files = match state.lay_down() {
        LayDown::Nothing => {
            if let Core::Whole { version } = state {
                imported.wordpress = Some(version);
            }
            return Ok(());
        }
        LayDown::Files(files) => {
            imported.laid_down = Some(files.len().to_string());
            imported.notes.push(format!(
                "{} files of WordPress lacked or were not as they were released, and are now: {}",
                files.len(),
                some_of(&files)
            ));
            files
        }
        LayDown::All => {
            if let Core::Damaged { version, files, .. } = &state {
                let version = version.as_deref().unwrap_or("of an unknown version");
                imported.notes.push(format!(
                    "the WordPress {version} was not whole, and is another one now: {} lacked",
                    some_of(files)
                ));
            }
            imported.laid_down = Some("all".to_owned());
            for folder in ["wp-admin", "wp-includes"] {
                disk::remove(&tree.join(folder))?;
            }
            core::files(bundled)
        }
    };
    progress.begin("lay down WordPress", Some(files.len() as u64));
    for file in &files {
        step("go on with", tree, || progress.go_on())?;
        copy_file(&bundled.join(file), &tree.join(file))?;
        progress.advance(1);
    }
    progress.end();
    if let Core::Whole { version } = core::check(tree, Some(bundled)) {
        imported.wordpress = Some(version);
    }
    Ok(())
}

/// A WordPress that is taken from, beside the tree. It goes when it is dropped.
struct Bundled(PathBuf);

impl Drop for Bundled {
    fn drop(&mut self) {
        let _: Result<(), DiskError> = disk::remove(&self.0);
    }
}

/// The addresses of a site, each once, without a slash at the end.
fn addresses(tree: &Path) -> Result<Vec<String>, ImportError> {
    let mut addresses: Vec<String> = Vec::new();
    for url in wordpress::urls(tree)? {
        let url = url.trim_end_matches('/').to_owned();
        if url.contains("//") && !addresses.contains(&url) {
            addresses.push(url);
        }
    }
    Ok(addresses)
}

/// A path in an address.
fn encoded(path: &Path) -> String {
    const NOT_ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encode(path.as_os_str().as_encoded_bytes(), NOT_ENCODED).to_string()
}

/// Removes what is in a folder.
fn empty(folder: &Path) -> Result<(), ImportError> {
    Ok(disk::list(folder)?.iter().try_for_each(|path| disk::remove(path))?)
}

fn copy_folder(from: &Path, to: &Path, progress: &dyn Progress) -> Result<(), ImportError> {
    for entry in walkdir::WalkDir::new(from) {
        step("go on with", to, || progress.go_on())?;
        let entry = entry.map_err(|error| ImportError::Walk { path: from.to_owned(), source: error.into() })?;
        let place = to.join(entry.path().strip_prefix(from).unwrap_or(Path::new("")));
        if entry.file_type().is_dir() {
            step("make the folder", &place, || fs::create_dir_all(&place))?;
        } else {
            copy_file(entry.path(), &place)?;
        }
    }
    Ok(())
}

/// Copies a file into the place of what is there.
fn copy_file(from: &Path, to: &Path) -> Result<(), ImportError> {
    disk::remove(to)?;
    if let Some(folder) = to.parent() {
        step("make the folder", folder, || fs::create_dir_all(folder))?;
    }
    let copy = || -> io::Result<()> {
        let mut file = File::open(from)?;
        let (mode, modified) = (file.metadata()?.permissions(), file.metadata()?.modified()?);
        let mut copy = File::options().write(true).create_new(true).open(to)?;
        io::copy(&mut file, &mut copy)?;
        copy.set_permissions(mode)?;
        copy.set_modified(modified)
    };
    Ok(step("copy to", to, copy)?)
}

/// The first of some paths in words.
fn some_of(files: &[PathBuf]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<_> = files.iter().take(SHOWN).map(|file| file.display().to_string()).collect();
    match files.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
