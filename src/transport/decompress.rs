//! Decompresses bodies while they arrive.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzDecoder;
use flate2::{Decompress, FlushDecompress, Status};
use http::HeaderValue;

/// Compressed bytes that are decompressed at a time. The output is checked after each step: a small body can expand to one that
/// does not fit in memory.
const STEP: usize = 4096;

/// The members of a gzip body that need no output. Some servers end a member with each flush; a member costs as much as 50 kB of
/// text, so that many empty ones would take seconds.
const MAX_EMPTY_MEMBERS: usize = 1000;

/// The bytes of output that allow one more member.
const BYTES_PER_MEMBER: usize = 256;

/// The decoder of one body.
#[derive(Debug)]
pub(super) enum Decompressor {
    /// `None` until the first byte.
    Gzip(Option<Box<Gunzip>>),
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
            Self::Gzip(decoder) => decoder.get_or_insert_with(|| Box::new(Gunzip::new())).push(bytes, limit),
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
                decoder.member.try_finish()?;
                Ok(std::mem::take(decoder.member.get_mut()).into())
            }
            Self::Deflate(Some(inflate)) if !inflate.has_ended => Err(io::ErrorKind::UnexpectedEof.into()),
            Self::Gzip(None) | Self::Deflate(_) => Ok(Bytes::new()),
        }
    }
}

/// The decoder of a body of the gzip format.
#[derive(Debug)]
pub(super) struct Gunzip {
    /// The decoder of the current member.
    member: GzDecoder<Vec<u8>>,
    /// The number of members that may follow.
    members_left: usize,
}

impl Gunzip {
    fn new() -> Self {
        Self { member: GzDecoder::new(Vec::new()), members_left: MAX_EMPTY_MEMBERS }
    }

    fn push(&mut self, bytes: &[u8], limit: usize) -> io::Result<Bytes> {
        for step in bytes.chunks(STEP) {
            self.write(step)?;
            if self.member.get_ref().len() > limit {
                break;
            }
        }
        self.member.flush()?;
        let output = std::mem::take(self.member.get_mut());
        self.members_left = self.members_left.saturating_add(output.len() / BYTES_PER_MEMBER);
        Ok(output.into())
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let read = self.member.write(bytes)?;
            if read == 0 {
                // The member has ended, and another one begins.
                self.members_left = self
                    .members_left
                    .checked_sub(1)
                    .ok_or_else(|| io::Error::other("the gzip body consists of many members without content"))?;
                self.member.try_finish()?;
                let output = std::mem::take(self.member.get_mut());
                self.member = GzDecoder::new(output);
                let read = self.member.write(bytes)?;
                bytes = &bytes[read..];
            } else {
                bytes = &bytes[read..];
            }
        }
        Ok(())
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
    fn members_are_limited_by_their_output() {
        let member = |text: &[u8]| {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
            gzip.write_all(text).unwrap();
            gzip.finish().unwrap()
        };
        let push = |body: &[u8]| {
            let mut decompressor = decompressor("gzip");
            decompressor.push(body, usize::MAX).and_then(|plain| decompressor.finish().map(|rest| (plain, rest)))
        };
        let flushed = member(&TEXT.repeat(20)).repeat(5 * MAX_EMPTY_MEMBERS);
        let mut plain = 0;
        let mut decompressor = decompressor("gzip");
        for chunk in flushed.chunks(STEP) {
            plain += decompressor.push(chunk, usize::MAX).unwrap().len();
        }
        assert_eq!(plain, 5 * MAX_EMPTY_MEMBERS * 20 * TEXT.len(), "a server that ends a member with each event");
        assert!(push(&member(b"").repeat(MAX_EMPTY_MEMBERS)).is_ok());
        let error = push(&member(b"").repeat(100 * MAX_EMPTY_MEMBERS)).unwrap_err();
        assert!(error.to_string().contains("without content"), "{error}");
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
