//! How full OPcache is, when that is enough for a fresh php-fpm, and what of its scripts is warmed in that one.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a change-over is the last one at least. Where the branches in use have more code than fits, another does not help.
const REST: Duration = Duration::from_secs(300);

/// Scripts by branch and by path in it: when each was used last, in seconds since 1970, and its bytes.
pub(super) type Used = BTreeMap<String, BTreeMap<String, (u64, u64)>>;

/// How full a server's OPcache is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpcacheStatus {
    /// Whether PHP has it and uses it.
    pub enabled: bool,
    /// Bytes that hold scripts that are good.
    pub used_bytes: u64,
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Bytes that hold scripts that are not good any more.
    pub wasted_bytes: u64,
    /// Files that it has in its table.
    pub scripts: u64,
    /// Files that it has room for in its table.
    pub most_scripts: u64,
    /// How often it was full and began anew.
    pub restarts: u64,
    /// Whether all of PHP's processes share it. Otherwise this is what one has that serves nobody.
    #[serde(default = "shares_opcache")]
    pub shared: bool,
    /// Whether PHP has APCu. It is off in requests of a branch, as all branches would share it.
    #[serde(default)]
    pub apcu: bool,
}

impl OpcacheStatus {
    /// All of its memory.
    pub fn memory_bytes(&self) -> u64 {
        self.used_bytes + self.free_bytes + self.wasted_bytes
    }

    /// Whether four fifths are used: the rest is for what people ask for.
    pub fn is_full(&self) -> bool {
        self.fullness() >= 0.8
    }

    /// How much of its memory, or of its table if that is more, is not free: from 0 to 1.
    pub fn fullness(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a share need not be exact")]
        let share = |part: u64, all: u64| part as f64 / all.max(1) as f64;
        share(self.memory_bytes() - self.free_bytes, self.memory_bytes()).max(share(self.scripts, self.most_scripts))
    }
}

pub(super) fn shares_opcache() -> bool {
    true
}

/// Whether the server is to move to a fresh php-fpm, so long after it did that last: OPcache is four fifths full, or was full and
/// began anew, which it does when no request runs.
pub(super) fn is_due(status: &OpcacheStatus, last: Option<Duration>) -> bool {
    status.enabled && (status.is_full() || status.restarts > 0) && last.is_none_or(|last| last >= REST)
}

/// What is warmed in an OPcache that is like this: what was used last, until it is half full. The rest is for what comes.
pub(super) fn chosen(used: &Used, fresh: &OpcacheStatus) -> BTreeMap<String, Vec<String>> {
    let mut bytes = (fresh.memory_bytes() / 2).saturating_sub(fresh.used_bytes);
    let scripts = (fresh.most_scripts / 2).saturating_sub(fresh.scripts);
    let mut all: Vec<_> = used
        .iter()
        .flat_map(|(branch, scripts)| {
            scripts.iter().map(move |(path, &(last, size))| (Reverse(last), branch, path, size))
        })
        .collect();
    all.sort();
    let mut chosen = BTreeMap::<String, Vec<String>>::new();
    for (_, branch, path, size) in all.into_iter().take(usize::try_from(scripts).unwrap_or(usize::MAX)) {
        let Some(left) = bytes.checked_sub(size) else { break };
        bytes = left;
        chosen.entry(branch.clone()).or_default().push(path.clone());
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(used_bytes: u64, scripts: u64) -> OpcacheStatus {
        OpcacheStatus {
            enabled: true,
            used_bytes,
            free_bytes: 1000 - used_bytes,
            wasted_bytes: 0,
            scripts,
            most_scripts: 100,
            restarts: 0,
            shared: true,
            apcu: false,
        }
    }

    #[test]
    fn a_fresh_php_fpm_is_due_at_four_fifths_and_not_again_at_once() {
        assert!(!is_due(&status(799, 79), None));
        assert!(is_due(&status(800, 0), None) && is_due(&status(0, 80), None));
        assert!(is_due(&OpcacheStatus { wasted_bytes: 500, free_bytes: 200, ..status(300, 0) }, None));
        assert!(is_due(&OpcacheStatus { restarts: 1, ..status(0, 0) }, None));
        assert!(!is_due(&OpcacheStatus { enabled: false, ..status(900, 0) }, None));
        assert!(!is_due(&status(900, 0), Some(Duration::from_secs(299))));
        assert!(is_due(&status(900, 0), Some(Duration::from_secs(300))));
    }

    #[test]
    fn what_was_used_last_is_warmed_until_half_is_full() {
        let scripts = |scripts: &[(&str, u64, u64)]| {
            scripts.iter().map(|(path, last, bytes)| ((*path).to_owned(), (*last, *bytes))).collect()
        };
        let used = Used::from([
            ("main".to_owned(), scripts(&[("a.php", 30, 100), ("b.php", 10, 100)])),
            ("shop".to_owned(), scripts(&[("a.php", 20, 150), ("c.php", 40, 100)])),
        ]);
        let names = |chosen: BTreeMap<String, Vec<String>>| {
            let names =
                chosen.into_iter().flat_map(|(branch, paths)| paths.into_iter().map(move |p| format!("{branch}/{p}")));
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(chosen(&used, &status(50, 0))), ["main/a.php", "main/b.php", "shop/c.php", "shop/a.php"]);
        assert_eq!(names(chosen(&used, &status(100, 0))), ["main/a.php", "shop/c.php", "shop/a.php"]);
        assert_eq!(names(chosen(&used, &status(250, 0))), ["main/a.php", "shop/c.php"]);
        assert_eq!(names(chosen(&used, &status(100, 49))), ["shop/c.php"]);
        assert_eq!(names(chosen(&used, &status(600, 60))), [""; 0]);
    }
}
