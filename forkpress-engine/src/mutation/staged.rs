//! A staged tree: what is to be published, taken from a branch.
//!
//! This is all that a mutation knows of file views. A view takes a tree in one of two ways, [`Files`]; the engine calls
//! the same functions for both. There may be no tree yet at [`Staged::path`] before [`Staged::refresh`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::scratch::Scratch;
use super::{MutationError, spare};
use crate::branch::Branch;
use crate::config::FileView;
use crate::database::{self, DatabaseError, Snapshot};
use crate::disk;
use crate::progress::Progress;
use crate::site::Site;
use crate::tree::{self, Tree};
use crate::view;
use forkpress_core::deadline::Deadline;
use forkpress_core::layout::DATABASE_DIR;
use forkpress_core::name::BranchName;

/// A branch's tree, taken to where nothing is served from. Removed when dropped, unless it was published.
#[derive(Debug)]
pub(super) struct Staged {
    folder: Scratch,
    source: PathBuf,
    files: Files,
    database: Snapshot,
    /// Whether requests of the source run while the tree is refreshed.
    beside: bool,
}

/// How the files of a branch are taken.
#[derive(Debug)]
enum Files {
    /// One by one while requests go on; in the publish, those that have changed since are taken again.
    OneByOne {
        view: FileView,
        /// What the source looked like when the clone became what it is.
        seen: Tree,
    },
    /// All at once, database and all, within the publish.
    WholeTree,
}

impl Staged {
    /// Stages a tree for the branch `name`: does what can be done while whoever writes into `source` goes on, durably. Uses a
    /// spare where there is one.
    pub(super) fn prepare(
        site: &Site,
        source: &Branch,
        name: &BranchName,
        beside: bool,
        deadline: Deadline,
        progress: &dyn Progress,
    ) -> Result<Self, MutationError> {
        let view = site.config.file_view;
        let folder = Scratch::new(site.layout.cow().staged_tree(name));
        let is_whole = view::takes_whole_trees(view, &source.path)?;
        let seen = if is_whole { None } else { spare::take(site, source, name, folder.path())? };
        let staged = Self::begin(view, &source.path, folder, seen, deadline, progress)?;
        Ok(Self { beside, ..staged })
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
    ) -> Result<Self, MutationError> {
        Self::begin(view, source, Scratch::new(path), seen, deadline, progress)
    }

    /// `seen`: what the source looked like when the tree that is in the folder already was cloned from it.
    fn begin(
        view: FileView,
        source: &Path,
        folder: Scratch,
        seen: Option<Tree>,
        deadline: Deadline,
        progress: &dyn Progress,
    ) -> Result<Self, MutationError> {
        let files = if let Some(seen) = seen {
            Files::OneByOne { view, seen }
        } else if view::takes_whole_trees(view, source)? {
            Files::WholeTree
        } else {
            let mut seen = Tree::walk(source)?;
            view::create_tree_root(view, folder.path())?;
            disk::close_to_others(folder.path())?;
            tree::clone_tree(view, &mut seen, source, folder.path(), progress)?;
            Files::OneByOne { view, seen }
        };
        let database = Snapshot::prepare(view, source, folder.path(), deadline, progress)?;
        Ok(Self { folder, source: source.to_owned(), files, database, beside: false })
    }

    /// Where the tree is or will be.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What the source looked like when the tree became what it is; none where its files were not looked at.
    pub(super) fn seen(&self) -> Option<&Tree> {
        match &self.files {
            Files::OneByOne { seen, .. } => Some(seen),
            Files::WholeTree => None,
        }
    }

    /// The files and folders of the tree; zero where they were not looked at.
    pub(super) fn entries(&self) -> u64 {
        self.seen().map_or(0, |seen| seen.entries.len() as u64)
    }

    /// Makes the tree, durably, what the source is now, while no request of that runs, and says how many entries it took again
    /// for that. Beside requests, what one of them changes just now may be left as it was. Waits for a foreign writer of the database for no longer than `timeout`. May be called again after an
    /// error.
    pub(super) fn refresh(&mut self, timeout: Duration) -> Result<u64, MutationError> {
        match &mut self.files {
            Files::OneByOne { view, seen } => {
                let mut now = seen.walk_again(&self.source)?;
                let path = self.folder.path();
                let retaken = if self.beside {
                    tree::retake_in_use(*view, seen, &mut now, &self.source, path)?
                } else {
                    tree::retake(*view, seen, &now, &self.source, path)?
                };
                *seen = now;
                let Some(database_folder) = seen.get(Path::new(DATABASE_DIR)) else {
                    self.database.take(timeout)?;
                    return Ok(retaken);
                };
                let path = path.join(DATABASE_DIR);
                disk::open_up(&path)?;
                self.database.take(timeout)?;
                disk::set_attributes(&path, &database_folder.attributes)?;
                disk::sync(&path)?;
                Ok(retaken)
            }
            Files::WholeTree => {
                let path = self.folder.path();
                // An earlier attempt may have come that far.
                disk::remove(path)?;
                self.database.take_with_tree(timeout, || view::snapshot(&self.source, path))?;
                Ok(0)
            }
        }
    }

    /// Makes clones of this tree, which is refreshed and in nobody's use, at other paths, durably.
    pub(super) fn clone_to(&self, paths: &[PathBuf], progress: &dyn Progress) -> Result<(), MutationError> {
        let own = self.folder.path();
        let Files::OneByOne { view, seen } = &self.files else {
            return Ok(paths.iter().try_for_each(|path| view::snapshot(own, path))?);
        };
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
