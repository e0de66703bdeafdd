//! Attachments of a prompt: files and web addresses.
//!
//! The content of a file determines its kind; its name is only shown to the model.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::time::timeout;
use url::Url;

use crate::blocking::BlockingPool;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Part;

const MB: u64 = 1024 * 1024;

/// Upper bound of a file, in bytes.
pub const MAX_FILE: u64 = 50 * MB;

/// The length of the head that determines the kind of a file, and so its limit, in bytes.
const HEAD_SIZE: u64 = 8 * 1024;

/// The time limit for reading a file, the wait for its turn included. A file system that hangs, such as one of a server that is
/// down, never returns.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The pause between two attempts at a leased file.
const LEASE_PAUSE: Duration = Duration::from_millis(20);

/// The number of files that are read concurrently, and of their threads, which includes those of readers that were given up.
const READS: (usize, usize) = (4, 16);

const ACCEPTED: &str = "send an image (png, jpeg, webp, gif, bmp), a PDF or UTF-8 text";

/// The source of an attachment.
#[derive(Debug, Clone)]
pub enum Source {
    /// A local file.
    Path(PathBuf),
    /// The content.
    Bytes(Bytes),
}

/// The kinds of attachments that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Images, PDFs and texts.
    Any,
    /// Only images.
    Image,
}

/// Reads attachments. Files that never end use up its threads, which are bounded, and nothing else.
#[derive(Debug)]
pub struct Reader {
    pool: BlockingPool,
    limit: Duration,
}

impl Default for Reader {
    fn default() -> Self {
        let (places, threads) = READS;
        Self { pool: BlockingPool::new("madspark-file", places, threads), limit: READ_TIMEOUT }
    }
}

impl Reader {
    /// Reads `source` and determines its kind. Images may have 8 MB, PDFs 40 MB and texts 20 MB; larger files are not read.
    ///
    /// # Errors
    /// Returns `FileNotFound` if the file does not exist, and `InvalidInput` if it is not a regular file, empty, too large,
    /// unreadable, of a kind that is not accepted, or not read within 60 seconds.
    ///
    /// # Cancel safety
    /// A read that has begun continues on its thread; its result is dropped.
    pub async fn load(&self, source: Source, expect: Expect) -> Result<Part> {
        match source {
            Source::Path(path) => self.read(path, expect).await,
            Source::Bytes(content) => {
                let name = "attachment";
                check_size(name, content.len() as u64, None)?;
                let kind = Kind::of(name, &content, expect)?;
                check_size(name, content.len() as u64, Some(kind))?;
                kind.part(name, content)
            }
        }
    }

    async fn read(&self, path: PathBuf, expect: Expect) -> Result<Part> {
        let shown = path.display().to_string();
        let reading = self.pool.run(move || read(&path, expect));
        match timeout(self.limit, reading).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(Error::new(ErrorKind::Internal, format!("reading a file failed: {error}"))),
            Err(_) => {
                let seconds = self.limit.as_secs_f64();
                let message =
                    format!("{shown} could not be read within {seconds} s: is its drive or file server down?");
                Err(Error::invalid_input(message))
            }
        }
    }
}

/// Parses an absolute http or https URL.
pub(crate) fn web_address(text: &str) -> Result<Url> {
    let url = Url::parse(text.trim()).map_err(|error| {
        Error::invalid_input(format!("a web address must start with http:// or https:// and be complete: {error}"))
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
    /// Determines the kind of a file from its content or the head of it.
    fn of(name: &str, head: &[u8], expect: Expect) -> Result<Self> {
        match (expect, Self::detect(head)) {
            (_, Some(kind @ Self::Image(_))) | (Expect::Any, Some(kind)) => Ok(kind),
            (Expect::Image, _) => Err(Error::invalid_input(format!(
                "{name:?} is not a supported image: send png, jpeg, webp, gif or bmp"
            ))),
            (Expect::Any, None) if head.is_empty() => Err(Error::invalid_input(format!("{name:?} is empty"))),
            (Expect::Any, None) if is_word_document(name, head) => Err(Error::invalid_input(format!(
                "{name:?} is a word processor document, which no model can read: convert it to PDF or text"
            ))),
            (Expect::Any, None) => Err(unsupported(name)),
        }
    }

    /// Checks for text before images, because a text that begins with "BM" looks like a bitmap.
    fn detect(head: &[u8]) -> Option<Self> {
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
                let text = std::str::from_utf8(&content).map_err(|_| unsupported(name))?;
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
    let irregular = || Error::invalid_input(format!("{} is not a regular file", path.display()));
    // Before it is opened, because opening a device may have an effect.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(irregular());
    }
    let mut file = open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    // The path may have become that of a pipe.
    if !metadata.is_file() {
        return Err(irregular());
    }
    check_size(&name, metadata.len(), None)?;
    let mut content = Vec::new();
    file.by_ref().take(HEAD_SIZE).read_to_end(&mut content).map_err(failed)?;
    let kind = Kind::of(&name, &content, expect)?;
    check_size(&name, metadata.len(), Some(kind))?;
    // The file may grow while it is read.
    file.take(kind.limit()).read_to_end(&mut content).map_err(failed)?;
    check_size(&name, content.len() as u64, Some(kind))?;
    kind.part(&name, Bytes::from(content))
}

/// Opens a file without blocking: a pipe would block until it has a writer. A file that a file server has leased is opened once the
/// lease is returned.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let began = Instant::now();
    loop {
        match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && began.elapsed() < READ_TIMEOUT => {
                thread::sleep(LEASE_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn check_size(name: &str, size: u64, kind: Option<Kind>) -> Result<()> {
    let (limit, what) = kind.map_or((MAX_FILE, "files"), |kind| (kind.limit(), kind.plural()));
    if size <= limit {
        return Ok(());
    }
    let message = format!("{name:?} has {size} bytes; the limit for {what} is {} MB", limit / MB);
    Err(Error::invalid_input(message))
}

/// Whether `head` is UTF-8 without NUL. A character may be cut at the end of the head.
fn is_text(head: &[u8]) -> bool {
    let is_utf8 = std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    is_utf8 && !head.is_empty() && !head.contains(&0) && !head.starts_with(b"{\\rtf")
}

/// Whether it is a word processor document. The head of some docx files does not show that, so the extension counts as well; it
/// only selects the error message.
fn is_word_document(name: &str, head: &[u8]) -> bool {
    const WORD: [&str; 4] = ["doc", "docx", "odt", "rtf"];
    let by_content = infer::get(head).is_some_and(|kind| WORD.contains(&kind.extension()));
    let extension = Path::new(name).extension().map(OsStr::to_ascii_lowercase);
    by_content || extension.is_some_and(|extension| WORD.iter().any(|word| extension == **word))
}

fn unsupported(name: &str) -> Error {
    Error::invalid_input(format!("{name:?} has an unsupported type: {ACCEPTED}"))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(ErrorKind::FileNotFound, format!("the file {path} does not exist")),
        _ => Error::invalid_input(format!("{path} cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests;
