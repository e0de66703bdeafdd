//! A web page among the attachments of a request.

use std::fmt;
use std::str::FromStr;

use futures_util::future::BoxFuture;

use super::{Page, Part};
use crate::error::{Error, Result};
use crate::named_enum::named_enum;

named_enum! {
    /// What happens if a web page cannot be read, here or by the provider.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum OnPageError {
        /// The call fails.
        #[default]
        Fail = "fail",
        /// The call continues without the page: the prompt and the record of the attempt say so.
        Skip = "skip",
    }
}

impl FromStr for OnPageError {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|choice| choice.as_str() == name)
            .ok_or_else(|| Error::invalid_input(format!("on_page_error must be \"fail\" or \"skip\", not {name:?}")))
    }
}

/// A web page of a request. What a target receives of it is decided when a request is sent to that target. All requests that share
/// it share one fetch.
pub trait WebPage: fmt::Debug + Send + Sync {
    /// Returns the page as an attachment: its URL if `by_address`, unless its host must not become known to a provider; otherwise
    /// the fetched document, or [`Part::MissingPage`] if it could not be fetched and that is tolerated.
    ///
    /// # Errors
    /// Returns `InvalidInput` if the address is private, and `PageUnavailable` if the page could not be fetched.
    ///
    /// # Cancel safety
    /// Dropping the future closes the socket, unless another request waits for the page.
    fn part(&self, by_address: bool) -> BoxFuture<'_, Result<Part>>;

    /// Returns the document, if it was fetched.
    fn document(&self) -> Option<&Part>;

    /// Returns the record of the page, if it was tried to fetch it and that failed.
    fn failure(&self) -> Option<Page>;

    /// Returns what happens if the page cannot be read.
    fn on_error(&self) -> OnPageError;
}
