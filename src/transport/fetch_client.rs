//! The HTTP client for everything that is not a model call, such as web pages.

use reqwest::{Client, redirect};

use super::resolve::Resolver;
use super::{CONNECT_TIMEOUT, KEEP_ALIVE, KEEP_ALIVE_RETRIES, USER_AGENT, tls};
use crate::error::{Error, ErrorKind, Result};

/// Returns a client that connects only to the addresses that `resolver` allows.
///
/// It follows no redirect, which could lead to an address that was not checked, and keeps no connection, which would outlive
/// the check of its address. It uses no system proxy: only `Config::from_env` reads the environment.
pub(crate) fn fetch_client(resolver: Resolver) -> Result<Client> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Connect, format!("the client for web pages could not be set up: {error}"))
    };
    Client::builder()
        .user_agent(USER_AGENT)
        .tls_backend_preconfigured(tls::client_config().map_err(|error| failed(&error))?)
        .dns_resolver(resolver)
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(KEEP_ALIVE)
        .tcp_keepalive_interval(KEEP_ALIVE)
        .tcp_keepalive_retries(KEEP_ALIVE_RETRIES)
        .no_proxy()
        .http1_only()
        .gzip(true)
        .referer(false)
        .redirect(redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .build()
        .map_err(|error| failed(&error))
}
