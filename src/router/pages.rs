//! How web pages reach a call: as addresses where a target reads them by itself, else as fetched text.

use std::sync::Arc;

use super::{Engine, Router, plan};
use crate::attachment;
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Part;
use crate::provider::{self, Target};

impl Router {
    /// `urls` as parts of a call that `force` may confine to one provider. Where a target of its plan reads pages by itself
    /// they go there as addresses; where none does, the pages are fetched, and every target gets their text.
    ///
    /// Fails with `InvalidInput` for what is no address and for a page that cannot be fetched, with `DeadlineReached`
    /// where the router's deadline comes first. Cancel safety: dropping the future closes every socket.
    pub async fn pages(&self, engine: &Engine, urls: &[String], force: Option<Provider>) -> Result<Vec<Part>> {
        if urls.is_empty() || plan::targets(self, force).iter().any(reads_pages) {
            return urls.iter().map(|url| attachment::url(url)).collect();
        }
        let hosts = &self.config().page_hosts;
        let fetcher = engine.pages.also(hosts)?;
        let pages = fetcher.fetch_all(urls);
        let Some(deadline) = self.policy().deadline else { return pages.await };
        tokio::time::timeout(deadline, pages).await.unwrap_or_else(|_| {
            let seconds = deadline.as_secs_f64();
            let message = format!("the deadline of {seconds} s was reached while web pages were fetched");
            Err(Error::new(ErrorKind::DeadlineReached, message))
        })
    }
}

/// Whether a target reads pages by itself, now and not only with a key that nobody has given.
fn reads_pages(target: &Target) -> bool {
    let page = Part::Url(Arc::from(""));
    match provider::codec(target.provider) {
        Some(codec) => codec.supports(&page) && target.key.is_some(),
        // The mock takes everything and reads nothing.
        None => true,
    }
}
