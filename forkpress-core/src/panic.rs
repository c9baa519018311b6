//! Keeps panics out of C: each function that PHP calls runs its Rust half in [`caught`].
//!
//! Rust's panic hook reports a panic in PHP's error output. PHP gets its failure value.

use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(not(panic = "unwind"))]
compile_error!("a panic must stay catchable: PHP gets a failure value, not an abort");

/// Runs `action`; none where it panics. What it had begun to change stays as it was at that moment.
pub fn caught<T>(action: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(action)) {
        Ok(value) => Some(value),
        Err(panic) => {
            // What it carries may panic again as it is dropped.
            std::mem::forget(panic);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::panic_any;

    use super::*;

    const FAILURE: i32 = -1;

    /// As PHP calls a hook: a panic that got here would abort the process.
    extern "C" fn hook(number: i32) -> i32 {
        caught(|| match number {
            0 => 0,
            1 => panic!("on purpose"),
            2 => Vec::<i32>::new()[number as usize],
            _ => panic_any(PanicsAgain),
        })
        .unwrap_or(FAILURE)
    }

    struct PanicsAgain;

    impl Drop for PanicsAgain {
        fn drop(&mut self) {
            panic!("and again");
        }
    }

    #[test]
    fn a_panic_behind_a_c_function_becomes_its_failure_value_and_the_next_call_is_fine() {
        assert_eq!([0, 1, 0, 2, 0].map(|number| hook(number)), [0, FAILURE, 0, FAILURE, 0]);
    }

    #[test]
    fn what_a_panic_carries_may_panic_as_it_is_dropped() {
        assert_eq!(hook(3), FAILURE);
        assert_eq!(hook(0), 0);
    }

    #[test]
    fn what_the_action_owned_is_dropped() {
        struct Counts<'a>(&'a Cell<u32>);
        impl Drop for Counts<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        let dropped = Cell::new(0);
        let owned = Counts(&dropped);
        let outcome: Option<()> = caught(move || {
            let _owned = owned;
            panic!("on purpose")
        });
        assert_eq!((outcome, dropped.get()), (None, 1));
    }
}
