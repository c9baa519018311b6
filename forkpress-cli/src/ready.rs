//! Waits until a branch's first page is ready: `--wait`.

use std::thread;
use std::time::{Duration, Instant};

use forkpress_core::deadline::Deadline;
use forkpress_core::name::BranchName;
use forkpress_engine::branch;
use forkpress_engine::site::Site;
use serde_json::{Value, json};

use crate::cli::ReadyArgs;
use crate::failure::Failure;
use crate::output;
use crate::server::{WarmBranch, Warmed};
use crate::site::Address;

const PAUSE: Duration = Duration::from_millis(5);

/// How a wait for a branch ended.
pub struct Ready {
    /// The branch.
    pub name: BranchName,
    outcome: WaitOutcome,
}

enum WaitOutcome {
    /// The branch is warm, after so long.
    Warm(WarmBranch, Duration),
    /// No server runs that could have warmed it.
    NoServer,
    /// There is no such branch, or no more.
    Gone,
}

/// Waits, if that was asked for, until the server has warmed what the publish `generation` gave the branches.
///
/// # Errors
/// When a branch is not ready after `timeout`, or can't be made ready.
pub fn wait<'a>(
    site: &Site,
    args: &ReadyArgs,
    names: impl Iterator<Item = &'a BranchName>,
    generation: u64,
    timeout: Duration,
) -> Result<Vec<Ready>, Failure> {
    let began = Instant::now();
    let wait = |name: &BranchName| {
        wait_for_one(site, name, generation, began, timeout).map(|outcome| Ready { name: name.clone(), outcome })
    };
    names.filter(|_| args.wait).map(wait).collect()
}

fn wait_for_one(
    site: &Site,
    name: &BranchName,
    generation: u64,
    began: Instant,
    timeout: Duration,
) -> Result<WaitOutcome, Failure> {
    let deadline = Deadline::after(timeout.saturating_sub(began.elapsed()));
    loop {
        let Some(mut warmed) = Warmed::read(site) else { return Ok(WaitOutcome::NoServer) };
        match warmed.branches.remove(name).filter(|warm| warm.generation >= generation) {
            Some(WarmBranch { problem: Some(problem), .. }) => {
                return Err(Failure::new(format!(
                    "the change is done, but '{name}' could not be made ready: {problem}"
                ))
                .hint("its first page will be slow; to restart the server: forkpress stop, then forkpress serve"));
            }
            Some(warm) => return Ok(WaitOutcome::Warm(warm, began.elapsed())),
            None if branch::show(site, name).is_err() => return Ok(WaitOutcome::Gone),
            None if deadline.has_passed() => {
                let seconds = timeout.as_secs_f64();
                return Err(Failure::new(format!("the change is done, but '{name}' was not ready within {seconds} s"))
                    .hint("forkpress logs --file forkpress says what keeps the server; --timeout gives it longer"));
            }
            None => thread::sleep(PAUSE),
        }
    }
}

impl Ready {
    /// Says it in a line.
    pub fn tell(&self, site: &Site) -> Result<(), Failure> {
        let url = Address::of(site).url(&self.name);
        let warm = match &self.outcome {
            WaitOutcome::NoServer => {
                output::note("forkpress: no server runs, so nothing was made ready: the first page will be slow");
                return Ok(());
            }
            WaitOutcome::Gone => {
                output::note(format_args!("forkpress: there is no branch '{}' to be made ready", self.name));
                return Ok(());
            }
            WaitOutcome::Warm(warm, took) => {
                let front_page = warm.front_page_seconds * 1000.0;
                let status = warm.status.map_or("no answer".to_owned(), |status| format!("status {status}"));
                output::line(format_args!(
                    "ready: {url} in {} ms (front page: {status} in {front_page:.0} ms)",
                    took.as_millis()
                ))?;
                warm
            }
        };
        if !warm.complete {
            output::note("forkpress: OPcache is nearly full, so not all was compiled: forkpress doctor php");
        }
        Ok(())
    }

    /// What `--json` says of it.
    pub fn to_json(&self) -> Value {
        match &self.outcome {
            WaitOutcome::NoServer => json!({ "ready": false, "reason": "no server runs" }),
            WaitOutcome::Gone => json!({ "ready": false, "reason": "there is no such branch" }),
            WaitOutcome::Warm(warm, took) => json!({
                "ready": true,
                "seconds": took.as_secs_f64(),
                "status": warm.status,
                "front_page_seconds": warm.front_page_seconds,
                "compiled": warm.compiled,
                "complete": warm.complete,
            }),
        }
    }
}
