//! `forkpress branch merge` and `forkpress branch conflicts`: a branch comes home, or what is to be decided first is listed.

use std::io::{self, Read};

use console::Style;
use forkpress_engine::merge::Side;
use forkpress_engine::merge::answers::Answers;
use forkpress_engine::merge::branches::{self, Outcome, Request, Summary};
use forkpress_engine::merge::conflict::OpenConflict;
use forkpress_engine::site::Site;
use indicatif::HumanCount;
use serde_json::{Value, json};

use crate::cli::{ConflictsArgs, MergeArgs, PairArgs};
use crate::commands::changed::{self, patience};
use crate::failure::{During, Failure};
use crate::{output, progress};

/// How many lines of a value are shown.
const MOST_LINES: usize = 6;

/// Merges, and says what was done or is to be decided.
pub fn run(site: &Site, args: &MergeArgs, as_json: bool) -> Result<(), Failure> {
    let pair = &args.pair;
    let answers = answers(args)?;
    let request =
        Request { source: &pair.name, target: &pair.into, base: pair.base.as_ref(), answers, dry_run: args.dry_run };
    let outcome = branches::merge(site, &request, &mut patience(&args.wait), &*progress::shown(as_json))?;
    match outcome {
        Outcome::Conflicts(conflicts) => Err(refuse(pair, &conflicts, as_json)?),
        Outcome::Nothing if as_json => Ok(output::json(&told(pair, &Summary::default()))?),
        Outcome::Nothing => {
            let PairArgs { name, into, .. } = pair;
            Ok(output::line(format_args!("forkpress: nothing to merge: '{into}' has all that '{name}' changed"))?)
        }
        Outcome::WouldMerge(summary) if as_json => Ok(output::json(&told(pair, &summary))?),
        Outcome::WouldMerge(summary) => tell(pair, &summary, "would merge"),
        Outcome::Merged(report, summary) => {
            let ready = changed::wait_for(site, &args.ready, &args.wait, &report)?;
            if as_json {
                return changed::told(told(pair, &summary), &report, &ready);
            }
            tell(pair, &summary, "merged")?;
            output::note(format_args!("forkpress: to take it back: forkpress undo {}", report.operation.id));
            changed::tell_ready(site, &ready)
        }
    }
}

/// Lists what is to be decided before a merge.
pub fn conflicts(site: &Site, args: &ConflictsArgs, as_json: bool) -> Result<(), Failure> {
    let pair = &args.pair;
    let answers = Answers::new(None, pair.exclude.clone());
    let (source, target) = (&pair.name, &pair.into);
    let request = Request { source, target, base: pair.base.as_ref(), answers, dry_run: true };
    let outcome = branches::merge(site, &request, &mut patience(&args.wait), &*progress::shown(as_json))?;
    let conflicts = if let Outcome::Conflicts(conflicts) = outcome { conflicts } else { Vec::new() };
    if as_json {
        return Ok(output::json(&conflicts.iter().map(to_fill_in).collect::<Vec<_>>())?);
    }
    if conflicts.is_empty() {
        return Ok(output::line(format_args!("forkpress: no conflicts: '{source}' can be merged into '{target}'"))?);
    }
    show(pair, &conflicts)
}

fn answers(args: &MergeArgs) -> Result<Answers, Failure> {
    let otherwise = match (args.ours, args.theirs) {
        (true, _) => Some(Side::Ours),
        (_, true) => Some(Side::Theirs),
        _ => None,
    };
    let mut answers = Answers::new(otherwise, args.pair.exclude.clone());
    if let Some(path) = &args.resolve {
        let read = || -> io::Result<String> {
            if path.as_os_str() != "-" {
                return std::fs::read_to_string(path);
            }
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            Ok(text)
        };
        let what = || match path.to_str() {
            Some("-") => "cannot use standard input".to_owned(),
            _ => format!("cannot use {}", path.display()),
        };
        answers.read(&read().during(what)?).during(what)?;
    }
    Ok(answers)
}

/// Lists conflicts, and gives the failure that they are.
fn refuse(pair: &PairArgs, conflicts: &[OpenConflict], as_json: bool) -> Result<Failure, Failure> {
    let PairArgs { name, into, .. } = pair;
    let count = if conflicts.len() == 1 { "1 conflict".to_owned() } else { format!("{} conflicts", conflicts.len()) };
    let failure = Failure::new(format!("{count}: '{into}' is as it was")).hint(format!(
        "--ours or --theirs decides all of them; or fill in each \"take\" of a file:\n  \
         forkpress branch conflicts {name} --into {into} --json >answers.json\n  \
         forkpress branch merge {name} --into {into} --resolve answers.json"
    ));
    if !as_json {
        show(pair, conflicts)?;
        return Ok(failure);
    }
    let mut what = told(pair, &Summary::default());
    what["conflicts"] = serde_json::to_value(conflicts)?;
    output::json(&what)?;
    Ok(failure.told())
}

fn told(pair: &PairArgs, summary: &Summary) -> Value {
    json!({
        "merged": pair.name.as_str(),
        "into": pair.into.as_str(),
        "operation": null,
        "files": summary.files,
        "rows": summary.rows,
        "tables": summary.tables,
        "notes": summary.notes,
        "conflicts": [],
    })
}

fn tell(pair: &PairArgs, summary: &Summary, what: &str) -> Result<(), Failure> {
    let PairArgs { name, into, .. } = pair;
    let many = |count: usize, what: &str| {
        (count > 0).then(|| format!("{} {what}{}", HumanCount(count as u64), if count == 1 { "" } else { "s" }))
    };
    let parts = [many(summary.files, "file"), many(summary.tables, "table"), many(summary.rows, "row")];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    output::line(format_args!("forkpress: {what} '{name}' into '{into}': {}", parts.join(", ")))?;
    summary.notes.iter().try_for_each(|note| output::line(format_args!("  {note}")))?;
    Ok(())
}

/// An entry of a list of answers, to be filled in.
fn to_fill_in(conflict: &OpenConflict) -> Value {
    let mut entry = json!({ "id": conflict.id, "take": "" });
    if let (Value::Object(entry), Ok(Value::Object(conflict))) = (&mut entry, serde_json::to_value(conflict)) {
        entry.extend(conflict);
    }
    entry
}

fn show(pair: &PairArgs, conflicts: &[OpenConflict]) -> Result<(), Failure> {
    let (bold, dim) = (Style::new().bold(), Style::new().dim());
    let width = ["base".len(), pair.into.as_str().len(), pair.name.as_str().len()].into_iter().max().unwrap_or(0);
    for conflict in conflicts {
        output::marked(&bold, &conflict.what, "")?;
        output::marked(&dim, &format!("  {} {}", conflict.kind, conflict.id), "")?;
        let sides =
            [("base", &conflict.base), (pair.into.as_str(), &conflict.ours), (pair.name.as_str(), &conflict.theirs)];
        for (side, text) in sides {
            let text = text.as_deref().unwrap_or("(nothing)");
            let lines: Vec<_> = text.lines().collect();
            for (number, line) in lines.iter().take(MOST_LINES).enumerate() {
                let side = if number == 0 { side } else { "" };
                output::line(format_args!("  {side:width$}  {line}"))?;
            }
            if lines.len() > MOST_LINES {
                output::marked(&dim, &format!("  {:width$}  … {} lines more", "", lines.len() - MOST_LINES), "")?;
            }
        }
        output::line("")?;
    }
    Ok(())
}
