//! What of branches takes long to find out: what each changed, and how much it holds alone.
//!
//! A thread finds it out for the branches that somebody looks at, and ends when it has. What is known of a branch is kept with
//! the *marks* of what it is of, and found out again once those are others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use forkpress_core::layout::{database_of, wal_of};
use forkpress_core::name::BranchName;
use forkpress_core::record::BranchRecord;
use forkpress_engine::branch;
use forkpress_engine::merge::diff::{self, Diff, Options, Since};
use forkpress_engine::priority;
use forkpress_engine::site::Site;
use forkpress_engine::usage;
use forkpress_page::facts::{Changes, Compared, Digest};
use forkpress_page::hub::Bell;

use super::errors::Errors;

/// What was found out is not found out again so soon: a busy site changes all the time.
const YOUNG: Duration = Duration::from_secs(10);

/// What is older is found out again, though no mark is another: a file that is changed by hand may leave none.
const OLD: Duration = Duration::from_secs(300);

/// The folders whose times are marks.
const FOLDERS: [&str; 6] =
    ["", "wp-content", "wp-content/plugins", "wp-content/themes", "wp-content/mu-plugins", "wp-content/uploads"];

/// What is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Digests(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    known: BTreeMap<BranchName, Known>,
    counts: Option<BTreeMap<BranchName, u64>>,
    errors: Option<Errors>,
    wanted: VecDeque<BranchName>,
    /// Whether there is a thread.
    is_at_work: bool,
    bell: Option<Bell>,
}

#[derive(Debug)]
struct Known {
    marks: Marks,
    at: Instant,
    digest: Digest,
}

/// What changes where something of a branch does.
#[derive(Debug, PartialEq, Eq)]
struct Marks {
    record: BranchRecord,
    files: Vec<Option<(SystemTime, u64)>>,
}

impl Marks {
    fn of(tree: &Path, record: &BranchRecord) -> Self {
        let database = database_of(tree);
        let paths = [wal_of(&database), database].into_iter().chain(FOLDERS.map(|folder| tree.join(folder)));
        let mark = |path: PathBuf| {
            let metadata = std::fs::symlink_metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        Self { record: record.clone(), files: paths.map(mark).collect() }
    }
}

impl Digests {
    pub(super) fn get(&self, name: &BranchName) -> Option<Digest> {
        self.shared().known.get(name).map(|known| known.digest.clone())
    }

    /// Forgets what is known of branches that are gone.
    pub(super) fn keep(&self, is_there: impl Fn(&BranchName) -> bool) {
        self.shared().known.retain(|name, _| is_there(name));
    }

    /// The errors of each branch; none where they were not counted yet.
    pub(super) fn errors(&self) -> Option<BTreeMap<BranchName, u64>> {
        self.shared().counts.clone()
    }

    pub(super) fn tell(&self, bell: Bell) {
        self.shared().bell = Some(bell);
    }

    /// Has what there is to know of these branches found out, first of them the first.
    pub(super) fn want(&self, site: Site, names: Vec<BranchName>) {
        let mut shared = self.shared();
        let waiting: BTreeSet<BranchName> = names.iter().cloned().collect();
        shared.wanted.retain(|name| !waiting.contains(name));
        // What is looked at now comes before what was.
        names.into_iter().rev().for_each(|name| shared.wanted.push_front(name));
        if std::mem::replace(&mut shared.is_at_work, true) {
            return;
        }
        drop(shared);
        let digests = self.clone();
        if thread::Builder::new().name("digests".to_owned()).spawn(move || digests.work(&site)).is_err() {
            // Whoever looks next tries again.
            self.shared().is_at_work = false;
        }
    }

    fn work(&self, site: &Site) {
        priority::lower();
        self.count(site);
        while let Some(name) = self.next() {
            self.find_out(site, &name);
        }
    }

    fn next(&self) -> Option<BranchName> {
        let mut shared = self.shared();
        let next = shared.wanted.pop_front();
        shared.is_at_work = next.is_some();
        next
    }

    fn count(&self, site: &Site) {
        let errors = self.shared().errors.take();
        let mut errors = errors.unwrap_or_else(|| Errors::of(&site.layout));
        let counts = errors.count();
        let mut shared = self.shared();
        shared.errors = Some(errors);
        if shared.counts.as_ref() != Some(&counts) {
            shared.counts = Some(counts);
            shared.ring();
        }
    }

    fn find_out(&self, site: &Site, name: &BranchName) {
        let Ok(branch) = branch::show(site, name) else {
            self.shared().known.remove(name);
            return;
        };
        let (marks, at) = (Marks::of(&branch.path, &branch.record), Instant::now());
        let is_good = |known: &Known| {
            let age = at.duration_since(known.at);
            known.marks.record == marks.record && (age < YOUNG || (known.marks == marks && age < OLD))
        };
        if self.shared().known.get(name).is_some_and(is_good) {
            return;
        }
        let changes = match &branch.record.from {
            None => Compared::Origin,
            Some(from) => match diff::diff(site, name, &Since::Parting(from.clone()), &Options::default()) {
                Ok(diff) => Compared::Changed(changes(&diff)),
                Err(error) => Compared::Failed(error.to_string()),
            },
        };
        let exclusive_bytes = usage::measure(&branch.path).ok().map(|usage| usage.exclusive_bytes);
        let digest = Digest { changes, exclusive_bytes };
        let mut shared = self.shared();
        let is_new = shared.known.get(name).is_none_or(|known| known.digest != digest);
        shared.known.insert(name.clone(), Known { marks, at, digest });
        if is_new {
            shared.ring();
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn ring(&self) {
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }
}

fn changes(diff: &Diff) -> Changes {
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    for object in &diff.content.objects {
        *kinds.entry(&object.object.kind).or_default() += 1;
    }
    let mut objects: Vec<_> = kinds.into_iter().map(|(kind, count)| (kind.to_owned(), count)).collect();
    // Most of all what people write.
    let place = |kind: &str| ["page", "post", "media", "menu item", "template"].iter().position(|first| *first == kind);
    objects.sort_by_key(|(kind, _)| place(kind).unwrap_or(usize::MAX));
    Changes {
        files: diff.files.len() as u64,
        objects,
        tables: diff.content.tables.len() as u64,
        rows: diff.content.tables.iter().filter_map(|table| table.rows).map(diff::RowCounts::sum).sum(),
    }
}
