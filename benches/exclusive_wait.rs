//! How long an exclusive waiter waits while four clients hold the lock shared, 50 ms each and overlapping: by ForkPress's
//! protocol, and by `flock(2)` on the operations lock alone. `cargo bench -p forkpress-core --bench exclusive_wait`

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use forkpress_core::deadline::Deadline;
use forkpress_core::layout::CowLayout;
use forkpress_core::lock::{Mutation, OperationsFiles, Patience, SharedOperations};

const CLIENTS: u32 = 4;
const REQUEST: Duration = Duration::from_millis(50);
/// Plain flock may never get in: after this long the waiter gives up and counts what it waited.
const CAP: Duration = Duration::from_secs(10);
const CLIENT: &str = "FORKPRESS_BENCH_CLIENT";

fn main() {
    let dir = tempfile::tempdir().expect("a folder");
    let cow = CowLayout::new(dir.path());
    if let Ok(role) = std::env::var(CLIENT) {
        let (index, kind) = role.split_once(' ').expect("a number and a kind");
        let cow = CowLayout::new(std::env::var("FORKPRESS_BENCH_DIR").expect("a folder"));
        return client(&cow, index.parse().expect("a number"), kind == "flock");
    }
    let protocol = measure(&cow, "protocol", 40, || {
        let mut patience = Patience::silent(Deadline::after(CAP));
        let mut mutation = Mutation::lock(&cow, "bench", &mut patience).expect("no other writer");
        mutation.publish_widely(&mut patience).is_ok()
    });
    let flock = measure(&cow, "flock", 3, || {
        let file = File::open(cow.operations_lock()).expect("the lock file");
        let until = Instant::now() + CAP;
        while fs2::FileExt::try_lock_exclusive(&file).is_err() {
            if Instant::now() > until {
                return false;
            }
            thread::sleep(Duration::from_micros(500));
        }
        true
    });
    println!("| exclusive waiter behind {CLIENTS} clients, {REQUEST:?} a request | median | longest | got in |");
    println!("| --- | --- | --- | --- |");
    for (name, waits) in [("ForkPress's protocol", protocol), ("plain flock", flock)] {
        let mut times: Vec<Duration> = waits.iter().map(|(time, _)| *time).collect();
        times.sort();
        let got_in = waits.iter().filter(|(_, got_in)| *got_in).count();
        let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
        println!("| {name} | {median:.1?} | {longest:.1?} | {got_in} of {} |", times.len());
    }
}

/// Waits for the lock `rounds` times while the clients run.
fn measure(cow: &CowLayout, kind: &str, rounds: u32, mut wait: impl FnMut() -> bool) -> Vec<(Duration, bool)> {
    let mut clients: Vec<Child> = (0..CLIENTS)
        .map(|index| {
            let mut child = Command::new(std::env::current_exe().expect("this program"))
                .env(CLIENT, format!("{index} {kind}"))
                .env("FORKPRESS_BENCH_DIR", cow.dir())
                .stdout(Stdio::piped())
                .spawn()
                .expect("a client");
            let mut line = String::new();
            BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
            child
        })
        .collect();
    let waits = (0..rounds)
        .map(|round| {
            // Long enough for the clients to overlap again, and never the same part of a request.
            thread::sleep(REQUEST * 3 + Duration::from_micros(1700) * round);
            let begin = Instant::now();
            let got_in = wait();
            (begin.elapsed(), got_in)
        })
        .collect();
    for client in &mut clients {
        client.kill().expect("a client of ours");
        client.wait().expect("a client of ours");
    }
    waits
}

/// Holds the lock shared over and over; each client begins a quarter of a request after the one before.
fn client(cow: &CowLayout, index: u32, plain: bool) {
    let files = Arc::new(OperationsFiles::open(cow).expect("lock files"));
    let file = File::open(cow.operations_lock()).expect("the lock file");
    println!("ready");
    thread::sleep(REQUEST / CLIENTS * index);
    loop {
        if plain {
            fs2::FileExt::lock_shared(&file).expect("a lock");
            thread::sleep(REQUEST);
            fs2::FileExt::unlock(&file).expect("no lock");
        } else {
            let begin = Instant::now();
            let lock = SharedOperations::lock(&files, Deadline::NEVER, None).expect("a lock");
            let waited = begin.elapsed();
            thread::sleep(REQUEST);
            lock.release();
            if waited > REQUEST / 20 {
                // All clients start at once after a writer: they overlap again only if they spread out.
                thread::sleep(REQUEST / CLIENTS * index);
            }
        }
    }
}
