//! The lock protocol that requests and mutations share.
//!
//! All locks are `flock(2)` advisory locks on files in the site's `cow` folder, so that `flock(1)`, PHP's `flock()` and
//! a crash do what one expects of them. In the order in which they are taken, and in which nobody goes back:
//!
//! 1. `lifecycle.lock`, exclusive: [`Lifecycle`]. A server starts, or the storage is taken away.
//! 2. `prepare.gate` and `prepare.lock`, shared, and `locks/NAME.mutation`, exclusive: [`Preparation`]. A mutation of the
//!    branch NAME is being prepared; others are, too. What is of the whole site has the first two exclusively.
//! 3. `mutation.lock`, exclusive: [`Mutation`]. One mutation publishes at a time. Requests never touch it.
//! 4. `visit.lock`, exclusive: [`Visit`]. The server has it while it visits a branch to make it ready, for a second at most,
//!    and a writer before it closes the gate, so that a visit never is what a writer at the gate waits for.
//! 5. `operations.gate`: exclusive for as long as a writer waits for 6 and has it, shared for the instant in which a command
//!    takes 6, and a request that finds in 6 that a writer waits. It is what makes the writer's turn come: on its own, flock
//!    lets new shared holders overtake a waiting exclusive one for ever.
//! 6. `operations.lock`: shared by each request from before its branch is looked up until nothing more of it can run
//!    ([`RequestLocks`]), exclusive while a mutation publishes widely ([`Publish`]).
//! 7. `locks/NAME.gate` and 8. `locks/NAME.lock`, the same two for one branch ([`SharedBranch`]): a mutation that publishes
//!    beside requests of other branches has `operations.lock` shared, and these exclusively. Who needs those of several
//!    branches at once never keeps one while it waits for another.
//!
//! [`Publish`] can only be had from a [`Mutation`], and what is out of order all the same fails at once with
//! [`LockError::OutOfOrder`]. A waiting writer holds the gate for [`GATE_HOLD`] at most and then lets requests pass, so
//! a request that calls its own site can never deadlock behind it; a [`LoopbackToken`] lets such a call pass at once.
//!
//! flock has no timeout, so waits poll: the pause doubles from 50 microseconds to 2 milliseconds. Every guard unlocks
//! explicitly, and only in the process that took it, since a forked child shares the open file description.

mod branch;
mod file;
mod gated;
mod holder;
mod loopback;
mod mutation;
pub mod note;
mod order;
mod publish;
mod request;
mod shared;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

pub use branch::{BranchFiles, SharedBranch};
pub use file::{Generation, generation};
pub use holder::{Busy, Holder, holders};
pub use loopback::LoopbackToken;
pub use mutation::{GATE_HOLD, Lifecycle, Mutation, Patience, Preparation, Unprepared, Visit};
pub use publish::{Publish, Tries};
pub use request::{KeptFiles, RequestLocks};
pub use shared::{GateProbe, OperationsFiles, SharedOperations};

/// Why a lock was not taken. Nothing is held then that was not held before.
#[derive(Debug, Error)]
pub enum LockError {
    /// The lock file can't be opened or made.
    #[error("cannot open the lock file {path}")]
    Open {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The lock file is open but can't be locked, read or written.
    #[error("cannot lock {path}")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others kept the lock until the deadline.
    #[error("{0}")]
    Timeout(Busy),
    /// The thread holds this lock, or one that comes after it in the order, already.
    #[error("{path} was asked for out of order: this thread holds a lock that comes after it")]
    OutOfOrder {
        /// The lock file.
        path: PathBuf,
    },
}
