//! Trees of files: looking at one, finding what changed in it, and cloning it.

mod clone;
mod diff;
mod walk;

pub(crate) use clone::{clone_to_all, clone_tree, retake, retake_in_use};
pub(crate) use diff::count_changes;
pub(crate) use walk::{Entry, Kind, TICK, Tree, is_racy};
