//! A small file, mapped into memory, in which a PHP process says what it is serving.
//!
//! Saying so costs no system call. Commands that wait read it (`forkpress_core::lock::holders`); nothing depends on it.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::PathBuf;

use forkpress_core::layout::CowLayout;
use memmap2::MmapMut;

/// What a reader may see of a request; the rest of a long URI is cut.
const BYTES: usize = 512;

/// The note of this process, for as long as it serves this site. The file goes with it; a killed process leaves it behind.
pub struct Note {
    map: MmapMut,
    path: PathBuf,
    pid: u32,
}

impl Note {
    /// Makes the note of this process.
    pub fn create(cow: &CowLayout) -> io::Result<Self> {
        let pid = std::process::id();
        let path = cow.request_note(pid);
        match fs::create_dir(cow.requests_dir()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        file.set_len(BYTES as u64)?;
        // SAFETY: the file is this process's own, by its name. Should anything else truncate it, a write to the map
        // would raise SIGBUS; nothing of ForkPress ever shortens a note, it only unlinks it.
        let map = unsafe { MmapMut::map_mut(&file)? };
        Ok(Self { map, path, pid })
    }

    /// Says what is served now; the empty string: nothing.
    pub fn write(&mut self, text: &str) {
        let length = text.len().min(BYTES - 1);
        self.map[length] = 0;
        self.map[..length].copy_from_slice(&text.as_bytes()[..length]);
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            let _ = fs::remove_file(&self.path);
        }
    }
}
