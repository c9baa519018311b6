//! When a page of a branch was last seen to work. It is known from the start of the server on, and lost at its end.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use forkpress_core::name::BranchName;

/// So many pages are known. When there are more, the older half is forgotten.
const MOST: usize = 4096;

/// Longer paths are not noted.
const LONGEST: usize = 512;

/// When pages worked, by their branch and their path.
#[derive(Debug, Default)]
pub struct Worked(Mutex<HashMap<(BranchName, String), SystemTime>>);

impl Worked {
    /// Notes that a page worked.
    pub fn note(&self, branch: &BranchName, path: &str, at: SystemTime) {
        if path.len() > LONGEST {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((branch.clone(), path.to_owned()), at);
        if known.len() > MOST {
            let mut times: Vec<_> = known.values().copied().collect();
            let (_, middle, _) = times.select_nth_unstable(MOST / 2);
            let middle = *middle;
            known.retain(|_, at| *at > middle);
        }
    }

    /// When a page worked last; none where nobody has seen it work.
    #[must_use]
    pub fn last(&self, branch: &BranchName, path: &str) -> Option<SystemTime> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&(branch.clone(), path.to_owned())).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn each_page_is_known_by_itself_and_the_oldest_are_forgotten() {
        let (worked, sale) = (Worked::default(), "sale".parse().unwrap());
        let at = |number: usize| UNIX_EPOCH + Duration::from_secs(number as u64);
        worked.note(&sale, "/", at(1));
        worked.note(&sale, "/", at(2));
        assert_eq!(worked.last(&sale, "/"), Some(at(2)));
        assert_eq!((worked.last(&sale, "/x"), worked.last(&BranchName::main(), "/")), (None, None));
        for number in 0..2 * MOST {
            worked.note(&sale, &format!("/{number}"), at(10 + number));
        }
        assert_eq!(worked.last(&sale, "/"), None);
        assert_eq!(worked.last(&sale, &format!("/{}", 2 * MOST - 1)), Some(at(9 + 2 * MOST)));
        assert!(worked.0.lock().unwrap().len() <= MOST);
        worked.note(&sale, &"x".repeat(LONGEST + 1), at(0));
        assert_eq!(worked.last(&sale, &"x".repeat(LONGEST + 1)), None);
    }
}
