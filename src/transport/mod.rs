//! Sends HTTP requests and reads replies.
//!
//! Model calls use HTTP/1.1 only, so each call in flight has a socket of its own. Dropping a call closes its socket, which
//! cancels the request at the server, and concurrent calls to one host do not queue behind a limit of HTTP/2 streams.

mod address;
mod body;
mod client;
mod connect;
mod connection;
mod decompress;
mod error;
mod event_stream;
mod fetch_client;
mod format;
mod framer;
mod lines;
mod pool;
mod resolve;
mod retry_after;
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;
mod tls;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::error::Result;

pub(crate) use address::is_public;
pub use body::ResponseBody;
pub use client::Http;
pub(crate) use error::{chain, host_and_port};
pub use event_stream::{EventStream, StreamProgress, StreamTimeouts};
pub(crate) use fetch_client::fetch_client;
pub use framer::{Frame, FrameKind, Framer, Framing, MAX_EVENT};
pub(crate) use resolve::{AddressRule, Lookup, ResolveError, Resolver, SystemLookup};
pub use retry_after::retry_after;
pub(crate) use retry_after::{leading_duration, parse_wait, rate_limit_reset};
#[cfg(test)]
pub(crate) use scripted::Scripted;

/// Upper bound of the time for a connection, the TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The interval of TCP keep-alive probes on a silent connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The number of unanswered keep-alive probes after which a connection is closed.
const KEEP_ALIVE_RETRIES: u32 = 3;

/// How long an idle connection is kept for the next call.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// Upper bound of the body of a reply, after decompression, in bytes.
pub const MAX_REPLY: usize = 64 * 1024 * 1024;

const USER_AGENT: &str = concat!("madspark/", env!("CARGO_PKG_VERSION"));

/// Sends requests to model providers. [`Http`] uses the network.
///
/// A redirect is returned like any other reply: following it could send an API key to another host. Dropping a returned future
/// cancels the request and closes its socket.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Sends `request` and reads the complete reply within `timeout`, connecting included.
    ///
    /// # Errors
    /// Returns `Connect`, `Dns`, `Tls`, `ConnectTimeout`, `Timeout`, `Disconnected` or `MalformedReply`. Messages name only the
    /// host and the port of the URL.
    fn send(&self, request: WireRequest, timeout: Duration) -> BoxFuture<'_, Result<WireReply>>;

    /// Sends `request` and waits for the headers of the reply, within `timeout`, connecting included.
    ///
    /// # Errors
    /// As for [`Transport::send`], with `FirstTokenTimeout` if the headers do not arrive in time.
    fn open(&self, request: WireRequest, timeout: Duration) -> BoxFuture<'_, Result<WireReply<ResponseBody>>>;
}

/// An HTTP request.
#[derive(Debug, Clone)]
pub struct WireRequest {
    /// GET or POST.
    pub method: Method,
    /// The URL. Contains no API key.
    pub url: Url,
    /// Headers in addition to the transport's own and `content-type: application/json`. The value of a key is marked sensitive.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// JSON; empty for GET.
    pub body: Bytes,
}

/// An HTTP reply of any status.
#[derive(Debug, Clone)]
pub struct WireReply<B = Bytes> {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body: complete, or still arriving.
    pub body: B,
}

impl<B> WireReply<B> {
    /// Whether the status is 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Returns the media type in `headers` in lower case without parameters; empty if the server names none.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
