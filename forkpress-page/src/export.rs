//! The files that exports make. Pure.

use forkpress_core::name::BranchName;
use forkpress_engine::jobs::{Job, JobState};

/// What the file of a job is called; none where the job has made none.
#[must_use]
pub fn file_name(job: &Job) -> Option<String> {
    let [command, name, ..] = job.command.as_slice() else { return None };
    let is_done = matches!(job.state, JobState::Ended { exit: 0, .. });
    (command == "export" && is_done).then_some(())?;
    let format = job.command.iter().skip_while(|word| *word != "--format").nth(1)?;
    let ending = match format.as_str() {
        "sql" => "sql",
        "wxr" => "xml",
        _ => "zip",
    };
    // It goes into a header.
    name.parse::<BranchName>().ok().map(|name| format!("{name}.{ending}"))
}
