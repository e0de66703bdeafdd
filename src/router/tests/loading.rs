//! Calls to a server that is still loading its model.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::HeaderMap;
use tokio::time::{Instant, sleep};

use crate::config::{CacheConfig, Config, Provider, ProviderChoice};
use crate::error::{Error, ErrorKind, Result};
use crate::message::Request;
use crate::router::{Engine, Overrides, Policy, Response, Router};
use crate::sync::Arc;
use crate::transport::{Scripted, WireReply};

const LOADING: &str = r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#;
const ANSWER: &str = r#"{"choices":[{"message":{"content":"Moss."},"finish_reason":"stop"}]}"#;

/// Calls an OpenAI-compatible server that reports for `loading` that it loads its model, and may answer with another
/// failure before that.
async fn call(loading: Duration, first_status: u16, policy: Policy) -> (Result<Response>, u32, Duration) {
    let requests = Arc::new(AtomicU32::new(0));
    let (count, since) = (Arc::clone(&requests), Instant::now());
    let transport = Scripted::new(move |_| {
        let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
        let (status, body) = match since.elapsed() < loading {
            _ if is_first && first_status != 503 => (first_status, r#"{"error":"no"}"#),
            true => (503, LOADING),
            false => (200, ANSWER),
        };
        let reply = WireReply { status, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) };
        async move {
            sleep(Duration::from_millis(10)).await;
            Ok(reply)
        }
        .boxed()
    });
    let config = Config {
        openai_base_url: "http://openai.test/v1".into(),
        openai_model: Some("m".to_owned()),
        cache: CacheConfig { enabled: false, ..CacheConfig::default() },
        ..Config::default()
    };
    let overrides = Overrides {
        primary_provider: Some(ProviderChoice::Pinned(Provider::OpenAi)),
        fallback_enabled: Some(false),
        policy,
        ..Overrides::default()
    };
    let router = Arc::new(Router::new(Arc::new(config), overrides));
    let engine = Arc::new(Engine::with_transport(transport));
    let mut call =
        router.call(&engine, Request { use_cache: Some(false), ..Request::new("What grows?") }, None).unwrap();
    let result = match call.next(None).await {
        Ok(_) => call.finish().map(|(response, _)| response),
        Err(error) => Err(error),
    };
    (result, requests.load(Ordering::Relaxed), since.elapsed())
}

fn seconds(deadline: u64) -> Policy {
    Policy { deadline: Some(Duration::from_secs(deadline)), ..Policy::default() }
}

fn kinds(error: &Error) -> Vec<ErrorKind> {
    error.causes().iter().map(Error::kind).collect()
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_within_its_deadline_until_the_model_is_loaded() {
    let (result, requests, elapsed) = call(Duration::from_secs(20), 503, seconds(60)).await;
    let response = result.unwrap();
    assert_eq!(response.text, "Moss.");
    assert_eq!(response.attempts.len(), requests as usize);
    assert_eq!(response.attempts[0].error, Some(ErrorKind::Loading));
    assert!((8..60).contains(&requests), "{requests}");
    assert!(elapsed < Duration::from_secs(23), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_the_time_limit_of_a_request_bounds_the_wait() {
    let (result, ..) = call(Duration::from_secs(300), 503, Policy::default()).await;
    assert_eq!(result.unwrap().text, "Moss.");
    let (result, _, elapsed) = call(Duration::from_secs(3000), 503, Policy::default()).await;
    assert_eq!(kinds(&result.unwrap_err()), [ErrorKind::Loading]);
    assert!((590..610).contains(&elapsed.as_secs()), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait() {
    let (result, _, elapsed) = call(Duration::from_secs(300), 503, seconds(5)).await;
    let error = result.unwrap_err();
    assert_eq!(kinds(&error), [ErrorKind::Loading]);
    assert!(error.message().contains("Loading model"), "{error}");
    assert!(elapsed <= Duration::from_secs(5), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn loading_uses_up_no_attempt_of_other_failures() {
    let policy = Policy { max_attempts: 2, ..seconds(60) };
    let (result, ..) = call(Duration::from_secs(20), 500, policy).await;
    assert_eq!(result.unwrap().text, "Moss.");
}
