//! Against servers of a few lines that misbehave on purpose.

mod pool;

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;
use crate::error::{Error, ErrorKind};

/// Long enough never to matter.
const PATIENCE: Duration = Duration::from_secs(30);

async fn listen() -> (TcpListener, Url) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:passw0rd@{}/path?token=s3cret", listener.local_addr().unwrap());
    (listener, Url::parse(&url).unwrap())
}

fn post(url: Url) -> WireRequest {
    WireRequest { method: Method::POST, url, headers: Vec::new(), body: Bytes::from_static(b"{\"a\":1}") }
}

/// Reads one request whose body is `{"a":1}`; gives back its text.
async fn request_of(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = vec![0; 4096];
    while !text.ends_with("{\"a\":1}") {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "closed within the request: {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    text
}

/// Sends one request to a server that answers it with `answer` and closes. Gives back the request and the outcome.
async fn answered_with(answer: &[u8]) -> (String, Result<WireReply>) {
    let (listener, url) = listen().await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = request_of(&mut stream).await;
        stream.write_all(answer).await.unwrap();
        request
    };
    let http = Http::default();
    tokio::join!(serve, http.send(post(url), PATIENCE))
}

async fn failure_of(answer: &[u8]) -> Error {
    answered_with(answer).await.1.unwrap_err()
}

fn assert_leaks_nothing(error: &Error) {
    let told = format!("{error} {error:?}");
    for secret in ["passw0rd", "s3cret", "token", "/path"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
    assert!(error.message().contains("127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn a_reply_arrives_whole_with_its_status_and_headers() {
    let answer = b"HTTP/1.1 418 I'm a teapot\r\nretry-after: 3\r\ncontent-length: 5\r\n\r\nhello";
    let (request, outcome) = answered_with(answer).await;
    let reply = outcome.unwrap();
    assert_eq!((reply.status, &*reply.body), (418, &b"hello"[..]));
    assert_eq!(retry_after(&reply.headers), Some(Duration::from_secs(3)));
    let request = request.to_ascii_lowercase();
    assert!(request.starts_with("post /path?token=s3cret http/1.1\r\n"), "{request}");
    assert!(request.contains("content-type: application/json\r\n"), "{request}");
    assert!(request.contains(&format!("user-agent: {OWN_NAME}\r\n")), "{request}");
}

#[tokio::test]
async fn a_head_of_16_kb_is_taken_and_a_longer_one_is_malformed() {
    let answer = |length: usize| {
        format!("HTTP/1.1 200 OK\r\nset-cookie: {}\r\ncontent-length: 2\r\n\r\nhi", "x".repeat(length)).into_bytes()
    };
    assert_eq!(answered_with(&answer(15_000)).await.1.unwrap().body, b"hi"[..]);
    let error = failure_of(&answer(20_000)).await;
    assert_eq!(error.kind(), ErrorKind::MalformedReply);
    assert_leaks_nothing(&error);
}

#[tokio::test]
async fn a_redirect_is_a_reply_and_is_not_followed() {
    let answer = b"HTTP/1.1 307 Away\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(answered_with(answer).await.1.unwrap().status, 307);
}

#[tokio::test]
async fn a_refused_connection_is_connect() {
    let (listener, url) = listen().await;
    drop(listener);
    let error = Http::default().send(post(url), PATIENCE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.message().contains("refused"), "{error}");
    assert_leaks_nothing(&error);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_told() {
    let url = Url::parse("http://no-such-host.invalid:8080/").unwrap();
    let error = Http::default().send(post(url), PATIENCE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Dns);
    assert!(error.message().contains("no-such-host.invalid:8080"), "{error}");
}

#[tokio::test]
async fn a_plain_server_behind_https_is_no_tls() {
    let (listener, mut url) = listen().await;
    url.set_scheme("https").unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        stream
    };
    let http = Http::default();
    let (_stream, outcome) = tokio::join!(serve, http.send(post(url), PATIENCE));
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert_leaks_nothing(&error);
}

#[tokio::test]
async fn a_connection_cut_before_or_within_the_body_is_disconnected() {
    let cuts: [&[u8]; 4] = [
        b"",
        b"HTTP/1.1 200 OK\r\nconte",
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"half\":",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ];
    for cut in cuts {
        let error = failure_of(cut).await;
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{:?}: {error}", String::from_utf8_lossy(cut));
        assert_leaks_nothing(&error);
    }
}

#[tokio::test]
async fn bytes_that_are_not_http_are_malformed() {
    let broken: [&[u8]; 2] = [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 24\r\n\r\nthis was never gzipped!!",
    ];
    for answer in broken {
        let error = failure_of(answer).await;
        assert_eq!(error.kind(), ErrorKind::MalformedReply, "{error}");
        assert_leaks_nothing(&error);
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_malformed_with_or_without_a_length() {
    let bodies = [
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n123456",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n123\r\n3\r\n456\r\n0\r\n\r\n",
    ];
    for (limit, fits) in [(5, false), (6, true)] {
        for answer in bodies {
            let (listener, url) = listen().await;
            let serve = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                request_of(&mut stream).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream
            };
            let (http, request) = (Http::default(), post(url));
            let (_stream, outcome) = tokio::join!(serve, http.exchange(&request, limit));
            match outcome {
                Ok(reply) => assert!(fits && *reply.body == *b"123456"),
                Err(error) => assert!(!fits && error.kind() == ErrorKind::MalformedReply, "{error}"),
            }
        }
    }
}

/// A server that answers with `start` and then says nothing more, until the client hangs up.
async fn stall(listener: TcpListener, start: &[u8], arrived: oneshot::Sender<()>) -> usize {
    let (mut stream, _) = listener.accept().await.unwrap();
    request_of(&mut stream).await;
    stream.write_all(start).await.unwrap();
    arrived.send(()).unwrap();
    match stream.read(&mut [0; 16]).await {
        Ok(count) => count,
        // What was sent last had not been read when the socket was closed.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_server_that_stalls_is_a_timeout_and_its_socket_is_closed() {
    for start in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"half\":"] {
        let (listener, url) = listen().await;
        let (arrived, _keep) = oneshot::channel();
        let http = Http::default();
        let send = http.send(post(url), Duration::from_millis(200));
        let (read, outcome) = tokio::join!(within_patience(stall(listener, start, arrived)), send);
        let error = outcome.unwrap_err();
        assert_eq!((error.kind(), read), (ErrorKind::Timeout, 0), "{error}");
        assert!(error.message().contains("within 0.2 s"), "{error}");
        assert_leaks_nothing(&error);
    }
}

#[tokio::test]
async fn dropping_the_call_closes_its_socket() {
    for start in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"half\":"] {
        let (listener, url) = listen().await;
        let (arrived, has_arrived) = oneshot::channel();
        let http = Http::default();
        let call = async {
            tokio::select! {
                outcome = http.send(post(url), PATIENCE) => panic!("ended by itself: {outcome:?}"),
                _ = has_arrived => {}
            }
        };
        let (read, ()) = tokio::join!(within_patience(stall(listener, start, arrived)), call);
        assert_eq!(read, 0, "the server saw the end of the connection");
    }
}

async fn within_patience<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it came to an end")
}

#[tokio::test]
async fn a_compressed_body_arrives_as_it_was_before() {
    let text = "tall trees ".repeat(10_000);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
    let (request, outcome) = answered_with(&[head.as_bytes(), &packed].concat()).await;
    assert!(request.to_ascii_lowercase().contains("accept-encoding: gzip\r\n"), "{request}");
    assert_eq!(outcome.unwrap().body, text.as_bytes());
    // Cut within the compression, though not within the body.
    let half = &packed[..packed.len() / 2];
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", half.len());
    assert_eq!(failure_of(&[head.as_bytes(), half].concat()).await.kind(), ErrorKind::MalformedReply);
}

#[tokio::test]
async fn a_small_body_that_stands_for_an_enormous_one_is_given_up() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &vec![b'a'; 64 << 20]).unwrap();
    let packed = packed.finish().unwrap();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
    let (listener, url) = listen().await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        request_of(&mut stream).await;
        stream.write_all(&[head.as_bytes(), &packed].concat()).await.unwrap();
        stream
    };
    let (http, request) = (Http::default(), post(url));
    let (_stream, outcome) = tokio::join!(serve, http.exchange(&request, 1 << 20));
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedReply);
    assert!(error.message().contains("more than 1048576 bytes"), "{error}");
}

#[tokio::test]
async fn name_and_password_of_an_address_become_a_header() {
    let (listener, mut url) = listen().await;
    url.set_password(Some("p@ss w:rd")).unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = request_of(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        request
    };
    let http = Http::default();
    let (request, outcome) = tokio::join!(serve, http.send(post(url), PATIENCE));
    outcome.unwrap();
    let expected = format!("authorization: Basic {}\r\n", STANDARD.encode("user:p@ss w:rd"));
    assert!(request.contains(&expected), "{request}");
    assert!(!request.contains("user:") && !request.lines().next().unwrap().contains('@'), "{request}");
}
