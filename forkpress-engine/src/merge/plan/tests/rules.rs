use super::super::super::conflict_id::TablePlace;
use super::*;

/// A post with all columns that have no default.
fn post(id: i64, title: &str, name: &str, more: &str) -> String {
    format!(
        "INSERT INTO wp_posts (ID, post_title, post_content, post_excerpt, to_ping, pinged, post_content_filtered, post_name) \
         VALUES ({id}, '{title}', '{title}', '', '', '', '', '{name}'); {}",
        if more.is_empty() { String::new() } else { format!("UPDATE wp_posts SET {more} WHERE ID = {id};") }
    )
}

fn term(id: i64, slug: &str, taxonomy: &str) -> String {
    format!(
        "INSERT INTO wp_terms VALUES ({id}, '{slug}', '{slug}', 0); \
         INSERT INTO wp_term_taxonomy VALUES ({id}, {id}, '{taxonomy}', '', 0, 0);"
    )
}

fn user(id: i64, login: &str, email: &str) -> String {
    format!(
        "INSERT INTO wp_users (ID, user_login, user_email) VALUES ({id}, '{login}', '{email}'); \
         INSERT INTO wp_usermeta (user_id, meta_key, meta_value) VALUES ({id}, 'wp_capabilities', '{login}');"
    )
}

fn set_option(name: &str, value: &str) -> String {
    format!(
        "INSERT INTO wp_options (option_name, option_value) VALUES ('{name}', '{value}') \
         ON CONFLICT (option_name) DO UPDATE SET option_value = excluded.option_value;"
    )
}

fn event(time: u32, hook: &str) -> String {
    let update = "i:100;a:1:{s:6:\"update\";a:1:{s:1:\"x\";a:1:{s:8:\"schedule\";s:5:\"daily\";}}}";
    let event = format!(
        "i:{time};a:1:{{s:{}:\"{hook}\";a:1:{{s:1:\"x\";a:1:{{s:8:\"schedule\";s:5:\"daily\";}}}}}}",
        hook.len()
    );
    set_option("cron", &format!("a:3:{{{update}{event}s:7:\"version\";i:2;}}"))
}

const OPTION: &str = "SELECT option_value FROM wp_options WHERE option_name = ";

// The acceptance situations.

#[test]
fn nothing_changed_is_an_empty_plan() {
    assert!(Case::new("", "").plan().is_empty());
    assert!(Case::new("", "UPDATE wp_posts SET post_title = 'T'; DELETE FROM wp_comments").plan().is_empty());
}

#[test]
fn a_source_that_was_only_visited_is_an_empty_plan() {
    let visited = format!(
        "{}{}{}{}{}{}
        UPDATE wp_options SET option_value = replace(option_value, 'i:100', 'i:900') WHERE option_name = 'cron';
        UPDATE wp_options SET option_value = '2' WHERE option_name = '_transient_x';
        UPDATE wp_options SET option_value = '' WHERE option_name = 'rewrite_rules';
        UPDATE wp_postmeta SET meta_value = '9:1' WHERE meta_key = '_edit_lock';
        INSERT INTO wp_postmeta VALUES (10, 100000, '_edit_lock', '1:1'), (11, 1, '_edit_last', '1');
        INSERT INTO wp_usermeta VALUES (10, 1, 'session_tokens', 'x'), (11, 1, 'wp_dashboard_quick_press_last_post_id', '6');
        INSERT INTO wp_term_relationships VALUES (100000, 1, 0), (100001, 100000, 0);",
        post(100_000, "Auto Draft", "", "post_status = 'auto-draft'"),
        post(100_001, "Custom Styles", "wp-global-styles-t", "post_type = 'wp_global_styles', post_content = '{\"version\": 3, \"isGlobalStylesUserThemeJSON\": true }'"),
        term(100_000, "t", "wp_theme"),
        post(100_002, "Five", "5-autosave-v1", "post_type = 'revision', post_status = 'inherit', post_parent = 5"),
        set_option("widget_meta", "a:1:{s:12:\"_multiwidget\";i:1;}"),
        set_option("_transient_doing", "1"),
    );
    let plan = Case::new(&visited, "").plan();
    assert!(plan.is_empty(), "{plan:#?}");
    assert_eq!(plan.recounts, Recounts::default());
}

#[test]
fn pages_with_images_of_both_sides_are_there_with_their_own_numbers() {
    let adds = |id: i64, name: &str| {
        format!(
            "{}{}{}",
            post(id, "Page", name, "post_type = 'page'"),
            post(id + 1, "pic", &format!("pic-{name}"), &format!("post_type = 'attachment', post_parent = {id}")),
            format_args!(
                "INSERT INTO wp_postmeta (post_id, meta_key, meta_value) VALUES ({id}, '_thumbnail_id', '{}'), ({}, '_wp_attached_file', 'pic.png');",
                id + 1,
                id + 1
            ),
        )
    };
    let case = Case::new(&adds(100_000, "source"), &adds(6, "target"));
    assert_eq!(
        case.told("SELECT p.ID, m.meta_value, a.post_title FROM wp_posts p JOIN wp_postmeta m ON m.post_id = p.ID AND m.meta_key = '_thumbnail_id' JOIN wp_posts a ON a.ID = m.meta_value WHERE p.post_type = 'page' ORDER BY p.ID"),
        "6|7|pic\n100000|100001|pic"
    );
    assert_eq!(case.told("SELECT count(*) FROM wp_postmeta WHERE meta_key = '_wp_attached_file'"), "2");
}

#[test]
fn a_title_here_and_a_content_there_are_both_kept_with_the_later_time() {
    let case = Case::new(
        "UPDATE wp_posts SET post_title = 'S', post_modified = '2026-03-01 00:00:00' WHERE ID = 1",
        "UPDATE wp_posts SET post_content = 'T', post_modified = '2026-02-01 00:00:00' WHERE ID = 1",
    );
    assert_eq!(
        case.told("SELECT post_title, post_content, post_modified FROM wp_posts WHERE ID = 1"),
        "S|T|2026-03-01 00:00:00"
    );
    let other = Case::new(
        "UPDATE wp_posts SET post_title = 'S', post_modified = '2026-02-01 00:00:00' WHERE ID = 1",
        "UPDATE wp_posts SET post_content = 'T', post_modified = '2026-03-01 00:00:00' WHERE ID = 1",
    );
    assert_eq!(other.told("SELECT post_modified FROM wp_posts WHERE ID = 1"), "2026-03-01 00:00:00");
}

#[test]
fn a_change_of_case_arrives() {
    let case = Case::new("UPDATE wp_posts SET post_title = 'HELLO' WHERE ID = 1", "");
    assert_eq!(case.told("SELECT post_title FROM wp_posts WHERE ID = 1"), "HELLO");
}

fn titles() -> Case {
    let set = |title: &str| format!("UPDATE wp_posts SET post_title = '{title}' WHERE ID = 1");
    Case::new(&set("S"), &set("T"))
}

#[test]
fn two_titles_are_one_conflict_that_can_be_answered() {
    let conflict = titles().conflict();
    assert_eq!(conflict.kind, ConflictKind::Cell);
    let place =
        TablePlace { table: "wp_posts".into(), key: vec![Value::Integer(1)], column: Some("post_title".into()) };
    assert_eq!(conflict.place, place);
    let title = "SELECT post_title FROM wp_posts WHERE ID = 1";
    assert_eq!(titles().otherwise(Side::Theirs).told(title), "S");
    assert_eq!(titles().otherwise(Side::Ours).told(title), "T");
    assert!(titles().otherwise(Side::Ours).plan().is_empty());
    for (take, expected) in [
        (Take::Ours, "T"),
        (Take::Theirs, "S"),
        (Take::Base, "Hello"),
        (Take::Value(serde_json::json!("Both")), "Both"),
        (Take::Value(serde_json::json!(7)), "7"),
    ] {
        assert_eq!(titles().otherwise(Side::Ours).resolve(&conflict, take).told(title), expected);
    }
    let refused = titles().resolve(&conflict, Take::Value(serde_json::json!([1]))).try_plan();
    assert!(matches!(refused, Err(PlanError::OtherType { id }) if id == conflict.id));
}

#[test]
fn an_answer_to_what_changed_since_is_refused() {
    let conflict = titles().conflict();
    let since = Case::new(
        "UPDATE wp_posts SET post_title = 'S' WHERE ID = 1",
        "UPDATE wp_posts SET post_title = 'T2' WHERE ID = 1",
    );
    let refused = since.resolve(&conflict, Take::Ours).try_plan().unwrap_err();
    assert!(matches!(&refused, PlanError::UnknownAnswer { ids } if *ids == [conflict.id]));
    assert!(refused.to_string().contains(&conflict.id.to_string()));
}

#[test]
fn plugins_that_both_activate_are_active_with_their_events() {
    let activate = |name: &str, time| {
        set_option("active_plugins", &format!("a:1:{{i:0;s:1:\"{name}\";}}")) + &event(time, &format!("event_{name}"))
    };
    let case = Case::new(&activate("s", 200), &activate("t", 300));
    assert_eq!(case.told(&format!("{OPTION}'active_plugins'")), "a:2:{i:0;s:1:\"t\";i:1;s:1:\"s\";}");
    let cron = case.told(&format!("{OPTION}'cron'"));
    for hook in ["update", "event_s", "event_t"] {
        assert!(cron.contains(hook), "{cron}");
    }
}

#[test]
fn users_of_both_have_their_roles_and_are_counted() {
    let adds = |id, name: &str| {
        user(id, name, &format!("{name}@example.org"))
            + "UPDATE wp_options SET option_value = '2' WHERE option_name = 'user_count';"
    };
    let case = Case::new(&adds(100_000, "s"), &adds(2, "t"));
    assert_eq!(
        case.told("SELECT u.user_login, m.meta_value FROM wp_users u JOIN wp_usermeta m ON m.user_id = u.ID WHERE u.ID > 1 ORDER BY u.ID"),
        "t|t\ns|s"
    );
    assert_eq!(case.told("SELECT count(*) FROM wp_usermeta"), "3");
    assert_eq!(case.told(&format!("{OPTION}'user_count'")), "3");
    assert!(case.plan().recounts.users);
}

#[test]
fn categories_that_both_put_a_post_in_are_all_there() {
    let adds = |id: i64, name: &str| {
        term(id, name, "category")
            + &format!(
                "INSERT INTO wp_term_relationships VALUES (1, {id}, 0);
                 UPDATE wp_term_taxonomy SET count = 1 WHERE term_taxonomy_id = {id};"
            )
    };
    let case = Case::new(&adds(100_000, "s"), &adds(2, "t"));
    assert_eq!(
        case.told("SELECT r.term_taxonomy_id, t.count FROM wp_term_relationships r JOIN wp_term_taxonomy t USING (term_taxonomy_id) WHERE object_id = 1"),
        "1|1\n2|1\n100000|1"
    );
    assert_eq!(case.plan().recounts.terms, [100_000]);
}

const DELETE_FIVE: &str = "DELETE FROM wp_posts WHERE ID = 5; DELETE FROM wp_postmeta WHERE post_id = 5;";

fn comment(id: i64, post: i64) -> String {
    format!(
        "INSERT INTO wp_comments (comment_ID, comment_post_ID, comment_author, comment_content) VALUES ({id}, {post}, 'B', 'New');
         UPDATE wp_posts SET comment_count = comment_count + 1 WHERE ID = {post};"
    )
}

#[test]
fn a_post_that_is_deleted_here_and_commented_there_is_one_conflict() {
    let case = || Case::new(DELETE_FIVE, &comment(2, 5));
    let conflict = case().conflict();
    assert_eq!(conflict.kind, ConflictKind::Object);
    assert_eq!((conflict.place.table.as_str(), &conflict.place.key[..]), ("wp_posts", &[Value::Integer(5)][..]));
    assert!(conflict.sides.source.is_none() && conflict.sides.target.is_some());
    let inside: Vec<_> = conflict.inside.iter().map(|place| place.table.as_str()).collect();
    assert_eq!(inside, ["wp_comments", "wp_postmeta"]);
    let left = "SELECT (SELECT count(*) FROM wp_posts WHERE ID = 5), (SELECT count(*) FROM wp_comments WHERE comment_post_ID = 5), (SELECT count(*) FROM wp_postmeta WHERE post_id = 5)";
    assert_eq!(case().otherwise(Side::Theirs).told(left), "0|0|0");
    assert_eq!(case().otherwise(Side::Ours).told(left), "1|1|1");
    assert!(case().otherwise(Side::Ours).plan().is_empty());
    assert_eq!(case().resolve(&conflict, Take::Base).told(left), "1|0|1");
    let more = Case::new(DELETE_FIVE, &(comment(2, 5) + &comment(3, 5)));
    assert_ne!(more.conflict().id, conflict.id, "it is about all that was added");
    let value = Take::Value(serde_json::json!("x"));
    assert!(matches!(case().resolve(&conflict, value).try_plan(), Err(PlanError::NotACell { .. })));
}

#[test]
fn a_post_that_is_deleted_there_and_changed_here_is_one_conflict() {
    for changes in [
        comment(100_000, 5),
        "UPDATE wp_posts SET post_title = 'S' WHERE ID = 5".to_owned(),
        "UPDATE wp_postmeta SET meta_value = 'blue' WHERE post_id = 5".to_owned(),
        "INSERT INTO wp_postmeta VALUES (100000, 5, 'size', '1')".to_owned(),
        "INSERT INTO wp_term_relationships VALUES (5, 1, 0)".to_owned(),
    ] {
        let case = || Case::new(&changes, DELETE_FIVE);
        let conflict = case().conflict();
        assert_eq!((conflict.kind, conflict.place.table.as_str()), (ConflictKind::Object, "wp_posts"), "{changes}");
        assert!(case().otherwise(Side::Ours).plan().is_empty());
        let source = Case::new("", &changes).told("SELECT * FROM wp_posts WHERE ID = 5; ");
        let merged = case().otherwise(Side::Theirs);
        assert_eq!(merged.told("SELECT * FROM wp_posts WHERE ID = 5"), source, "{changes}");
    }
}

#[test]
fn what_nobody_else_touched_is_deleted_with_what_it_owns() {
    for touches in [
        "",
        "UPDATE wp_posts SET post_modified = '2026-05-05 00:00:00', comment_count = 7 WHERE ID = 5",
        "INSERT INTO wp_postmeta VALUES (9, 5, '_edit_lock', '1:1')",
    ] {
        let case = Case::new(DELETE_FIVE, touches);
        assert_eq!(case.told("SELECT count(*) FROM wp_posts WHERE ID = 5"), "0");
        assert_eq!(case.told("SELECT count(*) FROM wp_postmeta WHERE post_id = 5"), "0", "even what is noise");
    }
    let draft = "INSERT INTO wp_postmeta VALUES (9, 5, '_edit_lock', '1:1'), (10, 1, '_pingme', '1')";
    let only_post = Case::from("DELETE FROM wp_postmeta", "DELETE FROM wp_posts WHERE ID = 5", draft);
    assert_eq!(only_post.told("SELECT meta_id FROM wp_postmeta"), "10");
    assert!(Case::new("", DELETE_FIVE).plan().is_empty());
    assert!(Case::new(DELETE_FIVE, DELETE_FIVE).plan().is_empty());
    assert!(
        Case::new("UPDATE wp_posts SET post_modified = '2026-05-05 00:00:00' WHERE ID = 5", DELETE_FIVE)
            .plan()
            .is_empty()
    );
}

#[test]
fn a_post_in_the_trash_is_as_one_that_is_deleted() {
    let trash = |meta: i64, time: i64| {
        format!(
            "UPDATE wp_posts SET post_status = 'trash', post_name = 'five__trashed' WHERE ID = 5;
             INSERT INTO wp_postmeta VALUES ({meta}, 5, '_wp_trash_meta_time', '{time}'), ({}, 5, '_wp_trash_meta_status', 'publish');",
            meta + 1
        )
    };
    let conflict = Case::new(&trash(100_000, 7), "UPDATE wp_posts SET post_content = 'T' WHERE ID = 5").conflict();
    assert_eq!(conflict.kind, ConflictKind::Object);
    let both = Case::new(&trash(100_000, 7), &trash(10, 9));
    assert!(both.plan().is_empty(), "{:#?}", both.plan());
    let later = Case::new(&trash(100_000, 9), &trash(10, 7));
    assert_eq!(later.told("SELECT meta_value FROM wp_postmeta WHERE meta_key = '_wp_trash_meta_time'"), "9");
    let gone = Case::new(DELETE_FIVE, &trash(10, 7));
    assert_eq!(gone.told("SELECT count(*) FROM wp_posts WHERE ID = 5"), "0");
    let alone = Case::new(&trash(100_000, 7), "");
    assert_eq!(alone.told("SELECT post_status FROM wp_posts WHERE ID = 5"), "trash");
}

#[test]
fn a_comment_in_a_deleted_post_is_no_conflict_of_its_own() {
    let delete = "DELETE FROM wp_posts WHERE ID = 1; DELETE FROM wp_postmeta WHERE post_id = 1; DELETE FROM wp_comments; DELETE FROM wp_commentmeta; DELETE FROM wp_term_relationships;";
    let change = "UPDATE wp_commentmeta SET meta_value = '1'";
    let conflict = Case::new(delete, change).conflict();
    assert_eq!((conflict.kind, conflict.place.table.as_str()), (ConflictKind::Object, "wp_posts"));
    let case = Case::new("DELETE FROM wp_comments; DELETE FROM wp_commentmeta", change);
    assert_eq!(case.conflict().place.table, "wp_comments");
}

#[test]
fn a_category_that_is_deleted_here_and_used_there_is_a_conflict() {
    let base = term(9, "news", "category");
    let delete = "DELETE FROM wp_terms WHERE term_id = 9; DELETE FROM wp_term_taxonomy WHERE term_id = 9";
    let conflict = Case::from(&base, delete, "INSERT INTO wp_term_relationships VALUES (5, 9, 0)").conflict();
    assert_eq!((conflict.kind, conflict.place.table.as_str()), (ConflictKind::Object, "wp_terms"));
    // A category that goes takes its posts' relationships along: that is no change of a post.
    let base = format!("{base} INSERT INTO wp_term_relationships VALUES (5, 9, 0)");
    let case = Case::from(
        &base,
        "UPDATE wp_posts SET post_status = 'trash' WHERE ID = 5",
        &format!("{delete}; DELETE FROM wp_term_relationships WHERE term_taxonomy_id = 9"),
    );
    assert_eq!(case.told("SELECT post_status FROM wp_posts WHERE ID = 5"), "trash");
}

#[test]
fn a_table_and_a_column_of_a_plugin_come_with_their_rows() {
    let source = "ALTER TABLE wp_posts ADD COLUMN x_rank INTEGER DEFAULT 3; UPDATE wp_posts SET x_rank = 9 WHERE ID = 1;
        CREATE TABLE wp_x_orders (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, title TEXT) STRICT; INSERT INTO wp_x_orders VALUES (100000, 'one')";
    let case = Case::new(source, &post(6, "New", "new", ""));
    let orders = case.told("SELECT * FROM wp_x_orders");
    assert_eq!(orders, "100000|one");
    assert_eq!(case.told("SELECT ID, x_rank FROM wp_posts ORDER BY ID"), "1|9\n5|3\n6|3");
    let take = |table: &str| SchemaEdit::Take { table: table.to_owned() };
    assert_eq!(case.plan().schema, [take("wp_posts"), take("wp_x_orders")]);
    let deleted = Case::new(source, DELETE_FIVE);
    assert_eq!(
        deleted.plan().conflicts.len(),
        1,
        "what the new column has by default is not told from what was written"
    );
}

#[test]
fn two_schemas_of_a_table_are_one_conflict() {
    let add = |name: &str| format!("ALTER TABLE wp_posts ADD COLUMN {name} TEXT");
    let case = || Case::new(&add("s"), &add("t"));
    let conflict = case().conflict();
    assert_eq!((conflict.kind, conflict.place.table.as_str()), (ConflictKind::Schema, "wp_posts"));
    let columns = "SELECT group_concat(name) FROM pragma_table_info('wp_posts') WHERE name IN ('s', 't')";
    assert_eq!(case().otherwise(Side::Theirs).told(columns), "s");
    assert_eq!(case().otherwise(Side::Ours).told(columns), "t");
    assert!(matches!(case().resolve(&conflict, Take::Base).try_plan(), Err(PlanError::NoBase { .. })));
}

#[test]
fn only_what_is_new_since_the_last_merge_arrives() {
    // The base of a second merge is what the source was at the first.
    let first = post(100_000, "First", "first", "");
    let target = format!("{}{}", post(6, "T", "t", ""), post(7, "T2", "t-2", ""));
    let case = Case::from(&first, &post(100_001, "Second", "second", ""), &target);
    assert_eq!(case.told("SELECT ID FROM wp_posts ORDER BY ID"), "1\n5\n6\n7\n100000\n100001");
    let plan = case.plan();
    assert_eq!((plan.tables.len(), plan.tables[0].rows.len()), (1, 1));
}

// Options.

#[test]
fn options_are_matched_by_name_and_get_numbers_of_the_target() {
    let case = Case::new(&set_option("s", "1"), &(set_option("t", "2") + &set_option("u", "3")));
    assert_eq!(
        case.told("SELECT option_id, option_name, option_value FROM wp_options WHERE option_id > 9"),
        "10|t|2\n11|u|3\n12|s|1"
    );
    // Removed and made again it has another number.
    let again = "DELETE FROM wp_options WHERE option_name = 'blogname'; INSERT INTO wp_options VALUES (50, 'blogname', 'S', 'off')";
    let case = Case::new(again, "");
    assert_eq!(case.told("SELECT * FROM wp_options WHERE option_name = 'blogname'"), "2|blogname|S|off");
    assert!(Case::new(&again.replace("'S', 'off'", "'Site', 'on'"), "").plan().is_empty());
}

#[test]
fn serialized_options_are_merged_by_key_and_a_side_may_be_taken_for_the_rest() {
    let mods =
        |a: &str, b: &str| set_option("theme_mods_t", &format!("a:2:{{s:1:\"a\";s:1:\"{a}\";s:1:\"b\";s:1:\"{b}\";}}"));
    let told = format!("{OPTION}'theme_mods_t'");
    assert_eq!(
        Case::new(&mods("S", "1"), &mods("1", "T")).told(&told),
        "a:2:{s:1:\"a\";s:1:\"S\";s:1:\"b\";s:1:\"T\";}"
    );
    let case = || Case::new(&mods("S", "S"), &mods("T", "1"));
    assert_eq!(case().conflict().place.key, [Value::text("theme_mods_t")]);
    assert_eq!(case().otherwise(Side::Ours).told(&told), "a:2:{s:1:\"a\";s:1:\"T\";s:1:\"b\";s:1:\"S\";}");
}

#[test]
fn an_option_that_both_made_is_one() {
    let made = |value: &str| set_option("x_new", value);
    assert!(Case::new(&made("1"), &made("1")).plan().is_empty());
    let case = || Case::new(&made("1"), &made("2"));
    let conflict = case().conflict();
    assert_eq!((conflict.kind, conflict.place.column.as_deref()), (ConflictKind::Cell, Some("option_value")));
    assert_eq!(
        case().resolve(&conflict, Take::Base).told("SELECT count(*) FROM wp_options WHERE option_name = 'x_new'"),
        "0"
    );
    assert_eq!(case().otherwise(Side::Theirs).told(&format!("{OPTION}'x_new'")), "1");
}

#[test]
fn an_option_that_is_removed_here_and_changed_there_is_a_conflict() {
    let case = || Case::new("DELETE FROM wp_options WHERE option_name = 'blogname'", &set_option("blogname", "T"));
    assert_eq!(case().conflict().kind, ConflictKind::Removed);
    assert_eq!(
        case().otherwise(Side::Theirs).told("SELECT count(*) FROM wp_options WHERE option_name = 'blogname'"),
        "0"
    );
    assert!(case().otherwise(Side::Ours).plan().is_empty());
}

#[test]
fn what_wordpress_remakes_goes_where_the_source_changed_something_else_too() {
    let rules = set_option("rewrite_rules", "a:1:{s:1:\"s\";s:1:\"s\";}");
    assert!(Case::new(&rules, "").plan().is_empty());
    let case = Case::new(&(rules + &set_option("permalink_structure", "/x")), &set_option("rewrite_rules", "t"));
    assert_eq!(case.told(&format!("{OPTION}'rewrite_rules'")), "");
    let nested = term(100_000, "s", "category") + &set_option("category_children", "a:1:{i:1;a:1:{i:0;i:100000;}}");
    let case = Case::new(&nested, "");
    assert_eq!(case.told(&format!("{OPTION}'category_children'")), "");
    let plugins = Case::new(&set_option("my_children", "s"), "");
    assert_eq!(plugins.told(&format!("{OPTION}'my_children'")), "s");
}

#[test]
fn an_event_that_both_changed_is_a_conflict_only_where_something_else_changes() {
    let often = |often: &str| {
        format!(
            "UPDATE wp_options SET option_value = replace(option_value, '\"daily\"', '\"{often}\"') WHERE option_name = 'cron';"
        )
    };
    assert!(Case::new(&often("weeks"), &often("hours")).plan().is_empty());
    let gone = "DELETE FROM wp_options WHERE option_name = 'cron'";
    assert!(Case::new(&often("weeks"), gone).plan().is_empty());
    let case = || Case::new(&(often("weeks") + &set_option("x", "1")), &often("hours"));
    assert_eq!(case().conflict().place.key, [Value::text("cron")]);
    assert!(case().otherwise(Side::Theirs).told(&format!("{OPTION}'cron'")).contains("weeks"));
}

#[test]
fn names_that_differ_in_their_case_are_a_conflict_where_the_table_has_one() {
    let case = || Case::new(&set_option("Colour", "1"), &set_option("colour", "2"));
    assert_eq!(case().conflict().kind, ConflictKind::Name);
    let options = "SELECT option_name FROM wp_options WHERE option_name = 'colour'";
    assert_eq!(case().otherwise(Side::Ours).told(options), "colour");
    assert_eq!(case().otherwise(Side::Theirs).told(options), "Colour");
}

// Metadata.

const COLOURS: &str =
    "SELECT meta_value FROM wp_postmeta WHERE post_id = 5 AND meta_key = 'colour' ORDER BY meta_value";

#[test]
fn metadata_of_other_things_under_one_number_are_both_there() {
    let case =
        Case::new("INSERT INTO wp_postmeta VALUES (4, 1, 's', '1')", "INSERT INTO wp_postmeta VALUES (4, 5, 't', '1')");
    assert_eq!(case.told("SELECT meta_id, post_id, meta_key FROM wp_postmeta WHERE meta_id > 3"), "4|5|t\n5|1|s");
    // The number that is given must not be one that comes.
    let two = "INSERT INTO wp_postmeta VALUES (4, 1, 's', '1'), (5, 1, 'u', '1')";
    let case = Case::new(two, "INSERT INTO wp_postmeta VALUES (4, 5, 't', '1')");
    assert_eq!(case.told("SELECT meta_id, meta_key FROM wp_postmeta WHERE meta_id > 3"), "4|t\n5|u\n6|s");
}

#[test]
fn noise_of_the_target_under_the_number_of_what_comes_stays() {
    let noise = "INSERT INTO wp_usermeta VALUES (2, 1, 'wp_user-settings', 'x');";
    let own = "INSERT INTO wp_usermeta VALUES (2, 1, 'colour', 'red');";
    let told = "SELECT umeta_id, meta_key FROM wp_usermeta WHERE umeta_id > 1";
    assert_eq!(Case::new(own, noise).told(told), "2|wp_user-settings\n3|colour");
    let reused = "DELETE FROM wp_usermeta WHERE umeta_id = 2; INSERT INTO wp_usermeta VALUES (2, 1, 'colour', 'red');";
    assert_eq!(Case::from(noise, reused, "").told(told), "2|wp_user-settings\n3|colour");
    assert_eq!(Case::from(noise, "", reused).told(told), "2|colour");
    assert!(Case::from(own, "", &reused.replace("colour", "size")).plan().is_empty());
    assert_eq!(Case::from(own, &reused.replace("colour", "size"), "").told(told), "3|size");
}

#[test]
fn a_value_of_which_both_made_one_is_one() {
    let made = |id: i64, value: &str| format!("INSERT INTO wp_postmeta VALUES ({id}, 5, 'size', '{value}')");
    assert!(Case::new(&made(100_000, "1"), &made(4, "1")).plan().is_empty());
    let case = || Case::new(&made(100_000, "1"), &made(4, "2"));
    let conflict = case().conflict();
    assert_eq!((conflict.kind, conflict.place.column.as_deref()), (ConflictKind::Cell, Some("meta_value")));
    let sizes = "SELECT meta_id, meta_value FROM wp_postmeta WHERE meta_key = 'size'";
    assert_eq!(case().otherwise(Side::Theirs).told(sizes), "4|1");
    assert_eq!(case().resolve(&conflict, Take::Base).told(sizes), "");
}

#[test]
fn values_of_which_there_are_several_are_added() {
    let add = |id: i64, values: &[&str]| -> String {
        let rows: Vec<_> = values
            .iter()
            .enumerate()
            .map(|(at, value)| format!("({}, 5, 'colour', '{value}')", id + i64::try_from(at).unwrap()))
            .collect();
        format!("INSERT INTO wp_postmeta VALUES {}", rows.join(","))
    };
    let case = Case::new(&add(100_000, &["blue", "green"]), &add(4, &["green", "white"]));
    assert_eq!(case.told(COLOURS), "blue\ngreen\nred\nwhite");
}

#[test]
fn a_value_that_was_removed_and_made_again_was_changed() {
    let again = |id: i64, value: &str| {
        format!(
            "DELETE FROM wp_postmeta WHERE meta_id = 3; INSERT INTO wp_postmeta VALUES ({id}, 5, 'colour', '{value}')"
        )
    };
    assert_eq!(Case::new(&again(100_000, "blue"), "").told(COLOURS), "blue");
    assert!(Case::new(&again(100_000, "red"), &again(10, "blue")).plan().is_empty());
    assert_eq!(
        Case::new(&again(100_000, "blue"), &again(10, "red"))
            .told("SELECT meta_id, meta_value FROM wp_postmeta WHERE post_id = 5"),
        "10|blue"
    );
    let both = Case::new(&again(100_000, "blue"), "UPDATE wp_postmeta SET meta_value = 'white' WHERE meta_id = 3");
    assert_eq!(both.conflict().kind, ConflictKind::Cell);
    assert_eq!(both.otherwise(Side::Theirs).told(COLOURS), "blue");
    let both = Case::new(&again(100_000, "blue"), &again(10, "white"));
    assert_eq!(both.otherwise(Side::Theirs).told(COLOURS), "blue");
}

// Objects of one number.

#[test]
fn two_posts_of_one_number_are_one_conflict_for_all_their_rows() {
    let adds = |title: &str| {
        post(6, title, title, "")
            + &format!(
                "INSERT INTO wp_postmeta VALUES (4, 6, '{title}', '1'), (5, 6, 'both', '{title}'); INSERT INTO wp_term_relationships VALUES (6, 1, 0);"
            )
    };
    let case = || Case::new(&adds("s"), &adds("t"));
    let conflict = case().conflict();
    assert_eq!((conflict.kind, &conflict.place.key[..]), (ConflictKind::Id, &[Value::Integer(6)][..]));
    assert!(case().otherwise(Side::Ours).plan().is_empty());
    let theirs = case().otherwise(Side::Theirs);
    assert_eq!(theirs.told("SELECT post_title FROM wp_posts WHERE ID = 6"), "s");
    assert_eq!(
        theirs.told("SELECT meta_key, meta_value FROM wp_postmeta WHERE post_id = 6 ORDER BY meta_key"),
        "both|s\ns|1"
    );
    assert!(Case::new(&adds("s"), &adds("s")).plan().is_empty());
}

#[test]
fn capabilities_that_two_users_of_one_number_share_are_not_taken_for_one() {
    let case = Case::new(
        &user(2, "s", "s@example.org").replace("'s')", "'editor')"),
        &user(2, "t", "t@example.org").replace("'t')", "'editor')"),
    );
    let conflict = case.conflict();
    assert_eq!((conflict.kind, conflict.place.table.as_str()), (ConflictKind::Id, "wp_users"));
}

#[test]
fn rows_of_a_plugin_under_one_number_are_a_conflict() {
    let base = "CREATE TABLE wp_x_rows (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, title TEXT) STRICT";
    let case = || Case::from(base, "INSERT INTO wp_x_rows VALUES (1, 's')", "INSERT INTO wp_x_rows VALUES (1, 't')");
    assert_eq!(case().conflict().kind, ConflictKind::Id);
    assert_eq!(case().otherwise(Side::Theirs).told("SELECT title FROM wp_x_rows"), "s");
    let mut left_out = case();
    left_out.answers.without_tables = vec!["X_Rows".to_owned()];
    assert!(left_out.plan().is_empty());
    left_out.answers.without_tables = vec!["wp_x_rows".to_owned(), "x_row".to_owned()];
    assert!(matches!(left_out.try_plan(), Err(PlanError::UnknownTable { table }) if table == "x_row"));
}

// Noise.

#[test]
fn a_draft_that_was_empty_comes_once_it_is_published() {
    let draft =
        post(6, "Auto Draft", "", "post_status = 'auto-draft'") + "INSERT INTO wp_postmeta VALUES (4, 6, 'kept', '1');";
    let publish = "UPDATE wp_posts SET post_status = 'publish', post_title = 'Done', post_name = 'done' WHERE ID = 6; INSERT INTO wp_postmeta VALUES (100000, 6, 'more', '1')";
    let told = "SELECT post_title, (SELECT group_concat(meta_key) FROM wp_postmeta WHERE post_id = 6) FROM wp_posts WHERE ID = 6";
    assert_eq!(Case::from(&draft, publish, "").told(told), "Done|kept,more");
    let cleaned = "DELETE FROM wp_posts WHERE ID = 6; DELETE FROM wp_postmeta WHERE post_id = 6";
    assert_eq!(Case::from(&draft, publish, cleaned).told(told), "Done|kept,more");
    assert!(Case::from(&draft, cleaned, "").plan().is_empty());
    assert_eq!(Case::new(&(draft.clone() + publish), "").told(told), "Done|kept,more");
}

#[test]
fn an_empty_draft_of_the_target_is_not_written_over() {
    let case = Case::new(&post(6, "Page", "page", ""), &post(6, "Auto Draft", "", "post_status = 'auto-draft'"));
    assert_eq!(case.conflict().kind, ConflictKind::Id);
}

#[test]
fn revisions_are_added_and_never_a_conflict() {
    let revision = |id, title: &str| {
        post(id, title, "5-revision-v1", "post_type = 'revision', post_status = 'inherit', post_parent = 5")
    };
    let case = Case::new(&revision(100_000, "s"), &revision(6, "t"));
    assert_eq!(case.told("SELECT ID FROM wp_posts WHERE post_type = 'revision'"), "6\n100000");
    assert!(Case::new(&revision(6, "s"), &revision(6, "t")).plan().is_empty());
    // A revision alone is no change of its post.
    assert_eq!(Case::new(DELETE_FIVE, &revision(6, "t")).told("SELECT count(*) FROM wp_posts WHERE ID = 5"), "0");
}

#[test]
fn styles_of_the_source_take_the_place_of_those_that_nobody_touched() {
    let first = |id| {
        post(
            id,
            "Custom Styles",
            "wp-global-styles-t",
            "post_type = 'wp_global_styles', post_content = '{\"version\": 3, \"isGlobalStylesUserThemeJSON\": true }'",
        )
    };
    let own = |id, colour: &str| {
        post(
            id,
            "Custom Styles",
            "wp-global-styles-t",
            &format!("post_type = 'wp_global_styles', post_content = '{colour}'"),
        )
    };
    let styles = "SELECT post_content FROM wp_posts WHERE post_type = 'wp_global_styles'";
    assert_eq!(Case::new(&own(100_000, "red"), &first(6)).told(styles), "red");
    assert_eq!(Case::new(&own(100_000, "red"), &own(6, "blue")).conflict().kind, ConflictKind::Name);
    assert_eq!(Case::new(&own(100_000, "red"), &own(6, "blue")).otherwise(Side::Theirs).told(styles), "red");
    assert_eq!(Case::new(&own(100_000, "red"), &own(6, "blue")).otherwise(Side::Ours).told(styles), "blue");
    assert!(Case::new(&first(100_000), &own(6, "blue")).plan().is_empty());
}

// Counters.

#[test]
fn comments_of_both_are_counted() {
    let case = Case::new(&comment(100_000, 1), &comment(2, 1));
    let plan = case.plan();
    assert_eq!(plan.recounts.comments_of, [1]);
    assert!(plan.tables.iter().all(|table| table.table != "wp_posts"), "what the count was before does not matter");
}

#[test]
fn what_both_counted_alike_is_not_counted_twice() {
    let delete =
        "DELETE FROM wp_comments; DELETE FROM wp_commentmeta; UPDATE wp_posts SET comment_count = 0 WHERE ID = 1";
    let case = Case::from(
        "INSERT INTO wp_comments (comment_ID, comment_post_ID, comment_author, comment_content) VALUES (9, 1, '', ''); UPDATE wp_posts SET comment_count = 2 WHERE ID = 1;",
        &delete.replace("wp_comments;", "wp_comments WHERE comment_ID = 1;").replace("= 0", "= 1"),
        &delete.replace("wp_comments;", "wp_comments WHERE comment_ID = 1;").replace("= 0", "= 1"),
    );
    assert!(case.plan().is_empty(), "{:#?}", case.plan());
}

#[test]
fn columns_that_the_database_sets_have_the_later_time() {
    let base = "CREATE TABLE wp_x_rows (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, a TEXT, b TEXT, at TEXT) STRICT; INSERT INTO wp_x_rows VALUES (1, 'a', 'b', '2026-01-01');
        CREATE TRIGGER _wp_sqlite_wp_x_rows_at_on_update AFTER UPDATE ON wp_x_rows BEGIN SELECT 1; END;";
    let case = Case::from(
        base,
        "UPDATE wp_x_rows SET a = 's', at = '2026-02-02'",
        "UPDATE wp_x_rows SET b = 't', at = '2026-02-01'",
    );
    assert_eq!(case.told("SELECT a, b, at FROM wp_x_rows"), "s|t|2026-02-02");
}

// Names.

#[test]
fn a_slug_that_is_taken_gets_a_number_and_that_is_told() {
    let page = |id, more: &str| post(id, "About", "about", &format!("post_type = 'page'{more}"));
    let case = Case::new(&page(100_000, ""), &page(6, ""));
    assert_eq!(case.told("SELECT ID, post_name FROM wp_posts WHERE post_type = 'page'"), "6|about\n100000|about-2");
    assert_eq!(case.plan().notes, ["page 100000 \"About\" has the slug about-2: about is taken by page 6"]);
    let third = Case::new(&(page(100_000, "") + &post(100_001, "x", "about-2", "post_type = 'page'")), &page(6, ""));
    assert_eq!(third.told("SELECT post_name FROM wp_posts WHERE ID >= 100000"), "about-3\nabout-2");
    for (source, target) in [
        (page(100_000, ", post_parent = 5"), page(6, "")),
        (page(100_000, ", post_status = 'draft'"), page(6, "")),
        (page(100_000, ""), post(6, "About", "about", "")),
    ] {
        assert!(Case::new(&source, &target).plan().notes.is_empty());
    }
    let image = Case::new(&post(100_000, "about", "about", "post_type = 'attachment'"), &page(6, ""));
    assert_eq!(image.told("SELECT post_name FROM wp_posts WHERE ID = 100000"), "about-2");
    let published = Case::from(
        &page(6, ", post_status = 'draft'"),
        "UPDATE wp_posts SET post_status = 'publish' WHERE ID = 6",
        &page(7, ""),
    );
    assert_eq!(published.told("SELECT post_name FROM wp_posts WHERE ID = 6"), "about-2");
    let freed = Case::from(&page(6, ""), &page(100_000, ""), "UPDATE wp_posts SET post_name = 'us' WHERE ID = 6");
    assert_eq!(freed.told("SELECT post_name FROM wp_posts WHERE ID = 100000"), "about");
}

#[test]
fn a_slug_is_cut_where_its_number_would_make_it_too_long() {
    let long = "a".repeat(200);
    let page = |id| post(id, "Long", &long, "post_type = 'page'");
    let told = Case::new(&page(100_000), &page(6)).told("SELECT post_name FROM wp_posts WHERE ID = 100000");
    assert_eq!(told, format!("{}-2", "a".repeat(198)));
}

#[test]
fn slugs_of_terms_are_taken_only_in_their_taxonomy() {
    let case = Case::new(&term(100_000, "news", "category"), &term(6, "news", "category"));
    assert_eq!(case.told("SELECT slug FROM wp_terms WHERE term_id = 100000"), "news-2");
    assert_eq!(case.plan().notes, ["category 100000 \"news\" has the slug news-2: news is taken by category 6"]);
    let other = Case::new(&term(100_000, "news", "post_tag"), &term(6, "news", "category"));
    assert_eq!(other.told("SELECT slug FROM wp_terms WHERE term_id = 100000"), "news");
}

#[test]
fn terms_that_code_makes_are_one() {
    let template = |id: i64, name: &str| {
        post(id, name, name, "post_type = 'wp_template'")
            + &term(id, "t", "wp_theme")
            + &format!("INSERT INTO wp_term_relationships VALUES ({id}, {id}, 0);")
    };
    let case = Case::new(&template(100_000, "single"), &template(6, "home"));
    assert_eq!(case.told("SELECT term_id FROM wp_terms WHERE slug = 't'"), "6");
    assert_eq!(
        case.told("SELECT object_id, term_taxonomy_id FROM wp_term_relationships WHERE object_id > 5"),
        "6|6\n100000|6"
    );
    assert_eq!(case.plan().recounts.terms, [6]);
    assert_eq!(Case::new(&template(100_000, "single"), &template(6, "single")).conflict().kind, ConflictKind::Name);
    let alone = Case::new(&template(100_000, "single"), "");
    assert_eq!(
        alone.told("SELECT object_id, term_taxonomy_id FROM wp_term_relationships WHERE object_id > 5"),
        "100000|100000"
    );
}

#[test]
fn two_users_of_one_name_are_a_conflict() {
    for (login, email) in [("ANNA", "s@example.org"), ("s", "Anna@Example.org")] {
        let case = || Case::new(&user(100_000, login, email), &user(2, "anna", "anna@example.org"));
        let conflict = case().conflict();
        assert_eq!((conflict.kind, &conflict.place.key[..]), (ConflictKind::Name, &[Value::Integer(100_000)][..]));
        let users = "SELECT ID FROM wp_users WHERE ID > 1";
        let meta = "SELECT user_id FROM wp_usermeta WHERE user_id > 1";
        for (side, expected) in [(Side::Ours, "2"), (Side::Theirs, "100000")] {
            assert_eq!(case().otherwise(side).told(users), expected);
            assert_eq!(case().otherwise(side).told(meta), expected);
        }
        assert_eq!(case().resolve(&conflict, Take::Base).told(users), "");
    }
    let change = || {
        Case::new("UPDATE wp_users SET user_email = 't@example.org', user_url = 's'", &user(2, "t", "t@example.org"))
    };
    assert_eq!(change().conflict().place.column.as_deref(), Some("user_email"));
    assert_eq!(
        change().otherwise(Side::Ours).told("SELECT ID, user_email, user_url FROM wp_users"),
        "1|admin@example.org|s\n2|t@example.org|"
    );
    assert_eq!(change().otherwise(Side::Theirs).told("SELECT ID, user_email FROM wp_users"), "1|t@example.org");
}

// Hosts.

#[test]
fn addresses_of_branches_are_no_changes_and_what_is_stored_stays() {
    let write = |host: &str, text: &str| {
        format!("UPDATE wp_posts SET post_content = '<img src=\"http://{host}/a.png\">{text}' WHERE ID = 1;")
    };
    let with_hosts = |source: &str, target: &str, base: &str| {
        let mut case = Case::from(base, source, target);
        case.hosts = Hosts::new(forkpress_core::address::Addresses::default(), "wp.localhost", 8080);
        case
    };
    let base = write("wp.localhost:8080", "");
    assert!(with_hosts(&write("s.wp.localhost:8080", ""), "", &base).plan().is_empty());
    assert!(
        with_hosts(&write("s.wp.localhost:8080", "x"), &write("t.wp.localhost:8080", "x"), &base).plan().is_empty()
    );
    let content = "SELECT post_content FROM wp_posts WHERE ID = 1";
    let case = with_hosts(&write("s.wp.localhost:8080", "x"), &write("t.wp.localhost:8080", ""), &base);
    assert_eq!(case.told(content), "<img src=\"http://s.wp.localhost:8080/a.png\">x");
    assert!(with_hosts("", &write("t.wp.localhost:8080", ""), &base).plan().is_empty());
    let option = |host: &str, b: &str| {
        let address = format!("http://{host}/");
        set_option(
            "theme_mods_t",
            &format!("a:2:{{s:1:\"a\";s:{}:\"{address}\";s:1:\"b\";s:1:\"{b}\";}}", address.len()),
        )
    };
    let case = with_hosts(
        &option("s.wp.localhost:8080", "S"),
        &(option("t.wp.localhost:8080", "1") + &set_option("z", "1")),
        &option("wp.localhost:8080", "1"),
    );
    assert!(case.told(&format!("{OPTION}'theme_mods_t'")).contains("\"S\""));
}

// Schemas.

#[test]
fn a_table_that_is_dropped_here_and_changed_there_is_a_conflict() {
    let base = "CREATE TABLE wp_x_rows (id INTEGER NOT NULL PRIMARY KEY, title TEXT) STRICT; INSERT INTO wp_x_rows VALUES (1, 'a'), (2, 'b')";
    let (drop, change) = ("DROP TABLE wp_x_rows", "UPDATE wp_x_rows SET title = 'x' WHERE id = 2");
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'wp_x_rows'";
    assert_eq!(Case::from(base, drop, "").told(tables), "0");
    assert!(Case::from(base, "", drop).plan().is_empty());
    let case = || Case::from(base, drop, change);
    assert_eq!(case().conflict().kind, ConflictKind::Schema);
    assert_eq!(case().otherwise(Side::Theirs).told(tables), "0");
    assert!(case().otherwise(Side::Ours).plan().is_empty());
    let other = || Case::from(base, change, drop);
    assert_eq!(other().conflict().kind, ConflictKind::Schema);
    assert_eq!(other().otherwise(Side::Theirs).told("SELECT * FROM wp_x_rows"), "1|a\n2|x");
    assert!(other().otherwise(Side::Ours).plan().is_empty());
    let more = Case::from(base, drop, &format!("{change}; INSERT INTO wp_x_rows VALUES (3, 'c')"));
    assert_ne!(more.conflict().id, case().conflict().id);
}

#[test]
fn a_table_with_another_key_is_taken_whole_where_the_other_side_left_it_alone() {
    let base = "CREATE TABLE wp_x_rows (id INTEGER NOT NULL PRIMARY KEY, title TEXT) STRICT; INSERT INTO wp_x_rows VALUES (1, 'a')";
    let rekey = "DROP TABLE wp_x_rows; CREATE TABLE wp_x_rows (id INTEGER NOT NULL, title TEXT NOT NULL PRIMARY KEY) STRICT; INSERT INTO wp_x_rows VALUES (1, 'a'), (1, 'b')";
    assert_eq!(Case::from(base, rekey, "").told("SELECT * FROM wp_x_rows"), "1|a\n1|b");
    assert!(Case::from(base, "", rekey).plan().is_empty());
    let change = "INSERT INTO wp_x_rows VALUES (2, 't')";
    let case = || Case::from(base, rekey, change);
    assert_eq!(case().conflict().kind, ConflictKind::Schema);
    assert_eq!(case().otherwise(Side::Theirs).told("SELECT * FROM wp_x_rows"), "1|a\n1|b");
    assert!(case().otherwise(Side::Ours).plan().is_empty());
    let other = || Case::from(base, change, rekey);
    assert_eq!(other().otherwise(Side::Theirs).told("SELECT * FROM wp_x_rows"), "1|a\n2|t");
    let both = Case::from(base, rekey, &format!("{rekey}; INSERT INTO wp_x_rows VALUES (7, 't')"));
    assert!(both.plan().is_empty());
}

#[test]
fn rows_of_a_table_of_noise_stay_but_the_table_comes() {
    let table = "CREATE TABLE wp_actionscheduler_actions (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, hook TEXT) STRICT; INSERT INTO wp_actionscheduler_actions VALUES (1, 'x')";
    assert_eq!(Case::new(table, "").told("SELECT count(*) FROM wp_actionscheduler_actions"), "0");
    assert!(Case::from(table, "DELETE FROM wp_actionscheduler_actions", "").plan().is_empty());
}

// Plugins.

#[test]
fn what_a_plugin_declares_is_followed() {
    let base =
        "CREATE TABLE wp_x_orders (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, title TEXT, total INTEGER) STRICT;
        CREATE TABLE wp_x_items (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, order_id INTEGER, what TEXT) STRICT;
        CREATE TABLE wp_x_log (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, line TEXT) STRICT;
        INSERT INTO wp_x_orders VALUES (1, 'one', 5); INSERT INTO wp_x_items VALUES (1, 1, 'a');";
    let declared = r#"{"noise": {"tables": ["x_log"], "options": ["x_seen_*"]}, "sets": {"options": ["x_list"]},
        "derived": [{"table": "x_orders", "column": "total"}],
        "objects": [{"table": "x_orders", "key": "id", "name": "title", "owned": [{"table": "x_items", "by": "order_id"}]}]}"#;
    let case = |source: &str, target: &str| {
        let mut case = Case::from(base, source, target);
        // Both branches have the plugin.
        for _ in ["source", "target"] {
            case.rules.with_plugins(vec![serde_json::from_str(declared).unwrap()]);
        }
        case
    };
    assert!(
        case(&format!("INSERT INTO wp_x_log VALUES (1, 'x'); {}", set_option("x_seen_1", "1")), "").plan().is_empty()
    );
    let conflict =
        case("DELETE FROM wp_x_orders; DELETE FROM wp_x_items", "INSERT INTO wp_x_items VALUES (2, 1, 'b')").conflict();
    assert_eq!((conflict.kind, conflict.place.table.as_str()), (ConflictKind::Object, "wp_x_orders"));
    let list = |name: &str| set_option("x_list", &format!("a:1:{{i:0;s:1:\"{name}\";}}"));
    assert_eq!(case(&list("s"), &list("t")).told(&format!("{OPTION}'x_list'")), "a:2:{i:0;s:1:\"t\";i:1;s:1:\"s\";}");
    let derived = case("UPDATE wp_x_orders SET total = 7", "UPDATE wp_x_orders SET total = 8");
    assert!(derived.plan().is_empty());
}

// Networks.

#[test]
fn sites_of_a_network_have_rules_of_their_own() {
    let site: String = WORDPRESS.replace("`wp_", "`wp_2_");
    let posts = "INSERT INTO wp_2_posts (ID, post_title, post_content, post_excerpt, to_ping, pinged, post_content_filtered) VALUES (5, 'x', '', '', '', '', '');
        INSERT INTO wp_2_options VALUES (1, 'active_plugins', 'a:0:{}', 'on');";
    let comment = "INSERT INTO wp_2_comments (comment_ID, comment_post_ID, comment_author, comment_content) VALUES (1, 5, '', '')";
    let base = format!("{site}{posts}");
    let conflict = Case::from(&base, "DELETE FROM wp_2_posts", comment).conflict();
    assert_eq!((conflict.kind, conflict.place.table.as_str()), (ConflictKind::Object, "wp_2_posts"));
    let case = Case::from(&base, comment, "");
    assert_eq!(case.told("SELECT comment_post_ID FROM wp_2_comments"), "5");
    assert_eq!(case.plan().recounts, Recounts::default(), "those are of the main site");
}
