//! The registry between real processes.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use forkpress_core::process::ProcessIdentity;
use forkpress_engine::registry::{Registry, Server};

const DIR: &str = "FORKPRESS_TEST_REGISTRY";
const CHILDREN: usize = 8;
const ROUNDS: usize = 25;

fn own() -> Server {
    Server {
        work_dir: PathBuf::from("/site/.forkpress"),
        process: ProcessIdentity::current(),
        php: Vec::new(),
        host: "127.0.0.1".to_owned(),
        port: 1,
        root_host: "wp.localhost".to_owned(),
        https: false,
        workers: 1,
        program: None,
        xdebug: false,
        started_at: 0,
    }
}

/// Runs in each child: registers and goes away again, over and over, stays, and goes when its standard input ends.
#[test]
fn child() {
    let Some(dir) = env::var_os(DIR) else { return };
    let registry = Registry::at(dir);
    for _ in 0..ROUNDS {
        registry.add(own()).unwrap();
        assert!(registry.list().unwrap().servers.contains(&own()));
        assert!(!registry.remove(&own().process).unwrap().servers.contains(&own()));
    }
    registry.add(own()).unwrap();
    println!("registered");
    io::stdout().flush().unwrap();
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
    registry.remove(&own().process).unwrap();
}

fn start(dir: &std::path::Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(DIR, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn pids(registry: &Registry) -> Vec<u32> {
    let listing = registry.list().unwrap();
    assert_eq!(listing.moved_aside, None);
    let mut pids: Vec<_> = listing.servers.iter().map(|server| server.process.pid).collect();
    pids.sort_unstable();
    pids
}

#[test]
fn processes_that_register_at_once_are_all_listed_and_killed_ones_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::at(dir.path());
    let mut children: Vec<_> = (0..CHILDREN).map(|_| start(dir.path())).collect();
    for child in &mut children {
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.ends_with("registered")), "a child failed");
    }
    let mut expected: Vec<_> = children.iter().map(Child::id).collect();
    expected.sort_unstable();
    assert_eq!(pids(&registry), expected);

    let mut killed = children.split_off(CHILDREN / 2);
    for child in &mut killed {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut expected: Vec<_> = children.iter().map(Child::id).collect();
    expected.sort_unstable();
    assert_eq!(pids(&registry), expected);

    for child in &mut children {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(pids(&registry), [0; 0]);
}

#[test]
fn fifty_that_register_while_fifty_leave_are_all_listed() {
    const EACH: usize = 50;
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::at(dir.path());
    let registered = |child: &mut Child| {
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.ends_with("registered")), "a child failed");
    };
    let mut leaving: Vec<_> = (0..EACH).map(|_| start_once(dir.path())).collect();
    for child in &mut leaving {
        tell(child);
        registered(child);
    }
    let mut coming: Vec<_> = (0..EACH).map(|_| start_once(dir.path())).collect();
    // All of them are told at once.
    for (leaves, comes) in leaving.iter_mut().zip(&mut coming) {
        drop(leaves.stdin.take());
        tell(comes);
    }
    for child in &mut leaving {
        assert!(child.wait().unwrap().success());
    }
    coming.iter_mut().for_each(registered);
    let mut expected: Vec<_> = coming.iter().map(Child::id).collect();
    expected.sort_unstable();
    assert_eq!(pids(&registry), expected);
    for child in &mut coming {
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

const ONCE: &str = "FORKPRESS_TEST_REGISTRY_ONCE";

/// Runs in each child of that test: registers when it is told to, and goes when its standard input ends.
#[test]
fn child_once() {
    let Some(dir) = env::var_os(ONCE) else { return };
    let registry = Registry::at(dir);
    io::stdin().lines().next();
    registry.add(own()).unwrap();
    println!("registered");
    io::stdout().flush().unwrap();
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
    registry.remove(&own().process).unwrap();
}

fn start_once(dir: &std::path::Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "child_once", "--nocapture"])
        .env(ONCE, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn tell(child: &mut Child) {
    child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
}
