//! Rules and faults of the simulator.

use std::time::{Duration, Instant};

use madspark::Provider;
use madspark::simulator::{Fault, Route, Rule, Simulator};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(20);

fn chat(client: &Client, simulator: &Simulator, model: &str, prompt: &str) -> RequestBuilder {
    let body = json!({"model": model, "stream": false, "messages": [{"role": "user", "content": prompt}]});
    client.post(simulator.ollama_url() + "/api/chat").body(body.to_string())
}

fn streamed(simulator: &Simulator) -> RequestBuilder {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "tell a story about rivers"}]});
    Client::new().post(simulator.ollama_url() + "/api/chat").body(body.to_string())
}

async fn ask(simulator: &Simulator) -> reqwest::Result<Response> {
    chat(&Client::new(), simulator, "m", "hello over there").send().await
}

async fn text_of(response: Response) -> String {
    let reply: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    reply["message"]["content"].as_str().unwrap().to_owned()
}

fn with(fault: Fault) -> Simulator {
    let simulator = Simulator::start().unwrap();
    simulator.on(Rule { fault: Some(fault), times: Some(1), ..Rule::default() }).unwrap();
    simulator
}

#[tokio::test]
async fn rules_apply_in_order_and_are_used_up() {
    let simulator = Simulator::start().unwrap();
    let headers = vec![("Retry-After".to_owned(), "7".to_owned())];
    simulator.on(Rule { status: Some(429), headers, times: Some(2), ..Rule::default() }).unwrap();
    simulator.on(Rule { status: Some(503), times: Some(1), ..Rule::default() }).unwrap();
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let response = ask(&simulator).await.unwrap();
        let wait = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        statuses.push((response.status().as_u16(), wait));
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(body["error"].is_string(), statuses.last().unwrap().0 != 200);
    }
    let seven = Some("7".to_owned());
    assert_eq!(statuses, [(429, seven.clone()), (429, seven), (503, None), (200, None)]);
    let recorded: Vec<_> = simulator.requests().iter().map(|request| request.status.unwrap()).collect();
    assert_eq!(recorded, [429, 429, 503, 200]);
}

#[tokio::test]
async fn rules_match_by_route_model_and_content() {
    let simulator = Simulator::start().unwrap();
    let client = Client::new();
    let text = |text: &str| Some(text.to_owned());
    let rules = [
        Rule { contains: text("日本"), text: text("by content"), ..Rule::default() },
        Rule { model: text("small"), text: text("by model"), ..Rule::default() },
        Rule { route: Route::Path("/v1/".into()), text: text("by path"), ..Rule::default() },
        Rule { route: Route::Provider(Provider::Ollama), text: text("by provider"), ..Rule::default() },
    ];
    for rule in rules {
        simulator.on(rule).unwrap();
    }
    assert_eq!(text_of(chat(&client, &simulator, "m", "日本の海").send().await.unwrap()).await, "by content");
    assert_eq!(text_of(chat(&client, &simulator, "small", "sea").send().await.unwrap()).await, "by model");
    assert_eq!(text_of(chat(&client, &simulator, "m", "sea").send().await.unwrap()).await, "by provider");
    let escaped = r#"{"model": "m", "stream": false, "messages": [{"role": "user", "content": "\u65e5\u672c"}]}"#;
    let response = client.post(simulator.ollama_url() + "/api/chat").body(escaped).send().await.unwrap();
    assert_eq!(text_of(response).await, "by content");
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "sea"}]}).to_string();
    let response = client.post(simulator.openai_url() + "/chat/completions").body(body).send().await.unwrap();
    let reply: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(reply["choices"][0]["message"]["content"], "by path");
    simulator.clear_rules();
    assert_ne!(text_of(chat(&client, &simulator, "small", "sea").send().await.unwrap()).await, "by model");
}

#[tokio::test]
async fn bodies_and_json_are_sent_unchanged() {
    let simulator = Simulator::start().unwrap();
    let headers = vec![("content-type".to_owned(), "text/html".to_owned())];
    let body = Some("<html>down</html>".into());
    simulator.on(Rule { status: Some(502), headers, body, times: Some(1), ..Rule::default() }).unwrap();
    simulator.on(Rule { json: Some(json!({"a": [1]})), ..Rule::default() }).unwrap();
    let response = ask(&simulator).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (502, &"text/html".parse().unwrap()));
    assert_eq!(response.text().await.unwrap(), "<html>down</html>");
    assert_eq!(text_of(ask(&simulator).await.unwrap()).await, r#"{"a":[1]}"#);
}

#[tokio::test]
async fn scripted_pieces_are_streamed_and_a_fault_follows_the_last() {
    for (is_ollama, kind) in [(true, "application/x-ndjson"), (false, "text/event-stream")] {
        for fault in [None, Some(Fault::Truncate), Some(Fault::StallMidBody)] {
            let simulator = Simulator::start().unwrap();
            let pieces = Some(vec!["one ".into(), "two ".into(), "three".into()]);
            simulator.on(Rule { pieces, fault, ..Rule::default() }).unwrap();
            let ollama = simulator.ollama_url() + "/api/chat";
            let url = if is_ollama { ollama } else { simulator.openai_url() + "/chat/completions" };
            let mut response = Client::new().post(url).body("{}").send().await.unwrap();
            assert_eq!(response.headers()["content-type"], kind);
            let mut text = String::new();
            while text.len() < 13 {
                text.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
            }
            assert_eq!(text, "one two three");
            let end = tokio::time::timeout(Duration::from_millis(100), response.chunk()).await;
            match fault {
                None => assert!(end.unwrap().unwrap().is_none()),
                Some(Fault::Truncate) => assert!(end.unwrap().is_err()),
                _ => assert!(end.is_err()),
            }
        }
    }
}

#[tokio::test]
async fn a_malformed_body_is_complete_http_without_valid_json() {
    let simulator = with(Fault::Malformed);
    let response = ask(&simulator).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.bytes().await.unwrap();
    assert!(body.starts_with(b"{"));
    assert!(serde_json::from_slice::<Value>(&body).is_err());
    assert!(ask(&simulator).await.is_ok());

    let simulator = with(Fault::Malformed);
    let text = streamed(&simulator).send().await.unwrap().text().await.unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    let broken = lines.iter().filter(|line| serde_json::from_str::<Value>(line).is_err()).count();
    assert_eq!(broken, 1, "{text}");
    assert!(lines.last().unwrap().contains(r#""done":true"#));
}

#[tokio::test]
async fn a_truncated_body_ends_in_the_middle() {
    let simulator = with(Fault::Truncate);
    let mut response = ask(&simulator).await.unwrap();
    let promised = response.content_length().unwrap();
    let first = response.chunk().await.unwrap().unwrap();
    assert_eq!(first.len() as u64, promised / 2);
    assert!(response.chunk().await.is_err());
    let request = simulator.requests().remove(0);
    assert!(!request.hung_up && request.finished.is_some());

    let simulator = with(Fault::Truncate);
    let mut response = streamed(&simulator).send().await.unwrap();
    let mut text = Vec::new();
    let ended = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => text.extend_from_slice(&chunk),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    assert!(!ended && text.ends_with(b"}\n"));
}

#[tokio::test]
async fn a_disconnect_sends_no_reply() {
    let simulator = with(Fault::Disconnect);
    let error = ask(&simulator).await.unwrap_err();
    assert!(error.is_request() && !error.is_connect(), "{error:?}");
    let request = simulator.requests().remove(0);
    assert_eq!((request.status, request.hung_up, request.finished.is_some()), (None, false, true));
    assert!(ask(&simulator).await.is_ok());
}

#[tokio::test]
async fn a_client_that_cancels_a_pending_reply_has_hung_up() {
    for fault in [Fault::Stall, Fault::StallAfterHeaders, Fault::StallMidBody] {
        let simulator = with(fault);
        let call = async { ask(&simulator).await?.bytes().await };
        tokio::select! {
            result = call => panic!("{fault:?} was answered: {result:?}"),
            arrived = simulator.wait_for_async(LONG, |requests| !requests.is_empty()) => assert!(arrived),
        }
        // The future of the call and its connection have been dropped.
        let gone = simulator.wait_for_async(LONG, |requests| requests[0].hung_up).await;
        assert!(gone, "{fault:?}");
        assert_eq!(simulator.in_flight(), 0);
        assert!(simulator.requests()[0].finished.is_some());
    }
}

#[tokio::test]
async fn a_stall_occurs_where_it_was_requested() {
    let simulator = with(Fault::StallAfterHeaders);
    let mut response = ask(&simulator).await.unwrap();
    assert!(response.content_length().unwrap() > 0);
    let quiet = Duration::from_millis(100);
    assert!(tokio::time::timeout(quiet, response.chunk()).await.is_err());

    let simulator = with(Fault::StallMidBody);
    let mut response = ask(&simulator).await.unwrap();
    let promised = response.content_length().unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap().len() as u64, promised / 2);
    assert!(tokio::time::timeout(quiet, response.chunk()).await.is_err());
    assert_eq!(simulator.requests()[0].status, Some(200));
}

#[tokio::test]
async fn a_client_that_cancels_during_a_delay_or_a_slow_stream_has_hung_up() {
    let simulator = Simulator::start().unwrap();
    simulator.set_latency(LONG * 10);
    tokio::select! {
        _ = ask(&simulator) => panic!("answered at once"),
        arrived = simulator.wait_for_async(LONG, |requests| requests.len() == 1) => assert!(arrived),
    }
    assert!(simulator.wait_for_async(LONG, |requests| requests[0].hung_up).await);

    let simulator = Simulator::start().unwrap();
    simulator.set_tokens_per_second(Some(5.0)).unwrap();
    let mut response = streamed(&simulator).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    assert!(simulator.wait_for_async(LONG, |requests| requests[0].hung_up).await);
}

#[tokio::test]
async fn latency_and_rate_delay_the_reply() {
    let simulator = Simulator::start().unwrap();
    let text = Some("x".repeat(40));
    let latency = Some(Duration::from_millis(120));
    simulator.on(Rule { latency, tokens_per_second: Some(100.0), text, ..Rule::default() }).unwrap();
    let begun = Instant::now();
    text_of(ask(&simulator).await.unwrap()).await;
    // Ten tokens at a hundred a second, after the latency: only the lower bound is certain.
    assert!(begun.elapsed() >= Duration::from_millis(220));
    let request = simulator.requests().remove(0);
    assert!(request.finished.unwrap() >= request.started + Duration::from_millis(220));
}

#[test]
fn blocking_callers_can_wait() {
    let simulator = Simulator::start().unwrap();
    assert!(!simulator.wait_for_requests(1, Duration::from_millis(1)));
    let url = simulator.ollama_url() + "/api/tags";
    let client = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { Client::new().get(url).send().await.unwrap().status().as_u16() })
    });
    assert!(simulator.wait_for(LONG, |requests| requests.iter().any(|request| request.status == Some(200))));
    assert_eq!(client.join().unwrap(), 200);
    assert!(!simulator.wait_for_hang_ups(1, Duration::from_millis(1)));
}

#[test]
fn faults_have_names() {
    assert_eq!("stall_mid_body".parse::<Fault>().unwrap(), Fault::StallMidBody);
    assert!("explode".parse::<Fault>().unwrap_err().message().contains("disconnect"));
}
