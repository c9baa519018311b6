//! Where the files of an export go: into a ZIP, whole or as a stream, or into a folder.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use forkpress_core::record::rfc3339;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Ends of names of files that get no smaller.
const COMPRESSED: [&str; 21] = [
    "7z", "avif", "br", "bz2", "gif", "gz", "jpeg", "jpg", "m4a", "m4v", "mov", "mp3", "mp4", "ogg", "png", "webm",
    "webp", "woff", "woff2", "xz", "zip",
];

/// From how many bytes on a ZIP needs more room for their number: a little below 4 GiB, since compressed bytes may be more.
const LARGE_BYTES: u64 = 0xf000_0000;

/// A file of an export.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) mode: u32,
    /// Seconds since the epoch.
    pub(super) modified: i64,
    /// How many bytes at most.
    pub(super) size_bytes: u64,
}

/// Takes folders and files, one after the other. What is written is of the file that was begun last.
pub(super) trait Archive: Write {
    /// Makes a folder.
    fn folder(&mut self, path: &Path, mode: u32) -> io::Result<()>;
    /// Begins a file.
    fn begin(&mut self, path: &Path, facts: Facts) -> io::Result<()>;
    /// Ends the last file, and all.
    fn finish(&mut self) -> io::Result<()>;
}

/// A ZIP.
pub(super) struct Zip<W: Write + Seek> {
    /// None once it is finished.
    writer: Option<ZipWriter<W>>,
}

impl<W: Write + Seek> Zip<W> {
    pub(super) fn new(writer: ZipWriter<W>) -> Self {
        Self { writer: Some(writer) }
    }

    fn writer(&mut self) -> io::Result<&mut ZipWriter<W>> {
        self.writer.as_mut().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

/// As a ZIP names it. Names that are no text have their bytes shown.
fn zip_name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn zip_time(modified: i64) -> DateTime {
    let moment = UNIX_EPOCH + Duration::from_secs(u64::try_from(modified).unwrap_or_default());
    let text = rfc3339(moment);
    let numbers: Vec<u16> =
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
    let Some((year, rest)) = numbers.split_first() else { return DateTime::default() };
    let rest: Vec<u8> = rest.iter().filter_map(|number| u8::try_from(*number).ok()).collect();
    let [month, day, hour, minute, second] = rest[..] else { return DateTime::default() };
    DateTime::from_date_and_time(*year, month, day, hour, minute, second).unwrap_or_default()
}

impl<W: Write + Seek> Drop for Zip<W> {
    /// One that was not finished is of no use, and nobody is to be told that it can't be ended.
    fn drop(&mut self) {
        std::mem::forget(self.writer.take());
    }
}

impl<W: Write + Seek> Write for Zip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer()?.flush()
    }
}

impl<W: Write + Seek> Archive for Zip<W> {
    fn folder(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        let options = SimpleFileOptions::default().unix_permissions(mode);
        Ok(self.writer()?.add_directory(zip_name(path), options)?)
    }

    fn begin(&mut self, path: &Path, facts: Facts) -> io::Result<()> {
        let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
        let is_compressed = COMPRESSED.contains(&end.as_str());
        let options = SimpleFileOptions::default()
            .compression_method(if is_compressed { CompressionMethod::Stored } else { CompressionMethod::Deflated })
            .unix_permissions(facts.mode)
            .last_modified_time(zip_time(facts.modified))
            .large_file(facts.size_bytes >= LARGE_BYTES);
        Ok(self.writer()?.start_file(zip_name(path), options)?)
    }

    fn finish(&mut self) -> io::Result<()> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        writer.finish()?.flush()
    }
}

/// A folder, in which nothing else is.
pub(super) struct ExportFolder {
    root: PathBuf,
    /// The file that was begun last, and when it was modified.
    file: Option<(File, i64)>,
    /// Folders with the permissions that they get at the end: one that nobody may write into could not be filled.
    folders: Vec<(PathBuf, u32)>,
}

impl ExportFolder {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), file: None, folders: Vec::new() }
    }

    fn end(&mut self) -> io::Result<()> {
        let Some((file, modified)) = self.file.take() else { return Ok(()) };
        let modified = UNIX_EPOCH + Duration::from_secs(u64::try_from(modified).unwrap_or_default());
        file.set_modified(modified)
    }
}

impl Write for ExportFolder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (file, _) = self.file.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |(file, _)| file.flush())
    }
}

impl Archive for ExportFolder {
    fn folder(&mut self, path: &Path, mode: u32) -> io::Result<()> {
        let path = self.root.join(path);
        fs::create_dir(&path)?;
        self.folders.push((path, mode));
        Ok(())
    }

    fn begin(&mut self, path: &Path, facts: Facts) -> io::Result<()> {
        self.end()?;
        let file = File::create_new(self.root.join(path))?;
        file.set_permissions(fs::Permissions::from_mode(facts.mode | 0o600))?;
        self.file = Some((file, facts.modified));
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.end()?;
        // From the inside out.
        for (path, mode) in self.folders.drain(..).rev() {
            fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o700))?;
        }
        Ok(())
    }
}
