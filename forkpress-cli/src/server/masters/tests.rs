//! A change-over with real php-fpm, and a script in place of a site.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use forkpress_server::fpm;
use forkpress_server::front::{Entrance, Front, Limits};

use super::*;

/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// It says which php-fpm it is of. At `/stay` it says so after there is the file `go`; at `/after` it goes on for ever after it.
const SCRIPT: &str = "<?php
    $uri = $_SERVER['REQUEST_URI'];
    if ( '/stay' === $uri ) {
        touch( __DIR__ . '/runs' );
        while ( ! file_exists( __DIR__ . '/go' ) ) { usleep( 2000 ); clearstatcache(); }
    }
    echo posix_getppid();
    if ( '/after' === $uri ) { fastcgi_finish_request(); while ( true ) { sleep( 60 ); } }";

/// php-fpm's pools, each of which answers at an address of its own.
struct Server {
    masters: Masters,
    change_over: ChangeOver,
    addresses: Vec<(&'static str, SocketAddr)>,
    _front: Front,
    dir: PathBuf,
    _temporary: tempfile::TempDir,
}

/// Starts one whose pages may take so long; none where this machine has no php-fpm. Where there is the file `broken`,
/// php-fpm does not start.
fn server(longest: Duration) -> Option<Server> {
    let version = Command::new("php").args(["-r", "echo PHP_MAJOR_VERSION, '.', PHP_MINOR_VERSION;"]).output();
    let version = String::from_utf8(version.ok()?.stdout).unwrap();
    let Some(php_fpm) = fpm::find("php-fpm", &version, []) else {
        eprintln!("SKIPPED: this needs php-fpm (Debian: php-fpm)");
        return None;
    };
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().canonicalize().unwrap();
    let (script, program) = (dir.join("index.php"), dir.join("php-fpm"));
    fs::write(&script, SCRIPT).unwrap();
    fs::write(&program, format!("#!/bin/sh\n[ -e broken ] && exit 3\nexec {} \"$@\"\n", php_fpm.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let pool = |name| Pool { name, workers: 2, on_demand: false, longest: Some(longest), environment: Vec::new() };
    let (_, output) = std::io::pipe().unwrap();
    let masters = Masters::start(Recipe {
        child: |program| Ok(Command::new(program)),
        program,
        directory: dir.clone(),
        script,
        arguments: Vec::new(),
        environment: Vec::new(),
        folder: Folder::make(&dir.join("run")).unwrap(),
        pools: POOLS.map(|name| Pool { longest: (name != "git").then_some(longest), ..pool(name) }).into(),
        output,
    });
    let masters = masters.unwrap();
    let room = Room { memory_bytes: 256 << 10, folder: dir.clone() };
    let pools = POOLS.map(|name| Arc::new(masters.pool(name, &room)));
    let (mut addresses, mut entrances) = (Vec::new(), Vec::new());
    for (name, pages) in POOLS.iter().zip(&pools) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        addresses.push((*name, listener.local_addr().unwrap()));
        entrances.push((
            listener,
            Entrance {
                pages: Arc::clone(pages),
                repository: Arc::clone(pages),
                files: None,
                root_host: "wp.localhost".to_owned(),
                room: room.clone(),
                limits: Limits { body_bytes: 0, head_bytes: 8192, pause: PATIENCE },
                tls: None,
                page: None,
                knows_owner: true,
                log: None,
            },
        ));
    }
    let front = Front::start(entrances, 2).unwrap();
    let change_over = masters.change_over(pools);
    Some(Server { masters, change_over, addresses, _front: front, dir, _temporary: temporary })
}

/// Ends the clients of a test, also of one that fails.
struct Enough<'a>(&'a AtomicBool);

impl Drop for Enough<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// All that is answered on a connection.
fn rest(client: &mut TcpStream) -> String {
    let mut said = String::new();
    client.read_to_string(&mut said).unwrap();
    said
}

/// Which php-fpm answered.
fn php_fpm_of(answer: &str) -> u32 {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    assert!(head.starts_with("HTTP/1.0 200 OK"), "{answer}");
    body.parse().unwrap()
}

fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap()
}

impl Server {
    fn send(&self, pool: &str, path: &str) -> TcpStream {
        let (_, address) = self.addresses.iter().find(|(name, _)| *name == pool).unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(client, "GET {path} HTTP/1.0\r\nHost: wp.localhost\r\n\r\n").unwrap();
        client
    }

    /// Which php-fpm answers at a pool.
    fn asked(&self, pool: &str) -> u32 {
        php_fpm_of(&rest(&mut self.send(pool, "/")))
    }

    /// Begins a request that ends when there is the file `go`.
    fn staying(&self, pool: &str) -> TcpStream {
        let client = self.send(pool, "/stay");
        self.eventually("it runs", || is_there(&self.dir.join("runs")));
        client
    }

    /// Does what the server's main thread, and the one that warms, do all the time, until something holds.
    fn eventually(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let began = Instant::now();
        while !holds() {
            assert!(began.elapsed() < PATIENCE, "it does not happen that {what}");
            self.masters.ended().unwrap();
            self.change_over.look();
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Begins a change-over.
    fn begin(&self) -> Result<Leaving, Failure> {
        thread::scope(|scope| {
            let begun = scope.spawn(|| self.change_over.begin());
            self.eventually("it begins or does not", || begun.is_finished());
            begun.join().unwrap()
        })
    }

    /// Moves to a fresh one.
    fn change(&self) {
        let warming = self.begin().unwrap();
        assert!(self.change_over.finish(warming));
    }
}

#[test]
fn clients_are_answered_by_the_one_before_until_the_fresh_one_is_warm_and_wait_for_neither() {
    let Some(server) = server(PATIENCE) else { return };
    let first = server.asked("pages");
    let mut staying = server.staying("pages");
    let is_enough = AtomicBool::new(false);
    let answers: [_; 4] = std::array::from_fn(|_| Mutex::new(Vec::new()));
    let each = |holds: &dyn Fn(&[u32]) -> bool| answers.iter().all(|answers| holds(&answers.lock().unwrap()));
    thread::scope(|scope| {
        let _enough = Enough(&is_enough);
        for answers in &answers {
            let (server, is_enough) = (&server, &is_enough);
            scope.spawn(move || {
                while !is_enough.load(Ordering::Relaxed) {
                    answers.lock().unwrap().push(server.asked("pages"));
                }
            });
        }
        let warming = server.begin().unwrap();
        let fresh = server.asked("warm");
        assert_ne!(fresh, first, "the fresh one is warmed");
        let before = answers.each_ref().map(|answers| answers.lock().unwrap().len());
        server.eventually("all clients go on while it is warmed", || {
            answers.iter().zip(before).all(|(answers, before)| answers.lock().unwrap().len() > before + 20)
        });
        assert!(each(&|answers| answers.iter().all(|php_fpm| *php_fpm == first)), "nobody was sent to the fresh one");
        assert_eq!(server.asked("git"), first);
        assert!(server.change_over.finish(warming));
        server.eventually("all clients get to the fresh one", || each(&|answers| answers.last() == Some(&fresh)));
    });
    let is_in_turn = |answers: &[u32]| answers.is_sorted_by_key(|php_fpm| *php_fpm != first);
    assert!(each(&is_in_turn), "who got to the fresh one stays there");
    assert!(POOLS.iter().all(|pool| server.asked(pool) != first), "so do all pools");

    assert!(server.begin().is_err(), "there is no third one");
    assert!(is_there(&PathBuf::from(format!("/proc/{first}"))), "the one before has a request");
    fs::write(server.dir.join("go"), "").unwrap();
    assert_eq!(php_fpm_of(&rest(&mut staying)), first, "which ends where it began");
    server.eventually("the one before ends", || server.masters.leaders().len() == 1);
    assert!(!is_there(&PathBuf::from(format!("/proc/{first}"))));
}

#[test]
fn a_fresh_one_that_does_not_start_or_dies_leaves_all_as_it_was_and_another_one_may_be_tried() {
    let Some(server) = server(PATIENCE) else { return };
    let first = server.asked("pages");
    let broken = server.dir.join("broken");
    fs::write(&broken, "").unwrap();
    // It may be there for a moment.
    if let Ok(warming) = server.begin() {
        server.eventually("it is known to be dead", || !server.change_over.goes_on());
        assert!(!server.change_over.finish(warming));
    }
    assert_eq!((server.asked("warm"), server.asked("pages")), (first, first));
    fs::remove_file(&broken).unwrap();

    let warming = server.begin().unwrap();
    let fresh = server.asked("warm");
    assert!(server.change_over.goes_on());
    let mut nobodys = server.staying("warm");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(fresh.try_into().unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    server.eventually("it is known to be dead", || !server.change_over.goes_on());
    assert!(!server.change_over.finish(warming), "nobody is moved to it");
    server.eventually("it is put away", || server.masters.leaders() == [first]);
    assert!(!rest(&mut nobodys).contains("200 OK"));
    assert_eq!((server.asked("warm"), server.asked("pages")), (first, first));

    server.change();
    assert!(server.asked("pages") != first);
}

#[test]
fn a_request_without_end_keeps_the_one_before_for_so_long_and_no_longer() {
    let Some(server) = server(PATIENCE) else { return };
    lock(&server.masters.0).patience = Some(Duration::from_millis(500));
    let mut endless = server.staying("git");
    server.change();
    server.eventually("it is ended", || server.masters.leaders().len() == 1);
    assert!(rest(&mut endless).starts_with("HTTP/1.0 502 Bad Gateway\r\n"));
}

#[test]
fn what_goes_on_after_its_answer_is_ended_in_the_one_before_too() {
    let Some(server) = server(Duration::from_secs(1)) else { return };
    let first = php_fpm_of(&rest(&mut server.send("pages", "/after")));
    server.change();
    server.eventually("it is ended", || server.masters.leaders().len() == 1);
    assert!(server.asked("pages") != first);
}

#[test]
fn the_one_before_is_asked_to_end_without_requests_and_killed_only_where_requests_may_be_ended() {
    let second = Duration::from_secs(1);
    let leaves = [(false, 0), (true, 0), (false, 2), (true, 2)];
    let with = |patience| leaves.map(|(is_over, age)| leave(is_over, second * age, patience));
    assert_eq!(with(Some(second * 2)), [Leave::Wait, Leave::Ask, Leave::Kill, Leave::Kill]);
    assert_eq!(with(None), [Leave::Wait, Leave::Ask, Leave::Wait, Leave::Ask]);

    let pool = |name, longest| Pool { name, workers: 1, on_demand: false, longest, environment: Vec::new() };
    let of = |seconds: Option<u64>| patience(&[pool("pages", seconds.map(Duration::from_secs)), pool("git", None)]);
    assert_eq!(of(Some(120)), Some(LEAST_PATIENCE), "clones may take longer than pages");
    assert_eq!(of(Some(7200)), Some(Duration::from_secs(7200)));
    assert_eq!(of(None), None, "no request is ended");
}
