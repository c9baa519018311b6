//! `forkpress top`: shows what goes on in a site.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use console::{Key, Term};
use forkpress_engine::activity::{BranchRow, LockUser, OperationRow, RequestRow, Sample, Served};
use forkpress_engine::site::Site;

use crate::failure::Failure;
use crate::server::Warmed;
use crate::site::Address;
use crate::{harmless, output, server, site};

const REFRESH: Duration = Duration::from_secs(1);

/// Shows samples until the user has enough, or one where nobody looks on.
pub fn run(work_dir: Option<&Path>, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    if as_json {
        return output::json(&sample(&site)?).map_err(Failure::from);
    }
    let terminal = Term::stdout();
    if !terminal.is_term() {
        return output::text(in_words(&sample(&site)?).trim_end()).map_err(Failure::from);
    }
    // Ctrl-C ends the process; without a keyboard nothing else does.
    let (sender, enough) = mpsc::channel();
    let keyboard = std::io::stdin().is_terminal().then(|| {
        let terminal = terminal.clone();
        thread::spawn(move || {
            while !matches!(terminal.read_key(), Ok(Key::Char('q')) | Err(_)) {}
            let _ = sender.send(());
        })
    });
    loop {
        let words = in_words(&sample(&site)?);
        let (rows, columns) = terminal.size();
        // In one piece: what is written over is not seen.
        let mut screen = String::from("\x1b[H");
        for line in words.lines().take(usize::from(rows).saturating_sub(1)) {
            let line = harmless::line(line);
            let line = console::truncate_str(&line, usize::from(columns), "…");
            let _ = write!(screen, "{line}\x1b[K\r\n");
        }
        screen.push_str("\x1b[J");
        terminal.write_str(&screen)?;
        terminal.flush()?;
        match enough.recv_timeout(REFRESH) {
            Ok(()) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) if keyboard.is_none() => thread::sleep(REFRESH),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// What is the case now.
fn sample(site: &Site) -> Result<Sample, Failure> {
    let address = Address::of(site);
    let served = Served {
        url: site::server_of(site)?.map(|server| server::url(&server)),
        address: &|name| address.url(name),
        opcache_fullness: Warmed::read(site).and_then(|warmed| warmed.opcache).map(|opcache| opcache.fullness()),
        waiting: server::waiting_requests(&site.layout),
    };
    Ok(Sample::take(site, served)?)
}

fn in_words(sample: &Sample) -> String {
    let mut text = String::new();
    let _ = write(sample, &mut text);
    text
}

fn write(sample: &Sample, to: &mut String) -> std::fmt::Result {
    let served = sample.url.as_deref().unwrap_or("not served");
    writeln!(to, "ForkPress top  {}  {served}  generation {}", sample.at, sample.generation)?;
    if let Some(fullness) = sample.opcache_fullness {
        writeln!(to, "OPcache {:.0} % full", fullness * 100.0)?;
    }
    writeln!(to, "\nREQUESTS")?;
    if sample.requests.is_empty() {
        writeln!(to, "  none")?;
    }
    for RequestRow { pid, branch, method, path, state, age_seconds } in &sample.requests {
        let pid = pid.map_or("-".to_owned(), |pid| pid.to_string());
        writeln!(to, "  {pid:>8}  {age_seconds:>7.1} s  {state:7}  {branch:16}  {method} {path}")?;
    }
    writeln!(to, "\nLOCKS")?;
    for lock in &sample.locks {
        if lock.holders.is_empty() && lock.waiters.is_empty() {
            writeln!(to, "  {:16} free", lock.name)?;
        }
        for (what, users) in [("held by", &lock.holders), ("waits", &lock.waiters)] {
            for LockUser { pid, doing, seconds } in users {
                let seconds = seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.1}"));
                let doing = harmless::line(doing.as_deref().unwrap_or_default());
                writeln!(to, "  {:16} {what:7}  {pid:>8}  {seconds:>7} s  {doing}", lock.name)?;
            }
        }
    }
    writeln!(to, "\nOPERATIONS")?;
    for OperationRow { id, operation, at, held_seconds, .. } in &sample.operations {
        let held = held_seconds.map_or("-".to_owned(), |seconds| format!("{:.1}", seconds * 1000.0));
        let operation = harmless::line(operation);
        writeln!(to, "  {id:>8}  {at}  exclusive {held:>7} ms  {operation}")?;
    }
    writeln!(to, "\nBRANCHES")?;
    // Those that are busy first: the list may be cut where the screen ends.
    let mut branches: Vec<_> = sample.branches.iter().collect();
    branches.sort_by_key(|branch| std::cmp::Reverse(branch.requests));
    for BranchRow { name, url, generation, requests } in branches {
        writeln!(to, "  {name:16}  {requests:>3} requests  generation {generation:>6}  {url}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use forkpress_engine::activity::{LockRow, LockUser};

    #[test]
    fn a_sample_in_words_has_who_waits_for_whom() {
        let user = |doing: &str| LockUser { pid: 7, doing: Some(doing.to_owned()), seconds: Some(1.25) };
        let sample = Sample {
            at: "2026-11-22T17:25:46Z".to_owned(),
            url: None,
            generation: 3,
            opcache_fullness: Some(0.416),
            branches: vec![],
            requests: vec![],
            locks: vec![LockRow {
                name: "mutation.lock".to_owned(),
                holders: vec![user("reset a")],
                waiters: vec![user("create b")],
            }],
            operations: vec![],
        };
        let words = in_words(&sample);
        assert!(words.contains("\nOPcache 42 % full\n"), "{words}");
        assert!(words.contains("mutation.lock    held by         7      1.2 s  reset a\n"), "{words}");
        assert!(words.contains("mutation.lock    waits           7      1.2 s  create b\n"), "{words}");
    }
}
