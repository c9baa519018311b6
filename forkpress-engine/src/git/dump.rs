//! `database.sql`: a branch's database as text, one row a line, the same text for the same content.
//!
//! Loaded into an empty database it gives the branch's, with three differences: secrets are hidden ([`redact`]), what a
//! mere page view changes is left out ([`Rows::leaves_out`]), and the counters of `AUTOINCREMENT` are recomputed from
//! the rows. It is written row by row: no table is in memory.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use thiserror::Error;

use super::redact::{self, TableSecrets};
use crate::noise;

/// Why there is no dump.
#[derive(Debug, Error)]
pub(super) enum DumpError {
    /// The database can't be read.
    #[error("cannot read the database")]
    Read(#[from] rusqlite::Error),
    /// The text can't be written.
    #[error("cannot write the text of the database")]
    Write(#[from] io::Error),
}

/// Writes the database that a connection is open to as text. The connection is in a read transaction.
pub(super) fn write(connection: &Connection, to: impl Write) -> Result<(), DumpError> {
    let mut out = BufWriter::with_capacity(1 << 16, to);
    out.write_all(b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n")?;
    let mut tables = connection.prepare(
        "SELECT l.name, l.type, l.wr, l.strict, s.sql FROM pragma_table_list AS l JOIN sqlite_schema AS s \
         ON s.type = 'table' AND s.name = l.name WHERE l.schema = 'main' AND l.type <> 'shadow' AND l.name NOT LIKE 'sqlite\\_%' \
         ESCAPE '\\' ORDER BY l.name",
    )?;
    let mut rows = tables.query([])?;
    while let Some(row) = rows.next()? {
        let table = DatabaseTable {
            name: row.get(0)?,
            is_virtual: row.get::<_, String>(1)? == "virtual",
            has_rowid: !row.get::<_, bool>(2)?,
            is_strict: row.get(3)?,
        };
        let sql: String = row.get(4)?;
        writeln!(out, "{};", sql.trim_end())?;
        table.write_rows(connection, &mut out)?;
    }
    // Triggers after the rows, which they would react to; views after the tables, in the order in which they were made.
    for kind in ["index", "view", "trigger"] {
        let order = if kind == "view" { "rowid" } else { "name" };
        let mut statements = connection
            .prepare(&format!("SELECT sql FROM sqlite_schema WHERE type = ? AND sql IS NOT NULL ORDER BY {order}"))?;
        let mut rows = statements.query([kind])?;
        while let Some(row) = rows.next()? {
            writeln!(out, "{};", row.get::<_, String>(0)?.trim_end())?;
        }
    }
    out.write_all(b"COMMIT;\n")?;
    out.flush()?;
    Ok(())
}

struct DatabaseTable {
    name: String,
    is_virtual: bool,
    has_rowid: bool,
    is_strict: bool,
}

struct Column {
    name: String,
    /// Whether rows are told apart by it: a number in it is no secret.
    is_key: bool,
    /// Whether no two rows may have the same in it.
    is_unique: bool,
}

impl DatabaseTable {
    fn write_rows(&self, connection: &Connection, out: &mut impl Write) -> Result<(), DumpError> {
        if noise::is_table(&self.name) {
            return Ok(());
        }
        let (columns, mut order) = self.columns(connection)?;
        if self.has_rowid {
            // A column may have taken a name of the row's number.
            let is_free = |name: &&&str| !columns.iter().any(|column| column.name.eq_ignore_ascii_case(name));
            order.extend(["rowid", "_rowid_", "oid"].iter().find(is_free).map(|name| (*name).to_owned()));
        }
        let list = columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(",");
        let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {}", order.join(",")) };
        let mut statement = connection.prepare(&format!("SELECT {list} FROM {}{order}", quoted(&self.name)))?;
        let mut rows = statement.query([])?;
        let told = Rows::of(&columns);
        let start = format!("INSERT INTO {}({list}) VALUES(", quoted(&self.name));
        let mut number_of_row = 0_u64;
        while let Some(row) = rows.next()? {
            if told.leaves_out(row) {
                continue;
            }
            let is_secret_row = told.secrets.names_a_secret(|column| text_in(row, column));
            number_of_row += 1;
            out.write_all(start.as_bytes())?;
            for (number, column) in columns.iter().enumerate() {
                if number > 0 {
                    out.write_all(b",")?;
                }
                let is_named = is_secret_row && told.secrets.is_named(number);
                let secrecy = Secrecy {
                    texts: told.secrets.hides_texts(number) || is_named,
                    numbers: told.secrets.hides_numbers(number) && !column.is_key || is_named && !column.is_unique,
                    number: if self.is_strict { "0" } else { "'[redacted]'" },
                    row: column.is_unique.then_some(number_of_row),
                };
                write_value(out, row.get_ref(number)?, &secrecy)?;
            }
            out.write_all(b");\n")?;
        }
        Ok(())
    }

    /// The columns that can be written to, and those that rows are told apart by.
    fn columns(&self, connection: &Connection) -> Result<(Vec<Column>, Vec<String>), DumpError> {
        let mut statement = connection.prepare("SELECT name, pk, hidden FROM pragma_table_xinfo(?)")?;
        let mut rows = statement.query([&self.name])?;
        let (mut columns, mut key) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            let (name, place, hidden): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            // Generated, or of a virtual table what is no column of its rows.
            if hidden != 0 {
                continue;
            }
            let is_key = place > 0 && !self.is_virtual;
            if is_key {
                key.push((place, quoted(&name)));
            }
            columns.push(Column { name, is_key, is_unique: is_key });
        }
        let mut statement = connection.prepare(
            "SELECT c.name FROM pragma_index_list(?) AS i, pragma_index_info(i.name) AS c WHERE i.\"unique\" AND c.name IS NOT NULL",
        )?;
        let mut rows = statement.query([&self.name])?;
        while let Some(row) = rows.next()? {
            let unique: String = row.get(0)?;
            columns.iter_mut().filter(|column| column.name == unique).for_each(|column| column.is_unique = true);
        }
        key.sort_unstable();
        Ok((columns, key.into_iter().map(|(_, name)| name).collect()))
    }
}

/// What of a table's rows is told: tables of options and of metadata name what each row holds.
struct Rows {
    name: Option<usize>,
    status: Option<usize>,
    secrets: TableSecrets,
}

impl Rows {
    fn of(columns: &[Column]) -> Self {
        let find = |names: &[&str]| {
            columns.iter().position(|column| names.iter().any(|name| column.name.eq_ignore_ascii_case(name)))
        };
        let name = find(&["option_name", "meta_key", "name", "key"]);
        let value = find(&["option_value", "meta_value", "value"]);
        Self {
            name: name.filter(|_| value.is_some()),
            status: find(&["post_status"]),
            secrets: TableSecrets::of(columns.iter().map(|column| column.name.as_str())),
        }
    }

    /// Whether a row is one that page views make, change and remove: transients, sessions, the schedule, rewrite rules, edit
    /// locks, and the empty drafts that the dashboard makes.
    fn leaves_out(&self, row: &Row<'_>) -> bool {
        let text = |column: Option<usize>| column.and_then(|column| text_in(row, column)).unwrap_or_default();
        noise::is_status(text(self.status)) || noise::is_name(text(self.name))
    }
}

fn text_in<'r>(row: &'r Row<'_>, column: usize) -> Option<&'r [u8]> {
    match row.get_ref(column) {
        Ok(ValueRef::Text(text)) => Some(text),
        _ => None,
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What of a value is told.
struct Secrecy {
    texts: bool,
    numbers: bool,
    /// What stands for a number that is a secret.
    number: &'static str,
    /// The number of the row, where each is to have a placeholder of its own.
    row: Option<u64>,
}

impl Secrecy {
    fn of<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        match (redact::value(self.texts, text), self.row) {
            (None, _) => Cow::Borrowed(text),
            (Some(redacted), Some(row)) if row > 1 && redacted == redact::PLACEHOLDER.as_bytes() => {
                Cow::Owned(format!("[redacted {row}]").into_bytes())
            }
            (Some(redacted), _) => Cow::Owned(redacted),
        }
    }
}

fn write_value(out: &mut impl Write, value: ValueRef<'_>, secrecy: &Secrecy) -> io::Result<()> {
    match value {
        ValueRef::Null => out.write_all(b"NULL"),
        ValueRef::Integer(number) if secrecy.numbers && !matches!(number, 0 | 1) => write!(out, "{}", secrecy.number),
        ValueRef::Real(_) if secrecy.numbers => write!(out, "{}", secrecy.number),
        ValueRef::Integer(number) => write!(out, "{number}"),
        ValueRef::Real(number) if number.is_infinite() => {
            out.write_all(if number > 0.0 { b"9e999" } else { b"-9e999" })
        }
        // The shortest that is read back as the same number.
        ValueRef::Real(number) => write!(out, "{number:?}"),
        ValueRef::Text(text) => write_text(out, &secrecy.of(text)),
        ValueRef::Blob(bytes) => write_blob(out, &secrecy.of(bytes)),
    }
}

fn write_blob(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(b"X'")?;
    bytes.iter().try_for_each(|byte| write!(out, "{byte:02X}"))?;
    out.write_all(b"'")
}

/// A line break in a text is written as `\n` that `replace()` makes a line break again; another word where it has `\n`.
fn write_text(out: &mut impl Write, text: &[u8]) -> io::Result<()> {
    if text.contains(&0) || std::str::from_utf8(text).is_err() {
        out.write_all(b"CAST(")?;
        write_blob(out, text)?;
        return out.write_all(b" AS TEXT)");
    }
    let breaks: Vec<_> = [(b'\n', "\\n", 10), (b'\r', "\\r", 13)]
        .into_iter()
        .filter(|(byte, ..)| text.contains(byte))
        .map(|(byte, word, code)| (byte, word_not_in(text, word), code))
        .collect();
    breaks.iter().try_for_each(|_| out.write_all(b"replace("))?;
    out.write_all(b"'")?;
    let mut copied = 0;
    for (at, byte) in text.iter().enumerate() {
        let with = match breaks.iter().find(|(code, ..)| code == byte) {
            Some((_, word, _)) => word.as_str(),
            None if *byte == b'\'' => "''",
            None => continue,
        };
        out.write_all(&text[copied..at])?;
        out.write_all(with.as_bytes())?;
        copied = at + 1;
    }
    out.write_all(&text[copied..])?;
    out.write_all(b"'")?;
    breaks.iter().try_for_each(|(_, word, code)| write!(out, ",'{word}',char({code}))"))
}

fn word_not_in(text: &[u8], word: &str) -> String {
    let is_in = |word: &str| text.windows(word.len()).any(|part| part == word.as_bytes());
    let mut found = word.to_owned();
    let mut number = 0_u32;
    while is_in(&found) {
        found = format!("{word}{number}~");
        number += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(connection: &Connection) -> String {
        let mut text = Vec::new();
        write(connection, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn database(statements: &str) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(statements).unwrap();
        connection
    }

    const STATEMENTS: &str = r#"
        CREATE TABLE "odd ""name" (b TEXT, a INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
        INSERT INTO "odd ""name" VALUES ('z', 1), ('y', 2), ('x', 1);
        CREATE TABLE posts (id INTEGER PRIMARY KEY AUTOINCREMENT, content, length GENERATED ALWAYS AS (length(content)));
        INSERT INTO posts (content) VALUES
            ('plain'), ('it''s'), ('two' || char(10) || 'lines'), ('dos' || char(13, 10) || 'lines and a \n and a \r'),
            (NULL), (1), (-9223372036854775808), (0.1), (1e300), (9e999), (-9e999), (x''), (x'00ff'), (char(0) || 'a'),
            (CAST(x'ff27' AS TEXT)), (''), ('é'), (2.0);
        CREATE TABLE plain (rowid TEXT, x);
        INSERT INTO plain VALUES ('b', 1), ('a', 2);
        CREATE INDEX by_content ON posts (content);
        CREATE VIEW later AS SELECT * FROM posts;
        CREATE TABLE log (x);
        CREATE TRIGGER note AFTER INSERT ON plain BEGIN INSERT INTO log VALUES (new.x); END;
        CREATE VIRTUAL TABLE words USING fts5(text);
        INSERT INTO words VALUES ('some words'), ('more');
    "#;

    #[test]
    fn what_is_loaded_is_what_was_dumped() {
        let original = database(STATEMENTS);
        let text = dump(&original);
        let loaded = database(&text);
        assert_eq!(dump(&loaded), text);
        let count =
            |connection: &Connection, sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count(&loaded, "SELECT count(*) FROM log"), 0, "no trigger ran");
        assert_eq!(count(&loaded, "SELECT count(*) FROM words WHERE words MATCH 'more'"), 1);
        let contents = |connection: &Connection| -> Vec<(String, String)> {
            let mut statement = connection.prepare("SELECT typeof(content), CASE typeof(content) WHEN 'text' THEN hex(content) ELSE quote(content) END FROM posts").unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            rows.map(Result::unwrap).collect()
        };
        assert_eq!(contents(&loaded), contents(&original));
    }

    #[test]
    fn each_row_is_a_line_in_the_order_of_the_key() {
        let text = dump(&database(STATEMENTS));
        let rows: Vec<_> = text.lines().filter(|line| line.contains("odd")).collect();
        let insert = r#"INSERT INTO "odd ""name"("b","a") VALUES("#;
        assert_eq!(rows[1..], ["'x',1);", "'z',1);", "'y',2);"].map(|values| format!("{insert}{values}")));
        assert_eq!(text.lines().filter(|line| line.starts_with("INSERT")).count(), 3 + 18 + 2 + 2);
        assert!(text.contains(r"VALUES(3,replace('two\nlines','\n',char(10)));"));
    }

    #[test]
    fn secrets_are_not_told_and_what_page_views_change_neither() {
        let text = dump(&database(
            r#"
            CREATE TABLE wp_users (ID INTEGER PRIMARY KEY, user_login, user_pass, user_activation_key);
            INSERT INTO wp_users VALUES (1, 'admin', '$P$Bhash', ''), (2, 'eve', 'x', 'activate');
            CREATE TABLE wp_usermeta (umeta_id INTEGER PRIMARY KEY, user_id, meta_key, meta_value);
            INSERT INTO wp_usermeta VALUES (1, 1, 'session_tokens', 'a:1:{s:4:"hash";i:1;}'), (2, 1, 'nickname', 'admin'),
                (3, 1, '_application_passwords', 'a:1:{i:0;a:1:{s:8:"password";s:4:"hash";}}'),
                (4, 1, 'wp_2_persisted_preferences', 'gone'), (5, 1, 'wp_user-settings', 'gone'), (6, 1, 'metaboxhidden_post', 'gone');
            CREATE TABLE wp_options (option_id INTEGER PRIMARY KEY AUTOINCREMENT, option_name, option_value);
            INSERT INTO wp_options VALUES (1, 'siteurl', 'http://x'), (2, '_transient_x', 'gone'), (3, 'cron', 'gone'),
                (4, 'mailserver_pass', 'hunter2'), (5, 'smtp', 'a:1:{s:4:"pass";s:3:"abc";}'), (6, 'auth_key', 'k'),
                (7, 'users_can_register', '0'), (8, 'recovery_keys', 'gone'), (9, 'recovery_mode_email_last_sent', 'gone'),
                (10, 'can_compress_scripts', 'gone'), (11, 'abc_paused_extensions', 'gone'), (12, 'recently_activated', 'gone'),
                (13, 'finished_updating_comment_type', 'gone');
            CREATE TABLE wp_postmeta (meta_id INTEGER PRIMARY KEY, post_id, meta_key, meta_value);
            INSERT INTO wp_postmeta VALUES (1, 1, '_pingme', '1'), (2, 1, '_encloseme', '1'), (3, 1, '_pingmenot', 'x');
            CREATE TABLE wp_posts (ID INTEGER PRIMARY KEY, post_status, post_password);
            INSERT INTO wp_posts VALUES (1, 'publish', ''), (2, 'auto-draft', ''), (3, 'draft', 'open sesame');
            "#,
        ));
        let rows: Vec<_> =
            text.lines().filter_map(|line| line.split_once(" VALUES(")).map(|(_, values)| values).collect();
        assert_eq!(
            rows,
            [
                "1,'siteurl','http://x');",
                "4,'mailserver_pass','[redacted]');",
                r#"5,'smtp','a:1:{s:4:"pass";s:10:"[redacted]";}');"#,
                "6,'auth_key','[redacted]');",
                "7,'users_can_register','0');",
                "3,1,'_pingmenot','x');",
                "1,'publish','');",
                "3,'draft','[redacted]');",
                "2,1,'nickname','admin');",
                r#"3,1,'_application_passwords','a:1:{i:0;a:1:{s:8:"password";s:10:"[redacted]";}}');"#,
                "1,'admin','[redacted]','');",
                "2,'eve','[redacted]','[redacted]');",
            ]
        );
    }

    #[test]
    fn what_a_column_names_is_a_secret_where_its_name_is_and_so_are_numbers_and_addresses() {
        let text = dump(&database(
            r#"
            CREATE TABLE settings (setting_name PRIMARY KEY, setting_value);
            INSERT INTO settings VALUES ('colour', 'red'), ('smtp_password', 'abc'), ('pin_otp', 123456), ('auth_code', x'616263');
            CREATE TABLE pairs (id INTEGER PRIMARY KEY, name, data);
            INSERT INTO pairs VALUES (1, 'api_key', 'abc'), (2, 'a story of a password', 'told'), (3, 'list', '{"a":"b"}');
            CREATE TABLE wp_comments (comment_ID INTEGER PRIMARY KEY, comment_author_IP, comment_content);
            INSERT INTO wp_comments VALUES (1, '192.0.2.7', 'hello'), (2, '', 'redis://:abc@h');
            CREATE TABLE codes (token_id INTEGER PRIMARY KEY, token TEXT UNIQUE, otp INTEGER, token_expires INTEGER);
            INSERT INTO codes VALUES (7, 'abc', 123456, 1700000000), (8, 'abcd', 0, 1700000001);
            CREATE TABLE strict (otp INTEGER) STRICT;
            INSERT INTO strict VALUES (123456);
            CREATE TABLE posts (post_name, post_content);
            INSERT INTO posts VALUES ('reset-password', 'How to');
            "#,
        ));
        let rows: Vec<_> =
            text.lines().filter_map(|line| line.split_once(" VALUES(")).map(|(_, values)| values).collect();
        assert_eq!(
            rows,
            [
                "7,'[redacted]','[redacted]',1700000000);",
                "8,'[redacted 2]',0,1700000001);",
                "1,'api_key','[redacted]');",
                "2,'a story of a password','told');",
                r#"3,'list','{"a":"b"}');"#,
                "'reset-password','How to');",
                "'auth_code',X'5B72656461637465645D');",
                "'colour','red');",
                "'pin_otp','[redacted]');",
                "'smtp_password','[redacted]');",
                "0);",
                "1,'[redacted]','hello');",
                "2,'','redis://:[redacted]@h');",
            ]
        );
        assert_eq!(dump(&database(&text)), text, "it can be loaded");
    }
}
