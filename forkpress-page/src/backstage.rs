//! What the page knows of a site, and does to it: all by the functions that the command has for the same.

use std::fmt;
use std::fs::File;
use std::time::{Duration, SystemTime};

use forkpress_core::name::BranchName;
use forkpress_engine::activity::Sample;
use forkpress_engine::jobs::{Job, JobId};
use forkpress_engine::merge::diff::{Diff, Since, Window};

use crate::action::Order;
use crate::facts::{Happened, Overview};
use crate::hub::Bell;
use crate::merge_form::Trial;
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
    /// Whether there is no such thing.
    pub is_missing: bool,
}

/// A branch, as its own page shows it.
#[derive(Clone, Debug)]
pub struct Detail {
    /// Its name.
    pub name: BranchName,
    /// The branch that it was made from.
    pub from: Option<BranchName>,
    /// When it was made, as RFC 3339 has it.
    pub created: String,
    /// What was done to it, newest first.
    pub operations: Vec<Happened>,
    /// What it sent, newest first.
    pub mails: Vec<MailHead>,
    /// The last lines that PHP's log has of it, oldest first.
    pub errors: Vec<String>,
    /// Its requests that run.
    pub requests: Vec<Running>,
}

/// A mail, as a list has it.
#[derive(Clone, Debug)]
pub struct MailHead {
    /// Its number.
    pub id: u64,
    /// When it was sent, as RFC 3339 has it.
    pub at: String,
    /// To whom.
    pub to: Vec<String>,
    /// Its subject.
    pub subject: String,
}

/// A mail.
#[derive(Clone, Debug)]
pub struct Mail {
    /// What a list has of it.
    pub head: MailHead,
    /// From whom.
    pub from: Vec<String>,
    /// Its text.
    pub text: String,
    /// What is attached: names and sizes.
    pub attachments: Vec<(String, u64)>,
}

/// A file of a branch that may be why it is broken.
#[derive(Clone, Debug)]
pub struct Suspect {
    /// Its path in the branch.
    pub path: String,
    /// When it or what is known of it was written last.
    pub at: SystemTime,
}

/// A request that runs.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its method.
    pub method: String,
    /// What it asks for.
    pub path: String,
    /// How far it is.
    pub state: String,
    /// For how long it has been running.
    pub age: Duration,
}

/// A job, and what it told.
#[derive(Clone, Debug)]
pub struct Told {
    /// The job.
    pub job: Job,
    /// Its progress, line by line.
    pub lines: Vec<String>,
    /// What its command answered; none while it runs, and where that is no JSON.
    pub answer: Option<serde_json::Value>,
    /// How long what its command wrote is, in bytes; none where that is not kept any more.
    pub output: Option<u64>,
}

/// The command, as the page knows it.
pub trait Backstage: fmt::Debug + Send + Sync {
    /// The branches that there are, `main` first.
    ///
    /// # Errors
    /// Where the site can't be read.
    fn names(&self) -> Result<Vec<BranchName>, Failed>;

    /// All that there is to know of a branch at once.
    ///
    /// # Errors
    /// Where there is no such branch, or it can't be read.
    fn detail(&self, name: &BranchName) -> Result<Detail, Failed>;

    /// The files of a branch that may be why it is broken, those that were written last before the others: since a moment, or
    /// where none is given, all that it changed since it parted from the one that it came from. None where that can't be known.
    fn suspects(&self, name: &BranchName, since: Option<SystemTime>) -> Vec<Suspect>;

    /// A mail that a branch sent.
    ///
    /// # Errors
    /// Where there is no such mail, or it can't be read.
    fn mail(&self, name: &BranchName, id: u64) -> Result<Mail, Failed>;

    /// The jobs, newest first.
    ///
    /// # Errors
    /// Where they can't be read.
    fn jobs(&self) -> Result<Vec<Job>, Failed>;

    /// A job.
    ///
    /// # Errors
    /// Where there is none, or it can't be read.
    fn job(&self, id: JobId) -> Result<Told, Failed>;

    /// What the command of a job wrote to standard output: the file that an export makes.
    ///
    /// # Errors
    /// Where there is no such job, or it can't be read.
    fn made(&self, id: JobId) -> Result<File, Failed>;

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

    /// What a branch changed since it parted from the one that it came from, or what is not the same as in another one now. A part
    /// of it has its texts. None where it came from no other branch, and none is named.
    ///
    /// # Errors
    /// Where there is no such branch, or it can't be compared.
    fn changes(
        &self,
        name: &BranchName,
        against: Option<&BranchName>,
        window: Window,
    ) -> Result<Option<(Diff, Since)>, Failed>;

    /// What a merge would do. `answers`: a list as `forkpress branch merge --resolve` reads it.
    ///
    /// # Errors
    /// Where there is no such branch, or no merge can be made.
    fn try_merge(&self, source: &BranchName, into: &BranchName, answers: Option<&str>) -> Result<Trial, Failed>;

    /// Starts a command as a job, and says its number.
    ///
    /// # Errors
    /// Where no job can be made.
    fn start(&self, order: Order) -> Result<JobId, Failed>;

    /// Has a job end as Ctrl-C does.
    ///
    /// # Errors
    /// Where it does not run.
    fn cancel(&self, id: JobId) -> Result<(), Failed>;
}
