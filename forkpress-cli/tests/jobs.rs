//! Jobs, with the real program: what starts them, follows them and ends them are processes of their own.

mod common;

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{Sandbox, stderr};
use forkpress_core::flock;
use forkpress_core::layout::SiteLayout;
use forkpress_engine::jobs::{self, JobError, JobId, JobState, Measure, NewJob};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_forkpress");

fn start_with(layout: &SiteLayout, words: &[&str], stdin: Option<File>) -> JobId {
    let arguments: Vec<OsString> = words.iter().map(Into::into).collect();
    let new = NewJob { arguments: &arguments, title: "A test", by: "page", stdin };
    jobs::start(layout, Path::new(PROGRAM), new).unwrap()
}

fn start(layout: &SiteLayout, words: &[&str]) -> JobId {
    start_with(layout, words, None)
}

/// Starts a job that is a script of the shell, as a program in `main`.
fn start_script(layout: &SiteLayout, script: &str) -> JobId {
    start(layout, &["exec", "main", "--", "sh", "-c", script])
}

/// Waits for the end of a job, or of its runner: the lock is free then.
fn wait(layout: &SiteLayout, id: JobId) -> JobState {
    let lock = File::open(folder(layout, id).join("lock")).unwrap();
    flock::lock(&lock, flock::Mode::Shared).unwrap();
    jobs::get(layout, id).unwrap().state
}

fn folder(layout: &SiteLayout, id: JobId) -> PathBuf {
    layout.jobs_dir().join(id.to_string())
}

/// A pipe with a name: who opens it waits for the other side.
fn pipe(sandbox: &Sandbox, name: &str) -> PathBuf {
    let path = sandbox.file(name);
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.cast_signed()).unwrap()
}

fn exit(state: JobState) -> Option<i32> {
    match state {
        JobState::Ended { exit, .. } => Some(exit),
        _ => None,
    }
}

/// Starts a job and waits, where the test below runs it as a process of its own.
#[test]
fn starter() {
    let Some(site) = env::var_os("STARTS_A_JOB_IN") else { return };
    let go_on = env::var("WAITS_FOR").unwrap();
    let script = format!("echo begun >&2; read word <'{go_on}'; echo $word >&2; echo '{{\"operation\": 7}}'");
    let id = start_script(&SiteLayout::at(Path::new(&site)), &script);
    writeln!(std::io::stdout(), "started {id}").unwrap();
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_job_outlives_the_process_that_started_it_and_signals_to_its_group() {
    let sandbox = Sandbox::new();
    let layout = sandbox.site_with_main();
    let go_on = pipe(&sandbox, "go-on");
    let mut starter = Command::new(env::current_exe().unwrap())
        .args(["--exact", "starter", "--nocapture"])
        .env("STARTS_A_JOB_IN", layout.public_root())
        .env("WAITS_FOR", &go_on)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(starter.stdout.take().unwrap()).lines().map(Result::unwrap);
    let id: JobId = lines.find_map(|line| line.rsplit_once("started ")?.1.parse().ok()).unwrap();
    for signal in [Signal::INT, Signal::HUP, Signal::KILL] {
        kill_process_group(pid(starter.id()), signal).unwrap();
    }
    starter.wait().unwrap();
    let job = jobs::get(&layout, id).unwrap();
    assert!(job.is_running(), "{job:?}");
    assert_eq!(job.operation(), None);
    assert_eq!(jobs::list(&layout).unwrap().jobs, [job]);
    let row: Value = serde_json::from_str(&sandbox.run(&["jobs", "--json"])).unwrap();
    assert_eq!((&row[0]["id"], &row[0]["state"], &row[0]["by"]), (&json!("1"), &json!("running"), &json!("page")));
    // It opens when the job reads.
    File::options().write(true).open(&go_on).unwrap().write_all(b"later\n").unwrap();
    assert_eq!(exit(wait(&layout, id)), Some(0));
    let job = jobs::get(&layout, id).unwrap();
    assert_eq!(job.operation(), Some(7));
    assert_eq!(jobs::answer(&layout, id).unwrap(), Some(json!({ "operation": 7 })));
    let (told, next) = jobs::lines(&layout, id, 0).unwrap();
    assert_eq!(told, ["begun", "later"]);
    assert_eq!(jobs::lines(&layout, id, next).unwrap(), (Vec::new(), next));
    assert!(sandbox.run(&["jobs", "1"]).contains("\nOperation: 7; forkpress undo 7 takes it back\n"));
}

#[test]
fn each_of_two_followers_is_told_all_and_ends_as_the_job_does() {
    let sandbox = Sandbox::new();
    let layout = sandbox.site_with_main();
    let go_on = pipe(&sandbox, "go-on");
    let script =
        format!("echo one >&2; read word <'{}'; echo $word >&2; printf rest >&2; echo done; exit 3", go_on.display());
    let id = start_script(&layout, &script);
    let follow = |arguments: &[&str]| {
        let mut command = sandbox.forkpress(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let first_line = |from: &mut dyn Read| {
        let mut line = Vec::new();
        let mut byte = [0];
        while line.last() != Some(&b'\n') {
            from.read_exact(&mut byte).unwrap();
            line.extend(byte);
        }
        String::from_utf8(line).unwrap()
    };
    let (mut one, mut other) = (follow(&["jobs", "--follow", "1"]), follow(&["jobs", "-f", "1", "--json"]));
    assert_eq!(first_line(one.stderr.as_mut().unwrap()), "one\n");
    assert_eq!(first_line(other.stdout.as_mut().unwrap()), "{\"line\":\"one\"}\n");
    File::options().write(true).open(&go_on).unwrap().write_all(b"two\n").unwrap();
    let end = |child: Child| {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(3));
        (String::from_utf8(output.stdout.clone()).unwrap(), stderr(&output))
    };
    assert_eq!(end(one), ("done\n".to_owned(), "two\nrest\n".to_owned()));
    let (said, complaints) = end(other);
    let said: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said[..2], [json!({ "line": "two" }), json!({ "line": "rest" })]);
    assert_eq!((&said[2]["id"], &said[2]["exit"], said.len()), (&json!(id), &json!(3), 3));
    assert_eq!(complaints, "");
}

/// Starts a job whose command sleeps. The pipe ends when nobody of it is left.
fn start_sleeping(sandbox: &Sandbox, layout: &SiteLayout) -> (JobId, File) {
    let alive = pipe(sandbox, "alive");
    let id = start_script(layout, &format!("exec 3>'{}'; echo up >&3; exec sleep 600", alive.display()));
    let mut alive = File::open(&alive).unwrap();
    alive.read_exact(&mut [0; 3]).unwrap();
    (id, alive)
}

#[test]
fn a_killed_runner_has_died_and_its_command_ends_with_it() {
    let sandbox = Sandbox::new();
    let layout = sandbox.site_with_main();
    let (id, mut alive) = start_sleeping(&sandbox, &layout);
    let JobState::Running { pid: runner } = jobs::get(&layout, id).unwrap().state else { panic!("it runs") };
    kill_process(pid(runner), Signal::KILL).unwrap();
    assert_eq!(wait(&layout, id), JobState::Died);
    if cfg!(target_os = "linux") {
        // This ends when nobody has the pipe any more.
        assert_eq!(alive.read(&mut [0]).unwrap(), 0);
    }
    assert!(matches!(jobs::cancel(&layout, id), Err(JobError::NotRunning { .. })));
    let said = sandbox.refused(&["jobs", "--follow", "1"], 1);
    assert!(said.starts_with("forkpress: job 1 died") && said.contains("\n\nhint: "), "{said}");
    assert!(sandbox.run(&["jobs"]).contains("  died  by page  A test: forkpress exec main -- sh -c 'exec 3>"));
}

#[test]
fn what_a_command_says_of_its_failure_arrives_word_for_word() {
    let sandbox = Sandbox::new();
    let layout = sandbox.site_with_main();
    let failing = ["branch", "reset", "main", "--from", "nowhere", "--force"];
    let id = start(&layout, &failing);
    assert_eq!(exit(wait(&layout, id)), Some(1));
    let typed = sandbox.refused(&failing, 1);
    assert!(typed.contains("\n\nhint: "), "{typed}");
    assert_eq!(sandbox.refused(&["jobs", "--follow", "1"], 1), typed);
    assert_eq!(jobs::answer(&layout, id).unwrap().unwrap()["exit"], 1);
    // What is no command at all says so, too.
    let id = start(&layout, &["dance"]);
    assert_eq!(exit(wait(&layout, id)), Some(2));
    assert!(sandbox.refused(&["jobs", "--follow", "2"], 2).contains("unrecognized subcommand 'dance'"));
    assert!(sandbox.refused(&["jobs", "3"], 1).ends_with("there is no job 3\n\nhint: forkpress jobs\n"));
}

#[test]
fn a_job_tells_how_far_a_step_is_beside_its_answer() {
    let sandbox = Sandbox::new();
    let layout = sandbox.site_with_main();
    let id = start(&layout, &["branch", "create", "x"]);
    assert_eq!(exit(wait(&layout, id)), Some(0));
    let (told, _) = jobs::lines(&layout, id, 0).unwrap();
    let measure = told.iter().find_map(|line| Measure::parse(line)).unwrap_or_else(|| panic!("{told:?}"));
    assert!(0 < measure.done && measure.done <= measure.total, "{measure:?}");
    assert!(told.contains(&format!("forkpress: {}", measure.step)), "{told:?}");
    assert!(layout.public_branch(&"x".parse().unwrap()).join("a").is_file());
    let log: Value = serde_json::from_str(&sandbox.run(&["log", "--json"])).unwrap();
    assert_eq!(jobs::get(&layout, id).unwrap().operation(), log[0]["id"].as_u64());
    // Where nobody asks for it, nothing is said.
    assert_eq!(stderr(&sandbox.forkpress(&["branch", "create", "y", "--json"]).output().unwrap()), "");
}

#[test]
fn a_cancel_is_a_ctrl_c_to_the_whole_command() {
    let sandbox = Sandbox::new();
    let layout = sandbox.site_with_main();
    let (id, mut alive) = start_sleeping(&sandbox, &layout);
    assert!(sandbox.run(&["jobs", "--cancel", "1"]).starts_with("forkpress: job 1 is told to end"));
    assert_eq!(exit(wait(&layout, id)), Some(130));
    assert_eq!(alive.read(&mut [0]).unwrap(), 0, "the program of the command has ended");
    assert!(sandbox.refused(&["jobs", "--cancel", "1"], 1).contains("job 1 does not run\n\nhint: forkpress jobs 1\n"));
}

#[test]
fn what_a_job_reads_is_given_to_it_and_nobody_else_can_read_anything_of_it() {
    let sandbox = Sandbox::new();
    let layout = sandbox.site_with_main();
    let mut secret = tempfile::tempfile().unwrap();
    secret.write_all(b"correct horse").unwrap();
    secret.rewind().unwrap();
    let id = start_with(&layout, &["exec", "main", "--", "wc", "-c"], Some(secret));
    assert_eq!(exit(wait(&layout, id)), Some(0));
    assert_eq!(jobs::output(&layout, id).unwrap().trim(), "13");
    let folder = folder(&layout, id);
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let all: Vec<_> = files.chain([folder.clone(), layout.jobs_dir()]).collect();
    assert!(all.len() > 6, "{all:?}");
    for path in all {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
    }
    // Without one there is nothing to read.
    let id = start(&layout, &["exec", "main", "--", "wc", "-c"]);
    assert_eq!((exit(wait(&layout, id)), jobs::output(&layout, id).unwrap().trim()), (Some(0), "0"));
}

#[test]
fn what_is_no_job_is_left_out_with_a_word_and_no_link_is_followed() {
    let sandbox = Sandbox::new();
    let layout = sandbox.site_with_main();
    let good = start(&layout, &["log"]);
    wait(&layout, good);
    let number = |n: u64| layout.job(n);
    let copy = |n: u64, without: &str| {
        fs::create_dir(number(n)).unwrap();
        for name in ["job.json", "end.json", "lock", "output", "progress"].iter().filter(|name| **name != without) {
            fs::copy(folder(&layout, good).join(name), number(n).join(name)).unwrap();
        }
    };
    fs::create_dir(layout.jobs_dir().join("rubbish")).unwrap();
    fs::create_dir(number(3)).unwrap();
    fs::write(number(4), "a file").unwrap();
    let elsewhere = |name: &str| folder(&layout, good).join(name);
    for (n, name) in [(5, "job.json"), (6, "end.json"), (7, "progress"), (8, "output")] {
        copy(n, name);
        symlink(elsewhere(name), number(n).join(name)).unwrap();
    }
    copy(9, "end.json");
    fs::write(number(9).join("end.json"), "{").unwrap();
    copy(10, "end.json");
    fs::remove_file(number(10).join("lock")).unwrap();
    symlink(elsewhere("lock"), number(10).join("lock")).unwrap();
    let listed = sandbox.forkpress(&["jobs", "--json"]).output().unwrap();
    let rows: Value = serde_json::from_slice(&listed.stdout).unwrap();
    let ids: Vec<_> = rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["8", "7", "1"]);
    let said = stderr(&listed);
    for name in ["rubbish", "3", "4", "5", "6", "9", "10"] {
        let warned = format!("warning: {} is left out", layout.jobs_dir().join(name).display());
        assert!(said.contains(&warned), "{name}: {said}");
    }
    assert!(sandbox.refused(&["jobs", "--follow", "7"], 1).contains("7/progress is not what a job has there"));
    assert!(sandbox.refused(&["jobs", "8"], 1).contains("8/output is not what a job has there"));
    // A new one has a number that nothing there has.
    assert_eq!(start(&layout, &["log"]).to_string(), "11");
    // A folder of jobs that is elsewhere is none of the site's.
    let aside = sandbox.file("aside");
    fs::rename(layout.jobs_dir(), &aside).unwrap();
    symlink(&aside, layout.jobs_dir()).unwrap();
    assert!(sandbox.refused(&["jobs"], 1).contains("jobs"));
}

#[test]
fn only_what_starts_a_job_makes_its_runner() {
    let sandbox = Sandbox::new();
    let layout = sandbox.site_with_main();
    let id = start(&layout, &["log"]);
    wait(&layout, id);
    let before = fs::read(folder(&layout, id).join("end.json")).unwrap();
    let work_dir = layout.work_dir().to_str().unwrap();
    let said = sandbox.refused(&["__job", work_dir, "1", "--", "log"], 1);
    assert!(said.contains("a job is run by what starts it"), "{said}");
    assert_eq!(fs::read(folder(&layout, id).join("end.json")).unwrap(), before);
    // A program that runs no jobs leaves none.
    let new = || NewJob { arguments: &[], title: "", by: "", stdin: None };
    let refused = jobs::start(&layout, Path::new("/bin/ls"), new()).unwrap_err();
    assert!(refused.to_string().starts_with("cannot start the job: "), "{refused}");
    assert!(matches!(jobs::start(&layout, Path::new("/no-such"), new()), Err(JobError::Spawn { .. })));
    assert_eq!(jobs::list(&layout).unwrap().jobs.len(), 1);
    assert_eq!(fs::read_dir(layout.jobs_dir()).unwrap().count(), 1, "nothing is left");
}

#[test]
fn jobs_that_start_at_once_have_numbers_of_their_own() {
    let sandbox = Sandbox::new();
    let layout = sandbox.site_with_main();
    let started = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| start(&layout, &["log"]))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    for id in &started {
        assert_eq!(exit(wait(&layout, *id)), Some(0));
    }
    let mut numbers: Vec<_> = started.iter().map(ToString::to_string).collect();
    numbers.sort();
    assert_eq!(numbers, ["1", "2", "3", "4", "5", "6"]);
    assert_eq!(jobs::list(&layout).unwrap().jobs.len(), 6);
}
