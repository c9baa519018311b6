//! `forkpress doctor branches`: finds absolute paths that lead to another branch, or to where the site was before.

use std::path::Path;
use std::process::ExitCode;

use forkpress_core::name::BranchName;
use forkpress_engine::branch;
use forkpress_engine::site::Site;
use forkpress_engine::wordpress::{self, ForeignPath};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::{output, site};

/// Reports on every branch. Gives exit status 1 where something stays wrong.
pub fn run(work_dir: Option<&Path>, as_json: bool) -> Result<ExitCode, Failure> {
    let site = site::open(work_dir)?;
    let (mut found, mut elsewhere) = (Vec::new(), Vec::new());
    for branch in branch::list(&site)? {
        elsewhere.extend(branch.record.uploads.map(|uploads| (branch.name.clone(), uploads.url)));
        let paths = wordpress::foreign_paths(&site.layout, &branch.name)?;
        found.extend(paths.into_iter().map(|path| (branch.name.clone(), path)));
    }
    if as_json {
        output::json(&found.iter().map(|(name, path)| row(name, path)).collect::<Vec<_>>())?;
    } else {
        output::line("ForkPress branches report")?;
        for (name, path) in &found {
            let word = if path.is_mapped { "mapped:" } else { "wrong:" };
            output::line(format_args!("{word:<9}{}", sentence(name, path)))?;
        }
        if found.is_empty() {
            output::line("wrong:   nothing")?;
        }
        for (name, url) in &elsewhere {
            output::line(format_args!("uploads: those that branch '{name}' lacks are at {url}"))?;
        }
    }
    let is_right = found.iter().all(|(_, path)| path.is_mapped);
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Warns of the paths of a branch that was just made. One that can't be looked at is as good as one without.
pub fn warn(site: &Site, name: &BranchName) {
    let paths = wordpress::foreign_paths(&site.layout, name).unwrap_or_default();
    for path in &paths {
        output::note(format_args!("forkpress: warning: {}", sentence(name, path)));
    }
    if paths.iter().any(|path| !path.is_mapped) {
        output::note("hint: write paths in wp-config.php with __DIR__; forkpress doctor branches lists what is left");
    }
}

fn sentence(name: &BranchName, path: &ForeignPath) -> String {
    let whose = match &path.branch {
        Some(other) => format!("a path of branch '{other}'"),
        None => "a path outside of the site".to_owned(),
    };
    let but = if path.is_mapped { "; it is served with its own" } else { "" };
    format!("{} of branch '{name}' is {whose}: {}{but}", path.place, path.path)
}

fn row(name: &BranchName, path: &ForeignPath) -> Value {
    json!({ "branch": name.as_str(), "place": path.place, "path": path.path, "of": path.branch, "mapped": path.is_mapped })
}
