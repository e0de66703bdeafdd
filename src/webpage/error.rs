//! Why a page could not be fetched, in words that name its host and nothing else of its address.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::error::Error;

/// A page that could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the page at {host} {problem}")]
pub struct PageError {
    /// Its host, with the port where the address names one.
    pub host: String,
    /// What is wrong.
    pub problem: PageProblem,
}

/// What is wrong with a page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageProblem {
    /// It is on a private network, on this machine, or reserved.
    #[error("is not on the public internet, and only pages that are can be fetched")]
    NotPublic,
    /// The address holds a user name or a password.
    #[error("has a password in its address: pass an address without one")]
    Credentials,
    /// The name has no address.
    #[error("was not found: its name could not be resolved")]
    Unresolved,
    /// No connection could be made, or it broke.
    #[error("could not be fetched: {0}")]
    Connection(String),
    /// It did not come in time.
    #[error("was not there within {} s", .0.as_secs_f64())]
    Late(Duration),
    /// It sends its readers elsewhere. The new address is told without its query.
    #[error("redirects to {0}: pass that address if it is the one you mean")]
    Redirect(String),
    /// The server answered with an error.
    #[error("answered with HTTP {0}")]
    Status(u16),
    /// It is larger than what is fetched.
    #[error("has more than {0} bytes, the limit for pages of its kind")]
    TooLarge(u64),
    /// It is of a kind that no model is sent.
    #[error("is of the type {0:?}: only HTML, text, JSON, XML and PDF are fetched")]
    WrongType(String),
    /// There is nothing in it to read.
    #[error("holds no text; pages that are made by scripts cannot be read")]
    Empty,
}

impl PageError {
    pub(super) fn new(url: &Url, problem: PageProblem) -> Self {
        Self { host: host(url), problem }
    }
}

/// A page that cannot be read is like a file that cannot be read: the caller's to mend, and nothing was sent.
impl From<PageError> for Error {
    fn from(error: PageError) -> Self {
        let message = error.to_string();
        Self::invalid_input(message).with_source(Arc::new(error) as Arc<dyn StdError + Send + Sync>)
    }
}

fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// An address as people and models may see it: without credentials, query and fragment.
pub(super) fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}://{}{port}{}{query}", url.scheme(), url.host_str().unwrap_or("?"), url.path())
}
