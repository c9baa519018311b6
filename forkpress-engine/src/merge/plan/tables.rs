//! The tables of a merge: whose schema each has, and its rows that are not the same.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use rusqlite::Connection;

use super::super::conflict_id::{Conflict, ConflictKind, TablePlace};
use super::super::hosts::Hosts;
use super::super::pages::Differing;
use super::super::rows::{Found, Layout, RowChange, ScanError, SideTable, scan};
use super::super::rules::{self, Prefixes, Rules};
use super::super::schema::{self, Key, Schema, SchemaDecision, Table, quoted};
use super::super::{Change, Row, Sides, Value};
use super::{Asking, Lookup, Merge, MergedRow, PlanError, SchemaEdit, Take};

/// All tables that have rows which are not the same.
#[derive(Debug, Default)]
pub(super) struct Tables<'a> {
    pub(super) prefixes: Prefixes,
    pub(super) list: Vec<MergedTable<'a>>,
    /// Whether a post is noise, of the database and the table that it is in.
    noise_posts: RefCell<HashMap<(usize, String, Value), bool>>,
}

/// A table in which not all rows are the same.
#[derive(Debug)]
pub(super) struct MergedTable<'a> {
    pub(super) layout: Layout,
    /// The name in lower case: the site's prefix, and what comes after it.
    pub(super) prefix: String,
    pub(super) local: String,
    pub(super) role: Role,
    /// Which table the target has once it is merged; none only while conflicts are open.
    pub(super) becomes: Option<&'a Table>,
    pub(super) rows: Vec<MergedRow>,
    /// What the target has that is noise. It stays, unless what it belongs to goes.
    pub(super) noise: Vec<Row>,
    /// Of a table without a key: a row, and how many of it each side has.
    pub(super) copies: Vec<(Row, Sides<u64>)>,
    /// Columns that the database sets at each update.
    pub(super) stamped: Vec<usize>,
    /// Whether the target's own table makes place for the source's, with all its rows.
    pub(super) is_replaced: bool,
}

/// The numbers of the databases.
const ALL: Sides<Option<usize>> = Sides { base: Some(0), source: Some(1), target: Some(2) };

/// What the source has, into a table that is not there.
const NEW: Sides<Option<usize>> = Sides { base: None, source: Some(1), target: None };

/// What only one of them has changed: the other is as the base is.
const OF_SOURCE: Sides<Option<usize>> = Sides { base: Some(0), source: Some(1), target: Some(0) };
const OF_TARGET: Sides<Option<usize>> = Sides { base: Some(0), source: Some(2), target: Some(0) };

/// What rows of a table are told apart by, where it is not its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Plain,
    /// By the name, which is what the rows are matched by.
    Options {
        value: usize,
    },
    /// By the owner and the name.
    Meta {
        owner: usize,
        name: usize,
        value: usize,
    },
}

impl MergedTable<'_> {
    /// The name in lower case.
    pub(super) fn folded(&self) -> String {
        format!("{}{}", self.prefix, self.local)
    }

    /// The number of a column, given in lower case.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.layout.columns.iter().position(|column| column.eq_ignore_ascii_case(name))
    }

    /// Whether the target's table has a column once it is merged.
    pub(super) fn keeps(&self, column: usize) -> bool {
        let columns = self.becomes.map(|table| &table.columns[..]).unwrap_or_default();
        columns.iter().any(|own| own.name.eq_ignore_ascii_case(&self.layout.columns[column]))
    }

    /// The key of a row.
    pub(super) fn key(&self, row: &Row) -> Vec<Value> {
        row.iter().take(self.layout.key_columns).flatten().cloned().collect()
    }

    /// Where a row is: by its key in the base, the source or the target, the first that has it.
    pub(super) fn place(&self, row: &MergedRow, column: Option<usize>) -> TablePlace {
        let key = row.rows.as_ref().array().into_iter().flatten().next().or(row.stored.as_ref());
        TablePlace {
            table: self.layout.table.clone(),
            key: key.map(|row| self.key(row)).unwrap_or_default(),
            column: column.map(|column| self.layout.columns[column].clone()),
        }
    }

    /// The name of the value in a row: of an option, or of metadata.
    pub(super) fn name<'r>(&self, row: &'r Row) -> &'r [u8] {
        let name = match self.role {
            Role::Plain => return b"",
            Role::Options { .. } => 0,
            Role::Meta { name, .. } => name,
        };
        text(row, Some(name))
    }

    /// Where a value stands, to the rules.
    pub(super) fn rule_place<'r>(&'r self, row: &'r Row, column: usize) -> rules::ValuePlace<'r> {
        rules::ValuePlace { table: &self.local, column: &self.layout.columns[column], key: self.name(row) }
    }
}

/// The text in a column; empty where there is none.
pub(super) fn text(row: &Row, column: Option<usize>) -> &[u8] {
    match column.and_then(|column| row[column].as_ref()) {
        Some(Value::Text(text)) => text,
        _ => b"",
    }
}

impl<'a> Merge<'a> {
    pub(super) fn new(
        databases: Sides<&'a Connection>,
        schemas: &'a Sides<Schema>,
        differing: &'a Differing,
        rules: &'a Rules,
        hosts: &'a Hosts,
    ) -> Self {
        let lookups = Sides {
            base: Lookup { connection: databases.base, schema: &schemas.base },
            source: Lookup { connection: databases.source, schema: &schemas.source },
            target: Lookup { connection: databases.target, schema: &schemas.target },
        };
        let has_names = |table: &&Table| table.columns.iter().any(|column| column.name == "option_name");
        let tables = schemas.as_ref().array().into_iter().flat_map(|schema| &schema.tables);
        let options = tables.filter(|(_, table)| has_names(table)).map(|(name, _)| name.as_str());
        let tables = Tables { prefixes: Prefixes::of(options), ..Tables::default() };
        Self { rules, hosts, schemas, differing, lookups, tables }
    }

    /// Decides the schemas, and reads all rows that are not the same.
    pub(super) fn read(&mut self, asking: &mut Asking<'_>, edits: &mut Vec<SchemaEdit>) -> Result<(), PlanError> {
        let names: BTreeSet<&str> = self
            .schemas
            .as_ref()
            .array()
            .into_iter()
            .flat_map(|schema| schema.tables.keys().map(String::as_str))
            .collect();
        let mut left_out = BTreeSet::new();
        for table in &asking.answers.without_tables {
            let is_it = |name: &&&str| {
                name.eq_ignore_ascii_case(table) || self.tables.prefixes.split(name).1.eq_ignore_ascii_case(table)
            };
            let before = left_out.len();
            left_out.extend(names.iter().filter(is_it).copied());
            let is_again = || names.iter().any(|name| is_it(&name));
            if left_out.len() == before && !is_again() {
                return Err(PlanError::UnknownTable { table: table.clone() });
            }
        }
        for name in names.difference(&left_out) {
            self.read_table(name, asking, edits)?;
        }
        Ok(())
    }

    fn read_table(
        &mut self,
        name: &str,
        asking: &mut Asking<'_>,
        edits: &mut Vec<SchemaEdit>,
    ) -> Result<(), PlanError> {
        let tables = self.schemas.as_ref().map(|schema| schema.tables.get(name));
        let decision = schema::decide(tables);
        let table = tables.array().into_iter().flatten().next().expect("a side has it").name.clone();
        if let Sides { base: Some(_), source: None, target: Some(_) }
        | Sides { base: Some(_), source: Some(_), target: None } = tables
        {
            return self.read_dropped(name, tables, decision, asking, edits);
        }
        let is_asked = matches!(decision, SchemaDecision::Conflict(_));
        let is_alike = decision == SchemaDecision::Alike;
        let takes_source = match decision {
            SchemaDecision::Same | SchemaDecision::Target | SchemaDecision::Alike => false,
            SchemaDecision::Source => true,
            SchemaDecision::Conflict(conflict) => asking.ask(*conflict)? == Some(Take::Theirs),
        };
        let becomes = if takes_source { tables.source } else { tables.target };
        let take = SchemaEdit::Take { table: table.clone() };
        match self.scan(name, ALL) {
            Ok(found) => {
                if takes_source {
                    edits.push(take);
                }
                self.add(found, becomes);
            }
            Err(PlanError::Scan(ScanError::OtherKey { .. } | ScanError::OtherColumns { .. })) if is_alike => {
                // The base alone has other rows: what both have now is two things or one.
                let found = self.scan(name, Sides { base: None, ..ALL })?;
                self.add(found, becomes);
            }
            Err(PlanError::Scan(ScanError::OtherKey { .. } | ScanError::OtherColumns { .. })) => {
                let takes_source = match is_asked {
                    true => takes_source,
                    false => self.takes_whole(name, tables, takes_source, asking)?,
                };
                if takes_source {
                    if tables.target.is_some() {
                        edits.push(SchemaEdit::Drop { table });
                    }
                    edits.push(take);
                    let found = self.scan(name, NEW)?;
                    self.add(found.map(|found| MergedTable { is_replaced: true, ..found }), tables.source);
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Whether the source's table is taken where rows can't be matched: one side has another schema, and the other one
    /// must not have changed a row.
    fn takes_whole(
        &self,
        name: &str,
        tables: Sides<Option<&'a Table>>,
        takes_source: bool,
        asking: &mut Asking<'_>,
    ) -> Result<bool, PlanError> {
        let changed = self.scan(name, if takes_source { OF_TARGET } else { OF_SOURCE })?;
        match changed.filter(MergedTable::has_rows) {
            None => Ok(takes_source),
            Some(changed) => Ok(asking.ask(table_conflict(tables, &changed, !takes_source))? == Some(Take::Theirs)),
        }
    }

    /// A table that one side dropped and the other still has.
    fn read_dropped(
        &mut self,
        name: &str,
        tables: Sides<Option<&'a Table>>,
        decision: SchemaDecision,
        asking: &mut Asking<'_>,
        edits: &mut Vec<SchemaEdit>,
    ) -> Result<(), PlanError> {
        let by_source = tables.source.is_none();
        let table = tables.source.or(tables.target).expect("one side has it").name.clone();
        let takes_source = if let SchemaDecision::Conflict(conflict) = decision {
            asking.ask(*conflict)? == Some(Take::Theirs)
        } else {
            let changed = self.scan(name, if by_source { OF_TARGET } else { OF_SOURCE })?;
            match changed.filter(MergedTable::has_rows) {
                None => by_source,
                Some(changed) => asking.ask(table_conflict(tables, &changed, !by_source))? == Some(Take::Theirs),
            }
        };
        match (takes_source, by_source) {
            (true, true) => edits.push(SchemaEdit::Drop { table }),
            (true, false) => {
                edits.push(SchemaEdit::Take { table });
                let found = self.scan(name, NEW)?;
                self.add(found, tables.source);
            }
            (false, _) => {}
        }
        Ok(())
    }

    fn add(&mut self, found: Option<MergedTable<'a>>, becomes: Option<&'a Table>) {
        if let Some(table) = found.filter(|found| found.has_rows() || !found.noise.is_empty()) {
            self.tables.list.push(MergedTable { becomes, ..table });
        }
    }

    /// The rows of a table that are not the same; none where there is no such row.
    fn scan(&self, name: &str, databases: Sides<Option<usize>>) -> Result<Option<MergedTable<'a>>, PlanError> {
        let (prefix, local) = self.tables.prefixes.split(name);
        if self.rules.is_noise_table(local) {
            return Ok(None);
        }
        let lookups = self.lookups.array();
        // A side without a database is one without the table.
        let databases = databases.array();
        let tables = databases.map(|number| number.and_then(|number| lookups[number].table(name)));
        let connection = |side: usize| lookups[databases[side].unwrap_or(side)].connection;
        let mut named = [None, None, None];
        if local == "options" {
            for (side, table) in tables.iter().enumerate() {
                named[side] = table.map(|table| named_options(table, connection(side))).transpose()?.flatten();
            }
        }
        let is_by_name = named.iter().any(Option::is_some)
            && tables.iter().zip(&named).all(|(table, named)| table.is_some() == named.is_some());
        let read = |side: usize| if is_by_name { named[side].as_ref() } else { tables[side] };
        let side = |side: usize| SideTable { connection: connection(side), table: read(side) };
        let mut merged: Option<MergedTable<'a>> = None;
        let found = |change: RowChange<'_>| -> Result<(), PlanError> {
            let table =
                merged.get_or_insert_with(|| MergedTable::new(change.layout, prefix, local, is_by_name, &tables));
            match change.found {
                Found::Copies { row, copies } => table.copies.push((row, copies)),
                Found::Keyed(rows) => {
                    let stored = rows.target.clone();
                    let was_stored = rows.base.is_some();
                    let mut row = MergedRow { rows, stored, was_stored, ..MergedRow::default() };
                    self.leave_out_noise(table, databases, &mut row)?;
                    self.make_hosts_one(&mut row.rows);
                    table.make_ids_one(&mut row.rows);
                    let is_changed = row.rows.change() != Change::None;
                    match row.stored.take_if(|_| !is_changed && row.rows.target.is_none()) {
                        Some(stored) if !is_by_name => table.noise.push(stored),
                        _ if is_changed => table.rows.push(row),
                        _ => {}
                    }
                }
            }
            Ok(())
        };
        // What is known of it is compared with the base.
        let numbers = databases[0].and_then(|_| self.differing.of(name));
        scan(side(0), side(1), Some(side(2)), numbers, found)?;
        Ok(merged)
    }

    /// Takes from each side what is noise there.
    fn leave_out_noise(
        &self,
        table: &MergedTable<'_>,
        databases: [Option<usize>; 3],
        row: &mut MergedRow,
    ) -> Result<(), PlanError> {
        let mut is_noise = [false; 3];
        for ((row, number), is_noise) in row.rows.as_ref().array().into_iter().zip(databases).zip(&mut is_noise) {
            if let Some((row, number)) = row.as_ref().zip(number) {
                *is_noise = self.is_noise(table, number, row)?;
            }
        }
        let [base, source, target] = is_noise;
        let Sides { base: in_base, source: in_source, target: in_target } = &mut row.rows;
        for (is_noise, row) in [(base, in_base), (source, in_source), (target, in_target)] {
            if is_noise {
                *row = None;
            }
        }
        if let Role::Options { value } = table.role
            && row.rows.base.is_none()
        {
            let is_first = |row: &mut Row| rules::is_first_option(table.name(row), text(row, Some(value)));
            row.rows.source.take_if(is_first);
            row.rows.target.take_if(is_first);
        }
        Ok(())
    }

    fn is_noise(&self, table: &MergedTable<'_>, side: usize, row: &Row) -> Result<bool, PlanError> {
        let named = match table.role {
            Role::Plain => None,
            Role::Options { value } | Role::Meta { value, .. } => Some(value),
        };
        if named.is_some_and(|value| self.rules.is_noise_value(&table.rule_place(row, value))) {
            return Ok(true);
        }
        if table.local == "posts" {
            let of = |name| text(row, table.column(name));
            return Ok(rules::is_noise_post(of("post_status"), of("post_type"), of("post_name"), of("post_content")));
        }
        let posts = self.rules.objects.iter().find(|object| object.table == "posts");
        for owned in posts.into_iter().flat_map(|posts| &*posts.owned).filter(|owned| owned.table == table.local) {
            let post = table.column(&owned.by).and_then(|column| row[column].as_ref());
            if let Some(post) = post
                && self.is_noise_post(side, &table.prefix, post)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a side's post is noise, by its number.
    fn is_noise_post(&self, side: usize, prefix: &str, id: &Value) -> Result<bool, PlanError> {
        let known = (side, prefix.to_owned(), id.clone());
        if let Some(is_noise) = self.tables.noise_posts.borrow().get(&known) {
            return Ok(*is_noise);
        }
        let columns = ["post_status", "post_type", "post_name", "post_content"];
        let post = self.lookups.array()[side].row(&format!("{prefix}posts"), &columns, &[("id", id)])?;
        let of = |row: &Row, number| text(row, Some(number)).to_vec();
        let is_noise =
            post.is_some_and(|row| rules::is_noise_post(&of(&row, 0), &of(&row, 1), &of(&row, 2), &of(&row, 3)));
        self.tables.noise_posts.borrow_mut().insert(known, is_noise);
        Ok(is_noise)
    }

    /// Where a side has the same text as another but for the addresses of branches in it, it has not changed it.
    fn make_hosts_one(&self, rows: &mut Sides<Option<Row>>) {
        let is_same = |one: &Value, other: &Value| match (one, other) {
            (Value::Text(one), Value::Text(other)) => one != other && self.hosts.is_same(one, other),
            _ => false,
        };
        let unify = |one: &mut Option<Row>, other: &Option<Row>| {
            for (one, other) in one.iter_mut().flatten().zip(other.iter().flatten()) {
                if let (Some(own), Some(other)) = (&one, other)
                    && is_same(own, other)
                {
                    *one = Some(other.clone());
                }
            }
        };
        let Sides { base, source, target } = rows;
        unify(base, target);
        unify(source, target);
        unify(source, base);
    }
}

impl<'a> MergedTable<'a> {
    fn new(layout: &Layout, prefix: &str, local: &str, is_by_name: bool, tables: &[Option<&Table>]) -> Self {
        let layout = layout.clone();
        let at = |name: &str| layout.columns.iter().position(|column| column.eq_ignore_ascii_case(name));
        let role = match (at("option_value"), at("meta_key"), at("meta_value")) {
            (Some(value), ..) if is_by_name => Role::Options { value },
            (_, Some(name), Some(value))
                if layout.key_columns == 1 && layout.columns.len() == 4 && name * value > 0 =>
            {
                // The key, the name and the value are three of four: 0, `name` and `value`.
                Role::Meta { owner: 6 - name - value, name, value }
            }
            _ => Role::Plain,
        };
        let stamps = tables.iter().copied().flatten().flat_map(Table::stamped);
        let stamped: BTreeSet<usize> = stamps.filter_map(|name| at(&name)).collect();
        Self {
            prefix: prefix.to_owned(),
            local: local.to_owned(),
            role,
            becomes: None,
            rows: Vec::new(),
            noise: Vec::new(),
            copies: Vec::new(),
            stamped: stamped.into_iter().collect(),
            is_replaced: false,
            layout,
        }
    }

    fn has_rows(&self) -> bool {
        !self.rows.is_empty() || !self.copies.is_empty()
    }

    /// The number of an option is the target's, and none where that has no such option.
    fn make_ids_one(&self, rows: &mut Sides<Option<Row>>) {
        let Role::Options { .. } = self.role else { return };
        let Some(id) = self.column("option_id") else { return };
        let number = rows.target.as_ref().and_then(|row| row[id].clone());
        for row in [&mut rows.base, &mut rows.source].into_iter().flatten() {
            row[id].clone_from(&number);
        }
    }
}

/// A table that one side has another schema of, and of which the other has changed rows. The first side is the source or
/// the target.
fn table_conflict(tables: Sides<Option<&Table>>, changed: &MergedTable<'_>, of_source: bool) -> Conflict {
    let place = TablePlace { table: changed.layout.table.clone(), key: Vec::new(), column: None };
    let rows = changed.rows.iter().map(|row| {
        let side = row.rows.source.as_ref();
        let (source, target) = if of_source { (side, None) } else { (None, side) };
        (changed.place(row, None), Sides { base: row.rows.base.as_ref(), source, target })
    });
    let copies = changed.copies.iter().map(|(row, _)| {
        let key = row.iter().flatten().cloned().collect();
        let place = TablePlace { table: changed.layout.table.clone(), key, column: None };
        (place, Sides { base: None, source: Some(row), target: None })
    });
    let sides = tables.map(|table| table.map(Table::cells));
    Conflict::with_inside(ConflictKind::Schema, place, sides, rows.chain(copies).collect())
}

/// The table with the options' names as its key; none where they don't tell the rows apart.
fn named_options(table: &Table, connection: &Connection) -> rusqlite::Result<Option<Table>> {
    let has = |name: &str| table.columns.iter().any(|column| column.name == name);
    if !has("option_name") || !has("option_value") {
        return Ok(None);
    }
    let twice = format!(
        "SELECT EXISTS (SELECT 1 FROM {} GROUP BY option_name COLLATE BINARY HAVING count(*) > 1 OR option_name IS NULL)",
        quoted(&table.name)
    );
    let is_twice: bool = connection.query_row(&twice, [], |row| row.get(0))?;
    let key = Key::Columns { columns: vec!["option_name".to_owned()], is_nullable: false };
    Ok((!is_twice).then(|| Table { key, ..table.clone() }))
}
