//! The one HTTP client of the process.
//!
//! HTTP/1.1 alone, on purpose: every call in flight has a socket of its own. Dropping a call therefore closes its
//! connection, which is how a server learns that nobody waits any more, and a thousand calls to one host do not queue
//! behind a server's limit of streams per connection.

mod connect;
mod connection;
mod failure;
mod framer;
mod gzip;
mod incoming;
mod lines;
mod ndjson;
mod pool;
mod retry_after;
#[cfg(test)]
pub(crate) mod script;
mod sse;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::str::FromStr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue,
    USER_AGENT,
};
use http::uri::{PathAndQuery, Uri};
use http::{Method, Request, Response};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use url::{Position, Url};

use crate::error::Result;
use connect::Connector;
use connection::{Connection, Outgoing};
use failure::Failure;
use pool::Pool;

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
const OWN_NAME: &str = concat!("madspark/", env!("CARGO_PKG_VERSION"));

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

/// The HTTP client: connections that are kept between exchanges. Opens nothing before the first use.
#[derive(Debug, Default)]
pub struct Http {
    connector: Connector,
    pool: Arc<Pool>,
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
        #[cfg(test)]
        if let Some(script) = &self.script {
            let place = failure::place(&request.url);
            let answer = tokio::time::timeout(timeout, script.answer(request)).await;
            return answer.unwrap_or_else(|_| Err(failure::late(&place, timeout)));
        }
        match tokio::time::timeout(timeout, self.exchange(&request, MAX_REPLY)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(failure::late(&failure::place(&request.url), timeout)),
        }
    }

    async fn exchange(&self, request: &WireRequest, limit: usize) -> Result<WireReply> {
        let mut incoming = self.start(request, limit).await?;
        let headers = std::mem::take(&mut incoming.headers);
        Ok(WireReply { status: incoming.status, headers, body: incoming.body().await? })
    }

    /// Sends `request`; gives back the reply, of `limit` bytes at most, when its headers have arrived.
    async fn start(&self, request: &WireRequest, limit: usize) -> Result<Incoming> {
        let reply = self.respond(request).await.map_err(|failure| failure.classify(&failure::place(&request.url)));
        reply.map(|(connection, response)| {
            Incoming::new(connection, response, Arc::clone(&self.pool), &request.url, limit)
        })
    }

    async fn respond(
        &self,
        request: &WireRequest,
    ) -> Result<(Box<Connection>, Response<hyper::body::Incoming>), Failure> {
        let origin = &request.url[..Position::BeforePath];
        let mut outgoing = outgoing(request)?;
        loop {
            let kept = poll_fn(|cx| Poll::Ready(self.pool.take(origin, cx))).await;
            let is_kept = kept.is_some();
            let stream = match kept {
                Some(stream) => stream,
                // Seldom run, so it takes no room in the future of every call.
                None => Box::new(Box::pin(self.connector.connect(&request.url)).await?),
            };
            let mut connection = Connection::over(stream).await?;
            match connection.send(outgoing).await {
                Ok(response) => return Ok((connection, response)),
                Err(mut failure) => match failure.take_message().filter(|_| is_kept) {
                    Some(unsent) => outgoing = unsent,
                    None => return Err(Failure::Exchange(failure.into_error())),
                },
            }
        }
    }
}

/// The HTTP request that `request` is.
fn outgoing(request: &WireRequest) -> Result<Outgoing, Failure> {
    let url = &request.url;
    let unbuilt = |error: http::Error| Failure::Unbuilt(Box::new(error));
    let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
    let path = PathAndQuery::from_str(&url[Position::BeforePath..Position::AfterQuery]);
    let mut outgoing = Request::new(Full::new(request.body.clone()));
    *outgoing.method_mut() = request.method.clone();
    *outgoing.uri_mut() = Uri::from(path.map_err(|error| unbuilt(error.into()))?);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(HOST, host.map_err(|error| unbuilt(error.into()))?);
    headers.insert(USER_AGENT, HeaderValue::from_static(OWN_NAME));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    if !request.body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if let Some(login) = login(url) {
        headers.insert(AUTHORIZATION, login.map_err(|error| unbuilt(error.into()))?);
    }
    headers.extend(request.headers.iter().cloned());
    *outgoing.headers_mut() = headers;
    Ok(outgoing)
}

/// The name and password in `url`, as a proxy before a model server may ask for them.
fn login(url: &Url) -> Option<Result<HeaderValue, InvalidHeaderValue>> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair: Vec<u8> = percent_decode_str(url.username()).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(url.password().unwrap_or_default()));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair)));
    if let Ok(value) = &mut value {
        value.set_sensitive(true);
    }
    Some(value)
}
