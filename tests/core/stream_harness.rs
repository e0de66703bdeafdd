//! Shared by the tests of streams: a router over a simulator, and a consumer.

#![expect(unreachable_pub, reason = "each test program includes this file")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use madspark::message::Request;
use madspark::router::{Overrides, Policy, Response, Stream, StreamEvent, StreamOptions};
use madspark::simulator::{Fault, Route, Rule, Simulator};
use madspark::{Config, Engine, Error, ErrorKind, Provider, ProviderChoice, Router, Secret};

/// Long enough never to expire.
pub const TIMEOUT: Duration = Duration::from_secs(20);

pub const QUESTION: &str = "Why do rivers bend?";

pub struct Harness {
    pub simulator: Simulator,
    pub engine: Arc<Engine>,
    pub router: Arc<Router>,
}

impl Harness {
    /// Starts with OpenAI; falls back to Ollama and Gemini.
    pub fn new() -> Self {
        Self::with_provider(Provider::OpenAi, true)
    }

    pub fn with_provider(provider: Provider, fallback: bool) -> Self {
        Self::with_policy(provider, fallback, Policy::default())
    }

    pub fn with_policy(provider: Provider, fallback: bool, policy: Policy) -> Self {
        let simulator = Simulator::start().unwrap();
        let config = Config {
            ollama_host: simulator.ollama_url().into(),
            gemini_base_url: simulator.gemini_url().into(),
            gemini_api_key: Some(Secret::new("a-key-of-no-worth")),
            openai_base_url: simulator.openai_url().into(),
            openai_model: Some("simulated".to_owned()),
            anthropic_base_url: simulator.anthropic_url().into(),
            anthropic_model: Some("simulated".to_owned()),
            anthropic_api_key: Some(Secret::new("a-key-of-no-worth")),
            ..Config::default()
        };
        let primary_provider = Some(ProviderChoice::Pinned(provider));
        let overrides = Overrides {
            primary_provider,
            fallback_enabled: Some(fallback),
            // Every call must reach the simulator.
            cache_enabled: Some(false),
            policy,
            ..Overrides::default()
        };
        let router = Arc::new(Router::new(Arc::new(config), overrides));
        Self { simulator, engine: Arc::new(Engine::new()), router }
    }

    pub fn stream(&self, options: StreamOptions) -> Stream {
        self.router.stream(&self.engine, Request::new(QUESTION), None, options).unwrap()
    }

    /// Scripts the stream of `provider` and how it ends.
    pub fn script(&self, provider: Provider, pieces: &[&str], fault: Option<Fault>) {
        let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece.as_bytes())).collect();
        let route = Route::Provider(provider);
        self.simulator.on(Rule { route, pieces: Some(pieces), fault, ..Rule::default() }).unwrap();
    }

    /// The provider of each request.
    pub fn requested(&self) -> Vec<Provider> {
        self.simulator.requests().iter().filter_map(|request| request.provider).collect()
    }
}

/// Reads a stream. Returns the text after the last restart, the number of restarts, and the outcome.
pub async fn read(mut stream: Stream) -> (String, usize, Result<Response, Error>) {
    let (mut text, mut restarts) = (String::new(), 0);
    loop {
        match tokio::time::timeout(TIMEOUT, stream.next()).await.unwrap() {
            Ok(Some(StreamEvent::Delta(piece))) => {
                assert!(!piece.is_empty());
                text.push_str(&piece);
            }
            Ok(Some(other @ (StreamEvent::Partial(_) | StreamEvent::Complete(_)))) => {
                unreachable!("{other:?} in a stream of text")
            }
            Ok(Some(StreamEvent::Restarted(failed))) => {
                assert!(!failed.ok());
                text.clear();
                restarts += 1;
            }
            Ok(None) => {
                // The end is final.
                assert!(stream.next().await.unwrap().is_none());
                return (text, restarts, stream.finish());
            }
            Err(error) => {
                assert!(stream.next().await.unwrap().is_none());
                assert_eq!(stream.finish().unwrap_err().kind(), ErrorKind::Internal);
                return (text, restarts, Err(error));
            }
        }
    }
}

pub fn delta(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text:?}}}}}]}}\n\n")
}

pub const ROLE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
pub const STOP: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub const DONE: &str = "data: [DONE]\n\n";
