//! Tests of [`Fetcher`] against minimal servers and a scripted resolver.

use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;

use futures_util::future::{BoxFuture, try_join_all};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::error::ErrorKind;

/// A resolver that returns one scripted answer per lookup and records the names.
#[derive(Debug, Default)]
struct ScriptedLookup {
    answers: Mutex<Vec<Vec<IpAddr>>>,
    names: Mutex<Vec<String>>,
}

impl ScriptedLookup {
    fn new<const N: usize>(answers: [&[&str]; N]) -> Arc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        let answers = answers.iter().rev().map(parse).collect();
        Arc::new(Self { answers: Mutex::new(answers), names: Mutex::default() })
    }

    fn names(&self) -> Vec<String> {
        self.names.lock().unwrap().clone()
    }
}

impl Lookup for ScriptedLookup {
    fn lookup(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.names.lock().unwrap().push(name);
        let answer = self.answers.lock().unwrap().pop();
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("unknown name")) })
    }
}

/// The address rule of these tests: only 127.0.0.1 is public.
fn is_localhost(address: IpAddr) -> bool {
    address == IpAddr::V4(Ipv4Addr::LOCALHOST)
}

fn fetcher(lookup: &Arc<ScriptedLookup>) -> Fetcher {
    let limits = FetchLimits { text: 64, pdf: 96, time: Duration::from_secs(30) };
    Fetcher { lookup: Arc::<ScriptedLookup>::clone(lookup), is_public: is_localhost, limits, ..Fetcher::default() }
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Accepts a connection and reads its request.
async fn read_request(listener: &TcpListener) -> (TcpStream, String) {
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

/// Sends `reply` to one request, closes the connection and returns the request.
async fn serve(listener: &TcpListener, reply: &[u8]) -> String {
    let (mut stream, request) = read_request(listener).await;
    // The client closes the connection if the page is too large.
    let _ = stream.write_all(reply).await;
    request
}

fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Fetches `page` as a target that does not read pages itself receives it.
async fn fetch_page(fetcher: &Fetcher, page: &str) -> Result<Part> {
    Ok(fetch_all(fetcher, &[page]).await?.remove(0))
}

async fn fetch_all(fetcher: &Fetcher, pages: &[impl AsRef<str> + Sync]) -> Result<Vec<Part>> {
    resolve(fetcher, pages, OnPageError::Fail, false).await
}

async fn resolve(
    fetcher: &Fetcher,
    pages: &[impl AsRef<str> + Sync],
    on_error: OnPageError,
    by_address: bool,
) -> Result<Vec<Part>> {
    let hosts = fetcher.allowed_hosts.clone();
    let fetcher = Fetcher { allowed_hosts: hosts, ..fetcher.with_allowed_hosts(&[""; 0]).unwrap() };
    let pages = Arc::new(fetcher).pages(pages, on_error)?;
    let parts = pages.iter().map(|part| match part {
        Part::Page(page) => page.part(by_address),
        other => panic!("{other:?}"),
    });
    try_join_all(parts).await
}

/// Fetches a page from a server that sends `reply`.
async fn fetch(reply: &[u8]) -> Result<Part> {
    let (listener, port) = listen().await;
    let lookup = ScriptedLookup::new([&["127.0.0.1"]]);
    let fetcher = fetcher(&lookup);
    let page = format!("http://example.org:{port}/a/page?token=s3cret#part");
    tokio::join!(fetch_page(&fetcher, &page), serve(&listener, reply)).0
}

fn problem(outcome: Result<Part>) -> PageProblem {
    let error = outcome.unwrap_err();
    let text = format!("{error} {error:?}");
    for secret in ["s3cret", "passw0rd"] {
        assert!(!text.contains(secret), "{text}");
    }
    let source = StdError::source(&error).unwrap().downcast_ref::<PageError>().unwrap();
    assert!(error.message().starts_with(&format!("the page at {} ", source.page)), "{error}");
    let is_invalid = source.problem.is_invalid_address();
    assert_eq!(error.kind(), if is_invalid { ErrorKind::InvalidInput } else { ErrorKind::PageUnavailable });
    source.problem.clone()
}

fn text(part: Result<Part>) -> (String, String) {
    let Part::Text { name, text } = part.unwrap() else { panic!("not a text") };
    (name.to_string(), text.to_string())
}

#[tokio::test]
async fn a_page_becomes_a_document() {
    let (listener, port) = listen().await;
    let lookup = ScriptedLookup::new([&["127.0.0.1"]]);
    let fetcher = fetcher(&lookup);
    let page = format!("http://example.org:{port}/a/page?token=s3cret#part");
    let html = ok("Content-Type: text/html; charset=iso-8859-1\r\n", b"<p>Gr\xfc\xdfe<script>no</script>");
    let (document, request) = tokio::join!(fetch_page(&fetcher, &page), serve(&listener, &html));
    assert_eq!(text(document), (format!("http://example.org:{port}/a/page?…"), "Grüße".to_owned()));
    assert!(request.starts_with("GET /a/page?token=s3cret HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains(&format!("host: example.org:{port}\r\n")), "{request}");
    assert_eq!(lookup.names(), ["example.org"]);
}

#[tokio::test]
async fn the_media_type_selects_the_kind_of_document() {
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
        let outcome = fetch(&ok(&header, body)).await;
        match expected {
            Ok(expected) => assert_eq!(text(outcome).1, expected, "{mime}"),
            Err(expected) => assert_eq!(problem(outcome), expected, "{mime}"),
        }
    }
    let pdf = fetch(&ok("Content-Type: application/pdf\r\n", &[b"%PDF-1.7\n", &[b'a'; 80][..]].concat())).await;
    assert!(matches!(pdf.unwrap(), Part::Pdf { data, .. } if data.len() == 89));
}

#[tokio::test]
async fn defect_21_private_addresses_are_refused_before_anything_is_sent() {
    let lookup = ScriptedLookup::new([&["127.0.0.2"], &["10.0.0.1", "::1", "fd00::1"], &["::ffff:127.0.0.1"]]);
    let fetcher = fetcher(&lookup);
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
        assert_eq!(problem(fetch_page(&fetcher, page).await), PageProblem::NotPublic, "{page}");
    }
    assert_eq!(lookup.names(), ["localhost", "intranet", "mapped.example"], "addresses are not looked up");
    // By default this machine is private under every name.
    let default = Fetcher::default();
    for page in ["http://127.0.0.1/", "http://localhost/"] {
        assert_eq!(problem(fetch_page(&default, page).await), PageProblem::NotPublic, "{page}");
    }
}

#[tokio::test]
async fn defect_21_the_address_that_was_checked_is_the_one_connected_to() {
    let (listener, port) = listen().await;
    // The first lookup returns a public address, the second one a private address.
    let lookup = ScriptedLookup::new([&["127.0.0.1"], &["127.0.0.2"]]);
    let fetcher = fetcher(&lookup);
    let page = format!("http://rebind.example:{port}/");
    let answer = ok("", b"checked");
    let (document, _) = tokio::join!(fetch_page(&fetcher, &page), serve(&listener, &answer));
    assert_eq!(text(document).1, "checked");
    assert_eq!(lookup.names().len(), 1);
    // The next page of that host is a new connection and is checked again.
    assert_eq!(problem(fetch_page(&fetcher, &page).await), PageProblem::NotPublic);
    assert_eq!(lookup.names().len(), 2);
}

#[tokio::test]
async fn private_addresses_of_a_public_name_are_skipped() {
    let (listener, port) = listen().await;
    // The private address comes first.
    let lookup = ScriptedLookup::new([&["127.0.0.2", "127.0.0.1"]]);
    let fetcher = fetcher(&lookup);
    let private = TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let page = format!("http://mixed.example:{port}/");
    let answer = ok("", b"public");
    let exchange = async { tokio::join!(fetch_page(&fetcher, &page), serve(&listener, &answer)).0 };
    tokio::select! {
        document = exchange => assert_eq!(text(document).1, "public"),
        _ = private.accept() => panic!("connected to a private address"),
    }
}

#[tokio::test]
async fn redirects_are_reported_and_not_followed() {
    for (location, shown) in [
        ("http://127.0.0.1:1/admin?key=s3cret#x", "http://127.0.0.1:1/admin?…"),
        ("https://user:passw0rd@example.net/new", "https://example.net/new"),
        ("//example.net/x", "http://example.net/x"),
    ] {
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let outcome = fetch(answer.as_bytes()).await;
        assert_eq!(problem(outcome), PageProblem::Redirect(shown.to_owned()));
    }
    let not_modified = b"HTTP/1.1 304 Not Modified\r\n\r\n";
    assert_eq!(problem(fetch(not_modified).await), PageProblem::Status(304));
}

#[tokio::test]
async fn errors_are_classified() {
    let missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno";
    assert_eq!(problem(fetch(missing).await), PageProblem::Status(404));
    let broken = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf";
    assert!(matches!(problem(fetch(broken).await), PageProblem::Connection(_)));
    assert!(matches!(problem(fetch(b"nonsense\r\n\r\n").await), PageProblem::Connection(_)));
    let lookup = ScriptedLookup::new([&[], &["127.0.0.1"]]);
    let fetcher = fetcher(&lookup);
    assert_eq!(problem(fetch_page(&fetcher, "http://empty.example/a/page").await), PageProblem::Unresolved);
    let (listener, port) = listen().await;
    drop(listener);
    assert!(matches!(
        problem(fetch_page(&fetcher, &format!("http://gone.example:{port}/")).await),
        PageProblem::Connection(_)
    ));
    assert_eq!(problem(fetch_page(&fetcher, "http://no-such-name.example/").await), PageProblem::Unresolved);
    let with_password = format!("http://user:passw0rd@127.0.0.1:{port}/");
    assert_eq!(problem(fetch_page(&fetcher, &with_password).await), PageProblem::Credentials);
    for wrong in ["ftp://example.org/", "example.org", "file:///etc/passwd", "gopher://127.0.0.1/", ""] {
        assert!(fetch_page(&fetcher, wrong).await.unwrap_err().message().starts_with("a web address must"), "{wrong}");
    }
}

#[tokio::test]
async fn a_page_over_the_limit_is_rejected() {
    let page = |count: usize| ok("Content-Type: text/plain\r\n", &vec![b'a'; count]);
    assert_eq!(text(fetch(&page(64)).await).1.len(), 64);
    assert_eq!(problem(fetch(&page(65)).await), PageProblem::TooLarge(64), "by its content length");
    let chunked = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("{chunked}40\r\n{0}\r\n40\r\n{0}\r\n", "a".repeat(64));
    assert_eq!(problem(fetch(chunk.as_bytes()).await), PageProblem::TooLarge(64), "while it is read");
    // 300 bytes, compressed to 25.
    let gzip: &[u8] =
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4b\x4c\x1c\x05\xc4\x02\x00\x09\x19\x97\x89\x2c\x01\x00\x00";
    let bomb = ok("Content-Type: text/plain\r\nContent-Encoding: gzip\r\n", gzip);
    assert!(gzip.len() < 64);
    assert_eq!(problem(fetch(&bomb).await), PageProblem::TooLarge(64), "after decompression");
}

#[tokio::test]
async fn a_page_that_never_ends_times_out() {
    let (listener, port) = listen().await;
    let lookup = ScriptedLookup::new([&["127.0.0.1"]]);
    let limit = Duration::from_millis(50);
    let base = fetcher(&lookup);
    let fetcher = Fetcher { limits: FetchLimits { time: limit, ..base.limits }, ..base };
    let page = format!("http://slow.example:{port}/");
    let half = async {
        let (mut stream, _) = read_request(&listener).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhalf").await.unwrap();
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = fetch_page(&fetcher, &page) => outcome,
        () = half => unreachable!("the body never ends"),
    };
    assert_eq!(problem(outcome), PageProblem::Timeout(limit));
}

#[tokio::test]
async fn allowed_hosts_may_be_private_but_only_at_their_port() {
    let (listener, port) = listen().await;
    let lookup = ScriptedLookup::new([&["127.0.0.1"], &["127.0.0.1"]]);
    let hosts = [format!("localhost:{port}"), format!("127.0.0.1:{port}"), "[::1]:80".to_owned()];
    let fetcher = Fetcher {
        lookup: Arc::<ScriptedLookup>::clone(&lookup),
        ..Fetcher::default().with_allowed_hosts(&hosts).unwrap()
    };
    for host in ["LOCALHOST", "127.0.0.1"] {
        let page = format!("http://{host}:{port}/");
        let answer = ok("", b"private");
        let (document, _) = tokio::join!(fetch_page(&fetcher, &page), serve(&listener, &answer));
        assert_eq!(text(document).1, "private");
    }
    for page in ["http://localhost/", "http://127.0.0.1/", "http://127.0.0.2:8080/", "http://[::1]:8080/"] {
        assert_eq!(problem(fetch_page(&fetcher, page).await), PageProblem::NotPublic, "{page}");
    }
    for wrong in
        ["localhost", "localhost:", "a b:1", "localhost:99999", "http://localhost:1", "x@localhost:1", ":1", "a/b:1"]
    {
        assert!(Fetcher::default().with_allowed_hosts(&[wrong]).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn pages_are_fetched_concurrently_and_returned_in_order() {
    let (first, second) = (listen().await, listen().await);
    let lookup = ScriptedLookup::new([&["127.0.0.1"], &["127.0.0.1"]]);
    let fetcher = fetcher(&lookup);
    let pages = [format!("http://a.example:{}/", first.1), format!("http://b.example:{}/", second.1)];
    let (one, two) = (ok("", b"one"), ok("", b"two"));
    // The second server answers first, so that sequential fetches would never complete.
    let serving = async {
        serve(&second.0, &two).await;
        serve(&first.0, &one).await;
    };
    let (parts, ()) = tokio::join!(fetch_all(&fetcher, &pages), serving);
    let texts: Vec<String> = parts.unwrap().into_iter().map(|part| text(Ok(part)).1).collect();
    assert_eq!(texts, ["one", "two"]);
    let error = fetch_all(&fetcher, &vec!["http://a.example"; MAX_PAGES + 1]).await.unwrap_err();
    assert!(error.message().contains("21 web pages are too many"), "{error}");
}

#[tokio::test]
async fn a_page_is_fetched_once_and_a_tolerated_failure_is_a_part() {
    let (listener, port) = listen().await;
    let lookup = ScriptedLookup::new([&["127.0.0.1"]]);
    let fetcher = Arc::new(fetcher(&lookup));
    let addresses = [format!("http://example.org:{port}/gone?token=s3cret")];
    let Part::Page(shared) = fetcher.pages(&addresses, OnPageError::Skip).unwrap().remove(0) else { panic!("no page") };
    assert!(shared.failure().is_none() && shared.document().is_none(), "it is not fetched yet");
    let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    let (missing, _) = tokio::join!(shared.part(false), serve(&listener, answer));
    let name = format!("http://example.org:{port}/gone?…");
    assert!(matches!(missing.unwrap(), Part::MissingPage(shown) if *shown == *name));
    let failure = shared.failure().unwrap();
    assert_eq!((failure.url, failure.reason.as_deref()), (name, Some("returned HTTP 404")));
    // The listener serves nobody any more.
    assert!(matches!(shared.part(false).await.unwrap(), Part::MissingPage(_)));
    assert!(!format!("{shared:?}").contains("s3cret"));
}

#[tokio::test]
async fn an_address_is_given_away_unless_its_host_is_known_to_be_private() {
    let hosts = ["9.9.9.9:8443".to_owned(), "wiki.example:80".to_owned()];
    let by_address = async |address: &str, answer: &[&str]| {
        let lookup = ScriptedLookup::new([answer]);
        let base = Fetcher::default().with_allowed_hosts(&hosts).unwrap();
        let fetcher = Fetcher { lookup: Arc::<ScriptedLookup>::clone(&lookup), ..base };
        (resolve(&fetcher, &[address], OnPageError::Skip, true).await, lookup.names().len())
    };
    for (address, answer, lookups) in [
        ("https://example.org/a?b=c#d", &["93.184.215.14"][..], 1),
        ("https://mixed.example/", &["10.0.0.1", "93.184.215.14"], 1),
        ("https://9.9.9.8/", &[], 0),
        ("https://[2606:4700:4700::1111]/", &[], 0),
        ("https://empty.example/", &[], 1),
    ] {
        let (parts, names) = by_address(address, answer).await;
        assert!(matches!(&parts.unwrap()[0], Part::Url(url) if **url == *address), "{address}");
        assert_eq!(names, lookups, "{address}");
    }
    for (address, answer) in [
        ("https://vpn.example/?token=s3cret", &["10.0.0.1", "fd00::1"][..]),
        ("http://intranet/", &["93.184.215.14"]),
        ("http://wiki.corp/", &["93.184.215.14"]),
        ("http://10.0.0.1/", &[]),
        ("http://0x7f000001/", &[]),
        ("http://[::ffff:127.0.0.1]/", &[]),
    ] {
        let (parts, _) = by_address(address, answer).await;
        assert_eq!(problem(parts.map(|mut parts| parts.remove(0))), PageProblem::NotPublic, "{address}");
    }
    // An allowed host is fetched here at every port, in every spelling; here in vain.
    for address in ["http://wiki.example./page?token=s3cret", "http://WIKI.example:444/page?token=s3cret"] {
        let (parts, names) = by_address(address, &[]).await;
        assert!(matches!(&parts.unwrap()[0], Part::MissingPage(name) if &**name == "/page?…"), "{address}");
        assert_eq!(names, 1, "{address}");
    }
}
