//! A page of a request: fetched when the first target needs its text, and once.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;
use url::Url;

use super::address::{without_host, without_query};
use super::error::PageError;
use super::fetch::Fetcher;
use crate::attempt;
use crate::error::{Error, ErrorKind, Result};
use crate::message::{OnPageError, PageStatus, Part, WebPage};

/// A page that is fetched at most once, however many targets, calls and stages need it.
pub(super) struct Page {
    url: Url,
    fetcher: Arc<Fetcher>,
    on_error: OnPageError,
    fetched: OnceCell<Result<Part>>,
    /// Whether the address may be given to a provider.
    checked: OnceCell<Result<()>>,
}

impl Page {
    pub(super) fn new(url: Url, fetcher: Arc<Fetcher>, on_error: OnPageError) -> Self {
        Self { url, fetcher, on_error, fetched: OnceCell::new(), checked: OnceCell::new() }
    }

    async fn address(&self) -> Result<Part> {
        let checked = self.checked.get_or_init(|| self.fetcher.check_public(&self.url)).await;
        checked.clone().map(|()| Part::Url(Arc::from(self.url.as_str())))
    }

    async fn fetch(&self) -> Result<Part> {
        let fetching = || async {
            let fetched = self.fetcher.fetch(&self.url).await;
            if let Err(error) = &fetched
                && self.is_tolerated(error)
            {
                tracing::warn!(kind = error.kind().as_str(), "{error}");
            }
            fetched
        };
        match self.fetched.get_or_init(fetching).await {
            Err(error) if self.is_tolerated(error) => Ok(self.missing()),
            fetched => fetched.clone(),
        }
    }

    fn is_tolerated(&self, error: &Error) -> bool {
        self.on_error == OnPageError::Skip && error.kind() == ErrorKind::PageUnavailable
    }

    fn missing(&self) -> Part {
        let name =
            if self.fetcher.is_confidential(&self.url) { without_host(&self.url) } else { without_query(&self.url) };
        Part::MissingPage(Arc::from(name))
    }
}

impl WebPage for Page {
    fn part(&self, by_address: bool) -> BoxFuture<'_, Result<Part>> {
        if by_address && !self.fetcher.is_confidential(&self.url) {
            Box::pin(self.address())
        } else {
            Box::pin(self.fetch())
        }
    }

    fn document(&self) -> Option<&Part> {
        self.fetched.get()?.as_ref().ok()
    }

    fn failure(&self) -> Option<attempt::Page> {
        let error = self.fetched.get()?.as_ref().err()?;
        let source: &(dyn StdError + 'static) = error.source_arc()?.as_ref();
        let PageError { page, problem } = source.downcast_ref()?;
        let reason = Some(Arc::from(problem.to_string()));
        Some(attempt::Page { url: page.clone(), status: PageStatus::Error, reason })
    }

    fn on_error(&self) -> OnPageError {
        self.on_error
    }
}

/// Hides the query of the address.
impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("url", &without_query(&self.url)).finish_non_exhaustive()
    }
}
