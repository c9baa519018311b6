//! Jobs: what was started here, how far it is, and what came of it.

use forkpress_core::record::rfc3339;
use forkpress_engine::jobs::{Job, JobState, Measure};
use maud::{Markup, html};
use serde_json::Value;

use super::frame::{self, Visitor};
use super::refused;
use super::text::{clean, code, moment, said, size};
use crate::backstage::{Failed, Told};
use crate::live::Fragment;

/// How often a page without JavaScript looks again, in seconds.
const LOOK_AGAIN: &str = "2";

/// The list.
pub fn list(jobs: &[Job], visitor: &Visitor) -> Markup {
    frame::page(
        "Jobs",
        "/jobs",
        Some(visitor),
        html! {
            p { "What was started on this page runs as a job, also when you close the page or the server stops." }
            (list_region(jobs).in_page())
            (frame::command("jobs"))
        },
    )
}

/// What changes of the list.
pub fn list_region(jobs: &[Job]) -> Fragment {
    let content = html! {
        @if jobs.is_empty() {
            p.quiet { "There is no job yet." }
        } @else {
            table.rows {
                caption.hidden { "Jobs, newest first" }
                thead { tr { th scope="col" { "Job" } th scope="col" { "State" } th scope="col" { "Started" } th scope="col" { "By" } } }
                tbody {
                    @for job in jobs {
                        tr {
                            th scope="row" { a href={ "/jobs/" (job.id) } { (job.id) ": " (said(&job.title)) } }
                            td data-name="State" { (state(job)) }
                            td data-name="Started" { (moment(&rfc3339(job.began))) }
                            td data-name="By" { (said(&job.by)) }
                        }
                    }
                }
            }
        }
    };
    Fragment::new("jobs", content)
}

fn state(job: &Job) -> Markup {
    match job.state {
        JobState::Running { .. } => html! { span.doubt { "running" } },
        JobState::Ended { exit: 0, took } => {
            html! { span.good { "done" } ", took " (format!("{:.1} s", took.as_secs_f64())) }
        }
        JobState::Ended { took, .. } => {
            html! { span.bad { "failed" } ", took " (format!("{:.1} s", took.as_secs_f64())) }
        }
        JobState::Died => html! { span.bad { "died" } },
    }
}

/// One job.
pub fn page(told: &Told, visitor: &Visitor) -> Markup {
    let job = &told.job;
    let look_again = job.is_running().then(|| html! { meta http-equiv="refresh" content=(LOOK_AGAIN); });
    frame::page_with(
        look_again,
        &format!("Job {}: {}", job.id, clean(&job.title)),
        "/jobs",
        Some(visitor),
        html! {
            (region(told).in_page())
            @if job.is_running() {
                // It goes with the sign above that the job runs.
                form.stop method="post" action={ "/jobs/" (job.id) } {
                    (visitor.token_field())
                    p.buttons { button.danger { "Stop it" } span.quiet { "As Ctrl-C does: it cleans up, and nothing half-done stays." } }
                }
            }
            (frame::command(&format!("jobs --follow {}", job.id)))
        },
    )
}

/// What changes of it while it runs. It is the same for all who look.
pub fn region(told: &Told) -> Fragment {
    let Told { job, lines, answer, .. } = told;
    let content = html! {
        dl.facts data-running[job.is_running()] {
            dt { "State" } dd { span role="status" { (state(job)) } }
            dt { "Command" } dd { (code(&job.typed())) }
            dt { "Started" } dd { (moment(&rfc3339(job.began))) " by " (said(&job.by)) }
        }
        @if job.is_running() { (progress(lines)) }
        (outcome(told, answer.as_ref()))
        @if !lines.is_empty() {
            details open[job.is_running()] {
                summary { "What it told" }
                div.lines tabindex="0" role="region" aria-label="Progress" { pre { @for line in lines { bdi { (clean(line)) } "\n" } } }
            }
        }
    };
    Fragment::new("job", content)
}

fn progress(lines: &[String]) -> Markup {
    let last = lines.iter().rev().find_map(|line| Measure::parse(line));
    html! {
        @if let Some(Measure { step, done, total, in_bytes }) = last {
            p {
                label for="progress" { (said(step)) }
                progress #progress value=(done) max=(total.max(1)) {}
                " " @if in_bytes { (size(done)) " of " (size(total)) } @else { (done) " of " (total) }
            }
        } @else {
            p { progress aria-label="It runs" {} }
        }
    }
}

/// What came of it, and where to go from there.
fn outcome(told: &Told, answer: Option<&Value>) -> Markup {
    let job = &told.job;
    let is_export = job.command.first().is_some_and(|word| word == "export");
    match job.state {
        JobState::Running { .. } => html! {},
        JobState::Died => html! {
            div.problem role="alert" { p { "It was killed, or the machine went down. The next command brings the site in order by itself." } }
        },
        JobState::Ended { exit: 0, .. } => html! {
            div.note {
                @for line in results(answer) { p { (line) } }
                @match told.output.filter(|_| is_export) {
                    Some(bytes) => {
                        p { a.button.primary href={ "/jobs/" (job.id) "/file" } { "Download the file" } " (" (size(bytes)) ")" }
                        p.quiet { "It is kept for a day." }
                    },
                    None => @if is_export { p { "The file is not kept any more. Export it once more." } },
                }
                @if let Some(operation) = job.operation() {
                    p { a href={ "/do/undo?id=" (operation) } { "Undo this…" } " (operation " (operation) ")" }
                }
            }
        },
        JobState::Ended { exit, .. } => html! {
            @if let Some(failed) = answer.and_then(failed) { (refused::reasons(&failed)) }
            @else { div.problem role="alert" { p { "It failed, with exit status " (exit) "." } } }
            @if let Some((source, into)) = conflicts(&job.command, answer) {
                p { a.button.primary href={ "/merge?source=" (source) "&into=" (into) } { "Decide the conflicts…" } }
            }
        },
    }
}

/// A merge that was refused for conflicts, also for answers that fit no more.
fn conflicts<'a>(command: &'a [String], answer: Option<&'a Value>) -> Option<(&'a str, &'a str)> {
    let is_merge = command.iter().map(String::as_str).take(2).eq(["branch", "merge"]);
    let source = command.get(2)?;
    let into = command.iter().skip_while(|word| *word != "--into").nth(1)?;
    answer.filter(|_| is_merge).map(|_| (source.as_str(), into.as_str()))
}

/// What a failed command printed.
fn failed(answer: &Value) -> Option<Failed> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let causes = answer["causes"].as_array().map(|causes| causes.iter().filter_map(text).collect());
    Some(Failed {
        error: text(&answer["error"])?,
        causes: causes.unwrap_or_default(),
        hint: text(&answer["hint"]),
        is_missing: false,
    })
}

/// What a command's answer says, as links where there is something to look at.
fn results(answer: Option<&Value>) -> Vec<Markup> {
    let Some(answer) = answer else { return Vec::new() };
    let names = |key: &str| match &answer[key] {
        Value::String(name) => vec![name.clone()],
        Value::Array(names) => names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    let branch = |name: &str| html! { a href={ "/branch/" (name) } { (name) } };
    let mut lines: Vec<Markup> = Vec::new();
    for (key, what) in [("created", "was created"), ("reset", "was reset"), ("imported", "was imported")] {
        lines.extend(names(key).iter().map(|name| html! { "Branch " (branch(name)) " " (what) "." }));
    }
    lines.extend(names("deleted").iter().map(|name| html! { "Branch " (said(name)) " was deleted." }));
    if let (Some(source), Some(into)) = (answer["merged"].as_str(), answer["into"].as_str()) {
        let count = |key: &str| answer[key].as_u64().unwrap_or_default();
        lines.push(html! {
            (branch(source)) " was merged into " (branch(into)) ": "
            (super::text::many(count("files"), "file")) ", " (super::text::many(count("rows"), "row")) "."
        });
        lines.extend(names("notes").iter().map(|note| html! { (said(note)) }));
    }
    if let Some(undone) = answer["undone"].as_u64() {
        lines.push(html! { "Operation " (undone) " was undone." });
    }
    if let Some(bytes) = answer["bytes"].as_u64().filter(|_| answer.get("dropped").is_some()) {
        lines.push(html! { (size(bytes)) " were freed." });
    }
    if lines.is_empty() {
        lines.push(html! { "It is done." });
    }
    lines
}
