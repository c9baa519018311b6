//! Looks at all databases of a site. What was found in one that has not changed since is in `ids.json`: a file that may be lost,
//! and that is used only where a change would have left a trace.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Surroundings, Survey};
use crate::database;
use crate::file::Replacement;
use crate::site::Site;
use forkpress_core::layout::database_of;
use forkpress_core::name::BranchName;
use forkpress_core::own;

/// What a survey looks for. Another number makes every database be read anew.
const VERSION: u32 = 1;

/// From how many databases on that were read anew the file is written: a few are read again as fast.
const WORTH_WRITING: usize = 4;

impl Surroundings {
    /// Looks at the databases of all branches, of all trees that are kept, and of all partings.
    pub(crate) fn look(site: &Site) -> Self {
        let cow = site.layout.cow();
        let mut surveys = Surveys::load(&cow.ids());
        let live = names(&cow.records_dir()).into_iter();
        let live = live.filter_map(|name| surveys.of(&site.layout.branch(&name)).map(|survey| (name, survey))).collect();
        let folders = [cow.kept_dir(), cow.partings_dir()];
        let trees = folders.iter().flat_map(|folder| list(folder)).flat_map(trees_in);
        let resting = trees.filter_map(|tree| surveys.of(&tree)).collect();
        surveys.save(&cow.ids());
        Self { live, resting }
    }
}

/// The branches that have a record, `main` first.
fn names(records: &Path) -> Vec<BranchName> {
    let mut names: Vec<BranchName> =
        list(records).iter().filter_map(|path| path.file_stem()?.to_str()?.parse().ok()).collect();
    names.sort_unstable_by(|a, b| (!a.is_main(), a).cmp(&(!b.is_main(), b)));
    names.dedup();
    names
}

/// The trees with a database in what is kept of an operation: one, or one for each branch.
fn trees_in(folder: PathBuf) -> Vec<PathBuf> {
    let has_database = |tree: &PathBuf| fs::symlink_metadata(database_of(tree)).is_ok();
    if has_database(&folder) { vec![folder] } else { list(&folder).into_iter().filter(has_database).collect() }
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// What was found in databases, by what these were then.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    version: u32,
    surveys: HashMap<String, Survey>,
}

#[derive(Debug)]
struct Surveys {
    before: Known,
    now: Known,
    read: usize,
}

impl Surveys {
    /// What can't be read is not known.
    fn load(path: &Path) -> Self {
        let known = fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Known>(&bytes).ok());
        let before = known.filter(|known| known.version == VERSION).unwrap_or_default();
        Self { before, now: Known { version: VERSION, surveys: HashMap::new() }, read: 0 }
    }

    /// What the database of a tree has; none where it has none, or where that can't be read now.
    fn of(&mut self, tree: &Path) -> Option<Survey> {
        // Before it is read: what is written later shows.
        let stamp = database::stamp(tree).ok().flatten();
        let known = stamp.as_ref().and_then(|stamp| self.before.surveys.get(stamp)).cloned();
        let survey = known.or_else(|| {
            let read = database::read(tree, stamp.as_deref(), Survey::of);
            self.read += usize::from(stamp.is_some());
            read.inspect_err(|error| tracing::debug!(?tree, "ids are not looked at: {error}")).ok().flatten()
        })?;
        if let Some(stamp) = stamp {
            self.now.surveys.insert(stamp, survey.clone());
        }
        Some(survey)
    }

    /// Not durable: after a power cut, all databases are read once more.
    fn save(&self, path: &Path) {
        if self.read < WORTH_WRITING {
            return;
        }
        let bytes = serde_json::to_vec(&self.now).expect("it is plain values");
        let saved = Replacement::prepare_unsynced(path, &bytes)
            .and_then(|file| file.set_mode(own::CLOSED_FILE).and_then(|()| file.place()));
        if let Err(error) = saved {
            tracing::debug!("what was found of ids is not noted: {error}");
        }
    }
}
