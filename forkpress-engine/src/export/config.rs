//! The `wp-config.php` of an export: the site's own, for a server with MySQL.
//!
//! What ForkPress wrote into it goes, and so do the constants of the SQLite driver and the address. What has to be filled in
//! stands as in WordPress's sample. Keys and salts are fresh. All else stays as it is.

use std::ops::Range;

use super::charset::Collation;
use crate::addresses::{Counts, Rewriter};
use crate::php::{PhpToken, TokenKind, tokens};
use crate::wordpress::KEYS_AND_SALTS;

/// What ForkPress gives a new site.
const OWN: &str = include_str!("../../../runtime/wp-config.php");

/// What a paragraph of that has which means nothing elsewhere.
const OWN_PARAGRAPHS: [&str; 3] = ["'WP_SITEURL'", "'WP_ENVIRONMENT_TYPE'", "'AUTOMATIC_UPDATER_DISABLED'"];

/// What its comments become.
const COMMENTS: [(&str, &str); 4] = [
    (
        " * The site's configuration: the same on every branch.\n *\n * Nothing here names a branch, a path or a host, so a \
         copy of this folder is a working site wherever it\n * lies and at whatever host name it is asked for. Add what \
         the site needs; it stays as you wrote it.\n",
        " * The site's configuration.\n",
    ),
    ("// The database: one SQLite file inside this very folder.\n", "// The database: fill these in.\n"),
    ("// The same for drivers from 3.1 on, and for WP-CLI's commands for SQLite.\n", ""),
    (
        "// Keys that sign cookies and nonces: this site's own, made when it was.\n",
        "// Keys that sign cookies and nonces.\n",
    ),
];

/// Constants that are true on ForkPress, or with SQLite, only.
const DROPPED: [&str; 10] = [
    "DB_ENGINE",
    "DB_DIR",
    "DB_FILE",
    "DB_PATH",
    "FQDB",
    "FQDBDIR",
    "DATABASE_TYPE",
    "DATABASE_ENGINE",
    "USE_MYSQL",
    "SQLITE_JOURNAL_MODE",
];

/// Constants that are the address. An address that somebody wrote there counts for more than what the database says.
const ADDRESSES: [&str; 2] = ["WP_HOME", "WP_SITEURL"];

/// Constants that are to be filled in.
const PLACEHOLDERS: [(&str, &str); 5] = [
    ("DB_NAME", "database_name_here"),
    ("DB_USER", "username_here"),
    ("DB_PASSWORD", "password_here"),
    ("DB_HOST", "localhost"),
    ("DB_CHARSET", "utf8mb4"),
];

/// Words that only ForkPress's code has.
const OWN_WORD: &[u8] = b"FORKPRESS_";

/// A constant that is defined.
struct Definition {
    name: String,
    /// Its value, as code.
    value: Range<usize>,
    /// The statement that it stands in.
    statement: Range<usize>,
}

impl Definition {
    /// Its value, where that is a text as it stands.
    fn text(&self, config: &[u8]) -> Option<String> {
        let code = &config[self.value.clone()];
        let quote = *code.first().filter(|quote| matches!(quote, b'\'' | b'"'))?;
        let inner = code.get(1..code.len() - 1)?;
        let is_plain =
            code.last() == Some(&quote) && !inner.iter().any(|byte| matches!(byte, b'\\' | b'$') || *byte == quote);
        is_plain.then(|| String::from_utf8_lossy(inner).into_owned())
    }
}

/// The text that a configuration defines a constant as; none where it is made of others.
pub(super) fn constant(text: &[u8], name: &str) -> Option<String> {
    read(text).0.iter().find(|definition| definition.name == name)?.text(text)
}

/// The table prefix that a configuration sets.
pub(super) fn prefix(text: &[u8]) -> String {
    let tokens = tokens(text);
    let is = |token: &PhpToken, word: &[u8]| &text[token.range.clone()] == word;
    let value = tokens.windows(3).find(|next| is(&next[0], b"table_prefix") && is(&next[1], b"="));
    let value =
        value.filter(|next| next[2].kind == TokenKind::Quoted).map(|next| unquoted(&text[next[2].range.clone()]));
    let is_prefix = |prefix: &String| prefix.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    value.filter(is_prefix).unwrap_or_else(|| "wp_".to_owned())
}

/// The configuration for elsewhere. `fresh` makes a secret.
pub(super) fn config(text: &[u8], mut fresh: impl FnMut() -> String, rewriter: Option<&Rewriter>) -> Vec<u8> {
    let text = without_own_paragraphs(text);
    let (definitions, own) = read(&text);
    let mut edits: Vec<(Range<usize>, String)> = own.into_iter().map(|range| (range, String::new())).collect();
    let moved = rewriter.and_then(|rewriter| moved(rewriter, &text, &definitions)).unwrap_or_default();
    for definition in &definitions {
        let name = definition.name.as_str();
        let literal = |value: &str| (definition.value.clone(), format!("'{value}'"));
        let is_address = ADDRESSES.contains(&name) && (rewriter.is_some() || definition.text(&text).is_none());
        if DROPPED.contains(&name) || is_address {
            edits.push((definition.statement.clone(), String::new()));
        } else if let Some((_, placeholder)) = PLACEHOLDERS.iter().find(|(placeholder, _)| *placeholder == name) {
            edits.push(literal(placeholder));
        } else if name == "DB_COLLATE" && definition.text(&text).is_none_or(|name| Collation::of(&name).name != name) {
            edits.push(literal(""));
        } else if KEYS_AND_SALTS.contains(&name) {
            edits.push(literal(&fresh()));
        } else if let Some((_, value)) = moved.iter().find(|(moved, _)| *moved == name) {
            edits.push(literal(value));
        }
    }
    let missing =
        PLACEHOLDERS.iter().filter(|(name, _)| !definitions.iter().any(|definition| definition.name == *name));
    let missing: String = missing.map(|(name, value)| format!("\ndefine( '{name}', '{value}' );")).collect();
    edits.push((after_opening(&text), missing));
    let text = edited(&text, edits);
    match rewriter {
        Some(rewriter) => rewriter.rewrite(&text, &mut Counts::default()).into_owned(),
        None => text,
    }
}

fn without_own_paragraphs(text: &[u8]) -> Vec<u8> {
    // What is no UTF-8 was not written by ForkPress; a lossy copy would change it.
    let Ok(text) = std::str::from_utf8(text) else { return text.to_vec() };
    let own = OWN.split("\n\n").filter(|paragraph| OWN_PARAGRAPHS.iter().any(|sign| paragraph.contains(sign)));
    let text = own.fold(text.to_owned(), |text, paragraph| text.replace(&format!("{paragraph}\n\n"), ""));
    COMMENTS.iter().fold(text, |text, (own, other)| text.replace(own, other)).into_bytes()
}

/// The place after PHP's opening tag.
fn after_opening(text: &[u8]) -> Range<usize> {
    let tag = text.windows(5).position(|part| part == b"<?php").map_or(0, |at| at + 5);
    tag..tag
}

/// The definitions in a configuration, and statements that are ForkPress's own.
fn read(text: &[u8]) -> (Vec<Definition>, Vec<Range<usize>>) {
    let tokens = tokens(text);
    let word = |at: usize| tokens.get(at).map_or(&b""[..], |token| &text[token.range.clone()]);
    let (mut definitions, mut own) = (Vec::new(), Vec::new());
    for at in 0..tokens.len() {
        let begins = |kind| tokens[at].kind == kind;
        if begins(TokenKind::Word)
            && word(at).eq_ignore_ascii_case(b"define")
            && word(at + 1) == b"("
            && word(at + 3) == b","
        {
            if let Some(end) = closing(&tokens, text, at + 1) {
                let name = unquoted(word(at + 2));
                let value = tokens[at + 4].range.start..tokens[end - 1].range.end;
                definitions.push(Definition { name, value, statement: statement(&tokens, text, at) });
            }
        } else if begins(TokenKind::Word) && word(at).eq_ignore_ascii_case(b"const") && word(at + 2) == b"=" {
            let statement = statement(&tokens, text, at);
            let end = tokens.iter().skip(at + 3).find(|token| &text[token.range.clone()] == b";");
            if let Some(end) = end {
                let name = String::from_utf8_lossy(word(at + 1)).into_owned();
                let value = tokens[at + 3].range.start..end.range.start;
                definitions.push(Definition { name, value, statement });
            }
        } else if matches!(tokens[at].kind, TokenKind::Word | TokenKind::Quoted)
            && word(at).windows(OWN_WORD.len()).any(|part| part == OWN_WORD)
        {
            own.push(statement(&tokens, text, at));
        }
    }
    (definitions, own)
}

/// The token that closes the bracket at `open`.
fn closing(tokens: &[PhpToken], text: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match &text[token.range.clone()] {
            b"(" | b"[" | b"{" => depth += 1,
            b")" | b"]" | b"}" => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            return Some(at).filter(|at| *at > open + 3);
        }
    }
    None
}

/// The statement around a token, with the end of its line.
fn statement(tokens: &[PhpToken], text: &[u8], at: usize) -> Range<usize> {
    let ends_one = |token: &PhpToken| {
        matches!(token.kind, TokenKind::Comment | TokenKind::Outside)
            || matches!(&text[token.range.clone()], b";" | b"{" | b"}")
    };
    let before = tokens[..at].iter().rposition(ends_one);
    let first = before.map_or(0, |before| before + 1);
    // A variable's sign belongs to it.
    let start = tokens[first].range.start;
    let start = if start > 0 && text[start - 1] == b'$' { start - 1 } else { start };
    let end = tokens[at..]
        .iter()
        .find(|token| &text[token.range.clone()] == b";")
        .map_or(text.len(), |token| token.range.end);
    let line = text[end..].iter().take_while(|byte| **byte == b' ' || **byte == b'\r').count();
    let is_whole_line = text.get(end + line) == Some(&b'\n')
        && text[..start].iter().rev().take_while(|byte| **byte != b'\n').all(u8::is_ascii_whitespace);
    start..if is_whole_line { end + line + 1 } else { end }
}

/// What a quoted text says, as far as it is plain.
fn unquoted(code: &[u8]) -> String {
    let inner = code.get(1..code.len().saturating_sub(1)).unwrap_or_default();
    String::from_utf8_lossy(inner).into_owned()
}

/// Where a network, and its cookies, are to be.
fn moved(rewriter: &Rewriter, text: &[u8], definitions: &[Definition]) -> Option<Vec<(&'static str, String)>> {
    let value = |name: &str| definitions.iter().find(|definition| definition.name == name)?.text(text);
    let rewritten = |domain: &str, path: &str| {
        let (domain, path) = rewriter.rewrite_domain(domain.as_bytes(), path.as_bytes())?;
        // What cannot stand in a host or a path ends no text in PHP.
        Some([domain, path].map(|text| String::from_utf8_lossy(&text).replace(['\'', '\\'], "")))
    };
    let mut moved = Vec::new();
    if let Some([domain, path]) = value("DOMAIN_CURRENT_SITE")
        .and_then(|domain| rewritten(&domain, &value("PATH_CURRENT_SITE").unwrap_or_else(|| "/".to_owned())))
    {
        moved.extend([("DOMAIN_CURRENT_SITE", domain), ("PATH_CURRENT_SITE", path)]);
    }
    if let Some([domain, _]) = value("COOKIE_DOMAIN").and_then(|domain| rewritten(&domain, "/")) {
        moved.push(("COOKIE_DOMAIN", domain));
    }
    Some(moved)
}

/// A text with other pieces in it; of those that overlap, the first and longest.
fn edited(text: &[u8], mut edits: Vec<(Range<usize>, String)>) -> Vec<u8> {
    edits.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    for (range, with) in edits {
        if range.start >= at {
            out.extend_from_slice(&text[at..range.start]);
            out.extend_from_slice(with.as_bytes());
            at = range.end;
        }
    }
    out.extend_from_slice(&text[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::php;

    fn exported(text: &str, rewriter: Option<&Rewriter>) -> String {
        let mut number = 0;
        let fresh = || {
            number += 1;
            format!("fresh-{number}")
        };
        String::from_utf8(config(text.as_bytes(), fresh, rewriter)).unwrap()
    }

    /// What a configuration defines, as PHP has it; none where there is no PHP.
    fn constants(config: &str) -> Option<String> {
        let code = config.replace("require_once ABSPATH . 'wp-settings.php';", "");
        let script = "eval('?>' . stream_get_contents(STDIN)); foreach (get_defined_constants(true)['user'] as $name => $value) { \
            echo $name, '=', var_export($value, true), ' '; } echo $table_prefix;";
        php(script, code.as_bytes()).map(|said| String::from_utf8(said).unwrap())
    }

    #[test]
    fn what_forkpress_wrote_goes_and_what_mysql_needs_is_to_be_filled_in() {
        let own = OWN.replace("// Add your own settings", "define( 'MINE', 'my secret' );\n\n// Add your own settings");
        let config = exported(&own, None);
        for gone in ["SQLite", "sqlite", "FORKPRESS", "WP_HOME", "WP_ENVIRONMENT_TYPE", "@SALT@", "branch", "UPDATER"] {
            assert!(!config.contains(gone), "{gone} is in\n{config}");
        }
        let Some(said) = constants(&config) else { return };
        for constant in [
            "DB_NAME='database_name_here'",
            "DB_USER='username_here'",
            "DB_PASSWORD='password_here'",
            "DB_HOST='localhost'",
            "DB_CHARSET='utf8mb4'",
            "DB_COLLATE=''",
            "AUTH_KEY='fresh-1'",
            "NONCE_SALT='fresh-8'",
            "MINE='my secret'",
        ] {
            assert!(said.contains(constant), "{constant} is not in {said}");
        }
        assert!(said.ends_with(" wp_"), "{said}");
    }

    #[test]
    fn a_configuration_of_another_making_keeps_all_else() {
        let config = exported(
            "<?php\n/** Mine. */\ndefine('DB_NAME', 'real'); define(\"DB_USER\", getenv('U')); define('DB_PASSWORD', 'p\\'w);');\n\
             if ( ! defined( 'WP_HOME' ) ) define( 'WP_HOME', 'http://' . $_SERVER['HTTP_HOST'] );\n\
             if ( ! defined( 'DB_DIR' ) ) {\n\tdefine( 'DB_DIR', __DIR__ . '/x/' );\n}\n\
             const WP_SITEURL = 'http://x';\ndefine( 'DB_COLLATE', 'utf8mb4_0900_ai_ci' );\nconst MINE = array( 'a', ';' );\n$table_prefix = \"my_1_\";\n\
             define( 'OTHER', defined( 'FORKPRESS_X' ) ? 1 : 2 );\n$x = getenv( 'FORKPRESS_Y' );\ndefine('AUTH_KEY', 'old');\n\
             // define( 'DB_HOST', 'old' );\nrequire_once ABSPATH . 'wp-settings.php';\n",
            None,
        );
        for gone in ["real", "getenv", "p\\'w", "define( 'WP_HOME'", "define( 'DB_DIR'", "0900", "FORKPRESS", "'old')"]
        {
            assert!(!config.contains(gone), "{gone} is in\n{config}");
        }
        let Some(said) = constants(&config) else { return };
        for constant in [
            "DB_HOST='localhost'",
            "DB_NAME='database_name_here'",
            "AUTH_KEY='fresh-1'",
            "WP_SITEURL='http://x'",
            "MINE=array",
        ] {
            assert!(said.contains(constant), "{constant} is not in {said} of\n{config}");
        }
        assert_eq!(prefix(config.as_bytes()), "my_1_");
        assert_eq!(prefix(b"<?php $table_prefix = $x;"), "wp_");
        assert_eq!(prefix(b"<?php $table_prefix = 'a`b';"), "wp_");
    }

    #[test]
    fn a_network_and_whole_addresses_move() {
        let rewriter = Rewriter::new([("http://old.example:8080", "https://new.example/sub")]).unwrap();
        let config = exported(
            "<?php\ndefine( 'DOMAIN_CURRENT_SITE', 'old.example:8080' );\ndefine( 'PATH_CURRENT_SITE', '/' );\n\
             define( 'WP_HOME', 'http://old.example:8080' );\n\
             define( 'WP_CONTENT_URL', 'http://old.example:8080/c' );\ndefine( 'MINE', 'old.example' );",
            Some(&rewriter),
        );
        for line in [
            "define( 'DOMAIN_CURRENT_SITE', 'new.example' );",
            "define( 'PATH_CURRENT_SITE', '/sub/' );",
            "define( 'WP_CONTENT_URL', 'https://new.example/sub/c' );",
            "define( 'MINE', 'old.example' );",
        ] {
            assert!(config.contains(line), "{line} is not in\n{config}");
        }
        assert!(!config.contains("WP_HOME"), "the database has the address: {config}");
    }
}
