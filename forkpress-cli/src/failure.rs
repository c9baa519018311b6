//! Failures: what failed, why, what to type next, and the exit status.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use forkpress_core::layout::SiteLayout;
use forkpress_core::lock::{Busy, LockError};
use forkpress_engine::branch::BranchError;
use forkpress_engine::config::ConfigError;
use forkpress_engine::git::receive::PushError;
use forkpress_engine::mutation::MutationError;
use forkpress_engine::mutation::convert::ConvertError;
use forkpress_engine::mutation::refusal::Refusal;
use forkpress_engine::registry::RegistryError;
use forkpress_engine::site::SiteError;
use forkpress_engine::storage::StorageError;
use forkpress_engine::trust::TrustError;
use serde::{Deserialize, Serialize};

/// Refused or failed.
const FAILED: u8 = 1;

/// The lock stayed busy: trying again later may help (`EX_TEMPFAIL` of sysexits.h).
const BUSY: u8 = 75;

/// A command that did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What failed, a lower-case fragment.
    pub error: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// The next thing to type.
    pub hint: Option<String>,
    /// The exit status.
    pub exit: u8,
    /// Whether the reader of standard output is gone. Then there is nobody to tell, and nothing is printed.
    #[serde(skip)]
    pub unread: bool,
}

impl Failure {
    /// A refusal, or a failure without a cause.
    pub fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), causes: Vec::new(), hint: None, exit: FAILED, unread: false }
    }

    /// The same with the next thing to type, in place of a general hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same as the cause of something else that failed.
    #[must_use]
    pub fn during(mut self, what: impl Into<String>) -> Self {
        self.causes.insert(0, std::mem::replace(&mut self.error, what.into()));
        self
    }

    /// The same with a cause, after those it has.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// The same with another exit status.
    #[must_use]
    pub fn exit(self, exit: u8) -> Self {
        Self { exit, ..self }
    }

    /// The exit status as `main` returns it.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "forkpress: {}", self.error)?;
        self.causes.iter().try_for_each(|cause| write!(f, "\ncaused by: {cause}"))?;
        self.hint.iter().try_for_each(|hint| write!(f, "\n\nhint: {hint}"))
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::of(error.into())
    }
}

impl Failure {
    /// What failed and why, with the hint and the exit status where the cause is one that is known.
    pub fn of(error: anyhow::Error) -> Self {
        let causes = error.chain().skip(1).map(ToString::to_string).collect();
        let known = error.chain().find_map(known);
        let unread =
            error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe);
        let (hint, exit) = known.unwrap_or((None, FAILED));
        Self { error: error.to_string(), causes, hint, exit, unread }
    }
}

/// Says what was being done as an error came.
pub trait During<T> {
    /// Makes the error the cause of `what`.
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<Failure>> During<T> for Result<T, E> {
    fn during(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| error.into().during(what()))
    }
}

/// The hint and the exit status of an error of the core.
fn known(error: &(dyn Error + 'static)) -> Option<(Option<String>, u8)> {
    let refused = |hint: &str| Some((Some(hint.to_owned()), FAILED));
    if let Some(PushError::Mutation(error)) = error.downcast_ref() {
        return known(error);
    }
    if let Some(error) = error.downcast_ref::<MutationError>() {
        return match error {
            MutationError::Lock(LockError::Timeout(by)) => Some(busy(Some(by))),
            _ if error.is_busy() => Some(busy(None)),
            MutationError::Branch(error) | MutationError::Source { source: error, .. } => of_branch(error),
            MutationError::Converted => Some((Some("type the command again".to_owned()), BUSY)),
            MutationError::DeleteMain => refused("forkpress branch reset main --from BRANCH --force"),
            MutationError::ResetFromItself => refused("name the branch to clone: --from BRANCH"),
            MutationError::ResetMain => refused("add --force if main's files and database may be replaced"),
            MutationError::Exists { name } => {
                refused(&format!("forkpress branch reset {name} --from BRANCH, or choose another name"))
            }
            MutationError::InTheWay { path, .. } => {
                refused(&format!("move {} away, or choose another name", path.display()))
            }
            MutationError::NotKept { newest_undoable: Some(id), .. } => {
                refused(&format!("the newest that can be undone is operation {id}: forkpress undo {id}"))
            }
            MutationError::NoOperation { .. } | MutationError::NothingToUndo | MutationError::NotKept { .. } => {
                refused("forkpress log")
            }
            MutationError::Refused { source, .. } => refused(&of_refusal(source)),
            MutationError::Halfway { way_back, .. } => known(way_back.as_ref()),
            MutationError::NotPutBack { source, .. } => refused(&format!(
                "what it had is kept: make {} changeable again; then the next command, or the server, puts it back",
                source.path.display()
            )),
            MutationError::CopiesGone { name, path } => refused(&format!(
                "bring {} back if you can; or, to serve '{name}' as it is now, rename .forkpress/cow/branches/{name}.aside \
                 to {name}.toml and remove .forkpress/cow/journal/intent.toml",
                path.display()
            )),
            MutationError::Config(error) => known(error),
            MutationError::Undone { by, .. } => refused(&format!("forkpress undo {by} redoes it")),
            _ => None,
        };
    }
    if let Some(LockError::Timeout(by)) = error.downcast_ref() {
        return Some(busy(Some(by)));
    }
    if let Some(error) = error.downcast_ref::<BranchError>() {
        return of_branch(error);
    }
    if let Some(error) = error.downcast_ref::<ConvertError>() {
        return match error {
            ConvertError::Storage(error) => known(error),
            ConvertError::Mutation(error) => known(error),
            ConvertError::Same(_) | ConvertError::Unsupported(_) => {
                refused("forkpress doctor storage says what works here")
            }
            ConvertError::OldStays(_) => refused("end the programs that use it; then forkpress serve removes it"),
            ConvertError::Differs { .. } => None,
        };
    }
    if let Some(error) = error.downcast_ref::<StorageError>() {
        return match error {
            StorageError::Busy { .. } => refused("end these programs, or add --force to storage detach"),
            StorageError::Foreign { mount } => refused(&format!("umount {}", mount.display())),
            StorageError::NoImage => refused("forkpress storage status"),
            StorageError::NotSmaller { .. } => {
                refused("an image can't be made smaller; forkpress storage compact gives unused space back")
            }
            StorageError::Lock(LockError::Timeout(by)) => Some(busy(Some(by))),
            _ => None,
        };
    }
    match error.downcast_ref::<SiteError>() {
        Some(SiteError::NotFound { .. }) => {
            return refused("'forkpress init' makes a site in the current folder; --work-dir names one elsewhere");
        }
        Some(SiteError::NotASite { .. }) => {
            return refused("--work-dir takes the .forkpress folder of a site, as in --work-dir my-site/.forkpress");
        }
        Some(SiteError::Config(error)) => return known(error),
        Some(SiteError::Trust(error)) => return known(error),
        Some(SiteError::InBranch { outer, .. }) => {
            return refused(&format!("--work-dir {}", SiteLayout::at(outer).work_dir().display()));
        }
        Some(SiteError::NotReal { path }) => {
            return refused(&format!(
                "look at it with: ls -l {}; then remove it, or put there what it leads to",
                path.display()
            ));
        }
        _ => {}
    }
    match error.downcast_ref::<TrustError>() {
        Some(TrustError::Stranger { site, config, .. }) => {
            let site = site.display();
            let by_file = config.as_ref().map(|path| format!("add to {}: safe = [\"{site}\"]; or ", path.display()));
            return refused(&format!(
                "if you trust whoever made it, {}set FORKPRESS_SAFE={site}",
                by_file.unwrap_or_default()
            ));
        }
        Some(TrustError::Config { .. }) => {
            return refused("the file must be yours, and has a line safe = [\"/path/of/a/site\"]: fix it or remove it");
        }
        _ => {}
    }
    if let Some(ConfigError::Newer { .. }) = error.downcast_ref() {
        return refused("use the forkpress that made this site, or a newer one");
    }
    if let Some(ConfigError::Invalid { .. }) = error.downcast_ref() {
        return refused("fix the file by hand; docs/site-layout.md lists its settings");
    }
    match error.downcast_ref::<RegistryError>() {
        Some(RegistryError::NoFolder) => refused("set FORKPRESS_STATE_DIR to a folder of your own"),
        _ => None,
    }
}

/// What makes a path one that can be changed.
fn of_refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::LongPath { .. } => "choose a shorter path".to_owned(),
        Refusal::SameAs { .. } | Refusal::OtherName => "choose a name that differs by more than its case".to_owned(),
        Refusal::Fixed { path } => format!("lsattr -d {} shows the flag; chattr takes it away", path.display()),
        Refusal::Foreign { .. } => "ask its owner to move it".to_owned(),
        Refusal::Mounted { path } => format!("umount {}, or leave it as it is", path.display()),
        Refusal::NoRoom { path } => format!("make room where {} is", path.display()),
        Refusal::Step(error) => match error.source.kind() {
            io::ErrorKind::InvalidFilename => "choose shorter names".to_owned(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk".to_owned(),
            _ => format!("give the user who serves the site the right to change {}", error.path.display()),
        },
    }
}

/// What to do about a lock, or a database, that others kept.
fn busy(by: Option<&Busy>) -> (Option<String>, u8) {
    let end = match by.map(|busy| &busy.holders[..]) {
        Some([holder]) => format!("end it with 'kill {}', ", holder.pid),
        _ => String::new(),
    };
    (Some(format!("try again when it has ended, {end}or wait longer with --timeout SECONDS")), BUSY)
}

fn of_branch(error: &BranchError) -> Option<(Option<String>, u8)> {
    match error {
        BranchError::Detached => Some((Some("forkpress storage mount, or forkpress serve".to_owned()), FAILED)),
        BranchError::Missing { .. } => Some((Some("forkpress branch list".to_owned()), FAILED)),
        BranchError::NoRecord { .. } | BranchError::NotAFolder { .. } => {
            Some((Some("forkpress did not make it and leaves it alone: move it away by hand".to_owned()), FAILED))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use forkpress_engine::disk::DiskError;

    fn timeout() -> LockError {
        LockError::Timeout(Busy { path: "operations.lock".into(), holders: Vec::new() })
    }

    #[test]
    fn a_busy_lock_is_75_however_deep_it_lies() {
        assert_eq!(Failure::from(timeout()).exit, 75);
        assert_eq!(Failure::from(MutationError::from(timeout())).exit, 75);
        assert_eq!(Failure::from(MutationError::from(timeout())).during("x").exit, 75);
        assert_eq!(Failure::from(MutationError::DeleteMain).exit, 1);
    }

    #[test]
    fn what_a_mutation_is_refused_for_has_a_hint_in_a_push_too() {
        let source = DiskError { step: "make", path: "n".into(), source: io::ErrorKind::InvalidFilename.into() };
        let refused = || MutationError::Refused { path: "n".into(), source: Refusal::Step(source) };
        let failure = Failure::from(PushError::Mutation(refused()));
        assert_eq!(failure.error, "cannot change n");
        assert_eq!(failure.causes[0], "cannot make n");
        assert_eq!(failure.hint.as_deref(), Some("choose shorter names"));
    }

    #[test]
    fn a_failure_reads_what_why_and_what_next() {
        let failure =
            Failure::new("no such file").during("cannot read x").during("cannot start").hint("forkpress init");
        assert_eq!(
            failure.to_string(),
            "forkpress: cannot start\ncaused by: cannot read x\ncaused by: no such file\n\nhint: forkpress init"
        );
    }
}
