use std::fs;

use super::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
const JPEG: &[u8] = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
const GIF: &[u8] = b"GIF89a\x01\0\x01\0";
const WEBP: &[u8] = b"RIFF\x1a\0\0\0WEBPVP8L";
const BMP: &[u8] = b"BM\x3a\0\0\0\0\0\0\0";

/// A temporary directory, removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("madspark-attachment-{}-{test}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: &[u8]) -> Source {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        Source::Path(path)
    }

    /// Creates a file of `size` bytes that occupies no space on the disk.
    fn sparse(&self, name: &str, head: &[u8], size: u64) -> Source {
        let path = self.0.join(name);
        fs::write(&path, head).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(size).unwrap();
        Source::Path(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn bytes(content: &'static [u8]) -> Source {
    Source::Bytes(Bytes::from_static(content))
}

async fn load(source: Source, expect: Expect) -> Result<Part> {
    Reader::default().load(source, expect).await
}

async fn refused(source: Source, expect: Expect, kind: ErrorKind, hint: &str) {
    let error = load(source, expect).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.message().contains(hint), "{hint:?} in {error}");
}

#[tokio::test]
async fn images_are_detected_by_content_not_by_name() {
    let folder = Folder::new("images");
    let images =
        [(PNG, "image/png"), (JPEG, "image/jpeg"), (GIF, "image/gif"), (WEBP, "image/webp"), (BMP, "image/bmp")];
    for (content, expected) in images {
        for source in [bytes(content), folder.file("notes.txt", content)] {
            for expect in [Expect::Any, Expect::Image] {
                match load(source.clone(), expect).await.unwrap() {
                    Part::Image { mime, data } => assert_eq!((mime, &*data), (expected, content)),
                    other => panic!("{expected}: {other:?}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_pdf_keeps_its_name_and_bytes() {
    let folder = Folder::new("pdf");
    let content = [&b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"[..], &b"7".repeat(20_000)].concat();
    match load(folder.file("paper.pdf", &content), Expect::Any).await.unwrap() {
        Part::Pdf { name, data } => assert_eq!((&*name, &*data), ("paper.pdf", &content[..])),
        other => panic!("{other:?}"),
    }
    let ascii = load(bytes(b"%PDF-1.4 all ascii"), Expect::Any).await.unwrap();
    assert!(matches!(ascii, Part::Pdf { .. }), "{ascii:?}");
}

#[tokio::test]
async fn text_is_utf8_and_loses_its_byte_order_mark() {
    let folder = Folder::new("text");
    let content = format!("\u{feff}# Notes\n{}", "é".repeat(10_000));
    match load(folder.file("notes.md", content.as_bytes()), Expect::Any).await.unwrap() {
        Part::Text { name, text } => assert_eq!((&*name, &*text), ("notes.md", &content[3..])),
        other => panic!("{other:?}"),
    }
    // They contain the magic bytes of a bitmap and of a PDF.
    for text in ["BMW builds cars.", "How a %PDF begins."] {
        let part = load(bytes(text.as_bytes()), Expect::Any).await.unwrap();
        assert!(matches!(&part, Part::Text { text: found, .. } if **found == *text), "{part:?}");
    }
}

#[tokio::test]
async fn errors_for_unsupported_files_name_what_is_supported() {
    let folder = Folder::new("kinds");
    let invalid = ErrorKind::InvalidInput;
    for (content, hint) in [
        (&b"\xff\xfeh\0i\0"[..], "UTF-8 text"),
        (b"caf\xe9 au lait", "UTF-8 text"),
        (b"\x7fELF\x02\x01\x01\0", "a PDF or"),
        (b"II*\0\x08\0\0\0", "png, jpeg, webp, gif, bmp"),
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        (b"{\\rtf1\\ansi hello}", "convert it to PDF or text"),
    ] {
        refused(bytes(content), Expect::Any, invalid, hint).await;
        refused(folder.file("thing", content), Expect::Any, invalid, hint).await;
    }
    let invalid_end = [&b"x".repeat(20_000)[..], b"\xff"].concat();
    refused(folder.file("late.txt", &invalid_end), Expect::Any, invalid, "UTF-8 text").await;
    for name in ["old.doc", "new.DOCX"] {
        refused(folder.file(name, b"PK\x03\x04\x14\0\x06\0"), Expect::Any, invalid, "convert it to PDF or text").await;
    }
    for content in [&b"%PDF-1.7"[..], b"hello", b""] {
        refused(bytes(content), Expect::Image, invalid, "not a supported image").await;
    }
}

#[tokio::test]
async fn each_kind_has_a_size_limit() {
    let folder = Folder::new("limits");
    let invalid = ErrorKind::InvalidInput;
    for (head, limit, hint) in [
        (PNG, 8 * MB, "the limit for images is 8 MB"),
        (b"%PDF-1.7", 40 * MB, "the limit for PDFs is 40 MB"),
        (b"anything", 50 * MB, "the limit for files is 50 MB"),
    ] {
        refused(folder.sparse("big", head, limit + 1), Expect::Any, invalid, hint).await;
    }
    assert!(load(folder.sparse("fits", PNG, 8 * MB), Expect::Any).await.is_ok());
    let text = Bytes::from("x".repeat(usize::try_from(20 * MB).unwrap() + 1));
    refused(Source::Bytes(text.clone()), Expect::Any, invalid, "the limit for texts is 20 MB").await;
    assert!(load(Source::Bytes(text.slice(1..)), Expect::Any).await.is_ok());
}

#[tokio::test]
async fn missing_files_and_other_paths_are_distinguished() {
    let folder = Folder::new("places");
    refused(Source::Path(folder.0.join("absent.txt")), Expect::Any, ErrorKind::FileNotFound, "absent.txt").await;
    refused(Source::Path(folder.0.clone()), Expect::Any, ErrorKind::InvalidInput, "not a regular file").await;
    refused(Source::Path(PathBuf::from("/dev/null")), Expect::Any, ErrorKind::InvalidInput, "not a regular file").await;
}

#[tokio::test]
async fn reads_that_never_end_are_given_up_and_do_not_stop_others() {
    let folder = Folder::new("hanging");
    let (end, hanging) = std::sync::mpsc::channel::<()>();
    let reader = Reader { pool: BlockingPool::new("test", 1, 2), limit: Duration::from_millis(1) };
    // A read of a server that is down: it holds the place until its caller stops waiting, and its thread for ever.
    let stuck = reader.pool.run(move || hanging.recv().unwrap_or_default());
    assert!(timeout(reader.limit, stuck).await.is_err());
    let patient = Reader { limit: READ_TIMEOUT, ..reader };
    assert!(patient.load(folder.file("a.txt", b"one"), Expect::Any).await.is_ok());
    // With all threads stuck, a read fails instead of waiting for ever.
    let (end_too, hanging) = std::sync::mpsc::channel::<()>();
    let stuck = patient.pool.run(move || hanging.recv().unwrap_or_default());
    assert!(timeout(Duration::from_millis(1), stuck).await.is_err());
    let reader = Reader { limit: Duration::from_millis(1), ..patient };
    let error = reader.load(folder.file("b.txt", b"two"), Expect::Any).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("b.txt could not be read within 0.001 s"), "{error}");
    drop((end, end_too));
}

/// Opening a pipe without `O_NONBLOCK` waits for a writer, and a path may become that of a pipe after it was checked.
#[cfg(unix)]
#[test]
fn a_pipe_is_opened_without_waiting_and_refused() {
    let folder = Folder::new("pipe");
    let path = folder.0.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(!open(&path).unwrap().metadata().unwrap().is_file());
    let error = read(&path, Expect::Any).unwrap_err();
    assert!(error.message().contains("is not a regular file"), "{error}");
}

#[test]
fn only_absolute_web_addresses_are_accepted() {
    for (text, expected) in
        [(" https://example.org/a?b=c ", "https://example.org/a?b=c"), ("HTTP://Example.org", "http://example.org/")]
    {
        assert_eq!(web_address(text).unwrap().as_str(), expected);
    }
    for text in ["", "example.org", "/etc/passwd", "file:///etc/passwd", "ftp://h/x", "javascript:alert(1)", "https://"]
    {
        assert_eq!(web_address(text).unwrap_err().kind(), ErrorKind::InvalidInput, "{text}");
    }
}
