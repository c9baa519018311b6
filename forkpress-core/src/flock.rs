//! `flock(2)` on an open file: the one way in which ForkPress locks anything.
//!
//! The lock belongs to the open file, so a forked child has it, too. It goes with the last descriptor, or when it is let go.

use std::fs::File;
use std::io::{self, ErrorKind};

use fs2::FileExt;

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// With others that share it.
    Shared,
    /// Alone.
    Exclusive,
}

/// Takes the lock if it is free, and says whether it did. Never blocks.
///
/// # Errors
/// What the system said when the file is of no kind that can be locked, or the kernel has no room for another lock.
pub fn try_lock(file: &File, mode: Mode) -> io::Result<bool> {
    let attempt = || match mode {
        Mode::Shared => FileExt::try_lock_shared(file),
        Mode::Exclusive => FileExt::try_lock_exclusive(file),
    };
    match whatever_signals_come(attempt) {
        Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => Ok(false),
        taken => taken.map(|()| true),
    }
}

/// Takes the lock, however long others have it.
///
/// # Errors
/// As [`try_lock`].
pub fn lock(file: &File, mode: Mode) -> io::Result<()> {
    whatever_signals_come(|| lock_unless_interrupted(file, mode))
}

/// The same, but a signal that the process handles ends the wait.
///
/// # Errors
/// [`ErrorKind::Interrupted`] when such a signal came; else as [`try_lock`].
pub fn lock_unless_interrupted(file: &File, mode: Mode) -> io::Result<()> {
    match mode {
        Mode::Shared => FileExt::lock_shared(file),
        Mode::Exclusive => FileExt::lock_exclusive(file),
    }
}

/// Lets the lock go, also in a forked child that has the file open.
///
/// # Errors
/// What the system said when the kernel can't; closing the file is all that can be done then.
pub fn unlock(file: &File) -> io::Result<()> {
    FileExt::unlock(file)
}

fn whatever_signals_come(mut attempt: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_shared_by_those_who_share_it_and_free_once_they_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let open = || File::options().create(true).truncate(false).write(true).open(&path).unwrap();
        let (one, other) = (open(), open());
        assert!(try_lock(&one, Mode::Shared).unwrap() && try_lock(&other, Mode::Shared).unwrap());
        assert!(!try_lock(&one, Mode::Exclusive).unwrap());
        unlock(&other).unwrap();
        lock(&one, Mode::Exclusive).unwrap();
        assert!(!try_lock(&other, Mode::Shared).unwrap());
        unlock(&one).unwrap();
        lock_unless_interrupted(&other, Mode::Exclusive).unwrap();
    }

    #[test]
    fn an_attempt_that_a_signal_ended_is_made_again() {
        let mut outcomes = vec![Ok(()), Err(ErrorKind::Interrupted.into())];
        assert!(whatever_signals_come(|| outcomes.pop().unwrap()).is_ok());
        assert!(whatever_signals_come(|| Err(ErrorKind::WouldBlock.into())).is_err());
    }
}
