//! Rows of WordPress's tables as changes of objects: a post with its metadata, its terms and its revisions, a menu with its
//! items, a user, an option.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension};

use super::super::label::{self, Kind, Names, ObjectKey, ObjectTable};
use super::super::rows::Found;
use super::super::rules::is_noise_post;
use super::super::schema::{Key, Table, quoted};
use super::super::{Cell, Row, Value, value};
use super::cells::{Compared, TableCells, bytes};
use super::{Change, ContentErrorKind, Detail, ObjectChange, Options, Patch, RowCounts, Text};

/// What the value of an option is called as a part of it.
pub(super) const VALUE: &str = "value";

/// What a person thinks of first.
const FIRST: [&str; 3] = ["title", "name", "content"];

/// How long a value is at most that is told with its name.
const VALUE_LENGTH: usize = 60;

/// A kind of object, the prefix of the tables that it is in, and which one it is.
pub(super) type ObjectId = (Kind, String, ObjectKey);

/// What a row is of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It, or a part of it.
    Own,
    /// A revision of a post, or a part of that.
    Revision,
    /// An item of a menu, or a part of that.
    Item(i64),
}

/// Which object a row is of, and what it is of that.
type Owner = (ObjectId, Role);

/// What is known of an object's change so far.
#[derive(Default)]
struct Gathered {
    /// Whether it came or went; none where it is there before and after.
    change: Option<Change>,
    /// Parts with a column of their own.
    fields: Vec<Detail>,
    /// Values of metadata by their names, before and after.
    meta: BTreeMap<String, [Vec<Vec<u8>>; 2]>,
    /// Terms that it got, changed its place in, or lost.
    terms: Detail,
    /// Rows of other tables of a plugin's object.
    parts: BTreeMap<String, RowCounts>,
    revisions: u64,
    comments: u64,
    /// What became of the items of a menu, by their numbers.
    items: BTreeMap<i64, Change>,
    patches: Vec<Patch>,
    texts: Vec<Text>,
}

/// Takes rows that differ, and makes changes of objects of them.
pub(super) struct Objects<'a> {
    /// To the base and the source.
    connections: [&'a Connection; 2],
    names: &'a Names<'a>,
    options: &'a Options,
    /// Whose texts are told.
    wanted: HashSet<ObjectId>,
    gathered: BTreeMap<ObjectId, Gathered>,
    /// Of which object a post is on each side, and as what; none of one that only the dashboard made.
    posts: [HashMap<(String, i64), Option<Owner>>; 2],
    /// How many rows page views write, or differ in nothing but what they do.
    pub(super) left_out: u64,
}

/// Gives tables that are to be compared by something else than their key: options are told apart by their names, as long as
/// each has its own.
pub(super) fn by_name(
    object: &ObjectTable,
    connections: [&Connection; 2],
    sides: [Option<&Table>; 2],
) -> rusqlite::Result<[Option<Table>; 2]> {
    if object.kind != Kind::Option {
        return Ok([None, None]);
    }
    for (connection, table) in connections.into_iter().zip(sides) {
        let Some(table) = table else { continue };
        let (name, column) = (quoted(&table.name), quoted(&object.id));
        let sql = format!("SELECT count(*) = count(DISTINCT {column} COLLATE BINARY) FROM {name}");
        if !table.columns.iter().any(|column| column.name.eq_ignore_ascii_case(&object.id))
            || !connection.query_row(&sql, [], |row| row.get::<_, bool>(0))?
        {
            return Ok([None, None]);
        }
    }
    let key = Key::Columns { columns: vec![object.id.clone().into_owned()], is_nullable: false };
    Ok(sides.map(|table| table.map(|table| Table { key: key.clone(), ..table.clone() })))
}

impl<'a> Objects<'a> {
    pub(super) fn new(
        connections: [&'a Connection; 2],
        names: &'a Names<'a>,
        options: &'a Options,
        wanted: HashSet<ObjectId>,
    ) -> Self {
        let (gathered, posts) = Default::default();
        Self { connections, names, options, wanted, gathered, posts, left_out: 0 }
    }

    /// To the base and the source.
    pub(super) fn connections(&self) -> [&'a Connection; 2] {
        self.connections
    }

    /// Takes a row of a table of objects.
    pub(super) fn add(
        &mut self,
        prefix: &str,
        table: &ObjectTable,
        cells: &TableCells<'_>,
        found: &Found,
    ) -> Result<(), ContentErrorKind> {
        let Found::Keyed(rows) = found else { return Ok(()) };
        let mut sides = [rows.base.as_ref(), rows.source.as_ref()];
        let mut owners = [None, None];
        for (side, row) in sides.iter_mut().enumerate() {
            let Some(found) = row.filter(|row| !cells.is_noise(row)) else {
                *row = None;
                continue;
            };
            owners[side] = self.owner(side, prefix, table, cells, found)?;
            if owners[side].is_none() {
                *row = None;
            }
        }
        let [of_base, of_source] = owners;
        let Some((id, role)) = of_source.or(of_base) else {
            self.left_out += 1;
            return Ok(());
        };
        let [before, after] = sides;
        let differ = match (before, after) {
            (Some(row), None) | (None, Some(row)) if cells.is_first(row) => {
                self.left_out += 1;
                return Ok(());
            }
            (Some(before), Some(after)) => match cells.compare(before, after) {
                Compared::Same => return Ok(()),
                Compared::LeftOut => {
                    self.left_out += 1;
                    return Ok(());
                }
                Compared::In(columns) => columns,
            },
            _ => Vec::new(),
        };
        let term = match after.or(before) {
            Some(row) if table.name == "term_relationships" => self.term(prefix, cells, row)?,
            _ => None,
        };
        let with_patch = self.options.patch;
        let with_texts = self.wanted.contains(&id);
        let gathered = self.gathered.entry(id).or_default();
        let change = Change::of(before.is_some(), after.is_some());
        match role {
            Role::Revision if table.is_main => gathered.revisions += 1,
            Role::Revision => return Ok(()),
            Role::Item(item) if table.is_main => drop(gathered.items.insert(item, change)),
            Role::Item(item) => drop(gathered.items.entry(item).or_insert(Change::Changed)),
            Role::Own if table.is_main => {
                gathered.change = Some(change).filter(|change| *change != Change::Changed);
                gathered.fields.extend(fields(table, cells, before, after, &differ));
            }
            Role::Own if table.name == "term_relationships" => {
                let terms = &mut gathered.terms;
                let names = match change {
                    Change::Added => &mut terms.added,
                    Change::Changed => &mut terms.changed,
                    Change::Removed => &mut terms.removed,
                };
                names.push(term.unwrap_or_else(|| "?".to_owned()));
            }
            Role::Own if cells.value(after.or(before).expect("one of them is there"), "meta_key").is_some() => {
                for (side, row) in [before, after].into_iter().enumerate() {
                    let Some(row) = row else { continue };
                    let (name, value) = meta(cells, row);
                    gathered.meta.entry(name).or_default()[side].push(value);
                }
            }
            Role::Own if change == Change::Changed && !matches!(table.kind, Kind::Declared(_)) => {
                gathered.fields.extend(fields(table, cells, before, after, &differ));
            }
            Role::Own if matches!(table.kind, Kind::Declared(_)) => {
                gathered.parts.entry(table.name.clone().into_owned()).or_default().count(change);
            }
            // A term's taxonomy comes and goes with it.
            Role::Own => {}
        }
        if (with_patch || with_texts) && role != Role::Revision {
            let columns = match after.or(before) {
                Some(row) if differ.is_empty() => cells.written(row),
                _ => differ,
            };
            let [before, after] = [before, after].map(|row| row.map(Vec::as_slice));
            for column in columns {
                let of = place(role, cells, after.or(before), column);
                if with_texts {
                    gathered.texts.extend(cells.text(of.clone(), before, after, column));
                }
                if with_patch {
                    gathered.patches.extend(cells.patch(of, before, after, column));
                }
            }
        }
        Ok(())
    }

    /// Which object a row of one side is of, and as what; none of a row that page views write.
    fn owner(
        &mut self,
        side: usize,
        prefix: &str,
        table: &ObjectTable,
        cells: &TableCells<'_>,
        row: &[Cell],
    ) -> Result<Option<Owner>, ContentErrorKind> {
        let Some(key) = cells.value(row, &table.id).and_then(ObjectKey::of) else { return Ok(None) };
        match (table.kind, &key) {
            (Kind::Post, ObjectKey::Number(id)) if !self.is_of_a_link(side, prefix, table, cells, row)? => {
                Ok(self.post(side, prefix, *id)?)
            }
            (Kind::Post, _) => Ok(Some(((Kind::Link, prefix.to_owned(), key), Role::Own))),
            (kind, _) => Ok(Some(((kind, prefix.to_owned(), key), Role::Own))),
        }
    }

    /// Whether a row puts a link into a category, not a post.
    fn is_of_a_link(
        &self,
        side: usize,
        prefix: &str,
        table: &ObjectTable,
        cells: &TableCells<'_>,
        row: &[Cell],
    ) -> rusqlite::Result<bool> {
        let Some(Value::Integer(id)) = cells.value(row, "term_taxonomy_id") else { return Ok(false) };
        if table.name != "term_relationships" {
            return Ok(false);
        }
        let taxonomies = quoted(&format!("{prefix}term_taxonomy"));
        let sql = format!("SELECT taxonomy FROM {taxonomies} WHERE term_taxonomy_id = ?");
        let found = label::texts(self.connections[side], &sql, &[id])?;
        Ok(found.is_some_and(|found| found[0] == "link_category"))
    }

    /// The same of a post.
    fn post(&mut self, side: usize, prefix: &str, id: i64) -> rusqlite::Result<Option<Owner>> {
        let cached = (prefix.to_owned(), id);
        if let Some(known) = self.posts[side].get(&cached) {
            return Ok(known.clone());
        }
        let own = Some(((Kind::Post, prefix.to_owned(), ObjectKey::Number(id)), Role::Own));
        // Also where a revision is one of its own revisions.
        self.posts[side].insert(cached.clone(), own.clone());
        let posts = quoted(&format!("{prefix}posts"));
        let sql =
            format!("SELECT post_type, post_status, post_name, post_parent, post_content FROM {posts} WHERE ID = ?");
        let found = label::texts(self.connections[side], &sql, &[&id])?;
        let owner = match found.as_deref() {
            Some([kind, status, name, _, content])
                if !self.options.all
                    && is_noise_post(status.as_bytes(), kind.as_bytes(), name.as_bytes(), content.as_bytes()) =>
            {
                None
            }
            Some([kind, _, _, parent, _]) if kind == "revision" => {
                match self.post(side, prefix, parent.parse().unwrap_or_default())? {
                    Some((parent, Role::Own)) if parent.2 != ObjectKey::Number(0) => Some((parent, Role::Revision)),
                    None => None,
                    Some(_) => own,
                }
            }
            Some([kind, ..]) if kind == "nav_menu_item" => match self.menu(side, prefix, id)? {
                Some(menu) => Some(((Kind::Term, prefix.to_owned(), ObjectKey::Number(menu)), Role::Item(id))),
                None => own,
            },
            _ => own,
        };
        self.posts[side].insert(cached, owner.clone());
        Ok(owner)
    }

    /// The menu that an item is in.
    fn menu(&self, side: usize, prefix: &str, item: i64) -> rusqlite::Result<Option<i64>> {
        let [taxonomies, relationships] =
            ["term_taxonomy", "term_relationships"].map(|name| quoted(&format!("{prefix}{name}")));
        let sql = format!(
            "SELECT x.term_id FROM {relationships} AS r JOIN {taxonomies} AS x ON x.term_taxonomy_id = r.term_taxonomy_id \
             WHERE r.object_id = ? AND x.taxonomy = 'nav_menu'"
        );
        self.connections[side].prepare_cached(&sql)?.query_row([item], |row| row.get(0)).optional()
    }

    /// What the term of a relationship is called.
    fn term(&self, prefix: &str, cells: &TableCells<'_>, row: &[Cell]) -> rusqlite::Result<Option<String>> {
        let Some(Value::Integer(id)) = cells.value(row, "term_taxonomy_id") else { return Ok(None) };
        for connection in self.connections.iter().rev() {
            if let Some((_, label)) = self.names.term_of(connection, prefix, *id)? {
                return Ok(Some(label.title.clone().unwrap_or_else(|| label.to_string())));
            }
        }
        Ok(None)
    }

    /// The changes of objects, by kind and number, each with what it is of.
    pub(super) fn finish(mut self) -> rusqlite::Result<Vec<(ObjectId, ObjectChange)>> {
        self.fold_comments()?;
        let mut changes = Vec::new();
        for (id, mut gathered) in std::mem::take(&mut self.gathered) {
            let (kind, prefix, key) = &id;
            let change = gathered.change.unwrap_or(Change::Changed);
            let patches = std::mem::take(&mut gathered.patches);
            let texts = std::mem::take(&mut gathered.texts);
            let details = gathered.details(change);
            if change == Change::Changed && details.is_empty() {
                continue;
            }
            let connection = self.connections[usize::from(change != Change::Removed)];
            let object = self.names.of_object(connection, prefix, *kind, key)?;
            let is_shown = if self.wanted.contains(&id) { self.is_shown(&id)? } else { [false; 2] };
            changes.push((id, ObjectChange { change, object, details, patches, texts, is_shown }));
        }
        Ok(changes)
    }

    /// Whether visitors see an object at `/?p=` and its number, on each side.
    fn is_shown(&self, (kind, prefix, key): &ObjectId) -> rusqlite::Result<[bool; 2]> {
        let (Kind::Post, ObjectKey::Number(number)) = (kind, key) else { return Ok([false; 2]) };
        let mut is_shown = [false; 2];
        for (connection, is_shown) in self.connections.iter().zip(&mut is_shown) {
            *is_shown = self.names.is_seen(connection, prefix, *number)?;
        }
        Ok(is_shown)
    }

    /// The comments of a post that came or went come and go with it.
    fn fold_comments(&mut self) -> rusqlite::Result<()> {
        let mut folded = Vec::new();
        for (id, comment) in &self.gathered {
            let (Kind::Comment, prefix, ObjectKey::Number(number)) = id else { continue };
            let Some(change) = comment.change else { continue };
            let sql =
                format!("SELECT comment_post_ID FROM {} WHERE comment_ID = ?", quoted(&format!("{prefix}comments")));
            let connection = self.connections[usize::from(change != Change::Removed)];
            let found = label::texts(connection, &sql, &[number])?;
            let Some(post) = found.and_then(|found| found[0].parse().ok()) else { continue };
            let post = (Kind::Post, prefix.clone(), ObjectKey::Number(post));
            if self.gathered.get(&post).is_some_and(|post| post.change == Some(change)) {
                folded.push((id.clone(), post));
            }
        }
        for (comment, post) in folded {
            self.gathered.remove(&comment);
            self.gathered.entry(post).or_default().comments += 1;
        }
        Ok(())
    }
}

impl Gathered {
    /// What to say of it, the plainest first.
    fn details(mut self, change: Change) -> Vec<Detail> {
        let mut details = Vec::new();
        if change == Change::Changed {
            self.fields.sort_by_key(|field| {
                (!field.is_plain(), FIRST.iter().position(|name| field.name == *name).unwrap_or(FIRST.len()))
            });
            details.append(&mut self.fields);
            details.extend(meta_detail(self.meta));
            self.terms.name = "terms".to_owned();
            details.extend(Some(self.terms).filter(|terms| !terms.is_plain()));
        }
        for change in [Change::Added, Change::Changed, Change::Removed] {
            let count = self.items.values().filter(|found| **found == change).count() as u64;
            let name = match change {
                Change::Added => "new item",
                Change::Changed => "changed item",
                Change::Removed => "removed item",
            };
            details.extend(counted(name, count));
        }
        if change == Change::Changed {
            let parts = self.parts.into_iter().map(|(name, rows)| Detail { rows: Some(rows), ..Detail::named(name) });
            details.extend(parts);
            details.extend(counted("revision", self.revisions));
        }
        details.extend(counted("comment", self.comments));
        details
    }
}

fn counted(name: &str, count: u64) -> Option<Detail> {
    (count > 0).then(|| Detail { count: Some(count), ..Detail::named(name) })
}

/// The names of metadata that came, changed or went. What was removed and put in again as it was is none of them.
fn meta_detail(meta: BTreeMap<String, [Vec<Vec<u8>>; 2]>) -> Option<Detail> {
    let mut detail = Detail::named("meta");
    for (name, [mut before, mut after]) in meta {
        before.sort_unstable();
        after.sort_unstable();
        let names = match Change::of(!before.is_empty(), !after.is_empty()) {
            Change::Changed if before == after => continue,
            Change::Added => &mut detail.added,
            Change::Changed => &mut detail.changed,
            Change::Removed => &mut detail.removed,
        };
        names.push(label::told(&name));
    }
    Some(detail).filter(|detail| !detail.is_plain())
}

/// The name of a piece of metadata, and its value.
fn meta(cells: &TableCells<'_>, row: &[Cell]) -> (String, Vec<u8>) {
    let text = |column: &str| cells.value(row, column).map(|value| label::text(value.as_ref())).unwrap_or_default();
    (text("meta_key"), text("meta_value").into_bytes())
}

/// What the columns are called in which two versions of a row of an object differ, and how.
fn fields(
    table: &ObjectTable,
    cells: &TableCells<'_>,
    before: Option<&Row>,
    after: Option<&Row>,
    columns: &[usize],
) -> Vec<Detail> {
    let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
    let is_other = |name: &str| columns.iter().any(|column| lower(cells, *column) == name);
    // A time is there twice, in two zones.
    let is_told = |column: &&usize| !lower(cells, **column).strip_suffix("_gmt").is_some_and(is_other);
    columns.iter().filter(is_told).map(|column| field(table, cells, before, after, *column)).collect()
}

fn lower(cells: &TableCells<'_>, column: usize) -> String {
    cells.columns[column].to_ascii_lowercase()
}

fn field(table: &ObjectTable, cells: &TableCells<'_>, before: &Row, after: &Row, column: usize) -> Detail {
    let name = lower(cells, column);
    let mut detail = Detail::named(match name.as_str() {
        "post_name" => "slug",
        "user_pass" => "password",
        "option_value" => VALUE,
        name => {
            let prefix = match table.kind {
                Kind::Post => "post_",
                Kind::Comment => "comment_",
                Kind::User => "user_",
                Kind::Link => "link_",
                Kind::Term | Kind::Option | Kind::Declared(_) => "",
            };
            name.strip_prefix(prefix).unwrap_or(name)
        }
    });
    if name == "option_value"
        && let Some(value::shown::Parts { added, changed, removed }) = cells.parts(before, after, column)
    {
        return Detail { added, changed, removed, ..detail };
    }
    if table.kind == Kind::Option || matches!(name.as_str(), "post_status" | "comment_approved") {
        let is_short = |row: &Row| {
            let text = bytes(row, column);
            text.len() <= VALUE_LENGTH
                && !text.contains(&b'\n')
                && !matches!(text, [b'a' | b'O', b':', ..] | [b'{' | b'[', ..])
        };
        let told = [before, after].map(|row| cells.told(row, column));
        let is_secret = [before, after].into_iter().any(|row| cells.is_secret(row, column));
        if !is_secret && is_short(before) && is_short(after) && told[0] != told[1] {
            let [before, after] = told;
            detail.values = Some((before, after));
        }
    }
    detail
}

/// What a cell is called in a patch.
fn place(role: Role, cells: &TableCells<'_>, row: Option<&[Cell]>, column: usize) -> String {
    let column = &cells.columns[column];
    let name = row.and_then(|row| cells.value(row, "meta_key")).map(|name| label::told(&label::text(name.as_ref())));
    let own = match name {
        Some(name) if column == "meta_value" => format!("meta {name}"),
        _ => column.clone(),
    };
    match role {
        Role::Item(item) => format!("item {item} {own}"),
        Role::Own | Role::Revision => own,
    }
}
