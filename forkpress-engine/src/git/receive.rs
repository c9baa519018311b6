//! What a push does: a branch gets the files of a commit, or is deleted.
//!
//! Git hands the updates of a push to [`proc_receive`] instead of moving the refs itself. So a ref moves only after its
//! branch has changed, durably. A process that dies between the two loses nothing: the branch's folder is the truth,
//! and the next snapshot brings the ref up to it.
//!
//! What the pusher saw is compared with what there is while the branch's mutation lock is held, so no other push comes between.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use thiserror::Error;

use super::objects::{Contents, differences, hear};
use super::overlay::{Edit, EditError, Edits, loads};
use super::push::{self, FILES_DIR, ObjectId, PushRefusal, PushRequest, Update};
use super::repository::{Repository, RepositoryError, run};
use super::snapshot::{self, RefLock, SnapshotError};
use crate::bounds::{MOST_ENTRIES, TooMuch};
use crate::branch::{self, BranchError};
use crate::disk::DiskError;
use crate::mutation::files::{Overlay, PathChange};
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

impl From<EditError> for PushError {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Refused(refusal) => refusal.into(),
            EditError::TooMuch(why) => why.into(),
            EditError::Git(error) => error.into(),
            EditError::Disk(error) => error.into(),
            EditError::Read(error) => error.into(),
        }
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
    for load in loads(repository, &edits)? {
        load.check()?;
    }
    Ok(())
}

/// Does what a push asks for. When this returns, it is durable. `progress` is told where a fetch will have to say what could
/// not be done at once.
///
/// # Errors
/// [`PushError::Refused`] when it may not, with the branch as it was; [`PushError::Change`] and [`PushError::Delete`]
/// when the mutation failed; [`PushError::RefBehind`] when the branch has changed and its ref has not;
/// [`PushError::Git`], [`PushError::Snapshot`], [`PushError::Disk`] and [`PushError::Read`] when a step before the
/// mutation failed.
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
            let had = match (settled(site, &put.name, || branch::show(site, &put.name)), old) {
                (Ok(_), Some(old)) => {
                    check_readable(site, repository, &put.name)?;
                    put.change_branch(&old, patience, progress)?;
                    old.as_str().to_owned()
                }
                (Ok(_), None) => return Err(PushRefusal::Exists.into()),
                (Err(BranchError::Missing { .. }), None) => reference(&put.create_branch(patience, progress)?),
                (Err(BranchError::Missing { .. }), Some(_)) => return Err(PushRefusal::Deleted.into()),
                (Err(error), _) => return Err(PushError::Change(error.into())),
            };
            put.move_reference().map_err(|error| PushError::RefBehind(Box::new(error)))?;
            // Branch and ref have what was pushed, whatever becomes of this.
            if let Err(error) = snapshot::refresh(site, repository, std::slice::from_ref(&put.name)) {
                progress.note(&format!("the ref of branch '{}' has what was pushed and no more: {error}", put.name));
            }
            if let Ok(Some(line)) = put.database_left_out(&had) {
                progress.note(&line);
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

    /// Makes the branch, and says from which one.
    fn create_branch(&self, patience: &mut Patience<'_>, progress: &dyn Progress) -> Result<BranchName, PushError> {
        let from = self.nearest_branch()?;
        let edits = || {
            snapshot::refresh(self.site, self.git.0, std::slice::from_ref(&from))?;
            self.git.edits_between(&reference(&from), self.new.as_str())
        };
        let source = self.site.layout.branch(&from);
        let mut overlay = Pushed::new(self.site, self.git.0, &source, edits);
        mutation::create_with(self.site, &self.name, &from, &mut overlay, self.new.short(), patience, progress)?;
        Ok(from)
    }

    /// What the pusher should know where the pushed commits have another database than the commit `had` that they began from,
    /// or another branch with a database that has changed: how that follows. None for all other commits.
    fn database_left_out(&self, had: &str) -> Result<Option<String>, RepositoryError> {
        let base = self.git.merge_base(had, self.new.as_str())?;
        let merged = self.git.branch_merged(&base, self.new.as_str(), &self.name)?;
        let is_changed = self.git.changes_database(&base, self.new.as_str())?
            || match &merged {
                Some(name) => {
                    let tip = format!("refs/heads/{name}");
                    self.git.changes_database(&self.git.merge_base(&base, &tip)?, &tip)?
                }
                None => false,
            };
        let line = |source: &str| {
            format!("a push brings no database; to merge it, too: forkpress branch merge {source} --into {}", self.name)
        };
        Ok(is_changed.then(|| line(merged.as_deref().unwrap_or("BRANCH"))))
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

    fn merge_base(self, one: &str, other: &str) -> Result<String, RepositoryError> {
        let id = self.run(&["merge-base", one, other])?;
        Ok(String::from_utf8_lossy(&id).trim().to_owned())
    }

    /// The branch other than `but` that is in one commit and not in the one before, the last that was changed of several.
    fn branch_merged(self, before: &str, commit: &str, but: &BranchName) -> Result<Option<String>, RepositoryError> {
        let (merged, not_merged) = (format!("--merged={commit}"), format!("--no-merged={before}"));
        let format = "--format=%(refname:lstrip=2)";
        let arguments = ["for-each-ref", &merged, &not_merged, "--sort=-committerdate", format, "refs/heads"];
        let names = String::from_utf8_lossy(&self.run(&arguments)?).into_owned();
        Ok(names.lines().find(|name| *name != but.as_str()).map(str::to_owned))
    }

    fn changes_database(self, before: &str, commit: &str) -> Result<bool, RepositoryError> {
        let database = |commit: &str| self.resolve(&format!("{commit}:database.sql"));
        Ok(database(before)? != database(commit)?)
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
        let (mut contents, mut edits) = (Contents::new(self.0), Vec::new());
        differences(self.0, old, new, |difference| {
            edits.extend(Edit::of(&mut contents, difference)?);
            Ok::<_, PushError>(())
        })?;
        Ok(edits)
    }

    /// Refuses a tree that has more in it than any site. One that has another one many times, which has the next one many times,
    /// has no end in sight: so that is counted as it comes, and before anything is asked that Git answers as a whole.
    fn check_count(self, commit: &str) -> Result<(), PushError> {
        let mut entries = 0;
        hear(self.0, &["ls-tree", "-r", "-t", "-z", "--name-only", commit], |_, _| {
            entries += 1;
            if entries > MOST_ENTRIES { Err(TooMuch::Entries.into()) } else { Ok(()) }
        })
    }
}

/// The edits of a push, found while nobody else can change the branch.
struct Pushed<'a, F> {
    find: F,
    edits: Edits<'a>,
}

impl<'a, F: FnMut() -> Result<Vec<Edit>, PushError>> Pushed<'a, F> {
    /// `branch`: where the branch is whose secrets the pushed files get back.
    fn new(site: &'a Site, repository: &'a Repository, branch: &'a Path, find: F) -> Self {
        Self { find, edits: Edits::new(site, repository, vec![branch]) }
    }
}

impl<F: FnMut() -> Result<Vec<Edit>, PushError>> Overlay for Pushed<'_, F> {
    fn changes(&mut self) -> io::Result<Vec<PathChange>> {
        let edits = (self.find)().map_err(io::Error::other)?;
        // What is kept of former operations may make room.
        let full = |error: EditError| io::Error::new(io::ErrorKind::StorageFull, PushError::from(error));
        self.edits.put(edits).map_err(full)?;
        self.edits.changes()
    }

    fn is_expected(&mut self, number: usize, before: Option<&Path>) -> io::Result<bool> {
        self.edits.is_expected(number, before)
    }

    fn write(&mut self, number: usize, file: &mut File) -> io::Result<()> {
        self.edits.write(number, file)
    }
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
    use std::fs;

    use super::super::push::{Blob, Difference, EntryMode};
    use super::super::repository::run_with;
    use super::super::testing::add;
    use super::*;
    use crate::site::testing::site;

    #[test]
    fn a_branch_whose_record_is_aside_is_looked_at_until_it_is_back() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
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
        let site = site(dir.path());
        let repository = Repository::open(&site).unwrap();
        // More than a pipe holds, so that the rest of it waits there.
        let bytes: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let (large, small) = (add(&repository, &bytes), add(&repository, b"small"));
        let ids = [large, small];
        let edit = |path: &str, id: &ObjectId| {
            let after = Some(Blob { mode: EntryMode::File, id: id.clone() });
            let difference = Difference { path: Path::new(FILES_DIR).join(path), before: None, after };
            Edit::of(&mut Contents::new(&repository), difference).unwrap().unwrap()
        };
        let edits = vec![edit("large", &ids[0]), edit("small", &ids[1])];
        let mut pushed = Pushed::new(&site, &repository, dir.path(), || Ok(edits.clone()));
        assert_eq!(pushed.changes().unwrap().len(), 2);
        for _ in 0..2 {
            let mut full = File::options().write(true).open("/dev/full").unwrap();
            assert_eq!(pushed.write(0, &mut full).unwrap_err().kind(), io::ErrorKind::StorageFull);
            for (number, expected) in [(1, b"small".as_slice()), (0, &bytes)] {
                let path = dir.path().join(number.to_string());
                pushed.write(number, &mut File::create(&path).unwrap()).unwrap();
                assert!(fs::read(&path).unwrap() == expected, "{number}");
                assert!(Contents::new(&repository).are(&ids[number], &mut &*expected).unwrap());
            }
        }
    }

    #[test]
    fn a_merge_in_a_checkout_is_told_how_the_database_follows_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        let repository = Repository::open(&site).unwrap();
        let git = Git(&repository);
        let id = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
        let commit = |database: Option<&str>, parents: &[&str]| {
            let entry = database
                .map(|text| format!("100644 blob {}\tdatabase.sql\n", add(&repository, text.as_bytes()).as_str()));
            let tree = id(run_with(repository.command().arg("mktree"), entry.unwrap_or_default().as_bytes()).unwrap());
            let parents = parents.iter().flat_map(|parent| ["-p", parent]);
            id(run(repository.command().args(["commit-tree", &tree, "-m", "x"]).args(parents)).unwrap())
        };
        let put = |name: &str, commit: &str| git.run(&["update-ref", &format!("refs/heads/{name}"), commit]).unwrap();
        let root = commit(Some("1"), &[]);
        let (main, feature) = (commit(Some("2"), &[&root]), commit(Some("3"), &[&root]));
        put("feature", &feature);
        let said = |had: &str, new: &str| {
            put("main", new);
            let new = ObjectId::parse(new).unwrap();
            let pushed = PushedCommit { site: &site, git, name: BranchName::main(), new };
            pushed.database_left_out(had).unwrap()
        };
        let line = |source: &str| {
            Some(format!("a push brings no database; to merge it, too: forkpress branch merge {source} --into main"))
        };
        let edited = commit(Some("2"), &[&main]);
        assert_eq!(said(&main, &edited), None);
        for database in [Some("3"), Some("both"), None] {
            assert_eq!(said(&main, &commit(database, &[&edited, &feature])), line("feature"));
        }
        assert_eq!(said(&main, &commit(Some("2"), &[&main, &feature])), line("feature"), "its own stays");
        put("visited", &commit(Some("2"), &[&main]));
        let visited = git.resolve("refs/heads/visited").unwrap().unwrap();
        assert_eq!(said(&main, &commit(Some("2"), &[&main, visited.as_str()])), None);
        assert_eq!(said(&main, &commit(Some("by hand"), &[&main])), line("BRANCH"));
        // A new branch that begins before what its source has by now.
        assert_eq!(said(&main, &commit(Some("1"), &[&root])), None);
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
