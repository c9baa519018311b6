//! Finds out which tables of a dump are a WordPress's.

use std::collections::BTreeSet;

/// The prefixes of tables of a WordPress, and the one of them that is the site's.
pub(super) fn find(tables: &[&str], wanted: Option<&str>) -> (Vec<String>, Option<String>) {
    let names: BTreeSet<_> = tables.iter().map(|name| name.to_lowercase()).collect();
    let has = |prefix: &str, table: &str| names.contains(&format!("{prefix}{table}").to_lowercase());
    let is_prefix = |prefix: &str| {
        has(prefix, "options") && ["users", "usermeta", "posts"].into_iter().any(|table| has(prefix, table))
    };
    let mut found: Vec<_> = tables
        .iter()
        .filter(|name| name.to_lowercase().ends_with("options"))
        .map(|name| &name[..name.len() - "options".len()])
        .filter(|prefix| is_prefix(prefix))
        .collect();
    found.sort_unstable();
    let is_of_network = |prefix: &str, others: &[&str]| {
        others.iter().any(|other| {
            let number = prefix.strip_prefix(other).and_then(|rest| rest.strip_suffix('_'));
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        })
    };
    let all = found.clone();
    found.retain(|prefix| !is_of_network(prefix, &all));
    let wanted = wanted.and_then(|wanted| found.iter().find(|prefix| prefix.eq_ignore_ascii_case(wanted)));
    // That of most tables, and of these the first.
    let count = |prefix: &&&str| tables.iter().filter(|table| table.starts_with(**prefix)).count();
    let chosen = wanted.or_else(|| found.iter().rev().max_by_key(count)).map(|prefix| (*prefix).to_owned());
    (found.into_iter().map(str::to_owned).collect(), chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_that_of_the_tables_of_a_wordpress() {
        let none = (vec![], None);
        assert_eq!(find(&["orders", "options", "x_options"], None), none);
        assert_eq!(find(&["options", "posts"], None), (vec![String::new()], Some(String::new())));
        let network = ["wp_options", "wp_posts", "wp_users", "wp_2_options", "wp_2_posts", "other"];
        assert_eq!(find(&network, None), (vec!["wp_".to_owned()], Some("wp_".to_owned())));
        let two = ["a_options", "a_users", "wp_options", "wp_posts", "wp_users", "b_2_options", "b_2_posts"];
        let all = vec!["a_".to_owned(), "b_2_".to_owned(), "wp_".to_owned()];
        assert_eq!(find(&two, None), (all.clone(), Some("wp_".to_owned())));
        assert_eq!(find(&two, Some("a_")), (all.clone(), Some("a_".to_owned())));
        assert_eq!(find(&two, Some("none_")), (all, Some("wp_".to_owned())));
    }
}
