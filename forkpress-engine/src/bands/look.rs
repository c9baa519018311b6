//! Looks at all databases of a site. What was found in one that has not changed since is in `ids.json`: a file that may be lost,
//! and that is used only where a change would have left a trace.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Surroundings, Survey};
use crate::database;
use crate::file::Replacement;
use crate::site::Site;
use forkpress_core::layout::database_of;
use forkpress_core::name::BranchName;
use forkpress_core::own;

/// What a survey looks for. Another number makes every database be read anew.
const VERSION: u32 = 1;

/// One of how many databases must have been read anew for the file to be written: a few of many are read again as fast.
const WORTH_WRITING: usize = 20;

impl Surroundings {
    /// Looks at the databases of all branches, of all trees that are kept, and of all partings; none where the site's
    /// settings turn bands off.
    pub(crate) fn look(site: &Site) -> Option<Self> {
        if !site.config.id_bands {
            return None;
        }
        let cow = site.layout.cow();
        let mut surveys = Surveys::load(&cow.ids());
        let live = names(&cow.records_dir()).into_iter();
        let live =
            live.filter_map(|name| surveys.of(&site.layout.branch(&name)).map(|survey| (name, survey))).collect();
        let folders = [cow.kept_dir(), cow.partings_dir()];
        let trees = folders.iter().flat_map(|folder| list(folder)).flat_map(trees_in);
        let resting = trees.filter_map(|tree| surveys.of(&tree)).collect();
        surveys.save(&cow.ids());
        Some(Self { live, resting })
    }
}

/// The branches that have a record, `main` first.
fn names(records: &Path) -> Vec<BranchName> {
    let mut names: Vec<BranchName> =
        list(records).iter().filter_map(|path| path.file_stem()?.to_str()?.parse().ok()).collect();
    names.sort_unstable_by(|a, b| (!a.is_main(), a).cmp(&(!b.is_main(), b)));
    names.dedup();
    names
}

/// The trees with a database in what is kept of an operation: one, or one for each branch.
fn trees_in(folder: PathBuf) -> Vec<PathBuf> {
    let has_database = |tree: &PathBuf| fs::symlink_metadata(database_of(tree)).is_ok();
    if has_database(&folder) { vec![folder] } else { list(&folder).into_iter().filter(has_database).collect() }
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// What was found in databases, by what these were then.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    version: u32,
    surveys: HashMap<String, Survey>,
}

#[derive(Debug)]
struct Surveys {
    before: Known,
    now: Known,
    read: usize,
}

impl Surveys {
    /// What can't be read is not known.
    fn load(path: &Path) -> Self {
        let known = fs::read(path).ok().and_then(|bytes| serde_json::from_slice::<Known>(&bytes).ok());
        let before = known.filter(|known| known.version == VERSION).unwrap_or_default();
        Self { before, now: Known { version: VERSION, surveys: HashMap::new() }, read: 0 }
    }

    /// What the database of a tree has; none where it has none, or where that can't be read now.
    fn of(&mut self, tree: &Path) -> Option<Survey> {
        // Before it is read: what is written later shows.
        let stamp = database::stamp(tree).ok().flatten();
        let known = stamp.as_ref().and_then(|stamp| self.before.surveys.get(stamp)).cloned();
        let survey = known.or_else(|| {
            let read = database::read(tree, stamp.as_deref(), Survey::of);
            self.read += usize::from(stamp.is_some() && read.is_ok());
            read.inspect_err(|error| tracing::debug!(?tree, "ids are not looked at: {error}")).ok().flatten()
        })?;
        if let Some(stamp) = stamp {
            self.now.surveys.insert(stamp, survey.clone());
        }
        Some(survey)
    }

    /// Not durable: after a power cut, all databases are read once more.
    fn save(&self, path: &Path) {
        if self.read * WORTH_WRITING <= self.now.surveys.len() {
            return;
        }
        let bytes = serde_json::to_vec(&self.now).expect("it is plain values");
        let saved = Replacement::prepare_unsynced(path, &bytes)
            .and_then(|file| file.set_mode(own::CLOSED_FILE).and_then(|()| file.place()));
        if let Err(error) = saved {
            tracing::debug!("what was found of ids is not noted: {error}");
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rusqlite::Connection;

    use super::*;
    use forkpress_core::layout::wal_of;

    /// A site without branches, in a folder whose name needs care in a URI.
    pub(in crate::bands) fn site(dir: &Path) -> Site {
        let root = dir.join("a %41?#b");
        fs::create_dir(&root).unwrap();
        crate::site::testing::site(&root)
    }

    /// Makes a tree with a database in WAL mode that has posts up to `highest`, all of it in the database file.
    fn make(tree: &Path, highest: i64) {
        fs::create_dir_all(database_of(tree).parent().unwrap()).unwrap();
        let connection = Connection::open(database_of(tree)).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.execute_batch("CREATE TABLE posts (id INTEGER PRIMARY KEY AUTOINCREMENT, title)").unwrap();
        connection.execute("INSERT INTO posts VALUES (?, 'x')", [highest]).unwrap();
    }

    pub(in crate::bands) fn make_branch(site: &Site, name: &str, highest: i64) {
        let name: BranchName = name.parse().unwrap();
        fs::write(site.layout.cow().record(&name), "").unwrap();
        make(&site.layout.branch(&name), highest);
    }

    /// Waits until no file in the tree may change without a trace.
    fn settle(tree: &Path) {
        while database::stamp(tree).unwrap().is_none() {
            std::thread::yield_now();
        }
    }

    fn posts(survey: &Survey) -> i64 {
        survey.0["posts"]
    }

    fn found(site: &Site) -> (Vec<(String, i64)>, Vec<i64>) {
        let Surroundings { live, resting } = Surroundings::look(site).unwrap();
        let mut resting: Vec<_> = resting.iter().map(posts).collect();
        resting.sort_unstable();
        (live.iter().map(|(name, survey)| (name.to_string(), posts(survey))).collect(), resting)
    }

    fn files_in(tree: &Path) -> Vec<String> {
        let folder = database_of(tree);
        let mut names: Vec<_> = list(folder.parent().unwrap())
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn branches_kept_trees_and_partings_are_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        let cow = site.layout.cow();
        make_branch(&site, "x", 100_003);
        make_branch(&site, "main", 57);
        make(&cow.kept_tree(4), 200_001);
        make(&cow.kept_tree_of(5, &"a".parse().unwrap()), 300_001);
        make(&cow.kept_tree_of(5, &"b".parse().unwrap()), 300_002);
        make(&cow.partings_dir().join("6/tree"), 56);
        // What a push took away.
        fs::create_dir_all(cow.kept_tree(7).join("wp-content")).unwrap();
        let expected = [("main".to_owned(), 57), ("x".to_owned(), 100_003)].into();
        assert_eq!(found(&site), (expected, vec![56, 200_001, 300_001, 300_002]));
    }

    #[test]
    fn what_can_not_be_read_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        make_branch(&site, "main", 57);
        for name in ["damaged", "linked", "without"] {
            make_branch(&site, name, 1);
            let path = database_of(&site.layout.branch(&name.parse().unwrap()));
            fs::remove_file(&path).unwrap();
            match name {
                "damaged" => fs::write(&path, [7; 5000]).unwrap(),
                "linked" => {
                    let main = database_of(&site.layout.branch(&BranchName::main()));
                    std::os::unix::fs::symlink(main, &path).unwrap();
                }
                _ => {}
            }
        }
        fs::write(site.layout.cow().ids(), "{ half a").unwrap();
        assert_eq!(found(&site).0, [("main".to_owned(), 57)]);
    }

    #[test]
    fn a_database_at_rest_is_read_without_a_trace_and_one_with_a_log_whole() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        make(&tree, 3);
        settle(&tree);
        let read = || {
            let stamp = database::stamp(&tree).unwrap();
            posts(&database::read(&tree, stamp.as_deref(), Survey::of).unwrap().unwrap())
        };
        assert_eq!(read(), 3);
        assert_eq!(files_in(&tree), [".ht.sqlite"]);
        let writer = Connection::open(database_of(&tree)).unwrap();
        writer.execute_batch("INSERT INTO posts (title) VALUES ('in the log')").unwrap();
        settle(&tree);
        assert_eq!(read(), 4);
        assert!(fs::metadata(wal_of(&database_of(&tree))).unwrap().len() > 0, "the log is as it was");
    }

    #[test]
    fn what_is_written_while_a_database_is_read_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        make(&tree, 3);
        settle(&tree);
        let stamp = database::stamp(&tree).unwrap();
        let tries = std::cell::Cell::new(0);
        let survey = |connection: &Connection| {
            let survey = Survey::of(connection)?;
            tries.set(tries.get() + 1);
            if tries.get() == 1 {
                // Closed, it leaves all in the database file.
                let writer = Connection::open(database_of(&tree))?;
                writer.execute_batch("INSERT INTO posts (title) VALUES ('meanwhile')")?;
            }
            Ok(survey)
        };
        let survey = database::read(&tree, stamp.as_deref(), survey).unwrap().unwrap();
        assert_eq!((posts(&survey), tries.get()), (4, 2));
    }

    #[test]
    fn what_is_remembered_is_used_until_a_database_changes() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        let names = ["main", "a", "b", "c"];
        for (number, name) in (1..).zip(names) {
            make_branch(&site, name, number);
        }
        let tree = |name: &str| site.layout.branch(&name.parse().unwrap());
        names.iter().for_each(|name| settle(&tree(name)));
        // SQLite opens the log of this one, whoever looks.
        let writer = Connection::open(database_of(&tree("b"))).unwrap();
        writer.execute_batch("INSERT INTO posts VALUES (33, 'x')").unwrap();
        settle(&tree("b"));
        let before = found(&site);
        let path = site.layout.cow().ids();
        let remembered = fs::read_to_string(&path).unwrap();
        assert!(remembered.contains("{\"posts\":4}"), "{remembered}");
        // What is in the file is believed.
        fs::write(&path, remembered.replace(":4}", ":44}").replace(":33}", ":34}")).unwrap();
        assert_eq!(found(&site).0[2..], [("b".to_owned(), 34), ("c".to_owned(), 44)]);
        Connection::open(database_of(&tree("c"))).unwrap().execute_batch("INSERT INTO posts VALUES (5, 'x')").unwrap();
        assert_eq!(found(&site).0[3], ("c".to_owned(), 5), "at once, and with a time stamp that may come again");
        fs::remove_file(&path).unwrap();
        assert_eq!(found(&site).0[..3], before.0[..3]);
    }
}
