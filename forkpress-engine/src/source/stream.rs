//! What is packed as one stream, and how it is read: never further than what a disk has room for however well it is
//! packed.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use crate::bounds::Load;

/// How a stream is packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    #[default]
    Plain,
    /// gzip, of one or more members.
    Gzip,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
}

impl Packing {
    /// How something is packed that begins with these bytes.
    pub(super) fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            _ => Self::Plain,
        }
    }

    /// The unpacked bytes.
    ///
    /// Reading fails with a [`TooMuch`](crate::bounds::TooMuch) where they become more than such a stream ever does.
    pub(super) fn unpack<'r>(self, packed: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
        if self == Self::Plain {
            return Ok(Box::new(packed));
        }
        let packed_bytes = Rc::new(Cell::new(0));
        let counted = Counted { inner: packed, bytes: Rc::clone(&packed_bytes) };
        let inner: Box<dyn Read + 'r> = match self {
            Self::Plain => Box::new(counted),
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(counted)),
            Self::Zstd => Box::new(zstd::Decoder::new(counted)?),
            Self::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(counted)),
        };
        Ok(Box::new(Bounded { inner, packed_bytes, bytes: 0 }))
    }
}

/// How a stream is packed, and what it begins with, unpacked: so many bytes at most. It may end too early, or be
/// damaged later.
pub(super) fn head(mut stream: impl Read, most_bytes: u64) -> io::Result<(Packing, Vec<u8>)> {
    let mut magic = Vec::new();
    stream.by_ref().take(MAGIC_BYTES).read_to_end(&mut magic)?;
    let packing = Packing::of(&magic);
    let mut head = Vec::new();
    // What was unpacked before an error stays.
    let read = packing.unpack(magic.as_slice().chain(stream))?.take(most_bytes).read_to_end(&mut head);
    if packing == Packing::Plain {
        read?;
    }
    Ok((packing, head))
}

/// A stream unpacked, however it is packed.
pub(super) fn unpacked<'r>(mut stream: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let mut magic = Vec::new();
    stream.by_ref().take(MAGIC_BYTES).read_to_end(&mut magic)?;
    Packing::of(&magic).unpack(io::Cursor::new(magic).chain(stream))
}

/// So many bytes tell how a stream is packed.
const MAGIC_BYTES: u64 = 8;

struct Counted<R> {
    inner: R,
    bytes: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes.set(self.bytes.get() + count as u64);
        Ok(count)
    }
}

struct Bounded<R> {
    inner: R,
    packed_bytes: Rc<Cell<u64>>,
    bytes: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        let load = Load { entries: 1, bytes: self.bytes, packed_bytes: self.packed_bytes.get() };
        load.check().map_err(io::Error::other)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::bounds::TooMuch;

    fn gzip(bytes: &mut dyn Read) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        io::copy(bytes, &mut encoder).unwrap();
        encoder.finish().unwrap()
    }

    fn read(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Packing::of(packed).unpack(packed)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn each_packing_is_told_by_its_first_bytes_and_read_to_its_last_part() {
        let parts = [&b"one "[..], b"two"];
        let gz = parts.map(|mut part| gzip(&mut part)).concat();
        let zst = parts.map(|part| zstd::encode_all(part, 1).unwrap()).concat();
        let bz2 = parts.map(|part| {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(part).unwrap();
            encoder.finish().unwrap()
        });
        for packed in [gz, zst, bz2.concat(), b"one two".to_vec()] {
            assert_eq!(read(&packed).unwrap(), b"one two");
            let cut = read(&packed[..packed.len() - 3]);
            assert!(Packing::of(&packed) == Packing::Plain || cut.is_err(), "{:?}", Packing::of(&packed));
        }
    }

    #[test]
    fn a_stream_of_gigabytes_in_few_bytes_is_refused() {
        let bomb = zstd::encode_all(io::repeat(b' ').take(300 << 20), 1).unwrap();
        let error = io::copy(&mut Packing::Zstd.unpack(bomb.as_slice()).unwrap(), &mut io::sink()).unwrap_err();
        assert!(error.get_ref().unwrap().is::<TooMuch>());
    }

    #[test]
    fn a_head_is_unpacked_as_far_as_it_goes() {
        let text: Vec<u8> =
            (0..200_000u32).flat_map(|n| format!("{} ", n.wrapping_mul(2_654_435_761)).into_bytes()).collect();
        let packed = gzip(&mut text.as_slice());
        assert_eq!(head(&packed[..4096], 2000).unwrap(), (Packing::Gzip, text[..2000].to_vec()));
        assert_eq!(head(&b"abc"[..], 2).unwrap(), (Packing::Plain, b"ab".to_vec()));
    }
}
