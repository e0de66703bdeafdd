//! Name resolution for every connection, with a rule for the addresses that may be connected to.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use futures_util::future::BoxFuture;
use hyper_util::client::legacy::connect::dns::Name;
use tokio::time::timeout;
use tower_service::Service;

use crate::blocking::BlockingPool;

/// The number of concurrent lookups of the hosts of providers, and of their threads.
const PROVIDER_LOOKUPS: (usize, usize) = (8, 32);

/// The number of concurrent lookups of the hosts of web pages, and of their threads. The names come from the users of a service.
const PAGE_LOOKUPS: (usize, usize) = (32, 64);

/// The time limit of a lookup for a web page, the wait for its turn included.
const PAGE_LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Resolves host names.
pub(crate) trait Lookup: fmt::Debug + Send + Sync {
    /// Returns the addresses of `name`.
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The operating system's resolver. It blocks until a name server answers or its own time limit has passed, often for longer than
/// its caller waits.
#[derive(Debug)]
pub(crate) struct SystemLookup {
    pool: Arc<BlockingPool>,
    limit: Option<Duration>,
    resolve: fn(&str) -> io::Result<Vec<IpAddr>>,
}

impl SystemLookup {
    /// Returns the resolver for the hosts of providers. The time limit for connecting bounds its lookups.
    pub(crate) fn for_providers() -> Self {
        let (places, threads) = PROVIDER_LOOKUPS;
        Self {
            pool: Arc::new(BlockingPool::new("madspark-dns", places, threads)),
            limit: None,
            resolve: system_addresses,
        }
    }

    /// Returns the resolver for the hosts of web pages.
    pub(crate) fn for_pages() -> Self {
        let (places, threads) = PAGE_LOOKUPS;
        Self {
            pool: Arc::new(BlockingPool::new("madspark-dns", places, threads)),
            limit: Some(PAGE_LOOKUP_TIMEOUT),
            resolve: system_addresses,
        }
    }
}

impl Lookup for SystemLookup {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let (pool, limit, resolve) = (Arc::clone(&self.pool), self.limit, self.resolve);
        Box::pin(async move {
            let looking_up = async { pool.run(move || resolve(&name)).await? };
            match limit {
                Some(limit) => timeout(limit, looking_up).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
                None => looking_up.await,
            }
        })
    }
}

fn system_addresses(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Decides whether an address may be connected to.
pub(crate) type AddressRule = fn(IpAddr) -> bool;

/// Resolves the name of each new connection and returns only the addresses that may be connected to.
#[derive(Debug, Clone)]
pub(crate) struct Resolver {
    pub(crate) lookup: Arc<dyn Lookup>,
    pub(crate) is_allowed: AddressRule,
}

/// The error of a name that cannot be connected to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// The lookup failed.
    #[error("{0}")]
    Lookup(#[source] io::Error),
    /// The name has no address.
    #[error("the name has no address")]
    NoAddress,
    /// The rule forbids every address of the name.
    #[error("no address of the name may be connected to")]
    Forbidden,
}

impl Resolver {
    async fn resolve(self, name: String) -> Result<vec::IntoIter<SocketAddr>, ResolveError> {
        let mut addresses = self.lookup.lookup(name).await.map_err(ResolveError::Lookup)?;
        if addresses.is_empty() {
            return Err(ResolveError::NoAddress);
        }
        addresses.retain(|address| (self.is_allowed)(*address));
        if addresses.is_empty() {
            return Err(ResolveError::Forbidden);
        }
        // The connector sets the port.
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, 0)).collect::<Vec<_>>().into_iter())
    }
}

impl Default for Resolver {
    /// The system's resolver without restrictions.
    fn default() -> Self {
        Self { lookup: Arc::new(SystemLookup::for_providers()), is_allowed: |_| true }
    }
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = BoxFuture<'static, Result<Self::Response, ResolveError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        Box::pin(self.clone().resolve(name.as_str().to_owned()))
    }
}

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let resolving = self.clone().resolve(name.as_str().to_owned());
        Box::pin(async move { Ok(Box::new(resolving.await?) as reqwest::dns::Addrs) })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use futures_util::FutureExt as _;

    use super::*;

    /// Whether name servers answer for names that begin with "silent".
    static ANSWERS: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

    /// A system's resolver whose name server does not answer for some names.
    fn resolve(name: &str) -> io::Result<Vec<IpAddr>> {
        if name.starts_with("silent") {
            let (answers, changed) = &ANSWERS;
            drop(changed.wait_while(answers.lock().unwrap(), |answers| !*answers).unwrap());
            return Err(io::Error::other("no answer"));
        }
        Ok(vec![IpAddr::from([192, 0, 2, 1])])
    }

    #[tokio::test]
    async fn silent_names_of_pages_stop_neither_providers_nor_other_pages() {
        let pages = SystemLookup { resolve, limit: None, ..SystemLookup::for_pages() };
        let providers = SystemLookup { resolve, ..SystemLookup::for_providers() };
        let names = (0..PAGE_LOOKUPS.0).map(|number| format!("silent{number}.example"));
        let mut silent: Vec<_> = names.map(|name| pages.lookup(name)).collect();
        // Polled once, so that they begin.
        assert!(silent.iter_mut().all(|lookup| lookup.now_or_never().is_none()));
        assert_eq!(providers.lookup("api.example".to_owned()).await.unwrap().len(), 1);
        // The place of each lookup of a call that ended is free, although its thread is still blocked.
        silent.clear();
        assert_eq!(pages.lookup("page.example".to_owned()).await.unwrap().len(), 1);
        // So is that of a lookup that reached its time limit.
        let limited = SystemLookup { pool: Arc::clone(&pages.pool), limit: Some(Duration::from_millis(1)), resolve };
        assert_eq!(limited.lookup("silent.example".to_owned()).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(pages.lookup("page.example".to_owned()).await.unwrap().len(), 1);
        *ANSWERS.0.lock().unwrap() = true;
        ANSWERS.1.notify_all();
    }

    #[tokio::test]
    async fn the_system_resolves_this_machine() {
        for lookup in [SystemLookup::for_pages(), SystemLookup::for_providers()] {
            assert!(lookup.lookup("localhost".to_owned()).await.unwrap().iter().all(IpAddr::is_loopback));
            assert!(lookup.lookup("no-such-name.invalid".to_owned()).await.is_err());
        }
    }
}
