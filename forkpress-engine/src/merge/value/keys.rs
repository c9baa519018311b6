//! Merging by key: what both sides changed in a map under different keys is all taken.

use std::collections::{HashMap, HashSet};

use super::format::{Format, read};
use super::tree::{Member, Shape, Value};
use super::{Outcome, Path, Side, Sides, Ways, whole};
use crate::structure::MAX_DEPTH;

/// Merges maps so many levels deep; what is further inside, and what is no map, is taken as a whole.
pub(super) fn merge(sides: Sides<&[u8]>, levels: usize, ways: Ways<'_>) -> Outcome {
    let mut merging = Merging { path: Path::new(), texts: 0, conflicts: Vec::new(), ways };
    match merging.text(sides, levels) {
        Some(merged) if merging.conflicts.is_empty() => Outcome::Merged(merged),
        Some(_) => Outcome::Conflict(merging.conflicts),
        None => whole(sides, ways.prefer),
    }
}

struct Merging<'w> {
    path: Path,
    /// How many texts that are structures the value is in.
    texts: usize,
    conflicts: Vec<Path>,
    ways: Ways<'w>,
}

impl Merging<'_> {
    /// Merges texts that are structures of one kind; none where they aren't, or have nothing to be merged in.
    fn text(&mut self, sides: Sides<&[u8]>, levels: usize) -> Option<Vec<u8>> {
        let (format, source) = read(sides.source)?;
        let (target_format, target) = read(sides.target)?;
        let base = sides.base.map(|base| read(base).ok_or(())).transpose().ok()?;
        let is_one = target_format == format && base.as_ref().is_none_or(|(base, _)| *base == format);
        is_one.then_some(())?;
        let sides = Sides { base: base.as_ref().map(|(_, base)| base), source: &source, target: &target };
        self.inside(format, sides, levels)
    }

    /// What a key has once it is merged, of what the base, the source and the target have; none where it is gone.
    fn value(
        &mut self,
        format: Format,
        [base, source, target]: [Option<&Value<'_>>; 3],
        levels: usize,
    ) -> Option<Vec<u8>> {
        let [in_base, in_source, in_target] = [base, source, target].map(|value| value.map(|value| value.written));
        let is_same = |one: Option<&[u8]>, other: Option<&[u8]>| match (one, other) {
            (Some(one), Some(other)) => (self.ways.is_same)(one, other),
            (one, other) => one == other,
        };
        if is_same(in_source, in_target) || is_same(in_source, in_base) {
            return in_target.map(<[u8]>::to_vec);
        }
        if is_same(in_target, in_base) {
            return in_source.map(<[u8]>::to_vec);
        }
        let merged = match (source, target) {
            (Some(source), Some(target)) => self.inside(format, Sides { base, source, target }, levels),
            _ => None,
        };
        match self.ways.prefer {
            _ if merged.is_some() => merged,
            Some(Side::Ours) => in_target.map(<[u8]>::to_vec),
            Some(Side::Theirs) => in_source.map(<[u8]>::to_vec),
            None => {
                self.conflicts.push(self.path.clone());
                None
            }
        }
    }

    /// Merges what is inside of values that all differ; none where that can't be.
    fn inside(&mut self, format: Format, sides: Sides<&Value<'_>>, levels: usize) -> Option<Vec<u8>> {
        let Sides { base, source, target } = sides;
        if let (Shape::Text(source), Shape::Text(target)) = (&source.shape, &target.shape) {
            let base = match base.map(|base| &base.shape) {
                Some(Shape::Text(base)) => Some(&**base),
                Some(_) => return None,
                None => None,
            };
            if self.path.len() + self.texts >= MAX_DEPTH {
                return None;
            }
            self.texts += 1;
            let merged = self.text(Sides { base, source, target }, levels);
            self.texts -= 1;
            return merged.map(|text| format.text(&text));
        }
        let (source, target) = (source.members()?, target.members()?);
        let base = base.map_or(Some(&[][..]), Value::members)?;
        if levels == 0 {
            return None;
        }
        let sides = [base, source, target];
        let members = sides.map(by_name);
        let mut merged = Vec::new();
        for name in order(sides)? {
            self.path.push(name.to_vec());
            let [base, source, target] = members.each_ref().map(|members| members.get(name).copied());
            let values = [base, source, target].map(|member| member.map(|member| &member.value));
            if let Some((member, value)) = target.or(source).zip(self.value(format, values, levels - 1)) {
                merged.push((member.key, value));
            }
            self.path.pop();
        }
        Some(format.map(merged.into_iter()))
    }
}

fn by_name<'m, 'v>(members: &'m [Member<'v>]) -> HashMap<&'m [u8], &'m Member<'v>> {
    members.iter().map(|member| (&*member.name, member)).collect()
}

/// The names of all members in the order that they get: the target's, unless only the source put what was there in
/// another order. What the other side alone has comes after what it follows there. None where both put what was there
/// in different orders.
fn order<'m>(sides: [&'m [Member<'_>]; 3]) -> Option<Vec<&'m [u8]>> {
    let sides = sides.map(|members| members.iter().map(|member| &*member.name).collect::<Vec<_>>());
    let sets = sides.each_ref().map(|names| names.iter().copied().collect::<HashSet<_>>());
    let common = |names: &Vec<&'m [u8]>| -> Vec<_> {
        names.iter().copied().filter(|name| sets.iter().all(|set| set.contains(name))).collect()
    };
    let [in_base, in_source, in_target] = sides.each_ref().map(common);
    let [_, source, target] = sides;
    let [_, source_names, target_names] = sets;
    let (mut names, leading, other, following) = if in_source == in_base || in_source == in_target {
        (target, target_names, source, source_names)
    } else if in_target == in_base {
        (source, source_names, target, target_names)
    } else {
        return None;
    };
    let mut at = 0;
    for name in other {
        if leading.contains(name) {
            // Mostly both have one order, and it is just ahead.
            let is_it = |placed: &&[u8]| *placed == name;
            at = names[at..].iter().position(is_it).map(|ahead| at + ahead).or_else(|| names.iter().position(is_it))?
                + 1;
            continue;
        }
        while names.get(at).is_some_and(|next| !following.contains(next)) {
            at += 1;
        }
        names.insert(at, name);
        at += 1;
    }
    Some(names)
}
