//! Things that people know as one: a post with its metadata, its comments and its categories.
//!
//! Where one side removed or trashed such a thing and the other changed it or what it owns, that is one conflict, and
//! not one for each row. The same where both sides made different things with one number. The answer is for all rows that
//! belong to the thing.

use std::collections::{HashMap, HashSet};

use super::super::conflict_id::{Conflict, ConflictKind};
use super::super::rules::ValuePlace;
use super::super::value::How;
use super::super::{Cell, Row, Side, Sides, Value};
use super::tables::{MergedTable, text};
use super::{After, Asking, Merge, MergedRow, PlanError, Take};

/// An object of a site in the database.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ObjectRef {
    /// Its number in the rules.
    object: usize,
    prefix: String,
    key: Value,
}

/// The number of a table, and that of a row in it.
pub(super) type At = (usize, usize);

/// An object about which there may be a conflict.
struct Suspect {
    object: ObjectRef,
    at: At,
    /// Whether both sides made it; else one removed it.
    is_two: bool,
    /// All rows that are not the same and belong to it, with its own.
    members: Vec<At>,
}

/// Whether the source and the target removed or trashed an object.
#[derive(Clone, Copy, Default)]
struct Gone {
    source: bool,
    target: bool,
}

/// To which objects rows belong.
#[derive(Default)]
pub(super) struct Belonging {
    /// The rows of objects that are not the same.
    rows: HashMap<ObjectRef, At>,
    /// The objects that own one.
    owners: HashMap<ObjectRef, Vec<ObjectRef>>,
}

impl Merge<'_> {
    /// Finds the objects in conflict, and decides all their rows.
    pub(super) fn decide_objects(&mut self, asking: &mut Asking<'_>) -> Result<(), PlanError> {
        let (mut suspects, gone) = self.suspects();
        if suspects.is_empty() {
            return Ok(());
        }
        let mut belonging = self.belonging();
        let numbers: HashMap<ObjectRef, usize> =
            suspects.iter().enumerate().map(|(number, suspect)| (suspect.object.clone(), number)).collect();
        let mut owners = HashMap::new();
        for (at, row) in self.rows_with_numbers() {
            let objects = belonging.of(self, &self.tables.list[at.0], row)?;
            for object in &objects {
                if let Some(number) = numbers.get(object) {
                    suspects[*number].members.push(at);
                }
            }
            if objects.iter().any(|object| numbers.contains_key(object)) {
                owners.insert(at, objects);
            }
        }
        let is_in_conflict: Vec<bool> =
            suspects.iter().map(|suspect| suspect.is_two || self.is_touched(suspect, &gone, &owners)).collect();
        for (number, suspect) in suspects.iter().enumerate() {
            let is_inside = |(other, outer): (usize, &Suspect)| {
                other != number && is_in_conflict[other] && outer.members.contains(&suspect.at)
            };
            if is_in_conflict[number] && !suspects.iter().enumerate().any(is_inside) {
                let take = asking.ask(self.conflict_of(suspect))?;
                for at in &suspect.members {
                    self.take(*at, take.as_ref())?;
                }
            }
        }
        Ok(())
    }

    fn rows_with_numbers(&self) -> impl Iterator<Item = (At, &MergedRow)> {
        self.tables.list.iter().enumerate().flat_map(|(number, table)| {
            table.rows.iter().enumerate().map(move |(row_number, row)| ((number, row_number), row))
        })
    }

    /// The rows of objects that are not the same.
    pub(super) fn belonging(&self) -> Belonging {
        let mut belonging = Belonging::default();
        for (at, row) in self.rows_with_numbers() {
            for object in self.own(&self.tables.list[at.0], row) {
                belonging.rows.insert(object, at);
            }
        }
        belonging
    }

    /// The objects that a row itself is.
    pub(super) fn own(&self, table: &MergedTable<'_>, row: &MergedRow) -> Vec<ObjectRef> {
        let key = |column: &str| {
            let column = table.column(column)?;
            row.rows.as_ref().array().into_iter().flatten().next()?[column].clone()
        };
        let objects = self.rules.objects.iter().enumerate().filter(|(_, object)| object.table == table.local);
        objects
            .filter_map(|(number, object)| {
                Some(ObjectRef { object: number, prefix: table.prefix.clone(), key: key(&object.key)? })
            })
            .collect()
    }

    /// All objects that one side removed, or that both made.
    fn suspects(&self) -> (Vec<Suspect>, HashMap<ObjectRef, Gone>) {
        let (mut suspects, mut gone) = (Vec::new(), HashMap::new());
        for (at, row) in self.rows_with_numbers() {
            let table = &self.tables.list[at.0];
            for object in self.own(table, row) {
                let trash = self.rules.objects[object.object].trash.as_ref();
                let is_trashed = |row: &Row| {
                    trash.is_some_and(|(column, value)| text(row, table.column(column)) == value.as_bytes())
                };
                let Sides { base, source, target } = row.rows.as_ref().map(Option::as_ref);
                let is_gone = |side: Option<&Row>| {
                    base.is_some_and(|base| side.is_none_or(|side| is_trashed(side) && !is_trashed(base)))
                };
                let of = Gone { source: is_gone(source), target: is_gone(target) };
                let is_two = base.is_none() && self.is_two(table, row);
                if is_two || of.source || of.target {
                    gone.insert(object.clone(), of);
                    // A copy of an older state, which nobody edits.
                    if !is_revision(table, row) {
                        suspects.push(Suspect { object, at, is_two, members: Vec::new() });
                    }
                }
            }
        }
        (suspects, gone)
    }

    /// Whether a row that is new on the source's side is another thing in the target.
    pub(super) fn is_two(&self, table: &MergedTable<'_>, row: &MergedRow) -> bool {
        match (&row.rows.source, &row.rows.target) {
            (Some(source), Some(target)) => self.is_material(table, source, target),
            // The target's is noise, but no noise that both had.
            (Some(_), None) => row.stored.is_some() && !row.was_stored,
            (None, _) => false,
        }
    }

    /// Whether the side that did not remove an object changed it, or what it owns.
    fn is_touched(
        &self,
        suspect: &Suspect,
        gone: &HashMap<ObjectRef, Gone>,
        owners: &HashMap<At, Vec<ObjectRef>>,
    ) -> bool {
        let side = match gone[&suspect.object] {
            Gone { source: true, target: false } => Side::Ours,
            Gone { source: false, target: true } => Side::Theirs,
            _ => return false,
        };
        suspect.members.iter().any(|at| {
            let (table, row) = (&self.tables.list[at.0], &self.tables.list[at.0].rows[at.1]);
            let base = row.rows.base.as_ref();
            let (own, other) = match side {
                Side::Ours => (row.rows.target.as_ref(), row.rows.source.as_ref()),
                Side::Theirs => (row.rows.source.as_ref(), row.rows.target.as_ref()),
            };
            let is_material = |one: &Row, other: &Row| self.is_material(table, one, other);
            if is_revision(table, row) {
                return false;
            }
            match (base, own) {
                (None, Some(own)) => other.is_none_or(|other| is_material(own, other)),
                (Some(base), Some(own)) => is_material(base, own) && other.is_none_or(|other| is_material(own, other)),
                // What went because something else did is no change of this.
                (Some(_), None) => {
                    let went = |object: &ObjectRef| {
                        *object != suspect.object
                            && gone.get(object).is_some_and(|gone| match side {
                                Side::Ours => gone.target,
                                Side::Theirs => gone.source,
                            })
                    };
                    other.is_some() && !owners[at].iter().any(went)
                }
                (None, None) => false,
            }
        })
    }

    fn conflict_of(&self, suspect: &Suspect) -> Conflict {
        let at = |at: &At| {
            let table = &self.tables.list[at.0];
            (table, &table.rows[at.1])
        };
        let (table, row) = at(&suspect.at);
        let kind = if suspect.is_two { ConflictKind::Id } else { ConflictKind::Object };
        let others = suspect.members.iter().filter(|member| **member != suspect.at).map(at);
        let differing = others.filter(|(_, row)| row.rows.source != row.rows.target);
        let inside =
            differing.map(|(table, row)| (table.place(row, None), row.rows.as_ref().map(Option::as_ref))).collect();
        let mut sides = row.rows.clone();
        if sides.target.is_none() && suspect.is_two {
            sides.target.clone_from(&row.stored);
        }
        Conflict::with_inside(kind, table.place(row, None), sides, inside).of_rows(&table.layout.columns)
    }

    /// Decides a row that belongs to an object in conflict. Without an answer, nothing becomes of it.
    pub(super) fn take(&mut self, at: At, take: Option<&Take>) -> Result<(), PlanError> {
        let row = &self.tables.list[at.0].rows[at.1];
        if row.is_decided {
            return Ok(());
        }
        let taken = match take {
            Some(Take::Theirs) => Some(&row.rows.source),
            Some(Take::Base) => Some(&row.rows.base),
            _ => None,
        };
        let after = match taken {
            None => After::Stored,
            Some(None) => After::Gone,
            Some(Some(row)) => self.put(at, row.clone())?,
        };
        let row = &mut self.tables.list[at.0].rows[at.1];
        row.after = after;
        row.is_decided = true;
        Ok(())
    }

    /// What is noise goes with the object that it belongs to.
    pub(super) fn sweep(&mut self) {
        let belonging = self.belonging();
        let is_gone = |object: &ObjectRef| {
            let at = belonging.rows.get(object);
            at.is_some_and(|at| self.tables.list[at.0].rows[at.1].after == After::Gone)
        };
        let mut swept = Vec::new();
        for (number, table) in self.tables.list.iter().enumerate() {
            for row in &table.noise {
                let cell = |name: &str| row[table.column(name)?].clone();
                if owning(self, &table.local, &table.prefix, cell).iter().any(is_gone) {
                    swept.push((number, row.clone()));
                }
            }
        }
        for (number, row) in swept {
            let row = MergedRow { stored: Some(row), after: After::Gone, ..MergedRow::default() };
            self.tables.list[number].rows.push(row);
        }
    }

    /// Whether two rows differ in more than what is noise, counts other rows, or follows from them.
    pub(super) fn is_material(&self, table: &MergedTable<'_>, one: &Row, other: &Row) -> bool {
        let is_empty = |cell: &Cell| match cell {
            None | Some(Value::Null | Value::Integer(0)) => true,
            Some(Value::Text(text)) => text.is_empty(),
            _ => false,
        };
        (0..one.len()).any(|column| {
            // A column that one side has not is there with nothing in it.
            let is_absent = one[column].is_none() || other[column].is_none();
            one[column] != other[column]
                && !(is_absent && is_empty(&one[column]) && is_empty(&other[column]))
                && !table.stamped.contains(&column)
                && matches!(
                    self.rules
                        .how(&ValuePlace { column: &table.layout.columns[column], ..table.rule_place(one, column) }),
                    How::Set | How::Cron | How::ByKey { .. }
                )
        })
    }
}

/// Whether a row is a post as it once was.
pub(super) fn is_revision(table: &MergedTable<'_>, row: &MergedRow) -> bool {
    let kind = |row: &Row| text(row, table.column("post_type")) == b"revision";
    table.local == "posts" && row.rows.as_ref().array().into_iter().flatten().all(kind)
}

impl Belonging {
    /// All objects that a row is or belongs to, on whichever side.
    pub(super) fn of(
        &mut self,
        merge: &Merge<'_>,
        table: &MergedTable<'_>,
        row: &MergedRow,
    ) -> Result<Vec<ObjectRef>, PlanError> {
        let mut open = merge.own(table, row);
        for row in row.rows.as_ref().array().into_iter().flatten() {
            open.extend(owning(merge, &table.local, &table.prefix, |name| row[table.column(name)?].clone()));
        }
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        while let Some(object) = open.pop() {
            if seen.insert(object.clone()) {
                open.extend(self.owners(merge, &object)?);
                found.push(object);
            }
        }
        Ok(found)
    }

    /// The objects that own an object directly.
    fn owners(&mut self, merge: &Merge<'_>, object: &ObjectRef) -> Result<Vec<ObjectRef>, PlanError> {
        let rule = &merge.rules.objects[object.object];
        let all = merge.rules.objects.iter().flat_map(|object| &*object.owned);
        let by: Vec<_> = all.filter(|owned| owned.table == rule.table).collect();
        if by.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(known) = self.owners.get(object) {
            return Ok(known.clone());
        }
        let mut owners = Vec::new();
        if let Some(at) = self.rows.get(object) {
            let table = &merge.tables.list[at.0];
            for row in table.rows[at.1].rows.as_ref().array().into_iter().flatten() {
                owners.extend(owning(merge, &table.local, &table.prefix, |name| row[table.column(name)?].clone()));
            }
        } else {
            // It is the same on all sides that have it.
            let names: Vec<&str> = by
                .iter()
                .flat_map(|owned| [Some(&*owned.by), owned.only.as_ref().map(|(column, _)| &**column)])
                .flatten()
                .collect();
            let table = format!("{}{}", object.prefix, rule.table);
            for lookup in merge.lookups.array() {
                if let Some(row) = lookup.row(&table, &names, &[(&rule.key, &object.key)])? {
                    let cell = |name: &str| row[names.iter().position(|other| *other == name)?].clone();
                    owners.extend(owning(merge, &rule.table, &object.prefix, cell));
                    break;
                }
            }
        }
        self.owners.insert(object.clone(), owners.clone());
        Ok(owners)
    }
}

/// The objects that own a row of a table, by what it has in its columns.
fn owning(merge: &Merge<'_>, local: &str, prefix: &str, cell: impl Fn(&str) -> Cell) -> Vec<ObjectRef> {
    let mut owners = Vec::new();
    for (number, object) in merge.rules.objects.iter().enumerate() {
        for owned in object.owned.iter().filter(|owned| owned.table == local) {
            let fits = owned.only.as_ref().is_none_or(|(column, value)| cell(column) == Some(Value::text(value)));
            if let (true, Some(key)) = (fits, cell(&owned.by)) {
                owners.push(ObjectRef { object: number, prefix: prefix.to_owned(), key });
            }
        }
    }
    owners
}
