//! What some backups keep beside the dump: which plugins and which theme are active.

use std::path::Path;

use rusqlite::Connection;

use super::ImportError;
use crate::source::Facts;

/// Writes it into the options, where those are empty.
pub(super) fn restore(
    database: &Path,
    facts: &Facts,
    prefix: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<(), ImportError> {
    let active = facts.active_plugins.as_deref().map(serialized);
    let options = [
        ("active_plugins", active.as_deref()),
        ("template", facts.template.as_deref()),
        ("stylesheet", facts.stylesheet.as_deref()),
    ];
    let options =
        options.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?)));
    let table = format!("\"{}options\"", prefix.unwrap_or("wp_").replace('"', "\"\""));
    let failed = |source| ImportError::Database { path: database.to_owned(), source };
    let connection = Connection::open(database).map_err(failed)?;
    for (name, value) in options {
        let sql = format!(
            "UPDATE {table} SET option_value = ?2 WHERE option_name = ?1 AND option_value IN ('', 'a:0:{{}}') \
             AND option_value <> ?2"
        );
        if connection.execute(&sql, [name, value]).map_err(failed)? > 0 {
            notes.push(format!("{name} is what the backup says beside its dump"));
        }
    }
    connection.close().map_err(|(_, error)| failed(error))
}

/// A list of texts as PHP serializes it.
fn serialized(texts: &[String]) -> String {
    let items: String =
        texts.iter().enumerate().map(|(at, text)| format!("i:{at};s:{}:\"{text}\";", text.len())).collect();
    format!("a:{}:{{{items}}}", texts.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_active_is_written_where_the_dump_has_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("database");
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE x_options (option_name TEXT, option_value TEXT);
                 INSERT INTO x_options VALUES ('active_plugins', 'a:0:{}'), ('template', ''), ('stylesheet', 'mine')",
            )
            .unwrap();
        let facts = Facts {
            active_plugins: Some(vec!["ä/ä.php".to_owned(), "b.php".to_owned()]),
            template: Some("parent".to_owned()),
            stylesheet: Some("child".to_owned()),
            ..Facts::default()
        };
        let mut notes = Vec::new();
        restore(&path, &facts, Some("x_"), &mut notes).unwrap();
        let value = |name: &str| -> String {
            connection
                .query_row("SELECT option_value FROM x_options WHERE option_name = ?", [name], |row| row.get(0))
                .unwrap()
        };
        assert_eq!(value("active_plugins"), "a:2:{i:0;s:9:\"ä/ä.php\";i:1;s:5:\"b.php\";}");
        assert_eq!((value("template"), value("stylesheet")), ("parent".to_owned(), "mine".to_owned()));
        assert_eq!(notes.len(), 2);
    }
}
