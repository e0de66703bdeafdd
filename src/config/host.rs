//! The hosts of [`Config::page_hosts`](super::Config::page_hosts).

use url::Url;

use crate::error::{Error, Result};

/// Parses `host:port`.
///
/// # Errors
///
/// Returns `InvalidInput` if `text` is not a bare host with a port.
pub(crate) fn parse_host(text: &str) -> Result<(String, u16)> {
    let wrong = || Error::invalid_input(format!("{text:?} is not a host with a port, such as intranet.example:8080"));
    let (name, port) = text.trim().rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let url = Url::parse(&format!("http://{name}/")).map_err(|_| wrong())?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.port().is_none();
    match url.host_str() {
        Some(name) if is_bare && url.username().is_empty() && url.password().is_none() => Ok((name.to_owned(), port)),
        _ => Err(wrong()),
    }
}
