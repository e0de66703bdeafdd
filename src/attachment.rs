//! Files and web addresses that travel with a prompt.
//!
//! What a file is, is told by its content; its name is shown to the model and decides nothing.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::message::Part;

/// Bytes of one MB, as the limits count them.
const MB: u64 = 1024 * 1024;

/// Upper bound of any single file, in bytes.
pub const MAX_FILE: u64 = 50 * MB;

/// How much of a file is read before its kind, and with it its limit, is known.
const HEAD: u64 = 8 * 1024;

const ACCEPTED: &str = "send an image (png, jpeg, webp, gif, bmp), a PDF or UTF-8 text";

/// Where an attachment comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file of this machine.
    Path(PathBuf),
    /// The content itself.
    Bytes(Bytes),
}

/// What the caller takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Images, PDFs and texts.
    Any,
    /// Images alone.
    Image,
}

/// Reads `source` and tells what it is. Nothing above a limit is read: images 8 MB, PDFs 40 MB, texts 20 MB.
///
/// Fails with `FileNotFound` where there is no such file, and with `InvalidInput` where it is a directory, empty, too
/// large, not readable, or not of a kind that is taken.
///
/// Cancel safety: a read under way goes on in its thread until its end; its result is dropped.
pub async fn load(source: Source, expect: Expect) -> Result<Part> {
    match source {
        Source::Path(path) => tokio::task::spawn_blocking(move || read(&path, expect))
            .await
            .map_err(|error| Error::new(ErrorKind::Internal, format!("reading a file ended early: {error}")))?,
        Source::Bytes(content) => {
            let name = "attachment";
            check_size(name, content.len() as u64, None)?;
            let kind = Kind::of(name, &content, expect)?;
            check_size(name, content.len() as u64, Some(kind))?;
            kind.part(name, content)
        }
    }
}

/// A page that the provider is asked to read by itself.
///
/// Fails with `InvalidInput` unless `text` is a whole http or https address.
pub fn url(text: &str) -> Result<Part> {
    Ok(Part::Url(Arc::from(web_address(text)?.as_str())))
}

/// Reads a whole http or https address.
pub(crate) fn web_address(text: &str) -> Result<Url> {
    let url = Url::parse(text.trim()).map_err(|error| {
        Error::invalid_input(format!("a web address must be whole, with http:// or https:// ({error})"))
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Error::invalid_input(format!(
            "a web address must start with http:// or https://, not {}:",
            url.scheme()
        )));
    }
    Ok(url)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Image(&'static str),
    Pdf,
    Text,
}

impl Kind {
    /// What `content`, or its beginning, is.
    fn of(name: &str, head: &[u8], expect: Expect) -> Result<Self> {
        match (expect, Self::told_by(head)) {
            (_, Some(kind @ Self::Image(_))) | (Expect::Any, Some(kind)) => Ok(kind),
            (Expect::Image, _) => Err(Error::invalid_input(format!(
                "{name:?} is no image of a kind that is taken: png, jpeg, webp, gif or bmp"
            ))),
            (Expect::Any, None) if head.is_empty() => Err(Error::invalid_input(format!("{name:?} is empty"))),
            (Expect::Any, None) if is_word(name, head) => Err(Error::invalid_input(format!(
                "{name:?} is a word processor's document, which no model reads: convert it to PDF or text"
            ))),
            (Expect::Any, None) => Err(not_taken(name)),
        }
    }

    /// Text is looked for before images: every text that begins with "BM" would pass for a bitmap.
    fn told_by(head: &[u8]) -> Option<Self> {
        const IMAGES: [&str; 5] = ["image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp"];
        if head.starts_with(b"%PDF-") {
            return Some(Self::Pdf);
        }
        if is_text(head) {
            return Some(Self::Text);
        }
        match infer::get(head)?.mime_type() {
            "application/pdf" => Some(Self::Pdf),
            mime if IMAGES.contains(&mime) => Some(Self::Image(mime)),
            _ => None,
        }
    }

    const fn limit(self) -> u64 {
        match self {
            Self::Image(_) => 8 * MB,
            Self::Pdf => 40 * MB,
            Self::Text => 20 * MB,
        }
    }

    const fn plural(self) -> &'static str {
        match self {
            Self::Image(_) => "images",
            Self::Pdf => "PDFs",
            Self::Text => "texts",
        }
    }

    fn part(self, name: &str, content: Bytes) -> Result<Part> {
        match self {
            Self::Image(mime) => Ok(Part::Image { mime, data: content }),
            Self::Pdf => Ok(Part::Pdf { name: Arc::from(name), data: content }),
            Self::Text => {
                let text = std::str::from_utf8(&content).map_err(|_| not_taken(name))?;
                let text = text.strip_prefix('\u{feff}').unwrap_or(text);
                if text.trim().is_empty() {
                    return Err(Error::invalid_input(format!("{name:?} is empty")));
                }
                Ok(Part::Text { name: Arc::from(name), text: Arc::from(text) })
            }
        }
    }
}

fn read(path: &Path, expect: Expect) -> Result<Part> {
    let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
    let failed = |error: io::Error| unreadable(path, &error);
    let metadata = path.metadata().map_err(failed)?;
    // Asked before opening: to open a pipe is to wait for its writer.
    if !metadata.is_file() {
        return Err(Error::invalid_input(format!("{} is no file that can be sent", path.display())));
    }
    check_size(&name, metadata.len(), None)?;
    let mut file = File::open(path).map_err(failed)?;
    let mut content = Vec::new();
    file.by_ref().take(HEAD).read_to_end(&mut content).map_err(failed)?;
    let kind = Kind::of(&name, &content, expect)?;
    check_size(&name, metadata.len(), Some(kind))?;
    // A file may grow while it is read.
    file.take(kind.limit()).read_to_end(&mut content).map_err(failed)?;
    check_size(&name, content.len() as u64, Some(kind))?;
    kind.part(&name, Bytes::from(content))
}

fn check_size(name: &str, size: u64, kind: Option<Kind>) -> Result<()> {
    let (limit, what) = kind.map_or((MAX_FILE, "files"), |kind| (kind.limit(), kind.plural()));
    if size <= limit {
        return Ok(());
    }
    let message = format!("{name:?} has {size} bytes; the limit for {what} is {} MB", limit / MB);
    Err(Error::invalid_input(message))
}

/// No NUL, and UTF-8 but for a character that the end of the head may have cut.
fn is_text(head: &[u8]) -> bool {
    let is_utf8 = std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    is_utf8 && !head.is_empty() && !head.contains(&0) && !head.starts_with(b"{\\rtf")
}

/// Not every docx shows within its first bytes what it is; there the name helps to say what to do.
fn is_word(name: &str, head: &[u8]) -> bool {
    const WORD: [&str; 4] = ["doc", "docx", "odt", "rtf"];
    let by_content = infer::get(head).is_some_and(|kind| WORD.contains(&kind.extension()));
    let extension = Path::new(name).extension().map(OsStr::to_ascii_lowercase);
    by_content || extension.is_some_and(|extension| WORD.iter().any(|word| extension == **word))
}

fn not_taken(name: &str) -> Error {
    Error::invalid_input(format!("{name:?} is of no kind that can be sent: {ACCEPTED}"))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::FileNotFound, format!("there is no file {path}")),
        _ => Error::invalid_input(format!("{path} cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests;
