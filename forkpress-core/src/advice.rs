//! What to do about an error. The advice stands beside the error that it is about, and whoever shows the error asks for it.

use crate::lock::LockError;

/// An error that may know what to do about it.
pub trait Advice {
    /// What to do or to type next, a lower-case fragment; none where there is nothing to say.
    fn hint(&self) -> Option<String>;

    /// Whether the same may succeed when it is tried again later.
    fn is_passing(&self) -> bool {
        false
    }
}

/// The advice about what a process keeps for itself: none is named where it is not known which, or whether it is one.
#[must_use]
pub fn try_again(keeper: Option<u32>) -> String {
    let end = keeper.map(|pid| format!("end it with 'kill {pid}', ")).unwrap_or_default();
    format!("try again when it has ended, {end}or wait longer with --timeout SECONDS")
}

impl Advice for LockError {
    fn hint(&self) -> Option<String> {
        let Self::Timeout(busy) = self else { return None };
        Some(try_again(match &busy.holders[..] {
            [holder] => Some(holder.pid),
            _ => None,
        }))
    }

    fn is_passing(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }
}
