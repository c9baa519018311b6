//! Cloning a tree, and bringing a clone up to date.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::diff::Changes;
use super::walk::{Entry, Kind, Tree};
use crate::config::FileView;
use crate::disk::{self, DiskError, OpenFolder};
use crate::priority;
use crate::progress::Progress;

/// From how many changed files on the whole file system is synced instead of each of them.
const SYNC_ALL_FROM: usize = 64;

/// How many entries of one folder a thread clones at a time.
const ENTRIES_PER_PART: usize = 256;

/// How many trees are cloned at a time. A thread has a folder of each open.
const TREES_AT_A_TIME: usize = 32;

/// Clones a walked tree from `source`, which is in use, into the folder `target`, which is made, and makes it durable.
///
/// What has gone since the walk is left out, and what has changed is taken as it is: [`retake`] finds both. What is to be
/// taken again in any case, the walk [forgets](Tree::forget).
pub(crate) fn clone_tree(
    view: FileView,
    tree: &mut Tree,
    source: &Path,
    target: &Path,
    progress: &dyn Progress,
) -> Result<(), DiskError> {
    let missed = clone_at_low_priority(view, tree, source, SourceState::InUse(tree), &[target.to_owned()], progress)?;
    tree.forget(&missed);
    progress.begin("sync", None);
    disk::sync_file_system(target)?;
    progress.end();
    Ok(())
}

/// Clones `source`, a clone of a walked tree that is in nobody's use, into several folders, which are made, but does not make
/// them durable. Requests go first.
pub(crate) fn clone_to_all(
    view: FileView,
    tree: &Tree,
    source: &Path,
    targets: &[PathBuf],
    progress: &dyn Progress,
) -> Result<(), DiskError> {
    clone_at_low_priority(view, tree, source, SourceState::AtRest, targets, progress).map(drop)
}

/// What tree entries are cloned from.
#[derive(Clone, Copy)]
enum SourceState<'a> {
    /// One that was walked, and in which folders may be moved meanwhile.
    InUse(&'a Tree),
    /// One in which folders stay where they are.
    AtRest,
}

/// Folders of a tree in use from which nothing was cloned, because others were in their places, or none.
type Missed = BTreeSet<PathBuf>;

fn clone_at_low_priority(
    view: FileView,
    tree: &Tree,
    source: &Path,
    kind: SourceState<'_>,
    targets: &[PathBuf],
    progress: &dyn Progress,
) -> Result<Missed, DiskError> {
    progress.begin("clone files", Some((tree.entries.len() * targets.len()) as u64));
    let entries: Vec<&Entry> = tree.entries.iter().collect();
    let mut missed = Missed::new();
    for targets in targets.chunks(TREES_AT_A_TIME) {
        missed.append(&mut priority::at_low(|| {
            let missed = clone_entries(view, &entries, source, kind, targets, progress)?;
            targets.par_iter().try_for_each(|target| {
                set_folder_attributes(entries.iter().copied().filter(|entry| entry.kind == Kind::Folder).rev(), target)
            })?;
            Ok(missed)
        })?);
    }
    progress.end();
    Ok(missed)
}

/// Does what [`retake`] does while the source is in use. What is to be taken again in any case, the walk `after` forgets.
pub(crate) fn retake_in_use(
    view: FileView,
    before: &Tree,
    after: &mut Tree,
    source: &Path,
    target: &Path,
) -> Result<(), DiskError> {
    let (_, missed) = take_changes(view, before, after, source, SourceState::InUse(after), target)?;
    after.forget(&missed);
    Ok(())
}

/// How often a tree in use is looked at again, until every folder of it was met where it was seen.
const MOST_ROUNDS: usize = 100;

/// How many walks of it have to find the same folders.
const WALKS_AGREED: usize = 4;

/// Makes the clone in `target` of the tree `seen` one of the tree that the source is by now, durably, also while that is in
/// use, and says how many entries it took for that.
///
/// To read a folder while others are moved in it may give a name twice or not at all, if seldom. So what counts is
/// [`WALKS_AGREED`] walks in a row that found the same folders, and none in two places.
pub(crate) fn retake_until_whole(
    view: FileView,
    seen: &mut Tree,
    source: &Path,
    target: &Path,
) -> Result<u64, DiskError> {
    let (mut taken, mut agreed, mut before) = (0, 0, Vec::new());
    for _ in 0..MOST_ROUNDS {
        let mut now = seen.walk_again(source)?;
        let (count, missed) = take_changes(view, seen, &now, source, SourceState::InUse(&now), target)?;
        taken += count;
        let folders = folders_of(&now);
        let is_whole = missed.is_empty() && has_each_once(&folders);
        agreed = if !is_whole {
            0
        } else if folders == before {
            agreed + 1
        } else {
            1
        };
        now.forget(&missed);
        *seen = now;
        if agreed == WALKS_AGREED {
            return Ok(taken);
        }
        before = folders;
    }
    disk::step("clone", source, || Err(std::io::Error::other("its folders are moved all the time")))
}

fn folders_of(tree: &Tree) -> Vec<(PathBuf, (u64, u64))> {
    let folders = tree.entries.iter().filter(|entry| entry.kind == Kind::Folder);
    folders.map(|entry| (entry.path.clone(), entry.device_and_inode)).collect()
}

fn has_each_once(folders: &[(PathBuf, (u64, u64))]) -> bool {
    let mut met = HashSet::new();
    folders.iter().all(|(_, folder)| met.insert(folder))
}

/// Makes the clone in `target` of the tree walked `before` one of the tree walked `after`, which no request uses, durably, and
/// says how many entries it took for that.
pub(crate) fn retake(
    view: FileView,
    before: &Tree,
    after: &Tree,
    source: &Path,
    target: &Path,
) -> Result<u64, DiskError> {
    take_changes(view, before, after, source, SourceState::AtRest, target).map(|(count, _)| count)
}

fn take_changes(
    view: FileView,
    before: &Tree,
    after: &Tree,
    source: &Path,
    kind: SourceState<'_>,
    target: &Path,
) -> Result<(u64, Missed), DiskError> {
    let changes = Changes::between(before, after);
    let was_folder = |path: &&PathBuf| before.get(path).is_some_and(|entry| entry.kind == Kind::Folder);
    let folders: Vec<_> = changes.touched.iter().filter(was_folder).collect();
    folders.iter().try_for_each(|path| disk::open_up(&target.join(path)))?;
    changes.removed.iter().try_for_each(|path| disk::remove(&target.join(path)))?;
    for entry in changes.taken.iter().filter(|entry| entry.kind != Kind::Folder) {
        disk::remove(&target.join(&entry.path))?;
    }
    let silent = &crate::progress::Silent;
    let missed = clone_entries(view, &changes.taken, source, kind, &[target.to_owned()], silent)?;
    let is_touched = |entry: &&Entry| entry.kind == Kind::Folder && changes.touched.contains(&entry.path);
    let folders: Vec<&Entry> = after.entries.iter().filter(is_touched).collect();
    set_folder_attributes(folders.iter().copied().rev(), target)?;

    let files: Vec<_> = changes.taken.iter().filter(|entry| entry.kind == Kind::File).collect();
    if files.len() + folders.len() >= SYNC_ALL_FROM {
        disk::sync_file_system(target)?;
    } else {
        // At once: the file system writes its log once for what is synced while it writes.
        files.par_iter().try_for_each(|entry| sync_if_there(&target.join(&entry.path)))?;
        folders.par_iter().try_for_each(|entry| disk::sync(&target.join(&entry.path)))?;
    }
    Ok(((changes.taken.len() + changes.removed.len()) as u64, missed))
}

/// Clones entries to where nothing but folders may be. Folders are left open: their attributes come last.
fn clone_entries(
    view: FileView,
    entries: &[&Entry],
    source: &Path,
    kind: SourceState<'_>,
    targets: &[PathBuf],
    progress: &dyn Progress,
) -> Result<Missed, DiskError> {
    let mut first_names: HashMap<(u64, u64), &Path> = HashMap::new();
    let (mut originals, mut hard_links) = (BTreeMap::<&Path, Vec<&Entry>>::new(), Vec::new());
    for entry in entries {
        let parent = parent_of(entry);
        match &entry.kind {
            Kind::Folder => {
                targets.iter().try_for_each(|target| disk::create_folder(&target.join(&entry.path)))?;
                progress.advance(targets.len() as u64);
            }
            Kind::File if entry.is_hard_link() => match first_names.get(&entry.device_and_inode) {
                Some(first) => hard_links.push((*first, *entry)),
                None => {
                    first_names.insert(entry.device_and_inode, &entry.path);
                    originals.entry(parent).or_default().push(entry);
                }
            },
            Kind::File | Kind::Symlink(_) => originals.entry(parent).or_default().push(entry),
        }
    }
    // A folder is locked while something is made in it: threads that work in one wait for each other.
    let parts: Vec<(&Path, &[&Entry])> = originals
        .iter()
        .flat_map(|(folder, entries)| entries.chunks(ENTRIES_PER_PART).map(|part| (*folder, part)))
        .collect();
    let groups = apart(targets, rayon::current_num_threads());
    let work: Vec<_> = groups.iter().flat_map(|group| parts.iter().map(move |part| (group, part))).collect();
    let clone_one = |(targets, (folder, part)): &(&Vec<&PathBuf>, &(&Path, &[&Entry]))| {
        let is_cloned = clone_part(view, part, folder, source, kind, targets)?;
        progress.advance((part.len() * targets.len()) as u64);
        Ok((!is_cloned).then(|| folder.to_path_buf()))
    };
    let missed: Vec<_> = work.par_iter().map(clone_one).collect::<Result<_, _>>()?;
    let mut missed: Missed = missed.into_iter().flatten().collect();
    for (first, entry) in hard_links {
        progress.advance(targets.len() as u64);
        for target in targets {
            let (first, path) = (target.join(first), target.join(&entry.path));
            // The first name may have gone before it was cloned.
            match disk::inode(&first)? {
                Some(_) => disk::hard_link(&first, &path)?,
                None => {
                    let folder = parent_of(entry);
                    if !clone_part(view, &[entry], folder, source, kind, &[target])? {
                        missed.insert(folder.to_owned());
                    }
                }
            }
        }
    }
    Ok(missed)
}

/// The folder that an entry is in. Only the tree's own folder is in none.
fn parent_of(entry: &Entry) -> &Path {
    entry.path.parent().unwrap_or(Path::new(""))
}

/// Deals trees out to so many threads at most, by turns.
///
/// XFS places new folders in its allocation groups by turns, and what is in a folder in the folder's: threads that each work on
/// trees next to each other would wait for the same group's lock.
fn apart(targets: &[PathBuf], threads: usize) -> Vec<Vec<&PathBuf>> {
    let groups = threads.clamp(1, targets.len().max(1));
    (0..groups).map(|first| targets.iter().skip(first).step_by(groups).collect()).collect()
}

/// Clones files and symlinks of one folder of the tree `source` into the same folder of each target. Each file is opened
/// once. False where that folder is not there, or another than was walked.
///
/// That a file was moved shows in its time of change, that one of the folders around it was does not: when it is back, all
/// in it looks as if nothing had been.
fn clone_part(
    view: FileView,
    part: &[&Entry],
    folder: &Path,
    source: &Path,
    kind: SourceState<'_>,
    targets: &[&PathBuf],
) -> Result<bool, DiskError> {
    let Some(source) = OpenFolder::open_if_there(source.join(folder))? else { return Ok(false) };
    if let SourceState::InUse(tree) = kind {
        let walked = tree.get(folder).map(|entry| entry.device_and_inode);
        if walked != Some(source.device_and_inode()?) {
            return Ok(false);
        }
    }
    let targets: Vec<_> =
        targets.iter().map(|target| OpenFolder::open(target.join(folder))).collect::<Result<_, _>>()?;
    for entry in part {
        priority::rest();
        let Some(name) = entry.path.file_name() else { continue };
        match &entry.kind {
            Kind::Symlink(says) => {
                targets.iter().try_for_each(|target| target.symlink(says, name, &entry.attributes))?;
            }
            Kind::Folder | Kind::File => {
                if let Some(file) = source.open_file(name)? {
                    targets.iter().try_for_each(|target| target.clone_file(view, &file, name, &entry.attributes))?;
                }
            }
        }
    }
    Ok(true)
}

/// Sets the attributes of folders, which come with what is in a folder before the folder.
fn set_folder_attributes<'a>(folders: impl Iterator<Item = &'a Entry>, target: &Path) -> Result<(), DiskError> {
    folders.into_iter().try_for_each(|entry| disk::set_attributes(&target.join(&entry.path), &entry.attributes))
}

/// An editor, which no lock keeps out, may have removed the file again since it was seen.
fn sync_if_there(path: &Path) -> Result<(), DiskError> {
    match disk::inode(path)? {
        Some(_) => disk::sync(path),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::super::walk::tests::settled;
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn trees_are_dealt_out_by_turns_each_to_one_thread() {
        let targets = ["a", "b", "c", "d", "e"].map(PathBuf::from);
        let dealt = |count: usize, threads| {
            let groups = apart(&targets[..count], threads);
            groups
                .iter()
                .map(|group| group.iter().map(|path| path.to_str().unwrap()).collect())
                .collect::<Vec<String>>()
        };
        assert_eq!(dealt(5, 2), ["ace", "bd"]);
        assert_eq!(dealt(1, 2), ["a"]);
        assert_eq!(dealt(2, 8), ["a", "b"]);
        assert_eq!(dealt(0, 8), [""]);
    }

    /// What a clone of a tree has in the end in which something happens while it is cloned, and is taken back: each file that is
    /// there, with its bytes.
    fn cloned_while(happens: impl FnOnce(&Path), taken_back: impl FnOnce(&Path)) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let (source, target) = (dir.path().join("source"), dir.path().join("target"));
        for (file, bytes) in [("a/inner/file", "a"), ("b/inner/file", "b"), ("file", "f")] {
            fs::create_dir_all(source.join(file).parent().unwrap()).unwrap();
            fs::write(source.join(file), bytes).unwrap();
        }
        symlink("file", source.join("a/inner/link")).unwrap();
        fs::hard_link(source.join("a/inner/file"), source.join("a/inner/name")).unwrap();
        let mut before = settled(&source);
        happens(&source);
        fs::create_dir(&target).unwrap();
        clone_tree(FileView::FileCopy, &mut before, &source, &target, &Silent).unwrap();
        taken_back(&source);
        // What a spare is made from, is written down.
        let before = Tree::from_bytes(&before.to_bytes(), before.entries[0].device_and_inode.0).unwrap();
        let after = before.walk_again(&source).unwrap();
        retake(FileView::FileCopy, &before, &after, &source, &target).unwrap();
        let files = walkdir::WalkDir::new(&target).sort_by_file_name().into_iter().map(Result::unwrap);
        files
            .filter(|found| !found.file_type().is_dir())
            .map(|found| {
                let path = found.path().strip_prefix(&target).unwrap().display().to_string();
                format!("{path}: {}", fs::read_to_string(found.path()).unwrap())
            })
            .collect()
    }

    const ALL: [&str; 5] = ["a/inner/file: a", "a/inner/link: a", "a/inner/name: a", "b/inner/file: b", "file: f"];

    #[test]
    fn what_was_in_a_folder_that_was_away_is_taken_when_it_is_back() {
        let moved = |from: &'static str, to: &'static str| {
            move |root: &Path| fs::rename(root.join(from), root.join(to)).unwrap()
        };
        assert_eq!(cloned_while(moved("a", "away"), moved("away", "a")), ALL);
        assert_eq!(cloned_while(moved("a/inner", "away"), moved("away", "a/inner")), ALL);
    }

    #[test]
    fn what_was_in_a_folder_that_stood_in_for_another_is_not_taken_for_what_is_there() {
        let exchange = |root: &Path| assert!(disk::exchange(&root.join("a"), &root.join("b")).unwrap());
        assert_eq!(cloned_while(exchange, exchange), ALL);
    }

    #[test]
    fn a_folder_that_came_where_a_file_was_is_taken() {
        let replace = |root: &Path| {
            fs::remove_file(root.join("file")).unwrap();
            fs::create_dir(root.join("file")).unwrap();
            fs::write(root.join("file/below"), "new").unwrap();
        };
        let expected: Vec<_> = ALL[..4].iter().copied().chain(["file/below: new"]).collect();
        assert_eq!(cloned_while(replace, |_| ()), expected);
    }
}
