//! What a branch changed, and what a merge would do: by what `forkpress branch diff` and `forkpress branch merge` have.

use std::time::Duration;

use forkpress_core::deadline::Deadline;
use forkpress_core::lock::Patience;
use forkpress_core::name::BranchName;
use forkpress_engine::branch;
use forkpress_engine::merge::answers::Answers;
use forkpress_engine::merge::branches::{self, Outcome, Request};
use forkpress_engine::merge::diff::{self, Diff, Options, Since, Window};
use forkpress_engine::progress::Silent;
use forkpress_engine::site::Site;
use forkpress_page::backstage::Failed;
use forkpress_page::merge_form::Trial;

use super::{failed, of_branch};

/// How long a page waits for others who change the branch that is merged into.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn changes(
    site: &Site,
    name: &BranchName,
    against: Option<&BranchName>,
    window: Window,
) -> Result<Option<(Diff, Since)>, Failed> {
    let from = branch::show(site, name).map_err(of_branch)?.record.from;
    let since = match (against, from) {
        (Some(base), _) => Since::Branch(branch::show(site, base).map_err(of_branch)?.name),
        (None, Some(target)) => Since::Parting(target),
        (None, None) => return Ok(None),
    };
    let options = Options { window: Some(window), ..Options::default() };
    let diff = diff::diff(site, name, &since, &options).map_err(failed)?;
    Ok(Some((diff, since)))
}

pub(super) fn try_merge(
    site: &Site,
    source: &BranchName,
    into: &BranchName,
    answers: Option<&str>,
) -> Result<Trial, Failed> {
    for name in [source, into] {
        branch::show(site, name).map_err(of_branch)?;
    }
    let mut read = Answers::default();
    if let Some(answers) = answers {
        read.read(answers).map_err(failed)?;
    }
    let request = Request { source, target: into, base: None, answers: read, dry_run: true };
    let mut patience = Patience::silent(Deadline::after(PATIENCE));
    Ok(match branches::merge(site, &request, &mut patience, &Silent).map_err(failed)? {
        Outcome::Conflicts(conflicts) => Trial::Conflicts(conflicts),
        Outcome::WouldMerge(summary) | Outcome::Merged(_, summary) => Trial::Merges(summary),
        Outcome::Nothing => Trial::Nothing,
    })
}
