//! What goes on: requests, locks, and who waits for whom.

use forkpress_engine::activity::{BranchRow, LockRow, LockUser, OperationRow, RequestRow, Sample};
use maud::{Markup, html};

use super::frame::{self, Visitor};
use super::text::{code, many, said};
use crate::address::Address;
use crate::live::Fragment;

/// How many requests are shown.
const ROWS: usize = 100;

/// How many busy branches are shown.
const BRANCHES: usize = 20;

/// The page.
pub fn page(sample: &Sample, at: &Address, visitor: &Visitor) -> Markup {
    frame::page(
        "Now",
        "/now",
        Some(visitor),
        html! {
            (region(sample, at).in_page())
            (frame::command("top"))
        },
    )
}

/// All of it.
pub fn region(sample: &Sample, at: &Address) -> Fragment {
    let content = html! { (requests(&sample.requests)) (locks(&sample.locks)) (operations(&sample.operations)) (branches(&sample.branches, at)) (server(sample)) };
    Fragment::new("now", content)
}

fn server(sample: &Sample) -> Markup {
    html! {
        h2 { "Server" }
        dl.facts {
            dt { "Publishes so far" } dd { (sample.generation) }
            @if let Some(fullness) = sample.opcache_fullness {
                dt { "OPcache" } dd { (format!("{:.0} % full", fullness * 100.0)) }
            }
        }
    }
}

fn requests(requests: &[RequestRow]) -> Markup {
    html! {
        h2 { "Requests" }
        @if requests.is_empty() {
            p.quiet { "None just now." }
        } @else {
            table.rows {
                caption { (many(requests.len() as u64, "request")) }
                thead { tr { th scope="col" { "What" } th scope="col" { "Branch" } th scope="col" { "State" } th.number scope="col" { "For" } th.number scope="col" { "Process" } } }
                tbody {
                    @for RequestRow { pid, branch, method, path, state, age_seconds } in requests.iter().take(ROWS) {
                        tr {
                            th scope="row" { (code(&format!("{method} {path}"))) }
                            td data-name="Branch" { (said(branch)) }
                            td data-name="State" { span.tag.doubt[is_waiting(state)] { (state) } }
                            td.number data-name="For" { (format!("{age_seconds:.1} s")) }
                            td.number data-name="Process" { @if let Some(pid) = pid { (pid) } @else { "–" } }
                        }
                    }
                }
            }
            @if requests.len() > ROWS { p.quiet { "And " (requests.len() - ROWS) " more." } }
        }
    }
}

fn is_waiting(state: &str) -> bool {
    matches!(state, "waiting" | "queued")
}

fn locks(locks: &[LockRow]) -> Markup {
    let (used, free): (Vec<_>, Vec<_>) =
        locks.iter().partition(|lock| !(lock.holders.is_empty() && lock.waiters.is_empty()));
    html! {
        h2 { "Locks" }
        @if used.is_empty() {
            p.quiet { "Nobody has one, so nobody waits." }
        } @else {
            table.rows {
                caption { "Who has a lock, and who waits for it" }
                thead { tr { th scope="col" { "Lock" } th scope="col" { "Who has it" } th scope="col" { "Who waits for it" } } }
                tbody {
                    @for lock in &used {
                        tr {
                            th scope="row" { (code(&lock.name)) }
                            td data-name="Who has it" { (users(&lock.holders)) }
                            td data-name="Who waits for it" { (users(&lock.waiters)) }
                        }
                    }
                }
            }
            @if !free.is_empty() {
                p.quiet { "Free: " @for (number, lock) in free.iter().enumerate() { @if number > 0 { ", " } (code(&lock.name)) } }
            }
        }
    }
}

fn users(users: &[LockUser]) -> Markup {
    html! {
        @if users.is_empty() { span.quiet { "nobody" } }
        @for LockUser { pid, doing, seconds } in users {
            div {
                "Process " (pid)
                @if let Some(doing) = doing { ": " (said(doing)) }
                @if let Some(seconds) = seconds { span.quiet { ", for " (format!("{seconds:.1} s")) } }
            }
        }
    }
}

fn operations(operations: &[OperationRow]) -> Markup {
    html! {
        h2 { "Newest operations" }
        @if operations.is_empty() {
            p.quiet { "None yet." }
        } @else {
            table.rows {
                caption { "The newest operations. " a href="/log" { "All of them" } }
                thead { tr { th scope="col" { "Number" } th scope="col" { "What" } th scope="col" { "When" } th.number scope="col" { "Kept requests out" } } }
                tbody {
                    @for OperationRow { id, operation, at, held_seconds, .. } in operations {
                        tr {
                            th scope="row" { (id) }
                            td data-name="What" { (said(operation)) }
                            td data-name="When" { time datetime=(at) { (at) } }
                            td.number data-name="Kept requests out" { @if let Some(held) = held_seconds { (format!("{:.1} ms", held * 1000.0)) } @else { "–" } }
                        }
                    }
                }
            }
        }
    }
}

fn branches(branches: &[BranchRow], at: &Address) -> Markup {
    let mut busy: Vec<_> = branches.iter().filter(|branch| branch.requests > 0).collect();
    busy.sort_by_key(|branch| std::cmp::Reverse(branch.requests));
    html! {
        h2 { "Busy branches" }
        @if busy.is_empty() {
            p.quiet { "None of " (branches.len()) "." }
        } @else {
            ul {
                @for branch in busy.iter().take(BRANCHES) {
                    li {
                        a href={ "/branch/" (branch.name) } { (branch.name) } ": " (many(branch.requests as u64, "request")) " "
                        @if let Ok(name) = branch.name.parse() { a href=(at.branch(&name)) { "Open" } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_whom_is_told_and_nothing_of_a_request_is_markup() {
        let user = |pid, doing: &str| LockUser { pid, doing: Some(doing.to_owned()), seconds: Some(1.25) };
        let request = |state: &str| RequestRow {
            pid: None,
            branch: "x<i>".to_owned(),
            method: "GET".to_owned(),
            path: "/<script>\u{202e}".to_owned(),
            state: state.to_owned(),
            age_seconds: 2.0,
        };
        let lock = |name: &str, holders, waiters| LockRow { name: name.to_owned(), holders, waiters };
        let branch =
            |name: &str, requests| BranchRow { name: name.to_owned(), url: String::new(), generation: 1, requests };
        let mut sample = Sample {
            at: "2026-11-22T17:25:46Z".to_owned(),
            url: None,
            generation: 3,
            opcache_fullness: Some(0.416),
            branches: vec![branch("main", 0), branch("x", 2)],
            requests: vec![request("queued"), request("serving")],
            locks: vec![
                lock("<i>mutation.lock", vec![user(7, "reset a")], vec![user(8, "create b")]),
                lock("<i>free.lock", vec![], vec![]),
            ],
            operations: vec![OperationRow {
                id: 3,
                operation: "create <i>".to_owned(),
                at: "2026-11-22T17:25:46Z".to_owned(),
                pid: 7,
                took_seconds: None,
                held_seconds: Some(0.0012),
            }],
        };
        let at = Address::of("http", "admin.wp.localhost:1", "wp.localhost");
        let html = region(&sample, &at).html;
        for part in [
            "Process 7: <bdi>reset a</bdi>",
            "Process 8: <bdi>create b</bdi>",
            "42 % full",
            "/&lt;script&gt;\u{fffd}",
            "tag doubt\">queued",
            "http://x.wp.localhost:1/",
            "Free: ",
            "1.2 ms",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(!html.contains("<script") && !html.contains("<i>") && !html.contains("/branch/main"), "{html}");
        // The moment of the look is none of it, or every look were news.
        sample.at = "2026-11-22T17:25:47Z".to_owned();
        assert_eq!(region(&sample, &at).html, html);
        (sample.requests, sample.locks, sample.branches) = (vec![], vec![], vec![]);
        assert!(region(&sample, &at).html.contains("None just now"));
    }
}
