//! OpenAI's responses API of the simulator.

use madspark::simulator::{Rule, Simulator};
use reqwest::{Client, Response};
use serde_json::{Value, json};

async fn post(simulator: &Simulator, body: &Value) -> Response {
    let client = Client::new().post(simulator.openai_url() + "/responses").header("content-type", "application/json");
    client.body(body.to_string()).send().await.unwrap()
}

async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

/// The events of a stream, each with its name.
async fn events(response: Response) -> Vec<(String, Value)> {
    let body = response.text().await.unwrap();
    let events = body.split("\n\n").filter(|event| !event.is_empty());
    let event = |event: &str| {
        let (name, data) = event.strip_prefix("event: ")?.split_once("\ndata: ")?;
        Some((name.to_owned(), serde_json::from_str(data).ok()?))
    };
    events.map(|text| event(text).unwrap()).collect()
}

#[tokio::test]
async fn a_stream_adds_up_to_the_whole_reply() {
    let simulator = Simulator::start().unwrap();
    let rule = Rule { prompt_tokens: Some(21), thinking_tokens: Some(9), ..Rule::default() };
    simulator.on(Rule { text: Some("Four words of moss.".to_owned()), ..rule }).unwrap();
    let request = json!({"model": "m", "input": "hello", "instructions": "Be brief."});
    let whole = json_of(post(&simulator, &request).await).await;
    assert_eq!(
        (&whole["object"], &whole["status"], &whole["model"]),
        (&json!("response"), &json!("completed"), &json!("m"))
    );
    assert_eq!((&whole["output"][0]["type"], &whole["output"][1]["type"]), (&json!("reasoning"), &json!("message")));
    assert_eq!(whole["output"][1]["content"][0]["text"], "Four words of moss.");
    let usage = json!({
        "input_tokens": 21, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 14, "output_tokens_details": {"reasoning_tokens": 9}, "total_tokens": 35,
    });
    assert_eq!(whole["usage"], usage);

    let mut request = request;
    request["stream"] = json!(true);
    let events = events(post(&simulator, &request).await).await;
    for (number, (name, data)) in events.iter().enumerate() {
        assert_eq!((&data["type"], &data["sequence_number"]), (&json!(name), &json!(number)));
    }
    let deltas = events.iter().filter(|(name, _)| name == "response.output_text.delta");
    let text: String = deltas.map(|(_, data)| data["delta"].as_str().unwrap()).collect();
    assert_eq!(text, "Four words of moss.");
    let (name, last) = events.last().unwrap();
    assert_eq!((name.as_str(), &last["response"]["usage"]), ("response.completed", &usage));
    assert_eq!(last["response"]["output"][1]["content"], whole["output"][1]["content"]);

    let recorded = simulator.requests();
    assert_eq!((&*recorded[1].prompt, &*recorded[1].system), ("hello", "Be brief."));
}

#[tokio::test]
async fn a_schema_a_limit_and_a_conversation_are_read() {
    let simulator = Simulator::start().unwrap();
    let schema = json!({"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]});
    let format = json!({"type": "json_schema", "name": "Count", "strict": true, "schema": schema});
    let input = json!([
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "first"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "{}"}]},
        {"role": "user", "content": "second"},
    ]);
    let request = json!({"model": "m", "input": input, "text": {"format": format}});
    let reply = json_of(post(&simulator, &request).await).await;
    let value: Value = serde_json::from_str(reply["output"][0]["content"][0]["text"].as_str().unwrap()).unwrap();
    assert!(value["count"].is_i64());
    let recorded = simulator.requests();
    assert_eq!((&*recorded[0].prompt, recorded[0].schema.as_deref()), ("second", Some(&schema)));

    let cut = json!({"model": "m", "input": "Tell me more.", "max_output_tokens": 2});
    let reply = json_of(post(&simulator, &cut).await).await;
    assert_eq!((&reply["status"], &reply["usage"]["output_tokens"]), (&json!("incomplete"), &json!(2)));
    assert_eq!(reply["incomplete_details"], json!({"reason": "max_output_tokens"}));
}

#[tokio::test]
async fn an_invalid_request_is_rejected_as_by_the_real_api() {
    let simulator = Simulator::start().unwrap();
    for (request, name) in [(json!({"input": "?"}), "'model'"), (json!({"model": "m"}), "'input'")] {
        let response = post(&simulator, &request).await;
        assert_eq!(response.status(), 400);
        assert!(json_of(response).await["error"]["message"].as_str().unwrap().contains(name));
    }
}
