//! What PHP has logged of branches: how many errors of each in the last day, and the last lines of one.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use forkpress_core::layout::SiteLayout;
use forkpress_core::name::BranchName;
use forkpress_core::own;

use super::moment;
use crate::deaths;

/// For how long an error counts, in the hours in which they are counted.
const HOURS: u64 = 24;

/// No more of a log is read at a time, from its end.
const MOST_BYTES: u64 = 8 << 20;

/// So much of the end of a log is searched for lines of a branch, and so many of them are shown.
const TAIL_BYTES: u64 = 512 << 10;
const TAIL_LINES: usize = 60;

/// The errors of branches, by the hour. What was read once is not read again.
#[derive(Debug)]
pub(super) struct Errors {
    logs: Vec<Log>,
    /// What stands in a line before the name of a branch.
    folders: Vec<String>,
    /// The hours since 1970, the oldest first.
    hours: VecDeque<(u64, BTreeMap<BranchName, u64>)>,
}

/// A log, and how far it was read.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    read: u64,
}

impl Errors {
    pub(super) fn of(layout: &SiteLayout) -> Self {
        Self { logs: logs(layout).into(), folders: folders(layout).into(), hours: VecDeque::new() }
    }

    /// Reads what is new in the logs, and gives the errors of each branch.
    pub(super) fn count(&mut self) -> BTreeMap<BranchName, u64> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let Self { logs, folders, hours } = self;
        for text in logs.iter_mut().filter_map(|log| log.read_on(MOST_BYTES).ok()) {
            for (at, name) in text.lines().filter_map(|line| error(line, folders)) {
                let hour = at / 3600;
                let place = hours.partition_point(|(known, _)| *known < hour);
                if hours.get(place).is_none_or(|(known, _)| *known != hour) {
                    hours.insert(place, (hour, BTreeMap::new()));
                }
                *hours[place].1.entry(name).or_default() += 1;
            }
        }
        while hours.front().is_some_and(|(hour, _)| hour + HOURS < now / 3600) {
            hours.pop_front();
        }
        let mut all = BTreeMap::new();
        for (name, count) in hours.iter().flat_map(|(_, counts)| counts) {
            *all.entry(name.clone()).or_default() += count;
        }
        all
    }
}

/// The last lines of PHP's logs that are of a branch, oldest first: they name a file of it, or the branch itself.
pub(super) fn last_lines(layout: &SiteLayout, name: &BranchName) -> Vec<String> {
    let mut marks = folders(layout).map(|folder| format!("{folder}{name}/")).to_vec();
    marks.push(format!("of branch '{name}'"));
    let is_told = |line: &&str| marks.iter().any(|mark| line.contains(mark));
    let texts = logs(layout).map(|mut log| log.read_on(TAIL_BYTES).unwrap_or_default());
    let mut lines: Vec<_> = texts.iter().flat_map(|text| text.lines().filter(is_told)).map(str::to_owned).collect();
    lines.split_off(lines.len().saturating_sub(TAIL_LINES))
}

/// The logs that PHP's errors are in.
fn logs(layout: &SiteLayout) -> [Log; 2] {
    [layout.php_errors_log(), deaths::debug_log(layout)].map(|path| Log { path, read: 0 })
}

/// What stands in a line before the name of a branch whose file it names.
fn folders(layout: &SiteLayout) -> [String; 2] {
    [layout.branches_dir(), layout.public_root().to_owned()].map(|folder| format!("{}/", folder.display()))
}

impl Log {
    /// Whole lines that were written since, no more than so many bytes from the end; from the beginning where the file is shorter
    /// than it was.
    fn read_on(&mut self, most: u64) -> io::Result<String> {
        let mut file: File = own::open(&self.path)?;
        let length = file.metadata()?.len();
        if length < self.read {
            self.read = 0;
        }
        self.read = self.read.max(length.saturating_sub(most));
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.take(length - self.read).read_to_end(&mut bytes)?;
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.read += end as u64;
        Ok(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }
}

/// The moment and the branch of a line that begins an error: it names a file of the branch, or the branch itself. Other lines
/// belong to those before them.
fn error(line: &str, folders: &[String]) -> Option<(u64, BranchName)> {
    let (at, said) = line.strip_prefix('[')?.split_once("] ")?;
    let at = moment::of_log(at)?;
    if let Some((_, name)) = said.rsplit_once("of branch '").filter(|_| said.starts_with("ForkPress: ")) {
        return Some((at, name.strip_suffix('\'')?.parse().ok()?));
    }
    said.starts_with("PHP ").then_some(())?;
    let mut names = folders.iter().filter_map(|folder| Some(said.split_once(folder.as_str())?.1.split_once('/')?.0));
    Some((at, names.find_map(|name| name.parse().ok())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn errors_are_counted_once_by_the_branch_whose_file_they_name() {
        let dir = tempfile::tempdir().unwrap();
        let layout = SiteLayout::at(dir.path());
        std::fs::create_dir_all(layout.logs_dir()).unwrap();
        let mut log = File::create(layout.php_errors_log()).unwrap();
        let now = forkpress_core::record::rfc3339(SystemTime::now());
        let folder = layout.branches_dir().display().to_string();
        let mut errors = Errors::of(&layout);
        assert!(errors.count().is_empty());
        writeln!(log, "[{now}] PHP Warning:  x in {folder}/sale/a.php on line 3").unwrap();
        writeln!(log, "#0 {folder}/sale/b.php(3): x()\n[{now}] PHP Fatal error:  y in {folder}/main/c.php:4").unwrap();
        writeln!(log, "[{now}] forkpress-queries 7\n[01-Jan-1999 00:00:00 UTC] PHP Warning:  x in {folder}/sale/a.php")
            .unwrap();
        write!(log, "[{now}] PHP Notice:  not yet whole in {folder}/sale/").unwrap();
        let counted = |errors: &mut Errors| -> Vec<(String, u64)> {
            errors.count().into_iter().map(|(name, count)| (name.to_string(), count)).collect()
        };
        let expected = |sale| vec![("main".to_owned(), 1), ("sale".to_owned(), sale)];
        assert_eq!(counted(&mut errors), expected(1));
        assert_eq!(counted(&mut errors), expected(1), "nothing is counted twice");
        writeln!(log, "d.php on line 5\n[{now}] ForkPress: PHP process 7 died while serving GET / of branch 'sale'")
            .unwrap();
        assert_eq!(counted(&mut errors), expected(3));
    }

    #[test]
    fn errors_of_a_branch_are_those_that_name_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let layout = SiteLayout::at(dir.path());
        std::fs::create_dir_all(layout.logs_dir()).unwrap();
        let folder = |name: &str| layout.branch(&name.parse().unwrap()).display().to_string();
        let log = format!(
            "[a] PHP Fatal error:  x in {}/wp-content/x.php:3\n[b] PHP Warning:  y in {}/y.php\n[c] PHP Warning:  z in {}/z.php\n",
            folder("sale"),
            folder("sale2"),
            folder("main"),
        );
        std::fs::write(layout.php_errors_log(), log).unwrap();
        let found = last_lines(&layout, &"sale".parse().unwrap());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("Fatal error"));
        assert!(last_lines(&layout, &"other".parse().unwrap()).is_empty());
    }
}
