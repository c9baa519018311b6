//! A folder that init has to itself, and leaves as it was unless it finishes.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use forkpress_core::flock;
use forkpress_core::layout::{ImageKind, SiteLayout};
use forkpress_core::name::BranchName;
use forkpress_core::own;
use forkpress_engine::site::create_folder;
use forkpress_engine::storage::{self, Link};
use forkpress_engine::trust::Trust;

use crate::failure::{During, Failure};
use crate::output;

/// A folder in which init runs. Dropped before [`Self::finish`], it removes everything that init made.
pub(super) struct Claim {
    layout: SiteLayout,
    marker: File,
    made_work_dir: bool,
    finished: bool,
}

/// What stands where the work folder would be.
enum WorkDirState {
    Free,
    EmptyFolder,
    Unfinished,
    Taken,
}

impl Claim {
    /// Takes the folder, after removing what a killed init left in it. Refuses one that holds a site, a `main` or a
    /// work folder that init did not make, and leaves it as it is.
    pub(super) fn take(layout: &SiteLayout) -> Result<Self, Failure> {
        if let Some(outer) = layout.outer() {
            let (root, outer) = (layout.public_root().display(), outer.public_root().display());
            return Err(Failure::new(format!("{root} lies in a branch of the site {outer}"))
                .hint("make the site in a folder that is in no other"));
        }
        refuse_site(layout)?;
        Trust::from_environment(|name| std::env::var_os(name)).check(layout)?;
        let place = look(layout)?;
        match place {
            WorkDirState::Free => {
                refuse_main(layout)?;
                let work_dir = layout.work_dir();
                create_folder(work_dir).during(|| format!("cannot make the folder {}", work_dir.display()))?;
            }
            WorkDirState::EmptyFolder => refuse_main(layout)?,
            WorkDirState::Unfinished => {}
            WorkDirState::Taken => {
                return Err(Failure::new(format!("{} exists and is no site", layout.work_dir().display()))
                    .hint("move it away, or make the site in another folder"));
            }
        }
        let marker = lock(layout)?;
        // The init that had the lock before may have finished.
        refuse_site(layout)?;
        let claim = Self {
            layout: layout.clone(),
            marker,
            made_work_dir: !matches!(place, WorkDirState::EmptyFolder),
            finished: false,
        };
        claim.clear().during(|| "cannot remove what an earlier init left".to_owned())?;
        refuse_main(layout)?;
        Ok(claim)
    }

    /// Writes down which folder is about to become `main`.
    pub(super) fn note_tree(&self, staged: &Path) -> Result<(), Failure> {
        let write = || -> io::Result<()> {
            let note = note_of(&fs::metadata(staged)?);
            self.marker.set_len(0)?;
            (&self.marker).rewind()?;
            (&self.marker).write_all(note.as_bytes())?;
            self.marker.sync_all()
        };
        write().during(|| format!("cannot write {}", self.layout.init_lock().display()))
    }

    /// Keeps what was made: the site stands.
    pub(super) fn finish(mut self) {
        self.finished = true;
        // A marker that stays does no harm: site.toml is what counts.
        let _ = fs::remove_file(self.layout.init_lock());
    }

    /// Removes all that init made but the marker.
    fn clear(&self) -> io::Result<()> {
        let mut note = String::new();
        (&self.marker).rewind()?;
        (&self.marker).read_to_string(&mut note)?;
        let main = self.layout.branch(&BranchName::main());
        if fs::symlink_metadata(&main).is_ok_and(|metadata| metadata.is_dir() && note == note_of(&metadata)) {
            fs::remove_dir_all(&main)?;
        }
        for image in ImageKind::ALL.map(|kind| self.layout.with_image(Some(kind))) {
            if image.image().is_some_and(|image| image.dir().is_symlink()) {
                continue;
            }
            if storage::look_at_link(&image, &BranchName::main()).is_ok_and(|link| link == Some(Link::Right)) {
                fs::remove_file(&main)?;
            }
            image.image().map_or(Ok(()), storage::remove).map_err(io::Error::other)?;
        }
        for entry in fs::read_dir(self.layout.work_dir())? {
            let entry = entry?;
            if entry.path() == self.layout.init_lock() {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        self.marker.set_len(0)
    }

    fn undo(&self) -> io::Result<()> {
        self.clear()?;
        fs::remove_file(self.layout.init_lock())?;
        if self.made_work_dir { fs::remove_dir(self.layout.work_dir()) } else { Ok(()) }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        if let Err(error) = self.undo() {
            output::note(format_args!(
                "forkpress: warning: not all that init made could be removed: {error}; the next init tries again"
            ));
        }
    }
}

/// Locks the marker, making it if need be.
fn lock(layout: &SiteLayout) -> Result<File, Failure> {
    let path = layout.init_lock();
    let marker = own::options().read(true).write(true).create(true).truncate(false).open(&path);
    let marker = marker.during(|| format!("cannot write {}", path.display()))?;
    let locked = flock::try_lock(&marker, flock::Mode::Exclusive);
    let locked = locked.during(|| format!("cannot lock {}", path.display()))?;
    // An init that gave up meanwhile has removed the file that is locked here.
    let is_current = fs::metadata(&path).is_ok_and(|found| marker.metadata().is_ok_and(|own| own.ino() == found.ino()));
    if locked && is_current {
        Ok(marker)
    } else {
        Err(Failure::new(format!("another init is at work in {}", layout.public_root().display())))
    }
}

fn note_of(tree: &fs::Metadata) -> String {
    format!("main is {}:{}\n", tree.dev(), tree.ino())
}

fn look(layout: &SiteLayout) -> Result<WorkDirState, Failure> {
    let work_dir = layout.work_dir();
    let during = || format!("cannot look at {}", work_dir.display());
    match fs::symlink_metadata(work_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(WorkDirState::Free),
        Err(error) => Err(error).during(during),
        Ok(metadata) if !metadata.is_dir() => Ok(WorkDirState::Taken),
        Ok(_) if layout.init_lock().is_file() => Ok(WorkDirState::Unfinished),
        Ok(_) if fs::read_dir(work_dir).during(during)?.next().is_none() => Ok(WorkDirState::EmptyFolder),
        Ok(_) => Ok(WorkDirState::Taken),
    }
}

fn exists(path: &Path) -> Result<bool, Failure> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).during(|| format!("cannot look at {}", path.display())),
    }
}

fn refuse_site(layout: &SiteLayout) -> Result<(), Failure> {
    if exists(&layout.config())? {
        return Err(
            Failure::new(format!("{} is a site already", layout.public_root().display())).hint("forkpress serve")
        );
    }
    Ok(())
}

fn refuse_main(layout: &SiteLayout) -> Result<(), Failure> {
    let main = layout.branch(&BranchName::main());
    if exists(&main)? {
        return Err(Failure::new(format!("{} exists already, and init would make it", main.display()))
            .hint("move it away; if it is a WordPress with SQLite, hand it in: forkpress init --wordpress DIR"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use forkpress_engine::site::create_folders;

    fn root() -> (tempfile::TempDir, SiteLayout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = SiteLayout::at(&fs::canonicalize(dir.path()).unwrap());
        (dir, layout)
    }

    #[test]
    fn an_unfinished_init_leaves_the_folder_as_it_was() {
        let (dir, layout) = root();
        let claim = Claim::take(&layout).unwrap();
        create_folders(&layout).unwrap();
        let staged = layout.cow().staged_tree(&BranchName::main());
        fs::create_dir(&staged).unwrap();
        claim.note_tree(&staged).unwrap();
        fs::rename(&staged, layout.branch(&BranchName::main())).unwrap();
        drop(claim);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_init_left_is_removed_by_the_next_one() {
        let (_dir, layout) = root();
        let killed = Claim::take(&layout).unwrap();
        create_folders(&layout).unwrap();
        let main = layout.branch(&BranchName::main());
        fs::create_dir(&main).unwrap();
        killed.note_tree(&main).unwrap();
        // As the kernel does for a killed process: the lock goes, the files stay.
        flock::unlock(&killed.marker).unwrap();
        std::mem::forget(killed);
        let claim = Claim::take(&layout).unwrap();
        assert!(!main.exists());
        assert_eq!(fs::read_dir(layout.work_dir()).unwrap().count(), 1, "only the marker is left");
        drop(claim);
    }

    #[test]
    fn a_main_that_init_did_not_make_outlives_its_leftovers() {
        let (_dir, layout) = root();
        let killed = Claim::take(&layout).unwrap();
        let main = layout.branch(&BranchName::main());
        let staged = layout.work_dir().join("staged");
        fs::create_dir(&staged).unwrap();
        killed.note_tree(&staged).unwrap();
        fs::create_dir(&main).unwrap();
        flock::unlock(&killed.marker).unwrap();
        std::mem::forget(killed);
        assert!(Claim::take(&layout).is_err());
        assert!(main.is_dir());
    }

    #[test]
    fn what_init_did_not_make_is_refused_and_stays() {
        let (dir, layout) = root();
        let main = layout.branch(&BranchName::main());
        fs::create_dir(&main).unwrap();
        assert!(Claim::take(&layout).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::create_dir(layout.work_dir()).unwrap();
        fs::write(layout.work_dir().join("notes"), "").unwrap();
        assert!(Claim::take(&layout).is_err());
        assert!(layout.work_dir().join("notes").is_file() && main.is_dir());
    }

    #[test]
    fn two_inits_in_one_folder_do_not_meet() {
        let (_dir, layout) = root();
        let first = Claim::take(&layout).unwrap();
        let second = Claim::take(&layout).err().unwrap();
        assert!(second.to_string().contains("another init"), "{second}");
        assert!(layout.init_lock().is_file(), "the second one removed nothing");
        drop(first);
    }
}
