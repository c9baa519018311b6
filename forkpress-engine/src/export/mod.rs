//! Takes a branch out.

mod charset;
mod create;
pub mod dump;
mod literal;
mod plugins;
mod schema;
