//! A server from its start to its end: until it is ready, while it serves, and while requests that run end.

use std::thread;
use std::time::{Duration, Instant};

use forkpress_core::name::BranchName;
use signal_hook::consts::SIGCHLD;
use signal_hook::iterator::Signals;

use crate::failure::Failure;
use crate::page::{self, PageAnswer, Question};

use super::fpm::FrontServer;
use super::registered::Registered;
use super::tail::Logs;
use super::{Wanted, signal};

/// How long the front page may take to answer for the first time.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the front page may answer with errors before it is believed to be broken.
const ERRORS_TIMEOUT: Duration = Duration::from_secs(3);

const PAUSE: Duration = Duration::from_millis(10);

/// Asks for the front page until it answers well. Gives what is wrong with it if it answers, but with errors: the site is served all
/// the same, other branches may be well, and the branch page helps.
pub(super) fn wait_until_ready(
    server: &mut FrontServer,
    wanted: &Wanted,
    logs: &Logs,
    signals: &mut Signals,
    is_wanted: &dyn Fn() -> bool,
) -> Result<Option<Failure>, Failure> {
    const HINT: &str = "forkpress logs shows more";
    let began = Instant::now();
    let mut first_error = None;
    let mut question: Option<Question> = None;
    let target = page::target(wanted.host, wanted.address.port);
    let host = wanted.address.plain().host(&BranchName::main());
    loop {
        if !is_wanted() {
            return Err(Failure::new("the command that started this server has gone"));
        }
        if let Some(signal) = signals.pending().find(|signal| *signal != SIGCHLD) {
            return Err(Failure::new("interrupted while starting").exit(u8::try_from(128 + signal).unwrap_or(1)));
        }
        if let Some(failure) = server.ended()? {
            return Err(logs.server.blame(failure));
        }
        if began.elapsed() >= READY_TIMEOUT {
            let seconds = READY_TIMEOUT.as_secs();
            let failure = Failure::new(format!("the front page does not answer within {seconds} s"));
            return Err(logs.errors.blame(failure).hint(HINT));
        }
        let Some(asked) = &mut question else {
            question = Question::ask(target, &host, "/", "").ok();
            if question.is_none() {
                thread::sleep(PAUSE);
            }
            continue;
        };
        match asked.look() {
            None => continue,
            Some(PageAnswer::Status(status)) if (200..400).contains(&status) => return Ok(None),
            Some(PageAnswer::Status(status)) => {
                if first_error.get_or_insert_with(Instant::now).elapsed() >= ERRORS_TIMEOUT {
                    let failure = Failure::new(format!("the front page answers with status {status}"));
                    let hint = format!("{} says more, and helps", wanted.address.page());
                    return Ok(Some(logs.errors.blame(failure).hint(hint)));
                }
                thread::sleep(PAUSE * 10);
            }
            Some(PageAnswer::None) => thread::sleep(PAUSE),
        }
        question = None;
    }
}

/// Serves until a signal says to end; fails if PHP ends by itself and can't be started again. `keeper`: a child that
/// somebody else waits for.
pub(super) fn run(
    server: &mut FrontServer,
    logs: &Logs,
    signals: &mut Signals,
    keeper: Option<u32>,
    registered: &mut Registered,
) -> Result<(), Failure> {
    loop {
        for signal in signals.wait() {
            if signal != SIGCHLD {
                tracing::info!(signal, "ending");
                return Ok(());
            }
            if let Some(failure) = server.ended()? {
                return Err(logs.server.blame(failure));
            }
            let leaders = server.leaders();
            registered.lead(&leaders);
            let own: Vec<u32> = leaders.into_iter().chain(keeper).collect();
            signal::reap_adopted(&own);
        }
    }
}

/// Lets running requests end, until a second signal, and kills what is left. How long that may take is for whoever
/// sent the first one to say.
pub(super) fn stop(server: &mut FrontServer, signals: &mut Signals) {
    while !server.end() {
        if signals.pending().any(|signal| signal != SIGCHLD) {
            break;
        }
        thread::sleep(PAUSE);
    }
    server.kill();
}
