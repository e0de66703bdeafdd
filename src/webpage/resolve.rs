//! From a page's name to the addresses a connection may go to.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Asks a name server.
pub(super) trait Lookup: fmt::Debug + Send + Sync {
    /// The addresses of `name`.
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver.
#[derive(Debug)]
pub(super) struct System;

impl Lookup for System {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Says of an address whether a connection may go to it.
pub(super) type Policy = fn(IpAddr) -> bool;

/// The resolver of the client: it asks once for each connection and gives on only the addresses that may be connected to.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) is_allowed: Policy,
}

/// A name none of whose addresses may be connected to.
#[derive(Debug)]
pub(super) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no address of the name may be connected to")
    }
}

impl StdError for Refused {}

/// A name without addresses.
#[derive(Debug)]
pub(super) struct Unresolved;

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name has no address")
    }
}

impl StdError for Unresolved {}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.lookup.lookup(name.as_str().to_owned());
        let is_allowed = self.is_allowed;
        Box::pin(async move {
            let found = found.await.map_err(|_| Unresolved)?;
            if found.is_empty() {
                return Err(Unresolved.into());
            }
            let allowed: Vec<SocketAddr> =
                found.into_iter().filter(|address| is_allowed(*address)).map(|address| (address, 0).into()).collect();
            if allowed.is_empty() {
                return Err(Refused.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}
