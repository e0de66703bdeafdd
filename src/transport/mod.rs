//! The one HTTP client of the process.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::error::{Error, ErrorKind, Result};

/// A request as it goes on the wire.
#[derive(Debug, Clone)]
pub struct WireRequest {
    /// GET or POST.
    pub method: Method,
    /// The whole address; never holds a key.
    pub url: Url,
    /// Headers besides `content-type: application/json`; a key's value is marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// JSON; empty for GET.
    pub body: Bytes,
}

/// A whole reply, whatever its status.
#[derive(Debug, Clone)]
pub struct WireReply {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// The HTTP client: connection pools, made at the first use.
#[derive(Debug, Default)]
pub struct Http {
    client: OnceLock<reqwest::Client>,
}

impl Http {
    /// Sends `request` and reads the whole reply within `timeout`. Dropping the future closes the socket.
    pub async fn send(&self, request: WireRequest, timeout: Duration) -> Result<WireReply> {
        let _ = (request, timeout, &self.client);
        Err(Error::new(ErrorKind::Internal, "not built yet"))
    }
}
