//! What the places of the page look like. Each is a function from what is to be shown to HTML.

pub mod act;
pub mod branch;
pub mod broken;
pub mod changes;
pub mod frame;
pub mod jobs;
pub mod log;
pub mod merge;
pub mod now;
pub mod overview;
pub mod pages;
pub mod refused;
mod sides;
pub mod sign_in;
pub mod text;
pub mod words;
