//! Files, images and web addresses of a call, on their way into the core.

use std::path::PathBuf;

use bytes::Bytes;
use pyo3::prelude::*;

use crate::attachment::{self, Expect, Source};
use crate::config::Provider;
use crate::error::Result;
use crate::message::Part;
use crate::router::{Engine, Router};

/// A file as the caller names it: a path (`str` or path-like) or its bytes.
#[derive(FromPyObject)]
pub(super) enum Given {
    Bytes(Vec<u8>),
    Path(PathBuf),
}

/// Everything that travels with one prompt.
#[derive(Default)]
pub(super) struct Attachments {
    files: Vec<Source>,
    images: Vec<Source>,
    urls: Vec<String>,
}

impl Attachments {
    pub(super) fn new(files: Vec<Given>, images: Vec<Given>, urls: Vec<String>) -> Self {
        Self {
            files: files.into_iter().map(Source::from).collect(),
            images: images.into_iter().map(Source::from).collect(),
            urls,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.images.is_empty() && self.urls.is_empty()
    }

    /// Reads what is to be read, for a call of `router` that `force` may confine to one provider. Fails on the first page
    /// that cannot be fetched and the first file that is missing, too large or of no known kind.
    pub(super) async fn load(self, router: &Router, engine: &Engine, force: Option<Provider>) -> Result<Vec<Part>> {
        let pages = router.pages(engine, &self.urls, force).await?;
        self.with_files(pages).await
    }

    /// The same for a router of the caller's own, which gets the addresses and reads the pages, or not, by itself.
    pub(super) async fn load_for_another(self) -> Result<Vec<Part>> {
        let pages = self.urls.iter().map(|url| attachment::url(url)).collect::<Result<_>>()?;
        self.with_files(pages).await
    }

    async fn with_files(self, mut parts: Vec<Part>) -> Result<Vec<Part>> {
        for source in self.files {
            parts.push(attachment::load(source, Expect::Any).await?);
        }
        for source in self.images {
            parts.push(attachment::load(source, Expect::Image).await?);
        }
        Ok(parts)
    }
}

impl From<Given> for Source {
    fn from(given: Given) -> Self {
        match given {
            Given::Bytes(data) => Self::Bytes(Bytes::from(data)),
            Given::Path(path) => Self::Path(path),
        }
    }
}
