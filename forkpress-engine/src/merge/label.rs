//! What a person calls a row: `post 1 "Hello world!"`, `comment 7 on post 1 by Ann`, `option active_plugins`.
//!
//! `TABLES` says which of WordPress's tables have a row for each object, and which have rows that are parts of one. Those of
//! plugins are in the `Rules`. What is shown of a row passes the rules for secrets, as what Git shows of it does.

use std::borrow::Cow;
use std::fmt;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, ToSql};
use serde::Serialize;

use super::rules::{Object, Rules};
use super::schema::quoted;
use super::{Row, Value};
use crate::git::redact;

/// How much of a title is shown.
pub(crate) const TITLE_LENGTH: usize = 60;

/// A kind of object that a site is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Post,
    Comment,
    Term,
    User,
    Link,
    Option,
    /// One of a plugin, by its number among the objects in the rules.
    Declared(usize),
}

/// A table that objects are made of.
#[derive(Debug, Clone)]
pub(crate) struct ObjectTable {
    /// Its name without the site's prefix.
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: Kind,
    /// The column that says which object a row is, or is a part of.
    pub(crate) id: Cow<'static, str>,
    /// Whether each row is an object, not only a part of one.
    pub(crate) is_main: bool,
}

const fn main(name: &'static str, kind: Kind, id: &'static str) -> ObjectTable {
    ObjectTable { name: Cow::Borrowed(name), kind, id: Cow::Borrowed(id), is_main: true }
}

const fn part(name: &'static str, kind: Kind, id: &'static str) -> ObjectTable {
    ObjectTable { name: Cow::Borrowed(name), kind, id: Cow::Borrowed(id), is_main: false }
}

const TABLES: [ObjectTable; 12] = [
    main("posts", Kind::Post, "ID"),
    main("comments", Kind::Comment, "comment_ID"),
    main("terms", Kind::Term, "term_id"),
    main("users", Kind::User, "ID"),
    main("links", Kind::Link, "link_id"),
    main("options", Kind::Option, "option_name"),
    part("postmeta", Kind::Post, "post_id"),
    part("commentmeta", Kind::Comment, "comment_id"),
    part("termmeta", Kind::Term, "term_id"),
    part("usermeta", Kind::User, "user_id"),
    part("term_taxonomy", Kind::Term, "term_id"),
    // Of the taxonomy of links, `object_id` is a link's.
    part("term_relationships", Kind::Post, "object_id"),
];

/// What makes a prefix one of WordPress's tables, and not only of some that are called alike.
const LANDMARKS: [&str; 4] = ["options", "posts", "terms", "term_taxonomy"];

/// What posts of WordPress's own types are called, where that is not the name of the type.
const POST_TYPES: [(&str, &str); 10] = [
    ("nav_menu_item", "menu item"),
    ("wp_template", "template"),
    ("wp_template_part", "template part"),
    ("wp_block", "pattern"),
    ("wp_navigation", "navigation"),
    ("wp_global_styles", "global styles"),
    ("wp_font_family", "font family"),
    ("wp_font_face", "font face"),
    ("custom_css", "custom CSS"),
    ("customize_changeset", "customizer changes"),
];

/// Whether posts of a type have pages of their own. Those of plugins may have some.
fn has_address(post_type: &str) -> bool {
    !POST_TYPES.iter().any(|(own, _)| *own == post_type)
}

/// The same of taxonomies.
const TAXONOMIES: [(&str, &str); 6] = [
    ("post_tag", "tag"),
    ("nav_menu", "menu"),
    ("post_format", "post format"),
    ("link_category", "link category"),
    ("wp_theme", "theme"),
    ("wp_template_part_area", "template part area"),
];

fn called(names: &[(&str, &str)], name: String) -> String {
    names.iter().find(|(found, _)| *found == name).map_or(name, |(_, called)| (*called).to_owned())
}

/// What a person calls an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Label {
    /// `post`, `page`, `category`, `user`, `option`.
    pub kind: String,
    /// Its number; none of an option.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// What it is called in its own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What else tells it from others: a login, the name of an option, `on post 1 by Ann`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        self.id.iter().try_for_each(|id| write!(f, " {id}"))?;
        match self.title.as_deref() {
            Some("") => write!(f, " (no title)")?,
            Some(title) => write!(f, " \"{}\"", shortened(title, TITLE_LENGTH))?,
            None => {}
        }
        self.name.iter().try_for_each(|name| write!(f, " {name}"))
    }
}

/// A text of one line, of so many characters at most.
pub(crate) fn shortened(text: &str, length: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

/// A text of so many characters at most, its lines as they are.
pub(crate) fn shortened_lines(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Which tables have objects in them, and what people call those.
#[derive(Debug)]
pub(crate) struct Names<'r> {
    /// What the names of WordPress's tables begin with, the longest first.
    prefixes: Vec<String>,
    tables: Vec<ObjectTable>,
    objects: &'r [Object],
}

impl<'r> Names<'r> {
    /// Those of databases that have tables with these names in lower case.
    pub(crate) fn of<'a>(tables: impl Iterator<Item = &'a str> + Clone, rules: &'r Rules) -> Self {
        let mut names = Self { prefixes: prefixes(tables), tables: TABLES.to_vec(), objects: &rules.objects };
        for (number, object) in names.objects.iter().enumerate() {
            let kind = Kind::Declared(number);
            if !names.add(ObjectTable { name: object.table.clone(), kind, id: object.key.clone(), is_main: true }) {
                // One of WordPress's.
                continue;
            }
            for owned in &*object.owned {
                names.add(ObjectTable { name: owned.table.clone(), kind, id: owned.by.clone(), is_main: false });
            }
        }
        names
    }

    /// Says whether nobody else had the table.
    fn add(&mut self, table: ObjectTable) -> bool {
        let is_new = self.tables.iter().all(|known| known.name != table.name);
        if is_new {
            self.tables.push(table);
        }
        is_new
    }

    /// The prefix of a table's name in lower case, and the rest of it.
    pub(crate) fn split<'t>(&self, table: &'t str) -> (&'t str, &'t str) {
        let prefix = self.prefixes.iter().find(|prefix| table.starts_with(prefix.as_str()));
        table.split_at(prefix.map_or(0, String::len))
    }

    /// Whether tables with a prefix are those of the only site, or of the first one of a network.
    pub(crate) fn is_first_site(&self, prefix: &str) -> bool {
        self.prefixes.last().is_some_and(|first| first == prefix)
    }

    /// The prefix of a table, and what objects have in it; none where it has nothing of any.
    pub(crate) fn object_table<'t>(&self, table: &'t str) -> Option<(&'t str, &ObjectTable)> {
        let (prefix, name) = self.split(table);
        let is_of_wordpress = self.prefixes.iter().any(|known| known == prefix);
        Some((prefix, self.tables.iter().find(|object| is_of_wordpress && object.name == name)?))
    }
}

/// The prefixes of WordPress's tables among tables with these names: one, or one for each site of a network. The longest are
/// the first. `names`: in lower case.
pub(crate) fn prefixes<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let is_there = |name: &str| names.clone().any(|found| found == name);
    let mut prefixes: Vec<_> = names
        .clone()
        .filter_map(|name| name.strip_suffix(LANDMARKS[0]))
        .filter(|prefix| LANDMARKS.iter().all(|name| is_there(&format!("{prefix}{name}"))))
        .map(str::to_owned)
        .collect();
    prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.len()));
    prefixes
}

/// Which object a row is, or is a part of: its number, or its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ObjectKey {
    Number(i64),
    Name(String),
}

impl ObjectKey {
    /// What the value of the column that names the object says.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(number) => Some(Self::Number(*number)),
            Value::Text(text) => Some(Self::Name(String::from_utf8_lossy(text).into_owned())),
            _ => None,
        }
    }
}

impl Names<'_> {
    /// What a person calls a row, as far as the database that the connection is open to knows: it need not have the row.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn of_row(
        &self,
        connection: &Connection,
        table: &str,
        columns: &[String],
        row: &Row,
    ) -> rusqlite::Result<String> {
        let value = |name: &str| {
            let number = columns.iter().position(|column| column.eq_ignore_ascii_case(name))?;
            row.get(number)?.as_ref()
        };
        let folded = table.to_ascii_lowercase();
        let keyed = self.object_table(&folded).and_then(|(prefix, object)| {
            let key = value(&object.id).and_then(ObjectKey::of)?;
            Some((prefix, object, key))
        });
        let Some((prefix, object, key)) = keyed else {
            let key: Vec<_> =
                row.iter().take(1).flatten().map(|value| shortened(&shown(value), TITLE_LENGTH)).collect();
            return Ok(format!("row {} of {table}", key.join(" ")));
        };
        let label = self.of_object(connection, prefix, object.kind, &key)?;
        if let Some(meta_key) = value("meta_key") {
            return Ok(format!("meta {} of {label}", shown(meta_key)));
        }
        if let Some(Value::Integer(taxonomy)) = value("term_taxonomy_id")
            && object.kind == Kind::Post
            && let Some((_, term)) = self.term_of(connection, prefix, *taxonomy)?
        {
            return Ok(format!("{label} in {term}"));
        }
        Ok(label.to_string())
    }

    /// What a person calls an object.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn of_object(
        &self,
        connection: &Connection,
        prefix: &str,
        kind: Kind,
        key: &ObjectKey,
    ) -> rusqlite::Result<Label> {
        if let Kind::Declared(number) = kind {
            return self.of_declared(connection, prefix, &self.objects[number], key);
        }
        let id = match key {
            ObjectKey::Number(id) => *id,
            ObjectKey::Name(name) => {
                return Ok(Label { kind: word(kind).to_owned(), id: None, title: None, name: Some(told(name)) });
            }
        };
        let label = |kind: String, title, name| Label { kind, id: Some(id), title, name };
        let plain = label(word(kind).to_owned(), None, None);
        let prefix_in_name = prefix.replace('"', "\"\"");
        let find = |sql: &str| texts(connection, &sql.replace('@', &prefix_in_name), &[&id]);
        Ok(match kind {
            Kind::Post => match find("SELECT post_type, post_title FROM \"@posts\" WHERE ID = ?")?.as_deref() {
                Some([kind, title]) => label(called(&POST_TYPES, kind.clone()), Some(told(title)), None),
                _ => plain,
            },
            Kind::Comment => {
                let found = find("SELECT comment_author, comment_post_ID FROM \"@comments\" WHERE comment_ID = ?")?;
                let Some([author, post]) = found.as_deref() else { return Ok(plain) };
                let post = self.of_object(
                    connection,
                    prefix,
                    Kind::Post,
                    &ObjectKey::Number(post.parse().unwrap_or_default()),
                )?;
                let id = post.id.unwrap_or_default();
                let author =
                    if author.is_empty() { "somebody".to_owned() } else { shortened(&told(author), TITLE_LENGTH) };
                label(plain.kind, None, Some(format!("on {} {id} by {author}", post.kind)))
            }
            Kind::Term => {
                let found = find(
                    "SELECT t.name, x.taxonomy FROM \"@terms\" AS t LEFT JOIN \"@term_taxonomy\" AS x ON x.term_id = t.term_id \
                 WHERE t.term_id = ?",
                )?;
                match found.as_deref() {
                    Some([name, taxonomy]) if taxonomy.is_empty() => label(plain.kind, Some(told(name)), None),
                    Some([name, taxonomy]) => label(called(&TAXONOMIES, taxonomy.clone()), Some(told(name)), None),
                    _ => plain,
                }
            }
            Kind::User => match find("SELECT user_login FROM \"@users\" WHERE ID = ?")?.as_deref() {
                Some([login]) => label(plain.kind, None, Some(told(login))),
                _ => plain,
            },
            Kind::Link => match find("SELECT link_name FROM \"@links\" WHERE link_id = ?")?.as_deref() {
                Some([name]) => label(plain.kind, Some(told(name)), None),
                _ => plain,
            },
            Kind::Option | Kind::Declared(_) => plain,
        })
    }

    fn of_declared(
        &self,
        connection: &Connection,
        prefix: &str,
        object: &Object,
        key: &ObjectKey,
    ) -> rusqlite::Result<Label> {
        let (table, column) = (quoted(&format!("{prefix}{}", object.table)), quoted(&object.key));
        let sql = format!("SELECT {} FROM {table} WHERE {column} = ?", quoted(&object.name));
        let (id, name, parameter): (_, _, &dyn ToSql) = match key {
            ObjectKey::Number(id) => (Some(*id), None, id),
            ObjectKey::Name(name) => (None, Some(told(name)), name),
        };
        let title = texts(connection, &sql, &[parameter])?.map(|found| told(&found[0]));
        Ok(Label { kind: object.noun.clone().into_owned(), id, title, name })
    }

    /// Whether visitors see a post at `/?p=` and its number: one that is published, of the first site of a network.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn is_seen(&self, connection: &Connection, prefix: &str, post: i64) -> rusqlite::Result<bool> {
        let posts = format!("{prefix}posts");
        // A database may have no such table.
        if !self.is_first_site(prefix) || !connection.table_exists(None, &*posts)? {
            return Ok(false);
        }
        let sql = format!("SELECT post_status, post_type FROM {} WHERE ID = ?", quoted(&posts));
        let found = texts(connection, &sql, &[&post])?;
        Ok(found.is_some_and(|found| found[0] == "publish" && has_address(&found[1])))
    }

    /// The number of the term that a row of `term_taxonomy` is of, and what it is called.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn term_of(
        &self,
        connection: &Connection,
        prefix: &str,
        term_taxonomy_id: i64,
    ) -> rusqlite::Result<Option<(i64, Label)>> {
        let sql =
            format!("SELECT term_id FROM {} WHERE term_taxonomy_id = ?", quoted(&format!("{prefix}term_taxonomy")));
        let found: Option<i64> = connection.query_row(&sql, [term_taxonomy_id], |row| row.get(0)).optional()?;
        let Some(id) = found else { return Ok(None) };
        Ok(Some((id, self.of_object(connection, prefix, Kind::Term, &ObjectKey::Number(id))?)))
    }
}

/// The first row of a query, as texts; what is null is empty.
pub(crate) fn texts(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn ToSql],
) -> rusqlite::Result<Option<Vec<String>>> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns = statement.column_count();
    let read = |row: &rusqlite::Row<'_>| (0..columns).map(|number| Ok(text(row.get_ref(number)?))).collect();
    statement.query_row(parameters, read).optional()
}

/// A value as a text.
pub(crate) fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => format!("{number:?}"),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn shown(value: &Value) -> String {
    told(&text(value.as_ref()))
}

/// What of a text may be told.
pub(crate) fn told(text: &str) -> String {
    redact::value(false, text.as_bytes())
        .map_or_else(|| text.to_owned(), |redacted| String::from_utf8_lossy(&redacted).into_owned())
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Post => "post",
        Kind::Comment => "comment",
        Kind::Term => "term",
        Kind::User => "user",
        Kind::Link => "link",
        Kind::Option => "option",
        Kind::Declared(_) => "row",
    }
}

#[cfg(test)]
pub(crate) mod testing {
    /// The tables of a small WordPress, with a few objects.
    pub(crate) const WORDPRESS: &str = r#"
        CREATE TABLE wp_posts (ID INTEGER PRIMARY KEY AUTOINCREMENT, post_author, post_date, post_date_gmt, post_content, post_title,
            post_status, post_name, post_modified, post_modified_gmt, post_parent DEFAULT 0, post_type, comment_count DEFAULT 0);
        CREATE TABLE wp_postmeta (meta_id INTEGER PRIMARY KEY, post_id, meta_key, meta_value);
        CREATE TABLE wp_comments (comment_ID INTEGER PRIMARY KEY, comment_post_ID, comment_author, comment_author_IP,
            comment_content, comment_approved);
        CREATE TABLE wp_commentmeta (meta_id INTEGER PRIMARY KEY, comment_id, meta_key, meta_value);
        CREATE TABLE wp_terms (term_id INTEGER PRIMARY KEY, name, slug);
        CREATE TABLE wp_termmeta (meta_id INTEGER PRIMARY KEY, term_id, meta_key, meta_value);
        CREATE TABLE wp_term_taxonomy (term_taxonomy_id INTEGER PRIMARY KEY, term_id, taxonomy, description DEFAULT '',
            parent DEFAULT 0, count DEFAULT 0);
        CREATE TABLE wp_term_relationships (object_id, term_taxonomy_id, term_order DEFAULT 0, PRIMARY KEY (object_id, term_taxonomy_id));
        CREATE TABLE wp_users (ID INTEGER PRIMARY KEY, user_login, user_pass, user_email, display_name);
        CREATE TABLE wp_usermeta (umeta_id INTEGER PRIMARY KEY, user_id, meta_key, meta_value);
        CREATE TABLE wp_links (link_id INTEGER PRIMARY KEY, link_name, link_url);
        CREATE TABLE wp_options (option_id INTEGER PRIMARY KEY, option_name TEXT UNIQUE, option_value, autoload DEFAULT 'on');
        INSERT INTO wp_posts (ID, post_title, post_content, post_status, post_type, post_name) VALUES
            (1, 'Hello world!', 'Welcome.', 'publish', 'post', 'hello-world'), (2, 'Sample', 'A page.', 'publish', 'page', 'sample'),
            (5, 'Old', 'Old.', 'publish', 'post', 'old'), (6, '', '', 'publish', 'nav_menu_item', '6');
        INSERT INTO wp_postmeta VALUES (1, 2, '_wp_page_template', 'default'), (2, 6, '_menu_item_type', 'custom');
        INSERT INTO wp_comments VALUES (7, 1, 'Ann', '192.0.2.7', 'Hi', '1'), (8, 5, '', '', 'Spam', '0');
        INSERT INTO wp_terms VALUES (1, 'Uncategorized', 'uncategorized'), (2, 'News', 'news'), (4, 'Main', 'main');
        INSERT INTO wp_term_taxonomy (term_taxonomy_id, term_id, taxonomy) VALUES (1, 1, 'category'), (2, 2, 'category'), (9, 4, 'nav_menu');
        INSERT INTO wp_term_relationships VALUES (1, 1, 0), (5, 1, 0), (6, 9, 0);
        INSERT INTO wp_users VALUES (1, 'admin', '$P$Bhash', 'a@example.org', 'Admin');
        INSERT INTO wp_usermeta VALUES (1, 1, 'nickname', 'admin');
        INSERT INTO wp_links VALUES (3, 'WordPress', 'https://wordpress.org/');
        INSERT INTO wp_options (option_id, option_name, option_value) VALUES (1, 'blogname', 'Site'), (2, 'user_count', '1'),
            (3, 'active_plugins', 'a:1:{i:0;s:9:"hello.php";}'), (4, 'cron', 'a:0:{}'), (5, 'mailserver_pass', 'hunter2'),
            (6, 'theme_mods_x', 'a:1:{s:5:"width";i:3;}');
    "#;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wordpress() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(testing::WORDPRESS).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE wp_x_orders (id INTEGER PRIMARY KEY, title); INSERT INTO wp_x_orders VALUES (3, 'Tea')",
            )
            .unwrap();
        connection
    }

    fn rules() -> Rules {
        let declared = r#"{"objects": [{"table": "x_orders", "key": "id", "name": "title", "owned": [{"table": "x_items", "by": "order_id"}]}]}"#;
        let mut rules = Rules::wordpress();
        rules.with_plugins(vec![serde_json::from_str(declared).unwrap()]);
        rules
    }

    const TABLES: [&str; 4] = ["wp_options", "wp_posts", "wp_terms", "wp_term_taxonomy"];

    #[test]
    fn an_object_is_called_what_a_person_calls_it() {
        let (connection, rules) = (wordpress(), rules());
        let names = Names::of(TABLES.into_iter(), &rules);
        let label = |kind, id| names.of_object(&connection, "wp_", kind, &ObjectKey::Number(id)).unwrap().to_string();
        assert_eq!(label(Kind::Post, 1), "post 1 \"Hello world!\"");
        assert_eq!(label(Kind::Post, 2), "page 2 \"Sample\"");
        assert_eq!(label(Kind::Post, 6), "menu item 6 (no title)");
        assert_eq!(label(Kind::Post, 99), "post 99");
        assert_eq!(label(Kind::Comment, 7), "comment 7 on post 1 by Ann");
        assert_eq!(label(Kind::Comment, 8), "comment 8 on post 5 by somebody");
        assert_eq!(label(Kind::Term, 2), "category 2 \"News\"");
        assert_eq!(label(Kind::Term, 4), "menu 4 \"Main\"");
        assert_eq!(label(Kind::User, 1), "user 1 admin");
        assert_eq!(label(Kind::Link, 3), "link 3 \"WordPress\"");
        let name = ObjectKey::Name("blogname".to_owned());
        assert_eq!(names.of_object(&connection, "wp_", Kind::Option, &name).unwrap().to_string(), "option blogname");
    }

    #[test]
    fn a_title_is_one_short_line_without_secrets() {
        let (connection, rules) = (wordpress(), Rules::wordpress());
        let names = Names::of(TABLES.into_iter(), &rules);
        let title = |text: &str| {
            connection.execute("UPDATE wp_posts SET post_title = ? WHERE ID = 1", [text]).unwrap();
            names.of_object(&connection, "wp_", Kind::Post, &ObjectKey::Number(1)).unwrap().to_string()
        };
        assert_eq!(title("two\n lines"), "post 1 \"two lines\"");
        assert_eq!(title(&"long ".repeat(20)), format!("post 1 \"{}…\"", "long ".repeat(12).trim_end()));
        assert_eq!(title("my ghp_0123456789abcdef0123456789"), "post 1 \"my [redacted]\"");
    }

    #[test]
    fn a_row_is_called_after_the_object_that_it_is_a_part_of() {
        let (connection, rules) = (wordpress(), rules());
        let names = Names::of(TABLES.into_iter(), &rules);
        let label = |table: &str, cells: &[(&str, Value)]| {
            let columns: Vec<_> = cells.iter().map(|(name, _)| (*name).to_owned()).collect();
            let row: Row = cells.iter().map(|(_, value)| Some(value.clone())).collect();
            names.of_row(&connection, table, &columns, &row).unwrap()
        };
        let number = Value::Integer;
        let key = Value::text("_thumbnail_id");
        assert_eq!(label("wp_posts", &[("ID", number(1))]), "post 1 \"Hello world!\"");
        assert_eq!(
            label("WP_PostMeta", &[("meta_id", number(3)), ("post_id", number(1)), ("meta_key", key)]),
            "meta _thumbnail_id of post 1 \"Hello world!\""
        );
        assert_eq!(
            label("wp_term_relationships", &[("object_id", number(1)), ("term_taxonomy_id", number(2))]),
            "post 1 \"Hello world!\" in category 2 \"News\""
        );
        assert_eq!(
            label("wp_term_taxonomy", &[("term_taxonomy_id", number(9)), ("term_id", number(4))]),
            "menu 4 \"Main\""
        );
        assert_eq!(label("wp_options", &[("option_name", Value::text("cron"))]), "option cron");
        assert_eq!(label("wp_orders", &[("id", number(12))]), "row 12 of wp_orders");
        assert_eq!(label("wp_x_orders", &[("id", number(3))]), "x_orders 3 \"Tea\"");
        assert_eq!(label("wp_x_items", &[("id", number(9)), ("order_id", number(3))]), "x_orders 3 \"Tea\"");
    }

    #[test]
    fn the_tables_of_each_site_have_its_prefix() {
        let of = |prefix: &str| LANDMARKS.iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>();
        let names = [of("wp_"), of("wp_2_"), vec!["x_options".to_owned(), "wp_users".to_owned()]].concat();
        let rules = Rules::wordpress();
        let names = Names::of(names.iter().map(String::as_str), &rules);
        assert_eq!(names.prefixes, ["wp_2_", "wp_"]);
        let found = |table| names.object_table(table).map(|(prefix, table)| (prefix, &*table.name));
        assert_eq!(found("wp_2_posts"), Some(("wp_2_", "posts")));
        assert_eq!(found("wp_usermeta"), Some(("wp_", "usermeta")));
        assert_eq!(found("wp_orders"), None);
        assert_eq!(found("x_options"), None);
    }
}
