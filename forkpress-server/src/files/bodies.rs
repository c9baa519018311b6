//! What is made of files before it is sent, kept in memory: texts that name the branch's own address, and compressed bodies.
//!
//! It is kept by what the file was when it was read: which inode, how long, when modified and when changed. A publish puts
//! other files in the place of a branch's, and whoever writes into one changes that time, which nobody can set. So nothing has to
//! be thrown away: what is not asked for any more makes room for what is.

use std::fs::File;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use forkpress_core::route::{Coding, FileVersion};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// How much is kept.
const MOST_BYTES: u64 = 48 << 20;

/// Of how many bodies of ordinary size that is.
const ORDINARY_NUMBER: usize = 2000;

/// What is kept of a body beside itself, about.
const OVERHEAD_BYTES: u64 = 400;

/// Two changes of a file can have the same time where they follow each other faster than the system's clock ticks. So nothing is
/// kept of a file that changed just now. The longest tick of a file system that there is takes two seconds.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Whether the next change of a file will have another time.
fn is_settled(version: &FileVersion, now: SystemTime) -> bool {
    let changed = UNIX_EPOCH + Duration::from_secs(u64::try_from(version.changed.0).unwrap_or(0) + 1);
    now.duration_since(changed).is_ok_and(|since| since >= SETTLED_AFTER)
}

/// What addresses in a text are replaced by, and what they are known from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Naming<S> {
    pub(super) own: String,
    pub(super) source: S,
}

/// What is made of which file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key<S> {
    pub(super) file: FileVersion,
    /// None: addresses are left alone.
    pub(super) naming: Option<Naming<S>>,
    /// None: the text is not compressed.
    pub(super) coding: Option<Coding>,
}

/// Bodies that were made of files. None in place of a body: the file is sent as it is.
#[derive(Debug)]
pub(super) struct Bodies<S> {
    kept: Cache<Key<S>, Option<Bytes>, ByLength>,
}

#[derive(Clone, Debug)]
struct ByLength;

impl<K> Weighter<K, Option<Bytes>> for ByLength {
    fn weight(&self, _: &K, body: &Option<Bytes>) -> u64 {
        OVERHEAD_BYTES + body.as_ref().map_or(0, |body| body.len() as u64)
    }
}

impl<S: Clone + Eq + std::hash::Hash> Bodies<S> {
    pub(super) fn new() -> Self {
        Self { kept: Cache::with_weighter(ORDINARY_NUMBER, MOST_BYTES, ByLength) }
    }

    /// The body that is kept, if one is.
    pub(super) fn kept(&self, key: &Key<S>) -> Option<Option<Bytes>> {
        self.kept.get(key)
    }

    /// The body that `make` makes of this open file. Who asks for the same at the same time waits for it.
    pub(super) fn get(
        &self,
        key: &Key<S>,
        file: &File,
        make: impl FnOnce() -> io::Result<Option<Bytes>>,
    ) -> io::Result<Option<Bytes>> {
        if !is_settled(&key.file, SystemTime::now()) {
            return make();
        }
        self.kept.get_or_insert_with(key, || {
            let body = make()?;
            let is_same = FileVersion::of(&file.metadata()?) == key.file;
            is_same.then_some(body).ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// The file at a path, and what is kept of it as it is.
    fn opened(path: &Path) -> (File, Key<()>) {
        let file = File::open(path).unwrap();
        let state = FileVersion::of(&file.metadata().unwrap());
        (file, Key { file: state, naming: None, coding: None })
    }

    fn body(text: &'static str) -> io::Result<Option<Bytes>> {
        Ok(Some(text.into()))
    }

    /// Waits until the time of a change of the file is long enough ago.
    fn settle(path: &Path) {
        let state = FileVersion::of(&fs::metadata(path).unwrap());
        while !is_settled(&state, SystemTime::now()) {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// A file that was written a while ago.
    fn settled() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "one").unwrap();
        settle(&path);
        (dir, path)
    }

    #[test]
    fn a_body_is_kept_once_the_file_has_settled_and_until_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "one").unwrap();
        let bodies = Bodies::new();
        let get = |made| {
            let (file, key) = opened(&path);
            bodies.get(&key, &file, || body(made)).unwrap().unwrap()
        };
        assert_eq!(get("first"), "first");
        assert_eq!(get("second"), "second", "it was written just now");
        settle(&path);
        assert_eq!(get("third"), "third");
        assert_eq!(get("fourth"), "third");
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&path, "two").unwrap();
        File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
        assert_eq!(get("fifth"), "fifth", "as long, as old, another one");
    }

    #[test]
    fn what_was_written_while_it_was_read_is_not_kept() {
        let (_dir, path) = settled();
        let bodies = Bodies::new();
        let (file, key) = opened(&path);
        let torn = bodies.get(&key, &file, || {
            fs::write(&path, "two").unwrap();
            body("t")
        });
        assert!(torn.is_err());
        assert!(bodies.kept(&key).is_none());
    }

    #[test]
    fn who_asks_for_the_same_at_the_same_time_waits_for_who_makes_it() {
        let (_dir, path) = settled();
        let (bodies, made, ready) = (Bodies::new(), AtomicUsize::new(0), Barrier::new(8));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let (file, key) = opened(&path);
                    ready.wait();
                    let got = bodies.get(&key, &file, || {
                        made.fetch_add(1, Ordering::Relaxed);
                        body("text")
                    });
                    assert_eq!(got.unwrap().unwrap(), "text");
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let (_dir, path) = settled();
        let bodies = Bodies::new();
        let (file, key) = opened(&path);
        for number in 0..300 {
            let key = Key { naming: Some(Naming { own: format!("{number}"), source: () }), ..key.clone() };
            bodies.get(&key, &file, || Ok(Some(vec![0; 1 << 20].into()))).unwrap();
        }
        assert!(bodies.kept.weight() <= MOST_BYTES, "{}", bodies.kept.weight());
        assert!(bodies.kept.len() > 20, "{}", bodies.kept.len());
    }
}
