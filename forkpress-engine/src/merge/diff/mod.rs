//! What a branch changed: files, objects of WordPress, and tables.
//!
//! The files are compared by Git, in the view that Git has of them. The databases are read once each, side by side
//! (`rows::scan`). A row that differs is told as a change of the object that it belongs to
//! (`objects`), or counted in its table (`tables`). What mere page views write is only counted.
//!
//! Secrets are compared, but never told: what is here may be shown.

mod cells;
mod objects;
mod patch;
mod tables;

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use forkpress_core::advice::Advice;
use forkpress_core::deadline::Deadline;
use forkpress_core::name::BranchName;
use rusqlite::Connection;
use serde::Serialize;
use thiserror::Error;

use super::base::{self, BaseError};
use super::declared::DeclaredError;
pub use super::label::Label;
use super::label::{self, Names};
use super::pages::{Database, DatabaseFiles, Differing};
use super::rows::{self, ScanError, SideTable};
use super::rules::Rules;
use super::schema::{self, Schema, Table};
use crate::database::{DatabaseError, DatabaseReader};
use crate::git::changes::{self, FileChange};
use crate::git::repository::{Repository, RepositoryError};
use crate::git::snapshot::{self, BranchState, SnapshotError};
use crate::site::Site;
use cells::TableCells;
use objects::{ObjectId, Objects};
use tables::TableRows;

/// How long another program may keep a database that is only kept.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Debug, Default)]
pub struct Options {
    /// With patches of files, and of texts in the database.
    pub patch: bool,
    /// With the rows that page views write.
    pub all: bool,
    /// Only these files, folders and tables, the last with or without the site's prefix; everything if there are none.
    pub only: Vec<String>,
    /// With the texts of a part of all that changed. The texts of a large change as a whole may be more than anybody has room for.
    pub window: Option<Window>,
}

/// A part of what changed, by places in its lists.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Window {
    /// Of the lines of files, as [`changes::lines`] makes them: a line that is a single file has its patch.
    pub files: Range<usize>,
    /// Of objects: these have their texts.
    pub objects: Range<usize>,
    /// Of each table, so many cells have a patch.
    pub cells: usize,
}

/// What a branch is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Since {
    /// What it had in common with this branch last.
    Parting(BranchName),
    /// This branch as it is now.
    Branch(BranchName),
}

/// Why a branch can't be compared.
#[derive(Debug, Error)]
pub enum DiffError {
    /// There is nothing to compare it with.
    #[error(transparent)]
    Base(#[from] BaseError),
    /// What is kept of the database that it is compared with can't be read.
    #[error("cannot read the database that is compared with")]
    Kept(#[from] DatabaseError),
    /// The branch can't be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The files can't be compared.
    #[error("cannot compare the files")]
    Repository(#[from] RepositoryError),
    /// The databases can't be compared.
    #[error("cannot compare the databases")]
    Database(#[from] ContentError),
    /// What was asked for is there in neither of the two.
    #[error("there is neither a file nor a table '{name}'")]
    Unknown {
        /// What was asked for.
        name: String,
    },
}

impl Advice for DiffError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { .. } => Some("name a file or a folder as the branch has it, or a table".to_owned()),
            Self::Base(error) => error.hint(),
            Self::Kept(_) | Self::Snapshot(_) | Self::Repository(_) | Self::Database(_) => None,
        }
    }
}

/// Why databases can't be compared. What it is stays in this program.
#[derive(Debug, Error)]
#[error(transparent)]
pub struct ContentError(#[from] ContentErrorKind);

#[derive(Debug, Error)]
enum ContentErrorKind {
    #[error(transparent)]
    Schema(#[from] schema::SchemaError),
    #[error(transparent)]
    Scan(#[from] ScanError),
    #[error("cannot read the database")]
    Read(#[from] rusqlite::Error),
    #[error("cannot read the rules of plugins")]
    Rules(#[from] DeclaredError),
}

/// What a branch changed.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Diff {
    /// Files, by their paths.
    pub files: Vec<FileChange>,
    /// What is in the database.
    #[serde(flatten)]
    pub content: Content,
}

/// What is not the same in two databases.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Content {
    /// Posts, comments, terms, users, options.
    pub objects: Vec<ObjectChange>,
    /// Tables that came, went or were altered, and those of plugins in which rows changed.
    pub tables: Vec<TableChange>,
    /// How many rows differ in nothing but what page views write, and are in none of the others.
    pub left_out_rows: u64,
}

impl Diff {
    /// Whether nothing changed but what page views write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.content.objects.is_empty() && self.content.tables.is_empty()
    }
}

/// What became of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is new.
    Added,
    /// It is another.
    Changed,
    /// It is gone.
    Removed,
}

impl Change {
    /// `+`, `~` or `-`.
    #[must_use]
    pub fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Changed => '~',
            Self::Removed => '-',
        }
    }

    /// What became of something that is in one of two places, or in both.
    fn of(is_before: bool, is_after: bool) -> Self {
        match (is_before, is_after) {
            (false, _) => Self::Added,
            (true, false) => Self::Removed,
            (true, true) => Self::Changed,
        }
    }
}

/// A change of an object.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ObjectChange {
    /// What became of it.
    pub change: Change,
    /// What it is called.
    pub object: Label,
    /// What of it changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
    /// Its texts as patches, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<Patch>,
    /// Its texts before and after, where it is in the window that was asked for.
    #[serde(skip)]
    pub texts: Vec<Text>,
    /// Whether visitors see it at `/?p=` and its number, before and after. Known where it is in the window.
    #[serde(skip)]
    pub is_shown: [bool; 2],
}

impl fmt::Display for ObjectChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.change.sign(), self.object)?;
        listed(f, &self.details.iter().map(|detail| (detail.is_plain(), detail.to_string())).collect::<Vec<_>>())
    }
}

/// Writes what changed of something: names beside each other, then each that is more than a name.
fn listed(f: &mut fmt::Formatter<'_>, texts: &[(bool, String)]) -> fmt::Result {
    let texts_of =
        |is_plain: bool| texts.iter().filter(move |(plain, _)| *plain == is_plain).map(|(_, text)| text.clone());
    let names = texts_of(true).collect::<Vec<_>>().join(", ");
    let groups: Vec<_> = Some(names).filter(|names| !names.is_empty()).into_iter().chain(texts_of(false)).collect();
    if groups.is_empty() { Ok(()) } else { write!(f, ": {}", groups.join("; ")) }
}

/// A part of an object, or of a table's definition, that changed.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// `title`, `content`, `value`, `meta`, `terms`, `revision`.
    pub name: String,
    /// How many of these there are, where they have no names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How many rows of another table there are, where it has its parts there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<RowCounts>,
    /// What it was and is, where that is short and worth telling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<(String, String)>,
    /// What in it came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// What in it changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// What in it went.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
}

impl Detail {
    fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Whether there is nothing to say of it but its name.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.count.is_none()
            && self.rows.is_none()
            && self.values.is_none()
            && self.added.is_empty()
            && self.changed.is_empty()
            && self.removed.is_empty()
    }
}

/// How many names a line has at most of those that came, changed or went.
const NAMES_IN_LINE: usize = 8;

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(count) = self.count {
            return write!(f, "{count} {}{}", self.name, if count == 1 { "" } else { "s" });
        }
        if let Some(rows) = self.rows {
            return write!(f, "{}: {rows}", self.name);
        }
        // An option is nothing but its value.
        let is_value = self.name == objects::VALUE;
        if !is_value {
            f.write_str(&self.name)?;
        }
        if self.is_plain() {
            return f.write_str(if is_value { "changed" } else { "" });
        }
        let colon = if is_value { "" } else { ": " };
        if let Some((before, after)) = &self.values {
            return if is_value {
                write!(f, "\"{before}\" -> \"{after}\"")
            } else {
                write!(f, "{colon}{before} -> {after}")
            };
        }
        let signed = |change: Change, names: &[String]| -> Vec<String> {
            names
                .iter()
                .map(|name| format!("{} {}", change.sign(), label::shortened(name, label::TITLE_LENGTH)))
                .collect()
        };
        let mut names = signed(Change::Added, &self.added);
        names.extend(signed(Change::Changed, &self.changed));
        names.extend(signed(Change::Removed, &self.removed));
        let more = names.len().saturating_sub(NAMES_IN_LINE);
        names.truncate(NAMES_IN_LINE);
        write!(f, "{colon}{}", names.join(", "))?;
        if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
    }
}

/// A text of the database as a patch.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Patch {
    /// What it is of: `post_content`, `meta _thumbnail_id`.
    pub of: String,
    /// Lines with a sign before them, in hunks.
    pub patch: String,
}

/// A text of the database, whole. What is not there is empty; secrets are not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// What it is: `post_content`, `meta _thumbnail_id`.
    pub of: String,
    /// What it was.
    pub before: String,
    /// What it is. The same where what differs is a secret.
    pub after: String,
}

/// A change of a table.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct TableChange {
    /// What became of the table; none where only rows changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// Its name.
    pub table: String,
    /// What of its definition changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub definition: Vec<Detail>,
    /// How many rows changed; none where it is not known which row was which, as the table's key is another.
    pub rows: Option<RowCounts>,
    /// The rows as patches, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<Patch>,
}

impl fmt::Display for TableChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} table {}", self.change.unwrap_or(Change::Changed).sign(), self.table)?;
        let mut texts = Vec::new();
        for Detail { name, added, changed, removed, .. } in &self.definition {
            let sides = [(Change::Added, added), (Change::Changed, changed), (Change::Removed, removed)];
            for (change, found) in sides.iter().flat_map(|(change, names)| names.iter().map(move |name| (change, name)))
            {
                texts.push((true, format!("{} {name} {found}", change.sign())));
            }
        }
        if texts.is_empty() && !self.definition.is_empty() {
            texts.push((true, "altered".to_owned()));
        }
        match self.rows {
            None => texts.push((false, "the rows can't be compared, as the key is another one".to_owned())),
            Some(rows) if rows.sum() == 0 => {}
            Some(rows) => texts.push((false, rows.to_string())),
        }
        listed(f, &texts)
    }
}

/// How many rows of a table came, changed and went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Those that came.
    pub added: u64,
    /// Those that changed.
    pub changed: u64,
    /// Those that went.
    pub removed: u64,
}

impl RowCounts {
    fn count(&mut self, change: Change) {
        *match change {
            Change::Added => &mut self.added,
            Change::Changed => &mut self.changed,
            Change::Removed => &mut self.removed,
        } += 1;
    }

    /// All of them.
    #[must_use]
    pub fn sum(self) -> u64 {
        self.added + self.changed + self.removed
    }
}

impl fmt::Display for RowCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [(self.added, "added"), (self.changed, "changed"), (self.removed, "removed")];
        for (number, (count, what)) in counts.into_iter().filter(|(count, _)| *count > 0).enumerate() {
            let rows = if count == 1 { "row" } else { "rows" };
            match number {
                0 => write!(f, "{count} {rows} {what}")?,
                _ => write!(f, ", {count} {what}")?,
            }
        }
        Ok(())
    }
}

/// Says what a branch changed. Takes no lock that anybody waits for but who publishes: its files and its database are those of
/// one moment.
///
/// # Errors
/// [`DiffError`] when a branch is missing, busy or can't be read, when it is not known what two had in common, and when
/// something is asked for that is not there.
pub fn diff(site: &Site, branch: &BranchName, since: &Since, options: &Options) -> Result<Diff, DiffError> {
    let repository = Repository::open(site)?;
    let base = match since {
        Since::Parting(target) => {
            let base = base::of(site, &repository, branch, target)?;
            let database = DatabaseReader::begin(&base.tree, Deadline::after(TIMEOUT))?;
            BranchState { files: base.files, database }
        }
        Since::Branch(name) => snapshot::look_at(site, &repository, name)?,
    };
    let state = snapshot::look_at(site, &repository, branch)?;
    let mut rules = Rules::wordpress();
    let plugins = Rules::read_plugins(&site.layout.branch(branch)).map_err(ContentErrorKind::Rules);
    rules.with_plugins(plugins.map_err(ContentError::from)?);
    let databases = Databases::of(base.database.as_ref(), state.database.as_ref())?;
    let schemas = databases.schemas(&rules)?;
    let mut paths = Vec::new();
    for name in options.only.iter().filter(|name| !schemas.have_table(name)) {
        let is_in = |tree: &str| changes::has_path(&repository, tree, name);
        if !is_in(&base.files)? && !is_in(&state.files)? {
            return Err(DiffError::Unknown { name: name.clone() });
        }
        paths.push(name.clone());
    }
    let mut files = if paths.is_empty() && !options.only.is_empty() {
        Vec::new()
    } else {
        changes::changes(&repository, &base.files, &state.files, &paths, options.patch)?
    };
    if let Some(window) = &options.window {
        changes::add_patches(&repository, &base.files, &state.files, &mut files, &options.only, window.files.clone())?;
    }
    let content = content(&databases, &schemas, options)?;
    Ok(Diff { files, content })
}

/// Two databases, each in a read transaction. One that there is not is an empty one.
struct Databases<'a> {
    base: Option<&'a Connection>,
    source: Option<&'a Connection>,
    /// Where both are known, only what may differ is read.
    files: Option<[DatabaseFiles<'a>; 2]>,
    empty: Connection,
}

impl<'a> Databases<'a> {
    fn of(base: Option<&'a DatabaseReader>, source: Option<&'a DatabaseReader>) -> Result<Self, ContentError> {
        let files = base.zip(source).map(|(base, source)| [base.files(), source.files()]);
        let (base, source) = (base.map(DatabaseReader::connection), source.map(DatabaseReader::connection));
        Ok(Self { base, source, files, empty: empty().map_err(ContentErrorKind::Read)? })
    }

    /// The base's and the source's.
    fn both(&self) -> [&Connection; 2] {
        [self.base, self.source].map(|connection| connection.unwrap_or(&self.empty))
    }

    fn schemas<'r>(&self, rules: &'r Rules) -> Result<Schemas<'r>, ContentError> {
        let [base, source] = self.both().map(|connection| schema::read(connection).map_err(ContentErrorKind::Schema));
        let mut schemas = Schemas::of(base?, source?, rules);
        schemas.differing = self.differing(&schemas);
        Ok(schemas)
    }

    fn differing(&self, schemas: &Schemas<'_>) -> Differing {
        let Some([of_base, of_source]) = self.files else { return Differing::default() };
        let [base, source] = self.both();
        let base = Database { connection: base, schema: &schemas.base, files: of_base };
        Differing::between(base, &[Database { connection: source, schema: &schemas.source, files: of_source }])
    }
}

fn empty() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_schema")?;
    Ok(connection)
}

/// The tables of both.
struct Schemas<'r> {
    base: Schema,
    source: Schema,
    rules: &'r Rules,
    /// What people call what is in them.
    names: Names<'r>,
    differing: Differing,
}

impl<'r> Schemas<'r> {
    fn of(base: Schema, source: Schema, rules: &'r Rules) -> Self {
        let names = Names::of(base.tables.keys().chain(source.tables.keys()).map(String::as_str), rules);
        Self { base, source, rules, names, differing: Differing::default() }
    }

    /// The names of all tables, in lower case.
    fn tables(&self) -> Vec<String> {
        let mut names: Vec<_> = self.base.tables.keys().chain(self.source.tables.keys()).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn have_table(&self, asked: &str) -> bool {
        self.tables().iter().any(|name| self.is_called(name, asked))
    }

    /// Whether a table is meant by what was asked for: its name with or without a prefix.
    fn is_called(&self, table: &str, asked: &str) -> bool {
        let asked = asked.to_ascii_lowercase();
        table == asked || self.names.split(table).1 == asked
    }
}

/// Says what is not the same in two databases.
fn content(databases: &Databases<'_>, schemas: &Schemas<'_>, options: &Options) -> Result<Content, ContentError> {
    let (content, ids) = gathered(databases, schemas, options, HashSet::new())?;
    let Some(window) = &options.window else { return Ok(content) };
    let Range { start, end } = window.objects;
    let wanted: HashSet<_> = ids.into_iter().take(end).skip(start).collect();
    if wanted.is_empty() {
        return Ok(content);
    }
    // Both are read in the transactions that they are in, so they are the same once more.
    Ok(gathered(databases, schemas, options, wanted)?.0)
}

/// The same, with the texts of some objects; and which object each of them is.
fn gathered(
    databases: &Databases<'_>,
    schemas: &Schemas<'_>,
    options: &Options,
    wanted: HashSet<ObjectId>,
) -> Result<(Content, Vec<ObjectId>), ContentError> {
    let connections = databases.both();
    let most_patches = match &options.window {
        _ if options.patch => usize::MAX,
        Some(window) => window.cells,
        None => 0,
    };
    let mut objects = Objects::new(connections, &schemas.names, options, wanted);
    let mut tables = Vec::new();
    let mut left_out_rows = 0;
    for name in schemas.tables() {
        if !options.only.is_empty() && !options.only.iter().any(|asked| schemas.is_called(&name, asked)) {
            continue;
        }
        let sides = [schemas.base.tables.get(&name), schemas.source.tables.get(&name)];
        let mut rows = TableRows::new(most_patches);
        let is_matched = compare_table(schemas, &name, sides, options, &mut objects, &mut rows)?;
        let mut change = tables::of_definition(sides);
        left_out_rows += rows.left_out;
        if schemas.rules.is_noise_table(schemas.names.split(&name).1) && !options.all {
            left_out_rows += rows.counts.sum();
            rows = TableRows::default();
        }
        change.rows = is_matched.then_some(rows.counts);
        change.patches = rows.patches;
        if change.change.is_some() || rows.counts.sum() > 0 {
            tables.push(change);
        }
    }
    left_out_rows += objects.left_out;
    let (ids, objects) = objects.finish().map_err(ContentErrorKind::Read)?.into_iter().unzip();
    Ok((Content { objects, tables, left_out_rows }, ids))
}

/// Gives the rows of a table that differ to the objects or, where it has none of these, to `rows`. Says whether it is known
/// which row of one side is which of the other.
fn compare_table(
    schemas: &Schemas<'_>,
    name: &str,
    sides: [Option<&Table>; 2],
    options: &Options,
    objects: &mut Objects<'_>,
    rows: &mut TableRows,
) -> Result<bool, ContentErrorKind> {
    let connections = objects.connections();
    let object = schemas.names.object_table(name);
    let keyed = match object {
        Some((_, object)) => objects::by_name(object, connections, sides)?,
        None => [None, None],
    };
    let side = |side: usize| SideTable { connection: connections[side], table: keyed[side].as_ref().or(sides[side]) };
    let table = schemas.names.split(name).1;
    let mut cells: Option<TableCells<'_>> = None;
    let scanned = rows::scan(side(0), side(1), None, schemas.differing.of(name), |row| {
        let cells = cells.get_or_insert_with(|| TableCells::of(schemas.rules, table, row.layout, options.all));
        match object.filter(|_| row.layout.key_columns > 0) {
            Some((prefix, object)) => objects.add(prefix, object, cells, &row.found)?,
            None => rows.add(cells, &row.found),
        }
        Ok(())
    });
    match scanned {
        Ok(()) => Ok(true),
        Err(ContentErrorKind::Scan(ScanError::OtherKey { .. } | ScanError::OtherColumns { .. })) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use forkpress_core::layout::database_of;

    use super::super::testing::{make, read};
    use super::*;
    use crate::site::testing::{branch, site};

    /// What differs between a small WordPress and the same after these statements.
    fn compare(statements: &str, options: &Options) -> Content {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), "base", label::testing::WORDPRESS);
        make(folder.path(), "source", &format!("{};{statements}", label::testing::WORDPRESS));
        let [base, source] = ["base", "source"].map(|name| read(folder.path(), name));
        let databases = Databases { base: Some(&base), source: Some(&source), files: None, empty: empty().unwrap() };
        content(&databases, &databases.schemas(&Rules::wordpress()).unwrap(), options).unwrap()
    }

    fn lines(content: &Content) -> Vec<String> {
        let objects = content.objects.iter().map(ToString::to_string);
        objects.chain(content.tables.iter().map(ToString::to_string)).collect()
    }

    /// The lines, and how many rows were left out.
    fn told(statements: &str) -> (Vec<String>, u64) {
        let content = compare(statements, &Options::default());
        (lines(&content), content.left_out_rows)
    }

    const VISITS: &str = r#"
        INSERT INTO wp_posts (ID, post_title, post_status, post_type) VALUES (20, 'Auto Draft', 'auto-draft', 'post');
        INSERT INTO wp_posts (ID, post_status, post_type, post_name, post_parent) VALUES
            (21, 'inherit', 'revision', '1-autosave-v1', 1), (22, 'inherit', 'revision', '20-revision-v1', 20);
        INSERT INTO wp_postmeta VALUES (20, 20, '_thumbnail_id', '1'), (21, 1, '_edit_lock', '1:1'), (22, 1, '_edit_last', '1');
        INSERT INTO wp_term_relationships VALUES (20, 1, 0);
        INSERT INTO wp_usermeta VALUES (20, 1, 'session_tokens', 'x');
        INSERT INTO wp_posts (ID, post_title, post_content, post_status, post_type) VALUES
            (23, 'Navigation', '<!-- wp:page-list /-->', 'publish', 'wp_navigation');
        INSERT INTO wp_options (option_name, option_value) VALUES ('_transient_x', '1'), ('category_children', 'a:0:{}'),
            ('widget_meta', 'a:1:{s:12:"_multiwidget";i:1;}');
        UPDATE wp_options SET option_value = 'a:1:{i:0;i:1;}' WHERE option_name = 'cron';
        UPDATE wp_options SET option_id = 77 WHERE option_name = 'blogname';
        UPDATE wp_options SET option_value = '2' WHERE option_name = 'user_count';
        UPDATE wp_posts SET post_modified = 'later', post_modified_gmt = 'later', comment_count = 9 WHERE ID = 5;
        UPDATE wp_term_taxonomy SET count = 9;
        CREATE TABLE wp_woocommerce_sessions (id INTEGER PRIMARY KEY);
        DROP TABLE wp_woocommerce_sessions;
    "#;

    #[test]
    fn what_page_views_write_is_counted_and_not_told() {
        assert_eq!(told(""), (vec![], 0));
        // The user's session, and a post's time and count are one row each; a term's count is in three.
        assert_eq!(told(VISITS), (vec![], 19));
        let all = compare(VISITS, &Options { all: true, ..Options::default() });
        let lines = lines(&all);
        assert!(lines.contains(&"+ option _transient_x".to_owned()), "{lines:#?}");
        assert!(lines.contains(&"~ post 5 \"Old\": modified, comment_count".to_owned()), "{lines:#?}");
        assert_eq!(all.left_out_rows, 0);
    }

    #[test]
    fn rows_of_an_object_are_one_change_of_it() {
        let (lines, left_out) = told(
            r#"
            UPDATE wp_posts SET post_content = 'x', post_title = 'Hello World!', post_modified = 'later', post_date = 'y',
                post_date_gmt = 'z' WHERE ID = 1;
            INSERT INTO wp_posts (ID, post_status, post_type, post_name, post_parent) VALUES
                (30, 'inherit', 'revision', '1-revision-v1', 1), (31, 'inherit', 'revision', '1-revision-v1', 1);
            INSERT INTO wp_postmeta VALUES (30, 1, '_thumbnail_id', '100001'), (31, 1, '_edit_lock', 'x');
            UPDATE wp_postmeta SET meta_value = 'wide' WHERE post_id = 2;
            INSERT INTO wp_term_relationships VALUES (1, 2, 0);
            DELETE FROM wp_term_relationships WHERE object_id = 1 AND term_taxonomy_id = 1;
            INSERT INTO wp_posts (ID, post_title, post_content, post_status, post_type) VALUES
                (100002, 'About us', 'Text', 'publish', 'page'), (100003, 'pic', '', 'inherit', 'attachment');
            INSERT INTO wp_postmeta VALUES (32, 100002, 'x', 'y');
            INSERT INTO wp_comments VALUES (100007, 1, 'Ann', '', 'Hello', '1');
            UPDATE wp_comments SET comment_approved = '0' WHERE comment_ID = 7;
            INSERT INTO wp_users VALUES (3, 'ann', 'hash', 'ann@example.org', 'Ann');
            INSERT INTO wp_usermeta VALUES (30, 3, 'wp_capabilities', 'x');
            UPDATE wp_users SET user_pass = 'y', user_email = 'z' WHERE ID = 1;
            UPDATE wp_terms SET name = 'Latest' WHERE term_id = 2;
            "#,
        );
        assert_eq!(
            lines,
            [
                "~ post 1 \"Hello World!\": title, content, date; meta: + _thumbnail_id; terms: + Latest, - Uncategorized; 2 revisions",
                "~ page 2 \"Sample\": meta: ~ _wp_page_template",
                "+ page 100002 \"About us\"",
                "+ attachment 100003 \"pic\"",
                "~ comment 7 on post 1 by Ann: approved: 1 -> 0",
                "+ comment 100007 on post 1 by Ann",
                "~ category 2 \"Latest\": name",
                "~ user 1 admin: password, email",
                "+ user 3 ann",
            ]
        );
        assert_eq!(left_out, 1);
    }

    #[test]
    fn an_object_that_goes_takes_its_parts_along() {
        let (lines, _) = told(
            "DELETE FROM wp_posts WHERE ID = 5; DELETE FROM wp_comments WHERE comment_post_ID = 5;
             DELETE FROM wp_term_relationships WHERE object_id = 5;
             DELETE FROM wp_terms WHERE term_id = 2; DELETE FROM wp_term_taxonomy WHERE term_id = 2;
             DELETE FROM wp_links; UPDATE wp_posts SET post_status = 'trash' WHERE ID = 2",
        );
        assert_eq!(
            lines,
            [
                "~ page 2 \"Sample\": status: publish -> trash",
                "- post 5 \"Old\": 1 comment",
                "- category 2 \"News\"",
                "- link 3 \"WordPress\"",
            ]
        );
    }

    #[test]
    fn a_draft_of_the_dashboard_that_is_saved_is_a_new_post() {
        let folder = tempfile::tempdir().unwrap();
        let statements = format!("{}; {VISITS}", label::testing::WORDPRESS);
        make(folder.path(), "base", &statements);
        let saved = "UPDATE wp_posts SET post_title = 'New', post_status = 'publish' WHERE ID = 20";
        make(folder.path(), "source", &format!("{statements}; {saved}"));
        let [base, source] = ["base", "source"].map(|name| read(folder.path(), name));
        let databases = Databases { base: Some(&base), source: Some(&source), files: None, empty: empty().unwrap() };
        let content =
            content(&databases, &databases.schemas(&Rules::wordpress()).unwrap(), &Options::default()).unwrap();
        assert_eq!(lines(&content), ["+ post 20 \"New\""]);
    }

    #[test]
    fn the_items_of_a_menu_are_its_parts() {
        let (lines, _) = told(
            "INSERT INTO wp_posts (ID, post_title, post_status, post_type) VALUES (40, '', 'publish', 'nav_menu_item'),
                 (41, 'x', 'publish', 'nav_menu_item');
             INSERT INTO wp_postmeta VALUES (40, 40, '_menu_item_type', 'custom');
             INSERT INTO wp_term_relationships VALUES (40, 9, 0), (41, 9, 0);
             UPDATE wp_postmeta SET meta_value = 'post_type' WHERE post_id = 6",
        );
        assert_eq!(lines, ["~ menu 4 \"Main\": 2 new items; 1 changed item"]);
    }

    #[test]
    fn options_tell_what_in_them_changed() {
        let (lines, _) = told(
            r#"
            UPDATE wp_options SET option_value = 'Shop', autoload = 'off' WHERE option_name = 'blogname';
            UPDATE wp_options SET option_value = 'a:2:{i:0;s:19:"akismet/akismet.php";i:2;s:5:"b.php";}' WHERE option_name = 'active_plugins';
            UPDATE wp_options SET option_value = 'a:2:{s:5:"width";i:4;s:12:"header_color";s:3:"red";}' WHERE option_name = 'theme_mods_x';
            UPDATE wp_options SET option_value = 'hunter3' WHERE option_name = 'mailserver_pass';
            DELETE FROM wp_options WHERE option_name = 'cron';
            INSERT INTO wp_options (option_name, option_value) VALUES ('new', '1');
            "#,
        );
        assert_eq!(
            lines,
            [
                "~ option active_plugins: + akismet/akismet.php, + b.php, - hello.php",
                "~ option blogname: \"Site\" -> \"Shop\"; autoload: on -> off",
                "~ option mailserver_pass: changed",
                "+ option new",
                "~ option theme_mods_x: + header_color, ~ width",
            ]
        );
    }

    #[test]
    fn tables_of_plugins_are_counted_and_what_became_of_their_definition_is_told() {
        let before = "CREATE TABLE wp_x_orders (id INTEGER PRIMARY KEY, total, note);
            INSERT INTO wp_x_orders VALUES (1, 1, 'a note'), (2, 2, 'b'), (3, 3, 'c');
            CREATE TABLE wp_y (a INTEGER PRIMARY KEY, b); INSERT INTO wp_y VALUES (1, 1);
            CREATE TABLE wp_gone (a); CREATE TABLE wp_keyed (a PRIMARY KEY, b); CREATE TABLE wp_log (line);
            INSERT INTO wp_log VALUES ('x'), ('x')";
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), "base", before);
        make(
            folder.path(),
            "source",
            &format!(
                "{before}; DELETE FROM wp_x_orders WHERE id = 1; UPDATE wp_x_orders SET total = 3 WHERE id = 2;
                 INSERT INTO wp_x_orders VALUES (4, 4, 'd'), (5, 5, 'e'); ALTER TABLE wp_y ADD COLUMN z DEFAULT 7;
                 CREATE INDEX by_b ON wp_y (b); DROP TABLE wp_gone; CREATE TABLE wp_new (a); INSERT INTO wp_new VALUES (1);
                 DROP TABLE wp_keyed; CREATE TABLE wp_keyed (a, b PRIMARY KEY); INSERT INTO wp_log VALUES ('x'), ('y')"
            ),
        );
        let [base, source] = ["base", "source"].map(|name| read(folder.path(), name));
        let databases = Databases { base: Some(&base), source: Some(&source), files: None, empty: empty().unwrap() };
        let compare =
            |options: &Options| content(&databases, &databases.schemas(&Rules::wordpress()).unwrap(), options).unwrap();
        assert_eq!(
            lines(&compare(&Options::default())),
            [
                "- table wp_gone",
                "~ table wp_keyed: altered; the rows can't be compared, as the key is another one",
                "~ table wp_log: 2 rows added",
                "+ table wp_new: 1 row added",
                "~ table wp_x_orders: 2 rows added, 1 changed, 1 removed",
                "~ table wp_y: + column z, + index by_b",
            ]
        );
        let only = Options { only: vec!["WP_X_Orders".to_owned()], patch: true, ..Options::default() };
        let patches = compare(&only).tables.remove(0).patches;
        let patches: Vec<_> = patches.iter().map(|patch| (patch.of.as_str(), patch.patch.as_str())).collect();
        assert_eq!(patches, [("1 note", "@@ -1 +0,0 @@\n-a note\n"), ("2 total", "@@ -1 +1 @@\n-2\n+3\n")]);
    }

    #[test]
    fn what_a_plugin_declares_are_objects_sets_and_noise() {
        let before = format!(
            "{}; CREATE TABLE wp_orders (id INTEGER PRIMARY KEY, title, total); CREATE TABLE wp_items (id INTEGER PRIMARY KEY, order_id, what);
             CREATE TABLE wp_order_log (line); INSERT INTO wp_orders VALUES (1, 'Tea', 2), (2, 'Milk', 1);
             INSERT INTO wp_items VALUES (1, 1, 'tea')",
            label::testing::WORDPRESS
        );
        let after = "INSERT INTO wp_items VALUES (2, 1, 'sugar'); UPDATE wp_orders SET total = 3 WHERE id = 1;
             UPDATE wp_orders SET title = 'Cream' WHERE id = 2; INSERT INTO wp_orders VALUES (3, 'Cake', 5);
             INSERT INTO wp_items VALUES (3, 3, 'cake'); INSERT INTO wp_order_log VALUES ('x'), ('y')";
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), "base", &before);
        make(folder.path(), "source", &format!("{before}; {after}"));
        let [base, source] = ["base", "source"].map(|name| read(folder.path(), name));
        let databases = Databases { base: Some(&base), source: Some(&source), files: None, empty: empty().unwrap() };
        let mut rules = Rules::wordpress();
        let declared = r#"{"noise": {"tables": ["order_log"]}, "derived": [{"table": "orders", "column": "total"}],
            "objects": [{"table": "orders", "key": "id", "name": "title", "owned": [{"table": "items", "by": "order_id"}]}]}"#;
        rules.with_plugins(vec![serde_json::from_str(declared).unwrap()]);
        let content = content(&databases, &databases.schemas(&rules).unwrap(), &Options::default()).unwrap();
        assert_eq!(
            lines(&content),
            ["~ orders 1 \"Tea\": items: 1 row added", "~ orders 2 \"Cream\": title", "+ orders 3 \"Cake\""]
        );
        assert_eq!(content.left_out_rows, 3);
    }

    #[test]
    fn patches_are_of_texts_and_structures_and_tell_no_secret() {
        let options = Options { patch: true, ..Options::default() };
        let content = compare(
            r#"
            UPDATE wp_posts SET post_content = 'Welcome.' || char(10) || 'More.' WHERE ID = 1;
            INSERT INTO wp_posts (ID, post_title, post_content, post_status, post_type) VALUES (90, 'New', 'Some text.', 'publish', 'page');
            UPDATE wp_options SET option_value = 'a:2:{s:5:"width";i:4;s:4:"pass";s:6:"secret";}' WHERE option_name = 'theme_mods_x';
            UPDATE wp_options SET option_value = 'hunter3' WHERE option_name = 'mailserver_pass';
            UPDATE wp_users SET user_pass = 'other';
            UPDATE wp_postmeta SET meta_value = 'wide' WHERE post_id = 2;
            "#,
            &options,
        );
        let patches: Vec<_> = content
            .objects
            .iter()
            .flat_map(|object| &object.patches)
            .map(|patch| (patch.of.as_str(), patch.patch.as_str()))
            .collect();
        assert_eq!(
            patches,
            [
                ("post_content", "@@ -1 +1,2 @@\n Welcome.\n+More.\n"),
                ("meta _wp_page_template", "@@ -1 +1 @@\n-default\n+wide\n"),
                ("post_title", "@@ -0,0 +1 @@\n+New\n"),
                ("post_content", "@@ -0,0 +1 @@\n+Some text.\n"),
                ("user_pass", "-[redacted]\n+[redacted]\n"),
                ("option_value", "-[redacted]\n+[redacted]\n"),
                ("option_value", "@@ -1 +1,2 @@\n-width: 3\n+width: 4\n+pass: [redacted]\n"),
            ]
        );
        assert!(!serde_json::to_string(&content).unwrap().contains("hunter"));
    }

    #[test]
    fn of_a_window_texts_are_told_whole_and_where_visitors_see_a_post() {
        let statements = r#"
            UPDATE wp_posts SET post_status = 'publish';
            UPDATE wp_posts SET post_content = 'Welcome.' || char(10) || 'More.' WHERE ID = 1;
            INSERT INTO wp_posts (ID, post_title, post_content, post_status, post_type) VALUES
                (90, 'New', 'Some text.', 'publish', 'page'), (91, 'Part', 'x y', 'publish', 'wp_template_part'),
                (92, 'Later', 'x y', 'draft', 'page');
            UPDATE wp_options SET option_value = 'hunter3' WHERE option_name = 'mailserver_pass';
            UPDATE wp_options SET option_value = 'Mine' WHERE option_name = 'blogname';
            CREATE TABLE wp_log (line); INSERT INTO wp_log VALUES ('line one'), ('line two'), ('line three');
        "#;
        let all = compare(statements, &Options::default());
        assert!(all.objects.iter().all(|object| object.texts.is_empty() && object.is_shown == [false; 2]));
        let window = |objects| {
            let window = Window { files: 0..0, objects, cells: 2 };
            compare(statements, &Options { window: Some(window), ..Options::default() })
        };
        let whole = window(0..usize::MAX);
        assert_eq!(lines(&whole), lines(&all));
        let find = |title: &str| {
            let is = |object: &&ObjectChange| object.object.to_string().contains(title);
            let found = whole.objects.iter().find(is).unwrap();
            let texts = found.texts.iter().map(|text| [&*text.of, &text.before, &text.after]);
            (texts.collect::<Vec<_>>(), found.is_shown)
        };
        let (texts, is_shown) = find("post 1 ");
        assert_eq!(texts[0], ["post_content", "Welcome.", "Welcome.\nMore."]);
        assert!(is_shown[1]);
        assert_eq!(find("New"), (vec![["post_title", "", "New"], ["post_content", "", "Some text."]], [false, true]));
        assert_eq!(find("Part").1, [false, false], "what has no page of its own");
        assert_eq!(find("Later").1, [false, false], "a draft");
        assert_eq!(find("mailserver_pass").0, [["option_value", "[redacted]", "[redacted]"]]);
        assert_eq!(find("blogname").0[0][2], "Mine");
        assert_eq!(whole.tables[0].patches.len(), 2, "{:?}", whole.tables);
        let some = window(1..3);
        assert_eq!(lines(&some), lines(&all));
        let places = some.objects.iter().enumerate().filter(|(_, object)| !object.texts.is_empty());
        assert_eq!(places.map(|(place, _)| place).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn only_what_was_asked_for_is_compared() {
        let statements = "UPDATE wp_posts SET post_title = 'x' WHERE ID = 1; UPDATE wp_options SET option_value = 'x' WHERE option_name = 'blogname'";
        let of =
            |only: &str| lines(&compare(statements, &Options { only: vec![only.to_owned()], ..Options::default() }));
        assert_eq!(of("posts"), ["~ post 1 \"x\": title"]);
        assert_eq!(of("wp_options"), ["~ option blogname: \"Site\" -> \"x\""]);
        assert!(of("postmeta").is_empty());
    }

    #[test]
    fn a_branch_is_compared_with_its_files_and_with_a_database_that_the_other_may_not_have() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        let (main, s) = (branch(&site, "main", None), branch(&site, "s", Some("main")));
        let since = Since::Branch(main.clone());
        let put = |name: &BranchName, path: &str, text: &str| {
            let path = site.layout.branch(name).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put(&main, "a.php", "one\n");
        put(&s, "a.php", "two\n");
        put(&s, "wp-content/x.css", "x\n");
        let database = database_of(&site.layout.branch(&s));
        fs::create_dir_all(database.parent().unwrap()).unwrap();
        Connection::open(&database).unwrap().execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)").unwrap();
        let told = |only: &[&str]| {
            let only = only.iter().map(|name| (*name).to_owned()).collect();
            let diff = diff(&site, &s, &since, &Options { only, ..Options::default() })?;
            let files = diff.files.iter().map(|file| file.path.clone());
            Ok::<_, DiffError>(files.chain(lines(&diff.content)).collect::<Vec<_>>())
        };
        assert_eq!(told(&[]).unwrap(), ["a.php", "wp-content/x.css", "+ table t: 1 row added"]);
        assert_eq!(told(&["wp-content/"]).unwrap(), ["wp-content/x.css"]);
        assert_eq!(told(&["T"]).unwrap(), ["+ table t: 1 row added"]);
        assert_eq!(told(&["a.php", "t"]).unwrap(), ["a.php", "+ table t: 1 row added"]);
        assert!(matches!(told(&["b.php"]), Err(DiffError::Unknown { name }) if name == "b.php"));
        assert!(diff(&site, &s, &Since::Branch(s.clone()), &Options::default()).unwrap().is_empty());
        let none = diff(&site, &s, &Since::Parting(main.clone()), &Options::default()).unwrap_err();
        assert!(matches!(none, DiffError::Base(BaseError::NoParting { .. })));
    }
}
