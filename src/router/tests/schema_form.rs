//! The forms of schemas that a server rejects or ignores, within a call and in later calls.

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::HeaderMap;
use serde_json::{Value, json};

use crate::config::{CacheConfig, Config, Provider, ProviderChoice};
use crate::message::Request;
use crate::router::{Engine, Overrides, Router};
use crate::schema::Schema;
use crate::sync::{Arc, Mutex, lock};
use crate::transport::{Scripted, WireReply};

/// A server that sees the bodies of requests.
struct Server {
    router: Arc<Router>,
    engine: Arc<Engine>,
    bodies: Arc<Mutex<Vec<Value>>>,
}

impl Server {
    /// Creates a server of `provider` that answers with the status and body of `answer`.
    fn new(provider: Provider, answer: impl Fn(&Value) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&bodies);
        let transport = Scripted::new(move |request| {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let (status, reply) = answer(&body);
            lock(&seen).push(body);
            let reply = WireReply { status, headers: HeaderMap::new(), body: Bytes::from(reply.to_string()) };
            std::future::ready(Ok(reply)).boxed()
        });
        let config = Config {
            openai_base_url: "http://127.0.0.1:8080/v1".into(),
            openai_model: Some("m".to_owned()),
            ollama_num_ctx: Some(4096),
            ollama_load_timeout: -1.0,
            anthropic_base_url: "http://127.0.0.1:8080".into(),
            anthropic_model: Some("m".to_owned()),
            cache: CacheConfig { enabled: false, ..CacheConfig::default() },
            ..Config::default()
        };
        let overrides = Overrides {
            primary_provider: Some(ProviderChoice::Pinned(provider)),
            fallback_enabled: Some(false),
            ..Overrides::default()
        };
        let router = Arc::new(Router::new(Arc::new(config), overrides));
        Self { router, engine: Arc::new(Engine::with_transport(transport)), bodies }
    }

    /// Returns the answer to a call, and the bodies of its requests.
    async fn call(&self, schema: &Arc<Schema>) -> (String, Vec<Value>) {
        let request =
            Request { schema: Some(Arc::clone(schema)), use_cache: Some(false), ..Request::new("Name three birds.") };
        let mut call = self.router.call(&self.engine, request, None).unwrap();
        let answer = call.next(None).await.unwrap().to_owned();
        call.finish().unwrap();
        (answer, std::mem::take(&mut *lock(&self.bodies)))
    }
}

fn birds() -> Arc<Schema> {
    let names = json!({"type": "array", "items": {"type": "string", "maxLength": 40}, "minItems": 3, "maxItems": 3});
    schema(json!({"type": "object", "properties": {"names": names}, "required": ["names"]}))
}

fn codes() -> Arc<Schema> {
    let code = json!({"type": "string", "pattern": "^[A-Z]{2}$"});
    schema(json!({"type": "object", "properties": {"names": {"type": "array", "items": code}}, "required": ["names"]}))
}

fn schema(document: Value) -> Arc<Schema> {
    Arc::new(Schema::new("Birds", document).unwrap())
}

const ANSWER: &str = r#"{"names":["a","b","c"]}"#;

fn openai(text: &str) -> Value {
    json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})
}

fn ollama(text: &str) -> Value {
    json!({"message": {"content": text}, "done": true, "done_reason": "stop"})
}

#[tokio::test]
async fn a_server_that_rejects_a_keyword_gets_no_bounds_from_then_on() {
    let server = Server::new(Provider::OpenAi, |body| {
        if body.to_string().contains("\"minItems\":") {
            let message = "Invalid schema for response_format 'Birds': In context=('properties', 'names'), 'minItems' is not permitted.";
            return (400, json!({"error": {"message": message, "param": "response_format"}}));
        }
        (200, openai(ANSWER))
    });
    let names = |body: &Value| body["response_format"]["json_schema"]["schema"]["properties"]["names"].clone();
    let (answer, bodies) = server.call(&birds()).await;
    assert_eq!((answer.as_str(), bodies.len()), (ANSWER, 2));
    assert_eq!((&names(&bodies[0])["minItems"], &names(&bodies[0])["maxItems"]), (&json!(3), &json!(3)));
    assert_eq!(names(&bodies[0])["items"]["maxLength"], 40);
    assert_eq!(names(&bodies[1])["description"], "(minItems: 3, maxItems: 3)");
    assert_eq!(names(&bodies[1])["minItems"], Value::Null);
    for schema in [birds(), codes()] {
        let (_, bodies) = server.call(&schema).await;
        assert_eq!(bodies.len(), 1);
        assert_eq!(names(&bodies[0])["items"]["pattern"], Value::Null);
    }
}

#[tokio::test]
async fn a_schema_that_stopped_the_model_is_not_sent_again_and_others_are() {
    let server = Server::new(Provider::Ollama, |body| {
        if body["format"].to_string().contains("maxLength") {
            let message =
                "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error";
            return (500, json!({"error": message}));
        }
        (200, ollama(ANSWER))
    });
    let (answer, bodies) = server.call(&birds()).await;
    assert_eq!((answer.as_str(), bodies.len()), (ANSWER, 2));
    assert_eq!(bodies[1]["format"]["properties"]["names"], json!({"type": "array", "items": {"type": "string"}}));
    let (_, bodies) = server.call(&birds()).await;
    assert_eq!(bodies.len(), 1, "the schema is remembered");
    let (_, bodies) = server.call(&codes()).await;
    assert_eq!(bodies[0]["format"]["properties"]["names"]["items"]["pattern"], "^[A-Z]{2}$");
}

#[tokio::test]
async fn a_server_that_ignores_the_schema_gets_it_in_the_prompt() {
    for (provider, envelope) in [
        (Provider::OpenAi, openai as fn(&str) -> Value),
        (Provider::Ollama, ollama),
        (Provider::Anthropic, |text| json!({"content": [{"type": "text", "text": text}], "stop_reason": "end_turn"})),
    ] {
        let server = Server::new(provider, move |body| {
            let is_prompted = body.to_string().contains("a value of this JSON Schema");
            (200, envelope(if is_prompted { ANSWER } else { "Here are three birds: a, b and c." }))
        });
        let has_schema =
            |body: &Value| ["format", "response_format", "output_config"].iter().any(|field| body.get(field).is_some());
        let (answer, bodies) = server.call(&birds()).await;
        assert_eq!((answer.as_str(), bodies.len()), (ANSWER, 2), "{provider}");
        assert_eq!([has_schema(&bodies[0]), has_schema(&bodies[1])], [true, false], "{provider}");
        let correction = bodies[1]["messages"].as_array().unwrap().last().unwrap()["content"].to_string();
        assert!(
            correction.contains(r#"\"names\": [string (at most 40 characters), ...] (exactly 3 items)"#),
            "{correction}"
        );
        for schema in [birds(), codes()] {
            let (_, bodies) = server.call(&schema).await;
            assert_eq!(bodies.iter().map(has_schema).collect::<Vec<_>>(), [false], "{provider}");
        }
    }
}

#[tokio::test]
async fn prose_up_to_the_limit_of_tokens_is_a_reply_without_json() {
    let server = Server::new(Provider::OpenAi, |body| {
        let is_prompted = body.get("response_format").is_none();
        let (text, reason) = if is_prompted { (ANSWER.to_owned(), "stop") } else { ("A bird. ".repeat(40), "length") };
        (200, json!({"choices": [{"message": {"content": text}, "finish_reason": reason}]}))
    });
    let (answer, bodies) = server.call(&birds()).await;
    assert_eq!((answer.as_str(), bodies.len()), (ANSWER, 2));
}

#[tokio::test]
async fn one_reply_without_json_does_not_change_the_form_if_the_prompt_does_not_help() {
    let replies = Mutex::new(vec![ANSWER, "No.", "No."]);
    let server = Server::new(Provider::OpenAi, move |_| (200, openai(lock(&replies).pop().unwrap())));
    let request = Request { schema: Some(birds()), use_cache: Some(false), ..Request::new("Name three birds.") };
    let mut call = server.router.call(&server.engine, request, None).unwrap();
    assert!(call.next(None).await.is_err());
    lock(&server.bodies).clear();
    let (_, bodies) = server.call(&birds()).await;
    assert_eq!(bodies[0]["response_format"]["type"], "json_schema");
}
