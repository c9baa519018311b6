//! Files to put into a tree: staged beside it, put in place by renames.
//!
//! A folder holds them: `new/N` is what the path number N is to be, `old/N` a copy of what it was, and `list` says which
//! path that is. To put them in place uses up `new` and leaves `old` alone, so that from `old` it can be taken back at any
//! step, over and over; that is what recovery does. What is replaced changes places with `new/N`: to free it takes longer
//! than the rest, and has time. Afterwards the folder is the operation's slot, and to undo the operation is to apply its `old`.
//!
//! No folder on the way to a path is ever a symlink: what is applied stays inside the tree.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::{ChangeError, PutError, RecoverError, StepError};
use super::new_database::{DatabaseEdit, NewDatabase, Restore};
use super::refusal::{self, Ground, Refusal, There};
use super::scratch::Scratch;
use crate::bands::Surroundings;
use crate::config::FileView;
use crate::database::DatabaseError;
use crate::disk::{self, Attributes, DiskError, step};
use crate::progress::Progress;
use crate::site::Site;
use crate::tree;
use forkpress_core::deadline::Deadline;
use forkpress_core::layout::{DATABASE_DIR, database_of};
use forkpress_core::name::BranchName;

/// From how many touched folders on the whole file system is synced instead of each of them.
const SYNC_ALL_FROM: usize = 64;

/// How often a file that is just being written is looked at again, a tick apart, before it counts as changed.
const LOOKS: u32 = 50;

/// What one path of a branch is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathChange {
    /// Relative to the branch, in components that are names.
    pub path: PathBuf,
    /// What is to be there.
    pub after: After,
}

/// What is to be at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// Nothing.
    Gone,
    /// A file.
    File {
        /// Whether it may be run.
        executable: bool,
    },
    /// A symlink that says this, wherever that leads.
    Symlink(PathBuf),
}

/// What is to be applied, and to what. The engine asks while it holds the branch's mutation lock and while requests go on.
pub trait Overlay {
    /// What is to be changed. A path below one that is to be a file must be gone, and so must a file above one.
    ///
    /// # Errors
    /// What the system said.
    fn changes(&mut self) -> io::Result<Vec<PathChange>>;

    /// Whether what the path of the change `number` has is what it is thought to have: `before` is a copy of it, none
    /// where nothing is there or a folder. A create does not ask.
    ///
    /// # Errors
    /// What the system said.
    fn is_expected(&mut self, number: usize, before: Option<&Path>) -> io::Result<bool>;

    /// Writes the bytes that the file of the change `number` is to have.
    ///
    /// # Errors
    /// What the system said.
    fn write(&mut self, number: usize, file: &mut File) -> io::Result<()>;
}

/// Files that are staged. Removed when dropped, unless they are kept.
#[derive(Debug)]
pub(super) struct StagedFiles {
    folder: Scratch,
    list: List,
    view: FileView,
    /// What each path was when its copy was made, but for the database.
    seen: Vec<PathState>,
    /// The last of the touched paths, where it is the database that is to be another.
    database: Option<NewDatabase>,
}

/// Which paths are touched, and how.
#[derive(Debug, Default, PartialEq, Eq)]
struct List {
    touched: Vec<Touched>,
    /// The folders that are made for them, each after the one that it is in.
    made: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Touched {
    path: PathBuf,
    /// Whether it was a file or a symlink.
    had: bool,
    /// Whether it will be one.
    has: bool,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PathState {
    Nothing,
    Folder,
    /// A file or a symlink, and what tells it from each other one and from itself after a change.
    Leaf(Signature),
    /// Behind a symlink or a file, or a device.
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    inode: u64,
    size_bytes: u64,
    attributes: Attributes,
    changed: (i64, i64),
    is_symlink: bool,
}

impl StagedFiles {
    /// Stages, durably, what is to be put into the tree at `branch`. Refuses what could not be put there.
    pub(super) fn prepare(
        site: &Site,
        branch: &Path,
        folder: PathBuf,
        overlay: &mut dyn Overlay,
        purpose: Purpose,
    ) -> Result<Self, ChangeError> {
        let from_overlay = |source| PutError::Overlay { source };
        let changes = overlay.changes().map_err(from_overlay)?;
        if let Some(path) = unfit(&changes) {
            return Err(PutError::UnfitPath { path: path.to_owned() }.into());
        }
        let to_be = changes.iter().filter(|change| change.after != After::Gone).map(|change| &*change.path);
        refusal::too_long(&site.layout, to_be).map_or(Ok(()), |refused| Err(PutError::from(refused)))?;
        let folder = Scratch::new(folder);
        for path in [folder.path(), &new_dir(folder.path()), &old_dir(folder.path())] {
            disk::create_folder(path)?;
        }
        let mut ground = Ground::new(branch, folder.path())?;
        let mut files =
            Self { list: List::default(), view: site.config.file_view, seen: Vec::new(), database: None, folder };
        let (mut stale, mut looks) = (Vec::new(), Looks::at(branch));
        for (number, change) in changes.iter().enumerate() {
            let refused = |refusal| PutError::from((change.path.clone(), refusal));
            if change.after != After::Gone {
                ground.check_name(&change.path).map_err(refused)?;
            }
            let (place, old) = match purpose {
                Purpose::Apply => files.save(&mut looks, number, &change.path)?,
                Purpose::Create => (looks.look(&change.path)?, None),
            };
            if purpose == Purpose::Apply {
                if !overlay.is_expected(number, old.as_deref()).map_err(from_overlay)? {
                    stale.push(change.path.clone());
                    continue;
                }
                // A clone has other owners and flags.
                check_access(&mut ground, &mut looks, change, &place).map_err(refused)?;
            }
            files.make(&mut looks, number, change, &place, overlay)?;
            files.list.touched.push(Touched {
                path: change.path.clone(),
                had: matches!(place, PathState::Leaf(_)),
                has: change.after != After::Gone,
            });
            files.seen.push(place);
        }
        if !stale.is_empty() {
            return Err(PutError::Stale { paths: stale }.into());
        }
        files.list.made = files.folders_to_make(&mut looks)?;
        files.try_out(&mut looks)?;
        files.write_list()?;
        Ok(files)
    }

    fn write_list(&self) -> Result<(), DiskError> {
        let list = self.folder.path().join(LIST);
        step("write", &list, || fs::write(&list, self.list.to_bytes()))?;
        disk::sync_file_system(self.folder.path())
    }

    /// Stages, durably, what is to become of the database of the branch at `branch`, which has one.
    pub(super) fn add_database(
        &mut self,
        branch: &Path,
        edit: Box<dyn DatabaseEdit>,
        deadline: Deadline,
        progress: &dyn Progress,
    ) -> Result<(), ChangeError> {
        let (folder, number) = (self.folder.path(), self.list.touched.len().to_string());
        let places = [old_dir(folder).join(&number), new_dir(folder).join(&number)];
        let database =
            NewDatabase::prepare(self.view, branch, folder.join("database"), places, edit, deadline, progress)?;
        let path = database_of(Path::new(""));
        // The log, and what belongs to it, goes with the database that it is of.
        let beside = ["-wal", "-shm"].map(|suffix| {
            let mut beside = path.clone().into_os_string();
            beside.push(suffix);
            Touched { path: beside.into(), had: false, has: false }
        });
        self.list.touched.push(Touched { path, had: true, has: true });
        self.list.touched.extend(beside);
        self.database = Some(database);
        Ok(self.write_list()?)
    }

    /// Sees to it, while no request runs, that the database that waits is made from what the branch has, and that no other
    /// program writes into that any more. Says whether it is so: otherwise it is to be made anew beside requests first.
    pub(super) fn hold_database(&mut self, timeout: Duration) -> Result<bool, ChangeError> {
        self.database.as_mut().map_or(Ok(true), |database| database.hold(timeout))
    }

    /// Lets other programs write into the database again that the branch had.
    pub(super) fn release_database(&self) {
        self.database.iter().for_each(NewDatabase::release);
    }

    /// Has the database that waits begin bands of ids for the branch, durably.
    pub(super) fn begin_bands(&mut self, name: &BranchName, around: &mut Surroundings) -> Result<(), StepError> {
        self.database.as_mut().map_or(Ok(()), |database| database.begin_bands(name, around))
    }

    /// Makes the database that waits anew, beside requests.
    pub(super) fn renew_database(&mut self, deadline: Deadline) -> Result<(), ChangeError> {
        self.database.as_mut().map_or(Ok(()), |database| database.renew(deadline.remaining()))
    }

    /// Waits until no foreign program writes into the branch's database, where that is to be another.
    pub(super) fn wait_for_database(&self, deadline: Deadline) -> Result<(), DatabaseError> {
        self.database.as_ref().map_or(Ok(()), |database| database.wait_for_turn(deadline))
    }

    /// Sees to it that what is to be made can be, and that there is room for it: after all else is staged.
    fn try_out(&self, looks: &mut Looks<'_>) -> Result<(), ChangeError> {
        let has = || self.list.touched.iter().enumerate().filter(|(_, touched)| touched.has);
        let scratch = self.folder.path().join("names");
        disk::create_folder(&scratch)?;
        let files: Vec<_> = has().map(|(_, touched)| &*touched.path).collect();
        refusal::try_out(&scratch, &self.list.made, &files).map_err(PutError::from)?;
        if self.view.shares_blocks() {
            return Ok(());
        }
        // What does not lie beside the staged files is copied.
        let device = |path: &Path| step("look at", path, || Ok(fs::symlink_metadata(path)?.dev()));
        let own = device(self.folder.path())?;
        let mut needed_bytes: HashMap<PathBuf, u64> = HashMap::new();
        for (number, touched) in has() {
            let folder = looks.root.join(looks.nearest_folder(&touched.path)?);
            if device(&folder)? != own {
                let new = new_dir(self.folder.path()).join(number.to_string());
                let bytes = step("look at", &new, || Ok(fs::symlink_metadata(&new)?.len()))?;
                let needed = needed_bytes.entry(folder.clone()).or_default();
                *needed += bytes;
                if disk::free_and_total_bytes(&folder)?.0 < *needed {
                    return Err(PutError::from((touched.path.clone(), Refusal::NoRoom { path: folder })).into());
                }
            }
        }
        Ok(())
    }

    /// The files whose folder a dead process left: they may be the only copies, so it stays.
    pub(super) fn open(view: FileView, folder: PathBuf) -> Result<Self, DiskError> {
        let list = List::read(&folder)?;
        Ok(Self { folder: Scratch::left(folder), list, view, seen: Vec::new(), database: None })
    }

    /// Leaves the folder alone from now on.
    pub(super) fn keep(&mut self) {
        self.folder.keep();
    }

    /// Lets the folder go when this is dropped, after all.
    pub(super) fn let_go(&mut self) {
        self.folder.let_go();
    }

    /// Copies what is at a path to `old`, and says what that is. What is written after the look shows as a change.
    fn save(
        &self,
        looks: &mut Looks<'_>,
        number: usize,
        path: &Path,
    ) -> Result<(PathState, Option<PathBuf>), DiskError> {
        let mut place = looks.look(path)?;
        for _ in 0..LOOKS {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            match &place {
                PathState::Leaf(signature) if tree::is_racy(signature.changed, now) => std::thread::sleep(tree::TICK),
                _ => break,
            }
            place = looks.look(path)?;
        }
        let PathState::Leaf(signature) = &place else { return Ok((place, None)) };
        let (from, to) = (looks.root.join(path), old_dir(self.folder.path()).join(number.to_string()));
        // What has gone since has no copy. Where it is back at the end, with a folder that was moved, that shows as a change.
        let copied = copy(self.view, &from, &to, signature)?;
        Ok(if copied { (place, Some(to)) } else { (PathState::Nothing, None) })
    }

    /// Makes `new` of a change.
    fn make(
        &self,
        looks: &mut Looks<'_>,
        number: usize,
        change: &PathChange,
        place: &PathState,
        overlay: &mut dyn Overlay,
    ) -> Result<(), ChangeError> {
        let path = new_dir(self.folder.path()).join(number.to_string());
        let shown = &looks.root.join(&change.path);
        let executable = match &change.after {
            After::Gone => return Ok(()),
            After::Symlink(target) => {
                let refused = |error: DiskError| PutError::from((change.path.clone(), error.seen(&path, shown).into()));
                return Ok(disk::symlink(target, &path).map_err(refused)?);
            }
            After::File { executable } => *executable,
        };
        let mut file = step("write", &path, || File::create_new(&path))?;
        // Whoever is told that it failed knows the branch.
        step("write", shown, || overlay.write(number, &mut file))?;
        let written = step("look at", &path, || Ok(attributes_of(&file.metadata()?)))?;
        let (mode, like) = match place {
            PathState::Leaf(before) if !before.is_symlink => (before.attributes.mode, before.attributes),
            _ => (0o644, looks.folder_attributes(&change.path)?),
        };
        // Who may read it may run it.
        let mode = if executable { mode | (mode & 0o444) >> 2 } else { mode & !0o111 };
        let attributes = Attributes { mode, owner: like.owner, group: like.group, modified: written.modified };
        Ok(disk::set_attributes(&path, &attributes)?)
    }

    fn folders_to_make(&self, looks: &mut Looks<'_>) -> Result<Vec<PathBuf>, DiskError> {
        let has = self.list.touched.iter().filter(|touched| touched.has);
        let mut made: Vec<PathBuf> = Vec::new();
        for folder in has.flat_map(|touched| folders_of(&touched.path)).collect::<BTreeSet<_>>() {
            if looks.look(folder)? != PathState::Folder {
                made.push(folder.to_owned());
            }
        }
        Ok(made)
    }

    /// Says which paths are not what they were when they were staged, or can't be what they are to be, while no request
    /// runs.
    pub(super) fn stale(&self, branch: &Path) -> Result<Vec<PathBuf>, DiskError> {
        let gone: HashSet<&Path> =
            self.list.touched.iter().filter(|touched| !touched.has).map(|touched| &*touched.path).collect();
        let (mut stale, mut looks) = (Vec::new(), Looks::at(branch));
        for (touched, seen) in self.list.touched.iter().zip(&self.seen) {
            let mut folders = folders_of(&touched.path);
            let fits = match looks.look(&touched.path)? {
                now if now != *seen => false,
                PathState::Folder => !touched.has || looks.all_leaves_in(&gone, &touched.path)?,
                // Behind a symlink or a file: one that goes.
                PathState::Other => !touched.has || folders.any(|folder| gone.contains(folder)),
                PathState::Nothing | PathState::Leaf(_) => true,
            };
            if !fits {
                stale.push(touched.path.clone());
            }
        }
        Ok(stale)
    }

    /// Puts the files in place, durably, while nobody looks. Where this fails, [`Self::take_back`] undoes it.
    pub(super) fn put_in_place(&self, branch: &Path) -> Result<(), DiskError> {
        let mut tree = TargetTree::new(branch, self.view);
        let new = |number: usize| new_dir(self.folder.path()).join(number.to_string());
        for (number, touched) in self.list.touched.iter().enumerate().filter(|(_, touched)| !touched.has) {
            tree.move_away(&touched.path, &new(number))?;
        }
        for (number, touched) in self.list.touched.iter().enumerate().filter(|(_, touched)| touched.has) {
            tree.swap(&new(number), &touched.path)?;
        }
        for touched in self.list.touched.iter().filter(|touched| !touched.has) {
            folders_of(&touched.path).for_each(|folder| remove_if_empty(&branch.join(folder)));
        }
        tree.sync(&self.list)
    }

    /// Gives the paths back, durably, what they had, however far [`Self::put_in_place`] or this came before. Goes on past
    /// those that it can't give it back.
    pub(super) fn take_back(&self, name: &BranchName, branch: &Path) -> Result<(), RecoverError> {
        let mut tree = TargetTree::new(branch, self.view);
        let mut failed = Vec::new();
        for touched in &self.list.touched {
            let mut removed = tree.unlink(&temporary(&touched.path));
            if !touched.had {
                removed = removed.and(tree.unlink(&touched.path));
            }
            failed.extend(removed.err().map(|error| (&touched.path, error)));
        }
        self.list.made.iter().rev().for_each(|folder| remove_if_empty(&branch.join(folder)));
        // Some of the folders that were seen have gone by now.
        tree.looks = Looks::at(branch);
        for (number, touched) in self.list.touched.iter().enumerate().filter(|(_, touched)| touched.had) {
            let restored = tree.restore(&old_dir(self.folder.path()).join(number.to_string()), &touched.path);
            failed.extend(restored.err().map(|error| (&touched.path, error)));
        }
        // What could be given back is durable even where something else could not.
        let synced = tree.sync(&self.list);
        let paths = failed.iter().map(|(path, _)| (*path).clone()).collect();
        match failed.into_iter().next() {
            Some((_, source)) => Err(RecoverError::NotPutBack { name: name.clone(), paths, source }),
            None => Ok(synced?),
        }
    }
}

/// What files are staged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be put into a branch that is in use, as long as it is what it was.
    Apply,
    /// To be put into a clone of a branch, whatever that has become.
    Create,
}

/// A tree that files are put into.
struct TargetTree<'a> {
    root: &'a Path,
    view: FileView,
    looks: Looks<'a>,
    /// Whether files came from another file system or subvolume, so that their bytes are not durable yet.
    has_copies: bool,
}

impl<'a> TargetTree<'a> {
    fn new(root: &'a Path, view: FileView) -> Self {
        Self { root, view, looks: Looks::at(root), has_copies: false }
    }

    /// Removes a file or a symlink. What is behind a symlink stays.
    fn unlink(&mut self, path: &Path) -> Result<(), DiskError> {
        match self.looks.look(path)? {
            PathState::Leaf(_) => disk::unlink(&self.root.join(path)),
            PathState::Nothing | PathState::Folder | PathState::Other => Ok(()),
        }
    }

    /// Moves a file or a symlink to `to`, where nothing is, or removes it where that is on another file system.
    fn move_away(&mut self, path: &Path, to: &Path) -> Result<(), DiskError> {
        if !matches!(self.looks.look(path)?, PathState::Leaf(_)) {
            return Ok(());
        }
        let full = self.root.join(path);
        match disk::rename_over(&full, to) {
            // An editor may have removed it.
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(DiskError { step: "move away", path: full, ..error }),
            Ok(false) => self.unlink(path),
            Ok(true) => Ok(()),
        }
    }

    /// Does what [`Self::put`] does, and leaves a file or a symlink that it replaces at `from` where the system can do that.
    fn swap(&mut self, from: &Path, path: &Path) -> Result<(), DiskError> {
        let is_swapped = !self.has_copies
            && matches!(self.looks.look(path)?, PathState::Leaf(_))
            && disk::exchange(from, &self.root.join(path))?;
        if is_swapped { Ok(()) } else { self.put(from, path) }
    }

    /// Gives a path back what `old` is a copy of, unless that was done or the path has it still: what was never changed need
    /// not be changeable.
    fn restore(&mut self, old: &Path, path: &Path) -> Result<(), DiskError> {
        if disk::inode(old)?.is_none() || self.is_like(old, path)? {
            return Ok(());
        }
        self.put(old, path)
    }

    /// Whether what is at a path has the bytes, the mode and the times of `other`.
    fn is_like(&mut self, other: &Path, path: &Path) -> Result<bool, DiskError> {
        let PathState::Leaf(now) = self.looks.look(path)? else { return Ok(false) };
        let full = self.root.join(path);
        let like = step("compare", &full, || {
            let wanted = fs::symlink_metadata(other)?;
            if wanted.is_symlink() || now.is_symlink {
                return Ok(wanted.is_symlink() && now.is_symlink && fs::read_link(other)? == fs::read_link(&full)?);
            }
            let attributes = attributes_of(&wanted);
            Ok(wanted.len() == now.size_bytes
                && attributes.mode == now.attributes.mode
                && attributes.modified == now.attributes.modified
                && disk::have_same_bytes(other, &full)?)
        });
        // One that can't be read can be replaced all the same.
        Ok(like.unwrap_or(false))
    }

    /// Puts the file or symlink at `from` where `path` is, in place of what is there: a folder only if it has no files.
    fn put(&mut self, from: &Path, path: &Path) -> Result<(), DiskError> {
        if let Some(folder) = folders_of(path).next() {
            self.make_folder(folder)?;
        }
        let to = self.root.join(path);
        if self.looks.look(path)? == PathState::Folder {
            disk::remove_empty_folders(&to)?;
        }
        if disk::rename_over(from, &to)? {
            return Ok(());
        }
        self.has_copies = true;
        let beside = self.root.join(temporary(path));
        disk::remove(&beside)?;
        let signature = Signature::of(&step("look at", from, || fs::symlink_metadata(from))?);
        copy(self.view, from, &beside, &signature)?;
        disk::rename_over(&beside, &to).map(drop)
    }

    /// Makes a folder and those around it that are not there.
    fn make_folder(&mut self, path: &Path) -> Result<(), DiskError> {
        let full = self.root.join(path);
        match self.looks.look(path)? {
            PathState::Folder => Ok(()),
            PathState::Nothing => {
                folders_of(path).next().map_or(Ok(()), |folder| self.make_folder(folder))?;
                let like = self.looks.folder_attributes(path)?;
                disk::create_folder(&full)?;
                // Whoever makes it puts something in it.
                disk::set_attributes(&full, &Attributes { mode: like.mode | 0o700, ..like })
            }
            PathState::Leaf(_) | PathState::Other => {
                step("make the folder", &full, || Err(io::ErrorKind::NotADirectory.into()))
            }
        }
    }

    /// Makes what was done to the paths of a list durable.
    fn sync(self, list: &List) -> Result<(), DiskError> {
        let folders: BTreeSet<&Path> = list.touched.iter().flat_map(|touched| folders_of(&touched.path)).collect();
        if self.has_copies || folders.len() >= SYNC_ALL_FROM {
            return disk::sync_file_system(self.root);
        }
        // Some may have gone.
        let mut looks = Looks::at(self.root);
        for folder in folders {
            if looks.look(folder)? == PathState::Folder {
                disk::sync(&self.root.join(folder))?;
            }
        }
        disk::sync(self.root)
    }
}

/// The changes that give a branch back what the slot of an operation keeps.
#[derive(Debug)]
pub(super) struct Reverse {
    slot: PathBuf,
    list: List,
}

impl Reverse {
    pub(super) fn of(slot: PathBuf) -> Result<Self, DiskError> {
        Ok(Self { list: List::read(&slot)?, slot })
    }

    /// The database that the slot keeps; none where the operation left that alone.
    pub(super) fn database(&self, view: FileView) -> Option<Box<dyn DatabaseEdit>> {
        let database = database_of(Path::new(""));
        let number = self.list.touched.iter().position(|touched| touched.path == database)?;
        Some(Box::new(Restore { view, from: old_dir(&self.slot).join(number.to_string()) }))
    }
}

impl Overlay for Reverse {
    fn changes(&mut self) -> io::Result<Vec<PathChange>> {
        let change = |(number, touched): (usize, &Touched)| {
            let old = old_dir(&self.slot).join(number.to_string());
            let after = match touched.had.then(|| fs::symlink_metadata(&old)).transpose()? {
                None => After::Gone,
                Some(metadata) if metadata.is_symlink() => After::Symlink(fs::read_link(&old)?),
                Some(metadata) => After::File { executable: metadata.mode() & 0o100 != 0 },
            };
            Ok(PathChange { path: touched.path.clone(), after })
        };
        // The database, which is the last of them, is no file among others.
        let files = self.list.touched.iter().take_while(|touched| !touched.path.starts_with(DATABASE_DIR));
        files.enumerate().map(change).collect()
    }

    /// What a branch has now is kept in turn, whatever it is.
    fn is_expected(&mut self, _number: usize, _before: Option<&Path>) -> io::Result<bool> {
        Ok(true)
    }

    fn write(&mut self, number: usize, file: &mut File) -> io::Result<()> {
        io::copy(&mut File::open(old_dir(&self.slot).join(number.to_string()))?, file).map(drop)
    }
}

const LIST: &str = "list";

/// Where what is to be put in place waits, in the folder of staged files, and what has made room for it afterwards. Then
/// nobody needs it.
pub(super) fn new_dir(folder: &Path) -> PathBuf {
    folder.join("new")
}

fn old_dir(folder: &Path) -> PathBuf {
    folder.join("old")
}

/// The name, beside `path`, of a file that can't be renamed to `path` from where it is.
fn temporary(path: &Path) -> PathBuf {
    let mut name = OsStr::new(".forkpress-").to_owned();
    // The name as such might be too long with something added to it.
    name.push(path.file_name().map(|name| name.as_bytes().iter().fold(5381_u64, hash)).unwrap_or_default().to_string());
    name.push(".tmp");
    path.with_file_name(name)
}

fn hash(sum: u64, byte: &u8) -> u64 {
    sum.wrapping_mul(33) ^ u64::from(*byte)
}

/// The path that can't be changed as asked, if there is one: it leads out of the tree or into the database, it is there
/// twice, or it is below a file that is to be.
fn unfit(changes: &[PathChange]) -> Option<&Path> {
    let mut paths = HashSet::new();
    let files: HashSet<&Path> =
        changes.iter().filter(|change| change.after != After::Gone).map(|change| &*change.path).collect();
    changes.iter().map(|change| (&*change.path, change.after != After::Gone)).find_map(|(path, has)| {
        let is_plain = path.components().all(|component| matches!(component, Component::Normal(_)))
            && path.components().collect::<PathBuf>().as_os_str() == path.as_os_str()
            && !path.as_os_str().is_empty();
        let is_below_file = has && folders_of(path).any(|folder| files.contains(folder));
        let fits = is_plain && !path.starts_with(DATABASE_DIR) && !is_below_file && paths.insert(path);
        (!fits).then_some(path)
    })
}

/// The folders that a path is in, the innermost first, the tree's own left out.
fn folders_of(path: &Path) -> impl Iterator<Item = &Path> {
    path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty())
}

/// Looks at paths in a tree, through no symlink. A folder that was one once is taken for one from then on.
struct Looks<'a> {
    root: &'a Path,
    folders: HashSet<PathBuf>,
}

impl<'a> Looks<'a> {
    fn at(root: &'a Path) -> Self {
        Self { root, folders: HashSet::new() }
    }

    fn look(&mut self, path: &Path) -> Result<PathState, DiskError> {
        if self.folders.contains(path) {
            return Ok(PathState::Folder);
        }
        if let Some(folder) = folders_of(path).next()
            && !self.folders.contains(folder)
        {
            match self.look(folder)? {
                PathState::Folder => self.folders.insert(folder.to_owned()),
                PathState::Nothing => return Ok(PathState::Nothing),
                PathState::Leaf(_) | PathState::Other => return Ok(PathState::Other),
            };
        }
        let full = self.root.join(path);
        step("look at", &full, || match fs::symlink_metadata(&full) {
            // Nothing has a name that nothing can have.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename) => {
                Ok(PathState::Nothing)
            }
            metadata => {
                let metadata = metadata?;
                Ok(match metadata.file_type() {
                    kind if kind.is_dir() => PathState::Folder,
                    kind if kind.is_file() || kind.is_symlink() => PathState::Leaf(Signature::of(&metadata)),
                    _ => PathState::Other,
                })
            }
        })
    }

    /// Whether every file in the folder at `path` is among `leaves`.
    fn all_leaves_in(&mut self, leaves: &HashSet<&Path>, path: &Path) -> Result<bool, DiskError> {
        for found in disk::list(&self.root.join(path))? {
            let relative = path.join(found.file_name().unwrap_or_default());
            let fits = match self.look(&relative)? {
                PathState::Nothing => true,
                PathState::Folder => self.all_leaves_in(leaves, &relative)?,
                PathState::Leaf(_) | PathState::Other => leaves.contains(&*relative),
            };
            if !fits {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The nearest folder around a path that there is; the tree itself has an empty path.
    fn nearest_folder<'p>(&mut self, path: &'p Path) -> Result<&'p Path, DiskError> {
        for folder in folders_of(path) {
            if self.look(folder)? == PathState::Folder {
                return Ok(folder);
            }
        }
        Ok(Path::new(""))
    }

    /// The attributes of that folder.
    fn folder_attributes(&mut self, path: &Path) -> Result<Attributes, DiskError> {
        let nearest = self.root.join(self.nearest_folder(path)?);
        step("look at", &nearest, || Ok(attributes_of(&fs::symlink_metadata(&nearest)?)))
    }
}

/// Refuses a change that the file system would refuse. What is behind a symlink or a file is refused elsewhere.
fn check_access(
    ground: &mut Ground<'_>,
    looks: &mut Looks<'_>,
    change: &PathChange,
    place: &PathState,
) -> Result<(), Refusal> {
    let has = change.after != After::Gone;
    let there = match place {
        PathState::Nothing if has => There::Nothing,
        PathState::Folder if has => There::Folder,
        PathState::Leaf(_) => There::Leaf,
        PathState::Nothing | PathState::Folder | PathState::Other => return Ok(()),
    };
    let folder = looks.nearest_folder(&change.path)?;
    ground.check_access(refusal::PathToChange { path: &change.path, folder, there })
}

/// Removes a folder that nothing is in any more. One that stays does no harm.
fn remove_if_empty(path: &Path) {
    let _: Result<(), DiskError> = step("remove the folder", path, || fs::remove_dir(path));
}

/// Makes at `to` a file or a symlink like that at `from`; false where that has gone, or where another file is there by now.
fn copy(view: FileView, from: &Path, to: &Path, signature: &Signature) -> Result<bool, DiskError> {
    if signature.is_symlink {
        let target = step("look at", from, || match fs::read_link(from) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => Ok(None),
            target => target.map(Some),
        })?;
        let Some(target) = target else { return Ok(false) };
        disk::symlink(&target, to)?;
        disk::set_symlink_attributes(to, &signature.attributes)?;
    } else {
        let Some(file) = disk::open_file(from)? else { return Ok(false) };
        if step("look at", from, || file.metadata())?.ino() != signature.inode {
            return Ok(false);
        }
        disk::clone_file(view, &file, to)?;
        disk::set_attributes(to, &signature.attributes)?;
    }
    Ok(true)
}

fn attributes_of(metadata: &fs::Metadata) -> Attributes {
    Attributes {
        mode: metadata.mode() & 0o7777,
        owner: metadata.uid(),
        group: metadata.gid(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    }
}

impl Signature {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size_bytes: metadata.len(),
            attributes: attributes_of(metadata),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            is_symlink: metadata.is_symlink(),
        }
    }
}

impl List {
    /// A line for each path, ended by a NUL, which no path has: a letter for what was and will be there, and the path.
    fn to_bytes(&self) -> Vec<u8> {
        let touched = self.touched.iter().map(|touched| {
            let letter = match (touched.had, touched.has) {
                (false, false) => b'-',
                (false, true) => b'A',
                (true, false) => b'D',
                (true, true) => b'M',
            };
            (letter, &touched.path)
        });
        let mut bytes = Vec::new();
        for (letter, path) in touched.chain(self.made.iter().map(|path| (b'/', path))) {
            bytes.push(letter);
            bytes.extend_from_slice(path.as_os_str().as_bytes());
            bytes.push(0);
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut list = Self::default();
        for line in bytes.split_inclusive(|byte| *byte == 0) {
            let (letter, path) = line.strip_suffix(&[0])?.split_first()?;
            let path = PathBuf::from(OsStr::from_bytes(path));
            let (had, has) = match letter {
                b'-' => (false, false),
                b'A' => (false, true),
                b'D' => (true, false),
                b'M' => (true, true),
                b'/' => {
                    list.made.push(path);
                    continue;
                }
                _ => return None,
            };
            list.touched.push(Touched { path, had, has });
        }
        Some(list)
    }

    fn read(folder: &Path) -> Result<Self, DiskError> {
        let path = folder.join(LIST);
        step("read", &path, || Self::parse(&fs::read(&path)?).ok_or_else(|| io::ErrorKind::InvalidData.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn change(path: &str, after: After) -> PathChange {
        PathChange { path: path.into(), after }
    }

    #[test]
    fn what_leads_out_of_the_tree_or_into_the_database_or_contradicts_itself_is_unfit() {
        const FILE: After = After::File { executable: false };
        for path in
            ["", "/etc/passwd", "../x", "a/../b", "./a", "a/./b", "a//b", "a/", "wp-content/database/.ht.sqlite"]
        {
            assert_eq!(unfit(&[change("fit", FILE), change(path, FILE)]), Some(Path::new(path)), "{path}");
        }
        assert_eq!(unfit(&[change("a", FILE), change("a", After::Gone)]), Some(Path::new("a")));
        assert_eq!(unfit(&[change("a/b", FILE), change("a", FILE)]), Some(Path::new("a/b")));
        assert_eq!(unfit(&[change("a/b", FILE), change("a", After::Gone)]), None);
        assert_eq!(unfit(&[change("a/b", After::Gone), change("a", FILE)]), None);
        assert_eq!(unfit(&[change("wp-content/databases", FILE), change("...", FILE), change("a\n", FILE)]), None);
    }

    #[test]
    fn a_list_is_read_as_it_was_written_and_garbage_is_an_error() {
        let touched = |path: &str, had, has| Touched { path: path.into(), had, has };
        let list = List {
            touched: vec![
                touched("a\nb", true, true),
                touched("c", false, true),
                touched("d", true, false),
                touched("e", false, false),
            ],
            made: vec!["f".into(), "f/g".into()],
        };
        assert_eq!(List::parse(&list.to_bytes()), Some(list));
        assert_eq!(List::parse(b""), Some(List::default()));
        for garbage in [&b"M"[..], b"Mabc", b"\0", b"?abc\0"] {
            assert_eq!(List::parse(garbage), None);
        }
    }

    #[test]
    fn an_editor_that_makes_and_removes_a_file_all_the_time_stops_neither_a_move_nor_a_swap() {
        let dir = tempfile::tempdir().unwrap();
        let (root, aside) = (dir.path().join("branch"), dir.path().join("aside"));
        let file = root.join("file");
        fs::create_dir(&root).unwrap();
        let over = AtomicBool::new(false);
        // How often the file was there, and how often it was not.
        let mut seen = [0, 0];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    fs::write(&file, "the editor's").unwrap();
                    disk::unlink(&file).unwrap();
                }
            });
            let mut tree = TargetTree::new(&root, FileView::FileCopy);
            while seen.iter().any(|times| *times < 500) {
                let moved = tree.move_away(Path::new("file"), &aside);
                let was_there = aside.exists();
                seen[usize::from(was_there)] += 1;
                fs::write(&aside, "new").unwrap();
                let swapped = tree.swap(&aside, Path::new("file"));
                disk::unlink(&aside).unwrap();
                if let Err(error) = moved.and(swapped) {
                    over.store(true, Ordering::Relaxed);
                    panic!("{error}");
                }
            }
            over.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn another_file_is_not_copied_in_place_of_one_that_was_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let [folder, other, to] = ["folder", "other", "to"].map(|name| dir.path().join(name));
        for (folder, bytes) in [(&folder, "its own"), (&other, "another")] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), bytes).unwrap();
        }
        let file = folder.join("file");
        let signature = Signature::of(&fs::symlink_metadata(&file).unwrap());
        assert!(disk::exchange(&folder, &other).unwrap());
        assert!(!copy(FileView::FileCopy, &file, &to, &signature).unwrap());
        assert!(!to.exists());
        assert!(disk::exchange(&folder, &other).unwrap());
        assert!(copy(FileView::FileCopy, &file, &to, &signature).unwrap());
        assert_eq!(fs::read_to_string(&to).unwrap(), "its own");
    }
}
