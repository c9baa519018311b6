//! Why a source is not brought in.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::addresses::AddressError;
use crate::disk::DiskError;
use crate::dump::DumpError;
use crate::scrub::ScrubError;
use crate::source::SourceError;
use crate::wordpress::WordPressError;
use forkpress_core::advice::Advice;

/// Why a source is not brought in.
#[derive(Debug, Error)]
pub enum ImportError {
    /// It has no database.
    #[error("{path} has no database: neither a dump nor an SQLite database")]
    NoDatabase {
        /// The source.
        path: PathBuf,
    },
    /// Its database is no WordPress's.
    #[error("the database of {path} has no tables of a WordPress: {}", listed(tables))]
    NoWordPress {
        /// The source.
        path: PathBuf,
        /// The tables that it has.
        tables: Vec<String>,
    },
    /// Nothing says where its media library is, which is to stay out.
    #[error("{path} does not say at which address it was")]
    NoAddress {
        /// The source.
        path: PathBuf,
    },
    /// The source can't be read, or may not be unpacked.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The dump is wrong, or can't be loaded.
    #[error(transparent)]
    Dump(#[from] DumpError),
    /// The new address is none.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// What WordPress says of itself can't be read.
    #[error(transparent)]
    WordPress(#[from] WordPressError),
    /// The new database can't be written.
    #[error("cannot write the database {path}")]
    Database {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// People's data in the database can't be replaced.
    #[error("cannot replace people's data in {path}")]
    Scrub {
        /// The database.
        path: PathBuf,
        /// Why.
        source: ScrubError,
    },
    /// A folder can't be read.
    #[error("cannot read {path}")]
    Walk {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A step on the disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Advice for ImportError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::NoDatabase { .. } => {
                Some("put a dump (.sql, .sql.gz) of the database beside the files, and try again".to_owned())
            }
            Self::NoWordPress { .. } => {
                Some("export the database that wp-config.php names: its DB_NAME and $table_prefix".to_owned())
            }
            Self::NoAddress { .. } => Some("leave --without-uploads out: nobody knows where they are".to_owned()),
            Self::Source(error) => error.hint(),
            Self::Dump(error) => error.hint(),
            Self::Address(error) => error.hint(),
            Self::WordPress(_) | Self::Database { .. } | Self::Scrub { .. } | Self::Walk { .. } | Self::Disk(_) => None,
        }
    }
}

fn listed(tables: &[String]) -> String {
    match tables {
        [] => "it has none at all".to_owned(),
        tables => format!("it has {}", tables.join(", ")),
    }
}
