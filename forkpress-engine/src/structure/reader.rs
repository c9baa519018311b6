//! Reads bytes from left to right.

pub(super) struct ByteReader<'a> {
    bytes: &'a [u8],
    /// How much has been read; perhaps more than there is.
    pub(super) at: usize,
}

impl<'a> ByteReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn expect(&mut self, what: &[u8]) -> Option<()> {
        self.bytes.get(self.at..)?.starts_with(what).then(|| self.at += what.len())
    }

    /// What stands before the next `end`, which is read as well.
    pub(super) fn until(&mut self, end: u8) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.at..)?;
        let length = rest.iter().position(|byte| *byte == end)?;
        self.at += length + 1;
        Some(&rest[..length])
    }

    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..length)?;
        self.at += length;
        Some(taken)
    }

    pub(super) fn since(&self, start: usize) -> Option<&'a [u8]> {
        self.bytes.get(start..self.at)
    }

    pub(super) fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }
}
