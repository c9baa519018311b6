//! Long work that lets others run in between.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

/// For how long such work goes on at a stretch.
///
/// Linux shares processors out by groups, which sessions are (`sched(7)`, autogroup), and a priority counts within a group only.
/// There a thread of another group, be it a visitor's, was seen to wait for 240 ms, ready to run, behind one that never pauses. A
/// processor that is left with nothing else to run takes it at once.
pub const STRETCH: Duration = Duration::from_millis(2);

thread_local! {
    static RESTED_AT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// To be called often: rests for so long if this thread's last rest is [`STRETCH`] ago. The first call begins the first stretch.
pub fn rest(rest: Duration) {
    let last = RESTED_AT.get();
    if last.is_some_and(|last| last.elapsed() < STRETCH) {
        return;
    }
    if last.is_some() {
        thread::sleep(rest);
    }
    RESTED_AT.set(Some(Instant::now()));
}
