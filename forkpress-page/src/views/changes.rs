//! What a branch changed: first in short, then pages and posts word by word, files, and tables.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use forkpress_core::name::BranchName;
use forkpress_engine::git::changes::{self, Bytes, FileChange, FileLine, Lines};
use forkpress_engine::merge::diff::{Change, Diff, ObjectChange, Since, TableChange, Text, Window};
use forkpress_engine::merge::seen::{SeenObject, is_picture};
use maud::{Markup, html};

use super::frame::{self, Visitor};
use super::sides;
use super::text::{clean, code, many, said, size};
use super::words;
use crate::address::Address;
use crate::form::Fields;

/// So much is on a page.
const OBJECTS: usize = 20;
const FILES: usize = 40;
const TABLES: usize = 200;

/// Of each table, so many cells are shown.
const CELLS: usize = 20;

/// Longer patches are cut unless all is asked for, in lines and in bytes; and so much is shown of all.
const PATCH_LINES: usize = 200;
const PATCH_BYTES: usize = 24 << 10;
const MOST_BYTES: usize = 2 << 20;

/// Which part of what changed is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// From 0.
    page: usize,
    /// What is shown as a whole: `o7` is an object, `f7` a line of files, by its place in the list.
    whole: Option<String>,
    /// With which branch it is compared, as it is now.
    pub against: Option<BranchName>,
}

impl Part {
    /// What a query asks for. What makes no sense is the first page.
    #[must_use]
    pub fn of(query: &Fields) -> Self {
        let page = query.get("page").and_then(|page| page.parse::<usize>().ok()).unwrap_or(1);
        Self {
            page: page.clamp(1, 1_000_000) - 1,
            whole: query.get("whole").map(str::to_owned),
            against: query.get("against").and_then(|name| name.parse().ok()),
        }
    }

    /// What has to be known for it.
    #[must_use]
    pub fn window(&self) -> Window {
        Window { files: self.files(), objects: self.objects(), cells: CELLS }
    }

    fn objects(&self) -> Range<usize> {
        self.page * OBJECTS..(self.page + 1) * OBJECTS
    }

    fn files(&self) -> Range<usize> {
        self.page * FILES..(self.page + 1) * FILES
    }

    fn href(&self, page: usize, whole: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(against) = &self.against {
            query.append_pair("against", against.as_str());
        }
        query.append_pair("page", &(page + 1).to_string());
        if let Some(whole) = whole {
            query.append_pair("whole", whole);
        }
        let place = whole.map(|place| format!("#{place}")).unwrap_or_default();
        format!("?{}{place}", query.finish())
    }

    /// Where all of something is shown; none where it is.
    fn all_of(&self, place: &str) -> Option<String> {
        (self.whole.as_deref() != Some(place)).then(|| self.href(self.page, Some(place)))
    }
}

/// What there is to show.
#[derive(Debug)]
pub struct Changes<'a> {
    /// The branch.
    pub name: &'a BranchName,
    /// What it changed, and since when; none where it came from no other branch and none is named.
    pub diff: Option<&'a (Diff, Since)>,
    /// All branches.
    pub names: &'a [BranchName],
    /// What of it is shown.
    pub part: &'a Part,
}

/// The page.
pub fn page(changes: &Changes<'_>, at: &Address, visitor: &Visitor) -> Markup {
    let name = changes.name;
    frame::page(
        &format!("What {name} changed"),
        "",
        Some(visitor),
        html! {
            (against(changes))
            @match changes.diff {
                None => p { "Branch " (name) " came from no other one. Choose the branch to compare it with." },
                Some((diff, since)) => {
                    (in_short(name, diff, since))
                    (actions(name, since))
                    (objects(changes, diff, since, at))
                    (files(changes, diff, since, at))
                    @if changes.part.page == 0 { (tables(name, diff)) }
                    (pages(changes.part, diff))
                    (frame::command(&command(name, since)))
                }
            }
        },
    )
}

/// With which branch it is compared.
fn against(changes: &Changes<'_>) -> Markup {
    let since = changes.diff.map(|(_, since)| since);
    let chosen = match since {
        Some(Since::Branch(name)) => Some(name),
        _ => None,
    };
    html! {
        form.row method="get" {
            label for="against" { "Compared with" }
            select #against name="against" {
                @if let Some(Since::Parting(target)) = since {
                    option value="" selected { "what it had in common with " (target) }
                } @else {
                    option value="" { "what it had when it parted" }
                }
                @for name in changes.names.iter().filter(|name| *name != changes.name) {
                    option value=(name) selected[Some(name) == chosen] { (name) ", as it is now" }
                }
            }
            button.plain { "Compare" }
        }
    }
}

fn in_short(name: &BranchName, diff: &Diff, since: &Since) -> Markup {
    if diff.is_empty() {
        return html! {
            div.note {
                p {
                    @match since {
                        Since::Parting(target) => { "Nothing changed since " (name) " parted from " (target) "." },
                        Since::Branch(base) => { "Nothing is other in " (name) " than in " (base) "." },
                    }
                }
                (left_out(diff))
            }
        };
    }
    let content = &diff.content;
    let mut kinds: BTreeMap<(Change, &str), u64> = BTreeMap::new();
    for found in &content.objects {
        *kinds.entry((found.change, found.object.kind.as_str())).or_default() += 1;
    }
    let of = |change: Change| {
        let of_change = kinds.iter().filter(move |((found, _), _)| *found == change);
        of_change.map(|((_, kind), count)| many(*count, kind)).collect::<Vec<_>>().join(", ")
    };
    let lines: Lines = diff.files.iter().filter_map(|file| file.lines).sum();
    html! {
        ul.short {
            @for (change, word) in [(Change::Added, "New"), (Change::Changed, "Changed"), (Change::Removed, "Gone")] {
                @let kinds = of(change);
                @if !kinds.is_empty() { li { a href="#content" { (word) ": " (said(&kinds)) } } }
            }
            @if !diff.files.is_empty() {
                li { a href="#files" { (many(diff.files.len() as u64, "file")) } " " (counts(lines)) }
            }
            @if !content.tables.is_empty() {
                li { a href="#tables" { (many(content.tables.len() as u64, "other table")) } }
            }
        }
        (left_out(diff))
    }
}

fn left_out(diff: &Diff) -> Markup {
    match diff.content.left_out_rows {
        0 => html! {},
        rows => html! { p.quiet { "Left out: " (many(rows, "row")) " that page views write." } },
    }
}

fn actions(name: &BranchName, since: &Since) -> Markup {
    let into = base(since);
    html! {
        ul.actions {
            li { a.button.primary href={ "/merge?source=" (name) "&into=" (into) } { "Merge into " (into) "…" } }
            li { a.button href={ "/branch/" (name) "#log" } { "Undo…" } }
        }
    }
}

fn command(name: &BranchName, since: &Since) -> String {
    match since {
        Since::Parting(target) => format!("branch diff {name} {target} --patch"),
        Since::Branch(base) => format!("branch diff {name} --base {base} --patch"),
    }
}

fn objects(changes: &Changes<'_>, diff: &Diff, since: &Since, at: &Address) -> Markup {
    let (part, all) = (changes.part, &diff.content.objects);
    let some = all.iter().enumerate().take(part.objects().end).skip(part.objects().start);
    html! {
        @if !all.is_empty() {
            h2 #content { "Content and settings" }
            @for (number, object) in some { (one_object(changes.name, number, object, since, part, at)) }
        }
    }
}

fn sign(change: Change) -> Markup {
    let (class, word) = match change {
        Change::Added => ("tag good", "new"),
        Change::Changed => ("tag doubt", "changed"),
        Change::Removed => ("tag bad", "gone"),
    };
    html! { span class=(class) { (word) } }
}

fn one_object(
    name: &BranchName,
    number: usize,
    object: &ObjectChange,
    since: &Since,
    part: &Part,
    at: &Address,
) -> Markup {
    let place = format!("o{number}");
    let all = part.all_of(&place);
    let label = object.object.to_string();
    // What is shown of it word by word need not be named.
    let details: Vec<_> = object.details.iter().filter(|detail| !is_shown(&detail.name, &object.texts)).collect();
    html! {
        article.change id=(place) {
            h3 { (sign(object.change)) " " (said(&label)) }
            @if !details.is_empty() {
                ul.details { @for detail in details { li { (said(&detail.to_string())) } } }
            }
            @for text in &object.texts { (one_text(text, all.as_deref())) }
            (both(&place, name, object, since, at))
        }
    }
}

/// Whether a part of an object is among its texts.
fn is_shown(detail: &str, texts: &[Text]) -> bool {
    texts.iter().any(|text| field(&text.of) == detail)
}

/// What a column is called.
fn field(column: &str) -> &str {
    match column {
        "post_name" => "slug",
        "user_pass" => "password",
        "option_value" => "value",
        column => {
            ["post_", "comment_", "user_"].iter().find_map(|prefix| column.strip_prefix(prefix)).unwrap_or(column)
        }
    }
}

fn one_text(text: &Text, all: Option<&str>) -> Markup {
    html! {
        div.text {
            h4 { (said(field(&text.of))) }
            @if text.before == text.after {
                p.quiet { "It is a secret, so it is not shown. It changed." }
            } @else {
                (words::changed(&text.before, &text.after, all.map_or(words::Shown::All, words::Shown::Near)))
            }
        }
    }
}

/// Both versions as visitors see them, each from its own branch.
fn both(place: &str, name: &BranchName, object: &ObjectChange, since: &Since, at: &Address) -> Markup {
    let Some(id) = object.object.id else { return html! {} };
    let title = object.object.to_string();
    let [is_before, is_after] = object.is_shown;
    sides::sides(place, &title, &SeenObject::Post(id), [(base(since), is_before), (name, is_after)], at)
}

/// What a branch is compared with.
fn base(since: &Since) -> &BranchName {
    let (Since::Parting(base) | Since::Branch(base)) = since;
    base
}

fn files(changes: &Changes<'_>, diff: &Diff, since: &Since, at: &Address) -> Markup {
    let part = changes.part;
    let lines = changes::lines(&diff.files, &[]);
    let some = lines.iter().enumerate().take(part.files().end).skip(part.files().start);
    html! {
        @if !lines.is_empty() {
            h2 #files { "Files" }
            ul.files { @for (number, line) in some { li id={ "f" (number) } { (one_line(number, line, part)) (pictures(number, line, [base(since), changes.name], at)) } } }
        }
    }
}

/// A picture, before and after.
fn pictures(number: usize, line: &FileLine<'_>, [before, after]: [&BranchName; 2], at: &Address) -> Markup {
    let [is_before, is_after] = match line.status().letter() {
        'A' => [false, true],
        'D' => [true, false],
        'M' => [true, true],
        _ => return html! {},
    };
    if line.is_folder || !is_picture(Path::new(&line.files[0].path)) {
        return html! {};
    }
    let picture = SeenObject::Picture(line.files[0].path.clone());
    sides::sides(&format!("f{number}"), &line.name, &picture, [(before, is_before), (after, is_after)], at)
}

fn one_line(number: usize, line: &FileLine<'_>, part: &Part) -> Markup {
    let (class, word) = match line.status().letter() {
        'A' => ("tag good", "new"),
        'D' => ("tag bad", "gone"),
        'R' => ("tag doubt", "moved"),
        _ => ("tag doubt", "changed"),
    };
    let head = html! {
        span class=(class) { (word) } " " (code(&line.name)) " "
        @if line.is_folder { (many(line.files.len() as u64, "file")) " " (counts(line.lines())) }
        @else { (amount(&line.files[0])) }
    };
    let place = format!("f{number}");
    let all = part.all_of(&place);
    match line.files[0].patch.as_deref().filter(|_| !line.is_folder) {
        Some(patch) if !patch.is_empty() => html! {
            details open[all.is_none()] {
                summary { (head) }
                (shown_patch(hunks(patch), &all.as_deref().map_or(Shown::All, Shown::First), &line.name))
            }
        },
        _ => head,
    }
}

/// How much of a file changed.
fn amount(file: &FileChange) -> Markup {
    html! {
        @match (file.lines, file.bytes) {
            (Some(lines), _) => (counts(lines)),
            (None, Some(Bytes { before: Some(before), after: Some(after) })) => { (size(before)) " → " (size(after)) },
            (None, Some(Bytes { before, after })) => @if let Some(bytes) = before.or(after) { (size(bytes)) },
            (None, None) => {},
        }
        @if let Some((before, after)) = &file.modes { " mode " (before) " → " (after) }
    }
}

/// How many lines came and went.
fn counts(lines: Lines) -> Markup {
    html! {
        @if lines.added > 0 { span.good { "+" (lines.added) } " " }
        @if lines.removed > 0 { span.bad { "−" (lines.removed) } }
    }
}

/// A patch without what Git says before it.
fn hunks(patch: &str) -> &str {
    match patch.find("\n@@ ") {
        Some(at) => &patch[at + 1..],
        None => patch,
    }
}

/// How much of a patch is shown.
enum Shown<'a> {
    All,
    /// The first lines; all of them there.
    First(&'a str),
    /// The first lines, and the terminal has the rest.
    Only,
}

fn shown_patch(patch: &str, shown: &Shown<'_>, of: &str) -> Markup {
    let (most_lines, most_bytes) = match shown {
        Shown::All => (usize::MAX, MOST_BYTES),
        Shown::First(_) | Shown::Only => (PATCH_LINES, PATCH_BYTES),
    };
    let mut room = most_bytes;
    let mut lines = Vec::new();
    for line in patch.lines().take(most_lines) {
        if line.len() > room {
            break;
        }
        room -= line.len() + usize::from(room > line.len());
        lines.push(line);
    }
    let count = patch.lines().count();
    html! {
        div.lines.patch tabindex="0" role="region" aria-label={ "Lines of " (clean(of)) } {
            @for line in &lines { (patch_line(line)) }
        }
        @if lines.len() < count {
            p.all {
                (many((count - lines.len()) as u64, "more line")) ". "
                @match shown {
                    Shown::First(all) => a href=(all) { "Show all of them" },
                    Shown::All | Shown::Only => "The terminal shows them.",
                }
            }
        }
    }
}

fn patch_line(line: &str) -> Markup {
    let text = html! { (clean(line)) };
    html! {
        @match line.as_bytes().first() {
            Some(b'+') => { ins.line { (text) } },
            Some(b'-') => { del.line { (text) } },
            Some(b'@') => { span.line.hunk { (text) } },
            _ => { span.line { (text) } },
        }
    }
}

fn tables(name: &BranchName, diff: &Diff) -> Markup {
    let tables = &diff.content.tables;
    html! {
        @if !tables.is_empty() {
            h2 #tables { "Other tables" }
            @for table in tables.iter().take(TABLES) { (one_table(name, table)) }
            @if tables.len() > TABLES { p { (many((tables.len() - TABLES) as u64, "more table")) "." } }
        }
    }
}

fn one_table(name: &BranchName, table: &TableChange) -> Markup {
    let text = table.to_string();
    // The sign is there as a word.
    let line = text.split_once(' ').map_or(&*text, |(_, line)| line);
    html! {
        article.change {
            h3 { (sign(table.change.unwrap_or(Change::Changed))) " " (said(line)) }
            @if !table.patches.is_empty() {
                details {
                    summary { "Rows" }
                    @for patch in &table.patches {
                        h4 { (said(&patch.of)) }
                        (shown_patch(&patch.patch, &Shown::Only, &patch.of))
                    }
                    @if table.patches.len() >= CELLS {
                        p.all { "There may be more. " (frame::command(&format!("branch diff {name} --patch -- {}", clean(&table.table)))) }
                    }
                }
            }
        }
    }
}

fn pages(part: &Part, diff: &Diff) -> Markup {
    let files = changes::lines(&diff.files, &[]).len().div_ceil(FILES);
    let count = diff.content.objects.len().div_ceil(OBJECTS).max(files);
    html! {
        @if count > 1 {
            nav.pages aria-label="Pages" {
                @if part.page > 0 { a rel="prev" href=(part.href(part.page - 1, None)) { "Previous" } }
                span { "Page " (part.page + 1) " of " (count) }
                @if part.page + 1 < count { a rel="next" href=(part.href(part.page + 1, None)) { "Next" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use forkpress_engine::git::changes::FileStatus;
    use forkpress_engine::merge::diff::{Content, Detail, Label, Patch, RowCounts};

    use super::*;

    const HOSTILE: &str = "</title></summary><script>alert(1)</script>\u{202e}\" onmouseover=x '";

    fn label(kind: &str, id: Option<i64>, title: Option<&str>) -> Label {
        Label { kind: kind.to_owned(), id, title: title.map(str::to_owned), name: None }
    }

    fn object(change: Change, object: Label, texts: &[[&str; 3]]) -> ObjectChange {
        let text = |[of, before, after]: &[&str; 3]| Text {
            of: (*of).to_owned(),
            before: (*before).to_owned(),
            after: (*after).to_owned(),
        };
        let texts = texts.iter().map(text).collect();
        ObjectChange { change, object, details: Vec::new(), patches: Vec::new(), texts, is_shown: [false; 2] }
    }

    fn file(path: &str, status: FileStatus, patch: Option<&str>) -> FileChange {
        FileChange {
            status,
            path: path.to_owned(),
            from: None,
            lines: Some(Lines { added: 1, removed: 2 }),
            bytes: None,
            modes: None,
            folder: None,
            patch: patch.map(str::to_owned),
        }
    }

    fn shown(diff: Diff, query: &str) -> String {
        let names = ["main", "sale", "other"].map(|name| name.parse::<BranchName>().unwrap());
        let part = Part::of(&Fields::parse(query.as_bytes()));
        let since = match &part.against {
            Some(name) => Since::Branch(name.clone()),
            None => Since::Parting(names[0].clone()),
        };
        let diff = (diff, since);
        let changes = Changes { name: &names[1], diff: Some(&diff), names: &names, part: &part };
        let at = Address::of("http", "admin.wp.localhost:18080", "wp.localhost");
        let visitor = Visitor { token: "t".to_owned(), is_signed_in: false };
        page(&changes, &at, &visitor).into_string()
    }

    fn of_objects(objects: Vec<ObjectChange>) -> Diff {
        Diff { files: Vec::new(), content: Content { objects, tables: Vec::new(), left_out_rows: 3 } }
    }

    #[test]
    fn a_changed_page_is_shown_word_by_word_and_as_visitors_see_it() {
        let mut page = object(
            Change::Changed,
            label("page", Some(7), Some("About us")),
            &[["post_title", "About", "About us"], ["post_content", "<p>Our old shop</p>", "<p>Our new shop</p>"]],
        );
        page.details = vec![detail("title"), detail("content"), detail("slug")];
        page.is_shown = [true, true];
        let html = shown(of_objects(vec![page]), "");
        assert!(html.contains("What sale changed") && html.contains("Changed: <bdi>1 page</bdi>"), "{html}");
        assert!(html.contains("<span class=\"hidden\">removed: </span>old</del>"), "{html}");
        assert!(html.contains("<span class=\"markup\">&lt;p&gt;</span>Our "), "{html}");
        assert!(html.contains("<li><bdi>slug</bdi></li>") && !html.contains("<li><bdi>title</bdi></li>"), "{html}");
        for url in ["http://wp.localhost:18080/?p=7", "http://sale.wp.localhost:18080/?p=7"] {
            assert!(html.contains(&format!(" sandbox data-src=\"{url}\" title=\"")), "{html}");
        }
        assert!(html.contains("/merge?source=sale&amp;into=main") && html.contains("Left out: 3 rows"), "{html}");
        assert!(html.contains("forkpress branch diff sale main --patch"), "{html}");
    }

    fn detail(name: &str) -> Detail {
        Detail { name: name.to_owned(), ..Detail::default() }
    }

    #[test]
    fn what_only_one_branch_shows_has_one_frame_and_what_has_no_address_has_none() {
        let with = |is_shown| {
            let mut page = object(Change::Added, label("page", Some(7), Some("x")), &[]);
            page.is_shown = is_shown;
            shown(of_objects(vec![page]), "")
        };
        assert_eq!(with([false, true]).matches("<iframe").count(), 1);
        assert_eq!(with([false, false]).matches("<iframe").count(), 0);
    }

    #[test]
    fn a_picture_is_shown_where_it_is() {
        let frames = |path: &str, status| {
            let diff = Diff { files: vec![file(path, status, None)], ..of_objects(Vec::new()) };
            let html = shown(diff, "");
            ["sale.wp.localhost", "wp.localhost"]
                .map(|host| html.contains(&format!("data-src=\"http://{host}:18080/{path}\"")))
        };
        assert_eq!(frames("wp-content/a.PNG", FileStatus::Modified), [true, true]);
        assert_eq!(frames("wp-content/a.PNG", FileStatus::Added), [true, false]);
        assert_eq!(frames("wp-content/a.php", FileStatus::Modified), [false, false], "nothing that would run");
    }

    #[test]
    fn nothing_of_a_site_is_markup() {
        let mut bad = object(Change::Added, label(HOSTILE, Some(1), Some(HOSTILE)), &[[HOSTILE, HOSTILE, "x"]]);
        bad.details = vec![Detail { added: vec![HOSTILE.to_owned()], ..detail(HOSTILE) }];
        bad.is_shown = [true, true];
        let patch =
            format!("diff --git a/x b/x\n--- a\n+++ b\n@@ -1 +1 @@ {HOSTILE}\n-{HOSTILE}\n+{HOSTILE}\n {HOSTILE}\n");
        let table = TableChange {
            change: None,
            table: HOSTILE.to_owned(),
            definition: vec![Detail { added: vec![HOSTILE.to_owned()], ..detail(HOSTILE) }],
            rows: Some(RowCounts { added: 1, ..RowCounts::default() }),
            patches: vec![Patch { of: HOSTILE.to_owned(), patch: patch.clone() }],
        };
        let diff = Diff {
            files: vec![file(HOSTILE, FileStatus::Added, Some(&patch))],
            content: Content { objects: vec![bad], tables: vec![table], left_out_rows: 0 },
        };
        for query in ["", "whole=f0", "whole=%22%3E%3Cscript%3E", "against=other"] {
            let html = shown(diff_again(&diff), query);
            assert!(
                !html.contains("<script>") && !html.contains('\u{202e}') && !html.contains("\" onmouseover"),
                "{html}"
            );
            assert!(!html.contains(" style="), "{html}");
            assert_eq!(html.matches("</title>").count(), 1, "{html}");
        }
    }

    /// The same, as nothing of it can be cloned.
    fn diff_again(diff: &Diff) -> Diff {
        let Content { objects, tables, left_out_rows } = &diff.content;
        let again = |details: &[Detail]| {
            let detail = |known: &Detail| Detail { added: known.added.clone(), ..detail(&known.name) };
            details.iter().map(detail).collect::<Vec<_>>()
        };
        let objects = objects.iter().map(|known| ObjectChange {
            change: known.change,
            object: known.object.clone(),
            details: again(&known.details),
            patches: Vec::new(),
            texts: known.texts.clone(),
            is_shown: known.is_shown,
        });
        let tables = tables.iter().map(|known| TableChange {
            change: known.change,
            table: known.table.clone(),
            definition: again(&known.definition),
            rows: known.rows,
            patches: known
                .patches
                .iter()
                .map(|patch| Patch { of: patch.of.clone(), patch: patch.patch.clone() })
                .collect(),
        });
        let files = diff.files.iter().map(|known| file(&known.path, known.status, known.patch.as_deref()));
        let content = Content { objects: objects.collect(), tables: tables.collect(), left_out_rows: *left_out_rows };
        Diff { files: files.collect(), content }
    }

    #[test]
    fn much_is_shown_page_by_page() {
        let many = |count: i64| {
            let page = |id| object(Change::Added, label("page", Some(id), Some("x")), &[]);
            of_objects((0..count).map(page).collect())
        };
        assert!(!shown(many(20), "").contains("<nav class=\"pages\""));
        let second = shown(many(50), "page=2&against=other");
        assert!(
            second.contains("Page 2 of 3") && second.contains("id=\"o20\"") && !second.contains("id=\"o19\""),
            "{second}"
        );
        assert!(
            second.contains("href=\"?against=other&amp;page=1\"")
                && second.contains("href=\"?against=other&amp;page=3\"")
        );
        assert!(second.contains("branch diff sale --base other"));
        assert_eq!(shown(many(50), "").matches("<article").count(), OBJECTS);
        for query in ["page=0", "page=-1", "page=99999999999999999999999", "page=x", "against=../x", "whole="] {
            shown(many(50), query);
        }
        assert_eq!(Part::of(&[("page", "3")].into()).window().objects, 40..60);
    }

    #[test]
    fn a_long_patch_is_cut_and_leads_to_all_of_it() {
        let patch = format!("diff --git a/x b/x\nindex 1..2\n@@ -0,0 +1,900 @@\n{}", "+line\n".repeat(900));
        let diff =
            |patch: &str| Diff { files: vec![file("a.css", FileStatus::Added, Some(patch))], ..of_objects(Vec::new()) };
        let cut = shown(diff(&patch), "");
        assert_eq!(cut.matches("<ins class=\"line\">").count(), PATCH_LINES - 1);
        assert!(cut.contains("701 more lines") && cut.contains("href=\"?page=1&amp;whole=f0#f0\""), "{cut}");
        assert!(!cut.contains("index 1..2"), "what Git says first is left out");
        let all = shown(diff(&patch), "whole=f0");
        assert_eq!(all.matches("<ins class=\"line\">").count(), 900);
        assert!(all.contains("<details open>") && !all.contains("more line"), "{all}");
        let one_line = format!("@@ x\n+{}\n", "x".repeat(3 << 20));
        let huge = shown(diff(&format!("diff\n{one_line}")), "whole=f0");
        assert!(huge.len() < 20_000 && huge.contains("1 more line"), "{}", huge.len());
    }

    #[test]
    fn a_branch_that_came_from_no_other_one_is_compared_with_one_that_is_chosen() {
        let names = ["main", "sale"].map(|name| name.parse::<BranchName>().unwrap());
        let part = Part::default();
        let changes = Changes { name: &names[0], diff: None, names: &names, part: &part };
        let at = Address::of("http", "admin.wp.localhost", "wp.localhost");
        let html = page(&changes, &at, &Visitor { token: String::new(), is_signed_in: false }).into_string();
        assert!(
            html.contains("Branch main came from no other one") && html.contains("<option value=\"sale\">"),
            "{html}"
        );
        assert!(!html.contains("<option value=\"main\">") && !html.contains("/merge?"), "{html}");
    }

    #[test]
    fn what_is_secret_is_said_to_have_changed() {
        let secret = object(
            Change::Changed,
            Label { name: Some("mailserver_pass".to_owned()), ..label("option", None, None) },
            &[["option_value", "[redacted]", "[redacted]"]],
        );
        let html = shown(of_objects(vec![secret]), "");
        assert!(html.contains("option mailserver_pass") && html.contains("It is a secret"), "{html}");
    }

    #[test]
    fn a_folder_that_came_as_a_whole_is_one_line_and_nothing_is_said_to_be_nothing() {
        let files = (0..6).map(|number| FileChange {
            folder: Some("wp-content/plugins/x".to_owned()),
            ..file(&format!("wp-content/plugins/x/{number}.php"), FileStatus::Added, None)
        });
        let html = shown(Diff { files: files.collect(), ..of_objects(Vec::new()) }, "");
        assert!(html.contains("wp-content/plugins/x/</bdi></code> 6 files"), "{html}");
        assert_eq!(html.matches("<li id=\"f").count(), 1);
        let html = shown(of_objects(Vec::new()), "");
        assert!(html.contains("Nothing changed since sale parted from main"), "{html}");
    }
}
