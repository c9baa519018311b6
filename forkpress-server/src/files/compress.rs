//! Compresses a body that is there whole.
//!
//! Levels are low: a client waits for the first one, and a file of this server changes often.

use std::io::{self, Write};

use brotli::enc::{BrotliCompress, BrotliEncoderParams};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use forkpress_core::route::Coding;

const ZSTD_LEVEL: i32 = 3;
const BROTLI_LEVEL: i32 = 4;
const GZIP_LEVEL: u32 = 5;

/// The body in a coding.
///
/// # Errors
/// There is no memory.
pub(super) fn compress(coding: Coding, body: &[u8]) -> io::Result<Bytes> {
    let compressed = match coding {
        Coding::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL)?,
        Coding::Brotli => {
            let params = BrotliEncoderParams { quality: BROTLI_LEVEL, size_hint: body.len(), ..Default::default() };
            let mut compressed = Vec::new();
            BrotliCompress(&mut &*body, &mut compressed, &params)?;
            compressed
        }
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL));
            encoder.write_all(body)?;
            encoder.finish()?
        }
    };
    Ok(compressed.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_is_compressed_is_smaller_and_becomes_the_same_again() {
        let text: Vec<u8> =
            (0..20_000).flat_map(|number| format!("a{number} {{ color: red }}\n").into_bytes()).collect();
        for body in [&text[..], b"", b"a"] {
            for coding in Coding::ALL {
                let compressed = compress(coding, body).unwrap();
                let mut again = Vec::new();
                match coding {
                    Coding::Zstd => again = zstd::decode_all(&compressed[..]).unwrap(),
                    Coding::Brotli => brotli::BrotliDecompress(&mut &compressed[..], &mut again).unwrap(),
                    Coding::Gzip => {
                        flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut again).map(drop).unwrap();
                    }
                }
                assert_eq!(again, body, "{coding:?}");
                assert!(body.len() < 10 || compressed.len() * 4 < body.len(), "{coding:?}: {}", compressed.len());
            }
        }
    }
}
