//! Replies of the simulator that are sent byte for byte.

use std::time::Duration;

use madspark::simulator::{RawEnd, RawPart, RawReply, Rule, Simulator};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const REQUEST: &[u8] = b"POST /api/chat HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";

fn with(reply: RawReply) -> Simulator {
    let simulator = Simulator::start().unwrap();
    simulator.on(Rule { reply: Some(reply), ..Rule::default() }).unwrap();
    simulator
}

async fn connect(simulator: &Simulator) -> TcpStream {
    TcpStream::connect(simulator.address()).await.unwrap()
}

async fn exchange(stream: &mut TcpStream, length: usize) -> String {
    stream.write_all(REQUEST).await.unwrap();
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_whole_reply_arrives_byte_for_byte_and_the_connection_is_used_again() {
    const REPLY: &str = "HTTP/1.1 299 Odd Words\r\nConTent-Length: 3\r\nx: \r\n\r\nabc";
    let simulator = with(RawReply::from(REPLY).split(1));
    let mut stream = connect(&simulator).await;
    for _ in 0..2 {
        assert_eq!(exchange(&mut stream, REPLY.len()).await, REPLY);
    }
    let requests = simulator.requests();
    assert_eq!(requests.iter().map(|request| request.connection).collect::<Vec<_>>(), [0, 0]);
    assert!(requests.iter().all(|request| request.status == Some(299) && !request.hung_up));
    assert_eq!(requests[0].body, "{}");
}

#[tokio::test]
async fn the_connection_ends_as_scripted() {
    for end in RawEnd::ALL {
        let parts = vec!["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n".into(), "abc".into()];
        let simulator = with(RawReply { parts, end: Some(end) });
        let mut stream = connect(&simulator).await;
        stream.write_all(REQUEST).await.unwrap();
        let mut bytes = Vec::new();
        let rest = tokio::time::timeout(Duration::from_millis(100), stream.read_to_end(&mut bytes)).await;
        match end {
            RawEnd::Close => assert_eq!(rest.unwrap().unwrap(), bytes.len()),
            RawEnd::Reset => assert!(rest.unwrap().is_err()),
            RawEnd::KeepAlive | RawEnd::Stall => assert!(rest.is_err()),
        }
        assert!(end == RawEnd::Reset || bytes.ends_with(b"\r\n\r\nabc"));
        drop(stream);
        let hang_ups = usize::from(end == RawEnd::Stall);
        assert!(simulator.wait_for_hang_ups(hang_ups, Duration::from_secs(20)));
    }
}

#[tokio::test]
async fn parts_of_a_body_are_chunks_with_pauses_between_them() {
    let parts = vec!["one ".into(), RawPart::Pause(Duration::from_millis(20)), "two".into()];
    let simulator = with(RawReply { parts, end: None });
    let url = simulator.ollama_url() + "/api/chat";
    let mut response = reqwest::Client::new().post(url).body("{}").send().await.unwrap();
    let mut chunks = Vec::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        chunks.push(chunk);
    }
    assert_eq!(chunks, ["one ", "two"]);
}

#[test]
fn other_contents_beside_a_raw_reply_are_rejected() {
    let simulator = Simulator::start().unwrap();
    let reply = || Some(RawReply::from("x"));
    for rule in [
        Rule { reply: reply(), text: Some("y".into()), ..Rule::default() },
        Rule { reply: reply(), body: Some("y".into()), ..Rule::default() },
        Rule { reply: reply(), tokens_per_second: Some(1.0), ..Rule::default() },
        Rule { reply: Some("HTTP/1.1 200 OK\r\n\r\n".into()), status: Some(200), ..Rule::default() },
    ] {
        assert!(simulator.on(rule).is_err());
    }
}
