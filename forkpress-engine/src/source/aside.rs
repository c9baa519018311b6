//! What of a source is set aside, and why: one table.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Serialize;

use forkpress_core::reserved;

/// Why something is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It works with the old host only.
    Host,
    /// It is made again when it is needed.
    Cache,
    /// It is a backup, or a tool left it while it made one.
    Backup,
    /// It is a log of the old host.
    Log,
    /// It is written anew.
    Configuration,
    /// It is read as the database.
    Database,
    /// Git or ForkPress would take it for its own.
    Reserved,
    /// It is no file of a site: a socket or a device.
    Special,
}

/// Something of a source that does not come into the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Aside {
    /// Where it would be in the WordPress: a file, or a folder with all that is in it.
    pub path: PathBuf,
    /// What it is.
    pub name: &'static str,
    /// Why it is set aside.
    pub why: Why,
}

use Why::{Backup, Cache, Configuration, Database, Host, Log};

/// Patterns of paths in a WordPress, without regard to case. `*` does not go beyond a name.
const RULES: [(&str, &str, Why); 132] = [
    ("wp-content/object-cache.php", "the drop-in of an object cache", Host),
    ("wp-content/advanced-cache.php", "the drop-in of a page cache", Host),
    (DB_DROP_IN, "the drop-in of a database", Host),
    ("wp-config.php", "the configuration", Configuration),
    ("wp-content/database", "the SQLite database", Database),
    // WP Engine
    ("wp-content/mu-plugins/mu-plugin.php", "WP Engine's must-use plugin", Host),
    ("wp-content/mu-plugins/wpengine-*", "WP Engine's must-use plugin", Host),
    ("wp-content/mu-plugins/wpe-*", "WP Engine's must-use plugin", Host),
    ("wp-content/mu-plugins/slt-force-strong-passwords.php", "WP Engine's must-use plugin", Host),
    ("wp-content/mu-plugins/force-strong-passwords", "WP Engine's must-use plugin", Host),
    ("wp-content/mu-plugins/stop-long-comments.php", "WP Engine's must-use plugin", Host),
    ("_wpeprivate", "WP Engine's folder", Host),
    // Kinsta
    ("wp-content/mu-plugins/kinsta-mu-plugins", "Kinsta's must-use plugin", Host),
    ("wp-content/mu-plugins/kinsta-mu-plugins.php", "Kinsta's must-use plugin", Host),
    // Pantheon
    ("wp-content/mu-plugins/pantheon*", "Pantheon's must-use plugin", Host),
    ("wp-config-pantheon.php", "Pantheon's configuration", Host),
    ("pantheon*.yml", "Pantheon's configuration", Host),
    // Flywheel and Local
    ("wp-content/mu-plugins/flywheel*", "Flywheel's must-use plugin", Host),
    (".fw-config.php", "Flywheel's configuration", Host),
    ("wp-content/mu-plugins/local-by-flywheel-*", "Local's must-use plugin", Host),
    ("local-xdebuginfo.php", "Local's page", Host),
    // GoDaddy
    ("wp-content/mu-plugins/gd-*", "GoDaddy's must-use plugin", Host),
    ("wp-content/mu-plugins/gd_*", "GoDaddy's must-use plugin", Host),
    ("gd-config.php", "GoDaddy's configuration", Host),
    // SiteGround
    ("wp-content/mu-plugins/siteground*", "SiteGround's must-use plugin", Host),
    ("wp-content/mu-plugins/sg-*", "SiteGround's must-use plugin", Host),
    // WordPress.com and Pressable
    ("wp-content/mu-plugins/wpcomsh*", "WordPress.com's must-use plugin", Host),
    ("__wp__", "WordPress.com's copy of WordPress", Host),
    ("wp-content/mu-plugins/pressable*", "Pressable's must-use plugin", Host),
    // Newfold: Bluehost, HostGator
    ("wp-content/mu-plugins/endurance*", "Bluehost's must-use plugin", Host),
    ("wp-content/mu-plugins/bluehost*", "Bluehost's must-use plugin", Host),
    ("wp-content/mu-plugins/hostgator*", "HostGator's must-use plugin", Host),
    ("wp-content/mu-plugins/newfold*", "Newfold's must-use plugin", Host),
    ("wp-content/mu-plugins/nfd-*", "Newfold's must-use plugin", Host),
    ("wp-content/mu-plugins/sso.php", "Bluehost's must-use plugin", Host),
    // Others
    ("wp-content/mu-plugins/dreamhost*", "DreamHost's must-use plugin", Host),
    ("wp-content/mu-plugins/hostinger*", "Hostinger's must-use plugin", Host),
    ("wp-content/mu-plugins/ionos*", "IONOS's must-use plugin", Host),
    ("wp-content/mu-plugins/nexcess*", "Nexcess's must-use plugin", Host),
    ("wp-content/mu-plugins/cdn-cache-management*", "Rocket.net's must-use plugin", Host),
    ("wp-content/mu-plugins/warpdrive*", "Savvii's must-use plugin", Host),
    ("wp-content/mu-plugins/seravo*", "Seravo's must-use plugin", Host),
    ("wp-content/mu-plugins/convesio*", "Convesio's must-use plugin", Host),
    ("wp-content/mu-plugins/closte*", "Closte's must-use plugin", Host),
    ("wp-content/mu-plugins/spinupwp*", "SpinupWP's must-use plugin", Host),
    ("wp-content/mu-plugins/gridpane*", "GridPane's must-use plugin", Host),
    ("wp-content/mu-plugins/xcloud*", "xCloud's must-use plugin", Host),
    ("wp-content/mu-plugins/instawp*", "InstaWP's must-use plugin", Host),
    ("wp-content/mu-plugins/vip-*", "WordPress VIP's must-use plugin", Host),
    ("wp-content/mu-plugins/cloudways*", "Cloudways's must-use plugin", Host),
    ("wp-content/mu-plugins/breeze*", "Cloudways's must-use plugin", Host),
    ("wp-content/mu-plugins/0-worker.php", "ManageWP's must-use plugin", Host),
    ("wp-content/mu-plugins/mu-iwp*", "InfiniteWP's must-use plugin", Host),
    // WordPress Studio and Playground
    ("wp-content/mu-plugins/0-allowed-redirect-hosts.php", "WordPress Studio's must-use plugin", Host),
    ("wp-content/mu-plugins/0-check-theme-availability.php", "WordPress Studio's must-use plugin", Host),
    ("wp-content/mu-plugins/0-deactivate-jetpack-modules.php", "WordPress Studio's must-use plugin", Host),
    ("wp-content/mu-plugins/0-dns-functions.php", "WordPress Studio's must-use plugin", Host),
    ("wp-content/mu-plugins/0-https-for-reverse-proxy.php", "WordPress Studio's must-use plugin", Host),
    ("wp-content/mu-plugins/0-permalinks.php", "WordPress Studio's must-use plugin", Host),
    ("wp-content/mu-plugins/0-redirect-to-siteurl-constant.php", "WordPress Studio's must-use plugin", Host),
    ("wp-content/mu-plugins/0-sqlite.php", "WordPress Studio's must-use plugin", Host),
    ("wp-content/mu-plugins/0-sqlite-command.php", "WordPress Studio's must-use plugin", Host),
    ("wp-content/mu-plugins/0-suppress-dns-get-record-warnings.php", "WordPress Studio's must-use plugin", Host),
    ("wp-content/mu-plugins/0-thumbnails.php", "WordPress Studio's must-use plugin", Host),
    ("wp-content/mu-plugins/0-tmp-fix-qm-plugin-sapi.php", "WordPress Studio's must-use plugin", Host),
    ("wp-content/mu-plugins/0-wp-config-constants-polyfill.php", "WordPress Studio's must-use plugin", Host),
    ("wp-content/mu-plugins/0-32bit-integer-warnings.php", "WordPress Studio's must-use plugin", Host),
    ("wp-content/mu-plugins/0-playground.php", "Playground's must-use plugin", Host),
    ("wp-content/mu-plugins/playground-includes", "Playground's must-use plugin", Host),
    // Settings of the old server
    (".user.ini", "PHP's settings of the old host", Host),
    ("php.ini", "PHP's settings of the old host", Host),
    ("php5.ini", "PHP's settings of the old host", Host),
    ("wordfence-waf.php", "what Wordfence has PHP load before WordPress", Host),
    ("cgi-bin", "the old host's folder", Host),
    ("__MACOSX", "what macOS adds to archives", Host),
    (".well-known/acme-challenge", "the old host's folder", Host),
    (".well-known/pki-validation", "the old host's folder", Host),
    // Caches, and settings of page caches
    ("wp-content/cache", "a cache", Cache),
    ("wp-content/et-cache", "Divi's cache", Cache),
    ("wp-content/litespeed", "LiteSpeed's cache", Cache),
    ("wp-content/.litespeed_conf.dat", "LiteSpeed's settings", Cache),
    ("wp-content/wphb-cache", "Hummingbird's cache", Cache),
    ("wp-content/wphb-logs", "Hummingbird's logs", Log),
    ("wp-content/endurance-page-cache", "Bluehost's page cache", Cache),
    ("wp-content/breeze-config", "the settings of Cloudways's page cache", Cache),
    ("wp-content/w3tc-config", "the settings of W3 Total Cache's drop-ins", Cache),
    ("wp-content/wp-rocket-config", "the settings of WP Rocket's drop-in", Cache),
    ("wp-content/wp-cache-config.php", "the settings of WP Super Cache's drop-in", Cache),
    ("wp-content/cache-enabler", "Cache Enabler's settings", Cache),
    ("wp-content/settings/cache-enabler", "Cache Enabler's settings", Cache),
    ("wp-content/uploads/cache", "a cache", Cache),
    ("wp-content/upgrade", "what an update left", Cache),
    ("wp-content/wflogs", "Wordfence's logs", Log),
    ("wp-content/debug.log", "a log", Log),
    ("error_log", "a log", Log),
    ("php_errorlog", "a log", Log),
    ("wp-admin/error_log", "a log", Log),
    ("wp-content/uploads/wc-logs", "WooCommerce's logs", Log),
    // Backups, and what tools leave
    ("wp-content/ai1wm-backups", "backups of All-in-One WP Migration", Backup),
    ("wp-content/plugins/all-in-one-wp-migration/storage", "backups of All-in-One WP Migration", Backup),
    ("wp-content/updraft", "UpdraftPlus's backups", Backup),
    ("wp-content/backups-dup-lite", "Duplicator's backups", Backup),
    ("wp-content/backups-dup-pro", "Duplicator's backups", Backup),
    ("wp-snapshots", "Duplicator's backups", Backup),
    ("dup-installer", "Duplicator's installer", Backup),
    ("dup-installer-bootlog*", "Duplicator's log", Backup),
    ("dup-manual-extract*", "Duplicator's installer", Backup),
    ("dup-wp-config-arc__*", "Duplicator's copy of the configuration", Backup),
    ("installer.php", "Duplicator's installer", Backup),
    ("installer-backup.php", "Duplicator's installer", Backup),
    ("*_installer.php", "Duplicator's installer", Backup),
    ("*_installer-backup.php", "Duplicator's installer", Backup),
    ("*_archive.zip", "Duplicator's archive", Backup),
    ("*_archive.daf", "Duplicator's archive", Backup),
    ("wp-content/backwpup*", "BackWPup's backups", Backup),
    ("wp-content/uploads/backwpup*", "BackWPup's backups", Backup),
    ("wp-content/wpvividbackups", "WPvivid's backups", Backup),
    ("wp-content/backup-db", "backups of the database", Backup),
    ("wp-content/backups", "backups", Backup),
    ("wp-content/backup", "backups", Backup),
    ("wp-content/uploads/backupbuddy_*", "BackupBuddy's backups", Backup),
    ("wp-content/uploads/pb_backupbuddy", "BackupBuddy's backups", Backup),
    ("wp-content/uploads/wp-migrate-db", "WP Migrate's exports", Backup),
    ("wp-content/uploads/ithemes-security/backups", "backups of the database", Backup),
    ("wp-content/uploads/db-backup", "backups of the database", Backup),
    ("wp-content/uploads/jetpack-temp", "what a backup left", Backup),
    ("wp-content/jetpack-temp", "what a backup left", Backup),
    ("wp-content/managewp", "ManageWP's backups", Backup),
    ("wp-content/infinitewp", "InfiniteWP's backups", Backup),
    ("wp-content/mysql.sql", "WP Engine's dump of the database", Database),
    ("wp-content/uploads/snapshot*", "Snapshot's backups", Backup),
    ("wp-content/plugins/akeebabackupwp/app/backups", "Akeeba's backups", Backup),
];

/// It is SQLite's where the source has such a database, and then stays.
const DB_DROP_IN: &str = "wp-content/db.php";

static PATTERNS: LazyLock<GlobSet> = LazyLock::new(|| {
    let mut set = GlobSetBuilder::new();
    for (pattern, _, _) in RULES {
        let glob = GlobBuilder::new(pattern).literal_separator(true).case_insensitive(true).build();
        set.add(glob.expect("the table has patterns only"));
    }
    set.build().expect("the table has patterns only")
});

/// Looks for what is to be set aside, in the order of the paths.
#[derive(Debug, Default)]
pub(super) struct Sorter {
    has_sqlite: bool,
    found: Vec<Aside>,
    clean: HashSet<PathBuf>,
}

impl Sorter {
    /// Begins. The driver of an SQLite database stays where the source has such a database.
    pub(super) fn new(has_sqlite: bool) -> Self {
        Self { has_sqlite, ..Self::default() }
    }

    /// Whether a path is to be set aside. Paths come in order: a folder before what is in it.
    pub(super) fn sets_aside(&mut self, path: &Path) -> bool {
        if self.found.last().is_some_and(|last| path.starts_with(&last.path)) {
            return true;
        }
        let mut ancestors: Vec<_> = path.ancestors().take_while(|folder| !folder.as_os_str().is_empty()).collect();
        ancestors.reverse();
        for folder in ancestors {
            if self.clean.contains(folder) {
                continue;
            }
            if let Some((name, why)) = self.rule(folder) {
                self.add(folder, name, why);
                return true;
            }
            if folder != path {
                self.clean.insert(folder.to_owned());
            }
        }
        false
    }

    /// Sets something aside that only its contents tell.
    pub(super) fn add(&mut self, path: &Path, name: &'static str, why: Why) {
        self.found.push(Aside { path: path.to_owned(), name, why });
    }

    /// All that was found.
    pub(super) fn finish(self) -> Vec<Aside> {
        self.found
    }

    fn rule(&self, path: &Path) -> Option<(&'static str, Why)> {
        let name = path.file_name()?.as_encoded_bytes();
        if reserved::is_forkpress(name) {
            return Some(("the folder of a ForkPress site", Why::Reserved));
        }
        if reserved::is_git(name) {
            return Some(("Git's folder", Why::Reserved));
        }
        let number = *PATTERNS.matches(path).first()?;
        let (pattern, name, why) = RULES[number];
        (!(self.has_sqlite && pattern == DB_DROP_IN)).then_some((name, why))
    }
}

/// Patterns of what no site needs and may be much: caches, backups and logs.
pub(crate) fn patterns_not_needed() -> impl Iterator<Item = &'static str> {
    RULES.iter().filter(|(_, _, why)| matches!(why, Cache | Backup | Log)).map(|(pattern, _, _)| *pattern)
}

/// What is at a path that such a pattern fits; none where none does.
pub(crate) fn aside_at(path: &Path) -> Option<Aside> {
    let (_, name, why) = RULES[*PATTERNS.matches(path).first()?];
    matches!(why, Cache | Backup | Log).then(|| Aside { path: path.to_owned(), name, why })
}

/// Whether a path of a WordPress is of a backup inside of it.
pub(super) fn is_backup(path: &Path) -> bool {
    path.ancestors().any(|folder| PATTERNS.matches(folder).first().is_some_and(|number| RULES[*number].2 == Backup))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(paths: &[&str], has_sqlite: bool) -> Vec<(String, Why)> {
        let mut sorter = Sorter::new(has_sqlite);
        for path in paths {
            sorter.sets_aside(Path::new(path));
        }
        sorter.finish().into_iter().map(|aside| (aside.path.display().to_string(), aside.why)).collect()
    }

    #[test]
    fn a_hosts_pieces_are_set_aside_and_the_users_stay() {
        let paths = [
            "wp-config.php",
            "wp-content/WP-Cache-Config.php",
            "wp-content/advanced-cache.php",
            "wp-content/cache/a/b",
            "wp-content/cache/c",
            "wp-content/mu-plugins/mine.php",
            "wp-content/mu-plugins/wpengine-common/plugin.php",
            "wp-content/object-cache.php",
            "wp-content/plugins/x/wp-config.php",
            "wp-content/plugins/x/advanced-cache.php",
            "wp-content/uploads/.forkpress/site.toml",
            "wp-content/uploads/a.jpg",
        ];
        assert_eq!(
            sorted(&paths, false),
            [
                ("wp-config.php".into(), Configuration),
                ("wp-content/WP-Cache-Config.php".into(), Cache),
                ("wp-content/advanced-cache.php".into(), Host),
                ("wp-content/cache".into(), Cache),
                ("wp-content/mu-plugins/wpengine-common".into(), Host),
                ("wp-content/object-cache.php".into(), Host),
                ("wp-content/uploads/.forkpress".into(), Why::Reserved),
            ]
        );
    }

    #[test]
    fn the_drop_in_of_sqlite_stays_with_its_database() {
        assert_eq!(sorted(&["wp-content/db.php"], true), []);
        assert_eq!(sorted(&["wp-content/db.php"], false).len(), 1);
    }

    #[test]
    fn a_backup_inside_a_site_is_known() {
        assert!(
            is_backup(Path::new("wp-content/updraft/x.sql"))
                && is_backup(Path::new("dup-installer/dup-database__a.sql"))
        );
        assert!(!is_backup(Path::new("database.sql")) && !is_backup(Path::new("wp-content/uploads/x.sql")));
    }
}
