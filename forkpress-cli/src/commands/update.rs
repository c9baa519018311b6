//! `forkpress update`: gives branches newer parts that come with ForkPress.

use std::path::{Path, PathBuf};

use forkpress_core::driver::{self, Version};
use forkpress_core::name::BranchName;
use forkpress_engine::branch;
use forkpress_engine::driver::{DriverUpdate, compare};
use forkpress_engine::mutation;
use forkpress_engine::site::Site;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bundle;
use crate::cli::UpdateDriverArgs;
use crate::commands::changed::patience;
use crate::failure::{During, Failure};
use crate::{clean, output, progress, site};

/// The driver that a branch can be given.
pub struct Offer {
    folder: PathBuf,
    version: Version,
    _unpacked: Option<TempDir>,
}

impl Offer {
    /// The driver that is in this program, else the one that the site has in reserve.
    pub fn of(site: &Site) -> Result<Self, Failure> {
        let unpacked = tempfile::tempdir().during(|| "cannot make a temporary folder".to_owned())?;
        let is_unpacked = bundle::write_driver(unpacked.path()).map_err(Failure::of)?;
        let unpacked = is_unpacked.then_some(unpacked);
        let reserve = || site.layout.runtime_dir();
        let folder = unpacked.as_ref().map_or_else(reserve, |dir| dir.path().to_owned()).join(driver::NAME);
        let version = Version::of(&folder).ok_or_else(|| Failure::new("this forkpress has no SQLite driver in it"))?;
        Ok(Self { folder, version, _unpacked: unpacked })
    }

    /// Its version.
    pub fn version(&self) -> &Version {
        &self.version
    }
}

/// A branch that was given another driver.
struct Updated {
    branch: BranchName,
    from: Version,
    operation: u64,
}

/// Gives the driver to the branch that is named, or to each that has an older one. Each is an operation of its own.
pub fn driver(work_dir: Option<&Path>, args: &UpdateDriverArgs, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    let offer = Offer::of(&site)?;
    let names = match &args.branch {
        Some(name) => vec![branch::show(&site, name)?.name],
        None => branch::list(&site)?.into_iter().map(|branch| branch.name).collect(),
    };
    let progress = progress::shown(as_json);
    let mut updated = Vec::new();
    for name in names {
        let tree = site.layout.branch(&name);
        let Some((from, _)) = compare(&tree, &offer.folder) else {
            if args.branch.is_some() {
                return Err(Failure::new(format!("branch '{name}' has no SQLite driver that says its version"))
                    .hint("forkpress doctor driver"));
            }
            continue;
        };
        if from >= offer.version {
            continue;
        }
        let update = DriverUpdate::new(&tree, &offer.folder).during(|| "cannot read the SQLite driver".to_owned())?;
        let Some(mut update) = update else { continue };
        let word = format!("SQLite driver {}", offer.version);
        let report = mutation::apply(&site, &name, &mut update, &word, &mut patience(&args.wait), &*progress)
            .during(|| format!("cannot update the SQLite driver of '{name}'"))?;
        updated.push(Updated { branch: name, from, operation: report.operation.id });
    }
    clean::in_background(&site);
    if as_json {
        let rows: Vec<_> = updated.iter().map(|updated| row(updated, &offer.version)).collect();
        return output::json(&rows).map_err(Failure::from);
    }
    for Updated { branch, from, operation } in &updated {
        output::line(format_args!("forkpress: '{branch}' has SQLite driver {}; it had {from}", offer.version))?;
        output::line(format_args!("forkpress: to take it back: forkpress undo {operation}"))?;
    }
    if updated.is_empty() {
        output::line(format_args!("forkpress: no branch has an older SQLite driver than {}", offer.version))?;
    }
    Ok(())
}

fn row(updated: &Updated, version: &Version) -> Value {
    json!({
        "branch": updated.branch.as_str(),
        "from": updated.from.to_string(),
        "to": version.to_string(),
        "operation": updated.operation
    })
}
