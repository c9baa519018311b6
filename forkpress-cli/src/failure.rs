//! Failures: what failed, why, what to type next, and the exit status.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use forkpress_core::advice::Advice;
use forkpress_core::lock::LockError;
use forkpress_engine::branch::BranchError;
use forkpress_engine::config::ConfigError;
use forkpress_engine::export::ExportError;
use forkpress_engine::git::receive::PushError;
use forkpress_engine::import::ImportError;
use forkpress_engine::jobs::JobError;
use forkpress_engine::merge::base::BaseError;
use forkpress_engine::merge::branches::MergeError;
use forkpress_engine::merge::diff::DiffError;
use forkpress_engine::mutation::convert::ConvertError;
use forkpress_engine::mutation::{
    ChangeError, CreateError, DeleteError, RecoverError, ResetError, StepError, UndoError,
};
use forkpress_engine::registry::RegistryError;
use forkpress_engine::remote::RemoteError;
use forkpress_engine::site::SiteError;
use forkpress_engine::source::{PatternError, SourceError};
use forkpress_engine::storage::StorageError;
use forkpress_engine::trust::TrustError;
use forkpress_server::tls::AuthorityError;
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
    /// Whether all of it stands on standard output already.
    #[serde(skip)]
    pub told: bool,
}

impl Failure {
    /// A refusal, or a failure without a cause.
    pub fn new(error: impl Into<String>) -> Self {
        Self { error: error.into(), causes: Vec::new(), hint: None, exit: FAILED, unread: false, told: false }
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

    /// The same where all of it stands on standard output already.
    #[must_use]
    pub fn told(self) -> Self {
        Self { told: true, ..self }
    }

    /// The same with another exit status.
    #[must_use]
    pub fn exit(self, exit: u8) -> Self {
        Self { exit, ..self }
    }

    /// The same as an error with its causes, for what calls back. The hint is lost.
    pub fn into_error(self) -> Box<dyn Error + Send + Sync> {
        let chain = std::iter::once(self.error).chain(self.causes);
        let errors = chain.collect::<Vec<_>>().into_iter().rev();
        let error = errors.fold(None, |cause: Option<anyhow::Error>, error| {
            Some(cause.map_or_else(|| anyhow::anyhow!(error.clone()), |cause| cause.context(error.clone())))
        });
        error.expect("a failure says what failed").into()
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
        let advice = error.chain().find_map(advice);
        let unread =
            error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe);
        let hint = advice.and_then(Advice::hint);
        let exit = if advice.is_some_and(Advice::is_passing) { BUSY } else { FAILED };
        Self { error: error.to_string(), causes, hint, exit, unread, told: false }
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

/// Sees an error as one that has advice, if it is of a certain type.
type AsAdvice = for<'e> fn(&'e (dyn Error + 'static)) -> Option<&'e dyn Advice>;

/// The errors with advice that a command may get, by themselves or as the source of others.
const KNOWN: [AsAdvice; 26] = [
    known::<AuthorityError>,
    known::<BaseError>,
    known::<BranchError>,
    known::<ChangeError>,
    known::<ConfigError>,
    known::<ConvertError>,
    known::<CreateError>,
    known::<DeleteError>,
    known::<DiffError>,
    known::<ExportError>,
    known::<ImportError>,
    known::<SourceError>,
    known::<PatternError>,
    known::<JobError>,
    known::<MergeError>,
    known::<LockError>,
    known::<PushError>,
    known::<RecoverError>,
    known::<RegistryError>,
    known::<RemoteError>,
    known::<ResetError>,
    known::<SiteError>,
    known::<StepError>,
    known::<StorageError>,
    known::<TrustError>,
    known::<UndoError>,
];

fn known<'e, E: Error + Advice + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e dyn Advice> {
    error.downcast_ref::<E>().map(|error| error as &dyn Advice)
}

/// The advice of an error, where it has any.
fn advice<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e dyn Advice> {
    let advice = KNOWN.iter().find_map(|known| known(error))?;
    (advice.is_passing() || advice.hint().is_some()).then_some(advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use forkpress_core::lock::Busy;
    use forkpress_engine::config::FileView;
    use forkpress_engine::disk::DiskError;
    use forkpress_engine::export::PlaceError;
    use forkpress_engine::mutation::PutError;
    use forkpress_engine::mutation::refusal::Refusal;
    use forkpress_engine::source::Excluded;
    use std::io;

    fn timeout() -> LockError {
        LockError::Timeout(Busy { path: "operations.lock".into(), holders: Vec::new() })
    }

    #[test]
    fn a_busy_lock_is_75_however_deep_it_lies() {
        assert_eq!(Failure::from(timeout()).exit, 75);
        assert_eq!(Failure::from(UndoError::from(timeout())).exit, 75);
        assert_eq!(Failure::from(UndoError::from(timeout())).during("x").exit, 75);
        assert_eq!(Failure::from(DeleteError::Main).exit, 1);
    }

    #[test]
    fn what_a_mutation_is_refused_for_has_a_hint_in_a_push_too() {
        let source = DiskError { step: "make", path: "n".into(), source: io::ErrorKind::InvalidFilename.into() };
        let refused = || PutError::Refused { path: "n".into(), source: Refusal::Step(source) };
        let failure = Failure::from(PushError::from(ChangeError::from(refused())));
        assert_eq!(failure.error, "cannot change n");
        assert_eq!(failure.causes[0], "cannot make n");
        assert_eq!(failure.hint.as_deref(), Some("choose shorter names"));
    }

    #[test]
    fn every_error_that_has_advice_gives_it_to_a_failure() {
        let one_label = || AuthorityError::OneLabel { root_host: "x".to_owned() };
        let missing = || BranchError::Missing { name: "x".parse().unwrap() };
        let no_record = || BranchError::NoRecord { path: "x".into() };
        let newer = || ConfigError::Newer { path: "site.toml".into(), found: 2 };
        let trust = || TrustError::Config { path: "config.toml".into(), source: "x".into() };
        let exists = || ChangeError::Exists { name: "x".parse().unwrap() };
        let parted = || BaseError::NoParting { source_branch: "x".parse().unwrap(), target: "main".parse().unwrap() };
        let in_the_way = || PlaceError::Exists { path: "main.zip".into() };
        let unknown = || DiffError::Unknown { name: "y".to_owned() };
        let no_database = || ImportError::NoDatabase { path: "x".into() };
        let nothing = || SourceError::Unknown { path: "x".into(), seen: "a PDF".to_owned() };
        let hints: [(Failure, &str); KNOWN.len()] = [
            (one_label().into(), "choose a host with a dot: --root-host wp.localhost"),
            (parted().into(), "forkpress branch reset x --from main"),
            (missing().into(), "forkpress branch list"),
            (exists().into(), "forkpress branch reset x --from BRANCH, or choose another name"),
            (newer().into(), "use the forkpress that made this site, or a newer one"),
            (ConvertError::Same(FileView::FileCopy).into(), "forkpress doctor storage says what works here"),
            (CreateError::from(exists()).into(), "forkpress branch reset x --from BRANCH, or choose another name"),
            (DeleteError::Main.into(), "forkpress branch reset main --from BRANCH --force"),
            (MergeError::IntoItself.into(), "name the branch that it is to come home to: --into BRANCH"),
            (ExportError::from(in_the_way()).into(), "give --force to replace it"),
            (unknown().into(), "name a file or a folder as the branch has it, or a table"),
            (no_database().into(), "of the database beside the files, and try again"),
            (nothing().into(), "another ForkPress site; WXR (.xml)"),
            (JobError::Missing { id: "7".parse().unwrap() }.into(), "forkpress jobs"),
            (Excluded::parse(&["{"]).unwrap_err().into(), "--exclude 'wp-content/uploads/2019'"),
            (timeout().into(), "try again when it has ended, or wait longer with --timeout SECONDS"),
            (PushError::from(ChangeError::from(no_record())).into(), "leaves it alone: move it away by hand"),
            (RecoverError::Converted.into(), "type the command again"),
            (RegistryError::NoFolder.into(), "set FORKPRESS_STATE_DIR to a folder of your own"),
            (RemoteError::Option { option: "--inside" }.into(), "name the folder by its own address"),
            (ResetError::FromItself.into(), "name the branch to clone: --from BRANCH"),
            (SiteError::from(newer()).into(), "use the forkpress that made this site, or a newer one"),
            (StepError::from(missing()).into(), "forkpress branch list"),
            (StorageError::NoImage.into(), "forkpress storage status"),
            (trust().into(), "fix it or remove it"),
            (UndoError::NothingToUndo.into(), "forkpress log"),
        ];
        for (failure, hint) in hints {
            assert!(failure.hint.as_ref().is_some_and(|said| said.ends_with(hint)), "{failure} instead of {hint}");
        }
    }

    #[test]
    fn a_conversion_that_cannot_be_ended_says_what_is_in_its_way() {
        let foreign = StorageError::Foreign { mount: "/mnt".into() };
        let failure = Failure::from(RecoverError::Conversion(Box::new(foreign.into())));
        assert_eq!(failure.error, "a conversion of the storage is not finished");
        assert_eq!(failure.hint.as_deref(), Some("umount /mnt"));
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
