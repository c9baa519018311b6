//! The operations.

use std::time::Duration;

use maud::{Markup, html};

use super::frame::{self, Visitor};
use super::pages::Pages;
use super::text::{at_second, moment, said};
use crate::facts::{Happened, Undo};
use crate::form::Fields;
use crate::live::Fragment;

/// How many a page has.
const ROWS: usize = 50;

/// The log.
pub fn page(operations: &[Happened], query: &Fields, visitor: &Visitor) -> Markup {
    frame::page(
        "Log",
        "/log",
        Some(visitor),
        html! {
            p { "What was done to the branches, newest first. What an operation took away is kept for a while, so it can be undone." }
            (region(operations, query).in_page())
            (frame::command("log"))
        },
    )
}

/// The list of it.
pub fn region(operations: &[Happened], query: &Fields) -> Fragment {
    let pages = Pages::of(operations.len(), ROWS, query);
    Fragment::new(
        "log",
        html! {
            @if operations.is_empty() {
                p.note { "Nothing was done yet." }
            } @else {
                table.rows {
                    caption { "Operations" }
                    thead { tr { th scope="col" { "Number" } th scope="col" { "What" } th scope="col" { "When" } th scope="col" { "Took" } th scope="col" { "By" } th scope="col" { "Undo" } } }
                    tbody { @for one in &operations[pages.range()] { (row(one)) } }
                }
                (pages.links("/log", query))
            }
        },
    )
}

fn row(one: &Happened) -> Markup {
    html! {
        tr #{ "operation-" (one.id) } {
            th scope="row" { (one.id) }
            td data-name="What" { (said(&one.words)) }
            td data-name="When" { (moment(&at_second(one.at))) }
            td data-name="Took" {
                (duration(one.took, "died, finished later"))
                br;
                span.quiet { "exclusive " (duration(one.held, "unknown")) }
            }
            td data-name="By" { (said(&one.user)) br; span.quiet { (said(&one.program)) ", process " (one.pid) } }
            td data-name="Undo" { (undo(one.id, one.undo())) }
        }
    }
}

/// Whether an operation was undone, and if not, what undoes it.
fn undo(id: u64, undo: Undo) -> Markup {
    match undo {
        Undo::WasBy(by) => html! { span.quiet { "undone by " a href={ "/log#operation-" (by) } { (by) } } },
        Undo::Can => html! { a href={ "/do/undo?id=" (id) } aria-label={ "Undo operation " (id) } { "Undo…" } },
        Undo::Lost => html! { span.quiet { "can’t be undone: not kept any more" } },
    }
}

/// A short table of operations.
pub fn table(operations: &[Happened], caption: &str) -> Markup {
    html! {
        @if operations.is_empty() {
            p.quiet { "There is no operation yet." }
        } @else {
            table.rows {
                caption.hidden { (caption) }
                thead { tr { th scope="col" { "Operation" } th scope="col" { "When" } th scope="col" { "Who" } th scope="col" { "Undo" } } }
                tbody {
                    @for done in operations {
                        tr {
                            th scope="row" { (done.id) ": " (said(&done.words)) }
                            td data-name="When" { (moment(&at_second(done.at))) }
                            td data-name="Who" { (said(&done.user)) }
                            td data-name="Undo" { (undo(done.id, done.undo())) }
                        }
                    }
                }
            }
        }
    }
}

fn duration(duration: Option<Duration>, unknown: &str) -> String {
    duration.map_or(unknown.to_owned(), |duration| match duration.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1000.0),
        seconds => format!("{seconds:.1} s"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Operation;
    use crate::facts::samples::happened;

    #[test]
    fn what_can_be_undone_has_a_link_and_what_was_says_by_which() {
        let mut undone = happened(1, Operation::Create, "a", Some("main"));
        undone.undone_by = Some(3);
        let mut lost = happened(2, Operation::Reset, "a", Some("main"));
        (lost.can_be_undone, lost.user) = (false, "<b>\u{202e}".to_owned());
        (lost.words, lost.program) = ("reset <b>".to_owned(), "<b>".to_owned());
        let short = table(std::slice::from_ref(&lost), "Operations").into_string();
        assert!(short.contains("2: <bdi>reset &lt;b&gt;") && !short.contains("<b>"), "{short}");
        let html = region(&[happened(4, Operation::Create, "b", None), lost, undone], &[].into()).html;
        assert_eq!(html.matches("Undo…").count(), 1, "{html}");
        assert!(
            html.contains("/do/undo?id=4") && html.contains("undone by <a href=\"/log#operation-3\">3</a>"),
            "{html}"
        );
        assert!(
            html.contains("not kept any more") && !html.contains("<b>") && html.contains("&lt;b&gt;\u{fffd}"),
            "{html}"
        );
    }

    #[test]
    fn a_page_has_fifty() {
        let all: Vec<_> = (1..=120).rev().map(|id| happened(id, Operation::Create, "a", None)).collect();
        let rows = |query: &Fields| {
            let html = region(&all, query).html;
            (html.matches("<tr id").count(), html.contains("operation-120\""), html.contains("operation-1\""), html)
        };
        let first = rows(&[].into());
        assert_eq!((first.0, first.1, first.2), (50, true, false));
        assert!(first.3.contains("href=\"/log?page=2\""), "{}", first.3);
        let last = rows(&[("page", "3")].into());
        assert_eq!((last.0, last.1, last.2), (20, false, true));
        assert_eq!(rows(&[("page", "99")].into()).0, 20, "the last there is");
        assert!(region(&[], &[].into()).html.contains("Nothing was done yet"));
    }
}
