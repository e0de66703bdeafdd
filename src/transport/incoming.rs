//! A reply that is still arriving.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap};

use super::{Http, MAX_REPLY, WireRequest, failure, read, start};
use crate::error::Result;

/// A reply whose headers have arrived. Dropping it closes the socket, unless the whole body was read.
#[derive(Debug)]
pub struct Incoming {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    response: reqwest::Response,
    place: String,
}

impl Http {
    /// Sends `request` and waits for the headers of the reply, `timeout` at most, connecting included.
    ///
    /// Fails as [`Http::send`] does. Cancel safety: dropping the future closes the socket.
    pub async fn open(&self, request: WireRequest, timeout: Duration) -> Result<Incoming> {
        let place = failure::place(&request.url);
        let opening = start(self.client()?, request, &place);
        let mut response =
            tokio::time::timeout(timeout, opening).await.map_err(|_| failure::silent(&place, timeout))??;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        Ok(Incoming { status, headers, response, place })
    }
}

impl Incoming {
    /// The next bytes of the body, after decompression; `None` at its end.
    ///
    /// Fails with `Disconnected` or `MalformedReply`. Cancel safety: nothing is lost where the future is dropped.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let chunk = self.response.chunk().await;
        chunk.map_err(|error| failure::classify(error, &self.place).with_status(self.status))
    }

    /// The whole body. Fails as [`Http::send`] does.
    pub async fn body(self) -> Result<Bytes> {
        read(self.response, MAX_REPLY, &self.place).await.map_err(|error| error.with_status(self.status))
    }

    /// The media type of the body, without parameters and in lower case; empty where the server names none.
    pub fn media_type(&self) -> String {
        let named = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// `host:port` of the server, for messages.
    pub fn place(&self) -> &str {
        &self.place
    }
}
