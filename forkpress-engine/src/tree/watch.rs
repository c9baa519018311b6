//! Watching a tree that is in use: what changes in it after it was walked is told, and need not be looked for.
//!
//! A folder is watched first and looked at then. So whatever was done to a name in it before the look is seen by the look,
//! and whatever is done afterwards is told. What can't be told so is in doubt, and looked at as a walk does: a folder that
//! came or moved with all that is in it, the whole tree where the system could not tell all. Nothing is told of
//!
//! - a file that is written by another of its names, in another folder: such files are always looked at;
//! - a file that is written through a mapping (`mmap`), which is for [`missed`](super::missed()) to find.
//!
//! Watching works on Linux, on the file systems that are known to tell all, as long as the system gives watches. Where it
//! does not, the caller walks.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use super::walk::{Glimpse, Kind, Tree};
use crate::disk::DiskError;
use crate::progress::Progress;
use crate::view;
use forkpress_core::layout::DATABASE_DIR;

/// A watch on the folders of a tree. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    instance: system::Instance,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The path of each folder that is watched, by the number of its watch.
    folders: HashMap<i32, PathBuf>,
    told: Told,
}

impl Watch {
    /// Begins to watch the tree at `root`, none of its folders yet; none where that can't be.
    pub(crate) fn begin(root: &Path) -> Option<Self> {
        // What is done to a file that is mounted over another is told of the folder that it comes from.
        if !system::tells_all(root) || view::has_mounts_inside(root).unwrap_or(true) {
            return None;
        }
        Some(Self { instance: system::Instance::new()?, state: Mutex::default() })
    }

    /// Watches one more folder of the tree, which is open. Where that can't be, all is in doubt from then on.
    pub(super) fn add(&self, folder: &File, path: &Path) {
        // SQLite writes there all the time. It is looked at instead, and holds little else.
        if path.starts_with(DATABASE_DIR) {
            return;
        }
        let mut state = self.state();
        if state.told.is_all_in_doubt {
            return;
        }
        let number = self.instance.add(folder);
        let is_another = |number| state.folders.get(&number).is_some_and(|known| known != path);
        match number {
            // One folder at two places may have moved meanwhile.
            Some(number) if !is_another(number) => drop(state.folders.insert(number, path.to_owned())),
            _ => state.told.is_all_in_doubt = true,
        }
    }

    /// Takes what the system has to tell by now, of which it keeps only so much.
    pub(crate) fn listen(&self) {
        if let Ok(mut state) = self.state.try_lock() {
            self.hear(&mut state);
        }
    }

    /// Goes on with a tree that was walked with this watch, and cloned; none where it would be of no use.
    pub(crate) fn on(self, walked: &Tree) -> Option<Self> {
        let mut state = self.state();
        self.hear(&mut state);
        let told = &mut state.told;
        walked.untold().for_each(|path| told.name(path.to_owned(), |_| ()));
        let is_of_use = !told.is_all_in_doubt;
        drop(state);
        is_of_use.then_some(self)
    }

    /// Looks at all that may have changed in the tree at `root` since it was `seen`, with this watch; none where it has to be
    /// walked for that. May be called again: what was told once is looked at each time.
    pub(crate) fn look(&self, seen: &Tree, root: &Path) -> Result<Option<Glimpse>, DiskError> {
        let mut state = self.state();
        self.hear(&mut state);
        match state.told.doubts(seen) {
            Some(Doubts { paths, through }) => seen.look(root, &paths, &through),
            None => Ok(None),
        }
    }

    /// Gives the watches back without a wait: the system waits for all its processors until they have let go of them.
    pub(crate) fn end(self) {
        // Where no thread can be started, it is dropped here.
        let _ = thread::Builder::new().spawn(move || drop(self));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, state: &mut State) {
        let State { folders, told } = state;
        self.instance.read(|number, news| match folders.get(&number) {
            Some(folder) => told.hear(folder, news),
            None => told.is_all_in_doubt = true,
        });
    }
}

/// Has a watch listened to while work goes on.
pub(crate) struct Listening<'a> {
    pub(crate) watch: Option<&'a Watch>,
    pub(crate) progress: &'a dyn Progress,
}

impl Progress for Listening<'_> {
    fn begin(&self, step: &str, total: Option<u64>) {
        self.progress.begin(step, total);
    }

    fn advance(&self, by: u64) {
        if let Some(watch) = self.watch {
            watch.listen();
        }
        self.progress.advance(by);
    }

    fn end(&self) {
        self.progress.end();
    }

    fn note(&self, line: &str) {
        self.progress.note(line);
    }
}

/// What happened to a folder that is watched.
#[derive(Clone, Copy, Debug)]
enum News<'a> {
    /// What has this name in it got other bytes or attributes.
    Changed(&'a OsStr),
    /// This name came, by whatever way.
    Came(&'a OsStr),
    /// This name went, by whatever way.
    Went(&'a OsStr),
    /// It was moved or removed itself, or its file system unmounted.
    Parted,
}

/// What was told of a tree.
#[derive(Debug, Default)]
struct Told {
    names: BTreeMap<PathBuf, Name>,
    /// Folders that are in doubt with all that is below them.
    folders: BTreeSet<PathBuf>,
    is_all_in_doubt: bool,
}

/// What was told of a name.
#[derive(Clone, Copy, Debug, Default)]
struct Name {
    /// Whether the first that was told of it is that it came.
    is_new: bool,
    /// Whether it ever came or went.
    has_moved: bool,
}

/// What to look at. A folder that is to be looked through is among the paths, and no other path is below it.
#[derive(Debug, PartialEq, Eq)]
struct Doubts {
    paths: BTreeSet<PathBuf>,
    through: BTreeSet<PathBuf>,
}

impl Told {
    fn hear(&mut self, folder: &Path, news: News<'_>) {
        match news {
            News::Changed(name) => self.name(folder.join(name), |_| ()),
            News::Went(name) => self.name(folder.join(name), |name| name.has_moved = true),
            News::Came(name) => {
                let path = folder.join(name);
                let is_new = !self.names.contains_key(&path);
                self.name(path, |name| *name = Name { is_new: is_new || name.is_new, has_moved: true });
            }
            News::Parted => drop(self.folders.insert(folder.to_owned())),
        }
    }

    fn name(&mut self, path: PathBuf, note: impl FnOnce(&mut Name)) {
        note(self.names.entry(path).or_default());
    }

    /// What to look at in a tree that was `seen` since the watch began; none where that is all of it.
    fn doubts(&self, seen: &Tree) -> Option<Doubts> {
        let mut through = self.folders.clone();
        through.insert(DATABASE_DIR.into());
        for (path, name) in &self.names {
            let folder = path.parent().unwrap_or(path);
            match seen.get(path) {
                Some(entry) if entry.kind == Kind::Folder && name.has_moved => drop(through.insert(path.clone())),
                // It has another name there than the one that was told: some folders ignore case.
                None if !name.is_new => drop(through.insert(folder.to_owned())),
                Some(_) | None => {}
            }
        }
        if self.is_all_in_doubt || through.contains(Path::new("")) {
            return None;
        }
        let is_below_one = |path: &Path| path.ancestors().skip(1).any(|folder| through.contains(folder));
        through = through.iter().filter(|path| !is_below_one(path)).cloned().collect();
        let is_below_one = |path: &Path| path.ancestors().skip(1).any(|folder| through.contains(folder));
        let mut paths = BTreeSet::from([PathBuf::new()]);
        for path in self.names.keys().chain(&through).filter(|path| !is_below_one(path)) {
            // Its time is another where a name came or went.
            paths.extend(path.parent().map(Path::to_owned));
            paths.insert(path.clone());
        }
        Some(Doubts { paths, through })
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::ffi::OsStr;
    use std::fs::File;
    use std::mem::MaybeUninit;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
    use rustix::fs::{ioctl_getflags, statfs};
    use rustix::io::Errno;

    use super::News;

    /// ext4, XFS, btrfs and tmpfs: what is done there is done by this kernel, in the folder that is watched.
    const TELLING: [u32; 4] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994];

    /// The flag of a folder that ignores case (`FS_CASEFOLD_FL`).
    const CASEFOLD: u32 = 0x4000_0000;

    /// Room for some hundred events.
    const BUFFER_BYTES: usize = 16 << 10;

    pub(super) fn tells_all(root: &Path) -> bool {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it has 32 bits, whatever its type")]
        statfs(root).is_ok_and(|found| TELLING.contains(&(found.f_type as u32)))
    }

    /// An inotify instance.
    #[derive(Debug)]
    pub(super) struct Instance(OwnedFd);

    impl Instance {
        pub(super) fn new() -> Option<Self> {
            inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok().map(Self)
        }

        /// Watches a folder, and gives the number of the watch: the same for the same folder. None where it can't be watched.
        pub(super) fn add(&self, folder: &File) -> Option<i32> {
            // A name may be told there in another spelling than the folder has it.
            if ioctl_getflags(folder).is_ok_and(|flags| flags.bits() & CASEFOLD != 0) {
                return None;
            }
            let flags = WatchFlags::ONLYDIR
                | WatchFlags::MODIFY
                | WatchFlags::ATTRIB
                | WatchFlags::CREATE
                | WatchFlags::DELETE
                | WatchFlags::MOVE
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVE_SELF;
            // The folder that is open, whatever has its path by now.
            inotify::add_watch(&self.0, format!("/proc/self/fd/{}", folder.as_raw_fd()), flags).ok()
        }

        /// Reads all that is there to be told. A number that no watch has stands for news that were lost.
        pub(super) fn read(&self, mut hear: impl FnMut(i32, News<'_>)) {
            let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
            let mut reader = Reader::new(&self.0, &mut buffer);
            loop {
                let event = match reader.next() {
                    Err(Errno::AGAIN) => return,
                    Err(Errno::INTR) => continue,
                    Err(_) => return hear(LOST, News::Parted),
                    Ok(event) => event,
                };
                let (number, events) = (event.wd(), event.events());
                if events.contains(ReadFlags::QUEUE_OVERFLOW) {
                    hear(LOST, News::Parted);
                } else if events.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT) {
                    hear(number, News::Parted);
                } else if let Some(name) = event.file_name() {
                    let name = OsStr::from_bytes(name.to_bytes());
                    if events.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                        hear(number, News::Came(name));
                    } else if events.intersects(ReadFlags::DELETE | ReadFlags::MOVED_FROM) {
                        hear(number, News::Went(name));
                    } else {
                        hear(number, News::Changed(name));
                    }
                }
                // What else is told without a name, is told of the folder around it, too; the topmost is always looked at.
            }
        }
    }

    /// The number of no watch.
    const LOST: i32 = -1;
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;
    use std::path::Path;

    use super::News;

    pub(super) fn tells_all(_root: &Path) -> bool {
        false
    }

    /// There is none.
    #[derive(Debug)]
    pub(super) enum Instance {}

    impl Instance {
        pub(super) fn new() -> Option<Self> {
            None
        }

        pub(super) fn add(&self, _folder: &File) -> Option<i32> {
            match *self {}
        }

        pub(super) fn read(&self, _hear: impl FnMut(i32, News<'_>)) {
            match *self {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::walk::tests::settled;
    use super::*;

    /// What is to be looked at, and what is to be looked through, in a small tree after some news; none where that is all.
    fn doubts(news: &[(&str, News<'_>)]) -> Option<(Vec<String>, Vec<String>)> {
        let dir = tempfile::tempdir().unwrap();
        for file in ["a/b/file", "a-file", "c/file", "wp-content/database/.ht.sqlite"] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let mut told = Told::default();
        news.iter().for_each(|(folder, news)| told.hear(Path::new(folder), *news));
        let text = |paths: BTreeSet<PathBuf>| -> Vec<String> {
            let is_of_each = |path: &PathBuf| {
                path == Path::new("") || path == Path::new("wp-content") || path == Path::new(DATABASE_DIR)
            };
            paths.iter().filter(|path| !is_of_each(path)).map(|path| path.display().to_string()).collect()
        };
        let doubts = told.doubts(&settled(dir.path()))?;
        assert!(doubts.paths.contains(Path::new("")) && doubts.through.contains(Path::new(DATABASE_DIR)), "always");
        assert!(doubts.through.is_subset(&doubts.paths));
        Some((text(doubts.paths), text(doubts.through)))
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_told_is_looked_at_with_its_folder_and_nothing_else() {
        let name = OsStr::new;
        let looks_at = |news: &[(&str, News<'_>)], paths: &[&str]| {
            assert_eq!(doubts(news), Some((names(paths), vec![])), "{news:?}");
        };
        looks_at(&[], &[]);
        looks_at(&[("", News::Changed(name("a-file")))], &["a-file"]);
        looks_at(&[("a/b", News::Changed(name("file")))], &["a/b", "a/b/file"]);
        looks_at(&[("", News::Changed(name("a")))], &["a"]);
        looks_at(
            &[("a/b", News::Went(name("file"))), ("c", News::Came(name("file")))],
            &["a/b", "a/b/file", "c", "c/file"],
        );
        // What is made, written and removed again is new throughout.
        let comes_and_goes = [News::Came(name("new")), News::Changed(name("new")), News::Went(name("new"))];
        looks_at(&comes_and_goes.map(|news| ("c", news)), &["c", "c/new"]);
    }

    #[test]
    fn a_folder_that_came_or_went_is_looked_through_and_not_at_what_is_in_it() {
        let name = OsStr::new;
        let inside = ("a/b", News::Changed(name("file")));
        let (paths, through) = (names(&["a"]), names(&["a"]));
        for news in [News::Went(name("a")), News::Came(name("a"))] {
            assert_eq!(doubts(&[inside, ("", news)]), Some((paths.clone(), through.clone())), "{news:?}");
        }
        assert_eq!(doubts(&[inside, ("a", News::Parted)]), Some((paths, through)));
        let one_in_the_other = [("", News::Went(name("a"))), ("a", News::Came(name("b")))];
        assert_eq!(doubts(&one_in_the_other), Some((names(&["a"]), names(&["a"]))));
    }

    #[test]
    fn a_folder_is_looked_through_where_a_name_is_told_that_it_does_not_have() {
        let name = OsStr::new;
        for news in [News::Changed(name("FILE")), News::Went(name("FILE"))] {
            assert_eq!(doubts(&[("c", news)]), Some((names(&["c"]), names(&["c"]))), "{news:?}");
            assert_eq!(doubts(&[("", news)]), None, "{news:?}");
        }
    }

    #[test]
    fn all_is_in_doubt_when_the_tree_itself_moved() {
        assert_eq!(doubts(&[("", News::Parted)]), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_could_not_be_cloned_while_the_tree_was_away_is_looked_at_though_nothing_is_told() {
        use super::super::{clone_tree, retake};
        use crate::config::FileView::FileCopy;
        use crate::progress::Silent;

        let dir = tempfile::tempdir().unwrap();
        let (around, away, target) = (dir.path().join("around"), dir.path().join("away"), dir.path().join("target"));
        let source = around.join("source");
        fs::create_dir_all(source.join("folder")).unwrap();
        fs::create_dir(&target).unwrap();
        fs::write(source.join("folder/file"), "bytes").unwrap();
        settled(&source);
        let Some(watch) = Watch::begin(&source) else { return eprintln!("SKIPPED: no watch to be had") };
        let mut seen = Tree::walk_with(&source, Some(&watch)).unwrap();
        fs::rename(&around, &away).unwrap();
        clone_tree(FileCopy, &mut seen, &source, &target, &Silent).unwrap();
        fs::rename(&away, &around).unwrap();
        let watch = watch.on(&seen).unwrap();
        let glimpse = watch.look(&seen, &source).unwrap().expect("nothing was told");
        retake(FileCopy, &glimpse.before, &glimpse.after, &source, &target).unwrap();
        assert_eq!(fs::read_to_string(target.join("folder/file")).unwrap(), "bytes");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_system_that_may_change_elsewhere_is_not_watched() {
        assert!(Watch::begin(Path::new("/proc")).is_none());
    }
}
