//! `forkpress jobs`: lists, shows, follows and ends jobs.

use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use forkpress_core::record::rfc3339;
use forkpress_engine::jobs::{self, Job, JobId, JobState};
use forkpress_engine::site::Site;
use serde_json::{Value, json};

use super::history::duration;
use crate::cli::JobsArgs;
use crate::failure::Failure;
use crate::{output, site};

/// How often a job that is followed is looked at.
const PAUSE: Duration = Duration::from_millis(200);

/// Lists the jobs, or does with one what was asked for.
pub fn run(work_dir: Option<&Path>, args: &JobsArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let site = site::open(work_dir)?;
    match args.id {
        None => list(&site, as_json)?,
        Some(id) if args.cancel => cancel(&site, id, as_json)?,
        Some(id) if args.follow => return follow(&site, id, as_json),
        Some(id) => show(&site, id, as_json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(site: &Site, as_json: bool) -> Result<(), Failure> {
    let listing = jobs::list(&site.layout)?;
    for path in &listing.odd {
        output::note(format_args!("forkpress: warning: {} is left out: it is no job, or is damaged", path.display()));
    }
    if as_json {
        return output::json(&listing.jobs.iter().map(row).collect::<Vec<_>>()).map_err(Failure::from);
    }
    if listing.jobs.is_empty() {
        output::line("forkpress: no job yet")?;
    }
    for job in &listing.jobs {
        let (id, state, began) = (job.id.to_string(), state(job), rfc3339(job.began));
        output::line(format_args!("{id:>4}  {began}  {state}  by {}  {}: {}", job.by, job.title, job.typed()))?;
    }
    Ok(())
}

fn state(job: &Job) -> String {
    match job.state {
        JobState::Running { pid } => format!("running, process {pid}"),
        JobState::Ended { exit, took } => {
            let how = if exit == 0 { "done".to_owned() } else { format!("failed, exit {exit}") };
            format!("{how}, took {}", duration(Some(took), ""))
        }
        JobState::Died => "died".to_owned(),
    }
}

/// A job as scripts read it.
fn row(job: &Job) -> Value {
    let (state, pid, exit, took) = match job.state {
        JobState::Running { pid } => ("running", Some(pid), None, None),
        JobState::Ended { exit, took } => ("ended", None, Some(exit), Some(took.as_secs_f64())),
        JobState::Died => ("died", None, None, None),
    };
    json!({
        "id": job.id,
        "command": job.command,
        "title": job.title,
        "began": rfc3339(job.began),
        "by": job.by,
        "state": state,
        "pid": pid,
        "exit": exit,
        "took_seconds": took,
        "operation": job.operation(),
    })
}

/// The same with what came of it.
fn full_row(site: &Site, job: &Job) -> Result<Value, Failure> {
    let mut row = row(job);
    row["answer"] = jobs::answer(&site.layout, job.id)?.into();
    Ok(row)
}

fn show(site: &Site, id: JobId, as_json: bool) -> Result<(), Failure> {
    let job = jobs::get(&site.layout, id)?;
    if as_json {
        return output::json(&full_row(site, &job)?).map_err(Failure::from);
    }
    output::line(format_args!("Job:       {id}, {}", job.title))?;
    output::line(format_args!("Command:   {}", job.typed()))?;
    output::line(format_args!("Started:   {} by {}", rfc3339(job.began), job.by))?;
    output::line(format_args!("State:     {}", state(&job)))?;
    if let Some(operation) = job.operation() {
        output::line(format_args!("Operation: {operation}; forkpress undo {operation} takes it back"))?;
    }
    if job.is_running() { Ok(()) } else { tell_answer(site, &job) }
}

fn cancel(site: &Site, id: JobId, as_json: bool) -> Result<(), Failure> {
    jobs::cancel(&site.layout, id)?;
    if as_json {
        return output::json(&json!({ "id": id, "cancelled": true })).map_err(Failure::from);
    }
    Ok(output::line(format_args!("forkpress: job {id} is told to end; forkpress jobs --follow {id} waits for it"))?)
}

/// Tells what the job tells, as the command would have: its progress on standard error, its answer on standard output.
fn follow(site: &Site, id: JobId, as_json: bool) -> Result<ExitCode, Failure> {
    let mut from = 0;
    let job = loop {
        // The state first: what was said before the end is read then.
        let job = jobs::get(&site.layout, id)?;
        let (lines, next) = jobs::lines(&site.layout, id, from)?;
        for line in &lines {
            if as_json {
                output::json_line(&json!({ "line": line }))?;
            } else {
                output::note(line);
            }
        }
        match (job.is_running(), next == from) {
            (false, true) => break job,
            (true, true) if output::reader_is_gone() => return Ok(ExitCode::SUCCESS),
            (true, true) => thread::sleep(PAUSE),
            (_, false) => from = next,
        }
    };
    if as_json {
        output::json_line(&full_row(site, &job)?)?;
    } else {
        tell_answer(site, &job)?;
    }
    match job.state {
        JobState::Ended { exit, .. } => Ok(ExitCode::from(u8::try_from(exit).unwrap_or(u8::MAX))),
        _ if as_json => Ok(ExitCode::FAILURE),
        _ => Err(Failure::new(format!("job {id} died: it was killed, or the machine went down"))
            .hint("forkpress log says whether it changed a branch; then start it again")),
    }
}

/// What the command said: what failed as it says it without `--json`, else its answer.
fn tell_answer(site: &Site, job: &Job) -> Result<(), Failure> {
    let failure = jobs::answer(&site.layout, job.id)?.and_then(|answer| serde_json::from_value::<Failure>(answer).ok());
    if let Some(failure) = failure {
        output::note(failure);
        return Ok(());
    }
    let text = jobs::output(&site.layout, job.id)?;
    if text.is_empty() { Ok(()) } else { Ok(output::text(text.trim_end())?) }
}
