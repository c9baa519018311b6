//! The contents of a folder of a branch.

use rustix::fs::{Dir, Mode, OFlags};

use super::beneath::{Last, Root};
use super::policy::is_private;
use super::{BranchPath, FsError};

/// A folder that is read name by name, `.` and `..` among them, in the order in which the system has them. What is private is
/// left out.
#[derive(Debug)]
pub struct BranchFolder {
    dir: Dir,
    inside: Vec<Vec<u8>>,
}

impl BranchFolder {
    /// The next name; `None` at the end.
    ///
    /// # Errors
    /// [`FsError::System`] when the folder can't be read on.
    pub fn next_name(&mut self) -> Result<Option<Vec<u8>>, FsError> {
        while let Some(entry) = self.dir.read() {
            self.inside.push(entry?.file_name().to_bytes().to_vec());
            let hidden = is_private(&self.inside);
            let name = self.inside.pop();
            if !hidden {
                return Ok(name);
            }
        }
        Ok(None)
    }

    /// Begins anew, with what is in the folder by then.
    pub fn rewind(&mut self) {
        self.dir.rewind();
    }
}

impl Root {
    /// Opens a folder to be read.
    ///
    /// # Errors
    /// [`FsError::Outside`] and [`FsError::Private`] when the path leads there; [`FsError::System`] when it is missing,
    /// no folder, or may not be read.
    pub fn folder(&self, path: &BranchPath<'_>) -> Result<BranchFolder, FsError> {
        let place = self.place(path, Last::Follow)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(place.folder(), place.name.as_slice(), flags, Mode::empty())?;
        Ok(BranchFolder { dir: Dir::new(file)?, inside: place.inside })
    }
}
