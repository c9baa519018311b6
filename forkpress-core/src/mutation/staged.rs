//! A staged tree: the clone of a branch that is to be published.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::MutationError;
use crate::branch::Branch;
use crate::config::FileView;
use crate::database::{DatabaseError, Snapshot};
use crate::deadline::Deadline;
use crate::disk::{self, DiskError};
use crate::layout::DATABASE_DIR;
use crate::progress::Progress;
use crate::tree::{self, Tree};

/// A clone of a branch's tree outside of where anything is served from. Removed when dropped, unless it was published.
#[derive(Debug)]
pub(super) struct Staged {
    folder: Folder,
    view: FileView,
    source: PathBuf,
    /// What the source looked like when the clone became what it is.
    tree: Tree,
    snapshot: Snapshot,
}

impl Staged {
    /// Clones the tree of `source` to `path`, while whoever writes into it goes on, and makes the clone durable.
    pub(super) fn prepare(
        view: FileView,
        source: &Branch,
        path: PathBuf,
        deadline: Deadline,
        progress: &dyn Progress,
    ) -> Result<Self, MutationError> {
        let folder = Folder(Some(path));
        let tree = Tree::walk(&source.path)?;
        tree::clone_tree(view, &tree, &source.path, folder.path(), progress)?;
        let snapshot = Snapshot::prepare(view, &source.path, folder.path(), deadline, progress)?;
        Ok(Self { folder, view, source: source.path.clone(), tree, snapshot })
    }

    /// Where the clone is.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The files and folders of the clone.
    pub(super) fn entries(&self) -> u64 {
        self.tree.entries.len() as u64
    }

    /// Makes the clone, durably, what the source is now, while no request runs, and says how many entries it took for
    /// that. Waits for a foreign writer of the database for no longer than `timeout`.
    pub(super) fn refresh(&mut self, timeout: Duration) -> Result<u64, MutationError> {
        let now = Tree::walk(&self.source)?;
        let retaken = tree::retake(self.view, &self.tree, &now, &self.source, self.folder.path())?;
        self.tree = now;
        let Some(database_folder) = self.tree.get(Path::new(DATABASE_DIR)) else {
            self.snapshot.take(timeout)?;
            return Ok(retaken);
        };
        let path = self.folder.path().join(DATABASE_DIR);
        disk::open_up(&path)?;
        self.snapshot.take(timeout)?;
        disk::set_attributes(&path, &database_folder.attributes, false)?;
        disk::sync(&path)?;
        Ok(retaken)
    }

    /// Waits until no foreign writer is at the source's database.
    pub(super) fn wait_for_database(&self, deadline: Deadline) -> Result<(), DatabaseError> {
        self.snapshot.wait_for_turn(deadline)
    }

    /// Leaves what is at the clone's path alone from now on.
    pub(super) fn keep(&mut self) {
        self.folder.0 = None;
    }
}

/// A folder that goes when it is dropped. Where it can't, the next mutation removes it.
#[derive(Debug)]
struct Folder(Option<PathBuf>);

impl Folder {
    fn path(&self) -> &Path {
        self.0.as_deref().expect("a kept folder is not asked for")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _: Result<(), DiskError> = disk::remove(path);
        }
    }
}
