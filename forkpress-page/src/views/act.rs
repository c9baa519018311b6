//! The form of an action: what it will do to whom, what there is to fill in, and one button.

use forkpress_core::name::{BranchName, RESERVED};
use maud::{Markup, html};

use super::frame::{self, Visitor};
use super::refused;
use super::text::said;
use crate::action::{Action, Problem};
use crate::backstage::Failed;
use crate::form::Fields;

/// What a form has to show.
#[derive(Debug)]
pub struct Form<'a> {
    /// What it is of.
    pub action: Action,
    /// What its fields have: from a link, or from the form that was sent.
    pub fields: &'a Fields,
    /// The branches that there are.
    pub names: &'a [BranchName],
    /// What was wrong with which field.
    pub problems: &'a [Problem],
    /// Why it could not be begun.
    pub failed: Option<&'a Failed>,
}

impl Form<'_> {
    /// The page.
    #[must_use]
    pub fn page(&self, visitor: &Visitor) -> Markup {
        let Self { action, .. } = self;
        frame::page(
            &self.title(),
            "",
            Some(visitor),
            html! {
                @if let Some(failed) = self.failed { (refused::reasons(failed)) }
                @if !self.problems.is_empty() {
                    div.problem role="alert" {
                        p { strong { "Nothing was done yet." } }
                        ul { @for problem in self.problems { li { a href={ "#" (problem.field) } { (said(&problem.what)) } } } }
                    }
                }
                ul.promise { @for sentence in action.promise() { li { (sentence) } } }
                form.card method="post" action={ "/do/" (action.word()) } enctype=[(*action == Action::Import).then_some("multipart/form-data")] {
                    (visitor.token_field())
                    (self.inputs())
                    p.buttons {
                        button class=(if action.takes_away() { "danger" } else { "primary" }) { (action.button()) }
                        a href="/" { "Cancel" }
                    }
                }
            },
        )
    }

    fn title(&self) -> String {
        let (title, name) = (self.action.title(), self.fields.get("name"));
        match (self.action, name, self.fields.get("id")) {
            (Action::Reset, Some(name), _) => format!("Reset {name}"),
            (Action::Delete, Some(name), _) => format!("Delete {name}"),
            (Action::Export, Some(name), _) => format!("Export {name}"),
            (Action::Undo, _, Some(id)) => format!("Undo operation {id}"),
            _ => title.to_owned(),
        }
    }

    fn inputs(&self) -> Markup {
        match self.action {
            Action::Create => html! { (self.new_name()) (self.from("Made from")) },
            Action::CreateMany => html! {
                (self.text("prefix", "What their names begin with", "agent", "A number follows: agent-1, agent-2."))
                (self.number("count", "How many", "1", "100"))
                (self.from("Made from"))
            },
            Action::Reset => html! {
                (self.branch("name", "The branch to reset"))
                (self.from("It becomes what this branch is"))
                (self.tick("sure", "If it is main: yes, reset what everybody sees"))
            },
            Action::Delete => self.branch("name", "The branch to delete"),
            Action::Undo => self.number("id", "The number of the operation; empty: the newest", "1", ""),
            Action::Import => html! {
                (self.new_name())
                div.field {
                    label for="file" { "A file from this computer" }
                    input #file type="file" name="file";
                    p.help { "An archive, a backup, a database dump, or posts (WXR)." }
                }
                (self.text("path", "Or a path on the server's machine", "", "A folder or a file, such as ~/backups/shop.zip written in full, or ssh://USER@HOST/PATH."))
            },
            Action::Export => html! {
                (self.branch("name", "The branch"))
                fieldset #format {
                    legend { "What goes out" }
                    @for (value, label) in [("site", "Files and database"), ("sql", "The database, for MySQL and MariaDB"), ("wxr", "Posts, pages and comments, as WordPress exports them")] {
                        label.choice {
                            input type="radio" name="format" value=(value) checked[self.fields.get("format").unwrap_or("site") == value];
                            (label)
                        }
                    }
                }
                (self.text("url", "The address that the site is to have", "", "All addresses in it become that one. Empty: they stay."))
            },
            Action::Gc => html! {},
        }
    }

    fn new_name(&self) -> Markup {
        html! {
            div.field {
                label for="name" { "Its name" }
                input #name name="name" value=[self.fields.get("name")] required maxlength="63" pattern="[a-z0-9_]([a-z0-9_\\-]{0,61}[a-z0-9_])?"
                    autocapitalize="none" autocomplete="off" spellcheck="false" data-new-branch data-reserved=(RESERVED.join(" ")) aria-describedby="name-help" aria-invalid=[self.is_wrong("name")];
                p.help #name-help { "Lower-case letters, digits, - and _. It becomes a part of the address." }
                p.check #name-check role="status" {}
                datalist #taken { @for name in self.names { option value=(name) {} } }
            }
        }
    }

    fn text(&self, name: &str, label: &str, default: &str, help: &str) -> Markup {
        let value = self.fields.get(name).or(Some(default).filter(|default| !default.is_empty()));
        html! {
            div.field {
                label for=(name) { (label) }
                input id=(name) name=(name) value=[value] autocomplete="off" autocapitalize="none" spellcheck="false"
                    aria-describedby={ (name) "-help" } aria-invalid=[self.is_wrong(name)];
                p.help id={ (name) "-help" } { (help) }
            }
        }
    }

    fn number(&self, name: &str, label: &str, least: &str, most: &str) -> Markup {
        html! {
            div.field {
                label for=(name) { (label) }
                input id=(name) name=(name) type="number" min=(least) max=[Some(most).filter(|most| !most.is_empty())]
                    value=[self.fields.get(name)] aria-invalid=[self.is_wrong(name)];
            }
        }
    }

    fn tick(&self, name: &str, label: &str) -> Markup {
        html! {
            label.choice {
                input id=(name) name=(name) type="checkbox" value="1" checked[self.fields.is_ticked(name)];
                (label)
            }
        }
    }

    fn from(&self, label: &str) -> Markup {
        self.branch("from", label)
    }

    /// A choice of a branch that there is.
    fn branch(&self, name: &str, label: &str) -> Markup {
        let default = if name == "from" { BranchName::MAIN } else { "" };
        let chosen = self.fields.get(name).unwrap_or(default);
        html! {
            div.field {
                label for=(name) { (label) }
                select id=(name) name=(name) required aria-invalid=[self.is_wrong(name)] {
                    @if chosen.is_empty() { option value="" { "Choose…" } }
                    @for branch in self.names {
                        @if self.action != Action::Delete || !branch.is_main() {
                            option value=(branch) selected[branch.as_str() == chosen] { (branch) }
                        }
                    }
                }
            }
        }
    }

    fn is_wrong(&self, field: &str) -> Option<&'static str> {
        self.problems.iter().any(|problem| problem.field == field).then_some("true")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_stays_in_the_form_and_is_no_markup() {
        let bad = "\"><b>";
        let fields: Fields = [("name", bad), ("from", bad), ("prefix", bad), ("path", bad), ("url", bad)].into();
        let problems = [Problem { field: "name", what: format!("no {bad}") }];
        let failed = Failed { error: bad.to_owned(), ..Failed::default() };
        let visitor = Visitor { token: "the-token".to_owned(), is_signed_in: false };
        let names = [BranchName::main()];
        for action in
            [Action::Create, Action::CreateMany, Action::Reset, Action::Delete, Action::Import, Action::Export]
        {
            let form = Form { action, fields: &fields, names: &names, problems: &problems, failed: Some(&failed) };
            let html = form.page(&visitor).into_string();
            assert!(!html.contains("<b>") && html.contains("<bdi>no &quot;&gt;&lt;b&gt;</bdi>"), "{html}");
            assert!(html.contains("name=\"token\" value=\"the-token\""), "{html}");
        }
    }
}
