//! What a push does: a branch gets the files of a commit, or is deleted.
//!
//! Git hands the updates of a push to [`proc_receive`] instead of moving the refs itself. So a ref moves only after its
//! branch has changed, durably. A process that dies between the two loses nothing: the branch's folder is the truth,
//! and the next snapshot brings the ref up to it.
//!
//! What the pusher saw is compared with what there is while the branch's mutation lock is held, so no other push comes between.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread;
use std::time::Duration;

use thiserror::Error;

use super::push::{
    self, Blob, Difference, EntryMode, FILES_DIR, ObjectId, PushRefusal, PushRequest, Update, parse_difference, place,
    stays_inside,
};
use super::redact;
use super::repository::{Repository, RepositoryError, run, run_with};
use super::snapshot::{self, RefLock, SnapshotError};
use super::view::CONFIG_FILE;
use crate::bounds::{Counter, Load, MOST_ENTRIES, Room, TooMuch};
use crate::branch::{self, BranchError};
use crate::disk::DiskError;
use crate::mutation::files::{After, Overlay, PathChange};
use crate::mutation::{self, ChangeError, DeleteError, PutError, StepError};
use crate::progress::Progress;
use crate::site::Site;
use forkpress_core::advice::Advice;
use forkpress_core::deadline::Deadline;
use forkpress_core::lock::{GATE_HOLD, Patience};
use forkpress_core::name::BranchName;

/// How often a ref is moved that fetches move, too.
const ATTEMPTS: u32 = 10;

/// Why a push did not happen. Refs and branches are then as they were, but for [`PushError::RefBehind`].
#[derive(Debug, Error)]
pub enum PushError {
    /// It may not.
    #[error(transparent)]
    Refused(#[from] PushRefusal),
    /// The branch can't be changed.
    #[error(transparent)]
    Change(ChangeError),
    /// The branch can't be deleted.
    #[error(transparent)]
    Delete(DeleteError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] RepositoryError),
    /// What Git has of the branch that a new one is to be made from could not be brought up to date.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The branch can't be read, so that its ref could not follow a push.
    #[error("branch '{name}' cannot be read, so it is left as it is")]
    Unreadable {
        /// The branch.
        name: BranchName,
        /// Why not.
        source: Box<SnapshotError>,
    },
    /// How much room there is can't be told.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Git said what makes no sense, or nothing any more.
    #[error("cannot read what git says")]
    Read(#[from] io::Error),
    /// The branch is changed, but its ref did not follow. The next fetch brings it there.
    #[error("the branch is changed, but its ref is not: fetch it")]
    RefBehind(#[source] Box<PushError>),
}

impl From<TooMuch> for PushError {
    fn from(why: TooMuch) -> Self {
        Self::Refused(PushRefusal::TooMuch(why))
    }
}

impl From<ChangeError> for PushError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Put(PutError::Overlay { source }) => match source.downcast::<Self>() {
                Ok(error) => error,
                Err(source) => Self::Change(PutError::Overlay { source }.into()),
            },
            ChangeError::Put(PutError::Stale { paths }) => {
                let paths: Vec<_> =
                    paths.iter().map(|path| Path::new(FILES_DIR).join(path).display().to_string()).collect();
                Self::Refused(PushRefusal::Stale(paths.join(", ")))
            }
            ChangeError::Put(PutError::UnfitPath { path }) => {
                Self::Refused(PushRefusal::Path(path.display().to_string()))
            }
            ChangeError::Exists { .. } => Self::Refused(PushRefusal::Exists),
            error if matches!(error.step(), Some(StepError::Branch(BranchError::Missing { .. }))) => {
                Self::Refused(PushRefusal::Deleted)
            }
            error => Self::Change(error),
        }
    }
}

impl From<DeleteError> for PushError {
    fn from(error: DeleteError) -> Self {
        match error {
            DeleteError::Change(error) => error.into(),
            DeleteError::Main => Self::Delete(error),
        }
    }
}

impl Advice for PushError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Change(error) => error.hint(),
            Self::Delete(error) => error.hint(),
            _ => None,
        }
    }

    fn is_passing(&self) -> bool {
        match self {
            Self::Change(error) => error.is_passing(),
            Self::Delete(error) => error.is_passing(),
            _ => false,
        }
    }
}

/// Refuses of a push what can be refused before anything of it is in the repository. `repository` sees it all the same:
/// [`Repository::in_quarantine`]. Changes nothing.
///
/// # Errors
/// [`PushError::Refused`] when [`receive`] would refuse it; [`PushError::Unreadable`] when the branch's ref could not
/// follow; another [`PushError`] when that can't be told.
pub fn check(site: &Site, repository: &Repository, updates: &[Update]) -> Result<(), PushError> {
    let PushRequest::Put { name, old, new } = push::decide(updates)? else { return Ok(()) };
    let put = PushedCommit { site, git: Git(repository), name, new };
    put.check_commit()?;
    let from = match &old {
        Some(old) => {
            put.check_descends(old)?;
            old.as_str().to_owned()
        }
        None => reference(&put.nearest_branch()?),
    };
    let edits = put.git.edits_between(&from, put.new.as_str())?;
    for load in put.git.loads(&edits)? {
        load.check()?;
    }
    Ok(())
}

/// Does what a push asks for. When this returns, it is durable. `progress` is told where a fetch will have to say what could
/// not be done at once.
///
/// # Errors
/// [`PushError::Refused`] when it may not, with the branch as it was; [`PushError::Change`] and [`PushError::Delete`] when the mutation failed;
/// [`PushError::RefBehind`] when the branch has changed and its ref has not; [`PushError::Git`],
/// [`PushError::Snapshot`], [`PushError::Disk`] and [`PushError::Read`] when a step before the mutation failed.
pub fn receive(
    site: &Site,
    repository: &Repository,
    updates: &[Update],
    patience: &mut Patience<'_>,
    progress: &dyn Progress,
) -> Result<(), PushError> {
    match push::decide(updates)? {
        PushRequest::Delete { name, old } => {
            let prepared = mutation::prepare_delete(site, &name, false, patience, progress)?;
            check_unchanged(site, repository, &name, old.as_ref())?;
            prepared.publish(patience)?;
            snapshot::refresh(site, repository, &[name])
                .map_err(|error| PushError::RefBehind(Box::new(error.into())))?;
        }
        PushRequest::Put { name, old, new } => {
            let put = PushedCommit { site, git: Git(repository), name, new };
            put.check_commit()?;
            match (settled(site, &put.name, || branch::show(site, &put.name)), old) {
                (Ok(_), Some(old)) => {
                    check_readable(site, repository, &put.name)?;
                    put.change_branch(&old, patience, progress)?;
                }
                (Ok(_), None) => return Err(PushRefusal::Exists.into()),
                (Err(BranchError::Missing { .. }), None) => put.create_branch(patience, progress)?,
                (Err(BranchError::Missing { .. }), Some(_)) => return Err(PushRefusal::Deleted.into()),
                (Err(error), _) => return Err(PushError::Change(error.into())),
            }
            put.move_reference().map_err(|error| PushError::RefBehind(Box::new(error)))?;
            // Branch and ref have what was pushed, whatever becomes of this.
            if let Err(error) = snapshot::refresh(site, repository, std::slice::from_ref(&put.name)) {
                progress.note(&format!("the ref of branch '{}' has what was pushed and no more: {error}", put.name));
            }
        }
    }
    Ok(())
}

/// Refuses what could not be seen through: the ref has to follow the branch.
fn check_readable(site: &Site, repository: &Repository, name: &BranchName) -> Result<(), PushError> {
    settled(site, name, || snapshot::check(site, repository, name))
        .map_err(|source| PushError::Unreadable { name: name.clone(), source: Box::new(source) })
}

/// Looks at a branch, and once more where that fails; and again for as long as another push puts files into the branch, whose
/// record is aside meanwhile.
fn settled<T, E>(site: &Site, name: &BranchName, look: impl Fn() -> Result<T, E>) -> Result<T, E> {
    const PAUSE: Duration = Duration::from_millis(5);
    let (aside, deadline) = (site.layout.cow().record_aside(name), Deadline::after(GATE_HOLD));
    let mut is_first = true;
    loop {
        let was_aside = aside.exists();
        let looked = look();
        let may_change = was_aside || aside.exists() || is_first;
        if looked.is_ok() || !may_change || deadline.has_passed() {
            return looked;
        }
        is_first = false;
        thread::sleep(PAUSE);
    }
}

/// Refuses unless a branch is what the pusher saw, while nobody else can change it by a mutation. What somebody who pushes has
/// put into it may not have reached the ref.
fn check_unchanged(
    site: &Site,
    repository: &Repository,
    name: &BranchName,
    old: Option<&ObjectId>,
) -> Result<(), PushError> {
    let branch = branch::show(site, name).map_err(|error| PushError::Change(error.into()))?;
    if !snapshot::has_seen(repository, &branch) {
        snapshot::refresh(site, repository, std::slice::from_ref(name))
            .map_err(|source| PushError::Unreadable { name: name.clone(), source: Box::new(source) })?;
    }
    let is_unchanged = Git(repository).resolve(&reference(name))?.as_ref() == old;
    if is_unchanged { Ok(()) } else { Err(PushRefusal::Changed.into()) }
}

fn reference(name: &BranchName) -> String {
    format!("refs/heads/{name}")
}

/// A commit to put into a branch.
struct PushedCommit<'a> {
    site: &'a Site,
    git: Git<'a>,
    name: BranchName,
    new: ObjectId,
}

impl PushedCommit<'_> {
    fn check_commit(&self) -> Result<(), PushError> {
        if self.git.run(&["cat-file", "-t", self.new.as_str()])? != b"commit\n" {
            return Err(PushRefusal::NotACommit.into());
        }
        let entry = self.git.run(&["ls-tree", "-z", self.new.as_str(), "--", "wordpress/wp-load.php"])?;
        if !entry.starts_with(b"100") {
            return Err(PushRefusal::NoWordPress.into());
        }
        self.git.check_count(self.new.as_str())
    }

    fn change_branch(
        &self,
        old: &ObjectId,
        patience: &mut Patience<'_>,
        progress: &dyn Progress,
    ) -> Result<(), PushError> {
        self.check_descends(old)?;
        self.check_known(old)?;
        let edits = self.git.edits_between(old.as_str(), self.new.as_str())?;
        // What changes nothing in the branch is no operation.
        if edits.is_empty() {
            return Ok(());
        }
        let branch = self.site.layout.branch(&self.name);
        let find = || {
            // Somebody may have put another branch there meanwhile.
            self.check_known(old)?;
            Ok(edits.clone())
        };
        let mut overlay = Pushed::new(self.site, self.git.0, &branch, find);
        mutation::apply(self.site, &self.name, &mut overlay, self.new.short(), patience, progress)?;
        Ok(())
    }

    /// Refuses a push that throws away what the pusher saw.
    fn check_descends(&self, old: &ObjectId) -> Result<(), PushError> {
        let descends = self.git.is_ancestor(old.as_str(), self.new.as_str())?;
        if descends { Ok(()) } else { Err(PushRefusal::Forced.into()) }
    }

    /// Refuses where what the pusher saw is no state of the branch that has the name now.
    fn check_known(&self, old: &ObjectId) -> Result<(), PushError> {
        let reference = reference(&self.name);
        if self.git.resolve(&reference)?.is_none() || !self.git.is_ancestor(old.as_str(), &reference)? {
            return Err(PushRefusal::Replaced.into());
        }
        Ok(())
    }

    fn create_branch(&self, patience: &mut Patience<'_>, progress: &dyn Progress) -> Result<(), PushError> {
        let from = self.nearest_branch()?;
        let edits = || {
            snapshot::refresh(self.site, self.git.0, std::slice::from_ref(&from))?;
            self.git.edits_between(&reference(&from), self.new.as_str())
        };
        let source = self.site.layout.branch(&from);
        let mut overlay = Pushed::new(self.site, self.git.0, &source, edits);
        mutation::create_with(self.site, &self.name, &from, &mut overlay, self.new.short(), patience, progress)?;
        Ok(())
    }

    /// The branch from which the commit has gone on the least: `main` where several are as near.
    fn nearest_branch(&self) -> Result<BranchName, PushError> {
        let mut nearest: Option<(u64, BranchName)> = None;
        let branches = branch::list_each(self.site).map_err(|error| PushError::Change(error.into()))?;
        for branch in branches.into_iter().filter_map(|(_, branch)| branch.ok()) {
            let reference = reference(&branch.name);
            if self.git.resolve(&reference)?.is_none() || !self.git.are_related(&reference, self.new.as_str())? {
                continue;
            }
            let count = self.git.run(&["rev-list", "--count", self.new.as_str(), &format!("^{reference}")])?;
            let count = String::from_utf8_lossy(&count).trim().parse().map_err(io::Error::other)?;
            if nearest.as_ref().is_none_or(|(least, _)| count < *least) {
                nearest = Some((count, branch.name));
            }
        }
        nearest.map(|(_, name)| name).ok_or(PushRefusal::Unrelated.into())
    }

    /// Brings the ref to a commit that has the pushed one, and what a snapshot has put there since, behind it.
    fn move_reference(&self) -> Result<(), PushError> {
        let reference = reference(&self.name);
        let mut attempt = 1;
        loop {
            let now = self.git.resolve(&reference)?;
            let is_behind = match &now {
                Some(now) => self.git.is_ancestor(now.as_str(), self.new.as_str())?,
                None => true,
            };
            let (from, to) = if is_behind {
                (now, self.new.clone())
            } else {
                snapshot::refresh(self.site, self.git.0, std::slice::from_ref(&self.name))?;
                let Some(now) = self.git.resolve(&reference)? else { continue };
                let merge = self.git.merge(&now, &self.new)?;
                (Some(now), merge)
            };
            let lock = RefLock::take(self.git.0, &self.name)?;
            match lock.move_reference(to.as_str(), from.as_ref().map(ObjectId::as_str))? {
                // A fetch has moved it meanwhile.
                Err(RepositoryError::Git { .. }) if attempt < ATTEMPTS => attempt += 1,
                moved => return Ok(moved?),
            }
        }
    }
}

/// What Git is asked.
#[derive(Clone, Copy)]
struct Git<'a>(&'a Repository);

impl Git<'_> {
    fn run(self, arguments: &[&str]) -> Result<Vec<u8>, RepositoryError> {
        run(self.0.command().args(arguments))
    }

    /// Runs what answers by its exit status.
    fn says_yes(self, arguments: &[&str]) -> Result<bool, RepositoryError> {
        match self.run(arguments) {
            Ok(_) => Ok(true),
            Err(RepositoryError::Git { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn resolve(self, reference: &str) -> Result<Option<ObjectId>, RepositoryError> {
        match self.run(&["rev-parse", "--verify", "--quiet", reference]) {
            Ok(id) => Ok(ObjectId::parse(String::from_utf8_lossy(&id).trim())),
            Err(RepositoryError::Git { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn is_ancestor(self, ancestor: &str, commit: &str) -> Result<bool, RepositoryError> {
        self.says_yes(&["merge-base", "--is-ancestor", ancestor, commit])
    }

    fn are_related(self, one: &str, other: &str) -> Result<bool, RepositoryError> {
        self.says_yes(&["merge-base", one, other])
    }

    /// A commit with the tree of `tree` and both as its parents, the pushed one first, as in a merge of what was there.
    fn merge(self, tree: &ObjectId, pushed: &ObjectId) -> Result<ObjectId, PushError> {
        let tree_of = format!("{}^{{tree}}", tree.as_str());
        let message = format!("Merge what the branch got meanwhile into {}", pushed.short());
        let id = self.run(&["commit-tree", &tree_of, "-p", pushed.as_str(), "-p", tree.as_str(), "-m", &message])?;
        ObjectId::parse(String::from_utf8_lossy(&id).trim())
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData).into())
    }

    /// What a branch gets of the difference between two commits.
    fn edits_between(self, old: &str, new: &str) -> Result<Vec<Edit>, PushError> {
        let arguments = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", old, new];
        let mut contents = Contents { repository: self.0, reader: None };
        let mut edits = Vec::new();
        self.hear(&arguments, |line, output| {
            let path = read_field(output)?.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
            let difference = parse_difference(&line, &path).ok_or(io::Error::from(io::ErrorKind::InvalidData))?;
            edits.extend(edit_of(&mut contents, difference)?);
            Ok(())
        })?;
        Ok(edits)
    }

    /// Refuses a tree that has more in it than any site. One that has another one many times, which has the next one many times,
    /// has no end in sight: so that is counted as it comes, and before anything is asked that Git answers as a whole.
    fn check_count(self, commit: &str) -> Result<(), PushError> {
        let mut entries = 0;
        self.hear(&["ls-tree", "-r", "-t", "-z", "--name-only", commit], |_, _| {
            entries += 1;
            if entries > MOST_ENTRIES { Err(TooMuch::Entries.into()) } else { Ok(()) }
        })
    }

    /// Hands what Git says to `each`, field by field, until that has heard enough.
    fn hear(
        self,
        arguments: &[&str],
        mut each: impl FnMut(Vec<u8>, &mut dyn BufRead) -> Result<(), PushError>,
    ) -> Result<(), PushError> {
        let mut command = self.0.command();
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut git = Killed(command.spawn()?);
        let mut output = BufReader::new(git.0.stdout.take().ok_or(io::Error::from(io::ErrorKind::BrokenPipe))?);
        while let Some(field) = read_field(&mut output)? {
            each(field, &mut output)?;
        }
        let status = git.0.wait()?;
        if status.success() {
            return Ok(());
        }
        let mut said = String::new();
        git.0.stderr.take().map_or(Ok(0), |mut errors| errors.read_to_string(&mut said))?;
        let said = if said.is_empty() { status.to_string() } else { said.trim().to_owned() };
        let command = arguments.first().copied().unwrap_or_default().to_owned();
        Err(RepositoryError::Git { command, said }.into())
    }

    /// What the files of these edits weigh: each blob for itself, and all of them together, last.
    fn loads(self, edits: &[Edit]) -> Result<Vec<Load>, PushError> {
        let blobs = || edits.iter().filter_map(|edit| edit.after.as_ref()).map(|blob| blob.id.as_str());
        let distinct: Vec<&str> = blobs().collect::<BTreeSet<_>>().into_iter().collect();
        let weights = self.weigh(&distinct)?;
        // What is told by its difference to another one is packed in that one as well.
        let bases: Vec<&str> = weights.iter().filter_map(|weight| weight.base.as_ref()).map(ObjectId::as_str).collect();
        let mut of_bases = self.weigh(&bases)?.into_iter();
        let mut loads = HashMap::new();
        for (id, weight) in distinct.iter().zip(&weights) {
            let base = weight.base.as_ref().and_then(|_| of_bases.next()).map_or(0, |base| base.bytes);
            let packed_bytes = weight.packed_bytes.saturating_add(base);
            loads.insert(*id, Load { entries: 1, bytes: weight.bytes, packed_bytes });
        }
        let sum = |all: u64, one: u64| all.saturating_add(one);
        let mut counter = Counter::default();
        edits.iter().try_for_each(|edit| counter.add(edit.change.path.as_os_str().as_bytes()))?;
        let all = Load {
            entries: counter.entries,
            bytes: blobs().map(|id| loads[id].bytes).fold(0, sum),
            packed_bytes: loads.values().map(|load| load.packed_bytes).fold(0, sum),
        };
        Ok(loads.into_values().chain([all]).collect())
    }

    fn weigh(self, ids: &[&str]) -> Result<Vec<Weight>, PushError> {
        const FORMAT: &str = "--batch-check=%(objectsize) %(objectsize:disk) %(deltabase)";
        let asked = ids.iter().fold(String::new(), |asked, id| asked + id + "\n");
        let said = run_with(self.0.command().args(["cat-file", FORMAT]), asked.as_bytes())?;
        let parse = |line: &str| {
            let [bytes, packed_bytes, base] = *line.split(' ').collect::<Vec<_>>() else { return None };
            let (bytes, packed_bytes) = (bytes.parse().ok()?, packed_bytes.parse().ok()?);
            Some(Weight { bytes, packed_bytes, base: ObjectId::parse(base) })
        };
        let weights = String::from_utf8_lossy(&said).lines().map(parse).collect::<Option<Vec<_>>>();
        weights.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData).into())
    }
}

/// What a branch gets of a difference; none where that is in no branch.
fn edit_of(
    contents: &mut Contents<'_>,
    Difference { path, before, after }: Difference,
) -> Result<Option<Edit>, PushError> {
    let Some(inside) = place(&path)? else { return Ok(None) };
    let to = match &after {
        None => After::Gone,
        Some(Blob { mode: EntryMode::File, .. }) => After::File { executable: false },
        Some(Blob { mode: EntryMode::Program, .. }) => After::File { executable: true },
        Some(Blob { mode: EntryMode::Submodule, .. }) => {
            return Err(PushRefusal::Submodule(path.display().to_string()).into());
        }
        Some(Blob { mode: EntryMode::Symlink, id }) => {
            // A longer one, no system has.
            const MOST_BYTES: u64 = 4096;
            let mut target = Vec::new();
            contents.with(id, |bytes, _| bytes.take(MOST_BYTES + 1).read_to_end(&mut target))?;
            if target.len() as u64 > MOST_BYTES || !stays_inside(&inside, &target) {
                return Err(PushRefusal::Symlink(path.display().to_string()).into());
            }
            After::Symlink(OsString::from_vec(target).into())
        }
    };
    Ok(Some(Edit { change: PathChange { path: inside, after: to }, before, after }))
}

/// The bytes of an object.
struct Weight {
    bytes: u64,
    /// On the disk.
    packed_bytes: u64,
    /// The object from which it differs so little that only the difference is on the disk.
    base: Option<ObjectId>,
}

/// A `git` that is ended when nobody wants to hear more of it.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads up to a NUL, which is left out; none where there is no more. A path is never as long as is read here.
fn read_field(from: &mut dyn BufRead) -> io::Result<Option<Vec<u8>>> {
    const MOST_BYTES: u64 = 16 * 1024;
    let mut field = Vec::new();
    from.take(MOST_BYTES).read_until(0, &mut field)?;
    match field.pop() {
        None => Ok(None),
        Some(0) => Ok(Some(field)),
        Some(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "a path in what was pushed is too long")),
    }
}

/// A path of a branch that a push changes.
#[derive(Clone)]
struct Edit {
    change: PathChange,
    /// What the pusher saw there.
    before: Option<Blob>,
    /// What is to be there.
    after: Option<Blob>,
}

/// The edits of a push, with their bytes.
struct Pushed<'a, F> {
    site: &'a Site,
    find: F,
    edits: Vec<Edit>,
    contents: Contents<'a>,
    /// Where the branch is whose secrets the pushed files get back.
    branch: &'a Path,
}

impl<'a, F: FnMut() -> Result<Vec<Edit>, PushError>> Pushed<'a, F> {
    fn new(site: &'a Site, repository: &'a Repository, branch: &'a Path, find: F) -> Self {
        Self { site, find, edits: Vec::new(), contents: Contents { repository, reader: None }, branch }
    }

    /// Refuses what the disk has no room for.
    fn check_room(&self, edits: &[Edit]) -> Result<(), PushError> {
        let layout = &self.site.layout;
        let room = Room::at(&layout.storage_root())?;
        // An image lies on a disk that may have less left than the image.
        let room = layout.image().map_or(Ok(room), |image| Ok::<_, DiskError>(room.and(Room::at(image.dir())?)))?;
        if let Some(all) = Git(self.contents.repository).loads(edits)?.last() {
            all.check_room(room)?;
        }
        Ok(())
    }
}

impl<F: FnMut() -> Result<Vec<Edit>, PushError>> Overlay for Pushed<'_, F> {
    fn changes(&mut self) -> io::Result<Vec<PathChange>> {
        let edits = (self.find)().map_err(io::Error::other)?;
        // What is kept of former operations may make room.
        self.check_room(&edits).map_err(|error| io::Error::new(io::ErrorKind::StorageFull, error))?;
        self.edits = edits;
        Ok(self.edits.iter().map(|edit| edit.change.clone()).collect())
    }

    fn is_expected(&mut self, number: usize, before: Option<&Path>) -> io::Result<bool> {
        let Edit { change, before: expected, .. } = &self.edits[number];
        let (Some(path), Some(expected)) = (before, expected) else {
            return Ok(before.is_none() && expected.is_none());
        };
        let metadata = fs::symlink_metadata(path)?;
        let mode = match metadata.mode() & 0o100 {
            _ if metadata.is_symlink() => EntryMode::Symlink,
            0 => EntryMode::File,
            _ => EntryMode::Program,
        };
        if mode != expected.mode {
            return Ok(false);
        }
        if mode == EntryMode::Symlink {
            return self.contents.are(&expected.id, &mut fs::read_link(path)?.as_os_str().as_bytes());
        }
        if change.path == Path::new(CONFIG_FILE) {
            return self.contents.are(&expected.id, &mut &*redact::config(&fs::read(path)?));
        }
        self.contents.are(&expected.id, &mut BufReader::new(File::open(path)?))
    }

    fn write(&mut self, number: usize, file: &mut File) -> io::Result<()> {
        let Edit { change, after, .. } = &self.edits[number];
        let Some(after) = after else { return Err(io::ErrorKind::InvalidInput.into()) };
        if change.path != Path::new(CONFIG_FILE) {
            return self.contents.copy(&after.id, file);
        }
        let mut pushed = Vec::new();
        self.contents.copy(&after.id, &mut pushed)?;
        let current = match fs::read(self.branch.join(CONFIG_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            current => current?,
        };
        file.write_all(&redact::restore(&pushed, &current))
    }
}

/// The bytes of objects, one after the other, none of them as a whole in memory.
struct Contents<'a> {
    repository: &'a Repository,
    /// None before the first object, and after one that was not read to its end: what follows it is not known then.
    reader: Option<ObjectReader>,
}

impl Contents<'_> {
    /// Does something with the bytes of a blob, of which there are so many. It reads all of them or fails.
    fn with<T>(&mut self, id: &ObjectId, action: impl FnOnce(&mut dyn Read, u64) -> io::Result<T>) -> io::Result<T> {
        let mut reader = self.reader.take().map_or_else(|| ObjectReader::start(self.repository), Ok)?;
        let done = reader.with(id, action)?;
        self.reader = Some(reader);
        Ok(done)
    }

    fn copy(&mut self, id: &ObjectId, to: &mut dyn Write) -> io::Result<()> {
        self.with(id, |bytes, size| match io::copy(bytes, to)? {
            copied if copied == size => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        })
    }

    /// Whether the bytes are those of a blob.
    fn are(&mut self, id: &ObjectId, other: &mut dyn Read) -> io::Result<bool> {
        const CHUNK_BYTES: usize = 64 * 1024;
        self.with(id, |bytes, _| {
            let (mut one, mut two) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
            loop {
                let (read, other_read) = (fill(bytes, &mut one)?, fill(other, &mut two)?);
                if one[..read] != two[..other_read] {
                    return Ok(false);
                }
                if read == 0 {
                    return Ok(true);
                }
            }
        })
    }
}

/// A `git cat-file` that is asked for one object after the other.
struct ObjectReader {
    /// It may be in the middle of an answer when nobody wants that any more.
    _git: Killed,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl ObjectReader {
    fn start(repository: &Repository) -> io::Result<Self> {
        // From this size on Git does not inflate an object as a whole, either.
        let arguments = ["-c", "core.bigFileThreshold=1m", "cat-file", "--batch"];
        let mut command = repository.command();
        let mut git = Killed(command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        let (Some(input), Some(output)) = (git.0.stdin.take(), git.0.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Self { _git: git, input, output: BufReader::new(output) })
    }

    fn with<T>(&mut self, id: &ObjectId, action: impl FnOnce(&mut dyn Read, u64) -> io::Result<T>) -> io::Result<T> {
        writeln!(self.input, "{}", id.as_str())?;
        let mut header = String::new();
        self.output.read_line(&mut header)?;
        let size = match *header.trim_end().split(' ').collect::<Vec<_>>() {
            [_, "blob", size] => size.parse().map_err(io::Error::other)?,
            _ => return Err(io::Error::other(format!("git cat-file: {}", header.trim_end()))),
        };
        let mut bytes = (&mut self.output).take(size);
        let done = action(&mut bytes, size)?;
        io::copy(&mut bytes, &mut io::sink())?;
        self.output.read_exact(&mut [0])?;
        Ok(done)
    }
}

/// Reads until the buffer is full or there is no more.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Talks, as Git's hook of this name, to the `git receive-pack` at the other end of `input` and `output`: hears which
/// updates are asked for, has `act` do them, and says how that went. `act` gives the reason where it did not.
///
/// # Errors
/// What the system said when either end is gone; `InvalidData` when the other end does not keep to the protocol
/// (gitprotocol-pack, githooks).
pub fn proc_receive(
    input: &mut dyn Read,
    output: &mut dyn Write,
    act: impl FnOnce(&[Update]) -> Result<(), String>,
) -> io::Result<()> {
    let garbled = || io::Error::new(io::ErrorKind::InvalidData, "git receive-pack said what it should not");
    let hello = read_lines(input)?;
    let mut features = hello.first().ok_or_else(garbled)?.split('\0');
    if features.next() != Some("version=1") {
        return Err(garbled());
    }
    write_line(output, "version=1")?;
    output.write_all(b"0000")?;
    output.flush()?;
    let updates = read_lines(input)?.iter().map(|line| parse_update(line)).collect::<Option<Vec<_>>>();
    let updates = updates.ok_or_else(garbled)?;
    let done = act(&updates);
    for update in &updates {
        match &done {
            Ok(()) => write_line(output, &format!("ok {}", update.reference))?,
            Err(reason) => {
                write_line(output, &format!("ng {} {}", update.reference, reason.replace(['\n', '\0'], " ")))?
            }
        }
    }
    output.write_all(b"0000")?;
    output.flush()
}

/// Reads what Git tells a hook that is to decide of updates: a line for each.
///
/// # Errors
/// What the system said when the input can't be read; `InvalidData` when a line is no update.
pub fn read_updates(input: &mut dyn BufRead) -> io::Result<Vec<Update>> {
    let parse = |line: io::Result<String>| parse_update(&line?).ok_or_else(|| io::ErrorKind::InvalidData.into());
    input.lines().map(parse).collect()
}

fn parse_update(line: &str) -> Option<Update> {
    let mut words = line.splitn(3, ' ');
    let (old, new, reference) = (words.next()?, words.next()?, words.next()?);
    Some(Update { reference: reference.to_owned(), old: ObjectId::parse(old), new: ObjectId::parse(new) })
}

/// Reads lines, each after its length, up to a flush.
fn read_lines(input: &mut dyn Read) -> io::Result<Vec<String>> {
    const LENGTH_BYTES: usize = 4;
    let mut lines = Vec::new();
    loop {
        let mut length = [0; LENGTH_BYTES];
        input.read_exact(&mut length)?;
        let length = std::str::from_utf8(&length).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(length) = length else { return Err(io::ErrorKind::InvalidData.into()) };
        if length == 0 {
            return Ok(lines);
        }
        let mut line = vec![0; length.checked_sub(LENGTH_BYTES).ok_or(io::ErrorKind::InvalidData)?];
        input.read_exact(&mut line)?;
        let line = String::from_utf8_lossy(&line);
        lines.push(line.strip_suffix('\n').unwrap_or(&line).to_owned());
    }
}

fn write_line(output: &mut dyn Write, line: &str) -> io::Result<()> {
    // A line has at most 65,520 bytes, and a reader less patience.
    const MOST_LETTERS: usize = 1000;
    let line: String = line.chars().take(MOST_LETTERS).collect();
    writeln!(output, "{:04x}{line}", line.len() + 5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FileView, Keep, SiteConfig, Strategy};
    use forkpress_core::layout::SiteLayout;

    fn site(dir: &tempfile::TempDir) -> Site {
        let layout = SiteLayout::at(&fs::canonicalize(dir.path()).unwrap());
        crate::site::create_folders(&layout).unwrap();
        let config = SiteConfig {
            version: 1,
            strategy: Strategy::Cow,
            file_view: FileView::FileCopy,
            root_host: "wp.localhost".to_owned(),
            port: 1,
            keep: Keep::default(),
            spares: 0,
            links: Vec::new(),
            id_bands: true,
        };
        Site { layout, config }
    }

    #[test]
    fn a_branch_whose_record_is_aside_is_looked_at_until_it_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(&dir);
        let name = BranchName::main();
        let aside = site.layout.cow().record_aside(&name);
        fs::write(&aside, "").unwrap();
        let looks = std::cell::Cell::new(0);
        let look = || {
            looks.set(looks.get() + 1);
            // The push that had it aside ends.
            if looks.get() == 3 {
                fs::remove_file(&aside).unwrap();
            }
            if looks.get() > 3 { Ok(()) } else { Err(()) }
        };
        assert_eq!(settled(&site, &name, look), Ok(()));
        assert_eq!(looks.replace(0), 4);
        let fails = || -> Result<(), ()> {
            looks.set(looks.get() + 1);
            Err(())
        };
        assert_eq!(settled(&site, &name, fails), Err(()));
        assert_eq!(looks.get(), 2, "what fails for good is looked at twice");
    }

    #[test]
    fn a_blob_that_could_not_be_written_is_whole_when_it_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(&dir);
        let repository = Repository::open(&site).unwrap();
        let add = |bytes: &[u8]| {
            let id = run_with(repository.command().args(["hash-object", "-w", "--stdin"]), bytes).unwrap();
            ObjectId::parse(String::from_utf8_lossy(&id).trim()).unwrap()
        };
        // More than a pipe holds, so that the rest of it waits there.
        let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let (large, small) = (add(&bytes), add(b"small"));
        let edit = |path: &str, id: &ObjectId| Edit {
            change: PathChange { path: path.into(), after: After::File { executable: false } },
            before: None,
            after: Some(Blob { mode: EntryMode::File, id: id.clone() }),
        };
        let edits = vec![edit("large", &large), edit("small", &small)];
        let mut pushed = Pushed::new(&site, &repository, dir.path(), || Ok(edits.clone()));
        assert_eq!(pushed.changes().unwrap().len(), 2);
        for _ in 0..2 {
            let mut full = File::options().write(true).open("/dev/full").unwrap();
            assert_eq!(pushed.write(0, &mut full).unwrap_err().kind(), io::ErrorKind::StorageFull);
            for (number, expected) in [(1, b"small".as_slice()), (0, &bytes)] {
                let path = dir.path().join(number.to_string());
                pushed.write(number, &mut File::create(&path).unwrap()).unwrap();
                assert!(fs::read(&path).unwrap() == expected, "{number}");
                assert!(pushed.contents.are(&edits[number].after.as_ref().unwrap().id, &mut &*expected).unwrap());
            }
        }
    }

    #[test]
    fn the_protocol_is_spoken_as_receive_pack_speaks_it() {
        let (one, none) = ("1".repeat(40), "0".repeat(40));
        let line = |text: &str| format!("{:04x}{text}", text.len() + 4);
        let said = line("version=1\0push-options atomic\n") + "0000";
        let said = said
            + &line(&format!("{none} {one} refs/heads/x\n"))
            + &line(&format!("{one} {none} refs/heads/y"))
            + "0000";
        let mut heard = Vec::new();
        let (mut answer, mut refusal) = (Vec::new(), Vec::new());
        let act = |updates: &[Update]| {
            heard = updates.to_vec();
            Ok(())
        };
        proc_receive(&mut said.as_bytes(), &mut answer, act).unwrap();
        let update = |reference: &str, old, new| Update { reference: reference.to_owned(), old, new };
        let one = ObjectId::parse(&one);
        assert_eq!(heard, [update("refs/heads/x", None, one.clone()), update("refs/heads/y", one, None)]);
        assert_eq!(
            String::from_utf8(answer).unwrap(),
            "000eversion=1\n00000014ok refs/heads/x\n0014ok refs/heads/y\n0000"
        );
        proc_receive(&mut said.as_bytes(), &mut refusal, |_| Err("no\nreason".to_owned())).unwrap();
        assert!(String::from_utf8(refusal).unwrap().contains("ng refs/heads/x no reason\n"));
        for garbage in ["", "0000", "zzzz", "0003", "000cversion=20000"] {
            let talked = proc_receive(&mut garbage.as_bytes(), &mut Vec::new(), |_| panic!("nothing was asked for"));
            assert!(talked.is_err(), "{garbage}");
        }
    }
}
