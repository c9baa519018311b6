//! Another database for a branch, put in place together with files.
//!
//! In the folder of staged files, `old/N` is a copy of what the branch has, and `new/N` that copy as it is to be. Both are whole
//! files without a log. The branch's own database stays open meanwhile, since only so SQLite tells whether anybody has
//! written into it since: then both are made anew.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rayon::prelude::*;

use super::carry::{Numbers, Pages, Pin, differing};
use super::error::{ChangeError, EditError, PutError, StepError};
use crate::bands::{Starts, Surroundings};
use crate::config::FileView;
use crate::database::{self, DatabaseError, Snapshot};
use crate::disk::{self, step};
use crate::progress::Progress;
use forkpress_core::deadline::Deadline;
use forkpress_core::layout::{database_of, wal_of};
use forkpress_core::name::BranchName;
use forkpress_core::uploads::Uploads;

/// What is to become of a branch's database.
pub trait DatabaseEdit: fmt::Debug {
    /// Makes the database at `path` what it is to be: a copy of the branch's, which nobody uses and which has no log.
    /// It is called again, with a new copy, where the branch's own has changed meanwhile.
    ///
    /// # Errors
    /// [`EditError`]; the copy is thrown away then.
    fn edit(&mut self, path: &Path) -> Result<(), EditError>;
}

/// What is to become of the tree of a new branch before anybody is served it.
pub trait TreeEdit {
    /// Makes the tree at `path` what it is to be: files, and the database in it. Nobody else uses it. It is called again, with a
    /// new tree, where the branch that it is a clone of was replaced meanwhile.
    ///
    /// # Errors
    /// [`EditError`]; the tree is thrown away then.
    fn edit(&mut self, path: &Path) -> Result<(), EditError>;

    /// Where the media library of the edited tree is, if it lacks it. `before` is the same of what the tree is a clone of.
    fn uploads(&self, before: Option<Uploads>) -> Option<Uploads> {
        before
    }
}

/// How often it is made anew beside requests before that is done while they wait.
const ATTEMPTS: u32 = 2;

/// How large a database may be that is made anew while requests wait: a copy of more can take seconds.
const MOST_HELD_BYTES: u64 = 64 << 20;

/// A database that waits to be put in place.
#[derive(Debug)]
pub(super) struct NewDatabase {
    view: FileView,
    snapshot: Snapshot,
    edit: Box<dyn DatabaseEdit>,
    /// The tree that the copy is made in.
    tree: PathBuf,
    old: PathBuf,
    new: PathBuf,
    /// The branch.
    branch: PathBuf,
    /// From before the copy was taken; none where the database has no log.
    pin: Option<Pin>,
    /// The pages in which `old` and `new` differ, once they are known.
    touched: Option<Numbers>,
    attempts: u32,
}

impl NewDatabase {
    /// Makes `old` and `new`, durably, for the branch at `branch`.
    pub(super) fn prepare(
        view: FileView,
        branch: &Path,
        tree: PathBuf,
        [old, new]: [PathBuf; 2],
        edit: Box<dyn DatabaseEdit>,
        deadline: Deadline,
        progress: &dyn Progress,
    ) -> Result<Self, ChangeError> {
        let folder = database_of(&tree);
        let folder = folder.parent().unwrap_or(&tree);
        step("make the folder", folder, || fs::create_dir_all(folder))?;
        let pin = Pin::begin(branch, deadline)?;
        let snapshot = Snapshot::prepare(view, branch, &tree, Starts::default(), deadline, progress)?;
        let (branch, touched) = (branch.to_owned(), None);
        let mut database = Self { view, snapshot, edit, tree, old, new, branch, pin, touched, attempts: 0 };
        if !database.snapshot.is_taken()? {
            database.snapshot.take_anew(deadline.remaining())?;
        }
        database.make()?;
        progress.begin("check the merged database", None);
        database::check_file(&database.new)?;
        progress.end();
        Ok(database)
    }

    /// Keeps other programs from writing into the branch's database, until [`Self::release`], and sees to it that the copy is
    /// what that has. Waits for a writer for no longer than `timeout`. Otherwise says false, and keeps nobody from anything.
    pub(super) fn hold(&mut self, timeout: Duration) -> Result<bool, ChangeError> {
        self.snapshot.hold(timeout)?;
        let held = self.follow();
        if !matches!(held, Ok(true)) {
            self.release();
        }
        held
    }

    /// Brings both up to date where they are not, unless that takes long and can be done beside requests. Gives up where that
    /// was done often enough, and it takes long still.
    fn follow(&mut self) -> Result<bool, ChangeError> {
        if self.snapshot.is_taken()? {
            return Ok(true);
        }
        let is_current = self.snapshot.is_current()?;
        if is_current && self.carry()? {
            return Ok(true);
        }
        self.attempts += 1;
        if self.attempts <= ATTEMPTS || !is_current {
            return Ok(false);
        }
        if self.bytes()? > MOST_HELD_BYTES {
            return Err(PutError::DatabaseRestless.into());
        }
        self.snapshot.take_held()?;
        self.make().map(|()| true)
    }

    /// How large the branch's database is, with its log.
    fn bytes(&self) -> Result<u64, StepError> {
        let database = database_of(&self.branch);
        let bytes = |path: &Path| match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            metadata => metadata.map(|metadata| metadata.len()),
        };
        Ok(step("look at", &database, || Ok(bytes(&database)? + bytes(&wal_of(&database))?))?)
    }

    /// Brings both up to what the branch has by the pages that have changed since; false where that can't be done, or is much.
    fn carry(&mut self) -> Result<bool, ChangeError> {
        let (Some(pin), Some(holder), Some(touched)) = (&self.pin, self.snapshot.holder(), &self.touched) else {
            return Ok(false);
        };
        let Some(changed) = step("read the log of the database of", &self.branch, || pin.changed())? else {
            return Ok(false);
        };
        let pages = Pages::read(holder, &changed).map_err(|error| self.snapshot.error(error))?;
        let Some(pages) = pages else { return Ok(false) };
        self.snapshot.set_taken(false)?;
        let attributes = step("look at", &self.new, || Ok(disk::Attributes::of(&fs::symlink_metadata(&self.new)?)))?;
        pages.write(&self.old, &self.new, touched)?;
        self.touched = None;
        self.complete(&attributes)?;
        self.snapshot.set_taken(true)?;
        Ok(true)
    }

    /// Lets other programs write again.
    pub(super) fn release(&self) {
        self.snapshot.release();
    }

    /// Has the new one begin bands of ids, durably.
    pub(super) fn begin_bands(&mut self, name: &BranchName, around: &mut Surroundings) -> Result<(), StepError> {
        let attributes = step("look at", &self.new, || Ok(disk::Attributes::of(&fs::symlink_metadata(&self.new)?)))?;
        if around.begin_at_rest(name, &self.new)? {
            database::fold(&self.new)?;
            disk::set_attributes(&self.new, &attributes)?;
            disk::sync(&self.new)?;
            self.touched = Some(differing([&self.old, &self.new])?);
        }
        Ok(())
    }

    /// Makes both anew, durably. Waits for a foreign writer for no longer than `timeout`.
    pub(super) fn renew(&mut self, timeout: Duration) -> Result<(), ChangeError> {
        self.pin = Pin::begin(&self.branch, Deadline::after(timeout))?;
        self.snapshot.take_anew(timeout)?;
        self.make()
    }

    /// Waits until no foreign program writes into the branch's database.
    pub(super) fn wait_for_turn(&self, deadline: Deadline) -> Result<(), DatabaseError> {
        self.snapshot.wait_for_turn(deadline)
    }

    fn make(&mut self) -> Result<(), ChangeError> {
        self.touched = None;
        let copy = database_of(&self.tree);
        database::fold(&copy)?;
        for path in [&self.old, &self.new] {
            disk::remove(path)?;
        }
        step("rename to", &self.old, || fs::rename(&copy, &self.old))?;
        let attributes = {
            let Some(file) = disk::open_file(&self.old)? else { return Ok(()) };
            disk::clone_file(self.view, &file, &self.new)?;
            step("look at", &self.old, || Ok(disk::Attributes::of(&file.metadata()?)))?
        };
        self.complete(&attributes)?;
        self.touched = Some(differing([&self.old, &self.new])?);
        Ok(())
    }

    /// Makes `new`, which is what `old` is, what it is to be, and both durable.
    fn complete(&mut self, attributes: &disk::Attributes) -> Result<(), ChangeError> {
        self.edit.edit(&self.new).map_err(PutError::Edit)?;
        disk::set_attributes(&self.new, attributes)?;
        Ok([&self.old, &self.new].into_par_iter().try_for_each(|path| disk::sync(path))?)
    }
}

/// Gives a branch the database back that it had.
#[derive(Debug)]
pub(super) struct Restore {
    pub(super) view: FileView,
    pub(super) from: PathBuf,
}

impl DatabaseEdit for Restore {
    fn edit(&mut self, path: &Path) -> Result<(), EditError> {
        let restore = || {
            disk::remove(path)?;
            let file = step("read", &self.from, || fs::File::open(&self.from))?;
            disk::clone_file(self.view, &file, path)
        };
        restore().map_err(|error| EditError::Failed(Box::new(error)))
    }
}

#[cfg(test)]
mod tests {
    use forkpress_core::advice::Advice;
    use rusqlite::Connection;

    use super::*;
    use crate::progress::Silent;

    #[derive(Debug)]
    struct Nothing;

    impl DatabaseEdit for Nothing {
        fn edit(&mut self, _: &Path) -> Result<(), EditError> {
            Ok(())
        }
    }

    /// What becomes of attempts to hold a database of so many bytes, without a log, into which somebody writes before each.
    fn attempts(bytes: u64) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let branch = dir.path().join("x");
        fs::create_dir_all(database_of(&branch).parent().unwrap()).unwrap();
        let connection = Connection::open(database_of(&branch)).unwrap();
        connection.execute_batch("CREATE TABLE t (a)").unwrap();
        connection.execute("INSERT INTO t VALUES (zeroblob(?1))", [bytes]).unwrap();
        let [tree, old, new] = ["tree", "old", "new"].map(|name| dir.path().join(name));
        let (view, edit) = (FileView::FileCopy, Box::new(Nothing));
        let database = NewDatabase::prepare(view, &branch, tree, [old, new], edit, Deadline::NEVER, &Silent);
        let mut database = database.unwrap();
        let mut outcomes = Vec::new();
        loop {
            connection.execute("INSERT INTO t VALUES (1)", []).unwrap();
            let held = database.hold(Duration::from_secs(60));
            outcomes.push(format!("{held:?}"));
            match held {
                Ok(false) => database.renew(Duration::from_secs(60)).unwrap(),
                Ok(true) => {
                    let rows =
                        |path: &Path| Connection::open(path)?.query_row("SELECT count(*) FROM t", [], |r| r.get(0));
                    assert_eq!(rows(&database.new), Ok(i64::try_from(outcomes.len()).unwrap() + 1));
                    return outcomes;
                }
                Err(error) => {
                    assert!(error.is_passing() && error.hint().is_some());
                    connection.execute("INSERT INTO t VALUES (2)", []).expect("nobody is kept from writing");
                    return outcomes;
                }
            }
        }
    }

    #[test]
    fn a_large_database_that_changes_each_time_is_given_up_and_a_small_one_is_made_while_others_wait() {
        assert_eq!(attempts(1000), ["Ok(false)", "Ok(false)", "Ok(true)"]);
        assert_eq!(attempts(MOST_HELD_BYTES), ["Ok(false)", "Ok(false)", "Err(Put(DatabaseRestless))"]);
    }
}
