//! Web pages, fetched by us for models that read none by themselves.
//!
//! An address comes from whoever uses the service, and the page is fetched from within its network. So a page is fetched
//! from the public internet only: the name is resolved once, its addresses are checked, and the connection goes to one that
//! was checked, so that no second answer of the name's server can lead it elsewhere. Redirects are not followed but told.
//! Size, time and kind are bounded. What comes back is a text document like any other: fenced off from instructions.

mod charset;
mod error;
mod fetch;
mod html;

pub use error::{PageError, PageProblem};
pub use fetch::{Fetcher, MAX_PAGES};
