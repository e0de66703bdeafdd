//! Generated text without any server; only when the caller named it.

use crate::error::Result;
use crate::message::{Reply, Request};

/// Answers `request` from its own words.
pub fn answer(_request: &Request) -> Result<Reply> {
    Err(crate::Error::new(crate::ErrorKind::Internal, "not built yet"))
}
