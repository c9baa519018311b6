//! One value that two branches have: what it is once they are merged. Pure: nothing here looks at a database.
//!
//! [`rules`](super::rules) say how a value is merged, by the place where it stands; [`merge`] does it. The *source*
//! comes home into the *target*, and the *base* is what both had. Whether a row is there at all is decided elsewhere:
//! here both have one.
//!
//! What one side alone changed is taken with all its bytes. Serialized PHP and JSON are one tree ([`tree::Value`]) of
//! pieces that stay as they are written. Only a map in which both changed something is written anew, with its length,
//! and so is the length of each serialized text that it stands in.
//!
//! Values are compared by their bytes, never as the database compares: that would miss a change of case. Who compares
//! values of branches with other hosts says in [`Ways`] what else counts as the same inside of a structure, and compares
//! whole values before.
//!
//! One value are, and a conflict where both sides changed them: lists, objects of PHP, structures nested deeper than
//! [`MAX_DEPTH`](crate::structure::MAX_DEPTH), and structures of PHP with a reference anywhere.

mod cron;
mod format;
mod json;
mod keys;
mod php;
mod set;
pub(crate) mod shown;
mod tree;

use super::Side;

/// Whether a text is a structure or a text of serialized PHP: who changes something in it has to change its lengths, too.
pub(crate) fn is_php_structure(text: &[u8]) -> bool {
    matches!(text, [b'a' | b's' | b'O' | b'C' | b'E', b':', b'0'..=b'9', .., b'}' | b';'])
}

/// How a value is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// What the target has stays.
    Target,
    /// Made from other things: what both made anew stays as the target has it.
    Derived,
    /// What was there, what either added, without what either removed.
    Set,
    /// WordPress's schedule.
    Cron,
    /// The target's number and what the source added to it. To be counted again where WordPress can.
    Counter,
    /// The later of two times. Also for columns that the database sets at each update, which only the schema tells.
    Later,
    /// Dropped where the source changed it: WordPress makes it again.
    Remade,
    /// Maps by their keys, so many levels deep; all else as a whole.
    ByKey { levels: usize },
}

/// What is beside the rule when values are merged.
#[derive(Clone, Copy)]
pub(crate) struct Ways<'a> {
    /// Whose value is taken where both changed the same; none if that is a conflict.
    pub(crate) prefer: Option<Side>,
    /// Whether two written values are the same thing.
    pub(crate) is_same: &'a dyn Fn(&[u8], &[u8]) -> bool,
}

impl Ways<'_> {
    /// Values are the same by their bytes, and what both changed is a conflict.
    #[cfg(test)]
    pub(crate) const PLAIN: Ways<'static> = Ways { prefer: None, is_same: &|one, other| one == other };
}

/// What the three sides have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sides<T> {
    /// What both had; none where both made it since.
    pub(crate) base: Option<T>,
    pub(crate) source: T,
    pub(crate) target: T,
}

/// The keys that lead from a value to one inside of it; none for the value itself.
pub(crate) type Path = Vec<Vec<u8>>;

/// What comes of a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Merged(Vec<u8>),
    /// The target is to be without it: WordPress makes it again.
    Remade,
    /// Both changed the same in different ways, in each of these places. There is at least one.
    Conflict(Vec<Path>),
}

/// Merges the three values of one cell, as texts: the digits of a number.
///
/// Whether the source changed anything worth telling shows where the target is the base: then what is merged differs
/// from it.
pub(crate) fn merge(how: How, sides: Sides<&[u8]>, ways: Ways<'_>) -> Outcome {
    let Sides { base, source, target } = sides;
    match how {
        How::Target => Outcome::Merged(target.into()),
        How::Later => Outcome::Merged(later(source, target).into()),
        How::Counter => counter(sides, ways.prefer),
        _ if base == Some(source) || source == target => Outcome::Merged(target.into()),
        How::Remade => Outcome::Remade,
        // Before what only the source changed is taken: that may be nothing but times.
        How::Cron => cron::merge(sides, ways.prefer),
        _ if base == Some(target) => Outcome::Merged(source.into()),
        How::Derived => Outcome::Merged(target.into()),
        How::Set => set::merge(sides, ways.prefer),
        How::ByKey { levels } => keys::merge(sides, levels, ways),
    }
}

/// Merges values that have nothing in them to be merged.
fn whole(sides: Sides<&[u8]>, prefer: Option<Side>) -> Outcome {
    let Sides { base, source, target } = sides;
    if base == Some(source) || source == target {
        return Outcome::Merged(target.into());
    }
    match prefer {
        _ if base == Some(target) => Outcome::Merged(source.into()),
        Some(Side::Theirs) => Outcome::Merged(source.into()),
        Some(Side::Ours) => Outcome::Merged(target.into()),
        None => Outcome::Conflict(vec![Path::new()]),
    }
}

/// The later of two times: as WordPress writes them, or seconds.
fn later<'a>(source: &'a [u8], target: &'a [u8]) -> &'a [u8] {
    let is_later = number(source).zip(number(target)).map_or(source > target, |(source, target)| source > target);
    if is_later { source } else { target }
}

/// What the source counted is counted in the target as well. Both may have the same number, of different things.
fn counter(sides: Sides<&[u8]>, prefer: Option<Side>) -> Outcome {
    let Sides { base, source, target } = sides;
    let sum = || number(target)?.checked_add(number(source)?.checked_sub(number(base?)?)?);
    sum().map_or_else(|| whole(sides, prefer), |sum| Outcome::Merged(sum.max(0).to_string().into()))
}

/// The integer that a text is, where it is written as PHP and SQLite write it.
fn number(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}

#[cfg(test)]
pub(super) mod tests;
