//! The files of a branch, beneath its folder: found alike by the kernel and by a walk, and never outside, also while another
//! process swaps folders for symlinks. That one is this very test binary, run again with [`SWAPPER`] set.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use forkpress_core::branchfs::{Access, BranchPath, FsError, Resolver, Root, rename};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;

const SWAPPER: &str = "FORKPRESS_SWAPPER_DIR";
const RESOLVERS: [Resolver; 2] = [Resolver::Kernel, Resolver::Walk];
const LONG: Duration = Duration::from_secs(60);

/// A branch `main` and what lies around it.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().unwrap() };
        for (file, content) in [
            ("main/a/b/c.txt", "c"),
            ("main/a/x.txt", "ax"),
            ("main/x.txt", "x"),
            ("main/wp-content/plugins/p.php", "p"),
            ("main/wp-content/database/.ht.sqlite", "data"),
            ("main/.forkpress/site.toml", "toml"),
            ("outside/secret.txt", "secret"),
            ("secret.txt", "secret"),
        ] {
            let path = world.path(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        for (link, target) in [
            ("main/to-a", "a"),
            ("main/a/to-b", "b/"),
            ("main/a/b/up", ".."),
            ("main/to-c", "to-a/to-b/c.txt"),
            ("main/broken", "nowhere"),
            ("main/loop", "loop"),
            ("main/out", "../outside"),
            ("main/a/out", "../../secret.txt"),
            ("main/etc", "/etc"),
            ("main/absolute", world.path("main/a").to_str().unwrap()),
            ("main/back", "../main/a"),
            ("main/to-database", "wp-content/database"),
            ("main/to-sqlite", "to-content/database/.ht.sqlite"),
            ("main/to-content", "wp-content"),
        ] {
            symlink(target, world.path(link)).unwrap();
        }
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn root(&self, resolver: Resolver) -> Root {
        Root::new(&self.path("main"), resolver).unwrap()
    }
}

fn path(path: &str) -> BranchPath<'_> {
    BranchPath::new(path.as_bytes())
}

fn read(root: &Root, at: &str) -> Result<String, FsError> {
    let mut text = String::new();
    let file = root.open(&path(at), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    File::from(file).read_to_string(&mut text).map_err(|error| Errno::from_io_error(&error).unwrap())?;
    Ok(text)
}

fn write(root: &Root, at: &str, flags: OFlags, text: &str) -> Result<(), FsError> {
    let file = root.open(&path(at), flags | OFlags::WRONLY | OFlags::CLOEXEC, Mode::from_raw_mode(0o666))?;
    File::from(file).write_all(text.as_bytes()).unwrap();
    Ok(())
}

/// What the system says of the same path, joined to the branch's folder.
fn plain(path: &Path, follow: bool) -> Result<u64, FsError> {
    let metadata = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
    metadata.map(|metadata| metadata.ino()).map_err(|error| Errno::from_io_error(&error).unwrap().into())
}

#[test]
fn a_path_within_the_branch_is_what_the_system_says_it_is() {
    let world = World::new();
    let paths = [
        "",
        "/",
        "x.txt",
        "x.txt/",
        "x.txt/.",
        "x.txt/..",
        "x.txt/y",
        "a",
        "a/",
        "a/.",
        "a//x.txt",
        "a/b/../x.txt",
        "a/b/c.txt",
        "a/missing",
        "missing/x",
        "missing/..",
        "missing/../x.txt",
        "to-a",
        "to-a/",
        "to-a/x.txt",
        "to-a/to-b/c.txt",
        "to-c",
        "to-c/",
        "a/to-b",
        "a/to-b/",
        "a/b/up/x.txt",
        "a/b/up/up",
        "broken",
        "broken/",
        "broken/x",
        "loop",
        "loop/x",
        "a/..",
        "a/../a/./b",
        "to-a/../x.txt",
        "to-a/b/../../x.txt",
    ];
    for resolver in RESOLVERS {
        let root = world.root(resolver);
        for at in paths {
            for follow in [true, false] {
                let found = root.stat(&path(at), follow).map(|stat| stat.st_ino);
                assert_eq!(
                    found,
                    plain(&world.path(&format!("main/{at}")), follow),
                    "{resolver:?} {at:?} follow {follow}"
                );
            }
            let found = root.access(&path(at), Access::READ_OK).is_ok();
            assert_eq!(found, world.path(&format!("main/{at}")).exists(), "{resolver:?} {at:?}");
        }
        let long = "x".repeat(300);
        assert_eq!(root.stat(&path(&long), true).unwrap_err(), Errno::NAMETOOLONG.into());
        let deep = "a/".repeat(2000);
        assert!(matches!(root.stat(&path(&deep), true), Err(FsError::System(_))));
        assert!(matches!(root.expand_as_php(&path(&deep)), Ok(names) if names.len() == 2000));
        assert_eq!(read(&root, "to-c").unwrap(), "c");
        assert_eq!(read(&root, "a/b/up/b/c.txt").unwrap(), "c");
        assert_eq!(root.real_path(&path("to-c")).unwrap(), b"/a/b/c.txt");
        assert_eq!(root.real_path(&path("to-a/new.txt")).unwrap(), b"/a/new.txt");
    }
}

#[test]
fn neither_dots_nor_symlinks_lead_out_of_the_branch() {
    let world = World::new();
    let paths = [
        "..",
        "../",
        "../secret.txt",
        "a/../../secret.txt",
        "a/b/../../../secret.txt",
        "out",
        "out/secret.txt",
        "a/out",
        "etc",
        "etc/passwd",
        "absolute/x.txt",
        "back",
        "back/x.txt",
        "to-a/out",
        "a/b/up/out",
    ];
    for resolver in RESOLVERS {
        let root = world.root(resolver);
        for at in paths {
            assert_eq!(read(&root, at), Err(FsError::Outside), "{resolver:?} {at}");
            assert_eq!(root.stat(&path(at), true).map(|stat| stat.st_ino), Err(FsError::Outside), "{resolver:?} {at}");
            assert_eq!(root.set_mode(&path(at), Mode::RWXU), Err(FsError::Outside), "{resolver:?} {at}");
            assert_eq!(root.set_times(&path(at), None), Err(FsError::Outside), "{resolver:?} {at}");
            assert_eq!(write(&root, at, OFlags::CREATE, ""), Err(FsError::Outside), "{resolver:?} {at}");
        }
        for at in ["out/new", "etc/new", "../new"] {
            assert_eq!(write(&root, at, OFlags::CREATE | OFlags::EXCL, ""), Err(FsError::Outside), "{resolver:?} {at}");
            assert_eq!(root.make_folder(&path(at), Mode::RWXU, false), Err(FsError::Outside), "{resolver:?} {at}");
            assert_eq!(root.make_folder(&path(at), Mode::RWXU, true), Err(FsError::Outside), "{resolver:?} {at}");
            assert_eq!(root.remove_file(&path(at)), Err(FsError::Outside), "{resolver:?} {at}");
            assert_eq!(rename((&root, &path("x.txt")), (&root, &path(at))), Err(FsError::Outside), "{resolver:?} {at}");
        }
        assert_eq!(root.remove_folder(&path("")), Err(FsError::BranchItself));
        assert_eq!(root.remove_folder(&path("a/..")), Err(FsError::BranchItself));
    }
    assert_eq!(fs::read_to_string(world.path("secret.txt")).unwrap(), "secret");
}

#[test]
fn the_database_is_out_of_reach_by_whatever_way() {
    let world = World::new();
    let paths = [
        "wp-content/database",
        "wp-content/database/.ht.sqlite",
        "wp-content/./database/.ht.sqlite",
        "wp-content/plugins/../database/.ht.sqlite",
        "to-content/database/.ht.sqlite",
        "to-database/.ht.sqlite",
        "to-sqlite",
        ".forkpress/site.toml",
        "a/../.forkpress",
    ];
    for resolver in RESOLVERS {
        let root = world.root(resolver);
        for at in paths {
            assert_eq!(read(&root, at), Err(FsError::Private), "{resolver:?} {at}");
            assert_eq!(root.stat(&path(at), true).map(|stat| stat.st_ino), Err(FsError::Private), "{resolver:?} {at}");
            assert_eq!(root.folder(&path(at)).map(drop), Err(FsError::Private), "{resolver:?} {at}");
        }
        for (from, to) in
            [("wp-content", "b"), ("wp-content/database", "b"), ("a", "wp-content/database"), ("x.txt", ".forkpress/x")]
        {
            assert_eq!(
                rename((&root, &path(from)), (&root, &path(to))),
                Err(FsError::Private),
                "{resolver:?} {from} {to}"
            );
        }
        let names = |at: &str| {
            let mut folder = root.folder(&path(at)).unwrap();
            let mut names: Vec<_> = std::iter::from_fn(|| folder.next_name().unwrap()).collect();
            names.sort();
            names
        };
        assert_eq!(names("wp-content"), [b".".to_vec(), b"..".to_vec(), b"plugins".to_vec()]);
        assert_eq!(names("to-content"), names("wp-content"));
        assert!(!names("").contains(&b".forkpress".to_vec()));
    }
}

#[test]
fn what_is_made_and_changed_is_where_the_path_says() {
    for resolver in RESOLVERS {
        let world = World::new();
        let root = world.root(resolver);
        let at = |at: &str| world.path("main").join(at);
        write(&root, "to-a/new.txt", OFlags::CREATE | OFlags::EXCL, "new").unwrap();
        assert_eq!(fs::read_to_string(at("a/new.txt")).unwrap(), "new");
        write(&root, "broken", OFlags::CREATE, "made through a link").unwrap();
        assert!(at("nowhere").exists());
        assert_eq!(write(&root, "broken", OFlags::CREATE | OFlags::EXCL, ""), Err(Errno::EXIST.into()));

        root.make_folder(&path("d/../e/f/"), Mode::RWXU, true).unwrap();
        assert!(at("e/f").is_dir() && !at("d").exists());
        assert_eq!(root.make_folder(&path("e/f"), Mode::RWXU, true), Err(Errno::EXIST.into()));
        assert_eq!(root.make_folder(&path("g/h"), Mode::RWXU, false), Err(Errno::NOENT.into()));
        root.set_mode(&path("to-a/x.txt"), Mode::from_raw_mode(0o640)).unwrap();
        assert_eq!(fs::metadata(at("a/x.txt")).unwrap().permissions().mode() & 0o777, 0o640);
        root.set_times(&path("to-c"), Some((1000, 2000))).unwrap();
        let times = fs::metadata(at("a/b/c.txt")).unwrap();
        assert_eq!((times.atime(), times.mtime()), (1000, 2000));

        assert_eq!(root.remove_file(&path("a")), Err(Errno::ISDIR.into()));
        assert_eq!(root.remove_file(&path("x.txt/")), Err(Errno::NOTDIR.into()));
        assert_eq!(root.remove_folder(&path("e")), Err(Errno::NOTEMPTY.into()));
        assert_eq!(root.remove_folder(&path("to-a/")), Err(Errno::NOTDIR.into()));
        root.remove_file(&path("out")).unwrap();
        root.remove_folder(&path("e/f/")).unwrap();
        rename((&root, &path("a/new.txt")), (&root, &path("e/new.txt"))).unwrap();
        rename((&root, &path("e/")), (&root, &path("k/"))).unwrap();
        assert_eq!(fs::read_to_string(at("k/new.txt")).unwrap(), "new");
        assert_eq!(rename((&root, &path("x.txt")), (&root, &path("y/"))), Err(Errno::NOTDIR.into()));
    }
}

#[test]
fn a_rename_to_another_file_system_brings_a_whole_tree() {
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else {
        println!("SKIPPED: no /dev/shm to rename to");
        return;
    };
    let world = World::new();
    if fs::metadata(memory.path()).unwrap().dev() == fs::metadata(world.dir.path()).unwrap().dev() {
        println!("SKIPPED: /dev/shm is the file system of temporary folders");
        return;
    }
    let (root, other) = (world.root(Resolver::Kernel), Root::new(memory.path(), Resolver::Kernel).unwrap());
    root.set_mode(&path("a/x.txt"), Mode::from_raw_mode(0o604)).unwrap();
    root.set_times(&path("a/b"), Some((1, 2))).unwrap();
    rename((&root, &path("a")), (&other, &path("moved"))).unwrap();
    assert!(!world.path("main/a").exists());
    let moved = memory.path().join("moved");
    assert_eq!(fs::read_to_string(moved.join("b/c.txt")).unwrap(), "c");
    assert_eq!(fs::read_link(moved.join("b/up")).unwrap(), Path::new(".."));
    assert_eq!(fs::metadata(moved.join("x.txt")).unwrap().mode() & 0o777, 0o604);
    assert_eq!(fs::metadata(moved.join("b")).unwrap().mtime(), 2);

    rename((&root, &path("x.txt")), (&other, &path("moved/x.txt"))).unwrap();
    assert_eq!(fs::read_to_string(moved.join("x.txt")).unwrap(), "x");
    // What can't be put in place leaves everything as it was.
    assert_eq!(rename((&root, &path("wp-content/plugins")), (&other, &path("moved"))), Err(Errno::NOTEMPTY.into()));
    assert!(world.path("main/wp-content/plugins/p.php").exists());
    assert_eq!(fs::read_dir(memory.path()).unwrap().count(), 1, "no copy is left behind");
}

/// Swaps, for as long as its input stays open: `main/swap`, a folder, with `away`, a symlink out of the branch, and moves
/// `main/a/b` out of the branch and back.
#[test]
fn swapper() {
    let Some(dir) = std::env::var_os(SWAPPER).map(PathBuf::from) else { return };
    let input = std::thread::spawn(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let mut rounds = 0_u64;
    while !input.is_finished() {
        renameat_with(CWD, dir.join("main/swap"), CWD, dir.join("away"), RenameFlags::EXCHANGE).unwrap();
        for (from, to) in [("main/a/b", "moved"), ("moved", "main/a/b")] {
            fs::rename(dir.join(from), dir.join(to)).unwrap();
        }
        rounds += 1;
        if rounds == 2 {
            println!("> swapping");
        }
    }
    // As it was at first, so that the test can look.
    if fs::symlink_metadata(dir.join("main/swap")).unwrap().is_symlink() {
        renameat_with(CWD, dir.join("main/swap"), CWD, dir.join("away"), RenameFlags::EXCHANGE).unwrap();
    }
}

/// Returns its output as well, which is to stay open.
fn start_swapper(world: &World) -> (Child, BufReader<ChildStdout>) {
    fs::create_dir(world.path("main/swap")).unwrap();
    fs::write(world.path("main/swap/secret.txt"), "inside").unwrap();
    symlink(world.path("outside"), world.path("away")).unwrap();
    // As well as an absolute one, in the folder that comes and goes.
    fs::create_dir(world.path("main/swap/deep")).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["swapper", "--exact", "--nocapture"])
        .env(SWAPPER, world.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    assert!(stdout.by_ref().lines().any(|line| line.unwrap().contains("> swapping")), "the swapper swaps");
    (child, stdout)
}

#[test]
fn a_folder_that_is_swapped_meanwhile_never_leads_out() {
    for resolver in RESOLVERS {
        let world = World::new();
        fs::set_permissions(world.path("outside/secret.txt"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(world.path("main/made")).unwrap();
        let root = world.root(resolver);
        let (mut swapper, _output) = start_swapper(&world);
        let (mut found, mut refused, mut attempts) = (0, 0, 0);
        let begin = Instant::now();
        while (attempts < 3000 || found == 0 || refused == 0) && begin.elapsed() < LONG {
            attempts += 1;
            match read(&root, "swap/secret.txt") {
                Ok(text) => {
                    assert_eq!(text, "inside", "{resolver:?}");
                    found += 1;
                }
                Err(error) => {
                    assert!(matches!(error, FsError::Outside | FsError::System(_)), "{resolver:?} {error}");
                    refused += 1;
                }
            }
            // While a/b is away, `..` leads from it to where secret.txt is.
            if let Ok(text) = read(&root, "a/b/up/secret.txt").or_else(|_| read(&root, "a/b/../secret.txt")) {
                panic!("{resolver:?}: {text} was read from outside");
            }
            let _ = root.set_mode(&path("swap/secret.txt"), Mode::from_raw_mode(0o777));
            let _ = root.set_times(&path("swap/secret.txt"), Some((7, 7)));
            let _ = write(&root, "swap/new.txt", OFlags::CREATE, "new");
            let _ = root.make_folder(&path("swap/folder/deep"), Mode::RWXU, true);
            let _ = rename((&root, &path("swap/new.txt")), (&root, &path("made/new.txt")));
            let _ = rename((&root, &path("made/new.txt")), (&root, &path("swap/again.txt")));
            let _ = root.remove_file(&path("swap/again.txt"));
        }
        drop(swapper.stdin.take());
        assert!(swapper.wait().unwrap().success());
        assert!(found > 0 && refused > 0, "{resolver:?}: found {found}, refused {refused}");
        let names: Vec<_> = fs::read_dir(world.path("outside")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["secret.txt"], "{resolver:?}");
        let secret = fs::metadata(world.path("outside/secret.txt")).unwrap();
        assert_eq!(secret.permissions().mode() & 0o777, 0o600, "{resolver:?}");
        assert!(secret.mtime() != 7, "{resolver:?}");
    }
}
