//! Token counts, thinking, web pages and model facts of the simulator.

use bytes::Bytes;
use madspark::simulator::{Rule, Simulator};
use reqwest::{Client, Response};
use serde_json::{Value, json};

async fn post(url: String, body: &Value) -> Response {
    let client = Client::new().post(url).header("content-type", "application/json").header("x-goog-api-key", "a-key");
    client.body(body.to_string()).send().await.unwrap()
}

async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

#[tokio::test]
async fn counts_are_scripted_and_thoughts_count_towards_the_limit() {
    let simulator = Simulator::start().unwrap();
    let rule = Rule { prompt_tokens: Some(2050), thinking_tokens: Some(90), ..Rule::default() };
    simulator.on(Rule { text: Some("Four words of moss.".to_owned()), ..rule }).unwrap();
    let messages = json!([{"role": "user", "content": "hello there"}]);
    let ollama = json!({"model": "m", "stream": false, "messages": messages});
    let reply = json_of(post(simulator.ollama_url() + "/api/chat", &ollama).await).await;
    assert_eq!((&reply["prompt_eval_count"], &reply["eval_count"]), (&json!(2050), &json!(95)));
    let openai = json!({"model": "m", "messages": messages});
    let usage = json_of(post(simulator.openai_url() + "/chat/completions", &openai).await).await["usage"].clone();
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(2050), &json!(95)));
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 90);
    let gemini = async |config: Value| {
        let body = json!({"contents": [{"parts": [{"text": "hello there"}]}], "generationConfig": config});
        let url = simulator.gemini_url() + "/models/gemini-2.5-flash:generateContent";
        let reply = json_of(post(url, &body).await).await;
        let usage = &reply["usageMetadata"];
        let reason = reply["candidates"][0]["finishReason"].as_str().unwrap().to_owned();
        let counts = ["thoughtsTokenCount", "candidatesTokenCount", "totalTokenCount"].map(|name| usage[name].as_u64());
        (reason, counts.map(Option::unwrap_or_default))
    };
    assert_eq!(gemini(json!({})).await, ("STOP".to_owned(), [90, 5, 2145]));
    assert_eq!(gemini(json!({"maxOutputTokens": 60})).await, ("MAX_TOKENS".to_owned(), [60, 0, 2110]));
    assert_eq!(gemini(json!({"maxOutputTokens": 93})).await, ("MAX_TOKENS".to_owned(), [90, 3, 2143]));
    let bounded = json!({"maxOutputTokens": 60, "thinkingConfig": {"thinkingBudget": 0}});
    assert_eq!(gemini(bounded).await, ("STOP".to_owned(), [0, 5, 2055]));
    assert_eq!(gemini(json!({"thinkingConfig": {"thinkingBudget": -1}})).await.1[0], 90);
}

#[tokio::test]
async fn a_stream_without_text_has_a_finish_reason() {
    let simulator = Simulator::start().unwrap();
    simulator.on(Rule { thinking_tokens: Some(90), ..Rule::default() }).unwrap();
    let config = json!({"maxOutputTokens": 60});
    let body = json!({"contents": [{"parts": [{"text": "hello there"}]}], "generationConfig": config});
    let url = simulator.gemini_url() + "/models/gemini-2.5-flash:streamGenerateContent?alt=sse";
    let stream = post(url, &body).await.text().await.unwrap();
    assert_eq!(stream.matches("data: ").count(), 1);
    assert!(stream.contains("\"finishReason\":\"MAX_TOKENS\"") && stream.contains("\"thoughtsTokenCount\":60"));
}

#[tokio::test]
async fn gemini_rejects_what_a_generation_does_not_support() {
    let simulator = Simulator::start().unwrap();
    let status = async |model: &str, config: Value, reads_pages: bool| {
        let tools = if reads_pages { json!([{"urlContext": {}}]) } else { json!([]) };
        let text = "Read https://example.org/page.";
        let contents = json!([{"parts": [{"text": text}]}]);
        let body = json!({"contents": contents, "tools": tools, "generationConfig": config});
        post(format!("{}/models/{model}:generateContent", simulator.gemini_url()), &body).await.status().as_u16()
    };
    let level = |level: &str| json!({"thinkingConfig": {"thinkingLevel": level}});
    let budget = |tokens: i32| json!({"thinkingConfig": {"thinkingBudget": tokens}});
    let json_wanted = json!({"responseMimeType": "application/json"});
    for (model, config, reads_pages, expected) in [
        ("gemini-2.5-flash", level("LOW"), false, 400),
        ("gemini-2.5-flash", budget(0), false, 200),
        ("gemini-2.5-pro", budget(0), false, 400),
        ("gemini-2.5-pro", budget(128), false, 200),
        ("gemini-3-pro-preview", level("MINIMAL"), false, 400),
        ("gemini-3-pro-preview", level("LOW"), false, 200),
        ("gemini-3-flash-preview", level("MINIMAL"), false, 200),
        (
            "gemini-3-flash-preview",
            json!({"thinkingConfig": {"thinkingLevel": "LOW", "thinkingBudget": 1}}),
            false,
            400,
        ),
        ("gemini-2.5-flash", json_wanted.clone(), true, 400),
        ("gemini-2.5-flash", json_wanted.clone(), false, 200),
        ("gemini-2.5-flash", json!({}), true, 200),
        ("gemini-3-flash-preview", json_wanted, true, 200),
    ] {
        assert_eq!(status(model, config.clone(), reads_pages).await, expected, "{model} {config} {reads_pages}");
    }
}

#[tokio::test]
async fn requested_pages_are_returned_with_their_status() {
    let simulator = Simulator::start().unwrap();
    let contents = json!([{"parts": [{"text": "Compare:\n- https://a.org/x\n- https://b.org."}]}]);
    let ask = async |method: &str, tools: Value| {
        let url = format!("{}/models/gemini-3-flash-preview:{method}", simulator.gemini_url());
        post(url, &json!({"contents": contents, "tools": tools})).await.text().await.unwrap()
    };
    let reply: Value = serde_json::from_str(&ask("generateContent", json!([{"urlContext": {}}])).await).unwrap();
    assert_eq!(
        reply["candidates"][0]["urlContextMetadata"]["urlMetadata"],
        json!([
            {"retrievedUrl": "https://a.org/x", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"},
            {"retrievedUrl": "https://b.org", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"},
        ])
    );
    let stream = ask("streamGenerateContent?alt=sse", json!([{"urlContext": {}}])).await;
    assert_eq!(stream.matches("urlContextMetadata").count(), 1, "only the last chunk has it");
    assert!(!ask("generateContent", json!([])).await.contains("urlContextMetadata"));
}

#[tokio::test]
async fn ollama_shows_the_model_named_in_the_body() {
    let simulator = Simulator::start().unwrap();
    let show = async |model: &str| post(simulator.ollama_url() + "/api/show", &json!({"model": model})).await;
    let body = Some(Bytes::from_static(b"{\"details\":{},\"capabilities\":[\"completion\"]}"));
    simulator.on(Rule { model: Some("blind".to_owned()), body, ..Rule::default() }).unwrap();
    assert_eq!(json_of(show("blind").await).await["capabilities"], json!(["completion"]));
    assert_eq!(json_of(show("gemma3:4b").await).await["capabilities"], json!(["completion", "vision"]));
    assert_eq!(simulator.requests()[0].model.as_deref(), Some("blind"));
    simulator.restrict_models(true);
    assert_eq!(show("nobody").await.status(), 404);
    assert_eq!(show("gemma3:12b").await.status(), 200);
}
