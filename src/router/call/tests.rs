//! Invariants of calls over random networks, under a paused clock.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use fastrand::Rng;
use futures_util::FutureExt;
use futures_util::future::join_all;
use http::Method;
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::{Value, json};
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::attempt::Attempt;
use crate::config::{CacheConfig, Config, Limits, ModelTier, ProviderChoice, Secret};
use crate::router::breaker::BreakerOutcome;
use crate::router::target_state::TargetKey;
use crate::router::{Budget, Hedge, OnRefusal, Overrides, Policy, plan};
use crate::schema::Schema;
use crate::transport::{Scripted, WireReply, WireRequest};

/// The tokens of one reply.
const TOKENS: u64 = 30;

/// The number of random traces of each test. Two tests use two cores.
const TRACES: u64 = 50_000;

/// The fault of one request.
#[derive(Debug, Clone, PartialEq)]
enum Fault {
    None,
    Text(&'static str),
    Status(u16, &'static str),
    RetryAfter(u16, u32),
    Connection(ErrorKind),
    Hang,
}

fn faults() -> Vec<Fault> {
    use Fault::{Connection, None, RetryAfter, Status, Text};
    vec![
        None,
        None,
        None,
        Text("{\"title\": 5}"),
        Text("no json"),
        Text(""),
        Status(200, "{\"cut"),
        Status(200, "<html>"),
        Status(400, "bad parameter"),
        Status(400, "this model's maximum context length is 9 tokens"),
        Status(400, "Invalid schema for response_format"),
        Status(401, "wrong key"),
        Status(403, "not yours"),
        Status(404, "model not found"),
        Status(429, "slow down"),
        Status(429, "insufficient_quota"),
        Status(429, "requests per day"),
        RetryAfter(429, 0),
        RetryAfter(429, 3),
        RetryAfter(429, 90),
        RetryAfter(503, 2),
        Status(500, "oops"),
        Status(503, "overloaded"),
        Status(529, "overloaded"),
        Connection(ErrorKind::Connect),
        Connection(ErrorKind::Dns),
        Connection(ErrorKind::Tls),
        Connection(ErrorKind::ConnectTimeout),
        Connection(ErrorKind::Disconnected),
        Connection(ErrorKind::MalformedReply),
        Fault::Hang,
    ]
}

/// A request that the network received.
#[derive(Debug, Clone)]
struct Received {
    host: String,
    fault: Fault,
}

/// A router, a network and calls, generated from one seed.
struct Trace {
    router: Arc<Router>,
    engine: Arc<Engine>,
    requests: Arc<Mutex<Vec<Received>>>,
    max_in_flight: Arc<AtomicU32>,
    structured: bool,
    calls: usize,
}

fn trace(seed: u64) -> Trace {
    let mut random = Rng::with_seed(seed);
    fastrand::seed(seed);
    let faults = faults();
    // The failure rate: some networks rarely fail, some always.
    let failure_rate = random.f64();
    let slowest = [0.0, 0.5, 5.0, 90.0][random.usize(..4)];
    let requests = Arc::new(Mutex::new(Vec::new()));
    let (in_flight, max_in_flight) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (log, most, network) = (Arc::clone(&requests), Arc::clone(&max_in_flight), Mutex::new(random.fork()));
    let transport = Scripted::new(move |request| {
        let (fault, latency) = {
            let mut random = network.lock().unwrap();
            let fault =
                if random.f64() < failure_rate { faults[random.usize(..faults.len())].clone() } else { Fault::None };
            (fault, Duration::from_secs_f64(random.f64() * slowest))
        };
        // Lookups of models and their facts are not attempts.
        if request.method == Method::POST && request.url.path() != "/api/show" {
            log.lock()
                .unwrap()
                .push(Received { host: request.url.host_str().unwrap().to_owned(), fault: fault.clone() });
        }
        let in_flight_guard = InFlight::new(&in_flight, &most);
        async move {
            let _guard = in_flight_guard;
            sleep(latency).await;
            answer(&request, fault).await
        }
        .boxed()
    });
    let pinned = [ProviderChoice::Auto]
        .into_iter()
        .chain([Provider::Ollama, Provider::Gemini, Provider::OpenAi, Provider::Anthropic].map(ProviderChoice::Pinned));
    let budget = Budget {
        max_tokens: random.bool().then(|| random.u64(0..200)),
        max_cost: None,
        max_calls: random.bool().then(|| random.u64(0..12)),
    };
    let policy = Policy {
        deadline: random.bool().then(|| Duration::from_millis(random.u64(1..100_000))),
        max_attempts: random.u32(1..9),
        budget: if random.u8(..4) == 0 { budget } else { Budget::default() },
        on_refusal: if random.bool() { OnRefusal::Stop } else { OnRefusal::Next },
        hedge: (random.u8(..3) == 0).then(|| Hedge::After(Duration::from_millis(random.u64(1..5000)))),
    };
    let limits = Limits {
        concurrent: random.bool().then(|| random.u32(1..4)),
        requests_per_minute: (random.u8(..4) == 0).then(|| random.u32(1..20)),
        tokens_per_minute: (random.u8(..4) == 0).then(|| random.u64(1..500)),
    };
    let key = || Some(Secret::new("a-key-for-tests"));
    let config = Config {
        ollama_host: "http://ollama.test".into(),
        gemini_base_url: "http://gemini.test".into(),
        gemini_api_key: if random.u8(..8) == 0 { None } else { key() },
        openai_base_url: "http://openai.test".into(),
        openai_model: Some("gpt".to_owned()),
        anthropic_base_url: "http://anthropic.test".into(),
        anthropic_model: Some("claude-sonnet-4-5".to_owned()),
        anthropic_api_key: key(),
        limits: if random.u8(..4) == 0 { [(Provider::Ollama, limits)].into() } else { BTreeMap::new() },
        ..Config::default()
    };
    let overrides = Overrides {
        primary_provider: pinned.collect::<Vec<_>>().get(random.usize(..5)).copied(),
        fallback_enabled: Some(random.u8(..4) > 0),
        model_tier: Some(if random.bool() { ModelTier::Fast } else { ModelTier::Quality }),
        cache_enabled: Some(false),
        policy,
    };
    Trace {
        router: Arc::new(Router::new(Arc::new(config), overrides)),
        engine: Arc::new(Engine::with_transport(transport)),
        requests,
        max_in_flight,
        structured: random.bool(),
        calls: if random.bool() { 1 } else { random.usize(1..5) },
    }
}

/// Counts the requests in flight.
struct InFlight(Arc<AtomicU32>);

impl InFlight {
    fn new(count: &Arc<AtomicU32>, most: &Arc<AtomicU32>) -> Self {
        let now = count.fetch_add(1, Ordering::Relaxed) + 1;
        most.fetch_max(now, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn answer(request: &WireRequest, fault: Fault) -> Result<WireReply> {
    let mut headers = HeaderMap::new();
    let (status, body) = match fault {
        Fault::None => (200, reply(request, "{\"title\": \"Moss\"}")),
        Fault::Text(text) => (200, reply(request, text)),
        Fault::Status(200, body) => (200, Bytes::from_static(body.as_bytes())),
        Fault::Status(status, words) => (status, error_body(words)),
        Fault::RetryAfter(status, seconds) => {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            (status, error_body("slow down"))
        }
        Fault::Connection(kind) => return Err(Error::new(kind, "the connection failed")),
        Fault::Hang => std::future::pending().await,
    };
    Ok(WireReply { status, headers, body })
}

fn error_body(words: &str) -> Bytes {
    Bytes::from(json!({"error": {"message": words}}).to_string())
}

/// Returns `text` in the envelope of the protocol of `request`.
fn reply(request: &WireRequest, text: &str) -> Bytes {
    let body = match request.url.host_str().unwrap() {
        "ollama.test" => json!({"message": {"content": text}, "done": true, "done_reason": "stop",
            "prompt_eval_count": 20, "eval_count": 10}),
        "gemini.test" => json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 20, "candidatesTokenCount": 10}}),
        "openai.test" => json!({"choices": [{"message": {"content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 10}}),
        _ => json!({"content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
            "usage": {"input_tokens": 20, "output_tokens": 10}}),
    };
    Bytes::from(body.to_string())
}

/// The outcome of one call of a trace.
struct Outcome {
    result: Result<Response>,
    elapsed: Duration,
}

async fn call(trace: &Trace, schema: Option<Arc<Schema>>) -> Outcome {
    let started = Instant::now();
    let request = Request { schema, ..Request::new("a prompt of some words, as long as it is") };
    let mut call = trace.router.call(&trace.engine, request, None).unwrap();
    let mut rejection = None;
    let result = loop {
        let is_valid = match call.next(rejection.take()).await {
            Err(error) => break Err(error),
            Ok(text) if !trace.structured => !text.is_empty(),
            Ok(text) => serde_json::from_str::<Value>(text).is_ok_and(|value| value["title"].is_string()),
        };
        if is_valid {
            break call.finish().map(|(response, _)| response);
        }
        rejection = Some(Rejection { faults: vec!["title: must be a string".to_owned()] });
    };
    Outcome { result, elapsed: started.elapsed() }
}

async fn check(seed: u64, schema: &Arc<Schema>) {
    let trace = trace(seed);
    let schema = trace.structured.then(|| Arc::clone(schema));
    let outcomes = join_all((0..trace.calls).map(|_| call(&trace, schema.clone()))).await;
    let requests = trace.requests.lock().unwrap().clone();
    let policy = *trace.router.policy();
    let mut recorded = 0;
    for Outcome { result, elapsed } in &outcomes {
        if let Some(deadline) = policy.deadline {
            assert!(*elapsed <= deadline + Duration::from_millis(50), "{seed}: {elapsed:?} of {deadline:?}");
        }
        let attempts = match result {
            Ok(response) => &response.attempts[..],
            Err(error) => error.attempts(),
        };
        let sent: Vec<_> = attempts.iter().filter(|one| !is_uncounted(one)).collect();
        recorded += sent.len();
        assert!(sent.len() <= policy.max_attempts as usize, "{seed}: {attempts:?}");
        check_attempts(seed, result, attempts, policy.on_refusal);
    }
    assert!(requests.len() <= recorded, "{seed}: {} requests for {recorded} attempts", requests.len());
    if let Some(max) = policy.budget.max_calls {
        let connected = requests.iter().filter(|one| !is_unconnected(&one.fault)).count() as u64;
        assert!(connected <= max, "{seed}: {connected} of {max}");
    }
    let tokens = trace.router.metrics().total_tokens;
    if let Some(max) = policy.budget.max_tokens {
        let most = u64::from(trace.max_in_flight.load(Ordering::Relaxed)) * TOKENS;
        assert!(tokens <= max.saturating_add(most), "{seed}: {tokens} of {max}");
    }
    let hosts = ["ollama", "gemini", "openai", "anthropic"].map(|name| format!("{name}.test"));
    assert!(requests.iter().all(|one| hosts.contains(&one.host)), "{seed}: {requests:?}");
    let forced = [Provider::Ollama, Provider::Gemini, Provider::OpenAi, Provider::Anthropic];
    for provider in forced {
        for target in plan::targets(&trace.router, Some(provider)) {
            let state = trace.engine.states.of(TargetKey::of(&target));
            assert_eq!((state.limiter.in_flight(), state.limiter.waiting()), (0, 0), "{seed}: {target:?}");
            assert!(state.breaker.is_idle(), "{seed}: {target:?}");
        }
    }
}

fn is_unconnected(fault: &Fault) -> bool {
    use ErrorKind::{Connect, ConnectTimeout, Dns, Tls};
    matches!(fault, Fault::Connection(Connect | ConnectTimeout | Dns | Tls))
}

/// Whether the attempt does not count against the limit of requests.
fn is_uncounted(attempt: &Attempt) -> bool {
    matches!(
        attempt.error,
        Some(
            ErrorKind::MissingKey
                | ErrorKind::NotConfigured
                | ErrorKind::Cooldown
                | ErrorKind::BreakerOpen
                | ErrorKind::Unsupported
        )
    )
}

fn check_attempts(seed: u64, result: &Result<Response>, attempts: &[Attempt], on_refusal: OnRefusal) {
    match result {
        Ok(response) => {
            let last = attempts.last().unwrap();
            assert!(last.ok() && last.provider.as_str() == &*response.provider, "{seed}: {attempts:?}");
            assert!(attempts[..attempts.len() - 1].iter().all(|one| !one.ok()), "{seed}: {attempts:?}");
            let total: u64 = attempts.iter().map(|one| one.usage.total()).sum();
            assert_eq!(response.tokens, total, "{seed}");
        }
        Err(error) => {
            assert!(attempts.iter().all(|one| !one.ok()), "{seed}: {attempts:?}");
            let known = [
                ErrorKind::AllTargetsFailed,
                ErrorKind::DeadlineReached,
                ErrorKind::BudgetReached,
                ErrorKind::Refused,
                ErrorKind::Blocked,
            ];
            assert!(known.contains(&error.kind()), "{seed}: {error:?}");
        }
    }
    let stops = |one: &&Attempt| {
        let is_refusal = matches!(one.error, Some(ErrorKind::Refused | ErrorKind::Blocked));
        is_refusal && on_refusal == OnRefusal::Stop
    };
    let before_last = &attempts[..attempts.len().saturating_sub(1)];
    assert_eq!(before_last.iter().filter(stops).count(), 0, "{seed}: a request after a refusal: {attempts:?}");
}

fn run(seeds: std::ops::Range<u64>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let document = json!({"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]});
    let schema = Arc::new(Schema::new("Title", document).unwrap());
    runtime.block_on(async {
        for seed in seeds {
            check(seed, &schema).await;
        }
    });
}

#[test]
fn limits_hold_under_random_faults() {
    run(0..TRACES);
}

#[test]
fn limits_hold_under_more_random_faults() {
    run(TRACES..2 * TRACES);
}

#[tokio::test]
async fn a_call_that_goes_to_another_target_releases_the_calls_that_wait_for_its_request() {
    let two_requests = Arc::new(Barrier::new(2));
    let transport = Scripted::new(move |request| {
        let two_requests = Arc::clone(&two_requests);
        async move {
            two_requests.wait().await;
            answer(&request, Fault::None).await
        }
        .boxed()
    });
    let limits = Limits { concurrent: Some(1), ..Limits::default() };
    let dir = std::env::temp_dir().join(format!("madspark-released-{}", std::process::id()));
    let config = Config {
        ollama_host: "http://ollama.test".into(),
        gemini_base_url: "http://gemini.test".into(),
        gemini_api_key: Some(Secret::new("a-key-for-tests")),
        limits: [(Provider::Ollama, limits)].into(),
        cache: CacheConfig { dir, ..CacheConfig::default() },
        ..Config::default()
    };
    let overrides = Overrides { cache_enabled: Some(true), fallback_enabled: Some(true), ..Overrides::default() };
    let router = Arc::new(Router::new(Arc::new(config), overrides));
    let engine = Arc::new(Engine::with_transport(transport));
    let ollama = engine.states.of(TargetKey::of(&plan::targets(&router, None)[0]));
    let busy = ollama.limiter.try_reserve(limits, 0, Instant::now()).unwrap();

    let call = || router.call(&engine, Request::new("What grows?"), None).unwrap();
    let (mut leader, mut follower) = (call(), call());
    let open_breaker = async {
        while ollama.limiter.waiting() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        // The follower waits for the leader's request to Ollama.
        sleep(Duration::from_millis(100)).await;
        for _ in 0..5 {
            ollama.breaker.admit(Instant::now()).unwrap().settle(BreakerOutcome::Failure, Instant::now());
        }
        drop(busy);
    };
    let calls = async { tokio::join!(leader.next(None), follower.next(None), open_breaker) };
    let (leader, follower, ()) = timeout(Duration::from_secs(10), calls).await.expect("the follower was released");
    assert_eq!(leader.unwrap(), follower.unwrap());
}
