//! Work that lets requests go first.

use std::sync::OnceLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// How much nicer (`nice(1)`) such work is: it has about a tenth of a processor's time that requests want, and all of what
/// they leave. More would let a busy site starve it.
#[cfg(target_os = "linux")]
const NICER_BY: i32 = 10;

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
    // No right is needed for it; without it, all is well, too.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICER_BY);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

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
