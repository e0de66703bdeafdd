//! The files, images and web addresses of a request, as Python passes them.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use pyo3::prelude::*;
use tokio::time::Instant;

use crate::attachment::{self, Expect, Source};
use crate::config::Provider;
use crate::error::Result;
use crate::message::{OnPageError, Part};
use crate::router::{Engine, Router};

/// A file: its path (`str` or path-like) or its bytes.
#[derive(FromPyObject)]
pub(super) enum FileInput {
    Bytes(Vec<u8>),
    Path(PathBuf),
}

/// The attachments of a request.
#[derive(Default)]
pub(super) struct Attachments {
    files: Vec<Source>,
    images: Vec<Source>,
    urls: Vec<String>,
    on_page_error: OnPageError,
}

impl Attachments {
    pub(super) fn new(
        files: Vec<FileInput>,
        images: Vec<FileInput>,
        urls: Vec<String>,
        on_page_error: OnPageError,
    ) -> Self {
        Self {
            files: files.into_iter().map(Source::from).collect(),
            images: images.into_iter().map(Source::from).collect(),
            urls,
            on_page_error,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.images.is_empty() && self.urls.is_empty()
    }

    /// Prepares the pages and reads the files for a call of `router` that began at `began` and that `force` may restrict to one
    /// provider.
    ///
    /// # Errors
    /// Returns the error of the first page that cannot be fetched, if that is not tolerated; of the first file that is missing,
    /// too large or of an unknown type; and `DeadlineReached` at the deadline of the router.
    pub(super) async fn load_for_call(
        self,
        router: &Router,
        engine: &Engine,
        force: Option<Provider>,
        began: Instant,
    ) -> Result<Vec<Part>> {
        let pages = router.pages(engine, &self.urls, force, self.on_page_error);
        let pages = router.before_deadline(began, "web pages were fetched", pages).await?;
        router.before_deadline(began, "files were read", self.with_files(engine, pages)).await
    }

    /// Prepares the pages and reads the files for a run. The first target of `router` is that of its calls.
    ///
    /// # Errors
    /// The same as [`Attachments::load_for_call`], without a deadline.
    pub(super) async fn load_for_run(self, router: &Router, engine: &Engine) -> Result<Vec<Part>> {
        let pages = router.pages(engine, &self.urls, None, self.on_page_error).await?;
        self.with_files(engine, pages).await
    }

    /// Reads the files for a custom router, which receives the addresses and may fetch the pages itself.
    pub(super) async fn load_for_custom_router(self, engine: &Engine) -> Result<Vec<Part>> {
        let address = |url: &String| Ok(Part::Url(Arc::from(attachment::web_address(url)?.as_str())));
        let pages = self.urls.iter().map(address).collect::<Result<_>>()?;
        self.with_files(engine, pages).await
    }

    async fn with_files(self, engine: &Engine, mut parts: Vec<Part>) -> Result<Vec<Part>> {
        for source in self.files {
            parts.push(engine.files().load(source, Expect::Any).await?);
        }
        for source in self.images {
            parts.push(engine.files().load(source, Expect::Image).await?);
        }
        Ok(parts)
    }
}

impl From<FileInput> for Source {
    fn from(file: FileInput) -> Self {
        match file {
            FileInput::Bytes(data) => Self::Bytes(Bytes::from(data)),
            FileInput::Path(path) => Self::Path(path),
        }
    }
}
