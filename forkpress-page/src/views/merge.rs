//! A merge: which branch into which, what it would do, and the conflicts that a person decides, one by one.

use forkpress_core::name::BranchName;
use forkpress_engine::merge::Side;
use forkpress_engine::merge::branches::Summary;
use forkpress_engine::merge::conflict::OpenConflict;
use maud::{Markup, html};

use super::frame::{self, Visitor};
use super::refused;
use super::sides;
use super::text::{many, said};
use super::words;
use crate::address::Address;
use crate::backstage::Failed;
use crate::merge_form::{Decisions, Take, Trial, written};

/// So many conflicts are on a page. What is decided of others is kept in it.
const MOST: usize = 100;

/// The texts that a form begins with are not longer than this together.
const MOST_TEXT: usize = 768 << 10;

/// Which branch is merged into which.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The branch that comes home.
    pub source: BranchName,
    /// The branch that it comes home to.
    pub into: BranchName,
}

/// Where somebody chooses both. `problem`: what was wrong with the choice.
pub fn choose(
    names: &[BranchName],
    source: Option<&str>,
    into: Option<&str>,
    problem: Option<&str>,
    visitor: &Visitor,
) -> Markup {
    let choice = |field: &str, label: &str, chosen: Option<&str>| {
        html! {
            div.field {
                label for=(field) { (label) }
                select id=(field) name=(field) required {
                    @if chosen.is_none() { option value="" { "Choose…" } }
                    @for name in names { option value=(name) selected[Some(name.as_str()) == chosen] { (name) } }
                }
            }
        }
    };
    frame::page(
        "Merge",
        "",
        Some(visitor),
        html! {
            @if let Some(problem) = problem { div.problem role="alert" { p { (problem) } } }
            p { "You see first what a merge would do. Nothing changes until you press its button." }
            form.card method="get" action="/merge" {
                (choice("source", "Merge what this branch changed", source))
                (choice("into", "into this branch", into.or(Some(BranchName::MAIN))))
                p.buttons { button.primary { "See what it would do" } a href="/" { "Cancel" } }
            }
        },
    )
}

/// What a merge has to show.
#[derive(Debug)]
pub struct Merge<'a> {
    /// Which branch into which.
    pub pair: &'a Pair,
    /// What it would do.
    pub trial: &'a Trial,
    /// What is decided.
    pub decisions: &'a Decisions,
    /// Whether a form was sent in which not all was decided.
    pub is_sent: bool,
    /// How many decisions fit nothing any more.
    pub stale: usize,
    /// Why it could not be begun.
    pub failed: Option<&'a Failed>,
}

impl Merge<'_> {
    /// The page.
    #[must_use]
    pub fn page(&self, at: &Address, visitor: &Visitor) -> Markup {
        let Pair { source, into } = self.pair;
        frame::page(
            &format!("Merge {source} into {into}"),
            "",
            Some(visitor),
            html! {
                @if let Some(failed) = self.failed { (refused::reasons(failed)) }
                @if self.stale > 0 {
                    div.problem role="alert" {
                        p { strong { "The branches have changed since." } }
                        p { (many(self.stale as u64, "decision")) @if self.stale == 1 { " fits" } @else { " fit" } " nothing any more. Look once more." }
                    }
                }
                @match self.trial {
                    Trial::Nothing => {
                        div.note { p { "Nothing to merge: " (into) " has all that " (source) " changed." } }
                        p { a href={ "/branch/" (source) "/changes" } { "What " (source) " changed" } }
                    },
                    Trial::Merges(summary) => (self.ready(summary, visitor)),
                    Trial::Conflicts(conflicts) => (self.conflicts(conflicts, at, visitor)),
                }
            },
        )
    }

    /// The fields that each form of it has.
    fn fields(&self, visitor: &Visitor) -> Markup {
        html! {
            (visitor.token_field())
            input type="hidden" name="source" value=(self.pair.source);
            input type="hidden" name="into" value=(self.pair.into);
        }
    }

    fn buttons(&self) -> Markup {
        let Pair { source, into } = self.pair;
        html! {
            p.buttons {
                button.primary { "Merge " (source) " into " (into) }
                a href={ "/branch/" (source) "/changes" } { "What " (source) " changed" }
                a href={ "/branch/" (source) } { "Cancel" }
            }
        }
    }

    fn ready(&self, summary: &Summary, visitor: &Visitor) -> Markup {
        let Pair { source, into } = self.pair;
        let parts = [(summary.files, "file"), (summary.tables, "table"), (summary.rows, "row")];
        let parts = parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| many(count as u64, what));
        html! {
            p { "There are no conflicts. Into " (into) " would come: " strong { (parts.collect::<Vec<_>>().join(", ")) } "." }
            @if !summary.notes.is_empty() {
                ul { @for note in &summary.notes { li { (said(note)) } } }
            }
            ul.promise {
                li { "All of it is done, or nothing. Requests of " (into) " wait for an instant." }
                li { "Branch " (source) " stays as it is. To take it back, undo the merge." }
            }
            form.card method="post" action="/merge" { (self.fields(visitor)) (self.buttons()) }
            (frame::command(&format!("branch merge {source} --into {into}")))
        }
    }

    fn conflicts(&self, conflicts: &[OpenConflict], at: &Address, visitor: &Visitor) -> Markup {
        let Pair { source, into } = self.pair;
        let is_open = |conflict: &OpenConflict| self.decisions.of(conflict).is_none();
        let left = conflicts.iter().filter(|conflict| is_open(conflict)).count();
        // Where there are more than a page has, it begins with what is to be decided.
        let first = match conflicts.iter().position(is_open) {
            Some(first) if conflicts.len() > MOST => first.min(conflicts.len() - MOST),
            _ => 0,
        };
        let shown = first..conflicts.len().min(first + MOST);
        let mut room = MOST_TEXT;
        html! {
            @if self.is_sent && left > 0 {
                div.problem role="alert" {
                    p { strong { "Nothing was merged yet." } }
                    @if let Some(conflict) = conflicts.iter().find(|conflict| is_open(conflict)) {
                        p { a href={ "#c-" (conflict.id) } { (many(left as u64, "conflict")) " left to decide" } }
                    }
                }
            }
            p {
                "Both branches changed these since they parted, each to something else. "
                "Decide what " (into) " is to have. All else is merged without a question."
            }
            form.merge method="post" action="/merge" {
                (self.fields(visitor))
                p.left role="status" data-left data-of=(conflicts.len()) { (left) " of " (many(conflicts.len() as u64, "conflict")) " left to decide" }
                @for (number, conflict) in conflicts.iter().enumerate() {
                    @if shown.contains(&number) {
                        (self.conflict((number, conflicts.len()), conflict, &mut room, at))
                    } @else {
                        (self.kept(conflict))
                    }
                }
                @if shown.len() < conflicts.len() {
                    p { "This page shows " (shown.len()) " of " (conflicts.len()) " conflicts. The next ones come when these are decided. What you have decided is kept." }
                }
                (self.buttons())
                fieldset.rest {
                    legend { "All that are not decided yet" }
                    p.help { "This fills in the form. Nothing is merged by it." }
                    p.buttons {
                        button.button name="all" value="ours" formnovalidate { "Take all of " (into) }
                        button.button name="all" value="theirs" formnovalidate { "Take all of " (source) }
                    }
                }
            }
            (frame::command(&format!("branch conflicts {source} --into {into}")))
        }
    }

    /// What is decided of a conflict that the page does not show.
    fn kept(&self, conflict: &OpenConflict) -> Markup {
        let hidden =
            |field: &str, value: &str| html! { input type="hidden" name={ (field) "." (conflict.id) } value=(value); };
        match self.decisions.of(conflict) {
            None => html! {},
            Some(Take::Of(Side::Ours)) => hidden("take", "ours"),
            Some(Take::Of(Side::Theirs)) => hidden("take", "theirs"),
            Some(Take::Value(text)) => html! { (hidden("take", "value")) (hidden("value", &text)) },
        }
    }

    fn conflict(
        &self,
        (number, count): (usize, usize),
        conflict: &OpenConflict,
        room: &mut usize,
        at: &Address,
    ) -> Markup {
        let Pair { source, into } = self.pair;
        let take = self.decisions.of(conflict);
        let id = &conflict.id;
        let is_missing = self.is_sent && take.is_none();
        let choice = |value: &str, is_taken: bool, label: Markup| {
            html! {
                label.choice {
                    input type="radio" name={ "take." (id) } value=(value) required checked[is_taken]
                        aria-describedby={ "kind-" (id) };
                    span { (label) }
                }
            }
        };
        html! {
            fieldset.card.wide.conflict.missing[is_missing] id={ "c-" (id) } tabindex="-1" {
                legend { h2 { span.quiet { (number + 1) " of " (count) ": " } (said(&conflict.what)) } }
                p.quiet id={ "kind-" (id) } {
                    (kind(conflict.kind))
                    @if is_missing { " " strong.bad { "Not decided yet." } }
                }
                (self.versions(conflict))
                (self.seen(conflict, at))
                div.choices {
                    (choice("ours", take == Some(Take::Of(Side::Ours)), html! { "Take what " strong { (into) } " has" }))
                    (choice("theirs", take == Some(Take::Of(Side::Theirs)), html! { "Take what " strong { (source) } " has" }))
                    (self.another(conflict, take, room, &choice))
                }
            }
        }
    }

    /// Where another text can be written.
    fn another(
        &self,
        conflict: &OpenConflict,
        take: Option<Take>,
        room: &mut usize,
        choice: &dyn Fn(&str, bool, Markup) -> Markup,
    ) -> Markup {
        let id = &conflict.id;
        let Some(first) = written(conflict) else {
            return match conflict.whole {
                Some(_) => {
                    html! { p.help { "It is too long, or has signs that a form does not keep: another text can be given in the terminal." } }
                }
                None => html! { p.help { "It is no plain text, so no other one can be written here." } },
            };
        };
        // What was written is shown as it was sent, with the line ends that a form has.
        let text = self.decisions.text(conflict).unwrap_or(first);
        let Some(rest) = room.checked_sub(text.len()) else {
            return html! { p.help { "This form has no room for one more text. Decide some, then merge: or give another text in the terminal." } };
        };
        *room = rest;
        let is_taken = matches!(take, Some(Take::Value(_)));
        html! {
            (choice("value", is_taken, html! { "Write another" }))
            details.another open[is_taken] {
                summary { "The text" }
                label.hidden for={ "value-" (id) } { "Another text for " (said(&conflict.what)) }
                // The first line end in it is not a part of the text.
                textarea id={ "value-" (id) } name={ "value." (id) } rows=(rows(text)) dir="auto" spellcheck="false" data-take=(id) { "\n" (text) }
                p.help { "It is taken only if you choose “Write another”." }
            }
        }
    }

    /// What visitors see of it in each branch. No branch has what it was any more.
    fn seen(&self, conflict: &OpenConflict, at: &Address) -> Markup {
        let Some(seen) = &conflict.seen else { return html! {} };
        let Pair { source, into } = self.pair;
        let has = [(into, seen.ours), (source, seen.theirs)];
        sides::sides(&format!("c-{}", conflict.id), &conflict.what, &seen.what, has, at)
    }

    /// What it was, and what each branch made of it.
    fn versions(&self, conflict: &OpenConflict) -> Markup {
        let Pair { source, into } = self.pair;
        let whole = conflict.whole.as_ref();
        let texts = match whole {
            Some(whole) => [&whole.base, &whole.ours, &whole.theirs],
            None => [&conflict.base, &conflict.ours, &conflict.theirs],
        };
        let [base, ours, theirs] = texts.map(Option::as_deref);
        let version = |text: Option<&str>| {
            html! {
                @match (base, text) {
                    (_, None) => p.quiet { "Nothing." },
                    (Some(base), Some(text)) if base == text => p.quiet { "As it was." },
                    (Some(base), Some(text)) => (words::changed(base, text, words::Shown::Folded)),
                    (None, Some(text)) => (words::plain(text)),
                }
            }
        };
        html! {
            @if let Some(base) = base {
                details.was { summary { "What it was" } (words::plain(base)) }
            } @else {
                p.quiet { "Before they parted, there was nothing." }
            }
            div.sides {
                div { h3 { "In " (into) } (version(ours)) }
                div { h3 { "In " (source) } (version(theirs)) }
            }
        }
    }
}

/// How many lines a field has for a text.
fn rows(text: &str) -> usize {
    (text.lines().map(|line| 1 + line.len() / 80).sum::<usize>()).clamp(2, 16)
}

/// What a conflict is, as a sentence.
fn kind(kind: &str) -> &'static str {
    match kind {
        "removed" => "One branch removed it, the other one changed it.",
        "id" => "Both branches made something new with the same number.",
        "copies" => "Both branches changed how many of it there are.",
        "schema" => "Both branches changed how the table is made, or one did and the other one changed what is in it.",
        "object" => "One branch removed it or put it into the trash, the other one changed it.",
        "name" => "Two things have a name that only one may have.",
        "text" => "Both branches changed the same lines of this file.",
        "binary" => "Both branches changed this file, which has no lines.",
        "added" => "Both branches added this file, each another one.",
        "renamed" => "Both branches renamed this file.",
        "folder" => "One branch has a file where the other one has a folder.",
        _ => "Both branches changed it.",
    }
}

#[cfg(test)]
mod tests {
    use forkpress_engine::merge::conflict::{ConflictPlace, Whole};
    use forkpress_engine::merge::seen::{Seen, SeenObject};

    use super::*;
    use crate::form::Fields;

    const HOSTILE: &str = "</textarea></legend><script>alert(1)</script>\u{202e}\" onfocus=x '";

    fn conflict(number: usize, what: &str, whole: Option<[&str; 3]>) -> OpenConflict {
        let some = |text: &str| Some(text.to_owned());
        OpenConflict {
            id: format!("{number:032x}"),
            kind: "cell",
            what: what.to_owned(),
            place: ConflictPlace::File { path: what.to_owned() },
            base: some("was"),
            ours: some("ours"),
            theirs: None,
            whole: whole.map(|[base, ours, theirs]| Whole { base: some(base), ours: some(ours), theirs: some(theirs) }),
            seen: None,
        }
    }

    fn shown(trial: &Trial, form: &str, is_sent: bool) -> String {
        let pair = Pair { source: "sale".parse().unwrap(), into: "main".parse().unwrap() };
        let decisions = Decisions::read(&Fields::parse(form.as_bytes()));
        let merge = Merge { pair: &pair, trial, decisions: &decisions, is_sent, stale: 0, failed: None };
        merge
            .page(
                &Address::of("http", "admin.wp.localhost", "wp.localhost"),
                &Visitor { token: "the-token".to_owned(), is_signed_in: false },
            )
            .into_string()
    }

    #[test]
    fn a_conflict_is_a_group_of_choices_of_which_none_is_made() {
        let all = [
            conflict(1, "post 1 \"Hello\": title", Some(["Hello world", "Hello main", "Hello sale"])),
            conflict(2, "pic.png", None),
        ];
        let html = shown(&Trial::Conflicts(all.to_vec()), "", false);
        assert_eq!(html.matches("<fieldset class=\"card wide conflict\"").count(), 2, "{html}");
        assert!(html.contains("2 of 2 conflicts left to decide") && !html.contains("checked"), "{html}");
        assert!(html.contains("</span>world</del>") && html.contains("</span>main</ins>"), "{html}");
        assert!(html.contains(">\nHello main</textarea>"), "the text is there from its first letter: {html}");
        assert_eq!(html.matches("<textarea").count(), 1, "what is no text can't be written");
        assert!(
            html.contains("name=\"token\" value=\"the-token\"") && html.contains("<p class=\"quiet\">Nothing.</p>")
        );
        assert!(!html.contains("role=\"alert\""), "{html}");
        assert_eq!(html.matches("formnovalidate").count(), 2);
    }

    #[test]
    fn what_was_chosen_is_kept_and_what_is_left_is_said() {
        let all = [1, 2, 3].map(|number| conflict(number, "x", Some(["b", "o", "t"])));
        let [first, second, third] = all.each_ref().map(|conflict| conflict.id.clone());
        let form = format!("take.{first}=theirs&take.{third}=value&value.{third}=My+text%0D%0A%3Cb%3E");
        let html = shown(&Trial::Conflicts(all.to_vec()), &form, true);
        let is_checked = |id: &str, value: &str| {
            let input =
                html.split("<input").find(|input| input.contains(&format!("\"take.{id}\" value=\"{value}\""))).unwrap();
            input.split('>').next().unwrap().contains(" checked")
        };
        assert!(is_checked(&first, "theirs") && is_checked(&third, "value"));
        assert!(["ours", "theirs", "value"].iter().all(|value| !is_checked(&second, value)));
        assert!(html.contains(">\nMy text\r\n&lt;b&gt;</textarea>"), "{html}");
        assert!(
            html.contains(&format!("href=\"#c-{second}\">1 conflict</a> left"))
                || html.contains("1 conflict left to decide"),
            "{html}"
        );
        assert!(html.contains("1 of 3 conflicts left") && html.matches("Not decided yet.").count() == 1, "{html}");
    }

    #[test]
    fn what_visitors_see_of_a_conflict_is_shown_in_the_branches_that_have_it() {
        let seen = |ours, theirs| {
            let seen = Seen { what: SeenObject::Post(7), ours, theirs };
            shown(&Trial::Conflicts(vec![OpenConflict { seen: Some(seen), ..conflict(1, "x", None) }]), "", false)
        };
        let both = seen(true, true);
        for address in ["http://wp.localhost/?p=7", "http://sale.wp.localhost/?p=7"] {
            assert!(both.contains(&format!(" sandbox data-src=\"{address}\"")), "{both}");
        }
        assert_eq!((both.matches("<iframe").count(), seen(false, true).matches("<iframe").count()), (2, 1));
        assert!(!shown(&Trial::Conflicts(vec![conflict(1, "x", None)]), "", false).contains("<iframe"));
    }

    #[test]
    fn nothing_of_a_site_is_markup() {
        let all = vec![
            conflict(1, HOSTILE, Some([HOSTILE, HOSTILE, "x"])),
            conflict(2, HOSTILE, None),
            OpenConflict { ours: Some(HOSTILE.to_owned()), ..conflict(3, HOSTILE, None) },
        ];
        let html = shown(&Trial::Conflicts(all.clone()), "", true);
        assert!(!html.contains("<script>") && !html.contains("\" onfocus") && !html.contains(" style="), "{html}");
        assert_eq!(html.matches("</textarea>").count(), 1, "{html}");
        // In the field itself stands what is compared, letter by letter.
        assert_eq!(html.matches('\u{202e}').count(), 1, "{html}");
        let form = format!("take.{0}=%22%3E%3Cscript%3E&value.{0}=%3C%2Ftextarea%3E%3Cscript%3E", all[0].id);
        assert!(!shown(&Trial::Conflicts(all), &form, true).contains("<script>"));
        let notes = vec![HOSTILE.to_owned()];
        assert!(!shown(&Trial::Merges(Summary { notes, ..Summary::default() }), "", false).contains("<script>"));
    }

    #[test]
    fn of_many_conflicts_those_are_shown_that_are_left_and_the_others_are_kept() {
        let all: Vec<_> = (0..250).map(|number| conflict(number, "x", Some(["b", "o", "t"]))).collect();
        let first: String = all[..100].iter().map(|conflict| format!("take.{}=ours&", conflict.id)).collect();
        let with_text = format!("{first}take.{0}=value&value.{0}=a+%22b%22", all[0].id);
        for (form, from) in [("", 0), (&*first, 100), (&*with_text.replacen("=ours", "=x", 1), 100)] {
            let html = shown(&Trial::Conflicts(all.clone()), form, true);
            assert_eq!(html.matches("<fieldset class=\"card").count(), MOST);
            assert!(html.contains(&format!("id=\"c-{}\"", all[from].id)), "{from}");
            assert_eq!(html.matches("type=\"hidden\" name=\"take.").count(), from);
        }
    }

    #[test]
    fn texts_of_a_form_are_bounded_as_a_whole() {
        let long = "x".repeat(60_000);
        let all: Vec<_> = (0..40).map(|number| conflict(number, "x", Some(["b", &long, "t"]))).collect();
        let html = shown(&Trial::Conflicts(all), "", false);
        assert_eq!(html.matches("<textarea").count(), MOST_TEXT / 60_000);
        assert!(html.contains("no room for one more text"));
    }

    #[test]
    fn without_conflicts_one_button_merges() {
        let summary = Summary { files: 1, rows: 3, tables: 0, notes: vec!["post 7 gets the slug x-2".to_owned()] };
        let html = shown(&Trial::Merges(summary), "", false);
        assert!(html.contains("<strong>1 file, 3 rows</strong>") && html.contains("slug x-2"), "{html}");
        assert!(html.contains("action=\"/merge\"") && html.contains(">Merge sale into main</button>"), "{html}");
        let html = shown(&Trial::Nothing, "", false);
        assert!(
            html.contains("main has all that sale changed") && !html.contains("<button class=\"primary\""),
            "{html}"
        );
    }
}
