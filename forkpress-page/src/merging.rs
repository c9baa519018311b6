//! The places where a branch is compared and merged.

use std::io::{self, Seek, Write};

use forkpress_core::name::BranchName;
use forkpress_engine::merge::Side;
use hyper::StatusCode;

use crate::action::Order;
use crate::backstage::Failed;
use crate::form::Fields;
use crate::merge_form::{Decisions, Step, Trial, step};
use crate::reply::{self, Reply};
use crate::views::changes::{self, Changes, Part};
use crate::views::merge::{self, Merge, Pair};
use crate::{Inner, Visit};

impl Inner {
    /// What a branch changed.
    pub(crate) fn changes(&self, name: &BranchName, visit: &Visit<'_>) -> Result<Reply, Failed> {
        let part = Part::of(&visit.query);
        let names = self.backstage.names()?;
        let diff = self.backstage.changes(name, part.against.as_ref(), part.window())?;
        let changes = Changes { name, diff: diff.as_ref(), names: &names, part: &part };
        Ok(visit.html(StatusCode::OK, changes::page(&changes, visit.at, &visit.visitor)))
    }

    /// What a merge would do, or where somebody chooses which.
    pub(crate) fn show_merge(&self, visit: &Visit<'_>) -> Result<Reply, Failed> {
        match pair(&visit.query) {
            Err(problem) => self.choose(&visit.query, problem, visit),
            Ok(pair) => self.trial(&pair, &Decisions::default(), StatusCode::OK, 0, visit),
        }
    }

    /// Starts a merge in which all is decided; else says what is left.
    pub(crate) fn merge(&self, fields: &Fields, visit: &Visit<'_>) -> Result<Reply, Failed> {
        let pair = match pair(fields) {
            Err(problem) => return self.choose(fields, problem.or(Some("Choose both branches.")), visit),
            Ok(pair) => pair,
        };
        let mut decisions = Decisions::read(fields);
        let filled = match fields.get("all") {
            Some("ours") => Some(Side::Ours),
            Some("theirs") => Some(Side::Theirs),
            _ => None,
        };
        let trial = |answers: Option<&str>| self.backstage.try_merge(&pair.source, &pair.into, answers);
        let show = |trial: &Trial, decisions: &Decisions, is_sent: bool, stale: usize, failed: Option<&Failed>| {
            let status = if is_sent { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
            let merge = Merge { pair: &pair, trial, decisions, is_sent, stale, failed };
            visit.html(status, merge.page(visit.at, &visit.visitor))
        };
        if let Some(side) = filled {
            let trial = trial(None)?;
            if let Trial::Conflicts(conflicts) = &trial {
                decisions.fill(conflicts, side);
            }
            return Ok(show(&trial, &decisions, false, 0, None));
        }
        let failed = match step(&decisions, trial) {
            Ok(Step::Nothing) => return Ok(show(&Trial::Nothing, &decisions, true, 0, None)),
            Ok(Step::Ask { conflicts, stale }) if conflicts.is_empty() => {
                return self.trial(&pair, &decisions, StatusCode::UNPROCESSABLE_ENTITY, stale, visit);
            }
            Ok(Step::Ask { conflicts, stale }) => {
                return Ok(show(&Trial::Conflicts(conflicts), &decisions, true, stale, None));
            }
            Ok(Step::Merge(answers)) => match self.begin(&pair, answers.as_deref()) {
                Ok(reply) => return Ok(reply(visit)),
                Err(failed) => failed,
            },
            Err(failed) => failed,
        };
        // With the form as it was sent: an answer may be what did not fit.
        Ok(show(&trial(None)?, &decisions, true, 0, Some(&failed)))
    }

    fn begin(&self, pair: &Pair, answers: Option<&str>) -> Result<impl Fn(&Visit<'_>) -> Reply + use<>, Failed> {
        let Pair { source, into } = pair;
        let mut words = ["branch", "merge", source.as_str(), "--into", into.as_str()].map(str::to_owned).to_vec();
        let unkept = |error: io::Error| Failed {
            error: "cannot keep the answers".to_owned(),
            causes: vec![error.to_string()],
            ..Failed::default()
        };
        let stdin = answers.map(kept).transpose().map_err(unkept)?;
        if stdin.is_some() {
            words.extend(["--resolve", "-"].map(str::to_owned));
        }
        let job = self.backstage.start(Order { words, title: format!("merge {source} into {into}"), stdin })?;
        Ok(move |visit: &Visit<'_>| reply::see_other(&format!("/jobs/{job}"), visit.at))
    }

    fn trial(
        &self,
        pair: &Pair,
        decisions: &Decisions,
        status: StatusCode,
        stale: usize,
        visit: &Visit<'_>,
    ) -> Result<Reply, Failed> {
        let trial = self.backstage.try_merge(&pair.source, &pair.into, None)?;
        let merge = Merge { pair, trial: &trial, decisions, is_sent: false, stale, failed: None };
        Ok(visit.html(status, merge.page(visit.at, &visit.visitor)))
    }

    fn choose(&self, fields: &Fields, problem: Option<&str>, visit: &Visit<'_>) -> Result<Reply, Failed> {
        let names = self.backstage.names()?;
        let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
        let (source, into) = (fields.get("source"), fields.get("into"));
        Ok(visit.html(status, merge::choose(&names, source, into, problem, &visit.visitor)))
    }
}

/// Which branch is to be merged into which; else what is wrong, where anything was said.
fn pair(fields: &Fields) -> Result<Pair, Option<&'static str>> {
    let (Some(source), Some(into)) = (fields.get("source"), fields.get("into")) else { return Err(None) };
    let (Ok(source), Ok(into)) = (source.parse(), into.parse()) else { return Err(Some("There is no such branch.")) };
    if source == into { Err(Some("A branch can not be merged into itself.")) } else { Ok(Pair { source, into }) }
}

/// A file without a name that nobody else can read, for a command to read from its begin.
fn kept(answers: &str) -> io::Result<std::fs::File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(answers.as_bytes())?;
    file.rewind()?;
    Ok(file)
}
