//! One state per target, for as long as somebody uses it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::breaker::BreakerOutcome;
use super::super::target_state::TargetStates;
use crate::config::{Limits, Provider, Secret};
use crate::provider::{ModelOptions, Target};

fn target(key: &str, model: &str) -> Target {
    Target {
        provider: Provider::OpenAi,
        model: Arc::from(model),
        base_url: "http://localhost:1/v1".into(),
        key: Some(Secret::new(key)),
        timeout: Duration::from_secs(1),
        options: ModelOptions::default(),
        facts: None,
    }
}

#[test]
fn equal_targets_share_a_state_and_a_request_s_timeout_is_no_part_of_it() {
    let states = TargetStates::default();
    let one = states.of(&target("key", "model"));
    let same =
        Target { timeout: Duration::from_secs(9), base_url: "http://localhost:1/v1/".into(), ..target("key", "model") };
    assert!(Arc::ptr_eq(&one, &states.of(&same)));
}

#[test]
fn another_key_model_address_or_dialect_is_another_target() {
    let states = TargetStates::default();
    let base = || target("key", "model");
    let all = [
        base(),
        target("yek", "model"),
        target("key", "other"),
        target("keym", "odel"),
        Target { key: None, ..base() },
        Target { base_url: "http://localhost:2/v1".into(), ..base() },
        Target { provider: Provider::Anthropic, ..base() },
    ];
    for target in &all {
        states.of(target);
    }
    assert_eq!(states.len(), all.len());
}

#[test]
fn one_tenant_s_bad_key_opens_no_other_tenant_s_breaker() {
    let (states, now) = (TargetStates::default(), Instant::now());
    let (bad, good) = (states.of(&target("bad", "model")), states.of(&target("good", "model")));
    for _ in 0..5 {
        bad.breaker.admit(now).unwrap().settle(BreakerOutcome::Failure, now);
    }
    assert!(states.of(&target("bad", "model")).breaker.admit(now).is_err());
    assert!(good.breaker.admit(now).is_ok());
}

#[test]
fn nothing_shows_a_key() {
    let states = TargetStates::default();
    let state = states.of(&target("sk-secret", "model"));
    let shown = format!("{states:?} {state:?}");
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn the_number_of_targets_is_bounded_and_what_is_in_use_stays() {
    let (states, now) = (TargetStates::default(), Instant::now());
    let is_open = |key: &str| states.of(&target(key, "model")).breaker.admit(now).is_err();
    let open = |key: &str| {
        let state = states.of(&target(key, "model"));
        for _ in 0..5 {
            state.breaker.admit(now).unwrap().settle(BreakerOutcome::Failure, now);
        }
    };
    let ticket = states.of(&target("ticket", "model")).breaker.admit(now).unwrap();
    let reservation = states.of(&target("reserved", "model")).limiter.try_reserve(Limits::default(), 1, now).unwrap();
    let held = states.of(&target("held", "model"));
    open("idle");
    open("recent");
    for number in 0..20_000 {
        states.of(&target(&number.to_string(), "model"));
        assert!(is_open("recent"));
        assert!(states.len() <= 3072);
    }
    ticket.settle(BreakerOutcome::Cooldown(Duration::from_secs(9)), now);
    assert!(is_open("ticket"));
    assert_eq!(states.of(&target("reserved", "model")).limiter.in_flight(), 1);
    assert!(Arc::ptr_eq(&held, &states.of(&target("held", "model"))));
    assert!(!is_open("idle"), "the idle one made room");
    drop(reservation);
}

#[test]
fn the_table_grows_no_further_than_twice_what_it_holds() {
    let states = TargetStates::default();
    for key in 0..40_000 {
        states.of(&target(&key.to_string(), "model"));
        assert!(states.capacity() <= 7168, "{} after {key}", states.capacity());
    }
    assert_eq!(states.len(), 3072);
}
