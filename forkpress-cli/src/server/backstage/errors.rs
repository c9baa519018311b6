//! How many errors PHP has logged of each branch in the last day. What was read once is not read again.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use forkpress_core::layout::SiteLayout;
use forkpress_core::name::BranchName;
use forkpress_core::own;
use time::{Date, Month};

use crate::deaths;

/// For how long an error counts, in the hours in which they are counted.
const HOURS: u64 = 24;

/// No more of a log is read at a time, from its end.
const MOST_BYTES: u64 = 8 << 20;

/// The errors of branches, by the hour.
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
        let logs = [layout.php_errors_log(), deaths::debug_log(layout)];
        let folders = [layout.branches_dir(), layout.public_root().to_owned()];
        Self {
            logs: logs.map(|path| Log { path, read: 0 }).into(),
            folders: folders.map(|folder| format!("{}/", folder.display())).into(),
            hours: VecDeque::new(),
        }
    }

    /// Reads what is new in the logs, and gives the errors of each branch.
    pub(super) fn count(&mut self) -> BTreeMap<BranchName, u64> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let Self { logs, folders, hours } = self;
        for text in logs.iter_mut().filter_map(|log| log.read_on().ok()) {
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

impl Log {
    /// Whole lines that were written since; from the beginning where the file is shorter than it was.
    fn read_on(&mut self) -> io::Result<String> {
        let mut file: File = own::open(&self.path)?;
        let length = file.metadata()?.len();
        if length < self.read {
            self.read = 0;
        }
        self.read = self.read.max(length.saturating_sub(MOST_BYTES));
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
    let at = logged_at(at)?;
    if let Some((_, name)) = said.rsplit_once("of branch '").filter(|_| said.starts_with("ForkPress: ")) {
        return Some((at, name.strip_suffix('\'')?.parse().ok()?));
    }
    said.starts_with("PHP ").then_some(())?;
    let mut names = folders.iter().filter_map(|folder| Some(said.split_once(folder.as_str())?.1.split_once('/')?.0));
    Some((at, names.find_map(|name| name.parse().ok())?))
}

/// The moment before a line, in UTC: `28-Nov-2026 15:45:11 UTC` of PHP's, `2026-11-28T15:45:11Z` of ForkPress's own.
fn logged_at(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    if text.ends_with('Z') {
        let time = (number(11..13)?, number(14..16)?, number(17..19)?);
        return moment(number(0..4)?, number(5..7)?, number(8..10)?, time);
    }
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|month| text.get(3..6) == Some(month))? as u64 + 1;
    moment(number(7..11)?, month, number(0..2)?, (number(12..14)?, number(15..17)?, number(18..20)?))
}

/// A moment in UTC as seconds since 1970; none where there is no such one.
pub(super) fn moment(year: u64, month: u64, day: u64, (hour, minute, second): (u64, u64, u64)) -> Option<u64> {
    let small = |number: u64| u8::try_from(number).ok();
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, Month::try_from(small(month)?).ok()?, small(day)?);
    let moment = date.ok()?.with_hms(small(hour)?, small(minute)?, small(second)?).ok()?;
    u64::try_from(moment.assume_utc().unix_timestamp()).ok()
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
    fn moments_are_read_as_php_and_forkpress_write_them() {
        assert_eq!(logged_at("28-Nov-2026 15:45:11 UTC"), Some(1_795_880_711));
        assert_eq!(logged_at("2026-11-28T15:45:11Z"), Some(1_795_880_711));
        assert_eq!(logged_at("Sat Nov 28 15:45:11.1 2026"), None);
    }
}
