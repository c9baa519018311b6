//! Which generation of the site's code the caches of PHP are of.
//!
//! The realpath cache and the stat cache belong to a process, which drops them when it sees a new generation. OPcache's
//! memory is shared by all processes of a server, so one that serves a branch which was published drops the stale scripts from
//! it, and others that serve such a branch wait for that. Which one it is they settle in a page of memory that the server's first
//! process shares with all that it forks.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ext_php_rs::prelude::*;
use once_cell::sync::OnceCell;

use crate::{FAILURE, SUCCESS, exception, lock};

/// For how long a process waits for another one to drop the stale scripts, before it does so itself: the other may be dead.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the processes of a server share. A server serves one site; one that serves two drops more than it must.
#[repr(C)]
struct Shared {
    /// The newest generation for which a process has begun to drop stale scripts.
    claimed: AtomicU64,
    /// The newest generation for which that is done.
    done: AtomicU64,
    /// How many requests of visitors run. One whose process was killed counts on: see [`requests_running`].
    running: AtomicU32,
}

static SHARED: OnceCell<&'static Shared> = OnceCell::new();

unsafe extern "C" {
    fn php_clear_stat_cache(clear_realpath_cache: bool, filename: *const libc::c_char, filename_len: usize);
}

/// Makes the shared page, before the server forks.
pub fn startup() -> i32 {
    let made = SHARED.get_or_try_init(|| {
        // SAFETY: a new mapping at an address of the kernel's choice, checked below, zeroed, page-aligned and never unmapped:
        // a reference to two atomics in it is good for the life of the process.
        unsafe {
            let page = libc::mmap(
                std::ptr::null_mut(),
                size_of::<Shared>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            if page == libc::MAP_FAILED { Err(()) } else { Ok(&*page.cast::<Shared>()) }
        }
    });
    if made.is_ok() { SUCCESS } else { FAILURE }
}

/// A request of a visitor begins.
pub fn request_begins() {
    if let Some(shared) = SHARED.get() {
        shared.running.fetch_add(1, Ordering::Relaxed);
    }
}

/// A request that began has ended.
pub fn request_ends() {
    if let Some(shared) = SHARED.get() {
        shared.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How many requests of visitors the server runs. Good for being polite, not for deciding anything: it is too many where a
/// process was killed in a request.
pub fn requests_running() -> u32 {
    SHARED.get().map_or(0, |shared| shared.running.load(Ordering::Relaxed))
}

/// Drops what this process has cached of the file system.
pub fn drop_process_caches() {
    // SAFETY: with no file name, the function clears both caches of this process, which nothing of ours refers to.
    unsafe { php_clear_stat_cache(true, std::ptr::null(), 0) };
}

/// Returns up to which generation's branches OPcache has no stale scripts of, and null where that is all of them, as of this
/// request's generation. A branch whose record says a later one must not be served before `branchfs_stale_since()`.
#[php_function]
pub fn branchfs_fresh_until() -> PhpResult<Option<i64>> {
    let (Some(shared), Some(generation)) = (SHARED.get(), lock::generation_seen()) else { return Ok(None) };
    let done = shared.done.load(Ordering::Acquire);
    if done >= generation.number { Ok(None) } else { as_integer(done).map(Some) }
}

/// Says whether scripts older than `$generation`, that of the record of the request's branch, may be in OPcache, which this
/// request must drop before it runs any code of the branch, and then call `branchfs_fresh()`.
///
/// Returns the generation whose scripts are good still, and null where there is nothing to do. Waits for another
/// process that is just doing it.
#[php_function]
pub fn branchfs_stale_since(generation: i64) -> PhpResult<Option<i64>> {
    let (Some(shared), Some(target)) = (SHARED.get(), target(generation)) else { return Ok(None) };
    let begin = Instant::now();
    loop {
        let done = shared.done.load(Ordering::Acquire);
        if done >= target {
            return Ok(None);
        }
        let claimed = shared.claimed.load(Ordering::Acquire);
        let mine = claimed < target
            && shared.claimed.compare_exchange(claimed, target, Ordering::AcqRel, Ordering::Acquire).is_ok();
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
    if let (Some(shared), Some(target)) = (SHARED.get(), target(generation)) {
        shared.done.fetch_max(target, Ordering::AcqRel);
    }
}

/// Adds the functions to the module.
pub fn register(module: ModuleBuilder) -> ModuleBuilder {
    module
        .function(wrap_function!(branchfs_fresh_until))
        .function(wrap_function!(branchfs_stale_since))
        .function(wrap_function!(branchfs_fresh))
}
