//! What a site can be brought in from: found out by looking into it, whatever it is called.
//!
//! [`look`] opens a source, goes through all of it once, and tells who made it and what of a WordPress is in it
//! ([`Found`]). What is found is then [unpacked](Found::unpack) into a folder and [read](Found::dump) as a stream of
//! SQL.
//!
//! Everything in a source may be hostile: names lead nowhere, links are not followed, and what is packed becomes no
//! more than there is room for. Nothing of it is run.

mod archive;
mod aside;
mod by_path;
pub mod config;
mod contents;
pub mod core;
mod database;
mod dumps;
mod error;
mod exclude;
mod facts;
mod kind;
mod listing;
mod magic;
mod path;
mod roots;
mod sql;
mod stream;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unpack;
mod updraft;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

pub use aside::{Aside, Why};
pub(crate) use aside::{aside_at, patterns_not_needed};
pub use contents::UnpackedContents;
pub use dumps::Dump;
pub use error::{PASSWORD_VARIABLE, SourceError};
pub use exclude::{Excluded, PatternError};
pub use facts::{Facts, Network};
pub use kind::Kind;
pub use path::BadName;
pub use roots::Root;
pub use sql::{DumpPart, DumpReader};
pub use stream::Packing;
pub use unpack::Unpacked;

use archive::{Archive, Daf, EntryKind, SourceFolder, Tar, Wpress, Zip};
use aside::Sorter;
use kind::Recognised;
use listing::{Listing, Volume};
use magic::Form;

use crate::progress::Progress;
use crate::site::Site;
use forkpress_core::layout::WORK_DIR;
use forkpress_core::name::BranchName;

/// How a source is looked at.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which of several: paths in the source of a folder with a WordPress, of a dump, or of a backup. `.` is the source
    /// itself.
    pub inside: Vec<PathBuf>,
    /// What an encrypted source was encrypted with.
    pub password: Option<String>,
    /// The branch of another ForkPress site; `main` where there is none.
    pub branch: Option<BranchName>,
}

/// What was found in a source.
#[derive(Debug, Serialize)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Who made it.
    pub kind: Kind,
    /// What it says of the site.
    pub facts: Facts,
    /// Where in it the files of WordPress are; none where it has none.
    pub root: Option<Root>,
    /// How many files come into the site.
    pub files: u64,
    /// As many bytes as the source says, which may be packed ones.
    pub bytes: u64,
    /// The dump of the database, in the order in which its parts are read; empty where there is none.
    pub dumps: Vec<Dump>,
    /// Where in the source the SQLite database is; none where there is none.
    pub database: Option<PathBuf>,
    /// Where exports of contents (WXR) are, where the source has nothing else.
    pub contents: Vec<PathBuf>,
    /// What does not come into the site.
    pub aside: Vec<Aside>,
    /// What else should be known.
    pub notes: Vec<String>,
    #[serde(skip)]
    config: Option<Vec<u8>>,
    #[serde(skip)]
    listing: Arc<Listing>,
}

impl Found {
    /// The `wp-config.php` that came along.
    #[must_use]
    pub fn config(&self) -> Option<&[u8]> {
        self.config.as_deref()
    }

    /// Where a file of the source is, if the source is a folder or that very file.
    #[must_use]
    pub fn place(&self, path: &Path) -> Option<PathBuf> {
        let item = self.listing.get(path)?;
        match self.listing.archive_of(item) {
            Archive::Folder(folder) | Archive::Single(folder) => Some(folder.place(&item.entry.path)),
            _ => None,
        }
    }
}

/// Finds out what a source is and what is in it. Reads packed archives to their end once.
///
/// # Errors
/// [`SourceError::Unknown`] where it is nothing that is known; [`SourceError::Several`] where it can't be told which of
/// several is meant; [`SourceError::Refused`] and [`SourceError::Password`] where it can't be read as it is; others
/// where it is damaged, hostile or not readable.
pub fn look(path: &Path, options: &Options, progress: &dyn Progress) -> Result<Found, SourceError> {
    let options = Options { inside: options.inside.iter().map(|inside| tidy(inside)).collect(), ..options.clone() };
    let metadata = fs::metadata(path).map_err(SourceError::read(path))?;
    if metadata.is_dir() && path.join(WORK_DIR).join("site.toml").is_file() {
        return look_at_site(path, &options, progress);
    }
    if !metadata.is_dir() && !metadata.is_file() {
        return Err(SourceError::Refused {
            path: path.to_owned(),
            what: "neither a file nor a folder".to_owned(),
            hint: "a source is read more than once: write it to a file first".to_owned(),
        });
    }
    let is_site = metadata.is_dir() && path.join(by_path::CONTENT).is_dir();
    if !is_site && let Some(volumes) = updraft::volumes(path, &options.inside)? {
        let recognised = Recognised { kind: Kind::Updraft, roots: None, dumps: None, facts: Facts::default() };
        return decide(path, Listing::read(volumes, progress)?, Some(recognised), &options);
    }
    if metadata.is_dir() {
        let listing = Listing::read(vec![Volume::new(Archive::Folder(SourceFolder::open(path)?))], progress)?;
        let listing = with_archive(listing, path, &options, progress)?;
        return decide(path, listing, None, &options);
    }
    let archive = match open_archive(path, options.password.as_deref())? {
        Some(archive) => archive,
        None => Archive::Single(SourceFolder::of_file(path)?),
    };
    decide(path, Listing::read(vec![Volume::new(archive)], progress)?, None, &options)
}

/// A path as it is in a listing.
fn tidy(path: &Path) -> PathBuf {
    path.components().filter(|part| !matches!(part, std::path::Component::CurDir)).collect()
}

/// Opens a file that is an archive; none where it is a dump, a database or an export of contents.
fn open_archive(path: &Path, password: Option<&str>) -> Result<Option<Archive>, SourceError> {
    let form = Form::of(path).map_err(SourceError::read(path))?;
    Ok(Some(match form {
        Form::Zip => Archive::Zip(Zip::open(path)?),
        Form::Tar(packing) => Archive::Tar(Tar::new(path, packing)),
        Form::Wpress => Archive::Wpress(Wpress::open(path, password)?),
        Form::Daf => Archive::Daf(Daf::new(path)),
        Form::Dump(_) | Form::Sqlite | Form::Wxr(_) => return Ok(None),
        Form::Unusable(what, hint) => {
            return Err(SourceError::Refused { path: path.to_owned(), what: what.to_owned(), hint: hint.to_owned() });
        }
        Form::Unknown(seen) => return Err(SourceError::Unknown { path: path.to_owned(), seen: seen.to_owned() }),
    }))
}

/// Looks at a branch of another ForkPress site.
fn look_at_site(path: &Path, options: &Options, progress: &dyn Progress) -> Result<Found, SourceError> {
    let site = Site::open(&path.join(WORK_DIR))?;
    let branch = options.branch.clone().unwrap_or_else(BranchName::main);
    let tree = site.layout.branch(&branch);
    if !site.layout.cow().record(&branch).is_file() || !tree.is_dir() {
        let is_mounted = tree.parent().is_some_and(Path::is_dir);
        return Err(SourceError::Refused {
            path: path.to_owned(),
            what: format!("a ForkPress site, in which the branch '{branch}' is not to be had"),
            hint: if is_mounted {
                "'forkpress branch list' there says which branches there are; --from-branch NAME takes another one"
                    .to_owned()
            } else {
                "its storage is not mounted: 'forkpress storage mount' there does that".to_owned()
            },
        });
    }
    let listing = Listing::read(vec![Volume::new(Archive::Folder(SourceFolder::open(&tree)?))], progress)?;
    let mut found = decide(&tree, listing, None, options)?;
    found.kind = Kind::ForkPressSite;
    Ok(found)
}

/// The listing of a folder, with what is in the archive that it has where it has no WordPress itself.
fn with_archive(
    listing: Listing,
    path: &Path,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Listing, SourceError> {
    if !roots::find(&listing).is_empty() {
        return Ok(listing);
    }
    let is_archive = |form: &Form| matches!(form, Form::Zip | Form::Tar(_) | Form::Wpress | Form::Daf);
    let mut archives = Vec::new();
    for item in
        listing.items.iter().filter(|item| item.entry.kind == EntryKind::File && item.path.components().count() == 1)
    {
        let place = path.join(&item.path);
        if is_archive(&Form::of(&place).map_err(SourceError::read(&place))?) {
            archives.push(item.path.clone());
        }
    }
    let is_chosen = |archive: &PathBuf| options.inside.iter().any(|inside| inside.starts_with(archive));
    if archives.iter().any(is_chosen) {
        archives.retain(is_chosen);
    }
    match archives.as_slice() {
        [] => Ok(listing),
        [name] => {
            let archive = open_archive(&path.join(name), options.password.as_deref())?;
            let mut volumes = listing.volumes;
            volumes.extend(archive.map(|archive| Volume { archive, mount: name.clone(), strip: PathBuf::new() }));
            Listing::read(volumes, progress)
        }
        _ => Err(SourceError::Several { path: path.to_owned(), what: "archives", choices: archives }),
    }
}

/// Says what of a listing is what.
fn decide(
    source: &Path,
    listing: Listing,
    recognised: Option<Recognised>,
    options: &Options,
) -> Result<Found, SourceError> {
    let recognised = match recognised {
        Some(recognised) => recognised,
        None => kind::recognise(&listing, source)?,
    };
    let Recognised { mut kind, roots: own_roots, dumps: dumps_at, facts } = recognised;
    let root = choose_root(own_roots.unwrap_or_else(|| roots::find(&listing)), source, kind, &options.inside)?;
    let config_path =
        root.as_ref().and_then(|root| roots::config(&listing, root)).or_else(|| duplicators_config(&listing));
    let config = config_path.and_then(|path| listing.heads.get(&path)).map(|head| head.bytes.clone());
    let config = config.or_else(|| config_above(source, root.as_ref(), &listing));
    let name = config.as_deref().and_then(|config| config::Config::read(config).text_of("DB_NAME"));
    let database = database::find(&listing, source, root.as_ref(), &options.inside)?;
    let dumps = match &database {
        Some(_) => Vec::new(),
        None => dumps::choose(&listing, source, dumps_at.as_deref(), root.as_ref(), name.as_deref(), &options.inside)?,
    };
    let contents = contents(&listing, root.as_ref(), &dumps, &options.inside);
    let chosen = database.iter().chain(&contents);
    check_inside(source, kind, &options.inside, root.as_ref(), &dumps, chosen)?;
    kind = match kind {
        Kind::WordPress if root.is_some() && database.is_some() => Kind::WordPressSqlite,
        Kind::WordPress if root.is_none() && database.is_some() => Kind::Sqlite,
        Kind::WordPress if root.is_none() && !dumps.is_empty() => Kind::Dump,
        Kind::WordPress if root.is_none() && !contents.is_empty() => Kind::Wxr,
        Kind::WordPress if root.is_none() => return Err(unknown(&listing, source)),
        kind => kind,
    };
    let mut found = Found {
        path: source.to_owned(),
        kind,
        facts: gather(&listing, root.as_ref(), config.as_deref(), &dumps, facts),
        root,
        files: 0,
        bytes: 0,
        notes: dumps::notes(&dumps),
        dumps,
        database,
        contents,
        aside: Vec::new(),
        config,
        listing: Arc::new(listing),
    };
    found.sort();
    if let Some(content) = found.root.as_ref().and_then(|root| root.content.as_ref()) {
        let name = content.display();
        found.notes.push(format!(
            "its wp-content is the folder {name}: addresses with that name in the database lead nowhere"
        ));
    }
    if found.root.is_some() && found.dumps.is_empty() && found.database.is_none() {
        found.notes.push(NO_DATABASE.to_owned());
    }
    // They have said what they had to say.
    if let Some(listing) = Arc::get_mut(&mut found.listing) {
        listing.heads.clear();
    }
    Ok(found)
}

const NO_DATABASE: &str =
    "no database was found: neither an SQL dump (plain, .gz, .zst, .bz2) nor an SQLite database in wp-content/database";

fn choose_root(
    mut found: Vec<Root>,
    source: &Path,
    kind: Kind,
    inside: &[PathBuf],
) -> Result<Option<Root>, SourceError> {
    if found.len() > 1 {
        let exact: Vec<_> = found.iter().filter(|root| inside.contains(&root.folder)).cloned().collect();
        let below =
            |root: &Root| inside.iter().any(|inside| !inside.as_os_str().is_empty() && root.folder.starts_with(inside));
        if !exact.is_empty() {
            found = exact;
        } else if found.iter().any(below) {
            found.retain(below);
        }
    }
    if found.len() > 1 {
        let what = if kind == Kind::Cpanel { "sites" } else { "WordPress folders" };
        let choices = found.into_iter().map(|root| root.folder).collect();
        return Err(SourceError::Several { path: source.to_owned(), what, choices });
    }
    Ok(found.pop())
}

/// Refuses a choice that chose nothing. Which backup of UpdraftPlus it is, is chosen before.
fn check_inside<'a>(
    source: &Path,
    kind: Kind,
    inside: &[PathBuf],
    root: Option<&'a Root>,
    dumps: &'a [Dump],
    others: impl Iterator<Item = &'a PathBuf> + Clone,
) -> Result<(), SourceError> {
    let found =
        || root.map(|root| &root.folder).into_iter().chain(dumps.iter().map(|dump| &dump.path)).chain(others.clone());
    let is_of_use = |inside: &&PathBuf| inside.as_os_str().is_empty() || found().any(|path| path.starts_with(inside));
    match inside.iter().find(|inside| !is_of_use(inside)) {
        Some(inside) if kind != Kind::Updraft => {
            Err(SourceError::NotInside { path: source.to_owned(), inside: inside.clone() })
        }
        _ => Ok(()),
    }
}

/// The `wp-config.php` in the folder above a folder, where WordPress looks for it, too.
fn config_above(source: &Path, root: Option<&Root>, listing: &Listing) -> Option<Vec<u8>> {
    let is_folder = matches!(listing.volumes.first()?.archive, Archive::Folder(_));
    if !is_folder || !root.is_some_and(|root| root.folder.as_os_str().is_empty() && root.has_core) {
        return None;
    }
    let above = fs::canonicalize(source).ok()?.parent()?.to_owned();
    let config = above.join("wp-config.php");
    let is_of_it = config.metadata().is_ok_and(|found| found.is_file() && found.len() < MOST_CONFIG_BYTES);
    if is_of_it && !above.join("wp-settings.php").exists() { fs::read(config).ok() } else { None }
}

const MOST_CONFIG_BYTES: u64 = 256 << 10;

/// The `wp-config.php` that Duplicator puts into its own folder.
fn duplicators_config(listing: &Listing) -> Option<PathBuf> {
    let is_one = |path: &&PathBuf| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"dup-wp-config-arc__"))
    };
    listing.heads.keys().find(is_one).cloned()
}

/// Exports of contents, where there is nothing else: all, or those that were chosen.
fn contents(listing: &Listing, root: Option<&Root>, dumps: &[Dump], inside: &[PathBuf]) -> Vec<PathBuf> {
    if root.is_some() || !dumps.is_empty() {
        return Vec::new();
    }
    let exports = listing.heads.iter().filter(|(_, head)| matches!(head.form, Form::Wxr(_)));
    let all: Vec<_> = exports.map(|(path, _)| path.clone()).collect();
    let (chosen, others): (Vec<_>, _) =
        all.into_iter().partition(|path| inside.iter().any(|inside| path.starts_with(inside)));
    if chosen.is_empty() { others } else { chosen }
}

fn gather(listing: &Listing, root: Option<&Root>, config: Option<&[u8]>, dumps: &[Dump], of_kind: Facts) -> Facts {
    let texts: Vec<_> = dumps.iter().filter_map(|dump| listing.text(&dump.path)).collect();
    let of_dump = texts.first().map(|text| Facts::of_dump(text)).unwrap_or_default();
    let of_config = config.map(Facts::of_config).unwrap_or_default();
    let of_files = root.map(|root| Facts::of_files(listing, root)).unwrap_or_default();
    let said = of_dump.prefix.clone();
    let mut facts = of_files.or(of_kind).or(of_config).or(of_dump);
    // Where something stands for the prefix in the dump, its tables do not tell.
    if facts.prefix_placeholder.is_none() {
        let tables: Vec<_> = texts.iter().flat_map(|text| facts::tables(text)).collect();
        facts.prefix = facts::prefix(said, facts.prefix, &tables);
    }
    facts
}

fn unknown(listing: &Listing, source: &Path) -> SourceError {
    let files = listing.items.iter().filter(|item| item.entry.kind == EntryKind::File).count();
    let unusable = listing.heads.iter().find_map(|(path, head)| match head.form {
        Form::Unusable(what, hint) => Some((path, what, hint)),
        _ => None,
    });
    if let Some((path, what, hint)) = unusable {
        return SourceError::Refused { path: source.join(path), what: what.to_owned(), hint: hint.to_owned() };
    }
    let seen = match files {
        0 => "it is empty".to_owned(),
        1 => "its only file is neither of a WordPress nor a dump".to_owned(),
        _ => format!("none of its {files} files is of a WordPress or a dump"),
    };
    SourceError::Unknown { path: source.to_owned(), seen }
}

impl Found {
    /// Notes what is set aside, and counts the rest.
    fn sort(&mut self) {
        let Some(root) = &self.root else { return };
        let mut sorter = Sorter::new(self.database.is_some());
        // A text that somebody uploaded may be SQL, too: only what is read, or called a dump, is taken for one.
        let is_chosen = |dump: &Dump| self.dumps.iter().any(|chosen| chosen.path == dump.path);
        let dumps = dumps::all(&self.listing).into_iter().filter(|dump| {
            is_chosen(dump) || by_path::is_dump_name(&dump.path) && !dumps::is_sample(&dump.path, Some(root))
        });
        let dumps: Vec<_> = dumps.map(|dump| dump.path).collect();
        for item in &self.listing.items {
            let Some(place) = root.place(&item.path) else { continue };
            if place.as_os_str().is_empty() || sorter.sets_aside(&place) {
                continue;
            }
            if dumps.binary_search(&item.path).is_ok() {
                sorter.add(&place, "a dump of a database", Why::Database);
            } else if item.entry.kind == EntryKind::Special {
                sorter.add(&place, "a socket or a device", Why::Special);
            } else if item.entry.kind != EntryKind::Folder {
                self.files += 1;
                self.bytes += item.entry.bytes;
            }
        }
        self.aside = sorter.finish();
    }
}
