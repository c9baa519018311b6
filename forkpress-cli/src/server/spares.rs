//! Makes spares for a server, in a process of its own, so that all it does gives way to everything else.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use forkpress_core::layout::CowLayout;
use forkpress_core::lock::{self, GateProbe};
use forkpress_engine::branch::BranchError;
use forkpress_engine::config::FileView;
use forkpress_engine::mutation::{StepError, keep, spare};
use forkpress_engine::progress::{Progress, Silent};
use forkpress_engine::site::Site;

use crate::child;
use crate::failure::{During, Failure};
use crate::{output, trace};

/// How often it looks whether a branch was published.
const LOOK: Duration = Duration::from_millis(500);

/// For how long nothing may be published before a spare is made: who creates one branch may be about to create the next.
const QUIET: Duration = Duration::from_secs(1);

/// How often the spares are looked after where nothing is published: `main` changes, and the disk fills.
const EVERY: Duration = Duration::from_secs(300);

/// How many times as long as it worked it rests, after each part of the work. A low priority alone is not enough: a kernel may do
/// all of a step before it lets another process run.
const REST: u32 = 4;

/// How often it looks whether a publish is over.
const PUBLISHING: Duration = Duration::from_millis(2);

/// That process. Killed when dropped; what it leaves half made then goes with the next mutation.
pub(super) struct Keeper(Option<Child>);

impl Keeper {
    /// Starts it where the site has use for spares. Only the main thread may: it dies with the thread that started it.
    pub(super) fn start(site: &Site) -> Result<Self, Failure> {
        if site.config.spares == 0 || site.config.file_view == FileView::BtrfsSnapshot {
            // The settings may have been others.
            spare::keep(site, &Silent)?;
            return Ok(Self(None));
        }
        let own = std::env::current_exe().during(|| "cannot find forkpress itself".to_owned())?;
        let started = child::command(own.as_os_str())?
            .arg("__spares")
            .arg(site.layout.work_dir())
            .envs(trace::for_child())
            // Each thread more would take another processor from requests.
            .env("RAYON_NUM_THREADS", "1")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
        started.map(|child| Self(Some(child))).during(|| "cannot start what makes spares".to_owned())
    }
}

impl Keeper {
    /// The id of the process.
    pub(super) fn id(&self) -> Option<u32> {
        self.0.as_ref().map(Child::id)
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// In that process: keeps spares for as long as the server lives.
pub fn run(work_dir: &Path) -> Result<(), Failure> {
    give_way();
    let first = Site::open(work_dir)?;
    let generation = || lock::generation(first.layout.cow());
    let mut kept: Option<(u64, Instant)> = None;
    loop {
        let now = generation()?;
        if kept.is_none_or(|(then, at)| then != now || at.elapsed() >= EVERY) {
            thread::sleep(QUIET);
            if generation()? != now {
                continue;
            }
            // The site may have another file view by now. While its storage is detached there is nothing to clone.
            let kept_now = Site::open(work_dir).map_err(Failure::from).and_then(|site| {
                match spare::keep(&site, &Unhurried::new(site.layout.cow())?) {
                    Ok(kept) if kept.dropped > 0 => Ok(keep::empty_trash(&site)?),
                    Err(StepError::Branch(BranchError::Detached)) | Ok(_) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            });
            if let Err(error) = kept_now {
                output::note(format_args!("forkpress: warning: no spare is made: {error}"));
            }
            tracing::debug!(generation = now, "looked after the spares");
            kept = Some((now, Instant::now()));
        }
        thread::sleep(LOOK);
    }
}

/// Rests after each part of the work, and for as long as a mutation publishes: that needs the processors more.
struct Unhurried {
    rested: Mutex<Instant>,
    gate: GateProbe,
}

impl Unhurried {
    fn new(cow: &CowLayout) -> Result<Self, Failure> {
        Ok(Self { rested: Mutex::new(Instant::now()), gate: GateProbe::open(cow)? })
    }
}

impl Progress for Unhurried {
    fn begin(&self, _step: &str, _total: Option<u64>) {}

    fn advance(&self, _by: u64) {
        let Ok(mut rested) = self.rested.lock() else { return };
        thread::sleep(rested.elapsed() * REST);
        while self.gate.writer_waits().unwrap_or(false) {
            thread::sleep(PUBLISHING);
        }
        *rested = Instant::now();
    }

    fn end(&self) {}
}

/// Lets every other process go first, at the processor and at the disk.
fn give_way() {
    // Both are of use, not needed: who has no right to, or no such program, is as fast as others.
    let _ = rustix::process::nice(19);
    let _ = Command::new("ionice")
        .args(["-c", "3", "-p", &std::process::id().to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::mpsc;

    use forkpress_core::deadline::Deadline;
    use forkpress_core::layout::SiteLayout;
    use forkpress_core::lock::{Mutation, Patience};
    use forkpress_engine::site::create_folders;

    use super::*;

    /// How often a thread gave its processor up of itself; its folder is below /proc.
    fn pauses_of(thread: &Path) -> u64 {
        let status = std::fs::read_to_string(Path::new("/proc").join(thread).join("status")).unwrap();
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count.unwrap().trim().parse().unwrap()
    }

    #[test]
    fn the_work_stands_still_while_a_mutation_publishes() {
        let dir = tempfile::tempdir().unwrap();
        let layout = SiteLayout::at(&std::fs::canonicalize(dir.path()).unwrap());
        create_folders(&layout).unwrap();
        let mut patience = Patience::silent(Deadline::NEVER);
        let mut mutation = Mutation::lock(layout.cow(), "x", &mut patience).unwrap();
        let progress = Unhurried::new(layout.cow()).unwrap();
        let (tell, hear) = mpsc::channel();
        thread::scope(|scope| {
            let publish = mutation.publish_widely(&mut patience).unwrap();
            scope.spawn(move || {
                tell.send(std::fs::read_link("/proc/thread-self").unwrap()).unwrap();
                progress.advance(1);
                tell.send("done".into()).unwrap();
            });
            let worker = hear.recv().unwrap();
            let before = pauses_of(&worker);
            while pauses_of(&worker) < before + 10 {
                assert_eq!(hear.try_recv(), Err(mpsc::TryRecvError::Empty), "it goes on");
                thread::yield_now();
            }
            drop(publish);
            assert_eq!(hear.recv(), Ok("done".into()));
        });
    }
}
