//! The states of targets: their identity, isolation and eviction.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::breaker::BreakerOutcome;
use super::super::target_state::{TargetKey, TargetState, TargetStates};
use crate::config::{Limits, Provider, Secret};
use crate::provider::Target;

fn target(key: &str, model: &str) -> Target {
    Target::new(Provider::OpenAi, model, &"http://localhost:1/v1".into(), Some(&Secret::new(key)))
}

fn state_of(states: &TargetStates, key: &str) -> Arc<TargetState> {
    states.of(TargetKey::of(&target(key, "model")))
}

#[test]
fn equal_targets_share_a_state_whatever_their_timeout() {
    let states = TargetStates::default();
    let one = state_of(&states, "key");
    let same =
        Target { timeout: Duration::from_secs(9), base_url: "http://localhost:1/v1/".into(), ..target("key", "model") };
    assert!(Arc::ptr_eq(&one, &states.of(TargetKey::of(&same))));
}

#[test]
fn key_model_base_url_and_provider_identify_a_target() {
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
        states.of(TargetKey::of(target));
    }
    assert_eq!(states.len(), all.len());
}

#[test]
fn a_wrong_key_does_not_open_the_breaker_of_another_key() {
    let (states, now) = (TargetStates::default(), Instant::now());
    let (bad, good) = (state_of(&states, "bad"), state_of(&states, "good"));
    for _ in 0..5 {
        bad.breaker.admit(now).unwrap().settle(BreakerOutcome::Failure, now);
    }
    assert!(state_of(&states, "bad").breaker.admit(now).is_err());
    assert!(good.breaker.admit(now).is_ok());
}

#[test]
fn debug_output_contains_no_key() {
    let states = TargetStates::default();
    let state = state_of(&states, "sk-secret");
    let shown = format!("{states:?} {state:?}");
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn idle_targets_are_evicted_and_those_in_use_are_kept() {
    let (states, now) = (TargetStates::default(), Instant::now());
    let is_open = |key: &str| state_of(&states, key).breaker.admit(now).is_err();
    let open = |key: &str| {
        let state = state_of(&states, key);
        for _ in 0..5 {
            state.breaker.admit(now).unwrap().settle(BreakerOutcome::Failure, now);
        }
    };
    let permit = state_of(&states, "permit").breaker.admit(now).unwrap();
    let reservation = state_of(&states, "reserved").limiter.try_reserve(Limits::default(), 1, now).unwrap();
    let held = state_of(&states, "held");
    open("idle");
    open("recent");
    for number in 0..20_000 {
        state_of(&states, &number.to_string());
        assert!(is_open("recent"));
        assert!(states.len() <= 3072);
    }
    permit.settle(BreakerOutcome::Cooldown(Duration::from_secs(9)), now);
    assert!(is_open("permit"));
    assert_eq!(state_of(&states, "reserved").limiter.in_flight(), 1);
    assert!(Arc::ptr_eq(&held, &state_of(&states, "held")));
    assert!(!is_open("idle"), "the idle one was evicted");
    drop(reservation);
}

#[test]
fn the_table_does_not_grow_beyond_its_capacity() {
    let states = TargetStates::default();
    for key in 0..40_000 {
        state_of(&states, &key.to_string());
        assert!(states.capacity() <= 7168, "{} after {key}", states.capacity());
    }
    assert_eq!(states.len(), 3072);
}
