//! Each class of failure has its own count of attempts.

use std::sync::{Arc, Mutex};

use crate::stream_harness::{Harness, QUESTION};
use madspark::attempt::Attempt;
use madspark::message::Request;
use madspark::router::{AttemptObserver, Call, Rejection};
use madspark::schema::Schema;
use madspark::simulator::{Fault, Rule};
use madspark::{ErrorKind, Provider};
use serde_json::json;

fn call(harness: &Harness) -> Call {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    let schema = Some(Arc::new(Schema::new("Thing", schema).unwrap()));
    harness.router.call(&harness.engine, Request { schema, ..Request::new(QUESTION) }, None).unwrap()
}

fn reply(text: &str) -> Rule {
    Rule { text: Some(text.to_owned()), times: Some(1), ..Rule::default() }
}

#[tokio::test]
async fn a_reply_is_repaired_after_other_failures() {
    let busy = Rule { status: Some(503), times: Some(1), ..Rule::default() };
    let limited = Rule { headers: vec![("retry-after".to_owned(), "0".to_owned())], status: Some(429), ..busy.clone() };
    let cut = Rule { fault: Some(Fault::Truncate), times: Some(1), ..Rule::default() };
    for (failures, kinds) in [
        (vec![busy.clone()], vec![ErrorKind::Overloaded]),
        (vec![cut.clone(), limited], vec![ErrorKind::Disconnected, ErrorKind::RateLimited]),
        (vec![busy, cut], vec![ErrorKind::Overloaded, ErrorKind::Disconnected]),
    ] {
        let harness = Harness::with_provider(Provider::OpenAi, false);
        for rule in failures.into_iter().chain([reply("no JSON"), reply("{\"a\": 1}")]) {
            harness.simulator.on(rule).unwrap();
        }
        let mut call = call(&harness);
        assert_eq!(call.next(None).await.unwrap(), "{\"a\": 1}");
        let found: Vec<_> = call.finish().unwrap().0.attempts.iter().map(|attempt| attempt.error).collect();
        let expected = kinds.into_iter().chain([ErrorKind::InvalidOutput]).map(Some).chain([None]);
        assert_eq!(found, expected.collect::<Vec<_>>());
        let requests = harness.simulator.requests();
        let last = String::from_utf8_lossy(&requests.last().unwrap().body).into_owned();
        assert!(last.contains("could not be used"), "{last}");
    }
}

#[tokio::test]
async fn a_class_ends_the_attempts_of_its_own_count() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    let rules = [reply("no JSON"), Rule { status: Some(503), times: Some(1), ..Rule::default() }, reply("none")];
    for rule in rules {
        harness.simulator.on(rule).unwrap();
    }
    let error = call(&harness).next(None).await.unwrap_err();
    let found: Vec<_> = error.attempts().iter().map(|attempt| attempt.error.unwrap()).collect();
    assert_eq!(found, [ErrorKind::InvalidOutput, ErrorKind::Overloaded, ErrorKind::InvalidOutput]);
}

/// Records what it observes.
#[derive(Debug, Default)]
struct Log(Mutex<Vec<String>>);

impl AttemptObserver for Log {
    fn started(&self, _provider: Provider, _model: &str) {
        self.0.lock().unwrap().push("started".to_owned());
    }

    fn ended(&self, attempt: &Attempt, _cost: Option<f64>) {
        self.0.lock().unwrap().push(format!("ended {:?}", attempt.error));
    }

    fn rejected(&self, attempt: &Attempt) {
        self.0.lock().unwrap().push(format!("rejected {:?}", attempt.error));
    }
}

#[tokio::test]
async fn a_rejection_is_observed_before_the_next_attempt_starts() {
    let harness = Harness::with_provider(Provider::OpenAi, false);
    for rule in [reply("no JSON"), reply("{\"a\": \"x\"}"), reply("{\"a\": 1}")] {
        harness.simulator.on(rule).unwrap();
    }
    let log = Arc::new(Log::default());
    let mut call = call(&harness);
    call.observe(Some(Arc::<Log>::clone(&log)));
    assert_eq!(call.next(None).await.unwrap(), "{\"a\": \"x\"}");
    let first = ["started", "ended None", "rejected Some(InvalidOutput)", "started", "ended None"];
    assert_eq!(*log.0.lock().unwrap(), first);
    let rejection = Rejection { faults: vec!["a: no integer".to_owned()] };
    call.next(Some(rejection)).await.unwrap_err();
    assert_eq!(log.0.lock().unwrap()[5..], ["rejected Some(InvalidOutput)"]);
}
