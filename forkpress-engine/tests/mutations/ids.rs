//! What is made in two branches has two ids.

use std::thread;
use std::time::Duration;

use forkpress_core::deadline::Deadline;
use forkpress_core::lock::{Patience, Preparation};
use forkpress_engine::bands;
use forkpress_engine::config::FileView;
use forkpress_engine::mutation;
use forkpress_engine::progress::Silent;

use crate::place::{Kind, Place};
use crate::world::{World, name, open, patience};

/// A site whose `main` has three things, and a table of others that is empty.
fn world(place: Place, view: FileView) -> World {
    World::new(place, view, |main| {
        open(main)
            .execute_batch(
                "CREATE TABLE things (id INTEGER PRIMARY KEY AUTOINCREMENT, t);
                 CREATE TABLE others (id INTEGER PRIMARY KEY AUTOINCREMENT, t);
                 INSERT INTO things (t) VALUES ('a'), ('b'), ('c');",
            )
            .unwrap();
    })
}

/// The ids that the next thing, and the next other, get in a branch.
fn make(world: &World, branch: &str) -> (i64, i64) {
    let connection = open(&world.path(branch));
    let insert = |table: &str| {
        connection.execute(&format!("INSERT INTO {table} (t) VALUES ('{branch}')"), []).unwrap();
        connection.last_insert_rowid()
    };
    (insert("things"), insert("others"))
}

fn purge(world: &World, branch: &str) {
    mutation::delete(&world.site, &name(branch), true, &mut patience(), &Silent).unwrap();
}

pub fn branches_number_apart(place: Place, _: Kind, view: FileView) {
    let world = world(place, view);
    let both = |id| (id, id);
    world.create("x").unwrap();
    assert_eq!(make(&world, "main"), (4, 1));
    assert_eq!(make(&world, "x"), both(100_001));
    world.create_all(&["a", "b"]).unwrap();
    assert_eq!([make(&world, "a"), make(&world, "b")], [both(200_001), both(300_001)]);
    world.reset("x", "main", false).unwrap();
    assert_eq!(make(&world, "x"), both(400_001), "what it had is kept");
    world.undo(None).unwrap();
    assert_eq!(make(&world, "x"), both(100_002), "as if nothing had been");
    world.reset("main", "x", true).unwrap();
    assert_eq!([make(&world, "main"), make(&world, "x")], [both(500_001), both(100_003)]);
}

pub fn bands_of_branches_that_are_purged_return(place: Place, _: Kind, view: FileView) {
    let world = world(place, view);
    world.create("x").unwrap();
    make(&world, "x");
    let deleted = world.delete("x").unwrap().operation.id;
    world.create("y").unwrap();
    assert_eq!(make(&world, "y").0, 200_001, "x can still be had back");
    world.undo(Some(deleted)).unwrap();
    purge(&world, "x");
    purge(&world, "y");
    world.create("z").unwrap();
    assert_eq!(make(&world, "z").0, 100_001);
}

pub fn a_branch_that_is_published_first_takes_the_band(place: Place, _: Kind, view: FileView) {
    let world = world(place, view);
    let late = world.prepare_create("late");
    // A thread holds the locks of one mutation.
    thread::scope(|scope| scope.spawn(|| world.create("first").map(drop)).join()).unwrap().unwrap();
    late.publish(&mut patience()).unwrap();
    assert_eq!([make(&world, "first").0, make(&world, "late").0], [100_001, 200_001]);
}

pub fn a_table_that_comes_later_is_numbered_apart_from_the_next_mutation_on(place: Place, _: Kind, view: FileView) {
    let world = world(place, view);
    world.create_all(&["x", "y"]).unwrap();
    for branch in ["x", "y"] {
        open(&world.path(branch)).execute_batch("CREATE TABLE late (id INTEGER PRIMARY KEY AUTOINCREMENT, t)").unwrap();
    }
    // As the driver does it for TRUNCATE.
    open(&world.path("y"))
        .execute_batch("DELETE FROM others; DELETE FROM sqlite_sequence WHERE name = 'others'")
        .unwrap();
    world.create("z").unwrap();
    let late = |branch: &str| {
        let connection = open(&world.path(branch));
        connection.execute("INSERT INTO late (t) VALUES (1)", []).unwrap();
        connection.last_insert_rowid()
    };
    assert_eq!(["x", "y"].map(late), [100_001, 200_001]);
    assert_eq!([make(&world, "x"), make(&world, "y")], [(100_001, 100_001), (200_001, 200_001)]);
    let preparation = Preparation::lock(world.site.layout.cow(), &[], "ids", &mut Patience::silent(Deadline::NEVER));
    assert_eq!(bands::heal(&world.site, &preparation.unwrap(), Deadline::after(Duration::from_secs(20))), []);
}

pub fn a_site_may_do_without_bands(place: Place, _: Kind, view: FileView) {
    let mut world = world(place, view);
    world.site.config.id_bands = false;
    world.create("x").unwrap();
    world.create_all(&["a", "b"]).unwrap();
    assert_eq!(["main", "x", "a", "b"].map(|branch| make(&world, branch)), [(4, 1); 4]);
}
