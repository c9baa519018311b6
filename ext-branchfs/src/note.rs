//! The file in which a PHP process says what it is serving, mapped into memory: `forkpress_core::lock::note`.
//!
//! Writing it costs no system call.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use forkpress_core::layout::CowLayout;
use forkpress_core::lock::note::{NOTE_BYTES, State, line};
use forkpress_core::own;
use forkpress_core::process::ProcessIdentity;
use memmap2::MmapMut;

/// The note of this process, for as long as it serves this site. The file goes with it; a killed process leaves it behind.
pub struct Note {
    map: MmapMut,
    path: PathBuf,
    process: ProcessIdentity,
}

impl Note {
    /// Makes the note of this process.
    pub fn create(cow: &CowLayout) -> io::Result<Self> {
        let process = ProcessIdentity::current();
        let path = cow.request_note(process.pid);
        match fs::create_dir(cow.requests_dir()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ if !fs::symlink_metadata(cow.requests_dir())?.is_dir() => return Err(io::ErrorKind::NotADirectory.into()),
            _ => {}
        }
        let file = own::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        file.set_len(NOTE_BYTES as u64)?;
        // SAFETY: the file is this process's own, by its name. Should anything else truncate it, a write to the map
        // would raise SIGBUS; nothing of ForkPress ever shortens a note, it only unlinks it.
        let map = unsafe { MmapMut::map_mut(&file)? };
        Ok(Self { map, path, process })
    }

    /// Says that a request has begun, which waits for the lock now.
    pub fn begin(&mut self, request: &str) {
        let text = line(State::Waiting, SystemTime::now(), &self.process.started, request);
        let length = text.len().min(NOTE_BYTES - 1);
        self.map[length] = 0;
        self.map[..length].copy_from_slice(&text.as_bytes()[..length]);
    }

    /// Says how far the request is that began.
    pub fn say(&mut self, state: State) {
        let word = state.word().as_bytes();
        if self.map[0] != 0 {
            self.map[..word.len()].copy_from_slice(word);
        }
    }

    /// Says that nothing is being served.
    pub fn end(&mut self) {
        self.map[0] = 0;
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if self.process.pid == std::process::id() {
            let _ = fs::remove_file(&self.path);
        }
    }
}
