//! Whole sites, made and served by the program: each test makes one.

mod common;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};

use common::{Sandbox, skipped, stderr, wordpress};
use forkpress_core::process::ProcessIdentity;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Reads lines of a child's output until one contains `words`.
fn wait_for(output: &mut impl BufRead, words: &str) {
    let mut seen = String::new();
    for line in output.lines() {
        let line = line.unwrap();
        if line.contains(words) {
            return;
        }
        seen.push_str(&line);
    }
    panic!("{words:?} was never said, but {seen:?}");
}

/// All processes.
fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
}

/// The processes whose command line has this word in it.
fn processes_with(word: &str) -> Vec<u32> {
    processes()
        .filter(|pid| ProcessIdentity::of(*pid).is_some())
        .filter(|pid| forkpress_core::process::command_line(*pid).is_some_and(|line| line.contains(word)))
        .collect()
}

/// The processes that this one has started, and those that these have.
fn below(pid: u32) -> Vec<u32> {
    let all: Vec<u32> =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok()).collect();
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(above) = found.get(at).copied() {
        found.extend(all.iter().filter(|pid| forkpress_core::process::parent(**pid) == Some(above)));
        at += 1;
    }
    found.split_off(1)
}

#[test]
fn a_site_is_served_branched_and_stopped() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    let url = format!("http://wp.localhost:{}/", sandbox.port);
    assert!(!sandbox.site().join(".forkpress/init.lock").exists());
    assert!(sandbox.refused(&["init"], 1).contains("is a site already"));

    assert_eq!(sandbox.run(&["serve"]), format!("forkpress: serving {url}\n"));
    let (status, page) = sandbox.get("main", "/");
    assert_eq!(status, 200);
    assert!(page.to_ascii_lowercase().contains("x-forkpress-branch: main"), "{page}");
    assert_eq!(sandbox.run(&["serve"]), format!("forkpress: already serving {url}\n"));
    assert!(sandbox.refused(&["start"], 1).contains("served already, at http://wp.localhost"));
    assert!(sandbox.refused(&["serve", "--workers", "9"], 1).contains("with other settings"));

    let said = sandbox.run(&["branch", "create", "marketing"]);
    let branch_url = format!("http://marketing.wp.localhost:{}/", sandbox.port);
    assert_eq!(said, format!("forkpress: COW cloned 'main' -> 'marketing'\n{branch_url}\n"));
    assert_eq!(sandbox.get("marketing", "/").0, 200);
    let listed = json(&sandbox.run(&["branch", "list", "--json"]));
    assert_eq!(listed[1]["url"], branch_url.as_str());
    assert_eq!(listed[1]["from"], "main");
    let bytes = |kind: &str| listed[1][kind].as_u64().unwrap();
    assert!(bytes("exclusive_bytes") + bytes("shared_bytes") > 1 << 20, "a WordPress has some megabytes");
    let shown = sandbox.run(&["branch", "show", "marketing"]);
    assert!(shown.starts_with("forkpress cow branch marketing\n") && shown.contains("\nholds:      "), "{shown}");
    assert!(sandbox.refused(&["branch", "create", "marketing"], 1).contains("already exists"));
    assert!(sandbox.refused(&["branch", "reset", "main", "--from", "marketing"], 1).contains("refusing to reset main"));
    assert!(sandbox.refused(&["branch", "delete", "main"], 1).contains("cannot delete the main branch"));

    fs::write(sandbox.site().join("marketing/mine.txt"), "mine").unwrap();
    assert_eq!(sandbox.get("marketing", "/mine.txt").0, 200);
    assert_eq!(
        sandbox.run(&["branch", "rollback", "marketing", "--from", "main"]),
        "reset COW branch 'marketing' from 'main'\n"
    );
    assert_eq!(sandbox.get("marketing", "/mine.txt").0, 404);
    assert_eq!(sandbox.run(&["branch", "rm", "marketing"]), "deleted COW branch 'marketing'\n");
    assert_eq!(sandbox.get("marketing", "/").0, 404);

    let servers = json(&sandbox.run(&["server", "list", "--json"]));
    assert_eq!(servers[0]["url"], url.as_str());
    // A thread of its own writes it.
    while !sandbox.run(&["logs", "--file", "access", "marketing"]).contains(r#""GET /mine.txt HTTP/1.0" 404"#) {
        std::thread::yield_now();
    }
    assert_eq!(sandbox.run(&["stop"]), format!("forkpress: stopped {url}\n"));
    TcpListener::bind((Ipv4Addr::LOCALHOST, sandbox.port)).expect("the port is free again");
    assert_eq!(sandbox.run(&["server", "list"]), "forkpress: no server runs\n");
    assert_eq!(sandbox.run(&["stop"]), "forkpress: this site is not served\n");
}

#[test]
fn an_init_that_is_interrupted_leaves_nothing_and_one_that_is_killed_is_cleared_by_the_next() {
    let Some(wordpress) = wordpress() else { return };
    for step in ["copying WordPress", "installing WordPress"] {
        for how in [Signal::INT, Signal::KILL] {
            let sandbox = Sandbox::new();
            let arguments = sandbox.init_arguments(&wordpress);
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            let mut init = sandbox.forkpress(&arguments).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
            wait_for(&mut BufReader::new(init.stderr.take().unwrap()), step);
            signal(&init, how);
            let status = init.wait().unwrap();
            if how == Signal::INT {
                assert_eq!(status.code(), Some(130), "{step}");
                assert_eq!(fs::read_dir(sandbox.site()).unwrap().count(), 0, "{step}");
            } else {
                assert_eq!(status.signal(), Some(9));
                assert!(!sandbox.site().join(".forkpress/site.toml").exists());
                assert!(sandbox.refused(&["branch", "list"], 1).contains("no site in"));
                sandbox.run(&arguments);
                assert!(sandbox.run(&["branch", "list"]).starts_with("main "));
            }
        }
    }
}

#[test]
fn a_wordpress_that_does_not_install_is_a_failed_init_in_the_installers_words() {
    let Some(wordpress) = wordpress() else { return };
    let sandbox = Sandbox::new();
    let broken = sandbox.file("broken");
    let copied = std::process::Command::new("cp").arg("-a").arg(&wordpress).arg(&broken).status().unwrap();
    assert!(copied.success());
    fs::write(broken.join("wp-settings.php"), "<?php wp_is_not_what_it_was();").unwrap();
    let said = sandbox.refused(&["init", "--wordpress", broken.to_str().unwrap()], 1);
    assert!(said.starts_with("forkpress: ") && said.contains("WordPress was not installed\ncaused by: "), "{said}");
    assert!(said.contains("wp_is_not_what_it_was"), "{said}");
    assert_eq!(fs::read_dir(sandbox.site()).unwrap().count(), 0);
}

#[test]
fn a_tree_that_was_installed_is_not_installed_again() {
    let Some(first) = Sandbox::with_site() else { return };
    let second = Sandbox::new();
    let tree = first.site().join("main");
    fs::write(tree.join("wp-config.php"), fs::read_to_string(tree.join("wp-config.php")).unwrap() + "// mine\n")
        .unwrap();
    let made = second.run(&["init", "--wordpress", tree.to_str().unwrap(), "--json"]);
    assert_eq!((&json(&made)["user"], &json(&made)["password"]), (&Value::Null, &Value::Null));
    let configuration = fs::read_to_string(second.site().join("main/wp-config.php")).unwrap();
    assert!(configuration.ends_with("// mine\n"));
    assert!(second.site().join("main/wp-content/database/.ht.sqlite").is_file());
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_that_is_killed_outright_leaves_no_worker_and_the_registry_heals() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    let mut server = sandbox.forkpress(&["start"]).stdout(Stdio::piped()).spawn().unwrap();
    wait_for(&mut BufReader::new(server.stdout.take().unwrap()), "serving");
    let below: Vec<_> = below(server.id()).into_iter().filter_map(ProcessIdentity::of).collect();
    assert!(below.len() >= 1 + 4 + 3, "the one that warms, the public pool and the one for loopback calls: {below:?}");
    server.kill().unwrap();
    server.wait().unwrap();
    // The kernel kills them on its own time: there is nothing to shake hands with.
    while below.iter().any(ProcessIdentity::is_alive) {
        std::thread::yield_now();
    }
    assert_eq!(sandbox.run(&["server", "list"]), "forkpress: no server runs\n");
    sandbox.run(&["serve"]);
    assert_eq!(sandbox.get("main", "/").0, 200);
}

/// One that dies later is started again.
#[test]
fn a_server_whose_php_fpm_dies_as_soon_as_it_is_started_ends_and_says_so() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    let mut server = sandbox.forkpress(&["start"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&mut BufReader::new(server.stdout.take().unwrap()), "serving");
    let is_master = |pid: &u32| {
        forkpress_core::process::command_line(*pid).is_some_and(|line| line.starts_with("php-fpm: master process"))
    };
    if !below(server.id()).iter().any(is_master) {
        server.kill().unwrap();
        server.wait().unwrap();
        return skipped("this needs php-fpm (Debian: php-fpm)");
    }
    while server.try_wait().unwrap().is_none() {
        for master in below(server.id()).into_iter().filter(is_master) {
            // It may have ended meanwhile.
            let _ = kill_process(Pid::from_raw(i32::try_from(master).unwrap()).unwrap(), Signal::KILL);
        }
    }
    let output = server.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("php-fpm ended: signal: 9"), "{}", stderr(&output));
    assert_eq!(sandbox.run(&["server", "list"]), "forkpress: no server runs\n");
}

#[test]
fn a_serve_that_is_interrupted_while_it_waits_takes_its_server_with_it() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    // The front page can't answer, since its request can't have the lock.
    let lock = File::options().write(true).open(sandbox.site().join(".forkpress/cow/operations.lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let mut serve = sandbox.forkpress(&["serve"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let is_php = |pid: &u32| forkpress_core::process::command_line(*pid).is_some_and(|line| line.starts_with("php"));
    let mut started = Vec::new();
    while !started.iter().any(is_php) {
        assert_eq!(serve.try_wait().unwrap(), None);
        started = below(serve.id());
    }
    let started: Vec<_> = started.into_iter().filter_map(ProcessIdentity::of).collect();
    signal(&serve, Signal::INT);
    serve.wait().unwrap();
    while started.iter().any(ProcessIdentity::is_alive) {
        std::thread::yield_now();
    }
    drop(lock);
    sandbox.run(&["serve"]);
}

#[test]
fn a_busy_port_is_refused_with_its_holder() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, sandbox.port)).unwrap();
    let said = sandbox.refused(&["serve"], 1);
    assert!(said.contains(&format!("port {} is in use", sandbox.port)), "{said}");
    if cfg!(target_os = "linux") {
        assert!(said.contains(&format!("process {}", std::process::id())), "{said}");
    }
    assert!(said.contains("hint: choose another one: --port"), "{said}");
}

#[test]
fn what_a_php_lacks_is_said_before_anything_starts() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    let php = sandbox.file("php");
    // A PHP without its modules: -n reads no settings, so nothing that a distribution packs apart is there.
    fs::write(&php, "#!/bin/sh\nexec php -n \"$@\"\n").unwrap();
    fs::set_permissions(&php, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let modules = std::process::Command::new(&php).arg("-m").output().unwrap();
    if String::from_utf8_lossy(&modules.stdout).contains("pdo_sqlite") {
        skipped("this PHP has pdo_sqlite built in");
    } else {
        let said = sandbox.refused(&["serve", "--php", php.to_str().unwrap()], 1);
        assert!(said.contains("it lacks the module"), "{said}");
        assert!(said.contains("hint: ") && said.contains("install php"), "{said}");
    }
    fs::write(&php, "#!/bin/sh\necho no PHP at all\n").unwrap();
    let said = sandbox.refused(&["serve", "--php", php.to_str().unwrap()], 1);
    assert!(said.contains("is no PHP that can be used"), "{said}");
    assert!(sandbox.refused(&["serve", "--php", "/nowhere/php"], 1).contains("there is no PHP at /nowhere/php"));
}

#[test]
fn what_was_done_is_listed_and_undone() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    let mark = sandbox.site().join("x/mark");
    sandbox.run(&["branch", "create", "x"]);
    std::fs::write(&mark, "x").unwrap();
    sandbox.run(&["branch", "delete", "x"]);
    assert!(!mark.exists());

    let log = sandbox.run(&["log"]);
    let lines: Vec<_> = log.lines().collect();
    assert!(lines.len() == 3 && lines[0].contains("delete x") && lines[1].contains("create x from main"), "{log}");
    assert_eq!(sandbox.run(&["undo"]), "forkpress: undid operation 3: branch 'x' is back\n");
    assert_eq!(std::fs::read(&mark).unwrap(), b"x");
    let entries = json(&sandbox.run(&["log", "--json", "-n", "2"]));
    assert_eq!((&entries[0]["undoes"], &entries[1]["undone_by"]), (&3.into(), &4.into()));
    assert_eq!(sandbox.run(&["undo"]), "forkpress: undid operation 2: branch 'x' is gone\n");
    let refused = sandbox.refused(&["undo", "2"], 1);
    assert!(
        refused.contains("operation 2 is undone already, by operation 5") && refused.contains("undo 5"),
        "{refused}"
    );
    assert!(sandbox.refused(&["undo", "9"], 1).contains("hint: forkpress log"));
    sandbox.run(&["undo", "5"]);
    assert!(sandbox.run(&["gc", "--dry-run"]).contains("would free 0 B of 0 kept trees"));

    let undone = json(&sandbox.run(&["undo", "--json"]));
    assert_eq!((&undone["undone"], &undone["name"]), (&6.into(), &"x".into()));
    sandbox.run(&["undo", "7"]);
    sandbox.run(&["branch", "delete", "x", "--purge"]);
    let refused = sandbox.refused(&["undo"], 1);
    assert!(refused.contains("operation 9 cannot be undone") && refused.contains("hint: forkpress log"), "{refused}");
    sandbox.run(&["branch", "create", "z"]);
    sandbox.run(&["branch", "create", "x"]);
    sandbox.run(&["branch", "delete", "x", "--purge"]);
    let refused = sandbox.refused(&["undo"], 1);
    assert!(
        refused.contains("operation 12 cannot be undone")
            && refused.contains("hint: the newest that can be undone is operation 10"),
        "{refused}"
    );
    let settings = sandbox.site().join(".forkpress/site.toml");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text.replace("trees = 30", "trees = 0")).unwrap();
    sandbox.run(&["branch", "create", "y"]);
    sandbox.run(&["branch", "delete", "y"]);
    sandbox.run(&["gc"]);
    assert_eq!(std::fs::read_dir(sandbox.site().join(".forkpress/cow/kept")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(sandbox.site().join(".forkpress/cow/trash")).unwrap().count(), 0);
}

#[test]
fn a_program_takes_part_in_a_branchs_traffic() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    let said = sandbox.run(&["exec", "main", "--", "sh", "-c", "pwd; echo $HTTP_HOST $FORKPRESS_BRANCH"]);
    let main = fs::canonicalize(sandbox.site().join("main")).unwrap();
    assert_eq!(said, format!("{}\nwp.localhost:{} main\n", main.display(), sandbox.port));
    for (program, status) in [("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)] {
        sandbox.refused(&["exec", "main", "--", "sh", "-c", program], status);
    }
    assert!(sandbox.refused(&["exec", "main", "--", "no-such-program"], 127).contains("cannot run no-such-program"));
    assert!(sandbox.refused(&["exec", "nowhere", "--", "true"], 1).contains("branch 'nowhere' does not exist"));

    let hold = "echo here; exec sleep 600";
    let mut exec = sandbox.forkpress(&["exec", "main", "--", "sh", "-c", hold]).stdout(Stdio::piped()).spawn().unwrap();
    wait_for(&mut BufReader::new(exec.stdout.take().unwrap()), "here");
    let said = sandbox.refused(&["branch", "create", "x", "--timeout", "0.2"], 75);
    assert!(said.contains(&format!("held by process {}", exec.id())), "{said}");
    signal(&exec, Signal::TERM);
    assert_eq!(exec.wait().unwrap().code(), Some(143), "the signal was forwarded");
    sandbox.run(&["branch", "create", "x"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_program_dies_with_the_forkpress_that_started_it() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    let mut exec = sandbox
        .forkpress(&["exec", "main", "--", "sh", "-c", "echo $$; exec sleep 600"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(exec.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert!(ProcessIdentity::of(line.trim().parse().unwrap()).is_some());
    exec.kill().unwrap();
    exec.wait().unwrap();
    // The pipe ends with its last writer, which is the program.
    output.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn commands_that_only_read_answer_while_an_exclusive_holder_is_stuck() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    let cow = sandbox.site().join(".forkpress/cow");
    let _held: Vec<_> = ["operations.lock", "operations.gate", "mutation.lock", "lifecycle.lock"]
        .iter()
        .map(|name| {
            let lock = File::options().write(true).create(true).truncate(false).open(cow.join(name)).unwrap();
            flock(&lock, FlockOperation::LockExclusive).unwrap();
            lock
        })
        .collect();
    sandbox.run(&["branch", "list"]);
    sandbox.run(&["branch", "show", "main"]);
    sandbox.run(&["server", "list"]);
    sandbox.run(&["logs"]);
}

#[test]
fn logs_are_followed_before_they_exist_and_after_they_are_truncated() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    let path = sandbox.run(&["logs", "--file", "wp", "--paths"]);
    let log = Path::new(path.trim_end());
    assert!(!log.exists());
    let mut logs = sandbox.forkpress(&["logs", "--file", "wp", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(logs.stdout.take().unwrap());
    fs::write(log, "first, and longer than the next\n").unwrap();
    wait_for(&mut output, "first");
    fs::write(log, "second\n").unwrap();
    wait_for(&mut output, "second");
    drop(output);
    assert!(logs.wait().unwrap().success(), "it ends when nobody reads it any more");
}

#[test]
fn many_branches_are_listed_without_a_look_into_each() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    let records = sandbox.site().join(".forkpress/cow/branches");
    let add = |name: String| {
        fs::create_dir(sandbox.site().join(&name)).unwrap();
        fs::copy(records.join("main.toml"), records.join(name + ".toml")).unwrap();
    };
    let measured = |arguments: &[&str]| {
        let rows = json(&sandbox.run(arguments));
        let rows = rows.as_array().unwrap();
        (rows.len(), rows.iter().filter(|row| row["exclusive_bytes"].is_u64() && row["shared_bytes"].is_u64()).count())
    };
    (1..20).for_each(|number| add(format!("b{number}")));
    assert_eq!(measured(&["branch", "list", "--json"]), (20, 20));
    add("b20".to_owned());
    assert_eq!(measured(&["branch", "list", "--json"]), (21, 0));
    assert_eq!(measured(&["branch", "list", "--bytes", "--json"]), (21, 21));
    let said = stderr(&sandbox.forkpress(&["branch", "list"]).output().unwrap());
    assert!(said.contains("forkpress branch list --bytes"), "{said}");
}

#[test]
fn a_password_on_standard_input_is_in_no_list_of_processes_and_opens_the_dashboard() {
    let Some(wordpress) = wordpress() else { return };
    let sandbox = Sandbox::new();
    let site = sandbox.site().join("new/shop");
    let work_dir = site.join(".forkpress");
    let password = format!("correct-horse-{}", std::process::id());
    let port = sandbox.port.to_string();
    let arguments = ["init", "--wordpress", wordpress.to_str().unwrap(), "--port", &port, "--admin-password-stdin"];
    let mut init = sandbox
        .forkpress(&arguments)
        .args(["--work-dir", work_dir.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    init.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
    wait_for(&mut BufReader::new(init.stderr.take().unwrap()), "installing WordPress");
    // From before the installer is started until after it has ended.
    while init.try_wait().unwrap().is_none() {
        assert_eq!(processes_with(&password), [0; 0]);
    }
    assert!(init.wait().unwrap().success());
    let script = "require 'wp-load.php'; \
        echo wp_check_password( $argv[1], get_user_by( 'login', 'admin' )->user_pass ) ? 'right' : 'wrong';";
    let exec = |password: &str| {
        let work_dir = work_dir.to_str().unwrap();
        let line = ["exec", "--work-dir", work_dir, "main", "--", "php", "-r", script, password];
        sandbox.run(&line)
    };
    assert_eq!((exec(&password).as_str(), exec("another").as_str()), ("right", "wrong"));
}

#[test]
fn what_is_removed_of_what_is_kept_is_in_a_log_with_the_reason() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    let settings = sandbox.site().join(".forkpress/site.toml");
    let text = fs::read_to_string(&settings).unwrap();
    sandbox.run(&["branch", "create", "x"]);
    sandbox.run(&["branch", "delete", "x"]);
    fs::write(&settings, text.replace("trees = 30", "trees = 0")).unwrap();
    let said = sandbox.run(&["gc", "--dry-run"]);
    assert!(said.contains("  more are kept than [keep] allows\n"), "{said}");
    assert!(!sandbox.site().join(".forkpress/logs/gc.log").exists(), "nothing was removed yet");
    sandbox.run(&["gc"]);
    let said = sandbox.run(&["logs", "--file", "gc"]);
    assert!(said.contains("  removed what operation 3 (delete x) kept, ") && said.lines().count() == 1, "{said}");
    assert!(said.ends_with(" bytes, as more are kept than [keep] allows\n"), "{said}");
    // After other commands too, in the background.
    sandbox.run(&["branch", "create", "y"]);
    let mut logs = sandbox.forkpress(&["logs", "--file", "gc", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    sandbox.run(&["branch", "delete", "y"]);
    let mut output = BufReader::new(logs.stdout.take().unwrap());
    wait_for(&mut output, "(delete y)");
    drop(output);
    assert!(logs.wait().unwrap().success());
}

#[test]
fn other_names_of_serving_and_stopping_do_the_same() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    let serving = format!("forkpress: serving http://wp.localhost:{}/\n", sandbox.port);
    let stopped = format!("forkpress: stopped http://wp.localhost:{}/\n", sandbox.port);
    assert_eq!(sandbox.run(&["server", "start", "--php-bin", "php", "--workers", "1"]), serving);
    let pid = json(&sandbox.run(&["server", "list", "--json"]))[0]["pid"].to_string();
    assert_eq!(sandbox.run(&["stop", "--pid", &pid]), stopped);
    assert_eq!(sandbox.run(&["start", "--background", "--workers", "1"]), serving);
    assert_eq!(sandbox.run(&["server", "stop"]), stopped);
    let arguments = ["serve", "--foreground", "--workers", "1"];
    let mut server = sandbox.forkpress(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    wait_for(&mut BufReader::new(server.stdout.take().unwrap()), "serving");
    let listed = json(&sandbox.run(&["server", "list", "--json"]));
    assert_eq!(listed[0]["pid"], server.id(), "it is the process that was started");
    signal(&server, Signal::INT);
    assert!(server.wait().unwrap().success());
    assert_eq!(sandbox.run(&["server", "list"]), "forkpress: no server runs\n");
}

#[test]
fn a_server_tells_its_steps_in_its_log_and_a_push_shows_none_of_them() {
    let Some(sandbox) = Sandbox::with_site() else { return };
    sandbox.run(&["serve", "--verbose"]);
    fs::write(sandbox.file("gitconfig"), "[user]\n\tname = Ann\n\temail = ann@example.test\n").unwrap();
    let git = |arguments: &[&str], folder: &str| {
        let mut command = sandbox.forkpress(arguments);
        let output =
            command.env("GIT_CONFIG_GLOBAL", sandbox.file("gitconfig")).current_dir(sandbox.file(folder)).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let url = format!("http://wp.localhost:{}/site.git", sandbox.port);
    git(&["clone", &url, "checkout"], "");
    fs::write(sandbox.file("checkout/wordpress/new.txt"), "new").unwrap();
    let said = git(&["commit", "-m", "new"], "checkout");
    assert!(!said.contains("DEBUG"), "{said}");
    let log = sandbox.run(&["logs", "--file", "forkpress"]);
    for line in [
        "INFO forkpress::server: serving url=",
        "DEBUG forkpress::commands::git_http: asked by git service=",
        "DEBUG forkpress_engine::git::repository: exit status: 0 command=\"git ",
        "DEBUG forkpress_engine::mutation::publish: concluded operation=Apply branch=\"main\"",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
}
