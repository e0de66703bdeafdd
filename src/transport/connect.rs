//! How a connection is made: name, address, handshake.

use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::OnceLock;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, FutureExt};
use hyper::Uri;
use hyper::rt::{Read, ReadBuf};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;
use tower_service::Service;
use url::{Position, Url};

use super::CONNECT_TIMEOUT;
use super::failure::Failure;
use crate::error::Result;

/// How often a silent connection is asked whether it still lives, and how many questions may stay unanswered.
const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(15);
const KEEP_ALIVE_RETRIES: u32 = 3;

/// What bytes go through.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Whether `stream`, on which nothing was asked, is open and has nothing to tell. Where that is so, `cx` is woken when it
/// changes.
pub(super) fn is_silent(stream: &mut Stream, cx: &mut Context<'_>) -> bool {
    let mut byte = [0];
    let mut read = ReadBuf::new(&mut byte);
    let reading = poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, read.unfilled()));
    // A task that has used up its turn is told that nothing is there and woken at once, which says nothing of the stream.
    pin!(unconstrained(reading)).poll(cx).is_pending()
}

/// Makes connections. What encryption needs is loaded at the first address that is encrypted.
#[derive(Debug, Default)]
pub(super) struct Connector {
    secure: OnceLock<HttpsConnector<HttpConnector<Names>>>,
}

impl Connector {
    /// A connection to the host of `url`, within [`CONNECT_TIMEOUT`].
    pub(super) async fn connect(&self, url: &Url) -> Result<Stream, Failure> {
        let origin: Uri = url[..Position::BeforePath].parse().map_err(|error| Failure::Unbuilt(Box::new(error)))?;
        let connecting: BoxFuture<'_, Result<Stream, BoxError>> = if url.scheme() == "https" {
            self.secure()?.clone().call(origin).boxed()
        } else {
            let connecting = plain().call(origin);
            async move { connecting.await.map(MaybeHttpsStream::Http).map_err(BoxError::from) }.boxed()
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(outcome) => outcome.map_err(Failure::Connect),
            Err(_) => Err(Failure::ConnectTimeout),
        }
    }

    /// Two first connections at once may both load the certificates; one of the two is dropped unused.
    fn secure(&self) -> Result<&HttpsConnector<HttpConnector<Names>>, Failure> {
        if let Some(connector) = self.secure.get() {
            return Ok(connector);
        }
        let builder = HttpsConnectorBuilder::new()
            .with_provider_and_platform_verifier(default_provider())
            .map_err(|error| Failure::Unbuilt(Box::new(error)))?;
        let mut tcp = plain();
        tcp.enforce_http(false);
        let connector = builder.https_only().enable_http1().wrap_connector(tcp);
        Ok(self.secure.get_or_init(|| connector))
    }
}

fn plain() -> HttpConnector<Names> {
    let mut connector = HttpConnector::new_with_resolver(Names(GaiResolver::new()));
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_keepalive(Some(KEEP_ALIVE));
    connector.set_keepalive_interval(Some(KEEP_ALIVE));
    connector.set_keepalive_retries(Some(KEEP_ALIVE_RETRIES));
    connector
}

type BoxError = Box<dyn StdError + Send + Sync>;

/// The system's resolver, whose failures can be told from those of a connection.
#[derive(Debug, Clone)]
struct Names(GaiResolver);

/// A name that could not be resolved.
#[derive(Debug)]
pub(super) struct Unresolved(io::Error);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Unresolved {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

impl Service<Name> for Names {
    type Response = GaiAddrs;
    type Error = Unresolved;
    type Future = BoxFuture<'static, Result<GaiAddrs, Unresolved>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unresolved>> {
        self.0.poll_ready(cx).map_err(Unresolved)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        self.0.call(name).map(|found| found.map_err(Unresolved)).boxed()
    }
}
