//! Facts about models: fetched if a request depends on them, cached, and never the cause of a failure.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use madspark::message::{Headroom, Part, Request};
use madspark::provider::{Capability, ModelFacts, ModelOptions, Target, codec};
use madspark::simulator::{Fault, Route, Rule, Simulator};
use madspark::{Engine, ErrorKind, Provider, Secret};
use serde_json::{Value, json};

fn target(simulator: &Simulator, provider: Provider, model: &str) -> Arc<Target> {
    let base_url = match provider {
        Provider::Ollama => simulator.ollama_url(),
        Provider::Gemini => simulator.gemini_url(),
        _ => simulator.openai_url(),
    };
    Arc::new(Target {
        provider,
        model: Arc::from(model),
        base_url: base_url.into(),
        key: Some(Secret::new("key-0123456789-abcdef")),
        timeout: Duration::from_secs(5),
        options: ModelOptions::default(),
        facts: None,
    })
}

fn with_image() -> Request {
    Request { parts: vec![Part::Image { mime: "image/png", data: Bytes::new() }], ..Request::new("What is it?") }
}

fn long(tokens: usize) -> Request {
    Request::new("abc ".repeat(tokens))
}

/// Makes `/api/show` return `reply`.
fn show(simulator: &Simulator, reply: &Value, times: Option<u32>) {
    let route = Route::Path("/api/show".to_owned());
    let body = Some(Bytes::from(reply.to_string()));
    simulator.on(Rule { route, body, times, ..Rule::default() }).unwrap();
}

fn paths(simulator: &Simulator) -> Vec<String> {
    simulator.requests().into_iter().map(|request| request.path).collect()
}

fn without_vision() -> Value {
    json!({"details": {}, "capabilities": ["completion"], "model_info": {"llama.context_length": 8192}})
}

#[tokio::test]
async fn most_requests_need_no_lookup() {
    let (simulator, engine) = (Simulator::start().unwrap(), Engine::new());
    for provider in [Provider::Ollama, Provider::Gemini, Provider::OpenAi] {
        let mut target = target(&simulator, provider, "gemma3:4b");
        engine.prepare(&mut target, &Request::new("Hello")).await.unwrap();
        assert_eq!(target.facts, None);
        if provider != Provider::Ollama {
            engine.prepare(&mut target, &with_image()).await.unwrap();
            engine.prepare(&mut target, &long(5000)).await.unwrap();
        }
    }
    assert!(simulator.requests().is_empty());
}

#[tokio::test]
async fn an_image_for_a_model_without_vision_fails_before_it_is_sent() {
    let (simulator, engine) = (Simulator::start().unwrap(), Engine::new());
    let mut target = target(&simulator, Provider::Ollama, "gemma3:1b");
    show(&simulator, &without_vision(), None);
    let error = engine.prepare(&mut target, &with_image()).await.unwrap_err();
    assert_eq!((error.kind(), error.provider()), (ErrorKind::Unsupported, Some(Provider::Ollama)));
    assert!(error.message().contains("gemma3:1b sees no images"), "{error}");
    let [lookup] = &simulator.requests()[..] else { panic!("{:?}", paths(&simulator)) };
    assert_eq!((lookup.path.as_str(), &lookup.body[..]), ("/api/show", &b"{\"model\":\"gemma3:1b\"}"[..]));
    engine.prepare(&mut target, &Request::new("Hello")).await.unwrap();
}

#[tokio::test]
async fn an_image_for_a_model_with_vision_is_sent() {
    let (simulator, engine) = (Simulator::start().unwrap(), Engine::new());
    let mut target = target(&simulator, Provider::Ollama, "gemma3:4b");
    engine.prepare(&mut target, &with_image()).await.unwrap();
    let facts = target.facts.clone().unwrap();
    assert!(!facts.lacks(Capability::Vision));
    assert_eq!(facts.context_length, Some(131_072));
}

#[tokio::test]
async fn the_context_window_is_bounded_by_the_facts() {
    let (simulator, engine) = (Simulator::start().unwrap(), Engine::new());
    let mut target = target(&simulator, Provider::Ollama, "gemma3:4b");
    let length = json!({"details": {}, "model_info": {"gemma3.context_length": 10_000}});
    show(&simulator, &length, None);
    for request in [long(7000), Request { headroom: Headroom::Extended, ..long(4000) }] {
        engine.prepare(&mut target, &request).await.unwrap();
        let wire = codec(Provider::Ollama).unwrap().encode(&target, &request).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&wire.body).unwrap()["options"]["num_ctx"], 10_000);
    }
}

#[tokio::test]
async fn a_prompt_that_cannot_fit_is_not_sent() {
    let (simulator, engine) = (Simulator::start().unwrap(), Engine::new());
    let mut ollama = target(&simulator, Provider::Ollama, "gemma3:1b");
    show(&simulator, &without_vision(), None);
    let error = engine.prepare(&mut ollama, &long(16_400)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextTooLong);
    assert!(error.message().contains("8192 tokens"), "{error}");
    engine.prepare(&mut ollama, &long(16_300)).await.unwrap();
    let mut gemini = target(&simulator, Provider::Gemini, "models/gemini-2.5-flash");
    let error = engine.prepare(&mut gemini, &long(2_100_000)).await.unwrap_err();
    assert_eq!((error.kind(), error.provider()), (ErrorKind::ContextTooLong, Some(Provider::Gemini)));
    let mut unknown = target(&simulator, Provider::Gemini, "tuned");
    engine.prepare(&mut unknown, &long(2_100_000)).await.unwrap();
    assert_eq!(paths(&simulator), ["/api/show"]);
}

#[tokio::test]
async fn a_failed_lookup_does_not_fail_the_request() {
    for rule in [
        Rule { status: Some(404), ..Rule::default() },
        Rule { status: Some(500), ..Rule::default() },
        Rule { body: Some(Bytes::from_static(b"<html>")), ..Rule::default() },
        Rule { body: Some(Bytes::from_static(b"{}")), ..Rule::default() },
        Rule { fault: Some(Fault::Malformed), ..Rule::default() },
        Rule { fault: Some(Fault::Disconnect), ..Rule::default() },
    ] {
        let (simulator, engine) = (Simulator::start().unwrap(), Engine::new());
        let mut target = target(&simulator, Provider::Ollama, "gemma3:4b");
        simulator.on(rule.clone()).unwrap();
        engine.prepare(&mut target, &with_image()).await.unwrap();
        engine.prepare(&mut target, &long(5000)).await.unwrap();
        assert_eq!(target.facts, None, "{rule:?}");
        assert_eq!(paths(&simulator), ["/api/show"], "a failure is cached: {rule:?}");
        assert!(!engine.is_loading(&target).await, "{rule:?}");
    }
}

#[tokio::test]
async fn facts_are_cached_by_base_url_and_model_for_ten_minutes() {
    let (simulator, engine) = (Simulator::start().unwrap(), Engine::new());
    let lookups = || simulator.requests().len();
    let prepared = async |model: &str| {
        let mut target = target(&simulator, Provider::Ollama, model);
        engine.prepare(&mut target, &with_image()).await.map(|()| target.facts.clone())
    };
    for _ in 0..3 {
        prepared("gemma3:4b").await.unwrap();
    }
    assert_eq!(lookups(), 1);
    prepared("gemma3:12b").await.unwrap();
    assert_eq!(lookups(), 2);
    skip(Duration::from_secs(599)).await;
    prepared("gemma3:4b").await.unwrap();
    assert_eq!(lookups(), 2);
    skip(Duration::from_secs(2)).await;
    show(&simulator, &without_vision(), None);
    assert_eq!(prepared("gemma3:4b").await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(lookups(), 3);
}

#[tokio::test]
async fn a_failed_lookup_is_cached_for_half_a_minute() {
    let (simulator, engine) = (Simulator::start().unwrap(), Engine::new());
    simulator.on(Rule { status: Some(404), times: Some(1), ..Rule::default() }).unwrap();
    let mut target = target(&simulator, Provider::Ollama, "gemma3:4b");
    engine.prepare(&mut target, &with_image()).await.unwrap();
    skip(Duration::from_secs(31)).await;
    engine.prepare(&mut target, &with_image()).await.unwrap();
    let known = target.facts.as_deref().map(|facts| facts.lacks(Capability::Vision));
    assert_eq!((known, simulator.requests().len()), (Some(false), 2));
}

#[tokio::test]
async fn a_model_that_is_not_running_has_to_be_loaded() {
    let (simulator, engine) = (Simulator::start().unwrap(), Engine::new());
    let ps = |names: &[&str]| {
        let models: Vec<_> = names.iter().map(|name| json!({"name": name, "model": name})).collect();
        let body = Some(Bytes::from(json!({"models": models}).to_string()));
        let route = Route::Path("/api/ps".to_owned());
        simulator.clear_rules();
        simulator.on(Rule { route, body, ..Rule::default() }).unwrap();
    };
    let of = |model: &str| target(&simulator, Provider::Ollama, model);
    ps(&["gemma3:latest", "qwen3:4b"]);
    assert!(!engine.is_loading(&of("gemma3")).await);
    assert!(!engine.is_loading(&of("qwen3:4b")).await);
    assert!(engine.is_loading(&of("qwen3:8b")).await);
    ps(&[]);
    assert!(engine.is_loading(&of("gemma3")).await);
    assert!(simulator.requests().iter().all(|request| request.method == "GET"));
    simulator.clear();
    let remote = ModelFacts { is_remote: true, ..ModelFacts::default() };
    assert!(!engine.is_loading(&Target { facts: Some(Arc::new(remote)), ..(*of("gpt-oss")).clone() }).await);
    assert!(!engine.is_loading(&of("gpt-oss:120b-cloud")).await);
    assert!(!engine.is_loading(&target(&simulator, Provider::Gemini, "gemini-2.5-flash")).await);
    assert!(simulator.requests().is_empty(), "remote models are never loaded");
}

#[tokio::test]
async fn the_simulator_lists_its_models_as_running() {
    let (simulator, engine) = (Simulator::start().unwrap(), Engine::new());
    assert!(!engine.is_loading(&target(&simulator, Provider::Ollama, "gemma3:4b")).await);
}

/// Advances the clock. It is paused only meanwhile, because a paused clock ends every wait for the network at once.
async fn skip(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
