//! Values with values in them, as WordPress stores them: what PHP's `serialize()` writes, and JSON.
//!
//! Reading is forgiving about numbers, so that whatever may be a structure is looked into. Who writes structures checks
//! what they read. Each value knows where it stands, so that what isn't touched stays as it is written.

pub(crate) mod json;
mod node;
mod reader;
pub(crate) mod serialized;

pub(crate) use node::{Item, Key, MAX_DEPTH, Node, children};
