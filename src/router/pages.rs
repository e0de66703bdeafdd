//! The web pages of a call. Each target receives a page as its address or as its text, and a page that cannot be read has one
//! outcome, here and at a provider.

use std::sync::Arc;

use futures_util::future::try_join_all;

use super::{Engine, Router, plan};
use crate::config::Provider;
use crate::error::Result;
use crate::message::{OnPageError, Page, Part, Reply, Request};
use crate::provider::Target;
use crate::webpage::PageError;

impl Router {
    /// Returns the pages of `urls` as attachments of one or more calls, as the first target needs them: their addresses are checked
    /// if it reads pages itself, otherwise they are fetched. `force` names the only provider of the calls.
    ///
    /// # Errors
    /// Returns `InvalidInput` for an address that is invalid or private, and, if `on_error` is [`OnPageError::Fail`],
    /// `PageUnavailable` for a page that cannot be fetched.
    ///
    /// # Cancel safety
    /// Dropping the future closes every socket.
    pub async fn pages(
        &self,
        engine: &Engine,
        urls: &[String],
        force: Option<Provider>,
        on_error: OnPageError,
    ) -> Result<Vec<Part>> {
        if urls.is_empty() {
            return Ok(Vec::new());
        }
        let fetcher = Arc::new(engine.pages.with_allowed_hosts(&self.config().page_hosts)?);
        let pages = fetcher.pages(urls, on_error)?;
        if let Some(first) = plan::targets(self, force).first() {
            parts_for(&pages, first, 0).await?;
        }
        Ok(pages)
    }
}

/// Whether `request` has pages that are not resolved for a target yet.
pub(super) fn are_in(request: &Request) -> bool {
    request.parts.iter().any(|part| matches!(part, Part::Page(_)))
}

/// Replaces the pages of `request` by what the target with `index` in the plan of its call receives of them. Returns the records of
/// those that it receives nothing of.
///
/// # Errors
/// The same as [`Router::pages`].
pub(super) async fn resolve(request: &mut Request, target: &Target, index: usize) -> Result<Vec<Page>> {
    let resolved = parts_for(&request.parts, target, index).await?;
    let parts = std::mem::replace(&mut request.parts, resolved);
    let missing = parts.iter().zip(&request.parts).filter(|(_, part)| matches!(part, Part::MissingPage(_)));
    Ok(missing.filter_map(|(page, _)| page.page_failure()).collect())
}

/// Fails if the provider could not read a page of `request` for `reply`, and that is not tolerated.
///
/// # Errors
/// Returns `PageUnavailable` with the usage of the reply.
pub(super) fn check(request: &Request, target: &Target, reply: Reply) -> Result<Reply> {
    let is_tolerated = |part: &Part| !matches!(part, Part::Page(page) if page.on_error() == OnPageError::Fail);
    if request.parts.iter().all(is_tolerated) {
        return Ok(reply);
    }
    match reply.pages.iter().find_map(PageError::of_provider) {
        Some(error) => Err(target.locate(error.into()).with_status(200).with_usage(reply.usage)),
        None => Ok(reply),
    }
}

/// Only the first target of a plan was chosen for the call, so only that one may get an address.
async fn parts_for(parts: &[Part], target: &Target, index: usize) -> Result<Vec<Part>> {
    // The mock reads no attachments.
    let Some(codec) = target.codec() else { return Ok(parts.to_vec()) };
    let by_address = index == 0 && target.key.is_some() && codec.supports(&Part::Url(Arc::from("")));
    let resolved = parts.iter().map(|part| async move {
        match part {
            Part::Page(page) => page.part(by_address).await,
            other => Ok(other.clone()),
        }
    });
    try_join_all(resolved).await
}
