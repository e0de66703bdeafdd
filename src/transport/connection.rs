//! One HTTP/1.1 connection, driven by whoever waits for its reply: it has no task of its own.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::{TrySendError, http1};
use hyper::{Request, Response};

use super::connect::Stream;
use super::failure::Failure;

/// The most that is read at once, and the longest head of a reply. A stream that comes faster than it is taken doubles what
/// is read of it, and hyper's own bound would leave each such connection with 400 kB.
const BUFFER: usize = 16 * 1024;

/// What is sent.
pub(super) type Outgoing = Request<Full<Bytes>>;

/// A connection in use, with the buffers that an exchange needs: some 28 kB, made anew for each one (2 µs), so that a
/// connection which waits for its next exchange has none. Dropping it closes the socket.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Reads and writes; `None` once the connection has ended.
    driver: Option<Driver>,
}

type Driver = http1::Connection<Box<Stream>, Full<Bytes>>;

impl Connection {
    /// The exchange over `stream`.
    pub(super) async fn over(stream: Box<Stream>) -> Result<Box<Self>, Failure> {
        let made = http1::Builder::new().max_buf_size(BUFFER).writev(true).handshake(stream).await;
        let (sender, driver) = made.map_err(Failure::Exchange)?;
        Ok(Box::new(Self { sender, driver: Some(driver) }))
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

    /// Ends the exchange, whose reply was read. Gives back the stream where it can be used for another one.
    pub(super) fn end(mut self: Box<Self>) -> Option<Box<Stream>> {
        drive(&mut self.driver, &mut Context::from_waker(Waker::noop()));
        // Nothing was read that was not asked for, or the driver would have ended. Nothing is left to be written either: a
        // body that waits behind its head (`writev`) keeps the sender from being ready, though a server may have answered.
        let driver = self.driver.take().filter(|_| self.sender.is_ready());
        driver.map(|driver| driver.into_parts().io)
    }
}

/// Reads and writes what can be. What the end of a connection means to an exchange, the exchange is told; dropping the
/// driver sees to it that it always is.
fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if let Some(running) = driver
        && Pin::new(running).poll(cx).is_ready()
    {
        *driver = None;
    }
}
