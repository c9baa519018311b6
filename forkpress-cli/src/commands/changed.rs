//! What commands that change branches have in common: how they wait, and how they say what was done.

use forkpress_core::deadline::Deadline;
use forkpress_core::lock::Patience;
use forkpress_engine::mutation::Report;
use forkpress_engine::site::Site;
use serde_json::{Map, Value};

use crate::cli::{ReadyArgs, WaitArgs};
use crate::failure::Failure;
use crate::output;
use crate::ready::{self, Ready};

/// Waits as long as was asked, and says on standard error for whom.
pub fn patience(wait: &WaitArgs) -> Patience<'static> {
    Patience::new(Deadline::after(wait.timeout), |busy| output::note(format_args!("forkpress: waiting: {busy}")))
}

/// Waits, if that was asked for, until the branches of a report are ready.
pub fn wait_for(site: &Site, ready: &ReadyArgs, wait: &WaitArgs, report: &Report) -> Result<Vec<Ready>, Failure> {
    ready::wait(site, ready, report.operation.names(), report.generation, wait.timeout)
}

/// Says how that went.
pub fn tell_ready(site: &Site, ready: &[Ready]) -> Result<(), Failure> {
    ready.iter().try_for_each(|ready| ready.tell(site))
}

/// Says what was done as JSON.
pub fn told(mut what: Value, report: &Report, ready: &[Ready]) -> Result<(), Failure> {
    what["operation"] = report.operation.id.into();
    what["generation"] = report.generation.into();
    what["held_seconds"] = report.held.as_secs_f64().into();
    if let Some(recovered) = &report.recovered {
        what["recovered"] = recovered.to_string().into();
    }
    if !ready.is_empty() {
        what["ready"] =
            ready.iter().map(|ready| (ready.name.to_string(), ready.to_json())).collect::<Map<_, _>>().into();
    }
    output::json(&what)?;
    Ok(())
}
