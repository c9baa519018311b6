//! How values are merged, by the places where they stand: the one table of WordPress's rules.
//!
//! A rule is plain data, so that a plugin's own can come from a file. The first rule that fits counts, so a plugin's go
//! before these. After the table comes [`noise`], and then whatever is merged by key: `theme_mods_*`, `wp_user_roles`,
//! `widget_*`, `nav_menu_options`, and every other serialized array and object of JSON need no rule.

use crate::noise;

/// How a value is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// What the target has stays.
    Target,
    /// What was there, what either added, without what either removed.
    Set,
    /// WordPress's schedule.
    Cron,
    /// The target's number and what the source added to it. To be counted again where WordPress can.
    Counter,
    /// The later of two times. Also for columns that the database sets at each update, which only the schema tells.
    Later,
    /// Dropped where the source changed it: WordPress makes it again.
    Remade,
    /// Maps by their keys, so many levels deep; all else as a whole.
    ByKey { levels: usize },
}

/// How values in certain places are merged. In `column` and `key` one `*` may stand for any text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule<'a> {
    /// What the table's name ends with: before that is the site's prefix.
    pub(crate) table: &'a str,
    pub(crate) column: &'a str,
    /// The name of the option or of the metadata.
    pub(crate) key: &'a str,
    pub(crate) how: How,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'a str,
    pub(crate) column: &'a str,
    /// The name of the option or of the metadata; empty where a row names no value of its own.
    pub(crate) key: &'a [u8],
}

const fn rule(table: &'static str, column: &'static str, key: &'static str, how: How) -> Rule<'static> {
    Rule { table, column, key, how }
}

/// WordPress's rules.
pub(crate) const WORDPRESS: &[Rule<'static>] = &[
    rule("options", "option_value", "active_plugins", How::Set),
    rule("sitemeta", "meta_value", "active_sitewide_plugins", How::Set),
    rule("options", "option_value", "sticky_posts", How::Set),
    rule("options", "option_value", "recently_edited", How::Set),
    rule("options", "option_value", "cron", How::Cron),
    rule("options", "option_value", "sidebars_widgets", How::ByKey { levels: 1 }),
    rule("options", "option_value", "user_count", How::Counter),
    rule("sitemeta", "meta_value", "user_count", How::Counter),
    rule("posts", "comment_count", "*", How::Counter),
    rule("term_taxonomy", "count", "*", How::Counter),
    rule("posts", "post_modified", "*", How::Later),
    rule("posts", "post_modified_gmt", "*", How::Later),
    rule("postmeta", "meta_value", "_edit_last", How::Target),
    rule("options", "option_value", "rewrite_rules", How::Remade),
    // Which terms are in which: of each taxonomy that has a hierarchy.
    rule("options", "option_value", "*_children", How::Remade),
    // The files of a theme that have patterns.
    rule("options", "option_value", "_site_transient_wp_theme_files_patterns-*", How::Remade),
    rule("sitemeta", "meta_value", "_site_transient_wp_theme_files_patterns-*", How::Remade),
    rule("_wp_sqlite_global_variables", "*", "*", How::Target),
    rule("_wp_sqlite_mysql_information_schema_tables", "create_time", "*", How::Target),
];

/// How the value in a place is merged.
pub(crate) fn how(rules: &[Rule<'_>], place: &Place<'_>) -> How {
    let table = place.table.to_ascii_lowercase();
    let column = place.column.to_ascii_lowercase();
    let fits = |rule: &&Rule<'_>| {
        table.ends_with(rule.table) && is_like(rule.column, column.as_bytes()) && is_like(rule.key, place.key)
    };
    match rules.iter().find(fits) {
        Some(rule) => rule.how,
        None if noise::is_table(&table) || noise::is_name(place.key) => How::Target,
        None => How::ByKey { levels: usize::MAX },
    }
}

fn is_like(pattern: &str, text: &[u8]) -> bool {
    match pattern.split_once('*') {
        None => pattern.as_bytes() == text,
        Some((start, end)) => {
            text.len() >= start.len() + end.len()
                && text.starts_with(start.as_bytes())
                && text.ends_with(end.as_bytes())
        }
    }
}
