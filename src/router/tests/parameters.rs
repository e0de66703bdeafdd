//! Calls to a server that refuses parameters of the request.

use std::sync::Mutex;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::join_all;
use http::header::HeaderMap;
use serde_json::Value;

use crate::config::{CacheConfig, Config, Provider, ProviderChoice};
use crate::error::{ErrorKind, Result};
use crate::message::Request;
use crate::parameter::Parameter;
use crate::router::{Engine, OnStreamError, Overrides, Policy, Response, Router, StreamOptions};
use crate::sync::Arc;
use crate::transport::{Scripted, WireReply};

const MAX_TOKENS: &str = r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}"#;
const TEMPERATURE: &str = r#"{"error":{"message":"Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is supported.","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}"#;
const RANGE: &str = r#"{"error":{"message":"temperature must be between 0 and 1","type":"invalid_request_error","param":"temperature","code":"invalid_value"}}"#;
const BOTH: &str = r#"{"detail":[{"type":"extra_forbidden","loc":["body","temperature"],"msg":"Extra inputs are not permitted"},{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}"#;
const ANSWER: &str = r#"{"choices":[{"message":{"content":"Moss."},"finish_reason":"stop"}]}"#;

/// A server that refuses some requests, and the bodies that it received.
struct Server {
    engine: Arc<Engine>,
    bodies: Arc<Mutex<Vec<Value>>>,
}

impl Server {
    /// `refuse` returns the error of a request.
    fn new(refuse: impl Fn(&Value) -> Option<&'static str> + Send + Sync + 'static) -> Self {
        let bodies = Arc::<Mutex<Vec<Value>>>::default();
        let received = Arc::clone(&bodies);
        let transport = Scripted::new(move |wire| {
            let body: Value = serde_json::from_slice(&wire.body).unwrap();
            let refusal = refuse(&body);
            received.lock().unwrap().push(body);
            let status = if refusal.is_some() { 400 } else { 200 };
            let body = Bytes::from_static(refusal.unwrap_or(ANSWER).as_bytes());
            let mut headers = HeaderMap::new();
            headers.insert("content-type", "application/json".parse().unwrap());
            async move { Ok(WireReply { status, headers, body }) }.boxed()
        });
        Self { engine: Arc::new(Engine::with_transport(transport)), bodies }
    }

    fn router(model: &str, policy: Policy) -> Arc<Router> {
        let config = Config {
            openai_base_url: "http://openai.test/v1".into(),
            openai_model: Some(model.to_owned()),
            cache: CacheConfig { enabled: false, ..CacheConfig::default() },
            ..Config::default()
        };
        let overrides = Overrides {
            primary_provider: Some(ProviderChoice::Pinned(Provider::OpenAi)),
            fallback_enabled: Some(false),
            policy,
            ..Overrides::default()
        };
        Arc::new(Router::new(Arc::new(config), overrides))
    }

    async fn call(&self, request: Request) -> Result<Response> {
        let mut call = Self::router("m", Policy::default()).call(&self.engine, request, None).unwrap();
        call.next(None).await?;
        call.finish().map(|(response, _)| response)
    }

    fn taken(&self) -> Vec<Value> {
        std::mem::take(&mut *self.bodies.lock().unwrap())
    }
}

fn request() -> Request {
    Request { temperature: Some(0.7), max_tokens: Some(50), ..Request::new("What grows?") }
}

fn refuses(body: &Value, name: &str) -> bool {
    body.get(name).is_some()
}

/// Refuses both, the temperature first, as OpenAI's reasoning models do.
fn reasoning(body: &Value) -> Option<&'static str> {
    match body {
        _ if refuses(body, "max_tokens") => Some(MAX_TOKENS),
        _ if refuses(body, "temperature") => Some(TEMPERATURE),
        _ => None,
    }
}

#[tokio::test]
async fn a_reasoning_model_costs_one_extra_request_for_the_whole_process() {
    let server = Server::new(reasoning);
    let response = server.call(request()).await.unwrap();
    let errors: Vec<_> = response.attempts.iter().map(|attempt| attempt.error).collect();
    assert_eq!(errors, [Some(ErrorKind::ParameterRejected), None]);
    assert_eq!(response.attempts[0].omitted, []);
    assert_eq!(response.attempts[1].omitted, [Parameter::Temperature, Parameter::MaxTokens]);
    let bodies = server.taken();
    assert_eq!((bodies.len(), &bodies[1]["max_completion_tokens"]), (2, &Value::from(50)));

    // Later calls, of any router, are right at once.
    let others = join_all((0..5).map(|_| server.call(request()))).await;
    assert!(others.iter().all(|response| response.as_ref().unwrap().attempts.len() == 1));
    assert_eq!(server.taken().len(), 5);
}

#[tokio::test]
async fn a_stream_leaves_out_refused_parameters_too() {
    let server = Server::new(reasoning);
    let options = StreamOptions { on_error: OnStreamError::Fail, ..StreamOptions::default() };
    let router = Server::router("m", Policy::default());
    let mut stream = router.stream(&server.engine, request(), None, options).unwrap();
    while stream.next().await.unwrap().is_some() {}
    assert_eq!(stream.finish().unwrap().text, "Moss.");
    assert_eq!(server.taken().len(), 2);
}

#[tokio::test]
async fn parameters_that_one_error_names_are_left_out_together() {
    let server = Server::new(|body| refuses(body, "temperature").then_some(BOTH));
    let router = Server::router("m", Policy::default());
    let mut stream = router.stream(&server.engine, request(), None, StreamOptions::default()).unwrap();
    while stream.next().await.unwrap().is_some() {}
    let bodies = server.taken();
    assert_eq!(bodies.len(), 2);
    assert!(!refuses(&bodies[1], "stream_options") && refuses(&bodies[1], "max_tokens"), "{}", bodies[1]);
}

#[tokio::test]
async fn a_refused_value_is_left_out_of_one_call_only() {
    let server = Server::new(|body| body["temperature"].as_f64().is_some_and(|hot| hot > 1.0).then_some(RANGE));
    server.call(Request { temperature: Some(1.5), ..request() }).await.unwrap();
    server.call(request()).await.unwrap();
    let sent: Vec<_> = server.taken().iter().map(|body| body.get("temperature").and_then(Value::as_f64)).collect();
    assert_eq!(sent, [Some(1.5), None, Some(0.7)]);
}

#[tokio::test]
async fn a_refusal_of_what_was_not_sent_is_final() {
    let server = Server::new(|_| Some(TEMPERATURE));
    let error = server.call(request()).await.unwrap_err();
    let errors: Vec<_> = error.attempts().iter().map(|attempt| attempt.error.unwrap()).collect();
    assert_eq!(errors, [ErrorKind::ParameterRejected, ErrorKind::Rejected]);
    let error = server.call(Request { temperature: None, ..request() }).await.unwrap_err();
    assert_eq!(error.attempts().len(), 1, "nothing is left to leave out");
    assert!(error.causes()[0].message().contains("Only the default (1) value"), "{error}");
}

#[tokio::test]
async fn a_known_reasoning_model_needs_no_extra_request() {
    let server = Server::new(reasoning);
    let router = Server::router("openai/gpt-5-mini", Policy { max_attempts: 1, ..Policy::default() });
    let mut call = router.call(&server.engine, request(), None).unwrap();
    call.next(None).await.unwrap();
    let (response, _) = call.finish().unwrap();
    assert_eq!(response.attempts[0].omitted, [Parameter::Temperature]);
    let body = &server.taken()[0];
    assert_eq!(body["max_completion_tokens"], 50);
}
