//! A hundred branches in one command, beside `cp`: `cargo bench -p forkpress-core --features mutations --bench many`.
//!
//! On XFS, btrfs and ext4 in images, with a tree of 3,100 files. Needs root. `FORKPRESS_BENCH_BRANCHES` makes another number.

use std::fs;
use std::process::Command;
use std::time::Duration;

use forkpress_core::config::FileView;
use forkpress_core::deadline::Deadline;
use forkpress_core::lock::Patience;
use forkpress_core::mutation;
use forkpress_core::name::BranchName;
use forkpress_core::progress::Silent;

mod common;

use common::{make_site, run, timed};

fn main() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: mounting needs root");
        return;
    }
    let branches = std::env::var("FORKPRESS_BENCH_BRANCHES").ok().and_then(|number| number.parse().ok()).unwrap_or(100);
    println!("{:28} {:>9} {:>9} {:>9} {:>9}", "milliseconds", "branches", "create", "of it ex.", "cp each");
    for (mkfs, options) in [("mkfs.xfs", "-qf"), ("mkfs.btrfs", "-qf"), ("mkfs.ext4", "-qF")] {
        let dir = tempfile::tempdir().unwrap();
        let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
        fs::create_dir(&mount).unwrap();
        fs::File::create(&image).unwrap().set_len(24 << 30).unwrap();
        run(Command::new(mkfs).arg(options).arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount));
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
            "{:28} {branches:9} {:9.1} {:9.1} {:9.1}",
            format!("{}, {}", &mkfs[5..], site.config.file_view),
            milliseconds(created),
            milliseconds(held),
            milliseconds(copied)
        );
        run(Command::new("umount").arg(&mount));
    }
}
