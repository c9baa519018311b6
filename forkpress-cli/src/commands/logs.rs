//! `forkpress logs`: shows the last lines of the site's logs, and follows them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use forkpress_core::layout::SiteLayout;
use forkpress_core::name::BranchName;
use serde_json::json;

use crate::cli::{LogFile, LogsArgs};
use crate::failure::{During, Failure};
use crate::{deaths, output, site};

const PAUSE: Duration = Duration::from_millis(200);

/// How much is read at a time, from the end backwards, to find the last lines.
const BLOCK_BYTES: u64 = 64 * 1024;

/// Shows the logs that were asked for.
pub fn run(work_dir: Option<&Path>, args: &LogsArgs, as_json: bool) -> Result<(), Failure> {
    let site = site::open(work_dir)?;
    let mut paths = paths(&site.layout, args.file);
    if args.branch.is_some() {
        paths.retain(|(name, _)| OF_BRANCHES.contains(name));
        if paths.is_empty() {
            return Err(
                Failure::new("this log is of all branches together").hint("forkpress logs --file access BRANCH")
            );
        }
    }
    let is_asked_for = |line: &String| args.branch.as_ref().is_none_or(|branch| is_of(line, branch));
    if args.paths {
        return show_paths(&paths, as_json);
    }
    let mut printer = Printer { as_json, headers: paths.len() > 1, last: None };
    let mut followed = Vec::new();
    for (name, path) in paths {
        let mut log = FollowedLog { name, path, open: None, rest: Vec::new() };
        // The last lines of the branch may stand anywhere.
        if !log.path.exists() {
            output::note(format_args!("forkpress: {} is not there yet: {}", log.path.display(), what(name)));
        }
        let number = if args.branch.is_some() { usize::MAX } else { args.lines };
        let mut lines = log.last_lines(number).during(|| format!("cannot read {}", log.path.display()))?;
        lines.retain(is_asked_for);
        lines.drain(..lines.len().saturating_sub(args.lines));
        printer.print(log.name, &lines)?;
        followed.push(log);
    }
    while args.follow && !output::reader_is_gone() {
        for log in &mut followed {
            let mut lines = log.new_lines().during(|| format!("cannot read {}", log.path.display()))?;
            lines.retain(is_asked_for);
            printer.print(log.name, &lines)?;
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Logs with a branch in each line.
const OF_BRANCHES: [&str; 2] = ["access", "slow"];

/// Whether a line of them is of a branch: it begins with its name, or has it as JSON.
fn is_of(line: &str, branch: &BranchName) -> bool {
    match line.starts_with('{') {
        true => serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| line["branch"] == branch.as_str()),
        false => line.split(' ').next() == Some(branch.as_str()),
    }
}

fn paths(layout: &SiteLayout, which: LogFile) -> Vec<(&'static str, PathBuf)> {
    let all = [
        (LogFile::Wp, "wp", deaths::debug_log(layout)),
        (LogFile::Php, "php", layout.php_errors_log()),
        (LogFile::Server, "server", layout.php_server_log()),
        (LogFile::Access, "access", layout.access_log()),
        (LogFile::Slow, "slow", layout.slow_log()),
        (LogFile::Forkpress, "forkpress", layout.server_log()),
        (LogFile::Gc, "gc", layout.gc_log()),
    ];
    all.into_iter()
        .filter(|(file, ..)| which == LogFile::All || which == *file)
        .map(|(_, name, path)| (name, path))
        .collect()
}

/// What a log has.
fn what(name: &str) -> &'static str {
    match name {
        "wp" => "what WordPress says (WP_DEBUG_LOG), and which request PHP died in",
        "php" => "PHP's errors",
        "server" => "what PHP's web server says",
        "access" => "the requests that were answered",
        "slow" => "the requests that took long, and how much they asked of the database",
        "forkpress" => "what the server of 'forkpress serve' says",
        "gc" => "what was removed that 'forkpress undo' could have brought back, and why",
        _ => "",
    }
}

fn show_paths(paths: &[(&'static str, PathBuf)], as_json: bool) -> Result<(), Failure> {
    if as_json {
        let map: serde_json::Map<_, _> = paths.iter().map(|(name, path)| ((*name).to_owned(), json!(path))).collect();
        output::json(&map)?;
        return Ok(());
    }
    // Of one log, its path alone, as a script wants it.
    if let [(_, path)] = paths {
        return Ok(output::line(path.display())?);
    }
    for (name, path) in paths {
        let absent = if path.exists() { "" } else { " (not there yet)" };
        output::line(format_args!("{}  {name}: {}{absent}", path.display(), what(name)))?;
    }
    Ok(())
}

/// Prints lines, and between those of several logs whose they are.
struct Printer {
    as_json: bool,
    headers: bool,
    last: Option<&'static str>,
}

impl Printer {
    fn print(&mut self, name: &'static str, lines: &[String]) -> io::Result<()> {
        if self.as_json {
            return lines.iter().try_for_each(|line| output::json_line(&json!({ "file": name, "line": line })));
        }
        if self.headers && !lines.is_empty() && self.last != Some(name) {
            let gap = if self.last.is_some() { "\n" } else { "" };
            output::text(format_args!("{gap}==> {name} <=="))?;
            self.last = Some(name);
        }
        lines.iter().try_for_each(output::line)
    }
}

/// A log and how far it was read.
struct FollowedLog {
    name: &'static str,
    path: PathBuf,
    open: Option<File>,
    /// The beginning of a line whose end has not been written yet.
    rest: Vec<u8>,
}

impl FollowedLog {
    /// The last `count` lines, or all with `usize::MAX`; none where there is no file. What comes next is what
    /// [`Self::new_lines`] gives.
    fn last_lines(&mut self, count: usize) -> io::Result<Vec<String>> {
        let Some(mut file) = open(&self.path)? else { return Ok(Vec::new()) };
        let end = file.metadata()?.len();
        let mut start = end;
        let mut text = Vec::new();
        // One line feed more than lines: the one before the first of them.
        while start > 0 && text.iter().filter(|byte| **byte == b'\n').count() <= count {
            let length = if count == usize::MAX { start } else { BLOCK_BYTES.min(start) };
            start -= length;
            file.seek(SeekFrom::Start(start))?;
            let mut block = Vec::new();
            (&file).take(length).read_to_end(&mut block)?;
            block.extend(text);
            text = block;
        }
        file.seek(SeekFrom::Start(end))?;
        self.open = Some(file);
        let mut lines = self.lines(text);
        lines.drain(..lines.len().saturating_sub(count));
        Ok(lines)
    }

    /// The lines that were written since; from its beginning where the file is new, was truncated or replaced.
    fn new_lines(&mut self) -> io::Result<Vec<String>> {
        let mut text = self.read_on()?;
        let replaced = match (&self.open, std::fs::metadata(&self.path)) {
            (Some(file), Ok(now)) => {
                let own = file.metadata()?;
                (own.dev(), own.ino()) != (now.dev(), now.ino())
            }
            (None, Ok(_)) => true,
            (_, Err(_)) => false,
        };
        if replaced {
            self.open = open(&self.path)?;
            text.extend(self.read_on()?);
        }
        Ok(self.lines(text))
    }

    fn read_on(&mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        if let Some(file) = &mut self.open {
            if file.metadata()?.len() < file.stream_position()? {
                file.rewind()?;
            }
            file.read_to_end(&mut text)?;
        }
        Ok(text)
    }

    /// Cuts into lines what was read, after what was left of last time.
    fn lines(&mut self, text: Vec<u8>) -> Vec<String> {
        self.rest.extend(text);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let rest = self.rest.split_off(end + 1);
        let whole = std::mem::replace(&mut self.rest, rest);
        String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
    }
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    fn log(dir: &tempfile::TempDir) -> FollowedLog {
        FollowedLog { name: "wp", path: dir.path().join("wp.log"), open: None, rest: Vec::new() }
    }

    fn append(log: &FollowedLog, text: &str) {
        let mut file = OpenOptions::new().append(true).create(true).open(&log.path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn the_last_lines_are_the_last_ones_however_long_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(&dir);
        assert_eq!(log.last_lines(3).unwrap(), [""; 0]);
        let text: String = (0..50_000).map(|n| format!("line {n}\n")).collect();
        append(&log, &text);
        assert_eq!(log.last_lines(2).unwrap(), ["line 49998", "line 49999"]);
        assert_eq!(log.last_lines(0).unwrap(), [""; 0]);
        assert_eq!(log.last_lines(20_000).unwrap().len(), 20_000);
        assert_eq!(log.last_lines(90_000).unwrap().len(), 50_000);
    }

    #[test]
    fn what_is_appended_truncated_and_replaced_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(&dir);
        assert_eq!(log.last_lines(9).unwrap(), [""; 0], "there is no file yet");
        append(&log, "one\ntw");
        assert_eq!(log.new_lines().unwrap(), ["one"]);
        append(&log, "o\n");
        assert_eq!(log.new_lines().unwrap(), ["two"]);
        fs::write(&log.path, "3\n").unwrap();
        assert_eq!(log.new_lines().unwrap(), ["3"], "it was truncated");
        append(&log, "four\n");
        fs::rename(&log.path, dir.path().join("wp.log.1")).unwrap();
        assert_eq!(log.new_lines().unwrap(), ["four"], "what was written before it was rotated");
        append(&log, "five\n");
        assert_eq!(log.new_lines().unwrap(), ["five"]);
    }
}
