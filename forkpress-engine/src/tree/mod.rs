//! Trees of files: looking at one, finding what changed in it, and cloning it.

mod clone;
mod diff;
mod missed;
mod walk;
mod watch;

pub(crate) use clone::{clone_to_all, clone_tree, retake, retake_in_use, retake_until_whole};
pub(crate) use diff::{changed_paths, count_changes};
pub(crate) use missed::missed;
pub(crate) use walk::{Entry, Glimpse, Kind, TICK, Tree, is_racy, now};
pub(crate) use watch::{Listening, Watch};
