//! What visitors see of a conflict, at the branches' own addresses.

use std::ffi::OsStr;
use std::path::Path;

use rusqlite::Connection;

use super::conflict_id::Conflict;
use super::label::{Kind, Names, ObjectKey};
use super::lookup::{row_of, table_names};
use super::rules::Rules;
use super::{Row, Sides};
use crate::git::merge::{FileConflict, Placed};

/// The files that a browser shows by themselves, by what their names end in.
const PICTURES: [&str; 8] = ["avif", "bmp", "gif", "ico", "jpeg", "jpg", "png", "webp"];

/// What visitors see of a conflict, and in which branch there is something to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What they see.
    pub what: SeenObject,
    /// Whether it is in the target.
    pub ours: bool,
    /// Whether it is in the source.
    pub theirs: bool,
}

/// What visitors see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenObject {
    /// The post with this number, at `/?p=` and the number.
    Post(i64),
    /// A picture, at its path below the branch's address.
    Picture(String),
}

/// Whether a browser shows a file by itself.
#[must_use]
pub fn is_picture(path: &Path) -> bool {
    let end = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    end.is_some_and(|end| PICTURES.contains(&end.as_str()))
}

impl Seen {
    fn of(what: SeenObject, ours: bool, theirs: bool) -> Option<Self> {
        (ours || theirs).then_some(Self { what, ours, theirs })
    }

    /// The post that a conflict of rows is about, or a part of which it is.
    pub(super) fn of_rows(
        conflict: &Conflict,
        Sides { source, target, .. }: Sides<&Connection>,
        rules: &Rules,
    ) -> rusqlite::Result<Option<Self>> {
        let sides = &conflict.sides;
        let ours = seen_post(conflict, sides.target.as_ref(), target, rules)?;
        let theirs = seen_post(conflict, sides.source.as_ref(), source, rules)?;
        let is_one = ours.zip(theirs).is_none_or(|(ours, theirs)| ours == theirs);
        Ok(ours
            .or(theirs)
            .filter(|_| is_one)
            .and_then(|post| Self::of(SeenObject::Post(post), ours.is_some(), theirs.is_some())))
    }

    /// A picture that both branches have at one place.
    pub(super) fn of_file(conflict: &FileConflict) -> Option<Self> {
        is_picture(&conflict.path).then_some(())?;
        let is_there = |placed: &Option<Placed>| placed.as_ref().is_some_and(|placed| placed.path == conflict.path);
        let path = conflict.path.to_str()?.to_owned();
        Self::of(SeenObject::Picture(path), is_there(&conflict.sides.target), is_there(&conflict.sides.source))
    }
}

/// The post that a row is, or is a part of, where visitors see it.
fn seen_post(
    conflict: &Conflict,
    row: Option<&Row>,
    connection: &Connection,
    rules: &Rules,
) -> rusqlite::Result<Option<i64>> {
    let tables = table_names(connection)?;
    let names = Names::of(tables.iter().map(String::as_str), rules);
    let table = conflict.place.table.to_ascii_lowercase();
    let Some((prefix, object)) = names.object_table(&table).filter(|(_, object)| object.kind == Kind::Post) else {
        return Ok(None);
    };
    if conflict.place.key.is_empty() {
        return Ok(None);
    }
    let (columns, row) = row_of(conflict, row, connection)?;
    let number = columns.iter().position(|column| column.eq_ignore_ascii_case(&object.id));
    let key = number.and_then(|number| row.get(number)?.as_ref()).and_then(ObjectKey::of);
    let Some(ObjectKey::Number(post)) = key else { return Ok(None) };
    Ok(names.is_seen(connection, prefix, post)?.then_some(post))
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::super::conflict_id::{ConflictKind, TablePlace};
    use super::*;

    /// A site whose posts have these numbers, states and types.
    fn site(posts: &[(i64, &str, &str)]) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        let tables = "CREATE TABLE wp_options (option_id INTEGER PRIMARY KEY, option_name TEXT, option_value TEXT);
            CREATE TABLE wp_posts (ID INTEGER PRIMARY KEY, post_title TEXT, post_status TEXT, post_type TEXT);
            CREATE TABLE wp_postmeta (meta_id INTEGER PRIMARY KEY, post_id INTEGER, meta_key TEXT, meta_value TEXT);
            CREATE TABLE wp_terms (term_id INTEGER PRIMARY KEY);
            CREATE TABLE wp_term_taxonomy (term_taxonomy_id INTEGER PRIMARY KEY);
            INSERT INTO wp_postmeta VALUES (70, 7, 'color', 'red');";
        connection.execute_batch(tables).unwrap();
        for (id, status, kind) in posts {
            let row = (id, "title", status, kind);
            connection.execute("INSERT INTO wp_posts VALUES (?, ?, ?, ?)", row).unwrap();
        }
        connection
    }

    /// What is seen of a cell where the target and the source have these posts.
    fn seen(table: &str, key: i64, target: &[(i64, &str, &str)], source: &[(i64, &str, &str)]) -> Option<Seen> {
        let [source, target] = [source, target].map(site);
        let place =
            TablePlace { table: table.to_owned(), key: vec![Value::Integer(key)], column: Some("x".to_owned()) };
        let conflict = Conflict::new(ConflictKind::Cell, place, Sides::default());
        let sides = Sides { base: &target, source: &source, target: &target };
        Seen::of_rows(&conflict, sides, &Rules::wordpress()).unwrap()
    }

    #[test]
    fn a_post_is_seen_where_it_is_published() {
        let (public, draft) = ([(7, "publish", "page")], [(7, "draft", "page")]);
        let post = |ours, theirs| Some(Seen { what: SeenObject::Post(7), ours, theirs });
        assert_eq!(seen("wp_posts", 7, &public, &public), post(true, true));
        assert_eq!(seen("WP_Posts", 7, &public, &draft), post(true, false));
        assert_eq!(seen("wp_postmeta", 70, &public, &[]), post(true, false));
        assert_eq!(seen("wp_posts", 7, &[], &public), post(false, true));
        assert_eq!(seen("wp_posts", 7, &draft, &draft), None);
        let menu_item = [(7, "publish", "nav_menu_item")];
        assert_eq!(seen("wp_posts", 7, &menu_item, &menu_item), None, "it has no address");
        assert_eq!(seen("wp_options", 7, &public, &public), None);
    }
}
