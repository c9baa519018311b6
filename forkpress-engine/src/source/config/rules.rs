//! Which settings of another host's `wp-config.php` are not kept, and why. One table.

/// Why a setting is not kept.
pub(super) const DATABASE: &str = "the database is a file of the branch";
const ADDRESS: &str = "the address is the branch's";
const FOLDER: &str = "folders are the branch's";
const CACHE: &str = "it belongs to a cache of the old host";
const DEBUGGING: &str = "ForkPress has errors in its log";
const ENVIRONMENT: &str = "a branch is a local environment";
const HOST: &str = "it belongs to the old host";
const HTTPS: &str = "a branch is served without HTTPS";

/// Constants and variables, by name or by how their names begin (with `*`).
const NOT_KEPT: [(&str, &str); 58] = [
    ("DB_*", DATABASE),
    ("FQDB*", DATABASE),
    ("DATABASE_TYPE", DATABASE),
    ("USE_MYSQL", DATABASE),
    ("MYSQL_*", DATABASE),
    ("WP_HOME", ADDRESS),
    ("WP_SITEURL", ADDRESS),
    ("RELOCATE", ADDRESS),
    ("DOMAIN_CURRENT_SITE", ADDRESS),
    ("NOBLOGREDIRECT", ADDRESS),
    ("COOKIE_DOMAIN", ADDRESS),
    ("COOKIEPATH", ADDRESS),
    ("SITECOOKIEPATH", ADDRESS),
    ("ADMIN_COOKIE_PATH", ADDRESS),
    ("PLUGINS_COOKIE_PATH", ADDRESS),
    ("COOKIEHASH", ADDRESS),
    ("ABSPATH", FOLDER),
    ("WP_CONTENT_DIR", FOLDER),
    ("WP_CONTENT_URL", FOLDER),
    ("WP_PLUGIN_DIR", FOLDER),
    ("WP_PLUGIN_URL", FOLDER),
    ("PLUGINDIR", FOLDER),
    ("WPMU_PLUGIN_DIR", FOLDER),
    ("WPMU_PLUGIN_URL", FOLDER),
    ("MUPLUGINDIR", FOLDER),
    ("WP_LANG_DIR", FOLDER),
    ("WP_TEMP_DIR", FOLDER),
    ("WP_CACHE", CACHE),
    ("WPCACHEHOME", CACHE),
    ("WP_CACHE_KEY_SALT", CACHE),
    ("WP_REDIS_*", CACHE),
    ("MEMCACHE*", CACHE),
    ("redis_server", CACHE),
    ("LSCWP_*", CACHE),
    ("LITESPEED_*", CACHE),
    ("BREEZE_*", CACHE),
    ("WP_DEBUG", DEBUGGING),
    ("WP_DEBUG_*", DEBUGGING),
    ("WP_ENVIRONMENT_TYPE", ENVIRONMENT),
    ("AUTOMATIC_UPDATER_DISABLED", ENVIRONMENT),
    ("FORCE_SSL_ADMIN", HTTPS),
    ("FORCE_SSL_LOGIN", HTTPS),
    ("FTP_*", HOST),
    ("WPE_*", HOST),
    ("PWP_*", HOST),
    ("IS_WPE*", HOST),
    ("KINSTA*", HOST),
    ("PANTHEON_*", HOST),
    ("FLYWHEEL_*", HOST),
    ("GD_*", HOST),
    ("SG_*", HOST),
    ("WPCOMSH_*", HOST),
    ("IS_ATOMIC", HOST),
    ("ATOMIC_*", HOST),
    ("VIP_*", HOST),
    ("PRESSABLE_*", HOST),
    ("wpe_*", HOST),
    ("memcached_*", CACHE),
];

/// Settings of PHP that are not kept.
const PHP_NOT_KEPT: [(&str, &str); 9] = [
    ("display_errors", DEBUGGING),
    ("display_startup_errors", DEBUGGING),
    ("log_errors", DEBUGGING),
    ("error_log", DEBUGGING),
    ("error_reporting", DEBUGGING),
    ("session.save_", HOST),
    ("open_basedir", HOST),
    ("auto_prepend_file", HOST),
    ("include_path", HOST),
];

/// Functions that a `wp-config.php` calls to set something, and that are kept.
pub(super) const SETTERS: [&str; 4] =
    ["ini_set", "set_time_limit", "date_default_timezone_set", "mb_internal_encoding"];

/// Functions that may be in the value of what is kept: they need no WordPress.
pub(super) const FUNCTIONS: [&str; 16] = [
    "getenv",
    "dirname",
    "array",
    "intval",
    "boolval",
    "filter_var",
    "trim",
    "rtrim",
    "explode",
    "implode",
    "md5",
    "sha1",
    "hash",
    "base64_decode",
    "json_encode",
    "serialize",
];

/// Words that are there before WordPress.
pub(super) const WORDS: [&str; 15] = [
    "true",
    "false",
    "null",
    "__dir__",
    "__file__",
    "int",
    "bool",
    "string",
    "float",
    "abspath",
    "directory_separator",
    "php_int_max",
    "php_eol",
    "filter_validate_boolean",
    "php_version",
];

/// Of a network, what may look like a path and is none.
pub(super) const PATHS_OF_A_NETWORK: [&str; 1] = ["PATH_CURRENT_SITE"];

/// Why a constant or variable is not kept.
pub(super) fn why_not(name: &str) -> Option<&'static str> {
    let is = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    NOT_KEPT.iter().find(|(pattern, _)| is(pattern)).map(|(_, why)| *why)
}

/// Why a setting of PHP is not kept.
pub(super) fn why_not_of_php(name: &str) -> Option<&'static str> {
    PHP_NOT_KEPT.iter().find(|(pattern, _)| name.starts_with(pattern)).map(|(_, why)| *why)
}

/// What a path of the old host is.
pub(super) const OLD_PATH: &str = "it is a path of the old host";
