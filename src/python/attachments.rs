//! The files, images and web addresses of a request, as Python passes them.

use std::path::PathBuf;

use bytes::Bytes;
use pyo3::prelude::*;

use crate::attachment::{self, Expect, Source};
use crate::config::Provider;
use crate::error::Result;
use crate::message::Part;
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
}

impl Attachments {
    pub(super) fn new(files: Vec<FileInput>, images: Vec<FileInput>, urls: Vec<String>) -> Self {
        Self {
            files: files.into_iter().map(Source::from).collect(),
            images: images.into_iter().map(Source::from).collect(),
            urls,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.images.is_empty() && self.urls.is_empty()
    }

    /// Fetches the pages and reads the files for a request of `router`, which `force` may restrict to one provider.
    ///
    /// # Errors
    /// Returns the error of the first page that cannot be fetched, or of the first file that is missing, too large or of an
    /// unknown type.
    pub(super) async fn load(self, router: &Router, engine: &Engine, force: Option<Provider>) -> Result<Vec<Part>> {
        let pages = router.pages(engine, &self.urls, force).await?;
        self.with_files(pages).await
    }

    /// Reads the files for a custom router, which receives the addresses and may fetch the pages itself.
    pub(super) async fn load_for_custom_router(self) -> Result<Vec<Part>> {
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

impl From<FileInput> for Source {
    fn from(file: FileInput) -> Self {
        match file {
            FileInput::Bytes(data) => Self::Bytes(Bytes::from(data)),
            FileInput::Path(path) => Self::Path(path),
        }
    }
}
