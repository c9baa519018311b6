//! The files of a parting as a commit of the repository, `refs/forkpress/partings/ID`.
//!
//! A mutation that makes a parting has no time for Git: it notes which objects the files are, and keeps what Git has not seen
//! (see `crate::mutation::parting`). Here a commit is made of that: in the background or, at the latest, when somebody asks
//! for it. A process that dies meanwhile leaves the notes, and the next one begins anew.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use thiserror::Error;

use super::known::{Inherited, Known};
use super::objects;
use super::paths::{CONFIG_FILE, is_in_view};
use super::push::EntryMode;
use super::redact;
use super::repository::{Repository, RepositoryError, run, run_with};
use super::snapshot;
use super::view::{AS_PACK, MANY};
use crate::branch;
use crate::disk::{self, DiskError, step};
use crate::mutation::parting::{files_in, from_in, moment_in, news_in, tree_in};
use crate::site::Site;
use crate::tree::{self, Kind, Tree};
use forkpress_core::deadline::Deadline;
use forkpress_core::lock::{Patience, Preparation};
use forkpress_core::name::BranchName;

/// How long a storage that is being detached is waited for before that is left to the next time.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where the refs of partings are.
const REFS: &str = "refs/forkpress/partings/";

/// Why the files of a parting can't be had.
#[derive(Debug, Error)]
pub enum PartingError {
    /// Git failed.
    #[error("cannot read the files of parting {id}")]
    Git {
        /// The parting.
        id: u64,
        /// What Git said.
        source: RepositoryError,
    },
    /// A step on the disk failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The repository that had the files was removed.
    #[error("the repository that had the files of parting {id} is gone")]
    Lost {
        /// The parting.
        id: u64,
    },
    /// What is noted of the files makes no sense.
    #[error("{path} cannot be understood")]
    Invalid {
        /// The note.
        path: PathBuf,
    },
}

/// The Git tree of a parting's files, as `wordpress/` of the view had them. Makes the commit where there is none.
pub(crate) fn files_of(repository: &Repository, id: u64) -> Result<String, PartingError> {
    make_commit(repository, id)?;
    let tree = format!("{REFS}{id}^{{tree}}");
    let tree = run(repository.command().args(["rev-parse", "--verify", "--quiet", &tree]));
    Ok(text(&tree.map_err(|source| PartingError::Git { id, source })?))
}

/// Makes the commits that lack, drops the refs of partings that are gone, and has Git read `main`, and what it had not seen of
/// the branches that were taken from, so that the next parting finds it known. Nobody waits for it: what fails is tried again.
///
/// # Errors
/// [`PartingError`] of the first that fails. That there is no Git is none.
pub fn tidy(site: &Site) -> Result<(), PartingError> {
    match tidy_all(site) {
        Err(error) if is_without_git(&error) => Ok(()),
        done => done,
    }
}

fn tidy_all(site: &Site) -> Result<(), PartingError> {
    let cow = site.layout.cow();
    // Whoever detaches the storage waits for that.
    let mut patience = Patience::silent(Deadline::after(TIMEOUT));
    let Ok(preparation) = Preparation::lock(cow, &[], "reading files for Git", &mut patience) else { return Ok(()) };
    // This process may be ended at any moment, and its Git a moment later.
    preparation.share_with_programs();
    if branch::check_storage(site).is_err() {
        return Ok(());
    }
    let partings = disk::list(&cow.partings_dir())?;
    let ids: Vec<u64> = partings.iter().filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect();
    let of = |source| PartingError::Git { id: 0, source };
    let repository = Repository::open(site).map_err(of)?;
    let main = BranchName::main();
    if !cow.git_index(&main).exists() {
        read_ahead(site, &repository, &main);
    }
    for id in &ids {
        let made = match make_commit(&repository, *id) {
            Err(PartingError::Lost { .. }) => continue,
            made => made?,
        };
        if made == Made::WithNews
            && let Ok(from) = fs::read_to_string(from_in(&cow.parting(*id)))
            && let Ok(from) = from.parse()
        {
            read_ahead(site, &repository, &from);
        }
        note_inherited(site, &repository, *id)?;
    }
    let refs = run(repository.command().args(["for-each-ref", "--format=%(refname)", REFS])).map_err(of)?;
    let is_gone = |reference: &&str| {
        let id = reference.strip_prefix(REFS).and_then(|id| id.parse::<u64>().ok());
        id.is_none_or(|id| !cow.parting(id).exists())
    };
    for reference in text(&refs).lines().filter(is_gone) {
        run(repository.command().args(["update-ref", "-d", reference])).map_err(of)?;
    }
    Ok(())
}

/// Notes for the branches that an operation gave their trees which objects their files are, as far as those have not changed
/// since: nothing has to be read for that.
fn note_inherited(site: &Site, repository: &Repository, id: u64) -> Result<(), PartingError> {
    let cow = site.layout.cow();
    let moment = fs::read_to_string(moment_in(&cow.parting(id))).ok().and_then(|text| text.parse().ok());
    let Some(moment) = moment.map(Duration::from_nanos) else { return Ok(()) };
    let branches = branch::list_each(site).unwrap_or_default().into_iter().filter_map(|(_, branch)| branch.ok());
    for branch in branches.filter(|branch| branch.record.operation == Some(id)) {
        if Inherited::is_there(cow, &branch.name, id) {
            continue;
        }
        let failed = |source| PartingError::Git { id, source };
        let reference = format!("{REFS}{id}");
        let listed = run(repository.command().args(["ls-tree", "-r", "-z", &reference])).map_err(failed)?;
        let files: HashMap<&Path, (&str, &str)> =
            objects::listed(&listed).map(|(mode, object, path)| (path, (mode, object))).collect();
        let mut inherited = Inherited::of(id);
        // A folder that was moved here has files that have not changed for long.
        let mut moved: HashSet<PathBuf> = HashSet::new();
        for entry in Tree::walk(&branch.path)?.entries {
            let parent = entry.path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let is_moved = parent.is_some_and(|parent| moved.contains(parent));
            let is_as_it_came = !is_moved && !tree::is_racy(entry.changed, moment);
            if entry.kind == Kind::Folder {
                if !is_as_it_came {
                    moved.insert(entry.path);
                }
            } else if let Some((mode, object)) = files.get(&*entry.path).filter(|_| is_as_it_came) {
                inherited.add(&entry, mode, object);
            }
        }
        let path = cow.git_known(&branch.name);
        step("write", &path, || inherited.write(cow, &branch.name))?;
    }
    Ok(())
}

/// Whether Git is not there, without which nothing can be merged.
fn is_without_git(error: &PartingError) -> bool {
    matches!(error, PartingError::Git { source: RepositoryError::NoGit, .. })
}

/// Has Git read the files of a branch, so that a parting finds them known. Where that can't be, the next one has more to copy.
pub fn read_ahead(site: &Site, repository: &Repository, name: &BranchName) {
    if let Err(error) = snapshot::read_files(site, repository, name) {
        tracing::debug!(branch = name.as_str(), "{error}");
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// It was there.
    Before,
    Now,
    /// There were files that Git had not seen.
    WithNews,
}

fn make_commit(repository: &Repository, id: u64) -> Result<Made, PartingError> {
    let folder = repository.cow().parting(id);
    let _lock = disk::lock_folder(&folder)?;
    if repository.dir().join(REFS).join(id.to_string()).exists() {
        return Ok(Made::Before);
    }
    let files = PartingFiles::read(repository, &folder)?;
    // A branch has files: these were noted until there was a commit of them.
    if files.0.is_empty() {
        return Err(PartingError::Lost { id });
    }
    let failed = |source| PartingError::Git { id, source };
    let read = files.read_news(repository, &folder).map_err(failed)?;
    let mut lines = Vec::new();
    for (path, (mode, object)) in &files.0 {
        let object = match object {
            Object::Known(object) => object,
            Object::New(file) => read.get(file).ok_or_else(|| PartingError::Invalid { path: file.clone() })?,
        };
        lines.extend_from_slice(format!("{mode} {object}\t").as_bytes());
        lines.extend_from_slice(path.as_os_str().as_bytes());
        lines.push(0);
    }
    let index = folder.join("index");
    disk::remove(&index)?;
    let git = |arguments: &[&str]| {
        let mut command = repository.command();
        command.args(arguments).env("GIT_INDEX_FILE", &index);
        command
    };
    let make = || -> Result<(), RepositoryError> {
        run_with(&mut git(&["update-index", "-z", "--index-info"]), &lines)?;
        let tree = text(&run(&mut git(&["write-tree"]))?);
        let commit = text(&run(&mut git(&["commit-tree", "-m", &format!("parting {id}"), &tree]))?);
        run(&mut git(&["update-ref", &format!("{REFS}{id}"), &commit])).map(drop)
    };
    make().map_err(failed)?;
    for path in [index, files_in(&folder), news_in(&folder)] {
        disk::remove(&path)?;
    }
    Ok(if read.is_empty() { Made::Now } else { Made::WithNews })
}

/// What a file is.
enum Object {
    /// An object of the repository.
    Known(String),
    /// A file that Git has not seen.
    New(PathBuf),
}

/// The files of a parting, each with its mode as Git writes it.
struct PartingFiles(BTreeMap<PathBuf, (String, Object)>);

impl PartingFiles {
    fn read(repository: &Repository, folder: &Path) -> Result<Self, PartingError> {
        let list = files_in(folder);
        let bytes = step("read", &list, || match fs::read(&list) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => bytes.map(Some),
        })?;
        match bytes {
            Some(bytes) => Self::parse(&bytes, folder).ok_or(PartingError::Invalid { path: list }),
            None => Self::walk(repository, folder),
        }
    }

    /// Reads the notes. A later line of a path takes the place of an earlier one.
    fn parse(bytes: &[u8], folder: &Path) -> Option<Self> {
        let mut files = BTreeMap::new();
        for line in bytes.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            let tab = line.iter().position(|byte| *byte == b'\t')?;
            let (what, path) = (std::str::from_utf8(&line[..tab]).ok()?, OsStr::from_bytes(&line[tab + 1..]));
            if what == "gone" {
                files.remove(Path::new(path));
                continue;
            }
            let (mode, object) = what.split_once(' ')?;
            let object = match object.strip_prefix("new:") {
                Some(number) => Object::New(news_in(folder).join(number)),
                None => Object::Known(object.to_owned()),
            };
            files.insert(path.into(), (mode.to_owned(), object));
        }
        Some(Self(files))
    }

    /// What a snapshot of a whole tree has. It has the inodes and times of the tree that it was taken of.
    fn walk(repository: &Repository, folder: &Path) -> Result<Self, PartingError> {
        let from = fs::read_to_string(from_in(folder)).ok().and_then(|name| name.parse::<BranchName>().ok());
        let known = from.map_or_else(Known::default, |from| Known::read(repository.cow(), &from));
        let root = tree_in(folder);
        let tree = Tree::walk(&root)?;
        let mut files = BTreeMap::new();
        for entry in tree.entries {
            if entry.kind == Kind::Folder || !is_in_view(&entry.path) {
                continue;
            }
            let (mode, object) = match known.object_elsewhere(&entry) {
                Some(blob) => (blob.mode, Object::Known(blob.id.as_str().to_owned())),
                None => {
                    let mode = match entry.kind {
                        Kind::Symlink(_) => EntryMode::Symlink,
                        _ if entry.attributes.mode & 0o100 != 0 => EntryMode::Program,
                        _ => EntryMode::File,
                    };
                    (mode, Object::New(root.join(&entry.path)))
                }
            };
            files.insert(entry.path, (mode.octal().to_owned(), object));
        }
        Ok(Self(files))
    }

    /// Has Git read what it has not seen, and gives the objects.
    fn read_news(&self, repository: &Repository, folder: &Path) -> Result<HashMap<PathBuf, String>, RepositoryError> {
        let mut read = HashMap::new();
        let mut news = Vec::new();
        for (path, (mode, object)) in &self.0 {
            let Object::New(file) = object else { continue };
            let disk = |source| RepositoryError::Disk { path: file.clone(), source };
            let bytes = if path == Path::new(CONFIG_FILE) {
                redact::config(&fs::read(file).map_err(disk)?)
            } else if mode == EntryMode::Symlink.octal() && file.is_symlink() {
                fs::read_link(file).map_err(disk)?.into_os_string().into_encoded_bytes()
            } else {
                news.push(file);
                continue;
            };
            let object = run_with(repository.command().args(["hash-object", "-w", "--stdin"]), &bytes)?;
            read.insert(file.clone(), text(&object));
        }
        if news.is_empty() {
            return Ok(read);
        }
        // Through an index, since only so many files become one pack, which takes a tenth of the time.
        let index = folder.join("news.index");
        let git = |arguments: &[&str]| -> Command {
            let mut command = repository.command();
            let as_pack: &[&str] = if news.len() >= MANY { &AS_PACK } else { &[] };
            command.args(as_pack).args(arguments);
            command.current_dir(folder).env("GIT_WORK_TREE", folder).env("GIT_INDEX_FILE", &index);
            command
        };
        let mut paths = Vec::new();
        for file in &news {
            paths.extend_from_slice(file.strip_prefix(folder).unwrap_or(file).as_os_str().as_bytes());
            paths.push(0);
        }
        run_with(&mut git(&["update-index", "--add", "-z", "--stdin"]), &paths)?;
        let listed = run(&mut git(&["ls-files", "-s", "-z"]))?;
        for line in listed.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            let tab = line.iter().position(|byte| *byte == b'\t').unwrap_or(line.len());
            let object = text(&line[..tab]).split(' ').nth(1).unwrap_or_default().to_owned();
            read.insert(folder.join(OsStr::from_bytes(line.get(tab + 1..).unwrap_or_default())), object);
        }
        fs::remove_file(&index).map_err(|source| RepositoryError::Disk { path: index, source })?;
        Ok(read)
    }
}

/// What a command wrote in one line.
fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).trim().to_owned()
}
