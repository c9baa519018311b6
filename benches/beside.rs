//! Whether mutations wait for each other's preparation: `cargo bench -p forkpress-engine --bench beside`.
//!
//! On ext4 in an image, where a clone copies bytes. A branch is deleted and brought back, alone and while a large branch is
//! created; and ten branches are created one after the other and at once, beside as many `cp -a` at once. Needs root.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use forkpress_core::deadline::Deadline;
use forkpress_core::lock::Patience;
use forkpress_core::name::BranchName;
use forkpress_engine::mutation::{self, keep};
use forkpress_engine::progress::Silent;
use forkpress_engine::site::Site;

mod common;

use common::{make_site, median, run, settle, timed};

const ROUNDS: usize = 20;
const AT_ONCE: usize = 10;

fn main() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: mounting needs root");
        return;
    }
    let on_ext4 = |bytes: u64, measure: &dyn Fn(&Path)| {
        let dir = tempfile::tempdir().unwrap();
        let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
        fs::create_dir(&mount).unwrap();
        fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        run(Command::new("mkfs.ext4").arg("-qF").arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount));
        measure(&mount);
        run(Command::new("umount").arg(&mount));
    };
    on_ext4(40 << 30, &delete_beside_a_create);
    on_ext4(12 << 30, &ten_at_once);
}

fn patience() -> Patience<'static> {
    Patience::silent(Deadline::after(Duration::from_secs(600)))
}

fn name(name: &str) -> BranchName {
    name.parse().unwrap()
}

fn purge(site: &Site, branch: &BranchName) {
    mutation::delete(site, branch, true, &mut patience(), &Silent).unwrap();
    keep::empty_trash(site).unwrap();
}

/// 7 GB, which take a while to copy.
fn delete_beside_a_create(root: &Path) {
    let mut site = make_site(root, 3_000, 1_200_000);
    site.config.keep.bytes = u64::MAX;
    let small = name("small");
    mutation::create(&site, &small, &BranchName::main(), &mut patience(), &Silent).unwrap();
    settle(root);
    report("a delete or an undo, alone", cycles(&site, &small, ROUNDS));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(SeqCst) {
                let took = timed(|| {
                    mutation::create(&site, &name("large"), &BranchName::main(), &mut patience(), &Silent).unwrap();
                });
                println!("{:40} {:10.0}", "the create beside it, milliseconds", took.as_secs_f64() * 1000.0);
                purge(&site, &name("large"));
            }
        });
        let mut times = Vec::new();
        while times.len() < ROUNDS {
            times.append(&mut cycles(&site, &small, 1));
            thread::sleep(Duration::from_millis(500));
        }
        report("the same beside a create that copies", times);
        is_over.store(true, SeqCst);
    });
}

/// Takes a branch away and brings it back, so many times.
fn cycles(site: &Site, branch: &BranchName, rounds: usize) -> Vec<Duration> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let mut deleted = 0;
        times.push(timed(|| {
            deleted = mutation::delete(site, branch, false, &mut patience(), &Silent).unwrap().operation.id;
        }));
        times.push(timed(|| drop(mutation::undo(site, Some(deleted), &mut patience(), &Silent).unwrap())));
    }
    times
}

fn report(title: &str, times: Vec<Duration>) {
    let (longest, median) = (times.iter().max().copied().unwrap_or_default(), median(times));
    println!(
        "{title:40} {:10.1} median, {:10.1} longest, milliseconds",
        median.as_secs_f64() * 1000.0,
        longest.as_secs_f64() * 1000.0
    );
}

fn ten_at_once(root: &Path) {
    let site = make_site(root, 3_100, 20_000);
    let branches: Vec<_> = (0..AT_ONCE).map(|number| name(&format!("b{number}"))).collect();
    let create = |branch: &BranchName| {
        mutation::create(&site, branch, &BranchName::main(), &mut patience(), &Silent).unwrap();
    };
    let copies: Vec<_> = (0..AT_ONCE).map(|number| root.join(format!("copy{number}"))).collect();
    let main = site.layout.branch(&BranchName::main());
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..3 {
        settle(root);
        times[0].push(timed(|| branches.iter().for_each(create)));
        branches.iter().for_each(|branch| purge(&site, branch));
        settle(root);
        times[1].push(timed(|| {
            let create = &create;
            thread::scope(|scope| {
                for branch in &branches {
                    scope.spawn(move || create(branch));
                }
            });
        }));
        branches.iter().for_each(|branch| purge(&site, branch));
        settle(root);
        times[2].push(timed(|| {
            thread::scope(|scope| {
                for copy in &copies {
                    let mut cp = Command::new("cp");
                    cp.arg("-a").arg(&main).arg(copy);
                    scope.spawn(move || run(&mut cp));
                }
            });
            run(Command::new("sync").arg("-f").arg(root));
        }));
        copies.iter().for_each(|copy| fs::remove_dir_all(copy).unwrap());
    }
    let rows = ["ten creates, one after the other", "ten creates at once", "ten cp -a at once, and sync -f"];
    for (title, times) in rows.into_iter().zip(times) {
        println!("{title:40} {:10.0} milliseconds", median(times).as_secs_f64() * 1000.0);
    }
}
