//! What two branches had in common: made with a create or a reset, found by pairs, and gone once no pair needs it.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use forkpress_core::name::BranchName;
use forkpress_engine::branch;
use forkpress_engine::config::FileView;
use forkpress_engine::git::parting::{self, PartingError};
use forkpress_engine::git::repository::Repository;
use forkpress_engine::merge::base::{self, Base, BaseError};
use forkpress_engine::mutation::{self, gc};
use forkpress_engine::progress::{Progress, Silent};

use super::merges::merge;
use super::place::{Kind, Place};
use super::plain_world;
use super::world::{Edits, World, ask, name, patience};

fn base(world: &World, one: &str, other: &str) -> Base {
    let repository = Repository::open(&world.site).unwrap();
    base::of(&world.site, &repository, &name(one), &name(other)).unwrap()
}

fn partings(world: &World, branch: &str) -> String {
    branch::show(&world.site, &name(branch)).unwrap().record.partings.to_string()
}

/// The files of a Git tree, each with its bytes.
fn files(world: &World, tree: &str) -> Vec<(String, String)> {
    let git = |arguments: &[&str]| {
        let output = Repository::open(&world.site).unwrap().command().args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let names = git(&["ls-tree", "-r", "-z", "--name-only", tree]);
    let names = names.split('\0').filter(|name| !name.is_empty());
    names.map(|name| (name.to_owned(), git(&["cat-file", "blob", &format!("{tree}:{name}")]))).collect()
}

fn texts(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn titles(base: &Base) -> String {
    ask(&base.tree, "SELECT group_concat(title) FROM posts")
}

fn write(folder: &Path, file: &str, text: &str) {
    fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
    fs::write(folder.join(file), text).unwrap();
}

pub fn a_parting_is_what_both_branches_had_at_the_publish(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |main| {
        for (file, text) in [("stays", "s"), ("changes", "1"), ("goes/away", "g"), ("goes/too", "t")] {
            write(main, file, text);
        }
    });
    let main = world.path("main");
    // What Git has read is known, and what it has not is kept until it does.
    let repository = Repository::open(&world.site).unwrap();
    parting::read_ahead(&world.site, &repository, &BranchName::main());
    write(&main, "unread", "u");
    let prepared = world.prepare_create("x");
    write(&main, "changes", "2");
    write(&main, "comes", "c");
    fs::remove_dir_all(main.join("goes")).unwrap();
    world.add_post("main", "before");
    let id = prepared.publish(&mut patience()).unwrap().operation.id;
    write(&main, "changes", "3");
    write(&main, "unread", "main's");
    world.add_post("main", "after");
    write(&world.path("x"), "unread", "x's");
    world.add_post("x", "on x");

    assert_eq!([partings(&world, "main"), partings(&world, "x")], [id.to_string(), id.to_string()]);
    let base = base(&world, "x", "main");
    assert_eq!((base.parting, titles(&base).as_str()), (id, "hello,before"));
    let expected = texts(&[("changes", "2"), ("comes", "c"), ("index.php", "<?php"), ("stays", "s"), ("unread", "u")]);
    assert_eq!(files(&world, &base.files), expected);
    parting::tidy(&world.site).unwrap();
    assert_eq!(files(&world, &base.files), expected, "and stays so");
    assert!(!world.site.layout.cow().parting(id).join("news").exists(), "Git has it now");
}

#[test]
fn many_files_that_git_has_not_read_are_in_a_parting_also_where_some_are_empty() {
    let place = Place::in_memory();
    let world = World::new(place, FileView::FileCopy, |main| {
        (0..150).for_each(|number| write(main, &format!("{number:03}"), if number % 50 == 0 { "" } else { "text" }));
    });
    world.create("x").unwrap();
    let found = files(&world, &base(&world, "x", "main").files);
    assert_eq!(found.len(), 151);
    assert_eq!(found[..2], texts(&[("000", ""), ("001", "text")]));
}

#[test]
fn a_pair_has_the_newest_parting_that_both_share() {
    let world = plain_world();
    let x = world.create("x").unwrap().operation.id;
    let y = world.create("y").unwrap().operation.id;
    let of_x = |branch: &str| {
        mutation::create(&world.site, &name(branch), &name("x"), &mut patience(), &Silent).unwrap().operation.id
    };
    let z = of_x("z");
    for (one, other, id) in
        [("x", "main", x), ("y", "main", y), ("x", "y", x), ("z", "x", z), ("z", "main", x), ("z", "y", x)]
    {
        assert_eq!((base(&world, one, other).parting, base(&world, other, one).parting), (id, id), "{one} {other}");
    }
    let reset = world.reset("z", "main", false).unwrap().operation.id;
    assert_eq!(base(&world, "z", "main").parting, reset);
    assert_eq!(base(&world, "z", "x").parting, x, "by way of main");
    world.undo(None).unwrap();
    assert_eq!((base(&world, "z", "x").parting, base(&world, "z", "main").parting), (z, x), "as it was");
    let together = world.create_all(&["a", "b"]).unwrap().operation.id;
    assert_eq!(
        [("a", "b"), ("a", "main"), ("b", "main")].map(|(one, other)| base(&world, one, other).parting),
        [together; 3]
    );
}

#[test]
fn a_push_changes_no_partings_nor_does_its_undo() {
    let world = plain_world();
    let x = world.create("x").unwrap().operation.id;
    let push = world.apply("main", &mut Edits::of(&[("new", None, Some("n"))])).unwrap().operation.id;
    let y = world.create("y").unwrap().operation.id;
    assert_eq!(partings(&world, "main"), format!("{x},{y}"));
    world.undo(Some(push)).unwrap();
    assert_eq!(partings(&world, "main"), format!("{x},{y}"));
    assert_eq!(base(&world, "y", "main").parting, y);
    assert_eq!(base(&world, "x", "main").parting, x);
}

#[test]
fn a_branch_created_with_files_parts_from_its_source_without_them() {
    let world = plain_world();
    world
        .create_with("x", &mut Edits::of(&[("index.php", Some("<?php"), Some("other")), ("new", None, Some("n"))]))
        .unwrap();
    assert_eq!(files(&world, &base(&world, "x", "main").files), texts(&[("index.php", "<?php")]));
}

/// Which partings are there once what nobody needs has gone.
fn there(world: &World) -> Vec<u64> {
    gc::clean(&world.site, &mut patience()).unwrap();
    parting::tidy(&world.site).unwrap();
    let mut found: Vec<u64> = fs::read_dir(world.site.layout.cow().partings_dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap())
        .collect();
    found.sort_unstable();
    let refs = world.site.layout.cow().git_dir().join("refs/forkpress/partings");
    assert_eq!(fs::read_dir(refs).map_or(0, Iterator::count), found.len(), "a ref for each");
    found
}

#[test]
fn partings_go_once_no_pair_of_branches_that_are_there_or_kept_needs_them() {
    let mut world = plain_world();
    let x = world.create("x").unwrap().operation.id;
    let y = world.create("y").unwrap().operation.id;
    assert_eq!(there(&world), [x, y]);
    let again = world.reset("y", "main", false).unwrap().operation.id;
    assert_eq!(there(&world), [x, y, again], "the tree that y had can be had back");
    world.delete("x").unwrap();
    assert_eq!(there(&world), [x, y, again]);
    world.site.config.keep.trees = 0;
    assert_eq!(there(&world), [again]);
    mutation::delete(&world.site, &name("y"), true, &mut patience(), &Silent).unwrap();
    assert_eq!(there(&world), [0_u64; 0]);
}

#[test]
fn the_parting_of_before_a_merge_stays_while_the_merge_can_be_undone_and_the_merges_own_while_it_can_be_redone() {
    let mut world = plain_world();
    let created = world.create("x").unwrap().operation.id;
    world.add_post("x", "on x");
    let merged = merge(&world, "x", "main").operation.id;
    assert_eq!(there(&world), [created, merged]);
    let undone = world.undo(None).unwrap().operation.id;
    assert_eq!(there(&world), [created, merged], "while it can be redone");
    let found = base(&world, "x", "main");
    assert_eq!((found.parting, titles(&found).as_str()), (created, "hello"));
    world.undo(Some(undone)).unwrap();
    assert_eq!(there(&world), [created, merged], "while that can be undone");
    let found = base(&world, "x", "main");
    assert_eq!((found.parting, titles(&found).as_str()), (merged, "hello,on x"));
    let bytes = std::mem::replace(&mut world.site.config.keep.bytes, 0);
    assert_eq!(there(&world), [merged], "nothing can be undone any more");
    assert_eq!(base(&world, "x", "main").parting, merged);

    world.site.config.keep.bytes = bytes;
    world.delete("x").unwrap();
    assert_eq!(there(&world), [merged], "the branch can be had back");
    world.undo(None).unwrap();
    assert_eq!(base(&world, "x", "main").parting, merged);
    world.add_post("x", "later");
    merge(&world, "x", "main");
    assert_eq!(world.posts("main"), ["hello", "on x", "later"]);
}

#[test]
fn branches_that_share_nothing_say_how_to_get_something() {
    use forkpress_core::advice::Advice as _;
    let world = plain_world();
    world.create("x").unwrap();
    let record = world.site.layout.cow().record(&name("x"));
    let text = fs::read_to_string(&record).unwrap();
    let former: Vec<_> = text.lines().filter(|line| !line.starts_with("partings")).collect();
    fs::write(&record, former.join("\n")).unwrap();
    let repository = Repository::open(&world.site).unwrap();
    let error = base::of(&world.site, &repository, &name("x"), &BranchName::main()).unwrap_err();
    assert!(matches!(error, BaseError::NoParting { .. }), "{error}");
    assert!(error.hint().unwrap().contains("forkpress branch reset x --from main"));
    let id = world.reset("x", "main", false).unwrap().operation.id;
    assert_eq!(base(&world, "x", "main").parting, id);
}

/// Keeps what is said.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Progress for Notes {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
    fn note(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

#[test]
fn where_there_is_no_room_for_a_parting_a_branch_is_made_without_and_that_is_said() {
    let Some(place) = Place::of(Kind::Tiny) else { return };
    let filler = place.root.join("filler");
    let world = World::new(place, FileView::FileCopy, |_| ());
    world.add_post("main", &"long ".repeat(60_000));
    let mut fill = fs::File::create(&filler).unwrap();
    let mut filled = 0;
    while fill.write_all(&[1; 4096]).is_ok() {
        filled += 4096;
    }
    let notes = Notes::default();
    while mutation::create(&world.site, &name("x"), &BranchName::main(), &mut patience(), &notes).is_err() {
        filled -= 16 * 4096;
        fill.set_len(filled).unwrap();
    }
    let said = notes.0.into_inner().unwrap();
    let right = "no room to keep what 'x' and 'main' have in common: a merge will not know it";
    assert_eq!(said.last().map(String::as_str), Some(right), "{said:?}");
    drop(fill);
    fs::remove_file(filler).unwrap();
    assert_eq!(world.posts("x"), world.posts("main"));
    assert_eq!([partings(&world, "x"), partings(&world, "main")], ["", ""]);
    let repository = Repository::open(&world.site).unwrap();
    let none = base::of(&world.site, &repository, &name("x"), &BranchName::main());
    assert!(matches!(none, Err(BaseError::NoParting { .. })), "{none:?}");
    let id = world.reset("x", "main", false).unwrap().operation.id;
    assert_eq!(base(&world, "x", "main").parting, id, "once there is room");
}

#[test]
fn files_that_a_removed_repository_had_are_not_taken_for_none() {
    use forkpress_core::advice::Advice as _;
    let world = plain_world();
    world.create("x").unwrap();
    parting::tidy(&world.site).unwrap();
    fs::remove_dir_all(world.site.layout.cow().git_dir()).unwrap();
    let repository = Repository::open(&world.site).unwrap();
    let lost = || base::of(&world.site, &repository, &name("x"), &BranchName::main()).unwrap_err();
    assert!(matches!(lost(), BaseError::Parting(PartingError::Lost { .. })), "{}", lost());
    assert!(lost().hint().unwrap().contains("forkpress branch reset"));
    let id = world.reset("x", "main", false).unwrap().operation.id;
    parting::tidy(&world.site).unwrap();
    assert_eq!(base(&world, "x", "main").parting, id);
}

#[test]
fn what_a_branch_got_with_its_tree_is_not_copied_for_one_that_is_made_from_it() {
    let Some(place) = Place::of(Kind::Xfs) else { return };
    let world = World::new(place, FileView::Reflink, |main| {
        for (file, text) in [("folder/stays", "s"), ("folder/changes", "1"), ("moved/old", "o")] {
            write(main, file, text);
        }
    });
    let repository = Repository::open(&world.site).unwrap();
    super::world::settle(&world.path("main"));
    parting::read_ahead(&world.site, &repository, &BranchName::main());
    // What came within the tick in which the branch was made may be another file by now: a spare's files are older.
    assert_eq!(world.keep_spares(), (1, 0));
    super::world::settle(&world.site.layout.cow().spares_dir());
    world.create("x").unwrap();
    super::world::settle(&world.path("x"));
    parting::tidy(&world.site).unwrap();
    let x = world.path("x");
    write(&x, "folder/changes", "2");
    // A folder that comes from elsewhere has files that have not changed for long.
    fs::rename(x.join("moved"), x.join("away")).unwrap();
    fs::rename(x.join("away"), x.join("moved")).unwrap();
    let id = mutation::create(&world.site, &name("y"), &name("x"), &mut patience(), &Silent).unwrap().operation.id;
    let news = world.site.layout.cow().parting(id).join("news");
    let mut copied: Vec<_> =
        fs::read_dir(news).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    copied.sort();
    assert!(copied.contains(&"2".to_owned()) && !copied.contains(&"s".to_owned()), "{copied:?}");
    let expected = texts(&[("folder/changes", "2"), ("folder/stays", "s"), ("index.php", "<?php"), ("moved/old", "o")]);
    assert_eq!(files(&world, &base(&world, "y", "x").files), expected);
}
