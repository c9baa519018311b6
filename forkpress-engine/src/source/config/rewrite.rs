//! Writes a `wp-config.php` anew: ForkPress's own, with what of the old one is the user's.

use serde::Serialize;

use super::parts::{Part, PartKind, is_variable, parts, word};
use super::rules::{FUNCTIONS, OLD_PATH, PATHS_OF_A_NETWORK, SETTERS, WORDS, why_not, why_not_of_php};
use super::{Config, Value, is_prefix, literal};
use crate::php::{PhpToken, TokenKind};
use crate::wordpress::KEYS_AND_SALTS;

/// A `wp-config.php` that was written anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// The file.
    pub text: Vec<u8>,
    /// What was kept of the old one: constants, variables, settings of PHP.
    pub kept: Vec<String>,
    /// What was not.
    pub left_out: Vec<LeftOut>,
}

/// Something of the old `wp-config.php` that is not in the new one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The constant, the variable, or what the statement begins with.
    pub name: String,
    /// In which line it began.
    pub line: usize,
    /// Why.
    pub why: &'static str,
}

const INCLUDED: &str = "it loads another file of the old host";
const COMPUTED: &str = "it is computed from something that is not there";
const CODE: &str = "it is code";
const TWICE: &str = "it is defined before";

/// What stands above what was kept.
const HEADING: &str = "\n\n// From the wp-config.php that was imported.\n";

/// What is needed before a statement that uses it.
const ABSPATH: &str = "defined( 'ABSPATH' ) || define( 'ABSPATH', __DIR__ . '/' );\n";

/// Writes `old` anew as `template`, which is ForkPress's own with keys of its own: with the old table prefix and keys,
/// and with the user's constants, variables and settings of PHP after them.
#[must_use]
pub fn rewrite(old: &[u8], template: &str) -> Rewritten {
    let mut kept = KeptCode {
        text: old,
        statements: Vec::new(),
        names: Vec::new(),
        left_out: Vec::new(),
        needs_abspath: false,
        counted: (0, 1),
    };
    // Of a ForkPress site's configuration, most is in the template, too.
    let is_of_template =
        |part: &Part| template.as_bytes().windows(part.range.len()).any(|own| *own == old[part.range.clone()]);
    for part in parts(old).iter().filter(|part| !is_of_template(part)) {
        kept.take(part);
    }
    let config = Config::read(old);
    let mut text = Vec::new();
    let (mut copied, mut end_of_keys) = (0, None);
    for part in parts(template.as_bytes()) {
        let replaced = match &part.kind {
            PartKind::Define { name, value } if KEYS_AND_SALTS.contains(&name.as_str()) => {
                key(old, &config, name).map(|key| (value.clone(), key))
            }
            PartKind::Variable { name, value } if name == "table_prefix" => {
                config.table_prefix().map(|prefix| (value.clone(), format!("'{prefix}'").into_bytes()))
            }
            _ => None,
        };
        if let Some((range, value)) = replaced {
            text.extend_from_slice(&template.as_bytes()[copied..range.start]);
            text.extend_from_slice(&value);
            copied = range.end;
        }
        if matches!(&part.kind, PartKind::Define { name, .. } if KEYS_AND_SALTS.contains(&name.as_str())) {
            text.extend_from_slice(&template.as_bytes()[copied..part.range.end]);
            copied = part.range.end;
            end_of_keys = Some(text.len());
        }
    }
    text.extend_from_slice(&template.as_bytes()[copied..]);
    if let Some(at) = end_of_keys.filter(|_| !kept.statements.is_empty()) {
        let mut block = HEADING.as_bytes().to_vec();
        if kept.needs_abspath {
            block.extend_from_slice(ABSPATH.as_bytes());
        }
        block.extend(kept.statements.join(&b'\n'));
        text.splice(at..at, block);
    }
    Rewritten { text, kept: kept.names, left_out: kept.left_out }
}

/// A `wp-config.php` with this prefix of the tables.
#[must_use]
pub fn with_prefix(text: &[u8], prefix: &str) -> Vec<u8> {
    let place = parts(text).into_iter().rev().find_map(|part| match part.kind {
        PartKind::Variable { name, value } if name == "table_prefix" => Some(value),
        _ => None,
    });
    let mut text = text.to_owned();
    if let Some(place) = place.filter(|_| is_prefix(prefix)) {
        text.splice(place, format!("'{prefix}'").into_bytes());
    }
    text
}

/// A key or salt as it is written, if it is one and not what WordPress's sample has.
fn key(old: &[u8], config: &Config<'_>, name: &str) -> Option<Vec<u8>> {
    let range = config.parts.iter().find_map(|part| match &part.kind {
        PartKind::Define { name: found, value } if found == name => Some(value.clone()),
        _ => None,
    })?;
    match literal(&old[range.clone()])? {
        Value::Text(key) if key.len() >= 8 && key != "put your unique phrase here" => Some(old[range].to_vec()),
        _ => None,
    }
}

struct KeptCode<'t> {
    text: &'t [u8],
    statements: Vec<Vec<u8>>,
    names: Vec<String>,
    left_out: Vec<LeftOut>,
    needs_abspath: bool,
    /// A place, and the line that it is in.
    counted: (usize, usize),
}

impl KeptCode<'_> {
    /// The number of the line that a place is in, which is not before the last one that was asked for.
    fn line(&mut self, place: usize) -> usize {
        let (from, line) = self.counted;
        let lines = self.text[from..place].iter().filter(|byte| **byte == b'\n').count();
        self.counted = (place, line + lines);
        line + lines
    }

    /// Keeps a statement, or notes why not.
    fn take(&mut self, part: &Part) {
        let name = match &part.kind {
            PartKind::Define { name, .. } if KEYS_AND_SALTS.contains(&name.as_str()) || name == "ABSPATH" => return,
            PartKind::Variable { name, .. } if name == "table_prefix" => return,
            PartKind::Include if self.is_settings(part) => return,
            // Most begin or end with it.
            PartKind::Other if self.is_settings(part) => return,
            PartKind::Define { name, .. } => name.clone(),
            PartKind::Variable { name, .. } => format!("${name}"),
            PartKind::Call { name } => self.called(part, name),
            PartKind::Include | PartKind::Other => self.beginning(part),
        };
        match self.why_not(part, &name) {
            Some(why) => {
                let line = self.line(part.range.start);
                self.left_out.push(LeftOut { name, line, why });
            }
            None => {
                self.needs_abspath |= part
                    .tokens
                    .iter()
                    .any(|token| token.kind == TokenKind::Word && word(self.text, token) == "ABSPATH");
                let mut statement = self.text[part.range.clone()].to_vec();
                if !matches!(statement.last(), Some(b';' | b'}')) {
                    statement.push(b';');
                }
                self.statements.push(statement);
                self.names.push(name);
            }
        }
    }

    fn why_not(&self, part: &Part, shown: &str) -> Option<&'static str> {
        let expression = match &part.kind {
            PartKind::Define { name, value } => {
                if let Some(why) = why_not(name) {
                    return Some(why);
                }
                if self.names.contains(name) {
                    return Some(TWICE);
                }
                if !PATHS_OF_A_NETWORK.contains(&name.as_str()) && self.is_old_path(value) {
                    return Some(OLD_PATH);
                }
                value
            }
            PartKind::Variable { name, value } => {
                if let Some(why) = why_not(name) {
                    return Some(why);
                }
                if name.starts_with("_") || name == "GLOBALS" {
                    return Some(CODE);
                }
                if self.is_old_path(value) {
                    return Some(OLD_PATH);
                }
                value
            }
            PartKind::Call { name } if SETTERS.contains(&name.as_str()) => {
                let setting = shown.rsplit(' ').next().unwrap_or_default();
                if let Some(why) = why_not_of_php(setting) {
                    return Some(why);
                }
                &part.range
            }
            PartKind::Include => return Some(INCLUDED),
            PartKind::Call { .. } | PartKind::Other => return Some(CODE),
        };
        let inside = |token: &&PhpToken| expression.start <= token.range.start && token.range.end <= expression.end;
        part.tokens.iter().filter(inside).any(|token| !self.is_there(token)).then_some(COMPUTED)
    }

    /// Whether what a token names is there before WordPress.
    fn is_there(&self, token: &PhpToken) -> bool {
        let name = word(self.text, token);
        match token.kind {
            TokenKind::Quoted => {
                !(self.text[token.range.start] == b'"' && has_variable(&self.text[token.range.clone()]))
            }
            TokenKind::Word if is_variable(self.text, token) => {
                self.names.iter().any(|kept| kept.strip_prefix('$') == Some(name))
            }
            TokenKind::Word => {
                let lower = name.to_ascii_lowercase();
                let is_known = [&WORDS[..], &FUNCTIONS, &SETTERS].iter().any(|words| words.contains(&lower.as_str()));
                is_known || name.starts_with("E_") || self.names.iter().any(|kept| kept == name)
            }
            TokenKind::Document => false,
            TokenKind::Number | TokenKind::Mark | TokenKind::Comment | TokenKind::Outside => true,
        }
    }

    /// Whether a value begins with an absolute path.
    fn is_old_path(&self, value: &std::ops::Range<usize>) -> bool {
        let bytes = &self.text[value.clone()];
        let Some(inner) = bytes.strip_prefix(b"'").or_else(|| bytes.strip_prefix(b"\"")) else { return false };
        let path = inner.split(|byte| matches!(byte, b'\'' | b'"')).next().unwrap_or_default();
        let is_unix =
            path.first() == Some(&b'/') && path.get(1).is_some_and(|byte| *byte != b'/') && path[1..].contains(&b'/');
        let is_windows = matches!(path, [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
        (is_unix || is_windows) && !path.contains(&b' ')
    }

    fn is_settings(&self, part: &Part) -> bool {
        let has = |what: &str| {
            part.tokens.iter().any(|token| token.kind == TokenKind::Quoted && word(self.text, token).contains(what))
        };
        let is_abspath = has("ABSPATH") && part.tokens.iter().any(|token| word(self.text, token) == "defined");
        (part.kind == PartKind::Include && has("wp-settings.php")) || is_abspath
    }

    /// A call with what it sets: `ini_set memory_limit`.
    fn called(&self, part: &Part, name: &str) -> String {
        let first = part.tokens.iter().find(|token| token.kind == TokenKind::Quoted);
        match first.and_then(|token| literal(&self.text[token.range.clone()])) {
            Some(Value::Text(setting)) if name == "ini_set" => format!("{name} {setting}"),
            _ => name.to_owned(),
        }
    }

    /// How a statement begins, without any text in quotes: that may be a secret.
    fn beginning(&self, part: &Part) -> String {
        let words = part.tokens.iter().take(6).filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::Mark));
        words.map(|token| word(self.text, token)).collect::<Vec<_>>().join(" ")
    }
}

fn has_variable(quoted: &[u8]) -> bool {
    quoted.windows(2).any(|pair| pair[0] == b'$' && (pair[1].is_ascii_alphabetic() || matches!(pair[1], b'_' | b'{')))
        || quoted.windows(2).any(|pair| pair == b"{$")
}

#[cfg(test)]
mod tests {
    use super::super::rules::DATABASE;
    use super::*;

    const TEMPLATE: &str = include_str!("../../../../runtime/wp-config.php");

    fn rewritten(old: &str) -> (String, Vec<String>, Vec<(String, &'static str)>) {
        let new = rewrite(format!("<?php\n{old}").as_bytes(), TEMPLATE);
        let left_out = new.left_out.into_iter().map(|left| (left.name, left.why)).collect();
        (String::from_utf8(new.text).unwrap(), new.kept, left_out)
    }

    #[test]
    fn the_users_constants_are_kept_where_they_count() {
        let (text, kept, left_out) = rewritten(
            "define( 'WP_MEMORY_LIMIT', '256M' );\ndefine( 'API_KEY', \"s3cr3t\" ); $my = array( 'a' => 1 );\n@ini_set( 'memory_limit', '1G' );\n\
             define( 'LOGS', ABSPATH . 'logs' ); define( 'TWO', 2 * 3 ); define( 'OF_TWO', TWO . $my['a'] );\n",
        );
        assert_eq!(left_out, []);
        assert_eq!(kept, ["WP_MEMORY_LIMIT", "API_KEY", "$my", "ini_set memory_limit", "LOGS", "TWO", "OF_TWO"]);
        let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what} in {text}"));
        assert!(at("'NONCE_SALT'") < at("'WP_MEMORY_LIMIT', '256M'") && at("\"s3cr3t\"") < at("'WP_DEBUG'"));
        assert!(at("define( 'ABSPATH'") < at("'LOGS', ABSPATH"));
        assert!(text.ends_with(TEMPLATE.rsplit_once("// A site to work on").unwrap().1));
    }

    #[test]
    fn what_is_the_old_hosts_is_left_out_and_named() {
        let (text, kept, left_out) = rewritten(
            "define( 'DB_PASSWORD', 'hunter2' );\ndefine( 'WP_HOME', 'https://a.test' ); define( 'WP_CACHE', true );\n\
             define( 'MY_DIR', '/home/me/x' ); define( 'MY_URL', '//a.test/x' ); define( 'REL', __DIR__ . '/x/y' );\n\
             require_once '/home/me/secrets.php'; if ( $_SERVER['X'] === 'k3y' ) { define( 'Y', 1 ); }\n\
             define( 'FROM_SECRETS', SECRET ); define( 'HOSTED', $_SERVER['HTTP_HOST'] ); define( 'A', 1 ); define( 'A', 2 );\n\
             ini_set( 'error_log', '/x' ); define( 'ABSPATH', '/home/me/' ); require_once ABSPATH . 'wp-settings.php';\n\
             $_SERVER['HTTPS'] = 'on'; define( 'WP_REDIS_HOST', 'h' ); define( 'IN_TEXT', \"a $unknown\" );",
        );
        assert_eq!(kept, ["MY_URL", "REL", "A"]);
        let names: Vec<_> = left_out.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "DB_PASSWORD",
                "WP_HOME",
                "WP_CACHE",
                "MY_DIR",
                "require_once ;",
                "if ( _SERVER [ ]",
                "FROM_SECRETS",
                "HOSTED",
                "A",
                "ini_set error_log",
                "$_SERVER",
                "WP_REDIS_HOST",
                "IN_TEXT"
            ]
        );
        assert_eq!(left_out[0].1, DATABASE);
        for gone in ["hunter2", "k3y", "a.test'", "/home/me"] {
            assert!(!text.contains(gone) && !names.iter().any(|name| name.contains(gone)), "{gone}");
        }
    }

    #[test]
    fn keys_and_the_prefix_take_the_place_of_the_templates() {
        let (text, kept, left_out) = rewritten(
            "define( 'AUTH_KEY', 'it\\'s long enough' );\ndefine( 'NONCE_KEY', 'put your unique phrase here' ); $table_prefix = 'x1_';",
        );
        assert_eq!((kept.len(), left_out.len()), (0, 0));
        assert!(text.contains("define( 'AUTH_KEY', 'it\\'s long enough' );"), "{text}");
        assert!(text.contains("define( 'NONCE_KEY', '@SALT@' );"));
        assert!(text.contains("$table_prefix = 'x1_';") && !text.contains("'wp_'"));
    }

    #[test]
    fn a_network_stays_one_without_its_former_domain() {
        let (text, kept, left_out) = rewritten(
            "define( 'MULTISITE', true ); define( 'SUBDOMAIN_INSTALL', false ); define( 'DOMAIN_CURRENT_SITE', 'a.test' );\n\
             define( 'PATH_CURRENT_SITE', '/blog/' ); define( 'SITE_ID_CURRENT_SITE', 1 );",
        );
        assert_eq!(kept, ["MULTISITE", "SUBDOMAIN_INSTALL", "PATH_CURRENT_SITE", "SITE_ID_CURRENT_SITE"]);
        assert_eq!(left_out.len(), 1);
        assert!(!text.contains("a.test"));
    }

    #[test]
    fn of_wordpresss_own_sample_only_the_prefix_is_the_users() {
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/wordpress/wp-config-sample.php");
        let sample = std::fs::read(sample).expect("no WordPress in target/wordpress: run scripts/fetch-wordpress.sh");
        let new = rewrite(&sample, TEMPLATE);
        assert_eq!((new.kept.len(), String::from_utf8(new.text).unwrap()), (0, TEMPLATE.to_owned()));
        // The charset is another one than ours up to WordPress 6.
        let names: Vec<_> =
            new.left_out.iter().map(|left| left.name.as_str()).filter(|name| *name != "DB_CHARSET").collect();
        assert_eq!(names, ["DB_NAME", "DB_USER", "DB_PASSWORD", "DB_HOST", "WP_DEBUG"]);
    }

    #[test]
    fn a_configuration_of_forkpress_comes_out_as_it_was() {
        let salted = TEMPLATE.replace("@SALT@", "0123456789abcdef");
        let new = rewrite(salted.as_bytes(), TEMPLATE);
        assert_eq!((new.kept, new.left_out), (Vec::new(), Vec::new()));
        assert_eq!(String::from_utf8(new.text).unwrap(), salted);
    }

    #[test]
    fn what_is_written_is_php_that_runs() {
        let (text, _, _) = rewritten(
            "define( 'A', array( 'x' => 60 * 60, 'y' => [ true ] ) ); if ( ! defined( 'B' ) ) { define( 'B', getenv( 'B' ) ?: 'b' ); }\n\
             defined( 'C' ) or define( 'C', dirname( __FILE__ ) . '/c' ); const D = 'd'; define( 'Z', 1 ) ?>\n<?php $cut = array( 1",
        );
        let text = text
            .replace("require_once ABSPATH . 'wp-settings.php';", "echo json_encode( [ A, B, C, D, $table_prefix ] );");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("c.php"), &text).unwrap();
        let output = std::process::Command::new("php").arg(dir.path().join("c.php")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.starts_with("[{\"x\":3600,\"y\":[true]},\"b\",") && said.ends_with("\"d\",\"wp_\"]"), "{said}");
    }
}
