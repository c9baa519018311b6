//! Random edits of two sides that have nothing to do with each other: what is merged is what both did.

use crate::merge::value::tests::Random;

use super::*;

/// What is compared: all but the numbers that mean nothing, what counts other rows, and how lists are ordered.
const STATE: [&str; 7] = [
    "SELECT ID, post_title, post_content, post_status, post_name, post_modified FROM wp_posts ORDER BY ID",
    "SELECT post_id, meta_key, meta_value FROM wp_postmeta ORDER BY 1, 2, 3",
    "SELECT comment_ID, comment_post_ID, comment_content FROM wp_comments ORDER BY 1",
    "SELECT * FROM wp_terms ORDER BY 1",
    "SELECT object_id, term_taxonomy_id FROM wp_term_relationships ORDER BY 1, 2",
    "SELECT option_name, option_value, autoload FROM wp_options ORDER BY 1",
    "SELECT user_id, meta_key, meta_value FROM wp_usermeta ORDER BY 1, 2, 3",
];

/// The posts that a site begins with, and the terms.
const FIRST: i64 = 10;
const POSTS: i64 = 20;

fn base() -> String {
    let mut statements = String::new();
    for id in FIRST..FIRST + POSTS {
        statements += &format!(
            "INSERT INTO wp_posts (ID, post_title, post_content, post_excerpt, to_ping, pinged, post_content_filtered, post_name, post_modified)
                VALUES ({id}, 'title', 'content', '', '', '', '', 'post-{id}', '2026-01-01 00:00:00');
             INSERT INTO wp_postmeta (post_id, meta_key, meta_value) VALUES ({id}, 'one', '1'), ({id}, 'many', 'a'), ({id}, 'many', 'b');
             INSERT INTO wp_comments (comment_ID, comment_post_ID, comment_author, comment_content) VALUES ({id}, {id}, '', 'first');
             INSERT INTO wp_terms VALUES ({id}, 't{id}', 't{id}', 0);
             INSERT INTO wp_term_taxonomy VALUES ({id}, {id}, 'post_tag', '', 0, 0);
             INSERT INTO wp_term_relationships VALUES ({id}, {id}, 0);
             INSERT INTO wp_options (option_name, option_value) VALUES ('o{id}', '1');"
        );
    }
    statements
}

/// Edits of one side: of every second post and option, and new ones beginning at a number.
fn edits(random: &mut Random, side: i64, first: i64) -> String {
    let mut below = |end: i64| i64::try_from(random.below(usize::try_from(end).unwrap())).unwrap();
    let mut statements = String::new();
    let mut next = first;
    for _ in 0..12 {
        let id = FIRST + 2 * below(POSTS / 2) + side;
        let value = below(1000);
        next += 1;
        statements += &match below(14) {
            0 => format!("UPDATE wp_posts SET post_title = 'Title {value}', post_modified = '2026-02-{:02} 00:00:00' WHERE ID = {id};", 1 + value % 28),
            1 => format!("UPDATE wp_posts SET post_content = '{value}' WHERE ID = {id};"),
            2 => format!("UPDATE wp_posts SET post_title = 'TITLE' WHERE ID = {id};"),
            3 => format!(
                "DELETE FROM wp_posts WHERE ID = {id}; DELETE FROM wp_postmeta WHERE post_id = {id}; DELETE FROM wp_comments WHERE comment_post_ID = {id}; DELETE FROM wp_term_relationships WHERE object_id = {id};"
            ),
            4 => format!(
                "INSERT INTO wp_posts (ID, post_title, post_content, post_excerpt, to_ping, pinged, post_content_filtered, post_name)
                    VALUES ({next}, '{value}', '', '', '', '', '', 'new-{next}');
                 INSERT INTO wp_postmeta (post_id, meta_key, meta_value) VALUES ({next}, 'one', '{value}');
                 INSERT INTO wp_term_relationships VALUES ({next}, {id}, 0);"
            ),
            5 => format!("UPDATE wp_postmeta SET meta_value = '{value}' WHERE post_id = {id} AND meta_key = 'one';"),
            6 => format!("INSERT INTO wp_postmeta (post_id, meta_key, meta_value) VALUES ({id}, 'many', '{value}');"),
            7 => format!("DELETE FROM wp_postmeta WHERE post_id = {id} AND meta_key = 'many' AND meta_value = 'a';"),
            8 => format!(
                "DELETE FROM wp_postmeta WHERE post_id = {id} AND meta_key = 'one'; INSERT INTO wp_postmeta (post_id, meta_key, meta_value) VALUES ({id}, 'one', '{value}');"
            ),
            9 => format!("INSERT INTO wp_comments (comment_ID, comment_post_ID, comment_author, comment_content) VALUES ({next}, {id}, '', '{value}');"),
            10 => format!("UPDATE wp_options SET option_value = '{value}' WHERE option_name = 'o{id}';"),
            11 => format!("DELETE FROM wp_options WHERE option_name = 'o{id}'; INSERT INTO wp_options (option_name, option_value) VALUES ('n{next}', '{value}');"),
            12 => format!("UPDATE wp_terms SET name = '{value}' WHERE term_id = {id};"),
            _ => format!("INSERT INTO wp_usermeta (user_id, meta_key, meta_value) VALUES (1, 'k{next}', '{value}');"),
        };
    }
    statements
}

#[test]
fn edits_that_have_nothing_to_do_with_each_other_are_both_there() {
    let mut random = Random::new();
    let base = base();
    for _ in 0..60 {
        let (source, target) = (edits(&mut random, 0, 100_000), edits(&mut random, 1, 1000));
        let merged = Case::from(&base, &source, &target).merged();
        let both = Case::from(&format!("{base}{target}{source}"), "", "").merged();
        for query in STATE {
            assert_eq!(told(&merged, query), told(&both, query), "{query}\nsource: {source}\ntarget: {target}");
        }
        // Nothing is left to be done.
        let alone = Case::from(&base, &source, &source);
        assert!(alone.plan().is_empty(), "{source}");
        assert!(Case::from(&base, "", &source).plan().is_empty());
    }
}
