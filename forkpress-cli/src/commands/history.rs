//! `forkpress log`, `forkpress undo` and `forkpress gc`.

use std::path::Path;
use std::time::Duration;

use forkpress_core::name::BranchName;
use forkpress_engine::jobs;
use forkpress_engine::mutation;
use forkpress_engine::mutation::gc;
use forkpress_engine::mutation::history::{History, LogEntry, Operation};
use forkpress_engine::mutation::keep::{self, Surplus};
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use super::changed::{self, patience};
use crate::cli::{GcArgs, LogArgs, UndoArgs};
use crate::failure::Failure;
use crate::{clean, output, progress, site};

/// Lists the operations, newest first.
pub fn log(work_dir: Option<&Path>, args: &LogArgs, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    let history = History::read(site.layout.cow())?;
    let entries = history.entries.iter().rev().take(args.lines);
    let is_kept = |entry: &LogEntry| history.is_kept(site.layout.cow(), entry);
    if as_json {
        let rows: Vec<_> = entries.map(|entry| row(entry, history.undone_by(entry.id), is_kept(entry))).collect();
        output::json(&rows)?;
        return Ok(());
    }
    if history.entries.is_empty() {
        output::line("forkpress: no operation yet")?;
    }
    for entry in entries {
        let state = match history.undone_by(entry.id) {
            Some(by) => format!("  undone by {by}"),
            None if !is_kept(entry) => "  can't be undone: not kept any more".to_owned(),
            None => String::new(),
        };
        let LogEntry { id, user, pid, program, .. } = entry;
        let took = duration(entry.took_ms.map(Duration::from_millis), "died, finished later");
        let held = duration(entry.held_us.map(Duration::from_micros), "unknown");
        output::line(format_args!(
            "{id:>4}  {}  {entry}  took {took}, exclusive {held}  by {user}, process {pid} ({program}){state}",
            entry.began()
        ))?;
    }
    Ok(())
}

pub fn duration(duration: Option<Duration>, unknown: &str) -> String {
    duration.map_or(unknown.to_owned(), |duration| match duration.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1000.0),
        seconds => format!("{seconds:.1} s"),
    })
}

fn row(entry: &LogEntry, undone_by: Option<u64>, is_kept: bool) -> Value {
    json!({
        "id": entry.id,
        "operation": entry.operation,
        "name": entry.name.as_str(),
        "names": entry.names().map(BranchName::as_str).collect::<Vec<_>>(),
        "from": entry.from.as_ref().map(BranchName::as_str),
        "with": entry.with,
        "undoes": entry.undoes,
        "undone_by": undone_by,
        "kept": is_kept,
        "at": entry.began(),
        "user": entry.user,
        "pid": entry.pid,
        "program": entry.program,
        "took_seconds": entry.took_ms.map(|ms| Duration::from_millis(ms).as_secs_f64()),
        "held_seconds": entry.held_us.map(|us| Duration::from_micros(us).as_secs_f64()),
    })
}

/// Takes an operation back.
pub fn undo(work_dir: Option<&Path>, args: &UndoArgs, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    let report = mutation::undo(&site, args.id, &mut patience(&args.wait), &*progress::shown(as_json))?;
    let (undone, name) = (report.operation.undoes.unwrap_or_default(), &report.operation.name);
    let names: Vec<_> = report.operation.names().map(BranchName::as_str).collect();
    if as_json {
        let ready = changed::wait_for(&site, &args.ready, &args.wait, &report)?;
        changed::told(json!({ "undone": undone, "name": name.as_str(), "names": names }), &report, &ready)?;
    } else {
        let now = match report.operation.before {
            _ if !site.layout.branch(name).is_dir() => "gone",
            Some(_) => "what it was before",
            None => "back",
        };
        match names.len() {
            1 => output::line(format_args!("forkpress: undid operation {undone}: branch '{name}' is {now}"))?,
            many => output::line(format_args!("forkpress: undid operation {undone}: {many} branches are {now}"))?,
        }
        if History::read(site.layout.cow())?.get(undone).is_some_and(|undone| undone.operation == Operation::Merge) {
            let again = report.operation.id;
            output::note(format_args!(
                "forkpress: what was written to '{name}' since the merge is kept: forkpress undo {again} brings it back"
            ));
        }
        changed::tell_ready(&site, &changed::wait_for(&site, &args.ready, &args.wait, &report)?)?;
    }
    clean::in_background(&site);
    Ok(())
}

/// Frees what is kept beyond the site's bounds.
pub fn gc(work_dir: Option<&Path>, args: &GcArgs, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    let dropped = if args.dry_run {
        keep::surplus(&site)?
    } else {
        let dropped = gc::drop_surplus(&site, &mut patience(&args.wait), &*progress::shown(as_json))?;
        keep::empty_trash(&site)?;
        jobs::sweep(&site.layout)?;
        dropped
    };
    let bytes: u64 = dropped.iter().map(|surplus| surplus.bytes).sum();
    if as_json {
        let row = |Surplus { operation, bytes, why }: &Surplus| json!({ "operation": operation.id, "bytes": bytes, "why": why.to_string() });
        let rows: Vec<_> = dropped.iter().map(row).collect();
        output::json(&json!({ "dry_run": args.dry_run, "bytes": bytes, "dropped": rows }))?;
        return Ok(());
    }
    for Surplus { operation, bytes, why } in &dropped {
        output::line(format_args!("{:>4}  {operation}  {}  {why}", operation.id, HumanBytes(*bytes)))?;
    }
    let (trees, freed) = (HumanCount(dropped.len() as u64), if args.dry_run { "would free" } else { "freed" });
    output::line(format_args!("forkpress: {freed} {} of {trees} kept trees", HumanBytes(bytes))).map_err(Failure::from)
}
