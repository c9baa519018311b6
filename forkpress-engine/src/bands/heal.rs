//! Gives live branches bands of their own, as a foreign program would write into their databases: beside their requests.

use std::sync::Arc;

use thiserror::Error;

use super::{Starts, Surroundings, Survey, decide};
use crate::database::{self, DatabaseError};
use crate::site::Site;
use forkpress_core::deadline::Deadline;
use forkpress_core::lock::{
    BranchFiles, LockError, Mutation, OperationsFiles, Patience, Preparation, SharedBranch, SharedOperations,
};
use forkpress_core::name::BranchName;

/// Why a branch goes without for now.
#[derive(Debug, Error)]
enum HealError {
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// Gives every branch the bands that it lacks, and says which did. What is not to be had until the deadline, locks and the turn
/// to write, is left for the next time. Where no branch lacks any, this looks at two files a database.
///
/// The caller has `prepare.lock`, shared: nobody takes the storage away while databases are open.
pub fn heal(site: &Site, _: &Preparation, deadline: Deadline) -> Vec<BranchName> {
    if Surroundings::look(site).is_none_or(|around| around.needy().is_empty()) {
        return Vec::new();
    }
    let cow = site.layout.cow();
    let mutation = match Mutation::lock(cow, "giving branches ids of their own", &mut Patience::silent(deadline)) {
        Ok(mutation) => mutation,
        Err(error) => {
            tracing::debug!("no ids are given: {error}");
            return Vec::new();
        }
    };
    let healed = heal_under_lock(site, deadline);
    drop(mutation);
    healed
}

/// Does that where nobody else gives out bands.
fn heal_under_lock(site: &Site, deadline: Deadline) -> Vec<BranchName> {
    let Some(mut around) = Surroundings::look(site) else { return Vec::new() };
    let mut healed = Vec::new();
    for name in around.needy() {
        match heal_branch(site, &name, &around, deadline) {
            Ok(Some((own, starts))) => {
                around.reserve(&name, &own, &starts);
                if !starts.is_empty() {
                    tracing::debug!(branch = name.as_str(), ?starts, "gave ids");
                    healed.push(name);
                }
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(branch = name.as_str(), "no ids are given: {error}"),
        }
    }
    healed
}

impl Surroundings {
    /// The branches that lack a band, in their order.
    fn needy(&self) -> Vec<BranchName> {
        let lacks = |(name, own): &&(BranchName, Survey)| !decide(own, name, self).is_empty();
        self.live.iter().filter(lacks).map(|(name, _)| name.clone()).collect()
    }
}

/// Takes part in the branch's traffic and writes what it lacks by then; none where it has no database.
fn heal_branch(
    site: &Site,
    name: &BranchName,
    around: &Surroundings,
    deadline: Deadline,
) -> Result<Option<(Survey, Starts)>, HealError> {
    let cow = site.layout.cow();
    let operations = SharedOperations::lock(&Arc::new(OperationsFiles::open(cow)?), deadline, None)?;
    let _branch = SharedBranch::lock(&operations, &Arc::new(BranchFiles::open(cow, name)?), deadline, true)?;
    let give = |connection: &rusqlite::Connection| {
        let own = Survey::of(connection)?;
        let starts = decide(&own, name, around);
        starts.write(connection)?;
        Ok((own, starts))
    };
    Ok(database::write(&site.layout.branch(name), deadline, give)?)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use rusqlite::Connection;

    use super::super::look::tests::{make_branch, site};
    use super::*;
    use forkpress_core::layout::database_of;

    fn open(site: &Site, branch: &str) -> Connection {
        Connection::open(database_of(&site.layout.branch(&branch.parse().unwrap()))).unwrap()
    }

    /// The id that the next post gets.
    fn insert(site: &Site, branch: &str) -> i64 {
        let connection = open(site, branch);
        connection.execute_batch("INSERT INTO posts (title) VALUES ('new')").unwrap();
        connection.last_insert_rowid()
    }

    fn heal_until(site: &Site, deadline: Deadline) -> Vec<String> {
        let preparation = Preparation::lock(site.layout.cow(), &[], "ids", &mut Patience::silent(Deadline::NEVER));
        heal(site, &preparation.unwrap(), deadline).iter().map(ToString::to_string).collect()
    }

    fn heal_now(site: &Site) -> Vec<String> {
        heal_until(site, Deadline::after(Duration::from_secs(20)))
    }

    #[test]
    fn branches_that_number_alike_number_apart_once_they_are_healed() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        for name in ["main", "x", "y"] {
            make_branch(&site, name, 57);
        }
        assert_eq!(heal_now(&site), ["x", "y"]);
        assert_eq!(["main", "x", "y"].map(|name| insert(&site, name)), [58, 100_001, 200_001]);
        assert_eq!(heal_now(&site), [""; 0]);
        // As the driver does it for ALTER TABLE, and TRUNCATE.
        open(&site, "x").execute_batch("DELETE FROM sqlite_sequence; UPDATE posts SET id = 12 WHERE id > 57").unwrap();
        open(&site, "x").execute_batch("CREATE TABLE plugin (id INTEGER PRIMARY KEY AUTOINCREMENT)").unwrap();
        assert_eq!(heal_now(&site), ["x"]);
        assert_eq!(insert(&site, "x"), 300_001);
        let counter = "SELECT seq FROM sqlite_sequence WHERE name = 'plugin'";
        assert_eq!(open(&site, "x").query_row(counter, [], |row| row.get::<_, i64>(0)).unwrap(), 100_000);
    }

    #[test]
    fn a_branch_whose_database_is_busy_is_left_for_the_next_time() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        for (name, highest) in [("main", 60), ("x", 57), ("y", 57)] {
            make_branch(&site, name, highest);
        }
        let writer = open(&site, "x");
        writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO posts (title) VALUES ('of a long transaction')").unwrap();
        assert_eq!(heal_until(&site, Deadline::after(Duration::from_millis(50))), ["y"]);
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(heal_now(&site), ["x"]);
        assert_eq!((insert(&site, "x"), insert(&site, "y")), (200_001, 100_001));
    }

    #[test]
    fn nothing_is_written_while_a_mutation_publishes() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        make_branch(&site, "x", 57);
        let (tell, hear) = (mpsc::channel(), mpsc::channel::<()>());
        thread::scope(|scope| {
            let cow = site.layout.cow();
            scope.spawn(move || {
                let mutation = Mutation::lock(cow, "x", &mut Patience::silent(Deadline::NEVER)).unwrap();
                tell.0.send(()).unwrap();
                hear.1.recv().unwrap();
                drop(mutation);
            });
            tell.1.recv().unwrap();
            assert_eq!(heal_until(&site, Deadline::NOW), [""; 0]);
            hear.0.send(()).unwrap();
        });
        assert_eq!(heal_now(&site), ["x"]);
    }

    #[test]
    fn a_site_whose_settings_turn_bands_off_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let mut site = site(dir.path());
        make_branch(&site, "x", 57);
        site.config.id_bands = false;
        assert_eq!(heal_now(&site), [""; 0]);
        assert_eq!(insert(&site, "x"), 58);
    }
}
