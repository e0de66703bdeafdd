//! From an error of the HTTP client to an [`Error`] that tells what happened and leaks nothing.
//!
//! An address may hold a password or a key, so texts name host and port alone and the client's errors are kept without
//! their URL.

use std::error::Error as StdError;
use std::io;
use std::iter;
use std::time::Duration;

use url::Url;

use super::CONNECT_TIMEOUT;
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

/// The client could not be built; in practice the system has no usable certificates.
pub(super) fn unbuilt(error: &reqwest::Error) -> Error {
    Error::new(ErrorKind::Connect, format!("no connection can be made: {}", root_cause(error)))
}

/// What `error`, met while talking to `place`, means.
pub(super) fn classify(error: reqwest::Error, place: &str) -> Error {
    let error = error.without_url();
    let cause = root_cause(&error);
    let (kind, message) = match (error.is_connect(), error.is_timeout()) {
        (true, true) => {
            let limit = CONNECT_TIMEOUT.as_secs();
            (ErrorKind::ConnectTimeout, format!("no connection to {place} within {limit} s"))
        }
        (true, false) if error.is_dns() => {
            (ErrorKind::Dns, format!("the name in {place} could not be resolved: {cause}"))
        }
        (true, false) if is_tls(&error) => {
            (ErrorKind::Tls, format!("no encrypted connection to {place} could be agreed on: {cause}"))
        }
        (true, false) => (ErrorKind::Connect, format!("could not connect to {place}: {cause}")),
        (false, true) => (ErrorKind::Timeout, format!("the connection to {place} went dead: {cause}")),
        (false, false) if error.is_builder() => {
            (ErrorKind::Internal, format!("the request to {place} could not be built: {cause}"))
        }
        (false, false) if is_malformed(&error) => {
            (ErrorKind::MalformedReply, format!("what {place} sent is no valid HTTP reply: {cause}"))
        }
        (false, false) => {
            (ErrorKind::Disconnected, format!("{place} closed the connection before the reply was complete: {cause}"))
        }
    };
    let source: Box<dyn StdError + Send + Sync> = Box::new(error);
    Error::new(kind, message).with_source(source)
}

/// True where bytes arrived that are not HTTP, or whose compression is broken.
fn is_malformed(error: &reqwest::Error) -> bool {
    chain(error)
        .find_map(|cause| cause.downcast_ref::<hyper::Error>())
        .map_or(error.is_decode(), hyper::Error::is_parse)
}

/// rustls reports what it does not trust or understand as invalid data, and a peer that hangs up on its greeting as an end
/// that came too early. A connection refused or reset is neither.
fn is_tls(error: &reqwest::Error) -> bool {
    let kinds = chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds.into_iter().any(|kind| matches!(kind, io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof))
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
