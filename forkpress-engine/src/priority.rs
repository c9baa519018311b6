//! Work that lets requests go first.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};

use forkpress_core::pace;

/// How much nicer (`nice(1)`) such work is: it has about a tenth of a processor's time that requests want, and all of what
/// they leave. More would let a busy site starve it.
#[cfg(target_os = "linux")]
const NICER_BY: i32 = 10;

/// How long such work rests after each stretch: a twentieth of its time, as Linux makes 0.1 ms of it.
const REST: Duration = Duration::from_micros(50);

thread_local! {
    static IS_LOW: Cell<bool> = const { Cell::new(false) };
}

/// Does work on threads of a low priority, one for each processor: what runs in parallel in it, does so there.
///
/// Never for what happens under the operations lock: others would wait for threads that wait for their turn. A priority that
/// was lowered can't be raised again, hence threads of their own. Where no thread can be started, the work is done at the
/// priority of everything else.
pub(crate) fn at_low<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    let pool = POOL.get_or_init(|| ThreadPoolBuilder::new().start_handler(|_| lower()).build().ok());
    match pool {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

/// Lowers the priority of this thread, and of those that it starts from now on. Does nothing where the system gives
/// priorities to whole processes only (macOS).
pub fn lower() {
    IS_LOW.set(true);
    // No right is needed for it; without it, all is well, too.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICER_BY);
}

/// [`pace::rest`] on a thread of a low priority, and nothing on others: nobody who holds the operations lock rests.
pub(crate) fn rest() {
    if IS_LOW.get() {
        pace::rest(REST);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Instant;

    use rustix::process::getpriority_process;

    use super::*;

    /// How often this thread gave its processor up of itself.
    fn pauses() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count.unwrap().trim().parse().unwrap()
    }

    #[test]
    fn the_work_rests_again_and_again() {
        let paused = at_low(|| {
            let (before, began) = (pauses(), Instant::now());
            while pauses() < before + 5 && began.elapsed() < Duration::from_secs(30) {
                rest();
            }
            pauses() - before
        });
        assert!(paused >= 5, "{paused}");
    }

    #[test]
    fn other_work_does_not_rest() {
        let (before, began) = (pauses(), Instant::now());
        while began.elapsed() < pace::STRETCH * 20 {
            rest();
        }
        // The system may have had its own reasons for one or the other.
        assert!(pauses() < before + 10);
    }

    #[test]
    fn only_the_work_gives_way() {
        let own = || getpriority_process(None).unwrap();
        let before = own();
        let (working, in_parallel) = at_low(|| rayon::join(own, own));
        assert_eq!((working, in_parallel), ((before + NICER_BY).min(19), (before + NICER_BY).min(19)));
        assert_eq!(own(), before);
        assert_eq!(rayon::join(own, own), (before, before));
    }
}
