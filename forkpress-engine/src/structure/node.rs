//! The values of a structure: serialized PHP or JSON.

use std::borrow::Cow;
use std::ops::Range;

/// Deeper nesting is not walked through, nor are texts in texts beyond that.
pub(crate) const MAX_DEPTH: usize = 64;

/// One value in a structure. Those inside of it follow.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    /// What it is called in the one that it is in; none where it is counted.
    pub(crate) key: Option<Key<'a>>,
    pub(crate) item: Item<'a>,
    /// Where it is.
    pub(crate) range: Range<usize>,
    /// The number of the first node that is not inside of it.
    pub(crate) end: usize,
}

/// A key, and where it is.
#[derive(Debug)]
pub(crate) struct Key<'a> {
    pub(crate) name: Cow<'a, [u8]>,
    pub(crate) range: Range<usize>,
}

/// What a node is.
#[derive(Debug)]
pub(crate) enum Item<'a> {
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

/// The numbers of the nodes that a group has, but for those that are further inside.
pub(crate) fn children<'a>(nodes: &'a [Node<'_>], number: usize) -> impl Iterator<Item = usize> + use<'a> {
    let end = nodes[number].end;
    let is_inside = move |child: &usize| *child < end;
    std::iter::successors(Some(number + 1).filter(is_inside), move |child| Some(nodes[*child].end).filter(is_inside))
}
