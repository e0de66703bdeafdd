//! Which target of a call receives the address of a web page, which one its text, and when it is fetched.

use std::future::{pending, ready};
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::HeaderMap;
use tokio::time::{Instant, sleep};

use crate::attempt;
use crate::config::{CacheConfig, Config, Provider, ProviderChoice, Secret};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{OnPageError, PageStatus, Part, Request, WebPage};
use crate::router::{Engine, Overrides, Policy, Response, Router};
use crate::sync::Arc;
use crate::transport::{Scripted, WireReply};

const ADDRESS: &str = "https://example.org/plan?token=s3cret";
const GEMINI: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Moss."}]},"finishReason":"STOP"}]}"#;
const OLLAMA: &str = r#"{"message":{"content":"Moss."},"done":true,"done_reason":"stop"}"#;

/// What happens if a page is fetched.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fetch {
    Text,
    Fails,
    Skipped,
    Hangs,
}

/// A page that records how it was requested.
#[derive(Debug)]
struct ScriptedPage {
    fetch: Fetch,
    requested: Mutex<Vec<bool>>,
}

impl WebPage for ScriptedPage {
    fn part(&self, by_address: bool) -> BoxFuture<'_, Result<Part>> {
        self.requested.lock().unwrap().push(by_address);
        let text = || Part::Text { name: std::sync::Arc::from("plan"), text: std::sync::Arc::from("Moss grows.") };
        match self.fetch {
            _ if by_address => ready(Ok(Part::Url(ADDRESS.into()))).boxed(),
            Fetch::Text => ready(Ok(text())).boxed(),
            Fetch::Fails => ready(Err(Error::new(ErrorKind::PageUnavailable, "the page is gone"))).boxed(),
            Fetch::Skipped => ready(Ok(Part::MissingPage("plan".into()))).boxed(),
            Fetch::Hangs => pending().boxed(),
        }
    }

    fn document(&self) -> Option<&Part> {
        None
    }

    fn failure(&self) -> Option<attempt::Page> {
        let url = "https://example.org/plan?…".to_owned();
        (self.fetch == Fetch::Skipped).then_some(attempt::Page { url, status: PageStatus::Error, reason: None })
    }

    fn on_error(&self) -> OnPageError {
        if self.fetch == Fetch::Skipped { OnPageError::Skip } else { OnPageError::Fail }
    }
}

/// The outcome of a call with a page, how its targets requested the page, and what was sent to each.
struct Outcome {
    result: Result<Response>,
    requested: Vec<bool>,
    sent: Vec<(String, String)>,
}

/// Calls `first` with a fallback to the other of Ollama and Gemini. Hosts in `broken` answer with HTTP 500, all of them after
/// five seconds. The call began `ago` before.
async fn call(first: Provider, broken: &'static [&'static str], fetch: Fetch, policy: Policy, ago: u64) -> Outcome {
    let sent = Arc::<Mutex<Vec<(String, String)>>>::default();
    let received = Arc::clone(&sent);
    let transport = Scripted::new(move |wire| {
        let host = wire.url.host_str().unwrap().to_owned();
        let is_call = wire.url.path().ends_with("chat") || wire.url.path().ends_with("generateContent");
        let (status, body) = match host.as_str() {
            _ if !is_call => (404, "{}"),
            host if broken.contains(&host) => (500, r#"{"error":"broken"}"#),
            "gemini.test" => (200, GEMINI),
            _ => (200, OLLAMA),
        };
        if is_call {
            received.lock().unwrap().push((host, String::from_utf8(wire.body.to_vec()).unwrap()));
        }
        let reply = WireReply { status, headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) };
        async move {
            sleep(Duration::from_secs(5)).await;
            Ok(reply)
        }
        .boxed()
    });
    let config = Config {
        ollama_host: "http://ollama.test".into(),
        gemini_base_url: "http://gemini.test/v1beta".into(),
        gemini_api_key: Some(Secret::new("key")),
        cache: CacheConfig { enabled: false, ..CacheConfig::default() },
        ..Config::default()
    };
    let primary_provider = Some(ProviderChoice::Pinned(first));
    let overrides = Overrides { primary_provider, policy, ..Overrides::default() };
    let router = Arc::new(Router::new(Arc::new(config), overrides));
    let engine = Arc::new(Engine::with_transport(transport));
    let page = Arc::new(ScriptedPage { fetch, requested: Mutex::default() });
    let parts = vec![Part::Page(Arc::<ScriptedPage>::clone(&page))];
    let request = Request { parts, ..Request::new("What grows?") };
    let mut call = router.call(&engine, request, None).unwrap();
    call.begin_at(Instant::now() - Duration::from_secs(ago));
    let result = match call.next(None).await {
        Ok(_) => call.finish().map(|(response, _)| response),
        Err(error) => Err(error),
    };
    let (requested, sent) = (page.requested.lock().unwrap().clone(), sent.lock().unwrap().clone());
    Outcome { result, requested, sent }
}

fn deadline(seconds: u64) -> Policy {
    Policy { deadline: Some(Duration::from_secs(seconds)), ..Policy::default() }
}

#[tokio::test(start_paused = true)]
async fn only_the_first_target_receives_an_address() {
    let Outcome { result, requested, sent } =
        call(Provider::Gemini, &["gemini.test"], Fetch::Text, Policy::default(), 0).await;
    assert_eq!(&*result.unwrap().provider, "ollama");
    assert_eq!(requested, [true, false], "it is fetched for the fallback, and not before");
    let [(_, gemini), (host, ollama)] = &sent[..] else { panic!("{sent:?}") };
    assert!(gemini.contains(ADDRESS) && gemini.contains("urlContext"), "{gemini}");
    assert_eq!(host, "ollama.test");
    assert!(ollama.contains("Moss grows.") && !ollama.contains("s3cret"), "{ollama}");

    let Outcome { result, requested, sent } =
        call(Provider::Ollama, &["ollama.test"], Fetch::Text, Policy::default(), 0).await;
    assert_eq!(&*result.unwrap().provider, "gemini");
    assert_eq!(requested, [false, false]);
    let (_, gemini) = sent.last().unwrap();
    assert!(gemini.contains("Moss grows.") && !gemini.contains("urlContext"), "{gemini}");
    assert!(sent.iter().all(|(_, body)| !body.contains("example.org")), "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_a_fallback_lacks_ends_the_call_or_is_recorded() {
    let Outcome { result, sent, .. } =
        call(Provider::Gemini, &["gemini.test"], Fetch::Fails, Policy::default(), 0).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PageUnavailable);
    let last = error.attempts().last().unwrap();
    assert_eq!((last.error, last.sent), (Some(ErrorKind::PageUnavailable), false));
    assert_eq!(sent.len(), 1, "nothing follows");

    let Outcome { result, sent, .. } =
        call(Provider::Gemini, &["gemini.test"], Fetch::Skipped, Policy::default(), 0).await;
    let response = result.unwrap();
    assert!(sent[1].1.contains("The web page \\\"plan\\\" could not be read"), "{sent:?}");
    let pages = &response.attempts.last().unwrap().pages;
    assert_eq!(pages.iter().map(|page| &*page.url).collect::<Vec<_>>(), ["https://example.org/plan?…"]);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_includes_loading_the_attachments_and_fetching_for_a_fallback() {
    // The reply takes five seconds.
    assert!(call(Provider::Gemini, &[], Fetch::Text, deadline(10), 4).await.result.is_ok());
    let late = call(Provider::Gemini, &[], Fetch::Text, deadline(10), 6).await.result.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::DeadlineReached);
    let since = Instant::now();
    let late = call(Provider::Gemini, &["gemini.test"], Fetch::Hangs, deadline(10), 0).await.result.unwrap_err();
    assert_eq!((late.kind(), since.elapsed().as_secs()), (ErrorKind::DeadlineReached, 10));
}
