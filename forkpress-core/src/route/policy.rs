//! Which files of a branch are never sent, whoever asks.

use super::file::media_type;

/// Endings of what holds data or a copy of something, not a page: databases, dumps, logs, settings, editors' left-overs.
const PRIVATE_ENDINGS: [&str; 15] =
    ["bak", "db", "db3", "ini", "log", "old", "orig", "save", "sql", "sqlite", "sqlite3", "swo", "swp", "temp", "tmp"];

/// Endings, beside those that start with `php`, that web servers or plugins treat as PHP source.
const SOURCE_ENDINGS: [&str; 4] = ["inc", "phar", "pht", "phtml"];

/// Whether a path leads to a dot file, into a dot folder or into the database's folder. `/.well-known/` is open.
pub(super) fn is_hidden<S: AsRef<[u8]>>(segments: &[S]) -> bool {
    let is = |at: usize, name: &[u8]| segments.get(at).is_some_and(|s: &S| s.as_ref().eq_ignore_ascii_case(name));
    let dotted = segments
        .iter()
        .enumerate()
        .any(|(at, segment)| segment.as_ref().starts_with(b".") && !(at == 0 && segment.as_ref() == b".well-known"));
    dotted || (is(0, b"wp-content") && is(1, b"database"))
}

/// Whether a file is PHP that the server runs. Only the exact ending counts.
pub(super) fn is_script(name: &[u8]) -> bool {
    name.ends_with(b".php")
}

/// Whether a file of this name is never sent: PHP source under whatever ending, settings, databases, dumps and logs.
///
/// An ending counts wherever it stands (`a.php.bak`, `a.sql.gz`), in any case and whatever follows its letters
/// (`a.php~`, `a.sqlite-wal`). A picture, font, script or style sheet is what its last ending says (`sql.php.js`).
pub(super) fn is_private(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    if name.ends_with(b"~") || name.ends_with(b"#") || name == b"error_log" || name.starts_with(b"wp-config") {
        return true;
    }
    let mut endings = name.split(|&b| b == b'.').skip(1).map(|ending| {
        let letters = ending.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(ending.len());
        &ending[..letters]
    });
    let media = media_type(&name);
    let is_asset = ["image/", "audio/", "video/", "font/", "text/css", "text/javascript"];
    !is_asset.iter().any(|kind| media.starts_with(kind))
        && endings.any(|ending| {
            ending.starts_with(b"php")
                || SOURCE_ENDINGS.iter().chain(&PRIVATE_ENDINGS).any(|known| known.as_bytes() == ending)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(path: &str) -> Vec<&[u8]> {
        path.split('/').map(str::as_bytes).collect()
    }

    #[test]
    fn dot_files_and_the_database_are_hidden() {
        let paths = [
            ".git/config",
            ".env",
            "a/.htaccess",
            "a/.git/b",
            "...",
            ".well-known/.git/a",
            "a/.well-known/b",
            ".Well-Known/a",
            "wp-content/database",
            "wp-content/database/.ht.sqlite",
            "wp-content/database/copy.txt",
            "WP-Content/DataBase/x",
        ];
        for path in paths {
            assert!(is_hidden(&segments(path)), "{path}");
        }
    }

    #[test]
    fn everything_else_may_be_asked_for() {
        for path in [".well-known/acme-challenge/x", "a.b/c", "wp-content/databases/x", "database/x", "wp-content"] {
            assert!(!is_hidden(&segments(path)), "{path}");
        }
    }

    #[test]
    fn source_settings_and_data_are_private() {
        let names = [
            "a.PHP",
            "a.Php",
            "a.php5",
            "a.php7",
            "a.phps",
            "a.phtml",
            "a.pht",
            "a.phar",
            "a.inc",
            "a.php~",
            "a.php.bak",
            "a.php.txt",
            "a.php.",
            "a.php ",
            "a.php_",
            "a.php-old",
            "a.php::$DATA",
            "a.php.swp",
            "#a.php#",
            "a.PHP.BAK",
            "a.inc.html",
            "wp-config",
            "wp-config.txt",
            "wp-config.old",
            "WP-CONFIG.html",
            "php.ini",
            "debug.log",
            "dump.sql",
            "dump.sql.gz",
            "site.sqlite",
            "site.sqlite-wal",
            "site.db",
            "a.txt~",
            "a.txt.orig",
            "error_log",
            "a.php.zip",
            "a.php\n",
        ];
        for name in names {
            assert!(is_private(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn assets_and_documents_are_not_private() {
        let names = [
            "style.css",
            "app.min.js",
            "php.js",
            "mode-php.js",
            "screenshot-php.png",
            "wp-login.php_.png",
            "a.php.svg",
            "sql.min.js",
            "photo.jpg",
            "readme.html",
            "readme.txt",
            "data.json",
            "data",
            "archive.tar.gz",
            "phpunit.xml",
            "login.html",
        ];
        for name in names {
            assert!(!is_private(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn only_the_exact_ending_is_run() {
        assert!(is_script(b"index.php"));
        for name in ["index.PHP", "index.php5", "index.php.bak", "index.php.", "index.php ", "php"] {
            assert!(!is_script(name.as_bytes()), "{name}");
        }
    }
}
