//! Tests of the connection pool.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use futures_util::future::join_all;
use tokio::task::coop::poll_proceed;

use super::super::client::http_request;
use super::super::connect::{Connector, poll_end};
use super::super::connection::Connection;
use super::*;

#[tokio::test]
async fn sequential_calls_share_a_connection() {
    let (listener, url) = listen().await;
    let http = Http::default();
    let calls = async {
        for _ in 0..3 {
            http.send(post(url.clone()), TIMEOUT).await.unwrap();
        }
    };
    in_time(async { tokio::join!(serve(&listener, [OK, OK, OK]), calls) }).await;
}

#[tokio::test]
async fn concurrent_calls_have_connections_of_their_own() {
    const CALLS: usize = 100;
    let (listener, url) = listen().await;
    let serve = async {
        let mut streams = Vec::new();
        for _ in 0..CALLS {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream).await;
            streams.push(stream);
        }
        for stream in &mut streams {
            stream.write_all(OK).await.unwrap();
        }
        streams
    };
    let http = Http::default();
    let calls = join_all((0..CALLS).map(|_| http.send(post(url.clone()), TIMEOUT)));
    let (_streams, outcomes) = tokio::join!(in_time(serve), calls);
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}

#[tokio::test]
async fn a_pooled_connection_closed_by_the_server_causes_no_error() {
    let (listener, url) = listen().await;
    let http = Http::default();
    for round in 0..20 {
        let closing = async {
            let (_, mut stream) = serve(&listener, [OK]).await;
            stream.shutdown().await.unwrap();
            // The client closes its side as soon as it sees the end of the connection.
            assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0);
        };
        let (outcome, ()) = in_time(async { tokio::join!(http.send(post(url.clone()), TIMEOUT), closing) }).await;
        assert_eq!(outcome.unwrap().status, 200, "round {round}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_when_the_server_closes_it() {
    let (listener, url) = listen().await;
    let http = Http::default();
    let exchange = async { tokio::join!(http.send(post(url), TIMEOUT), serve(&listener, [OK])) };
    let (outcome, (_, mut stream)) = in_time(exchange).await;
    outcome.unwrap();
    assert_eq!(http.pool.len(), 1);
    stream.shutdown().await.unwrap();
    // Without another call.
    assert_eq!(in_time(stream.read(&mut [0; 16])).await.unwrap(), 0);
    assert_eq!(http.pool.len(), 0);
}

#[tokio::test]
async fn a_connection_with_bytes_after_the_reply_is_not_pooled() {
    let (listener, url) = listen().await;
    let http = Http::default();
    let reply = [OK, b"HTTP/1.1 200 OK\r\n"].concat();
    for _ in 0..2 {
        let (outcome, (_, mut stream)) =
            in_time(async { tokio::join!(http.send(post(url.clone()), TIMEOUT), serve(&listener, [&reply])) }).await;
        assert_eq!(outcome.unwrap().status, 200);
        assert_eq!(http.pool.len(), 0);
        drop(stream.read(&mut [0; 16]).await);
    }
}

/// The server would read the rest of the body as the start of the next request.
#[tokio::test]
async fn a_connection_with_an_unwritten_request_is_not_pooled() {
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
    let (outcome, _stream) = in_time(async { tokio::join!(http.send(request, TIMEOUT), answer) }).await;
    assert_eq!(outcome.unwrap().status, 413);
    assert_eq!(http.pool.len(), 0);
}

/// So that the request can be sent again on another connection.
#[tokio::test]
async fn a_request_over_a_closed_connection_is_not_written() {
    let (listener, url) = listen().await;
    let connector = Connector::default();
    let (stream, accepted) = tokio::join!(connector.connect(&url), listener.accept());
    let mut stream = Box::new(stream.unwrap());
    drop(accepted);
    in_time(poll_fn(|cx| poll_end(&mut stream, cx))).await;
    let mut connection = Connection::new(stream).await.unwrap();
    let failure = connection.send(http_request(&post(url)).unwrap()).await.unwrap_err();
    assert!(failure.is_unsent);
}

/// Serves a request, ends the connection as `end` does after the next request, and serves a further connection.
async fn serve_stale(listener: &TcpListener, end: impl AsyncFnOnce(TcpStream)) -> usize {
    let (_, stream) = serve(listener, [OK]).await;
    end(stream).await;
    let mut served = 0;
    while let Ok((mut stream, _)) = listener.accept().await {
        read_request(&mut stream).await;
        served += 1;
        stream.write_all(OK).await.unwrap();
    }
    served
}

#[tokio::test]
async fn a_request_over_a_stale_connection_is_sent_again_over_a_new_one() {
    type End = fn(TcpStream) -> futures_util::future::BoxFuture<'static, ()>;
    let unread: End = |stream| {
        Box::pin(async move {
            // Closed with the request unread, which resets the connection.
            stream.readable().await.unwrap();
        })
    };
    let half_read: End = |mut stream| {
        Box::pin(async move {
            stream.read_exact(&mut [0; 8]).await.unwrap();
        })
    };
    for end in [unread, half_read] {
        let (listener, url) = listen().await;
        let http = Http::default();
        let calls = async {
            for _ in 0..2 {
                assert_eq!(http.send(post(url.clone()), TIMEOUT).await.unwrap().status, 200);
            }
        };
        in_time(async {
            tokio::select! {
                served = serve_stale(&listener, end) => panic!("ended after {served}"),
                () = calls => {}
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_request_that_the_server_has_read_is_not_sent_again() {
    // An empty reply on a reused connection: the server has read the request and closes the connection.
    for replies in [&[OK, b"HTTP/1.1 2"][..], &[OK, b"H"], &[OK, b""], &[b""]] {
        let (listener, url) = listen().await;
        let http = Http::default();
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            for reply in replies {
                read_request(&mut stream).await;
                stream.write_all(reply).await.unwrap();
            }
        };
        let calls = async {
            for _ in 1..replies.len() {
                http.send(post(url.clone()), TIMEOUT).await.unwrap();
            }
            http.send(post(url.clone()), TIMEOUT).await.unwrap_err()
        };
        let ((), error) = in_time(async { tokio::join!(serving, calls) }).await;
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{replies:?}");
    }
}

#[tokio::test]
async fn a_connection_closed_behind_the_last_chunk_does_not_fail_the_next_call() {
    const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let (listener, url) = listen().await;
    let http = Http::default();
    let serving = async {
        loop {
            drop(serve(&listener, [REPLY]).await);
        }
    };
    let calls = async {
        for round in 0..20 {
            let mut reply = http.open(post(url.clone()), TIMEOUT).await.unwrap();
            while reply.body.chunk().await.unwrap().is_some() {}
            assert_eq!(reply.status, 200, "round {round}");
        }
    };
    in_time(async {
        tokio::select! {
            () = serving => {}
            () = calls => {}
        }
    })
    .await;
}

/// A long reply can use up the cooperative budget of its task.
#[test]
fn a_connection_is_pooled_without_cooperative_budget() {
    // `block_on` polls outside the runtime's threads, as synchronous calls do.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let (listener, url) = listen().await;
        let http = Http::default();
        let (mut opened, _served) = tokio::join!(http.open(post(url.clone()), TIMEOUT), serve(&listener, [OK]));
        poll_fn(|cx| {
            while let Poll::Ready(part) = poll_proceed(&mut Context::from_waker(Waker::noop())) {
                part.made_progress();
            }
            let reading = pin!(opened.as_mut().unwrap().body.chunk());
            assert!(reading.poll(cx).is_ready());
            Poll::Ready(())
        })
        .await;
        assert_eq!(http.pool.len(), 1);
    });
}
