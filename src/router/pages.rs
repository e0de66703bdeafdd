//! The web pages of a call: as URLs if a target reads pages itself, otherwise as fetched text.

use std::sync::Arc;

use super::{Engine, Router, plan};
use crate::attachment;
use crate::config::Provider;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Part;
use crate::provider::Target;

impl Router {
    /// Returns `urls` as parts of a call; `force` names its only provider. If a target of the plan reads pages itself, the parts are
    /// URLs, otherwise the text of the fetched pages.
    ///
    /// # Errors
    ///
    /// Returns `InvalidInput` for an invalid URL and for a page that cannot be fetched, and `DeadlineReached` at the deadline of
    /// the router. Cancel safety: dropping the future closes every socket.
    pub async fn pages(&self, engine: &Engine, urls: &[String], force: Option<Provider>) -> Result<Vec<Part>> {
        if urls.is_empty() || plan::targets(self, force).iter().any(reads_pages) {
            return urls.iter().map(|url| attachment::url(url)).collect();
        }
        let hosts = &self.config().page_hosts;
        let fetcher = engine.pages.with_allowed_hosts(hosts)?;
        let pages = fetcher.fetch_all(urls);
        let Some(deadline) = self.policy().deadline else { return pages.await };
        tokio::time::timeout(deadline, pages).await.unwrap_or_else(|_| {
            let seconds = deadline.as_secs_f64();
            let message = format!("the deadline of {seconds} s was reached while web pages were fetched");
            Err(Error::new(ErrorKind::DeadlineReached, message))
        })
    }
}

/// Whether a target reads pages itself and has the API key that it needs.
fn reads_pages(target: &Target) -> bool {
    let page = Part::Url(Arc::from(""));
    match target.codec() {
        Some(codec) => codec.supports(&page) && target.key.is_some(),
        // The mock accepts every part and reads none.
        None => true,
    }
}
