//! What the page knows of a site, and does to it: all by the functions that the command has for the same.

use std::fmt;
use std::path::PathBuf;

use forkpress_core::name::BranchName;
use forkpress_engine::activity::Sample;

use crate::facts::{Happened, Overview};
use crate::hub::Bell;
use crate::watch::Watched;

/// What failed, in the words of the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// What, a lower-case fragment.
    pub error: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
}

/// A command that is to run as a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What a person would type after `forkpress`.
    pub words: Vec<String>,
    /// A file that it reads, which becomes the job's: it is the last word then.
    pub file: Option<PathBuf>,
}

/// The command, as the page knows it.
pub trait Backstage: fmt::Debug + Send + Sync {
    /// The branches that there are, `main` first.
    ///
    /// # Errors
    /// Where the site can't be read.
    fn names(&self) -> Result<Vec<BranchName>, Failed>;

    /// Starts a command as a job, and says its id.
    ///
    /// # Errors
    /// Where no job can be made.
    fn start(&self, order: Order) -> Result<String, Failed>;

    /// The branches and what happened to them, as far as it is known at once.
    ///
    /// # Errors
    /// Where the site can't be read.
    fn overview(&self) -> Result<Overview, Failed>;

    /// Has what takes long found out of these branches, in the background. The [bell](Self::tell) is rung when more is known.
    fn find_out(&self, names: Vec<BranchName>);

    /// The operations, newest first.
    ///
    /// # Errors
    /// Where the log can't be read.
    fn operations(&self) -> Result<Vec<Happened>, Failed>;

    /// What goes on now.
    ///
    /// # Errors
    /// Where the site can't be read.
    fn sample(&self) -> Result<Sample, Failed>;

    /// The folders whose changes are news for those who look at the page.
    fn watched(&self) -> Vec<Watched>;

    /// Says what to ring when there are other news than those of the folders. Called once, before all else.
    fn tell(&self, bell: Bell);
}
