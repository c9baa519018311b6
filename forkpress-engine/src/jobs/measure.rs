//! How far a step is, as a line of a job's progress has it.

use std::fmt;

/// How far a step is: a line such as `forkpress: copy 1234/5678`, or `forkpress: load 1234/5678 bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measure<'a> {
    /// The step.
    pub step: &'a str,
    /// How much of it is done.
    pub done: u64,
    /// How much there is to do.
    pub total: u64,
    /// Whether bytes are counted.
    pub in_bytes: bool,
}

impl<'a> Measure<'a> {
    /// Reads such a line; none where it is another.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Self> {
        let rest = line.strip_prefix("forkpress: ")?;
        let (rest, in_bytes) = rest.strip_suffix(" bytes").map_or((rest, false), |rest| (rest, true));
        let (step, numbers) = rest.rsplit_once(' ')?;
        let (done, total) = numbers.split_once('/')?;
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        Some(Self { step, done: number(done)?, total: number(total)?, in_bytes })
    }
}

impl fmt::Display for Measure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, done, total, in_bytes } = self;
        write!(f, "forkpress: {step} {done}/{total}{}", if *in_bytes { " bytes" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for in_bytes in [false, true] {
            let measure = Measure { step: "copy the files of main", done: 12, total: 34, in_bytes };
            assert_eq!(Measure::parse(&measure.to_string()), Some(measure));
        }
    }

    #[test]
    fn no_other_line_is_a_measure() {
        for line in [
            "forkpress: copy",
            "forkpress: copy a/b",
            "copy 1/2",
            "forkpress: 1/2",
            "forkpress: copy +1/2",
            "forkpress: x /",
        ] {
            assert_eq!(Measure::parse(line), None, "{line}");
        }
    }
}
