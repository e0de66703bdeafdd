//! A reply that is still arriving.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Response;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use hyper::body::Body;
use url::{Position, Url};

use super::connection::Connection;
use super::failure::{self, Failure};
use super::gzip::Gunzip;
use super::pool::Pool;
use super::{Http, MAX_REPLY, WireRequest};
use crate::error::{Error, ErrorKind, Result};

/// A reply whose headers have arrived. Dropping it closes the socket, unless the whole body was read.
pub struct Incoming {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    body: hyper::body::Incoming,
    /// `None` once the body was read.
    connection: Option<Box<Connection>>,
    pool: Arc<Pool>,
    gunzip: Option<Gunzip>,
    url: Url,
    /// Upper bound of the body, after decompression, in bytes.
    limit: usize,
}

impl Http {
    /// Sends `request` and waits for the headers of the reply, `timeout` at most, connecting included.
    ///
    /// Fails as [`Http::send`] does. Cancel safety: dropping the future closes the socket.
    pub async fn open(&self, request: WireRequest, timeout: Duration) -> Result<Incoming> {
        let opening = self.start(&request, MAX_REPLY);
        let opened = tokio::time::timeout(timeout, opening).await;
        opened.map_err(|_| failure::silent(&failure::place(&request.url), timeout))?
    }
}

impl Incoming {
    /// The reply of `response` to a request to `url`, which goes on over `connection`.
    pub(super) fn new(
        connection: Box<Connection>,
        response: Response<hyper::body::Incoming>,
        pool: Arc<Pool>,
        url: &Url,
        limit: usize,
    ) -> Self {
        let (head, body) = response.into_parts();
        let encoding = head.headers.get(CONTENT_ENCODING);
        let is_gzip = encoding.is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"));
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            connection: Some(connection),
            pool,
            gunzip: is_gzip.then(Gunzip::new),
            url: url.clone(),
            limit,
        }
    }

    /// The next bytes of the body, after decompression; `None` at its end.
    ///
    /// Fails with `Disconnected` or `MalformedReply`. Cancel safety: nothing is lost where the future is dropped.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let chunk = self.next(self.limit).await;
        chunk.map_err(|failure| failure.classify(&self.place()).with_status(self.status))
    }

    /// The whole body. Fails as [`Http::send`] does.
    pub async fn body(mut self) -> Result<Bytes> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        if first.len() <= self.limit && self.connection.is_none() {
            return Ok(first);
        }
        let mut body = BytesMut::from(first);
        loop {
            if body.len() > self.limit {
                let message = format!("{} sent a reply of more than {} bytes", self.place(), self.limit);
                return Err(Error::new(ErrorKind::MalformedReply, message).with_status(self.status));
            }
            let Some(chunk) = self.chunk().await? else { return Ok(body.freeze()) };
            body.extend_from_slice(&chunk);
        }
    }

    async fn next(&mut self, limit: usize) -> Result<Option<Bytes>, Failure> {
        loop {
            let Some(connection) = &mut self.connection else { return Ok(None) };
            let chunk = connection.chunk(&mut self.body).await.transpose().map_err(Failure::Exchange)?;
            // A body of a known length tells its end with its last bytes.
            if chunk.is_none() || self.body.is_end_stream() {
                self.finish();
            }
            let is_last = self.connection.is_none();
            let Some(gunzip) = &mut self.gunzip else { return Ok(chunk) };
            let mut plain = match &chunk {
                Some(chunk) => gunzip.push(chunk, limit).map_err(Failure::Compression)?,
                None => Bytes::new(),
            };
            if is_last {
                let rest = gunzip.finish().map_err(Failure::Compression)?;
                if !rest.is_empty() {
                    plain = [plain, rest].concat().into();
                }
            }
            if !plain.is_empty() {
                return Ok(Some(plain));
            }
        }
    }

    /// The body is read: its connection is free for another exchange.
    fn finish(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.keep(&self.url[..Position::BeforePath], connection);
        }
    }

    /// The media type of the body, without parameters and in lower case; empty where the server names none.
    pub fn media_type(&self) -> String {
        let named = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// `host:port` of the server, for messages.
    pub fn place(&self) -> String {
        failure::place(&self.url)
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("status", &self.status).field("place", &self.place()).finish_non_exhaustive()
    }
}
