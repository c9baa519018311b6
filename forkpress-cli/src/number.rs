//! What branches that are made together are called: a prefix and a number.

use forkpress_core::name::BranchName;

use crate::failure::{During, Failure};

/// The next `count` names with this prefix: the numbers go on after the highest that is taken.
pub fn next(prefix: &str, count: u16, taken: &[String]) -> Result<Vec<BranchName>, Failure> {
    let highest = taken.iter().filter_map(|name| of(prefix, name)).max().unwrap_or_default();
    let numbers = (1..=u64::from(count)).map(|step| highest.saturating_add(step));
    numbers
        .map(|number| {
            let name = format!("{prefix}-{number}");
            name.parse().during(|| format!("'{name}' can't be a branch of a site"))
        })
        .collect()
}

/// The number of a name that such a prefix and a number make. Numbers are written in one way only.
pub fn of(prefix: &str, name: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_prefix('-')?;
    let number: u64 = digits.parse().ok()?;
    (number > 0 && number.to_string() == digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(prefix: &str, count: u16, taken: &[&str]) -> Vec<String> {
        let taken: Vec<_> = taken.iter().map(|name| (*name).to_owned()).collect();
        next(prefix, count, &taken).unwrap().into_iter().map(String::from).collect()
    }

    #[test]
    fn numbers_go_on_after_the_highest_that_is_taken() {
        assert_eq!(names("agent", 2, &[]), ["agent-1", "agent-2"]);
        assert_eq!(names("agent", 2, &["agent-9", "agent-3", "agent-x", "agents-70", "agent", "main"])[0], "agent-10");
        assert_eq!(names("a-1", 1, &["a-1", "a-1-2"]), ["a-1-3"]);
    }

    #[test]
    fn a_number_is_written_in_one_way() {
        assert_eq!(of("agent", "agent-10"), Some(10));
        for name in ["agent-010", "agent-+1", "agent-0", "agent-", "agent--1", "agent-99999999999999999999"] {
            assert_eq!(of("agent", name), None, "{name}");
        }
    }

    #[test]
    fn a_name_that_gets_too_long_is_refused() {
        let prefix = "x".repeat(61);
        assert!(next(&prefix, 9, &[]).is_ok());
        assert!(next(&prefix, 10, &[]).is_err());
    }
}
