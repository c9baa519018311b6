//! Where WordPress and known plugins keep people's data. To teach a plugin's, add its tables or keys here.
//!
//! Tables are named without their prefix. A `*` at the end of a name stands for any rest.

use super::kind::Kind::{self, *};

/// How much of a table is about people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// What is published: only e-mail addresses of people that are known, and links to authors.
    Contents,
    /// How the site is set up: e-mail addresses.
    Settings,
    /// Perhaps all of it: what columns and keys are called says what is in them.
    People,
}

/// Tables of contents and of settings. All others may be about people.
const OTHERS: [(&str, About); 20] = [
    ("posts", About::Contents),
    ("options", About::Settings),
    ("sitemeta", About::Settings),
    ("site", About::Settings),
    ("blogs", About::Settings),
    ("blogmeta", About::Settings),
    ("blog_versions", About::Settings),
    ("links", About::Settings),
    ("terms", About::Settings),
    ("termmeta", About::Settings),
    ("term_taxonomy", About::Settings),
    ("term_relationships", About::Settings),
    ("woocommerce_tax_rate*", About::Settings),
    ("woocommerce_shipping_zone*", About::Settings),
    ("woocommerce_attribute_taxonomies", About::Settings),
    ("gf_form*", About::Settings),
    ("nf3_*", About::Settings),
    ("fluentform_form*", About::Settings),
    ("wfconfig", About::Settings),
    ("yoast_*", About::Contents),
];

/// How much of a table is about people.
pub(super) fn about(table: &str) -> About {
    OTHERS.iter().find(|(name, _)| is(name, table)).map_or(About::People, |(_, about)| *about)
}

/// Logs, sessions, queues of mail, keys: these tables are emptied.
const EMPTIED: [&str; 66] = [
    "aiowps_audit_log",
    "aiowps_debug_log",
    "aiowps_events",
    "aiowps_failed_logins",
    "aiowps_login_activity",
    "aiowps_login_lockdown",
    "aiowps_logged_in_users",
    "aryo_activity_log",
    "asp_*",
    "burst_sessions",
    "burst_statistics",
    "cartflows_ca_cart_abandonment",
    "edd_logs*",
    "edd_sessions",
    "email_log",
    "es_sent_details",
    "fsmpt_email_logs",
    "fluentform_logs",
    "gf_draft_submissions",
    "give_log*",
    "give_sessions",
    "itsec_dashboard_events",
    "itsec_lockouts",
    "itsec_logs",
    "itsec_temp",
    "itsec_user_groups_log",
    "learndash_pro_quiz_lock",
    "limit_login_*",
    "loginizer_logs",
    "mailpoet_sending_queues",
    "mailpoet_statistics_*",
    "mailpoet_log",
    "matomo_log_*",
    "mepr_sessions",
    "newsletter_sent",
    "newsletter_stats",
    "newsletter_user_logs",
    "post_smtp_logmeta",
    "post_smtp_logs",
    "redirection_404",
    "redirection_logs",
    "rsssl_*log*",
    "simple_history",
    "simple_history_contexts",
    "slim_events*",
    "slim_stats*",
    "statistics_useronline",
    "statistics_visitor*",
    "stream",
    "stream_meta",
    "swpm_members_log",
    "user_registration_sessions",
    "wc_download_log",
    "wc_rate_limits",
    "wfhits",
    "wflogins",
    "wflivetraffichuman",
    "wfls_2fa_secrets",
    "wfsecurityevents",
    "wftrafficrates",
    "woocommerce_api_keys",
    "woocommerce_log",
    "woocommerce_payment_token*",
    "woocommerce_sessions",
    "wpmailsmtp_*",
    "wsal_*",
];

/// More of them that end in a word of their own, whatever comes before.
const EMPTIED_ENDS: [&str; 5] = ["_mail_log", "_email_logs", "_sessions", "_login_attempts", "wpml_mails"];

/// Whether a table is emptied.
pub(super) fn is_emptied(table: &str) -> bool {
    EMPTIED.iter().any(|name| is(name, table))
        || EMPTIED_ENDS.iter().any(|end| table.ends_with(end))
        || table.starts_with("wf") && (table.starts_with("wfblocks") || table.starts_with("wfcrawlers"))
}

/// Rows of options and metas that go: table, name. They are copies, sessions and keys.
const DROPPED: [(&str, &str); 20] = [
    ("options", "_transient_*"),
    ("options", "_site_transient_*"),
    ("options", "_wc_session_*"),
    ("options", "_wp_session_*"),
    ("options", "recovery_keys"),
    ("sitemeta", "_site_transient_*"),
    ("sitemeta", "recovery_keys"),
    ("usermeta", "session_tokens"),
    ("usermeta", "_application_passwords"),
    ("usermeta", "_new_email"),
    ("usermeta", "community-events-location"),
    ("usermeta", "_woocommerce_persistent_cart*"),
    ("usermeta", "_two_factor_*"),
    ("usermeta", "_password_reset*"),
    ("usermeta", "googleauthenticator_*"),
    ("usermeta", "wfls-*"),
    ("usermeta", "itsec_*"),
    ("usermeta", "tgmpa_*"),
    ("commentmeta", "akismet_*"),
    ("postmeta", "_akismet*"),
];

/// Whether a row of options or metas goes.
pub(super) fn is_dropped(table: &str, name: &str) -> bool {
    DROPPED.iter().any(|(of, pattern)| *of == table && is(pattern, name))
}

/// What is in columns whose names alone do not say it.
const COLUMNS: [(&str, &[(&str, Kind)]); 42] = [
    (
        "users",
        &[
            ("user_login", Login),
            ("user_pass", Password),
            ("user_nicename", Login),
            ("user_email", Email),
            ("user_url", Url),
            ("user_activation_key", Secret),
            ("display_name", FullName),
        ],
    ),
    ("comments", &[("comment_author", FullName), ("comment_author_url", Url), ("comment_agent", Agent)]),
    ("signups", &[("user_login", Login), ("activation_key", Secret)]),
    ("registration_log", &[("IP", Ip), ("email", Email)]),
    ("wc_orders", &[("customer_note", Text), ("transaction_id", Number)]),
    (
        "wc_order_addresses",
        &[
            ("company", Company),
            ("address_1", Street),
            ("address_2", Unit),
            ("city", City),
            ("postcode", Postcode),
            ("phone", Phone),
        ],
    ),
    ("wc_customer_lookup", &[("username", Login), ("postcode", Postcode), ("city", City)]),
    ("wc_webhooks", &[("secret", Secret)]),
    ("bp_activity", &[("action", Secret), ("content", Text)]),
    ("bp_messages_messages", &[("subject", Text), ("message", Text)]),
    ("bp_xprofile_data", &[("value", Answer)]),
    ("cf7dbplugin_submits", &[("field_value", Answer)]),
    ("db7_forms", &[("form_value", Answer)]),
    ("e_submissions", &[("user_name", FullName), ("user_ip", Ip), ("user_agent", Agent)]),
    ("e_submissions_values", &[("value", Answer)]),
    ("edd_customers", &[("name", FullName)]),
    ("edd_notes", &[("content", Text)]),
    ("edd_order_addresses", &[("name", FullName), ("address", Street), ("address2", Unit), ("city", City)]),
    ("edd_orders", &[("ip", Ip)]),
    ("fc_subscribers", &[("hash", Secret), ("prefix", Secret)]),
    ("fc_subscriber_meta", &[("value", Answer)]),
    ("fc_subscriber_notes", &[("title", Text), ("description", Text)]),
    ("fluentform_entry_details", &[("field_value", Answer)]),
    ("fluentform_submissions", &[("response", Answer), ("browser", Agent), ("city", City)]),
    ("frm_item_metas", &[("meta_value", Answer)]),
    ("frm_items", &[("name", Answer)]),
    ("frmt_form_entry_meta", &[("meta_value", Answer)]),
    ("gf_entry", &[("transaction_id", Number)]),
    ("gf_entry_meta", &[("meta_value", Answer)]),
    ("gf_entry_notes", &[("user_name", FullName), ("value", Text)]),
    ("rg_lead_detail", &[("value", Answer)]),
    ("rg_lead_notes", &[("user_name", FullName), ("value", Text)]),
    ("rg_lead_detail_long", &[("value", Answer)]),
    ("give_donors", &[("name", FullName)]),
    ("mailpoet_subscribers", &[("unconfirmed_data", Secret), ("link_token", Secret)]),
    ("mailpoet_subscriber_custom_field", &[("value", Answer)]),
    ("newsletter", &[("name", FirstName), ("token", Secret), ("profile_*", Answer)]),
    ("pmpro_membership_orders", &[("accountnumber", Number), ("billing_name", FullName)]),
    ("weforms_entrymeta", &[("meta_value", Answer)]),
    ("wpforms_entries", &[("fields", Answer)]),
    ("wpforms_entry_fields", &[("value", Answer)]),
    ("wpforms_entry_meta", &[("data", Text)]),
];

/// What is in a column whose name alone does not say it.
pub(super) fn column(table: &str, column: &str) -> Option<Kind> {
    let (_, columns) = COLUMNS.iter().find(|(name, _)| is(name, table))?;
    let is_it = |name: &str| is(&name.to_ascii_lowercase(), &column.to_ascii_lowercase());
    columns.iter().find(|(name, _)| is_it(name)).map(|(_, kind)| *kind)
}

/// What is in metas whose keys alone do not say it.
const KEYS: [(&str, &str, Kind); 26] = [
    ("sitemeta", "site_admins", Login),
    ("usermeta", "description", Text),
    ("usermeta", "nickname", FullName),
    ("usermeta", "url", Url),
    ("usermeta", "facebook", Answer),
    ("usermeta", "instagram", Answer),
    ("usermeta", "linkedin", Answer),
    ("usermeta", "mastodon", Answer),
    ("usermeta", "myspace", Answer),
    ("usermeta", "pinterest", Answer),
    ("usermeta", "soundcloud", Answer),
    ("usermeta", "tumblr", Answer),
    ("usermeta", "twitter", Answer),
    ("usermeta", "wikipedia", Answer),
    ("usermeta", "youtube", Answer),
    ("usermeta", "aim", Answer),
    ("usermeta", "yim", Answer),
    ("usermeta", "jabber", Answer),
    ("postmeta", "_field_*", Answer),
    ("postmeta", "_fields", Answer),
    ("postmeta", "_from", Answer),
    ("postmeta", "_from_name", FullName),
    ("postmeta", "_name", Answer),
    ("postmeta", "cap-*name", FullName),
    ("postmeta", "_bbp_anonymous_website", Url),
    ("wc_orders_meta", "_billing_address_index", Index),
];

/// What is in a meta whose key alone does not say it.
pub(super) fn key(table: &str, key: &str) -> Option<Kind> {
    KEYS.iter().find(|(of, pattern, _)| *of == table && is(pattern, key)).map(|(.., kind)| *kind)
}

/// Posts that are what people sent in, and what is in their columns.
const POSTS: [(&str, &[(&str, Kind)]); 14] = [
    ("edd_payment", ENTRY),
    ("feedback", ENTRY),
    ("flamingo_contact", ENTRY),
    ("flamingo_inbound", ENTRY),
    ("flamingo_outbound", ENTRY),
    ("give_payment", ENTRY),
    ("guest-author", &[("post_title", FullName), ("post_content", Text)]),
    ("nf_sub", ENTRY),
    ("postman_sent_mail", ENTRY),
    ("shop_order", &[("post_excerpt", Text)]),
    ("shop_order_refund", &[("post_excerpt", Text)]),
    ("shop_subscription", &[("post_excerpt", Text)]),
    ("user_request", ENTRY),
    ("wpcf7s", ENTRY),
];

const ENTRY: &[(&str, Kind)] = &[
    ("post_title", Answer),
    ("post_name", Slug),
    ("post_content", Answer),
    ("post_content_filtered", Answer),
    ("post_excerpt", Answer),
    ("post_password", Secret),
];

/// What is in a column of a post of a type; none where that is published.
pub(super) fn post(post_type: &str, column: &str) -> Option<Kind> {
    let (_, columns) = POSTS.iter().find(|(name, _)| *name == post_type)?;
    columns.iter().find(|(name, _)| *name == column).map(|(_, kind)| *kind)
}

/// Comments of these types are notes on an order.
pub(super) fn is_note(comment_type: &str) -> bool {
    matches!(comment_type, "order_note" | "edd_payment_note" | "give_payment_note")
}

/// Which column of a table names a row of another one, which says whom it is about.
pub(super) const PARENTS: [(&str, &str, &str); 16] = [
    ("usermeta", "user_id", "users"),
    ("postmeta", "post_id", "posts"),
    ("commentmeta", "comment_id", "comments"),
    ("wc_order_addresses", "order_id", "wc_orders"),
    ("wc_orders_meta", "order_id", "wc_orders"),
    ("edd_order_addresses", "order_id", "edd_orders"),
    ("edd_ordermeta", "edd_order_id", "edd_orders"),
    ("edd_customermeta", "edd_customer_id", "edd_customers"),
    ("give_donormeta", "donor_id", "give_donors"),
    ("gf_entry_meta", "entry_id", "gf_entry"),
    ("wpforms_entry_fields", "entry_id", "wpforms_entries"),
    ("frm_item_metas", "item_id", "frm_items"),
    ("frmt_form_entry_meta", "entry_id", "frmt_form_entry"),
    ("e_submissions_values", "submission_id", "e_submissions"),
    ("fluentform_entry_details", "submission_id", "fluentform_submissions"),
    ("mailpoet_subscriber_custom_field", "subscriber_id", "mailpoet_subscribers"),
];

/// Tables of WordPress itself.
const CORE: [&str; 18] = [
    "blog_versions",
    "blogmeta",
    "blogs",
    "commentmeta",
    "comments",
    "links",
    "options",
    "postmeta",
    "posts",
    "registration_log",
    "signups",
    "site",
    "sitemeta",
    "term_relationships",
    "term_taxonomy",
    "termmeta",
    "terms",
    "usermeta",
];

/// Whether it is known what a table has.
pub(super) fn is_known(table: &str) -> bool {
    let is_of_wordpress = table == "users" || CORE.contains(&table);
    is_of_wordpress
        || is_emptied(table)
        || about(table) != About::People
        || COLUMNS.iter().any(|(name, _)| is(name, table))
        || PARENTS.iter().any(|(child, ..)| *child == table)
}

/// Whether a name is what a pattern says.
fn is(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => {
            name.len() >= start.len() + end.len()
                && name.starts_with(start)
                && name.ends_with(end.trim_end_matches('*'))
        }
        None => name == pattern,
    }
}
