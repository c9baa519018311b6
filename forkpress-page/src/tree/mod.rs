//! The branches as a tree over time: where each stands in the drawing. Pure.
//!
//! Each branch has a lane. Time goes from left to right, one column for each thing that happened. A branch stands below the one
//! that it parted from, and of those that parted from one, the last comes first: so no line goes down through the beginning of
//! another. The label of a lane stands in a band of its own above its line.

mod svg;

use std::collections::{BTreeMap, BTreeSet};

use forkpress_core::name::BranchName;

use crate::facts::{BranchFacts, Happened, Operation};

pub use svg::draw;

/// The width of the drawing.
pub const WIDTH: u32 = 760;

/// What stays free at its sides.
const MARGIN: u32 = 10;

/// The height of a lane, with its label.
const LANE: u32 = 34;

/// Where the first lane begins: below the times.
const TOP: u32 = 26;

/// More columns there are not: what happened before stands at the left edge.
const MOST_COLUMNS: usize = 60;

/// The farthest that columns are apart.
const WIDEST_COLUMN: u32 = 64;

/// How far times are apart.
const TIMES_APART: u32 = 130;

/// How wide a letter of a label is at most.
const LETTER: u32 = 8;

/// A drawing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Drawing {
    /// Its height.
    pub height: u32,
    /// The branches, from the top.
    pub lanes: Vec<Lane>,
    /// Where branches part, and what goes from one to another: the lanes by their numbers.
    pub links: Vec<Link>,
    /// What happened on a lane.
    pub marks: Vec<Mark>,
    /// The times below columns: seconds since 1970.
    pub times: Vec<(u32, u64)>,
}

/// A branch in a drawing.
#[derive(Debug, PartialEq, Eq)]
pub struct Lane {
    /// Its name.
    pub name: BranchName,
    /// Where its line is.
    pub y: u32,
    /// From where.
    pub from_x: u32,
    /// To where.
    pub to_x: u32,
    /// Whether it is there today.
    pub is_there: bool,
    /// Where its label begins.
    pub label_x: u32,
}

/// A line from one lane to another.
#[derive(Debug, PartialEq, Eq)]
pub struct Link {
    /// What it means.
    pub kind: LinkKind,
    /// Where it is.
    pub x: u32,
    /// The lane that it comes from.
    pub from: usize,
    /// The lane that it goes to.
    pub to: usize,
    /// Whether that was taken back.
    pub is_undone: bool,
}

/// What a line from one lane to another means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// A branch parts.
    Parting,
    /// What a branch changed comes to another.
    Merge,
    /// A branch becomes what another is.
    Reset,
}

/// What happened on a lane.
#[derive(Debug, PartialEq, Eq)]
pub struct Mark {
    /// The lane.
    pub lane: usize,
    /// Where.
    pub x: u32,
    /// What.
    pub operation: Operation,
    /// The number of the operation, and its words.
    pub words: String,
    /// Whether it was taken back.
    pub is_undone: bool,
}

/// A moment: seconds since 1970, and the number of the operation, as several may be in one second.
type Moment = (u64, u64);

/// A branch, before it has its place.
struct Stem<'a> {
    name: &'a BranchName,
    parent: Option<&'a BranchName>,
    /// When it began; none: before all that is known.
    began: Option<Moment>,
    /// When it was deleted.
    ended: Option<Moment>,
}

/// Lays out the branches that are asked for, and those that they came from and that were merged into them. `operations`: newest
/// first.
#[must_use]
pub fn lay_out(branches: &[BranchFacts], shown: &[&BranchName], operations: &[Happened]) -> Drawing {
    let stems = stems(branches, shown, operations);
    let order = order(&stems);
    let lanes: BTreeMap<&BranchName, usize> =
        order.iter().enumerate().map(|(lane, stem)| (stems[*stem].name, lane)).collect();
    let told: Vec<&Happened> =
        operations.iter().filter(|one| one.names.iter().any(|name| lanes.contains_key(name))).collect();
    let columns = Columns::of(
        told.iter().map(|one| (one.at, one.id)).chain(stems.iter().flat_map(|stem| [stem.began, stem.ended]).flatten()),
    );
    let mut drawing = Drawing {
        height: TOP + LANE * u32::try_from(order.len()).unwrap_or(u32::MAX / LANE / 2) + 8,
        times: columns.times(),
        ..Drawing::default()
    };
    for (number, stem) in order.iter().map(|stem| &stems[*stem]).enumerate() {
        let y = TOP + LANE * (u32::try_from(number).unwrap_or_default() + 1) - 8;
        let from_x = stem.began.map_or(MARGIN, |began| columns.x(began));
        let to_x = stem.ended.map_or(columns.end(), |ended| columns.x(ended));
        let width = u32::try_from(stem.name.as_str().len()).unwrap_or_default() * LETTER;
        let label_x = from_x.min((WIDTH - MARGIN).saturating_sub(width)).max(MARGIN);
        let is_there = stem.ended.is_none();
        drawing.lanes.push(Lane { name: stem.name.clone(), y, from_x, to_x, is_there, label_x });
        if let (Some(parent), Some(began)) = (stem.parent.and_then(|parent| lanes.get(parent)), stem.began)
            && columns.has(began)
        {
            let link = Link { kind: LinkKind::Parting, x: from_x, from: *parent, to: number, is_undone: false };
            drawing.links.push(link);
        }
    }
    for one in told.iter().rev().filter(|one| columns.has((one.at, one.id))) {
        let x = columns.x((one.at, one.id));
        let is_undone = one.undone_by.is_some();
        for lane in one.names.iter().filter_map(|name| lanes.get(name)) {
            let kind = match one.operation {
                Operation::Merge => Some(LinkKind::Merge),
                Operation::Reset => Some(LinkKind::Reset),
                _ => None,
            };
            if let (Some(kind), Some(from)) = (kind, one.from.as_ref().and_then(|from| lanes.get(from))) {
                drawing.links.push(Link { kind, x, from: *from, to: *lane, is_undone });
            }
            let words = format!("{}: {}", one.id, one.words);
            drawing.marks.push(Mark { lane: *lane, x, operation: one.operation, words, is_undone });
        }
    }
    drawing
}

fn stems<'a>(branches: &'a [BranchFacts], shown: &[&'a BranchName], operations: &'a [Happened]) -> Vec<Stem<'a>> {
    let known: BTreeMap<&BranchName, &BranchFacts> = branches.iter().map(|branch| (&branch.name, branch)).collect();
    let mut stems = BTreeMap::new();
    let mut to_do: Vec<&BranchName> = shown.to_vec();
    let mut merged = BTreeSet::new();
    for one in operations.iter().filter(|one| one.operation == Operation::Merge) {
        merged.extend(one.from.as_ref().filter(|_| one.names.iter().any(|name| shown.contains(&name))));
    }
    to_do.extend(merged);
    while let Some(name) = to_do.pop() {
        if stems.contains_key(name) {
            continue;
        }
        let mut made = operations.iter().filter(|one| one.operation == Operation::Create && one.names.contains(name));
        let made = made.next();
        let is_reset = operations.iter().any(|one| one.operation == Operation::Reset && one.names.contains(name));
        let began = made.map(|one| (one.at, one.id));
        let stem = match (known.get(name), made) {
            (Some(_), Some(made)) => Stem { name, parent: made.from.as_ref(), began, ended: None },
            (Some(facts), None) => {
                // What its record says is of the reset, then.
                let began = facts.from.as_ref().filter(|_| !is_reset).map(|_| (facts.at, 0));
                Stem { name, parent: facts.from.as_ref(), began, ended: None }
            }
            (None, made) => {
                let is_end = |one: &&Happened| one.names.contains(name) && one.operation != Operation::Merge;
                let ended = operations.iter().find(is_end).map(|one| (one.at, one.id));
                Stem {
                    name,
                    parent: made.and_then(|made| made.from.as_ref()),
                    began,
                    ended: Some(ended.unwrap_or((0, 0))),
                }
            }
        };
        to_do.extend(stem.parent.filter(|parent| known.contains_key(parent)));
        stems.insert(name, stem);
    }
    stems.into_values().collect()
}

/// The stems from the top: each above those that parted from it.
fn order(stems: &[Stem<'_>]) -> Vec<usize> {
    let number: BTreeMap<&BranchName, usize> =
        stems.iter().enumerate().map(|(number, stem)| (stem.name, number)).collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); stems.len()];
    let mut roots = Vec::new();
    for (child, stem) in stems.iter().enumerate() {
        match stem.parent.and_then(|parent| number.get(parent)) {
            Some(parent) if *parent != child => children[*parent].push(child),
            _ => roots.push(child),
        }
    }
    // The first to be drawn is the last on the stack.
    let first_last = |one: &usize, other: &usize| (stems[*one].began, one).cmp(&(stems[*other].began, other));
    children.iter_mut().for_each(|children| children.sort_by(first_last));
    roots.sort_by_key(|root| (stems[*root].name.is_main(), std::cmp::Reverse(*root)));
    // Two that were reset to each other have no root: each is one, then.
    let mut stack: Vec<usize> = (0..stems.len()).rev().chain(roots).collect();
    let mut placed = vec![false; stems.len()];
    let mut order = Vec::with_capacity(stems.len());
    while let Some(next) = stack.pop() {
        if !std::mem::replace(&mut placed[next], true) {
            order.push(next);
            stack.extend(&children[next]);
        }
    }
    order
}

/// Where moments are.
struct Columns {
    moments: Vec<Moment>,
    apart: u32,
}

impl Columns {
    fn of(moments: impl Iterator<Item = Moment>) -> Self {
        let all: BTreeSet<Moment> = moments.filter(|moment| *moment != (0, 0)).collect();
        let moments: Vec<Moment> = all.into_iter().rev().take(MOST_COLUMNS).rev().collect();
        let count = u32::try_from(moments.len()).unwrap_or_default() + 2;
        Self { moments, apart: ((WIDTH - 2 * MARGIN) / count).min(WIDEST_COLUMN) }
    }

    fn has(&self, moment: Moment) -> bool {
        self.moments.binary_search(&moment).is_ok()
    }

    /// Where a moment is; one that is not there was before all of them.
    fn x(&self, moment: Moment) -> u32 {
        let column = self.moments.binary_search(&moment).map_or(0, |column| column + 1);
        MARGIN + self.apart * u32::try_from(column).unwrap_or_default()
    }

    /// Where today is.
    fn end(&self) -> u32 {
        MARGIN + self.apart * (u32::try_from(self.moments.len()).unwrap_or_default() + 1)
    }

    fn times(&self) -> Vec<(u32, u64)> {
        let mut times: Vec<(u32, u64)> = Vec::new();
        for moment in &self.moments {
            let x = self.x(*moment);
            if times.last().is_none_or(|(last, _)| x - last >= TIMES_APART) && x + TIMES_APART <= WIDTH {
                times.push((x, moment.0));
            }
        }
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::samples::{branch, happened, name};

    fn all(branches: &[BranchFacts], operations: &[Happened]) -> Drawing {
        let shown: Vec<&BranchName> = branches.iter().map(|branch| &branch.name).collect();
        lay_out(branches, &shown, operations)
    }

    fn names(drawing: &Drawing) -> Vec<&str> {
        drawing.lanes.iter().map(|lane| lane.name.as_str()).collect()
    }

    /// Whether any two labels have a point in common, or one is cut off.
    fn assert_labels_stand_apart(drawing: &Drawing) {
        let boxes: Vec<_> = drawing
            .lanes
            .iter()
            .map(|lane| {
                let width = u32::try_from(lane.name.as_str().len()).unwrap() * LETTER;
                assert!(lane.label_x + width <= WIDTH, "{lane:?}");
                assert!(lane.y + 4 <= drawing.height && lane.y > TOP, "{lane:?}");
                (lane.y - 20, lane.y - 4)
            })
            .collect();
        for (number, one) in boxes.iter().enumerate() {
            assert!(one.0 >= TOP - 4, "a label stands below the times");
            for other in &boxes[number + 1..] {
                assert!(one.1 <= other.0 || other.1 <= one.0, "{one:?} {other:?}");
            }
        }
        for pair in drawing.times.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= TIMES_APART);
        }
        assert!(drawing.times.iter().all(|(x, _)| x + TIMES_APART <= WIDTH));
    }

    #[test]
    fn a_branch_stands_below_its_parent_and_the_last_to_part_comes_first() {
        let branches = [
            branch("main", None, 1),
            branch("a", Some("main"), 100),
            branch("b", Some("main"), 300),
            branch("c", Some("a"), 200),
        ];
        let drawing = all(&branches, &[]);
        assert_eq!(names(&drawing), ["main", "b", "a", "c"]);
        let partings: Vec<_> = drawing.links.iter().map(|link| (link.from, link.to)).collect();
        assert_eq!(partings, [(0, 1), (0, 2), (2, 3)]);
        assert!(drawing.lanes[2].from_x < drawing.lanes[3].from_x && drawing.lanes[3].from_x < drawing.lanes[1].from_x);
        assert!(drawing.lanes.iter().all(|lane| lane.to_x == drawing.lanes[0].to_x && lane.is_there));
        assert_labels_stand_apart(&drawing);
    }

    #[test]
    fn a_line_down_to_a_branch_crosses_the_beginning_of_no_other() {
        // b1 comes before those that part from it.
        let at = |n: u64| if n == 1 { 1 } else { 2 + n * 7919 % 1009 };
        let branches: Vec<_> = std::iter::once(branch("main", None, 0))
            .chain((1..40).map(|n| branch(&format!("b{n}"), Some(if n % 3 == 0 { "b1" } else { "main" }), at(n))))
            .collect();
        let drawing = all(&branches, &[]);
        for link in &drawing.links {
            for lane in &drawing.lanes[link.from + 1..link.to] {
                assert!(lane.from_x >= link.x, "{link:?} {lane:?}");
            }
        }
    }

    #[test]
    fn merges_resets_and_undos_are_drawn() {
        let branches = [branch("main", None, 1), branch("a", Some("main"), 1)];
        let mut undone = happened(3, Operation::Reset, "a", Some("main"));
        undone.undone_by = Some(4);
        let mut undo = happened(4, Operation::Undo, "a", None);
        undo.undoes = Some(3);
        let operations = [
            undo,
            undone,
            happened(2, Operation::Merge, "main", Some("a")),
            happened(1, Operation::Create, "a", Some("main")),
        ];
        let drawing = all(&branches, &operations);
        let links: Vec<_> = drawing.links.iter().map(|link| (link.kind, link.from, link.to, link.is_undone)).collect();
        assert_eq!(
            links,
            [(LinkKind::Parting, 0, 1, false), (LinkKind::Merge, 1, 0, false), (LinkKind::Reset, 0, 1, true)]
        );
        let marks: Vec<_> = drawing.marks.iter().map(|mark| (mark.lane, mark.operation, mark.is_undone)).collect();
        use Operation::{Create, Merge, Reset, Undo};
        assert_eq!(marks, [(1, Create, false), (0, Merge, false), (1, Reset, true), (1, Undo, false)]);
        assert!(drawing.marks.windows(2).all(|pair| pair[0].x < pair[1].x));
        assert_eq!(drawing.lanes[1].from_x, drawing.marks[0].x, "it begins where it was made");
    }

    #[test]
    fn a_branch_that_is_gone_is_there_for_what_it_gave() {
        let branches = [branch("main", None, 1)];
        let operations = [
            happened(5, Operation::Delete, "unseen", None),
            happened(3, Operation::Delete, "gone", None),
            happened(2, Operation::Merge, "main", Some("gone")),
            happened(1, Operation::Create, "gone", Some("main")),
        ];
        let drawing = all(&branches, &operations);
        assert_eq!(names(&drawing), ["main", "gone"]);
        let gone = &drawing.lanes[1];
        assert!(!gone.is_there && gone.from_x < gone.to_x && gone.to_x < drawing.lanes[0].to_x, "{gone:?}");
    }

    #[test]
    fn only_what_is_asked_for_is_drawn_with_what_it_came_from() {
        let branches = [
            branch("main", None, 1),
            branch("a", Some("main"), 2),
            branch("b", Some("a"), 3),
            branch("other", Some("main"), 4),
        ];
        assert_eq!(names(&lay_out(&branches, &[&name("b")], &[])), ["main", "a", "b"]);
    }

    #[test]
    fn two_that_were_reset_to_each_other_are_drawn_once_each() {
        let branches = [branch("main", None, 1), branch("a", Some("b"), 2), branch("b", Some("a"), 3)];
        let mut drawn = names(&all(&branches, &[])).into_iter().map(str::to_owned).collect::<Vec<_>>();
        drawn.sort();
        assert_eq!(drawn, ["a", "b", "main"]);
        assert_eq!(names(&all(&branches, &[]))[0], "main");
    }

    #[test]
    fn two_hundred_branches_with_long_names_have_room() {
        let branches: Vec<_> = std::iter::once(branch("main", None, 1))
            .chain((0..199).map(|n| branch(&format!("{n:0>63}"), Some("main"), 1_000_000 + n)))
            .collect();
        let operations: Vec<_> = (0..200)
            .rev()
            .map(|n| happened(n + 1, Operation::Merge, "main", Some(&format!("{:0>63}", n % 199))))
            .collect();
        let drawing = all(&branches, &operations);
        assert_eq!(drawing.lanes.len(), 200);
        assert_labels_stand_apart(&drawing);
        let columns: BTreeSet<u32> = drawing.marks.iter().map(|mark| mark.x).collect();
        assert!(columns.len() <= MOST_COLUMNS && columns.iter().all(|x| *x < WIDTH));
    }
}
