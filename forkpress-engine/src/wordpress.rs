//! What a branch's WordPress has stored that is true in one place only: the site's address, and absolute paths.
//!
//! Both are read as text, from the options in the database and from `wp-config.php`. Nothing of the branch is run.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use crate::database::{DatabaseError, DatabaseReader};
use forkpress_core::address::Addresses;
use forkpress_core::deadline::Deadline;
use forkpress_core::layout::SiteLayout;
use forkpress_core::name::BranchName;
use forkpress_core::network::Network;

/// How long another program may keep the database locked.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Names of more options than these help nobody.
const MOST_OPTIONS: usize = 50;

/// Options and constants of more bytes than this are no path, and are not looked through at a create.
const LONGEST_VALUE: usize = 65_536;

/// Constants that sign cookies and nonces.
pub(crate) const KEYS_AND_SALTS: [&str; 8] = [
    "AUTH_KEY",
    "SECURE_AUTH_KEY",
    "LOGGED_IN_KEY",
    "NONCE_KEY",
    "AUTH_SALT",
    "SECURE_AUTH_SALT",
    "LOGGED_IN_SALT",
    "NONCE_SALT",
];

/// Constants that hold a folder of the branch.
const FOLDERS: [&str; 9] = [
    "ABSPATH",
    "FQDBDIR",
    "WPCACHEHOME",
    "WPMU_PLUGIN_DIR",
    "WP_CONTENT_DIR",
    "WP_LANG_DIR",
    "WP_PLUGIN_DIR",
    "WP_TEMP_DIR",
    "DB_DIR",
];

/// Why a branch's options can't be read.
#[derive(Debug, Error)]
pub enum WordPressError {
    /// The database can't be read.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The record of addresses can't be written.
    #[error("cannot write {path}")]
    Record {
        /// The record.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Adds to the record of a site's addresses: root hosts and ports that it is served at, and what a tree says that the site is
/// called. Where that is no news, nothing is written.
///
/// One writer at a time: init has the folder to itself, and a server's start the lifecycle lock.
///
/// # Errors
/// [`WordPressError::Database`] when the database can't be read, [`WordPressError::Record`] when the record can't be
/// written; it is as it was then.
pub fn record_addresses(layout: &SiteLayout, served: &[(&str, u16)], tree: &Path) -> Result<(), WordPressError> {
    let urls = urls(tree)?;
    record(layout, |addresses| {
        let mut is_new = false;
        for (root_host, port) in served {
            is_new |= addresses.add_root(root_host) | addresses.add_port(*port);
        }
        urls.iter().fold(is_new, |is_new, url| is_new | addresses.add_home(url))
    })
}

/// Adds addresses that contents had elsewhere to that record.
///
/// # Errors
/// As [`record_addresses`].
pub fn record_former_addresses(layout: &SiteLayout, urls: &[String]) -> Result<(), WordPressError> {
    record(layout, |addresses| urls.iter().fold(false, |is_new, url| is_new | addresses.add_home(url)))
}

/// Writes the record anew where something was added to it.
fn record(layout: &SiteLayout, add: impl FnOnce(&mut Addresses) -> bool) -> Result<(), WordPressError> {
    let path = layout.cow().addresses();
    let mut addresses = Addresses::parse(&fs::read_to_string(&path).unwrap_or_default());
    if add(&mut addresses) {
        crate::file::replace(&path, addresses.to_string().as_bytes())
            .map_err(|source| WordPressError::Record { path, source })?;
    }
    Ok(())
}

/// What a tree calls the site's address, in its options and in `wp-config.php`. Of a network: but for sites that are in a folder
/// of another one, and stay there wherever that is.
pub(crate) fn urls(tree: &Path) -> Result<Vec<String>, WordPressError> {
    let mut urls =
        options(tree, "option_name IN ('siteurl', 'home')")?.into_iter().map(|(_, url)| url).collect::<Vec<_>>();
    let config = config_of(tree);
    urls.extend(
        constants(&config)
            .into_iter()
            .filter(|c| matches!(c.name, "WP_HOME" | "WP_SITEURL"))
            .map(|c| c.value.to_owned()),
    );
    if Network::of(tree).is_some() {
        let place =
            |url: &str| format!("{}/", url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/'));
        let places: Vec<_> = urls.iter().map(|url| place(url)).collect();
        urls.retain(|url| {
            !places.iter().any(|other| place(url).len() > other.len() && place(url).starts_with(other.as_str()))
        });
    }
    Ok(urls)
}

/// What a tree's database calls its `siteurl`, or its `home`. Of a network: that of its first site.
pub(crate) fn address(tree: &Path, option: &'static str) -> Result<Option<String>, WordPressError> {
    let found = options(tree, &format!("option_name = '{option}'"))?.into_iter().map(|(_, url)| url);
    Ok(found.filter(|url| !url.is_empty()).min_by_key(String::len))
}

/// The options that a condition holds for, by name, from each table of options.
fn options(tree: &Path, condition: &str) -> Result<Vec<(String, String)>, DatabaseError> {
    let Some(reader) = DatabaseReader::begin(tree, Deadline::after(TIMEOUT))? else { return Ok(Vec::new()) };
    let read = || -> rusqlite::Result<_> {
        let tables = "SELECT m.name FROM sqlite_schema m WHERE m.type = 'table' AND m.name LIKE '%options' AND EXISTS \
            (SELECT 1 FROM pragma_table_info(m.name) WHERE name = 'option_name') LIMIT 100";
        let mut tables = reader.connection().prepare(tables)?;
        let tables: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut found = Vec::new();
        for table in tables {
            let table = table.replace('"', "\"\"");
            let query = format!(
                "SELECT option_name, CAST(option_value AS TEXT) FROM \"{table}\" WHERE {condition} ORDER BY 1 LIMIT {MOST_OPTIONS}"
            );
            let mut rows = reader.connection().prepare(&query)?;
            let rows =
                rows.query_map([], |row| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?.unwrap_or_default())))?;
            found.extend(rows.collect::<Result<Vec<_>, _>>()?);
        }
        Ok(found)
    };
    read().map_err(|source| reader.error(source))
}

/// `wp-config.php`, as far as it is text; nothing where there is none.
fn config_of(tree: &Path) -> String {
    fs::read(tree.join("wp-config.php")).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// A constant that is defined as a text.
#[derive(Debug, PartialEq, Eq)]
struct Constant<'t> {
    name: &'t str,
    /// The first text of its value: in `'/srv/a' . '/b'` it is `/srv/a`.
    value: &'t str,
}

/// The constants that a PHP file defines as a text that begins with one; not those in comments of whole lines.
fn constants(code: &str) -> Vec<Constant<'_>> {
    let is_code = |line: &&str| !["//", "#", "*", "/*"].iter().any(|comment| line.trim_start().starts_with(comment));
    let constant = |definition| {
        let (name, rest) = quoted(definition)?;
        let (value, _) = quoted(rest.trim_start().strip_prefix(',')?)?;
        Some(Constant { name, value })
    };
    code.lines()
        .filter(is_code)
        .flat_map(|line| line.split("define").skip(1))
        .filter_map(|definition| constant(definition.trim_start().strip_prefix('(')?))
        .collect()
}

/// The text in quotes that a piece of code begins with, and what follows.
fn quoted(code: &str) -> Option<(&str, &str)> {
    let code = code.trim_start();
    let quote = code.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    code[1..].split_once(quote)
}

/// An absolute path in a branch that is of another one, or of where the site was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignPath {
    /// Where it stands: `the option upload_path`, or `WPCACHEHOME in wp-config.php`.
    pub place: String,
    /// The path.
    pub path: String,
    /// The branch that it is in; none where it is outside of the site.
    pub branch: Option<String>,
    /// Whether the branch is served as if it were its own.
    pub is_mapped: bool,
}

/// Looks for absolute paths in a branch that are not its own.
///
/// # Errors
/// [`DatabaseError`] when its options can't be read.
pub fn foreign_paths(layout: &SiteLayout, branch: &BranchName) -> Result<Vec<ForeignPath>, DatabaseError> {
    let tree = layout.branch(branch);
    let roots = Roots::of(layout, branch);
    let conditions: Vec<_> =
        roots.spelt().map(|root| format!("instr(option_value, '{}')", root.replace('\'', "''"))).collect();
    let condition = format!(
        "(({}) AND length(option_value) < {LONGEST_VALUE} AND option_name NOT LIKE '\\_transient%' ESCAPE '\\' \
         AND option_name NOT LIKE '\\_site\\_transient%' ESCAPE '\\') OR option_name = 'upload_path'",
        conditions.join(" OR ")
    );
    let mut found = Vec::new();
    for (name, value) in options(&tree, &condition)? {
        let is_upload_path = name == "upload_path";
        let path = roots
            .first_in(&value)
            .or_else(|| (is_upload_path && roots.is_outside(&value)).then(|| (value.clone(), None)));
        if let Some((path, of)) = path {
            let is_mapped = is_upload_path && of.is_some();
            found.push(ForeignPath { place: format!("the option {name}"), path, branch: of, is_mapped });
        }
    }
    for constant in constants(&config_of(&tree)) {
        let path = roots.first_in(constant.value).or_else(|| {
            (FOLDERS.contains(&constant.name) && roots.is_outside(constant.value))
                .then(|| (constant.value.to_owned(), None))
        });
        if let Some((path, of)) = path {
            found.push(ForeignPath {
                place: format!("{} in wp-config.php", constant.name),
                path,
                branch: of,
                is_mapped: false,
            });
        }
    }
    Ok(found)
}

/// The folders that hold a folder for each branch, and the branch that looks.
struct Roots<'l> {
    layout: &'l SiteLayout,
    folders: BTreeSet<String>,
    own: BranchName,
}

impl<'l> Roots<'l> {
    fn of(layout: &'l SiteLayout, own: &BranchName) -> Self {
        let folders = [layout.public_root().to_owned(), layout.branches_dir()];
        let real = folders.iter().filter_map(|folder| folder.canonicalize().ok());
        let folders = real.chain(folders.iter().cloned()).map(|folder| format!("{}/", folder.display())).collect();
        Self { layout, folders, own: own.clone() }
    }

    /// The folders, each as it is and as JSON has it.
    fn spelt(&self) -> impl Iterator<Item = String> {
        self.folders.iter().flat_map(|folder| [folder.clone(), folder.replace('/', "\\/")])
    }

    /// The first path of another branch in a text, and that branch.
    fn first_in(&self, text: &str) -> Option<(String, Option<String>)> {
        self.spelt().find_map(|root| {
            text.match_indices(&root).find_map(|(at, _)| {
                let rest = &text[at + root.len()..];
                let label = rest.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c))).next()?;
                let branch = BranchName::parse(label).ok().filter(|name| *name != self.own && self.is_branch(name))?;
                let end = rest.find(|c: char| "\"';<>".contains(c) || c.is_whitespace()).unwrap_or(rest.len());
                Some((format!("{root}{}", &rest[..end]).replace("\\/", "/"), Some(branch.to_string())))
            })
        })
    }

    /// Whether that is, or was, a branch: a folder beside the branches that is none is somebody's own.
    fn is_branch(&self, name: &BranchName) -> bool {
        self.layout.cow().record(name).exists() || !self.layout.public_branch(name).exists()
    }

    /// Whether a path is absolute and in no branch.
    fn is_outside(&self, path: &str) -> bool {
        path.starts_with('/') && !self.folders.iter().any(|folder| path.starts_with(folder.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> (tempfile::TempDir, SiteLayout, rusqlite::Connection) {
        let dir = tempfile::tempdir().unwrap();
        let layout = SiteLayout::at(&dir.path().canonicalize().unwrap());
        fs::create_dir_all(layout.public_root().join("sale/wp-content/database")).unwrap();
        fs::create_dir_all(layout.cow().dir()).unwrap();
        let database = forkpress_core::layout::database_of(&layout.public_root().join("sale"));
        let connection = rusqlite::Connection::open(database).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE wp_options (option_name TEXT, option_value TEXT); CREATE TABLE my_options (a);",
            )
            .unwrap();
        (dir, layout, connection)
    }

    fn set(connection: &rusqlite::Connection, name: &str, value: &str) {
        connection.execute("INSERT INTO wp_options VALUES (?, ?)", [name, value]).unwrap();
    }

    #[test]
    fn paths_of_another_branch_and_of_a_former_place_are_found_where_they_stand() {
        let (_dir, layout, connection) = site();
        let root = layout.public_root().display().to_string();
        set(&connection, "upload_path", &format!("{root}/main/files"));
        fs::create_dir(layout.public_root().join("shared")).unwrap();
        set(&connection, "fine", &format!("{root}/sale/files {root}/.forkpress/x {root}/shared/x"));
        set(&connection, "cache", &format!("a:1:{{s:1:\"{root}/gone/cache\";}}"));
        set(&connection, "json", &format!("\"{root}/main/a\"").replace('/', "\\/"));
        set(&connection, "_transient_x", &format!("{root}/main/x"));
        let config = format!(
            "<?php\ndefine( 'WPCACHEHOME', '{root}/main/wp-content/plugins/cache/' );\n// define('WP_TEMP_DIR', '{root}/main/t');\n\
             define(\"WP_CONTENT_DIR\", \"/var/www/html/wp-content\"); define('WP_DEBUG_LOG', '/var/log/wp.log');\n\
             define('WP_LANG_DIR', __DIR__ . '/languages');\n"
        );
        fs::write(layout.public_root().join("sale/wp-config.php"), config).unwrap();
        let found = foreign_paths(&layout, &"sale".parse().unwrap()).unwrap();
        let found: Vec<_> = found.iter().map(|f| (f.place.as_str(), f.branch.as_deref(), f.is_mapped)).collect();
        assert_eq!(
            found,
            [
                ("the option cache", Some("gone"), false),
                ("the option json", Some("main"), false),
                ("the option upload_path", Some("main"), true),
                ("WPCACHEHOME in wp-config.php", Some("main"), false),
                ("WP_CONTENT_DIR in wp-config.php", None, false),
            ]
        );
    }

    #[test]
    fn the_upload_path_of_a_former_place_is_found_and_a_relative_one_is_none() {
        let (_dir, layout, connection) = site();
        set(&connection, "upload_path", "wp-content/uploads");
        assert_eq!(foreign_paths(&layout, &"sale".parse().unwrap()).unwrap(), []);
        connection.execute("UPDATE wp_options SET option_value = '/var/www/html/wp-content/uploads'", []).unwrap();
        let found = foreign_paths(&layout, &"sale".parse().unwrap()).unwrap();
        assert_eq!((found.len(), found[0].is_mapped, &found[0].branch), (1, false, &None));
    }

    #[test]
    fn the_record_of_addresses_grows_and_forgets_nothing() {
        let (_dir, layout, connection) = site();
        let tree = layout.public_root().join("sale");
        set(&connection, "siteurl", "https://example.com/blog");
        fs::write(tree.join("wp-config.php"), "<?php define( 'WP_HOME', 'http://www.example.com' );").unwrap();
        record_addresses(&layout, &[("wp.localhost", 18080)], &tree).unwrap();
        connection.execute("UPDATE wp_options SET option_value = 'http://sale.wp.localhost:18080'", []).unwrap();
        record_addresses(&layout, &[("other.localhost", 81)], &tree).unwrap();
        let text = fs::read_to_string(layout.cow().addresses()).unwrap();
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            lines,
            [
                "root other.localhost",
                "root wp.localhost",
                "port 81",
                "port 18080",
                "home example.com/blog",
                "home www.example.com",
            ]
        );
        let before = fs::metadata(layout.cow().addresses()).unwrap();
        record_addresses(&layout, &[("other.localhost", 81)], &tree).unwrap();
        use std::os::unix::fs::MetadataExt;
        assert_eq!(
            fs::metadata(layout.cow().addresses()).unwrap().ino(),
            before.ino(),
            "what is no news is not written"
        );
    }

    #[test]
    fn the_sites_of_a_network_in_folders_are_no_addresses_of_their_own() {
        let (_dir, layout, connection) = site();
        let tree = layout.public_root().join("sale");
        set(&connection, "siteurl", "https://example.com");
        set(&connection, "home", "http://example.com/");
        connection
            .execute_batch(
                "CREATE TABLE wp_2_options (option_name TEXT, option_value TEXT);
                 INSERT INTO wp_2_options VALUES ('siteurl', 'http://example.com/two'), ('home', 'http://example.community/two');",
            )
            .unwrap();
        let found = || {
            let mut found = urls(&tree).unwrap();
            found.sort();
            found
        };
        let all =
            ["http://example.com/", "http://example.com/two", "http://example.community/two", "https://example.com"];
        assert_eq!(found(), all, "of one site each may be in a folder that becomes the branch's root");
        fs::write(tree.join("wp-config.php"), "<?php\ndefine( 'MULTISITE', true );").unwrap();
        assert_eq!(found(), ["http://example.com/", "http://example.community/two", "https://example.com"]);
    }

    #[test]
    fn a_constant_is_read_as_it_is_written() {
        let code = "define('A','/a');define( \"B\" , '/b' . '/c' ); define('C', getenv('X')); defined('D') || define('D', '/d');";
        let found: Vec<_> = constants(code).into_iter().map(|c| (c.name, c.value)).collect();
        assert_eq!(found, [("A", "/a"), ("B", "/b"), ("D", "/d")]);
    }
}
