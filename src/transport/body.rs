//! Bodies of replies that are still arriving.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, Incoming};
use url::{Position, Url};

use super::connection::Connection;
use super::decompress::Decompressor;
use super::error::TransportError;
use super::pool::Pool;
use crate::error::{Error, ErrorKind, Result};

/// The body of a reply whose headers have arrived. Dropping it before its end closes the socket.
#[derive(Debug)]
pub struct ResponseBody(UnsyncBoxBody<Bytes, Error>);

impl ResponseBody {
    /// Wraps the body of any transport.
    pub fn new(body: impl Body<Data = Bytes, Error = Error> + Send + 'static) -> Self {
        Self(body.boxed_unsync())
    }

    /// Returns the next bytes of the body, decompressed; `None` at its end.
    ///
    /// # Errors
    /// Returns `Disconnected` or `MalformedReply`.
    ///
    /// # Cancel safety
    /// Dropping the future loses no bytes.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.0.frame().await.transpose()? {
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Reads the body to its end.
    ///
    /// # Errors
    /// Returns `MalformedReply` if the body is longer than `limit` bytes, and every error of [`ResponseBody::chunk`].
    pub async fn read_to_end(mut self, limit: usize) -> Result<Bytes> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        if first.len() <= limit && self.0.is_end_stream() {
            return Ok(first);
        }
        let mut body = BytesMut::from(first);
        loop {
            if body.len() > limit {
                return Err(Error::new(ErrorKind::MalformedReply, format!("the reply has more than {limit} bytes")));
            }
            let Some(chunk) = self.chunk().await? else { return Ok(body.freeze()) };
            body.extend_from_slice(&chunk);
        }
    }
}

/// A body that is read from a connection. The pool gets the connection back at the end of the body.
pub(super) struct HttpBody {
    pub(super) incoming: Incoming,
    /// `None` after the end of the body.
    pub(super) connection: Option<Box<Connection>>,
    pub(super) pool: Arc<Pool>,
    /// `None` for a body that is not compressed.
    pub(super) decompressor: Option<Decompressor>,
    pub(super) url: Url,
    pub(super) status: u16,
    /// The size from which on a chunk is not decompressed further, in bytes.
    pub(super) limit: usize,
}

impl HttpBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, TransportError>> {
        loop {
            let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(None)) };
            let data = ready!(connection.poll_data(&mut self.incoming, cx)).transpose();
            let data = data.map_err(TransportError::Exchange)?;
            // A body of known length is at its end together with its last bytes.
            let is_last = data.is_none() || self.incoming.is_end_stream();
            if is_last && let Some(connection) = self.connection.take() {
                self.pool.put(&self.url[..Position::BeforePath], connection);
            }
            let Some(decompressor) = &mut self.decompressor else { return Poll::Ready(Ok(data)) };
            let mut plain = match &data {
                Some(data) => decompressor.push(data, self.limit).map_err(TransportError::Decompress)?,
                None => Bytes::new(),
            };
            if is_last {
                let rest = decompressor.finish().map_err(TransportError::Decompress)?;
                if !rest.is_empty() {
                    plain = [plain, rest].concat().into();
                }
            }
            if !plain.is_empty() {
                return Poll::Ready(Ok(Some(plain)));
            }
        }
    }
}

impl Body for HttpBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let chunk = ready!(this.poll_chunk(cx));
        let chunk = chunk.map_err(|error| error.classify(&this.url).with_status(this.status)).transpose();
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.connection.is_none()
    }
}
