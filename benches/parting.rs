//! What a create of a branch takes, by the whole command: `cargo bench -p forkpress-engine --bench parting`.
//!
//! A WordPress site with a database of 47 MB, on XFS, btrfs and ext4 in images, without a spare and with one. Needs root and
//! `target/release/forkpress`. `FORKPRESS_BENCH_OTHER=PATH` names another build of it, one from before branches had
//! partings, say: both take turns, each in a site of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use forkpress_core::layout::database_of;
use forkpress_core::name::BranchName;
use forkpress_engine::mutation::history::History;
use forkpress_engine::mutation::{self, keep};
use forkpress_engine::progress::Silent;
use forkpress_engine::site::Site;

mod common;

use common::{add_posts, median, run, settle, timed, unmount};

const POSTS: usize = 10_000;
const ROUNDS: usize = 11;

fn main() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: mounting needs root");
        return;
    }
    let own = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/release/forkpress"));
    let mut programs = vec![("this build", own)];
    programs.extend(std::env::var_os("FORKPRESS_BENCH_OTHER").map(|other| ("the other", other.into())));
    println!("{:24} {:>23} {:>23}", "milliseconds", "without a spare", "of a spare");
    println!("{:24} {:>11} {:>11} {:>11} {:>11}", "", "create", "hold", "create", "hold");
    for (mkfs, force) in [("mkfs.xfs", "-qf"), ("mkfs.btrfs", "-qf"), ("mkfs.ext4", "-qF")] {
        let dir = tempfile::tempdir().unwrap();
        let (image, mount) = (dir.path().join("image"), dir.path().join("mount"));
        fs::create_dir(&mount).unwrap();
        fs::File::create(&image).unwrap().set_len(12 << 30).unwrap();
        run(Command::new(mkfs).arg(force).arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount));
        let mut sites: Vec<_> = programs
            .iter()
            .enumerate()
            .map(|(number, (_, program))| Measured::make(&mount, &mount.join(number.to_string()), program))
            .collect();
        for round in 0..ROUNDS {
            // Each is as often first as last.
            for turn in 0..sites.len() {
                let number = (round + turn) % sites.len();
                sites[number].measure();
            }
        }
        for ((title, _), measured) in programs.iter().zip(sites) {
            print!("{:24}", format!("{}, {title}", &mkfs[5..]));
            for times in measured.times {
                let shown = match times[..] {
                    [] => "-".to_owned(),
                    _ => format!("{:.1}", median(times).as_secs_f64() * 1000.0),
                };
                print!(" {shown:>11}");
            }
            println!();
        }
        unmount(&mount);
    }
}

/// A site, what changes it, and what that took: a create without a spare, its hold, one with a spare, its hold.
struct Measured<'a> {
    mount: &'a Path,
    root: PathBuf,
    program: &'a Path,
    state: tempfile::TempDir,
    site: Site,
    times: [Vec<Duration>; 4],
}

impl<'a> Measured<'a> {
    fn make(mount: &'a Path, root: &Path, program: &'a Path) -> Self {
        fs::create_dir(root).unwrap();
        let state = tempfile::tempdir().unwrap();
        let init = || {
            let mut command = Command::new(program);
            command.current_dir(root).env("FORKPRESS_STATE_DIR", state.path()).arg("init");
            command
        };
        run(init().stderr(Stdio::null()));
        let site = Site::find(root).unwrap();
        add_posts(&database_of(&site.layout.branch(&BranchName::main())), POSTS);
        Self { mount, root: root.to_owned(), program, state, site, times: Default::default() }
    }

    fn forkpress(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command.current_dir(&self.root).env("FORKPRESS_STATE_DIR", self.state.path()).args(arguments);
        command.stderr(Stdio::null());
        command
    }

    fn measure(&mut self) {
        for is_of_spare in [false, true] {
            if is_of_spare && mutation::spare::keep(&self.site, &Silent).unwrap().made == 0 {
                // Snapshots of whole trees need none.
                continue;
            }
            rustix::fs::sync();
            settle(self.mount);
            let took = timed(|| run(&mut self.forkpress(&["branch", "create", "x"])));
            let created = History::read(self.site.layout.cow()).unwrap().entries.pop().unwrap();
            let first = if is_of_spare { 2 } else { 0 };
            self.times[first].push(took);
            self.times[first + 1].push(Duration::from_micros(created.held_us.unwrap()));
            run(&mut self.forkpress(&["branch", "delete", "x", "--purge"]));
            keep::empty_trash(&self.site).unwrap();
        }
    }
}
