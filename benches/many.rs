//! A branch from a spare, and a hundred branches in one, beside `cp`: `cargo bench -p forkpress-core --features mutations --bench many`.
//!
//! On XFS, btrfs and ext4 in images, with a tree of 3,100 files. Needs root. `FORKPRESS_BENCH_BRANCHES` makes another number.

use std::fs;
use std::process::Command;
use std::time::Duration;

use forkpress_core::config::FileView;
use forkpress_core::deadline::Deadline;
use forkpress_core::lock::Patience;
use forkpress_core::mutation::{self, keep};
use forkpress_core::name::BranchName;
use forkpress_core::progress::Silent;
use forkpress_core::site::Site;

mod common;

use common::{make_site, run, timed};

fn main() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: mounting needs root");
        return;
    }
    let branches = std::env::var("FORKPRESS_BENCH_BRANCHES").ok().and_then(|number| number.parse().ok()).unwrap_or(100);
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
        let site = make_site(&mount, 3_100, 12_000);
        let [single, of_spare, of_it_exclusive] = measure_spares(&site);
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
        run(Command::new("umount").arg(&mount));
    }
}

/// What a create takes without a spare, with one, and for how long that one keeps requests out: medians.
fn measure_spares(site: &Site) -> [Duration; 3] {
    const ROUNDS: usize = 7;
    let mut times: [Vec<Duration>; 3] = Default::default();
    let name: BranchName = "x".parse().unwrap();
    let patience = || Patience::silent(Deadline::after(Duration::from_secs(60)));
    for _ in 0..ROUNDS {
        for is_spare in [false, true] {
            if is_spare {
                mutation::spare::keep(site, &Silent).unwrap();
            }
            rustix::fs::sync();
            let mut held = Duration::ZERO;
            let time = timed(|| {
                held = mutation::create(site, &name, &BranchName::main(), &mut patience(), &Silent).unwrap().held;
            });
            times[usize::from(is_spare)].push(time);
            if is_spare {
                times[2].push(held);
            }
            mutation::delete(site, &name, true, &mut patience(), &Silent).unwrap();
            keep::empty_trash(site).unwrap();
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}
