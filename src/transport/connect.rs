//! Connecting: name resolution, TCP and TLS.

use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use hyper::Uri;
use hyper::rt::{Read, ReadBuf};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;
use tokio::time::timeout;
use tower_service::Service;
use url::{Position, Url};

use super::error::TransportError;
use super::resolve::Resolver;
use super::{CONNECT_TIMEOUT, KEEP_ALIVE, KEEP_ALIVE_RETRIES, tls};

/// The byte stream of a connection, plain or encrypted.
pub(super) type IoStream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Polls an idle `stream` for the end of the connection or for unsolicited bytes; an idle connection that has
/// either cannot be used again. Registers `cx` to be woken for both.
pub(super) fn poll_end(stream: &mut IoStream, cx: &mut Context<'_>) -> Poll<()> {
    let mut byte = [0];
    let mut buffer = ReadBuf::new(&mut byte);
    let read = poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, buffer.unfilled()));
    // Without `unconstrained`, a task that has used up its cooperative budget gets `Pending` whatever the stream's state.
    pin!(unconstrained(read)).poll(cx).map(drop)
}

/// Whether an idle `stream` can be used again, as the operating system knows it at this moment. The runtime learns later
/// that the server has closed the connection.
pub(super) fn is_quiet(stream: &IoStream) -> bool {
    // Bytes that are not decrypted yet are an alert that the server closes the connection.
    let peeked = SockRef::from(socket(stream)).peek(&mut [MaybeUninit::uninit()]);
    peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Whether the server resets the ended connection of `stream` within `limit`. A server does so if it had closed the
/// connection when bytes arrived, or closes it with bytes unread.
pub(super) async fn is_reset(stream: &IoStream, limit: Duration) -> bool {
    let socket = socket(stream);
    let has_error = || SockRef::from(socket).take_error().is_ok_and(|error| error.is_some());
    has_error() || (timeout(limit, socket.ready(Interest::ERROR)).await.is_ok() && has_error())
}

fn socket(stream: &IoStream) -> &TcpStream {
    match stream {
        MaybeHttpsStream::Http(plain) => plain.inner(),
        MaybeHttpsStream::Https(encrypted) => encrypted.inner().get_ref().0.inner().inner(),
    }
}

/// Opens connections. Loads the TLS configuration at the first `https` address.
#[derive(Debug, Default)]
pub(super) struct Connector {
    resolver: Resolver,
    https: OnceLock<HttpsConnector<HttpConnector<Resolver>>>,
}

impl Connector {
    /// Connects to the host of `url` within [`CONNECT_TIMEOUT`].
    pub(super) async fn connect(&self, url: &Url) -> Result<IoStream, TransportError> {
        let origin: Uri = url[..Position::BeforePath].parse().map_err(TransportError::setup)?;
        let connecting: BoxFuture<'_, Result<IoStream, Box<dyn StdError + Send + Sync>>> = if url.scheme() == "https" {
            self.https()?.clone().call(origin).boxed()
        } else {
            let connecting = self.http().call(origin);
            async move { Ok(MaybeHttpsStream::Http(connecting.await?)) }.boxed()
        };
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(outcome) => outcome.map_err(TransportError::Connect),
            Err(_) => Err(TransportError::ConnectTimeout),
        }
    }

    fn https(&self) -> Result<&HttpsConnector<HttpConnector<Resolver>>, TransportError> {
        if let Some(connector) = self.https.get() {
            return Ok(connector);
        }
        let config = tls::client_config().map_err(TransportError::setup)?;
        let mut tcp = self.http();
        tcp.enforce_http(false);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_only().enable_http1().wrap_connector(tcp);
        Ok(self.https.get_or_init(|| connector))
    }

    fn http(&self) -> HttpConnector<Resolver> {
        let mut connector = HttpConnector::new_with_resolver(self.resolver.clone());
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_keepalive(Some(KEEP_ALIVE));
        connector.set_keepalive_interval(Some(KEEP_ALIVE));
        connector.set_keepalive_retries(Some(KEEP_ALIVE_RETRIES));
        connector
    }
}
