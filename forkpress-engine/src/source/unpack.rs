//! Writes the files of a source into a folder, as the WordPress that they are of.
//!
//! Folders come first, then files, each of which has to be new, then links: so nothing is ever written through a link.
//! After an error the folder is empty again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, UNIX_EPOCH};

use rayon::prelude::*;
use serde::Serialize;

use super::Found;
use super::archive::{Archive, EntryKind};
use super::error::SourceError;
use super::listing::Item;
use super::roots::Root;
use crate::bounds::{Counter, Load, Room, TooMuch};
use crate::disk::{self, step};
use crate::progress::Progress;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unpacked {
    /// Files and links.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What is to be written, by where it is to be.
#[derive(Default)]
struct Plan<'f> {
    /// With their permissions, where they are said.
    folders: BTreeMap<PathBuf, Option<u32>>,
    files: Vec<(&'f Item, PathBuf)>,
    links: Vec<(&'f Item, PathBuf, &'f Path)>,
}

/// Folders and files that nothing is said of.
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

impl Found {
    /// Writes the files that `takes` says yes to into `into`, which is empty or not there: in the layout of a
    /// WordPress, only its `wp-content` where the source has only that. What is [set aside](Self::aside) stays out.
    /// Nothing is made durable.
    ///
    /// # Errors
    /// [`SourceError`] where an entry may not be written, the source is damaged, the disk has no room, or a step fails;
    /// `into` is empty then.
    pub fn unpack(
        &self,
        into: &Path,
        takes: &dyn Fn(&Path) -> bool,
        progress: &dyn Progress,
    ) -> Result<Unpacked, SourceError> {
        step("make the folder", into, || fs::create_dir_all(into))?;
        let is_empty = step("read", into, || Ok(fs::read_dir(into)?.next().is_none()))?;
        if !is_empty {
            return Err(step("write into", into, || Err::<Unpacked, _>(io::ErrorKind::DirectoryNotEmpty.into()))
                .unwrap_err()
                .into());
        }
        let Some(root) = &self.root else { return Ok(Unpacked::default()) };
        self.check_not_around(into)?;
        let plan = self.plan(root, takes)?;
        self.check_load(&plan, Room::at(into)?)?;
        self.write(&plan, into, progress).inspect_err(|_| {
            // The error counts, and what it leaves is in nobody's way.
            let entries = disk::list(into).unwrap_or_default();
            entries.iter().for_each(|path| drop(disk::remove(path)));
        })
    }

    fn check_not_around(&self, into: &Path) -> Result<(), SourceError> {
        let resolved = fs::canonicalize(into).map_err(SourceError::read(into))?;
        let is_around = |archive: &Archive| {
            matches!(archive, Archive::Folder(_))
                && fs::canonicalize(archive.path()).is_ok_and(|source| resolved.starts_with(source))
        };
        match self.listing.volumes.iter().find(|volume| is_around(&volume.archive)) {
            Some(volume) => Err(SourceError::Around { path: volume.archive.path().to_owned() }),
            None => Ok(()),
        }
    }

    fn plan(&self, root: &Root, takes: &dyn Fn(&Path) -> bool) -> Result<Plan<'_>, SourceError> {
        let mut plan = Plan::default();
        let asides: HashSet<_> = self.aside.iter().map(|aside| aside.path.as_path()).collect();
        for item in &self.listing.items {
            let Some(place) = root.place(&item.path).filter(|place| !place.as_os_str().is_empty()) else { continue };
            if place.ancestors().any(|folder| asides.contains(folder)) || !takes(&place) {
                continue;
            }
            let refused = |what: &str| {
                let path = self.listing.archive_of(item).path().to_owned();
                Err(SourceError::Entry { path, entry: place.clone(), what: what.to_owned() })
            };
            for folder in place.ancestors().skip(1).take_while(|folder| !folder.as_os_str().is_empty()) {
                plan.folders.entry(folder.to_owned()).or_insert(None);
            }
            match &item.entry.kind {
                EntryKind::Folder => drop(plan.folders.insert(place, item.entry.mode)),
                EntryKind::File => plan.files.push((item, place)),
                EntryKind::Symlink(_) if !matches!(self.listing.archive_of(item), Archive::Folder(_)) => {
                    return refused("a symbolic link");
                }
                EntryKind::Symlink(target) if !stays_inside(&place, target) => {
                    return refused(&format!(
                        "a symbolic link that leads out of the site, to {:?}",
                        target.display().to_string()
                    ));
                }
                EntryKind::Symlink(target) => plan.links.push((item, place, target)),
                EntryKind::HardLink(_) | EntryKind::Special => return refused(item.entry.kind.name()),
            }
        }
        Ok(plan)
    }

    fn check_load(&self, plan: &Plan<'_>, room: Room) -> Result<(), SourceError> {
        let too_much = |why: TooMuch| SourceError::TooMuch { path: self.path.clone(), why };
        let mut counter = Counter::default();
        for (_, place) in &plan.files {
            counter.add(place.as_os_str().as_encoded_bytes()).map_err(too_much)?;
        }
        let bytes = plan.files.iter().fold(0, |sum: u64, (item, _)| sum.saturating_add(item.entry.bytes));
        Load { entries: counter.entries, bytes, packed_bytes: bytes }.check_room(room).map_err(too_much)
    }

    fn write(&self, plan: &Plan<'_>, into: &Path, progress: &dyn Progress) -> Result<Unpacked, SourceError> {
        let bytes = plan.files.iter().map(|(item, _)| item.entry.bytes).sum();
        progress.begin_bytes("unpack the files", Some(bytes));
        for folder in plan.folders.keys() {
            let path = into.join(folder);
            let made = step("make the folder", &path, || fs::create_dir(&path));
            // On a file system that folds case, two folders may be one.
            if let Err(error) = made
                && !fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir())
            {
                return Err(error.into());
            }
        }
        let mut written = Unpacked { files: plan.links.len() as u64, bytes: 0 };
        let (copied, unpacked): (Vec<_>, Vec<_>) =
            plan.files.iter().partition(|(item, _)| matches!(self.listing.archive_of(item), Archive::Folder(_)));
        written.bytes += self.copy(&copied, into, progress)?;
        written.bytes += self.unpack_files(&unpacked, into, progress)?;
        written.files += plan.files.len() as u64;
        for (item, place, target) in &plan.links {
            let path = into.join(place);
            symlink(target, &path).map_err(|error| self.not_written(item, place, &path, error))?;
        }
        for (folder, mode) in plan.folders.iter().rev() {
            let path = into.join(folder);
            let mode = mode.map_or(FOLDER_MODE, |mode| mode & 0o777 | 0o700);
            step("set the permissions of", &path, || fs::set_permissions(&path, fs::Permissions::from_mode(mode)))?;
        }
        progress.end();
        Ok(written)
    }

    /// Copies files of a folder; where the file system can, they share their bytes with it.
    fn copy(&self, files: &[&(&Item, PathBuf)], into: &Path, progress: &dyn Progress) -> Result<u64, SourceError> {
        let can_share = AtomicBool::new(true);
        let copy = |(item, place): &&(&Item, PathBuf)| {
            let Archive::Folder(folder) = self.listing.archive_of(item) else { return Ok(0) };
            let (from, to) = (folder.place(&item.entry.path), into.join(place));
            progress.go_on().map_err(SourceError::read(&from))?;
            if !(can_share.load(Relaxed) && reflink_copy::reflink(&from, &to).is_ok()) {
                can_share.store(false, Relaxed);
                let source = File::open(&from).map_err(SourceError::read(&from))?;
                let mut file = File::create_new(&to).map_err(|error| self.not_written(item, place, &to, error))?;
                step("copy to", &to, || copy_in_pieces(&source, &mut file, progress))?;
            } else {
                progress.advance(item.entry.bytes);
            }
            finish(&File::open(&to).map_err(SourceError::read(&to))?, item, &to)?;
            Ok(item.entry.bytes)
        };
        files.par_iter().map(copy).try_reduce(|| 0, |one, other| Ok(one + other))
    }

    /// Writes files of archives, in the order in which those have them. Of a ZIP file, parts are unpacked at a time.
    fn unpack_files(
        &self,
        files: &[&(&Item, PathBuf)],
        into: &Path,
        progress: &dyn Progress,
    ) -> Result<u64, SourceError> {
        let mut sum = 0;
        for (number, volume) in self.listing.volumes.iter().enumerate() {
            let mut of_volume: Vec<_> = files.iter().copied().filter(|(item, _)| item.at.0 == number).collect();
            of_volume.sort_by_key(|(item, _)| item.at.1);
            let archive = volume.archive.path();
            let packed_bytes = fs::metadata(archive).map_err(SourceError::read(archive))?.len();
            let written = Written { bytes: AtomicU64::new(0), packed_bytes };
            let is_zip = matches!(volume.archive, Archive::Zip(_));
            let at_a_time = if is_zip { rayon::current_num_threads() } else { 1 };
            let of_part = of_volume.len().div_ceil(at_a_time).max(1);
            of_volume.par_chunks(of_part).try_for_each(|part| self.unpack_part(part, into, &written, progress))?;
            sum += written.bytes.into_inner();
        }
        Ok(sum)
    }

    /// Writes some files of one archive.
    fn unpack_part(
        &self,
        files: &[&(&Item, PathBuf)],
        into: &Path,
        written: &Written,
        progress: &dyn Progress,
    ) -> Result<(), SourceError> {
        let places: HashMap<_, _> = files.iter().map(|(item, place)| (item.at, place)).collect();
        let wanted: Vec<_> = files.iter().map(|(item, _)| *item).collect();
        let mut buffer = vec![0; BUFFER_BYTES];
        self.listing.walk(&wanted, progress, &mut |item, content| {
            let Some(place) = places.get(&item.at) else { return Ok(()) };
            let archive = self.listing.archive_of(item).path();
            let to = into.join(place);
            let mut file = File::create_new(&to).map_err(|error| self.not_written(item, place, &to, error))?;
            let broken = |error| SourceError::broken(archive, Some(&item.entry.path))(error);
            let mut reader = content.open().map_err(broken)?;
            loop {
                let count = match reader.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(broken(error)),
                };
                written.add(count as u64).map_err(|why| SourceError::TooMuch { path: archive.to_owned(), why })?;
                step("write", &to, || file.write_all(&buffer[..count]))?;
                progress.advance(count as u64);
            }
            finish(&file, item, &to)
        })
    }

    fn not_written(&self, item: &Item, place: &Path, to: &Path, error: io::Error) -> SourceError {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return SourceError::Twice {
                path: self.listing.archive_of(item).path().to_owned(),
                entry: place.to_owned(),
            };
        }
        disk::DiskError { step: "write", path: to.to_owned(), source: error }.into()
    }
}

const BUFFER_BYTES: usize = 128 << 10;

/// So much of a file is copied between two questions whether to go on.
const PIECE_BYTES: u64 = 8 << 20;

/// Copies a file, by the kernel where it can, as long as the work goes on.
fn copy_in_pieces(from: &File, to: &mut File, progress: &dyn Progress) -> io::Result<()> {
    loop {
        progress.go_on()?;
        match io::copy(&mut from.take(PIECE_BYTES), to)? {
            0 => return Ok(()),
            count => progress.advance(count),
        }
    }
}

/// What was written of one archive.
struct Written {
    bytes: AtomicU64,
    packed_bytes: u64,
}

impl Written {
    /// Counts, and refuses what is more than such an archive ever becomes.
    fn add(&self, count: u64) -> Result<(), TooMuch> {
        let bytes = self.bytes.fetch_add(count, Relaxed) + count;
        Load { entries: 1, bytes, packed_bytes: self.packed_bytes }.check()
    }
}

/// Gives a file its permissions, without those that make a program run as somebody else, and its time, so that a copy
/// of it in a browser stays right.
fn finish(file: &File, item: &Item, to: &Path) -> Result<(), SourceError> {
    let mode = item.entry.mode.map_or(FILE_MODE, |mode| mode & 0o777 | 0o600);
    let modified = item.entry.modified.and_then(|seconds| u64::try_from(seconds).ok());
    let modified = modified.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
    Ok(step("set the attributes of", to, || {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        // A time that the file system can't hold is none that matters.
        modified.map_or(Ok(()), |modified| file.set_modified(modified).or(Ok(())))
    })?)
}

/// Whether what a link at `place` says stays in the tree, whatever other links are in it: it goes up only at its begin,
/// where folders are real, and not above the tree.
fn stays_inside(place: &Path, target: &Path) -> bool {
    let mut left = place.components().count().saturating_sub(1);
    let mut is_down = false;
    target.components().all(|part| match part {
        Component::ParentDir if is_down || left == 0 => false,
        Component::ParentDir => {
            left -= 1;
            true
        }
        Component::Normal(_) => {
            is_down = true;
            true
        }
        Component::CurDir => true,
        Component::RootDir | Component::Prefix(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_inside_only_where_it_can_lead_nowhere_else() {
        let stays = |place: &str, target: &str| stays_inside(Path::new(place), Path::new(target));
        for (place, target) in [("a", "b"), ("a/b", "../c"), ("a/b/c", "../../d"), ("a/b", "./c/d"), ("a/b", "..")] {
            assert!(stays(place, target), "{place} {target}");
        }
        for (place, target) in [("a", "/b"), ("a", "../b"), ("a/b", "../../c"), ("a/b", "c/../d"), ("a", "b/../../c")] {
            assert!(!stays(place, target), "{place} {target}");
        }
    }
}
