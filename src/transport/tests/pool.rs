//! Connections between exchanges: kept where they can be, and only then.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use futures_util::future::join_all;
use tokio::task::coop::poll_proceed;

use super::super::connect::is_silent;
use super::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A server of one connection, on which it answers each of `answers` to a request; what is left of the connection.
async fn serve(listener: &TcpListener, answers: &[&[u8]]) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    for answer in answers {
        request_of(&mut stream).await;
        stream.write_all(answer).await.unwrap();
    }
    stream
}

#[tokio::test]
async fn calls_one_after_another_share_a_connection() {
    let (listener, url) = listen().await;
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        for _ in 0..3 {
            request_of(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
    };
    let http = Http::default();
    let calls = async {
        for _ in 0..3 {
            http.send(post(url.clone()), PATIENCE).await.unwrap();
        }
    };
    within_patience(async { tokio::join!(serve, calls) }).await;
}

#[tokio::test]
async fn no_call_waits_for_another() {
    const CALLS: usize = 100;
    let (listener, url) = listen().await;
    let serve = async {
        let mut streams = Vec::new();
        for _ in 0..CALLS {
            let (mut stream, _) = listener.accept().await.unwrap();
            request_of(&mut stream).await;
            streams.push(stream);
        }
        for stream in &mut streams {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
        streams
    };
    let http = Http::default();
    let calls = join_all((0..CALLS).map(|_| http.send(post(url.clone()), PATIENCE)));
    let (_streams, outcomes) = tokio::join!(within_patience(serve), calls);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_costs_no_failure() {
    let (listener, url) = listen().await;
    let http = Http::default();
    for round in 0..20 {
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            request_of(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            stream.shutdown().await.unwrap();
            // The client hangs up once it has seen the end of the connection.
            assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
        };
        let (outcome, ()) =
            within_patience(async { tokio::join!(http.send(post(url.clone()), PATIENCE), serve) }).await;
        assert_eq!(outcome.unwrap().status, 200, "round {round}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_let_go_when_its_server_closes_it() {
    let (listener, url) = listen().await;
    let http = Http::default();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        request_of(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        stream
    };
    let (outcome, mut stream) = within_patience(async { tokio::join!(http.send(post(url), PATIENCE), serve) }).await;
    outcome.unwrap();
    assert_eq!(http.pool.len(), 1);
    stream.shutdown().await.unwrap();
    // No call has to come by for it.
    assert_eq!(within_patience(stream.read(&mut [0; 16])).await.unwrap(), 0);
    assert_eq!(http.pool.len(), 0);
}

#[tokio::test]
async fn bytes_after_a_reply_end_the_connection() {
    let (listener, url) = listen().await;
    let http = Http::default();
    let answer = [OK, b"HTTP/1.1 200 OK\r\n"].concat();
    let answers = [&*answer];
    for _ in 0..2 {
        let (outcome, mut stream) =
            within_patience(async { tokio::join!(http.send(post(url.clone()), PATIENCE), serve(&listener, &answers)) })
                .await;
        assert_eq!(outcome.unwrap().status, 200);
        assert_eq!(http.pool.len(), 0);
        drop(stream.read(&mut [0; 16]).await);
    }
}

/// The rest of its body would be read as the beginning of the next request.
#[tokio::test]
async fn a_request_that_was_answered_before_it_was_written_ends_its_connection() {
    let (listener, url) = listen().await;
    let http = Http::default();
    let body = Bytes::from(vec![b' '; 32 * 1024 * 1024]);
    let answer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        stream
    };
    let request = WireRequest { body, ..post(url) };
    let (outcome, _stream) = within_patience(async { tokio::join!(http.send(request, PATIENCE), answer) }).await;
    assert_eq!(outcome.unwrap().status, 413);
    assert_eq!(http.pool.len(), 0);
}

/// The server closes a kept connection when the next request is about to go out: it can be sent again.
#[tokio::test]
async fn a_request_to_a_connection_that_was_just_closed_is_given_back() {
    let (listener, url) = listen().await;
    let connector = Connector::default();
    let (stream, accepted) = tokio::join!(connector.connect(&url), listener.accept());
    let mut stream = Box::new(stream.unwrap());
    drop(accepted);
    within_patience(poll_fn(|cx| if is_silent(&mut stream, cx) { Poll::Pending } else { Poll::Ready(()) })).await;
    let mut connection = Connection::over(stream).await.unwrap();
    let mut failure = connection.send(outgoing(&post(url)).unwrap()).await.unwrap_err();
    assert!(failure.take_message().is_some());
}

/// A call that used up its turn in reading a long reply still finds out whether its connection can be kept.
#[test]
fn a_call_that_has_used_up_its_turn_keeps_its_connection() {
    // Outside the runtime's own threads, as synchronous calls are.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (listener, url) = listen().await;
        let http = Http::default();
        let (mut opened, _stream) = tokio::join!(http.open(post(url.clone()), PATIENCE), serve(&listener, &[OK]));
        poll_fn(|cx| {
            while let Poll::Ready(part) = poll_proceed(&mut Context::from_waker(Waker::noop())) {
                part.made_progress();
            }
            let reading = pin!(opened.as_mut().unwrap().chunk());
            assert!(reading.poll(cx).is_ready());
            Poll::Ready(())
        })
        .await;
        assert_eq!(http.pool.len(), 1);
    });
}
