//! One change of a text.

/// A piece of a text, and what is to stand there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Splice {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) with: Vec<u8>,
}
