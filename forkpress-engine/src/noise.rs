//! What mere page views write: a look at a page is no change of a site. Git's view leaves it out, and so does a merge.

/// Tables by the end of their names: sessions, and what runs in the background.
const TABLES: [&str; 5] = [
    "_woocommerce_sessions",
    "_actionscheduler_actions",
    "_actionscheduler_claims",
    "_actionscheduler_groups",
    "_actionscheduler_logs",
];

/// Options and metadata by the beginning of their names: caches, sessions, locks, what WordPress notes once a page has
/// failed, and which boxes of a page a user has open.
const PREFIXES: [&[u8]; 9] = [
    b"_transient_",
    b"_site_transient_",
    b"_wp_session_",
    b"recovery_mode_",
    b"metaboxhidden_",
    b"_edit_lock",
    b"_oembed_",
    b"community-events-location",
    b"wc_last_active",
];

/// The same, by the whole name. The first cron run makes `recovery_keys`, the first look at pages of the dashboard what
/// follows up to `recently_activated`. The last three mark a post that WordPress's next cron run is to look at.
const NAMES: [&[u8]; 12] = [
    b"cron",
    b"rewrite_rules",
    b"doing_cron",
    b"session_tokens",
    b"recovery_keys",
    b"can_compress_scripts",
    b"finished_updating_comment_type",
    b"managenav-menuscolumnshidden",
    b"recently_activated",
    b"_pingme",
    b"_encloseme",
    b"_trackbackme",
];

/// The same, by the end of the name. The last three are a user's, for one of several sites in a database: how pages
/// looked last.
const SUFFIXES: [&[u8]; 6] = [
    b".lock",
    b"_paused_extensions",
    b"dashboard_quick_press_last_post_id",
    b"_persisted_preferences",
    b"_user-settings",
    b"_user-settings-time",
];

/// Whether all rows of a table are noise.
pub(crate) fn is_table(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TABLES.iter().any(|end| name.ends_with(end))
}

/// Whether an option or a piece of metadata with this name is noise: transients, sessions, the schedule, rewrite rules,
/// edit locks.
pub(crate) fn is_name(name: &[u8]) -> bool {
    NAMES.contains(&name)
        || PREFIXES.iter().any(|start| name.starts_with(start))
        || SUFFIXES.iter().any(|end| name.ends_with(end))
}

/// Whether a post with this status is noise: the empty drafts that the dashboard makes.
pub(crate) fn is_status(status: &[u8]) -> bool {
    status == b"auto-draft"
}
