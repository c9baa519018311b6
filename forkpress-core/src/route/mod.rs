//! Finds what answers a request, by its host and path.
//!
//! [`parse`] is pure: it turns the host and the request target into a [`RequestTarget`], or refuses them. [`resolve`] looks
//! the target up on disk, under the shared lock, and decides what is sent. It opens, sends and runs nothing. A path
//! that either of them returns lies in the branch's folder, or in one that `site.toml` names as linked.

mod coding;
mod conditional;
mod encoded;
mod file;
mod host;
mod links;
mod lookup;
mod path;
mod policy;
mod refusal;
mod rewrite;
mod target;
mod version;

pub use coding::{AcceptedCodings, Coding};
pub use conditional::Conditions;
pub use encoded::{Encoded, Stored};
pub use file::{Body, Response};
pub use links::is_linkable;
pub use lookup::{Branches, Decision, Script, resolve, resolve_in};
pub use path::TargetPath;
pub use refusal::RouteRefusal;
pub use target::{RequestTarget, parse};
pub use version::FileVersion;
