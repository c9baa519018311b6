//! What the person who runs the server sees in place of a branch's page that failed.
//!
//! It stands at the branch's own host, so it has links alone: what acts is at the page's host.

use std::time::{SystemTime, UNIX_EPOCH};

use forkpress_core::record::rfc3339;
use hyper::StatusCode;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::text::{at_second, clean, code, moment, said};
use crate::address::Address;
use crate::backstage::{Detail, Suspect};
use crate::facts::{Happened, Undo};

const STYLE: &str = ":root{color-scheme:light dark}\
    body{font:1rem/1.5 system-ui,sans-serif;max-width:50rem;margin:8vh auto;padding:0 1.5rem;overflow-wrap:anywhere}\
    h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}code,pre{font-family:ui-monospace,monospace;font-size:.9em}\
    pre{white-space:pre-wrap;border:1px solid;border-color:color-mix(in srgb,currentColor 30%,transparent);padding:.6rem;max-height:22rem;overflow:auto}\
    a{color:light-dark(#135e96,#72aee6)}li{margin:.3rem 0}.small{opacity:.8;font-size:.9rem}";

/// How many of the newest operations are offered to be undone.
const MOST_OFFERED: usize = 3;

/// How it failed.
#[derive(Debug)]
pub struct Failure<'a> {
    /// What it answered with.
    pub status: StatusCode,
    /// For which path.
    pub path: &'a str,
    /// When that was last seen to work; none where nobody has seen it.
    pub worked: Option<SystemTime>,
    /// What may be the reason.
    pub suspects: &'a [Suspect],
}

/// The page.
pub fn page(branch: &Detail, failure: &Failure<'_>, at: &Address) -> Markup {
    let Detail { name, from, operations, errors, .. } = branch;
    let Failure { status, path, .. } = failure;
    let page = at.origin();
    let undoable = operations.iter().filter(|done| done.undo() == Undo::Can).take(MOST_OFFERED);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Branch " (name) " is broken" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { "Branch “" (name) "” is broken" }
                    p { (code(path)) " answered with status " (status.as_u16()) " (" (reason(*status)) "). Other branches are not affected." }
                    h2 { "What PHP said" }
                    @if errors.is_empty() {
                        p { "PHP's logs have nothing of this branch." }
                    } @else {
                        pre tabindex="0" aria-label="The last lines of PHP's logs" { @for line in errors { bdi { (clean(line)) } "\n" } }
                    }
                    (changed(operations, failure))
                    h2 { "What you can do" }
                    ul {
                        @if !name.is_main() {
                            li { a href={ (page) "/branch/" (name) "/changes" } { "See all that this branch changed" } }
                        }
                        @for done in undoable {
                            li { a href={ (page) "/do/undo?id=" (done.id) } { "Undo: " (said(&done.words)) } }
                        }
                        @if let Some(from) = from {
                            li { a href={ (page) "/do/reset?name=" (name) "&from=" (from) } { "Reset it to what " (from) " is" } ", and keep what it has now for an undo" }
                        }
                        li { a href={ (page) "/branch/" (name) } { "All about this branch" } }
                        li { a href="" { "Try again" } }
                    }
                    p.small { "You see this because you run this server. Others see what the branch itself answers." }
                }
            }
        }
    }
}

/// What was done, and which files changed, since it last worked.
fn changed(operations: &[Happened], failure: &Failure<'_>) -> Markup {
    let Failure { worked, suspects, .. } = failure;
    let seconds = |at: &SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let done: Vec<_> =
        worked.iter().flat_map(|worked| operations.iter().filter(|done| done.at >= seconds(worked))).collect();
    html! {
        @if let Some(worked) = worked {
            h2 { "What changed since it last worked" }
            p { "This page last worked on " (moment(&rfc3339(*worked))) "." }
            @if done.is_empty() && suspects.is_empty() {
                p { "Since then no file of it has changed, and nothing was done to the branch. It may be something in its database, or something that it asks for elsewhere." }
            }
        } @else if !suspects.is_empty() {
            h2 { "What this branch changed last" }
            p { "Nobody has seen this page work since the server started." }
        }
        @if !done.is_empty() || !suspects.is_empty() {
            ul {
                @for done in done { li { (said(&done.words)) ", " (moment(&at_second(done.at))) } }
                @for Suspect { path, at } in *suspects { li { (code(path)) ", " (moment(&rfc3339(*at))) } }
            }
        }
    }
}

fn reason(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_GATEWAY => "PHP ended without an answer",
        StatusCode::GATEWAY_TIMEOUT => "it took too long",
        _ => "an error in PHP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Operation;
    use crate::facts::samples::happened;
    use std::time::Duration;

    fn shown(worked: Option<u64>, suspects: &[Suspect]) -> String {
        let mut operations = [9, 8, 7].map(|id| happened(id, Operation::Merge, "sale", Some("main")));
        operations.iter_mut().for_each(|done| done.words = format!("merge <x{}> into sale", done.id));
        operations[1].can_be_undone = false;
        operations[2].undone_by = Some(8);
        let branch = Detail {
            name: "sale".parse().unwrap(),
            from: Some("main".parse().unwrap()),
            created: String::new(),
            operations: operations.into(),
            mails: Vec::new(),
            errors: vec!["PHP Fatal error: <script>\u{202e}".to_owned()],
            requests: Vec::new(),
        };
        let at = Address::of("http", "sale.wp.localhost:1", "wp.localhost");
        let worked = worked.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        let failure = Failure { status: StatusCode::INTERNAL_SERVER_ERROR, path: "/<p>", worked, suspects };
        page(&branch, &failure, &at).into_string()
    }

    fn suspect() -> Suspect {
        Suspect { path: "wp-content/<i>.php".to_owned(), at: UNIX_EPOCH }
    }

    #[test]
    fn a_broken_branch_says_what_php_said_and_offers_what_undoes_it() {
        let shown = shown(None, &[suspect()]);
        for part in [
            "PHP Fatal error: &lt;script&gt;\u{fffd}",
            "href=\"http://admin.wp.localhost:1/do/undo?id=9\"",
            "http://admin.wp.localhost:1/do/reset?name=sale&amp;from=main",
            "http://admin.wp.localhost:1/branch/sale/changes",
            "/&lt;p&gt;",
            "wp-content/&lt;i&gt;.php",
            "What this branch changed last",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(shown.contains("Undo: <bdi>merge &lt;x9&gt;"), "{shown}");
        assert!(!shown.contains("id=8") && !shown.contains("id=7") && !shown.contains("<form"), "{shown}");
        assert!(!shown.contains("since it last worked") && !shown.contains("<li><bdi>merge"), "{shown}");
    }

    #[test]
    fn what_was_done_since_it_last_worked_is_named() {
        // Operation 8 began at 8000.
        let since = shown(Some(8000), &[suspect()]);
        assert!(
            since.contains("What changed since it last worked") && since.contains("1970-01-01T02:13:20Z"),
            "{since}"
        );
        for (id, is_named) in [(9, true), (8, true), (7, false)] {
            assert_eq!(since.contains(&format!("<li><bdi>merge &lt;x{id}&gt;")), is_named, "{id}: {since}");
        }
        assert!(since.contains("<li><code><bdi>wp-content/&lt;i&gt;.php"), "{since}");
        let nothing = shown(Some(9001), &[]);
        assert!(nothing.contains("no file of it has changed") && !nothing.contains("<li><bdi>merge"), "{nothing}");
    }
}
