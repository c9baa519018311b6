//! What mutations cost, beside the plain tools on the same trees: `cargo bench -p forkpress-engine --bench mutations`.
//!
//! On XFS, btrfs and ext4 in images, with a tree of 3,100 files and one of 30,000; medians of a few rounds. Needs root.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forkpress_core::deadline::Deadline;
use forkpress_core::lock::Patience;
use forkpress_core::name::BranchName;
use forkpress_engine::config::FileView;
use forkpress_engine::mutation::{self, gc, keep, spare};
use forkpress_engine::progress::Silent;

mod common;

use common::{make_site, median, run, settle, timed};

const ROUNDS: usize = 5;

/// Files, and the bytes of each but every hundredth, which has a hundred times as many.
const TREES: [(usize, usize); 2] = [(3_100, 12_000), (30_000, 25_000)];

fn main() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: mounting needs root");
        return;
    }
    println!(
        "{:28} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "milliseconds",
        "find",
        "create",
        "of it ex.",
        "of spare",
        "cp",
        "find",
        "reset",
        "of it ex.",
        "delete",
        "rm -rf",
        "undo"
    );
    for (mkfs, options) in [("mkfs.xfs", "-qf"), ("mkfs.btrfs", "-qf"), ("mkfs.ext4", "-qF")] {
        for (files, bytes) in TREES {
            let dir = tempfile::tempdir().unwrap();
            let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
            fs::create_dir(&mount).unwrap();
            fs::File::create(&image).unwrap().set_len(12 << 30).unwrap();
            run(Command::new(mkfs).arg(options).arg(&image));
            run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount));
            measure(&mount, &format!("{} {files} files", &mkfs[5..]), files, bytes);
            run(Command::new("umount").arg(&mount));
        }
    }
}

/// The walk that a hold is compared with.
fn find(tree: &Path) {
    run(Command::new("find").arg(tree).args(["-printf", "%s\n"]));
}

fn measure(root: &Path, title: &str, files: usize, bytes: usize) {
    let site = make_site(root, files, bytes);
    let name = |name: &str| name.parse::<BranchName>().unwrap();
    let main = site.layout.branch(&BranchName::main());
    let copy = root.join("copy");
    let mut times: [Vec<Duration>; 11] = Default::default();
    let patience = || Patience::silent(Deadline::after(Duration::from_secs(60)));
    for _ in 0..ROUNDS {
        let mut column = times.iter_mut();
        let mut note = |time: Duration| column.next().unwrap().push(time);
        note(timed(|| find(&main)));
        let mut held = Duration::ZERO;
        settle(root);
        note(timed(|| {
            held = mutation::create(&site, &name("x"), &name("main"), &mut patience(), &Silent).unwrap().held;
        }));
        note(held);
        // What a server does while nothing else is to be done.
        spare::keep(&site, &Silent).unwrap();
        rustix::fs::sync();
        note(timed(|| {
            mutation::create(&site, &name("y"), &name("main"), &mut patience(), &Silent).unwrap();
        }));
        mutation::delete(&site, &name("y"), true, &mut patience(), &Silent).unwrap();
        keep::empty_trash(&site).unwrap();
        rustix::fs::sync();
        let reflink = if site.config.file_view == FileView::FileCopy { "never" } else { "always" };
        note(timed(|| run(Command::new("cp").arg("-a").arg(format!("--reflink={reflink}")).arg(&main).arg(&copy))));
        // Once more: there are more trees now.
        note(timed(|| find(&main)));
        settle(root);
        note(timed(|| {
            held = mutation::reset(&site, &name("x"), &name("main"), false, &mut patience(), &Silent).unwrap().held;
        }));
        note(held);
        note(timed(|| drop(mutation::delete(&site, &name("x"), false, &mut patience(), &Silent).unwrap())));
        note(timed(|| run(Command::new("rm").arg("-rf").arg(&copy))));
        note(timed(|| drop(mutation::undo(&site, None, &mut patience(), &Silent).unwrap())));
        mutation::delete(&site, &name("x"), true, &mut patience(), &Silent).unwrap();
        let mut site = site.clone();
        site.config.keep.trees = 0;
        gc::clean(&site, &mut patience()).unwrap();
        rustix::fs::sync();
    }
    print!("{:28}", format!("{title}, {}", site.config.file_view));
    for column in times {
        print!(" {:9.1}", median(column).as_secs_f64() * 1000.0);
    }
    println!();
}
