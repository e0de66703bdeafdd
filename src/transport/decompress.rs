//! Decompresses bodies while they arrive.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use http::HeaderValue;

/// Compressed bytes that are decompressed at a time. The output is checked after each step: a small body can expand to one that
/// does not fit in memory.
const STEP: usize = 4096;

/// The decoder of one body.
#[derive(Debug)]
pub(super) enum Decompressor {
    /// `None` until the first byte.
    Gzip(Option<Box<MultiGzDecoder<Vec<u8>>>>),
    /// `None` until the first byte shows whether the body has the zlib format, as the standard says, or is bare deflate.
    Deflate(Option<Inflate>),
}

impl Decompressor {
    /// Returns the decoder for a body with this `content-encoding`; `None` if it is not compressed. Fails with the name of an
    /// encoding that is not supported.
    pub(super) fn new(content_encoding: &HeaderValue) -> Result<Option<Self>, String> {
        let names = String::from_utf8_lossy(content_encoding.as_bytes()).to_ascii_lowercase();
        let mut names = names.split(',').map(str::trim).filter(|name| !matches!(*name, "" | "identity"));
        match (names.next(), names.next()) {
            (None, _) => Ok(None),
            (Some("gzip" | "x-gzip"), None) => Ok(Some(Self::Gzip(None))),
            (Some("deflate"), None) => Ok(Some(Self::Deflate(None))),
            (Some(name), None) => Err(name.to_owned()),
            (Some(first), Some(second)) => Err(format!("{first}, {second}")),
        }
    }

    /// Decompresses `bytes`. Stops as soon as the output exceeds `limit` bytes.
    pub(super) fn push(&mut self, bytes: &[u8], limit: usize) -> io::Result<Bytes> {
        match self {
            Self::Gzip(decoder) => {
                let decoder = decoder.get_or_insert_with(|| Box::new(MultiGzDecoder::new(Vec::new())));
                for step in bytes.chunks(STEP) {
                    decoder.write_all(step)?;
                    if decoder.get_ref().len() > limit {
                        break;
                    }
                }
                decoder.flush()?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
            Self::Deflate(inflate) => {
                let Some(first) = bytes.first() else { return Ok(Bytes::new()) };
                inflate.get_or_insert_with(|| Inflate::new(*first)).push(bytes, limit)
            }
        }
    }

    /// Returns the output that the end of the body completes. Fails if the body is truncated. An empty body is not compressed.
    pub(super) fn finish(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Gzip(Some(decoder)) => {
                decoder.try_finish()?;
                Ok(std::mem::take(decoder.get_mut()).into())
            }
            Self::Deflate(Some(inflate)) if !inflate.has_ended => Err(io::ErrorKind::UnexpectedEof.into()),
            Self::Gzip(None) | Self::Deflate(_) => Ok(Bytes::new()),
        }
    }
}

/// The decoder of a body of the zlib or the deflate format.
#[derive(Debug)]
pub(super) struct Inflate {
    state: Decompress,
    has_ended: bool,
}

impl Inflate {
    /// Creates the decoder of a body that begins with `first`. A zlib header names the method 8 and a window of at most 32 kB;
    /// a deflate block has no such start.
    fn new(first: u8) -> Self {
        let is_zlib = first & 0x0f == 8 && first >> 4 <= 7;
        Self { state: Decompress::new(is_zlib), has_ended: false }
    }

    fn push(&mut self, mut bytes: &[u8], limit: usize) -> io::Result<Bytes> {
        let mut output = Vec::new();
        while !self.has_ended && output.len() <= limit {
            output.reserve(STEP);
            let (read, written) = (self.state.total_in(), output.len());
            let status = self.state.decompress_vec(bytes, &mut output, FlushDecompress::None)?;
            let read = self.state.total_in() - read;
            bytes = usize::try_from(read).ok().and_then(|read| bytes.get(read..)).unwrap_or_default();
            self.has_ended = status == Status::StreamEnd;
            if read == 0 && output.len() == written {
                break;
            }
        }
        Ok(output.into())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const TEXT: &[u8] = b"tall trees and small trees ";

    /// Returns `TEXT` many times, and its compressed forms with the header of each.
    fn bodies() -> (Vec<u8>, [(&'static str, Vec<u8>); 4]) {
        let text = TEXT.repeat(2000);
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&text).unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(&text).unwrap();
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::fast());
        deflate.write_all(&text).unwrap();
        let gzip = gzip.finish().unwrap();
        let bodies = [
            ("gzip", gzip.clone()),
            ("identity, X-GZIP", gzip),
            ("deflate", zlib.finish().unwrap()),
            ("Deflate", deflate.finish().unwrap()),
        ];
        (text, bodies)
    }

    fn decompressor(name: &'static str) -> Decompressor {
        Decompressor::new(&HeaderValue::from_static(name)).unwrap().unwrap()
    }

    #[test]
    fn every_format_is_decompressed_from_any_chunks() {
        let (text, bodies) = bodies();
        for (name, body) in bodies {
            for size in [1, 7, 4097, body.len()] {
                let mut decompressor = decompressor(name);
                let mut plain = Vec::new();
                for chunk in body.chunks(size) {
                    plain.extend_from_slice(&decompressor.push(chunk, usize::MAX).unwrap());
                }
                plain.extend_from_slice(&decompressor.finish().unwrap());
                assert_eq!(plain, text, "{name} in chunks of {size}");
            }
        }
    }

    #[test]
    fn a_truncated_body_fails_and_an_empty_one_is_empty() {
        for (name, body) in bodies().1 {
            let mut truncated = decompressor(name);
            truncated.push(&body[..body.len() / 2], usize::MAX).unwrap();
            assert!(truncated.finish().is_err(), "{name}");
            assert!(decompressor(name).finish().unwrap().is_empty(), "{name}");
        }
    }

    #[test]
    fn the_output_is_bounded() {
        for (name, body) in bodies().1 {
            let plain = decompressor(name).push(&body, 1000).unwrap();
            assert!((1001..60_000).contains(&plain.len()), "{name}: {}", plain.len());
        }
    }

    #[test]
    fn other_encodings_are_named() {
        for (header, name) in
            [("br", "br"), ("zstd, identity", "zstd"), ("gzip, br", "gzip, br"), ("aws-chunked", "aws-chunked")]
        {
            assert_eq!(Decompressor::new(&HeaderValue::from_static(header)).unwrap_err(), name);
        }
        for header in ["", "identity", "Identity, identity"] {
            assert!(Decompressor::new(&HeaderValue::from_static(header)).unwrap().is_none(), "{header}");
        }
    }
}
