//! What WordPress's tables mean to a merge: the one table of rules, as data.
//!
//! Tables are named without the site's prefix and in lower case, as [`Prefixes::split`] gives them. In a pattern one `*`
//! may stand for any text. The first rule that fits counts. A plugin's own rules ([`Declared`]) come before these.
//!
//! What has no rule is compared cell by cell, and serialized arrays and JSON objects in it by their keys: `theme_mods_*`,
//! `wp_user_roles`, `widget_*`, `nav_menu_options`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::declared::Declared;
use super::value::How;
use crate::noise;

/// A name or a pattern: WordPress's are in the program, a plugin's are read.
pub(crate) type Name = Cow<'static, str>;

/// All rules of a merge.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rules {
    values: Vec<ValueRule>,
    pub(crate) objects: Vec<Object>,
    /// Tables, options and metadata that page views write, beside those that [`noise`] knows.
    noise_tables: Vec<Name>,
    noise_names: Vec<Name>,
}

/// How values in certain places are merged.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ValueRule {
    pub(crate) table: Name,
    pub(crate) column: Name,
    /// The name of the option or of the metadata.
    pub(crate) key: Name,
    pub(crate) how: How,
}

/// Where a value stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ValuePlace<'a> {
    /// Without the site's prefix.
    pub(crate) table: &'a str,
    pub(crate) column: &'a str,
    /// The name of the option or of the metadata; empty where a row names no value of its own.
    pub(crate) key: &'a [u8],
}

/// Rows that are one thing to people: one row, and those of other tables that it owns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    /// What people call it.
    pub(crate) noun: Name,
    pub(crate) table: Name,
    pub(crate) key: Name,
    /// The column that names it.
    pub(crate) name: Name,
    /// The column and what it has where the object is thrown away but still there.
    pub(crate) trash: Option<(Name, Name)>,
    pub(crate) owned: Cow<'static, [Owned]>,
}

/// Rows that an object owns. They may be objects, too.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Owned {
    pub(crate) table: Name,
    /// The column that has the owner's key.
    pub(crate) by: Name,
    /// Only rows with this in that column.
    pub(crate) only: Option<(Name, Name)>,
}

const fn value(table: &'static str, column: &'static str, key: &'static str, how: How) -> ValueRule {
    ValueRule { table: Cow::Borrowed(table), column: Cow::Borrowed(column), key: Cow::Borrowed(key), how }
}

const fn owned(table: &'static str, by: &'static str) -> Owned {
    Owned { table: Cow::Borrowed(table), by: Cow::Borrowed(by), only: None }
}

const fn object(
    noun: &'static str,
    table: &'static str,
    key: &'static str,
    name: &'static str,
    trash: Option<(Name, Name)>,
    owned: &'static [Owned],
) -> Object {
    Object {
        noun: Cow::Borrowed(noun),
        table: Cow::Borrowed(table),
        key: Cow::Borrowed(key),
        name: Cow::Borrowed(name),
        trash,
        owned: Cow::Borrowed(owned),
    }
}

const fn pair(column: &'static str, value: &'static str) -> Option<(Name, Name)> {
    Some((Cow::Borrowed(column), Cow::Borrowed(value)))
}

/// How single values are merged.
const VALUES: [ValueRule; 28] = [
    value("options", "option_value", "active_plugins", How::Set),
    value("sitemeta", "meta_value", "active_sitewide_plugins", How::Set),
    value("options", "option_value", "sticky_posts", How::Set),
    value("options", "option_value", "recently_edited", How::Set),
    value("options", "option_value", "cron", How::Cron),
    value("options", "option_value", "sidebars_widgets", How::ByKey { levels: 1 }),
    value("options", "option_value", "user_count", How::Counter),
    value("options", "option_value", "post_count", How::Counter),
    value("sitemeta", "meta_value", "user_count", How::Counter),
    value("sitemeta", "meta_value", "blog_count", How::Counter),
    value("posts", "comment_count", "*", How::Counter),
    value("term_taxonomy", "count", "*", How::Counter),
    value("posts", "post_modified", "*", How::Later),
    value("posts", "post_modified_gmt", "*", How::Later),
    value("blogs", "last_updated", "*", How::Later),
    // When something went to the trash: both may have put it there.
    value("postmeta", "meta_value", "_wp_trash_meta_time", How::Later),
    value("commentmeta", "meta_value", "_wp_trash_meta_time", How::Later),
    value("postmeta", "meta_value", "_wp_trash_meta_status", How::Derived),
    value("commentmeta", "meta_value", "_wp_trash_meta_status", How::Derived),
    value("postmeta", "meta_value", "_wp_trash_meta_comments_status", How::Derived),
    value("postmeta", "meta_value", "_wp_desired_post_slug", How::Derived),
    value("postmeta", "meta_value", "_edit_last", How::Target),
    value("options", "option_value", "fresh_site", How::Derived),
    value("options", "option_value", "rewrite_rules", How::Remade),
    // Which terms are in which: of each taxonomy that has a hierarchy.
    value("options", "option_value", "*_children", How::Remade),
    // The files of a theme that have patterns.
    value("options", "option_value", "_site_transient_wp_theme_files_patterns-*", How::Remade),
    value("sitemeta", "meta_value", "_site_transient_wp_theme_files_patterns-*", How::Remade),
    value("options", "option_id", "*", How::Target),
];

const TERM_OWNED: &[Owned] = &[owned("termmeta", "term_id"), owned("term_taxonomy", "term_id")];
const TAXONOMY_OWNED: &[Owned] = &[owned("term_relationships", "term_taxonomy_id")];
const COMMENT_OWNED: &[Owned] = &[owned("commentmeta", "comment_id")];
const USER_OWNED: &[Owned] = &[owned("usermeta", "user_id")];
const SITE_OWNED: &[Owned] = &[owned("blogmeta", "blog_id")];
const POST_OWNED: &[Owned] = &[
    owned("postmeta", "post_id"),
    owned("term_relationships", "object_id"),
    owned("comments", "comment_post_id"),
    Owned { table: Cow::Borrowed("posts"), by: Cow::Borrowed("post_parent"), only: pair("post_type", "revision") },
];

/// WordPress's objects.
const OBJECTS: [Object; 6] = [
    object("post", "posts", "id", "post_title", pair("post_status", "trash"), POST_OWNED),
    object("comment", "comments", "comment_id", "comment_author", pair("comment_approved", "trash"), COMMENT_OWNED),
    object("term", "terms", "term_id", "name", None, TERM_OWNED),
    object("taxonomy", "term_taxonomy", "term_taxonomy_id", "taxonomy", None, TAXONOMY_OWNED),
    object("user", "users", "id", "user_login", None, USER_OWNED),
    object("site", "blogs", "blog_id", "path", None, SITE_OWNED),
];

/// Posts that WordPress makes when someone only looks: their type and their content.
const FIRST_POSTS: [(&str, &str); 2] = [
    ("wp_global_styles", r#"{"version": *, "isGlobalStylesUserThemeJSON": true }"#),
    ("wp_navigation", "<!-- wp:page-list /-->"),
];

/// Options that WordPress makes when someone only looks.
const FIRST_OPTIONS: [(&str, &str); 3] = [
    ("widget_*", r#"a:1:{s:12:"_multiwidget";i:1;}"#),
    ("theme_mods_*", r#"a:1:{s:18:"custom_css_post_id";i:-1;}"#),
    ("theme_mods_*", "a:0:{}"),
];

/// Types of posts that WordPress keeps one of by name: which of two it finds is chance.
const ONE_OF_A_NAME: [&str; 3] = ["wp_template", "wp_template_part", "wp_global_styles"];

/// Taxonomies whose terms are made by code: two of a slug are one.
const TERMS_BY_CODE: [&str; 5] =
    ["wp_theme", "wp_template_part_area", "post_format", "product_type", "product_visibility"];

/// Names that no two users share, whatever their case.
pub(crate) const USER_NAMES: [&str; 2] = ["user_login", "user_email"];

impl Rules {
    /// WordPress's own.
    pub(crate) fn wordpress() -> Self {
        Self { values: VALUES.into(), objects: OBJECTS.into(), noise_tables: Vec::new(), noise_names: Vec::new() }
    }

    /// Adds what plugins say of their own tables, options and metadata. Their rules come before those that are there.
    pub(crate) fn with_plugins(&mut self, declared: Vec<Declared>) {
        let mut values = Vec::new();
        for Declared { noise, sets, derived, objects } in declared {
            let owned = |names: Vec<String>| names.into_iter().map(Cow::Owned);
            self.noise_tables.extend(noise.tables.into_iter().map(|name| Cow::Owned(name.to_ascii_lowercase())));
            self.noise_names.extend(owned(noise.options).chain(owned(noise.meta)));
            let rule = |table, column, key, how| ValueRule { table, column, key, how };
            values.extend(owned(sets.options).map(|key| rule("options".into(), "option_value".into(), key, How::Set)));
            values.extend(owned(sets.meta).map(|key| rule("*meta".into(), "meta_value".into(), key, How::Set)));
            values.extend(derived.into_iter().map(|place| {
                let (table, column) = (place.table.to_ascii_lowercase(), place.column.to_ascii_lowercase());
                rule(table.into(), column.into(), "*".into(), How::Derived)
            }));
            objects.into_iter().map(Object::from).for_each(|object| self.add(object));
        }
        values.append(&mut self.values);
        self.values = values;
    }

    /// Adds an object. Of a table that has one already, as both branches have the same plugin, it is that one, which owns more.
    fn add(&mut self, object: Object) {
        match self.objects.iter_mut().find(|known| known.table == object.table) {
            None => self.objects.push(object),
            Some(known) => {
                let more: Vec<_> = object.owned.iter().filter(|owned| !known.owned.contains(owned)).cloned().collect();
                known.owned.to_mut().extend(more);
            }
        }
    }

    /// How the value in a place is merged.
    pub(crate) fn how(&self, place: &ValuePlace<'_>) -> How {
        match self.value(place) {
            Some(how) => how,
            None if self.is_noise_table(place.table) || self.is_noise_name(place.key) => How::Target,
            None => How::ByKey { levels: usize::MAX },
        }
    }

    /// The rule for the value in a place, where there is one.
    fn value(&self, place: &ValuePlace<'_>) -> Option<How> {
        let column = place.column.to_ascii_lowercase();
        let fits = |rule: &&ValueRule| {
            is_like(&rule.table, place.table.as_bytes())
                && is_like(&rule.column, column.as_bytes())
                && is_like(&rule.key, place.key)
        };
        self.values.iter().find(fits).map(|rule| rule.how)
    }

    /// Whether all rows of a table, named without the site's prefix, are noise.
    pub(crate) fn is_noise_table(&self, table: &str) -> bool {
        // The names that are known begin after a prefix's end.
        noise::is_table(&format!("_{table}"))
            || self.noise_tables.iter().any(|pattern| is_like(pattern, table.as_bytes()))
    }

    /// Whether an option or a piece of metadata is noise.
    pub(crate) fn is_noise_name(&self, name: &[u8]) -> bool {
        noise::is_name(name) || self.noise_names.iter().any(|pattern| is_like(pattern, name))
    }

    /// Whether the value in a place is noise. What has a rule of its own is none: the schedule, which page views write as
    /// well.
    pub(crate) fn is_noise_value(&self, place: &ValuePlace<'_>) -> bool {
        self.is_noise_name(place.key) && self.value(place).is_none()
    }
}

/// Whether a post is noise: an empty draft, an autosave, a cache, or one that WordPress makes when someone only looks.
pub(crate) fn is_noise_post(status: &[u8], kind: &[u8], name: &[u8], content: &[u8]) -> bool {
    let is_autosave = || kind == b"revision" && name.ends_with(b"-autosave-v1");
    noise::is_status(status) || is_autosave() || kind == b"oembed_cache" || is_first_post(kind, content)
}

/// Whether a post is as WordPress makes it when someone only looks.
pub(crate) fn is_first_post(kind: &[u8], content: &[u8]) -> bool {
    FIRST_POSTS.iter().any(|(first, text)| first.as_bytes() == kind && is_like(text, content))
}

/// Whether an option is as WordPress makes it when someone only looks.
pub(crate) fn is_first_option(name: &[u8], value: &[u8]) -> bool {
    FIRST_OPTIONS.iter().any(|(first, text)| is_like(first, name) && text.as_bytes() == value)
}

/// Whether WordPress keeps one post of a name of this type.
pub(crate) fn is_one_of_a_name(kind: &[u8]) -> bool {
    ONE_OF_A_NAME.iter().any(|name| name.as_bytes() == kind)
}

/// Whether two terms of one slug in this taxonomy are one.
pub(crate) fn is_by_code(taxonomy: &[u8]) -> bool {
    TERMS_BY_CODE.iter().any(|name| name.as_bytes() == taxonomy)
}

/// The prefixes of the sites in a database: one, or of a network of sites several.
#[derive(Debug, Default)]
pub(crate) struct Prefixes(BTreeSet<String>);

impl Prefixes {
    /// The prefixes of tables in lower case of which the columns are known: whatever is before the name of a table of
    /// options.
    pub(crate) fn of<'a>(options: impl IntoIterator<Item = &'a str>) -> Self {
        Self(options.into_iter().filter_map(|name| name.strip_suffix("options")).map(str::to_owned).collect())
    }

    /// The prefix of a table in lower case, and its name without it. The longest prefix counts.
    pub(crate) fn split<'a>(&self, table: &'a str) -> (&'a str, &'a str) {
        let longest = self.0.iter().filter(|prefix| table.starts_with(prefix.as_str())).map(String::len).max();
        table.split_at(longest.unwrap_or(0))
    }

    /// The shortest: that of the network, or of the only site.
    pub(crate) fn main(&self) -> &str {
        self.0.iter().min_by_key(|prefix| prefix.len()).map_or("", String::as_str)
    }
}

/// Whether a text is like a pattern.
pub(crate) fn is_like(pattern: &str, text: &[u8]) -> bool {
    match pattern.split_once('*') {
        None => pattern.as_bytes() == text,
        Some((start, end)) => {
            text.len() >= start.len() + end.len()
                && text.starts_with(start.as_bytes())
                && text.ends_with(end.as_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_of_a_network_counts() {
        let prefixes = Prefixes::of(["wp_options", "wp_2_options"]);
        assert_eq!(prefixes.split("wp_2_posts"), ("wp_2_", "posts"));
        assert_eq!(prefixes.split("wp_users"), ("wp_", "users"));
        assert_eq!(prefixes.split("wp_2fa_log"), ("wp_", "2fa_log"));
        assert_eq!(prefixes.split("other"), ("", "other"));
        assert_eq!(prefixes.main(), "wp_");
        assert_eq!(Prefixes::of(["options"]).split("posts"), ("", "posts"));
    }

    #[test]
    fn what_plugins_declare_comes_first() {
        let text = r#"{"noise": {"options": ["x_*"], "meta": ["_x_seen"], "tables": ["X_log"]}, "sets": {"options": ["cron"]},
            "derived": [{"table": "x_orders", "column": "Total"}],
            "objects": [{"table": "x_orders", "key": "id", "name": "title", "owned": [{"table": "x_items", "by": "order_id"}]}]}"#;
        let mut rules = Rules::wordpress();
        rules.with_plugins(vec![serde_json::from_str(text).unwrap()]);
        let how = |table, column, key: &str| rules.how(&ValuePlace { table, column, key: key.as_bytes() });
        assert_eq!(how("options", "option_value", "cron"), How::Set);
        assert_eq!(how("x_orders", "total", ""), How::Derived);
        assert_eq!(how("options", "option_value", "x_seen"), How::Target);
        assert!(rules.is_noise_table("x_log") && !rules.is_noise_table("x_orders"));
        assert!(rules.is_noise_name(b"_x_seen") && rules.is_noise_name(b"_transient_x"));
        assert_eq!(rules.objects.last().unwrap().noun, "x_orders");
    }

    #[test]
    fn a_table_has_one_object_which_owns_what_anybody_says() {
        let declared = |table: &str, owned: &str| {
            let text = format!(
                r#"{{"objects": [{{"table": "{table}", "key": "id", "name": "n", "owned": [{{"table": "{owned}", "by": "b"}}]}}]}}"#
            );
            serde_json::from_str::<Declared>(&text).unwrap()
        };
        let mut rules = Rules::wordpress();
        let count = rules.objects.len();
        rules.with_plugins(vec![declared("x", "one"), declared("Posts", "notes")]);
        rules.with_plugins(vec![declared("x", "one"), declared("x", "two")]);
        assert_eq!(rules.objects.len(), count + 1);
        let owned = |table: &str| rules.objects.iter().find(|object| object.table == table).unwrap().owned.len();
        assert_eq!((owned("x"), owned("posts")), (2, POST_OWNED.len() + 1));
    }

    #[test]
    fn the_schedule_is_no_noise_to_a_merge_but_sessions_are() {
        let rules = Rules::wordpress();
        let is_noise =
            |table, column, key: &str| rules.is_noise_value(&ValuePlace { table, column, key: key.as_bytes() });
        assert!(!is_noise("options", "option_value", "cron"));
        assert!(!is_noise("options", "option_value", "rewrite_rules"));
        assert!(is_noise("usermeta", "meta_value", "session_tokens"));
        assert!(is_noise("options", "option_value", "_transient_x"));
        assert!(rules.is_noise_table("actionscheduler_actions") && rules.is_noise_table("woocommerce_sessions"));
    }

    #[test]
    fn what_wordpress_makes_at_a_look_is_noise_until_someone_changes_it() {
        let styles = br#"{"version": 3, "isGlobalStylesUserThemeJSON": true }"#;
        assert!(is_noise_post(b"publish", b"wp_global_styles", b"", styles));
        assert!(!is_noise_post(b"publish", b"wp_global_styles", b"", br#"{"version":3,"settings":{}}"#));
        assert!(is_noise_post(b"inherit", b"revision", b"5-autosave-v1", b"x"));
        assert!(!is_noise_post(b"inherit", b"revision", b"5-revision-v1", b"x"));
        assert!(is_noise_post(b"auto-draft", b"post", b"", b""));
        assert!(is_first_option(b"widget_meta", br#"a:1:{s:12:"_multiwidget";i:1;}"#));
    }
}
