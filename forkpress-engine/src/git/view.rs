//! The files of a branch as Git has them: an index of its own for each branch. Git's plumbing brings it up to date: it
//! looks at no `.gitignore` and takes no folder for a repository of its own.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::known::{ConfigObject, IndexFile, Stat};
use super::paths::{CONFIG_FILE, is_in_view};
use super::redact;
use super::repository::{Repository, RepositoryError, run, run_with};
use crate::disk::DiskError;
use crate::tree::{Entry, Kind, Tree};
use forkpress_core::name::BranchName;

/// What `git update-index --index-info` takes before a path that is to go.
const REMOVE: &[u8] = b"0 0000000000000000000000000000000000000000\t";

/// What a branch's folder has for Git at one moment.
#[derive(Debug)]
pub(super) struct Look {
    /// What is in the view but for `wp-config.php`, in Git's order.
    files: Vec<SeenFile>,
    /// The `wp-config.php` that is a file, and whether it is executable.
    config: Option<(SeenFile, bool)>,
    /// Tells this state from every other one; none where a file may yet change without a trace.
    pub(super) fingerprint: Option<String>,
    /// How many files may have contents that the repository has not: an estimate, from which nothing follows but how they are
    /// written.
    new: usize,
}

/// A file or a symlink, as it was seen.
#[derive(Debug)]
struct SeenFile {
    path: PathBuf,
    stat: Stat,
    /// Whether it may have changed afterwards without a trace.
    is_racy: bool,
}

/// From how many new files on their contents are put into one pack, which is some ten times faster than a file for each.
/// Below that it would only leave many small packs. What the repository has already is compressed all the same on the way to
/// a pack, which takes five times as long as to read it.
pub(super) const MANY: usize = 100;

/// Has Git put the contents of new files into one pack. Each flush is of its own: with `batch`, an empty file, which goes into no
/// pack, has Git begin a folder for it meanwhile and look for the pack there once that has gone (seen with 2.47).
pub(super) const AS_PACK: [&str; 4] = ["-c", "core.bigFileThreshold=1", "-c", "core.fsyncMethod=fsync"];

impl Look {
    /// Walks the folder of a branch. `origin`: the folder of a branch that Git has, and that this one may have been cloned from.
    fn at(branch: &Path, index_written: Option<(i64, i64)>, origin: Option<&Path>) -> Result<Self, DiskError> {
        let tree = Tree::walk(branch)?;
        let mut changed = Vec::new();
        let mut hasher = DefaultHasher::new();
        let (mut files, mut config, mut is_racy) = (Vec::new(), None, false);
        for entry in &tree.entries {
            if !is_in_view(&entry.path) {
                continue;
            }
            is_racy |= tree.is_racy(entry);
            entry.path.as_os_str().as_bytes().hash(&mut hasher);
            (entry.changed, entry.device_and_inode).hash(&mut hasher);
            if entry.kind == Kind::Folder {
                // It may have been moved and moved back, and been away as Git read. What is in it does not tell.
                continue;
            }
            if index_written.is_none_or(|written| entry.changed >= written) {
                changed.push(entry);
            }
            (entry.size_bytes, entry.attributes.mode, entry.attributes.modified).hash(&mut hasher);
            let seen = SeenFile { path: entry.path.clone(), stat: Stat::of(entry), is_racy: tree.is_racy(entry) };
            if entry.path == Path::new(CONFIG_FILE) && entry.kind == Kind::File {
                config = Some((seen, entry.attributes.mode & 0o100 != 0));
            } else {
                files.push(seen);
            }
        }
        let fingerprint = (!is_racy).then(|| format!("{:016x} {}", hasher.finish(), files.len()));
        if let Some(origin) = origin.filter(|_| changed.len() >= MANY) {
            let origin = Tree::walk(origin)?;
            let looks_like = |entry: &Entry, other: &Entry| {
                entry.size_bytes == other.size_bytes && entry.attributes.modified == other.attributes.modified
            };
            changed.retain(|entry| !origin.get(&entry.path).is_some_and(|other| looks_like(entry, other)));
        }
        Ok(Self { files, config, fingerprint, new: changed.len() })
    }

    /// What was seen at a path, `wp-config.php` left out.
    fn find(&self, path: &[u8]) -> Option<&SeenFile> {
        let found = self.files.binary_search_by(|seen| seen.path.as_os_str().as_bytes().cmp(path)).ok()?;
        Some(&self.files[found])
    }
}

/// The index of one branch.
pub(super) struct Index<'a> {
    pub(super) repository: &'a Repository,
    pub(super) name: &'a BranchName,
    pub(super) branch: &'a Path,
}

impl Index<'_> {
    /// Walks the folder of the branch. `origin`: that of a branch that Git has, and that this one may have been cloned from.
    pub(super) fn look(&self, origin: Option<&Path>) -> Result<Look, DiskError> {
        let path = self.repository.cow().git_index(self.name);
        let written = fs::metadata(path).ok().map(|metadata| (metadata.mtime(), metadata.mtime_nsec()));
        Look::at(self.branch, written, origin)
    }

    /// Brings the index to what is in the folder now. What `look` does not have is not in it then.
    ///
    /// Git takes a file for unchanged where only the nanoseconds of its times differ, and where it was written twice within a
    /// tick. So whatever does not look as it was seen, to the nanosecond, Git is made to read; and it is made to forget how
    /// a file looked that may yet change without a trace.
    pub(super) fn update(&self, look: &Look) -> Result<(), RepositoryError> {
        let mut outdated = Vec::new();
        for entry in self.file()?.iter() {
            match look.find(entry.path()) {
                _ if look.config.is_some() && entry.path() == CONFIG_FILE.as_bytes() => {}
                Some(seen) if entry.stat() == seen.stat || entry.stat() == Stat::UNKNOWN => {}
                Some(_) => outdated.extend(entry.without_stat()),
                None => outdated.extend([REMOVE, entry.path(), b"\0"].concat()),
            }
        }
        self.put_info(&outdated)?;
        let config = self.config(look)?;
        let mut arguments = Vec::new();
        if look.new >= MANY {
            arguments.extend(AS_PACK);
        }
        arguments.extend(["update-index", "--add", "--remove", "--replace"]);
        if let Some(config) = &config {
            arguments.extend(["--cacheinfo", config]);
        }
        arguments.extend(["-z", "--stdin"]);
        run_with(&mut self.command(&arguments), &joined(&look.files))?;
        let mut unsure = Vec::new();
        for entry in self.file()?.iter().filter(|entry| entry.stat() != Stat::UNKNOWN) {
            if look.find(entry.path()).is_none_or(|seen| seen.is_racy || seen.stat != entry.stat()) {
                unsure.extend(entry.without_stat());
            }
        }
        self.put_info(&unsure)
    }

    /// What is in the index. One that can't be read is removed.
    fn file(&self) -> Result<IndexFile, RepositoryError> {
        let path = self.repository.cow().git_index(self.name);
        let read = || match IndexFile::read(&path)? {
            Some(file) => Ok(file),
            None => fs::remove_file(&path).map(|()| IndexFile::default()),
        };
        read().map_err(|source| RepositoryError::Disk { path: path.clone(), source })
    }

    fn put_info(&self, info: &[u8]) -> Result<(), RepositoryError> {
        if !info.is_empty() {
            run_with(&mut self.command(&["update-index", "-z", "--index-info"]), info)?;
        }
        Ok(())
    }

    /// Writes what is in the index as a tree, and gives its id.
    pub(super) fn write_tree(&self) -> Result<String, RepositoryError> {
        let id = run(&mut self.command(&["write-tree"]))?;
        Ok(String::from_utf8_lossy(&id).trim().to_owned())
    }

    /// The entry of `wp-config.php`, as `--cacheinfo` takes it. Writes down which object it is.
    fn config(&self, look: &Look) -> Result<Option<String>, RepositoryError> {
        let Some((seen, is_executable)) = &look.config else { return Ok(None) };
        let path = self.branch.join(CONFIG_FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(RepositoryError::Disk { path, source }),
        };
        let id = run_with(&mut self.command(&["hash-object", "-w", "--stdin"]), &redact::config(&text))?;
        let id = String::from_utf8_lossy(&id).trim().to_owned();
        let mode = if *is_executable { "100755" } else { "100644" };
        let entry = format!("{mode},{id},{CONFIG_FILE}");
        let stat = if seen.is_racy { Stat::UNKNOWN } else { seen.stat };
        let path = self.repository.cow().git_config(self.name);
        ConfigObject::new(*is_executable, id, stat)
            .write(&path)
            .map_err(|source| RepositoryError::Disk { path, source })?;
        Ok(Some(entry))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.repository.command();
        command
            .args(arguments)
            .current_dir(self.branch)
            .env("GIT_WORK_TREE", self.branch)
            .env("GIT_INDEX_FILE", self.repository.cow().git_index(self.name));
        command
    }
}

fn joined(files: &[SeenFile]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(files.iter().map(|seen| seen.path.as_os_str().len() + 1).sum());
    for seen in files {
        joined.extend_from_slice(seen.path.as_os_str().as_bytes());
        joined.push(0);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_away_for_a_while_makes_another_state() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, away) = (dir.path().join("folder"), dir.path().join("away"));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("file"), "x").unwrap();
        let at_rest = || {
            loop {
                if let Some(fingerprint) = Look::at(dir.path(), None, None).unwrap().fingerprint {
                    return fingerprint;
                }
                std::thread::yield_now();
            }
        };
        let before = at_rest();
        assert_eq!(at_rest(), before);
        fs::rename(&folder, &away).unwrap();
        fs::rename(&away, &folder).unwrap();
        assert_ne!(at_rest(), before);
    }
}
