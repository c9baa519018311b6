//! `forkpress __git-hook`: the hooks that Git runs in the site's repository on a push.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use forkpress_engine::git::receive::{self, PushError, proc_receive};
use forkpress_engine::git::repository::Repository;
use forkpress_engine::progress::Progress;

use super::branch;
use super::changed::patience;
use crate::cli::WaitArgs;
use crate::failure::Failure;
use crate::{clean, harmless, output, site, trace};

/// How long a push waits for running requests and for other commands.
const WAIT: WaitArgs = WaitArgs { timeout: Duration::from_secs(30) };

/// Tells the pusher, and only what there is to know.
struct Pusher;

impl Progress for Pusher {
    fn begin(&self, _step: &str, _total: Option<u64>) {}

    fn advance(&self, _by: u64) {}

    fn end(&self) {}

    fn note(&self, line: &str) {
        output::note(format_args!("forkpress: {line}"));
    }
}

/// Decides whether a push is let in.
pub fn check(work_dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let site = site::open(work_dir)?;
    trace::begin_in_log(&site)?;
    let repository = Repository::open(&site)?.in_quarantine();
    let updates = receive::read_updates(&mut io::stdin().lock())?;
    Ok(match receive::check(&site, &repository, &updates) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(format_args!("forkpress: {}", explain(error)));
            ExitCode::FAILURE
        }
    })
}

/// Tells the pusher why a push failed and what to do next, and gives the outermost reason.
fn explain(error: PushError) -> String {
    let hint = match &error {
        PushError::Refused(refusal) => refusal.hint().map(str::to_owned),
        PushError::Unreadable { name, .. } => Some(branch::give_another_state(name)),
        _ => None,
    };
    let failure = Failure::from(error);
    failure.causes.iter().for_each(|cause| output::note(format_args!("forkpress: {cause}")));
    if let Some(hint) = hint.or(failure.hint) {
        output::note(format_args!("hint: {hint}"));
    }
    // Git shows it to whoever pushes.
    harmless::line(&failure.error).into_owned()
}

/// Does what a push asks for. What goes to standard error is shown to the pusher.
pub fn run(work_dir: Option<&Path>) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    trace::begin_in_log(&site)?;
    let repository = Repository::open(&site)?;
    proc_receive(&mut io::stdin().lock(), &mut io::stdout().lock(), |updates| {
        let done = receive::receive(&site, &repository, updates, &mut patience(&WAIT), &Pusher);
        clean::in_background(&site);
        done.map_err(explain)
    })?;
    Ok(())
}
