//! Against servers of a few lines on this machine, and name servers that answer from a list.

use std::error::Error as StdError;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Mutex;

use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::error::ErrorKind;

/// Answers from a list, one answer for each question, and remembers the questions.
#[derive(Debug, Default)]
struct Names {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    fn answering<const N: usize>(answers: [&[&str]; N]) -> Arc<Self> {
        let read = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        let answers = answers.iter().rev().map(read).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Lookup for Names {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.lock().unwrap().push(name);
        let answer = self.answers.lock().unwrap().pop();
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("no such name")) })
    }
}

/// For these tests the machine's first address is the public internet; its others are as private as all the rest.
fn is_first(address: IpAddr) -> bool {
    address == IpAddr::V4(Ipv4Addr::LOCALHOST)
}

fn fetcher(names: &Arc<Names>) -> Fetcher {
    let limits = FetchLimits { text: 64, pdf: 96, time: Duration::from_secs(30) };
    Fetcher { lookup: Arc::<Names>::clone(names), is_public: is_first, limits, ..Fetcher::default() }
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Takes a connection and reads its request.
async fn request_of(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0);
        request.extend_from_slice(&buffer[..count]);
    }
    (stream, String::from_utf8(request).unwrap())
}

/// Answers one request with `answer` and closes; gives back the request.
async fn serve(listener: &TcpListener, answer: &[u8]) -> String {
    let (mut stream, request) = request_of(listener).await;
    // A reader that has had enough hangs up.
    let _ = stream.write_all(answer).await;
    request
}

fn reply(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// What becomes of a page that is answered with `answer`.
async fn answered_with(answer: &[u8]) -> Result<Part> {
    let (listener, port) = listen().await;
    let names = Names::answering([&["127.0.0.1"]]);
    let fetcher = fetcher(&names);
    let page = format!("http://example.org:{port}/a/page?token=s3cret#part");
    tokio::join!(fetcher.fetch(&page), serve(&listener, answer)).0
}

fn problem(outcome: Result<Part>) -> PageProblem {
    let error = outcome.unwrap_err();
    let told = format!("{error} {error:?}");
    for secret in ["s3cret", "passw0rd", "/a/page"] {
        assert!(!told.contains(secret), "{told}");
    }
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let source = StdError::source(&error).unwrap().downcast_ref::<PageError>().unwrap();
    assert!(error.message().starts_with(&format!("the page at {} ", source.host)), "{error}");
    source.problem.clone()
}

fn text(part: Result<Part>) -> (String, String) {
    let Part::Text { name, text } = part.unwrap() else { panic!("no text") };
    (name.to_string(), text.to_string())
}

#[tokio::test]
async fn a_page_becomes_a_document() {
    let (listener, port) = listen().await;
    let names = Names::answering([&["127.0.0.1"]]);
    let fetcher = fetcher(&names);
    let page = format!("http://example.org:{port}/a/page?token=s3cret#part");
    let html = reply("Content-Type: text/html; charset=iso-8859-1\r\n", b"<p>Gr\xfc\xdfe<script>no</script>");
    let (document, request) = tokio::join!(fetcher.fetch(&page), serve(&listener, &html));
    assert_eq!(text(document), (format!("http://example.org:{port}/a/page?…"), "Grüße".to_owned()));
    assert!(request.starts_with("GET /a/page?token=s3cret HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains(&format!("host: example.org:{port}\r\n")), "{request}");
    assert_eq!(names.asked(), ["example.org"]);
}

#[tokio::test]
async fn kinds_are_told_by_the_server_and_checked() {
    for (mime, body, expected) in [
        ("text/plain", &b" <p>as it is "[..], Ok("<p>as it is")),
        ("application/json", b"{\"a\": 1}", Ok("{\"a\": 1}")),
        ("application/feed+json; charset=utf-8", b"{}", Ok("{}")),
        ("application/xhtml+xml", b"<p>one</p>", Ok("one")),
        ("", b"<!DOCTYPE html><p>one", Ok("one")),
        ("", b"just text", Ok("just text")),
        ("image/png", b"\x89PNG", Err(PageProblem::WrongType("image/png".to_owned()))),
        ("application/octet-stream", b"one", Err(PageProblem::WrongType("application/octet-stream".to_owned()))),
        ("text/plain", b"a\0b", Err(PageProblem::WrongType("text/plain".to_owned()))),
        ("text/html", b"%PDF-1.7", Err(PageProblem::WrongType("text/html".to_owned()))),
        ("application/pdf", b"<p>no", Err(PageProblem::WrongType("application/pdf".to_owned()))),
        ("text/html", b"<script>one()</script>", Err(PageProblem::Empty)),
        ("text/plain", b" \n", Err(PageProblem::Empty)),
    ] {
        let header = if mime.is_empty() { String::new() } else { format!("Content-Type: {mime}\r\n") };
        let outcome = answered_with(&reply(&header, body)).await;
        match expected {
            Ok(expected) => assert_eq!(text(outcome).1, expected, "{mime}"),
            Err(expected) => assert_eq!(problem(outcome), expected, "{mime}"),
        }
    }
    let pdf =
        answered_with(&reply("Content-Type: application/pdf\r\n", &[b"%PDF-1.7\n", &[b'a'; 80][..]].concat())).await;
    assert!(matches!(pdf.unwrap(), Part::Pdf { data, .. } if data.len() == 89));
}

#[tokio::test]
async fn defect_21_private_addresses_are_refused_before_anything_is_sent() {
    let names = Names::answering([&["127.0.0.2"], &["10.0.0.1", "::1", "fd00::1"], &["::ffff:127.0.0.1"]]);
    let fetcher = fetcher(&names);
    for page in [
        "http://localhost/",
        "http://intranet/",
        "https://mapped.example/",
        "http://10.0.0.1/a/page?token=s3cret",
        "http://127.0.0.2/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://0/",
        "http://0x7f000002/",
        "http://2130706434/",
        "http://0177.0.0.2/",
        "http://127.2/",
    ] {
        assert_eq!(problem(fetcher.fetch(page).await), PageProblem::NotPublic, "{page}");
    }
    assert_eq!(names.asked(), ["localhost", "intranet", "mapped.example"], "what is an address is asked of nobody");
    // With the policy of everybody else, this machine is private whatever it is called.
    let real = Fetcher::new();
    for page in ["http://127.0.0.1/", "http://localhost/"] {
        assert_eq!(problem(real.fetch(page).await), PageProblem::NotPublic, "{page}");
    }
}

#[tokio::test]
async fn defect_21_the_address_that_was_checked_is_the_one_connected_to() {
    let (listener, port) = listen().await;
    // Public for whoever asks first, private for whoever asks again.
    let names = Names::answering([&["127.0.0.1"], &["127.0.0.2"]]);
    let fetcher = fetcher(&names);
    let page = format!("http://rebind.example:{port}/");
    let answer = reply("", b"from the first");
    let (document, _) = tokio::join!(fetcher.fetch(&page), serve(&listener, &answer));
    assert_eq!(text(document).1, "from the first");
    assert_eq!(names.asked().len(), 1);
    // The next page of that name is another connection, and is checked anew.
    assert_eq!(problem(fetcher.fetch(&page).await), PageProblem::NotPublic);
    assert_eq!(names.asked().len(), 2);
}

#[tokio::test]
async fn of_mixed_answers_only_public_addresses_are_connected_to() {
    let (listener, port) = listen().await;
    // The private one stands first, and nobody listens there.
    let names = Names::answering([&["127.0.0.2", "127.0.0.1"]]);
    let fetcher = fetcher(&names);
    let private = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let page = format!("http://mixed.example:{port}/");
    let answer = reply("", b"public");
    let exchange = async { tokio::join!(fetcher.fetch(&page), serve(&listener, &answer)).0 };
    tokio::select! {
        document = exchange => assert_eq!(text(document).1, "public"),
        _ = private.accept() => panic!("a connection to a private address"),
    }
}

#[tokio::test]
async fn redirects_are_told_and_not_followed() {
    for (location, shown) in [
        ("http://127.0.0.1:1/admin?key=s3cret#x", "http://127.0.0.1:1/admin?…"),
        ("https://user:passw0rd@example.net/new", "https://example.net/new"),
        ("//example.net/x", "http://example.net/x"),
    ] {
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let outcome = answered_with(answer.as_bytes()).await;
        assert_eq!(problem(outcome), PageProblem::Redirect(shown.to_owned()));
    }
    let nowhere = b"HTTP/1.1 304 Not Modified\r\n\r\n";
    assert_eq!(problem(answered_with(nowhere).await), PageProblem::Status(304));
}

#[tokio::test]
async fn errors_of_servers_and_names_are_told() {
    let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno";
    assert_eq!(problem(answered_with(missing).await), PageProblem::Status(404));
    let broken = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf";
    assert!(matches!(problem(answered_with(broken).await), PageProblem::Connection(_)));
    assert!(matches!(problem(answered_with(b"nonsense\r\n\r\n").await), PageProblem::Connection(_)));
    let names = Names::answering([&[], &["127.0.0.1"]]);
    let fetcher = fetcher(&names);
    assert_eq!(problem(fetcher.fetch("http://empty.example/a/page").await), PageProblem::Unresolved);
    let (listener, port) = listen().await;
    drop(listener);
    assert!(matches!(
        problem(fetcher.fetch(&format!("http://gone.example:{port}/")).await),
        PageProblem::Connection(_)
    ));
    assert_eq!(problem(fetcher.fetch("http://no-such-name.example/").await), PageProblem::Unresolved);
    let with_password = format!("http://user:passw0rd@127.0.0.1:{port}/");
    assert_eq!(problem(fetcher.fetch(&with_password).await), PageProblem::Credentials);
    for wrong in ["ftp://example.org/", "example.org", "file:///etc/passwd", "gopher://127.0.0.1/", ""] {
        assert!(fetcher.fetch(wrong).await.unwrap_err().message().starts_with("a web address must"), "{wrong}");
    }
}

#[tokio::test]
async fn nothing_beyond_the_limit_is_read() {
    let page = |count: usize| reply("Content-Type: text/plain\r\n", &vec![b'a'; count]);
    assert_eq!(text(answered_with(&page(64)).await).1.len(), 64);
    assert_eq!(problem(answered_with(&page(65)).await), PageProblem::TooLarge(64), "told in advance");
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("{chunked}40\r\n{0}\r\n40\r\n{0}\r\n", "a".repeat(64));
    assert_eq!(problem(answered_with(chunk.as_bytes()).await), PageProblem::TooLarge(64), "found out");
    // 300 letters that are 25 bytes on the wire.
    let gzip: &[u8] =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4b\x4c\x1c\x05\xc4\x02\x00\x09\x19\x97\x89\x2c\x01\x00\x00";
    let bomb = reply("Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", gzip);
    assert!(gzip.len() < 64);
    assert_eq!(problem(answered_with(&bomb).await), PageProblem::TooLarge(64), "counted after decompression");
}

#[tokio::test]
async fn a_server_that_never_ends_is_given_up() {
    let (listener, port) = listen().await;
    let names = Names::answering([&["127.0.0.1"]]);
    let late = Duration::from_millis(50);
    let base = fetcher(&names);
    let fetcher = Fetcher { limits: FetchLimits { time: late, ..base.limits }, ..base };
    let page = format!("http://slow.example:{port}/");
    let half = async {
        let (mut stream, _) = request_of(&listener).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhalf").await.unwrap();
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = fetcher.fetch(&page) => outcome,
        () = half => unreachable!("the rest never comes"),
    };
    assert_eq!(problem(outcome), PageProblem::Late(late));
}

#[tokio::test]
async fn listed_hosts_may_be_anywhere_at_their_port_alone() {
    let (listener, port) = listen().await;
    let names = Names::answering([&["127.0.0.1"], &["127.0.0.1"]]);
    let lists = [format!("localhost:{port}"), format!("127.0.0.1:{port}"), "[::1]:80".to_owned()];
    let fetcher = Fetcher { lookup: Arc::<Names>::clone(&names), ..Fetcher::new().also(&lists).unwrap() };
    for host in ["LOCALHOST", "127.0.0.1"] {
        let page = format!("http://{host}:{port}/");
        let answer = reply("", b"mine");
        let (document, _) = tokio::join!(fetcher.fetch(&page), serve(&listener, &answer));
        assert_eq!(text(document).1, "mine");
    }
    for page in ["http://localhost/", "http://127.0.0.1/", "http://127.0.0.2:8080/", "http://[::1]:8080/"] {
        assert_eq!(problem(fetcher.fetch(page).await), PageProblem::NotPublic, "{page}");
    }
    for wrong in
        ["localhost", "localhost:", "a b:1", "localhost:99999", "http://localhost:1", "x@localhost:1", ":1", "a/b:1"]
    {
        assert!(Fetcher::new().also(&[wrong]).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn pages_are_fetched_at_once_and_keep_their_order() {
    let (first, second) = (listen().await, listen().await);
    let names = Names::answering([&["127.0.0.1"], &["127.0.0.1"]]);
    let fetcher = fetcher(&names);
    let pages = [format!("http://a.example:{}/", first.1), format!("http://b.example:{}/", second.1)];
    let (one, two) = (reply("", b"one"), reply("", b"two"));
    // The second answers before the first: one after the other, neither would ever be answered.
    let serving = async {
        serve(&second.0, &two).await;
        serve(&first.0, &one).await;
    };
    let (parts, ()) = tokio::join!(fetcher.fetch_all(&pages), serving);
    let texts: Vec<String> = parts.unwrap().into_iter().map(|part| text(Ok(part)).1).collect();
    assert_eq!(texts, ["one", "two"]);
    let error = fetcher.fetch_all(&vec!["http://a.example"; MAX_PAGES + 1]).await.unwrap_err();
    assert!(error.message().contains("21 web pages are too many"), "{error}");
}
