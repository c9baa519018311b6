//! Mutations on real file systems. Needs root for all but the plain folder; says `SKIPPED:` where a mount is not to be had.

mod beside;
mod ids;
mod merges;
mod partings;
#[allow(dead_code, reason = "the crash tests need more of it")]
mod place;
mod world;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use forkpress_core::advice::Advice;
use forkpress_core::deadline::Deadline;
use forkpress_core::layout::{ImageKind, database_of, wal_of};
use forkpress_core::lock::{Lifecycle, OperationsFiles, Patience, SharedOperations, generation};
use forkpress_core::name::BranchName;
use forkpress_engine::branch::{self, BranchError};
use forkpress_engine::config::{FileView, Keep};
use forkpress_engine::database::DatabaseError;
use forkpress_engine::mutation::{
    self, ChangeError, DeleteError, PutError, RecoverError, StepError, UndoError, gc, keep,
};
use forkpress_engine::progress::Silent;
use forkpress_engine::{storage, usage, view};

use ids::{
    a_branch_that_is_published_first_takes_the_band, a_site_may_do_without_bands,
    a_table_that_comes_later_is_numbered_apart_from_the_next_mutation_on, bands_of_branches_that_are_purged_return,
    branches_number_apart,
};
use merges::{
    a_foreign_writer_that_does_not_end_keeps_a_merge_from_changing_anything,
    a_merge_brings_files_and_rows_together_and_its_undo_takes_both_back,
    rows_of_many_pages_that_changed_in_place_come_home,
    what_is_written_into_the_target_during_a_merge_is_there_afterwards,
};
use partings::a_parting_is_what_both_branches_had_at_the_publish;
use place::{Kind, Place};
use world::{Edits, Other, TreeWork, World, ask, files, listen, make_database, my_place, name, open, patience, tell};

/// One and the same suite for every view on every file system.
macro_rules! conformance {
    ($($module:ident: $kind:expr, $view:expr;)*) => { $(
        mod $module {
            use super::*;
            conformance!(@tests $kind, $view;
                the_probe_finds_what_works
                a_branch_and_its_source_are_isolated_both_ways
                a_clone_keeps_everything_but_access_times
                what_changes_while_a_branch_is_prepared_is_in_it
                each_kind_of_change_after_the_clone_is_in_the_branch
                what_grows_comes_and_goes_all_the_time_does_not_stop_a_branch
                folders_that_requests_move_and_move_back_all_the_time_are_whole_in_a_branch
                what_a_branch_holds_is_told_from_what_it_shares
                a_reset_exchanges_files_database_and_record
                a_deleted_branch_is_gone_but_for_what_is_kept
                an_undo_gives_a_branch_back_what_it_had_and_can_be_undone
                an_apply_changes_what_it_names_and_nothing_else_and_can_be_undone_and_done_again
                an_apply_is_refused_whole_where_a_file_is_not_what_it_is_thought_to_be
                an_apply_never_leads_through_a_symlink
                what_the_file_system_refuses_is_refused_by_name_before_anything_changes
                a_file_that_nobody_may_change_refuses_an_apply_and_its_undo_by_name
                a_branch_created_with_files_is_its_source_but_for_them
                a_branch_whose_tree_is_edited_is_its_source_but_for_that
                a_failed_edit_leaves_nothing_of_the_branch
                a_foreign_writer_delays_a_branch_and_never_tears_it
                a_foreign_writer_that_does_not_end_is_given_up_on
                every_branch_made_under_a_writing_process_is_whole
                a_database_without_a_log_is_in_wal_mode_in_the_branch
                a_database_that_comes_goes_or_is_replaced_while_a_branch_is_prepared_is_followed
                a_process_that_dies_leaves_the_next_mutation_a_clean_site
                branches_created_together_are_each_like_their_source_and_of_their_own
                branches_created_together_are_undone_and_done_again_together
                branches_are_created_all_or_none
                a_branch_made_from_a_spare_is_like_its_source
                each_kind_of_change_after_a_spare_was_taken_is_in_the_branch
                a_spare_of_a_main_that_changed_much_is_not_used_and_goes
                a_parting_is_what_both_branches_had_at_the_publish
                branches_number_apart
                bands_of_branches_that_are_purged_return
                a_branch_that_is_published_first_takes_the_band
                a_table_that_comes_later_is_numbered_apart_from_the_next_mutation_on
                a_site_may_do_without_bands
                a_merge_brings_files_and_rows_together_and_its_undo_takes_both_back
                what_is_written_into_the_target_during_a_merge_is_there_afterwards
                rows_of_many_pages_that_changed_in_place_come_home
                a_foreign_writer_that_does_not_end_keeps_a_merge_from_changing_anything
            );
        }
    )* };
    (@tests $kind:expr, $view:expr; $($test:ident)*) => { $(
        #[test]
        fn $test() {
            let path = concat!(module_path!(), "::", stringify!($test));
            let (_, test) = path.split_once("::").unwrap();
            if matches!($kind, Kind::Sparsebundle) && place::again_with_hdiutil(test) {
                return;
            }
            if let Some(place) = Place::of($kind) {
                super::$test(place, $kind, $view);
            }
        }
    )* };
}

conformance! {
    plain: Kind::Plain, FileView::FileCopy;
    ext4: Kind::Ext4, FileView::FileCopy;
    tmpfs: Kind::Tmpfs, FileView::FileCopy;
    xfs: Kind::Xfs, FileView::Reflink;
    xfs_copy: Kind::Xfs, FileView::FileCopy;
    btrfs_snapshot: Kind::Btrfs, FileView::BtrfsSnapshot;
    btrfs_reflink: Kind::Btrfs, FileView::Reflink;
    xfs_loop: Kind::XfsLoop, FileView::LinuxXfsLoop;
    sparsebundle: Kind::Sparsebundle, FileView::MacosApfsSparsebundle;
}

fn the_probe_finds_what_works(place: Place, kind: Kind, view: FileView) {
    match view.image() {
        None => assert!(view::supports(view, &place.root)),
        Some(_) => {
            let world = World::new(place, view, |_| {});
            assert!(view::supports(view, &world.site.layout.storage_root()));
            assert_eq!(view::probe(&world.site.layout.storage_root()), FileView::Reflink);
            return;
        }
    }
    if let Some(best) = kind.best_view() {
        assert_eq!(view::probe(&place.root), best);
    }
}

fn a_branch_and_its_source_are_isolated_both_ways(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |main| fs::write(main.join("shared"), vec![b'm'; 100_000]).unwrap());
    let before = generation(world.site.layout.cow()).unwrap();
    let report = world.create("x").unwrap();
    assert_eq!(report.generation, before + 1);
    assert_eq!(branch::show(&world.site, &name("x")).unwrap().record.generation, report.generation);
    assert_eq!(branch::show(&world.site, &name("x")).unwrap().record.from, Some(BranchName::main()));
    assert_eq!(world.branches(), ["main", "x"]);

    let overwrite = |branch: &str, byte: u8| {
        let file = fs::File::options().write(true).open(world.path(branch).join("shared")).unwrap();
        file.write_all_at(&[byte; 10], 50_000).unwrap();
    };
    overwrite("x", b'x');
    world.add_post("x", "on x");
    assert_eq!(fs::read(world.path("main").join("shared")).unwrap(), vec![b'm'; 100_000]);
    assert_eq!(world.posts("main"), ["hello"]);
    overwrite("main", b'M');
    world.add_post("main", "on main");
    assert_eq!(fs::read(world.path("x").join("shared")).unwrap()[50_000..50_011], *b"xxxxxxxxxxm");
    assert_eq!(world.posts("x"), ["hello", "on x"]);
    assert_eq!(world.posts("main"), ["hello", "on main"]);
    assert_eq!(ask::<String>(&world.path("x"), "PRAGMA journal_mode"), "wal");
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

fn a_clone_keeps_everything_but_access_times(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |main| {
        let nasty = OsString::from_vec(b"a name\nof \xff\xfe bytes".to_vec());
        fs::create_dir_all(main.join(&nasty).join("deep/er")).unwrap();
        fs::create_dir(main.join("empty")).unwrap();
        fs::write(main.join(&nasty).join("deep/er").join(&nasty), "bytes").unwrap();
        fs::write(main.join("empty-file"), "").unwrap();
        fs::write(main.join("a"), "a").unwrap();
        fs::write(main.join("a-b"), "sorts between a and a/").unwrap();
        symlink(&nasty, main.join("to-folder")).unwrap();
        symlink("nowhere/at/all", main.join("broken")).unwrap();
        symlink("/etc/hostname", main.join("absolute")).unwrap();
        symlink("../..", main.join("up")).unwrap();
        fs::write(main.join("one"), "linked").unwrap();
        fs::hard_link(main.join("one"), main.join("empty/two")).unwrap();
        fs::hard_link(main.join("one"), main.join("three")).unwrap();
        let sparse = fs::File::create(main.join("sparse")).unwrap();
        sparse.set_len(1 << 30).unwrap();
        sparse.write_all_at(b"middle", 512 << 20).unwrap();
        sparse.write_all_at(&[b'e'; 100_000], (1 << 30) - 100_000).unwrap();
        let mode = |path: &str, mode| fs::set_permissions(main.join(path), fs::Permissions::from_mode(mode)).unwrap();
        mode("a", 0o444);
        mode("a-b", 0o2751);
        mode("empty-file", 0o400);
        fs::create_dir(main.join("closed")).unwrap();
        fs::write(main.join("closed/file"), "inside").unwrap();
        mode("closed", 0o555);
        let old = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
        for path in ["a", "empty", "closed", "sparse", ""] {
            fs::File::open(main.join(path)).unwrap().set_modified(old).unwrap();
        }
    });
    world.create("x").unwrap();
    let (main, x) = (describe(&world.path("main")), describe(&world.path("x")));
    for (path, description) in &main {
        assert_eq!(x.get(path), Some(description), "{path:?}");
    }
    assert_eq!(main.len(), x.len());
    let sparse = fs::File::open(world.path("x").join("sparse")).unwrap();
    let mut middle_and_end = [0; 12];
    sparse.read_exact_at(&mut middle_and_end[..6], 512 << 20).unwrap();
    sparse.read_exact_at(&mut middle_and_end[6..], (1 << 30) - 6).unwrap();
    assert_eq!(&middle_and_end, b"middleeeeeee");
    assert!(fs::metadata(world.path("x").join("sparse")).unwrap().blocks() * 512 < 1 << 20, "holes stay holes");
    let inode = |path: &str| fs::metadata(world.path("x").join(path)).unwrap().ino();
    assert!(inode("one") == inode("empty/two") && inode("one") == inode("three"));
    let file = |branch: &str| fs::metadata(world.path(branch).join("one")).unwrap();
    assert_ne!((file("x").dev(), file("x").ino()), (file("main").dev(), file("main").ino()));
}

/// All that a clone must have in common with its original, the database's own files left out.
fn describe(tree: &Path) -> BTreeMap<PathBuf, String> {
    let mut described = BTreeMap::new();
    for entry in walkdir::WalkDir::new(tree) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(tree).unwrap().to_owned();
        if path.file_name().is_some_and(|name| name.as_bytes().starts_with(b".ht.sqlite")) {
            continue;
        }
        let metadata = entry.path().symlink_metadata().unwrap();
        let content = match metadata.file_type() {
            kind if kind.is_symlink() => format!("-> {:?}", fs::read_link(entry.path()).unwrap()),
            kind if kind.is_dir() => String::new(),
            _ if metadata.len() > 1 << 20 => format!("{} bytes", metadata.len()),
            _ => format!("{:?}", OsStr::from_bytes(&fs::read(entry.path()).unwrap())),
        };
        // Opening a database, which this test does not, is all that may change its folder.
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        let (mode, owner, group) = (metadata.mode(), metadata.uid(), metadata.gid());
        described.insert(path, format!("{mode:o} {owner} {group} {modified:?} {content}"));
    }
    described
}

fn what_changes_while_a_branch_is_prepared_is_in_it(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |main| {
        for folder in ["stays", "goes/deep", "becomes-file", "closed"] {
            fs::create_dir_all(main.join(folder)).unwrap();
        }
        for file in ["changes", "vanishes", "becomes-link", "becomes-folder", "stays/file", "goes/deep/file", "one"] {
            fs::write(main.join(file), "before").unwrap();
        }
        fs::write(main.join("becomes-file/inside"), "before").unwrap();
        fs::write(main.join("closed/file"), "before").unwrap();
        fs::hard_link(main.join("one"), main.join("two")).unwrap();
        symlink("changes", main.join("link")).unwrap();
    });
    let main = world.path("main");
    let prepared = world.prepare_create("x");
    assert_eq!(world.branches(), ["main"], "what is prepared is not there yet");

    let modified = fs::metadata(main.join("changes")).unwrap().modified().unwrap();
    let changed = fs::File::options().write(true).open(main.join("changes")).unwrap();
    changed.write_all_at(b"after!", 0).unwrap();
    changed.set_modified(modified).unwrap();
    fs::remove_file(main.join("vanishes")).unwrap();
    fs::remove_dir_all(main.join("goes")).unwrap();
    fs::remove_file(main.join("becomes-link")).unwrap();
    symlink("changes", main.join("becomes-link")).unwrap();
    fs::remove_file(main.join("becomes-folder")).unwrap();
    fs::create_dir_all(main.join("becomes-folder/deep")).unwrap();
    fs::write(main.join("becomes-folder/deep/file"), "after").unwrap();
    fs::remove_dir_all(main.join("becomes-file")).unwrap();
    fs::write(main.join("becomes-file"), "after").unwrap();
    fs::write(main.join("appears"), "after").unwrap();
    fs::write(main.join("one"), "through one of its names").unwrap();
    fs::hard_link(main.join("changes"), main.join("another name")).unwrap();
    fs::remove_file(main.join("link")).unwrap();
    symlink("appears", main.join("link")).unwrap();
    fs::set_permissions(main.join("stays/file"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(main.join("closed/file"), "after").unwrap();
    fs::set_permissions(main.join("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    world.add_post("main", "while preparing");

    let report = prepared.publish(&mut patience()).unwrap();
    match view {
        FileView::BtrfsSnapshot => assert_eq!((report.entries, report.retaken), (0, 0), "no file is looked at"),
        _ => assert!(report.retaken > 0 && report.entries > report.retaken / 2),
    }
    let (main, x) = (describe(&main), describe(&world.path("x")));
    for (path, description) in &main {
        assert_eq!(x.get(path), Some(description), "{path:?}");
    }
    assert_eq!(main.len(), x.len());
    let inode = |path: &str| fs::metadata(world.path("x").join(path)).unwrap().ino();
    assert_eq!(inode("one"), inode("two"));
    assert_eq!(inode("changes"), inode("another name"));
    assert_eq!(world.posts("x"), ["hello", "while preparing"]);
}

/// A tree to try changes on.
fn fill_for_changes(main: &Path) {
    for folder in ["folder/inner/deep", "moves", "returns/inner", "stands-in/inner", "goes/inner", "mode", "empty"] {
        fs::create_dir_all(main.join(folder)).unwrap();
    }
    let files =
        ["written", "appended", "removed", "renamed", "touched", "chmodded", "cut", "over", "one", "twin", "linked"];
    for folder in ["", "folder/inner/deep", "moves", "returns/inner", "stands-in/inner", "goes/inner"] {
        files.iter().for_each(|file| fs::write(main.join(folder).join(file), format!("{folder} {file}")).unwrap());
    }
    fs::hard_link(main.join("one"), main.join("folder/two")).unwrap();
    symlink("written", main.join("folder/link")).unwrap();
    symlink("folder", main.join("link-to-folder")).unwrap();
}

/// What there was before a change.
struct BeforeChanges {
    /// A file that is open.
    open: fs::File,
    /// Another name of the file `twin`, outside of the tree where it may have one.
    twin: PathBuf,
}

impl BeforeChanges {
    fn of(main: &Path) -> Self {
        let outside = main.with_file_name("twin");
        let is_outside = outside.exists() || fs::hard_link(main.join("twin"), &outside).is_ok();
        Self {
            open: fs::File::options().append(true).open(main.join("folder/inner/deep/appended")).unwrap(),
            twin: if is_outside { outside } else { main.join("twin") },
        }
    }
}

/// Every kind of change of a file, a folder or a symlink.
const CHANGES: &[fn(&Path, &mut BeforeChanges)] = &[
    |main, _| fs::write(main.join("folder/inner/deep/written"), "new bytes").unwrap(),
    |_, before| std::io::Write::write_all(&mut before.open, b" and more").unwrap(),
    |main, _| fs::write(main.join("folder/inner/new"), "new").unwrap(),
    |main, _| fs::write(database_of(main).with_file_name("notes"), "beside the database").unwrap(),
    |main, _| fs::remove_file(main.join("folder/inner/deep/removed")).unwrap(),
    |main, _| fs::rename(main.join("folder/inner/deep/renamed"), main.join("folder/renamed")).unwrap(),
    |main, _| fs::rename(main.join("folder/inner/deep/over"), main.join("folder/inner/deep/written")).unwrap(),
    |main, _| fs::rename(main.join("moves"), main.join("folder/moved")).unwrap(),
    |main, _| fs::write(main.join("folder/moved/written"), "in a folder that has moved").unwrap(),
    |main, _| {
        // Away and back, and something in it changes meanwhile.
        fs::rename(main.join("returns"), main.join("away")).unwrap();
        fs::write(main.join("away/inner/written"), "while away").unwrap();
        fs::remove_file(main.join("away/inner/removed")).unwrap();
        fs::rename(main.join("away"), main.join("returns")).unwrap();
        fs::write(main.join("returns/inner/new"), "back").unwrap();
    },
    |main, _| {
        // Another folder in its place, for good, and as large.
        fs::rename(main.join("stands-in"), main.join("folder/stood-in")).unwrap();
        fs::create_dir_all(main.join("stands-in/inner")).unwrap();
        fs::write(main.join("stands-in/inner/written"), "another").unwrap();
    },
    |main, _| fs::remove_dir_all(main.join("goes")).unwrap(),
    |main, _| symlink("folder", main.join("goes")).unwrap(),
    |main, _| fs::set_permissions(main.join("chmodded"), fs::Permissions::from_mode(0o640)).unwrap(),
    |main, _| fs::set_permissions(main.join("mode"), fs::Permissions::from_mode(0o750)).unwrap(),
    |main, _| {
        let touched = fs::File::open(main.join("folder/inner/deep/touched")).unwrap();
        touched.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    },
    |main, _| fs::File::options().write(true).open(main.join("cut")).unwrap().set_len(1).unwrap(),
    |main, _| {
        fs::remove_file(main.join("folder/link")).unwrap();
        symlink("elsewhere", main.join("folder/link")).unwrap();
    },
    |main, _| fs::write(main.join("folder/two"), "through another of its names").unwrap(),
    |_, before| fs::write(&before.twin, "through a name outside").unwrap(),
    |main, _| fs::hard_link(main.join("linked"), main.join("folder/linked")).unwrap(),
    |main, _| fs::write(main.join("folder/linked"), "through its new name").unwrap(),
    |main, _| {
        let deep = main.join("new/a/b/c/d");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), "deep").unwrap();
        symlink("file", deep.join("link")).unwrap();
    },
    |main, _| {
        fs::write(main.join("new/comes-and-goes"), "").unwrap();
        fs::remove_file(main.join("new/comes-and-goes")).unwrap();
    },
    |main, _| {
        fs::remove_file(main.join("folder/inner/deep/cut")).unwrap();
        fs::create_dir(main.join("folder/inner/deep/cut")).unwrap();
        fs::write(main.join("folder/inner/deep/cut/file"), "a folder where a file was").unwrap();
    },
    |main, _| fs::remove_dir(main.join("empty")).unwrap(),
    |main, _| fs::write(main.join("empty"), "a file where a folder was").unwrap(),
    |main, _| fs::set_permissions(main, fs::Permissions::from_mode(0o755)).unwrap(),
];

/// Publishes what is prepared after some changes, and compares.
fn is_like_its_source_after(
    site: &forkpress_engine::site::Site,
    changes: &[fn(&Path, &mut BeforeChanges)],
    branch: &str,
) {
    let main = site.layout.branch(&BranchName::main());
    let mut before = BeforeChanges::of(&main);
    world::settle(&main);
    let prepared =
        mutation::prepare_create(site, &name(branch), &BranchName::main(), &mut patience(), &Silent).unwrap();
    changes.iter().for_each(|change| change(&main, &mut before));
    prepared.publish(&mut patience()).unwrap();
    let x = site.layout.branch(&name(branch));
    let (source, clone) = (describe(&main), describe(&x));
    for (path, description) in &source {
        assert_eq!(clone.get(path), Some(description), "{path:?}");
    }
    assert_eq!(source.len(), clone.len(), "{:?}", clone.keys().filter(|path| !source.contains_key(*path)));
    let inodes =
        |tree: &Path, names: [&str; 2]| names.map(|name| fs::metadata(tree.join(name)).map(|it| it.ino()).ok());
    for names in [["one", "folder/two"], ["linked", "folder/linked"]] {
        let ([one, other], [cloned, twin]) = (inodes(&main, names), inodes(&x, names));
        assert_eq!(one == other, cloned == twin, "{names:?}");
    }
}

fn each_kind_of_change_after_the_clone_is_in_the_branch(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, fill_for_changes);
    for (number, change) in CHANGES.iter().enumerate() {
        is_like_its_source_after(&world.site, &[*change], &format!("x{number}"));
    }
}

fn each_kind_of_change_after_a_spare_was_taken_is_in_the_branch(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, fill_for_changes);
    assert_eq!(world.keep_spares(), (spares_of(view), 0));
    is_like_its_source_after(&world.site, CHANGES, "x");
    assert_eq!(world.spares(), 0);
}

#[test]
fn each_kind_of_change_is_in_the_branch_where_no_watches_are_to_be_had() {
    let can = Command::new("unshare").args(["--user", "--map-root-user", "true"]).status();
    if !can.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: this test may not make a user namespace");
        return;
    }
    let world = World::new(Place::in_memory(), FileView::FileCopy, fill_for_changes);
    Other::start_by(
        Command::new("unshare").args(["--user", "--map-root-user"]),
        "roles::creates_without_watches",
        world.site.layout.work_dir(),
    )
    .wait();
}

/// A file that is written through a mapping that was open before: that is not told.
fn write_through_a_mapping(place: Place, view: FileView) -> (World, String) {
    let world = World::new(place, view, |main| {
        fs::create_dir(main.join("folder")).unwrap();
        ["mapped", "other"].iter().for_each(|file| fs::write(main.join("folder").join(file), "before").unwrap());
    });
    let main = world.path("main");
    let file = fs::File::options().read(true).write(true).open(main.join("folder/mapped")).unwrap();
    // SAFETY: nobody makes the file shorter.
    let mut mapping = unsafe { memmap2::MmapMut::map_mut(&file) }.unwrap();
    world::settle(&main);
    let prepared = world.prepare_create("x");
    mapping.copy_from_slice(b"after!");
    fs::write(main.join("folder/other"), "after!").unwrap();
    world::settle(&main);
    prepared.publish(&mut patience()).unwrap();
    assert_eq!(fs::read_to_string(main.join("folder/mapped")).unwrap(), "after!");
    assert_eq!(fs::read_to_string(world.path("x").join("folder/other")).unwrap(), "after!");
    let clone = fs::read_to_string(world.path("x").join("folder/mapped")).unwrap();
    (world, clone)
}

#[test]
fn what_is_written_through_a_mapping_is_not_told_and_found_after_the_publish() {
    for (kind, view) in [(Kind::Ext4, FileView::FileCopy), (Kind::Xfs, FileView::Reflink)] {
        let Some(place) = Place::of(kind) else { continue };
        let (world, clone) = write_through_a_mapping(place, view);
        assert_eq!(clone, "before", "a walk would have found it");
        // What the branch, or its source, changes afterwards is its own.
        fs::write(world.path("x").join("folder/other"), "x").unwrap();
        fs::write(world.path("main").join("index.php"), "later").unwrap();
        let look = || mutation::late::look(&world.site).unwrap();
        assert_eq!(look(), [Path::new("folder/mapped")]);
        let log = fs::read_to_string(world.site.layout.gc_log()).unwrap();
        assert!(log.contains("'main'") && log.contains("'x'") && log.contains("\"folder/mapped\""), "{log}");
        assert_eq!(look(), Vec::<PathBuf>::new(), "once");
    }
}

#[test]
fn a_branch_that_was_replaced_since_is_not_compared_with_its_source() {
    let Some(place) = Place::of(Kind::Ext4) else { return };
    let (world, _) = write_through_a_mapping(place, FileView::FileCopy);
    world.delete("x").unwrap();
    assert_eq!(mutation::late::look(&world.site).unwrap(), Vec::<PathBuf>::new());

    let world = World::new(Place::in_memory(), FileView::FileCopy, |main| fs::write(main.join("file"), "one").unwrap());
    world.create("other").unwrap();
    fs::write(world.path("other").join("file"), "other").unwrap();
    let reset = world.reset("main", "other", true).unwrap().operation;
    world::settle(&world.path("main"));
    let prepared = world.prepare_create("x");
    fs::write(world.path("main").join("index.php"), "changes").unwrap();
    world::settle(&world.path("main"));
    prepared.publish(&mut patience()).unwrap();
    // A tree comes back in which nothing has changed for long.
    world.undo(Some(reset.id)).unwrap();
    assert_eq!(fs::read_to_string(world.path("main").join("file")).unwrap(), "one");
    assert_eq!(mutation::late::look(&world.site).unwrap(), Vec::<PathBuf>::new());
}

#[test]
fn what_changed_after_the_clone_is_in_all_branches_that_are_created_together() {
    struct Changes(PathBuf, std::sync::Once);
    impl forkpress_engine::progress::Progress for Changes {
        fn begin(&self, phase: &str, _: Option<u64>) {
            if phase == "check database" {
                self.1.call_once(|| {
                    fs::write(self.0.join("folder/new"), "new").unwrap();
                    fs::write(self.0.join("folder/changes"), "changed").unwrap();
                    fs::remove_file(self.0.join("goes")).unwrap();
                });
            }
        }
        fn advance(&self, _: u64) {}
        fn end(&self) {}
    }
    let world = World::new(Place::in_memory(), FileView::FileCopy, |main| {
        fs::create_dir(main.join("folder")).unwrap();
        ["folder/changes", "goes", "stays"].iter().for_each(|file| fs::write(main.join(file), "before").unwrap());
    });
    let main = world.path("main");
    let changes = Changes(main.clone(), std::sync::Once::new());
    let names = ["a", "b", "c"].map(name);
    let report = mutation::create_all(&world.site, &names, &BranchName::main(), &mut patience(), &changes).unwrap();
    assert!(changes.1.is_completed());
    for branch in ["a", "b", "c"] {
        assert_eq!(files(&world.path(branch)), files(&main), "{branch}");
    }
    // Files and folders, the topmost and that of the database among them.
    assert_eq!(report.entries, 8);
}

#[test]
fn more_changes_than_the_system_tells_are_all_in_the_branch() {
    let told: usize =
        fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").map_or(0, |text| text.trim().parse().unwrap());
    let world = World::new(Place::in_memory(), FileView::FileCopy, |main| {
        ["one", "other"].iter().for_each(|file| fs::write(main.join(file), "").unwrap());
        fs::create_dir(main.join("folder")).unwrap();
    });
    let main = world.path("main");
    world::settle(&main);
    let prepared = world.prepare_create("x");
    // By turns: of two changes of one file, one after the other, one is told.
    for number in 0..=told {
        let file = main.join(if number % 2 == 0 { "one" } else { "other" });
        fs::write(file, number.to_string()).unwrap();
    }
    fs::write(main.join("folder/last"), "").unwrap();
    prepared.publish(&mut patience()).unwrap();
    assert_eq!(files(&world.path("x")), files(&main));
    assert!(world.path("x").join("folder/last").exists());
}

fn what_grows_comes_and_goes_all_the_time_does_not_stop_a_branch(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |main| {
        for number in 0..200 {
            fs::write(main.join(format!("file-{number}")), format!("{number}")).unwrap();
        }
    });
    let mut editor = Other::start("roles::edits_all_the_time", &world.path("main"));
    for round in 0..5 {
        editor.hears("edited");
        let branch = format!("x{round}");
        world.create(&branch).unwrap();
        let grows = fs::read(world.path(&branch).join("grows")).unwrap();
        assert!(grows.iter().all(|byte| *byte == b'g'), "a part of what is in it, and nothing else");
        let stay = (0..200).filter(|number| world.path(&branch).join(format!("file-{number}")).exists());
        assert_eq!(stay.count(), 200);
    }
    drop(editor);
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

fn what_a_branch_holds_is_told_from_what_it_shares(place: Place, kind: Kind, view: FileView) {
    const MIB: u64 = 1 << 20;
    let world = World::new(place, view, |main| {
        fs::write(main.join("big"), vec![b'm'; MIB as usize]).unwrap();
        fs::create_dir(main.join("folder")).unwrap();
        fs::hard_link(main.join("big"), main.join("folder/twin")).unwrap();
        fs::File::create(main.join("sparse")).unwrap().set_len(1 << 30).unwrap();
        fs::set_permissions(main.join("big"), fs::Permissions::from_mode(0o000)).unwrap();
    });
    let measure = |branch: &str| usage::measure(&world.path(branch)).unwrap();
    let mebibytes = |branch: &str| {
        let usage = measure(branch);
        (usage.exclusive_bytes / MIB, usage.shared_bytes / MIB)
    };
    assert_eq!(mebibytes("main"), (1, 0));
    world.create("x").unwrap();
    match kind {
        // Here a copy shares, too: the kernel makes a clone of it.
        Kind::Xfs | Kind::Btrfs | Kind::XfsLoop | Kind::Sparsebundle => {}
        Kind::Plain => return,
        Kind::Ext4 | Kind::Tmpfs | Kind::Tiny => {
            assert_eq!((mebibytes("main"), mebibytes("x")), ((1, 0), (1, 0)));
            assert_eq!(measure("x").shared_bytes, 0);
            return;
        }
    }
    assert_eq!((mebibytes("main"), mebibytes("x")), ((0, 1), (0, 1)));
    let before = measure("x");
    let big = fs::File::options().write(true).open(world.path("x").join("big")).unwrap();
    big.write_all_at(&[b'x'; 256 << 10], 0).unwrap();
    big.sync_all().unwrap();
    let after = measure("x");
    assert_eq!(after.exclusive_bytes - before.exclusive_bytes, 256 << 10);
    assert_eq!(before.shared_bytes - after.shared_bytes, 256 << 10);
}

fn a_reset_exchanges_files_database_and_record(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |_| ());
    world.create("x").unwrap();
    world.create("y").unwrap();
    fs::write(world.path("x").join("mark"), "x").unwrap();
    world.add_post("x", "on x");
    let report = world.reset("y", "x", false).unwrap();
    assert_eq!(fs::read(world.path("y").join("mark")).unwrap(), b"x");
    assert_eq!(world.posts("y"), ["hello", "on x"]);
    let record = branch::show(&world.site, &name("y")).unwrap().record;
    assert_eq!((record.from, record.generation), (Some(name("x")), report.generation));
    world.reset("main", "y", true).unwrap();
    assert_eq!(world.posts("main"), ["hello", "on x"]);
    assert_eq!(world.branches(), ["main", "x", "y"]);
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

fn a_deleted_branch_is_gone_but_for_what_is_kept(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |_| ());
    let kept = || fs::read_dir(world.site.layout.cow().kept_dir()).unwrap().count();
    world.create("x").unwrap();
    world.delete("x").unwrap();
    assert_eq!(world.branches(), ["main"]);
    assert!(!world.path("x").exists());
    assert!(!world.site.layout.cow().record(&name("x")).exists());
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    assert_eq!(kept(), 1);
    world.create("x").unwrap();
    assert_eq!(world.branches(), ["main", "x"]);
    let purged = mutation::delete(&world.site, &name("x"), true, &mut patience(), &Silent).unwrap();
    assert_eq!((world.branches(), kept()), (vec!["main".to_owned()], 1));
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    let id = purged.operation.id;
    let refused = world.undo(Some(id)).unwrap_err();
    assert!(matches!(refused, UndoError::Change(ChangeError::NotKept { id: refused, .. }) if refused == id));
}

fn an_undo_gives_a_branch_back_what_it_had_and_can_be_undone(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |_| ());
    world.create("x").unwrap();
    fs::write(world.path("x").join("mark"), "x").unwrap();
    world.add_post("x", "on x");
    let record = branch::show(&world.site, &name("x")).unwrap().record;
    let is_x = || {
        assert_eq!(fs::read(world.path("x").join("mark")).unwrap(), b"x");
        assert_eq!(world.posts("x"), ["hello", "on x"]);
        let now = branch::show(&world.site, &name("x")).unwrap().record;
        assert_eq!((&now.created_at, &now.from), (&record.created_at, &record.from));
    };
    let is_main = || {
        assert!(!world.path("x").join("mark").exists());
        assert_eq!(world.posts("x"), ["hello"]);
    };
    let is_gone = || assert_eq!((world.branches(), world.path("x").exists()), (vec!["main".to_owned()], false));

    world.reset("x", "main", false).unwrap();
    is_main();
    world.delete("x").unwrap();
    is_gone();
    let back = world.undo(None).unwrap().operation;
    is_main();
    world.undo(None).unwrap();
    is_x();
    let created = world.undo(None).unwrap().operation;
    is_gone();
    assert!(matches!(world.undo(None).unwrap_err(), UndoError::MadeMain), "the operation before made main");
    world.undo(Some(created.id)).unwrap();
    is_x();
    // The undo of the delete, undone: what the delete did is done again, to what is there now.
    world.undo(Some(back.id)).unwrap();
    is_gone();
    world.undo(None).unwrap();
    is_x();
    assert_eq!(world.branches(), ["main", "x"]);
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

/// A site whose `main` has files to edit.
fn editable(place: Place, view: FileView) -> World {
    World::new(place, view, |main| {
        fs::create_dir_all(main.join("plugin/inner")).unwrap();
        for (path, text) in [("plugin/a.php", "a"), ("plugin/b.php", "b"), ("plugin/inner/only.php", "only")] {
            fs::write(main.join(path), text).unwrap();
        }
        fs::set_permissions(main.join("plugin/a.php"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("a.php", main.join("plugin/link.php")).unwrap();
        fs::write(main.join("flat"), "flat").unwrap();
    })
}

fn an_apply_changes_what_it_names_and_nothing_else_and_can_be_undone_and_done_again(
    place: Place,
    _: Kind,
    view: FileView,
) {
    let world = editable(place, view);
    world.create("x").unwrap();
    let branch = world.path("x");
    let (before, folder) = (files(&branch), fs::metadata(&branch).unwrap().ino());
    let mut edits = Edits::of(&[
        ("plugin/a.php", Some("a"), Some("#!a")),
        ("plugin/b.php", Some("b"), None),
        ("plugin/link.php", Some("->a.php"), Some("->/etc/passwd")),
        // A folder becomes a file, and a file a folder.
        ("plugin/inner/only.php", Some("only"), None),
        ("plugin/inner", None, Some("file")),
        ("flat", Some("flat"), None),
        ("flat/deep/file\n", None, Some("deep")),
        ("flat/link", None, Some("->deep")),
    ]);
    let prepared = world.prepare_apply("x", &mut edits);
    assert_eq!(files(&branch), before, "nothing is to be seen of what is prepared");
    fs::write(branch.join("index.php"), "<?php // written meanwhile").unwrap();
    world.add_post("x", "written meanwhile");
    let report = prepared.publish(&mut patience()).unwrap();
    assert_eq!(report.operation.to_string(), "apply to x with 1a2b3c4");
    let after = files(&branch);
    let text = |text: &[(&str, &str)]| text.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let expected: BTreeMap<String, String> = text(&[
        ("flat/deep/file\n", "deep"),
        ("flat/link", "->deep"),
        ("index.php", "<?php // written meanwhile"),
        ("plugin/a.php", "#!a"),
        ("plugin/inner", "file"),
        ("plugin/link.php", "->/etc/passwd"),
    ]);
    assert_eq!(after, expected);
    assert_eq!(fs::metadata(&branch).unwrap().ino(), folder, "the folder is the same");
    let mode = |path: &str| fs::metadata(branch.join(path)).unwrap().mode() & 0o777;
    assert_eq!(mode("plugin/a.php"), 0o750, "who may read it may run it");
    assert_eq!(mode("flat"), mode(""), "a new folder is like the one that it is in");
    assert_eq!(branch::show(&world.site, &name("x")).unwrap().record.generation, report.generation);
    assert_eq!(world.posts("x"), ["hello", "written meanwhile"]);
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());

    fs::write(branch.join("plugin/a.php"), "#!later").unwrap();
    world.undo(None).unwrap();
    let mut undone = before;
    undone.insert("index.php".to_owned(), "<?php // written meanwhile".to_owned());
    assert_eq!(files(&branch), undone);
    assert_eq!(mode("plugin/a.php"), 0o640);
    assert_eq!(world.posts("x"), ["hello", "written meanwhile"], "the database is nobody's to take back");
    let undo = mutation::history::History::read(world.site.layout.cow()).unwrap().entries.last().unwrap().id;
    world.undo(Some(undo)).unwrap();
    let mut again = after;
    again.insert("plugin/a.php".to_owned(), "#!later".to_owned());
    assert_eq!(files(&branch), again, "what the undo took away is kept in turn");
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    assert_eq!(fs::read_dir(world.site.layout.cow().kept_dir()).unwrap().count(), 1);
}

fn an_apply_is_refused_whole_where_a_file_is_not_what_it_is_thought_to_be(place: Place, _: Kind, view: FileView) {
    let world = editable(place, view);
    let branch = world.path("main");
    let before = files(&branch);
    let edits = || Edits::of(&[("plugin/a.php", Some("a"), Some("A")), ("new/file", None, Some("new"))]);
    let refused = |result: Result<mutation::Report, ChangeError>, path: &str| {
        let Err(ChangeError::Put(PutError::Stale { paths })) = result else { panic!("{result:?}") };
        assert_eq!(paths, [Path::new(path)]);
        assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    };
    refused(world.apply("main", &mut Edits::of(&[("plugin/b.php", Some("other"), None)])), "plugin/b.php");
    refused(world.apply("main", &mut Edits::of(&[("index.php/below", None, Some("x"))])), "index.php/below");
    assert_eq!(files(&branch), before);

    let mut these = edits();
    let prepared = world.prepare_apply("main", &mut these);
    fs::write(branch.join("plugin/a.php"), "b").unwrap();
    refused(prepared.publish(&mut patience()), "plugin/a.php");
    fs::write(branch.join("plugin/a.php"), "a").unwrap();
    let prepared = world.prepare_apply("main", &mut these);
    fs::create_dir(branch.join("new")).unwrap();
    fs::write(branch.join("new/file"), "").unwrap();
    refused(prepared.publish(&mut patience()), "new/file");
    fs::remove_dir_all(branch.join("new")).unwrap();

    // A folder is replaced only as long as nothing is in it but what goes.
    let mut flatten = Edits::of(&[("plugin/inner/only.php", Some("only"), None), ("plugin/inner", None, Some("x"))]);
    let prepared = world.prepare_apply("main", &mut flatten);
    fs::write(branch.join("plugin/inner/foreign"), "").unwrap();
    refused(prepared.publish(&mut patience()), "plugin/inner");
    fs::remove_file(branch.join("plugin/inner/foreign")).unwrap();
    assert_eq!(files(&branch), before);
    world.apply("main", &mut edits()).unwrap();
}

fn an_apply_never_leads_through_a_symlink(place: Place, _: Kind, view: FileView) {
    let world = editable(place, view);
    let (branch, outside) = (world.path("main"), tempfile::tempdir().unwrap());
    fs::write(outside.path().join("file"), "outside").unwrap();
    symlink(outside.path(), branch.join("away")).unwrap();
    for edit in [("away/new", None, Some("x")), ("away/file", None, Some("x")), ("away/file", None, None)] {
        let result = world.apply("main", &mut Edits::of(&[edit]));
        assert!(
            result.is_ok() == edit.2.is_none() || matches!(result, Err(ChangeError::Put(PutError::Stale { .. }))),
            "{edit:?}"
        );
    }
    let mut edits = Edits::of(&[("plugin/new", None, Some("x")), ("plugin/b.php", Some("b"), None)]);
    let prepared = world.prepare_apply("main", &mut edits);
    fs::rename(branch.join("plugin"), outside.path().join("plugin")).unwrap_or_else(|_| {
        Command::new("mv").arg(branch.join("plugin")).arg(outside.path()).status().unwrap();
    });
    symlink(outside.path().join("plugin"), branch.join("plugin")).unwrap();
    assert!(matches!(prepared.publish(&mut patience()), Err(ChangeError::Put(PutError::Stale { .. }))));
    let create = world.create_with("x", &mut edits);
    assert!(create.is_err(), "{create:?}");
    assert!(!world.path("x").exists());
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    assert!(outside.path().join("plugin/b.php").exists());
    assert!(!outside.path().join("plugin/new").exists());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 2);
}

/// Why an undo was refused, where any mutation would have been.
fn not_of_undo(error: UndoError) -> ChangeError {
    let UndoError::Change(error) = error else { panic!("{error:?}") };
    error
}

/// What is refused names this path of the branch, changes nothing and leaves nothing.
fn refuses(world: &World, path: &str, mutate: &dyn Fn() -> Result<mutation::Report, ChangeError>) {
    let before = files(&world.path("main"));
    let error = mutate().unwrap_err();
    let ChangeError::Put(PutError::Refused { path: refused, .. }) = &error else { panic!("{error:?}") };
    assert_eq!(refused, Path::new(path), "{}", message(&error));
    assert_eq!(files(&world.path("main")), before);
    assert_eq!(world.branches(), ["main"]);
    assert!(world.site.layout.cow().record(&BranchName::main()).exists(), "main is served");
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

fn what_the_file_system_refuses_is_refused_by_name_before_anything_changes(place: Place, _: Kind, view: FileView) {
    let world = editable(place, view);
    let long_name = "n".repeat(256);
    let (new_folder, nested) = (format!("new/{long_name}/file"), format!("a/b/c/{long_name}"));
    let deep = "folder/".repeat(600) + "file";
    let all = [&*long_name, &new_folder, &nested, &format!("plugin/{long_name}"), &deep];
    for path in all {
        let edits = || {
            Edits::of(&[("plugin/b.php", Some("b"), None), ("flat", Some("flat"), Some("F")), (path, None, Some("x"))])
        };
        let named = if path == new_folder { &new_folder[..new_folder.len() - "/file".len()] } else { path };
        refuses(&world, named, &|| world.apply("main", &mut edits()));
        refuses(&world, named, &|| world.create_with("x", &mut edits()));
    }
    let target = format!("->{}", "t".repeat(5000));
    let edits = || Edits::of(&[("flat", Some("flat"), None), ("link", None, Some(&target))]);
    refuses(&world, "link", &|| world.apply("main", &mut edits()));
    refuses(&world, "link", &|| world.create_with("x", &mut edits()));
    // One byte less is none too many.
    let fits = format!("new/{}", &long_name[1..]);
    world.apply("main", &mut Edits::of(&[(&fits, None, Some("x"))])).unwrap();
    assert_eq!(files(&world.path("main"))[&fits], "x");
}

fn a_file_that_nobody_may_change_refuses_an_apply_and_its_undo_by_name(place: Place, _: Kind, view: FileView) {
    let world = editable(place, view);
    let main = world.path("main");
    let edits = || {
        Edits::of(&[
            ("flat", Some("flat"), None),
            ("plugin/a.php", Some("a"), Some("A")),
            ("plugin/new/file", None, Some("new")),
        ])
    };
    for (path, flag, named) in [
        ("plugin/a.php", "i", "plugin/a.php"),
        ("plugin/a.php", "a", "plugin/a.php"),
        ("plugin", "i", "plugin/a.php"),
        ("", "i", "flat"),
    ] {
        let Some(_fixed) = Fixed::set(&main.join(path), flag) else { return };
        refuses(&world, named, &|| world.apply("main", &mut edits()));
    }
    world.apply("main", &mut edits()).unwrap();
    {
        let _fixed = Fixed::set(&main.join("plugin/new"), "i").unwrap();
        refuses(&world, "plugin/new/file", &|| world.undo(None).map_err(not_of_undo));
    }
    world.undo(None).unwrap();
    assert_eq!(files(&main)["flat"], "flat");
}

/// What not even root may change. It may be again when this is dropped.
struct Fixed(PathBuf, String);

impl Fixed {
    /// None, and a word on stderr, where the file system has no such flag.
    fn set(path: &Path, flag: &str) -> Option<Self> {
        let is_set = Command::new("chattr").arg(format!("+{flag}")).arg(path).status().unwrap().success();
        if !is_set {
            eprintln!("SKIPPED: no chattr at {}", path.display());
        }
        is_set.then(|| Self(path.to_owned(), flag.to_owned()))
    }
}

impl Drop for Fixed {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg(format!("-{}", self.1)).arg(&self.0).status();
    }
}

#[test]
fn what_another_user_than_root_may_not_change_is_refused_by_name_before_anything_changes() {
    let place = Place::of(Kind::Plain).unwrap();
    std::os::unix::fs::chown(&place.root, Some(NOBODY), Some(NOBODY)).unwrap();
    Other::start_as(NOBODY, "roles::is_refused_what_modes_forbid", &place.root).wait();
}

fn a_branch_created_with_files_is_its_source_but_for_them(place: Place, _: Kind, view: FileView) {
    let world = editable(place, view);
    let source = files(&world.path("main"));
    let mut edits = Edits::of(&[
        ("plugin/a.php", None, Some("pushed")),
        ("plugin/inner/only.php", None, None),
        ("new/file", None, Some("new")),
    ]);
    let report = world.create_with("x", &mut edits).unwrap();
    assert_eq!(report.operation.to_string(), "create x from main with 1a2b3c4");
    let mut expected = source.clone();
    expected.insert("plugin/a.php".to_owned(), "pushed".to_owned());
    expected.insert("new/file".to_owned(), "new".to_owned());
    expected.remove("plugin/inner/only.php");
    assert_eq!(files(&world.path("x")), expected);
    assert_eq!(files(&world.path("main")), source);
    assert_eq!(world.posts("x"), ["hello"]);
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    world.undo(None).unwrap();
    assert_eq!(world.branches(), ["main"]);
}

fn a_branch_whose_tree_is_edited_is_its_source_but_for_that(place: Place, _: Kind, view: FileView) {
    let world = editable(place, view);
    let mut expected = files(&world.path("main"));
    let report = world.create_edited("x", &mut TreeWork { fails: false }).unwrap();
    assert_eq!(report.operation.to_string(), "create x from main with blueprint");
    expected.insert("made".to_owned(), "by an edit".to_owned());
    assert_eq!(files(&world.path("x")), expected);
    assert_eq!(world.posts("x"), ["hello", "edited"]);
    assert_eq!(world.posts("main"), ["hello"]);
    assert_eq!(mutation::late::look(&world.site).unwrap(), Vec::<PathBuf>::new());
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    world.undo(None).unwrap();
    assert_eq!(world.branches(), ["main"]);
}

fn a_failed_edit_leaves_nothing_of_the_branch(place: Place, _: Kind, view: FileView) {
    let world = editable(place, view);
    let error = world.create_edited("x", &mut TreeWork { fails: true }).unwrap_err();
    assert_eq!(error.to_string(), "no such plugin");
    assert_eq!(world.branches(), ["main"]);
    assert_eq!(world.posts("main"), ["hello"]);
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    world.create_edited("x", &mut TreeWork { fails: false }).unwrap();
}

fn a_foreign_writer_delays_a_branch_and_never_tears_it(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |_| ());
    let prepared = world.prepare_create("x");
    let mut writer = Other::start("roles::writes_half", &world.path("main"));
    writer.hears("half written");
    // The other half is written only once the publish has begun or is over: what it gives is all or nothing.
    writer.say("go on");
    prepared.publish(&mut patience()).unwrap();
    writer.wait();
    let (posts, count): (i64, i64) =
        (ask(&world.path("x"), "SELECT count(*) FROM posts"), ask(&world.path("x"), "SELECT posts FROM counts"));
    assert_eq!(posts, count);
    match view {
        FileView::BtrfsSnapshot | FileView::Reflink => assert_eq!(count, 2, "a clone waits for the writer"),
        _ => assert!(count == 1 || count == 2),
    }
    assert_eq!(ask::<String>(&world.path("x"), "PRAGMA integrity_check"), "ok");
}

fn a_foreign_writer_that_does_not_end_is_given_up_on(place: Place, _: Kind, view: FileView) {
    if view == FileView::FileCopy {
        return; // A backup needs no writer to end.
    }
    let world = World::new(place, view, |_| ());
    let prepared = world.prepare_create("x");
    let mut writer = Other::start("roles::writes_half", &world.path("main"));
    writer.hears("half written");
    let error = prepared.publish(&mut Patience::silent(Deadline::after(Duration::from_millis(50)))).unwrap_err();
    assert!(
        matches!(error.step(), Some(StepError::Database(DatabaseError::Busy { .. }))) && error.is_passing(),
        "{error}"
    );
    assert_eq!(world.branches(), ["main"]);
    assert!(!world.path("x").exists());
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    writer.say("go on");
    writer.wait();
    assert_eq!(ask::<i64>(&world.path("main"), "SELECT count(*) FROM posts"), 2);
}

fn every_branch_made_under_a_writing_process_is_whole(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |_| ());
    let mut writer = Other::start("roles::writes_all_the_time", &world.path("main"));
    let mut last = 0;
    for round in 0..5 {
        writer.hears("wrote");
        let branch = format!("x{round}");
        world.create(&branch).unwrap();
        let tree = world.path(&branch);
        assert_eq!(ask::<String>(&tree, "PRAGMA integrity_check"), "ok");
        let (posts, count): (i64, i64) =
            (ask(&tree, "SELECT count(*) FROM posts"), ask(&tree, "SELECT posts FROM counts"));
        assert_eq!(posts, count);
        assert!(count >= last, "a later branch has no less");
        last = count;
    }
    drop(writer);
    assert!(ask::<i64>(&world.path("main"), "SELECT posts FROM counts") >= last);
    assert_eq!(ask::<String>(&world.path("main"), "PRAGMA integrity_check"), "ok");
}

/// How many files are in each of the folders that are moved.
const MOVED: usize = 300;

fn folders_that_requests_move_and_move_back_all_the_time_are_whole_in_a_branch(place: Place, _: Kind, view: FileView) {
    let folders = ["first", "second"];
    let world = World::new(place, view, |main| {
        for folder in folders {
            let inner = main.join(folder).join("inner");
            fs::create_dir_all(&inner).unwrap();
            (0..MOVED).for_each(|number| fs::write(inner.join(number.to_string()), folder).unwrap());
        }
    });
    let mut mover = Other::start("roles::moves_folders_all_the_time", world.site.layout.work_dir());
    for round in 0..4 {
        mover.hears("moved");
        let branch = format!("x{round}");
        world.create(&branch).unwrap();
        let tree = world.path(&branch);
        assert!(!tree.join("away").exists());
        for folder in folders {
            let inner = tree.join(folder).join("inner");
            let whole =
                |number: &usize| fs::read_to_string(inner.join(number.to_string())).ok().as_deref() == Some(folder);
            assert_eq!((0..MOVED).filter(whole).count(), MOVED, "whole files of {folder} in {branch}");
        }
    }
}

fn a_database_without_a_log_is_in_wal_mode_in_the_branch(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |main| {
        fs::remove_file(database_of(main)).unwrap();
        make_database(main, "DELETE");
    });
    world.create("x").unwrap();
    // A connection that is not asked for a mode has the mode of the file.
    assert_eq!(ask::<String>(&world.path("x"), "PRAGMA journal_mode"), "wal");
    assert_eq!(world.posts("x"), ["hello"]);
    assert_eq!(ask::<String>(&world.path("main"), "PRAGMA journal_mode"), "delete", "the source is left as it was");
}

fn a_database_that_comes_goes_or_is_replaced_while_a_branch_is_prepared_is_followed(
    place: Place,
    _: Kind,
    view: FileView,
) {
    let world = World::new(place, view, |_| ());
    let database = database_of(&world.path("main"));
    let away = world.path("main").join("away");

    let prepared = world.prepare_create("gone");
    fs::rename(&database, &away).unwrap();
    prepared.publish(&mut patience()).unwrap();
    assert!(!database_of(&world.path("gone")).exists() && !wal_of(&database_of(&world.path("gone"))).exists());

    let prepared = world.prepare_create("came");
    fs::rename(&away, &database).unwrap();
    prepared.publish(&mut patience()).unwrap();
    assert_eq!(world.posts("came"), ["hello"]);

    let prepared = world.prepare_create("replaced");
    fs::copy(&database, &away).unwrap();
    open_at(&away).execute("INSERT INTO posts (title) VALUES ('in the other file')", []).unwrap();
    fs::rename(&away, &database).unwrap();
    prepared.publish(&mut patience()).unwrap();
    assert_eq!(world.posts("replaced"), ["hello", "in the other file"]);
}

fn open_at(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

fn a_process_that_dies_leaves_the_next_mutation_a_clean_site(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |_| ());
    let mut other = Other::start("roles::prepares_and_waits", world.site.layout.work_dir());
    other.hears("prepared");
    drop(other);
    assert_eq!(world.branches(), ["main"]);
    // A whole tree is taken only in the publish.
    assert_eq!(world.leftovers().is_empty(), view == FileView::BtrfsSnapshot);
    world.create("y").unwrap();
    assert_eq!(world.branches(), ["main", "y"]);
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    world.create("x").unwrap();
}

/// What other processes do. Each is started by a test above.
mod roles {
    use super::*;

    #[test]
    #[ignore = "a role that another test starts"]
    fn writes_half() {
        let connection = open(&my_place());
        connection.execute_batch("BEGIN IMMEDIATE; INSERT INTO posts (title) VALUES ('half')").unwrap();
        tell("half written");
        assert!(listen());
        connection.execute_batch("UPDATE counts SET posts = posts + 1; COMMIT").unwrap();
    }

    #[test]
    #[ignore = "a role that another test starts"]
    fn writes_all_the_time() {
        let connection = open(&my_place());
        // Not for ever: a test that fails may leave this one alone with the disk.
        for round in 0..20_000 {
            connection
                .execute_batch(
                    "BEGIN IMMEDIATE;
                     INSERT INTO posts (title) VALUES (hex(randomblob(500)));
                     UPDATE counts SET posts = posts + 1;
                     COMMIT",
                )
                .unwrap();
            if round % 10 == 0 {
                tell("wrote");
            }
        }
    }

    #[test]
    #[ignore = "a role that another test starts"]
    fn edits_all_the_time() {
        let main = my_place();
        let grows = fs::File::create(main.join("grows")).unwrap();
        // Not for ever: a test that fails may leave this one alone with the disk.
        for round in 0..20_000_u64 {
            grows.write_all_at(&[b'g'; 1000], round % 10_000 * 1000).unwrap();
            for number in 0..20 {
                let comes_and_goes = main.join(format!("folder-{number}"));
                fs::create_dir(&comes_and_goes).unwrap();
                fs::write(comes_and_goes.join("file"), "bytes").unwrap();
                fs::remove_file(comes_and_goes.join("file")).unwrap();
                fs::remove_dir(&comes_and_goes).unwrap();
            }
            if round % 10 == 0 {
                tell("edited");
            }
        }
    }

    #[test]
    #[ignore = "a role that another test starts"]
    fn moves_folders_all_the_time() {
        let site = forkpress_engine::site::Site::open(&my_place()).unwrap();
        let main = site.layout.branch(&BranchName::main());
        let files = Arc::new(OperationsFiles::open(site.layout.cow()).unwrap());
        let rename = |from: &str, to: &str| fs::rename(main.join(from), main.join(to)).unwrap();
        // Not for ever: a test that fails may leave this one alone with the disk.
        for round in 0..200_000 {
            let request = SharedOperations::lock(&files, Deadline::NEVER, None).unwrap();
            rename("first", "away");
            if round % 2 == 0 {
                rename("second", "first");
                rename("first", "second");
            }
            rename("away", "first");
            request.release();
            if round % 10 == 0 {
                tell("moved");
            }
        }
    }

    #[test]
    #[ignore = "a role that another test starts"]
    fn creates_without_watches() {
        // That of this process's user namespace.
        fs::write("/proc/sys/user/max_inotify_instances", "0").unwrap();
        let site = forkpress_engine::site::Site::open(&my_place()).unwrap();
        for (number, change) in CHANGES.iter().enumerate() {
            is_like_its_source_after(&site, &[*change], &format!("x{number}"));
        }
    }

    #[test]
    #[ignore = "a role that another test starts"]
    fn creates_resets_and_deletes() {
        let root = my_place();
        let view = view::probe(&root);
        assert_eq!(view, FileView::BtrfsSnapshot);
        let world = World::at(&root, view, |_| ());
        world.create("x").unwrap();
        world.create("y").unwrap();
        world.add_post("y", "on y");
        world.reset("x", "y", false).unwrap();
        world.delete("y").unwrap();
        assert_eq!(world.posts("x"), ["hello", "on y"]);
        assert_eq!(world.branches(), ["main", "x"]);
        assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    }

    #[test]
    #[ignore = "a role that another test starts"]
    fn is_refused_what_modes_forbid() {
        let root = my_place();
        let world = World::at(&root, FileView::FileCopy, |main| {
            fs::create_dir_all(main.join("closed/inner")).unwrap();
            fs::create_dir(main.join("open")).unwrap();
            for path in ["closed/old", "closed/inner/old", "open/old", "goes"] {
                fs::write(main.join(path), "old").unwrap();
            }
        });
        let main = world.path("main");
        let mode = |path: &str, mode| fs::set_permissions(main.join(path), fs::Permissions::from_mode(mode)).unwrap();
        mode("closed", 0o555);
        let cases = [
            ("closed/new", None, Some("new")),
            ("closed/old", Some("old"), Some("new")),
            ("closed/old", Some("old"), None),
            ("closed/new/folder/file", None, Some("new")),
            ("closed/link", None, Some("->old")),
        ];
        for case in cases {
            let edits = || Edits::of(&[("goes", Some("old"), None), ("open/old", Some("old"), Some("new")), case]);
            refuses(&world, case.0, &|| world.apply("main", &mut edits()));
            // That finds it out in the clone.
            let error = world.create_with("x", &mut edits()).unwrap_err();
            let ChangeError::Put(PutError::Refused { path, .. }) = &error else { panic!("{error:?}") };
            assert!(Path::new(case.0).starts_with(path), "{}", message(&error));
            assert!(message(&error).contains(&format!("{}/x/closed", root.display())), "{}", message(&error));
            assert_eq!(world.branches(), ["main"]);
            assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
        }
        // A file in place of a folder with a folder that may not be emptied.
        let edits = || Edits::of(&[("closed/inner/old", Some("old"), None), ("closed", None, Some("flat"))]);
        mode("closed", 0o755);
        fs::remove_file(main.join("closed/old")).unwrap();
        mode("closed", 0o555);
        refuses(&world, "closed", &|| world.apply("main", &mut edits()));
        mode("closed", 0o755);
        let edits = &mut Edits::of(&[("goes", Some("old"), None), ("closed/inner/old", Some("old"), Some("new"))]);
        world.apply("main", edits).unwrap();
        mode("closed/inner", 0o555);
        refuses(&world, "closed/inner/old", &|| world.undo(None).map_err(not_of_undo));
        mode("closed/inner", 0o755);
        world.undo(None).unwrap();
        assert_eq!(files(&main)["closed/inner/old"], "old");
        assert_eq!(files(&main)["goes"], "old");
    }

    #[test]
    #[ignore = "a role that another test starts"]
    fn prepares_and_waits() {
        let site = forkpress_engine::site::Site::open(&my_place()).unwrap();
        let _prepared =
            mutation::prepare_create(&site, &name("x"), &BranchName::main(), &mut patience(), &Silent).unwrap();
        tell("prepared");
        listen();
    }
}

/// A subvolume that somebody else makes.
fn make_subvolume(path: &Path) {
    assert!(Command::new("btrfs").args(["-q", "subvolume", "create"]).arg(path).status().unwrap().success());
}

/// The device number of a subvolume is its own.
fn is_subvolume(path: &Path) -> bool {
    let metadata = fs::metadata(path).unwrap();
    metadata.ino() == 256 && metadata.dev() != fs::metadata(path.parent().unwrap()).unwrap().dev()
}

#[test]
fn a_tree_with_a_subvolume_inside_is_cloned_with_what_is_in_it() {
    let Some(place) = Place::of(Kind::Btrfs) else { return };
    let world = World::new(place, FileView::BtrfsSnapshot, |main| {
        fs::create_dir(main.join("deep")).unwrap();
        make_subvolume(&main.join("deep/inside"));
        fs::write(main.join("deep/inside/file"), "bytes").unwrap();
    });
    world.create("x").unwrap();
    assert_eq!(fs::read(world.path("x").join("deep/inside/file")).unwrap(), b"bytes");
    assert_eq!(describe(&world.path("x")), describe(&world.path("main")));
    assert!(is_subvolume(&world.path("x")) && !is_subvolume(&world.path("x").join("deep/inside")));
    world.reset("main", "x", true).unwrap();
    world.delete("x").unwrap();
    assert_eq!(world.branches(), ["main"]);
    let mut site = world.site.clone();
    site.config.keep.trees = 0;
    gc::drop_surplus(&site, &mut patience(), &Silent).unwrap();
    keep::empty_trash(&site).unwrap();
    let kept = fs::read_dir(site.layout.cow().kept_dir()).unwrap();
    assert_eq!(kept.count(), 0, "the old main, and the subvolume inside of it, went");
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn what_is_mounted_inside_a_tree_is_cloned_with_it() {
    let Some(place) = Place::of(Kind::Btrfs) else { return };
    let world = World::new(place, FileView::BtrfsSnapshot, |main| fs::create_dir(main.join("up loads")).unwrap());
    let uploads = world.path("main").join("up loads");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&uploads).status().unwrap();
    assert!(mounted.success());
    fs::write(uploads.join("file"), "bytes").unwrap();
    let created = world.create("x");
    assert!(Command::new("umount").arg(&uploads).status().unwrap().success());
    created.unwrap();
    assert_eq!(fs::read(world.path("x").join("up loads/file")).unwrap(), b"bytes");
}

#[test]
fn a_subvolume_that_comes_while_a_branch_is_prepared_is_not_left_out_silently() {
    let Some(place) = Place::of(Kind::Btrfs) else { return };
    let world = World::new(place, FileView::BtrfsSnapshot, |_| ());
    let prepared = world.prepare_create("x");
    make_subvolume(&world.path("main").join("inside"));
    let error = prepared.publish(&mut patience()).unwrap_err();
    assert!(message(&error).contains("subvolume or a mounted file system"), "{}", message(&error));
    assert_eq!(world.branches(), ["main"]);
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    world.create("x").unwrap();
}

#[test]
fn a_branch_that_is_no_subvolume_is_one_again_in_its_clones() {
    let Some(place) = Place::of(Kind::Btrfs) else { return };
    let world = World::new(place, FileView::BtrfsSnapshot, |_| ());
    let (main, old) = (world.path("main"), world.site.layout.public_root().join("old"));
    fs::rename(&main, &old).unwrap();
    assert!(Command::new("cp").arg("-a").arg(&old).arg(&main).status().unwrap().success());
    assert!(!is_subvolume(&main));
    world.create("x").unwrap();
    assert!(is_subvolume(&world.path("x")));
    assert_eq!(describe(&world.path("x")), describe(&main));
    assert_eq!(world.posts("x"), ["hello"]);
    world.reset("main", "x", true).unwrap();
    assert!(is_subvolume(&main));
    assert_eq!(world.create("y").unwrap().entries, 0);
}

#[test]
fn who_is_not_root_branches_subvolumes_too() {
    let Some(place) = Place::of(Kind::Btrfs) else { return };
    std::os::unix::fs::chown(&place.root, Some(NOBODY), Some(NOBODY)).unwrap();
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(place.root.parent().unwrap(), everybody).unwrap();
    Other::start_as(NOBODY, "roles::creates_resets_and_deletes", &place.root).wait();
    assert!(is_subvolume(&place.root.join("x")));
    assert!(!place.root.join("y").exists());
}

#[test]
fn the_view_btrfs_snapshot_is_for_btrfs_only() {
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Tmpfs] {
        let Some(place) = Place::of(kind) else { continue };
        assert!(!view::supports(FileView::BtrfsSnapshot, &place.root));
        assert!(view::create_tree_root(FileView::BtrfsSnapshot, &place.root.join("tree")).is_err());
        assert!(!place.root.join("tree").exists());
    }
}

/// A user who is not root.
const NOBODY: u32 = 65534;

fn plain_world() -> World {
    World::new(Place::of(Kind::Plain).unwrap(), FileView::FileCopy, |_| ())
}

/// The message of an error and of all that it was caused by.
fn message(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What a mutation was refused for.
fn refused<E: std::error::Error>(result: Result<mutation::Report, E>) -> String {
    message(&result.unwrap_err())
}

#[test]
fn what_makes_no_sense_is_refused_and_nothing_changes() {
    let world = plain_world();
    world.create("x").unwrap();
    let root = world.site.layout.public_root();
    fs::create_dir(root.join("folder")).unwrap();
    fs::write(root.join("file"), "").unwrap();
    symlink("main", root.join("link")).unwrap();
    let at = |name: &str| root.join(name).display().to_string();

    assert_eq!(refused(world.delete("main")), "cannot delete the main branch");
    assert_eq!(refused(world.reset("main", "x", false)), "refusing to reset main without --force");
    assert_eq!(refused(world.reset("x", "x", true)), "cannot reset a branch from itself");
    assert_eq!(refused(world.reset("main", "main", true)), "cannot reset a branch from itself");
    assert_eq!(refused(world.create("x")), "branch 'x' already exists");
    assert_eq!(refused(world.reset("none", "main", false)), "branch 'none' does not exist");
    assert_eq!(refused(world.delete("none")), "branch 'none' does not exist");
    assert_eq!(
        refused(mutation::create(&world.site, &name("y"), &name("none"), &mut patience(), &Silent)),
        "cannot take the branch 'none' as the source: branch 'none' does not exist"
    );
    for taken in ["folder", "file", "link"] {
        let in_the_way = format!("{} is in the way of the new branch '{taken}'", at(taken));
        assert_eq!(refused(world.create(taken)), in_the_way);
        let no_record = format!("{} has no record, so it is not a branch", at(taken));
        assert_eq!(refused(world.delete(taken)), no_record);
        assert_eq!(refused(world.reset(taken, "main", false)), no_record);
    }
    fs::rename(root.join("x"), root.join("elsewhere")).unwrap();
    symlink("elsewhere", root.join("x")).unwrap();
    let not_a_folder = format!("{} is not a folder, so branch 'x' cannot be used", at("x"));
    assert_eq!(refused(world.delete("x")), not_a_folder);
    assert_eq!(refused(world.reset("x", "main", false)), not_a_folder);
    assert_eq!(world.branches(), ["main"]);
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn a_damaged_database_is_refused() {
    let world = plain_world();
    let database = database_of(&world.path("main"));
    let file = fs::File::options().write(true).open(&database).unwrap();
    file.write_all_at(&[0xff; 2000], 4096).unwrap();
    let error = world.create("x").unwrap_err();
    assert!(matches!(error.step(), Some(StepError::Database(DatabaseError::Damaged { .. }))), "{}", message(&error));
    fs::write(&database, "this is no database at all, it is some text").unwrap();
    let error = world.create("x").unwrap_err();
    assert!(matches!(error.step(), Some(StepError::Database(DatabaseError::Damaged { .. }))), "{}", message(&error));
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn a_database_outside_of_the_tree_is_refused() {
    let world = plain_world();
    let folder = world.path("main").join("wp-content/database");
    let elsewhere = world.site.layout.public_root().join("elsewhere");
    fs::rename(&folder, &elsewhere).unwrap();
    symlink(&elsewhere, &folder).unwrap();
    let error = world.create("x").unwrap_err();
    assert!(matches!(error.step(), Some(StepError::Database(DatabaseError::NotInTree { .. }))), "{}", message(&error));
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn a_tree_without_a_database_is_a_branch_without_one() {
    let world = plain_world();
    fs::remove_dir_all(world.path("main").join("wp-content")).unwrap();
    world.create("x").unwrap();
    assert_eq!(describe(&world.path("x")), describe(&world.path("main")));
}

#[test]
fn on_a_full_disk_the_site_stays_as_it_was() {
    let Some(place) = Place::of(Kind::Tiny) else { return };
    let world = World::new(place, FileView::FileCopy, |main| fs::write(main.join("big"), vec![1; 2 << 20]).unwrap());
    let error = world.create("x").unwrap_err();
    assert!(message(&error).contains("No space left on device"), "{}", message(&error));
    assert_eq!(world.branches(), ["main"]);
    assert!(!world.path("x").exists());
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    fs::write(world.path("main").join("big"), "").unwrap();
    world.create("x").unwrap();
    assert_eq!(world.posts("x"), ["hello"]);
}

#[test]
fn a_full_disk_takes_from_what_is_kept_oldest_first() {
    let Some(place) = Place::of(Kind::Tiny) else { return };
    let world = World::new(place, FileView::FileCopy, |main| fs::write(main.join("big"), vec![1; 1 << 20]).unwrap());
    for branch in ["old", "new"] {
        world.create(branch).unwrap();
        let kept = world.delete(branch).unwrap().operation;
        assert!(world.site.layout.cow().kept_tree(kept.slot).exists());
    }
    world.create("x").unwrap();
    let kept: Vec<_> = mutation::history::History::read(world.site.layout.cow())
        .unwrap()
        .entries
        .iter()
        .filter(|entry| world.site.layout.cow().kept_tree(entry.slot).exists())
        .map(|entry| entry.name.to_string())
        .collect();
    assert_eq!(kept, ["new"]);
    assert_eq!(world.branches(), ["main", "x"]);
    assert_eq!(world.posts("x"), ["hello"]);
    assert_eq!(world.undo(None).unwrap().operation.name, name("x"), "what needs no space needs no room");
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn what_exceeds_the_bounds_is_dropped_and_what_is_left_can_be_undone() {
    let mut world = plain_world();
    for branch in ["a", "b", "c"] {
        world.create(branch).unwrap();
        world.delete(branch).unwrap();
    }
    world.site.config.keep.trees = 1;
    let kept = || fs::read_dir(world.site.layout.cow().kept_dir()).unwrap().count();
    let surplus = mutation::keep::surplus(&world.site).unwrap();
    let names: Vec<_> = surplus.iter().map(|kept| kept.operation.name.as_str()).collect();
    assert_eq!((names, kept()), (vec!["a", "b"], 3));
    assert!(surplus.iter().all(|kept| kept.bytes > 0));
    mutation::gc::clean(&world.site, &mut patience()).unwrap();
    assert_eq!(kept(), 1);
    world.undo(None).unwrap();
    assert_eq!(world.branches(), ["main", "c"]);
    let error = world.undo(Some(surplus[1].operation.id)).unwrap_err();
    assert!(matches!(error, UndoError::Change(ChangeError::NotKept { .. })), "{error}");
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn what_a_dead_mutation_left_is_cleared_before_anything_is_dropped() {
    let world = plain_world();
    let left = world.site.layout.cow().staged_tree(&name("died"));
    fs::create_dir(&left).unwrap();
    gc::drop_surplus(&world.site, &mut patience(), &Silent).unwrap();
    assert!(!left.exists());
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn of_those_that_clean_one_waits_for_the_one_at_work_and_more_have_nothing_to_do() {
    let world = plain_world();
    let cow = world.site.layout.cow();
    let dead = cow.trash_dir().join("dead");
    fs::create_dir(&dead).unwrap();
    let lock = |folder: &Path| {
        let folder = fs::File::open(folder).unwrap();
        rustix::fs::flock(&folder, rustix::fs::FlockOperation::LockExclusive).unwrap();
        folder
    };
    let (at_work, waits) = (lock(&cow.log_dir()), lock(cow.dir()));
    gc::clean(&world.site, &mut patience()).unwrap();
    assert!(dead.exists(), "it is left to the one that waits");
    drop(waits);
    std::thread::scope(|scope| {
        let cleaner = scope.spawn(|| gc::clean(&world.site, &mut patience()).unwrap());
        // Asked of the kernel: who tries the lock may be what keeps the cleaner from having it.
        let folder = format!(":{} ", fs::metadata(cow.dir()).unwrap().ino());
        let is_waiting = || fs::read_to_string("/proc/locks").unwrap().contains(&folder);
        while !is_waiting() {
            std::thread::yield_now();
        }
        assert!(dead.exists(), "the one that waits begins after the one at work has ended");
        drop(at_work);
        cleaner.join().unwrap();
    });
    assert!(!dead.exists());
}

#[test]
fn a_kept_tree_is_measured_once_and_anew_when_asked() {
    let mut world = plain_world();
    world.create("a").unwrap();
    world.delete("a").unwrap();
    mutation::gc::clean(&world.site, &mut patience()).unwrap();
    let tree = fs::read_dir(world.site.layout.cow().kept_dir()).unwrap().next().unwrap().unwrap().path();
    let bytes = || {
        let slot = tree.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let note = fs::read_to_string(world.site.layout.cow().kept_bytes(slot)).unwrap();
        note.split_once(' ').unwrap().1.parse::<u64>().unwrap()
    };
    let noted = bytes();
    fs::write(tree.join("later"), vec![1; 4 << 20]).unwrap();
    fs::File::open(tree.join("later")).unwrap().sync_all().unwrap();
    world.site.config.keep.bytes = noted + (1 << 20);
    mutation::gc::clean(&world.site, &mut patience()).unwrap();
    assert!(tree.exists());
    assert_eq!(mutation::keep::surplus(&world.site).unwrap().len(), 1);
}

#[test]
fn a_dropped_preparation_leaves_nothing() {
    let world = plain_world();
    drop(world.prepare_create("x"));
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
    world.create("x").unwrap();
}

#[test]
fn a_branch_of_that_name_made_by_hand_in_the_meantime_is_refused() {
    let world = plain_world();
    let prepared = world.prepare_create("x");
    fs::create_dir(world.path("x")).unwrap();
    let error = prepared.publish(&mut patience()).unwrap_err();
    assert!(matches!(error, ChangeError::InTheWay { .. }), "{error}");
    assert_eq!(fs::read_dir(world.path("x")).unwrap().count(), 0);
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn a_journal_that_cannot_be_understood_stops_mutations() {
    let world = plain_world();
    world.create("x").unwrap();
    fs::write(world.site.layout.cow().intent(), "operation = 'bake'\n").unwrap();
    let Err(DeleteError::Change(error)) = world.delete("x") else { panic!("deleted") };
    assert!(matches!(error.step(), Some(StepError::Journal { .. })), "{error}");
    assert_eq!(world.branches(), ["main", "x"]);
}

#[test]
fn settings_that_cannot_be_read_stop_mutations() {
    let world = plain_world();
    let settings = world.site.layout.config();
    let text = fs::read_to_string(&settings).unwrap();
    for damaged in ["file_view = 'reflink'\n", "\0\0\0"] {
        fs::write(&settings, damaged).unwrap();
        assert!(matches!(world.create("x").unwrap_err().step(), Some(StepError::Config(_))), "{damaged:?}");
    }
    fs::remove_file(&settings).unwrap();
    assert!(matches!(world.create("x").unwrap_err().step(), Some(StepError::Config(_))));
    fs::write(&settings, text).unwrap();
    world.create("x").unwrap();
}

#[test]
fn a_record_of_an_earlier_version_is_one_and_the_next_operation_writes_its_number_into_it() {
    let world = plain_world();
    let record = |branch: &str| world.site.layout.cow().record(&name(branch));
    let text = fs::read_to_string(record("main")).unwrap();
    assert!(text.contains("operation = 1\n"), "{text}");
    let old: String =
        text.lines().filter(|line| !line.starts_with("operation")).map(|line| line.to_owned() + "\n").collect();
    fs::write(record("main"), old).unwrap();
    world.create("x").unwrap();
    let report = world.apply("main", &mut Edits::of(&[("new", None, Some("x"))])).unwrap();
    let record = branch::show(&world.site, &BranchName::main()).unwrap().record;
    assert_eq!(record.operation, Some(report.operation.id));
    world.undo(None).unwrap();
    assert_eq!(branch::show(&world.site, &BranchName::main()).unwrap().record.operation, Some(report.operation.id + 1));
}

#[test]
fn a_record_aside_that_a_power_cut_brought_back_stops_no_push() {
    let world = plain_world();
    let cow = world.site.layout.cow();
    fs::copy(cow.record(&BranchName::main()), cow.record_aside(&BranchName::main())).unwrap();
    world.apply("main", &mut Edits::of(&[("new", None, Some("x"))])).unwrap();
    assert!(!cow.record_aside(&BranchName::main()).exists());
    assert_eq!(files(&world.path("main"))["new"], "x");
}

#[test]
fn what_cannot_be_removed_keeps_nothing_else_from_going_and_no_mutation_from_its_room() {
    let Some(place) = Place::of(Kind::Ext4) else { return };
    let root = place.root.clone();
    let world = World::new(place, FileView::FileCopy, |_| ());
    world.create("x").unwrap();
    fs::write(world.path("x").join("fixed"), "").unwrap();
    world.delete("x").unwrap();
    let mut site = world.site.clone();
    site.config.keep.trees = 0;
    gc::drop_surplus(&site, &mut patience(), &Silent).unwrap();
    let trash = fs::read_dir(site.layout.cow().trash_dir()).unwrap().next().unwrap().unwrap().path();
    let Some(fixed) = Fixed::set(&trash.join("fixed"), "i") else { return };
    world.create("y").unwrap();
    world.delete("y").unwrap();
    // With little of the disk free, all that can go goes, and the mutation goes on.
    let disk = rustix::fs::statvfs(&root).unwrap();
    let bytes = (disk.f_bavail * disk.f_frsize - (10 << 20)).to_string();
    assert!(Command::new("fallocate").args(["-l", &bytes]).arg(root.join("fill")).status().unwrap().success());
    site.config.keep.free_bytes = u64::MAX;
    mutation::create(&site, &name("z"), &BranchName::main(), &mut patience(), &Silent).unwrap();
    assert_eq!(fs::read_dir(site.layout.cow().kept_dir()).unwrap().count(), 0);
    assert!(gc::clean(&site, &mut patience()).is_err(), "it says what stays");
    drop(fixed);
    gc::clean(&site, &mut patience()).unwrap();
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn names_that_are_taken_are_those_of_records_and_of_all_that_stands_where_branches_or_their_links_do() {
    let Some(place) = Place::of(Kind::XfsLoop) else { return };
    let world = World::new(place, FileView::LinuxXfsLoop, |_| {});
    world.create("agent-1").unwrap();
    let layout = &world.site.layout;
    fs::remove_file(layout.public_branch(&name("agent-1"))).unwrap();
    fs::create_dir(layout.branch(&name("in-image"))).unwrap();
    fs::write(layout.public_root().join("beside"), "").unwrap();
    fs::copy(layout.cow().record(&BranchName::main()), layout.cow().record_aside(&name("aside"))).unwrap();
    let taken = branch::names_taken(&world.site).unwrap();
    for name in ["main", "agent-1", "in-image", "beside", "aside"] {
        assert!(taken.iter().any(|taken| taken == name), "{name}: {taken:?}");
    }
}

/// What is mounted where the image is to be is made use of only if it is the image.
fn refuses_a_foreign_mount(view: FileView) {
    let Some(place) = Place::of(Kind::XfsLoop) else { return };
    let world = World::new(place, view, |_| {});
    let (site, image) = (&world.site, world.site.layout.image().unwrap());
    let attach = || {
        let lifecycle = Lifecycle::lock(site.layout.cow(), "test", &mut patience()).unwrap();
        storage::attach(site, &lifecycle)
    };
    assert!(!attach().unwrap(), "it is attached");
    storage::unmount_unused(image).unwrap();
    assert!(Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(image.mount()).status().unwrap().success());
    let refused = attach();
    let made = fs::read_dir(image.mount()).unwrap().count();
    assert!(Command::new("umount").arg(image.mount()).status().unwrap().success());
    assert!(matches!(refused, Err(storage::StorageError::Foreign { .. })), "{refused:?}");
    assert_eq!(made, 0, "nothing is made in what is not ours");
    assert!(attach().unwrap());
    assert_eq!(world.branches(), ["main"]);
}

#[test]
fn what_is_mounted_in_place_of_an_xfs_image_is_not_taken_for_it() {
    refuses_a_foreign_mount(FileView::LinuxXfsLoop);
}

#[test]
fn what_is_mounted_in_place_of_a_sparse_bundle_is_not_taken_for_it() {
    if !place::again_with_hdiutil("what_is_mounted_in_place_of_a_sparse_bundle_is_not_taken_for_it") {
        refuses_a_foreign_mount(FileView::MacosApfsSparsebundle);
    }
}

#[test]
fn a_sparse_bundle_that_would_be_mounted_elsewhere_is_not_attached() {
    if place::again_with_hdiutil("a_sparse_bundle_that_would_be_mounted_elsewhere_is_not_attached") {
        return;
    }
    let Some(place) = Place::of(Kind::Sparsebundle) else { return };
    let world = World::new(place, FileView::MacosApfsSparsebundle, |_| {});
    let (site, image) = (&world.site, world.site.layout.image().unwrap());
    storage::unmount_unused(image).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let note = image.image().with_extension("sparsebundle.mounts-at");
    fs::write(&note, elsewhere.path().to_str().unwrap()).unwrap();
    let lifecycle = Lifecycle::lock(site.layout.cow(), "test", &mut patience()).unwrap();
    let refused = storage::attach(site, &lifecycle);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(elsewhere.path().to_str().unwrap()), "it is detached from there");
    assert!(message(&refused.unwrap_err()).contains("would mount it at"));
    assert_eq!(fs::read_dir(image.mount()).unwrap().count(), 0, "nothing is made where the image is to be");
    fs::remove_file(&note).unwrap();
    assert!(storage::attach(site, &lifecycle).unwrap());
    assert_eq!(world.branches(), ["main"]);
}

/// Has twenty branches come, write and go, and compacts: what the image takes of the disk is then what is in use.
fn churn_and_compact(view: FileView) {
    const BRANCHES: usize = 20;
    const MIB: usize = 1 << 20;
    let place = if view.image() == Some(ImageKind::XfsLoop) { Kind::XfsLoop } else { Kind::Sparsebundle };
    let Some(place) = Place::of(place) else { return };
    let mut world = World::new(place, view, |main| fs::write(main.join("common"), vec![1; 20 * MIB]).unwrap());
    world.site.config.keep = Keep { trees: 0, ..Keep::default() };
    let site = &world.site;
    let image = site.layout.image().unwrap();
    let usage = || {
        rustix::fs::sync();
        storage::ImageUsage::of(image).unwrap()
    };
    let empty_bytes = usage().allocated_bytes - 20 * MIB as u64;
    for round in 0..2_u8 {
        for number in 0..BRANCHES {
            let branch = format!("b{number}");
            world.create(&branch).unwrap();
            fs::write(world.path(&branch).join("own"), vec![round + 2; 6 * MIB]).unwrap();
        }
        // Every other branch of the second round stays.
        for number in (0..BRANCHES).filter(|number| round == 0 || number % 2 == 0) {
            world.delete(&format!("b{number}")).unwrap();
        }
        gc::clean(site, &mut patience()).unwrap();
    }
    let churned = usage();
    assert!(churned.reclaimable_bytes().unwrap() > 40 * MIB as u64, "{churned:?}");
    let in_use = empty_bytes + ((20 + BRANCHES / 2 * 6) * MIB) as u64;
    let lifecycle = Lifecycle::lock(site.layout.cow(), "test", &mut patience()).unwrap();
    let compacted = storage::compact(site, &lifecycle, &mut patience()).unwrap();
    assert_eq!(compacted.before_bytes, churned.allocated_bytes);
    let tenth = in_use / 10;
    assert!((in_use - tenth..in_use + tenth).contains(&compacted.after_bytes), "{compacted:?}, in use {in_use}");
    assert!(!storage::is_attached(image).unwrap());
    storage::attach(site, &lifecycle).unwrap();
    assert_eq!(world.branches().len(), 1 + BRANCHES / 2);
    assert_eq!(fs::read(world.path("b1").join("own")).unwrap(), vec![3; 6 * MIB]);
}

#[test]
fn what_branches_held_in_an_xfs_image_is_given_back() {
    churn_and_compact(FileView::LinuxXfsLoop);
}

#[test]
fn what_branches_held_in_a_sparse_bundle_is_given_back() {
    if !place::again_with_hdiutil("what_branches_held_in_a_sparse_bundle_is_given_back") {
        churn_and_compact(FileView::MacosApfsSparsebundle);
    }
}

#[test]
fn a_mutation_of_a_detached_site_is_refused_and_touches_nothing() {
    let Some(place) = Place::of(Kind::XfsLoop) else { return };
    let world = World::new(place, FileView::LinuxXfsLoop, |_| {});
    let (site, image) = (&world.site, world.site.layout.image().unwrap());
    storage::unmount_unused(image).unwrap();
    let error = world.create("x").unwrap_err();
    assert!(matches!(error.step(), Some(StepError::Branch(BranchError::Detached))), "{error}");
    let error = mutation::recover(site, &mut patience()).unwrap_err();
    assert!(matches!(error, RecoverError::Step(StepError::Branch(BranchError::Detached))), "{error}");
    assert!(matches!(branch::list(site), Err(BranchError::Detached)));
    assert_eq!(fs::read_dir(image.mount()).unwrap().count(), 0, "nothing is made where the image is to be");
}

#[test]
fn what_stands_where_a_link_is_to_be_is_in_the_way_and_stays() {
    let Some(place) = Place::of(Kind::XfsLoop) else { return };
    let world = World::new(place, FileView::LinuxXfsLoop, |_| {});
    let layout = &world.site.layout;
    fs::create_dir(layout.public_branch(&name("x"))).unwrap();
    assert!(matches!(world.create("x"), Err(ChangeError::InTheWay { .. })));
    symlink("elsewhere", layout.public_branch(&name("y"))).unwrap();
    assert!(matches!(world.create("y"), Err(ChangeError::InTheWay { .. })));
    assert_eq!(world.branches(), ["main"]);
    fs::remove_file(layout.public_branch(&BranchName::main())).unwrap();
    world.create("z").unwrap();
    assert!(storage::mend_link(layout, &BranchName::main()).unwrap());
    assert!(layout.public_branch(&BranchName::main()).join("index.php").is_file());
}

fn branches_created_together_are_each_like_their_source_and_of_their_own(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |main| {
        fs::write(main.join("file"), vec![b'm'; 100_000]).unwrap();
        fs::create_dir_all(main.join("folder/deep")).unwrap();
        fs::write(main.join("folder/one"), "linked").unwrap();
        fs::hard_link(main.join("folder/one"), main.join("folder/deep/two")).unwrap();
        symlink("nowhere", main.join("folder/link")).unwrap();
        fs::set_permissions(main.join("folder"), fs::Permissions::from_mode(0o555)).unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        fs::File::open(main.join("folder")).unwrap().set_modified(old).unwrap();
    });
    let log = world.posts("main");
    let branches: Vec<_> = (0..40).map(|number| format!("b{number}")).collect();
    let branches: Vec<_> = branches.iter().map(String::as_str).collect();
    let report = world.create_all(&branches).unwrap();
    assert_eq!(report.operation.names().map(BranchName::as_str).collect::<Vec<_>>(), branches);
    assert_eq!(world.branches().len(), 41);
    let main = files(&world.path("main"));
    for branch in &branches {
        let path = world.path(branch);
        assert_eq!(files(&path), main);
        assert_eq!(world.posts(branch), log);
        assert_eq!(branch::show(&world.site, &name(branch)).unwrap().record.generation, report.generation);
        let metadata = |path: &Path| fs::metadata(path).unwrap();
        let (folder, original) = (metadata(&path.join("folder")), metadata(&world.path("main").join("folder")));
        assert_eq!((folder.mode(), folder.mtime()), (original.mode(), original.mtime()));
        assert_eq!(metadata(&path.join("folder/one")).ino(), metadata(&path.join("folder/deep/two")).ino());
    }
    let file = fs::File::options().write(true).open(world.path("b7").join("file")).unwrap();
    file.write_all_at(b"x", 50_000).unwrap();
    world.add_post("b7", "on b7");
    assert_eq!(files(&world.path("b8")), main);
    assert_eq!(world.posts("b8"), ["hello"]);
    assert_eq!(world.posts("main"), ["hello"]);
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

fn branches_created_together_are_undone_and_done_again_together(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |_| ());
    let created = world.create_all(&["a", "b", "c"]).unwrap().operation.id;
    world.add_post("a", "on a");
    world.delete("b").unwrap();
    let undone = world.undo(Some(created)).unwrap().operation;
    assert_eq!(undone.names().map(BranchName::as_str).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(world.branches(), ["main"]);
    world.undo(Some(undone.id)).unwrap();
    assert_eq!(world.branches(), ["main", "a", "c"]);
    assert_eq!(world.posts("a"), ["hello", "on a"]);
    assert_eq!(branch::show(&world.site, &name("c")).unwrap().record.from, Some(BranchName::main()));
    // Again, and this time something is in the way of one.
    let undone = world.undo(Some(created)).map(|report| report.operation.id);
    assert!(undone.is_err(), "it is undone already");
    let kept = world.site.layout.cow().kept_tree(created);
    assert!(!kept.exists(), "nothing is kept of branches that are there");
    let again = world.create_all(&["d", "e"]).unwrap().operation.id;
    let undone = world.undo(None).unwrap().operation;
    assert_eq!(undone.undoes, Some(again), "the newest operation is all of it");
    world.create("e").unwrap();
    let refused = world.undo(Some(undone.id));
    assert!(matches!(refused, Err(UndoError::Change(ChangeError::Exists { name })) if name.as_str() == "e"));
    assert_eq!(world.branches(), ["main", "a", "c", "e"]);
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

fn branches_are_created_all_or_none(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |_| ());
    world.create("taken").unwrap();
    fs::create_dir(world.path("in-the-way")).unwrap();
    let refused = |branches: &[&str]| world.create_all(branches).unwrap_err().to_string();
    assert_eq!(refused(&["a", "taken", "b"]), "branch 'taken' already exists");
    assert!(refused(&["a", "in-the-way"]).contains("is in the way of the new branch 'in-the-way'"));
    assert_eq!(refused(&["a", "b", "a"]), "branch 'a' is named twice");
    assert_eq!(refused(&[]), "no branch to create");
    assert_eq!(world.branches(), ["main", "taken"]);
    assert!(!world.path("a").exists());
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

/// How many spares a view has: one that takes a tree as a whole needs none.
fn spares_of(view: FileView) -> usize {
    usize::from(view != FileView::BtrfsSnapshot)
}

fn a_branch_made_from_a_spare_is_like_its_source(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |main| {
        for number in 0..40 {
            fs::write(main.join(format!("file-{number}")), vec![number; 10_000]).unwrap();
        }
        fs::create_dir_all(main.join("folder/inner")).unwrap();
        fs::write(main.join("folder/file"), "bytes").unwrap();
        symlink("nowhere", main.join("link")).unwrap();
        fs::set_permissions(main.join("folder"), fs::Permissions::from_mode(0o750)).unwrap();
    });
    let main = world.path("main");
    assert_eq!(world.keep_spares(), (spares_of(view), 0));
    assert_eq!(world.keep_spares(), (0, 0), "one is enough");
    fs::write(main.join("file-1"), "changed").unwrap();
    fs::remove_file(main.join("file-2")).unwrap();
    fs::remove_file(main.join("link")).unwrap();
    fs::write(main.join("link"), "a file now").unwrap();
    fs::write(main.join("folder/new"), "new").unwrap();
    world.add_post("main", "after the spare");
    let report = world.create("x").unwrap();
    assert_eq!(world.spares(), 0, "it was taken");
    assert_eq!(files(&world.path("x")), files(&main));
    assert_eq!(world.posts("x"), ["hello", "after the spare"]);
    assert_eq!(branch::show(&world.site, &name("x")).unwrap().record.generation, report.generation);
    for path in ["", "folder", "folder/inner", "file-3", "folder/new"] {
        let (clone, original) = (world.path("x").join(path), main.join(path));
        let (clone, original) = (fs::metadata(clone).unwrap(), fs::metadata(original).unwrap());
        assert_eq!((clone.mode(), clone.mtime_nsec()), (original.mode(), original.mtime_nsec()), "{path}");
    }
    fs::write(world.path("x").join("file-5"), "on x").unwrap();
    assert_eq!(fs::read(main.join("file-5")).unwrap(), vec![5; 10_000]);

    // A reset takes one, too; who takes from another branch leaves it.
    assert_eq!(world.keep_spares(), (spares_of(view), 0));
    mutation::create(&world.site, &name("y"), &name("x"), &mut patience(), &Silent).unwrap();
    assert_eq!(world.spares(), spares_of(view));
    world.reset("x", "main", false).unwrap();
    assert_eq!(world.spares(), 0);
    assert_eq!(files(&world.path("x")), files(&main));
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

fn a_spare_of_a_main_that_changed_much_is_not_used_and_goes(place: Place, _: Kind, view: FileView) {
    let world = World::new(place, view, |main| fs::write(main.join("file"), "one").unwrap());
    world.create("other").unwrap();
    fs::write(world.path("other").join("file"), "other").unwrap();
    assert_eq!(world.keep_spares(), (spares_of(view), 0));
    world.reset("main", "other", true).unwrap();
    assert_eq!(world.keep_spares(), (spares_of(view), spares_of(view)));
    world.undo(None).unwrap();
    world.create("x").unwrap();
    assert_eq!(fs::read_to_string(world.path("x").join("file")).unwrap(), "one");
    assert_eq!(world.spares(), 0, "it was of no use");
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

/// Resets `main` when a spare of it is begun and takes that back when its files are cloned.
struct ResetsMain<'a> {
    world: &'a World,
}

impl forkpress_engine::progress::Progress for ResetsMain<'_> {
    fn begin(&self, phase: &str, _: Option<u64>) {
        match phase {
            "clone files" => drop(self.world.reset("main", "other", true).unwrap()),
            _ => drop(self.world.undo(None).unwrap()),
        }
    }

    fn advance(&self, _: u64) {}
    fn end(&self) {}
}

#[test]
fn a_spare_of_a_main_that_had_another_tree_meanwhile_is_thrown_away() {
    let world = World::new(Place::in_memory(), FileView::FileCopy, |main| fs::write(main.join("file"), "one").unwrap());
    world.create("other").unwrap();
    fs::write(world.path("other").join("file"), "other").unwrap();
    let kept = mutation::spare::keep(&world.site, &ResetsMain { world: &world }).unwrap();
    assert_eq!(fs::read_to_string(world.path("main").join("file")).unwrap(), "one");
    assert_eq!((kept.made, world.spares()), (0, 0));
    assert_eq!(fs::read_dir(world.site.layout.cow().spares_dir()).unwrap().count(), 0);
}

#[test]
fn a_spare_goes_when_the_disk_is_low_and_none_is_made() {
    let Some(place) = Place::of(Kind::Tiny) else { return };
    let mut world =
        World::new(place, FileView::FileCopy, |main| fs::write(main.join("file"), vec![1; 500_000]).unwrap());
    world.site.config.keep.free_bytes = u64::MAX;
    assert_eq!(world.keep_spares(), (1, 0));
    let free = rustix::fs::statvfs(world.path("main")).unwrap();
    let filler = vec![0; usize::try_from(free.f_bavail * free.f_frsize).unwrap() - 100_000];
    fs::write(world.site.layout.public_root().join("filler"), filler).unwrap();
    assert_eq!(world.keep_spares(), (0, 1));
    keep::empty_trash(&world.site).unwrap();
    assert_eq!(world.keep_spares(), (0, 0), "what there is room for without it is not enough");
}

#[test]
fn a_create_that_needs_room_takes_it_from_the_spares() {
    let Some(place) = Place::of(Kind::Tiny) else { return };
    let world = World::new(place, FileView::FileCopy, |main| fs::write(main.join("file"), vec![1; 1_100_000]).unwrap());
    world.create("x").unwrap();
    // Git needs less room for the file than the parting, which is rid of it then.
    forkpress_engine::git::parting::tidy(&world.site).unwrap();
    assert_eq!(world.keep_spares(), (1, 0));
    // Of another branch, so that the spare is of no other use.
    mutation::create(&world.site, &name("y"), &name("x"), &mut patience(), &Silent).unwrap();
    assert_eq!(world.spares(), 0);
    assert_eq!(world.branches(), ["main", "x", "y"]);
}

#[test]
#[ignore = "a role that another test starts"]
fn creates_when_told() {
    let site = forkpress_engine::site::Site::open(&my_place()).unwrap();
    tell("ready");
    assert!(listen());
    let own = name(&format!("by-{}", std::process::id()));
    mutation::create(&site, &own, &BranchName::main(), &mut patience(), &Silent).unwrap();
}

#[test]
fn two_creates_that_race_for_one_spare_are_both_whole() {
    let world = World::new(Place::in_memory(), FileView::FileCopy, |main| {
        for number in 0..100 {
            fs::write(main.join(format!("file-{number}")), vec![number; 1000]).unwrap();
        }
    });
    for round in 1..=3 {
        assert_eq!(world.keep_spares(), (1, 0));
        let mut others = [0; 2].map(|_| Other::start("creates_when_told", world.site.layout.work_dir()));
        others.iter_mut().for_each(|other| other.hears("ready"));
        others.iter_mut().for_each(|other| other.say("go"));
        others.into_iter().for_each(Other::wait);
        assert_eq!(world.spares(), 0);
        let branches = world.branches();
        assert_eq!(branches.len(), 1 + 2 * round);
        for branch in &branches {
            assert_eq!(files(&world.path(branch)), files(&world.path("main")));
            assert_eq!(world.posts(branch), ["hello"]);
        }
    }
    assert_eq!(world.leftovers(), Vec::<PathBuf>::new());
}

#[test]
fn a_spare_in_the_making_holds_no_create_up() {
    struct Creates<'a>(&'a World);
    impl forkpress_engine::progress::Progress for Creates<'_> {
        fn begin(&self, phase: &str, _: Option<u64>) {
            self.0.create(&phase.replace(' ', "-")).unwrap();
            assert_eq!(self.0.leftovers(), Vec::<PathBuf>::new());
        }
        fn advance(&self, _: u64) {}
        fn end(&self) {}
    }
    let world = World::new(Place::in_memory(), FileView::FileCopy, |_| ());
    let kept = mutation::spare::keep(&world.site, &Creates(&world)).unwrap();
    assert_eq!(kept.made, 1, "the recovery of a mutation leaves alone what a living process makes");
    assert_eq!(world.branches(), ["main", "clone-files", "sync"]);
}
