//! Partings: what two branches had in common when one became a clone of the other, or came home to it.
//!
//! A parting has the number of its operation and is a folder:
//!
//! - `tree/` has the database, where a database lies in a branch. Where the file view takes whole trees, it has all files.
//! - `from` has the name of the branch that was taken from.
//! - `files` says of each file which object of the repository it is, or which one in `news/` has its bytes, as Git had not seen
//!   it yet. [`crate::git::parting`] makes a commit of that when somebody has time, or asks for it.
//!
//! It is made from the staged tree, so that it is exactly what both branches have at the publish. Most of it is made before: in
//! the publish, only the database is cloned, and what was taken again of the files.
//!
//! A parting that a dead process leaves is named by no record, or whole. [`drop_needless`] removes what no pair of branches
//! needs.

use std::collections::HashSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::error::StepError;
use super::history::{History, LogEntry};
use super::journal::{Change, Intent};
use super::scratch::Scratch;
use super::staged::Staged;
use crate::branch;
use crate::config::FileView;
use crate::database::{self, DatabaseReader};
use crate::disk::{self, DiskError, step};
use crate::git::known::Known;
use crate::git::objects::listed;
use crate::git::paths::is_in_view;
use crate::git::push::EntryMode;
use crate::progress::Progress;
use crate::site::Site;
use crate::tree::{self, Entry, Kind};
use crate::view;
use forkpress_core::layout::{CowLayout, DATABASE_DIR, database_of, wal_of};
use forkpress_core::name::BranchName;
use forkpress_core::partings::Partings;
use forkpress_core::record::BranchRecord;

/// From how many new files on the file system is synced instead of each of them.
const SYNC_ALL_FROM: usize = 16;

/// A parting in the making. Removed when dropped, unless it was published.
#[derive(Debug)]
pub(crate) struct StagedParting {
    folder: Scratch,
    source: BranchName,
    /// The record that the source had when it was taken.
    taken: Option<BranchRecord>,
    view: FileView,
    /// How many files are in `news/`.
    news: usize,
    /// Tells which staged database was copied; none where none was yet.
    database: Option<Signature>,
}

/// The inode of a file, and when it was changed: seconds and nanoseconds.
type Signature = (u64, (i64, i64));

impl StagedParting {
    /// Makes what can be made while requests of the branch `source` go on.
    pub(super) fn prepare(
        site: &Site,
        name: &BranchName,
        source: &BranchName,
        staged: &Staged,
    ) -> Result<Self, StepError> {
        let cow = site.layout.cow();
        let folder = Scratch::new(cow.staged_parting(name));
        let view = site.config.file_view;
        let mut parting = Self { folder, source: source.clone(), taken: None, view, news: 0, database: None };
        if let Some(seen) = staged.seen() {
            parting.make_folders()?;
            let known = Known::read(cow, source);
            let mut list = Vec::new();
            for entry in &seen.entries {
                parting.note(&mut list, entry, &known, staged.path())?;
            }
            parting.write_list(&list)?;
            let database = tree_in(parting.folder.path()).join(DATABASE_DIR);
            step("make the folder", &database, || fs::create_dir_all(&database))?;
            if !parting.view.shares_blocks() {
                parting.copy_database(staged.path())?;
            }
            disk::sync_file_system(parting.folder.path())?;
        }
        Ok(parting)
    }

    /// Makes one of a branch as it was when it came home, for a merge into the branch `name`. `taken`: the record that it had
    /// before anything of it was read.
    pub(super) fn of_branch(
        site: &Site,
        name: &BranchName,
        source: &BranchName,
        taken: Option<BranchRecord>,
        files: &[u8],
        database: Option<&DatabaseReader>,
        progress: &dyn Progress,
    ) -> Result<Self, StepError> {
        let folder = Scratch::new(site.layout.cow().staged_parting(name));
        let view = site.config.file_view;
        let parting = Self { folder, source: source.clone(), taken, view, news: 0, database: None };
        parting.make_folders()?;
        let mut list = Vec::new();
        for (mode, object, path) in listed(files) {
            write_line(&mut list, format!("{mode} {object}").as_bytes(), path);
        }
        parting.write_list(&list)?;
        if let Some(database) = database {
            let tree = tree_in(parting.folder.path());
            let folder = tree.join(DATABASE_DIR);
            step("make the folder", &folder, || fs::create_dir_all(&folder))?;
            database.copy_to(&database_of(&tree), progress)?;
        }
        disk::sync_file_system(parting.folder.path())?;
        Ok(parting)
    }

    /// Gives the parting its number, and its place, where nothing needs it before a record says so.
    pub(super) fn place(&mut self, cow: &CowLayout, id: u64) -> Result<(), DiskError> {
        let place = cow.parting(id);
        if self.folder.path() == place {
            return Ok(());
        }
        disk::create_folder(&cow.partings_dir())?;
        // A mutation that died may have had this number.
        disk::discard(&place, &cow.trash_dir())?;
        if disk::inode(self.folder.path())?.is_some() {
            disk::rename(self.folder.path(), &place)?;
            self.folder.moved(place);
        } else {
            self.folder.moved(place);
            self.make_folders()?;
        }
        disk::sync(&cow.partings_dir())
    }

    fn make_folders(&self) -> Result<(), DiskError> {
        let folder = self.folder.path();
        for path in [folder.to_owned(), news_in(folder)] {
            disk::create_folder(&path)?;
        }
        let from = from_in(folder);
        step("write", &from, || fs::write(&from, self.source.as_str()))
    }

    /// Takes it back to staging, where it waits for the next attempt: what no record names goes.
    pub(super) fn take_back(&mut self, cow: &CowLayout, name: &BranchName) -> Result<(), DiskError> {
        let staged = cow.staged_parting(name);
        if self.folder.path() == staged {
            return Ok(());
        }
        disk::rename(self.folder.path(), &staged)?;
        self.folder.moved(staged);
        Ok(())
    }

    /// Makes it what the staged tree is, durably: that has just been refreshed, and nothing is put into it yet.
    pub(super) fn complete(&mut self, cow: &CowLayout, staged: &mut Staged) -> Result<(), StepError> {
        self.taken = read_record(&cow.record(&self.source))?;
        let completed = self.follow(staged);
        if completed.is_err() {
            // What was copied may not be durable.
            self.database = None;
        }
        completed
    }

    fn follow(&mut self, staged: &mut Staged) -> Result<(), StepError> {
        if staged.seen().is_none() {
            self.make_folders()?;
        }
        let note = moment_in(self.folder.path());
        step("write", &note, || fs::write(&note, tree::now().as_nanos().to_string()))?;
        let Some(changed) = staged.take_changes() else {
            let tree = tree_in(self.folder.path());
            disk::remove(&tree)?;
            return Ok(view::snapshot(staged.path(), &tree)?);
        };
        let mut written = self.copy_database(staged.path())?;
        let mut list = Vec::new();
        let first = self.news;
        for path in changed {
            match staged.entry(&path) {
                Some(entry) => self.note(&mut list, entry, &Known::default(), staged.path())?,
                None => write_line(&mut list, b"gone", &path),
            }
        }
        if !list.is_empty() {
            self.write_list(&list)?;
            if self.news - first >= SYNC_ALL_FROM {
                return Ok(disk::sync_file_system(self.folder.path())?);
            }
            let news = news_in(self.folder.path());
            written.extend((first..self.news).map(|number| news.join(number.to_string())));
            written.extend([news, files_in(self.folder.path())]);
        }
        // Side by side, they are written down together.
        Ok(written.par_iter().try_for_each(|path| disk::sync(path))?)
    }

    /// The branch that was taken from.
    pub(super) fn source(&self) -> &BranchName {
        &self.source
    }

    /// Whether another operation has changed the source since it was taken.
    pub(super) fn is_outdated(&self, cow: &CowLayout) -> Result<bool, DiskError> {
        let Some(taken) = &self.taken else { return Ok(false) };
        let now = read_record(&cow.record(&self.source))?;
        Ok(now.is_none_or(|now| now.operation != taken.operation))
    }

    /// Leaves it where it is from now on: records are about to name it.
    pub(super) fn keep(&mut self) {
        self.folder.keep();
    }

    /// Lets it go when it is dropped, after all.
    pub(super) fn let_go(&mut self) {
        self.folder.let_go();
    }

    /// Adds a line for a file that is in Git's view.
    fn note(&mut self, list: &mut Vec<u8>, entry: &Entry, known: &Known, tree: &Path) -> Result<(), DiskError> {
        if entry.kind == Kind::Folder || !is_in_view(&entry.path) {
            return Ok(());
        }
        if let Some(blob) = known.object(entry) {
            write_line(list, format!("{} {}", blob.mode.octal(), blob.id.as_str()).as_bytes(), &entry.path);
            return Ok(());
        }
        let news = news_in(self.folder.path()).join(self.news.to_string());
        let mode = match &entry.kind {
            Kind::Symlink(target) => {
                step("write", &news, || fs::write(&news, target.as_os_str().as_bytes()))?;
                EntryMode::Symlink
            }
            _ => {
                let path = tree.join(&entry.path);
                let Some(file) = disk::open_file(&path)? else { return Ok(()) };
                disk::remove(&news)?;
                disk::clone_file(self.view, &file, &news)?;
                if entry.attributes.mode & 0o100 == 0 { EntryMode::File } else { EntryMode::Program }
            }
        };
        write_line(list, format!("{} new:{}", mode.octal(), self.news).as_bytes(), &entry.path);
        self.news += 1;
        Ok(())
    }

    /// Adds to what the files are. Does not make it durable.
    fn write_list(&self, list: &[u8]) -> Result<(), DiskError> {
        let path = files_in(self.folder.path());
        step("write", &path, || {
            let mut file = fs::File::options().append(true).create(true).open(&path)?;
            file.write_all(list)
        })
    }

    /// Copies the staged database, unless it is the one that was copied, and gives what is to be made durable for that.
    fn copy_database(&mut self, staged: &Path) -> Result<Vec<PathBuf>, DiskError> {
        let (database, tree) = (database_of(staged), tree_in(self.folder.path()));
        let signature = signature(&database)?;
        if signature.is_some() && signature == self.database {
            return Ok(Vec::new());
        }
        self.database = None;
        let folder = tree.join(DATABASE_DIR);
        step("make the folder", &folder, || fs::create_dir_all(&folder))?;
        for path in [database_of(&tree), wal_of(&database_of(&tree))] {
            disk::remove(&path)?;
        }
        database::clone_at_rest(self.view, staged, std::slice::from_ref(&tree))?;
        self.database = signature;
        let mut written = vec![folder];
        for path in [database_of(&tree), wal_of(&database_of(&tree))] {
            if disk::inode(&path)?.is_some() {
                written.push(path);
            }
        }
        Ok(written)
    }
}

/// What tells a staged database from one that was copied in its place: that may have its inode, and has the time of the
/// original, into which nothing need have been written but its log.
fn signature(database: &Path) -> Result<Option<Signature>, DiskError> {
    use std::os::unix::fs::MetadataExt as _;
    step("look at", database, || match fs::symlink_metadata(database) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        found => found.map(|found| Some((found.ino(), (found.ctime(), found.ctime_nsec())))),
    })
}

fn write_line(list: &mut Vec<u8>, what: &[u8], path: &Path) {
    list.extend_from_slice(what);
    list.push(b'\t');
    list.extend_from_slice(path.as_os_str().as_bytes());
    list.push(0);
}

/// Where a parting has the tree that its database is in.
pub(crate) fn tree_in(parting: &Path) -> PathBuf {
    parting.join("tree")
}

/// Where a parting says when it was what both branches had: in nanoseconds since the epoch. Before that, nobody had the tree of
/// the one that came.
pub(crate) fn moment_in(parting: &Path) -> PathBuf {
    parting.join("moment")
}

/// Where a parting has the name of the branch that was taken from.
pub(crate) fn from_in(parting: &Path) -> PathBuf {
    parting.join("from")
}

/// Where a parting says what its files are.
pub(crate) fn files_in(parting: &Path) -> PathBuf {
    parting.join("files")
}

/// Where a parting has the files that Git has not seen yet.
pub(crate) fn news_in(parting: &Path) -> PathBuf {
    parting.join("news")
}

/// Notes which partings the branches have that an operation is about to change: they may have got some since it was prepared.
pub(super) fn renew(cow: &CowLayout, entry: &mut LogEntry) -> Result<(), DiskError> {
    for (name, before) in entry.befores_mut() {
        if let Some(before) = before {
            before.partings = partings_of(cow, name)?;
        }
    }
    Ok(())
}

/// Says which partings the branches will have. `new`: what the operation makes of them and the branch that it is from.
pub(super) fn inherit(cow: &CowLayout, intent: &mut Intent, new: Option<&StagedParting>) -> Result<(), StepError> {
    let entry = &intent.entry;
    let own = entry.before.as_ref().map(|before| before.partings.clone()).unwrap_or_default();
    let partings = match (new, &intent.change) {
        (Some(parting), change) => {
            // A merge adds to what the branch has; a clone has what its source has.
            let own = matches!(change, Change::Files(_)).then(|| own.newest_first()).into_iter().flatten();
            // What the source got since it was taken, the branch does not have.
            let source = match &parting.taken {
                Some(taken) => taken.partings.clone(),
                None => partings_of(cow, &parting.source)?,
            };
            source.newest_first().chain(own).chain([entry.id]).collect()
        }
        (None, Change::Files(_)) => {
            let history = History::read(cow)?;
            match entry.undoes.and_then(|undone| history.get(undone)).filter(|undone| history.is_of_merge(undone)) {
                Some(undone) => {
                    let before = undone.before.as_ref().map(|before| before.partings.clone()).unwrap_or_default();
                    as_before(&own, undone.id, &before)
                }
                None => own,
            }
        }
        (None, Change::Moves(_)) => return Ok(()),
    };
    intent.records_mut().into_iter().for_each(|(_, record)| record.partings = partings.clone());
    Ok(())
}

/// Gives the branch that an operation was from the parting that the operation made, durably.
pub(super) fn join_source(cow: &CowLayout, intent: &Intent) -> Result<(), DiskError> {
    let (id, Some(from)) = (intent.entry.id, &intent.entry.from) else { return Ok(()) };
    if !intent.records().iter().any(|record| record.partings.contains(id)) {
        return Ok(());
    }
    let path = cow.record(from);
    let Some(mut record) = read_record(&path)? else { return Ok(()) };
    if !record.partings.contains(id) {
        record.partings = record.partings.newest_first().chain([id]).collect();
        disk::replace(&path, record.to_toml().as_bytes())?;
    }
    Ok(())
}

fn partings_of(cow: &CowLayout, name: &BranchName) -> Result<Partings, DiskError> {
    Ok(read_record(&cow.record(name))?.map(|record| record.partings).unwrap_or_default())
}

fn read_record(path: &Path) -> Result<Option<BranchRecord>, DiskError> {
    step("read", path, || BranchRecord::read(path).map_err(std::io::Error::other))
}

/// The partings that a branch has once a merge into it is taken back, or made again: those that it had before that, and those
/// that others have had of it since.
fn as_before(now: &Partings, operation: u64, before: &Partings) -> Partings {
    now.newest_first().filter(|id| *id > operation).chain(before.newest_first()).collect()
}

/// Which partings some pair of branches needs: the newest that both have, and that is there.
fn needed(branches: &[Partings], there: &HashSet<u64>) -> HashSet<u64> {
    let mut needed = HashSet::new();
    for (number, one) in branches.iter().enumerate() {
        for other in &branches[number + 1..] {
            needed.extend(one.common(other).find(|id| there.contains(id)));
        }
    }
    needed
}

/// Removes the partings that no two of the branches that there are, or that are kept, have as their newest. The caller holds
/// `mutation.lock`.
pub(super) fn drop_needless(site: &Site) -> Result<Vec<u64>, StepError> {
    let cow = site.layout.cow();
    let there: HashSet<u64> =
        disk::list(&cow.partings_dir())?.iter().filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect();
    if there.is_empty() {
        return Ok(Vec::new());
    }
    let mut branches: Vec<Partings> = Vec::new();
    for (_, branch) in branch::list_each(site)? {
        // Of one that can't be read nobody knows what it needs.
        branches.push(branch?.record.partings);
    }
    let history = History::read(cow)?;
    let kept = history.owners().filter(|entry| cow.kept_tree(entry.slot).exists());
    let befores = |entry: &LogEntry| -> Vec<Partings> {
        entry.befores().filter_map(|(_, before)| Some(before?.partings.clone())).collect()
    };
    branches.extend(kept.flat_map(befores));
    // The record of a branch whose files are being changed is aside.
    if let Some(intent) = Intent::read(cow)? {
        branches.extend(befores(&intent.entry));
    }
    branches.sort_unstable_by_key(ToString::to_string);
    let needed = needed(&branches, &there);
    let mut dropped: Vec<u64> = there.difference(&needed).copied().collect();
    dropped.sort_unstable();
    for id in &dropped {
        disk::discard(&cow.parting(*id), &cow.trash_dir())?;
    }
    Ok(dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partings(text: &str) -> Partings {
        text.parse().unwrap()
    }

    #[test]
    fn what_some_pair_has_as_its_newest_is_needed() {
        let there = HashSet::from([1, 2, 3, 4]);
        let needed = |branches: &[&str], there: &HashSet<u64>| {
            let branches: Vec<_> = branches.iter().map(|text| partings(text)).collect();
            let mut needed: Vec<_> = needed(&branches, there).into_iter().collect();
            needed.sort_unstable();
            needed
        };
        assert_eq!(needed(&["1-3", "1", "1-2", "1-3"], &there), [1, 2, 3]);
        assert_eq!(needed(&["1-3", "1-3"], &there), [3], "an older one of the same pair is needed by nobody");
        assert_eq!(needed(&["1-3", "1-3"], &HashSet::from([1, 2])), [2], "one that is gone can't be had");
        assert_eq!(needed(&["1-3"], &there), [0_u64; 0]);
    }

    #[test]
    fn a_merge_that_is_taken_back_takes_its_partings_along_and_brings_them_again() {
        assert_eq!(as_before(&partings("2,3,5,7"), 5, &partings("2")), partings("2,7"));
        assert_eq!(as_before(&partings("2,7,9"), 8, &partings("2-3,5,7")), partings("2-3,5,7,9"));
    }
}
