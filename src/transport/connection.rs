//! One HTTP/1.1 connection, driven by whoever waits for its reply: it has no task of its own.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::{TrySendError, http1};
use hyper::{Request, Response};

use super::connect::Stream;

/// The most that is read at once, and the longest head of a reply. A stream that comes faster than it is taken doubles what
/// is read of it, and hyper's own bound would leave each such connection with 400 kB.
const BUFFER: usize = 16 * 1024;

/// What is sent.
pub(super) type Outgoing = Request<Full<Bytes>>;

/// A connection, for one exchange at a time. Dropping it closes its socket.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Reads and writes; `None` once the connection has ended.
    driver: Option<http1::Connection<Stream, Full<Bytes>>>,
}

impl Connection {
    /// The connection that `stream` is.
    pub(super) async fn over(stream: Stream) -> hyper::Result<Self> {
        let (sender, driver) = http1::Builder::new().max_buf_size(BUFFER).handshake(stream).await?;
        Ok(Self { sender, driver: Some(driver) })
    }

    /// Sends `request` and waits for the headers of the reply. The error holds the request where no byte of it was written.
    pub(super) async fn send(&mut self, request: Outgoing) -> Result<Response<Incoming>, TrySendError<Outgoing>> {
        let Self { sender, driver } = self;
        let mut reply = pin!(sender.try_send_request(request));
        std::future::poll_fn(|cx| {
            drive(driver, cx);
            reply.as_mut().poll(cx)
        })
        .await
    }

    /// The next bytes of `body`; `None` at its end.
    pub(super) async fn chunk(&mut self, body: &mut Incoming) -> Option<hyper::Result<Bytes>> {
        loop {
            match std::future::poll_fn(|cx| self.poll_frame(body, cx)).await?.map(Frame::into_data) {
                Ok(Ok(data)) => return Some(Ok(data)),
                Ok(Err(_trailers)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn poll_frame(&mut self, body: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let mut body = Pin::new(body);
        // First the body: it asks for what the driver is to read.
        if let Poll::Ready(frame) = body.as_mut().poll_frame(cx) {
            return Poll::Ready(frame);
        }
        drive(&mut self.driver, cx);
        body.poll_frame(cx)
    }

    /// Whether the connection, between two exchanges, can take another one. Where it can, `cx` is woken when the server
    /// closes it.
    pub(super) fn is_usable(&mut self, cx: &mut Context<'_>) -> bool {
        drive(&mut self.driver, cx);
        self.driver.is_some() && self.sender.is_ready()
    }
}

/// Reads and writes what can be. What the end of a connection means to an exchange, the exchange is told; dropping the
/// driver sees to it that it always is.
fn drive(driver: &mut Option<http1::Connection<Stream, Full<Bytes>>>, cx: &mut Context<'_>) {
    if let Some(running) = driver
        && Pin::new(running).poll(cx).is_ready()
    {
        *driver = None;
    }
}
