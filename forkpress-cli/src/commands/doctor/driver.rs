//! `forkpress doctor driver`: says which SQLite driver each branch has, and whether a newer one is there.

use std::path::Path;
use std::process::ExitCode;

use forkpress_core::driver::{self, Version};
use forkpress_core::name::BranchName;
use forkpress_engine::branch;
use serde_json::{Value, json};

use crate::commands::update::Offer;
use crate::failure::Failure;
use crate::{output, site};

/// What is known of the driver of a branch.
struct Finding {
    branch: BranchName,
    /// Where it is in the branch; none where there is none.
    place: Option<String>,
    version: Option<Version>,
}

/// Reports on every branch. Gives exit status 1 where one has no driver, or an older one than is there.
pub fn run(work_dir: Option<&Path>, as_json: bool) -> Result<ExitCode, Failure> {
    let site = site::open(work_dir)?;
    let offer = Offer::of(&site)?;
    let mut findings = Vec::new();
    for branch in branch::list(&site)? {
        let place = driver::find(&branch.path);
        let version = place.as_ref().and_then(|place| Version::of(&branch.path.join(place)));
        findings.push(Finding { branch: branch.name, place: place.map(|place| place.display().to_string()), version });
    }
    if as_json {
        let branches: Vec<_> = findings.iter().map(|finding| row(finding, offer.version())).collect();
        output::json(&json!({ "newest": offer.version().to_string(), "branches": branches }))?;
    } else {
        output::line("ForkPress driver report")?;
        output::line(format_args!("newest:    {} (comes with forkpress)", offer.version()))?;
        for finding in &findings {
            output::line(sentence(finding, offer.version()))?;
        }
        if findings.iter().any(|finding| is_old(finding, offer.version())) {
            output::line("next: forkpress update driver")?;
        }
    }
    let is_right = findings.iter().all(|finding| finding.version.is_some() && !is_old(finding, offer.version()));
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_old(finding: &Finding, newest: &Version) -> bool {
    finding.version.as_ref().is_some_and(|version| version < newest)
}

fn sentence(finding: &Finding, newest: &Version) -> String {
    let Finding { branch, place, version } = finding;
    match (place, version) {
        (None, _) => format!("missing:   '{branch}' has no driver"),
        (Some(place), None) => format!("unknown:   '{branch}' has one in {place} that does not say its version"),
        (Some(place), Some(version)) => {
            let word = if is_old(finding, newest) { "older:" } else { "ok:" };
            format!("{word:<11}'{branch}' has {version} in {place}")
        }
    }
}

fn row(finding: &Finding, newest: &Version) -> Value {
    let version = finding.version.as_ref().map(ToString::to_string);
    json!({ "branch": finding.branch.as_str(), "place": finding.place, "version": version, "older": is_old(finding, newest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_branch_with_an_older_driver_is_told_from_others() {
        let newest = Version::parse("3.0.2").unwrap();
        let said = |version: &str, place: Option<&str>| {
            let (branch, place) = (BranchName::main(), place.map(str::to_owned));
            sentence(&Finding { branch, place, version: Version::parse(version) }, &newest)
        };
        assert_eq!(said("2.2.23", Some("p")), "older:     'main' has 2.2.23 in p");
        assert_eq!(said("3.1.0", Some("p")), "ok:        'main' has 3.1.0 in p");
        assert!(said("x", Some("p")).starts_with("unknown:") && said("x", None).starts_with("missing:"));
    }
}
