//! Which files of two sides belong together, and what the merge of them is. Pure: nothing here asks Git.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::super::push::{Blob, Difference, EntryMode, ObjectId};
use crate::merge::conflict_id::{ConflictId, TablePlace};
use crate::merge::{Change, Sides, Value};

/// What one side changed of the base, by path.
pub(super) type Changes = BTreeMap<PathBuf, Difference>;

/// Where one side has moved files of the base to.
pub(super) type Renames = BTreeMap<PathBuf, PathBuf>;

/// A file or a symlink of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) path: PathBuf,
    pub(crate) blob: Blob,
}

/// Why a merge of files is none yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileConflictKind {
    /// Both changed the same lines.
    Text,
    /// Both changed what has no lines: other bytes, or a symlink.
    Binary,
    /// One removed the file, the other changed or renamed it.
    Removed,
    /// Both added another file.
    Added,
    /// Both renamed the file, each to something else.
    Renamed,
    /// One has a file where the other has a folder.
    Folder,
}

impl FileConflictKind {
    /// As it is printed, and as the id has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Removed => "removed",
            Self::Added => "added",
            Self::Renamed => "renamed",
            Self::Folder => "folder",
        }
    }
}

/// What is in the way of a merge of files at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileConflict {
    pub(crate) id: ConflictId,
    pub(crate) kind: FileConflictKind,
    pub(crate) path: PathBuf,
    /// What each side has: it may be at another path, where a side has renamed it.
    pub(crate) sides: Sides<Option<Placed>>,
}

impl FileConflict {
    fn new(kind: FileConflictKind, path: PathBuf, sides: Sides<Option<Placed>>) -> Self {
        let text = |bytes: &[u8]| Value::Text(bytes.to_vec());
        // No table is called so.
        let place = TablePlace { table: String::new(), key: vec![text(path.as_os_str().as_bytes())], column: None };
        let row = |placed: &Placed| {
            let Placed { path, blob: Blob { mode, id } } = placed;
            let cells = [path.as_os_str().as_bytes(), mode.octal().as_bytes(), id.as_str().as_bytes()];
            cells.map(|cell| Some(text(cell))).to_vec()
        };
        let rows = sides.as_ref().map(|placed| placed.as_ref().map(row));
        Self { id: ConflictId::new(kind.name(), &place, &rows, &[]), kind, path, sides }
    }
}

/// What becomes of a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    /// What the target has. Of a text, that is so for the lines in conflict only: what the source alone changed comes home.
    Ours,
    /// What the source has. Of a text, for the lines in conflict only.
    Theirs,
    /// What both had.
    Base,
    /// A file with these bytes.
    Bytes(Vec<u8>),
}

/// A file that both sides have or had, or one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// Where its merge is.
    pub(super) path: PathBuf,
    pub(super) sides: Sides<Option<Placed>>,
}

/// What the merge of a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// This, or nothing.
    Is(Option<Placed>),
    /// Its lines are to be merged.
    Lines(Lines),
    Conflict(FileConflictKind),
}

/// Texts of which the lines are to be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    /// What kind of file their merge is.
    pub(super) mode: EntryMode,
    pub(super) texts: Sides<ObjectId>,
}

/// The paths whose new place is to be known, if there is one: one side has no such file any more, and the other has not left it
/// as it was.
pub(super) fn missing<'a>(gone_in: &'a Changes, changed_in: &Changes) -> BTreeSet<&'a Path> {
    let is_gone = |path: &&PathBuf| gone_in[*path].after.is_none() && changed_in.contains_key(*path);
    gone_in.keys().filter(is_gone).map(PathBuf::as_path).collect()
}

/// Pairs what the two sides changed.
pub(super) fn units(source: &Changes, target: &Changes, renames: &Sides<Renames>) -> Vec<Unit> {
    let at = |changes: &Changes, path: &Path| changes.get(path)?.after.clone();
    let placed = |path: &Path, blob: Option<Blob>| blob.map(|blob| Placed { path: path.to_owned(), blob });
    let mut units = Vec::new();
    let mut taken: BTreeSet<&Path> = BTreeSet::new();
    let moved: BTreeSet<&PathBuf> = renames.source.keys().chain(renames.target.keys()).collect();
    for old in moved {
        let (in_source, in_target) = (renames.source.get(old), renames.target.get(old));
        // Where the other side has a file of its own at the new path, these are two files.
        let is_free = |path: Option<&PathBuf>, changes: &Changes| path.is_none_or(|path| !changes.contains_key(path));
        if in_source != in_target && !(is_free(in_source, target) && is_free(in_target, source)) {
            continue;
        }
        let Some(path) = in_target.or(in_source) else { continue };
        let side = |changes: &Changes, moved: Option<&PathBuf>| {
            let path = moved.unwrap_or(old);
            placed(path, at(changes, path))
        };
        let base = [source, target].into_iter().find_map(|changes| changes.get(old)?.before.clone());
        let sides = Sides { base: placed(old, base), source: side(source, in_source), target: side(target, in_target) };
        taken.extend([Some(old), in_source, in_target].into_iter().flatten().map(PathBuf::as_path));
        units.push(Unit { path: path.clone(), sides });
    }
    let paths: BTreeSet<&PathBuf> = source.keys().chain(target.keys()).collect();
    for path in paths.into_iter().filter(|path| !taken.contains(path.as_path())) {
        let (by_source, by_target) = (source.get(path), target.get(path));
        let base = by_source.or(by_target).and_then(|difference| difference.before.clone());
        let side = |change: Option<&Difference>| match change {
            Some(difference) => difference.after.clone(),
            None => base.clone(),
        };
        let sides = Sides { source: side(by_source), target: side(by_target), base: base.clone() };
        units.push(Unit { path: path.clone(), sides: sides.map(|blob| placed(path, blob)) });
    }
    units
}

/// Decides what the merge of a file is.
pub(super) fn decide(unit: &Unit) -> Decision {
    let Unit { path, sides } = unit;
    let is = |blob: &Blob| Decision::Is(Some(Placed { path: path.clone(), blob: blob.clone() }));
    match sides.as_ref().map(Option::as_ref) {
        Sides { source: None, target: None, .. } => Decision::Is(None),
        Sides { base, source: Some(one), target: None } | Sides { base, source: None, target: Some(one) } => match base
        {
            None => is(&one.blob),
            Some(base) if base == one => Decision::Is(None),
            Some(_) => Decision::Conflict(FileConflictKind::Removed),
        },
        Sides { base: None, source: Some(source), target: Some(target) } if source == target => is(&target.blob),
        Sides { base: None, .. } => Decision::Conflict(FileConflictKind::Added),
        Sides { base: Some(base), source: Some(source), target: Some(target) } => {
            if source.path != target.path && source.path != base.path && target.path != base.path {
                return Decision::Conflict(FileConflictKind::Renamed);
            }
            let blobs = Sides { base: &base.blob, source: &source.blob, target: &target.blob };
            if let Some(blob) = merged(&blobs) {
                return is(blob);
            }
            let has_lines = |blob: &Blob| matches!(blob.mode, EntryMode::File | EntryMode::Program);
            if ![blobs.base, blobs.source, blobs.target].into_iter().all(has_lines) {
                return Decision::Conflict(FileConflictKind::Binary);
            }
            // Of two modes, two sides can't have made two others.
            let mode = merged(&blobs.map(|blob| blob.mode)).unwrap_or(target.blob.mode);
            match merged(&blobs.map(|blob| &blob.id)) {
                Some(id) => is(&Blob { mode, id: id.clone() }),
                None => Decision::Lines(Lines { mode, texts: blobs.map(|blob| blob.id.clone()) }),
            }
        }
    }
}

/// What one side alone changed, or both alike.
fn merged<T: PartialEq + Clone>(sides: &Sides<T>) -> Option<T> {
    match sides.change() {
        Change::Source => Some(sides.source.clone()),
        Change::None | Change::Target | Change::Alike => Some(sides.target.clone()),
        Change::Both => None,
    }
}

impl Unit {
    /// The conflict about it.
    pub(super) fn conflict(&self, kind: FileConflictKind) -> FileConflict {
        FileConflict::new(kind, self.path.clone(), self.sides.clone())
    }

    /// A blob where its merge is.
    pub(super) fn placed(&self, mode: EntryMode, id: ObjectId) -> Option<Placed> {
        Some(Placed { path: self.path.clone(), blob: Blob { mode, id } })
    }

    /// What an answer makes of it, where that is not a matter of lines. `bytes` makes a blob of bytes.
    pub(super) fn taken<E>(
        &self,
        take: Take,
        bytes: impl FnOnce(Vec<u8>) -> Result<ObjectId, E>,
    ) -> Result<Option<Placed>, E> {
        let Sides { base, source, target } = &self.sides;
        Ok(match take {
            Take::Ours => target.clone(),
            Take::Theirs => source.clone(),
            Take::Base => base.clone(),
            Take::Bytes(text) => {
                let is_program = |side: &Option<Placed>| side.as_ref().map(|side| side.blob.mode == EntryMode::Program);
                let is_program = [target, source, base].into_iter().find_map(is_program) == Some(true);
                let mode = if is_program { EntryMode::Program } else { EntryMode::File };
                self.placed(mode, bytes(text)?)
            }
        })
    }

    /// What the target gets so that its file becomes `outcome`.
    pub(super) fn differences(&self, outcome: Option<Placed>) -> Vec<Difference> {
        let target = self.sides.target.clone();
        let is_at_its_path = |target: &Placed| outcome.as_ref().is_some_and(|outcome| outcome.path == target.path);
        let put = |before: Option<Placed>, after: Option<Placed>| {
            let path = after.as_ref().or(before.as_ref())?.path.clone();
            Some(Difference { path, before: before.map(|side| side.blob), after: after.map(|side| side.blob) })
        };
        let (gone, before) = match target {
            Some(target) if is_at_its_path(&target) => (None, Some(target)),
            target => (target, None),
        };
        let differences = [put(gone, None), outcome.and_then(|outcome| put(before, Some(outcome)))];
        differences.into_iter().flatten().filter(|difference| difference.before != difference.after).collect()
    }
}

/// Where one side has a file and the other one a folder, after all else is decided.
///
/// `groups` has what the target gets, of each unit. What would be in the way of a file of the target is withheld, with its
/// unit; or the target's files go, where that is the answer.
pub(super) fn settle_folders(
    groups: &mut Vec<Vec<Difference>>,
    target: &Changes,
    answer: &dyn Fn(&FileConflict) -> Option<Take>,
) -> Vec<FileConflict> {
    let mut conflicts = Vec::new();
    // A folder may have many files that are in the way of one: that is asked once.
    let mut asked = BTreeSet::new();
    while let Some(clash) = find_clash(groups, target) {
        if asked.contains(&clash.path) {
            groups.remove(clash.group);
            continue;
        }
        let conflict = clash.conflict();
        let may_go = clash.stays.iter().all(|(path, _)| target.contains_key(path))
            && !groups.iter().flatten().any(|other| clash.stays.iter().any(|(path, _)| *path == other.path));
        match answer(&conflict) {
            Some(Take::Theirs) if may_go => {
                let gone = |(path, blob)| Difference { path, before: Some(blob), after: None };
                groups.push(clash.stays.into_iter().map(gone).collect());
            }
            Some(Take::Ours) => drop(asked.insert(clash.path)),
            _ => {
                asked.insert(clash.path);
                conflicts.push(conflict);
            }
        }
    }
    conflicts
}

/// What is to be added, and what is in its way.
struct Clash {
    /// Where the file is that is no folder.
    path: PathBuf,
    group: usize,
    added: Placed,
    /// All that is at the path or below it, on the other side.
    stays: Vec<(PathBuf, Blob)>,
}

impl Clash {
    fn conflict(&self) -> FileConflict {
        let stays = self.stays.first().map(|(path, blob)| Placed { path: path.clone(), blob: blob.clone() });
        let sides = Sides { base: None, source: Some(self.added.clone()), target: stays };
        FileConflict::new(FileConflictKind::Folder, self.path.clone(), sides)
    }
}

fn find_clash(groups: &[Vec<Difference>], target: &Changes) -> Option<Clash> {
    let mut standing: BTreeMap<&[u8], &Blob> = BTreeMap::new();
    for difference in target.values().chain(groups.iter().flatten()) {
        let path = difference.path.as_os_str().as_bytes();
        match &difference.after {
            Some(blob) => standing.insert(path, blob),
            None => standing.remove(path),
        };
    }
    let stays = |path: &[u8], blob: &&Blob| (PathBuf::from(OsStr::from_bytes(path)), (*blob).clone());
    let added = groups.iter().enumerate().flat_map(|(group, differences)| {
        differences.iter().filter_map(move |difference| match difference {
            Difference { path, before: None, after: Some(blob) } => Some((group, path, blob)),
            _ => None,
        })
    });
    for (group, path, blob) in added {
        let added = || Placed { path: path.clone(), blob: blob.clone() };
        let file = path.ancestors().skip(1).find_map(|folder| {
            let found = standing.get_key_value(folder.as_os_str().as_bytes())?;
            Some((folder, stays(found.0, found.1)))
        });
        if let Some((folder, file)) = file {
            return Some(Clash { path: folder.to_owned(), group, added: added(), stays: vec![file] });
        }
        let folder = [path.as_os_str().as_bytes(), b"/"].concat();
        let from = standing.range::<[u8], _>((Bound::Included(&folder[..]), Bound::Unbounded));
        let below: Vec<_> =
            from.take_while(|(path, _)| path.starts_with(&folder)).map(|(path, blob)| stays(path, blob)).collect();
        if !below.is_empty() {
            return Some(Clash { path: path.clone(), group, added: added(), stays: below });
        }
    }
    None
}
