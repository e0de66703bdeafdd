//! The simulator over HTTP: APIs, recorded requests, settings, life cycle.

use std::time::Duration;

use madspark::Provider;
use madspark::simulator::{Fault, Route, Rule, Simulator};
use reqwest::{Client, Response};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(20);

async fn post(url: String, body: &Value) -> Response {
    Client::new()
        .post(url)
        .header("content-type", "application/json")
        .header("x-goog-api-key", "a-key")
        .header("x-api-key", "a-key")
        .body(body.to_string())
        .send()
        .await
        .unwrap()
}

async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 3},
            "score": {"type": "number", "minimum": 0, "maximum": 10},
        },
        "required": ["city", "score"],
        "additionalProperties": false,
    })
}

fn assert_fits(schema: &Value, text: &Value) {
    let value: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
    let result = jsonschema::validate(schema, &value).map_err(|error| error.to_string());
    assert_eq!(result, Ok(()), "{value}");
}

#[tokio::test]
async fn ollama_returns_text_and_counts() {
    let simulator = Simulator::start().unwrap();
    let prompt = "Tell me about lighthouses and storms in northern Portugal.";
    let body = json!({
        "model": "gemma3:4b", "stream": false,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt}],
    });
    let response = post(simulator.ollama_url() + "/api/chat", &body).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let reply = json_of(response).await;
    assert_eq!(reply["model"], "gemma3:4b");
    assert_eq!((&reply["done"], &reply["done_reason"]), (&json!(true), &json!("stop")));
    let text = reply["message"]["content"].as_str().unwrap();
    assert!(text.to_lowercase().contains("lighthouses") || text.to_lowercase().contains("portugal"), "{text}");
    assert_eq!(reply["eval_count"].as_u64().unwrap(), (text.chars().count() as u64).div_ceil(4));
    assert_eq!(reply["prompt_eval_count"].as_u64().unwrap(), (prompt.len() as u64).div_ceil(4) + 3);

    let request = simulator.requests().remove(0);
    assert_eq!(request.provider, Some(Provider::Ollama));
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/chat"));
    assert_eq!((&*request.prompt, &*request.system), (prompt, "Be brief."));
    assert_eq!(request.model.as_deref(), Some("gemma3:4b"));
    assert_eq!(request.json().unwrap(), body);
    assert_eq!(request.header("Content-Type"), Some("application/json"));
    assert_eq!((request.status, request.hung_up), (Some(200), false));
    assert!(request.finished.unwrap() >= request.started);
}

#[tokio::test]
async fn every_api_returns_an_instance_of_the_schema() {
    let simulator = Simulator::start().unwrap();
    let prompt = "Name a city on a river";
    let ollama =
        json!({"model": "m", "stream": false, "format": schema(), "messages": [{"role": "user", "content": prompt}]});
    let reply = json_of(post(simulator.ollama_url() + "/api/chat", &ollama).await).await;
    assert_fits(&schema(), &reply["message"]["content"]);

    for key in ["responseJsonSchema", "responseSchema"] {
        let gemini = json!({
            "contents": [{"role": "user", "parts": [{"text": prompt}]}],
            "generationConfig": {"responseMimeType": "application/json", key: schema()},
        });
        let reply = json_of(post(simulator.gemini_url() + "/models/g:generateContent", &gemini).await).await;
        assert_fits(&schema(), &reply["candidates"][0]["content"]["parts"][0]["text"]);
        let usage = &reply["usageMetadata"];
        let count = |key: &str| usage[key].as_u64().unwrap();
        assert_eq!(count("totalTokenCount"), count("promptTokenCount") + count("candidatesTokenCount"));
        assert_eq!(reply["modelVersion"], "g");
    }

    let openai = json!({
        "model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": prompt}]}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "City", "strict": true, "schema": schema()}},
    });
    let reply = json_of(post(simulator.openai_url() + "/chat/completions", &openai).await).await;
    assert_fits(&schema(), &reply["choices"][0]["message"]["content"]);
    assert_eq!(reply["choices"][0]["finish_reason"], "stop");
    let usage = &reply["usage"];
    let count = |key: &str| usage[key].as_u64().unwrap();
    assert_eq!(count("total_tokens"), count("prompt_tokens") + count("completion_tokens"));

    let messages = json!([{"role": "user", "content": [{"type": "text", "text": prompt}]}]);
    let enforced = json!({
        "model": "m", "max_tokens": 999, "messages": messages,
        "output_config": {"format": {"type": "json_schema", "schema": schema()}},
    });
    let prompted = json!({
        "model": "m", "max_tokens": 999, "messages": messages,
        "system": format!("Be brief. Answer in this JSON Schema:\n{}", schema()),
    });
    for body in [enforced, prompted] {
        let reply = json_of(post(simulator.anthropic_url() + "/messages", &body).await).await;
        assert_fits(&schema(), &reply["content"][0]["text"]);
        assert_eq!((&reply["stop_reason"], &reply["model"]), (&json!("end_turn"), &json!("m")));
        let written = reply["content"][0]["text"].as_str().unwrap().chars().count() as u64;
        assert_eq!(reply["usage"]["output_tokens"], json!(written.div_ceil(4)));
        assert_eq!(simulator.requests().last().unwrap().provider, Some(Provider::Anthropic));
    }

    for request in simulator.requests() {
        assert_eq!((&*request.prompt, request.schema.as_deref()), (prompt, Some(&schema())));
    }
}

#[tokio::test]
async fn json_mode_returns_an_object_in_every_api() {
    let simulator = Simulator::start().unwrap();
    let messages = json!([{"role": "user", "content": "describe rain"}]);
    let ollama = json!({"model": "m", "stream": false, "format": "json", "messages": messages});
    let gemini = json!({
        "contents": [{"parts": [{"text": "describe rain"}]}],
        "generationConfig": {"responseMimeType": "application/json"},
    });
    let openai = json!({"model": "m", "response_format": {"type": "json_object"}, "messages": messages});
    for (url, body, pointer) in [
        (simulator.ollama_url() + "/api/chat", ollama, "/message/content"),
        (simulator.gemini_url() + "/models/g:generateContent", gemini, "/candidates/0/content/parts/0/text"),
        (simulator.openai_url() + "/chat/completions", openai, "/choices/0/message/content"),
    ] {
        let reply = json_of(post(url, &body).await).await;
        let text = reply.pointer(pointer).unwrap().as_str().unwrap();
        assert!(serde_json::from_str::<Value>(text).unwrap().is_object(), "{text}");
    }
}

#[tokio::test]
async fn streams_add_up_to_the_whole_reply() {
    let simulator = Simulator::start().unwrap();
    let messages = json!([{"role": "user", "content": "a walk through Lisbon's hills"}]);

    // Streaming is Ollama's default.
    let whole = json!({"model": "m", "messages": messages, "stream": false});
    let whole = json_of(post(simulator.ollama_url() + "/api/chat", &whole).await).await;
    let expected = whole["message"]["content"].as_str().unwrap().to_owned();
    let response = post(simulator.ollama_url() + "/api/chat", &json!({"model": "m", "messages": messages})).await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let text = response.text().await.unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let joined: String = lines.iter().map(|line| line["message"]["content"].as_str().unwrap()).collect();
    assert_eq!(joined, expected);
    assert!(lines.len() > 3);
    assert!(lines.iter().rev().skip(1).all(|line| line["done"] == false && line.get("eval_count").is_none()));
    assert_eq!(lines.last().unwrap()["eval_count"], whole["eval_count"]);

    let body = json!({"model": "m", "messages": messages, "stream": true, "stream_options": {"include_usage": true}});
    let response = post(simulator.openai_url() + "/chat/completions", &body).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let events = events(&response.text().await.unwrap());
    assert_eq!(events.last().unwrap(), "[DONE]");
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let joined: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(joined, expected);
    let last = chunks.last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["completion_tokens"]), (&json!([]), &whole["eval_count"]));

    let body = json!({"model": "m", "max_tokens": 999, "messages": messages, "stream": true});
    let response = post(simulator.anthropic_url() + "/messages", &body).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.unwrap();
    let events: Vec<(&str, Value)> = text
        .split_terminator("\n\n")
        .map(|event| event.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap())
        .map(|(name, data)| (name, serde_json::from_str(data).unwrap()))
        .collect();
    assert!(events.iter().all(|(name, data)| data["type"] == *name));
    let mut names: Vec<&str> = events.iter().map(|(name, _)| *name).collect();
    names.dedup();
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    assert_eq!(
        (&events[0].1["message"]["content"], &events[0].1["message"]["role"]),
        (&json!([]), &json!("assistant"))
    );
    let joined: String = events.iter().filter_map(|(_, data)| data["delta"]["text"].as_str()).collect();
    assert_eq!(joined, expected);
    let last = &events[events.len() - 2].1;
    assert_eq!(last["delta"]["stop_reason"], "end_turn");
    assert_eq!(last["usage"]["output_tokens"], whole["eval_count"]);

    let body = json!({"contents": [{"role": "user", "parts": [{"text": "a walk through Lisbon's hills"}]}]});
    let text_of = |chunk: &Value| chunk["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap().to_owned();
    let url = simulator.gemini_url() + "/models/g:streamGenerateContent";
    let text = post(url.clone() + "?alt=sse", &body).await.text().await.unwrap();
    let chunks: Vec<Value> = self::events(&text).iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    assert_eq!(chunks.iter().map(text_of).collect::<String>(), expected);
    assert_eq!(chunks.last().unwrap()["candidates"][0]["finishReason"], "STOP");
    let elements = json_of(post(url, &body).await).await;
    assert_eq!(elements.as_array().unwrap().iter().map(text_of).collect::<String>(), expected);
}

fn events(text: &str) -> Vec<String> {
    text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).map(str::to_owned).collect()
}

#[tokio::test]
async fn a_token_limit_truncates_the_reply() {
    let simulator = Simulator::start().unwrap();
    let messages = json!([{"role": "user", "content": "a long story about bridges"}]);
    let body = json!({"model": "m", "stream": false, "messages": messages, "options": {"num_predict": 5}});
    let reply = json_of(post(simulator.ollama_url() + "/api/chat", &body).await).await;
    assert_eq!((&reply["done_reason"], &reply["eval_count"]), (&json!("length"), &json!(5)));
    assert_eq!(reply["message"]["content"].as_str().unwrap().chars().count(), 20);
    let body = json!({"model": "m", "messages": messages, "max_completion_tokens": 5});
    let reply = json_of(post(simulator.openai_url() + "/chat/completions", &body).await).await;
    assert_eq!(reply["choices"][0]["finish_reason"], "length");
    let body = json!({"model": "m", "messages": messages, "max_tokens": 5});
    let reply = json_of(post(simulator.anthropic_url() + "/messages", &body).await).await;
    assert_eq!((&reply["stop_reason"], &reply["usage"]["output_tokens"]), (&json!("max_tokens"), &json!(5)));
    let body = json!({"model": "m", "messages": messages});
    let response = post(simulator.anthropic_url() + "/messages", &body).await;
    assert_eq!(response.status(), 400);
    assert_eq!(json_of(response).await["error"]["message"], "max_tokens: Field required");
}

#[tokio::test]
async fn models_are_listed_as_in_the_real_apis() {
    let simulator = Simulator::start().unwrap();
    let get = async |url: String| {
        let response = Client::new().get(url).header("x-goog-api-key", "k").send().await.unwrap();
        assert_eq!(response.status(), 200);
        json_of(response).await
    };
    let tags = get(simulator.ollama_url() + "/api/tags").await;
    assert_eq!((&tags["models"][0]["name"], &tags["models"][1]["model"]), (&json!("gemma3:4b"), &json!("gemma3:12b")));
    assert!(get(simulator.ollama_url() + "/api/version").await["version"].is_string());
    assert!(get(simulator.ollama_url() + "/api/ps").await["models"].is_array());
    let show = json_of(post(simulator.ollama_url() + "/api/show", &json!({"model": "gemma3:4b"})).await).await;
    assert!(show["capabilities"].as_array().unwrap().contains(&json!("completion")));
    let gemini = get(simulator.gemini_url() + "/models").await;
    assert_eq!(gemini["models"][0]["name"], "models/gemini-3-flash-preview");
    assert_eq!(get(simulator.openai_url() + "/models").await["data"][0]["id"], "sim-model");
    simulator.set_models(vec!["one".into(), "two".into()]);
    assert_eq!(get(simulator.openai_url() + "/models").await["data"][1]["id"], "two");
    assert_eq!(simulator.requests().last().unwrap().provider, Some(Provider::OpenAi));
    let anthropic = Client::new().get(simulator.anthropic_url() + "/models").header("x-api-key", "k");
    let response = anthropic.header("anthropic-version", "2023-06-01").send().await.unwrap();
    let listing = json_of(response).await;
    assert_eq!((&listing["data"][1]["id"], &listing["has_more"]), (&json!("two"), &json!(false)));
    assert_eq!((&listing["data"][0]["type"], &listing["last_id"]), (&json!("model"), &json!("two")));
    assert_eq!(simulator.requests().last().unwrap().provider, Some(Provider::Anthropic));
}

#[tokio::test]
async fn errors_are_as_in_the_real_apis() {
    let simulator = Simulator::start().unwrap();
    simulator.restrict_models(true);
    let messages = json!([{"role": "user", "content": "hello there"}]);
    let body = json!({"model": "nobody", "stream": false, "messages": messages});
    let response = post(simulator.ollama_url() + "/api/chat", &body).await;
    assert_eq!(response.status(), 404);
    assert_eq!(json_of(response).await["error"], "model 'nobody' not found");
    let response = post(simulator.openai_url() + "/chat/completions", &body).await;
    assert_eq!(response.status(), 404);
    assert_eq!(json_of(response).await["error"]["code"], "model_not_found");
    let body = json!({"model": "nobody", "max_tokens": 9, "messages": messages});
    let response = post(simulator.anthropic_url() + "/messages", &body).await;
    assert_eq!(response.status(), 404);
    let error = json_of(response).await;
    assert_eq!((&error["type"], &error["error"]["type"]), (&json!("error"), &json!("not_found_error")));
    assert_eq!(error["error"]["message"], "model: nobody");
    let route = Route::Provider(Provider::Anthropic);
    for (status, kind) in [(429, "rate_limit_error"), (500, "api_error"), (529, "overloaded_error")] {
        let rule = Rule { route: route.clone(), status: Some(status), times: Some(1), ..Rule::default() };
        simulator.on(rule).unwrap();
        let response = post(simulator.anthropic_url() + "/messages", &body).await;
        assert_eq!(response.status(), status);
        assert_eq!(json_of(response).await["error"]["type"], kind);
    }
    let body = json!({"contents": [{"parts": [{"text": "hello"}]}]});
    let response = post(simulator.gemini_url() + "/models/nobody:generateContent", &body).await;
    assert_eq!(response.status(), 404);
    let error = &json_of(response).await["error"];
    assert_eq!((&error["code"], &error["status"]), (&json!(404), &json!("NOT_FOUND")));

    let response = Client::new().post(simulator.openai_url() + "/chat/completions").body("{").send().await.unwrap();
    assert_eq!(response.status(), 400);
    let response = Client::new().get(simulator.ollama_url() + "/api/nothing").send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert!(json_of(response).await["error"].is_string());
    let response = Client::new().get(simulator.ollama_url() + "/elsewhere").send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(simulator.requests().last().unwrap().provider, None);
}

#[tokio::test]
async fn keys_are_checked_as_in_the_real_apis() {
    let simulator = Simulator::start().unwrap();
    let body = json!({"contents": [{"parts": [{"text": "hello"}]}]}).to_string();
    let url = simulator.gemini_url() + "/models/g:generateContent";
    let without = Client::new().post(&url).body(body.clone()).send().await.unwrap();
    assert_eq!(without.status(), 403);
    assert_eq!(json_of(without).await["error"]["status"], "PERMISSION_DENIED");

    simulator.require_key(Provider::Gemini, "right").unwrap();
    simulator.require_key(Provider::OpenAi, "right").unwrap();
    assert!(simulator.require_key(Provider::Mock, "right").is_err());
    let send = async |key: &str| {
        Client::new().post(&url).header("x-goog-api-key", key).body(body.clone()).send().await.unwrap()
    };
    assert_eq!(send("right").await.status(), 200);
    let wrong = send("wrong").await;
    assert_eq!(wrong.status(), 400);
    assert_eq!(json_of(wrong).await["error"]["details"][0]["reason"], "API_KEY_INVALID");

    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).to_string();
    let url = simulator.openai_url() + "/chat/completions";
    let send = async |key: &str| {
        let header = format!("Bearer {key}");
        Client::new().post(&url).header("authorization", header).body(body.clone()).send().await.unwrap()
    };
    assert_eq!(send("right").await.status(), 200);
    let wrong = send("wrong").await;
    assert_eq!(wrong.status(), 401);
    assert_eq!(json_of(wrong).await["error"]["code"], "invalid_api_key");
    let last = simulator.requests().pop().unwrap();
    assert_eq!(last.header("authorization"), Some("Bearer wrong"));
    assert!(!format!("{last:?}").contains("Bearer"));

    let url = simulator.anthropic_url() + "/messages";
    let body = json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}).to_string();
    let without = Client::new().post(&url).body(body.clone()).send().await.unwrap();
    assert_eq!(without.status(), 401);
    simulator.require_key(Provider::Anthropic, "right").unwrap();
    for (key, status) in [("right", 200), ("wrong", 401)] {
        let response = Client::new().post(&url).header("x-api-key", key).body(body.clone()).send().await.unwrap();
        assert_eq!(response.status(), status);
        let error = &json_of(response).await["error"]["type"];
        assert_eq!(error, &if status == 200 { Value::Null } else { json!("authentication_error") });
    }
}

#[tokio::test]
async fn a_repair_is_answered_from_the_whole_conversation() {
    let simulator = Simulator::start().unwrap();
    let schema = json!({"type": "array", "items": {
        "type": "object", "properties": {"idea_index": {"type": "integer"}}, "required": ["idea_index"],
    }});
    let body = json!({"model": "m", "stream": false, "format": schema, "messages": [
        {"role": "user", "content": "<idea idea_index=\"4\">kites</idea>\n<idea idea_index=\"9\">boats</idea>"},
        {"role": "assistant", "content": "[]"},
        {"role": "user", "content": "Items are missing; reply again."},
    ]});
    let reply = json_of(post(simulator.ollama_url() + "/api/chat", &body).await).await;
    let items: Value = serde_json::from_str(reply["message"]["content"].as_str().unwrap()).unwrap();
    assert_eq!(items, json!([{"idea_index": 4}, {"idea_index": 9}]));
    assert_eq!(&*simulator.requests()[0].prompt, "Items are missing; reply again.");
}

#[tokio::test]
async fn concurrent_requests_are_all_recorded() {
    let simulator = Simulator::start().unwrap();
    let client = Client::new();
    let body = |number: usize| json!({"model": "m", "stream": false, "messages": [{"role": "user", "content": format!("question {number}")}]});
    let call = |number| {
        let call = client.post(simulator.ollama_url() + "/api/chat").body(body(number).to_string()).send();
        async move { call.await.unwrap().bytes().await.unwrap() }
    };
    // All replies are delayed until all requests have arrived, so that the maximum is exact.
    simulator.on(Rule { fault: Some(Fault::Stall), times: Some(200), ..Rule::default() }).unwrap();
    tokio::select! {
        _ = futures_util::future::join_all((0..200).map(call)) => panic!("a stalled request was answered"),
        arrived = simulator.wait_for_async(LONG, |requests| requests.len() == 200) => assert!(arrived),
    }
    assert_eq!(simulator.max_in_flight(), 200);
    assert!(simulator.wait_for_async(LONG, |requests| requests.iter().all(|request| request.hung_up)).await);

    let replies = futures_util::future::join_all((200..400).map(call)).await;
    assert_eq!(replies.len(), 200);
    let mut prompts: Vec<_> = simulator.requests().iter().map(|request| request.prompt.to_string()).collect();
    prompts.sort();
    prompts.dedup();
    assert_eq!((prompts.len(), simulator.in_flight()), (400, 0));
    simulator.clear();
    assert!(simulator.requests().is_empty());
    assert_eq!(simulator.max_in_flight(), 0);
}

#[test]
fn stopping_frees_the_port_and_closes_connections() {
    let simulator = Simulator::start().unwrap();
    let address = simulator.address();
    // A connection with a pending request must not keep the server alive.
    simulator.on(Rule { fault: Some(Fault::Stall), ..Rule::default() }).unwrap();
    let mut client = std::net::TcpStream::connect(address).unwrap();
    std::io::Write::write_all(&mut client, b"GET /api/tags HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    assert!(simulator.wait_for_requests(1, LONG));
    simulator.stop().unwrap();
    simulator.stop().unwrap();
    assert!(std::net::TcpStream::connect(address).is_err());
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut client, &mut rest).unwrap_or(0);
    assert_eq!(rest, b"");
    let request = simulator.requests().remove(0);
    assert!(!request.hung_up, "the server closed the connection, not the client");
    assert!(request.finished.is_some());
}

#[tokio::test]
async fn connections_are_numbered() {
    let simulator = Simulator::start().unwrap();
    let kept = Client::new();
    for client in [&kept, &kept, &Client::new()] {
        client.get(simulator.ollama_url() + "/api/tags").send().await.unwrap().bytes().await.unwrap();
    }
    let connections: Vec<_> = simulator.requests().iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 0, 1]);
}

#[test]
fn an_invalid_rule_is_rejected() {
    let simulator = Simulator::start().unwrap();
    let refused = [
        Rule { status: Some(99), ..Rule::default() },
        Rule { tokens_per_second: Some(0.0), ..Rule::default() },
        Rule { headers: vec![("bad name".into(), "x".into())], ..Rule::default() },
    ];
    for rule in refused {
        assert_eq!(simulator.on(rule).unwrap_err().kind(), madspark::ErrorKind::InvalidInput);
    }
    simulator.on(Rule { route: Route::Path("/api".into()), ..Rule::default() }).unwrap();
}
