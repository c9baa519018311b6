//! Which generation of the site's code the caches of PHP are of.
//!
//! The realpath cache and the stat cache belong to a process, which drops them when it sees a new generation. OPcache's
//! memory is shared by all processes of a server, so one that serves a branch which was published drops the stale scripts from
//! it, and others that serve such a branch wait for that. Which one it is they settle in a page of memory that the server's first
//! process shares with all that it forks.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use ext_php_rs::prelude::*;

use crate::shared_number::SharedNumber;
use crate::{FAILURE, SUCCESS, exception, lock};

/// For how long a process waits for another one to drop the stale scripts, before it does so itself: the other may be dead.
const PATIENCE: Duration = Duration::from_secs(2);

/// The newest generation for which a process of the server has begun to drop stale scripts. A server serves one site; one that
/// serves two drops more than it must.
static CLAIMED: SharedNumber = SharedNumber::new();

/// The newest generation for which that is done.
static DONE: SharedNumber = SharedNumber::new();

/// Makes what the processes of a server share, before it forks.
pub fn startup() -> i32 {
    if CLAIMED.make() == SUCCESS { DONE.make() } else { FAILURE }
}

/// Returns up to which generation's branches OPcache has no stale scripts of, and null where that is all of them, as of this
/// request's generation. A branch whose record says a later one must not be served before `branchfs_stale_since()`.
#[php_function]
pub fn branchfs_fresh_until() -> PhpResult<Option<i64>> {
    let (Some(done), Some(generation)) = (DONE.get(), lock::generation_seen()) else { return Ok(None) };
    let done = done.load(Ordering::Acquire);
    if done >= generation.number { Ok(None) } else { as_integer(done).map(Some) }
}

/// Says whether scripts older than `$generation`, that of the record of the request's branch, may be in OPcache, which this
/// request must drop before it runs any code of the branch, and then call `branchfs_fresh()`.
///
/// Returns the generation whose scripts are good still, and null where there is nothing to do. Waits for another
/// process that is just doing it.
#[php_function]
pub fn branchfs_stale_since(generation: i64) -> PhpResult<Option<i64>> {
    let (Some(claims), Some(fresh), Some(target)) = (CLAIMED.get(), DONE.get(), target(generation)) else {
        return Ok(None);
    };
    let begin = Instant::now();
    loop {
        let done = fresh.load(Ordering::Acquire);
        if done >= target {
            return Ok(None);
        }
        let claimed = claims.load(Ordering::Acquire);
        let mine =
            claimed < target && claims.compare_exchange(claimed, target, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if mine || begin.elapsed() > PATIENCE {
            return as_integer(done).map(Some);
        }
        thread::sleep(Duration::from_micros(200));
    }
}

/// Up to which generation OPcache is fresh once this request has looked through it: the branches that were published before
/// it took its locks have the records that they had then, and its own branch has that of `generation`.
fn target(generation: i64) -> Option<u64> {
    let seen = lock::generation_seen()?;
    // A branch without a record says that it is newer than any: no publish reaches it.
    let own = u64::try_from(generation).ok().filter(|own| *own <= seen.number);
    Some(seen.settled().max(own.unwrap_or(0)))
}

fn as_integer(generation: u64) -> PhpResult<i64> {
    i64::try_from(generation).map_err(|_| exception::plain("the generation is out of range".to_owned()))
}

/// Says that no stale script is in OPcache any more; `$generation` as for `branchfs_stale_since()`.
#[php_function]
pub fn branchfs_fresh(generation: i64) {
    if let (Some(done), Some(target)) = (DONE.get(), target(generation)) {
        done.fetch_max(target, Ordering::AcqRel);
    }
}

/// Adds the functions to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module
        .function(wrap_function!(branchfs_fresh_until))
        .function(wrap_function!(branchfs_stale_since))
        .function(wrap_function!(branchfs_fresh))
}
