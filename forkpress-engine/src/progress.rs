//! Reports the progress of long work to whoever shows it, and ends the work where that is asked for. The engine prints nothing.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rusqlite::InterruptHandle;

/// Is told of the steps of a long piece of work, one at a time, from any thread.
pub trait Progress: Sync {
    /// A step begins. `total` is how much there is to do in it, where that is known beforehand.
    fn begin(&self, step: &str, total: Option<u64>);

    /// The same of a step that is counted in bytes.
    fn begin_bytes(&self, step: &str, total: Option<u64>) {
        self.begin(step, total);
    }

    /// So much more of the step is done.
    fn advance(&self, by: u64);

    /// The step is over.
    fn end(&self);

    /// Something that whoever asked for the work should know, in a line.
    fn note(&self, _line: &str) {}

    /// Fails where the work is to end. Whatever takes longer than an instant asks again and again.
    ///
    /// # Errors
    /// Whatever says so.
    fn go_on(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _step: &str, _total: Option<u64>) {}
    fn advance(&self, _by: u64) {}
    fn end(&self) {}
}

/// Tells somebody else, and ends the work where `go_on` fails.
pub struct Until<'a> {
    /// Is told.
    pub progress: &'a dyn Progress,
    /// Fails where the work is to end.
    pub go_on: &'a (dyn Fn() -> io::Result<()> + Sync),
}

impl Progress for Until<'_> {
    fn begin(&self, step: &str, total: Option<u64>) {
        self.progress.begin(step, total);
    }

    fn begin_bytes(&self, step: &str, total: Option<u64>) {
        self.progress.begin_bytes(step, total);
    }

    fn advance(&self, by: u64) {
        self.progress.advance(by);
    }

    fn end(&self) {
        self.progress.end();
    }

    fn note(&self, line: &str) {
        self.progress.note(line);
    }

    fn go_on(&self) -> io::Result<()> {
        (self.go_on)()
    }
}

/// A file that is read as long as the work goes on. Where `counts`, what is read of it is the progress.
pub(crate) struct WatchedFile<'a> {
    pub(crate) file: File,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) counts: bool,
}

impl Read for WatchedFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.progress.go_on()?;
        let count = self.file.read(buffer)?;
        if self.counts {
            self.progress.advance(count as u64);
        }
        Ok(count)
    }
}

impl Seek for WatchedFile<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// How often it is asked whether a statement is to go on.
const PAUSE: Duration = Duration::from_millis(50);

/// Does what is long in SQLite, and interrupts that where the work is to end: then it fails.
pub(crate) fn interruptible<T>(handle: &InterruptHandle, progress: &dyn Progress, work: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel::<()>();
        scope.spawn(move || {
            while is_done.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                if progress.go_on().is_err() {
                    handle.interrupt();
                }
            }
        });
        let worked = work();
        drop(done);
        worked
    })
}
