//! The program's manners, which need neither PHP nor WordPress.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use common::{Sandbox, stderr};
use forkpress_core::flock;
use forkpress_engine::config::FileView;
use forkpress_engine::view;

#[test]
fn a_folder_without_a_site_is_refused_with_the_next_thing_to_type() {
    let sandbox = Sandbox::new();
    for arguments in [&["serve"][..], &["branch", "list"], &["stop"], &["logs"], &["exec", "main", "--", "true"]] {
        let said = sandbox.refused(arguments, 1);
        assert!(said.starts_with("forkpress: no site in "), "{said}");
        assert!(said.contains("\n\nhint: 'forkpress init'"), "{said}");
    }
    let said = sandbox.refused(&["branch", "list", "--work-dir", "."], 1);
    assert!(said.contains("is not the .forkpress folder of a site"), "{said}");
}

#[test]
fn a_file_view_that_does_not_work_here_is_refused_and_nothing_is_made() {
    let sandbox = Sandbox::new();
    let view = FileView::BtrfsSnapshot;
    if view::supports(view, &sandbox.site()) {
        return common::skipped("the folder for temporary files is on btrfs");
    }
    let said = sandbox.refused(&["init", "--file-view", view.as_str()], 1);
    assert!(said.starts_with("forkpress: the file view btrfs-snapshot does not work in "), "{said}");
    assert!(said.contains("\n\nhint: it needs a folder on btrfs"), "{said}");
    assert_eq!(fs::read_dir(sandbox.site()).unwrap().count(), 0);
}

#[test]
fn wrong_usage_is_2_and_never_reaches_a_site() {
    let sandbox = Sandbox::new();
    sandbox.refused(&[], 2);
    sandbox.refused(&["dance"], 2);
    sandbox.refused(&["exec", "main", "true"], 2);
    let said = sandbox.refused(&["branch", "create", "No.Name"], 2);
    assert!(said.contains("invalid branch name"), "{said}");
}

#[test]
fn with_json_a_failure_is_an_object_on_standard_output() {
    let sandbox = Sandbox::new();
    let output = sandbox.forkpress(&["branch", "list", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "");
    let failure: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(failure["error"].as_str().unwrap().starts_with("no site in "));
    assert_eq!(failure["exit"], 1);
}

#[test]
fn init_without_a_wordpress_that_can_be_used_leaves_the_folder_empty() {
    let sandbox = Sandbox::new();
    let source = sandbox.file("source");
    fs::create_dir(&source).unwrap();
    // The tree is refused before anybody wants the extension.
    fs::write(sandbox.file("branchfs.so"), "").unwrap();
    let init = |source: &str, why: &str| {
        let mut command = sandbox.forkpress(&["init", "--wordpress", sandbox.file(source).to_str().unwrap()]);
        let output = command.env("FORKPRESS_EXTENSION", sandbox.file("branchfs.so")).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
        assert_eq!(fs::read_dir(sandbox.site()).unwrap().count(), 0);
    };
    init("source", "holds no WordPress");
    fs::write(source.join("wp-load.php"), "").unwrap();
    init("source", "has no SQLite driver");
    fs::write(sandbox.file("broken.zip"), "not a ZIP file").unwrap();
    init("broken.zip", "cannot read the ZIP file");
    init("nowhere", "cannot read");
}

#[test]
fn init_refuses_a_main_that_is_there() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.site().join("main")).unwrap();
    let said = sandbox.refused(&["init"], 1);
    assert!(said.contains("main exists already"), "{said}");
    assert_eq!(fs::read_dir(sandbox.site()).unwrap().count(), 1);
}

#[test]
fn the_registry_heals_from_a_file_that_nobody_understands() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.file("state")).unwrap();
    fs::write(sandbox.file("state/servers.json"), "[{").unwrap();
    let output = sandbox.forkpress(&["server", "list"]).output().unwrap();
    assert!(output.status.success());
    assert!(stderr(&output).contains("warning: the server registry was not readable"), "{}", stderr(&output));
    let output = sandbox.forkpress(&["server", "list", "--json"]).output().unwrap();
    assert_eq!((stderr(&output).as_str(), output.stdout.as_slice()), ("", &b"[]\n"[..]));
}

#[test]
fn a_reader_that_goes_away_is_no_complaint() {
    let sandbox = Sandbox::new();
    let mut child =
        sandbox.forkpress(&["completion", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_completion_script_and_the_versions_are_printed() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run(&["completion", "bash"]).contains("_forkpress"));
    assert!(sandbox.run(&["--version"]).starts_with(&format!("forkpress {}\n", env!("CARGO_PKG_VERSION"))));
}

/// What does something to a terminal, and a line feed, with which a line begins that nobody wrote.
const EVIL: &str = "\x1b]0;owned\x07\x1b[2J\u{9b}31m\u{202e}cod\u{2066}\r\nforkpress: all is well";

#[test]
fn nothing_that_is_shown_does_anything_to_a_terminal() {
    let sandbox = Sandbox::new();
    let layout = sandbox.bare_site();
    let quoted = serde_json::to_string(EVIL).unwrap().replace('\u{9b}', "\\u009b");
    fs::create_dir(sandbox.site().join("main")).unwrap();
    let record = layout.cow().record(&"main".parse().unwrap());
    fs::write(record, format!("created_at = {quoted}\ngeneration = 1\n")).unwrap();
    let entry = format!(
        "id = 1\noperation = \"create\"\nname = \"main\"\nslot = 1\nat = 0\npid = 1\nuser = {quoted}\nprogram = {quoted}\nwith = {quoted}\n"
    );
    fs::write(layout.cow().log_entry(1), entry).unwrap();
    fs::create_dir_all(layout.job(1)).unwrap();
    let job = serde_json::json!({ "command": [EVIL], "title": EVIL, "by": EVIL, "began_ms": 0 });
    fs::write(layout.job(1).join("job.json"), job.to_string()).unwrap();
    fs::write(layout.job(1).join("output"), EVIL.replace('\n', "")).unwrap();
    fs::write(layout.jobs_dir().join("odd\x1b[2J"), "").unwrap();
    for log in [layout.wp_debug_log(), layout.php_errors_log(), layout.php_server_log(), layout.server_log()] {
        fs::write(log, format!("{EVIL}\r\n")).unwrap();
    }
    let odd = sandbox.file("odd\x1b[2J\u{9b}");
    fs::create_dir(&odd).unwrap();
    let odd = odd.to_str().unwrap();
    for arguments in [
        &["branch", "list"][..],
        &["branch", "show", "main"],
        &["log"],
        &["logs"],
        &["top"],
        &["jobs"],
        &["jobs", "1"],
        &["storage", "status"],
        &["doctor", "storage"],
        &["gc", "--dry-run"],
        &["branch", "show", "\x1b[2J"],
        &["branch", "list", "--work-dir", odd],
        &["exec", "main", "--", odd],
        &["pull", odd],
        &["clone", "http://127.0.0.1:1/\x1b[2J/site.git", odd],
    ] {
        for json in [false, true] {
            let mut arguments = arguments.to_vec();
            if json {
                arguments.insert(0, "--json");
            }
            let output = sandbox.forkpress(&arguments).output().unwrap();
            let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
            let harmful = |c: char| c.is_control() && !"\n\t".contains(c) || matches!(c, '\u{202e}' | '\u{2066}');
            assert!(!said.contains(harmful), "forkpress {arguments:?}: {said:?}");
            let forges = said.lines().any(|line| line == "forkpress: all is well");
            assert!(!forges || arguments.contains(&"logs"), "forkpress {arguments:?}: {said}");
        }
    }
    // What is shown is what it was.
    assert!(sandbox.run(&["branch", "list"]).contains("  \\u{1b}]0;owned\\u{7}\\u{1b}[2J\\u{9b}31m\\u{202e}cod"));
    let row: serde_json::Value = serde_json::from_str(&sandbox.run(&["log", "--json"])).unwrap();
    assert_eq!(row[0]["user"], EVIL);
}

#[test]
fn the_storage_is_examined_before_there_is_a_site() {
    let sandbox = Sandbox::new();
    let said = sandbox.run(&["doctor", "storage"]);
    assert!(said.starts_with("ForkPress storage capability report\nfile view:   none"), "{said}");
    assert!(said.contains("file-copy        works in ") && said.contains("\nrecommended: "), "{said}");
    let json = sandbox.run(&["doctor", "storage", "--json", "--work-dir", "new/site/.forkpress"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["file_view"], &json["works"]["file-copy"]), (&serde_json::Value::Null, &true.into()));
    assert_eq!(fs::read_dir(sandbox.site()).unwrap().count(), 0, "nothing is left");
    // What is there and is no site stays an error.
    assert!(sandbox.refused(&["doctor", "storage", "--work-dir", "."], 1).contains("is not the .forkpress folder"));
}

#[test]
fn a_password_is_taken_from_standard_input_or_the_environment_and_checked() {
    let sandbox = Sandbox::new();
    let init = |arguments: &[&str], stdin: &str, variable: Option<&str>| {
        let mut command = sandbox.forkpress(&["init", "--wordpress", "nowhere", "--work-dir", "new/site/.forkpress"]);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove("FORKPRESS_ADMIN_PASSWORD").envs(variable.map(|value| ("FORKPRESS_ADMIN_PASSWORD", value)));
        let mut child = command.spawn().unwrap();
        // One that does not read it has ended already.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        (output.status.code().unwrap(), stderr(&output))
    };
    let from_stdin = &["--admin-password-stdin"];
    for (arguments, stdin, variable, why) in [
        (&from_stdin[..], "\n", None, "can't be empty"),
        (from_stdin, " x\r\n", Some("good"), "can't begin or end with a blank"),
        (&[], "", Some(" x"), "can't begin or end with a blank"),
        (&["--admin-password-stdin", "--admin-password", "x"], "y\n", None, "cannot be used with"),
    ] {
        let (status, said) = init(arguments, stdin, variable);
        assert_eq!(status, 2, "{said}");
        assert!(said.contains(why), "{said}");
    }
    // Now it fails for want of a WordPress, and takes away the folders that it made.
    assert_eq!(init(from_stdin, "good one\r\n", Some(" x")).0, 1);
    assert_eq!(fs::read_dir(sandbox.site()).unwrap().count(), 0, "nothing is left");
}

#[test]
fn a_log_that_is_not_there_yet_says_so_and_each_says_what_it_is() {
    let sandbox = Sandbox::new();
    let layout = sandbox.bare_site();
    fs::write(layout.php_errors_log(), "an error\n").unwrap();
    let said = sandbox.run(&["logs", "--paths"]);
    assert_eq!(said.lines().count(), 7);
    let line = |path: std::path::PathBuf, end: &str| {
        let start = format!("{}  ", path.display());
        assert!(said.lines().any(|line| line.starts_with(&start) && line.ends_with(end)), "{start}{end}: {said}");
    };
    line(layout.gc_log(), ", and why (not there yet)");
    line(layout.php_errors_log(), "php: PHP's errors");
    assert_eq!(sandbox.run(&["logs", "--file", "gc", "--paths"]), format!("{}\n", layout.gc_log().display()));
    assert_eq!(sandbox.run(&["logs", "--file", "php-errors"]), "an error\n");
    let output = sandbox.forkpress(&["logs", "--file", "gc"]).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(stderr(&output).starts_with(&format!("forkpress: {} is not there yet: ", layout.gc_log().display())));
    // Another one may be named, as the server was told.
    let other = sandbox.file("debug.log");
    fs::write(&other, "elsewhere\n").unwrap();
    let output = sandbox.forkpress(&["logs", "--file", "wp"]).env("FORKPRESS_DEBUG_LOG", &other).output().unwrap();
    assert_eq!(output.stdout, b"elsewhere\n");
}

#[test]
fn short_and_other_names_of_commands_do_the_same() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["-v"]), sandbox.run(&["-V"]));
    let layout = sandbox.bare_site();
    let verbose = sandbox.forkpress(&["-v", "server", "stop"]).output().unwrap();
    assert_eq!(verbose.stdout, b"forkpress: this site is not served\n");
    let site = format!("the site work_dir={:?}", layout.work_dir());
    assert!(stderr(&verbose).contains(&site), "{}", stderr(&verbose));
    assert_eq!(sandbox.run(&["storage", "detach", "--keep-server", "-v"]), sandbox.run(&["storage", "detach"]));
    // Not everything is a server that has a number.
    let said = sandbox.refused(&["stop", "--pid", &std::process::id().to_string()], 1);
    assert!(said.contains("is no server of this user's"), "{said}");
}

#[test]
fn steps_are_told_only_where_they_are_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.site_with_main();
    let create = |name: &str, level: Option<&str>| {
        let mut create = sandbox.forkpress(&["branch", "create", name, "--json"]);
        let output = create.envs(level.map(|level| ("FORKPRESS_LOG", level))).output().unwrap();
        assert!(serde_json::from_slice::<serde_json::Value>(&output.stdout).is_ok());
        stderr(&output)
    };
    assert_eq!(create("a", None), "");
    assert_eq!(create("b", Some("off")), "");
    assert_eq!(create("c", Some("forkpress_engine::git=trace")), "", "no git is run for this");
    let said = create("d", Some("forkpress_core=debug"));
    assert!(said.contains("lock taken") && !said.contains("forkpress_engine"), "{said}");
}

#[test]
fn a_wait_for_a_lock_and_the_steps_of_a_mutation_are_told() {
    let sandbox = Sandbox::new();
    let layout = sandbox.site_with_main();
    for (name, variable, flag) in [("a", None, Some("--verbose")), ("b", Some("debug"), None)] {
        let lock = fs::File::options().write(true).create(true).truncate(false).open(layout.cow().mutation_lock());
        let lock = lock.unwrap();
        flock::lock(&lock, flock::Mode::Exclusive).unwrap();
        let mut create = sandbox.forkpress(&["branch", "create", name, "--json"]);
        create.args(flag).envs(variable.map(|level| ("FORKPRESS_LOG", level)));
        let mut create = create.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(create.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut find = |what: &str| lines.find(|line| line.contains(what)).unwrap_or_else(|| panic!("no line: {what}"));
        let waiting = find("DEBUG forkpress_core::lock::mutation: waiting: mutation.lock is held by ");
        if cfg!(target_os = "linux") {
            assert!(waiting.contains(&format!("process {}", std::process::id())), "{waiting}");
        }
        flock::unlock(&lock).unwrap();
        let taken = find("lock taken");
        let waited = taken.rsplit_once("waited_ms=").unwrap().1;
        assert!(taken.contains("mutation.lock") && waited.parse::<u64>().unwrap() > 0, "{taken}");
        for step in ["begun", "prepared", "publish locks", "published", "concluded"] {
            find(&format!(": {step} "));
        }
        let output = create.wait_with_output().unwrap();
        let branch: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(branch.to_string().contains(&format!("\"{name}\"")), "{branch}");
    }
}

#[test]
fn a_git_call_is_told_without_the_secret_in_an_address() {
    let sandbox = Sandbox::new();
    let output = sandbox.forkpress(&["clone", "http://x:s3cret@127.0.0.1:1/site.git", "-v"]).output().unwrap();
    let said = stderr(&output);
    assert!(!output.status.success());
    let line = said.lines().find(|line| line.contains("DEBUG forkpress::git: exit status: "));
    assert!(
        line.is_some_and(|line| line.contains("http://127.0.0.1:1/site.git") && line.contains("took_ms=")),
        "{said}"
    );
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn what_the_variable_can_be_is_said_where_it_is_something_else() {
    let sandbox = Sandbox::new();
    let output = sandbox.forkpress(&["server", "list", "--json"]).env("FORKPRESS_LOG", "a\x1bll").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let failure: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(failure["error"].as_str().unwrap().starts_with("FORKPRESS_LOG is "), "{failure}");
    assert!(failure["hint"].as_str().unwrap().contains("off, error, warn, info, debug or trace"), "{failure}");
    assert_eq!(stderr(&output), "");
    // What was typed goes before what is in the environment.
    assert!(
        sandbox.forkpress(&["server", "list", "-v"]).env("FORKPRESS_LOG", "all").output().unwrap().status.success()
    );
}

#[test]
fn the_flag_is_in_the_help_and_in_completions() {
    let sandbox = Sandbox::new();
    for command in [&["--help"][..], &["branch", "create", "--help"], &["completion", "zsh"]] {
        assert!(sandbox.run(command).contains("--verbose"), "{command:?}");
    }
}
