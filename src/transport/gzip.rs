//! Decompression of bodies as they arrive.

use std::io::Write;

use bytes::Bytes;
use flate2::write::MultiGzDecoder;

/// So many compressed bytes are taken at a time: a small body can stand for an enormous one, which is to be noticed before
/// it fills the memory.
const STEP: usize = 4096;

/// The decompressor of one body.
#[derive(Debug)]
pub(super) struct Gunzip(MultiGzDecoder<Vec<u8>>);

impl Gunzip {
    pub(super) fn new() -> Self {
        Self(MultiGzDecoder::new(Vec::new()))
    }

    /// What `bytes` stand for; at least a part of what is above `limit` bytes where it is longer. Fails where they are no
    /// gzip.
    pub(super) fn push(&mut self, bytes: &[u8], limit: usize) -> std::io::Result<Bytes> {
        for step in bytes.chunks(STEP) {
            self.0.write_all(step)?;
            if self.0.get_ref().len() > limit {
                break;
            }
        }
        self.0.flush()?;
        Ok(std::mem::take(self.0.get_mut()).into())
    }

    /// What the end of the body completes. Fails where it is cut.
    pub(super) fn finish(&mut self) -> std::io::Result<Bytes> {
        self.0.try_finish()?;
        Ok(std::mem::take(self.0.get_mut()).into())
    }
}
