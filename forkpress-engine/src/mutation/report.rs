//! What a mutation is made from, and what it did.

use std::fmt;
use std::time::Duration;

use super::history::LogEntry;
use forkpress_core::name::BranchName;

/// What a mutation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the log has of it.
    pub operation: LogEntry,
    /// The number of the publish.
    pub generation: u64,
    /// For how long requests were kept out.
    pub held: Duration,
    /// The files and folders of the tree that was cloned; zero where none was.
    pub entries: u64,
    /// What changed in the source while the tree was prepared, and was taken again.
    pub retaken: u64,
    /// What was done first, because another process had died.
    pub recovered: Option<Recovered>,
}

/// What was done about a process that died in a mutation. [Displayed](fmt::Display), it is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The operation that had been about to publish, and whether it was finished rather than taken back; none where only
    /// a tree in staging was left.
    pub finished: Option<(LogEntry, bool)>,
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((entry, after)) = &self.finished else {
            return f.write_str("removed what a command that died had prepared");
        };
        let end = if *after { "finished" } else { "took back" };
        write!(f, "{end} '{entry}', in which process {} died", entry.pid)
    }
}

/// A branch to take files and a database from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its name.
    pub branch: &'a BranchName,
    /// Whether its running requests are not waited for: what one of them is half done with is taken half done. The database
    /// is whole all the same.
    pub beside: bool,
}

impl<'a> From<&'a BranchName> for Source<'a> {
    fn from(branch: &'a BranchName) -> Self {
        Self { branch, beside: false }
    }
}
