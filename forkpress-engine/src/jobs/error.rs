//! Why there is no such job, or why it did not start.

use std::io;
use std::path::PathBuf;

use forkpress_core::advice::Advice;
use thiserror::Error;

use super::JobId;
use crate::disk::DiskError;

/// Something about a job that failed.
#[derive(Debug, Error)]
pub enum JobError {
    /// There is no job with this number.
    #[error("there is no job {id}")]
    Missing {
        /// The number.
        id: JobId,
    },
    /// The job does not run.
    #[error("job {id} does not run")]
    NotRunning {
        /// Its number.
        id: JobId,
    },
    /// What is in the place of a job's folder, or in it, is not what a job has there.
    #[error("{path} is not what a job has there")]
    Odd {
        /// Where it is.
        path: PathBuf,
    },
    /// A step failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The program can't be run.
    #[error("cannot run {program}")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The runner ended before it began.
    #[error("cannot start the job: {said}")]
    NotStarted {
        /// What it said.
        said: String,
    },
    /// A process that nobody started as the runner of the job wants to be it.
    #[error("a job is run by what starts it, and by nobody else")]
    NotTheRunner,
}

impl Advice for JobError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some("forkpress jobs".to_owned()),
            Self::NotRunning { id } => Some(format!("forkpress jobs {id}")),
            Self::Odd { path } => Some(format!("look at it with: ls -l {}", path.display())),
            Self::Disk(_) | Self::Spawn { .. } | Self::NotStarted { .. } | Self::NotTheRunner => None,
        }
    }
}
