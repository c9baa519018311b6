//! Sources of each kind, built as their makers do: with the tools where they can be had, by hand where not.

mod backups;
mod ends;
mod hostile;
mod layouts;
mod tools;
mod wpress;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::progress::Silent;

/// A dump of a WordPress whose tables begin with `x1_`.
const DUMP: &str = "-- MySQL dump 10.13  Distrib 8.0.35\n--\n-- Host: localhost    Database: client\n-- ------\n/*!50503 SET NAMES utf8mb4 */;\n\
    DROP TABLE IF EXISTS `x1_options`;\nCREATE TABLE `x1_options` (\n  `option_id` bigint\n);\n\
    INSERT INTO `x1_options` VALUES (1,'siteurl','https://client.test','yes');\n";

const CONFIG: &str = "<?php\ndefine( 'DB_NAME', 'client' );\ndefine( 'DB_CHARSET', 'utf8mb4' );\n$table_prefix = 'x1_';\n\
    define( 'MINE', 1 );\nrequire_once ABSPATH . 'wp-settings.php';\n";

/// The files of a WordPress with pieces of a host in it.
const WORDPRESS: [(&str, &str); 14] = [
    ("index.php", "<?php"),
    ("wp-load.php", "<?php"),
    ("wp-settings.php", "<?php"),
    ("wp-config.php", CONFIG),
    ("wp-includes/version.php", "<?php\n$wp_version = '6.4.3';\n"),
    ("wp-content/advanced-cache.php", "<?php"),
    ("wp-content/cache/page.html", "x"),
    ("wp-content/object-cache.php", "<?php"),
    ("wp-content/mu-plugins/kinsta-mu-plugins.php", "<?php"),
    ("wp-content/mu-plugins/mine.php", "<?php"),
    ("wp-content/plugins/shop/shop.php", "<?php"),
    ("wp-content/plugins/shop/sample.sql", "CREATE TABLE `sample` (a int);\n"),
    ("wp-content/themes/client/style.css", "/* Theme Name: Client */"),
    ("wp-content/uploads/2026/11/a.jpg", "JPEG"),
];

/// What of it comes into a site.
const TAKEN: [&str; 9] = [
    "index.php",
    "wp-content/mu-plugins/mine.php",
    "wp-content/plugins/shop/sample.sql",
    "wp-content/plugins/shop/shop.php",
    "wp-content/themes/client/style.css",
    "wp-content/uploads/2026/11/a.jpg",
    "wp-includes/version.php",
    "wp-load.php",
    "wp-settings.php",
];

fn write(folder: &Path, files: &[(&str, &str)]) {
    testing::write(folder, &files.iter().map(|(path, text)| (*path, text.as_bytes())).collect::<Vec<_>>());
}

/// Writes a WordPress into a folder.
fn wordpress(folder: &Path) {
    write(folder, &WORDPRESS);
}

/// Writes only the `wp-content` of one.
fn content(folder: &Path) {
    let of_content: Vec<_> = WORDPRESS.into_iter().filter(|(path, _)| path.starts_with("wp-content/")).collect();
    write(folder, &of_content);
}

/// What [`TAKEN`] has below `wp-content`.
fn taken_content() -> Vec<String> {
    TAKEN.iter().filter(|path| path.starts_with("wp-content/")).map(|path| (*path).to_owned()).collect()
}

fn found(path: &Path) -> Found {
    found_with(path, &Options::default())
}

fn found_with(path: &Path, options: &Options) -> Found {
    look(path, options, &Silent).unwrap_or_else(|error| panic!("{}: {error} {:?}", path.display(), error))
}

fn inside(paths: &[&str]) -> Options {
    Options { inside: paths.iter().map(PathBuf::from).collect(), ..Options::default() }
}

fn refused(path: &Path) -> SourceError {
    match look(path, &Options::default(), &Silent) {
        Ok(found) => panic!("{} is {:?}", path.display(), found.kind),
        Err(error) => error,
    }
}

/// The choices that are listed where there are several.
fn several(path: &Path) -> Vec<String> {
    match refused(path) {
        SourceError::Several { choices, .. } => choices.iter().map(|choice| choice.display().to_string()).collect(),
        error => panic!("{error}"),
    }
}

/// The files that are written, by path.
fn unpacked(found: &Found) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("tree");
    let written = found.unpack(&into, &|_| true, &Silent).unwrap_or_else(|error| panic!("{error} {error:?}"));
    let files = files(&into);
    assert_eq!((written.files, found.files), (files.len() as u64, files.len() as u64));
    files
}

/// Every file and link below a folder.
fn files(folder: &Path) -> Vec<String> {
    let all = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    let mut files: Vec<_> = all
        .filter(|entry| !entry.file_type().is_dir())
        .map(|entry| entry.path().strip_prefix(folder).unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    files
}

fn sql(found: &Found) -> String {
    let mut text = String::new();
    for mut part in found.dump() {
        let start = text.len();
        part.read.read_to_string(&mut text).unwrap();
        assert!(part.bytes.is_none_or(|bytes| bytes == (text.len() - start) as u64), "{}", part.name);
    }
    text
}

/// Reads the dump, which can't be read to its end.
fn unreadable(found: &Found) -> io::Error {
    let read = |mut part: DumpPart| io::copy(&mut part.read, &mut io::sink());
    found.dump().into_iter().find_map(|part| read(part).err()).expect("the dump is damaged")
}

fn dumps(found: &Found) -> Vec<String> {
    found.dumps.iter().map(|dump| dump.path.display().to_string()).collect()
}

fn aside(found: &Found) -> Vec<(String, Why)> {
    found.aside.iter().map(|aside| (aside.path.display().to_string(), aside.why)).collect()
}

/// Runs a tool in a folder.
fn run(folder: &Path, program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).current_dir(folder).stdout(std::process::Stdio::null()).status();
    assert!(status.unwrap_or_else(|error| panic!("{program}: {error}")).success(), "{program} {arguments:?}");
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// An error of reading that came through a stream.
fn source_error(error: &io::Error) -> &SourceError {
    error.get_ref().and_then(|inner| inner.downcast_ref()).unwrap_or_else(|| panic!("{error:?}"))
}
