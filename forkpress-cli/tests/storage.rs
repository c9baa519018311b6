//! Sites with their branches in an image: the commands, and what two of them do that meet. Says `SKIPPED:` where the
//! machine can't mount.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Sandbox, skipped, stderr, wordpress};
use serde_json::{Value, json};

const XFS_LOOP: &str = "linux-xfs-loop";
const SPARSEBUNDLE: &str = "macos-apfs-sparsebundle";

/// A sandbox with a site in an image.
struct Imaged(Sandbox);

impl Imaged {
    /// One in an XFS image.
    fn new() -> Option<Self> {
        Self::of(XFS_LOOP)
    }

    fn of(view: &str) -> Option<Self> {
        let wordpress = wordpress()?;
        if !Command::new("losetup").arg("--find").output().is_ok_and(|output| output.status.success()) {
            skipped("this machine has no loop devices");
            return None;
        }
        let sandbox = Sandbox::new();
        let mut arguments = sandbox.init_arguments(&wordpress);
        arguments.extend(["--file-view".to_owned(), view.to_owned()]);
        let made = Self(sandbox);
        made.0.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        Some(made)
    }

    fn is_attached(&self) -> bool {
        self.0.run(&["storage", "status"]).contains("attached:    yes")
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.0.run(&["storage", "status", "--json"])).unwrap()
    }

    /// Asks for the status until it is as it is to be.
    fn status_until(&self, what: &str, is: impl Fn(&Value) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let status = self.status();
            if is(&status) {
                return;
            }
            assert!(Instant::now() < deadline, "a minute has passed without {what}: {status:#}");
        }
    }

    /// Holds a lock of the site until it is dropped.
    fn hold(&self, lock: &str) -> Holder {
        let path = self.0.site().join(".forkpress/cow").join(lock);
        Holder::start(Command::new("flock").arg(path).args(["sh", "-c", "echo held; read -r _"]))
    }

    /// Writes into the database of a branch, as a program that knows nothing of ForkPress, and commits when it is dropped.
    fn write_into(&self, branch: &str) -> Holder {
        const WRITE: &str = r#"$db = new PDO( 'sqlite:' . $argv[1] );
            $db->setAttribute( PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION );
            $db->exec( 'BEGIN IMMEDIATE; CREATE TABLE mark (text); INSERT INTO mark VALUES (1)' );
            echo "held\n";
            fgets( STDIN );
            $db->exec( 'INSERT INTO mark VALUES (2); COMMIT' );"#;
        Holder::start(Command::new("php").args(["-r", WRITE]).arg(self.database(branch)))
    }

    /// What a branch's database answers to a question.
    fn ask(&self, branch: &str, question: &str) -> String {
        const ASK: &str = r"$db = new PDO( 'sqlite:' . $argv[1] );
            $db->setAttribute( PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION );
            echo $db->query( $argv[2] )->fetchColumn();";
        let output = Command::new("php").args(["-r", ASK]).arg(self.database(branch)).arg(question).output().unwrap();
        assert!(output.status.success(), "{branch}: {question}: {}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn database(&self, branch: &str) -> PathBuf {
        self.0.site().join(branch).join("wp-content/database/.ht.sqlite")
    }

    /// Starts a command that is to wait for a lock, and returns when it says that it does.
    fn start_waiting(&self, arguments: &[&str]) -> Waiting {
        let mut child = self.0.forkpress(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("waiting") {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "{arguments:?} ended before it waited");
        }
        Waiting { child, said }
    }
}

impl Drop for Imaged {
    fn drop(&mut self) {
        let _ = self.0.forkpress(&["stop", "--force"]).output();
        let _ = self.0.forkpress(&["storage", "detach", "--force"]).output();
    }
}

struct Holder(Child);

impl Holder {
    /// Starts a process that says when it holds what it is to hold, and that ends after the next line.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        assert_eq!(BufReader::new(child.stdout.as_mut().unwrap()).lines().next().unwrap().unwrap(), "held");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.stdin.take().unwrap().write_all(b"\n");
        let _ = self.0.wait();
    }
}

struct Waiting {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
}

impl Waiting {
    /// The exit status and what it said.
    fn end(mut self) -> (i32, String) {
        let mut said = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        self.said.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code().unwrap(), said)
    }
}

#[test]
fn an_image_is_attached_by_serve_and_detached_by_stop_and_its_users_are_named() {
    let Some(site) = Imaged::new() else { return };
    let sandbox = &site.0;
    sandbox.run(&["serve"]);
    sandbox.run(&["branch", "create", "sale"]);
    assert_eq!(sandbox.get("sale", "/").0, 200);
    assert_eq!(
        fs::read_link(sandbox.site().join("sale")).unwrap().to_str().unwrap(),
        ".forkpress/linux-cow/mount/branches/sale"
    );
    assert!(sandbox.refused(&["storage", "detach"], 1).contains("hint: forkpress stop"));
    let detach = sandbox.forkpress(&["storage", "detach", "--keep-server", "-v"]).output().unwrap();
    assert!(detach.status.success(), "{}", stderr(&detach));
    assert!(stderr(&detach).contains("unmounting mount="), "{}", stderr(&detach));
    assert!(!site.is_attached());
    assert_eq!(sandbox.get("sale", "/").0, 503, "the server runs on");
    sandbox.run(&["storage", "mount"]);
    assert_eq!(sandbox.get("sale", "/").0, 200);
    sandbox.run(&["stop"]);
    let status = sandbox.run(&["storage", "status"]);
    assert!(status.starts_with("ForkPress storage status\n"), "{status}");
    for line in ["attached:    no", "branches:    unavailable while the image is detached", "leftovers:   none"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    for command in
        [&["branch", "list"][..], &["branch", "create", "x"], &["exec", "main", "--", "true"], &["undo"], &["gc"]]
    {
        let said = sandbox.refused(command, 1);
        assert!(said.contains("detached") && said.contains("hint: forkpress storage mount"), "{said}");
    }
    assert_eq!(fs::read_dir(sandbox.site().join(".forkpress/linux-cow/mount")).unwrap().count(), 0);

    sandbox.run(&["storage", "mount"]);
    let mut user = Command::new("cat").current_dir(sandbox.site().join("sale")).stdin(Stdio::piped()).spawn().unwrap();
    let said = sandbox.refused(&["storage", "detach"], 1);
    user.kill().unwrap();
    user.wait().unwrap();
    assert!(said.contains(&format!("process {} (cat): ", user.id())) && said.contains("/branches/sale"), "{said}");
    sandbox.run(&["storage", "detach"]);
    assert!(!site.is_attached());
    sandbox.run(&["serve"]);
    assert_eq!(sandbox.get("sale", "/").0, 200);
}

#[test]
fn compact_ends_the_server_or_keeps_it_and_leaves_the_image_detached() {
    let Some(site) = Imaged::new() else { return };
    let sandbox = &site.0;
    sandbox.run(&["serve"]);
    assert!(sandbox.run(&["storage", "compact", "--keep-server"]).contains("reclaimed"));
    assert!(!site.is_attached());
    assert_eq!(sandbox.get("main", "/").0, 503);
    sandbox.run(&["storage", "mount"]);
    assert_eq!(sandbox.get("main", "/").0, 200);
    sandbox.run(&["storage", "compact"]);
    assert!(!site.is_attached());
    assert!(sandbox.run(&["server", "list"]).contains("no server runs"));
}

#[test]
fn a_site_without_an_image_has_nothing_to_compact() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    assert!(sandbox.run(&["storage", "compact"]).contains("nothing to compact"));
    let status = sandbox.run(&["storage", "status"]);
    assert!(status.contains("branches:    1") && !status.contains("image:"), "{status}");
    let report = sandbox.run(&["doctor", "storage"]);
    assert!(report.starts_with("ForkPress storage capability report\n"), "{report}");
}

#[test]
fn a_site_that_was_copied_with_its_image_is_served_beside_the_original() {
    let Some(site) = Imaged::new() else { return };
    site.0.run(&["storage", "detach"]);
    let copy = Imaged(Sandbox::new());
    std::fs::remove_dir(copy.0.site()).unwrap();
    let copied = Command::new("cp").arg("-a").arg(site.0.site()).arg(copy.0.site()).status().unwrap();
    assert!(copied.success());
    site.0.run(&["serve"]);
    copy.0.run(&["serve", "--port", &copy.0.port.to_string()]);
    std::fs::write(copy.0.site().join("main/only-here.txt"), "").unwrap();
    assert_eq!(copy.0.get("main", "/only-here.txt").0, 200);
    assert_eq!(site.0.get("main", "/only-here.txt").0, 404);
}

#[test]
fn the_doctor_finds_and_mends_links_leftovers_and_dead_entries() {
    let Some(site) = Imaged::new() else { return };
    let sandbox = &site.0;
    fs::remove_file(sandbox.site().join("main")).unwrap();
    symlink(".forkpress/linux-cow/mount/branches/gone", sandbox.site().join("gone")).unwrap();
    fs::create_dir(sandbox.site().join(".forkpress/linux-cow/mount/staging/half")).unwrap();
    let output = sandbox.forkpress(&["doctor", "storage"]).output().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{report}");
    for words in ["main is missing", "gone leads to no branch", "1 tree that was staged"] {
        assert!(report.contains(words), "{words}: {report}");
    }
    let report = sandbox.run(&["doctor", "storage", "--fix"]);
    assert_eq!(report.matches("mended:").count(), 3, "{report}");
    assert!(sandbox.run(&["doctor", "storage"]).contains("wrong:       nothing"));
    assert!(sandbox.site().join("main/wp-load.php").is_file());
}

#[test]
fn a_site_is_moved_into_an_image_and_out_again_while_it_is_served() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    if !Command::new("losetup").arg("--find").output().is_ok_and(|output| output.status.success()) {
        return skipped("this machine has no loop devices");
    }
    let site = Imaged(sandbox);
    let sandbox = &site.0;
    sandbox.run(&["serve"]);
    sandbox.run(&["branch", "create", "sale"]);
    sandbox.run(&["branch", "create", "old"]);
    sandbox.run(&["branch", "delete", "old"]);
    fs::write(sandbox.site().join("sale/mark.txt"), "sale").unwrap();
    let from = sandbox.run(&["storage", "status", "--json"]);
    let view = from.lines().find(|line| line.contains("file_view")).unwrap().split('"').nth(3).unwrap().to_owned();

    let said = sandbox.run(&["storage", "convert", "--to", "linux-xfs-loop"]);
    assert!(said.contains("2 branches, 1 kept trees"), "{said}");
    assert!(sandbox.site().join("sale").is_symlink() && site.is_attached());
    assert!(sandbox.get("sale", "/mark.txt").1.ends_with("sale"));
    assert_eq!(sandbox.get("main", "/").0, 200);
    sandbox.run(&["undo"]);
    assert_eq!(sandbox.get("old", "/").0, 200);
    sandbox.run(&["storage", "grow", "800G"]);

    sandbox.run(&["storage", "convert", "--to", &view]);
    assert!(!sandbox.site().join("sale").is_symlink() && !sandbox.site().join(".forkpress/linux-cow").exists());
    assert!(sandbox.get("sale", "/mark.txt").1.ends_with("sale"));
    assert_eq!(sandbox.get("old", "/").0, 200);
    assert!(sandbox.refused(&["storage", "convert", "--to", &view], 1).contains("already"));
}

#[test]
fn a_conversion_that_is_killed_is_ended_by_the_server_that_runs() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    if !Command::new("losetup").arg("--find").output().is_ok_and(|output| output.status.success()) {
        return skipped("this machine has no loop devices");
    }
    let site = Imaged(sandbox);
    let sandbox = &site.0;
    sandbox.run(&["serve"]);
    let note = sandbox.site().join(".forkpress/convert.toml");
    let mut convert = sandbox.forkpress(&["storage", "convert", "--to", XFS_LOOP]).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !note.exists() {
        assert!(convert.try_wait().unwrap().is_none(), "it ended before it was killed");
        assert!(Instant::now() < deadline, "a minute has passed without a conversion");
        std::thread::yield_now();
    }
    convert.kill().unwrap();
    convert.wait().unwrap();
    while note.exists() {
        assert!(Instant::now() < deadline, "the server has not ended it for a minute");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(sandbox.get("main", "/").0, 200);
    sandbox.run(&["branch", "create", "sale"]);
}

#[test]
fn branches_with_numbers_are_made_beside_one_whose_link_is_missing() {
    let Some(site) = Imaged::new() else { return };
    let sandbox = &site.0;
    let one_more = ["branch", "create", "--count", "1", "--prefix", "agent"];
    sandbox.run(&one_more);
    fs::remove_file(sandbox.site().join("agent-1")).unwrap();
    assert!(sandbox.run(&one_more).contains("-> 'agent-2'"));
    sandbox.run(&["serve"]);
    fs::remove_file(sandbox.site().join("agent-2")).unwrap();
    assert!(sandbox.run(&["agents", "--count", "1"]).starts_with("agent-3 "));
}

#[test]
fn a_start_and_a_detach_that_meet_leave_a_site_that_is_served() {
    let Some(site) = Imaged::new() else { return };
    let held = site.hold("lifecycle.lock");
    let detach = site.start_waiting(&["storage", "detach"]);
    let start = site.0.forkpress(&["serve"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(held);
    let (status, said) = detach.end();
    let started = start.wait_with_output().unwrap();
    assert!(started.status.success(), "{}", stderr(&started));
    assert!(status == 0 || status == 1 && said.contains("is served"), "{status}: {said}");
    assert!(site.is_attached());
    assert_eq!(site.0.get("main", "/").0, 200);
}

#[test]
fn a_start_and_a_compact_that_meet_happen_one_after_the_other() {
    let Some(site) = Imaged::new() else { return };
    let held = site.hold("lifecycle.lock");
    let compact = site.start_waiting(&["storage", "compact"]);
    let start = site.0.forkpress(&["serve"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(held);
    let (status, said) = compact.end();
    let started = start.wait_with_output().unwrap();
    assert!(started.status.success() && status == 0, "{said}{}", stderr(&started));
    let is_served = !site.0.run(&["server", "list"]).contains("no server runs");
    assert_eq!(site.is_attached(), is_served);
    assert!(!is_served || site.0.get("main", "/").0 == 200);
}

#[test]
fn two_starts_that_meet_are_one_server() {
    let Some(site) = Imaged::new() else { return };
    site.0.run(&["storage", "detach"]);
    let start = || site.0.forkpress(&["serve"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let held = site.hold("lifecycle.lock");
    let both = [start(), start()];
    drop(held);
    for one in both {
        let output = one.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    assert_eq!(site.0.run(&["server", "list"]).lines().count(), 1);
}

#[test]
fn a_detach_waits_for_a_mutation_and_for_a_request() {
    let Some(site) = Imaged::new() else { return };
    for lock in ["mutation.lock", "operations.lock"] {
        site.0.run(&["storage", "mount"]);
        let held = site.hold(lock);
        let detach = site.start_waiting(&["storage", "detach"]);
        assert!(site.is_attached(), "{lock}");
        drop(held);
        assert_eq!(detach.end().0, 0, "{lock}");
        assert!(!site.is_attached(), "{lock}");
    }
}

/// A create waits for a foreign writer, in its publish; a detach is to wait for the create.
fn a_detach_waits_for_a_create_in(view: &str) {
    let Some(site) = Imaged::of(view) else { return };
    let sandbox = &site.0;
    let writer = site.write_into("main");
    let create = ["branch", "create", "x", "--timeout", "300"];
    let create = sandbox.forkpress(&create).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = create.id();
    site.status_until("a create at work", |status| status["preparing"]["holders"][0] == pid);
    for arguments in [&["storage", "detach", "--timeout", "1"][..], &["storage", "detach", "--timeout", "1", "--force"]]
    {
        let said = sandbox.refused(arguments, 75);
        let words = format!("prepare.lock is held by process {pid} (");
        assert!(said.contains(&words) && said.contains("branch create x"), "{words}: {said}");
        assert!(site.is_attached());
    }
    drop(writer);
    let created = create.wait_with_output().unwrap();
    assert!(created.status.success(), "{}", stderr(&created));
    sandbox.run(&["storage", "detach"]);
    assert!(!site.is_attached());

    sandbox.run(&["storage", "mount"]);
    assert_eq!(site.status()["branches"], 2);
    assert_eq!(site.ask("x", "PRAGMA quick_check"), "ok");
    assert_eq!(site.ask("x", "SELECT SUM(text) FROM mark"), "3", "all of what was written meanwhile, or nothing");
    assert!(sandbox.site().join("x/wp-load.php").is_file());
}

#[test]
fn a_detach_waits_for_a_create_that_waits_for_a_foreign_writer_in_an_xfs_image() {
    a_detach_waits_for_a_create_in(XFS_LOOP);
}

#[test]
fn a_detach_waits_for_a_create_that_waits_for_a_foreign_writer_in_a_sparse_bundle() {
    a_detach_waits_for_a_create_in(SPARSEBUNDLE);
}

/// `forkpress` as it has Git read a branch's files in the background, with this shell script for a `git`. Returns once the script
/// has made the file `begun` in its folder.
fn reads(site: &Imaged, shims: &Path, script: &str) -> Child {
    let git = shims.join("git");
    fs::write(&git, format!("#!/bin/sh\ncd '{}' || exit\n{script}\n", shims.display())).unwrap();
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    let mut read = site.0.forkpress(&["__read", site.0.site().join(".forkpress").to_str().unwrap()]);
    let path = read.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, path)| path).unwrap().to_owned();
    let path = std::env::join_paths([shims.to_owned()].into_iter().chain(std::env::split_paths(&path))).unwrap();
    let mut reader = read.env("PATH", path).process_group(0).spawn().unwrap();
    while !shims.join("begun").exists() {
        assert!(reader.try_wait().unwrap().is_none(), "it reads");
        std::thread::sleep(Duration::from_millis(10));
    }
    reader
}

/// Git reads a branch's files in the background, and does not come to an end.
fn a_detach_waits_for_no_reader_in(view: &str) {
    let Some(site) = Imaged::of(view) else { return };
    let shims = tempfile::tempdir().unwrap();
    let mut reader = reads(&site, shims.path(), ": > begun; exec sleep 1000");
    site.0.run(&["storage", "detach"]);
    assert!(!site.is_attached());
    assert!(!reader.wait().unwrap().success());
}

#[test]
fn a_detach_waits_for_no_reader_in_an_xfs_image() {
    a_detach_waits_for_no_reader_in(XFS_LOOP);
}

/// Git is told to end as well, has a file of the site open, and takes its time.
#[test]
fn a_detach_waits_for_the_git_of_a_reader_that_was_ended() {
    let Some(site) = Imaged::new() else { return };
    let sandbox = &site.0;
    let shims = tempfile::tempdir().unwrap();
    let (let_go, mount) = (shims.path().join("let-go"), site.status()["image"]["mount"].as_str().unwrap().to_owned());
    assert!(Command::new("mkfifo").arg(&let_go).status().unwrap().success());
    let script =
        format!("trap 'read -r _ < let-go; exit' TERM\nexec 3< {mount}/branches\n: > begun\nsleep 1000 & wait");
    let mut reader = reads(&site, shims.path(), &script);
    let said = sandbox.refused(&["storage", "detach", "--timeout", "3"], 75);
    assert!(said.contains("prepare.lock"), "{said}");
    assert!(!reader.wait().unwrap().success(), "it was ended");
    assert!(site.is_attached());
    fs::write(&let_go, "\n").unwrap();
    sandbox.run(&["storage", "detach"]);
    assert!(!site.is_attached());
}

/// A loop device of somebody else's, until this goes.
struct LoopDevice(String);

impl LoopDevice {
    /// Takes the next that is free, so that an image that is attached becomes another device than before.
    fn take_next() -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        let device = Command::new("losetup").args(["--find", "--show"]).arg(file.path()).output().unwrap().stdout;
        Self(String::from_utf8(device).unwrap().trim().to_owned())
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        assert!(Command::new("losetup").args(["--detach", &self.0]).status().unwrap().success());
    }
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

/// Spares and branches that are made together, in an image that is detached and attached between.
fn spares_and_batches_in(view: &str) {
    let Some(site) = Imaged::of(view) else { return };
    let sandbox = &site.0;
    let storage = site.status()["storage"].as_str().map(PathBuf::from).unwrap();
    let image = site.status()["image"].clone();
    let stop_with_a_spare = || {
        site.status_until("a spare", |status| status["spares"]["count"] == 1);
        let stopped = sandbox.forkpress(&["stop"]).output().unwrap();
        assert!(!site.is_attached(), "{}", stderr(&stopped));
        assert_eq!(fs::read_dir(image["mount"].as_str().unwrap()).unwrap().count(), 0);
    };
    sandbox.run(&["serve"]);
    stop_with_a_spare();
    let _taken = LoopDevice::take_next();
    sandbox.run(&["storage", "mount"]);
    assert_eq!(site.status()["spares"]["count"], 1);
    assert!(sandbox.run(&["storage", "status"]).contains("spares:      1, "));
    let spare = inode(&storage.join("spares/1/tree"));

    sandbox.run(&["branch", "create", "a", "b", "c"]);
    assert_eq!(inode(&sandbox.site().join("a")), spare, "it was taken");
    assert_eq!(site.status()["spares"]["count"], 0);
    sandbox.run(&["branch", "create", "--count", "2", "--prefix", "agent"]);
    let branches = ["a", "b", "c", "agent-1", "agent-2"];
    assert_eq!(site.status()["branches"], 1 + branches.len());
    for branch in branches {
        let path = sandbox.site().join(branch);
        assert!(fs::read_link(&path).unwrap().ends_with(format!("mount/branches/{branch}")));
        assert_eq!(
            fs::read(path.join("wp-load.php")).unwrap(),
            fs::read(sandbox.site().join("main/wp-load.php")).unwrap()
        );
        fs::write(path.join("wp-load.php"), format!("<?php // {branch}")).unwrap();
        drop(site.write_into(branch));
    }
    for branch in branches {
        let own = fs::read_to_string(sandbox.site().join(branch).join("wp-load.php")).unwrap();
        assert_eq!(own, format!("<?php // {branch}"));
        assert_eq!(site.ask(branch, "PRAGMA quick_check"), "ok");
        assert_eq!(site.ask(branch, "SELECT COUNT(*) FROM mark"), "2", "{branch}");
    }
    assert_eq!(site.ask("main", "SELECT COUNT(*) FROM sqlite_master WHERE name = 'mark'"), "0");
    sandbox.run(&["undo"]);

    sandbox.run(&["serve"]);
    assert_eq!(sandbox.get("main", "/").0, 200);
    stop_with_a_spare();
    let status = site.status();
    assert_eq!((&status["leftovers"], &status["branches"]), (&json!([]), &Value::Null));
    let devices = Command::new("losetup").args(["-n", "-O", "BACK-FILE"]).output().unwrap().stdout;
    assert!(!String::from_utf8_lossy(&devices).contains(image["path"].as_str().unwrap()), "a loop device is left");
}

#[test]
fn spares_and_branches_made_together_are_whole_in_an_xfs_image_that_comes_and_goes() {
    spares_and_batches_in(XFS_LOOP);
}

#[test]
fn spares_and_branches_made_together_are_whole_in_a_sparse_bundle_that_comes_and_goes() {
    spares_and_batches_in(SPARSEBUNDLE);
}
