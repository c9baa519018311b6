//! `forkpress branch diff`: what a branch changed, as lines for people, or as JSON.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io;

use console::Style;
use forkpress_engine::branch;
use forkpress_engine::git::changes::{self, Bytes, FileChange, FileLine, FileStatus, Lines};
use forkpress_engine::merge::diff::{self, Change, Diff, Options, Patch, RowCounts, Since};
use forkpress_engine::site::Site;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use crate::cli::DiffArgs;
use crate::failure::Failure;
use crate::{output, progress};

/// How far to the right the numbers of lines stand at most.
const WIDEST_PATH: usize = 72;

/// Compares, and prints what changed.
pub fn run(site: &Site, args: &DiffArgs, as_json: bool) -> Result<(), Failure> {
    let since = since(site, args)?;
    let options = Options { patch: args.patch, all: args.all, only: args.only.clone(), window: None };
    let progress = progress::shown(as_json);
    progress.begin("compare", None);
    let diff = diff::diff(site, &args.name, &since, &options)?;
    progress.end();
    if as_json {
        output::json(&to_json(args, &since, &diff)?)?;
    } else if diff.is_empty() {
        nothing(args, &since, &diff)?;
    } else if args.stat {
        stat(&diff)?;
    } else {
        show(args, &diff)?;
    }
    Ok(())
}

fn since(site: &Site, args: &DiffArgs) -> Result<Since, Failure> {
    let branch = branch::show(site, &args.name)?;
    if let Some(base) = &args.base {
        return Ok(Since::Branch(branch::show(site, base)?.name));
    }
    let target = args.target.clone().or(branch.record.from).ok_or_else(|| {
        Failure::new(format!("branch '{}' came from no other one", args.name))
            .hint(format!("name one: forkpress branch diff {} BRANCH", args.name))
    })?;
    Ok(Since::Parting(target))
}

/// The whole of it; each object and each table also as the line that people get.
fn to_json(args: &DiffArgs, since: &Since, diff: &Diff) -> Result<Value, Failure> {
    let mut all = serde_json::to_value(diff)?;
    for (number, object) in diff.content.objects.iter().enumerate() {
        all["objects"][number]["text"] = object.to_string().into();
    }
    for (number, table) in diff.content.tables.iter().enumerate() {
        all["tables"][number]["text"] = table.to_string().into();
    }
    all["branch"] = args.name.as_str().into();
    all["since"] = match since {
        Since::Parting(target) => json!({ "parted_from": target.as_str() }),
        Since::Branch(name) => json!({ "branch": name.as_str() }),
    };
    Ok(all)
}

fn nothing(args: &DiffArgs, since: &Since, diff: &Diff) -> io::Result<()> {
    let name = &args.name;
    match since {
        Since::Parting(target) => {
            output::line(format_args!("forkpress: nothing changed since '{name}' parted from '{target}'"))?;
        }
        Since::Branch(base) => output::line(format_args!("forkpress: nothing is other in '{name}' than in '{base}'"))?,
    }
    left_out(diff)
}

fn left_out(diff: &Diff) -> io::Result<()> {
    match diff.content.left_out_rows {
        0 => Ok(()),
        rows => {
            let line = format!("left out: {} (--all shows them)", written_by_views(rows));
            output::marked(&Style::new().dim(), &line, "")
        }
    }
}

fn written_by_views(rows: u64) -> String {
    format!("{} that page views write", many(rows, "row"))
}

/// So many of something.
fn many(count: u64, what: &str) -> String {
    let count_of = HumanCount(count);
    match what.strip_suffix('y') {
        _ if count == 1 => format!("{count_of} {what}"),
        Some(stem) if !stem.ends_with(['a', 'e', 'o']) => format!("{count_of} {stem}ies"),
        _ => format!("{count_of} {what}s"),
    }
}

fn of_change(change: Change) -> Style {
    match change {
        Change::Added => Style::new().green(),
        Change::Changed => Style::new().yellow(),
        Change::Removed => Style::new().red(),
    }
}

/// Writes a line that begins with the sign of a change.
fn signed(change: Change, line: impl Display) -> io::Result<()> {
    let line = line.to_string();
    let (sign, rest) = line.split_at(1);
    output::marked(&of_change(change), &format!("  {sign}"), rest)
}

fn heading(text: &str) -> io::Result<()> {
    output::marked(&Style::new().bold(), text, "")
}

fn show(args: &DiffArgs, diff: &Diff) -> io::Result<()> {
    if !diff.files.is_empty() {
        heading("files")?;
        show_files(args, &diff.files)?;
        output::line("")?;
    }
    if !diff.content.objects.is_empty() {
        heading("content")?;
        for object in &diff.content.objects {
            signed(object.change, object)?;
            show_patches(&object.patches)?;
        }
        output::line("")?;
    }
    if !diff.content.tables.is_empty() {
        heading("tables")?;
        for table in &diff.content.tables {
            signed(table.change.unwrap_or(Change::Changed), table)?;
            show_patches(&table.patches)?;
        }
        output::line("")?;
    }
    output::line(totals(diff))?;
    left_out(diff)
}

/// What there is of each, in one line.
fn totals(diff: &Diff) -> String {
    let counts =
        [(diff.files.len(), "file"), (diff.content.objects.len(), "object"), (diff.content.tables.len(), "table")];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts.map(|(count, what)| many(count as u64, what)).collect();
    format!("{} changed", counts.join(", "))
}

fn show_files(args: &DiffArgs, files: &[FileChange]) -> io::Result<()> {
    if args.patch {
        return files.iter().filter_map(|file| file.patch.as_deref()).try_for_each(|patch| show_patch("", patch));
    }
    let lines = changes::lines(files, &args.only);
    let widths = lines.iter().map(|line| line.name.chars().count()).filter(|width| *width <= WIDEST_PATH);
    let width = widths.max().unwrap_or_default();
    for line in &lines {
        let style = of_change(match line.status() {
            FileStatus::Added => Change::Added,
            FileStatus::Deleted => Change::Removed,
            FileStatus::Modified | FileStatus::Renamed | FileStatus::Retyped => Change::Changed,
        });
        let rest = format!(" {:width$}  {}", line.name, size_of(line));
        output::marked(&style, &format!("  {}", line.status().letter()), rest.trim_end())?;
    }
    Ok(())
}

/// How much of a line changed.
fn size_of(line: &FileLine<'_>) -> String {
    if !line.is_folder {
        return size(&line.files[0]);
    }
    let files = many(line.files.len() as u64, "file");
    match counts(line.lines()) {
        counts if counts.is_empty() => files,
        counts => format!("{counts} in {files}"),
    }
}

/// How much of a file changed.
fn size(file: &FileChange) -> String {
    let mut parts = Vec::new();
    match (file.lines, file.bytes) {
        (Some(lines), _) => parts.push(counts(lines)),
        (None, Some(Bytes { before: Some(before), after: Some(after) })) => {
            parts.push(format!("{} -> {}", HumanBytes(before), HumanBytes(after)));
        }
        (None, Some(Bytes { before, after })) => {
            parts.extend(before.or(after).map(|bytes| HumanBytes(bytes).to_string()))
        }
        (None, None) => {}
    }
    if let Some((before, after)) = &file.modes {
        let permissions = |mode: &str| mode.trim_start_matches("100").to_owned();
        parts.push(format!("mode {} -> {}", permissions(before), permissions(after)));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("  ")
}

/// `+3 -1`; what is zero is not there.
fn counts(lines: Lines) -> String {
    let signed = [('+', lines.added), ('-', lines.removed)].into_iter().filter(|(_, count)| *count > 0);
    signed.map(|(sign, count)| format!("{sign}{}", HumanCount(count))).collect::<Vec<_>>().join(" ")
}

fn show_patches(patches: &[Patch]) -> io::Result<()> {
    for Patch { of, patch } in patches {
        output::marked(&Style::new().bold(), &format!("    {of}"), "")?;
        show_patch("    ", patch)?;
    }
    Ok(())
}

fn show_patch(indent: &str, patch: &str) -> io::Result<()> {
    for line in patch.lines() {
        let style = match line.as_bytes() {
            [b'+', b'+', b'+', b' ', ..] | [b'-', b'-', b'-', b' ', ..] if indent.is_empty() => Style::new().bold(),
            [b'+', ..] => Style::new().green(),
            [b'-', ..] => Style::new().red(),
            [b'@', ..] => Style::new().cyan(),
            [b' ', ..] | [] => Style::new(),
            _ => Style::new().bold(),
        };
        output::marked(&style, &format!("{indent}{line}"), "")?;
    }
    Ok(())
}

/// Prints only how much changed.
fn stat(diff: &Diff) -> io::Result<()> {
    let mut rows = Vec::new();
    if !diff.files.is_empty() {
        let sum: Lines = diff.files.iter().filter_map(|file| file.lines).sum();
        let changes = diff.files.iter().map(|file| match file.status {
            FileStatus::Added => (Change::Added, "file"),
            FileStatus::Deleted => (Change::Removed, "file"),
            FileStatus::Modified | FileStatus::Renamed | FileStatus::Retyped => (Change::Changed, "file"),
        });
        rows.push(("files", [summed(changes), vec![counts(sum)]].concat()));
    }
    if !diff.content.objects.is_empty() {
        rows.push(("content", summed(diff.content.objects.iter().map(|found| (found.change, &*found.object.kind)))));
    }
    if !diff.content.tables.is_empty() {
        let tables = &diff.content.tables;
        let rows_of = tables.iter().filter_map(|table| table.rows).fold(RowCounts::default(), |sum, rows| RowCounts {
            added: sum.added + rows.added,
            changed: sum.changed + rows.changed,
            removed: sum.removed + rows.removed,
        });
        let changes = tables.iter().map(|table| (table.change.unwrap_or(Change::Changed), "table"));
        rows.push(("tables", [summed(changes), vec![rows_of.to_string()]].concat()));
    }
    if diff.content.left_out_rows > 0 {
        rows.push(("left out", vec![written_by_views(diff.content.left_out_rows)]));
    }
    for (what, mut parts) in rows {
        parts.retain(|part| !part.is_empty());
        output::line(format_args!("{what:8}  {}", parts.join("   ")))?;
    }
    Ok(())
}

/// How many of each kind came, changed and went.
fn summed<'a>(changes: impl Iterator<Item = (Change, &'a str)>) -> Vec<String> {
    let mut counts: BTreeMap<Change, BTreeMap<&str, u64>> = BTreeMap::new();
    for (change, kind) in changes {
        *counts.entry(change).or_default().entry(kind).or_default() += 1;
    }
    let of_change = |(change, kinds): (Change, BTreeMap<&str, u64>)| {
        let kinds: Vec<_> = kinds.into_iter().map(|(kind, count)| many(count, kind)).collect();
        format!("{} {}", change.sign(), kinds.join(", "))
    };
    counts.into_iter().map(of_change).collect()
}
