//! What the person who runs the server sees in place of a branch's page that failed.
//!
//! It stands at the branch's own host, so it has links alone: what acts is at the page's host.

use hyper::StatusCode;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::text::{clean, code, moment, said};
use crate::address::Address;
use crate::backstage::{Detail, Suspect, Undo};

const STYLE: &str = ":root{color-scheme:light dark}\
    body{font:1rem/1.5 system-ui,sans-serif;max-width:50rem;margin:8vh auto;padding:0 1.5rem;overflow-wrap:anywhere}\
    h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}code,pre{font-family:ui-monospace,monospace;font-size:.9em}\
    pre{white-space:pre-wrap;border:1px solid;border-color:color-mix(in srgb,currentColor 30%,transparent);padding:.6rem;max-height:22rem;overflow:auto}\
    a{color:light-dark(#135e96,#72aee6)}li{margin:.3rem 0}.small{opacity:.8;font-size:.9rem}";

/// How many of the newest operations are offered to be undone.
const MOST_OFFERED: usize = 3;

/// The page.
pub fn page(branch: &Detail, suspects: &[Suspect], status: StatusCode, path: &str, at: &Address) -> Markup {
    let Detail { name, from, operations, errors, .. } = branch;
    let page = at.origin();
    let undoable = operations.iter().filter(|done| done.undo == Undo::Can).take(MOST_OFFERED);
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
                    p { (code(path)) " answered with status " (status.as_u16()) " (" (reason(status)) "). Other branches are not affected." }
                    h2 { "What PHP said" }
                    @if errors.is_empty() {
                        p { "PHP's logs have nothing of this branch." }
                    } @else {
                        pre tabindex="0" aria-label="The last lines of PHP's logs" { @for line in errors { bdi { (clean(line)) } "\n" } }
                    }
                    @if !suspects.is_empty() {
                        h2 { "What this branch changed last" }
                        ul { @for Suspect { path, at } in suspects { li { (code(path)) ", " (moment(at)) } } }
                    }
                    h2 { "What you can do" }
                    ul {
                        @if !name.is_main() {
                            li { a href={ (page) "/branch/" (name) "/changes" } { "See all that this branch changed" } }
                        }
                        @for done in undoable {
                            li { a href={ (page) "/do/undo?id=" (done.id) } { "Undo: " (said(&done.text)) } }
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
    use crate::backstage::Done;

    #[test]
    fn a_broken_branch_says_what_php_said_and_offers_what_undoes_it() {
        let done = |id, undo| Done {
            id,
            text: format!("merge <x{id}> into sale"),
            at: String::new(),
            user: String::new(),
            undo,
        };
        let branch = Detail {
            name: "sale".parse().unwrap(),
            from: Some("main".parse().unwrap()),
            created: String::new(),
            operations: vec![done(9, Undo::Can), done(8, Undo::Lost), done(7, Undo::WasBy(8))],
            mails: Vec::new(),
            errors: vec!["PHP Fatal error: <script>\u{202e}".to_owned()],
            requests: Vec::new(),
        };
        let at = Address::of("http", "sale.wp.localhost:1", "wp.localhost");
        let suspects = [Suspect { path: "wp-content/<i>.php".to_owned(), at: "2026-11-28T15:00:00Z".to_owned() }];
        let shown = page(&branch, &suspects, StatusCode::INTERNAL_SERVER_ERROR, "/<p>", &at).into_string();
        for part in [
            "PHP Fatal error: &lt;script&gt;\u{fffd}",
            "href=\"http://admin.wp.localhost:1/do/undo?id=9\"",
            "http://admin.wp.localhost:1/do/reset?name=sale&amp;from=main",
            "http://admin.wp.localhost:1/branch/sale/changes",
            "/&lt;p&gt;",
            "wp-content/&lt;i&gt;.php",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains("id=8") && !shown.contains("id=7") && !shown.contains("<form"), "{shown}");
    }
}
