//! Serialized PHP or JSON as a tree. Each piece keeps the bytes that it is written with.

use std::borrow::Cow;

/// A value, and how it is written.
#[derive(Debug)]
pub(super) struct Value<'a> {
    pub(super) written: &'a [u8],
    pub(super) shape: Shape<'a>,
}

/// What a value is to a merge.
#[derive(Debug)]
pub(super) enum Shape<'a> {
    /// A number, a truth value, null, an object of PHP: taken as a whole.
    Single,
    /// A text, which may be a structure itself.
    Text(Cow<'a, [u8]>),
    /// An array with the keys 0 to n in order, or of JSON; also an empty one.
    List(Vec<Value<'a>>),
    /// Any other array, or an object of JSON.
    Map(Vec<Member<'a>>),
}

/// A value in a map. No two have the same name.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// What it is called; a number in digits.
    pub(super) name: Cow<'a, [u8]>,
    /// How its key is written.
    pub(super) key: &'a [u8],
    pub(super) value: Value<'a>,
}

impl<'a> Value<'a> {
    /// The members of a map. An empty array may be one.
    pub(super) fn members(&self) -> Option<&[Member<'a>]> {
        match &self.shape {
            Shape::Map(members) => Some(members),
            Shape::List(values) if values.is_empty() => Some(&[]),
            _ => None,
        }
    }
}
