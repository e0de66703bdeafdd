//! The one HTTP client of the process.
//!
//! HTTP/1.1 alone, on purpose: every call in flight has a socket of its own. Dropping a call therefore closes its
//! connection, which is how a server learns that nobody waits any more, and a thousand calls to one host do not queue
//! behind a server's limit of streams per connection.

mod failure;
mod framer;
mod incoming;
mod lines;
mod ndjson;
mod retry_after;
#[cfg(test)]
pub(crate) mod script;
mod sse;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect;
use url::Url;

use crate::error::{Error, ErrorKind, Result};

pub(crate) use failure::chain;
pub use framer::{Framer, Framing, MAX_EVENT};
pub use incoming::Incoming;
pub use retry_after::retry_after;

/// How long the connection itself may take, the TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an unused connection is kept for the next call.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// Upper bound of a reply's body, after decompression, in bytes.
const MAX_REPLY: usize = 64 * 1024 * 1024;

/// The name this client gives to servers.
const USER_AGENT: &str = concat!("madspark/", env!("CARGO_PKG_VERSION"));

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
    /// Answers in place of the network, for tests under a paused clock, which sockets do not keep to.
    #[cfg(test)]
    script: Option<script::Script>,
}

impl Http {
    /// Sends `request` and reads the whole reply within `timeout`, connecting included. A redirect is a reply like any
    /// other: a key must not follow it to another host.
    ///
    /// Fails with `Connect`, `Timeout`, `Disconnected` or `MalformedReply`; the text names host and port, never the
    /// rest of the address. A request is sent again only where the pooled connection had closed before a byte of it
    /// was written: what a server may have begun to work on is never paid for twice.
    ///
    /// Cancel safety: dropping the future closes the socket.
    pub async fn send(&self, request: WireRequest, timeout: Duration) -> Result<WireReply> {
        let place = failure::place(&request.url);
        #[cfg(test)]
        if let Some(script) = &self.script {
            let answer = tokio::time::timeout(timeout, script.answer(request)).await;
            return answer.unwrap_or_else(|_| Err(failure::late(&place, timeout)));
        }
        let exchange = exchange(self.client()?, request, MAX_REPLY, &place);
        match tokio::time::timeout(timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(failure::late(&place, timeout)),
        }
    }

    /// Two first calls at once may both build a client; one of them is dropped unused.
    fn client(&self) -> Result<&reqwest::Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = build()?;
        Ok(self.client.get_or_init(|| client))
    }
}

fn build() -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .no_proxy()
        .http1_only()
        .gzip(true)
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(usize::MAX)
        .tcp_nodelay(true)
        .build()
        .map_err(|error| failure::unbuilt(&error))
}

async fn exchange(client: &reqwest::Client, request: WireRequest, limit: usize, place: &str) -> Result<WireReply> {
    let mut response = start(client, request, place).await?;
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    let body = read(response, limit, place).await.map_err(|error| error.with_status(status))?;
    Ok(WireReply { status, headers, body })
}

/// Sends `request`; gives back the reply when its headers have arrived.
async fn start(client: &reqwest::Client, request: WireRequest, place: &str) -> Result<reqwest::Response> {
    let mut headers: HeaderMap = request.headers.into_iter().collect();
    let mut builder = client.request(request.method, request.url);
    if !request.body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        builder = builder.body(request.body);
    }
    builder.headers(headers).send().await.map_err(|error| failure::classify(error, place))
}

async fn read(mut response: reqwest::Response, limit: usize, place: &str) -> Result<Bytes> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure::classify(error, place))? {
        if body.len() + chunk.len() > limit {
            let message = format!("{place} sent a reply of more than {limit} bytes");
            return Err(Error::new(ErrorKind::MalformedReply, message));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
