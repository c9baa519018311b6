//! `wp-config.php`: what it says, and how it is written anew. It is read as text; nothing of it is run.

mod parts;
mod rewrite;
mod rules;

pub use rewrite::{LeftOut, Rewritten, rewrite, with_prefix};

use std::path::{Component, PathBuf};

use parts::{Part, PartKind, parts};

/// A `wp-config.php` that was read.
#[derive(Debug)]
pub struct Config<'t> {
    text: &'t [u8],
    parts: Vec<Part>,
}

impl<'t> Config<'t> {
    /// Reads one. Any bytes are read to their end.
    #[must_use]
    pub fn read(text: &'t [u8]) -> Self {
        Self { text, parts: parts(text) }
    }

    /// The text that a constant is defined as; none where it is another value, or made of several.
    #[must_use]
    pub fn text_of(&self, constant: &str) -> Option<String> {
        match self.value(constant)? {
            Value::Text(text) => Some(text),
            Value::Word(_) => None,
        }
    }

    /// Whether a constant is defined as something that is true.
    #[must_use]
    pub fn is_on(&self, constant: &str) -> bool {
        match self.value(constant) {
            Some(Value::Word(word)) => {
                word.eq_ignore_ascii_case("true") || word.parse::<i64>().is_ok_and(|number| number != 0)
            }
            Some(Value::Text(text)) => !matches!(text.as_str(), "" | "0"),
            None => false,
        }
    }

    /// The prefix of the tables.
    #[must_use]
    pub fn table_prefix(&self) -> Option<String> {
        let value = self.parts.iter().rev().find_map(|part| match &part.kind {
            PartKind::Variable { name, value } if name == "table_prefix" => Some(value.clone()),
            _ => None,
        })?;
        match literal(&self.text[value])? {
            Value::Text(prefix) if is_prefix(&prefix) => Some(prefix),
            _ => None,
        }
    }

    fn value(&self, constant: &str) -> Option<Value> {
        let range = self.parts.iter().find_map(|part| match &part.kind {
            PartKind::Define { name, value } if name == constant => Some(value.clone()),
            _ => None,
        })?;
        literal(&self.text[range])
    }
}

/// Where in a WordPress its media library is, as far as its configuration says.
#[must_use]
pub fn uploads_folder(config: Option<&[u8]>) -> PathBuf {
    let said = config.and_then(|config| Config::read(config).text_of("UPLOADS"));
    let said = said.map(|folder| PathBuf::from(folder.trim_matches('/')));
    let is_inside = |folder: &PathBuf| {
        folder.components().next().is_some() && folder.components().all(|part| matches!(part, Component::Normal(_)))
    };
    said.filter(is_inside).unwrap_or_else(|| "wp-content/uploads".into())
}

/// Whether a text may be the prefix of tables: WordPress takes letters, digits and underscores.
pub(super) fn is_prefix(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && text.len() <= 60
}

/// A value that is written as it is.
#[derive(Debug, PartialEq, Eq)]
enum Value {
    Text(String),
    /// A number, `true`, `false`, `null`, or another constant.
    Word(String),
}

/// The value of an expression that is one literal; none where it is not.
fn literal(expression: &[u8]) -> Option<Value> {
    let expression = expression.trim_ascii();
    let (first, last) = (*expression.first()?, *expression.last()?);
    if !matches!(first, b'\'' | b'"') {
        let is_word = expression.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
        return is_word.then(|| Value::Word(String::from_utf8_lossy(expression).into_owned()));
    }
    let inner = expression.get(1..expression.len().checked_sub(1)?)?;
    if first != last || (first == b'"' && inner.contains(&b'$')) {
        return None;
    }
    let mut text = Vec::new();
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            // The quote ended, and something else follows.
            _ if byte == first => return None,
            b'\\' => match (bytes.next(), first) {
                (Some(next), _) if next == first || next == b'\\' => text.push(next),
                (Some(b'n'), b'"') => text.push(b'\n'),
                (Some(b't'), b'"') => text.push(b'\t'),
                (Some(b'r'), b'"') => text.push(b'\r'),
                (Some(next), _) => text.extend([b'\\', next]),
                (None, _) => return None,
            },
            _ => text.push(byte),
        }
    }
    Some(Value::Text(String::from_utf8_lossy(&text).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants_and_the_prefix_are_read_however_they_are_written() {
        let text = br#"<?php
// define( 'DB_NAME', 'old' );
define('DB_NAME', 'it\'s');  define( "DB_HOST" , "a\"b" );
if ( ! defined( 'WP_HOME' ) ) { define( 'WP_HOME', 'https://a.test' ); }
defined( 'B' ) || define( 'B', "1" );
const C = TRUE;
define( 'D', getenv( 'D' ) ); define( 'E', 'a' . 'b' ); define( 'F', "x$y" );
define( 'MULTISITE', 1, true );
$table_prefix  = 'abc_';
/* $table_prefix = 'no_'; */
"#;
        let config = Config::read(text);
        assert_eq!(config.text_of("DB_NAME").as_deref(), Some("it's"));
        assert_eq!(config.text_of("DB_HOST").as_deref(), Some("a\"b"));
        assert_eq!(config.text_of("WP_HOME").as_deref(), Some("https://a.test"));
        assert_eq!(config.text_of("B").as_deref(), Some("1"));
        assert!(config.is_on("C") && config.is_on("MULTISITE") && config.is_on("B"));
        for unknown in ["D", "E", "F", "X"] {
            assert_eq!(config.text_of(unknown), None, "{unknown}");
        }
        assert_eq!(config.table_prefix().as_deref(), Some("abc_"));
        assert_eq!(Config::read(b"<?php $table_prefix = 'a`b';").table_prefix(), None);
        assert_eq!(Config::read(b"<?php $table_prefix = getenv('P') ?: 'wp_';").table_prefix(), None);
    }

    #[test]
    fn the_media_library_is_where_the_configuration_says_within_the_site() {
        for (text, folder) in [
            ("<?php define('UPLOADS', 'media/all/');", "media/all"),
            ("<?php define('UPLOADS', '../other');", "wp-content/uploads"),
            ("<?php define('UPLOADS', '');", "wp-content/uploads"),
            ("<?php define('UPLOADS', WP_CONTENT_DIR . '/x');", "wp-content/uploads"),
        ] {
            assert_eq!(uploads_folder(Some(text.as_bytes())), PathBuf::from(folder), "{text}");
        }
        assert_eq!(uploads_folder(None), PathBuf::from("wp-content/uploads"));
    }

    #[test]
    fn any_bytes_are_read() {
        for text in [
            "",
            "<?php",
            "<?php define(",
            "<?php define('",
            "<?php }}}",
            "<?php if (",
            "<?php {{{ define('A',",
            "<?php $",
            "<?php $a =",
            "<?php const A",
        ] {
            let _ = Config::read(text.as_bytes()).table_prefix();
            let _ = rewrite(text.as_bytes(), "<?php\ndefine( 'AUTH_KEY', 'x' );\n");
        }
    }
}
