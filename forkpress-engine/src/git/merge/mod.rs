//! The merge of the files of two branches: what the source made of what both had comes home to the target.
//!
//! Trees of Git are compared, of the files of branches. Files are paired first: by their path, and where one side has no such
//! file any more and the other has changed it, by where Git finds that it was renamed to. [`decide`] says what each pair
//! is; lines are merged by `git merge-file`. It comes to what `git merge` does, which tests hold it to, with differences:
//!
//! - Nothing of a conflict is in what the target gets: no marker, and no file under another name. Where nobody has
//!   answered, the target keeps what it has.
//! - A folder is never taken for renamed, as with `merge.directoryRenames=false`.
//! - No `.gitattributes` has a say: neither does a driver run, nor is anything merged by `union` or taken for binary by its
//!   name.
//!
//! `git merge-tree` is not asked: its tree has all of that, and what it says of a conflict names no blobs where it has
//! moved a file aside.
//!
//! What is not in the view of a branch has no part in it: the database, repositories, files with credentials. Of
//! `wp-config.php` the texts without secrets are merged. What is written has the secrets of the target, and of the source
//! those that the target has not.

mod decide;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use self::decide::{Changes, Decision, Lines, Renames, Unit};
pub(crate) use self::decide::{FileConflict, FileConflictKind, Placed, Take};
use super::objects::{Contents, differences, hear, read_field};
use super::overlay::{Edit, EditError};
use super::push::{Difference, FILES_DIR, ObjectId};
use super::repository::{Repository, RepositoryError, run_merging, run_with};
use crate::merge::Sides;

/// Larger texts are not merged by their lines.
const MOST_TEXT_BYTES: u64 = 32 << 20;

/// How many bytes of a file tell whether it is a text, as Git does it.
const TOLD_BY_BYTES: usize = 8000;

/// A merge of files.
#[derive(Debug)]
pub(crate) struct FileMerge {
    /// What the target gets, in the order of the paths: before, what it has; after, what it is to have.
    pub(crate) differences: Vec<Difference>,
    /// What is to be decided by people. None of it is in the differences.
    pub(crate) conflicts: Vec<FileConflict>,
}

/// Merges the files of two branches. Each of `trees` is a tree with the files of a branch. `answer` is asked what becomes of a
/// conflict; none leaves it one. (Of a [`FileConflictKind::Folder`] only a side can be taken.)
///
/// Changes nothing but that the repository has the merged texts.
///
/// # Errors
/// [`EditError::Git`] and [`EditError::Read`] when Git failed.
pub(crate) fn merge_files(
    repository: &Repository,
    trees: Sides<&str>,
    answer: &dyn Fn(&FileConflict) -> Option<Take>,
) -> Result<FileMerge, EditError> {
    let source = changes(repository, trees.base, trees.source)?;
    let target = changes(repository, trees.base, trees.target)?;
    let renames = Sides {
        base: Renames::new(),
        source: renames(repository, trees.base, trees.source, &source, &target)?,
        target: renames(repository, trees.base, trees.target, &target, &source)?,
    };
    let mut texts = Texts { repository, contents: Contents::new(repository) };
    let (mut groups, mut conflicts) = (Vec::new(), Vec::new());
    for unit in decide::units(&source, &target, &renames) {
        match texts.merge(&unit, answer)? {
            Ok(differences) => groups.push(differences),
            Err(conflict) => conflicts.push(conflict),
        }
    }
    conflicts.extend(decide::settle_folders(&mut groups, &target, answer));
    conflicts.sort_by(|one, other| one.path.cmp(&other.path));
    let mut differences: Vec<_> = groups.into_iter().flatten().collect();
    differences.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(FileMerge { differences, conflicts })
}

impl FileMerge {
    /// What the target gets, as an overlay takes it. Refuses what a push may not bring, either.
    ///
    /// # Errors
    /// [`EditError::Refused`] for a path, a symlink or a submodule that no branch may have; another [`EditError`] when
    /// Git failed.
    pub(crate) fn edits(&self, repository: &Repository) -> Result<Vec<Edit>, EditError> {
        let mut contents = Contents::new(repository);
        let in_checkout = |difference: &Difference| Difference {
            path: Path::new(FILES_DIR).join(&difference.path),
            ..difference.clone()
        };
        let edits = self.differences.iter().map(|difference| Edit::of(&mut contents, in_checkout(difference)));
        edits.filter_map(Result::transpose).collect()
    }
}

fn changes(repository: &Repository, base: &str, side: &str) -> Result<Changes, EditError> {
    let mut changes = Changes::new();
    differences(repository, base, side, |difference| {
        changes.insert(difference.path.clone(), difference);
        Ok::<_, EditError>(())
    })?;
    Ok(changes)
}

/// Where a side has moved files of the base to that the other side has changed.
fn renames(
    repository: &Repository,
    base: &str,
    side: &str,
    gone_in: &Changes,
    changed_in: &Changes,
) -> Result<Renames, EditError> {
    let missing = decide::missing(gone_in, changed_in);
    let mut renames = Renames::new();
    if missing.is_empty() {
        return Ok(renames);
    }
    let arguments =
        ["diff-tree", "-r", "-z", "--name-status", "-M", "--no-rename-empty", "--diff-filter=R", base, side];
    hear(repository, &arguments, |_status, output| {
        let mut path = || -> io::Result<_> {
            let path = read_field(output)?.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
            Ok(PathBuf::from(OsString::from_vec(path)))
        };
        let (old, new) = (path()?, path()?);
        if missing.contains(old.as_path()) {
            renames.insert(old, new);
        }
        Ok::<_, EditError>(())
    })?;
    Ok(renames)
}

/// Merges the lines of texts in the repository.
struct Texts<'a> {
    repository: &'a Repository,
    contents: Contents<'a>,
}

impl Texts<'_> {
    /// What the target gets of a file; or the conflict that nobody has answered.
    fn merge(
        &mut self,
        unit: &Unit,
        answer: &dyn Fn(&FileConflict) -> Option<Take>,
    ) -> Result<Result<Vec<Difference>, FileConflict>, EditError> {
        let (kind, lines) = match decide::decide(unit) {
            Decision::Is(outcome) => return Ok(Ok(unit.differences(outcome))),
            Decision::Conflict(kind) => (kind, None),
            Decision::Lines(lines) if self.are_texts(&lines)? => match self.merge_lines(&lines, None)? {
                Some(id) => return Ok(Ok(unit.differences(unit.placed(lines.mode, id)))),
                None => (FileConflictKind::Text, Some(lines)),
            },
            Decision::Lines(_) => (FileConflictKind::Binary, None),
        };
        let conflict = unit.conflict(kind);
        let Some(take) = answer(&conflict) else { return Ok(Err(conflict)) };
        let favoured = match take {
            Take::Ours => Some("--ours"),
            Take::Theirs => Some("--theirs"),
            Take::Base | Take::Bytes(_) => None,
        };
        let outcome = match (&lines, favoured) {
            (Some(lines), Some(_)) => match self.merge_lines(lines, favoured)? {
                Some(id) => unit.placed(lines.mode, id),
                None => return Ok(Err(conflict)),
            },
            _ => unit.taken(take, |bytes| self.add(&bytes))?,
        };
        Ok(Ok(unit.differences(outcome)))
    }

    fn are_texts(&mut self, lines: &Lines) -> io::Result<bool> {
        let Sides { base, source, target } = &lines.texts;
        for id in [base, source, target] {
            let is_text = self.contents.with(id, |bytes, size| {
                let mut start = Vec::new();
                bytes.take(TOLD_BY_BYTES as u64).read_to_end(&mut start)?;
                Ok(size <= MOST_TEXT_BYTES && !start.contains(&0))
            })?;
            if !is_text {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Merges lines. Those in conflict are the ones of the side that is `favoured`; none where there are such and no side is.
    fn merge_lines(&mut self, lines: &Lines, favoured: Option<&str>) -> Result<Option<ObjectId>, EditError> {
        let dir = tempfile::tempdir_in(self.repository.cow().git_snapshots_dir())?;
        let Sides { base, source, target } = &lines.texts;
        let mut command = self.repository.command();
        command.args(["merge-file", "--stdout", "--quiet"]).args(favoured).current_dir(dir.path());
        for (name, id) in [("target", target), ("base", base), ("source", source)] {
            self.contents.copy(id, &mut File::create_new(dir.path().join(name))?)?;
            command.arg(name);
        }
        match run_merging(&mut command)? {
            Some(text) => Ok(Some(self.add(&text)?)),
            None => Ok(None),
        }
    }

    fn add(&self, bytes: &[u8]) -> Result<ObjectId, RepositoryError> {
        let mut command = self.repository.command();
        let id = run_with(command.args(["hash-object", "-w", "--stdin"]), bytes)?;
        let id = String::from_utf8_lossy(&id);
        ObjectId::parse(id.trim())
            .ok_or_else(|| RepositoryError::Git { command: "hash-object".to_owned(), said: id.into_owned() })
    }
}
