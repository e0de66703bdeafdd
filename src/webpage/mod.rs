//! Web pages of prompts: fetches them for models that cannot read them, and decides which addresses a model that can may get.
//!
//! The addresses come from the users of a service, and the pages are fetched from inside its network. To prevent server-side
//! request forgery, only pages of the public internet are fetched: the host name is resolved once, its addresses are checked, and
//! the connection goes to a checked address, so that a second DNS answer cannot redirect it. HTTP redirects are reported instead
//! of followed. Size, time and media type are limited. A page becomes a document, which prompts separate from instructions.

mod address;
mod charset;
mod content;
mod error;
mod fetch;
mod html;
mod page;

pub use address::redacted;
pub use error::{PageError, PageProblem};
pub use fetch::{Fetcher, MAX_PAGES};
