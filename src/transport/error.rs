//! Classifies the errors of an exchange.
//!
//! A URL may contain a password or a key, so messages name only host and port.

use std::error::Error as StdError;
use std::io;
use std::iter;
use std::time::Duration;

use url::Url;

use super::CONNECT_TIMEOUT;
use super::resolve::ResolveError;
use crate::error::{Error, ErrorKind};

type BoxError = Box<dyn StdError + Send + Sync>;

/// Returns `host:port` of `url`.
pub(crate) fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The reply from `url` was not complete within `timeout`.
pub(super) fn reply_timeout(url: &Url, timeout: Duration) -> Error {
    let message = format!("no complete reply from {} within {} s", host_and_port(url), timeout.as_secs_f64());
    Error::new(ErrorKind::Timeout, message)
}

/// The headers of the reply from `url` did not arrive within `timeout`.
pub(super) fn headers_timeout(url: &Url, timeout: Duration) -> Error {
    let message = format!("no reply from {} within {} s", host_and_port(url), timeout.as_secs_f64());
    Error::new(ErrorKind::FirstTokenTimeout, message)
}

/// Why an exchange failed.
#[derive(Debug)]
pub(super) enum TransportError {
    /// The request or the TLS configuration is invalid.
    Setup(BoxError),
    /// No connection was established within [`CONNECT_TIMEOUT`].
    ConnectTimeout,
    /// No connection could be established.
    Connect(BoxError),
    /// The connection failed during the exchange.
    Exchange(hyper::Error),
    /// The body is not compressed as its header says.
    Decompress(io::Error),
    /// The body is compressed in a way that is not supported.
    Encoding(String),
}

impl TransportError {
    pub(super) fn setup(error: impl Into<BoxError>) -> Self {
        Self::Setup(error.into())
    }

    /// Converts it into the error of a call to `url`.
    pub(super) fn classify(self, url: &Url) -> Error {
        let host = host_and_port(url);
        let (kind, message) = match &self {
            Self::Setup(error) => {
                (ErrorKind::Connect, format!("the connection to {host} could not be set up: {}", root_cause(&**error)))
            }
            Self::ConnectTimeout => {
                let limit = CONNECT_TIMEOUT.as_secs();
                (ErrorKind::ConnectTimeout, format!("could not connect to {host} within {limit} s"))
            }
            Self::Connect(error) => {
                let cause = root_cause(&**error);
                if chain(&**error).any(<dyn StdError>::is::<ResolveError>) {
                    (ErrorKind::Dns, format!("could not resolve the host name of {host}: {cause}"))
                } else if is_tls(&**error) {
                    (ErrorKind::Tls, format!("the TLS handshake with {host} failed: {cause}"))
                } else if is_timeout(&**error) {
                    (ErrorKind::ConnectTimeout, format!("could not connect to {host} in time: {cause}"))
                } else {
                    (ErrorKind::Connect, format!("could not connect to {host}: {cause}"))
                }
            }
            Self::Exchange(error) if is_timeout(error) => {
                (ErrorKind::Timeout, format!("the connection to {host} timed out: {}", root_cause(error)))
            }
            Self::Exchange(error) if error.is_parse() => malformed(&host, error),
            Self::Exchange(error) => {
                let cause = root_cause(error);
                let message = format!("{host} closed the connection before the reply was complete: {cause}");
                (ErrorKind::Disconnected, message)
            }
            Self::Decompress(error) => malformed(&host, error),
            Self::Encoding(encoding) => {
                let message = format!(
                    "{host} sent a reply with content-encoding {encoding:?}, which the request did not accept (accept-encoding: \
                     gzip): turn that compression off at the server or the proxy in front of it"
                );
                (ErrorKind::MalformedReply, message)
            }
        };
        let error = Error::new(kind, message);
        match self {
            Self::ConnectTimeout | Self::Encoding(_) => error,
            Self::Setup(source) | Self::Connect(source) => error.with_source(source),
            Self::Exchange(source) => error.with_source(BoxError::from(source)),
            Self::Decompress(source) => error.with_source(BoxError::from(source)),
        }
    }
}

fn malformed(host: &str, error: &(dyn StdError + 'static)) -> (ErrorKind, String) {
    (ErrorKind::MalformedReply, format!("{host} sent an invalid HTTP reply: {}", root_cause(error)))
}

/// rustls reports an untrusted certificate or an invalid message as `InvalidData`, and a peer that closes the connection
/// during the handshake as `UnexpectedEof`. A refused or reset connection is neither.
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    has_io_kind(error, &[io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof])
}

fn is_timeout(error: &(dyn StdError + 'static)) -> bool {
    has_io_kind(error, &[io::ErrorKind::TimedOut])
}

/// Whether the peer has reset the connection.
pub(super) fn is_reset(error: &(dyn StdError + 'static)) -> bool {
    has_io_kind(error, &[io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionAborted])
}

fn has_io_kind(error: &(dyn StdError + 'static), kinds: &[io::ErrorKind]) -> bool {
    chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|error| kinds.contains(&error.kind()))
}

fn root_cause(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}

/// Iterates over `error` and its causes.
pub(crate) fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    iter::successors(Some(error), |error| cause(*error))
}

/// Returns the cause of `error`. `io::Error::source` skips the error that it wraps.
fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}
