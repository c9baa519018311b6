//! All branches: as a tree over time, and as a list.

use std::cmp::Reverse;

use forkpress_core::name::BranchName;
use maud::{Markup, html};

use super::frame::{self, Visitor};
use super::pages::Pages;
use super::text::{at_second, many, moment, said, size};
use crate::address::Address;
use crate::facts::{BranchFacts, Changes, Compared, Digest, Happened, Overview};
use crate::form::Fields;
use crate::live::Fragment;
use crate::tree;

/// How many branches a page has.
const ROWS: usize = 40;

/// How many kinds of objects a row names.
const KINDS: usize = 4;

/// The orders of the list: the word for it in a query, and what it is called.
const ORDERS: [(&str, &str); 3] = [("name", "Name"), ("age", "Newest first"), ("change", "Last change first")];

/// The part of the branches that is asked for.
#[derive(Debug)]
pub struct Shown {
    /// The branches of it.
    pub names: Vec<BranchName>,
    /// The regions of the page.
    pub regions: Vec<Fragment>,
    query: String,
    order: &'static str,
    all: usize,
}

impl Shown {
    /// By a query: `q` is a part of names, `sort` an order, `page` a number.
    #[must_use]
    pub fn of(overview: &Overview, query: &Fields, at: &Address) -> Self {
        let asked = query.get("q").unwrap_or_default().to_ascii_lowercase();
        let order =
            ORDERS.iter().find(|(word, _)| query.get("sort") == Some(word)).map_or(ORDERS[0].0, |(word, _)| word);
        let mut found: Vec<&BranchFacts> =
            overview.branches.iter().filter(|branch| branch.name.as_str().contains(&asked)).collect();
        match order {
            "age" => found.sort_by_key(|branch| Reverse(branch.at)),
            "change" => {
                found.sort_by_cached_key(|branch| {
                    Reverse(overview.last(&branch.name).map_or(branch.at, |last| last.at))
                });
            }
            _ => {}
        }
        let pages = Pages::of(found.len(), ROWS, query);
        let rows = &found[pages.range()];
        let names: Vec<_> = rows.iter().map(|branch| branch.name.clone()).collect();
        let regions = vec![
            Fragment::new("tree", drawing(overview, &names)),
            Fragment::new(
                "branches",
                html! {
                    @if rows.is_empty() {
                        p.note { "No branch has " (said(&asked)) " in its name. " a href="/" { "Show all" } }
                    } @else {
                        (table(overview, rows, found.len(), at))
                        (pages.links("/", query))
                    }
                    @if overview.branches.len() == 1 && asked.is_empty() { (what_next()) }
                },
            ),
        ];
        Self {
            names,
            regions,
            query: query.get("q").unwrap_or_default().to_owned(),
            order,
            all: overview.branches.len(),
        }
    }
}

/// The page.
pub fn page(shown: Shown, visitor: &Visitor) -> Markup {
    let mut regions = shown.regions.into_iter();
    let mut region = || regions.next().map(Fragment::in_page);
    frame::page(
        "Branches",
        "/",
        Some(visitor),
        html! {
            ul.actions {
                li { a.button.primary href="/do/create" { "New branch" } }
                li { a href="/do/create-many" { "Several at once" } }
                li { a href="/do/import" { "Import a site" } }
                li { a href="/do/gc" { "Free space" } }
            }
            @if shown.all > 1 {
                form.filter role="search" method="get" action="/" {
                    div.field {
                        label for="q" { "Part of a name" }
                        input #q name="q" type="search" value=(shown.query) maxlength="63" autocapitalize="none" autocomplete="off" spellcheck="false";
                    }
                    div.field {
                        label for="sort" { "Order" }
                        select #sort name="sort" {
                            @for (word, name) in ORDERS { option value=(word) selected[word == shown.order] { (name) } }
                        }
                    }
                    button.button { "Show" }
                }
            }
            @if let Some(tree) = region() { (tree) }
            @if let Some(list) = region() { (list) }
            (frame::command("branch list"))
        },
    )
}

fn what_next() -> Markup {
    html! {
        div.note {
            p { strong { "This is your site. It has one branch, and nothing else yet." } }
            p { "A branch is a whole copy of the site, with its files and its database, at an address of its own. Nothing that is done there reaches the site." }
            ol {
                li { a href="/do/create" { "Make a branch" } ", such as " code { "try" } ": it takes a moment and hardly any space." }
                li { "Open it, and change what you like: pages, plugins, themes." }
                li { "Come back here to see what it changed. Merge that into " code { "main" } ", or delete the branch." }
            }
            p { "Each of these can be undone." }
            (frame::command("branch create try"))
        }
    }
}

fn drawing(overview: &Overview, names: &[BranchName]) -> Markup {
    let names: Vec<&BranchName> = names.iter().collect();
    let drawing = tree::lay_out(&overview.branches, &names, &overview.operations);
    html! {
        @if drawing.lanes.len() > 1 {
            div.scroll.drawing tabindex="0" role="group" aria-label="The branches over time" { (tree::draw(&drawing)) }
            ul.legend aria-hidden="true" {
                @for (sign, what) in [("●", "made"), ("◆", "merged into"), ("■", "reset"), ("○", "undone something"), ("×", "deleted")] {
                    li { (sign) " " (what) }
                }
            }
        }
    }
}

fn table(overview: &Overview, rows: &[&BranchFacts], found: usize, at: &Address) -> Markup {
    html! {
        table.rows {
            caption { (many(found as u64, "branch")) }
            thead {
                tr {
                    th scope="col" { "Branch" }
                    th scope="col" { "From" }
                    th scope="col" { "Changed" }
                    th.number scope="col" { "Holds alone" }
                    th scope="col" { "Last operation" }
                    th scope="col" { "State" }
                }
            }
            tbody { @for branch in rows { (row(branch, overview.last(&branch.name), at)) } }
        }
    }
}

fn row(branch: &BranchFacts, last: Option<&Happened>, at: &Address) -> Markup {
    let BranchFacts { name, from, digest, problem, .. } = branch;
    html! {
        tr {
            th scope="row" {
                a href={ "/branch/" (name) } { (name) }
                div.quiet { a href=(at.branch(name)) { (address(at, name)) } }
            }
            td data-name="From" {
                @if let Some(from) = from { (from) } @else { "the beginning" }
                div.quiet { (moment(&at_second(branch.at))) }
            }
            td data-name="Changed" {
                @match digest {
                    None => (unknown()),
                    Some(Digest { changes: Compared::Origin, .. }) => span.quiet { "–" },
                    Some(Digest { changes: Compared::Failed(why), .. }) => { span.doubt { "not known: " (said(why)) } },
                    Some(Digest { changes: Compared::Changed(changes), .. }) => a href={ "/branch/" (name) "/changes" } { (in_words(changes)) },
                }
            }
            td.number data-name="Holds alone" {
                @match digest {
                    None => (unknown()),
                    Some(Digest { exclusive_bytes: Some(bytes), .. }) => (size(*bytes)),
                    Some(Digest { exclusive_bytes: None, .. }) => span.quiet { "–" },
                }
            }
            td data-name="Last operation" {
                @if let Some(last) = last {
                    (said(&last.words))
                    div.quiet { (moment(&at_second(last.at))) }
                } @else { span.quiet { "–" } }
            }
            td data-name="State" {
                @if let Some(problem) = problem { span.bad { (said(problem)) } " " }
                @match branch.is_warm {
                    Some(true) => { span.tag.good { "warm" } " " }
                    Some(false) => { span.tag { "cold" } " " }
                    None => {}
                }
                @match branch.errors {
                    None | Some(0) => {}
                    Some(errors) => { a.tag.bad href={ "/branch/" (name) "#errors" } { (many(errors, "error")) } " " }
                }
                @for job in &branch.jobs { a.tag.doubt href={ "/jobs/" (job) } { "job " (job) " runs" } " " }
            }
        }
    }
}

fn unknown() -> Markup {
    html! { span.quiet aria-label="not known yet" role="img" { "…" } }
}

/// The address of a branch, without what is the same for all.
fn address(at: &Address, name: &BranchName) -> String {
    let url = at.branch(name);
    let url = url.split_once("://").map_or(&*url, |(_, rest)| rest);
    url.trim_end_matches('/').to_owned()
}

/// How much a branch changed, in short.
fn in_words(changes: &Changes) -> String {
    let Changes { files, objects, tables, rows } = changes;
    let mut parts = Vec::new();
    if *files > 0 {
        parts.push(many(*files, "file"));
    }
    parts.extend(objects.iter().take(KINDS).map(|(kind, count)| many(*count, kind)));
    let more: u64 = objects.iter().skip(KINDS).map(|(_, count)| count).sum();
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    if *tables > 0 {
        let rows = if *rows > 0 { format!("{} in ", many(*rows, "row")) } else { String::new() };
        parts.push(format!("{rows}{}", many(*tables, "table")));
    }
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Operation;
    use crate::facts::samples::{branch, happened};

    fn at() -> Address {
        Address::of("http", "admin.wp.localhost:18080", "wp.localhost")
    }

    fn shown(overview: &Overview, query: &Fields) -> Shown {
        Shown::of(overview, query, &at())
    }

    fn visitor() -> Visitor {
        Visitor { token: "t".to_owned(), is_signed_in: false }
    }

    fn many_branches(count: u64) -> Overview {
        let branches = std::iter::once(branch("main", None, 1))
            .chain((1..count).map(|n| {
                let mut one = branch(&format!("{n:0>63}"), Some("main"), 1_700_000_000 + n);
                let objects = ["page", "post", "option", "user"].map(|kind| (kind.to_owned(), 1234)).into();
                let changes = Changes { files: 1234, objects, tables: 12, rows: 123_456 };
                one.digest = Some(Digest { changes: Compared::Changed(changes), exclusive_bytes: Some(1 << 30) });
                (one.errors, one.jobs) = (Some(12), vec!["7".to_owned()]);
                one
            }))
            .collect();
        let operations = (1..=200)
            .rev()
            .map(|n| happened(n, Operation::Merge, "main", Some(&format!("{:0>63}", n % (count - 1) + 1))))
            .collect();
        Overview { branches, operations }
    }

    #[test]
    fn a_page_has_forty_branches_and_less_than_a_hundred_kilobytes_however_long_their_names() {
        let overview = many_branches(200);
        let page = page(shown(&overview, &[].into()), &visitor()).into_string();
        assert_eq!(page.matches("<tr><th scope=\"row\">").count(), 40);
        assert!(page.len() < 100_000, "{}", page.len());
        assert!(page.contains("1–40 of 200") && page.contains("href=\"/?page=2\""));
        assert!(!page.contains("style=") && !page.contains("onclick"));
    }

    #[test]
    fn branches_are_found_by_a_part_of_their_names_and_put_in_order() {
        let mut overview = Overview {
            branches: vec![branch("main", None, 1), branch("old", Some("main"), 10), branch("sale", Some("main"), 20)],
            operations: vec![happened(100, Operation::Reset, "old", Some("main"))],
        };
        let names = |query: &Fields| shown(&overview, query).names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names(&[].into()), ["main", "old", "sale"]);
        assert_eq!(names(&[("q", "AL")].into()), ["sale"]);
        assert_eq!(names(&[("sort", "age")].into()), ["sale", "old", "main"]);
        assert_eq!(names(&[("sort", "change")].into()), ["old", "sale", "main"]);
        assert_eq!(names(&[("sort", "<x>")].into()), ["main", "old", "sale"]);
        assert!(names(&[("q", "no such")].into()).is_empty());
        let found = page(shown(&overview, &[("q", "\"><script>")].into()), &visitor()).into_string();
        assert!(!found.contains("<script>") && found.contains("value=\"&quot;&gt;&lt;script&gt;\""), "{found}");
        overview.branches.truncate(1);
        let one = page(shown(&overview, &[].into()), &visitor()).into_string();
        assert!(one.contains("nothing else yet") && one.contains("forkpress branch create try"), "{one}");
        assert!(!one.contains("<svg class=\"tree\"") && !one.contains("role=\"search\""), "{one}");
    }

    #[test]
    fn a_row_tells_what_is_known_and_what_is_not() {
        let overview = |change: &dyn Fn(&mut BranchFacts)| {
            let mut one = branch("x", Some("main"), 5);
            change(&mut one);
            let mut last = happened(1, Operation::Create, "x", Some("main"));
            last.words.push_str(" <u>");
            let overview = Overview { branches: vec![one], operations: vec![last] };
            shown(&overview, &[].into()).regions.remove(1).html
        };
        let html = overview(&|one| one.digest = None);
        assert_eq!(html.matches('…').count(), 2, "{html}");
        assert!(
            html.contains("href=\"http://x.wp.localhost:18080/\"") && html.contains(">x.wp.localhost:18080<"),
            "{html}"
        );
        assert!(!html.contains("<u>"), "{html}");
        assert!(html.contains("create x") && html.contains("warm") && html.contains("href=\"/branch/x\""), "{html}");
        let html = overview(&|one| {
            let failed = Compared::Failed("<b>busy".to_owned());
            one.digest = Some(Digest { changes: failed, exclusive_bytes: None });
            (one.errors, one.is_warm, one.jobs) = (Some(2), Some(false), vec!["7".to_owned()]);
            one.problem = Some("no <i>record".to_owned());
        });
        for part in ["not known: <bdi>&lt;b&gt;busy", "2 errors", "cold", "/jobs/7", "no &lt;i&gt;record"] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }

    #[test]
    fn changes_are_a_few_words() {
        assert_eq!(in_words(&Changes::default()), "nothing");
        let kinds = ["page", "category", "option", "user", "link", "comment"];
        let objects = kinds.map(|kind| (kind.to_owned(), 2)).into();
        let changes = Changes { files: 1, objects, tables: 2, rows: 5 };
        assert_eq!(in_words(&changes), "1 file, 2 pages, 2 categories, 2 options, 2 users, 4 more, 5 rows in 2 tables");
    }
}
