//! What the overview and the log show: plain values. Where they come from, the [`backstage`](crate::backstage) knows.

use std::time::Duration;

use forkpress_core::name::BranchName;
pub use forkpress_engine::mutation::history::Operation;

/// The branches of a site, and what happened to them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overview {
    /// The branches, `main` first, then by name.
    pub branches: Vec<BranchFacts>,
    /// The operations that the log still has, newest first.
    pub operations: Vec<Happened>,
}

/// A branch.
#[derive(Clone, Debug, PartialEq)]
pub struct BranchFacts {
    /// Its name.
    pub name: BranchName,
    /// The branch whose tree it has; none for the first `main`.
    pub from: Option<BranchName>,
    /// When it got that: seconds since 1970.
    pub at: u64,
    /// The operation that gave it that, where its record says so.
    pub operation: Option<u64>,
    /// Whether its code is compiled already; none where nobody serves the site.
    pub is_warm: Option<bool>,
    /// PHP's errors in the last 24 hours; none where they are not counted yet.
    pub errors: Option<u64>,
    /// The jobs that run and name it.
    pub jobs: Vec<String>,
    /// What takes long to find out; none until it is known.
    pub digest: Option<Digest>,
    /// Why it can't be used; none where it can.
    pub problem: Option<String>,
}

/// What of a branch takes long to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// What it changed since it parted.
    pub changes: Compared,
    /// What only it holds on the disk; none where the file system does not tell.
    pub exclusive_bytes: Option<u64>,
}

/// What came of comparing a branch with the one that it parted from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// It came from no other.
    Origin,
    /// It changed so much.
    Changed(Changes),
    /// It can't be compared, and why.
    Failed(String),
}

/// How much a branch changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files.
    pub files: u64,
    /// Objects of WordPress, by what they are called: `page`, `option`.
    pub objects: Vec<(String, u64)>,
    /// Tables that came, went or were altered, or in which rows changed.
    pub tables: u64,
    /// Rows in those.
    pub rows: u64,
}

/// Whether an operation can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// It can.
    Can,
    /// It was, by this operation.
    WasBy(u64),
    /// What it took away is not kept any more.
    Lost,
}

/// An operation, as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// Its number.
    pub id: u64,
    /// What was done.
    pub operation: Operation,
    /// To which branches.
    pub names: Vec<BranchName>,
    /// The branch whose tree, or whose changes, they got.
    pub from: Option<BranchName>,
    /// The operation that it took back.
    pub undoes: Option<u64>,
    /// The operation that took it back.
    pub undone_by: Option<u64>,
    /// Whether it can be undone now.
    pub can_be_undone: bool,
    /// In the words of the command line.
    pub words: String,
    /// When it began: seconds since 1970.
    pub at: u64,
    /// Who ran it. Not trusted.
    pub user: String,
    /// The process that ran it.
    pub pid: u32,
    /// The program that ran it. Not trusted.
    pub program: String,
    /// How long it took; none where it died and was finished later.
    pub took: Option<Duration>,
    /// For how long it kept requests out.
    pub held: Option<Duration>,
}

impl Happened {
    /// Whether it can be undone.
    #[must_use]
    pub fn undo(&self) -> Undo {
        match self.undone_by {
            Some(by) => Undo::WasBy(by),
            None if self.can_be_undone => Undo::Can,
            None => Undo::Lost,
        }
    }
}

impl Overview {
    /// The newest operation that changed a branch.
    #[must_use]
    pub fn last(&self, name: &BranchName) -> Option<&Happened> {
        self.operations.iter().find(|operation| operation.names.contains(name))
    }
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    pub(crate) fn name(text: &str) -> BranchName {
        text.parse().expect("a branch name")
    }

    /// A branch of which all is known.
    pub(crate) fn branch(text: &str, from: Option<&str>, at: u64) -> BranchFacts {
        BranchFacts {
            name: name(text),
            from: from.map(name),
            at,
            operation: None,
            is_warm: Some(true),
            errors: Some(0),
            jobs: Vec::new(),
            digest: Some(Digest { changes: Compared::Origin, exclusive_bytes: Some(1000) }),
            problem: None,
        }
    }

    /// An operation on one branch.
    pub(crate) fn happened(id: u64, operation: Operation, text: &str, from: Option<&str>) -> Happened {
        Happened {
            id,
            operation,
            names: vec![name(text)],
            from: from.map(name),
            undoes: None,
            undone_by: None,
            can_be_undone: true,
            words: format!("{operation:?} {text}").to_lowercase(),
            at: 1000 * id,
            user: "me".to_owned(),
            pid: 7,
            program: "forkpress".to_owned(),
            took: Some(Duration::from_millis(12)),
            held: Some(Duration::from_micros(800)),
        }
    }
}
