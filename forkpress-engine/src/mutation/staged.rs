//! A staged tree: what is to be published, taken from a branch.
//!
//! This is all that a mutation knows of file views. A view takes a tree in one of two ways, [`Taking`]; the engine calls
//! the same functions for both. There may be no tree yet at [`Staged::path`] before [`Staged::refresh`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::StepError;
use super::scratch::Scratch;
use super::{late, spare};
use crate::bands::Starts;
use crate::branch::Branch;
use crate::config::FileView;
use crate::database::{self, DatabaseError, Snapshot};
use crate::disk;
use crate::progress::Progress;
use crate::site::Site;
use crate::tree::{self, Entry, Glimpse, Listening, Tree, Watch};
use crate::view;
use forkpress_core::deadline::Deadline;
use forkpress_core::layout::{DATABASE_DIR, SiteLayout};
use forkpress_core::name::BranchName;

/// A branch's tree, taken to where nothing is served from. Removed when dropped, unless it was published.
#[derive(Debug)]
pub(super) struct Staged {
    folder: Scratch,
    source: PathBuf,
    files: Taking,
    /// The site and the branch that the source is; none where nobody is to compare them later.
    of: Option<(SiteLayout, BranchName)>,
    database: Snapshot,
    /// Whether requests of the source run while the tree is refreshed.
    beside: bool,
    /// The paths that were taken again, or went, since somebody asked.
    changed: Vec<PathBuf>,
}

/// How the files of a branch are taken.
#[derive(Debug)]
enum Taking {
    /// One by one while requests go on; in the publish, those that have changed since are taken again.
    OneByOne {
        view: FileView,
        /// What the source looked like when the clone became what it is.
        seen: Tree,
        /// What has changed in the source since that; none where it is walked for that.
        watch: Option<Watch>,
        /// What the clone has otherwise by now than was `seen`. It is put in there only when that holds nobody up.
        news: Option<Box<Glimpse>>,
    },
    /// All at once, database and all, within the publish.
    WholeTree,
}

impl Staged {
    /// Stages a tree for the branch `name`: does what can be done while whoever writes into `source` goes on, durably. Uses a
    /// spare where there is one. `starts`: the bands that the branch begins, as far as is known yet.
    pub(super) fn prepare(
        site: &Site,
        source: &Branch,
        name: &BranchName,
        beside: bool,
        starts: Starts,
        deadline: Deadline,
        progress: &dyn Progress,
    ) -> Result<Self, StepError> {
        let view = site.config.file_view;
        let folder = Scratch::new(site.layout.cow().staged_tree(name));
        let is_whole = view::takes_whole_trees(view, &source.path)?;
        // Beside requests the last look is at all of the source, since that can't be had at one moment.
        let watch = if is_whole || beside { None } else { Watch::begin(&source.path) };
        let seen = if is_whole { None } else { spare::take(site, source, name, folder.path(), watch.as_ref())? };
        let staged = Self::begin(view, &source.path, folder, (seen, watch), starts, deadline, progress)?;
        Ok(Self { of: Some((site.layout.clone(), source.name.clone())), beside, ..staged })
    }

    /// Does the same for a tree that is to be in another storage than the one it is taken from. `seen`: what the source
    /// looked like when the tree at `path` was cloned from it, where one was.
    pub(super) fn prepare_elsewhere(
        view: FileView,
        source: &Path,
        path: PathBuf,
        seen: Option<Tree>,
        deadline: Deadline,
        progress: &dyn Progress,
    ) -> Result<Self, StepError> {
        // What was seen by a process that is dead, was watched by nobody since.
        let watch = if seen.is_none() { Watch::begin(source) } else { None };
        Self::begin(view, source, Scratch::new(path), (seen, watch), Starts::default(), deadline, progress)
    }

    /// `seen`: what the source looked like when the tree that is in the folder already was cloned from it, watched where there
    /// is a watch.
    fn begin(
        view: FileView,
        source: &Path,
        folder: Scratch,
        (seen, watch): (Option<Tree>, Option<Watch>),
        starts: Starts,
        deadline: Deadline,
        progress: &dyn Progress,
    ) -> Result<Self, StepError> {
        let listening = &Listening { watch: watch.as_ref(), progress };
        let seen = if seen.is_some() {
            seen
        } else if view::takes_whole_trees(view, source)? {
            None
        } else {
            let mut seen = Tree::walk_with(source, watch.as_ref())?;
            view::create_tree_root(view, folder.path())?;
            disk::close_to_others(folder.path())?;
            tree::clone_tree(view, &mut seen, source, folder.path(), listening)?;
            Some(seen)
        };
        let database = Snapshot::prepare(view, source, folder.path(), starts, deadline, listening)?;
        let files = match seen {
            Some(seen) => {
                let watch = watch.and_then(|watch| watch.on(&seen));
                Taking::OneByOne { view, seen, watch, news: None }
            }
            None => Taking::WholeTree,
        };
        Ok(Self { folder, source: source.to_owned(), files, of: None, database, beside: false, changed: Vec::new() })
    }

    /// Where the tree is or will be.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What the source looked like when the tree became what it is; none where its files were not looked at.
    pub(super) fn seen(&self) -> Option<&Tree> {
        match &self.files {
            Taking::OneByOne { seen, .. } => Some(seen),
            Taking::WholeTree => None,
        }
    }

    /// What the tree has at a path, as it was in the source; none where its files were not looked at.
    pub(super) fn entry(&self, path: &Path) -> Option<&Entry> {
        let Taking::OneByOne { seen, news, .. } = &self.files else { return None };
        match news {
            Some(news) if news.before.get(path).is_some() || news.after.get(path).is_some() => news.after.get(path),
            _ => seen.get(path),
        }
    }

    /// The paths that [`Self::refresh`] took again, or removed, since this was last asked; none where the files were not looked
    /// at.
    pub(super) fn take_changes(&mut self) -> Option<Vec<PathBuf>> {
        match &self.files {
            Taking::OneByOne { .. } => Some(std::mem::take(&mut self.changed)),
            Taking::WholeTree => None,
        }
    }

    /// The files and folders of the tree; zero where they were not looked at.
    pub(super) fn entries(&self) -> u64 {
        let Taking::OneByOne { seen, news, .. } = &self.files else { return 0 };
        let (less, more) = news.as_ref().map_or((0, 0), |news| (news.before.entries.len(), news.after.entries.len()));
        (seen.entries.len() - less + more) as u64
    }

    /// Makes the tree, durably, what the source is now, but that it begins bands of ids of its own, while no request of
    /// that runs, and says how many entries it took again for that. Beside requests, a file that one of them writes
    /// just now may be taken half written. Waits for a foreign writer of the database for no longer than `timeout`. May
    /// be called again after an error.
    pub(super) fn refresh(&mut self, starts: &Starts, timeout: Duration) -> Result<u64, StepError> {
        let changed = &mut self.changed;
        match &mut self.files {
            Taking::OneByOne { view, seen, watch, news } => {
                let path = self.folder.path();
                if let Some(news) = news.take() {
                    seen.update(*news);
                }
                let moment = tree::now();
                let named = watch.as_ref().map(|watch| watch.look(seen, &self.source)).transpose()?.flatten();
                let (now, retaken) = if let Some(glimpse) = named {
                    changed.extend(tree::changed_paths(&glimpse.before, &glimpse.after));
                    let retaken = tree::retake(*view, &glimpse.before, &glimpse.after, &self.source, path)?;
                    (&news.insert(Box::new(glimpse)).after, retaken)
                } else if self.beside {
                    let before = seen.clone();
                    let retaken = tree::retake_until_whole(*view, seen, &self.source, path)?;
                    changed.extend(tree::changed_paths(&before, seen));
                    (&*seen, retaken)
                } else {
                    let now = seen.walk_again(&self.source)?;
                    changed.extend(tree::changed_paths(seen, &now));
                    let retaken = tree::retake(*view, seen, &now, &self.source, path)?;
                    *seen = now;
                    (&*seen, retaken)
                };
                if let Some(database_folder) = now.get(Path::new(DATABASE_DIR)) {
                    let path = path.join(DATABASE_DIR);
                    disk::open_up(&path)?;
                    self.database.take(starts, timeout)?;
                    disk::set_attributes(&path, &database_folder.attributes)?;
                    disk::sync(&path)?;
                } else {
                    self.database.take(starts, timeout)?;
                }
                if let Some(watch) = watch.take() {
                    watch.end();
                    if let Some((layout, source)) = &self.of {
                        late::note(layout, self.folder.path(), source, moment);
                    }
                }
                Ok(retaken)
            }
            Taking::WholeTree => {
                let path = self.folder.path();
                // An earlier attempt may have come that far.
                disk::remove(path)?;
                self.database.take_with_tree(starts, timeout, || view::snapshot(&self.source, path))?;
                Ok(0)
            }
        }
    }

    /// Makes clones of this tree, which is refreshed and in nobody's use, at other paths, durably.
    pub(super) fn clone_to(&mut self, paths: &[PathBuf], progress: &dyn Progress) -> Result<(), StepError> {
        let own = self.folder.path();
        let Taking::OneByOne { view, seen, news, .. } = &mut self.files else {
            return Ok(paths.iter().try_for_each(|path| view::snapshot(own, path))?);
        };
        if let Some(news) = news.take() {
            seen.update(*news);
        }
        for path in paths {
            view::create_tree_root(*view, path)?;
            disk::close_to_others(path)?;
        }
        tree::clone_to_all(*view, seen, own, paths, progress)?;
        if let Some(database_folder) = seen.get(Path::new(DATABASE_DIR)) {
            let folders: Vec<_> = paths.iter().map(|path| path.join(DATABASE_DIR)).collect();
            folders.iter().try_for_each(|folder| disk::open_up(folder))?;
            database::clone_at_rest(*view, own, paths)?;
            folders.iter().try_for_each(|folder| disk::set_attributes(folder, &database_folder.attributes))?;
        }
        progress.begin("sync", None);
        disk::sync_file_system(own)?;
        progress.end();
        Ok(())
    }

    /// Waits until no foreign writer is at the source's database.
    pub(super) fn wait_for_database(&self, deadline: Deadline) -> Result<(), DatabaseError> {
        self.database.wait_for_turn(deadline)
    }

    /// What removes the tree when it is dropped.
    pub(super) fn scratch_mut(&mut self) -> &mut Scratch {
        &mut self.folder
    }

    /// The same, when nothing is to be taken from the source any more.
    pub(super) fn into_scratch(self) -> Scratch {
        self.folder
    }
}
