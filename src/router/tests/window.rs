//! The window, compared with a list of all admissions.

use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::super::window::Window;
use crate::config::Limits;

const MINUTE: Duration = Duration::from_secs(60);

/// How late the first admission of a burst may expire.
const RESOLUTION: Duration = Duration::from_millis(500);

fn per_minute(requests: Option<u32>, tokens: Option<u64>) -> Limits {
    Limits { concurrent: None, requests_per_minute: requests, tokens_per_minute: tokens }
}

#[test]
fn a_request_after_a_burst_waits_for_the_first_to_expire() {
    let (mut window, start) = (Window::default(), Instant::now());
    let limits = per_minute(Some(3), None);
    for second in 0..3 {
        let now = start + Duration::from_secs(second);
        assert_eq!(window.ready_in(limits, 0, now), Duration::ZERO);
        window.add(1, 0, now);
    }
    let now = start + Duration::from_secs(10);
    assert_eq!(window.ready_in(limits, 0, now), Duration::from_secs(50));
    assert_eq!(window.ready_in(per_minute(Some(2), None), 0, now), Duration::from_secs(51));
    assert_eq!(window.ready_in(per_minute(Some(4), None), 0, now), Duration::ZERO);
    assert_eq!(window.ready_in(limits, 0, start + MINUTE), Duration::ZERO);
}

#[test]
fn actual_tokens_replace_the_estimate() {
    let (mut window, now) = (Window::default(), Instant::now());
    let limits = per_minute(None, Some(100));
    let first = window.add(1, 80, now);
    assert_eq!(window.ready_in(limits, 50, now), MINUTE);
    window.settle(first, 80, 40, now);
    assert_eq!(window.ready_in(limits, 50, now), Duration::ZERO);
    let later = now + Duration::from_secs(30);
    let second = window.add(1, 50, later);
    window.settle(second, 50, 90, later + Duration::from_secs(20));
    // The 40 tokens above the estimate count from the settlement on.
    assert_eq!(window.ready_in(limits, 100, later + MINUTE), Duration::from_secs(20));
}

#[test]
fn a_request_larger_than_the_limit_needs_an_empty_window() {
    let (mut window, now) = (Window::default(), Instant::now());
    let limits = per_minute(None, Some(100));
    assert_eq!(window.ready_in(limits, 1000, now), Duration::ZERO);
    window.add(1, 1, now);
    assert_eq!(window.ready_in(limits, 1000, now), MINUTE);
    window.add(1, 1000, now + MINUTE);
    assert_eq!(window.ready_in(limits, 1, now + MINUTE), MINUTE);
}

#[test]
fn a_settlement_after_the_minute_changes_nothing() {
    let (mut window, now) = (Window::default(), Instant::now());
    let old = window.add(1, 100, now);
    let later = now + MINUTE;
    window.add(1, 70, later);
    window.settle(old, 100, 0, later);
    assert_eq!(window.ready_in(per_minute(None, Some(100)), 31, later), MINUTE);
    assert_eq!(window.ready_in(per_minute(None, Some(100)), 30, later), Duration::ZERO);
}

#[derive(Debug, Clone)]
enum Op {
    Advance(u64),
    Admit(u64),
    Settle(prop::sample::Index, u64),
}

/// An admission and its current number of tokens.
struct Admission {
    at: Instant,
    requests: u64,
    tokens: u64,
}

/// Returns the requests and tokens of the last `time`.
fn sum(log: &[Admission], now: Instant, time: Duration) -> (u64, u64) {
    let recent = log.iter().filter(|admission| now - admission.at < time);
    recent.fold((0, 0), |(requests, tokens), admission| (requests + admission.requests, tokens + admission.tokens))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_minute_exceeds_the_limit_and_no_wait_is_longer_than_necessary(
        operations in prop::collection::vec(prop_oneof![
            prop_oneof![0_u64..400, 0_u64..30_000].prop_map(Op::Advance),
            (0_u64..60).prop_map(Op::Admit),
            (any::<prop::sample::Index>(), 0_u64..120).prop_map(|(which, tokens)| Op::Settle(which, tokens)),
        ], 0..200),
        requests in 1_u32..12,
        limit in 1_u64..200,
    ) {
        let limits = per_minute(Some(requests), Some(limit));
        let (mut window, mut now) = (Window::default(), Instant::now());
        let mut log: Vec<Admission> = Vec::new();
        let mut unsettled = Vec::new();
        let fits = |(sent, taken): (u64, u64), tokens: u64| {
            sent < u64::from(requests) && (taken + tokens <= limit || (tokens > limit && taken == 0))
        };
        for operation in operations {
            match operation {
                Op::Advance(ms) => now += Duration::from_millis(ms),
                Op::Admit(tokens) => {
                    let wait = window.ready_in(limits, tokens, now);
                    if wait.is_zero() {
                        prop_assert!(fits(sum(&log, now, MINUTE), tokens));
                        unsettled.push((window.add(1, tokens, now), log.len()));
                        log.push(Admission { at: now, requests: 1, tokens });
                    } else {
                        prop_assert!(!fits(sum(&log, now, MINUTE + RESOLUTION), tokens));
                        // The wait is long enough, and not longer than the resolution requires.
                        prop_assert!(fits(sum(&log, now + wait, MINUTE), tokens));
                        if let Some(short) = wait.checked_sub(Duration::from_millis(1)) {
                            prop_assert!(!fits(sum(&log, now + short, MINUTE + RESOLUTION), tokens));
                        }
                    }
                }
                Op::Settle(which, tokens) if !unsettled.is_empty() => {
                    let (number, index) = unsettled.swap_remove(which.index(unsettled.len()));
                    let estimate = log[index].tokens;
                    window.settle(number, estimate, tokens, now);
                    if tokens > estimate {
                        log.push(Admission { at: now, requests: 0, tokens: tokens - estimate });
                    } else {
                        log[index].tokens = tokens;
                    }
                }
                Op::Settle(..) => {}
            }
        }
    }
}
