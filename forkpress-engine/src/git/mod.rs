//! A site through Git: each branch is a ref of a bare repository, and a push to it is a mutation.
//!
//! Git is a view and a transport. The branch's folder is the truth. A ref is brought up to date from it when somebody
//! asks for refs, and what is in the repository can be rebuilt from the folders.

pub mod changes;
mod dump;
pub mod http;
pub(crate) mod known;
pub(crate) mod merge;
pub(crate) mod objects;
pub mod overlay;
pub mod parting;
pub(crate) mod paths;
pub mod push;
pub mod receive;
pub mod redact;
pub mod repository;
pub mod snapshot;
#[cfg(test)]
mod testing;
pub(crate) mod view;
