//! What it costs to make and list many branches: `cargo bench -p forkpress-engine --bench many`.
//!
//! A branch of a WordPress site from a spare, by the whole command; a hundred branches in one beside `cp`; a list of a
//! thousand beside `ls -l`. On XFS, btrfs and ext4 in images, with a tree of 3,100 files. Needs root and
//! `target/release/forkpress`. `FORKPRESS_BENCH_BRANCHES` sets another number.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use forkpress_core::deadline::Deadline;
use forkpress_core::lock::Patience;
use forkpress_core::name::BranchName;
use forkpress_engine::config::FileView;
use forkpress_engine::mutation::history::History;
use forkpress_engine::mutation::{self, keep};
use forkpress_engine::progress::Silent;
use forkpress_engine::site::Site;

mod common;

use common::{make_site, median, run, timed};

fn main() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: mounting needs root");
        return;
    }
    let branches = std::env::var("FORKPRESS_BENCH_BRANCHES").ok().and_then(|number| number.parse().ok()).unwrap_or(100);
    let mut lists = Vec::new();
    println!(
        "{:28} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "milliseconds", "create", "of spare", "of it ex.", "branches", "create", "of it ex.", "cp each", "ratio"
    );
    for (mkfs, options) in [("mkfs.xfs", "-qf"), ("mkfs.btrfs", "-qf"), ("mkfs.ext4", "-qF")] {
        let dir = tempfile::tempdir().unwrap();
        let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
        fs::create_dir(&mount).unwrap();
        fs::File::create(&image).unwrap().set_len(24 << 30).unwrap();
        run(Command::new(mkfs).arg(options).arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount));
        let [single, of_spare, of_it_exclusive] = measure_spares(&mount.join("wordpress"));
        let site = make_site(&mount, 3_100, 12_000);
        // Bytes are copied on ext4: fewer will do.
        let branches = if site.config.file_view == FileView::FileCopy { branches.min(10) } else { branches };
        let names: Vec<BranchName> = (0..branches).map(|number| format!("agent-{number}").parse().unwrap()).collect();
        rustix::fs::sync();
        let mut held = Duration::ZERO;
        let patience = &mut Patience::silent(Deadline::after(Duration::from_secs(600)));
        let created = timed(|| {
            held = mutation::create_all(&site, &names, &BranchName::main(), patience, &Silent).unwrap().held;
        });
        rustix::fs::sync();
        let reflink = if site.config.file_view == FileView::FileCopy { "never" } else { "always" };
        let copied = timed(|| {
            for number in 0..branches {
                let copy = mount.join(format!("copy-{number}"));
                let main = site.layout.branch(&BranchName::main());
                run(Command::new("cp").arg("-a").arg(format!("--reflink={reflink}")).arg(&main).arg(&copy));
            }
        });
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        println!(
            "{:28} {:9.1} {:9.1} {:9.1} {branches:9} {:9.1} {:9.1} {:9.1} {:9.2}",
            format!("{}, {}", &mkfs[5..], site.config.file_view),
            milliseconds(single),
            milliseconds(of_spare),
            milliseconds(of_it_exclusive),
            milliseconds(created),
            milliseconds(held),
            milliseconds(copied),
            created.as_secs_f64() / copied.as_secs_f64()
        );
        lists.push((format!("{}, {}", &mkfs[5..], site.config.file_view), measure_list(&mount.join("listed"))));
        run(Command::new("umount").arg(&mount));
    }
    println!("\n{:28} {:>11} {:>11} {:>9} {:>9}", "milliseconds", "branch list", "with --json", "ls -l", "ratio");
    for (place, [list, as_json, ls]) in lists {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1000.0;
        println!(
            "{place:28} {:11.1} {:11.1} {:9.1} {:9.2}",
            milliseconds(list),
            milliseconds(as_json),
            milliseconds(ls),
            list.as_secs_f64() / ls.as_secs_f64()
        );
    }
}

/// What the whole command takes to list a thousand branches, as text and as JSON, and what `ls -l` takes for their folders:
/// medians.
fn measure_list(root: &Path) -> [Duration; 3] {
    const BRANCHES: usize = 1000;
    const ROUNDS: usize = 21;
    fs::create_dir(root).unwrap();
    let site = make_site(root, 1, 1);
    // To a list, a branch is a record and a folder.
    let record = |name: &BranchName| site.layout.cow().record(name);
    for number in 1..BRANCHES {
        let name: BranchName = format!("agent-{number}").parse().unwrap();
        fs::create_dir(site.layout.branch(&name)).unwrap();
        fs::copy(record(&BranchName::main()), record(&name)).unwrap();
    }
    let state = tempfile::tempdir().unwrap();
    let list = |arguments: &[&str]| {
        let mut command = forkpress(root, state.path());
        command.args(["branch", "list"]).args(arguments);
        command
    };
    let listed = list(&["--json"]).output().expect("target/release/forkpress is there: 'make build' makes it").stdout;
    assert_eq!(String::from_utf8(listed).unwrap().matches("\"generation\"").count(), BRANCHES);
    let mut ls = Command::new("ls");
    ls.arg("-l").arg(root);
    let mut commands = [list(&[]), list(&["--json"]), ls];
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for (command, times) in commands.iter_mut().zip(&mut times) {
            times.push(timed(|| run(command.stderr(Stdio::null()))));
        }
    }
    times.map(median)
}

/// What the whole command takes to create a branch of a WordPress site without a spare, with one, and for how long that one
/// keeps requests out: medians.
fn measure_spares(root: &Path) -> [Duration; 3] {
    const ROUNDS: usize = 7;
    fs::create_dir(root).unwrap();
    let state = tempfile::tempdir().unwrap();
    let forkpress = |arguments: &[&str]| {
        let mut command = forkpress(root, state.path());
        command.args(arguments);
        command
    };
    run(forkpress(&["init"]).stderr(Stdio::null()));
    let site = Site::find(root).unwrap();
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for is_spare in [false, true] {
            if is_spare {
                mutation::spare::keep(&site, &Silent).unwrap();
            }
            rustix::fs::sync();
            times[usize::from(is_spare)]
                .push(timed(|| run(forkpress(&["branch", "create", "x"]).stderr(Stdio::null()))));
            if is_spare {
                let created = History::read(site.layout.cow()).unwrap().entries.pop().unwrap();
                times[2].push(Duration::from_micros(created.held_us.unwrap()));
            }
            run(forkpress(&["branch", "delete", "x", "--purge"]).stderr(Stdio::null()));
            keep::empty_trash(&site).unwrap();
        }
    }
    times.map(median)
}

/// The command, in a site's folder.
fn forkpress(site: &Path, state: &Path) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/forkpress"));
    command.current_dir(site).env("FORKPRESS_STATE_DIR", state);
    command
}
