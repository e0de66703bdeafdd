//! Files, images and web addresses of a call, on their way into the core.

use std::path::PathBuf;

use bytes::Bytes;
use pyo3::prelude::*;

use crate::attachment::{self, Expect, Source};
use crate::error::Result;
use crate::message::Part;

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

    /// Reads what is to be read. Fails on the first file that is missing, too large or of no known kind.
    pub(super) async fn load(self) -> Result<Vec<Part>> {
        let mut parts = Vec::with_capacity(self.files.len() + self.images.len() + self.urls.len());
        for url in &self.urls {
            parts.push(attachment::url(url)?);
        }
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
