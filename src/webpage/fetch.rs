//! Fetching: one GET to a checked address, bounded in every way.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::try_join_all;
use reqwest::Response;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LOCATION};
use url::{Host, Url};

use super::charset;
use super::error::{PageError, PageProblem, shown};
use super::html;
use crate::config::parse_host;
use crate::error::{Error, Result};
use crate::message::Part;
use crate::offload::offload;
use crate::transport::{self, AddressRule, Lookup, ResolveError, Resolver, SystemLookup};

/// The most pages that are fetched for one call; Gemini reads as many by itself.
pub const MAX_PAGES: usize = 20;

/// What is asked for; others may come and are refused.
const WANTED: &str = "text/html, application/xhtml+xml, text/plain, application/json;q=0.9, application/pdf;q=0.9";

/// How large a page may be and how long it may take.
#[derive(Debug, Clone, Copy)]
struct FetchLimits {
    /// Bytes of a text, after decompression.
    text: u64,
    /// Bytes of a PDF.
    pdf: u64,
    /// For the whole of it, the resolution of the name included.
    time: Duration,
}

const LIMITS: FetchLimits = FetchLimits { text: 5 * 1024 * 1024, pdf: 40 * 1024 * 1024, time: Duration::from_secs(30) };

/// Fetches pages of the public internet, and of the few hosts beyond it that its maker named.
#[derive(Debug)]
pub struct Fetcher {
    /// Hosts and ports that may be anywhere.
    listed: BTreeSet<(String, u16)>,
    limits: FetchLimits,
    lookup: Arc<dyn Lookup>,
    is_public: AddressRule,
    /// The client for the public internet, made at the first use.
    public: Arc<OnceLock<reqwest::Client>>,
    /// The one for what is listed.
    private: OnceLock<reqwest::Client>,
}

impl Default for Fetcher {
    fn default() -> Self {
        Self {
            listed: BTreeSet::new(),
            limits: LIMITS,
            lookup: Arc::new(SystemLookup),
            is_public: transport::is_public,
            public: Arc::default(),
            private: OnceLock::new(),
        }
    }
}

impl Fetcher {
    /// For pages of the public internet alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, also for pages of `hosts`, each `host:port`, wherever they are. Fails with `InvalidInput` for what is none.
    pub fn also(&self, hosts: &[impl AsRef<str>]) -> Result<Self> {
        Ok(Self {
            listed: hosts.iter().map(|host| parse_host(host.as_ref())).collect::<Result<_>>()?,
            limits: self.limits,
            lookup: Arc::clone(&self.lookup),
            is_public: self.is_public,
            public: Arc::clone(&self.public),
            private: OnceLock::new(),
        })
    }

    /// Fetches `pages`, all at once, as documents in their order.
    ///
    /// Fails with `InvalidInput` for more than [`MAX_PAGES`], and as [`Fetcher::fetch`] does for the first that fails.
    /// Cancel safety: dropping the future closes every socket.
    pub async fn fetch_all(&self, pages: &[impl AsRef<str> + Sync]) -> Result<Vec<Part>> {
        if pages.len() > MAX_PAGES {
            let count = pages.len();
            return Err(Error::invalid_input(format!(
                "{count} web pages are too many: {MAX_PAGES} can be fetched at once"
            )));
        }
        try_join_all(pages.iter().map(|page| self.fetch(page.as_ref()))).await
    }

    /// Fetches one page as a document: HTML as the text a reader sees, other texts and PDFs as they are.
    ///
    /// Fails with `InvalidInput` for what is no http or https address and, with a [`PageError`] as its source, for a page
    /// that cannot be had. Cancel safety: dropping the future closes the socket.
    pub async fn fetch(&self, page: &str) -> Result<Part> {
        let url = crate::attachment::web_address(page)?;
        let failed = |problem: PageProblem| Error::from(PageError::new(&url, problem));
        let outcome = tokio::time::timeout(self.limits.time, self.get(&url)).await;
        match outcome {
            Ok(Ok(part)) => Ok(part),
            Ok(Err(Failure::Page(problem))) => Err(failed(problem)),
            Ok(Err(Failure::Other(error))) => Err(error),
            Err(_) => Err(failed(PageProblem::Late(self.limits.time))),
        }
    }

    async fn get(&self, url: &Url) -> Result<Part, Failure> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(PageProblem::Credentials.into());
        }
        let is_listed = self.is_listed(url);
        if !is_listed && literal(url).is_some_and(|address| !(self.is_public)(address)) {
            return Err(PageProblem::NotPublic.into());
        }
        let request = self.client(is_listed)?.get(url.clone()).header(ACCEPT, WANTED);
        let response = request.send().await.map_err(|error| problem_of(&error))?;
        let status = response.status();
        if status.is_redirection() {
            return Err(redirect_of(url, response.headers()).unwrap_or(PageProblem::Status(status.as_u16())).into());
        }
        if !status.is_success() {
            return Err(PageProblem::Status(status.as_u16()).into());
        }
        let told = Told::read(response.headers());
        let kind = told.kind()?;
        let limit = if kind == Some(Kind::Pdf) { self.limits.pdf } else { self.limits.text };
        let body = read(response, limit).await?;
        part(url, body, kind, &told)
    }

    /// Whether the address names a host and a port that its maker has named.
    fn is_listed(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        self.listed.iter().any(|(listed, at)| listed == host && *at == port)
    }

    fn client(&self, is_listed: bool) -> Result<&reqwest::Client, Failure> {
        let cell = if is_listed { &self.private } else { &self.public };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let is_allowed = if is_listed { |_| true } else { self.is_public };
        let resolver = Resolver { lookup: Arc::clone(&self.lookup), is_allowed };
        let client = transport::fetch_client(resolver)?;
        Ok(cell.get_or_init(|| client))
    }
}

/// A problem of the page, or a failure that has nothing to do with it.
enum Failure {
    Page(PageProblem),
    Other(Error),
}

impl From<PageProblem> for Failure {
    fn from(problem: PageProblem) -> Self {
        Self::Page(problem)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Html,
    Text,
    Pdf,
}

/// What the server says of the page.
struct Told {
    mime: Option<String>,
    charset: Option<String>,
}

impl Told {
    fn read(headers: &HeaderMap) -> Self {
        let told = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut pieces = told.split(';').map(str::trim);
        let mime = pieces.next().map(str::to_ascii_lowercase).filter(|mime| !mime.is_empty());
        let charset = pieces.find_map(|piece| {
            let (name, value) = piece.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']).to_owned())
        });
        Self { mime, charset }
    }

    /// `None` where the server does not say.
    fn kind(&self) -> Result<Option<Kind>, PageProblem> {
        let Some(mime) = self.mime.as_deref() else { return Ok(None) };
        Ok(Some(match mime {
            "text/html" | "application/xhtml+xml" => Kind::Html,
            "application/pdf" => Kind::Pdf,
            "application/json" | "application/xml" => Kind::Text,
            _ if mime.starts_with("text/") || mime.ends_with("+json") || mime.ends_with("+xml") => Kind::Text,
            _ => return Err(PageProblem::WrongType(mime.to_owned())),
        }))
    }
}

/// The IP address that stands in a URL itself; no resolver is asked about it.
fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

fn redirect_of(url: &Url, headers: &HeaderMap) -> Option<PageProblem> {
    let target = url.join(headers.get(LOCATION)?.to_str().ok()?).ok()?;
    Some(PageProblem::Redirect(shown(&target)))
}

async fn read(mut response: Response, limit: u64) -> Result<Bytes, PageProblem> {
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

fn part(url: &Url, body: Bytes, kind: Option<Kind>, told: &Told) -> Result<Part, Failure> {
    let name = Arc::from(shown(url));
    let kind = kind.unwrap_or_else(|| sniffed(&body));
    let is_pdf = body.starts_with(b"%PDF-");
    if kind == Kind::Pdf && is_pdf {
        return Ok(Part::Pdf { name, data: body });
    }
    let text = charset::text(&body, told.charset.as_deref());
    if kind == Kind::Pdf || is_pdf || text.contains('\0') {
        let told = told.mime.clone().unwrap_or_else(|| "unknown".to_owned());
        return Err(PageProblem::WrongType(told).into());
    }
    let text = if kind == Kind::Html { offload(text.len(), || html::text(&text)) } else { text.trim().to_owned() };
    if text.is_empty() {
        return Err(PageProblem::Empty.into());
    }
    Ok(Part::Text { name, text: Arc::from(text) })
}

/// The kind of a page whose server does not say.
fn sniffed(body: &[u8]) -> Kind {
    let head = String::from_utf8_lossy(&body[..body.len().min(256)]).trim_start().to_ascii_lowercase();
    if head.starts_with("%pdf-") {
        Kind::Pdf
    } else if head.starts_with("<!doctype html") || head.starts_with("<html") {
        Kind::Html
    } else {
        Kind::Text
    }
}

/// What an error of the client means, without the address it would name.
fn problem_of(error: &reqwest::Error) -> PageProblem {
    let mut last = String::new();
    // The client's own text names the whole address.
    for cause in transport::chain(error).skip(1) {
        match cause.downcast_ref() {
            Some(ResolveError::Forbidden) => return PageProblem::NotPublic,
            Some(ResolveError::Lookup(_) | ResolveError::NoAddress) => return PageProblem::Unresolved,
            None => {}
        }
        last = cause.to_string();
    }
    PageProblem::Connection(last)
}

#[cfg(test)]
mod tests;
