//! Cloning a tree, and bringing a clone up to date.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::diff::Changes;
use super::walk::{Entry, Kind, Tree};
use crate::config::FileView;
use crate::disk::{self, DiskError, Folder};
use crate::priority;
use crate::progress::Progress;

/// From how many changed files on the whole file system is synced instead of each of them.
const SYNC_ALL_FROM: usize = 64;

/// How many entries of one folder a thread clones at a time.
const ENTRIES_PER_PART: usize = 256;

/// How many trees are cloned at a time. A thread has a folder of each open.
const TREES_AT_A_TIME: usize = 32;

/// Clones a walked tree from `source` into the folder `target`, which is made, and makes it durable.
///
/// What has gone since the walk is left out, and what has changed is taken as it is: [`retake`] finds both.
pub(crate) fn clone_tree(
    view: FileView,
    tree: &Tree,
    source: &Path,
    target: &Path,
    progress: &dyn Progress,
) -> Result<(), DiskError> {
    clone_to_all(view, tree, source, &[target.to_owned()], progress)?;
    progress.begin("sync", None);
    disk::sync_file_system(target)?;
    progress.end();
    Ok(())
}

/// Clones a walked tree into several folders, which are made, but does not make them durable. Requests go first.
pub(crate) fn clone_to_all(
    view: FileView,
    tree: &Tree,
    source: &Path,
    targets: &[PathBuf],
    progress: &dyn Progress,
) -> Result<(), DiskError> {
    progress.begin("clone files", Some((tree.entries.len() * targets.len()) as u64));
    let entries: Vec<&Entry> = tree.entries.iter().collect();
    for targets in targets.chunks(TREES_AT_A_TIME) {
        priority::at_low(|| {
            clone_entries(view, &entries, source, targets, progress)?;
            targets.par_iter().try_for_each(|target| {
                set_folder_attributes(entries.iter().copied().filter(|entry| entry.kind == Kind::Folder).rev(), target)
            })
        })?;
    }
    progress.end();
    Ok(())
}

/// Makes the clone in `target` of the tree walked `before` one of the tree walked `after`, durably, and says how many
/// entries it took for that.
pub(crate) fn retake(
    view: FileView,
    before: &Tree,
    after: &Tree,
    source: &Path,
    target: &Path,
) -> Result<u64, DiskError> {
    let changes = Changes::between(before, after);
    let folders: Vec<_> = changes.touched.iter().filter(|path| before.get(path).is_some()).collect();
    folders.iter().try_for_each(|path| disk::open_up(&target.join(path)))?;
    changes.removed.iter().try_for_each(|path| disk::remove(&target.join(path)))?;
    for entry in changes.taken.iter().filter(|entry| entry.kind != Kind::Folder) {
        disk::remove(&target.join(&entry.path))?;
    }
    clone_entries(view, &changes.taken, source, &[target.to_owned()], &crate::progress::Silent)?;
    let is_touched = |entry: &&Entry| entry.kind == Kind::Folder && changes.touched.contains(&entry.path);
    let folders: Vec<&Entry> = after.entries.iter().filter(is_touched).collect();
    set_folder_attributes(folders.iter().copied().rev(), target)?;

    let files: Vec<_> = changes.taken.iter().filter(|entry| entry.kind == Kind::File).collect();
    if files.len() + folders.len() >= SYNC_ALL_FROM {
        disk::sync_file_system(target)?;
    } else {
        files.iter().try_for_each(|entry| sync_if_there(&target.join(&entry.path)))?;
        folders.iter().try_for_each(|entry| disk::sync(&target.join(&entry.path)))?;
    }
    Ok((changes.taken.len() + changes.removed.len()) as u64)
}

/// Clones entries to where nothing but folders may be. Folders are left open: their attributes come last.
fn clone_entries(
    view: FileView,
    entries: &[&Entry],
    source: &Path,
    targets: &[PathBuf],
    progress: &dyn Progress,
) -> Result<(), DiskError> {
    let mut first_names: HashMap<(u64, u64), &Path> = HashMap::new();
    let (mut originals, mut hard_links) = (BTreeMap::<&Path, Vec<&Entry>>::new(), Vec::new());
    for entry in entries {
        // Only the tree's own folder has no parent.
        let parent = entry.path.parent().unwrap_or(Path::new(""));
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
    work.par_iter().try_for_each(|(targets, (folder, part))| {
        clone_part(view, part, folder, source, targets)?;
        progress.advance((part.len() * targets.len()) as u64);
        Ok(())
    })?;
    for (first, entry) in hard_links {
        progress.advance(targets.len() as u64);
        for target in targets {
            let (first, path) = (target.join(first), target.join(&entry.path));
            // The first name may have gone before it was cloned.
            match disk::inode(&first)? {
                Some(_) => disk::hard_link(&first, &path)?,
                None => {
                    let folder = entry.path.parent().unwrap_or(Path::new(""));
                    clone_part(view, &[entry], folder, source, &[target])?;
                }
            }
        }
    }
    Ok(())
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
/// once.
fn clone_part(
    view: FileView,
    part: &[&Entry],
    folder: &Path,
    source: &Path,
    targets: &[&PathBuf],
) -> Result<(), DiskError> {
    let Some(source) = Folder::open_if_there(source.join(folder))? else { return Ok(()) };
    let targets: Vec<_> = targets.iter().map(|target| Folder::open(target.join(folder))).collect::<Result<_, _>>()?;
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
    Ok(())
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
    use super::*;

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
}
