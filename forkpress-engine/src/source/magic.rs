//! What a file is, told by its first bytes. Pure, but for [`Form::of`], which reads them.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::stream::{self, Packing};

/// So much of a file is looked at, unpacked.
pub(super) const HEAD_BYTES: u64 = 64 << 10;

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Zip,
    Tar(Packing),
    /// An archive of All-in-One WP Migration.
    Wpress,
    /// An archive of Duplicator's own format.
    Daf,
    Dump(Packing),
    Sqlite,
    Wxr(Packing),
    /// What is known and can't be used: what it is, and what helps.
    Unusable(&'static str, &'static str),
    /// What it looks like.
    Unknown(&'static str),
}

impl Form {
    /// Looks at a file.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let (packing, head) = stream::head(File::open(path)?, HEAD_BYTES)?;
        Ok(Self::of_head(packing, &head))
    }

    /// Tells it from what a file is packed in and begins with.
    pub(super) fn of_head(packing: Packing, head: &[u8]) -> Self {
        if is_tar(head) {
            return Self::Tar(packing);
        }
        if is_wxr(head) {
            return Self::Wxr(packing);
        }
        if packing == Packing::Plain {
            for (magic, form) in PLAIN {
                if head.starts_with(magic) {
                    return form;
                }
            }
            if is_wpress(head) {
                return Self::Wpress;
            }
        }
        for (magic, form) in TEXTS {
            if head.starts_with(magic) {
                return form;
            }
        }
        if is_dump(head) {
            return Self::Dump(packing);
        }
        Self::Unknown(match head {
            [] if packing == Packing::Plain => "it is empty",
            [] => "what is packed in it is damaged or empty",
            _ if head.contains(&0) => "it is neither an archive nor a database",
            _ => "it is a text, but no SQL dump",
        })
    }
}

const PLAIN: [(&[u8], Form); 9] = [
    (b"PK\x03\x04", Form::Zip),
    (b"PK\x05\x06", Form::Zip),
    (b"<A><V>", Form::Daf),
    (b"SQLite format 3\0", Form::Sqlite),
    (b"\xfd7zXZ\0", Form::Unusable("packed by xz", "unpack it with: xz -d FILE")),
    (b"7z\xbc\xaf\x27\x1c", Form::Unusable("a 7-Zip archive", "unpack it with '7z x FILE', and import the folder")),
    (b"Rar!\x1a\x07", Form::Unusable("a RAR archive", "unpack it with 'unrar x FILE', and import the folder")),
    (
        b"PGDMP",
        Form::Unusable("a dump of PostgreSQL", "WordPress uses MySQL or MariaDB: export the database from there"),
    ),
    (
        b"PK\x07\x08",
        Form::Unusable("a part of a split ZIP file", "put it together with: zip -s 0 FILE.zip --out whole.zip"),
    ),
];

const TEXTS: [(&[u8], Form); 4] = [
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
    (b"PRAGMA foreign_keys=OFF;", SQLITE_DUMP),
    (
        b"--\n-- PostgreSQL database dump",
        Form::Unusable("a dump of PostgreSQL", "WordPress uses MySQL or MariaDB: export the database from there"),
    ),
];

/// What PowerShell's `>` makes of a dump.
const UTF_16: Form = Form::Unusable(
    "a text in UTF-16, in which bytes of a dump are lost",
    "make the dump again, with mysqldump's --result-file=dump.sql instead of '>'",
);

const SQLITE_DUMP: Form =
    Form::Unusable("a dump of SQLite, not of MySQL", "import the database file itself: wp-content/database/.ht.sqlite");

/// Whether this is a header of tar: its checksum is right.
fn is_tar(head: &[u8]) -> bool {
    let Some(header) = head.get(..512) else { return false };
    let digits: Vec<u8> = header[148..156].iter().copied().filter(u8::is_ascii_digit).collect();
    let Ok(says) = u32::from_str_radix(&String::from_utf8_lossy(&digits), 8) else { return false };
    let sum: u32 = header
        .iter()
        .enumerate()
        .map(|(at, byte)| u32::from(if (148..156).contains(&at) { b' ' } else { *byte }))
        .sum();
    header[0] != 0 && sum == says
}

/// Whether this is a header of a `.wpress`: a name, the size and a time in digits, each filled up with NULs.
fn is_wpress(head: &[u8]) -> bool {
    let field = |from: usize, to: usize| {
        head.get(from..to).map(|field| field.split(|byte| *byte == 0).next().unwrap_or_default())
    };
    let is_number = |field: &[u8]| !field.is_empty() && field.iter().all(u8::is_ascii_digit);
    head.len() >= super::archive::WPRESS_HEADER_BYTES
        && field(0, 255).is_some_and(|name| !name.is_empty())
        && field(255, 269).is_some_and(is_number)
        && field(269, 281).is_some_and(is_number)
}

/// Whether this is an export of WordPress (WXR).
fn is_wxr(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    text.trim_start_matches('\u{feff}').trim_start().starts_with('<')
        && text.contains("<rss")
        && text.contains("wp:wxr_version")
}

/// How a statement of a dump begins, with enough of it that no prose does.
static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
    let statement = r"(?i-u)^(create\s+(table|database|schema|temporary|or|view|definer|algorithm|sequence)\b\
        |insert\s+(into|ignore|low_priority|delayed|high_priority)\b|replace\s+into\b|drop\s+(table|database|schema|view|trigger|procedure|function|event)\b\
        |set\s+(names\s|@|session\s|global\s|[a-z_.]+\s*=)|lock\s+tables?\s|use\s+`?[\w$-]+`?\s*;|alter\s+(table|database|schema)\b|start\s+transaction\b\
        |begin\s*;|delimiter\s|truncate\s+(table\s|`)|delete\s+from\s|flush\s+(tables|privileges)\b|/\*!\d|/\*M!\d)";
    Regex::new(&statement.replace("\\\n        ", "")).expect("it is a pattern")
});

/// Whether a text is a dump of MySQL or MariaDB: after comments comes a statement. A head may end in its comments.
pub(super) fn is_dump(head: &[u8]) -> bool {
    let mut rest = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    while !STATEMENT.is_match(rest) {
        let end: &[u8] = match rest {
            [b'/', b'*', ..] => b"*/",
            [b'-', b'-', ..] | [b'#', ..] => b"\n",
            _ => return false,
        };
        let Some(at) = rest.windows(end.len()).position(|part| part == end) else {
            return ["MySQL", "MariaDB", "Dump"]
                .iter()
                .any(|word| head.windows(word.len()).any(|part| part == word.as_bytes()));
        };
        rest = rest[at + end.len()..].trim_ascii_start();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_told_by_its_first_statement() {
        for text in [
            "-- MySQL dump 10.13\n--\nCREATE TABLE `a` (",
            "/*M!999999\\- enable the sandbox mode */ \n",
            "\u{feff}# WordPress MySQL database\n#\n\nDROP TABLE IF EXISTS `wp_a`;",
            "/* c */ SET NAMES utf8mb4;\n",
            "insert into t values (1);",
            "CREATE TABLE t (\n a int);",
            "-- MariaDB dump\n-- Host: loc",
            "#\n# MySQL database backup",
            "USE `a`;\n",
        ] {
            assert_eq!(Form::of_head(Packing::Gzip, text.as_bytes()), Form::Dump(Packing::Gzip), "{text}");
        }
        for text in [
            "",
            "use your head",
            "# Read me\nThis is",
            "<?php // create",
            "settings: 1;",
            "create a page\n",
            "#!/bin/sh\nexit",
        ] {
            assert!(matches!(Form::of_head(Packing::Plain, text.as_bytes()), Form::Unknown(_)), "{text}");
        }
    }

    #[test]
    fn what_is_known_and_of_no_use_is_called_by_its_name() {
        for (head, name) in [
            (&b"\xff\xfe-\0-\0"[..], "UTF-16"),
            (b"7z\xbc\xaf\x27\x1c\0", "7-Zip"),
            (b"PRAGMA foreign_keys=OFF;\nBEGIN", "SQLite"),
            (b"\xfd7zXZ\0", "xz"),
        ] {
            let Form::Unusable(what, _) = Form::of_head(Packing::Plain, head) else { panic!("{name}") };
            assert!(what.contains(name), "{what}");
        }
    }

    #[test]
    fn an_export_of_wordpress_is_told_by_its_version() {
        let head = b"<?xml version=\"1.0\"?>\n<rss version=\"2.0\"><channel><wp:wxr_version>1.2</wp:wxr_version>";
        assert_eq!(Form::of_head(Packing::Plain, head), Form::Wxr(Packing::Plain));
        assert!(matches!(Form::of_head(Packing::Plain, b"<rss><channel>"), Form::Unknown(_)));
    }
}
