//! Files of a branch that are never sent, whoever asks.

use super::media::{UNKNOWN, media_type};

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

/// How the media types begin of what is no source, and nobody's copy of one: the last ending says what it is.
const ASSETS: [&str; 14] = [
    "image/",
    "audio/",
    "video/",
    "font/",
    "model/",
    "text/css",
    "text/javascript",
    "application/epub",
    "application/msword",
    "application/pdf",
    "application/rtf",
    "application/vnd.apple",
    "application/vnd.ms-",
    "application/vnd.o",
];

/// Whether a file at a path is never sent: PHP source under whatever ending, settings, databases, dumps and logs.
///
/// An ending counts wherever it stands (`a.php.bak`, `a.sql.gz`), in any case and whatever follows its letters
/// (`a.php~`, `a.sqlite-wal`). But a picture, font, document, script or style sheet is what its last ending says
/// (`sql.php.js`, `Intro.to.PHP.pdf`), and in the media library, which holds what people have uploaded, so is everything but
/// source (`site.sql.zip`, `notes.php_.txt`).
pub(super) fn is_private<S: AsRef<[u8]>>(segments: &[S]) -> bool {
    let Some(name) = segments.last() else { return false };
    let name = name.as_ref().to_ascii_lowercase();
    let media = media_type(&name);
    if ASSETS.iter().any(|kind| media.starts_with(kind)) {
        return false;
    }
    if name.ends_with(b"~") || name.ends_with(b"#") || name == b"error_log" || name.starts_with(b"wp-config") {
        return true;
    }
    let letters = |ending: &[u8]| ending.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(ending.len());
    let is_of = |known: &[&str], ending: &[u8]| known.iter().any(|known| known.as_bytes() == ending);
    let is_source = |ending: &[u8]| ending.starts_with(b"php") || is_of(&SOURCE_ENDINGS, ending);
    let endings: Vec<&[u8]> = name.split(|&b| b == b'.').skip(1).collect();
    // WordPress marks with `_` what it does not know among the endings of an upload.
    if media != UNKNOWN && is_in_media_library(segments) {
        return endings.iter().any(|ending| !ending.ends_with(b"_") && is_source(&ending[..letters(ending)]));
    }
    let mut endings = endings.iter().map(|ending| &ending[..letters(ending)]);
    endings.any(|ending| is_source(ending) || is_of(&PRIVATE_ENDINGS, ending))
}

/// Whether a file lies where WordPress puts uploads: by year and month, or not; in a network, in the folder of a site. What
/// plugins have in other folders there are their own files, such as backups.
fn is_in_media_library<S: AsRef<[u8]>>(segments: &[S]) -> bool {
    let segments: Vec<&[u8]> = segments.iter().map(AsRef::as_ref).collect();
    let [b"wp-content", b"uploads", rest @ .., _] = segments.as_slice() else { return false };
    let is_number = |name: &[u8], digits: usize| name.len() == digits && name.iter().all(u8::is_ascii_digit);
    let rest = match rest {
        [b"sites", site, rest @ ..] if is_number(site, site.len()) => rest,
        rest => rest,
    };
    match rest {
        [] => true,
        [year, month] => is_number(year, 4) && is_number(month, 2),
        _ => false,
    }
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
            assert!(is_private(&[name]), "{name}");
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
            "Intro.to.PHP.pdf",
            "meeting.log_.pdf",
            "plan.tmp.docx",
            "wp-config.png",
            "wp-config-explained.pdf",
            "report.old.xlsx",
            "evil.php.jpg",
            "talk.db.mp4",
        ];
        for name in names {
            assert!(!is_private(&[name]), "{name}");
        }
    }

    #[test]
    fn an_upload_is_what_its_last_ending_says_and_no_source() {
        for name in ["site.sql.zip", "site.sql.gz", "notes.php_.txt", "data.db.json", "meeting.log.txt", "my.tmp.csv"] {
            for place in ["wp-content/uploads", "wp-content/uploads/2026/11", "wp-content/uploads/sites/2/2026/11"] {
                let path = format!("{place}/{name}");
                assert!(!is_private(&segments(&path)), "{path}");
            }
            for place in ["", "wp-content", "wp-content/uploads/backups", "uploads", "a/wp-content/uploads"] {
                let path = format!("{place}/{name}");
                assert!(is_private(&segments(&path)), "{path}");
            }
        }
        for name in [
            "a.php.txt",
            "a.php.bak",
            "a.php~",
            "a.php",
            "a.phtml.html",
            "site.sql",
            "debug.log",
            "site.sqlite",
            "wp-config.txt",
            "wp-config.php.save",
            ".a.php.swp",
            "a.php_",
            "php.ini",
            "a.php.zip",
            "dump.sql.1",
        ] {
            let path = format!("wp-content/uploads/2026/11/{name}");
            assert!(is_private(&segments(&path)), "{path}");
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
