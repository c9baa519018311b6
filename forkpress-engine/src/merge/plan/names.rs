//! Names that two things can't share: slugs get a number, as WordPress gives them one, and the rest is a conflict.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::super::conflict_id::{Conflict, ConflictKind, TablePlace};
use super::super::rules::{USER_NAMES, is_by_code, is_first_post, is_one_of_a_name};
use super::super::{Row, Sides, Value};
use super::objects::At;
use super::tables::{MergedTable, Role, text};
use super::{After, Asking, Lookup, Merge, MergedRow, PlanError, Take};

/// The longest slug that WordPress stores.
const LONGEST_SLUG: usize = 200;

/// States of posts in which two may have one slug.
const WITHOUT_SLUG: [&[u8]; 3] = [b"draft", b"pending", b"auto-draft"];

/// A row that has a name already.
struct Holder {
    /// Its number in the list of rows, where it is not the same on all sides.
    at: Option<usize>,
    key: Value,
    row: Row,
}

impl Merge<'_> {
    /// Gives other slugs to what comes, where the target has them, and asks about names that can't be given otherwise.
    /// Gives back what a person should know.
    pub(super) fn settle_names(&mut self, asking: &mut Asking<'_>) -> Result<Vec<String>, PlanError> {
        let mut notes = Vec::new();
        for number in 0..self.tables.list.len() {
            match &*self.tables.list[number].local {
                "posts" => self.settle_posts(number, asking, &mut notes)?,
                "terms" => self.settle_terms(number, &mut notes)?,
                "users" => self.settle_users(number, asking)?,
                _ => {}
            }
            self.settle_unique(number, asking)?;
        }
        self.leave_out_unused_terms();
        Ok(notes)
    }

    /// The number of a table in the list.
    fn table_of(&self, prefix: &str, local: &str) -> Option<usize> {
        self.tables.list.iter().position(|table| table.prefix == prefix && table.local == local)
    }

    /// The rows of the target that have a name, once everything else is merged: but for the row itself. Names are compared
    /// as the table does, so without their case.
    fn holders(
        &self,
        table: &MergedTable<'_>,
        numbers: &HashMap<Value, usize>,
        own: &Value,
        column: usize,
        name: &Value,
    ) -> Result<Vec<Holder>, PlanError> {
        let columns: Vec<&str> = table.layout.columns.iter().map(String::as_str).collect();
        let by = [(columns[column], name)];
        let mut holders = Vec::new();
        for row in self.lookups.target.rows(&table.folded(), &columns, &by)? {
            let Some(key) = row[0].clone() else { continue };
            let at = numbers.get(&key).copied();
            let row = match at.map(|at| &table.rows[at].after) {
                Some(After::Gone) => continue,
                Some(After::Row(after)) => after.clone(),
                _ => row,
            };
            let has_it = match (&row[column], name) {
                (Some(Value::Text(one)), Value::Text(other)) => one.eq_ignore_ascii_case(other),
                (one, other) => one.as_ref() == Some(other),
            };
            if key != *own && has_it {
                holders.push(Holder { at, key, row });
            }
        }
        Ok(holders)
    }

    fn settle_posts(
        &mut self,
        number: usize,
        asking: &mut Asking<'_>,
        notes: &mut Vec<String>,
    ) -> Result<(), PlanError> {
        let table = &self.tables.list[number];
        let (Some(name), Some(kind), Some(parent), Some(status)) = (
            table.column("post_name"),
            table.column("post_type"),
            table.column("post_parent"),
            table.column("post_status"),
        ) else {
            return Ok(());
        };
        let has_slug = |row: &Row| {
            let kind = text(row, Some(kind));
            !WITHOUT_SLUG.contains(&text(row, Some(status)))
                && kind != b"revision"
                && kind != b"user_request"
                && !text(row, Some(name)).is_empty()
        };
        let clashes = |own: &Row, other: &Row| {
            let [one, two] = [own, other].map(|row| text(row, Some(kind)));
            let is_nested = |row: &Row| !matches!(row[parent], None | Some(Value::Null | Value::Integer(0)));
            if one == b"attachment" {
                two != b"revision"
            } else if one == b"page" || is_nested(own) || is_nested(other) {
                (one == two || two == b"attachment") && own[parent] == other[parent]
            } else {
                one == two
            }
        };
        let numbers = numbers_of(table);
        let mut coming: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
        let mut touched = Vec::new();
        for (at, row) in table.rows.iter().enumerate() {
            let After::Row(after) = &row.after else { continue };
            coming.entry(text(after, Some(name)).to_ascii_lowercase()).or_default().push(at);
            let is_as_before = |stored: &Row| {
                has_slug(stored) && [name, kind, parent].iter().all(|column| stored[*column] == after[*column])
            };
            if has_slug(after) && !row.stored.as_ref().is_some_and(is_as_before) {
                touched.push(at);
            }
        }
        for at in touched {
            let table = &self.tables.list[number];
            let After::Row(after) = &table.rows[at].after else { continue };
            let (after, own) = (after.clone(), after[0].clone().unwrap_or(Value::Null));
            let wanted = text(&after, Some(name)).to_vec();
            let mut slug = wanted.clone();
            let mut taken_by = None;
            for suffix in 2.. {
                let holders = self.holders(table, &numbers, &own, name, &Value::Text(slug.clone()))?;
                let holder = holders.into_iter().find(|holder| clashes(&after, &holder.row));
                let is_coming = || {
                    let others = coming.get(&slug.to_ascii_lowercase()).into_iter().flatten();
                    others.filter(|other| **other != at).any(|other| match &table.rows[*other].after {
                        After::Row(other) => clashes(&after, other),
                        _ => false,
                    })
                };
                // What comes from the source has slugs of its own there: only a new one may be taken by it.
                if holder.is_none() && (slug == wanted || !is_coming()) {
                    break;
                }
                taken_by = taken_by.or(holder);
                slug = numbered(&wanted, suffix);
            }
            let Some(holder) = taken_by else { continue };
            if is_one_of_a_name(text(&after, Some(kind))) {
                if self.theme(&self.lookups.source, number, &own)?
                    == self.theme(&self.lookups.target, number, &holder.key)?
                {
                    self.settle_one_of_a_name((number, at), holder, name, asking)?;
                }
                continue;
            }
            let told = |row: &Row, column: &str| {
                String::from_utf8_lossy(text(row, self.tables.list[number].column(column))).into_owned()
            };
            notes.push(format!(
                "{} {} \"{}\" has the slug {}: {} is taken by {} {}",
                told(&after, "post_type"),
                shown(&own),
                told(&after, "post_title"),
                String::from_utf8_lossy(&slug),
                String::from_utf8_lossy(&wanted),
                told(&holder.row, "post_type"),
                shown(&holder.key),
            ));
            coming.entry(slug.to_ascii_lowercase()).or_default().push(at);
            if let After::Row(after) = &mut self.tables.list[number].rows[at].after {
                after[name] = Some(Value::Text(slug));
            }
        }
        Ok(())
    }

    /// The theme that a template is of; none where it is of none.
    fn theme(&self, lookup: &Lookup<'_>, posts: usize, post: &Value) -> Result<Option<Value>, PlanError> {
        let prefix = &self.tables.list[posts].prefix;
        let first = |row: Option<Row>| row.and_then(|row| row.into_iter().next().flatten());
        let relationships =
            lookup.rows(&format!("{prefix}term_relationships"), &["term_taxonomy_id"], &[("object_id", post)])?;
        for number in relationships.into_iter().flatten().flatten() {
            let theme = Value::text("wp_theme");
            let by = [("term_taxonomy_id", &number), ("taxonomy", &theme)];
            if let Some(term) = first(lookup.row(&format!("{prefix}term_taxonomy"), &["term_id"], &by)?) {
                return Ok(first(lookup.row(&format!("{prefix}terms"), &["slug"], &[("term_id", &term)])?));
            }
        }
        Ok(None)
    }

    /// A post of which WordPress knows one by its name: where nobody touched the target's, it makes place.
    fn settle_one_of_a_name(
        &mut self,
        at: At,
        holder: Holder,
        name: usize,
        asking: &mut Asking<'_>,
    ) -> Result<(), PlanError> {
        let table = &self.tables.list[at.0];
        let (kind, content) = (table.column("post_type"), table.column("post_content"));
        if is_first_post(text(&holder.row, kind), text(&holder.row, content)) {
            self.remove_stored(at.0, holder);
            return Ok(());
        }
        self.ask_name(at, holder, &[name], asking)
    }

    fn settle_users(&mut self, number: usize, asking: &mut Asking<'_>) -> Result<(), PlanError> {
        let numbers = numbers_of(&self.tables.list[number]);
        for at in 0..self.tables.list[number].rows.len() {
            for name in USER_NAMES {
                let table = &self.tables.list[number];
                let (Some(column), After::Row(after)) = (table.column(name), &table.rows[at].after) else { continue };
                let is_as_before = |stored: &Row| stored[column] == after[column];
                if table.rows[at].stored.as_ref().is_some_and(is_as_before) || text(after, Some(column)).is_empty() {
                    continue;
                }
                let (own, value) = (after[0].clone().unwrap_or(Value::Null), after[column].clone());
                let value = value.unwrap_or(Value::Null);
                if let Some(holder) = self.holders(table, &numbers, &own, column, &value)?.into_iter().next() {
                    self.ask_name((number, at), holder, &[column], asking)?;
                }
            }
        }
        Ok(())
    }

    /// Other names that a table's indexes allow once: options that differ in their case, what plugins have.
    fn settle_unique(&mut self, number: usize, asking: &mut Asking<'_>) -> Result<(), PlanError> {
        let table = &self.tables.list[number];
        let Some(becomes) = table.becomes.filter(|_| table.layout.key_columns > 0 && !table.is_replaced) else {
            return Ok(());
        };
        if !table.rows.iter().any(|row| matches!(row.after, After::Row(_))) {
            return Ok(());
        }
        for index in self.unique(&becomes.name)? {
            let table = &self.tables.list[number];
            let columns: Option<Vec<usize>> = index.iter().map(|name| table.column(name)).collect();
            let Some(columns) = columns else { continue };
            for at in 0..self.tables.list[number].rows.len() {
                let table = &self.tables.list[number];
                let row = &table.rows[at];
                let After::Row(after) = &row.after else { continue };
                let values: Option<Vec<Value>> = columns.iter().map(|column| after[*column].clone()).collect();
                let is_as_before = |stored: &Row| columns.iter().all(|column| stored[*column] == after[*column]);
                let Some(values) = values.filter(|values| !values.contains(&Value::Null)) else { continue };
                if row.stored.as_ref().is_some_and(is_as_before) {
                    continue;
                }
                if let Some(holder) = self.unique_holder(table, row, &columns, &values)? {
                    self.ask_name((number, at), holder, &columns, asking)?;
                }
            }
        }
        Ok(())
    }

    /// The columns of each unique index of a table of the target, but for a key that is the row's number.
    fn unique(&self, table: &str) -> Result<Vec<Vec<String>>, PlanError> {
        let connection = self.lookups.target.connection;
        let mut indexes = connection
            .prepare_cached("SELECT name FROM pragma_index_list(?) WHERE \"unique\" AND NOT partial ORDER BY name")?;
        let mut columns = connection.prepare_cached("SELECT name FROM pragma_index_info(?) ORDER BY seqno")?;
        let names: Vec<String> = indexes.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut found = Vec::new();
        for name in names {
            // A column without a name is an expression.
            let list: Vec<Option<String>> = columns.query_map([&name], |row| row.get(0))?.collect::<Result<_, _>>()?;
            found.extend(list.into_iter().collect::<Option<Vec<_>>>());
        }
        Ok(found)
    }

    /// A row of the target that has the same in all these columns once everything else is merged.
    fn unique_holder(
        &self,
        table: &MergedTable<'_>,
        own: &MergedRow,
        columns: &[usize],
        values: &[Value],
    ) -> Result<Option<Holder>, PlanError> {
        let names: Vec<&str> = table.layout.columns.iter().map(String::as_str).collect();
        let by: Vec<_> = columns.iter().zip(values).map(|(column, value)| (names[*column], value)).collect();
        let key_columns = table.layout.key_columns;
        let is_key = |one: &Row, other: &Row| one[..key_columns] == other[..key_columns];
        for row in self.lookups.target.rows(&table.folded(), &names, &by)? {
            if own.stored.as_ref().is_some_and(|stored| is_key(stored, &row)) {
                continue;
            }
            let is_it = |other: &MergedRow| other.stored.as_ref().is_some_and(|stored| is_key(stored, &row));
            let at = table.rows.iter().position(is_it);
            let leaves = match at.map(|at| &table.rows[at].after) {
                Some(After::Gone) => true,
                Some(After::Row(after)) => columns.iter().any(|column| after[*column] != row[*column]),
                _ => false,
            };
            if !leaves && let Some(key) = row[0].clone() {
                return Ok(Some(Holder { at, key, row }));
            }
        }
        Ok(None)
    }

    /// A conflict about a name that a row of the source and another one of the target have.
    fn ask_name(
        &mut self,
        at: At,
        holder: Holder,
        columns: &[usize],
        asking: &mut Asking<'_>,
    ) -> Result<(), PlanError> {
        let table = &self.tables.list[at.0];
        let row = &table.rows[at.1];
        let column = <[usize; 1]>::try_from(columns).ok().map(|[column]| column);
        let key = table.key(&holder.row);
        let other = TablePlace { table: table.layout.table.clone(), key, column: None };
        let sides =
            Sides { base: row.rows.base.clone(), source: row.rows.source.clone(), target: Some(holder.row.clone()) };
        let inside = vec![(other, Sides { base: None, source: None, target: Some(&holder.row) })];
        let conflict = Conflict::with_inside(ConflictKind::Name, table.place(row, column), sides, inside);
        let conflict = conflict.of_rows(&table.layout.columns);
        let take = asking.ask(conflict)?;
        if matches!(take, Some(Take::Ours | Take::Base)) {
            self.withdraw(at, columns)?;
        }
        if matches!(take, Some(Take::Theirs | Take::Base)) {
            self.give_up(at.0, holder, columns)?;
        }
        Ok(())
    }

    /// What the source did to have a name is not done: the thing is not brought, or keeps the name that it has.
    fn withdraw(&mut self, at: At, columns: &[usize]) -> Result<(), PlanError> {
        let row = &mut self.tables.list[at.0].rows[at.1];
        if let (After::Row(after), Some(stored)) = (&mut row.after, &row.stored) {
            columns.iter().for_each(|column| after[*column].clone_from(&stored[*column]));
            return Ok(());
        }
        for member in self.belonging_to(at)? {
            let row = &mut self.tables.list[member.0].rows[member.1];
            if row.stored.is_none() {
                row.after = After::Stored;
            }
        }
        Ok(())
    }

    /// What the target did to have a name is undone: the thing goes, or gets the name back that it had.
    fn give_up(&mut self, number: usize, holder: Holder, columns: &[usize]) -> Result<(), PlanError> {
        let Some(at) = holder.at else {
            self.remove_stored(number, holder);
            return Ok(());
        };
        let row = &mut self.tables.list[number].rows[at];
        if let Some(base) = &row.rows.base {
            let mut after = holder.row;
            columns.iter().for_each(|column| after[*column].clone_from(&base[*column]));
            row.after = After::Row(after);
            return Ok(());
        }
        for member in self.belonging_to((number, at))? {
            let row = &mut self.tables.list[member.0].rows[member.1];
            if row.rows.base.is_none() && row.rows.source.is_none() {
                row.after = After::Gone;
            }
        }
        Ok(())
    }

    /// A row of the target goes that is the same on all sides, or noise.
    fn remove_stored(&mut self, number: usize, holder: Holder) {
        let rows = &mut self.tables.list[number].rows;
        match holder.at {
            Some(at) => rows[at].after = After::Gone,
            None => rows.push(MergedRow { stored: Some(holder.row), after: After::Gone, ..MergedRow::default() }),
        }
    }

    /// A row, and all that belongs to the object that it is.
    fn belonging_to(&self, at: At) -> Result<Vec<At>, PlanError> {
        let own: HashSet<_> =
            self.own(&self.tables.list[at.0], &self.tables.list[at.0].rows[at.1]).into_iter().collect();
        let mut belonging = self.belonging();
        let mut members = vec![at];
        for (number, table) in self.tables.list.iter().enumerate() {
            for (row_number, row) in table.rows.iter().enumerate() {
                let objects = belonging.of(self, table, row)?;
                if (number, row_number) != at && objects.iter().any(|object| own.contains(object)) {
                    members.push((number, row_number));
                }
            }
        }
        Ok(members)
    }

    fn settle_terms(&mut self, number: usize, notes: &mut Vec<String>) -> Result<(), PlanError> {
        let table = &self.tables.list[number];
        let Some(slug_column) = table.column("slug") else { return Ok(()) };
        let (prefix, numbers) = (table.prefix.clone(), numbers_of(table));
        let mut given: HashSet<Vec<u8>> = HashSet::new();
        for at in 0..self.tables.list[number].rows.len() {
            let table = &self.tables.list[number];
            let row = &table.rows[at];
            let After::Row(after) = &row.after else { continue };
            let (after, own) = (after.clone(), after[0].clone().unwrap_or(Value::Null));
            let wanted = text(&after, Some(slug_column)).to_vec();
            let is_as_before = |stored: &Row| stored[slug_column] == after[slug_column];
            if wanted.is_empty() || row.stored.as_ref().is_some_and(is_as_before) {
                continue;
            }
            let is_new = row.stored.is_none();
            let taxonomies: Vec<Value> = self.taxonomies(&self.lookups.source, &prefix, &own)?;
            // Of each name that was tried, who has it in one of the taxonomies of this term.
            let holder = |slug: &[u8]| -> Result<Option<(Holder, Value)>, PlanError> {
                let name = Value::Text(slug.to_vec());
                for holder in self.holders(table, &numbers, &own, slug_column, &name)? {
                    let theirs = self.taxonomies(&self.lookups.target, &prefix, &holder.key)?;
                    if let Some(taxonomy) = theirs.into_iter().find(|taxonomy| taxonomies.contains(taxonomy)) {
                        return Ok(Some((holder, taxonomy)));
                    }
                }
                Ok(None)
            };
            let Some((taken_by, taxonomy)) = holder(&wanted)? else { continue };
            let Value::Text(taxonomy_name) = &taxonomy else { continue };
            if is_new && is_by_code(taxonomy_name) {
                self.use_the_targets_term((number, at), &own, &taken_by.key, &taxonomy)?;
                continue;
            }
            let mut suffix = 2;
            let mut slug = numbered(&wanted, suffix);
            while given.contains(&slug) || holder(&slug)?.is_some() {
                suffix += 1;
                slug = numbered(&wanted, suffix);
            }
            let told = |column: &str| String::from_utf8_lossy(text(&after, table.column(column))).into_owned();
            notes.push(format!(
                "{} {} \"{}\" has the slug {}: {} is taken by {} {}",
                String::from_utf8_lossy(taxonomy_name),
                shown(&own),
                told("name"),
                String::from_utf8_lossy(&slug),
                String::from_utf8_lossy(&wanted),
                String::from_utf8_lossy(taxonomy_name),
                shown(&taken_by.key),
            ));
            given.insert(slug.clone());
            if let After::Row(after) = &mut self.tables.list[number].rows[at].after {
                after[slug_column] = Some(Value::Text(slug));
            }
        }
        Ok(())
    }

    /// The taxonomies that a term is in.
    fn taxonomies(&self, lookup: &Lookup<'_>, prefix: &str, term: &Value) -> Result<Vec<Value>, PlanError> {
        let found = lookup.rows(&format!("{prefix}term_taxonomy"), &["taxonomy"], &[("term_id", term)])?;
        Ok(found.into_iter().flatten().flatten().collect())
    }

    /// What is in a term of the source's goes into the one that the target has under its name.
    fn use_the_targets_term(&mut self, at: At, own: &Value, theirs: &Value, taxonomy: &Value) -> Result<(), PlanError> {
        let prefix = self.tables.list[at.0].prefix.clone();
        let number_of = |lookup: &Lookup<'_>, term: &Value| -> Result<Option<Value>, PlanError> {
            let by = [("term_id", term), ("taxonomy", taxonomy)];
            let row = lookup.row(&format!("{prefix}term_taxonomy"), &["term_taxonomy_id"], &by)?;
            Ok(row.and_then(|row| row.into_iter().next().flatten()))
        };
        let from = number_of(&self.lookups.source, own)?;
        let Some((from, to)) = from.zip(number_of(&self.lookups.target, theirs)?) else { return Ok(()) };
        let members = self.belonging_to(at)?;
        let relationships = self.table_of(&prefix, "term_relationships");
        for member in members {
            let After::Row(mut after) = std::mem::take(&mut self.tables.list[member.0].rows[member.1].after) else {
                continue;
            };
            if Some(member.0) != relationships {
                continue;
            }
            let table = &self.tables.list[member.0];
            let (Some(object), Some(term)) = (table.column("object_id"), table.column("term_taxonomy_id")) else {
                continue;
            };
            if after[term].as_ref() != Some(&from) {
                continue;
            }
            after[term] = Some(to.clone());
            let object = after[object].clone().unwrap_or(Value::Null);
            let by = [("object_id", &object), ("term_taxonomy_id", &to)];
            if self.lookups.target.row(&table.folded(), &["object_id"], &by)?.is_none() {
                self.tables.list[member.0].rows[member.1].after = After::Row(after);
            }
        }
        Ok(())
    }

    /// Terms that code makes at a look come only with what is in them.
    fn leave_out_unused_terms(&mut self) {
        let prefixes: BTreeSet<String> = self.tables.list.iter().map(|table| table.prefix.clone()).collect();
        for prefix in prefixes {
            let Some(taxonomies) = self.table_of(&prefix, "term_taxonomy") else { continue };
            let rows_after = |number: Option<usize>| {
                let rows = number.map(|number| &self.tables.list[number].rows).into_iter().flatten();
                rows.filter_map(|row| if let After::Row(after) = &row.after { Some(after) } else { None })
            };
            let relationships = self.table_of(&prefix, "term_relationships");
            let in_use: HashSet<Value> = {
                let column = relationships.and_then(|number| self.tables.list[number].column("term_taxonomy_id"));
                rows_after(relationships).filter_map(|row| row[column?].clone()).collect()
            };
            let table = &self.tables.list[taxonomies];
            let (Some(taxonomy), Some(term)) = (table.column("taxonomy"), table.column("term_id")) else { continue };
            let mut unused = HashSet::new();
            for (at, row) in table.rows.iter().enumerate() {
                if let (After::Row(after), None) = (&row.after, &row.stored)
                    && is_by_code(text(after, Some(taxonomy)))
                    && !after[0].as_ref().is_some_and(|number| in_use.contains(number))
                    && let Some(term) = after[term].clone()
                {
                    unused.insert((at, term));
                }
            }
            let terms = self.table_of(&prefix, "terms");
            for (at, term) in unused {
                self.tables.list[taxonomies].rows[at].after = After::Stored;
                for row in terms.map(|number| &mut self.tables.list[number].rows).into_iter().flatten() {
                    if matches!(&row.after, After::Row(after) if row.stored.is_none() && after[0].as_ref() == Some(&term))
                    {
                        row.after = After::Stored;
                    }
                }
            }
        }
    }
}

/// The rows of a table by their number, where they have one.
fn numbers_of(table: &MergedTable<'_>) -> HashMap<Value, usize> {
    debug_assert!(table.role == Role::Plain, "what has a name has a number");
    let number = |row: &MergedRow| {
        let row = row.rows.as_ref().array().into_iter().flatten().next().or(row.stored.as_ref());
        row.and_then(|row| row[0].clone())
    };
    table.rows.iter().enumerate().filter_map(|(at, row)| Some((number(row)?, at))).collect()
}

/// A slug with a number, cut to what WordPress stores.
fn numbered(slug: &[u8], suffix: u32) -> Vec<u8> {
    let suffix = format!("-{suffix}");
    let mut end = slug.len().min(LONGEST_SLUG - suffix.len());
    // No piece of a character, and of one that is written as %XX%XX none either.
    while end > 0
        && end < slug.len()
        && (slug[end] & 0xc0 == 0x80 || slug[..end].iter().rev().take(2).any(|byte| *byte == b'%'))
    {
        end -= 1;
    }
    [&slug[..end], suffix.as_bytes()].concat()
}

fn shown(key: &Value) -> String {
    match key {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    }
}
