//! Converts the body of a page to a document.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};

use super::charset;
use super::error::PageProblem;
use super::html;
use crate::message::Part;
use crate::offload::offload;
use crate::transport::media_type;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Html,
    Text,
    Pdf,
}

/// The media type of a page and the charset label that its server sent.
pub(super) struct ContentType {
    /// Empty if the server names none.
    media_type: String,
    /// `None` if the server names no media type.
    kind: Option<Kind>,
    charset: Option<String>,
}

impl ContentType {
    /// Reads the content type in `headers`.
    ///
    /// # Errors
    /// Returns `WrongType` if pages of that type are not fetched.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, PageProblem> {
        let media_type = media_type(headers);
        let kind = match media_type.as_str() {
            "" => None,
            "text/html" | "application/xhtml+xml" => Some(Kind::Html),
            "application/pdf" => Some(Kind::Pdf),
            "application/json" | "application/xml" => Some(Kind::Text),
            other if other.starts_with("text/") || other.ends_with("+json") || other.ends_with("+xml") => {
                Some(Kind::Text)
            }
            _ => return Err(PageProblem::WrongType(media_type)),
        };
        Ok(Self { media_type, kind, charset: charset_label(headers) })
    }

    pub(super) fn is_pdf(&self) -> bool {
        self.kind == Some(Kind::Pdf)
    }

    /// Converts `body` to the document `name`.
    pub(super) fn document(&self, name: String, body: Bytes) -> Result<Part, PageProblem> {
        let name = Arc::from(name);
        let kind = self.kind.unwrap_or_else(|| sniff(&body));
        let is_pdf = body.starts_with(b"%PDF-");
        if kind == Kind::Pdf && is_pdf {
            return Ok(Part::Pdf { name, data: body });
        }
        let text = charset::decode(&body, self.charset.as_deref());
        if kind == Kind::Pdf || is_pdf || text.contains('\0') {
            let media_type = if self.media_type.is_empty() { "unknown" } else { &self.media_type };
            return Err(PageProblem::WrongType(media_type.to_owned()));
        }
        let text = match kind {
            Kind::Html => offload(text.len(), || html::visible_text(&text)),
            _ => text.trim().to_owned(),
        };
        if text.is_empty() {
            return Err(PageProblem::Empty);
        }
        Ok(Part::Text { name, text: Arc::from(text) })
    }
}

fn charset_label(headers: &HeaderMap) -> Option<String> {
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    })
}

/// Determines the kind of a page whose server names none.
fn sniff(body: &[u8]) -> Kind {
    let head = String::from_utf8_lossy(&body[..body.len().min(256)]).trim_start().to_ascii_lowercase();
    if head.starts_with("%pdf-") {
        Kind::Pdf
    } else if head.starts_with("<!doctype html") || head.starts_with("<html") {
        Kind::Html
    } else {
        Kind::Text
    }
}
