//! Why a dump can't be loaded, and where in it that is.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::disk::DiskError;
use forkpress_core::advice::Advice;

/// A line of a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DumpLine {
    /// The name of the file, where the dump has several.
    pub file: Option<String>,
    /// The line, from 1 on.
    pub line: u64,
}

impl fmt::Display for DumpLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}, ")?;
        }
        write!(f, "line {}", self.line)
    }
}

/// Why a dump can't be loaded. Nothing of it stays.
#[derive(Debug, Error)]
pub enum DumpError {
    /// The dump can't be read.
    #[error("{place}: the dump cannot be read on")]
    Read {
        /// How far it was read.
        place: DumpLine,
        /// What the system said.
        source: io::Error,
    },
    /// It ends where more must follow.
    #[error("{place}: the dump is cut off: it ends {within}")]
    CutOff {
        /// Where it ends.
        place: DumpLine,
        /// In the midst of what.
        within: String,
    },
    /// It has what no dump has, or what can't be kept.
    #[error("{place}: {what}")]
    Wrong {
        /// Where.
        place: DumpLine,
        /// What is wrong with it.
        what: String,
    },
    /// Two rows have the same key.
    #[error("{table} has two rows with the same {key}: {values}")]
    Duplicate {
        /// The table, and where the second row is, if that is known.
        table: String,
        /// The key.
        key: String,
        /// What both have in its columns.
        values: String,
    },
    /// There is no table in it.
    #[error("there is no table in the dump")]
    Empty,
    /// The SQLite driver refuses a table.
    #[error("{place}: the SQLite driver cannot make the table {table}: {said}")]
    Table {
        /// Where the table is defined.
        place: DumpLine,
        /// Its name.
        table: String,
        /// What the driver said.
        said: String,
    },
    /// The PHP that the driver runs in failed.
    #[error("PHP cannot run the SQLite driver: {said}")]
    Php {
        /// What it said.
        said: String,
    },
    /// There is a database already.
    #[error("there is a file already: {path}")]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// SQLite failed.
    #[error("cannot write the database")]
    Sqlite(#[from] rusqlite::Error),
    /// A step on the disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Advice for DumpError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::CutOff { .. } => Some("make the dump anew, and look whether its disk was full".to_owned()),
            Self::Duplicate { .. } => Some(
                "delete one of the rows where the dump comes from and make it anew: the SQLite driver tells no two \
                 texts of a key apart that differ by case alone"
                    .to_owned(),
            ),
            Self::Php { .. } => Some("php -m must list pdo_sqlite".to_owned()),
            _ => None,
        }
    }
}
