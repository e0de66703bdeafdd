//! Tests of [`Http`] against minimal servers that misbehave.

mod pool;

use std::future::Future;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;
use crate::error::{Error, ErrorKind};

/// Long enough never to expire.
const TIMEOUT: Duration = Duration::from_secs(30);

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

async fn listen() -> (TcpListener, Url) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:passw0rd@{}/path?token=s3cret", listener.local_addr().unwrap());
    (listener, Url::parse(&url).unwrap())
}

fn post(url: Url) -> WireRequest {
    WireRequest { method: Method::POST, url, headers: Vec::new(), body: Bytes::from_static(b"{\"a\":1}") }
}

/// Reads one request whose body is `{"a":1}` and returns its text.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut buffer = vec![0; 4096];
    while !text.ends_with("{\"a\":1}") {
        let count = stream.read(&mut buffer).await.unwrap();
        assert!(count > 0, "the connection closed within the request: {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    text
}

/// Accepts one connection and sends each of `replies` after a request. Returns the last request and the connection.
async fn serve<const N: usize>(listener: &TcpListener, replies: [&[u8]; N]) -> (String, TcpStream) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = String::new();
    for reply in replies {
        request = read_request(&mut stream).await;
        stream.write_all(reply).await.unwrap();
    }
    (request, stream)
}

/// Sends one request to a server that sends `reply` and closes the connection. Returns the request and the outcome.
async fn exchange(reply: &[u8]) -> (String, Result<WireReply>) {
    let (listener, url) = listen().await;
    let http = Http::default();
    // Without its stream, so that the connection closes.
    let serving = async { serve(&listener, [reply]).await.0 };
    tokio::join!(serving, http.send(post(url), TIMEOUT))
}

async fn error_of(reply: &[u8]) -> Error {
    exchange(reply).await.1.unwrap_err()
}

/// Asserts the kind of `error`, and that it names no part of the URL but host and port.
fn assert_error(error: &Error, kind: ErrorKind) {
    assert_eq!(error.kind(), kind, "{error}");
    let text = format!("{error} {error:?}");
    for secret in ["passw0rd", "s3cret", "token", "/path"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(error.message().contains("127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn send_returns_status_headers_and_body() {
    let answer = b"HTTP/1.1 418 I'm a teapot\r\nretry-after: 3\r\ncontent-length: 5\r\n\r\nhello";
    let (request, outcome) = exchange(answer).await;
    let reply = outcome.unwrap();
    assert_eq!((reply.status, &*reply.body), (418, &b"hello"[..]));
    assert_eq!(retry_after(&reply.headers), Some(Duration::from_secs(3)));
    let request = request.to_ascii_lowercase();
    assert!(request.starts_with("post /path?token=s3cret http/1.1\r\n"), "{request}");
    assert!(request.contains("content-type: application/json\r\n"), "{request}");
    assert!(request.contains(&format!("user-agent: {USER_AGENT}\r\n")), "{request}");
}

#[tokio::test]
async fn a_head_over_16_kb_is_malformed() {
    let answer = |length: usize| {
        format!("HTTP/1.1 200 OK\r\nset-cookie: {}\r\ncontent-length: 2\r\n\r\nhi", "x".repeat(length)).into_bytes()
    };
    assert_eq!(exchange(&answer(15_000)).await.1.unwrap().body, b"hi"[..]);
    assert_error(&error_of(&answer(20_000)).await, ErrorKind::MalformedReply);
}

#[tokio::test]
async fn a_redirect_is_returned_and_not_followed() {
    let answer = b"HTTP/1.1 307 Away\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(exchange(answer).await.1.unwrap().status, 307);
}

#[tokio::test]
async fn a_refused_connection_is_a_connect_error() {
    let (listener, url) = listen().await;
    drop(listener);
    let error = Http::default().send(post(url), TIMEOUT).await.unwrap_err();
    assert_error(&error, ErrorKind::Connect);
    assert!(error.message().contains("refused"), "{error}");
}

#[tokio::test]
async fn an_unknown_host_name_is_a_dns_error() {
    let url = Url::parse("http://no-such-host.invalid:8080/").unwrap();
    let error = Http::default().send(post(url), TIMEOUT).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Dns);
    assert!(error.message().contains("no-such-host.invalid:8080"), "{error}");
}

#[tokio::test]
async fn a_server_without_tls_is_a_tls_error() {
    let (listener, mut url) = listen().await;
    url.set_scheme("https").unwrap();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        stream
    };
    let http = Http::default();
    let (_stream, outcome) = tokio::join!(serve, http.send(post(url), TIMEOUT));
    assert_error(&outcome.unwrap_err(), ErrorKind::Tls);
}

#[tokio::test]
async fn a_connection_closed_before_the_end_of_the_body_is_disconnected() {
    let cuts: [&[u8]; 4] = [
        b"",
        b"HTTP/1.1 200 OK\r\nconte",
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"half\":",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ];
    for cut in cuts {
        assert_error(&error_of(cut).await, ErrorKind::Disconnected);
    }
}

#[tokio::test]
async fn a_reply_that_is_not_http_is_malformed() {
    let broken: [&[u8]; 2] = [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 24\r\n\r\nthis was never gzipped!!",
    ];
    for answer in broken {
        assert_error(&error_of(answer).await, ErrorKind::MalformedReply);
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_malformed() {
    let bodies = [
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n123456",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n123\r\n3\r\n456\r\n0\r\n\r\n",
    ];
    for (limit, fits) in [(5, false), (6, true)] {
        for answer in bodies {
            let (listener, url) = listen().await;
            let (http, request) = (Http::default(), post(url));
            let serving = serve(&listener, [answer.as_bytes()]);
            let (_served, outcome) = tokio::join!(serving, http.send_limited(&request, limit));
            match outcome {
                Ok(reply) => assert!(fits && *reply.body == *b"123456"),
                Err(error) => assert!(!fits && error.kind() == ErrorKind::MalformedReply, "{error}"),
            }
        }
    }
}

/// Sends `start` and then nothing until the client closes the connection. Returns the number of bytes the client sent after its
/// request.
async fn stall(listener: TcpListener, start: &[u8], arrived: oneshot::Sender<()>) -> usize {
    let (mut stream, _) = listener.accept().await.unwrap();
    read_request(&mut stream).await;
    stream.write_all(start).await.unwrap();
    arrived.send(()).unwrap();
    match stream.read(&mut [0; 16]).await {
        Ok(count) => count,
        // The client closed the socket before it had read everything.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_timeout_closes_the_socket() {
    for start in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"half\":"] {
        let (listener, url) = listen().await;
        let (arrived, _keep) = oneshot::channel();
        let http = Http::default();
        let send = http.send(post(url), Duration::from_millis(200));
        let (read, outcome) = tokio::join!(in_time(stall(listener, start, arrived)), send);
        let error = outcome.unwrap_err();
        assert_error(&error, ErrorKind::Timeout);
        assert_eq!(read, 0, "the server sees the connection close");
        assert!(error.message().contains("within 0.2 s"), "{error}");
    }
}

#[tokio::test]
async fn dropping_the_future_closes_the_socket() {
    for start in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"half\":"] {
        let (listener, url) = listen().await;
        let (arrived, has_arrived) = oneshot::channel();
        let http = Http::default();
        let call = async {
            tokio::select! {
                outcome = http.send(post(url), TIMEOUT) => panic!("completed: {outcome:?}"),
                _ = has_arrived => {}
            }
        };
        let (read, ()) = tokio::join!(in_time(stall(listener, start, arrived)), call);
        assert_eq!(read, 0, "the server sees the connection close");
    }
}

async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(TIMEOUT, future).await.expect("completes in time")
}

#[tokio::test]
async fn a_gzip_body_is_decompressed() {
    let text = "tall trees ".repeat(10_000);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
    let (request, outcome) = exchange(&[head.as_bytes(), &packed].concat()).await;
    assert!(request.to_ascii_lowercase().contains("accept-encoding: gzip\r\n"), "{request}");
    assert_eq!(outcome.unwrap().body, text.as_bytes());
    // The body is complete, but the gzip stream in it is truncated.
    let half = &packed[..packed.len() / 2];
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", half.len());
    assert_eq!(error_of(&[head.as_bytes(), half].concat()).await.kind(), ErrorKind::MalformedReply);
}

#[tokio::test]
async fn a_decompression_bomb_is_malformed() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, &vec![b'a'; 64 << 20]).unwrap();
    let packed = packed.finish().unwrap();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
    let (listener, url) = listen().await;
    let (http, request, reply) = (Http::default(), post(url), [head.as_bytes(), &packed].concat());
    let (_served, outcome) = tokio::join!(serve(&listener, [&reply]), http.send_limited(&request, 1 << 20));
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedReply);
    assert!(error.message().contains("more than 1048576 bytes"), "{error}");
}

#[tokio::test]
async fn credentials_in_the_url_become_a_header() {
    let (listener, mut url) = listen().await;
    url.set_password(Some("p@ss w:rd")).unwrap();
    let http = Http::default();
    let ((request, _), outcome) = tokio::join!(serve(&listener, [OK]), http.send(post(url), TIMEOUT));
    outcome.unwrap();
    let expected = format!("authorization: Basic {}\r\n", STANDARD.encode("user:p@ss w:rd"));
    assert!(request.contains(&expected), "{request}");
    assert!(!request.contains("user:") && !request.lines().next().unwrap().contains('@'), "{request}");
}
