//! The time until which a caller waits.

use std::time::{Duration, Instant};

/// A point in time after which a wait gives up. [`Deadline::NOW`] tries once; [`Deadline::NEVER`] waits for ever.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Limit);

#[derive(Clone, Copy, Debug)]
enum Limit {
    Now,
    At(Instant),
    Never,
}

impl Deadline {
    /// Tries once and does not wait.
    pub const NOW: Self = Self(Limit::Now);
    /// Waits as long as it takes.
    pub const NEVER: Self = Self(Limit::Never);

    /// Waits for `timeout` from now. Zero tries once; a timeout too long for the clock waits for ever.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        if timeout.is_zero() {
            return Self::NOW;
        }
        Instant::now().checked_add(timeout).map_or(Self::NEVER, |at| Self(Limit::At(at)))
    }

    /// The earlier of this deadline and `timeout` from now.
    #[must_use]
    pub fn or_after(self, timeout: Duration) -> Self {
        if self.remaining() <= timeout { self } else { Self::after(timeout) }
    }

    /// What is left; zero once it has passed, [`Duration::MAX`] where there is no limit.
    #[must_use]
    pub fn remaining(self) -> Duration {
        match self.0 {
            Limit::Now => Duration::ZERO,
            Limit::At(at) => at.saturating_duration_since(Instant::now()),
            Limit::Never => Duration::MAX,
        }
    }

    /// Whether there is nothing left to wait for.
    #[must_use]
    pub fn has_passed(self) -> bool {
        self.remaining().is_zero()
    }
}
