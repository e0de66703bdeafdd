//! Decompresses bodies while they arrive.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;

/// Compressed bytes that are decompressed at a time. The output is checked after each step: a small body can expand to one that
/// does not fit in memory.
const STEP: usize = 4096;

/// The decoder of one gzip body.
#[derive(Debug)]
pub(super) struct Gunzip(MultiGzDecoder<Vec<u8>>);

impl Gunzip {
    pub(super) fn new() -> Self {
        Self(MultiGzDecoder::new(Vec::new()))
    }

    /// Decompresses `bytes`. Stops as soon as the output exceeds `limit` bytes.
    pub(super) fn push(&mut self, bytes: &[u8], limit: usize) -> io::Result<Bytes> {
        for step in bytes.chunks(STEP) {
            self.0.write_all(step)?;
            if self.0.get_ref().len() > limit {
                break;
            }
        }
        self.0.flush()?;
        Ok(std::mem::take(self.0.get_mut()).into())
    }

    /// Returns the output that the end of the body completes. Fails if the body is truncated.
    pub(super) fn finish(&mut self) -> io::Result<Bytes> {
        self.0.try_finish()?;
        Ok(std::mem::take(self.0.get_mut()).into())
    }
}
