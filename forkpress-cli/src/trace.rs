//! What is done, step by step, for whoever looks into a problem: lines on standard error, or in a log. Off unless asked for.
//!
//! Engine and core say their steps with `tracing`; here is decided which are written, and where. Standard output is not
//! touched, so `--json` stays JSON. Each line is made [harmless] first: paths and commands come from elsewhere.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use forkpress_engine::site::Site;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};

use crate::failure::{During, Failure};
use crate::harmless;
use crate::server::log;

/// The variable that asks for lines.
const VARIABLE: &str = "FORKPRESS_LOG";

/// What `--verbose` asks for.
const VERBOSE: &str = "debug";

/// What the names of all our modules begin with.
const OURS: &str = "forkpress";

/// What was asked for by `--verbose`, for processes that this one starts.
static FOR_CHILDREN: OnceLock<&str> = OnceLock::new();

/// Begins to write lines to standard error, where `--verbose` or `FORKPRESS_LOG` ask for them.
///
/// # Errors
/// When the variable says what means nothing.
pub fn begin(is_verbose: bool) -> Result<(), Failure> {
    if is_verbose {
        let _ = FOR_CHILDREN.set(VERBOSE);
    }
    let Some(targets) = asked(is_verbose)? else { return Ok(()) };
    begin_with(targets, || Line(io::stderr()))
}

/// The same for a process whose standard error is shown to somebody elsewhere: the lines go into the log of the server.
///
/// # Errors
/// As [`begin`], and when the log can't be opened.
pub fn begin_in_log(site: &Site) -> Result<(), Failure> {
    let Some(targets) = asked(false)? else { return Ok(()) };
    let log = Arc::new(log::open_log(&site.layout.server_log())?);
    begin_with(targets, move || Line(Log(Arc::clone(&log))))
}

/// Whether there may be lines between those of the command.
pub fn is_on() -> bool {
    LevelFilter::current() != LevelFilter::OFF
}

/// What a process in the background is to find in its environment: lines are wanted of it as well.
pub fn for_child() -> Option<(&'static str, &'static str)> {
    FOR_CHILDREN.get().map(|asked| (VARIABLE, *asked))
}

/// Which lines are wanted; none where nobody asks for any.
fn asked(is_verbose: bool) -> Result<Option<Targets>, Failure> {
    if is_verbose {
        return Ok(parse(VERBOSE));
    }
    let Some(value) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else { return Ok(None) };
    let value = value.to_string_lossy();
    match parse(&value) {
        Some(targets) => Ok((targets != Targets::new()).then_some(targets)),
        None => {
            const USAGE: u8 = 2;
            Err(Failure::new(format!("{VARIABLE} is '{value}', which means nothing"))
                .hint(format!(
                    "{VARIABLE}=off, error, warn, info, debug or trace; or for a part, as in {VARIABLE}=forkpress_engine::git=debug"
                ))
                .exit(USAGE))
        }
    }
}

/// Reads what is asked for: a level for all, or `MODULE=LEVEL` for a part, or several of them with commas between. None where
/// it is something else.
fn parse(text: &str) -> Option<Targets> {
    text.split(',').map(str::trim).try_fold(Targets::new(), |targets, word| {
        let (module, level) = word.rsplit_once('=').unwrap_or((OURS, word));
        let is_name =
            module.starts_with(OURS) && module.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:".contains(&b));
        let level = match level.to_ascii_lowercase().as_str() {
            "off" => LevelFilter::OFF,
            "error" => LevelFilter::ERROR,
            "warn" => LevelFilter::WARN,
            "info" => LevelFilter::INFO,
            "debug" => LevelFilter::DEBUG,
            "trace" => LevelFilter::TRACE,
            _ => return None,
        };
        is_name.then(|| targets.with_target(module, level))
    })
}

fn begin_with<W: Write>(targets: Targets, writer: impl Fn() -> W + Send + Sync + 'static) -> Result<(), Failure> {
    tracing::subscriber::set_global_default(subscriber(targets, writer)).during(|| "cannot begin to log".to_owned())
}

fn subscriber<W: Write>(targets: Targets, writer: impl Fn() -> W + Send + Sync + 'static) -> impl Subscriber {
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(writer);
    Registry::default().with(lines.with_filter(targets))
}

/// Takes one line at a time. Nothing depends on whether anybody reads it.
struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        // In one piece: other processes write here, too.
        let line = format!("{}\n", harmless::line(text.trim_end_matches('\n')));
        let _ = self.0.write_all(line.as_bytes());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log of the server.
struct Log(Arc<File>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_level_is_for_all_and_a_module_may_have_one_of_its_own() {
        let all = Targets::new().with_target(OURS, LevelFilter::DEBUG);
        assert_eq!(parse("debug"), Some(all.clone()));
        assert_eq!(parse("Debug"), Some(all));
        let git =
            Targets::new().with_target(OURS, LevelFilter::OFF).with_target("forkpress_engine::git", LevelFilter::TRACE);
        assert_eq!(parse("off, forkpress_engine::git=trace"), Some(git));
        for nothing in
            ["", "debgu", "1", "all", "git=debug", "forkpress_engine::git", "debug,", "=debug", "forkpress =info"]
        {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_line_is_one_line_whatever_is_in_it() {
        struct Shared(Arc<Mutex<Vec<u8>>>);
        impl Write for Shared {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let written = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&written);
        let subscriber = subscriber(parse("info").unwrap(), move || Line(Shared(Arc::clone(&to))));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(path = %"a\x1b[2J\nb\u{202e}", pid = 7, "a step\r\nof it");
            tracing::debug!("not asked for");
        });
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        assert!(text.contains("Z  INFO forkpress::trace::tests: a step"), "{text}");
        assert!(text.ends_with(" pid=7\n") && !text.contains(['\x1b', '\u{202e}', '\r']), "{text}");
    }
}
