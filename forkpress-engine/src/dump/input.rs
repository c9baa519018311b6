//! A window on the bytes of a dump. It never grows, whatever the dump has in it.

use std::io::{self, Read};

use memchr::memchr_iter;

use crate::progress::Progress;

const WINDOW_BYTES: usize = 256 * 1024;

/// The bytes that are next, and which line they are on.
pub(super) struct Input<'a> {
    read: &'a mut dyn Read,
    progress: &'a dyn Progress,
    window: Box<[u8]>,
    at: usize,
    end: usize,
    line: u64,
    /// Up to here lines were counted.
    counted: usize,
    is_over: bool,
}

impl<'a> Input<'a> {
    pub(super) fn new(read: &'a mut dyn Read, progress: &'a dyn Progress) -> Self {
        Self::with_window(read, progress, WINDOW_BYTES)
    }

    pub(super) fn with_window(read: &'a mut dyn Read, progress: &'a dyn Progress, bytes: usize) -> Self {
        let window = vec![0; bytes].into_boxed_slice();
        Self { read, progress, window, at: 0, end: 0, line: 1, counted: 0, is_over: false }
    }

    /// What is there already: at least one byte, or the dump is over.
    pub(super) fn some(&mut self) -> io::Result<&[u8]> {
        self.ahead(1)
    }

    /// At least so many bytes, if the dump has them.
    #[inline]
    pub(super) fn ahead(&mut self, bytes: usize) -> io::Result<&[u8]> {
        while self.end - self.at < bytes && !self.is_over {
            self.fill()?;
        }
        Ok(&self.window[self.at..self.end])
    }

    /// Whether these bytes are next.
    pub(super) fn is_at(&mut self, bytes: &[u8]) -> io::Result<bool> {
        Ok(self.ahead(bytes.len())?.starts_with(bytes))
    }

    /// Goes on by bytes that are there.
    #[inline]
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// The line that is next.
    pub(super) fn line(&mut self) -> u64 {
        self.line += memchr_iter(b'\n', &self.window[self.counted..self.at]).count() as u64;
        self.counted = self.at;
        self.line
    }

    fn fill(&mut self) -> io::Result<()> {
        self.line();
        self.window.copy_within(self.at..self.end, 0);
        self.end -= self.at;
        (self.at, self.counted) = (0, 0);
        loop {
            self.progress.go_on()?;
            match self.read.read(&mut self.window[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(read) => {
                    self.is_over = read == 0;
                    self.end += read;
                    self.progress.advance(read as u64);
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn lines_are_counted_across_windows() {
        let mut bytes: &[u8] = b"ab\ncd\n\nef\ngh";
        let mut input = Input::with_window(&mut bytes, &Silent, 4);
        let mut seen = Vec::new();
        while let [byte, ..] = *input.some().unwrap() {
            if byte.is_ascii_alphabetic() {
                seen.push((byte, input.line()));
            }
            input.skip(1);
        }
        let expected = [(b'a', 1), (b'b', 1), (b'c', 2), (b'd', 2), (b'e', 4), (b'f', 4), (b'g', 5), (b'h', 5)];
        assert_eq!(seen, expected);
    }
}
