//! What a branch gets from Git, with the bytes of it: by a push or by a merge.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use thiserror::Error;

use super::objects::{Contents, weigh};
use super::paths::CONFIG_FILE;
use super::push::{Blob, Difference, EntryMode, ObjectId, PushRefusal, place, stays_inside};
use super::redact;
use super::repository::{Repository, RepositoryError};
use crate::bounds::{Counter, Load, Room, TooMuch};
use crate::disk::DiskError;
use crate::mutation::files::{After, Overlay, PathChange};
use crate::site::Site;

/// Why a branch can't get what Git has.
#[derive(Debug, Error)]
pub enum EditError {
    /// It may not.
    #[error(transparent)]
    Refused(#[from] PushRefusal),
    /// A few bytes become too many.
    #[error("the files to be written are {0}")]
    TooMuch(#[from] TooMuch),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] RepositoryError),
    /// How much room there is can't be told.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Git said what makes no sense, or nothing any more.
    #[error("cannot read what git says")]
    Read(#[from] io::Error),
}

/// A path of a branch that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Edit {
    change: PathChange,
    /// What the path has to have so that it may be changed; none where that is nothing.
    before: Option<Blob>,
    /// The bytes that it gets.
    after: Option<ObjectId>,
}

impl Edit {
    /// What a branch gets of a difference between trees that have its files in `wordpress/`; none where that is in no branch.
    ///
    /// # Errors
    /// [`EditError::Refused`] for a path, a symlink or a submodule that no branch may have; another [`EditError`] when
    /// Git failed.
    pub(super) fn of(
        contents: &mut Contents<'_>,
        Difference { path, before, after }: Difference,
    ) -> Result<Option<Self>, EditError> {
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
        let change = PathChange { path: inside, after: to };
        Ok(Some(Self { change, before, after: after.map(|blob| blob.id) }))
    }
}

/// What the files of these edits weigh: each blob for itself, and all of them together, last.
pub(super) fn loads(repository: &Repository, edits: &[Edit]) -> Result<Vec<Load>, EditError> {
    let blobs = || edits.iter().filter_map(|edit| Some(edit.after.as_ref()?.as_str()));
    let distinct: Vec<&str> = blobs().collect::<BTreeSet<_>>().into_iter().collect();
    let weights = weigh::<EditError>(repository, &distinct)?;
    // What is told by its difference to another one is packed in that one as well.
    let bases: Vec<&str> = weights.iter().filter_map(|weight| weight.base.as_ref()).map(ObjectId::as_str).collect();
    let mut of_bases = weigh::<EditError>(repository, &bases)?.into_iter();
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

/// Edits of a branch, with their bytes.
pub(crate) struct Edits<'a> {
    site: &'a Site,
    edits: Vec<Edit>,
    contents: Contents<'a>,
    /// The folders of branches from whose `wp-config.php` the secrets come: of each secret, the first that has it.
    owners: Vec<&'a Path>,
}

impl<'a> Edits<'a> {
    /// No edits yet. `owners`: the folders of branches from whose `wp-config.php` the secrets of one that is written come, of
    /// each secret the first that has it.
    pub(crate) fn new(site: &'a Site, repository: &'a Repository, owners: Vec<&'a Path>) -> Self {
        Self { site, edits: Vec::new(), contents: Contents::new(repository), owners }
    }

    /// Makes these the edits. Refuses what the disk has no room for.
    pub(crate) fn put(&mut self, edits: Vec<Edit>) -> Result<(), EditError> {
        let layout = &self.site.layout;
        let room = Room::at(&layout.storage_root())?;
        // An image lies on a disk that may have less left than the image.
        let room = layout.image().map_or(Ok(room), |image| Ok::<_, DiskError>(room.and(Room::at(image.dir())?)))?;
        if let Some(all) = loads(self.contents.repository, &edits)?.last() {
            all.check_room(room)?;
        }
        self.edits = edits;
        Ok(())
    }
}

impl Overlay for Edits<'_> {
    fn changes(&mut self) -> io::Result<Vec<PathChange>> {
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
        let Some(id) = after else { return Err(io::ErrorKind::InvalidInput.into()) };
        if change.path != Path::new(CONFIG_FILE) {
            return self.contents.copy(id, file);
        }
        let mut text = Vec::new();
        self.contents.copy(id, &mut text)?;
        let read = |owner: &&Path| match fs::read(owner.join(CONFIG_FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            text => text,
        };
        let owners = self.owners.iter().map(read).collect::<io::Result<Vec<_>>>()?;
        file.write_all(&redact::restore(&text, &owners))
    }
}
