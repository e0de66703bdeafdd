//! One HTTP/1.1 connection, polled by the call that uses it instead of by a task of its own.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response};

use super::connect::IoStream;
use super::error::TransportError;

/// Upper bound of hyper's read buffer, and so of the head of a reply, in bytes. hyper grows the buffer for a body that arrives
/// faster than it is read; with its default bound such a connection would hold 400 kB.
const MAX_BUFFER: usize = 16 * 1024;

/// An HTTP request as hyper sends it.
pub(super) type HttpRequest = Request<Full<Bytes>>;

/// A connection during one exchange. Dropping it closes the socket.
///
/// The buffers of an exchange (28 kB) are created with it, in 2 µs, so that an idle connection is the bare stream.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Reads and writes; `None` once the connection has ended.
    driver: Option<Driver>,
}

/// Why the head of a reply did not arrive.
#[derive(Debug)]
pub(super) struct SendError {
    pub(super) error: hyper::Error,
    /// Whether no byte of the request was written.
    pub(super) is_unsent: bool,
    /// The stream if no byte of the reply has arrived.
    pub(super) silent: Option<Box<IoStream>>,
}

type Driver = http1::Connection<Box<IoStream>, Full<Bytes>>;

impl Connection {
    /// Starts an exchange over `stream`.
    pub(super) async fn new(stream: Box<IoStream>) -> Result<Box<Self>, TransportError> {
        let handshake = http1::Builder::new().max_buf_size(MAX_BUFFER).writev(true).handshake(stream);
        let (sender, driver) = handshake.await.map_err(TransportError::Exchange)?;
        Ok(Box::new(Self { sender, driver: Some(driver) }))
    }

    /// Sends `request` and waits for the head of the reply.
    pub(super) async fn send(&mut self, request: HttpRequest) -> Result<Response<Incoming>, SendError> {
        let Self { sender, driver } = self;
        let mut reply = pin!(sender.try_send_request(request));
        let mut ended = None;
        let reply = std::future::poll_fn(|cx| {
            if let Some(parts) = poll_driver(driver, cx) {
                ended = Some(parts);
            }
            reply.as_mut().poll(cx)
        })
        .await;
        reply.map_err(|mut failure| {
            let ended = ended.or_else(|| driver.take().map(Driver::into_parts));
            let silent = ended.filter(|parts| parts.read_buf.is_empty()).map(|parts| parts.io);
            SendError { is_unsent: failure.take_message().is_some(), error: failure.into_error(), silent }
        })
    }

    /// Polls for the next bytes of `body`; `None` at its end.
    pub(super) fn poll_data(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Bytes>>> {
        loop {
            match ready!(self.poll_frame(body, cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => return Poll::Ready(Some(Ok(data))),
                Some(Ok(Err(_trailers))) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    fn poll_frame(&mut self, body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let mut body = Pin::new(body);
        // The body is polled first: that signals the demand on which the driver reads.
        if let Poll::Ready(frame) = body.as_mut().poll_frame(cx) {
            return Poll::Ready(frame);
        }
        drop(poll_driver(&mut self.driver, cx));
        body.poll_frame(cx)
    }

    /// Ends the exchange after its reply was read. Returns the stream if another exchange can use it.
    pub(super) fn into_idle(mut self: Box<Self>) -> Option<Box<IoStream>> {
        drop(poll_driver(&mut self.driver, &mut Context::from_waker(Waker::noop())));
        // The driver has ended if unsolicited bytes arrived. The sender is not ready while a part of the request
        // is unwritten, which happens if the server answered before it had read the whole request.
        let driver = self.driver.take().filter(|_| self.sender.is_ready())?;
        Some(driver.into_parts().io)
    }
}

/// Reads and writes what is possible. The driver's own outcome is ignored: hyper reports a failed connection to the exchange
/// too, at the latest when the driver is dropped. Returns the stream, with the bytes that no reply consumed, once the driver has
/// ended.
fn poll_driver(driver: &mut Option<Driver>, cx: &mut Context<'_>) -> Option<http1::Parts<Box<IoStream>>> {
    let running = driver.as_mut()?;
    if Pin::new(running).poll(cx).is_pending() {
        return None;
    }
    driver.take().map(Driver::into_parts)
}
