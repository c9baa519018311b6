//! Why a source can't be brought in.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::path::BadName;
use crate::bounds::TooMuch;
use crate::database::DatabaseError;
use crate::disk::DiskError;
use crate::site::SiteError;
use forkpress_core::advice::Advice;

/// The environment variable with the password of an encrypted source.
pub const PASSWORD_VARIABLE: &str = "FORKPRESS_IMPORT_PASSWORD";

/// Why a source can't be brought in.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A file or folder can't be read.
    #[error("cannot read {path}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An archive ends too early, or is not what it says.
    #[error("{path} is cut off or damaged{}", in_entry(entry.as_deref()))]
    Broken {
        /// The archive.
        path: PathBuf,
        /// What in it.
        entry: Option<PathBuf>,
        /// What was wrong.
        source: io::Error,
    },
    /// An entry of an archive would be written elsewhere than it should be.
    #[error("{path}: its entry {entry:?} {why}")]
    Name {
        /// The archive.
        path: PathBuf,
        /// The entry's name.
        entry: String,
        /// Why it is refused.
        why: BadName,
    },
    /// An entry of an archive is of a kind that is not written.
    #[error("{path}: {entry:?} is {what}")]
    Entry {
        /// The archive or folder.
        path: PathBuf,
        /// The entry.
        entry: PathBuf,
        /// What it is.
        what: String,
    },
    /// Two entries would be one file.
    #[error("{path}: {entry:?} comes twice, perhaps in other letters")]
    Twice {
        /// The archive.
        path: PathBuf,
        /// The second one.
        entry: PathBuf,
    },
    /// It becomes more than anybody expects, or than there is room for.
    #[error("{path} has {why}")]
    TooMuch {
        /// The archive.
        path: PathBuf,
        /// Why it is refused.
        why: TooMuch,
    },
    /// It is nothing that is known.
    #[error("{path} is not known: {seen}")]
    Unknown {
        /// The source.
        path: PathBuf,
        /// What it seems to be.
        seen: String,
    },
    /// There is more than one of what there can be only one of.
    #[error("{path} has several {what}: {}", listed(choices))]
    Several {
        /// The source.
        path: PathBuf,
        /// Of what.
        what: &'static str,
        /// Which.
        choices: Vec<PathBuf>,
    },
    /// What was chosen is not there.
    #[error("{path} has neither a WordPress, a dump nor a set called {inside:?}")]
    NotInside {
        /// The source.
        path: PathBuf,
        /// What was chosen.
        inside: PathBuf,
    },
    /// It is known, and can't be read as it is.
    #[error("{path} is {what}")]
    Refused {
        /// The source.
        path: PathBuf,
        /// What it is.
        what: String,
        /// What helps.
        hint: String,
    },
    /// It is encrypted, and no password was given, or another one.
    #[error("{path} is encrypted, and {}", if *is_wrong { "the password is another one" } else { "no password was given" })]
    Password {
        /// The source.
        path: PathBuf,
        /// Whether one was given.
        is_wrong: bool,
    },
    /// The folder to unpack to is in the folder that is unpacked.
    #[error("{path} holds the folder that its files would be written to")]
    Around {
        /// The source.
        path: PathBuf,
    },
    /// A step on the disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The SQLite database can't be copied.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The other site can't be opened.
    #[error(transparent)]
    Site(#[from] SiteError),
}

fn in_entry(entry: Option<&Path>) -> String {
    entry.map(|entry| format!(" at {:?}", entry.display().to_string())).unwrap_or_default()
}

/// At most so many choices are listed.
const MOST_LISTED: usize = 20;

fn listed(choices: &[PathBuf]) -> String {
    let mut names: Vec<_> = choices.iter().take(MOST_LISTED).map(|choice| display(choice)).collect();
    if choices.len() > MOST_LISTED {
        names.push(format!("{} more", choices.len() - MOST_LISTED));
    }
    names.join(", ")
}

/// A path as it is typed; the source's own folder is `.`. What could control a terminal is escaped.
fn display(path: &Path) -> String {
    if path.as_os_str().is_empty() {
        return ".".to_owned();
    }
    let text = path.to_string_lossy();
    if text.chars().any(char::is_control) { format!("{text:?}") } else { text.into_owned() }
}

/// What leaves out this path and no other.
fn pattern(path: &Path) -> String {
    format!("/{}", globset::escape(&display(path)))
}

impl SourceError {
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Read { path: path.to_owned(), source }
    }

    /// What went wrong as an archive was read: too much in it, if that is what its reader says.
    pub(super) fn broken(path: &Path, entry: Option<&Path>) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.get_ref().and_then(|inner| inner.downcast_ref::<TooMuch>()) {
            Some(why) => Self::TooMuch { path: path.to_owned(), why: why.clone() },
            None => Self::Broken { path: path.to_owned(), entry: entry.map(Path::to_owned), source },
        }
    }
}

impl Advice for SourceError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Broken { .. } => {
                Some("copy or download it again, and compare its size with the original's".to_owned())
            }
            Self::Name { .. } => {
                Some("an archive that a backup tool made has no such entry: look at where it comes from".to_owned())
            }
            Self::Entry { entry, .. } => Some(format!("leave it out with --exclude '{}'", pattern(entry))),
            Self::Twice { entry, .. } => Some(format!("leave both out with --exclude '{}'", pattern(entry))),
            Self::TooMuch { why, .. } => Some(why.hint().to_owned()),
            Self::Unknown { .. } => Some(LOOKED_FOR.to_owned()),
            Self::Several { choices, .. } => choices
                .first()
                .map(|choice| format!("say which with --inside PATH, as in --inside '{}'", display(choice))),
            Self::NotInside { .. } => Some("leave --inside out to see what there is".to_owned()),
            Self::Refused { hint, .. } => Some(hint.clone()),
            Self::Password { .. } => {
                Some(format!("give it in the environment: {PASSWORD_VARIABLE}='...' forkpress import ..."))
            }
            Self::Around { .. } => Some("make the site in a folder beside it: mkdir ../site && cd ../site".to_owned()),
            Self::Database(error) => error.hint(),
            Self::Site(error) => error.hint(),
            Self::Read { .. } | Self::Disk(_) => None,
        }
    }

    fn is_passing(&self) -> bool {
        matches!(self, Self::Database(error) if error.is_passing())
    }
}

/// What a source may be.
const LOOKED_FOR: &str = "looked for: a WordPress or a wp-content with an SQL dump or an SQLite database, in a folder, .zip, .tar, .tar.gz, \
     .tar.zst or .tar.bz2; a dump, plain or packed; exports of Local, WordPress Studio and Playground; backups of All-in-One WP Migration, \
     UpdraftPlus, Duplicator, Jetpack, BackWPup, WP Migrate and cPanel; another ForkPress site; WXR (.xml)";
