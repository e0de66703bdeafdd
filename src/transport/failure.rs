//! From an error of the HTTP client to an [`Error`] that tells what happened and leaks nothing.
//!
//! An address may hold a password or a key, so texts name host and port alone.

use std::error::Error as StdError;
use std::io;
use std::iter;
use std::time::Duration;

use url::Url;

use super::CONNECT_TIMEOUT;
use super::connect::Unresolved;
use crate::error::{Error, ErrorKind};

/// `host:port` of `url`.
pub(super) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The whole exchange took longer than `timeout`.
pub(super) fn late(place: &str, timeout: Duration) -> Error {
    let message = format!("no complete reply from {place} within {} s", timeout.as_secs_f64());
    Error::new(ErrorKind::Timeout, message)
}

/// The headers of the reply took longer than `timeout`.
pub(super) fn silent(place: &str, timeout: Duration) -> Error {
    let message = format!("no reply from {place} within {} s", timeout.as_secs_f64());
    Error::new(ErrorKind::FirstTokenTimeout, message)
}

/// Why an exchange came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request, or what encryption needs, could not be made.
    Unbuilt(BoxError),
    /// No connection within [`CONNECT_TIMEOUT`].
    ConnectTimeout,
    /// No connection.
    Connect(BoxError),
    /// The exchange over a connection broke off.
    Exchange(hyper::Error),
    /// A compressed body that is none.
    Compression(io::Error),
}

type BoxError = Box<dyn StdError + Send + Sync>;

impl Failure {
    /// What it means, met while talking to `place`.
    pub(super) fn classify(self, place: &str) -> Error {
        let (kind, message) = match &self {
            Self::Unbuilt(error) => {
                (ErrorKind::Connect, format!("no connection to {place} can be made: {}", root_cause(&**error)))
            }
            Self::ConnectTimeout => {
                let limit = CONNECT_TIMEOUT.as_secs();
                (ErrorKind::ConnectTimeout, format!("no connection to {place} within {limit} s"))
            }
            Self::Connect(error) => {
                let cause = root_cause(&**error);
                if chain(&**error).any(<dyn StdError>::is::<Unresolved>) {
                    (ErrorKind::Dns, format!("the name in {place} could not be resolved: {cause}"))
                } else if is_tls(&**error) {
                    (ErrorKind::Tls, format!("no encrypted connection to {place} could be agreed on: {cause}"))
                } else if is_timeout(&**error) {
                    (ErrorKind::ConnectTimeout, format!("no connection to {place}: {cause}"))
                } else {
                    (ErrorKind::Connect, format!("could not connect to {place}: {cause}"))
                }
            }
            Self::Exchange(error) if is_timeout(error) => {
                (ErrorKind::Timeout, format!("the connection to {place} went dead: {}", root_cause(error)))
            }
            Self::Exchange(error) if error.is_parse() => malformed(place, error),
            Self::Exchange(error) => {
                let cause = root_cause(error);
                let message = format!("{place} closed the connection before the reply was complete: {cause}");
                (ErrorKind::Disconnected, message)
            }
            Self::Compression(error) => malformed(place, error),
        };
        let error = Error::new(kind, message);
        match self {
            Self::ConnectTimeout => error,
            Self::Unbuilt(source) | Self::Connect(source) => error.with_source(source),
            Self::Exchange(source) => error.with_source(BoxError::from(source)),
            Self::Compression(source) => error.with_source(BoxError::from(source)),
        }
    }
}

/// Bytes arrived that are not HTTP, or whose compression is broken.
fn malformed(place: &str, error: &(dyn StdError + 'static)) -> (ErrorKind, String) {
    (ErrorKind::MalformedReply, format!("what {place} sent is no valid HTTP reply: {}", root_cause(error)))
}

/// rustls reports what it does not trust or understand as invalid data, and a peer that hangs up on its greeting as an end
/// that came too early. A connection refused or reset is neither.
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    has_io_kind(error, &[io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof])
}

fn is_timeout(error: &(dyn StdError + 'static)) -> bool {
    has_io_kind(error, &[io::ErrorKind::TimedOut])
}

fn has_io_kind(error: &(dyn StdError + 'static), kinds: &[io::ErrorKind]) -> bool {
    chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|error| kinds.contains(&error.kind()))
}

fn root_cause(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}

/// `error` and what is underneath.
pub(crate) fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    iter::successors(Some(error), |error| underneath(*error))
}

/// An `io::Error` hides the error it wraps from `source()`.
fn underneath<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}
