//! The lines of the table of rules that are about values, each in its place and with what WordPress stores.

use std::collections::BTreeMap;

use super::tree::{Member, Shape, Value};
use super::*;
use crate::merge::declared::Declared;
use crate::merge::rules::{Rules, ValuePlace};

/// Numbers that look random and are the same in every run.
pub(in crate::merge) struct Random(u64);

impl Random {
    pub(in crate::merge) fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(in crate::merge) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    /// Letters, digits, what structures are made of, and bytes that are no text.
    pub(super) fn bytes(&mut self) -> Vec<u8> {
        let bytes = b"abXY019 :;{}\"\\\0\xff\xc3\xa9si";
        (0..self.below(9)).map(|_| bytes[self.below(bytes.len())]).collect()
    }
}

fn text(text: &str) -> String {
    format!("s:{}:\"{text}\";", text.len())
}

/// A serialized array of keys and written values.
fn map(members: &[(&str, String)]) -> String {
    let key = |name: &str| name.parse::<i64>().map_or_else(|_| text(name), |number| format!("i:{number};"));
    let members_written: String = members.iter().map(|(name, value)| key(name) + value).collect();
    format!("a:{}:{{{members_written}}}", members.len())
}

fn list(values: &[&str]) -> String {
    let written: String = values.iter().enumerate().map(|(at, value)| format!("i:{at};{}", text(value))).collect();
    format!("a:{}:{{{written}}}", values.len())
}

fn texts(members: &[(&str, &str)]) -> String {
    map(&members.iter().map(|(name, value)| (*name, text(value))).collect::<Vec<_>>())
}

fn merge_how(how: How, base: &str, source: &str, target: &str) -> Outcome {
    let sides = Sides { base: Some(base.as_bytes()), source: source.as_bytes(), target: target.as_bytes() };
    merge(how, sides, Ways::PLAIN)
}

fn merge_in(table: &str, column: &str, key: &str, [base, source, target]: [&str; 3]) -> Outcome {
    merge_how(Rules::wordpress().how(&ValuePlace { table, column, key: key.as_bytes() }), base, source, target)
}

fn option(name: &str, sides: [&str; 3]) -> Outcome {
    merge_in("options", "option_value", name, sides)
}

fn merged(text: impl AsRef<str>) -> Outcome {
    Outcome::Merged(text.as_ref().into())
}

fn conflict(paths: &[&[&str]]) -> Outcome {
    Outcome::Conflict(paths.iter().map(|path| path.iter().map(|name| name.as_bytes().to_vec()).collect()).collect())
}

#[test]
fn a_set_has_what_either_added_without_what_either_removed() {
    let base = list(&["a.php", "b.php", "c.php"]);
    let source = list(&["a.php", "c.php", "s.php"]);
    let target = list(&["t.php", "a.php", "b.php"]);
    for name in ["active_plugins", "sticky_posts", "recently_edited"] {
        assert_eq!(option(name, [&base, &source, &target]), merged(list(&["t.php", "a.php", "s.php"])), "{name}");
    }
    // A plugin that was switched off leaves a gap.
    let gap = texts(&[("0", "a.php"), ("2", "c.php")]);
    let more = list(&["a.php", "b.php", "c.php", "t.php"]);
    assert_eq!(option("active_plugins", [&base, &gap, &more]), merged(list(&["a.php", "c.php", "t.php"])));
    // Both added the same.
    let both = [list(&["a"]), list(&["x", "a"]), list(&["a", "x", "y"])];
    assert_eq!(option("active_plugins", [&both[0], &both[1], &both[2]]), merged(&both[2]));
}

#[test]
fn a_set_that_both_made_has_what_is_in_either() {
    let (source, target) = (list(&["a", "b"]), list(&["b", "c"]));
    let sides = Sides { base: None, source: source.as_bytes(), target: target.as_bytes() };
    assert_eq!(merge(How::Set, sides, Ways::PLAIN), merged(list(&["b", "c", "a"])));
}

#[test]
fn plugins_of_a_network_are_a_set_of_their_names_with_times() {
    let time = |time: u32| format!("i:{time};");
    let base = map(&[("a.php", time(1)), ("b.php", time(2))]);
    let source = map(&[("a.php", time(7)), ("s.php", time(3))]);
    let target = map(&[("a.php", time(8)), ("b.php", time(2)), ("t.php", time(4))]);
    assert_eq!(
        merge_in("sitemeta", "meta_value", "active_sitewide_plugins", [&base, &source, &target]),
        merged(map(&[("a.php", time(8)), ("t.php", time(4)), ("s.php", time(3))]))
    );
    let all = [map(&[]), source.clone(), map(&[("t.php", time(4))])];
    assert_eq!(
        merge_in("sitemeta", "meta_value", "active_sitewide_plugins", [&all[0], &all[1], &all[2]]),
        merged(map(&[("t.php", time(4)), ("a.php", time(7)), ("s.php", time(3))]))
    );
}

#[test]
fn a_set_that_is_none_is_taken_as_a_whole() {
    assert_eq!(option("active_plugins", ["", "x", ""]), merged("x"));
    assert_eq!(option("active_plugins", ["", "x", "y"]), conflict(&[&[]]));
    let json = merge_how(How::Set, r#"["a"]"#, r#"["a", "s"]"#, r#"["t","a"]"#);
    assert_eq!(json, merged(r#"["t","a","s"]"#));
}

/// A schedule of time, hook, arguments and how often.
fn cron(events: &[(&str, &str, &str, &str)]) -> String {
    let mut times: Vec<(&str, String)> = events
        .iter()
        .map(|(time, hook, arguments, often)| {
            (*time, map(&[(hook, map(&[(arguments, texts(&[("schedule", often)]))]))]))
        })
        .collect();
    times.push(("version", "i:2;".to_owned()));
    map(&times)
}

#[test]
fn the_schedule_has_the_events_of_both_at_the_times_of_the_target() {
    let base = cron(&[("100", "update", "x", "daily"), ("200", "gone", "x", "hourly"), ("300", "twice", "x", "daily")]);
    let source =
        cron(&[("150", "new", "x", "hourly"), ("900", "update", "x", "daily"), ("950", "twice", "x", "weekly")]);
    let target = cron(&[
        ("140", "own", "x", "daily"),
        ("200", "gone", "x", "hourly"),
        ("500", "update", "x", "daily"),
        ("600", "twice", "x", "daily"),
    ]);
    let expected = cron(&[
        ("140", "own", "x", "daily"),
        ("150", "new", "x", "hourly"),
        ("500", "update", "x", "daily"),
        ("600", "twice", "x", "weekly"),
    ]);
    assert_eq!(option("cron", [&base, &source, &target]), merged(expected));
}

#[test]
fn a_schedule_in_which_only_times_changed_is_the_targets() {
    let base = cron(&[("100", "update", "x", "daily")]);
    let source = cron(&[("900", "update", "x", "daily")]);
    assert_eq!(option("cron", [&base, &source, &base]), merged(&base));
}

#[test]
fn events_of_one_hook_are_told_apart_by_their_arguments_and_share_a_time() {
    let base = cron(&[]);
    let source = cron(&[("100", "mail", "one", "daily")]);
    let target = cron(&[("100", "mail", "two", "daily"), ("200", "other", "x", "daily")]);
    let daily = || texts(&[("schedule", "daily")]);
    let expected = map(&[
        ("100", map(&[("mail", map(&[("two", daily()), ("one", daily())]))])),
        ("200", map(&[("other", map(&[("x", daily())]))])),
        ("version", "i:2;".to_owned()),
    ]);
    assert_eq!(option("cron", [&base, &source, &target]), merged(expected));
}

#[test]
fn an_event_that_recurs_differently_on_both_sides_is_a_conflict() {
    let [base, source, target] = ["daily", "hourly", "weekly"].map(|often| cron(&[("100", "update", "x", often)]));
    assert_eq!(option("cron", [&base, &source, &target]), conflict(&[&["update", "x"]]));
    assert_eq!(option("cron", [&base, &cron(&[]), &target]), conflict(&[&["update", "x"]]));
    assert_eq!(option("cron", [&base, "x", &target]), conflict(&[&[]]));
}

#[test]
fn arrays_are_merged_by_key() {
    let settings = |logo: &str, menu: &str, colour: &str| {
        let locations = texts(&[("primary", menu), ("footer", "3")]);
        map(&[("logo", text(logo)), ("nav_menu_locations", locations), ("colour", text(colour))])
    };
    let sides = [settings("1", "2", "red"), settings("100001", "2", "green"), settings("1", "100002", "red")];
    for (table, column, key) in [
        ("options", "option_value", "theme_mods_twentytwentyfive"),
        ("x_options", "option_value", "x_user_roles"),
        ("options", "option_value", "widget_text"),
        ("options", "option_value", "nav_menu_options"),
        ("options", "option_value", "a_plugins_settings"),
        ("postmeta", "meta_value", "_wp_attachment_metadata"),
        ("wp_plugin_things", "data", ""),
    ] {
        let outcome = merge_in(table, column, key, [&sides[0], &sides[1], &sides[2]]);
        assert_eq!(outcome, merged(settings("100001", "100002", "green")), "{table} {key}");
    }
}

#[test]
fn keys_come_and_go_on_both_sides_and_the_order_stays() {
    let widgets = |numbers: &[&str]| {
        let mut all: Vec<_> = numbers.iter().map(|number| (*number, texts(&[("title", number)]))).collect();
        all.push(("_multiwidget", "i:1;".to_owned()));
        map(&all)
    };
    let outcome = option("widget_text", [&widgets(&["2", "3"]), &widgets(&["2", "4"]), &widgets(&["2", "3", "5"])]);
    assert_eq!(outcome, merged(widgets(&["2", "5", "4"])));
    let order = |names: &str| {
        texts(&names.chars().map(|_| ("", "")).enumerate().map(|(at, _)| (&names[at..=at], "v")).collect::<Vec<_>>())
    };
    for (base, source, target, expected) in [
        ("abc", "cab", "abcd", "cdab"),
        ("abc", "abcd", "cab", "cdab"),
        ("abc", "acbx", "acby", "acbyx"),
        ("abc", "xabc", "abyc", "xabyc"),
        ("abc", "c", "ab", ""),
        ("", "b", "a", "ab"),
    ] {
        assert_eq!(option("x", [&order(base), &order(source), &order(target)]), merged(order(expected)), "{source}");
    }
    assert_eq!(option("x", [&order("abc"), &order("cab"), &order("bac")]), conflict(&[&[]]));
}

#[test]
fn what_both_changed_under_one_key_is_a_conflict_of_that_place() {
    let value = |a: &str, b: &str| map(&[("in", texts(&[("a", a), ("b", b)])), ("c", text(b))]);
    let outcome = option("x", [&value("1", "1"), &value("2", "2"), &value("3", "2")]);
    assert_eq!(outcome, conflict(&[&["in", "a"]]));
    let outcome = option("x", [&value("1", "1"), &value("2", "2"), &value("3", "3")]);
    assert_eq!(outcome, conflict(&[&["in", "a"], &["in", "b"], &["c"]]));
    // One removed what the other changed.
    let outcome =
        option("x", [&texts(&[("a", "1"), ("b", "1")]), &texts(&[("b", "1")]), &texts(&[("a", "2"), ("b", "1")])]);
    assert_eq!(outcome, conflict(&[&["a"]]));
}

#[test]
fn lists_objects_and_what_has_references_are_one_value() {
    let object = |a: &str, b: &str| format!("O:1:\"A\":2:{{{}{}{}{}}}", text("a"), text(a), text("b"), text(b));
    let referring = |a: &str, b: &str| format!("a:3:{{{}{}{}{}i:9;R:2;}}", text("a"), text(a), text("b"), text(b));
    let lists = |a: &str, b: &str| list(&[a, b]);
    for make in [&object as &dyn Fn(&str, &str) -> String, &referring, &lists] {
        let [base, source, target] = [make("1", "1"), make("2", "1"), make("1", "2")];
        assert_eq!(option("x", [&base, &source, &target]), conflict(&[&[]]));
        assert_eq!(option("x", [&base, &source, &base]), merged(&source));
        assert_eq!(option("x", [&base, &base, &target]), merged(&target));
        assert_eq!(option("x", [&base, &target, &target]), merged(&target));
    }
    let within = |value: String, more: &str| map(&[("o", value), ("more", text(more))]);
    let outcome =
        option("x", [&within(object("1", "1"), "1"), &within(object("2", "1"), "1"), &within(object("1", "1"), "2")]);
    assert_eq!(outcome, merged(within(object("2", "1"), "2")));
}

#[test]
fn structures_in_texts_are_merged_and_their_lengths_rewritten() {
    let inner = |a: &str, b: &str| texts(&[("a", a), ("b", b)]);
    let outer = |a: &str, b: &str| {
        map(&[("json", text(&format!("{{\"a\":\"{a}\",\"b\":\"{b}\"}}"))), ("php", text(&inner(a, b)))])
    };
    let outcome = option("x", [&outer("1", "1"), &outer("much longer", "1"), &outer("1", "é")]);
    assert_eq!(outcome, merged(outer("much longer", "é")));
    let twice = |a: &str, b: &str| text(&text(&inner(a, b)));
    assert_eq!(option("x", [&twice("1", "1"), &twice("22", "1"), &twice("1", "3")]), merged(twice("22", "3")));
}

#[test]
fn a_sidebar_is_one_value() {
    let sidebars = |one: &str, two: &str| map(&[("sidebar-1", one.to_owned()), ("sidebar-2", two.to_owned())]);
    let (few, more, gap) = (list(&["text-2"]), list(&["text-2", "text-3"]), texts(&[("1", "text-2"), ("2", "text-4")]));
    let outcome = option("sidebars_widgets", [&sidebars(&few, &few), &sidebars(&more, &few), &sidebars(&few, &gap)]);
    assert_eq!(outcome, merged(sidebars(&more, &gap)));
    let base = sidebars(&texts(&[("1", "a"), ("3", "b")]), &few);
    let [source, target] = [("s", "b"), ("a", "t")].map(|(a, b)| sidebars(&texts(&[("1", a), ("3", b)]), &few));
    assert_eq!(option("sidebars_widgets", [&base, &source, &target]), conflict(&[&["sidebar-1"]]));
    assert!(matches!(option("x", [&base, &source, &target]), Outcome::Merged(_)));
}

#[test]
fn json_is_merged_by_key_and_its_numbers_stay_as_they_are_written() {
    let outcome = merge_in(
        "posts",
        "post_content",
        "",
        [
            r#"{"version": 3, "n":1.50, "settings":[], "list":[1, 2], "é\/":1e2}"#,
            r#"{"version": 3, "n":1.50, "settings":{"a": 12345678901234567890123}, "list":[1, 2], "é\/":1e2}"#,
            r#"{"version": 3, "n":1.50, "settings":{"b":0.10}, "list":[1, 3], "é\/":1e2}"#,
        ],
    );
    let expected =
        r#"{"version":3,"n":1.50,"settings":{"b":0.10,"a":12345678901234567890123},"list":[1, 3],"é\/":1e2}"#;
    assert_eq!(outcome, merged(expected));
    for text in [r#"{"a":1,"a":2}"#, r#"{"a":01}"#, r#"{"a":1"#, r#"{"a":1x}"#] {
        assert_eq!(option("x", [text, &format!("{text} "), &format!(" {text}")]), conflict(&[&[]]), "{text}");
    }
}

#[test]
fn what_is_no_structure_is_taken_as_a_whole() {
    assert_eq!(option("blogname", ["Site", "SITE", "Site"]), merged("SITE"));
    assert_eq!(option("blogname", ["Site", "Site", "Own"]), merged("Own"));
    assert_eq!(option("blogname", ["Site", "New", "New"]), merged("New"));
    assert_eq!(option("blogname", ["Site", "New", "Own"]), conflict(&[&[]]));
    assert_eq!(option("x", ["a:1:{", "a:1:{x", "a:1:{y"]), conflict(&[&[]]));
    assert_eq!(option("x", ["a:0:{}", r#"{"a":1}"#, r#"{"b":1}"#]), conflict(&[&[]]));
}

#[test]
fn what_both_made_is_merged_where_it_does_not_stand_against_each_other() {
    let sides = |source: &str, target: &str| {
        let (source, target) = (texts(&[("a", source)]), texts(&[("a", target), ("b", "1")]));
        let sides = Sides { base: None, source: source.as_bytes(), target: target.as_bytes() };
        merge(How::ByKey { levels: usize::MAX }, sides, Ways::PLAIN)
    };
    assert_eq!(sides("1", "1"), merged(texts(&[("a", "1"), ("b", "1")])));
    assert_eq!(sides("1", "2"), conflict(&[&["a"]]));
}

#[test]
fn a_counter_counts_what_both_added() {
    for (table, column, key) in [
        ("options", "option_value", "user_count"),
        ("sitemeta", "meta_value", "user_count"),
        ("posts", "comment_count", ""),
        ("term_taxonomy", "count", ""),
    ] {
        assert_eq!(merge_in(table, column, key, ["1", "2", "2"]), merged("3"), "{table}");
        assert_eq!(merge_in(table, column, key, ["5", "4", "7"]), merged("6"), "{table}");
        assert_eq!(merge_in(table, column, key, ["5", "5", "7"]), merged("7"), "{table}");
        assert_eq!(merge_in(table, column, key, ["5", "2", "1"]), merged("0"), "{table}");
        assert_eq!(merge_in(table, column, key, ["x", "2", "1"]), conflict(&[&[]]), "{table}");
    }
    let both_made = |source: &str, target: &str| {
        merge(How::Counter, Sides { base: None, source: source.as_bytes(), target: target.as_bytes() }, Ways::PLAIN)
    };
    assert_eq!(both_made("2", "2"), merged("2"));
    assert_eq!(both_made("2", "3"), conflict(&[&[]]));
}

#[test]
fn the_later_time_stays() {
    let (early, middle, late) = ("0000-00-00 00:00:00", "2026-11-27 09:00:00", "2026-11-27 10:00:00");
    for column in ["post_modified", "post_modified_gmt"] {
        assert_eq!(merge_in("posts", column, "", [early, late, middle]), merged(late));
        assert_eq!(merge_in("posts", column, "", [early, middle, late]), merged(late));
        assert_eq!(merge_in("posts", column, "", [middle, early, middle]), merged(middle));
    }
    assert_eq!(merge_how(How::Later, "1", "10", "9"), merged("10"));
}

#[test]
fn what_is_the_targets_own_stays() {
    for (table, column, key) in [
        ("postmeta", "meta_value", "_edit_lock"),
        ("postmeta", "meta_value", "_edit_last"),
        ("usermeta", "meta_value", "session_tokens"),
    ] {
        assert_eq!(merge_in(table, column, key, ["1", "2", "1"]), merged("1"), "{table} {key}");
    }
}

#[test]
fn what_page_views_write_stays_as_it_is_in_the_target() {
    for (table, column, key) in [
        ("options", "option_value", "_transient_x"),
        ("options", "option_value", "recovery_keys"),
        ("options", "option_value", "x.lock"),
        ("usermeta", "meta_value", "wp_user-settings"),
        ("actionscheduler_actions", "status", ""),
        ("woocommerce_sessions", "session_value", ""),
    ] {
        assert_eq!(merge_in(table, column, key, ["1", "2", "1"]), merged("1"), "{table} {key}");
    }
}

#[test]
fn what_wordpress_makes_again_is_dropped_where_the_source_changed_it() {
    for name in [
        "rewrite_rules",
        "category_children",
        "product_cat_children",
        "_site_transient_wp_theme_files_patterns-0123456789abcdef",
    ] {
        assert_eq!(option(name, ["1", "2", "1"]), Outcome::Remade, "{name}");
        assert_eq!(option(name, ["1", "2", "3"]), Outcome::Remade, "{name}");
        assert_eq!(option(name, ["1", "1", "3"]), merged("3"), "{name}");
        assert_eq!(option(name, ["1", "2", "2"]), merged("2"), "{name}");
    }
}

#[test]
fn what_is_made_from_other_things_is_the_sources_only_where_the_target_made_nothing() {
    assert_eq!(merge_how(How::Derived, "1", "2", "1"), merged("2"));
    assert_eq!(merge_how(How::Derived, "1", "2", "3"), merged("3"));
}

#[test]
fn a_side_that_is_preferred_wins_only_where_both_changed_the_same() {
    let base = texts(&[("a", "1"), ("b", "2"), ("c", "3")]);
    let source = texts(&[("a", "s"), ("b", "s"), ("c", "3")]);
    let target = texts(&[("a", "t"), ("b", "2"), ("c", "t")]);
    let of = |prefer| {
        let sides = Sides { base: Some(base.as_bytes()), source: source.as_bytes(), target: target.as_bytes() };
        merge(How::ByKey { levels: usize::MAX }, sides, Ways { prefer: Some(prefer), ..Ways::PLAIN })
    };
    assert_eq!(of(Side::Theirs), merged(texts(&[("a", "s"), ("b", "s"), ("c", "t")])));
    assert_eq!(of(Side::Ours), merged(texts(&[("a", "t"), ("b", "s"), ("c", "t")])));
    let whole = Sides { base: Some(&b"a"[..]), source: b"s", target: b"t" };
    assert_eq!(merge(How::Set, whole, Ways { prefer: Some(Side::Theirs), ..Ways::PLAIN }), merged("s"));
    let [once, weekly] = ["once", "weekly"].map(|often| cron(&[("1", "h", "x", often)]));
    let more = cron(&[("1", "h", "x", "daily"), ("2", "own", "x", "daily")]);
    let events = Sides { base: Some(once.as_bytes()), source: weekly.as_bytes(), target: more.as_bytes() };
    let theirs = cron(&[("1", "h", "x", "weekly"), ("2", "own", "x", "daily")]);
    let of = |prefer| merge(How::Cron, events, Ways { prefer: Some(prefer), ..Ways::PLAIN });
    assert_eq!(of(Side::Theirs), merged(theirs));
    assert_eq!(of(Side::Ours), merged(more.clone()));
}

#[test]
fn what_counts_as_the_same_inside_of_a_structure_is_no_change() {
    let base = texts(&[("a", "http://x/"), ("b", "2")]);
    let source = texts(&[("a", "http://s/"), ("b", "s")]);
    let target = texts(&[("a", "http://t/"), ("b", "2"), ("c", "t")]);
    let is_same = |one: &[u8], other: &[u8]| {
        one == other || one.starts_with(b"s:9:\"http://") && other.starts_with(b"s:9:\"http://")
    };
    let sides = Sides { base: Some(base.as_bytes()), source: source.as_bytes(), target: target.as_bytes() };
    let found = merge(How::ByKey { levels: usize::MAX }, sides, Ways { prefer: None, is_same: &is_same });
    assert_eq!(found, merged(texts(&[("a", "http://t/"), ("b", "s"), ("c", "t")])));
}

#[test]
fn a_plugins_sets_come_before_wordpresss_rules() {
    let declared: Declared = serde_json::from_str(r#"{"sets": {"options": ["*_list"]}}"#).unwrap();
    let mut rules = Rules::wordpress();
    rules.with_plugins(vec![declared]);
    let how = |key: &str| rules.how(&ValuePlace { table: "options", column: "Option_Value", key: key.as_bytes() });
    assert_eq!(how("a_list"), How::Set);
    assert_eq!(how("list"), How::ByKey { levels: usize::MAX });
    assert_eq!(how("cron"), How::Cron);
}

#[test]
fn edits_of_different_keys_all_arrive() {
    type Groups = BTreeMap<String, BTreeMap<String, String>>;
    let written = |groups: &Groups| {
        let inner = |group: &BTreeMap<String, String>| {
            texts(&group.iter().map(|(name, value)| (&name[..], &value[..])).collect::<Vec<_>>())
        };
        map(&groups.iter().map(|(name, group)| (&name[..], inner(group))).collect::<Vec<_>>())
    };
    let mut random = Random::new();
    for round in 0..2000 {
        let mut base: Groups =
            (0..3).map(|number| (format!("g{number}"), [("keep".to_owned(), "1".to_owned())].into())).collect();
        let mut edits = Vec::new();
        for (group, members) in &mut base {
            for number in 0..random.below(9) {
                let name = format!("k{number}");
                let value = ["", "1", "é\"};", "a:0:{}"][random.below(4)];
                if random.below(2) == 0 {
                    members.insert(name.clone(), value.to_owned());
                }
                let edited = (random.below(3) > 0).then(|| format!("new {}", random.below(1_000_000)));
                edits.push((random.below(3), group.clone(), name, edited));
            }
        }
        let with = |sides: &[usize]| {
            let mut groups = base.clone();
            for (side, group, name, edited) in &edits {
                if sides.contains(side) {
                    let members = groups.get_mut(group).unwrap();
                    match edited {
                        Some(value) => drop(members.insert(name.clone(), value.clone())),
                        None => drop(members.remove(name)),
                    }
                }
            }
            groups
        };
        let outcome = option("x", [&written(&base), &written(&with(&[0])), &written(&with(&[1]))]);
        let Outcome::Merged(bytes) = outcome else { panic!("{round}: {outcome:?}") };
        let text = |value: &Value<'_>| match &value.shape {
            Shape::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
            shape => panic!("{shape:?}"),
        };
        let name = |member: &Member<'_>| String::from_utf8(member.name.to_vec()).unwrap();
        let (_, value) = format::read(&bytes).unwrap();
        let groups: Groups = value
            .members()
            .unwrap()
            .iter()
            .map(|group| {
                let members = group.value.members().unwrap();
                (name(group), members.iter().map(|member| (name(member), text(&member.value))).collect())
            })
            .collect();
        assert_eq!(groups, with(&[0, 1]), "{round}");
    }
}

#[test]
fn any_three_values_come_to_an_end_and_what_one_side_changed_is_taken() {
    let mut random = Random::new();
    let parts = ["a:1:{", "}", "s:1:\"a\";", "i:1;", "{\"a\":", "[", "]", "1", ",", "a:0:{}", "s:9:\"", "\";"];
    let mut value = || (0..random.below(6)).map(|_| parts[random.below(parts.len())]).collect::<String>();
    for _ in 0..20_000 {
        let (base, other, third) = (value(), value(), value());
        for how in [How::Set, How::ByKey { levels: usize::MAX }] {
            assert_eq!(merge_how(how, &base, &other, &base), merged(&other));
            assert_eq!(merge_how(how, &base, &base, &other), merged(&other));
        }
        for how in [How::Set, How::Cron, How::Counter, How::ByKey { levels: 1 }] {
            let _ = merge_how(how, &base, &other, &third);
        }
    }
}

#[test]
fn nesting_without_end_is_survived() {
    let deep = |middle: &str| "a:1:{i:1;".repeat(50_000) + middle + &"}".repeat(50_000);
    assert_eq!(option("x", [&deep("N;"), &deep("i:1;"), &deep("i:2;")]), conflict(&[&[]]));
    let texts = |middle: &str| (0..200).fold(middle.to_owned(), |inner, _| map(&[("a", text(&inner))]));
    assert!(matches!(option("x", [&texts("1"), &texts("2"), &texts("3")]), Outcome::Conflict(_)));
}
