//! Lists in which the order of what is added does not matter: what the source added or removed is added or removed.

use std::collections::HashSet;

use super::format::read;
use super::tree::{Member, Shape, Value};
use super::{Outcome, Side, Sides, number, whole};

/// Merges sets: arrays with numbers as keys by their values, others by their keys, of which the target's values stay.
/// What is no array is merged as a whole.
pub(super) fn merge(sides: Sides<&[u8]>, prefer: Option<Side>) -> Outcome {
    let merged = || {
        let (format, source) = read(sides.source)?;
        let (target_format, target) = read(sides.target)?;
        let base = sides.base.map(|base| read(base).ok_or(())).transpose().ok()?.map(|(_, base)| base);
        (format == target_format).then_some(())?;
        let counted = |value| elements(value, true);
        match (base.as_ref().map_or(Some(Vec::new()), counted), counted(&source), counted(&target)) {
            (Some(base), Some(source), Some(target)) => {
                let elements = changed(&base, &source, target);
                Some(format.list(elements.into_iter().map(|(_, value)| value.to_vec())))
            }
            _ => {
                let named = |value| elements(value, false);
                let base = base.as_ref().map_or(Some(Vec::new()), named)?;
                let elements = changed(&base, &named(&source)?, named(&target)?);
                Some(format.map(elements.into_iter().map(|(key, value)| (key, value.to_vec()))))
            }
        }
    };
    merged().map_or_else(|| whole(sides, prefer), Outcome::Merged)
}

/// Whether all keys are numbers: then it is the values that are in a set.
pub(super) fn is_counted(members: &[Member<'_>]) -> bool {
    members.iter().all(|member| number(&member.name).is_some())
}

/// What tells an element apart, its key or its value, and its value, as they are written.
type Element<'v> = (&'v [u8], &'v [u8]);

/// The elements of an array: told apart by their values where all keys are numbers, or by their keys.
fn elements<'v>(value: &'v Value<'_>, by_value: bool) -> Option<Vec<Element<'v>>> {
    match &value.shape {
        Shape::List(values) if by_value => Some(values.iter().map(|value| (value.written, value.written)).collect()),
        Shape::Map(members) if by_value => {
            let element = |member: &'v Member<'_>| (member.value.written, member.value.written);
            is_counted(members).then(|| members.iter().map(element).collect())
        }
        _ => Some(value.members()?.iter().map(|member| (member.key, member.value.written)).collect()),
    }
}

/// The target's elements without what the source removed, then what the source added.
fn changed<'v>(base: &[Element<'v>], source: &[Element<'v>], target: Vec<Element<'v>>) -> Vec<Element<'v>> {
    let known = |elements: &[Element<'v>]| elements.iter().map(|(key, _)| *key).collect::<HashSet<_>>();
    let (in_base, in_source, in_target) = (known(base), known(source), known(&target));
    let is_kept = |(key, _): &Element<'v>| !in_base.contains(key) || in_source.contains(key);
    let is_new = |(key, _): &&Element<'v>| !in_base.contains(key) && !in_target.contains(key);
    let mut elements: Vec<_> = target.into_iter().filter(is_kept).collect();
    elements.extend(source.iter().filter(is_new));
    elements
}
