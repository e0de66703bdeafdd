//! Fetches a page: one GET to a checked address, with limits on size and time.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{ACCEPT, HeaderMap, LOCATION};
use reqwest::{Client, Response};
use url::Url;

use super::address::{ip_address, is_private_name, normal_host, without_host, without_query};
use super::content::ContentType;
use super::error::{PageError, PageProblem};
use super::page::Page;
use crate::attachment::web_address;
use crate::config::parse_host;
use crate::error::{Error, Result};
use crate::message::{OnPageError, Part};
use crate::transport::{self, AddressRule, Lookup, ResolveError, Resolver, SystemLookup};

/// Upper bound of the pages of one call. Gemini reads as many itself.
pub const MAX_PAGES: usize = 20;

/// The preferred media types.
const ACCEPTED: &str = "text/html, application/xhtml+xml, text/plain, application/json;q=0.9, application/pdf;q=0.9";

/// Upper bounds of the size of a page and of the time for fetching it.
#[derive(Debug, Clone, Copy)]
struct FetchLimits {
    /// Bytes of a text, after decompression.
    text: u64,
    /// Bytes of a PDF.
    pdf: u64,
    /// Time for the whole page, name resolution included.
    time: Duration,
}

const LIMITS: FetchLimits = FetchLimits { text: 5 * 1024 * 1024, pdf: 40 * 1024 * 1024, time: Duration::from_secs(30) };

/// Fetches pages of the public internet and of explicitly allowed hosts.
#[derive(Debug)]
pub struct Fetcher {
    /// The hosts and ports that are allowed at any address.
    allowed_hosts: BTreeSet<(String, u16)>,
    limits: FetchLimits,
    lookup: Arc<dyn Lookup>,
    is_public: AddressRule,
    /// The client for the public internet. Created on first use.
    public: Arc<OnceLock<Client>>,
    /// The client for the allowed hosts. Created on first use.
    private: OnceLock<Client>,
}

impl Default for Fetcher {
    /// A fetcher for the public internet only.
    fn default() -> Self {
        Self {
            allowed_hosts: BTreeSet::new(),
            limits: LIMITS,
            lookup: Arc::new(SystemLookup::for_pages()),
            is_public: transport::is_public,
            public: Arc::default(),
            private: OnceLock::new(),
        }
    }
}

impl Fetcher {
    /// Returns a fetcher that also fetches pages of `hosts`, each `host:port`, at any address.
    ///
    /// # Errors
    /// Returns `InvalidInput` if an entry is not a host with a port.
    pub fn with_allowed_hosts(&self, hosts: &[impl AsRef<str>]) -> Result<Self> {
        Ok(Self {
            allowed_hosts: hosts.iter().map(|host| parse_host(host.as_ref())).collect::<Result<_>>()?,
            limits: self.limits,
            lookup: Arc::clone(&self.lookup),
            is_public: self.is_public,
            public: Arc::clone(&self.public),
            private: OnceLock::new(),
        })
    }

    /// Returns the pages of `addresses` as attachments. Fetches nothing yet.
    ///
    /// # Errors
    /// Returns `InvalidInput` for more than [`MAX_PAGES`] pages, and for an address that is not a whole http or https address or
    /// contains credentials.
    pub fn pages(self: &Arc<Self>, addresses: &[impl AsRef<str>], on_error: OnPageError) -> Result<Vec<Part>> {
        if addresses.len() > MAX_PAGES {
            let message = format!("{} web pages are too many: at most {MAX_PAGES} can be read", addresses.len());
            return Err(Error::invalid_input(message));
        }
        let page = |address: &dyn AsRef<str>| {
            let url = web_address(address.as_ref())?;
            if !url.username().is_empty() || url.password().is_some() {
                return Err(PageError::new(&url, PageProblem::Credentials).into());
            }
            Ok(Part::Page(Arc::new(Page::new(url, Arc::clone(self), on_error))))
        };
        addresses.iter().map(|address| page(address)).collect()
    }

    /// Fetches a page as a document: HTML as its visible text, other texts and PDFs unchanged.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket.
    pub(super) async fn fetch(&self, url: &Url) -> Result<Part> {
        let is_allowed = self.is_allowed_host(url);
        let client = self.client(is_allowed)?;
        let fetched = tokio::time::timeout(self.limits.time, self.get(url, client, is_allowed)).await;
        let fetched = fetched.unwrap_or(Err(PageProblem::Timeout(self.limits.time)));
        fetched.map_err(|problem| PageError::new(url, problem).into())
    }

    /// Whether the host of `url` must not become known to a provider: it is one of the allowed hosts, at whatever port.
    pub(super) fn is_confidential(&self, url: &Url) -> bool {
        let host = normal_host(url.host_str().unwrap_or_default());
        self.allowed_hosts.iter().any(|(allowed, _)| normal_host(allowed) == host)
    }

    /// Checks that `url` may be given to a provider: nothing is known here that makes it an address of a private network. A name
    /// that this machine cannot resolve is none of its network.
    ///
    /// # Errors
    /// Returns `InvalidInput` if it is one.
    pub(super) async fn check_public(&self, url: &Url) -> Result<()> {
        let is_private = match (ip_address(url), url.host_str()) {
            (Some(address), _) => !(self.is_public)(address),
            (None, Some(name)) if !is_private_name(name) => {
                let addresses = self.lookup.lookup(name.to_owned()).await.unwrap_or_default();
                !addresses.is_empty() && !addresses.iter().any(|address| (self.is_public)(*address))
            }
            _ => true,
        };
        if is_private { Err(PageError::new(url, PageProblem::NotPublic).into()) } else { Ok(()) }
    }

    async fn get(&self, url: &Url, client: &Client, is_allowed: bool) -> Result<Part, PageProblem> {
        // The resolver, which checks addresses, is not called for a URL that contains one.
        if !is_allowed && ip_address(url).is_some_and(|address| !(self.is_public)(address)) {
            return Err(PageProblem::NotPublic);
        }
        let request = client.get(url.clone()).header(ACCEPT, ACCEPTED);
        let response = request.send().await.map_err(|error| problem_of(&error))?;
        let status = response.status();
        if !status.is_success() {
            let location = status.is_redirection().then(|| location(url, response.headers())).flatten();
            return Err(location.map_or(PageProblem::Status(status.as_u16()), PageProblem::Redirect));
        }
        let content_type = ContentType::of(response.headers())?;
        let limit = if content_type.is_pdf() { self.limits.pdf } else { self.limits.text };
        let body = read_body(response, limit).await?;
        let name = if self.is_confidential(url) { without_host(url) } else { without_query(url) };
        content_type.document(name, body)
    }

    fn is_allowed_host(&self, url: &Url) -> bool {
        let host = normal_host(url.host_str().unwrap_or_default());
        let port = url.port_or_known_default().unwrap_or_default();
        self.allowed_hosts.iter().any(|(allowed, allowed_port)| normal_host(allowed) == host && *allowed_port == port)
    }

    fn client(&self, is_allowed: bool) -> Result<&Client> {
        let cell = if is_allowed { &self.private } else { &self.public };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let rule = if is_allowed { |_| true } else { self.is_public };
        let client = transport::fetch_client(Resolver { lookup: Arc::clone(&self.lookup), is_allowed: rule })?;
        Ok(cell.get_or_init(|| client))
    }
}

/// Returns the target of a redirect from `url`.
fn location(url: &Url, headers: &HeaderMap) -> Option<String> {
    Some(without_query(&url.join(headers.get(LOCATION)?.to_str().ok()?).ok()?))
}

async fn read_body(mut response: Response, limit: u64) -> Result<Bytes, PageProblem> {
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(PageProblem::TooLarge(limit));
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| problem_of(&error))? {
        if (body.len() + chunk.len()) as u64 > limit {
            return Err(PageProblem::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Classifies an error of the client. Its own message is skipped because it contains the whole URL.
fn problem_of(error: &reqwest::Error) -> PageProblem {
    let mut root_cause = String::new();
    for cause in transport::chain(error).skip(1) {
        match cause.downcast_ref() {
            Some(ResolveError::Forbidden) => return PageProblem::NotPublic,
            Some(ResolveError::Lookup(_) | ResolveError::NoAddress) => return PageProblem::Unresolved,
            None => root_cause = cause.to_string(),
        }
    }
    PageProblem::Connection(root_cause)
}

#[cfg(test)]
mod tests;
