//! How long requests wait for a create, with a watch on the files and without: `cargo bench -p forkpress-engine --bench hold`.
//!
//! On XFS and ext4 in images, with trees of 3,000, 30,000 and 300,000 files, ten of which change after they were cloned;
//! medians of a few rounds, in turn. Needs root. `FORKPRESS_BENCH_TREE`, such as `xfs-300000`, measures only that tree.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forkpress_core::deadline::Deadline;
use forkpress_core::lock::Patience;
use forkpress_core::name::BranchName;
use forkpress_engine::mutation::{self, keep};
use forkpress_engine::progress::Silent;
use forkpress_engine::site::Site;
use rustix::fs::inotify::{CreateFlags, init};

mod common;

use common::{make_site, median, run, settle, timed};

const FILE_BYTES: usize = 1_000;

/// Files, and rounds.
const TREES: [(&str, usize, usize); 6] = [
    ("xfs", 3_000, 9),
    ("ext4", 3_000, 9),
    ("xfs", 30_000, 7),
    ("ext4", 30_000, 7),
    ("xfs", 300_000, 3),
    ("ext4", 300_000, 3),
];

fn main() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: mounting needs root");
        return;
    }
    let only = std::env::var("FORKPRESS_BENCH_TREE").ok();
    let is_wanted = |(file_system, files, _): &(&str, usize, usize)| {
        only.as_ref().is_none_or(|only| *only == format!("{file_system}-{files}"))
    };
    let trees: Vec<_> = TREES.into_iter().filter(is_wanted).collect();
    assert!(!trees.is_empty(), "FORKPRESS_BENCH_TREE names no tree: {TREES:?}");
    println!("{:24} {:>31} {:>31}", "milliseconds", "with a watch", "walked");
    println!(
        "{:24} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}",
        "", "prepare", "hold", "publish", "prepare", "hold", "publish"
    );
    for (file_system, files, rounds) in trees {
        let dir = tempfile::tempdir().unwrap();
        let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
        fs::create_dir(&mount).unwrap();
        fs::File::create(&image).unwrap().set_len(12 << 30).unwrap();
        let force = if file_system == "xfs" { "-qf" } else { "-qF" };
        run(Command::new(format!("mkfs.{file_system}")).arg(force).arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount));
        measure(&mount, &format!("{file_system}, {files} files"), files, rounds);
        run(Command::new("umount").arg(&mount));
    }
}

/// All that a user may have of what gives watches: nobody else gets one.
struct NoWatches(#[allow(dead_code, reason = "its drop gives them back")] Vec<OwnedFd>);

impl NoWatches {
    fn take() -> Self {
        Self(std::iter::from_fn(|| init(CreateFlags::CLOEXEC).ok()).collect())
    }
}

fn measure(root: &Path, title: &str, files: usize, rounds: usize) {
    let site = make_site(root, files, FILE_BYTES);
    let mut times: [Vec<Duration>; 6] = Default::default();
    for _ in 0..rounds {
        let (watched, walked) = times.split_at_mut(3);
        create(root, &site, watched);
        let _none = NoWatches::take();
        create(root, &site, walked);
    }
    print!("{title:24}");
    for column in times {
        print!(" {:10.1}", median(column).as_secs_f64() * 1000.0);
    }
    println!();
}

fn create(root: &Path, site: &Site, times: &mut [Vec<Duration>]) {
    let (name, main) = ("x".parse::<BranchName>().unwrap(), BranchName::main());
    let patience = || Patience::silent(Deadline::after(Duration::from_secs(60)));
    settle(root);
    let mut prepared = None;
    times[0].push(timed(|| {
        prepared = Some(mutation::prepare_create(site, &name, &main, &mut patience(), &Silent).unwrap());
    }));
    for number in 0..10 {
        let folder = site.layout.branch(&main).join(format!("wp-content/uploads/{number}/0"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("changes"), "bytes").unwrap();
    }
    let mut held = Duration::ZERO;
    times[2].push(timed(|| held = prepared.unwrap().publish(&mut patience()).unwrap().held));
    times[1].push(held);
    mutation::delete(site, &name, true, &mut patience(), &Silent).unwrap();
    keep::empty_trash(site).unwrap();
    rustix::fs::sync();
}
