//! The transport over the network.

use std::convert::Infallible;
use std::future::poll_fn;
use std::str::FromStr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT,
};
use http::uri::{PathAndQuery, Uri};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use tokio::time::{Instant, timeout};
use url::{Position, Url};

use super::body::{HttpBody, ResponseBody};
use super::connect::{self, Connector};
use super::connection::{Connection, HttpRequest, SendError};
use super::decompress::Decompressor;
use super::error::{TransportError, headers_timeout, is_reset, reply_timeout};
use super::pool::Pool;
use super::{MAX_REPLY, Transport, WireReply, WireRequest};
use crate::error::Result;

/// Upper bound of the time in which a closed connection makes itself known: a round trip. A server that ends the connection later
/// may have worked on the request.
const MAX_STALE_TIME: Duration = Duration::from_secs(1);

/// How long to wait, after the end of a connection, for the reset that says that the request was not read.
const RESET_TIMEOUT: Duration = Duration::from_millis(250);

/// An HTTP/1.1 client with a connection pool. Opens no connection before the first request.
///
/// A request over a pooled connection that the server had closed, so that it cannot have read the request, is sent once more, over
/// a new connection. Every other request may have been worked on and charged for, so it fails.
#[derive(Debug, Default)]
pub struct Http {
    connector: Connector,
    pub(super) pool: Arc<Pool>,
}

impl Transport for Http {
    fn send(&self, request: WireRequest, limit: Duration) -> BoxFuture<'_, Result<WireReply>> {
        Box::pin(async move {
            let reply = timeout(limit, self.send_limited(&request, MAX_REPLY)).await;
            reply.unwrap_or_else(|_| Err(reply_timeout(&request.url, limit)))
        })
    }

    fn open(&self, request: WireRequest, limit: Duration) -> BoxFuture<'_, Result<WireReply<ResponseBody>>> {
        Box::pin(async move {
            let reply = timeout(limit, self.open_limited(&request, MAX_REPLY)).await;
            reply.unwrap_or_else(|_| Err(headers_timeout(&request.url, limit)))
        })
    }
}

impl Http {
    /// Sends `request` and reads the reply, whose body may have `max_body` bytes.
    pub(super) async fn send_limited(&self, request: &WireRequest, max_body: usize) -> Result<WireReply> {
        let WireReply { status, headers, body } = self.open_limited(request, max_body).await?;
        let body = body.read_to_end(max_body).await.map_err(|error| error.with_status(status))?;
        Ok(WireReply { status, headers, body })
    }

    async fn open_limited(&self, request: &WireRequest, max_body: usize) -> Result<WireReply<ResponseBody>> {
        let exchange = self.exchange(request).await;
        let (connection, response) = exchange.map_err(|error| error.classify(&request.url))?;
        let (head, incoming) = response.into_parts();
        let (status, headers) = (head.status.as_u16(), head.headers);
        let decompressor = match headers.get(CONTENT_ENCODING).map(Decompressor::new) {
            None => None,
            Some(Ok(decompressor)) => decompressor,
            Some(Err(error)) if head.status.is_success() => {
                return Err(TransportError::Encoding(error).classify(&request.url).with_status(status));
            }
            // The status says enough about the failure.
            Some(Err(_)) => {
                let body = ResponseBody::new(Empty::new().map_err(|error: Infallible| match error {}));
                return Ok(WireReply { status, headers, body });
            }
        };
        let body = HttpBody {
            incoming,
            connection: Some(connection),
            pool: Arc::clone(&self.pool),
            decompressor,
            url: request.url.clone(),
            status,
            limit: max_body,
        };
        Ok(WireReply { status, headers, body: ResponseBody::new(body) })
    }

    /// Sends `request` over a pooled connection if there is one, else over a new one, and waits for the head of the reply.
    async fn exchange(&self, request: &WireRequest) -> Result<(Box<Connection>, Response<Incoming>), TransportError> {
        let origin = &request.url[..Position::BeforePath];
        if let Some(pooled) = poll_fn(|cx| Poll::Ready(self.pool.take(origin, cx))).await {
            let sent = Instant::now();
            let mut connection = Connection::new(pooled).await?;
            match connection.send(http_request(request)?).await {
                Ok(response) => return Ok((connection, response)),
                Err(failure) if is_stale(&failure, sent.elapsed()).await => {}
                Err(failure) => return Err(TransportError::Exchange(failure.error)),
            }
        }
        // Boxed because it is rarely needed and would enlarge the future of every call.
        let stream = Box::pin(self.connector.connect(&request.url)).await?;
        let mut connection = Connection::new(Box::new(stream)).await?;
        let sent = connection.send(http_request(request)?).await;
        let response = sent.map_err(|failure| TransportError::Exchange(failure.error))?;
        Ok((connection, response))
    }
}

/// Whether the server cannot have read the request that failed after `elapsed` over a pooled connection: no byte of it was written,
/// or the connection was reset without a byte of a reply. A server that reads the request and then closes the connection does not
/// reset it.
async fn is_stale(failure: &SendError, elapsed: Duration) -> bool {
    let Some(stream) = &failure.silent else { return failure.is_unsent };
    failure.is_unsent
        || (elapsed < MAX_STALE_TIME && (is_reset(&failure.error) || connect::is_reset(stream, RESET_TIMEOUT).await))
}

/// Converts `request` into hyper's form.
pub(super) fn http_request(request: &WireRequest) -> Result<HttpRequest, TransportError> {
    let url = &request.url;
    let host = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]);
    let path = PathAndQuery::from_str(&url[Position::BeforePath..Position::AfterQuery]);
    let mut http_request = Request::new(Full::new(request.body.clone()));
    *http_request.method_mut() = request.method.clone();
    *http_request.uri_mut() = Uri::from(path.map_err(TransportError::setup)?);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(HOST, host.map_err(TransportError::setup)?);
    headers.insert(USER_AGENT, HeaderValue::from_static(super::USER_AGENT));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    if !request.body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        headers.insert(AUTHORIZATION, basic_auth(url)?);
    }
    headers.extend(request.headers.iter().cloned());
    *http_request.headers_mut() = headers;
    Ok(http_request)
}

/// Returns the credentials in `url` as a header; a proxy in front of a model server may require them.
fn basic_auth(url: &Url) -> Result<HeaderValue, TransportError> {
    let mut credentials: Vec<u8> = percent_decode_str(url.username()).collect();
    credentials.push(b':');
    credentials.extend(percent_decode_str(url.password().unwrap_or_default()));
    let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(credentials)));
    let mut value = value.map_err(TransportError::setup)?;
    value.set_sensitive(true);
    Ok(value)
}
