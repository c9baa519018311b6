//! Who holds a lock, for messages. What is said here is a snapshot and decides nothing.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::note::{Note, State};
use crate::layout::CowLayout;
use crate::process;

/// Linux's table of all file locks, proc(5).
const LOCK_TABLE: &str = "/proc/locks";

/// How often the table is read until it has a holder.
const TABLE_READS: u32 = 5;

/// A process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// What it does: the operation it wrote into the lock file, the request it serves, or its command line.
    pub activity: Option<String>,
    /// Since when it holds the lock, where it wrote that down; since when it serves its request.
    pub since: Option<SystemTime>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        if let Some(activity) = &self.activity {
            write!(f, " ({activity})")?;
        }
        if let Some(held) = self.since.and_then(|since| since.elapsed().ok()) {
            write!(f, " for {:.1} s", held.as_secs_f64())?;
        }
        Ok(())
    }
}

/// A lock that others hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// The lock file.
    pub path: PathBuf,
    /// Those that hold it, as far as the platform tells.
    pub holders: Vec<Holder>,
}

impl Busy {
    pub(super) fn now(cow: &CowLayout, path: PathBuf) -> Self {
        Self { holders: holders(cow, &path), path }
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is held by ", self.path.file_name().unwrap_or_default().to_string_lossy())?;
        if self.holders.is_empty() {
            return f.write_str("another process");
        }
        for (index, holder) in self.holders.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            holder.fmt(f)?;
        }
        Ok(())
    }
}

/// Those that share a lock, this process left out, by what they say of themselves. It is a snapshot, and a line of the
/// kernel's table can slip through.
pub(super) struct Sharers(Option<Vec<Option<Note>>>);

impl Sharers {
    /// Looks who shares the lock file at `path`.
    pub(super) fn of(cow: &CowLayout, path: &Path) -> Self {
        Self::in_table(Path::new(LOCK_TABLE), cow, path)
    }

    fn in_table(table: &Path, cow: &CowLayout, path: &Path) -> Self {
        let pids = fs::metadata(path).ok().zip(fs::read_to_string(table).ok()).map(|(metadata, table)| {
            let mut pids = flock_pids(&table, metadata.dev(), metadata.ino());
            pids.retain(|pid| *pid != std::process::id());
            pids
        });
        Self(pids.map(|pids| pids.into_iter().map(|pid| Note::of(cow, pid)).collect()))
    }

    /// Whether there is anybody, and each is a request or a program in a branch.
    pub(super) fn are_in_branches(&self) -> bool {
        self.0.as_ref().is_some_and(|notes| !notes.is_empty()) && !self.has_strangers()
    }

    /// Whether anybody is neither a request nor a program in a branch, or nobody can be asked.
    pub(super) fn has_strangers(&self) -> bool {
        let is_in_branch = |note: &Option<Note>| note.as_ref().is_some_and(|note| note.branch().is_some());
        !self.0.as_ref().is_some_and(|notes| notes.iter().all(is_in_branch))
    }

    /// Whether anybody has been at its request for longer than that, and is not merely sending bytes.
    pub(super) fn run_for_longer_than(&self, time: Duration) -> bool {
        let is_long = |note: &Note| note.state == State::Serving && note.age() > time;
        self.0.iter().flatten().flatten().any(is_long)
    }
}

/// The processes that hold the lock file at `path`, this one left out. Empty where nobody does or nothing can be told.
///
/// On Linux `/proc/locks` says which; elsewhere only an exclusive holder is known, by its own record.
#[must_use]
pub fn holders(cow: &CowLayout, path: &Path) -> Vec<Holder> {
    let record = fs::read_to_string(path).ok().and_then(|text| text.lines().find_map(parse_record));
    let mut pids = match fs::metadata(path) {
        Ok(metadata) if Path::new(LOCK_TABLE).exists() => {
            // The kernel hands its table out a page at a time: a line can slip through while others lock and unlock.
            (0..TABLE_READS)
                .map(|_| {
                    flock_pids(&fs::read_to_string(LOCK_TABLE).unwrap_or_default(), metadata.dev(), metadata.ino())
                })
                .find(|pids| !pids.is_empty())
                .unwrap_or_default()
        }
        _ => record.iter().filter(|holder| process::ProcessIdentity::of(holder.pid).is_some()).map(|h| h.pid).collect(),
    };
    pids.retain(|pid| *pid != std::process::id());
    pids.sort_unstable();
    pids.dedup();
    pids.into_iter()
        .map(|pid| match &record {
            Some(holder) if holder.pid == pid => holder.clone(),
            _ => match Note::of(cow, pid) {
                Some(note) => Holder {
                    pid,
                    activity: Some(format!("{} {}", note.state.word(), note.text)),
                    since: Some(note.since),
                },
                None => Holder { pid, activity: process::command_line(pid), since: None },
            },
        })
        .collect()
}

fn parse_record(line: &str) -> Option<Holder> {
    let rest = line.strip_prefix("holder pid=")?;
    let (pid, rest) = rest.split_once(" since=")?;
    let (since, operation) = rest.split_once(" operation=")?;
    Some(Holder {
        pid: pid.parse().ok()?,
        activity: Some(operation.to_owned()),
        since: UNIX_EPOCH.checked_add(Duration::from_millis(since.parse().ok()?)),
    })
}

/// The processes that hold a flock on a file, from the text of `/proc/locks` (proc(5)).
///
/// A line reads `1: FLOCK  ADVISORY  WRITE 4711 fe:00:12345 0 EOF`; one that waits has `->` after its number. Some file
/// systems (btrfs) give `stat` another device number than the kernel's table has: where no line has the right device,
/// the inode alone decides.
fn flock_pids(table: &str, device: u64, inode: u64) -> Vec<u32> {
    let lines: Vec<(u32, bool)> = table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(1);
            if fields.next()? != "FLOCK" {
                return None;
            }
            let pid = fields.nth(2)?.parse().ok()?;
            let mut place = fields.next()?.split(':');
            let major = u32::from_str_radix(place.next()?, 16).ok()?;
            let minor = u32::from_str_radix(place.next()?, 16).ok()?;
            let of_inode = place.next()?.parse::<u64>().ok()? == inode;
            of_inode.then_some((pid, is_device(device, major, minor)))
        })
        .collect();
    let exact = lines.iter().any(|(_, same_device)| *same_device);
    lines.into_iter().filter(|(_, same_device)| *same_device || !exact).map(|(pid, _)| pid).collect()
}

#[cfg(target_os = "linux")]
fn is_device(device: u64, major: u32, minor: u32) -> bool {
    (rustix::fs::major(device), rustix::fs::minor(device)) == (major, minor)
}

#[cfg(not(target_os = "linux"))]
fn is_device(_device: u64, _major: u32, _minor: u32) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
1: FLOCK  ADVISORY  WRITE 4711 fe:00:12345 0 EOF
1: -> FLOCK  ADVISORY  WRITE 4712 fe:00:12345 0 EOF
2: POSIX  ADVISORY  WRITE 4713 fe:00:12345 0 EOF
3: FLOCK  ADVISORY  READ  4714 fe:01:12345 0 EOF
4: FLOCK  ADVISORY  READ  4715 fe:00:99999 0 EOF
";

    #[cfg(target_os = "linux")]
    #[test]
    fn where_nobody_can_be_asked_all_may_be_strangers_so_that_a_publish_is_wide() {
        let dir = tempfile::tempdir().unwrap();
        let (cow, lock, table) = (CowLayout::new(dir.path()), dir.path().join("lock"), dir.path().join("table"));
        let look = || {
            let sharers = Sharers::in_table(&table, &cow, &lock);
            (sharers.has_strangers(), sharers.are_in_branches())
        };
        fs::write(&lock, "").unwrap();
        assert_eq!(look(), (true, false), "no table");
        fs::write(&table, "").unwrap();
        assert_eq!(look(), (false, false), "nobody is in it");
        let (device, inode) = fs::metadata(&lock).map(|lock| (lock.dev(), lock.ino())).unwrap();
        let device = format!("{:02x}:{:02x}", rustix::fs::major(device), rustix::fs::minor(device));
        fs::write(&table, format!("1: FLOCK  ADVISORY  READ  4194305 {device}:{inode} 0 EOF\n")).unwrap();
        assert_eq!(look(), (true, false), "somebody who says nothing of itself");
        fs::remove_file(&lock).unwrap();
        assert_eq!(look(), (true, false), "no lock file");
    }

    #[test]
    fn a_holder_is_found_by_device_and_inode_and_one_that_waits_is_none() {
        let device = rustix::fs::makedev(0xfe, 0);
        assert_eq!(flock_pids(TABLE, device, 12345), [4711]);
        assert_eq!(flock_pids(TABLE, device, 99999), [4715]);
    }

    #[test]
    fn without_a_line_of_the_device_the_inode_decides() {
        assert_eq!(flock_pids(TABLE, 1, 12345), [4711, 4714]);
    }

    #[test]
    fn a_record_is_read_back() {
        let holder = parse_record("holder pid=7 since=1000 operation=branch reset a from b").unwrap();
        assert_eq!(holder.activity.as_deref(), Some("branch reset a from b"));
        assert_eq!(holder.since, Some(UNIX_EPOCH + Duration::from_secs(1)));
        assert_eq!(parse_record("generation 00000000000000000007"), None);
        assert_eq!(parse_record("holder pid=7 since="), None);
    }
}
