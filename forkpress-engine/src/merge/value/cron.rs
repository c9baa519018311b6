//! WordPress's schedule: events by the time at which they are next due.
//!
//! Each page view may run events and so change the times. An event is told apart by its hook and its arguments; which
//! events there are, and how often they recur, is what a person or a plugin decided.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::format::{Format, read};
use super::tree::{Member, Value};
use super::{Outcome, Side, Sides, number, php, whole};

/// Adds and removes the events that the source added and removed. Those that both have are due when the target says.
pub(super) fn merge(sides: Sides<&[u8]>, prefer: Option<Side>) -> Outcome {
    let read = |side| read(side).filter(|(format, _)| *format == Format::Php).map(|(_, value)| value);
    let merged = || {
        let (source, target) = (read(sides.source)?, read(sides.target)?);
        let base = sides.base.map(|base| read(base).ok_or(())).transpose().ok()?;
        let base = base.as_ref().map_or(Some(Schedule::default()), Schedule::of)?;
        Some(Schedule::of(&target)?.with(&base, &Schedule::of(&source)?, prefer))
    };
    merged().unwrap_or_else(|| whole(sides, prefer))
}

/// The events in the order of their times, and what else the option has: the number of its version.
#[derive(Default)]
struct Schedule<'v> {
    events: Vec<Event<'v>>,
    rest: Vec<&'v Member<'v>>,
}

/// An event that is due once.
#[derive(Clone, Copy)]
struct Event<'v> {
    time: i64,
    hook: &'v [u8],
    /// A hash of the arguments.
    arguments: &'v [u8],
    /// The arguments, and how often it recurs.
    written: &'v [u8],
}

/// What an event is told apart by: its hook and its arguments.
type Identity<'v> = (&'v [u8], &'v [u8]);

impl<'v> Event<'v> {
    fn identity(&self) -> Identity<'v> {
        (self.hook, self.arguments)
    }
}

impl<'v> Schedule<'v> {
    fn of(value: &'v Value<'v>) -> Option<Self> {
        let mut schedule = Self::default();
        for member in value.members()? {
            let Some(time) = number(&member.name) else {
                schedule.rest.push(member);
                continue;
            };
            for hook in member.value.members()? {
                for event in hook.value.members()? {
                    let (hook, arguments, written) = (&*hook.name, &*event.name, event.value.written);
                    schedule.events.push(Event { time, hook, arguments, written });
                }
            }
        }
        Some(schedule)
    }

    /// The arguments of each event, and how often it recurs.
    fn by_identity(&self) -> HashMap<Identity<'v>, &'v [u8]> {
        self.events.iter().map(|event| (event.identity(), event.written)).collect()
    }

    fn with(mut self, base: &Self, source: &Self, prefer: Option<Side>) -> Outcome {
        let (before, here, there) = (base.by_identity(), source.by_identity(), self.by_identity());
        let (mut added, mut changed, mut conflicts) = (HashSet::new(), HashMap::new(), BTreeSet::new());
        for identity in before.keys().chain(here.keys()) {
            let [before, here, there] = [&before, &here, &there].map(|events| events.get(identity).copied());
            if here == before || here == there {
                continue;
            }
            if there != before && prefer != Some(Side::Theirs) {
                if prefer.is_none() {
                    conflicts.insert(vec![identity.0.to_vec(), identity.1.to_vec()]);
                }
            } else if there.is_none() {
                added.insert(*identity);
            } else {
                changed.insert(*identity, here);
            }
        }
        if !conflicts.is_empty() {
            return Outcome::Conflict(conflicts.into_iter().collect());
        }
        self.events.retain_mut(|event| match changed.get(&event.identity()) {
            Some(Some(written)) => {
                event.written = written;
                true
            }
            Some(None) => false,
            None => true,
        });
        self.events.extend(source.events.iter().filter(|event| added.contains(&event.identity())));
        // WordPress stops looking at the first time that is yet to come.
        self.events.sort_by_key(|event| event.time);
        Outcome::Merged(self.written())
    }

    fn written(&self) -> Vec<u8> {
        let mut members = Vec::new();
        for events in self.events.chunk_by(|one, other| one.time == other.time) {
            let mut hooks: Vec<&[u8]> = Vec::new();
            events.iter().for_each(|event| {
                if !hooks.contains(&event.hook) {
                    hooks.push(event.hook);
                }
            });
            let hooks: Vec<_> = hooks
                .into_iter()
                .map(|hook| {
                    let events = events.iter().filter(|event| event.hook == hook);
                    (
                        php::key(hook),
                        array(events.map(|event| (php::key(event.arguments), event.written.to_vec())).collect()),
                    )
                })
                .collect();
            members.push((php::key(events[0].time.to_string().as_bytes()), array(hooks)));
        }
        members.extend(self.rest.iter().map(|member| (member.key.to_vec(), member.value.written.to_vec())));
        array(members)
    }
}

/// An array of members: how each one's key and its value are written.
fn array(members: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<u8> {
    let (keys, values): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    php::map(keys.iter().map(|key| &key[..]).zip(values))
}
