//! What a source says of the site in it.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::config::{Config, is_prefix};
use super::listing::Listing;
use super::roots::Root;

/// What a source says of the site in it. What it does not say is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The prefix of the tables.
    pub prefix: Option<String>,
    /// What stands for the prefix in the dump, and in some of its values.
    pub prefix_placeholder: Option<String>,
    /// The address of WordPress.
    pub siteurl: Option<String>,
    /// The address of the site.
    pub home: Option<String>,
    /// If it is a network of sites, which one; `Some` also where only its dump says so.
    pub network: Option<Network>,
    /// The version of WordPress.
    pub wordpress: Option<String>,
    /// The version of PHP.
    pub php: Option<String>,
    /// The charset of the database.
    pub charset: Option<String>,
    /// The version of the SQLite driver that comes along.
    pub driver: Option<String>,
    /// Active plugins, where they are not in the dump.
    pub active_plugins: Option<Vec<String>>,
    /// The active theme that the active one builds on, where it is not in the dump.
    pub template: Option<String>,
    /// The active theme, where it is not in the dump.
    pub stylesheet: Option<String>,
}

/// A network of sites.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Network {
    /// Whether its sites have host names of their own; none where it is not said.
    pub has_subdomains: Option<bool>,
    /// The domain of the network.
    pub domain: Option<String>,
    /// The path of the network.
    pub path: Option<String>,
}

/// What stands for the prefix in a `.wpress`.
pub(super) const WPRESS_PLACEHOLDER: &str = "SERVMASK_PREFIX_";

impl Facts {
    /// Takes from others what is not known yet.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            prefix: self.prefix.or(other.prefix),
            prefix_placeholder: self.prefix_placeholder.or(other.prefix_placeholder),
            siteurl: self.siteurl.or(other.siteurl),
            home: self.home.or(other.home),
            network: self.network.or(other.network),
            wordpress: self.wordpress.or(other.wordpress),
            php: self.php.or(other.php),
            charset: self.charset.or(other.charset),
            driver: self.driver.or(other.driver),
            active_plugins: self.active_plugins.or(other.active_plugins),
            template: self.template.or(other.template),
            stylesheet: self.stylesheet.or(other.stylesheet),
        }
    }

    /// What `wp-config.php` says.
    pub(super) fn of_config(text: &[u8]) -> Self {
        let config = Config::read(text);
        let network = config.is_on("MULTISITE").then(|| Network {
            has_subdomains: Some(config.is_on("SUBDOMAIN_INSTALL")),
            domain: config.text_of("DOMAIN_CURRENT_SITE"),
            path: config.text_of("PATH_CURRENT_SITE"),
        });
        Self {
            prefix: config.table_prefix(),
            siteurl: config.text_of("WP_SITEURL"),
            home: config.text_of("WP_HOME"),
            charset: config.text_of("DB_CHARSET").filter(|charset| !charset.is_empty()),
            network,
            ..Self::default()
        }
    }

    /// What a small JSON file of a backup says: the fields that tools agree on are looked for wherever they use to be.
    pub(super) fn of_json(json: &Value) -> Self {
        let text = |paths: &[&str]| paths.iter().find_map(|path| json.pointer(path).and_then(as_text));
        let plugins = json.pointer("/Plugins").and_then(Value::as_array);
        let domain = text(&["/domain"]).filter(|domain| !domain.is_empty() && !domain.contains('/'));
        let siteurl = text(&["/SiteURL", "/siteUrl", "/blog_info/wpurl", "/wp_siteurl", "/siteurl"])
            .or(domain.map(|domain| format!("http://{domain}")));
        Self {
            prefix: text(&[
                "/Database/Prefix",
                "/blog_info/wpdb_prefix",
                "/blog_info/prefix",
                "/wp_tableprefix",
                "/tablePrefix",
            ])
            .filter(|prefix| is_prefix(prefix)),
            home: text(&["/HomeURL", "/blog_info/url", "/wp_homeurl"]).or_else(|| siteurl.clone()),
            siteurl,
            wordpress: text(&[
                "/WordPress/Version",
                "/wordpressVersion",
                "/wpVersion",
                "/blog_info/version",
                "/version_wp",
            ]),
            php: text(&["/PHP/Version", "/phpVersion", "/services/php/version", "/version_php"]),
            charset: text(&["/Database/Charset"]),
            active_plugins: plugins.map(|plugins| plugins.iter().filter_map(as_text).collect()),
            template: text(&["/Template"]),
            stylesheet: text(&["/Stylesheet"]),
            ..Self::default()
        }
    }

    /// What the comments and the first table of a dump say.
    pub(super) fn of_dump(head: &str) -> Self {
        let lines = || head.lines().take(200).map(str::trim);
        let after = |label: &str| {
            let comment =
                |line: &str| line.strip_prefix('#').or(line.strip_prefix("--")).map(|line| line.trim().to_owned());
            lines()
                .filter_map(comment)
                .find_map(|line| Some(line.strip_prefix(label)?.trim().to_owned()))
                .filter(|value| !value.is_empty())
        };
        let prefix = after("Table prefix:").or_else(|| after("Table Prefix:")).filter(|prefix| is_prefix(prefix));
        let version = after("WordPress Version:");
        let words: Vec<_> = version.as_deref().unwrap_or_default().split([' ', ',']).collect();
        let php = words.iter().position(|word| *word == "PHP").and_then(|at| words.get(at + 1));
        let home = after("Home URL:")
            .or_else(|| after("URL:").map(|url| if url.starts_with("//") { format!("http:{url}") } else { url }));
        let is_network = after("Site info: multisite=").is_some_and(|value| value == "1");
        Self {
            prefix,
            siteurl: after("Site URL:").or_else(|| home.clone()),
            home,
            network: is_network.then(Network::default),
            wordpress: words
                .first()
                .filter(|version| version.starts_with(|c: char| c.is_ascii_digit()))
                .map(|version| (*version).to_owned()),
            php: php.map(|version| (*version).to_owned()),
            charset: charset_of(head),
            ..Self::default()
        }
    }

    /// What the files of WordPress and of the SQLite driver say.
    pub(super) fn of_files(listing: &Listing, root: &Root) -> Self {
        let version = listing.text(&root.at("wp-includes/version.php"));
        let drivers = ["wp-content/mu-plugins", "wp-content/plugins"]
            .map(|folder| root.at(folder).join("sqlite-database-integration/wp-includes/database/version.php"));
        let driver = drivers.iter().find_map(|path| listing.text(path));
        Self {
            wordpress: version.and_then(|text| assigned(&text, "$wp_version")),
            driver: driver.and_then(|text| Config::read(text.as_bytes()).text_of("SQLITE_DRIVER_VERSION")),
            ..Self::default()
        }
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The text that a variable is set to.
pub(super) fn assigned(code: &str, variable: &str) -> Option<String> {
    let after =
        code.lines().find_map(|line| line.trim_start().strip_prefix(variable)?.trim_start().strip_prefix('='))?;
    let start = after.find(['\'', '"'])?;
    let (text, _) = after[start + 1..].split_once(&after[start..=start])?;
    Some(text.to_owned())
}

/// Names of tables of WordPress that plugins do not use with a prefix of their own.
const TABLES: [&str; 7] =
    ["options", "commentmeta", "postmeta", "termmeta", "usermeta", "term_relationships", "term_taxonomy"];

/// The tables that a piece of a dump creates.
pub(super) fn tables(head: &str) -> Vec<String> {
    let name = |after: &str| {
        let name = after.trim_start().trim_start_matches("IF NOT EXISTS").trim_start().trim_start_matches('`');
        name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    head.split("CREATE TABLE").skip(1).map(name).collect()
}

/// The prefix of a site's tables, as far as a look at the first of them can tell: what the dump says, else what the
/// configuration says, unless no table has that, else what WordPress's own tables have before their names.
pub(super) fn prefix(said: Option<String>, configured: Option<String>, tables: &[String]) -> Option<String> {
    let is_used = |prefix: &String| tables.is_empty() || tables.iter().any(|table| table.starts_with(prefix.as_str()));
    let own = |table: &String| {
        let prefix = TABLES.iter().find_map(|name| table.strip_suffix(name))?;
        // Of a network, `wp_2_` is that of one of its sites.
        let is_of_one = prefix
            .strip_suffix('_')
            .and_then(|prefix| prefix.rsplit_once('_'))
            .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
        (!is_of_one).then(|| prefix.to_owned())
    };
    let guessed = || tables.iter().filter_map(own).min_by_key(String::len);
    said.or_else(|| configured.clone().filter(is_used)).or_else(guessed).or(configured)
}

fn charset_of(head: &str) -> Option<String> {
    let after = head.split("SET NAMES").nth(1)?.trim_start();
    let name: String = after.trim_start_matches(['\'', '"']).chars().take_while(char::is_ascii_alphanumeric).collect();
    (!name.is_empty()).then_some(name)
}

/// What WordPress a tree has.
pub(super) fn version_of(tree: &Path) -> Option<String> {
    assigned(&String::from_utf8_lossy(&std::fs::read(tree.join("wp-includes/version.php")).ok()?), "$wp_version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dumps_comments_and_tables_tell_the_site() {
        let updraft = "# WordPress MySQL database backup\n# Created by UpdraftPlus version 1.24 (https://updraftplus.com)\n\
            # WordPress Version: 6.4.3, running on PHP 8.1.27 (nginx), MySQL 8.0\n# Backup of: https://a.test/wp\n# Home URL: https://a.test\n\
            # Site URL: https://a.test/wp\n# Table prefix: x_\n# Site info: multisite=1\n/*!40101 SET NAMES utf8mb4 */;\n";
        let facts = Facts::of_dump(updraft);
        assert_eq!(
            (facts.prefix.as_deref(), facts.home.as_deref(), facts.siteurl.as_deref()),
            (Some("x_"), Some("https://a.test"), Some("https://a.test/wp"))
        );
        assert_eq!(
            (facts.wordpress.as_deref(), facts.php.as_deref(), facts.charset.as_deref()),
            (Some("6.4.3"), Some("8.1.27"), Some("utf8mb4"))
        );
        assert_eq!(facts.network, Some(Network::default()));
        assert_eq!(Facts::of_dump("# URL: //b.test\n").home.as_deref(), Some("http://b.test"));
    }

    #[test]
    fn the_prefix_is_what_the_tables_have() {
        let of = |configured: Option<&str>, text: &str| prefix(None, configured.map(str::to_owned), &tables(text));
        for (configured, text, prefix) in [
            (None, "CREATE TABLE `ab_wc_orders` (\nCREATE TABLE `ab_commentmeta` (", Some("ab_")),
            (None, "CREATE TABLE `wp_2_options` (x); CREATE TABLE IF NOT EXISTS wp_usermeta (", Some("wp_")),
            (None, "CREATE TABLE `wp_2_postmeta` (", None),
            (None, "CREATE TABLE `wp_aioseo_posts` (", None),
            (Some("wp_"), "CREATE TABLE `wp_aioseo_posts` (", Some("wp_")),
            (Some("wp_"), "CREATE TABLE `ab_options` (", Some("ab_")),
            (Some("wp_"), "CREATE TABLE `orders` (", Some("wp_")),
            (Some("wp_"), "INSERT INTO", Some("wp_")),
        ] {
            assert_eq!(of(configured, text).as_deref(), prefix, "{configured:?} {text}");
        }
        assert_eq!(prefix(Some("x_".into()), Some("y_".into()), &[]).as_deref(), Some("x_"));
    }

    #[test]
    fn versions_are_read_as_they_are_assigned() {
        assert_eq!(
            assigned("<?php\n/** $wp_version = 'no'; */\n$wp_version = '7.1.1';", "$wp_version").as_deref(),
            Some("7.1.1")
        );
        assert_eq!(assigned("$wp_versions = 1;", "$wp_version"), None);
    }
}
