//! The logs of requests: all of them, and those that took long.
//!
//! A thread writes them, and no request waits for it: what it has no room for is not in them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use forkpress_core::name::BranchName;
use forkpress_core::record::rfc3339;
use forkpress_engine::config::AccessLog;
use forkpress_engine::site::Site;
use forkpress_server::traffic::{Answered, Cut};
use serde_json::json;

use crate::failure::{During, Failure};
use crate::harmless;

use super::log::open_log;

/// How many requests may be told that are not written yet.
const LINES: usize = 10_000;

/// A log that is larger is put aside, as `access.log.1`, in the place of the one before it.
const MOST_BYTES: u64 = 32 << 20;

/// How long it rests after it has written: to wake this thread for each request would take as long as to answer for a file.
const REST: Duration = Duration::from_millis(10);

/// How long the end waits for what is not written yet.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);

/// The thread that writes. It ends once nobody can tell it more.
pub(super) struct RequestLogs(Option<JoinHandle<()>>);

impl RequestLogs {
    /// Begins to write, as the site's settings have it.
    pub(super) fn begin(site: &Site) -> Result<(Self, SyncSender<Answered>), Failure> {
        let (told, answered) = sync_channel(LINES);
        let (kind, slow) = (site.config.access_log, Duration::from_millis(site.config.slow_ms));
        let access = match kind {
            AccessLog::Off => None,
            AccessLog::Combined | AccessLog::Json => Some(BoundedLog::open(site.layout.access_log())?),
        };
        let slow_log = BoundedLog::open(site.layout.slow_log())?;
        let write = move || write(&answered, kind, access, slow, slow_log);
        let writer = thread::Builder::new().name("requests".to_owned()).spawn(write);
        Ok((Self(Some(writer.during(|| "cannot start a thread".to_owned())?)), told))
    }

    /// Waits until all that was told is written, but not for long.
    pub(super) fn finish(&mut self) {
        let Some(writer) = self.0.take() else { return };
        let began = Instant::now();
        while !writer.is_finished() && began.elapsed() < PATIENCE {
            thread::sleep(PAUSE);
        }
    }
}

/// Goes on where a log can't be written: the site is served without, too.
fn write(
    told: &Receiver<Answered>,
    kind: AccessLog,
    mut access: Option<BoundedLog>,
    slow: Duration,
    mut slow_log: BoundedLog,
) {
    while let Ok(first) = told.recv() {
        let (mut lines, mut slow_lines) = (String::new(), String::new());
        for answered in std::iter::once(first).chain(told.try_iter().take(LINES)) {
            lines += &match kind {
                AccessLog::Off => String::new(),
                AccessLog::Combined => combined(&answered),
                AccessLog::Json => as_json(&answered),
            };
            if answered.took > slow {
                slow_lines += &slow_line(&answered);
            }
        }
        if let Some(access) = &mut access {
            let _ = access.write(&lines);
        }
        let _ = slow_log.write(&slow_lines);
        thread::sleep(REST);
    }
}

/// A log that keeps what is new.
struct BoundedLog {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl BoundedLog {
    fn open(path: PathBuf) -> Result<Self, Failure> {
        let file = open_log(&path)?;
        Ok(Self { bytes: file.metadata()?.len(), file, path })
    }

    fn write(&mut self, lines: &str) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        if self.bytes > MOST_BYTES {
            fs::rename(&self.path, aside(&self.path))?;
            *self = Self::open(self.path.clone()).map_err(|failure| io::Error::other(failure.to_string()))?;
        }
        self.bytes += lines.len() as u64;
        self.file.write_all(lines.as_bytes())
    }
}

fn aside(path: &Path) -> PathBuf {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".1");
    aside.into()
}

fn branch(answered: &Answered) -> &str {
    answered.branch.as_ref().map_or("-", BranchName::as_str)
}

/// A line as other web servers write it, after the branch.
fn combined(answered: &Answered) -> String {
    let quoted = |text: &str| harmless::line(text).replace('\\', "\\\\").replace('"', "\\\"");
    let or_dash = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), &quoted);
    let Answered { client, method, path, version, referer, agent, status, bytes, .. } = answered;
    format!(
        "{} {} - - [{}] \"{method} {} {version:?}\" {} {bytes} \"{}\" \"{}\"\n",
        branch(answered),
        client.ip(),
        clf_time(answered.at),
        quoted(path),
        status.map_or(499, |status| status.as_u16()),
        or_dash(referer),
        or_dash(agent)
    )
}

fn as_json(answered: &Answered) -> String {
    let Answered { client, at, method, host, path, version, referer, agent, status, took, bytes, cut, queries, .. } =
        answered;
    let line = json!({
        "at": rfc3339(*at),
        "branch": answered.branch,
        "client": client.ip(),
        "method": method.as_str(),
        "host": host,
        "path": path,
        "protocol": format!("{version:?}"),
        "status": status.map(|status| status.as_u16()),
        "bytes": bytes,
        "cut": cut.map(Cut::word),
        "took_seconds": took.as_secs_f64(),
        "referer": referer,
        "agent": agent,
        "queries": queries.map(|queries| queries.number),
        "queries_seconds": queries.and_then(|queries| queries.took).map(|took| took.as_secs_f64()),
    });
    format!("{}\n", harmless::json(&line.to_string()))
}

fn slow_line(answered: &Answered) -> String {
    let Answered { at, method, path, status, took, cut, queries, .. } = answered;
    let queries = queries.map_or(String::new(), |queries| {
        let took = queries.took.map(|took| format!(" in {:.3} s", took.as_secs_f64())).unwrap_or_default();
        format!("  {} queries{took}", queries.number)
    });
    let cut = cut.map_or(String::new(), |cut| format!("  cut short: {}", cut.word()));
    let (status, took) = (status.map_or(499, |status| status.as_u16()), took.as_secs_f64());
    let line = format!("{} {} {took:.3} s  {status} {method} {path}{queries}{cut}", branch(answered), rfc3339(*at));
    format!("{}\n", harmless::line(&line))
}

/// A moment as such logs have it, in UTC: `28/Nov/2026:07:58:10 +0000`.
fn clf_time(at: SystemTime) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = rfc3339(at.max(UNIX_EPOCH));
    let (date, time) = text.trim_end_matches('Z').split_once('T').unwrap_or_default();
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next().unwrap_or_default(), parts.next(), parts.next().unwrap_or_default());
    let month = month.and_then(|month| month.parse::<usize>().ok()).and_then(|month| MONTHS.get(month.checked_sub(1)?));
    format!("{day}/{}/{year}:{time} +0000", month.unwrap_or(&"-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use forkpress_server::traffic::Queries;

    fn answered() -> Answered {
        Answered {
            client: "127.0.0.1:50000".parse().unwrap(),
            at: UNIX_EPOCH + Duration::from_secs(1_795_852_690),
            method: "GET".parse().unwrap(),
            host: "shop.wp.localhost".to_owned(),
            branch: Some("shop".parse().unwrap()),
            path: "/a\n\u{1b}[2J?\"x\"".to_owned(),
            version: forkpress_server::traffic::Version::HTTP_11,
            referer: None,
            agent: Some("me \\ \"you\"".to_owned()),
            status: "404".parse().ok(),
            took: Duration::from_micros(1_234_500),
            bytes: 7,
            cut: None,
            queries: Some(Queries { number: 45, took: Some(Duration::from_millis(250)) }),
        }
    }

    #[test]
    fn a_request_is_a_line_of_the_log_whatever_it_is_named() {
        assert_eq!(
            combined(&answered()),
            "shop 127.0.0.1 - - [28/Nov/2026:07:58:10 +0000] \"GET /a\\\\u{a}\\\\u{1b}[2J?\\\"x\\\" HTTP/1.1\" 404 7 \"-\" \"me \\\\ \\\"you\\\"\"\n"
        );
        let line: serde_json::Value = serde_json::from_str(&as_json(&answered())).unwrap();
        assert_eq!(
            (&line["branch"], &line["queries"], &line["path"]),
            (&json!("shop"), &json!(45), &json!("/a\n\u{1b}[2J?\"x\""))
        );
        assert_eq!(as_json(&answered()).lines().count(), 1);
        assert_eq!(
            slow_line(&answered()),
            "shop 2026-11-28T07:58:10Z 1.234 s  404 GET /a\\u{a}\\u{1b}[2J?\"x\"  45 queries in 0.250 s\n"
        );
        let cut = Answered { cut: Some(Cut::Time), queries: None, ..answered() };
        assert!(slow_line(&cut).ends_with("?\"x\"  cut short: request_timeout\n"), "{}", slow_line(&cut));
        let line: serde_json::Value = serde_json::from_str(&as_json(&cut)).unwrap();
        assert_eq!(line["cut"], "request_timeout");
        let gone = Answered { branch: None, status: None, queries: None, ..answered() };
        assert!(combined(&gone).starts_with("- 127.0.0.1 ") && combined(&gone).contains(" 499 "));
    }

    #[test]
    fn a_log_keeps_what_is_new() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        fs::write(&path, vec![b'x'; MOST_BYTES as usize + 1]).unwrap();
        let mut log = BoundedLog::open(path.clone()).unwrap();
        log.write("new\n").unwrap();
        log.write("newer\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\nnewer\n");
        assert_eq!(fs::metadata(aside(&path)).unwrap().len(), MOST_BYTES + 1);
    }
}
