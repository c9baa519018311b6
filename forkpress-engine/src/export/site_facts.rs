//! What an export says of a branch, and which addresses it has.

use std::fs;
use std::path::Path;

use forkpress_core::address::Addresses;
use forkpress_core::driver;
use forkpress_core::network::Network;
use rusqlite::{Connection, OptionalExtension};

use super::dump::Addressing;
use super::{ExportError, Options, config};
use crate::addresses::{Counts, Rewriter};
use crate::database::DatabaseReader;
use crate::site::Site;
use crate::wordpress::{self, WordPressError};

/// What is known of a branch.
pub(super) struct Facts {
    /// Its `wp-config.php`.
    pub(super) config: Vec<u8>,
    pub(super) prefix: String,
    /// The address that it has in the export.
    pub(super) home: String,
    /// The same of WordPress itself, which may be in a folder of its own.
    pub(super) siteurl: String,
    pub(super) is_network: bool,
    pub(super) wordpress_version: Option<String>,
    pub(super) driver_version: Option<String>,
    pub(super) database_bytes: u64,
    pub(super) addressing: Addressing,
}

impl Facts {
    pub(super) fn read(
        site: &Site,
        tree: &Path,
        reader: &DatabaseReader,
        options: &Options<'_>,
    ) -> Result<Self, ExportError> {
        let config = fs::read(tree.join("wp-config.php")).unwrap_or_default();
        let prefix = config::prefix(&config);
        let addresses = known_addresses(site, tree, options.served)?;
        let addressing = match options.url {
            Some(url) => Addressing::Rewrite(Rewriter::of_site(&addresses, url)?),
            None => Addressing::Count(Rewriter::of_site(&addresses.served(), "http://elsewhere.invalid")?),
        };
        let connection = reader.connection();
        let option = |name: &str| option(connection, &prefix, name).map_err(|error| reader.error(error));
        let there = |stored: Option<String>| match (options.url, stored) {
            (Some(url), None) => url.to_owned(),
            (Some(_), Some(stored)) => rewritten(&addressing, &stored),
            (None, stored) => stored.unwrap_or_default(),
        };
        // What stands in the configuration counts for more than what the database says.
        let said = |constant: &str, name: &str| match config::constant(&config, constant) {
            Some(url) => Ok(Some(url)),
            None => option(name),
        };
        let (home, siteurl) = (there(said("WP_HOME", "home")?), there(said("WP_SITEURL", "siteurl")?));
        let pages = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        let bytes: i64 = connection.query_row(pages, [], |row| row.get(0)).map_err(|error| reader.error(error))?;
        Ok(Self {
            home,
            siteurl,
            is_network: Network::of(tree).is_some(),
            wordpress_version: value_in(&tree.join("wp-includes/version.php"), "$wp_version"),
            driver_version: driver::parts(tree).iter().find_map(|part| {
                value_in(&tree.join(part).join("wp-includes/database/version.php"), "'SQLITE_DRIVER_VERSION'")
            }),
            database_bytes: u64::try_from(bytes).unwrap_or_default(),
            config,
            prefix,
            addressing,
        })
    }
}

fn rewritten(addressing: &Addressing, text: &str) -> String {
    let rewriter = addressing.rewriter();
    let rewritten = rewriter.map(|rewriter| rewriter.rewrite(text.as_bytes(), &mut Counts::default()));
    rewritten.map_or_else(|| text.to_owned(), |text| String::from_utf8_lossy(&text).into_owned())
}

/// All addresses that a branch of a site has, or had: recorded ones, those that the site is served at, and what the branch
/// itself says.
///
/// # Errors
/// [`WordPressError`] when the branch's options can't be read.
pub fn known_addresses(site: &Site, tree: &Path, served: &[(&str, u16)]) -> Result<Addresses, WordPressError> {
    let mut addresses = Addresses::parse(&fs::read_to_string(site.layout.cow().addresses()).unwrap_or_default());
    for (root_host, port) in served.iter().copied().chain([(site.config.root_host.as_str(), site.config.port)]) {
        addresses.add_root(root_host);
        addresses.add_port(port);
    }
    for url in wordpress::urls(tree)? {
        addresses.add_home(&url);
    }
    Ok(addresses)
}

fn option(connection: &Connection, prefix: &str, name: &str) -> rusqlite::Result<Option<String>> {
    let has_options = "SELECT count(*) FROM sqlite_schema WHERE name = ?";
    let table = format!("{prefix}options");
    if connection.query_row(has_options, [&table], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(None);
    }
    let value = format!("SELECT CAST(option_value AS TEXT) FROM \"{table}\" WHERE option_name = ?");
    connection.query_row(&value, [name], |row| row.get(0)).optional()
}

/// The text in quotes that follows a name in a file.
fn value_in(file: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let code = text.lines().filter(|line| !line.trim_start().starts_with('*'));
    let value = |line: &str| {
        let rest = line.split_once(name)?.1;
        let value = &rest[rest.find(['\'', '"'])? + 1..];
        value.find(['\'', '"']).map(|end| value[..end].to_owned())
    };
    code.into_iter().find_map(value)
}
