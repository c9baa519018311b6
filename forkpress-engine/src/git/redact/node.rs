//! The values of a structure: serialized PHP or JSON.

use std::borrow::Cow;
use std::ops::Range;

/// Deeper nesting is not walked through, nor are texts in texts beyond that.
pub(super) const MAX_DEPTH: usize = 64;

/// One value in a structure. Those inside of it follow.
#[derive(Debug)]
pub(super) struct Node<'a> {
    /// What it is called in the one that it is in; none where it is counted.
    pub(super) key: Option<Key<'a>>,
    pub(super) item: Item<'a>,
    /// Where it is.
    pub(super) range: Range<usize>,
    /// The number of the first node that is not inside of it.
    pub(super) end: usize,
}

/// A key, and where it is.
#[derive(Debug)]
pub(super) struct Key<'a> {
    pub(super) name: Cow<'a, [u8]>,
    pub(super) range: Range<usize>,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Item<'a> {
    Text(Cow<'a, [u8]>),
    /// A number, a truth value, null, an enum's case: as it is written.
    Scalar(&'a [u8]),
    /// An array or an object.
    Group,
    /// What an object writes of itself.
    Opaque(&'a [u8]),
    /// Another value of the same structure.
    Reference,
}
