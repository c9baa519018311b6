//! PHP's access log goes through a pipe, so no request waits for the disk.
//!
//! PHP logs each request while it serves it, and while it holds the operations lock. If it wrote into a file, it would
//! wait whenever a mutation makes the file system write a transaction down. So it writes into a pipe, and a thread
//! writes the file.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use forkpress_core::own;

use crate::failure::{During, Failure};

/// What PHP can say while the disk is busy before it waits: some 10,000 requests. As much as Linux gives to anybody
/// (`/proc/sys/fs/pipe-max-size`).
const PIPE_BYTES: usize = 1 << 20;

/// How long [`ServerLog::finish`] waits for what somebody may still say.
const PATIENCE: Duration = Duration::from_secs(1);

const PAUSE: Duration = Duration::from_millis(10);

/// A log that is being written.
pub(super) struct ServerLog {
    /// None once it was waited for.
    writer: Option<JoinHandle<()>>,
}

impl ServerLog {
    /// Begins to append to the log at `path` what is said into the pipe, until the last of its writing ends is closed.
    pub(super) fn begin(path: &Path) -> Result<(Self, PipeWriter), Failure> {
        let log = open_log(path)?;
        let (said, output) = std::io::pipe().during(|| "cannot make a pipe".to_owned())?;
        // A smaller pipe does as well, only PHP waits sooner.
        #[cfg(target_os = "linux")]
        let _ = rustix::pipe::fcntl_setpipe_size(&output, PIPE_BYTES);
        let writer = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || append(said, log))
            .during(|| "cannot start a thread".to_owned())?;
        Ok((Self { writer: Some(writer) }, output))
    }

    /// Waits until all that was said is in the log. A process that outlives PHP may keep its end of the pipe open: not
    /// for that one for longer than a second, nor twice.
    pub(super) fn finish(&mut self) {
        let Some(writer) = self.writer.take() else { return };
        let began = Instant::now();
        while !writer.is_finished() && began.elapsed() < PATIENCE {
            thread::sleep(PAUSE);
        }
    }
}

/// Goes on where the log can't be written: PHP would wait for ever.
fn append(mut said: PipeReader, mut log: impl Write) {
    let mut bytes = vec![0; PIPE_BYTES];
    loop {
        match said.read(&mut bytes) {
            Ok(0) => return,
            Ok(length) => {
                let _ = log.write_all(&bytes[..length]);
                // What several requests say is worth one wake-up.
                thread::sleep(PAUSE);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Opens a log for appending, making it if need be.
pub fn open_log(path: &Path) -> Result<File, Failure> {
    own::options().append(true).create(true).open(path).during(|| format!("cannot write the log {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_log_has_all_that_was_said_once_it_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, "old\n").unwrap();
        let (mut log, mut output) = ServerLog::begin(&path).unwrap();
        let more = vec![b'x'; 3 * PIPE_BYTES];
        output.write_all(&more).unwrap();
        output.write_all(b"\nlast\n").unwrap();
        drop(output);
        log.finish();
        assert!(fs::read(&path).unwrap() == [b"old\n", &more[..], b"\nlast\n"].concat());
    }

    #[test]
    fn what_cannot_be_written_is_taken_all_the_same() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let (said, mut output) = std::io::pipe().unwrap();
        let writer = thread::spawn(move || append(said, Full));
        output.write_all(&vec![b'x'; 3 * PIPE_BYTES]).unwrap();
        drop(output);
        writer.join().unwrap();
    }
}
