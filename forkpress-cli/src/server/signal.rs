//! Ends servers of other processes. It sends no signal to a process that is not surely the registered one.

use std::time::Duration;

use forkpress_core::deadline::Deadline;
use forkpress_core::lock::note::{self, Note};
use forkpress_core::process::ProcessIdentity;
use forkpress_engine::registry::Server;
use forkpress_engine::site::Site;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;

const PAUSE: Duration = Duration::from_millis(10);

/// How long the kernel may take to remove a killed process.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// It let its requests end.
    Ended,
    /// It was killed, and its requests with it.
    Killed,
    /// It runs on: it can't be killed.
    Failed,
}

/// Tells a server to end and waits for it; kills it, PHP first, where it has not ended after `timeout` or where `force`
/// says to.
pub fn stop(server: &Server, timeout: Duration, force: bool) -> Stopped {
    if !force {
        send(&server.process, Signal::TERM);
        if wait(&server.process, timeout) {
            return Stopped::Ended;
        }
    }
    let site = Site::open(&server.work_dir).ok();
    let requests = site.as_ref().map(|site| Note::all(site.layout.cow())).unwrap_or_default();
    for leader in &server.php {
        if leader.is_alive()
            && let Some(group) = pid(leader)
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
    send(&server.process, Signal::KILL);
    if !wait(&server.process, KILL_TIMEOUT) {
        return Stopped::Failed;
    }
    if let Some(site) = site {
        // Its requests were killed, and did not die by themselves: nobody is to be told so.
        for request in requests.iter().filter(|note| note.request().is_some()) {
            wait(&request.process, KILL_TIMEOUT);
        }
        note::sweep(site.layout.cow());
    }
    Stopped::Killed
}

fn wait(process: &ProcessIdentity, timeout: Duration) -> bool {
    let deadline = Deadline::after(timeout);
    while process.is_alive() {
        if deadline.has_passed() {
            return false;
        }
        std::thread::sleep(PAUSE.min(deadline.remaining()));
    }
    true
}

fn pid(process: &ProcessIdentity) -> Option<Pid> {
    Pid::from_raw(i32::try_from(process.pid).ok()?)
}

/// Sends through a descriptor of the process: between the check and the signal its id can't come to mean another one.
#[cfg(target_os = "linux")]
fn send(process: &ProcessIdentity, signal: Signal) {
    use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};

    if let Some(pid) = pid(process)
        && let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty())
        && process.is_alive()
    {
        let _ = pidfd_send_signal(&descriptor, signal);
    }
}

#[cfg(not(target_os = "linux"))]
fn send(process: &ProcessIdentity, signal: Signal) {
    if process.is_alive()
        && let Some(pid) = pid(process)
    {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Has the main thread look after what it started, as if a child of it had ended.
pub(super) fn wake_main_thread() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::CHILD);
}

/// Makes orphans of this process's children its own children, so that it can wait for PHP's workers after PHP's master.
#[cfg(target_os = "linux")]
pub(super) fn adopt_orphans() {
    // Without it only the masters are waited for.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

#[cfg(not(target_os = "linux"))]
pub(super) fn adopt_orphans() {}

/// Collects what this process has adopted, what it started and left alone, and what has ended of both: nobody else
/// does. `own` are children that somebody waits for, as all are that are in this process's own group.
#[cfg(target_os = "linux")]
pub(super) fn reap_adopted(own: &[u32]) {
    use rustix::process::{WaitOptions, getpgrp, getpid, waitpid};

    let Ok(entries) = std::fs::read_dir("/proc") else { return };
    let (parent, group) = (getpid().as_raw_nonzero().get(), getpgrp().as_raw_nonzero().get());
    for entry in entries.flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // It may be gone by now, if it is none of this process's.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let is_left = ended(&stat).is_some_and(|ended| ended.parent == parent && ended.group != group);
        if is_left && !own.iter().any(|own| i64::from(*own) == i64::from(id)) {
            let _ = waitpid(Pid::from_raw(id), WaitOptions::NOHANG);
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn reap_adopted(_own: &[u32]) {}

/// Whose child a process was that has ended, and which group it was in.
#[cfg(target_os = "linux")]
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    parent: i32,
    group: i32,
}

/// Reads `/proc/PID/stat`; none where the process has not ended.
#[cfg(target_os = "linux")]
fn ended(stat: &str) -> Option<Ended> {
    // The name of the program, in parentheses, may have some in it.
    let mut words = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let (state, parent, group) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (state == "Z").then_some(Ended { parent, group })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    fn server(process: ProcessIdentity, php: Vec<ProcessIdentity>) -> Server {
        Server {
            work_dir: "/site/.forkpress".into(),
            process,
            php,
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

    fn sleeper() -> (Child, ProcessIdentity) {
        let child = Command::new("sleep").arg("600").process_group(0).spawn().unwrap();
        let identity = ProcessIdentity::of(child.id()).unwrap();
        (child, identity)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_a_process_that_has_ended_is_reaped() {
        assert_eq!(ended("12 (a) Z 1) Z 34 56 7 0\n"), Some(Ended { parent: 34, group: 56 }));
        assert_eq!(ended("12 (Z) S 34 56 7 0\n"), None);
        assert_eq!(ended(""), None);
    }

    #[test]
    fn a_server_and_its_php_are_killed_where_asked() {
        let (mut main, main_identity) = sleeper();
        let (mut php, php_identity) = sleeper();
        assert_eq!(stop(&server(main_identity, vec![php_identity]), Duration::ZERO, true), Stopped::Killed);
        main.wait().unwrap();
        assert!(!php.wait().unwrap().success());
    }

    #[test]
    fn a_process_with_a_reused_id_is_left_alone() {
        let (mut other, identity) = sleeper();
        let registered = ProcessIdentity { started: "0".to_owned(), ..identity.clone() };
        stop(&server(registered.clone(), vec![registered]), Duration::ZERO, true);
        assert!(identity.is_alive());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
