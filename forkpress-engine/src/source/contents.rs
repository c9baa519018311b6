//! The exports of contents (WXR) in a source, as plain files for WordPress's importer.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::Found;
use super::error::SourceError;
use super::stream;
use crate::bounds::{Load, Room};
use crate::disk::step;
use crate::progress::Progress;

const PIECE_BYTES: usize = 256 << 10;

/// The exports of a source, unpacked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct UnpackedContents {
    /// The files, in the order in which they are read.
    pub files: Vec<PathBuf>,
    /// How many control characters were left out.
    pub control_characters: u64,
}

impl Found {
    /// Whether it has contents and nothing else.
    #[must_use]
    pub fn is_contents(&self) -> bool {
        !self.contents.is_empty() && self.dumps.is_empty() && self.database.is_none() && self.root.is_none()
    }

    /// Writes the exports into a folder, each into one of its own, which keeps their names. WordPress cuts a large export into
    /// numbered files, so they come by their numbers. Control characters, which XML does not allow and WordPress exports, are
    /// left out.
    ///
    /// # Errors
    /// [`SourceError`]; a part of them is in the folder then.
    pub fn unpack_contents(&self, into: &Path, progress: &dyn Progress) -> Result<UnpackedContents, SourceError> {
        let mut paths = self.contents.clone();
        paths.sort_by_key(|path| by_number(path));
        let place =
            |number: usize, path: &Path| into.join(number.to_string()).join(path.file_name().unwrap_or_default());
        let files: Vec<_> = paths.iter().enumerate().map(|(number, path)| place(number, path)).collect();
        let wanted: Vec<_> = paths.iter().filter_map(|path| self.listing.get(path)).collect();
        let bytes = wanted.iter().fold(0, |sum: u64, item| sum.saturating_add(item.entry.bytes));
        Load { entries: wanted.len() as u64, bytes, packed_bytes: bytes }
            .check_room(Room::at(into)?)
            .map_err(|why| SourceError::TooMuch { path: self.path.clone(), why })?;
        let mut control_characters = 0;
        progress.begin_bytes("unpack the contents", None);
        self.listing.walk(&wanted, progress, &mut |item, content| {
            let at = paths.iter().position(|path| *path == item.path).expect("only what is wanted is visited");
            let file = &files[at];
            let folder = file.parent().unwrap_or(into);
            step("make the folder", folder, || fs::create_dir_all(folder))?;
            let to = step("write", file, || File::create_new(file))?;
            let broken =
                |error| SourceError::broken(self.listing.archive_of(item).path(), Some(&item.entry.path))(error);
            let from = content.open().and_then(stream::unpacked).map_err(broken)?;
            control_characters += copy(from, to, progress).map_err(broken)?;
            Ok(())
        })?;
        progress.end();
        Ok(UnpackedContents { files, control_characters })
    }
}

/// Copies text without control characters, and says how many there were.
fn copy(mut from: impl Read, to: impl Write, progress: &dyn Progress) -> io::Result<u64> {
    let (mut to, mut piece, mut left_out) = (BufWriter::new(to), vec![0; PIECE_BYTES], 0);
    loop {
        let count = from.read(&mut piece)?;
        if count == 0 {
            to.flush()?;
            return Ok(left_out);
        }
        progress.advance(count as u64);
        for text in piece[..count].split_inclusive(|byte| is_control(*byte)) {
            let plain = text.strip_suffix(&[text[text.len() - 1]][..]).filter(|_| is_control(text[text.len() - 1]));
            left_out += u64::from(plain.is_some());
            to.write_all(plain.unwrap_or(text))?;
        }
    }
}

fn is_control(byte: u8) -> bool {
    byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')
}

/// What paths are sorted by so that 10 comes after 9.
fn by_number(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let mut parts = Vec::new();
    let mut rest = path.as_os_str().as_encoded_bytes();
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = rest[digits..].iter().take_while(|byte| !byte.is_ascii_digit()).count();
        let number = rest[..digits]
            .iter()
            .fold(0, |number: u64, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
        parts.push((number, rest[digits..digits + text].to_vec()));
        rest = &rest[digits + text..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::super::{Options, look};
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn exports_come_by_their_numbers_and_without_control_characters() {
        let dir = tempfile::tempdir().unwrap();
        let (source, into) = (dir.path().join("in"), dir.path().join("out"));
        for folder in [&source, &into] {
            fs::create_dir(folder).unwrap();
        }
        let wxr = |text: &str| format!("<rss><wp:wxr_version>1.2</wp:wxr_version>{text}</rss>");
        for (name, text) in [("a.10.xml", "ten"), ("a.9.xml", "ni\u{b}ne\u{1f}\t\n"), ("b.1.xml", "é")] {
            fs::write(source.join(name), wxr(text)).unwrap();
        }
        let found = look(&source, &Options::default(), &Silent).unwrap();
        assert!(found.is_contents());
        let unpacked = found.unpack_contents(&into, &Silent).unwrap();
        let names = unpacked.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["a.9.xml", "a.10.xml", "b.1.xml"]);
        assert_eq!(unpacked.control_characters, 2);
        let texts = unpacked.files.iter().map(|file| fs::read_to_string(file).unwrap());
        assert_eq!(texts.collect::<Vec<_>>(), [wxr("nine\t\n"), wxr("ten"), wxr("é")]);
        let one = Options { inside: vec!["b.1.xml".into()], ..Options::default() };
        assert_eq!(look(&source, &one, &Silent).unwrap().contents, [PathBuf::from("b.1.xml")]);
    }
}
