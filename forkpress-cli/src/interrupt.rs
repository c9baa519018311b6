//! Ctrl-C, for commands that remove again what they made.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::failure::{During, Failure};

/// Whether the user, or the system, wants the command to end. Asked between steps, so that what was made is removed.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// From now on a signal that would end the process is noted instead.
    pub fn on_signals() -> Result<Self, Failure> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let number = usize::try_from(signal).expect("signal numbers are positive");
            signal_hook::flag::register_usize(signal, Arc::clone(&interrupt.0), number)
                .during(|| "cannot catch signals".to_owned())?;
        }
        Ok(interrupt)
    }

    /// Whether a signal has come.
    pub fn has_come(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Fails once a signal has come, as an error of the system.
    pub fn go_on(&self) -> io::Result<()> {
        if self.has_come() { Err(io::Error::other("interrupted")) } else { Ok(()) }
    }

    /// The same, but that what failed once a signal had come failed because of that.
    pub fn rather<T>(&self, done: Result<T, Failure>) -> Result<T, Failure> {
        done.map_err(|failure| self.check().err().unwrap_or(failure))
    }

    /// Fails once a signal has come.
    pub fn check(&self) -> Result<(), Failure> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => {
                let exit = u8::try_from(128 + signal).expect("signal numbers are small");
                Err(Failure::new("interrupted; what was made is removed again").exit(exit))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_the_exit_status() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.check(), Ok(()));
        interrupt.0.store(15, Ordering::Relaxed);
        assert_eq!(interrupt.check().unwrap_err().exit, 143);
    }
}
