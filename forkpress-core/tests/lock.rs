//! The lock protocol between real processes. They shake hands over pipes: a peer is this very test binary, run again with
//! [`PEER`] set, which does one thing for each line it reads and answers with one line.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use forkpress_core::deadline::Deadline;
use forkpress_core::layout::CowLayout;
use forkpress_core::lock::note::CommandNote;
use forkpress_core::lock::{
    BranchFiles, GateProbe, KeptFiles, LockError, LoopbackToken, Mutation, OperationsFiles, Patience, RequestLocks,
    SharedBranch, SharedOperations, Visit, generation, holders,
};
use forkpress_core::name::BranchName;

const PEER: &str = "FORKPRESS_LOCK_PEER";
const LONG: Duration = Duration::from_secs(60);

/// What a peer does when it is told to: `shared SECONDS`, `pass SECONDS` (with the loopback token), `publish SECONDS
/// GATE_HOLD`, `in BRANCH SECONDS` and `pass-in` (a request of a branch), `also BRANCH`, `exec BRANCH SECONDS` (a command in a
/// branch, which asks at the gates), `publish-to BRANCHES SECONDS GATE_HOLD`, `release`. It answers `ok`, or `failed: WHY`.
#[test]
fn peer() {
    let Ok(dir) = std::env::var(PEER) else { return };
    let cow = CowLayout::new(dir);
    let mut kept = KeptFiles::open(&cow).unwrap();
    let mut lines = std::io::stdin().lock().lines();
    while let Some(Ok(line)) = lines.next() {
        let words: Vec<&str> = line.split(' ').collect();
        let seconds = |word: &str| Duration::from_secs_f64(word.parse().unwrap());
        match words[..] {
            ["shared" | "pass", timeout] => {
                let token = (words[0] == "pass").then(|| LoopbackToken::load_or_create(&cow).unwrap());
                hold(
                    RequestLocks::lock(&mut kept, None, Deadline::after(seconds(timeout)), token.as_ref()),
                    &mut lines,
                );
            }
            ["publish", timeout, gate_hold] => {
                let told = |busy: &forkpress_core::lock::Busy| answer(&format!("waiting: {busy}"));
                let mut patience =
                    Patience::new(Deadline::after(seconds(timeout)), told).with_gate_hold(seconds(gate_hold));
                match Mutation::lock(&cow, "branch reset a from b", &mut patience) {
                    Ok(mut mutation) => hold(mutation.publish_widely(&mut patience), &mut lines),
                    Err(error) => answer(&format!("failed: {error}")),
                }
            }
            ["in" | "pass-in", branch, timeout] => {
                let name = BranchName::parse(branch).unwrap();
                let deadline = Deadline::after(seconds(timeout));
                let token = (words[0] == "pass-in").then(|| LoopbackToken::load_or_create(&cow).unwrap());
                BranchFiles::open(&cow, &name).unwrap();
                let note = CommandNote::program(&cow, &name, "peer");
                let locks = RequestLocks::lock(&mut kept, Some(&name), deadline, token.as_ref());
                note.iter().for_each(CommandNote::serve);
                hold_more(locks.map(|(locks, _)| locks), &mut kept, deadline, &mut lines);
            }
            ["exec", branch, timeout] => {
                let name = BranchName::parse(branch).unwrap();
                let deadline = Deadline::after(seconds(timeout));
                let note = CommandNote::program(&cow, &name, "peer");
                let lock = || {
                    let site = SharedOperations::lock(&Arc::new(OperationsFiles::open(&cow)?), deadline, None)?;
                    let own = SharedBranch::lock(&site, &Arc::new(BranchFiles::open(&cow, &name)?), deadline, true)?;
                    note.iter().for_each(CommandNote::serve);
                    Ok((own, site))
                };
                hold(lock(), &mut lines);
            }
            ["publish-to", branches, timeout, gate_hold] => {
                let told = |busy: &forkpress_core::lock::Busy| answer(&format!("waiting: {busy}"));
                let mut patience =
                    Patience::new(Deadline::after(seconds(timeout)), told).with_gate_hold(seconds(gate_hold));
                let branches: Vec<_> = branches.split(',').map(|name| BranchName::parse(name).unwrap()).collect();
                let mut mutation = Mutation::lock(&cow, "branch reset a from b", &mut patience).unwrap();
                hold(mutation.publish(&branches, &mut patience), &mut lines);
            }
            _ => panic!("a peer does not know {line:?}"),
        }
    }
}

/// Keeps a lock until the next line.
fn hold<T>(lock: Result<T, LockError>, lines: &mut impl Iterator<Item = std::io::Result<String>>) {
    match lock {
        Ok(guard) => {
            answer("ok");
            assert_eq!(lines.next().unwrap().unwrap(), "release");
            drop(guard);
            answer("ok");
        }
        Err(error) => answer(&format!("failed: {error}")),
    }
}

/// Keeps locks until the next line, which may also be `also NAME`: then it takes the lock of another branch as well.
fn hold_more(
    locks: Result<RequestLocks, LockError>,
    kept: &mut KeptFiles,
    deadline: Deadline,
    lines: &mut impl Iterator<Item = std::io::Result<String>>,
) {
    let locks = match locks {
        Ok(locks) => locks,
        Err(error) => return answer(&format!("failed: {error}")),
    };
    answer("ok");
    while let Some(name) = lines.next().unwrap().unwrap().strip_prefix("also ") {
        let name = BranchName::parse(name).unwrap();
        match locks.lock_branch(kept, &name, deadline) {
            Ok(_) => answer("ok"),
            Err(error) => answer(&format!("failed: {error}")),
        }
    }
    drop(locks);
    answer("ok");
}

fn answer(line: &str) {
    println!("> {line}");
}

struct Peer {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Peer {
    fn start(cow: &CowLayout) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["peer", "--exact", "--nocapture"])
            .env(PEER, cow.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { stdin: child.stdin.take().unwrap(), stdout: BufReader::new(child.stdout.take().unwrap()), child }
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// The peer's next answer. The test harness's own lines are passed over.
    fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "the peer has ended");
            // The harness prints `test peer ... ` without a line feed before the first answer.
            if let Some(at) = line.find("> ") {
                return line[at + 2..].trim_end().to_owned();
            }
        }
    }

    /// The same; that it waits is passed over.
    fn hear_outcome(&mut self) -> String {
        loop {
            let heard = self.hear();
            if !heard.starts_with("waiting: ") {
                return heard;
            }
        }
    }

    fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.hear()
    }

    /// Has it open the lock files of a branch, which it keeps: from then on it asks at no gate while nobody waits.
    fn knows(mut self, branch: &str) -> Self {
        assert_eq!(self.ask(&format!("in {branch} 60")), "ok");
        assert_eq!(self.ask("release"), "ok");
        self
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Ground {
    cow: CowLayout,
    _dir: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { cow: CowLayout::new(dir.path()), _dir: dir }
    }

    fn peer(&self) -> Peer {
        Peer::start(&self.cow)
    }

    /// Whether `operations.lock` says that a writer waits.
    fn writer_waits(&self) -> bool {
        fs::read_to_string(self.cow.operations_lock()).unwrap().get(10..11) == Some("!")
    }

    fn until_a_writer_waits(&self) {
        while !self.writer_waits() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(GateProbe::open(&self.cow).unwrap().writer_waits().unwrap(), "its gate is closed");
    }

    /// Keeps a file locked, as `flock(1)` does; let go when dropped.
    fn keep(path: &std::path::Path) -> fs::File {
        let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path).unwrap();
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        file
    }

    fn flock(&self, arguments: &[&str]) -> bool {
        let (options, command) = arguments.split_at(arguments.iter().position(|word| *word == "--").unwrap());
        Command::new("flock")
            .args(options)
            .arg(self.cow.operations_lock())
            .args(&command[1..])
            .status()
            .unwrap()
            .success()
    }
}

#[test]
fn requests_share_and_a_publish_is_alone() {
    let ground = Ground::new();
    let (mut a, mut b, mut writer) = (ground.peer(), ground.peer(), ground.peer());
    assert_eq!(a.ask("shared 0"), "ok");
    assert_eq!(b.ask("shared 0"), "ok");
    assert!(writer.ask("publish 0 0").starts_with("failed: "));
    assert_eq!(a.ask("release"), "ok");
    assert!(writer.ask("publish 0 0").starts_with("failed: "));
    assert_eq!(b.ask("release"), "ok");
    assert_eq!(writer.ask("publish 0 0"), "ok");
    assert!(a.ask("shared 0").starts_with("failed: "));
    assert_eq!(writer.ask("release"), "ok");
    assert_eq!(a.ask("shared 0"), "ok");
}

#[test]
fn a_waiting_writer_is_not_overtaken() {
    let ground = Ground::new();
    let (mut running, mut late, mut writer) = (ground.peer(), ground.peer(), ground.peer());
    assert_eq!(running.ask("shared 0"), "ok");
    writer.tell("publish 60 60");
    ground.until_a_writer_waits();
    assert!(late.ask("shared 0").starts_with("failed: operations.gate is held by "));
    late.tell("shared 60");
    assert_eq!(running.ask("release"), "ok");
    assert_eq!(writer.hear_outcome(), "ok");
    // The late request is still behind the writer: it can't have answered, since the writer holds the lock exclusively.
    assert_eq!(generation(&ground.cow).unwrap(), 1);
    assert_eq!(writer.ask("release"), "ok");
    assert_eq!(late.hear(), "ok");
}

#[test]
fn a_request_asks_at_no_gate_while_no_writer_says_that_it_waits() {
    let ground = Ground::new();
    let (mut request, mut writer) = (ground.peer().knows("b"), ground.peer());
    let gate_of_b = ground.cow.branch_gate(&"b".parse().unwrap());
    let gates = [Ground::keep(&ground.cow.operations_gate()), Ground::keep(&gate_of_b)];
    for kind in ["shared 0", "in b 0"] {
        assert_eq!(request.ask(kind), "ok", "{kind}");
        assert_eq!(request.ask("release"), "ok");
    }
    assert!(request.ask("in c 0").starts_with("failed: operations.gate is held by "), "whose files it does not know");
    drop(gates);
    assert_eq!(writer.ask("publish 0 0"), "ok");
    assert!(!ground.writer_waits(), "one that gets its locks at once does not wait");
}

#[test]
fn a_writer_that_gives_up_says_no_longer_that_it_waits() {
    let ground = Ground::new();
    let (mut running, mut writer) = (ground.peer(), ground.peer());
    assert_eq!(running.ask("in a 0"), "ok");
    for publish in ["publish", "publish-to a"] {
        writer.tell(&format!("{publish} 0.2 60"));
        while !ground.writer_waits() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(writer.hear().starts_with("failed: "), "{publish}");
        assert!(!ground.writer_waits(), "{publish}");
    }
    assert_eq!(generation(&ground.cow).unwrap(), 0);
}

#[test]
fn a_writer_that_dies_while_it_waits_leaves_requests_to_the_gates_until_the_next_publish() {
    let ground = Ground::new();
    let (mut running, mut request, mut writer) = (ground.peer(), ground.peer().knows("b"), ground.peer());
    assert_eq!(running.ask("shared 0"), "ok");
    writer.tell("publish 60 60");
    ground.until_a_writer_waits();
    drop(writer);
    assert!(ground.writer_waits());
    for kind in ["shared 0", "in b 0", "pass 0", "exec b 0"] {
        assert_eq!(request.ask(kind), "ok", "{kind}");
        assert_eq!(request.ask("release"), "ok");
    }
    let gate = Ground::keep(&ground.cow.operations_gate());
    assert!(request.ask("in b 0").starts_with("failed: operations.gate is held by "));
    assert_eq!(request.ask("pass-in b 0"), "ok", "what the site makes to itself passes");
    assert_eq!(request.ask("release"), "ok");
    drop(gate);
    assert_eq!(running.ask("release"), "ok");
    let mut next = ground.peer();
    assert_eq!(next.ask("publish 0 0"), "ok");
    assert_eq!(next.ask("release"), "ok");
    assert!(!ground.writer_waits());
}

#[test]
fn a_lock_file_that_is_truncated_while_a_writer_waits_lets_nobody_in_beside_the_publish() {
    let ground = Ground::new();
    let (mut running, mut late, mut writer) = (ground.peer(), ground.peer(), ground.peer());
    assert_eq!(running.ask("shared 0"), "ok");
    writer.tell("publish 60 60");
    ground.until_a_writer_waits();
    // As `exec 9>operations.lock` in a shell does.
    fs::File::create(ground.cow.operations_lock()).unwrap();
    assert_eq!(late.ask("shared 0"), "ok", "nothing says any longer that a writer waits");
    assert_eq!(late.ask("release"), "ok");
    assert_eq!(running.ask("release"), "ok");
    assert_eq!(writer.hear_outcome(), "ok");
    assert!(late.ask("shared 0").starts_with("failed: operations.gate is held by "));
    assert_eq!(writer.ask("release"), "ok");
}

#[test]
fn a_writer_lets_requests_pass_after_the_gate_hold_and_gets_in_later() {
    let ground = Ground::new();
    let (mut running, mut late, mut writer) = (ground.peer(), ground.peer(), ground.peer());
    assert_eq!(running.ask("shared 0"), "ok");
    writer.tell("publish 60 0.05");
    ground.until_a_writer_waits();
    assert_eq!(late.ask("shared 60"), "ok", "while the first request still runs");
    assert_eq!(running.ask("release"), "ok");
    assert_eq!(late.ask("release"), "ok");
    assert_eq!(writer.hear_outcome(), "ok");
}

#[test]
fn a_writer_gives_up_at_its_timeout_and_names_whom_it_waited_for() {
    let ground = Ground::new();
    let (mut running, mut writer) = (ground.peer(), ground.peer());
    assert_eq!(running.ask("shared 0"), "ok");
    let waited_for = format!("operations.lock is held by process {}", running.child.id());
    assert!(writer.ask("publish 1.2 60").starts_with(&format!("waiting: {waited_for}")), "after a second");
    assert!(writer.hear().starts_with(&format!("failed: {waited_for}")));
    let mut late = ground.peer();
    assert_eq!(late.ask("shared 0"), "ok", "the gate is free again");
    assert_eq!(generation(&ground.cow).unwrap(), 0, "nothing was published");
}

#[test]
fn a_request_of_the_sites_own_passes_a_waiting_writer() {
    let ground = Ground::new();
    let (mut outer, mut inner, mut writer) = (ground.peer(), ground.peer(), ground.peer());
    assert_eq!(outer.ask("shared 0"), "ok");
    writer.tell("publish 60 60");
    ground.until_a_writer_waits();
    assert_eq!(inner.ask("pass 0"), "ok");
    assert_eq!(inner.ask("release"), "ok");
    assert_eq!(outer.ask("release"), "ok");
    assert_eq!(writer.hear_outcome(), "ok");
    assert!(inner.ask("pass 0").starts_with("failed: "), "the token does not pass a publish");
}

#[test]
fn a_waiting_request_names_the_operation_that_holds_the_lock() {
    let ground = Ground::new();
    let (mut writer, mut request) = (ground.peer(), ground.peer());
    assert_eq!(writer.ask("publish 0 0"), "ok");
    let heard = request.ask("shared 0.01");
    let expected =
        format!("failed: operations.gate is held by process {} (branch reset a from b) for ", writer.child.id());
    assert!(heard.starts_with(&expected), "{heard}");
}

#[test]
fn a_killed_writer_leaves_nothing_behind() {
    let ground = Ground::new();
    let (mut writer, mut request) = (ground.peer(), ground.peer());
    assert_eq!(writer.ask("publish 0 0"), "ok");
    assert_eq!(holders(&ground.cow, &ground.cow.operations_lock()).len(), 1);
    drop(writer);
    assert_eq!(request.ask("shared 0"), "ok");
    assert_eq!(generation(&ground.cow).unwrap(), 1, "it may have changed something");
    let mut next = ground.peer();
    assert_eq!(request.ask("release"), "ok");
    assert_eq!(next.ask("publish 0 0"), "ok");
    assert_eq!(generation(&ground.cow).unwrap(), 2);
    let text = fs::read_to_string(ground.cow.operations_lock()).unwrap();
    assert_eq!(text.lines().count(), 2, "the dead writer's record is gone: {text}");
    assert_eq!(next.ask("release"), "ok");
    assert_eq!(fs::read_to_string(ground.cow.operations_lock()).unwrap(), "generation 00000000000000000002\n");
    assert_eq!(fs::read_to_string(ground.cow.operations_gate()).unwrap(), "");
}

#[test]
fn plain_flock_on_the_operations_lock_takes_part() {
    let ground = Ground::new();
    let mut request = ground.peer();
    assert_eq!(request.ask("shared 0"), "ok");
    assert!(!ground.flock(&["--exclusive", "--nonblock", "--", "true"]));
    assert!(ground.flock(&["--shared", "--nonblock", "--", "true"]));
    assert_eq!(request.ask("release"), "ok");
    let mut writer = ground.peer();
    assert_eq!(writer.ask("publish 0 0"), "ok");
    assert!(!ground.flock(&["--shared", "--nonblock", "--", "true"]));
    assert_eq!(writer.ask("release"), "ok");
    let mut flock = Command::new("flock")
        .arg("--exclusive")
        .arg(ground.cow.operations_lock())
        .args(["sh", "-c", "echo locked; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(flock.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");
    let heard = request.ask("shared 0");
    assert!(heard.starts_with(&format!("failed: operations.lock is held by process {}", flock.id())), "{heard}");
    assert!(writer.ask("publish 0 0").starts_with("failed: operations.lock is held by "));
    drop(flock.stdin.take());
    flock.wait().unwrap();
    assert_eq!(request.ask("shared 60"), "ok");
}

#[test]
fn one_mutation_prepares_at_a_time_and_stops_no_request() {
    let ground = Ground::new();
    let mut request = ground.peer();
    let mutation = Mutation::lock(&ground.cow, "branch delete x", &mut Patience::silent(Deadline::NOW)).unwrap();
    assert_eq!(request.ask("shared 0"), "ok");
    let mut other = ground.peer();
    let heard = other.ask("publish 0 0");
    let me = std::process::id();
    assert!(heard.starts_with(&format!("failed: mutation.lock is held by process {me} (branch delete x)")), "{heard}");
    drop(mutation);
    assert_eq!(request.ask("release"), "ok");
    assert_eq!(other.ask("publish 0 0"), "ok");
}

#[test]
fn a_writer_waits_for_a_visit_before_it_closes_the_gate() {
    let ground = Ground::new();
    let mut silent = Patience::silent(Deadline::NOW);
    let visit = Visit::lock(&ground.cow, "warming 'x'", &mut silent).unwrap();
    let mut writer = ground.peer();
    let me = std::process::id();
    let told = writer.ask("publish 60 60");
    assert!(told.starts_with(&format!("waiting: visit.lock is held by process {me} (warming 'x')")), "{told}");
    assert!(!GateProbe::open(&ground.cow).unwrap().writer_waits().unwrap());
    let mut request = ground.peer();
    assert_eq!(request.ask("shared 0"), "ok");
    assert_eq!(request.ask("release"), "ok");
    drop(visit);
    assert_eq!(writer.hear(), "ok");
    assert!(matches!(Visit::lock(&ground.cow, "warming 'x'", &mut silent).unwrap_err(), LockError::Timeout(_)));
    assert_eq!(writer.ask("release"), "ok");
    Visit::lock(&ground.cow, "warming 'x'", &mut silent).unwrap();
}

#[test]
fn a_visit_stops_no_mutation_from_being_prepared() {
    let ground = Ground::new();
    let mut silent = Patience::silent(Deadline::NOW);
    let _visit = Visit::lock(&ground.cow, "warming 'x'", &mut silent).unwrap();
    let heard = ground.peer().ask("publish 0 0");
    assert!(heard.starts_with("failed: visit.lock is held by process"), "{heard}");
}

#[test]
fn locks_out_of_order_fail_at_once() {
    let ground = Ground::new();
    let out_of_order = |error: LockError| matches!(error, LockError::OutOfOrder { .. });
    let mut patience = Patience::silent(Deadline::NEVER);
    let files = Arc::new(OperationsFiles::open(&ground.cow).unwrap());

    let shared = SharedOperations::lock(&files, Deadline::NEVER, None).unwrap();
    assert!(out_of_order(SharedOperations::lock(&files, Deadline::NEVER, None).unwrap_err()));
    assert!(out_of_order(Mutation::lock(&ground.cow, "x", &mut patience).unwrap_err()));
    shared.release();

    let mut mutation = Mutation::lock(&ground.cow, "x", &mut patience).unwrap();
    assert!(out_of_order(Mutation::lock(&ground.cow, "x", &mut patience).unwrap_err()));
    assert!(out_of_order(forkpress_core::lock::Lifecycle::lock(&ground.cow, "x", &mut patience).unwrap_err()));
    let publish = mutation.publish_widely(&mut patience).unwrap();
    assert!(out_of_order(SharedOperations::lock(&files, Deadline::NEVER, None).unwrap_err()));
    drop(publish);
    SharedOperations::lock(&files, Deadline::NOW, None).unwrap();
    drop(mutation);

    let visit = Visit::lock(&ground.cow, "x", &mut patience).unwrap();
    assert!(out_of_order(Mutation::lock(&ground.cow, "x", &mut patience).unwrap_err()));
    drop(visit);

    let lifecycle = forkpress_core::lock::Lifecycle::lock(&ground.cow, "x", &mut patience).unwrap();
    lifecycle.mutation(&ground.cow, "x", &mut patience).unwrap().publish_widely(&mut patience).unwrap();
}

#[test]
fn a_lock_file_that_was_replaced_is_opened_again() {
    let ground = Ground::new();
    let files = Arc::new(OperationsFiles::open(&ground.cow).unwrap());
    fs::remove_file(ground.cow.operations_lock()).unwrap();
    let mut writer = ground.peer();
    assert_eq!(writer.ask("publish 0 0"), "ok");
    assert!(SharedOperations::lock(&files, Deadline::NOW, None).is_err(), "the new file counts, not the deleted one");
    assert_eq!(writer.ask("release"), "ok");
    let shared = SharedOperations::lock(&files, Deadline::NOW, None).unwrap();
    assert!(!Arc::ptr_eq(shared.files(), &files));
    assert!(writer.ask("publish 0 0").starts_with("failed: "));
}

#[test]
fn a_lock_file_that_is_replaced_between_two_requests_is_noticed_soon() {
    let ground = Ground::new();
    let (mut writer, name) = (ground.peer(), "b".parse().unwrap());
    BranchFiles::open(&ground.cow, &name).unwrap();
    for path in [ground.cow.operations_lock(), ground.cow.branch_lock(&name)] {
        let mut kept = KeptFiles::open(&ground.cow).unwrap();
        let mut lock = || RequestLocks::lock(&mut kept, Some(&name), Deadline::NOW, None);
        for _ in 0..3 {
            lock().unwrap();
        }
        let mut elsewhere = ground.peer();
        assert_eq!(elsewhere.ask("in a 0"), "ok");
        fs::remove_file(&path).unwrap();
        if path == ground.cow.operations_lock() {
            // The one that is elsewhere has the deleted file.
            assert_eq!(writer.ask("publish 0 0"), "ok");
        } else {
            assert_eq!(writer.ask("publish-to b 0 0"), "ok");
        }
        while lock().is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(writer.ask("release"), "ok");
        lock().unwrap();
    }
}

#[test]
fn a_lock_file_that_is_none_fails_closed() {
    let ground = Ground::new();
    fs::create_dir(ground.cow.operations_lock()).unwrap();
    assert!(matches!(OperationsFiles::open(&ground.cow), Err(LockError::Open { .. })));
    fs::remove_dir(ground.cow.operations_lock()).unwrap();
    fs::write(ground.cow.operations_lock(), "this is not a generation, is it, no").unwrap();
    let mut patience = Patience::silent(Deadline::after(LONG));
    let mut mutation = Mutation::lock(&ground.cow, "x", &mut patience).unwrap();
    assert!(matches!(mutation.publish_widely(&mut patience), Err(LockError::Lock { .. })));
}

/// Waits until a publish to a branch has closed its gate, and says so in it and in `operations.lock`.
fn until_a_writer_waits_at(ground: &Ground, branch: &str) {
    let gate = ground.cow.branch_gate(&BranchName::parse(branch).unwrap());
    while !fs::read_to_string(&gate).is_ok_and(|text| text.starts_with("holder ")) || !ground.writer_waits() {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_request_of_one_branch_delays_nothing_in_another() {
    let ground = Ground::new();
    let (mut long, mut writer, mut page) = (ground.peer(), ground.peer(), ground.peer());
    assert_eq!(long.ask("in a 0"), "ok");
    assert!(writer.ask("publish 0 0").starts_with("failed: operations.lock"), "what is of all branches waits for it");
    assert_eq!(writer.ask("publish-to b 0 0"), "ok", "what is of another branch does not");
    assert_eq!(page.ask("in c 0"), "ok", "and stops no third one");
    assert_eq!(page.ask("release"), "ok");
    assert!(page.ask("in b 0").starts_with("failed: b.gate is held by "), "only its own");
    assert_eq!(writer.ask("release"), "ok");
    assert_eq!(page.ask("in b 0"), "ok");
    assert!(writer.ask("publish-to a 0 0").starts_with("failed: a.lock is held by "), "its own branch waits for it");
}

#[test]
fn a_narrow_writer_is_not_overtaken() {
    let ground = Ground::new();
    let (mut elsewhere, mut running, mut late, mut writer) =
        (ground.peer().knows("c"), ground.peer(), ground.peer().knows("b"), ground.peer());
    let (mut command, mut other) = (ground.peer(), ground.peer().knows("c"));
    assert_eq!(elsewhere.ask("in a 0"), "ok");
    assert_eq!(running.ask("in b 0"), "ok");
    writer.tell("publish-to b 60 60");
    until_a_writer_waits_at(&ground, "b");
    for request in ["in b 0", "in b 0", "exec b 0"] {
        assert!(late.ask(request).starts_with("failed: b.gate is held by "), "{request}");
    }
    assert_eq!(other.ask("in c 0"), "ok", "nobody waits for a request of this branch");
    assert_eq!(other.ask("release"), "ok");
    assert_eq!(command.ask("exec c 0"), "ok", "nor for a command in it");
    assert_eq!(command.ask("release"), "ok");
    late.tell("in b 60");
    assert_eq!(running.ask("release"), "ok");
    assert_eq!(writer.hear_outcome(), "ok");
    assert_eq!(generation(&ground.cow).unwrap(), 1);
    assert_eq!(writer.ask("release"), "ok");
    assert_eq!(late.hear(), "ok");
}

#[test]
fn a_request_that_only_sends_bytes_sees_a_narrow_writer_of_its_branch_and_of_no_other() {
    let ground = Ground::new();
    let (mut elsewhere, mut writer) = (ground.peer(), ground.peer());
    assert_eq!(elsewhere.ask("in a 0"), "ok");
    let mut kept = KeptFiles::open(&ground.cow).unwrap();
    let name = "b".parse().unwrap();
    BranchFiles::open(&ground.cow, &name).unwrap();
    let note = CommandNote::program(&ground.cow, &name, "sender").unwrap();
    let (sending, _) = RequestLocks::lock(&mut kept, Some(&name), Deadline::NOW, None).unwrap();
    note.serve();
    writer.tell("publish-to b 60 60");
    until_a_writer_waits_at(&ground, "b");
    assert!(sending.probe().unwrap().writer_waits().unwrap());
    let of_a = BranchFiles::open(&ground.cow, &"a".parse().unwrap()).unwrap();
    assert!(!GateProbe::open(&ground.cow).unwrap().and_of(&of_a).unwrap().writer_waits().unwrap());
    assert!(sending.release());
    assert_eq!(writer.hear_outcome(), "ok");
}

#[test]
fn a_plain_flock_is_waited_for_also_beside_requests_of_other_branches() {
    let ground = Ground::new();
    let (mut elsewhere, mut writer) = (ground.peer(), ground.peer());
    assert_eq!(elsewhere.ask("in a 0"), "ok");
    let mut stranger = Command::new("flock")
        .arg("--shared")
        .arg(ground.cow.operations_lock())
        .args(["sh", "-c", "echo locked; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(stranger.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");
    assert!(writer.ask("publish-to b 0 0").starts_with("failed: operations.lock is held by "));
    drop(stranger.stdin.take());
    stranger.wait().unwrap();
    assert_eq!(writer.ask("publish-to b 0 0"), "ok");
    assert!(!ground.flock(&["--exclusive", "--nonblock", "--", "true"]), "the writer has the site's lock, shared");
}

#[test]
fn two_branches_that_want_each_other_and_a_writer_of_both_do_not_wait_in_a_circle() {
    let ground = Ground::new();
    let (mut a, mut b, mut inner, mut writer) = (ground.peer(), ground.peer(), ground.peer(), ground.peer());
    assert_eq!(a.ask("in a 60"), "ok");
    assert_eq!(b.ask("in b 60"), "ok");
    writer.tell("publish-to a,b 60 60");
    until_a_writer_waits_at(&ground, "b");
    assert_eq!(a.ask("also b"), "ok");
    assert_eq!(b.ask("also a"), "ok");
    assert_eq!(inner.ask("pass-in a 0"), "ok", "a request that the site makes to itself passes, too");
    for peer in [&mut a, &mut b, &mut inner] {
        assert_eq!(peer.ask("release"), "ok");
    }
    assert_eq!(writer.hear_outcome(), "ok");
}

#[test]
fn the_gate_stays_open_for_the_neighbours_of_a_long_request() {
    let ground = Ground::new();
    let (mut long, mut page, mut writer) = (ground.peer(), ground.peer(), ground.peer());
    assert_eq!(long.ask("in a 0"), "ok");
    std::thread::sleep(Duration::from_millis(2));
    // To this writer, a millisecond is long. It tells for whom it waits, which it does after a second.
    writer.tell("publish-to a 60 0.001");
    let heard = writer.hear();
    assert!(heard.starts_with(&format!("waiting: a.lock is held by process {}", long.child.id())), "{heard}");
    assert!(heard.contains("serving exec a peer"), "{heard}");
    for _ in 0..100 {
        let heard = page.ask("in a 5");
        assert_eq!(heard, "ok");
        assert_eq!(page.ask("release"), "ok");
    }
    assert_eq!(long.ask("release"), "ok");
    assert_eq!(writer.hear_outcome(), "ok");
}

#[test]
fn a_publish_that_goes_on_in_another_branch_is_not_settled_and_stays_so_where_its_writer_dies() {
    let ground = Ground::new();
    let (mut elsewhere, mut writer, mut next) = (ground.peer(), ground.peer(), ground.peer());
    assert_eq!(elsewhere.ask("in a 0"), "ok");
    assert_eq!(writer.ask("publish-to b 0 0"), "ok");
    let text = || fs::read_to_string(ground.cow.operations_lock()).unwrap();
    assert_eq!(text(), "publishing 00000000000000000001\n");
    assert_eq!(writer.ask("release"), "ok");
    assert_eq!(text(), "generation 00000000000000000001\n");
    assert_eq!(writer.ask("publish-to b 0 0"), "ok");
    drop(writer);
    assert_eq!(text(), "publishing 00000000000000000002\n");
    assert_eq!(next.ask("publish-to b 0 0"), "ok");
    assert_eq!(next.ask("release"), "ok");
    assert_eq!(text(), "generation 00000000000000000003\n");
}
