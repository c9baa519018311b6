//! Bands of ids: what is made in two branches has different ids, so that it can meet in one of them.
//!
//! SQLite numbers the rows of a table with `AUTOINCREMENT` by one more than the highest id that the table ever had. All ids
//! below `SIZE` are a band, and so are those from there to twice as much. **A band of a table belongs to the one branch
//! whose next id lies in it**; the first belongs to `main`. Nothing else says so: no file of counters can be lost, and the bands
//! of a branch that is gone for good are free.
//!
//! A branch that has no band of its own gets a *fresh* one, above every id of that table in every database of the site: those
//! of branches, of trees that are kept, of partings. So that is what happens to all tables of a new branch, which has the next
//! ids of the branch it came from; to a target of a merge that brought higher ids; to a table whose counter the driver
//! has lost (`ALTER TABLE`, `TRUNCATE`), or that is new; to a branch that has used its band up.
//!
//! - `Survey::of` reads a database, `Surroundings::look` all others, `decide` says what a branch gets, and
//!   `Starts::write` writes it. A branch that is staged gets it before it is published, under `mutation.lock`.
//! - `heal` gives live branches what they lack.
//!
//! What can't be read is left out of account: two branches may number alike then, and what they made is a conflict of a merge.
//! No mutation fails of it.

mod heal;
mod look;
pub(crate) mod starts;

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::database::{self, DatabaseError};
use forkpress_core::layout::database_of;
use forkpress_core::name::BranchName;

pub use heal::heal;
pub(crate) use starts::Starts;

/// How many ids are a band. A plugin's `MEDIUMINT` has room for 83.
const SIZE: i64 = 100_000;

/// The beginning of the names of the driver's own tables, which nobody else numbers.
const DRIVER_PREFIX: &str = "_wp_sqlite_";

/// The highest id that each table of a database with `AUTOINCREMENT` ever had, by the table's name in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Survey(BTreeMap<String, i64>);

/// What the databases of a site have, but for the one that is decided about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// The branches, which go on numbering.
    live: Vec<(BranchName, Survey)>,
    /// Trees that are kept, and partings.
    resting: Vec<Survey>,
}

impl Survey {
    /// Reads a database. Of one moment where the connection is in a transaction.
    pub(crate) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%autoincrement%' ORDER BY name",
        )?;
        let mut rows = statement.query([])?;
        let mut survey = BTreeMap::new();
        while let Some(row) = rows.next()? {
            // A name that is no UTF-8 is none of WordPress's.
            let Ok(table) = row.get_ref(0)?.as_str() else { continue };
            let folded = table.to_ascii_lowercase();
            if !folded.starts_with(DRIVER_PREFIX) && is_numbered(connection, table) {
                survey.insert(folded, highest(connection, table)?);
            }
        }
        Ok(Self(survey))
    }

    /// The same once bands were begun.
    fn with(mut self, starts: &Starts) -> Self {
        for (table, start) in &starts.0 {
            self.0.entry(table.clone()).and_modify(|highest| *highest = (*highest).max(*start)).or_insert(*start);
        }
        self
    }
}

/// Whether a table has `AUTOINCREMENT`. The word alone may stand in a comment.
fn is_numbered(connection: &Connection, table: &str) -> bool {
    // Of `_rowid_` this gives what it has of the column that is another name for it.
    connection.column_metadata(Some("main"), table, "_rowid_").is_ok_and(|(.., is_numbered)| is_numbered)
}

fn highest(connection: &Connection, table: &str) -> rusqlite::Result<i64> {
    let quoted = table.replace('"', "\"\"");
    let question = format!(
        "SELECT max(0, coalesce((SELECT max(CAST(seq AS INTEGER)) FROM sqlite_sequence WHERE name = ?1), 0), \
         coalesce((SELECT max(_rowid_) FROM \"{quoted}\"), 0))"
    );
    connection.query_row(&question, [table], |row| row.get(0))
}

impl Surroundings {
    /// Which bands a copy of the branch `source` begins that becomes the branch `name`; taken into account for those that
    /// follow.
    pub(crate) fn copy(&mut self, source: &BranchName, name: &BranchName) -> Starts {
        let own = self.live.iter().find(|(other, _)| other == source).map(|(_, own)| own.clone());
        own.map(|own| self.begin(&own, name)).unwrap_or_default()
    }

    /// The same of a branch that is about to have a tree, in nobody's use, which begins them at once; but that is not
    /// durable yet. Says whether there were any.
    pub(crate) fn begin_in(&mut self, name: &BranchName, tree: &Path) -> Result<bool, DatabaseError> {
        let path = database_of(tree);
        if path.exists() { self.begin_at_rest(name, &path) } else { Ok(false) }
    }

    /// The same of a branch that is about to have the database at `path`, which is in nobody's use.
    pub(crate) fn begin_at_rest(&mut self, name: &BranchName, path: &Path) -> Result<bool, DatabaseError> {
        database::write_at_rest(path, |connection| {
            let starts = self.begin(&Survey::of(connection)?, name);
            starts.write(connection)?;
            Ok(!starts.is_empty())
        })
    }

    /// The same of a branch that is about to have the database that the connection is open to.
    pub(crate) fn begin_at(&mut self, name: &BranchName, connection: &Connection) -> rusqlite::Result<()> {
        self.begin(&Survey::of(connection)?, name).write(connection)
    }

    /// The same of a branch that is about to have this database.
    fn begin(&mut self, own: &Survey, name: &BranchName) -> Starts {
        let starts = decide(own, name, self);
        self.reserve(name, own, &starts);
        starts
    }

    /// Takes the branch `name`, with what it has and bands that it is about to begin, into account for those that follow.
    pub(crate) fn reserve(&mut self, name: &BranchName, own: &Survey, starts: &Starts) {
        self.live.retain(|(other, _)| other != name);
        self.live.push((name.clone(), own.clone().with(starts)));
    }

    /// Whether the next id of a table lies in a band that is the branch's own.
    fn is_own(&self, name: &BranchName, table: &str, highest: i64) -> bool {
        let band = band_after(highest);
        if band == 0 && !name.is_main() {
            return false;
        }
        let in_band = |survey: &Survey| survey.0.get(table).copied().filter(|other| band_after(*other) == band);
        // Of two in a band, the one that is behind would give out what the other one has given out.
        let is_ahead = |survey: &Survey| in_band(survey).is_some_and(|other| other > highest);
        let is_level = |survey: &Survey| band != 0 && in_band(survey) == Some(highest);
        let mut others = self.live.iter().filter(|(other, _)| other != name).map(|(_, survey)| survey);
        !others.any(|survey| is_ahead(survey) || is_level(survey)) && !self.resting.iter().any(is_ahead)
    }

    /// The number below the first band of a table in which nobody has anything; none where there is no room.
    fn fresh(&self, table: &str, own: i64) -> Option<i64> {
        let others = self.live.iter().map(|(_, survey)| survey).chain(&self.resting);
        let highest = others.filter_map(|survey| survey.0.get(table).copied()).fold(own, i64::max);
        (highest / SIZE).checked_add(1)?.checked_mul(SIZE)
    }
}

/// Which bands a branch begins that has, or is about to have, this database. The branch's own database, or the one that it is
/// about to lose, may be among the others.
pub(crate) fn decide(own: &Survey, name: &BranchName, others: &Surroundings) -> Starts {
    let start = |(table, highest): (&String, &i64)| {
        let is_own = others.is_own(name, table, *highest);
        (!is_own).then(|| others.fresh(table, *highest)).flatten().map(|start| (table.clone(), start))
    };
    Starts(own.0.iter().filter_map(start).collect())
}

/// The band of the id that follows.
fn band_after(highest: i64) -> i64 {
    highest.saturating_add(1) / SIZE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> BranchName {
        name.parse().unwrap()
    }

    fn survey(highest: i64) -> Survey {
        Survey([("posts".to_owned(), highest)].into())
    }

    fn around(live: &[(&str, i64)], resting: &[i64]) -> Surroundings {
        Surroundings {
            live: live.iter().map(|(branch, highest)| (name(branch), survey(*highest))).collect(),
            resting: resting.iter().copied().map(survey).collect(),
        }
    }

    /// Where the branch's posts begin anew; none where they go on.
    fn start(own: i64, branch: &str, live: &[(&str, i64)], resting: &[i64]) -> Option<i64> {
        decide(&survey(own), &name(branch), &around(live, resting)).0.get("posts").copied()
    }

    #[test]
    fn a_new_branch_begins_above_everything() {
        assert_eq!(start(57, "x", &[("main", 57)], &[]), Some(100_000));
        assert_eq!(start(0, "x", &[("main", 0)], &[]), Some(100_000), "an empty table as well");
        assert_eq!(start(57, "y", &[("main", 57), ("x", 100_003)], &[]), Some(200_000));
        assert_eq!(start(100_003, "y", &[("main", 57), ("x", 100_003)], &[]), Some(200_000), "one from another branch");
        assert_eq!(start(57, "y", &[("main", 57), ("x", 100_000)], &[]), Some(200_000), "a band that is not used yet");
        assert_eq!(start(57, "y", &[("main", 57), ("x", 99_999)], &[]), Some(100_000));
        assert_eq!(start(57, "y", &[("main", 57)], &[300_007, 200_000]), Some(400_000), "above what is kept");
        assert_eq!(start(250_000, "x", &[("main", 250_000)], &[]), Some(300_000), "main of a large site");
    }

    #[test]
    fn a_branch_that_is_reset_leaves_the_band_of_the_tree_that_is_kept() {
        assert_eq!(start(57, "x", &[("main", 57), ("x", 100_020)], &[]), Some(200_000));
        assert_eq!(start(100_020, "main", &[("main", 57), ("x", 100_020)], &[]), Some(200_000), "main as well");
    }

    #[test]
    fn bands_of_branches_that_are_gone_are_free() {
        assert_eq!(start(57, "z", &[("main", 57), ("y", 200_004)], &[]), Some(300_000));
        assert_eq!(start(57, "z", &[("main", 57)], &[]), Some(100_000));
    }

    #[test]
    fn who_has_a_band_alone_goes_on() {
        assert_eq!(start(60, "main", &[("main", 60), ("x", 100_003), ("y", 200_000)], &[57]), None);
        assert_eq!(start(100_003, "x", &[("main", 60), ("x", 100_003), ("y", 200_000)], &[57, 100_000]), None);
        assert_eq!(start(100_000, "x", &[("main", 60), ("x", 100_000)], &[100_000]), None, "its own parting");
    }

    #[test]
    fn the_first_band_is_mains() {
        assert_eq!(start(5, "x", &[("main", 57), ("x", 5)], &[]), Some(100_000), "a counter that was set back");
        assert_eq!(start(57, "main", &[("main", 57), ("x", 57)], &[]), None, "of a version without bands");
        assert_eq!(start(57, "x", &[("main", 57), ("x", 57)], &[]), Some(100_000));
    }

    #[test]
    fn of_two_in_a_band_the_one_behind_leaves_it() {
        assert_eq!(start(60, "main", &[("main", 60), ("x", 65)], &[]), Some(100_000), "x has 61 already");
        assert_eq!(start(99_999, "main", &[("main", 99_999), ("x", 100_003)], &[]), Some(200_000), "a band is full");
        assert_eq!(start(100_003, "x", &[("main", 99_999), ("x", 100_003)], &[]), None);
        let merged = [("main", 100_003), ("x", 100_003)];
        assert_eq!(start(100_003, "main", &merged, &[57]), Some(200_000), "a merge brought ids");
    }

    #[test]
    fn an_id_that_somebody_may_bring_back_is_not_given_out_again() {
        assert_eq!(start(0, "main", &[("main", 0)], &[57]), Some(100_000), "main's table was emptied");
        assert_eq!(start(100_004, "x", &[("main", 57), ("x", 100_004)], &[100_009]), Some(200_000));
        assert_eq!(start(100_004, "x", &[("main", 57), ("x", 100_004)], &[100_004]), None);
    }

    #[test]
    fn several_at_once_begin_apart() {
        let mut around = around(&[("main", 57)], &[]);
        let starts = ["x", "y"].map(|branch| around.copy(&name("main"), &name(branch)).0["posts"]);
        assert_eq!(starts, [100_000, 200_000]);
        let mut begin = |highest, branch| around.begin(&survey(highest), &name(branch)).0.get("posts").copied();
        assert_eq!([begin(57, "z"), begin(300_000, "z")], [Some(300_000), None]);
        assert_eq!(around.copy(&name("gone"), &name("v")), Starts::default());
    }

    #[test]
    fn where_no_number_is_left_a_table_goes_without() {
        assert_eq!(start(57, "x", &[("main", i64::MAX)], &[]), None);
        assert_eq!(start(i64::MAX, "x", &[("main", 57)], &[]), None);
        assert_eq!(
            start(57, "x", &[("main", i64::MAX - 500_000)], &[]).map(|start| start > i64::MAX - 500_000),
            Some(true)
        );
    }

    #[test]
    fn each_table_has_bands_of_its_own() {
        let own = Survey([("posts".to_owned(), 57), ("new".to_owned(), 3)].into());
        let starts = decide(&own, &name("x"), &around(&[("main", 57), ("y", 100_000)], &[]));
        assert_eq!(starts.0, [("new".to_owned(), 100_000), ("posts".to_owned(), 200_000)].into());
    }

    /// As the driver makes tables.
    const TABLES: &str = r#"
        CREATE TABLE `wp_Posts` (`ID` INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, `title` TEXT COLLATE NOCASE) STRICT;
        CREATE TABLE "odd ""name" (rowid_of_it INTEGER PRIMARY KEY AUTOINCREMENT);
        CREATE TABLE empty (id INTEGER PRIMARY KEY AUTOINCREMENT);
        CREATE TABLE terms (id INTEGER PRIMARY KEY, text DEFAULT 'autoincrement');
        CREATE TABLE pairs (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID;
        CREATE TABLE _wp_sqlite_things (id INTEGER PRIMARY KEY AUTOINCREMENT);
        INSERT INTO `wp_Posts` (title) VALUES ('a'), ('b'), ('c');
        INSERT INTO "odd ""name" VALUES (9);
        INSERT INTO terms (id) VALUES (7);
        INSERT INTO _wp_sqlite_things VALUES (5);
    "#;

    fn database(statements: &str) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(statements).unwrap();
        connection
    }

    fn insert(connection: &Connection) -> i64 {
        connection.execute("INSERT INTO wp_posts (title) VALUES ('new')", []).unwrap();
        connection.last_insert_rowid()
    }

    #[test]
    fn a_survey_has_the_highest_ids_that_were_ever_given() {
        let connection = database(TABLES);
        let found = |highest| -> BTreeMap<_, _> {
            [("empty".to_owned(), 0), ("odd \"name".to_owned(), 9), ("wp_posts".to_owned(), highest)].into()
        };
        assert_eq!(Survey::of(&connection).unwrap().0, found(3));
        connection.execute_batch("DELETE FROM wp_posts").unwrap();
        assert_eq!(Survey::of(&connection).unwrap().0, found(3), "of rows that are gone");
        connection
            .execute_batch("DELETE FROM sqlite_sequence; INSERT INTO wp_posts VALUES (40, 'x'), (-3, 'y')")
            .unwrap();
        connection.execute_batch("UPDATE sqlite_sequence SET seq = 2 WHERE name = 'wp_Posts'").unwrap();
        assert_eq!(Survey::of(&connection).unwrap().0, found(40), "of rows beyond the counter");
        assert_eq!(Survey::of(&database("CREATE TABLE t (id INTEGER PRIMARY KEY)")).unwrap(), Survey::default());
    }

    #[test]
    fn a_band_is_written_for_used_and_for_empty_tables_and_for_no_others() {
        let connection = database(TABLES);
        let starts = decide(&Survey::of(&connection).unwrap(), &name("x"), &Surroundings::default());
        starts.write(&connection).unwrap();
        let mut statement = connection.prepare("SELECT name, seq FROM sqlite_sequence ORDER BY name").unwrap();
        let counters: Vec<(String, i64)> =
            statement.query_map([], |row| row.try_into()).unwrap().collect::<Result<_, _>>().unwrap();
        let expected = [("_wp_sqlite_things", 5), ("empty", 100_000), ("odd \"name", 100_000), ("wp_Posts", 100_000)];
        assert_eq!(counters, expected.map(|(name, seq)| (name.to_owned(), seq)));
        assert_eq!(insert(&connection), 100_001);
        connection.execute_batch("INSERT INTO empty DEFAULT VALUES").unwrap();
        assert_eq!(connection.last_insert_rowid(), 100_001);
    }

    #[test]
    fn no_counter_is_set_back_and_a_table_that_is_gone_gets_none() {
        let connection = database(TABLES);
        let starts = |start| Starts([("wp_posts".to_owned(), start), ("gone".to_owned(), start)].into());
        starts(200_000).write(&connection).unwrap();
        starts(100_000).write(&connection).unwrap();
        assert_eq!(insert(&connection), 200_001);
        let gone: bool = connection
            .query_row("SELECT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'gone')", [], |row| row.get(0))
            .unwrap();
        assert!(!gone);
        starts(100_000).write(&database("CREATE TABLE t (id INTEGER PRIMARY KEY)")).unwrap();
    }
}
