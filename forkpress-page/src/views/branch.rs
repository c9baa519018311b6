//! A branch: what it is, what was done to it, what it sent and said, and what can be done with it.

use forkpress_core::name::BranchName;
use maud::{Markup, html};

use super::frame::{self, Visitor};
use super::log;
use super::text::{clean, code, moment, said};
use crate::address::Address;
use crate::backstage::{Detail, Mail};
use crate::live::Fragment;

/// The page.
pub fn page(branch: &Detail, at: &Address, visitor: &Visitor) -> Markup {
    let Detail { name, from, created, .. } = branch;
    let url = at.branch(name);
    frame::page(
        name.as_str(),
        "",
        Some(visitor),
        html! {
            dl.facts {
                dt { "Address" }
                dd { a href=(url) { (url) } }
                @if let Some(from) = from {
                    dt { "Made from" }
                    dd { a href={ "/branch/" (from) } { (from) } ", " (moment(created)) }
                }
            }
            (actions(branch, &url))
            (region(branch).in_page())
            (frame::command(&format!("branch show {name}")))
        },
    )
}

/// What changes of it. It is told when its log, or PHP's, has something new.
pub fn region(branch: &Detail) -> Fragment {
    let content = html! {
        (requests(branch))
        (errors(branch))
        h2 #log { "Operations" }
        (log::table(&branch.operations, "Operations on this branch"))
        (mails(branch))
    };
    Fragment::new("branch", content)
}

fn actions(branch: &Detail, url: &str) -> Markup {
    let name = &branch.name;
    let into = branch.from.clone().unwrap_or_else(BranchName::main);
    html! {
        ul.actions aria-label={ "Actions for " (name) } {
            li { a.button.primary href=(url) { "Open the site" } }
            li { a.button href={ (url) "wp-admin/" } { "Dashboard" } }
            @if !name.is_main() {
                li { a.button href={ "/branch/" (name) "/changes" } { "What changed" } }
                li { a.button href={ "/merge?source=" (name) "&into=" (into) } { "Merge…" } }
            }
            li { a.button href={ "/do/create?from=" (name) } { "New branch from it…" } }
            li { a.button href={ "/do/reset?name=" (name) "&from=" (into) } { "Reset…" } }
            li { a.button href={ "/do/export?name=" (name) } { "Export…" } }
            @if !name.is_main() {
                li { a.button href={ "/do/delete?name=" (name) } { "Delete…" } }
            }
        }
    }
}

fn requests(branch: &Detail) -> Markup {
    html! {
        h2 { "Requests" }
        @if branch.requests.is_empty() {
            p.quiet { "None runs at this moment. " a href="/now" { "All that goes on now" } }
        } @else {
            table.rows {
                caption.hidden { "Requests of this branch that run" }
                thead { tr { th scope="col" { "Request" } th scope="col" { "State" } th.number scope="col" { "For" } } }
                tbody {
                    @for request in &branch.requests {
                        tr {
                            th scope="row" { (code(&format!("{} {}", request.method, request.path))) }
                            td data-name="State" { (request.state) }
                            td.number data-name="For" { (format!("{:.1} s", request.age.as_secs_f64())) }
                        }
                    }
                }
            }
        }
    }
}

fn errors(branch: &Detail) -> Markup {
    html! {
        h2 #errors { "PHP errors" }
        @if branch.errors.is_empty() {
            p.quiet { "PHP's logs have none of this branch." }
        } @else {
            div.lines tabindex="0" role="region" aria-label="The last lines of PHP's logs" {
                pre { @for line in &branch.errors { bdi { (clean(line)) } "\n" } }
            }
            (frame::command("logs --file php"))
        }
    }
}

fn mails(branch: &Detail) -> Markup {
    html! {
        h2 #mails { "Mails" }
        @if branch.mails.is_empty() {
            p.quiet { "This branch has sent none. What it sends is kept here, and nobody gets it." }
        } @else {
            table.rows {
                caption.hidden { "Mails that this branch sent" }
                thead { tr { th scope="col" { "Subject" } th scope="col" { "To" } th scope="col" { "Sent" } } }
                tbody {
                    @for mail in &branch.mails {
                        tr {
                            th scope="row" { a href={ "/branch/" (branch.name) "/mail/" (mail.id) } { (subject(&mail.subject)) } }
                            td data-name="To" { (said(&mail.to.join(", "))) }
                            td data-name="Sent" { (moment(&mail.at)) }
                        }
                    }
                }
            }
        }
    }
}

fn subject(subject: &str) -> Markup {
    if subject.trim().is_empty() {
        html! { "(no subject)" }
    } else {
        said(subject)
    }
}

/// A mail.
pub fn mail(name: &BranchName, mail: &Mail, visitor: &Visitor) -> Markup {
    frame::page(
        "Mail",
        "",
        Some(visitor),
        html! {
            p { a href={ "/branch/" (name) "#mails" } { "All mails of " (name) } }
            dl.facts {
                dt { "Subject" } dd { (subject(&mail.head.subject)) }
                dt { "From" } dd { (said(&mail.from.join(", "))) }
                dt { "To" } dd { (said(&mail.head.to.join(", "))) }
                dt { "Sent" } dd { (moment(&mail.head.at)) }
                @for (file, bytes) in &mail.attachments {
                    dt { "Attached" } dd { (said(file)) " (" (super::text::size(*bytes)) ")" }
                }
            }
            h2 { "Text" }
            div.card.wide { pre { (said(mail.text.trim_end())) } }
            (frame::command(&format!("mail {name} {}", mail.head.id)))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backstage::{MailHead, Running};
    use crate::facts::Operation;
    use crate::facts::samples::happened;
    use std::time::Duration;

    fn detail(name: &str) -> Detail {
        Detail {
            name: name.parse().unwrap(),
            from: Some(BranchName::main()),
            created: "2026-11-28T15:00:00Z".to_owned(),
            operations: vec![happened(7, Operation::Create, "sale", Some("main"))],
            mails: vec![MailHead {
                id: 3,
                at: "2026-11-28T15:00:00Z".to_owned(),
                to: vec!["<i>".to_owned()],
                subject: "<b>\u{202e}".to_owned(),
            }],
            errors: vec!["PHP Fatal error: <script>".to_owned()],
            requests: vec![Running {
                method: "GET".to_owned(),
                path: "/<x>".to_owned(),
                state: "serving".to_owned(),
                age: Duration::from_millis(1500),
            }],
        }
    }

    fn shown(name: &str) -> String {
        let at = Address::of("http", "admin.wp.localhost:18080", "wp.localhost");
        let visitor = Visitor { token: "t".to_owned(), is_signed_in: false };
        page(&detail(name), &at, &visitor).into_string()
    }

    #[test]
    fn a_branch_shows_what_it_has_and_nothing_of_it_is_markup() {
        let page = shown("sale");
        for part in [
            "href=\"http://sale.wp.localhost:18080/wp-admin/\"",
            "/do/delete?name=sale",
            "/merge?source=sale&amp;into=main",
            "/do/undo?id=7",
            "/branch/sale/mail/3",
            "&lt;b&gt;\u{fffd}",
            "&lt;script&gt;",
            "GET /&lt;x&gt;",
            "1.5 s",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("<b>") && !page.contains("<i>") && !page.contains("error: <script>"), "{page}");
    }

    #[test]
    fn main_is_neither_deleted_nor_merged() {
        let page = shown("main");
        assert!(!page.contains("/do/delete") && !page.contains("/merge?source=main"), "{page}");
    }

    #[test]
    fn a_mail_is_text() {
        let bad = || "<b>\u{202e}".to_owned();
        let head = MailHead { id: 3, at: String::new(), to: vec![bad()], subject: bad() };
        let sent = Mail { head, from: vec![bad()], text: bad(), attachments: vec![(bad(), 1500)] };
        let visitor = Visitor { token: "t".to_owned(), is_signed_in: false };
        let html = mail(&BranchName::main(), &sent, &visitor).into_string();
        assert!(!html.contains("<b>") && !html.contains('\u{202e}'), "{html}");
        assert_eq!(html.matches("&lt;b&gt;\u{fffd}").count(), 5, "{html}");
        assert!(html.contains("(1.5 KB)") && html.contains("href=\"/branch/main#mails\""), "{html}");
    }
}
