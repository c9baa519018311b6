//! Names of branches that are made together: a prefix and a number.

use forkpress_core::name::BranchName;

use crate::failure::{During, Failure};

/// How often names are looked for that other commands take meanwhile.
const ATTEMPTS: u32 = 20;

/// Makes branches with the next `count` names with this prefix. `create` gives what it made, or the name that something has
/// by then, for whatever reason `taken` does not: that one is not tried again.
///
/// # Errors
/// What `taken` or `create` say; or when names are taken faster than they are found.
pub fn make<T>(
    prefix: &str,
    count: u16,
    taken: impl Fn() -> Result<Vec<String>, Failure>,
    mut create: impl FnMut(&[BranchName]) -> Result<Result<T, BranchName>, Failure>,
) -> Result<(Vec<BranchName>, T), Failure> {
    let mut refused = Vec::new();
    for _ in 0..ATTEMPTS {
        let all: Vec<String> = taken()?.into_iter().chain(refused.iter().cloned()).collect();
        let names = next(prefix, count, &all)?;
        match create(&names)? {
            Ok(made) => return Ok((names, made)),
            Err(name) => refused.push(name.to_string()),
        }
    }
    Err(Failure::new(format!("{ATTEMPTS} times, a name was taken that was free: {}", refused.join(", ")))
        .hint("choose another --prefix"))
}

/// The next `count` names with this prefix: the numbers go on after the highest that is taken.
fn next(prefix: &str, count: u16, taken: &[String]) -> Result<Vec<BranchName>, Failure> {
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
    fn a_name_that_is_refused_though_nothing_seems_to_have_it_is_not_tried_again() {
        let hidden = ["agent-1", "agent-2", "agent-5"];
        let mut tried = 0;
        let made = make(
            "agent",
            2,
            || Ok(vec!["agent-x".to_owned()]),
            |names| {
                tried += 1;
                let taken = names.iter().find(|name| hidden.contains(&name.as_str()));
                Ok(taken.map_or(Ok(()), |name| Err(name.clone())))
            },
        );
        let (names, ()) = made.unwrap();
        assert_eq!(names.iter().map(BranchName::as_str).collect::<Vec<_>>(), ["agent-3", "agent-4"]);
        assert_eq!(tried, 3);
        let never: Result<(_, ()), _> = make("agent", 1, || Ok(Vec::new()), |names| Ok(Err(names[0].clone())));
        assert!(never.unwrap_err().error.contains("agent-1, agent-2"));
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
