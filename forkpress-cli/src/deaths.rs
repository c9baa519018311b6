//! Says in which request PHP died.
//!
//! A process that crashes, or is killed, can't say so, and PHP's server does not notice. But each process leaves behind
//! a note of what it was serving (`forkpress_core::lock::note`).

use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use forkpress_core::layout::SiteLayout;
use forkpress_core::lock::note::{self, Note};
use forkpress_core::own;
use forkpress_core::record::rfc3339;
use forkpress_engine::site::Site;

use crate::{harmless, output};

/// The log that WordPress has its debug log in: the one that `FORKPRESS_DEBUG_LOG` names by a path from the root, else the
/// site's.
pub fn debug_log(layout: &SiteLayout) -> PathBuf {
    let named = std::env::var_os("FORKPRESS_DEBUG_LOG").map(PathBuf::from);
    named.filter(|path| path.is_absolute()).unwrap_or_else(|| layout.wp_debug_log())
}

/// Writes into that log which requests processes died of since this was asked last.
pub fn report(site: &Site) {
    let at = rfc3339(SystemTime::now());
    let dead = note::sweep(site.layout.cow());
    dead.iter().for_each(|note| tracing::warn!(pid = note.process.pid, said = note.text, "a process died"));
    let lines: String = dead.iter().filter_map(|note| line(&at, note)).collect();
    if lines.is_empty() {
        return;
    }
    let path = debug_log(&site.layout);
    let mut options = own::options();
    if let Err(error) =
        options.append(true).create(true).open(&path).and_then(|mut log| log.write_all(lines.as_bytes()))
    {
        output::note(format_args!("forkpress: warning: cannot write the log {}: {error}", path.display()));
        output::note(lines.trim_end());
    }
}

/// What is said of a process that left a note; nothing of a command that waited for a lock.
fn line(at: &str, note: &Note) -> Option<String> {
    let (method, branch, path) = note.request()?;
    let (pid, doing) = (note.process.pid, note.state.word());
    let line = format!("[{at}] ForkPress: PHP process {pid} died while {doing} {method} {path} of branch '{branch}'");
    Some(format!("{}\n", harmless::line(&line)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use forkpress_core::lock::note::State;
    use forkpress_core::process::ProcessIdentity;
    use std::time::UNIX_EPOCH;

    #[test]
    fn a_request_that_php_died_of_is_named_and_a_command_that_waited_is_not() {
        let note = |text: &str| Note {
            process: ProcessIdentity { pid: 7, started: String::new() },
            state: State::Serving,
            since: UNIX_EPOCH,
            text: text.to_owned(),
        };
        assert_eq!(
            line("now", &note("GET shop /a b?c=\u{1b}")).unwrap(),
            "[now] ForkPress: PHP process 7 died while serving GET /a b?c=\\u{1b} of branch 'shop'\n"
        );
        assert_eq!(line("now", &note("operations.lock exec main")), None);
        assert_eq!(line("now", &note("exec main /usr/bin/php -v")), None);
        assert_eq!(line("now", &note("")), None);
    }
}
